/* sip/listener.h - listeners by name: their sockets, and how each treats those who come to it. All of it: [loop].
 *
 * sip.listen makes one listener, called UA_GENERAL, that does as sip says; each of sip.listeners has a name and words of its own. */
#pragma once
#include "ua.h"

#define UA_LISTENER_NAME 32u
#define UA_GENERAL "sip"

/* How a listener treats those who come to it: in its own words, else in those of sip. Borrowed until the settings change. */
struct ua_manners {
	const char *realm, *external_address, *media_address, *nat, *tls_clients, *certificate, *key;
	const struct pbx_list *allow, *local_networks, *codecs; /* of allow and codecs none: all */
};

/* An open socket. */
struct ua_socket {
	const char *listener, *transport;
	struct core_addr addr;
	char text[80];    /* "tls:[::]:5061" */
	uint64_t refused; /* datagrams and connections that its listener's `allow` does not name */
};

/* PBX_OK, PBX_EINVAL: diag says which word of sip.listen or sip.listeners is wrong, and what would be right. */
int ua_listeners_check(const struct ua_settings *settings, struct pbx_diag *diag);
/* Opens every socket. PBX_OK, PBX_EINVAL, PBX_EIO (cannot bind), PBX_ENOMEM; diag says which. */
int ua_listeners_open(struct ua *ua, struct pbx_diag *diag);
void ua_listeners_close(void);
/* Whether the settings name a listener of that transport. */
bool ua_agent_listens(const struct ua *ua, const char *transport);
/* The open sockets, in order; NULL: there are no more. */
const struct ua_socket *ua_socket_at(uint32_t index);

/* Whether any of them asks clients for certificates. */
bool ua_listeners_ask_clients(const struct ua_settings *settings);
void ua_listener_manners(const struct ua *ua, const char *name, struct ua_manners *ret_manners);
/* Names of listeners come from here and last until all are closed: Sofia keeps the pointer of TPTAG_IDENT for as long as a transaction lasts.
 * By which one a message came: */
const char *ua_listener_of(const tport_t *tport);
/* Its socket; INVALID_SOCKET: it is none of ours. */
su_socket_t ua_listener_door(const tport_t *primary);
/* The one of that name; NULL: there is none (any more). */
const char *ua_listener_find(const char *name);
/* By which one somebody is called who has not come to one: the first that names them in `allow`, else the first of that transport and family.
 * NULL: there is none. */
const char *ua_listener_towards(const struct ua *ua, const char *transport, const struct core_addr *peer);
/* Where a listener has a socket of that transport and family; NULL: nowhere. */
const struct ua_socket *ua_listener_socket(const char *name, const char *transport, int family);
/* Whether who sent a datagram to this socket may do so. */
bool ua_listener_admits(su_socket_t fd, const struct core_addr *source);
/* Whether who has connected to this one may; the gateway's door is asked about its clients. */
bool ua_listener_lets_in(const tport_t *primary, const struct core_addr *source);
