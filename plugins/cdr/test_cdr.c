/* plugins/cdr/test_cdr.c - what a call leaves behind: one true record of each conversation, whatever happened to it */
#include "test_cdr.h"
#include <pbx/route.h>

/* ---- trunks ------------------------------------------------------------------------------ */

static const struct pbx_dial_target lines[] = {
	{ .text = "4930901820", .peer = "first", .caller_number = "493090180" },
	{ .text = "+4930901820", .peer = "second", .caller_number = "+493090181" },
};

static int over_lines(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	(void)self, (void)query;
	if (strcmp(request->number, "0901820") != 0)
		return PBX_OK;
	ret_answer->verdict = PBX_ROUTE_TARGETS;
	ret_answer->targets = lines;
	ret_answer->target_count = 2;
	ret_answer->target_size = sizeof lines[0];
	ret_answer->strategy = PBX_DIAL_FAILOVER;
	return PBX_OK;
}

/* 0901820 goes out by the first line, then the second. */
static struct fake_pbx *house_with_lines(void)
{
	struct fake_pbx *pbx = house("cdr");
	struct pbx_host *host = fake_host(pbx);

	for (uint32_t i = 0; i < 2; i++) {
		const struct pbx_sip_peer peer = { .size = sizeof peer, .name = lines[i].peer, .host = "line.example" };

		ck_assert_int_eq(pbx_sip(host)->set_peer(host, &peer, NULL), PBX_OK);
	}
	ck_assert_int_eq(pbx_routing(host)->hook(host, PBX_ORDER_TRUNKS, "lines", over_lines, NULL), PBX_OK);
	return pbx;
}

START_TEST(a_call_by_trunk_names_it_and_the_numbers_it_was_sent)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_lines();
	pbx_leg alice = fake_dial(pbx, "1001", "0901820");

	expect(pbx, "0.trunk_id", "first"); /* while it is tried */
	fake_refuse(pbx, fake_leg(pbx, "4930901820"), 503);
	fake_answer(pbx, fake_leg(pbx, "+4930901820"));
	fake_hangup(pbx, alice);
	expect(pbx, "0.direction", "outbound");
	expect(pbx, "0.dialled", "0901820");
	expect(pbx, "0.trunk_id", "second");
	expect(pbx, "0.trunk_to", "+4930901820");
	expect(pbx, "0.trunk_from", "+493090181");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "cdr list trunk_id=second"), "items.0.trunk_to"), "+4930901820");
	ck_assert_ptr_null(fake_json(pbx, fake_command(pbx, "cdr list trunk_id=first"), "items.0"));
}
END_TEST

START_TEST(a_call_that_no_trunk_takes_names_the_last)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_lines();

	(void)fake_dial(pbx, "1001", "0901820");
	fake_refuse(pbx, fake_leg(pbx, "4930901820"), 503);
	fake_refuse(pbx, fake_leg(pbx, "+4930901820"), 486);
	expect(pbx, "0.disposition", "busy");
	expect(pbx, "0.trunk_id", "second");
}
END_TEST

START_TEST(a_caller_from_a_trunk_and_whom_they_are_sent_to)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_lines();
	pbx_leg caller = fake_dial_by_peer(pbx, "first", "4989100", "1002");

	fake_answer(pbx, fake_leg(pbx, "1002"));
	fake_pass_ms(pbx, 1000);
	expect(pbx, "0.direction", "inbound");
	expect(pbx, "0.trunk_id", "first");
	expect(pbx, "0.trunk_from", "4989100");
	expect(pbx, "0.trunk_to", "1002");
	ck_assert_int_eq(fake_transfer(pbx, fake_leg(pbx, "1002"), "0901820"), PBX_OK);
	fake_answer(pbx, fake_leg(pbx, "4930901820"));
	fake_pass_ms(pbx, 1000);
	fake_hangup(pbx, caller);
	expect(pbx, "0.trunk_id", "first");
	expect(pbx, "0.trunk_to", "1002");
	expect(pbx, "1.trunk_id", "first"); /* by which they went out again */
	expect(pbx, "1.trunk_to", "4930901820");
}
END_TEST

/* ---- how a call may end ------------------------------------------------------------------ */

