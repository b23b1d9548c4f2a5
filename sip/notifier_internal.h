/* sip/notifier_internal.h - subscriptions as the notifier's own files see them. All of it: [loop].
 *
 *   package "dialog" --- state "1001" --- point --- watch of a phone
 *                    \-- state "1002" --- point --/            a watch of a list (RFC 4662) has a point in each member
 *
 * A change marks the points of a state; one pass writes the document once for all who see the same and sends. A watch has no Sofia object of its
 * own: its dialog is a few texts and numbers, so that ten thousand lamps cost little and come back from the store as they were. */
#pragma once
#include "notifier.h"
#include "owner.h"

#define UA_MOST_WATCHES 100000u
#define UA_MOST_MEMBERS 200u      /* of one list */
#define UA_RESERVED_AT_ONCE 1000u /* numbers of NOTIFYs taken from the store at a time */
#define UA_MOST_PUBLISHED 16384u  /* bytes of one document */
#define UA_MOST_PUBLICATIONS 8u   /* of one account */
#define UA_DOCUMENT_CACHE 4u      /* documents of a state that one pass keeps: views, types and stamps seldom differ */

struct ua_package {
	struct ua_package *next;
	struct core_charge charge; /* .owner NULL: nobody writes it now, only subscriptions from before the start wait for it */
	struct pbx_event_package offer;
	void *self;
	char *name;
	char **types;
	struct ua_state **states;
	uint32_t watch_count;
};

/* A document of a state, written in this pass. */
struct ua_written {
	uint64_t pass, since, stamp;
	uint32_t view;
	int result;
	const char *content_type; /* the package's own text */
	char *head, *tail;
};

struct ua_state {
	struct ua_state *next, *next_dirty, *next_cached;
	struct ua_package *package;
	struct ua_point *points;
	bool dirty, cached;
	struct ua_written written[UA_DOCUMENT_CACHE];
	char name[];
};

struct ua_point {
	struct ua_point *next, **at; /* in its state */
	struct ua_state *state;
	struct ua_watch *watch;
	char *display;    /* of a member of a list, or NULL */
	uint64_t stamp;   /* of what the watcher has got */
	uint32_t version; /* of the next document */
	bool dirty;
};

struct ua_watch {
	struct ua_watch *next_of_dialog, *next_pending;
	struct ua_package *package;
	struct ua_list *list; /* NULL: watches one resource */
	struct ua_point *points;
	uint32_t point_count;
	uint64_t handle;
	char id[27];
	char *resource, *event_id, *watcher, *device, *call_id, *local, *local_tag, *remote, *remote_tag, *target, *route, *received;
	char transport[8];
	const char *content_type; /* one of the package's */
	char *wanted_type;        /* as the store has it, until the package is there */
	uint32_t remote_cseq, sent, reserved, list_version;
	int64_t expires_wall_us;
	uint64_t next_at_ms; /* no NOTIFY before */
	pbx_timer expiry;
	nta_outgoing_t *out; /* a NOTIFY that has no answer yet */
	bool pending, full;  /* in the line of the next pass; every member of the list is to be told */
};

struct ua_list {
	struct ua_list *next;
	struct core_charge charge;
	uint32_t count;
	char **resources, **displays;
	char name[];
};

struct ua_notifier {
	struct ua *ua;
	struct ua_package *packages;
	struct ua_list *lists;
	struct ua_watch **dialogs; /* by local tag */
	struct ua_watch *first_pending, *last_pending;
	struct ua_state *first_dirty, *first_cached;
	uint32_t count;
	uint64_t pass; /* number of the present one */
	bool open, pass_due, in_pass;
	pbx_timer timer;
	uint64_t timer_at_ms;
};
extern struct ua_notifier ua_notifier;

/* ---- notifier.c ---- */
struct ua_package *ua_package_find(const char *name);
struct ua_package *ua_package_get(const char *name);                             /* makes one that nobody writes yet; NULL: no memory */
const char *ua_package_type(const struct ua_package *package, const char *text); /* its own text of a type; NULL: does not offer it */
struct ua_list *ua_list_find(const char *name);
/* A watch with its points, not yet known to anybody. Texts are copied. NULL: no memory. */
struct ua_watch *ua_watch_new(struct ua_package *package, struct ua_list *list, const char *resource);
int ua_watch_add(struct ua_watch *watch); /* takes its place in the tables. PBX_OK, PBX_ENOMEM */
void ua_watch_arm(struct ua_watch *watch, int64_t expires_wall_us);
struct ua_watch *ua_watch_find(const char *call_id, const char *local_tag, const char *remote_tag);
void ua_watch_free(struct ua_watch *watch);
/* The last NOTIFY, "terminated" with this reason, and the end; reason NULL: nobody is there to be told. */
void ua_watch_end(struct ua_watch *watch, const char *reason);
void ua_state_free_when_alone(struct ua_state *state);
void ua_watch_info(const struct ua_watch *watch, const char *resource, struct pbx_watch_info *ret_info);
void ua_watch_want(struct ua_watch *watch, bool full); /* it is to be told, as soon as it may */
uint32_t ua_watches_of(const char *watcher);

/* ---- notify.c ---- */
/* Sends what the watch has not got. True: sent. state: "active;expires=…" is made when NULL. */
bool ua_notify(struct ua_watch *watch, const char *terminated);
void ua_documents_forget(void); /* those of this pass */
int ua_notify_tell(struct pbx_host *host, const char *account, const char *event, const char *content_type, const char *body);

/* ---- notifier_store.c ---- */
void ua_watch_store(const struct ua_watch *watch);
void ua_watch_unstore(const struct ua_watch *watch);

/* ---- publish.c ---- */
void ua_publications_drop(const struct ua_package *package); /* NULL: all */
