/* plugins/extensions/test_extensions.c - accounts as administrators and users change them, and the calls that go where they say */
#include "../../tests/check_main.h"
#include "fake.h"
#include "request.h"
#include <pbx/directory.h>
#include <string.h>

static const char *create(struct fake_pbx *pbx, const char *number, const char *more)
{
	char body[512];

	(void)snprintf(body, sizeof body, "{\"number\": \"%s\"%s%s}", number, more[0] ? ", " : "", more);
	return fake_http(pbx, "POST", "/extensions", body);
}

static void change(struct fake_pbx *pbx, const char *number, const char *body)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/extensions/%s", number);
	const char *answer = fake_http(pbx, "PATCH", path, body);
	ck_assert_msg(fake_status(pbx) == 200, "%s", answer);
}

static void forward(struct fake_pbx *pbx, const char *number, const char *body)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/extensions/%s/forwarding", number);
	const char *answer = fake_http(pbx, "PUT", path, body);
	ck_assert_msg(fake_status(pbx) == 200, "%s", answer);
}

static const char *shown(struct fake_pbx *pbx, const char *number, const char *path)
{
	char line[64];

	(void)snprintf(line, sizeof line, "extension show %s", number);
	return fake_json(pbx, fake_command(pbx, line), path);
}

/* 1001, 1002, 1003, each with a phone; the phones' own accounts of the fake stand behind ours. */
static struct fake_pbx *house(const char *yaml)
{
	static const char *const numbers[] = { "1001", "1002", "1003" };
	struct fake_pbx *pbx = fake_pbx_with_settings("extensions", yaml);

	for (size_t i = 0; i < 3; i++) {
		const char *answer = create(pbx, numbers[i], "");

		ck_assert_msg(fake_status(pbx) == 201, "%s", answer);
		fake_registered(pbx, numbers[i]);
	}
	return pbx;
}

static bool refused(struct fake_pbx *pbx, const char *number, const char *more, uint32_t status, const char *field)
{
	const char *answer = create(pbx, number, more);
	char pointer[64];

	(void)snprintf(pointer, sizeof pointer, "/%s", field);
	const char *said = fake_json(pbx, answer, "errors.0.pointer");
	bool as_expected = fake_status(pbx) == status && said && !strcmp(said, pointer);
	if (!as_expected)
		(void)fprintf(stderr, "%s %s: %u %s\n", number, more, fake_status(pbx), answer);
	return as_expected;
}

/* ---- accounts ------------------------------------------------------------------------------- */

START_TEST(an_extension_is_made_shown_changed_and_removed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("extensions");
	const char *made = create(pbx, "1001", "\"name\": \"Alice\", \"email\": \"alice@example.org\"");

	ck_assert_msg(fake_status(pbx) == 201, "%s", made);
	ck_assert_uint_eq(strlen(fake_json(pbx, made, "sip_secret")), 20);
	ck_assert_str_eq(fake_json(pbx, made, "allow_external"), "true");
	ck_assert_ptr_null(fake_json(pbx, fake_http(pbx, "GET", "/extensions/1001", NULL), "sip_secret")); /* shown once */
	change(pbx, "1001", "{\"name\": \"Alice B.\"}");
	ck_assert_str_eq(shown(pbx, "1001", "name"), "Alice B.");
	ck_assert_str_eq(shown(pbx, "1001", "email"), "alice@example.org"); /* what is left out stays */
	fake_restart(pbx);
	ck_assert_str_eq(shown(pbx, "1001", "name"), "Alice B.");

	(void)fake_http(pbx, "DELETE", "/extensions/1001", NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	(void)fake_http(pbx, "GET", "/extensions/1001", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	ck_assert_uint_eq(fake_event_count(pbx, "extension.removed"), 1);
	(void)create(pbx, "1001", "");
	ck_assert_uint_eq(fake_status(pbx), 201); /* its number is free again */
}
END_TEST

START_TEST(what_cannot_be_is_refused_and_the_field_is_named)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("extensions");

	ck_assert(refused(pbx, "1", "", 400, "number"));
	ck_assert(refused(pbx, "10a1", "", 400, "number"));
	ck_assert(refused(pbx, "12345678901", "", 400, "number"));
	ck_assert(refused(pbx, "1001", "\"email\": \"alice\"", 400, "email"));
	ck_assert(refused(pbx, "1001", "\"password\": \"short\"", 400, "password"));
	ck_assert(refused(pbx, "1001", "\"sip_secret\": \"short\"", 400, "sip_secret"));
	ck_assert(refused(pbx, "1001", "\"voicemail_pin\": \"12a4\"", 400, "voicemail_pin"));
	ck_assert(refused(pbx, "1001", "\"voicemail_pin\": \"1234\"", 400, "voicemail_pin"));
	ck_assert(refused(pbx, "1001", "\"voicemail_pin\": \"1001\"", 400, "voicemail_pin"));
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "extension list"), "items"), "[]");
	ck_assert_uint_eq(fake_event_count(pbx, "extension.created"), 0);
}
END_TEST

