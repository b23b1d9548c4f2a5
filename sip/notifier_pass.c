/*
 * notifier_pass.c - the pass that tells everybody, and who waits in line for it
 *
 * A change costs a mark; the pass runs once after the present callback, so a burst of changes is one document for all who see the same. Who has been told
 * less than throttle_ms ago, or has not answered yet, is told later, and then the state as it is by then. A pass sends MOST_SENT NOTIFYs and leaves the
 * rest of the line to the next, so that calls do not wait behind a thousand lamps.
 */
#include "notifier_internal.h"
#include "loop.h"
#include "timer.h"

#define THROTTLE_MS 100u
#define MOST_SENT 50u /* some 3 ms of the loop's time */

/* ---- the pass ------------------------------------------------------------------------- */

static void mark_points(void)
{
	struct ua_state *state;

	while ((state = ua_notifier.first_dirty) != NULL) {
		ua_notifier.first_dirty = state->next_dirty;
		state->dirty = false;
		for (struct ua_point *point = state->points; point; point = point->next) {
			point->dirty = true;
			ua_watch_want(point->watch, false);
		}
		ua_state_free_when_alone(state);
	}
}

static void pass_run(void);

static void on_timer(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	ua_notifier.timer = (pbx_timer){ 0 };
	pass_run();
}

static void arm_timer(uint64_t at_ms)
{
	uint64_t now_ms = core_now_ms();

	if (ua_notifier.timer.id && ua_notifier.timer_at_ms <= at_ms)
		return;
	(void)core_timer_stop(ua_notifier.timer); /* a first one has none */
	ua_notifier.timer_at_ms = at_ms;
	if (core_timer_start(ua_notifier.ua->host, at_ms > now_ms ? at_ms - now_ms : 0, 0, on_timer, NULL, &ua_notifier.timer) != PBX_OK)
		pbx_warn(ua_notifier.ua->host, "lamps_late", "reason=no_memory");
}

static void join_line(struct ua_watch *watch)
{
	watch->pending = true;
	watch->next_pending = NULL;
	if (ua_notifier.last_pending)
		ua_notifier.last_pending->next_pending = watch;
	else
		ua_notifier.first_pending = watch;
	ua_notifier.last_pending = watch;
	ua_notifier.pending_count++;
}

/* NULL: nobody waits. */
static struct ua_watch *take_first(void)
{
	struct ua_watch *watch = ua_notifier.first_pending;

	if (!watch)
		return NULL;
	ua_notifier.first_pending = watch->next_pending;
	if (!ua_notifier.first_pending)
		ua_notifier.last_pending = NULL;
	watch->pending = false;
	ua_notifier.pending_count--;
	return watch;
}

void ua_watch_leave_line(struct ua_watch *watch)
{
	struct ua_watch **at = &ua_notifier.first_pending, *before = NULL;

	if (!watch->pending)
		return;
	for (; *at != watch; at = &(*at)->next_pending)
		before = *at;
	*at = watch->next_pending;
	if (ua_notifier.last_pending == watch)
		ua_notifier.last_pending = before;
	watch->pending = false;
	ua_notifier.pending_count--;
}

static uint32_t throttle_of(const struct ua_watch *watch)
{
	return watch->package->offer.throttle_ms ? watch->package->offer.throttle_ms : THROTTLE_MS;
}

/* Everybody in line once, as far as one pass goes. Who must wait joins it again; the timer is set for the first of them. */
static void pass_run(void)
{
	uint64_t now_ms = core_now_ms(), next_at_ms = UINT64_MAX;
	uint32_t sent = 0;

	ua_notifier.pass++;
	ua_notifier.in_pass = true;
	mark_points();
	for (uint32_t left = ua_notifier.pending_count; left > 0 && sent < MOST_SENT; left--) {
		struct ua_watch *watch = take_first();

		if (!watch)
			break; /* the plugin has ended some of them meanwhile */
		if (watch->out)
			continue; /* its answer brings it back */
		if (watch->next_at_ms > now_ms) {
			next_at_ms = watch->next_at_ms < next_at_ms ? watch->next_at_ms : next_at_ms;
			join_line(watch);
			continue;
		}
		watch->next_at_ms = now_ms + throttle_of(watch);
		sent += ua_notify(watch, NULL); /* without memory the next change tells */
	}
	ua_documents_forget();
	ua_notifier.in_pass = false;
	if (sent == MOST_SENT)
		ua_pass_want();
	if (next_at_ms != UINT64_MAX)
		arm_timer(next_at_ms);
}

static void on_pass(void *context)
{
	(void)context;
	pass_run();
}

void ua_pass_want(void)
{
	if (ua_notifier.open)
		core_post_node(ua_notifier.ua->host, &ua_notifier.pass_due, on_pass, NULL);
}

void ua_notifier_open(void)
{
	ua_notifier.open = true;
	ua_pass_want();
}

void ua_watch_want(struct ua_watch *watch, bool full)
{
	watch->full = watch->full || full;
	if (full)
		for (uint32_t i = 0; i < watch->point_count; i++) {
			watch->points[i].dirty = true;
			watch->points[i].stamp = 0;
		}
	if (watch->pending || watch->out || !watch->package->charge.owner || !watch->points)
		return; /* without points: a list that nobody has set since the start */
	join_line(watch);
	if (!ua_notifier.in_pass)
		ua_pass_want();
}

void ua_pass_stop(void)
{
	while (ua_notifier.first_dirty) {
		struct ua_state *state = ua_notifier.first_dirty;

		ua_notifier.first_dirty = state->next_dirty;
		state->dirty = false;
		ua_state_free_when_alone(state);
	}
	core_unpost(&ua_notifier.pass_due);
	(void)core_timer_stop(ua_notifier.timer); /* most often there is none */
}
