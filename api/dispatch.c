/*
 * dispatch.c - a request's way on the loop
 *
 * How often has this address asked? Whose token is it? How often has that one asked? Then the request runs through the tables of
 * core/request.h, where routes, scopes and arguments are checked, and the answer goes back into the exchange.
 */
#include <string.h>
#include <strings.h>

#include "api.h"
#include "exchange.h"
#include "loop.h"
#include "place.h"
#include "request.h"

#define KEY_SIZE API_KEY_SIZE

/* ---- the exchanges whose request runs --------------------------------------------------- */

static void open_add(struct api *api, struct api_exchange *exchange)
{
	exchange->next_open = api->open;
	exchange->at_open = &api->open;
	if (api->open)
		api->open->at_open = &exchange->next_open;
	api->open = exchange;
}

/* Takes it off, with the loop's reference. */
static void open_remove(struct api_exchange *exchange)
{
	if (!exchange->at_open)
		return;
	*exchange->at_open = exchange->next_open;
	if (exchange->next_open)
		exchange->next_open->at_open = exchange->at_open;
	exchange->at_open = NULL;
	exchange->next_open = NULL;
	exchange_unref(exchange);
}

/* The asker has left, or has to: nobody hears the rest. */
static void open_abandon(struct api_exchange *exchange)
{
	pbx_request request = exchange->request;

	exchange_end(exchange);
	open_remove(exchange);
	core_request_gone(request);
}

/* The asker has to leave, and a WebSocket is told why. */
static void open_dismiss(struct api_exchange *exchange, uint32_t status, const char *why)
{
	exchange_end_because(exchange, status, why);
	open_abandon(exchange);
}

/* ---- whether they still may ------------------------------------------------------------- */

#define REVIEW_MS 15000u
#define STATUS_NOT_PERMITTED 1008u /* RFC 6455 7.4.1 */
#define STATUS_LATER 1013u

static void on_reviewed(void *context, int result, const struct api_bearer *bearer)
{
	struct api_exchange *exchange = context;

	(void)bearer;
	if (result == PBX_ENOENT && exchange->at_open) /* a store that is away says nothing about anybody */
		open_dismiss(exchange, STATUS_NOT_PERMITTED, "the token has expired, or is no longer valid");
	exchange_unref(exchange);
}

void api_dispatch_review(struct api *api)
{
	bool some = false;

	for (struct api_exchange *exchange = api->open; exchange; exchange = exchange->next_open) {
		if (!exchange->streams || !*exchange->token_id)
			continue;
		some = true;
		api_token_look(api, exchange->token_id, on_reviewed, exchange_ref(exchange));
	}
	if (!some && api->reviews) {
		(void)api->timers->stop(api->review); /* the next stream starts it again */
		api->reviews = false;
	}
}

static void on_review(void *self, pbx_timer timer)
{
	(void)timer;
	api_dispatch_review(self);
}

/* What ends a token elsewhere (its time, another node, an account that goes) tells nobody, so we look. */
static void review_regularly(struct api *api)
{
	if (!api->reviews)
		api->reviews = api->timers->start(api->host, REVIEW_MS, REVIEW_MS, on_review, api, &api->review) == PBX_OK;
}

/* ---- where answers go ------------------------------------------------------------------- */

static void on_header(void *context, const char *name, const char *value)
{
	exchange_set_header(context, name, value);
}

static void on_answer(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	struct api_exchange *exchange = context;
	char text[512];

	if (location && *location) {
		(void)snprintf(text, sizeof text, "%s%s", location[0] == '/' ? API_BASE : "", location);
		exchange_set_header(exchange, "Location", text);
	}
	exchange_answer(exchange, status, content_type, body, size);
	open_remove(exchange);
}

static void on_begin(void *context, const char *content_type)
{
	struct api_exchange *exchange = context;

	exchange->streams = true;
	exchange_begin(exchange, content_type);
	if (*exchange->token_id)
		review_regularly(exchange->api);
}

static int on_write(void *context, const char *data, size_t size)
{
	return exchange_write(context, data, size);
}

static void on_end(void *context)
{
	struct api_exchange *exchange = context;

	exchange_end(exchange);
	open_remove(exchange);
}

static const struct core_answer_sink sink = {
	.answer = on_answer, .begin = on_begin, .write = on_write, .end = on_end, .header = on_header
};

/* ---- who asks --------------------------------------------------------------------------- */

