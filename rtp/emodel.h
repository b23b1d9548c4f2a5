/* rtp/emodel.h - how a way of packets sounds, by the E-model: ITU-T G.107 (narrow band), G.107.1 (wideband), G.107.2 (full band). Pure: [any].
 *
 * Everything the model knows of rooms, telephones and echo stands at its defaults; what we measure is the codec, what is lost of it, and how late it
 * comes. R = R0 - Idd - Ie,eff; a MOS is what R means on the scale of that band. */
#pragma once
#include <stdint.h>

#define RTP_BAND_NARROW 0u
#define RTP_BAND_WIDE 1u
#define RTP_BAND_FULL 2u

/* What a codec costs. */
struct rtp_cost {
	const char *name;
	uint32_t clock_hz; /* 0: any */
	uint32_t band;     /* RTP_BAND_… */
	double ie, bpl;    /* equipment impairment without loss, robustness against loss, in units of the band's R */
	uint32_t delay_ms; /* of the codec itself: look-ahead and filters */
};

struct rtp_way {
	double lost_percent; /* lost on the way, and thrown away because it came too late */
	double burst_ratio;  /* G.107 3.5: how much more in bursts than at random; below 1 is 1 */
	double delay_ms;     /* one way, mouth to ear */
};

struct rtp_score {
	double r;      /* with delay, 0 to 100: divided by 1.29 in wideband and by 1.48 in full band */
	double mos_lq; /* for who only listens: no delay. 1 to 4.5 */
	double mos_cq; /* for who converses */
};

/* Never NULL: of a codec we know nothing about we assume G.711's robustness. */
const struct rtp_cost *rtp_cost_find(const char *name, uint32_t clock_hz);
/* "G.107", "G.107.1", "G.107.2" */
const char *rtp_cost_model(const struct rtp_cost *cost);
void rtp_emodel(const struct rtp_cost *cost, const struct rtp_way *way, struct rtp_score *ret_score);
/* MOS of a transmission rating on the narrow band scale (G.107 Annex B). */
double rtp_mos_of_r(double r);
/* Mean length of a run of lost packets, against what chance would make of the same loss. */
double rtp_burst_ratio(uint64_t lost, uint64_t runs, double lost_percent);
