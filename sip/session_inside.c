/*
 * session_inside.c - what is said inside a session that stands
 *
 * Ours: one request at a time, the plugin's update before a refresh. It waits while one of theirs is open; after a 491 it is said again 2.1 to
 * 4 s later, as the one who has made the dialog must (RFC 3261 14.1).
 * Theirs: what has a body is the plugin's to answer, one at a time; what only keeps the session alive is answered here. A re-INVITE without
 * SDP is told our last one, and its ACK brings theirs.
 */
#include "session_internal.h"
#include "contact.h"
#include "dialog_internal.h"
#include "gruu.h"
#include "random.h"
#include "timer.h"
#include <stdlib.h>
#include <string.h>

#define SDP "application/sdp"

/* ---- ours ----------------------------------------------------------------------------- */

static int on_said(struct ua_dialog *magic, nta_outgoing_t *orq, const sip_t *sip);

static bool is_busy(const void *self)
{
	const struct ua_session *session = self;

	return session->out || session->asked || session->glare.id || session->invitation->unconfirmed;
}

static int send_invite(struct ua_session *session, const struct ua_body *body)
{
	const char *require = session->spec.require;
	char line[400];

	(void)snprintf(line, sizeof line, "%s%s%s", require[0] ? "Require: " : "", require, require[0] ? "\n" : "");
	session->out = ua_invitation_send(session->invitation, on_said, SIP_METHOD_INVITE, body, line);
	return session->out ? PBX_OK : PBX_ENOMEM;
}

/* Borrowed. */
static struct ua_body last_sdp(const struct ua_session *session)
{
	static char type[] = SDP;

	if (!session->sdp)
		return (struct ua_body){ 0 };
	return (struct ua_body){ .type = type, .text = session->sdp, .length = (uint32_t)strlen(session->sdp) };
}

static int send_refresh(struct ua_session *session)
{
	const struct ua_body last = last_sdp(session);

	if (!session->peer_updates)
		return send_invite(session, &last);
	session->out = ua_invitation_send(session->invitation, on_said, SIP_METHOD_UPDATE, NULL, NULL);
	return session->out ? PBX_OK : PBX_ENOMEM;
}

/* Says what is due, if it may be said now: an update is a refresh too. */
static int say(struct ua_session *session)
{
	uint32_t due = session->due;

	if (!due || is_busy(session))
		return PBX_OK;
	session->due = 0;
	session->under_way = due & UA_SAY_UPDATE ? UA_SAY_UPDATE : UA_SAY_REFRESH;
	int err = session->under_way == UA_SAY_UPDATE ? send_invite(session, &session->body) : send_refresh(session);
	if (err != PBX_OK)
		session->under_way = 0;
	return err;
}

/* The same when nobody waits for the result: an update that cannot be sent is one that has failed. */
static void say_due(struct ua_session *session)
{
	bool has_update = session->due & UA_SAY_UPDATE;

	if (say(session) != PBX_OK && has_update)
		ua_session_answered(session, 503, NULL, NULL);
}

int ua_session_say(struct ua_session *session, uint32_t what)
{
	session->due |= what;
	session->invitation->credentials.tries = 0;
	return say(session);
}

static void on_glare_over(void *self, pbx_timer timer)
{
	struct ua_session *session = self;

	(void)timer;
	session->glare = (pbx_timer){ 0 };
	say_due(session);
}

static void say_again(struct ua_session *session, uint32_t what)
{
	session->due |= what;
	say_due(session);
}

static void say_later(struct ua_session *session, uint32_t what)
{
	uint64_t after_ms = 2100 + core_random_below(191) * 10ull;

	session->due |= what;
	if (core_timer_start(ua_part->host, after_ms, 0, on_glare_over, session, &session->glare) != PBX_OK)
		say_due(session);
}

