/* core/request_args.c - a value somebody sent against the row that declares it
 *
 * The same checks serve path, query, body and command line, so that a handler never sees a value its table does not allow. Whatever the
 * table (and so the API document) rules out is answered with 400 and the field: missing, unknown, of the wrong type, out of range, not one of
 * the choices. 422 is left to handlers, for what only they can judge. Every fault of a request is collected, so that a form can mark them
 * all at once. */
#include "near.h"
#include "one_line.h"
#include "request_internal.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MOST_ERRORS 16u
#define MOST_NEAR_LENGTH 48u

void core_row_copy(const struct pbx_table *table, uint32_t index, void *ret_row, size_t size)
{
	const char *row = (const char *)table->rows + (size_t)index * table->row_size;

	memset(ret_row, 0, size);
	memcpy(ret_row, row, size < table->row_size ? size : table->row_size);
}

struct pbx_arg core_arg_at(const struct pbx_table *args, uint32_t index)
{
	struct pbx_arg arg;

	core_row_copy(args, index, &arg, sizeof arg);
	return arg;
}

struct pbx_field core_field_at(const struct pbx_table *fields, uint32_t index)
{
	struct pbx_field field;

	core_row_copy(fields, index, &field, sizeof field);
	return field;
}

uint32_t core_arg_find(const struct pbx_table *args, const char *name)
{
	for (uint32_t i = 0; i < args->count; i++)
		if (!strcmp(core_arg_at(args, i).name, name))
			return i;
	return CORE_ARG_NOT_FOUND;
}

const char *core_arg_type_name(uint32_t type)
{
	static const char *const names[] = { "value",         "boolean", "integer",         "number", "text", "choice",
					     "list of texts", "object",  "list of objects", "text",   "time" };

	return type < sizeof names / sizeof names[0] ? names[type] : names[0];
}

void core_bound_fini(struct core_bound *bound)
{
	free(bound->owned_name);
	free(bound->text);
	core_json_free(bound->owned_json);
	*bound = (struct core_bound){ 0 };
}

/* ---- faults --------------------------------------------------------------------------- */

static struct pbx_json *error_new(const char *code, const char *in, const char *field, const char *text)
{
	struct pbx_json *error = core_json_object();
	char pointer[128];

	(void)snprintf(pointer, sizeof pointer, "/%s", field);
	if (error && core_json_set_text(error, "pointer", pointer) == PBX_OK && core_json_set_text(error, "in", in) == PBX_OK &&
	    core_json_set_text(error, "code", code) == PBX_OK && core_json_set_text(error, "detail", text) == PBX_OK)
		return error;
	core_json_free(error);
	return NULL;
}

void core_problem_set(struct core_problem *problem, uint32_t status, const char *code, const char *format, ...)
{
	va_list args;

	problem->status = status;
	(void)snprintf(problem->code, sizeof problem->code, "%s", code);
	va_start(args, format);
	(void)vsnprintf(problem->detail, sizeof problem->detail, format, args);
	va_end(args);
}

void core_problem_add(struct core_problem *problem, uint32_t status, const char *code, const char *in, const char *field,
		      const char *format, ...)
{
	char text[sizeof problem->detail];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);

	if (!problem->status) {
		problem->status = status;
		(void)snprintf(problem->code, sizeof problem->code, "%s", code);
		(void)snprintf(problem->detail, sizeof problem->detail, "%s", text);
	}
	if (!problem->errors)
		problem->errors = core_json_array();
	if (!problem->errors || core_json_count(problem->errors) >= MOST_ERRORS)
		return;
	struct pbx_json *error = error_new(code, in, field, text);
	if (error)
		(void)core_json_append(problem->errors, error); /* without memory the detail has to do */
}

/* ---- texts that look alike ------------------------------------------------------------ */

