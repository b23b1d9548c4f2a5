/* core/owner_internal.h - what an owner is made of; for core/owner.c, core/loop.c and the plugin host
 *
 * The host embeds one of these in each plugin instance. host's functions are filled in by core_owner_init as far as the base can serve
 * them: log, post, work, hold, release, now_ms, wall_us, name, ulid. service, ready and data_dir are the plugin host's. [loop]. */
#pragma once
#include "owner.h"

struct core_owner {
	struct pbx_host host; /* first: a struct pbx_host * is its owner */
	const char *name;     /* lives as long as the process */
	void *self;
	struct core_charge *charges; /* newest first */
	bool stopped;                /* what is posted is dropped, work ends as PBX_ECANCELLED */
	uint32_t jobs;               /* in the pool, or done but not told yet */
	void (*idle)(void *context);
	void *idle_context;
	uint64_t callbacks, stalls, self_us, worst_us; /* time in callbacks, without what they called of others */
};

void core_owner_init(struct core_owner *owner, const char *name, void *self);
/* Revokes what is left. No job may be in the pool. */
void core_owner_fini(struct core_owner *owner);

/* Stops it: newest first every charge is revoked, what is posted is dropped. Jobs in the pool that have not begun are cancelled. */
void core_owner_revoke_all(struct core_owner *owner);
/* idle(context), on the loop, as soon as no job of a stopped owner runs its code any more; at once when none does. */
void core_owner_when_idle(struct core_owner *owner, void (*idle)(void *context), void *context);

/* How many charges keep it from being unloaded; ret_text: "2 legs, 1 source" ("" for none). */
uint32_t core_owner_holds(const struct core_owner *owner, char *ret_text, size_t size);
/* The same of all charges, for tests and reports. */
uint32_t core_owner_charges(const struct core_owner *owner, char *ret_text, size_t size);

static inline struct core_owner *core_owner_of(struct pbx_host *host)
{
	return (struct core_owner *)host;
}

/* The loop's own use. */
void core_owner_job_begin(struct core_owner *owner); /* it is not idle until as many are done */
void core_owner_job_done(struct core_owner *owner);
void core_posts_drop(struct pbx_host *owner); /* loop.c: everything posted for it */

/* [any] What runs in the loop's thread now, for the watchdog and crash reports: since when the outermost callback runs (0: none does),
 * and whose code is innermost. Async-signal-safe. */
uint64_t core_running(const char **ret_owner);
uint64_t core_clock_us(void); /* the machine's monotonic clock, whatever the loop's clock is. [any] */
/* The slowest callback since it was asked last. */
void core_owner_take_worst(uint64_t *ret_stalls, uint64_t *ret_us, char *ret_name, size_t size);
