/*
 * bus_log.c - the event log: numbers without a gap, and every event in the store
 *
 * Numbers are given on the loop and continue after the highest in the table, once the store is up and its journal has
 * been replayed. Events are written as records, several in one statement; a few statements may be under way, and while
 * they are, more events gather. "Stored" is the number up to which all are safe. The latest stay in memory for followers
 * that keep up; the rest is read back in windows.
 *
 * An event that is written twice, because nobody knows whether the first time succeeded, is there once. But a number that
 * somebody else's event has, since another daemon writes into the same table, is no such thing: the statement is refused
 * as a whole, and when nothing is under way any more the table is asked and what is not in it gets new numbers at its end.
 */
#include <string.h>
#include "bus_internal.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "store_engine.h"
#include "timer.h"

#define ROW_PARAMS 8u
#define INSERT_HEAD "INSERT INTO event_log (seq, id, type, owner, wall_us, call_id, linked_id, data) VALUES "
/* Ours once more changes nothing. Somebody else's there: there is no id for such a row, and a row without one is refused. */
#define INSERT_TAIL " ON CONFLICT (seq) DO UPDATE SET id = CASE WHEN event_log.id = excluded.id THEN event_log.id END"
#define BATCH_ROWS 64u  /* of one statement */
#define BATCHES_MOST 4u /* under way */
#define UNWRITTEN_MOST 65536u
#define RECENT 1024u /* in memory; a power of two */
#define RETRY_MS 1000u
#define PRUNE_ROWS 1000

/* Events of one statement, in the order of their numbers. */
struct batch {
	struct batch *next;
	struct bus_event *events[BATCH_ROWS];
	uint32_t count;
	bool under_way, stored, failed;
	bool orphaned; /* the bus has ended while it was under way */
};

static struct {
	bool has_numbers;
	int64_t last_seq, stored_seq;
	struct bus_event *first, *last; /* not in a batch yet */
	uint32_t unwritten, batch_count;
	struct batch *batches; /* oldest first */
	struct bus_event *recent[RECENT];
	pbx_timer retry;
	bool retrying;
	bool doubted; /* a statement was refused for what it says: nothing is sent until it is known why */
	bool judging; /* the table is being asked */
	void (*attached)(void *context, int result);
	void *attached_context;
} events;

bool bus_log_has_numbers(void)
{
	return events.has_numbers;
}

bool bus_log_is_full(void)
{
	return events.unwritten >= UNWRITTEN_MOST;
}

int64_t bus_log_next_seq(void)
{
	return ++events.last_seq;
}

int64_t bus_log_last_seq(void)
{
	return events.last_seq;
}

int64_t bus_log_stored_seq(void)
{
	return events.stored_seq;
}

struct bus_event *bus_log_recent(int64_t seq)
{
	struct bus_event *event = events.recent[(uint64_t)seq & (RECENT - 1)];

	return event && event->event.seq == seq ? event : NULL;
}

void bus_log_append(struct bus_event *event)
{
	event->next = NULL;
	if (events.last)
		events.last->next = event;
	else
		events.first = event;
	events.last = event;
	events.unwritten++;
}

/* ---- writing ---- */

static void batch_free(struct batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++)
		bus_event_unref(batch->events[i]);
	free(batch);
}

/* What is safe is told, and stays at hand for followers. */
static void remember_one(struct bus_event *event)
{
	struct bus_event **place = &events.recent[(uint64_t)event->event.seq & (RECENT - 1)];

	bus_event_unref(*place);
	*place = bus_event_ref(event);
	events.stored_seq = event->event.seq;
	bus_tell_stored(event);
}

static void remember(struct batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++)
		remember_one(batch->events[i]);
}

static void on_retry(void *self, pbx_timer timer)
{
	(void)self;
	(void)timer;
	events.retrying = false;
	bus_log_flush();
}

