/*
 * pbxctl_print.c - how answers look to a person
 *
 * An answer is a table (pbxctl_table.c), the members of an object, or a text; a stream is lines. What values look like is in pbxctl_text.c.
 */
#include <stdlib.h>
#include <string.h>

#include "pbxctl_ladder.h"
#include "pbxctl_print.h"

#define GAP "  "

const char bold[] = "\033[1m";
static const char green[] = "\033[32m", yellow[] = "\033[33m", red[] = "\033[31m", normal[] = "\033[0m";

/* ---- colours ---------------------------------------------------------------------------- */

static bool is_one_of(const char *text, size_t length, const char *const *words)
{
	while (*words && (strlen(*words) != length || strncmp(text, *words, length) != 0))
		words++;
	return *words != NULL;
}

const char *colour_of(const char *text)
{
	static const char *const good[] = { "running", "up", "ok", "ready", "answered", NULL };
	static const char *const fair[] = { "degraded", "draining", "ringing", "warn", "disabled", NULL };
	static const char *const bad[] = { "failed", "down", "error", NULL };
	size_t length = strcspn(text, ","); /* "answered, on hold" */

	return is_one_of(text, length, good) ? green : is_one_of(text, length, fair) ? yellow : is_one_of(text, length, bad) ? red : "";
}

/* ---- pieces ----------------------------------------------------------------------------- */

void print_cell(const struct look *look, const char *text, const char *colour, int width, int most)
{
	const char *paint = look->colours ? colour : "", *end = most > 0 && behind(text, most) ? behind(text, most - 1) : NULL;

	(void)fputs(paint, look->out);
	print_plain_until(look->out, text, end);
	(void)fputs(end ? "…" : "", look->out);
	(void)fputs(*paint ? normal : "", look->out);
	for (int i = width_of(text); i < width; i++)
		(void)fputc(' ', look->out);
}

void print_indent(const struct look *look)
{
	(void)fprintf(look->out, "%*s", look->indent, "");
}

struct look deeper(const struct look *look)
{
	struct look inner = *look;

	inner.indent += (int)strlen(GAP);
	if (inner.width > (int)strlen(GAP))
		inner.width -= (int)strlen(GAP);
	return inner;
}

/* ---- flowing texts ---------------------------------------------------------------------- */

static void flow_break(struct flow *flow)
{
	(void)fputc('\n', flow->look->out);
	print_indent(flow->look);
	(void)fprintf(flow->look->out, "%*s", flow->margin, "");
	flow->at = flow->margin;
}

/* What is longer than a line goes on in the next. */
static void flow_text(struct flow *flow, const char *text, const char *colour)
{
	int width = flow->look->width;

	for (const char *rest; width > flow->margin && (rest = behind(text, width - flow->at)); text = rest) {
		char *part = strndup(text, (size_t)(rest - text));
		if (!part)
			break;
		print_cell(flow->look, part, colour, 0, 0);
		free(part);
		flow_break(flow);
	}
	print_cell(flow->look, text, colour, 0, 0);
	flow->at += width_of(text);
}

void flow_put(struct flow *flow, const char *key, const char *text, int gap)
{
	int width = flow->look->width, needed = width_of(text) + (key ? width_of(key) + 1 : 0);

	if (flow->at > flow->margin && width > 0 && flow->at + gap + needed > width)
		flow_break(flow);
	else if (flow->at > flow->margin)
		(void)fprintf(flow->look->out, "%*s", gap, ""), flow->at += gap;
	if (key) {
		flow_text(flow, key, bold);
		(void)fputc(' ', flow->look->out);
		flow->at++;
	}
	flow_text(flow, text, key ? colour_of(text) : flow->colour);
}

static void print_sentence(const struct look *look, const char *sentence)
{
	struct flow flow = { .look = look, .colour = bold };

	print_indent(look);
	while (*sentence) {
		size_t length = strcspn(sentence, " ");
		char *word = strndup(sentence, length);
		if (word && *word)
			flow_put(&flow, NULL, word, 1);
		free(word);
		sentence += length + (sentence[length] != '\0');
	}
	(void)fputc('\n', look->out);
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

static void print_lines(const struct look *look, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		char *text = text_of(item);
		print_indent(look);
		print_cell(look, text ? text : "", "", 0, 0);
		(void)fputc('\n', look->out);
		free(text);
	}
}

static void print_nested(const struct look *look, const char *name, const cJSON *value)
{
	const struct look inner = deeper(look);

	print_cell(look, name, bold, 0, 0);
	(void)fputc('\n', look->out);
	if (cJSON_IsObject(value))
		print_members(&inner, value);
	else if (strcmp(name, "ladder") == 0)
		print_ladder(look, value);
	else if (is_table(value))
		print_table(&inner, value, NULL);
	else
		print_lines(&inner, value);
}

void print_member(const struct look *look, const char *name, const cJSON *value, const char *text, int width)
{
	char *own = text ? NULL : text_of(value), *aside = text ? NULL : aside_of(name, value);

	print_indent(look);
	if (is_nested(value) || has_sentences(value)) {
		print_nested(look, name, value);
	} else {
		text = text ? text : own ? own : "";
		print_cell(look, name, bold, width, 0);
		(void)fputs(GAP, look->out);
		print_cell(look, text, colour_of(text), 0, 0);
		if (aside)
			(void)fprintf(look->out, " (%s)", aside);
		(void)fputc('\n', look->out);
	}
	free(own);
	free(aside);
}

void print_members(const struct look *look, const cJSON *object)
{
	const cJSON *sentence = cJSON_GetObjectItemCaseSensitive(object, "sentence"), *member;
	int width = 0;

	if (!cJSON_IsString(sentence) || is_empty(sentence))
		sentence = NULL;
	cJSON_ArrayForEach(member, object)
	{
		if (member != sentence && width_of(member->string) > width)
			width = width_of(member->string);
	}
	if (sentence)
		print_sentence(look, sentence->valuestring);
	cJSON_ArrayForEach(member, object)
	{
		if (member != sentence)
			print_member(look, member->string, member, NULL, width);
	}
}

/* ---- answers ---------------------------------------------------------------------------- */

void print_answer(const struct look *look, const cJSON *body, const char *columns)
{
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(body, "items");
	const char *sentence = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "sentence"));

	if (!cJSON_IsArray(items))
		items = cJSON_IsArray(body) ? body : NULL;
	if (items && (is_table(items) || !items->child)) {
		print_table(look, items, columns);
		if (sentence) /* what the list amounts to */
			print_sentence(look, sentence);
	} else if (items) {
		print_lines(look, items);
	} else if (cJSON_IsObject(body)) {
		print_members(look, body);
	} else if (!is_empty(body)) {
		char *text = text_of(body);
		print_cell(look, text ? text : "", "", 0, 0);
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
		char *text = is_empty(member) ? NULL : text_of(member);
		if (text) {
			(void)fputs(*ret_some ? " " : "", look->out);
			*ret_some = true;
			if (member->string && !is_one_of(member->string, strlen(member->string), bare)) {
				print_plain(look->out, member->string);
				(void)fputc('=', look->out);
			}
			print_cell(look, text, colour_of(text), 0, 0);
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
