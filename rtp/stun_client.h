/* rtp/stun_client.h - a question to a STUN server, until it is answered or given up (RFC 8489 6.2.1). All of it: [loop].
 *
 * One socket, one question at a time. Only who was asked, with the number that we made up for this question, is believed; what else comes is
 * dropped and counted. */
#pragma once
#include "stun.h"
#include <pbx/plugin.h>

/* How long nobody answering is waited for. */
struct rtp_stun_patience {
	uint32_t tries;   /* so many times, after 500 ms, then twice as long each time */
	uint32_t last_ms; /* and so long after the last of them */
};
extern const struct rtp_stun_patience rtp_stun_patient; /* RFC 8489's: 7 times, 39.5 s in all */
extern const struct rtp_stun_patience rtp_stun_quick;   /* 3 times, 3.5 s: where silence is an answer, too */

/* Success or error response. NULL: there was none. The client may be asked again from within, or closed. */
typedef void (*rtp_stun_answered_fn)(void *context, const struct rtp_stun *answer);

struct rtp_stun_client {
	struct pbx_host *host;
	int fd; /* -1: closed */
	pbx_io_watch watch;
	pbx_timer timer;
	struct core_addr to, from;
	uint8_t id[RTP_STUN_ID_BYTES];
	struct rtp_stun_text text;
	size_t size;
	struct rtp_stun_patience patience;
	uint32_t tries;
	bool asking;
	uint64_t dropped; /* datagrams that were no answer to our question */
	rtp_stun_answered_fn answered;
	void *context;
};

/* A socket of this family with a port of its own, which all questions come from. PBX_OK, PBX_EIO, PBX_ENOMEM. */
int rtp_stun_client_open(struct rtp_stun_client *client, struct pbx_host *host, int family, rtp_stun_answered_fn answered, void *context);
/* Asks; answered() follows once. from: who is to answer. change: RTP_STUN_CHANGE_…, for which from differs from to. PBX_OK, PBX_ENOMEM. */
int rtp_stun_client_ask(struct rtp_stun_client *client, const struct core_addr *to, const struct core_addr *from, uint32_t change,
			const struct rtp_stun_patience *patience);
/* Where it asks from; the port alone when the socket is not of one address. */
uint16_t rtp_stun_client_port(const struct rtp_stun_client *client);
void rtp_stun_client_close(struct rtp_stun_client *client); /* nobody is answered any more; closed already is fine */
