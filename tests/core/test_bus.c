/* tests/core/test_bus.c - what is published is heard, in order, and written down without a gap */
#include <stdlib.h>
#include <string.h>
#include "bus.h"
#include "json.h"
#include "loop.h"
#include "owner.h"
#include "owner_internal.h"
#include "schema.h"
#include "store.h"
#include "store_fixture.h"

static const struct pbx_field parked_fields[] = { { "slot", PBX_TYPE_INT, "Where" } };
static const struct pbx_event_type types[] = {
	{ "call.started", "A call begins", { 0 } },
	{ "call.parked", "A call waits", PBX_TABLE(parked_fields) },
	{ "leg.started", "A leg begins", { 0 } },
};

static char heard[65536];
static struct core_owner plugin;

static void on_done(void *context, int result)
{
	ck_assert_int_eq(result, PBX_OK);
	*(bool *)context = true;
}

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	ck_assert_msg(result == PBX_OK, "%s", diag->text);
	*(bool *)context = true;
}

static void declare(void)
{
	const struct pbx_table table = PBX_TABLE(types);

	core_owner_init(&plugin, "parking", NULL);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	ck_assert_int_eq(core_bus_declare(&plugin.host, &table, NULL), PBX_OK);
}

static void attach(void)
{
	bool migrated = false, attached = false;

	core_store_migrate("core", &CORE_SCHEMA_TABLE, on_migrated, &migrated);
	wait_for(&migrated);
	core_bus_attach_store(on_done, &attached);
	wait_for(&attached);
}

static void start(int engine)
{
	heard[0] = '\0';
	store_fixture_start(engine);
	declare();
	attach();
}

static void end_bus(void)
{
	core_store_fini(5000);
	core_owner_fini(&plugin);
	core_bus_fini();
}

static void stop(void)
{
	end_bus();
	store_fixture_stop();
}

static void hear(void *self, const struct pbx_event *event)
{
	size_t length = strlen(heard);

	(void)snprintf(heard + length, sizeof heard - length, "%s%lld:%s ", self ? (const char *)self : "", (long long)event->seq,
		       event->type);
}

static pbx_subscription subscribe(const char *pattern, const char *who)
{
	pbx_subscription subscription;

	ck_assert_int_eq(core_bus_service.subscribe(&plugin.host, pattern, hear, (void *)(uintptr_t)who, &subscription), PBX_OK);
	return subscription;
}

static void publish(const char *type)
{
	ck_assert_int_eq(core_bus_publish(&plugin.host, type, "CALL", "LINK", NULL), PBX_OK);
}

START_TEST(hears_what_matches_in_order_after_the_current_callback)
{
	start(_i);
	(void)subscribe("call.*", "a");
	(void)subscribe("leg.started,call.parked", "b");
	publish("call.started");
	publish("call.parked");
	publish("leg.started");
	ck_assert_str_eq(heard, "");
	core_loop_settle();
	ck_assert_str_eq(heard, "a1:call.started a2:call.parked b2:call.parked b3:leg.started ");
	stop();
}
END_TEST

/* What it hears of is in the table already. */
static void hear_stored(void *self, const struct pbx_event *event)
{
	struct core_bus_stats stats;

	core_bus_stats(&stats);
	ck_assert_int_ge(stats.stored_seq, event->seq);
	hear(self, event);
}

START_TEST(who_tells_others_hears_of_what_is_safe_in_the_log)
{
	pbx_subscription subscription;

	start(_i);
	publish("call.started"); /* before it subscribes, and not stored yet */
	ck_assert_int_eq(core_bus_subscribe_stored(&plugin.host, "call.*,leg.*", hear_stored, NULL, &subscription), PBX_OK);
	ck_assert_int_eq(core_bus_subscribe_stored(&plugin.host, "Call", hear_stored, NULL, &subscription), PBX_EINVAL);
	publish("call.parked");
	core_loop_settle();
	for (int i = 0; i < 100; i++) /* more than a statement takes */
		publish("leg.started");
	core_loop_settle();
	ck_assert_ptr_eq(strstr(heard, "2:call.parked 3:leg.started 4:leg.started "), heard);
	ck_assert_ptr_nonnull(strstr(heard, " 101:leg.started 102:leg.started "));
	ck_assert_int_eq(core_bus_service.unsubscribe(subscription), PBX_OK);
	heard[0] = '\0';
	publish("leg.started");
	core_loop_settle();
	ck_assert_str_eq(heard, "");
	stop();
}
END_TEST

START_TEST(writes_every_event_down_with_its_data)
{
	struct pbx_json *data = core_json_object();

	start(_i);
	ck_assert_int_eq(core_json_set_integer(data, "slot", 701), PBX_OK);
	ck_assert_int_eq(core_bus_publish(&plugin.host, "call.parked", "CALL", "LINK", data), PBX_OK);
	publish("call.started");
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT seq, type, owner, call_id, linked_id, data FROM event_log ORDER BY seq"),
			 "1|call.parked|parking|CALL|LINK|{\"slot\":701};2|call.started|parking|CALL|LINK|{}");
	stop();
}
END_TEST

