/*
 * detect_beep - a pure tone that ends
 *
 * Every 10 ms the last 30 are looked at: where would the frequency be if this were one tone (the sample before and the one behind add up to
 * twice the cosine of the one between), corrected by how far the phase moves between the two halves; and how much of the power is there?
 * A voice has its power in harmonics, or moves: nine tenths on one frequency that stays within three percent are no voice.
 */
#include "detect.h"

#include <complex.h>
#include <math.h>
#include <string.h>

#define LEAST_HZ 390.0
#define MOST_HZ 3000.0
#define LEAST_SHARE 0.9
#define MOST_DRIFT 0.03
#define LEAST_POWER (330.0 * 330.0) /* -37 dBFS */
#define MOST_MISSED 2u              /* frames: the window goes over the tone's end */

static double guess_hz(const int16_t *x)
{
	double cross = 0, power = 0;

	for (uint32_t i = 1; i + 1 < RTP_BEEP_WINDOW; i++) {
		cross += (double)x[i] * (x[i - 1] + x[i + 1]);
		power += (double)x[i] * x[i];
	}
	double cosine = power > 0 ? cross / (2 * power) : 2;

	return fabs(cosine) < 1 ? acos(cosine) * RTP_DETECT_HZ / (2 * M_PI) : 0;
}

static double complex part_at(const int16_t *x, uint32_t count, double hz)
{
	double complex step = cexp(-I * 2 * M_PI * hz / RTP_DETECT_HZ), turn = 1, sum = 0;

	for (uint32_t i = 0; i < count; i++, turn *= step)
		sum += x[i] * turn;
	return sum;
}

static double refine_hz(const int16_t *x, double hz)
{
	const uint32_t half = RTP_BEEP_WINDOW / 2;
	double complex first = part_at(x, half, hz), second = part_at(x + half, half, hz);
	double moved = remainder(carg(second * conj(first)) - 2 * M_PI * hz * half / RTP_DETECT_HZ, 2 * M_PI); /* of a clock at hz */

	return hz + moved * RTP_DETECT_HZ / (2 * M_PI * half);
}

/* The frequency of a window that is one tone; 0: it is none. */
static double tone_in(const int16_t *x, double *ret_power)
{
	double power = 0;

	for (uint32_t i = 0; i < RTP_BEEP_WINDOW; i++)
		power += (double)x[i] * x[i];
	*ret_power = power / RTP_BEEP_WINDOW;
	if (*ret_power < LEAST_POWER)
		return 0;
	double hz = refine_hz(x, guess_hz(x));

	if (hz < LEAST_HZ || hz > MOST_HZ)
		return 0;
	double there = cabs(part_at(x, RTP_BEEP_WINDOW, hz));

	return 2 * there * there / (RTP_BEEP_WINDOW * power) >= LEAST_SHARE ? hz : 0;
}

static int32_t cdb_of(double mean_square)
{
	return (int32_t)lround(1000 * log10(mean_square / (32768.0 * 32768.0 / 2)));
}

static void end(struct rtp_beep *beep, uint64_t now_ms, rtp_found_fn found, void *context)
{
	uint32_t for_ms =
		(beep->frames + RTP_BEEP_WINDOW / RTP_DETECT_FRAME - 1) * RTP_DETECT_FRAME_MS; /* the first window began earlier */
	uint64_t ended_ms = now_ms - (beep->missed + 1u) * RTP_DETECT_FRAME_MS;

	if (for_ms >= beep->least_ms && for_ms <= beep->most_ms)
		found(context, &(struct pbx_detected){ .what = PBX_DETECT_BEEP,
						       .name = "beep",
						       .began_ms = ended_ms > for_ms ? ended_ms - for_ms : 0,
						       .for_ms = for_ms,
						       .hz = (uint32_t)lround(beep->hz),
						       .level_cdb = cdb_of(beep->power / beep->frames) });
	beep->frames = beep->missed = 0;
}

void rtp_beep_step(struct rtp_beep *beep, const int16_t *frame, uint64_t now_ms, rtp_found_fn found, void *context)
{
	double power;

	memmove(beep->window, beep->window + RTP_DETECT_FRAME, (RTP_BEEP_WINDOW - RTP_DETECT_FRAME) * sizeof *frame);
	memcpy(beep->window + RTP_BEEP_WINDOW - RTP_DETECT_FRAME, frame, RTP_DETECT_FRAME * sizeof *frame);
	double hz = tone_in(beep->window, &power);
	bool same = hz > 0 && (beep->frames == 0 || fabs(hz - beep->hz) <= MOST_DRIFT * beep->hz);

	if (!same && beep->frames && beep->missed++ < MOST_MISSED)
		return;
	if (!same && beep->frames)
		end(beep, now_ms, found, context);
	if (!same)
		return;
	if (beep->frames == 0) {
		beep->hz = hz;
		beep->power = 0;
	}
	beep->frames += 1 + beep->missed;
	beep->power += power * (1 + beep->missed);
	beep->missed = 0;
}
