/* test_audio_processing.c - the real plugin at a leg of the fake PBX: what speech, noise and echo are like before and behind it */
#include "../../tests/check_main.h"
#include "fake.h"
#include "sound.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RATE 16000u
#define FRAME 320u /* 20 ms */
#define SECONDS 20u
#define COUNT (RATE * SECONDS)
#define PLUGIN_DELAY 160u /* the preprocessor overlaps frames of 10 ms */

static int16_t speech[COUNT], noise[COUNT], mixed[COUNT], heard[COUNT];

/* A call of 1001 to 1002, both talking. */
struct talk {
	struct fake_pbx *pbx;
	pbx_leg alice, bob;
	const char *alice_id;
};

static struct talk talk_with(const char *yaml)
{
	struct talk talk = { .pbx = fake_pbx_with_settings("audio_processing", yaml) };

	fake_registered(talk.pbx, "1002");
	talk.alice = fake_dial(talk.pbx, "1001", "1002");
	talk.bob = fake_leg(talk.pbx, "1002");
	fake_answer(talk.pbx, talk.bob);
	talk.alice_id = fake_json(talk.pbx, fake_events(talk.pbx, "leg.answered"), "1.data.leg_id");
	return talk;
}

/* For alice alone. */
#define AT_ALICE(options) "audio_processing:\n  processing:\n    - {legs: \"1001\", " options "}\n"

static void say_all(struct talk *talk, const int16_t *samples, uint32_t count)
{
	memcpy(heard, samples, count * sizeof *samples);
	for (uint32_t at = 0; at + FRAME <= count; at += FRAME)
		fake_say(talk->pbx, talk->alice, RATE, heard + at, FRAME);
}

static const char *show(struct talk *talk)
{
	char path[128];

	(void)snprintf(path, sizeof path, "/media/legs/%s/audio", talk->alice_id);
	return fake_http(talk->pbx, "GET", path, NULL);
}

static const char *set(struct talk *talk, const char *body)
{
	char path[128];

	(void)snprintf(path, sizeof path, "/media/legs/%s/audio", talk->alice_id);
	return fake_http(talk->pbx, "PUT", path, body);
}

static double shown(struct talk *talk, const char *what)
{
	const char *value = fake_json(talk->pbx, show(talk), what);

	return value ? atof(value) : NAN;
}

static void add(int16_t *ret_sum, const int16_t *a, const int16_t *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		int32_t sum = a[i] + b[i];

		ret_sum[i] = (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
	}
}

static void amplify(int16_t *samples, uint32_t count, double db)
{
	for (uint32_t i = 0; i < count; i++)
		samples[i] = (int16_t)lrint(samples[i] * pow(10, db / 20));
}

/* RMS over all, in dB of full scale. */
static double rms_dbfs(const int16_t *samples, uint32_t count)
{
	double sum = 1e-6;

	for (uint32_t i = 0; i < count; i++)
		sum += (double)samples[i] * samples[i];
	return 10 * log10(sum / count / 32768 / 32768);
}

/* Mean over frames of 10 ms in which something is said of what it is above all else, each between -10 and 35 dB. */
static double segmental_snr(const int16_t *clean, const int16_t *got, uint32_t count)
{
	double sum = 0;
	uint32_t frames = 0, frame = RATE / 100;

	for (uint32_t at = 0; at + frame <= count; at += frame) {
		double signal = 1, rest = 1;

		for (uint32_t i = at; i < at + frame; i++) {
			signal += (double)clean[i] * clean[i];
			rest += (double)(got[i] - clean[i]) * (got[i] - clean[i]);
		}
		if (10 * log10(signal / frame) < 90.3 - 60)
			continue;
		sum += fmax(-10, fmin(35, 10 * log10(signal / rest)));
		frames++;
	}
	return sum / frames;
}

/* Power around a frequency, in dB. */
static double power_around(const int16_t *samples, uint32_t count, double around_hz)
{
	double sum = 0;

	for (double hz = around_hz - 1; hz <= around_hz + 1; hz += 0.125) {
		double real = 0, imaginary = 0;

		for (uint32_t i = 0; i < count; i++) {
			real += samples[i] * cos(2 * M_PI * hz * i / RATE);
			imaginary += samples[i] * sin(2 * M_PI * hz * i / RATE);
		}
		sum += (real * real + imaginary * imaginary) / count;
	}
	return 10 * log10(sum);
}

