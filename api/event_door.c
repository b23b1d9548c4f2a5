/*
 * event_door.c - the stream of events as a WebSocket (RFC 6455), at the same address as text/event-stream
 *
 * It is the same request: asked of the same route, with the same limits, token, scope and arguments, and refused in the same words before the
 * WebSocket stands. What the route writes is a line for each event; a line becomes a frame. A page cannot send Authorization with a WebSocket,
 * and a token has no place in a URL, so it may offer one as a subprotocol beside ours: new WebSocket(url, ["pbx.events", "pbx.bearer." + token]).
 *
 * Two threads serve a client: CivetWeb's reads frames, the pump writes all that is written, the frame that closes last. Whichever of them ends
 * first lets the other one finish, for a while. A client that reads nothing for a while is told so: the kernel keeps little of what we write,
 * so there is room for that last frame, and it gets it as soon as it reads again.
 */
#include "event_door.h"
#include "shim/shim.h"
#include "websocket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define PROTOCOL "pbx.events"
#define BEARER "pbx.bearer."
#define MOST_TOKEN 512u                    /* characters */
#define MOST_SAID 4096u                    /* octets of what a client may say at once */
#define MOST_FRAME ((size_t)4 * MOST_SAID) /* what CivetWeb may gather before it shows it; too much is told, this is cut off */
#define UNSENT_MOST 65536                  /* octets that the kernel keeps unsent: poll() says that there is room below half of it */
#define STALLED_MS 10000                   /* a client that has no room for so long is too slow */
#define GOODBYE_MS 3000u                   /* in which the two sides of a client that leaves let each other finish */

struct event_client {
	struct api_server *server;
	struct mg_connection *connection;
	struct api_exchange *exchange;
	struct visit visit;
	pthread_t pump;
	bool has_pump, has_left;       /* the reader's */
	struct websocket_message said; /* in frame */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock from here on. */
	bool is_read, is_written; /* each to its end */
	uint32_t status;          /* to close with, as we say; 0: as the stream says */
	const char *why;
	char frame[MOST_SAID];
};

/* ---- who may come in -------------------------------------------------------------------- */

/* "Bearer …" from what the client offers; "" when it offers no token, or sends Authorization. */
static void read_token(const struct mg_connection *asking, char ret_authorization[MOST_TOKEN + 8])
{
	const char *offered = mg_get_header(asking, "Sec-WebSocket-Protocol"), *token = NULL;
	size_t size = 0;

	ret_authorization[0] = '\0';
	if (offered && !mg_get_header(asking, "Authorization"))
		token = websocket_offer(offered, BEARER, &size);
	if (token && size <= MOST_TOKEN)
		(void)snprintf(ret_authorization, MOST_TOKEN + 8, "Bearer %.*s", (int)size, token);
}

static void client_free(struct event_client *client)
{
	if (client->exchange)
		exchange_unref(client->exchange);
	(void)pthread_mutex_destroy(&client->lock);
	(void)pthread_cond_destroy(&client->changed);
	free(client);
}

static struct event_client *client_new(struct api_server *server, const struct mg_connection *asking)
{
	struct event_client *client = calloc(1, sizeof *client);
	char authorization[MOST_TOKEN + 8];
	pthread_condattr_t monotonic;

