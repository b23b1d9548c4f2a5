/* sip/location.h - the bindings: where each account's devices are; serves "pbx.location/1". All of it: [loop].
 *
 * Held in memory, written through to the table `registrations`, read back at start: a restart needs no REGISTER. */
#pragma once
#include <pbx/location.h>
#include <pbx/store.h>

#define UA_MOST_BINDINGS 200000u /* of everybody together */

/* One binding. Texts are owned by it and never NULL. */
struct ua_binding {
	struct ua_binding *next_of_aor, *next_of_id;
	struct ua_aor *aor;
	pbx_timer expiry;
	char id[27];
	char *uri, *received, *transport, *user_agent, *instance, *path, *call_id;
	char *listener; /* by which it came; "": not known */
	uint32_t reg_id, q_milli, cseq;
	int64_t registered_wall_us, expires_wall_us;
	uint32_t round_trip_us, unanswered; /* of keepalive.c's questions: 0: not known; how many in a row */
	struct ua_question *asked;          /* the one that is under way (keepalive.c); NULL: none */
	char *node;                         /* which other node has the way to it; NULL: we do. Owned */
	int64_t written_wall_us;            /* of its row */
};

/* What a REGISTER says about one contact. Borrowed. */
struct ua_binding_news {
	const char *uri, *received, *transport, *user_agent, *instance, *path, *call_id, *listener;
	uint32_t reg_id, q_milli, cseq, expires_s;
};

int ua_location_init(struct pbx_host *host); /* PBX_OK, PBX_ENOMEM */
/* What we are called among nodes of one database, "" when we are alone. Borrowed for as long as we run; before load. */
void ua_location_set_node(const char *node);
/* A row that another node has written, with the columns of location_nodes.h: what is newer than ours takes its place. */
void ua_location_adopt(const struct pbx_rows *rows, uint32_t row);
void ua_location_fini(void);
/* Reads the table; done(context) whatever came of it (the log tells). */
void ua_location_load(void (*done)(void *context), void *context);

/* Bindings of an account, best q first, then newest first; walk by next_of_aor. NULL: none. */
struct ua_binding *ua_location_find(const char *aor);
/* The binding a contact means: same instance and reg-id (RFC 5626), or an equal URI (RFC 3261 19.1.4). NULL: none. */
struct ua_binding *ua_location_match(const char *aor, const struct ua_binding_news *news);
/* Adds (binding NULL) or refreshes; the oldest make room when there are more than `most`. PBX_OK, PBX_ENOMEM, PBX_ENOSPC. */
int ua_location_put(const char *aor, struct ua_binding *binding, const struct ua_binding_news *news, uint32_t most);
/* reason: "expired", "removed", "replaced", "unregistered", "flow_failed". */
void ua_location_drop(struct ua_binding *binding, const char *reason);

/* fn(context) once everything changed so far is safe from a crash, in the table or in the journal; now, if it is. */
void ua_location_when_stored(void (*fn)(void *context), void *context);
/* Calls them all now: we stop. */
void ua_location_release(void);

/* NULL: there is none of that id. */
struct ua_binding *ua_location_by_id(const char *id);
const char *ua_location_aor(const struct ua_binding *binding);
/* By which listener the device came whose packets come from there, as listener.h has it; NULL: not known, or there is no such listener. */
const char *ua_location_listener(const char *aor, const char *received);
/* Its User-Agent, "" when it has said none; NULL: not known. */
const char *ua_location_device(const char *aor, const char *received);
/* each for the next of `shares` parts of all bindings, beginning at `from`; where the next call goes on. each may not drop any. */
uint32_t ua_location_walk(uint32_t from, uint32_t shares, void (*each)(struct ua_binding *binding));

uint32_t ua_location_aors(void); /* accounts with at least one binding */
extern const struct pbx_location ua_location_service;
