/* tests/core/test_dials.c - several phones and third parties: dials, forwarding, redirection, transfer, draining, click to call */
#include "calls_helpers.h"

static void on_ringing(void *self, pbx_dial dial)
{
	(void)self;
	(void)dial;
	heard.ringing++;
}

static void on_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	(void)self;
	(void)dial;
	heard.outcome = result->outcome;
	heard.sip_code = result->sip_code;
	heard.winner = result->winner;
	heard.done++;
}

static const struct pbx_dialler dialler = { .size = sizeof dialler, .ringing = on_ringing, .done = on_done };

static pbx_dial dial(struct fake_pbx *pbx, pbx_leg from, uint32_t strategy, uint32_t flags, uint32_t ring_ms, const char *first,
		     const char *second)
{
	const struct pbx_dial_target targets[] = { { .text = first }, { .text = second } };
	const struct pbx_dial_plan plan = {
		.size = sizeof plan, .strategy = strategy, .flags = flags, PBX_TARGETS(targets, second ? 2 : 1), .ring_ms = ring_ms
	};
	pbx_dial dial;

	ck_assert_int_eq(calls->dial(fake_host(pbx), from, &plan, &dialler, NULL, &dial), PBX_OK);
	ck_assert_uint_eq(heard.done, 0); /* never before dial has returned */
	fake_settle(pbx);
	return dial;
}

/* ---- dials ---- */

START_TEST(a_dial_without_connect_hands_the_winner_to_its_owner)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	(void)dial(pbx, (pbx_leg){ 0 }, PBX_DIAL_ALL, 0, 0, "1002", "aor:1003");
	pbx_leg loser = fake_leg(pbx, "1002"), winner = fake_leg(pbx, "1003");

	fake_ring(pbx, loser);
	fake_ring(pbx, winner);
	fake_answer(pbx, winner);
	ck_assert_uint_eq(heard.ringing, 1);
	ck_assert_uint_eq(heard.done, 1);
	ck_assert_uint_eq(heard.outcome, PBX_DIALLED_ANSWERED);
	ck_assert_uint_eq(heard.winner.id, winner.id);
	ck_assert_uint_eq(fake_cause(pbx, loser), PBX_CAUSE_ANSWERED_ELSEWHERE);
	fake_pass_ms(pbx, CORE_LONELY_MS); /* its owner did not take it */
	ck_assert_uint_eq(fake_state(pbx, winner), PBX_LEG_ENDED);
}
END_TEST

START_TEST(who_rings_without_routing_has_the_name_of_its_account)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_leg_info info = { .size = sizeof info };

	(void)dial(pbx, (pbx_leg){ 0 }, PBX_DIAL_ALL, 0, 0, "aor:1003", NULL);
	pbx_leg leg = fake_leg(pbx, "1003");
	ck_assert_int_eq(calls->info(leg, &info), PBX_OK);
	ck_assert_str_eq(info.name, "Name of 1003");
	fake_answer(pbx, leg);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.answered"), "answered_by.name"), "Name of 1003");
	fake_hangup(pbx, leg);
}
END_TEST

START_TEST(in_order_the_second_rings_when_the_first_is_over)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	(void)dial(pbx, (pbx_leg){ 0 }, PBX_DIAL_ORDER, 0, 0, "1002", "1003");

	ck_assert(!fake_has_leg(pbx, "1003"));
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	fake_refuse(pbx, fake_leg(pbx, "1003"), 404);
	ck_assert_uint_eq(heard.outcome, PBX_DIALLED_BUSY); /* tells more than 404 */
	ck_assert_uint_eq(heard.sip_code, 486);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 1);
	ck_assert_str_eq(ended(pbx, "disposition"), "busy");
}
END_TEST

