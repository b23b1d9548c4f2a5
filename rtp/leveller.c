/*
 * leveller - turns the volume so that tunes of many recordings are about as loud as one another
 */
#include "leveller.h"

#include <math.h>

#define TARGET_POWER 0.00631f /* -22 dBFS: music below speech */
#define PAUSE_POWER 0.00001f  /* -50 dBFS and less says nothing about a tune's loudness */
#define FOLLOWS 0.0067f       /* a frame's share: 3 s */
#define MOST_GAIN 3.98f       /* 12 dB */
#define LEAST_GAIN 0.251f
#define UP 1.0046f   /* a frame: 2 dB a second */
#define DOWN 0.9863f /* 6 dB a second */
#define CEILING 32000.0f

static float power_of(const int16_t *samples, size_t count, float *ret_peak)
{
	float sum = 0, peak = 0;

	for (size_t i = 0; i < count; i++) {
		float sample = (float)samples[i];

		sum += sample * sample;
		peak = fabsf(sample) > peak ? fabsf(sample) : peak;
	}
	*ret_peak = peak;
	return sum / ((float)count * 32768.0f * 32768.0f);
}

static float wanted_gain(float power)
{
	float gain = sqrtf(TARGET_POWER / power);

	return gain > MOST_GAIN ? MOST_GAIN : gain < LEAST_GAIN ? LEAST_GAIN : gain;
}

static float next_gain(float gain, float wanted)
{
	if (wanted > gain)
		return gain * UP < wanted ? gain * UP : wanted;
	return gain * DOWN > wanted ? gain * DOWN : wanted;
}

void rtp_leveller_run(struct rtp_leveller *leveller, int16_t *samples, size_t count)
{
	float peak, power = power_of(samples, count, &peak);
	float before = leveller->gain > 0 ? leveller->gain : 1, gain = before;

	if (power > PAUSE_POWER)
		leveller->power = leveller->power > 0 ? leveller->power + FOLLOWS * (power - leveller->power) : power;
	if (leveller->power > 0)
		gain = next_gain(before, wanted_gain(leveller->power));
	if (peak * (gain > before ? gain : before) > CEILING)
		before = gain = CEILING / peak < gain ? CEILING / peak : gain; /* without a slope: better a step than a crackle */
	for (size_t i = 0; i < count; i++) /* from the one to the other: a step every 20 ms would be heard as a buzz */
		samples[i] = (int16_t)lrintf((float)samples[i] * (before + (gain - before) * (float)i / (float)count));
	leveller->gain = gain;
}
