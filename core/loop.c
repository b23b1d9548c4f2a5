/* core/loop.c - one round after the other: what was posted, timers that are due, libuv, then waiting
 *
 * libuv runs without waiting, when it has something to do; the wait is ours, on libuv's descriptor, or the SIP stack's
 * (core_loop_set_waiter), which polls that descriptor among its own. Other threads reach the loop by posts alone: a short list under a mutex
 * and a uv_async that ends the wait. The clocks and the watchdog are in core/clock.c, the pool's jobs in core/work.c. */
#include "loop.h"
#include "io.h"
#include "loop_internal.h"
#include "owner_internal.h"
#include "timer.h"
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* In the memory of its own that core_post asks for. */
struct post {
	struct core_post_node node;
	void (*fn)(void *context, void *data);
	void *context, *data;
	void (*drop)(void *data);
};

struct queue {
	struct core_post_node *first, **end;
};

static struct {
	uv_loop_t uv;
	uv_async_t wake;
	pthread_t thread;
	core_wait_fn wait;
	void *wait_context;
	void (*last)(void);
	bool uv_ready;      /* the wait saw its descriptor ready */
	struct queue batch; /* posts of this round that have not run yet */
	uint64_t rounds;
	int busy;
	bool running;
} loop;

static atomic_bool is_open, stopping;
static pthread_mutex_t posted_lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue posted; /* under posted_lock: from here on [any] */

bool core_is_loop(void)
{
	return atomic_load(&is_open) && pthread_equal(pthread_self(), loop.thread);
}

uv_loop_t *core_loop_uv(void)
{
	return &loop.uv;
}

void core_loop_wake(void)
{
	(void)uv_async_send(&loop.wake); /* fails only when it is being closed, and then nobody is there to wake it */
}

/* ---- posts ---- */

static void queue_add(struct queue *queue, struct core_post_node *node)
{
	node->next = NULL;
	*(queue->first ? queue->end : &queue->first) = node;
	queue->end = &node->next;
}

static struct core_post_node *queue_take(struct queue *queue)
{
	struct core_post_node *node = queue->first;

	if (node)
		queue->first = node->next;
	return node;
}

static void queue_remove(struct queue *queue, const struct core_post_node *node)
{
	struct core_post_node **at = &queue->first;

	while (*at && *at != node)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = node->next;
	if (!*at)
		queue->end = at;
}

/* False: the loop is closed. */
static bool add(const struct core_post_node *as, struct core_post_node *node)
{
	(void)pthread_mutex_lock(&posted_lock);
	bool open = atomic_load(&is_open);
	if (open && !node->waits) {
		if (!posted.first && !core_is_loop()) /* the loop's own thread is awake, and looks before it waits */
			core_loop_wake();
		*node = *as;
		node->waits = true;
		queue_add(&posted, node);
	}
	(void)pthread_mutex_unlock(&posted_lock);
	return open;
}

void core_post_node(struct pbx_host *owner, struct core_post_node *node, void (*fn)(void *context), void *context)
{
	const struct core_post_node as = { .owner = owner ? owner : core_self(), .fn = fn, .context = context };

	(void)add(&as, node); /* when it is closed, nobody is left to be told */
}

void core_unpost(struct core_post_node *node)
{
	core_assert_loop();
	(void)pthread_mutex_lock(&posted_lock);
	if (node->waits) {
		queue_remove(&loop.batch, node);
		queue_remove(&posted, node);
		node->waits = false;
	}
	(void)pthread_mutex_unlock(&posted_lock);
}

static void on_post(void *context)
{
	struct post *post = context;

	post->fn(post->context, post->data);
	free(post);
}

static void drop_post(void *context)
{
	struct post *post = context;

	if (post->drop)
		post->drop(post->data);
	free(post);
}

int core_post(struct pbx_host *owner, void (*fn)(void *context, void *data), void *context, void *data, void (*drop)(void *data))
{
	struct post *post = malloc(sizeof *post);

	if (!post)
		return PBX_ENOMEM;
	const struct core_post_node as = { .owner = owner ? owner : core_self(), .fn = on_post, .drop = drop_post, .context = post };

	*post = (struct post){ .fn = fn, .context = context, .data = data, .drop = drop };
	if (add(&as, &post->node))
		return PBX_OK;
	free(post);
	return PBX_ESTATE;
}

