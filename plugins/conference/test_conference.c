/* plugins/conference/test_conference.c - who comes into a room, what they hear on the way, what keys do, and what others may do to them */
#include "../../tests/check_main.h"
#include "calls.h"
#include "fake.h"
#include <string.h>
#include <sys/stat.h>

static struct fake_pbx *house_with(const char *plugins, const char *yaml)
{
	struct fake_pbx *pbx = fake_pbx_with_settings(plugins, yaml);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	return pbx;
}

static struct fake_pbx *house(const char *yaml)
{
	return house_with("conference", yaml);
}

/* With a class of music. */
static struct fake_pbx *house_with_music(const char *yaml)
{
	static const char wav[] = "RIFF\x24\0\0\0WAVEfmt and enough more to be the head of a file";
	struct fake_pbx *pbx = house_with("conference,music_on_hold", yaml);
	char path[512], line[600];

	(void)snprintf(path, sizeof path, "%s/music", fake_dir(pbx));
	ck_assert_int_eq(mkdir(path, 0700), 0);
	(void)snprintf(line, sizeof line, "config set music_on_hold.directory '%s'", path);
	(void)snprintf(path, sizeof path, "%s/music/default", fake_dir(pbx));
	ck_assert_int_eq(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof path, "%s/music/default/a.wav", fake_dir(pbx));
	FILE *file = fopen(path, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(wav, 1, sizeof wav, file), sizeof wav);
	ck_assert_int_eq(fclose(file), 0);
	(void)fake_command(pbx, line);
	ck_assert_uint_eq(fake_status(pbx), 200);
	fake_settle(pbx);
	return pbx;
}

static const char *participant(struct fake_pbx *pbx, const char *room, uint32_t at, const char *member)
{
	char path[64], what[64];

	(void)snprintf(path, sizeof path, "/conferences/%s/participants", room);
	(void)snprintf(what, sizeof what, "items.%u.%s", at, member);
	return fake_json(pbx, fake_http(pbx, "GET", path, NULL), what);
}

static void types(struct fake_pbx *pbx, pbx_leg leg, const char *digits)
{
	fake_digits(pbx, leg, digits);
}

/* ---- coming and going --------------------------------------------------------------------- */

START_TEST(whoever_dials_a_number_talks_with_everybody_who_did)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000"), c = fake_dial(pbx, "1003", "2000");

	ck_assert(fake_talk(pbx, a, b));
	fake_finish_in_room(pbx, a); /* the tone for c */
	ck_assert(fake_talk(pbx, b, c) && fake_talk(pbx, a, c));
	ck_assert_uint_eq(fake_event_count(pbx, "conference.started"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "conference.participant_joined"), 3);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/conferences/2000", NULL), "participants"), "3");
	ck_assert_str_eq(participant(pbx, "2000", 2, "extension"), "1003");
	fake_pass_ms(pbx, 5000);
	fake_hangup(pbx, a);
	fake_hangup(pbx, b);
	fake_hangup(pbx, c);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "conference.ended"), "duration_ms"), "5000");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "conference.ended"), "peak"), "3");
	(void)fake_http(pbx, "GET", "/conferences/2000", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404); /* it was made by dialling */
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.ended"), "disposition"), "answered");
}
END_TEST

START_TEST(who_is_alone_hears_music_until_somebody_comes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_music("");
	pbx_leg a = fake_dial(pbx, "1001", "2000");
	const char *heard = fake_hearing(pbx, a);

	ck_assert_msg(strncmp(heard, "source:", 7) == 0, "hears %s", heard);
	pbx_leg b = fake_dial(pbx, "1002", "2000");
	ck_assert(fake_talk(pbx, a, b));
	fake_hangup(pbx, b);
	ck_assert_int_eq(strncmp(fake_hearing(pbx, a), "source:", 7), 0);
	types(pbx, a, "1");
	ck_assert(fake_hears(pbx, a, "prompt:muted"));
	fake_finish_prompt(pbx, a);
	ck_assert_int_eq(strncmp(fake_hearing(pbx, a), "source:", 7), 0); /* and goes on after a prompt */
}
END_TEST

START_TEST(a_tone_tells_of_who_comes_and_goes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");

	ck_assert(fake_hears(pbx, a, "tone:beep"));
	fake_finish_in_room(pbx, a);
	fake_hangup(pbx, b);
	ck_assert(fake_hears(pbx, a, "tone:beep"));
}
END_TEST

