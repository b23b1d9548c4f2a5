/*
 * bus_follow.c - followers miss nothing, and replay looks back
 *
 * A follower has a place in the log that outlives it and us: it is done with everything up to `acked`. From there it is
 * shown what is safely stored, from memory when it keeps up, else from the table in windows, never more than BUS_WINDOW
 * events ahead of what it has acknowledged. Its place is written as a record, one write at a time. What does not match
 * its pattern moves its place too, so that a follower of something rare does not begin years ago.
 */
#include <string.h>
#include "bus_internal.h"
#include "log.h"
#include "loop.h"
#include "store_engine.h"
#include "timer.h"

#define SAVE_SKIPPED 1000 /* events that did not match, after which its place is written */
#define READ_AGAIN_MS 1000u

/* What the log remembers of a name; with a subscription while somebody follows. */
struct bus_follower {
	struct bus_follower *next;
	char *owner, *name;
	int64_t acked, saved;
	bool has_place; /* else it begins with what is stored when the numbers are known */
	bool saving, forgotten;
	bool orphaned;                         /* the bus has ended while its place was being written */
	struct bus_subscription *subscription; /* NULL: nobody follows now */
	struct bus_subscription *successor;    /* of an instance that starts, until that one lets go; NULL: none waits */
	int64_t successor_from;                /* where it has rewound to; -1: it has not */
	int64_t sent;                          /* the last one shown, or passed over */
	int64_t out[BUS_WINDOW];               /* shown and not acknowledged: a ring */
	uint32_t out_first, out_count;
	bool reading;        /* a window has been asked for */
	uint64_t generation; /* a rewind or another subscription makes old answers void */
};

static struct {
	struct bus_follower *followers;
	bool pumping, waits_for_store;
	struct core_post_node waking;
	pbx_timer again;
	bool timing;
} follow;

static void wake(void);
static void wake_later(void);

/* ---- places ---- */

static struct bus_follower *follower_find(const char *owner, const char *name)
{
	for (struct bus_follower *follower = follow.followers; follower; follower = follower->next)
		if (!follower->forgotten && strcmp(follower->owner, owner) == 0 && strcmp(follower->name, name) == 0)
			return follower;
	return NULL;
}

static void follower_free(struct bus_follower *follower)
{
	struct bus_follower **at = &follow.followers;

	while (*at && *at != follower)
		at = &(*at)->next;
	if (*at)
		*at = follower->next;
	free(follower->owner);
	free(follower->name);
	free(follower);
}

static struct bus_follower *follower_new(const char *owner, const char *name)
{
	struct bus_follower *follower = calloc(1, sizeof *follower);

	if (!follower)
		return NULL;
	follower->next = follow.followers;
	follow.followers = follower;
	follower->owner = strdup(owner);
	follower->name = strdup(name);
	if (follower->owner && follower->name)
		return follower;
	follower_free(follower);
	return NULL;
}

/* Frees what is forgotten, once nothing more comes back to it. */
static void sweep(void)
{
	for (struct bus_follower *follower = follow.followers, *next; follower && !follow.pumping; follower = next) {
		next = follower->next;
		if (follower->forgotten && !follower->saving)
			follower_free(follower);
	}
}

static void save(struct bus_follower *follower);

static void on_saved(void *self, const struct pbx_rows *rows)
{
	struct bus_follower *follower = self;

	follower->saving = false;
	if (follower->orphaned) {
		follower_free(follower);
		return;
	}
	if (follower->forgotten) {
		sweep();
		return;
	}
	if (rows->status != PBX_OK)
		follower->saved = -1; /* the next acknowledgement tries again */
	else if (follower->saved != follower->acked)
		save(follower);
}

static void save(struct bus_follower *follower)
{
	const struct pbx_value params[] = { pbx_v_text(follower->owner), pbx_v_text(follower->name), PBX_V_INT(follower->acked),
					    PBX_V_INT(core_wall_us()) };

	if (follower->saving || !follower->has_place)
		return;
	follower->saved = follower->acked;
	follower->saving = core_store_record(core_self(),
					     "INSERT INTO event_followers (owner, name, seq, updated_at) VALUES ($1, $2, $3, $4) "
					     "ON CONFLICT (owner, name) DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at",
					     params, 4, on_saved, follower) == PBX_OK;
	if (!follower->saving)
		follower->saved = -1;
}

