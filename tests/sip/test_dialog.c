/* test_dialog - calls of phones, message by message: what goes over the wire and what the core hears of it (test_outgoing: calls to them) */
#include "../check_main.h"
#include "rig.h"
#include "dialog.h"
#include "loop.h"
#include <pbx/route.h>
#include <string.h>

#define HELD "v=0~o=- 1 2 IN IP4 127.0.0.1~s=-~c=IN IP4 127.0.0.1~t=0 0~m=audio 4000 RTP/AVP 8~a=sendonly~"

static struct rig *rig;
static void *dialog; /* of the call under test */
static const struct core_leg_driver *driver = &ua_leg_driver;
static bool ended, offered, updated, late;
static uint32_t ended_code, ended_cause;
static bool ended_by_peer, had_offer;
static int update_result;
static char account[64], number[64], name[128], dialled[64], target[256];
static uint8_t offer_direction;
static char digit;
static uint32_t digit_ms;
static int refuse_with;

static int on_incoming(void *object, const struct core_incoming *incoming)
{
	if (refuse_with != PBX_OK)
		return refuse_with;
	dialog = object;
	had_offer = incoming->offer->present;
	(void)snprintf(account, sizeof account, "%s", incoming->account);
	(void)snprintf(number, sizeof number, "%s", incoming->from_number);
	(void)snprintf(name, sizeof name, "%s", incoming->from_name);
	(void)snprintf(dialled, sizeof dialled, "%s", incoming->dialled);
	return PBX_OK;
}

static void on_ended(uint32_t sip_code, uint32_t cause, bool by_peer, const char *text)
{
	(void)text;
	ck_assert(!ended); /* told once */
	ended = true;
	ended_code = sip_code;
	ended_cause = cause;
	ended_by_peer = by_peer;
}

static void on_offer(const struct core_media_desc *offer)
{
	offered = true;
	had_offer = offer->present;
	offer_direction = offer->direction;
}

static void on_update_done(int result, const struct core_media_desc *answer)
{
	updated = true;
	late = answer != NULL;
	update_result = result;
}

static void on_digit(char pressed, uint32_t duration_ms)
{
	digit = pressed;
	digit_ms = duration_ms;
}

static int on_transfer(const char *to, pbx_leg replaces)
{
	(void)replaces;
	(void)snprintf(target, sizeof target, "%s", to);
	return PBX_OK;
}

static void listen_as_core(void)
{
	rig_core = (struct rig_core){ .incoming = on_incoming,
				      .offer = on_offer,
				      .update_done = on_update_done,
				      .digit = on_digit,
				      .transfer = on_transfer,
				      .ended = on_ended };
}

static void setup(void)
{
	rig = rig_start("  peers: [127.0.0.1]\n  trusted: [127.0.0.1]\n");
	listen_as_core();
	dialog = NULL;
	ended = offered = updated = late = false;
	refuse_with = PBX_OK;
	digit = 0;
}

static void teardown(void)
{
	if (dialog)
		driver->release(dialog);
	rig_stop(rig);
}

/* The core lets go; with nothing under way the dialog's memory must be gone. */
static void release(void)
{
	driver->release(dialog);
	dialog = NULL;
	ck_assert_uint_eq(rig_dialogs(), 0);
}

static void send_invite(const char *to, const char *headers, const char *body)
{
	rig_send(rig,
		 "INVITE sip:%s@127.0.0.1:{S} SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-i1;rport~Max-Forwards: 70~"
		 "From: \"Alice \\\"A\\\" B\" <sip:1001@pbx.local>;tag=a1~To: <sip:%s@pbx.local>~Call-ID: call-1~CSeq: 1 INVITE~Contact: "
		 "<sip:alice@127.0.0.1:{P}>~"
		 "%s%sContent-Length: %u~~%s",
		 to, to, headers, body[0] ? "Content-Type: application/sdp~" : "", rig_length(body), body);
}

static char to_tag[128];