static void retry_later(void)
{
	if (events.retrying)
		return;
	events.retrying = core_timer_start(core_self(), RETRY_MS, 0, on_retry, NULL, &events.retry) == PBX_OK;
}

/* ---- numbers that are somebody else's ---- */

/* The highest number, and what the table has of a time and of a range of numbers. The time is that of our events: under whatever number. */
#define PRESENT_SQL                                                                                                                        \
	"SELECT MAX(seq) AS seq, '' AS id FROM event_log UNION ALL "                                                                       \
	"SELECT seq, id FROM event_log WHERE (wall_us >= $1 AND wall_us <= $2) OR (seq >= $3 AND seq <= $4)"

static bool is_present(const struct pbx_rows *rows, const struct bus_event *event)
{
	for (uint32_t i = 0; i < rows->count; i++)
		if (strcmp(pbx_cell_text(rows, i, 1), event->event.id) == 0)
			return true;
	return false;
}

static bool is_taken(const struct pbx_rows *rows, const struct bus_event *event)
{
	for (uint32_t i = 0; i < rows->count; i++)
		if (*pbx_cell_text(rows, i, 1) && pbx_cell_int(rows, i, 0) == event->event.seq)
			return strcmp(pbx_cell_text(rows, i, 1), event->event.id) != 0;
	return false;
}

static int64_t highest(const struct pbx_rows *rows)
{
	for (uint32_t i = 0; i < rows->count; i++)
		if (!*pbx_cell_text(rows, i, 1))
			return pbx_cell_int(rows, i, 0);
	return 0;
}

static void tell_taken(int64_t from, uint32_t count)
{
	core_log(PBX_LOG_ERROR, "core", NULL, "event_numbers_taken",
		 "from=%lld count=%u: another pbxd writes into this database; these events get new numbers. Give each its own, "
		 "unless both are nodes of one house",
		 (long long)from, count);
}

/* All batches are back. What they brought into the table is safe; the rest goes to the front of what waits, in its order. What was under way
 * at the same time as a refused statement and was taken stays before it: milliseconds, in a log that two write. */
static void take_apart(const struct pbx_rows *rows)
{
	struct bus_event *first = NULL, **end = &first;

	for (struct batch *batch; (batch = events.batches);) {
		events.batches = batch->next;
		events.batch_count--;
		for (uint32_t i = 0; i < batch->count; i++) {
			struct bus_event *event = batch->events[i];

			if (batch->stored || is_present(rows, event)) {
				events.unwritten--;
				remember_one(event);
				continue;
			}
			batch->events[i] = NULL; /* its reference is the list's */
			*end = event;
			event->next = NULL;
			end = &event->next;
			if (!events.first)
				events.last = event;
		}
		batch_free(batch);
	}
	*end = events.first;
	events.first = first ? first : events.first;
}

static void number_again(int64_t last_seq)
{
	if (last_seq > events.stored_seq)
		events.last_seq = last_seq;
	else
		events.last_seq = events.stored_seq;
	for (struct bus_event *event = events.first; event; event = event->next)
		event->event.seq = bus_log_next_seq();
	bus_number_again();
}

static const struct bus_event *first_taken(const struct pbx_rows *rows, uint32_t *ret_count)
{
	const struct bus_event *first = NULL;

	*ret_count = 0;
	for (const struct batch *batch = events.batches; batch; batch = batch->next)
		for (uint32_t i = 0; batch->failed && i < batch->count; i++)
			if (is_taken(rows, batch->events[i])) {
				first = first ? first : batch->events[i];
				++*ret_count;
			}
	return first;
}

static void on_judged(void *self, const struct pbx_rows *rows)
{
	uint32_t count;

	(void)self;
	if (!events.judging) /* the bus has ended meanwhile */
		return;
	events.judging = events.doubted = false;

	const struct bus_event *taken = rows->status == PBX_OK ? first_taken(rows, &count) : NULL;
	if (!taken) {
		retry_later();
		return;
	}
	tell_taken(taken->event.seq, count);
	take_apart(rows);
	number_again(highest(rows));
	bus_follow_stored();
	bus_log_flush();
}

