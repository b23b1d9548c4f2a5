/* tests/rtp/test_mixer.c - who hears whom in a conference, how well, and that nothing clicks: a clock of ticks, tones as voices */
#include "../check_main.h"
#include <math.h>
#include <rtp/mixer.h>
#include <stdlib.h>
#include <string.h>

#define RATE_HZ 8000u
#define TICK 160u
#define MOST_PEOPLE 100
#define SECOND_TICKS 50

/* People who say a tone each, and what they heard: the last second. */
struct room {
	struct rtp_mixer mixer;
	struct rtp_mix_voice voices[MOST_PEOPLE];
	double tone_hz[MOST_PEOPLE], amplitude[MOST_PEOPLE];
	bool is_there[MOST_PEOPLE];
	uint32_t people, took[MOST_PEOPLE], speaker_changes;
	uint64_t at; /* samples since the beginning */
	int16_t heard[MOST_PEOPLE][RATE_HZ];
};

static struct room *room_of(uint32_t people)
{
	struct room *room = calloc(1, sizeof *room);

	ck_assert_ptr_nonnull(room);
	room->people = people;
	for (uint32_t i = 0; i < people; i++) {
		rtp_mix_voice_init(&room->voices[i]);
		room->tone_hz[i] = 440 + 220 * i;
		room->is_there[i] = true;
	}
	return room;
}

static void say(const struct room *room, uint32_t who, int16_t *ret_samples)
{
	for (uint32_t i = 0; i < TICK; i++)
		ret_samples[i] =
			(int16_t)lround(room->amplitude[who] * sin(2 * M_PI * room->tone_hz[who] * (double)(room->at + i) / RATE_HZ));
}

static void tick(struct room *room)
{
	int16_t samples[TICK];

	rtp_mixer_begin(&room->mixer, RATE_HZ, TICK);
	for (uint32_t i = 0; i < room->people; i++) {
		if (!room->is_there[i])
			continue;
		say(room, i, samples);
		rtp_mixer_put(&room->mixer, &room->voices[i], samples);
	}
	room->speaker_changes += rtp_mixer_speaker_changed(&room->mixer);
	for (uint32_t i = 0; i < room->people; i++) {
		memmove(room->heard[i], room->heard[i] + TICK, (RATE_HZ - TICK) * sizeof *room->heard[i]);
		if (room->is_there[i])
			room->took[i] = rtp_mixer_take(&room->mixer, &room->voices[i], room->heard[i] + RATE_HZ - TICK);
	}
	room->at += TICK;
}

static void run(struct room *room, uint32_t ticks)
{
	for (; ticks > 0; ticks--)
		tick(room);
}

static double power_dbfs(const int16_t *samples, uint32_t count, double tone_hz)
{
	double re = 0, im = 0;

	for (uint32_t i = 0; i < count; i++) {
		re += samples[i] * cos(2 * M_PI * tone_hz * i / RATE_HZ);
		im += samples[i] * sin(2 * M_PI * tone_hz * i / RATE_HZ);
	}
	double amplitude = 2 * sqrt(re * re + im * im) / count;

	return 20 * log10(amplitude / 32768 + 1e-9);
}

/* As the acceptance lists have it. */
static bool hears(const struct room *room, uint32_t who, uint32_t whom)
{
	return power_dbfs(room->heard[who], RATE_HZ, room->tone_hz[whom]) > -30;
}

static bool is_deaf_to(const struct room *room, uint32_t who, uint32_t whom)
{
	return power_dbfs(room->heard[who], RATE_HZ, room->tone_hz[whom]) < -70;
}

/* How much of what is heard is not one of the tones: dB below them. */
static double snr_db(const struct room *room, uint32_t who)
{
	double rest[RATE_HZ], signal = 0, noise = 0;

	for (uint32_t i = 0; i < RATE_HZ; i++)
		rest[i] = room->heard[who][i];
	for (uint32_t whom = 0; whom < room->people; whom++) {
		double re = 0, im = 0, w = 2 * M_PI * room->tone_hz[whom] / RATE_HZ;

		for (uint32_t i = 0; i < RATE_HZ; i++) {
			re += rest[i] * cos(w * i);
			im += rest[i] * sin(w * i);
		}
		re *= 2.0 / RATE_HZ;
		im *= 2.0 / RATE_HZ;
		signal += (re * re + im * im) / 2 * RATE_HZ;
		for (uint32_t i = 0; i < RATE_HZ; i++)
			rest[i] -= re * cos(w * i) + im * sin(w * i);
	}
	for (uint32_t i = 0; i < RATE_HZ; i++)
		noise += rest[i] * rest[i];
	return 10 * log10(signal / (noise + 1e-3));
}

