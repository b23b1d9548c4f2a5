/*
 * pbxctl_print.c - how answers look to a person
 *
 * Values become short texts first ("yes", "a, b", "-" for nothing), then texts become aligned columns. What a stranger may have chosen
 * (a caller's display name) is printed without control characters, so that nobody's phone can command an administrator's terminal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pbxctl_ladder.h"
#include "pbxctl_print.h"

#define COLUMNS_MAX 64
#define GAP "  "
#define PIPED_MOST 40  /* where no terminal limits us: one long value makes no other line longer */
#define COLUMN_LEAST 6 /* a column is not made narrower for the others' sake */

static const char bold[] = "\033[1m", green[] = "\033[32m", yellow[] = "\033[33m", red[] = "\033[31m", normal[] = "\033[0m";

/* ---- texts ------------------------------------------------------------------------------ */

/* Length of the control character at text: C0, DEL, or the two bytes of a C1 one. 0: it is none. */
static size_t control_length(const char *text)
{
	unsigned char first = (unsigned char)text[0], second = (unsigned char)text[1];

	if (first < 0x20 || first == 0x7f)
		return 1;
	return first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

/* end NULL: all of it. */
static void print_plain_until(FILE *out, const char *text, const char *end)
{
	while (*text && text != end) {
		size_t length = control_length(text);
		if (length == 0)
			(void)fputc(*text++, out);
		else
			(void)fputc('?', out), text += length;
	}
}

void print_plain(FILE *out, const char *text)
{
	print_plain_until(out, text, NULL);
}

int width_of(const char *text)
{
	int width = 0;

	while (*text) {
		size_t control = control_length(text);
		if (((unsigned char)*text & 0xc0) != 0x80)
			width++;
		text += control > 0 ? control : 1;
	}
	return width;
}

/* Where a text of more than `width` columns is cut to make room for an ellipsis. NULL: it fits. */
static const char *cut_at(const char *text, int width)
{
	if (width <= 0 || width_of(text) <= width)
		return NULL;
	for (int columns = 0; *text; text++) {
		if (((unsigned char)*text & 0xc0) != 0x80 && ++columns == width)
			break;
	}
	return text;
}

static char *joined(const cJSON *list)
{
	size_t size = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	const cJSON *item;

	if (!out)
		return NULL;
	cJSON_ArrayForEach(item, list)
	{
		if (item != list->child)
			(void)fputs(", ", out);
		if (cJSON_IsString(item)) {
			(void)fputs(item->valuestring, out);
		} else {
			char *json = cJSON_PrintUnformatted(item);
			(void)fputs(json ? json : "", out);
			cJSON_free(json);
		}
	}
	return fclose(out) == 0 ? text : NULL;
}

/* A value as a short text; free(). NULL: no memory. */
static char *text_of(const cJSON *value)
{
	if (!value || cJSON_IsNull(value))
		return strdup("-");
	if (cJSON_IsString(value))
		return strdup(value->valuestring);
	if (cJSON_IsBool(value))
		return strdup(cJSON_IsTrue(value) ? "yes" : "no");
	if (cJSON_IsArray(value))
		return cJSON_GetArraySize(value) > 0 ? joined(value) : strdup("-");
	return cJSON_PrintUnformatted(value);
}

/* ---- colours ---------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
	while (*words && strcmp(text, *words) != 0)
		words++;
	return *words != NULL;
}

/* The colour of a state; "" for other texts. */
static const char *colour_of(const char *text)
{
	static const char *const good[] = { "running", "up", "ok", "ready", "answered", NULL };
	static const char *const fair[] = { "degraded", "draining", "ringing", "warn", "disabled", NULL };
	static const char *const bad[] = { "failed", "down", "error", NULL };

	return is_one_of(text, good) ? green : is_one_of(text, fair) ? yellow : is_one_of(text, bad) ? red : "";
}

/* Filled up with spaces to width; cut to most columns, unless that is 0. */
static void print_column(const struct look *look, const char *text, const char *colour, int width, int most)
{
	const char *paint = look->colours ? colour : "", *end = cut_at(text, most);

	(void)fputs(paint, look->out);
	print_plain_until(look->out, text, end);
	(void)fputs(end ? "…" : "", look->out);
	(void)fputs(*paint ? normal : "", look->out);
	for (int i = width_of(text); i < width; i++)
		(void)fputc(' ', look->out);
}

static void print_cell(const struct look *look, const char *text, const char *colour, int width)
{
	print_column(look, text, colour, width, 0);
}

/* ---- tables ----------------------------------------------------------------------------- */

struct table {
	char *names[COLUMNS_MAX];
	int widths[COLUMNS_MAX], count;
};

static void table_add(struct table *table, const char *name, size_t length)
{
	char *copy = table->count < COLUMNS_MAX ? strndup(name, length) : NULL;

	if (!copy)
		return;
	table->names[table->count] = copy;
	table->widths[table->count++] = width_of(copy);
}

static bool table_has(const struct table *table, const char *name)
{
	for (int i = 0; i < table->count; i++) {
		if (strcmp(table->names[i], name) == 0)
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
			table_add(table, columns, length);
		columns += length + (columns[length] != '\0');
	}
	if (table->count > 0)
		return;
	cJSON_ArrayForEach(row, rows)
	{
		cJSON_ArrayForEach(member, row)
		{
			if (member->string && !table_has(table, member->string))
				table_add(table, member->string, strlen(member->string));
		}
	}
}

/* A value of more than `most` columns does not make its column wider, unless that is 0: it is whole, and what follows it stands further right. */
static void table_measure(struct table *table, const cJSON *rows, int most)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, rows)
	{
		for (int i = 0; i < table->count; i++) {
			char *text = text_of(cJSON_GetObjectItemCaseSensitive(row, table->names[i]));
			int width = text ? width_of(text) : 0;
			if (width > table->widths[i] && (most == 0 || width <= most))
				table->widths[i] = width;
			free(text);
		}
	}
}