START_TEST(noise_is_lowered_and_speech_is_not)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 30, agc: false"));

	sound_speech(speech, COUNT, RATE);
	sound_noise(noise, COUNT, 0);
	amplify(noise, COUNT, rms_dbfs(speech, COUNT) - 10 - rms_dbfs(noise, COUNT));
	add(mixed, speech, noise, COUNT);
	say_all(&talk, mixed, COUNT);
	const uint32_t from = 4 * RATE, count = COUNT - from - RATE;
	double before = segmental_snr(speech + from, mixed + from, count);
	double after = segmental_snr(speech + from, heard + from + PLUGIN_DELAY, count);

	ck_assert_double_ge(after - before, 7.5); /* the library's best at its most: README.md */
	ck_assert_double_eq_tol(rms_dbfs(heard + from, count), rms_dbfs(speech + from, count), 2);
	say_all(&talk, noise, COUNT);
	ck_assert_double_le(rms_dbfs(heard + from, count), rms_dbfs(noise + from, count) - 15);
	for (double hz = 50; hz <= 100; hz += 50) /* no line at the rate of frames */
		ck_assert_double_le(power_around(heard + from, count, hz),
				    (power_around(heard + from, count, hz - 12) + power_around(heard + from, count, hz + 12)) / 2 + 3);
	fake_pbx_free(talk.pbx);
}
END_TEST

/* What alice is to hear, and what her microphone gives while it sounds. */
static void speak_and_hear(struct talk *talk, const int16_t *to_her, const int16_t *from_her, uint32_t count)
{
	static int16_t played[COUNT];

	memcpy(played, to_her, count * sizeof *played);
	memcpy(heard, from_her, count * sizeof *heard);
	for (uint32_t at = 0; at + FRAME <= count; at += FRAME) {
		fake_let_hear(talk->pbx, talk->alice, RATE, played + at, FRAME);
		fake_say(talk->pbx, talk->alice, RATE, heard + at, FRAME);
	}
}

