/* core/request_reply.c - a request under way: who asked, what with, and the one answer
 *
 * A request is charged to the owner whose handler answers it. It ends in one of four ways: an answer, the end of a stream, the asker's
 * leaving, or 30 s of silence. After that its handle is stale and whatever comes late is told PBX_ENOENT. The request is taken out of the
 * table before its sink hears anything, because a sink may well begin the next request at once. */
#include "request_internal.h"
#include "handle.h"
#include "log.h"
#include "timer.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_WITHIN_MS 30000u

static struct core_handles requests;

int core_replies_init(void)
{
	core_handles_init(&requests, 'R');
	core_once_init();
	return PBX_OK;
}

void core_replies_fini(void)
{
	struct core_request *request;

	core_once_fini();
	for (uint32_t at = 0; (request = core_handles_next(&requests, &at)) != NULL;)
		core_request_free(request);
	core_handles_fini(&requests);
}

/* ---- making and freeing --------------------------------------------------------------- */

static char *copy_of(const char *text)
{
	return strdup(text ? text : "");
}

struct core_request *core_request_new(const struct core_asker *asker, const struct core_answer_sink *sink, void *context, const char *did)
{
	AUTO(core_request) struct core_request *request = calloc(1, sizeof *request);

	if (!request)
		return NULL;
	request->sink = sink;
	request->context = context;
	request->is_logged_in = asker->scopes != NULL;
	request->actor = copy_of(asker->actor);
	request->own_account = copy_of(asker->own_account);
	request->scopes = copy_of(asker->scopes);
	request->address = copy_of(asker->address);
	request->request_id = copy_of(asker->request_id);
	request->did = copy_of(did);
	if (!request->actor || !request->own_account || !request->scopes || !request->address || !request->request_id || !request->did)
		return NULL;
	request->handle.id = core_handle_new(&requests, request);
	return request->handle.id ? TAKE(request) : NULL;
}

void core_request_free(struct core_request *request)
{
	if (!request)
		return;
	core_handle_free(&requests, request->handle.id);
	core_charge_remove(&request->charge);
	core_turn_over(request);
	core_once_forget(request);
	core_view_fini(&request->view);
	(void)core_timer_stop(request->timer); /* it may have fired */
	for (uint32_t i = 0; i < request->bound_count; i++)
		core_bound_fini(&request->bound[i]);
	free(request->bound);
	for (uint32_t i = 0; i < 2 * request->header_count; i++)
		free(request->headers[i]);
	free((void *)request->headers);
	core_json_free(request->body);
	free(request->raw);
	free(request->actor);
	free(request->own_account);
	free(request->scopes);
	free(request->address);
	free(request->request_id);
	free(request->did);
	free(request->path);
	free(request->query);
	free(request);
}

int core_request_reserve(struct core_request *request, uint32_t count)
{
	assert(!request->bound);
	request->bound = calloc(count ? count : 1, sizeof *request->bound);
	request->bound_count = request->bound ? count : 0;
	return request->bound ? PBX_OK : PBX_ENOMEM;
}

struct core_request *core_request_find(pbx_request request)
{
	return core_handle_find(&requests, request.id);
}

/* ---- answering ------------------------------------------------------------------------ */

