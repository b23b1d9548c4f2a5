/* plugins/call_parking/test_call_parking.c - putting a call away and getting it back, by everybody who may and at every moment */
#include "test_parking.h"

/* ---- in and out ------------------------------------------------------------------------- */

START_TEST(a_call_transferred_to_the_code_waits_in_the_lowest_slot)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = park(pbx);

	ck_assert_str_eq(slot(pbx, "items.0.slot"), "70");
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");
	ck_assert_str_eq(slot(pbx, "items.0.parker"), "1001");
	ck_assert_str_eq(slot(pbx, "items.0.caller"), "1003");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.parked"), "slot"), "70");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.parked"), "parked_by"), "1001");
	ck_assert_str_eq(lamp(pbx), "confirmed");
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 0);
	fake_hangup(pbx, both.caller);
	ck_assert_uint_eq(occupied(pbx), 0);
}
END_TEST

START_TEST(somebody_else_takes_who_waits_and_the_slot_is_free)
{
	static const struct pbx_controller nobody = { .size = sizeof nobody };
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n");

	for (int comes_back = 0; comes_back < 2; comes_back++) {
		struct parked both = park(pbx);

		fake_pass_ms(pbx, comes_back ? 20000 : 0);
		ck_assert_int_eq(core_calls_service.control(fake_host(pbx), both.caller, &nobody, NULL), PBX_OK);
		fake_settle(pbx);
		ck_assert_uint_eq(occupied(pbx), 0);
		ck_assert(!fake_has_leg(pbx, "1001"));
		fake_pass_ms(pbx, 60000);
		ck_assert_uint_eq(fake_state(pbx, both.caller), PBX_LEG_ANSWERED);
		fake_hangup(pbx, both.caller);
	}
}
END_TEST

START_TEST(who_dials_the_slot_talks_to_who_waits)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = park(pbx);
	pbx_leg bob = fake_dial(pbx, "1002", "70");

	ck_assert_msg(fake_talk(pbx, both.caller, bob), "bob hears %s", fake_hearing(pbx, bob));
	ck_assert_uint_eq(occupied(pbx), 0);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.retrieved"), "retrieved_by"), "1002");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.retrieved"), "slot"), "70");
	ck_assert_str_eq(lamp(pbx), "terminated");
	fake_pass_ms(pbx, 3600000); /* the recall is off */
	ck_assert_uint_eq(fake_event_count(pbx, "call.park_timeout"), 0);
	fake_hangup(pbx, both.caller);
	ck_assert_uint_eq(fake_cause(pbx, bob), PBX_CAUSE_NORMAL);
}
END_TEST

START_TEST(the_code_before_a_slot_fetches_too)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = park(pbx);
	pbx_leg bob = fake_dial(pbx, "1002", "*7570");

	ck_assert(fake_talk(pbx, both.caller, bob));
	fake_hangup(pbx, bob);
	pbx_leg lost = fake_dial(pbx, "1002", "*7599");
	ck_assert_uint_eq(fake_sip_code(pbx, lost), 404);
}
END_TEST

START_TEST(an_empty_slot_is_said_to_be_empty_and_not_found)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg bob = fake_dial(pbx, "1002", "70");

	ck_assert_msg(fake_hears(pbx, bob, "prompt:slot_empty"), "bob hears %s", fake_hearing(pbx, bob));
	ck_assert_uint_eq(fake_state(pbx, bob), PBX_LEG_RINGING); /* early media: nothing is answered */
	fake_finish_prompt(pbx, bob);
	ck_assert_uint_eq(fake_sip_code(pbx, bob), 404);
	bob = fake_dial(pbx, "1002", "70");
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(where_nothing_is_announced_codes_and_tones_do)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  announce: false\n  keys: \"##\"\n");
	struct parked both = park(pbx);

	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1002", "71")), 404);
	pbx_leg bob = fake_dial(pbx, "1002", "*74");
	ck_assert(fake_hears(pbx, bob, "tone:confirm"));
	fake_hangup(pbx, bob);
	fake_hangup(pbx, both.caller);
	both = talk(pbx, "1003", "1001");
	fake_digits(pbx, both.parker, "##");
	ck_assert(fake_hears(pbx, both.parker, "tone:confirm"));
	fake_finish_prompt(pbx, both.parker);
	ck_assert_uint_eq(fake_cause(pbx, both.parker), PBX_CAUSE_NORMAL);
	fake_hangup(pbx, both.caller);
}
END_TEST

