/* plugins/cdr/test_asking.c - records as they are asked for, and what others have said of them */
#include "test_cdr.h"

/* ---- asking ------------------------------------------------------------------------------------ */

START_TEST(filters_pages_and_csv)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	const char *page, *csv;
	char path[128];

	for (int i = 0; i < 3; i++) {
		pbx_leg alice = fake_dial(pbx, "1001", i == 1 ? "1003" : "1002");

		fake_refuse(pbx, fake_leg(pbx, i == 1 ? "1003" : "1002"), i == 2 ? 603 : 486);
		ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
		fake_pass_ms(pbx, 1000);
	}
	page = fake_http(pbx, "GET", "/cdr?extension=1003", NULL);
	ck_assert_str_eq(fake_json(pbx, page, "items.0.to_number"), "1003");
	ck_assert_ptr_null(fake_json(pbx, page, "items.1"));
	page = fake_http(pbx, "GET", "/cdr?disposition=declined", NULL);
	ck_assert_str_eq(fake_json(pbx, page, "items.0.disposition"), "declined");
	ck_assert_ptr_null(fake_json(pbx, page, "items.1"));
	page = fake_http(pbx, "GET", "/cdr?sort=started_at&limit=2", NULL);
	ck_assert_str_eq(fake_json(pbx, page, "items.1.to_number"), "1003");
	(void)snprintf(path, sizeof path, "/cdr?sort=started_at&limit=2&cursor=%s", fake_json(pbx, page, "next_cursor"));
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "items.0.disposition"), "declined");
	page = fake_http(pbx, "GET", "/cdr?limit=2", NULL);
	ck_assert_ptr_nonnull(fake_json(pbx, page, "items.1.id"));
	ck_assert_ptr_null(fake_json(pbx, page, "items.2"));
	(void)snprintf(path, sizeof path, "/cdr?limit=2&cursor=%s", fake_json(pbx, page, "next_cursor"));
	page = fake_http(pbx, "GET", path, NULL);
	ck_assert_ptr_nonnull(fake_json(pbx, page, "items.0.id"));
	ck_assert_ptr_null(fake_json(pbx, page, "items.1"));
	(void)fake_http(pbx, "GET", "/cdr?disposition=nice", NULL);
	ck_assert_msg(fake_status(pbx) >= 400 && fake_status(pbx) < 500, "%u", fake_status(pbx));
	(void)fake_http(pbx, "GET", "/cdr?from=yesterday", NULL);
	ck_assert_msg(fake_status(pbx) >= 400 && fake_status(pbx) < 500, "%u", fake_status(pbx));

	csv = fake_command(pbx, "cdr export");
	uint32_t count = 0;
	for (const char *at = csv; (at = strchr(at, '\n')) != NULL; at++)
		count++;
	ck_assert_msg(count == 4, "%s", csv);
}
END_TEST

START_TEST(a_call_under_way_is_told_from_one_that_is_over)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	const char *page;

	(void)fake_dial(pbx, "1001", "1002");
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	fake_pass_ms(pbx, 1000);
	pbx_leg alice = fake_dial(pbx, "1001", "1003");
	page = fake_command(pbx, "cdr list");
	ck_assert_str_eq(fake_json(pbx, page, "items.0.state"), "in_progress");
	ck_assert_str_eq(fake_json(pbx, page, "items.0.disposition"), "null");
	ck_assert_str_eq(fake_json(pbx, page, "items.1.state"), "ended");
	fake_answer(pbx, fake_leg(pbx, "1003"));
	page = fake_command(pbx, "cdr list state=in_progress");
	ck_assert_str_eq(fake_json(pbx, page, "items.0.to_number"), "1003");
	ck_assert_str_eq(fake_json(pbx, page, "items.0.disposition"), "answered");
	ck_assert_str_eq(fake_json(pbx, page, "items.0.state"), "in_progress");
	ck_assert_ptr_null(fake_json(pbx, page, "items.1"));
	page = fake_http(pbx, "GET", "/cdr?state=ended", NULL);
	ck_assert_str_eq(fake_json(pbx, page, "items.0.to_number"), "1002");
	ck_assert_ptr_null(fake_json(pbx, page, "items.1"));
	fake_hangup(pbx, alice);
	page = fake_http(pbx, "GET", "/cdr?state=in_progress", NULL);
	ck_assert_ptr_null(fake_json(pbx, page, "items.0"));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "cdr.created"), "state"), "ended");
	(void)fake_http(pbx, "GET", "/cdr?state=open", NULL);
	ck_assert_msg(fake_status(pbx) >= 400 && fake_status(pbx) < 500, "%u", fake_status(pbx));
}
END_TEST

