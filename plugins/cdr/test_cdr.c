/* plugins/cdr/test_cdr.c - what a call leaves behind: one true record of each conversation, whatever happened to it */
#include "../../tests/check_main.h"
#include "calls.h"
#include "fake.h"
#include "store.h"
#include <pbx/route.h>
#include <string.h>

static struct fake_pbx *house(const char *plugins)
{
	struct fake_pbx *pbx = fake_pbx_with(plugins);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	return pbx;
}

/* Of the records, oldest first: "0.billsec_ms". Empty: the record is not there. */
static const char *record(struct fake_pbx *pbx, const char *path)
{
	const char *list = fake_command(pbx, "cdr list"), *value;
	char newest_first[96], index[24];
	uint32_t count = 0;

	ck_assert_msg(fake_status(pbx) == 200, "%s", list);
	do
		(void)snprintf(index, sizeof index, "items.%u.id", count);
	while (fake_json(pbx, list, index) && ++count);
	uint32_t wanted = (uint32_t)strtoul(path, NULL, 10);
	if (wanted >= count)
		return "";
	(void)snprintf(newest_first, sizeof newest_first, "items.%u%s", count - 1 - wanted, strchr(path, '.'));
	value = fake_json(pbx, list, newest_first);
	return value ? value : "(none)";
}

static uint32_t records(struct fake_pbx *pbx)
{
	char path[16];
	uint32_t count = 0;

	do
		(void)snprintf(path, sizeof path, "%u.id", count);
	while (record(pbx, path)[0] && ++count);
	return count;
}

static void expect(struct fake_pbx *pbx, const char *path, const char *value)
{
	const char *is = record(pbx, path);

	ck_assert_msg(strcmp(is, value) == 0, "%s is %s, not %s: %s", path, is, value, fake_command(pbx, "cdr list"));
}

static pbx_leg talk(struct fake_pbx *pbx, const char *from, const char *to)
{
	pbx_leg caller = fake_dial(pbx, from, to);

	fake_ring(pbx, fake_leg(pbx, to));
	fake_pass_ms(pbx, 2000);
	fake_answer(pbx, fake_leg(pbx, to));
	return caller;
}

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

static pbx_leg park(struct fake_pbx *pbx)
{
	pbx_leg caller = talk(pbx, "1003", "1001"), parker = fake_leg(pbx, "1001");

	fake_pass_ms(pbx, 3000);
	ck_assert_int_eq(fake_transfer(pbx, parker, "*74"), PBX_OK);
	fake_hangup(pbx, parker); /* as a phone does that is told of success, though the slot is being spoken to it */
	fake_pass_ms(pbx, 10000);
	return caller;
}

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

/* ---- restarts ------------------------------------------------------------------------------- */

static const char *const logged[] = {
	"(900001, 'e1', 'call.started', 'calls', 1000000, 'A', 'A', "
	"'{\"leg_id\":\"A-1\",\"direction\":\"internal\",\"from\":{\"number\":\"1001\"},"
	"\"to\":{\"number\":\"1002\"},\"dialled\":\"1002\"}')",
	"(900002, 'e2', 'leg.started', 'calls', 1000000, 'A', 'A', '{\"leg_id\":\"A-1\"}')",
	"(900003, 'e3', 'leg.started', 'calls', 1000000, 'A', 'A', '{\"leg_id\":\"A-2\"}')",
	"(900004, 'e4', 'leg.answered', 'calls', 3000000, 'A', 'A', '{\"leg_id\":\"A-2\"}')",
	"(900005, 'e5', 'leg.answered', 'calls', 3000000, 'A', 'A', '{\"leg_id\":\"A-1\"}')",
	"(900006, 'e6', 'call.answered', 'calls', 3000000, 'A', 'A', "
	"'{\"leg_id\":\"A-2\",\"answered_by\":{\"number\":\"1002\"},\"ring_ms\":2000}')",
	"(900007, 'e7', 'bridge.entered', 'calls', 3000000, 'A', 'A', "
	"'{\"bridge_id\":\"B\",\"leg_id\":\"A-1\",\"peer_leg_id\":\"A-2\",\"number\":\"1001\",\"peer_number\":\"1002\"}')",
	"(900008, 'e8', 'bridge.entered', 'calls', 3000000, 'A', 'A', "
	"'{\"bridge_id\":\"B\",\"leg_id\":\"A-2\",\"peer_leg_id\":\"A-1\",\"number\":\"1002\",\"peer_number\":\"1001\"}')",
	"(900009, 'e9', 'call.hold', 'calls', 5000000, 'A', 'A', '{\"by\":\"A-1\",\"held\":\"A-2\"}')",
};

