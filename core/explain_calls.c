/*
 * explain_calls.c - the rules about calls, in the order in which they are asked
 *
 * First how an answered call was cut off, then who gave up, then what our own routing decided, then what became of our INVITE, and last what
 * the other side answered. A rule is a condition and a sentence. The condition looks at the case, makes one leg the one that is talked about, and
 * says what further names in the sentence stand for. Names that every sentence may use: from, to, dialled, lasted, code, cause.
 */
#include "explain.h"
#include "address_text.h"
#include <string.h>

static bool ended_as(const struct core_case *about, const char *cause)
{
	return about->ended && strcmp(about->cause, cause) == 0;
}

static bool is_one_of(uint32_t code, const uint32_t *codes)
{
	while (*codes && *codes != code)
		codes++;
	return *codes != 0;
}

#define ONE_OF(code, ...) is_one_of((code), (const uint32_t[]){ __VA_ARGS__, 0 })

static bool blame_by_reason(struct core_case *about, const char *begin)
{
	const struct core_case_leg *leg = core_case_by_reason(about, begin);

	if (leg)
		core_case_blame(about, leg);
	return leg != NULL;
}

/* Who rang, for sentences about waiting; false: nobody did. */
static bool say_who_rang(struct core_case *about)
{
	char ring[32];

	for (uint32_t i = 0; i < about->leg_count; i++)
		if (!about->legs[i].inbound && about->legs[i].rang) {
			core_case_blame(about, &about->legs[i]);
			core_say_duration(about->ring_ms, ring);
			core_word(&about->words, "rang", "%s", ring);
			return true;
		}
	return false;
}

/* ---- cut off -------------------------------------------------------------------------- */

static bool system_restart(struct core_case *about)
{
	return ended_as(about, "system_restart");
}

static bool was_shut_down(struct core_case *about)
{
	return ended_as(about, "shutdown");
}

static bool max_duration(struct core_case *about)
{
	return ended_as(about, "max_duration");
}

static bool session_expired(struct core_case *about)
{
	return blame_by_reason(about, "session_timeout");
}

static bool media_never_came(struct core_case *about)
{
	return blame_by_reason(about, "media_timeout") && about->leg->packets_in == 0;
}

static bool media_stopped(struct core_case *about)
{
	return blame_by_reason(about, "media_timeout");
}

static bool ice_failed(struct core_case *about)
{
	return blame_by_reason(about, "ice_failed");
}

static bool consent_lost(struct core_case *about)
{
	return blame_by_reason(about, "consent_lost");
}

static bool dtls_failed(struct core_case *about)
{
	return blame_by_reason(about, "dtls_failed");
}

static bool dtls_wrong_certificate(struct core_case *about)
{
	return blame_by_reason(about, "dtls_wrong_certificate");
}

static bool dialog_gone(struct core_case *about)
{
	return blame_by_reason(about, "dialog is gone");
}

static bool no_ack(struct core_case *about)
{
	return blame_by_reason(about, "no ACK");
}

static bool no_prack(struct core_case *about)
{
	return blame_by_reason(about, "no PRACK");
}

/* ---- talked, or still does ------------------------------------------------------------ */

static bool transfer_failed(struct core_case *about)
{
	const struct core_case_leg *leg = core_case_callee(about);
	char who[160];

	if (!about->transfer.failed || !about->transfer.to[0])
		return false;
	core_word(&about->words, "by", "%s", about->transfer.by);
	core_word(&about->words, "kind", "%s", about->transfer.type);
	core_word(&about->words, "target", "%s", about->transfer.to);
	core_word(&about->words, "why", "nobody was reached there");
	if (about->refused.sip_code && strcmp(about->refused.number, about->transfer.to) == 0) {
		core_word(&about->words, "why", "%s refused %s with %u (%.90s)", about->refused.by, about->refused.number,
			  about->refused.sip_code, about->refused.reason);
	} else if (leg) {
		core_case_blame(about, leg);
		core_case_name_leg(about, leg, who, sizeof who);
		if (leg->reply)
			core_word(&about->words, "why", "%s answered %u %s", who, leg->reply->text.status, leg->reply->text.phrase);
		else
			core_word(&about->words, "why", "%s ended with %u %s", who, leg->sip_code, leg->reason);
	}
	return true;
}

