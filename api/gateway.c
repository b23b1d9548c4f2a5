/*
 * gateway.c - CivetWeb: reading requests, writing answers
 *
 * CivetWeb runs a thread for each connection. Such a thread reads a request, posts it to the loop as an exchange, waits, and writes what
 * comes back: it decides nothing and sees nothing of the PBX. What a slow or hostile client can hold is one thread, for a limited time.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "gateway.h"
#include "loop.h"

#define BODY_TIMEOUT_MS 30000u /* for the whole body */
#define SWALLOW_BYTES 1048576u
#define ANSWER_TIMEOUT_MS 35000u /* the loop says 504 after 30 s; this is for a loop that hangs */
#define HEALTH_TIMEOUT_MS 1000u

/* ---- telling the loop ------------------------------------------------------------------- */

/* Nobody will run this post: what waits for it is over. */
static void drop(void *data)
{
	struct api_exchange *exchange = data;

	exchange_end(exchange);
	exchange_unref(exchange);
}

/* Once we are being stopped there is no api any more: the lock keeps it there while we post. */
void api_gateway_tell(struct api_server *server, void (*fn)(void *api, void *exchange), struct api_exchange *exchange)
{
	(void)pthread_mutex_lock(&server->lock);
	struct api_exchange *posted = exchange_ref(exchange);
	bool told = !server->stopping && core_post(server->api->host, fn, server->api, posted, drop) == PBX_OK;
	(void)pthread_mutex_unlock(&server->lock);

	if (!told)
		drop(posted);
}

/* ---- writing ---------------------------------------------------------------------------- */

static void write_head(struct mg_connection *connection, const struct api_exchange *exchange, const struct exchange_answer *answer,
		       bool chunked)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	char length[24];

	(void)mg_response_header_start(connection, (int)answer->status);
	if (*answer->content_type)
		(void)mg_response_header_add(connection, "Content-Type", answer->content_type, -1);
	if (chunked) {
		(void)mg_response_header_add(connection, "Transfer-Encoding", "chunked", -1);
	} else if (!answer->streams && answer->status != 204 && answer->status != 304) {
		(void)snprintf(length, sizeof length, "%zu", answer->size);
		(void)mg_response_header_add(connection, "Content-Length", length, -1);
	}
	(void)mg_response_header_add(connection, "X-Request-Id", exchange->request_id, -1);
	(void)mg_response_header_add(connection, "Cache-Control", "no-store", -1);
	(void)mg_response_header_add(connection, "X-Content-Type-Options", "nosniff", -1);
	(void)mg_response_header_add(connection, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'", -1);
	(void)mg_response_header_add(connection, "Referrer-Policy", "no-referrer", -1);
	if (info->is_ssl)
		(void)mg_response_header_add(connection, "Strict-Transport-Security", "max-age=31536000", -1);
	if (*answer->headers)
		(void)mg_response_header_add_lines(connection, answer->headers);
	(void)mg_response_header_send(connection);
}

static bool write_bytes(struct mg_connection *connection, const char *data, size_t size, bool chunked)
{
	if (chunked)
		return mg_send_chunk(connection, data, (unsigned)size) > 0;
	return size == 0 || mg_write(connection, data, size) == (int)size;
}

/* Piece after piece until the loop ends the stream. False: the client has gone, or has to be told by a connection that breaks off that this was
 * not all. */
static bool write_stream(struct api_server *server, struct mg_connection *connection, struct api_exchange *exchange, bool chunked)
{
	char *data;
	size_t size;
	bool drained;
	int err;

	while ((err = exchange_take(exchange, &data, &size, &drained)) == PBX_OK) {
		bool written = write_bytes(connection, data, size, chunked);
		free(data);
		if (!written)
			return false;
		if (drained)
			api_gateway_tell(server, api_dispatch_drained, exchange);
	}
	if (chunked && err != PBX_ENOMEM)
		(void)mg_send_chunk(connection, "", 0);
	return err != PBX_ENOMEM;
}