START_TEST(how_many_are_there_is_said_where_that_is_wanted)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce_count: true\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");

	ck_assert_msg(fake_hears(pbx, b, "prompt:conference_count 1"), "hears %s", fake_hearing(pbx, b));
	ck_assert(!fake_hears_leg(pbx, a, b));
	fake_finish_prompt(pbx, b);
	ck_assert(fake_talk(pbx, a, b));
}
END_TEST

START_TEST(only_rooms_of_the_settings_where_none_are_made)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house("conference:\n  allow_dynamic: false\n  rooms:\n    - number: \"2001\"\n");

	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "2000")), 404);
	pbx_leg a = fake_dial(pbx, "1001", "2001");
	ck_assert_uint_eq(fake_state(pbx, a), PBX_LEG_ANSWERED);
	fake_hangup(pbx, a);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/conferences/2001", NULL), "active"), "false");
}
END_TEST

/* ---- the door ------------------------------------------------------------------------------- */

#define WITH_PINS "conference:\n  rooms:\n    - number: \"2000\"\n      pin: \"4321\"\n      moderator_pin: \"9999\"\n"

START_TEST(a_pin_is_asked_for_and_three_wrong_ones_are_enough)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house(WITH_PINS);
	pbx_leg a = fake_dial(pbx, "1001", "2000");

	ck_assert(fake_hears(pbx, a, "prompt:enter_pin"));
	types(pbx, a, "1");
	ck_assert(fake_hears(pbx, a, "nothing")); /* cut by the first key */
	types(pbx, a, "234#");
	ck_assert(fake_hears(pbx, a, "prompt:invalid_pin"));
	types(pbx, a, "4321999999999999999#");
	ck_assert(fake_hears(pbx, a, "prompt:invalid_pin"));
	types(pbx, a, "#");
	ck_assert(fake_hears(pbx, a, "prompt:invalid_pin"));
	fake_finish_prompt(pbx, a);
	ck_assert_uint_eq(fake_cause(pbx, a), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(fake_event_count(pbx, "conference.*"), 0);
	pbx_leg b = fake_dial(pbx, "1002", "2000");
	types(pbx, b, "4321#");
	ck_assert_str_eq(participant(pbx, "2000", 0, "state"), "in");
	ck_assert_str_eq(participant(pbx, "2000", 0, "moderator"), "false");
	pbx_leg c = fake_dial(pbx, "1003", "2000");
	types(pbx, c, "9999#");
	ck_assert_str_eq(participant(pbx, "2000", 1, "moderator"), "true");
}
END_TEST

START_TEST(who_thinks_too_long_has_typed_what_is_there)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house(WITH_PINS);
	pbx_leg a = fake_dial(pbx, "1001", "2000");

	types(pbx, a, "4321");
	fake_pass_ms(pbx, 10000);
	ck_assert_str_eq(participant(pbx, "2000", 0, "state"), "in");
	pbx_leg b = fake_dial(pbx, "1002", "2000");
	for (int i = 0; i < 3; i++) {
		fake_finish_prompt(pbx, b);
		fake_pass_ms(pbx, 10000);
	}
	fake_finish_prompt(pbx, b);
	ck_assert_uint_eq(fake_state(pbx, b), PBX_LEG_ENDED);
	fake_hangup(pbx, a);
}
END_TEST

START_TEST(a_full_room_says_so_and_lets_moderators_in)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx =
		house("conference:\n  rooms:\n    - number: \"2000\"\n      max_participants: 2\n      moderator_pin: \"9999\"\n"
		      "    - number: \"2001\"\n      max_participants: 2\n  reject_early: true\n");
	const char *const two[] = { "1001", "1002" };

	for (int i = 0; i < 2; i++) {
		types(pbx, fake_dial(pbx, two[i], "2000"), "#");
		(void)fake_dial(pbx, two[i], "2001");
	}
	pbx_leg third = fake_dial(pbx, "1003", "2000");
	types(pbx, third, "#");
	ck_assert(fake_hears(pbx, third, "prompt:conference_full"));
	fake_finish_prompt(pbx, third);
	ck_assert_uint_eq(fake_state(pbx, third), PBX_LEG_ENDED);
	third = fake_dial(pbx, "1003", "2000");
	types(pbx, third, "9999#");
	ck_assert_str_eq(participant(pbx, "2000", 2, "state"), "in");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1003", "2001")), 486);
}
END_TEST

