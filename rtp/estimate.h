/* rtp/estimate.h - the E-model as call control asks for it. [any] */
#pragma once
#include <pbx/quality.h>

/* As pbx_quality.estimate, with structures of today's size. */
void rtp_estimate(const struct pbx_way_figures *figures, struct pbx_way_score *ret_score);