/* In the dialog that our INVITE began. */
static void send_within(const char *method, unsigned cseq, const char *headers, const char *body)
{
	rig_send(rig,
		 "%s sip:127.0.0.1:{S} SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-%s%u;rport~Max-Forwards: 70~From: "
		 "<sip:1001@pbx.local>;tag=a1~"
		 "To: <sip:100@pbx.local>;tag=%s~Call-ID: call-1~CSeq: %u %s~Contact: <sip:alice@127.0.0.1:{P}>~%sContent-Length: %u~~%s",
		 method, method, cseq, to_tag, cseq, method, headers, rig_length(body), body);
}

/* A call of the phone that we have answered. */
static void answered_call(void)
{
	struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);

	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->answer(dialog, &answer), PBX_OK);
	rig_expect(rig, "SIP/2.0 200");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	send_within("ACK", 1, "", "");
	core_loop_step();
	core_loop_step();
}

/* ---- calls of the phone --------------------------------------------------------------- */

START_TEST(a_call_rings_is_answered_and_ends)
{
	struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);
	char ringing_tag[128];

	send_invite("10%230", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_str_eq(dialled, "10#0");
	ck_assert_str_eq(number, "1001");
	ck_assert_str_eq(name, "Alice \"A\" B");
	ck_assert_int_eq(driver->ring(dialog, NULL), PBX_OK);
	rig_expect(rig, "SIP/2.0 180");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	memcpy(ringing_tag, to_tag, sizeof ringing_tag);
	ck_assert_int_eq(driver->answer(dialog, &answer), PBX_OK);
	const char *ok = rig_expect(rig, "SIP/2.0 200");
	ck_assert_ptr_nonnull(strstr(ok, "m=audio 20000 RTP/AVP 8\r\n"));
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	ck_assert_str_eq(to_tag, ringing_tag);
	ck_assert_int_eq(driver->answer(dialog, &answer), PBX_ESTATE);
	send_within("ACK", 1, "", "");
	send_within("BYE", 2, "Reason: Q.850;cause=17~", "");
	rig_expect(rig, "SIP/2.0 200");
	rig_until(&ended);
	ck_assert_uint_eq(ended_cause, 17);
	ck_assert(ended_by_peer);
	release();
}
END_TEST

START_TEST(an_answer_is_repeated_until_it_is_acknowledged)
{
	struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);
	char first[4096];

	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->answer(dialog, &answer), PBX_OK);
	(void)snprintf(first, sizeof first, "%s", rig_expect(rig, "SIP/2.0 200"));
	ck_assert_str_eq(rig_expect(rig, "SIP/2.0 200"), first);
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	send_within("ACK", 1, "", "");
}
END_TEST

/* As long as RFC 3261 13.3.1.4 has us wait: 64*T1, by Sofia's clock. */
START_TEST(an_answer_that_is_never_acknowledged_ends_the_call)
{
	struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);

	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->answer(dialog, &answer), PBX_OK);
	ck_assert_ptr_nonnull(rig_find(rig, "BYE ", 40000));
	ck_assert_str_eq(rig_header(rig, "Reason"), "Q.850;cause=18");
	ck_assert(ended);
	ck_assert_uint_eq(ended_cause, PBX_CAUSE_NO_RESPONSE);
}
END_TEST

START_TEST(an_invite_that_comes_twice_is_one_call)
{
	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->ring(dialog, NULL), PBX_OK);
	rig_expect(rig, "SIP/2.0 180");
	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 180");
	ck_assert_uint_eq(rig_dialogs(), 1);
}
END_TEST

START_TEST(early_media_goes_out_in_a_183)
{
	struct core_media_desc early = rig_media(CORE_SEND | CORE_RECV);

	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->ring(dialog, &early), PBX_OK);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "SIP/2.0 183"), "m=audio 20000"));
}
END_TEST

