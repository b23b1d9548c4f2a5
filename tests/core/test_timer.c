/* tests/core/test_timer.c - timers on a clock that moves when told */
#include "../check_main.h"
#include "loop.h"
#include "owner_internal.h"
#include "timer.h"
#include <string.h>

static char story[256];
static struct core_owner owner;

static void tell(void *self, pbx_timer timer)
{
	(void)timer;
	(void)snprintf(story + strlen(story), sizeof story - strlen(story), "%s@%llu ", (const char *)self,
		       (unsigned long long)core_now_ms() % 1000000);
}

static void setup(void)
{
	story[0] = '\0';
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	core_owner_init(&owner, "test", NULL);
}

static void teardown(void)
{
	core_owner_fini(&owner);
	ck_assert_uint_eq(core_timer_count(), 0);
	core_loop_fini();
}

static pbx_timer start(uint64_t after_ms, uint64_t repeat_ms, pbx_timer_fn fn, void *self)
{
	pbx_timer timer;

	ck_assert_int_eq(core_timer_start(&owner.host, after_ms, repeat_ms, fn, self, &timer), PBX_OK);
	return timer;
}

START_TEST(each_fires_at_its_own_time_and_equals_in_the_order_they_were_started)
{
	setup();
	(void)start(300, 0, tell, "c");
	(void)start(100, 0, tell, "a");
	(void)start(100, 0, tell, "b");
	core_loop_pass_ms(99);
	ck_assert_str_eq(story, "");
	core_loop_pass_ms(1);
	ck_assert_str_eq(story, "a@100 b@100 ");
	core_loop_pass_ms(1000);
	ck_assert_str_eq(story, "a@100 b@100 c@300 ");
	teardown();
}
END_TEST

START_TEST(a_stopped_timer_does_not_fire_and_cannot_be_stopped_again)
{
	setup();
	pbx_timer timer = start(100, 0, tell, "a");
	ck_assert_int_eq(core_timer_stop(timer), PBX_OK);
	ck_assert_int_eq(core_timer_stop(timer), PBX_ENOENT);
	ck_assert_int_eq(core_timer_stop((pbx_timer){ 0 }), PBX_ENOENT);
	core_loop_pass_ms(200);
	ck_assert_str_eq(story, "");
	teardown();
}
END_TEST

START_TEST(a_timer_that_has_fired_is_gone)
{
	setup();
	pbx_timer timer = start(10, 0, tell, "a");
	core_loop_pass_ms(10);
	ck_assert_int_eq(core_timer_stop(timer), PBX_ENOENT);
	ck_assert_uint_eq(core_timer_count(), 0);
	teardown();
}
END_TEST

START_TEST(a_repeating_timer_keeps_its_beat)
{
	setup();
	pbx_timer timer = start(5, 20, tell, "r");
	core_loop_pass_ms(50);
	ck_assert_str_eq(story, "r@5 r@25 r@45 ");
	ck_assert_int_eq(core_timer_stop(timer), PBX_OK);
	teardown();
}
END_TEST

static void stop_own(void *self, pbx_timer timer)
{
	tell(self, timer);
	ck_assert_int_eq(core_timer_stop(timer), PBX_OK);
}

START_TEST(a_repeating_timer_may_stop_itself)
{
	setup();
	(void)start(5, 5, stop_own, "r");
	core_loop_pass_ms(50);
	ck_assert_str_eq(story, "r@5 ");
	teardown();
}
END_TEST

static void start_next(void *self, pbx_timer timer)
{
	tell(self, timer);
	(void)start(0, 0, tell, "next");
	(void)start(30, 0, tell, "later");
}

START_TEST(a_callback_may_start_timers_and_they_fire_at_their_own_time)
{
	setup();
	(void)start(10, 0, start_next, "first");
	core_loop_pass_ms(100);
	ck_assert_str_eq(story, "first@10 next@10 later@40 ");
	teardown();
}
END_TEST

static void stop_other(void *self, pbx_timer timer)
{
	const pbx_timer *other = self;

	(void)timer;
	ck_assert_int_eq(core_timer_stop(*other), PBX_OK);
}

START_TEST(one_that_is_due_too_may_be_stopped_by_the_first)
{
	pbx_timer second;

	setup();
	(void)start(10, 0, stop_other, &second);
	second = start(10, 0, tell, "second");
	core_loop_pass_ms(20);
	ck_assert_str_eq(story, "");
	teardown();
}
END_TEST

START_TEST(timers_leave_with_their_owner)
{
	struct core_owner other;

	setup();
	core_owner_init(&other, "other", NULL);
	ck_assert_int_eq(core_timer_start(&other.host, 10, 10, tell, "other", NULL), PBX_OK);
	(void)start(20, 0, tell, "mine");
	core_owner_fini(&other);
	core_loop_pass_ms(100);
	ck_assert_str_eq(story, "mine@20 ");
	teardown();
}
END_TEST

/* Against a simple model: 2,000 timers, a third of them stopped, fire in the order of a sorted list. */
static uint64_t last_at_ms;
static uint32_t fired;

static void check_order(void *self, pbx_timer timer)
{
	(void)timer;
	ck_assert_uint_eq((uint64_t)(uintptr_t)self, core_now_ms());
	ck_assert_uint_ge(core_now_ms(), last_at_ms);
	last_at_ms = core_now_ms();
	fired++;
}

START_TEST(the_heap_holds_under_many_starts_and_stops)
{
	static pbx_timer timers[2000];
	uint32_t seed = 12345, stopped = 0;

	setup();
	for (int i = 0; i < 2000; i++) {
		seed = seed * 1664525u + 1013904223u;
		uint64_t after_ms = seed >> 20;

		timers[i] = start(after_ms, 0, check_order, (void *)(uintptr_t)(core_now_ms() + after_ms));
		if (i % 3 == 2) {
			ck_assert_int_eq(core_timer_stop(timers[i - (int)(seed % 3)]), PBX_OK);
			stopped++;
		}
	}
	core_loop_pass_ms(5000);
	ck_assert_uint_eq(fired, 2000 - stopped);
	teardown();
}
END_TEST

CHECK_MAIN("timer", each_fires_at_its_own_time_and_equals_in_the_order_they_were_started,
	   a_stopped_timer_does_not_fire_and_cannot_be_stopped_again, a_timer_that_has_fired_is_gone, a_repeating_timer_keeps_its_beat,
	   a_repeating_timer_may_stop_itself, a_callback_may_start_timers_and_they_fire_at_their_own_time,
	   one_that_is_due_too_may_be_stopped_by_the_first, timers_leave_with_their_owner, the_heap_holds_under_many_starts_and_stops)