START_TEST(everybody_waits_for_the_moderator_and_goes_with_them)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house_with_music("conference:\n  rooms:\n    - number: \"2000\"\n      wait_for_moderator: true\n"
						"      end_when_moderator_leaves: true\n      moderator_pin: \"9999\"\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");

	types(pbx, a, "#");
	ck_assert_int_eq(strncmp(fake_hearing(pbx, a), "source:", 7), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "conference.started"), 0);
	types(pbx, b, "9999#");
	ck_assert(fake_talk(pbx, a, b));
	fake_hangup(pbx, b);
	ck_assert(fake_hears(pbx, a, "prompt:conference_ended"));
	fake_finish_prompt(pbx, a);
	ck_assert_uint_eq(fake_cause(pbx, a), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(fake_event_count(pbx, "conference.ended"), 1);
}
END_TEST

START_TEST(a_conference_ends_after_its_time)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  max_duration_s: 60\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000");

	fake_pass_ms(pbx, 60000);
	ck_assert(fake_hears(pbx, a, "prompt:conference_ended"));
	fake_pass_ms(pbx, 10000); /* whoever does not come to the prompt's end goes all the same */
	ck_assert_uint_eq(fake_state(pbx, a), PBX_LEG_ENDED);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "conference.participant_left"), "reason"), "ended");
}
END_TEST

/* ---- names ----------------------------------------------------------------------------------- */

static uint32_t joined(struct fake_pbx *pbx)
{
	return fake_event_count(pbx, "conference.participant_joined");
}

static uint32_t files_of_names(struct fake_pbx *pbx)
{
	char command[600];
	unsigned count = 0;

	(void)snprintf(command, sizeof command, "find %s -path '*/names/*' -type f | wc -l", fake_dir(pbx));
	FILE *out = popen(command, "r");

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(fscanf(out, "%u", &count), 1);
	(void)pclose(out);
	return count;
}

/* A file of ours, named like its member. */
static bool hears_a_name(struct fake_pbx *pbx, pbx_leg leg)
{
	const char *hears = fake_hearing(pbx, leg);

	return strncmp(hears, "prompt:", 7) == 0 && strspn(hears + 7, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == 26;
}

START_TEST(names_are_said_on_entry_and_heard_by_the_room)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce_names: true\n  moh_when_alone: false\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b, c;

	ck_assert(fake_hears(pbx, a, "prompt:conference_name"));
	types(pbx, a, "5#"); /* no name */
	ck_assert_uint_eq(joined(pbx), 1);
	b = fake_dial(pbx, "1002", "2000");
	fake_finish_prompt(pbx, b);
	fake_pass_ms(pbx, 800);
	ck_assert_uint_eq(joined(pbx), 1); /* it speaks */
	types(pbx, b, "#");
	ck_assert_uint_eq(joined(pbx), 2);
	ck_assert(hears_a_name(pbx, a));
	ck_assert_uint_eq(files_of_names(pbx), 1);
	fake_finish_in_room(pbx, a);
	c = fake_dial(pbx, "1003", "2000");
	types(pbx, c, "#");
	ck_assert_ptr_nonnull(strstr(fake_hearing(pbx, a), "3 conference_has_joined")); /* by number */
	fake_finish_in_room(pbx, a);
	fake_hangup(pbx, b);
	ck_assert(hears_a_name(pbx, a));
	fake_hangup(pbx, c);
	fake_hangup(pbx, a);
	ck_assert_uint_eq(files_of_names(pbx), 0);
}
END_TEST

START_TEST(who_goes_while_saying_a_name_leaves_nothing_behind)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce_names: true\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000");

	fake_finish_prompt(pbx, a);
	fake_pass_ms(pbx, 500);
	fake_hangup(pbx, a);
	ck_assert_uint_eq(joined(pbx), 0);
	ck_assert_uint_eq(files_of_names(pbx), 0);
}
END_TEST

