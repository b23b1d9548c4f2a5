/* presence/presence.h - what the plugin's files share. All of it: [loop].
 *
 *   calls ──▶ lines.c ──▶ dialog_info.c ──▶ package "dialog"        a line's calls
 *     │         ▲
 *     │       lamps (parking slots, queues)
 *     ▼
 *   people.c ──▶ pidf.c ──▶ package "presence"                      one state of a person, out of registration, calls, choice…
 *
 *   mailboxes.c ──▶ pbx.mwi/1 ──▶ message_summary.c ──▶ package "message-summary"      and whoever else keeps a mailbox
 *   registrar ──▶ reg_info.c ──▶ package "reg" */
#pragma once
#include <libxml/xmlwriter.h>
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/directory.h>
#include <pbx/lamps.h>
#include <pbx/location.h>
#include <pbx/mwi.h>
#include <pbx/notifier.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define NUMBER_SIZE 64u
#define NAME_SIZE 128u
#define LINE_BUCKETS 1024u
#define ENDED_KEPT_MS 5000u /* so long an ended call is told to those who have seen it; later they get a full document */
#define REMEMBERED 64u      /* contacts that have gone */
#define WAITING_MOST 32u    /* calls that are looked at together */
#define ENDED_MOST 16u      /* of a line that takes many calls: each change looks through them */

struct list_settings {
	const char *name;
	struct pbx_list members;
};

struct presence_settings {
	const char *watchers, *identities, *mailboxes, *registrations, *code;
	uint32_t auto_away_s, auto_offline_s;
	bool tell_phones;
	struct pbx_objects lists; /* struct list_settings */
};

#define STATUS_AVAILABLE 0u
#define STATUS_BUSY 1u
#define STATUS_AWAY 2u
#define STATUS_DND 3u
#define STATUS_IN_CALL 4u
#define STATUS_IN_MEETING 5u
#define STATUS_OFFLINE 6u
#define STATUS_COUNT 7u
#define STATUS_NONE STATUS_COUNT
#define IDLE_UNSET 4294967295u
extern const char *const status_names[STATUS_COUNT + 1]; /* ends with NULL */

struct person {
	struct person *next; /* of its bucket */
	struct presence *presence;
	uint32_t status, chosen, published; /* STATUS_…; status is what others see */
	const char *source;                 /* why: "dnd", "call", "manual", "published", "registration", "idle" */
	char message[200];
	bool message_changed;
	int64_t until_us; /* end of what was chosen; 0: none */
	uint64_t active_at_ms;
	uint32_t away_s, offline_s; /* of their own, or IDLE_UNSET: the settings */
	pbx_timer idle, until;
	char number[];
};

/* One call of a line, as RFC 4235 shows it. */
struct line_call {
	struct line_call *next;     /* of its line, newest first */
	struct line_call *leg_next; /* of its bucket, by leg: only while it is live */
	struct line *line;
	char leg_id[48], remote[NUMBER_SIZE], remote_name[NAME_SIZE];
	char protocol_id[128], local_tag[64], remote_tag[64];
	const char *state; /* "trying", "early", "confirmed", "terminated" */
	bool initiator, local_hold;
	uint64_t changed; /* stamp of the last change */
	uint64_t ended_at_ms;
};

struct line {
	struct line *next; /* of its bucket */
	struct line_call *calls;
	uint64_t floor; /* who has seen less than this stamp has missed a call that is forgotten */
	char number[];
};

/* A contact that is registered no more, as those hear of it who have seen it. */
struct gone_contact {
	char account[NUMBER_SIZE], id[40], uri[256];
	const char *event;
	uint64_t stamp;
};

struct presence {
	PBX_INSTANCE(struct presence_settings);
	const struct pbx_calls *calls;
	const struct pbx_bus *bus;
	const struct pbx_directory *directory;
	const struct pbx_lamps *lamps;
	const struct pbx_notifier *notifier;
	const struct pbx_jsons *json;
	const struct pbx_location *location;
	const struct pbx_mwi *mwi;
	const struct pbx_requests *requests;
	const struct pbx_routing *routing;
	const struct pbx_store *store;
	const struct pbx_timers *timers;
	struct person *people[LINE_BUCKETS];
	struct line *lines[LINE_BUCKETS];
	struct line_call *legs[LINE_BUCKETS]; /* the live calls of all lines */
	pbx_call waiting[WAITING_MOST];       /* to be looked at once what happens now has happened */
	uint32_t waiting_count;
	struct stated *stated; /* message counts from the table, until we start */
	struct set_list *set_lists;
	struct gone_contact gone[REMEMBERED];
	uint64_t gone_count;
	uint64_t stamp;    /* rises with every change of a line, and of a registration that is watched */
	char *head, *tail; /* of the document written last: they are the notifier's until the next */
};

