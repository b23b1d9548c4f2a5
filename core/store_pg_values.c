/*
 * store_pg_values.c - our values and errors in PostgreSQL's words, and back
 *
 * Parameters travel as text, whose type the server infers from where they stand, and bytes as they are. Results are text,
 * and their type's number says what they are to us.
 */
#include <inttypes.h>
#include <string.h>
#include "store_postgres.h"

/* Numbers of types, fixed for ever (pg_type.dat). */
#define OID_BOOL 16u
#define OID_BYTEA 17u
#define OID_INT8 20u
#define OID_INT2 21u
#define OID_INT4 23u
#define OID_OID 26u
#define OID_FLOAT4 700u
#define OID_FLOAT8 701u
#define OID_NUMERIC 1700u

#define NUMBER_SIZE 32u

int pg_params_make(struct pg_params *params, const struct store_statement *statement)
{
	uint32_t room = statement->count ? statement->count : 1;

	*params = (struct pg_params){ .count = statement->count };
	params->values = calloc(room, sizeof *params->values);
	params->lengths = calloc(room, sizeof *params->lengths);
	params->formats = calloc(room, sizeof *params->formats);
	params->numbers = calloc(room, NUMBER_SIZE);
	if (!params->values || !params->lengths || !params->formats || !params->numbers) {
		pg_params_free(params);
		return PBX_ENOMEM;
	}
	for (uint32_t i = 0; i < statement->count; i++) {
		const struct pbx_value *value = &statement->params[i];
		char *number = params->numbers + (size_t)i * NUMBER_SIZE;

		if (value->type == PBX_VALUE_INT)
			(void)snprintf(number, NUMBER_SIZE, "%" PRId64, value->as.integer);
		else if (value->type == PBX_VALUE_NUMBER)
			(void)snprintf(number, NUMBER_SIZE, "%.17g", value->as.number);
		if (value->type == PBX_VALUE_INT || value->type == PBX_VALUE_NUMBER)
			params->values[i] = number;
		else if (value->type != PBX_VALUE_NULL)
			params->values[i] = value->as.bytes;
		params->lengths[i] = (int)value->length;
		params->formats[i] = value->type == PBX_VALUE_BYTES;
	}
	return PBX_OK;
}

void pg_params_free(struct pg_params *params)
{
	free(params->values);
	free(params->lengths);
	free(params->formats);
	free(params->numbers);
	*params = (struct pg_params){ 0 };
}

static int add_bytes(struct store_rows *rows, const char *text)
{
	size_t length = 0;
	unsigned char *bytes = PQunescapeBytea((const unsigned char *)text, &length);

	if (!bytes)
		return PBX_ENOMEM;
	int err = store_rows_add(rows, PBX_VALUE_BYTES, bytes, length);
	PQfreemem(bytes);
	return err;
}

/* SUM() and its like are "numeric" there: whole ones are integers to us, as they are in SQLite. */
static struct pbx_value numeric(const char *text)
{
	char *end;
	long long whole = strtoll(text, &end, 10);

	if (*end == '\0' && strlen(text) < 19)
		return PBX_V_INT(whole);
	return PBX_V_NUMBER(strtod(text, NULL));
}

static int add_cell(struct store_rows *rows, const PGresult *result, int row, int column)
{
	const char *text = PQgetvalue(result, row, column);

	if (PQgetisnull(result, row, column))
		return store_rows_add_value(rows, PBX_V_NULL);
	switch (PQftype(result, column)) {
	case OID_BOOL:
		return store_rows_add_value(rows, PBX_V_INT(*text == 't'));
	case OID_INT2:
	case OID_INT4:
	case OID_INT8:
	case OID_OID:
		return store_rows_add_value(rows, PBX_V_INT(strtoll(text, NULL, 10)));
	case OID_FLOAT4:
	case OID_FLOAT8:
		return store_rows_add_value(rows, PBX_V_NUMBER(strtod(text, NULL)));
	case OID_NUMERIC:
		return store_rows_add_value(rows, numeric(text));
	case OID_BYTEA:
		return add_bytes(rows, text);
	default:
		return store_rows_add(rows, PBX_VALUE_TEXT, text, (size_t)PQgetlength(result, row, column));
	}
}

/* What has no columns needs no memory: a change that has happened is not to be said to have failed. */
static int shape(struct store_rows *rows, const PGresult *result)
{
	int columns = PQnfields(result);
	const char **names = columns ? calloc((size_t)columns, sizeof *names) : NULL;

	if (columns && !names)
		return PBX_ENOMEM;
	for (int i = 0; i < columns; i++)
		names[i] = PQfname(result, i);
	int err = store_rows_shape(rows, (uint32_t)columns, names);
	free(names);
	return err;
}

void pg_rows_read(struct store_rows *rows, const PGresult *result)
{
	int err = shape(rows, result), columns = PQnfields(result);
	bool reads = strncmp(PQcmdStatus((PGresult *)(uintptr_t)result), "SELECT", 6) == 0;

	for (int row = 0; row < PQntuples(result) && err == PBX_OK; row++)
		for (int column = 0; column < columns && err == PBX_OK; column++)
			err = add_cell(rows, result, row, column);
	if (err == PBX_OK)
		store_rows_end(rows, reads ? 0 : strtoll(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10));
	else
		store_rows_fail(rows, err, "the rows are too many for the memory");
}

int pg_status(const char *sqlstate)
{
	static const char *const away[] = { "08", "53", "57", "58", "25006", "XX001", "40" };

	if (!sqlstate)
		return PBX_EIO;
	if (strcmp(sqlstate, "23505") == 0)
		return PBX_EEXIST;
	if (strcmp(sqlstate, "08P01") == 0) /* parameters are missing */
		return PBX_EINVAL;
	for (size_t i = 0; i < sizeof away / sizeof away[0]; i++)
		if (strncmp(sqlstate, away[i], strlen(away[i])) == 0)
			return PBX_EIO;
	return PBX_EINVAL;
}

bool pg_may_repeat(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (!state)
		return false;
	/* Deadlock, serialization, a prepared statement that is not there, one whose table has changed. */
	return strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0 || strcmp(state, "26000") == 0 ||
	       (strcmp(state, "0A000") == 0 && strstr(PQresultErrorMessage(result), "cached plan"));
}