/* A REFER that we have not accepted. */
static bool transfer_refused(struct core_case *about)
{
	for (uint32_t i = 0; about->ladder && i < about->ladder->count; i++) {
		const struct core_ladder_item *item = &about->ladder->items[i];
		char address[64];

		if (!item->message.sent || item->text.status < 300 || item->text.is_challenge || strcmp(item->text.method, "REFER") != 0)
			continue;
		about->message = item;
		core_address_print(&item->message.remote, address, sizeof address);
		core_word(&about->words, "by", "%s", item->text.from_user);
		core_word(&about->words, "address", "%s", address);
		core_word(&about->words, "answer", "%u %s", item->text.status, item->text.phrase);
		return true;
	}
	return false;
}

static bool hung_up_by_us(struct core_case *about)
{
	return about->ended && about->answered && strcmp(about->hangup_by, "system") == 0;
}

static bool talked(struct core_case *about)
{
	return about->ended && about->answered;
}

static bool talking(struct core_case *about)
{
	return !about->ended && about->answered;
}

static bool ringing(struct core_case *about)
{
	return !about->ended && say_who_rang(about);
}

static bool connecting(struct core_case *about)
{
	return !about->ended;
}

/* ---- given up ------------------------------------------------------------------------- */

static bool cancelled_while_ringing(struct core_case *about)
{
	return strcmp(about->hangup_by, "caller") == 0 && say_who_rang(about);
}

static bool cancelled_in_silence(struct core_case *about)
{
	const struct core_case_leg *leg = core_case_callee(about);

	if (strcmp(about->hangup_by, "caller") != 0 || !leg || leg->trunk[0] == '\0' || leg->rang)
		return false;
	core_case_blame(about, leg);
	return true;
}

static bool cancelled_early(struct core_case *about)
{
	return strcmp(about->hangup_by, "caller") == 0;
}

static bool ended_by_us(struct core_case *about)
{
	return !about->answered && strcmp(about->hangup_by, "system") == 0 && ended_as(about, "cancelled");
}

/* ---- our own decisions ---------------------------------------------------------------- */

static bool forward_loop(struct core_case *about)
{
	core_word(&about->words, "count", "%u", about->forward_count);
	core_word(&about->words, "forwards", "%s", about->forwards);
	return ended_as(about, "forwarded_too_often") && about->forward_count > 0;
}

/* Routing's refusal is why the call ended as it did. */
static bool was_refused(struct core_case *about)
{
	const struct core_case_leg *caller = core_case_caller(about), *callee = core_case_callee(about);
	bool decided = about->refused.sip_code && about->refused.sip_code == about->sip_code;

	if (!decided || (callee && callee->sip_code == about->sip_code && callee->by_peer))
		return false;
	if (caller)
		core_case_blame(about, caller);
	core_word(&about->words, "refused", "%s", about->refused.number);
	core_word(&about->words, "rule", "%s", about->refused.by);
	core_word(&about->words, "why", "%s", about->refused.reason[0] ? about->refused.reason : "it gives no reason");
	return true;
}

static bool unknown_number(struct core_case *about)
{
	return was_refused(about) && about->refused.sip_code == 404 && strcmp(about->refused.by, "core") == 0;
}

static bool too_many_calls(struct core_case *about)
{
	return was_refused(about) && strcmp(about->refused.by, "calls") == 0;
}

static bool not_permitted(struct core_case *about)
{
	return was_refused(about) && about->refused.sip_code == 403;
}

static bool route_refused(struct core_case *about)
{
	return was_refused(about);
}

static bool nobody_registered(struct core_case *about)
{
	core_word(&about->words, "number", "%s", about->forwarded_to[0] ? about->forwarded_to : about->to);
	return ended_as(about, "offline");
}

/* ---- what became of our INVITE -------------------------------------------------------- */

static bool callee_blamed(struct core_case *about, const char *reason)
{
	const struct core_case_leg *leg = core_case_callee(about);

	if (!leg || strncmp(leg->reason, reason, strlen(reason)) != 0)
		return false;
	core_case_blame(about, leg);
	core_word(&about->words, "reason", "%s", leg->reason + (reason[0] && reason[strlen(reason) - 1] == ' ' ? strlen(reason) : 0));
	return true;
}

static bool dns_failed(struct core_case *about)
{
	return callee_blamed(about, "DNS: ");
}

static bool tls_refused(struct core_case *about)
{
	return callee_blamed(about, "TLS: ");
}

static bool no_channel(struct core_case *about)
{
	return callee_blamed(about, "cannot call") && about->leg->trunk[0] && about->leg->sip_code == 503;
}

static bool trunk_codec(struct core_case *about)
{
	return callee_blamed(about, "cannot call") && about->leg->sip_code == 488;
}

static bool no_response(struct core_case *about)
{
	return callee_blamed(about, "no response") || (callee_blamed(about, "") && about->leg->sip_code == 408 && !about->leg->reply);
}

