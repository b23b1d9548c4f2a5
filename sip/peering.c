/*
 * peering.c - calls to other SIP systems
 *
 *    ua_peering_invite ──► the way ──► candidate ──► 401, 407: again with credentials
 *                                       │   ▲   └──► 1xx: it is being worked on, no more hurry
 *                                       │   └─────── silence, broken transport, 503: the next candidate
 *                                       └──────────► what remains is a final response like any other
 *
 * Each candidate gets an INVITE with a Call-ID of its own, so that two that lead to the same place are not taken for a loop. One that was
 * given up may still answer: it becomes a dialog by itself, cancelled from the start, whose late 200 is acknowledged and ended with BYE.
 */
#include "peering.h"
#include "tls.h"
#include "transport.h"
#include "identity.h"
#include "loop.h"
#include "timer.h"
#include "trace.h"
#include <stdlib.h>
#include <string.h>

#define CANDIDATE_MS 4000u

struct ua_peering {
	struct ua_peer *peer;
	bool has_channel;
	struct ua_credentials credentials;
	/* of an INVITE of ours */
	struct ua_search *search;
	struct ua_way way;
	char call_id[33]; /* the same at each address that is tried */
	uint32_t at;
	pbx_timer silence; /* or what begins or ends us a moment later */
	uint64_t tried_at_ms;
	uint32_t ring_ms, last_code;
	bool early;
	char *target, *from, *headers;
	struct core_media_desc
		*offer; /* said to each candidate in the words of the listener that it is reached by; NULL: none, or one has taken it */
	uint32_t max_forwards;
};

/* ---- life ----------------------------------------------------------------------------- */

static int peering_new(struct ua_dialog *dialog, struct ua_peer *peer)
{
	dialog->peering = calloc(1, sizeof *dialog->peering);
	if (!dialog->peering)
		return PBX_ENOMEM;
	dialog->peering->peer = ua_peer_ref(peer);
	dialog->is_outside = true;
	dialog->is_trusted = peer->is.flags & PBX_SIP_TRUSTED;
	return PBX_OK;
}

int ua_peering_accept(struct ua_dialog *dialog, struct ua_peer *peer)
{
	int err = peering_new(dialog, peer);

	if (err != PBX_OK)
		return err;
	if (!ua_peer_enter(peer, true, false))
		return PBX_ENOSPC;
	dialog->peering->has_channel = true;
	return PBX_OK;
}

void ua_peering_stop(struct ua_dialog *dialog)
{
	struct ua_peering *peering = dialog->peering;

	if (!peering)
		return;
	ua_way_cancel(peering->search);
	peering->search = NULL;
	(void)core_timer_stop(peering->silence);
	peering->silence = (pbx_timer){ 0 };
}

const struct pbx_sip_peer *ua_peering_peer(const struct ua_dialog *dialog)
{
	return ua_peer_says(dialog->peering ? dialog->peering->peer : NULL);
}

void ua_peering_leave(struct ua_dialog *dialog)
{
	struct ua_peering *peering = dialog->peering;

	ua_peering_stop(dialog);
	if (!peering || !peering->has_channel)
		return;
	peering->has_channel = false;
	ua_peer_leave(peering->peer, dialog->inbound);
}

void ua_peering_free(struct ua_dialog *dialog)
{
	struct ua_peering *peering = dialog->peering;

	if (!peering)
		return;
	ua_peering_leave(dialog);
	ua_peer_unref(peering->peer);
	free(peering->target);
	free(peering->from);
	free(peering->headers);
	free(peering->offer);
	free(peering);
	dialog->peering = NULL;
}

/* ---- what became of a try ------------------------------------------------------------- */

static void report(const struct ua_dialog *dialog, uint32_t sip_code, bool answered)
{
	const struct ua_peering *peering = dialog->peering;
	bool has_candidate = peering->at < peering->way.count;
	const struct pbx_sip_attempt attempt = {
		.size = sizeof attempt,
		.peer = peering->peer->is.name,
		.method = "INVITE",
		.address = has_candidate ? peering->way.candidates[peering->at].host : "",
		.sip_code = sip_code,
		.ring_ms = peering->ring_ms,
		.took_ms = (uint32_t)(core_now_ms() - peering->tried_at_ms),
		.answered_by_peer = answered,
		.early = peering->early,
	};

	ua_peer_attempted(peering->peer, &attempt);
}

/* ---- trying --------------------------------------------------------------------------- */

static void try_next(struct ua_dialog *dialog);

static void end_unreached(struct ua_dialog *dialog, uint32_t sip_code)
{
	char why[64];

	ua_dialog_end(dialog, sip_code, ua_cause_of(NULL, sip_code), true, ua_why_unreached(dialog, sip_code, NULL, why));
}

