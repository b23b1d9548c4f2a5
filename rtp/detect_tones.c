/*
 * detect_tones - the tones of a country's network, from the one table (tones.c)
 *
 * Every 10 ms the last 50 are asked how much of their power lies on the frequencies of the table; so sound becomes segments, each of one sound or
 * of none, and a tone is known when the newest segments are a part of its cadence, each length within a quarter. Two do when one of them is
 * long, else three; special information tones need all. A steady tone is believed when it has lasted longer than any pulse of the same sound.
 *
 * spandsp's super_tone_rx was tried: behind G.711 its version 0.0.6 knows steady tones of two frequencies and no cadence.
 */
#include "detect.h"
#include "tones.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 400u /* 50 ms: tells 20 Hz apart */
#define MOST_TONES 12u
#define MOST_SOUNDS 16u
#define MOST_HERTZ 20u
#define HISTORY 9u
#define NONE UINT32_MAX           /* no sound of ours */
#define LEAST_POWER (80.0 * 80.0) /* -49 dBFS */
#define EDGE_SHARE 0.5            /* half of the window is tone: edges are where they were, 25 ms later */
#define LEAST_SHARE 0.75          /* and somewhere in a segment there is nothing else */
#define LEAST_SWINGING_SHARE 0.6  /* the rest is beside it */
#define LEAST_PART 0.15           /* of a sound of two, for each */
#define LEAST_SEGMENT_MS 30u
#define TOLERANCE_MS 45u /* or a quarter */
#define LONG_MS 800u
#define LEAST_STEADY_MS 1200u
#define OVER_MS 6000u /* without a pulse: the tone has ended, and is told again when it comes back */
#define QUIETER 10.0  /* a pause is 10 dB softer than the tone */

struct sound {
	uint32_t first, second; /* of hertz; NONE */
};

struct known_tone {
	const char *name; /* static */
	struct rtp_tone tone;
	uint32_t steps;
	uint32_t sounds[RTP_TONE_STEPS]; /* NONE: a pause */
	uint32_t steady_ms;              /* 0: it has a cadence */
};

struct segment {
	uint32_t sound, ms;
	double power, share; /* sum of mean squares of its frames; the best share of its sound */
};

struct rtp_tones {
	struct known_tone tones[MOST_TONES];
	struct sound sounds[MOST_SOUNDS];
	uint16_t hertz[MOST_HERTZ];
	uint32_t tone_count, sound_count, hertz_count;
	int16_t window[WINDOW];
	struct segment history[HISTORY]; /* the newest first, which goes on */
	struct segment next;             /* what may become the newest */
	const char *told;                /* the name of the tone that goes on; NULL: none */
};

/* ---- from the table ---- */

static uint32_t add_hertz(struct rtp_tones *tones, uint16_t hz)
{
	uint32_t i = 0;

	if (hz == 0)
		return NONE;
	while (i < tones->hertz_count && tones->hertz[i] != hz)
		i++;
	if (i == tones->hertz_count && i < MOST_HERTZ)
		tones->hertz[tones->hertz_count++] = hz;
	return i;
}

static uint32_t add_sound(struct rtp_tones *tones, const struct rtp_tone_step *step)
{
	struct sound sound = { add_hertz(tones, step->first_hz), add_hertz(tones, step->second_hz) };
	uint32_t i = 0;

	if (sound.first == NONE)
		return NONE;
	while (i < tones->sound_count && (tones->sounds[i].first != sound.first || tones->sounds[i].second != sound.second))
		i++;
	if (i == tones->sound_count && i < MOST_SOUNDS)
		tones->sounds[tones->sound_count++] = sound;
	return i;
}

static void add_tone(struct rtp_tones *tones, const char *name, const struct rtp_tone *tone)
{
	struct known_tone *known = &tones->tones[tones->tone_count++];

	known->name = name;
	known->tone = *tone;
	while (known->steps < RTP_TONE_STEPS && tone->steps[known->steps].ms) {
		known->sounds[known->steps] = add_sound(tones, &tone->steps[known->steps]);
		known->steps++;
	}
}

/* A steady tone is longer than any pulse that sounds the same. */
static void find_steady(struct rtp_tones *tones)
{
	for (uint32_t i = 0; i < tones->tone_count; i++) {
		struct known_tone *steady = &tones->tones[i];

		if (!rtp_tone_is_steady(&steady->tone))
			continue;
		steady->steady_ms = LEAST_STEADY_MS;
		for (uint32_t j = 0; j < tones->tone_count; j++) {
			const struct known_tone *other = &tones->tones[j];

			for (uint32_t step = 0; !rtp_tone_is_steady(&other->tone) && step < other->steps; step++) {
				uint32_t most_ms = other->tone.steps[step].ms * 3u / 2;

				if (other->sounds[step] == steady->sounds[0] && most_ms > steady->steady_ms)
					steady->steady_ms = most_ms;
			}
		}
	}
}

