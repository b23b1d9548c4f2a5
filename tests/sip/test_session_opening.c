/* test_session_opening - pbx.session/1, message by message: an INVITE, at one address after the other, and what becomes of it */
#include "session_fixture.h"
#include "loop.h"
#include "peer.h"
#include "session.h"
#include "trace.h"
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* ---- opening ---- */

START_TEST(an_invite_with_parts_stands_and_ends_with_a_bye)
{
	open_session();
	rig_expect(rig, "INVITE sip:127.0.0.1:");
	ck_assert_str_eq(rig_header(rig, "Require"), "siprec");
	ck_assert_str_eq(rig_header(rig, "X-House"), "1");
	ck_assert_str_eq(rig_header(rig, "X-Plugin"), "2");
	ck_assert_str_eq(rig_header(rig, "Max-Forwards"), "70");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "From"), "<sip:pbx@127.0.0.1>;tag="));
	ck_assert(strncmp(rig_header(rig, "Contact"), "<sip:line@127.0.0.1:", 20) == 0);
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Contact"), ">;+sip.src"));
	ck_assert(strncmp(rig_header(rig, "Content-Type"), "multipart/mixed;boundary=", 25) == 0);
	ck_assert_ptr_nonnull(strstr(rig->last, "\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"));
	ck_assert_ptr_nonnull(strstr(rig->last, "a=sendonly\r\n\r\n--"));
	ck_assert_ptr_nonnull(strstr(
		rig->last, "\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n" XML "\r\n--"));
	keep_names();
	rig_reply(rig, 100, "", "", "");
	respond(180, "", "", "");
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK sip:srs@127.0.0.1");
	hears("one answered 200 application/sdp");
	ck_assert_ptr_nonnull(strstr(answer_body, "m=audio 4000 RTP/AVP 8\r\na=recvonly\r\n"));
	ck_assert_uint_eq(ua_sessions_count(), 1);
	ends_with_bye();
	ck_assert_uint_eq(ua_sessions_count(), 0);
}
END_TEST

START_TEST(a_200_that_comes_again_is_acknowledged_again)
{
	open_session();
	rig_expect(rig, "INVITE ");
	rig_keep_last(rig);
	for (unsigned i = 0; i < 2; i++) {
		rig_back_to_kept(rig);
		respond(200, "", "application/sdp", SRS_SDP);
		rig_expect(rig, "ACK sip:srs@127.0.0.1");
	}
	hears("one answered 200 application/sdp");
	ends_with_bye();
}
END_TEST

START_TEST(a_refusal_is_the_end_of_it)
{
	open_session();
	rig_expect(rig, "INVITE ");
	respond(603, "", "", "");
	rig_expect(rig, "ACK ");
	hears("one answered 603");
	ck_assert_int_eq(service->close(session), PBX_ENOENT);
	ck_assert_uint_eq(ua_sessions_count(), 0);
}
END_TEST

START_TEST(an_answer_that_cannot_be_read_is_taken_back)
{
	open_session();
	rig_expect(rig, "INVITE ");
	respond(200, "", "multipart/mixed;boundary=x", "--x~no header~~v=0~--x--~");
	rig_expect(rig, "ACK ");
	rig_expect(rig, "BYE ");
	hears("one answered 488 by ourselves");
}
END_TEST

START_TEST(parts_of_an_answer_are_told_one_by_one)
{
	open_session();
	rig_expect(rig, "INVITE ");
	respond(200, "", "multipart/mixed; boundary=\"a b\"",
		"--a b~content-type: application/sdp;charset=utf-8~~v=0~--a b~Content-Type: text/xml~Content-Disposition: "
		"render;x=1~~<a/>~--a b--~");
	rig_expect(rig, "ACK ");
	hears("one answered 200 application/sdp text/xml/render");
	ck_assert_str_eq(answer_body, "v=0");
	ends_with_bye();
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_at_the_door)
{
	struct pbx_session_spec spec = recording();
	struct pbx_session_part many[PBX_SESSION_MOST_PARTS + 1];
	static char large[PBX_SESSION_MOST_BYTES];

	ck_assert_int_eq(service->open(&one.host, "nobody", &spec, &watcher, "one", &session), PBX_ENOENT);
	spec.uri = "tel:123";
	ck_assert_int_eq(open_spec(&spec), PBX_EINVAL);
	spec = recording();
	spec.require = "siprec\r\nX: y";
	ck_assert_int_eq(open_spec(&spec), PBX_EINVAL);
	spec = recording();
	spec.headers = "X: y";
	ck_assert_int_eq(open_spec(&spec), PBX_EINVAL);
	for (uint32_t i = 0; i <= PBX_SESSION_MOST_PARTS; i++)
		many[i] = both[1];
	spec = recording();
	spec.parts = (struct pbx_session_parts){ many, PBX_SESSION_MOST_PARTS + 1 };
	ck_assert_int_eq(open_spec(&spec), PBX_ENOSPC);
	memset(large, 'x', sizeof large);
	many[0].body = large;
	many[0].length = sizeof large;
	spec.parts.count = 2;
	ck_assert_int_eq(open_spec(&spec), PBX_ENOSPC);
	many[0].length = 1;
	many[0].type = NULL;
	ck_assert_int_eq(open_spec(&spec), PBX_EINVAL);
	ck_assert_uint_eq(ua_sessions_count(), 0);
	rig_expect_nothing(rig);
}
END_TEST