/* When nothing is under way: whose are the numbers that were refused? */
static void judge(void)
{
	int64_t from_us = INT64_MAX, to_us = INT64_MIN, from = INT64_MAX, to = INT64_MIN;

	if (events.judging)
		return;
	for (const struct batch *batch = events.batches; batch; batch = batch->next) {
		if (batch->under_way)
			return;
		for (uint32_t i = 0; batch->failed && i < batch->count; i++) {
			const struct pbx_event *event = &batch->events[i]->event;

			from_us = event->wall_us < from_us ? event->wall_us : from_us;
			to_us = event->wall_us > to_us ? event->wall_us : to_us;
			from = event->seq < from ? event->seq : from;
			to = event->seq > to ? event->seq : to;
		}
	}

	const struct pbx_value params[] = { PBX_V_INT(from_us), PBX_V_INT(to_us), PBX_V_INT(from), PBX_V_INT(to) };
	events.judging = core_store_run(core_self(), PRESENT_SQL, params, 4, on_judged, NULL) == PBX_OK;
	if (!events.judging)
		retry_later();
}

/* ---- writing, and what comes of it ---- */

static void on_written(void *self, const struct pbx_rows *rows)
{
	struct batch *batch = self;

	if (batch->orphaned) {
		batch_free(batch);
		return;
	}
	batch->under_way = false;
	batch->stored = rows->status == PBX_OK;
	batch->failed = !batch->stored;
	if (batch->failed) {
		core_log(PBX_LOG_ERROR, "core", NULL, "events_not_stored", "from=%lld count=%u error=\"%s\"",
			 (long long)batch->events[0]->event.seq, batch->count, rows->error);
		if (rows->status == PBX_EINVAL || rows->status == PBX_EEXIST)
			events.doubted = true;
		else
			retry_later();
	}
	while ((batch = events.batches) && batch->stored) {
		events.batches = batch->next;
		events.batch_count--;
		events.unwritten -= batch->count;
		remember(batch);
		batch_free(batch);
	}
	bus_follow_stored();
	if (rows->status == PBX_OK || events.doubted)
		bus_log_flush();
}

/* INSERT … VALUES for 1, 2, 4… BATCH_ROWS rows: seven statements, which stay prepared. */
static const char *insert_sql(uint32_t rows)
{
	static char texts[7][6144];
	char *sql = texts[__builtin_ctz(rows)];

	if (*sql)
		return sql;

	FILE *out = fmemopen(sql, sizeof texts[0], "w");
	if (!out)
		return NULL;
	(void)fputs(INSERT_HEAD, out);
	for (uint32_t i = 0; i < rows; i++) {
		uint32_t p = i * ROW_PARAMS;

		(void)fprintf(out, "%s($%u, $%u, $%u, $%u, $%u, $%u, $%u, $%u)", i ? ", " : "", p + 1, p + 2, p + 3, p + 4, p + 5, p + 6,
			      p + 7, p + 8);
	}
	(void)fputs(INSERT_TAIL, out);
	if (fclose(out) != 0) {
		*sql = '\0';
		return NULL;
	}
	return sql;
}

static void row_params(const struct bus_event *event, const char *data, struct pbx_value *params)
{
	params[0] = PBX_V_INT(event->event.seq);
	params[1] = pbx_v_text(event->event.id);
	params[2] = pbx_v_text(event->event.type);
	params[3] = pbx_v_text(event->event.owner);
	params[4] = PBX_V_INT(event->event.wall_us);
	params[5] = pbx_v_text(event->event.call_id);
	params[6] = pbx_v_text(event->event.linked_id);
	params[7] = pbx_v_text(data);
}

