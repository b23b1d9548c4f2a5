/* call_recording/test_call_recording.c - rules, keys, requests and what becomes of a recording; files are the fake media's */
#include "../../tests/check_main.h"
#include "../../tests/fake/fake.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fake_pbx *pbx;
static pbx_leg alice, bob;

static void begin(const char *settings)
{
	pbx = fake_pbx_with_settings("call_recording", settings);
	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
}

static void talk(void)
{
	alice = fake_dial(pbx, "1001", "1002");
	bob = fake_leg(pbx, "1002");
	fake_answer(pbx, bob);
	ck_assert(fake_talk(pbx, alice, bob));
}

static void end(void)
{
	fake_pbx_free(pbx);
}

static const char *listed(const char *what)
{
	const char *value = fake_json(pbx, fake_http(pbx, "GET", "/recordings", NULL), what);

	return value ? value : "";
}

static const char *first_id(void)
{
	return listed("items.0.id");
}

static const char *call_id(void)
{
	return fake_json(pbx, fake_events(pbx, "call.started"), "0.call_id");
}

static uint32_t act(const char *action)
{
	char path[100], body[60];

	(void)snprintf(path, sizeof path, "/calls/%s/recording", call_id());
	(void)snprintf(body, sizeof body, "{\"action\": \"%s\"}", action);
	(void)fake_http(pbx, "POST", path, body);
	return fake_status(pbx);
}

#define RULE(text) "call_recording:\n  rules:\n    - {name: one, " text "}\n"

START_TEST(what_a_rule_names_is_recorded_from_the_first_word)
{
	begin(RULE("extensions: ['100*'], record: always"));
	talk();
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.started"), "reason"), "rule");
	fake_pass_ms(pbx, 5000);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/recordings/active", NULL), "items.0.from"), "1001");
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 1);
	ck_assert_str_eq(listed("items.0.outcome"), "stored");
	ck_assert_str_eq(listed("items.0.duration_ms"), "5000");
	ck_assert_str_eq(listed("items.0.from"), "1001");
	ck_assert_str_eq(listed("items.0.to"), "1002");
	ck_assert_str_eq(listed("items.0.direction"), "internal");
	ck_assert_uint_eq(strlen(listed("items.0.sha256")), 64);
	end();
}
END_TEST

START_TEST(the_first_rule_that_fits_decides)
{
	begin("call_recording:\n  auto_record: true\n  rules:\n    - {name: a, extensions: ['1003'], record: always}\n"
	      "    - {name: b, direction: internal, record: never}\n");
	talk();
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 0);
	ck_assert_uint_eq(act("start"), 403);
	fake_hangup(pbx, bob);
	end();
}
END_TEST

START_TEST(nobody_is_recorded_without_a_rule_and_everybody_with_auto_record)
{
	begin("");
	talk();
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 0);
	end();
	begin("call_recording:\n  auto_record: true\n");
	talk();
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 1);
	end();
}
END_TEST

START_TEST(a_share_of_none_records_none)
{
	begin(RULE("record: always, percent: 0"));
	talk();
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 0);
	ck_assert_uint_eq(act("start"), 200);
	end();
}
END_TEST

START_TEST(keys_begin_pause_and_end_it)
{
	begin("");
	talk();
	fake_digits(pbx, alice, "*1");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.started"), "reason"), "key");
	ck_assert(fake_hears(pbx, alice, "tone:beep"));
	fake_pass_ms(pbx, 4000);
	fake_digits(pbx, bob, "*2");
	ck_assert_uint_eq(fake_event_count(pbx, "recording.paused"), 1);
	fake_digits(pbx, bob, "*2");
	ck_assert_uint_eq(fake_event_count(pbx, "recording.resumed"), 1);
	fake_digits(pbx, bob, "*1");
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 1);
	ck_assert_str_eq(listed("items.0.outcome"), "stored");
	end();
}
END_TEST

START_TEST(what_a_rule_records_no_key_ends)
{
	begin(RULE("record: always"));
	talk();
	fake_digits(pbx, alice, "*1");
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 0);
	end();
}
END_TEST

START_TEST(a_caller_from_outside_has_no_say)
{
	begin("");
	pbx_leg caller = fake_dial_from_outside(pbx, "5551234", "1001");

	fake_answer(pbx, fake_leg(pbx, "1001"));
	fake_digits(pbx, caller, "*1");
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 0);
	end();
}
END_TEST

