/* tests/core/store_fixture.c - a loop with a store in it */
#include "../check_main.h"
#include "store_fixture.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store.h"

#define ANSWERS 8

static const char *const engines[] = { "sqlite", "postgresql" };

/* One for all tests of the process; each begins by emptying it. */
static struct postgres *server;

static struct {
	int engine;
	char dir[64], file[96], journal[96], url[160];
	bool up;
	struct postgres *own; /* of this test alone */
} fixture;

void wait_for(const bool *flag)
{
	uint64_t until_us = core_now_us() + 30000000u;

	while (!*flag) {
		struct pollfd fd = { .fd = uv_backend_fd(core_loop_uv()), .events = POLLIN };

		ck_assert_msg(core_now_us() < until_us, "waited for half a minute");
		core_loop_step();
		if (!*flag)
			(void)poll(&fd, 1, 5);
	}
}

static void on_up(void *context, int result, const char *reason)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "the store cannot open: %s", reason);
	fixture.up = true;
}

void store_fixture_begin(void)
{
	const struct core_store_config config = {
		.engine = engines[fixture.engine],
		.file = fixture.file,
		.url = fixture.url,
		.journal_dir = fixture.journal,
		.readers = 2,
		.pool = 3,
		.statement_timeout_ms = 5000, /* as installed */
	};

	fixture.up = false;
	ck_assert_int_eq(core_store_init(&config, on_up, NULL), PBX_OK);
}

void store_fixture_open(void)
{
	store_fixture_begin();
	wait_for(&fixture.up);
}

void store_fixture_close(void)
{
	core_store_fini(5000);
}

static void place(int engine, const char *url)
{
	fixture.engine = engine;
	(void)snprintf(fixture.dir, sizeof fixture.dir, "/tmp/pbx-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture.dir));
	(void)snprintf(fixture.file, sizeof fixture.file, "%s/pbx.db", fixture.dir);
	(void)snprintf(fixture.journal, sizeof fixture.journal, "%s/journal", fixture.dir);
	(void)snprintf(fixture.url, sizeof fixture.url, "%s", url);
}

void store_fixture_place(int engine)
{
	if (engine == ENGINE_POSTGRES)
		postgres_empty(server);
	place(engine, engine == ENGINE_POSTGRES ? postgres_url(server) : "");
}

void store_fixture_run(void)
{
	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	store_fixture_open();
}

void store_fixture_start(int engine)
{
	store_fixture_place(engine);
	store_fixture_run();
}

void store_fixture_place_on(struct postgres *taken)
{
	fixture.own = taken;
	place(ENGINE_POSTGRES, postgres_url(taken));
}

void store_fixture_start_on(struct postgres *taken)
{
	store_fixture_place_on(taken);
	store_fixture_run();
}

void store_fixture_stop(void)
{
	char command[128];

	store_fixture_close();
	core_loop_fini();
	core_log_fini();
	postgres_stop(fixture.own);
	fixture.own = NULL;
	(void)snprintf(command, sizeof command, "rm -rf %s", fixture.dir);
	ck_assert_int_eq(system(command), 0);
}

const char *store_fixture_file(void)
{
	return fixture.file;
}

const char *store_fixture_journal(void)
{
	return fixture.journal;
}

const char *result_name(int result)
{
	static const char *const names[] = { "OK",     "EINVAL",  "ENOMEM",   "ENOENT", "EEXIST", "ENOSPC",   "EBUSY",     "EPERM",
					     "ESTATE", "ENOTSUP", "ETIMEOUT", "EIO",    "ELATER", "EVERSION", "ECANCELLED" };

	return result <= 0 && result >= -14 ? names[-result] : "?";
}

static void render_cell(FILE *out, const struct pbx_value *cell)
{
	if (cell->type == PBX_VALUE_INT)
		(void)fprintf(out, "%lld", (long long)cell->as.integer);
	else if (cell->type == PBX_VALUE_NUMBER)
		(void)fprintf(out, "%.15gd", cell->as.number);
	else if (cell->type == PBX_VALUE_TEXT)
		(void)fputs(cell->as.bytes, out);
	else if (cell->type == PBX_VALUE_NULL)
		(void)fputs("~", out);
	for (uint32_t i = 0; cell->type == PBX_VALUE_BYTES && i < cell->length; i++)
		(void)fprintf(out, "%s%02x", i ? "" : "x'", (unsigned char)cell->as.bytes[i]);
}

const char *store_fixture_render(const struct pbx_rows *rows)
{
	static char texts[ANSWERS][8192];
	static unsigned int turn;
	char *text = texts[turn++ % ANSWERS];
	FILE *out = fmemopen(text, sizeof texts[0], "w");

	ck_assert_ptr_nonnull(out);
	if (rows->status != PBX_OK)
		(void)fputs(result_name(rows->status), out);
	for (uint32_t i = 0; rows->status == PBX_OK && i < rows->count * rows->columns; i++) {
		if (i)
			(void)fputc(i % rows->columns ? '|' : ';', out);
		render_cell(out, &rows->cells[i]);
	}
	(void)fputc('\0', out);
	(void)fclose(out);
	return text;
}

struct answer {
	bool here;
	const char *text;
};

static void on_answer(void *self, const struct pbx_rows *rows)
{
	struct answer *answer = self;

	answer->text = store_fixture_render(rows);
	if (rows->status != PBX_OK)
		ck_assert_str_ne(rows->error, "");
	answer->here = true;
}

const char *store_fixture_ask(const char *sql, const struct pbx_value *params, uint32_t count)
{
	struct answer answer = { 0 };

	ck_assert_int_eq(core_store_run(core_self(), sql, params, count, on_answer, &answer), PBX_OK);
	wait_for(&answer.here);
	return answer.text;
}

const char *ask(const char *sql, ...)
{
	struct pbx_value params[16];
	uint32_t wanted = 0;
	va_list args;

	for (const char *at = strchr(sql, '$'); at; at = strchr(at + 1, '$')) {
		uint32_t place = (uint32_t)strtoul(at + 1, NULL, 10);

		wanted = place > wanted ? place : wanted;
	}
	va_start(args, sql);
	for (uint32_t i = 0; i < wanted; i++) {
		int kind = va_arg(args, int);

		params[i] = kind == 'i'   ? PBX_V_INT(va_arg(args, int64_t))
			    : kind == 'd' ? PBX_V_NUMBER(va_arg(args, double))
			    : kind == 't' ? pbx_v_text(va_arg(args, const char *))
					  : PBX_V_NULL;
	}
	va_end(args);
	return store_fixture_ask(sql, params, wanted);
}

static void start_server(void)
{
	postgres_prepare();
	server = postgres_start();
}

static void stop_server(void)
{
	postgres_stop(server);
	postgres_unprepare();
}

int store_fixture_main(const char *name, const TTest *const *tests, size_t count, int first_engine)
{
	if (!postgres_is_here()) {
		(void)fprintf(stderr, "%s: there is no PostgreSQL server here: packaging/packages.txt names its package\n", name);
		return EXIT_FAILURE;
	}

	Suite *suite = suite_create(name);
	TCase *all = tcase_create(name);

	for (size_t i = 0; i < count; i++)
		tcase_add_loop_test(all, tests[i], first_engine, ENGINE_POSTGRES + 1);
	tcase_add_unchecked_fixture(all, start_server, stop_server);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	return check_run(suite);
}
