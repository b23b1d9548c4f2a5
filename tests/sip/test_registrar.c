/* test_registrar - REGISTER over a real socket: who may, what is kept, what is answered */
#include "../check_main.h"
#include "rig.h"
#include "location.h"
#include "loop.h"
#include <string.h>

static struct rig *rig;
static unsigned cseq, branch;

static void setup(void)
{
	rig = rig_start(NULL);
	cseq = 0;
}

static void teardown(void)
{
	rig_stop(rig);
}

/* extra: Contact, Expires … with ~ at each end. */
static void send_register(const char *user, const char *call_id, const char *extra, const char *authorization)
{
	cseq++;
	branch++;
	rig_send(rig,
		 "REGISTER sip:pbx.local SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-r%u;rport~Max-Forwards: 70~From: "
		 "<sip:%s@pbx.local>;tag=f%u~"
		 "To: <sip:%s@pbx.local>~Call-ID: %s~CSeq: %u REGISTER~User-Agent: probe/1~%s%sContent-Length: 0~~",
		 branch, user, branch, user, call_id, cseq, extra, authorization);
}

static const char *authorization(const char *user, const char *password, bool sha256)
{
	return rig_authorize(rig, "Authorization", user, password, "REGISTER", "sip:pbx.local", sha256);
}

static const char *register_as(const char *user, const char *call_id, const char *extra, const char *expected)
{
	send_register(user, call_id, extra, "");
	rig_expect(rig, "SIP/2.0 401");
	rig_challenged(rig);
	send_register(user, call_id, extra, authorization(user, "secret", false));
	return rig_expect(rig, expected);
}

static unsigned contacts(const char *message)
{
	unsigned count = 0;

	for (const char *at = message; (at = strstr(at, "expires=")); at++)
		count++;
	return count;
}

START_TEST(a_phone_is_challenged_with_sha256_first_and_md5_second)
{
	send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", "");
	const char *reply = rig_expect(rig, "SIP/2.0 401");
	const char *sha = strstr(reply, "algorithm=SHA-256"), *md5 = strstr(reply, "algorithm=MD5");

	ck_assert(sha && md5 && sha < md5);
	ck_assert_ptr_nonnull(strstr(reply, "realm=\"pbx.local\""));
	ck_assert_ptr_nonnull(strstr(reply, "qop=\"auth\""));
	ck_assert(!ua_location_service.is_registered("1001"));
}
END_TEST

START_TEST(both_algorithms_are_accepted)
{
	for (int sha256 = 0; sha256 < 2; sha256++) {
		send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", "");
		rig_expect(rig, "SIP/2.0 401");
		rig_challenged(rig);
		send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", authorization("1001", "secret", sha256));
		ck_assert_uint_eq(contacts(rig_expect(rig, "SIP/2.0 200")), 1);
	}
	ck_assert_uint_eq(ua_location_service.count(), 1);
}
END_TEST

START_TEST(wrong_password_and_unknown_user_look_alike)
{
	char answers[2][2048];

	for (int i = 0; i < 2; i++) {
		const char *user = i ? "nobody" : "1001";

		send_register(user, "c1", "Contact: <sip:x@127.0.0.1:{P}>~", "");
		rig_expect(rig, "SIP/2.0 401");
		rig_challenged(rig);
		send_register(user, "c1", "Contact: <sip:x@127.0.0.1:{P}>~", authorization(user, "wrong", false));
		(void)snprintf(answers[i], sizeof answers[i], "%s", rig_expect(rig, "SIP/2.0"));
	}
	ck_assert_int_eq(strncmp(answers[0], "SIP/2.0 401", 11), 0);
	ck_assert_int_eq(strncmp(answers[1], "SIP/2.0 401", 11), 0);
	ck_assert_ptr_null(strstr(answers[0], "stale"));
	ck_assert_uint_eq(ua_location_service.count(), 0);
}
END_TEST

START_TEST(five_wrong_passwords_forbid_even_the_right_one)
{
	for (unsigned i = 0; i < 5; i++) {
		send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", "");
		rig_expect(rig, "SIP/2.0 401");
		rig_challenged(rig);
		send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", authorization("1001", "wrong", false));
		rig_expect(rig, "SIP/2.0 401");
	}
	rig_challenged(rig);
	send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", authorization("1001", "secret", false));
	rig_expect(rig, "SIP/2.0 403");
}
END_TEST

