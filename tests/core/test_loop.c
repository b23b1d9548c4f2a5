/* tests/core/test_loop.c - rounds, posts from any thread, the pool, settling, the watchdog */
#include "../check_main.h"
#include "loop.h"
#include "owner_internal.h"
#include "timer.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static int count;
static struct core_owner owner;

static void setup(bool virtual_clock)
{
	ck_assert_int_eq(core_loop_init(virtual_clock), PBX_OK);
	core_owner_init(&owner, "test", &count);
}

static void teardown(void)
{
	core_owner_fini(&owner);
	core_loop_fini();
}

static void add_one(void *context, void *data)
{
	ck_assert(core_is_loop());
	(void)data;
	++*(int *)context;
}

static void dropped(void *data)
{
	++*(int *)data;
}

static void *post_many(void *unused)
{
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(core_post(&owner.host, add_one, &count, NULL, NULL), PBX_OK);
	return unused;
}

START_TEST(posts_of_many_threads_all_run_on_the_loop)
{
	pthread_t threads[4];

	setup(false);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, NULL), 0);
	while (count < 4000)
		core_loop_settle();
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(count, 4000);
	teardown();
}
END_TEST

static void post_again(void *context, void *data)
{
	(void)data;
	ck_assert_int_eq(*(int *)context, 0);
	ck_assert_int_eq(core_post(&owner.host, add_one, context, NULL, NULL), PBX_OK);
	ck_assert_int_eq(*(int *)context, 0); /* after this callback, not in it */
}

