/* core/timer.c - timers in a heap, earliest first; those for the same millisecond fire in the order they were started
 *
 * The loop asks core_timer_next_ms() how long it may wait and calls core_timer_fire() when time has come. A timer that fires for the last
 * time is gone before its function runs, so the function may start another or free what the timer pointed to. */
#include "timer.h"
#include "handle.h"
#include "loop.h"
#include "owner.h"
#include <assert.h>
#include <stdlib.h>

struct timer {
	struct core_charge charge;         /* first: a timer's charge is its timer */
	uint64_t at_ms, repeat_ms, number; /* number: in order of starting */
	pbx_timer_fn fn;
	void *self;
	uint64_t id;
	uint32_t place; /* in the heap */
};

static struct {
	struct core_handles handles;
	struct timer **heap;
	uint32_t count, size;
	uint64_t numbered;
} timers = { .handles = { .kind = 'T', .free_head = UINT32_MAX } };

/* ---- the heap ---- */

static bool is_before(const struct timer *a, const struct timer *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void put(struct timer *timer, uint32_t place)
{
	timers.heap[place] = timer;
	timer->place = place;
}

static void rise(struct timer *timer, uint32_t place)
{
	while (place) {
		uint32_t parent = (place - 1) / 2;

		if (!is_before(timer, timers.heap[parent]))
			break;
		put(timers.heap[parent], place);
		place = parent;
	}
	put(timer, place);
}

static void sink(struct timer *timer, uint32_t place)
{
	for (;;) {
		uint32_t child = place * 2 + 1;

		if (child >= timers.count)
			break;
		if (child + 1 < timers.count && is_before(timers.heap[child + 1], timers.heap[child]))
			child++;
		if (!is_before(timers.heap[child], timer))
			break;
		put(timers.heap[child], place);
		place = child;
	}
	put(timer, place);
}

static int heap_add(struct timer *timer)
{
	if (timers.count == timers.size) {
		uint32_t size = timers.size ? timers.size * 2 : 64;
		struct timer **heap = realloc(timers.heap, size * sizeof *heap);

		if (!heap)
			return PBX_ENOMEM;
		timers.heap = heap;
		timers.size = size;
	}
	rise(timer, timers.count++);
	return PBX_OK;
}

static void heap_remove(struct timer *timer)
{
	uint32_t place = timer->place;
	struct timer *last = timers.heap[--timers.count];

	if (last == timer)
		return;
	if (is_before(last, timer))
		rise(last, place);
	else
		sink(last, place);
}

/* ---- timers ---- */

/* The last timer takes the memory with it. */
static void timer_free(struct timer *timer)
{
	heap_remove(timer);
	core_handle_free(&timers.handles, timer->id);
	core_charge_remove(&timer->charge);
	free(timer);
	if (timers.count)
		return;
	free(timers.heap);
	timers.heap = NULL;
	timers.size = 0;
}

static void timer_revoke(struct core_charge *charge)
{
	timer_free((struct timer *)charge);
}

int core_timer_start(struct pbx_host *owner, uint64_t after_ms, uint64_t repeat_ms, pbx_timer_fn fn, void *self, pbx_timer *ret_timer)
{
	core_assert_loop();
	assert(fn);
	struct timer *timer = calloc(1, sizeof *timer);
	if (!timer)
		return PBX_ENOMEM;

	timer->id = core_handle_new(&timers.handles, timer);
	timer->at_ms = core_now_ms() + after_ms;
	timer->repeat_ms = repeat_ms;
	timer->number = ++timers.numbered;
	timer->fn = fn;
	timer->self = self;
	if (!timer->id || heap_add(timer) != PBX_OK) {
		core_handle_free(&timers.handles, timer->id);
		free(timer);
		return PBX_ENOMEM;
	}

	core_charge_add(owner, &timer->charge, "timer", false, timer_revoke);
	if (ret_timer)
		ret_timer->id = timer->id;
	return PBX_OK;
}

int core_timer_stop(pbx_timer handle)
{
	core_assert_loop();
	struct timer *timer = core_handle_find(&timers.handles, handle.id);
	if (!timer)
		return PBX_ENOENT;
	timer_free(timer);
	return PBX_OK;
}

uint64_t core_timer_next_ms(void)
{
	return timers.count ? timers.heap[0]->at_ms : UINT64_MAX;
}

/* A repeating timer keeps its beat: beats missed while the loop was busy are left out. */
static void next_beat(struct timer *timer, uint64_t now_ms)
{
	uint64_t missed = (now_ms - timer->at_ms) / timer->repeat_ms;

	timer->at_ms += (missed + 1) * timer->repeat_ms;
	timer->number = ++timers.numbered;
	sink(timer, timer->place);
}

static void fire(struct timer *timer, uint64_t now_ms)
{
	struct pbx_host *owner = timer->charge.owner;
	pbx_timer_fn fn = timer->fn;
	void *self = timer->self;
	pbx_timer handle = { timer->id };

	if (timer->repeat_ms)
		next_beat(timer, now_ms);
	else
		timer_free(timer);
	CORE_INTO(owner, fn(self, handle));
}

void core_timer_fire(uint64_t now_ms)
{
	uint64_t newest = timers.numbered; /* what is started from here on waits for the next round */

	while (timers.count && timers.heap[0]->at_ms <= now_ms && timers.heap[0]->number <= newest)
		fire(timers.heap[0], now_ms);
}

uint32_t core_timer_count(void)
{
	return timers.count;
}

void core_timers_drop(void)
{
	assert(!timers.count);
	core_handles_fini(&timers.handles);
}

const struct pbx_timers core_timers_service = {
	.header = PBX_HEADER(struct pbx_timers),
	.start = core_timer_start,
	.stop = core_timer_stop,
};
