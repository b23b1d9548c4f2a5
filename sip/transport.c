/*
 * transport.c - sockets: listeners, by which way a peer is reached, and what we are called there
 *
 * A client that came over TLS or WebSocket is behind a connection that only it can open: whatever is meant for it goes over that connection or nowhere
 * (RFC 5626). Sofia finds connections by the address at their other end, but looks only behind the first listener of a transport: its
 * tport_by_name() is wrapped to look behind all of them. WebSockets arrive through a door of the gateway's, core/flows.h.
 */
#include "transport.h"
#include "address.h"
#include "flows.h"
#include "socket.h"
#include "tls.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sofia-sip/msg_addr.h>
#include <string.h>

static const char *const names[] = { "udp", "tcp", "tls", "ws", "wss" };

const char *ua_transport_name(const char *text)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcasecmp(text, names[i]) == 0)
			return names[i];
	return NULL;
}

/* ---- listeners ------------------------------------------------------------------------ */

/* "tls:[::]:5061" is "tls" at "[::]:5061". False: no listener. */
static bool read_listener(const char *text, const char **ret_transport, const char **ret_hostport, struct core_addr *ret_addr)
{
	char name[8];
	size_t length = strcspn(text, ":");

	if (length >= sizeof name || !text[length] || !ua_address_parse(text + length + 1, ret_addr))
		return false;
	memcpy(name, text, length);
	name[length] = '\0';
	*ret_transport = ua_transport_name(name);
	*ret_hostport = text + length + 1;
	return *ret_transport != NULL && (*ret_transport)[0] != 'w'; /* WebSockets come by the gateway */
}

static bool is_tls(const char *transport)
{
	return strcmp(transport, "tls") == 0;
}

static int listen_on(struct ua *ua, const char *text, struct pbx_diag *diag)
{
	const char *transport, *hostport;
	struct core_addr addr;
	char url[160];
	int err = PBX_OK;

	if (!read_listener(text, &transport, &hostport, &addr)) {
		pbx_diag_set(diag, "listen", "'%s' is no listener: write udp:ADDRESS:PORT, tcp:ADDRESS:PORT or tls:ADDRESS:PORT", text);
		return PBX_EINVAL;
	}
	(void)snprintf(url, sizeof url, "%s:%s;transport=%s", is_tls(transport) ? "sips" : "sip", hostport, transport);
	if (is_tls(transport))
		err = ua_tls_listen(ua, url, diag);
	else if (nta_agent_add_tport(ua->agent, ua_url(url), UA_LISTENER_TAGS(ua->settings), TAG_END()) < 0)
		err = PBX_EIO;
	if (err == PBX_EIO && !diag->text[0])
		pbx_diag_set(diag, "listen", "cannot listen on %s: %s; stop who has that port, or change sip.listen", text,
			     strerror(errno));
	if (err == PBX_OK)
		pbx_notice(ua->host, "sip_listening", "transport=%s address=%s", transport, hostport);
	return err;
}

static bool has_tls(const struct ua_settings *settings)
{
	for (uint32_t i = 0; i < settings->listen.count; i++)
		if (strncmp(settings->listen.items[i], "tls:", 4) == 0)
			return true;
	return false;
}

/* Where the gateway connects for its WebSocket clients. The last of Sofia's listeners, so that nothing of ours begins there. */
static int open_door(struct ua *ua, struct pbx_diag *diag)
{
	const tport_t *primary, *last = NULL;

	if (nta_agent_add_tport(ua->agent, ua_url("sip:127.0.0.1:0;transport=tcp"), UA_LISTENER_TAGS(ua->settings), TAG_END()) < 0) {
		pbx_diag_set(diag, "listen", "cannot listen on 127.0.0.1 for the gateway: %s", strerror(errno));
		return PBX_EIO;
	}
	for (primary = tport_primaries(nta_agent_tports(ua->agent)); primary; primary = tport_next(primary))
		last = primary;
	ua->door = last;
	core_flows_set_door((uint16_t)strtoul(tport_name(last)->tpn_port, NULL, 10));
	return PBX_OK;
}

int ua_agent_listen(struct ua *ua, struct pbx_diag *diag)
{
	ua_sockets_watch(ua);
	int err = has_tls(ua->settings) ? ua_tls_start(ua, diag) : PBX_OK;

	for (uint32_t i = 0; err == PBX_OK && i < ua->settings->listen.count; i++)
		err = listen_on(ua, ua->settings->listen.items[i], diag);
	return err == PBX_OK ? open_door(ua, diag) : err;
}

void ua_transport_stop(struct ua *ua)
{
	ua_sockets_watch(NULL);
	core_flows_set_door(0);
	ua->door = NULL;
	ua_tls_stop();
}

/* ---- the way to a peer ---------------------------------------------------------------- */

bool ua_agent_listens(const struct ua *ua, const char *transport)
{
	size_t length = strlen(transport);

	for (uint32_t i = 0; i < ua->settings->listen.count; i++)
		if (strncmp(ua->settings->listen.items[i], transport, length) == 0 && ua->settings->listen.items[i][length] == ':')
			return true;
	return false;
}

