/* test_identity - who calls: what is believed, what is shown, and what of a caller's INVITE goes on */
#include "../check_main.h"
#include "rig.h"
#include "contact.h"
#include "dialog.h"
#include "identity.h"
#include "json.h"
#include "loop.h"
#include "passing.h"
#include <stdlib.h>
#include <string.h>

#define ASSERTS "P-Asserted-Identity: \"Grace\" <sip:5550100@carrier.test>~"

static struct rig *rig;
static void *dialog;
static char account[64], number[64], name[128], asserted[64], asserted_name[128], referred_by[64], headers[1024], fields[1024], target[64];
static bool withheld;
static unsigned calls;

static int on_incoming(void *object, const struct core_incoming *incoming)
{
	dialog = object;
	withheld = incoming->withheld;
	(void)snprintf(account, sizeof account, "%s", incoming->account);
	(void)snprintf(number, sizeof number, "%s", incoming->from_number);
	(void)snprintf(name, sizeof name, "%s", incoming->from_name);
	(void)snprintf(asserted, sizeof asserted, "%s", incoming->asserted_number);
	(void)snprintf(asserted_name, sizeof asserted_name, "%s", incoming->asserted_name);
	(void)snprintf(referred_by, sizeof referred_by, "%s", incoming->referred_by);
	(void)snprintf(headers, sizeof headers, "%s", incoming->headers ? incoming->headers : "");
	char *printed = incoming->fields ? core_json_print(incoming->fields) : NULL;
	(void)snprintf(fields, sizeof fields, "%s", printed ? printed : "");
	core_json_free_text(printed);
	return PBX_OK;
}

static int on_transfer(const char *to, pbx_leg replaces)
{
	(void)replaces;
	(void)snprintf(target, sizeof target, "%s", to);
	return PBX_OK;
}

static void begin(const char *yaml)
{
	if (rig)
		rig_restart(rig, yaml);
	else
		rig = rig_start(yaml);
	rig_core = (struct rig_core){ .incoming = on_incoming, .transfer = on_transfer };
	dialog = NULL;
}

static void teardown(void)
{
	if (dialog)
		ua_leg_driver.release(dialog);
	rig_stop(rig);
	rig = NULL;
}

static void let_go(void)
{
	ua_leg_driver.hangup(dialog, PBX_CAUSE_NORMAL);
	ua_leg_driver.release(dialog);
	dialog = NULL;
	rig_expect(rig, "SIP/2.0 ");
	rig_send(rig,
		 "ACK sip:100@127.0.0.1:{S} SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-n%u;rport~Max-Forwards: 70~From: %s~To: "
		 "%s~"
		 "Call-ID: call-%u~CSeq: 1 ACK~Content-Length: 0~~",
		 calls, "<sip:x@y>;tag=a", rig_header(rig, "To"), calls);
}

static void send_invite(const char *from, const char *more)
{
	calls++;
	rig_send(rig,
		 "INVITE sip:100@127.0.0.1:{S} SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-n%u;rport~Max-Forwards: 70~From: "
		 "%s;tag=a~"
		 "To: <sip:100@pbx.local>~Call-ID: call-%u~CSeq: 1 INVITE~Contact: <sip:alice@127.0.0.1:{P}>~%s"
		 "Content-Type: application/sdp~Content-Length: %u~~%s",
		 calls, from, calls, more, rig_length(RIG_SDP), RIG_SDP);
}

/* Without credentials: its address is a peer's. */
static void peer_calls(const char *from, const char *more)
{
	send_invite(from, more);
	rig_expect(rig, "SIP/2.0 100");
}

static const char *phone_asks(const char *user, const char *from, const char *more)
{
	char all[4096];

	send_invite(from, "");
	rig_expect(rig, "SIP/2.0 407");
	rig_challenged(rig);
	(void)snprintf(all, sizeof all, "%s%s",
		       rig_authorize(rig, "Proxy-Authorization", user, "secret", "INVITE", "sip:100@127.0.0.1", true), more);
	send_invite(from, all);
	return rig_expect(rig, "SIP/2.0 ");
}

static void phone_calls(const char *user, const char *from, const char *more)
{
	const char *answer = phone_asks(user, from, more);

	ck_assert_msg(strncmp(answer, "SIP/2.0 100", 11) == 0, "%.40s", answer);
}

/* ---- what is believed ----------------------------------------------------------------- */

