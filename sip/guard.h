/* sip/guard.h - what one address may do to us: token buckets against floods
 *
 * They live in tables of fixed size: whoever is forgotten first is whoever has been quiet longest. All of it: [loop]. */
#pragma once
#include "media_desc.h"

int ua_guard_init(void); /* PBX_OK, PBX_ENOMEM */
void ua_guard_fini(void);

/* One request from there: rate a second, burst at once. False: drop it. Whoever is at one place (core/place.h) is one. */
bool ua_flood_allows(const struct core_addr *source, uint32_t rate, uint32_t burst, uint64_t now_ms);

/* The same for datagrams before anybody reads them, in buckets of their own. takes false: only asks. */
bool ua_packets_allow(const struct core_addr *source, uint32_t rate, uint32_t burst, uint64_t now_ms, bool takes);

/* A number for these octets that nobody outside can foresee: a set of a table cannot be aimed at. Never 0, which marks a free place. */
uint64_t ua_guard_key(const void *bytes, size_t size);
