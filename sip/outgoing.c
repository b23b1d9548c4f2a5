/*
 * outgoing.c - an INVITE of ours
 *
 * A CANCEL is sent as soon as a provisional response allows it (nta waits for one); a 200 that crosses it is acknowledged and
 * taken back with BYE. Whatever a fork answers later nta ends by itself. After a CANCEL the INVITE has 64*T1 to end
 * (RFC 3261 9.1), then it is forgotten.
 */
#include "dialog_internal.h"
#include "address.h"
#include "agent.h"
#include "as_written.h"
#include "caller.h"
#include "gruu.h"
#include "history.h"
#include "identity.h"
#include "location.h"
#include "peering.h"
#include "timer.h"
#include "tls.h"
#include "trace.h"
#include <stdlib.h>
#include <string.h>

#define CANCEL_MS 32000u
#define MOST_TARGETS 10u

/* ---- the INVITE ----------------------------------------------------------------------- */

/* By what it goes: what the registration says, or the target. Told in any case, since nta has ideas of its own. */
static const char *transport_to(const struct core_invite *invite, const url_t *target)
{
	char own[8] = "";

	if (invite->transport[0])
		return ua_transport_name(invite->transport);
	if (ua_param(target->url_params, ";", "transport", own, sizeof own) && own[0])
		return ua_transport_name(own);
	return target->url_type == url_sips ? "tls" : "udp";
}

/* Where it goes: an address NAT left us, the connection a client opened, or the target itself. */
static int find_way(struct ua_dialog *dialog, const struct core_invite *invite, const url_t *target)
{
	const char *transport = transport_to(invite, target);
	char route[UA_ROUTE_SIZE], hostport[160];

	if (!transport)
		return PBX_EINVAL;
	(void)snprintf(dialog->transport, sizeof dialog->transport, "%s", transport);

	dialog->listener = ua_location_listener(invite->account, invite->received);
	ua_dialog_note_device(dialog, ua_location_device(invite->account, invite->received));
	if (ua_transport_is_elsewhere(dialog->ua, dialog->listener, target, invite->received, transport)) {
		int err = ua_transport_route(dialog->ua, transport, invite->received, route);

		if (err == PBX_OK && ua_address_parse(invite->received, &dialog->peer))
			dialog->route = strdup(route);
		return err == PBX_OK && !dialog->route ? PBX_ENOMEM : err;
	}
	(void)snprintf(hostport, sizeof hostport, "%s%s%s", target->url_host, target->url_port ? ":" : "",
		       target->url_port ? target->url_port : "");
	if (!ua_address_parse(hostport, &dialog->peer)) /* a name: who answers it is known later */
		dialog->peer = (struct core_addr){ .in4.sin_family = AF_INET, .in4.sin_addr.s_addr = htonl(0x08080808) };
	return PBX_OK;
}

static bool open_leg(struct ua_dialog *dialog, const struct core_invite *invite)
{
	char from[512], to[600], id[33];

	ua_dialog_make_call_id(id);
	core_trace_bind(id, dialog->call_id);

	ua_identity_address(dialog->ua, invite->from_number, invite->from_name, from, sizeof from);
	(void)snprintf(to, sizeof to, "<%s>", invite->target);
	return ua_dialog_open(dialog, from, to, id);
}

/* What a device is told of the caller: of one that is withheld only if it is trusted (RFC 3325). */
static char *identity_for(const struct ua_dialog *dialog, const struct core_invite *invite)
{
	if (!(invite->flags & PBX_TARGET_WITHHELD))
		return ua_identity_headers(dialog->ua, invite->from_number, invite->from_name, false);
	return ua_identity_headers(dialog->ua, dialog->is_trusted ? invite->asserted_number : "", invite->asserted_name, true);
}

/* What the INVITE will say, should it have to be said again. */
static int keep_first(struct ua_dialog *dialog, const struct core_invite *invite)
{
	char diversions[2048], referred_by[400];

	ua_identity_diversions(dialog->ua, invite, diversions, sizeof diversions);
	ua_identity_referred_by(dialog->ua, invite, referred_by, sizeof referred_by);
	dialog->first.max_forwards = invite->max_forwards ? invite->max_forwards : 70;
	dialog->first.target = strdup(invite->target);
	if (invite->path && invite->path[0] && !(dialog->first.path = strdup(invite->path)))
		return PBX_ENOMEM;
	if (asprintf(&dialog->first.headers, "%s%s%s%s", dialog->identity ? dialog->identity : "", diversions, referred_by,
		     invite->headers ? invite->headers : "") < 0)
		dialog->first.headers = NULL;
	return dialog->first.target && dialog->first.headers ? PBX_OK : PBX_ENOMEM;
}