static bool unreachable(struct core_case *about)
{
	return callee_blamed(about, "cannot be reached");
}

static bool no_common_codec(struct core_case *about)
{
	const struct core_case_leg *leg = core_case_by_reason(about, "no common codec");

	leg = leg ? leg : core_case_by_reason(about, "no usable SDP");
	if (leg)
		core_case_blame(about, leg);
	return leg != NULL;
}

/* What the one who was called answered with, for who offers nothing of it. */
static void say_what_callee_speaks(struct core_case *about)
{
	core_word(&about->words, "others", "who was called did not say what it speaks");
	for (uint32_t i = 0; i < about->leg_count; i++) {
		const struct core_case_leg *leg = &about->legs[i];
		char who[160];

		if (leg->inbound || !leg->described)
			continue;
		core_case_name_leg(about, leg, who, sizeof who);
		core_word(&about->words, "others", "%s speaks %s", who, leg->described->text.sdp.codecs);
	}
}

static const char *say_profile(const struct core_ladder_item *item)
{
	return !item ? "nothing that was recorded" : item->text.sdp.secure ? "encrypted audio (SRTP)" : "plain audio (RTP)";
}

static bool no_common_encryption(struct core_case *about)
{
	const struct core_case_leg *leg = core_case_by_reason(about, "no common encryption");

	if (!leg)
		return false;
	core_case_blame(about, leg);
	core_word(&about->words, "ours", "%s", say_profile(leg->invite));
	core_word(&about->words, "theirs", "%s", say_profile(leg->described));
	return true;
}

static bool caller_codec(struct core_case *about)
{
	const struct core_case_leg *leg = core_case_by_reason(about, "cannot connect");

	if (!leg || !leg->inbound || leg->sip_code != 488)
		return false;
	core_case_blame(about, leg);
	say_what_callee_speaks(about);
	return true;
}

/* ---- what they answered --------------------------------------------------------------- */

/* The leg that decided has heard a refusal from the other side. */
static bool they_refused(struct core_case *about)
{
	const struct core_case_leg *leg = core_case_callee(about);

	if (!leg || !leg->by_peer || leg->sip_code < 300)
		return false;
	core_case_blame(about, leg);
	return true;
}

static bool trunk_refused(struct core_case *about)
{
	return they_refused(about) && about->leg->trunk[0];
}

static bool busy(struct core_case *about)
{
	return they_refused(about) && ONE_OF(about->leg->sip_code, 486, 600);
}

static bool codecs_refused(struct core_case *about)
{
	return they_refused(about) && ONE_OF(about->leg->sip_code, 415, 488, 606);
}

/* Nothing but SRTP was offered. */
static bool srtp_refused(struct core_case *about)
{
	return codecs_refused(about) && about->leg->invite && about->leg->invite->text.sdp.secure;
}

static bool credentials_refused(struct core_case *about)
{
	const char *user = they_refused(about) ? core_case_user_of(about, about->leg->invite) : "";

	core_word(&about->words, "user", "%s", user);
	return about->leg && ONE_OF(about->leg->sip_code, 401, 407) && user[0];
}

static bool credentials_missing(struct core_case *about)
{
	return they_refused(about) && ONE_OF(about->leg->sip_code, 401, 407);
}

static bool trunk_forbids(struct core_case *about)
{
	if (!trunk_refused(about) || !ONE_OF(about->leg->sip_code, 402, 403))
		return false;
	core_word(&about->words, "shown", "%s", about->leg->invite ? about->leg->invite->text.from_user : about->from);
	return true;
}

static bool trunk_knows_no_number(struct core_case *about)
{
	return trunk_refused(about) && ONE_OF(about->leg->sip_code, 404, 410, 484, 485, 604);
}

static bool trunk_overloaded(struct core_case *about)
{
	return trunk_refused(about) && about->leg->sip_code >= 500 && about->leg->sip_code < 600;
}

static bool runs_in_circle(struct core_case *about)
{
	return they_refused(about) && ONE_OF(about->leg->sip_code, 482, 483);
}

static bool declined(struct core_case *about)
{
	return they_refused(about) && ONE_OF(about->leg->sip_code, 403, 603);
}

static bool device_forgot(struct core_case *about)
{
	return they_refused(about) && ONE_OF(about->leg->sip_code, 404, 410, 604);
}

static bool unavailable(struct core_case *about)
{
	return they_refused(about) && ONE_OF(about->leg->sip_code, 408, 430, 480);
}

