/*
 * pbxctl_text.c - values as short texts
 *
 * Here stand the rules for all that pbxctl shows a person: what is empty is "-", a duration is read by the unit in its name, what is nested becomes
 * flat facts. What a stranger may have chosen (a caller's display name) is printed without control characters, so that nobody's phone can command
 * an administrator's terminal.
 */
#include <stdlib.h>
#include <string.h>

#include "pbxctl_text.h"

/* ---- on the screen ---------------------------------------------------------------------- */

/* Length of the control character at text: C0, DEL, or the two bytes of a C1 one. 0: it is none. */
static size_t control_length(const char *text)
{
	unsigned char first = (unsigned char)text[0], second = (unsigned char)text[1];

	if (first < 0x20 || first == 0x7f)
		return 1;
	return first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

void print_plain_until(FILE *out, const char *text, const char *end)
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

static bool begins_character(const char *text)
{
	return ((unsigned char)*text & 0xc0) != 0x80;
}

int width_of(const char *text)
{
	int width = 0;

	while (*text) {
		size_t control = control_length(text);
		if (begins_character(text))
			width++;
		text += control > 0 ? control : 1;
	}
	return width;
}

const char *behind(const char *text, int width)
{
	for (int columns = 0; *text; text++)
		if (begins_character(text) && ++columns > width)
			return text;
	return NULL;
}

/* ---- empty, nested ---------------------------------------------------------------------- */

bool is_empty(const cJSON *value)
{
	if (cJSON_IsArray(value) || cJSON_IsObject(value))
		return !value->child;
	return !value || cJSON_IsNull(value) || (cJSON_IsString(value) && !*value->valuestring);
}

bool is_nested(const cJSON *value)
{
	const cJSON *item;

	if (cJSON_IsObject(value))
		return value->child != NULL;
	if (!cJSON_IsArray(value))
		return false;
	cJSON_ArrayForEach(item, value)
	{
		if (cJSON_IsObject(item) || cJSON_IsArray(item))
			return true;
	}
	return false;
}

/* ---- facts ------------------------------------------------------------------------------ */

static void add_fact(struct facts *facts, const char *key, const cJSON *value)
{
	struct fact *items = realloc(facts->items, ((size_t)facts->count + 1) * sizeof *items);

	if (!items)
		return;
	facts->items = items;
	items[facts->count] = (struct fact){ strdup(key), text_of(value) };
	if (items[facts->count].key && items[facts->count].text) {
		facts->count++;
		return;
	}
	free(items[facts->count].key);
	free(items[facts->count].text);
}

static void gather(struct facts *facts, const char *key, const cJSON *value)
{
	const cJSON *member;
	int number = 0;

	if (is_empty(value))
		return;
	if (!is_nested(value)) {
		add_fact(facts, key, value);
		return;
	}
	cJSON_ArrayForEach(member, value)
	{
		char *deeper = NULL, counted[16];

		(void)snprintf(counted, sizeof counted, "%d", ++number);
		if (asprintf(&deeper, "%s%s%s", key, *key ? "." : "", member->string ? member->string : counted) < 0)
			return;
		gather(facts, deeper, member);
		free(deeper);
	}
}

struct facts facts_of(const cJSON *value)
{
	struct facts facts = { NULL, 0 };

	gather(&facts, "", value);
	return facts;
}

void facts_free(struct facts *facts)
{
	for (int i = 0; i < facts->count; i++) {
		free(facts->items[i].key);
		free(facts->items[i].text);
	}
	free(facts->items);
	*facts = (struct facts){ NULL, 0 };
}

/* In quotes where it would not be one word. */
static void put_word(FILE *out, const char *text)
{
	if (!text[strcspn(text, " \t=\"\\")]) {
		(void)fputs(text, out);
		return;
	}
	(void)fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
	(void)fputc('"', out);
}

static void put_facts(FILE *out, const cJSON *value)
{
	struct facts facts = facts_of(value);

	for (int i = 0; i < facts.count; i++) {
		(void)fprintf(out, "%s%s=", i > 0 ? " " : "", facts.items[i].key);
		put_word(out, facts.items[i].text);
	}
	(void)fputs(facts.count == 0 ? "-" : "", out);
	facts_free(&facts);
}

/* ---- texts ------------------------------------------------------------------------------ */

static void put_list(FILE *out, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		char *text = text_of(item);
		(void)fprintf(out, "%s%s", item != list->child ? ", " : "", text ? text : "");
		free(text);
	}
}

