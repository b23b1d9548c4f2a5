/*
 * session_invite.c - the INVITE of a session, at one address of the peer after the other
 *
 *    the way ──► INVITE to a candidate ──► 2xx: ACK, it stands
 *                   ▲   │                  401, 407, 422: said again, there
 *                   │   │                  3xx, 4xx, 6xx: nobody takes it
 *                   └───┴── silence, broken transport, 408, 5xx: the next candidate, while there is one
 *
 * What is given up before it is answered gets a CANCEL and lives on without its session; a 200 that crosses it gets ACK and BYE.
 */
#include "session_internal.h"
#include "dialog_internal.h"
#include "gruu.h"
#include "loop.h"
#include "timer.h"
#include "tls.h"
#include "transport.h"
#include <stdlib.h>
#include <string.h>

#define CANDIDATE_MS 4000u
#define CANCEL_MS 32000u /* 64*T1 (RFC 3261 9.1) */

static struct ua_invitation *invitations;

/* ---- life ----------------------------------------------------------------------------- */

static void invitation_free(struct ua_invitation *invitation)
{
	*invitation->at = invitation->next;
	if (invitation->next)
		invitation->next->at = invitation->at;
	(void)core_timer_stop(invitation->forget); /* most have none */
	nta_outgoing_destroy(invitation->out);
	nta_incoming_destroy(invitation->unconfirmed);
	nta_leg_destroy(invitation->leg);
	ua_peer_unref(invitation->peer);
	free(invitation->shown);
	free(invitation);
}

void ua_invitation_end(struct ua_invitation *invitation)
{
	if (invitation->session)
		invitation->session->invitation = NULL;
	invitation_free(invitation);
}

void ua_invitations_fini(void)
{
	while (invitations)
		invitation_free(invitations);
}

/* Where Contact says that we are, with the plugin's parameters. */
static void write_contact(struct ua_invitation *invitation, const struct ua_candidate *candidate, const char *params)
{
	const char *token = invitation->peer->is.contact_user;
	bool is_udp = strcmp(candidate->transport, "udp") == 0;
	bool is_secure = strncasecmp(invitation->uri, "sips:", 5) == 0; /* then so is this (RFC 3261 8.1.1.8) */
	char hostport[72];

	ua_agent_contact(ua_part, invitation->listener, &candidate->addr, candidate->transport, hostport, sizeof hostport);
	(void)snprintf(invitation->contact, sizeof invitation->contact, "<%s:%.64s%s%s%s%s>%s", is_secure ? "sips" : "sip", token,
		       token[0] ? "@" : "", hostport,
		       is_udp || is_secure ? "" : ";transport=", is_udp || is_secure ? "" : candidate->transport, params);
}

static bool open_leg(struct ua_invitation *invitation, const struct ua_session *session)
{
	const struct pbx_session_spec *spec = &session->spec;
	char from[600], to[600];
	sip_call_id_t id[1];

	sip_call_id_init(id); /* as text nta_leg_tcreate would not take it */
	id->i_id = session->call_id;
	(void)snprintf(from, sizeof from, "<%s>", spec->from);
	(void)snprintf(to, sizeof to, "<%s>", spec->uri);
	invitation->leg = nta_leg_tcreate(ua_part->agent, ua_session_on_request, (struct ua_dialog *)invitation, SIPTAG_FROM_STR(from),
					  SIPTAG_TO_STR(to), SIPTAG_CALL_ID(id), TAG_END());
	return invitation->leg && nta_leg_tag(invitation->leg, NULL);
}

/* NULL: no memory. */
static struct ua_invitation *invitation_new(struct ua_session *session, const struct ua_candidate *candidate)
{
	struct ua_invitation *invitation = calloc(1, sizeof *invitation);

	if (!invitation)
		return NULL;
	invitation->next = invitations;
	invitation->at = &invitations;
	if (invitations)
		invitations->at = &invitation->next;
	invitations = invitation;
	invitation->session = session;
	invitation->peer = ua_peer_ref(session->peer);
	memcpy(invitation->transport, candidate->transport, sizeof invitation->transport);
	invitation->listener = ua_listener_towards(ua_part, candidate->transport, &candidate->addr);
	(void)snprintf(invitation->uri, sizeof invitation->uri, "%s", session->spec.uri);
	ua_way_route(candidate, invitation->route, sizeof invitation->route);
	invitation->keeps_route =
		strcmp(candidate->transport, "tls") == 0; /* a Contact rarely has what the certificate names, or says TLS */
	write_contact(invitation, candidate, session->spec.contact_params);
	if (open_leg(invitation, session))
		return invitation;
	invitation_free(invitation);
	return NULL;
}

