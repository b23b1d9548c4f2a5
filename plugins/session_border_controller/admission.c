/*
 * admission - how many calls there are, of whom, and what they weigh
 *
 * A call counts from the INVITE that was let in until its dialog is gone: for everybody, and for the account or the other SIP system it came
 * from. What it weighs on the line is reckoned from the first codec of its offer, the headers of IP, UDP and RTP, and SRTP's tag. Calls to
 * emergency numbers are always let in, and count.
 */
#include "sbc.h"
#include <stdlib.h>
#include <string.h>

struct party {
	struct party *next;
	uint32_t calls;
	uint32_t tokens_milli; /* of calls a second */
	uint64_t at_ms;
	char name[72]; /* "account 1001", "peer carrier" */
};

struct admitted {
	struct admitted *next;
	uint64_t id, bits_per_s;
	struct party *party;
};

#define QUIET_MS 10000u /* for so long a party is remembered, for its rate */

/* ---- what a call weighs --------------------------------------------------------------- */

static uint32_t payload_bits_per_s(const char *codec)
{
	static const struct {
		const char *name;
		uint32_t bits_per_s;
	} known[] = { { "G729", 8000 }, { "opus", 24000 }, { "GSM", 13200 },    { "iLBC", 15200 },  { "G726-32", 32000 },
		      { "G723", 6400 }, { "AMR", 12200 },  { "AMR-WB", 23850 }, { "speex", 24600 }, { "L16", 128000 } };

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcasecmp(codec, known[i].name) == 0)
			return known[i].bits_per_s;
	return 64000; /* G.711, G.722; who offers nothing gets one of them */
}

static uint64_t weigh(const struct pbx_border_source *source, const struct pbx_border_call *call)
{
	uint32_t ptime_ms = call->ptime_ms >= 10 && call->ptime_ms <= 200 ? call->ptime_ms : 20;
	uint32_t head_bytes = (network_is_ipv4(source->address) ? 20u : 40u) + 8 + 12 + (call->secure ? 10u : 0);

	return payload_bits_per_s(call->codec) + head_bytes * 8ull * 1000 / ptime_ms;
}

/* ---- parties -------------------------------------------------------------------------- */

static struct party **chain_of(struct admission *admission, const char *name)
{
	uint32_t hash = 2166136261u;

	while (*name)
		hash = (hash ^ (uint8_t)*name++) * 16777619u;
	return &admission->parties[hash % (sizeof admission->parties / sizeof admission->parties[0])];
}

static struct party *party_get(struct sbc *sbc, const char *name)
{
	struct party **chain = chain_of(&sbc->admission, name), *party = *chain;

	while (party && strcmp(party->name, name) != 0)
		party = party->next;
	if (party)
		return party;
	party = calloc(1, sizeof *party);
	if (!party)
		return NULL;
	(void)snprintf(party->name, sizeof party->name, "%s", name);
	party->tokens_milli = UINT32_MAX; /* as many as there may be */
	party->at_ms = sbc->host->now_ms(sbc->host);
	party->next = *chain;
	*chain = party;
	return party;
}

/* cps 0: no limit. A second's worth may come at once. */
static bool is_too_fast(struct party *party, uint32_t cps, uint64_t now_ms)
{
	uint64_t most = (uint64_t)cps * 1000, tokens = party->tokens_milli + (now_ms - party->at_ms) * cps;

	party->tokens_milli = (uint32_t)(tokens < most ? tokens : most);
	party->at_ms = now_ms;
	return cps > 0 && party->tokens_milli < 1000;
}

static bool is_full(const struct party *party, uint32_t calls)
{
	return calls > 0 && party->calls >= calls;
}

static void count_in(struct party *party)
{
	party->calls++;
	if (party->tokens_milli >= 1000)
		party->tokens_milli -= 1000;
}

/* ---- one call more, one call less ----------------------------------------------------- */

static bool is_emergency(const struct sbc_settings *settings, const char *dialled)
{
	for (uint32_t i = 0; i < settings->emergency_numbers.count; i++)
		if (strcmp(settings->emergency_numbers.items[i], dialled) == 0)
			return true;
	return false;
}

/* Which limit one more call would break; NULL: none. */
static const char *broken_limit(struct sbc *sbc, struct party *party, bool is_peer, uint64_t bits_per_s)
{
	const struct sbc_settings *settings = sbc->settings;
	struct admission *admission = &sbc->admission;
	uint64_t now_ms = sbc->host->now_ms(sbc->host);

	if (is_full(admission->total, settings->max_calls))
		return "calls";
	if (settings->max_bandwidth > 0 && admission->bits_per_s + bits_per_s > (uint64_t)settings->max_bandwidth * 1000)
		return "bandwidth";
	if (is_full(party, is_peer ? settings->peer_calls : settings->account_calls))
		return is_peer ? "peer_calls" : "account_calls";
	if (is_too_fast(admission->total, settings->max_cps, now_ms))
		return "cps";
	if (is_too_fast(party, is_peer ? settings->peer_cps : settings->account_cps, now_ms))
		return is_peer ? "peer_cps" : "account_cps";
	return NULL;
}

