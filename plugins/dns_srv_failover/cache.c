/*
 * cache - what servers said, for as long as they said so
 *
 * An answer past its time stays as long as it may be served stale (RFC 8767), and longer while there is room: it goes when the room is needed.
 */
#include "dns.h"
#include <stdlib.h>
#include <string.h>

/* FNV-1a */
uint32_t dns_hash(const char *text, uint32_t number)
{
	uint32_t hash = 2166136261u ^ number;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash % DNS_BUCKETS;
}

struct known *known_new(const char *name, uint16_t type, int result, uint32_t count)
{
	struct known *known = calloc(1, sizeof *known + count * sizeof known->records[0]);

	if (!known)
		return NULL;
	known->refs = 1;
	(void)snprintf(known->name, sizeof known->name, "%s", name);
	known->type = type;
	known->result = result;
	known->count = count;
	return known;
}

struct known *known_ref(struct known *known)
{
	known->refs++;
	return known;
}

void known_unref(struct known *known)
{
	if (known && --known->refs == 0)
		free(known);
}

bool known_is_fresh(const struct dns *dns, const struct known *known)
{
	return dns->host->now_ms(dns->host) < known->expires_at_ms;
}

bool known_may_serve_stale(const struct dns *dns, const struct known *known)
{
	return (known->result == PBX_OK || known->result == PBX_ENOENT) && dns->host->now_ms(dns->host) < known->stale_until_ms;
}

/* ---- the list by last use ------------------------------------------------------------- */

static void unlink_use(struct cache *cache, struct known *known)
{
	*(known->newer ? &known->newer->older : &cache->newest) = known->older;
	*(known->older ? &known->older->newer : &cache->oldest) = known->newer;
}

static void link_newest(struct cache *cache, struct known *known)
{
	known->newer = NULL;
	known->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = known;
	cache->newest = known;
}

/* ---- finding and keeping --------------------------------------------------------------- */

static struct known **place_of(struct cache *cache, const char *name, uint16_t type)
{
	struct known **at = &cache->buckets[dns_hash(name, type)];

	while (*at && ((*at)->type != type || strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	return at;
}

static void drop(struct cache *cache, struct known **at)
{
	struct known *known = *at;

	*at = known->next;
	unlink_use(cache, known);
	cache->count--;
	known_unref(known);
}

struct known *cache_find(struct dns *dns, const char *name, uint16_t type)
{
	struct known *known = *place_of(&dns->cache, name, type);

	if (known) {
		unlink_use(&dns->cache, known);
		link_newest(&dns->cache, known);
	}
	return known;
}

void cache_put(struct dns *dns, struct known *known)
{
	struct cache *cache = &dns->cache;
	struct known **at = place_of(cache, known->name, known->type);

	if (*at)
		drop(cache, at);
	while (cache->count >= DNS_MOST_KNOWN)
		drop(cache, place_of(cache, cache->oldest->name, cache->oldest->type));
	at = &cache->buckets[dns_hash(known->name, known->type)];
	known->next = *at;
	*at = known_ref(known);
	link_newest(cache, known);
	cache->count++;
}

/* A name's own answers, and those of the services below it: _sip._udp.example.net is example.net's. */
static bool is_about(const struct known *known, const char *name)
{
	size_t length = strlen(known->name), tail = strlen(name);

	return length >= tail && strcmp(known->name + length - tail, name) == 0 &&
	       (length == tail || (known->name[length - tail - 1] == '.' && known->name[0] == '_'));
}

uint32_t cache_flush(struct dns *dns, const char *name)
{
	uint32_t gone = 0;

	for (struct known *known = dns->cache.newest, *older; known; known = older) {
		older = known->older;
		if (name && !is_about(known, name))
			continue;
		drop(&dns->cache, place_of(&dns->cache, known->name, known->type));
		gone++;
	}
	return gone;
}
