/*
 * peer.c - other SIP systems by name
 *
 * Whoever sets a peer up (a plugin of trunks) says everything about it in one structure, which is copied into one home. Requests are looked
 * up in the order of certainty: the token we registered with, the source address, the certificate. A listed address may carry a port,
 * for two systems behind one address.
 */
#include "overlap.h"
#include "peer.h"
#include "address.h"
#include "contact.h"
#include "loop.h"
#include "one_line.h"
#include "transport.h"
#include "way.h"
#include <stdlib.h>
#include <string.h>

#define MOST_TOLD 16u /* accounts at one provider that hear of a connection that failed */

static struct ua_peer *peers;       /* in order of age */
static uint32_t marked, kept_alive; /* how many of them have a DSCP, and keep-alives, of their own: without any nobody looks for them */

/* ---- memory --------------------------------------------------------------------------- */

struct ua_peer *ua_peer_ref(struct ua_peer *peer)
{
	peer->refs++;
	return peer;
}

void ua_peer_unref(struct ua_peer *peer)
{
	if (!peer || --peer->refs > 0)
		return;
	if (--peer->traffic->refs == 0)
		free(peer->traffic);
	explicit_bzero((char *)peer->is.secret, strlen(peer->is.secret));
	su_home_unref(peer->home);
}

static const char *keep(struct ua_peer *peer, const char *text)
{
	return su_strdup(peer->home, text ? text : "");
}

static bool keep_list(struct ua_peer *peer, struct pbx_list *list)
{
	const char **items = su_alloc(peer->home, (isize_t)((list->count + 1) * sizeof *items));

	for (uint32_t i = 0; items && i < list->count; i++)
		if (!(items[i] = keep(peer, list->items[i])))
			return false;
	list->items = items;
	return items != NULL;
}

/* A copy of it all, without a place in the table yet. NULL: no memory. */
static struct ua_peer *peer_new(const struct pbx_sip_peer *said)
{
	struct ua_peer *peer = su_home_new(sizeof *peer);

	if (!peer)
		return NULL;
	core_copy_overlap(&peer->is, sizeof peer->is, said, said->size);
	const char **const texts[] = { &peer->is.name,        &peer->is.host,         &peer->is.transport,      &peer->is.proxy,
				       &peer->is.user,        &peer->is.realm,        &peer->is.secret,         &peer->is.from_user,
				       &peer->is.from_domain, &peer->is.contact_user, &peer->is.certificate,    &peer->is.routes,
				       &peer->is.srtp,        &peer->is.dtmf,         &peer->is.session_timers, &peer->is.t38 };
	struct pbx_list *const lists[] = { &peer->is.headers, &peer->is.addresses, &peer->is.codecs };
	bool good = true;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		good = (*texts[i] = keep(peer, *texts[i])) && good;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		good = keep_list(peer, lists[i]) && good;
	if (!good) {
		su_home_unref(peer->home);
		return NULL;
	}
	peer->refs = 1;
	return peer;
}

/* ---- the table ------------------------------------------------------------------------ */

struct ua_peer *ua_peer_find(const char *name)
{
	struct ua_peer *peer = peers;

	while (peer && strcmp(peer->is.name, name) != 0)
		peer = peer->next;
	return peer;
}

const struct pbx_sip_peer *ua_peer_says(const struct ua_peer *peer)
{
	return peer ? &peer->is : NULL;
}

char *ua_peer_uri(const struct pbx_sip_peer *peer, su_home_t *home)
{
	return peer->port ? su_sprintf(home, "sip:%s:%u", peer->host, peer->port) : su_sprintf(home, "sip:%s", peer->host);
}

char *ua_peer_own_uri(const struct pbx_sip_peer *peer, su_home_t *home)
{
	const char *user = peer->from_user[0] ? peer->from_user : peer->user;

	return su_sprintf(home, "sip:%s%s%s", user, user[0] ? "@" : "", peer->from_domain[0] ? peer->from_domain : peer->host);
}

