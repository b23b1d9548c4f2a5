/* core/request.c - the table of routes, and an HTTP request's way through it
 *
 * Path, then method, then who asks, then the arguments: each step refuses with the answer HTTP has for it (404, 405 with Allow, 401 or 403,
 * 400). A template's segment is a literal, {name}, or {name} with an action behind it ("{id}:test"); of several templates that
 * fit a path the one that is more literal from the left wins. */
#include "request_internal.h"
#include "calls.h"
#include "listeners.h"
#include <stdlib.h>
#include <string.h>

#define MOST_PATH 2048u

static struct core_route *routes;
static struct core_command *commands;
static struct core_listener *askers; /* who want to know who asks */

const struct core_route *core_routes(void)
{
	return routes;
}

const struct core_command *core_commands(void)
{
	return commands;
}

int core_requests_init(void)
{
	return core_replies_init();
}

void core_requests_fini(void)
{
	core_replies_fini();
	while (routes) {
		struct core_route *route = routes;

		routes = route->next;
		free(route);
	}
	while (commands) {
		struct core_command *command = commands;

		commands = command->next;
		free(command);
	}
}

/* ---- declaring ------------------------------------------------------------------------ */

/* A successor may have what its predecessor has, and is asked from then on. */
static bool is_taken_by(const struct pbx_host *holder, const struct pbx_host *owner)
{
	return holder == owner || strcmp(core_owner_name(holder), core_owner_name(owner)) != 0;
}

/* "{a}" and "{b}" are the same place. */
static bool same_template(const char *a, const char *b)
{
	while (*a && *a == *b) {
		if (*a == '{') {
			a += strcspn(a, "}");
			b += strcspn(b, "}");
			if (!*a || !*b)
				return false;
		}
		a++, b++;
	}
	return *a == *b;
}

static int check_route(const struct pbx_host *owner, const struct pbx_route *row, struct pbx_diag *diag)
{
	if (!row->method || !row->path || row->path[0] != '/' || !row->handle) {
		pbx_diag_set(diag, NULL, "its route \"%s %s\" lacks method, path or handle", row->method ? row->method : "",
			     row->path ? row->path : "");
		return PBX_EINVAL;
	}
	for (const struct core_route *other = routes; other; other = other->next) {
		if (strcmp(other->row.method, row->method) || !same_template(other->row.path, row->path) ||
		    !is_taken_by(other->owner, owner))
			continue;
		pbx_diag_set(diag, NULL, "its route \"%s %s\" is declared by %s already", row->method, row->path,
			     core_owner_name(other->owner));
		return PBX_EEXIST;
	}
	return PBX_OK;
}

static int add_route(struct pbx_host *owner, const struct pbx_table *table, uint32_t index, struct pbx_diag *diag)
{
	struct pbx_route row;

	core_row_copy(table, index, &row, sizeof row);
	int err = check_route(owner, &row, diag);
	if (err != PBX_OK)
		return err;

	struct core_route *route = malloc(sizeof *route);
	if (!route)
		return PBX_ENOMEM;
	*route = (struct core_route){ .next = routes, .owner = owner, .row = row };
	routes = route;
	return PBX_OK;
}

static int check_command(const struct pbx_host *owner, const struct pbx_command *row, struct pbx_diag *diag)
{
	if (!row->words || !row->words[0] || !row->handle) {
		pbx_diag_set(diag, NULL, "its command \"%s\" lacks words or handle", row->words ? row->words : "");
		return PBX_EINVAL;
	}
	for (const struct core_command *other = commands; other; other = other->next) {
		if (strcmp(other->row.words, row->words) || !is_taken_by(other->owner, owner))
			continue;
		pbx_diag_set(diag, NULL, "its command \"%s\" is declared by %s already", row->words, core_owner_name(other->owner));
		return PBX_EEXIST;
	}
	return PBX_OK;
}

