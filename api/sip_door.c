/*
 * sip_door.c - SIP over WebSocket at /sip (RFC 7118)
 *
 * A browser's frames become a TCP connection of its own to the SIP part, on this machine, and back. Two threads serve a client: CivetWeb's
 * reads frames, the other one reads the connection. Who the client really is stands in core/flows.h before the first byte arrives.
 * A page of another origin is refused, as it would act with what the browser knows of its user. Places are few: whoever has not registered or called after
 * a while has to leave, and those who have not yet may be so many of one address only.
 */
#include "sip_door.h"
#include "flows.h"
#include "shim/shim.h"
#include "sip_frames.h"
#include "loop.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_MESSAGE 65536u
#define MOST_FRAME ((size_t)4 * MOST_MESSAGE) /* what CivetWeb may gather before it shows it; too much is told, this is cut off */
#define STATUS_TOO_LARGE "\x03\xf1"           /* 1009 */
#define STATUS_GOING "\x03\xe9"               /* 1001 */
#define STATUS_NO_SIP "\x03\xea"              /* 1002 */
#define STATUS_NOBODY "\x03\xf0"              /* 1008 */
#define SHARES 4u                             /* of the places strangers of one address have one */
#define KEY_LENGTH 24u                        /* of Sec-WebSocket-Key (RFC 6455 4.1) */

struct sip_client {
	struct sip_client *next, **at; /* among the strangers, under the server's lock; at NULL: it is none any more */
	struct api_server *server;
	struct mg_connection *connection;
	struct in_addr address;
	uint64_t known_by_us; /* when it must be somebody */
	bool is_known;        /* the pump's */
	struct core_flow flow;
	int socket; /* -1: it has none */
	pthread_t pump;
	size_t gathered; /* of a message that comes in several frames */
	char frame[MOST_MESSAGE], message[MOST_MESSAGE + 64];
};

/* ---- who may come in -------------------------------------------------------------------- */

/* "https://pbx.example:9000" is our own when the rest of it is the Host header. */
static bool is_welcome(const char *origins, const char *origin, const char *host)
{
	const char *rest = origin ? strstr(origin, "://") : NULL;
	size_t length;

	if (!origin)
		return true; /* no browser */
	if (rest && host && strcasecmp(rest + 3, host) == 0)
		return true;
	for (const char *one = origins; *one; one += length + (one[length] == ' ')) {
		length = strcspn(one, " ");
		if (length == strlen(origin) && strncasecmp(one, origin, length) == 0)
			return true;
	}
	return false;
}

static uint32_t strangers_of(const struct api_server *server, struct in_addr address)
{
	uint32_t count = 0;

	for (const struct sip_client *client = server->sip_strangers; client; client = client->next)
		count += client->address.s_addr == address.s_addr;
	return count;
}

static void stranger_add(struct api_server *server, struct sip_client *client)
{
	client->next = server->sip_strangers;
	client->at = &server->sip_strangers;
	if (client->next)
		client->next->at = &client->next;
	server->sip_strangers = client;
}

static void stranger_remove(struct sip_client *client)
{
	if (!client->at)
		return;
	*client->at = client->next;
	if (client->next)
		client->next->at = client->at;
	client->at = NULL;
}

/* NULL: it may come in. Else why not, as a status of HTTP. */
static const char *take_place(struct api_server *server, struct sip_client *client)
{
	const char *refused = NULL;

	(void)pthread_mutex_lock(&server->lock);
	if (server->stopping || server->sip_clients >= server->most_sip_clients)
		refused = "503 Service Unavailable";
	else if (strangers_of(server, client->address) >= (server->most_sip_clients + SHARES - 1) / SHARES)
		refused = "429 Too Many Requests";
	if (!refused) {
		server->sip_clients++;
		stranger_add(server, client);
	}
	(void)pthread_mutex_unlock(&server->lock);
	return refused;
}

static void leave_place(struct sip_client *client)
{
	struct api_server *server = client->server;

	(void)pthread_mutex_lock(&server->lock);
	stranger_remove(client);
	server->sip_clients--;
	(void)pthread_mutex_unlock(&server->lock);
}

static void become_known(struct sip_client *client)
{
	client->is_known = true;
	(void)pthread_mutex_lock(&client->server->lock);
	stranger_remove(client);
	(void)pthread_mutex_unlock(&client->server->lock);
}