	if (!client)
		return NULL;
	(void)pthread_mutex_init(&client->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&client->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	client->server = server;
	client->connection = (struct mg_connection *)asking; /* CivetWeb's own functions that answer want it so */
	client->said = (struct websocket_message){ .bytes = client->frame, .room = sizeof client->frame };
	read_token(asking, authorization);
	client->exchange = api_gateway_read(server, mg_get_request_info(asking), authorization);
	client->visit.exchange = client->exchange;
	if (client->exchange)
		return client;
	client_free(client);
	return NULL;
}

/* The loop need not care any more. */
static void client_leave(struct event_client *client)
{
	if (!client->has_left && exchange_leave(client->exchange))
		api_gateway_tell(client->server, api_dispatch_gone, client->exchange);
	client->has_left = true;
}

/* What any request would have been answered. */
static void refuse(const struct event_client *client, const struct exchange_answer *answer)
{
	struct mg_connection *connection = client->connection;

	(void)mg_printf(connection,
			"HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Request-Id: %s\r\n%sConnection: close\r\n\r\n",
			answer->status, mg_get_response_code_text(connection, (int)answer->status), answer->content_type, answer->size,
			client->exchange->request_id, answer->headers); /* who does not read has left */
	(void)mg_write(connection, answer->body, answer->size);
}

/* Whether the route has begun its stream; else it has been refused, and the client is gone. */
static bool ask(struct event_client *client)
{
	struct exchange_answer answer;
	bool welcome = api_gateway_begin(client->server, &client->visit);

	if (welcome)
		api_gateway_tell(client->server, api_dispatch, client->exchange);
	else
		exchange_end(client->exchange);
	api_gateway_await(client->exchange, &answer);
	if (answer.streams)
		return true;
	refuse(client, &answer);
	client_leave(client);
	if (welcome)
		api_gateway_end(client->server, &client->visit);
	client_free(client);
	return false;
}

/* 0 lets it in. */
static int on_connect(const struct mg_connection *asking, void *context)
{
	struct api_server *server = context;
	struct event_client *client;

	if (!websocket_can_be(asking))
		return 1;
	if (mg_get_header(asking, "Sec-WebSocket-Protocol") && !mg_get_request_info(asking)->acceptedWebSocketSubprotocol) {
		websocket_turn_away(asking, "400 Bad Request", "the WebSocket subprotocol here is \"" PROTOCOL "\"");
		return 1;
	}
	if (!websocket_is_welcome(server->event_origins, mg_get_header(asking, "Origin"), mg_get_header(asking, "Host"))) {
		websocket_turn_away(asking, "403 Forbidden", "pages of this origin may not: see the setting api.event_origins");
		return 1;
	}
	client = client_new(server, asking);
	if (!client)
		websocket_turn_away(asking, "503 Service Unavailable", "out of memory, try again later");
	if (!client || !ask(client))
		return 1;
	mg_set_user_connection_data(client->connection, client);
	return 0;
}

/* ---- the two sides of a client ---------------------------------------------------------- */

/* The first reason counts. */
static void close_with(struct event_client *client, uint32_t status, const char *why)
{
	(void)pthread_mutex_lock(&client->lock);
	if (client->status == 0) {
		client->status = status;
		client->why = why;
	}
	(void)pthread_mutex_unlock(&client->lock);
}

/* This side is done; the other one may still have something to do. Its connection ends after a while, whatever comes. */
static void finish(struct event_client *client, bool *mine, const bool *other)
{
	struct timespec until;
	int waited = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += GOODBYE_MS / 1000;
	(void)pthread_mutex_lock(&client->lock);
	*mine = true;
	(void)pthread_cond_broadcast(&client->changed);
	while (!*other && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&client->changed, &client->lock, &until);
	(void)pthread_mutex_unlock(&client->lock);
}

/* ---- to the client ---------------------------------------------------------------------- */

static void keep_unsent(int socket, int octets)
{
	(void)setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &octets, sizeof octets); /* Linux has it */
}

/* Room for a frame or two, or no connection any more. False: the client is too slow. */
static bool has_room(int socket)
{
	struct pollfd waits = { .fd = socket, .events = POLLOUT };

	return socket < 0 || poll(&waits, 1, STALLED_MS) != 0;
}

/* PBX_OK; PBX_EBUSY: the client is too slow; PBX_EIO: nobody takes it, or half of a frame. */
static int send_lines(struct event_client *client, int socket, const char *lines, size_t size)
{
	while (size > 0) {
		const char *end = memchr(lines, '\n', size);
		size_t length = end ? (size_t)(end - lines) : size;

		if (!has_room(socket)) {
			close_with(client, WEBSOCKET_LATER, "too slow: come again with after= the last number you know");
			return PBX_EBUSY;
		}
		if (mg_websocket_write(client->connection, MG_WEBSOCKET_OPCODE_TEXT, lines, length) != (int)length)
			return PBX_EIO;
		size -= length + (end != NULL);
		lines += length + (end != NULL);
	}
	return PBX_OK;
}

static void say_goodbye(struct event_client *client)
{
	char told[EXCHANGE_WHY_SIZE];
	uint32_t status = exchange_end_reason(client->exchange, told);
	const char *why = told;

	(void)pthread_mutex_lock(&client->lock);
	if (client->status) {
		status = client->status;
		why = client->why;
	}
	(void)pthread_mutex_unlock(&client->lock);
	(void)websocket_close(client->connection, status, why); /* or it has gone */
}

