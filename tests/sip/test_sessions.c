/* test_sessions - what keeps a call honest over time: session timers (RFC 4028), reliable provisional responses (RFC 3262), UPDATE (RFC 3311) */
#include "../check_main.h"
#include "rig.h"
#include "dialog.h"
#include "loop.h"
#include <string.h>

#define WITH_SDP "Content-Type: application/sdp~"

static struct rig *rig;
static void *dialog;
static const struct core_leg_driver *driver = &ua_leg_driver;
static bool ended, answered, rang, offered, updated;
static bool has_early, has_answer;
static uint32_t ended_cause;
static char ended_text[64], to_tag[128];

/* ---- what the core would hear ---- */

static int on_incoming(void *object, const struct core_incoming *incoming)
{
	(void)incoming;
	dialog = object;
	return PBX_OK;
}

static void on_ringing(uint32_t sip_code, const struct core_media_desc *early)
{
	(void)sip_code;
	rang = true;
	has_early = early != NULL;
}

static void on_answered(const struct core_media_desc *answer)
{
	answered = true;
	has_answer = answer->present;
}

static void on_offer(const struct core_media_desc *offer)
{
	struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);

	(void)offer;
	offered = true;
	ck_assert_int_eq(driver->accept_offer(dialog, &answer), PBX_OK);
}

static void on_update_done(int result, const struct core_media_desc *answer)
{
	(void)result, (void)answer;
	updated = true;
}

static void on_ended(uint32_t sip_code, uint32_t cause, bool by_peer, const char *text)
{
	(void)sip_code, (void)by_peer;
	ended = true;
	ended_cause = cause;
	(void)snprintf(ended_text, sizeof ended_text, "%s", text);
}

static void open_rig(bool still, const char *yaml)
{
	rig = still ? rig_start_still(yaml) : rig_start(yaml);
	rig_core = (struct rig_core){ .incoming = on_incoming,
				      .ringing = on_ringing,
				      .answered = on_answered,
				      .offer = on_offer,
				      .update_done = on_update_done,
				      .ended = on_ended };
	dialog = NULL;
	ended = answered = rang = offered = updated = has_early = has_answer = false;
}

static void close_rig(void)
{
	if (dialog)
		driver->release(dialog);
	rig_stop(rig);
}

static void setup_still(void)
{
	open_rig(true, "  peers: [127.0.0.1]\n");
}

static void setup(void)
{
	open_rig(false, "  peers: [127.0.0.1]\n");
}

/* ---- what the phone says ---- */

static void say(const char *method, unsigned cseq, const char *headers, const char *body)
{
	bool first = cseq == 1 && method[0] == 'I';

	rig_send(rig,
		 "%s sip:100@127.0.0.1:{S} SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-%s%u;rport~Max-Forwards: 70~"
		 "From: <sip:1001@pbx.local>;tag=a1~To: <sip:100@pbx.local>%s%s~Call-ID: call-1~CSeq: %u %s~Contact: "
		 "<sip:alice@127.0.0.1:{P}>~%s%sContent-Length: %u~~%s",
		 method, method, cseq, first ? "" : ";tag=", first ? "" : to_tag, cseq, method, headers, body[0] ? WITH_SDP : "",
		 rig_length(body), body);
}

static void answered_call(const char *headers)
{
	struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);

	say("INVITE", 1, headers, RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->answer(dialog, &answer), PBX_OK);
	rig_expect(rig, "SIP/2.0 200");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	say("ACK", 1, "", "");
	core_loop_step();
	core_loop_step();
}

static void call_phone(void)
{
	struct core_media_desc offer = rig_media(CORE_SEND | CORE_RECV);
	char received[32];
	const struct core_invite wish = { .target = "sip:bob@10.9.9.9",
					  .received = received,
					  .transport = "udp",
					  .path = "",
					  .account = "1002",
					  .from_number = "1001",
					  .from_name = "",
					  .to_number = "1002",
					  .to_name = "",
					  .call_id = "",
					  .max_forwards = 70,
					  .offer = &offer };

	(void)snprintf(received, sizeof received, "127.0.0.1:%u", rig->phone_port);
	ck_assert_int_eq(driver->invite((pbx_leg){ 7 }, &wish, &dialog), PBX_OK);
	rig_expect(rig, "INVITE ");
}

/* ---- session timers ------------------------------------------------------------------- */