static int add_command(struct pbx_host *owner, const struct pbx_table *table, uint32_t index, struct pbx_diag *diag)
{
	struct pbx_command row;

	core_row_copy(table, index, &row, sizeof row);
	int err = check_command(owner, &row, diag);
	if (err != PBX_OK)
		return err;

	struct core_command *command = malloc(sizeof *command);
	if (!command)
		return PBX_ENOMEM;
	*command = (struct core_command){ .next = commands, .owner = owner, .row = row };
	commands = command;
	return PBX_OK;
}

int core_requests_declare(struct pbx_host *owner, const struct pbx_table *new_routes, const struct pbx_table *new_commands,
			  struct pbx_diag *diag)
{
	int err = PBX_OK;

	for (uint32_t i = 0; err == PBX_OK && i < new_routes->count; i++)
		err = add_route(owner, new_routes, i, diag);
	for (uint32_t i = 0; err == PBX_OK && i < new_commands->count; i++)
		err = add_command(owner, new_commands, i, diag);
	if (err != PBX_OK)
		core_requests_undeclare(owner);
	return err;
}

void core_requests_undeclare(struct pbx_host *owner)
{
	for (struct core_route **at = &routes, *route; (route = *at) != NULL;) {
		if (route->owner != owner) {
			at = &route->next;
			continue;
		}
		*at = route->next;
		free(route);
	}
	for (struct core_command **at = &commands, *command; (command = *at) != NULL;) {
		if (command->owner != owner) {
			at = &command->next;
			continue;
		}
		*at = command->next;
		free(command);
	}
}

/* ---- matching ------------------------------------------------------------------------- */

/* Matches one segment; returns its rank, 0 when it does not fit. */
static uint32_t match_segment(const char *template, size_t template_length, const char *segment, size_t length, struct core_match *match)
{
	const char *close = memchr(template, '}', template_length);

	if (template[0] != '{' || !close)
		return template_length == length && !memcmp(template, segment, length) ? 3 : 0;

	size_t action_length = template_length - (size_t)(close + 1 - template);
	if (length <= action_length || memcmp(close + 1, segment + length - action_length, action_length) != 0 ||
	    match->value_count == CORE_PATH_VALUES)
		return 0;
	match->values[match->value_count].name = template + 1;
	match->values[match->value_count].name_length = (size_t)(close - template) - 1;
	match->values[match->value_count].value = segment;
	match->values[match->value_count].value_length = length - action_length;
	match->value_count++;
	return action_length ? 2 : 1;
}

static bool match_path(const struct core_route *route, const char *path, struct core_match *ret_match)
{
	struct core_match match = { .route = route };
	const char *template = route->row.path;
	uint32_t shift = 62;

	while (*template == '/' && *path == '/') {
		size_t template_length = strcspn(++template, "/"), length = strcspn(++path, "/");
		uint32_t rank = match_segment(template, template_length, path, length, &match);

		if (!rank)
			return false;
		match.literal |= (uint64_t)rank << shift;
		shift -= shift ? 2 : 0;
		template += template_length;
		path += length;
	}
	if (*template || *path)
		return false;
	*ret_match = match;
	return true;
}

/* "GET, POST": what this path can be asked. Newest first, so a method may come twice; it is said once. */
static void list_methods(const char *path, char *ret_text, size_t size)
{
	struct core_match match;
	size_t at = 0;

	ret_text[0] = '\0';
	for (const struct core_route *route = routes; route && at < size; route = route->next) {
		if (!match_path(route, path, &match) || strstr(ret_text, route->row.method))
			continue;
		int written = snprintf(ret_text + at, size - at, "%s%s", at ? ", " : "", route->row.method);
		at += written > 0 ? (size_t)written : 0;
	}
}

static const struct core_route *find_route(const char *method, const char *path, struct core_match *ret_match)
{
	const char *wanted = strcmp(method, "HEAD") ? method : "GET";
	struct core_match match;

	ret_match->route = NULL;
	ret_match->literal = 0;
	for (const struct core_route *route = routes; route; route = route->next)
		if (!strcmp(route->row.method, wanted) && match_path(route, path, &match) && match.literal > ret_match->literal)
			*ret_match = match;
	return ret_match->route;
}