/* ---- requests ------------------------------------------------------------------------- */

/* Whether requests have routes of their own to follow. */
static bool has_route(const struct ua_invitation *invitation)
{
	const sip_route_t *route = NULL;

	(void)nta_leg_get_route(invitation->leg, &route, NULL); /* fails for a leg without one */
	return route != NULL;
}

/* What credentials are for: the Request-URI. */
static void write_target(const struct ua_invitation *invitation, char *ret_uri, size_t size)
{
	const sip_contact_t *target = NULL;
	const sip_route_t *route = NULL;

	if (nta_leg_get_route(invitation->leg, &route, &target) < 0 || !target ||
	    url_e(ret_uri, (isize_t)size, target->m_url) >= (isize_t)size)
		(void)snprintf(ret_uri, size, "%s", invitation->uri);
}

nta_outgoing_t *ua_invitation_send(struct ua_invitation *invitation, nta_response_f *callback, sip_method_t method, const char *name,
				   const struct ua_body *body, const char *headers)
{
	const bool is_first = method == sip_method_invite && !invitation->stands, negotiates = method != sip_method_bye;
	const struct pbx_sip_peer *is = &invitation->peer->is;
	const char *ident = ua_transport_ident(invitation->listener, invitation->transport);
	const char *type = body ? body->type : NULL, *disposition = body ? body->disposition : NULL;
	const url_string_t *towards = is_first || (invitation->keeps_route && !has_route(invitation)) ? ua_url(invitation->route) : NULL;
	char uri[600], credentials[2048], refresh[128] = "", proxy[300];
	sip_payload_t payload[1];

	write_target(invitation, uri, sizeof uri);
	ua_credentials_write(&invitation->credentials, invitation->peer, name, uri, credentials, sizeof credentials);
	if (method == sip_method_invite) {
		free(invitation->shown);
		invitation->shown = credentials[0] ? strdup(credentials) : NULL; /* without memory its ACK shows none */
	}
	if (negotiates && invitation->session)
		ua_refresh_wish(&invitation->session->refresh, refresh, sizeof refresh);
	(void)snprintf(proxy, sizeof proxy, "<%s;lr>", is->proxy);
	sip_payload_init(payload);
	payload->pl_data = type ? body->text : NULL;
	payload->pl_len = type ? body->length : 0;
	ua_count_request(ua_part, method, ",out");
	return nta_outgoing_tcreate(
		invitation->leg, callback, callback ? (struct ua_dialog *)invitation : NULL, towards, method, name,
		is_first ? ua_url(invitation->uri) : NULL, TAG_IF(is_first && is->proxy[0], SIPTAG_ROUTE_STR(proxy)),
		TAG_IF(is_first && !is->proxy[0] && is->routes[0], SIPTAG_ROUTE_STR(is->routes)), SIPTAG_MAX_FORWARDS_STR("70"),
		SIPTAG_USER_AGENT_STR(ua_part->settings->user_agent), TAG_IF(negotiates, SIPTAG_CONTACT_STR(invitation->contact)),
		TAG_IF(negotiates, SIPTAG_UNKNOWN_STR(UA_SESSION_ALLOW)),
		TAG_IF(negotiates && ua_refresh_is_on(ua_part, is), SIPTAG_SUPPORTED_STR("timer")),
		TAG_IF(refresh[0], SIPTAG_HEADER_STR(refresh)), TAG_IF(headers && headers[0], SIPTAG_HEADER_STR(headers)),
		TAG_IF(credentials[0], SIPTAG_HEADER_STR(credentials)), TAG_IF(type, SIPTAG_CONTENT_TYPE_STR(type)),
		TAG_IF(disposition, SIPTAG_CONTENT_DISPOSITION_STR(disposition)), TAG_IF(type, SIPTAG_PAYLOAD(payload)),
		TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
}

/* Number and credentials of an ACK are those of the INVITE, whatever has been sent since (RFC 3261 13.2.2.4). */
void ua_invitation_ack(struct ua_invitation *invitation, const sip_t *response)
{
	const char *ident = ua_transport_ident(invitation->listener, invitation->transport);
	const url_string_t *towards = invitation->keeps_route && !has_route(invitation) ? ua_url(invitation->route) : NULL;
	const char *shown = invitation->shown;
	sip_cseq_t cseq[1];

	sip_cseq_init(cseq);
	cseq->cs_seq = response->sip_cseq->cs_seq;
	cseq->cs_method = sip_method_ack;
	cseq->cs_method_name = "ACK";
	nta_outgoing_destroy(nta_outgoing_tcreate(invitation->leg, NULL, NULL, towards, SIP_METHOD_ACK, NULL, SIPTAG_CSEQ(cseq),
						  SIPTAG_MAX_FORWARDS_STR("70"), TAG_IF(shown, SIPTAG_HEADER_STR(shown)),
						  TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END()));
}

static void say_bye(struct ua_invitation *invitation)
{
	invitation->credentials.tries = 0;
	(void)ua_invitation_send(invitation, NULL, SIP_METHOD_BYE, NULL, NULL); /* no memory: its session timer ends it there */
}

/* ---- given up ------------------------------------------------------------------------- */

static void on_forgotten(void *self, pbx_timer timer)
{
	struct ua_invitation *invitation = self;

	(void)timer;
	invitation->forget = (pbx_timer){ 0 };
	invitation_free(invitation);
}

void ua_invitation_give_up(struct ua_invitation *invitation, bool says_bye)
{
	if (invitation->session)
		invitation->session->invitation = NULL;
	invitation->session = NULL;
	if (invitation->out) {
		ua_count_request(ua_part, sip_method_cancel, ",out");
		(void)nta_outgoing_tcancel(invitation->out, NULL, NULL, TAG_END()); /* refused: the final response is here already */
		(void)core_timer_start(ua_part->host, CANCEL_MS, 0, on_forgotten, invitation,
				       &invitation->forget); /* without it nta's own end must do */
		return;
	}
	if (invitation->unconfirmed && says_bye)
		return; /* no BYE before the ACK (RFC 3261 15) */
	if (invitation->stands && says_bye)
		say_bye(invitation);
	invitation_free(invitation);
}

/* The dialog is the one that has answered. */
static void follow(struct ua_invitation *invitation, const sip_t *sip)
{
	invitation->out = NULL;
	(void)nta_leg_rtag(invitation->leg, sip->sip_to->a_tag);                                      /* no memory: found without one */
	(void)ua_gruu_client_reroute(invitation->leg, sip->sip_record_route, sip->sip_contact, true); /* no memory: To's URI is used */
	invitation->stands = true;
	ua_invitation_ack(invitation, sip);
}

static void on_stray_response(struct ua_invitation *invitation, nta_outgoing_t *orq, uint32_t status, const sip_t *sip)
{
	if (status < 200)
		return;
	if (status < 300 && sip) {
		follow(invitation, sip);
		say_bye(invitation);
		nta_outgoing_destroy(orq);
	}
	invitation_free(invitation);
}

/* ---- one address after the other ------------------------------------------------------ */

static void try_next(struct ua_session *session);

/* Tells whoever has set the peer up. False: the session was closed there and then. */
static bool report(const struct ua_session *session, uint32_t sip_code, bool answered)
{
	pbx_session handle = session->handle;
	const struct pbx_sip_attempt attempt = {
		.size = sizeof attempt,
		.peer = session->peer->is.name,
		.method = "INVITE",
		.address = session->address,
		.sip_code = sip_code,
		.took_ms = (uint32_t)(core_now_ms() - session->tried_at_ms),
		.answered_by_peer = answered,
	};

	ua_peer_attempted(session->peer, &attempt);
	return ua_session_lives(handle);
}

static void stop_waiting(struct ua_session *session)
{
	(void)core_timer_stop(session->silence);
	session->silence = (pbx_timer){ 0 };
}

static void go_on(struct ua_session *session, uint32_t sip_code)
{
	session->last_code = sip_code;
	session->at++;
	try_next(session);
}

static void on_silence(void *self, pbx_timer timer)
{
	struct ua_session *session = self;

	(void)timer;
	session->silence = (pbx_timer){ 0 };
	ua_way_report(&session->way->candidates[session->at], PBX_SIP_TRIED_SILENT);
	ua_invitation_give_up(session->invitation, true);
	if (report(session, 408, false))
		go_on(session, 408);
}

static void on_taken(struct ua_session *session, const sip_t *sip)
{
	const uint32_t status = (uint32_t)sip->sip_status->st_status;
	struct ua_parts parts;

	ua_way_report(&session->way->candidates[session->at], PBX_SIP_TRIED_OK);
	follow(session->invitation, sip);
	(void)core_timer_stop(session->deadline);
	session->deadline = (pbx_timer){ 0 };
	free(session->way);
	session->way = NULL;
	if (!report(session, status, true))
		return;
	if (ua_parts_read(sip, &parts) == PBX_OK) {
		session->sdp = session->body.sdp;
		session->body.sdp = NULL;
		session->invitation->credentials.tries = 0;
		ua_session_note_peer(session, sip);
		ua_refresh_answered(&session->refresh, sip);
		ua_session_answered(session, status, sip, &parts);
		ua_parts_fini(&parts);
	} else {
		ua_session_answered(session, 488, NULL, NULL); /* what cannot be read is ended with a BYE */
	}
}

static int on_invite_response(struct ua_dialog *magic, nta_outgoing_t *orq, const sip_t *sip);

static bool send_invite(struct ua_session *session)
{
	const struct ua_candidate *candidate = &session->way->candidates[session->at];
	const char *require = session->spec.require;
	char *headers = NULL;

	if (asprintf(&headers, "%s%s%s%s", require[0] ? "Require: " : "", require, require[0] ? "\n" : "", session->headers) < 0)
		return false;
	ua_tls_calls(candidate->tls_name);
	session->invitation->out = ua_invitation_send(session->invitation, on_invite_response, SIP_METHOD_INVITE, &session->body, headers);
	ua_tls_calls(NULL);
	free(headers);
	return session->invitation->out != NULL;
}

/* Whether it is to be said again, at the same address. */
static bool may_say_again(struct ua_session *session, uint32_t status, const sip_t *sip)
{
	if (status == 401 || status == 407)
		return ua_credentials_take(&session->invitation->credentials, session->peer, sip);
	return status == 422 && ua_refresh_may_retry(&session->refresh, sip);
}

static void on_refused(struct ua_session *session, uint32_t status, const sip_t *sip, bool is_own)
{
	const bool is_way = is_own || status == 408 || (status >= 500 && status < 600);

	ua_way_report(&session->way->candidates[session->at], is_own && status == 408 ? PBX_SIP_TRIED_SILENT
							      : is_own                ? PBX_SIP_TRIED_BROKEN
							      : status == 503         ? PBX_SIP_TRIED_REFUSED
										      : PBX_SIP_TRIED_OK);
	if (!is_own && may_say_again(session, status, sip)) {
		if (!send_invite(session))
			ua_session_answered(session, 503, NULL, NULL);
		return;
	}
	ua_invitation_end(session->invitation);
	if (!report(session, status, !is_own))
		return;
	if (is_way && session->at + 1 < session->way->count)
		go_on(session, status);
	else
		ua_session_answered(session, status, is_own ? NULL : sip, NULL);
}

/* Sofia's type for what it hands back is a call's dialog; here it is an invitation. */
static int on_invite_response(struct ua_dialog *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct ua_invitation *invitation = (struct ua_invitation *)magic;
	uint32_t status = sip ? (uint32_t)sip->sip_status->st_status : 408;

	if (!invitation)
		return 0;
	ua_count_response_in(ua_part, sip_method_invite, (int)status);
	if (!invitation->session) {
		on_stray_response(invitation, orq, status, sip);
		return 0;
	}
	stop_waiting(invitation->session);
	if (status < 200)
		return 0;
	invitation->out = NULL;
	if (status < 300)
		on_taken(invitation->session, sip);
	else /* the 408 or 503 may be Sofia's own */
		on_refused(invitation->session, status, sip, !sip || nta_outgoing_delay(orq) == UINT_MAX);
	nta_outgoing_destroy(orq);
	return 0;
}

static void try_next(struct ua_session *session)
{
	const uint32_t silence_ms = session->peer->is.candidate_ms ? session->peer->is.candidate_ms : CANDIDATE_MS;

	for (; session->at < session->way->count; session->at++) {
		const struct ua_candidate *candidate = &session->way->candidates[session->at];

		memcpy(session->address, candidate->host, sizeof session->address);
		session->tried_at_ms = core_now_ms();
		session->invitation = invitation_new(session, candidate);
		if (session->invitation && send_invite(session)) {
			if (session->at + 1 < session->way->count) /* the last one has until the deadline */
				(void)core_timer_start(ua_part->host, silence_ms, 0, on_silence, session,
						       &session->silence); /* without memory Sofia's own timer must do */
			return;
		}
		if (session->invitation)
			ua_invitation_end(session->invitation);
		session->last_code = 503;
	}
	ua_session_answered(session, session->last_code, NULL, NULL);
}

static void on_way(void *context, int result, const struct ua_way *way)
{
	struct ua_session *session = context;

	session->way = result == PBX_OK ? malloc(sizeof *session->way) : NULL;
	if (!session->way) {
		if (result != PBX_OK)
			pbx_warn(ua_part->host, "peer_not_found", "peer=%s host=%s result=%d", session->peer->is.name,
				 session->peer->is.host, result);
		if (report(session, 503, false))
			ua_session_answered(session, 503, NULL, NULL);
		return;
	}
	*session->way = *way;
	try_next(session);
}

void ua_session_invite(struct ua_session *session)
{
	ua_way_find(session->peer, on_way, session, &session->search);
}
