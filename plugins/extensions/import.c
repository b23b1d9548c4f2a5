/*
 * import - many extensions from a CSV file (RFC 4180): all of them, or none and every mistake named with its line
 *
 * The first line names the columns: number (needed), name, email, sip_secret, allow_external, call_class, call_waiting, caller_id, pickup_group,
 * music_class, language. An empty field leaves a flag or a class as it was.
 * Numbers that exist are changed, others created; secrets that were made are in the answer, once.
 *
 * A file may have ten thousand lines, and calls go on meanwhile: it is read, and its accounts take their places, some at a time; edits wait
 * until it is over.
 */
#include "extensions.h"
#include <csv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_ROWS 10000u
#define MOST_COLUMNS 16u
#define MOST_PROBLEMS 50u
#define PLACES 32768u       /* of the numbers read so far; a power of two, far more than MOST_ROWS */
#define READ_AT_ONCE 8192u  /* bytes of the file */
#define PLACED_AT_ONCE 500u /* accounts */

enum column {
	NUMBER,
	NAME,
	EMAIL,
	SIP_SECRET,
	ALLOW_EXTERNAL,
	CALL_CLASS,
	CALL_WAITING,
	CALLER_ID,
	PICKUP_GROUP,
	MUSIC_CLASS,
	LANGUAGE,
	COLUMNS
};

static const char *const column_names[COLUMNS] = { "number",         "name",        "email",        "sip_secret",
						   "allow_external", "call_class",  "call_waiting", "caller_id",
						   "pickup_group",   "music_class", "language" };

struct imported {
	struct account *account; /* NULL: the line has mistakes, or the account has its place */
	char secret[64];
	bool made;
};

struct import {
	struct extensions *extensions;
	pbx_request request;
	char *text; /* the file */
	size_t size, at;
	struct csv_parser parser;
	enum column columns[MOST_COLUMNS]; /* of the file, in its order */
	uint32_t column_count, column;     /* named, and where we are in this line */
	uint32_t line;
	char fields[COLUMNS][256];
	bool given[COLUMNS];
	struct imported *rows;
	uint32_t count, room, placed;
	struct pbx_value (*values)[ACCOUNT_COLUMNS]; /* of the rows */
	uint32_t *places;                            /* by number: a row's index plus one */
	struct pbx_json *problems, *items;
};

static void import_free(struct import *import)
{
	if (!import)
		return;
	for (uint32_t i = 0; i < import->count; i++)
		account_free(import->rows[i].account);
	if (import->rows)
		explicit_bzero(import->rows, import->room * sizeof *import->rows);
	if (import->text)
		explicit_bzero(import->text, import->size);
	csv_free(&import->parser);
	free(import->text);
	free(import->rows);
	free(import->values);
	free(import->places);
	import->extensions->json->free(import->problems);
	import->extensions->json->free(import->items);
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
		"there is no column \"%s\"; columns are number, name, email, sip_secret, allow_external, call_class, call_waiting, "
		"caller_id, "
		"pickup_group, music_class, language",
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

static bool make_room(struct import *import)
{
	uint32_t room = import->room ? import->room * 2 : 64;
	struct imported *rows = calloc(room, sizeof *rows);

	if (!rows)
		return false;
	if (import->rows) {
		memcpy(rows, import->rows, import->count * sizeof *rows);
		explicit_bzero(import->rows, import->room * sizeof *rows); /* secrets */
	}
	free(import->rows);
	import->rows = rows;

	void *values = realloc(import->values, room * sizeof *import->values);
	if (!values)
		return false;
	import->values = values;
	import->room = room;
	return true;
}

static struct imported *next_row(struct import *import)
{
	if (import->count == MOST_ROWS || (import->count == import->room && !make_room(import)))
		return NULL;
	return &import->rows[import->count++];
}

/* Keeps the number of the last row. False: an earlier one has it. */
static bool keep_number(struct import *import, const char *number)
{
	uint32_t at = account_hash(number) % PLACES;

	for (; import->places[at]; at = (at + 1) % PLACES) {
		const struct account *other = import->rows[import->places[at] - 1].account;

		if (other && strcmp(other->number, number) == 0)
			return false;
	}
	import->places[at] = import->count;
	return true;
}

static void take_flag(struct import *import, enum column column, bool *flag)
{
	const char *text = import->fields[column];

	if (!text[0])
		return;
	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 || strcmp(text, "1") == 0)
		*flag = true;
	else if (strcasecmp(text, "false") == 0 || strcasecmp(text, "no") == 0 || strcmp(text, "0") == 0)
		*flag = false;
	else
		problem(import, "%s is \"%s\"; it can be true or false", column_names[column], text);
}

