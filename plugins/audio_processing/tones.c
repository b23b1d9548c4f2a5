/*
 * tones - the answer of a fax or modem (CED, ANS and ANSam of V.25 and V.8: 2100 Hz), and the call of a fax (CNG: 1100 Hz)
 *
 * What follows such a tone is data, which whatever makes speech clearer would destroy. A tone is there when nearly all the power of
 * 10 ms is at its frequency (Goertzel); it counts when that has gone on so long that no vowel could. The turns of phase in ANSam cost
 * it one piece of 10 ms each.
 */
#include "tones.h"

#include <math.h>

#define FRAME_MS 10u
#define MOST_OF_IT 0.8f  /* share of the power */
#define LEAST_POWER 3e4f /* per sample: -45 dBFS */
#define FORGIVES_MS 20u  /* what a piece without the tone takes away */

static const struct {
	float hz;
	uint32_t least_ms;
} kinds[TONES_COUNT] = { { 2100, 100 }, { 1100, 300 } };

void tones_init(struct tones *tones, uint32_t rate_hz)
{
	*tones = (struct tones){ 0 };
	for (uint32_t i = 0; i < TONES_COUNT; i++)
		tones->turn[i] = 2 * cosf(2 * (float)M_PI * kinds[i].hz / (float)rate_hz);
}

/* Power at a frequency, as a sum of squares like the whole's. */
static float power_at(float turn, const int16_t *samples, uint32_t count)
{
	float one = 0, two = 0;

	for (uint32_t i = 0; i < count; i++) {
		float now = (float)samples[i] + turn * one - two;

		two = one;
		one = now;
	}
	return 2 * (one * one + two * two - turn * one * two) / (float)count;
}

static void note(struct tones *tones, uint32_t kind, bool is_there)
{
	uint32_t *lasts_ms = &tones->lasts_ms[kind];

	if (is_there)
		*lasts_ms += FRAME_MS;
	else
		*lasts_ms -= *lasts_ms < FORGIVES_MS ? *lasts_ms : FORGIVES_MS;
	tones->found |= *lasts_ms >= kinds[kind].least_ms;
}

bool tones_note(struct tones *tones, const int16_t *samples, uint32_t count)
{
	float power = 0;

	for (uint32_t i = 0; i < count; i++)
		power += (float)samples[i] * (float)samples[i];
	for (uint32_t i = 0; i < TONES_COUNT && !tones->found; i++)
		note(tones, i, power > LEAST_POWER * (float)count && power_at(tones->turn[i], samples, count) > MOST_OF_IT * power);
	return tones->found;
}