START_TEST(requests_begin_pause_and_end_it_and_say_when_it_is_so_already)
{
	begin("");
	talk();
	ck_assert_uint_eq(act("stop"), 404);
	ck_assert_uint_eq(act("start"), 200);
	ck_assert_uint_eq(act("start"), 409);
	ck_assert_uint_eq(act("pause"), 200);
	ck_assert_uint_eq(act("pause"), 409);
	ck_assert_uint_eq(act("resume"), 200);
	ck_assert_uint_eq(act("resume"), 409);
	fake_pass_ms(pbx, 3000);
	ck_assert_uint_eq(act("stop"), 200);
	ck_assert_uint_eq(act("dance"), 400);
	ck_assert_str_eq(listed("items.0.reason"), "request");
	end();
}
END_TEST

static void both_show(uint32_t recording)
{
	ck_assert_uint_eq(fake_recorded(alice), recording);
	ck_assert_uint_eq(fake_recorded(bob), recording);
}

START_TEST(phones_that_show_it_are_told_of_each_turn)
{
	begin("");
	talk();
	both_show(PBX_RECORDING_OFF);
	ck_assert_uint_eq(act("start"), 200);
	both_show(PBX_RECORDING_ON);
	ck_assert_uint_eq(act("pause"), 200);
	both_show(PBX_RECORDING_PAUSED);
	ck_assert_uint_eq(act("resume"), 200);
	both_show(PBX_RECORDING_ON);
	ck_assert_uint_eq(act("stop"), 200);
	both_show(PBX_RECORDING_OFF);
	end();
}
END_TEST

START_TEST(who_is_sent_on_shows_what_the_next_conversation_is)
{
	begin(RULE("extensions: ['1002'], record: always"));
	talk();
	both_show(PBX_RECORDING_ON);
	ck_assert_int_eq(fake_transfer(pbx, alice, "1003"), PBX_OK);
	pbx_leg carol = fake_leg(pbx, "1003");

	fake_answer(pbx, carol);
	ck_assert_uint_eq(fake_recorded(bob), PBX_RECORDING_ON);
	ck_assert_uint_eq(fake_recorded(carol), PBX_RECORDING_ON);
	end();
}
END_TEST

START_TEST(a_recording_is_paused_while_somebody_is_on_hold_where_that_is_wanted)
{
	begin("call_recording:\n  auto_record: true\n");
	talk();
	fake_hold(pbx, alice, true);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.paused"), 0);
	end();
	begin("call_recording:\n  auto_record: true\n  hold_mode: pause\n");
	talk();
	fake_hold(pbx, alice, true);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.paused"), 1);
	both_show(PBX_RECORDING_PAUSED);
	fake_hold(pbx, bob, true);
	fake_hold(pbx, alice, false);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.resumed"), 0); /* bob holds still */
	fake_hold(pbx, bob, false);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.resumed"), 1);
	both_show(PBX_RECORDING_ON);
	ck_assert_uint_eq(act("pause"), 200);
	fake_hold(pbx, alice, true);
	fake_hold(pbx, alice, false);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.resumed"), 1); /* somebody else paused it */
	end();
}
END_TEST

START_TEST(wishes_of_phones_are_heeded_where_a_rule_says_so)
{
	begin(RULE("record: always, heed_wishes: true"));
	talk();
	fake_wishes_recording(pbx, alice, PBX_RECORDING_PAUSED);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.paused"), 1);
	fake_wishes_recording(pbx, alice, PBX_RECORDING_AS_YOU_LIKE);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.resumed"), 1);
	ck_assert_uint_eq(act("pause"), 200);
	fake_wishes_recording(pbx, bob, PBX_RECORDING_ON); /* somebody else paused it */
	ck_assert_uint_eq(fake_event_count(pbx, "recording.resumed"), 1);
	fake_wishes_recording(pbx, alice, PBX_RECORDING_OFF);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 1);
	ck_assert_int_eq(fake_transfer(pbx, bob, "1003"), PBX_OK);
	fake_answer(pbx, fake_leg(pbx, "1003"));
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 1);
	end();
}
END_TEST

