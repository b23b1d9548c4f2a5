/* core/clock.c - the loop's clocks, and the watchdog that looks at the loop from outside
 *
 * A virtual clock begins on 2026-01-05 at 09:00 UTC, a Monday, and moves only by core_loop_pass_ms. The watchdog is a thread that wakes ten
 * times a second: a callback that does not return is named while it still hangs, which no measurement after the fact could do. */
#include "log.h"
#include "loop.h"
#include "loop_internal.h"
#include "owner_internal.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define VIRTUAL_START_MS 1000000u
#define VIRTUAL_START_WALL_US 1767603600000000 /* 2026-01-05 09:00:00 UTC */
#define WATCH_EVERY_MS 100
#define HANG_US 200000u

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t end;
	bool watching; /* under lock */
} watchdog = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_virtual; /* set before other threads begin */
static bool waiting;    /* [loop] */
static _Atomic(uint64_t) round_ms;

bool core_clock_is_virtual(void)
{
	return is_virtual;
}

void core_clock_set_ms(uint64_t now_ms)
{
	atomic_store_explicit(&round_ms, now_ms, memory_order_relaxed);
}

void core_clock_update(void)
{
	if (!is_virtual)
		core_clock_set_ms(core_clock_us() / 1000);
}

void core_clock_waits(bool waits)
{
	waiting = waits;
}

uint64_t core_now_ms(void)
{
	if (core_is_loop() && waiting)
		core_clock_update();
	return atomic_load_explicit(&round_ms, memory_order_relaxed);
}

uint64_t core_now_us(void)
{
	return is_virtual ? core_now_ms() * 1000 : core_clock_us();
}

int64_t core_wall_us(void)
{
	struct timespec now;

	if (is_virtual)
		return VIRTUAL_START_WALL_US + ((int64_t)core_now_ms() - VIRTUAL_START_MS) * 1000;
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- the watchdog ---- */

/* Says once of each callback that it hangs. */
static void watch(uint64_t *said_since_us)
{
	const char *owner;
	uint64_t since_us = core_running(&owner);
	uint64_t now_us = core_clock_us();

	if (!since_us || since_us == *said_since_us || now_us < since_us + HANG_US)
		return;
	*said_since_us = since_us;
	core_log(PBX_LOG_ERROR, "core", NULL, "loop_hangs", "owner=%s ms=%llu", owner, (unsigned long long)((now_us - since_us) / 1000));
}

static void *watchdog_main(void *unused)
{
	uint64_t said_since_us = 0;
	struct timespec until;

	(void)pthread_mutex_lock(&watchdog.lock);
	while (watchdog.watching) {
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += WATCH_EVERY_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		if (pthread_cond_timedwait(&watchdog.end, &watchdog.lock, &until) != ETIMEDOUT)
			continue;
		(void)pthread_mutex_unlock(&watchdog.lock);
		watch(&said_since_us);
		core_log_flush();
		(void)pthread_mutex_lock(&watchdog.lock);
	}
	(void)pthread_mutex_unlock(&watchdog.lock);
	return unused;
}

/* Signals are for the loop's thread: it has handlers for them. */
static int watchdog_start(void)
{
	pthread_condattr_t monotonic;
	sigset_t all, before;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&watchdog.end, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);

	watchdog.watching = true;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	int err = pthread_create(&watchdog.thread, NULL, watchdog_main, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		watchdog.watching = false;
	return err ? PBX_EIO : PBX_OK;
}

int core_clock_init(bool virtual_clock)
{
	is_virtual = virtual_clock;
	core_clock_set_ms(is_virtual ? VIRTUAL_START_MS : core_clock_us() / 1000);
	return is_virtual ? PBX_OK : watchdog_start();
}

void core_clock_fini(void)
{
	(void)pthread_mutex_lock(&watchdog.lock);
	bool watched = watchdog.watching;
	watchdog.watching = false;
	if (watched)
		(void)pthread_cond_signal(&watchdog.end);
	(void)pthread_mutex_unlock(&watchdog.lock);
	if (!watched)
		return;
	(void)pthread_join(watchdog.thread, NULL);
	(void)pthread_cond_destroy(&watchdog.end);
}