START_TEST(a_number_that_exists_or_belongs_to_a_feature_is_a_conflict)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("extensions,call_parking");

	ck_assert(refused(pbx, "70", "", 409, "number"));
	(void)create(pbx, "1001", "");
	ck_assert_uint_eq(fake_status(pbx), 201);
	ck_assert(refused(pbx, "1001", "", 409, "number"));
}
END_TEST

START_TEST(secrets_are_kept_and_checked_but_never_shown)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("extensions");

	(void)create(pbx, "1001",
		     "\"password\": \"correct horse battery\", \"voicemail_pin\": \"4711\", \"sip_secret\": \"a-secret-of-mine\"");
	ck_assert_uint_eq(fake_status(pbx), 201);
	const char *account = fake_http(pbx, "GET", "/extensions/1001", NULL);
	ck_assert_str_eq(fake_json(pbx, account, "has_password"), "true");
	ck_assert_str_eq(fake_json(pbx, account, "has_voicemail_pin"), "true");
	ck_assert_ptr_null(strstr(account, "horse"));
	ck_assert_ptr_null(strstr(account, "a-secret"));
	ck_assert_uint_eq(fake_log_count(pbx, "horse"), 0);
	ck_assert_uint_eq(fake_log_count(pbx, "a-secret"), 0);

	const char *renewed = fake_http(pbx, "POST", "/extensions/1001:secret", NULL);
	ck_assert_msg(fake_status(pbx) == 200, "%s", renewed);
	ck_assert_uint_eq(strlen(fake_json(pbx, renewed, "sip_secret")), 20);
}
END_TEST

static void on_unread(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	(void)content_type, (void)location, (void)body, (void)size;
	*(uint32_t *)context = status;
}

/* Asks, and does not wait for the answer. */
static void begin(const char *method, const char *path, const char *body, uint32_t *ret_status)
{
	static const char *const names[] = { "Content-Type" }, *const values[] = { "application/json" };
	static const struct core_answer_sink sink = { .answer = on_unread };
	const struct core_asker admin = {
		.actor = "admin", .own_account = "", .scopes = "*", .address = "192.0.2.7", .request_id = "first"
	};
	const struct core_http_request http = { .method = method,
						.path = path,
						.query = "",
						.header_names = names,
						.header_values = values,
						.header_count = 1,
						.body = body,
						.body_size = strlen(body) };
	pbx_request request;

	*ret_status = 0;
	core_request_http(&admin, &http, &sink, ret_status, &request);
	ck_assert_uint_eq(*ret_status, 0); /* still at it */
}

/* A password takes its time to be hashed; what a user dials meanwhile must not be undone by it. */
START_TEST(two_changes_at_once_both_hold)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	uint32_t status;

	begin("PATCH", "/extensions/1001", "{\"name\": \"Alice\", \"password\": \"correct horse battery\"}", &status);
	forward(pbx, "1001", "{\"busy\": \"1003\", \"dnd\": true}");
	fake_settle(pbx);
	ck_assert_uint_eq(status, 200);
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.busy"), "1003");
	ck_assert_str_eq(shown(pbx, "1001", "dnd"), "true");
	ck_assert_str_eq(shown(pbx, "1001", "name"), "Alice");
	ck_assert_str_eq(shown(pbx, "1001", "has_password"), "true");
}
END_TEST

