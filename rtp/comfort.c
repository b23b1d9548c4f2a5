/*
 * comfort - noise that says the line is not dead
 *
 * RFC 3389 describes noise by its level and by the reflection coefficients of an all-pole filter. We read them into a lattice that
 * is driven by white noise, scaled so that what leaves it has the level; and find them in what a microphone gives between two words
 * by the Levinson recursion. Speech is what is well above the quietest of the last seconds.
 */
#include "comfort.h"
#include "rms.h"

#include <math.h>
#include <string.h>

#define FULL_SCALE 32768.0f
#define APPROACH 0.002f        /* per sample: some 60 ms to another loudness at 8 kHz */
#define MOST_LEVEL 127u        /* -dBov */
#define MOST_REFLECTION 0.98f  /* nearer to one it would ring */
#define ABOVE_FLOOR 2.8f       /* 9 dB: speech */
#define LEAST_SPEECH_RMS 20.0f /* -64 dBFS */
#define HANG_MS 200u
#define FLOOR_RISES 1.26f /* a second: 2 dB */
#define FIRST_FLOOR_RMS 200.0f
#define MOST_HUSHED_RMS 330.0f /* -40 dBFS: what is louder is meant to be heard, however steady (music, tones) */
#define OTHER_LEVEL 1.4f       /* 3 dB */
#define TOLD_AGAIN_MS 100u     /* no more often than that */
#define TOLD_ANYWAY_MS 1000u   /* ways through NAT stay open, and the other side knows that we are there */

/* ---- making ---- */

void rtp_comfort_init(struct rtp_comfort *comfort)
{
	*comfort = (struct rtp_comfort){ .chance = 0x2545f491 };
}

void rtp_comfort_level(struct rtp_comfort *comfort, float rms)
{
	memset(comfort->reflection, 0, sizeof comfort->reflection);
	comfort->aims_rms = rms;
}

void rtp_comfort_read(struct rtp_comfort *comfort, const uint8_t *payload, uint32_t bytes)
{
	if (bytes == 0)
		return;
	rtp_comfort_level(comfort, FULL_SCALE * powf(10, -(float)(payload[0] & 0x7f) / 20));
	for (uint32_t i = 1; i < bytes && i <= RTP_COMFORT_ORDER; i++) {
		float reflection = ((float)payload[i] - 127) / 128;

		comfort->reflection[i - 1] = fmaxf(-MOST_REFLECTION, fminf(MOST_REFLECTION, reflection));
	}
}

/* Evenly between -1 and 1. */
static float noise(struct rtp_comfort *comfort)
{
	comfort->chance = comfort->chance * 1664525u + 1013904223u;
	return (float)(comfort->chance >> 8) / 8388608.0f - 1;
}

/* The filter takes loudness away or adds some: what goes in has to have so much for each of what comes out. */
static float needed(const struct rtp_comfort *comfort)
{
	float share = 1;

	for (uint32_t i = 0; i < RTP_COMFORT_ORDER; i++)
		share *= 1 - comfort->reflection[i] * comfort->reflection[i];
	return sqrtf(3 * share); /* noise between -1 and 1 has the power of 1/3 */
}

static float filtered(struct rtp_comfort *comfort, float sample)
{
	for (int32_t i = RTP_COMFORT_ORDER - 1; i >= 0; i--) {
		sample -= comfort->reflection[i] * comfort->memory[i];
		if (i + 1 < (int32_t)RTP_COMFORT_ORDER)
			comfort->memory[i + 1] = comfort->memory[i] + comfort->reflection[i] * sample;
	}
	comfort->memory[0] = sample;
	return sample;
}

void rtp_comfort_make(struct rtp_comfort *comfort, int16_t *ret_samples, uint32_t count)
{
	float drive = needed(comfort);

	for (uint32_t i = 0; i < count; i++) {
		comfort->rms += (comfort->aims_rms - comfort->rms) * APPROACH;
		float sample = filtered(comfort, noise(comfort) * drive) * comfort->rms;

		ret_samples[i] = (int16_t)fmaxf(-32767, fminf(32767, sample));
	}
}

/* ---- telling ---- */

static void correlate(const int16_t *samples, uint32_t count, double ret_sums[RTP_COMFORT_ORDER + 1])
{
	for (uint32_t lag = 0; lag <= RTP_COMFORT_ORDER; lag++) {
		ret_sums[lag] = 0;
		for (uint32_t i = lag; i < count; i++)
			ret_sums[lag] += (double)samples[i] * samples[i - lag];
	}
}

