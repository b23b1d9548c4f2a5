/*
 * store_pg_connection.c - one connection to PostgreSQL, driven by the loop
 *
 * Nothing here waits: connecting goes in steps as the socket becomes ready, jobs are written into a pipeline, and what
 * the server will answer is kept as a list of steps that the answers tick off. A statement is prepared when it is first
 * used, in a transaction of its own, so that a failing job never takes a preparation with it; the statements of a job
 * stand between two synchronisation points, which makes them one transaction.
 */
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "store_postgres.h"

#define PREPARED_MOST 1024u /* of a connection; what comes later is sent as it is */
#define PARAMS_MOST 65535u  /* of the protocol */

enum { STEP_PREPARE, STEP_EXECUTE, STEP_SYNC, STEP_SETTINGS };

/* One answer that is due. */
struct pg_step {
	struct pg_step *next;
	int kind;
	struct store_job *job; /* whose it is; SYNC: which ends here, NULL: none does */
	const char *sql;       /* PREPARE: in the job */
	bool last;             /* EXECUTE: its rows are the job's */
	bool answered;
};

struct pg_statement {
	struct pg_statement *next;
	char name[16];
	char sql[];
};

void pg_connection_lose(struct pg_connection *connection, const char *reason)
{
	(void)snprintf(connection->reason, sizeof connection->reason, "%s", reason);
	for (char *at = connection->reason; *at; at++)
		if (*at == '\n')
			*at = ' ';
	pg_connection_close(connection);
	pg_pool_lost(connection);
}

/* ---- the socket ---- */

/* libpq closes its socket as soon as it has seen it fail, and the number may be somebody else's in the same moment. What we watch is therefore a
 * duplicate: its number is ours until we close it. */
struct pg_watch {
	uv_poll_t poll;
	int fd;
};

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void unwatch(struct pg_connection *connection)
{
	struct pg_watch *watch = connection->watch;

	if (!watch)
		return;
	(void)uv_poll_stop(&watch->poll);
	uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
	(void)close(watch->fd);
	watch->poll.data = watch;
	connection->watch = NULL;
}

static void on_socket(uv_poll_t *poll, int status, int events);

static struct pg_watch *watch_new(struct pg_connection *connection)
{
	struct pg_watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return NULL;
	watch->fd = fcntl(PQsocket(connection->pg), F_DUPFD_CLOEXEC, 0);
	if (watch->fd < 0 || uv_poll_init(core_loop_uv(), &watch->poll, watch->fd) != 0) {
		if (watch->fd >= 0)
			(void)close(watch->fd);
		free(watch);
		return NULL;
	}
	watch->poll.data = connection;
	return watch;
}

static int watch(struct pg_connection *connection, int events)
{
	if (!connection->watch)
		connection->watch = watch_new(connection);
	if (!connection->watch)
		return PBX_EIO;
	return uv_poll_start(&connection->watch->poll, events, on_socket) == 0 ? PBX_OK : PBX_EIO;
}

void pg_connection_flush(struct pg_connection *connection)
{
	connection->wants_flush = false;
	if (connection->broken) {
		pg_connection_lose(connection, PQerrorMessage(connection->pg));
		return;
	}

	int left = PQflush(connection->pg);

	if (left < 0 || watch(connection, UV_READABLE | (left ? UV_WRITABLE : 0)) != PBX_OK)
		pg_connection_lose(connection, PQerrorMessage(connection->pg));
}

/* ---- steps ---- */

static int step_add(struct pg_connection *connection, struct pg_step step)
{
	struct pg_step *added = malloc(sizeof *added);

	if (!added)
		return PBX_ENOMEM;
	*added = step;
	if (connection->last)
		connection->last->next = added;
	else
		connection->first = added;
	connection->last = added;
	return PBX_OK;
}

static void step_done(struct pg_connection *connection)
{
	struct pg_step *step = connection->first;

	connection->first = step->next;
	if (!connection->first)
		connection->last = NULL;
	free(step);
}

static int end_part(struct pg_connection *connection, struct store_job *job)
{
	if (PQpipelineSync(connection->pg) != 1)
		return PBX_EIO;
	return step_add(connection, (struct pg_step){ .kind = STEP_SYNC, .job = job });
}

/* ---- prepared statements ---- */

static struct pg_statement **place_of(struct pg_connection *connection, const char *sql)
{
	uint32_t hash = 2166136261u;

