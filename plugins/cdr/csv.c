/*
 * csv - a record as a line of comma-separated values (RFC 4180), the same for an export and for the daily files
 *
 * A cell that a spreadsheet would run as a formula gets an apostrophe before it: whoever calls chooses their own name. Numbers, "+49…"
 * and "-3" among them, stay as they are, so that a billing system reads what was dialled.
 */
#include "cdr.h"
#include <csv.h>
#include <string.h>

const char *const csv_columns[] = { "id",         "linked_id",  "sequence",    "direction",  "from_number", "from_name", "to_number",
				    "dialled",    "started_at", "answered_at", "ended_at",   "disposition", "cause",     "hangup_by",
				    "sip_code",   "ring_ms",    "duration_ms", "billsec_ms", "hold_ms",     "park_ms",   "account_code",
				    "user_field", "call_id",    "device",      "q850_cause", "pdd_ms",      "trunk_id",  "trunk_from",
				    "trunk_to",   "fields",     NULL };

#define ONE_FIELD "fields."
#define CELL_SIZE 12288 /* sixteen fields, with a backslash before half of what is in them */

bool csv_has_column(const char *name)
{
	for (const char *const *column = csv_columns; *column; column++)
		if (strcmp(*column, name) == 0)
			return true;
	return strncmp(name, ONE_FIELD, strlen(ONE_FIELD)) == 0 && fields_is_name(name + strlen(ONE_FIELD));
}

static const struct pbx_json *value_of(const struct pbx_jsons *json, const struct pbx_json *record, const char *column)
{
	if (strncmp(column, ONE_FIELD, strlen(ONE_FIELD)) == 0)
		return json->get(json->get(record, "fields"), column + strlen(ONE_FIELD));
	return json->get(record, column);
}

static bool is_formula(const char *text)
{
	if (!text[0] || !strchr("=+-@\t\r\n", text[0]))
		return false;
	return (text[0] != '+' && text[0] != '-') || text[1] == '\0' || text[1 + strspn(text + 1, "0123456789")] != '\0';
}

/* A line break within a cell would tear the file's lines for whoever reads it by line. */
static void write_text(FILE *out, const char *text)
{
	char cell[CELL_SIZE];
	size_t length = (size_t)snprintf(cell, sizeof cell, "%s%s", is_formula(text) ? "'" : "", text);

	if (length >= sizeof cell)
		length = sizeof cell - 1;
	for (size_t i = 0; i < length; i++)
		if (cell[i] == '\r' || cell[i] == '\n')
			cell[i] = ' ';
	(void)csv_fwrite(out, cell, length);
}

static void write_object(FILE *out, const struct pbx_jsons *json, const struct pbx_json *object)
{
	char *text = json->print(object);

	if (text)
		write_text(out, text);
	json->free_text(text);
}

void csv_write_head(FILE *out, const char *const *columns)
{
	for (const char *const *column = columns; *column; column++)
		(void)fprintf(out, "%s%s", column == columns ? "" : ",", *column);
	(void)fputs("\r\n", out);
}

void csv_write_record(FILE *out, const char *const *columns, const struct pbx_jsons *json, const struct pbx_json *record)
{
	for (const char *const *column = columns; *column; column++) {
		const struct pbx_json *value = value_of(json, record, *column);

		if (column != columns)
			(void)fputc(',', out);
		if (json->type(value) == PBX_JSON_NUMBER)
			(void)fprintf(out, "%lld", (long long)json->integer(value, 0));
		else if (json->text(value))
			write_text(out, json->text(value));
		else if (json->count(value) > 0)
			write_object(out, json, value);
	}
	(void)fputs("\r\n", out);
}