const char *core_status_title(uint32_t status)
{
	static const struct {
		uint32_t status;
		const char *title;
	} titles[] = {
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 412, "Precondition Failed" },
		{ 428, "Precondition Required" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
		if (titles[i].status == status)
			return titles[i].title;
	return status < 500 ? "Request refused" : "Server error";
}

static void audit(const struct core_request *request, uint32_t status)
{
	if (request->is_audited)
		core_log(PBX_LOG_NOTICE, core_owner_name(request->owner), NULL, "audit",
			 "actor=\"%s\" address=%s did=\"%s\" status=%u request_id=%s", request->actor, request->address, request->did,
			 status, request->request_id);
}

void core_request_header(const struct core_request *request, const char *name, const char *value)
{
	if (request->sink->header)
		request->sink->header(request->context, name, value);
}

/* The request is gone when the sink hears it. */
void core_request_answer(struct core_request *request, uint32_t status, const char *content_type, const char *location, const char *body,
			 size_t size)
{
	const struct core_answer_sink *sink = request->sink;
	void *context = request->context;

	audit(request, status);
	core_once_answered(request, status, content_type, location, body);
	core_request_free(request);
	sink->answer(context, status, content_type, location, body, size);
}

static struct pbx_json *problem_json(const struct core_request *request, struct core_problem *problem)
{
	struct pbx_json *json = core_json_object();
	char type[80];

	(void)snprintf(type, sizeof type, "/problems/%s", problem->code);
	bool made = json && core_json_set_text(json, "type", type) == PBX_OK &&
		    core_json_set_text(json, "title", core_status_title(problem->status)) == PBX_OK &&
		    core_json_set_integer(json, "status", problem->status) == PBX_OK &&
		    core_json_set_text(json, "detail", problem->detail) == PBX_OK &&
		    core_json_set_text(json, "code", problem->code) == PBX_OK &&
		    core_json_set_text(json, "request_id", request->request_id) == PBX_OK;
	if (made && problem->errors)
		made = core_json_set(json, "errors", TAKE(problem->errors)) == PBX_OK;
	if (made)
		return json;
	core_json_free(json);
	return NULL;
}

void core_request_refuse(struct core_request *request, struct core_problem *problem)
{
	static const char no_memory[] =
		"{\"type\":\"/problems/no_memory\",\"title\":\"Service Unavailable\",\"status\":503,\"code\":\"no_memory\"}";
	struct pbx_json *json = problem_json(request, problem);
	char *text = json ? core_json_print(json) : NULL;

	if (text)
		core_request_answer(request, problem->status, "application/problem+json", NULL, text, strlen(text));
	else
		core_request_answer(request, 503, "application/problem+json", NULL, no_memory, sizeof no_memory - 1);
	core_json_free_text(text);
	core_json_free(json);
	core_json_free(TAKE(problem->errors));
}

static void refuse(struct core_request *request, uint32_t status, const char *code, const char *detail)
{
	struct core_problem problem = { 0 };

	core_problem_set(&problem, status, code, "%s", detail);
	core_request_refuse(request, &problem);
}

/* An answer to GET: with its ETag, in pieces if that was asked for, or not at all because the asker has it. */
static void answer_view(struct core_request *request, const struct pbx_json *json, const char *whole)
{
	struct core_problem problem = { 0 };
	AUTO(json) struct pbx_json *shown = core_view_apply(request, json, &problem);
	char *text = shown ? core_json_print(shown) : NULL;

	if (shown && !text)
		core_problem_set(&problem, 503, "no_memory", "out of memory, try again later");
	if (problem.status)
		core_request_refuse(request, &problem);
	else if (!core_view_tell(request, shown ? shown : json, whole))
		core_request_answer(request, 304, NULL, NULL, NULL, 0);
	else
		core_request_answer(request, 200, "application/json", NULL, text ? text : whole, strlen(text ? text : whole));
	core_json_free_text(text);
}

static int answer_json(pbx_request handle, uint32_t status, const char *location, struct pbx_json *taken)
{
	struct core_request *request = core_request_find(handle);

	if (!request || request->is_streaming) {
		core_json_free(taken);
		return PBX_ENOENT;
	}
	char *text = taken ? core_json_print(taken) : NULL;

	if (taken && !text)
		refuse(request, 503, "no_memory", "out of memory, try again later");
	else if (text && request->is_get && status == 200)
		answer_view(request, taken, text);
	else
		core_request_answer(request, status, text ? "application/json" : NULL, location, text, text ? strlen(text) : 0);
	core_json_free_text(text);
	core_json_free(taken);
	return PBX_OK;
}

static int reply(pbx_request request, uint32_t status, struct pbx_json *taken)
{
	return answer_json(request, status, NULL, taken);
}

static int created(pbx_request request, const char *location, struct pbx_json *taken)
{
	return answer_json(request, 201, location, taken);
}

/* Where the asker has written an argument: its path, body or query. */
static const char *place_of(const struct core_request *request, const char *name)
{
	for (uint32_t i = 0; i < request->bound_count; i++)
		if (request->bound[i].owned_name && !strcmp(request->bound[i].owned_name, name))
			return "path";
	return request->body ? "body" : "query";
}

static int fail(pbx_request handle, uint32_t status, const char *code, const char *field, const char *format, ...)
{
	struct core_request *request = core_request_find(handle);
	struct core_problem problem = { 0 };
	char text[sizeof problem.detail];
	va_list args;

	if (!request || request->is_streaming)
		return PBX_ENOENT;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);

	if (field) {
		core_problem_add(&problem, status, code, place_of(request, field), field, "%s", text);
		core_request_refuse(request, &problem);
	} else {
		refuse(request, status, code, text);
	}
	return PBX_OK;
}