START_TEST(only_what_is_declared_may_be_published)
{
	struct pbx_json *list;

	start(_i);
	ck_assert_int_eq(core_bus_publish(&plugin.host, "call.invented", "", "", core_json_object()), PBX_EINVAL);
	ck_assert_int_eq(core_bus_publish(core_self(), "call.parked", "", "", NULL), PBX_EINVAL);
	list = core_bus_service.types();
	ck_assert_uint_eq(core_json_count(list), 3);
	char *text = core_json_print(core_json_at(list, 1));
	ck_assert_str_eq(text, "{\"name\":\"call.parked\",\"owner\":\"parking\",\"help\":\"A call waits\","
			       "\"fields\":[{\"name\":\"slot\",\"type\":\"int\",\"help\":\"Where\"}]}");
	core_json_free_text(text);
	core_json_free(list);
	core_bus_undeclare(&plugin.host);
	ck_assert_int_eq(core_bus_publish(&plugin.host, "call.parked", "", "", NULL), PBX_EINVAL);
	stop();
}
END_TEST

START_TEST(patterns_are_checked)
{
	static const char *const good[] = { "*", "call.*", "*.started", "call.parked,leg.*", "call.*.x_1" };
	static const char *const bad[] = { "", ",", "call.*,", "Call.*", "call.parked, leg", "a*b*c*d*e*" };
	pbx_subscription subscription;

	start(_i);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		(void)subscribe(good[i], "");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_int_eq(core_bus_service.subscribe(&plugin.host, bad[i], hear, NULL, &subscription), PBX_EINVAL);
	publish("leg.started");
	core_loop_settle();
	ck_assert_str_eq(heard, "1:leg.started 1:leg.started 1:leg.started ");
	stop();
}
END_TEST

static pbx_subscription second;

static void hear_and_change(void *self, const struct pbx_event *event)
{
	hear(self, event);
	if (event->seq == 1) {
		ck_assert_int_eq(core_bus_service.unsubscribe(second), PBX_OK);
		(void)subscribe("*", "late");
		publish("leg.started");
	}
}

START_TEST(subscribers_may_come_and_go_while_they_are_told)
{
	pbx_subscription first;

	start(_i);
	ck_assert_int_eq(core_bus_service.subscribe(&plugin.host, "*", hear_and_change, (void *)(uintptr_t) "first", &first), PBX_OK);
	second = subscribe("*", "second");
	publish("call.started");
	publish("call.parked");
	core_loop_settle();
	ck_assert_str_eq(heard, "first1:call.started first2:call.parked first3:leg.started late3:leg.started ");
	ck_assert_int_eq(core_bus_service.unsubscribe(second), PBX_ENOENT);
	stop();
}
END_TEST

START_TEST(a_stopped_owner_hears_nothing_more)
{
	start(_i);
	(void)subscribe("*", "a");
	publish("call.started");
	core_owner_revoke_all(&plugin);
	core_loop_settle();
	ck_assert_str_eq(heard, "");
	stop();
}
END_TEST

START_TEST(what_is_published_before_the_numbers_are_known_waits_for_them)
{
	heard[0] = '\0';
	store_fixture_start(_i);
	declare();
	(void)subscribe("*", "a");
	publish("call.started");
	publish("call.parked");
	core_loop_settle();
	ck_assert_str_eq(heard, "");
	attach();
	publish("leg.started");
	core_loop_settle();
	ck_assert_str_eq(heard, "a1:call.started a2:call.parked a3:leg.started ");
	stop();
}
END_TEST

START_TEST(many_events_have_numbers_without_a_gap_over_restarts)
{
	start(_i);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++) {
			publish(i % 3 ? "call.started" : "leg.started");
			if (i % 97 == 0)
				core_loop_step();
		}
		end_bus();
		store_fixture_open();
		declare();
		attach();
	}
	ck_assert_str_eq(ask("SELECT COUNT(*), MIN(seq), MAX(seq) FROM event_log"), "3000|1|3000");
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM event_log WHERE type = 'leg.started'"), "1002");
	stop();
}
END_TEST

static void on_pruned(void *context, int result, int64_t forgotten)
{
	ck_assert_int_eq(result, PBX_OK);
	*(int64_t *)context = forgotten;
}

START_TEST(forgetting_keeps_the_last_so_that_numbers_go_on)
{
	int64_t forgotten = -1;

	start(_i);
	for (int i = 0; i < 2500; i++)
		publish("call.started");
	core_loop_settle();
	core_bus_prune(core_wall_us() + 1000000, on_pruned, &forgotten);
	core_loop_settle();
	ck_assert_int_eq(forgotten, 2499);
	end_bus();
	store_fixture_open();
	declare();
	attach();
	publish("call.parked");
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT seq, type FROM event_log ORDER BY seq"), "2500|call.started;2501|call.parked");
	stop();
}
END_TEST

static int64_t replayed_to;

