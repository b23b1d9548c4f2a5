/*
 * store_sqlite.c - SQLite: one thread that writes, a few that read
 *
 * The writer takes everything that waits and commits it as one transaction, so that a hundred small writes cost one
 * commit. A job that fails alone is undone alone; when the transaction itself breaks (a full disk, a key checked at
 * commit) its jobs run again one by one, so that only the guilty fail. Readers run SELECTs beside it on connections of
 * their own (WAL). Each thread owns its connection and its prepared statements; jobs come in by a queue and go back by
 * store_finish_soon().
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store_engine.h"

#define READERS_MOST 16u
#define CACHE_SLOTS 256u         /* prepared statements of a connection; a power of two */
#define GROUP_MOST 512u          /* jobs of one transaction */
#define GATHER_NS 5000000u       /* 5 ms */
#define GATHER_LONG_NS 50000000u /* 50 ms: after a group of at least… */
#define GATHER_LONG_JOBS 8u
#define BUSY_MS 5000

struct cached {
	sqlite3_stmt *stmt;
	uint16_t *places; /* which parameter is bound at each of its places, from 1 */
	uint64_t used;
};

struct connection {
	sqlite3 *db;
	struct cached cache[CACHE_SLOTS];
	uint64_t uses;
};

/* A thread's door. */
struct door {
	uv_mutex_t lock;
	uv_cond_t wake;
	struct store_queue jobs;
	uint32_t impatient;   /* of them: somebody waits for the answer */
	bool gathers;         /* records wait for company: a group costs one commit, and each page it touches is written once */
	uint32_t last_group;  /* jobs that the one before had: where many come, more are worth a longer wait */
	bool idle, gathering; /* what the thread behind the door does */
	bool stopping;
};

static struct {
	char *file;
	uint32_t readers;
	struct door writing, reading;
	uv_thread_t writer, reader[READERS_MOST];
	uint32_t readers_started;
	struct core_post_node opened;
	char broken[256];              /* why it could not be opened */
	_Atomic(sqlite3 *) writing_db; /* to interrupt a long statement when closing */
} sqlite;

static const char *const tuning =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA case_sensitive_like=ON;"
	"PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=16777216; PRAGMA temp_store=MEMORY;";

/* ---- doors ---- */

static int door_init(struct door *door)
{
	if (uv_mutex_init(&door->lock) != 0)
		return PBX_ENOMEM;
	if (uv_cond_init(&door->wake) != 0) {
		uv_mutex_destroy(&door->lock);
		return PBX_ENOMEM;
	}
	door->jobs = (struct store_queue){ 0 };
	door->impatient = 0;
	door->idle = door->gathering = door->stopping = false;
	return PBX_OK;
}

static void door_fini(struct door *door)
{
	uv_cond_destroy(&door->wake);
	uv_mutex_destroy(&door->lock);
}

static void door_put(struct door *door, struct store_job *job)
{
	uv_mutex_lock(&door->lock);
	store_queue_put(&door->jobs, job);
	door->impatient += !job->record;
	bool wake = door->idle || (door->gathering && (!job->record || door->jobs.count == GROUP_MOST));
	uv_mutex_unlock(&door->lock);
	if (wake)
		uv_cond_signal(&door->wake);
}

static void door_shut(struct door *door)
{
	uv_mutex_lock(&door->lock);
	door->stopping = true;
	uv_cond_broadcast(&door->wake);
	uv_mutex_unlock(&door->lock);
}

static void gather(struct door *door)
{
	const uint64_t until_ns = uv_hrtime() + (door->last_group < GATHER_LONG_JOBS ? GATHER_NS : GATHER_LONG_NS);

	door->gathering = true;
	for (uint64_t now_ns; !door->stopping && !door->impatient && door->jobs.count < GROUP_MOST && (now_ns = uv_hrtime()) < until_ns;)
		(void)uv_cond_timedwait(&door->wake, &door->lock, until_ns - now_ns); /* the time is looked at again */
	door->gathering = false;
}

/* Waits for work; at most `most` jobs. None: the door is shut. */
static struct store_queue door_take(struct door *door, uint32_t most)
{
	struct store_queue taken = { 0 };