START_TEST(only_who_is_trusted_says_for_whom_it_calls)
{
	begin("  peers: [127.0.0.1]\n");
	peer_calls("\"Mallory\" <sip:911@carrier.test>", ASSERTS);
	ck_assert_str_eq(number, "911");
	ck_assert_str_eq(name, "Mallory");
	let_go();
	begin("  peers: [127.0.0.1]\n  trusted: [127.0.0.0/8]\n");
	peer_calls("<sip:911@carrier.test>", ASSERTS "Referred-By: <sip:5550177@carrier.test>~");
	ck_assert_str_eq(number, "5550100");
	ck_assert_str_eq(name, "Grace");
	ck_assert_str_eq(referred_by, "5550177");
	let_go();
	peer_calls("<sip:911@carrier.test>", "Remote-Party-ID: \"Old\" <sip:5550199@carrier.test>;party=calling~");
	ck_assert_str_eq(number, "5550199");
}
END_TEST

START_TEST(a_phone_is_called_as_its_account_is_whatever_it_says)
{
	begin(NULL);
	phone_calls("1006", "<sip:1006@pbx.local>", "");
	ck_assert_str_eq(name, "Phone \"Six\"");
	let_go();
	phone_calls("1006", "\"The Director\" <sip:1006@pbx.local>", "");
	ck_assert_str_eq(name, "Phone \"Six\"");
	let_go();
	phone_calls("1006", "\"The Director\" <sip:1006@pbx.local>", "Privacy: id~"); /* who may know it is told truly */
	ck_assert_str_eq(number, "");
	ck_assert_str_eq(name, "Anonymous");
	ck_assert_str_eq(asserted_name, "Phone \"Six\"");
	let_go();
	phone_calls("1006", "\"Anonymous\" <sip:anonymous@anonymous.invalid>", "");
	ck_assert_str_eq(asserted, "1006");
	ck_assert_str_eq(asserted_name, "Phone \"Six\"");
	let_go();
	phone_calls("1005", "\"Ada\" <sip:1005@pbx.local>", ""); /* its account has no name: then as it says */
	ck_assert_str_eq(name, "Ada");
	let_go();
	phone_calls("1008", "<sip:8000@pbx.local>", ASSERTS); /* a trusted one calls for others */
	ck_assert_str_eq(name, "Grace");
}
END_TEST

START_TEST(a_phone_is_its_account_and_nobody_else)
{
	begin(NULL);
	ck_assert_int_eq(strncmp(phone_asks("1001", "<sip:1002@pbx.local>", ""), "SIP/2.0 403", 11), 0);
	ck_assert_int_eq(strncmp(phone_asks("1001", "<sip:1001@pbx.local>", ASSERTS), "SIP/2.0 403", 11), 0);
	phone_calls("1001", "<sip:1001@pbx.local>",
		    "P-Preferred-Identity: <sip:911@pbx.local>~Remote-Party-ID: <sip:911@pbx.local>~Referred-By: <sip:911@x>~");
	ck_assert_str_eq(number, "1001");
	ck_assert_str_eq(referred_by, "");
	let_go();
	phone_calls("1007", "<sip:1007@pbx.local>", "P-Asserted-Identity: <sip:5551007@pbx.local>~");
	ck_assert_str_eq(number, "1007");
	let_go();
	phone_calls("1008", "<sip:8000@pbx.local>", ASSERTS);
	ck_assert_str_eq(account, "1008");
	ck_assert_str_eq(number, "5550100");
}
END_TEST

START_TEST(who_does_not_want_to_be_shown_is_not)
{
	static const char *const wishes[] = { "Privacy: id~", "Privacy: user;critical~",
					      "Remote-Party-ID: <sip:1001@pbx.local>;privacy=full~" };

	begin(NULL);
	for (size_t i = 0; i < 3; i++) {
		phone_calls("1001", "\"Ada\" <sip:1001@pbx.local>", wishes[i]);
		ck_assert(withheld);
		ck_assert_str_eq(number, "");
		ck_assert_str_eq(name, "Anonymous");
		ck_assert_str_eq(asserted, "1001");
		ck_assert_str_eq(asserted_name, "Ada");
		let_go();
	}
	phone_calls("1001", "\"Anonymous\" <sip:anonymous@anonymous.invalid>", "");
	ck_assert(withheld);
	ck_assert_str_eq(account, "1001");
	ck_assert_str_eq(asserted, "1001");
	let_go();
	phone_calls("1001", "<sip:1001@pbx.local>", "Privacy: none~");
	ck_assert(!withheld);
}
END_TEST

