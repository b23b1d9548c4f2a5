/* pbx/bus.h - what happened, told to whoever wants to know, and kept
 * Served by the core as "pbx.bus/1". All of it: [loop].
 *
 * Every event gets the next number (seq, gap-free over restarts) and is appended to the event log in the store, from
 * which it can be followed again later. Types are declared in .events of the publisher. */
#pragma once
#include <pbx/json.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed until the callback returns. Texts are never NULL. */
struct pbx_event {
	uint32_t size;
	int64_t seq;
	const char *id;    /* ULID */
	const char *type;  /* "call.parked" */
	const char *owner; /* who published it */
	int64_t wall_us;
	uint64_t at_ms;                  /* monotonic; 0 in a replay */
	const char *call_id, *linked_id; /* "" when it is about no call */
	const struct pbx_json *data;
};

typedef void (*pbx_event_fn)(void *self, const struct pbx_event *event);

struct pbx_bus {
	struct pbx_header header;

	/* Publishes an event of a type we declared. data is taken, NULL for none; call may be none. Subscribers hear of it after
	 * the current callback. PBX_OK, PBX_EINVAL (not declared), PBX_ENOMEM. */
	int (*publish)(struct pbx_host *host, const char *type, pbx_call call, struct pbx_json *taken);

	/* fn for every event whose type matches: "call.parked", "call.*", "*"; several separated by commas. PBX_OK, PBX_EINVAL, PBX_ENOMEM. */
	int (*subscribe)(struct pbx_host *host, const char *pattern, pbx_event_fn fn, void *self, pbx_subscription *ret_subscription);

	/* The same, but nothing is missed: begins after the last event this follower (a name, unique with us) has acknowledged,
	 * ever, and delivers only what is safely in the log; new followers begin with now. At most 256 events are out unacknowledged.
	 * An instance that replaces another one follows from the moment that one stops to, which is at the end of its start when that succeeds. */
	int (*follow)(struct pbx_host *host, const char *follower, const char *pattern, pbx_event_fn fn, void *self,
		      pbx_subscription *ret_subscription);
	/* This follower is done with all events up to seq. PBX_OK, PBX_ENOENT. */
	int (*acknowledge)(pbx_subscription subscription, int64_t seq);
	/* Goes back: the next event is the first after seq that is still kept. PBX_OK, PBX_ENOENT. */
	int (*rewind)(pbx_subscription subscription, int64_t seq);

	int (*unsubscribe)(pbx_subscription subscription);          /* a follower's position is kept. PBX_OK, PBX_ENOENT */
	int (*forget)(struct pbx_host *host, const char *follower); /* and here it is not. PBX_OK */

	/* The events with from < seq (and wall_us >= since_us, when not 0), at most limit, oldest first, then done(self, PBX_OK or PBX_EIO,
	 * last seq seen). PBX_OK, PBX_ENOMEM. */
	int (*replay)(struct pbx_host *host, int64_t from, int64_t since_us, const char *pattern, uint32_t limit, pbx_event_fn fn,
		      void (*done)(void *self, int result, int64_t last_seq), void *self);

	/* Every declared event type: {"name", "owner", "help", "fields": […]}. Owned array, NULL: no memory. */
	struct pbx_json *(*types)(void);

	/* All that is kept of one call, by an index: the same as replay, quick however long the log is. PBX_OK, PBX_ENOMEM. */
	int (*replay_call)(struct pbx_host *host, const char *call_id, uint32_t limit, pbx_event_fn fn,
			   void (*done)(void *self, int result, int64_t last_seq), void *self);
};

PBX_SERVICE(pbx_bus, "pbx.bus/1")

#ifdef __cplusplus
}
#endif