	uv_mutex_lock(&door->lock);
	door->idle = true;
	while (!door->jobs.first && !door->stopping)
		uv_cond_wait(&door->wake, &door->lock);
	door->idle = false;
	if (door->gathers)
		gather(door);
	while (!door->stopping && door->jobs.first && taken.count < most) {
		struct store_job *job = store_queue_take(&door->jobs);

		door->impatient -= !job->record;
		store_queue_put(&taken, job);
	}
	door->last_group = taken.count;
	uv_mutex_unlock(&door->lock);
	return taken;
}

/* ---- prepared statements ---- */

/* Of a few dozen of its bytes and its length: that tells statements apart, and some have thousands. */
static uint32_t text_hash(const char *text)
{
	size_t length = strlen(text), stride = length / 32 + 1;
	uint32_t hash = 2166136261u ^ (uint32_t)length;

	for (size_t i = 0; i < length; i += stride)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	return hash;
}

/* A slot for this text: the one that has it, a free one of the four it may be in, or the one of them unused for longest. */
static struct cached *cache_slot(struct connection *connection, const char *sql)
{
	uint32_t hash = text_hash(sql);
	struct cached *oldest = NULL;

	for (uint32_t i = 0; i < 4; i++) {
		struct cached *slot = &connection->cache[(hash + i) & (CACHE_SLOTS - 1)];

		if (slot->stmt && strcmp(sqlite3_sql(slot->stmt), sql) == 0)
			return slot;
		if (!oldest || !slot->stmt || (oldest->stmt && slot->used < oldest->used))
			oldest = slot;
	}
	return oldest;
}

static void slot_clear(struct cached *slot)
{
	sqlite3_finalize(slot->stmt);
	free(slot->places);
	*slot = (struct cached){ 0 };
}

/* Parameters are called $1, $2…: to SQLite these are names, to us places. Looked at once: SQLite finds a name by walking along all of them. */
static int find_places(struct cached *slot)
{
	int wanted = sqlite3_bind_parameter_count(slot->stmt);

	slot->places = calloc((size_t)wanted + 1, sizeof *slot->places);
	if (!slot->places)
		return SQLITE_NOMEM;
	for (int at = 1; at <= wanted; at++) {
		const char *name = sqlite3_bind_parameter_name(slot->stmt, at);
		unsigned long place = name && *name == '$' ? strtoul(name + 1, NULL, 10) : 0;

		slot->places[at] = place <= UINT16_MAX ? (uint16_t)place : 0;
	}
	return SQLITE_OK;
}

static int prepared(struct connection *connection, const char *sql, struct cached **ret_slot)
{
	struct cached *slot = cache_slot(connection, sql);

	if (!slot->stmt || strcmp(sqlite3_sql(slot->stmt), sql) != 0) {
		slot_clear(slot);
		int code = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot->stmt, NULL);
		if (code == SQLITE_OK && !slot->stmt)
			code = SQLITE_MISUSE; /* blanks and comments only */
		if (code == SQLITE_OK)
			code = find_places(slot);
		if (code != SQLITE_OK) {
			slot_clear(slot);
			return code;
		}
	}
	slot->used = ++connection->uses;
	*ret_slot = slot;
	return SQLITE_OK;
}

static int bind_all(const struct cached *slot, const struct store_statement *statement)
{
	int wanted = sqlite3_bind_parameter_count(slot->stmt), code = SQLITE_OK;

	for (int at = 1; at <= wanted && code == SQLITE_OK; at++) {
		uint32_t place = slot->places[at];

		if (place == 0 || place > statement->count)
			return SQLITE_RANGE;

		const struct pbx_value *value = &statement->params[place - 1];

		if (value->type == PBX_VALUE_INT)
			code = sqlite3_bind_int64(slot->stmt, at, value->as.integer);
		else if (value->type == PBX_VALUE_NUMBER)
			code = sqlite3_bind_double(slot->stmt, at, value->as.number);
		else if (value->type == PBX_VALUE_TEXT)
			code = sqlite3_bind_text64(slot->stmt, at, value->as.bytes, value->length, SQLITE_STATIC, SQLITE_UTF8);
		else if (value->type == PBX_VALUE_BYTES)
			code = sqlite3_bind_blob64(slot->stmt, at, value->as.bytes, value->length, SQLITE_STATIC);
		else
			code = sqlite3_bind_null(slot->stmt, at);
	}
	return code;
}

/* ---- running ---- */

