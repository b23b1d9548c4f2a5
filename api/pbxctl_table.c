/*
 * pbxctl_table.c - rows, as a table or as records
 *
 * A table that is too wide for the terminal has its widest columns cut. Where that would leave nothing to read (headings are cut, there is no room for
 * what is nested) each row becomes a record. What is nested and stands last, as the data of an event, flows down its column instead.
 * Somebody who pipes (no width) gets a line a row, with all that is in it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pbxctl_print.h"

#define COLUMNS_MAX 64
#define GAP 2
#define PIPED_MOST 40  /* where no terminal limits us: one long value makes no other line longer */
#define COLUMN_LEAST 6 /* a column is not made narrower for the others' sake */
#define FLOW_LEAST 30  /* nor one that flows */
#define RECORDS_FEW 12 /* so many are read as records rather than with headings cut */

struct column {
	char *name, *heading;
	bool is_member; /* the name of a member as it is; else as struct pbx_command says */
	bool is_since;  /* times, each shown by what has passed since the first */
	bool has_nested;
	int width, natural;
};

struct table {
	struct column columns[COLUMNS_MAX];
	int count, rows;
	double began_s; /* the first row's time */
	bool flows;     /* the last column does */
};

/* ---- which columns ---------------------------------------------------------------------- */

/* "state+legs.on_hold" is headed "state", "duration_ms" is headed "duration": its cells have the unit. */
static char *heading_of(const char *name, bool is_member)
{
	char *heading = strndup(name, is_member ? strlen(name) : strcspn(name, "+"));

	if (heading && !is_member && strrchr(heading, '.'))
		memmove(heading, strrchr(heading, '.') + 1, strlen(strrchr(heading, '.')));
	if (heading)
		heading[heading_length(heading)] = '\0';
	return heading;
}

static void table_add(struct table *table, const char *name, size_t length, bool is_member)
{
	struct column *column = &table->columns[table->count];

	if (table->count == COLUMNS_MAX)
		return;
	*column = (struct column){ .name = strndup(name, length), .is_member = is_member };
	column->heading = column->name ? heading_of(column->name, is_member) : NULL;
	if (column->heading)
		table->count++;
	else
		free(column->name);
}

static bool table_has(const struct table *table, const char *name)
{
	for (int i = 0; i < table->count; i++) {
		if (strcmp(table->columns[i].name, name) == 0)
			return true;
	}
	return false;
}

static void table_choose(struct table *table, const cJSON *rows, const char *columns)
{
	const cJSON *row, *member;

	while (columns && *columns) {
		size_t length = strcspn(columns, ", ");
		if (length > 0)
			table_add(table, columns, length, !memchr(columns, '+', length) && !memchr(columns, '.', length));
		columns += length + (columns[length] != '\0');
	}
	if (table->count > 0)
		return;
	cJSON_ArrayForEach(row, rows)
	{
		cJSON_ArrayForEach(member, row)
		{
			if (member->string && !table_has(table, member->string))
				table_add(table, member->string, strlen(member->string), true);
		}
	}
}

static void table_free(struct table *table)
{
	for (int i = 0; i < table->count; i++) {
		free(table->columns[i].name);
		free(table->columns[i].heading);
	}
}

/* ---- cells of several members ----------------------------------------------------------- */

struct cell {
	FILE *out;
	char *said[16]; /* once is enough */
	int count;
};

static void cell_add(struct cell *cell, char *text)
{
	bool is_new = text != NULL;

	for (int i = 0; is_new && i < cell->count; i++)
		is_new = strcmp(cell->said[i], text) != 0;
	if (!is_new || cell->count == (int)(sizeof cell->said / sizeof *cell->said)) {
		free(text);
		return;
	}
	(void)fprintf(cell->out, "%s%s", cell->count > 0 ? ", " : "", text);
	cell->said[cell->count++] = text;
}

/* What a yes is to people: on_hold is "on hold". */
static char *name_as_words(const char *name, size_t length)
{
	char *words = strndup(name, length);

	for (char *at = words; at && *at; at++)
		if (*at == '_')
			*at = ' ';
	return words;
}

