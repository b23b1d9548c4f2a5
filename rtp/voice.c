/*
 * voice - what is done with the periods of a voice
 *
 * The period is found where a piece of sound resembles most what came before it (normalised correlation), at 8 kHz first, whatever
 * the rate, and then exactly around there. Fades are straight lines over a quarter of a period or a few milliseconds. spandsp's
 * concealment is for 8 kHz only; there ours is as good (CONTRIBUTING.md).
 */
#include "voice.h"
#include "rms.h"

#include <math.h>
#include <string.h>

#define COARSE_HZ 8000u
#define LEAST_PERIOD_US 5000u /* 200 Hz and its fractions: shorter ones sound like a buzzer */
#define MOST_PERIOD_US 15000u /* 67 Hz */
#define COMPARED_US 20000u    /* how much is compared to find the period of a hole */
#define LEAST_CUT_US 2500u    /* periods that are left out or put in may be shorter */
#define FADE_FROM_MS 10u      /* of a hole: as loud as before until here, then less */
#define JOIN_LEAST_MS 4u      /* how long what comes after a hole is faded in */
#define JOIN_MOST_MS 10u
#define ALIKE 0.85f      /* pieces that resemble each other so much may change places */
#define SILENT_RMS 60.0f /* about -55 dBFS: there it does not matter */

static uint32_t samples_of_us(const struct rtp_voice *voice, uint32_t us)
{
	return (uint32_t)((uint64_t)voice->rate_hz * us / 1000000);
}

static uint32_t samples_of_ms(const struct rtp_voice *voice, uint32_t ms)
{
	return voice->rate_hz / 1000 * ms;
}

static int16_t rounded(float value)
{
	return (int16_t)lrintf(value < -32768 ? -32768 : value > 32767 ? 32767 : value);
}

static int16_t mixed(int16_t a, int16_t b, float of_b)
{
	return rounded((float)a * (1 - of_b) + (float)b * of_b);
}

void rtp_voice_init(struct rtp_voice *voice, uint32_t rate_hz)
{
	voice->rate_hz = rate_hz;
	voice->history_count = voice->concealed = voice->period = voice->period_at = 0;
}

/* ---- likeness ---- */

/* How much two pieces resemble each other, looking at every step-th sample: 1 is the same but for loudness. */
static float likeness(const int16_t *a, const int16_t *b, uint32_t count, uint32_t step)
{
	float product = 0, of_a = 1, of_b = 1;

	for (uint32_t i = 0; i < count; i += step) {
		float x = a[i], y = b[i];

		product += x * y;
		of_a += x * x;
		of_b += y * y;
	}
	return product / sqrtf(of_a * of_b);
}

/* How much two pieces that lie `lag` apart resemble each other. */
typedef float (*like_fn)(const int16_t *at, uint32_t count, uint32_t lag, uint32_t step);

/* The last `count` samples before `end`, and what came a lag before them. */
static float like_before(const int16_t *end, uint32_t count, uint32_t lag, uint32_t step)
{
	return likeness(end - count, end - count - lag, count, step);
}

/* The first `lag` samples, and what comes then. */
static float like_behind(const int16_t *begin, uint32_t count, uint32_t lag, uint32_t step)
{
	(void)count;
	return likeness(begin, begin + lag, lag, step);
}

/* The lag with the greatest likeness. */
static uint32_t best_lag(const int16_t *at, uint32_t count, uint32_t least, uint32_t most, uint32_t step, like_fn like, float *ret_like)
{
	uint32_t best = least, from, to;
	float best_like = -2;

	for (uint32_t lag = least; lag <= most; lag += step) {
		float now = like(at, count, lag, step);

		if (now > best_like) {
			best_like = now;
			best = lag;
		}
	}
	from = best > least + step ? best - step : least;
	to = best + step < most ? best + step : most;
	for (uint32_t lag = from; step > 1 && lag <= to; lag++) {
		float now = like(at, count, lag, 2);

		if (now > best_like) {
			best_like = now;
			best = lag;
		}
	}
	*ret_like = best_like;
	return best;
}

static uint32_t coarse_step(const struct rtp_voice *voice)
{
	return voice->rate_hz > COARSE_HZ ? voice->rate_hz / COARSE_HZ : 1;
}

/* ---- what was heard ---- */

void rtp_voice_note(struct rtp_voice *voice, const int16_t *samples, uint32_t count)
{
	uint32_t room = samples_of_ms(voice, RTP_VOICE_HISTORY_MS), keep;

	if (count >= room) {
		memcpy(voice->history, samples + count - room, room * sizeof *samples);
		voice->history_count = room;
		return;
	}
	keep = voice->history_count + count > room ? room - count : voice->history_count;
	memmove(voice->history, voice->history + voice->history_count - keep, keep * sizeof *samples);
	memcpy(voice->history + keep, samples, count * sizeof *samples);
	voice->history_count = keep + count;
}

/* ---- holes ---- */

