/* test_session_dialog - pbx.session/1 message by message: the phone of the rig is the other system */
#include "../check_main.h"
#include "rig.h"
#include "host.h"
#include "loop.h"
#include "owner_internal.h"
#include "peer.h"
#include "session.h"
#include "trace.h"
#include <pbx/sip_resolver.h>
#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#define XML "<recording/>"
#define SRC_SDP                                                                                                                            \
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8\r\na=label:1\r\na=sendonly\r\n"
#define SRS_SDP "v=0~o=srs 7 7 IN IP4 127.0.0.1~s=-~c=IN IP4 127.0.0.1~t=0 0~m=audio 4000 RTP/AVP 8~a=recvonly~"
#define MOST_HEARD 16u

static struct rig *rig;
static struct core_owner one, other;
static const struct pbx_sessions *service = &ua_sessions_service;
static pbx_session session;

/* What the plugin has heard, in one line each: "answered 200", "asked INVITE application/sdp", "ended 481". */
static char heard[MOST_HEARD][200];
static uint32_t heard_count, read_count;
static bool has_more;
static char answer_body[2048], answer_address[80];
static uint32_t reply_with; /* asked(): 0 leaves it for later */
static bool close_when_told, close_when_tried;

/* ---- the plugin ---- */

static void PBX_PRINTF(1, 2) note(const char *format, ...)
{
	va_list args;

	ck_assert_uint_lt(heard_count, MOST_HEARD);
	va_start(args, format);
	(void)vsnprintf(heard[heard_count++], sizeof heard[0], format, args);
	va_end(args);
	has_more = true;
}

static void list_parts(const struct pbx_session_parts *parts, char *ret_text, size_t size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (uint32_t i = 0; i < parts->count; i++) {
		const struct pbx_session_part *part = pbx_session_part_at(parts, i);

		ck_assert_uint_eq(part->length, strlen(part->body));
		used += (size_t)snprintf(ret_text + used, size - used, " %s%s%s", part->type, part->disposition[0] ? "/" : "",
					 part->disposition);
	}
}

static void on_answered(void *self, pbx_session which, const struct pbx_session_answer *answer)
{
	char parts[120];

	ck_assert_uint_eq(which.id, session.id);
	list_parts(&answer->parts, parts, sizeof parts);
	note("%s answered %u%s%s", (const char *)self, answer->sip_code, answer->from_peer ? "" : " by ourselves", parts);
	(void)snprintf(answer_body, sizeof answer_body, "%s", answer->parts.count ? answer->parts.items->body : "");
	(void)snprintf(answer_address, sizeof answer_address, "%s", answer->address);
	if (close_when_told)
		ck_assert_int_eq(service->close(which), answer->sip_code < 300 ? PBX_OK : PBX_ENOENT);
}

static void on_asked(void *self, pbx_session which, const struct pbx_session_question *question)
{
	char parts[120];

	list_parts(&question->parts, parts, sizeof parts);
	note("%s asked %s%s", (const char *)self, question->method, parts);
	if (close_when_told)
		ck_assert_int_eq(service->close(which), PBX_OK);
	else if (reply_with)
		ck_assert_int_eq(service->answer(which, reply_with, NULL), PBX_OK);
}

static void on_changed(void *self, pbx_session which, const struct pbx_session_parts *said)
{
	char parts[120];

	(void)which;
	list_parts(said, parts, sizeof parts);
	note("%s changed%s", (const char *)self, parts);
}

static void on_ended(void *self, pbx_session which, uint32_t sip_code, const char *why)
{
	ck_assert_int_eq(service->close(which), PBX_ENOENT);
	note("%s ended %u %s", (const char *)self, sip_code, why);
}

static const struct pbx_session_watcher watcher = {
	.size = sizeof watcher, .answered = on_answered, .asked = on_asked, .changed = on_changed, .ended = on_ended
};

/* The next thing that it hears, which must be this. */
static void hears(const char *what)
{
	rig_until(&has_more);
	ck_assert_str_eq(heard[read_count++], what);
	has_more = read_count < heard_count;
}

/* ---- the other system ---- */

static const char *contact; /* of its responses */
static const char *proxy;   /* of the peer; NULL: none */
static char our_from[256], our_contact[256], call_id[128];
static uint32_t addresses; /* how often the phone's address is named */
static bool begins_broken; /* and before it one where nobody listens */

static int resolve(void *self, const struct pbx_sip_where *where,
		   void (*done)(void *context, int result, const struct pbx_table *candidates), void *context)
{
	struct pbx_sip_candidate rows[4];
	const struct pbx_table table = { rows, addresses, sizeof rows[0] };

	(void)self;
	ck_assert_str_eq(where->host, "srs.example.com");
	for (uint32_t i = 0; i < addresses; i++)
		rows[i] = (struct pbx_sip_candidate){ "127.0.0.1", rig->phone_port, "udp", "", "" };
	if (begins_broken) {
		rows[0].port = 9;
		rows[0].transport = "tcp";
	}
	done(context, addresses ? PBX_OK : PBX_ENOENT, &table);
	return PBX_OK;
}

