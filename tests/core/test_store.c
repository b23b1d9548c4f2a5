/* tests/core/test_store.c - the store's promises, kept on each engine */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "owner_internal.h"
#include "store.h"
#include "store_fixture.h"

static char story[32768];

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	ck_assert_msg(result == PBX_OK, "%s: %s", diag->field, diag->text);
	*(bool *)context = true;
}

/* Tables are made by migrations, which know each engine's names of the types. */
static void make_tables(const char *sql)
{
	const struct pbx_migration steps[] = { { 1, "tables", sql } };
	const struct pbx_table table = PBX_TABLE(steps);
	bool migrated = false;

	core_store_migrate("test", &table, on_migrated, &migrated);
	wait_for(&migrated);
}

static void start_with_people(int engine)
{
	story[0] = '\0';
	store_fixture_start(engine);
	make_tables("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT UNIQUE, height DOUBLE PRECISION, photo BLOB, present BOOLEAN "
		    "NOT NULL DEFAULT TRUE);"
		    "CREATE TABLE phones (number TEXT NOT NULL, person INTEGER NOT NULL REFERENCES people (id))");
}

static void tell(void *self, const struct pbx_rows *rows)
{
	size_t length = strlen(story);

	(void)snprintf(story + length, sizeof story - length, "%s=%s ", (const char *)self, store_fixture_render(rows));
}

static void run(struct pbx_host *owner, const char *sql, const char *name)
{
	ck_assert_int_eq(core_store_run(owner, sql, NULL, 0, name ? tell : NULL, (void *)(uintptr_t)name), PBX_OK);
}

START_TEST(values_come_back_as_they_were_given)
{
	const struct pbx_value values[] = { PBX_V_INT(INT64_MIN),
					    pbx_v_text("Zoë 'x' \"y\" $1; --"),
					    PBX_V_NUMBER(0.1),
					    { .type = PBX_VALUE_BYTES, .length = 4, .as = { .bytes = "\0'\xff\\" } },
					    PBX_V_INT(0) };
	const struct pbx_value empty[] = {
		PBX_V_INT(INT64_MAX), pbx_v_text(""), PBX_V_NUMBER(-1e300), { .type = PBX_VALUE_BYTES }, PBX_V_INT(1)
	};
	const struct pbx_value none[] = { PBX_V_INT(0), pbx_v_text(NULL), PBX_V_NULL, PBX_V_NULL, PBX_V_INT(1) };
	const char *insert = "INSERT INTO people (id, name, height, photo, present) VALUES ($1, $2, $3, $4, $5)";

	start_with_people(_i);
	ck_assert_str_eq(ask_with(insert, values), "");
	ck_assert_str_eq(ask_with(insert, empty), "");
	ck_assert_str_eq(ask_with(insert, none), "");
	ck_assert_str_eq(ask("SELECT id, name, height, photo, present FROM people ORDER BY id"),
			 "-9223372036854775808|Zoë 'x' \"y\" $1; --|0.1d|x'0027ff5c|0;0|~|~|~|1;9223372036854775807||-1e+300d||1");
	ck_assert_str_eq(ask("SELECT SUM(present), COUNT(*), MAX(name), COUNT(name) FROM people"), "2|3|Zoë 'x' \"y\" $1; --|2");
	ck_assert_str_eq(ask("SELECT id FROM people WHERE present = 0 AND name = $1", 't', "Zoë 'x' \"y\" $1; --"), "-9223372036854775808");
	store_fixture_stop();
}
END_TEST

START_TEST(a_parameter_may_stand_in_several_places_and_in_any_order)
{
	start_with_people(_i);
	ck_assert_str_eq(ask("INSERT INTO people (name, id) VALUES ($2, $1)", 'i', (int64_t)7, 't', "ann"), "");
	ck_assert_str_eq(ask("SELECT name FROM people WHERE ($2 = '' OR name = $2) AND id <= $1 AND id >= $1 LIMIT $3", 'i', (int64_t)7,
			     't', "", 'i', (int64_t)5),
			 "ann");
	store_fixture_stop();
}
END_TEST