/* ---- how a request ends by itself ----------------------------------------------------- */

static void on_timeout(void *self, pbx_timer timer)
{
	struct core_request *request = self;

	(void)timer;
	core_log(PBX_LOG_WARN, core_owner_name(request->owner), NULL, "request_timed_out", "did=\"%s\" request_id=%s", request->did,
		 request->request_id);
	refuse(request, 504, "timeout", "no answer within 30 seconds");
}

/* The owner stops: nobody else will answer. */
static void on_revoked(struct core_charge *charge)
{
	struct core_request *request = (struct core_request *)charge;
	const struct core_answer_sink *sink = request->sink;
	void *context = request->context;

	if (!request->is_streaming) {
		request->once_is_ours &= !request->runs; /* it may have done something: its key stays taken, the outcome unknown */
		refuse(request, 503, "stopped", "the plugin that was to answer has been stopped");
		return;
	}
	core_request_free(request);
	sink->end(context);
}

bool core_request_hold(struct core_request *request, struct pbx_host *owner, pbx_request_fn handle)
{
	request->owner = owner;
	request->handle_it = handle;
	core_charge_add(owner, &request->charge, "request", true, on_revoked);
	if (core_timer_start(core_self(), ANSWER_WITHIN_MS, 0, on_timeout, request, &request->timer) == PBX_OK)
		return true;
	refuse(request, 503, "no_memory", "out of memory, try again later");
	return false;
}

void core_request_go(struct core_request *request)
{
	struct pbx_host *owner = request->owner;

	request->runs = true;
	CORE_INTO(owner, request->handle_it(core_owner_self(owner), request->handle));
}

/* Nobody waits any more for the answer that a key keeps. */
static void unheard(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	(void)context, (void)status, (void)content_type, (void)location, (void)body, (void)size;
}

static void unheard_begin(void *context, const char *content_type)
{
	(void)context, (void)content_type;
}

static int unheard_write(void *context, const char *data, size_t size)
{
	(void)context, (void)data, (void)size;
	return PBX_OK;
}

static void unheard_end(void *context)
{
	(void)context;
}

static const struct core_answer_sink nobody = { .answer = unheard, .begin = unheard_begin, .write = unheard_write, .end = unheard_end };

void core_request_gone(pbx_request handle)
{
	struct core_request *request = core_request_find(handle);

	if (!request)
		return;
	if (request->runs && request->once_is_ours) {
		request->sink = &nobody;
		return;
	}
	void (*gone)(void *self, pbx_request request) = request->gone;
	struct pbx_host *owner = request->owner;
	void *self = request->stream_self;

	core_request_free(request);
	if (gone)
		CORE_INTO(owner, gone(self, handle));
}

void core_request_drained(pbx_request handle)
{
	const struct core_request *request = core_request_find(handle);

	if (request && request->drained)
		CORE_INTO(request->owner, request->drained(request->stream_self, handle));
}

/* ---- streams -------------------------------------------------------------------------- */

static int begin(pbx_request handle, const char *content_type, void (*drained)(void *self, pbx_request request),
		 void (*gone)(void *self, pbx_request request), void *self)
{
	struct core_request *request = core_request_find(handle);

	if (!request || request->is_streaming)
		return PBX_ENOENT;
	if (core_view_refuses_stream(request)) {
		refuse(request, 400, "unknown", "this answer has neither fields nor pages");
		return PBX_ENOENT;
	}
	audit(request, 200);
	core_once_answered(request, 503, NULL, NULL, NULL); /* what is streamed is not kept */
	request->is_streaming = true;
	request->drained = drained;
	request->gone = gone;
	request->stream_self = self;
	(void)core_timer_stop(request->timer); /* it runs: we are not answered yet */
	/* A stream may go on for days. It is ended when its owner goes and does not keep it from going. */
	core_charge_remove(&request->charge);
	core_charge_add(request->owner, &request->charge, "stream", false, on_revoked);
	request->sink->begin(request->context, content_type);
	return PBX_OK;
}