static const struct pbx_sip_resolver resolver = { .header = PBX_HEADER(struct pbx_sip_resolver), .resolve = resolve };

/* What the owner of the peer is told of each try: 503, 200. */
static char tries[64];

static void on_attempted(void *self, const struct pbx_sip_attempt *attempt)
{
	size_t used = strlen(tries);

	(void)self;
	(void)snprintf(tries + used, sizeof tries - used, " %u%s", attempt->sip_code, attempt->answered_by_peer ? "" : "!");
	if (close_when_tried)
		ck_assert_int_eq(service->close(session), PBX_OK);
}

static const char *const peer_headers[] = { "X-House: 1" };

static void set_peer(const char *host, uint32_t port, const char *transport)
{
	const struct pbx_sip_peer peer = { .size = sizeof peer,
					   .name = "srs",
					   .host = host,
					   .port = port,
					   .transport = transport,
					   .proxy = proxy,
					   .user = "pbx",
					   .secret = "secret",
					   .contact_user = "line",
					   .candidate_ms = 1000,
					   .session_timers = "accept",
					   .headers = { peer_headers, 1 },
					   .attempted = on_attempted };
	struct pbx_diag diag = { 0 };

	ck_assert_msg(ua_peer_set(ua_part->host, &peer, &diag) == PBX_OK, "%s", diag.text);
}

static void open_rig(bool still, const char *yaml)
{
	rig = still ? rig_start_still(yaml) : rig_start(yaml);
	core_owner_init(&one, "one", NULL);
	core_owner_init(&other, "other", NULL);
	heard_count = read_count = reply_with = 0;
	tries[0] = '\0';
	close_when_told = close_when_tried = begins_broken = has_more = false;
	addresses = 2;
	contact = "<sip:srs@127.0.0.1:{P}>;+sip.srs";
	proxy = NULL;
	session = (pbx_session){ 0 };
	set_peer("127.0.0.1", rig->phone_port, "udp");
}

static void setup(void)
{
	open_rig(false, NULL);
}

static void setup_still(void)
{
	open_rig(true, NULL);
}

static void teardown(void)
{
	core_owner_fini(&one);
	core_owner_fini(&other);
	rig_stop(rig);
	ck_assert_uint_eq(read_count, heard_count);
}

static const struct pbx_session_part both[] = {
	{ .size = sizeof both[0], .type = "application/sdp", .body = SRC_SDP },
	{ .size = sizeof both[0], .type = "application/rs-metadata+xml", .disposition = "recording-session", .body = XML },
};

static struct pbx_session_spec recording(void)
{
	return (struct pbx_session_spec){ .size = sizeof(struct pbx_session_spec),
					  .contact_params = ";+sip.src",
					  .require = "siprec",
					  .headers = "X-Plugin: 2\n",
					  .parts = { both, 2 } };
}

static int open_spec(const struct pbx_session_spec *spec)
{
	return service->open(&one.host, "srs", spec, &watcher, "one", &session);
}

static void open_session(void)
{
	const struct pbx_session_spec spec = recording();

	ck_assert_int_eq(open_spec(&spec), PBX_OK);
}

/* The response to what came last: with a body of that type, "": none. */
static void respond(unsigned status, const char *headers, const char *type, const char *body)
{
	char all[2048];

	(void)snprintf(all, sizeof all, "Allow: INVITE, ACK, BYE, INFO, UPDATE~%s%s%s%s", headers, type[0] ? "Content-Type: " : "", type,
		       type[0] ? "~" : "");
	char via[512], from[512], to[512], id[256], cseq[64];
	(void)snprintf(via, sizeof via, "%s", rig_header(rig, "Via"));
	(void)snprintf(from, sizeof from, "%s", rig_header(rig, "From"));
	(void)snprintf(to, sizeof to, "%s", rig_header(rig, "To"));
	(void)snprintf(id, sizeof id, "%s", rig_header(rig, "Call-ID"));
	(void)snprintf(cseq, sizeof cseq, "%s", rig_header(rig, "CSeq"));
	rig_send(rig,
		 "SIP/2.0 %u Whatever~Via: %s~From: %s~To: %s%s~Call-ID: %s~CSeq: %s~Contact: %s~%s"
		 "Content-Length: %u~~%s",
		 status, via, from, to, strstr(to, "tag=") ? "" : ";tag=srs", id, cseq, contact, all, rig_length(body), body);
}

static void keep_names(void)
{
	const char *uri = strchr(rig_header(rig, "Contact"), '<') + 1;

	(void)snprintf(our_contact, sizeof our_contact, "%.*s", (int)strcspn(uri, ">"), uri);
	(void)snprintf(our_from, sizeof our_from, "%s", rig_header(rig, "From"));
	(void)snprintf(call_id, sizeof call_id, "%s", rig_header(rig, "Call-ID"));
}

static void standing(const char *headers)
{
	open_session();
	rig_expect(rig, "INVITE ");
	keep_names();
	respond(200, headers, "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK sip:srs@127.0.0.1");
	hears("one answered 200 application/sdp");
}

