/* sip/way.h - from a peer to the addresses where it is to be tried, in order (RFC 3263). [loop] */
#pragma once
#include "peer.h"
#include <pbx/sip_resolver.h>

#define UA_MOST_CANDIDATES 16u

struct ua_candidate {
	struct core_addr addr; /* with its port */
	char transport[5];     /* "udp", "tcp", "tls" */
	char host[80];         /* "192.0.2.7:5060", as Sofia and people read it */
	char tls_name[256];    /* whom the certificate must name (RFC 5922 4): the domain that was asked for; "" the address itself */
};

struct ua_way {
	struct ua_candidate candidates[UA_MOST_CANDIDATES];
	uint32_t count;
};

struct ua_search;
typedef void (*ua_way_fn)(void *context, int result, const struct ua_way *way);

/* done follows exactly once, perhaps before this returns (then *ret_search is NULL), unless the search is cancelled: PBX_OK and at least one
 * candidate, PBX_ENOENT, PBX_ETIMEOUT, PBX_EIO, PBX_ENOMEM. */
void ua_way_find(struct ua_peer *peer, ua_way_fn done, void *context, struct ua_search **ret_search);
void ua_way_cancel(struct ua_search *search); /* NULL is fine */
/* What a try came to, PBX_SIP_TRIED_…: for whoever resolves. */
void ua_way_report(const struct ua_candidate *candidate, uint32_t outcome);
#define UA_WAY_ROUTE 420u
/* What Sofia is given as next hop; with TLS it names whom the certificate must name, and maddr says where that is. */
void ua_way_route(const struct ua_candidate *candidate, char *ret_url, size_t size);
