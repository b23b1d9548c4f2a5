/* sip/guard.h - what one address may do to us: a token bucket against floods, a count of failed log-ins
 *
 * Both live in tables of fixed size: whoever is forgotten first is whoever has been quiet longest. All of it: [loop]. */
#pragma once
#include "media_desc.h"

int ua_guard_init(void); /* PBX_OK, PBX_ENOMEM */
void ua_guard_fini(void);

/* One request from there: rate a second, burst at once. False: drop it. Whoever is at one place (core/place.h) is one. */
bool ua_flood_allows(const struct core_addr *source, uint32_t rate, uint32_t burst, uint64_t now_ms);

/* The same for datagrams before anybody reads them, in buckets of their own. takes false: only asks. */
bool ua_packets_allow(const struct core_addr *source, uint32_t rate, uint32_t burst, uint64_t now_ms, bool takes);

/* who: a place (core_place_print) or a user's name. True: this failure is the one that blocks them. */
bool ua_failure_add(const char *who, uint32_t failures, uint32_t window_ms, uint32_t block_ms, uint64_t now_ms);
bool ua_is_blocked(const char *who, uint64_t now_ms);
void ua_failures_clear(const char *who); /* they have proved themselves */
