/*
 * test_no_memory - JSON and the store when memory runs out: each allocation fails in turn
 *
 * Whatever fails is told as PBX_ENOMEM or NULL, nothing is half done, and the sanitizers see to it that nothing is left or used after it has gone.
 */
#include "../failing_memory.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "json_auto.h"
#include "loop.h"
#include "owner.h"
#include "store.h"
#include "store_fixture.h"
#include <cjson/cJSON.h>

/* The store's threads allocate, too. The one after so many fails, and those that follow do not. */
static _Atomic int allocations_left = INT32_MAX;

static bool is_granted(void)
{
	return atomic_fetch_sub(&allocations_left, 1) != 0;
}

/* ---- JSON ----------------------------------------------------------------------------- */

/* Read, changed, written. True: there was memory for all of it, and it is right. */
static bool json_with(int allocations)
{
	static const char text[] = "{\"number\":\"1001\",\"legs\":[{\"id\":1},{\"id\":2}]}";

	allocations_left = allocations;
	AUTO(json) struct pbx_json *json = core_json_parse(text, sizeof text - 1, NULL);
	AUTO(json) struct pbx_json *copy = json ? core_json_copy(json) : NULL;
	bool ok = copy && core_json_set_text(copy, "name", "Alice") == PBX_OK && core_json_set_integer(copy, "ring_ms", 2000) == PBX_OK &&
		  core_json_set_boolean(copy, "answered", true) == PBX_OK && core_json_set(copy, "legs", core_json_array()) == PBX_OK;
	char *printed = ok ? core_json_print(copy) : NULL;

	allocations_left = INT32_MAX;
	ck_assert(!json || core_json_count(core_json_get(json, "legs")) == 2);
	if (printed)
		ck_assert_str_eq(printed, "{\"number\":\"1001\",\"legs\":[],\"name\":\"Alice\",\"ring_ms\":2000,\"answered\":true}");
	core_json_free_text(printed);
	return printed != NULL;
}

START_TEST(json_is_whole_or_it_is_none)
{
	int needed = 0;

	(void)_i;
	cJSON_InitHooks(&(cJSON_Hooks){ __wrap_malloc, free });
	while (!json_with(needed))
		needed++;
	ck_assert_int_gt(needed, 20);
	cJSON_InitHooks(NULL);
}
END_TEST

/* ---- the store ------------------------------------------------------------------------ */

static int engine;

struct answer {
	bool here;
	int status;
	uint32_t rows;
};

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct answer *answer = self;

	*answer = (struct answer){ true, rows->status, rows->count };
}

/* The result, whether it is told at once or later. */
static int run_with(int allocations, const char *sql, const struct pbx_value *params, uint32_t count, uint32_t *ret_rows, bool *ret_failed)
{
	struct answer answer = { 0 };

	allocations_left = allocations;
	int err = core_store_run(core_self(), sql, params, count, on_rows, &answer);
	while (err == PBX_OK && !answer.here) /* the test's own limit ends what is never answered */
		core_loop_step();
	*ret_failed = allocations_left < 0;
	allocations_left = INT32_MAX; /* Check needs some */
	*ret_rows = answer.rows;
	return err == PBX_OK ? answer.status : err;
}

/* A connection to a server may have to be given up. */
static bool is_honest(int result)
{
	return result == PBX_ENOMEM || (result == PBX_EIO && engine == ENGINE_POSTGRES);
}

static void wait_until_up(void)
{
	while (!core_store_is_up())
		core_loop_step();
}

START_TEST(a_question_is_answered_or_said_to_have_had_no_memory)
{
	uint32_t rows;
	int needed = 0, result;
	bool failed;

	engine = _i;
	store_fixture_start(_i);
	ck_assert_str_eq(ask("CREATE TABLE things (id BIGINT PRIMARY KEY, text TEXT)"), "");
	ck_assert_str_eq(ask("INSERT INTO things VALUES (1, 'one'), (2, 'two'), (3, NULL)"), "");
	do {
		result = run_with(needed++, "SELECT id, text FROM things ORDER BY id", NULL, 0, &rows, &failed);
		ck_assert_msg(result == PBX_OK || (failed && is_honest(result)), "%d: %d", needed, result);
		ck_assert_uint_eq(rows, result == PBX_OK ? 3 : 0);
		wait_until_up();
	} while (failed);
	ck_assert_int_gt(needed, 3);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM things"), "3");
	store_fixture_stop();
}
END_TEST

START_TEST(a_change_happens_or_is_said_not_to_have)
{
	char count[64];
	uint32_t rows;
	int needed = 0, result;
	bool failed;

	engine = _i;
	store_fixture_start(_i);
	ck_assert_str_eq(ask("CREATE TABLE things (id BIGINT PRIMARY KEY, text TEXT)"), "");
	do {
		const struct pbx_value params[] = { PBX_V_INT(needed), pbx_v_text("a thing") };

		/* Each has a row of its own: one whose connection was lost may still happen while others are asked. */
		(void)snprintf(count, sizeof count, "SELECT COUNT(*) FROM things WHERE id = %d", needed);
		result = run_with(needed++, "INSERT INTO things VALUES ($1, $2)", params, 2, &rows, &failed);
		ck_assert_msg(result == PBX_OK || (failed && is_honest(result)), "%d: %d", needed, result);
		wait_until_up();
		if (result != PBX_EIO) /* of a connection that was lost on the way nobody knows */
			ck_assert_str_eq(ask(count), result == PBX_OK ? "1" : "0");
	} while (failed);
	store_fixture_stop();
}
END_TEST

STORE_MAIN("no_memory", json_is_whole_or_it_is_none, a_question_is_answered_or_said_to_have_had_no_memory,
	   a_change_happens_or_is_said_not_to_have)
