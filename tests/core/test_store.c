/* tests/core/test_store.c - the store's promises, kept on each engine */
#include <string.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "owner_internal.h"
#include "store.h"
#include "store_fixture.h"


START_TEST(smoke)
{
	store_fixture_start(_i);
	ck_assert_str_eq(ask("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"), "");
	ck_assert_str_eq(ask("INSERT INTO t VALUES ($1, $2)", 'i', (int64_t)1, 't', "alice"), "");
	ck_assert_str_eq(ask("SELECT * FROM t"), "1|alice");
	ck_assert_str_eq(ask("INSERT INTO t VALUES ($1, $2)", 'i', (int64_t)1, 't', "alice"), "EEXIST");
	store_fixture_stop();
}
END_TEST

STORE_MAIN("store", smoke)