/* A call that the crash of this PBX cut off, as the log has it: it began, was answered after two seconds and held after two more. */
static void cut_off(struct fake_pbx *pbx, const char *list)
{
	char sql[1024];

	for (size_t i = 0; i < sizeof logged / sizeof logged[0]; i++) {
		(void)snprintf(sql, sizeof sql, "INSERT INTO event_log (seq, id, type, owner, wall_us, call_id, linked_id, data) VALUES %s",
			       logged[i]);
		ck_assert_int_eq(core_store_service.run(fake_host(pbx), sql, NULL, 0, NULL, NULL), PBX_OK);
	}
	ck_assert_int_eq(core_store_service.run(fake_host(pbx), list, NULL, 0, NULL, NULL), PBX_OK);
}

START_TEST(what_was_open_when_the_pbx_died_is_closed_when_it_was_last_seen)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");

	cut_off(pbx, "INSERT INTO calls_open (id, seq, wall_us, calls) VALUES (1, 900004, 9000000, 'A') ON CONFLICT (id) DO UPDATE SET "
		     "seq = 900004, wall_us = 9000000, calls = 'A'");
	fake_restart(pbx);
	ck_assert_uint_eq(records(pbx), 1);
	expect(pbx, "0.disposition", "answered");
	expect(pbx, "0.cause", "system_restart");
	expect(pbx, "0.hangup_by", "system");
	expect(pbx, "0.duration_ms", "8000");
	expect(pbx, "0.billsec_ms", "6000");
	expect(pbx, "0.ring_ms", "2000");
	expect(pbx, "0.hold_ms", "4000");
	expect(pbx, "0.ended_at", "1970-01-01T00:00:09.000Z");
	ck_assert_uint_eq(fake_event_count(pbx, "bridge.left"), 2);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.ended"), 2);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 1);

	fake_restart(pbx);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 1);
	ck_assert_uint_eq(records(pbx), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "cdr.created"), "cause"), "system_restart");
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 1);
}
END_TEST

START_TEST(a_call_that_began_after_the_last_look_ends_with_its_last_event)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");

	cut_off(pbx, "DELETE FROM calls_open");
	fake_restart(pbx);
	ck_assert_uint_eq(records(pbx), 1);
	expect(pbx, "0.cause", "system_restart");
	expect(pbx, "0.duration_ms", "4000");
	expect(pbx, "0.billsec_ms", "2000");
}
END_TEST

/* The start after the crash was cut off itself: it had told of the bridge and of one leg. */
START_TEST(an_end_told_by_half_is_told_to_the_end)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");

	cut_off(pbx, "INSERT INTO event_log (seq, id, type, owner, wall_us, call_id, linked_id, data) VALUES"
		     " (900010, 'ea', 'bridge.left', 'calls', 9000000, 'A', 'A', '{\"leg_id\":\"A-1\"}'),"
		     " (900011, 'eb', 'bridge.left', 'calls', 9000000, 'A', 'A', '{\"leg_id\":\"A-2\"}'),"
		     " (900012, 'ec', 'leg.ended', 'calls', 9000000, 'A', 'A', '{\"leg_id\":\"A-1\"}')");
	fake_restart(pbx);
	expect(pbx, "0.duration_ms", "8000");
	ck_assert_uint_eq(fake_event_count(pbx, "bridge.left"), 0);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.ended"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 1);
}
END_TEST

