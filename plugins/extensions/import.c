/*
 * import - many extensions from a CSV file (RFC 4180): all of them, or none and every mistake named with its line
 *
 * The first line names the columns: number (needed), name, email, sip_secret, allow_external, caller_id, pickup_group, music_class, language.
 * Numbers that exist are changed, others created; secrets that were made are in the answer, once.
 */
#include "extensions.h"
#include <csv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_ROWS 10000u
#define MOST_COLUMNS 16u
#define MOST_PROBLEMS 50u

enum column { NUMBER, NAME, EMAIL, SIP_SECRET, ALLOW_EXTERNAL, CALLER_ID, PICKUP_GROUP, MUSIC_CLASS, LANGUAGE, COLUMNS };

static const char *const column_names[COLUMNS] = { "number",    "name",         "email",       "sip_secret", "allow_external",
						   "caller_id", "pickup_group", "music_class", "language" };

struct imported {
	struct account account;
	char secret[64];
	bool made;
};

struct import {
	struct extensions *extensions;
	pbx_request request;
	enum column columns[MOST_COLUMNS]; /* of the file, in its order */
	uint32_t column_count, column;     /* named, and where we are in this line */
	uint32_t line;
	char fields[COLUMNS][256];
	bool given[COLUMNS];
	struct imported *rows;
	uint32_t count, size;
	struct pbx_json *problems;
};

static void import_free(struct import *import)
{
	if (!import)
		return;
	if (import->rows)
		explicit_bzero(import->rows, import->size * sizeof *import->rows);
	free(import->rows);
	import->extensions->json->free(import->problems);
	free(import);
}

static void PBX_PRINTF(2, 3) problem(struct import *import, const char *format, ...)
{
	const struct pbx_jsons *json = import->extensions->json;
	char text[512];
	int at = snprintf(text, sizeof text, "line %u: ", import->line);
	va_list args;

	if (json->count(import->problems) >= MOST_PROBLEMS)
		return;
	va_start(args, format);
	(void)vsnprintf(text + at, sizeof text - (size_t)at, format, args);
	va_end(args);
	(void)json->append_text(import->problems, text);
}

/* ---- reading lines -------------------------------------------------------------------- */

static void take_column_name(struct import *import, const char *name)
{
	if (import->column_count == MOST_COLUMNS) {
		problem(import, "there are more than %u columns", MOST_COLUMNS);
		return;
	}
	for (enum column column = 0; column < COLUMNS; column++)
		if (strcasecmp(name, column_names[column]) == 0) {
			import->columns[import->column_count++] = column;
			return;
		}
	problem(import,
		"there is no column \"%s\"; columns are number, name, email, sip_secret, allow_external, caller_id, pickup_group, "
		"music_class, language",
		name);
	import->columns[import->column_count++] = COLUMNS;
}

static void on_field(void *field, size_t length, void *context)
{
	struct import *import = context;
	enum column column;
	char text[256];

	if (length >= sizeof text) {
		problem(import, "a field has more than 255 bytes");
		length = sizeof text - 1;
	}
	memcpy(text, field, length);
	text[length] = '\0';
	if (import->line == 1) {
		take_column_name(import, text);
		return;
	}
	if (import->column >= import->column_count) {
		problem(import, "there are more fields than the first line names");
		return;
	}
	column = import->columns[import->column++];
	if (column < COLUMNS) {
		memcpy(import->fields[column], text, length + 1);
		import->given[column] = true;
	}
}

static struct imported *next_row(struct import *import)
{
	if (import->count == MOST_ROWS)
		return NULL;
	if (import->count == import->size) {
		uint32_t size = import->size ? import->size * 2 : 64;
		struct imported *rows = realloc(import->rows, size * sizeof *rows);

		if (!rows)
			return NULL;
		import->rows = rows;
		import->size = size;
	}
	return &import->rows[import->count++];
}

static bool is_double(const struct import *import, const char *number)
{
	for (uint32_t i = 0; i + 1 < import->count; i++)
		if (strcmp(import->rows[i].account.number, number) == 0)
			return true;
	return false;
}