/* ---- lines.c ---- */
int lines_start(struct presence *presence);
void lines_free(struct presence *presence);
const struct line *line_find(const struct presence *presence, const char *number); /* NULL: it has had no call */
bool line_is_live(const struct line_call *call);

uint32_t number_bucket(const char *number);

/* ---- people.c ---- */
int people_load(struct presence *presence); /* PBX_ELATER; mailboxes_load() when done */
int people_start(struct presence *presence);
void people_free(struct presence *presence);
uint32_t status_of(const char *name);                                            /* STATUS_NONE: there is no such status */
struct person *person_find(const struct presence *presence, const char *number); /* NULL: nothing is known */
/* What somebody chooses; STATUS_NONE: nothing any more. until_us 0: for good. PBX_OK, PBX_ENOMEM. */
int person_choose(struct presence *presence, const char *number, uint32_t status, const char *message, int64_t until_us);
/* After how long without activity they are away and offline, 0: never, IDLE_UNSET: as the settings say. PBX_OK, PBX_ENOMEM. */
int person_idles(struct presence *presence, const char *number, uint32_t away_s, uint32_t offline_s);
uint32_t person_away_s(const struct person *person);
uint32_t person_offline_s(const struct person *person);
int person_publish(struct presence *presence, const char *number, uint32_t status); /* STATUS_NONE: taken back */
void person_is_active(struct person *person);
void person_settle(struct person *person); /* looks again, tells when it is another one, and sets the timer */
/* A call or registration of theirs has changed; own: by what they did themselves. */
void people_call_changed(struct presence *presence, const char *number, bool own);

/* ---- pidf.c ---- */
int pidf_start(struct presence *presence);

/* ---- pidf_read.c ---- */
int pidf_read(const char *text, uint32_t *ret_status); /* STATUS_NONE: it says nothing. PBX_OK, PBX_EINVAL */

/* ---- codes.c ---- */
int codes_start(struct presence *presence);

/* ---- requests.c ---- */
void presence_on_list(void *self, pbx_request request);
void presence_on_show(void *self, pbx_request request);
void presence_on_set(void *self, pbx_request request);
void presence_on_idle(void *self, pbx_request request);

/* ---- dialog_info.c ---- */
int dialog_info_start(struct presence *presence);

/* ---- reg_info.c ---- */
int reg_info_start(struct presence *presence);

/* ---- mailboxes.c ---- */
int mailboxes_load(struct presence *presence); /* PBX_ELATER; host->ready when done */
void mailboxes_start(struct presence *presence);
void mailboxes_free(struct presence *presence);
void mailboxes_on_list(void *self, pbx_request request);
void mailboxes_on_show(void *self, pbx_request request);
void mailboxes_on_set(void *self, pbx_request request);
void mailboxes_on_clear(void *self, pbx_request request);

/* ---- message_summary.c ---- */
int message_summary_start(struct presence *presence);

/* ---- lists.c ---- */
int lists_start(struct presence *presence);
int lists_check(const struct presence *presence, const struct presence_settings *settings, struct pbx_diag *diag); /* PBX_OK, PBX_EINVAL */
void lists_apply(void *self, void *data); /* the lists of the settings, and no others */
void lists_free(struct presence *presence);

/* ---- access.c: who may watch whom ---- */
bool may_watch(struct presence *presence, const char *watcher, const char *resource);
bool may_know_parties(struct presence *presence, const char *watcher, const char *resource);
bool may_see_mailbox(struct presence *presence, const char *watcher, const char *mailbox);
bool may_see_registrations(struct presence *presence, const char *watcher, const char *account);
bool is_account(const struct presence *presence, const char *number);
void account_name(const struct presence *presence, const char *number, char ret_name[NAME_SIZE]); /* "" when there is none */

/* ---- xml.c ---- */
struct xml {
	xmlBufferPtr buffer;
	xmlTextWriterPtr writer;
};
void xml_keep_library(void);
bool xml_begin(struct xml *xml); /* false: no memory */
void xml_start(struct xml *xml, const char *element);
void xml_attribute(struct xml *xml, const char *name, const char *value); /* value "": is left out */
void xml_text(struct xml *xml, const char *element, const char *text);
void xml_string(struct xml *xml, const char *text);
void xml_end(struct xml *xml);
/* The document, split at the first version="#" when there is one; kept in presence->head and ->tail. PBX_OK, PBX_ENOMEM. */
int xml_finish(struct presence *presence, struct xml *xml, struct pbx_document *ret_document);