START_TEST(an_upgrade_keeps_the_names)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce_names: true\n  moh_when_alone: false\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000"), c;

	types(pbx, a, "#");
	fake_finish_prompt(pbx, b);
	fake_pass_ms(pbx, 800);
	types(pbx, b, "#");
	c = fake_dial(pbx, "1003", "2000"); /* is asked as the old one goes */
	(void)fake_command(pbx, "plugin reload conference");
	fake_settle(pbx);
	ck_assert_uint_eq(joined(pbx), 3);
	fake_finish_in_room(pbx, a);
	fake_hangup(pbx, b);
	ck_assert(hears_a_name(pbx, a));
	fake_hangup(pbx, c);
	fake_hangup(pbx, a);
	ck_assert_uint_eq(files_of_names(pbx), 0);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

START_TEST(keys_reach_the_others_where_the_room_wants_that)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house("conference:\n  rooms: [{number: \"2000\", announce: false, dtmf_passthrough: true}, {number: "
				     "\"2001\", announce: false}]\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000"), c = fake_dial(pbx, "1003", "2001");

	types(pbx, b, "18#");
	ck_assert_str_eq(fake_digits_heard(pbx, a), "18#");
	ck_assert_str_eq(fake_digits_heard(pbx, b), "");
	ck_assert_str_eq(fake_digits_heard(pbx, c), "");
	ck_assert(!fake_hears(pbx, b, "prompt:muted"));
	types(pbx, b, "*1"); /* that is for us */
	ck_assert(fake_hears(pbx, b, "prompt:muted"));
	types(pbx, b, "**");
	ck_assert(fake_hears(pbx, b, "prompt:conference_menu"));
	types(pbx, b, "*");
	fake_pass_ms(pbx, 4000); /* thought better of it */
	types(pbx, b, "2");
	ck_assert_str_eq(fake_digits_heard(pbx, a), "18#2");
}
END_TEST

START_TEST(keys_mute_and_turn_volumes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce: false\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");

	types(pbx, b, "1");
	ck_assert(fake_hears(pbx, b, "prompt:muted"));
	ck_assert(!fake_hears_leg(pbx, a, b));
	ck_assert_str_eq(participant(pbx, "2000", 1, "muted"), "true");
	fake_finish_prompt(pbx, b);
	ck_assert(fake_hears_leg(pbx, b, a));
	types(pbx, b, "1");
	ck_assert(fake_hears(pbx, b, "prompt:unmuted"));
	ck_assert(fake_hears_leg(pbx, a, b));
	ck_assert_uint_eq(fake_event_count(pbx, "conference.participant_muted"), 2);
	types(pbx, b, "6699");
	ck_assert_str_eq(participant(pbx, "2000", 1, "hear_volume_db"), "6");
	ck_assert_str_eq(participant(pbx, "2000", 1, "talk_volume_db"), "6");
	types(pbx, b, "44444444444");
	ck_assert_str_eq(participant(pbx, "2000", 1, "hear_volume_db"), "-12");
	types(pbx, b, "0");
	ck_assert(fake_hears(pbx, b, "prompt:conference_count 2"));
	types(pbx, b, "*");
	ck_assert(fake_hears(pbx, b, "prompt:conference_menu"));
	types(pbx, b, "3");
	ck_assert(fake_hears(pbx, b, "prompt:not_allowed"));
	ck_assert_str_eq(fake_digits_heard(pbx, a), ""); /* keys are for us alone */
	types(pbx, b, "8");
	ck_assert_uint_eq(fake_cause(pbx, b), PBX_CAUSE_NORMAL);
}
END_TEST

START_TEST(moderators_lock_eject_and_mute_everybody)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx =
		house("conference:\n  rooms:\n    - number: \"2000\"\n      moderator_pin: \"9999\"\n      announce: false\n");
	pbx_leg boss = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000"), c;

	types(pbx, boss, "9999#");
	types(pbx, b, "#");
	types(pbx, boss, "5");
	ck_assert(!fake_hears_leg(pbx, boss, b) && fake_hears_leg(pbx, b, boss));
	types(pbx, boss, "5");
	fake_finish_prompt(pbx, boss);
	ck_assert(fake_talk(pbx, boss, b));
	types(pbx, boss, "2");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "conference.locked"), "locked"), "true");
	c = fake_dial(pbx, "1003", "2000");
	types(pbx, c, "#");
	ck_assert(fake_hears(pbx, c, "prompt:conference_locked"));
	fake_hangup(pbx, c);
	types(pbx, boss, "3");
	ck_assert(fake_hears(pbx, b, "prompt:kicked"));
	fake_finish_prompt(pbx, b);
	ck_assert_uint_eq(fake_cause(pbx, b), PBX_CAUSE_NORMAL);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "conference.participant_left"), "reason"), "kicked");
	types(pbx, boss, "3");
	ck_assert(fake_hears(pbx, boss, "prompt:invalid")); /* nobody is left to eject */
}
END_TEST