/* Answers an update that has failed. False: the plugin has closed the session. */
static bool tell_failure(struct ua_session *session, uint32_t what, uint32_t status, const sip_t *sip)
{
	pbx_session handle = session->handle;

	if (what == UA_SAY_UPDATE)
		ua_session_answered(session, status, sip, NULL);
	return ua_session_lives(handle);
}

static void on_agreed(struct ua_session *session, uint32_t what, bool is_invite, const sip_t *sip)
{
	pbx_session handle = session->handle;
	struct ua_parts parts;
	int err = ua_parts_read(sip, &parts);

	if (sip->sip_contact)
		(void)ua_gruu_client_reroute(session->invitation->leg, NULL, sip->sip_contact,
					     false); /* no memory: the old target serves on */
	if (is_invite)
		ua_invitation_ack(session->invitation, sip);
	session->invitation->credentials.tries = 0;
	ua_session_note_peer(session, sip);
	ua_refresh_answered(&session->refresh, sip);
	if (err != PBX_OK) {
		if (tell_failure(session, what, 488, NULL))
			ua_session_over(session, 488, "an answer that cannot be read", true);
		return;
	}
	if (what == UA_SAY_UPDATE) {
		if (session->body.sdp) {
			free(session->sdp);
			session->sdp = session->body.sdp;
			session->body.sdp = NULL;
		}
		ua_session_answered(session, (uint32_t)sip->sip_status->st_status, sip, &parts);
	} else {
		ua_session_changed(session, &parts);
	}
	ua_parts_fini(&parts);
	if (ua_session_lives(handle))
		say_due(session);
}

/* Whether it is worth saying once more, at once. */
static bool may_say_again(struct ua_session *session, uint32_t what, uint32_t status, const sip_t *sip)
{
	if (status == 401 || status == 407)
		return ua_credentials_take(&session->invitation->credentials, session->peer, sip);
	if (status == 422)
		return ua_refresh_may_retry(&session->refresh, sip);
	bool knows_no_update = (status == 405 || status == 501) && what == UA_SAY_REFRESH && session->peer_updates;
	session->peer_updates = session->peer_updates && !knows_no_update; /* whatever its Allow said */
	return knows_no_update;
}

static void on_disagreed(struct ua_session *session, uint32_t what, uint32_t status, const sip_t *sip, bool is_own)
{
	if (is_own || status == 408 || status == 481) { /* the other side has no such dialog any more (RFC 3261 12.2.1.2) */
		if (tell_failure(session, what, status, is_own ? NULL : sip))
			ua_session_over(session, status, is_own ? "no answer" : "dialog is gone", true);
	} else if (status == 491) {
		say_later(session, what);
	} else if (may_say_again(session, what, status, sip)) {
		say_again(session, what);
	} else if (tell_failure(session, what, status, sip)) { /* a refresh: the session ends in time unless a later one is accepted */
		say_due(session);
	}
}

/* Sofia's type for what it hands back is a call's dialog; here it is an invitation. */
static int on_said(struct ua_dialog *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	const struct ua_invitation *invitation = (struct ua_invitation *)magic;
	const uint32_t status = sip ? (uint32_t)sip->sip_status->st_status : 408;
	struct ua_session *session = invitation ? invitation->session : NULL;

	if (!session || status < 200)
		return 0;
	const uint32_t what = session->under_way;
	const bool is_invite = nta_outgoing_method(orq) == sip_method_invite;

	ua_count_response_in(ua_part, nta_outgoing_method(orq), (int)status);
	session->out = NULL;
	session->under_way = 0;
	if (status < 300)
		on_agreed(session, what, is_invite, sip);
	else
		on_disagreed(session, what, status, sip, !sip || nta_outgoing_delay(orq) == UINT_MAX);
	nta_outgoing_destroy(orq);
	return 0;
}

/* ---- what session timers want --------------------------------------------------------- */

static const struct pbx_sip_peer *peer_of(const void *self)
{
	return &((const struct ua_session *)self)->peer->is;
}

static bool stands(const void *self)
{
	const struct ua_session *session = self;

	return session->invitation && session->invitation->stands;
}