static bool no_answer(struct core_case *about)
{
	return ended_as(about, "no_answer") && say_who_rang(about);
}

static bool always(struct core_case *about)
{
	(void)about;
	return true;
}

const struct core_rule core_call_rules[] = {
	/* answered, and cut off */
	{ "system_restart", CORE_FAILED, system_restart,
	  "The PBX stopped without warning (a crash or a power cut) during the call of {from} with {to}, and told its end when it started "
	  "again" },
	{ "shutdown", CORE_FAILED, was_shut_down,
	  "The PBX was shut down during the call of {from} with {to}, and hung up when server.shutdown_drain_s was over" },
	{ "max_duration", CORE_FAILED, max_duration,
	  "The PBX hung up after {lasted}, because no call may last longer than calls.max_duration_s" },
	{ "session_expired", CORE_FAILED, session_expired,
	  "{who} did not refresh the session in time (session timer, RFC 4028) and may have vanished: the PBX hung up after {talked}" },
	{ "media_never_came", CORE_FAILED, media_never_came,
	  "No packet of {who} ever came to {local}; its SDP names {told}: after media.timeout_s of silence the PBX hung up" },
	{ "media_stopped", CORE_FAILED, media_stopped,
	  "The audio of {who} stopped: {packets} packets had come from {came}, then none for media.timeout_s, and the PBX hung up" },
	{ "ice_failed", CORE_FAILED, ice_failed,
	  "No way for the audio of {who} was found (ICE): a firewall lets no UDP through to {local} (media.ice_tcp_port lets browsers come "
	  "by TCP), or "
	  "media.external_ip does not name the address that others see" },
	{ "consent_lost", CORE_FAILED, consent_lost,
	  "{who} stopped answering where its audio was (ICE consent, RFC 7675), as a closed tab or a lost network does: the PBX hung up "
	  "after "
	  "media.consent_s" },
	{ "dtls_failed", CORE_FAILED, dtls_failed,
	  "No keys for the audio were agreed on with {who} (DTLS): its packets do not arrive, or it shares no cipher with us" },
	{ "dtls_wrong_certificate", CORE_FAILED, dtls_wrong_certificate,
	  "Somebody with another certificate than the one that {who} had announced wanted to be its audio (DTLS fingerprint): the PBX "
	  "heard "
	  "nothing of it and hung up" },
	{ "dialog_gone", CORE_FAILED, dialog_gone,
	  "{who} knew nothing of the call any more (it was restarted, or had hung up unheard): it ended after {talked}" },
	{ "no_ack", CORE_FAILED, no_ack,
	  "{who} never confirmed the answer with an ACK: our 200 does not reach it, or its ACK does not reach us (Contact address, NAT, "
	  "firewall)" },
	{ "no_prack", CORE_FAILED, no_prack,
	  "{who} never confirmed a reliable provisional response with PRACK (RFC 3262); sip.reliable: off makes do without" },
	{ "forward_loop", CORE_FAILED, forward_loop, "The call was forwarded {count} times, more than is allowed: {forwards}" },
	/* under way, or talked */
	{ "transfer_failed", CORE_FAILED, transfer_failed, "{by}'s {kind} transfer to {target} failed: {why}" },
	{ "transfer_refused", CORE_FAILED, transfer_refused,
	  "The PBX refused the transfer that {by} at {address} asked for with {answer}: there was nobody to be transferred, or it is not "
	  "allowed" },
	{ "talking", CORE_OPEN, talking, "{from} talks with {to}" },
	{ "ringing", CORE_OPEN, ringing, "{from} calls {to}: {who} rings" },
	{ "connecting", CORE_OPEN, connecting, "{from} calls {to}: nobody has answered, and nothing rings yet" },
	{ "hung_up_by_us", CORE_GOOD, hung_up_by_us,
	  "{from} talked with {to} for {lasted}; the PBX hung up, as an operator or a feature asked it to" },
	{ "talked", CORE_GOOD, talked, "{from} talked with {to} for {lasted}; the {ender} hung up" },
	/* given up */
	{ "cancelled_while_ringing", CORE_FAILED, cancelled_while_ringing,
	  "{from} hung up after {rang} of ringing, before {who} was answered" },
	{ "cancelled_in_silence", CORE_FAILED, cancelled_in_silence,
	  "{from} hung up after {duration}, while {who} had not even said that it rings" },
	{ "cancelled_early", CORE_FAILED, cancelled_early, "{from} hung up after {duration}, before any phone rang" },
	{ "ended_by_us", CORE_FAILED, ended_by_us,
	  "The PBX ended the call of {from} to {to} after {duration}, before it was answered, as an operator or a feature asked it to" },
	/* our own decisions */
	{ "unknown_number", CORE_FAILED, unknown_number,
	  "Nobody has the number {refused}, which {who} dialled: no extension, feature or route takes it" },
	{ "too_many_calls", CORE_FAILED, too_many_calls, "{refused} {why}, so {from} heard busy and no phone rang" },
	{ "not_permitted", CORE_FAILED, not_permitted, "{who} may not call {refused}: {rule} refused it ({why})" },
	{ "route_refused", CORE_FAILED, route_refused, "The call of {who} to {refused} was refused by {rule} with {code}: {why}" },
	{ "nobody_registered", CORE_FAILED, nobody_registered,
	  "No phone of {number} was registered, so there was nothing to ring: registrations explain {number} tells why" },
	/* what became of our INVITE */
	{ "dns_failed", CORE_FAILED, dns_failed, "The host of {who} was not found in DNS ({reason}), so {endpoint} was never called" },
	{ "tls_refused", CORE_FAILED, tls_refused,
	  "{who} showed a certificate that we do not believe ({reason}): sip.tls_authorities has to name who signed it" },
	{ "no_channel", CORE_FAILED, no_channel, "{who} takes no call: it is switched off or all its channels are in use" },
	{ "trunk_codec", CORE_FAILED, trunk_codec, "{who} is set to codecs that the caller does not have" },
	{ "no_response", CORE_FAILED, no_response,
	  "{who} answered none of the {invites} INVITEs sent to {address}: it is off, or a firewall or NAT keeps them away" },
	{ "unreachable", CORE_FAILED, unreachable, "{who} cannot be reached: {endpoint} takes no connection" },
	{ "no_common_codec", CORE_FAILED, no_common_codec,
	  "{who} answered with {described}, but was offered {offered}: there is no codec in common" },
	{ "no_common_encryption", CORE_FAILED, no_common_encryption,
	  "{who} was offered {ours} and answered with {theirs}, without a key that was offered: media.srtp, or srtp of the extension or "
	  "trunk, does not fit what it is set to" },
	{ "no_codec_for_caller", CORE_FAILED, caller_codec,
	  "{who} offers {offered} only, and {others}: the PBX has no codec to translate with, so the call was answered and ended with "
	  "488" },
	/* what they answered */
	{ "credentials_refused", CORE_FAILED, credentials_refused,
	  "{who} does not accept our password for user {user}: it answered {answer} to an INVITE that carried it" },
	{ "credentials_missing", CORE_FAILED, credentials_missing,
	  "{who} wants a user and a password that it was not given: it answered {answer}" },
	{ "srtp_refused", CORE_FAILED, srtp_refused,
	  "{who} was offered encrypted audio only (SRTP: {offered}) and answered {answer}: it is not set to SRTP, or speaks none of these "
	  "codecs; with srtp=optional, of the extension or trunk, it may choose" },
	{ "codecs_refused", CORE_FAILED, codecs_refused, "{who} took none of the codecs it was offered ({offered}): it answered {answer}" },
	{ "busy", CORE_FAILED, busy, "{who} was busy: it answered {answer}" },
	{ "trunk_forbids", CORE_FAILED, trunk_forbids,
	  "The provider forbids the call: {who} answered {answer}; we had shown {shown} as caller, which it must allow, as well as the "
	  "destination" },
	{ "trunk_knows_no_number", CORE_FAILED, trunk_knows_no_number,
	  "The provider does not know the number {endpoint}: {who} answered {answer}" },
	{ "trunk_overloaded", CORE_FAILED, trunk_overloaded, "The provider could not take the call: {who} answered {answer}" },
	{ "runs_in_circle", CORE_FAILED, runs_in_circle, "The call runs in a circle, or over too many systems: {who} answered {answer}" },
	{ "declined", CORE_FAILED, declined, "{who} declined the call: it answered {answer}" },
	{ "device_forgot", CORE_FAILED, device_forgot,
	  "{who} does not know the address at which it had registered: it answered {answer}; it may have been restarted, or another device "
	  "has its address" },
	{ "no_answer", CORE_FAILED, no_answer, "{who} rang for {rang}, and nobody answered" },
	{ "unavailable", CORE_FAILED, unavailable, "{who} was not available: it answered {answer}" },
	{ "refused_by_them", CORE_FAILED, they_refused, "{who} refused the call: it answered {answer}" },
	{ "failed", CORE_FAILED, always,
	  "The call of {from} to {to} ended with {code} ({cause}), and neither events nor messages tell more" },
};