static void take_class(struct import *import, uint32_t *call_class)
{
	const char *text = import->fields[CALL_CLASS];
	uint32_t named = class_from_name(text);

	if (!text[0])
		return;
	if (named == CLASS_UNSET && strcmp(text, "default") != 0)
		problem(import, "call_class is \"%s\"; it can be internal, local, national, international, premium or default", text);
	else
		*call_class = named;
}

static void seal(struct import *import, struct imported *row, struct account_draft *draft, bool exists)
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
	(void)snprintf(context, sizeof context, "extensions.sip.%s", draft->number);
	char *sealed = secrets->seal(row->secret, context);
	(void)snprintf(draft->sip_secret, sizeof draft->sip_secret, "%s", sealed ? sealed : "");
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

/* What the line says, over what the account was. */
static void fill_draft(struct import *import, const struct account *old, struct account_draft *draft)
{
	int64_t now_us = import->extensions->host->wall_us(import->extensions->host);

	if (old) {
		account_copy(old, draft);
	} else {
		memset(draft, 0, sizeof *draft);
		draft->may_call_outside = true;
		draft->call_class = CLASS_UNSET;
		draft->created_us = now_us;
	}
	COPY(NUMBER, draft->number);
	COPY(NAME, draft->name);
	COPY(EMAIL, draft->email);
	COPY(CALLER_ID, draft->caller_id);
	COPY(PICKUP_GROUP, draft->pickup_group);
	COPY(MUSIC_CLASS, draft->music_class);
	COPY(LANGUAGE, draft->language);
	bool waits = !draft->no_waiting;
	take_flag(import, ALLOW_EXTERNAL, &draft->may_call_outside);
	take_flag(import, CALL_WAITING, &waits);
	take_class(import, &draft->call_class);
	draft->no_waiting = !waits;
	draft->updated_us = now_us;
}

