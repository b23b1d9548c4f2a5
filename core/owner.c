/* core/owner.c - who a thing belongs to: charges that can be taken back, and whose code is running
 *
 * core_enter and core_leave keep a stack of who called whom. Each frame's time is measured without that of the frames above it, so that
 * a slow plugin is blamed and not whoever called it. Names of owners are kept for ever: a crash report and the watchdog, which look from
 * outside the loop, can always read them. */
#include "owner_internal.h"
#include "log.h"
#include "loop.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_FRAMES 128
#define STALL_US 50000u

struct frame {
	struct core_owner *owner;
	uint64_t entered_us, nested_us;
};

static struct {
	struct frame frames[MOST_FRAMES];
	uint32_t depth;
	uint64_t stalls, worst_us;
	const char *worst_name;
} stack;

static _Atomic(uint64_t) running_since_us;
static _Atomic(const char *) running_name = "core";

/* ---- names ---- */

struct name {
	struct name *next;
	char text[];
};

static struct name *names;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *find_name(const char *text)
{
	for (const struct name *name = names; name; name = name->next)
		if (!strcmp(name->text, text))
			return name->text;
	return NULL;
}

/* The one copy of a name that stays. There are as many as plugins were ever loaded under different names. */
static const char *keep_name(const char *text)
{
	(void)pthread_mutex_lock(&names_lock);
	const char *found = find_name(text);
	if (!found) {
		size_t size = strlen(text) + 1;
		struct name *name = malloc(sizeof *name + size);

		if (name) {
			memcpy(name->text, text, size);
			name->next = names;
			names = name;
			found = name->text;
		}
	}
	(void)pthread_mutex_unlock(&names_lock);
	return found ? found : "unnamed";
}

/* ---- charges ---- */

void core_charge_add(struct pbx_host *host, struct core_charge *charge, const char *kind, bool holds,
		     void (*revoke)(struct core_charge *charge))
{
	struct core_owner *owner = core_owner_of(host ? host : core_self());

	assert(charge && kind && revoke && !charge->owner);
	*charge = (struct core_charge){ .owner = &owner->host, .kind = kind, .holds = holds, .revoke = revoke, .next = owner->charges };
	if (owner->charges)
		owner->charges->prev = charge;
	owner->charges = charge;
}

void core_charge_remove(struct core_charge *charge)
{
	if (!charge->owner)
		return;
	struct core_owner *owner = core_owner_of(charge->owner);

	if (charge->prev)
		charge->prev->next = charge->next;
	else
		owner->charges = charge->next;
	if (charge->next)
		charge->next->prev = charge->prev;
	*charge = (struct core_charge){ 0 };
}

/* "2 legs, 1 source": counts by kind, in the order kinds appear. */
static uint32_t describe(const struct core_owner *owner, bool only_holds, char *ret_text, size_t size)
{
	uint32_t all = 0;
	size_t at = 0;

	if (size)
		ret_text[0] = '\0';
	for (const struct core_charge *charge = owner->charges; charge; charge = charge->next) {
		if (only_holds && !charge->holds)
			continue;
		all++;
		uint32_t before = 0, same = 0;
		for (const struct core_charge *other = owner->charges; other; other = other->next) {
			if (strcmp(other->kind, charge->kind) || (only_holds && !other->holds))
				continue;
			same++;
			if (other == charge)
				before = same;
		}
		if (before != 1 || at >= size)
			continue;
		int written = snprintf(ret_text + at, size - at, "%s%u %s%s", at ? ", " : "", same, charge->kind, same > 1 ? "s" : "");
		at += written > 0 ? (size_t)written : 0;
	}
	return all;
}

uint32_t core_owner_holds(const struct core_owner *owner, char *ret_text, size_t size)
{
	return describe(owner, true, ret_text, size);
}

uint32_t core_owner_charges(const struct core_owner *owner, char *ret_text, size_t size)
{
	return describe(owner, false, ret_text, size);
}

/* ---- who runs ---- */

uint64_t core_clock_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void core_enter(struct pbx_host *host)
{
	struct core_owner *owner = core_owner_of(host ? host : core_self());
	uint64_t now_us = core_clock_us();

	assert(stack.depth < MOST_FRAMES);
	stack.frames[stack.depth] = (struct frame){ .owner = owner, .entered_us = now_us };
	if (!stack.depth++)
		atomic_store_explicit(&running_since_us, now_us, memory_order_relaxed);
	atomic_store_explicit(&running_name, owner->name, memory_order_release);
}

static void on_stall(struct core_owner *owner, uint64_t self_us)
{
	owner->stalls++;
	stack.stalls++;
	core_log(PBX_LOG_WARN, "core", NULL, "loop_stalled", "owner=%s ms=%llu", owner->name, (unsigned long long)(self_us / 1000));
}

void core_leave(void)
{
	assert(stack.depth);
	struct frame *frame = &stack.frames[--stack.depth];
	struct core_owner *owner = frame->owner;
	uint64_t whole_us = core_clock_us() - frame->entered_us;
	uint64_t self_us = whole_us - frame->nested_us;

	if (stack.depth)
		stack.frames[stack.depth - 1].nested_us += whole_us;
	else
		atomic_store_explicit(&running_since_us, 0, memory_order_relaxed);
	atomic_store_explicit(&running_name, core_owner_name(core_current_owner()), memory_order_release);

	owner->callbacks++;
	owner->self_us += self_us;
	if (self_us > owner->worst_us)
		owner->worst_us = self_us;
	if (self_us > stack.worst_us) {
		stack.worst_us = self_us;
		stack.worst_name = owner->name;
	}
	if (self_us > STALL_US)
		on_stall(owner, self_us);
}

