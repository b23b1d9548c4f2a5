/*
 * midcall.c - what happens inside a dialog
 *
 * Offers: one at a time in either direction. A second one from the peer while its first waits gets 500, one that crosses ours 491;
 * ours that gets a 491 is tried again after a time that depends on who made the call (RFC 3261 14.1).
 */
#include "dialog_internal.h"
#include "gruu.h"
#include "loop.h"
#include "peering.h"
#include "sdp_ice.h"
#include "timer.h"
#include <sofia-sip/su_uniqueid.h>
#include <stdlib.h>
#include <string.h>

/* ---- offers of the peer --------------------------------------------------------------- */

static void refuse(struct ua_dialog *dialog, nta_incoming_t *irq, int status, const char *headers)
{
	ua_reply(dialog->ua, irq, status, sip_status_phrase(status), headers);
}

/* Sends the 200 and, for a re-INVITE, waits for its ACK. body NULL: an UPDATE without offer has no answer. */
static int confirm(struct ua_dialog *dialog, nta_incoming_t *irq, const char *body)
{
	bool is_invite = nta_incoming_method(irq) == sip_method_invite;
	int err = ua_dialog_reply(dialog, irq, SIP_200_OK, body);

	if (nta_incoming_method(irq) != sip_method_prack)
		ua_refresh_begin(&dialog->refresh);

	if (is_invite && err == PBX_OK) {
		dialog->in = irq;
		dialog->awaits_ack = true;
	} else {
		nta_incoming_destroy(irq);
	}
	return err;
}

/* Whether an offer must wait, and with which status it is told so; 0: it need not. Before the 200 one may come once the first offer
 * has been answered reliably (RFC 3311 5.2, RFC 3262 5); the 200 to an early INVITE of ours is no obstacle then. */
static int must_wait(const struct ua_dialog *dialog, bool is_invite)
{
	bool is_early = dialog->state == UA_RINGING && dialog->early_agreed && !is_invite;

	if (dialog->offer || dialog->awaits_ack || (dialog->inbound && dialog->state != UA_ANSWERED && !is_early))
		return 500;
	if (dialog->update_body || (dialog->out && !is_early))
		return 491;
	return dialog->state == UA_ANSWERED || is_early ? 0 : 500;
}

/* An UPDATE without media: the session goes on, or the peer has moved. */
static bool is_refresh(const struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	return nta_incoming_method(irq) == sip_method_update && !sip->sip_payload && dialog->state != UA_ENDED;
}

/* What INVITE and UPDATE may ask of us besides media. True: it was refused. */
static bool refuse_extensions(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	char headers[512];

	if (ua_requires_unknown(dialog->ua, ua_peering_peer(dialog), sip, headers, sizeof headers))
		refuse(dialog, irq, 420, headers);
	else if (ua_refresh_is_too_short(dialog->ua, ua_peering_peer(dialog), sip, headers, sizeof headers))
		refuse(dialog, irq, 422, headers);
	else
		return false;
	return true;
}

void ua_dialog_on_offer(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	bool is_invite = nta_incoming_method(irq) == sip_method_invite, is_prack = nta_incoming_method(irq) == sip_method_prack;
	struct core_media_desc offer;
	int status = is_refresh(dialog, irq, sip) ? 0 : must_wait(dialog, is_invite), err;

	if (status) {
		refuse(dialog, irq, status, status == 500 ? "Retry-After: 2\n" : NULL);
		return;
	}
	if (refuse_extensions(dialog, irq, sip))
		return;
	err = ua_dialog_read(dialog, sip, false, &offer);
	if (err != PBX_OK) {
		refuse(dialog, irq,
		       err == PBX_EINVAL     ? 400
		       : err == PBX_EVERSION ? 415
					     : 488,
		       err == PBX_ENOTSUP ? "Warning: 304 pbx \"No audio stream here\"\n" : NULL);
		return;
	}
	if (sip->sip_contact)
		(void)ua_gruu_server_route(dialog->nta, NULL, sip->sip_contact); /* no memory: the old target serves on */
	ua_dialog_note_peer(dialog, sip);
	if (!is_prack)
		ua_refresh_asked(&dialog->refresh, sip);
	if (is_invite)
		nta_incoming_bind(irq, ua_dialog_on_ack_or_cancel, dialog);
	if (!sip->sip_payload && !is_invite) {
		(void)confirm(dialog, irq, NULL); /* lost: they ask again */
		return;
	}
	if (is_invite) {
		dialog->owes_offer = !sip->sip_payload;                    /* it asks for ours: the answer comes with its ACK */
		(void)nta_incoming_treply(irq, SIP_100_TRYING, TAG_END()); /* lost: it comes again */
	}
	dialog->offer = irq;
	core_leg_on_offer(dialog->leg, &offer);
}

