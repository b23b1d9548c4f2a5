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
#include "websocket.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_MESSAGE 65536u
#define MOST_FRAME ((size_t)4 * MOST_MESSAGE) /* what CivetWeb may gather before it shows it; too much is told, this is cut off */
#define SHARES 4u                             /* of the places strangers of one address have one */

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
	struct websocket_message said; /* in frame */
	char frame[MOST_MESSAGE], message[MOST_MESSAGE + 64];
};

/* ---- who may come in -------------------------------------------------------------------- */

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
		client->said = (struct websocket_message){ .bytes = client->frame, .room = sizeof client->frame };
		client->known_by_us = core_now_us() + server->sip_greeting_s * UINT64_C(1000000);
		(void)inet_pton(AF_INET, info->remote_addr, &client->address); /* Debian's CivetWeb speaks IPv4 alone */
		refused = core_flows_door() == 0 ? refused : take_place(server, client);
	}
	if (!refused)
		return client;
	free(client);
	websocket_turn_away(connection, refused,
			    refused[0] == '4' ? "as many clients of this address as may be have not registered yet"
					      : "no room for another client, see the setting api.sip_clients");
	return NULL;
}

/* 0 lets it in. */
static int on_connect(const struct mg_connection *asking, void *context)
{
	struct mg_connection *connection = (struct mg_connection *)asking; /* CivetWeb's own functions that answer want it so */
	struct api_server *server = context;
	const char *origin = mg_get_header(asking, "Origin");

	if (!websocket_can_be(asking))
		return 1;
	if (!mg_get_request_info(asking)->acceptedWebSocketSubprotocol)
		websocket_turn_away(asking, "400 Bad Request", "the WebSocket subprotocol here is \"sip\"");
	else if (!websocket_is_welcome(server->sip_origins, origin, mg_get_header(asking, "Host")))
		websocket_turn_away(asking, "403 Forbidden", "pages of this origin may not: see the setting api.sip_origins");
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
	if (stays)
		(void)websocket_close(client->connection, WEBSOCKET_GOING, ""); /* or it has gone */
	else
		(void)websocket_close(client->connection, WEBSOCKET_REFUSED, "neither registered nor called in time");
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
	size_t size = client->said.size;
	ssize_t made;

	if (size == 0 || client->frame[0] == '\r' || client->frame[0] == '\n')
		return pass_on(client, client->frame, size); /* a keep-alive */
	made = sip_frame_convert(client->frame, size, "TCP", client->message, sizeof client->message);
	return made > 0 && pass_on(client, client->message, (size_t)made);
}

static int refuse(struct sip_client *client, uint32_t status)
{
	(void)websocket_close(client->connection, status, ""); /* or it has gone */
	return 0;
}

/* 0 ends the connection. */
static int on_frame(struct mg_connection *connection, int bits, char *data, size_t size, void *context)
{
	struct sip_client *client = mg_get_user_connection_data(connection);

	(void)context;
	api_shim_allow(MOST_FRAME);
	if (client->socket < 0 || (bits & 0x0f) == MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE)
		return 0;
	uint32_t wrong = websocket_gather(&client->said, (unsigned)bits, data, size);
	if (wrong)
		return refuse(client, wrong);
	if (!client->said.is_whole)
		return 1;
	return take_message(client) ? 1 : refuse(client, WEBSOCKET_PROTOCOL);
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
	(void)websocket_close(connection, WEBSOCKET_GOING, "");
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
