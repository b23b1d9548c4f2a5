/* plugins/cdr/test_restart.c - records over the death of the PBX, and over a fresh copy of the plugin */
#include "test_cdr.h"
#include "store.h"

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

#define ENDED                                                                                                                              \
	"'{\"disposition\":\"answered\",\"cause\":\"normal_clearing\",\"hangup_by\":\"caller\",\"sip_code\":200,\"q850_cause\":16,"        \
	"\"duration_ms\":8000,\"billsec_ms\":6000}'"
#define CLOSED_ROW(id)                                                                                                                     \
	"INSERT INTO cdr_segments (id, call_id, linked_id, sequence, direction, from_number, from_name, to_number, dialled, device,"       \
	" started_at, answered_at, ended_at, disposition, cause, hangup_by, sip_code, q850_cause, ring_ms, duration_ms, billsec_ms,"       \
	" hold_ms, park_ms, parked_at) VALUES ('" id "-1', '" id "', '" id "', 1, 'internal', '1001', '', '1002', '1002', '',"             \
	" 1000000, 3000000, 9000000, 'answered', 'normal_clearing', 'caller', 200, 16, 2000, 8000, 6000, 0, 0, 0)"

/* The crash came when records were closed, and before it was known how far we were: A, whose events all come again, and B, whose end does, are in the log as
 * told; C is not. */
START_TEST(what_was_told_of_before_the_crash_is_not_told_of_again)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("cdr");
	static const char *const rows[] = { CLOSED_ROW("B"), CLOSED_ROW("C") };

	cut_off(pbx, "INSERT INTO event_log (seq, id, type, owner, wall_us, call_id, linked_id, data) VALUES"
		     " (900010, 'ea', 'call.ended', 'calls', 9000000, 'A', 'A', " ENDED "),"
		     " (900011, 'eb', 'call.ended', 'calls', 9000000, 'B', 'B', " ENDED "),"
		     " (900012, 'ec', 'cdr.created', 'cdr', 9000000, '', '', '{\"id\":\"A-1\",\"call_id\":\"A\"}'),"
		     " (900013, 'ed', 'call.ended', 'calls', 9000000, 'C', 'C', " ENDED "),"
		     " (900014, 'ee', 'cdr.created', 'cdr', 9000000, '', '', '{\"id\":\"B-1\",\"call_id\":\"B\"}')");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_int_eq(core_store_service.run(fake_host(pbx), rows[i], NULL, 0, NULL, NULL), PBX_OK);
	fake_restart(pbx);
	ck_assert_uint_eq(records(pbx), 3);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "cdr.created"), "id"), "C-1");
	fake_restart(pbx);
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(fake_event_count(pbx, "cdr.created"), 1); /* and now the place is known */
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

CHECK_MAIN("cdr over restarts", what_was_open_when_the_pbx_died_is_closed_when_it_was_last_seen,
	   a_call_that_began_after_the_last_look_ends_with_its_last_event, an_end_told_by_half_is_told_to_the_end,
	   what_was_told_of_before_the_crash_is_not_told_of_again, what_ended_while_nobody_kept_records_gets_its_true_end,
	   a_fresh_copy_goes_on_with_the_calls_in_progress, a_fresh_copy_while_a_call_is_parked_counts_all_its_waiting)
