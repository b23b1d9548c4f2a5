/* core/request_bind.c - the arguments of an HTTP request: path, query, body and headers, each value under its row's name
 *
 * Whatever a row does not declare is refused with the name that was probably meant, so that a misspelt filter is not silently a wider one. */
#include "request_internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoded copy, owned (in a query '+' is a space). PBX_OK, PBX_ENOMEM, PBX_EINVAL (a broken escape, a zero byte, or bytes that are no
 * UTF-8). */
static int decode(const char *text, size_t length, bool is_query, char **ret_text)
{
	AUTO(text) char *decoded = malloc(length + 1);
	size_t size = 0;

	if (!decoded)
		return PBX_ENOMEM;
	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			int high = i + 2 < length + 1 ? hex_digit(text[i + 1]) : -1;
			int low = high >= 0 && i + 2 < length ? hex_digit(text[i + 2]) : -1;

			c = low < 0 ? 0 : high * 16 + low;
			i += 2;
		} else if (c == '+' && is_query) {
			c = ' ';
		}
		if (!c)
			return PBX_EINVAL;
		decoded[size++] = (char)c;
	}
	decoded[size] = '\0';
	for (size_t i = 0, step; i < size; i += step)
		if ((step = core_utf8_length(decoded + i, size - i)) == 0)
			return PBX_EINVAL;
	*ret_text = TAKE(decoded);
	return PBX_OK;
}

static int bind_path(struct core_request *request, const struct core_match *match, struct core_problem *problem)
{
	const struct pbx_table *args = &match->route->row.args;

	for (uint32_t i = 0; i < match->value_count; i++) {
		struct core_bound *bound = &request->bound[i];
		AUTO(text) char *value = NULL;
		int err = decode(match->values[i].value, match->values[i].value_length, false, &value);

		bound->owned_name = strndup(match->values[i].name, match->values[i].name_length);
		if (err == PBX_ENOMEM || !bound->owned_name)
			return PBX_ENOMEM;
		uint32_t at = core_arg_find(args, bound->owned_name);
		struct pbx_arg arg = { .type = PBX_TYPE_TEXT };
		if (at != CORE_ARG_NOT_FOUND)
			arg = core_arg_at(args, at);
		arg.name = bound->owned_name;

		if (!value)
			core_problem_add(problem, 400, "malformed", "path", arg.name, "%s: not a percent-encoded UTF-8 text", arg.name);
		else if (core_arg_from_text(bound, &arg, "path", value, problem) != PBX_OK)
			return PBX_ENOMEM;
	}
	return PBX_OK;
}

/* Where in the request's bound arguments the row's stands: path values first, then rows. */
static struct core_bound *bound_of_row(struct core_request *request, const struct core_match *match, uint32_t row)
{
	return &request->bound[match->value_count + row];
}

static bool is_in_path(const struct core_match *match, const char *name)
{
	for (uint32_t i = 0; i < match->value_count; i++)
		if (strlen(name) == match->values[i].name_length && !memcmp(name, match->values[i].name, match->values[i].name_length))
			return true;
	return false;
}

static void unknown_arg(const struct core_match *match, bool in_query, const char *name, struct core_problem *problem)
{
	const struct pbx_table *args = &match->route->row.args;
	struct core_nearest nearest = { .text = name };

	for (uint32_t i = 0; i < args->count; i++) {
		struct pbx_arg arg = core_arg_at(args, i);

		if (!is_in_path(match, arg.name) && !(arg.flags & PBX_ARG_QUERY) == !in_query)
			core_nearest_consider(&nearest, arg.name);
	}
	core_problem_add(problem, 400, "unknown", in_query ? "query" : "body", name,
			 nearest.word[0] ? "%.96s: unknown, did you mean %s?" : "%.96s: unknown", name, nearest.word);
}

static int bind_query_item(struct core_request *request, const struct core_match *match, const char *item, size_t length,
			   struct core_problem *problem)
{
	const struct pbx_table *args = &match->route->row.args;
	const char *equals = memchr(item, '=', length);
	size_t name_length = equals ? (size_t)(equals - item) : length;
	AUTO(text) char *name = NULL;
	AUTO(text) char *value = NULL;
	int err = decode(item, name_length, true, &name);

	if (err == PBX_OK)
		err = equals ? decode(equals + 1, length - name_length - 1, true, &value) : decode("true", 4, true, &value);
	if (err == PBX_ENOMEM)
		return err;
	if (err != PBX_OK) {
		core_problem_add(problem, 400, "malformed", "query", name ? name : "", "the query is not percent-encoded UTF-8 text");
		return PBX_OK;
	}
	uint32_t at = core_arg_find(args, name);
	if (at == CORE_ARG_NOT_FOUND && core_view_knows(&match->route->row, name))
		return core_view_take(&request->view, name, value, problem);
	if (at == CORE_ARG_NOT_FOUND || !(core_arg_at(args, at).flags & PBX_ARG_QUERY)) {
		unknown_arg(match, true, name, problem);
		return PBX_OK;
	}
	struct core_bound *bound = bound_of_row(request, match, at);
	struct pbx_arg arg = core_arg_at(args, at);
	if (bound->given) {
		core_problem_add(problem, 400, "twice", "query", arg.name, "%s: given twice", arg.name);
		return PBX_OK;
	}
	return core_arg_from_text(bound, &arg, "query", value, problem);
}

static int bind_query(struct core_request *request, const struct core_match *match, const char *query, struct core_problem *problem)
{
	int err = PBX_OK;

	while (err == PBX_OK && *query) {
		size_t length = strcspn(query, "&");

		if (length)
			err = bind_query_item(request, match, query, length, problem);
		query += length;
		query += *query == '&';
	}
	return err;
}

