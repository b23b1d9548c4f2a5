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

#define FIRST_ROOM 256u
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
	put(text, &c, 1);
}

#define EACH(byte) (UINT64_MAX / 255 * (byte))

/* Whether one of eight bytes is a control character, a quotation mark or a backslash: the top bit of a byte says so. A byte behind one of them may be
 * taken for one, too. */
static bool has_special(uint64_t eight)
{
	uint64_t quotes = eight ^ EACH('"'), slashes = eight ^ EACH('\\');

	return (((eight - EACH(0x20)) & ~eight) | ((quotes - EACH(1)) & ~quotes) | ((slashes - EACH(1)) & ~slashes)) & EACH(0x80);
}

/* How many of the bytes can stand in a text as they are. Most texts are plain to their end: eight at a time. */
static size_t plain_length(const char *bytes, size_t count)
{
	size_t at = 0;

	for (uint64_t eight; count - at >= sizeof eight; at += sizeof eight) {
		memcpy(&eight, bytes + at, sizeof eight);
		if (has_special(eight))
			break;
	}
	while (at < count && (unsigned char)bytes[at] >= 0x20 && bytes[at] != '"' && bytes[at] != '\\')
		at++;
	return at;
}

static void put_escape(struct text *text, unsigned char c)
{
	static const char hex[] = "0123456789abcdef", letters[] = "btn\0fr"; /* from backspace, 8, to carriage return, 13 */
	char escape[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (c == '"' || c == '\\')
		escape[1] = (char)c;
	else if (c >= 8 && c <= 13 && c != 11)
		escape[1] = letters[c - 8];
	put(text, escape, escape[1] == 'u' ? 6 : 2);
}

/* Room is made once, for most texts are short and plain, and again behind what became longer. */
static void put_quoted(struct text *text, const char *string)
{
	const char *at = string ? string : "";
	size_t left = strlen(at), plain;

	if (!make_room(text, left + 2))
		return;
	text->bytes[text->used++] = '"';
	while ((plain = plain_length(at, left)) < left) {
		put(text, at, plain);
		put_escape(text, (unsigned char)at[plain]);
		at += plain + 1;
		left -= plain + 1;
		if (!make_room(text, left + 1))
			return;
	}
	memcpy(text->bytes + text->used, at, left);
	text->used += left;
	text->bytes[text->used++] = '"';
}

static void put_number(struct text *text, double value)
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
	char digits[32];

	if (cJSON_IsString(item))
		put_quoted(text, item->valuestring);
	else if (cJSON_IsObject(item))
		put_members(text, item, '{', '}');
	else if (cJSON_IsArray(item))
		put_members(text, item, '[', ']');
	else if (cJSON_IsRaw(item))
		put(text, item->valuestring, strlen(item->valuestring));
	else if (cJSON_IsBool(item))
		cJSON_IsTrue(item) ? put(text, "true", 4) : put(text, "false", 5);
	else if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
		put(text, "null", 4);
	else if (fabs(item->valuedouble) <= EXACT_LIMIT && floor(item->valuedouble) == item->valuedouble)
		put_number(text, item->valuedouble);
	else
		put(text, digits, (size_t)snprintf(digits, sizeof digits, "%.15g", item->valuedouble));
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
