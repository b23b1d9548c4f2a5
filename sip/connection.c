/*
 * connection.c - connections that others have opened to us
 *
 * Two functions of Sofia's are wrapped: it asks for room for a connection that it has accepted, and lets go of one that is over. Who may not
 * come in, because the listener does not name them or the border's guard does not want them, is shown out before a byte is read. Who is
 * there already is shown out when the guard asks for it: the socket is shut down, so that Sofia finds the end of the stream and closes it as
 * it does when the peer hangs up. A WebSocket is the gateway's connection to our door; core/flows.h tells who is behind it.
 */
#include "connection.h"
#include "address.h"
#include "border.h"
#include "flows.h"
#include "listener.h"
#include <assert.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUCKETS 1024u

struct connection {
	struct connection *next; /* in its bucket */
	const tport_t *tport;
	int socket;
	struct core_addr client;
	const char *transport; /* one of ua_transport_name() */
};

static struct connection *connections[BUCKETS];

static struct connection **place_of(const tport_t *tport)
{
	struct connection **at = &connections[((uintptr_t)tport >> 6) % BUCKETS];

	while (*at && (*at)->tport != tport)
		at = &(*at)->next;
	return at;
}

/* ---- who has come --------------------------------------------------------------------- */

/* False: nobody is there any more, or it came by the gateway's door and not from the gateway. */
static bool find_client(const tport_t *primary, int socket, struct connection *ret_connection)
{
	struct core_addr end = { 0 };
	socklen_t size = sizeof end;
	struct core_flow flow;

	if (getpeername(socket, &end.sa, &size) != 0)
		return false;
	ret_connection->client = end;
	ret_connection->transport = ua_transport_name(tport_name(primary)->tpn_proto);
	if (!ua_part || primary != ua_part->door)
		return true;
	if (!core_flow_find(ua_address_port(&end), &flow))
		return false;
	ret_connection->client = flow.client;
	ret_connection->transport = ua_transport_name(flow.transport);
	return true;
}

static bool is_unwanted(const struct connection *connection)
{
	return ua_border_packet(&connection->client, connection->transport) == PBX_BORDER_DROP;
}

typedef struct tport_primary tport_primary_t; /* Sofia's own, from a header that is not installed; it begins with its tport_t */
tport_t *tport_alloc_secondary(tport_primary_t *primary, int socket, int accepted, char const **ret_reason);
void tport_zap_secondary(tport_t *tport);

PBX_EXPORT tport_t *tport_alloc_secondary(tport_primary_t *primary, int socket, int accepted, char const **ret_reason)
{
	static tport_t *(*real)(tport_primary_t *, int, int, char const **);
	const tport_t *listener = (const tport_t *)(const void *)primary;

	if (!real)
		real = (tport_t * (*)(tport_primary_t *, int, int, char const **)) dlsym(RTLD_NEXT, "tport_alloc_secondary");
	if (!accepted)
		return real(primary, socket, accepted, ret_reason);

	struct connection *connection = calloc(1, sizeof *connection);
	if (!connection || !find_client(listener, socket, connection) || !ua_listener_lets_in(listener, &connection->client) ||
	    is_unwanted(connection)) {
		free(connection);
		(void)close(socket);
		*ret_reason = "not allowed here";
		return NULL;
	}
	connection->tport = real(primary, socket, accepted, ret_reason);
	connection->socket = socket;
	if (!connection->tport) {
		free(connection);
		return NULL;
	}
	struct connection **at = place_of(connection->tport);
	assert(!*at);
	*at = connection;
	return (tport_t *)(uintptr_t)connection->tport;
}

/* Its socket is closed in there: the number may be somebody else's afterwards. */
PBX_EXPORT void tport_zap_secondary(tport_t *tport)
{
	static void (*real)(tport_t *);
	struct connection **at = place_of(tport), *connection = *at;

	if (!real)
		real = (void (*)(tport_t *))dlsym(RTLD_NEXT, "tport_zap_secondary");
	if (connection) {
		*at = connection->next;
		free(connection);
	}
	real(tport);
}

/* ---- who is not wanted any more ------------------------------------------------------- */

static bool is_within(const struct connection *connection, const uint8_t address[16], uint32_t bits)
{
	uint8_t bytes[16];

	ua_address_bytes(&connection->client, bytes);
	uint8_t mask = (uint8_t)(0xff00u >> bits % 8);
	return memcmp(bytes, address, bits / 8) == 0 && (mask == 0 || ((bytes[bits / 8] ^ address[bits / 8]) & mask) == 0);
}

void ua_connections_review(const uint8_t address[16], uint32_t bits)
{
	for (uint32_t bucket = 0; bucket < BUCKETS; bucket++)
		for (const struct connection *connection = connections[bucket]; connection; connection = connection->next)
			if (is_within(connection, address, bits) && is_unwanted(connection))
				(void)shutdown(connection->socket, SHUT_RDWR); /* it had gone by itself: as good */
}