/* ---- a slot is asked for first -------------------------------------------------------------- */

START_TEST(who_dials_the_code_hears_a_slot_and_transfers_the_call_into_exactly_that)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = talk(pbx, "1003", "1001");
	pbx_leg asking = fake_dial(pbx, "1001", "*74");

	ck_assert_msg(fake_hears(pbx, asking, "prompt:slot 7 0"), "the parker hears %s", fake_hearing(pbx, asking));
	ck_assert_str_eq(slot(pbx, "items.0.state"), "reserved");
	ck_assert_uint_eq(fake_event_count(pbx, "parking.slot"), 0); /* the lamp stays dark */
	pbx_leg other = fake_dial(pbx, "1002", "*74");               /* nobody else gets that one */
	ck_assert(fake_hears(pbx, other, "prompt:slot 7 1"));
	fake_hangup(pbx, other);
	ck_assert_int_eq(fake_transfer_to(pbx, both.parker, asking), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, both.parker), 200);
	ck_assert_uint_eq(fake_state(pbx, both.parker), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, asking), PBX_LEG_ENDED);
	ck_assert_uint_eq(occupied(pbx), 1);
	ck_assert_str_eq(slot(pbx, "items.0.slot"), "70");
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");
	ck_assert_str_eq(slot(pbx, "items.0.parker"), "1001");
	ck_assert_str_eq(slot(pbx, "items.0.caller"), "1003");
	ck_assert_str_eq(lamp(pbx), "confirmed");
	pbx_leg bob = fake_dial(pbx, "1002", "70");
	ck_assert(fake_talk(pbx, both.caller, bob));
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(a_slot_that_is_asked_for_knows_nothing_of_who_waited_there_before)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 5000);
	ck_assert_str_eq(slot(pbx, "items.0.parked_s"), "5");
	fake_hangup(pbx, both.caller);
	ck_assert_uint_eq(occupied(pbx), 0);
	fake_pass_ms(pbx, 66000);
	pbx_leg asking = fake_dial(pbx, "1002", "*74");
	ck_assert_str_eq(slot(pbx, "items.0.state"), "reserved");
	ck_assert_str_eq(slot(pbx, "items.0.parker"), "1002");
	ck_assert_str_eq(slot(pbx, "items.0.caller"), "");
	ck_assert_str_eq(slot(pbx, "items.0.caller_name"), "");
	ck_assert_str_eq(slot(pbx, "items.0.call_id"), "");
	ck_assert_str_eq(slot(pbx, "items.0.comebacks"), "0");
	ck_assert_str_eq(slot(pbx, "items.0.parked_at"), "null");
	ck_assert_str_eq(slot(pbx, "items.0.parked_s"), "null");
	fake_hangup(pbx, asking);
}
END_TEST

START_TEST(a_slot_that_was_asked_for_in_vain_is_free_again)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg asking = fake_dial(pbx, "1001", "*74");

	fake_hangup(pbx, asking);
	ck_assert_uint_eq(occupied(pbx), 0);
	asking = fake_dial(pbx, "1001", "*74");
	ck_assert(fake_hears(pbx, asking, "prompt:slot 7 0"));
	fake_finish_prompt(pbx, asking);
	pbx_leg bob = fake_dial(pbx, "1002", "70"); /* reserved is as good as empty to who fetches */
	ck_assert(fake_hears(pbx, bob, "prompt:slot_empty"));
	fake_hangup(pbx, bob);
	(void)fake_http(pbx, "DELETE", "/parking/70", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	fake_pass_ms(pbx, 59999);
	ck_assert_str_eq(slot(pbx, "items.0.state"), "reserved");
	fake_pass_ms(pbx, 1);
	ck_assert_uint_eq(fake_cause(pbx, asking), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(occupied(pbx), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "call.park*"), 0);
}
END_TEST

