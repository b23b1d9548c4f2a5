/*
 * store.c - the front of the store: who asked for what, in which order, and how it went
 *
 * Every owner has a line. Its jobs go to the engine in the order asked and its callbacks are called in that order,
 * whatever the engine does in between: a SELECT may run on a reader while the line has no write under way, and a write
 * waits for the line's readers, so each owner sees its own work as if it were alone. Records go to the journal while the
 * engine is away, and until the journal has been replayed.
 */
#include <assert.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store_engine.h"

#define JOBS_MOST 65536u      /* of all owners; above, PBX_ENOSPC */
#define LINE_JOBS_MOST 32768u /* of one */
#define SLOW_US 1000000u

enum { CLOSED, OPENING, UP, AWAY, CLOSING };

/* Jobs told in the order asked: one line an owner, and one for each read apart. */
struct store_line {
	struct core_charge charge;
	struct store_line *next;
	struct pbx_host *owner;
	const char *name;
	struct store_job *first, *last; /* not told yet */
	struct store_job *unsent;       /* the first of them that the engine has not got */
	uint32_t count, reads_out, writes_out;
	void *lane;
	bool apart, revoked, telling;
};

struct whole_waiter {
	struct whole_waiter *next;
	void (*fn)(void *context);
	void *context;
};

static struct {
	int state;
	bool whole, told_up;
	const struct store_engine *engine;
	void (*up)(void *context, int result, const char *reason);
	void *up_context;
	struct store_line *lines;
	struct whole_waiter *waiters;
	struct core_store_stats stats;
} store;

static void line_free(struct store_line *line)
{
	struct store_line **at = &store.lines;

	while (*at && *at != line)
		at = &(*at)->next;
	if (*at)
		*at = line->next;
	core_charge_remove(&line->charge);
	free(line);
}

static const char *sql_of(const struct store_job *job)
{
	return job->count ? job->statements[job->count - 1].sql : "";
}

static void tell(struct store_line *line, struct store_job *job)
{
	const struct pbx_rows *rows = &job->result.rows;
	uint64_t took_us = core_now_us() - job->asked_us;

	if (took_us > SLOW_US && rows->status == PBX_OK)
		core_log(PBX_LOG_WARN, line->name, NULL, "query_slow", "ms=%llu sql=\"%.120s\"", (unsigned long long)(took_us / 1000),
			 sql_of(job));
	if (rows->status != PBX_OK)
		store.stats.errors++;
	if (job->done)
		CORE_INTO(line->owner, job->done(job->self, rows));
	else if (rows->status != PBX_OK)
		core_log(PBX_LOG_WARN, line->name, NULL, "query_failed", "error=\"%s\" sql=\"%.120s\"", rows->error, sql_of(job));
}

/* Callbacks may ask for more, or stop their owner: the line stays until we are through. */
static void tell_finished(struct store_line *line)
{
	if (line->telling)
		return;
	line->telling = true;

	for (struct store_job *job; (job = line->first) && job->finished;) {
		line->first = job->later;
		if (!line->first)
			line->last = NULL;
		line->count--;
		tell(line, job);
		store_job_free(job);
		store.stats.waiting--;
		core_busy(-1);
	}

	line->telling = false;
	if (!line->first)
		line_free(line);
}

static void fail_soon(struct store_job *job, int status, const char *error)
{
	store_rows_fail(&job->result, status, error);
	store_finish_soon(job);
}

static bool goes_to_journal(const struct store_job *job)
{
	if (!job->record || job->replayed || !store_journal_is_on())
		return false;
	return store.state != UP || !store_journal_is_empty();
}

static void job_send(struct store_job *job)
{
	if (job->aside)
		job->line->reads_out++;
	else
		job->line->writes_out++;

	if (goes_to_journal(job))
		store_journal_add(job);
	else if (store.state == UP)
		store.engine->submit(job);
	else
		fail_soon(job, PBX_EIO, "the database is away");
}

/* Sends what may go now. A read runs aside while the line writes nothing; a write waits for the line's reads. */
static void line_send(struct store_line *line)
{
	while (line->unsent && store.state != OPENING) {
		struct store_job *job = line->unsent;

		job->aside = store.engine->reads_aside && job->reads && line->writes_out == 0;
		if (!job->aside && line->reads_out > 0)
			return;
		line->unsent = job->later;
		job_send(job);
	}
}

static void send_all(void)
{
	for (struct store_line *line = store.lines, *next; line; line = next) {
		next = line->next;
		line_send(line);
	}
}

void store_settle(struct store_job *job)
{
	struct store_line *line = job->line;

	if (job->aside)
		line->reads_out--;
	else
		line->writes_out--;
	if (line->reads_out + line->writes_out == 0)
		line->lane = NULL;
	job->finished = true;
	line_send(line);
	tell_finished(line);
}

/* A record that the engine could not take goes to the journal; so does one that may have overtaken such a record: it is repeatable. */
static bool must_be_journalled(const struct store_job *job)
{
	int32_t status = job->result.rows.status;

	if (!job->record || job->replayed || !store_journal_is_on())
		return false;
	return status == PBX_EIO || status == PBX_ECANCELLED || (status == PBX_OK && !store_journal_is_empty());
}