START_TEST(a_user_sees_only_their_own)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	const char *page, *id;
	char path[96];

	(void)fake_dial(pbx, "1001", "1002");
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	id = record(pbx, "0.id");
	(void)snprintf(path, sizeof path, "/cdr/%s", id);
	page = fake_http_as(pbx, "1003", "cdr:read", "1003", "GET", "/cdr", NULL);
	ck_assert_ptr_null(fake_json(pbx, page, "items.0"));
	(void)fake_http_as(pbx, "1003", "cdr:read", "1003", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "1002", "cdr:read", "1002", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 200);
	(void)fake_http(pbx, "PATCH", path, "{\"notes\": \"call back\"}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	expect(pbx, "0.notes", "call back");
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, fake_status(pbx) ? "cdr list" : ""), "call back"));
}
END_TEST

START_TEST(an_account_code_given_during_the_call_goes_along)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");
	char path[96];

	(void)snprintf(path, sizeof path, "/cdr/%s", record(pbx, "0.id"));
	(void)fake_http(pbx, "PATCH", path, "{\"account_code\": \"K-17\", \"user_field\": \"=1+1\"}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	ck_assert_int_eq(fake_reload_plugin(pbx, "cdr"), PBX_OK);
	fake_pass_ms(pbx, 1000);
	ck_assert_int_eq(fake_transfer(pbx, fake_leg(pbx, "1002"), "1003"), PBX_OK);
	fake_answer(pbx, fake_leg(pbx, "1003"));
	fake_pass_ms(pbx, 1000);
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(records(pbx), 2);
	expect(pbx, "0.account_code", "K-17");
	expect(pbx, "1.account_code", "K-17"); /* the caller is the same */
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "cdr.created"), "account_code"), "K-17");
	(void)fake_http(pbx, "PATCH", path, "{\"account_code\": \"K-18\"}");
	expect(pbx, "0.account_code", "K-18"); /* and afterwards */
	expect(pbx, "0.user_field", "=1+1");
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, "cdr export"), "\"'=1+1\""));
}
END_TEST

/* ---- what others say of it ------------------------------------------------------------------ */

/* /calls/ID/MORE of the call that this leg belongs to. */
static const char *call_path(pbx_leg leg, const char *more)
{
	static char path[96];
	struct pbx_leg_info info = { .size = sizeof info };

	ck_assert_int_eq(core_calls_service.info(leg, &info), PBX_OK);
	(void)snprintf(path, sizeof path, "/calls/%s%s", info.call_id, more);
	return path;
}

static void note(struct fake_pbx *pbx, pbx_leg leg, const char *fields)
{
	char body[512];

	(void)snprintf(body, sizeof body, "{\"fields\": %s}", fields);
	const char *answer = fake_http(pbx, "PATCH", call_path(leg, ""), body);
	ck_assert_msg(fake_status(pbx) == 200, "%s", answer);
}

START_TEST(fields_noted_during_the_call_end_in_its_records)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");

	expect(pbx, "0.fields", "{}");
	note(pbx, alice, "{\"case\": \"4711\", \"mood\": \"good\"}");
	expect(pbx, "0.fields.case", "4711");
	ck_assert_int_eq(fake_reload_plugin(pbx, "cdr"), PBX_OK);
	note(pbx, alice, "{\"mood\": null, \"who\": \"J\u00f6rg \\\"Q\\\", \\\\ caf\u00e9\"}");
	expect(pbx, "0.fields.mood", "(none)");
	ck_assert_int_eq(fake_transfer(pbx, fake_leg(pbx, "1002"), "1003"), PBX_OK);
	fake_answer(pbx, fake_leg(pbx, "1003"));
	note(pbx, alice, "{\"case\": \"4712\"}");
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(records(pbx), 2);
	expect(pbx, "0.fields.case", "4711"); /* what it was then */
	expect(pbx, "1.fields.case", "4712");
	expect(pbx, "0.fields.who", "J\u00f6rg \"Q\", \\ caf\u00e9");
	expect(pbx, "1.fields.who", "J\u00f6rg \"Q\", \\ caf\u00e9");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "cdr.created"), "fields.case"), "4712");
	fake_restart(pbx);
	expect(pbx, "1.fields.case", "4712");
}
END_TEST