START_TEST(a_caller_may_think_better_of_it)
{
	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->ring(dialog, NULL), PBX_OK);
	rig_expect(rig, "SIP/2.0 180");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	rig_send(rig, "CANCEL sip:100@127.0.0.1:{S} SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-i1;rport~Max-Forwards: 70~From: "
		      "<sip:1001@pbx.local>;tag=a1~"
		      "To: <sip:100@pbx.local>~Call-ID: call-1~CSeq: 1 CANCEL~Reason: SIP;cause=200~Content-Length: 0~~");
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "SIP/2.0 200"), "CANCEL"));
	rig_expect(rig, "SIP/2.0 487");
	ck_assert(ended);
	ck_assert_uint_eq(ended_code, 487);
	ck_assert_uint_eq(ended_cause, PBX_CAUSE_ANSWERED_ELSEWHERE);
	release();
}
END_TEST

START_TEST(a_refusal_carries_its_cause)
{
	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->reject(dialog, 486, PBX_CAUSE_BUSY, NULL), PBX_OK);
	rig_expect(rig, "SIP/2.0 486");
	ck_assert_str_eq(rig_header(rig, "Reason"), "Q.850;cause=17");
	ck_assert(!ended); /* the core did it, it need not be told */
	release();
}
END_TEST

START_TEST(a_caller_is_sent_elsewhere)
{
	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->redirect(dialog, "sip:x@bad>\r\nEvil: 1"), PBX_EINVAL);
	ck_assert_int_eq(driver->redirect(dialog, "sip:200@192.0.2.1"), PBX_OK);
	rig_expect(rig, "SIP/2.0 302");
	ck_assert_str_eq(rig_header(rig, "Contact"), "<sip:200@192.0.2.1>");
	release();
}
END_TEST

START_TEST(hanging_up_waits_for_the_acknowledgement)
{
	struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);

	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->answer(dialog, &answer), PBX_OK);
	rig_expect(rig, "SIP/2.0 200");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	driver->hangup(dialog, PBX_CAUSE_BUSY);
	driver->release(dialog);
	dialog = NULL;
	rig_expect_nothing(rig);
	send_within("ACK", 1, "", "");
	rig_expect(rig, "BYE ");
	ck_assert_str_eq(rig_header(rig, "Reason"), "Q.850;cause=17");
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

START_TEST(an_invite_without_offer_gets_ours_and_its_ack_the_answer)
{
	struct core_media_desc offer = rig_media(CORE_SEND | CORE_RECV);

	send_invite("100", "", "");
	rig_expect(rig, "SIP/2.0 100");
	ck_assert(!had_offer);
	ck_assert_int_eq(driver->answer(dialog, &offer), PBX_OK);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "SIP/2.0 200"), "m=audio 20000"));
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	send_within("ACK", 1, "Content-Type: application/sdp~", RIG_SDP);
	rig_until(&updated);
	ck_assert(late);
	ck_assert_int_eq(update_result, PBX_OK);
}
END_TEST

/* ---- refusals before there is a call -------------------------------------------------- */

