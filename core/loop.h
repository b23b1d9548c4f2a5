/* core/loop.h - the one thread that owns calls: libuv, deferred calls, timers' clock, work pool, watchdog
 *
 * There is one loop in a process; init makes it, fini frees it. libuv is driven by hand, so that the SIP stack can wait on the
 * same thread (core_loop_set_waiter). With a virtual clock, time stands still until core_loop_pass_ms moves it: tests use it. */
#pragma once
#include <pbx/plugin.h>
#include <uv.h>

int core_loop_init(bool virtual_clock); /* the calling thread becomes the loop thread. PBX_OK, PBX_ENOMEM, PBX_EIO */
void core_loop_fini(void);              /* runs what closes handles, then frees; asserts that no handle is left */

uv_loop_t *core_loop_uv(void);
int core_loop_run(void);             /* until core_loop_stop; [loop] */
void core_loop_stop(void);           /* [any] */
void core_loop_step(void);           /* one round without waiting: tests */
void core_loop_pass_ms(uint64_t ms); /* virtual clock only: moves it, firing each timer at its own time, and settles in between */
void core_loop_settle(void);         /* rounds until nothing is ready, posted, at work in the pool or in the store */

/* How the loop waits for at most timeout_ms (-1: no limit): the SIP stack puts its own wait here. True: libuv's descriptor is ready. NULL:
 * libuv's. */
typedef bool (*core_wait_fn)(void *context, int timeout_ms);
void core_loop_set_waiter(core_wait_fn wait, void *context);
/* Called in each round when its callbacks are through, before the loop waits: what is better done once for all of them. NULL: nobody. */
void core_loop_set_last(void (*last)(void));

uint64_t core_now_ms(void);      /* monotonic, as of this round; [loop] */
uint64_t core_now_us(void);      /* monotonic, exact; [any] */
int64_t core_wall_us(void);      /* UTC; [any]. Follows the virtual clock in tests */
void core_ulid(char ret_id[27]); /* rising; [loop] */

/* Runs fn(owner's instance or context, data) on the loop after the current callback. [any] */
int core_post(struct pbx_host *owner, void (*fn)(void *context, void *data), void *context, void *data, void (*drop)(void *data));
/* The same for what must not fail for want of memory: a last word. Somebody has reserved it before, and one reservation serves any number of posts,
 * one at a time. [loop] */
void core_post_reserved(void (*fn)(void *context, void *data), void *context, void *data);
int core_posts_reserve(uint32_t count); /* PBX_OK, PBX_ENOMEM */
void core_posts_release(uint32_t count);
/* work(job) in the pool, then done(context, job, status) on the loop. [loop] */
int core_work(struct pbx_host *owner, pbx_work_fn work, void (*done)(void *context, void *job, int status), void *context, void *job);

/* Something outside libuv's sight is under way (a query, a command to the media workers): settle waits for it. [loop] */
void core_busy(int by);

bool core_is_loop(void); /* [any] */
#define core_assert_loop() assert(core_is_loop())

/* Slowest callback since the last call, and whose: for status and metrics. A callback over 50 ms logs `loop_stalled owner=… ms=…`. */
struct core_loop_stats {
	uint64_t rounds, stalls, worst_us;
	char worst_owner[64];
};
void core_loop_take_stats(struct core_loop_stats *ret_stats);