static int batch_write(struct batch *batch)
{
	struct pbx_value params[BATCH_ROWS * ROW_PARAMS];
	char *data[BATCH_ROWS] = { NULL };
	const char *sql = insert_sql(batch->count);
	int err = sql ? PBX_OK : PBX_ENOMEM;

	for (uint32_t i = 0; i < batch->count && err == PBX_OK; i++) {
		data[i] = batch->events[i]->data ? core_json_print(batch->events[i]->data) : NULL;
		if (batch->events[i]->data && !data[i])
			err = PBX_ENOMEM;
		row_params(batch->events[i], data[i] ? data[i] : "{}", params + (size_t)i * ROW_PARAMS);
	}
	if (err == PBX_OK)
		err = core_store_record(core_self(), sql, params, batch->count * ROW_PARAMS, on_written, batch);
	for (uint32_t i = 0; i < batch->count; i++)
		core_json_free_text(data[i]);
	batch->under_way = err == PBX_OK;
	batch->failed = !batch->under_way;
	return err;
}

static struct batch *batch_take(void)
{
	struct batch *batch = calloc(1, sizeof *batch), **at = &events.batches;
	uint32_t waiting = 0;

	if (!batch)
		return NULL;
	for (const struct bus_event *event = events.first; event && waiting < BATCH_ROWS; event = event->next)
		waiting++;
	batch->count = 1;
	while (batch->count * 2 <= waiting)
		batch->count *= 2;
	for (uint32_t i = 0; i < batch->count; i++) {
		batch->events[i] = events.first;
		events.first = events.first->next;
	}
	if (!events.first)
		events.last = NULL;
	while (*at)
		at = &(*at)->next;
	*at = batch;
	events.batch_count++;
	return batch;
}

void bus_log_flush(void)
{
	int err = PBX_OK;

	if (events.doubted) {
		judge();
		return;
	}
	for (struct batch *batch = events.batches; batch && err == PBX_OK; batch = batch->next)
		if (batch->failed)
			err = batch_write(batch);
	while (err == PBX_OK && events.first && events.batch_count < BATCHES_MOST) {
		struct batch *batch = batch_take();

		err = batch ? batch_write(batch) : PBX_ENOMEM;
	}
	if (err != PBX_OK)
		retry_later();
}

/* ---- reading ---- */

int bus_log_read(struct pbx_host *owner, int64_t from, int64_t since_us, pbx_rows_fn done, void *self)
{
	const struct pbx_value params[] = { PBX_V_INT(from), PBX_V_INT(since_us), PBX_V_INT(BUS_WINDOW) };

	return store_read_apart(
		owner,
		"SELECT seq, id, type, owner, wall_us, call_id, linked_id, data FROM event_log WHERE seq > $1 AND wall_us >= $2 "
		"ORDER BY seq LIMIT $3",
		params, 3, done, self);
}

int bus_log_read_call(struct pbx_host *owner, const char *call_id, int64_t from, pbx_rows_fn done, void *self)
{
	const struct pbx_value params[] = { pbx_v_text(call_id), PBX_V_INT(from), PBX_V_INT(BUS_WINDOW) };

	return store_read_apart(
		owner,
		"SELECT seq, id, type, owner, wall_us, call_id, linked_id, data FROM event_log WHERE call_id = $1 AND seq > $2 "
		"ORDER BY seq LIMIT $3",
		params, 3, done, self);
}

struct bus_event *bus_log_event(const struct pbx_rows *rows, uint32_t row)
{
	const struct bus_texts texts = { pbx_cell_text(rows, row, 1), pbx_cell_text(rows, row, 2), pbx_cell_text(rows, row, 3),
					 pbx_cell_text(rows, row, 5), pbx_cell_text(rows, row, 6) };
	const struct pbx_value *data = pbx_cell(rows, row, 7);
	struct pbx_json *json = data->type == PBX_VALUE_TEXT ? core_json_parse(data->as.bytes, data->length, NULL) : NULL;
	struct bus_event *event = bus_event_new(&texts, json);

	if (!event) {
		core_json_free(json);
		return NULL;
	}
	event->event.seq = pbx_cell_int(rows, row, 0);
	event->event.wall_us = pbx_cell_int(rows, row, 4);
	return event;
}

