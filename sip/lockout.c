/*
 * lockout.c - who has given too many wrong passwords
 *
 * One table for all three counts, of sets of four places. Keys are hashed with the guard's secret, so that a set cannot be aimed at; the kind
 * is part of the key, as a guesser may give an address as user name. Names are kept for those who ask whom we refuse.
 */
#include "lockout.h"
#include "guard.h"
#include "place.h"
#include <pbx/abi.h>
#include <stdlib.h>
#include <string.h>

#define SETS 4096u
#define WAYS 4u

struct culprit {
	uint64_t key, at_ms, until_ms; /* at_ms: of the first failure in the window; until_ms: 0, it is not locked out */
	uint32_t kind, failures;
	char address[80], user[64];
};

static struct culprit *culprits; /* pages of it are used as culprits come */
static uint32_t culprit_count;   /* mostly none, and then a right password costs nothing here */

int ua_lockouts_init(void)
{
	culprits = calloc((size_t)SETS * WAYS, sizeof *culprits);
	return culprits ? PBX_OK : PBX_ENOMEM;
}

void ua_lockouts_fini(void)
{
	free(culprits);
	culprits = NULL;
	culprit_count = 0;
}

/* ---- the table ------------------------------------------------------------------------ */

static bool is_locked(const struct culprit *culprit, uint64_t now_ms)
{
	return culprit && culprit->until_ms > now_ms;
}

static void forget(struct culprit *culprit)
{
	memset(culprit, 0, sizeof *culprit);
	culprit_count--;
}

static struct culprit culprit_of(uint32_t kind, const struct ua_try *asked)
{
	struct culprit wanted = { .kind = kind };
	unsigned char bytes[4 + sizeof wanted.address + sizeof wanted.user] = { (unsigned char)kind };

	if (kind != UA_LOCKED_USER)
		(void)snprintf(wanted.address, sizeof wanted.address, "%s",
			       kind == UA_LOCKED_USER_HERE && asked->device ? asked->device : asked->place);
	if (kind != UA_LOCKED_ADDRESS)
		(void)snprintf(wanted.user, sizeof wanted.user, "%s", asked->user);
	memcpy(bytes + 4, wanted.address, sizeof wanted.address);
	memcpy(bytes + 4 + sizeof wanted.address, wanted.user, sizeof wanted.user);
	wanted.key = ua_guard_key(bytes, sizeof bytes);
	return wanted;
}

static struct culprit *culprit_find(uint32_t kind, const struct ua_try *asked)
{
	if (culprit_count == 0)
		return NULL;
	const struct culprit wanted = culprit_of(kind, asked);
	struct culprit *set = &culprits[wanted.key % SETS * WAYS];

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].key == wanted.key)
			return &set[i];
	return NULL;
}

/* Those that are locked out go last: whoever gets others forgotten would be free. */
static bool goes_before(const struct culprit *a, const struct culprit *b, uint64_t now_ms)
{
	if (is_locked(a, now_ms) != is_locked(b, now_ms))
		return !is_locked(a, now_ms);
	return a->at_ms < b->at_ms;
}

static struct culprit *culprit_get(uint32_t kind, const struct ua_try *asked, uint64_t now_ms)
{
	struct culprit *found = culprit_find(kind, asked);

	if (found)
		return found;
	const struct culprit wanted = culprit_of(kind, asked);
	struct culprit *set = &culprits[wanted.key % SETS * WAYS];

	found = set;
	for (unsigned i = 1; i < WAYS; i++)
		if (goes_before(&set[i], found, now_ms))
			found = &set[i];
	culprit_count += found->key == 0;
	*found = wanted;
	found->at_ms = now_ms;
	return found;
}

/* ---- counting ------------------------------------------------------------------------- */

/* True: this failure is the one that locks them out. */
static bool count(struct culprit *culprit, const struct ua_lockout_limits *limits, uint64_t now_ms)
{
	if (is_locked(culprit, now_ms))
		return false;
	if (culprit->until_ms || now_ms - culprit->at_ms > limits->window_ms) {
		culprit->at_ms = now_ms;
		culprit->until_ms = 0;
		culprit->failures = 0;
	}
	if (++culprit->failures < limits->failures)
		return false;
	culprit->until_ms = now_ms + limits->block_ms;
	return true;
}

