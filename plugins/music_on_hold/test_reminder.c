/* plugins/music_on_hold/test_reminder.c - whoever holds a call for long is rung, and takes it up by answering */
#include "../../tests/check_main.h"
#include "fake.h"
#include <string.h>

#define SETTINGS "music_on_hold:\n  directory: /nonexistent\n  hold_timeout_s: 60\n  hold_ring_s: 20\n"

/* 1001 has called 1002, who holds. */
struct held {
	struct fake_pbx *pbx;
	pbx_leg alice, bob;
};

static struct held hold(const char *yaml)
{
	struct held call = { .pbx = fake_pbx_with_settings("music_on_hold", yaml) };

	fake_registered(call.pbx, "1001");
	fake_registered(call.pbx, "1002");
	call.alice = fake_dial(call.pbx, "1001", "1002");
	call.bob = fake_leg(call.pbx, "1002");
	fake_answer(call.pbx, call.bob);
	fake_hold(call.pbx, call.bob, true);
	return call;
}

/* The phone of 1002 rings for the one on hold. */
static bool rings(const struct held *call)
{
	return fake_has_leg(call->pbx, "1002") && fake_leg(call->pbx, "1002").id != call->bob.id;
}

START_TEST(after_the_time_the_holders_phone_rings_and_answering_resumes)
{
	struct held call = hold(SETTINGS);
	AUTO(fake_pbx) struct fake_pbx *pbx = call.pbx;

	fake_pass_ms(pbx, 59999);
	ck_assert(!rings(&call));
	fake_pass_ms(pbx, 1);
	ck_assert(rings(&call));
	pbx_leg line = fake_leg(pbx, "1002");
	fake_ring(pbx, line);
	ck_assert_str_eq(fake_shown(pbx, line), "1001 On hold: 1001");
	fake_answer(pbx, line);
	ck_assert(fake_talk(pbx, call.alice, line));
	ck_assert_uint_eq(fake_cause(pbx, call.bob), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(fake_event_count(pbx, "call.resume"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 0);
	fake_pass_ms(pbx, 600000);
	ck_assert(fake_talk(pbx, call.alice, line));
	fake_hangup(pbx, call.alice);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 1);
}
END_TEST

START_TEST(unanswered_it_rings_again_after_the_same_time)
{
	struct held call = hold(SETTINGS);
	AUTO(fake_pbx) struct fake_pbx *pbx = call.pbx;

	for (int i = 0; i < 3; i++) {
		fake_pass_ms(pbx, 60000);
		ck_assert(rings(&call));
		fake_pass_ms(pbx, 20000);
		ck_assert(!rings(&call));
		ck_assert_uint_eq(fake_state(pbx, call.bob), PBX_LEG_ANSWERED);
	}
	fake_hangup(pbx, call.alice);
}
END_TEST

START_TEST(who_resumes_or_hangs_up_is_not_rung)
{
	struct held call = hold(SETTINGS);
	AUTO(fake_pbx) struct fake_pbx *pbx = call.pbx;

	fake_hold(pbx, call.bob, false);
	fake_pass_ms(pbx, 120000);
	ck_assert(!rings(&call));
	fake_hold(pbx, call.bob, true);
	fake_pass_ms(pbx, 60000);
	ck_assert(rings(&call));
	fake_hold(pbx, call.bob, false); /* while it rings */
	ck_assert(!rings(&call) && fake_talk(pbx, call.alice, call.bob));
	fake_hold(pbx, call.bob, true);
	fake_pass_ms(pbx, 60000);
	ck_assert(rings(&call));
	fake_hangup(pbx, call.alice);
	ck_assert(!fake_has_leg(pbx, "1002"));
	fake_pass_ms(pbx, 600000);
}
END_TEST

START_TEST(nobody_is_rung_unless_the_setting_says_so)
{
	struct held call = hold("music_on_hold:\n  directory: /nonexistent\n");
	AUTO(fake_pbx) struct fake_pbx *pbx = call.pbx;

	fake_pass_ms(pbx, 3600000);
	ck_assert(!rings(&call));
	fake_hangup(pbx, call.alice);
}
END_TEST

START_TEST(a_fresh_copy_reminds_too_and_only_once)
{
	struct held call = hold(SETTINGS);
	AUTO(fake_pbx) struct fake_pbx *pbx = call.pbx;

	fake_pass_ms(pbx, 30000);
	ck_assert_int_eq(fake_reload_plugin(pbx, "music_on_hold"), PBX_OK);
	fake_pass_ms(pbx, 59999);
	ck_assert(!rings(&call));
	fake_pass_ms(pbx, 1);
	ck_assert(rings(&call));
	ck_assert_int_eq(fake_reload_plugin(pbx, "music_on_hold"), PBX_OK); /* a phone that rings already is seen through */
	fake_answer(pbx, fake_leg(pbx, "1002"));
	ck_assert(fake_talk(pbx, call.alice, fake_leg(pbx, "1002")));
	fake_hangup(pbx, call.alice);
}
END_TEST

CHECK_MAIN("music_on_hold_reminder", after_the_time_the_holders_phone_rings_and_answering_resumes,
	   unanswered_it_rings_again_after_the_same_time, who_resumes_or_hangs_up_is_not_rung, nobody_is_rung_unless_the_setting_says_so,
	   a_fresh_copy_reminds_too_and_only_once)
