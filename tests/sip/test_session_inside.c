/* test_session_inside - pbx.session/1, message by message: what either side says while a session stands, and whose it is */
#include "session_fixture.h"
#include "loop.h"
#include "session.h"
#include <string.h>

/* ---- ours ---- */

static unsigned cseq_of_last(void)
{
	return (unsigned)strtoul(rig_header(rig, "CSeq"), NULL, 10);
}

START_TEST(an_update_is_a_reinvite_and_one_at_a_time)
{
	const struct pbx_session_parts parts = { both, 2 };

	open_session();
	ck_assert_int_eq(service->update(session, &parts), PBX_ESTATE);
	rig_expect(rig, "INVITE ");
	unsigned cseq = cseq_of_last();
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	hears("one answered 200 application/sdp");
	ck_assert_int_eq(service->update(session, &parts), PBX_OK);
	ck_assert_int_eq(service->update(session, &parts), PBX_EBUSY);
	rig_expect(rig, "INVITE sip:srs@127.0.0.1");
	ck_assert_uint_eq(cseq_of_last(), cseq + 1);
	ck_assert_str_eq(rig_header(rig, "Require"), "siprec");
	ck_assert_str_eq(rig_header(rig, "X-Plugin"), "");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Contact"), ">;+sip.src"));
	ck_assert_ptr_nonnull(strstr(rig->last, XML));
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	ck_assert_uint_eq(cseq_of_last(), cseq + 1);
	hears("one answered 200 application/sdp");
	ck_assert_int_eq(service->update(session, &parts), PBX_OK);
	rig_expect(rig, "INVITE ");
	respond(488, "", "", "");
	rig_expect(rig, "ACK ");
	hears("one answered 488"); /* and it goes on */
	ends_with_bye();
}
END_TEST