/* CivetWeb's own function for this leaves out the head before a WebSocket stands. */
static void turn_away(struct mg_connection *connection, const char *status, const char *detail)
{
	(void)mg_printf(connection,
			"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			status, strlen(detail), detail); /* who does not read has left */
}

/* It has a place from here on, or NULL. */
static struct sip_client *client_new(struct api_server *server, struct mg_connection *connection)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	struct sip_client *client = calloc(1, sizeof *client);
	const char *refused = "503 Service Unavailable";

	if (client) {
		client->server = server;
		client->connection = connection;
		client->socket = -1;
		client->known_by_us = core_now_us() + server->sip_greeting_s * UINT64_C(1000000);
		(void)inet_pton(AF_INET, info->remote_addr, &client->address); /* Debian's CivetWeb speaks IPv4 alone */
		refused = core_flows_door() == 0 ? refused : take_place(server, client);
	}
	if (!refused)
		return client;
	free(client);
	turn_away(connection, refused,
		  refused[0] == '4' ? "as many clients of this address as may be have not registered yet"
				    : "no room for another client, see the setting api.sip_clients");
	return NULL;
}

/* 0 lets it in. */
static int on_connect(const struct mg_connection *asking, void *context)
{
	struct mg_connection *connection = (struct mg_connection *)asking; /* CivetWeb's own functions that answer want it so */
	struct api_server *server = context;
	const char *origin = mg_get_header(asking, "Origin"), *key = mg_get_header(asking, "Sec-WebSocket-Key");

	if (!key || strlen(key) != KEY_LENGTH) /* CivetWeb would refuse it after we have given it a place, and never tell */
		turn_away(connection, "400 Bad Request", "Sec-WebSocket-Key has 24 characters (RFC 6455 4.1)");
	else if (!mg_get_request_info(asking)->acceptedWebSocketSubprotocol)
		turn_away(connection, "400 Bad Request", "the WebSocket subprotocol here is \"sip\"");
	else if (!is_welcome(server->sip_origins, origin, mg_get_header(asking, "Host")))
		turn_away(connection, "403 Forbidden", "pages of this origin may not: see the setting api.sip_origins");
	else
		mg_set_user_connection_data(connection, client_new(server, connection));
	return mg_get_user_connection_data(asking) ? 0 : 1;
}

/* ---- from the PBX to the client --------------------------------------------------------- */

static bool send_message(struct sip_client *client, const char *message, size_t size)
{
	char frame[MOST_MESSAGE + 64];
	ssize_t made = (ssize_t)size;
	bool is_pong = message[0] == '\r' || message[0] == '\n';

	if (!is_pong)
		made = sip_frame_convert(message, size, strcmp(client->flow.transport, "wss") == 0 ? "WSS" : "WS", frame, sizeof frame);
	if (made < 0)
		return false;
	if (!client->is_known && sip_frame_welcomes(message, size))
		become_known(client);
	return mg_websocket_write(client->connection, MG_WEBSOCKET_OPCODE_TEXT, is_pong ? message : frame, (size_t)made) > 0;
}

/* Sends what is complete; how much is left. Negative: the connection is of no use any more. */
static ssize_t send_complete(struct sip_client *client, char *stream, size_t size)
{
	ssize_t first;

	while (size > 0 && (first = sip_frame_measure(stream, size)) != 0) {
		if (first < 0 || !send_message(client, stream, (size_t)first))
			return -1;
		size -= (size_t)first;
		memmove(stream, stream + first, size);
	}
	return (ssize_t)size;
}

/* Something comes from the PBX, or the end. False: this one is nobody, and its time is over. */
static bool may_stay(const struct sip_client *client)
{
	struct pollfd waits = { .fd = client->socket, .events = POLLIN };
	uint64_t now_us;

	while (!client->is_known) {
		now_us = core_now_us();
		if (now_us >= client->known_by_us)
			return false;
		if (poll(&waits, 1, (int)((client->known_by_us - now_us) / 1000) + 1) > 0)
			return true;
	}
	return true;
}

static void *pump(void *context)
{
	struct sip_client *client = context;
	char stream[MOST_MESSAGE];
	ssize_t size = 0, got;
	bool stays = true;

	while (size >= 0 && (size_t)size < sizeof stream && (stays = may_stay(client)) &&
	       (got = recv(client->socket, stream + size, sizeof stream - (size_t)size, 0)) > 0)
		size = send_complete(client, stream, (size_t)(size + got));
	(void)mg_websocket_write(client->connection, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, stays ? STATUS_GOING : STATUS_NOBODY,
				 2);                              /* or it has gone */
	crowd_dismiss(client->server->crowd, client->connection); /* whoever does not heed that would keep its place */
	return NULL;
}

