/*
 * settings_value - one node to one typed value, or a sentence that helps
 *
 * Whoever reads a refusal should be able to mend the line without opening the manual: it says where, which setting, what was
 * expected with its range and unit, what stands there, and what may have been meant.
 */
#include "settings_internal.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "one_line.h"

#define MOST_ITEMS 10000u
#define MOST_FOUND 40 /* characters of a wrong value that are repeated */

/* ---- what is expected, and what stands there ---------------------------------------------------- */

static bool has_range(const struct pbx_setting *row)
{
	return row->type == PBX_TYPE_NUMBER ? row->least_number < row->most_number : row->least < row->most;
}

/* What fits into the member, where the row sets no range of its own. */
static void range_of(const struct pbx_setting *row, int64_t *ret_least, int64_t *ret_most)
{
	if (has_range(row)) {
		*ret_least = row->least;
		*ret_most = row->most;
	} else if (row->width < 8) {
		*ret_least = 0;
		*ret_most = (INT64_C(1) << (8 * row->width)) - 1;
	} else {
		*ret_least = INT64_MIN;
		*ret_most = INT64_MAX;
	}
}

static void append(char *text, size_t size, const char *format, ...) PBX_PRINTF(3, 4);
static void append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

void core_value_expected(const struct pbx_setting *row, char *ret_text, size_t size)
{
	const struct pbx_setting *fields = row->fields.rows;
	int64_t least, most;

	ret_text[0] = '\0';
	switch (row->type) {
	case PBX_TYPE_BOOL:
		append(ret_text, size, "true or false");
		break;
	case PBX_TYPE_INT:
		range_of(row, &least, &most);
		append(ret_text, size, "a whole number");
		if (least != INT64_MIN || most != INT64_MAX)
			append(ret_text, size, " from %lld to %lld", (long long)least, (long long)most);
		break;
	case PBX_TYPE_NUMBER:
		append(ret_text, size, "a number");
		if (has_range(row))
			append(ret_text, size, " from %g to %g", row->least_number, row->most_number);
		break;
	case PBX_TYPE_CHOICE:
		append(ret_text, size, "one of");
		for (const char *const *choice = row->choices; *choice; choice++)
			append(ret_text, size, "%s %s", choice == row->choices ? "" : ",", *choice);
		break;
	case PBX_TYPE_LIST:
		append(ret_text, size, "a list of texts");
		if (has_range(row))
			append(ret_text, size, ", %lld to %lld of them", (long long)row->least, (long long)row->most);
		break;
	case PBX_TYPE_OBJECTS:
		append(ret_text, size, "a list of mappings with");
		for (uint32_t i = 0; i < row->fields.count; i++)
			append(ret_text, size, "%s %s", i ? "," : "", fields[i].name);
		break;
	default:
		append(ret_text, size, "a text");
		if (has_range(row))
			append(ret_text, size, " of %lld to %lld characters", (long long)row->least, (long long)row->most);
	}
	if (row->unit && (row->type == PBX_TYPE_INT || row->type == PBX_TYPE_NUMBER))
		append(ret_text, size, " (%s)", row->unit);
}

static void describe_found(const struct core_node *node, const char *text, bool secret, char *ret_text, size_t size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	if (node->kind == CORE_NODE_MAP || node->kind == CORE_NODE_LIST) {
		append(ret_text, size, node->kind == CORE_NODE_MAP ? "a mapping" : "a list");
	} else if (node->kind == CORE_NODE_NONE) {
		append(ret_text, size, "nothing (leave the line out for the default, write \"\" for an empty text)");
	} else if (secret) {
		append(ret_text, size, "another (it is a secret and not shown)");
	} else {
		append(ret_text, size, "\"");
		for (int shown = 0; text[used] && shown < MOST_FOUND; shown++) {
			size_t length = core_utf8_length(text + used, strlen(text + used));

			if (!length || (unsigned char)text[used] < 0x20 || text[used] == 0x7F)
				append(ret_text, size, "?");
			else
				append(ret_text, size, "%.*s", (int)length, text + used);
			used += length ? length : 1;
		}
		append(ret_text, size, text[used] ? "…\"" : "\"");
	}
}