/* The sharpest bend of a curve: a click is one that no tone of the room could make. */
static double sharpest(const int16_t *samples, uint32_t count)
{
	double most = 0;

	for (uint32_t i = 2; i < count; i++) {
		double bend = fabs((double)samples[i] - 2.0 * samples[i - 1] + samples[i - 2]);

		most = bend > most ? bend : most;
	}
	return most;
}

/* Of a tone: amplitude times (2 sin(w/2))², and a little for where a slope begins and for rounding. */
static double sharpest_of_tone(double amplitude, double tone_hz)
{
	double w = 2 * sin(M_PI * tone_hz / RATE_HZ);

	return amplitude * w * w * 1.02 + amplitude * 2 * w * RATE_HZ / (RATE_HZ * 0.005 * RATE_HZ) + 4;
}

START_TEST(three_hear_the_two_others_and_not_themselves)
{
	struct room *room = room_of(3);

	for (int i = 0; i < 3; i++)
		room->amplitude[i] = 4000;
	run(room, 2 * SECOND_TICKS);
	for (uint32_t who = 0; who < 3; who++) {
		for (uint32_t whom = 0; whom < 3; whom++)
			ck_assert_msg(who == whom ? is_deaf_to(room, who, whom) : hears(room, who, whom), "%u hears %u wrongly", who, whom);
		ck_assert_double_gt(snr_db(room, who), 75); /* nothing but the rounding of three sines */
	}
	free(room);
}
END_TEST

START_TEST(below_the_knee_a_mix_is_the_exact_sum)
{
	struct room *room = room_of(3);
	int16_t one[TICK], two[TICK];

	for (int i = 0; i < 3; i++)
		room->amplitude[i] = 8000;
	run(room, SECOND_TICKS);
	room->at -= TICK;
	say(room, 1, one);
	say(room, 2, two);
	for (uint32_t i = 0; i < TICK; i++)
		ck_assert_int_eq(room->heard[0][RATE_HZ - TICK + i], one[i] + two[i]);
	free(room);
}
END_TEST

START_TEST(many_loud_voices_are_bent_and_never_wrap)
{
	struct room *room = room_of(20);

	for (int i = 0; i < 20; i++) {
		room->amplitude[i] = 32000;
		room->tone_hz[i] = 300 + 10 * i;
	}
	run(room, 2 * SECOND_TICKS);
	for (uint32_t i = 0; i < RATE_HZ; i++) {
		int32_t sum = 0;
		uint64_t at = room->at - RATE_HZ + i;

		for (int j = 1; j < 20; j++)
			sum += (int16_t)lround(32000 * sin(2 * M_PI * room->tone_hz[j] * (double)at / RATE_HZ));
		ck_assert_int_ne(room->heard[0][i], INT16_MIN);
		ck_assert_int_ne(room->heard[0][i], INT16_MAX); /* peak below 0 dBFS */
		ck_assert_msg((sum < 0) == (room->heard[0][i] < 0) || abs(sum) < 64, "%d became %d", sum, room->heard[0][i]);
	}
	free(room);
}
END_TEST

START_TEST(two_loud_voices_stay_clean)
{
	struct room *room = room_of(3);

	room->amplitude[1] = room->amplitude[2] = 16384; /* -6 dBFS each: together they touch full scale */
	run(room, 2 * SECOND_TICKS);
	ck_assert_double_gt(snr_db(room, 0), 60);
	ck_assert(is_deaf_to(room, 0, 0)); /* 440 is where the two would meet: 2 x 660 - 880 */
	free(room);
}
END_TEST