/* ---- from the client to the PBX --------------------------------------------------------- */

static bool pass_on(struct sip_client *client, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(client->socket, bytes, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes += sent;
		size -= (size_t)sent;
	}
	return true;
}

static bool take_message(struct sip_client *client)
{
	size_t size = client->gathered;
	ssize_t made;

	client->gathered = 0;
	if (size == 0 || client->frame[0] == '\r' || client->frame[0] == '\n')
		return pass_on(client, client->frame, size); /* a keep-alive */
	made = sip_frame_convert(client->frame, size, "TCP", client->message, sizeof client->message);
	return made > 0 && pass_on(client, client->message, (size_t)made);
}

static int refuse(struct sip_client *client, const char status[2])
{
	(void)mg_websocket_write(client->connection, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, status, 2);
	return 0;
}

/* 0 ends the connection. */
static int on_frame(struct mg_connection *connection, int bits, char *data, size_t size, void *context)
{
	struct sip_client *client = mg_get_user_connection_data(connection);
	int kind = bits & 0x0f;

	(void)context;
	api_shim_allow(MOST_FRAME);
	if (client->socket < 0 || kind == MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE)
		return 0;
	if (kind != MG_WEBSOCKET_OPCODE_TEXT && kind != MG_WEBSOCKET_OPCODE_BINARY && kind != MG_WEBSOCKET_OPCODE_CONTINUATION)
		return 1;
	if (size > sizeof client->frame - client->gathered)
		return refuse(client, STATUS_TOO_LARGE);
	memcpy(client->frame + client->gathered, data, size);
	client->gathered += size;
	if (!(bits & 0x80))
		return 1; /* more of it follows */
	return take_message(client) ? 1 : refuse(client, STATUS_NO_SIP);
}

/* ---- life of a client ------------------------------------------------------------------- */

static bool connect_to_door(struct sip_client *client)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, door = here;
	socklen_t size = sizeof here;

	door.sin_port = htons(core_flows_door());
	client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->socket < 0 || bind(client->socket, (struct sockaddr *)&here, size) != 0 ||
	    getsockname(client->socket, (struct sockaddr *)&here, &size) != 0)
		return false;
	client->flow.port = ntohs(here.sin_port);
	if (core_flow_add(&client->flow) != PBX_OK)
		return false;
	if (connect(client->socket, (struct sockaddr *)&door, sizeof door) == 0 && pthread_create(&client->pump, NULL, pump, client) == 0)
		return true;
	core_flow_remove(client->flow.port);
	return false;
}

static void on_ready(struct mg_connection *connection, void *context)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	struct sip_client *client = mg_get_user_connection_data(connection);

	(void)context;
	api_shim_allow(MOST_FRAME);
	client->flow.client.in4.sin_family = AF_INET;
	client->flow.client.in4.sin_port = htons((uint16_t)info->remote_port);
	client->flow.client.in4.sin_addr = client->address;
	(void)strcpy(client->flow.transport, info->is_ssl ? "wss" : "ws");
	if (connect_to_door(client))
		return;
	if (client->socket >= 0)
		(void)close(client->socket);
	client->socket = -1; /* the next frame ends it */
	(void)mg_websocket_write(connection, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, STATUS_GOING, 2);
}

static void on_close(const struct mg_connection *connection, void *context)
{
	struct sip_client *client = mg_get_user_connection_data(connection);

	(void)context;
	api_shim_allow(SIZE_MAX);
	if (client->socket >= 0) {
		(void)shutdown(client->socket, SHUT_RDWR); /* the pump wakes up */
		(void)pthread_join(client->pump, NULL);
		core_flow_remove(client->flow.port);
		(void)close(client->socket);
	}
	leave_place(client);
	free(client);
}

void sip_door_open(struct api_server *server)
{
	static const char *names[] = { "sip" };
	static struct mg_websocket_subprotocols protocols = { 1, names };

	if (server->most_sip_clients > 0)
		mg_set_websocket_handler_with_subprotocols(server->civetweb, "/sip", &protocols, on_connect, on_ready, on_frame, on_close,
							   server);
}
