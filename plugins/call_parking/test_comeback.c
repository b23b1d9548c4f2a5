/* plugins/call_parking/test_comeback.c - forgotten in a slot: the parker's phone rings, then somebody else's, then nobody's */
#include "test_parking.h"

/* ---- forgotten ------------------------------------------------------------------------------ */

START_TEST(forgotten_it_comes_back_to_the_parker)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 19999);
	ck_assert(!fake_has_leg(pbx, "1001"));
	fake_pass_ms(pbx, 1);
	pbx_leg parker = fake_leg(pbx, "1001");
	fake_ring(pbx, parker);
	ck_assert_msg(strstr(fake_shown(pbx, parker), "Park 70"), "the parker sees %s", fake_shown(pbx, parker));
	ck_assert_str_eq(slot(pbx, "items.0.state"), "comeback");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.park_timeout"), "comeback"), "1");
	fake_answer(pbx, parker);
	ck_assert(fake_talk(pbx, both.caller, parker));
	ck_assert_uint_eq(occupied(pbx), 0);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.retrieved"), "retrieved_by"), "1001");
	fake_hangup(pbx, parker);
}
END_TEST

START_TEST(unanswered_it_is_parked_again_and_at_last_given_up)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n  comeback_ring_s: 10\n  max_comebacks: 2\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 20000);
	fake_ring(pbx, fake_leg(pbx, "1001"));
	fake_pass_ms(pbx, 10000);
	ck_assert(!fake_has_leg(pbx, "1001"));
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");
	ck_assert_str_eq(slot(pbx, "items.0.comebacks"), "1");
	ck_assert_uint_eq(fake_state(pbx, both.caller), PBX_LEG_ANSWERED);

	fake_pass_ms(pbx, 20000);
	fake_ring(pbx, fake_leg(pbx, "1001"));
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(fake_cause(pbx, both.caller), PBX_CAUSE_NO_ANSWER);
	ck_assert_uint_eq(occupied(pbx), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "call.park_timeout"), 2);
}
END_TEST

START_TEST(unanswered_it_goes_where_the_setting_says)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n  comeback_to: \"1002\"\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 20000);
	fake_refuse(pbx, fake_leg(pbx, "1001"), 486);
	pbx_leg bob = fake_leg(pbx, "1002");
	fake_answer(pbx, bob);
	ck_assert(fake_talk(pbx, both.caller, bob));
	ck_assert_uint_eq(occupied(pbx), 0);
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(where_it_goes_may_be_made_of_the_parkers_number)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n  comeback_to: \"2{parker}\"\n"
				     "  lots: [{name: other, range_start: 80, range_end: 81, comeback_to: \"1002\"}]\n");

	fake_registered(pbx, "21001");
	struct parked both = park(pbx), others = talk(pbx, "1004", "1001");
	ck_assert_int_eq(fake_transfer(pbx, others.parker, "80"), PBX_OK);
	fake_finish_prompt(pbx, others.parker);
	fake_pass_ms(pbx, 20000);
	while (fake_has_leg(pbx, "1001"))
		fake_refuse(pbx, fake_leg(pbx, "1001"), 486);
	pbx_leg mailbox = fake_leg(pbx, "21001"), bob = fake_leg(pbx, "1002");
	fake_answer(pbx, mailbox);
	ck_assert(fake_talk(pbx, both.caller, mailbox));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.retrieved"), "retrieved_by"), "21001");
	fake_answer(pbx, bob);
	ck_assert(fake_talk(pbx, others.caller, bob));
	fake_hangup(pbx, mailbox);
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(a_feature_takes_it_there_and_the_slot_is_free)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house_with("call_parking,echo_test", "call_parking:\n  timeout_s: 20\n  comeback_to: \"*43\"\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 20000);
	fake_refuse(pbx, fake_leg(pbx, "1001"), 486);
	ck_assert_msg(fake_hears(pbx, both.caller, "prompt:echo-test"), "it hears %s", fake_hearing(pbx, both.caller));
	ck_assert_uint_eq(occupied(pbx), 0);
	fake_hangup(pbx, both.caller);
	ck_assert_uint_eq(fake_event_count(pbx, "call.park_abandoned"), 0);
}
END_TEST