static void ask_by(const char *branch, const char *method, unsigned cseq, const char *headers, const char *type, const char *body)
{
	rig_send(rig,
		 "%s %s SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-%s%u;rport~Max-Forwards: 70~From: "
		 "<sip:srs.example.com>;tag=srs~"
		 "To: %s~Call-ID: %s~CSeq: %u %s~Contact: <sip:srs@127.0.0.1:{P}>~%s%s%s%sContent-Length: %u~~%s",
		 method, our_contact, branch, cseq, our_from, call_id, cseq, method, headers, type[0] ? "Content-Type: " : "", type,
		 type[0] ? "~" : "", rig_length(body), body);
}

static void ask(const char *method, unsigned cseq, const char *headers, const char *type, const char *body)
{
	ask_by(method, method, cseq, headers, type, body);
}

/* Of a refusal: it belongs to the INVITE. */
static void ack_refusal(unsigned cseq)
{
	ask_by("INVITE", "ACK", cseq, "", "", "");
}

static void ack(unsigned cseq, const char *type, const char *body)
{
	ask("ACK", cseq, "", type, body);
}

static unsigned cseq_of_last(void)
{
	return (unsigned)strtoul(rig_header(rig, "CSeq"), NULL, 10);
}

static void ends_with_bye(void)
{
	ck_assert_int_eq(service->close(session), PBX_OK);
	rig_expect(rig, "BYE sip:srs@127.0.0.1");
	respond(200, "", "", "");
	ck_assert_int_eq(service->close(session), PBX_ENOENT);
}

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
	char invite[sizeof rig->last];
	memcpy(invite, rig->last, sizeof invite);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(rig->last, invite, sizeof invite);
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

static void by_name(void)
{
	ck_assert_int_eq(core_host_offer("pbx.sip_resolver/1", &resolver), PBX_OK);
	set_peer("srs.example.com", 0, "");
}

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
	char first[sizeof rig->last];

	by_name();
	open_session();
	rig_expect(rig, "INVITE ");
	memcpy(first, rig->last, sizeof first);
	core_loop_pass_ms(1000);
	rig_expect(rig, "INVITE ");
	ck_assert_ptr_null(strstr(rig->last, strstr(first, "branch=")));
	respond(200, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "ACK ");
	hears("one answered 200 application/sdp");
	memcpy(rig->last, first, sizeof first);
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

START_TEST(closed_before_an_answer_it_is_cancelled)
{
	open_session();
	rig_expect(rig, "INVITE ");
	char invite[sizeof rig->last];
	memcpy(invite, rig->last, sizeof invite);
	respond(180, "", "", "");
	core_loop_settle();
	ck_assert_int_eq(service->close(session), PBX_OK);
	rig_expect(rig, "CANCEL ");
	respond(200, "", "", "");
	memcpy(rig->last, invite, sizeof invite);
	respond(487, "", "", "");
	rig_expect(rig, "ACK ");
	rig_expect_nothing(rig);
}
END_TEST

START_TEST(a_200_that_crosses_the_cancel_gets_ack_and_bye)
{
	open_session();
	rig_expect(rig, "INVITE ");
	char invite[sizeof rig->last];
	memcpy(invite, rig->last, sizeof invite);
	respond(180, "", "", "");
	core_loop_settle();
	ck_assert_int_eq(service->close(session), PBX_OK);
	rig_expect(rig, "CANCEL ");
	memcpy(rig->last, invite, sizeof invite);
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

/* ---- ours inside ---- */

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
	char ours[sizeof rig->last];
	memcpy(ours, rig->last, sizeof ours);
	ask("INVITE", 1, "", "application/sdp", SRS_SDP);
	rig_expect(rig, "SIP/2.0 491");
	ack_refusal(1);
	memcpy(rig->last, ours, sizeof ours);
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

/* ---- theirs inside ---- */

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
	const struct pbx_session_watcher deaf = { .size = sizeof deaf, .answered = on_answered };

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
		its_messages_are_in_the_trace_of_the_call,
	};
	const TTest *const still[] = {
		a_silent_address_is_given_up_and_its_late_200_taken_back,
		nobody_answers_in_time,
		an_update_that_crosses_theirs_is_said_again_later,
		it_is_refreshed_by_update,
		who_should_refresh_it_and_does_not_loses_it,
	};
	Suite *suite = suite_create("session_dialog");
	TCase *by_the_clock = tcase_create("plain"), *by_hand = tcase_create("still");

	tcase_add_checked_fixture(by_the_clock, setup, teardown);
	tcase_add_checked_fixture(by_hand, setup_still, teardown);
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		tcase_add_test(by_the_clock, plain[i]);
	for (size_t i = 0; i < sizeof still / sizeof still[0]; i++)
		tcase_add_test(by_hand, still[i]);
	tcase_set_timeout(by_the_clock, 60);
	tcase_set_timeout(by_hand, 60);
	suite_add_tcase(suite, by_the_clock);
	suite_add_tcase(suite, by_hand);
	return check_run(suite);
}