static void set_number_header(struct api_exchange *exchange, const char *name, uint32_t value)
{
	char text[16];

	(void)snprintf(text, sizeof text, "%u", value);
	exchange_set_header(exchange, name, text);
}

/* How much somebody may still ask: a burst at once, refilled steadily. */
static void tell_limit(struct api_exchange *exchange, const char *key)
{
	const struct api_settings *settings = exchange->api->settings;
	uint32_t left, full_in_s;

	api_limits_left(exchange->api->limits, key, settings->requests_per_minute, settings->requests_burst, &left, &full_in_s);
	set_number_header(exchange, "RateLimit-Limit", settings->requests_burst);
	set_number_header(exchange, "RateLimit-Remaining", left);
	set_number_header(exchange, "RateLimit-Reset", full_in_s);
}

/* False: refused with 429. */
static bool take_turn(struct api_exchange *exchange, const char *key)
{
	const struct api *api = exchange->api;
	const struct api_settings *settings = api->settings;
	uint32_t wait_s;
	bool may = api_limits_take(api->limits, key, core_now_ms(), settings->requests_per_minute, settings->requests_burst, &wait_s);

	tell_limit(exchange, key);
	if (may)
		return true;
	set_number_header(exchange, "Retry-After", wait_s);
	exchange_problem(exchange, 429, "too_many_requests", "too many requests, try again later");
	return false;
}

static void address_key(const struct api_exchange *exchange, char ret_key[KEY_SIZE])
{
	char place[CORE_PLACE_TEXT];

	core_place_print_of(exchange->address, place);
	(void)snprintf(ret_key, KEY_SIZE, "address %s", place);
}

/* "Authorization: Bearer …", or NULL. */
static const char *bearer_of(const char *authorization)
{
	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	return authorization + 7 + strspn(authorization + 7, " ");
}

static bool is_rest(const struct api_exchange *exchange)
{
	return strncmp(exchange->path, API_BASE "/", sizeof API_BASE) == 0;
}

static void run(struct api_exchange *exchange, const struct api_bearer *bearer)
{
	struct api *api = exchange->api;
	const struct core_asker asker = {
		.actor = !bearer         ? ""
			 : *bearer->user ? bearer->user
					 : bearer->account,
		.own_account = bearer ? bearer->account : "",
		.scopes = bearer ? bearer->scopes : NULL,
		.address = exchange->address,
		.request_id = exchange->request_id,
	};
	const struct core_http_request http = {
		.method = exchange->method,
		.path = exchange->path + (is_rest(exchange) ? strlen(API_BASE) : 0),
		.query = exchange->query,
		.header_names = (const char *const *)exchange->names,
		.header_values = (const char *const *)exchange->values,
		.header_count = exchange->header_count,
		.body = exchange->body,
		.body_size = exchange->body_size,
		.most_json = api->settings->max_json_bytes,
		.needs_condition = api->settings->require_if_match,
	};

	open_add(api, exchange_ref(exchange));
	core_request_http(&asker, &http, &sink, exchange, &exchange->request);
}