/* A plugin of a later version gives targets of which we know the beginning. */
START_TEST(longer_targets_are_read_as_far_as_they_are_known)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const struct {
		struct pbx_dial_target target;
		const char *later[3];
	} targets[] = { { .target = { .text = "1002" }, .later = { "x", "y", "z" } },
			{ .target = { .text = "1003", .delay_ms = 5000 }, .later = { "x", "y", "z" } } };
	const struct pbx_dial_plan plan = { .size = sizeof plan,
					    .strategy = PBX_DIAL_ALL,
					    .targets = &targets[0].target,
					    .target_count = 2,
					    .target_size = sizeof targets[0],
					    .ring_ms = 60000 };
	pbx_dial dial;

	ck_assert_int_eq(calls->dial(fake_host(pbx), (pbx_leg){ 0 }, &plan, &dialler, NULL, &dial), PBX_OK);
	fake_pass_ms(pbx, 4999);
	ck_assert(fake_has_leg(pbx, "1002") && !fake_has_leg(pbx, "1003"));
	fake_pass_ms(pbx, 1);
	ck_assert(fake_has_leg(pbx, "1003"));
	ck_assert_int_eq(calls->cancel(dial), PBX_OK);
	fake_pass_ms(pbx, 0);
}
END_TEST

START_TEST(staggered_targets_start_after_their_delay)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const struct pbx_dial_target targets[] = { { .text = "1002" }, { .text = "1003", .delay_ms = 5000, .ring_ms = 10000 } };
	const struct pbx_dial_plan plan = { .size = sizeof plan, .strategy = PBX_DIAL_ALL, PBX_TARGETS(targets, 2), .ring_ms = 60000 };
	pbx_dial dial;

	ck_assert_int_eq(calls->dial(fake_host(pbx), (pbx_leg){ 0 }, &plan, &dialler, NULL, &dial), PBX_OK);
	fake_pass_ms(pbx, 4999);
	ck_assert(fake_has_leg(pbx, "1002") && !fake_has_leg(pbx, "1003"));
	fake_pass_ms(pbx, 1);
	ck_assert(fake_has_leg(pbx, "1003"));
	fake_pass_ms(pbx, 10000);
	ck_assert(fake_has_leg(pbx, "1002") && !fake_has_leg(pbx, "1003"));
	fake_pass_ms(pbx, 45000);
	ck_assert_uint_eq(heard.outcome, PBX_DIALLED_NO_ANSWER);
	ck_assert_uint_eq(heard.done, 1);
}
END_TEST

START_TEST(a_cancelled_dial_is_done_once_and_a_second_cancel_finds_nothing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_dial going = dial(pbx, (pbx_leg){ 0 }, PBX_DIAL_ALL, 0, 0, "1002", "1003");

	ck_assert_int_eq(calls->cancel(going), PBX_OK);
	ck_assert_uint_eq(heard.done, 0);
	ck_assert_int_eq(calls->cancel(going), PBX_ENOENT);
	fake_settle(pbx);
	ck_assert_uint_eq(heard.done, 1);
	ck_assert_uint_eq(heard.outcome, PBX_DIALLED_CANCELLED);
	ck_assert(!fake_has_leg(pbx, "1002") && !fake_has_leg(pbx, "1003"));
	ck_assert_int_eq(calls->cancel(going), PBX_ENOENT);
}
END_TEST