START_TEST(nobody_knows_who_an_anonymous_stranger_is)
{
	begin("  peers: [127.0.0.1]\n");
	peer_calls("<sip:anonymous@anonymous.invalid>", ASSERTS);
	ck_assert(withheld);
	ck_assert_str_eq(asserted, "");
	let_go();
	begin("  peers: [127.0.0.1]\n  trusted: [127.0.0.1]\n");
	peer_calls("<sip:anonymous@anonymous.invalid>", ASSERTS "Privacy: id~");
	ck_assert(withheld);
	ck_assert_str_eq(asserted, "5550100");
	ck_assert_str_eq(number, "");
}
END_TEST

/* ---- what is shown -------------------------------------------------------------------- */

static const char *our_invite(const char *to_account, uint32_t flags, const char *more)
{
	const struct core_media_desc offer = rig_media(CORE_SEND | CORE_RECV);
	char received[32], uri[64];
	const struct core_invite invite = { .target = uri,
					    .received = received,
					    .transport = "udp",
					    .path = "",
					    .account = to_account,
					    .from_number = flags & PBX_TARGET_WITHHELD ? "" : "1001",
					    .from_name = flags & PBX_TARGET_WITHHELD ? "" : "Ada",
					    .asserted_number = "1001",
					    .asserted_name = "Ada",
					    .referred_by = "1003",
					    .headers = more,
					    .call_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
					    .offer = &offer,
					    .flags = flags };

	(void)snprintf(received, sizeof received, "127.0.0.1:%u", rig->phone_port);
	(void)snprintf(uri, sizeof uri, "sip:bob@127.0.0.1:%u", rig->phone_port);
	ck_assert_int_eq(ua_leg_driver.invite((pbx_leg){ 7 }, &invite, &dialog), PBX_OK);
	return rig_expect(rig, "INVITE sip:bob@");
}

static void refuse_it(void)
{
	rig_reply(rig, 486, "b", "", "");
	rig_expect(rig, "ACK ");
	ua_leg_driver.release(dialog);
	dialog = NULL;
}

START_TEST(a_phone_is_not_told_who_withholds_the_number_and_a_trusted_one_is)
{
	begin(NULL);
	const char *invite = our_invite("1002", PBX_TARGET_WITHHELD, "");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "From"), "\"Anonymous\" <sip:anonymous@anonymous.invalid>"));
	ck_assert_str_eq(rig_header(rig, "Privacy"), "id");
	ck_assert_ptr_null(strstr(invite, "sip:1001"));
	ck_assert_ptr_null(strstr(invite, "Ada\""));
	refuse_it();
	(void)our_invite("1008", PBX_TARGET_WITHHELD, "");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "From"), "anonymous.invalid"));
	ck_assert_str_eq(rig_header(rig, "P-Asserted-Identity"), "\"Ada\" <sip:1001@pbx.local>");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Remote-Party-ID"), "privacy=full"));
	ck_assert_str_eq(rig_header(rig, "Privacy"), "id");
	refuse_it();
}
END_TEST

START_TEST(which_headers_tell_of_the_caller_is_a_setting)
{
	begin("  send_p_asserted_identity: no\n");
	(void)our_invite("1002", 0, "");
	ck_assert_str_eq(rig_header(rig, "P-Asserted-Identity"), "");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Remote-Party-ID"), "\"Ada\" <sip:1001@pbx.local>"));
	refuse_it();
	begin("  send_remote_party_id: no\n");
	(void)our_invite("1002", 0, "");
	ck_assert_str_eq(rig_header(rig, "Remote-Party-ID"), "");
	ck_assert_str_eq(rig_header(rig, "P-Asserted-Identity"), "\"Ada\" <sip:1001@pbx.local>");
	refuse_it();
}
END_TEST

START_TEST(who_is_sent_on_says_by_whom)
{
	begin(NULL);
	(void)our_invite("1002", 0, "");
	ck_assert_str_eq(rig_header(rig, "Referred-By"), "<sip:1003@pbx.local>");
	refuse_it();
}
END_TEST

/* ---- what goes on --------------------------------------------------------------------- */