void store_finish(struct store_job *job)
{
	core_assert_loop();
	if (must_be_journalled(job))
		store_journal_add(job);
	else
		store_settle(job);
}

void store_resubmit(struct store_job *job)
{
	store_rows_clear(&job->result);
	if (store.state == UP)
		store.engine->submit(job);
	else
		store_journal_add(job);
}

static void on_answered(void *context)
{
	store_finish(context);
}

void store_finish_soon(struct store_job *job)
{
	core_post_node(core_self(), &job->answered, on_answered, job);
}

void **store_job_lane(struct store_job *job)
{
	return &job->line->lane;
}

/* ---- asking ---- */

/* The owner is stopping: it hears now that its jobs are not for it any more; what they write is written all the same. */
static void on_revoke(struct core_charge *charge)
{
	struct store_line *line = (struct store_line *)(void *)((char *)charge - offsetof(struct store_line, charge));
	const struct pbx_rows rows = { .size = sizeof rows, .status = PBX_ECANCELLED, .error = "the owner is being stopped" };

	core_charge_remove(charge);
	line->revoked = true;
	for (struct store_job *job = line->first; job; job = job->later) {
		pbx_rows_fn done = job->done;

		job->done = NULL;
		if (done)
			CORE_INTO(line->owner, done(job->self, &rows));
	}
}

static struct store_line *line_new(struct pbx_host *owner)
{
	struct store_line *line = calloc(1, sizeof *line);

	if (!line)
		return NULL;
	line->owner = owner;
	line->name = core_owner_name(owner);
	line->next = store.lines;
	store.lines = line;
	core_charge_add(owner, &line->charge, "query", false, on_revoke);
	return line;
}

static struct store_line *line_of(struct pbx_host *owner)
{
	for (struct store_line *line = store.lines; line; line = line->next)
		if (line->owner == owner && !line->apart && !line->revoked)
			return line;
	return line_new(owner);
}

static int ask_in(struct store_line *line, struct store_job *taken, pbx_rows_fn done, void *self)
{
	AUTO(store_job) struct store_job *job = taken;

	if (!line)
		return PBX_ENOMEM;
	if (line->count >= LINE_JOBS_MOST)
		return PBX_ENOSPC;

	job->done = done;
	job->self = self;
	job->line = line;
	job->asked_us = core_now_us();
	if (line->last)
		line->last->later = job;
	else
		line->first = job;
	line->last = job;
	if (!line->unsent)
		line->unsent = job;
	line->count++;
	store.stats.queries++;
	store.stats.waiting++;
	core_busy(1);
	(void)TAKE(job);
	line_send(line);
	return PBX_OK;
}

static bool is_open(void)
{
	return store.state != CLOSED && store.state != CLOSING;
}

int store_ask(struct pbx_host *owner, struct store_job *taken, pbx_rows_fn done, void *self)
{
	core_assert_loop();
	if (!taken)
		return PBX_ENOMEM;
	if (!is_open() || store.stats.waiting >= JOBS_MOST) {
		store_job_free(taken);
		return PBX_ENOSPC;
	}
	return ask_in(line_of(owner), taken, done, self);
}

int store_ask_apart(struct pbx_host *owner, struct store_job *taken, pbx_rows_fn done, void *self)
{
	if (!taken)
		return PBX_ENOMEM;
	if (!is_open() || store.stats.waiting >= JOBS_MOST) {
		store_job_free(taken);
		return PBX_ENOSPC;
	}

	struct store_line *line = line_new(owner);
	if (line)
		line->apart = true;
	return ask_in(line, taken, done, self);
}

int store_read_apart(struct pbx_host *owner, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done, void *self)
{
	const struct pbx_statement statement = { sql, params, count };
	struct store_job *job = store_job_new(&statement, 1);

	if (job)
		job->reads = true;
	return store_ask_apart(owner, job, done, self);
}

static struct store_job *job_for(const struct pbx_statement *statements, uint32_t count)
{
	struct store_job *job = store_job_new(statements, count);

	if (!job)
		return NULL;
	job->reads = count == 1 && store_sql_reads(statements->sql);
	for (uint32_t i = 0; i < count; i++)
		job->once = job->once || store_sql_changes_tables(statements[i].sql);
	return job;
}

int core_store_run(struct pbx_host *owner, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done, void *self)
{
	const struct pbx_statement statement = { sql, params, count };

	return store_ask(owner, job_for(&statement, 1), done, self);
}

int core_store_batch(struct pbx_host *owner, const struct pbx_statement *statements, uint32_t count, pbx_rows_fn done, void *self)
{
	return store_ask(owner, job_for(statements, count), done, self);
}

int core_store_record(struct pbx_host *owner, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done, void *self)
{
	const struct pbx_statement statement = { sql, params, count };
	struct store_job *job = job_for(&statement, 1);

	if (job)
		job->record = true;
	return store_ask(owner, job, done, self);
}