START_TEST(records_are_found_by_a_field_and_by_what_it_says)
{
	static const struct {
		const char *asked;
		const char *found; /* what case says in it, NULL: nothing */
	} cases[] = {
		{ "case=4711", "4711" }, { "case=471", NULL },
		{ "case=%25", "%" },     { "case=a%22%3A%22b", "a\":\"b" },
		{ "note", "4711" },      { "note=says+%22case%22%3A%22no%22", "4711" },
		{ "case=no", NULL }, /* which is within the note */
		{ "cas", NULL },         { "Case", NULL },
	};
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	char path[128];

	for (int i = 0; i < 3; i++) {
		static const char *const fields[] = { "{\"case\": \"4711\", \"note\": \"says \\\"case\\\":\\\"no\\\"\"}",
						      "{\"case\": \"%\"}", "{\"case\": \"a\\\":\\\"b\"}" };
		pbx_leg alice = talk(pbx, "1001", "1002");

		note(pbx, alice, fields[i]);
		fake_hangup(pbx, alice);
	}
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		(void)snprintf(path, sizeof path, "/cdr?field=%s", cases[i].asked);
		const char *page = fake_http(pbx, "GET", path, NULL), *found = fake_json(pbx, page, "items.0.fields.case");

		ck_assert_msg(fake_status(pbx) == 200, "%s: %s", cases[i].asked, page);
		ck_assert_msg(cases[i].found ? found && strcmp(found, cases[i].found) == 0 : !found, "%s: %s", cases[i].asked, page);
		ck_assert_msg(!fake_json(pbx, page, "items.1"), "%s: %s", cases[i].asked, page);
	}
	(void)fake_http(pbx, "GET", "/cdr?field=%22case%22", NULL);
	ck_assert_uint_eq(fake_status(pbx), 422);
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, "cdr list field=case=4711"), "4711"));
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, "cdr export"), "\"{\"\"case\"\":\"\"%\"\"}\""));
}
END_TEST

START_TEST(an_account_code_may_be_noted_as_a_field)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");
	char path[96];

	(void)snprintf(path, sizeof path, "/cdr/%s", record(pbx, "0.id"));
	(void)fake_http(pbx, "PATCH", path, "{\"user_field\": \"by hand\"}");
	note(pbx, alice, "{\"account_code\": \"K-17\", \"case\": \"1\"}");
	expect(pbx, "0.account_code", "K-17");
	expect(pbx, "0.user_field", "by hand");
	expect(pbx, "0.fields", "{\"case\":\"1\"}");
	(void)fake_http(pbx, "PATCH", path, "{\"account_code\": \"K-18\"}");
	note(pbx, alice, "{\"case\": \"2\"}");
	expect(pbx, "0.account_code", "K-18"); /* said last */
	note(pbx, alice, "{\"account_code\": \"\"}");
	fake_hangup(pbx, alice);
	expect(pbx, "0.account_code", "null");
	expect(pbx, "0.user_field", "by hand");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "cdr.created"), "user_field"), "by hand");
}
END_TEST

START_TEST(who_fetches_a_call_brings_their_fields_along)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr,call_parking");
	pbx_leg caller = park(pbx), again;

	note(pbx, caller, "{\"case\": \"4711\"}");
	again = fake_dial(pbx, "1001", "70");
	ck_assert(fake_talk(pbx, caller, again));
	note(pbx, again, "{\"case\": \"other\", \"agent\": \"1001\", \"account_code\": \"K-1\"}"); /* a call without a record of its own */
	fake_hangup(pbx, caller);
	ck_assert_uint_eq(records(pbx), 1);
	expect(pbx, "0.fields.case", "other");
	expect(pbx, "0.fields.agent", "1001");
	expect(pbx, "0.account_code", "K-1");
}
END_TEST