void bus_follow_load(const struct pbx_rows *rows)
{
	for (uint32_t i = 0; i < rows->count; i++) {
		const char *owner = pbx_cell_text(rows, i, 0), *name = pbx_cell_text(rows, i, 1);
		struct bus_follower *follower = follower_find(owner, name);

		if (!follower)
			follower = follower_new(owner, name);
		if (!follower) {
			core_log(PBX_LOG_ERROR, "core", NULL, "follower_lost", "owner=%s name=%s reason=\"no memory\"", owner, name);
			continue;
		}
		if (follower->has_place)
			continue;
		follower->has_place = true;
		follower->acked = follower->saved = follower->sent = pbx_cell_int(rows, i, 2);
	}
}

/* ---- showing ---- */

static void idle_advance(struct bus_follower *follower)
{
	if (follower->out_count == 0 && follower->acked < follower->sent)
		follower->acked = follower->sent;
	if (follower->acked - follower->saved >= SAVE_SKIPPED)
		save(follower);
}

/* False: it has ended, or its window is full. */
static bool show(struct bus_follower *follower, struct bus_event *event)
{
	struct bus_subscription *subscription = follower->subscription;
	uint64_t generation = follower->generation;

	follower->sent = event->event.seq;
	if (!bus_wants(subscription, event))
		return true;
	follower->out[(follower->out_first + follower->out_count++) % BUS_WINDOW] = event->event.seq;
	(void)bus_event_ref(event);
	CORE_INTO(subscription->owner, subscription->fn(subscription->self, &event->event));
	bus_event_unref(event);
	return follower->generation == generation && follower->out_count < BUS_WINDOW;
}

/* An answer comes back to a name, not to a follower: it may have been forgotten meanwhile. */
struct reading {
	uint64_t generation;
	int64_t stored_seq; /* what was stored when it was asked for */
	struct bus_follower *follower;
};

static bool is_current(const struct reading *reading)
{
	for (const struct bus_follower *follower = follow.followers; follower; follower = follower->next)
		if (follower == reading->follower)
			return follower->subscription && follower->generation == reading->generation;
	return false;
}

static void show_rows(struct bus_follower *follower, const struct pbx_rows *rows, int64_t stored_seq)
{
	bool more = true;

	for (uint32_t i = 0; i < rows->count && more; i++) {
		struct bus_event *event = bus_log_event(rows, i);

		if (!event || event->event.seq > stored_seq) {
			bus_event_unref(event);
			return;
		}
		more = show(follower, event);
		bus_event_unref(event);
	}
	if (rows->count == 0 && follower->sent < stored_seq)
		follower->sent = stored_seq; /* what was there has been forgotten */
}

static void on_window(void *self, const struct pbx_rows *rows)
{
	struct reading *reading = self;
	struct bus_follower *follower = reading->follower;

	if (is_current(reading)) {
		follower->reading = false;
		if (rows->status == PBX_OK)
			show_rows(follower, rows, reading->stored_seq);
		if (rows->status == PBX_OK)
			wake();
		else
			wake_later();
	}
	free(reading);
}

static void read_window(struct bus_follower *follower)
{
	struct reading *reading = calloc(1, sizeof *reading);

	if (reading)
		*reading = (struct reading){ follower->generation, bus_log_stored_seq(), follower };
	if (!reading || bus_log_read(core_self(), follower->sent, 0, on_window, reading) != PBX_OK) {
		free(reading);
		wake_later();
		return;
	}
	follower->reading = true;
}

static void on_whole(void *context)
{
	(void)context;
	follow.waits_for_store = false;
	wake();
}

/* From memory while it keeps up. A window is read only when half of what it may hold is free, and when the table has everything. */
static void pump(struct bus_follower *follower)
{
	while (follower->subscription && follower->has_place && !follower->reading && follower->out_count < BUS_WINDOW &&
	       follower->sent < bus_log_stored_seq()) {
		struct bus_event *event = bus_log_recent(follower->sent + 1);

		if (event) {
			if (!show(follower, event))
				return;
			continue;
		}
		if (follower->out_count > BUS_WINDOW / 2)
			return;
		if (store_has_everything()) {
			read_window(follower);
		} else if (!follow.waits_for_store) {
			follow.waits_for_store = store_when_whole(on_whole, NULL) == PBX_OK;
		}
		return;
	}
}

/* Callbacks may follow and forget: a name that is forgotten stays in the list until we are through. */
static void on_wake(void *context)
{
	(void)context;
	follow.pumping = true;
	for (struct bus_follower *follower = follow.followers; follower; follower = follower->next) {
		if (follower->forgotten || !follower->subscription)
			continue;
		pump(follower);
		idle_advance(follower);
	}
	follow.pumping = false;
	sweep();
}