START_TEST(works_at_every_rate_and_tick)
{
	static const uint32_t rates_hz[] = { 8000, 16000, 32000, 48000 };

	for (uint32_t r = 0; r < 4; r++)
		for (uint32_t tick_ms = 10; tick_ms <= 20; tick_ms += 10) {
			static struct rtp_mixer mixer;
			static struct rtp_mix_voice a, b;
			uint32_t count = rates_hz[r] * tick_ms / 1000;
			int16_t samples[RTP_MIX_MOST_SAMPLES], heard[RTP_MIX_MOST_SAMPLES];

			memset(&mixer, 0, sizeof mixer);
			rtp_mix_voice_init(&a);
			rtp_mix_voice_init(&b);
			for (uint32_t i = 0; i < count; i++)
				samples[i] = i % 2 ? 3000 : -3000;
			for (int i = 0; i < 3; i++) {
				rtp_mixer_begin(&mixer, rates_hz[r], count);
				rtp_mixer_put(&mixer, &a, samples);
				rtp_mixer_put(&mixer, &b, samples);
				ck_assert_uint_eq(rtp_mixer_take(&mixer, &a, heard), RTP_MIX_OWN);
			}
			ck_assert_int_eq(memcmp(samples, heard, count * sizeof *samples), 0);
		}
}
END_TEST

START_TEST(who_is_silent_shares_one_mix)
{
	struct room *room = room_of(100);

	room->amplitude[0] = room->amplitude[1] = 4000;
	for (int i = 2; i < 100; i++)
		room->amplitude[i] = 20; /* -64 dBFS: a quiet office */
	run(room, 2 * SECOND_TICKS);
	ck_assert_uint_eq(room->took[0], RTP_MIX_OWN);
	ck_assert_uint_eq(room->took[1], RTP_MIX_OWN);
	for (int i = 2; i < 100; i++) {
		ck_assert_uint_eq(room->took[i], RTP_MIX_COMMON);
		ck_assert_int_eq(memcmp(room->heard[i] + RATE_HZ - TICK, room->mixer.common, TICK * sizeof(int16_t)), 0);
	}
	ck_assert(hears(room, 99, 0) && hears(room, 99, 1));
	ck_assert_double_gt(snr_db(room, 99), 60); /* the offices are no part of it */
	room->amplitude[0] = room->amplitude[1] = 0;
	run(room, 2 * SECOND_TICKS);
	ck_assert_uint_eq(room->took[50], RTP_MIX_SILENCE);
	free(room);
}
END_TEST

START_TEST(a_gate_keeps_quiet_speech_that_stands_out_and_closes_late)
{
	struct room *room = room_of(2);

	room->amplitude[0] = 30; /* -61 dBFS: its background */
	run(room, 2 * SECOND_TICKS);
	ck_assert(!room->voices[0].open);
	room->amplitude[0] = 200; /* -44 dBFS: a soft voice */
	run(room, 1);
	ck_assert(room->voices[0].open);
	room->amplitude[0] = 30;
	run(room, RTP_MIX_HANG_MS / 20 - 2);
	ck_assert(room->voices[0].open);
	run(room, 3);
	ck_assert(!room->voices[0].open);
	room->amplitude[0] = 3000; /* a steady tone is heard for ever: no background is that loud */
	run(room, 60 * SECOND_TICKS);
	ck_assert(room->voices[0].open);
	ck_assert(hears(room, 1, 0));
	free(room);
}
END_TEST

START_TEST(muted_and_deaf_within_a_tick_and_without_a_click)
{
	struct room *room = room_of(3);
	double limit = sharpest_of_tone(6000, 660) + sharpest_of_tone(6000, 880);

	room->amplitude[1] = room->amplitude[2] = 6000;
	run(room, 2 * SECOND_TICKS);
	ck_assert_double_le(sharpest(room->heard[0], RATE_HZ), limit);
	room->voices[1].talk_gain = 0;
	run(room, SECOND_TICKS / 2);
	ck_assert_double_le(sharpest(room->heard[0], RATE_HZ), limit);
	run(room, SECOND_TICKS);
	ck_assert(is_deaf_to(room, 0, 1) && hears(room, 0, 2));
	room->voices[1].talk_gain = RTP_MIX_UNITY;
	run(room, SECOND_TICKS / 2);
	ck_assert_double_le(sharpest(room->heard[0], RATE_HZ), limit);
	room->voices[0].hears = false;
	run(room, SECOND_TICKS / 2);
	ck_assert_double_le(sharpest(room->heard[0], RATE_HZ), limit);
	run(room, SECOND_TICKS);
	ck_assert_uint_eq(room->took[0], RTP_MIX_SILENCE);
	ck_assert(is_deaf_to(room, 0, 1) && is_deaf_to(room, 0, 2));
	free(room);
}
END_TEST