uint32_t ua_lockout_failed(const struct ua_try *asked, const struct ua_lockout_limits *limits, uint64_t now_ms)
{
	struct culprit *here = culprit_get(UA_LOCKED_USER_HERE, asked, now_ms);
	uint32_t begun = count(here, limits, now_ms) ? UA_LOCKED_USER_HERE : 0;
	bool is_first = here->failures == 1;

	if (is_first && count(culprit_get(UA_LOCKED_ADDRESS, asked, now_ms), limits, now_ms))
		begun |= UA_LOCKED_ADDRESS;
	if (count(culprit_get(UA_LOCKED_USER, asked, now_ms), limits, now_ms))
		begun |= UA_LOCKED_USER;
	return begun;
}

static void take_back(struct culprit *culprit, uint32_t failures)
{
	if (culprit && culprit->until_ms == 0)
		culprit->failures -= culprit->failures < failures ? culprit->failures : failures;
}

void ua_lockout_proved(const struct ua_try *asked, uint64_t now_ms)
{
	struct culprit *here = culprit_find(UA_LOCKED_USER_HERE, asked);

	if (!here || is_locked(here, now_ms))
		return;
	if (here->failures > 0)
		take_back(culprit_find(UA_LOCKED_ADDRESS, asked), 1);
	take_back(culprit_find(UA_LOCKED_USER, asked), here->failures);
	forget(here);
}

/* ---- judging -------------------------------------------------------------------------- */

bool ua_lockout_holds(const struct ua_try *asked, uint64_t now_ms)
{
	if (is_locked(culprit_find(UA_LOCKED_USER_HERE, asked), now_ms))
		return true;
	return !asked->has_phone_here &&
	       (is_locked(culprit_find(UA_LOCKED_ADDRESS, asked), now_ms) || is_locked(culprit_find(UA_LOCKED_USER, asked), now_ms));
}

bool ua_lockout_is_near(const struct ua_try *asked, uint64_t now_ms)
{
	const struct ua_try stranger = { .place = asked->place, .user = asked->user };

	return ua_lockout_holds(asked, now_ms) || ua_lockout_holds(&stranger, now_ms);
}

/* ---- those there are ------------------------------------------------------------------ */

static struct ua_lockout shown(const struct culprit *culprit)
{
	return (struct ua_lockout){ .kind = culprit->kind,
				    .address = culprit->address,
				    .user = culprit->user,
				    .failures = culprit->failures,
				    .until_ms = culprit->until_ms };
}

void ua_lockouts_each(uint64_t now_ms, ua_lockout_fn each, void *context)
{
	for (size_t i = 0; i < (size_t)SETS * WAYS; i++)
		if (is_locked(&culprits[i], now_ms)) {
			const struct ua_lockout lockout = shown(&culprits[i]);

			each(context, &lockout);
		}
}

/* An address is meant as people write it: any of a network that is locked out, with a port or without. */
static bool is_about(const struct culprit *culprit, const char *who)
{
	char meant[CORE_PLACE_TEXT], place[CORE_PLACE_TEXT];

	if (culprit->user[0] && strcmp(culprit->user, who) == 0)
		return true;
	if (!culprit->address[0])
		return false;
	core_place_print_of(who, meant);
	core_place_print_of(culprit->address, place);
	return strcmp(culprit->address, who) == 0 || strcmp(place, meant) == 0;
}

uint32_t ua_lockouts_lift(const char *who, const char *own, uint64_t now_ms, ua_lockout_fn lifted, void *context)
{
	uint32_t lifted_count = 0;

	for (size_t i = 0; i < (size_t)SETS * WAYS; i++) {
		struct culprit *culprit = &culprits[i];
		const struct ua_lockout lockout = shown(culprit);

		if (!culprit->key || !is_about(culprit, who) || (own && strcmp(culprit->user, own) != 0))
			continue;
		if (is_locked(culprit, now_ms)) {
			lifted_count++;
			lifted(context, &lockout);
		}
		forget(culprit);
	}
	return lifted_count;
}

uint64_t ua_lockouts_expire(uint64_t now_ms, ua_lockout_fn over, void *context)
{
	uint64_t next_ms = 0;

	for (size_t i = 0; i < (size_t)SETS * WAYS; i++) {
		struct culprit *culprit = &culprits[i];

		if (is_locked(culprit, now_ms)) {
			next_ms = next_ms && next_ms < culprit->until_ms ? next_ms : culprit->until_ms;
		} else if (culprit->until_ms) {
			const struct ua_lockout lockout = shown(culprit);

			over(context, &lockout);
			forget(culprit);
		}
	}
	return next_ms;
}
