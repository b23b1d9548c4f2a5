/* tests/sip/session_fixture.c - see session_fixture.h */
#include "session_fixture.h"
#include "host.h"
#include "loop.h"
#include "peer.h"
#include "session.h"
#include <pbx/sip_resolver.h>
#include <string.h>

#define MOST_HEARD 16u

struct rig *rig;
struct core_owner one, other;
const struct pbx_sessions *const service = &ua_sessions_service;
pbx_session session;

/* What the plugin has heard, in one line each: "answered 200", "asked INVITE application/sdp", "ended 481". */
static char heard[MOST_HEARD][200];
static uint32_t heard_count, read_count;
static bool has_more;
char answer_body[2048], answer_address[80];
uint32_t reply_with;
bool close_when_told, close_when_tried;

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

const struct pbx_session_watcher watcher = {
	.size = sizeof watcher, .answered = on_answered, .asked = on_asked, .changed = on_changed, .ended = on_ended
};

void hears(const char *what)
{
	rig_until(&has_more);
	ck_assert_str_eq(heard[read_count++], what);
	has_more = read_count < heard_count;
}

/* ---- the other system ---- */

const char *contact, *proxy;
char our_from[256], our_contact[256], call_id[128], tries[64];
uint32_t addresses;
bool begins_broken;

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

static void on_attempted(void *self, const struct pbx_sip_attempt *attempt)
{
	size_t used = strlen(tries);

	(void)self;
	(void)snprintf(tries + used, sizeof tries - used, " %u%s", attempt->sip_code, attempt->answered_by_peer ? "" : "!");
	if (close_when_tried)
		ck_assert_int_eq(service->close(session), PBX_OK);
}

static const char *const peer_headers[] = { "X-House: 1" };

void set_peer(const char *host, uint32_t port, const char *transport)
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

void by_name(void)
{
	ck_assert_int_eq(core_host_offer("pbx.sip_resolver/1", &resolver), PBX_OK);
	set_peer("srs.example.com", 0, "");
}

static void open_rig(bool still)
{
	rig = still ? rig_start_still(NULL) : rig_start(NULL);
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
	open_rig(false);
}

static void setup_still(void)
{
	open_rig(true);
}

static void teardown(void)
{
	core_owner_fini(&one);
	core_owner_fini(&other);
	rig_stop(rig);
	ck_assert_uint_eq(read_count, heard_count);
}

const struct pbx_session_part both[2] = {
	{ .size = sizeof both[0], .type = "application/sdp", .body = SRC_SDP },
	{ .size = sizeof both[0], .type = "application/rs-metadata+xml", .disposition = "recording-session", .body = XML },
};

struct pbx_session_spec recording(void)
{
	return (struct pbx_session_spec){ .size = sizeof(struct pbx_session_spec),
					  .contact_params = ";+sip.src",
					  .require = "siprec",
					  .headers = "X-Plugin: 2\n",
					  .parts = { both, 2 } };
}

int open_spec(const struct pbx_session_spec *spec)
{
	return service->open(&one.host, "srs", spec, &watcher, "one", &session);
}

void open_session(void)
{
	const struct pbx_session_spec spec = recording();

	ck_assert_int_eq(open_spec(&spec), PBX_OK);
}

void respond(unsigned status, const char *headers, const char *type, const char *body)
{
	char all[1024];

	(void)snprintf(all, sizeof all, "Allow: INVITE, ACK, BYE, INFO, UPDATE~%s", headers);
	rig_respond(rig, status, "srs", contact, all, type, body);
}

void keep_names(void)
{
	const char *uri = strchr(rig_header(rig, "Contact"), '<') + 1;

	(void)snprintf(our_contact, sizeof our_contact, "%.*s", (int)strcspn(uri, ">"), uri);
	(void)snprintf(our_from, sizeof our_from, "%s", rig_header(rig, "From"));
	(void)snprintf(call_id, sizeof call_id, "%s", rig_header(rig, "Call-ID"));
}

void standing(const char *headers)
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

void ask(const char *method, unsigned cseq, const char *headers, const char *type, const char *body)
{
	ask_by(method, method, cseq, headers, type, body);
}

/* Of a refusal: it belongs to the INVITE. */
void ack_refusal(unsigned cseq)
{
	ask_by("INVITE", "ACK", cseq, "", "", "");
}

void ack(unsigned cseq, const char *type, const char *body)
{
	ask("ACK", cseq, "", type, body);
}

void ends_with_bye(void)
{
	ck_assert_int_eq(service->close(session), PBX_OK);
	rig_expect(rig, "BYE sip:srs@127.0.0.1");
	respond(200, "", "", "");
	ck_assert_int_eq(service->close(session), PBX_ENOENT);
}

int session_tests(const char *name, const TTest *const *plain, size_t plain_count, const TTest *const *still, size_t still_count)
{
	Suite *suite = suite_create(name);
	TCase *by_the_clock = tcase_create("plain"), *by_hand = tcase_create("still");

	tcase_add_checked_fixture(by_the_clock, setup, teardown);
	tcase_add_checked_fixture(by_hand, setup_still, teardown);
	for (size_t i = 0; i < plain_count; i++)
		tcase_add_test(by_the_clock, plain[i]);
	for (size_t i = 0; i < still_count; i++)
		tcase_add_test(by_hand, still[i]);
	tcase_set_timeout(by_the_clock, 60);
	tcase_set_timeout(by_hand, 60);
	suite_add_tcase(suite, by_the_clock);
	suite_add_tcase(suite, by_hand);
	return check_run(suite);
}