/* path: "legs.on_hold", of `length`. Of a list each item counts; what is empty, or no, is not worth a word. */
static void cell_gather(struct cell *cell, const cJSON *value, const char *path, size_t length)
{
	const char *dot = memchr(path, '.', length);
	size_t step = dot ? (size_t)(dot - path) : length;
	const cJSON *member;

	if (cJSON_IsArray(value)) {
		cJSON_ArrayForEach(member, value) cell_gather(cell, member, path, length);
		return;
	}
	cJSON_ArrayForEach(member, value)
	{
		if (!member->string || strlen(member->string) != step || strncmp(member->string, path, step) != 0)
			continue;
		if (dot)
			cell_gather(cell, member, dot + 1, length - step - 1);
		else if (cJSON_IsTrue(member))
			cell_add(cell, name_as_words(path, step));
		else if (!cJSON_IsFalse(member) && !is_empty(member))
			cell_add(cell, reading_of(member->string, member));
	}
}

/* free(); NULL: no memory. */
static char *gathered(const cJSON *row, const char *name)
{
	struct cell cell = { .count = 0 };
	size_t size = 0;
	char *text = NULL;

	cell.out = open_memstream(&text, &size);
	if (!cell.out)
		return NULL;
	for (size_t length; *name; name += length + (name[length] != '\0')) {
		length = strcspn(name, "+");
		cell_gather(&cell, row, name, length);
	}
	(void)fputs(cell.count == 0 ? "-" : "", cell.out);
	for (int i = 0; i < cell.count; i++)
		free(cell.said[i]);
	return fclose(cell.out) == 0 ? text : NULL;
}

/* ---- times ------------------------------------------------------------------------------ */

/* "2026-11-23T22:29:59.105Z" as seconds; false: it is none. */
static bool time_of(const cJSON *value, double *ret_s)
{
	struct tm parts = { 0 };
	const char *rest = cJSON_IsString(value) ? strptime(value->valuestring, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;
	char *end = NULL;

	if (!rest)
		return false;
	double part_s = *rest == '.' ? strtod(rest, &end) : 0;
	if (strcmp(end ? end : rest, "Z") != 0)
		return false;
	*ret_s = (double)timegm(&parts) + part_s;
	return true;
}

/* A story: two or more times, none before the last, all in a day. */
static bool is_story(const cJSON *rows, const char *name, double *ret_began_s)
{
	double first_s = 0, last_s = 0, now_s;
	const cJSON *row;

	cJSON_ArrayForEach(row, rows)
	{
		if (!time_of(cJSON_GetObjectItemCaseSensitive(row, name), &now_s) || (row != rows->child && now_s < last_s))
			return false;
		first_s = row == rows->child ? now_s : first_s;
		last_s = now_s;
	}
	*ret_began_s = first_s;
	return rows && rows->child && rows->child->next && last_s - first_s < 86400;
}

static char *since_text(const struct table *table, const cJSON *value)
{
	double now_s = table->began_s;
	char *text = NULL;

	(void)time_of(value, &now_s); /* is_story has seen that it is one */
	return asprintf(&text, "%+*.3f s", width_of(cJSON_GetStringValue(value)) - 2, now_s - table->began_s) < 0 ? NULL : text;
}

/* ---- cells ------------------------------------------------------------------------------ */

/* free(); NULL: no memory. */
static char *cell_text(const struct table *table, const struct column *column, const cJSON *row)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, column->name);

	if (!column->is_member)
		return gathered(row, column->name);
	return column->is_since && row->prev && row->prev->next ? since_text(table, value) : reading_of(column->name, value);
}

static void table_measure(const struct look *look, struct table *table, const cJSON *rows)
{
	const cJSON *row;

	for (int i = 0; i < table->count; i++) {
		struct column *column = &table->columns[i];
		column->is_since = look->width > 0 && strcmp(column->name, "time") == 0 && is_story(rows, column->name, &table->began_s);
		column->width = width_of(column->heading);
		cJSON_ArrayForEach(row, rows)
		{
			char *text = cell_text(table, column, row);
			int width = text ? width_of(text) : 0;
			if (width > column->width && (look->width > 0 || width <= PIPED_MOST))
				column->width = width;
			free(text);
			column->has_nested |= column->is_member && is_nested(cJSON_GetObjectItemCaseSensitive(row, column->name));
		}
		column->natural = column->width;
	}
	table->rows = cJSON_GetArraySize(rows);
}

static int table_width(const struct table *table, int columns)
{
	int total = GAP * (columns - 1);

	for (int i = 0; i < columns; i++)
		total += table->columns[i].width;
	return total;
}