START_TEST(a_change_during_an_import_holds)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	uint32_t status;

	begin("POST", "/extensions:import", "number,name\n1001,Alice\n", &status);
	forward(pbx, "1001", "{\"busy\": \"1003\"}");
	ck_assert_uint_eq(status, 200);
	fake_restart(pbx);
	ck_assert_str_eq(shown(pbx, "1001", "name"), "Alice");
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.busy"), "1003");
}
END_TEST

START_TEST(a_user_sees_and_forwards_only_themselves)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const char *list = fake_http_as(pbx, "1001", "extensions:read extensions:forward", "1001", "GET", "/extensions", NULL);

	ck_assert_str_eq(fake_json(pbx, list, "items.0.number"), "1001");
	ck_assert_ptr_null(fake_json(pbx, list, "items.1"));
	(void)fake_http_as(pbx, "1001", "extensions:read", "1001", "GET", "/extensions/1002", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "1001", "extensions:forward", "1001", "PUT", "/extensions/1002/forwarding", "{\"always\": \"1003\"}");
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "1001", "extensions:forward", "1001", "PUT", "/extensions/1001/forwarding", "{\"always\": \"1003\"}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	(void)fake_http_as(pbx, "1001", "extensions:read extensions:forward", "1001", "PATCH", "/extensions/1001", "{\"is_admin\": true}");
	ck_assert_uint_eq(fake_status(pbx), 403);
}
END_TEST

START_TEST(registrations_are_told_and_can_be_forgotten)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	char path[96];

	ck_assert_uint_eq(fake_event_count(pbx, "extension.registered"), 3);
	ck_assert_str_eq(shown(pbx, "1001", "registered"), "true");
	const char *id = fake_json(pbx, fake_http(pbx, "GET", "/extensions/1001/registrations", NULL), "items.0.id");
	(void)snprintf(path, sizeof path, "/extensions/1002/registrations/%s", id);
	(void)fake_http(pbx, "DELETE", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 404); /* it is not 1002's */
	(void)snprintf(path, sizeof path, "/extensions/1001/registrations/%s", id);
	(void)fake_http(pbx, "DELETE", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	ck_assert_str_eq(shown(pbx, "1001", "registered"), "false");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "extension.unregistered"), "extension"), "1001");
}
END_TEST

/* ---- calls ------------------------------------------------------------------------------------ */

START_TEST(an_extension_rings_for_as_long_as_it_says)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	change(pbx, "1002", "{\"ring_s\": 12}");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");
	fake_ring(pbx, fake_leg(pbx, "1002"));
	fake_pass_ms(pbx, 11999);
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_RINGING);
	fake_pass_ms(pbx, 1);
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_sip_code(pbx, alice), 480);
}
END_TEST

START_TEST(every_kind_of_forwarding_goes_where_it_says)
{
	static const struct {
		const char *kind, *reason;
	} kinds[] = {
		{ "always", "unconditional" },
		{ "busy", "busy" },
		{ "no_answer", "no_answer" },
		{ "offline", "offline" },
	};

	for (size_t i = 0; i < 4; i++) {
		AUTO(fake_pbx) struct fake_pbx *pbx = house("");
		char body[64];

		(void)snprintf(body, sizeof body, "{\"%s\": \"1003\"}", kinds[i].kind);
		forward(pbx, "1002", body);
		if (i == 3)
			fake_unregistered(pbx, "1002");
		pbx_leg alice = fake_dial(pbx, "1001", "1002");
		if (i == 1)
			fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
		if (i == 2) {
			fake_ring(pbx, fake_leg(pbx, "1002"));
			fake_pass_ms(pbx, 30000);
		}
		ck_assert_msg(!fake_has_leg(pbx, "1002"), "%s", kinds[i].kind);
		fake_answer(pbx, fake_leg(pbx, "1003"));
		ck_assert(fake_talk(pbx, alice, fake_leg(pbx, "1003")));
		ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.forwarded"), "reason"), kinds[i].reason);
		fake_hangup(pbx, alice);
	}
}
END_TEST