static bool tell_wrong(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
		       const char *text)
{
	char expected[400], found[256];
	const char *meant = NULL;
	uint32_t count = 0;

	core_value_expected(row, expected, sizeof expected);
	describe_found(node, text ? text : "", row->type == PBX_TYPE_SECRET, found, sizeof found);
	if (row->type == PBX_TYPE_CHOICE && text) {
		while (row->choices[count])
			count++;
		meant = core_did_you_mean(text, row->choices, count);
	}
	core_problem(reading->problems, &node->place, path, "expected %s, found %s%s%s%s", expected, found, meant ? ", did you mean " : "",
		     meant ? meant : "", meant ? "?" : "");
	return false;
}

/* ---- one type after the other ----------------------------------------------------------------------- */

static bool parse_bool(const char *text, bool *ret_value)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

	for (size_t i = 0; i < 6; i++)
		if (strcasecmp(text, words[i]) == 0) {
			*ret_value = i % 2;
			return true;
		}
	return false;
}

static void store_int(void *at, uint32_t width, int64_t value)
{
	if (width == 1)
		*(uint8_t *)at = (uint8_t)value;
	else if (width == 2)
		*(uint16_t *)at = (uint16_t)value;
	else if (width == 4)
		*(uint32_t *)at = (uint32_t)value;
	else
		*(int64_t *)at = value;
}

static bool parse_int(const struct pbx_setting *row, const char *text, int64_t *ret_value)
{
	int64_t least, most;
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end || errno || *text == ' ' || *text == '\t')
		return false;
	range_of(row, &least, &most);
	if (value < least || value > most)
		return false;
	*ret_value = value;
	return true;
}

static bool parse_number(const struct pbx_setting *row, const char *text, double *ret_value)
{
	char *end;
	double value;

	/* The daemon never calls setlocale, so strtod reads a point; letters would be inf, nan and hexadecimal. */
	if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
		return false;
	value = strtod(text, &end);
	if (*end || !isfinite(value))
		return false;
	if (has_range(row) && (value < row->least_number || value > row->most_number))
		return false;
	*ret_value = value;
	return true;
}

static int64_t count_characters(const char *text)
{
	int64_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xC0u) != 0x80u;
	return count;
}

static bool length_fits(const struct pbx_setting *row, const char *text)
{
	int64_t count;

	if (!has_range(row))
		return true;
	count = count_characters(text);
	return count >= row->least && count <= row->most;
}

static bool is_text(const char *text)
{
	size_t left = strlen(text), length;

	for (; left; left -= length, text += length) {
		length = core_utf8_length(text, left);
		if (!length)
			return false;
	}
	return true;
}

static bool tell_lines(const struct core_reading *reading, const struct core_node *node, const char *path)
{
	core_problem(reading->problems, &node->place, path,
		     "a line end or another control character is in it: write it in one line, without tabs (in YAML not with | and not "
		     "\"\\n\")");
	return false;
}

static const char *find_choice(const struct pbx_setting *row, const char *text)
{
	for (const char *const *choice = row->choices; *choice; choice++)
		if (strcmp(*choice, text) == 0)
			return *choice;
	return NULL;
}

/* Kept in the block; false: no memory. */
static bool put_text(struct core_block *block, void *at, const char *text, size_t length)
{
	const char *kept = core_block_text(block, text, length);

	if (!kept)
		return false;
	memcpy(at, &kept, sizeof kept);
	return true;
}

