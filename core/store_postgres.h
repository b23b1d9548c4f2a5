/* core/store_postgres.h - one connection of the PostgreSQL engine. All of it: [loop]. */
#pragma once
#include <libpq-fe.h>
#include <uv.h>
#include "store_engine.h"

#define PG_BUCKETS 256u /* of prepared statements; a power of two */

enum { PG_DOWN, PG_CONNECTING, PG_SETTING_UP, PG_READY };

struct pg_connection {
	int state;
	PGconn *pg;
	struct pg_watch *watch;
	struct store_queue under_way; /* jobs sent, oldest first */
	struct pg_step *first, *last; /* what the server is going to answer, in order */
	struct pg_statement *prepared[PG_BUCKETS];
	uint32_t prepared_count, named;
	uint64_t heard_us;    /* last sign of life, or of our asking */
	uint64_t retry_at_us; /* when down */
	uint32_t failures;
	uint32_t statement_timeout_ms;
	bool settled;             /* the server has taken our settings */
	bool wants_flush, broken; /* what the pool does about it once the current callback is over */
	char reason[256];         /* why it was lost */
};

/* Begins to connect. config as in pbx.yml, already checked; hostaddr may be NULL. */
void pg_connection_open(struct pg_connection *connection, const char *url, const char *hostaddr, uint32_t statement_timeout_ms);
/* Puts a job into the pipeline; pg_connection_flush, after the current callback, sends what was put there. The connection is ready. */
void pg_connection_send(struct pg_connection *connection, struct store_job *job);
void pg_connection_flush(struct pg_connection *connection);
/* The server does not answer any more, or the pool knows another reason to give up. */
void pg_connection_lose(struct pg_connection *connection, const char *reason);
/* Lets go of it; jobs are left in under_way for the pool to give back. */
void pg_connection_close(struct pg_connection *connection);

/* The pool hears how a connection is. lost: it is closed, why is in .reason. */
void pg_pool_ready(struct pg_connection *connection);
void pg_pool_lost(struct pg_connection *connection);
void pg_pool_flush_soon(void);

/* ---- values (store_pg_values.c) ---- */

struct pg_params {
	uint32_t count;
	const char **values;
	int *lengths, *formats;
	char *numbers;
};

int pg_params_make(struct pg_params *params, const struct store_statement *statement); /* PBX_OK, PBX_ENOMEM */
void pg_params_free(struct pg_params *params);
void pg_rows_read(struct store_rows *rows, const PGresult *result); /* into the job's result */
int pg_status(const char *sqlstate);                                /* PBX_E… of an error's code; NULL: the connection's own */
bool pg_may_repeat(const PGresult *result);                         /* nothing was done, and a second try may succeed */
