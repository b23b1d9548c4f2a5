/* sip/address.h - addresses as SIP spells them: read and compared, networks of peers, our own address towards somebody; core/address_text.h
 * writes them. [any] */
#pragma once
#include "address_text.h"
#include <stddef.h>

/* A host or host:port; the port is optional. False: not a numeric address. */
bool ua_address_parse(const char *text, struct core_addr *ret_addr);
uint16_t ua_address_port(const struct core_addr *addr);
/* The address in network order, IPv4 as ::ffff:a.b.c.d. */
void ua_address_bytes(const struct core_addr *addr, uint8_t ret_bytes[16]);

/* Whether an address lies in "192.0.2.0/24", "2001:db8::/32" or is "192.0.2.7". */
bool ua_address_in(const struct core_addr *addr, const char *network);
/* Whether a text is such a network or address, without a port. */
bool ua_address_is_network(const char *text);
/* 10/8, 172.16/12, 192.168/16, 127/8, 169.254/16, 100.64/10, fc00::/7, fe80::/10, ::1 */
bool ua_address_is_private(const struct core_addr *addr);
bool ua_address_same_host(const struct core_addr *a, const struct core_addr *b);
/* The address this machine would send from towards a peer. False: no route. */
bool ua_address_towards(const struct core_addr *peer, struct core_addr *ret_local);