static void refresh(void *self)
{
	(void)ua_session_say(self, UA_SAY_REFRESH); /* not sent: the timer ends it, were it to stay so */
}

static void expired(void *self)
{
	ua_session_over(self, 408, "session_timeout", true);
}

const struct ua_refreshed ua_session_refreshed = {
	.peer = peer_of, .stands = stands, .is_busy = is_busy, .refresh = refresh, .expired = expired
};

/* ---- theirs --------------------------------------------------------------------------- */

void ua_session_note_peer(struct ua_session *session, const sip_t *sip)
{
	if (sip->sip_allow)
		session->peer_updates = sip_is_allowed(sip->sip_allow, SIP_METHOD_UPDATE);
}

static void refuse(nta_incoming_t *irq, int status, const char *headers)
{
	ua_reply(ua_part, irq, status, sip_status_phrase(status), headers);
}

/* Their ACK, or that there is none; or a CANCEL of what the plugin has not answered yet. */
static int on_ack_or_cancel(struct ua_dialog *magic, nta_incoming_t *irq, const sip_t *sip)
{
	struct ua_invitation *invitation = (struct ua_invitation *)magic;
	struct ua_session *session = invitation ? invitation->session : NULL;
	struct ua_parts parts = { 0 };

	if (!invitation)
		return 0;
	if (sip && sip->sip_request->rq_method == sip_method_cancel) {
		if (session && irq == session->asked) {
			session->asked = NULL;
			ua_reply(ua_part, irq, SIP_487_REQUEST_CANCELLED, NULL);
			say_due(session);
		}
		return 0;
	}
	if (session && irq == session->asked)
		session->asked = NULL;                                                         /* given up by Sofia */
	bool brings_sdp = invitation->owes_sdp && sip && ua_parts_read(sip, &parts) == PBX_OK; /* what cannot be read changes nothing */
	invitation->unconfirmed = NULL;
	invitation->owes_sdp = false;
	if (!session) {
		ua_invitation_give_up(invitation, true);
	} else if (!sip) {
		ua_session_over(session, 408, "no ACK", true);
	} else {
		pbx_session handle = session->handle;

		if (brings_sdp)
			ua_session_changed(session, &parts);
		if (ua_session_lives(handle))
			say_due(session);
	}
	ua_parts_fini(&parts);
	nta_incoming_destroy(irq);
	return 0;
}

/* An answer; a 200 to an INVITE waits for its ACK, and for their SDP when it has the offer. */
static void answer(struct ua_session *session, nta_incoming_t *irq, int status, const struct ua_body *body, bool has_offer)
{
	struct ua_invitation *invitation = session->invitation;
	const sip_method_t method = nta_incoming_method(irq);
	const bool agrees = status < 300 && (method == sip_method_invite || method == sip_method_update);
	const char *type = body ? body->type : NULL, *disposition = body ? body->disposition : NULL;
	char refreshing[128] = "";
	sip_payload_t payload[1];

	if (agrees)
		ua_refresh_confirm(&session->refresh, refreshing, sizeof refreshing);
	sip_payload_init(payload);
	payload->pl_data = type ? body->text : NULL;
	payload->pl_len = type ? body->length : 0;
	ua_count_response_in(ua_part, method, status);
	int sent = nta_incoming_treply(irq, status, sip_status_phrase(status), SIPTAG_SERVER_STR(ua_part->settings->user_agent),
				       SIPTAG_CONTACT_STR(invitation->contact), SIPTAG_UNKNOWN_STR(UA_SESSION_ALLOW),
				       TAG_IF(ua_refresh_is_on(ua_part, &session->peer->is), SIPTAG_SUPPORTED_STR("timer")),
				       TAG_IF(refreshing[0], SIPTAG_HEADER_STR(refreshing)), TAG_IF(type, SIPTAG_CONTENT_TYPE_STR(type)),
				       TAG_IF(disposition, SIPTAG_CONTENT_DISPOSITION_STR(disposition)),
				       TAG_IF(type, SIPTAG_PAYLOAD(payload)), TAG_END());
	if (agrees)
		ua_refresh_begin(&session->refresh);
	if (agrees && method == sip_method_invite && sent == 0) {
		invitation->unconfirmed = irq;
		invitation->owes_sdp = has_offer;
	} else {
		nta_incoming_destroy(irq);
	}
}