/* Levinson and Durbin. */
static void find_reflections(const double *sums, double ret_reflections[RTP_COMFORT_ORDER])
{
	double filter[RTP_COMFORT_ORDER + 1] = { 1 }, error = sums[0] * 1.0001 + 1;

	for (uint32_t order = 1; order <= RTP_COMFORT_ORDER; order++) {
		double sum = sums[order], before[RTP_COMFORT_ORDER + 1];

		for (uint32_t i = 1; i < order; i++)
			sum += filter[i] * sums[order - i];
		double reflection = -sum / error;

		memcpy(before, filter, sizeof before);
		for (uint32_t i = 1; i < order; i++)
			filter[i] = before[i] + reflection * before[order - i];
		filter[order] = reflection;
		error *= 1 - reflection * reflection;
		ret_reflections[order - 1] = reflection;
	}
}

uint32_t rtp_comfort_describe(const int16_t *samples, uint32_t count, uint8_t ret_payload[RTP_COMFORT_MOST_BYTES])
{
	double sums[RTP_COMFORT_ORDER + 1], reflections[RTP_COMFORT_ORDER];

	correlate(samples, count, sums);
	double level = count && sums[0] > 0 ? -10 * log10(sums[0] / count / FULL_SCALE / FULL_SCALE) : MOST_LEVEL;

	find_reflections(sums, reflections);
	ret_payload[0] = (uint8_t)lrint(fmax(0, fmin(MOST_LEVEL, level)));
	for (uint32_t i = 0; i < RTP_COMFORT_ORDER; i++)
		ret_payload[1 + i] = (uint8_t)lrint(fmax(0, fmin(254, reflections[i] * 128 + 127)));
	return RTP_COMFORT_MOST_BYTES;
}

/* ---- speech and noise ---- */

void rtp_quiet_init(struct rtp_quiet *quiet, uint32_t rate_hz)
{
	*quiet = (struct rtp_quiet){ .rate_hz = rate_hz, .floor_rms = FIRST_FLOOR_RMS };
}

/* Falls at once, nearly; rises slowly, so that a long word is no noise. */
static void follow_floor(struct rtp_quiet *quiet, uint32_t count)
{
	if (!quiet->heard || quiet->rms < quiet->floor_rms) {
		quiet->floor_rms += (quiet->rms - quiet->floor_rms) * 0.5f;
		quiet->heard = true;
		return;
	}
	quiet->floor_rms *= powf(FLOOR_RISES, (float)count / (float)quiet->rate_hz);
	if (quiet->floor_rms < 1)
		quiet->floor_rms = 1;
}

bool rtp_quiet_note(struct rtp_quiet *quiet, const int16_t *samples, uint32_t count)
{
	quiet->rms = rtp_rms(samples, count);
	bool speech = quiet->rms > quiet->floor_rms * ABOVE_FLOOR && quiet->rms > LEAST_SPEECH_RMS;

	follow_floor(quiet, count);
	if (speech)
		quiet->hang_left = quiet->rate_hz / 1000 * HANG_MS;
	else
		quiet->hang_left -= count < quiet->hang_left ? count : quiet->hang_left;
	return speech || quiet->hang_left > 0;
}

/* ---- falling silent ---- */

void rtp_hush_init(struct rtp_hush *hush, uint32_t rate_hz)
{
	*hush = (struct rtp_hush){ 0 };
	rtp_quiet_init(&hush->quiet, rate_hz);
}

static bool sounds_otherwise(const struct rtp_hush *hush)
{
	float now = fmaxf(hush->quiet.rms, 1), told = fmaxf(hush->told_rms, 1);

	return now > told * OTHER_LEVEL || told > now * OTHER_LEVEL;
}

uint32_t rtp_hush_note(struct rtp_hush *hush, const int16_t *samples, uint32_t count)
{
	bool began = !hush->silent, speech = rtp_quiet_note(&hush->quiet, samples, count) || hush->quiet.rms > MOST_HUSHED_RMS;
	uint32_t ms = hush->since_told / (hush->quiet.rate_hz / 1000);

	hush->silent = !speech;
	hush->since_told += count;
	if (speech)
		return RTP_HUSH_SPEECH;
	if (!began && ms < TOLD_ANYWAY_MS && (ms < TOLD_AGAIN_MS || !sounds_otherwise(hush)))
		return RTP_HUSH_NOTHING;
	hush->told_rms = hush->quiet.rms;
	hush->since_told = 0;
	return RTP_HUSH_TELL;
}