START_TEST(a_moderator_records_the_room_and_everybody_is_told)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = fake_pbx_with_settings(
		"conference,call_recording", "conference:\n  rooms: [{number: \"2000\", moderator_pin: \"9999\", announce: false}]\n");
	const char *group;

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	pbx_leg boss = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");
	types(pbx, boss, "9999#");
	types(pbx, b, "#");
	types(pbx, b, "*5");
	ck_assert(fake_hears(pbx, b, "prompt:not_allowed"));
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 0);
	fake_finish_prompt(pbx, b);
	types(pbx, boss, "*5");
	ck_assert(fake_hears(pbx, b, "prompt:conference_recorded"));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.started"), "to"), "2000");
	ck_assert_uint_eq(fake_recorded(boss), PBX_RECORDING_ON);
	ck_assert_uint_eq(fake_recorded(b), PBX_RECORDING_ON);
	pbx_leg late = fake_dial(pbx, "1003", "2000");
	types(pbx, late, "#");
	ck_assert_uint_eq(fake_recorded(late), PBX_RECORDING_ON);
	(void)fake_http(pbx, "POST", "/conferences/2000/participants/1003/kick", NULL);
	ck_assert_uint_eq(fake_recorded(late), PBX_RECORDING_OFF); /* it is in no more, and hears why */
	fake_finish_prompt(pbx, late);
	group = strdup(fake_json(pbx, fake_event(pbx, "recording.started"), "group_id"));
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/conferences/2000", NULL), "recording"), "true");

	fake_hangup(pbx, boss); /* it was recorded by its line */
	ck_assert_uint_eq(fake_event_count(pbx, "recording.started"), 2);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.started"), "group_id"), group);
	ck_assert_uint_eq(fake_recorded(b), PBX_RECORDING_ON); /* by its own line now */
	free((char *)group);
	(void)fake_http(pbx, "POST", "/conferences/2000/record", "{\"on\": false}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	ck_assert(fake_hears(pbx, b, "prompt:conference_not_recorded"));
	ck_assert_uint_eq(fake_recorded(b), PBX_RECORDING_OFF);
	fake_hangup(pbx, b);
	(void)fake_http(pbx, "POST", "/conferences/2000/record", "{\"on\": true}");
	ck_assert_uint_eq(fake_status(pbx), 409);
}
END_TEST

START_TEST(nothing_is_recorded_where_nobody_keeps_it)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx =
		house("conference:\n  rooms: [{number: \"2000\", moderator_pin: \"9999\", announce: false, record: true}]\n");
	pbx_leg boss = fake_dial(pbx, "1001", "2000");

	types(pbx, boss, "9999#");
	types(pbx, boss, "*");
	ck_assert(fake_hears(pbx, boss, "prompt:conference_menu_moderator"));
	types(pbx, boss, "5");
	ck_assert(fake_hears(pbx, boss, "prompt:invalid"));
	fake_pass_ms(pbx, 5000);
	types(pbx, boss, "*");
	fake_pass_ms(pbx, 5000);
	types(pbx, boss, "5"); /* so late it is a key of its own */
	ck_assert(fake_hears(pbx, boss, "prompt:conference_all_muted"));
	(void)fake_http(pbx, "POST", "/conferences/2000/record", "{\"on\": true}");
	ck_assert_uint_eq(fake_status(pbx), 503);
}
END_TEST