static void answer_refresh(struct ua_session *session, nta_incoming_t *irq)
{
	const bool is_invite = nta_incoming_method(irq) == sip_method_invite;
	const struct ua_body last = last_sdp(session);

	answer(session, irq, 200, is_invite ? &last : NULL, is_invite && session->sdp);
}

/* The parts that the plugin answers with, and our last SDP before them where an INVITE has to have one. */
static int write_answer(const struct ua_session *session, bool needs_sdp, const struct pbx_session_parts *parts, struct ua_body *ret_body)
{
	struct pbx_session_part items[PBX_SESSION_MOST_PARTS];
	struct pbx_session_parts all = { .items = items };

	if (parts && parts->count > PBX_SESSION_MOST_PARTS)
		return PBX_ENOSPC;
	if (parts && parts->count && (!parts->items || parts->items->size < sizeof items[0]))
		return PBX_EINVAL;
	for (uint32_t i = 0; parts && i < parts->count; i++) {
		items[i] = *pbx_session_part_at(parts, i);
		items[i].size = sizeof items[0];
		if (!items[i].type)
			return PBX_EINVAL;
	}
	all.count = parts ? parts->count : 0;
	if (needs_sdp && session->sdp && !ua_sdp_part(&all)) {
		if (all.count == PBX_SESSION_MOST_PARTS)
			return PBX_ENOSPC;
		memmove(items + 1, items, all.count * sizeof items[0]);
		items[0] = (struct pbx_session_part){ .size = sizeof items[0], .type = SDP, .body = session->sdp };
		all.count++;
	}
	return ua_body_write(&all, ret_body);
}

int ua_session_reply(struct ua_session *session, uint32_t sip_code, const struct pbx_session_parts *parts)
{
	nta_incoming_t *irq = session->asked;
	struct ua_body body = { 0 };

	if (!irq)
		return PBX_ESTATE;
	if (sip_code < 200 || sip_code > 699)
		return PBX_EINVAL;
	const bool needs_sdp = sip_code < 300 && nta_incoming_method(irq) == sip_method_invite;
	int err = write_answer(session, needs_sdp, parts, &body);
	if (err != PBX_OK && err != PBX_ENOMEM)
		return err;
	session->asked = NULL;
	if (err == PBX_OK && sip_code < 300 && body.sdp) {
		free(session->sdp);
		session->sdp = strdup(body.sdp); /* without memory a refresh says none */
	}
	answer(session, irq, err == PBX_OK ? (int)sip_code : 500, &body, needs_sdp && !session->asked_with_sdp && body.sdp);
	ua_body_fini(&body);
	say_due(session);
	return err;
}

/* What is required of us beyond what we and the plugin know. False: nothing. */
static bool requires_unknown(const struct ua_session *session, const sip_t *sip, char *ret_header, size_t size)
{
	const msg_param_t *items = sip->sip_require ? sip->sip_require->k_items : NULL;
	size_t used = 0;

	for (; items && *items; items++) {
		bool is_known = strcasecmp(*items, "timer") == 0 ? ua_refresh_is_on(ua_part, &session->peer->is)
								 : ua_param(session->spec.require, ", ", *items, NULL, 0);

		if (!is_known && used + 80 < size)
			used += (size_t)snprintf(ret_header + used, size - used, "%s%.60s", used ? ", " : "Unsupported: ", *items);
	}
	if (used)
		(void)snprintf(ret_header + used, size - used, "\n");
	return used > 0;
}