/* The INVITE that was given up goes on by itself until it is cancelled or answered. */
static void abandon(struct ua_dialog *dialog)
{
	struct ua_dialog *stray = dialog->out ? ua_dialog_new(dialog->ua, false) : NULL;

	if (stray) {
		stray->nta = dialog->nta;
		stray->out = dialog->out;
		stray->released = true;
		memcpy(stray->contact, dialog->contact, sizeof stray->contact);
		memcpy(stray->call_id, dialog->call_id, sizeof stray->call_id);
		nta_leg_bind(stray->nta, ua_dialog_on_request, stray);
		(void)nta_outgoing_bind(stray->out, ua_on_invite_response, stray); /* fails for a destroyed one only */
		ua_cancel(stray, PBX_CAUSE_NO_RESPONSE);
	} else {
		nta_outgoing_destroy(dialog->out);
		nta_leg_destroy(dialog->nta);
	}
	dialog->out = NULL;
	dialog->nta = NULL;
}

static void on_silence(void *self, pbx_timer timer)
{
	struct ua_dialog *dialog = self;
	struct ua_peering *peering = dialog->peering;

	(void)timer;
	peering->silence = (pbx_timer){ 0 };
	ua_way_report(&peering->way.candidates[peering->at], PBX_SIP_TRIED_SILENT);
	report(dialog, 408, false);
	abandon(dialog);
	peering->last_code = 408;
	peering->at++;
	try_next(dialog);
}