static int add_header(pbx_request handle, const char *name, const char *value)
{
	const struct core_request *request = core_request_find(handle);

	if (!request || request->is_streaming)
		return PBX_ENOENT;
	core_request_header(request, name, value);
	return PBX_OK;
}

static int write_piece(pbx_request handle, const char *data, size_t size)
{
	const struct core_request *request = core_request_find(handle);

	return request && request->is_streaming ? request->sink->write(request->context, data, size) : PBX_ENOENT;
}

static int end(pbx_request handle)
{
	struct core_request *request = core_request_find(handle);

	if (!request || !request->is_streaming)
		return PBX_ENOENT;
	const struct core_answer_sink *sink = request->sink;
	void *context = request->context;

	core_request_free(request);
	sink->end(context);
	return PBX_OK;
}

/* ---- reading -------------------------------------------------------------------------- */

static const struct core_bound *bound_of(pbx_request handle, const char *name)
{
	const struct core_request *request = core_request_find(handle);

	for (uint32_t i = 0; request && i < request->bound_count; i++)
		if (request->bound[i].given && !strcmp(request->bound[i].name, name))
			return &request->bound[i];
	return NULL;
}

static bool has(pbx_request request, const char *name)
{
	return bound_of(request, name) != NULL;
}

static const char *text(pbx_request request, const char *name)
{
	const struct core_bound *bound = bound_of(request, name);

	return bound ? bound->text : NULL;
}

static int64_t integer(pbx_request request, const char *name, int64_t otherwise)
{
	const struct core_bound *bound = bound_of(request, name);

	return bound && bound->text ? bound->integer : otherwise;
}

static bool boolean(pbx_request request, const char *name, bool otherwise)
{
	const struct core_bound *bound = bound_of(request, name);

	return bound && bound->text ? bound->boolean : otherwise;
}

static const struct pbx_json *json(pbx_request request, const char *name)
{
	const struct core_bound *bound = bound_of(request, name);

	return bound ? bound->json : NULL;
}

static const struct pbx_json *body(pbx_request handle)
{
	const struct core_request *request = core_request_find(handle);

	return request ? request->body : NULL;
}

static const char *raw(pbx_request handle, size_t *ret_size)
{
	const struct core_request *request = core_request_find(handle);

	if (!request || !request->raw)
		return NULL;
	*ret_size = request->raw_size;
	return request->raw;
}

const char *core_request_header_of(const struct core_request *request, const char *name)
{
	for (uint32_t i = 0; i < request->header_count; i++)
		if (!strcasecmp(request->headers[2 * i], name))
			return request->headers[2 * i + 1];
	return NULL;
}

static const char *http_header(pbx_request handle, const char *name)
{
	const struct core_request *request = core_request_find(handle);

	return request ? core_request_header_of(request, name) : NULL;
}

static const char *actor(pbx_request handle)
{
	const struct core_request *request = core_request_find(handle);

	return request ? request->actor : "";
}

static const char *own_account(pbx_request handle)
{
	const struct core_request *request = core_request_find(handle);

	return request ? request->own_account : "";
}

/* "calls:read" is granted by itself, by "calls:*" and by "*". */
static bool is_granted(const char *granted, size_t length, const char *scope)
{
	if (length == 1 && granted[0] == '*')
		return true;
	if (length >= 2 && granted[length - 2] == ':' && granted[length - 1] == '*')
		return !strncmp(granted, scope, length - 1);
	return strlen(scope) == length && !strncmp(granted, scope, length);
}

bool core_request_may(const struct core_request *request, const char *scope)
{
	const char *at = request->scopes;

	while (*at) {
		size_t length = strcspn(at, " ");

		if (length && is_granted(at, length, scope))
			return true;
		at += length;
		at += strspn(at, " ");
	}
	return false;
}

static bool may(pbx_request handle, const char *scope)
{
	const struct core_request *request = core_request_find(handle);

	return request && core_request_may(request, scope);
}

const struct pbx_requests core_requests_service = {
	.header = PBX_HEADER(struct pbx_requests),
	.has = has,
	.text = text,
	.integer = integer,
	.boolean = boolean,
	.json = json,
	.body = body,
	.raw = raw,
	.http_header = http_header,
	.actor = actor,
	.own_account = own_account,
	.may = may,
	.reply = reply,
	.created = created,
	.fail = fail,
	.begin = begin,
	.add_header = add_header,
	.write = write_piece,
	.end = end,
	.on_asked = core_requests_on_asked,
};