/* Whether a request with a body, or any re-INVITE, must be refused for what else is under way. */
static int must_wait(const struct ua_session *session, sip_method_t method)
{
	if (session->asked || session->invitation->unconfirmed)
		return 500;
	return session->out && method != sip_method_info && nta_outgoing_method(session->out) == sip_method_invite ? 491 : 0;
}

/* It has the body that it came with, and nothing else is under way. */
static void ask_plugin(struct ua_session *session, nta_incoming_t *irq, const sip_t *sip, const struct ua_parts *parts)
{
	const struct pbx_session_parts said = { .items = parts->items, .count = parts->count };
	const bool has_sdp = ua_sdp_part(&said) != NULL;

	if (!session->watcher.asked) {
		refuse(irq, has_sdp ? 488 : 415, NULL);
		return;
	}
	if (nta_incoming_method(irq) == sip_method_invite)
		(void)nta_incoming_treply(irq, SIP_100_TRYING, TAG_END()); /* lost: it comes again */
	session->asked = irq;
	session->asked_with_sdp = has_sdp;
	ua_session_ask(session, sip->sip_request->rq_method_name, parts);
}

static void on_request_with_meaning(struct ua_session *session, nta_incoming_t *irq, const sip_t *sip)
{
	const sip_method_t method = nta_incoming_method(irq);
	const bool negotiates = method != sip_method_info, is_invite = method == sip_method_invite;
	struct ua_parts parts = { 0 };
	char headers[512];
	int status = is_invite || sip->sip_payload ? must_wait(session, method) : 0;

	if (status) {
		refuse(irq, status, status == 500 ? "Retry-After: 2\n" : NULL);
		return;
	}
	if (requires_unknown(session, sip, headers, sizeof headers)) {
		refuse(irq, 420, headers);
		return;
	}
	if (negotiates && ua_refresh_is_too_short(ua_part, &session->peer->is, sip, headers, sizeof headers)) {
		refuse(irq, 422, headers);
		return;
	}
	int err = ua_parts_read(sip, &parts);
	if (err != PBX_OK) {
		refuse(irq, err == PBX_ENOTSUP ? 415 : err == PBX_ENOMEM ? 500 : 400, NULL);
		return;
	}
	if (negotiates && sip->sip_contact)
		(void)ua_gruu_server_route(session->invitation->leg, NULL, sip->sip_contact); /* no memory: the old target serves on */
	if (negotiates) {
		ua_session_note_peer(session, sip);
		ua_refresh_asked(&session->refresh, sip);
	}
	if (is_invite)
		nta_incoming_bind(irq, on_ack_or_cancel, (struct ua_dialog *)session->invitation);
	if (parts.count)
		ask_plugin(session, irq, sip, &parts);
	else
		answer_refresh(session, irq);
	ua_parts_fini(&parts);
}

static void on_bye(struct ua_session *session, nta_incoming_t *irq)
{
	refuse(irq, 200, NULL);
	ua_session_over(session, 200, "BYE", false);
}

int ua_session_on_request(struct ua_dialog *magic, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip)
{
	const struct ua_invitation *invitation = (struct ua_invitation *)magic;
	const sip_method_t method = sip->sip_request->rq_method;
	struct ua_session *session = invitation->session;

	(void)leg;
	ua_count_request(ua_part, method, ",in");
	if (method == sip_method_ack) {
		nta_incoming_destroy(irq);
	} else if (!session || !invitation->stands) {
		refuse(irq, method == sip_method_bye && invitation->stands ? 200 : 481, NULL);
	} else if (method == sip_method_bye) {
		on_bye(session, irq);
	} else if (method == sip_method_invite || method == sip_method_update || method == sip_method_info) {
		on_request_with_meaning(session, irq, sip);
	} else if (method == sip_method_options) {
		refuse(irq, 200, UA_SESSION_ALLOW "\n");
	} else {
		refuse(irq, method == sip_method_unknown ? 501 : 405, UA_SESSION_ALLOW "\n");
	}
	return 0;
}