static int send_invite(struct ua_dialog *dialog)
{
	bool demands = strcmp(dialog->ua->settings->reliable, "required") == 0;
	const char *headers = dialog->first.headers, *path = dialog->first.path, *ident = ua_dialog_ident(dialog);
	char max_forwards[12], session[128], supported[UA_SUPPORTED_SIZE];
	su_home_t home[1] = { SU_HOME_INIT(home) };

	if (dialog->peering)
		return ua_peering_send(dialog);
	ua_refresh_wish(&dialog->refresh, session, sizeof session);
	ua_supported(dialog->ua, ua_peering_peer(dialog), supported);
	(void)snprintf(max_forwards, sizeof max_forwards, "%u", dialog->first.max_forwards);
	ua_count(dialog->ua, UA_METRIC_REQUESTS, "INVITE,out");
	(void)su_home_init(home);
	dialog->out = nta_outgoing_tcreate(
		dialog->nta, ua_on_invite_response, dialog, dialog->route && !path ? ua_url(dialog->route) : NULL, SIP_METHOD_INVITE,
		ua_uri_as_written(home, dialog->first.target), TAG_IF(path, SIPTAG_ROUTE_STR(path)), SIPTAG_CONTACT_STR(dialog->contact),
		SIPTAG_MAX_FORWARDS_STR(max_forwards), SIPTAG_USER_AGENT_STR(dialog->ua->settings->user_agent),
		SIPTAG_UNKNOWN_STR(UA_ALLOW_LINE), SIPTAG_SUPPORTED_STR(supported), TAG_IF(demands, SIPTAG_REQUIRE_STR("100rel")),
		TAG_IF(session[0], SIPTAG_HEADER_STR(session)), TAG_IF(headers[0], SIPTAG_HEADER_STR(headers)),
		TAG_IF(dialog->body, SIPTAG_CONTENT_TYPE_STR("application/sdp")), TAG_IF(dialog->body, SIPTAG_PAYLOAD_STR(dialog->body)),
		TAG_IF(dialog->route, TPTAG_MTU(UA_ANY_SIZE)), TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
	su_home_deinit(home);
	return dialog->out ? PBX_OK : PBX_EIO;
}

static int begin(struct ua_dialog *dialog, const struct core_invite *invite, const url_t *target)
{
	int err = find_way(dialog, invite, target);

	if (err == PBX_OK && invite->offer)
		err = ua_dialog_describe_offer(dialog, invite->offer, dialog->transport);
	if (err != PBX_OK)
		return err;
	ua_transport_contact(dialog->ua, dialog->listener, &dialog->peer, dialog->transport, dialog->contact, sizeof dialog->contact);
	(void)snprintf(dialog->call_id, sizeof dialog->call_id, "%s", invite->call_id ? invite->call_id : "");
	dialog->is_outside = !invite->account || !invite->account[0];
	dialog->is_trusted = !dialog->is_outside && ua_account_is_trusted(invite->account);
	dialog->identity = identity_for(dialog, invite);
	err = keep_first(dialog, invite);
	if (err != PBX_OK)
		return err;
	if (!open_leg(dialog, invite))
		return PBX_ENOMEM;
	return send_invite(dialog);
}

int ua_invite(pbx_leg leg, const struct core_invite *invite, void **ret_dialog)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	struct ua_dialog *dialog;
	const url_t *target;
	int err = PBX_EINVAL;

	if (!ua_part || !ua_part->agent)
		return PBX_EIO;
	if (invite->peer && invite->peer[0])
		return strpbrk(invite->target, "<>\r\n \"") ? PBX_EINVAL : ua_peering_invite(leg, invite, ret_dialog);
	if (strlen(invite->target) > 512 || strpbrk(invite->target, "<>\r\n \""))
		return PBX_EINVAL;
	dialog = ua_dialog_new(ua_part, false);
	if (!dialog)
		return PBX_ENOMEM;
	(void)su_home_init(home);
	target = url_make(home, invite->target);
	if (target && (target->url_type == url_sip || target->url_type == url_sips) && target->url_host && target->url_host[0])
		err = begin(dialog, invite, target);
	su_home_deinit(home);
	return ua_dialog_begun(dialog, err, leg, ret_dialog);
}

