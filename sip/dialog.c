/*
 * dialog.c - the object behind a leg: making, ending, letting go
 *
 * The core holds a dialog until it releases it, nta's transactions hold it until their last word; the later of the two frees it.
 * After ENDED nothing is told to the core any more. A BYE is sent and forgotten: nta repeats it and swallows its answer.
 */
#include "dialog_internal.h"
#include "address.h"
#include "border.h"
#include "identity.h"
#include "loop.h"
#include "peer.h"
#include "peering.h"
#include "quirks.h"
#include "random.h"
#include "timer.h"
#include "transport.h"
#include <stdlib.h>
#include <string.h>

#define MOST_DIALOGS 65536u

const char *ua_method_label(sip_method_t method)
{
	static const char *const names[] = {
		[sip_method_invite] = "INVITE",       [sip_method_ack] = "ACK",
		[sip_method_cancel] = "CANCEL",       [sip_method_bye] = "BYE",
		[sip_method_options] = "OPTIONS",     [sip_method_register] = "REGISTER",
		[sip_method_info] = "INFO",           [sip_method_prack] = "PRACK",
		[sip_method_update] = "UPDATE",       [sip_method_message] = "MESSAGE",
		[sip_method_subscribe] = "SUBSCRIBE", [sip_method_notify] = "NOTIFY",
		[sip_method_refer] = "REFER",         [sip_method_publish] = "PUBLISH",
	};

	if (method <= 0 || (size_t)method >= sizeof names / sizeof names[0] || !names[method])
		return "other";
	return names[method];
}

void ua_count_request(struct ua *ua, sip_method_t method, const char *way)
{
	char labels[24]; /* no method is longer than SUBSCRIBE */

	(void)stpcpy(stpcpy(labels, ua_method_label(method)), way);
	ua_count(ua, UA_METRIC_REQUESTS, labels);
}

void ua_count_response_in(struct ua *ua, sip_method_t method, int status)
{
	const char class[] = { ',', (char)('0' + status / 100), 'x', 'x', '\0' };
	char labels[24];

	(void)stpcpy(stpcpy(labels, ua_method_label(method)), class);
	ua_count(ua, UA_METRIC_RESPONSES, labels);
}

struct ua_dialog *ua_dialog_new(struct ua *ua, bool inbound)
{
	struct ua_dialog *dialog;

	if (ua->dialog_count >= MOST_DIALOGS)
		return NULL;
	dialog = calloc(1, sizeof *dialog);
	if (!dialog)
		return NULL;
	dialog->ua = ua;
	dialog->inbound = inbound;
	dialog->state = UA_NEW;
	ua_refresh_init(&dialog->refresh, &ua_dialog_refreshed, dialog);
	/* A session id need only differ from the last one; small: some phones keep it in 32 bits. */
	ua_sdp_init(&dialog->sdp, core_random_below(0x7fffffff) + 1);
	dialog->next = ua->dialogs;
	dialog->at = &ua->dialogs;
	if (ua->dialogs)
		ua->dialogs->at = &dialog->next;
	ua->dialogs = dialog;
	ua->dialog_count++;
	return dialog;
}

void ua_dialog_make_call_id(char ret_id[33])
{
	uint32_t words[4];

	core_random(words, sizeof words);
	(void)snprintf(ret_id, 33, "%08x%08x%08x%08x", words[0], words[1], words[2], words[3]);
}

bool ua_dialog_open(struct ua_dialog *dialog, const char *from, const char *to, const char *call_id)
{
	sip_call_id_t id[1];

	sip_call_id_init(id); /* as text nta_leg_tcreate would not take it */
	id->i_id = call_id;
	dialog->nta = nta_leg_tcreate(dialog->ua->agent, ua_dialog_on_request, dialog, SIPTAG_FROM_STR(from), SIPTAG_TO_STR(to),
				      SIPTAG_CALL_ID(id), TAG_END());
	return dialog->nta && nta_leg_tag(dialog->nta, NULL);
}

static void dialog_free(struct ua_dialog *dialog)
{
	*dialog->at = dialog->next;
	if (dialog->next)
		dialog->next->at = dialog->at;
	dialog->ua->dialog_count--;
	(void)core_timer_stop(dialog->timer); /* most have none */
	ua_refresh_end(&dialog->refresh);
	ua_border_call_over(dialog->admission);
	nta_reliable_destroy(dialog->reliable);
	nta_incoming_destroy(dialog->in);
	nta_incoming_destroy(dialog->offer);
	nta_outgoing_destroy(dialog->update);
	nta_outgoing_destroy(dialog->out);
	nta_leg_destroy(dialog->nta);
	ua_peering_free(dialog);
	free(dialog->update_body);
	free(dialog->body);
	free(dialog->route);
	free(dialog->identity);
	free(dialog->device);
	free(dialog->protocol_id);
	free(dialog->first.target);
	free(dialog->first.path);
	free(dialog->first.headers);
	free(dialog);
}

