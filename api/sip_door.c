/*
 * sip_door.c - SIP over WebSocket at /sip (RFC 7118)
 *
 * A browser's frames become a TCP connection of its own to the SIP part, on this machine, and back. Two threads serve a client: CivetWeb's
 * reads frames, the other one reads the connection. Who the client really is stands in core/flows.h before the first byte arrives.
 * A page of another origin is refused, as it would act with what the browser knows of its user.
 */
#include "sip_door.h"
#include "flows.h"
#include "shim/shim.h"
#include "sip_frames.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_MESSAGE 65536u
#define MOST_FRAME ((size_t)4 * MOST_MESSAGE) /* what CivetWeb may gather before it shows it; too much is told, this is cut off */
#define STATUS_TOO_LARGE "\x03\xf1"           /* 1009 */
#define STATUS_GOING "\x03\xe9"               /* 1001 */
#define STATUS_NO_SIP "\x03\xea"              /* 1002 */

struct sip_client {
	struct api_server *server;
	struct mg_connection *connection;
	struct core_flow flow;
	int socket;
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

static bool take_place(struct api_server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	bool taken = !server->stopping && server->sip_clients < server->most_sip_clients;
	server->sip_clients += taken;
	(void)pthread_mutex_unlock(&server->lock);
	return taken;
}

static void leave_place(struct api_server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	server->sip_clients--;
	(void)pthread_mutex_unlock(&server->lock);
}

/* CivetWeb's own function for this leaves out the head before a WebSocket stands. */
static void turn_away(struct mg_connection *connection, const char *status, const char *detail)
{
	(void)mg_printf(connection,
			"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			status, strlen(detail), detail); /* who does not read has left */
}

/* 0 lets it in. */
static int on_connect(const struct mg_connection *asking, void *context)
{
	struct mg_connection *connection = (struct mg_connection *)asking; /* CivetWeb's own functions that answer want it so */
	struct api_server *server = context;
	const char *origin = mg_get_header(asking, "Origin");

	if (!mg_get_request_info(asking)->acceptedWebSocketSubprotocol)
		turn_away(connection, "400 Bad Request", "the WebSocket subprotocol here is \"sip\"");
	else if (!is_welcome(server->sip_origins, origin, mg_get_header(asking, "Host")))
		turn_away(connection, "403 Forbidden", "pages of this origin may not: see the setting api.sip_origins");
	else if (core_flows_door() == 0 || !take_place(server))
		turn_away(connection, "503 Service Unavailable", "no room for another client, see the setting api.sip_clients");
	else
		return 0;
	return 1;
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

static void *pump(void *context)
{
	struct sip_client *client = context;
	char stream[MOST_MESSAGE];
	ssize_t size = 0, got;

	while (size >= 0 && (size_t)size < sizeof stream &&
	       (got = recv(client->socket, stream + size, sizeof stream - (size_t)size, 0)) > 0)
		size = send_complete(client, stream, (size_t)(size + got));
	(void)mg_websocket_write(client->connection, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, STATUS_GOING, 2); /* or it has gone */
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
	if (!client || kind == MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE)
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
	struct api_server *server = context;
	const struct mg_request_info *info = mg_get_request_info(connection);
	struct sip_client *client = calloc(1, sizeof *client);

	api_shim_allow(MOST_FRAME);
	mg_set_user_connection_data(connection, client);
	if (!client)
		return; /* the first frame ends it */
	client->server = server;
	client->connection = connection;
	client->socket = -1;
	client->flow.client.in4.sin_family = AF_INET;
	client->flow.client.in4.sin_port = htons((uint16_t)info->remote_port);
	(void)inet_pton(AF_INET, info->remote_addr, &client->flow.client.in4.sin_addr); /* Debian's CivetWeb speaks IPv4 alone */
	(void)strcpy(client->flow.transport, info->is_ssl ? "wss" : "ws");
	if (connect_to_door(client))
		return;
	if (client->socket >= 0)
		(void)close(client->socket);
	free(client);
	mg_set_user_connection_data(connection, NULL);
	(void)mg_websocket_write(connection, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, STATUS_GOING, 2);
}

static void on_close(const struct mg_connection *connection, void *context)
{
	struct sip_client *client = mg_get_user_connection_data(connection);

	api_shim_allow(SIZE_MAX);
	leave_place(context);
	if (!client)
		return;
	(void)shutdown(client->socket, SHUT_RDWR); /* the pump wakes up */
	(void)pthread_join(client->pump, NULL);
	core_flow_remove(client->flow.port);
	(void)close(client->socket);
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