START_TEST(an_update_that_crosses_theirs_is_said_again_later)
{
	const struct pbx_session_parts parts = { both, 1 };

	standing("");
	ck_assert_int_eq(service->update(session, &parts), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_keep_last(rig);
	ask("INVITE", 1, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 491");
	ack_refusal(1);
	rig_back_to_kept(rig);
	respond(491, "", "", "");
	rig_expect(rig, "ACK ");
	core_loop_pass_ms(2000);
	rig_expect_nothing(rig);
	core_loop_pass_ms(2100);
	rig_expect(rig, "INVITE ");
	ck_assert_ptr_nonnull(strstr(rig->last, "a=label:1"));
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	hears("one answered 200 application/sdp");
	ends_with_bye();
}
END_TEST

START_TEST(an_update_waits_until_theirs_is_over)
{
	const struct pbx_session_parts parts = { both, 2 };

	standing("");
	ask("INVITE", 1, "", "application/sdp", SRS_SDP);
	hears("one asked INVITE application/sdp");
	ck_assert_int_eq(service->update(session, &parts), PBX_OK);
	ck_assert_ptr_null(rig_find(rig, "INVITE ", 50));
	ck_assert_int_eq(service->answer(session, 200, NULL), PBX_OK);
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_ptr_nonnull(strstr(rig->last, "a=label:1"));
	ck_assert_ptr_null(rig_find(rig, "INVITE ", 50));
	ack(1, "", "");
	rig_expect(rig, "INVITE ");
	respond(200, "", "application/sdp", SRS_SDP);
	hears("one answered 200 application/sdp");
	ends_with_bye();
}
END_TEST

START_TEST(who_does_not_know_it_any_more_ends_it)
{
	const struct pbx_session_parts parts = { both, 1 };

	standing("");
	ck_assert_int_eq(service->update(session, &parts), PBX_OK);
	rig_expect(rig, "INVITE ");
	respond(481, "", "", "");
	hears("one answered 481");
	hears("one ended 481 dialog is gone");
	ck_assert_int_eq(service->update(session, &parts), PBX_ENOENT);
}
END_TEST

START_TEST(who_cannot_be_reached_any_more_ends_it)
{
	const struct pbx_session_parts parts = { both, 1 };

	open_session();
	rig_expect(rig, "INVITE ");
	contact = "<sip:srs@127.0.0.1:9;transport=tcp>"; /* where nobody listens */
	respond(200, "", "application/sdp", SRS_SDP);
	hears("one answered 200 application/sdp");
	ck_assert_int_eq(service->update(session, &parts), PBX_OK);
	hears("one answered 503 by ourselves");
	hears("one ended 503 no answer");
}
END_TEST

START_TEST(it_is_refreshed_by_update)
{
	standing("Require: timer~Session-Expires: 120;refresher=uac~");
	core_loop_pass_ms(60000);
	rig_expect(rig, "UPDATE sip:srs@127.0.0.1");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "120;refresher=uac");
	ck_assert_str_eq(rig_header(rig, "Content-Type"), "");
	respond(200, "Session-Expires: 120;refresher=uac~", "", "");
	core_loop_settle();
	core_loop_pass_ms(60000);
	rig_expect(rig, "UPDATE ");
	respond(405, "", "", ""); /* it has no UPDATE after all */
	rig_expect(rig, "INVITE ");
	ck_assert_str_eq(rig_header(rig, "Content-Type"), "application/sdp");
	ck_assert_ptr_nonnull(strstr(rig->last, "\r\n\r\nv=0\r\n"));
	ck_assert_ptr_nonnull(strstr(rig->last, "a=label:1"));
	respond(200, "Session-Expires: 120;refresher=uac~", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	hears("one changed application/sdp");
	core_loop_pass_ms(60000);
	rig_expect(rig, "UPDATE "); /* the last answer allows it again; and nobody answers */
	core_loop_pass_ms(30000);
	rig_expect(rig, "BYE ");
	hears("one ended 408 session_timeout");
}
END_TEST

START_TEST(who_should_refresh_it_and_does_not_loses_it)
{
	standing("Require: timer~Session-Expires: 120;refresher=uas~");
	core_loop_pass_ms(80000);
	ask("UPDATE", 1, "Supported: timer~Session-Expires: 120;refresher=uac~", "", "");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_str_eq(rig_header(rig, "Session-Expires"), "120;refresher=uac");
	core_loop_pass_ms(85000);
	rig_expect_nothing(rig);
	core_loop_pass_ms(4000);
	rig_expect(rig, "BYE ");
	hears("one ended 408 session_timeout");
}
END_TEST

/* ---- theirs ---- */

START_TEST(a_question_is_answered_by_the_plugin)
{
	standing("");
	reply_with = 200;
	ask("UPDATE", 1, "Content-Disposition: recording-session~", "application/rs-metadata-request",
	    "SRS Recording Metadata Snapshot Request");
	rig_expect(rig, "SIP/2.0 200");
	hears("one asked UPDATE application/rs-metadata-request/recording-session");
	ck_assert_str_eq(rig_header(rig, "Content-Type"), "");
	ask("INFO", 2, "", "text/plain", "hello");
	rig_expect(rig, "SIP/2.0 200");
	hears("one asked INFO text/plain");
	reply_with = 488;
	ask("INVITE", 3, "Require: siprec~", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 488");
	hears("one asked INVITE application/sdp");
	ack_refusal(3);
	reply_with = 200;
	ask("INVITE", 4, "Content-Disposition: recording-session~", "application/rs-metadata-request",
	    "now"); /* without SDP: it gets our last */
	rig_expect(rig, "SIP/2.0 200");
	hears("one asked INVITE application/rs-metadata-request/recording-session");
	ck_assert_ptr_nonnull(strstr(rig->last, "a=label:1"));
	ack(4, "application/sdp", SRS_SDP);
	hears("one changed application/sdp");
	ck_assert_int_eq(service->answer(session, 200, NULL), PBX_ESTATE);
	ends_with_bye();
}
END_TEST

START_TEST(one_question_at_a_time)
{
	const struct pbx_session_parts parts = { both, 2 };

	standing("");
	ask("INVITE", 1, "", "application/sdp", SRS_SDP);
	hears("one asked INVITE application/sdp");
	rig_expect(rig, "SIP/2.0 100");
	ask("UPDATE", 2, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 500");
	ck_assert_str_ne(rig_header(rig, "Retry-After"), "");
	ck_assert_int_eq(service->answer(session, 100, NULL), PBX_EINVAL);
	ck_assert_int_eq(service->answer(session, 200, &parts), PBX_OK);
	rig_expect(rig, "SIP/2.0 200");
	ck_assert(strncmp(rig_header(rig, "Content-Type"), "multipart/mixed;boundary=", 25) == 0);
	ack(1, "", "");
	ends_with_bye();
}
END_TEST

START_TEST(what_only_keeps_it_alive_is_answered_here)
{
	standing("");
	ask("UPDATE", 1, "", "", "");
	rig_expect(rig, "SIP/2.0 200");
	ask("OPTIONS", 2, "", "", "");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Allow"), "UPDATE"));
	ask("INFO", 3, "", "", "");
	rig_expect(rig, "SIP/2.0 200");
	ask("INVITE", 4, "", "", "");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_ptr_nonnull(strstr(rig->last, "\r\n\r\nv=0\r\n"));
	ack(4, "application/sdp", SRS_SDP);
	hears("one changed application/sdp");
	ends_with_bye();
}
END_TEST

START_TEST(what_cannot_be_done_is_refused)
{
	standing("");
	ask("INVITE", 1, "Require: siprec, teleport~", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 420");
	ck_assert_str_eq(rig_header(rig, "Unsupported"), "teleport");
	ack_refusal(1);
	ask("UPDATE", 2, "Supported: timer~Session-Expires: 30~", "", "");
	rig_expect(rig, "SIP/2.0 422");
	ask("INFO", 3, "Content-Encoding: gzip~", "text/plain", "x");
	rig_expect(rig, "SIP/2.0 415");
	ask("INFO", 4, "", "multipart/mixed", "--x~~a~--x--~");
	rig_expect(rig, "SIP/2.0 400");
	ask("REFER", 5, "Refer-To: <sip:1001@pbx.local>~", "", "");
	rig_expect(rig, "SIP/2.0 405");
	ask("INFO", 1, "", "text/plain", "late"); /* its number is an old one */
	rig_expect(rig, "SIP/2.0 500");
	ends_with_bye();
}
END_TEST

START_TEST(a_question_is_refused_where_nobody_listens)
{
	const struct pbx_session_watcher deaf = { .size = sizeof deaf, .answered = watcher.answered };

	standing("");
	ck_assert_int_eq(service->adopt(&one.host, session, &deaf, "deaf"), PBX_OK);
	ask("UPDATE", 1, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 488");
	ask("INFO", 2, "", "text/plain", "x");
	rig_expect(rig, "SIP/2.0 415");
	ask("BYE", 3, "", "", "");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_uint_eq(ua_sessions_count(), 0);
}
END_TEST

START_TEST(it_may_be_closed_where_it_is_asked)
{
	standing("");
	close_when_told = true;
	ask("INVITE", 1, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 487");
	ack_refusal(1);
	rig_expect(rig, "BYE ");
	hears("one asked INVITE application/sdp");
}
END_TEST

START_TEST(a_question_may_be_taken_back)
{
	standing("");
	ask("INVITE", 1, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 100");
	hears("one asked INVITE application/sdp");
	rig_send(rig,
		 "CANCEL %s SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-INVITE1;rport~Max-Forwards: 70~"
		 "From: <sip:srs.example.com>;tag=srs~To: %s~Call-ID: %s~CSeq: 1 CANCEL~Content-Length: 0~~",
		 our_contact, our_from, call_id);
	rig_expect(rig, "SIP/2.0 487");
	ack_refusal(1);
	ck_assert_int_eq(service->answer(session, 200, NULL), PBX_ESTATE);
	ends_with_bye();
}
END_TEST

START_TEST(no_bye_before_the_ack)
{
	standing("");
	reply_with = 200;
	ask("INVITE", 1, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 200");
	hears("one asked INVITE application/sdp");
	ck_assert_int_eq(service->close(session), PBX_OK);
	ck_assert_ptr_null(rig_find(rig, "BYE ", 50));
	ack(1, "", "");
	rig_expect(rig, "BYE ");
}
END_TEST

START_TEST(their_bye_ends_it)
{
	standing("");
	ask("BYE", 1, "", "", "");
	rig_expect(rig, "SIP/2.0 200");
	hears("one ended 200 BYE");
	ask("INFO", 2, "", "text/plain", "x");
	rig_expect(rig, "SIP/2.0 481");
}
END_TEST

START_TEST(a_stranger_is_not_in_it)
{
	standing("");
	(void)snprintf(call_id, sizeof call_id, "another");
	ask("BYE", 1, "", "", "");
	rig_expect(rig, "SIP/2.0 481");
	ends_with_bye();
}
END_TEST

/* ---- whose it is ---- */

START_TEST(it_goes_with_its_owner)
{
	char holds[64];

	standing("");
	ck_assert_uint_eq(core_owner_holds(&one, holds, sizeof holds), 1);
	ck_assert_str_eq(holds, "1 SIP session");
	core_owner_revoke_all(&one);
	rig_expect(rig, "BYE ");
	ck_assert_uint_eq(ua_sessions_count(), 0);
}
END_TEST

START_TEST(a_successor_takes_it_over)
{
	char holds[64];

	standing("");
	ck_assert_int_eq(service->adopt(&other.host, session, &watcher, "other"), PBX_OK);
	ck_assert_uint_eq(core_owner_holds(&one, holds, sizeof holds), 0);
	core_owner_revoke_all(&one);
	reply_with = 200;
	ask("INFO", 1, "", "text/plain", "x");
	rig_expect(rig, "SIP/2.0 200");
	hears("other asked INFO text/plain");
	ends_with_bye();
	ck_assert_int_eq(service->adopt(&other.host, session, &watcher, "other"), PBX_ENOENT);
}
END_TEST

START_TEST(it_ends_when_the_house_closes)
{
	standing("");
	rig_restart(rig, NULL);
	rig_expect(rig, "BYE sip:srs@127.0.0.1");
}
END_TEST

int main(void)
{
	const TTest *const plain[] = {
		an_update_is_a_reinvite_and_one_at_a_time,
		an_update_waits_until_theirs_is_over,
		who_does_not_know_it_any_more_ends_it,
		who_cannot_be_reached_any_more_ends_it,
		a_question_is_answered_by_the_plugin,
		one_question_at_a_time,
		what_only_keeps_it_alive_is_answered_here,
		what_cannot_be_done_is_refused,
		a_question_is_refused_where_nobody_listens,
		it_may_be_closed_where_it_is_asked,
		a_question_may_be_taken_back,
		no_bye_before_the_ack,
		their_bye_ends_it,
		a_stranger_is_not_in_it,
		it_goes_with_its_owner,
		a_successor_takes_it_over,
		it_ends_when_the_house_closes,
	};
	const TTest *const still[] = {
		an_update_that_crosses_theirs_is_said_again_later,
		it_is_refreshed_by_update,
		who_should_refresh_it_and_does_not_loses_it,
	};

	return session_tests("session_inside", plain, sizeof plain / sizeof plain[0], still, sizeof still / sizeof still[0]);
}