bool ua_transport_sender(const struct ua *ua, const msg_t *msg, struct core_addr *ret_source, const char **ret_transport)
{
	tport_t *tport = tport_delivered_by(nta_agent_tports(ua->agent), msg);
	const char *name = tport ? ua_transport_name(tport_name(tport)->tpn_proto) : NULL;
	struct core_addr source;
	struct core_flow flow;

	memcpy(&source, msg_addr((msg_t *)msg), sizeof source);
	if (ua->door && tport && tport_parent(tport) == ua->door) {
		if (!core_flow_find(ua_address_port(&source), &flow))
			return false;
		source = flow.client;
		name = ua_transport_name(flow.transport);
	}
	*ret_source = source;
	*ret_transport = name ? name : "udp";
	return true;
}

PBX_EXPORT tport_t *tport_by_name(tport_t const *self, tp_name_t const *name)
{
	static tport_t *(*real)(tport_t const *, tp_name_t const *);

	if (!real)
		real = (tport_t * (*)(tport_t const *, tp_name_t const *)) dlsym(RTLD_NEXT, "tport_by_name");
	for (tport_t *primary = tport_is_primary(self) ? NULL : tport_primaries(self); primary; primary = tport_next(primary)) {
		tport_t *found = strcasecmp(tport_name(primary)->tpn_proto, name->tpn_proto) == 0 ? real(primary, name) : NULL;

		if (found && tport_is_secondary(found))
			return found;
	}
	return real(self, name);
}

/* Whether a connection with that other end stands. */
static bool has_connection(const struct ua *ua, const char *transport, const struct core_addr *end)
{
	char host[64], port[8];

	ua_address_print_host(end, host, sizeof host);
	(void)snprintf(port, sizeof port, "%u", ua_address_port(end));
	const tp_name_t name = { .tpn_proto = transport, .tpn_canon = host, .tpn_host = host, .tpn_port = port };
	for (tport_t *primary = tport_primaries(nta_agent_tports(ua->agent)); primary; primary = tport_next(primary))
		if (strcasecmp(tport_name(primary)->tpn_proto, transport) == 0 && tport_is_secondary(tport_by_name(primary, &name)))
			return true;
	return false;
}

int ua_transport_route(const struct ua *ua, const char *transport, const char *received, char ret_route[UA_ROUTE_SIZE])
{
	struct core_addr end;

	if (!ua_address_parse(received, &end))
		return PBX_EINVAL;
	if (transport[0] == 'w') {
		uint16_t port = core_flow_to(&end);

		(void)snprintf(ret_route, UA_ROUTE_SIZE, "sip:127.0.0.1:%u;transport=tcp", port);
		return port ? PBX_OK : PBX_ENOENT;
	}
	if (is_tls(transport) && !has_connection(ua, transport, &end))
		return PBX_ENOENT;
	(void)snprintf(ret_route, UA_ROUTE_SIZE, "sip:%s;transport=%s", received, transport);
	return PBX_OK;
}

/* ---- what we are called --------------------------------------------------------------- */

/* The first listener of that transport and family. NULL: there is none. */
static const char *listener_for(const struct ua *ua, const char *transport, int family, struct core_addr *ret_addr)
{
	for (uint32_t i = 0; i < ua->settings->listen.count; i++) {
		const char *own, *hostport;
		struct core_addr addr;

		if (!read_listener(ua->settings->listen.items[i], &own, &hostport, &addr))
			continue;
		if (strcmp(own, transport) == 0 && addr.sa.sa_family == family) {
			*ret_addr = addr;
			return hostport;
		}
	}
	return NULL;
}

static bool is_wildcard(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr) : addr->in4.sin_addr.s_addr == 0;
}

/* Those who see us as we are: sip.local_networks, or without it everybody with a private address. */
static bool is_local(const struct ua_settings *settings, const struct core_addr *peer)
{
	if (settings->local_networks.count == 0)
		return ua_address_is_private(peer);
	for (uint32_t i = 0; i < settings->local_networks.count; i++)
		if (ua_address_in(peer, settings->local_networks.items[i]))
			return true;
	return false;
}

void ua_agent_contact(const struct ua *ua, const struct core_addr *peer, const char *transport, char *ret_hostport, size_t size)
{
	uint16_t port = is_tls(transport) ? 5061 : 5060;
	struct core_addr listener = { .in4.sin_family = AF_INET, .in4.sin_port = htons(port) }, local;
	const char *external = ua->settings->external_address;
	const char *text = listener_for(ua, transport, peer->sa.sa_family, &listener);
	char host[64];

	if (external[0] && !is_local(ua->settings, peer)) {
		(void)snprintf(ret_hostport, size, strchr(external, ':') && external[0] != '[' ? "[%s]:%u" : "%s:%u", external,
			       ua_address_port(&listener));
		return;
	}
	if (text && !is_wildcard(&listener)) {
		(void)snprintf(ret_hostport, size, "%s", text);
		return;
	}
	if (!ua_address_towards(peer, &local))
		local = *peer; /* no route: no message will get there anyway */
	ua_address_print_host(&local, host, sizeof host);
	(void)snprintf(ret_hostport, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, ua_address_port(&listener));
}

void ua_transport_contact(const struct ua *ua, const struct core_addr *peer, const char *transport, char *ret_contact, size_t size)
{
	char hostport[72];

	ua_agent_contact(ua, peer, transport, hostport, sizeof hostport);
	if (strcmp(transport, "udp") == 0)
		(void)snprintf(ret_contact, size, "<sip:%s>", hostport);
	else
		(void)snprintf(ret_contact, size, "<sip:%s;transport=%s>", hostport, transport[0] == 'w' ? "ws" : transport);
}