START_TEST(a_recorded_request_cannot_be_played_again)
{
	char recorded[1024];

	send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", "");
	rig_expect(rig, "SIP/2.0 401");
	rig_challenged(rig);
	(void)snprintf(recorded, sizeof recorded, "%s", authorization("1001", "secret", false));
	send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", recorded);
	rig_expect(rig, "SIP/2.0 200");
	send_register("1001", "c1", "Contact: <sip:1001@192.0.2.66:5060>~", recorded);
	ck_assert_ptr_nonnull(strstr(rig_expect(rig, "SIP/2.0 401"), "stale=true"));
	ck_assert_uint_eq(ua_location_service.count(), 1);
}
END_TEST

START_TEST(an_account_cannot_register_another)
{
	send_register("1002", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", "");
	rig_expect(rig, "SIP/2.0 401");
	rig_challenged(rig);
	send_register("1002", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", authorization("1001", "secret", false));
	rig_expect(rig, "SIP/2.0 403");
	ck_assert_uint_eq(ua_location_service.count(), 0);
}
END_TEST

START_TEST(a_nonce_serves_several_requests_with_rising_count)
{
	register_as("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", "SIP/2.0 200");
	for (unsigned i = 0; i < 5; i++) {
		send_register("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~", authorization("1001", "secret", true));
		rig_expect(rig, "SIP/2.0 200");
	}
}
END_TEST

START_TEST(too_short_is_refused_with_the_least_that_is_allowed)
{
	register_as("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>;expires=30~", "SIP/2.0 423");
	ck_assert_str_eq(rig_header(rig, "Min-Expires"), "60");
	ck_assert_uint_eq(ua_location_service.count(), 0);
}
END_TEST

START_TEST(too_long_is_shortened)
{
	ck_assert_ptr_nonnull(
		strstr(register_as("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>~Expires: 999999~", "SIP/2.0 200"), "expires=7200"));
}
END_TEST

START_TEST(the_contacts_parameter_wins_over_the_header)
{
	ck_assert_ptr_nonnull(strstr(
		register_as("1001", "c1", "Contact: <sip:1001@127.0.0.1:{P}>;expires=120~Expires: 600~", "SIP/2.0 200"), "expires=120"));
}
END_TEST

START_TEST(several_phones_are_listed_best_first)
{
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>;q=0.2~", "SIP/2.0 200");
	register_as("1001", "c2", "Contact: <sip:b@127.0.0.1:{P}>;q=0.9~", "SIP/2.0 200");
	const char *reply = register_as("1001", "c3", "Contact: <sip:c@127.0.0.1:{P}>;q=0.5~", "SIP/2.0 200");
	const char *a = strstr(reply, "sip:a@"), *b = strstr(reply, "sip:b@"), *c = strstr(reply, "sip:c@");

	ck_assert(a && b && c && b < c && c < a);
}
END_TEST

START_TEST(the_oldest_phone_makes_room)
{
	register_as("1009", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "SIP/2.0 200");
	register_as("1009", "c2", "Contact: <sip:b@127.0.0.1:{P}>~", "SIP/2.0 200");
	const char *reply = register_as("1009", "c3", "Contact: <sip:c@127.0.0.1:{P}>~", "SIP/2.0 200");

	ck_assert_uint_eq(contacts(reply), 2);
	ck_assert_ptr_null(strstr(reply, "sip:a@"));
}
END_TEST

START_TEST(addresses_come_back_byte_for_byte)
{
	static const struct {
		const char *line, *uri;
	} rows[] = {
		{ "Contact: <sip:1001@127.0.0.1:{P};pn-provider=fcm;pn-prid=c%3AToken_x-1>~", ";pn-provider=fcm;pn-prid=c%3AToken_x-1>" },
		{ "Contact: <sip:1001@127.0.0.1:{P};pn-prid=%41%3a%5B%5d>~", ";pn-prid=%41%3a%5B%5d>" },
		{ "m:\t\"An \\\"odd, <name>\" <sip:%31001%2B@127.0.0.1:{P}?Subject=a%3Ab>;q=0.5~",
		  "<sip:%31001%2B@127.0.0.1:{P}?Subject=a%3Ab>" },
		{ "Contact: sip:a%3Ab@127.0.0.1:{P};q=0.3~", "<sip:a%3Ab@127.0.0.1:{P}>" },
		{ "Contact: \"x%3A\"<sip:1@127.0.0.1:{P};a=1>;b=\"<,%3A\", <sip:2@127.0.0.1:{P};c=%3A>, sip:3%3A@127.0.0.1:{P};q=0.1~",
		  "<sip:2@127.0.0.1:{P};c=%3A>" },
		{ "Contact: <sip:1@127.0.0.1:{P};a=1>, <sip:2@127.0.0.1:{P};c=%3A>, sip:3%3A@127.0.0.1:{P};q=0.1~",
		  "<sip:3%3A@127.0.0.1:{P}>" },
		{ "Contact: <sip:1@127.0.0.1:{P};a=%3A>~Contact: <sip:2@127.0.0.1:{P};b=%3B>~", "<sip:2@127.0.0.1:{P};b=%3B>" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char call_id[8], wanted[200];
		const char *port = strstr(rows[i].uri, "{P}");

		(void)snprintf(call_id, sizeof call_id, "c%zu", i);
		const char *reply = register_as("1001", call_id, rows[i].line, "SIP/2.0 200");
		if (port)
			(void)snprintf(wanted, sizeof wanted, "%.*s%u%s", (int)(port - rows[i].uri), rows[i].uri, rig->phone_port,
				       port + 3);
		else
			(void)snprintf(wanted, sizeof wanted, "%s", rows[i].uri);
		ck_assert_msg(strstr(reply, wanted), "%s is not in %s", wanted, reply);
		register_as("1001", "all", "Contact: *~Expires: 0~", "SIP/2.0 200"); /* there is not room for all of them */
	}
}
END_TEST

START_TEST(expires_zero_takes_one_away_and_star_takes_all)
{
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "SIP/2.0 200");
	register_as("1001", "c2", "Contact: <sip:b@127.0.0.1:{P}>~", "SIP/2.0 200");
	register_as("1001", "c3", "Contact: <sip:c@127.0.0.1:{P}>~", "SIP/2.0 200");
	ck_assert_uint_eq(contacts(register_as("1001", "c2", "Contact: <sip:b@127.0.0.1:{P}>;expires=0~", "SIP/2.0 200")), 2);
	ck_assert_uint_eq(contacts(register_as("1001", "c4", "Contact: *~Expires: 0~", "SIP/2.0 200")), 0);
	ck_assert(!ua_location_service.is_registered("1001"));
}
END_TEST

START_TEST(star_without_expires_zero_is_malformed)
{
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "SIP/2.0 200");
	register_as("1001", "c1", "Contact: *~Expires: 60~", "SIP/2.0 400");
	register_as("1001", "c1", "Contact: *~", "SIP/2.0 400");
	register_as("1001", "c1", "Contact: *~Contact: <sip:b@127.0.0.1:{P}>~Expires: 0~", "SIP/2.0 400");
	ck_assert_uint_eq(ua_location_service.count(), 1);
}
END_TEST

START_TEST(a_query_changes_nothing)
{
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "SIP/2.0 200");
	ck_assert_uint_eq(contacts(register_as("1001", "c2", "", "SIP/2.0 200")), 1);
}
END_TEST

