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

struct presence_settings {
	const char *watchers, *identities;
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
	struct line *lines[LINE_BUCKETS];
	uint64_t stamp;    /* rises with every change of a line */
	char *head, *tail; /* of the document written last: they are the notifier's until the next */
};

/* ---- lines.c ---- */
int lines_start(struct presence *presence);
void lines_free(struct presence *presence);
const struct line *line_find(const struct presence *presence, const char *number); /* NULL: it has had no call */
bool line_is_live(const struct line_call *call);

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