/* As it was asked for: from here on it may be asked for again, by any thread. False: the queue is empty. */
static bool take(struct queue *queue, struct core_post_node *ret_post)
{
	(void)pthread_mutex_lock(&posted_lock);
	struct core_post_node *node = queue_take(queue);
	if (node) {
		*ret_post = *node;
		node->waits = false;
	}
	(void)pthread_mutex_unlock(&posted_lock);
	return node;
}

static void drop(const struct core_post_node *post)
{
	if (post->drop)
		post->drop(post->context);
}

static void run(const struct core_post_node *post)
{
	if (core_owner_of(post->owner)->stopped)
		drop(post);
	else
		CORE_INTO(post->owner, post->fn(post->context));
}

/* What a callback posts runs in the next round, so that the rest of the world gets its turn. */
static void run_posts(void)
{
	struct core_post_node post;

	(void)pthread_mutex_lock(&posted_lock);
	loop.batch = posted;
	posted.first = NULL;
	(void)pthread_mutex_unlock(&posted_lock);

	while (take(&loop.batch, &post))
		run(&post);
}

static bool has_posts(void)
{
	(void)pthread_mutex_lock(&posted_lock);
	bool some = posted.first;
	(void)pthread_mutex_unlock(&posted_lock);
	return some;
}

/* Moves an owner's posts (all, when owner is NULL) from one queue to another. */
static void sort_out(struct queue *from, const struct pbx_host *owner, struct queue *to)
{
	struct queue kept = { 0 };

	for (struct core_post_node *node; (node = queue_take(from));)
		queue_add(!owner || node->owner == owner ? to : &kept, node);
	*from = kept;
}

void core_posts_drop(struct pbx_host *owner)
{
	struct queue dropped = { 0 };
	struct core_post_node post;

	(void)pthread_mutex_lock(&posted_lock);
	sort_out(&loop.batch, owner, &dropped);
	sort_out(&posted, owner, &dropped);
	(void)pthread_mutex_unlock(&posted_lock);

	while (take(&dropped, &post))
		drop(&post);
}

/* ---- rounds ---- */

static void on_wake(uv_async_t *wake)
{
	(void)wake; /* to end the wait was all */
}

static bool wait_on_uv(void *context, int timeout_ms)
{
	struct pollfd fd = { .fd = uv_backend_fd(&loop.uv), .events = POLLIN };

	(void)context;
	return poll(&fd, 1, timeout_ms) > 0; /* a signal ends it early: then the round is short */
}

void core_loop_set_waiter(core_wait_fn wait, void *context)
{
	loop.wait = wait ? wait : wait_on_uv;
	loop.wait_context = context;
}

void core_loop_set_last(void (*last)(void))
{
	loop.last = last;
}

/* How long nothing can happen but by a descriptor: -1 for ever. */
static int quiet_ms(void)
{
	if (has_posts() || atomic_load(&stopping))
		return 0;
	int uv_ms = uv_backend_timeout(&loop.uv);
	uint64_t next_ms = core_timer_next_ms();
	uint64_t now_ms = core_now_us() / 1000;
	if (next_ms == UINT64_MAX || (core_clock_is_virtual() && next_ms > now_ms))
		return uv_ms;

	uint64_t left_ms = next_ms > now_ms ? next_ms - now_ms : 0;
	if (left_ms > 3600000)
		left_ms = 3600000;
	return uv_ms >= 0 && (uint64_t)uv_ms < left_ms ? uv_ms : (int)left_ms;
}

/* Most rounds are the SIP stack's: then libuv is spared a system call that finds nothing. Its backend's timeout is 0 when it has work that no
 * descriptor tells of. */
static void run_uv(void)
{
	uv_update_time(&loop.uv);
	if (!loop.uv_ready && uv_backend_timeout(&loop.uv) != 0)
		return;
	loop.uv_ready = false;
	CORE_INTO(core_self(), uv_run(&loop.uv, UV_RUN_NOWAIT));
}

static void work_off(void)
{
	core_clock_update();
	loop.rounds++;
	run_posts();
	run_uv(); /* before the timers: what has come while we could not run is not late */
	core_timer_fire(core_now_ms());
	if (loop.last)
		CORE_INTO(core_self(), loop.last());
}

#define SETTLE_MS 5 /* what is under way may end without waking us, as commands do that nobody waits for */