START_TEST(nobody_there_either_and_it_waits_again)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n  comeback_to: \"1002\"\n  max_comebacks: 2\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 20000);
	fake_refuse(pbx, fake_leg(pbx, "1001"), 486);
	fake_ring(pbx, fake_leg(pbx, "1002"));
	ck_assert_msg(strstr(fake_shown(pbx, fake_leg(pbx, "1002")), "Park 70"), "%s", fake_shown(pbx, fake_leg(pbx, "1002")));
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");
	ck_assert_uint_eq(fake_state(pbx, both.caller), PBX_LEG_ANSWERED);

	fake_pass_ms(pbx, 20000); /* again; this time somebody dials the slot before */
	fake_refuse(pbx, fake_leg(pbx, "1001"), 486);
	ck_assert(fake_has_leg(pbx, "1002"));
	pbx_leg dora = fake_dial(pbx, "1004", "70");
	ck_assert(fake_talk(pbx, both.caller, dora));
	ck_assert(!fake_has_leg(pbx, "1002"));
	fake_hangup(pbx, dora);

	both = park(pbx);
	for (int i = 0; i < 2; i++) {
		fake_pass_ms(pbx, 20000);
		fake_refuse(pbx, fake_leg(pbx, "1001"), 486);
		fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	}
	ck_assert_uint_eq(fake_cause(pbx, both.caller), PBX_CAUSE_NO_ANSWER);
}
END_TEST

START_TEST(fetched_while_the_parker_rings_the_parker_rings_no_more)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 20000);
	fake_ring(pbx, fake_leg(pbx, "1001"));
	pbx_leg bob = fake_dial(pbx, "1002", "70");
	ck_assert_msg(fake_talk(pbx, both.caller, bob), "bob hears %s", fake_hearing(pbx, bob));
	ck_assert(!fake_has_leg(pbx, "1001"));
	fake_pass_ms(pbx, 600000);
	ck_assert(fake_talk(pbx, both.caller, bob));
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(a_parker_without_a_phone_is_as_one_who_does_not_answer)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n  max_comebacks: 1\n");
	struct parked both = park(pbx);

	fake_unregistered(pbx, "1001");
	fake_pass_ms(pbx, 20000);
	ck_assert_uint_eq(fake_cause(pbx, both.caller), PBX_CAUSE_NO_ANSWER);
}
END_TEST

START_TEST(who_gives_up_waiting_frees_the_slot)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = park(pbx);

	fake_hangup(pbx, both.caller);
	ck_assert_uint_eq(occupied(pbx), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "call.park_abandoned"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "call.retrieved"), 0);
	ck_assert_str_eq(lamp(pbx), "terminated");
	fake_pass_ms(pbx, 600000);
	ck_assert(!fake_has_leg(pbx, "1001"));
}
END_TEST

START_TEST(who_gives_up_while_the_parker_rings_lets_the_phone_be)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 20000);
	ck_assert(fake_has_leg(pbx, "1001"));
	fake_hangup(pbx, both.caller);
	ck_assert(!fake_has_leg(pbx, "1001"));
	ck_assert_uint_eq(occupied(pbx), 0);
}
END_TEST

CHECK_MAIN("call_parking_comeback", forgotten_it_comes_back_to_the_parker, unanswered_it_is_parked_again_and_at_last_given_up,
	   unanswered_it_goes_where_the_setting_says, where_it_goes_may_be_made_of_the_parkers_number,
	   a_feature_takes_it_there_and_the_slot_is_free, nobody_there_either_and_it_waits_again,
	   fetched_while_the_parker_rings_the_parker_rings_no_more, a_parker_without_a_phone_is_as_one_who_does_not_answer,
	   who_gives_up_waiting_frees_the_slot, who_gives_up_while_the_parker_rings_lets_the_phone_be)