START_TEST(forwarding_in_a_circle_ends)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	forward(pbx, "1002", "{\"always\": \"1003\"}");
	forward(pbx, "1003", "{\"always\": \"1002\"}");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_event_count(pbx, "call.forwarded"), 5);
	(void)fake_http(pbx, "PUT", "/extensions/1002/forwarding", "{\"always\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 400);
}
END_TEST

START_TEST(who_does_not_want_to_be_disturbed_is_not)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	change(pbx, "1002", "{\"dnd\": true}");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");
	ck_assert(!fake_has_leg(pbx, "1002"));
	ck_assert_uint_eq(fake_sip_code(pbx, alice), 480);
	forward(pbx, "1002", "{\"no_answer\": \"1003\"}");
	alice = fake_dial(pbx, "1001", "1002");
	ck_assert(fake_has_leg(pbx, "1003"));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.forwarded"), "reason"), "dnd");
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(without_the_right_nobody_leaves_the_house)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	change(pbx, "1002", "{\"allow_external\": false}");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1002", "0301234567")), 403);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.ended"), "cause"), "not_permitted");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "0301234567")), 404); /* may, but there is no line */
	pbx_leg inside = fake_dial(pbx, "1002", "1003");
	ck_assert(fake_has_leg(pbx, "1003"));
	fake_hangup(pbx, inside);
}
END_TEST

START_TEST(each_class_reaches_as_far_as_it_says_and_premium_is_asked_for)
{
	static const char *const classes[] = { "internal", "local", "national", "international", "premium" };
	static const char *const numbers[] = { "5551234", "2125551234", "+442071234567", "9005551234" };
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	char body[64];

	for (size_t class = 0; class < 5; class ++) {
		(void)snprintf(body, sizeof body, "{\"call_class\": \"%s\"}", classes[class]);
		change(pbx, "1002", body);
		ck_assert_str_eq(shown(pbx, "1002", "call_class"), classes[class]);
		for (size_t number = 0; number < 4; number++) /* who may hears that there is no line */
			ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1002", numbers[number])), number < class ? 404 : 403);
	}
	ck_assert_str_eq(shown(pbx, "1002", "srtp"), "default");
	change(pbx, "1002", "{\"srtp\": \"required\"}");
	ck_assert_str_eq(shown(pbx, "1002", "srtp"), "required");
	ck_assert_str_eq(shown(pbx, "1002", "dtmf"), "auto");
	change(pbx, "1002", "{\"dtmf\": \"inband\"}");
	ck_assert_str_eq(shown(pbx, "1002", "dtmf"), "inband");
	ck_assert_str_eq(shown(pbx, "1002", "t38"), "auto");
	change(pbx, "1002", "{\"t38\": \"pass\"}");
	ck_assert_str_eq(shown(pbx, "1002", "t38"), "pass");
	ck_assert_str_eq(shown(pbx, "1002", "srtp"), "required");
	change(pbx, "1002", "{\"call_class\": \"default\"}");
	ck_assert_str_eq(shown(pbx, "1002", "call_class"), "international");
	change(pbx, "1002", "{\"allow_external\": false}");
	ck_assert_str_eq(shown(pbx, "1002", "call_class"), "internal");
}
END_TEST

START_TEST(who_forwards_a_call_outside_needs_the_right_to)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	forward(pbx, "1002", "{\"always\": \"2125551234\"}");
	change(pbx, "1001", "{\"call_class\": \"internal\"}");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "1002")), 404);
	change(pbx, "1001", "{\"call_class\": \"premium\"}");
	change(pbx, "1002", "{\"call_class\": \"local\"}");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "1002")), 403);
}
END_TEST

START_TEST(without_call_waiting_a_second_call_is_busy)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	change(pbx, "1002", "{\"call_waiting\": false}");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");
	ck_assert(fake_has_leg(pbx, "1002"));
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1003", "1002")), 486);
	fake_hangup(pbx, alice);
	change(pbx, "1002", "{\"call_waiting\": true}");
	ck_assert_str_eq(shown(pbx, "1002", "call_waiting"), "true");
}
END_TEST