START_TEST(hanging_up_from_cancels_what_is_dialled_on_its_behalf)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(claim(pbx, "*50", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*50");
	(void)dial(pbx, caller, PBX_DIAL_ALL, PBX_DIAL_CONNECT | PBX_DIAL_RINGBACK, 0, "1002", NULL);
	fake_ring(pbx, fake_leg(pbx, "1002"));
	ck_assert(fake_hears(pbx, caller, "tone:ringback"));
	fake_hangup(pbx, caller);
	ck_assert_uint_eq(heard.outcome, PBX_DIALLED_CANCELLED);
	ck_assert(!fake_has_leg(pbx, "1002"));
}
END_TEST

START_TEST(connect_bridges_an_answered_leg_and_its_controller_has_lost_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(claim(pbx, "*50", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*50");
	(void)dial(pbx, caller, PBX_DIAL_ALL, PBX_DIAL_CONNECT | PBX_DIAL_RINGBACK, 0, "1002", NULL);
	pbx_leg callee = fake_leg(pbx, "1002");
	fake_ring(pbx, callee);
	fake_answer(pbx, callee);
	ck_assert(fake_talk(pbx, caller, callee));
	ck_assert_str_eq(heard.text, "a:answered a:lost ");
	ck_assert_uint_eq(heard.outcome, PBX_DIALLED_ANSWERED);
	fake_hangup(pbx, callee);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ENDED);
}
END_TEST

START_TEST(a_dial_is_refused_when_it_says_nothing_or_there_is_no_room)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("calls:\n  limit: 1\n");
	const struct pbx_dial_target targets[] = { { .text = "1002" }, { .text = "" } };
	struct pbx_dial_plan plan = { .size = sizeof plan, PBX_TARGETS(targets, 0) };
	pbx_leg caller, callee;
	pbx_dial dial;

	ck_assert_int_eq(calls->dial(fake_host(pbx), (pbx_leg){ 0 }, &plan, &dialler, NULL, &dial), PBX_EINVAL);
	plan.target_count = 2;
	ck_assert_int_eq(calls->dial(fake_host(pbx), (pbx_leg){ 0 }, &plan, &dialler, NULL, &dial), PBX_EINVAL);
	plan.target_count = 1;
	plan.target_size = 0; /* a number of bytes that only whoever compiled the targets knows */
	ck_assert_int_eq(calls->dial(fake_host(pbx), (pbx_leg){ 0 }, &plan, &dialler, NULL, &dial), PBX_EINVAL);
	plan.target_size = sizeof targets[0];
	talk(pbx, &caller, &callee);
	ck_assert_int_eq(calls->dial(fake_host(pbx), (pbx_leg){ 0 }, &plan, &dialler, NULL, &dial), PBX_ENOSPC);
	fake_hangup(pbx, caller);
	ck_assert_int_eq(calls->dial(fake_host(pbx), caller, &plan, &dialler, NULL, &dial), PBX_ENOENT);
}
END_TEST

static int emergency_hook(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	static const struct pbx_dial_target target = { .text = "aor:1004", .flags = PBX_TARGET_EMERGENCY };

	(void)self;
	(void)query;
	if (strcmp(request->number, "911") != 0)
		return PBX_OK;
	ret_answer->verdict = PBX_ROUTE_TARGETS;
	ret_answer->targets = &target;
	ret_answer->target_count = 1;
	ret_answer->target_size = sizeof target;
	return PBX_OK;
}

START_TEST(beyond_the_limit_nobody_calls_but_in_an_emergency)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("calls:\n  limit: 1\n");
	pbx_leg caller, callee;

	fake_registered(pbx, "1004");
	ck_assert_int_eq(core_route_service.hook(fake_host(pbx), PBX_ORDER_EMERGENCY, "emergency", emergency_hook, NULL), PBX_OK);
	talk(pbx, &caller, &callee);
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1003", "1002")), 503);
	ck_assert_str_eq(ended(pbx, "cause"), "congestion");

	pbx_leg in_need = fake_dial(pbx, "1003", "911"), help = fake_leg(pbx, "1004");
	fake_answer(pbx, help);
	ck_assert(fake_talk(pbx, in_need, help));
	ck_assert(fake_talk(pbx, caller, callee));
	fake_hangup(pbx, in_need);
	fake_hangup(pbx, caller);
}
END_TEST

