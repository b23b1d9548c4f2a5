/* rtp/outside.h - our address as those outside see it, which a STUN server tells (media.stun_server). All of it: [loop]. */
#pragma once
#include "stun_client.h"

#define RTP_OUTSIDE_SERVER 256u

enum rtp_outside_state {
	RTP_OUTSIDE_OFF,
	RTP_OUTSIDE_ASKING,    /* for the first time */
	RTP_OUTSIDE_KNOWN,     /* it was told when it was asked for last */
	RTP_OUTSIDE_NO_ANSWER, /* what was known before, if anything, holds on */
	RTP_OUTSIDE_NO_HOST,   /* the server's name is not found; likewise */
	RTP_OUTSIDE_REFUSED,   /* the server answers with an error, or with no address that can be; likewise */
};

struct rtp_outside {
	enum rtp_outside_state state;
	struct core_addr address;            /* without its port, which was another socket's; AF_UNSPEC: not known */
	int64_t since_wall_us, told_wall_us; /* that it is this one; that the server said so last. 0: never */
	uint64_t dropped;                    /* datagrams that were no answer to our question */
	const char *server;                  /* as the setting has it */
};

/* Address or state has changed. before: the address until now. */
typedef void (*rtp_outside_fn)(const struct rtp_outside *now, const struct core_addr *before);

/* "stun.example.net", "stun.example.net:3479", "192.0.2.7:3478", "[2001:db8::7]". PBX_OK; PBX_EINVAL and diag. NULL or "": none. */
int rtp_outside_check(const char *server, struct pbx_diag *diag);
/* Asks this server from now on, at once and then as often; another server, or none, makes what was known unknown. */
void rtp_outside_configure(struct pbx_host *host, const char *server, uint32_t interval_s, rtp_outside_fn changed);
void rtp_outside_stop(void);

void rtp_outside_get(struct rtp_outside *ret_outside);
const char *rtp_outside_state_name(enum rtp_outside_state state);
bool rtp_outside_address(int family, struct core_addr *ret_address); /* of core_media_driver */

/* [any thread of the pool] The server's host and port as an address, IPv4 before IPv6. False: it is not found. */
bool rtp_outside_resolve(const char *server, struct core_addr *ret_address);