START_TEST(a_post_runs_after_the_callback_that_posted_it)
{
	setup(true);
	ck_assert_int_eq(core_post(&owner.host, post_again, &count, NULL, NULL), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(count, 1);
	teardown();
}
END_TEST

START_TEST(what_is_posted_for_a_stopped_owner_is_dropped)
{
	int drops = 0;

	setup(true);
	ck_assert_int_eq(core_post(&owner.host, add_one, &count, &drops, dropped), PBX_OK);
	core_owner_revoke_all(&owner);
	ck_assert_int_eq(drops, 1);
	ck_assert_int_eq(core_post(&owner.host, add_one, &count, &drops, dropped), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(drops, 2);
	ck_assert_int_eq(count, 0);
	teardown();
}
END_TEST

static void revoke_owner(void *context, void *data)
{
	(void)data;
	core_owner_revoke_all(context);
}

START_TEST(an_owner_stopped_by_one_post_gets_none_of_the_same_round)
{
	int drops = 0;

	setup(true);
	ck_assert_int_eq(core_post(NULL, revoke_owner, &owner, NULL, NULL), PBX_OK);
	ck_assert_int_eq(core_post(&owner.host, add_one, &count, &drops, dropped), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(count, 0);
	ck_assert_int_eq(drops, 1);
	teardown();
}
END_TEST

/* ---- posts that cannot fail ------------------------------------------------------------- */

struct node {
	struct core_post_node post;
	int runs;
};

static void run_node(void *context)
{
	struct node *node = context;

	ck_assert(core_is_loop());
	ck_assert(core_current_owner() == &owner.host);
	node->runs++;
}

static void *post_nodes(void *context)
{
	struct node *nodes = context;

	for (int i = 0; i < 1000; i++)
		core_post_node(&owner.host, &nodes[i].post, run_node, &nodes[i]);
	return NULL;
}

START_TEST(nodes_of_many_threads_run_on_the_loop_each_once)
{
	static struct node nodes[4][1000];
	pthread_t threads[4];

	setup(false);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_nodes, nodes[i]), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	core_loop_settle();
	for (int i = 0; i < 4000; i++)
		ck_assert_int_eq(nodes[i / 1000][i % 1000].runs, 1);
	teardown();
}
END_TEST

static void forbidden(void *context)
{
	(void)context;
	ck_abort();
}

START_TEST(a_node_that_waits_runs_once_as_it_was_asked_for_first)
{
	struct node node = { 0 };

	setup(true);
	core_post_node(&owner.host, &node.post, run_node, &node);
	core_post_node(&owner.host, &node.post, forbidden, NULL);
	core_loop_settle();
	ck_assert_int_eq(node.runs, 1);
	core_post_node(&owner.host, &node.post, run_node, &node);
	core_loop_settle();
	ck_assert_int_eq(node.runs, 2);
	teardown();
}
END_TEST

static void again_and_free(void *context)
{
	struct node *node = context;

	if (node->runs++ == 0) {
		core_post_node(&owner.host, &node->post, again_and_free, node);
	} else {
		count = node->runs;
		free(node);
	}
}

START_TEST(what_a_node_runs_may_ask_for_it_again_and_free_it)
{
	struct node *node = calloc(1, sizeof *node);

	setup(true);
	core_post_node(&owner.host, &node->post, again_and_free, node);
	core_loop_settle();
	ck_assert_int_eq(count, 2);
	teardown();
}
END_TEST

struct neighbours {
	struct node nodes[3];
	int taken_back;
};

/* The first takes one of the same round back, the others go on. */
static void take_back(void *context)
{
	struct neighbours *all = context;

	core_unpost(&all->nodes[all->taken_back].post);
}

START_TEST(a_node_that_is_taken_back_runs_no_more_and_the_others_do)
{
	struct core_post_node first = { 0 };

	setup(true);
	for (int which = 0; which < 3; which++) {
		struct neighbours all = { .taken_back = which };

		core_post_node(&owner.host, &first, take_back, &all);
		for (int i = 0; i < 3; i++)
			core_post_node(&owner.host, &all.nodes[i].post, run_node, &all.nodes[i]);
		core_loop_settle();
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(all.nodes[i].runs, i != which);

		for (int i = 0; i < 3; i++)
			core_post_node(&owner.host, &all.nodes[i].post, run_node, &all.nodes[i]);
		take_back(&all); /* before the round, too */
		core_post_node(&owner.host, &all.nodes[which].post, run_node, &all.nodes[which]);
		core_loop_settle();
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(all.nodes[i].runs, i == which ? 1 : 2);
	}
	teardown();
}
END_TEST

START_TEST(a_node_of_a_stopped_owner_runs_no_more)
{
	struct node node = { 0 };

	setup(true);
	core_post_node(&owner.host, &node.post, forbidden, NULL);
	core_owner_revoke_all(&owner);
	core_post_node(&owner.host, &node.post, forbidden, NULL);
	core_loop_settle();
	teardown();
	core_post_node(&owner.host, &node.post, forbidden, NULL); /* nobody is there */
}
END_TEST

/* ---- the pool --------------------------------------------------------------------------- */

struct job {
	atomic_bool go;
	bool worked, done;
	int status;
};

static void work(void *data)
{
	struct job *job = data;

	ck_assert(!core_is_loop());
	while (!atomic_load(&job->go))
		(void)usleep(1000); /* a pool thread of the test's own, until it is let go */
	job->worked = true;
}

static void worked(void *context, void *data, int status)
{
	struct job *job = data;

	ck_assert(core_is_loop());
	ck_assert_ptr_eq(context, &count);
	ck_assert(core_current_owner() == &owner.host);
	job->done = true;
	job->status = status;
}

START_TEST(settling_waits_for_the_pool)
{
	struct job job = { .go = true };

	setup(true);
	ck_assert_int_eq(core_work(&owner.host, work, worked, &count, &job), PBX_OK);
	core_loop_settle();
	ck_assert(job.worked && job.done);
	ck_assert_int_eq(job.status, PBX_OK);
	teardown();
}
END_TEST

static void is_idle(void *context)
{
	*(bool *)context = true;
}

START_TEST(work_of_a_stopped_owner_ends_as_cancelled_and_only_then_is_it_idle)
{
	struct job job = { 0 };
	bool idle = false;

	setup(true);
	ck_assert_int_eq(core_work(&owner.host, work, worked, &count, &job), PBX_OK);
	core_owner_revoke_all(&owner);
	core_owner_when_idle(&owner, is_idle, &idle);
	core_loop_step();
	ck_assert(!idle || job.done); /* cancelled before a thread took it, or still running */
	atomic_store(&job.go, true);
	core_loop_settle();
	ck_assert(idle && job.done);
	ck_assert_int_eq(job.status, PBX_ECANCELLED);
	teardown();
}
END_TEST

static void finish_busy(void *context, void *data)
{
	(void)data;
	core_busy(-1);
	*(bool *)context = true;
}

static void *finish_elsewhere(void *finished)
{
	(void)usleep(20000); /* long enough that a settle that did not wait would have returned */
	ck_assert_int_eq(core_post(NULL, finish_busy, finished, NULL, NULL), PBX_OK);
	return NULL;
}

START_TEST(settling_waits_for_what_is_under_way_outside_without_spinning)
{
	struct core_loop_stats before, after;
	pthread_t thread;
	bool finished = false;

	setup(true);
	core_loop_take_stats(&before);
	core_busy(1);
	ck_assert_int_eq(pthread_create(&thread, NULL, finish_elsewhere, &finished), 0);
	core_loop_settle();
	ck_assert(finished);
	core_loop_take_stats(&after);
	ck_assert_uint_lt(after.rounds - before.rounds, 20);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	teardown();
}
END_TEST

static void stop_loop(void *self, pbx_timer timer)
{
	(void)self;
	(void)timer;
	core_loop_stop();
}

START_TEST(run_lasts_until_stop_and_fires_timers_on_the_real_clock)
{
	setup(false);
	uint64_t begun_ms = core_now_ms();
	ck_assert_int_eq(core_timer_start(&owner.host, 30, 0, stop_loop, NULL, NULL), PBX_OK);
	ck_assert_int_eq(core_loop_run(), PBX_OK);
	ck_assert_uint_ge(core_now_ms(), begun_ms + 30);
	teardown();
}
END_TEST

static void *stop_elsewhere(void *unused)
{
	core_loop_stop();
	return unused;
}

START_TEST(any_thread_may_stop_the_loop)
{
	pthread_t thread;

	setup(false);
	ck_assert_int_eq(pthread_create(&thread, NULL, stop_elsewhere, NULL), 0);
	ck_assert_int_eq(core_loop_run(), PBX_OK);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	teardown();
}
END_TEST

static bool own_wait(void *context, int timeout_ms)
{
	++*(int *)context;
	ck_assert_int_le(timeout_ms, 30);
	(void)usleep((useconds_t)timeout_ms * 1000);
	return false;
}

START_TEST(a_waiter_waits_no_longer_than_until_the_next_timer)
{
	int waits = 0;

	setup(false);
	core_loop_set_waiter(own_wait, &waits);
	ck_assert_int_eq(core_timer_start(&owner.host, 30, 0, stop_loop, NULL, NULL), PBX_OK);
	ck_assert_int_eq(core_loop_run(), PBX_OK);
	ck_assert_int_ge(waits, 1);
	teardown();
}
END_TEST

static bool call_back_late(void *context, int timeout_ms)
{
	uint64_t before_ms = core_now_ms();

	(void)timeout_ms;
	(void)usleep(20000); /* a wait, at whose end the waiter calls back */
	ck_assert_uint_ge(core_now_ms(), before_ms + 19);
	*(bool *)context = true;
	return false;
}

static int called_last, posts_run;

static void count_last(void)
{
	ck_assert_int_eq(posts_run, 1);
	called_last++;
}

static void count_post(void *context, void *data)
{
	(void)context, (void)data;
	posts_run++;
}

START_TEST(what_is_called_last_comes_after_the_callbacks_of_the_round)
{
	setup(false);
	core_loop_set_last(count_last);
	ck_assert_int_eq(core_post(&owner.host, count_post, NULL, NULL, NULL), PBX_OK);
	core_loop_step();
	ck_assert_int_ge(called_last, 1);
	teardown();
}
END_TEST

static bool sees_nothing(void *context, int timeout_ms)
{
	(void)context, (void)timeout_ms;
	return false;
}

static void on_async(uv_async_t *async)
{
	*(bool *)async->data = true;
}

START_TEST(libuv_runs_when_the_waiter_has_seen_its_descriptor_or_it_has_work_of_its_own)
{
	bool woken = false;
	uv_async_t async = { .data = &woken };

	setup(false);
	ck_assert_int_eq(uv_async_init(core_loop_uv(), &async, on_async), 0);
	core_loop_step();
	core_loop_set_waiter(sees_nothing, NULL);
	core_loop_step();
	ck_assert_int_eq(uv_async_send(&async), 0);
	core_loop_step();
	ck_assert(!woken);
	core_loop_set_waiter(NULL, NULL);
	core_loop_step();
	ck_assert(woken);
	uv_close((uv_handle_t *)&async, NULL); /* no descriptor tells of it */
	core_loop_step();
	teardown();
}
END_TEST

START_TEST(what_a_waiter_calls_sees_the_time_after_the_wait)
{
	bool called = false;

	setup(false);
	core_loop_set_waiter(call_back_late, &called);
	core_loop_step();
	ck_assert(called);
	teardown();
}
END_TEST

START_TEST(a_virtual_clock_begins_on_a_monday_and_stands_still)
{
	setup(true);
	ck_assert_int_eq(core_wall_us(), 1767603600000000);
	uint64_t begun_ms = core_now_ms();
	core_loop_step();
	ck_assert_uint_eq(core_now_ms(), begun_ms);
	core_loop_pass_ms(90000);
	ck_assert_uint_eq(core_now_ms(), begun_ms + 90000);
	ck_assert_int_eq(core_wall_us(), 1767603690000000);
	teardown();
}
END_TEST

START_TEST(ulids_rise_within_and_over_milliseconds)
{
	char last[27] = "", next[27];

	setup(true);
	for (int i = 0; i < 10000; i++) {
		core_ulid(next);
		ck_assert_uint_eq(strspn(next, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
		ck_assert_str_gt(next, last);
		memcpy(last, next, sizeof last);
		if (i % 1000 == 0)
			core_loop_pass_ms(1);
	}
	ck_assert_int_eq(strncmp(next, "01KE6X", 4), 0); /* January 2026 */
	teardown();
}
END_TEST

/* ---- what a slow callback says ---- */

static char *read_all(int fd)
{
	static char text[8192];
	ssize_t got = read(fd, text, sizeof text - 1);

	text[got > 0 ? got : 0] = '\0';
	return text;
}

/* From here on stderr is a pipe that is read here. */
static int catch_stderr(int *ret_saved)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	*ret_saved = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
	ck_assert_int_eq(close(ends[1]), 0);
	return ends[0];
}

static void give_back(int saved, int caught)
{
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	ck_assert_int_eq(close(saved), 0);
	ck_assert_int_eq(close(caught), 0);
}

static void dawdle(void *context, void *data)
{
	(void)data;
	(void)usleep(*(useconds_t *)context);
}

START_TEST(a_slow_callback_is_named_afterwards_and_counted)
{
	struct core_loop_stats stats;
	useconds_t for_us = 60000;
	int saved;

	setup(true);
	int caught = catch_stderr(&saved);
	ck_assert_int_eq(core_post(&owner.host, dawdle, &for_us, NULL, NULL), PBX_OK);
	core_loop_settle();
	ck_assert_ptr_nonnull(strstr(read_all(caught), "warn core - loop_stalled owner=test ms="));
	give_back(saved, caught);
	core_loop_take_stats(&stats);
	ck_assert_uint_eq(stats.stalls, 1);
	ck_assert_str_eq(stats.worst_owner, "test");
	ck_assert_uint_ge(stats.worst_us, 60000);
	core_loop_take_stats(&stats);
	ck_assert_uint_eq(stats.worst_us, 0);
	teardown();
}
END_TEST

static void hang_until_named(void *context, void *data)
{
	int *caught = data;

	const char *said = read_all(*caught); /* waits for the line */

	ck_assert_msg(strstr(said, "error core - loop_hangs owner=test ms="), "%s", said);
	*(bool *)context = true;
}

START_TEST(a_callback_that_hangs_is_named_while_it_hangs)
{
	bool named = false;
	int saved;

	setup(false);
	int caught = catch_stderr(&saved);
	ck_assert_int_eq(core_post(&owner.host, hang_until_named, &named, &caught, NULL), PBX_OK);
	core_loop_settle();
	give_back(saved, caught);
	ck_assert(named);
	teardown();
}
END_TEST

CHECK_MAIN("loop", posts_of_many_threads_all_run_on_the_loop, a_post_runs_after_the_callback_that_posted_it,
	   what_is_posted_for_a_stopped_owner_is_dropped, an_owner_stopped_by_one_post_gets_none_of_the_same_round,
	   nodes_of_many_threads_run_on_the_loop_each_once, a_node_that_waits_runs_once_as_it_was_asked_for_first,
	   what_a_node_runs_may_ask_for_it_again_and_free_it, a_node_that_is_taken_back_runs_no_more_and_the_others_do,
	   a_node_of_a_stopped_owner_runs_no_more, settling_waits_for_the_pool,
	   work_of_a_stopped_owner_ends_as_cancelled_and_only_then_is_it_idle,
	   settling_waits_for_what_is_under_way_outside_without_spinning, run_lasts_until_stop_and_fires_timers_on_the_real_clock,
	   any_thread_may_stop_the_loop, a_waiter_waits_no_longer_than_until_the_next_timer,
	   what_a_waiter_calls_sees_the_time_after_the_wait, what_is_called_last_comes_after_the_callbacks_of_the_round,
	   libuv_runs_when_the_waiter_has_seen_its_descriptor_or_it_has_work_of_its_own,
	   a_virtual_clock_begins_on_a_monday_and_stands_still, ulids_rise_within_and_over_milliseconds,
	   a_slow_callback_is_named_afterwards_and_counted, a_callback_that_hangs_is_named_while_it_hangs)