/* Four, while 64 of all have room. Whoever calls nobody in an emergency keeps no place. */
START_TEST(nobody_has_more_emergencies_than_their_share)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("calls:\n  limit: 1\n");
	pbx_leg caller, callee;

	fake_registered(pbx, "1004");
	ck_assert_int_eq(core_route_service.hook(fake_host(pbx), PBX_ORDER_EMERGENCY, "emergency", emergency_hook, NULL), PBX_OK);
	talk(pbx, &caller, &callee);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(fake_try_dial(pbx, "192.0.2.7:5060", "1003", "", "1002"), PBX_OK); /* is looked at, and refused */
	static const struct {
		const char *address, *account, *peer;
	} sources[] = {
		{ "192.0.2.7:5060", "1003", "" },    { "192.0.2.7:5060", "1005", "" }, /* of one address */
		{ "192.0.2.7:5060", "", "carrier" }, { "192.0.2.8:5060", "", "" },        { "[2001:db8::7]:5060", "", "" },
		{ "192.0.2.9:5060", "", "" },        { "192.0.2.7:5060", "carrier", "" }, /* an account that is called as the peer */
	};
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
		for (int call = 0; call < 4; call++)
			ck_assert_int_eq(fake_try_dial(pbx, sources[i].address, sources[i].account, sources[i].peer, "911"), PBX_OK);
		ck_assert_int_eq(fake_try_dial(pbx, sources[i].address, sources[i].account, sources[i].peer, "911"), PBX_ENOSPC);
	}
	ck_assert_int_eq(fake_try_dial(pbx, "192.0.2.8:9999", "", "", "911"), PBX_ENOSPC);     /* another port is no other caller */
	ck_assert_int_eq(fake_try_dial(pbx, "[2001:db8::8]:5060", "", "", "911"), PBX_ENOSPC); /* nor is another address of its network */
	ck_assert_int_eq(fake_try_dial(pbx, "[2001:db8:0:1::8]:5060", "", "", "911"), PBX_OK);

	pbx_leg one = fake_leg(pbx, "1003");
	fake_hangup(pbx, one);
	ck_assert_int_eq(fake_try_dial(pbx, "198.51.100.1:5060", "1003", "", "911"), PBX_OK); /* its place is free again */
	ck_assert_int_eq(fake_try_dial(pbx, "198.51.100.1:5060", "1003", "", "911"), PBX_ENOSPC);
}
END_TEST

/* ---- forwarding ---- */

static struct pbx_route_answer forwarding;

static int forward_hook(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	static const struct pbx_dial_target target[] = { { .text = "aor:1002" } };

	(void)self;
	(void)query;
	if (strcmp(request->number, "1002") != 0)
		return PBX_OK;
	*ret_answer = forwarding;
	ret_answer->size = sizeof *ret_answer;
	if (forwarding.verdict == PBX_ROUTE_PASS) {
		ret_answer->verdict = PBX_ROUTE_TARGETS;
		ret_answer->targets = target;
		ret_answer->target_count = 1;
		ret_answer->target_size = sizeof *ret_answer->targets;
		ret_answer->owner_number = "1002";
		ret_answer->owner_name = "Bob";
	}
	return PBX_OK;
}

static void forward(struct fake_pbx *pbx, struct pbx_route_answer how)
{
	forwarding = how;
	ck_assert_int_eq(core_route_service.hook(fake_host(pbx), PBX_ORDER_FEATURES, "forwarding", forward_hook, NULL), PBX_OK);
}

START_TEST(busy_no_answer_and_offline_go_where_the_owner_said)
{
	for (int how = 0; how < 3; how++) {
		AUTO(fake_pbx) struct fake_pbx *pbx = house("");
		static const char *const reasons[] = { "busy", "no_answer", "offline" };

		forward(pbx, (struct pbx_route_answer){ .busy_to = how == 0 ? "1003" : NULL,
							.no_answer_to = how == 1 ? "1003" : NULL,
							.offline_to = how == 2 ? "1003" : NULL,
							.ring_ms = 8000 });
		if (how == 2)
			fake_unregistered(pbx, "1002");
		pbx_leg caller = fake_dial(pbx, "1001", "1002");
		if (how == 0)
			fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
		else
			fake_pass_ms(pbx, 8000);
		pbx_leg callee = fake_leg(pbx, "1003");
		ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.forwarded"), "reason"), reasons[how]);
		ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.forwarded"), "to"), "1003");
		fake_answer(pbx, callee);
		ck_assert(fake_talk(pbx, caller, callee));
		ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.answered"), "answered_by.number"), "1003");
		fake_hangup(pbx, caller);
	}
}
END_TEST

START_TEST(no_answer_without_a_place_to_go_is_the_answer)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	forward(pbx, (struct pbx_route_answer){ .busy_to = "1003" });
	pbx_leg caller = fake_dial(pbx, "1001", "1002");
	fake_pass_ms(pbx, 30000);
	ck_assert_uint_eq(fake_sip_code(pbx, caller), 480);
	ck_assert(!fake_has_leg(pbx, "1003"));
}
END_TEST

