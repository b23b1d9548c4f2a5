/*
 * limits.c - how often somebody may try
 *
 * Two questions with one table. A bucket fills slowly and is emptied by requests: who has a full one may hurry for a moment. A log-in is
 * counted before it is judged, so that a thousand tries at once are not a thousand guesses: five per user and address in five minutes, then
 * that pair waits a quarter of an hour; twenty from one address whomever they name, fifty against one user wherever they come from.
 *
 * The table has a size. When it is full the entry that was used longest ago makes room: an attacker with that many addresses has other means.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "place.h"

#define CHAINS 1024u
#define ENTRIES_MOST 8192u
#define KEY_SIZE API_KEY_SIZE

#define TRIES_WITHIN_MS API_TRIES_WITHIN_MS
#define LOCKED_MS (15u * 60 * 1000)
#define TRIES_PER_PAIR 5u
#define TRIES_PER_ADDRESS 20u
#define TRIES_PER_USER 50u

struct entry {
	struct entry *next; /* of its chain */
	char key[KEY_SIZE];
	uint64_t used_at_ms;
	double tokens; /* of a bucket, as of used_at_ms */
	uint64_t tries_since_ms, locked_until_ms;
	uint32_t tries;
};

struct api_limits {
	struct entry *chains[CHAINS];
	uint32_t count;
};

struct api_limits *api_limits_new(void)
{
	return calloc(1, sizeof(struct api_limits));
}

void api_limits_free(struct api_limits *limits)
{
	for (uint32_t i = 0; limits && i < CHAINS; i++) {
		while (limits->chains[i]) {
			struct entry *entry = limits->chains[i];
			limits->chains[i] = entry->next;
			free(entry);
		}
	}
	free(limits);
}

static uint32_t chain_of(const char *key)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	while (*key)
		hash = (hash ^ (uint8_t)*key++) * 16777619u;
	return hash % CHAINS;
}

static void evict_oldest(struct api_limits *limits)
{
	struct entry **oldest = NULL;

	for (uint32_t i = 0; i < CHAINS; i++) {
		for (struct entry **at = &limits->chains[i]; *at; at = &(*at)->next) {
			if (!oldest || (*at)->used_at_ms < (*oldest)->used_at_ms)
				oldest = at;
		}
	}
	if (!oldest)
		return;
	struct entry *entry = *oldest;
	*oldest = entry->next;
	free(entry);
	limits->count--;
}

static struct entry *find(const struct api_limits *limits, const char *key)
{
	struct entry *entry = limits->chains[chain_of(key)];

	while (entry && strcmp(entry->key, key) != 0)
		entry = entry->next;
	return entry;
}

/* The key's entry, a new one when there is none. NULL: no memory. */
static struct entry *need(struct api_limits *limits, const char *key, uint64_t now_ms, double tokens)
{
	struct entry *entry = find(limits, key);

	if (entry)
		return entry;
	if (limits->count >= ENTRIES_MOST)
		evict_oldest(limits);
	entry = calloc(1, sizeof *entry);
	if (!entry)
		return NULL;
	(void)snprintf(entry->key, sizeof entry->key, "%s", key);
	entry->used_at_ms = entry->tries_since_ms = now_ms;
	entry->tokens = tokens;
	entry->next = limits->chains[chain_of(key)];
	limits->chains[chain_of(key)] = entry;
	limits->count++;
	return entry;
}

bool api_limits_take(struct api_limits *limits, const char *key, uint64_t now_ms, uint32_t per_minute, uint32_t burst, uint32_t *ret_wait_s)
{
	struct entry *entry = need(limits, key, now_ms, burst);
	double per_ms = per_minute / 60000.0;

	if (!entry)
		return true; /* no memory to count with is no reason to refuse */
	entry->tokens += (double)(now_ms - entry->used_at_ms) * per_ms;
	if (entry->tokens > burst)
		entry->tokens = burst;
	entry->used_at_ms = now_ms;
	if (entry->tokens >= 1) {
		entry->tokens -= 1;
		return true;
	}
	*ret_wait_s = (uint32_t)((1 - entry->tokens) / per_ms / 1000) + 1;
	return false;
}