int ua_accept_offer(void *object, const struct core_media_desc *answer)
{
	struct ua_dialog *dialog = object;
	nta_incoming_t *irq = dialog->offer;
	int err;

	if (!irq)
		return PBX_ESTATE;
	err = ua_dialog_describe(dialog, answer);
	if (err != PBX_OK)
		return err;
	dialog->offer = NULL;
	return confirm(dialog, irq, dialog->body);
}

int ua_refuse_offer(void *object, uint32_t sip_code)
{
	struct ua_dialog *dialog = object;
	nta_incoming_t *irq = dialog->offer;

	if (!irq)
		return PBX_ESTATE;
	dialog->offer = NULL;
	refuse(dialog, irq, sip_code >= 400 && sip_code <= 699 ? (int)sip_code : 488,
	       sip_code == 488 ? "Warning: 305 pbx \"No codec in common\"\n" : NULL);
	return PBX_OK;
}

/* ---- offers of ours ------------------------------------------------------------------- */

static int send_update(struct ua_dialog *dialog)
{
	dialog->out = ua_dialog_send(dialog, ua_dialog_on_update_response, SIP_METHOD_INVITE, "application/sdp", dialog->update_body,
				     dialog->identity);
	return dialog->out ? PBX_OK : PBX_EIO;
}

static void update_done(struct ua_dialog *dialog, int result, const struct core_media_desc *answer)
{
	free(dialog->update_body);
	dialog->update_body = NULL;
	core_leg_on_update_done(dialog->leg, result, answer);
}

static void on_retry(void *self, pbx_timer timer)
{
	struct ua_dialog *dialog = self;

	(void)timer;
	dialog->timer = (pbx_timer){ 0 };
	if (dialog->state == UA_ANSWERED && (dialog->offer || send_update(dialog) != PBX_OK))
		update_done(dialog, PBX_EIO, NULL);
}

/* The one who made the call waits 2.1 to 4 s, the other up to 2 s, in steps of 10 ms. */
static void retry_later(struct ua_dialog *dialog)
{
	uint32_t chance = (uint32_t)su_randint(0, 190);
	uint64_t after_ms = dialog->inbound ? chance * 10 : 2100 + chance * 10;

	if (core_timer_start(dialog->ua->host, after_ms, 0, on_retry, dialog, &dialog->timer) != PBX_OK)
		update_done(dialog, PBX_ENOMEM, NULL);
}

static void on_update_accepted(struct ua_dialog *dialog, const sip_t *sip)
{
	struct core_media_desc answer;
	int err;

	if (sip->sip_contact)
		(void)ua_gruu_client_reroute(dialog->nta, NULL, sip->sip_contact, false); /* no memory: the old target serves on */
	ua_dialog_ack(dialog, sip);
	err = ua_dialog_read(dialog, sip, true, &answer);
	if (err == PBX_OK && !answer.present)
		err = PBX_ENOTSUP;
	ua_dialog_note_peer(dialog, sip);
	ua_refresh_answered(&dialog->refresh, sip);
	update_done(dialog, err, err == PBX_OK ? &answer : NULL);
	ua_dialog_tell_identity(dialog);
}

static void on_dialog_gone(struct ua_dialog *dialog, int status)
{
	ua_dialog_bye(dialog, PBX_CAUSE_NORMAL);
	ua_dialog_end(dialog, (uint32_t)status, ua_cause_of(NULL, (uint32_t)status), true, "dialog is gone");
}

int ua_dialog_on_update_response(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip)
{
	int status = sip ? sip->sip_status->st_status : 408;

	if (!dialog || status < 200)
		return 0;
	ua_count_response_in(dialog->ua, sip_method_invite, status);
	dialog->out = NULL;
	nta_outgoing_destroy(orq);
	if (status < 300)
		on_update_accepted(dialog, sip);
	else if (status == 491)
		retry_later(dialog);
	else if (status == 408 || status == 481) /* the other side has no such dialog any more (RFC 3261 12.2.1.2) */
		on_dialog_gone(dialog, status);
	else if (status != 422 || !ua_refresh_may_retry(&dialog->refresh, sip) || send_update(dialog) != PBX_OK)
		update_done(dialog, status == 488 || status == 606 ? PBX_ENOTSUP : PBX_EIO, NULL);
	return 0;
}

int ua_update(void *object, const struct core_media_desc *offer)
{
	struct ua_dialog *dialog = object;
	int err;

	if (dialog->state != UA_ANSWERED)
		return PBX_ESTATE;
	if (dialog->out || dialog->update_body || dialog->offer || dialog->awaits_ack)
		return PBX_EBUSY;
	err = ua_dialog_describe(dialog, offer);
	if (err != PBX_OK)
		return err;
	dialog->update_body = strdup(dialog->body);
	if (!dialog->update_body)
		return PBX_ENOMEM;
	err = send_update(dialog);
	if (err != PBX_OK) {
		free(dialog->update_body);
		dialog->update_body = NULL;
	}
	return err;
}