START_TEST(forwarding_in_a_circle_ends_after_five)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	forward(pbx, (struct pbx_route_answer){ .busy_to = "1002" });
	pbx_leg caller = fake_dial(pbx, "1001", "1002");
	for (int i = 0; i < 6; i++)
		fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	ck_assert_uint_eq(fake_sip_code(pbx, caller), 482);
	ck_assert_uint_eq(fake_event_count(pbx, "call.forwarded"), CORE_MOST_FORWARDS);
	ck_assert_str_eq(ended(pbx, "cause"), "forwarded_too_often");
}
END_TEST

START_TEST(a_phone_that_redirects_is_followed_through_routing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller = fake_dial(pbx, "1001", "1002"), callee = fake_leg(pbx, "1002");
	const char *targets[] = { "sip:1003@pbx.example.org" };

	core_leg_on_redirected(callee, targets, 1, PBX_FORWARD_BUSY);
	fake_settle(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.forwarded"), "reason"), "302");
	fake_answer(pbx, fake_leg(pbx, "1003"));
	ck_assert(fake_talk(pbx, caller, fake_leg(pbx, "1003")));
	fake_hangup(pbx, caller);
}
END_TEST

/* ---- transfer ---- */

START_TEST(a_blind_transfer_moves_the_partner_and_hangs_the_transferor_up)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	struct pbx_leg_info info = { .size = sizeof info };

	talk(pbx, &caller, &callee);
	ck_assert_int_eq(fake_transfer(pbx, callee, "1003"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, callee), 100);
	pbx_leg third = fake_leg(pbx, "1003");
	fake_ring(pbx, third);
	ck_assert_uint_eq(fake_transfer_code(pbx, callee), 180);
	ck_assert(fake_hears(pbx, caller, "tone:ringback"));
	fake_answer(pbx, third);
	ck_assert(fake_talk(pbx, caller, third));
	ck_assert_uint_eq(fake_transfer_code(pbx, callee), 200);
	ck_assert_uint_eq(fake_cause(pbx, callee), PBX_CAUSE_NORMAL);
	ck_assert_int_eq(calls->info(caller, &info), PBX_OK);
	ck_assert_str_eq(info.referred_by, "1002");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.transfer"), "transfer_type"), "blind");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.transfer"), "result"), "ok");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.transfer"), "transferor"), "1002");
	fake_hangup(pbx, third);
	ck_assert_str_eq(ended(pbx, "disposition"), "answered");
}
END_TEST

START_TEST(a_blind_transfer_that_fails_brings_the_two_together_again)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	fake_hold(pbx, callee, true);
	ck_assert_int_eq(fake_transfer(pbx, callee, "1003"), PBX_OK);
	fake_refuse(pbx, fake_leg(pbx, "1003"), 486);
	ck_assert_uint_eq(fake_transfer_code(pbx, callee), 486);
	fake_hold(pbx, callee, false);
	ck_assert(fake_talk(pbx, caller, callee));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.transfer"), "result"), "failed");
	fake_hangup(pbx, caller);
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
}
END_TEST

START_TEST(a_transfer_goes_on_when_the_transferor_hangs_up_at_once)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	ck_assert_int_eq(fake_transfer(pbx, callee, "1003"), PBX_OK);
	fake_hangup(pbx, callee);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	fake_answer(pbx, fake_leg(pbx, "1003"));
	ck_assert(fake_talk(pbx, caller, fake_leg(pbx, "1003")));
	fake_hangup(pbx, caller);
}
END_TEST

static void refuse_486(void *self, pbx_leg leg)
{
	(void)self;
	ck_assert_int_eq(calls->reject(leg, 486), PBX_OK);
}

