/*
 * connection.c - connections of TCP and TLS: those that others have opened to us, and ours
 *
 * Functions of Sofia's are wrapped: it asks for room for a connection, names it when it knows where it leads, and lets go of one that is
 * over. Packets on it are marked as its peer wants (pbx/sip.h), and flow.c keeps ours alive where it does. Who may not come in, because the listener does not name them or the border's guard does not want them, is shown out before a byte is read. Who is
 * there already is shown out when the guard asks for it: the socket is shut down, so that Sofia finds the end of the stream and closes it as
 * it does when the peer hangs up. A WebSocket is the gateway's connection to our door; core/flows.h tells who is behind it.
 */
#include "connection.h"
#include "address.h"
#include "border.h"
#include "flow.h"
#include "flows.h"
#include "listener.h"
#include "loop.h"
#include "peer.h"
#include "socket.h"
#include "tls.h"
#include <assert.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUCKETS 1024u

static struct ua_connection *connections[BUCKETS], *kept;

static struct ua_connection **place_of(const tport_t *tport)
{
	struct ua_connection **at = &connections[((uintptr_t)tport >> 6) % BUCKETS];

	while (*at && (*at)->tport != tport)
		at = &(*at)->next;
	return at;
}

/* ---- who has come --------------------------------------------------------------------- */

/* False: nobody is there any more, or it came by the gateway's door and not from the gateway. */
static bool find_client(const tport_t *primary, int socket, struct ua_connection *ret_connection)
{
	struct core_addr end = { 0 };
	socklen_t size = sizeof end;
	struct core_flow flow;

	if (getpeername(socket, &end.sa, &size) != 0)
		return false;
	ret_connection->end = end;
	ret_connection->transport = ua_transport_name(tport_name(primary)->tpn_proto);
	if (!ua_part || primary != ua_part->door)
		return true;
	if (!core_flow_find(ua_address_port(&end), &flow))
		return false;
	ret_connection->end = flow.client;
	ret_connection->transport = ua_transport_name(flow.transport);
	return true;
}

static bool is_unwanted(const struct ua_connection *connection)
{
	return !ua_border_lets_in(&connection->end, connection->transport);
}

typedef struct tport_primary tport_primary_t; /* Sofia's own, from a header that is not installed; it begins with its tport_t */
tport_t *tport_alloc_secondary(tport_primary_t *primary, int socket, int accepted, char const **ret_reason);
int tport_setname(tport_t *tport, char const *protocol, su_addrinfo_t const *info, char const *canonical);
void tport_zap_secondary(tport_t *tport);

static void mark(const struct ua_connection *connection)
{
	uint8_t dscp = ua_peer_dscp_towards(&connection->end);

	if (dscp)
		ua_socket_mark(connection->socket, connection->end.sa.sa_family, dscp);
}

static void look_after(struct ua_connection *connection)
{
	connection->next_kept = kept;
	connection->at_kept = &kept;
	if (kept)
		kept->at_kept = &connection->next_kept;
	kept = connection;
}

static void list(struct ua_connection *connection)
{
	struct ua_connection **at = place_of(connection->tport);

	assert(!*at);
	*at = connection;
	if (connection->is_ours)
		look_after(connection);
}

static void unlist(struct ua_connection **at)
{
	struct ua_connection *connection = *at;

	*at = connection->next;
	if (!connection->at_kept)
		return;
	*connection->at_kept = connection->next_kept;
	if (connection->next_kept)
		connection->next_kept->at_kept = connection->at_kept;
}

PBX_EXPORT tport_t *tport_alloc_secondary(tport_primary_t *primary, int socket, int accepted, char const **ret_reason)
{
	static tport_t *(*real)(tport_primary_t *, int, int, char const **);
	const tport_t *listener = (const tport_t *)(const void *)primary;

	if (!real)
		real = (tport_t * (*)(tport_primary_t *, int, int, char const **)) dlsym(RTLD_NEXT, "tport_alloc_secondary");

	struct ua_connection *connection = calloc(1, sizeof *connection);
	if (!connection || (accepted && (!find_client(listener, socket, connection) || !ua_listener_lets_in(listener, &connection->end) ||
					 is_unwanted(connection)))) {
		free(connection);
		(void)close(socket);
		*ret_reason = "not allowed here";
		return NULL;
	}
	connection->tport = real(primary, socket, accepted, ret_reason);
	connection->socket = socket;
	connection->ssl = ua_tls_latest(socket);
	connection->is_ours = !accepted;
	connection->opened_at_ms = core_now_ms();
	if (!connection->tport) {
		free(connection);
		return NULL;
	}
	list(connection);
	if (accepted)
		mark(connection);
	return connection->tport;
}