int core_bus_read_call(struct pbx_host *owner, const char *call_id, pbx_rows_fn done, void *self)
{
	const struct pbx_value params[] = { pbx_v_text(call_id) };

	return store_read_apart(owner, "SELECT type, wall_us, linked_id, data FROM event_log WHERE call_id = $1 ORDER BY seq", params, 1,
				done, self);
}

int core_bus_read_unended(struct pbx_host *owner, int64_t seq, const char *begins, const char *ends, pbx_rows_fn done, void *self)
{
	const struct pbx_value params[] = { PBX_V_INT(seq), pbx_v_text(begins), pbx_v_text(ends) };

	return store_read_apart(owner,
				"SELECT b.call_id FROM event_log b WHERE b.seq > $1 AND b.type = $2 AND NOT EXISTS "
				"(SELECT 1 FROM event_log e WHERE e.call_id = b.call_id AND e.type = $3)",
				params, 3, done, self);
}

/* ---- what the journal could not bring back ---- */

/* Events that were safe in the journal while the database was away, and somebody else has taken their numbers there. */
struct returned {
	uint32_t count;
	struct bus_event *events[BATCH_ROWS];
};

static void returned_free(struct returned *returned)
{
	for (uint32_t i = 0; i < returned->count; i++)
		bus_event_unref(returned->events[i]);
	free(returned);
}

static void on_returned(void *self, const struct pbx_rows *rows)
{
	struct returned *returned = self;
	uint32_t count = 0;
	int64_t from = 0;

	for (uint32_t i = 0; rows->status == PBX_OK && i < returned->count; i++) {
		struct bus_event *event = returned->events[i];

		if (is_present(rows, event))
			continue;
		if (count++ == 0)
			from = event->event.seq;
		event->event.seq = 0;
		bus_place_again(bus_event_ref(event));
	}
	if (count)
		tell_taken(from, count);
	returned_free(returned); /* if the table did not answer: they are in refused.journal, as the log has said */
}

static const char *text_of(const struct pbx_value *value)
{
	return value->type == PBX_VALUE_TEXT ? value->as.bytes : "";
}

static struct bus_event *event_of(const struct pbx_value *params)
{
	const struct bus_texts texts = { text_of(&params[1]), text_of(&params[2]), text_of(&params[3]), text_of(&params[5]),
					 text_of(&params[6]) };
	struct pbx_json *data = core_json_parse(text_of(&params[7]), params[7].type == PBX_VALUE_TEXT ? params[7].length : 0, NULL);
	struct bus_event *event = bus_event_new(&texts, data);

	if (!event) {
		core_json_free(data);
		return NULL;
	}
	event->event.seq = params[0].as.integer;
	event->event.wall_us = params[4].as.integer;
	return event;
}

/* A crash may have us hear of the same twice, so the table is asked first. */
static void on_refused(const struct pbx_statement *statement)
{
	int64_t from_us = INT64_MAX, to_us = INT64_MIN;

	if (strncmp(statement->sql, INSERT_HEAD, strlen(INSERT_HEAD)) != 0 || statement->param_count > BATCH_ROWS * ROW_PARAMS)
		return;
	struct returned *returned = calloc(1, sizeof *returned);

	for (uint32_t at = 0; returned && at + ROW_PARAMS <= statement->param_count; at += ROW_PARAMS) {
		struct bus_event *event = event_of(statement->params + at);

		if (!event)
			continue;
		from_us = event->event.wall_us < from_us ? event->event.wall_us : from_us;
		to_us = event->event.wall_us > to_us ? event->event.wall_us : to_us;
		returned->events[returned->count++] = event;
	}

	const struct pbx_value params[] = { PBX_V_INT(from_us), PBX_V_INT(to_us), PBX_V_INT(0), PBX_V_INT(0) };
	if (returned && store_read_apart(core_self(), PRESENT_SQL, params, 4, on_returned, returned) != PBX_OK)
		returned_free(returned);
}

