/* tests/core/test_migrate.c - schema steps run once, whole or not at all, and never change */
#include <string.h>
#include "loop.h"
#include "schema.h"
#include "store.h"
#include "store_fixture.h"

struct outcome {
	bool here;
	int result;
	struct pbx_diag diag;
};

static void on_done(void *context, int result, const struct pbx_diag *diag)
{
	struct outcome *outcome = context;

	*outcome = (struct outcome){ .here = true, .result = result, .diag = *diag };
}

static struct outcome migrate(const char *component, const struct pbx_migration *steps, uint32_t count)
{
	const struct pbx_table table = { steps, count, sizeof *steps };
	struct outcome outcome = { 0 };

	core_store_migrate(component, &table, on_done, &outcome);
	wait_for(&outcome.here);
	return outcome;
}

static const struct pbx_migration parking[] = {
	{ 1, "slots",
	  "-- a comment; with a semicolon\nCREATE TABLE parking_slots (slot INTEGER PRIMARY KEY, note TEXT DEFAULT 'a;b', open BOOLEAN "
	  "DEFAULT FALSE);\n"
	  "CREATE INDEX parking_notes ON parking_slots (note);\n/* the end; */ ;" },
	{ 2, "first", "INSERT INTO parking_slots (slot) VALUES (701)" },
	{ 5, "who", "ALTER TABLE parking_slots ADD COLUMN parker INTEGER" },
};

START_TEST(steps_run_once_and_in_order)
{
	store_fixture_start(_i);
	ck_assert_int_eq(migrate("parking", parking, 2).result, PBX_OK);
	ck_assert_int_eq(migrate("parking", parking, 2).result, PBX_OK);
	ck_assert_str_eq(ask("SELECT slot, note, open FROM parking_slots"), "701|a;b|0");
	ck_assert_int_eq(migrate("parking", parking, 3).result, PBX_OK);
	ck_assert_str_eq(ask("SELECT slot, parker FROM parking_slots"), "701|~");
	ck_assert_str_eq(ask("SELECT component, version, name FROM schema_version ORDER BY version"),
			 "parking|1|slots;parking|2|first;parking|5|who");
	store_fixture_stop();
}
END_TEST

START_TEST(integers_are_64_bit_and_bytes_are_bytes)
{
	const struct pbx_migration steps[] = {
		{ 1, "t", "create table \"integer\" (big integer, raw blob, \"text\" text check (\"text\" <> 'INTEGER'))" }
	};

	store_fixture_start(_i);
	ck_assert_int_eq(migrate("t", steps, 1).result, PBX_OK);
	ck_assert_str_eq(ask("INSERT INTO \"integer\" VALUES ($1, NULL, 'blob')", 'i', INT64_MAX), "");
	ck_assert_str_eq(ask("INSERT INTO \"integer\" VALUES (1, NULL, 'INTEGER')"), "EINVAL");
	ck_assert_str_eq(ask("SELECT big, raw, \"text\" FROM \"integer\""), "9223372036854775807|~|blob");
	store_fixture_stop();
}
END_TEST

START_TEST(a_step_that_fails_half_way_leaves_nothing)
{
	const struct pbx_migration bad[] = {
		{ 1, "good", "CREATE TABLE good (id INTEGER)" },
		{ 2, "bad", "CREATE TABLE half (id INTEGER); INSERT INTO good VALUES (1); INSERT INTO nowhere VALUES (1)" },
		{ 3, "later", "CREATE TABLE later (id INTEGER)" },
	};
	const struct pbx_migration mended[] = { bad[0],
						{ 2, "bad", "CREATE TABLE half (id INTEGER); INSERT INTO good VALUES (2)" },
						bad[2] };

	store_fixture_start(_i);
	struct outcome outcome = migrate("c", bad, 3);
	ck_assert_int_eq(outcome.result, PBX_EINVAL);
	ck_assert_str_eq(outcome.diag.field, "c");
	ck_assert_ptr_nonnull(strstr(outcome.diag.text, "step 2 bad"));
	ck_assert_ptr_nonnull(strstr(outcome.diag.text, "nowhere"));
	ck_assert_str_eq(ask("SELECT * FROM half"), "EINVAL");
	ck_assert_str_eq(ask("SELECT * FROM later"), "EINVAL");
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM good"), "0");
	ck_assert_str_eq(ask("SELECT version FROM schema_version"), "1");
	ck_assert_int_eq(migrate("c", mended, 3).result, PBX_OK);
	ck_assert_str_eq(ask("SELECT id FROM good"), "2");
	store_fixture_stop();
}
END_TEST