/* Before it connects, Sofia gives it the name of its other end. */
PBX_EXPORT int tport_setname(tport_t *tport, char const *protocol, su_addrinfo_t const *info, char const *canonical)
{
	static int (*real)(tport_t *, char const *, su_addrinfo_t const *, char const *);
	struct ua_connection *connection = *place_of(tport);

	if (!real)
		real = (int (*)(tport_t *, char const *, su_addrinfo_t const *, char const *))dlsym(RTLD_NEXT, "tport_setname");
	if (connection && connection->is_ours && info->ai_addr && info->ai_addrlen <= sizeof connection->end) {
		memcpy(&connection->end, info->ai_addr, info->ai_addrlen);
		connection->transport = ua_transport_name(protocol);
		mark(connection);
	}
	return real(tport, protocol, info, canonical);
}

/* Its socket is closed in there: the number may be somebody else's afterwards. */
PBX_EXPORT void tport_zap_secondary(tport_t *tport)
{
	static void (*real)(tport_t *);
	struct ua_connection **at = place_of(tport), *connection = *at;

	if (!real)
		real = (void (*)(tport_t *))dlsym(RTLD_NEXT, "tport_zap_secondary");
	if (connection) {
		unlist(at);
		ua_flow_over(connection);
		free(connection);
	}
	real(tport);
}

struct ua_connection *ua_connection_find(const tport_t *tport)
{
	return *place_of(tport);
}

static struct ua_connection *find_unwanted(uint32_t bucket, bool (*fn)(const struct ua_connection *connection))
{
	for (struct ua_connection *connection = connections[bucket]; connection; connection = connection->next)
		if (!connection->is_ours && !connection->is_closing && fn(connection))
			return connection;
	return NULL;
}

void ua_connections_close(uint32_t part, uint32_t parts, bool (*fn)(const struct ua_connection *connection))
{
	struct ua_connection *connection;

	for (uint32_t bucket = part; bucket < BUCKETS; bucket += parts)
		while ((connection = find_unwanted(bucket, fn))) {
			connection->is_closing = true;
			(void)tport_shutdown(connection->tport, 2); /* it, and its neighbours, may be gone after this */
		}
}

struct ua_connection *ua_connections_kept(void)
{
	return kept;
}

void ua_connection_promised(const tport_t *tport, const char *account, uint32_t every_s)
{
	struct ua_connection *connection = *place_of(tport);

	if (!connection || connection->is_ours || connection->transport[0] == 'w')
		return;
	connection->promised_s = every_s;
	connection->look_at_ms = 0;
	(void)snprintf(connection->account, sizeof connection->account, "%s", account);
	if (!connection->at_kept)
		look_after(connection);
}

/* ---- who is not wanted any more ------------------------------------------------------- */

static bool is_within(const struct ua_connection *connection, const uint8_t address[16], uint32_t bits)
{
	uint8_t bytes[16];

	ua_address_bytes(&connection->end, bytes);
	uint8_t mask = (uint8_t)(0xff00u >> bits % 8);
	return memcmp(bytes, address, bits / 8) == 0 && (mask == 0 || ((bytes[bits / 8] ^ address[bits / 8]) & mask) == 0);
}

void ua_connections_review(const uint8_t address[16], uint32_t bits)
{
	for (uint32_t bucket = 0; bucket < BUCKETS; bucket++)
		for (const struct ua_connection *connection = connections[bucket]; connection; connection = connection->next)
			if (!connection->is_ours && !tport_is_closed(connection->tport) && is_within(connection, address, bits) &&
			    is_unwanted(connection))
				(void)shutdown(connection->socket, SHUT_RDWR); /* it had gone by itself: as good */
}