static int status_of(sqlite3 *db, int code)
{
	int extended = sqlite3_extended_errcode(db);

	switch (code & 0xff) {
	case SQLITE_CONSTRAINT:
		return extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
				       extended == SQLITE_CONSTRAINT_ROWID
			       ? PBX_EEXIST
			       : PBX_EINVAL;
	case SQLITE_NOMEM:
		return PBX_ENOMEM;
	case SQLITE_INTERRUPT:
		return PBX_ECANCELLED;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_PROTOCOL:
		return PBX_EIO;
	default:
		return PBX_EINVAL;
	}
}

static int fail(struct store_rows *rows, sqlite3 *db, int code)
{
	const char *error = code == SQLITE_RANGE ? "a parameter of the statement was not given" : sqlite3_errmsg(db);

	store_rows_fail(rows, status_of(db, code), error);
	return rows->rows.status;
}

static int shape(struct store_rows *rows, sqlite3_stmt *stmt)
{
	const char *names[256];
	int columns = sqlite3_column_count(stmt);

	if (columns > 256)
		return PBX_EINVAL;
	for (int i = 0; i < columns; i++)
		names[i] = sqlite3_column_name(stmt, i) ? sqlite3_column_name(stmt, i) : "";
	return store_rows_shape(rows, (uint32_t)columns, names);
}

static int add_cell(struct store_rows *rows, sqlite3_stmt *stmt, int column)
{
	switch (sqlite3_column_type(stmt, column)) {
	case SQLITE_INTEGER:
		return store_rows_add_value(rows, PBX_V_INT(sqlite3_column_int64(stmt, column)));
	case SQLITE_FLOAT:
		return store_rows_add_value(rows, PBX_V_NUMBER(sqlite3_column_double(stmt, column)));
	case SQLITE_TEXT: {
		const void *text = sqlite3_column_text(stmt, column);
		return store_rows_add(rows, PBX_VALUE_TEXT, text, (size_t)sqlite3_column_bytes(stmt, column));
	}
	case SQLITE_BLOB: {
		const void *bytes = sqlite3_column_blob(stmt, column);
		return store_rows_add(rows, PBX_VALUE_BYTES, bytes, (size_t)sqlite3_column_bytes(stmt, column));
	}
	default:
		return store_rows_add_value(rows, PBX_V_NULL);
	}
}

static int add_row(struct store_rows *rows, sqlite3_stmt *stmt)
{
	int err = PBX_OK, columns = sqlite3_column_count(stmt);

	for (int i = 0; i < columns && err == PBX_OK; i++)
		err = add_cell(rows, stmt, i);
	return err;
}

static int step(struct connection *connection, sqlite3_stmt *stmt, struct store_rows *rows)
{
	int code = sqlite3_step(stmt); /* prepares anew when a table has changed: the columns are known after it */
	int err = shape(rows, stmt);

	while (err == PBX_OK && code == SQLITE_ROW) {
		err = add_row(rows, stmt);
		code = sqlite3_step(stmt);
	}
	if (err != PBX_OK) {
		store_rows_fail(rows, err, "the rows are too many for the memory, or have too many columns");
		return err;
	}
	if (code != SQLITE_DONE)
		return fail(rows, connection->db, code);
	store_rows_end(rows, sqlite3_stmt_readonly(stmt) ? 0 : sqlite3_changes64(connection->db));
	return PBX_OK;
}

static int run_statement(struct connection *connection, const struct store_statement *statement, struct store_rows *rows)
{
	struct cached *slot = NULL;
	int code = prepared(connection, statement->sql, &slot);

	if (code == SQLITE_OK)
		code = bind_all(slot, statement);

	int err = code == SQLITE_OK ? step(connection, slot->stmt, rows) : fail(rows, connection->db, code);
	if (slot) {
		(void)sqlite3_reset(slot->stmt); /* repeats the error that was told already */
		(void)sqlite3_clear_bindings(slot->stmt);
	}
	return err;
}

static int run_job(struct connection *connection, struct store_job *job)
{
	int err = PBX_OK;

	for (uint32_t i = 0; i < job->count && err == PBX_OK; i++)
		err = run_statement(connection, &job->statements[i], &job->result);
	return err;
}