static void write_answer(struct api_server *server, struct mg_connection *connection, struct api_exchange *exchange,
			 const struct exchange_answer *answer)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	bool is_head = strcmp(info->request_method, "HEAD") == 0;
	bool chunked = answer->streams && info->http_version && strcmp(info->http_version, "1.1") == 0;

	if (answer->streams && !chunked)
		mg_disable_connection_keep_alive(connection);
	write_head(connection, exchange, answer, chunked);
	if (answer->streams && !is_head) {
		if (!write_stream(server, connection, exchange, chunked))
			mg_disable_connection_keep_alive(connection);
	} else if (!is_head) {
		(void)write_bytes(connection, answer->body, answer->size, false); /* who does not read has left */
	}
}

/* ---- reading ---------------------------------------------------------------------------- */

static void make_request_id(char ret_id[33])
{
	uint8_t bytes[16];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		memset(bytes, 0, sizeof bytes); /* an id to look for in the log, not a secret */
	for (size_t i = 0; i < sizeof bytes; i++)
		(void)snprintf(ret_id + 2 * i, 3, "%02x", bytes[i]);
}

struct api_exchange *api_gateway_read(const struct api_server *server, const struct mg_request_info *info, const char *websocket)
{
	struct api_exchange *exchange = exchange_new();

	if (!exchange)
		return NULL;
	exchange->api = server->api;
	make_request_id(exchange->request_id);
	(void)snprintf(exchange->address, sizeof exchange->address, "%s", info->remote_addr);
	exchange->method = strdup(info->request_method);
	exchange->path = strdup(info->local_uri_raw ? info->local_uri_raw : "/");
	exchange->query = strdup(info->query_string ? info->query_string : "");

	bool complete = exchange->method && exchange->path && exchange->query;
	/* Names with a colon are ours: no client can send one. */
	complete = complete && exchange_add_header(exchange, ":address", exchange->address) == PBX_OK;
	if (websocket)
		complete = complete && exchange_add_header(exchange, ":websocket", "yes") == PBX_OK;
	if (websocket && *websocket)
		complete = complete && exchange_add_header(exchange, "Authorization", websocket) == PBX_OK;
	for (int i = 0; complete && i < info->num_headers; i++) {
		if (info->http_headers[i].name[0] != ':')
			complete = exchange_add_header(exchange, info->http_headers[i].name, info->http_headers[i].value) == PBX_OK;
	}
	if (!complete) {
		exchange_unref(exchange);
		return NULL;
	}
	return exchange;
}