START_TEST(beyond_its_calls_an_extension_is_busy)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	change(pbx, "1002", "{\"max_calls\": 1}");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");
	fake_answer(pbx, fake_leg(pbx, "1002"));
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1003", "1002")), 486);
	fake_hangup(pbx, alice);
	alice = fake_dial(pbx, "1003", "1002");
	ck_assert(fake_has_leg(pbx, "1002"));
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(beyond_the_calls_it_may_have_made_an_extension_makes_none)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	change(pbx, "1001", "{\"max_outgoing\": 2}");
	ck_assert_str_eq(shown(pbx, "1001", "max_outgoing"), "2");
	pbx_leg first = fake_dial(pbx, "1001", "1002"), second = fake_dial(pbx, "1001", "1003");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "1003")), 403);
	fake_hangup(pbx, first);
	first = fake_dial(pbx, "1001", "1002");
	ck_assert(fake_has_leg(pbx, "1002"));
	fake_hangup(pbx, first);
	fake_hangup(pbx, second);
}
END_TEST

/* ---- codes -------------------------------------------------------------------------------------- */

static void obeyed(struct fake_pbx *pbx, const char *who, const char *code)
{
	pbx_leg leg = fake_dial(pbx, who, code);

	ck_assert_msg(fake_hears(pbx, leg, "tone:confirm"), "%s hears %s", code, fake_hearing(pbx, leg));
	fake_finish_prompt(pbx, leg);
	ck_assert_uint_eq(fake_cause(pbx, leg), PBX_CAUSE_NORMAL);
}

START_TEST(what_is_dialled_changes_ones_own_extension)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	obeyed(pbx, "1001", "*78");
	ck_assert_str_eq(shown(pbx, "1001", "dnd"), "true");
	obeyed(pbx, "1001", "*79");
	ck_assert_str_eq(shown(pbx, "1001", "dnd"), "false");
	obeyed(pbx, "1001", "*761003");
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.always"), "1003");
	obeyed(pbx, "1001", "*77");
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.always"), "null");
	obeyed(pbx, "1001", "*901003");
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.busy"), "1003");
	obeyed(pbx, "1001", "*91");
	obeyed(pbx, "1001", "*921003");
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.no_answer"), "1003");
	obeyed(pbx, "1001", "*93");
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.busy"), "null");
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.no_answer"), "null");
	ck_assert_uint_eq(fake_event_count(pbx, "extension.changed"), 8);
	ck_assert_str_eq(shown(pbx, "1002", "dnd"), "false");
}
END_TEST

START_TEST(codes_of_no_account_or_no_sense_are_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial_from_outside(pbx, "0301234567", "*78")), 403);
	pbx_leg itself = fake_dial(pbx, "1001", "*761001"); /* forwarded to oneself */
	ck_assert_uint_eq(fake_state(pbx, itself), PBX_LEG_ENDED);
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.always"), "null");
}
END_TEST

START_TEST(a_neighbours_call_is_picked_up_within_the_group)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	change(pbx, "1002", "{\"pickup_group\": \"sales\"}");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1003", "*8")), 403); /* in no group */
	change(pbx, "1003", "{\"pickup_group\": \"sales\"}");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1003", "*8")), 404); /* nothing rings */
	pbx_leg alice = fake_dial(pbx, "1001", "1002");
	fake_ring(pbx, fake_leg(pbx, "1002"));
	pbx_leg carol = fake_dial(pbx, "1003", "*8");
	ck_assert_msg(fake_talk(pbx, alice, carol), "carol hears %s", fake_hearing(pbx, carol));
	ck_assert(!fake_has_leg(pbx, "1002"));
	fake_hangup(pbx, carol);
	ck_assert_uint_eq(fake_cause(pbx, alice), PBX_CAUSE_NORMAL);
}
END_TEST

START_TEST(a_call_is_picked_up_by_the_number_that_rings)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");

	fake_ring(pbx, fake_leg(pbx, "1002"));
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1003", "**1001")), 404); /* nothing rings there */
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial_from_outside(pbx, "0301234567", "**1002")), 403);
	pbx_leg carol = fake_dial(pbx, "1003", "**1002");
	ck_assert(fake_talk(pbx, alice, carol));
	fake_hangup(pbx, alice);
}
END_TEST