uint64_t core_running(const char **ret_owner)
{
	*ret_owner = atomic_load_explicit(&running_name, memory_order_acquire);
	return atomic_load_explicit(&running_since_us, memory_order_relaxed);
}

void core_owner_take_worst(uint64_t *ret_stalls, uint64_t *ret_us, char *ret_name, size_t size)
{
	*ret_stalls = stack.stalls;
	*ret_us = stack.worst_us;
	(void)snprintf(ret_name, size, "%s", stack.worst_name ? stack.worst_name : "");
	stack.stalls = stack.worst_us = 0;
	stack.worst_name = NULL;
}

struct pbx_host *core_current_owner(void)
{
	return stack.depth && core_is_loop() ? &stack.frames[stack.depth - 1].owner->host : core_self();
}

const char *core_owner_name(const struct pbx_host *host)
{
	return host ? ((const struct core_owner *)host)->name : "core";
}

void *core_owner_self(const struct pbx_host *host)
{
	return host ? ((const struct core_owner *)host)->self : NULL;
}

/* ---- a host's door, as far as the base serves it ---- */

static void host_log(struct pbx_host *host, uint32_t level, pbx_call call, const char *event, const char *format, ...)
{
	char call_id[32];
	va_list args;

	if (!core_log_wanted(level, core_owner_name(host)))
		return;
	core_log_call_id(call, call_id);
	va_start(args, format);
	core_logv(level, core_owner_name(host), call_id, event, format, args);
	va_end(args);
}

static int host_post(struct pbx_host *host, pbx_posted_fn fn, void *data, void (*drop)(void *data))
{
	return core_post(host, fn, core_owner_self(host), data, drop);
}

static int host_work(struct pbx_host *host, pbx_work_fn work, pbx_worked_fn done, void *job)
{
	return core_work(host, work, done, core_owner_self(host), job);
}

struct hold {
	struct core_charge charge; /* its kind is why */
	char why[];
};

static void hold_revoke(struct core_charge *charge)
{
	core_charge_remove(charge);
	free(charge); /* a hold begins with its charge */
}

static int host_hold(struct pbx_host *host, const char *why)
{
	size_t size = strlen(why) + 1;
	struct hold *hold = calloc(1, sizeof *hold + size);

	if (!hold)
		return PBX_ENOMEM;
	memcpy(hold->why, why, size);
	core_charge_add(host, &hold->charge, hold->why, true, hold_revoke);
	return PBX_OK;
}

static int host_release(struct pbx_host *host, const char *why)
{
	for (struct core_charge *charge = core_owner_of(host)->charges; charge; charge = charge->next) {
		if (charge->revoke != hold_revoke || strcmp(charge->kind, why))
			continue;
		hold_revoke(charge);
		return PBX_OK;
	}
	return PBX_ENOENT;
}

static uint64_t host_now_ms(struct pbx_host *host)
{
	(void)host;
	return core_now_ms();
}

static int64_t host_wall_us(struct pbx_host *host)
{
	(void)host;
	return core_wall_us();
}

static const char *host_name(struct pbx_host *host)
{
	return core_owner_name(host);
}

static void host_ulid(struct pbx_host *host, char ret_id[27])
{
	(void)host;
	core_ulid(ret_id);
}

/* ---- owners ---- */

void core_owner_init(struct core_owner *owner, const char *name, void *self)
{
	*owner = (struct core_owner){
		.host = {
			.header = PBX_HEADER(struct pbx_host),
			.log = host_log,
			.post = host_post,
			.work = host_work,
			.hold = host_hold,
			.release = host_release,
			.now_ms = host_now_ms,
			.wall_us = host_wall_us,
			.name = host_name,
			.ulid = host_ulid,
		},
		.name = keep_name(name),
		.self = self,
	};
}

void core_owner_revoke_all(struct core_owner *owner)
{
	owner->stopped = true;
	while (owner->charges) {
		struct core_charge *charge = owner->charges;

		charge->revoke(charge);
		assert(owner->charges != charge); /* revoke leads to core_charge_remove */
	}
	core_posts_drop(&owner->host);
}

void core_owner_when_idle(struct core_owner *owner, void (*idle)(void *context), void *context)
{
	assert(owner->stopped && !owner->idle);
	if (!owner->jobs) {
		idle(context);
		return;
	}
	owner->idle = idle;
	owner->idle_context = context;
}

void core_owner_job_begin(struct core_owner *owner)
{
	owner->jobs++;
}

void core_owner_job_done(struct core_owner *owner)
{
	assert(owner->jobs);
	if (--owner->jobs || !owner->idle)
		return;
	void (*idle)(void *context) = owner->idle;

	owner->idle = NULL;
	idle(owner->idle_context); /* which may free the owner */
}

void core_owner_fini(struct core_owner *owner)
{
	core_owner_revoke_all(owner);
	assert(!owner->jobs);
}

struct pbx_host *core_self(void)
{
	static struct core_owner self;

	if (!self.name)
		core_owner_init(&self, "core", NULL);
	return &self.host;
}