START_TEST(only_listed_headers_go_on)
{
	begin("  pass_headers: [alert-info, Subject, X-Case]\n");
	phone_calls("1001", "<sip:1001@pbx.local>",
		    "Alert-Info: <urn:alert:service:normal>~s: hello~X-Case: 7~X-Other: 8~User-to-User: 56a3~Call-Info: <http://evil/>~");
	ck_assert_str_eq(headers, "Alert-Info: <urn:alert:service:normal>\nSubject: hello\nX-Case: 7\n");
	let_go();
	const char *invite = our_invite("1002", 0, headers);
	ck_assert_ptr_nonnull(strstr(invite, "X-Case: 7\r\n"));
	ck_assert_ptr_nonnull(strstr(invite, "<urn:alert:service:normal>"));
	refuse_it();
	begin("  peers: [127.0.0.1]\n  pass_headers: [X-Case]\n");
	peer_calls("<sip:911@carrier.test>", "X-Case: 7~");
	ck_assert_str_eq(headers, "");
}
END_TEST

START_TEST(headers_of_who_is_trusted_are_noted_for_the_record)
{
	begin("  peers: [127.0.0.1]\n  trusted: [127.0.0.1]\n  field_headers: [x-case=case, Subject, P-Charge-Info=account_code]\n");
	peer_calls("<sip:911@carrier.test>", "X-Case: 7~X-Case: 8~s: hello there~X-Other: 9~P-Charge-Info: <sip:K-17@carrier.test>~");
	ck_assert_str_eq(fields, "{\"case\":\"7\",\"Subject\":\"hello there\",\"account_code\":\"<sip:K-17@carrier.test>\"}");
	let_go();
	begin("  peers: [127.0.0.1]\n  field_headers: [X-Case=case]\n");
	peer_calls("<sip:911@carrier.test>", "X-Case: 7~"); /* believed in nothing */
	ck_assert_str_eq(fields, "");
	let_go();
	begin("  field_headers: [X-Case=case]\n");
	phone_calls("1001", "<sip:1001@pbx.local>", "X-Case: 7~");
	ck_assert_str_eq(fields, "");
}
END_TEST

START_TEST(a_header_is_noted_under_a_name_that_a_field_may_have)
{
	static const char *const wrong[] = { "X-Case=", "X-Case=two words", "=case", "X Case=case", "X-Case=1st", "X!" };
	static const char *const good[] = { "X-Case", "X-Case=case", "User-Agent=phone" };
	struct pbx_diag diag = { "", "" };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_msg(ua_passing_check_fields(&(struct pbx_list){ .items = &wrong[i], .count = 1 }, &diag) == PBX_EINVAL, "%s",
			      wrong[i]);
	ck_assert_int_eq(ua_passing_check_fields(&(struct pbx_list){ .items = good, .count = 3 }, &diag), PBX_OK);
}
END_TEST

START_TEST(phones_are_told_which_device_calls)
{
	static const struct {
		const char *header, *told;
	} cases[] = {
		{ "X-MAC-Address: 00-15-65-AB-CD-EF~", "X-MAC-Address: 00:15:65:ab:cd:ef\n" },
		{ "X-MAC-Address: 001565abcdef~", "X-MAC-Address: 00:15:65:ab:cd:ef\n" },
		{ "X-MAC-Address: 001565abcde~", "" },
		{ "X-MAC-Address: 001565abcdef01~", "" },
		{ "", "" },
	};

	begin(NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		phone_calls("1001", "<sip:1001@pbx.local>", cases[i].header);
		ck_assert_str_eq(headers, cases[i].told);
		let_go();
	}
	begin("  accept_mac_in_invite: no\n");
	phone_calls("1001", "<sip:1001@pbx.local>", cases[0].header);
	ck_assert_str_eq(headers, "");
}
END_TEST

static void register_device(const char *agent, const char *contact)
{
	static unsigned count;
	const char *authorization = "";

	for (int round = 0; round < 2; round++) {
		count++;
		rig_send(rig,
			 "REGISTER sip:pbx.local SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-r%u;rport~Max-Forwards: 70~From: "
			 "<sip:1001@pbx.local>;tag=r~To: <sip:1001@pbx.local>~Call-ID: reg-%u~CSeq: 1 REGISTER~User-Agent: %s~Contact: %s~"
			 "Expires: 300~%sContent-Length: 0~~",
			 count, count, agent, contact, authorization);
		rig_expect(rig, round ? "SIP/2.0 200" : "SIP/2.0 401");
		if (round == 0) {
			rig_challenged(rig);
			authorization = rig_authorize(rig, "Authorization", "1001", "secret", "REGISTER", "sip:pbx.local", true);
		}
	}
}