/* The last period, made so that its end leads to its beginning. */
static void take_period(struct rtp_voice *voice)
{
	uint32_t count = voice->history_count, least = samples_of_us(voice, LEAST_PERIOD_US);
	uint32_t most = samples_of_us(voice, MOST_PERIOD_US), compared = samples_of_us(voice, COMPARED_US);
	const int16_t *end = voice->history + count;
	float like;

	voice->period = voice->period_at = 0;
	if (count < most + compared)
		return; /* too little was heard: the hole is silent */
	uint32_t period = best_lag(end, compared, least, most, coarse_step(voice), like_before, &like);
	uint32_t quarter = period / 4;

	memcpy(voice->one_period, end - period, period * sizeof *end);
	for (uint32_t i = 0; i < quarter; i++)
		voice->one_period[period - quarter + i] =
			mixed(end[(int32_t)i - (int32_t)quarter], end[(int32_t)i - (int32_t)quarter - (int32_t)period],
			      (float)(i + 1) / (float)(quarter + 1));
	voice->period = period;
}

static int16_t next_of_period(struct rtp_voice *voice)
{
	if (voice->period == 0)
		return 0;
	int16_t sample = voice->one_period[voice->period_at++];

	if (voice->period_at == voice->period)
		voice->period_at = 0;
	return sample;
}

/* How loud the hole's sample number `at` is. */
static float loudness_at(const struct rtp_voice *voice, uint32_t at)
{
	uint32_t from = samples_of_ms(voice, FADE_FROM_MS), to = samples_of_ms(voice, RTP_VOICE_FADED_MS);

	if (at <= from)
		return 1;
	return at >= to ? 0 : (float)(to - at) / (float)(to - from);
}

static int16_t next_of_hole(struct rtp_voice *voice)
{
	float loudness = loudness_at(voice, voice->concealed++);

	return loudness <= 0 ? 0 : rounded((float)next_of_period(voice) * loudness);
}

void rtp_voice_conceal(struct rtp_voice *voice, int16_t *ret_samples, uint32_t count)
{
	uint32_t quarter = 0, begins = voice->concealed == 0 ? voice->history_count : 0;

	if (voice->concealed == 0) {
		take_period(voice);
		quarter = voice->period / 4 < count ? voice->period / 4 : count;
	}
	for (uint32_t i = 0; i < count; i++)
		ret_samples[i] = next_of_hole(voice);
	/* From the last sample that was heard on, backwards, until the period has taken over. */
	for (uint32_t i = 0; i < quarter && i < begins; i++)
		ret_samples[i] = mixed(voice->history[begins - 1 - i], ret_samples[i], (float)(i + 1) / (float)(quarter + 1));
	rtp_voice_note(voice, ret_samples, count);
}

void rtp_voice_hear(struct rtp_voice *voice, int16_t *samples, uint32_t count)
{
	if (voice->concealed > 0) {
		uint32_t join = samples_of_ms(voice, JOIN_LEAST_MS) + voice->concealed / 4, most = samples_of_ms(voice, JOIN_MOST_MS);

		join = join > most ? most : join;
		join = join > count ? count : join;
		for (uint32_t i = 0; i < join; i++)
			samples[i] = mixed(next_of_hole(voice), samples[i], (float)(i + 1) / (float)(join + 1));
		voice->concealed = 0;
	}
	rtp_voice_note(voice, samples, count);
}

/* ---- shorter and longer ---- */

/* The piece to leave out or put in at the beginning of a frame. 0: there is none that would not be heard. */
static uint32_t piece(const struct rtp_voice *voice, const int16_t *samples, uint32_t count, uint32_t most)
{
	uint32_t least = samples_of_us(voice, LEAST_CUT_US);
	float like;

	if (most > count / 2)
		most = count / 2;
	if (most < least)
		return 0;
	if (rtp_rms(samples, count) < SILENT_RMS)
		return most;
	uint32_t lag = best_lag(samples, count, least, most, coarse_step(voice), like_behind, &like);

	return like >= ALIKE ? lag : 0;
}

uint32_t rtp_voice_shorten(struct rtp_voice *voice, int16_t *samples, uint32_t count, uint32_t most)
{
	uint32_t lag = piece(voice, samples, count, most);

	for (uint32_t i = 0; i < lag; i++)
		samples[i] = mixed(samples[i], samples[lag + i], (float)(i + 1) / (float)(lag + 1));
	if (lag > 0)
		memmove(samples + lag, samples + lag + lag, (count - lag - lag) * sizeof *samples);
	return count - lag;
}

uint32_t rtp_voice_lengthen(struct rtp_voice *voice, int16_t *samples, uint32_t count, uint32_t most)
{
	uint32_t lag = piece(voice, samples, count, most);

	if (lag == 0)
		return count;
	memmove(samples + lag + lag, samples + lag, (count - lag) * sizeof *samples);
	for (uint32_t i = 0; i < lag; i++) /* from the second period back to the first */
		samples[lag + i] = mixed(samples[lag + lag + i], samples[i], (float)(i + 1) / (float)(lag + 1));
	return count + lag;
}
