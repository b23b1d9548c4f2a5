/* presence/presence.h - what the plugin's files share. All of it: [loop].
 *
 *   calls ──▶ lines.c ──▶ dialog_info.c ──▶ package "dialog"        a line's calls
 *     │         ▲
 *     │       lamps (parking slots, queues)
 *     ▼
 *   people.c ──▶ pidf.c ──▶ package "presence"                      one state of a person, out of registration, calls, choice… */
#pragma once
#include <libxml/xmlwriter.h>
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/directory.h>
#include <pbx/lamps.h>
#include <pbx/location.h>
#include <pbx/notifier.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define NUMBER_SIZE 64u
#define NAME_SIZE 128u
#define LINE_BUCKETS 1024u
#define ENDED_KEPT_MS 5000u /* so long an ended call is told to those who have seen it; later they get a full document */
#define ENDED_MOST 16u /* of a line that takes many calls: each event looks through them */

struct presence_settings {
	const char *watchers, *identities, *code;
	uint32_t auto_away_s, auto_offline_s;
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
	pbx_timer idle, until;
	char number[];
};

/* One call of a line, as RFC 4235 shows it. */
struct line_call {
	struct line_call *next; /* newest first */
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

struct presence {
	PBX_INSTANCE(struct presence_settings);
	const struct pbx_calls *calls;
	const struct pbx_bus *bus;
	const struct pbx_directory *directory;
	const struct pbx_lamps *lamps;
	const struct pbx_notifier *notifier;
	const struct pbx_jsons *json;
	const struct pbx_location *location;
	const struct pbx_requests *requests;
	const struct pbx_routing *routing;
	const struct pbx_store *store;
	const struct pbx_timers *timers;
	struct person *people[LINE_BUCKETS];
	struct line *lines[LINE_BUCKETS];
	uint64_t stamp;    /* rises with every change of a line */
	char *head, *tail; /* of the document written last: they are the notifier's until the next */
};

/* ---- lines.c ---- */
int lines_start(struct presence *presence);
void lines_free(struct presence *presence);
const struct line *line_find(const struct presence *presence, const char *number); /* NULL: it has had no call */
bool line_is_live(const struct line_call *call);

uint32_t number_bucket(const char *number);

/* ---- people.c ---- */
int people_load(struct presence *presence); /* PBX_ELATER; host->ready when done */
int people_start(struct presence *presence);
void people_free(struct presence *presence);
uint32_t status_of(const char *name);                                            /* STATUS_NONE: there is no such status */
struct person *person_find(const struct presence *presence, const char *number); /* NULL: nothing is known */
/* What somebody chooses; STATUS_NONE: nothing any more. until_us 0: for good. PBX_OK, PBX_ENOMEM. */
int person_choose(struct presence *presence, const char *number, uint32_t status, const char *message, int64_t until_us);
int person_publish(struct presence *presence, const char *number, uint32_t status); /* STATUS_NONE: taken back */
void person_is_active(struct person *person);
void person_settle(struct person *person); /* looks again, tells when it is another one, and sets the timer */
/* A call or registration of theirs has changed; own: by what they did themselves. */
void people_call_changed(struct presence *presence, const char *number, bool own);

/* ---- pidf.c ---- */
int pidf_start(struct presence *presence);
int pidf_read(const char *text, uint32_t *ret_status); /* STATUS_NONE: it says nothing. PBX_OK, PBX_EINVAL */

/* ---- codes.c ---- */
int codes_start(struct presence *presence);

/* ---- requests.c ---- */
void presence_on_list(void *self, pbx_request request);
void presence_on_show(void *self, pbx_request request);
void presence_on_set(void *self, pbx_request request);

/* ---- dialog_info.c ---- */
int dialog_info_start(struct presence *presence);

/* ---- access.c: who may watch whom ---- */
bool may_watch(struct presence *presence, const char *watcher, const char *resource);
bool may_know_parties(struct presence *presence, const char *watcher, const char *resource);
bool is_account(const struct presence *presence, const char *number);

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
void xml_end(struct xml *xml);
/* The document, split at the first version="#" when there is one; kept in presence->head and ->tail. PBX_OK, PBX_ENOMEM. */
int xml_finish(struct presence *presence, struct xml *xml, struct pbx_document *ret_document);
