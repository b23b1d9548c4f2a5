/* tests/rtp/test_voice.c - holes, shorter and longer frames, comfort noise: measured where they meet what was said */
#include "../check_main.h"
#include <math.h>
#include <rtp/comfort.h>
#include <rtp/voice.h>
#include <string.h>

#define MOST_SAMPLES 480000
#define FRAME_MS 20u

static const uint32_t rates[] = { 8000, 16000, 24000, 32000, 48000 };

/* 440 Hz at -10 dBFS. */
static int16_t tone_at(uint32_t rate_hz, uint32_t at)
{
	return (int16_t)lrint(14654 * sin(2 * M_PI * 440 * at / rate_hz));
}

/* A voice of 110 Hz that rises by a third in a second and falls again. */
static int16_t voice_at(uint32_t rate_hz, uint32_t at)
{
	double seconds = (double)at / rate_hz, phase = 2 * M_PI * (110 * seconds - 18 * cos(2 * M_PI * seconds) / (2 * M_PI)), sum = 0;

	for (int i = 1; i <= 20; i++)
		sum += sin(i * phase) * exp(-pow((i - 5) / 4.0, 2));
	return (int16_t)lrint(4000 * sum);
}

static double rms_of(const int16_t *samples, uint32_t count)
{
	double sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += (double)samples[i] * samples[i];
	return sqrt(sum / count);
}

static double dbfs_of(const int16_t *samples, uint32_t count)
{
	return 20 * log10(rms_of(samples, count) / 32768 * M_SQRT2 + 1e-9);
}

/* The steepest step from one sample to the next: a click is one that the sound itself does not make. */
static int32_t steepest(const int16_t *samples, uint32_t count)
{
	int32_t most = 0;

	for (uint32_t i = 1; i < count; i++)
		most = abs(samples[i] - samples[i - 1]) > most ? abs(samples[i] - samples[i - 1]) : most;
	return most;
}

