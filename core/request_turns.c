/* core/request_turns.c - PUT, PATCH and DELETE of one resource take turns, and If-Match is kept
 *
 * A change that came with If-Match is made only when the resource is as its asker has seen it. What it is like now is asked of its own GET
 * route, as the same asker: so every plugin's resources have it. Between that question and the end of the change nobody else may change
 * the resource, so changes of one path are made one after the other, in the order they came. pbxctl and POST do not take part. */
#include "request_internal.h"
#include "loop.h"
#include <string.h>

static struct core_request *waiting; /* those whose turn it is, too; in the order they came */

/* The first of its path. */
static bool has_turn(const struct core_request *request)
{
	const struct core_request *first = waiting;

	while (strcmp(first->path, request->path) != 0)
		first = first->next_turn;
	return first == request;
}

/* ---- what is there now ---------------------------------------------------------------- */

static struct core_request *asking(void *context)
{
	return core_request_find((pbx_request){ .id = (uint64_t)(uintptr_t)context });
}

static void on_header(void *context, const char *name, const char *value)
{
	struct core_request *request = asking(context);

	if (request && !strcmp(name, "ETag"))
		(void)snprintf(request->etag, sizeof request->etag, "%s", value);
}

static void refuse(struct core_request *request, uint32_t status, const char *code, const char *text)
{
	struct core_problem problem = { 0 };

	core_problem_set(&problem, status, code, "%s", text);
	core_request_refuse(request, &problem);
}

static void judge(struct core_request *request, uint32_t status)
{
	if (status == 404)
		core_request_go(request); /* it says so in its own words */
	else if (status == 401 || status == 403)
		refuse(request, 403, "not_permitted", "If-Match needs the permission to read the resource, too");
	else if (status >= 500)
		refuse(request, 503, "unavailable", "whether the resource has changed cannot be told now, try again later");
	else if (!request->etag[0])
		refuse(request, 412, "no_etag", "this resource has no ETag: leave If-Match out");
	else if (!core_etag_is_listed(core_request_header_of(request, "If-Match"), request->etag))
		refuse(request, 412, "changed", "the resource is not as you have seen it: read it again");
	else
		core_request_go(request);
}

static void on_answer(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	struct core_request *request = asking(context);

	(void)content_type, (void)location, (void)body, (void)size;
	if (request)
		judge(request, status);
}

static void on_begin(void *context, const char *content_type)
{
	(void)context, (void)content_type;
}

static int on_write(void *context, const char *data, size_t size)
{
	(void)context, (void)data, (void)size;
	return PBX_OK;
}

static void on_end(void *context)
{
	on_answer(context, 200, NULL, NULL, NULL, 0);
}

static const struct core_answer_sink sink = {
	.answer = on_answer, .begin = on_begin, .write = on_write, .end = on_end, .header = on_header
};

static void ask_what_is(const struct core_request *request)
{
	const struct core_asker asker = {
		.actor = request->actor,
		.own_account = request->own_account,
		.scopes = request->scopes,
		.address = request->address,
		.request_id = request->request_id,
	};
	const struct core_http_request http = { .method = "GET", .path = request->path, .query = "" };
	pbx_request ignored;

	core_request_http(&asker, &http, &sink, (void *)(uintptr_t)request->handle.id, &ignored);
}

/* ---- turns ---------------------------------------------------------------------------- */

static void begin(void *context)
{
	struct core_request *request = context;

	request->has_begun = true;
	if (core_request_header_of(request, "If-Match"))
		ask_what_is(request);
	else if (request->needs_condition && core_route_exists("GET", request->path))
		refuse(request, 428, "if_match_needed", "send the ETag of what you have seen as If-Match (api.require_if_match)");
	else
		core_request_go(request);
}

void core_turn_take(struct core_request *request)
{
	struct core_request **at = &waiting;

	while (*at)
		at = &(*at)->next_turn;
	*at = request;
	request->takes_turn = true;
	if (has_turn(request))
		begin(request);
}

/* The next one begins in the loop's next round: its handler does not run inside the answer of this one. */
void core_turn_over(struct core_request *request)
{
	struct core_request **at = &waiting, *next;

	if (!request->takes_turn)
		return;
	core_unpost(&request->turn);
	while (*at != request)
		at = &(*at)->next_turn;
	*at = request->next_turn;
	request->takes_turn = false;
	for (next = waiting; next && strcmp(next->path, request->path) != 0;)
		next = next->next_turn;
	if (next && !next->has_begun)
		core_post_node(core_self(), &next->turn, begin, next);
}
