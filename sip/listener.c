/*
 * listener.c - listeners by name: their sockets, and how each treats those who come to it
 *
 * Phones in the house, phones from outside and a carrier's lines want different doors: each has its sockets, says who may knock, under which
 * realm passwords are asked, what we are called there, and which codecs are spoken. A message is answered by the door it came by, and what we
 * begin goes out by the door that the device registered at: Sofia finds it by its ident, which is the listener's name.
 *
 * Who may not knock is not answered at all: datagrams are dropped unread (socket.c asks), connections are closed before a byte is read
 * (connection.c asks).
 */
#include "listener.h"
#include "address.h"
#include "socket.h"
#include "tls.h"
#include "spare.h"
#include "transport.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MOST_SOCKETS 64u

struct opened {
	struct ua_socket is;
	const tport_t *primary;
	su_socket_t fd;
	char name[UA_LISTENER_NAME];
};

static struct {
	struct ua *ua;
	struct opened sockets[MOST_SOCKETS];
	uint32_t count;
} listeners;

/* ---- what the settings say ------------------------------------------------------------ */

/* A socket as the settings have it. */
struct place {
	const char *text, *listener, *transport, *hostport; /* transport NULL: the text is none */
	struct core_addr addr;
};

/* "tls:[::]:5061" is "tls" at "[::]:5061". */
static void place_read(struct place *place)
{
	size_t length = strcspn(place->text, ":");
	char name[8];

	place->transport = NULL;
	if (length >= sizeof name || !place->text[length] || !ua_address_parse(place->text + length + 1, &place->addr))
		return;
	memcpy(name, place->text, length);
	name[length] = '\0';
	place->hostport = place->text + length + 1;
	place->transport = ua_transport_name(name);
	if (place->transport && place->transport[0] == 'w') /* WebSockets come by the gateway */
		place->transport = NULL;
}

static const struct ua_listener_settings *row_at(const struct ua_settings *settings, uint32_t index)
{
	return (const struct ua_listener_settings *)((const char *)settings->listeners.rows + (size_t)index * settings->listeners.row_size);
}

/* Those of sip.listen first. False: there are no more. */
static bool place_get(const struct ua_settings *settings, uint32_t index, struct place *ret_place)
{
	if (index < settings->listen.count) {
		*ret_place = (struct place){ .text = settings->listen.items[index], .listener = UA_GENERAL };
		place_read(ret_place);
		return true;
	}
	index -= settings->listen.count;
	for (uint32_t i = 0; i < settings->listeners.count; i++) {
		const struct ua_listener_settings *row = row_at(settings, i);

		if (index < row->listen.count) {
			*ret_place = (struct place){ .text = row->listen.items[index], .listener = row->name };
			place_read(ret_place);
			return true;
		}
		index -= row->listen.count;
	}
	return false;
}

static const struct ua_listener_settings *row_find(const struct ua_settings *settings, const char *name)
{
	for (uint32_t i = 0; i < settings->listeners.count; i++)
		if (strcmp(row_at(settings, i)->name, name) == 0)
			return row_at(settings, i);
	return NULL;
}

static bool is_tls(const char *transport)
{
	return strcmp(transport, "tls") == 0;
}

static const char *or_else(const char *own, const char *general)
{
	return own[0] ? own : general;
}

void ua_listener_manners(const struct ua *ua, const char *name, struct ua_manners *ret_manners)
{
	static const struct pbx_list nothing;
	const struct ua_settings *settings = ua->settings;
	const struct ua_listener_settings *row = name ? row_find(settings, name) : NULL;

	*ret_manners = (struct ua_manners){
		.realm = settings->domain,
		.external_address = settings->external_address,
		.media_address = "",
		.nat = "auto",
		.tls_clients = settings->tls_clients,
		.certificate = settings->certificate,
		.key = settings->key,
		.allow = &nothing,
		.local_networks = &settings->local_networks,
		.codecs = &nothing,
	};
	if (!row)
		return;
	ret_manners->realm = or_else(row->realm, settings->domain);
	ret_manners->external_address = or_else(row->external_address, settings->external_address);
	ret_manners->media_address = row->media_address;
	ret_manners->nat = row->nat;
	ret_manners->tls_clients = strcmp(row->tls_clients, "inherit") == 0 ? settings->tls_clients : row->tls_clients;
	if (row->certificate[0]) {
		ret_manners->certificate = row->certificate;
		ret_manners->key = row->key;
	}
	ret_manners->allow = &row->allow;
	ret_manners->codecs = &row->codecs;
	if (row->local_networks.count > 0)
		ret_manners->local_networks = &row->local_networks;
}

