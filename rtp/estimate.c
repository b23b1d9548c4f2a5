/*
 * estimate - the E-model as call control asks for it
 */
#include "estimate.h"
#include "emodel.h"

void rtp_estimate(const struct pbx_way_figures *figures, struct pbx_way_score *ret_score)
{
	const struct rtp_cost *cost = rtp_cost_find(figures->codec ? figures->codec : "", figures->clock_hz);
	const struct rtp_way way = { .lost_percent = figures->lost_percent,
				     .burst_ratio = figures->burst_ratio,
				     .delay_ms = figures->delay_ms > 0 ? figures->delay_ms + cost->delay_ms : 0 };
	struct rtp_score score;

	rtp_emodel(cost, &way, &score);
	*ret_score = (struct pbx_way_score){ .size = sizeof *ret_score,
					     .lost_percent = way.lost_percent,
					     .burst_ratio = way.burst_ratio,
					     .delay_ms = way.delay_ms,
					     .r = score.r,
					     .mos_lq = score.mos_lq,
					     .mos_cq = score.mos_cq,
					     .model = rtp_cost_model(cost) };
}