void api_limits_left(const struct api_limits *limits, const char *key, uint32_t per_minute, uint32_t burst, uint32_t *ret_left,
		     uint32_t *ret_full_in_s)
{
	const struct entry *entry = find(limits, key);
	double tokens = entry ? entry->tokens : burst;

	*ret_left = (uint32_t)tokens;
	*ret_full_in_s = tokens < burst ? (uint32_t)((burst - tokens) * 60 / per_minute) + 1 : 0;
}

/* How long this key has to wait, 0: it may try. Counts the try. */
static uint64_t wait_of(struct api_limits *limits, const char *key, uint32_t tries, uint64_t now_ms)
{
	struct entry *entry = need(limits, key, now_ms, 0);

	if (!entry)
		return 0;
	entry->used_at_ms = now_ms;
	if (now_ms < entry->locked_until_ms)
		return entry->locked_until_ms - now_ms;
	if (entry->locked_until_ms > 0 || now_ms - entry->tries_since_ms >= TRIES_WITHIN_MS) {
		entry->tries = 0;
		entry->tries_since_ms = now_ms;
		entry->locked_until_ms = 0;
	}
	if (entry->tries < tries) {
		entry->tries++;
		return 0;
	}
	entry->locked_until_ms = now_ms + LOCKED_MS;
	return LOCKED_MS;
}

static void login_keys(const char *address, const char *user, char ret_keys[API_TRIES_KINDS][KEY_SIZE])
{
	char place[CORE_PLACE_TEXT];

	core_place_print_of(address, place);
	(void)snprintf(ret_keys[0], KEY_SIZE, "login %s %.64s", place, user);
	(void)snprintf(ret_keys[1], KEY_SIZE, "from %s", place);
	(void)snprintf(ret_keys[2], KEY_SIZE, "against %.64s", user);
}

bool api_limits_try_login(struct api_limits *limits, const char *address, const char *user, uint64_t now_ms, uint32_t *ret_wait_s)
{
	static const uint32_t most[API_TRIES_KINDS] = { TRIES_PER_PAIR, TRIES_PER_ADDRESS, TRIES_PER_USER };
	char keys[API_TRIES_KINDS][KEY_SIZE];
	uint64_t wait_ms = 0;

	login_keys(address, user, keys);
	for (size_t i = 0; wait_ms == 0 && i < API_TRIES_KINDS; i++)
		wait_ms = wait_of(limits, keys[i], most[i], now_ms);
	*ret_wait_s = (uint32_t)((wait_ms + 999) / 1000);
	return wait_ms == 0;
}

void api_limits_logged_in(struct api_limits *limits, const char *address, const char *user)
{
	char keys[API_TRIES_KINDS][KEY_SIZE];

	login_keys(address, user, keys);
	for (size_t i = 0; i < API_TRIES_KINDS; i++) {
		struct entry *entry = find(limits, keys[i]);

		if (entry && entry->tries > 0)
			entry->tries =
				i == 0 ? 0 : entry->tries - 1; /* address and user get this try back: only wrong ones should add up */
	}
}

/* ---- over a restart --------------------------------------------------------------------- */

void api_limits_tries(const struct api_limits *limits, const char *address, const char *user, struct api_tries ret_tries[API_TRIES_KINDS])
{
	char keys[API_TRIES_KINDS][KEY_SIZE];

	login_keys(address, user, keys);
	for (size_t i = 0; i < API_TRIES_KINDS; i++) {
		const struct entry *entry = find(limits, keys[i]);

		ret_tries[i] = (struct api_tries){ 0 };
		memcpy(ret_tries[i].key, keys[i], KEY_SIZE);
		if (!entry)
			continue;
		ret_tries[i].tries = entry->tries;
		ret_tries[i].since_ms = entry->tries_since_ms;
		ret_tries[i].locked_until_ms = entry->locked_until_ms;
	}
}

void api_limits_restore(struct api_limits *limits, const struct api_tries *tries)
{
	struct entry *entry = need(limits, tries->key, tries->since_ms, 0);

	if (!entry)
		return; /* no memory to count with */
	entry->tries = tries->tries;
	entry->tries_since_ms = tries->since_ms;
	entry->locked_until_ms = tries->locked_until_ms;
}