START_TEST(refusals_have_their_own_names)
{
	start_with_people(_i);
	ck_assert_str_eq(ask("INSERT INTO people (id, name) VALUES (1, 'ann')"), "");
	ck_assert_str_eq(ask("INSERT INTO people (id, name) VALUES (1, 'bob')"), "EEXIST");
	ck_assert_str_eq(ask("INSERT INTO people (id, name) VALUES (2, 'ann')"), "EEXIST");
	ck_assert_str_eq(ask("INSERT INTO phones (number, person) VALUES ('1001', 99)"), "EINVAL");
	ck_assert_str_eq(ask("INSERT INTO phones (number, person) VALUES (NULL, 1)"), "EINVAL");
	ck_assert_str_eq(ask("SELEKT 1"), "EINVAL");
	ck_assert_str_eq(ask("SELECT nothing FROM people"), "EINVAL");
	ck_assert_str_eq(ask(""), "EINVAL");
	ck_assert_str_eq(store_fixture_ask("SELECT name FROM people WHERE id = $1", NULL, 0), "EINVAL");
	ck_assert_str_eq(ask("SELECT id, name FROM people"), "1|ann");
	store_fixture_stop();
}
END_TEST

START_TEST(the_dialect_means_the_same)
{
	start_with_people(_i);
	ck_assert_str_eq(
		ask("INSERT INTO people (id, name) VALUES (1, 'b'), (2, 'B'), (3, 'a'), (4, '10'), (5, '9'), (6, 'b c'), (7, 'bc')"), "");
	ck_assert_str_eq(ask("SELECT name FROM people ORDER BY name"), "10;9;B;a;b;b c;bc");
	ck_assert_str_eq(ask("SELECT name FROM people WHERE name LIKE 'b%' ORDER BY name LIMIT 2 OFFSET 1"), "b c;bc");
	ck_assert_str_eq(ask("UPDATE people SET present = 0 WHERE id > 4 RETURNING id"), "5;6;7");
	ck_assert_str_eq(ask("INSERT INTO people (id, name) VALUES (7, 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name "
			     "RETURNING id, name, present"),
			 "7|new|0");
	ck_assert_str_eq(ask("INSERT INTO people (id, name) VALUES (7, 'x') ON CONFLICT (id) DO NOTHING RETURNING id"), "");
	store_fixture_stop();
}
END_TEST

static void on_changed(void *self, const struct pbx_rows *rows)
{
	*(int64_t *)self = rows->changed;
}