const char *ua_peer_srtp(const char *name)
{
	const struct ua_peer *peer = ua_peer_find(name);

	return peer ? peer->is.srtp : "";
}

const char *ua_peer_dtmf(const char *name)
{
	const struct ua_peer *peer = ua_peer_find(name);

	return peer ? peer->is.dtmf : "";
}

uint8_t ua_peer_media_dscp(const char *name)
{
	const struct ua_peer *peer = ua_peer_find(name);

	return peer ? (uint8_t)peer->is.rtp_dscp : 0;
}

const char *ua_peer_t38(const char *name)
{
	const struct ua_peer *peer = ua_peer_find(name);

	return peer ? peer->is.t38 : "";
}

static void unlist(struct ua_peer *peer)
{
	struct ua_peer **at = &peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	marked -= peer->is.sip_dscp > 0;
	kept_alive -= peer->is.keepalive_ms > 0;
	core_charge_remove(&peer->charge);
	ua_peer_unref(peer);
}

static void peer_revoke(struct core_charge *charge)
{
	unlist((struct ua_peer *)((char *)charge - offsetof(struct ua_peer, charge)));
}

static bool is_name(const char *name)
{
	size_t length = name ? strlen(name) : 0;

	return length > 0 && length < UA_PEER_NAME && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == length;
}

/* "192.0.2.0/24", "192.0.2.7", "192.0.2.7:5080". */
static bool is_network(const char *text)
{
	size_t length = strcspn(text, "/");
	struct core_addr addr;
	char host[64];

	if (length >= sizeof host)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	return ua_address_parse(host, &addr) &&
	       (text[length] == '\0' || (text[length + 1] && strspn(text + length + 1, "0123456789") == strlen(text + length + 1)));
}

