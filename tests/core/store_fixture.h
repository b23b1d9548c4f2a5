/* tests/core/store_fixture.h - a loop with a store in it, for tests that ask and look at the answer
 *
 * Each engine is real: SQLite on a file in a folder of its own, PostgreSQL as a server of the test's own. Answers are rendered as text,
 * "1|alice;2|bob" (NULL as ~, bytes as x'…'), errors as "EEXIST". */
#pragma once
#include <check.h>
#include <pbx/store.h>
#include "postgres_fixture.h"

#define ENGINE_SQLITE 0
#define ENGINE_POSTGRES 1

void store_fixture_start(int engine); /* loop, log, an empty database, an open store */
void store_fixture_place(int engine); /* the first half of it: an empty database, no process state: before a fork */
void store_fixture_run(void);         /* and the second */
void store_fixture_place_on(struct postgres *taken);
void store_fixture_start_on(struct postgres *taken); /* the same on a server of its own, which the test may halt */
void store_fixture_stop(void);                       /* all of it; asserts that nothing is left */
void store_fixture_open(void);                       /* the store alone, on the database that is there; waits until it is up */
void store_fixture_begin(void);                      /* the same without waiting */
void store_fixture_close(void);
const char *store_fixture_file(void);    /* SQLite's */
const char *store_fixture_journal(void); /* folder of the journal */

/* One statement, run and awaited. Each parameter is a letter and a value: i int64_t, d double, t text, n nothing. The text is good until the next but seven. */
const char *ask(const char *sql, ...);
#define ask_with(sql, params) store_fixture_ask(sql, params, (uint32_t)(sizeof(params) / sizeof((params)[0])))
const char *store_fixture_ask(const char *sql, const struct pbx_value *params, uint32_t count);
const char *store_fixture_render(const struct pbx_rows *rows);
const char *result_name(int result);

/* Steps the loop until *flag; fails the test after ten seconds. */
void wait_for(const bool *flag);

/* A main() that runs each test on every engine there is: _i is the engine. It fails without a PostgreSQL server on this machine. */
int store_fixture_main(const char *name, const TTest *const *tests, size_t count, int first_engine);
#define STORE_MAIN_FROM(engine, name, ...)                                                                                                 \
	int main(void)                                                                                                                     \
	{                                                                                                                                  \
		const TTest *const tests[] = { __VA_ARGS__ };                                                                              \
		return store_fixture_main(name, tests, sizeof tests / sizeof tests[0], engine);                                            \
	}
#define STORE_MAIN(name, ...) STORE_MAIN_FROM(ENGINE_SQLITE, name, __VA_ARGS__)
/* On PostgreSQL only. */
#define POSTGRES_MAIN(name, ...) STORE_MAIN_FROM(ENGINE_POSTGRES, name, __VA_ARGS__)
