/*
 * incoming.c - an INVITE from outside
 *
 * It has passed flood guard and credentials. The core is told at once and decides; what it says is sent as 180, 183, 200 or a
 * refusal. The transaction is kept until the ACK of a 200, or until nta gives up waiting for it: then the call ends with a BYE.
 */
#include "dialog_internal.h"
#include "agent.h"
#include "border.h"
#include "caller.h"
#include "gruu.h"
#include "history.h"
#include "identity.h"
#include "json.h"
#include "passing.h"
#include "peering.h"
#include <stdlib.h>
#include <string.h>

static void refuse_sdp(struct ua_request *request, int err)
{
	if (err == PBX_EINVAL)
		ua_refuse(request, 400, "Bad SDP", NULL);
	else if (err == PBX_EVERSION)
		ua_refuse(request, SIP_415_UNSUPPORTED_MEDIA, "Accept: application/sdp\n");
	else
		ua_refuse(request, SIP_488_NOT_ACCEPTABLE, "Warning: 304 pbx \"No audio stream here\"\n");
}

/* A session that is too short for us, or a phone that lacks what we demand. */
static bool refuse_extensions(struct ua_request *request)
{
	bool demanded = strcmp(request->ua->settings->reliable, "required") == 0;
	const sip_t *sip = request->sip;
	char headers[64];

	if (demanded && !sip_has_feature(sip->sip_supported, "100rel") && !sip_has_feature(sip->sip_require, "100rel"))
		ua_refuse(request, 421, "Extension Required", "Require: 100rel\n");
	else if (ua_refresh_is_too_short(request->ua, ua_peer_says(request->peer), sip, headers, sizeof headers))
		ua_refuse(request, SIP_422_SESSION_TIMER_TOO_SMALL, headers);
	else
		return false;
	return true;
}

/* What the INVITE says of the phone's abilities. */
static void note_abilities(struct ua_dialog *dialog, const sip_t *sip)
{
	bool is_on = strcmp(dialog->ua->settings->reliable, "off") != 0;

	ua_dialog_note_peer(dialog, sip);
	ua_refresh_asked(&dialog->refresh, sip);
	dialog->peer_demands = sip_has_feature(sip->sip_require, "100rel") != 0;
	dialog->peer_acknowledges = dialog->peer_demands || (is_on && sip_has_feature(sip->sip_supported, "100rel"));
}

/* The nta side of a dialog that the peer began. */
static bool open_leg(struct ua_dialog *dialog, const sip_t *sip)
{
	dialog->nta =
		nta_leg_tcreate(dialog->ua->agent, ua_dialog_on_request, dialog, SIPTAG_CALL_ID(sip->sip_call_id), SIPTAG_FROM(sip->sip_to),
				SIPTAG_TO(sip->sip_from), NTATAG_REMOTE_CSEQ(sip->sip_cseq->cs_seq), TAG_END());
	if (!dialog->nta || ua_gruu_server_route(dialog->nta, sip->sip_record_route, sip->sip_contact) < 0)
		return false;
	return nta_leg_tag(dialog->nta, NULL) && nta_incoming_tag(dialog->in, nta_leg_get_tag(dialog->nta));
}

/* A device is reached where its INVITE came from, whatever NAT made of its Contact; a peer means what it says. */
static bool remember_route(struct ua_dialog *dialog, const struct ua_request *request)
{
	char route[UA_ROUTE_SIZE];
	struct ua_manners manners;

	ua_listener_manners(dialog->ua, request->listener, &manners);
	if (strcmp(manners.nat, "never") == 0 && strcmp(request->transport, "udp") == 0)
		return true;
	if (request->from_peer || ua_transport_route(dialog->ua, request->transport, request->address, route) != PBX_OK)
		return true; /* the connection has gone: so will the call */
	dialog->route = strdup(route);
	return dialog->route != NULL;
}

static void remember_peer(struct ua_dialog *dialog, const struct ua_request *request)
{
	dialog->peer = request->source;
	(void)snprintf(dialog->transport, sizeof dialog->transport, "%s", request->transport);
	ua_transport_contact(dialog->ua, request->listener, &request->source, request->transport, dialog->contact, sizeof dialog->contact);
}

/* Of the codes for Warning (RFC 3261 20.43) none is about encryption: 399 is for what has none. */
static void refuse_keys(struct ua_dialog *dialog, const struct core_media_desc *offer)
{
	ua_reply(dialog->ua, dialog->in, SIP_488_NOT_ACCEPTABLE,
		 offer->secure ? "Warning: 399 pbx \"SRTP with these keys is not spoken here\"\n"
			       : "Warning: 399 pbx \"SRTP is required here\"\n");
}