START_TEST(a_claim_may_take_a_transferred_leg_or_refuse_it_and_the_transferor_keeps_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	ck_assert_int_eq(claim(pbx, "*74", take), PBX_OK);
	ck_assert_int_eq(claim(pbx, "*75", refuse_486), PBX_OK);
	talk(pbx, &caller, &callee);
	ck_assert_int_eq(fake_transfer(pbx, callee, "*75"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, callee), 486);
	ck_assert(fake_talk(pbx, caller, callee));

	ck_assert_int_eq(fake_transfer(pbx, callee, "*74"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, callee), 200);
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	fake_digits(pbx, caller, "1");
	ck_assert_str_eq(heard.text, "a:1 ");
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(an_attended_transfer_joins_the_two_partners)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	fake_hold(pbx, callee, true);
	pbx_leg second = fake_dial(pbx, "1002", "1003"), third = fake_leg(pbx, "1003");
	fake_answer(pbx, third);
	ck_assert(fake_talk(pbx, second, third));
	ck_assert_int_eq(fake_transfer_to(pbx, callee, second), PBX_OK);
	ck_assert(fake_talk(pbx, caller, third));
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, second), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_event_count(pbx, "call.linked"), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.transfer"), "transfer_type"), "attended");
	fake_hangup(pbx, third);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 2);
}
END_TEST

/* A controller that keeps whom it is given, or says no. */
static int replace_answer;

static int on_replaced(void *self, pbx_leg leg, pbx_leg by)
{
	static const struct pbx_controller keeping = { .size = sizeof keeping };

	(void)leg;
	return replace_answer == PBX_OK ? calls->control(fake_host(NULL), by, &keeping, self) : replace_answer;
}

static void take_and_answer(void *self, pbx_leg leg)
{
	static const struct pbx_controller asked = { .size = sizeof asked, .replaced = on_replaced };

	ck_assert_int_eq(calls->control(fake_host(NULL), leg, &asked, self), PBX_OK);
	ck_assert_int_eq(calls->answer(leg), PBX_OK);
}

START_TEST(an_attended_transfer_to_a_controller_is_its_to_take_or_refuse)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	static const struct {
		int result;
		uint32_t code;
	} refusals[] = { { PBX_ENOSPC, 486 }, { PBX_EBUSY, 486 }, { PBX_EPERM, 403 }, { PBX_EINVAL, 500 } };
	pbx_leg caller, callee;

	ck_assert_int_eq(claim(pbx, "*50", take_and_answer), PBX_OK);
	talk(pbx, &caller, &callee);
	pbx_leg second = fake_dial(pbx, "1002", "*50");
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		replace_answer = refusals[i].result;
		ck_assert_int_eq(fake_transfer_to(pbx, callee, second), PBX_OK);
		ck_assert_uint_eq(fake_transfer_code(pbx, callee), refusals[i].code);
		ck_assert(fake_talk(pbx, caller, callee));
		ck_assert_uint_eq(fake_state(pbx, second), PBX_LEG_ANSWERED);
	}
	replace_answer = PBX_OK;
	ck_assert_int_eq(fake_transfer_to(pbx, callee, second), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, callee), 200);
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, second), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.transfer"), "target"), "*50");
	fake_hangup(pbx, caller);
}
END_TEST

