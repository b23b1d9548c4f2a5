/*
 * sources - what single addresses have done
 *
 * A table of fixed size, of sets of four places: a new address takes the place in its set that has been quiet longest, so that a flood of
 * forged addresses wears out the table and nothing else. Addresses and the networks around them have places of their own. Who offends too
 * often is put on the list of those kept out, with an end.
 *
 * A source address is easily forged where there is no connection. So nobody is banned at whose address a phone is registered: its owner
 * would be the victim.
 */
#include "sbc.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SETS 4096u
#define WAYS 4u
#define TELL_EVERY_MS 60000u
#define SLOT_MS 100u
#define SLOTS 11u /* so many in a row cover any second */

struct source {
	uint64_t key, at_ms; /* key 0: free */
	uint64_t slot_at;    /* which slot of time is the newest that is counted */
	uint32_t passed[SLOTS], offences;
	uint64_t window_at_ms, told_at_ms, over_at_ms;
};

int sources_init(struct sources *sources)
{
	sources->places = calloc((size_t)SETS * WAYS, sizeof *sources->places);
	if (!sources->places || getrandom(&sources->secret, sizeof sources->secret, 0) != (ssize_t)sizeof sources->secret)
		return PBX_ENOMEM;
	return PBX_OK;
}

void sources_fini(struct sources *sources)
{
	free(sources->places);
	sources->places = NULL;
}

/* FNV-1a from a secret start, then mixed (splitmix64): a set cannot be aimed at. */
static uint64_t key_of(uint64_t secret, const struct network *network)
{
	uint64_t key = 0xcbf29ce484222325u ^ secret ^ network->bits;

	for (size_t i = 0; i < sizeof network->bytes; i++)
		key = (key ^ network->bytes[i]) * 0x100000001b3u;
	key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9u;
	key = (key ^ (key >> 27)) * 0x94d049bb133111ebu;
	key ^= key >> 31;
	return key ? key : 1;
}

static struct source *source_get(struct sbc *sbc, const struct network *network)
{
	uint64_t key = key_of(sbc->sources.secret, network);
	struct source *set = &sbc->sources.places[key % SETS * WAYS], *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].at_ms < oldest->at_ms)
			oldest = &set[i];
	}
	*oldest = (struct source){ .key = key, .at_ms = sbc->host->now_ms(sbc->host) };
	return oldest;
}

static struct source *source_of(struct sbc *sbc, const uint8_t address[16])
{
	const struct network host = network_of_host(address);

	return source_get(sbc, &host);
}

/* ---- requests a second ---------------------------------------------------------------- */

/* Counts one more, unless so many have passed within a second. rate 0: there is no limit. */
static bool take(struct sbc *sbc, struct source *source, uint32_t rate)
{
	uint64_t now_ms = sbc->host->now_ms(sbc->host), slot = now_ms / SLOT_MS;
	uint64_t passed = 0;

	for (uint32_t i = 0; i < SLOTS && source->slot_at < slot; i++)
		source->passed[++source->slot_at % SLOTS] = 0;
	source->slot_at = slot;
	source->at_ms = now_ms;
	for (uint32_t i = 0; i < SLOTS; i++)
		passed += source->passed[i];
	if (rate > 0 && passed >= rate)
		return false;
	source->passed[slot % SLOTS]++;
	return true;
}

/* Each second over the limit is an offence, not each request: a burst is forgiven, a flood is not. */
static void note_violation(struct sbc *sbc, struct source *source, const uint8_t address[16])
{
	uint64_t now_ms = sbc->host->now_ms(sbc->host);

	sbc->rate_violations++;
	if (source->over_at_ms && now_ms - source->over_at_ms < 1000)
		return;
	source->over_at_ms = now_ms;
	sources_offend(sbc, address, "rate", 1);
}