static bool read_scalar(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
			const char *text, void *at)
{
	double number = 0;
	int64_t integer = 0;
	bool flag = false, fine = true;

	switch (row->type) {
	case PBX_TYPE_BOOL:
		if (!parse_bool(text, &flag))
			return tell_wrong(reading, row, node, path, text);
		memcpy(at, &flag, sizeof flag);
		return true;
	case PBX_TYPE_INT:
		if (!parse_int(row, text, &integer))
			return tell_wrong(reading, row, node, path, text);
		store_int(at, row->width, integer);
		return true;
	case PBX_TYPE_NUMBER:
		if (!parse_number(row, text, &number))
			return tell_wrong(reading, row, node, path, text);
		memcpy(at, &number, sizeof number);
		return true;
	case PBX_TYPE_CHOICE:
		fine = find_choice(row, text) != NULL;
		break;
	default:
		fine = length_fits(row, text) && is_text(text) && strlen(text) <= CORE_MOST_TEXT_BYTES;
	}
	if (!fine)
		return tell_wrong(reading, row, node, path, text);
	if (!(row->flags & PBX_SETTING_LINES) && !core_is_one_line(text))
		return tell_lines(reading, node, path);
	if (put_text(reading->block, at, text, strlen(text)))
		return true;
	reading->problems->no_memory = true;
	return false;
}

/* "a, b" to items; without blanks around them, empty ones left out. False: no memory. */
static bool split_list(struct core_block *block, const char *text, struct pbx_list *ret_list)
{
	uint32_t most = 1, count = 0;
	const char **items;

	for (const char *at = text; *at; at++)
		most += *at == ',';
	items = core_block_alloc(block, most * sizeof *items);
	if (!items)
		return false;
	while (*text) {
		size_t length = strcspn(text, ","), blanks = strspn(text, " \t\n\r");
		const char *next = text + length + (text[length] == ',');

		blanks = blanks < length ? blanks : length;
		text += blanks;
		length -= blanks;
		while (length && strchr(" \t\n\r", text[length - 1]))
			length--;
		if (length && !(items[count++] = core_block_text(block, text, length)))
			return false;
		text = next;
	}
	ret_list->items = items;
	ret_list->count = count;
	return true;
}

static bool are_lines(const struct pbx_list *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (!core_is_one_line(list->items[i]))
			return false;
	return true;
}

static bool count_fits(const struct pbx_setting *row, uint32_t count)
{
	return count <= MOST_ITEMS && (!has_range(row) || ((int64_t)count >= row->least && (int64_t)count <= row->most));
}

static bool read_list_items(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node,
			    const char *path, const char **items)
{
	uint32_t count = 0;

	for (const struct core_node *item = node->child; item; item = item->next) {
		struct core_grown text = { 0 };
		bool fine;

		if (item->kind != CORE_NODE_TEXT)
			return tell_wrong(reading, row, item, path, NULL);
		fine = core_text_resolve(reading, row, item, path, &text);
		if (fine && (!is_text(text.bytes) || text.used > CORE_MOST_TEXT_BYTES))
			fine = tell_wrong(reading, row, item, path, text.bytes);
		else if (fine && !core_is_one_line(text.bytes))
			fine = tell_lines(reading, item, path);
		else if (fine && !(items[count++] = core_block_text(reading->block, text.bytes, text.used))) {
			reading->problems->no_memory = true;
			fine = false;
		}
		core_grown_fini(&text);
		if (!fine)
			return false;
	}
	return true;
}

static uint32_t count_children(const struct core_node *node)
{
	uint32_t count = 0;

	for (const struct core_node *child = node->child; child; child = child->next)
		count++;
	return count;
}

static bool read_list(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
		      void *at)
{
	struct pbx_list list = { 0 };
	const char **items;

	if (node->kind == CORE_NODE_TEXT) {
		struct core_grown text = { 0 };
		bool fine = core_text_resolve(reading, row, node, path, &text);

		if (fine && !is_text(text.bytes))
			fine = tell_wrong(reading, row, node, path, text.bytes);
		else if (fine && !split_list(reading->block, text.bytes, &list)) {
			reading->problems->no_memory = true;
			fine = false;
		}
		if (fine && !count_fits(row, list.count))
			fine = tell_wrong(reading, row, node, path, text.bytes);
		if (fine && !are_lines(&list))
			fine = tell_lines(reading, node, path);
		core_grown_fini(&text);
		if (!fine)
			return false;
	} else {
		list.count = count_children(node);
		if (node->kind != CORE_NODE_LIST || !count_fits(row, list.count))
			return tell_wrong(reading, row, node, path, NULL);
		list.items = items = core_block_alloc(reading->block, (list.count + 1) * sizeof *items);
		if (!items) {
			reading->problems->no_memory = true;
			return false;
		}
		if (!read_list_items(reading, row, node, path, items))
			return false;
	}
	memcpy(at, &list, sizeof list);
	return true;
}

