/* tests/core/test_store_journal.c - records are not lost while the database is away, nor when we are killed */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../check_main.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store.h"
#include "store_fixture.h"

static uint32_t safe, not_safe;

static void on_record(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status == PBX_OK)
		safe++;
	else
		not_safe++;
}

static void record(int64_t id, const char *text)
{
	const struct pbx_value params[] = { PBX_V_INT(id), pbx_v_text(text) };

	ck_assert_int_eq(core_store_record(core_self(), "INSERT INTO records (id, text) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", params, 2, on_record,
					   NULL),
			 PBX_OK);
}

static void record_many(int64_t from, int64_t count)
{
	for (int64_t id = from; id < from + count; id++)
		record(id, "a record of some length, so that there is something to lose");
}

static void wait_until(bool (*reached)(void))
{
	for (bool now = false; !now; now = reached()) {
		bool never = false;
		uint64_t until_us = core_now_us() + 2000;

		while (core_now_us() < until_us && !never)
			core_loop_step();
	}
}

static bool is_away(void)
{
	return !core_store_is_up();
}

static bool is_through(void)
{
	struct core_store_stats stats;

	core_store_stats(&stats);
	return stats.up && stats.journalled == 0;
}

static struct core_store_stats stats_now(void)
{
	struct core_store_stats stats;

	core_store_stats(&stats);
	return stats;
}

static void make_table(void)
{
	safe = not_safe = 0;
	ck_assert_str_eq(ask("CREATE TABLE records (id BIGINT PRIMARY KEY, text TEXT)"), "");
}

START_TEST(records_made_while_the_server_is_down_arrive_once_and_in_order)
{
	struct postgres *postgres = postgres_start();

	store_fixture_start_on(postgres);
	make_table();
	ck_assert_str_eq(ask("CREATE TABLE story (id BIGINT PRIMARY KEY, text TEXT)"), "");
	ck_assert_str_eq(ask("INSERT INTO story VALUES (1, 'first')"), "");
	record_many(1, 10);
	core_loop_settle();
	postgres_halt(postgres);
	record_many(11, 500);
	wait_until(is_away);
	record_many(511, 500);
	for (int i = 0; i < 100; i++) {
		char text[16];
		const struct pbx_value param = (snprintf(text, sizeof text, "%d", i), pbx_v_text(text));

		ck_assert_int_eq(core_store_record(core_self(), "UPDATE story SET text = $1 WHERE id = 1", &param, 1, on_record, NULL), PBX_OK);
	}
	core_loop_settle();
	ck_assert_uint_eq(safe, 1110);
	ck_assert_uint_eq(not_safe, 0);
	ck_assert_uint_ge(stats_now().journalled, 600);
	ck_assert_str_eq(ask("SELECT 1"), "EIO");

	postgres_resume(postgres);
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT count(*), min(id), max(id) FROM records"), "1010|1|1010");
	ck_assert_str_eq(ask("SELECT text FROM story"), "99");
	ck_assert_uint_ge(stats_now().reconnects, 1);
	store_fixture_stop();
}
END_TEST

CHECK_MAIN("store_journal", records_made_while_the_server_is_down_arrive_once_and_in_order)