bool core_store_is_up(void)
{
	return store.state == UP;
}

/* ---- the engine's state ---- */

bool store_engine_has_types(void)
{
	return store.engine->has_types;
}

static void tell_up(int result, const char *reason)
{
	if (store.told_up)
		return;
	store.told_up = true;
	if (store.up)
		store.up(store.up_context, result, reason);
}

/* The journal has been replayed, or was empty: what the tables say is the whole truth. */
void store_is_whole(void)
{
	if (store.state != UP)
		return;
	store.whole = true;
	tell_up(PBX_OK, "");
	for (struct whole_waiter *waiter; store.whole && (waiter = store.waiters);) {
		store.waiters = waiter->next;
		waiter->fn(waiter->context);
		free(waiter);
	}
}

bool store_has_everything(void)
{
	return store.state == UP && store.whole && store_journal_is_empty();
}

int store_when_whole(void (*fn)(void *context), void *context)
{
	struct whole_waiter *waiter = calloc(1, sizeof *waiter), **at = &store.waiters;

	if (!waiter)
		return PBX_ENOMEM;
	*waiter = (struct whole_waiter){ .fn = fn, .context = context };
	while (*at)
		at = &(*at)->next;
	*at = waiter;
	if (store_has_everything())
		store_is_whole();
	return PBX_OK;
}

void store_is_up(void)
{
	if (store.state == UP || !is_open())
		return;
	store.state = UP;
	core_log(PBX_LOG_NOTICE, "core", NULL, "store_up", "engine=%s", store.engine->name);
	if (store_journal_is_empty())
		store_is_whole();
	else
		store_journal_replay();
	send_all();
}

void store_is_away(const char *reason)
{
	if (store.state == AWAY || !is_open())
		return;
	store.state = AWAY;
	store.whole = false;
	core_log(PBX_LOG_ERROR, "core", NULL, "store_away", "engine=%s reason=\"%s\"", store.engine->name, reason);
	send_all();
}

void store_is_broken(int result, const char *reason)
{
	store_is_away(reason);
	tell_up(result, reason);
}

void store_reconnected(void)
{
	store.stats.reconnects++;
}

/* ---- life ---- */

static const struct store_engine *engine_named(const char *name)
{
	if (strcmp(name, "sqlite") == 0)
		return &store_sqlite;
#ifdef PBX_HAVE_POSTGRESQL
	if (strcmp(name, "postgresql") == 0)
		return &store_postgres;
#endif
	return NULL;
}

int core_store_init(const struct core_store_config *config, void (*up)(void *context, int result, const char *reason), void *context)
{
	const struct store_engine *engine = engine_named(config->engine);
	char reason[256] = "";

	assert(store.state == CLOSED);
	if (!engine) {
		core_log(PBX_LOG_ERROR, "core", NULL, "store_unknown", "engine=%s", config->engine);
		return PBX_ENOTSUP;
	}

	memset(&store, 0, sizeof store);
	store.engine = engine;
	store.up = up;
	store.up_context = context;
	store.state = OPENING;
	int err = store_journal_open(config->journal_dir);
	if (err == PBX_OK)
		err = engine->open(config, reason, sizeof reason);
	if (err != PBX_OK) {
		core_log(PBX_LOG_ERROR, "core", NULL, "store_failed", "engine=%s reason=\"%s\"", engine->name, reason);
		store_journal_close();
		store.state = CLOSED;
	}
	return err;
}

static void wait_for_jobs(uint32_t wait_ms)
{
	uint64_t until_us = core_now_us() + wait_ms * 1000ull;

	core_loop_step();
	while (store.stats.waiting > 0 && core_now_us() < until_us) {
		(void)usleep(500);
		core_loop_step();
	}
}

void core_store_fini(uint32_t wait_ms)
{
	if (store.state == CLOSED)
		return;

	wait_for_jobs(wait_ms);
	store.state = CLOSING;
	send_all();
	store.engine->close();
	while (store.stats.waiting > 0) {
		core_loop_step();
		store_journal_flush();
	}
	store_journal_close();
	store.state = CLOSED;
	for (struct whole_waiter *waiter; (waiter = store.waiters);) {
		store.waiters = waiter->next;
		free(waiter);
	}
	assert(!store.lines);
}

void core_store_stats(struct core_store_stats *ret_stats)
{
	struct store_journal_stats journal;

	store_journal_stats(&journal);
	store.stats.journalled = journal.records;
	store.stats.journal_bytes = journal.bytes;
	store.stats.disk_full = journal.disk_full;
	store.stats.up = store.state == UP;
	*ret_stats = store.stats;
}

/* ---- the service ---- */

static bool is_up(struct pbx_host *host)
{
	(void)host;
	return core_store_is_up();
}

const struct pbx_store core_store_service = {
	.header = PBX_HEADER(struct pbx_store),
	.run = core_store_run,
	.batch = core_store_batch,
	.record = core_store_record,
	.is_up = is_up,
};
