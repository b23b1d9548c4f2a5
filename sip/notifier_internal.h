/* sip/notifier_internal.h - subscriptions as the notifier's own files see them. All of it: [loop].
 *
 *   package "dialog" --- state "1001" --- point --- watch of a phone
 *                    \-- state "1002" --- point --/            a watch of a list (RFC 4662) has a point in each member
 *
 * A change marks the points of a state; one pass writes the document once for all who see the same and sends. A watch has no Sofia object of its
 * own: its dialog is a few texts and numbers, so that ten thousand lamps cost little and come back from the store as they were. */
#pragma once
#include "loop.h"
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
	char *own_type; /* when it is another */
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

/* An account that watches something. */
struct ua_watcher {
	struct ua_watcher *next;
	uint32_t count; /* of its watches */
	char account[];
};

struct ua_watch {
	struct ua_watch *next_of_dialog, *next_pending;
	struct ua_package *package;
	struct ua_list *list;    /* NULL: watches one resource, or the list has not been set since the start */
	struct ua_point *points; /* NULL: that is so */
	struct ua_watcher *owner;
	const char *watcher; /* its account */
	uint32_t point_count;
	uint64_t handle;
	char id[27];
	char *resource, *event_id, *device, *call_id, *local, *local_tag, *remote, *remote_tag, *target, *route, *received;
	char transport[8];
	const char *content_type; /* one of the package's */
	char *wanted_type;        /* as the store has it, until the package is there */
	uint32_t remote_cseq, sent, reserved, list_version;
	int64_t expires_wall_us;
	uint64_t next_at_ms; /* no NOTIFY before */
	pbx_timer expiry;
	nta_outgoing_t *out; /* a NOTIFY that has no answer yet */
	bool of_list;
	bool pending, full; /* in the line of the next pass; every member of the list is to be told */
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
	struct ua_watch **dialogs;    /* by local tag */
	struct ua_watcher **watchers; /* by account */
	struct ua_watch *first_pending, *last_pending;
	struct ua_state *first_dirty, *first_cached;
	uint32_t count, pending_count;
	uint64_t pass; /* number of the present one */
	bool open, in_pass;
	struct core_post_node pass_due;
	pbx_timer timer;
	uint64_t timer_at_ms;
};
extern struct ua_notifier ua_notifier;

/* ---- notifier.c ---- */
struct ua_package *ua_package_find(const char *name);
struct ua_package *ua_package_get(const char *name);                             /* makes one that nobody writes yet; NULL: no memory */
const char *ua_package_type(const struct ua_package *package, const char *text); /* its own text of a type; NULL: does not offer it */

/* The Allow-Events header: packages that somebody writes, or those that may be published. False: there is none. */
bool ua_packages_header(bool published, char *ret_header, size_t size);

/* ---- watch.c ---- */
int ua_watches_init(void); /* PBX_OK, PBX_ENOMEM */
void ua_watches_fini(void);
struct ua_state **ua_states_new(void);                                                  /* of a package; NULL: no memory */
struct ua_state *ua_state_find(const struct ua_package *package, const char *resource); /* NULL: nobody watches it */
void ua_state_free_when_alone(struct ua_state *state);
/* A watch not yet known to anybody. Texts are copied. NULL: no memory. */
struct ua_watch *ua_watch_new(struct ua_package *package, const char *resource);
/* What it looks at: its resource, or the members of a list, in place of what it looked at before. False: no memory, all is as it was. */
bool ua_watch_point(struct ua_watch *watch, struct ua_list *list);
bool ua_watch_belongs(struct ua_watch *watch, const char *account); /* once; false: no memory */
int ua_watch_add(struct ua_watch *watch);                           /* takes its place in the tables. PBX_OK, PBX_ENOMEM */
void ua_watch_arm(struct ua_watch *watch, int64_t expires_wall_us);
struct ua_watch *ua_watch_find(const char *call_id, const char *local_tag, const char *remote_tag);
void ua_watch_free(struct ua_watch *watch);
/* The last NOTIFY, "terminated" with this reason, and the end; reason NULL: nobody is there to be told. */
void ua_watch_end(struct ua_watch *watch, const char *reason);
void ua_watch_info(const struct ua_watch *watch, const char *resource, struct pbx_watch_info *ret_info);
uint32_t ua_watches_of(const char *account);
/* Every watch of a package, and of all with NULL. fn may end it. */
void ua_watches_each(const struct ua_package *package, void (*fn)(struct ua_watch *watch, void *context), void *context);

/* ---- notifier_pass.c ---- */
void ua_pass_want(void); /* one is due: it runs after the present callback */
void ua_pass_stop(void);
void ua_watch_want(struct ua_watch *watch, bool full); /* it is to be told, as soon as it may */
void ua_watch_leave_line(struct ua_watch *watch);

/* ---- notify.c ---- */
/* Sends what the watch has not got. True: sent. state: "active;expires=…" is made when NULL. */
bool ua_notify(struct ua_watch *watch, const char *terminated);
const struct ua_written *ua_document_of(const struct ua_point *point); /* from this pass, if somebody else has asked for it */
char *ua_document_text(const struct ua_point *point, const struct ua_written *written); /* with its version in it. Owned; NULL: no memory */
void ua_document_told(struct ua_point *point, const struct ua_written *written);
void ua_documents_forget(void); /* those of this pass */
int ua_notify_tell(struct pbx_host *host, const char *account, const char *event, const char *content_type, const char *body);

/* ---- notifier_list.c ---- */
struct ua_list *ua_list_find(const char *name);
int ua_list_set(struct pbx_host *host, const char *name, const struct pbx_table *members);
char *ua_list_document(struct ua_watch *watch, const char **ret_type); /* owned; NULL: no memory */
void ua_lists_free(void);

/* ---- notifier_store.c ---- */
void ua_watch_store(const struct ua_watch *watch);
void ua_watch_unstore(const struct ua_watch *watch);

/* ---- publish.c ---- */
void ua_publications_drop(const struct ua_package *package); /* NULL: all */