START_TEST(who_watches_a_room_sees_who_comes_is_muted_and_goes)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house("conference:\n  announce: false\n  rooms: [{number: \"2001\", pin: \"4321\", announce: false}]\n");
	const char *seen;

	ck_assert_int_eq(fake_subscribe(pbx, "conference", "1009", "2000", NULL), PBX_ENOENT);
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");
	ck_assert_int_eq(fake_subscribe(pbx, "conference", "1009", "2000", NULL), PBX_OK);
	seen = fake_document(pbx, "conference", "1009", "2000", NULL);
	ck_assert_ptr_nonnull(strstr(seen, "<user-count>2</user-count><active>true</active><locked>false</locked>"));
	ck_assert_ptr_nonnull(strstr(seen, "<user entity=\"sip:1002@"));
	ck_assert_ptr_null(strstr(seen, "muted-via-focus"));
	uint32_t changes = fake_changes(pbx, "conference", "2000");
	types(pbx, a, "1");
	ck_assert_uint_gt(fake_changes(pbx, "conference", "2000"), changes);
	seen = fake_document(pbx, "conference", "1009", "2000", NULL);
	ck_assert_ptr_nonnull(strstr(seen, "<status>muted-via-focus</status>"));
	ck_assert_ptr_nonnull(strstr(seen, "<status>recvonly</status>"));
	fake_hangup(pbx, a);
	seen = fake_document(pbx, "conference", "1009", "2000", NULL);
	ck_assert_ptr_null(strstr(seen, "sip:1001@"));
	fake_hangup(pbx, b);
	ck_assert_ptr_null(fake_document(pbx, "conference", "1009", "2000", NULL));
	b = fake_dial(pbx, "1002", "2001");
	types(pbx, b, "4321#");
	seen = fake_document(pbx, "conference", "1009", "2001", NULL);
	ck_assert(strstr(seen, "<user-count>1</user-count>") && !strstr(seen, "sip:1002@"));
	ck_assert_ptr_nonnull(strstr(fake_document(pbx, "conference", "1002", "2001", NULL), "sip:1002@"));
}
END_TEST

/* ---- from outside -------------------------------------------------------------------------------- */