/* ---- what is said without media: the call lives, and with whom ------------------------- */

static bool may_say(const struct ua_dialog *dialog)
{
	return dialog->state == UA_ANSWERED && !dialog->update && !dialog->out && !dialog->offer && !dialog->awaits_ack;
}

static int on_said(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip);
static void refresh(void *self);

static void say(struct ua_dialog *dialog)
{
	dialog->update = ua_dialog_send(dialog, on_said, SIP_METHOD_UPDATE, NULL, NULL, dialog->identity);
	dialog->identity_due = dialog->identity_due && !dialog->update;
}

static int on_said(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip)
{
	int status = sip ? sip->sip_status->st_status : 408;

	if (!dialog || status < 200)
		return 0;
	ua_count_response_in(dialog->ua, sip_method_update, status);
	dialog->update = NULL;
	nta_outgoing_destroy(orq);
	if (status < 300) {
		ua_dialog_note_peer(dialog, sip);
		ua_refresh_answered(&dialog->refresh, sip);
		ua_dialog_tell_identity(dialog);
	} else if (status == 408 || status == 481) {
		on_dialog_gone(dialog, status);
	} else if (status == 422 && ua_refresh_may_retry(&dialog->refresh, sip)) {
		say(dialog);
	} else if (status == 405 || status == 501) {
		dialog->peer_updates = false; /* whatever its Allow said */
		refresh(dialog);
	} /* another refusal: the session ends in time unless a later request is accepted */
	return 0;
}

/* Says to the peer that the call lives: an UPDATE without media, a re-INVITE to who knows none. */
static void refresh(void *self)
{
	struct ua_dialog *dialog = self;

	if (!may_say(dialog) || !dialog->body || dialog->update_body)
		return;
	if (dialog->peer_updates) {
		say(dialog);
		return;
	}
	dialog->update_body = strdup(dialog->body);
	if (dialog->update_body && send_update(dialog) != PBX_OK) { /* the timer ends the call, were it to stay so */
		free(dialog->update_body);
		dialog->update_body = NULL;
	}
}

static const struct pbx_sip_peer *refresh_peer(const void *self)
{
	return ua_peering_peer(self);
}

static bool stands(const void *self)
{
	const struct ua_dialog *dialog = self;

	return dialog->state == UA_ANSWERED;
}

static bool is_busy(const void *self)
{
	const struct ua_dialog *dialog = self;

	return dialog->out || dialog->update_body || dialog->offer || dialog->awaits_ack || dialog->update;
}

static void expired(void *self)
{
	struct ua_dialog *dialog = self;

	ua_dialog_bye(dialog, PBX_CAUSE_TIMER);
	ua_dialog_end(dialog, 0, PBX_CAUSE_TIMER, false, "session_timeout");
}

const struct ua_refreshed ua_dialog_refreshed = {
	.peer = refresh_peer, .stands = stands, .is_busy = is_busy, .refresh = refresh, .expired = expired
};

void ua_dialog_tell_identity(struct ua_dialog *dialog)
{
	if (dialog->identity_due && dialog->peer_updates && may_say(dialog))
		say(dialog);
}

/* ---- digits --------------------------------------------------------------------------- */

/* A hook flash, by its number as an event, or in letters. */
static bool is_flash_signal(const char *at)
{
	return strncasecmp(at, "hf", 2) == 0 || strncasecmp(at, "flash", 5) == 0 || strncmp(at, "16", 2) == 0;
}

/* "Signal=5", "Duration=160" in lines (application/dtmf-relay, application/hook-flash), or a single character (application/dtmf). */
static bool read_digit(const sip_t *sip, char *ret_digit, uint32_t *ret_duration_ms)
{
	const char *type = sip->sip_content_type ? sip->sip_content_type->c_type : NULL;
	bool is_flash = type && strcasecmp(type, "application/hook-flash") == 0;
	bool is_relay = is_flash || (type && strcasecmp(type, "application/dtmf-relay") == 0);
	const char *at;
	char body[128];
	size_t size;

	if (!sip->sip_payload || !type || (!is_relay && strcasecmp(type, "application/dtmf") != 0))
		return false;
	size = sip->sip_payload->pl_len < sizeof body - 1 ? sip->sip_payload->pl_len : sizeof body - 1;
	memcpy(body, sip->sip_payload->pl_data, size);
	body[size] = '\0';

	*ret_duration_ms = 160;
	at = is_relay ? strcasestr(body, "signal=") : body;
	if (!at)
		return false;
	at += is_relay ? 7 : 0;
	at += strspn(at, " \t\r\n");
	*ret_digit = *at >= 'a' && *at <= 'd' ? (char)(*at - 32) : *at;
	if (strncmp(at, "10", 2) == 0)
		*ret_digit = '*'; /* some say 10 and 11 */
	if (strncmp(at, "11", 2) == 0)
		*ret_digit = '#';
	if (is_flash_signal(at))
		*ret_digit = CORE_FLASH;
	at = is_relay ? strcasestr(body, "duration=") : NULL;
	if (at && strtoul(at + 9, NULL, 10) > 0 && strtoul(at + 9, NULL, 10) <= 10000)
		*ret_duration_ms = (uint32_t)strtoul(at + 9, NULL, 10);
	return *ret_digit != '\0' && strchr("0123456789*#ABCD!", *ret_digit) != NULL;
}