/* ---- many at once ---------------------------------------------------------------------------------- */

START_TEST(a_file_is_imported_whole)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const char *answer = fake_http(pbx, "POST", "/extensions:import",
				       "number,name,email,allow_external,call_class,call_waiting\r\n1001,Alice,alice@example.org,no,,\r\n"
				       "1010,\"Smith, John\",,,national,no\r\n");

	ck_assert_msg(fake_status(pbx) == 200, "%s", answer);
	ck_assert_str_eq(shown(pbx, "1001", "name"), "Alice");
	ck_assert_str_eq(shown(pbx, "1001", "allow_external"), "false");
	ck_assert_str_eq(shown(pbx, "1010", "name"), "Smith, John");
	ck_assert_str_eq(shown(pbx, "1010", "allow_external"), "true");
	ck_assert_str_eq(shown(pbx, "1010", "call_class"), "national");
	ck_assert_str_eq(shown(pbx, "1010", "call_waiting"), "false");
	ck_assert_str_eq(shown(pbx, "1001", "call_waiting"), "true");
	ck_assert_msg(strstr(answer, "sip_secret") != NULL, "%s", answer);
	fake_registered(pbx, "1010");
	pbx_leg alice = fake_dial(pbx, "1001", "1010");
	ck_assert(fake_has_leg(pbx, "1010"));
	fake_hangup(pbx, alice);
	fake_restart(pbx);
	ck_assert_str_eq(shown(pbx, "1010", "name"), "Smith, John");
}
END_TEST

START_TEST(a_file_with_mistakes_changes_nothing_and_all_are_named)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("extensions,call_parking");
	const char *answer = fake_http(pbx, "POST", "/extensions:import", "number,name\n1010,Good\n10x1,Bad\n70,Parking\n1010,Twice\n");

	ck_assert_uint_eq(fake_status(pbx), 400);
	ck_assert_msg(strstr(answer, "line 3") && strstr(answer, "line 4") && strstr(answer, "line 5"), "%s", answer);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "extension list"), "items"), "[]");
	(void)fake_http(pbx, "POST", "/extensions:import", "name\nnobody\n");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http(pbx, "POST", "/extensions:import", "");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http(pbx, "POST", "/extensions:import", "number,call_class\n1010,cosmic\n");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http(pbx, "POST", "/extensions:import", "number,colour\n1010,red\n");
	ck_assert_uint_eq(fake_status(pbx), 400);
}
END_TEST

/* ---- keys of phones ------------------------------------------------------------------------------------ */

#define CSTA(name, inner) "<" name " xmlns=\"http://www.ecma-international.org/standards/ecma-323/csta/ed3\"><device/>" inner "</" name ">"
#define FORWARD(type, on, to)                                                                                                              \
	CSTA("SetForwarding",                                                                                                              \
	     "<forwardingType>" type "</forwardingType><activateForward>" on "</activateForward><forwardDN>" to "</forwardDN>")

static int press(struct fake_pbx *pbx, const char *number, const char *body)
{
	return fake_subscribe(pbx, "as-feature-event", number, number, body);
}

START_TEST(a_key_of_the_phone_changes_the_extension)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(press(pbx, "1001", CSTA("SetDoNotDisturb", "<doNotDisturbOn>true</doNotDisturbOn>")), PBX_OK);
	ck_assert_str_eq(shown(pbx, "1001", "dnd"), "true");
	ck_assert_int_eq(press(pbx, "1001", FORWARD("forwardImmediate", "true", " tel:+4930123;ext=1")), PBX_OK);
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.always"), "+4930123");
	ck_assert_int_eq(press(pbx, "1001", FORWARD("forwardImmediate", "0", "")), PBX_OK);
	ck_assert_str_eq(shown(pbx, "1001", "forwarding.always"), "null");
	ck_assert_uint_eq(fake_changes(pbx, "as-feature-event", "1001"), 3);
	change(pbx, "1001", "{\"name\": \"Alice\"}");
	ck_assert_uint_eq(fake_changes(pbx, "as-feature-event", "1001"), 3); /* no key shows that */
	change(pbx, "1001", "{\"dnd\": false}");
	ck_assert_uint_eq(fake_changes(pbx, "as-feature-event", "1001"), 4);
}
END_TEST

