/*
 * json_print - a tree as text, without a blank
 *
 * Every event and every answer passes here. cJSON prints each number with printf and reads it back with scanf to see whether it was right;
 * our numbers are known to fit (json.c keeps those that do not as digits), so whole ones are written digit by digit.
 */
#include "json.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 512u
#define EXACT_LIMIT 999999999999999.0 /* 15 digits: beyond it json.c has kept the digits */

struct text {
	char *bytes;
	size_t used, room;
	bool failed; /* no memory */
};

/* Whether there is room for so much more. */
static bool make_room(struct text *text, size_t size)
{
	if (text->room - text->used < size && !text->failed) {
		size_t room = text->room * 2 > text->used + size ? text->room * 2 : text->used + size;
		char *grown = realloc(text->bytes, room);

		text->failed = !grown;
		text->bytes = grown ? grown : text->bytes;
		text->room = grown ? room : text->room;
	}
	return !text->failed;
}

static void put(struct text *text, const char *bytes, size_t size)
{
	if (!make_room(text, size))
		return;
	memcpy(text->bytes + text->used, bytes, size);
	text->used += size;
}

static void put_char(struct text *text, char c)
{
	if (make_room(text, 1))
		text->bytes[text->used++] = c;
}

/* How many bytes from here on can stand in a text as they are: nearly always all. */
static size_t count_plain(const char *at)
{
	size_t count = 0;

	while ((unsigned char)at[count] >= 0x20 && at[count] != '"' && at[count] != '\\')
		count++;
	return count;
}

static void put_escaped(struct text *text, char c)
{
	static const char hex[] = "0123456789abcdef", letters[] = "btn\0fr"; /* from backspace, 8, to carriage return, 13 */
	char escape[6] = { '\\', 'u', '0', '0', hex[(unsigned char)c >> 4], hex[c & 15] };

	if (c == '"' || c == '\\')
		escape[1] = c;
	else if (c >= 8 && c <= 13 && c != 11)
		escape[1] = letters[c - 8];
	else if ((unsigned char)c >= 0x20) {
		put_char(text, c);
		return;
	}
	put(text, escape, escape[1] == 'u' ? 6 : 2);
}

static void put_quoted(struct text *text, const char *string)
{
	const char *at = string ? string : "";

	put_char(text, '"');
	while (*at) {
		size_t plain = count_plain(at);

		put(text, at, plain);
		at += plain;
		if (*at)
			put_escaped(text, *at++);
	}
	put_char(text, '"');
}

static void put_whole(struct text *text, double value)
{
	char digits[32], *at = digits + sizeof digits;
	uint64_t left = value < 0 ? (uint64_t)-value : (uint64_t)value;

	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		*--at = '-';
	put(text, at, (size_t)(digits + sizeof digits - at));
}

static void put_number(struct text *text, double value)
{
	char digits[32];

	if (fabs(value) <= EXACT_LIMIT && floor(value) == value)
		put_whole(text, value);
	else if (isfinite(value))
		put(text, digits, (size_t)snprintf(digits, sizeof digits, "%.15g", value));
	else
		put(text, "null", 4);
}

static void put_value(struct text *text, const cJSON *item);

static void put_members(struct text *text, const cJSON *list, char open, char close)
{
	put_char(text, open);
	for (const cJSON *item = list->child; item; item = item->next) {
		if (item != list->child)
			put_char(text, ',');
		if (open == '{') {
			put_quoted(text, item->string);
			put_char(text, ':');
		}
		put_value(text, item);
	}
	put_char(text, close);
}

static void put_value(struct text *text, const cJSON *item)
{
	switch (item->type & 0xFF) {
	case cJSON_String:
		put_quoted(text, item->valuestring);
		break;
	case cJSON_Object:
		put_members(text, item, '{', '}');
		break;
	case cJSON_Array:
		put_members(text, item, '[', ']');
		break;
	case cJSON_Raw:
		put(text, item->valuestring, strlen(item->valuestring));
		break;
	case cJSON_True:
		put(text, "true", 4);
		break;
	case cJSON_False:
		put(text, "false", 5);
		break;
	case cJSON_Number:
		put_number(text, item->valuedouble);
		break;
	default:
		put(text, "null", 4);
	}
}

char *core_json_print(const struct pbx_json *json)
{
	struct text text = { .bytes = json ? malloc(FIRST_ROOM) : NULL, .room = FIRST_ROOM };

	if (!text.bytes)
		return NULL;
	put_value(&text, (const cJSON *)(const void *)json);
	put_char(&text, '\0');
	if (!text.failed)
		return text.bytes;
	free(text.bytes);
	return NULL;
}

void core_json_free_text(char *text)
{
	free(text);
}