/* Candidates that the peer has found since (RFC 8840). True: that is what it is about. */
static bool take_candidates(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	const char *type = sip->sip_content_type ? sip->sip_content_type->c_type : NULL;
	struct core_ice more;

	if (!type || strcasecmp(type, "application/trickle-ice-sdpfrag") != 0)
		return false;
	ua_reply(dialog->ua, irq, SIP_200_OK, NULL);
	if (ua_sdp_fragment_read(sip->sip_payload->pl_data, sip->sip_payload->pl_len, &more))
		core_leg_on_candidates(dialog->leg, &more);
	return true;
}

static void on_info(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	uint32_t duration_ms;
	char digit;

	if (!sip->sip_payload) {
		ua_reply(dialog->ua, irq, SIP_200_OK, NULL);
		return;
	}
	if (take_candidates(dialog, irq, sip))
		return;
	if (!read_digit(sip, &digit, &duration_ms)) {
		ua_reply(dialog->ua, irq, SIP_415_UNSUPPORTED_MEDIA,
			 "Accept: application/dtmf-relay, application/dtmf, application/hook-flash, application/trickle-ice-sdpfrag\n");
		return;
	}
	ua_reply(dialog->ua, irq, SIP_200_OK, NULL);
	core_leg_on_digit(dialog->leg, digit, duration_ms);
}

int ua_send_digit(void *object, char digit, uint32_t duration_ms)
{
	struct ua_dialog *dialog = object;
	char body[64];

	if (dialog->state != UA_ANSWERED)
		return PBX_ESTATE;
	const char signal[] = { digit, '\0' };

	(void)snprintf(body, sizeof body, "Signal=%s\r\nDuration=%u\r\n", digit == CORE_FLASH ? "hf" : signal, duration_ms);
	return ua_dialog_send(dialog, NULL, SIP_METHOD_INFO, "application/dtmf-relay", body, NULL) ? PBX_OK : PBX_EIO;
}

/* ---- the end, and the rest ------------------------------------------------------------ */

static void on_bye(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	uint32_t cause = ua_cause_of(sip, 0);

	ua_reply(dialog->ua, irq, SIP_200_OK, NULL);
	if (dialog->in && dialog->state != UA_ANSWERED) { /* a BYE instead of a CANCEL ends the INVITE too (RFC 3261 15.1.2) */
		ua_reply(dialog->ua, dialog->in, SIP_487_REQUEST_CANCELLED, NULL);
		dialog->in = NULL;
	}
	ua_dialog_end(dialog, 0, cause, true, "");
}

static void on_options(struct ua_dialog *dialog, nta_incoming_t *irq)
{
	char supported[UA_SUPPORTED_SIZE], headers[256];

	ua_supported(dialog->ua, ua_peering_peer(dialog), supported);
	(void)snprintf(headers, sizeof headers, "Allow: " UA_ALLOW "\nSupported: %s\nAccept: application/sdp\n", supported);
	ua_reply(dialog->ua, irq, SIP_200_OK, headers);
}

int ua_dialog_on_request(struct ua_dialog *dialog, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;

	(void)leg;
	ua_count_request(dialog->ua, method, ",in");
	switch (method) {
	case sip_method_ack:
		nta_incoming_destroy(irq);
		return 0;
	case sip_method_bye:
		on_bye(dialog, irq, sip);
		return 0;
	case sip_method_invite:
	case sip_method_update:
		ua_dialog_on_offer(dialog, irq, sip);
		return 0;
	case sip_method_info:
		on_info(dialog, irq, sip);
		return 0;
	case sip_method_options:
		on_options(dialog, irq);
		return 0;
	case sip_method_prack: /* those that acknowledge something have not come here */
		ua_reply(dialog->ua, irq, SIP_481_NO_TRANSACTION, NULL);
		return 0;
	case sip_method_refer:
		return ua_on_refer(dialog, irq, sip);
	case sip_method_unknown:
		return 501;
	default:
		ua_reply(dialog->ua, irq, SIP_405_METHOD_NOT_ALLOWED, "Allow: " UA_ALLOW "\n");
		return 0;
	}
}