START_TEST(a_device_is_known_by_its_registration)
{
	static const char *const devices[][2] = {
		{ "Phone 1.0", "<sip:1001@127.0.0.1:{P};mac=001565ABCDEF>" },
		{ "Phone 1.0", "<sip:1001@127.0.0.1:{P};a=1>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-001565ABCDEF>\"" },
		{ "Yealink SIP-T46S 66.85.0.5 00:15:65:ab:cd:ef", "<sip:1001@127.0.0.1:{P};a=2>" },
	};

	begin(NULL);
	for (size_t i = 0; i < 3; i++) {
		register_device(devices[i][0], devices[i][1]);
		phone_calls("1001", "<sip:1001@pbx.local>", "");
		ck_assert_str_eq(headers, "X-MAC-Address: 00:15:65:ab:cd:ef\n");
		let_go();
	}
	register_device("Soft 2", "<sip:1001@127.0.0.1:{P};a=3>;+sip.instance=\"<urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6>\"");
	phone_calls("1001", "<sip:1001@pbx.local>", "");
	ck_assert_str_eq(headers, ""); /* made at random: nobody's address */
}
END_TEST

/* ---- who may transfer, and where to --------------------------------------------------- */

static const char *refer(const char *yaml, const char *host)
{
	char to[256];

	begin(yaml);
	if (yaml && strstr(yaml, "peers"))
		peer_calls("<sip:1001@pbx.local>", "");
	else
		phone_calls("1001", "<sip:1001@pbx.local>", "");
	const struct core_media_desc answer = rig_media(CORE_SEND | CORE_RECV);

	ck_assert_int_eq(ua_leg_driver.answer(dialog, &answer), PBX_OK);
	rig_expect(rig, "SIP/2.0 200");
	(void)snprintf(to, sizeof to, "%s", rig_header(rig, "To"));
	for (unsigned cseq = 1; cseq <= 2; cseq++) {
		const char *method = cseq == 1 ? "ACK" : "REFER";

		rig_send(rig,
			 "%s sip:127.0.0.1:{S} SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-t%u-%u;rport~Max-Forwards: 70~From: "
			 "<sip:1001@pbx.local>;tag=a~To: %s~Call-ID: call-%u~CSeq: %u %s~Contact: <sip:alice@127.0.0.1:{P}>~"
			 "Refer-To: <sip:1003@%s>~Content-Length: 0~~",
			 method, calls, cseq, to, calls, cseq, method, host);
	}
	const char *status = rig_expect(rig, "SIP/2.0 ") + 8;
	ua_leg_driver.release(dialog);
	dialog = NULL;
	return status;
}

START_TEST(other_systems_transfer_as_far_as_they_may)
{
	ck_assert_int_eq(strncmp(refer("  peers: [127.0.0.1]\n", "pbx.local"), "403", 3), 0);
	ck_assert_int_eq(strncmp(refer("  peers: [127.0.0.1]\n  trusted: [127.0.0.1]\n", "pbx.local"), "202", 3), 0);
	ck_assert_int_eq(strncmp(refer("  peers: [127.0.0.1]\n  refer_from_outside: allow\n", "pbx.local"), "202", 3), 0);
	ck_assert_int_eq(
		strncmp(refer("  peers: [127.0.0.1]\n  trusted: [127.0.0.1]\n  refer_from_outside: refuse\n", "pbx.local"), "403", 3), 0);
}
END_TEST

START_TEST(nobody_is_sent_to_another_host)
{
	ck_assert_int_eq(strncmp(refer("  refer_elsewhere: refuse\n", "evil.test"), "403", 3), 0);
	ck_assert_int_eq(strncmp(refer("  refer_elsewhere: refuse\n", "pbx.local"), "202", 3), 0);
	ck_assert_int_eq(strncmp(refer("  refer_elsewhere: refuse\n", "127.0.0.1"), "202", 3), 0);
	target[0] = '\0';
	ck_assert_int_eq(strncmp(refer(NULL, "evil.test"), "202", 3), 0);
	ck_assert_str_eq(target, "1003");
}
END_TEST

/* ---- other systems -------------------------------------------------------------------- */