START_TEST(a_session_that_is_too_short_is_refused)
{
	say("INVITE", 1, "Supported: timer~Session-Expires: 60~", RIG_SDP);
	rig_expect(rig, "SIP/2.0 422");
	ck_assert_str_eq(rig_header(rig, "Min-SE"), "90");
	ck_assert_ptr_null(dialog);
}
END_TEST

START_TEST(a_phone_that_does_not_refresh_loses_its_call)
{
	answered_call("Supported: timer~Session-Expires: 120;refresher=uac~");
	ck_assert_ptr_nonnull(strstr(rig->last, "Session-Expires: 120;refresher=uac\r\n"));
	ck_assert_str_eq(rig_header(rig, "Require"), "timer");
	core_loop_pass_ms(80000);
	say("UPDATE", 2, "Supported: timer~Session-Expires: 120;refresher=uac~", "");
	rig_expect(rig, "SIP/2.0 200 OK\r\n");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "120;refresher=uac");
	core_loop_pass_ms(85000);
	rig_expect_nothing(rig);
	ck_assert(!ended);
	core_loop_pass_ms(5000);
	rig_expect(rig, "BYE ");
	ck_assert_str_eq(rig_header(rig, "Reason"), "Q.850;cause=102");
	ck_assert(ended);
	ck_assert_uint_eq(ended_cause, PBX_CAUSE_TIMER);
	ck_assert_str_eq(ended_text, "session_timeout");
}
END_TEST

START_TEST(a_refresh_that_is_too_short_is_refused_and_changes_nothing)
{
	answered_call("Supported: timer~Session-Expires: 120;refresher=uac~");
	say("UPDATE", 2, "Supported: timer~Session-Expires: 30~", "");
	rig_expect(rig, "SIP/2.0 422");
	core_loop_pass_ms(89000);
	rig_expect(rig, "BYE ");
}
END_TEST

START_TEST(we_refresh_by_update_where_the_phone_has_it)
{
	answered_call("Supported: timer~Allow: INVITE, ACK, BYE, UPDATE~Session-Expires: 120;refresher=uas~");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "120;refresher=uas");
	core_loop_pass_ms(60000);
	rig_expect(rig, "UPDATE sip:alice@127.0.0.1");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "120;refresher=uac");
	ck_assert_str_eq(rig_header(rig, "Content-Type"), "");
	rig_reply(rig, 200, "", "Session-Expires: 120;refresher=uac~", "");
	core_loop_settle();
	core_loop_pass_ms(60000);
	rig_expect(rig, "UPDATE ");
	rig_reply(rig, 422, "", "Min-SE: 300~", ""); /* it has changed its mind */
	rig_expect(rig, "UPDATE ");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "300;refresher=uac");
	rig_reply(rig, 200, "", "Session-Expires: 300;refresher=uac~", "");
	core_loop_settle();
	core_loop_pass_ms(150000);
	rig_expect(rig, "UPDATE ");
	rig_reply(rig, 481, "", "", "");
	rig_expect(rig, "BYE ");
	ck_assert(ended);
}
END_TEST

START_TEST(we_refresh_by_reinvite_where_it_has_no_update)
{
	answered_call("");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "1800;refresher=uas");
	core_loop_pass_ms(900000);
	rig_expect(rig, "INVITE ");
	ck_assert_ptr_nonnull(strstr(rig->last, "\r\n\r\nv=0\r\n"));
	ck_assert_ptr_nonnull(strstr(rig->last, "m=audio 20000"));
	rig_reply(rig, 200, "", "", RIG_SDP);
	rig_expect(rig, "ACK ");
	core_loop_pass_ms(900000);
	rig_expect(rig, "INVITE "); /* and nobody answers */
	core_loop_pass_ms(900000);
	rig_expect(rig, "BYE ");
	ck_assert(ended);
}
END_TEST

START_TEST(our_call_asks_again_when_its_session_is_too_short)
{
	call_phone();
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "1800");
	ck_assert_str_eq(rig_header(rig, "Min-SE"), "90");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Supported"), "timer"));
	rig_reply(rig, 422, "bob", "Min-SE: 3600~", "");
	rig_expect(rig, "INVITE ");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "3600");
	ck_assert_str_eq(rig_header(rig, "Min-SE"), "3600");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "P-Asserted-Identity"), "1001"));
	rig_reply(rig, 200, "bob", "Require: timer~Session-Expires: 3600;refresher=uas~", RIG_SDP);
	rig_expect(rig, "ACK ");
	ck_assert(answered);
	core_loop_pass_ms(3560000);
	rig_expect_nothing(rig);
	core_loop_pass_ms(8000);
	rig_expect(rig, "BYE ");
}
END_TEST

