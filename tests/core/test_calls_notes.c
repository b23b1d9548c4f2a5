/* tests/core/test_calls_notes.c - what others say of a call: fields for its record and events of their own, over the ABI and by request */
#include "../check_main.h"
#include "calls_inner.h"
#include "fake.h"
#include "json.h"

static const struct pbx_calls *const calls = &core_calls_service;

/* 1001 and 1002 talk, 1003 is at home. */
static struct fake_pbx *house(pbx_leg *ret_caller)
{
	struct fake_pbx *pbx = fake_pbx_with("");

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	*ret_caller = fake_dial(pbx, "1001", "1002");
	fake_answer(pbx, fake_leg(pbx, "1002"));
	return pbx;
}

static const char *path_of(pbx_leg leg, const char *more)
{
	static char path[96];

	(void)snprintf(path, sizeof path, "/calls/%s%s", core_leg_find(leg)->call->id, more);
	return path;
}

static uint32_t answered(struct fake_pbx *pbx, pbx_leg leg, const char *method, const char *more, const char *body)
{
	(void)fake_http(pbx, method, path_of(leg, more), body);
	return fake_status(pbx);
}

static const char *field(struct fake_pbx *pbx, pbx_leg leg, const char *name)
{
	char member[64];

	(void)snprintf(member, sizeof member, "fields.%s", name);
	return fake_json(pbx, fake_http(pbx, "GET", path_of(leg, ""), NULL), member);
}

static pbx_call call_of(pbx_leg leg)
{
	return core_leg_find(leg)->call->handle;
}

START_TEST(fields_are_set_changed_and_taken_away_and_each_change_is_told_once)
{
	pbx_leg caller;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&caller);

	ck_assert_uint_eq(answered(pbx, caller, "PATCH", "", "{\"fields\": {\"case\": \"4711\", \"mood\": \"good\"}}"), 200);
	ck_assert_str_eq(field(pbx, caller, "case"), "4711");
	ck_assert_uint_eq(answered(pbx, caller, "PATCH", "", "{\"fields\": {\"case\": \"4711\", \"mood\": null, \"none\": \"\"}}"), 200);
	ck_assert_str_eq(field(pbx, caller, "case"), "4711");
	ck_assert_ptr_null(field(pbx, caller, "mood"));
	const char *told = fake_event(pbx, "call.fields_set");
	ck_assert_str_eq(fake_json(pbx, told, "fields.mood"), "null");
	ck_assert_ptr_null(fake_json(pbx, told, "fields.case")); /* it says the same as before */
	ck_assert_ptr_null(fake_json(pbx, told, "fields.none"));
	ck_assert_uint_eq(answered(pbx, caller, "PATCH", "", "{\"fields\": {\"case\": \"4711\"}}"), 200);
	ck_assert_uint_eq(fake_event_count(pbx, "call.fields_set"), 2);
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(a_plugin_sets_fields_and_reads_those_of_others)
{
	pbx_leg caller;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&caller);
	struct pbx_host *host = fake_host(pbx);

	pbx_call call = call_of(caller);
	ck_assert_ptr_null(calls->field(call, "case"));
	ck_assert_int_eq(calls->set_field(host, call, "case", "4711"), PBX_OK);
	ck_assert_str_eq(calls->field(call, "case"), "4711");
	fake_settle(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.fields_set"), "by"), "fake");
	ck_assert_int_eq(calls->set_field(host, call, "two words", "x"), PBX_EINVAL);
	ck_assert_int_eq(calls->set_field(host, call, NULL, "x"), PBX_EINVAL);
	ck_assert_int_eq(calls->set_field(host, call, "case", "two\nlines"), PBX_EINVAL);
	ck_assert_int_eq(calls->set_field(host, call, "case", NULL), PBX_OK);
	ck_assert_ptr_null(calls->field(call, "case"));
	ck_assert_int_eq(calls->tell(host, call, "survey.done", core_json_service.new_array()), PBX_EINVAL);
	ck_assert_int_eq(calls->tell(host, call, NULL, NULL), PBX_EINVAL);
	ck_assert_int_eq(calls->tell(host, call, "survey.done", NULL), PBX_OK);
	fake_settle(pbx);
	const char *told = fake_event(pbx, "call.user_event");
	ck_assert_str_eq(fake_json(pbx, told, "name"), "survey.done");
	ck_assert_str_eq(fake_json(pbx, told, "by"), "fake");
	ck_assert_str_eq(fake_json(pbx, told, "data"), "{}");
	fake_hangup(pbx, caller);
	ck_assert_int_eq(calls->tell(host, call, "too.late", core_json_service.new_object()), PBX_ENOENT);
	ck_assert_int_eq(calls->set_field(host, call, "too", "late"), PBX_ENOENT);
	ck_assert_ptr_null(calls->field(call, "too"));
}
END_TEST