/* ---- responses ------------------------------------------------------------------------ */

static void on_provisional(struct ua_dialog *dialog, const sip_t *sip)
{
	struct core_media_desc early;
	bool has_media;

	if (sip->sip_status->st_status <= 100 || !ua_reliable_take(dialog, sip) || dialog->cancelled)
		return;
	has_media = ua_dialog_read(dialog, sip, true, &early) == PBX_OK && early.present; /* early media we cannot read is none */
	dialog->state = UA_RINGING;
	ua_dialog_note_name(dialog, sip->sip_call_id, sip->sip_to->a_tag);
	dialog->heard_early = dialog->heard_early || has_media;
	dialog->early_agreed = dialog->early_agreed || (has_media && sip->sip_rseq);
	ua_dialog_note_peer(dialog, sip);
	core_leg_on_ringing(dialog->leg, (uint32_t)sip->sip_status->st_status, has_media ? &early : NULL);
}

static void on_success(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip)
{
	struct core_media_desc answer;
	int err;

	dialog->out = NULL;
	(void)ua_reliable_follow(dialog, sip); /* no memory: the ACK goes astray, and the peer gives up */
	(void)ua_gruu_client_reroute(dialog->nta, sip->sip_record_route, sip->sip_contact, true); /* no memory: To's URI is used */
	ua_dialog_ack(dialog, sip);
	nta_outgoing_destroy(orq);
	dialog->state = UA_ANSWERED;
	ua_dialog_note_name(dialog, sip->sip_call_id, sip->sip_to->a_tag);
	if (dialog->cancelled) {
		ua_dialog_bye(dialog, PBX_CAUSE_NORMAL);
		ua_dialog_end(dialog, 200, PBX_CAUSE_NORMAL, false, "");
		return;
	}
	ua_dialog_note_peer(dialog, sip);
	ua_refresh_answered(&dialog->refresh, sip);
	err = ua_dialog_read(dialog, sip, true, &answer);
	if (err != PBX_OK || (!answer.present && !dialog->heard_early)) {
		ua_dialog_bye(dialog, PBX_CAUSE_NOT_ACCEPTABLE);
		ua_dialog_end(dialog, 488, PBX_CAUSE_NOT_ACCEPTABLE, false, "no usable SDP in the answer");
		return;
	}
	core_leg_on_answered(dialog->leg, &answer);
}

int ua_talk(void *self)
{
	struct ua_dialog *dialog = self;

	if (dialog->inbound || dialog->state != UA_RINGING || dialog->cancelled || !dialog->remote_tag[0])
		return PBX_ESTATE;
	if (!dialog->peer_talks)
		return PBX_ENOTSUP;
	if (!nta_leg_get_rtag(dialog->nta)) /* no memory: found without one */
		(void)nta_leg_rtag(dialog->nta, dialog->remote_tag);
	/* What it says to that nobody needs to know: it answers the call, or rings on. */
	return ua_dialog_send(dialog, NULL, SIP_METHOD_NOTIFY, NULL, NULL, "Event: talk\nSubscription-State: active\n") ? PBX_OK
															: PBX_ENOMEM;
}

/* Best q first; what has the same q stays in order. */
static uint32_t sort_targets(const sip_contact_t *contacts, const sip_contact_t *ret_sorted[MOST_TARGETS])
{
	uint32_t count = 0;

	for (const sip_contact_t *contact = contacts; contact && count < MOST_TARGETS; contact = contact->m_next) {
		double q = contact->m_q ? strtod(contact->m_q, NULL) : 1.0;
		uint32_t at = count++;

		for (; at > 0 && (ret_sorted[at - 1]->m_q ? strtod(ret_sorted[at - 1]->m_q, NULL) : 1.0) < q; at--)
			ret_sorted[at] = ret_sorted[at - 1];
		ret_sorted[at] = contact;
	}
	return count;
}

static void on_redirected(struct ua_dialog *dialog, const sip_t *sip)
{
	const sip_contact_t *sorted[MOST_TARGETS];
	char texts[MOST_TARGETS][256];
	const char *targets[MOST_TARGETS];
	uint32_t known = sort_targets(sip->sip_contact, sorted), count = 0;
	pbx_leg leg = dialog->leg;

	for (uint32_t i = 0; i < known; i++)
		if (url_e(texts[count], sizeof texts[count], sorted[i]->m_url) < (isize_t)sizeof texts[count]) {
			targets[count] = texts[count];
			count++;
		}
	if (count == 0 || !leg.id) {
		ua_dialog_end(dialog, (uint32_t)sip->sip_status->st_status, PBX_CAUSE_NO_ANSWER, true, sip->sip_status->st_phrase);
		return;
	}
	dialog->busy = true;
	dialog->leg = (pbx_leg){ 0 };
	ua_dialog_let_go(dialog);
	core_leg_on_redirected(leg, targets, count, ua_history_reason(sip));
	dialog->busy = false;
	ua_dialog_free_when_done(dialog);
}