/* Some phones send REFER in the call with the feature and name the other one. */
START_TEST(an_attended_transfer_may_be_asked_for_in_either_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	ck_assert_int_eq(claim(pbx, "*50", take_and_answer), PBX_OK);
	replace_answer = PBX_OK;
	talk(pbx, &caller, &callee);
	pbx_leg second = fake_dial(pbx, "1002", "*50");
	ck_assert_int_eq(fake_transfer_to(pbx, second, callee), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, second), 200);
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, second), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(a_transfer_is_the_controllers_to_decide_or_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(claim(pbx, "*50", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*50");
	ck_assert_int_eq(fake_transfer(pbx, caller, "1002"), PBX_ESTATE);
	ck_assert_int_eq(calls->control(fake_host(pbx), caller, &knowing, name_b), PBX_OK);
	ck_assert_int_eq(fake_transfer(pbx, caller, "1002"), PBX_OK);
	ck_assert_str_eq(heard.text, "a:answered a:lost b:transfer(1002) ");
	fake_hangup(pbx, caller);
	ck_assert_int_eq(fake_transfer(pbx, caller, "1002"), PBX_ENOENT);
}
END_TEST

/* ---- draining, click to call ---- */

static void on_idle(void *context)
{
	++*(int *)context;
}

START_TEST(draining_lets_calls_end_and_hangs_up_the_rest_at_the_deadline)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	int idle = 0;

	talk(pbx, &caller, &callee);
	core_calls_drain(30000, on_idle, &idle);
	fake_settle(pbx);
	ck_assert(core_calls_draining() && idle == 0);
	const struct pbx_dial_target target = { .text = "1003" };
	const struct pbx_dial_plan plan = { .size = sizeof plan, PBX_TARGETS(&target, 1) };
	pbx_dial dial;
	ck_assert_int_eq(calls->dial(fake_host(pbx), (pbx_leg){ 0 }, &plan, &dialler, NULL, &dial), PBX_ENOSPC);
	fake_pass_ms(pbx, 29999);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	fake_pass_ms(pbx, 1);
	ck_assert_uint_eq(fake_cause(pbx, caller), PBX_CAUSE_NORMAL);
	ck_assert_int_eq(idle, 1);
}
END_TEST

START_TEST(click_to_call_rings_one_phone_and_then_calls_from_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_http(pbx, "POST", "/calls", "{\"from\": \"1001\", \"to\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 201);
	pbx_leg first = fake_leg(pbx, "1001");
	ck_assert_str_eq(fake_shown(pbx, first), "1002");
	fake_answer(pbx, first);
	ck_assert_uint_eq(fake_event_count(pbx, "call.answered"), 0);
	pbx_leg second = fake_leg(pbx, "1002");
	fake_answer(pbx, second);
	ck_assert(fake_talk(pbx, first, second));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.answered"), "answered_by.number"), "1002");
	fake_hangup(pbx, first);
	ck_assert_str_eq(ended(pbx, "from.number"), "1001");
	ck_assert_str_eq(ended(pbx, "to.number"), "1002");
	ck_assert_str_eq(ended(pbx, "hangup_by"), "caller");
	(void)fake_http(pbx, "POST", "/calls", "{\"from\": \"sip:evil@example.org\", \"to\": \"1002\"}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http_as(pbx, "bob", "calls:write", "1002", "POST", "/calls", "{\"from\": \"1001\", \"to\": \"1003\"}");
	ck_assert_uint_eq(fake_status(pbx), 403);
}
END_TEST

CHECK_MAIN("dials", who_rings_without_routing_has_the_name_of_its_account, a_dial_without_connect_hands_the_winner_to_its_owner,
	   in_order_the_second_rings_when_the_first_is_over, staggered_targets_start_after_their_delay,
	   longer_targets_are_read_as_far_as_they_are_known, a_cancelled_dial_is_done_once_and_a_second_cancel_finds_nothing,
	   hanging_up_from_cancels_what_is_dialled_on_its_behalf, connect_bridges_an_answered_leg_and_its_controller_has_lost_it,
	   a_dial_is_refused_when_it_says_nothing_or_there_is_no_room, beyond_the_limit_nobody_calls_but_in_an_emergency,
	   nobody_has_more_emergencies_than_their_share, busy_no_answer_and_offline_go_where_the_owner_said,
	   no_answer_without_a_place_to_go_is_the_answer, forwarding_in_a_circle_ends_after_five,
	   a_phone_that_redirects_is_followed_through_routing, a_blind_transfer_moves_the_partner_and_hangs_the_transferor_up,
	   a_blind_transfer_that_fails_brings_the_two_together_again, a_transfer_goes_on_when_the_transferor_hangs_up_at_once,
	   a_claim_may_take_a_transferred_leg_or_refuse_it_and_the_transferor_keeps_it, an_attended_transfer_joins_the_two_partners,
	   an_attended_transfer_to_a_controller_is_its_to_take_or_refuse, an_attended_transfer_may_be_asked_for_in_either_call,
	   a_transfer_is_the_controllers_to_decide_or_refused, draining_lets_calls_end_and_hangs_up_the_rest_at_the_deadline,
	   click_to_call_rings_one_phone_and_then_calls_from_it)
