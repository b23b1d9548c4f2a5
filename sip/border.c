/*
 * border.c - the guard of the border, asked
 *
 * A plugin offers itself by "pbx.border/1". During an upgrade two versions of it are there: the younger one is asked.
 */
#include "border.h"
#include "address.h"
#include "auth.h"
#include "connection.h"
#include "gate.h"
#include "identity.h"
#include "overlap.h"
#include "owner.h"
#include "peer.h"
#include <stdlib.h>
#include <string.h>

struct guard {
	struct pbx_border_guard asked;
	struct core_charge charge;
	struct guard *next; /* older ones */
};

static struct guard *guards;
static uint64_t last_id;

/* ---- the service ---------------------------------------------------------------------- */

static void guard_free(struct guard *guard)
{
	struct guard **at = &guards;

	while (*at != guard)
		at = &(*at)->next;
	*at = guard->next;
	core_charge_remove(&guard->charge);
	free(guard);
}

static void revoke_guard(struct core_charge *charge)
{
	guard_free((struct guard *)((char *)charge - offsetof(struct guard, charge)));
}

static struct guard *guard_of(const struct pbx_host *host)
{
	struct guard *guard = guards;

	while (guard && guard->charge.owner != host)
		guard = guard->next;
	return guard;
}

static int set_guard(struct pbx_host *host, const struct pbx_border_guard *asked)
{
	struct guard *own = guard_of(host);

	if (!asked || asked->size < offsetof(struct pbx_border_guard, packet) + sizeof asked->packet)
		return PBX_EINVAL;
	if (!own && guards && strcmp(core_owner_name(guards->charge.owner), core_owner_name(host)) != 0)
		return PBX_EEXIST;
	if (!own) {
		own = calloc(1, sizeof *own);
		if (!own)
			return PBX_ENOMEM;
		own->next = guards;
		guards = own;
		core_charge_add(host, &own->charge, "border guard", false, revoke_guard);
	}
	memset(&own->asked, 0, sizeof own->asked);
	core_copy_overlap(&own->asked, sizeof own->asked, asked, asked->size);
	return PBX_OK;
}

static int unset_guard(struct pbx_host *host)
{
	struct guard *own = guard_of(host);

	if (!own)
		return PBX_ENOENT;
	guard_free(own);
	return PBX_OK;
}

static int review(struct pbx_host *host, const uint8_t address[16], uint32_t bits)
{
	if (!address || bits > 128)
		return PBX_EINVAL;
	if (!guard_of(host))
		return PBX_ENOENT;
	ua_connections_review(address, bits);
	core_gate_review();
	return PBX_OK;
}

const struct pbx_border ua_border_service = {
	.header = PBX_HEADER(struct pbx_border), .guard = set_guard, .unguard = unset_guard, .review = review
};

/* ---- the questions -------------------------------------------------------------------- */

static struct pbx_border_source source_of(const struct core_addr *addr, const char *transport)
{
	struct pbx_border_source source = { .size = sizeof source,
					    .port = ua_address_port(addr),
					    .transport = transport,
					    .is_peer = ua_part && (ua_is_peer(ua_part, addr) || ua_peer_at(addr)) };

	ua_address_bytes(addr, source.address);
	return source;
}

/* For functions that answer; the owner's time is charged to it. */
#define ASK(ret, function, ...)                                                                                                            \
	do {                                                                                                                               \
		core_enter(guards->charge.owner);                                                                                          \
		(ret) = guards->asked.function(guards->asked.self, __VA_ARGS__);                                                           \
		core_leave();                                                                                                              \
	} while (0)

uint32_t ua_border_packet(const struct core_addr *addr, const char *transport)
{
	uint32_t verdict = PBX_BORDER_PASS;

	if (!guards || !guards->asked.packet)
		return verdict;
	const struct pbx_border_source source = source_of(addr, transport);
	ASK(verdict, packet, &source);
	return verdict;
}

bool ua_border_lets_in(const struct core_addr *addr, const char *transport)
{
	return ua_border_packet(addr, transport) != PBX_BORDER_DROP;
}

bool ua_border_drops_malformed(const struct core_addr *addr, const char *why)
{
	uint32_t verdict = PBX_BORDER_PASS;

	if (!guards || !guards->asked.malformed)
		return false;
	const struct pbx_border_source source = source_of(addr, "udp");
	ASK(verdict, malformed, &source, why);
	return verdict == PBX_BORDER_DROP;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static uint32_t count_headers(msg_t *msg)
{
	uint32_t count = 0;

	for (const msg_header_t *header = *msg_chain_head(msg); header; header = (const msg_header_t *)header->sh_succ)
		count++;
	return count;
}

uint32_t ua_border_request(const struct ua_request *request)
{
	const sip_t *sip = request->sip;
	uint32_t verdict = PBX_BORDER_PASS;

	if (!guards || !guards->asked.request)
		return verdict;
	const struct pbx_border_source source = source_of(&request->source, request->transport);
	const struct pbx_border_request seen = {
		.size = sizeof seen,
		.method = sip->sip_request->rq_method_name,
		.user_agent = sip->sip_user_agent ? or_empty(sip->sip_user_agent->g_string) : "",
		.from_name = or_empty(sip->sip_from->a_display),
		.from_user = or_empty(sip->sip_from->a_url->url_user),
		.from_host = or_empty(sip->sip_from->a_url->url_host),
		.to_user = or_empty(sip->sip_to->a_url->url_user),
		.to_host = or_empty(sip->sip_to->a_url->url_host),
		.uri_user = or_empty(sip->sip_request->rq_url->url_user),
		.uri_host = or_empty(sip->sip_request->rq_url->url_host),
		.bytes = (uint32_t)msg_size(request->msg),
		.headers = count_headers(request->msg),
	};
	ASK(verdict, request, &source, &seen);
	return verdict;
}

void ua_border_failed(const struct ua_request *request, const char *user)
{
	if (!guards || !guards->asked.failed)
		return;
	const struct pbx_border_source source = source_of(&request->source, request->transport);
	CORE_INTO(guards->charge.owner, guards->asked.failed(guards->asked.self, &source, user));
}

int ua_border_admit(const struct ua_request *request, const struct core_media_desc *offer, uint64_t *ret_id, uint32_t *ret_retry_s)
{
	char dialled[64];
	int err = PBX_OK;

	*ret_id = 0;
	*ret_retry_s = 5;
	if (!guards || !guards->asked.admit)
		return PBX_OK;
	ua_identity_user(request->sip->sip_request->rq_url, dialled, sizeof dialled);
	const struct pbx_border_source source = source_of(&request->source, request->transport);
	const struct pbx_border_call call = { .size = sizeof call,
					      .id = ++last_id,
					      .dialled = dialled,
					      .account = request->account,
					      .peer = request->peer ? request->peer->is.name : "",
					      .codec = offer->present && offer->codec_count ? offer->codecs[0].name : "",
					      .ptime_ms = offer->ptime_ms,
					      .secure = offer->secure };
	ASK(err, admit, &source, &call, ret_retry_s);
	if (err == PBX_OK)
		*ret_id = last_id;
	return err;
}

void ua_border_call_over(uint64_t id)
{
	if (id && guards && guards->asked.call_over)
		CORE_INTO(guards->charge.owner, guards->asked.call_over(guards->asked.self, id));
}