static void take_row(struct import *import)
{
	struct extensions *extensions = import->extensions;
	const struct account *old = account_find(extensions, import->fields[NUMBER]);
	struct imported *row = next_row(import);
	struct account_draft draft;
	const char *owner = NULL;
	struct pbx_diag diag;

	if (!row) {
		problem(import, "more than %u lines, or no memory for them", MOST_ROWS);
		return;
	}
	fill_draft(import, old, &draft);
	COPY(SIP_SECRET, row->secret);
	if (account_check(extensions, &draft, &diag) != PBX_OK)
		problem(import, "%s: %s", diag.field, diag.text);
	else if (!old && extensions->routing->owner(draft.number, &owner) == PBX_OK)
		problem(import, "number %s belongs to %s", draft.number, owner);
	else if (!keep_number(import, draft.number))
		problem(import, "number %s is in the file twice", draft.number);
	else
		seal(import, row, &draft, old != NULL);
	row->account = account_new(&draft);
	if (!row->account)
		problem(import, "there is no memory");
	else
		account_values(row->account, import->values[import->count - 1]);
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

/* ---- storing -------------------------------------------------------------------------- */

static void import_end(struct import *import, int status)
{
	struct extensions *extensions = import->extensions;

	import_free(import);
	edits_go_on(extensions, status);
}

static void import_fail(struct import *import, uint32_t http_status, const char *error, const char *text, int status)
{
	(void)import->extensions->requests->fail(import->request, http_status, error, NULL, "%s", text);
	import_end(import, status);
}

/* We are being stopped between two steps; whoever asked is told by the host. */
static void on_dropped(void *data)
{
	import_end(data, PBX_ECANCELLED);
}

/* The next step, after calls and phones have had their turn. */
static void go_on(struct import *import, pbx_posted_fn step)
{
	struct extensions *extensions = import->extensions;

	if (extensions->host->post(extensions->host, step, import, on_dropped) != PBX_OK)
		import_fail(import, 503, "no_memory", "there is no memory; what had been stored is there after the next start", PBX_ENOMEM);
}

static void place_one(struct import *import, struct imported *row)
{
	struct extensions *extensions = import->extensions;
	const struct pbx_jsons *json = extensions->json;
	struct pbx_json *item = json->new_object();

	(void)json->set_text(item, "number", row->account->number);
	if (row->made)
		(void)json->set_text(item, "sip_secret", row->secret);
	(void)json->append(import->items, item);
	if (!account_find(extensions, row->account->number))
		(void)routing_reserve(extensions, row->account->number, NULL); /* it was free when we looked */
	account_place(extensions, row->account);
	row->account = NULL;
}

static void on_place(void *self, void *data)
{
	struct extensions *extensions = self;
	struct import *import = data;
	struct pbx_json *answer;

	for (uint32_t i = 0; i < PLACED_AT_ONCE && import->placed < import->count; i++)
		place_one(import, &import->rows[import->placed++]);
	if (import->placed < import->count) {
		go_on(import, on_place);
		return;
	}
	answer = extensions->json->new_object();
	(void)extensions->json->set_integer(answer, "imported", import->count);
	(void)extensions->json->set(answer, "items", import->items);
	import->items = NULL;
	(void)extensions->requests->reply(import->request, 200, answer);
	import_end(import, PBX_OK);
}

static void on_stored(void *self, const struct pbx_rows *rows)
{
	struct import *import = self;
	char text[320];

	if (rows->status == PBX_OK) {
		import->items = import->extensions->json->new_array();
		go_on(import, on_place);
		return;
	}
	(void)snprintf(text, sizeof text, "nothing was imported: %s", rows->error);
	import_fail(import, 503, "store_unavailable", text, rows->status);
}

static int store(struct import *import)
{
	struct pbx_statement *statements = calloc(import->count, sizeof *statements);
	int err = PBX_ENOMEM;

	if (!statements)
		return PBX_ENOMEM;
	for (uint32_t i = 0; i < import->count; i++)
		statements[i] = (struct pbx_statement){ account_upsert_sql, import->values[i], ACCOUNT_COLUMNS };
	err = import->extensions->store->batch(import->extensions->host, statements, import->count, on_stored, import);
	free(statements);
	return err;
}

/* ---- reading the file ----------------------------------------------------------------- */

static void refuse_problems(struct import *import)
{
	const struct pbx_jsons *json = import->extensions->json;
	char text[2048] = "nothing was imported. ";
	size_t at = strlen(text);

	for (uint32_t i = 0; i < json->count(import->problems) && at + 1 < sizeof text; i++) {
		int wrote = snprintf(text + at, sizeof text - at, "%s%s", i ? "; " : "", json->text(json->at(import->problems, i)));

		at += wrote > 0 ? (size_t)wrote : 0;
	}
	import_fail(import, 400, "invalid", text, PBX_OK);
}

static void on_read(void *self, void *data)
{
	struct extensions *extensions = self;
	struct import *import = data;
	size_t size = import->size - import->at < READ_AT_ONCE ? import->size - import->at : READ_AT_ONCE;
	bool is_csv = csv_parse(&import->parser, import->text + import->at, size, on_field, on_line, import) == size;

	import->at += size;
	if (is_csv && import->at < import->size) {
		go_on(import, on_read);
		return;
	}
	if (!is_csv || csv_fini(&import->parser, on_field, on_line, import) != 0)
		problem(import, "this is not CSV: %s", csv_strerror(csv_error(&import->parser)));
	if (extensions->json->count(import->problems) == 0 && import->count == 0)
		problem(import, "the file has no extension");
	if (extensions->json->count(import->problems) > 0)
		refuse_problems(import);
	else if (store(import) != PBX_OK)
		import_fail(import, 503, "store_unavailable", "the store takes nothing now; try again", PBX_OK);
}

static struct import *import_new(struct extensions *extensions, pbx_request request)
{
	struct import *import = calloc(1, sizeof *import);
	size_t size = 0;
	const char *text = extensions->requests->raw(request, &size);

	if (!import)
		return NULL;
	import->extensions = extensions;
	import->request = request;
	import->line = 1;
	import->problems = extensions->json->new_array();
	import->places = calloc(PLACES, sizeof *import->places);
	import->text = malloc(size + 1);
	if (!import->problems || !import->places || !import->text ||
	    csv_init(&import->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0) {
		import_free(import);
		return NULL;
	}
	csv_set_blk_size(&import->parser, READ_AT_ONCE); /* a field of megabytes is copied with each growth, of 128 bytes by itself */
	if (size)
		memcpy(import->text, text, size);
	import->size = size;
	return import;
}

void extensions_on_import(void *self, pbx_request request)
{
	struct extensions *extensions = self;

	if (extensions->importing || extensions->storing) {
		(void)extensions->requests->fail(request, 409, "busy", NULL, "extensions are being changed this moment; try again");
		return;
	}
	struct import *import = import_new(extensions, request);

	if (!import) {
		(void)extensions->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return;
	}
	extensions->importing = true;
	on_read(extensions, import);
}