START_TEST(wishes_of_phones_are_passed_over_otherwise)
{
	begin("call_recording:\n  heed_wishes: true\n");
	talk();
	ck_assert_uint_eq(act("start"), 200); /* somebody wants it */
	fake_wishes_recording(pbx, alice, PBX_RECORDING_OFF);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 0);
	end();
	begin(RULE("record: always"));
	talk();
	fake_wishes_recording(pbx, alice, PBX_RECORDING_OFF);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.record_wish"), "wish"), "off");
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.paused"), 0);
	end();
}
END_TEST

START_TEST(what_is_shorter_than_wanted_is_not_kept)
{
	begin(RULE("record: always"));
	talk();
	fake_pass_ms(pbx, 2900);
	fake_hangup(pbx, alice);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.stopped"), "outcome"), "too_short");
	ck_assert_str_eq(first_id(), "");
	end();
}
END_TEST

START_TEST(a_transfer_is_another_part_of_the_same_group)
{
	begin(RULE("extensions: ['1002'], record: always"));
	talk();
	fake_pass_ms(pbx, 4000);
	ck_assert_int_eq(fake_transfer(pbx, bob, "1003"), PBX_OK);
	fake_answer(pbx, fake_leg(pbx, "1003"));
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 2);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.started"), "reason"), "transfer");
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	char group[40];

	(void)snprintf(group, sizeof group, "%s", listed("items.0.group_id"));
	ck_assert_str_eq(listed("items.1.group_id"), group);
	end();
}
END_TEST

START_TEST(who_was_no_party_is_refused_and_noted)
{
	char path[100];

	begin(RULE("record: always"));
	talk();
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	(void)snprintf(path, sizeof path, "/recordings/%s/audio", first_id());
	(void)fake_http_as(pbx, "carol", "recordings:read", "1003", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 403);
	const char *theirs = fake_http_as(pbx, "carol", "recordings:read", "1003", "GET", "/recordings", NULL);

	ck_assert_ptr_null(fake_json(pbx, theirs, "items.0.id"));
	const char *sound = fake_http_as(pbx, "alice", "recordings:read", "1001", "GET", path, NULL);

	ck_assert_uint_eq(fake_status(pbx), 200);
	ck_assert_str_eq(fake_content_type(pbx), "audio/wav");
	ck_assert_ptr_nonnull(strstr(sound, "wav both swapped, 4000 ms")); /* of the called party's leg */
	(void)snprintf(path, sizeof path, "/recordings/%s/accesses", first_id());
	const char *accesses = fake_http(pbx, "GET", path, NULL);

	ck_assert_str_eq(fake_json(pbx, accesses, "items.0.actor"), "carol");
	ck_assert_str_eq(fake_json(pbx, accesses, "items.0.action"), "audio refused");
	ck_assert_str_eq(fake_json(pbx, accesses, "items.1.action"), "audio");
	end();
}
END_TEST

START_TEST(with_encrypt_the_disk_has_nothing_to_hear)
{
	char path[600], begins[20] = "";

	begin("call_recording:\n  auto_record: true\n  encrypt: true\n");
	talk();
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	(void)snprintf(path, sizeof path, "%s/plugins/call_recording/recordings/%s", fake_dir(pbx),
		       fake_json(pbx, fake_event(pbx, "recording.stopped"), "path"));
	FILE *file = fopen(path, "r");

	ck_assert_msg(file != NULL, "%s", path);
	ck_assert_ptr_nonnull(fgets(begins, 9, file));
	(void)fclose(file);
	ck_assert_str_eq(begins, "PBXREC1\n");
	(void)snprintf(path, sizeof path, "/recordings/%s/audio", first_id());
	ck_assert_ptr_nonnull(strstr(fake_http(pbx, "GET", path, NULL), "RIFF wav both swapped, 4000 ms"));
	(void)snprintf(path, sizeof path, "recording verify %s", first_id());
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, path), "found"), "as recorded");
	end();
}
END_TEST

static void damage(void)
{
	char path[600];

	(void)snprintf(path, sizeof path, "%s/plugins/call_recording/recordings/%s", fake_dir(pbx),
		       fake_json(pbx, fake_event(pbx, "recording.stopped"), "path"));
	FILE *file = fopen(path, "r+");

	ck_assert_msg(file != NULL, "%s", path);
	(void)fputc('X', file);
	(void)fclose(file);
}