/* The reference that waited for the token ends here. */
static void on_bearer(void *context, int result, const struct api_bearer *bearer)
{
	struct api_exchange *exchange = context;
	char key[KEY_SIZE];

	if (result == PBX_OK) {
		(void)snprintf(exchange->token_id, sizeof exchange->token_id, "%s", bearer->token_id);
		(void)snprintf(key, sizeof key, "token %s", bearer->token_id);
		if (take_turn(exchange, key))
			run(exchange, bearer);
	} else if (result == PBX_ENOENT) {
		address_key(exchange, key);
		if (take_turn(exchange, key)) {
			exchange_set_header(exchange, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
			exchange_problem(exchange, 401, "invalid_token", "this token is not valid, or no longer: log in again");
		}
	} else {
		exchange_set_header(exchange, "Retry-After", "5");
		exchange_problem(exchange, 503, "store_away", "the database does not answer, so tokens cannot be checked");
	}
	exchange_unref(exchange);
}

static void dispatch_rest(struct api_exchange *exchange)
{
	const char *token = bearer_of(exchange_header(exchange, "Authorization"));
	char key[KEY_SIZE];

	if (!token) {
		address_key(exchange, key);
		if (take_turn(exchange, key))
			run(exchange, NULL);
		return;
	}
	/* A wrong token costs a question to the store: the address pays for its tries, the owner of a right one for its requests. */
	api_token_find(exchange->api, token, on_bearer, exchange_ref(exchange));
}

/* A scraper on this machine needs no token. The route stands in our table, below /api/v1 too. */
static void dispatch_metrics(struct api_exchange *exchange)
{
	static const struct api_bearer local = { .token_id = "", .user = "", .account = "", .scopes = "metrics:read" };

	if (strncmp(exchange->address, "127.", 4) == 0 && !exchange_header(exchange, "Authorization"))
		run(exchange, &local);
	else
		dispatch_rest(exchange);
}

/* ---- the loop's end of an exchange ------------------------------------------------------ */

void api_dispatch(void *context, void *data)
{
	struct api *api = context;
	struct api_exchange *exchange = data;
	const char *path = exchange->path;

	if (is_rest(exchange))
		dispatch_rest(exchange);
	else if (strcmp(path, "/healthz") == 0)
		api_health(exchange);
	else if (strcmp(path, "/readyz") == 0)
		api_ready(api, exchange);
	else if (strcmp(path, "/metrics") == 0)
		dispatch_metrics(exchange);
	else
		exchange_problem(exchange, 404, "not_found",
				 "there is no such resource; the API is below " API_BASE ", described in " API_BASE "/openapi.json");
	exchange_unref(exchange);
}

void api_dispatch_gone(void *api, void *data)
{
	struct api_exchange *exchange = data;

	(void)api;
	if (exchange->at_open)
		open_abandon(exchange);
	exchange_unref(exchange);
}

void api_dispatch_drained(void *api, void *data)
{
	struct api_exchange *exchange = data;

	(void)api;
	if (exchange->at_open)
		core_request_drained(exchange->request);
	exchange_unref(exchange);
}

/* A wish costs as much as a request, so it counts as one. */
static uint32_t hear(struct api_exchange *exchange, const char *text, size_t size, const char **ret_why)
{
	struct api *api = exchange->api;
	const struct api_settings *settings = api->settings;
	char key[64];
	uint32_t wait_s;

	(void)snprintf(key, sizeof key, "token %s", exchange->token_id);
	if (api_limits_take(api->limits, key, core_now_ms(), settings->requests_per_minute, settings->requests_burst, &wait_s))
		return api_events_wish(api, exchange->request, text, size, ret_why);
	*ret_why = "too many requests, try again later";
	return STATUS_LATER;
}

void api_dispatch_said(void *context, void *data)
{
	struct api_exchange *exchange = data;
	const char *why = "";
	size_t size = 0;
	char *text = exchange_hear(exchange, &size);
	uint32_t status = text && exchange->at_open ? hear(exchange, text, size, &why) : 0;

	(void)context;
	if (status)
		open_dismiss(exchange, status, why);
	free(text);
	exchange_unref(exchange);
}

void api_dispatch_stop(struct api *api)
{
	while (api->open)
		open_abandon(api->open);
}

void api_dispatch_revoke(struct api *api, const char *token_id)
{
	for (struct api_exchange *exchange = api->open, *next; exchange; exchange = next) {
		next = exchange->next_open;
		if (strcmp(exchange->token_id, token_id) == 0 && exchange->streams) {
			open_dismiss(exchange, STATUS_NOT_PERMITTED, "the token was revoked");
			next = api->open; /* leaving may have ended others */
		}
	}
}

/* ---- for handlers ----------------------------------------------------------------------- */

void api_fail_later(struct api *api, pbx_request request, uint32_t status, const char *code, uint32_t wait_s, const char *text)
{
	char seconds[16];

	for (struct api_exchange *exchange = api->open; exchange; exchange = exchange->next_open) {
		if (exchange->request.id != request.id)
			continue;
		(void)snprintf(seconds, sizeof seconds, "%u", wait_s);
		exchange_set_header(exchange, "Retry-After", seconds);
	}
	(void)api->requests->fail(request, status, code, NULL, "%s", text); /* or the asker has left */
}

void api_end_because(const struct api *api, pbx_request request, uint32_t status, const char *why)
{
	for (struct api_exchange *exchange = api->open; exchange; exchange = exchange->next_open) {
		if (exchange->request.id == request.id)
			exchange_end_because(exchange, status, why);
	}
}

const char *api_address_of(const struct api *api, pbx_request request)
{
	const char *address = api->requests->http_header(request, ":address");

	return address ? address : "local";
}