START_TEST(comes_and_goes_without_a_click)
{
	struct room *room = room_of(3);
	double limit = sharpest_of_tone(6000, 660) + sharpest_of_tone(6000, 880);

	room->amplitude[1] = room->amplitude[2] = 6000;
	room->tone_hz[1] = 663; /* breaks off in the middle of a wave */
	room->is_there[1] = false;
	run(room, SECOND_TICKS + SECOND_TICKS / 2);
	room->is_there[1] = true;
	run(room, SECOND_TICKS / 2);
	ck_assert_double_le(sharpest(room->heard[0], RATE_HZ), limit);
	for (int i = 0; i < 7; i++) { /* wherever the wave is */
		room->is_there[1] = true;
		run(room, SECOND_TICKS / 3);
		room->is_there[1] = false;
		rtp_mixer_drop(&room->mixer, &room->voices[1]);
		run(room, SECOND_TICKS / 2 + 1);
		ck_assert_double_le(sharpest(room->heard[0], RATE_HZ), limit);
		rtp_mix_voice_init(&room->voices[1]);
	}
	free(room);
}
END_TEST

START_TEST(gains_are_what_they_say)
{
	struct room *room = room_of(3);

	room->amplitude[1] = room->amplitude[2] = 4000;
	run(room, 2 * SECOND_TICKS);
	double plain = power_dbfs(room->heard[0], RATE_HZ, 660), other = power_dbfs(room->heard[0], RATE_HZ, 880);

	room->voices[1].talk_gain = rtp_mix_gain(600);
	room->voices[2].talk_gain = rtp_mix_gain(-600);
	run(room, 2 * SECOND_TICKS);
	ck_assert_double_eq_tol(power_dbfs(room->heard[0], RATE_HZ, 660) - plain, 6, 0.05);
	ck_assert_double_eq_tol(power_dbfs(room->heard[0], RATE_HZ, 880) - other, -6, 0.05);
	room->voices[0].hear_gain = rtp_mix_gain(-300);
	run(room, 2 * SECOND_TICKS);
	ck_assert_double_eq_tol(power_dbfs(room->heard[0], RATE_HZ, 660) - plain, 3, 0.05);
	ck_assert_int_eq(rtp_mix_gain(0), RTP_MIX_UNITY);
	ck_assert_int_eq(rtp_mix_gain(9000), rtp_mix_gain(RTP_MIX_MOST_GAIN_CDB));
	free(room);
}
END_TEST

START_TEST(a_coach_is_heard_by_one_and_hears_all)
{
	struct room *room = room_of(3); /* agent, customer, coach */

	for (int i = 0; i < 3; i++)
		room->amplitude[i] = 4000;
	room->voices[2].talks = false;
	run(room, 2 * SECOND_TICKS); /* listens */
	ck_assert(hears(room, 2, 0) && hears(room, 2, 1));
	ck_assert(is_deaf_to(room, 0, 2) && is_deaf_to(room, 1, 2));
	room->voices[2].confidant = &room->voices[0];
	run(room, 2 * SECOND_TICKS); /* whispers */
	ck_assert(hears(room, 0, 2) && is_deaf_to(room, 1, 2) && is_deaf_to(room, 2, 2));
	ck_assert(hears(room, 0, 1) && hears(room, 1, 0) && hears(room, 2, 0) && hears(room, 2, 1));
	room->voices[2].talks = true;
	run(room, SECOND_TICKS / 2); /* barges in */
	ck_assert_double_le(sharpest(room->heard[1], RATE_HZ), sharpest_of_tone(4000, 440) + sharpest_of_tone(4000, 880));
	run(room, 2 * SECOND_TICKS);
	ck_assert(hears(room, 0, 2) && hears(room, 1, 2));
	room->voices[2].talks = false;
	run(room, SECOND_TICKS / 2);
	ck_assert_double_le(sharpest(room->heard[1], RATE_HZ), sharpest_of_tone(4000, 440) + sharpest_of_tone(4000, 880));
	room->voices[2].confidant = NULL;
	run(room, 2 * SECOND_TICKS);
	ck_assert(is_deaf_to(room, 0, 2) && is_deaf_to(room, 1, 2) && hears(room, 2, 1));
	free(room);
}
END_TEST