static void wake(void)
{
	core_post_node(core_self(), &follow.waking, on_wake, NULL);
}

static void on_again(void *self, pbx_timer timer)
{
	(void)self;
	(void)timer;
	follow.timing = false;
	wake();
}

static void wake_later(void)
{
	if (!follow.timing)
		follow.timing = core_timer_start(core_self(), READ_AGAIN_MS, 0, on_again, NULL, &follow.again) == PBX_OK;
}

void bus_follow_stored(void)
{
	for (struct bus_follower *follower = follow.followers; follower; follower = follower->next) {
		if (!follower->has_place && bus_log_has_numbers()) {
			follower->has_place = true;
			follower->acked = follower->sent = bus_log_stored_seq();
			save(follower);
		}
		if (follower->subscription && follower->sent < bus_log_stored_seq())
			wake();
	}
}

/* ---- what a follower does ---- */

static void begin_at(struct bus_follower *follower, int64_t seq)
{
	follower->generation++;
	follower->reading = false;
	follower->sent = seq;
	follower->out_first = follower->out_count = 0;
}

/* Makes room for who follows next. An instance that replaces another waits until that one lets go, which is in the callback of its start
 * when the start succeeds; for the rest, the latest counts. */
static void leave_to(struct bus_follower *follower, const struct pbx_host *host)
{
	if (follower->successor)
		bus_subscription_remove(follower->successor);
	if (follower->subscription && follower->subscription->owner == host)
		bus_subscription_remove(follower->subscription);
}

int bus_follow(struct pbx_host *host, const char *name, const char *pattern, pbx_event_fn fn, void *self,
	       pbx_subscription *ret_subscription)
{
	struct bus_subscription *subscription;
	struct bus_follower *follower = follower_find(core_owner_name(host), name);

	if (!follower)
		follower = follower_new(core_owner_name(host), name);
	if (!follower)
		return PBX_ENOMEM;

	int err = bus_subscription_add(host, pattern, fn, self, &subscription);
	if (err != PBX_OK)
		return err;

	leave_to(follower, host);
	subscription->follower = follower;
	*ret_subscription = (pbx_subscription){ subscription->id };
	if (follower->subscription) {
		follower->successor = subscription;
		follower->successor_from = -1;
		return PBX_OK;
	}
	follower->subscription = subscription;
	begin_at(follower, follower->acked);
	bus_follow_stored();
	return PBX_OK;
}

void bus_follow_end(struct bus_subscription *subscription)
{
	struct bus_follower *follower = subscription->follower;

	if (follower->successor == subscription) { /* its start has failed: who follows has noticed nothing */
		follower->successor = NULL;
		return;
	}
	idle_advance(follower);
	follower->subscription = TAKE(follower->successor);
	if (follower->subscription && follower->successor_from >= 0)
		follower->acked = follower->successor_from;
	begin_at(follower, follower->acked);
	if (follower->acked != follower->saved)
		save(follower);
	if (follower->subscription)
		bus_follow_stored();
}

int bus_acknowledge(pbx_subscription handle, int64_t seq)
{
	struct bus_subscription *subscription = bus_subscription_find(handle);
	struct bus_follower *follower = subscription ? subscription->follower : NULL;

	if (!follower)
		return PBX_ENOENT;
	if (seq > follower->sent)
		seq = follower->sent;
	while (follower->out_count && follower->out[follower->out_first] <= seq) {
		follower->out_first = (follower->out_first + 1) % BUS_WINDOW;
		follower->out_count--;
	}
	if (seq <= follower->acked)
		return PBX_OK;
	follower->acked = seq;
	save(follower);
	wake();
	return PBX_OK;
}

int bus_rewind(pbx_subscription handle, int64_t seq)
{
	struct bus_subscription *subscription = bus_subscription_find(handle);
	struct bus_follower *follower = subscription ? subscription->follower : NULL;

	if (!follower)
		return PBX_ENOENT;
	if (seq < 0)
		seq = 0;
	if (seq > bus_log_stored_seq())
		seq = bus_log_stored_seq();
	if (follower->successor == subscription) {
		follower->successor_from = seq;
		return PBX_OK;
	}
	follower->acked = seq;
	begin_at(follower, seq);
	save(follower);
	wake();
	return PBX_OK;
}