START_TEST(an_answered_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");

	ck_assert_uint_eq(records(pbx), 1); /* there from the first moment */
	expect(pbx, "0.ended_at", "null");
	fake_pass_ms(pbx, 3000);
	fake_hangup(pbx, fake_leg(pbx, "1002"));
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
	expect(pbx, "0.disposition", "answered");
	expect(pbx, "0.billsec_ms", "3000");
	expect(pbx, "0.duration_ms", "5000");
	expect(pbx, "0.ring_ms", "2000");
	expect(pbx, "0.from_number", "1001");
	expect(pbx, "0.to_number", "1002");
	expect(pbx, "0.dialled", "1002");
	expect(pbx, "0.hangup_by", "callee");
	expect(pbx, "0.cause", "normal_clearing");
	expect(pbx, "0.direction", "internal");
	expect(pbx, "0.hold_ms", "0");
	ck_assert_uint_eq(records(pbx), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "cdr.created"), "billsec_ms"), "3000");
}
END_TEST

START_TEST(a_busy_a_declined_and_an_unanswered_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");

	(void)fake_dial(pbx, "1001", "1002");
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	fake_pass_ms(pbx, 10);
	(void)fake_dial(pbx, "1001", "1002");
	fake_refuse(pbx, fake_leg(pbx, "1002"), 603);
	fake_pass_ms(pbx, 10);
	(void)fake_dial(pbx, "1001", "1002");
	fake_ring(pbx, fake_leg(pbx, "1002"));
	fake_pass_ms(pbx, 600000);
	expect(pbx, "0.disposition", "busy");
	expect(pbx, "0.sip_code", "486");
	expect(pbx, "0.billsec_ms", "0");
	expect(pbx, "0.answered_at", "null");
	expect(pbx, "1.disposition", "declined");
	expect(pbx, "2.disposition", "no_answer");
	ck_assert_uint_eq(records(pbx), 3);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 3);
}
END_TEST

START_TEST(a_cancelled_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = fake_dial(pbx, "1001", "1002");

	fake_ring(pbx, fake_leg(pbx, "1002"));
	fake_pass_ms(pbx, 2000);
	fake_hangup(pbx, alice);
	expect(pbx, "0.disposition", "cancelled");
	expect(pbx, "0.hangup_by", "caller");
	expect(pbx, "0.duration_ms", "2000");
}
END_TEST

START_TEST(a_number_that_nobody_has)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");

	(void)fake_dial(pbx, "1001", "1999");
	expect(pbx, "0.disposition", "failed");
	expect(pbx, "0.sip_code", "404");
	expect(pbx, "0.cause", "not_found");
	expect(pbx, "0.dialled", "1999");
}
END_TEST

START_TEST(time_on_hold_is_counted)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002"), bob = fake_leg(pbx, "1002");

	fake_pass_ms(pbx, 1000);
	fake_hold(pbx, bob, true);
	fake_pass_ms(pbx, 4000);
	fake_hold(pbx, bob, false);
	fake_pass_ms(pbx, 1000);
	fake_hold(pbx, alice, true); /* and one that never ends */
	fake_pass_ms(pbx, 500);
	fake_hangup(pbx, alice);
	expect(pbx, "0.hold_ms", "4500");
	expect(pbx, "0.billsec_ms", "6500");
	ck_assert_uint_eq(records(pbx), 1);
}
END_TEST

/* ---- more than two parties ---------------------------------------------------------------- */

START_TEST(parked_and_fetched_by_the_same_party_it_is_one_conversation)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr,call_parking");
	pbx_leg caller = park(pbx), again = fake_dial(pbx, "1001", "70");

	ck_assert(fake_talk(pbx, caller, again));
	fake_pass_ms(pbx, 2000);
	fake_hangup(pbx, caller);
	expect(pbx, "0.disposition", "answered");
	expect(pbx, "0.to_number", "1001");
	expect(pbx, "0.park_ms", "10000");
	expect(pbx, "0.billsec_ms", "15000");
	ck_assert_msg(records(pbx) == 1, "%s", fake_command(pbx, "cdr list"));
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 1);
}
END_TEST