START_TEST(a_full_lot_is_said_to_be_full)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  range_start: 70\n  range_end: 70\n");
	struct parked both = park(pbx);
	pbx_leg asking = fake_dial(pbx, "1001", "*74");

	ck_assert(fake_hears(pbx, asking, "prompt:lot_full"));
	fake_finish_prompt(pbx, asking);
	ck_assert_uint_eq(fake_sip_code(pbx, asking), 486);
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(who_parks_hears_where)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = talk(pbx, "1003", "1001");

	ck_assert_int_eq(fake_transfer(pbx, both.parker, "75"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, both.parker), 200);
	ck_assert_msg(fake_hears(pbx, both.parker, "prompt:slot 7 5"), "the parker hears %s", fake_hearing(pbx, both.parker));
	fake_finish_prompt(pbx, both.parker);
	ck_assert_uint_eq(fake_cause(pbx, both.parker), PBX_CAUSE_NORMAL);
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(who_falls_silent_has_given_up)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = park(pbx);

	fake_lose_media(pbx, both.caller);
	ck_assert_uint_eq(fake_cause(pbx, both.caller), PBX_CAUSE_TIMER);
	ck_assert_uint_eq(occupied(pbx), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "call.park_abandoned"), 1);
}
END_TEST

/* ---- lots of one's own ----------------------------------------------------------------------- */

START_TEST(a_lot_is_for_its_groups)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house("call_parking:\n  lots: [{name: sales, range_start: 80, range_end: 81, groups: \"crew, sales\"}]\n");

	fake_account(pbx, "1001")->pickup_group = "sales";
	fake_account(pbx, "1003")->pickup_group = "sale";
	struct parked both = park(pbx); /* 1001 is of the group: its lot, before the one for all */
	ck_assert_str_eq(slot(pbx, "items.0.slot"), "80");
	ck_assert_str_eq(slot(pbx, "items.0.lot"), "sales");
	pbx_leg bob = fake_dial(pbx, "1002", "80"); /* of no group */
	ck_assert(fake_hears(pbx, bob, "prompt:not_allowed"));
	fake_finish_prompt(pbx, bob);
	ck_assert_uint_eq(fake_sip_code(pbx, bob), 403);
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");

	struct parked others = talk(pbx, "1002", "1003"); /* of another group: may not park there, but in the lot for all */
	ck_assert_int_eq(fake_transfer(pbx, others.parker, "81"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, others.parker), 403);
	ck_assert(fake_talk(pbx, others.caller, others.parker));
	ck_assert_int_eq(fake_transfer(pbx, others.parker, "*74"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, others.parker), 200);
	ck_assert_str_eq(slot(pbx, "items.0.slot"), "70");
	fake_hangup(pbx, others.caller);

	pbx_leg alice = fake_dial(pbx, "1001", "80");
	ck_assert(fake_talk(pbx, both.caller, alice));
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(where_no_lot_is_for_all_a_stranger_parks_nowhere)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  groups: sales\n  keys: \"##\"\n");
	struct parked both = talk(pbx, "1003", "1001");
	pbx_leg asking = fake_dial(pbx, "1001", "*74");

	ck_assert(fake_hears(pbx, asking, "prompt:not_allowed"));
	fake_finish_prompt(pbx, asking);
	ck_assert_uint_eq(fake_sip_code(pbx, asking), 403);
	ck_assert_int_eq(fake_transfer(pbx, both.parker, "*74"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, both.parker), 403);
	fake_digits(pbx, both.parker, "##");
	ck_assert(fake_talk(pbx, both.caller, both.parker));
	ck_assert_uint_eq(occupied(pbx), 0);
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(of_two_who_fetch_one_wins_and_the_other_gets_404)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = park(pbx);
	pbx_leg first = fake_dial(pbx, "1002", "70"), second = fake_dial(pbx, "1001", "70");

	ck_assert(fake_talk(pbx, both.caller, first));
	fake_finish_prompt(pbx, second); /* it hears that the slot is empty */
	ck_assert_uint_eq(fake_sip_code(pbx, second), 404);
	ck_assert_uint_eq(fake_event_count(pbx, "call.retrieved"), 1);
	fake_hangup(pbx, first);
}
END_TEST