START_TEST(rest_makes_changes_and_removes_rooms_and_they_survive_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const char *made =
		fake_http(pbx, "POST", "/conferences", "{\"room\":\"2010\",\"name\":\"Board\",\"pin\":\"11\",\"moderator_pin\":\"22\"}");

	ck_assert_uint_eq(fake_status(pbx), 201);
	ck_assert_str_eq(fake_json(pbx, made, "has_pin"), "true");
	ck_assert_ptr_null(fake_json(pbx, made, "pin"));
	(void)fake_http(pbx, "POST", "/conferences", "{\"room\":\"2010\"}");
	ck_assert_uint_eq(fake_status(pbx), 409);
	(void)fake_http(pbx, "POST", "/conferences", "{\"room\":\"3010\"}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http(pbx, "POST", "/conferences", "{\"room\":\"2011\",\"wait_for_moderator\":true}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http(pbx, "POST", "/conferences", "{\"room\":\"2011\",\"pin\":\"abc\"}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http(pbx, "PUT", "/conferences/2010", "{\"max_participants\":3}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	fake_restart(pbx);
	fake_registered(pbx, "1001");
	const char *known = fake_http(pbx, "GET", "/conferences/2010", NULL);
	ck_assert_str_eq(fake_json(pbx, known, "name"), "Board");
	ck_assert_str_eq(fake_json(pbx, known, "max_participants"), "3");
	pbx_leg a = fake_dial(pbx, "1001", "2010");
	types(pbx, a, "22#");
	ck_assert_str_eq(participant(pbx, "2010", 0, "moderator"), "true");
	(void)fake_http(pbx, "DELETE", "/conferences/2010", NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	ck_assert(fake_hears(pbx, a, "prompt:conference_ended"));
	fake_finish_prompt(pbx, a);
	(void)fake_http(pbx, "GET", "/conferences/2010", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
}
END_TEST

START_TEST(rest_mutes_kicks_locks_and_plays)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce: false\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");

	(void)fake_http(pbx, "POST", "/conferences/2000/participants/1002/mute", NULL);
	ck_assert(!fake_hears_leg(pbx, a, b));
	(void)fake_http(pbx, "POST", "/conferences/2000/participants/1002/unmute", NULL);
	(void)fake_http(pbx, "POST", "/conferences/2000/participants/1002/deaf", NULL);
	ck_assert(fake_hears_leg(pbx, a, b) && !fake_hears_leg(pbx, b, a));
	(void)fake_http(pbx, "POST", "/conferences/2000/participants/1002/undeaf", NULL);
	(void)fake_http(pbx, "POST", "/conferences/2000/participants/1002/volume", "{\"talk_db\":6}");
	ck_assert_str_eq(participant(pbx, "2000", 1, "talk_volume_db"), "6");
	(void)fake_http(pbx, "POST", "/conferences/2000/mute-all", NULL);
	ck_assert(!fake_hears_leg(pbx, a, b) && !fake_hears_leg(pbx, b, a));
	(void)fake_http(pbx, "POST", "/conferences/2000/unmute-all", NULL);
	ck_assert(fake_talk(pbx, a, b));
	(void)fake_http(pbx, "POST", "/conferences/2000/play", "{\"prompt\":\"welcome\"}");
	ck_assert(fake_hears(pbx, a, "prompt:welcome") && fake_hears(pbx, b, "prompt:welcome"));
	(void)fake_http(pbx, "POST", "/conferences/2000/lock", NULL);
	pbx_leg c = fake_dial(pbx, "1003", "2000");
	ck_assert(fake_hears(pbx, c, "prompt:conference_locked"));
	(void)fake_http(pbx, "POST", "/conferences/2000/participants/nobody/mute", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http(pbx, "POST", "/conferences/2000/participants/1002/kick", NULL);
	ck_assert(fake_hears(pbx, b, "prompt:kicked"));
	fake_speak(pbx, a, true);
	ck_assert_str_eq(participant(pbx, "2000", 0, "talking"), "true");
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/conferences/2000", NULL), "speaker"), participant(pbx, "2000", 0, "id"));
	(void)fake_http(pbx, "POST", "/conferences/2000/end", NULL);
	ck_assert(fake_hears(pbx, a, "prompt:conference_ended"));
}
END_TEST

START_TEST(a_user_sees_its_own_conferences_and_runs_those_it_moderates)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house(WITH_PINS);
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000");
	const char *scopes = "conference:read conference:write";

	types(pbx, a, "9999#");
	types(pbx, b, "4321#");
	ck_assert_ptr_null(fake_json(pbx, fake_http_as(pbx, "carl", scopes, "1003", "GET", "/conferences", NULL), "items.0"));
	(void)fake_http_as(pbx, "carl", scopes, "1003", "POST", "/conferences/2000/lock", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "bob", scopes, "1002", "POST", "/conferences/2000/lock", NULL);
	ck_assert_uint_eq(fake_status(pbx), 403);
	(void)fake_http_as(pbx, "bob", scopes, "1002", "POST", "/conferences/2000/participants/1001/mute", NULL);
	ck_assert_uint_eq(fake_status(pbx), 403);
	(void)fake_http_as(pbx, "bob", scopes, "1002", "POST", "/conferences/2000/participants/1002/mute", NULL);
	ck_assert_uint_eq(fake_status(pbx), 200);
	(void)fake_http_as(pbx, "ada", scopes, "1001", "POST", "/conferences/2000/participants/1002/kick", NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
}
END_TEST

START_TEST(who_is_invited_comes_in_by_pressing_one)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce: false\n");
	pbx_leg a = fake_dial(pbx, "1001", "2000");

	(void)fake_http(pbx, "POST", "/conferences/2000/invite", "{\"number\":\"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 202);
	pbx_leg b = fake_leg(pbx, "1002");
	fake_ring(pbx, b);
	fake_answer(pbx, b);
	ck_assert(fake_hears(pbx, b, "prompt:conference_invitation"));
	types(pbx, b, "51");
	ck_assert(fake_talk(pbx, a, b));
	(void)fake_http(pbx, "POST", "/conferences/2000/invite", "{\"number\":\"1003\"}");
	pbx_leg c = fake_leg(pbx, "1003"); /* a mailbox presses nothing */
	fake_answer(pbx, c);
	fake_finish_prompt(pbx, c);
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(fake_state(pbx, c), PBX_LEG_ENDED);
	(void)fake_http(pbx, "POST", "/conferences/2000/invite", "{\"number\":\"1003\"}");
	fake_refuse(pbx, fake_leg(pbx, "1003"), 486);
	ck_assert(fake_talk(pbx, a, b));
	(void)fake_http(pbx, "POST", "/conferences/2001/invite", "{\"number\":\"1003\"}");
	ck_assert_uint_eq(fake_status(pbx), 404);
}
END_TEST

/* ---- transfers ------------------------------------------------------------------------------------- */

START_TEST(a_call_is_transferred_into_a_room_and_a_member_into_another_place)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce: false\n");
	pbx_leg caller = fake_dial(pbx, "1003", "1001"), callee = fake_leg(pbx, "1001"), in = fake_dial(pbx, "1002", "2000");

	fake_answer(pbx, callee);
	ck_assert_int_eq(fake_transfer(pbx, callee, "2000"), PBX_OK);
	ck_assert(fake_talk(pbx, caller, in));
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
	/* the member asks that 1001 be there in its place */
	ck_assert_int_eq(fake_transfer(pbx, in, "1001"), PBX_OK);
	pbx_leg instead = fake_leg(pbx, "1001");
	fake_answer(pbx, instead);
	ck_assert(fake_talk(pbx, caller, instead));
	ck_assert_uint_eq(fake_state(pbx, in), PBX_LEG_ENDED);
}
END_TEST

START_TEST(an_attended_transfer_puts_its_partner_into_the_room)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("conference:\n  announce: false\n");
	pbx_leg caller = fake_dial(pbx, "1003", "1001"), callee = fake_leg(pbx, "1001"), other = fake_dial(pbx, "1002", "2000");

	fake_answer(pbx, callee);
	pbx_leg asking = fake_dial(pbx, "1001", "2000");
	ck_assert_int_eq(fake_transfer_to(pbx, callee, asking), PBX_OK);
	ck_assert(fake_talk(pbx, caller, other));
	ck_assert_uint_eq(fake_state(pbx, asking), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
}
END_TEST

/* ---- an upgrade ---------------------------------------------------------------------------------------- */

START_TEST(a_conference_goes_on_while_the_plugin_is_replaced)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_music(WITH_PINS);
	pbx_leg a = fake_dial(pbx, "1001", "2000"), b = fake_dial(pbx, "1002", "2000"), c = fake_dial(pbx, "1003", "2000");

	types(pbx, a, "9999#");
	types(pbx, b, "4321#");
	types(pbx, a, "1");
	fake_finish_in_room(pbx, b);
	const char *id = participant(pbx, "2000", 0, "id");
	ck_assert_int_eq(fake_reload_plugin(pbx, "conference"), PBX_OK);
	ck_assert(fake_hears_leg(pbx, a, b) && !fake_hears_leg(pbx, b, a));
	ck_assert_str_eq(participant(pbx, "2000", 0, "id"), id);
	ck_assert_str_eq(participant(pbx, "2000", 0, "moderator"), "true");
	ck_assert_uint_eq(fake_event_count(pbx, "conference.ended"), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "room.left"), 0); /* nobody has heard it */
	types(pbx, a, "1");
	ck_assert(fake_talk(pbx, a, b) || fake_hears_leg(pbx, b, a));
	types(pbx, c, "4321#");
	ck_assert_str_eq(participant(pbx, "2000", 2, "state"), "in");
	fake_hangup(pbx, a);
	fake_hangup(pbx, b);
	fake_hangup(pbx, c);
	ck_assert_uint_eq(fake_event_count(pbx, "conference.ended"), 1);
}
END_TEST

CHECK_MAIN("conference", whoever_dials_a_number_talks_with_everybody_who_did, who_is_alone_hears_music_until_somebody_comes,
	   a_tone_tells_of_who_comes_and_goes, how_many_are_there_is_said_where_that_is_wanted,
	   only_rooms_of_the_settings_where_none_are_made, a_pin_is_asked_for_and_three_wrong_ones_are_enough,
	   who_thinks_too_long_has_typed_what_is_there, a_full_room_says_so_and_lets_moderators_in,
	   everybody_waits_for_the_moderator_and_goes_with_them, a_conference_ends_after_its_time, keys_mute_and_turn_volumes,
	   keys_reach_the_others_where_the_room_wants_that, names_are_said_on_entry_and_heard_by_the_room,
	   who_goes_while_saying_a_name_leaves_nothing_behind, an_upgrade_keeps_the_names, moderators_lock_eject_and_mute_everybody,
	   rest_makes_changes_and_removes_rooms_and_they_survive_a_restart, rest_mutes_kicks_locks_and_plays,
	   a_user_sees_its_own_conferences_and_runs_those_it_moderates, who_is_invited_comes_in_by_pressing_one,
	   a_call_is_transferred_into_a_room_and_a_member_into_another_place, an_attended_transfer_puts_its_partner_into_the_room,
	   a_conference_goes_on_while_the_plugin_is_replaced, who_watches_a_room_sees_who_comes_is_muted_and_goes,
	   a_moderator_records_the_room_and_everybody_is_told, nothing_is_recorded_where_nobody_keeps_it)