static void *pump(void *context)
{
	struct event_client *client = context;
	int socket = crowd_socket(client->server->crowd, client->connection);
	int err = PBX_OK;
	bool drained;
	char *lines;
	size_t size;

	keep_unsent(socket, UNSENT_MOST);
	while (err == PBX_OK && (err = exchange_take(client->exchange, &lines, &size, &drained)) == PBX_OK) {
		err = send_lines(client, socket, lines, size);
		free(lines);
		if (err == PBX_OK && drained)
			api_gateway_tell(client->server, api_dispatch_drained, client->exchange);
	}
	keep_unsent(socket, 2 * UNSENT_MOST); /* more than it may have now */
	if (err == PBX_ENOMEM)
		close_with(client, WEBSOCKET_LATER, "out of memory, try again later");
	if (err != PBX_EIO)
		say_goodbye(client);
	finish(client, &client->is_written, &client->is_read);
	crowd_dismiss(client->server->crowd, client->connection); /* or the reader has gone */
	return NULL;
}

/* ---- from the client -------------------------------------------------------------------- */

/* Nothing that was told is lost by that: the client knows how far it has come. */
static void reject(struct event_client *client, uint32_t status, const char *why)
{
	close_with(client, status, why);
	client_leave(client);
}

static void say(struct event_client *client)
{
	int err = exchange_say(client->exchange, client->said.bytes, client->said.size);

	if (err == PBX_OK)
		api_gateway_tell(client->server, api_dispatch_said, client->exchange);
	else if (err == PBX_ENOMEM)
		reject(client, WEBSOCKET_LATER, "out of memory, try again later");
}

static void take_frame(struct event_client *client, unsigned bits, const char *data, size_t size)
{
	uint32_t wrong = websocket_gather(&client->said, bits, data, size);

	if (wrong)
		reject(client, wrong,
		       wrong == WEBSOCKET_TOO_LARGE ? "messages have at most 4096 octets here" : "frames that cannot be (RFC 6455 5)");
	else if (client->said.is_whole && !client->said.is_text)
		reject(client, WEBSOCKET_KIND, "messages here are text");
	else if (client->said.is_whole)
		say(client);
}

/* 0 ends the connection. */
static int on_frame(struct mg_connection *connection, int bits, char *data, size_t size, void *context)
{
	struct event_client *client = mg_get_user_connection_data(connection);

	(void)context;
	api_shim_allow(MOST_FRAME);
	if (!client->has_pump)
		return 0;
	if ((bits & 0x0f) == MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE) {
		reject(client, websocket_close_status(data, size), "");
		return 0;
	}
	if (!client->has_left) /* else we wait for its end */
		take_frame(client, (unsigned)bits, data, size);
	return 1;
}

/* ---- life of a client ------------------------------------------------------------------- */

static void on_ready(struct mg_connection *connection, void *context)
{
	struct event_client *client = mg_get_user_connection_data(connection);

	(void)context;
	api_shim_allow(MOST_FRAME);
	client->has_pump = pthread_create(&client->pump, NULL, pump, client) == 0;
	if (client->has_pump)
		return;
	(void)websocket_close(connection, WEBSOCKET_LATER, "no thread is left, try again later");
	crowd_dismiss(client->server->crowd, connection);
}

static void on_close(const struct mg_connection *connection, void *context)
{
	struct event_client *client = mg_get_user_connection_data(connection);

	(void)context;
	api_shim_allow(SIZE_MAX);
	client_leave(client);
	if (client->has_pump) {
		finish(client, &client->is_read, &client->is_written);
		crowd_dismiss(client->server->crowd, connection); /* whoever takes nothing does not hold the pump */
		(void)pthread_join(client->pump, NULL);
	}
	api_gateway_end(client->server, &client->visit);
	client_free(client);
}

void event_door_open(struct api_server *server)
{
	static const char *names[] = { PROTOCOL };
	static struct mg_websocket_subprotocols protocols = { 1, names };

	mg_set_websocket_handler_with_subprotocols(server->civetweb, API_BASE "/events", &protocols, on_connect, on_ready, on_frame,
						   on_close, server);
}