static void take_flag(struct import *import, const char *text, bool *flag)
{
	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 || strcmp(text, "1") == 0)
		*flag = true;
	else if (strcasecmp(text, "false") == 0 || strcasecmp(text, "no") == 0 || strcmp(text, "0") == 0)
		*flag = false;
	else
		problem(import, "allow_external is \"%s\"; it can be true or false", text);
}

static void seal(struct import *import, struct imported *row, bool exists)
{
	const struct pbx_secrets *secrets = import->extensions->secrets;
	char context[64];

	row->made = !exists && !row->secret[0];
	if (row->made && secrets->random_text(row->secret, ACCOUNT_SECRET_LENGTH) != PBX_OK)
		problem(import, "the system gives no random numbers");
	if (!row->secret[0])
		return;
	if (strlen(row->secret) < 12)
		problem(import, "sip_secret has fewer than 12 characters; leave it empty and a good one is made");
	(void)snprintf(context, sizeof context, "extensions.sip.%s", row->account.number);
	char *sealed = secrets->seal(row->secret, context);
	(void)snprintf(row->account.sip_secret, sizeof row->account.sip_secret, "%s", sealed ? sealed : "");
	secrets->wipe(sealed);
}

/* A field that does not fit is a mistake to be told, never cut. */
static void copy_field(struct import *import, enum column column, char *into, size_t size)
{
	const char *text = import->fields[column];

	if (!import->given[column])
		return;
	if (strlen(text) >= size)
		problem(import, "%s has more than %zu characters", column_names[column], size - 1);
	else
		memcpy(into, text, strlen(text) + 1);
}
#define COPY(column, into) copy_field(import, column, into, sizeof(into))

static void take_row(struct import *import)
{
	struct extensions *extensions = import->extensions;
	const struct account *old = account_find(extensions, import->fields[NUMBER]);
	struct imported *row = next_row(import);
	const char *owner = NULL;
	struct pbx_diag diag;

	if (!row) {
		problem(import, "more than %u lines, or no memory for them", MOST_ROWS);
		return;
	}
	memset(row, 0, sizeof *row);
	if (old)
		row->account = *old;
	else
		row->account.may_call_outside = true, row->account.created_us = extensions->host->wall_us(extensions->host);
	COPY(NUMBER, row->account.number);
	COPY(NAME, row->account.name);
	COPY(EMAIL, row->account.email);
	COPY(CALLER_ID, row->account.caller_id);
	COPY(PICKUP_GROUP, row->account.pickup_group);
	COPY(MUSIC_CLASS, row->account.music_class);
	COPY(LANGUAGE, row->account.language);
	if (import->given[ALLOW_EXTERNAL] && import->fields[ALLOW_EXTERNAL][0])
		take_flag(import, import->fields[ALLOW_EXTERNAL], &row->account.may_call_outside);
	COPY(SIP_SECRET, row->secret);
	row->account.updated_us = extensions->host->wall_us(extensions->host);
	if (account_check(extensions, &row->account, &diag) != PBX_OK)
		problem(import, "%s: %s", diag.field, diag.text);
	else if (is_double(import, row->account.number))
		problem(import, "number %s is in the file twice", row->account.number);
	else if (!old && extensions->routing->owner(row->account.number, &owner) == PBX_OK)
		problem(import, "number %s belongs to %s", row->account.number, owner);
	else
		seal(import, row, old != NULL);
}

static void on_line(int end, void *context)
{
	struct import *import = context;

	(void)end;
	if (import->line == 1) {
		bool named = false;

		for (uint32_t i = 0; i < import->column_count; i++)
			named = named || import->columns[i] == NUMBER;
		if (!named)
			problem(import, "the first line names the columns, and one must be number");
	} else if (import->column > 0) {
		take_row(import);
	}
	import->line++;
	import->column = 0;
	memset(import->given, 0, sizeof import->given);
	memset(import->fields, 0, sizeof import->fields);
}