#define N64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define N256 N64 N64 N64 N64

static const struct {
	const char *more, *body;
	uint32_t status;
	const char *says;
} nonsense[] = {
	{ "", "{\"fields\": {\"\\\"; DROP\": \"x\"}}", 422, "is no name of a field" },
	{ "", "{\"fields\": {\"\\ud83d\\ude00\": \"x\"}}", 422, "is no name of a field" },
	{ "", "{\"fields\": {\"\": \"x\"}}", 422, "is no name of a field" },
	{ "", "{\"fields\": {\"1st\": \"x\"}}", 422, "is no name of a field" },
	{ "", "{\"fields\": {\"" N256 "\": \"x\"}}", 422, "at most 32" },
	{ "", "{\"fields\": {\"case\": \"" N256 "\"}}", 422, "at most 255 bytes" },
	{ "", "{\"fields\": {\"case\": \"a\\nb\"}}", 422, "on one line" },
	{ "", "{\"fields\": {\"case\": 4711}}", 422, "a field is a text" },
	{ "", "{\"fields\": {\"case\": {\"a\": \"b\"}}}", 422, "a field is a text" },
	{ "", "{\"fields\": [\"case\"]}", 400, "expected an object" },
	{ "", "{\"fields\": \"case\"}", 400, "expected an object" },
	{ "", "{\"field\": {}}", 400, "did you mean fields?" },
	{ "", "{\"fields\": {\"case\": \"1\"", 400, "" },
	{ "", "{}", 400, "fields: is missing" },
	{ "/events", "{\"name\": \"two words\"}", 422, "is no name of an event" },
	{ "/events", "{\"name\": \"\\ud83d\\ude00\"}", 422, "is no name of an event" },
	{ "/events", "{\"name\": \"a\\\"b\"}", 422, "is no name of an event" },
	{ "/events", "{\"name\": \"" N256 "\"}", 400, "a length of 256" },
	{ "/events", "{\"name\": \"\"}", 400, "a length of 0" },
	{ "/events", "{\"name\": 5}", 400, "expected a text" },
	{ "/events", "{\"name\": \"x\", \"data\": [1]}", 400, "expected an object" },
	{ "/events", "{\"data\": {}}", 400, "name: is missing" },
	{ "/events", "nonsense", 400, "" },
};