	for (const char *at = sql; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;

	struct pg_statement **place = &connection->prepared[hash & (PG_BUCKETS - 1)];
	while (*place && strcmp((*place)->sql, sql) != 0)
		place = &(*place)->next;
	return place;
}

static void unprepare(struct pg_connection *connection, const char *sql)
{
	struct pg_statement **place = place_of(connection, sql), *statement = *place;

	if (!statement)
		return;
	*place = statement->next;
	connection->prepared_count--;
	free(statement);
}

/* Sends the preparation, unless it was sent before. */
static int prepare(struct pg_connection *connection, struct store_job *job, const char *sql)
{
	struct pg_statement **place = place_of(connection, sql);

	if (*place || connection->prepared_count >= PREPARED_MOST)
		return PBX_OK;

	struct pg_statement *statement = calloc(1, sizeof *statement + strlen(sql) + 1);
	if (!statement)
		return PBX_ENOMEM;

	(void)snprintf(statement->name, sizeof statement->name, "s%u", ++connection->named);
	(void)strcpy(statement->sql, sql);
	*place = statement;
	connection->prepared_count++;

	if (PQsendPrepare(connection->pg, statement->name, sql, 0, NULL) != 1)
		return PBX_EIO;
	int err = step_add(connection, (struct pg_step){ .kind = STEP_PREPARE, .job = job, .sql = sql });
	return err == PBX_OK ? end_part(connection, NULL) : err;
}

/* ---- sending ---- */

static int execute(struct pg_connection *connection, struct store_job *job, uint32_t at)
{
	const struct store_statement *statement = &job->statements[at];
	const struct pg_statement *prepared = job->once ? NULL : *place_of(connection, statement->sql);
	struct pg_params params;
	int err = pg_params_make(&params, statement), sent;

	if (err != PBX_OK)
		return err;
	if (prepared)
		sent = PQsendQueryPrepared(connection->pg, prepared->name, (int)params.count, params.values, params.lengths, params.formats,
					   0);
	else
		sent = PQsendQueryParams(connection->pg, statement->sql, (int)params.count, NULL, params.values, params.lengths,
					 params.formats, 0);
	pg_params_free(&params);
	if (sent != 1)
		return PBX_EIO;
	return step_add(connection, (struct pg_step){ .kind = STEP_EXECUTE, .job = job, .last = at + 1 == job->count });
}

static int send_job(struct pg_connection *connection, struct store_job *job)
{
	int err = PBX_OK;

	for (uint32_t i = 0; i < job->count && err == PBX_OK && !job->once; i++)
		err = prepare(connection, job, job->statements[i].sql);
	for (uint32_t i = 0; i < job->count && err == PBX_OK; i++)
		err = execute(connection, job, i);
	return err == PBX_OK ? end_part(connection, job) : err;
}

void pg_connection_send(struct pg_connection *connection, struct store_job *job)
{
	assert(connection->state == PG_READY);
	for (uint32_t i = 0; i < job->count; i++) {
		if (job->statements[i].count > PARAMS_MOST) {
			store_rows_fail(&job->result, PBX_EINVAL, "too many parameters");
			store_finish_soon(job);
			return;
		}
	}
	if (!connection->under_way.first)
		connection->heard_us = core_now_us();
	store_queue_put(&connection->under_way, job);
	connection->wants_flush = true;
	connection->broken = connection->broken || send_job(connection, job) != PBX_OK;
	pg_pool_flush_soon();
}

/* ---- answers ---- */

static bool has_failed(const struct store_job *job)
{
	return job->result.rows.status != PBX_OK;
}

static void fail(struct store_job *job, const PGresult *result)
{
	const char *sentence = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (has_failed(job))
		return;
	store_rows_fail(&job->result, pg_status(PQresultErrorField(result, PG_DIAG_SQLSTATE)),
			sentence ? sentence : PQresultErrorMessage(result));
	job->may_repeat = pg_may_repeat(result);
}

/* Once more, with statements prepared anew. */
static void repeat(struct pg_connection *connection, struct store_job *job)
{
	job->retried = true;
	job->may_repeat = false;
	store_rows_clear(&job->result);
	for (uint32_t i = 0; i < job->count; i++)
		unprepare(connection, job->statements[i].sql);
	pg_connection_send(connection, job);
}

static void job_done(struct pg_connection *connection, struct store_job *job)
{
	struct store_job *oldest = store_queue_take(&connection->under_way);

	assert(oldest == job);
	if (job->may_repeat && !job->retried)
		repeat(connection, oldest);
	else
		store_finish(oldest);
}

static void take_result(struct pg_connection *connection, struct pg_step *step, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	step->answered = true;
	if (step->kind == STEP_SETTINGS) {
		connection->settled = status == PGRES_TUPLES_OK;
	} else if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
		if (step->kind == STEP_PREPARE)
			unprepare(connection, step->sql);
		fail(step->job, result);
	} else if (status == PGRES_EMPTY_QUERY) {
		store_rows_fail(&step->job->result, PBX_EINVAL, "no statement");
	} else if (step->kind == STEP_EXECUTE && status != PGRES_PIPELINE_ABORTED && !has_failed(step->job)) {
		if (step->last)
			pg_rows_read(&step->job->result, result);
	}
}

/* A synchronisation point: what stood before it is decided. */
static void take_sync(struct pg_connection *connection)
{
	struct store_job *job = connection->first->job;

	step_done(connection);
	if (connection->state == PG_SETTING_UP && connection->settled) {
		connection->state = PG_READY;
		pg_pool_ready(connection);
	} else if (connection->state == PG_SETTING_UP) {
		connection->broken = true;
	} else if (job) {
		job_done(connection, job);
	}
}