int ua_peering_send(struct ua_dialog *dialog)
{
	struct ua_peering *peering = dialog->peering;
	const struct pbx_sip_peer *is = &peering->peer->is;
	char route[UA_WAY_ROUTE], credentials[2048], headers[8192], max_forwards[12], proxy[300], session[128],
		supported[UA_SUPPORTED_SIZE];

	const char *ident = ua_dialog_ident(dialog);
	ua_way_route(&peering->way.candidates[peering->at], route, sizeof route);
	ua_credentials_write(&peering->credentials, peering->peer, "INVITE", peering->target, credentials, sizeof credentials);
	(void)snprintf(headers, sizeof headers, "%s%s", credentials, peering->headers);
	ua_refresh_wish(&dialog->refresh, session, sizeof session);
	ua_supported(dialog->ua, is, supported);
	(void)snprintf(max_forwards, sizeof max_forwards, "%u", peering->max_forwards);
	(void)snprintf(proxy, sizeof proxy, "<%s;lr>", is->proxy);
	ua_count(dialog->ua, UA_METRIC_REQUESTS, "INVITE,out");
	ua_tls_calls(peering->way.candidates[peering->at].tls_name);
	dialog->out = nta_outgoing_tcreate(
		dialog->nta, ua_on_invite_response, dialog, ua_url(route), SIP_METHOD_INVITE, ua_url(peering->target),
		TAG_IF(is->proxy[0], SIPTAG_ROUTE_STR(proxy)), TAG_IF(!is->proxy[0] && is->routes[0], SIPTAG_ROUTE_STR(is->routes)),
		SIPTAG_CONTACT_STR(dialog->contact), SIPTAG_MAX_FORWARDS_STR(max_forwards),
		SIPTAG_USER_AGENT_STR(dialog->ua->settings->user_agent), SIPTAG_UNKNOWN_STR(UA_ALLOW_LINE), SIPTAG_SUPPORTED_STR(supported),
		TAG_IF(session[0], SIPTAG_HEADER_STR(session)), TAG_IF(headers[0], SIPTAG_HEADER_STR(headers)),
		TAG_IF(dialog->body, SIPTAG_CONTENT_TYPE_STR("application/sdp")), TAG_IF(dialog->body, SIPTAG_PAYLOAD_STR(dialog->body)),
		TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
	ua_tls_calls(NULL);
	return dialog->out ? PBX_OK : PBX_EIO;
}

/* What follows in the dialog goes by the connection whose certificate was looked at, unless routes were recorded: the address in a Contact is
 * rarely in a certificate, and where it says nothing of TLS, keys would go in clear. False: no memory. */
static bool keep_connection(struct ua_dialog *dialog, const struct ua_candidate *candidate)
{
	char route[UA_WAY_ROUTE];

	free(dialog->route);
	dialog->route = NULL;
	if (strcmp(candidate->transport, "tls") != 0)
		return true;
	ua_way_route(candidate, route, sizeof route);
	dialog->route = strdup(route);
	return dialog->route != NULL;
}

/* PBX_OK, PBX_ENOTSUP (nothing of the offer is spoken by the listener that it goes out by), PBX_ENOMEM, PBX_ENOSPC. */
static int open_dialog(struct ua_dialog *dialog, const struct ua_candidate *candidate)
{
	const struct ua_peering *peering = dialog->peering;
	const char *token = peering->peer->is.contact_user;
	char hostport[72], to[600];
	bool is_udp = strcmp(candidate->transport, "udp") == 0;

	dialog->peer = candidate->addr;
	memcpy(dialog->transport, candidate->transport, sizeof dialog->transport - 1);
	dialog->listener = ua_listener_towards(dialog->ua, dialog->transport, &dialog->peer);
	ua_agent_contact(dialog->ua, dialog->listener, &dialog->peer, dialog->transport, hostport, sizeof hostport);
	(void)snprintf(dialog->contact, sizeof dialog->contact, "<sip:%.32s%s%s%s%s>", token, token[0] ? "@" : "", hostport,
		       is_udp ? "" : ";transport=", is_udp ? "" : candidate->transport);
	(void)snprintf(to, sizeof to, "<%s>", peering->target);
	int err = peering->offer ? ua_dialog_describe_offer(dialog, peering->offer, dialog->transport) : PBX_OK;
	if (err != PBX_OK)
		return err;
	return keep_connection(dialog, candidate) && ua_dialog_open(dialog, peering->from, to, peering->call_id) ? PBX_OK : PBX_ENOMEM;
}

static void try_next(struct ua_dialog *dialog)
{
	struct ua_peering *peering = dialog->peering;
	uint32_t silence_ms = peering->peer->is.candidate_ms ? peering->peer->is.candidate_ms : CANDIDATE_MS;

	for (; peering->at < peering->way.count; peering->at++) {
		peering->tried_at_ms = core_now_ms();
		memset(&peering->credentials, 0, sizeof peering->credentials);
		int err = open_dialog(dialog, &peering->way.candidates[peering->at]);
		if (err == PBX_OK)
			err = ua_peering_send(dialog);
		if (err == PBX_OK) {
			(void)core_timer_start(dialog->ua->host, silence_ms, 0, on_silence, dialog,
					       &peering->silence); /* without memory Sofia's own timer must do */
			return;
		}
		nta_leg_destroy(dialog->nta);
		dialog->nta = NULL;
		peering->last_code = err == PBX_ENOTSUP ? 488 : 503;
	}
	end_unreached(dialog, peering->last_code ? peering->last_code : 503);
}

static void on_way(void *context, int result, const struct ua_way *way)
{
	struct ua_dialog *dialog = context;
	struct ua_peering *peering = dialog->peering;

	if (result != PBX_OK) {
		pbx_warn(dialog->ua->host, "peer_not_found", "peer=%s host=%s result=%d", peering->peer->is.name, peering->peer->is.host,
			 result);
		report(dialog, 503, false);
		ua_dialog_end(dialog, 503, ua_cause_of(NULL, 503), true, result == PBX_ENOENT ? "DNS: no such host" : "DNS: no answer");
		return;
	}
	peering->way = *way;
	try_next(dialog);
}

static void on_begin(void *self, pbx_timer timer)
{
	struct ua_dialog *dialog = self;

	(void)timer;
	dialog->peering->silence = (pbx_timer){ 0 };
	ua_way_find(dialog->peering->peer, on_way, dialog, &dialog->peering->search);
}

/* ---- the beginning -------------------------------------------------------------------- */

/* What INVITEs to the peer say, whichever candidate gets them. */
static int prepare(struct ua_dialog *dialog, const struct core_invite *invite)
{
	struct ua_peering *peering = dialog->peering;
	const struct pbx_sip_peer *is = &peering->peer->is;
	char from[700], headers[6000], user[300], port[12] = "";
	bool is_uri = strncasecmp(invite->target, "sip:", 4) == 0 || strncasecmp(invite->target, "sips:", 5) == 0;

	ua_identity_for_peer(&peering->peer->is, invite, from, sizeof from, headers, sizeof headers);
	ua_identity_escape(invite->target, user, sizeof user);
	if (is->port)
		(void)snprintf(port, sizeof port, ":%u", is->port);
	if (is_uri)
		peering->target = strdup(invite->target);
	else if (asprintf(&peering->target, "sip:%s@%s%s", user, is->host, port) < 0)
		peering->target = NULL;
	peering->from = strdup(from);
	peering->headers = strdup(headers);
	peering->max_forwards = invite->max_forwards ? invite->max_forwards : 70;
	(void)snprintf(dialog->call_id, sizeof dialog->call_id, "%s", invite->call_id ? invite->call_id : "");
	ua_dialog_make_call_id(dialog->peering->call_id);
	core_trace_bind(dialog->peering->call_id, dialog->call_id);
	return peering->target && peering->from && peering->headers ? PBX_OK : PBX_ENOMEM;
}

static int keep_offer(struct ua_peering *peering, const struct core_media_desc *offer)
{
	if (!offer)
		return PBX_OK;
	peering->offer = malloc(sizeof *peering->offer);
	if (!peering->offer)
		return PBX_ENOMEM;
	*peering->offer = *offer;
	return ua_peer_pick_codecs(peering->peer, peering->offer) ? PBX_OK : PBX_ENOTSUP;
}

int ua_peering_invite(pbx_leg leg, const struct core_invite *invite, void **ret_dialog)
{
	struct ua_peer *peer = ua_peer_find(invite->peer);

	if (!peer || peer->is.flags & PBX_SIP_DISABLED)
		return PBX_ENOENT;
	struct ua_dialog *dialog = ua_dialog_new(ua_part, false);
	if (!dialog)
		return PBX_ENOMEM;
	int err = peering_new(dialog, peer);
	if (err == PBX_OK)
		err = keep_offer(dialog->peering, invite->offer);
	if (err == PBX_OK)
		err = prepare(dialog, invite);
	if (err == PBX_OK) {
		dialog->peering->has_channel = ua_peer_enter(peer, false, invite->flags & PBX_TARGET_EMERGENCY);
		err = dialog->peering->has_channel ? PBX_OK : PBX_ENOSPC;
	}
	if (err == PBX_OK) /* from the loop: what ends it at once must find a leg that knows us */
		err = core_timer_start(ua_part->host, 0, 0, on_begin, dialog, &dialog->peering->silence);
	return ua_dialog_begun(dialog, err, leg, ret_dialog);
}

/* ---- responses ------------------------------------------------------------------------ */

static bool go_on(struct ua_dialog *dialog, nta_outgoing_t *orq)
{
	nta_outgoing_destroy(orq);
	nta_leg_destroy(dialog->nta);
	dialog->out = NULL;
	dialog->nta = NULL;
	dialog->peering->at++;
	try_next(dialog);
	return true;
}

static void on_first_sign(struct ua_peering *peering, uint32_t status, const sip_t *sip)
{
	if (status > 100 && !peering->ring_ms)
		peering->ring_ms = (uint32_t)(core_now_ms() - peering->tried_at_ms) + 1;
	if (status > 100 && sip && sip->sip_payload)
		peering->early = true;
}

bool ua_peering_took(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip)
{
	struct ua_peering *peering = dialog->peering;
	uint32_t status = (uint32_t)nta_outgoing_status(orq);
	bool is_own = !sip || nta_outgoing_delay(orq) == UINT_MAX; /* the 408 or 503 is Sofia's */

	if (!peering || peering->at >= peering->way.count || orq != dialog->out || dialog->state >= UA_ANSWERED)
		return false;
	const struct ua_candidate *candidate = &peering->way.candidates[peering->at];
	(void)core_timer_stop(peering->silence);
	peering->silence = (pbx_timer){ 0 };
	if (status < 200) {
		on_first_sign(peering, status, sip);
		return false;
	}
	ua_way_report(candidate, is_own && status == 408 ? PBX_SIP_TRIED_SILENT
				 : is_own                ? PBX_SIP_TRIED_BROKEN
				 : status == 503         ? PBX_SIP_TRIED_REFUSED
							 : PBX_SIP_TRIED_OK);
	if (status < 300) {
		free(peering->offer);
		peering->offer = NULL;
	}
	if (dialog->cancelled || status == 422)
		return false; /* a session timer too short is not the way's fault */
	if ((status == 401 || status == 407) && !is_own && ua_credentials_take(&peering->credentials, peering->peer, sip)) {
		nta_outgoing_destroy(orq);
		dialog->out = NULL;
		if (ua_peering_send(dialog) == PBX_OK)
			return true;
		end_unreached(dialog, 503);
		return true;
	}
	report(dialog, status, !is_own);
	peering->last_code = status;
	if ((is_own || status == 503) && !peering->early && peering->at + 1 < peering->way.count)
		return go_on(dialog, orq);
	return false;
}

void ua_peering_credentials(struct ua_dialog *dialog, const char *method, char *ret_lines, size_t size)
{
	struct ua_peering *peering = dialog->peering;
	const sip_contact_t *target = NULL;
	const sip_route_t *route = NULL;
	char uri[512] = "";

	ret_lines[0] = '\0';
	if (!peering || (!peering->credentials.server.known && !peering->credentials.proxy.known))
		return;
	if (nta_leg_get_route(dialog->nta, &route, &target) >= 0 && target)
		(void)url_e(uri, sizeof uri, target->m_url);
	peering->credentials.tries = 0;
	ua_credentials_write(&peering->credentials, peering->peer, method, uri[0] ? uri : peering->target, ret_lines, size);
}
