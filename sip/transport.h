/* sip/transport.h - by which way a peer is reached, and what we are called there. [loop] */
#pragma once
#include "listener.h"

/* Opens the listeners, and the door of the gateway's clients. PBX_OK, PBX_EINVAL, PBX_EIO (cannot bind), PBX_ENOMEM: diag says which. */
int ua_agent_listen(struct ua *ua, struct pbx_diag *diag);
void ua_transport_stop(struct ua *ua);

/* Whom a received message came from, by what ("udp", "tcp", "tls", "ws", "wss"), and by which listener (NULL: the gateway). False: by the
 * gateway's door, but not from the gateway. */
bool ua_transport_sender(const struct ua *ua, const msg_t *msg, struct core_addr *ret_source, const char **ret_transport,
			 const char **ret_listener);
/* Host and port others shall use to reach us over a transport, as seen by this peer: external_address, or where we listen. listener: the one it
 * has come to; NULL: none, it is we who begin. */
void ua_agent_contact(const struct ua *ua, const char *listener, const struct core_addr *peer, const char *transport, char *ret_hostport,
		      size_t size);
/* The same as a Contact: "<sip:192.0.2.1:5061;transport=tls>". */
void ua_transport_contact(const struct ua *ua, const char *listener, const struct core_addr *peer, const char *transport, char *ret_contact,
			  size_t size);
/* The address that those outside see us under: as the settings say, else as media has learnt it (media.stun_server), "" for neither. */
const char *ua_transport_outside(const struct ua_manners *manners, int family, char text[64]);
/* Where media is to come from such a peer, in place of the address that media has told; the port stays. */
void ua_transport_media(const struct ua *ua, const char *listener, const struct core_addr *peer, const char *transport,
			struct core_addr *address);
/* For TPTAG_IDENT: from which listener a request goes out. NULL: whichever Sofia likes. */
const char *ua_transport_ident(const char *listener, const char *transport);
/* Whether a device is not where its contact says, but where its packets come from: they came from another host, or over a connection that only
 * it can open. A phone that registers from one port of its own host and listens on another means what it says. A listener's `nat` may say
 * otherwise. received "": nobody has seen its packets. */
bool ua_transport_is_elsewhere(const struct ua *ua, const char *listener, const url_t *target, const char *received, const char *transport);

#define UA_ROUTE_SIZE 120u
/* The URI by which a client is reached whose messages come from `received` ("192.0.2.7:5060"). PBX_OK; PBX_ENOENT: only over a connection that
 * it opened, and that has gone (RFC 5626: 430 Flow Failed); PBX_EINVAL: no address. */
int ua_transport_route(const struct ua *ua, const char *transport, const char *received, char ret_route[UA_ROUTE_SIZE]);
/* "tls" for "TLS", "WSS" and their like: one of our names, or NULL. */
const char *ua_transport_name(const char *text);