static void count_codec(struct admission *admission, const char *name)
{
	for (uint32_t i = 0; i < MOST_CODECS && name[0]; i++) {
		if (!admission->codecs[i].name[0])
			(void)snprintf(admission->codecs[i].name, sizeof admission->codecs[i].name, "%s", name);
		if (strcasecmp(admission->codecs[i].name, name) == 0) {
			admission->codecs[i].count++;
			return;
		}
	}
}

static struct admitted **calls_of(struct admission *admission, uint64_t id)
{
	return &admission->calls[id % (sizeof admission->calls / sizeof admission->calls[0])];
}

static void place(struct admission *admission, struct admitted *admitted)
{
	struct admitted **chain = calls_of(admission, admitted->id);

	admitted->next = *chain;
	*chain = admitted;
	count_in(admitted->party);
	count_in(admission->total);
	admission->bits_per_s += admitted->bits_per_s;
}

int admission_enter(struct sbc *sbc, const struct pbx_border_source *source, const struct pbx_border_call *call, const char **ret_limit)
{
	struct admission *admission = &sbc->admission;
	bool is_peer = !call->account[0];
	uint64_t bits_per_s = weigh(source, call);
	char name[72], host[NETWORK_TEXT];

	network_print_host(source->address, host);
	(void)snprintf(name, sizeof name, "%s %.60s", is_peer ? "peer" : "account",
		       !is_peer        ? call->account
		       : call->peer[0] ? call->peer
				       : host);
	struct party *party = party_get(sbc, name);
	struct admitted *admitted = party ? calloc(1, sizeof *admitted) : NULL;
	if (!admitted)
		return PBX_ENOMEM;

	*ret_limit = broken_limit(sbc, party, is_peer, bits_per_s);
	if (*ret_limit && !is_emergency(sbc->settings, call->dialled)) {
		admission->rejected_ever++;
		free(admitted);
		return PBX_ENOSPC;
	}
	*admitted = (struct admitted){ .id = call->id, .bits_per_s = bits_per_s, .party = party };
	place(admission, admitted);
	count_codec(admission, call->codec);
	admission->admitted_ever++;
	return PBX_OK;
}

void admission_leave(struct sbc *sbc, uint64_t id)
{
	struct admission *admission = &sbc->admission;
	struct admitted **at = calls_of(admission, id);

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	if (!*at)
		return;
	struct admitted *gone = *at;
	*at = gone->next;
	gone->party->calls--;
	admission->total->calls--;
	admission->bits_per_s -= gone->bits_per_s;
	free(gone);
}

/* ---- an upgrade ----------------------------------------------------------------------- */

int admission_take(void *self, const struct sbc_counted *call)
{
	struct sbc *sbc = self;
	struct party *party = party_get(sbc, call->party);
	struct admitted *admitted = party ? malloc(sizeof *admitted) : NULL;

	if (!admitted)
		return PBX_ENOMEM;
	*admitted = (struct admitted){ .id = call->id, .bits_per_s = call->bits_per_s, .party = party };
	place(&sbc->admission, admitted);
	return PBX_OK;
}

void admission_hand_over(struct sbc *sbc)
{
	const struct sbc_calls *next = sbc->successor;

	if (!next->take || next->self == sbc)
		return;
	for (size_t i = 0; i < sizeof sbc->admission.calls / sizeof sbc->admission.calls[0]; i++)
		for (const struct admitted *admitted = sbc->admission.calls[i]; admitted; admitted = admitted->next) {
			const struct sbc_counted call = {
				.size = sizeof call, .id = admitted->id, .bits_per_s = admitted->bits_per_s, .party = admitted->party->name
			};

			(void)next->take(next->self, &call); /* without memory it is one that does not count */
		}
}

/* ---- keeping house -------------------------------------------------------------------- */

void admission_sweep(struct sbc *sbc)
{
	uint64_t now_ms = sbc->host->now_ms(sbc->host);

	for (size_t i = 0; i < sizeof sbc->admission.parties / sizeof sbc->admission.parties[0]; i++)
		for (struct party **at = &sbc->admission.parties[i]; *at;) {
			struct party *party = *at;

			if (party->calls > 0 || now_ms - party->at_ms < QUIET_MS) {
				at = &party->next;
				continue;
			}
			*at = party->next;
			free(party);
		}
}

int admission_init(struct admission *admission)
{
	admission->total = calloc(1, sizeof *admission->total);
	if (!admission->total)
		return PBX_ENOMEM;
	admission->total->tokens_milli = UINT32_MAX;
	return PBX_OK;
}

void admission_fini(struct admission *admission)
{
	for (size_t i = 0; i < sizeof admission->calls / sizeof admission->calls[0]; i++)
		for (struct admitted *next; admission->calls[i]; admission->calls[i] = next) {
			next = admission->calls[i]->next;
			free(admission->calls[i]);
		}
	for (size_t i = 0; i < sizeof admission->parties / sizeof admission->parties[0]; i++)
		for (struct party *next; admission->parties[i]; admission->parties[i] = next) {
			next = admission->parties[i]->next;
			free(admission->parties[i]);
		}
	free(admission->total);
	admission->total = NULL;
}

uint32_t admission_calls(const struct admission *admission)
{
	return admission->total->calls;
}