int bus_forget(struct pbx_host *host, const char *name)
{
	struct bus_follower *follower = follower_find(core_owner_name(host), name);
	const struct pbx_value params[] = { pbx_v_text(core_owner_name(host)), pbx_v_text(name) };

	if (follower) {
		if (follower->successor)
			bus_subscription_remove(follower->successor);
		if (follower->subscription)
			bus_subscription_remove(follower->subscription);
		follower->forgotten = true;
		sweep();
	}
	return core_store_record(core_self(), "DELETE FROM event_followers WHERE owner = $1 AND name = $2", params, 2, NULL, NULL);
}

uint32_t bus_follow_count(void)
{
	uint32_t count = 0;

	for (const struct bus_follower *follower = follow.followers; follower; follower = follower->next)
		count += follower->subscription != NULL;
	return count;
}

int bus_follow_init(void)
{
	memset(&follow, 0, sizeof follow);
	return PBX_OK;
}

void bus_follow_fini(void)
{
	if (follow.timing)
		(void)core_timer_stop(follow.again);
	core_unpost(&follow.waking);
	for (struct bus_follower *follower; (follower = follow.followers);) {
		follow.followers = follower->next;
		follower->orphaned = follower->saving;
		if (!follower->orphaned)
			follower_free(follower);
	}
}

/* ---- looking back ---- */

struct replay {
	struct pbx_host *owner;
	char *pattern;
	char *call_id; /* NULL: of all */
	int64_t last_seq, since_us;
	uint32_t left;
	pbx_event_fn fn;
	void (*done)(void *self, int result, int64_t last_seq);
	void *self;
};

static void replay_free(struct replay *replay)
{
	if (!replay)
		return;
	free(replay->pattern);
	free(replay->call_id);
	free(replay);
}
AUTO_FREES(replay)

static void replay_end(struct replay *replay, int result)
{
	if (result != PBX_ECANCELLED)
		CORE_INTO(replay->owner, replay->done(replay->self, result == PBX_OK ? PBX_OK : PBX_EIO, replay->last_seq));
	replay_free(replay);
}

static void on_replay_rows(void *self, const struct pbx_rows *rows);

static int replay_read(struct replay *replay)
{
	if (replay->call_id)
		return bus_log_read_call(replay->owner, replay->call_id, replay->last_seq, on_replay_rows, replay);
	return bus_log_read(replay->owner, replay->last_seq, replay->since_us, on_replay_rows, replay);
}

static void on_replay_rows(void *self, const struct pbx_rows *rows)
{
	struct replay *replay = self;
	int err = rows->status;

	for (uint32_t i = 0; err == PBX_OK && i < rows->count && replay->left > 0; i++) {
		struct bus_event *event = bus_log_event(rows, i);

		if (!event) {
			err = PBX_EIO;
			break;
		}
		replay->last_seq = event->event.seq;
		if (bus_pattern_matches(replay->pattern, event->event.type)) {
			replay->left--;
			CORE_INTO(replay->owner, replay->fn(replay->self, &event->event));
		}
		bus_event_unref(event);
	}

	bool more = err == PBX_OK && rows->count == BUS_WINDOW && replay->left > 0;

	if (more)
		err = replay_read(replay);
	if (!more || err != PBX_OK)
		replay_end(replay, err);
}

static int replay_start(struct pbx_host *host, const struct replay *wanted, const char *pattern, const char *call_id)
{
	AUTO(replay) struct replay *replay = calloc(1, sizeof *replay);

	if (!replay)
		return PBX_ENOMEM;
	*replay = *wanted;
	replay->owner = host;
	replay->pattern = strdup(pattern);
	replay->call_id = call_id ? strdup(call_id) : NULL;
	if (!replay->pattern || (call_id && !replay->call_id))
		return PBX_ENOMEM;

	int err = replay_read(replay);
	if (err == PBX_OK)
		(void)TAKE(replay);
	return err == PBX_ENOSPC ? PBX_ENOMEM : err;
}

int bus_replay(struct pbx_host *host, int64_t from, int64_t since_us, const char *pattern, uint32_t limit, pbx_event_fn fn,
	       void (*done)(void *self, int result, int64_t last_seq), void *self)
{
	const struct replay wanted = { .last_seq = from, .since_us = since_us, .left = limit, .fn = fn, .done = done, .self = self };

	return bus_pattern_is_good(pattern) ? replay_start(host, &wanted, pattern, NULL) : PBX_EINVAL;
}

int bus_replay_call(struct pbx_host *host, const char *call_id, uint32_t limit, pbx_event_fn fn,
		    void (*done)(void *self, int result, int64_t last_seq), void *self)
{
	const struct replay wanted = { .left = limit, .fn = fn, .done = done, .self = self };

	return replay_start(host, &wanted, "*", call_id);
}