START_TEST(what_ended_while_nobody_kept_records_gets_its_true_end)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002");

	ck_assert_int_eq(fake_unload_plugin(pbx, "cdr"), PBX_OK);
	fake_pass_ms(pbx, 3000);
	fake_hangup(pbx, alice);
	(void)fake_dial(pbx, "1001", "1999"); /* and one that began and ended meanwhile */
	fake_restart(pbx);
	ck_assert_uint_eq(records(pbx), 2);
	expect(pbx, "0.cause", "normal_clearing");
	expect(pbx, "0.hangup_by", "caller");
	expect(pbx, "0.billsec_ms", "3000");
	expect(pbx, "1.cause", "not_found");
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 2); /* each is told, with its true end */
	expect(pbx, "0.cause", "normal_clearing");
}
END_TEST

START_TEST(a_fresh_copy_goes_on_with_the_calls_in_progress)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	pbx_leg alice = talk(pbx, "1001", "1002"), bob = fake_leg(pbx, "1002");

	fake_pass_ms(pbx, 1000);
	fake_hold(pbx, bob, true);
	fake_pass_ms(pbx, 1000);
	fake_hold(pbx, bob, false);
	ck_assert_int_eq(fake_reload_plugin(pbx, "cdr"), PBX_OK);
	fake_pass_ms(pbx, 3000);
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(records(pbx), 1);
	expect(pbx, "0.disposition", "answered");
	expect(pbx, "0.billsec_ms", "5000");
	expect(pbx, "0.hold_ms", "1000");
	expect(pbx, "0.cause", "normal_clearing");
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 1);
}
END_TEST

START_TEST(a_fresh_copy_while_a_call_is_parked_counts_all_its_waiting)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr,call_parking");
	pbx_leg caller = park(pbx);

	ck_assert_int_eq(fake_reload_plugin(pbx, "cdr"), PBX_OK);
	pbx_leg other = fake_dial(pbx, "1002", "70");
	fake_pass_ms(pbx, 2000);
	fake_hangup(pbx, other);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ENDED);
	ck_assert_uint_eq(records(pbx), 2);
	expect(pbx, "0.cause", "parked");
	expect(pbx, "0.billsec_ms", "13000");
	expect(pbx, "0.park_ms", "10000");
	expect(pbx, "1.billsec_ms", "2000");
}
END_TEST

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

CHECK_MAIN("cdr", a_call_by_trunk_names_it_and_the_numbers_it_was_sent, a_call_that_no_trunk_takes_names_the_last,
	   a_caller_from_a_trunk_and_whom_they_are_sent_to, an_answered_call, a_busy_a_declined_and_an_unanswered_call, a_cancelled_call,
	   a_number_that_nobody_has, time_on_hold_is_counted, parked_and_fetched_by_the_same_party_it_is_one_conversation,
	   parked_and_fetched_by_another_it_is_two_conversations_with_one_linked_id, a_parked_call_that_was_given_up_is_one_conversation,
	   a_blind_transfer_begins_the_next_record, an_attended_transfer_ends_both_conversations_and_begins_a_third,
	   a_caller_who_transfers_is_not_billed_for_what_the_others_say,
	   a_called_party_who_is_parked_and_fetched_by_another_is_two_conversations,
	   what_was_open_when_the_pbx_died_is_closed_when_it_was_last_seen, a_call_that_began_after_the_last_look_ends_with_its_last_event,
	   an_end_told_by_half_is_told_to_the_end, what_ended_while_nobody_kept_records_gets_its_true_end,
	   a_fresh_copy_goes_on_with_the_calls_in_progress, a_fresh_copy_while_a_call_is_parked_counts_all_its_waiting,
	   filters_pages_and_csv, a_user_sees_only_their_own, an_account_code_given_during_the_call_goes_along,
	   fields_noted_during_the_call_end_in_its_records, records_are_found_by_a_field_and_by_what_it_says,
	   an_account_code_may_be_noted_as_a_field, who_fetches_a_call_brings_their_fields_along,
	   events_of_others_stand_in_the_history_of_the_call, old_records_lose_who_it_was_unless_they_are_held, events_and_legs_of_a_record)