START_TEST(a_call_transferred_to_a_slot_waits_in_that_one)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = talk(pbx, "1003", "1001");

	ck_assert_int_eq(fake_transfer(pbx, both.parker, "75"), PBX_OK);
	ck_assert_str_eq(slot(pbx, "items.0.slot"), "75");
	ck_assert_str_eq(slot(pbx, "items.0.parker"), "1001");

	struct parked others = talk(pbx, "1002", "1001"); /* a slot that is taken takes nobody else, and the call stays with its parker */
	ck_assert_int_eq(fake_transfer(pbx, others.parker, "75"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, others.parker), 486);
	ck_assert_msg(fake_talk(pbx, others.caller, others.parker), "the parker hears %s", fake_hearing(pbx, others.parker));
	fake_hangup(pbx, others.caller);
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(a_full_lot_leaves_the_call_with_its_parker)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  range_start: 70\n  range_end: 70\n");
	struct parked first = park(pbx), second = talk(pbx, "1002", "1001");

	ck_assert_int_eq(fake_transfer(pbx, second.parker, "*74"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, second.parker), 486);
	ck_assert(fake_talk(pbx, second.caller, second.parker));
	ck_assert_uint_eq(occupied(pbx), 1);
	fake_hangup(pbx, second.caller);
	fake_hangup(pbx, first.caller);
}
END_TEST

START_TEST(keys_typed_in_a_conversation_park_the_other)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  keys: \"##\"\n");
	struct parked both = talk(pbx, "1003", "1001");

	fake_digits(pbx, both.parker, "##");
	ck_assert_str_eq(slot(pbx, "items.0.caller"), "1003");
	ck_assert_str_eq(slot(pbx, "items.0.parker"), "1001");
	ck_assert(fake_hears(pbx, both.parker, "prompt:slot 7 0"));
	fake_finish_prompt(pbx, both.parker);
	ck_assert_uint_eq(fake_cause(pbx, both.parker), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(fake_state(pbx, both.caller), PBX_LEG_ANSWERED);
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(next_takes_the_slot_after_the_last_taken)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  slot_choice: next\n");
	struct parked first = park(pbx);

	fake_hangup(pbx, first.caller);
	struct parked second = park(pbx);
	ck_assert_str_eq(slot(pbx, "items.0.slot"), "71");
	fake_hangup(pbx, second.caller);
}
END_TEST

START_TEST(a_beep_comes_before_the_voice)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  courtesy_tone: both\n");
	struct parked both = park(pbx);
	pbx_leg bob = fake_dial(pbx, "1002", "70");

	ck_assert_msg(fake_hears(pbx, bob, "tone:beep"), "bob hears %s", fake_hearing(pbx, bob));
	ck_assert_msg(fake_hears(pbx, both.caller, "tone:beep"), "who waited hears %s", fake_hearing(pbx, both.caller));
	fake_finish_prompt(pbx, bob);
	fake_finish_prompt(pbx, both.caller);
	ck_assert(fake_talk(pbx, both.caller, bob));
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(who_hangs_up_during_the_beep_leaves_nothing_behind)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  courtesy_tone: both\n");
	struct parked both = park(pbx);
	pbx_leg bob = fake_dial(pbx, "1002", "70");

	fake_hangup(pbx, bob);
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");
	bob = fake_dial(pbx, "1002", "70");
	fake_hangup(pbx, both.caller);
	ck_assert_uint_eq(fake_state(pbx, bob), PBX_LEG_ENDED);
	ck_assert_uint_eq(occupied(pbx), 0);
}
END_TEST

/* ---- asked by REST --------------------------------------------------------------------------- */

