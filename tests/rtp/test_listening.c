/* tests/rtp/test_listening.c - an ear that hears a voice through a bad network: what is left of the sound, on a clock that moves when told */
#include "../check_main.h"
#include "rig.h"
#include <math.h>
#include <rtp/comfort.h>
#include <rtp/ear.h>
#include <rtp/filter.h>
#include <string.h>

#define RATE 8000u
#define FRAME 160u
#define FRAME_US 20000u
#define MOST_FRAMES 1600u
#define BEGINS_US UINT64_C(5000000)

static int16_t said[MOST_FRAMES * FRAME], heard[MOST_FRAMES * FRAME];

/* When each frame arrives, from its being said on; LOST: never. In order of being said. */
#define LOST UINT32_MAX
static uint32_t takes_us[MOST_FRAMES];

static struct rtp_ear *ear_for_pcmu(void)
{
	struct core_stream_config config = { .codec_count = 1,
					     .codecs = { { .name = "PCMU", .clock_hz = 8000, .channels = 1, .payload_type = 0 } },
					     .ptime_ms = 20 };
	struct rtp_ear *ear = NULL;

	rtp_g711_init();
	rtp_ear_configure(&rig_settings.jitter_buffer);
	ck_assert_int_eq(rtp_ear_new(&config, rtp_rate_bit(RATE), NULL, NULL, &ear), PBX_OK);
	return ear;
}

static void put(struct rtp_ear *ear, uint32_t number, uint64_t now_us)
{
	uint8_t payload[FRAME];
	struct rtp_packet packet = {
		.payload = payload, .payload_bytes = FRAME, .ssrc = 77, .timestamp = number * FRAME, .sequence = (uint16_t)(65000 + number)
	};

	rtp_g711_encode_all(RTP_LAW_MU, said + (size_t)number * FRAME, payload, FRAME);
	rtp_ear_put(ear, &packet, now_us);
}

/* What has arrived by now and had not before. */
static void deliver(struct rtp_ear *ear, uint32_t frames, uint64_t before_us, uint64_t now_us)
{
	uint32_t newest = (uint32_t)((now_us - BEGINS_US) / FRAME_US), oldest = newest > 60 ? newest - 60 : 0;

	for (uint32_t i = oldest; i <= newest && i < frames; i++) {
		uint64_t at_us = BEGINS_US + (uint64_t)i * FRAME_US + takes_us[i];

		if (takes_us[i] != LOST && at_us > before_us && at_us <= now_us)
			put(ear, i, at_us);
	}
}

/* Says the frames and takes as many; a millisecond is the clock's step. */
static void hear_all(struct rtp_ear *ear, uint32_t frames)
{
	uint64_t now_us = BEGINS_US;

	for (uint32_t ms = 0, taken = 0; taken < frames; ms++) {
		deliver(ear, frames, now_us, now_us + 1000);
		now_us += 1000;
		if (ms % 20 == 7)
			(void)rtp_ear_take(ear, RATE, heard + (size_t)taken++ * FRAME, FRAME, now_us);
	}
}

static void say_tone(uint32_t frames, double hz)
{
	for (uint32_t i = 0; i < frames * FRAME; i++)
		said[i] = (int16_t)lrint(10362 * sin(2 * M_PI * hz * i / RATE)); /* -10 dBFS */
}

