/*
 * transport.c - by which way a peer is reached, and what we are called there
 *
 * A client that came over TLS or WebSocket is behind a connection that only it can open: whatever is meant for it goes over that connection or nowhere
 * (RFC 5626). Sofia finds connections by the address at their other end, but looks only behind the first listener of a transport: its
 * tport_by_name() is wrapped to look behind all of them, and to tell IPv6 from IPv4. WebSockets arrive through a door of the gateway's, core/flows.h.
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

/* Where the gateway connects for its WebSocket clients. The last of Sofia's listeners, so that nothing of ours begins there. */
static int open_door(struct ua *ua, struct pbx_diag *diag)
{
	const tport_t *primary, *last = NULL;

	if (nta_agent_add_tport(ua->agent, ua_url("sip:127.0.0.1:0;transport=tcp"), UA_LISTENER_TAGS(ua->settings), TPTAG_IDENT("gateway"),
				TAG_END()) < 0) {
		pbx_diag_set(diag, "listen", "cannot listen on 127.0.0.1 for the gateway: %s", strerror(errno));
		return PBX_EIO;
	}
	for (primary = tport_primaries(nta_agent_tports(ua->agent)); primary; primary = tport_next(primary))
		last = primary;
	ua->door = last;
	core_flows_set_door((uint16_t)strtoul(tport_name(last)->tpn_port, NULL, 10));
	return PBX_OK;
}

/* Sofia writes a listener's ident as a comment into Via, which RFC 3261 has none of, and which is nobody's business. */
static void clear_comments(const struct ua *ua)
{
	for (const tport_t *primary = tport_primaries(nta_agent_tports(ua->agent)); primary; primary = tport_next(primary))
		for (sip_via_t *via = (sip_via_t *)(void *)tport_magic(primary); via; via = via->v_next)
			via->v_comment = NULL;
}

int ua_agent_listen(struct ua *ua, struct pbx_diag *diag)
{
	ua_sockets_watch(ua);
	int err = ua_listeners_open(ua, diag);

	if (err == PBX_OK)
		err = open_door(ua, diag);
	clear_comments(ua);
	return err;
}

void ua_transport_stop(struct ua *ua)
{
	ua_sockets_watch(NULL);
	core_flows_set_door(0);
	ua->door = NULL;
	ua_listeners_close();
	ua_tls_stop();
}

static bool is_tls(const char *transport)
{
	return strcmp(transport, "tls") == 0;
}

/* ---- the way to a peer ---------------------------------------------------------------- */

bool ua_transport_sender(const struct ua *ua, const msg_t *msg, struct core_addr *ret_source, const char **ret_transport,
			 const char **ret_listener)
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
	*ret_listener = ua_listener_of(tport);
	return true;
}

static bool is_any(const char *text)
{
	return !text || strcmp(text, "*") == 0;
}

/* Whether a listener is one that name asks for, whatever its family. */
static bool is_meant(const tport_t *primary, const tp_name_t *name)
{
	const char *own = tport_name(primary)->tpn_ident;

	return (is_any(name->tpn_ident) || (own && strcmp(name->tpn_ident, own) == 0)) &&
	       (is_any(name->tpn_proto) || strcasecmp(tport_name(primary)->tpn_proto, name->tpn_proto) == 0);
}

/* Sofia tells families apart by an address without brackets, but a URI has them: IPv6 would go out by the first listener, of IPv4. */
static bool is_six(const tp_name_t *name)
{
	return name->tpn_host && name->tpn_host[0] == '[';
}

PBX_EXPORT tport_t *tport_by_name(tport_t const *self, tp_name_t const *name)
{
	static tport_t *(*real)(tport_t const *, tp_name_t const *);
	const tport_t *six = NULL;

	if (!real)
		real = (tport_t * (*)(tport_t const *, tp_name_t const *)) dlsym(RTLD_NEXT, "tport_by_name");
	for (tport_t *primary = tport_is_primary(self) ? NULL : tport_primaries(self); primary; primary = tport_next(primary)) {
		if (!is_meant(primary, name))
			continue;
		tport_t *found = is_any(name->tpn_proto) ? NULL : real(primary, name);
		if (found && tport_is_secondary(found))
			return found;
		if (!six && is_six(name) && tport_has_ip6(primary))
			six = primary;
	}
	return six ? (tport_t *)(uintptr_t)six : real(self, name);
}

/* Whether a connection with that other end stands. */
static bool has_connection(const struct ua *ua, const char *transport, const struct core_addr *end)
{
	char host[64], port[8];

	core_address_print_host(end, host, sizeof host);
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

static bool is_wildcard(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr) : addr->in4.sin_addr.s_addr == 0;
}

/* Those who see us as we are: local_networks, or without them everybody with a private address. */
static bool is_local(const struct ua_manners *manners, const struct core_addr *peer)
{
	if (manners->local_networks->count == 0)
		return ua_address_is_private(peer);
	for (uint32_t i = 0; i < manners->local_networks->count; i++)
		if (ua_address_in(peer, manners->local_networks->items[i]))
			return true;
	return false;
}

