/* core/place.h - who is to blame for what comes from an address: what every guard counts by. [any]
 *
 * Of IPv4 that is the address, of IPv6 the network of 64 bits: whoever has one address of it has all of them. Port and transport do not count, and
 * an IPv4 address that a socket of both families shows as ::ffff:a.b.c.d is that IPv4 address. */
#pragma once
#include "media_desc.h"

#define CORE_PLACE_TEXT 48u

struct core_place {
	uint8_t size; /* of what is used: 4, 8; 0: of no address */
	uint8_t bytes[8];
};

struct core_place core_place_of(const struct core_addr *addr);
bool core_place_same(const struct core_addr *a, const struct core_addr *b);

/* "192.0.2.7", "2001:db8:0:1::/64"; "" of no address. */
void core_place_print(const struct core_addr *addr, char ret_text[CORE_PLACE_TEXT]);
/* The same of an address in words: "192.0.2.7:5060", "[2001:db8::7]:5060", "2001:db8::7". What is no address stays what it is, as far as it fits. */
void core_place_print_of(const char *address, char ret_text[CORE_PLACE_TEXT]);