/* At most max bytes, and one more to see that there are more. Negative: the client was too slow or has left. */
static ssize_t read_some(struct mg_connection *connection, struct api_exchange *exchange, size_t room, uint64_t deadline_us)
{
	size_t size = 0;

	while (size < room) {
		int got = mg_read(connection, exchange->body + size, room - size);
		if (got < 0 || core_now_us() > deadline_us)
			return -1;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	return (ssize_t)size;
}

static void refuse_body(struct mg_connection *connection, struct api_exchange *exchange, uint32_t status, const char *code,
			const char *detail)
{
	mg_disable_connection_keep_alive(connection);
	exchange_problem(exchange, status, code, detail);
}

/* True: the body is there. False: the exchange has been answered with a refusal. */
static bool read_body(const struct api_server *server, struct mg_connection *connection, struct api_exchange *exchange)
{
	long long announced = mg_get_request_info(connection)->content_length;
	bool is_chunked = exchange_header(exchange, "Transfer-Encoding") != NULL;
	size_t room = is_chunked ? (size_t)server->max_body_bytes + 1 : announced > 0 ? (size_t)announced : 0;

	if (!is_chunked && room == 0)
		return true;
	if (!is_chunked && room > server->max_body_bytes) {
		refuse_body(connection, exchange, 413, "too_large", "the body is larger than api.max_body_bytes");
		return false;
	}

	crowd_tell(server->crowd, connection, CROWD_SENDS);
	exchange->body = malloc(room + 1);
	if (!exchange->body) {
		refuse_body(connection, exchange, 503, "no_memory", "out of memory, try again later");
		return false;
	}
	ssize_t size = read_some(connection, exchange, room, core_now_us() + BODY_TIMEOUT_MS * 1000ull);
	if (size < 0 || (!is_chunked && (size_t)size < room)) {
		refuse_body(connection, exchange, 408, "too_slow", "the body did not arrive in time");
		return false;
	}
	if ((size_t)size > server->max_body_bytes) {
		refuse_body(connection, exchange, 413, "too_large", "the body is larger than api.max_body_bytes");
		return false;
	}
	crowd_tell(server->crowd, connection, CROWD_SERVED);
	exchange->body_size = (size_t)size;
	exchange->body[size] = '\0';
	return true;
}

/* Closing over bytes that nobody has read resets the connection, and our refusal with it. So what the client was still sending is read
 * after the answer, up to a limit: who sends more does not want an answer. */
static void swallow_body(struct mg_connection *connection)
{
	char bytes[8192];
	uint64_t deadline_us = core_now_us() + READ_TIMEOUT_MS * 1000ull;

	for (size_t swallowed = 0; swallowed < SWALLOW_BYTES && core_now_us() < deadline_us;) {
		int got = mg_read(connection, bytes, sizeof bytes);

		if (got <= 0)
			return;
		swallowed += (size_t)got;
	}
}

/* ---- a request's thread ----------------------------------------------------------------- */

bool api_gateway_begin(struct api_server *server, struct visit *visit)
{
	(void)pthread_mutex_lock(&server->lock);
	bool welcome = !server->stopping;
	if (welcome) {
		visit->next = server->visits;
		visit->at = &server->visits;
		if (visit->next)
			visit->next->at = &visit->next;
		server->visits = visit;
	}
	(void)pthread_mutex_unlock(&server->lock);
	return welcome;
}

void api_gateway_end(struct api_server *server, struct visit *visit)
{
	(void)pthread_mutex_lock(&server->lock);
	*visit->at = visit->next;
	if (visit->next)
		visit->next->at = visit->at;
	(void)pthread_cond_broadcast(&server->parted);
	(void)pthread_mutex_unlock(&server->lock);
}

static bool is_health(const struct api_exchange *exchange)
{
	return strcmp(exchange->path, "/healthz") == 0;
}

void api_gateway_await(struct api_exchange *exchange, struct exchange_answer *ret_answer)
{
	if (exchange_wait(exchange, is_health(exchange) ? HEALTH_TIMEOUT_MS : ANSWER_TIMEOUT_MS, ret_answer) == PBX_OK)
		return;
	exchange_problem(exchange, is_health(exchange) ? 503 : 504, "loop_stalled", "the PBX does not answer");
	(void)exchange_wait(exchange, 0, ret_answer); /* it is there now */
}

static void serve(struct api_server *server, struct mg_connection *connection, struct api_exchange *exchange)
{
	struct visit visit = { .exchange = exchange };
	struct exchange_answer answer;
	bool welcome = api_gateway_begin(server, &visit), is_read = welcome && read_body(server, connection, exchange);

	if (!welcome)
		exchange_end(exchange);
	else if (is_read)
		api_gateway_tell(server, api_dispatch, exchange);
	api_gateway_await(exchange, &answer);
	write_answer(server, connection, exchange, &answer);
	if (answer.status == 413 && !is_read) {
		crowd_tell(server->crowd, connection, CROWD_SENDS);
		swallow_body(connection);
	}
	if (exchange_leave(exchange))
		api_gateway_tell(server, api_dispatch_gone, exchange);
	if (welcome)
		api_gateway_end(server, &visit);
}

static bool is_file(const struct api_server *server, const struct mg_request_info *info)
{
	static const char *const ours[] = { "/api/", "/healthz", "/readyz", "/metrics" };
	const char *path = info->local_uri ? info->local_uri : "/";

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
		if (strncmp(path, ours[i], strlen(ours[i])) == 0)
			return false;
	}
	return server->serves_files && (strcmp(info->request_method, "GET") == 0 || strcmp(info->request_method, "HEAD") == 0);
}

int api_gateway_serve(struct mg_connection *connection, void *context)
{
	struct api_server *server = context;
	const struct mg_request_info *info = mg_get_request_info(connection);

	if (is_file(server, info))
		return 0; /* CivetWeb does files */

	struct api_exchange *exchange = api_gateway_read(server, info, NULL);
	if (!exchange)
		return mg_send_http_error(connection, 503, "%s", "out of memory");
	serve(server, connection, exchange);
	exchange_unref(exchange);
	return 200;
}