static uint32_t next_chance(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static int16_t *sound_of(uint32_t rate_hz, uint32_t count, int16_t (*at)(uint32_t rate_hz, uint32_t at))
{
	int16_t *samples = calloc(count, sizeof *samples);

	ck_assert_ptr_nonnull(samples);
	for (uint32_t i = 0; i < count; i++)
		samples[i] = at(rate_hz, i);
	return samples;
}

/* One frame in twenty is lost. */
static void lose(uint32_t rate_hz, int16_t *samples, uint32_t count)
{
	struct rtp_voice voice;
	uint32_t frame = rate_hz / 1000 * FRAME_MS, seed = 7;

	rtp_voice_init(&voice, rate_hz);
	for (uint32_t at = 0; at + frame <= count; at += frame) {
		if (at > 5 * frame && next_chance(&seed) % 20 == 0)
			rtp_voice_conceal(&voice, samples + at, frame);
		else
			rtp_voice_hear(&voice, samples + at, frame);
	}
}

START_TEST(a_tone_with_holes_neither_clicks_nor_fades)
{
	uint32_t rate_hz = rates[_i], count = rate_hz * 10;
	int16_t *samples = sound_of(rate_hz, count, tone_at);
	int32_t steepest_before = steepest(samples, count);

	lose(rate_hz, samples, count);
	ck_assert_int_le(steepest(samples, count), steepest_before + steepest_before / 4 + 100);
	for (uint32_t at = 0; at + rate_hz / 10 <= count; at += rate_hz / 10)
		ck_assert_double_gt(dbfs_of(samples + at, rate_hz / 10), -12);
	free(samples);
}
END_TEST

START_TEST(a_voice_with_holes_stays_what_it_was)
{
	uint32_t rate_hz = rates[_i], count = rate_hz * 10;
	int16_t *said = sound_of(rate_hz, count, voice_at), *heard = sound_of(rate_hz, count, voice_at);
	uint32_t frame = rate_hz / 1000 * FRAME_MS;

	lose(rate_hz, heard, count);
	for (uint32_t at = 0; at + frame <= count; at += frame) /* what is repeated is as loud as what was said */
		ck_assert_double_eq_tol(dbfs_of(heard + at, frame), dbfs_of(said + at, frame), 3);
	ck_assert_int_le(steepest(heard, count), steepest(said, count) * 3 / 2);
	free(said);
	free(heard);
}
END_TEST

START_TEST(a_long_hole_is_silent_after_60_ms)
{
	uint32_t rate_hz = rates[_i], frame = rate_hz / 1000 * FRAME_MS;
	int16_t *samples = sound_of(rate_hz, 20 * frame, tone_at);
	struct rtp_voice voice;

	rtp_voice_init(&voice, rate_hz);
	for (uint32_t i = 0; i < 10; i++)
		rtp_voice_hear(&voice, samples + i * frame, frame);
	for (uint32_t i = 10; i < 20; i++)
		rtp_voice_conceal(&voice, samples + i * frame, frame);
	ck_assert_double_gt(dbfs_of(samples + 10 * frame, frame), -12);
	ck_assert_double_gt(dbfs_of(samples + 11 * frame, frame), -17);
	ck_assert_double_eq(rms_of(samples + 13 * frame, 7 * frame), 0);
	ck_assert_int_le(steepest(samples, 20 * frame), steepest(samples, 10 * frame) * 5 / 4 + 100);
	for (uint32_t i = 0; i < frame; i++)
		samples[i] = tone_at(rate_hz, i + rate_hz / 1760); /* in the middle of a swing */
	rtp_voice_hear(&voice, samples, frame);
	ck_assert_int_lt(abs(samples[0]), 1000);
	free(samples);
}
END_TEST

START_TEST(who_has_heard_nothing_conceals_with_silence)
{
	int16_t samples[160];
	struct rtp_voice voice;

	memset(samples, 77, sizeof samples);
	rtp_voice_init(&voice, 8000);
	rtp_voice_conceal(&voice, samples, 160);
	ck_assert_double_eq(rms_of(samples, 160), 0);
}
END_TEST

/* Every frame through one of the two; what comes out, one after the other. */
static uint32_t stretch(uint32_t rate_hz, const int16_t *samples, uint32_t count, bool longer, int16_t *ret_samples)
{
	struct rtp_voice voice;
	uint32_t frame = rate_hz / 1000 * FRAME_MS, done = 0;

	rtp_voice_init(&voice, rate_hz);
	for (uint32_t at = 0; at + frame <= count; at += frame) {
		memcpy(ret_samples + done, samples + at, frame * sizeof *samples);
		uint32_t now = longer ? rtp_voice_lengthen(&voice, ret_samples + done, frame, frame / 2)
				      : rtp_voice_shorten(&voice, ret_samples + done, frame, frame / 2);

		ck_assert_uint_le(now, frame + frame / 2);
		ck_assert_uint_ge(now, frame / 2);
		rtp_voice_hear(&voice, ret_samples + done, now);
		done += now;
	}
	return done;
}

START_TEST(shorter_and_longer_frames_do_not_click)
{
	uint32_t rate_hz = rates[_i], count = rate_hz * 2;
	int16_t *samples = sound_of(rate_hz, count, tone_at), *heard = calloc(2 * count, sizeof *heard);
	uint32_t shorter = stretch(rate_hz, samples, count, false, heard);

	ck_assert_uint_lt(shorter, count * 9 / 10);
	ck_assert_int_le(steepest(heard, shorter), steepest(samples, count) * 11 / 10 + 50);
	ck_assert_double_eq_tol(dbfs_of(heard, shorter), dbfs_of(samples, count), 0.3);
	uint32_t longer = stretch(rate_hz, samples, count, true, heard);

	ck_assert_uint_gt(longer, count * 11 / 10);
	ck_assert_int_le(steepest(heard, longer), steepest(samples, count) * 11 / 10 + 50);
	ck_assert_double_eq_tol(dbfs_of(heard, longer), dbfs_of(samples, count), 0.3);
	free(samples);
	free(heard);
}
END_TEST

static int16_t hiss_at(uint32_t rate_hz, uint32_t at)
{
	static uint32_t seed;

	seed = at == 0 ? rate_hz : seed;
	return (int16_t)(next_chance(&seed) % 8000 - 4000);
}

START_TEST(what_has_no_period_is_left_alone_and_silence_is_not)
{
	static int16_t heard[80000];
	int16_t *samples = sound_of(8000, 8000, hiss_at);

	ck_assert_uint_eq(stretch(8000, samples, 8000, false, heard), 8000);
	memset(samples, 0, 8000 * sizeof *samples);
	ck_assert_uint_eq(stretch(8000, samples, 8000, false, heard), 4000);
	ck_assert_uint_eq(stretch(8000, samples, 8000, true, heard), 12000);
	free(samples);
}
END_TEST

/* ---- comfort noise ---- */

START_TEST(noise_is_as_loud_as_was_told)
{
	static int16_t samples[16000];

	for (uint32_t level = 30; level <= 70; level += 10) {
		struct rtp_comfort comfort;
		uint8_t payload[] = { (uint8_t)level, 200, 90, 140 };

		rtp_comfort_init(&comfort);
		rtp_comfort_read(&comfort, payload, sizeof payload);
		rtp_comfort_make(&comfort, samples, 16000);
		ck_assert_double_lt(rms_of(samples, 80), rms_of(samples + 8000, 8000)); /* it begins softly */
		ck_assert_double_eq_tol(20 * log10(rms_of(samples + 8000, 8000) / 32768), -(double)level, 1.5);
	}
}
END_TEST

/* Energy below and above 1 kHz at 8 kHz, in dB: what a first-order difference and sum tell. */
static double brightness(const int16_t *samples, uint32_t count)
{
	double low = 1, high = 1;

	for (uint32_t i = 1; i < count; i++) {
		low += pow(samples[i] + samples[i - 1], 2);
		high += pow(samples[i] - samples[i - 1], 2);
	}
	return 10 * log10(high / low);
}

START_TEST(noise_sounds_like_the_noise_that_was_described)
{
	static int16_t said[16000], heard[16000];
	uint8_t payload[RTP_COMFORT_MOST_BYTES];
	struct rtp_comfort comfort;
	uint32_t seed = 3;
	double memory = 0;

	for (uint32_t i = 0; i < 16000; i++) { /* rumble, as of a fan */
		memory = 0.85 * memory + ((double)(next_chance(&seed) % 2001) - 1000) * 0.2;
		said[i] = (int16_t)memory;
	}
	ck_assert_uint_eq(rtp_comfort_describe(said, 1600, payload), RTP_COMFORT_MOST_BYTES);
	rtp_comfort_init(&comfort);
	rtp_comfort_read(&comfort, payload, sizeof payload);
	rtp_comfort_make(&comfort, heard, 16000);
	rtp_comfort_make(&comfort, heard, 16000);
	ck_assert_double_eq_tol(dbfs_of(heard, 16000), dbfs_of(said, 16000), 1.5);
	ck_assert_double_eq_tol(brightness(heard, 16000), brightness(said, 16000), 1.5);
}
END_TEST

START_TEST(a_payload_of_any_bytes_makes_no_roar)
{
	static int16_t samples[8000];
	uint32_t seed = 9;

	for (int n = 0; n < 200; n++) {
		struct rtp_comfort comfort;
		uint8_t payload[40];

		for (uint32_t i = 0; i < sizeof payload; i++)
			payload[i] = (uint8_t)next_chance(&seed);
		payload[0] = 40;
		rtp_comfort_init(&comfort);
		rtp_comfort_read(&comfort, payload, next_chance(&seed) % sizeof payload);
		rtp_comfort_make(&comfort, samples, 8000);
		ck_assert_double_lt(dbfs_of(samples, 8000), -25);
	}
}
END_TEST

START_TEST(speech_is_told_from_the_noise_behind_it)
{
	struct rtp_quiet quiet;
	int16_t frame[160];
	uint32_t seed = 5, wrong = 0, at = 0;

	rtp_quiet_init(&quiet, 8000);
	for (uint32_t n = 0; n < 500; n++) { /* two seconds of noise at -50 dBFS, two of a voice over it */
		bool speaks = n / 100 % 2;

		for (uint32_t i = 0; i < 160; i++, at++)
			frame[i] = (int16_t)((int32_t)(next_chance(&seed) % 200) - 100 + (speaks ? voice_at(8000, at) / 2 : 0));
		bool heard = rtp_quiet_note(&quiet, frame, 160);

		if (n >= 50 && n % 100 >= 12) /* a word ends softly: 200 ms of grace */
			wrong += heard != speaks;
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(a_sender_that_falls_silent_says_how_it_sounds)
{
	struct rtp_hush hush;
	int16_t frame[160];
	uint8_t payload[RTP_COMFORT_MOST_BYTES];
	uint32_t seed = 5, at = 0, told[5] = { 0 }, sent[5] = { 0 };

	rtp_hush_init(&hush, 8000);
	for (uint32_t n = 0; n < 500;
	     n++) { /* two seconds of noise at -50 dBFS, two of a voice over it, twice; then a soft tone, steady and meant */
		uint32_t part = n / 100;
		bool speaks = part % 2;

		for (uint32_t i = 0; i < 160; i++, at++)
			frame[i] = part == 4 ? (int16_t)(600 * sin(2 * M_PI * 440 * at / 8000))
					     : (int16_t)((int32_t)(next_chance(&seed) % 200) - 100 + (speaks ? voice_at(8000, at) / 2 : 0));
		uint32_t what = rtp_hush_note(&hush, frame, 160);

		told[part] += what == RTP_HUSH_TELL;
		sent[part] += what == RTP_HUSH_SPEECH;
		if (what != RTP_HUSH_TELL || n < 50)
			continue;
		ck_assert_uint_eq(rtp_comfort_describe(frame, 160, payload), RTP_COMFORT_MOST_BYTES);
		ck_assert_double_eq_tol(payload[0], 55, 2); /* evenly between -100 and 100: 58 in 32768 */
	}
	for (uint32_t part = 0; part < 4; part += 2) {
		ck_assert_uint_ge(told[part], 2); /* when it begins, and each second */
		ck_assert_uint_le(told[part], 4);
		ck_assert_uint_le(sent[part], 12);
	}
	ck_assert_uint_eq(sent[1] + sent[3] + sent[4], 300);
}
END_TEST

int main(void)
{
	const TTest *const at_each_rate[] = { a_tone_with_holes_neither_clicks_nor_fades, a_voice_with_holes_stays_what_it_was,
					      a_long_hole_is_silent_after_60_ms, shorter_and_longer_frames_do_not_click };
	const TTest *const once[] = { who_has_heard_nothing_conceals_with_silence,
				      what_has_no_period_is_left_alone_and_silence_is_not,
				      noise_is_as_loud_as_was_told,
				      noise_sounds_like_the_noise_that_was_described,
				      a_payload_of_any_bytes_makes_no_roar,
				      speech_is_told_from_the_noise_behind_it,
				      a_sender_that_falls_silent_says_how_it_sounds };
	Suite *suite = suite_create("voice");
	TCase *all = tcase_create("voice");

	for (size_t i = 0; i < sizeof at_each_rate / sizeof at_each_rate[0]; i++)
		tcase_add_loop_test(all, at_each_rate[i], 0, sizeof rates / sizeof rates[0]);
	for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
		tcase_add_test(all, once[i]);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	return check_run(suite);
}
