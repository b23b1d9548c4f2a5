/* pbx/store.h - tables in SQLite or PostgreSQL, asked asynchronously
 * Served by the core as "pbx.store/1". All of it: [loop].
 *
 * One SQL text serves both engines. The dialect: parameters $1…$n; types INTEGER (64 bit), DOUBLE PRECISION, TEXT, BLOB (bytes) and
 * BOOLEAN (0 and 1); times as INTEGER microseconds since 1970 UTC; ids as TEXT (ULID) or INTEGER; ON CONFLICT … DO UPDATE/NOTHING,
 * RETURNING, LIMIT/OFFSET; no engine's own functions. A plugin's tables begin with its name: parking_slots.
 *
 * The engines agree when conditions name what they compare: "enabled = 1", not "enabled" or "enabled = TRUE" (in CREATE TABLE, DEFAULT TRUE is
 * fine). TEXT is ordered by its bytes and LIKE minds case on both. Tables are made in migrations, where the names of types are known to each. */
#pragma once
#include <pbx/plugin.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_VALUE_NULL 0u
#define PBX_VALUE_INT 1u
#define PBX_VALUE_NUMBER 2u
#define PBX_VALUE_TEXT 3u /* as.bytes: UTF-8, and in results a zero follows */
#define PBX_VALUE_BYTES 4u

/* A parameter or a cell. They stand in arrays without a row size, so this never grows: another kind of value is another type. */
struct pbx_value {
	uint32_t type, length; /* length: TEXT and BYTES */
	union {
		int64_t integer;
		double number;
		const char *bytes;
	} as;
};

#define PBX_V_NULL ((struct pbx_value){ .type = PBX_VALUE_NULL, .length = 0, .as = { .integer = 0 } })
#define PBX_V_INT(value) ((struct pbx_value){ .type = PBX_VALUE_INT, .length = 0, .as = { .integer = (value) } })
#define PBX_V_NUMBER(value) ((struct pbx_value){ .type = PBX_VALUE_NUMBER, .length = 0, .as = { .number = (value) } })

/* NULL text is SQL NULL. The bytes are copied by the call that gets them. */
static inline struct pbx_value pbx_v_text(const char *text)
{
	struct pbx_value value = PBX_V_NULL;

	if (text) {
		value.type = PBX_VALUE_TEXT;
		value.as.bytes = text;
		value.length = (uint32_t)strlen(text);
	}
	return value;
}

/* What came back. Borrowed until the callback returns. */
struct pbx_rows {
	uint32_t size;
	int32_t status;          /* PBX_OK; PBX_EEXIST (unique), PBX_EINVAL (SQL, type), PBX_EIO (engine away), PBX_ECANCELLED */
	const char *error;       /* the engine's sentence when status is not PBX_OK, else "" */
	uint32_t count, columns; /* rows and columns */
	const char *const *names;
	const struct pbx_value *cells; /* row by row */
	int64_t changed;               /* rows inserted, updated or deleted */
};

static inline const struct pbx_value *pbx_cell(const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	return &rows->cells[(size_t)row * rows->columns + column];
}

static inline const char *pbx_cell_text(const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	const struct pbx_value *cell = pbx_cell(rows, row, column);

	return cell->type == PBX_VALUE_TEXT ? cell->as.bytes : "";
}

static inline int64_t pbx_cell_int(const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	const struct pbx_value *cell = pbx_cell(rows, row, column);

	return cell->type == PBX_VALUE_INT ? cell->as.integer : cell->type == PBX_VALUE_NUMBER ? (int64_t)cell->as.number : 0;
}

typedef void (*pbx_rows_fn)(void *self, const struct pbx_rows *rows);

/* In arrays without a row size, too: what a statement may need more is another function's. */
struct pbx_statement {
	const char *sql;
	const struct pbx_value *params;
	uint32_t param_count;
};

struct pbx_store {
	struct pbx_header header;

	/* Runs one statement. done(self, rows) always follows, exactly once, in the order asked (NULL: nobody cares; errors are logged).
	 * PBX_OK, PBX_ENOMEM, PBX_ENOSPC (too many are waiting). */
	int (*run)(struct pbx_host *host, const char *sql, const struct pbx_value *params, uint32_t param_count, pbx_rows_fn done,
		   void *self);

	/* Runs statements in one transaction: all or none; rows are those of the last. Same results. */
	int (*batch)(struct pbx_host *host, const struct pbx_statement *statements, uint32_t count, pbx_rows_fn done, void *self);

	/* For records that must not be lost: written now, or journalled on disk while the engine is away and written in order, once,
	 * when it is back. The statement must be repeatable (ON CONFLICT DO NOTHING, or an UPDATE to fixed values). Same results, but
	 * done tells PBX_OK as soon as the record is safe in the table or the journal. */
	int (*record)(struct pbx_host *host, const char *sql, const struct pbx_value *params, uint32_t param_count, pbx_rows_fn done,
		      void *self);

	/* Whether the engine answers now. */
	bool (*is_up)(struct pbx_host *host);
};

PBX_SERVICE(pbx_store, "pbx.store/1")

#ifdef __cplusplus
}
#endif