void ua_dialog_free_when_done(struct ua_dialog *dialog)
{
	if (dialog->state == UA_ENDED && dialog->released && !dialog->busy && !dialog->in && !dialog->out)
		dialog_free(dialog);
}

int ua_dialog_begun(struct ua_dialog *dialog, int err, pbx_leg leg, void **ret_dialog)
{
	if (err == PBX_OK) {
		dialog->leg = leg;
		*ret_dialog = dialog;
	} else {
		dialog->state = UA_ENDED;
		dialog->released = true;
		ua_dialog_free_when_done(dialog);
	}
	return err;
}

/* ---- bodies --------------------------------------------------------------------------- */

void ua_dialog_note_device(struct ua_dialog *dialog, const char *user_agent)
{
	if (user_agent && !dialog->device && ua_quirk_of(dialog->ua, user_agent))
		dialog->device = strdup(user_agent); /* without memory it is like any other */
}

/* What may be spoken by its listener and with its device. False: nothing of that is in common. */
static bool pick_codecs(struct ua_dialog *dialog, struct core_media_desc *desc)
{
	const struct ua_quirk *quirk = dialog->device ? ua_quirk_of(dialog->ua, dialog->device) : NULL;
	struct ua_manners manners;

	ua_listener_manners(dialog->ua, dialog->listener, &manners);
	dialog->sdp.skips_static = quirk && quirk->skip_static_rtpmap;
	if (quirk && quirk->ptime_ms)
		desc->ptime_ms = (uint16_t)quirk->ptime_ms;
	return ua_codecs_pick(manners.codecs, desc) && (!quirk || ua_codecs_keep(&quirk->codecs, desc));
}

static void ua_media_address(const void *object, struct core_addr *address)
{
	const struct ua_dialog *dialog = object;

	if (address->sa.sa_family != AF_UNSPEC && dialog->peer.sa.sa_family != AF_UNSPEC)
		ua_transport_media(dialog->ua, dialog->listener, &dialog->peer, dialog->transport, address);
}

static void drop_candidate(struct core_ice *ice, uint8_t at)
{
	memmove(&ice->candidates[at], &ice->candidates[at + 1], (ice->candidate_count - at - 1u) * sizeof ice->candidates[0]);
	ice->candidate_count--;
}

/* Our address as this peer sees it, and in the candidates that have the same one; what two of them would say is said once. */
static void say_where(const struct ua_dialog *dialog, struct core_media_desc *desc)
{
	const struct core_addr told = desc->rtp;

	ua_media_address(dialog, &desc->rtp);
	if (memcmp(&told, &desc->rtp, sizeof told) == 0)
		return;
	for (uint8_t i = 0; i < desc->ice.candidate_count; i++)
		if (ua_address_same_host(&desc->ice.candidates[i].addr, &told))
			ua_media_address(dialog, &desc->ice.candidates[i].addr);
	for (uint8_t i = 1; i < desc->ice.candidate_count; i++)
		for (uint8_t j = 0; j < i; j++)
			if (memcmp(&desc->ice.candidates[i].addr, &desc->ice.candidates[j].addr, sizeof told) == 0) {
				drop_candidate(&desc->ice, i--);
				break;
			}
}

int ua_dialog_describe(struct ua_dialog *dialog, const struct core_media_desc *desc)
{
	char body[UA_SDP_SIZE];
	struct core_media_desc picked = *desc;
	char *copy;

	if (!pick_codecs(dialog, &picked))
		return PBX_ENOTSUP;
	say_where(dialog, &picked);
	picked.record = dialog->peer_shows_recording ? dialog->recorded : 0;
	int err = ua_sdp_write(&dialog->sdp, &picked, body);
	if (err != PBX_OK)
		return err;
	copy = strdup(body);
	if (!copy)
		return PBX_ENOMEM;
	free(dialog->body);
	dialog->body = copy;
	return PBX_OK;
}

int ua_dialog_describe_offer(struct ua_dialog *dialog, const struct core_media_desc *offer, const char *transport)
{
	const bool in_the_clear = strcmp(transport, "tls") != 0 && strcmp(transport, "wss") != 0;
	struct core_media_desc plain;

	if (offer->secure || !in_the_clear)
		return ua_dialog_describe(dialog, offer);
	plain = *offer;
	plain.crypto_count = 0;
	return ua_dialog_describe(dialog, &plain);
}