START_TEST(bad_bodies_are_refused)
{
	send_invite("100", "", "hello~");
	rig_expect(rig, "SIP/2.0 400");
	send_invite("100", "", "v=0~o=- 1 1 IN IP4 127.0.0.1~s=-~c=IN IP4 127.0.0.1~t=0 0~m=video 4000 RTP/AVP 31~");
	rig_expect(rig, "SIP/2.0 488");
	ck_assert_int_eq(strncmp(rig_header(rig, "Warning"), "304 ", 4), 0);
	rig_send(rig, "INVITE sip:100@127.0.0.1 SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-x;rport~From: "
		      "<sip:1001@pbx.local>;tag=a1~To: <sip:100@pbx.local>~"
		      "Call-ID: call-2~CSeq: 1 INVITE~Contact: <sip:alice@127.0.0.1:{P}>~Content-Type: text/plain~Content-Length: 2~~hi");
	rig_expect(rig, "SIP/2.0 415");
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

START_TEST(what_the_core_refuses_has_its_own_status)
{
	static const struct {
		int result;
		const char *status;
	} cases[] = {
		{ PBX_ENOTSUP, "SIP/2.0 488" }, { PBX_ENOSPC, "SIP/2.0 503" }, { PBX_ESTATE, "SIP/2.0 503" },
		{ PBX_ENOMEM, "SIP/2.0 503" },  { PBX_EIO, "SIP/2.0 500" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		refuse_with = cases[i].result;
		rig_send(rig,
			 "INVITE sip:100@127.0.0.1 SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-n%zu;rport~From: "
			 "<sip:1001@pbx.local>;tag=a%zu~"
			 "To: <sip:100@pbx.local>~Call-ID: call-%zu~CSeq: 1 INVITE~Contact: <sip:alice@127.0.0.1:{P}>~Content-Length: 0~~",
			 i, i, i);
		rig_expect(rig, cases[i].status);
		rig_send(rig,
			 "ACK sip:100@127.0.0.1 SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-n%zu;rport~From: "
			 "<sip:1001@pbx.local>;tag=a%zu~"
			 "To: %s~Call-ID: call-%zu~CSeq: 1 ACK~Content-Length: 0~~",
			 i, i, rig_header(rig, "To"), i);
	}
	core_loop_step();
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

static void send_stray(const char *method, const char *uri, const char *to_params, const char *headers)
{
	static unsigned count;

	count++;
	rig_send(rig,
		 "%s %s SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-s%u;rport~From: <sip:1001@pbx.local>;tag=s%u~To: "
		 "<sip:100@pbx.local>%s~"
		 "Call-ID: stray-%u~CSeq: 1 %s~Contact: <sip:alice@127.0.0.1:{P}>~%sContent-Length: 0~~",
		 method, uri, count, count, to_params, count, method, headers);
}

START_TEST(requests_outside_of_calls_get_what_they_deserve)
{
	send_stray("OPTIONS", "sip:127.0.0.1", "", "Max-Forwards: 0~");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Allow"), "INVITE"));
	send_stray("DANCE", "sip:127.0.0.1", "", "");
	rig_expect(rig, "SIP/2.0 501");
	send_stray("MESSAGE", "sip:127.0.0.1", "", "");
	rig_expect(rig, "SIP/2.0 405");
	send_stray("BYE", "sip:127.0.0.1", ";tag=x", "");
	rig_expect(rig, "SIP/2.0 481");
	send_stray("INVITE", "sip:100@127.0.0.1", ";tag=x", "");
	rig_expect(rig, "SIP/2.0 481");
	send_stray("INVITE", "sip:100@127.0.0.1", "", "Max-Forwards: 0~");
	rig_expect(rig, "SIP/2.0 483");
	send_stray("INVITE", "sip:100@127.0.0.1", "", "Require: teleportation~");
	rig_expect(rig, "SIP/2.0 420");
	ck_assert_str_eq(rig_header(rig, "Unsupported"), "teleportation");
	send_stray("INVITE", "http://127.0.0.1/", "", "");
	rig_expect(rig, "SIP/2.0 416");
	send_stray("INVITE", "sip:100@127.0.0.1", ";tag", "");
	rig_expect(rig, "SIP/2.0 400 A tag without a value");
	send_stray("SUBSCRIBE", "sip:100@127.0.0.1", ";tag=", "Event: dialog~");
	rig_expect(rig, "SIP/2.0 400");
	send_stray("ACK", "sip:100@127.0.0.1", ";tag=x", "");
	rig_expect_nothing(rig);
	send_stray("ACK", "sip:100@127.0.0.1", ";tag", "");
	rig_expect_nothing(rig);
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

START_TEST(a_caller_must_be_the_account_it_proves)
{
	rig_restart(rig, NULL);
	listen_as_core();
	send_invite("100", "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 407");
	rig_challenged(rig);
	send_invite("100", rig_authorize(rig, "Proxy-Authorization", "1002", "secret", "INVITE", "sip:100@127.0.0.1", true), RIG_SDP);
	rig_expect(rig, "SIP/2.0 403");
	send_invite("100", rig_authorize(rig, "Proxy-Authorization", "1001", "secret", "INVITE", "sip:100@127.0.0.1", true), RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_str_eq(account, "1001");
}
END_TEST

/* ---- within a call -------------------------------------------------------------------- */

START_TEST(a_phone_puts_us_on_hold)
{
	struct core_media_desc answer = rig_media(CORE_RECV);

	answered_call();
	send_within("INVITE", 2, "Content-Type: application/sdp~", HELD);
	rig_until(&offered);
	ck_assert_uint_eq(offer_direction, CORE_SEND);
	ck_assert_int_eq(driver->accept_offer(dialog, &answer), PBX_OK);
	const char *ok = rig_expect(rig, "SIP/2.0 200");
	ck_assert_ptr_nonnull(strstr(ok, "a=recvonly"));
	ck_assert_ptr_nonnull(strstr(ok, " 2 IN IP4"));
	send_within("ACK", 2, "", "");
	send_within("BYE", 3, "", "");
	rig_until(&ended);
	release();
}
END_TEST

START_TEST(a_refused_offer_leaves_the_call_as_it_was)
{
	answered_call();
	send_within("INVITE", 2, "Content-Type: application/sdp~", HELD);
	rig_until(&offered);
	ck_assert_int_eq(driver->refuse_offer(dialog, 488), PBX_OK);
	rig_expect(rig, "SIP/2.0 488");
	send_within("ACK", 2, "", "");
	send_within("BYE", 3, "", "");
	rig_expect(rig, "SIP/2.0 200");
}
END_TEST

START_TEST(an_update_is_answered)
{
	struct core_media_desc answer = rig_media(CORE_RECV);

	answered_call();
	send_within("UPDATE", 2, "Content-Type: application/sdp~", HELD);
	rig_until(&offered);
	ck_assert_int_eq(driver->accept_offer(dialog, &answer), PBX_OK);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "SIP/2.0 200"), "a=recvonly"));
	offered = false;
	send_within("UPDATE", 3, "", "");
	ck_assert_ptr_null(strstr(rig_expect(rig, "SIP/2.0 200"), "m=audio")); /* no offer, no answer */
	ck_assert(!offered);
}
END_TEST

START_TEST(a_reinvite_without_offer_hears_ours)
{
	struct core_media_desc offer = rig_media(CORE_SEND | CORE_RECV);

	answered_call();
	send_within("INVITE", 2, "", "");
	rig_until(&offered);
	ck_assert(!had_offer);
	ck_assert_int_eq(driver->accept_offer(dialog, &offer), PBX_OK);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "SIP/2.0 200"), "m=audio 20000"));
	send_within("ACK", 2, "Content-Type: application/sdp~", RIG_SDP);
	rig_until(&updated);
	ck_assert_int_eq(update_result, PBX_OK);
}
END_TEST

