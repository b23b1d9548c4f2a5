/*
 * repeats.c - REGISTERs that come again
 *
 * A table of sets of four places; a new one takes the oldest place of its set. Timer J of RFC 3261 says how long a repeat may come.
 */
#include "repeats.h"
#include <pbx/plugin.h>
#include <stdlib.h>

#define SETS 4096u
#define WAYS 4u
#define LIFE_MS 32000u

struct repeat {
	uint64_t proof;
	uint64_t at_ms : 62, state : 2;
};

static struct repeat *repeats;

int ua_repeats_init(void)
{
	repeats = calloc((size_t)SETS * WAYS, sizeof *repeats);
	return repeats ? PBX_OK : PBX_ENOMEM;
}

void ua_repeats_fini(void)
{
	free(repeats);
	repeats = NULL;
}

/* The place of it, else the oldest of its set. */
static struct repeat *place_of(uint64_t proof)
{
	struct repeat *set = &repeats[proof % SETS * WAYS], *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].proof == proof)
			return &set[i];
		if (set[i].at_ms < oldest->at_ms)
			oldest = &set[i];
	}
	return oldest;
}

uint32_t ua_repeat_find(uint64_t proof, uint64_t now_ms)
{
	const struct repeat *repeat = place_of(proof);

	return repeat->proof == proof && now_ms - repeat->at_ms < LIFE_MS ? (uint32_t)repeat->state : UA_REPEAT_NONE;
}

void ua_repeat_put(uint64_t proof, uint32_t state, uint64_t now_ms)
{
	*place_of(proof) = (struct repeat){ .proof = proof, .at_ms = now_ms & (UINT64_MAX >> 2), .state = state & 3u };
}
