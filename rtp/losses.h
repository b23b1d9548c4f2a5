/* rtp/losses.h - how packets are lost: in runs, in bursts, or one here and one there. Pure: [any].
 *
 * RFC 3611 4.7.2: a burst begins and ends with a lost packet and has fewer than Gmin (16) packets that arrived in a row in between; what is not in a burst
 * is in a gap, with each lost packet alone. Packets are judged in their order, and late: one that was overtaken is not lost. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define RTP_GMIN 16u

struct rtp_losses {
	uint32_t since_loss;                        /* arrived since the newest that is lost */
	uint32_t stretch_lost, stretch_packets;     /* of the losses that may become a burst */
	uint32_t judged, lost, runs;                /* runs: of packets lost directly one behind the other */
	uint32_t bursts, burst_lost, burst_packets; /* that are over */
};

/* What RFC 3611 wants to know of it. */
struct rtp_loss_picture {
	uint32_t judged, lost, runs, bursts, burst_lost, burst_packets;
	uint32_t gaps, gap_lost, gap_packets;
};

void rtp_losses_judge(struct rtp_losses *losses, bool arrived);
/* As though it ended here. */
void rtp_losses_look(const struct rtp_losses *losses, struct rtp_loss_picture *ret_picture);