START_TEST(we_put_a_phone_on_hold)
{
	struct core_media_desc offer = rig_media(CORE_SEND);

	answered_call();
	ck_assert_int_eq(driver->update(dialog, &offer), PBX_OK);
	ck_assert_int_eq(driver->update(dialog, &offer), PBX_EBUSY);
	const char *invite = rig_expect(rig, "INVITE ");
	ck_assert_ptr_nonnull(strstr(invite, "a=sendonly"));
	rig_reply(rig, 200, "bob", "", RIG_SDP);
	rig_expect(rig, "ACK ");
	ck_assert(updated);
	ck_assert_int_eq(update_result, PBX_OK);
	updated = false;
	ck_assert_int_eq(driver->update(dialog, &offer), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_reply(rig, 488, "bob", "", "");
	rig_until(&updated);
	ck_assert_int_eq(update_result, PBX_ENOTSUP);
}
END_TEST

START_TEST(when_offers_cross_both_wait_and_ours_is_tried_again)
{
	struct core_media_desc offer = rig_media(CORE_SEND);

	answered_call();
	ck_assert_int_eq(driver->update(dialog, &offer), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_keep_last(rig);
	send_within("INVITE", 2, "Content-Type: application/sdp~", HELD);
	rig_expect(rig, "SIP/2.0 491");
	ck_assert(!offered);
	send_within("ACK", 2, "", "");
	rig_back_to_kept(rig);
	rig_reply(rig, 491, "bob", "", "");
	rig_expect(rig, "ACK ");
	ck_assert(!updated);
	rig_expect(rig, "INVITE "); /* within two seconds: the call is theirs */
	rig_reply(rig, 200, "bob", "", RIG_SDP);
	rig_expect(rig, "ACK ");
	ck_assert(updated);
}
END_TEST

START_TEST(digits_come_by_info_in_both_spellings)
{
	answered_call();
	send_within("INFO", 2, "Content-Type: application/dtmf-relay~", "Signal=5~Duration=250~");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_int_eq(digit, '5');
	ck_assert_uint_eq(digit_ms, 250);
	send_within("INFO", 3, "Content-Type: application/dtmf~", "#");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_int_eq(digit, '#');
	digit = 0;
	send_within("INFO", 4, "Content-Type: application/dtmf-relay~", "Signal=~");
	rig_expect(rig, "SIP/2.0 415");
	ck_assert_int_eq(digit, 0);
}
END_TEST

START_TEST(a_digit_goes_out_by_info)
{
	answered_call();
	ck_assert_int_eq(driver->send_digit(dialog, '7', 160), PBX_OK);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "INFO "), "Signal=7\r\nDuration=160"));
	rig_reply(rig, 200, "bob", "", "");
}
END_TEST