static void parse(struct import *import, const char *text, size_t size)
{
	struct csv_parser parser;

	if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0) {
		problem(import, "there is no memory");
		return;
	}
	import->line = 1;
	if (csv_parse(&parser, text, size, on_field, on_line, import) != size || csv_fini(&parser, on_field, on_line, import) != 0)
		problem(import, "this is not CSV: %s", csv_strerror(csv_error(&parser)));
	csv_free(&parser);
}

/* ---- storing -------------------------------------------------------------------------- */

static void on_stored(void *self, const struct pbx_rows *rows)
{
	struct import *import = self;
	struct extensions *extensions = import->extensions;
	const struct pbx_jsons *json = extensions->json;
	struct pbx_json *answer, *items;

	if (rows->status != PBX_OK) {
		(void)extensions->requests->fail(import->request, 503, "store_unavailable", NULL, "nothing was imported: %s", rows->error);
		import_free(import);
		edits_go_on(extensions, rows->status);
		return;
	}
	answer = json->new_object();
	items = json->new_array();
	for (uint32_t i = 0; i < import->count; i++) {
		struct imported *row = &import->rows[i];
		struct pbx_json *item = json->new_object();

		if (!account_find(extensions, row->account.number))
			(void)routing_reserve(extensions, row->account.number, NULL); /* it was free when we looked */
		(void)account_put(extensions, &row->account);                         /* without memory it is there after the next start */
		(void)json->set_text(item, "number", row->account.number);
		if (row->made)
			(void)json->set_text(item, "sip_secret", row->secret);
		(void)json->append(items, item);
	}
	(void)json->set_integer(answer, "imported", import->count);
	(void)json->set(answer, "items", items);
	(void)extensions->requests->reply(import->request, 200, answer);
	import_free(import);
	edits_go_on(extensions, PBX_OK);
}

static int store(struct import *import)
{
	struct pbx_statement *statements = calloc(import->count, sizeof *statements);
	struct pbx_value(*values)[ACCOUNT_COLUMNS] = calloc(import->count, sizeof *values);
	int err = PBX_ENOMEM;

	if (statements && values) {
		for (uint32_t i = 0; i < import->count; i++) {
			account_values(&import->rows[i].account, values[i]);
			statements[i] = (struct pbx_statement){ account_upsert_sql, values[i], ACCOUNT_COLUMNS };
		}
		err = import->extensions->store->batch(import->extensions->host, statements, import->count, on_stored, import);
	}
	free(statements);
	free(values);
	return err;
}

static void refuse_problems(struct import *import)
{
	const struct pbx_jsons *json = import->extensions->json;
	char text[2048] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < json->count(import->problems) && at + 1 < sizeof text; i++) {
		int wrote = snprintf(text + at, sizeof text - at, "%s%s", i ? "; " : "", json->text(json->at(import->problems, i)));

		at += wrote > 0 ? (size_t)wrote : 0;
	}
	(void)import->extensions->requests->fail(import->request, 400, "invalid", NULL, "nothing was imported. %s", text);
}

void extensions_on_import(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	struct import *import = calloc(1, sizeof *import);
	size_t size = 0;
	const char *text = extensions->requests->raw(request, &size);

	if (!import || !(import->problems = extensions->json->new_array())) {
		free(import);
		(void)extensions->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return;
	}
	import->extensions = extensions;
	import->request = request;
	parse(import, text ? text : "", size);
	if (extensions->json->count(import->problems) == 0 && import->count == 0)
		problem(import, "the file has no extension");
	if (extensions->json->count(import->problems) > 0) {
		refuse_problems(import);
	} else if (extensions->importing || extensions->storing) {
		(void)extensions->requests->fail(request, 409, "busy", NULL, "extensions are being changed this moment; try again");
	} else if (store(import) == PBX_OK) {
		extensions->importing = true;
		return;
	} else {
		(void)extensions->requests->fail(request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
	}
	import_free(import);
}