START_TEST(other_systems_learn_as_much_as_they_are_trusted_with)
{
	struct pbx_sip_peer peer = {
		.host = "carrier.test", .from_domain = "", .from_user = "", .user = "line", .show = PBX_SIP_SHOW_PAI | PBX_SIP_SHOW_RPID
	};
	const struct core_invite invite = { .from_number = "",
					    .from_name = "",
					    .asserted_number = "5551001",
					    .asserted_name = "Ada",
					    .flags = PBX_TARGET_WITHHELD,
					    .headers = "X-Case: 7\nX-MAC-Address: 00:15:65:ab:cd:ef\n" };
	char from[256], lines[1024];

	ua_identity_for_peer(&peer, &invite, from, sizeof from, lines, sizeof lines);
	ck_assert_str_eq(from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
	ck_assert_str_eq(lines, "Privacy: id\n");
	peer.flags = PBX_SIP_TRUSTED;
	ua_identity_for_peer(&peer, &invite, from, sizeof from, lines, sizeof lines);
	ck_assert_str_eq(from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
	ck_assert_str_eq(lines, "P-Asserted-Identity: \"Ada\" <sip:5551001@carrier.test>\n"
				"Remote-Party-ID: \"Ada\" <sip:5551001@carrier.test>;party=calling;screen=yes;privacy=full\n"
				"Privacy: id\nX-Case: 7\n");
}
END_TEST

START_TEST(what_is_ours_to_write_cannot_be_passed_on)
{
	static const char *const names[][2] = { { "From", NULL }, { "X MAC", NULL }, { "v", NULL }, { "x-mac-address", NULL } };
	static const char *const good[] = { "Alert-Info", "User-to-User" };
	struct pbx_diag diag = { "", "" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		ck_assert_int_eq(ua_passing_check(&(struct pbx_list){ .items = names[i], .count = 1 }, &diag), PBX_EINVAL);
	ck_assert_int_eq(ua_passing_check(&(struct pbx_list){ .items = good, .count = 2 }, &diag), PBX_OK);
}
END_TEST

/* ---- parameters ----------------------------------------------------------------------- */

/* Each text in memory of its own, so that whoever reads on behind it is caught. */
static const char *param(const char *params, const char *wanted)
{
	static char value[16];
	char *text = strdup(params);
	bool found = ua_param(text, ";&", wanted, value, sizeof value);

	free(text);
	return found ? value : NULL;
}

START_TEST(a_parameter_is_found_by_its_whole_name)
{
	ck_assert_str_eq(param("a=1;line=2;b", "line"), "2");
	ck_assert_str_eq(param("Line=%41%42", "line"), "AB");
	ck_assert_str_eq(param("a&b", "b"), "");
	ck_assert_str_eq(param("line=12345678901234567890", "line"), "");
	ck_assert_str_eq(param("line=%0d%0aX: 1", "line"), "");
	ck_assert_ptr_null(param("linex", "line"));
	ck_assert_ptr_null(param("linex=1;lin=2", "line"));
	ck_assert_ptr_null(param(";;", "line"));
	ck_assert_ptr_null(param("", "line"));
	ck_assert(!ua_param(NULL, ";", "line", NULL, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("identity");
	TCase *cases = tcase_create("identity");

	tcase_add_checked_fixture(cases, NULL, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, only_who_is_trusted_says_for_whom_it_calls);
	tcase_add_test(cases, a_phone_is_called_as_its_account_is_whatever_it_says);
	tcase_add_test(cases, a_phone_is_its_account_and_nobody_else);
	tcase_add_test(cases, who_does_not_want_to_be_shown_is_not);
	tcase_add_test(cases, nobody_knows_who_an_anonymous_stranger_is);
	tcase_add_test(cases, a_phone_is_not_told_who_withholds_the_number_and_a_trusted_one_is);
	tcase_add_test(cases, which_headers_tell_of_the_caller_is_a_setting);
	tcase_add_test(cases, who_is_sent_on_says_by_whom);
	tcase_add_test(cases, only_listed_headers_go_on);
	tcase_add_test(cases, headers_of_who_is_trusted_are_noted_for_the_record);
	tcase_add_test(cases, phones_are_told_which_device_calls);
	tcase_add_test(cases, a_device_is_known_by_its_registration);
	tcase_add_test(cases, other_systems_transfer_as_far_as_they_may);
	tcase_add_test(cases, nobody_is_sent_to_another_host);
	suite_add_tcase(suite, cases);
	cases = tcase_create("without a phone");
	tcase_add_test(cases, a_parameter_is_found_by_its_whole_name);
	tcase_add_test(cases, other_systems_learn_as_much_as_they_are_trusted_with);
	tcase_add_test(cases, what_is_ours_to_write_cannot_be_passed_on);
	tcase_add_test(cases, a_header_is_noted_under_a_name_that_a_field_may_have);
	suite_add_tcase(suite, cases);

	return check_run(suite);
}