START_TEST(a_file_that_was_changed_is_not_handed_out)
{
	char line[100], path[100];

	begin(RULE("record: always"));
	talk();
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	(void)snprintf(line, sizeof line, "recording verify %s", first_id());
	(void)snprintf(path, sizeof path, "/recordings/%s/audio", first_id());
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, line), "found"), "as recorded");
	damage();
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, line), "found"), "changed");
	const char *problem = fake_http(pbx, "GET", path, NULL);

	ck_assert_uint_eq(fake_status(pbx), 500);
	ck_assert_str_eq(fake_json(pbx, problem, "code"), "INTEGRITY");
	end();
}
END_TEST

START_TEST(another_form_is_for_sound_that_can_be_heard)
{
	char path[200];

	begin(RULE("record: always"));
	talk();
	(void)snprintf(path, sizeof path, "/recordings/%s/audio?format=flac",
		       fake_json(pbx, fake_http(pbx, "GET", "/recordings/active", NULL), "items.0.id"));
	const char *lasts = fake_http(pbx, "GET", path, NULL);

	ck_assert_uint_eq(fake_status(pbx), 409);
	ck_assert_str_eq(fake_json(pbx, lasts, "code"), "lasts");
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	const char *none = fake_http(pbx, "GET", path, NULL); /* the fake media's files are no sound */

	ck_assert_uint_eq(fake_status(pbx), 415);
	ck_assert_str_eq(fake_json(pbx, none, "code"), "no_such_form");
	(void)snprintf(path, sizeof path, "/recordings/%s/audio?channel=middle", first_id());
	(void)fake_http(pbx, "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 400);
	damage();
	(void)snprintf(path, sizeof path, "/recordings/%s/audio?channel=left", first_id());
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "code"), "INTEGRITY");
	(void)snprintf(path, sizeof path, "/recordings/%s", first_id());
	(void)fake_http(pbx, "DELETE", path, NULL);
	strcat(path, "/audio?channel=left");
	(void)fake_http(pbx, "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	end();
}
END_TEST

START_TEST(an_export_has_what_one_may_have)
{
	char path[200], id[27];

	begin(RULE("record: always"));
	(void)fake_http(pbx, "GET", "/recordings/export?ids=", NULL);
	ck_assert_uint_eq(fake_status(pbx), 400);
	const char *none = fake_http(pbx, "GET", "/recordings/export?ids=01J00000000000000000000000", NULL);

	ck_assert_uint_eq(fake_status(pbx), 404);
	ck_assert_ptr_nonnull(strstr(fake_json(pbx, none, "detail"), "01J00000000000000000000000"));
	talk();
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	(void)snprintf(id, sizeof id, "%s", first_id());
	(void)snprintf(path, sizeof path, "/recordings/export?ids=%s,%s", id, id);
	(void)fake_http_as(pbx, "carol", "recordings:read", "1003", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 403);
	(void)fake_http_as(pbx, "alice", "recordings:read", "1001", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 200);
	ck_assert_str_eq(fake_content_type(pbx), "application/zip");
	damage();
	(void)fake_http_as(pbx, "alice", "recordings:read", "1001", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 200); /* the manifest says what is missing */
	(void)snprintf(path, sizeof path, "/recordings/%s/accesses", id);
	const char *accesses = fake_http(pbx, "GET", path, NULL);

	ck_assert_str_eq(fake_json(pbx, accesses, "items.0.action"), "export refused");
	ck_assert_str_eq(fake_json(pbx, accesses, "items.1.action"), "export");
	end();
}
END_TEST

