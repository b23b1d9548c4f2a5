/*
 * losses - bursts and gaps of RFC 3611 4.7.2, counted as packets are judged
 *
 * A stretch begins with a loss that has Gmin arrivals or the beginning before it, and goes on while fewer than Gmin arrive between one loss and the next. A
 * stretch of one loss was no burst.
 */
#include "losses.h"

static void close_stretch(struct rtp_losses *losses)
{
	if (losses->stretch_lost > 1) {
		losses->bursts++;
		losses->burst_lost += losses->stretch_lost;
		losses->burst_packets += losses->stretch_packets;
	}
	losses->stretch_lost = losses->stretch_packets = 0;
}

void rtp_losses_judge(struct rtp_losses *losses, bool arrived)
{
	losses->judged++;
	if (arrived) {
		losses->since_loss++;
		return;
	}
	if (losses->since_loss >= RTP_GMIN)
		close_stretch(losses);
	if (losses->since_loss > 0 || losses->lost == 0)
		losses->runs++;
	losses->stretch_packets += 1 + (losses->stretch_lost > 0 ? losses->since_loss : 0);
	losses->stretch_lost++;
	losses->lost++;
	losses->since_loss = 0;
}

void rtp_losses_look(const struct rtp_losses *losses, struct rtp_loss_picture *ret_picture)
{
	struct rtp_losses whole = *losses;

	close_stretch(&whole);
	*ret_picture = (struct rtp_loss_picture){ .judged = whole.judged,
						  .lost = whole.lost,
						  .runs = whole.runs,
						  .bursts = whole.bursts,
						  .burst_lost = whole.burst_lost,
						  .burst_packets = whole.burst_packets,
						  .gaps = whole.bursts + 1,
						  .gap_lost = whole.lost - whole.burst_lost,
						  .gap_packets = whole.judged - whole.burst_packets };
}