START_TEST(a_step_that_has_changed_since_it_ran_is_refused)
{
	struct pbx_migration steps[3];

	store_fixture_start(_i);
	ck_assert_int_eq(migrate("parking", parking, 2).result, PBX_OK);
	memcpy(steps, parking, sizeof steps);
	steps[1].sql = "INSERT INTO parking_slots (slot) VALUES (702)";
	struct outcome outcome = migrate("parking", steps, 3);
	ck_assert_int_eq(outcome.result, PBX_EEXIST);
	ck_assert_ptr_nonnull(strstr(outcome.diag.text, "step 2 first"));
	ck_assert_str_eq(ask("SELECT parker FROM parking_slots"), "EINVAL");
	ck_assert_str_eq(ask("SELECT slot FROM parking_slots"), "701");
	store_fixture_stop();
}
END_TEST

START_TEST(components_do_not_know_each_other_and_older_rows_are_read)
{
	const struct {
		struct pbx_migration step;
		const char *member_of_a_later_version;
	} wide[] = { { { 1, "a", "CREATE TABLE wide (id INTEGER)" }, "?" }, { { 2, "b", "INSERT INTO wide VALUES (1)" }, "?" } };
	const struct pbx_table table = { wide, 2, sizeof wide[0] };
	struct outcome outcome = { 0 };

	store_fixture_start(_i);
	ck_assert_int_eq(migrate("parking", parking, 1).result, PBX_OK);
	core_store_migrate("wide", &table, on_done, &outcome);
	wait_for(&outcome.here);
	ck_assert_msg(outcome.result == PBX_OK, "%s", outcome.diag.text);
	ck_assert_str_eq(ask("SELECT id FROM wide"), "1");
	store_fixture_stop();
}
END_TEST

START_TEST(numbers_that_do_not_rise_are_refused)
{
	const struct pbx_migration steps[] = { { 2, "b", "CREATE TABLE b (id INTEGER)" }, { 1, "a", "CREATE TABLE a (id INTEGER)" } };

	store_fixture_start(_i);
	ck_assert_int_eq(migrate("c", steps, 2).result, PBX_EINVAL);
	ck_assert_str_eq(ask("SELECT * FROM b"), "EINVAL");
	store_fixture_stop();
}
END_TEST

START_TEST(two_at_once_run_each_step_once)
{
	const struct pbx_table table = PBX_TABLE(parking);
	struct outcome one = { 0 }, other = { 0 };

	store_fixture_start(_i);
	core_store_migrate("parking", &table, on_done, &one);
	core_store_migrate("parking", &table, on_done, &other);
	wait_for(&one.here);
	wait_for(&other.here);
	ck_assert_msg(one.result == PBX_OK, "%s", one.diag.text);
	ck_assert_msg(other.result == PBX_OK, "%s", other.diag.text);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM schema_version"), "3");
	store_fixture_stop();
}
END_TEST

START_TEST(the_cores_own_schema_runs)
{
	store_fixture_start(_i);
	struct outcome outcome = migrate("core", core_schema, core_schema_count);
	ck_assert_msg(outcome.result == PBX_OK, "%s", outcome.diag.text);
	ck_assert_int_eq(migrate("core", core_schema, core_schema_count).result, PBX_OK);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM event_log"), "0");
	store_fixture_stop();
}
END_TEST

STORE_MAIN("migrate", steps_run_once_and_in_order, integers_are_64_bit_and_bytes_are_bytes, a_step_that_fails_half_way_leaves_nothing,
	   a_step_that_has_changed_since_it_ran_is_refused, components_do_not_know_each_other_and_older_rows_are_read,
	   numbers_that_do_not_rise_are_refused, two_at_once_run_each_step_once, the_cores_own_schema_runs)