bool ua_agent_listens(const struct ua *ua, const char *transport)
{
	struct place place;

	for (uint32_t i = 0; place_get(ua->settings, i, &place); i++)
		if (place.transport && strcmp(place.transport, transport) == 0)
			return true;
	return false;
}

bool ua_listeners_ask_clients(const struct ua_settings *settings)
{
	bool asks = strcmp(settings->tls_clients, "none") != 0;

	for (uint32_t i = 0; i < settings->listeners.count; i++) {
		const char *own = row_at(settings, i)->tls_clients;

		asks = asks || (strcmp(own, "none") != 0 && strcmp(own, "inherit") != 0);
	}
	return asks;
}

/* ---- what may stand there ------------------------------------------------------------- */

static int check_name(const struct ua_settings *settings, uint32_t index, struct pbx_diag *diag)
{
	const char *name = row_at(settings, index)->name;

	if (!name[0] || strlen(name) >= UA_LISTENER_NAME || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(name)) {
		pbx_diag_set(diag, "listeners", "'%.40s' is no name for a listener: use up to %u of a-z, 0-9, _ and -, as in outside", name,
			     UA_LISTENER_NAME - 1);
		return PBX_EINVAL;
	}
	if (strcmp(name, UA_GENERAL) == 0) {
		pbx_diag_set(diag, "listeners", "'%s' is what sip.listen makes: call this listener something else", name);
		return PBX_EINVAL;
	}
	if (row_find(settings, name) != row_at(settings, index)) {
		pbx_diag_set(diag, "listeners", "two listeners are called '%s': give each a name of its own", name);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

static int check_networks(const char *name, const char *what, const struct pbx_list *networks, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < networks->count; i++)
		if (!ua_address_is_network(networks->items[i])) {
			pbx_diag_set(diag, "listeners", "%s of '%s': '%.60s' is no network: write 192.0.2.0/24, 192.0.2.7 or 2001:db8::/32",
				     what, name, networks->items[i]);
			return PBX_EINVAL;
		}
	return PBX_OK;
}

/* It is quoted in challenges. */
static bool is_realm(const char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text) || *text == '"' || *text == '\\')
			return false;
	return true;
}

/* Without a port, and no name: phones would have to look it up at each call. */
static bool is_address(const char *text)
{
	struct core_addr addr;

	return ua_address_parse(text, &addr) && ua_address_port(&addr) == 0;
}

static int check_row(const struct ua_settings *settings, uint32_t index, struct pbx_diag *diag)
{
	const struct ua_listener_settings *row = row_at(settings, index);
	int err = check_name(settings, index, diag);

	if (err == PBX_OK)
		err = check_networks(row->name, "allow", &row->allow, diag);
	if (err == PBX_OK)
		err = check_networks(row->name, "local_networks", &row->local_networks, diag);
	if (err == PBX_OK && row->listen.count == 0) {
		pbx_diag_set(diag, "listeners", "'%s' has nothing to listen on: write listen: [udp:0.0.0.0:5080]", row->name);
		err = PBX_EINVAL;
	}
	if (err == PBX_OK && !row->certificate[0] != !row->key[0]) {
		pbx_diag_set(diag, "listeners", "certificate and key of '%s' go together: set both, or none for those of sip", row->name);
		err = PBX_EINVAL;
	}
	if (err == PBX_OK && row->media_address[0] && !is_address(row->media_address)) {
		pbx_diag_set(diag, "listeners", "media_address of '%s': '%.60s' is no address: write 203.0.113.7 or 2001:db8::7", row->name,
			     row->media_address);
		err = PBX_EINVAL;
	}
	if (err == PBX_OK && !is_realm(row->realm)) {
		pbx_diag_set(diag, "listeners", "realm of '%s': no quotes, backslashes or control characters", row->name);
		err = PBX_EINVAL;
	}
	return err;
}