static int command(struct connection *connection, const char *sql)
{
	struct cached *slot = NULL;
	int code = prepared(connection, sql, &slot);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(slot->stmt);
	(void)sqlite3_reset(slot->stmt);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- the writer ---- */

static void rollback(struct connection *connection)
{
	if (!sqlite3_get_autocommit(connection->db))
		(void)command(connection, "ROLLBACK"); /* then the connection closes the transaction by itself */
}

static void run_alone(struct connection *connection, struct store_job *job)
{
	int code = command(connection, "BEGIN IMMEDIATE");

	store_rows_clear(&job->result);
	if (code == SQLITE_OK && run_job(connection, job) == PBX_OK)
		code = command(connection, "COMMIT");
	if (code != SQLITE_OK)
		(void)fail(&job->result, connection->db, code);
	rollback(connection);
}

/* One job of a group. False: the whole transaction is gone. */
static bool run_in_group(struct connection *connection, struct store_job *job)
{
	bool several = job->count > 1; /* a single statement undoes itself when it fails */

	if (several && command(connection, "SAVEPOINT job") != SQLITE_OK)
		return false;

	int err = run_job(connection, job);

	if (sqlite3_get_autocommit(connection->db))
		return false;
	if (several && err != PBX_OK && command(connection, "ROLLBACK TO job") != SQLITE_OK)
		return false;
	return !several || command(connection, "RELEASE job") == SQLITE_OK;
}

/* Nobody may write now, another process has the file for too long: waiting again for each job would only take longer. */
static void fail_group(struct connection *connection, struct store_queue *group, int code)
{
	for (struct store_job *job = group->first; job; job = job->next)
		(void)fail(&job->result, connection->db, code);
}

/* False: the jobs have to run one by one. */
static bool run_group(struct connection *connection, struct store_queue *group)
{
	int code = command(connection, "BEGIN IMMEDIATE");

	if (code != SQLITE_OK) {
		fail_group(connection, group, code);
		return true;
	}

	bool whole = true;

	for (struct store_job *job = group->first; job && whole; job = job->next)
		whole = run_in_group(connection, job);
	whole = whole && command(connection, "COMMIT") == SQLITE_OK;
	rollback(connection);
	return whole;
}

static void run_taken(struct connection *connection, struct store_queue *taken)
{
	bool done = taken->count > 1 && run_group(connection, taken);

	for (struct store_job *job; (job = store_queue_take(taken));) {
		if (!done)
			run_alone(connection, job);
		store_finish_soon(job);
	}
}

static int connection_open(struct connection *connection, bool reads_only)
{
	int code = sqlite3_open_v2(sqlite.file, &connection->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (code != SQLITE_OK)
		return code;
	(void)sqlite3_extended_result_codes(connection->db, 0);
	(void)sqlite3_busy_timeout(connection->db, BUSY_MS);
	code = sqlite3_exec(connection->db, tuning, NULL, NULL, NULL);
	if (code == SQLITE_OK && reads_only)
		code = sqlite3_exec(connection->db, "PRAGMA query_only=ON", NULL, NULL, NULL);
	return code;
}

static void connection_close(struct connection *connection)
{
	for (uint32_t i = 0; i < CACHE_SLOTS; i++)
		slot_clear(&connection->cache[i]);
	(void)sqlite3_close(connection->db); /* nothing is open on it any more */
}

static void start_readers(void);

/* What the writer tells the loop about its opening: a reason when it failed. */
static void on_opened(void *context)
{
	const char *reason = context;

	if (*reason) {
		store_is_broken(PBX_EIO, reason);
	} else {
		start_readers();
		store_is_up();
	}
}

static void tell_opened(const struct connection *connection, int code)
{
	if (code != SQLITE_OK)
		(void)snprintf(sqlite.broken, sizeof sqlite.broken, "%s: %s", sqlite.file,
			       connection->db ? sqlite3_errmsg(connection->db) : sqlite3_errstr(code));
	core_post_node(core_self(), &sqlite.opened, on_opened, sqlite.broken);
}

static void writer(void *unused)
{
	struct connection connection = { 0 };
	int code = connection_open(&connection, false);

	(void)unused;
	if (code == SQLITE_OK)
		atomic_store(&sqlite.writing_db, connection.db);
	tell_opened(&connection, code);

	for (struct store_queue taken; (taken = door_take(&sqlite.writing, GROUP_MOST)).first;)
		run_taken(&connection, &taken);

	atomic_store(&sqlite.writing_db, NULL);
	connection_close(&connection);
}

static void reader(void *unused)
{
	struct connection connection = { 0 };
	int code = connection_open(&connection, true);

	(void)unused;
	for (struct store_queue taken; (taken = door_take(&sqlite.reading, 1)).first;) {
		struct store_job *job = taken.first;

		if (code == SQLITE_OK)
			(void)run_job(&connection, job);
		else
			(void)fail(&job->result, connection.db, code);
		store_finish_soon(job);
	}
	connection_close(&connection);
}

/* Once the writer has made the file. Fewer than wanted is slower, none sends reads to the writer. */
static void start_readers(void)
{
	while (sqlite.readers_started < sqlite.readers && uv_thread_create(&sqlite.reader[sqlite.readers_started], reader, NULL) == 0)
		sqlite.readers_started++;
}

/* ---- the engine ---- */

static int open_doors(void)
{
	int err = door_init(&sqlite.writing);
	sqlite.writing.gathers = true;

	if (err != PBX_OK)
		return err;
	err = door_init(&sqlite.reading);
	if (err != PBX_OK)
		door_fini(&sqlite.writing);
	return err;
}

/* It holds accounts, calls and messages of people: readable by us and our group whatever the umask, also where an older pbxd has made it. Its
 * neighbours are made by SQLite with the same rights. What cannot be done here, opening it will say. */
static void close_to_strangers(const char *file)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	struct stat now;
	char path[4096];

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		(void)snprintf(path, sizeof path, "%s%s", file, parts[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (i ? 0 : O_CREAT), 0640);

		if (fd < 0)
			continue;
		if (fstat(fd, &now) == 0 && S_ISREG(now.st_mode) && (now.st_mode & 0137))
			(void)fchmod(fd, now.st_mode & 0640);
		(void)close(fd);
	}
}

static int sqlite_open(const struct core_store_config *config, char *reason, size_t reason_size)
{
	memset(&sqlite, 0, sizeof sqlite);
	if (!config->file || !*config->file) {
		(void)snprintf(reason, reason_size, "no file is set");
		return PBX_EINVAL;
	}
	sqlite.file = strdup(config->file);
	if (!sqlite.file)
		return PBX_ENOMEM;

	/* A database in memory belongs to one connection. */
	sqlite.readers = strcmp(config->file, ":memory:") == 0 ? 0 : config->readers < READERS_MOST ? config->readers : READERS_MOST;
	if (strcmp(config->file, ":memory:") != 0)
		close_to_strangers(config->file);
	int err = open_doors();
	if (err != PBX_OK) {
		free(sqlite.file);
		return err;
	}
	if (uv_thread_create(&sqlite.writer, writer, NULL) == 0)
		return PBX_OK;

	(void)snprintf(reason, reason_size, "no thread for it");
	door_fini(&sqlite.reading);
	door_fini(&sqlite.writing);
	free(sqlite.file);
	return PBX_ENOMEM;
}

static void sqlite_submit(struct store_job *job)
{
	door_put(job->aside && sqlite.readers_started ? &sqlite.reading : &sqlite.writing, job);
}

static void give_back(struct door *door)
{
	for (struct store_job *job; (job = store_queue_take(&door->jobs));) {
		store_rows_fail(&job->result, PBX_ECANCELLED, "the store is closing");
		store_finish(job);
	}
}

static void sqlite_close(void)
{
	door_shut(&sqlite.reading);
	door_shut(&sqlite.writing);
	sqlite3 *db = atomic_load(&sqlite.writing_db);
	if (db)
		sqlite3_interrupt(db);
	for (uint32_t i = 0; i < sqlite.readers_started; i++)
		(void)uv_thread_join(&sqlite.reader[i]);
	(void)uv_thread_join(&sqlite.writer);
	core_unpost(&sqlite.opened);
	give_back(&sqlite.reading);
	give_back(&sqlite.writing);
	door_fini(&sqlite.reading);
	door_fini(&sqlite.writing);
	free(sqlite.file);
}

const struct store_engine store_sqlite = {
	.name = "sqlite",
	.reads_aside = true,
	.open = sqlite_open,
	.submit = sqlite_submit,
	.close = sqlite_close,
};