START_TEST(parked_fetched_and_dropped_by_rest)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = talk(pbx, "1003", "1001");
	const char *call_id = fake_json(pbx, fake_events(pbx, "call.started"), "0.call_id");
	char body[128];

	(void)snprintf(body, sizeof body, "{\"call_id\": \"%s\", \"slot\": 73}", call_id);
	const char *answer = fake_http(pbx, "POST", "/parking", body);
	ck_assert_msg(fake_status(pbx) == 201, "%s", answer);
	ck_assert_str_eq(fake_json(pbx, answer, "slot"), "73");
	ck_assert_str_eq(fake_json(pbx, answer, "parker"), "1001");
	fake_finish_prompt(pbx, both.parker);

	(void)fake_http(pbx, "POST", "/parking/73/retrieve", "{\"extension\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 202);
	(void)fake_http(pbx, "POST", "/parking/73/retrieve", "{\"extension\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 409);
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486); /* not now: it goes on waiting */
	ck_assert_str_eq(slot(pbx, "items.0.state"), "occupied");
	(void)fake_http(pbx, "POST", "/parking/73/retrieve", "{\"extension\": \"1002\"}");
	fake_answer(pbx, fake_leg(pbx, "1002"));
	ck_assert(fake_talk(pbx, both.caller, fake_leg(pbx, "1002")));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.retrieved"), "retrieved_by"), "1002");

	(void)fake_http(pbx, "DELETE", "/parking/73", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	fake_hangup(pbx, both.caller);
	both = park(pbx);
	(void)fake_http(pbx, "DELETE", "/parking/70", NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	ck_assert_uint_eq(fake_cause(pbx, both.caller), PBX_CAUSE_NORMAL);
}
END_TEST

START_TEST(what_cannot_be_parked_is_refused_with_a_reason)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = talk(pbx, "1003", "1001");
	const char *call_id = fake_json(pbx, fake_events(pbx, "call.started"), "0.call_id");
	char body[128];

	(void)fake_http(pbx, "POST", "/parking", "{\"call_id\": \"nothing\"}");
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)snprintf(body, sizeof body, "{\"call_id\": \"%s\", \"slot\": 90}", call_id);
	(void)fake_http(pbx, "POST", "/parking", body);
	ck_assert_uint_eq(fake_status(pbx), 400);
	ck_assert(fake_talk(pbx, both.caller, both.parker)); /* a refusal disturbs nobody */
	fake_hangup(pbx, both.caller);
}
END_TEST

/* ---- rights ----------------------------------------------------------------------------------- */

