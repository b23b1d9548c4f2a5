/* core/store_engine.h - what the files of the store know of each other
 *
 * store.c          the front: copies what is asked into jobs, keeps each owner's order, tells the answers
 * store_job.c      a job's memory and the rows it brings back
 * store_sql.c      looks at SQL text: kind of statement, splitting a script, PostgreSQL's names of our types
 * store_sqlite.c   an engine: SQLite in threads
 * store_postgres.c, store_pg_connection.c, store_pg_values.c   the other: a pool of PostgreSQL connections on the loop
 * store_journal.c  records on disk while the engine is away; store_journal_replay.c, their way back; store_journal_file.c, what they look
 *                  like there
 * store_migrate.c  schema steps
 *
 * A job belongs to one thread at a time: the loop hands it to an engine, which may pass it to a thread of its own, and gets it back
 * by store_finish() or store_finish_soon(). All of it [loop] but the row builders, which run wherever the job is. */
#pragma once
#include "store.h"
#include "auto.h"
#include "loop.h"

struct store_line;

struct store_statement {
	const char *sql;
	struct pbx_value *params;
	uint32_t count;
};

/* Rows in the making: the cells' bytes live in chunks that never move. */
struct store_rows {
	struct pbx_rows rows;
	struct pbx_value *cells;
	const char **names;
	uint32_t used, room;
	struct store_chunk *chunks;
	char error[256];
};

struct store_job {
	struct store_job *next;  /* in the engine's or the journal's queue */
	struct store_job *later; /* the next of its line, in the order asked */
	struct store_line *line;
	struct core_post_node answered; /* store_finish_soon's */
	pbx_rows_fn done;
	void *self;
	struct store_statement *statements; /* in the same piece of memory */
	uint32_t count;
	bool reads;               /* one SELECT: may run beside a writer */
	bool once;                /* changes tables: not worth, and not safe, to keep prepared */
	bool record;              /* to the journal when the engine cannot take it */
	bool replayed;            /* comes from the journal */
	bool aside;               /* runs on a reader: set by the front */
	bool may_repeat, retried; /* the engine's: nothing was done, a second try may succeed */
	bool finished;
	uint64_t asked_us;
	struct store_rows result;
};

struct store_queue {
	struct store_job *first, *last;
	uint32_t count;
};

void store_queue_put(struct store_queue *queue, struct store_job *job);
struct store_job *store_queue_take(struct store_queue *queue); /* NULL: empty */

/* ---- jobs and rows (store_job.c) ---- */

/* A copy of the statements, all in one piece of memory. NULL: none left. */
struct store_job *store_job_new(const struct pbx_statement *statements, uint32_t count);
void store_job_free(struct store_job *job);
AUTO_FREES(store_job)

void store_rows_clear(struct store_rows *rows);
/* The shape of what follows; copies names. After it the cells come one by one, row by row. PBX_OK, PBX_ENOMEM. */
int store_rows_shape(struct store_rows *rows, uint32_t columns, const char *const *names);
/* bytes are copied; a zero is put behind them. PBX_OK, PBX_ENOMEM. */
int store_rows_add(struct store_rows *rows, uint32_t type, const void *bytes, size_t length);
int store_rows_add_value(struct store_rows *rows, struct pbx_value value); /* NULL, INT, NUMBER */
/* Nothing but this sentence remains. */
void store_rows_fail(struct store_rows *rows, int status, const char *error);
/* Everything is in: count and changed are told. */
void store_rows_end(struct store_rows *rows, int64_t changed);

/* ---- engines ---- */

struct store_engine {
	const char *name;
	bool reads_aside; /* has readers: a job with .aside may run there */
	bool has_types;   /* checks types: migrations must use its names for ours */
	/* Begins. The front hears of it by store_is_up(). PBX_OK, or why it never can; reason is written then. */
	int (*open)(const struct core_store_config *config, char *reason, size_t reason_size);
	/* Takes jobs whenever it is up. Those of one owner that are not aside run in the order given. */
	void (*submit)(struct store_job *job);
	/* Gives back by store_finish() what it still has, with PBX_ECANCELLED, and lets go of everything. */
	void (*close)(void);
};

extern const struct store_engine store_sqlite;
extern const struct store_engine store_postgres;

/* An engine tells how it is. up: jobs may come. Not up: it has finished all it had with PBX_EIO. */
void store_is_up(void);
void store_is_away(const char *reason);
/* It can never serve: the file is no database. */
void store_is_broken(int result, const char *reason);
void store_reconnected(void); /* counted */
/* A job is back, its result filled in. */
void store_finish(struct store_job *job);
/* The same from any thread: the loop hears of it in its next round. [any] */
void store_finish_soon(struct store_job *job);

/* Where an engine with several connections keeps the one a line's jobs are on; NULL while none of them is under way. So they stay in order. */
void **store_job_lane(struct store_job *job);

/* ---- the front, for its neighbours ---- */

bool store_engine_has_types(void);
/* As core_store_batch, for a job made and marked by a neighbour, which is taken whatever is answered. */
int store_ask(struct pbx_host *owner, struct store_job *taken, pbx_rows_fn done, void *self);
/* The same in a line of its own: it neither waits for what its owner asked before nor holds up what comes after. */
int store_ask_apart(struct pbx_host *owner, struct store_job *taken, pbx_rows_fn done, void *self);
/* As core_store_run for a SELECT that need not see its owner's unfinished writes and does not wait for them. */
int store_read_apart(struct pbx_host *owner, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done, void *self);
/* The job is done with, for good: its owner is told. The journal calls it for a record it has taken over. */
void store_settle(struct store_job *job);
/* The journal gives a record back to the engine without having written it; if that cannot take it either, it is the journal's again. */
void store_resubmit(struct store_job *job);
/* The engine is up and the journal has been replayed: what the tables say is the whole truth. fn(context) is called once when that is so; it is
 * forgotten when the store is closed. */
bool store_has_everything(void);
int store_when_whole(void (*fn)(void *context), void *context);
void store_is_whole(void); /* the journal has nothing left */

/* ---- the journal (store_journal.c, store_journal_replay.c) ---- */

int store_journal_open(const char *dir); /* NULL: without one. PBX_OK, PBX_EIO, PBX_ENOMEM */
void store_journal_flush(void);          /* writes what it holds, waiting for the disk, and settles it */
void store_journal_close(void);          /* after a flush */
bool store_journal_is_empty(void);
bool store_journal_is_on(void);
/* Takes the job; store_settle() follows when it is safe on disk, or cannot be. */
void store_journal_add(struct store_job *job);
/* The engine is up: what is on disk goes to it, in order. */
void store_journal_replay(void);
/* Who hears of a record that came from the journal and was refused by the engine for what it says, after it has been put aside; the statement is
 * borrowed. One, for as long as the process lives. */
void store_on_refused(void (*fn)(const struct pbx_statement *statement));
struct store_journal_stats {
	uint64_t records, bytes;
	bool disk_full;
};
void store_journal_stats(struct store_journal_stats *ret_stats);

/* ---- SQL as text (store_sql.c). [any] ---- */

bool store_sql_reads(const char *sql);          /* begins with SELECT */
bool store_sql_changes_tables(const char *sql); /* begins with CREATE, ALTER or DROP */
/* The next statement of a script, without its semicolon; *at moves on. NULL: nothing but blanks and comments is left.
 * with_types: INTEGER, BLOB, BOOLEAN and TEXT of CREATE TABLE and ALTER TABLE become PostgreSQL's words. Owned text; *ret_nomem tells
 * whether NULL meant lack of memory. */
char *store_sql_next(const char **at, bool with_types, bool *ret_nomem);