static bool takes_body(const struct core_match *match)
{
	const struct pbx_table *args = &match->route->row.args;

	for (uint32_t i = 0; i < args->count; i++) {
		struct pbx_arg arg = core_arg_at(args, i);

		if (!(arg.flags & PBX_ARG_QUERY) && !is_in_path(match, arg.name))
			return true;
	}
	return false;
}

/* Members against rows. A route that declares no member reads the body by itself. */
static int bind_body(struct core_request *request, const struct core_match *match, struct core_problem *problem)
{
	const struct pbx_table *args = &match->route->row.args;
	int err = PBX_OK;

	if (!request->body || !takes_body(match))
		return PBX_OK;
	if (core_json_type(request->body) != PBX_JSON_OBJECT) {
		core_problem_add(problem, 400, "wrong_type", "body", "", "the body must be a JSON object");
		return PBX_OK;
	}
	for (const struct pbx_json *member = core_json_first(request->body); member && err == PBX_OK; member = core_json_next(member)) {
		uint32_t at = core_arg_find(args, core_json_name(member));

		if (at == CORE_ARG_NOT_FOUND || (core_arg_at(args, at).flags & PBX_ARG_QUERY)) {
			unknown_arg(match, false, core_json_name(member), problem);
			continue;
		}
		struct pbx_arg arg = core_arg_at(args, at);
		if (is_in_path(match, arg.name)) /* what the path says counts */
			continue;
		if (bound_of_row(request, match, at)->given)
			core_problem_add(problem, 400, "twice", "body", arg.name, "%s: given twice", arg.name);
		else
			err = core_arg_from_json(bound_of_row(request, match, at), &arg, member, problem);
	}
	return err;
}

static void check_required(struct core_request *request, const struct core_match *match, struct core_problem *problem)
{
	const struct pbx_table *args = &match->route->row.args;

	for (uint32_t i = 0; i < args->count; i++) {
		struct pbx_arg arg = core_arg_at(args, i);

		if ((arg.flags & PBX_ARG_REQUIRED) && !bound_of_row(request, match, i)->given && !is_in_path(match, arg.name))
			core_problem_add(problem, 400, "missing", arg.flags & PBX_ARG_QUERY ? "query" : "body", arg.name, "%s: is missing",
					 arg.name);
	}
}

static const char *header_of(const struct core_http_request *http, const char *name)
{
	for (uint32_t i = 0; i < http->header_count; i++)
		if (!strcasecmp(http->header_names[i], name))
			return http->header_values[i];
	return NULL;
}

static bool is_json_type(const char *content_type)
{
	size_t length = strcspn(content_type, "; ");

	return (length == 16 && !strncasecmp(content_type, "application/json", length)) ||
	       (length > 5 && !strncasecmp(content_type + length - 5, "+json", 5));
}

static int take_body(struct core_request *request, const struct core_match *match, const struct core_http_request *http,
		     struct core_problem *problem)
{
	const char *content_type = header_of(http, "Content-Type");
	struct pbx_diag diag = { 0 };

	if (match->route->row.flags & PBX_ROUTE_RAW_BODY) {
		request->raw = malloc(http->body_size + 1);
		if (!request->raw)
			return PBX_ENOMEM;
		if (http->body_size)
			memcpy(request->raw, http->body, http->body_size);
		request->raw[http->body_size] = '\0';
		request->raw_size = http->body_size;
		return PBX_OK;
	}
	if (!http->body_size)
		return PBX_OK;
	if (content_type && !is_json_type(content_type)) {
		core_problem_add(problem, 415, "not_json", "body", "", "the body must be application/json, not %.64s", content_type);
		return PBX_OK;
	}
	if (http->most_json && http->body_size > http->most_json) { /* each value in it is memory and time of the loop */
		core_problem_add(problem, 413, "too_large", "body", "", "JSON has at most %u bytes here (api.max_json_bytes), this has %zu",
				 http->most_json, http->body_size);
		return PBX_OK;
	}
	request->body = core_json_parse(http->body, http->body_size, &diag);
	if (!request->body)
		core_problem_add(problem, 400, "malformed_json", "body", "", "the body is not JSON: %s", diag.text);
	return PBX_OK;
}

static int take_headers(struct core_request *request, const struct core_http_request *http)
{
	request->headers = calloc(2 * (size_t)http->header_count + 1, sizeof *request->headers);
	if (!request->headers)
		return PBX_ENOMEM;
	request->header_count = http->header_count;
	for (uint32_t i = 0; i < http->header_count; i++) {
		request->headers[2 * i] = strdup(http->header_names[i]);
		request->headers[2 * i + 1] = strdup(http->header_values[i]);
		if (!request->headers[2 * i] || !request->headers[2 * i + 1]) {
			request->header_count = i + 1;
			return PBX_ENOMEM;
		}
	}
	return PBX_OK;
}

int core_request_bind(struct core_request *request, const struct core_match *match, const struct core_http_request *http,
		      struct core_problem *problem)
{
	int err = core_request_reserve(request, match->value_count + match->route->row.args.count);

	request->path = strdup(http->path);
	request->query = strdup(http->query ? http->query : "");
	if (!request->path || !request->query)
		return PBX_ENOMEM;
	if (err == PBX_OK)
		err = take_headers(request, http);
	if (err == PBX_OK)
		err = bind_path(request, match, problem);
	if (err == PBX_OK)
		err = bind_query(request, match, http->query ? http->query : "", problem);
	if (err == PBX_OK)
		err = take_body(request, match, http, problem);
	if (err == PBX_OK && !problem->status)
		err = bind_body(request, match, problem);
	if (err == PBX_OK && problem->status != 415 && problem->status != 413 && strcmp(problem->code, "malformed_json") != 0)
		check_required(request, match, problem);
	return err;
}