void core_nearest_consider(struct core_nearest *nearest, const char *word)
{
	size_t length = strlen(nearest->text);

	if (length > MOST_NEAR_LENGTH || strlen(word) > MOST_NEAR_LENGTH)
		return;
	uint32_t distance = core_text_distance(nearest->text, word);
	if (distance > 1 + length / 4 || (nearest->word[0] && distance >= nearest->distance))
		return;
	nearest->distance = distance;
	(void)snprintf(nearest->word, sizeof nearest->word, "%s", word);
}

/* ---- times ---------------------------------------------------------------------------- */

static const char *parse_fraction(const char *at, int64_t *ret_us)
{
	int64_t scale = 100000, us = 0;

	for (; *at >= '0' && *at <= '9'; at++, scale /= 10)
		us += (*at - '0') * scale;
	*ret_us = us;
	return at;
}

static int parse_zone(const char *at, int64_t *ret_offset_s)
{
	unsigned hours, minutes;
	int used = 0;

	*ret_offset_s = 0;
	if (!*at || !strcasecmp(at, "z"))
		return PBX_OK;
	if ((*at != '+' && *at != '-') || sscanf(at + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 || at[1 + used] || hours > 23 ||
	    minutes > 59)
		return PBX_EINVAL;
	*ret_offset_s = (int64_t)(hours * 3600 + minutes * 60) * (*at == '-' ? -1 : 1);
	return PBX_OK;
}

int core_time_parse(const char *text, int64_t *ret_wall_us)
{
	struct tm when = { 0 };
	int used = 0;
	int64_t us = 0, offset_s;

	if (sscanf(text, "%4d-%2d-%2d%n", &when.tm_year, &when.tm_mon, &when.tm_mday, &used) != 3 || used != 10)
		return PBX_EINVAL;
	const char *at = text + used;
	if (*at == 'T' || *at == 't' || *at == ' ') {
		if (sscanf(at + 1, "%2d:%2d%n", &when.tm_hour, &when.tm_min, &used) != 2)
			return PBX_EINVAL;
		at += 1 + used;
		if (*at == ':') {
			if (sscanf(at + 1, "%2d%n", &when.tm_sec, &used) != 1)
				return PBX_EINVAL;
			at += 1 + used;
		}
		if (*at == '.')
			at = parse_fraction(at + 1, &us);
	}
	if (parse_zone(at, &offset_s) != PBX_OK || when.tm_mon < 1 || when.tm_mon > 12 || when.tm_mday < 1 || when.tm_mday > 31 ||
	    when.tm_hour < 0 || when.tm_hour > 23 || when.tm_min < 0 || when.tm_min > 59 || when.tm_sec < 0 || when.tm_sec > 60 ||
	    when.tm_year < 0)
		return PBX_EINVAL;
	when.tm_year -= 1900;
	when.tm_mon -= 1;
	*ret_wall_us = ((int64_t)timegm(&when) - offset_s) * 1000000 + us;
	return PBX_OK;
}

/* ---- checks --------------------------------------------------------------------------- */

static void describe_choices(const char *const *choices, char *ret_text, size_t size)
{
	size_t at = 0;

	ret_text[0] = '\0';
	for (; *choices && at < size; choices++) {
		int written = snprintf(ret_text + at, size - at, "%s%s", at ? ", " : "", *choices);

		at += written > 0 ? (size_t)written : 0;
	}
}

static void check_choice(const struct pbx_arg *arg, const char *in, const char *text, struct core_problem *problem)
{
	char allowed[256];

	if (!arg->choices)
		return;
	for (const char *const *choice = arg->choices; *choice; choice++)
		if (!strcmp(*choice, text))
			return;
	describe_choices(arg->choices, allowed, sizeof allowed);
	core_problem_add(problem, 400, "invalid_value", in, arg->name, "%s: \"%.64s\" is not one of %s", arg->name, text, allowed);
}

/* What a text ends in (a header, a line of a log) is its reader's affair; nothing in it ends that. */
static void check_line(const struct pbx_arg *arg, const char *in, const char *text, struct core_problem *problem)
{
	if (!(arg->flags & PBX_ARG_LINES) && !core_is_one_line(text))
		core_problem_add(problem, 400, "invalid_value", in, arg->name,
				 "%s: a line end or another control character is in it, write it in one line", arg->name);
}

static void check_lines(const struct pbx_arg *arg, const char *in, const struct pbx_json *list, struct core_problem *problem)
{
	for (const struct pbx_json *item = core_json_first(list); item; item = core_json_next(item))
		if (core_json_text(item) && !core_is_one_line(core_json_text(item))) {
			check_line(arg, in, core_json_text(item), problem);
			return;
		}
}

static void check_range(const struct pbx_arg *arg, const char *in, int64_t value, const char *what, struct core_problem *problem)
{
	if (arg->least >= arg->most || (value >= arg->least && value <= arg->most))
		return;
	core_problem_add(problem, 400, "out_of_range", in, arg->name, "%s: %s%lld is not within %lld and %lld", arg->name, what,
			 (long long)value, (long long)arg->least, (long long)arg->most);
}

static void wrong_type(const struct pbx_arg *arg, const char *in, struct core_problem *problem)
{
	core_problem_add(problem, 400, "wrong_type", in, arg->name, "%s: expected %s%s%s", arg->name,
			 strchr("aeiou", core_arg_type_name(arg->type)[0]) ? "an " : "a ", core_arg_type_name(arg->type),
			 arg->type == PBX_TYPE_TIME ? ", such as 2026-03-01 or 2026-03-01T08:00:00Z" : "");
}

static int parse_integer(const char *text, int64_t *ret_value)
{
	char *end;

	errno = 0;
	*ret_value = strtoll(text, &end, 10);
	return errno || end == text || *end || text[0] == ' ' ? PBX_EINVAL : PBX_OK;
}

static int parse_boolean(const char *text, bool *ret_value)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (!strcasecmp(words[i], text)) {
			*ret_value = i % 2;
			return PBX_OK;
		}
	}
	return PBX_EINVAL;
}

