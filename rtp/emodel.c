/*
 * emodel - what loss, delay and codec do to a conversation, as one number: ITU-T G.107, G.107.1, G.107.2
 *
 * The figures of codecs are those of G.113 Appendix I and of the Recommendations themselves where they have some; G.711 is taken with concealment, as
 * every phone has it today.
 */
#include "emodel.h"

#include <math.h>
#include <stddef.h>
#include <strings.h>

#define R0_NARROW 93.2
#define R0_WIDE 129.0
#define R0_FULL 148.0
#define WIDE_SCALE 1.29
#define FULL_SCALE 1.48
#define MOST_IE 95.0
#define FREE_DELAY_MS 100.0 /* delay that nobody minds */
#define FULL_LOSS_IE 121.8  /* of G.107.2's curve for Opus */

static const struct rtp_cost costs[] = {
	{ "PCMU", 0, RTP_BAND_NARROW, 0, 25.1, 0 },       { "PCMA", 0, RTP_BAND_NARROW, 0, 25.1, 0 },
	{ "L16", 8000, RTP_BAND_NARROW, 0, 4.3, 0 },      { "L16", 0, RTP_BAND_WIDE, 0, 4.3, 0 },
	{ "G722", 0, RTP_BAND_WIDE, 13, 4.9, 2 },         { "G726-40", 0, RTP_BAND_NARROW, 2, 25.1, 0 },
	{ "G726-32", 0, RTP_BAND_NARROW, 7, 25.1, 0 },    { "G726-24", 0, RTP_BAND_NARROW, 25, 25.1, 0 },
	{ "G726-16", 0, RTP_BAND_NARROW, 50, 25.1, 0 },   { "G729", 0, RTP_BAND_NARROW, 11, 19.0, 5 },
	{ "iLBC", 0, RTP_BAND_NARROW, 11, 32.0, 5 },      { "GSM", 0, RTP_BAND_NARROW, 20, 10.0, 0 },
	{ "speex", 8000, RTP_BAND_NARROW, 11, 19.0, 10 }, { "speex", 0, RTP_BAND_WIDE, 13, 19.0, 10 },
	{ "opus", 0, RTP_BAND_FULL, 10.2, 4.3, 7 },
};
static const struct rtp_cost unknown = { "", 0, RTP_BAND_NARROW, 0, 25.1, 0 };

const struct rtp_cost *rtp_cost_find(const char *name, uint32_t clock_hz)
{
	for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++)
		if (strcasecmp(costs[i].name, name) == 0 && (costs[i].clock_hz == 0 || costs[i].clock_hz == clock_hz))
			return &costs[i];
	return &unknown;
}

const char *rtp_cost_model(const struct rtp_cost *cost)
{
	return cost->band == RTP_BAND_FULL ? "G.107.2" : cost->band == RTP_BAND_WIDE ? "G.107.1" : "G.107";
}

double rtp_mos_of_r(double r)
{
	if (r <= 0)
		return 1;
	if (r >= 100)
		return 4.5;
	double mos = 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r);

	return mos < 1 ? 1 : mos; /* the curve dips below 1 where R is under 6.5 */
}

double rtp_burst_ratio(uint64_t lost, uint64_t runs, double lost_percent)
{
	double ratio = runs > 0 ? (double)lost / (double)runs * (1 - lost_percent / 100) : 1;

	return ratio < 1 ? 1 : ratio;
}

/* Delay alone, without echo: G.107 (7-27), (7-28). */
static double delay_impairment(double delay_ms)
{
	if (delay_ms <= FREE_DELAY_MS)
		return 0;
	double x = log2(delay_ms / FREE_DELAY_MS);

	return 25 * (pow(1 + pow(x, 6), 1.0 / 6) - 3 * pow(1 + pow(x / 3, 6), 1.0 / 6) + 2);
}

/* The codec and what is lost of it: G.107 (7-29); G.107.2 has a steeper curve and no bursts. */
static double equipment_impairment(const struct rtp_cost *cost, const struct rtp_way *way)
{
	double lost = way->lost_percent < 0 ? 0 : way->lost_percent > 100 ? 100 : way->lost_percent;
	double bursts = way->burst_ratio < 1 ? 1 : way->burst_ratio;

	if (cost->band == RTP_BAND_FULL)
		return cost->ie + FULL_LOSS_IE * lost / (lost + cost->bpl);
	return cost->ie + (MOST_IE - cost->ie) * lost / (lost / bursts + cost->bpl);
}

static double clamped(double r)
{
	return r < 0 ? 0 : r > 100 ? 100 : r;
}

void rtp_emodel(const struct rtp_cost *cost, const struct rtp_way *way, struct rtp_score *ret_score)
{
	double whole = cost->band == RTP_BAND_FULL ? R0_FULL : cost->band == RTP_BAND_WIDE ? R0_WIDE : R0_NARROW;
	double scale = cost->band == RTP_BAND_FULL ? FULL_SCALE : cost->band == RTP_BAND_WIDE ? WIDE_SCALE : 1;
	double heard = whole - equipment_impairment(cost, way), conversed = heard - delay_impairment(way->delay_ms);

	*ret_score = (struct rtp_score){ .r = clamped(conversed / scale),
					 .mos_lq = rtp_mos_of_r(heard / scale),
					 .mos_cq = rtp_mos_of_r(conversed / scale) };
}
