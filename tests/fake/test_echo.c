/* tests/fake/test_echo.c - the plugin every manual begins with, and so the first proof that the fake pbx is one */
#include "../check_main.h"
#include "fake.h"

START_TEST(a_caller_hears_the_explanation_and_then_themselves)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");
	pbx_leg alice = fake_dial(pbx, "alice", "*43");

	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ANSWERED);
	ck_assert(fake_hears(pbx, alice, "prompt:echo-test"));
	fake_finish_prompt(pbx, alice);
	ck_assert(fake_hears_self(pbx, alice));
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(hangs_up_after_the_limit)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");
	pbx_leg alice = fake_dial(pbx, "alice", "*43");

	fake_finish_prompt(pbx, alice);
	fake_pass_ms(pbx, 299999);
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ANSWERED);
	fake_pass_ms(pbx, 1);
	ck_assert_uint_eq(fake_cause(pbx, alice), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(fake_log_count(pbx, "info echo_test"), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.ended"), "hangup_by"), "system");
}
END_TEST

START_TEST(the_limit_is_a_setting)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("echo_test", "echo_test:\n  limit_ms: 2000\n");
	pbx_leg alice = fake_dial(pbx, "alice", "*43");

	fake_finish_prompt(pbx, alice);
	fake_pass_ms(pbx, 2000);
	ck_assert_uint_eq(fake_cause(pbx, alice), PBX_CAUSE_NORMAL);
}
END_TEST

START_TEST(a_number_nobody_has_is_not_found)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");
	pbx_leg alice = fake_dial(pbx, "alice", "12345");

	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_sip_code(pbx, alice), 404);
}
END_TEST

START_TEST(a_fresh_copy_takes_the_next_call_while_the_old_one_finishes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");
	pbx_leg alice = fake_dial(pbx, "alice", "*43");

	ck_assert_int_eq(fake_reload_plugin(pbx, "echo_test"), PBX_OK);
	pbx_leg bob = fake_dial(pbx, "bob", "*43");
	fake_finish_prompt(pbx, alice);
	fake_finish_prompt(pbx, bob);
	ck_assert(fake_hears_self(pbx, alice));
	ck_assert(fake_hears_self(pbx, bob));
	fake_hangup(pbx, alice);
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(registered_phones_reach_each_other)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	pbx_leg alice = fake_dial(pbx, "alice", "bob");
	pbx_leg bob = fake_leg(pbx, "bob");
	fake_ring(pbx, bob);
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_RINGING);
	fake_answer(pbx, bob);
	ck_assert_msg(fake_talk(pbx, alice, bob), "alice hears %s", fake_hearing(pbx, alice));
	fake_hangup(pbx, bob);
	ck_assert_uint_eq(fake_cause(pbx, alice), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 1);
}
END_TEST

/* The plugin knows nothing of transfers: who is sent there hears it from the beginning, and who sent them is free. */
START_TEST(an_attended_transfer_to_a_feature_that_knows_none_dials_it_anew)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	pbx_leg alice = fake_dial(pbx, "alice", "bob"), bob = fake_leg(pbx, "bob");
	fake_answer(pbx, bob);
	pbx_leg asking = fake_dial(pbx, "bob", "*43");
	fake_finish_prompt(pbx, asking);
	ck_assert_int_eq(fake_transfer_to(pbx, bob, asking), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, bob), 200);
	ck_assert(fake_hears(pbx, alice, "prompt:echo-test"));
	ck_assert_uint_eq(fake_state(pbx, bob), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, asking), PBX_LEG_ENDED);
	fake_hangup(pbx, alice);
}
END_TEST

CHECK_MAIN("echo_test", an_attended_transfer_to_a_feature_that_knows_none_dials_it_anew, a_caller_hears_the_explanation_and_then_themselves,
	   hangs_up_after_the_limit, the_limit_is_a_setting, a_number_nobody_has_is_not_found,
	   a_fresh_copy_takes_the_next_call_while_the_old_one_finishes, registered_phones_reach_each_other)