static uint32_t chance(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static double rms_dbov(const int16_t *samples, uint32_t count)
{
	double sum = 1e-3;

	for (uint32_t i = 0; i < count; i++)
		sum += (double)samples[i] * samples[i];
	return 10 * log10(sum / count) - 90.3;
}

/* Of the tone in it, by least squares, beside all else. */
static double tone_snr(const int16_t *samples, uint32_t count, double hz)
{
	double sine = 0, cosine = 0, all = 0;

	for (uint32_t i = 0; i < count; i++) {
		sine += samples[i] * sin(2 * M_PI * hz * i / RATE);
		cosine += samples[i] * cos(2 * M_PI * hz * i / RATE);
		all += (double)samples[i] * samples[i];
	}
	double tone = 2 * (sine * sine + cosine * cosine) / count;

	return 10 * log10(tone / fmax(all - tone, 1));
}

static int32_t steepest(const int16_t *samples, uint32_t count)
{
	int32_t most = 0;

	for (uint32_t i = 1; i < count; i++)
		most = abs(samples[i] - samples[i - 1]) > most ? abs(samples[i] - samples[i - 1]) : most;
	return most;
}

START_TEST(an_even_stream_is_heard_as_it_was_said)
{
	struct rtp_ear *ear = ear_for_pcmu();

	say_tone(1500, 440);
	memset(takes_us, 0, sizeof takes_us);
	hear_all(ear, 1500);
	ck_assert_double_gt(tone_snr(heard + 200 * FRAME, 1200 * FRAME, 440), 35);
	rtp_ear_free(ear);
}
END_TEST

START_TEST(a_twentieth_lost_leaves_no_hole_and_no_click)
{
	struct rtp_ear *ear = ear_for_pcmu();
	uint32_t seed = 3, lost = 0;

	say_tone(1500, 440);
	for (uint32_t i = 0; i < 1500; i++) {
		takes_us[i] = i > 20 && chance(&seed) % 20 == 0 ? LOST : 30000;
		lost += takes_us[i] == LOST;
	}
	hear_all(ear, 1500);
	for (uint32_t at = 100 * FRAME; at + 5 * FRAME < 1500 * FRAME; at += 5 * FRAME)
		ck_assert_double_gt(rms_dbov(heard + at, 5 * FRAME), -20);
	ck_assert_int_le(steepest(heard + 100 * FRAME, 1400 * FRAME), steepest(said, FRAME) * 3 / 2);
	struct rtp_counters counters = { 0 };

	rtp_ear_show(ear, &counters);
	ck_assert_uint_ge(counters.concealed_ms, lost * 20 - 150); /* of thirty seconds, half a percent */
	ck_assert_uint_le(counters.concealed_ms, lost * 20 + 150);
	rtp_ear_free(ear);
}
END_TEST

START_TEST(who_overtakes_is_put_back_in_line)
{
	struct rtp_ear *ear = ear_for_pcmu();
	uint32_t seed = 5;

	say_tone(1000, 370);
	for (uint32_t i = 0; i < 1000; i++)
		takes_us[i] = chance(&seed) % 10 == 0 ? 50000 : 10000; /* two places back */
	hear_all(ear, 1000);
	ck_assert_double_gt(tone_snr(heard + 400 * FRAME, 500 * FRAME, 370), 35); /* as in order */
	rtp_ear_free(ear);
}
END_TEST

START_TEST(a_line_that_stops_is_not_dead)
{
	struct rtp_ear *ear = ear_for_pcmu();
	uint32_t seed = 9;

	for (uint32_t i = 0; i < 400 * FRAME; i++) /* words over noise of -56 dBov */
		said[i] = (int16_t)((int32_t)(chance(&seed) % 180) - 90 + (i / FRAME / 20 % 2 ? 6000 * sin(2 * M_PI * 300 * i / RATE) : 0));
	for (uint32_t i = 0; i < 400; i++)
		takes_us[i] = i < 320 ? 20000 : LOST;
	hear_all(ear, 400);
	ck_assert_double_eq_tol(rms_dbov(heard + 350 * FRAME, 40 * FRAME), -56, 4);
	rtp_ear_free(ear);
}
END_TEST

START_TEST(noise_that_is_described_is_heard_so_until_the_next_word)
{
	struct rtp_ear *ear = ear_for_pcmu();
	uint8_t described[] = { 50, 200, 127 };
	struct rtp_packet noise = { .payload = described,
				    .payload_bytes = sizeof described,
				    .ssrc = 77,
				    .timestamp = 100 * FRAME,
				    .sequence = (uint16_t)(65000 + 100),
				    .type = RTP_TYPE_NOISE };

	say_tone(100, 440);
	memset(takes_us, 0, sizeof takes_us);
	hear_all(ear, 100);
	rtp_ear_put_noise(ear, &noise, BEGINS_US + 100 * FRAME_US);
	for (uint32_t i = 0; i < 200; i++) /* four seconds without a packet */
		ck_assert(rtp_ear_take(ear, RATE, heard + (size_t)i * FRAME, FRAME, BEGINS_US + (101 + i) * FRAME_US));
	ck_assert(rtp_ear_is_heard(ear));
	ck_assert_double_eq_tol(rms_dbov(heard + 50 * FRAME, 150 * FRAME), -50, 2);
	struct rtp_counters counters = { 0 };

	rtp_ear_show(ear, &counters);
	ck_assert_uint_le(counters.concealed_ms, 20);
	rtp_ear_free(ear);
}
END_TEST

/* ---- a filter ---- */

static uint32_t pieces, others;

static int open_filter(void *context, uint32_t rate_hz, void **ret_state)
{
	ck_assert_uint_eq(rate_hz, RATE);
	*ret_state = context;
	return PBX_OK;
}

static void close_filter(void *state)
{
	ck_assert_ptr_eq(state, &pieces);
}

static void halve(void *state, int16_t *samples, uint32_t count)
{
	ck_assert_ptr_eq(state, &pieces);
	pieces += count % 80 == 0;
	others += count % 80 != 0;
	for (uint32_t i = 0; i < count; i++)
		samples[i] = (int16_t)(samples[i] / 2);
}

START_TEST(a_filter_gets_whole_pieces_however_frames_are_stretched)
{
	struct rtp_ear *ear = ear_for_pcmu();
	const struct core_filter from = { .table = { .size = sizeof from.table, .open = open_filter, .close = close_filter, .said = halve },
					  .context = &pieces,
					  .owner = core_self() };
	struct rtp_filter *filter = NULL;

	ck_assert_int_eq(rtp_filter_new(&from, RATE, &filter), PBX_OK);
	rtp_ear_set_filter(ear, filter);
	say_tone(1000, 440);
	for (uint32_t i = 0; i < 1000; i++)
		takes_us[i] = i < 300 ? i % 7 * 12000 : 0; /* a delay that goes away again: frames are shortened */
	hear_all(ear, 1000);
	ck_assert_uint_gt(pieces, 900);
	ck_assert_uint_eq(others, 0);
	ck_assert_double_eq_tol(rms_dbov(heard + 700 * FRAME, 200 * FRAME), rms_dbov(said, 200 * FRAME) - 6, 0.3);
	ck_assert_int_le(steepest(heard + 300 * FRAME, 600 * FRAME), steepest(said, FRAME) * 3 / 4);
	rtp_ear_free(ear);
	rtp_filter_free(filter);
}
END_TEST

CHECK_MAIN("listening", an_even_stream_is_heard_as_it_was_said, a_twentieth_lost_leaves_no_hole_and_no_click,
	   who_overtakes_is_put_back_in_line, a_line_that_stops_is_not_dead, noise_that_is_described_is_heard_so_until_the_next_word,
	   a_filter_gets_whole_pieces_however_frames_are_stretched)