/* What they end in: a quoted text (user, realm), an address in angle brackets, a header of its own. */
static int check_texts(const struct pbx_sip_peer *is, struct pbx_diag *diag)
{
	const struct {
		const char *field, *text, *never;
	} rows[] = {
		{ "user", is->user, "\"\\<>" },
		{ "realm", is->realm, "\"\\" },
		{ "secret", is->secret, "" },
		{ "from_user", is->from_user, "\"\\<> " },
		{ "from_domain", is->from_domain, "\"\\<> @" },
		{ "contact_user", is->contact_user, "\"\\<> @" },
		{ "proxy", is->proxy, "\"\\<> " },
		{ "routes", is->routes, "" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *never = rows[i].never;

		if (strlen(rows[i].text) <= 255 && core_is_one_line(rows[i].text) && !strpbrk(rows[i].text, never))
			continue;
		pbx_diag_set(diag, rows[i].field, "has at most 255 characters, none of them a control character%s%s",
			     never[0] ? " or one of " : "", never);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

static int check(const struct ua_peer *peer, struct pbx_diag *diag)
{
	const struct pbx_sip_peer *is = &peer->is;

	if (!is->host[0] || strlen(is->host) > 255 || strpbrk(is->host, " <>@;\"/") || !core_is_one_line(is->host)) {
		pbx_diag_set(diag, "host", "'%.80s' is no host: write a name or an address, an IPv6 address in brackets", is->host);
		return PBX_EINVAL;
	}
	if (is->port > 65535) {
		pbx_diag_set(diag, "port", "a port is at most 65535");
		return PBX_EINVAL;
	}
	if (is->transport[0] && !ua_agent_listens(ua_part, is->transport)) {
		pbx_diag_set(diag, "transport", "we have no listener for '%.8s': add one to sip.listen, or choose another transport",
			     is->transport);
		return PBX_EINVAL;
	}
	if (is->sip_dscp > 63 || is->rtp_dscp > 63) {
		pbx_diag_set(diag, is->sip_dscp > 63 ? "sip_dscp" : "rtp_dscp", "a DSCP is at most 63");
		return PBX_EINVAL;
	}
	int err = check_texts(is, diag);
	if (err != PBX_OK)
		return err;
	for (uint32_t i = 0; i < is->addresses.count; i++)
		if (!is_network(is->addresses.items[i])) {
			pbx_diag_set(diag, "addresses", "'%.60s' is no address or network: write 192.0.2.7, 192.0.2.7:5080 or 192.0.2.0/24",
				     is->addresses.items[i]);
			return PBX_EINVAL;
		}
	for (uint32_t i = 0; i < is->headers.count; i++)
		if (!strchr(is->headers.items[i], ':') || !core_is_one_line(is->headers.items[i])) {
			pbx_diag_set(diag, "headers", "'%.60s' is no header: write Name: value", is->headers.items[i]);
			return PBX_EINVAL;
		}
	return PBX_OK;
}

static void on_addresses(void *context, int result, const struct ua_way *way)
{
	(void)context, (void)result,
		(void)way; /* what was found has been learned, and what was not is asked again with the first request */
}

/* Who is known by what its host stands for may call before we do. */
static void find_addresses(struct ua_peer *peer)
{
	struct ua_search *search = NULL;

	if (peer->is.addresses.count > 0 || peer->is.flags & (PBX_SIP_DISABLED | PBX_SIP_OUTBOUND))
		return;
	ua_way_find(peer, on_addresses, NULL, &search);
	ua_way_cancel(search);
}

int ua_peer_set(struct pbx_host *host, const struct pbx_sip_peer *said, struct pbx_diag *diag)
{
	struct ua_peer *old = is_name(said->name) ? ua_peer_find(said->name) : NULL;

	if (!is_name(said->name)) {
		pbx_diag_set(diag, "name", "a peer's name has up to %u characters: a-z, 0-9, _ . -", UA_PEER_NAME - 1);
		return PBX_EINVAL;
	}
	if (!ua_part)
		return PBX_ESTATE;
	if (old && old->charge.owner != host && strcmp(core_owner_name(old->charge.owner), core_owner_name(host)) != 0) {
		pbx_diag_set(diag, "name", "%s belongs to %s", said->name, core_owner_name(old->charge.owner));
		return PBX_EEXIST;
	}
	struct ua_peer *peer = peer_new(said);
	if (!peer)
		return PBX_ENOMEM;
	peer->traffic = old ? old->traffic : calloc(1, sizeof *peer->traffic);
	if (!peer->traffic) {
		su_home_unref(peer->home);
		return PBX_ENOMEM;
	}
	peer->traffic->refs++;
	int err = check(peer, diag);
	if (err != PBX_OK) {
		ua_peer_unref(peer);
		return err;
	}
	if (old)
		unlist(old);
	struct ua_peer **at = &peers;
	while (*at)
		at = &(*at)->next;
	*at = peer;
	marked += peer->is.sip_dscp > 0;
	kept_alive += peer->is.keepalive_ms > 0;
	core_charge_add(host, &peer->charge, "SIP peer", false, peer_revoke);
	find_addresses(peer);
	return PBX_OK;
}

int ua_peer_remove(struct pbx_host *host, const char *name)
{
	struct ua_peer *peer = ua_peer_find(name);

	if (!peer || peer->charge.owner != host)
		return PBX_ENOENT;
	unlist(peer);
	return PBX_OK;
}

int ua_peer_state(const char *name, struct pbx_sip_peer_state *ret_state)
{
	const struct ua_peer *peer = ua_peer_find(name);
	uint32_t size = (uint32_t)core_overlap(ret_state->size, sizeof *ret_state);

	if (!peer)
		return PBX_ENOENT;
	const struct pbx_sip_peer_state state = { .size = size,
						  .calls_in = peer->traffic->calls_in,
						  .calls_out = peer->traffic->calls_out };
	memcpy(ret_state, &state, size);
	return PBX_OK;
}

/* ---- whose request is it -------------------------------------------------------------- */

static bool is_token_of(const struct ua_peer *peer, const url_t *url)
{
	const char *token = peer->is.contact_user;
	char line[UA_PEER_NAME + 1] = "";

	if (!token[0])
		return false;
	if (url->url_user && strcmp(url->url_user, token) == 0)
		return true;
	return ua_param(url->url_params, ";", "line", line, sizeof line) && strcmp(line, token) == 0;
}

static bool is_from(const struct core_addr *source, const char *network)
{
	struct core_addr exact;

	if (!ua_address_in(source, network))
		return false;
	if (strchr(network, '/') || !ua_address_parse(network, &exact))
		return true;
	return ua_address_port(&exact) == 0 || ua_address_port(&exact) == ua_address_port(source);
}

static bool is_there(const struct ua_peer *peer, const struct core_addr *source)
{
	char host[64];

	for (uint32_t i = 0; i < peer->is.addresses.count; i++)
		if (is_from(source, peer->is.addresses.items[i]))
			return true;
	for (uint32_t i = 0; peer->is.addresses.count == 0 && i < peer->traffic->learned_count; i++) {
		core_address_print_host(&peer->traffic->learned[i], host, sizeof host);
		if (ua_address_in(source, host))
			return true;
	}
	return false;
}

static bool is_source_of(const struct ua_peer *peer, const struct core_addr *source)
{
	return !(peer->is.flags & PBX_SIP_OUTBOUND) && is_there(peer, source);
}

struct ua_peer *ua_peer_at(const struct core_addr *source)
{
	struct ua_peer *peer = peers;

	while (peer && !is_source_of(peer, source))
		peer = peer->next;
	return peer;
}

bool ua_peer_is_at(const char *name, const struct core_addr *remote)
{
	const struct ua_peer *peer = ua_peer_find(name);

	return peer && (!remote || is_there(peer, remote));
}

struct ua_peer *ua_peer_of(const sip_t *sip, const struct core_addr *source, const char *certificate)
{
	const url_t *url = sip->sip_request ? sip->sip_request->rq_url : NULL;

	for (struct ua_peer *peer = peers; peer && url; peer = peer->next)
		if (is_token_of(peer, url))
			return peer;
	struct ua_peer *at = ua_peer_at(source);
	if (at)
		return at;
	for (struct ua_peer *peer = peers; peer && certificate[0]; peer = peer->next)
		if (peer->is.certificate[0] && strcasecmp(peer->is.certificate, certificate) == 0)
			return peer;
	return NULL;
}

void ua_peer_learn(struct ua_peer *peer, const struct core_addr *addresses, uint32_t count)
{
	struct ua_peer_traffic *traffic = peer->traffic;

	traffic->learned_count = count < UA_MOST_LEARNED ? count : UA_MOST_LEARNED;
	memcpy(traffic->learned, addresses, traffic->learned_count * sizeof *addresses);
}

/* ---- the way there -------------------------------------------------------------------- */

/* Whether we send to this address when we send to the peer. */
static bool is_way_to(const struct ua_peer *peer, const struct core_addr *end)
{
	char host[64];

	for (uint32_t i = 0; i < peer->traffic->learned_count; i++) {
		core_address_print_host(&peer->traffic->learned[i], host, sizeof host);
		if (ua_address_in(end, host))
			return true;
	}
	return is_source_of(peer, end);
}

uint8_t ua_peer_dscp_towards(const struct core_addr *end)
{
	for (const struct ua_peer *peer = marked ? peers : NULL; peer; peer = peer->next)
		if (peer->is.sip_dscp && is_way_to(peer, end))
			return (uint8_t)peer->is.sip_dscp;
	return 0;
}

uint32_t ua_peer_keepalive_towards(const struct core_addr *end)
{
	uint32_t least_ms = 0;

	for (const struct ua_peer *peer = kept_alive ? peers : NULL; peer; peer = peer->next)
		if (peer->is.keepalive_ms && (!least_ms || peer->is.keepalive_ms < least_ms) && is_way_to(peer, end))
			least_ms = peer->is.keepalive_ms;
	return least_ms;
}

/* Who is told may set or remove peers: so they are held first. */
void ua_peer_flow_failed(const struct core_addr *end)
{
	struct ua_peer *told[MOST_TOLD];
	uint32_t count = 0;
	char address[80];

	core_address_print(end, address, sizeof address);
	for (struct ua_peer *peer = kept_alive ? peers : NULL; peer && count < MOST_TOLD; peer = peer->next)
		if (peer->is.keepalive_ms && peer->is.flow_failed && is_way_to(peer, end))
			told[count++] = ua_peer_ref(peer);
	for (uint32_t i = 0; i < count; i++) {
		if (told[i]->charge.owner)
			CORE_INTO(told[i]->charge.owner, told[i]->is.flow_failed(told[i]->is.self, told[i]->is.name, address));
		ua_peer_unref(told[i]);
	}
}

/* ---- calls ---------------------------------------------------------------------------- */

bool ua_peer_enter(struct ua_peer *peer, bool inbound, bool is_emergency)
{
	struct ua_peer_traffic *traffic = peer->traffic;
	uint64_t second = core_now_ms() / 1000;

	if (traffic->second_at_ms != second) {
		traffic->second_at_ms = second;
		traffic->in_second = 0;
	}
	if (!is_emergency && peer->is.max_calls && traffic->calls_in + traffic->calls_out >= peer->is.max_calls)
		return false;
	if (!is_emergency && !inbound && peer->is.max_cps && traffic->in_second >= peer->is.max_cps)
		return false;
	traffic->in_second += !inbound;
	traffic->calls_in += inbound;
	traffic->calls_out += !inbound;
	return true;
}

void ua_peer_leave(struct ua_peer *peer, bool inbound)
{
	*(inbound ? &peer->traffic->calls_in : &peer->traffic->calls_out) -= 1;
}

static bool is_companion(const struct core_codec *codec)
{
	return strcasecmp(codec->name, "telephone-event") == 0 || strcasecmp(codec->name, "CN") == 0;
}

bool ua_peer_pick_codecs(const struct ua_peer *peer, struct core_media_desc *desc)
{
	return ua_codecs_pick(&peer->is.codecs, desc);
}

bool ua_codecs_pick(const struct pbx_list *wanted, struct core_media_desc *desc)
{
	struct core_codec picked[CORE_MOST_CODECS];
	uint8_t count = 0;

	if (wanted->count == 0 || !desc->present || desc->t38.on)
		return true;
	for (uint32_t i = 0; i < wanted->count; i++)
		for (uint8_t at = 0; at < desc->codec_count && count < CORE_MOST_CODECS; at++)
			if (strcasecmp(desc->codecs[at].name, wanted->items[i]) == 0)
				picked[count++] = desc->codecs[at];
	bool has_speech = count > 0;
	for (uint8_t at = 0; at < desc->codec_count && count < CORE_MOST_CODECS; at++)
		if (is_companion(&desc->codecs[at]))
			picked[count++] = desc->codecs[at];
	memcpy(desc->codecs, picked, count * sizeof picked[0]);
	desc->codec_count = count;
	return has_speech;
}

static bool is_wanted(const struct pbx_list *wanted, const char *name)
{
	for (uint32_t i = 0; i < wanted->count; i++)
		if (strcasecmp(wanted->items[i], name) == 0)
			return true;
	return false;
}

bool ua_codecs_keep(const struct pbx_list *wanted, struct core_media_desc *desc)
{
	bool has_speech = false;
	uint8_t count = 0;

	if (wanted->count == 0 || !desc->present || desc->t38.on)
		return true;
	for (uint8_t at = 0; at < desc->codec_count; at++) {
		bool companion = is_companion(&desc->codecs[at]);

		if (!companion && !is_wanted(wanted, desc->codecs[at].name))
			continue;
		has_speech = has_speech || !companion;
		desc->codecs[count++] = desc->codecs[at];
	}
	desc->codec_count = count;
	return has_speech;
}

void ua_peer_attempted(const struct ua_peer *peer, const struct pbx_sip_attempt *attempt)
{
	if (peer->charge.owner && peer->is.attempted)
		CORE_INTO(peer->charge.owner, peer->is.attempted(peer->is.self, attempt));
}