char *text_of(const cJSON *value)
{
	size_t size = 0;
	char *text = NULL;

	if (is_empty(value))
		return strdup("-");
	if (cJSON_IsString(value))
		return strdup(value->valuestring);
	if (cJSON_IsBool(value))
		return strdup(cJSON_IsTrue(value) ? "yes" : "no");
	if (!cJSON_IsArray(value) && !cJSON_IsObject(value))
		return cJSON_PrintUnformatted(value);

	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	(is_nested(value) ? put_facts : put_list)(out, value);
	return fclose(out) == 0 ? text : NULL;
}

/* ---- durations -------------------------------------------------------------------------- */

struct unit {
	const char *suffix;
	double ms;
	double long_ms; /* from here on people read another unit more easily */
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* The unit of a duration. NULL: the name has none, or is that of a rate or an instant. */
static const struct unit *unit_of(const char *name)
{
	static const struct unit units[] = { { "_ms", 1, 1000 }, { "_us", 0.001, 1 }, { "_s", 1000, 60000 }, { NULL, 0, 0 } };
	static const char *const others[] = { "per", "at", "wall", NULL };
	const struct unit *unit = units;

	while (unit->suffix && !ends_with(name, unit->suffix))
		unit++;
	if (!unit->suffix)
		return NULL;
	for (const char *const *other = others; *other; other++) {
		size_t length = strlen(*other), stem = strlen(name) - strlen(unit->suffix);
		if (stem >= length && strncmp(name + stem - length, *other, length) == 0 &&
		    (stem == length || name[stem - length - 1] == '_'))
			return NULL;
	}
	return unit;
}

/* An hour or more tells no parts of a second, and a day no more than needed. */
static void say_clock(double ms, char *ret_text, size_t size)
{
	long s = (long)(ms / 1000);

	if (s < 3600)
		(void)snprintf(ret_text, size, "%ld:%02ld", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(ret_text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
	else
		(void)snprintf(ret_text, size, "%ld d %ld:%02ld:%02ld", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
}

static void say_duration(double ms, char *ret_text, size_t size)
{
	if (ms < 0.0005)
		(void)snprintf(ret_text, size, "0");
	else if (ms < 1)
		(void)snprintf(ret_text, size, "%.0f µs", ms * 1000);
	else if (ms < 10)
		(void)snprintf(ret_text, size, "%.3g ms", (double)(long)(ms * 100) / 100);
	else if (ms < 1000)
		(void)snprintf(ret_text, size, "%ld ms", (long)ms);
	else if (ms < 10000)
		(void)snprintf(ret_text, size, "%.2g s", (double)(long)(ms / 100) / 10);
	else
		say_clock(ms, ret_text, size);
}

static char *duration_text(double ms)
{
	char text[64];
	bool is_back = ms < 0;

	if (!(ms > -1e15 && ms < 1e15)) /* no number of anything */
		return NULL;
	text[0] = '-';
	say_duration(is_back ? -ms : ms, text + 1, sizeof text - 1);
	return strdup(text + !is_back);
}

char *reading_of(const char *name, const cJSON *value)
{
	const struct unit *unit = cJSON_IsNumber(value) ? unit_of(name) : NULL;
	char *text = unit ? duration_text(value->valuedouble * unit->ms) : NULL;

	return text ? text : text_of(value);
}

size_t heading_length(const char *name)
{
	const struct unit *unit = unit_of(name);

	return strlen(name) - (unit ? strlen(unit->suffix) : 0);
}

char *aside_of(const char *name, const cJSON *value)
{
	const struct unit *unit = cJSON_IsNumber(value) ? unit_of(name) : NULL;

	double ms = unit ? value->valuedouble * unit->ms : 0;

	return unit && (ms >= unit->long_ms || ms <= -unit->long_ms) ? duration_text(ms) : NULL;
}
