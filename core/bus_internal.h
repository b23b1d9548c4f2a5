/* core/bus_internal.h - what bus.c, bus_log.c and bus_follow.c know of each other. All of it: [loop]. */
#pragma once
#include "auto.h"
#include "bus.h"
#include "owner.h"
#include "store.h"

#define BUS_WINDOW 256u /* events out unacknowledged, and rows read at once */
#define BUS_TYPES 256u  /* that have a number, by which subscriptions know whether they want them */

/* An event as long as somebody needs it: counted references, its texts behind it in the same piece of memory. */
struct bus_event {
	struct pbx_event event;
	uint32_t refs;
	uint64_t ordinal; /* of publication in this process: also those have one that wait for a number */
	bool told;        /* everybody has heard of it: it is only written once more, under another number */
	uint32_t type;    /* its number; 0: none, as those have that come from the log */
	struct pbx_json *data;
	struct bus_event *next;
	char texts[];
};

struct bus_texts {
	const char *id, *type, *owner, *call_id, *linked_id;
};

/* With one reference. data is taken when it succeeds. NULL: no memory. */
struct bus_event *bus_event_new(const struct bus_texts *texts, struct pbx_json *taken);
struct bus_event *bus_event_ref(struct bus_event *event);
void bus_event_unref(struct bus_event *event);

bool bus_pattern_matches(const char *pattern, const char *type);

/* ---- subscriptions (bus.c) ---- */

#define BUS_WANTED 1u
#define BUS_NOT_WANTED 2u

struct bus_subscription {
	struct core_charge charge;
	uint64_t id;
	struct pbx_host *owner;
	char *pattern;
	uint8_t wants[BUS_TYPES]; /* by the type's number: BUS_WANTED, BUS_NOT_WANTED; 0: never asked */
	pbx_event_fn fn;
	void *self;
	uint64_t since;                /* ordinal: only what is published later */
	bool stored;                   /* hears of what is safe */
	struct bus_follower *follower; /* NULL: only hears what happens */
};

/* Charged to its owner and findable by its handle. PBX_OK, PBX_EINVAL, PBX_ENOMEM. */
int bus_subscription_add(struct pbx_host *owner, const char *pattern, pbx_event_fn fn, void *self,
			 struct bus_subscription **ret_subscription);
void bus_subscription_remove(struct bus_subscription *subscription);
struct bus_subscription *bus_subscription_find(pbx_subscription subscription);
bool bus_wants(struct bus_subscription *subscription, const struct bus_event *event);
void bus_tell_stored(struct bus_event *event); /* it is safe: who waited for that hears of it */

/* Numbers have been found: what waited goes out. */
void bus_release(void);
/* The numbers given lately are somebody else's: what waits gets its own anew. */
void bus_number_again(void);
/* Everybody has heard of it, but its place in the log is lost: it gets a new one, as the latest. Takes a reference. */
void bus_place_again(struct bus_event *event);

/* ---- the log (bus_log.c) ---- */

int bus_log_init(void);
void bus_log_fini(void);
bool bus_log_has_numbers(void);
bool bus_log_is_full(void); /* too many events wait to be written */
int64_t bus_log_next_seq(void);
int64_t bus_log_last_seq(void);
int64_t bus_log_stored_seq(void);             /* everything up to it is safe */
void bus_log_append(struct bus_event *event); /* takes a reference; written by the next flush */
void bus_log_flush(void);
struct bus_event *bus_log_recent(int64_t seq); /* borrowed; NULL: not in memory any more */

/* Rows of event_log after `from` (and since an instant, when not 0), at most BUS_WINDOW, oldest first. Charged to owner. PBX_OK, PBX_ENOMEM, PBX_ENOSPC. */
int bus_log_read(struct pbx_host *owner, int64_t from, int64_t since_us, pbx_rows_fn done, void *self);
/* The same of one call. */
int bus_log_read_call(struct pbx_host *owner, const char *call_id, int64_t from, pbx_rows_fn done, void *self);
/* A row of it as an event, with one reference. NULL: no memory. */
struct bus_event *bus_log_event(const struct pbx_rows *rows, uint32_t row);

/* ---- followers (bus_follow.c) ---- */

int bus_follow_init(void);
void bus_follow_fini(void);
void bus_follow_load(const struct pbx_rows *rows);          /* owner, name, seq: the positions kept */
void bus_follow_stored(void);                               /* more is safe than before */
void bus_follow_end(struct bus_subscription *subscription); /* it is being removed */
uint32_t bus_follow_count(void);

int bus_follow(struct pbx_host *host, const char *follower, const char *pattern, pbx_event_fn fn, void *self,
	       pbx_subscription *ret_subscription);
int bus_acknowledge(pbx_subscription subscription, int64_t seq);
int bus_rewind(pbx_subscription subscription, int64_t seq);
int bus_forget(struct pbx_host *host, const char *follower);
int bus_replay(struct pbx_host *host, int64_t from, int64_t since_us, const char *pattern, uint32_t limit, pbx_event_fn fn,
	       void (*done)(void *self, int result, int64_t last_seq), void *self);
int bus_replay_call(struct pbx_host *host, const char *call_id, uint32_t limit, pbx_event_fn fn,
		    void (*done)(void *self, int result, int64_t last_seq), void *self);