START_TEST(a_phone_that_is_never_content_is_given_up)
{
	call_phone();
	for (unsigned least = 200; least < 500; least += 100) {
		char headers[32];

		(void)snprintf(headers, sizeof headers, "Min-SE: %u~", least);
		rig_reply(rig, 422, "bob", headers, "");
		rig_expect(rig, "INVITE ");
	}
	rig_reply(rig, 422, "bob", "Min-SE: 600~", "");
	rig_until(&ended);
}
END_TEST

/* ---- reliable provisional responses ---------------------------------------------------- */

START_TEST(early_media_is_repeated_until_it_is_acknowledged)
{
	struct core_media_desc early = rig_media(CORE_SEND | CORE_RECV);

	say("INVITE", 1, "Supported: 100rel~", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->ring(dialog, &early), PBX_OK);
	rig_expect(rig, "SIP/2.0 183");
	ck_assert_str_eq(rig_header(rig, "Require"), "100rel");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	rig_expect(rig, "SIP/2.0 183"); /* the PRACK was lost */
	char rack[64];
	(void)snprintf(rack, sizeof rack, "RAck: %s 1 INVITE~", rig_header(rig, "RSeq"));
	ck_assert_int_eq(driver->answer(dialog, &early), PBX_OK); /* waits for it */
	ck_assert_ptr_null(rig_find(rig, "SIP/2.0 200", 100));
	say("PRACK", 2, rack, "");
	rig_expect(rig, "SIP/2.0 200");
	if (strstr(rig_header(rig, "CSeq"), "PRACK"))
		rig_expect(rig, "SIP/2.0 200");
	ck_assert_str_eq(rig_header(rig, "CSeq"), "1 INVITE");
	say("ACK", 1, "", "");
	say("BYE", 3, "", "");
	rig_until(&ended);
}
END_TEST

START_TEST(an_early_dialog_may_be_changed_by_update)
{
	struct core_media_desc early = rig_media(CORE_SEND | CORE_RECV);
	char rack[64];

	say("INVITE", 1, "Supported: 100rel~", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->ring(dialog, &early), PBX_OK);
	rig_expect(rig, "SIP/2.0 183");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	(void)snprintf(rack, sizeof rack, "RAck: %s 1 INVITE~", rig_header(rig, "RSeq"));
	say("UPDATE", 2, "", RIG_SDP); /* before the PRACK: our answer may not have come */
	rig_expect(rig, "SIP/2.0 500");
	ck_assert_str_ne(rig_header(rig, "Retry-After"), "");
	say("PRACK", 3, rack, "");
	rig_expect(rig, "SIP/2.0 200");
	say("UPDATE", 4, "", RIG_SDP);
	rig_expect(rig, "SIP/2.0 200");
	ck_assert(offered);
	ck_assert_ptr_nonnull(strstr(rig->last, "m=audio 20000"));
}
END_TEST

START_TEST(who_demands_reliability_gets_it_for_ringing_too)
{
	char rack[64];

	say("INVITE", 1, "Require: 100rel~", RIG_SDP);
	rig_expect(rig, "SIP/2.0 100");
	ck_assert_int_eq(driver->ring(dialog, NULL), PBX_OK);
	rig_expect(rig, "SIP/2.0 180");
	ck_assert_str_eq(rig_header(rig, "Require"), "100rel");
	rig_keep_tag(rig, to_tag, sizeof to_tag);
	(void)snprintf(rack, sizeof rack, "RAck: %s 1 INVITE~", rig_header(rig, "RSeq"));
	say("PRACK", 2, rack, "");
	rig_expect(rig, "SIP/2.0 200");
	say("PRACK", 3, "RAck: 99 1 INVITE~", ""); /* acknowledges nothing */
	rig_expect(rig, "SIP/2.0 481");
}
END_TEST

START_TEST(what_we_do_not_have_is_named)
{
	say("INVITE", 1, "Require: 100rel, precondition, timer, wonder~", RIG_SDP);
	rig_expect(rig, "SIP/2.0 420");
	ck_assert_str_eq(rig_header(rig, "Unsupported"), "precondition, wonder");
}
END_TEST