START_TEST(a_challenge_is_answered_and_its_nonce_serves_on)
{
	open_session();
	rig_expect(rig, "INVITE ");
	respond(401, "WWW-Authenticate: Digest realm=\"srs\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256~", "", "");
	rig_expect(rig, "ACK ");
	rig_expect(rig, "INVITE ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Authorization"), "nonce=\"n1\""));
	ck_assert_ptr_nonnull(strstr(rig->last, XML));
	respond(401, "WWW-Authenticate: Digest realm=\"srs\", nonce=\"n2\", qop=\"auth\", algorithm=SHA-256, stale=true~", "", "");
	rig_expect(rig, "INVITE ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Authorization"), "nonce=\"n2\""));
	respond(200, "", "application/sdp", SRS_SDP);
	char shown[512];
	(void)snprintf(shown, sizeof shown, "%s", rig_header(rig, "Authorization"));
	rig_expect(rig, "ACK ");
	ck_assert_str_eq(rig_header(rig, "Authorization"), shown);
	hears("one answered 200 application/sdp");
	ck_assert_int_eq(service->update(session, &(struct pbx_session_parts){ both, 1 }), PBX_OK);
	rig_expect(rig, "INVITE ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Authorization"), "nonce=\"n2\""));
	respond(401, "WWW-Authenticate: Digest realm=\"srs\", nonce=\"n3\", qop=\"auth\", algorithm=SHA-256, stale=true~", "", "");
	rig_expect(rig, "INVITE ");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Authorization"), "nonce=\"n3\""));
	respond(401, "WWW-Authenticate: Digest realm=\"srs\", nonce=\"n4\", qop=\"auth\", algorithm=SHA-256~", "", "");
	hears("one answered 401"); /* the password is wrong */
	ends_with_bye();
}
END_TEST

START_TEST(a_longer_session_timer_is_agreed_to)
{
	open_session();
	rig_expect(rig, "INVITE ");
	ck_assert_str_eq(rig_header(rig, "Supported"), "timer");
	respond(422, "Min-SE: 3600~", "", "");
	rig_expect(rig, "ACK ");
	rig_expect(rig, "INVITE ");
	respond(200, "", "application/sdp", SRS_SDP);
	hears("one answered 200 application/sdp");
	ends_with_bye();
}
END_TEST

START_TEST(routes_are_followed)
{
	char outbound[64];

	(void)snprintf(outbound, sizeof outbound, "sip:127.0.0.1:%u", rig->phone_port);
	proxy = outbound;
	set_peer("srs.elsewhere", 0, "");
	open_session();
	rig_expect(rig, "INVITE sip:srs.elsewhere SIP/2.0");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Route"), outbound));
	contact = "<sip:srs@10.9.9.9>";
	respond(200, "Record-Route: <sip:127.0.0.1:{P};lr>~", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK sip:srs@10.9.9.9 SIP/2.0");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Route"), ";lr>"));
	hears("one answered 200 application/sdp");
	ck_assert_int_eq(service->close(session), PBX_OK);
	rig_expect(rig, "BYE sip:srs@10.9.9.9 SIP/2.0");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Route"), ";lr>"));
}
END_TEST

/* ---- one address after the other ---- */

START_TEST(the_next_address_is_asked_when_one_cannot)
{
	static const unsigned refusals[] = { 503, 500, 408 };

	by_name();
	addresses = 4;
	open_session();
	for (unsigned i = 0; i < 3; i++) {
		rig_expect(rig, "INVITE sip:srs.example.com");
		respond(refusals[i], "", "", "");
		rig_expect(rig, "ACK ");
	}
	rig_expect(rig, "INVITE ");
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	hears("one answered 200 application/sdp");
	char address[80];
	(void)snprintf(address, sizeof address, "127.0.0.1:%u", rig->phone_port);
	ck_assert_str_eq(answer_address, address);
	ck_assert_str_eq(tries, " 503 500 408 200");
	ends_with_bye();
}
END_TEST