/* Takes from the widest column until all fit. */
static void table_fit(struct table *table, int width)
{
	int total = ((int)strlen(GAP)) * (table->count - 1);

	for (int i = 0; i < table->count; i++)
		total += table->widths[i];
	while (width > 0 && total > width) {
		int widest = 0;
		for (int i = 1; i < table->count; i++) {
			if (table->widths[i] > table->widths[widest])
				widest = i;
		}
		if (table->widths[widest] <= COLUMN_LEAST)
			return;
		table->widths[widest]--;
		total--;
	}
}

static void print_row(const struct look *look, const struct table *table, const cJSON *row)
{
	for (int i = 0; i < table->count; i++) {
		char *text = row ? text_of(cJSON_GetObjectItemCaseSensitive(row, table->names[i])) : strdup(table->names[i]);
		bool last = i + 1 == table->count;
		if (text)
			print_column(look, text, row ? colour_of(text) : bold, last ? 0 : table->widths[i],
				     look->width > 0 ? table->widths[i] : 0);
		(void)fputs(last ? "\n" : GAP, look->out);
		free(text);
	}
}

static void print_table(const struct look *look, const cJSON *rows, const char *columns)
{
	struct table table = { .count = 0 };
	const cJSON *row;

	table_choose(&table, rows, columns);
	table_measure(&table, rows, look->width > 0 ? 0 : PIPED_MOST);
	table_fit(&table, look->width);
	if (table.count > 0)
		print_row(look, &table, NULL);
	cJSON_ArrayForEach(row, rows) print_row(look, &table, row);
	for (int i = 0; i < table.count; i++)
		free(table.names[i]);
}

/* ---- members ---------------------------------------------------------------------------- */

static bool is_table(const cJSON *value)
{
	return cJSON_IsArray(value) && cJSON_IsObject(value->child);
}

/* A list of sentences reads better line by line. */
static bool has_sentences(const cJSON *value)
{
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return false;
	cJSON_ArrayForEach(item, value)
	{
		if (cJSON_IsString(item) && strchr(item->valuestring, ' '))
			return true;
	}
	return false;
}

static void print_lines(const struct look *look, const cJSON *list, int indent)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		char *text = text_of(item);
		(void)fprintf(look->out, "%*s", indent, "");
		print_cell(look, text ? text : "", "", 0);
		(void)fputc('\n', look->out);
		free(text);
	}
}