typedef void (*asked_fn)(void *self, const char *account);

int core_requests_on_asked(struct pbx_host *host, asked_fn asked, void *self)
{
	return core_listeners_add(&askers, host, "listener of requests", (core_listener_fn)asked, self);
}

/* ---- a request's way ------------------------------------------------------------------ */

static void no_route(const struct core_request *request, const char *method, const char *path, struct core_problem *problem)
{
	char methods[64];

	list_methods(path, methods, sizeof methods);
	if (methods[0]) {
		core_problem_set(problem, 405, "method_not_allowed", "%.16s cannot be asked of this resource, only %s", method, methods);
		core_request_header(request, "Allow", methods);
	} else {
		core_problem_set(problem, 404, "not_found", "there is no such resource");
	}
}

static void check_asker(const struct core_request *request, const struct pbx_route *route, struct core_problem *problem)
{
	if (route->flags & PBX_ROUTE_PUBLIC)
		return;
	if (!request->is_logged_in) {
		core_problem_set(problem, 401, "not_logged_in", "log in first: a bearer token is needed");
		core_request_header(request, "WWW-Authenticate", "Bearer");
	} else if (route->scope && !core_request_may(request, route->scope)) {
		core_problem_set(problem, 403, "not_permitted", "this needs the scope %s", route->scope);
	}
}

void core_check_draining(const struct core_request *request, uint32_t flags, struct core_problem *problem)
{
	if (!(flags & PBX_ROUTE_WRITES) || !core_calls_draining())
		return;
	core_problem_set(problem, 503, "stopping", "the PBX is being stopped and takes no changes");
	core_request_header(request, "Retry-After", "30");
}

bool core_route_exists(const char *method, const char *path)
{
	struct core_match match;

	return find_route(method, path, &match) != NULL;
}

/* Who changes a resource waits for their turn, who brings a key is looked up; all others go at once. */
static void start(struct core_request *request, const struct pbx_route *route, const struct core_http_request *http)
{
	const char *key = core_request_header_of(request, "Idempotency-Key");

	if (!strcmp(route->method, "PUT") || !strcmp(route->method, "PATCH") || !strcmp(route->method, "DELETE"))
		core_turn_take(request);
	else if (key && !strcmp(route->method, "POST") && !(route->flags & PBX_ROUTE_PUBLIC))
		core_once_take(request, key, http);
	else
		core_request_go(request);
}

void core_request_http(const struct core_asker *asker, const struct core_http_request *http, const struct core_answer_sink *sink,
		       void *context, pbx_request *ret_request)
{
	struct core_problem problem = { 0 };
	struct core_match match;
	char did[MOST_PATH + 16];

	(void)snprintf(did, sizeof did, "%.12s %.*s", http->method, (int)MOST_PATH, http->path);
	*ret_request = (pbx_request){ 0 };
	struct core_request *request = core_request_new(asker, sink, context, did);
	if (!request) {
		sink->answer(context, 503, NULL, NULL, NULL, 0);
		return;
	}
	*ret_request = request->handle;
	request->is_get = !strcmp(http->method, "GET") || !strcmp(http->method, "HEAD");

	const struct core_route *route = find_route(http->method, http->path, &match);
	if (!route)
		no_route(request, http->method, http->path, &problem);
	else
		check_asker(request, &route->row, &problem);
	if (!problem.status)
		core_check_draining(request, route->row.flags, &problem);
	if (!problem.status && core_request_bind(request, &match, http, &problem) != PBX_OK)
		core_problem_set(&problem, 503, "no_memory", "out of memory, try again later");

	if (problem.status) {
		core_request_refuse(request, &problem);
		return;
	}
	if (request->own_account[0])
		CORE_LISTENERS_TELL(askers, asked_fn, asker->own_account);
	request->is_audited = (route->row.flags & PBX_ROUTE_WRITES) != 0;
	request->needs_condition = http->needs_condition;
	if (core_request_hold(request, route->owner, route->row.handle))
		start(request, &route->row, http);
}