START_TEST(parked_and_fetched_by_another_it_is_two_conversations_with_one_linked_id)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr,call_parking");
	pbx_leg caller = park(pbx), other = fake_dial(pbx, "1002", "70");

	ck_assert(fake_talk(pbx, caller, other));
	fake_pass_ms(pbx, 2000);
	fake_hangup(pbx, other);
	ck_assert_msg(records(pbx) == 2, "%s", fake_command(pbx, "cdr list"));
	expect(pbx, "0.sequence", "1");
	expect(pbx, "0.to_number", "1001");
	expect(pbx, "0.cause", "parked");
	expect(pbx, "0.billsec_ms", "13000");
	expect(pbx, "0.park_ms", "10000");
	expect(pbx, "1.sequence", "2");
	expect(pbx, "1.to_number", "1002");
	expect(pbx, "1.from_number", "1003");
	expect(pbx, "1.billsec_ms", "2000");
	ck_assert_str_eq(record(pbx, "0.linked_id"), record(pbx, "1.linked_id"));
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 2);

	/* What happened tells of both calls, also of the one that went into the other, in the order of time. */
	char path[96], item[32];
	const char *events, *seq;
	int64_t before = 0;
	uint32_t started = 0;

	(void)snprintf(path, sizeof path, "/cdr/%s/events", record(pbx, "0.id"));
	events = fake_http(pbx, "GET", path, NULL);
	for (uint32_t i = 0; (void)snprintf(item, sizeof item, "items.%u.seq", i), (seq = fake_json(pbx, events, item)) != NULL; i++) {
		ck_assert_int_gt(strtoll(seq, NULL, 10), before);
		before = strtoll(seq, NULL, 10);
		(void)snprintf(item, sizeof item, "items.%u.type", i);
		started += strcmp(fake_json(pbx, events, item), "call.started") == 0;
	}
	ck_assert_msg(started == 2, "%s", events);
}
END_TEST

START_TEST(a_parked_call_that_was_given_up_is_one_conversation)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr,call_parking");
	pbx_leg caller = park(pbx);

	fake_hangup(pbx, caller);
	ck_assert_uint_eq(records(pbx), 1);
	expect(pbx, "0.park_ms", "10000");
	expect(pbx, "0.disposition", "answered");
	expect(pbx, "0.hangup_by", "caller");
}
END_TEST

START_TEST(a_blind_transfer_begins_the_next_record)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");

	fake_pass_ms(pbx, 3000);
	ck_assert_int_eq(fake_transfer(pbx, fake_leg(pbx, "1002"), "1003"), PBX_OK);
	fake_ring(pbx, fake_leg(pbx, "1003"));
	fake_pass_ms(pbx, 1000);
	fake_answer(pbx, fake_leg(pbx, "1003"));
	fake_pass_ms(pbx, 5000);
	fake_hangup(pbx, alice);
	ck_assert_msg(records(pbx) == 2, "%s", fake_command(pbx, "cdr list"));
	expect(pbx, "0.to_number", "1002");
	expect(pbx, "0.cause", "transferred");
	expect(pbx, "1.to_number", "1003");
	expect(pbx, "1.disposition", "answered");
	ck_assert_str_eq(record(pbx, "0.linked_id"), record(pbx, "1.linked_id"));
	/* The caller's line was in use for nine seconds, all told. */
	ck_assert_int_eq(strtol(record(pbx, "0.billsec_ms"), NULL, 10) + strtol(record(pbx, "1.billsec_ms"), NULL, 10), 9000);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 2);
}
END_TEST

/* The only record of these two, in whatever order, says so. */
static void expect_record(struct fake_pbx *pbx, const char *from, const char *to, const char *billsec_ms, const char *hold_ms,
			  const char *cause)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < records(pbx); i++) {
		char of[5][24];
		static const char *const names[] = { "from_number", "to_number", "billsec_ms", "hold_ms", "cause" };

		for (size_t at = 0; at < 5; at++)
			(void)snprintf(of[at], sizeof of[at], "%u.%s", i, names[at]);
		if (strcmp(record(pbx, of[0]), from) != 0 || strcmp(record(pbx, of[1]), to) != 0)
			continue;
		found++;
		expect(pbx, of[2], billsec_ms);
		expect(pbx, of[3], hold_ms);
		expect(pbx, of[4], cause);
	}
	ck_assert_msg(found == 1, "%u records from %s to %s: %s", found, from, to, fake_command(pbx, "cdr list"));
}

/* Who transfers asks somebody before (first their own call, then the question, or the other way round); who transfers may be the caller of both. The
 * conversation of those who are left is one record, by whoever called; nobody pays for a second twice, nor for what others say. */
