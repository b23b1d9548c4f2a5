/* core/address_text.h - addresses as people and SIP read them: on the way of each message, so without printf. [any] */
#pragma once
#include "media_desc.h"
#include <stddef.h>

/* A socket that takes both families shows IPv4 as ::ffff:a.b.c.d; everywhere else it is plain IPv4. */
struct core_addr core_address_plain(const struct core_addr *addr);

/* "192.0.2.7:5060", "[2001:db8::1]:5060"; IPv4 mapped into IPv6 is shown as IPv4. "": it does not fit. */
void core_address_print(const struct core_addr *addr, char *ret_text, size_t size);
/* The same without a port and brackets. */
void core_address_print_host(const struct core_addr *addr, char *ret_text, size_t size);