const char *ua_transport_outside(const struct ua_manners *manners, int family, char text[64])
{
	struct core_addr learnt;

	if (manners->external_address[0])
		return manners->external_address;
	text[0] = '\0';
	if (core_media_outside(family, &learnt))
		core_address_print_host(&learnt, text, 64);
	return text;
}

void ua_agent_contact(const struct ua *ua, const char *listener, const struct core_addr *peer, const char *transport, char *ret_hostport,
		      size_t size)
{
	const char *name = listener ? listener : ua_listener_towards(ua, transport, peer);
	const struct ua_socket *own = ua_listener_socket(name, transport, peer->sa.sa_family);
	uint16_t port = own ? ua_address_port(&own->addr) : is_tls(transport) ? 5061 : 5060;
	struct core_addr local;
	struct ua_manners manners;
	char host[64];

	ua_listener_manners(ua, name, &manners);
	const char *outside = is_local(&manners, peer) ? "" : ua_transport_outside(&manners, peer->sa.sa_family, host);
	if (outside[0]) {
		(void)snprintf(ret_hostport, size, strchr(outside, ':') && outside[0] != '[' ? "[%s]:%u" : "%s:%u", outside, port);
		return;
	}
	if (own && !is_wildcard(&own->addr))
		local = own->addr;
	else if (!ua_address_towards(peer, &local))
		local = *peer; /* no route: no message will get there anyway */
	core_address_print_host(&local, host, sizeof host);
	(void)snprintf(ret_hostport, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

void ua_transport_contact(const struct ua *ua, const char *listener, const struct core_addr *peer, const char *transport, char *ret_contact,
			  size_t size)
{
	char hostport[72];

	ua_agent_contact(ua, listener, peer, transport, hostport, sizeof hostport);
	if (strcmp(transport, "udp") == 0)
		(void)snprintf(ret_contact, size, "<sip:%s>", hostport);
	else
		(void)snprintf(ret_contact, size, "<sip:%s;transport=%s>", hostport, transport[0] == 'w' ? "ws" : transport);
}

static void take_host(struct core_addr *address, const struct core_addr *host)
{
	if (address->sa.sa_family == AF_INET6)
		address->in6.sin6_addr = host->in6.sin6_addr;
	else
		address->in4.sin_addr = host->in4.sin_addr;
}

/* Where our sockets are, or the address that we have on the way to them: a house may have several networks. False: it is as media has told. */
static bool find_own(const struct core_addr *peer, struct core_addr *host)
{
	if (!is_wildcard(host))
		return true;
	return peer->sa.sa_family == host->sa.sa_family && ua_address_towards(peer, host) && !ua_address_in(host, "127.0.0.0/8") &&
	       !ua_address_in(host, "::1"); /* a proxy on this machine: whoever stands behind it does not */
}

void ua_transport_media(const struct ua *ua, const char *listener, const struct core_addr *peer, const char *transport,
			struct core_addr *address)
{
	bool is_mapped, is_inside;
	struct core_addr host, learnt;
	struct ua_manners manners;

	ua_listener_manners(ua, listener ? listener : ua_listener_towards(ua, transport, peer), &manners);
	is_inside = manners.local_networks->count > 0 && is_local(&manners, peer);
	if (!is_inside && ua_address_parse(manners.media_address, &host) && host.sa.sa_family == address->sa.sa_family) {
		take_host(address, &host);
		return;
	}
	is_mapped = core_media_bound(address->sa.sa_family, &host);
	if (!is_mapped && !is_local(&manners, peer) && core_media_outside(address->sa.sa_family, &learnt)) {
		take_host(address, &learnt);
		return;
	}
	if (host.sa.sa_family == address->sa.sa_family && (is_inside || !is_mapped) && find_own(peer, &host))
		take_host(address, &host);
}

const char *ua_transport_ident(const char *listener, const char *transport)
{
	return listener && transport[0] != 'w' ? ua_listener_find(listener) : NULL;
}

bool ua_transport_is_elsewhere(const struct ua *ua, const char *listener, const url_t *target, const char *received, const char *transport)
{
	struct core_addr from;
	struct ua_manners manners;
	char host[64];

	if (!received[0])
		return false;
	if (strcmp(transport, "udp") != 0 || !target->url_host || !ua_address_parse(received, &from))
		return true;
	ua_listener_manners(ua, listener, &manners);
	if (strcmp(manners.nat, "auto") != 0)
		return strcmp(manners.nat, "always") == 0;
	core_address_print_host(&from, host, sizeof host);
	size_t bracket = target->url_host[0] == '[';
	return strncmp(target->url_host + bracket, host, strlen(host)) != 0 || strlen(target->url_host) != strlen(host) + 2 * bracket;
}
