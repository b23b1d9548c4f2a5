/*
 * tones - what a telephone network says without words: ITU-T E.180 and its national tables
 *
 * A tone is a row: the country, its name, and its cadence as a text (tones_countries.c). It is rendered once into a sound that
 * repeats, so that a worker plays tones as it plays files. Levels: -13 dBm0 for each frequency, where 0 dBm0 is 3.14 dB
 * below a full-scale sine.
 */
#include "tones.h"
#include "sound.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AMPLITUDE 5110.0 /* 32768 * 10^(-16.14 / 20) */
#define RAMP_MS 2        /* without it each beginning is a click */

#define STEADY_MS 1000 /* every whole frequency then ends where it began */
#define MOST_HZ 3600
#define MOST_MS 60000
#define DEPTH 0.9 /* of a swing */

static const struct pbx_list *own_rows;

/* ---- cadences ---- */

/* A number up to most, and *at behind it; 0: there is none. */
static uint16_t take_number(const char **at, uint16_t most)
{
	char *end;
	unsigned long number = **at >= '0' && **at <= '9' ? strtoul(*at, &end, 10) : 0;

	if (number == 0 || number > most)
		return 0;
	*at = end;
	return (uint16_t)number;
}

/* "0", "425", "350+440" or "400*25". */
static bool take_sound(const char **at, struct rtp_tone_step *step)
{
	if (**at == '0') {
		(*at)++;
		return true;
	}
	step->first_hz = take_number(at, MOST_HZ);
	char joint = **at;

	if (step->first_hz == 0 || (joint != '+' && joint != '*'))
		return step->first_hz != 0;
	(*at)++;
	uint16_t second = take_number(at, MOST_HZ);

	if (joint == '+')
		step->second_hz = second;
	else
		step->swings_hz = second;
	return second != 0;
}

static bool parse(const char *cadence, struct rtp_tone *ret_tone)
{
	struct rtp_tone tone = { .ends = *cadence == '!' };
	const char *at = cadence + tone.ends;

	for (uint32_t count = 0; count < RTP_TONE_STEPS && *at; count++) {
		struct rtp_tone_step *step = &tone.steps[count];
		bool is_good = take_sound(&at, step);

		if (is_good && *at == '/' && at++)
			step->ms = take_number(&at, MOST_MS);
		else if (count == 0 && *at == '\0' && step->first_hz && !tone.ends)
			step->ms = STEADY_MS;
		if (!is_good || step->ms == 0 || (*at && *at != ' '))
			return false;
		at += strspn(at, " ");
	}
	*ret_tone = tone;
	return tone.steps[0].ms && !*at;
}

/* ---- rows ---- */

#define WORD 16u

/* A row of the settings, taken apart into buffers of WORD; cadence is the rest. */
static bool split(const char *row, char country[WORD], char name[WORD], const char **ret_cadence)
{
	int end = 0;

	if (sscanf(row, "%15s %15s %n", country, name, &end) != 2 || end == 0)
		return false;
	*ret_cadence = row + end;
	return true;
}

static bool is_of(const char *country, const char *wanted)
{
	return country[0] == '\0' || strcmp(country, strcmp(wanted, "gb") == 0 ? "uk" : wanted) == 0;
}

/* The cadence of row `at` of this name; name NULL: of any that only this country has. */
static const char *find(const struct pbx_list *own, const char *country, const char *name, size_t at)
{
	char their_country[WORD], their_name[WORD];
	const char *cadence;

	for (uint32_t i = 0; own && i < own->count; i++)
		if (split(own->items[i], their_country, their_name, &cadence) && is_of(their_country, country) &&
		    (!name || strcmp(their_name, name) == 0) && at-- == 0)
			return cadence;
	for (const struct rtp_tone_row *row = rtp_tone_rows; row < rtp_tone_rows + rtp_tone_row_count; row++)
		if (is_of(row->country, country) && (name ? strcmp(row->name, name) == 0 : row->country[0]) && at-- == 0)
			return row->cadence;
	return NULL;
}

void rtp_tones_use(const struct pbx_list *own)
{
	own_rows = own;
}

int rtp_tones_check(const struct pbx_list *own, const char *country, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < own->count; i++) {
		char their_country[WORD], name[WORD];
		const char *cadence;
		struct rtp_tone tone;

		if (split(own->items[i], their_country, name, &cadence) && strlen(their_country) == 2 && parse(cadence, &tone))
			continue;
		pbx_diag_set(diag, "tones",
			     "'%.60s' is no tone: COUNTRY NAME CADENCE, as in \"ie busy 425/500 0/500\" (Hz, for milliseconds)",
			     own->items[i]);
		return PBX_EINVAL;
	}
	if (find(own, country, NULL, 0))
		return PBX_OK;
	pbx_diag_set(diag, "country", "no tones are known for '%s': add them to media.tones", country);
	return PBX_EINVAL;
}

bool rtp_tones_has(const char *country)
{
	return find(own_rows, country, NULL, 0) != NULL;
}

const char *rtp_tone_cadence(const char *country, const char *name)
{
	return find(own_rows, country, name, 0);
}

bool rtp_tone_at(const char *country, const char *name, size_t at, struct rtp_tone *ret_tone)
{
	const char *cadence = find(own_rows, country, name, at);

	return cadence && parse(cadence, ret_tone);
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
	if (step->swings_hz) /* as much power as without */
		value *= (1 + DEPTH * cos(phase * step->swings_hz)) / sqrt(1 + DEPTH * DEPTH / 2);
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

int rtp_tone_render(const char *cadence, struct rtp_sound_block **ret_first, bool *ret_repeats)
{
	struct rtp_tone tone;

	if (!parse(cadence, &tone))
		return PBX_EINVAL;
	struct rtp_sound_block *last = *ret_first = rtp_sound_block_new();
	int err = last ? PBX_OK : PBX_ENOMEM;

	*ret_repeats = !tone.ends;
	for (const struct rtp_tone_step *step = tone.steps; step < tone.steps + RTP_TONE_STEPS && step->ms; step++) {
		uint32_t count = step->ms * RTP_NARROW_HZ / 1000;

		for (uint32_t at = 0; err == PBX_OK && at < count; at++)
			err = add_samples(&last, sample_at(&tone, step, RTP_NARROW_HZ, at, count),
					  sample_at(&tone, step, RTP_SOUND_HZ, 2 * at, 2 * count),
					  sample_at(&tone, step, RTP_SOUND_HZ, 2 * at + 1, 2 * count));
	}
	return err;
}