/* "a,b,c" as a list of texts; "" is an empty list. */
static struct pbx_json *split_list(const char *text)
{
	struct pbx_json *list = core_json_array();
	AUTO(text) char *copy = strdup(text);
	char *rest = copy;

	for (char *item; list && copy && *text && (item = strsep(&rest, ",")) != NULL;) {
		if (core_json_append_text(list, item) != PBX_OK) {
			core_json_free(list);
			return NULL;
		}
	}
	return copy ? list : (core_json_free(list), NULL);
}

/* Text of a command line or query that stands for JSON: {"a": 1} */
static int bind_json_text(struct core_bound *bound, const struct pbx_arg *arg, const char *in, const char *text,
			  struct core_problem *problem)
{
	uint32_t wanted = arg->type == PBX_TYPE_OBJECT ? PBX_JSON_OBJECT : arg->type == PBX_TYPE_OBJECTS ? PBX_JSON_ARRAY : PBX_JSON_NUMBER;

	bound->owned_json = core_json_parse(text, strlen(text), NULL);
	bound->json = bound->owned_json;
	if (core_json_type(bound->json) != wanted)
		wrong_type(arg, in, problem);
	return PBX_OK;
}

static int bind_list(struct core_bound *bound, const char *text)
{
	bound->owned_json = split_list(text);
	bound->json = bound->owned_json;
	return bound->json ? PBX_OK : PBX_ENOMEM;
}

