/* tests/core/test_bus_follow.c - followers miss nothing: over restarts, kills, and while the database is away */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bus.h"
#include "json.h"
#include "loop.h"
#include "owner_internal.h"
#include "schema.h"
#include "store.h"
#include "store_fixture.h"

static const struct pbx_event_type types[] = { { "call.started", "A call begins", { 0 } }, { "call.parked", "A call waits", { 0 } } };

/* What a follower has heard: every number must be the one after the last, when it follows everything. */
struct ear {
	pbx_subscription subscription;
	int64_t first, last, count;
	bool acknowledges, skipped;
};

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

static void start_bus(void)
{
	const struct pbx_table table = PBX_TABLE(types);
	bool migrated = false, attached = false;

	core_owner_init(&plugin, "webhooks", NULL);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	ck_assert_int_eq(core_bus_declare(&plugin.host, &table, NULL), PBX_OK);
	core_store_migrate("core", &CORE_SCHEMA_TABLE, on_migrated, &migrated);
	wait_for(&migrated);
	core_bus_attach_store(on_done, &attached);
	wait_for(&attached);
}

static void end_bus(void)
{
	core_store_fini(5000);
	core_owner_fini(&plugin);
	core_bus_fini();
}

static void restart(void)
{
	end_bus();
	store_fixture_open();
	start_bus();
}

static void start(int engine)
{
	store_fixture_start(engine);
	start_bus();
}

static void stop(void)
{
	end_bus();
	store_fixture_stop();
}

static void hear(void *self, const struct pbx_event *event)
{
	struct ear *ear = self;

	if (ear->count == 0)
		ear->first = event->seq;
	else if (event->seq != ear->last + 1)
		ear->skipped = true;
	ear->last = event->seq;
	ear->count++;
	if (ear->acknowledges)
		ck_assert_int_eq(core_bus_service.acknowledge(ear->subscription, event->seq), PBX_OK);
}

static void follow(struct ear *ear, const char *name, const char *pattern)
{
	ck_assert_int_eq(core_bus_service.follow(&plugin.host, name, pattern, hear, ear, &ear->subscription), PBX_OK);
	core_loop_settle();
}

static void acknowledge(struct ear *ear, int64_t seq)
{
	ck_assert_int_eq(core_bus_service.acknowledge(ear->subscription, seq), PBX_OK);
	core_loop_settle();
}

static void publish(int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(core_bus_publish(&plugin.host, "call.started", "CALL", "LINK", NULL), PBX_OK);
}

START_TEST(a_new_follower_begins_with_now)
{
	struct ear ear = { 0 };

	start(_i);
	publish(5);
	core_loop_settle();
	follow(&ear, "sink", "*");
	publish(3);
	core_loop_settle();
	ck_assert_int_eq(ear.first, 6);
	ck_assert_int_eq(ear.count, 3);
	stop();
}
END_TEST

START_TEST(goes_on_after_the_last_acknowledged_when_it_comes_back)
{
	struct ear ear = { 0 }, again = { 0 };

	start(_i);
	follow(&ear, "sink", "*");
	publish(10);
	core_loop_settle();
	acknowledge(&ear, 4);
	restart();
	publish(2);
	follow(&again, "sink", "*");
	ck_assert_int_eq(again.first, 5);
	ck_assert_int_eq(again.last, 12);
	ck_assert(!again.skipped);
	stop();
}
END_TEST

START_TEST(no_more_than_256_are_out)
{
	struct ear ear = { 0 };

	start(_i);
	follow(&ear, "sink", "*");
	publish(1000);
	core_loop_settle();
	ck_assert_int_eq(ear.count, 256);
	acknowledge(&ear, 100);
	ck_assert_int_eq(ear.count, 356);
	acknowledge(&ear, 356);
	ck_assert_int_eq(ear.count, 612);
	ck_assert(!ear.skipped);
	ck_assert_int_eq(core_bus_service.acknowledge((pbx_subscription){ 99 }, 1), PBX_ENOENT);
	stop();
}
END_TEST

START_TEST(catches_up_from_the_table_and_stays_live)
{
	struct ear ear = { .acknowledges = true };

	start(_i);
	follow(&ear, "sink", "*");
	ck_assert_int_eq(core_bus_service.unsubscribe(ear.subscription), PBX_OK);
	publish(5000);
	core_loop_settle();
	ck_assert_int_eq(ear.count, 0);
	follow(&ear, "sink", "*");
	publish(50);
	core_loop_settle();
	ck_assert_int_eq(ear.first, 1);
	ck_assert_int_eq(ear.last, 5050);
	ck_assert_int_eq(ear.count, 5050);
	ck_assert(!ear.skipped);
	stop();
}
END_TEST

