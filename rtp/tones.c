/*
 * tones - what a telephone network says without words: ITU-T E.180 and its national tables
 *
 * A tone is a row: its name, the country, and its cadence as frequencies and lengths. It is rendered once into a sound that
 * repeats, so that a worker plays tones as it plays files. Levels: -13 dBm0 for each frequency, where 0 dBm0 is 3.14 dB
 * below a full-scale sine.
 */
#include "tones.h"
#include "sound.h"

#include <math.h>
#include <pbx/abi.h>
#include <stdlib.h>
#include <string.h>

#define AMPLITUDE 5110.0 /* 32768 * 10^(-16.14 / 20) */
#define RAMP_MS 2        /* without it each beginning is a click */

/* Steady tones are a second long: every whole frequency then ends where it began. */
static const struct rtp_tone tones[] = {
	{ NULL, "beep", true, { { 1000, 0, 500 } } },
	{ NULL, "confirm", true, { { 600, 0, 100 }, { 0, 0, 50 }, { 900, 0, 150 } } },

	{ "us", "dial", false, { { 350, 440, 1000 } } },
	{ "us", "ringback", false, { { 440, 480, 2000 }, { 0, 0, 4000 } } },
	{ "us", "busy", false, { { 480, 620, 500 }, { 0, 0, 500 } } },
	{ "us", "congestion", false, { { 480, 620, 250 }, { 0, 0, 250 } } },

	{ "us", "sit", true, { { 914, 0, 274 }, { 1371, 0, 274 }, { 1777, 0, 380 } } }, /* intercept, the commonest */
	{ "us", "sit", true, { { 985, 0, 380 }, { 1371, 0, 274 }, { 1777, 0, 380 } } }, /* vacant code */
	{ "us", "sit", true, { { 985, 0, 380 }, { 1429, 0, 380 }, { 1777, 0, 380 } } }, /* no circuit */
	{ "us", "sit", true, { { 914, 0, 274 }, { 1429, 0, 380 }, { 1777, 0, 380 } } }, /* reorder */

	{ "uk", "dial", false, { { 350, 440, 1000 } } },
	{ "uk", "ringback", false, { { 400, 450, 400 }, { 0, 0, 200 }, { 400, 450, 400 }, { 0, 0, 2000 } } },
	{ "uk", "busy", false, { { 400, 0, 375 }, { 0, 0, 375 } } },
	{ "uk", "congestion", false, { { 400, 0, 400 }, { 0, 0, 350 }, { 400, 0, 225 }, { 0, 0, 525 } } },

	{ "de", "dial", false, { { 425, 0, 1000 } } },
	{ "de", "ringback", false, { { 425, 0, 1000 }, { 0, 0, 4000 } } },
	{ "de", "busy", false, { { 425, 0, 480 }, { 0, 0, 480 } } },
	{ "de", "congestion", false, { { 425, 0, 240 }, { 0, 0, 240 } } },

	{ "fr", "dial", false, { { 440, 0, 1000 } } },
	{ "fr", "ringback", false, { { 440, 0, 1500 }, { 0, 0, 3500 } } },
	{ "fr", "busy", false, { { 440, 0, 500 }, { 0, 0, 500 } } },
	{ "fr", "congestion", false, { { 440, 0, 250 }, { 0, 0, 250 } } },

	{ "it", "dial", false, { { 425, 0, 200 }, { 0, 0, 200 }, { 425, 0, 600 }, { 0, 0, 1000 } } },
	{ "it", "ringback", false, { { 425, 0, 1000 }, { 0, 0, 4000 } } },
	{ "it", "busy", false, { { 425, 0, 500 }, { 0, 0, 500 } } },
	{ "it", "congestion", false, { { 425, 0, 200 }, { 0, 0, 200 } } },

	{ NULL, "sit", true, { { 950, 0, 330 }, { 1400, 0, 330 }, { 1800, 0, 330 } } },
};