static void on_replayed(void *self, int result, int64_t last_seq)
{
	(void)self;
	ck_assert_int_eq(result, PBX_OK);
	replayed_to = last_seq;
}

START_TEST(replay_looks_back_from_a_number)
{
	start(_i);
	for (int i = 1; i <= 700; i++)
		publish(i % 100 ? "leg.started" : "call.parked");
	core_loop_settle();
	ck_assert_int_eq(core_bus_service.replay(&plugin.host, 150, 0, "call.*", 4, hear, on_replayed, NULL), PBX_OK);
	core_loop_settle();
	ck_assert_str_eq(heard, "200:call.parked 300:call.parked 400:call.parked 500:call.parked ");
	ck_assert_int_eq(replayed_to, 500);
	heard[0] = '\0';
	ck_assert_int_eq(core_bus_service.replay(&plugin.host, 500, 0, "call.*", 99, hear, on_replayed, NULL), PBX_OK);
	core_loop_settle();
	ck_assert_str_eq(heard, "600:call.parked 700:call.parked ");
	ck_assert_int_eq(replayed_to, 700);
	heard[0] = '\0';
	ck_assert_int_eq(core_bus_service.replay(&plugin.host, 0, core_wall_us() + 1000000, "*", 99, hear, on_replayed, NULL), PBX_OK);
	core_loop_settle();
	ck_assert_str_eq(heard, "");
	ck_assert_int_eq(core_bus_service.replay(&plugin.host, 0, 0, "bad pattern", 99, hear, on_replayed, NULL), PBX_EINVAL);
	stop();
}
END_TEST

/* Another daemon writes into our table. */
static void take_number(int64_t seq)
{
	char id[32];

	(void)snprintf(id, sizeof id, "THEIRS%lld", (long long)seq);
	ck_assert_str_eq(ask("INSERT INTO event_log (seq, id, type, owner, wall_us, call_id, linked_id, data) VALUES "
			     "($1, $2, 'theirs', '', 1, '', '', '{}')",
			     'i', seq, 't', id),
			 "");
}

START_TEST(numbers_that_somebody_else_took_cost_no_event)
{
	pbx_subscription subscription;

	start(_i);
	ck_assert_int_eq(core_bus_subscribe_stored(&plugin.host, "*", hear_stored, NULL, &subscription), PBX_OK);
	publish("call.started");
	core_loop_settle();
	take_number(2);
	take_number(3);
	publish("call.parked");
	publish("leg.started");
	core_loop_settle();
	publish("call.started");
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT seq, type FROM event_log ORDER BY seq"),
			 "1|call.started;2|theirs;3|theirs;4|call.parked;5|leg.started;6|call.started");
	ck_assert_str_eq(heard, "1:call.started 4:call.parked 5:leg.started 6:call.started ");
	stop();
}
END_TEST

START_TEST(numbers_that_are_taken_again_and_again_under_load_cost_none_either)
{
	struct core_bus_stats stats;
	char expected[64];

	start(_i);
	for (int i = 0; i < 1000; i++) {
		publish("leg.started");
		if (i % 100 == 0) {
			core_bus_stats(&stats);
			take_number(stats.last_seq + 3); /* some that are published meanwhile have lower numbers */
		}
		if (i % 7 == 0)
			core_loop_step();
	}
	core_loop_settle();
	core_bus_stats(&stats);
	ck_assert_int_eq(stats.stored_seq, stats.last_seq);
	(void)snprintf(expected, sizeof expected, "1010|1010|%lld", (long long)stats.last_seq);
	ck_assert_str_eq(ask("SELECT COUNT(*), COUNT(DISTINCT id), MAX(seq) FROM event_log"), expected);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM event_log WHERE type = 'leg.started'"), "1000");
	stop();
}
END_TEST

START_TEST(may_end_before_the_store_does)
{
	pbx_subscription follower;

	start(_i);
	ck_assert_int_eq(core_bus_service.follow(&plugin.host, "sink", "*", hear, NULL, &follower), PBX_OK);
	for (int i = 0; i < 300; i++)
		publish("call.started");
	core_loop_step();
	core_bus_fini();
	core_store_fini(5000);
	core_owner_fini(&plugin);
	store_fixture_stop();
}
END_TEST

STORE_MAIN("bus", hears_what_matches_in_order_after_the_current_callback, who_tells_others_hears_of_what_is_safe_in_the_log,
	   writes_every_event_down_with_its_data, only_what_is_declared_may_be_published, patterns_are_checked,
	   subscribers_may_come_and_go_while_they_are_told, a_stopped_owner_hears_nothing_more,
	   what_is_published_before_the_numbers_are_known_waits_for_them, many_events_have_numbers_without_a_gap_over_restarts,
	   forgetting_keeps_the_last_so_that_numbers_go_on, replay_looks_back_from_a_number, numbers_that_somebody_else_took_cost_no_event,
	   numbers_that_are_taken_again_and_again_under_load_cost_none_either, may_end_before_the_store_does)