/* False: nothing more is there. */
static bool take_answer(struct pg_connection *connection)
{
	if (!connection->first || PQisBusy(connection->pg))
		return false;

	struct pg_step *step = connection->first;
	PGresult *result = PQgetResult(connection->pg);

	if (!result) {
		bool answered = step->answered && step->kind != STEP_SYNC;

		if (answered)
			step_done(connection);
		return answered;
	}
	if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
		take_sync(connection);
	else
		take_result(connection, step, result);
	PQclear(result);
	return true;
}

static void take_answers(struct pg_connection *connection)
{
	const PGconn *pg = connection->pg;

	if (PQconsumeInput(connection->pg) != 1) {
		pg_connection_lose(connection, PQerrorMessage(connection->pg));
		return;
	}
	connection->heard_us = core_now_us();
	while (connection->pg == pg && take_answer(connection))
		;
	if (connection->pg == pg && (connection->broken || PQstatus(connection->pg) == CONNECTION_BAD))
		pg_connection_lose(connection, PQerrorMessage(connection->pg));
}

/* ---- connecting ---- */

/* The first in the pipeline: how the server is to behave towards us. */
static int send_settings(struct pg_connection *connection)
{
	char timeout[16];
	const char *const values[] = { timeout };

	(void)snprintf(timeout, sizeof timeout, "%u", connection->statement_timeout_ms);
	if (PQsetnonblocking(connection->pg, 1) != 0 || PQenterPipelineMode(connection->pg) != 1)
		return PBX_EIO;
	if (PQsendQueryParams(connection->pg,
			      "SELECT set_config('statement_timeout', $1, false), set_config('timezone', 'UTC', false), "
			      "set_config('standard_conforming_strings', 'on', false), set_config('extra_float_digits', '1', false)",
			      1, NULL, values, NULL, NULL, 0) != 1)
		return PBX_EIO;
	int err = step_add(connection, (struct pg_step){ .kind = STEP_SETTINGS });
	return err == PBX_OK ? end_part(connection, NULL) : err;
}

static void on_connected(struct pg_connection *connection)
{
	connection->state = PG_SETTING_UP;
	connection->heard_us = core_now_us();
	if (PQserverVersion(connection->pg) < 130000)
		pg_connection_lose(connection, "the server is older than PostgreSQL 13");
	else if (send_settings(connection) != PBX_OK)
		pg_connection_lose(connection, PQerrorMessage(connection->pg));
	else
		pg_connection_flush(connection);
}

/* libpq may take another socket at each step. */
static void connect_more(struct pg_connection *connection)
{
	unwatch(connection);
	switch (PQconnectPoll(connection->pg)) {
	case PGRES_POLLING_READING:
		if (watch(connection, UV_READABLE) != PBX_OK)
			pg_connection_lose(connection, "the socket cannot be watched");
		return;
	case PGRES_POLLING_WRITING:
		if (watch(connection, UV_WRITABLE) != PBX_OK)
			pg_connection_lose(connection, "the socket cannot be watched");
		return;
	case PGRES_POLLING_OK:
		on_connected(connection);
		return;
	default:
		pg_connection_lose(connection, PQerrorMessage(connection->pg));
	}
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct pg_connection *connection = poll->data;
	const PGconn *pg = connection->pg;

	if (connection->state == PG_CONNECTING) {
		connect_more(connection);
		return;
	}
	if (status < 0 || (events & UV_READABLE))
		take_answers(connection);
	if (connection->pg == pg && connection->pg)
		pg_connection_flush(connection);
}

static void on_notice(void *context, const char *message)
{
	(void)context;
	core_log(PBX_LOG_DEBUG, "core", NULL, "store_notice", "text=\"%.200s\"", message);
}

void pg_connection_open(struct pg_connection *connection, const char *url, const char *hostaddr, uint32_t statement_timeout_ms)
{
	const char *const names[] = { "dbname", "application_name", "client_encoding", hostaddr ? "hostaddr" : NULL, NULL };
	const char *const values[] = { url, "pbxd", "UTF8", hostaddr, NULL };

	connection->statement_timeout_ms = statement_timeout_ms;
	connection->state = PG_CONNECTING;
	connection->heard_us = core_now_us();
	connection->pg = PQconnectStartParams(names, values, 1);
	if (!connection->pg || PQstatus(connection->pg) == CONNECTION_BAD) {
		pg_connection_lose(connection, connection->pg ? PQerrorMessage(connection->pg) : "no memory");
		return;
	}
	(void)PQsetNoticeProcessor(connection->pg, on_notice, NULL);
	if (watch(connection, UV_WRITABLE) != PBX_OK)
		pg_connection_lose(connection, "the socket cannot be watched");
}

void pg_connection_close(struct pg_connection *connection)
{
	unwatch(connection);
	PQfinish(connection->pg);
	connection->pg = NULL;
	connection->state = PG_DOWN;
	connection->settled = connection->wants_flush = connection->broken = false;
	while (connection->first)
		step_done(connection);
	for (uint32_t i = 0; i < PG_BUCKETS; i++)
		while (connection->prepared[i])
			unprepare(connection, connection->prepared[i]->sql);
}