#define TONES (sizeof tones / sizeof tones[0])

bool rtp_tones_has(const char *country)
{
	for (size_t i = 0; i < TONES; i++) {
		if (tones[i].country && strcmp(tones[i].country, country) == 0)
			return true;
	}
	return false;
}

static bool is_of(const struct rtp_tone *tone, const char *country)
{
	return !tone->country || strcmp(tone->country, country) == 0;
}

const struct rtp_tone *rtp_tone_at(const char *country, size_t at)
{
	for (size_t i = 0; i < TONES; i++) {
		if (is_of(&tones[i], country) && at-- == 0)
			return &tones[i];
	}
	return NULL;
}

const struct rtp_tone *rtp_tone_find(const char *country, const char *name)
{
	for (size_t i = 0; i < TONES; i++) {
		if (strcmp(tones[i].name, name) == 0 && is_of(&tones[i], country))
			return &tones[i];
	}
	return NULL;
}

bool rtp_tone_is_steady(const struct rtp_tone *tone)
{
	return tone->steps[1].ms == 0 && !tone->ends;
}

/* A step that repeats without a pause keeps its level; one that begins or ends in silence is ramped. */
static double level_at(const struct rtp_tone *tone, uint32_t rate_hz, uint32_t at, uint32_t count)
{
	uint32_t edge = at < count - at - 1 ? at : count - at - 1, ramp = rate_hz / 1000 * RAMP_MS;

	return rtp_tone_is_steady(tone) || edge >= ramp ? AMPLITUDE : AMPLITUDE * (edge + 1) / (ramp + 1);
}

static int16_t sample_at(const struct rtp_tone *tone, const struct rtp_tone_step *step, uint32_t rate_hz, uint32_t at, uint32_t count)
{
	double phase = 2 * M_PI * at / rate_hz, value = 0;

	if (step->first_hz)
		value += sin(phase * step->first_hz);
	if (step->second_hz)
		value += sin(phase * step->second_hz);
	return (int16_t)lrint(value * level_at(tone, rate_hz, at, count));
}

/* Adds a sample, and two at twice the rate, to the last block, or begins another. */
static int add_samples(struct rtp_sound_block **last, int16_t narrow, int16_t first_wide, int16_t second_wide)
{
	uint32_t used = rtp_read(&(*last)->used);

	if (used == RTP_BLOCK_SAMPLES) {
		struct rtp_sound_block *block = rtp_sound_block_new();

		if (!block)
			return PBX_ENOMEM;
		rtp_write(&(*last)->next, block);
		*last = block;
		used = 0;
	}
	(*last)->narrow[used] = narrow;
	(*last)->wide[2 * used] = first_wide;
	(*last)->wide[2 * used + 1] = second_wide;
	rtp_write(&(*last)->used, used + 1);
	return PBX_OK;
}

int rtp_tone_render(const char *country, const char *name, struct rtp_sound_block **ret_first, bool *ret_repeats)
{
	const struct rtp_tone *tone = rtp_tone_find(country, name);

	if (!tone)
		return PBX_ENOENT;
	struct rtp_sound_block *last = *ret_first = rtp_sound_block_new();
	int err = last ? PBX_OK : PBX_ENOMEM;

	*ret_repeats = !tone->ends;
	for (const struct rtp_tone_step *step = tone->steps; step < tone->steps + RTP_TONE_STEPS && step->ms; step++) {
		uint32_t count = step->ms * RTP_NARROW_HZ / 1000;

		for (uint32_t at = 0; err == PBX_OK && at < count; at++)
			err = add_samples(&last, sample_at(tone, step, RTP_NARROW_HZ, at, count),
					  sample_at(tone, step, RTP_SOUND_HZ, 2 * at, 2 * count),
					  sample_at(tone, step, RTP_SOUND_HZ, 2 * at + 1, 2 * count));
	}
	return err;
}
