/*
 * store_job.c - a job's memory, and the rows it brings back
 *
 * What an owner asks for is copied into one piece of memory, so that a job is one allocation however many statements it
 * has. Rows are built by whichever thread runs the job: cells in an array that grows, their bytes in chunks that stay
 * where they are.
 */
#include <string.h>
#include "store_engine.h"

#define CHUNK_BYTES 4096u

struct store_chunk {
	struct store_chunk *next;
	size_t used, room;
	char bytes[];
};

void store_queue_put(struct store_queue *queue, struct store_job *job)
{
	job->next = NULL;
	if (queue->last)
		queue->last->next = job;
	else
		queue->first = job;
	queue->last = job;
	queue->count++;
}

struct store_job *store_queue_take(struct store_queue *queue)
{
	struct store_job *job = queue->first;

	if (!job)
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->last = NULL;
	queue->count--;
	job->next = NULL;
	return job;
}

static bool has_bytes(const struct pbx_value *value)
{
	return value->type == PBX_VALUE_TEXT || value->type == PBX_VALUE_BYTES;
}

/* The same text as the one before: an import has thousands of them. */
static bool is_repeated(const struct pbx_statement *statements, uint32_t at)
{
	return at > 0 && statements[at].sql == statements[at - 1].sql;
}

static size_t bytes_of(const struct pbx_statement *statements, uint32_t count)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < count; i++) {
		bytes += is_repeated(statements, i) ? 0 : strlen(statements[i].sql) + 1;
		for (uint32_t p = 0; p < statements[i].param_count; p++)
			if (has_bytes(&statements[i].params[p]))
				bytes += statements[i].params[p].length + 1u;
	}
	return bytes;
}

static char *copy_bytes(char *to, const void *from, size_t length)
{
	if (length)
		memcpy(to, from, length);
	to[length] = '\0';
	return to + length + 1;
}

struct store_job *store_job_new(const struct pbx_statement *statements, uint32_t count)
{
	uint32_t param_count = 0;

	for (uint32_t i = 0; i < count; i++)
		param_count += statements[i].param_count;

	struct store_job *job = malloc(sizeof *job + count * sizeof *job->statements + param_count * sizeof(struct pbx_value) +
				       bytes_of(statements, count));
	if (!job)
		return NULL;
	*job = (struct store_job){ .statements = (struct store_statement *)(job + 1), .count = count };

	struct pbx_value *params = (struct pbx_value *)(job->statements + count);
	char *bytes = (char *)(params + param_count);

	for (uint32_t i = 0; i < count; i++) {
		job->statements[i] = (struct store_statement){ .sql = bytes, .params = params, .count = statements[i].param_count };
		if (is_repeated(statements, i))
			job->statements[i].sql = job->statements[i - 1].sql;
		else
			bytes = copy_bytes(bytes, statements[i].sql, strlen(statements[i].sql));
		for (uint32_t p = 0; p < statements[i].param_count; p++, params++) {
			*params = statements[i].params[p];
			if (!has_bytes(params))
				continue;
			params->as.bytes = bytes;
			bytes = copy_bytes(bytes, statements[i].params[p].as.bytes, params->length);
		}
	}
	store_rows_clear(&job->result);
	return job;
}

void store_job_free(struct store_job *job)
{
	if (!job)
		return;
	store_rows_clear(&job->result);
	free(job);
}

void store_rows_clear(struct store_rows *rows)
{
	for (struct store_chunk *chunk = rows->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(rows->cells);
	free(rows->names);
	*rows = (struct store_rows){ .rows = { .size = sizeof rows->rows } };
	rows->rows.error = rows->error;
}

/* Room that stays where it is until the rows are cleared. */
static char *rows_bytes(struct store_rows *rows, size_t length)
{
	struct store_chunk *chunk = rows->chunks;

	if (!chunk || chunk->room - chunk->used < length) {
		size_t room = length > CHUNK_BYTES ? length : CHUNK_BYTES;

		chunk = malloc(sizeof *chunk + room);
		if (!chunk)
			return NULL;
		*chunk = (struct store_chunk){ .next = rows->chunks, .room = room };
		rows->chunks = chunk;
	}
	chunk->used += length;
	return chunk->bytes + chunk->used - length;
}

int store_rows_shape(struct store_rows *rows, uint32_t columns, const char *const *names)
{
	store_rows_clear(rows);
	rows->names = columns ? calloc(columns, sizeof *rows->names) : NULL;
	if (columns && !rows->names)
		return PBX_ENOMEM;

	for (uint32_t i = 0; i < columns; i++) {
		size_t length = strlen(names[i]);
		char *name = rows_bytes(rows, length + 1);

		if (!name)
			return PBX_ENOMEM;
		(void)copy_bytes(name, names[i], length);
		rows->names[i] = name;
	}
	rows->rows.columns = columns;
	rows->rows.names = rows->names;
	return PBX_OK;
}

int store_rows_add_value(struct store_rows *rows, struct pbx_value value)
{
	if (rows->used == rows->room) {
		uint32_t room = rows->room ? rows->room * 2 : 16;
		struct pbx_value *cells = reallocarray(rows->cells, room, sizeof *cells);

		if (!cells)
			return PBX_ENOMEM;
		rows->cells = cells;
		rows->room = room;
	}
	rows->cells[rows->used++] = value;
	return PBX_OK;
}

int store_rows_add(struct store_rows *rows, uint32_t type, const void *bytes, size_t length)
{
	if (length >= UINT32_MAX)
		return PBX_ENOMEM;

	char *copy = rows_bytes(rows, length + 1);
	if (!copy)
		return PBX_ENOMEM;

	(void)copy_bytes(copy, bytes, length);
	return store_rows_add_value(rows, (struct pbx_value){ .type = type, .length = (uint32_t)length, .as = { .bytes = copy } });
}

void store_rows_fail(struct store_rows *rows, int status, const char *error)
{
	store_rows_clear(rows);
	rows->rows.status = status;
	(void)snprintf(rows->error, sizeof rows->error, "%s", error ? error : "");
	for (size_t end = strlen(rows->error); end && rows->error[end - 1] == '\n'; end--)
		rows->error[end - 1] = '\0';
}

void store_rows_end(struct store_rows *rows, int64_t changed)
{
	rows->rows.count = rows->rows.columns ? rows->used / rows->rows.columns : 0;
	rows->rows.cells = rows->cells;
	rows->rows.changed = changed;
}