int rtp_tones_new(const char *country, struct rtp_tones **ret_tones)
{
	static const char *const wanted[] = { "dial", "ringback", "busy", "congestion", "sit" };

	if (!rtp_tones_has(country))
		return PBX_EINVAL;
	struct rtp_tones *tones = calloc(1, sizeof *tones);
	struct rtp_tone tone;

	if (!tones)
		return PBX_ENOMEM;
	for (size_t name = 0; name < sizeof wanted / sizeof wanted[0]; name++)
		for (size_t i = 0; tones->tone_count < MOST_TONES && rtp_tone_at(country, wanted[name], i, &tone); i++)
			add_tone(tones, wanted[name], &tone);
	find_steady(tones);
	tones->history[0].sound = tones->next.sound = NONE;
	*ret_tones = tones;
	return PBX_OK;
}

void rtp_tones_free(struct rtp_tones *tones)
{
	free(tones);
}

/* ---- from samples to segments ---- */

/* The share of the window's power at a frequency. */
static double share_at(const struct rtp_tones *tones, double hz, double power)
{
	double turn = 2 * cos(2 * M_PI * hz / RTP_DETECT_HZ), last = 0, before = 0;

	for (uint32_t i = 0; i < WINDOW; i++) { /* Goertzel */
		double now = tones->window[i] + turn * last - before;

		before = last;
		last = now;
	}
	return 2 * (last * last + before * before - turn * last * before) / (WINDOW * power * WINDOW);
}

/* One tone that lies between two looks like both of them while the window is not full of it. */
static bool is_one_between(const struct rtp_tones *tones, const struct sound *sound, const double *shares)
{
	for (uint32_t i = 0; i < tones->hertz_count; i++)
		if (tones->hertz[i] > tones->hertz[sound->first] && tones->hertz[i] < tones->hertz[sound->second] &&
		    shares[i] > fmax(shares[sound->first], shares[sound->second]))
			return true;
	return false;
}

static double share_of(const struct rtp_tones *tones, const struct sound *sound, const double *shares)
{
	if (sound->second == NONE)
		return shares[sound->first];
	double first = shares[sound->first], second = shares[sound->second], sum = first + second;

	return fmin(first, second) >= LEAST_PART * sum && !is_one_between(tones, sound, shares) ? sum : 0;
}

/* The sound of the window; power: its mean square. */
static uint32_t sound_of(const struct rtp_tones *tones, double power, double *ret_share)
{
	double shares[MOST_HERTZ];
	uint32_t best = NONE;

	*ret_share = 0;
	if (power < LEAST_POWER * EDGE_SHARE)
		return NONE;
	for (uint32_t i = 0; i < tones->hertz_count; i++)
		shares[i] = share_at(tones, tones->hertz[i], power);
	for (uint32_t i = 0; i < tones->sound_count; i++) {
		double share = share_of(tones, &tones->sounds[i], shares);

		if (share >= EDGE_SHARE && share > *ret_share) {
			best = i;
			*ret_share = share;
		}
	}
	return best;
}

static void lengthen(struct segment *segment, double power, double share)
{
	segment->ms += RTP_DETECT_FRAME_MS;
	segment->power += power;
	segment->share = fmax(segment->share, share);
}

/* ---- from segments to tones ---- */

static double mean_of(const struct segment *segment)
{
	return segment->ms ? segment->power / (segment->ms / RTP_DETECT_FRAME_MS) : 0;
}

static bool fits(const struct segment *segment, uint32_t sound, uint32_t ms, double tone_power)
{
	uint32_t by = ms / 4 > TOLERANCE_MS ? ms / 4 : TOLERANCE_MS;

	if (segment->sound != sound || segment->ms + by < ms || segment->ms > ms + by)
		return false;
	return sound == NONE ? mean_of(segment) * QUIETER < tone_power : segment->share >= LEAST_SHARE;
}

/* The power of the newest sound among what has ended. */
static double power_of_tone(const struct rtp_tones *tones)
{
	for (uint32_t i = 1; i < HISTORY; i++) {
		if (tones->history[i].sound != NONE)
			return mean_of(&tones->history[i]);
	}
	return 0;
}