/* ---- where the numbers continue ---- */

static void attach_end(int result)
{
	if (result == PBX_OK) {
		events.has_numbers = true;
		events.stored_seq = events.last_seq;
		bus_release();
		bus_follow_stored();
	}
	events.attached(events.attached_context, result);
}

static void on_positions(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status == PBX_OK)
		bus_follow_load(rows);
	attach_end(rows->status);
}

static void on_last_seq(void *self, const struct pbx_rows *rows)
{
	int err = rows->status;

	(void)self;
	if (err == PBX_OK) {
		events.last_seq = rows->count ? pbx_cell_int(rows, 0, 0) : 0;
		err = core_store_run(core_self(), "SELECT owner, name, seq FROM event_followers", NULL, 0, on_positions, NULL);
	}
	if (err != PBX_OK)
		attach_end(err);
}

static void on_whole(void *context)
{
	int err = core_store_run(core_self(), "SELECT MAX(seq) FROM event_log", NULL, 0, on_last_seq, NULL);

	(void)context;
	if (err != PBX_OK)
		attach_end(err);
}

void core_bus_attach_store(void (*done)(void *context, int result), void *context)
{
	events.attached = done;
	events.attached_context = context;
	if (store_when_whole(on_whole, NULL) != PBX_OK)
		attach_end(PBX_ENOMEM);
}

/* ---- forgetting ---- */

struct pruning {
	int64_t before_us, forgotten;
	void (*done)(void *context, int result, int64_t forgotten);
	void *context;
};

static void prune_some(struct pruning *pruning);

static void prune_end(struct pruning *pruning, int result)
{
	if (pruning->done)
		pruning->done(pruning->context, result, pruning->forgotten);
	free(pruning);
}

static void on_pruned(void *self, const struct pbx_rows *rows)
{
	struct pruning *pruning = self;

	pruning->forgotten += rows->changed;
	if (rows->status == PBX_OK && rows->changed == PRUNE_ROWS)
		prune_some(pruning);
	else
		prune_end(pruning, rows->status);
}

/* A few at a time, so that what is being written does not wait for long. */
static void prune_some(struct pruning *pruning)
{
	const struct pbx_value params[] = { PBX_V_INT(pruning->before_us), PBX_V_INT(events.stored_seq), PBX_V_INT(PRUNE_ROWS) };
	int err = core_store_run(
		core_self(),
		"DELETE FROM event_log WHERE seq IN (SELECT seq FROM event_log WHERE wall_us < $1 AND seq < $2 ORDER BY seq LIMIT $3)",
		params, 3, on_pruned, pruning);

	if (err != PBX_OK)
		prune_end(pruning, err);
}

void core_bus_prune(int64_t before_wall_us, void (*done)(void *context, int result, int64_t forgotten), void *context)
{
	struct pruning *pruning = calloc(1, sizeof *pruning);

	if (!pruning) {
		if (done)
			done(context, PBX_ENOMEM, 0);
		return;
	}
	*pruning = (struct pruning){ .before_us = before_wall_us, .done = done, .context = context };
	prune_some(pruning);
}

/* ---- life ---- */

int bus_log_init(void)
{
	memset(&events, 0, sizeof events);
	store_on_refused(on_refused);
	return PBX_OK;
}

void bus_log_fini(void)
{
	events.judging = false;
	store_on_refused(NULL);
	if (events.retrying)
		(void)core_timer_stop(events.retry);
	for (struct bus_event *event; (event = events.first);) {
		events.first = event->next;
		bus_event_unref(event);
	}
	for (struct batch *batch; (batch = events.batches);) {
		events.batches = batch->next;
		batch->orphaned = batch->under_way;
		if (!batch->orphaned)
			batch_free(batch);
	}
	for (uint32_t i = 0; i < RECENT; i++)
		bus_event_unref(events.recent[i]);
}