START_TEST(what_is_on_legal_hold_is_not_deleted)
{
	char path[100], hold[120];

	begin(RULE("record: always"));
	talk();
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	(void)snprintf(path, sizeof path, "/recordings/%s", first_id());
	(void)snprintf(hold, sizeof hold, "%s/hold", path);
	(void)fake_http(pbx, "PUT", hold, "{\"hold\": true}");
	ck_assert_uint_eq(fake_status(pbx), 204);
	(void)fake_http(pbx, "DELETE", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 409);
	(void)fake_http(pbx, "PUT", hold, "{\"hold\": false}");
	(void)fake_http(pbx, "DELETE", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.deleted"), 1);
	ck_assert_str_eq(first_id(), "");
	(void)fake_http(pbx, "DELETE", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	end();
}
END_TEST

START_TEST(tags_are_kept_and_looked_for)
{
	char path[100];

	begin(RULE("record: always"));
	talk();
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, alice);
	(void)snprintf(path, sizeof path, "/recordings/%s/tags", first_id());
	(void)fake_http(pbx, "PUT", path, "{\"tags\": [\"claim\", \"vip\"]}");
	ck_assert_uint_eq(fake_status(pbx), 204);
	ck_assert_ptr_nonnull(fake_json(pbx, fake_http(pbx, "GET", "/recordings?tag=vip", NULL), "items.0.id"));
	ck_assert_ptr_null(fake_json(pbx, fake_http(pbx, "GET", "/recordings?tag=vi", NULL), "items.0.id"));
	(void)fake_http(pbx, "PUT", path, "{\"tags\": [\"a,b\"]}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	end();
}
END_TEST

START_TEST(a_name_from_outside_is_no_path)
{
	begin("call_recording:\n  auto_record: true\n");
	(void)fake_dial_from_outside(pbx, "../../etc/x", "1001");
	fake_answer(pbx, fake_leg(pbx, "1001"));
	const char *path = fake_json(pbx, fake_event(pbx, "recording.started"), "path");

	ck_assert_ptr_null(strstr(path, ".."));
	ck_assert_ptr_nonnull(strstr(path, "______etc_x_to_1001_"));
	end();
}
END_TEST

START_TEST(a_new_version_goes_on_with_what_lasts)
{
	begin(RULE("record: always"));
	talk();
	fake_pass_ms(pbx, 2000);
	ck_assert_int_eq(fake_reload_plugin(pbx, "call_recording"), PBX_OK);
	fake_pass_ms(pbx, 2000);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/recordings/active", NULL), "items.0.from"), "1001");
	ck_assert_uint_eq(act("pause"), 200);
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 1);
	ck_assert_str_eq(listed("items.0.duration_ms"), "4000");
	end();
}
END_TEST

START_TEST(two_rules_of_one_name_and_keys_used_twice_are_refused)
{
	begin("");
	const char *answer = fake_http(pbx, "PATCH", "/config/call_recording.key_pause", "{\"value\": \"*1\"}");

	ck_assert_msg(fake_status(pbx) >= 400 && strstr(answer, "choose other keys"), "%s", answer);
	answer = fake_http(pbx, "PATCH", "/config/call_recording.rules", "{\"value\": [{\"name\": \"one\"}, {\"name\": \"one\"}]}");
	ck_assert_msg(fake_status(pbx) >= 400 && strstr(answer, "give each a name of its own"), "%s", answer);
	end();
}
END_TEST

CHECK_MAIN("call_recording", what_a_rule_names_is_recorded_from_the_first_word, the_first_rule_that_fits_decides,
	   nobody_is_recorded_without_a_rule_and_everybody_with_auto_record, a_share_of_none_records_none, keys_begin_pause_and_end_it,
	   what_a_rule_records_no_key_ends, a_caller_from_outside_has_no_say, requests_begin_pause_and_end_it_and_say_when_it_is_so_already,
	   phones_that_show_it_are_told_of_each_turn, who_is_sent_on_shows_what_the_next_conversation_is,
	   a_recording_is_paused_while_somebody_is_on_hold_where_that_is_wanted, wishes_of_phones_are_heeded_where_a_rule_says_so,
	   wishes_of_phones_are_passed_over_otherwise, what_is_shorter_than_wanted_is_not_kept,
	   a_transfer_is_another_part_of_the_same_group, who_was_no_party_is_refused_and_noted, with_encrypt_the_disk_has_nothing_to_hear,
	   a_file_that_was_changed_is_not_handed_out, another_form_is_for_sound_that_can_be_heard, an_export_has_what_one_may_have,
	   what_is_on_legal_hold_is_not_deleted, tags_are_kept_and_looked_for, a_name_from_outside_is_no_path,
	   a_new_version_goes_on_with_what_lasts, two_rules_of_one_name_and_keys_used_twice_are_refused)