START_TEST(an_announcement_reaches_everybody)
{
	struct room *room = room_of(2);
	int16_t announced[TICK], heard[TICK];

	for (uint32_t i = 0; i < TICK; i++)
		announced[i] = (int16_t)(i * 10);
	run(room, SECOND_TICKS);
	rtp_mixer_begin(&room->mixer, RATE_HZ, TICK);
	rtp_mixer_put_all(&room->mixer, announced);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(rtp_mixer_take(&room->mixer, &room->voices[i], heard), RTP_MIX_COMMON);
		ck_assert_int_eq(memcmp(heard, announced, sizeof heard), 0);
	}
	free(room);
}
END_TEST

START_TEST(the_speaker_is_who_speaks_and_not_who_coughs)
{
	struct room *room = room_of(3);

	room->amplitude[0] = 4000;
	run(room, SECOND_TICKS);
	ck_assert_ptr_eq(room->mixer.speaker, &room->voices[0]);
	room->amplitude[1] = 20000; /* much louder, but shortly */
	run(room, RTP_MIX_OVERTAKE_MS / 20 / 2);
	room->amplitude[1] = 0;
	run(room, SECOND_TICKS);
	ck_assert_ptr_eq(room->mixer.speaker, &room->voices[0]);
	room->amplitude[1] = 5000; /* for long, but hardly louder: both speak */
	run(room, 3 * SECOND_TICKS);
	ck_assert_ptr_eq(room->mixer.speaker, &room->voices[0]);
	ck_assert_uint_eq(room->speaker_changes, 1);
	room->amplitude[0] = 0; /* the floor is free */
	run(room, (RTP_MIX_HANG_MS + 200) / 20);
	ck_assert_ptr_eq(room->mixer.speaker, &room->voices[1]);
	room->amplitude[2] = 20000; /* and taken by who is louder for long */
	run(room, (RTP_MIX_OVERTAKE_MS + RTP_MIX_ONSET_MS + 400) / 20);
	ck_assert_ptr_eq(room->mixer.speaker, &room->voices[2]);
	room->voices[2].talk_gain = 0; /* muted: no speaker */
	run(room, SECOND_TICKS);
	ck_assert_ptr_eq(room->mixer.speaker, &room->voices[1]);
	ck_assert_uint_eq(room->speaker_changes, 4);
	rtp_mixer_drop(&room->mixer, &room->voices[1]);
	ck_assert_ptr_null(room->mixer.speaker);
	free(room);
}
END_TEST

START_TEST(levels_are_in_dbov)
{
	struct room *room = room_of(2);

	room->amplitude[0] = 32767;
	run(room, 1);
	ck_assert_int_eq(room->voices[0].level_cdbov, -301); /* a sine at full scale */
	room->amplitude[0] = 0;
	run(room, 1);
	ck_assert_int_eq(room->voices[0].level_cdbov, RTP_MIX_SILENT_CDBOV);
	free(room);
}
END_TEST

CHECK_MAIN("mixer", three_hear_the_two_others_and_not_themselves, below_the_knee_a_mix_is_the_exact_sum,
	   many_loud_voices_are_bent_and_never_wrap, two_loud_voices_stay_clean, works_at_every_rate_and_tick, who_is_silent_shares_one_mix,
	   a_gate_keeps_quiet_speech_that_stands_out_and_closes_late, muted_and_deaf_within_a_tick_and_without_a_click,
	   comes_and_goes_without_a_click, gains_are_what_they_say, a_coach_is_heard_by_one_and_hears_all,
	   an_announcement_reaches_everybody, the_speaker_is_who_speaks_and_not_who_coughs, levels_are_in_dbov)