START_TEST(one_bad_contact_refuses_the_whole)
{
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~Contact: <sip:b@127.0.0.1:{P}>;expires=5~", "SIP/2.0 423");
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~Contact: <mailto:b@example.com>~", "SIP/2.0 400");
	ck_assert_uint_eq(ua_location_service.count(), 0);
}
END_TEST

START_TEST(an_overtaken_request_does_not_undo_a_newer_one)
{
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "SIP/2.0 200");
	cseq -= 2;
	const char *reply = register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>;expires=0~", "SIP/2.0 ");
	ck_assert_int_eq(strncmp(reply, "SIP/2.0 5", 9), 0);
	ck_assert_uint_eq(ua_location_service.count(), 1);
}
END_TEST

START_TEST(an_instance_replaces_its_old_address)
{
	register_as("1001", "c1", "Contact: <sip:a@192.0.2.1:5060>;+sip.instance=\"<urn:uuid:1>\";reg-id=1~", "SIP/2.0 200");
	const char *reply =
		register_as("1001", "c2", "Contact: <sip:a@192.0.2.2:5060>;+sip.instance=\"<urn:uuid:1>\";reg-id=1~", "SIP/2.0 200");

	ck_assert_uint_eq(contacts(reply), 1);
	ck_assert_ptr_nonnull(strstr(reply, "192.0.2.2"));
	ck_assert_ptr_nonnull(strstr(reply, "+sip.instance=\"<urn:uuid:1>\""));
}
END_TEST

static struct pbx_contact seen;
static char seen_received[80], seen_path[200], seen_id[27];

