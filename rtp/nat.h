/* rtp/nat.h - what kind of NAT we are behind (RFC 5780): a diagnosis for people, which nothing else goes by. All of it: [loop]. */
#pragma once
#include "outside.h"

/* How the NAT maps, or filters. */
enum rtp_nat_kind {
	RTP_NAT_UNKNOWN,    /* the server has no second address (RFC 5780 OTHER-ADDRESS), or it does not answer there */
	RTP_NAT_NONE,       /* there is none */
	RTP_NAT_FREE,       /* the same for everybody: endpoint-independent */
	RTP_NAT_BY_ADDRESS, /* for each address */
	RTP_NAT_BY_PORT,    /* for each address and port */
};

struct rtp_nat_finding {
	int result; /* PBX_OK; PBX_ENOENT (no such server), PBX_ETIMEOUT (no answer), PBX_EIO (an error, or no address), PBX_ECANCELLED */
	struct core_addr server, other; /* other: AF_UNSPEC where the server has no second address */
	struct core_addr local, mapped;
	enum rtp_nat_kind mapping, filtering;
};

typedef void (*rtp_nat_fn)(void *context, const struct rtp_nat_finding *finding);

/* done() follows once, some twelve seconds later at most. One at a time. PBX_OK, PBX_EBUSY, PBX_ENOMEM. */
int rtp_nat_find(struct pbx_host *host, const char *server, rtp_nat_fn done, void *context);
void rtp_nat_stop(void); /* who waits is told PBX_ECANCELLED */

const char *rtp_nat_kind_name(enum rtp_nat_kind kind);
/* As RFC 3489 called it: none, full_cone, restricted_cone, port_restricted, symmetric, unknown. */
const char *rtp_nat_type(const struct rtp_nat_finding *finding);