START_TEST(the_last_ones_refusal_is_told)
{
	by_name();
	open_session();
	rig_expect(rig, "INVITE ");
	respond(503, "", "", "");
	rig_expect(rig, "ACK ");
	rig_expect(rig, "INVITE ");
	respond(500, "", "", "");
	hears("one answered 500");
}
END_TEST

START_TEST(a_broken_transport_leads_to_the_next_address)
{
	by_name();
	begins_broken = true;
	open_session();
	rig_expect(rig, "INVITE ");
	respond(200, "", "application/sdp", SRS_SDP);
	hears("one answered 200 application/sdp");
	ends_with_bye();
}
END_TEST

START_TEST(a_name_without_addresses_is_503)
{
	by_name();
	addresses = 0;
	open_session();
	hears("one answered 503 by ourselves");
	ck_assert_str_eq(answer_address, "");
}
END_TEST

START_TEST(a_silent_address_is_given_up_and_its_late_200_taken_back)
{
	char via[256];

	by_name();
	open_session();
	rig_expect(rig, "INVITE ");
	(void)snprintf(via, sizeof via, "%s", rig_header(rig, "Via"));
	rig_keep_last(rig);
	core_loop_pass_ms(1000);
	rig_expect(rig, "INVITE ");
	ck_assert_str_ne(rig_header(rig, "Via"), via); /* another INVITE, not the same again */
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	hears("one answered 200 application/sdp");
	rig_back_to_kept(rig);
	respond(200, "", "application/sdp", SRS_SDP); /* after all */
	rig_expect(rig, "ACK ");
	rig_expect(rig, "BYE ");
	respond(200, "", "", "");
	ends_with_bye();
}
END_TEST

START_TEST(nobody_answers_in_time)
{
	struct pbx_session_spec spec = recording();

	spec.answer_ms = 5000;
	ck_assert_int_eq(open_spec(&spec), PBX_OK);
	rig_expect(rig, "INVITE ");
	respond(180, "", "", "");
	core_loop_settle();
	core_loop_pass_ms(5000);
	hears("one answered 408 by ourselves");
	rig_expect(rig, "CANCEL ");
}
END_TEST

START_TEST(what_is_too_long_for_udp_goes_by_tcp)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(rig->phone_port) };
	struct pbx_session_spec spec = recording();
	struct pbx_session_part parts[] = { both[0], both[1] };
	static char large[3001], got[8192];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), connection = -1;
	ssize_t size = -1;

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	memset(large, 'x', sizeof large - 1);
	parts[1].body = large;
	spec.parts.items = parts;
	ck_assert_int_eq(open_spec(&spec), PBX_OK);
	for (unsigned round = 0; round < 5000 && connection < 0; round++) {
		core_loop_step();
		connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	}
	ck_assert_int_ge(connection, 0);
	for (unsigned round = 0; round < 5000 && size < 0; round++) {
		core_loop_step();
		size = recv(connection, got, sizeof got - 1, 0);
	}
	ck_assert_int_gt(size, 3000);
	ck_assert(strncmp(got, "INVITE ", 7) == 0);
	ck_assert_ptr_nonnull(strstr(got, "\r\nVia: SIP/2.0/TCP "));
	ck_assert_int_eq(service->close(session), PBX_OK);
	close(connection);
	close(listener);
}
END_TEST

/* ---- closing early ---- */

/* The INVITE is kept. */
static void close_while_it_rings(void)
{
	open_session();
	rig_expect(rig, "INVITE ");
	rig_keep_last(rig);
	respond(180, "", "", "");
	core_loop_settle();
	ck_assert_int_eq(service->close(session), PBX_OK);
	rig_expect(rig, "CANCEL ");
}

START_TEST(closed_before_an_answer_it_is_cancelled)
{
	close_while_it_rings();
	respond(200, "", "", "");
	rig_back_to_kept(rig);
	respond(487, "", "", "");
	rig_expect(rig, "ACK ");
	rig_expect_nothing(rig);
}
END_TEST

START_TEST(a_200_that_crosses_the_cancel_gets_ack_and_bye)
{
	close_while_it_rings();
	rig_back_to_kept(rig);
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	rig_expect(rig, "BYE ");
}
END_TEST

START_TEST(closed_at_once_nothing_is_sent)
{
	open_session();
	ck_assert_int_eq(service->close(session), PBX_OK);
	rig_expect_nothing(rig);
}
END_TEST

START_TEST(it_may_be_closed_where_its_answer_is_told)
{
	close_when_told = true;
	open_session();
	rig_expect(rig, "INVITE ");
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	rig_expect(rig, "BYE ");
	hears("one answered 200 application/sdp");
}
END_TEST