static void see(void *context, const struct pbx_contact *contact)
{
	(void)context;
	seen = *contact;
	(void)snprintf(seen_received, sizeof seen_received, "%s", contact->received);
	(void)snprintf(seen_path, sizeof seen_path, "%s", contact->path);
	(void)snprintf(seen_id, sizeof seen_id, "%s", contact->id);
}

START_TEST(the_packets_source_and_path_are_remembered)
{
	char source[32];

	register_as("1001", "c1", "Contact: <sip:a@10.99.99.99:5060>~Supported: path~Path: <sip:edge.example.com;lr>~", "SIP/2.0 200");
	ck_assert_str_eq(rig_header(rig, "Path"), "<sip:edge.example.com;lr>");
	ck_assert_uint_eq(ua_location_service.each("1001", see, NULL), 1);
	(void)snprintf(source, sizeof source, "127.0.0.1:%u", rig->phone_port);
	ck_assert_str_eq(seen_received, source);
	ck_assert_str_eq(seen_path, "<sip:edge.example.com;lr>");
}
END_TEST

START_TEST(a_restart_needs_no_register)
{
	char id[27];

	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>;expires=600~", "SIP/2.0 200");
	register_as("1002", "c2", "Contact: <sip:b@127.0.0.1:{P}>~", "SIP/2.0 200");
	register_as("1002", "c2", "Contact: <sip:b@127.0.0.1:{P}>;expires=0~", "SIP/2.0 200");
	(void)ua_location_service.each("1001", see, NULL);
	memcpy(id, seen_id, sizeof id);
	int64_t expires = seen.expires_wall_us;

	rig_restart(rig, NULL);
	ck_assert_uint_eq(ua_location_service.count(), 1);
	ck_assert_uint_eq(ua_location_service.each("1001", see, NULL), 1);
	ck_assert_str_eq(seen_id, id);
	ck_assert_int_eq(seen.expires_wall_us, expires);
}
END_TEST

static bool gone;
static void check_gone(void)
{
	gone = ua_location_service.count() == 0;
}

START_TEST(a_registration_ends_by_itself)
{
	rig_restart(rig, "  min_expires_s: 1\n");
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>;expires=1~", "SIP/2.0 200");
	ck_assert_uint_eq(ua_location_service.count(), 1);
	for (uint64_t end_us = core_now_us() + 30000000; !gone && core_now_us() < end_us; check_gone())
		core_loop_step();
	ck_assert(gone);
}
END_TEST

START_TEST(removing_by_id_takes_that_one)
{
	register_as("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "SIP/2.0 200");
	(void)ua_location_service.each("1001", see, NULL);
	ck_assert_int_eq(ua_location_service.remove(NULL, "01ARZ3NDEKTSV4RRFFQ69G5FAV"), PBX_ENOENT);
	ck_assert_int_eq(ua_location_service.remove(NULL, seen_id), PBX_OK);
	ck_assert_int_eq(ua_location_service.remove(NULL, seen_id), PBX_ENOENT);
	ck_assert_int_eq(ua_location_service.remove_all(NULL, "1001"), PBX_ENOENT);
}
END_TEST

START_TEST(a_retransmission_gets_the_same_answer_and_counts_once)
{
	char first[4096];

	send_register("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "");
	rig_expect(rig, "SIP/2.0 401");
	rig_challenged(rig);
	const char *proof = authorization("1001", "secret", false);
	send_register("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", proof);
	(void)snprintf(first, sizeof first, "%s", rig_expect(rig, "SIP/2.0 200"));
	cseq--;
	branch--;
	send_register("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", proof);
	ck_assert_str_eq(rig_expect(rig, "SIP/2.0"), first);
}
END_TEST

/* RFC 3261 8.2.7; the rest of it is another: a nonce is new each time. */
START_TEST(a_challenge_that_is_sent_again_has_the_same_tag)
{
	char first[64], again[64];

	send_register("1001", "c1", "", "");
	rig_expect(rig, "SIP/2.0 401");
	rig_keep_tag(rig, first, sizeof first);
	cseq--;
	branch--;
	send_register("1001", "c1", "", "");
	rig_expect(rig, "SIP/2.0 401");
	rig_keep_tag(rig, again, sizeof again);
	ck_assert_str_eq(again, first);
	send_register("1001", "c1", "", "");
	rig_expect(rig, "SIP/2.0 401");
	rig_keep_tag(rig, again, sizeof again);
	ck_assert_str_ne(again, first);
}
END_TEST

START_TEST(every_via_comes_back_in_order_and_a_long_name_in_whole)
{
	char name[4000];

	memset(name, 'n', sizeof name);
	rig_send(rig,
		 "REGISTER sip:pbx.local SIP/2.0~v: SIP/2.0/UDP 127.0.0.1:{P};rport;branch=z9hG4bK-a, SIP/2.0/TCP "
		 "192.0.2.1;branch=z9hG4bK-b~"
		 "Via: SIP/2.0/TLS 192.0.2.2:5071;branch=z9hG4bK-c~f: \"%.*s\" <sip:1001@pbx.local>;tag=f~t: sip:1001@pbx.local~i: long~"
		 "CSeq: 7 REGISTER~l: 0~~",
		 (int)sizeof name, name);
	const char *reply = rig_expect(rig, "SIP/2.0 401");
	const char *a = strstr(reply, "branch=z9hG4bK-a"), *b = strstr(reply, "192.0.2.1;branch=z9hG4bK-b");
	const char *c = strstr(reply, "192.0.2.2:5071;branch=z9hG4bK-c"), *from = strstr(reply, "From: \"nnn");

	ck_assert(a && b && c && from && a < b && b < c);
	ck_assert_uint_eq(strspn(from + strlen("From: \""), "n"), sizeof name);
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "To"), "sip:1001@pbx.local"));
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "To"), ";tag="));
	ck_assert_ptr_nonnull(strstr(reply, ";rport="));
	ck_assert_ptr_nonnull(strstr(reply, "Content-Length: 0\r\n\r\n"));
}
END_TEST