/* How long the segments have been that fit its cadence, with its step `last` as the one that has just ended; 0: too few fit. */
static uint32_t heard_of(const struct rtp_tones *tones, const struct known_tone *known, uint32_t last)
{
	uint32_t ms = 0, fitting = 0, needed = known->tone.ends ? known->steps : 3;
	double power = power_of_tone(tones);

	for (; fitting + 1 < HISTORY; fitting++) {
		uint32_t step = (last + HISTORY * known->steps - fitting) % known->steps;
		const struct segment *segment = &tones->history[1 + fitting];

		if (!fits(segment, known->sounds[step], known->tone.steps[step].ms, power))
			break;
		if (!known->tone.ends && known->tone.steps[step].ms >= LONG_MS)
			needed = 2;
		ms += segment->ms;
		if (known->tone.ends && step == 0) {
			fitting++;
			break;
		}
	}
	if (fitting && tones->history[fitting].sound == NONE) /* a silence before it says nothing */
		ms -= tones->history[fitting--].ms;
	return fitting >= needed ? ms : 0;
}

static void tell(struct rtp_tones *tones, const char *name, uint32_t for_ms, uint64_t ended_ms, rtp_found_fn found, void *context)
{
	if (tones->told == name)
		return;
	tones->told = name;
	found(context,
	      &(struct pbx_detected){
		      .what = PBX_DETECT_TONES, .name = name, .began_ms = ended_ms > for_ms ? ended_ms - for_ms : 0, .for_ms = for_ms });
}

/* How long it has been heard, whichever of its steps has just ended; 0: it is not it. */
static uint32_t longest_of(const struct rtp_tones *tones, const struct known_tone *known)
{
	uint32_t longest_ms = 0;

	for (uint32_t step = known->tone.ends ? known->steps - 1 : 0; step < known->steps; step++) {
		uint32_t heard_ms = heard_of(tones, known, step);

		longest_ms = heard_ms > longest_ms ? heard_ms : longest_ms;
	}
	return longest_ms;
}

/* A segment has ended, at that time. A cadence may be a part of another: the one of which most was heard is it. */
static void look_back(struct rtp_tones *tones, uint64_t ended_ms, rtp_found_fn found, void *context)
{
	const struct known_tone *best = NULL;
	uint32_t best_ms = 0;

	for (uint32_t i = 0; i < tones->tone_count; i++) {
		const struct known_tone *known = &tones->tones[i];
		uint32_t heard_ms = known->steady_ms ? 0 : longest_of(tones, known);

		if (heard_ms > best_ms) {
			best = known;
			best_ms = heard_ms;
		}
	}
	if (best)
		tell(tones, best->name, best_ms, ended_ms, found, context);
}

static void look_at_newest(struct rtp_tones *tones, uint64_t now_ms, rtp_found_fn found, void *context)
{
	const struct segment *newest = &tones->history[0];

	if (newest->sound == NONE && newest->ms >= OVER_MS)
		tones->told = NULL;
	for (uint32_t i = 0; newest->sound != NONE && i < tones->tone_count; i++) {
		const struct known_tone *known = &tones->tones[i];

		if (known->steady_ms && known->sounds[0] == newest->sound && newest->ms >= known->steady_ms &&
		    newest->share >= (known->tone.steps[0].swings_hz ? LEAST_SWINGING_SHARE : LEAST_SHARE))
			tell(tones, known->name, newest->ms, now_ms, found, context);
	}
}

static void begin_segment(struct rtp_tones *tones, uint64_t now_ms, rtp_found_fn found, void *context)
{
	memmove(tones->history + 1, tones->history, (HISTORY - 1) * sizeof tones->history[0]);
	tones->history[0] = tones->next;
	look_back(tones, now_ms - tones->next.ms, found, context);
	tones->next.ms = 0;
}

void rtp_tones_step(struct rtp_tones *tones, const int16_t *frame, uint64_t now_ms, rtp_found_fn found, void *context)
{
	double power = 0, share;

	memmove(tones->window, tones->window + RTP_DETECT_FRAME, (WINDOW - RTP_DETECT_FRAME) * sizeof *frame);
	memcpy(tones->window + WINDOW - RTP_DETECT_FRAME, frame, RTP_DETECT_FRAME * sizeof *frame);
	for (uint32_t i = 0; i < WINDOW; i++)
		power += (double)tones->window[i] * tones->window[i];
	power /= WINDOW;

	uint32_t sound = sound_of(tones, power, &share);

	if (sound == tones->history[0].sound) { /* what was in between was too short */
		tones->history[0].ms += tones->next.ms;
		tones->next.ms = 0;
		lengthen(&tones->history[0], power, share);
	} else {
		if (sound != tones->next.sound || tones->next.ms == 0)
			tones->next = (struct segment){ .sound = sound, .ms = tones->next.ms };
		lengthen(&tones->next, power, share);
		if (tones->next.ms >= LEAST_SEGMENT_MS)
			begin_segment(tones, now_ms, found, context);
	}
	look_at_newest(tones, now_ms, found, context);
}