START_TEST(an_echo_is_taken_out_and_who_speaks_over_it_is_not)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 0, agc: false, aec: true, aec_tail_ms: 200"));
	static int16_t near[COUNT];
	const uint32_t delay = RATE * 120 / 1000;

	sound_speech(speech, COUNT, RATE);
	for (uint32_t i = delay; i < COUNT; i++) /* -12 dB, 120 ms later */
		mixed[i] = (int16_t)(speech[i - delay] / 4);
	for (uint32_t i = 10 * RATE; i < COUNT; i++) /* then she speaks, too */
		near[i] = speech[i - 10 * RATE + RATE * 3 / 2];
	add(mixed, mixed, near, COUNT);
	speak_and_hear(&talk, speech, mixed, COUNT);
	ck_assert_double_ge(rms_dbfs(mixed + 3 * RATE, 6 * RATE) - rms_dbfs(heard + 3 * RATE, 6 * RATE), 20);
	ck_assert_double_eq_tol(rms_dbfs(heard + 11 * RATE, 8 * RATE), rms_dbfs(near + 11 * RATE, 8 * RATE), 3);
	ck_assert_double_ge(shown(&talk, "erle_db"), 1);
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(speech_of_any_loudness_leaves_at_one)
{
	static const double levels_dbfs[] = { -40, -25, -10 };
	struct talk talk = talk_with(AT_ALICE("denoise_db: 0"));

	sound_speech(speech, COUNT, RATE);
	amplify(speech, COUNT, levels_dbfs[_i] - rms_dbfs(speech, COUNT));
	say_all(&talk, speech, COUNT);
	ck_assert_double_eq_tol(rms_dbfs(heard + 5 * RATE, 5 * RATE), -20, 3);
	ck_assert_double_eq_tol(rms_dbfs(heard + 10 * RATE, 10 * RATE), -20, 3);
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(noise_alone_is_not_raised)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 0"));

	sound_noise(noise, COUNT, 0);
	amplify(noise, COUNT, -55 - rms_dbfs(noise, COUNT));
	say_all(&talk, noise, COUNT);
	ck_assert_double_le(rms_dbfs(heard + 5 * RATE, 15 * RATE), -45);
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(all_three_cost_less_than_a_millisecond_a_frame)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 15, aec: true, aec_tail_ms: 200"));
	struct timespec from, to;

	sound_speech(speech, COUNT, RATE);
	memcpy(mixed, speech, sizeof mixed);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	speak_and_hear(&talk, speech, mixed, COUNT);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	double ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;

	ck_assert_double_lt(ms / (COUNT / FRAME), 1); /* with the sanitizers' share */
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(a_fax_is_left_alone_within_200_ms)
{
	static const double hz[] = { 2100, 1100 };
	static const uint32_t within_ms[] = { 200, 400 };
	struct talk talk = talk_with(AT_ALICE("denoise_db: 30, gain_in_db: 6"));
	const uint32_t silent = RATE, count = 4 * RATE, sounds = silent + RATE * within_ms[_i] / 1000;

	memset(mixed, 0, sizeof mixed);
	sound_tone(mixed + silent, count - silent, RATE, hz[_i], -12);
	say_all(&talk, mixed, count);
	ck_assert_int_eq(memcmp(heard + sounds, mixed + sounds, (count - sounds) * sizeof *heard), 0);
	ck_assert_str_eq(fake_json(talk.pbx, show(&talk), "data"), "true");
	sound_speech(speech, COUNT, RATE);
	say_all(&talk, speech, COUNT);
	ck_assert_int_eq(memcmp(heard, speech, sizeof heard), 0); /* until the call is over */
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(speech_is_no_fax)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 0"));

	sound_speech(speech, COUNT, RATE);
	say_all(&talk, speech, COUNT);
	ck_assert_str_eq(fake_json(talk.pbx, show(&talk), "data"), "false");
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(only_the_legs_that_the_settings_name_are_touched)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 15"));

	ck_assert(fake_is_filtered(talk.pbx, talk.alice));
	ck_assert(!fake_is_filtered(talk.pbx, talk.bob));
	ck_assert_str_eq(fake_json(talk.pbx, show(&talk), "denoise_db"), "15");
	ck_assert_str_eq(fake_json(talk.pbx, show(&talk), "agc"), "true");
	ck_assert_str_eq(fake_json(talk.pbx, fake_command(talk.pbx, "audio list"), "0.leg_id"), talk.alice_id);
	fake_hangup(talk.pbx, talk.alice);
	ck_assert_str_eq(fake_command(talk.pbx, "audio list"), "[]");
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(nothing_is_touched_unless_somebody_says_so)
{
	struct talk talk = talk_with("");

	ck_assert(!fake_is_filtered(talk.pbx, talk.alice));
	ck_assert_str_eq(fake_json(talk.pbx, set(&talk, "{\"gain_in_db\": 6}"), "by_hand"), "true");
	ck_assert(fake_is_filtered(talk.pbx, talk.alice));
	sound_tone(mixed, COUNT, RATE, 440, -20);
	say_all(&talk, mixed, COUNT);
	ck_assert_double_eq_tol(rms_dbfs(heard + RATE, RATE), rms_dbfs(mixed, RATE) + 6, 0.2);
	(void)set(&talk, "{\"muted\": true}");
	say_all(&talk, mixed, RATE);
	ck_assert_double_lt(rms_dbfs(heard + RATE / 10, RATE / 10), -90);
	(void)set(&talk, "{\"muted\": false, \"gain_in_db\": 24}"); /* as loud as can be, and no more */
	say_all(&talk, mixed, RATE);
	for (uint32_t i = 1; i < RATE; i++)
		ck_assert_int_lt(abs(heard[i] - heard[i - 1]), 16000);
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(what_a_party_hears_has_a_gain_of_its_own)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 0, agc: false, gain_out_db: -12"));

	sound_tone(mixed, RATE, RATE, 440, -6);
	memcpy(heard, mixed, RATE * sizeof *heard);
	for (uint32_t at = 0; at + FRAME <= RATE; at += FRAME)
		fake_let_hear(talk.pbx, talk.alice, RATE, heard + at, FRAME);
	ck_assert_double_eq_tol(rms_dbfs(heard + RATE / 2, RATE / 2), rms_dbfs(mixed + RATE / 2, RATE / 2) - 12, 0.2);
	fake_pbx_free(talk.pbx);
}
END_TEST

static int16_t loudest(const int16_t *samples, uint32_t count)
{
	int most = 0;

	for (uint32_t i = 0; i < count; i++)
		most = abs(samples[i]) > most ? abs(samples[i]) : most;
	return (int16_t)most;
}

/* How much of it is that tone, in dB over all else. */
static double purity_db(const int16_t *samples, uint32_t count, double hertz)
{
	double real = 0, imaginary = 0, all = 0;

	for (uint32_t i = 0; i < count; i++) {
		double angle = 2 * M_PI * hertz * i / RATE;

		real += samples[i] * cos(angle);
		imaginary += samples[i] * sin(angle);
		all += (double)samples[i] * samples[i];
	}
	double tone = (real * real + imaginary * imaginary) * 2 / count;

	return 10 * log10(tone / (all - tone));
}

START_TEST(nothing_is_louder_than_its_limit_and_what_is_softer_stays)
{
	struct talk talk = talk_with(AT_ALICE("denoise_db: 0, agc: false, limit_out_dbfs: -20, limit_in_dbfs: -10"));

	sound_tone(mixed, RATE, RATE, 440, -40);
	sound_tone(mixed + RATE, RATE, RATE, 440, -3); /* a shriek, from one sample to the next */
	sound_tone(mixed + 2 * RATE, RATE, RATE, 440, -40);
	memcpy(heard, mixed, 3 * RATE * sizeof *heard);
	for (uint32_t at = 0; at + FRAME <= 3 * RATE; at += FRAME)
		fake_let_hear(talk.pbx, talk.alice, RATE, heard + at, FRAME);
	ck_assert_mem_eq(heard, mixed, RATE * sizeof *heard);
	ck_assert_int_le(loudest(heard + RATE, RATE), 3277);
	ck_assert_double_eq_tol(rms_dbfs(heard + RATE + RATE / 2, RATE / 2), rms_dbfs(mixed + RATE + RATE / 2, RATE / 2) - 17, 0.2);
	ck_assert_double_gt(purity_db(heard + RATE + RATE / 2, RATE / 2, 440), 35);                           /* it is no clipping */
	ck_assert_mem_eq(heard + 2 * RATE + RATE / 2, mixed + 2 * RATE + RATE / 2, RATE / 2 * sizeof *heard); /* and is over soon */
	say_all(&talk, mixed, 3 * RATE);
	ck_assert_int_le(loudest(heard, 3 * RATE), 10362);
	ck_assert_int_ge(loudest(heard, 3 * RATE), 10200);
	(void)set(&talk, "{\"limit_in_dbfs\": 0, \"limit_out_dbfs\": 0}");
	ck_assert_uint_eq(fake_status(talk.pbx), 200);
	say_all(&talk, mixed, 3 * RATE);
	ck_assert_mem_eq(heard, mixed, 3 * RATE * sizeof *heard);
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(wishes_that_cannot_be_are_refused_with_their_reason)
{
	struct talk talk = talk_with("");

	(void)fake_http(talk.pbx, "GET", "/media/legs/nobody-1/audio", NULL);
	ck_assert_uint_eq(fake_status(talk.pbx), 404);
	(void)set(&talk, "{\"gain_in_db\": 25}");
	ck_assert_uint_eq(fake_status(talk.pbx), 400);
	(void)set(&talk, "{\"denoise_db\": 31}");
	ck_assert_uint_eq(fake_status(talk.pbx), 400);
	(void)set(&talk, "{\"limit_out_dbfs\": 1}");
	ck_assert_uint_eq(fake_status(talk.pbx), 400);
	ck_assert(!fake_is_filtered(talk.pbx, talk.alice));
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(silence_is_told_when_somebody_speaks_to_it)
{
	struct talk talk = talk_with("audio_processing:\n  silence_s: 5\n  processing:\n    - {legs: \"1001\"}\n");

	sound_speech(speech, COUNT, RATE);
	memset(mixed, 0, sizeof mixed);
	speak_and_hear(&talk, mixed, mixed, 8 * RATE);
	fake_pass_ms(talk.pbx, 8000);
	ck_assert_uint_eq(fake_event_count(talk.pbx, "media.silence"), 0); /* nobody says anything */
	speak_and_hear(&talk, speech, mixed, 8 * RATE);
	fake_pass_ms(talk.pbx, 8000);
	ck_assert_uint_eq(fake_event_count(talk.pbx, "media.silence"), 1);
	ck_assert_str_eq(fake_json(talk.pbx, fake_event(talk.pbx, "media.silence"), "number"), "1001");
	speak_and_hear(&talk, mixed, speech, 2 * RATE); /* she answers, and falls silent again */
	fake_pass_ms(talk.pbx, 2000);
	speak_and_hear(&talk, speech, mixed, 8 * RATE);
	fake_pass_ms(talk.pbx, 8000);
	ck_assert_uint_eq(fake_event_count(talk.pbx, "media.silence"), 2);
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(an_upgrade_or_its_end_leaves_calls_alone)
{
	struct talk talk = talk_with(AT_ALICE("gain_in_db: 6, agc: false, denoise_db: 0"));

	sound_tone(mixed, RATE, RATE, 440, -20);
	say_all(&talk, mixed, RATE);
	ck_assert_int_eq(fake_reload_plugin(talk.pbx, "audio_processing"), PBX_OK);
	ck_assert(fake_is_filtered(talk.pbx, talk.alice));
	say_all(&talk, mixed, RATE);
	ck_assert_double_eq_tol(rms_dbfs(heard + RATE / 2, RATE / 2), rms_dbfs(mixed + RATE / 2, RATE / 2) + 6, 0.2);
	ck_assert_int_eq(fake_unload_plugin(talk.pbx, "audio_processing"), PBX_OK);
	ck_assert(!fake_is_filtered(talk.pbx, talk.alice));
	ck_assert(fake_talk(talk.pbx, talk.alice, talk.bob));
	fake_pbx_free(talk.pbx);
}
END_TEST

START_TEST(settings_that_change_hold_for_calls_under_way)
{
	struct talk talk = talk_with("");

	ck_assert(!fake_is_filtered(talk.pbx, talk.bob));
	(void)fake_command(talk.pbx, "config set audio_processing.processing '[{\"legs\": \"1002\", \"gain_out_db\": 3}]'");
	ck_assert_uint_eq(fake_status(talk.pbx), 200);
	ck_assert(fake_is_filtered(talk.pbx, talk.bob));
	ck_assert(!fake_is_filtered(talk.pbx, talk.alice));
	(void)fake_command(talk.pbx, "config set audio_processing.processing '[]'");
	ck_assert(!fake_is_filtered(talk.pbx, talk.bob));
	fake_pbx_free(talk.pbx);
}
END_TEST

int main(void)
{
	const TTest *const once[] = { noise_is_lowered_and_speech_is_not,
				      an_echo_is_taken_out_and_who_speaks_over_it_is_not,
				      noise_alone_is_not_raised,
				      all_three_cost_less_than_a_millisecond_a_frame,
				      speech_is_no_fax,
				      only_the_legs_that_the_settings_name_are_touched,
				      nothing_is_touched_unless_somebody_says_so,
				      what_a_party_hears_has_a_gain_of_its_own,
				      nothing_is_louder_than_its_limit_and_what_is_softer_stays,
				      wishes_that_cannot_be_are_refused_with_their_reason,
				      silence_is_told_when_somebody_speaks_to_it,
				      an_upgrade_or_its_end_leaves_calls_alone,
				      settings_that_change_hold_for_calls_under_way };
	Suite *suite = suite_create("audio_processing");
	TCase *all = tcase_create("all");

	for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
		tcase_add_test(all, once[i]);
	tcase_add_loop_test(all, speech_of_any_loudness_leaves_at_one, 0, 3);
	tcase_add_loop_test(all, a_fax_is_left_alone_within_200_ms, 0, 2);
	tcase_set_timeout(all, 120);
	suite_add_tcase(suite, all);
	return check_run(suite);
}