START_TEST(after_a_fetch_only_those_transfer_whom_the_lot_lets)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  retrieve_transfer: parked\n");
	struct parked both = park(pbx);
	pbx_leg bob = fake_dial(pbx, "1002", "70");

	ck_assert(fake_talk(pbx, both.caller, bob));
	ck_assert_int_eq(fake_transfer(pbx, bob, "1001"), PBX_EPERM);
	ck_assert(fake_talk(pbx, both.caller, bob));
	ck_assert_int_eq(fake_transfer(pbx, both.caller, "1001"), PBX_OK);
	pbx_leg alice = fake_leg(pbx, "1001");
	fake_answer(pbx, alice);
	ck_assert(fake_talk(pbx, bob, alice));
	ck_assert_int_eq(fake_transfer(pbx, bob, "1003"), PBX_OK); /* another conversation: its own rights */
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(who_is_limited_to_an_account_does_by_rest_what_its_phone_may)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = house("call_parking:\n  lots: [{name: sales, range_start: 80, range_end: 81, groups: sales}]\n");
	struct parked both = talk(pbx, "1003", "1001");
	char body[128];

	fake_account(pbx, "1001")->pickup_group = "sales";
	(void)snprintf(body, sizeof body, "{\"call_id\": \"%s\"}", fake_json(pbx, fake_events(pbx, "call.started"), "0.call_id"));
	(void)fake_http_as(pbx, "1002", "parking:write", "1002", "POST", "/parking", body);
	ck_assert_uint_eq(fake_status(pbx), 409); /* it is not 1002 who talks there */
	(void)fake_http_as(pbx, "1001", "parking:write", "1001", "POST", "/parking", body);
	ck_assert_uint_eq(fake_status(pbx), 201);
	ck_assert_str_eq(slot(pbx, "items.0.slot"), "80");
	fake_finish_prompt(pbx, both.parker);

	const char *seen = fake_http_as(pbx, "1002", "parking:read", "1002", "GET", "/parking", NULL);
	ck_assert_ptr_null(fake_json(pbx, seen, "items.0.slot"));
	(void)fake_http_as(pbx, "1002", "parking:write", "1002", "POST", "/parking/80/retrieve", "{\"extension\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "1001", "parking:write", "1001", "POST", "/parking/80/retrieve", "{\"extension\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 403);
	fake_account(pbx, "1002")->pickup_group = "sales";
	(void)fake_http_as(pbx, "1002", "parking:write", "1002", "DELETE", "/parking/80", NULL);
	ck_assert_uint_eq(fake_status(pbx), 403);
	(void)fake_http_as(pbx, "1002", "parking:write", "1002", "POST", "/parking/80/retrieve", "{\"extension\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 202);
	fake_answer(pbx, fake_leg(pbx, "1002"));
	ck_assert(fake_talk(pbx, both.caller, fake_leg(pbx, "1002")));
	fake_hangup(pbx, both.caller);
}
END_TEST

/* ---- in writing ------------------------------------------------------------------------------- */

START_TEST(a_parker_that_hangs_up_before_it_has_heard_the_slot_gets_it_in_writing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct parked both = talk(pbx, "1003", "1001");

	ck_assert_int_eq(fake_transfer(pbx, both.parker, "*74"), PBX_OK);
	ck_assert_str_eq(fake_message(pbx, "1001"), "");
	fake_hangup(pbx, both.parker);
	ck_assert_str_eq(fake_message(pbx, "1001"), "70: Slot 70: 1003");
	fake_hangup(pbx, both.caller);

	both = talk(pbx, "1001", "1002");
	ck_assert_int_eq(fake_transfer(pbx, both.parker, "*74"), PBX_OK);
	fake_finish_prompt(pbx, both.parker);
	ck_assert_str_eq(fake_message(pbx, "1002"), ""); /* it has heard it */
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(the_setting_says_who_reads)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_command(pbx, "config set call_parking.message never");
	struct parked both = park(pbx);

	ck_assert_str_eq(fake_message(pbx, "1001"), "");
	fake_hangup(pbx, both.caller);
	(void)fake_command(pbx, "config set call_parking.message always");
	both = talk(pbx, "1003", "1001");
	ck_assert_int_eq(fake_transfer(pbx, both.parker, "75"), PBX_OK);
	ck_assert_str_eq(fake_message(pbx, "1001"), "75: Slot 75: 1003");
	fake_hangup(pbx, both.caller);
}
END_TEST

/* ---- life ------------------------------------------------------------------------------------- */

START_TEST(a_fresh_copy_takes_over_who_waits)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 15000);
	ck_assert_int_eq(fake_reload_plugin(pbx, "call_parking"), PBX_OK);
	ck_assert_str_eq(slot(pbx, "items.0.slot"), "70");
	ck_assert_str_eq(slot(pbx, "items.0.parker"), "1001");
	ck_assert_str_eq(slot(pbx, "items.0.parked_s"), "15");
	ck_assert_uint_eq(fake_event_count(pbx, "call.parked"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "parking.slot"), 1);
	ck_assert_uint_eq(fake_state(pbx, both.caller), PBX_LEG_ANSWERED);
	fake_pass_ms(pbx, 4999);
	ck_assert(!fake_has_leg(pbx, "1001"));
	fake_pass_ms(pbx, 1);
	ck_assert(fake_has_leg(pbx, "1001"));
	fake_answer(pbx, fake_leg(pbx, "1001"));
	ck_assert(fake_talk(pbx, both.caller, fake_leg(pbx, "1001")));
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(a_call_that_comes_back_during_an_upgrade_is_seen_through)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("call_parking:\n  timeout_s: 20\n");
	struct parked both = park(pbx);

	fake_pass_ms(pbx, 20000);
	ck_assert_int_eq(fake_reload_plugin(pbx, "call_parking"), PBX_OK);
	fake_answer(pbx, fake_leg(pbx, "1001"));
	ck_assert(fake_talk(pbx, both.caller, fake_leg(pbx, "1001")));
	fake_hangup(pbx, both.caller);
}
END_TEST