static bool is_sdp(const sip_content_type_t *type)
{
	return !type || (type->c_type && strcasecmp(type->c_type, "application/sdp") == 0);
}

int ua_dialog_read(struct ua_dialog *dialog, const sip_t *sip, bool is_answer, struct core_media_desc *ret_desc)
{
	memset(ret_desc, 0, sizeof *ret_desc);
	if (!sip->sip_payload || sip->sip_payload->pl_len == 0)
		return PBX_OK;
	if (!is_sdp(sip->sip_content_type))
		return PBX_EVERSION;
	int err = ua_sdp_read(&dialog->sdp, sip->sip_payload->pl_data, sip->sip_payload->pl_len, is_answer, ret_desc);
	dialog->peer_shows_recording |= err == PBX_OK && ret_desc->record_wish;
	return err == PBX_OK && !pick_codecs(dialog, ret_desc) ? PBX_ENOTSUP : err;
}

/* ---- requests inside the dialog ------------------------------------------------------- */

const char *ua_dialog_ident(const struct ua_dialog *dialog)
{
	return ua_transport_ident(dialog->listener, dialog->transport);
}

nta_outgoing_t *ua_dialog_send(struct ua_dialog *dialog, nta_response_f *callback, sip_method_t method, const char *name,
			       const char *content_type, const char *body, const char *headers)
{
	bool negotiates = method == sip_method_invite || method == sip_method_update;
	const sip_route_t *route = NULL;
	const url_string_t *towards = NULL;
	const char *ident = ua_dialog_ident(dialog);
	char session[128], supported[UA_SUPPORTED_SIZE], credentials[2048];

	if (!dialog->nta)
		return NULL;
	ua_refresh_wish(&dialog->refresh, session, sizeof session);
	ua_supported(dialog->ua, ua_peering_peer(dialog), supported);
	(void)nta_leg_get_route(dialog->nta, &route, NULL); /* fails for a leg without one */
	if (!route && dialog->route)
		towards = ua_url(dialog->route);
	ua_count_request(dialog->ua, method, ",out");
	ua_peering_credentials(dialog, name ? name : ua_method_label(method), credentials, sizeof credentials);
	return nta_outgoing_tcreate(dialog->nta, callback, callback ? dialog : NULL, towards, method, name, NULL,
				    SIPTAG_USER_AGENT_STR(dialog->ua->settings->user_agent),
				    TAG_IF(method != sip_method_bye, SIPTAG_CONTACT_STR(dialog->contact)),
				    TAG_IF(negotiates, SIPTAG_UNKNOWN_STR(UA_ALLOW_LINE)),
				    TAG_IF(negotiates, SIPTAG_SUPPORTED_STR(supported)),
				    TAG_IF(negotiates && session[0], SIPTAG_HEADER_STR(session)),
				    TAG_IF(content_type, SIPTAG_CONTENT_TYPE_STR(content_type)), TAG_IF(body, SIPTAG_PAYLOAD_STR(body)),
				    TAG_IF(headers, SIPTAG_HEADER_STR(headers)), TAG_IF(credentials[0], SIPTAG_HEADER_STR(credentials)),
				    TAG_IF(towards, TPTAG_MTU(UA_ANY_SIZE)), TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
}

int ua_dialog_reply(struct ua_dialog *dialog, nta_incoming_t *irq, int status, const char *phrase, const char *body)
{
	sip_method_t method = nta_incoming_method(irq);
	char session[128] = "", supported[UA_SUPPORTED_SIZE];

	if (status >= 200 && status < 300 && (method == sip_method_invite || method == sip_method_update))
		ua_refresh_confirm(&dialog->refresh, session, sizeof session);
	ua_supported(dialog->ua, ua_peering_peer(dialog), supported);
	ua_count_response_in(dialog->ua, method, status);
	return nta_incoming_treply(irq, status, phrase, SIPTAG_SERVER_STR(dialog->ua->settings->user_agent),
				   SIPTAG_CONTACT_STR(dialog->contact), SIPTAG_UNKNOWN_STR(UA_ALLOW_LINE), SIPTAG_SUPPORTED_STR(supported),
				   TAG_IF(dialog->identity, SIPTAG_HEADER_STR(dialog->identity)),
				   TAG_IF(session[0], SIPTAG_HEADER_STR(session)), TAG_IF(body, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
				   TAG_IF(body, SIPTAG_PAYLOAD_STR(body)), TAG_END()) == 0
		       ? PBX_OK
		       : PBX_EIO;
}

static bool has_event(const sip_allow_events_t *allowed, const char *name)
{
	for (const msg_param_t *item = allowed ? allowed->k_items : NULL; item && *item; item++)
		if (strcasecmp(*item, name) == 0)
			return true;
	return false;
}

void ua_dialog_note_peer(struct ua_dialog *dialog, const sip_t *sip)
{
	if (sip->sip_allow_events)
		dialog->peer_talks = has_event(sip->sip_allow_events, "talk");
	if (sip->sip_allow)
		dialog->peer_updates = sip_is_allowed(sip->sip_allow, SIP_METHOD_UPDATE);
	dialog->peer_shows_recording |= sip_has_feature(sip->sip_supported, "record-aware") != 0;
}

/* The number in an ACK is that of the INVITE, whatever has been sent since (RFC 3261 13.2.2.4). */
void ua_dialog_ack(struct ua_dialog *dialog, const sip_t *response)
{
	const char *ident = ua_dialog_ident(dialog);
	const sip_route_t *route = NULL;
	sip_cseq_t cseq[1];

	(void)nta_leg_get_route(dialog->nta, &route, NULL); /* fails for a leg without one */
	sip_cseq_init(cseq);
	cseq->cs_seq = response->sip_cseq->cs_seq;
	cseq->cs_method = sip_method_ack;
	cseq->cs_method_name = "ACK";
	nta_outgoing_destroy(nta_outgoing_tcreate(dialog->nta, NULL, NULL, !route && dialog->route ? ua_url(dialog->route) : NULL,
						  SIP_METHOD_ACK, NULL, SIPTAG_CSEQ(cseq), TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END()));
}

void ua_dialog_bye(struct ua_dialog *dialog, uint32_t cause)
{
	char reason[64];

	(void)snprintf(reason, sizeof reason, "Reason: Q.850;cause=%u\n", cause);
	(void)ua_dialog_send(dialog, NULL, SIP_METHOD_BYE, NULL, NULL, reason); /* no memory: the peer's media time-out ends it */
}

/* ---- ending --------------------------------------------------------------------------- */

uint32_t ua_cause_of(const sip_t *sip, uint32_t sip_code)
{
	for (const sip_reason_t *reason = sip ? sip->sip_reason : NULL; reason; reason = reason->re_next) {
		unsigned long cause = reason->re_cause ? strtoul(reason->re_cause, NULL, 10) : 0;

		if (reason->re_protocol && strcasecmp(reason->re_protocol, "Q.850") == 0 && cause > 0 && cause < 128)
			return (uint32_t)cause;
		if (reason->re_protocol && strcasecmp(reason->re_protocol, "SIP") == 0 && cause == 200)
			return PBX_CAUSE_ANSWERED_ELSEWHERE;
	}
	return sip_code >= 300 ? core_cause_from_sip(sip_code) : PBX_CAUSE_NORMAL;
}

void ua_dialog_let_go(struct ua_dialog *dialog)
{
	dialog->state = UA_ENDED;
	ua_refresh_end(&dialog->refresh);
	nta_outgoing_destroy(dialog->update);
	dialog->update = NULL;
	ua_peering_leave(dialog);
	if (dialog->offer)
		ua_reply(dialog->ua, dialog->offer, SIP_487_REQUEST_CANCELLED, NULL);
	dialog->offer = NULL;
	if (!dialog->out || !dialog->cancelled) {
		(void)core_timer_stop(dialog->timer); /* most have none */
		nta_outgoing_destroy(dialog->out);
		dialog->out = NULL;
	}
	if (!dialog->out) {
		nta_leg_destroy(dialog->nta);
		dialog->nta = NULL;
	}
	nta_reliable_destroy(dialog->reliable);
	dialog->reliable = NULL;
	if (dialog->in) {
		nta_incoming_destroy(dialog->in);
		dialog->in = NULL;
	}
}

void ua_dialog_end(struct ua_dialog *dialog, uint32_t sip_code, uint32_t cause, bool by_peer, const char *text)
{
	pbx_leg leg = dialog->leg;

	if (dialog->state == UA_ENDED && !dialog->leg.id)
		return;
	dialog->leg = (pbx_leg){ 0 };
	dialog->busy = true;
	ua_dialog_let_go(dialog);
	if (leg.id)
		core_leg_on_ended(leg, sip_code, cause, by_peer, text ? text : "");
	dialog->busy = false;
	ua_dialog_free_when_done(dialog);
}

static void ua_hangup(void *object, uint32_t cause)
{
	struct ua_dialog *dialog = object;

	dialog->leg = (pbx_leg){ 0 };
	if (dialog->state == UA_ENDED)
		return;
	if (dialog->inbound && dialog->state != UA_ANSWERED) {
		(void)ua_reject(dialog, core_cause_to_sip(cause), cause, NULL); /* cannot be in the wrong state */
		return;
	}
	if (!dialog->inbound && dialog->state != UA_ANSWERED) {
		ua_cancel(dialog, cause);
		return;
	}
	if (dialog->awaits_ack) {
		dialog->bye_cause = cause ? cause : PBX_CAUSE_NORMAL; /* no BYE before the ACK (RFC 3261 15) */
		return;
	}
	ua_dialog_bye(dialog, cause);
	ua_dialog_let_go(dialog);
}

static void ua_release(void *object)
{
	struct ua_dialog *dialog = object;

	if (dialog->state != UA_ENDED && !dialog->cancelled && !dialog->bye_cause)
		ua_hangup(dialog, PBX_CAUSE_NORMAL);
	dialog->released = true;
	ua_dialog_free_when_done(dialog);
}

void ua_dialogs_close(struct ua *ua)
{
	struct ua_dialog *next;

	for (struct ua_dialog *dialog = ua->dialogs; dialog; dialog = next) {
		next = dialog->next;
		if (dialog->state != UA_ENDED)
			ua_hangup(dialog, PBX_CAUSE_NORMAL);
		dialog_free(dialog);
	}
}

static void ua_set_identity(void *object, const char *number, const char *name)
{
	struct ua_dialog *dialog = object;
	char *was = dialog->identity;

	if (dialog->peering)
		return; /* our numbers inside are no business of other systems */
	dialog->identity = ua_identity_headers(dialog->ua, number, name, false);
	if (dialog->state == UA_ANSWERED && dialog->identity && (!was || strcmp(was, dialog->identity) != 0)) {
		dialog->identity_due = true;
		ua_dialog_tell_identity(dialog);
	}
	free(was);
}

#define FOCUS ";isfocus"

static void ua_set_focus(void *object, bool on)
{
	struct ua_dialog *dialog = object;
	char *end = strstr(dialog->contact, FOCUS);

	if (end && !on)
		*end = '\0';
	else if (!end && on && strlen(dialog->contact) + sizeof FOCUS <= sizeof dialog->contact)
		strcat(dialog->contact, FOCUS);
}

static bool ua_set_recorded(void *object, uint8_t record)
{
	struct ua_dialog *dialog = object;
	uint8_t was = dialog->recorded ? dialog->recorded : CORE_RECORD_OFF;

	dialog->recorded = dialog->recorded || record != CORE_RECORD_OFF ? record : 0;
	return record != was && dialog->peer_shows_recording;
}

void ua_dialog_note_name(struct ua_dialog *dialog, const sip_call_id_t *call_id, const char *remote_tag)
{
	if (!dialog->protocol_id)
		dialog->protocol_id = strdup(call_id->i_id); /* without memory no lamp names it */
	(void)snprintf(dialog->remote_tag, sizeof dialog->remote_tag, "%s",
		       remote_tag && strlen(remote_tag) < sizeof dialog->remote_tag ? remote_tag : "");
}

static void ua_name_dialog(const void *object, const char **ret_id, const char **ret_local_tag, const char **ret_remote_tag)
{
	const struct ua_dialog *dialog = object;
	const char *local_tag = dialog->nta ? nta_leg_get_tag(dialog->nta) : NULL;

	*ret_id = dialog->protocol_id ? dialog->protocol_id : "";
	*ret_local_tag = local_tag ? local_tag : "";
	*ret_remote_tag = dialog->remote_tag;
}

const struct core_leg_driver ua_leg_driver = {
	.name = "sip",
	.invite = ua_invite,
	.ring = ua_ring,
	.answer = ua_answer,
	.reject = ua_reject,
	.redirect = ua_redirect,
	.hangup = ua_hangup,
	.update = ua_update,
	.accept_offer = ua_accept_offer,
	.refuse_offer = ua_refuse_offer,
	.send_digit = ua_send_digit,
	.transfer_progress = ua_transfer_progress,
	.set_identity = ua_set_identity,
	.peer_srtp = ua_peer_srtp,
	.peer_dtmf = ua_peer_dtmf,
	.peer_dscp = ua_peer_media_dscp,
	.peer_t38 = ua_peer_t38,
	.set_focus = ua_set_focus,
	.set_recorded = ua_set_recorded,
	.talk = ua_talk,
	.media_address = ua_media_address,
	.release = ua_release,
	.name_dialog = ua_name_dialog,
};