int core_arg_from_text(struct core_bound *bound, const struct pbx_arg *arg, const char *in, const char *text, struct core_problem *problem)
{
	bound->name = arg->name;
	bound->given = true;
	if (arg->type != PBX_TYPE_LIST && arg->type != PBX_TYPE_OBJECT && arg->type != PBX_TYPE_OBJECTS) {
		bound->text = strdup(text);
		if (!bound->text)
			return PBX_ENOMEM;
	}

	switch (arg->type) {
	case PBX_TYPE_BOOL:
		if (parse_boolean(text, &bound->boolean) != PBX_OK)
			wrong_type(arg, in, problem);
		break;
	case PBX_TYPE_INT:
		if (parse_integer(text, &bound->integer) != PBX_OK)
			wrong_type(arg, in, problem);
		else
			check_range(arg, in, bound->integer, "", problem);
		break;
	case PBX_TYPE_TIME:
		if (core_time_parse(text, &bound->integer) != PBX_OK)
			wrong_type(arg, in, problem);
		break;
	case PBX_TYPE_NUMBER:
	case PBX_TYPE_OBJECT:
	case PBX_TYPE_OBJECTS:
		return bind_json_text(bound, arg, in, text, problem);
	case PBX_TYPE_LIST:
		check_line(arg, in, text, problem);
		return bind_list(bound, text);
	case PBX_TYPE_TEXT:
	case PBX_TYPE_SECRET:
		check_line(arg, in, text, problem);
		check_range(arg, in, (int64_t)strlen(text), "a length of ", problem);
		check_choice(arg, in, text, problem);
		break;
	default:
		check_choice(arg, in, text, problem);
		check_range(arg, in, (int64_t)strlen(text), "a length of ", problem);
	}
	return PBX_OK;
}

static inline void printed_auto_(char **at)
{
	core_json_free_text(*at);
}

static bool is_list_of(const struct pbx_json *json, uint32_t type)
{
	if (core_json_type(json) != PBX_JSON_ARRAY)
		return false;
	for (const struct pbx_json *item = core_json_first(json); item; item = core_json_next(item))
		if (core_json_type(item) != type)
			return false;
	return true;
}

/* A scalar of the body becomes the text it would have been elsewhere, and goes the same way. NULL: not this type. */
static const char *scalar_text(const struct pbx_arg *arg, const struct pbx_json *json, char buffer[32])
{
	int64_t integer = core_json_integer(json, INT64_MIN);

	switch (arg->type) {
	case PBX_TYPE_BOOL:
		return core_json_type(json) != PBX_JSON_BOOL ? NULL : core_json_boolean(json, false) ? "true" : "false";
	case PBX_TYPE_INT:
		if (core_json_type(json) != PBX_JSON_NUMBER || integer == INT64_MIN)
			return NULL;
		(void)snprintf(buffer, 32, "%lld", (long long)integer);
		return buffer;
	case PBX_TYPE_NUMBER:
		if (core_json_type(json) != PBX_JSON_NUMBER)
			return NULL;
		(void)snprintf(buffer, 32, "%.17g", core_json_number(json, 0));
		return buffer;
	default:
		return core_json_text(json);
	}
}

int core_arg_from_json(struct core_bound *bound, const struct pbx_arg *arg, const struct pbx_json *json, struct core_problem *problem)
{
	char buffer[32];

	bound->name = arg->name;
	bound->given = true;
	bound->json = json;
	if (core_json_type(json) == PBX_JSON_NULL) {
		if (arg->flags & PBX_ARG_REQUIRED)
			wrong_type(arg, "body", problem);
		return PBX_OK;
	}
	if (arg->type == PBX_TYPE_LIST || arg->type == PBX_TYPE_OBJECT || arg->type == PBX_TYPE_OBJECTS) {
		bool fits = arg->type == PBX_TYPE_LIST     ? is_list_of(json, PBX_JSON_TEXT)
			    : arg->type == PBX_TYPE_OBJECT ? core_json_type(json) == PBX_JSON_OBJECT
							   : is_list_of(json, PBX_JSON_OBJECT);
		if (!fits)
			wrong_type(arg, "body", problem);
		else if (arg->type == PBX_TYPE_LIST)
			check_lines(arg, "body", json, problem);
		return PBX_OK;
	}

	if (!arg->type) { /* whatever it is, as its text */
		AUTO(printed) char *printed = core_json_text(json) ? NULL : core_json_print(json);

		return core_arg_from_text(bound, arg, "body",
					  printed                ? printed
					  : core_json_text(json) ? core_json_text(json)
								 : "",
					  problem);
	}
	const char *text = scalar_text(arg, json, buffer);
	if (!text) {
		wrong_type(arg, "body", problem);
		return PBX_OK;
	}
	return core_arg_from_text(bound, arg, "body", text, problem);
}