START_TEST(settings_that_change_while_somebody_waits_harm_nobody)
{
	AUTO(fake_pbx)
	struct fake_pbx *pbx = fake_pbx_with_settings(
		"call_parking",
		"call_parking:\n  lots:\n    - name: a lot with a long name of its own\n      range_start: 700\n      range_end: 701\n");

	fake_registered(pbx, "1001");
	struct parked both = talk(pbx, "1003", "1001");
	ck_assert_int_eq(fake_transfer(pbx, both.parker, "700"), PBX_OK);
	for (int i = 0; i < 3; i++) {
		(void)fake_command(pbx, i % 2 ? "config set call_parking.timeout_s 60" : "config set call_parking.timeout_s 90");
		ck_assert_uint_eq(fake_status(pbx), 200);
	}
	ck_assert_str_eq(slot(pbx, "items.0.lot"), "a lot with a long name of its own");
	pbx_leg bob = fake_dial(pbx, "1002", "700");
	ck_assert(fake_talk(pbx, both.caller, bob));
	fake_hangup(pbx, bob);
}
END_TEST

START_TEST(lots_that_overlap_are_refused_and_the_others_go_on)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_command(pbx, "config set call_parking.lots '[{\"name\": \"two\", \"range_start\": 79, \"range_end\": 90}]'");
	ck_assert_uint_ne(fake_status(pbx), 200);
	(void)fake_command(pbx, "config set call_parking.range_start 80");
	ck_assert_uint_ne(fake_status(pbx), 200);
	struct parked both = park(pbx);
	fake_hangup(pbx, both.caller);
}
END_TEST

CHECK_MAIN("call_parking", a_call_transferred_to_the_code_waits_in_the_lowest_slot, somebody_else_takes_who_waits_and_the_slot_is_free,
	   who_dials_the_slot_talks_to_who_waits, the_code_before_a_slot_fetches_too, an_empty_slot_is_said_to_be_empty_and_not_found,
	   where_nothing_is_announced_codes_and_tones_do, who_dials_the_code_hears_a_slot_and_transfers_the_call_into_exactly_that,
	   a_slot_that_was_asked_for_in_vain_is_free_again, a_slot_that_is_asked_for_knows_nothing_of_who_waited_there_before,
	   a_full_lot_is_said_to_be_full, who_parks_hears_where, who_falls_silent_has_given_up, a_lot_is_for_its_groups,
	   where_no_lot_is_for_all_a_stranger_parks_nowhere, of_two_who_fetch_one_wins_and_the_other_gets_404,
	   a_call_transferred_to_a_slot_waits_in_that_one, a_full_lot_leaves_the_call_with_its_parker,
	   keys_typed_in_a_conversation_park_the_other, next_takes_the_slot_after_the_last_taken, a_beep_comes_before_the_voice,
	   who_hangs_up_during_the_beep_leaves_nothing_behind, parked_fetched_and_dropped_by_rest,
	   what_cannot_be_parked_is_refused_with_a_reason, after_a_fetch_only_those_transfer_whom_the_lot_lets,
	   who_is_limited_to_an_account_does_by_rest_what_its_phone_may,
	   a_parker_that_hangs_up_before_it_has_heard_the_slot_gets_it_in_writing, the_setting_says_who_reads,
	   a_fresh_copy_takes_over_who_waits, a_call_that_comes_back_during_an_upgrade_is_seen_through,
	   settings_that_change_while_somebody_waits_harm_nobody, lots_that_overlap_are_refused_and_the_others_go_on)