/* Takes from the widest column until all fit. */
static void table_narrow(struct table *table, int width)
{
	for (int total = table_width(table, table->count); total > width; total--) {
		int widest = 0;
		for (int i = 1; i < table->count; i++) {
			if (table->columns[i].width > table->columns[widest].width)
				widest = i;
		}
		if (table->columns[widest].width <= COLUMN_LEAST)
			return;
		table->columns[widest].width--;
	}
}

/* False: as a table it would be unreadable. */
static bool table_fit(struct table *table, int width)
{
	int last = table->count - 1;

	if (width == 0 || table->rows == 0 || table_width(table, table->count) <= width)
		return true;
	if (table->columns[last].has_nested) {
		table->columns[last].width = width - (last > 0 ? table_width(table, last) + GAP : 0);
		table->flows = table->columns[last].width >= FLOW_LEAST;
		return table->flows;
	}
	table_narrow(table, width);
	for (int i = 0; i <= last; i++) {
		const struct column *column = &table->columns[i];
		if ((column->has_nested && column->width < column->natural) ||
		    (column->width < width_of(column->heading) && table->rows <= RECORDS_FEW))
			return false;
	}
	return table_width(table, table->count) <= width;
}

/* ---- as a table ------------------------------------------------------------------------- */

/* What is nested as "key value  key value", over as many lines as it takes. */
static void print_flow(const struct look *look, const struct table *table, const cJSON *value)
{
	int margin = table->count > 1 ? table_width(table, table->count - 1) + GAP : 0;
	struct flow flow = { .look = look, .margin = margin, .at = margin, .colour = "" };
	struct facts facts = facts_of(value);

	for (int i = 0; i < facts.count; i++)
		flow_put(&flow, *facts.items[i].key ? facts.items[i].key : NULL, facts.items[i].text, GAP);
	if (facts.count == 0)
		flow_put(&flow, NULL, "-", GAP);
	facts_free(&facts);
}

/* row NULL: the headings. */
static void print_row(const struct look *look, const struct table *table, const cJSON *row)
{
	print_indent(look);
	for (int i = 0; i < table->count; i++) {
		const struct column *column = &table->columns[i];
		bool is_last = i + 1 == table->count;
		char *text = row ? cell_text(table, column, row) : strdup(column->heading);

		if (is_last && table->flows && row)
			print_flow(look, table, cJSON_GetObjectItemCaseSensitive(row, column->name));
		else if (text)
			print_cell(look, text, row ? colour_of(text) : bold, is_last ? 0 : column->width,
				   look->width > 0 ? column->width : 0);
		if (!is_last)
			(void)fprintf(look->out, "%*s", GAP, "");
		free(text);
	}
	(void)fputc('\n', look->out);
}

/* ---- as records ------------------------------------------------------------------------- */

/* The first column heads it, the others stand below. */
static void print_record(const struct look *look, const struct table *table, const cJSON *row, int width)
{
	const struct look inner = deeper(look);

	for (int i = 0; i < table->count; i++) {
		const struct column *column = &table->columns[i];
		const cJSON *value = column->is_member ? cJSON_GetObjectItemCaseSensitive(row, column->name) : NULL;
		char *text = cell_text(table, column, row);

		print_member(i == 0 ? look : &inner, column->heading, value, text, i == 0 ? 0 : width);
		free(text);
	}
}

static void print_records(const struct look *look, const struct table *table, const cJSON *rows)
{
	const cJSON *row;
	int width = 0;

	for (int i = 1; i < table->count; i++) {
		if (width_of(table->columns[i].heading) > width)
			width = width_of(table->columns[i].heading);
	}
	cJSON_ArrayForEach(row, rows)
	{
		if (row != rows->child)
			(void)fputc('\n', look->out);
		print_record(look, table, row, width);
	}
}

void print_table(const struct look *look, const cJSON *rows, const char *columns)
{
	struct table table = { .count = 0 };
	const cJSON *row;

	table_choose(&table, rows, columns);
	table_measure(look, &table, rows);
	if (table.count > 0 && !table_fit(&table, look->width)) {
		print_records(look, &table, rows);
	} else if (table.count > 0) {
		print_row(look, &table, NULL);
		cJSON_ArrayForEach(row, rows) print_row(look, &table, row);
	}
	table_free(&table);
}