START_TEST(a_peer_must_prove_itself_to_register)
{
	rig_restart(rig, "  peers: [127.0.0.0/8]\n");
	send_register("1001", "c1", "Contact: <sip:a@127.0.0.1:{P}>~", "");
	rig_expect(rig, "SIP/2.0 401");
}
END_TEST

START_TEST(a_flood_is_dropped)
{
	unsigned answers = 0;

	rig_restart(rig, "  flood_rate: 1\n  flood_burst: 3\n");
	for (unsigned i = 0; i < 20; i++)
		send_register("1001", "c1", "", "");
	for (unsigned i = 0; i < 200; i++) {
		core_loop_step();
		answers += recv(rig->phone, rig->last, sizeof rig->last, 0) > 0;
	}
	ck_assert_uint_ge(answers, 3);
	ck_assert_uint_le(answers, 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registrar");
	TCase *cases = tcase_create("registrar");

	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, a_phone_is_challenged_with_sha256_first_and_md5_second);
	tcase_add_test(cases, both_algorithms_are_accepted);
	tcase_add_test(cases, wrong_password_and_unknown_user_look_alike);
	tcase_add_test(cases, five_wrong_passwords_forbid_even_the_right_one);
	tcase_add_test(cases, a_recorded_request_cannot_be_played_again);
	tcase_add_test(cases, an_account_cannot_register_another);
	tcase_add_test(cases, a_nonce_serves_several_requests_with_rising_count);
	tcase_add_test(cases, too_short_is_refused_with_the_least_that_is_allowed);
	tcase_add_test(cases, too_long_is_shortened);
	tcase_add_test(cases, addresses_come_back_byte_for_byte);
	tcase_add_test(cases, the_contacts_parameter_wins_over_the_header);
	tcase_add_test(cases, several_phones_are_listed_best_first);
	tcase_add_test(cases, the_oldest_phone_makes_room);
	tcase_add_test(cases, expires_zero_takes_one_away_and_star_takes_all);
	tcase_add_test(cases, star_without_expires_zero_is_malformed);
	tcase_add_test(cases, a_query_changes_nothing);
	tcase_add_test(cases, one_bad_contact_refuses_the_whole);
	tcase_add_test(cases, an_overtaken_request_does_not_undo_a_newer_one);
	tcase_add_test(cases, an_instance_replaces_its_old_address);
	tcase_add_test(cases, the_packets_source_and_path_are_remembered);
	tcase_add_test(cases, a_restart_needs_no_register);
	tcase_add_test(cases, a_registration_ends_by_itself);
	tcase_add_test(cases, removing_by_id_takes_that_one);
	tcase_add_test(cases, a_retransmission_gets_the_same_answer_and_counts_once);
	tcase_add_test(cases, a_challenge_that_is_sent_again_has_the_same_tag);
	tcase_add_test(cases, every_via_comes_back_in_order_and_a_long_name_in_whole);
	tcase_add_test(cases, a_peer_must_prove_itself_to_register);
	tcase_add_test(cases, a_flood_is_dropped);
	suite_add_tcase(suite, cases);

	return check_run(suite);
}