const char *ua_why_unreached(const struct ua_dialog *dialog, uint32_t sip_code, const char *phrase, char ret_text[64])
{
	const char *refused = strcmp(dialog->transport, "tls") == 0 ? ua_tls_refusal() : "";

	if (refused[0])
		(void)snprintf(ret_text, 64, "TLS: %s", refused);
	else if (phrase && strncmp(phrase, "DNS", 3) == 0)
		(void)snprintf(ret_text, 64, "DNS: no such host");
	else
		(void)snprintf(ret_text, 64, "%s", sip_code == 408 ? "no response" : "cannot be reached");
	return ret_text;
}

/* In their words, or in ours when Sofia has made the response up. */
static void why_refused(const struct ua_dialog *dialog, const nta_outgoing_t *orq, const sip_t *sip, char ret_text[64])
{
	const char *phrase = sip && sip->sip_status->st_phrase ? sip->sip_status->st_phrase : "";
	bool is_own = !sip || nta_outgoing_delay(orq) == UINT_MAX;

	if (is_own)
		(void)ua_why_unreached(dialog, sip ? (uint32_t)sip->sip_status->st_status : 408, phrase, ret_text);
	else
		(void)snprintf(ret_text, 64, "%s", phrase);
}

int ua_on_invite_response(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip)
{
	int status = sip ? sip->sip_status->st_status : 408;

	if (!dialog)
		return 0;
	ua_count_response_in(dialog->ua, sip_method_invite, status);
	if (ua_peering_took(dialog, orq, sip))
		return 0;
	if (status < 200) {
		on_provisional(dialog, sip);
		return 0;
	}
	if (status < 300) {
		on_success(dialog, orq, sip);
		return 0;
	}
	dialog->out = NULL;
	if (status == 422 && !dialog->cancelled && ua_refresh_may_retry(&dialog->refresh, sip) && send_invite(dialog) == PBX_OK) {
		nta_outgoing_destroy(orq);
		return 0;
	}

	uint32_t cause = ua_cause_of(sip, (uint32_t)status);
	char why[64];
	why_refused(dialog, orq, sip, why);
	if (status < 400 && sip && !dialog->cancelled) {
		nta_outgoing_destroy(orq);
		on_redirected(dialog, sip);
	} else {
		nta_outgoing_destroy(orq); /* takes a response along that Sofia has made up itself */
		ua_dialog_end(dialog, (uint32_t)status, cause, true, why);
	}
	return 0;
}

/* ---- CANCEL --------------------------------------------------------------------------- */

static void on_cancel_forgotten(void *self, pbx_timer timer)
{
	struct ua_dialog *dialog = self;

	(void)timer;
	nta_outgoing_destroy(dialog->out);
	dialog->out = NULL;
	ua_dialog_end(dialog, 408, PBX_CAUSE_NO_RESPONSE, true, "no response to CANCEL");
}

void ua_cancel(struct ua_dialog *dialog, uint32_t cause)
{
	char reason[96];

	if (!dialog->out) { /* a peer whose address is still being looked for */
		ua_dialog_let_go(dialog);
		return;
	}
	if (dialog->cancelled)
		return;
	ua_peering_stop(dialog);
	dialog->cancelled = true;
	if (cause == PBX_CAUSE_ANSWERED_ELSEWHERE)
		(void)snprintf(reason, sizeof reason, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\n");
	else
		(void)snprintf(reason, sizeof reason, "Reason: Q.850;cause=%u\n", cause);
	ua_count(dialog->ua, UA_METRIC_REQUESTS, "CANCEL,out");
	(void)nta_outgoing_tcancel(dialog->out, NULL, NULL, SIPTAG_HEADER_STR(reason),
				   TAG_END()); /* refused: the final response is here already */
	(void)core_timer_start(dialog->ua->host, CANCEL_MS, 0, on_cancel_forgotten, dialog,
			       &dialog->timer); /* without it nta's own end must do */
}