static bool read_object(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
			void *object)
{
	const struct pbx_setting *fields = row->fields.rows;
	bool fine = true;

	if (node->kind != CORE_NODE_MAP)
		return tell_wrong(reading, row, node, path, node->text);
	core_rows_check_keys(fields, row->fields.count, node, path, reading->problems);
	for (uint32_t i = 0; i < row->fields.count; i++) {
		const struct core_node *value = core_node_find(node, fields[i].name);
		char inner[300];

		(void)snprintf(inner, sizeof inner, "%.190s.%.100s", path, fields[i].name);
		if (value) {
			fine &= core_value_read(reading, &fields[i], value, inner, object);
		} else if (fields[i].flags & PBX_SETTING_NEEDED) {
			core_problem(reading->problems, &node->place, inner, "is needed here, it has no default");
			fine = false;
		} else if (!core_value_default(reading->block, &fields[i], object)) {
			reading->problems->no_memory = true;
			fine = false;
		}
	}
	return fine;
}

static bool read_objects(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
			 void *at)
{
	struct pbx_objects objects = { .row_size = row->object_size, .count = count_children(node) };
	uint32_t index = 0;
	bool fine = true;
	char *rows;

	if (node->kind != CORE_NODE_LIST || !count_fits(row, objects.count))
		return tell_wrong(reading, row, node, path, node->text);
	rows = core_block_alloc(reading->block, (size_t)(objects.count + 1) * row->object_size);
	if (!rows) {
		reading->problems->no_memory = true;
		return false;
	}
	for (const struct core_node *child = node->child; child; child = child->next, index++) {
		char inner[300];

		(void)snprintf(inner, sizeof inner, "%.180s[%u]", path, index);
		fine &= read_object(reading, row, child, inner, rows + (size_t)index * row->object_size);
	}
	objects.rows = rows;
	memcpy(at, &objects, sizeof objects);
	return fine;
}

bool core_value_read(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
		     void *base)
{
	void *at = (char *)base + row->offset;
	struct core_grown text = { 0 };
	bool fine;

	if (row->type == PBX_TYPE_LIST)
		return read_list(reading, row, node, path, at);
	if (row->type == PBX_TYPE_OBJECTS)
		return read_objects(reading, row, node, path, at);
	if (node->kind != CORE_NODE_TEXT)
		return tell_wrong(reading, row, node, path, NULL);
	fine = core_text_resolve(reading, row, node, path, &text) && read_scalar(reading, row, node, path, text.bytes, at);
	core_grown_fini(&text);
	return fine;
}

bool core_value_default(struct core_block *block, const struct pbx_setting *row, void *base)
{
	const char *text = row->initial_text ? row->initial_text : "";
	void *at = (char *)base + row->offset;
	struct pbx_list list = { 0 };
	struct pbx_objects objects = { .row_size = row->object_size };
	bool flag = row->initial != 0;

	switch (row->type) {
	case PBX_TYPE_BOOL:
		memcpy(at, &flag, sizeof flag);
		return true;
	case PBX_TYPE_INT:
		store_int(at, row->width, row->initial);
		return true;
	case PBX_TYPE_NUMBER:
		memcpy(at, &row->initial_number, sizeof row->initial_number);
		return true;
	case PBX_TYPE_LIST:
		if (!split_list(block, text, &list))
			return false;
		memcpy(at, &list, sizeof list);
		return true;
	case PBX_TYPE_OBJECTS:
		memcpy(at, &objects, sizeof objects);
		return true;
	default:
		return put_text(block, at, text, strlen(text));
	}
}