START_TEST(tells_how_many_rows_changed)
{
	int64_t changed = -1;

	start_with_people(_i);
	ck_assert_str_eq(ask("INSERT INTO people (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')"), "");
	ck_assert_int_eq(core_store_run(core_self(), "UPDATE people SET present = 0 WHERE id > 1", NULL, 0, on_changed, &changed), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(changed, 2);
	ck_assert_int_eq(core_store_run(core_self(), "DELETE FROM people WHERE id = 9", NULL, 0, on_changed, &changed), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(changed, 0);
	ck_assert_int_eq(core_store_run(core_self(), "SELECT id FROM people", NULL, 0, on_changed, &changed), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(changed, 0);
	store_fixture_stop();
}
END_TEST

START_TEST(an_owner_sees_its_work_as_if_it_were_alone)
{
	char expected[4096] = "";

	start_with_people(_i);
	for (int i = 0; i < 60; i++) {
		char sql[96];
		size_t length = strlen(expected);

		run(core_self(), "SELECT COUNT(*) FROM people", "n");
		(void)snprintf(sql, sizeof sql, "INSERT INTO people (id) VALUES (%d)", i);
		run(core_self(), sql, "w");
		(void)snprintf(expected + length, sizeof expected - length, "n=%d w= ", i);
	}
	ck_assert_str_eq(story, "");
	core_loop_settle();
	ck_assert_str_eq(story, expected);
	store_fixture_stop();
}
END_TEST

START_TEST(of_what_is_committed_together_only_the_guilty_fail)
{
	start_with_people(_i);
	run(core_self(), "INSERT INTO people (id, name) VALUES (1, 'a')", "1");
	run(core_self(), "INSERT INTO people (id, name) VALUES (1, 'again')", "2");
	run(core_self(), "INSERT INTO people (id, name) VALUES (2, 'b')", "3");
	run(core_self(), "NONSENSE", "4");
	run(core_self(), "INSERT INTO people (id, name) VALUES (3, 'c')", "5");
	core_loop_settle();
	ck_assert_str_eq(story, "1= 2=EEXIST 3= 4=EINVAL 5= ");
	ck_assert_str_eq(ask("SELECT id, name FROM people ORDER BY id"), "1|a;2|b;3|c");
	store_fixture_stop();
}
END_TEST

START_TEST(a_batch_is_all_or_nothing)
{
	const struct pbx_statement bad[] = { { .sql = "INSERT INTO people (id, name) VALUES (1, 'a')" },
					     { .sql = "INSERT INTO phones (number, person) VALUES ('1001', 1)" },
					     { .sql = "INSERT INTO people (id, name) VALUES (1, 'b')" } };
	const struct pbx_value name = pbx_v_text("ann");
	const struct pbx_statement good[] = { { .sql = "INSERT INTO people (id, name) VALUES (1, $1)", .params = &name, .param_count = 1 },
					      { .sql = "INSERT INTO phones (number, person) VALUES ('1001', 1)" },
					      { .sql = "SELECT number, name FROM phones JOIN people ON id = person" } };

	start_with_people(_i);
	run(core_self(), "INSERT INTO people (id, name) VALUES (9, 'before')", "w");
	ck_assert_int_eq(core_store_batch(core_self(), bad, 3, tell, (void *)(uintptr_t) "bad"), PBX_OK);
	ck_assert_int_eq(core_store_batch(core_self(), good, 3, tell, (void *)(uintptr_t) "good"), PBX_OK);
	core_loop_settle();
	ck_assert_str_eq(story, "w= bad=EEXIST good=1001|ann ");
	ck_assert_str_eq(ask("SELECT id, name FROM people ORDER BY id"), "1|ann;9|before");
	store_fixture_stop();
}
END_TEST

START_TEST(a_stopping_owner_hears_that_at_once_and_nothing_later)
{
	struct core_owner plugin;

	start_with_people(_i);
	core_owner_init(&plugin, "plugin", NULL);
	run(&plugin.host, "INSERT INTO people (id) VALUES (1)", "a");
	run(&plugin.host, "SELECT COUNT(*) FROM people", "b");
	run(&plugin.host, "INSERT INTO people (id) VALUES (2)", NULL);
	core_owner_revoke_all(&plugin);
	ck_assert_str_eq(story, "a=ECANCELLED b=ECANCELLED ");
	core_loop_settle();
	core_owner_fini(&plugin);
	ck_assert_str_eq(story, "a=ECANCELLED b=ECANCELLED ");
	ck_assert_str_eq(ask("SELECT id FROM people ORDER BY id"), "1;2");
	store_fixture_stop();
}
END_TEST

static void on_stop_yourself(void *self, const struct pbx_rows *rows)
{
	tell((void *)(uintptr_t) "stops", rows);
	core_owner_revoke_all(self);
}

START_TEST(an_owner_may_be_stopped_by_its_own_callback)
{
	struct core_owner plugin;

	start_with_people(_i);
	core_owner_init(&plugin, "plugin", NULL);
	ck_assert_int_eq(core_store_run(&plugin.host, "SELECT 1", NULL, 0, on_stop_yourself, &plugin), PBX_OK);
	run(&plugin.host, "SELECT 2", "b");
	core_loop_settle();
	core_owner_fini(&plugin);
	ck_assert_str_eq(story, "stops=1 b=ECANCELLED ");
	store_fixture_stop();
}
END_TEST

START_TEST(too_many_at_once_are_refused_and_the_rest_are_answered)
{
	uint32_t taken = 0;
	struct core_store_stats stats;

	start_with_people(_i);
	while (core_store_run(core_self(), "SELECT 1", NULL, 0, NULL, NULL) == PBX_OK)
		taken++;
	ck_assert_int_eq(core_store_run(core_self(), "SELECT 1", NULL, 0, NULL, NULL), PBX_ENOSPC);
	core_store_stats(&stats);
	ck_assert_uint_eq(stats.waiting, taken);
	core_loop_settle();
	core_store_stats(&stats);
	ck_assert_uint_eq(stats.waiting, 0);
	ck_assert_uint_eq(stats.errors, 0);
	ck_assert_str_eq(ask("SELECT 1"), "1");
	store_fixture_stop();
}
END_TEST

START_TEST(a_prepared_statement_follows_its_table)
{
	start_with_people(_i);
	ck_assert_str_eq(ask("INSERT INTO phones SELECT '1', id FROM people"), "");
	ck_assert_str_eq(ask("INSERT INTO people (id, name) VALUES (1, 'a')"), "");
	for (int i = 0; i < 8; i++)
		ck_assert_str_eq(ask("SELECT * FROM phones"), "");
	ck_assert_str_eq(ask("ALTER TABLE phones ADD COLUMN label TEXT"), "");
	ck_assert_str_eq(ask("INSERT INTO phones (number, person, label) VALUES ('1001', 1, 'desk')"), "");
	for (int i = 0; i < 8; i++)
		ck_assert_str_eq(ask("SELECT * FROM phones"), "1001|1|desk");
	ck_assert_str_eq(ask("DROP TABLE phones"), "");
	ck_assert_str_eq(ask("SELECT * FROM phones"), "EINVAL");
	store_fixture_stop();
}
END_TEST

START_TEST(many_statements_and_many_rows_go_through)
{
	const struct pbx_value big[] = { PBX_V_INT(5000),
					 { .type = PBX_VALUE_BYTES, .length = 1 << 20, .as = { .bytes = calloc(1, 1 << 20) } } };

	start_with_people(_i);
	for (int i = 0; i < 1500; i++) {
		char sql[96];

		(void)snprintf(sql, sizeof sql, "INSERT INTO people (id, name) VALUES (%d, 'person %d')", i, i);
		run(core_self(), sql, NULL);
	}
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT COUNT(*), MIN(name), SUM(id) FROM people"), "1500|person 0|1124250");
	ck_assert_str_eq(ask_with("INSERT INTO people (id, photo) VALUES ($1, $2)", big), "");
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM people a JOIN people b ON b.photo = a.photo"), "1");
	run(core_self(), "SELECT * FROM people", NULL);
	core_loop_settle();
	free((void *)(uintptr_t)big[1].as.bytes);
	store_fixture_stop();
}
END_TEST

START_TEST(what_was_written_is_there_after_a_restart)
{
	start_with_people(_i);
	run(core_self(), "INSERT INTO people (id, name) VALUES (1, 'ann')", NULL);
	store_fixture_close();
	store_fixture_open();
	ck_assert_str_eq(ask("SELECT id, name FROM people"), "1|ann");
	store_fixture_stop();
}
END_TEST

static void on_up(void *context, int result, const char *reason)
{
	ck_assert_str_ne(reason, "");
	*(int *)context = result;
}

START_TEST(what_can_never_open_says_so)
{
	const struct core_store_config none = { .engine = "oracle" };
	const struct core_store_config bad_url = { .engine = "postgresql", .url = "hostess=nobody" };
	const struct core_store_config bad_file = { .engine = "sqlite", .file = "/nowhere/at/all.db" };
	int result = PBX_OK;

	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	ck_assert_int_eq(core_store_init(&none, on_up, &result), PBX_ENOTSUP);
	if (_i == ENGINE_POSTGRES) {
		ck_assert_int_eq(core_store_init(&bad_url, on_up, &result), PBX_EINVAL);
	} else {
		bool told = false;

		ck_assert_int_eq(core_store_init(&bad_file, on_up, &result), PBX_OK);
		ck_assert_int_eq(core_store_run(core_self(), "SELECT 1", NULL, 0, tell, (void *)(uintptr_t) "early"), PBX_OK);
		while (!(told = result != PBX_OK))
			core_loop_step();
		ck_assert_int_eq(result, PBX_EIO);
		core_loop_settle();
		ck_assert_str_eq(story, "early=EIO ");
		core_store_fini(100);
	}
	core_loop_fini();
	core_log_fini();
}
END_TEST

static void on_safe(void *self, const struct pbx_rows *rows)
{
	ck_assert_int_eq(rows->status, PBX_OK);
	++*(uint32_t *)self;
}

/* SQLite's way of being away: another process has the file for longer than we wait. Then records go to the journal. */
START_TEST(a_locked_file_is_waited_out)
{
	struct core_store_stats stats;
	uint32_t safe = 0;
	sqlite3 *other;

	if (_i != ENGINE_SQLITE)
		return;
	start_with_people(_i);
	ck_assert_int_eq(sqlite3_open(store_fixture_file(), &other), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	for (int64_t i = 0; i < 50; i++) {
		const struct pbx_value id = PBX_V_INT(i);

		ck_assert_int_eq(core_store_record(core_self(), "INSERT INTO people (id) VALUES ($1) ON CONFLICT (id) DO NOTHING", &id, 1,
						   on_safe, &safe),
				 PBX_OK);
	}
	while (safe < 50) {
		core_loop_step();
		(void)usleep(1000);
	}
	ck_assert_int_eq(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
	do {
		core_loop_step();
		(void)usleep(1000);
		core_store_stats(&stats);
	} while (stats.journalled > 0);
	ck_assert_str_eq(ask("SELECT COUNT(*), MAX(id) FROM people"), "50|49");
	store_fixture_stop();
}
END_TEST

STORE_MAIN("store", a_locked_file_is_waited_out, values_come_back_as_they_were_given,
	   a_parameter_may_stand_in_several_places_and_in_any_order, refusals_have_their_own_names, the_dialect_means_the_same,
	   tells_how_many_rows_changed, an_owner_sees_its_work_as_if_it_were_alone, of_what_is_committed_together_only_the_guilty_fail,
	   a_batch_is_all_or_nothing, a_stopping_owner_hears_that_at_once_and_nothing_later, an_owner_may_be_stopped_by_its_own_callback,
	   too_many_at_once_are_refused_and_the_rest_are_answered, a_prepared_statement_follows_its_table,
	   many_statements_and_many_rows_go_through, what_was_written_is_there_after_a_restart, what_can_never_open_says_so)
