/* rtp/fork.h - a copy of what a leg says or hears, sent on to somebody beside the call
 *
 * As a tap (tap.h), but for somebody who takes RTP: the worker sends each packet once more, behind a header of the fork's own, from sockets of the
 * fork's own. Its sequence is the source's, shifted (sender.c), and goes on where it was after a pause; timestamps of another source go on where those
 * before would be now. A secret that is typed (record_mask of the driver) is left out of what a party says. What comes back is RTCP, which is counted. A
 * forked session stays out of the kernel's program (handover.h). */
#pragma once
#include "worker.h"

struct rtp_fork {
	struct rtp_fork *next; /* of the session: the worker's */

	/* Not changed while it is in a session. */
	uint8_t direction; /* RTP_SAYS, RTP_HEARS */
	bool music;        /* shared sources too */
	uint32_t beep_s;   /* as of a tap */
	int rtp_fd, rtcp_fd;
	struct rtp_guard *guard; /* NULL: plain RTP */
	char cname[RTP_MOST_CNAME + 1];

	/* The worker's. */
	struct core_addr rtp, rtcp; /* AF_UNSPEC: nothing is sent */
	struct rtp_map map;
	struct rtp_sender sender;
	uint32_t packets_at_report, packets_before_report; /* have we sent since the last one, or the one before it? */
	uint64_t report_at_ms, read_at_ms;

	_Atomic uint64_t packets, octets, failed, reports, junk;
};

/* AIM. */
struct rtp_aim {
	struct rtp_command command; /* first */
	struct core_addr rtp, rtcp; /* AF_UNSPEC: nowhere */
};

/* ---- all of it: [media] ---- */

void rtp_fork_add(struct rtp_session *session, struct rtp_fork *fork);
void rtp_fork_remove(struct rtp_session *session, struct rtp_fork *fork); /* says goodbye */
void rtp_fork_aim(const struct rtp_session *session, const struct rtp_aim *aim);
/* By all forks of the session that want it. */
void rtp_fork_copy(const struct rtp_session *session, uint8_t direction, const struct rtp_packet *packet);
/* Every 100 ms: reports, and what came of them. */
void rtp_forks_look_after(struct rtp_session *session);