START_TEST(a_key_that_cannot_be_obeyed_shows_what_holds)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	static const char *const unreadable[] = { "<SetDoNotDisturb>",
						  "<SetDoNotDisturb/>",
						  "<Other/>",
						  FORWARD("forwardMoon", "true", "1002"),
						  FORWARD("forwardBusy", "maybe", "1002"),
						  FORWARD("forwardBusy", "true", "bob"),
						  FORWARD("forwardBusy", "true",
							  "012345678901234567890123456789012345678901234567890123") };

	for (size_t i = 0; i < sizeof unreadable / sizeof unreadable[0]; i++)
		ck_assert_int_eq(press(pbx, "1001", unreadable[i]), PBX_EINVAL);
	ck_assert_int_eq(press(pbx, "1001", FORWARD("forwardBusy", "true", "1001")), PBX_OK); /* understood, and refused */
	ck_assert_uint_eq(fake_changes(pbx, "as-feature-event", "1001"), 1);
	ck_assert_uint_eq(fake_log_count(pbx, "key_refused"), 1);
	const char *text = fake_document(pbx, "as-feature-event", "1001", "1001", NULL);
	ck_assert_ptr_nonnull(strstr(text, "<doNotDisturbOn>false<"));
	ck_assert_ptr_null(strstr(text, "<forwardStatus>true<"));
	ck_assert_int_eq(fake_subscribe(pbx, "as-feature-event", "1002", "1001", NULL), PBX_EPERM);
}
END_TEST

/* ---- life -------------------------------------------------------------------------------------------- */

START_TEST(a_fresh_copy_knows_everybody_and_keeps_the_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");

	fake_answer(pbx, fake_leg(pbx, "1002"));
	ck_assert_int_eq(fake_reload_plugin(pbx, "extensions"), PBX_OK);
	ck_assert(fake_talk(pbx, alice, fake_leg(pbx, "1002")));
	obeyed(pbx, "1003", "*78");
	ck_assert_str_eq(shown(pbx, "1003", "dnd"), "true");
	fake_hangup(pbx, alice);
	(void)create(pbx, "1002", "");
	ck_assert_uint_eq(fake_status(pbx), 409);
}
END_TEST

CHECK_MAIN("extensions", an_extension_is_made_shown_changed_and_removed, what_cannot_be_is_refused_and_the_field_is_named,
	   a_number_that_exists_or_belongs_to_a_feature_is_a_conflict, secrets_are_kept_and_checked_but_never_shown,
	   two_changes_at_once_both_hold, a_change_during_an_import_holds, a_user_sees_and_forwards_only_themselves,
	   registrations_are_told_and_can_be_forgotten, an_extension_rings_for_as_long_as_it_says,
	   every_kind_of_forwarding_goes_where_it_says, forwarding_in_a_circle_ends, who_does_not_want_to_be_disturbed_is_not,
	   without_the_right_nobody_leaves_the_house, beyond_its_calls_an_extension_is_busy,
	   each_class_reaches_as_far_as_it_says_and_premium_is_asked_for, who_forwards_a_call_outside_needs_the_right_to,
	   without_call_waiting_a_second_call_is_busy, beyond_the_calls_it_may_have_made_an_extension_makes_none,
	   what_is_dialled_changes_ones_own_extension, codes_of_no_account_or_no_sense_are_refused,
	   a_neighbours_call_is_picked_up_within_the_group, a_call_is_picked_up_by_the_number_that_rings, a_file_is_imported_whole,
	   a_file_with_mistakes_changes_nothing_and_all_are_named, a_key_of_the_phone_changes_the_extension,
	   a_key_that_cannot_be_obeyed_shows_what_holds, a_fresh_copy_knows_everybody_and_keeps_the_call)
