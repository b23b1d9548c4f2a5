/* sip/transport.h - sockets: listeners, by which way a peer is reached, and what we are called there. [loop] */
#pragma once
#include "ua.h"

/* Opens the listeners of sip.listen. PBX_OK, PBX_EINVAL (text), PBX_EIO (cannot bind): diag says which. */
int ua_agent_listen(struct ua *ua, struct pbx_diag *diag);
/* Whether sip.listen names a listener of that transport. */
bool ua_agent_listens(const struct ua *ua, const char *transport);
void ua_transport_stop(struct ua *ua);

/* Whom a received message came from, and by what: "udp", "tcp", "tls", "ws", "wss". False: by the gateway's door, but not from the gateway. */
bool ua_transport_sender(const struct ua *ua, const msg_t *msg, struct core_addr *ret_source, const char **ret_transport);
/* Host and port others shall use to reach us over a transport, as seen by this peer: external_address, or where we listen. */
void ua_agent_contact(const struct ua *ua, const struct core_addr *peer, const char *transport, char *ret_hostport, size_t size);
/* The same as a Contact: "<sip:192.0.2.1:5061;transport=tls>". */
void ua_transport_contact(const struct ua *ua, const struct core_addr *peer, const char *transport, char *ret_contact, size_t size);

#define UA_ROUTE_SIZE 120u
/* The URI by which a client is reached whose messages come from `received` ("192.0.2.7:5060"). PBX_OK; PBX_ENOENT: only over a connection that
 * it opened, and that has gone (RFC 5626: 430 Flow Failed); PBX_EINVAL: no address. */
int ua_transport_route(const struct ua *ua, const char *transport, const char *received, char ret_route[UA_ROUTE_SIZE]);
/* "tls" for "TLS", "WSS" and their like: one of our names, or NULL. */
const char *ua_transport_name(const char *text);