START_TEST(nonsense_is_refused_with_the_reason_and_leaves_nothing)
{
	pbx_leg caller;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&caller);

	for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
		const char *answer =
			fake_http(pbx, nonsense[i].more[0] ? "POST" : "PATCH", path_of(caller, nonsense[i].more), nonsense[i].body);

		ck_assert_msg(fake_status(pbx) == nonsense[i].status && strstr(answer, nonsense[i].says), "%s: %s", nonsense[i].body,
			      answer);
	}
	ck_assert_uint_eq(fake_event_count(pbx, "call.fields_set") + fake_event_count(pbx, "call.user_event"), 0);
	ck_assert_uint_eq(answered(pbx, caller, "PATCH", "", "{\"fields\": {\"good\": \"1\", \"b a d\": \"2\"}}"), 422);
	ck_assert_ptr_null(field(pbx, caller, "good")); /* all or none */
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(a_call_has_so_many_fields_and_events_and_no_more)
{
	pbx_leg caller;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&caller);
	struct pbx_host *host = fake_host(pbx);
	char name[24], body[PBX_MOST_TOLD_DATA + 64];

	pbx_call call = call_of(caller);
	for (uint32_t i = 0; i < PBX_MOST_FIELDS; i++) {
		(void)snprintf(name, sizeof name, "field%u", i);
		ck_assert_int_eq(calls->set_field(host, call, name, "x"), PBX_OK);
	}
	ck_assert_int_eq(calls->set_field(host, call, "another", "x"), PBX_ENOSPC);
	ck_assert_int_eq(calls->set_field(host, call, "field3", "y"), PBX_OK);
	ck_assert_uint_eq(answered(pbx, caller, "PATCH", "", "{\"fields\": {\"another\": \"x\"}}"), 422);
	ck_assert_uint_eq(answered(pbx, caller, "PATCH", "", "{\"fields\": {\"another\": \"x\", \"field3\": null}}"), 200);

	(void)snprintf(body, sizeof body, "{\"name\": \"long\", \"data\": {\"a\": \"%0*u\"}}", (int)PBX_MOST_TOLD_DATA - 8, 0);
	ck_assert_uint_eq(answered(pbx, caller, "POST", "/events", body), 202);
	(void)snprintf(body, sizeof body, "{\"name\": \"long\", \"data\": {\"a\": \"%0*u\"}}", (int)PBX_MOST_TOLD_DATA - 7, 0);
	ck_assert_uint_eq(answered(pbx, caller, "POST", "/events", body), 422);
	for (uint32_t i = 1; i < PBX_MOST_TOLD; i++)
		ck_assert_int_eq(calls->tell(host, call, "again", NULL), PBX_OK);
	ck_assert_int_eq(calls->tell(host, call, "again", NULL), PBX_ENOSPC);
	ck_assert_uint_eq(answered(pbx, caller, "POST", "/events", "{\"name\": \"again\"}"), 409);
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(a_user_notes_in_their_own_calls_alone)
{
	pbx_leg caller;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&caller);

	(void)fake_http_as(pbx, "bob", "calls:write", "1002", "PATCH", path_of(caller, ""), "{\"fields\": {\"case\": \"1\"}}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	(void)fake_http_as(pbx, "bob", "calls:write", "1002", "POST", path_of(caller, "/events"), "{\"name\": \"mine\"}");
	ck_assert_uint_eq(fake_status(pbx), 202);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.user_event"), "by"), "bob");
	(void)fake_http_as(pbx, "eve", "calls:write", "1003", "PATCH", path_of(caller, ""), "{\"fields\": {\"case\": \"2\"}}");
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "eve", "calls:write", "1003", "POST", path_of(caller, "/events"), "{\"name\": \"theirs\"}");
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "bob", "calls:read", "1002", "PATCH", path_of(caller, ""), "{\"fields\": {\"case\": \"3\"}}");
	ck_assert_uint_eq(fake_status(pbx), 403);
	(void)fake_http_as(pbx, "bob", "calls:read", "1002", "POST", path_of(caller, "/events"), "{\"name\": \"read\"}");
	ck_assert_uint_eq(fake_status(pbx), 403);
	ck_assert_str_eq(field(pbx, caller, "case"), "1");
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(by_pbxctl_fields_and_data_are_pairs)
{
	pbx_leg caller;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&caller);
	char line[160];

	const char *id = core_leg_find(caller)->call->id;
	(void)snprintf(line, sizeof line, "calls set %s case=4711 'who=Ada Lovelace' id=7", id);
	const char *answer = fake_command(pbx, line);
	ck_assert_msg(fake_status(pbx) == 200, "%s", answer);
	ck_assert_str_eq(field(pbx, caller, "who"), "Ada Lovelace");
	ck_assert_str_eq(field(pbx, caller, "id"), "7");
	(void)snprintf(line, sizeof line, "calls set %s case=", id);
	(void)fake_command(pbx, line);
	ck_assert_ptr_null(field(pbx, caller, "case"));
	(void)snprintf(line, sizeof line, "calls set %s nothing", id);
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, line), "is not of the form name=value"));
	(void)snprintf(line, sizeof line, "calls event %s survey.done score=5 name=Ada", id);
	(void)fake_command(pbx, line);
	const char *told = fake_event(pbx, "call.user_event");
	ck_assert_str_eq(fake_json(pbx, told, "name"), "survey.done");
	ck_assert_str_eq(fake_json(pbx, told, "data.score"), "5");
	ck_assert_str_eq(fake_json(pbx, told, "data.name"), "Ada");
	(void)snprintf(line, sizeof line, "calls event %s plain", id);
	(void)fake_command(pbx, line);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.user_event"), "data"), "{}");
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(who_takes_a_ringing_call_is_told)
{
	pbx_leg talks, taker;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&talks);

	fake_hangup(pbx, talks);
	pbx_leg caller = fake_dial(pbx, "1001", "1002");
	fake_ring(pbx, fake_leg(pbx, "1002"));
	(void)fake_http(pbx, "POST", path_of(caller, ":pickup"), "{\"number\": \"1003\"}");
	taker = fake_leg(pbx, "1003");
	fake_answer(pbx, taker);
	ck_assert(fake_talk(pbx, caller, taker));
	const char *told = fake_event(pbx, "call.picked_up");
	ck_assert_str_eq(fake_json(pbx, told, "number"), "1002");
	ck_assert_str_eq(fake_json(pbx, told, "by"), "1003");
	ck_assert_str_eq(fake_json(pbx, fake_events(pbx, "call.picked_up"), "0.call_id"), core_leg_find(caller)->call->id);
	fake_hangup(pbx, caller);
}
END_TEST

CHECK_MAIN("calls_notes", fields_are_set_changed_and_taken_away_and_each_change_is_told_once,
	   a_plugin_sets_fields_and_reads_those_of_others, nonsense_is_refused_with_the_reason_and_leaves_nothing,
	   a_call_has_so_many_fields_and_events_and_no_more, a_user_notes_in_their_own_calls_alone, by_pbxctl_fields_and_data_are_pairs,
	   who_takes_a_ringing_call_is_told)