static bool same_place(const struct place *a, const struct place *b)
{
	return (strcmp(a->transport, "udp") == 0) == (strcmp(b->transport, "udp") == 0) && strcmp(a->hostport, b->hostport) == 0;
}

static int check_places(const struct ua_settings *settings, struct pbx_diag *diag)
{
	struct place place, before;
	uint32_t i;

	for (i = 0; place_get(settings, i, &place); i++) {
		const char *field = strcmp(place.listener, UA_GENERAL) == 0 ? "listen" : "listeners";

		if (!place.transport) {
			pbx_diag_set(diag, field, "'%.80s' is no listener: write udp:ADDRESS:PORT, tcp:ADDRESS:PORT or tls:ADDRESS:PORT",
				     place.text);
			return PBX_EINVAL;
		}
		for (uint32_t j = 0; j < i && place_get(settings, j, &before); j++)
			if (same_place(&place, &before)) {
				pbx_diag_set(diag, field, "%s of '%s' is taken by %s of '%s': each needs an address or port of its own",
					     place.text, place.listener, before.text, before.listener);
				return PBX_EINVAL;
			}
	}
	if (i > MOST_SOCKETS) {
		pbx_diag_set(diag, "listeners", "%u sockets to listen on: there may be %u", i, MOST_SOCKETS);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

int ua_listeners_check(const struct ua_settings *settings, struct pbx_diag *diag)
{
	int err = check_networks("sip", "websocket_allow", &settings->websocket_allow, diag);

	for (uint32_t i = 0; err == PBX_OK && i < settings->listeners.count; i++)
		err = check_row(settings, i, diag);
	return err == PBX_OK ? check_places(settings, diag) : err;
}

/* ---- sockets -------------------------------------------------------------------------- */

static const tport_t *latest_primary(const struct ua *ua)
{
	const tport_t *last = NULL;

	for (const tport_t *primary = tport_primaries(nta_agent_tports(ua->agent)); primary; primary = tport_next(primary))
		last = primary;
	return last;
}

/* Datagrams and connections come to the socket that Sofia has opened for it. False: that was another, and `allow` would guard nothing. */
static bool note_socket(struct opened *opened)
{
	struct core_addr bound = { 0 };
	socklen_t size = sizeof bound;

	opened->fd = ua_sockets_latest();
	return getsockname(opened->fd, &bound.sa, &size) == 0 && ua_address_port(&bound) == ua_address_port(&opened->is.addr);
}

static int open_place(struct ua *ua, const struct place *place, struct pbx_diag *diag)
{
	struct opened *opened = &listeners.sockets[listeners.count];
	struct ua_manners manners;
	char url[160];
	int err = PBX_OK;

	*opened = (struct opened){ .is.transport = place->transport, .is.addr = place->addr, .fd = INVALID_SOCKET };
	(void)snprintf(opened->name, sizeof opened->name, "%s", place->listener);
	(void)snprintf(opened->is.text, sizeof opened->is.text, "%s", place->text);
	opened->is.listener = opened->name;
	(void)snprintf(url, sizeof url, "%s:%s;transport=%s", is_tls(place->transport) ? "sips" : "sip", place->hostport, place->transport);
	ua_listener_manners(ua, place->listener, &manners);
	if (is_tls(place->transport))
		err = ua_tls_listen(ua, url, opened->name, &manners, diag);
	else if (nta_agent_add_tport(ua->agent, ua_url(url), UA_LISTENER_TAGS(ua->settings), TPTAG_IDENT(opened->name), TAG_END()) < 0)
		err = PBX_EIO;
	if (err == PBX_EIO && !diag->text[0])
		pbx_diag_set(diag, "listen", "cannot listen on %s: %s; stop who has that port, or change sip.%s", place->text,
			     strerror(errno), strcmp(place->listener, UA_GENERAL) == 0 ? "listen" : "listeners");
	if (err != PBX_OK)
		return err;
	opened->primary = latest_primary(ua);
	if (!note_socket(opened))
		return PBX_EIO;
	listeners.count++;
	pbx_notice(ua->host, "sip_listening", "listener=%s transport=%s address=%s", opened->name, place->transport, place->hostport);
	return PBX_OK;
}

int ua_listeners_open(struct ua *ua, struct pbx_diag *diag)
{
	int err = ua_listeners_check(ua->settings, diag);
	struct place place;

	listeners.ua = ua;
	listeners.count = 0;
	ua_spare_open(ua);
	if (err == PBX_OK && ua_agent_listens(ua, "tls"))
		err = ua_tls_start(ua, diag);
	for (uint32_t i = 0; err == PBX_OK && place_get(ua->settings, i, &place); i++)
		err = open_place(ua, &place, diag);
	return err;
}

void ua_listeners_close(void)
{
	ua_spare_close();
	memset(&listeners, 0, sizeof listeners);
}

const struct ua_socket *ua_socket_at(uint32_t index)
{
	return index < listeners.count ? &listeners.sockets[index].is : NULL;
}

/* ---- which one ------------------------------------------------------------------------ */

static struct opened *opened_of(const tport_t *primary)
{
	for (uint32_t i = 0; i < listeners.count; i++)
		if (listeners.sockets[i].primary == primary)
			return &listeners.sockets[i];
	return NULL;
}

su_socket_t ua_listener_door(const tport_t *primary)
{
	const struct opened *opened = opened_of(primary);

	return opened ? opened->fd : INVALID_SOCKET;
}

const char *ua_listener_of(const tport_t *tport)
{
	const tport_t *primary = tport && tport_is_secondary(tport) ? tport_parent(tport) : tport;
	const struct opened *opened = primary ? opened_of(primary) : NULL;

	return opened ? opened->name : NULL;
}

const char *ua_listener_find(const char *name)
{
	for (uint32_t i = 0; i < listeners.count; i++)
		if (strcmp(listeners.sockets[i].name, name) == 0)
			return listeners.sockets[i].name;
	return NULL;
}

const struct ua_socket *ua_listener_socket(const char *name, const char *transport, int family)
{
	for (uint32_t i = 0; name && i < listeners.count; i++) {
		const struct ua_socket *is = &listeners.sockets[i].is;

		if (strcmp(is->listener, name) == 0 && strcmp(is->transport, transport) == 0 && is->addr.sa.sa_family == family)
			return is;
	}
	return NULL;
}

static bool is_named(const struct pbx_list *networks, const struct core_addr *addr)
{
	for (uint32_t i = 0; i < networks->count; i++)
		if (ua_address_in(addr, networks->items[i]))
			return true;
	return false;
}

const char *ua_listener_towards(const struct ua *ua, const char *transport, const struct core_addr *peer)
{
	const struct opened *first = NULL;

	for (uint32_t i = 0; i < listeners.count; i++) {
		const struct opened *opened = &listeners.sockets[i];
		struct ua_manners manners;

		if (strcmp(opened->is.transport, transport) != 0 || opened->is.addr.sa.sa_family != peer->sa.sa_family)
			continue;
		ua_listener_manners(ua, opened->name, &manners);
		if (is_named(manners.allow, peer))
			return opened->name;
		if (!first && manners.allow->count == 0)
			first = opened;
	}
	return first ? first->name : NULL;
}

/* ---- who may knock -------------------------------------------------------------------- */

static bool admits(struct opened *opened, const struct core_addr *source)
{
	struct ua_manners manners;

	ua_listener_manners(listeners.ua, opened->name, &manners);
	if (manners.allow->count == 0 || is_named(manners.allow, source))
		return true;
	opened->is.refused++;
	ua_count(listeners.ua, UA_METRIC_NOT_ALLOWED, opened->name);
	return false;
}

bool ua_listener_admits(su_socket_t fd, const struct core_addr *source)
{
	for (uint32_t i = 0; i < listeners.count; i++)
		if (listeners.sockets[i].fd == fd)
			return admits(&listeners.sockets[i], source);
	return true; /* none of ours */
}

bool ua_listener_lets_in(const tport_t *primary, const struct core_addr *source)
{
	struct opened *opened = opened_of(primary);

	if (opened)
		return admits(opened, source);
	/* What is none of ours is the gateway's door. */
	const struct pbx_list *browsers = listeners.ua ? &listeners.ua->settings->websocket_allow : NULL;
	if (!browsers || browsers->count == 0 || is_named(browsers, source))
		return true;
	ua_count(listeners.ua, UA_METRIC_NOT_ALLOWED, "gateway");
	return false;
}
