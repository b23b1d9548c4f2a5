/*
 * guard.c - what one address may do to us
 *
 * Two tables of fixed size, each of sets of four places: one for requests, one for datagrams. A new key takes the place in its set that has
 * been quiet longest, so a flood from a million forged addresses wears out the table and nothing else. Keys are hashed with a secret of this
 * process.
 */
#include "guard.h"
#include "place.h"
#include <openssl/rand.h>
#include <pbx/abi.h>
#include <stdlib.h>
#include <string.h>

#define SETS 4096u
#define WAYS 4u

struct bucket {
	uint64_t key, at_ms;
	uint32_t tokens_milli;
};

static struct {
	uint64_t secret;
	struct bucket *buckets, *packets;
} guard;

int ua_guard_init(void)
{
	guard.buckets = calloc((size_t)SETS * WAYS, sizeof *guard.buckets);
	guard.packets = calloc((size_t)SETS * WAYS, sizeof *guard.packets);
	if (!guard.buckets || !guard.packets || RAND_bytes((unsigned char *)&guard.secret, sizeof guard.secret) != 1)
		return PBX_ENOMEM;
	return PBX_OK;
}

void ua_guard_fini(void)
{
	free(guard.buckets);
	free(guard.packets);
	memset(&guard, 0, sizeof guard);
}

/* FNV-1a from a secret start, then mixed (splitmix64). */
uint64_t ua_guard_key(const void *bytes, size_t size)
{
	uint64_t key = 0xcbf29ce484222325u ^ guard.secret;

	for (size_t i = 0; i < size; i++)
		key = (key ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
	key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9u;
	key = (key ^ (key >> 27)) * 0x94d049bb133111ebu;
	key ^= key >> 31;
	return key ? key : 1;
}

static struct bucket *bucket_get(struct bucket *buckets, uint64_t key, uint32_t burst, uint64_t now_ms)
{
	struct bucket *set = &buckets[key % SETS * WAYS], *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].at_ms < oldest->at_ms)
			oldest = &set[i];
	}
	*oldest = (struct bucket){ .key = key, .at_ms = now_ms, .tokens_milli = burst * 1000 };
	return oldest;
}

static bool allows(struct bucket *buckets, const struct core_addr *source, uint32_t rate, uint32_t burst, uint64_t now_ms, bool takes)
{
	const struct core_place place = core_place_of(source);
	struct bucket *bucket = bucket_get(buckets, ua_guard_key(place.bytes, place.size), burst, now_ms);
	uint64_t tokens = bucket->tokens_milli + (now_ms - bucket->at_ms) * rate;
	uint64_t most = (uint64_t)burst * 1000;

	bucket->tokens_milli = (uint32_t)(tokens < most ? tokens : most);
	bucket->at_ms = now_ms;
	if (bucket->tokens_milli < 1000)
		return false;
	if (takes)
		bucket->tokens_milli -= 1000;
	return true;
}

bool ua_flood_allows(const struct core_addr *source, uint32_t rate, uint32_t burst, uint64_t now_ms)
{
	return allows(guard.buckets, source, rate, burst, now_ms, true);
}

bool ua_packets_allow(const struct core_addr *source, uint32_t rate, uint32_t burst, uint64_t now_ms, bool takes)
{
	return allows(guard.packets, source, rate, burst, now_ms, takes);
}