static void print_members(const struct look *look, const cJSON *object, int indent)
{
	const cJSON *member;
	int width = 0;

	cJSON_ArrayForEach(member, object)
	{
		if (width_of(member->string) > width)
			width = width_of(member->string);
	}
	cJSON_ArrayForEach(member, object)
	{
		(void)fprintf(look->out, "%*s", indent, "");
		if (cJSON_IsObject(member) || is_table(member) || has_sentences(member)) {
			print_cell(look, member->string, bold, 0);
			(void)fputc('\n', look->out);
			if (cJSON_IsObject(member))
				print_members(look, member, indent + 2);
			else if (strcmp(member->string, "ladder") == 0)
				print_ladder(look, member);
			else if (has_sentences(member))
				print_lines(look, member, indent + 2);
			else
				print_table(look, member, NULL);
			continue;
		}
		char *text = text_of(member);
		print_cell(look, member->string, bold, width);
		(void)fputs(GAP, look->out);
		if (text)
			print_cell(look, text, colour_of(text), 0);
		(void)fputc('\n', look->out);
		free(text);
	}
}

/* What was done, in a sentence; below it what else there is to know. Empty lists say nothing more than the sentence. */
static void print_told(const struct look *look, const cJSON *body, const char *sentence)
{
	cJSON *rest = cJSON_CreateObject();
	const cJSON *member;

	print_cell(look, sentence, bold, 0);
	(void)fputc('\n', look->out);
	cJSON_ArrayForEach(member, body)
	{
		if (strcmp(member->string, "sentence") != 0 && !(cJSON_IsArray(member) && !member->child))
			(void)cJSON_AddItemReferenceToObject(rest, member->string, (cJSON *)(uintptr_t)member);
	}
	print_members(look, rest, 0);
	cJSON_Delete(rest);
}

void print_answer(const struct look *look, const cJSON *body, const char *columns)
{
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(body, "items");
	const char *sentence = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "sentence"));

	if (!cJSON_IsArray(items))
		items = cJSON_IsArray(body) ? body : NULL;
	if (items && (is_table(items) || !items->child)) {
		print_table(look, items, columns);
		if (sentence) { /* what the list amounts to */
			print_cell(look, sentence, bold, 0);
			(void)fputc('\n', look->out);
		}
	} else if (items) {
		print_lines(look, items, 0);
	} else if (cJSON_IsObject(body) && sentence) {
		print_told(look, body, sentence);
	} else if (cJSON_IsObject(body)) {
		print_members(look, body, 0);
	} else if (body && !cJSON_IsNull(body)) {
		char *text = text_of(body);
		print_cell(look, text ? text : "", "", 0);
		(void)fputc('\n', look->out);
		free(text);
	}
}

/* ---- streams ---------------------------------------------------------------------------- */

/* "level" bare, others as key=value, what is nested as its own members. */
static void print_facts(const struct look *look, const cJSON *object, bool *ret_some)
{
	static const char *const bare[] = { "time", "level", "owner", "event", "type", "text", NULL };
	const cJSON *member;

	cJSON_ArrayForEach(member, object)
	{
		if (cJSON_IsObject(member)) {
			print_facts(look, member, ret_some);
			continue;
		}
		char *text = text_of(member);
		if (text && *text && strcmp(text, "-") != 0) {
			(void)fputs(*ret_some ? " " : "", look->out);
			*ret_some = true;
			if (member->string && !is_one_of(member->string, bare)) {
				print_plain(look->out, member->string);
				(void)fputc('=', look->out);
			}
			print_cell(look, text, colour_of(text), 0);
		}
		free(text);
	}
}

void print_stream_line(const struct look *look, const char *line)
{
	cJSON *json = cJSON_Parse(line);
	size_t length = strcspn(line, "\r");
	bool is_crlf = line[length] && !line[length + 1]; /* CSV: its lines end so, and no terminal minds */
	bool some = false;

	if (cJSON_IsObject(json))
		print_facts(look, json, &some);
	else
		print_plain_until(look->out, line, is_crlf ? line + length : NULL);
	(void)fputs(is_crlf ? "\r\n" : "\n", look->out);
	cJSON_Delete(json);
}
