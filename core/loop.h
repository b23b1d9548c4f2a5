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
void core_loop_wake(void);           /* there is something for the next round; without a lock. [any], as long as the loop is there */
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
#define CORE_ULID_SIZE 27u
/* Legs and records are called after their call, CALL-n: the call's id then; anything else is itself. [any] */
const char *core_ulid_of(const char *id, char ret_ulid[CORE_ULID_SIZE]);

/* Runs fn(owner's instance or context, data) on the loop after the current callback. [any] */
int core_post(struct pbx_host *owner, void (*fn)(void *context, void *data), void *context, void *data, void (*drop)(void *data));
/* The same for what must not fail for want of memory: the node, all zero at first, is a part of what is told of, or static. It is one post:
 * asked for again while it waits, it runs once, as it was asked for first. fn may ask for it again, or free it; until fn has begun it stays
 * where it is. Nobody is told when the loop is closed or the owner has been stopped. [any] */
struct core_post_node {
	struct core_post_node *next; /* all of it the loop's */
	struct pbx_host *owner;
	void (*fn)(void *context);
	void (*drop)(void *context);
	void *context;
	bool waits;
};
void core_post_node(struct pbx_host *owner, struct core_post_node *node, void (*fn)(void *context), void *context);
void core_unpost(struct core_post_node *node); /* if it waits, it does no more; [loop] */

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