START_TEST(an_attended_transfer_ends_both_conversations_and_begins_a_third)
{
	static const struct {
		const char *first_from, *first_to, *second_from, *second_to; /* two calls of 1002; the parties that are left meet */
	} cases[] = {
		{ "1001", "1002", "1002", "1003" },
		{ "1002", "1003", "1001", "1002" },
		{ "1002", "1001", "1002", "1003" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");

		(void)talk(pbx, cases[i].first_from, cases[i].first_to);
		pbx_leg first = fake_leg(pbx, "1002");
		fake_pass_ms(pbx, 1000);
		fake_hold(pbx, first, true);
		fake_pass_ms(pbx, 2000);
		(void)talk(pbx, cases[i].second_from, cases[i].second_to);
		pbx_leg second = fake_leg(pbx, "1002");
		fake_pass_ms(pbx, 3000);
		ck_assert_int_eq(fake_transfer_to(pbx, second, first), PBX_OK);
		ck_assert(fake_talk(pbx, fake_leg(pbx, "1001"), fake_leg(pbx, "1003")));
		fake_pass_ms(pbx, 7000);
		fake_hangup(pbx, fake_leg(pbx, "1001"));
		ck_assert_msg(records(pbx) == 3, "%zu: %s", i, fake_command(pbx, "cdr list"));
		ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 3);
		expect_record(pbx, cases[i].first_from, cases[i].first_to, "8000", "7000", "transferred");
		expect_record(pbx, cases[i].second_from, cases[i].second_to, "3000", "0", "transferred");
		expect_record(pbx, "1001", "1003", "7000", "0", "normal_clearing");
	}
}
END_TEST

START_TEST(a_caller_who_transfers_is_not_billed_for_what_the_others_say)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");

	fake_pass_ms(pbx, 3000);
	ck_assert_int_eq(fake_transfer(pbx, alice, "1003"), PBX_OK);
	fake_answer(pbx, fake_leg(pbx, "1003"));
	fake_pass_ms(pbx, 5000);
	fake_hangup(pbx, fake_leg(pbx, "1003"));
	ck_assert_msg(records(pbx) == 2, "%s", fake_command(pbx, "cdr list"));
	expect(pbx, "0.from_number", "1001");
	expect(pbx, "0.to_number", "1002");
	expect(pbx, "0.billsec_ms", "3000");
	expect(pbx, "1.from_number", "1002");
	expect(pbx, "1.to_number", "1003");
	expect(pbx, "1.billsec_ms", "5000");
	ck_assert_str_eq(record(pbx, "0.linked_id"), record(pbx, "1.linked_id"));
}
END_TEST

START_TEST(a_called_party_who_is_parked_and_fetched_by_another_is_two_conversations)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr,call_parking");
	pbx_leg alice = talk(pbx, "1001", "1002");

	fake_pass_ms(pbx, 3000);
	ck_assert_int_eq(fake_transfer(pbx, alice, "*74"), PBX_OK);
	fake_hangup(pbx, alice);
	fake_pass_ms(pbx, 4000);
	pbx_leg other = fake_dial(pbx, "1003", "70");
	fake_pass_ms(pbx, 5000);
	fake_hangup(pbx, other);
	ck_assert_msg(records(pbx) == 2, "%s", fake_command(pbx, "cdr list"));
	expect(pbx, "0.cause", "parked");
	expect(pbx, "0.park_ms", "4000");
	expect(pbx, "1.from_number", "1002");
	expect(pbx, "1.to_number", "1003");
	expect(pbx, "1.billsec_ms", "5000");
}
END_TEST

CHECK_MAIN("cdr", a_call_by_trunk_names_it_and_the_numbers_it_was_sent, a_call_that_no_trunk_takes_names_the_last,
	   a_caller_from_a_trunk_and_whom_they_are_sent_to, an_answered_call, a_busy_a_declined_and_an_unanswered_call, a_cancelled_call,
	   a_number_that_nobody_has, time_on_hold_is_counted, parked_and_fetched_by_the_same_party_it_is_one_conversation,
	   parked_and_fetched_by_another_it_is_two_conversations_with_one_linked_id, a_parked_call_that_was_given_up_is_one_conversation,
	   a_blind_transfer_begins_the_next_record, an_attended_transfer_ends_both_conversations_and_begins_a_third,
	   a_caller_who_transfers_is_not_billed_for_what_the_others_say,
	   a_called_party_who_is_parked_and_fetched_by_another_is_two_conversations)