START_TEST(events_of_others_stand_in_the_history_of_the_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");
	struct pbx_leg_info info = { .size = sizeof info };
	char path[96], body[96];

	ck_assert_int_eq(core_calls_service.info(alice, &info), PBX_OK);
	(void)fake_http(pbx, "POST", call_path(alice, "/events"), "{\"name\": \"survey.done\", \"data\": {\"score\": 5}}");
	ck_assert_uint_eq(fake_status(pbx), 202);
	ck_assert_int_eq(core_calls_service.tell(fake_host(pbx), info.call, "second", NULL), PBX_OK);
	fake_settle(pbx);
	ck_assert_uint_eq(fake_event_count(pbx, "call.user_event"), 2);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.user_event"), "name"), "second");
	(void)snprintf(body, sizeof body, "calls event %s Third score=7 name=Ada", info.call_id);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, body), "data.name"), "Ada");
	ck_assert_uint_eq(fake_status(pbx), 202);
	fake_hangup(pbx, alice);
	(void)snprintf(path, sizeof path, "/cdr/%s/events", record(pbx, "0.id"));
	const char *events = fake_http(pbx, "GET", path, NULL), *name = strstr(events, "survey.done");
	ck_assert_msg(name && (name = strstr(name, "second")) != NULL && strstr(name, "Third") && strstr(events, "\"score\":5"), "%s",
		      events);
	ck_assert_uint_eq(records(pbx), 1);
}
END_TEST

START_TEST(old_records_lose_who_it_was_unless_they_are_held)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("cdr", "cdr:\n  anonymise_days: 1\n  retention_days: 3\n");
	char path[96];

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	for (int i = 0; i < 2; i++) {
		pbx_leg alice = fake_dial(pbx, "1001", "1002");

		note(pbx, alice, "{\"who\": \"Ada\"}");
		fake_hangup(pbx, alice);
		fake_pass_ms(pbx, 1000);
	}
	(void)snprintf(path, sizeof path, "/cdr/%s", record(pbx, "1.id"));
	(void)fake_http(pbx, "PATCH", path, "{\"legal_hold\": true}");
	expect(pbx, "1.legal_hold", "true");
	expect(pbx, "0.legal_hold", "false");
	fake_pass_ms(pbx, UINT64_C(2) * 86400000);
	expect(pbx, "0.from_number", "xxxx");
	expect(pbx, "0.dialled", "");
	expect(pbx, "0.fields", "{}");
	expect(pbx, "1.fields.who", "Ada");
	expect(pbx, "1.from_number", "1001");
	expect(pbx, "1.dialled", "1002");
	fake_pass_ms(pbx, UINT64_C(2) * 86400000);
	ck_assert_uint_eq(records(pbx), 1);
	expect(pbx, "0.dialled", "1002");
	(void)fake_http(pbx, "PATCH", path, "{\"legal_hold\": false}");
	fake_pass_ms(pbx, 2 * 3600000);
	ck_assert_uint_eq(records(pbx), 0);
}
END_TEST

START_TEST(events_and_legs_of_a_record)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");
	char path[96];

	fake_hangup(pbx, alice);
	(void)snprintf(path, sizeof path, "/cdr/%s/legs", record(pbx, "0.id"));
	const char *legs = fake_http(pbx, "GET", path, NULL);
	ck_assert_msg(fake_json(pbx, legs, "items.1") && !fake_json(pbx, legs, "items.2"), "%s", legs);
	(void)snprintf(path, sizeof path, "/cdr/%s/events", record(pbx, "0.id"));
	const char *events = fake_http(pbx, "GET", path, NULL);
	ck_assert_str_eq(fake_json(pbx, events, "items.0.type"), "call.started");
	ck_assert_msg(strstr(events, "call.ended") != NULL, "%s", events);
}
END_TEST

CHECK_MAIN("cdr, asked", filters_pages_and_csv, a_call_under_way_is_told_from_one_that_is_over, a_user_sees_only_their_own,
	   an_account_code_given_during_the_call_goes_along, fields_noted_during_the_call_end_in_its_records,
	   records_are_found_by_a_field_and_by_what_it_says, an_account_code_may_be_noted_as_a_field,
	   who_fetches_a_call_brings_their_fields_along, events_of_others_stand_in_the_history_of_the_call,
	   old_records_lose_who_it_was_unless_they_are_held, events_and_legs_of_a_record)