static void refuse_by(struct ua_dialog *dialog, const struct core_media_desc *offer, int err)
{
	if (err == PBX_ENOTSUP)
		ua_reply(dialog->ua, dialog->in, SIP_488_NOT_ACCEPTABLE, "Warning: 305 pbx \"No codec in common\"\n");
	else if (err == PBX_EPERM)
		refuse_keys(dialog, offer);
	else if (err == PBX_ENOSPC || err == PBX_ENOMEM || err == PBX_ESTATE)
		ua_reply(dialog->ua, dialog->in, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 5\n");
	else
		ua_reply(dialog->ua, dialog->in, SIP_500_INTERNAL_SERVER_ERROR, NULL);
	dialog->in = NULL;
}

/* The leg that Replaces names (RFC 3891). False: it names none of ours. */
static bool find_replaced(const struct ua_dialog *dialog, const sip_t *sip, pbx_leg *ret_leg)
{
	nta_leg_t *nta = sip->sip_replaces ? nta_leg_by_replaces(dialog->ua->agent, sip->sip_replaces) : NULL;
	const struct ua_dialog *other = nta ? nta_leg_magic(nta, ua_dialog_on_request) : NULL;

	*ret_leg = other && other != dialog ? other->leg : (pbx_leg){ 0 };
	return !sip->sip_replaces || ret_leg->id;
}

/* A peer that calls the Contact we registered, and nothing but that: for the account it belongs to. */
static void dial_account(const struct pbx_sip_peer *is, char *ret_dialled, size_t size)
{
	if (strcmp(ret_dialled, is->contact_user) == 0)
		(void)snprintf(ret_dialled, size, "%s", is->from_user[0] ? is->from_user : is->user);
}

/* A peer that knows us by the token we registered with may say elsewhere what was dialled. */
static void read_dialled(const struct ua_request *request, char *ret_dialled, size_t size)
{
	const sip_t *sip = request->sip;

	ua_identity_user(sip->sip_request->rq_url, ret_dialled, size);
	if (!request->peer || !request->peer->is.contact_user[0] || strcmp(ret_dialled, request->peer->is.contact_user) != 0)
		return;
	ua_identity_user(sip->sip_to->a_url, ret_dialled, size);
	dial_account(&request->peer->is, ret_dialled, size);
	for (const sip_unknown_t *header = sip->sip_unknown; header; header = header->un_next) {
		su_home_t home[1] = { SU_HOME_INIT(home) };

		if (strcasecmp(header->un_name, "P-Called-Party-ID") != 0 || !header->un_value)
			continue;
		(void)su_home_init(home);
		const sip_from_t *called = sip_from_make(home, header->un_value);
		if (called && called->a_url->url_user)
			ua_identity_user(called->a_url, ret_dialled, size);
		su_home_deinit(home);
		return;
	}
}

static void tell_core(struct ua_dialog *dialog, const struct ua_request *request, const struct core_media_desc *offer, pbx_leg replaces)
{
	const sip_t *sip = request->sip;
	char dialled[64], instance[UA_MOST_INSTANCE] = "", *headers = ua_passing_read(request);
	struct pbx_json *fields = ua_passing_fields(request);
	struct ua_history history = { .count = 0 };
	struct ua_caller caller;
	pbx_leg leg = { 0 };
	int err;

	uint32_t gruu = ua_gruu_read(sip->sip_request->rq_url, dialled, instance);
	if (gruu == UA_GRUU_NONE)
		read_dialled(request, dialled, sizeof dialled);
	else if (gruu == UA_GRUU_DEAD)
		(void)snprintf(dialled, sizeof dialled, "tgruu"); /* a number that nobody has */
	ua_caller_read(request, &caller);
	if (request->from_peer || ua_request_is_trusted(request)) /* of others it is a tale */
		ua_history_read(sip, &history);
	const struct core_incoming incoming = {
		.dialled = dialled,
		.instance = instance,
		.from_number = caller.number,
		.from_name = caller.name,
		.withheld = caller.withheld,
		.asserted_number = caller.asserted_number,
		.asserted_name = caller.asserted_name,
		.referred_by = caller.referred_by,
		.headers = headers,
		.fields = fields,
		.came_from = request->came_from,
		.account = request->account,
		.device = sip->sip_user_agent && sip->sip_user_agent->g_string ? sip->sip_user_agent->g_string : "",
		.address = request->address,
		.protocol_id = sip->sip_call_id->i_id,
		.max_forwards = sip->sip_max_forwards ? (uint32_t)sip->sip_max_forwards->mf_count : 70,
		.forwarded = ua_identity_forwarded(sip),
		.diversions = history.entries,
		.diversion_count = history.count,
		.offer = offer,
		.replaces = replaces,
		.peer = request->peer ? request->peer->is.name : "",
		.early_only = sip->sip_replaces && sip->sip_replaces->rp_early_only,
	};
	dialog->busy = true;
	err = core_leg_on_incoming(&ua_leg_driver, dialog, &incoming, &leg);
	dialog->busy = false;
	free(headers);
	core_json_free(fields);
	if (err != PBX_OK) {
		refuse_by(dialog, offer, err);
		dialog->state = UA_ENDED;
		dialog->released = true;
	} else if (dialog->state != UA_ENDED) {
		dialog->leg = leg;
	}
	ua_dialog_free_when_done(dialog);
}

static bool refuse_beyond_limits(struct ua_dialog *dialog, struct ua_request *request, const struct core_media_desc *offer)
{
	char headers[48];
	uint32_t retry_s;

	if (ua_border_admit(request, offer, &dialog->admission, &retry_s) == PBX_OK)
		return false;
	(void)snprintf(headers, sizeof headers, "Retry-After: %u\n", retry_s);
	ua_refuse(request, SIP_503_SERVICE_UNAVAILABLE, headers);
	return true;
}

void ua_dialog_incoming(struct ua_request *request)
{
	struct ua_dialog *dialog = ua_dialog_new(request->ua, true);
	struct core_media_desc offer;
	pbx_leg replaces;
	int err;

	if (!dialog) {
		ua_refuse(request, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 5\n");
		return;
	}
	dialog->state = UA_ENDED; /* until it stands, it is freed as one that is over */
	dialog->released = true;
	if (!request->sip->sip_contact) {
		ua_refuse(request, 400, "Contact is missing", NULL);
		ua_dialog_free_when_done(dialog);
		return;
	}
	if (!find_replaced(dialog, request->sip, &replaces)) {
		ua_refuse(request, SIP_481_NO_TRANSACTION, NULL);
		ua_dialog_free_when_done(dialog);
		return;
	}
	if (refuse_extensions(request)) {
		ua_dialog_free_when_done(dialog);
		return;
	}
	dialog->listener = request->listener; /* it has codecs of its own */
	if (request->sip->sip_user_agent)
		ua_dialog_note_device(dialog, request->sip->sip_user_agent->g_string);
	err = ua_dialog_read(dialog, request->sip, false, &offer);
	if (err == PBX_OK && request->sip->sip_payload && !offer.present)
		err = PBX_ENOTSUP;
	if (err == PBX_OK && request->peer && !ua_peer_pick_codecs(request->peer, &offer))
		err = PBX_ENOTSUP;
	if (err != PBX_OK) {
		refuse_sdp(request, err);
		ua_dialog_free_when_done(dialog);
		return;
	}
	if (refuse_beyond_limits(dialog, request, &offer)) {
		ua_dialog_free_when_done(dialog);
		return;
	}
	if (request->peer && ua_peering_accept(dialog, request->peer) != PBX_OK) {
		ua_refuse(request, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 5\nReason: Q.850;cause=34\n");
		ua_dialog_free_when_done(dialog);
		return;
	}
	dialog->in = ua_take_transaction(request);
	if (!dialog->in || !open_leg(dialog, request->sip) || !remember_route(dialog, request)) {
		ua_reply(dialog->ua, dialog->in, SIP_500_INTERNAL_SERVER_ERROR, NULL);
		dialog->in = NULL;
		ua_dialog_free_when_done(dialog);
		return;
	}
	remember_peer(dialog, request);
	note_abilities(dialog, request->sip);
	dialog->is_outside = !request->account[0];
	dialog->is_trusted = ua_request_is_trusted(request);
	ua_dialog_note_name(dialog, request->sip->sip_call_id, request->sip->sip_from->a_tag);
	dialog->state = UA_NEW;
	dialog->released = false;
	dialog->owes_offer = !offer.present;
	nta_incoming_bind(dialog->in, ua_dialog_on_ack_or_cancel, dialog);
	(void)nta_incoming_treply(dialog->in, SIP_100_TRYING, TAG_END()); /* lost: the INVITE comes again */
	tell_core(dialog, request, &offer, replaces);
}

/* ---- what the core says --------------------------------------------------------------- */

int ua_ring(void *object, const struct core_media_desc *early)
{
	struct ua_dialog *dialog = object;

	if (!dialog->inbound || !dialog->in || dialog->state > UA_RINGING)
		return PBX_ESTATE;
	dialog->state = UA_RINGING;
	if (!early || dialog->owes_offer) /* an offer in an unreliable 183 would not be one (RFC 3261 13.2.1) */
		return ua_reliable_reply(dialog, SIP_180_RINGING, NULL);

	int err = ua_dialog_describe(dialog, early);
	if (err != PBX_OK)
		return err;
	return ua_reliable_reply(dialog, SIP_183_SESSION_PROGRESS, dialog->body);
}

int ua_answer(void *object, const struct core_media_desc *answer)
{
	struct ua_dialog *dialog = object;
	int err;

	if (!dialog->inbound || !dialog->in || dialog->state > UA_RINGING)
		return PBX_ESTATE;
	err = ua_dialog_describe(dialog, answer);
	if (err != PBX_OK)
		return err;
	dialog->state = UA_ANSWERED;
	dialog->awaits_ack = true;
	ua_refresh_begin(&dialog->refresh);
	return ua_dialog_reply(dialog, dialog->in, SIP_200_OK, dialog->body);
}

static void finish_refused(struct ua_dialog *dialog)
{
	dialog->in = NULL;
	dialog->leg = (pbx_leg){ 0 };
	dialog->state = UA_ENDED;
	ua_dialog_free_when_done(dialog);
}

int ua_reject(void *object, uint32_t sip_code, uint32_t cause, const char *text)
{
	struct ua_dialog *dialog = object;
	char headers[160];

	if (!dialog->inbound || !dialog->in || dialog->state > UA_RINGING)
		return PBX_ESTATE;
	if (sip_code < 300 || sip_code > 699)
		sip_code = 500;
	(void)snprintf(headers, sizeof headers, "Reason: Q.850;cause=%u\n%s%s", cause,
		       sip_code == 488 ? "Warning: 305 pbx \"No codec in common\"\n" : "",
		       cause == CORE_CAUSE_NO_RESOURCE ? "Retry-After: 5\n" : ""); /* ours, and it passes */
	ua_reply(dialog->ua, dialog->in, (int)sip_code, text && text[0] ? text : sip_status_phrase((int)sip_code), cause ? headers : NULL);
	finish_refused(dialog);
	return PBX_OK;
}

int ua_redirect(void *object, const char *contact)
{
	struct ua_dialog *dialog = object;
	char headers[600];

	if (!dialog->inbound || !dialog->in || dialog->state > UA_RINGING)
		return PBX_ESTATE;
	if (strpbrk(contact, "<>\r\n") || strlen(contact) > 512)
		return PBX_EINVAL;
	(void)snprintf(headers, sizeof headers, "Contact: <%s>\n", contact);
	ua_reply(dialog->ua, dialog->in, SIP_302_MOVED_TEMPORARILY, headers);
	finish_refused(dialog);
	return PBX_OK;
}

/* ---- ACK, CANCEL, silence ------------------------------------------------------------- */

static void on_cancel(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	if (dialog->state > UA_RINGING || irq != dialog->in)
		return; /* the 200 was faster: it stands */
	dialog->in = NULL;
	nta_incoming_destroy(irq); /* nta says 487 */
	ua_dialog_end(dialog, 487, sip->sip_reason ? ua_cause_of(sip, 0) : PBX_CAUSE_NORMAL, true, "cancelled");
}

/* The answer to the offer in our 200. */
static void read_late_answer(struct ua_dialog *dialog, const sip_t *sip)
{
	struct core_media_desc answer;
	int err = ua_dialog_read(dialog, sip, true, &answer);

	dialog->owes_offer = false;
	if (err == PBX_OK && !answer.present)
		err = PBX_ENOTSUP;
	core_leg_on_update_done(dialog->leg, err, err == PBX_OK ? &answer : NULL);
}

int ua_dialog_on_ack_or_cancel(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	bool initial = dialog && irq == dialog->in;

	if (!dialog)
		return 0;
	if (sip && sip->sip_request->rq_method == sip_method_cancel) {
		on_cancel(dialog, irq, sip);
		return 0;
	}
	if (initial)
		dialog->in = NULL;
	nta_incoming_destroy(irq);
	dialog->awaits_ack = false;
	if (!sip && (dialog->state == UA_NEW || dialog->state == UA_RINGING)) { /* nta says 503 */
		ua_dialog_end(dialog, 503, PBX_CAUSE_NO_RESPONSE, true, "no PRACK");
		return 0;
	}
	if (dialog->bye_cause || !sip) {
		if (dialog->state == UA_ANSWERED) {
			ua_dialog_bye(dialog, sip ? dialog->bye_cause : PBX_CAUSE_NO_RESPONSE);
			ua_dialog_end(dialog, 0, PBX_CAUSE_NO_RESPONSE, true, sip ? "" : "no ACK");
		} else {
			ua_dialog_free_when_done(dialog);
		}
		return 0;
	}
	if (dialog->owes_offer)
		read_late_answer(dialog, sip);
	ua_dialog_tell_identity(dialog);
	return 0;
}