START_TEST(a_phone_asks_to_be_replaced)
{
	answered_call();
	send_within("REFER", 2, "Refer-To: <sip:1003@pbx.local>~", "");
	rig_expect(rig, "SIP/2.0 202");
	ck_assert_str_eq(target, "1003");
	driver->transfer_progress(dialog, 100);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "NOTIFY "), "SIP/2.0 100"));
	rig_reply(rig, 200, "bob", "", "");
	driver->transfer_progress(dialog, 180);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "NOTIFY "), "SIP/2.0 180"));
	rig_reply(rig, 200, "bob", "", "");
	driver->transfer_progress(dialog, 200);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "NOTIFY "), "SIP/2.0 200"));
	ck_assert_int_eq(strncmp(rig_header(rig, "Subscription-State"), "terminated", 10), 0);
	rig_reply(rig, 200, "bob", "", "");
	send_within("REFER", 3, "Refer-To: <sip:1003@pbx.local?Replaces=nobody%3Bto-tag%3D1%3Bfrom-tag%3D2>~", "");
	rig_expect(rig, "SIP/2.0 404");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dialog");
	TCase *cases = tcase_create("dialog");

	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, a_call_rings_is_answered_and_ends);
	tcase_add_test(cases, an_answer_is_repeated_until_it_is_acknowledged);
	tcase_add_test(cases, an_invite_that_comes_twice_is_one_call);
	tcase_add_test(cases, early_media_goes_out_in_a_183);
	tcase_add_test(cases, a_caller_may_think_better_of_it);
	tcase_add_test(cases, a_refusal_carries_its_cause);
	tcase_add_test(cases, a_caller_is_sent_elsewhere);
	tcase_add_test(cases, hanging_up_waits_for_the_acknowledgement);
	tcase_add_test(cases, an_invite_without_offer_gets_ours_and_its_ack_the_answer);
	tcase_add_test(cases, bad_bodies_are_refused);
	tcase_add_test(cases, what_the_core_refuses_has_its_own_status);
	tcase_add_test(cases, requests_outside_of_calls_get_what_they_deserve);
	tcase_add_test(cases, a_caller_must_be_the_account_it_proves);
	tcase_add_test(cases, a_phone_puts_us_on_hold);
	tcase_add_test(cases, a_refused_offer_leaves_the_call_as_it_was);
	tcase_add_test(cases, an_update_is_answered);
	tcase_add_test(cases, a_reinvite_without_offer_hears_ours);
	tcase_add_test(cases, we_put_a_phone_on_hold);
	tcase_add_test(cases, when_offers_cross_both_wait_and_ours_is_tried_again);
	tcase_add_test(cases, digits_come_by_info_in_both_spellings);
	tcase_add_test(cases, a_digit_goes_out_by_info);
	tcase_add_test(cases, a_phone_asks_to_be_replaced);
	suite_add_tcase(suite, cases);
	cases = tcase_create("silence");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, an_answer_that_is_never_acknowledged_ends_the_call);
	suite_add_tcase(suite, cases);

	return check_run(suite);
}