START_TEST(what_does_not_match_moves_its_place_too)
{
	struct ear ear = { .acknowledges = true }, again = { 0 };

	start(_i);
	follow(&ear, "sink", "call.parked");
	publish(3000);
	ck_assert_int_eq(core_bus_publish(&plugin.host, "call.parked", "", "", NULL), PBX_OK);
	publish(2500);
	core_loop_settle();
	ck_assert_int_eq(ear.count, 1);
	ck_assert_int_eq(ear.last, 3001);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM event_followers WHERE owner = 'webhooks' AND name = 'sink' AND seq > 4501"),
			 "1"); /* less than a thousand behind */
	restart();
	follow(&again, "sink", "call.parked");
	ck_assert_int_eq(again.count, 0);
	stop();
}
END_TEST

START_TEST(goes_back_when_told)
{
	struct ear ear = { .acknowledges = true };

	start(_i);
	follow(&ear, "sink", "*");
	publish(20);
	core_loop_settle();
	ck_assert_int_eq(ear.last, 20);
	ear.count = 0;
	ck_assert_int_eq(core_bus_service.rewind(ear.subscription, 5), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(ear.first, 6);
	ck_assert_int_eq(ear.count, 15);
	stop();
}
END_TEST

START_TEST(what_has_been_forgotten_is_passed_over)
{
	struct ear ear = { .acknowledges = true };

	start(_i);
	follow(&ear, "sink", "*");
	publish(3000);
	core_loop_settle();
	core_bus_prune(core_wall_us() + 1000000, NULL, NULL);
	core_loop_settle();
	restart();
	ear = (struct ear){ .acknowledges = true };
	follow(&ear, "sink", "*");
	ck_assert_int_eq(core_bus_service.rewind(ear.subscription, 5), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(ear.first, 3000);
	ck_assert_int_eq(ear.count, 1);
	stop();
}
END_TEST

START_TEST(a_forgotten_follower_is_new_when_it_comes_again)
{
	struct ear ear = { 0 }, again = { 0 };

	start(_i);
	follow(&ear, "sink", "*");
	publish(5);
	core_loop_settle();
	ck_assert_int_eq(core_bus_service.forget(&plugin.host, "sink"), PBX_OK);
	ck_assert_int_eq(core_bus_service.acknowledge(ear.subscription, 1), PBX_ENOENT);
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM event_followers"), "0");
	follow(&again, "sink", "*");
	publish(1);
	core_loop_settle();
	ck_assert_int_eq(again.first, 6);
	ck_assert_int_eq(ear.last, 5);
	stop();
}
END_TEST

/* The child's life: publishes without end, acknowledges what it hears, and is killed in the middle of it. Its last word is how far it came. */
static void live_until_killed(int out)
{
	struct ear ear = { .acknowledges = true };

	store_fixture_run();
	start_bus();
	follow(&ear, "sink", "*");
	for (int64_t told = 0;;) {
		publish(7);
		core_loop_step();
		if (ear.last == told)
			continue;
		told = ear.last;
		if (write(out, &told, sizeof told) != sizeof told)
			_exit(1);
	}
}

static int64_t kill_one(int64_t after)
{
	int ends[2], status;
	int64_t heard = 0;

	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		live_until_killed(ends[1]);
	}
	(void)close(ends[1]);
	while (heard < after)
		ck_assert_int_eq(read(ends[0], &heard, sizeof heard), sizeof heard);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	for (int64_t more; read(ends[0], &more, sizeof more) == sizeof more;)
		heard = more;
	(void)close(ends[0]);
	return heard;
}

START_TEST(a_kill_loses_nothing_that_was_told)
{
	struct ear ear = { .acknowledges = true };
	char expected[64];

	store_fixture_place(_i);
	int64_t heard = kill_one(1000);
	heard = kill_one(heard + 1000);
	store_fixture_run();
	start_bus();
	struct core_bus_stats stats;
	core_bus_stats(&stats);
	ck_assert_int_ge(stats.last_seq, heard);
	(void)snprintf(expected, sizeof expected, "%lld|1|%lld", (long long)stats.last_seq, (long long)stats.last_seq);
	ck_assert_str_eq(ask("SELECT COUNT(*), MIN(seq), MAX(seq) FROM event_log"), expected);
	follow(&ear, "sink", "*");
	publish(1);
	core_loop_settle();
	ck_assert_int_le(ear.first, heard + 1);
	ck_assert_int_eq(ear.last, stats.last_seq + 1);
	ck_assert(!ear.skipped);
	stop();
}
END_TEST

/* The server stands still, and we have noticed. */
static void lose(struct postgres *postgres)
{
	postgres_halt(postgres);
	for (bool down = false; !down; down = !core_store_is_up())
		core_loop_step();
}

START_TEST(goes_on_while_the_database_is_away)
{
	struct ear ear = { .acknowledges = true };
	struct postgres *postgres;

	if (_i != ENGINE_POSTGRES)
		return;
	postgres = postgres_start();
	store_fixture_start_on(postgres);
	start_bus();
	follow(&ear, "sink", "*");
	publish(10);
	core_loop_settle();
	lose(postgres);
	for (int i = 0; i < 20; i++) {
		publish(100);
		core_loop_settle();
	}
	ck_assert_int_eq(ear.last, 2010);
	end_bus();

	postgres_resume(postgres);
	store_fixture_open();
	start_bus();
	ck_assert_str_eq(ask("SELECT COUNT(*), MIN(seq), MAX(seq) FROM event_log"), "2010|1|2010");
	publish(1);
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT MAX(seq) FROM event_log"), "2011");
	ear = (struct ear){ 0 };
	follow(&ear, "sink", "*");
	ck_assert_int_eq(ear.first, 2011);
	stop();
}
END_TEST

/* While the database was away from us it was not so from another: what our journal brings back has lost its numbers, not its place. */
START_TEST(what_the_journal_brings_back_gets_new_numbers_when_others_took_them)
{
	struct ear ear = { .acknowledges = true };
	struct postgres *postgres;

	if (_i != ENGINE_POSTGRES)
		return;
	postgres = postgres_start();
	store_fixture_start_on(postgres);
	start_bus();
	publish(10);
	core_loop_settle();
	lose(postgres);
	publish(100);
	core_loop_settle();
	end_bus();

	postgres_resume(postgres);
	postgres_run(postgres,
		     "INSERT INTO event_log SELECT n, 'THEIRS' || n, 'theirs', '', 1, '', '', '{}' FROM generate_series(11, 15) n");
	store_fixture_begin(); /* as pbxd does: the bus is there before the journal comes back */
	start_bus();
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT COUNT(*), COUNT(DISTINCT id), MIN(seq), MAX(seq) FROM event_log"), "115|115|1|174");
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM event_log WHERE type = 'theirs'"), "5");
	follow(&ear, "sink", "*");
	publish(1);
	core_loop_settle();
	ck_assert_int_eq(ear.last, 175);
	stop();
}
END_TEST

/* ---- an instance that replaces another ---- */

static struct core_owner successor;

static void succeed(struct ear *ear)
{
	core_owner_init(&successor, "webhooks", NULL);
	ck_assert_int_eq(core_bus_service.follow(&successor.host, "sink", "*", hear, ear, &ear->subscription), PBX_OK);
}

START_TEST(who_would_replace_it_and_fails_takes_nothing_from_it)
{
	struct ear old = { 0 }, new = { .acknowledges = true };

	start(_i);
	follow(&old, "sink", "*");
	publish(10);
	core_loop_settle();
	acknowledge(&old, 4);
	succeed(&new);
	ck_assert_int_eq(core_bus_service.rewind(new.subscription, 1), PBX_OK);
	core_owner_revoke_all(&successor);
	publish(2);
	core_loop_settle();
	ck_assert_int_eq(new.count, 0);
	ck_assert_int_eq(old.count, 12); /* and nothing twice */
	acknowledge(&old, 12);
	core_owner_fini(&successor);
	stop();
}
END_TEST

START_TEST(who_replaces_it_goes_on_where_it_let_go)
{
	struct ear old = { 0 }, new = { .acknowledges = true };

	start(_i);
	follow(&old, "sink", "*");
	publish(10);
	core_loop_settle();
	acknowledge(&old, 4);
	succeed(&new);
	ck_assert_int_eq(core_bus_service.unsubscribe(old.subscription), PBX_OK);
	ck_assert_int_eq(core_bus_service.acknowledge(old.subscription, 10), PBX_ENOENT);
	publish(2);
	core_loop_settle();
	ck_assert_int_eq(old.count, 10);
	ck_assert_int_eq(new.first, 5);
	ck_assert_int_eq(new.count, 8);
	core_owner_revoke_all(&successor);
	core_owner_fini(&successor);
	stop();
}
END_TEST

START_TEST(who_replaces_it_may_begin_where_it_likes)
{
	struct ear old = { .acknowledges = true }, new = { .acknowledges = true };

	start(_i);
	follow(&old, "sink", "*");
	publish(10);
	core_loop_settle();
	succeed(&new);
	ck_assert_int_eq(core_bus_service.rewind(new.subscription, 2), PBX_OK);
	ck_assert_int_eq(core_bus_service.unsubscribe(old.subscription), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(new.first, 3);
	ck_assert_int_eq(new.count, 8);
	core_owner_revoke_all(&successor);
	core_owner_fini(&successor);
	stop();
}
END_TEST

STORE_MAIN("bus_follow", a_new_follower_begins_with_now, goes_on_after_the_last_acknowledged_when_it_comes_back, no_more_than_256_are_out,
	   catches_up_from_the_table_and_stays_live, what_does_not_match_moves_its_place_too, goes_back_when_told,
	   what_has_been_forgotten_is_passed_over, a_forgotten_follower_is_new_when_it_comes_again, a_kill_loses_nothing_that_was_told,
	   goes_on_while_the_database_is_away, what_the_journal_brings_back_gets_new_numbers_when_others_took_them,
	   who_would_replace_it_and_fails_takes_nothing_from_it, who_replaces_it_goes_on_where_it_let_go,
	   who_replaces_it_may_begin_where_it_likes)