bool sources_allow(struct sbc *sbc, const uint8_t address[16])
{
	const struct network around = network_around(address, network_is_ipv4(address) ? 120 : 48);
	uint32_t rate = sbc->settings->rate_limit, network_rate = sbc->settings->network_rate_limit;
	struct source *source = source_of(sbc, address);

	if (!take(sbc, source, rate)) {
		note_violation(sbc, source, address);
		return false;
	}
	if (take(sbc, source_get(sbc, &around), network_rate))
		return true;
	sbc->rate_violations++;
	return false;
}

/* ---- offences ------------------------------------------------------------------------- */

struct search {
	char host[NETWORK_TEXT];
	size_t length;
	bool found;
};

static void compare_contact(void *context, const struct pbx_contact *contact)
{
	struct search *search = context;
	const char *received = contact->received + (contact->received[0] == '[');

	if (strncmp(received, search->host, search->length) == 0 && (received[search->length] == ':' || received[search->length] == ']'))
		search->found = true;
}

static bool has_phone(const struct sbc *sbc, const uint8_t address[16])
{
	struct search search = { .found = false };

	network_print_host(address, search.host);
	search.length = strlen(search.host);
	(void)sbc->location->each(NULL, compare_contact, &search); /* how many there are does not matter */
	return search.found;
}

static void ban(struct sbc *sbc, const uint8_t address[16], const char *reason)
{
	uint32_t for_s = sbc->settings->ban_seconds;
	int64_t now_us = sbc->host->wall_us(sbc->host);
	struct entry entry = { .network = network_of_host(address),
			       .list = LIST_DENY,
			       .created_us = now_us,
			       .expires_us = now_us + (int64_t)for_s * 1000000,
			       .created_by = "session_border_controller" };
	char host[NETWORK_TEXT];

	network_print_host(address, host);
	(void)snprintf(entry.reason, sizeof entry.reason, "%s", reason);
	int err = sbc->lists.count[LIST_DENY] < MOST_BANS ? lists_add(sbc, &entry) : PBX_ENOSPC;
	if (err == PBX_EEXIST)
		return; /* what was on its way when the ban began */
	if (err != PBX_OK) {
		pbx_warn(sbc->host, "not_blocked", "address=%s reason=\"%s\"", host,
			 err == PBX_ENOSPC ? "the lists are full" : "no memory");
		return;
	}
	sbc->bans++;
	(void)sbc->metrics->add(sbc->host, METRIC_BANS, reason, 1); /* a lost count is no reason to stop */
	security_log_add(sbc, address, 0, "udp", "FailedACL", reason);
	pbx_warn(sbc->host, "source_blocked", "address=%s reason=%s for_s=%u", host, reason, for_s);

	struct pbx_json *data = sbc->json->new_object();
	(void)sbc->json->set_text(data, "address", host); /* no memory shows as a member missing */
	(void)sbc->json->set_text(data, "reason", reason);
	(void)sbc->json->set_integer(data, "for_s", for_s);
	sbc_tell(sbc, "sbc.source_blocked", data);
}

void sources_offend(struct sbc *sbc, const uint8_t address[16], const char *reason, uint32_t weight)
{
	const struct sbc_settings *settings = sbc->settings;
	struct source *source = source_of(sbc, address);
	uint64_t now_ms = sbc->host->now_ms(sbc->host);

	if (settings->ban_seconds == 0)
		return;
	if (now_ms - source->window_at_ms > (uint64_t)settings->ban_window_s * 1000) {
		source->window_at_ms = now_ms;
		source->offences = 0;
	}
	source->offences += weight;
	if (source->offences < settings->ban_after)
		return;
	source->offences = 0;
	if (!has_phone(sbc, address))
		ban(sbc, address, reason);
}

bool sources_is_news(struct sbc *sbc, const uint8_t address[16])
{
	struct source *source = source_of(sbc, address);
	uint64_t now_ms = sbc->host->now_ms(sbc->host);

	if (source->told_at_ms && now_ms - source->told_at_ms < TELL_EVERY_MS)
		return false;
	source->told_at_ms = now_ms;
	return true;
}