START_TEST(their_early_media_is_acknowledged)
{
	char rack[96];

	call_phone();
	rig_keep_last(rig);
	(void)snprintf(rack, sizeof rack, "7 %.64s", rig_header(rig, "CSeq"));
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Supported"), "100rel"));
	rig_reply(rig, 183, "bob", "Require: 100rel~RSeq: 7~", RIG_SDP);
	rig_expect(rig, "PRACK sip:bob@127.0.0.1");
	ck_assert_str_eq(rig_header(rig, "RAck"), rack);
	ck_assert(rang && has_early);
	rig_reply(rig, 200, "", "", "");
	rang = false;
	rig_back_to_kept(rig);
	rig_reply(rig, 180, "bob", "Require: 100rel~RSeq: 9~", ""); /* 8 is missing: it has to come first */
	ck_assert_ptr_null(rig_find(rig, "PRACK ", 100));
	ck_assert(!rang);
	rig_back_to_kept(rig);
	rig_reply(rig, 200, "bob", "", ""); /* the answer has been said */
	rig_expect(rig, "ACK ");
	rig_until(&answered);
	ck_assert(!has_answer);
}
END_TEST

START_TEST(another_branch_of_a_fork_may_answer)
{
	call_phone();
	rig_keep_last(rig);
	rig_reply(rig, 180, "one", "Require: 100rel~RSeq: 1~", "");
	rig_expect(rig, "PRACK ");
	rig_reply(rig, 200, "", "", "");
	rig_back_to_kept(rig);
	rig_reply(rig, 180, "two", "Require: 100rel~RSeq: 5~", "");
	rig_expect(rig, "PRACK ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "To"), "tag=two"));
	rig_reply(rig, 200, "", "", "");
	rig_back_to_kept(rig);
	rig_reply(rig, 200, "two", "", RIG_SDP);
	rig_expect(rig, "ACK ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "To"), "tag=two"));
	driver->hangup(dialog, PBX_CAUSE_NORMAL);
	rig_expect(rig, "BYE ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "To"), "tag=two"));
	rig_reply(rig, 200, "", "", "");
}
END_TEST

/* ---- who the other side is -------------------------------------------------------------- */

START_TEST(the_phone_is_told_when_its_partner_changes)
{
	answered_call("Allow: INVITE, UPDATE~");
	driver->set_identity(dialog, "1005", "Eve");
	rig_expect(rig, "UPDATE ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "P-Asserted-Identity"), "\"Eve\" <sip:1005@pbx.local>"));
	driver->set_identity(dialog, "1006", "Mallory"); /* one at a time */
	rig_expect_nothing(rig);
	rig_reply(rig, 200, "", "", "");
	rig_expect(rig, "UPDATE ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "P-Asserted-Identity"), "Mallory"));
	rig_reply(rig, 200, "", "", "");
	core_loop_settle();
	driver->set_identity(dialog, "1006", "Mallory"); /* nothing new */
	rig_expect_nothing(rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sessions");
	TCase *timers = tcase_create("timers"), *reliable = tcase_create("reliable");

	tcase_set_timeout(timers, 60);
	tcase_add_checked_fixture(timers, setup_still, close_rig);
	tcase_add_test(timers, a_session_that_is_too_short_is_refused);
	tcase_add_test(timers, a_phone_that_does_not_refresh_loses_its_call);
	tcase_add_test(timers, a_refresh_that_is_too_short_is_refused_and_changes_nothing);
	tcase_add_test(timers, we_refresh_by_update_where_the_phone_has_it);
	tcase_add_test(timers, we_refresh_by_reinvite_where_it_has_no_update);
	tcase_add_test(timers, our_call_asks_again_when_its_session_is_too_short);
	tcase_add_test(timers, a_phone_that_is_never_content_is_given_up);
	suite_add_tcase(suite, timers);

	tcase_set_timeout(reliable, 60);
	tcase_add_checked_fixture(reliable, setup, close_rig);
	tcase_add_test(reliable, early_media_is_repeated_until_it_is_acknowledged);
	tcase_add_test(reliable, an_early_dialog_may_be_changed_by_update);
	tcase_add_test(reliable, who_demands_reliability_gets_it_for_ringing_too);
	tcase_add_test(reliable, what_we_do_not_have_is_named);
	tcase_add_test(reliable, their_early_media_is_acknowledged);
	tcase_add_test(reliable, another_branch_of_a_fork_may_answer);
	tcase_add_test(reliable, the_phone_is_told_when_its_partner_changes);
	suite_add_tcase(suite, reliable);

	return check_run(suite);
}