START_TEST(it_may_be_closed_where_a_try_is_told)
{
	close_when_tried = true;
	open_session();
	rig_expect(rig, "INVITE ");
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	rig_expect(rig, "BYE ");
	respond(200, "", "", "");
	open_session();
	rig_expect(rig, "INVITE ");
	respond(503, "", "", "");
	rig_expect(rig, "ACK ");
	rig_expect_nothing(rig);
	ck_assert_uint_eq(ua_sessions_count(), 0);
}
END_TEST

static uint32_t traced;

static void on_traced(void *context, const struct core_trace_message *message)
{
	(void)context, (void)message;
	traced++;
}

START_TEST(its_messages_are_in_the_trace_of_the_call)
{
	struct pbx_session_spec spec = recording();

	ck_assert_int_eq(core_trace_init(1u << 20), PBX_OK);
	spec.call_id = "01J0000000000000000000CALL";
	ck_assert_int_eq(open_spec(&spec), PBX_OK);
	rig_expect(rig, "INVITE ");
	respond(603, "", "", "");
	rig_expect(rig, "ACK ");
	hears("one answered 603");
	traced = 0;
	ck_assert_uint_eq(core_trace_call(spec.call_id, on_traced, NULL), 3);
	ck_assert_uint_eq(traced, 3);
	core_trace_fini();
}
END_TEST

/* Whoever sets a peer hears which text it is: it would end in a header of each request. */
START_TEST(a_text_that_would_end_a_header_is_refused_where_it_is_set)
{
	static const char *const lines[] = { "a\r\nX: 1", "a\nX: 1", "a\r", "\t", "\033[2J", "\177" };
	static const struct {
		size_t offset;
		const char *field, *never;
	} rows[] = {
#define ROW(member, never) { offsetof(struct pbx_sip_peer, member), #member, never }
		ROW(user, "\"\\<>"),
		ROW(realm, "\"\\"),
		ROW(secret, ""),
		ROW(from_user, "\"\\<> "),
		ROW(from_domain, "\"\\<> @"),
		ROW(contact_user, "\"\\<> @"),
		ROW(proxy, "\"\\<> "),
		ROW(routes, ""),
#undef ROW
	};

	for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
		for (size_t i = 0; i < sizeof lines / sizeof lines[0] + strlen(rows[row].never); i++) {
			struct pbx_sip_peer peer = { .size = sizeof peer, .name = "liar", .host = "192.0.2.7" };
			struct pbx_diag diag = { 0 };
			char text[8] = "a";

			if (i < sizeof lines / sizeof lines[0])
				(void)snprintf(text, sizeof text, "%s", lines[i]);
			else
				(void)snprintf(text, sizeof text, "a%cb", rows[row].never[i - sizeof lines / sizeof lines[0]]);
			*(const char **)(void *)((char *)&peer + rows[row].offset) = text;
			ck_assert_int_eq(ua_peer_set(ua_part->host, &peer, &diag), PBX_EINVAL);
			ck_assert_str_eq(diag.field, rows[row].field);
			ck_assert_ptr_null(ua_peer_find("liar"));
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const plain[] = {
		an_invite_with_parts_stands_and_ends_with_a_bye,
		a_200_that_comes_again_is_acknowledged_again,
		a_refusal_is_the_end_of_it,
		an_answer_that_cannot_be_read_is_taken_back,
		parts_of_an_answer_are_told_one_by_one,
		what_makes_no_sense_is_refused_at_the_door,
		a_challenge_is_answered_and_its_nonce_serves_on,
		a_longer_session_timer_is_agreed_to,
		routes_are_followed,
		the_next_address_is_asked_when_one_cannot,
		the_last_ones_refusal_is_told,
		a_broken_transport_leads_to_the_next_address,
		a_name_without_addresses_is_503,
		what_is_too_long_for_udp_goes_by_tcp,
		closed_before_an_answer_it_is_cancelled,
		a_200_that_crosses_the_cancel_gets_ack_and_bye,
		closed_at_once_nothing_is_sent,
		it_may_be_closed_where_its_answer_is_told,
		it_may_be_closed_where_a_try_is_told,
		its_messages_are_in_the_trace_of_the_call,
		a_text_that_would_end_a_header_is_refused_where_it_is_set,
	};
	const TTest *const still[] = {
		a_silent_address_is_given_up_and_its_late_200_taken_back,
		nobody_answers_in_time,
	};

	return session_tests("session_opening", plain, sizeof plain / sizeof plain[0], still, sizeof still / sizeof still[0]);
}