/* The SIP stack calls back from within its wait: there the round's time is that of the call. */
static void wait_at_most(int timeout_ms)
{
	core_clock_waits(true);
	loop.uv_ready = loop.wait(loop.wait_context, timeout_ms);
	core_clock_waits(false);
}

static void round_at_most(int most_ms)
{
	work_off();
	int timeout_ms = quiet_ms();
	if (most_ms >= 0 && (timeout_ms < 0 || timeout_ms > most_ms))
		timeout_ms = most_ms;
	wait_at_most(timeout_ms);
}

int core_loop_run(void)
{
	core_assert_loop();
	loop.running = true;
	while (!atomic_load(&stopping))
		round_at_most(-1);
	loop.running = false;
	atomic_store(&stopping, false);
	return PBX_OK;
}

void core_loop_stop(void)
{
	atomic_store(&stopping, true);
	(void)pthread_mutex_lock(&posted_lock);
	if (atomic_load(&is_open))
		core_loop_wake();
	(void)pthread_mutex_unlock(&posted_lock);
}

void core_loop_step(void)
{
	core_assert_loop();
	round_at_most(0);
	work_off();
}

void core_busy(int by)
{
	core_assert_loop();
	loop.busy += by;
	assert(loop.busy >= 0);
}

static bool is_ready(void)
{
	struct pollfd fd = { .fd = uv_backend_fd(&loop.uv), .events = POLLIN };

	return has_posts() || uv_backend_timeout(&loop.uv) == 0 || core_timer_next_ms() <= core_now_ms() || poll(&fd, 1, 0) > 0;
}

void core_loop_settle(void)
{
	core_assert_loop();
	do {
		work_off();
		bool must_wait = (loop.busy > 0 || core_jobs() > 0) && !is_ready();
		wait_at_most(must_wait ? SETTLE_MS : 0);
	} while (loop.busy > 0 || core_jobs() > 0 || is_ready());
}

void core_loop_pass_ms(uint64_t ms)
{
	assert(core_clock_is_virtual());
	uint64_t end_ms = core_now_ms() + ms;

	core_loop_settle();
	for (uint64_t next_ms; (next_ms = core_timer_next_ms()) <= end_ms;) {
		core_clock_set_ms(next_ms);
		core_loop_settle();
	}
	core_clock_set_ms(end_ms);
	core_loop_settle();
}

void core_loop_take_stats(struct core_loop_stats *ret_stats)
{
	*ret_stats = (struct core_loop_stats){ .rounds = loop.rounds };
	core_owner_take_worst(&ret_stats->stalls, &ret_stats->worst_us, ret_stats->worst_owner, sizeof ret_stats->worst_owner);
}

/* ---- beginning and end ---- */

int core_loop_init(bool virtual_clock)
{
	assert(!atomic_load(&is_open));
	if (uv_loop_init(&loop.uv))
		return PBX_EIO;
	if (uv_async_init(&loop.uv, &loop.wake, on_wake)) {
		(void)uv_loop_close(&loop.uv); /* nothing is in it */
		return PBX_EIO;
	}
	loop.thread = pthread_self();
	loop.rounds = 0;
	loop.uv_ready = false;
	core_loop_set_waiter(NULL, NULL);
	core_loop_set_last(NULL);
	atomic_store(&stopping, false);
	atomic_store(&is_open, true);
	(void)signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write(), not our end */

	core_owner_init(core_owner_of(core_self()), "core", NULL);
	int err = core_clock_init(virtual_clock);
	if (err != PBX_OK)
		core_loop_fini();
	return err;
}

/* Closes the door to other threads: from here on core_post refuses. */
static void close_door(void)
{
	(void)pthread_mutex_lock(&posted_lock);
	atomic_store(&is_open, false);
	uv_close((uv_handle_t *)&loop.wake, NULL);
	(void)pthread_mutex_unlock(&posted_lock);
}

void core_loop_fini(void)
{
	core_assert_loop();
	core_clock_fini();
	core_owner_revoke_all(core_owner_of(core_self()));
	while (core_jobs() > 0)
		(void)uv_run(&loop.uv, UV_RUN_ONCE);
	core_posts_drop(NULL);
	core_owner_fini(core_owner_of(core_self()));
	core_timers_drop();
	core_io_drop();

	close_door();
	(void)uv_run(&loop.uv, UV_RUN_NOWAIT);
	int left_open = uv_loop_close(&loop.uv);
	if (left_open)
		uv_print_all_handles(&loop.uv, stderr);
	assert(!left_open);
}
