/* tests/rtp/test_inband.c - key presses as tones: what is one and what is not, and how they go on to somebody who wants them another way */
#include "../check_main.h"
#include "rig.h"

#include <math.h>
#include <rtp/g711.h>
#include <rtp/inband.h>
#include <stdlib.h>

#define KEYS "0123456789*#ABCD"
#define MOST_SAMPLES 16000u

static const char layout[] = "123A456B789C*0#D";
static const double lows[] = { 697, 770, 852, 941 }, highs[] = { 1209, 1336, 1477, 1633 };

/* ---- the detector ---- */

static struct {
	char digits[64];
	uint32_t count, ms[64];
} found;

static void on_digit(void *context, char digit, uint32_t for_ms)
{
	(void)context;
	ck_assert_uint_lt(found.count + 1, sizeof found.digits);
	found.ms[found.count] = for_ms;
	found.digits[found.count++] = digit;
	found.digits[found.count] = '\0';
}

struct tone {
	char key;
	uint32_t ms;
	double low_dbm0, high_dbm0, off; /* off: frequencies are so many times too high */
};

/* 0 dBm0 is 3.14 dB below a full-scale sine. */
static double amplitude(double dbm0)
{
	return 32767 * pow(10, (dbm0 - 3.14) / 20);
}

static uint32_t put_tone(const struct tone *tone, int16_t *ret_samples)
{
	size_t place = (size_t)(strchr(layout, tone->key) - layout);
	double low = 2 * M_PI * lows[place / 4] * (1 + tone->off) / 8000, high = 2 * M_PI * highs[place % 4] * (1 + tone->off) / 8000;
	uint32_t count = tone->ms * 8;

	for (uint32_t i = 0; i < count; i++) {
		double value = amplitude(tone->low_dbm0) * sin(low * i) + amplitude(tone->high_dbm0) * sin(high * i);

		ret_samples[i] = (int16_t)lrint(value > 32767 ? 32767 : value < -32768 ? -32768 : value);
	}
	return count;
}

/* What the detector makes of a tone between two silences, as G.711 has it. */
static void detect(const struct tone *tone)
{
	static int16_t samples[MOST_SAMPLES];
	struct rtp_inband *inband;
	uint32_t count;

	memset(samples, 0, sizeof samples);
	count = 500 + put_tone(tone, samples + 500) + 800;
	ck_assert_uint_le(count, MOST_SAMPLES);
	for (uint32_t i = 0; i < count; i++)
		samples[i] = rtp_g711_decode(RTP_LAW_A, rtp_g711_encode(RTP_LAW_A, samples[i]));
	memset(&found, 0, sizeof found);
	ck_assert_int_eq(rtp_inband_new(&inband), 0);
	rtp_inband_feed(inband, samples, count, on_digit, NULL);
	ck_assert(!rtp_inband_sounds(inband));
	rtp_inband_free(inband);
}

START_TEST(every_key_is_found_at_every_level)
{
	rtp_g711_init();
	for (const char *key = KEYS; *key; key++) {
		for (int level = -36; level <= 0; level += 2) {
			detect(&(struct tone){ *key, 50, level - 3, level - 3, 0 });
			ck_assert_msg(found.count == 1 && found.digits[0] == *key, "%c at %d dBm0: \"%s\"", *key, level, found.digits);
		}
	}
}
END_TEST

START_TEST(limits_are_those_of_q24)
{
	const struct {
		struct tone tone;
		bool is_key;
	} rows[] = {
		{ { '5', 60, -12, -8.5, 0 }, true },      { { '5', 60, -16, -8, 0 }, false }, /* high over low: 4 dB */
		{ { '5', 60, -8, -15.5, 0 }, true },      { { '5', 60, -8, -18, 0 }, false }, /* low over high: 8 dB */
		{ { '5', 60, -10, -10, 0.015 }, true },   { { '5', 60, -10, -10, 0.035 }, false }, { { '5', 60, -10, -10, -0.015 }, true },
		{ { '5', 60, -10, -10, -0.035 }, false }, { { '5', 41, -10, -10, 0 }, true },      { { '5', 22, -10, -10, 0 }, false },
		{ { '5', 60, -60, -60, 0 }, false },      { { '5', 60, -60, -10, 0 }, false },
	};

	rtp_g711_init();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		detect(&rows[i].tone);
		ck_assert_msg(found.count == rows[i].is_key, "row %zu: \"%s\"", i, found.digits);
	}
}
END_TEST

START_TEST(lengths_are_told_within_a_packet)
{
	rtp_g711_init();
	for (uint32_t ms = 50; ms <= 1000; ms += 37) {
		detect(&(struct tone){ '8', ms, -10, -10, 0 });
		ck_assert_uint_eq(found.count, 1);
		ck_assert_msg(found.ms[0] + 20 >= ms && found.ms[0] <= ms + 20, "%u ms: %u", ms, found.ms[0]);
	}
}
END_TEST

/* Voices: a pitch that glides, its harmonics under formants that wander, syllables and hiss. Ten minutes of it. */
START_TEST(a_voice_presses_no_keys)
{
	struct rtp_inband *inband;
	double phase = 0, pitch = 120, formant = 900;
	int16_t samples[160];

	srandom(4711);
	memset(&found, 0, sizeof found);
	ck_assert_int_eq(rtp_inband_new(&inband), 0);
	for (uint32_t packet = 0; packet < 600 * 50; packet++) {
		double loud = packet % 10 < 7 ? 6000 : 200;

		pitch = 100 + fmod(pitch - 100 + (double)(random() % 9), 150);
		formant = 400 + fmod(formant - 400 + (double)(random() % 150), 1500);
		for (size_t i = 0; i < 160; i++) {
			double value = (double)(random() % 400) - 200;

			phase += 2 * M_PI * pitch / 8000;
			for (int harmonic = 1; harmonic * pitch < 3400; harmonic++)
				value += loud / (1 + pow((harmonic * pitch - formant) / 200, 2)) * sin(phase * harmonic);
			samples[i] = (int16_t)lrint(value > 32767 ? 32767 : value < -32768 ? -32768 : value);
		}
		rtp_inband_feed(inband, samples, 160, on_digit, NULL);
	}
	rtp_inband_free(inband);
	ck_assert_msg(found.count == 0, "\"%s\"", found.digits);
}
END_TEST

START_TEST(a_lost_packet_breaks_no_key)
{
	struct rtp_inband *inband;
	int16_t samples[MOST_SAMPLES] = { 0 };

	memset(&found, 0, sizeof found);
	ck_assert_int_eq(rtp_inband_new(&inband), 0);
	(void)put_tone(&(struct tone){ '3', 200, -10, -10, 0 }, samples);
	rtp_inband_feed(inband, samples, 640, on_digit, NULL);
	rtp_inband_skip(inband, 160);
	rtp_inband_feed(inband, samples + 800, 1600, on_digit, NULL);
	rtp_inband_free(inband);
	ck_assert_str_eq(found.digits, "3");
	ck_assert_uint_ge(found.ms[0], 180);
	ck_assert_uint_le(found.ms[0], 220);
}
END_TEST

/* ---- legs ---- */

static struct phone alice, bob;

static void call(uint8_t way_of_alice, uint8_t way_of_bob)
{
	const uint8_t ways[] = { way_of_alice, way_of_bob };
	struct phone *phones[] = { &alice, &bob };

	rig_start();
	for (size_t i = 0; i < 2; i++) {
		struct core_stream_config config;

		phone_init(phones[i], AF_INET);
		phone_call(phones[i], 1, "PCMU");
		phone_config(phones[i], "PCMU", &config);
		config.digits = ways[i];
		ck_assert_int_eq(rtp_driver.configure(phones[i]->stream, &config), PBX_OK);
	}
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	core_loop_settle();
}

static void hang_up(void)
{
	rig_hang_up(&alice, &bob);
}

/* A key of 100 ms and a pause of 100 ms, in packets; a bit set in lost: that packet does not get through. */
static void press(struct phone *phone, char key, unsigned lost)
{
	int16_t samples[1600] = { 0 };
	uint8_t codes[1600];

	(void)put_tone(&(struct tone){ key, 100, -10, -10, 0 }, samples);
	rtp_g711_encode_all(RTP_LAW_MU, samples, codes, 1600);
	for (unsigned packet = 0; packet < 10; packet++) {
		if (lost >> packet & 1u) {
			phone->sequence++;
			phone->timestamp += 160;
		} else {
			phone_send(phone, codes + (size_t)160 * packet, 160);
		}
	}
}

/* The next packets that a phone hears, as samples. */
static uint32_t record(const struct phone *phone, int16_t *ret_samples, uint32_t packets)
{
	struct heard_packet packet;
	uint32_t count = 0;

	while (count < packets * 160) {
		ck_assert(phone_hear(phone, &packet, 30000));
		ck_assert_uint_eq(packet.type, 0);
		for (size_t i = 0; i < packet.bytes && count < packets * 160; i++)
			ret_samples[count++] = rtp_g711_decode(RTP_LAW_MU, packet.payload[i]);
	}
	return count;
}

START_TEST(tones_become_keys_and_are_cut_where_they_go_on_another_way)
{
	int16_t samples[1600];
	uint32_t loud = 0;

	call(CORE_DIGITS_TONES, CORE_DIGITS_EVENTS);
	for (const char *key = KEYS; *key; key++)
		press(&alice, *key, 0);
	rig_until(strlen(rig_heard.digits) == 16);
	ck_assert_str_eq(rig_heard.digits, KEYS);
	ck_assert_uint_eq(rig_heard.way, CORE_DIGITS_TONES);
	ck_assert_str_eq(rig_heard.downs, KEYS);
	ck_assert_uint_eq(rig_heard.down_way, CORE_DIGITS_TONES);
	ck_assert_uint_ge(rig_heard.duration_ms, 80);
	ck_assert_uint_le(rig_heard.duration_ms, 120);
	(void)record(&bob, samples, 10);
	for (size_t i = 0; i < 1600; i++)
		loud += samples[i] > 1000;
	ck_assert_uint_gt(loud, 0);
	for (size_t i = 40 * 8; i < 1600; i++) /* what is left is no key */
		ck_assert_int_eq(samples[i], 0);
	hang_up();
}
END_TEST

START_TEST(tones_pass_to_somebody_who_wants_tones)
{
	int16_t samples[1600];

	call(CORE_DIGITS_TONES, CORE_DIGITS_TONES);
	press(&alice, '6', 0);
	(void)record(&bob, samples, 10);
	ck_assert_double_gt(level_dbfs(samples, 800), -15);
	rig_until(strlen(rig_heard.digits) == 1);
	hang_up();
}
END_TEST

START_TEST(nobody_listens_where_nobody_wants_to_hear_of_keys)
{
	int16_t samples[1600];
	struct core_stream_config config;

	call(CORE_DIGITS_TONES, CORE_DIGITS_TONES);
	ck_assert_int_eq(rtp_driver.heed_keys(alice.stream, false), PBX_OK);
	core_loop_settle();
	press(&alice, '6', 0);
	(void)record(&bob, samples, 10);
	ck_assert_double_gt(level_dbfs(samples, 800), -15);
	ck_assert_str_eq(rig_heard.digits, "");

	phone_config(&bob, "PCMU", &config); /* and now they must become events for bob */
	config.digits = CORE_DIGITS_EVENTS;
	ck_assert_int_eq(rtp_driver.configure(bob.stream, &config), PBX_OK);
	core_loop_settle();
	press(&alice, '7', 0);
	rig_until(strcmp(rig_heard.digits, "7") == 0);

	config.digits = CORE_DIGITS_TONES;
	ck_assert_int_eq(rtp_driver.configure(bob.stream, &config), PBX_OK);
	ck_assert_int_eq(rtp_driver.heed_keys(alice.stream, true), PBX_OK);
	core_loop_settle();
	press(&alice, '8', 0);
	rig_until(strcmp(rig_heard.digits, "78") == 0);
	hang_up();
}
END_TEST

START_TEST(keys_survive_lost_packets_and_a_stream_that_stops)
{
	call(CORE_DIGITS_TONES, CORE_DIGITS_EVENTS);
	press(&alice, '7', 1u << 2);
	press(&alice, '7', 1u << 0);
	press(&alice, '9', 0x3e0); /* nothing comes after it */
	rig_until(strlen(rig_heard.digits) == 3);
	ck_assert_str_eq(rig_heard.digits, "779");
	hang_up();
}
END_TEST

START_TEST(who_has_a_better_way_is_not_listened_to)
{
	int16_t samples[1600];

	call(CORE_DIGITS_EVENTS, CORE_DIGITS_EVENTS);
	press(&alice, '1', 0);
	(void)record(&bob, samples, 10);
	ck_assert_double_gt(level_dbfs(samples, 800), -15);
	ck_assert_str_eq(rig_heard.digits, "");
	hang_up();
}
END_TEST

START_TEST(our_keys_go_out_as_tones)
{
	static int16_t samples[160 * 120];
	struct rtp_inband *inband;

	call(CORE_DIGITS_EVENTS, CORE_DIGITS_TONES);
	ck_assert_int_eq(rtp_driver.send_digits(bob.stream, "1122#D", 80, 80), PBX_OK);
	memset(&found, 0, sizeof found);
	ck_assert_int_eq(rtp_inband_new(&inband), 0);
	rtp_inband_feed(inband, samples, record(&bob, samples, 6 * 8), on_digit, NULL);
	rtp_inband_free(inband);
	ck_assert_str_eq(found.digits, "1122#D");
	for (size_t i = 0; i < 6; i++)
		ck_assert_msg(found.ms[i] >= 60 && found.ms[i] <= 100, "%zu: %u ms", i, found.ms[i]);
	hang_up();
}
END_TEST

START_TEST(music_goes_on_behind_tones)
{
	static int16_t samples[160 * 60];

	call(CORE_DIGITS_EVENTS, CORE_DIGITS_TONES);
	rig_play(bob.stream, CORE_PLAY_TONE, "dial", 1);
	(void)record(&bob, samples, 2);
	ck_assert_int_eq(rtp_driver.send_digits(bob.stream, "5", 100, 50), PBX_OK);
	(void)record(&bob, samples, 40);
	ck_assert_double_gt(share_of(samples + 160 * 30, 1600, 440), 0.3);
	ck_assert_int_eq(rig_heard.plays, 0);
	hang_up();
}
END_TEST

CHECK_MAIN("inband", nobody_listens_where_nobody_wants_to_hear_of_keys, every_key_is_found_at_every_level, limits_are_those_of_q24,
	   lengths_are_told_within_a_packet, a_voice_presses_no_keys, a_lost_packet_breaks_no_key,
	   tones_become_keys_and_are_cut_where_they_go_on_another_way, tones_pass_to_somebody_who_wants_tones,
	   keys_survive_lost_packets_and_a_stream_that_stops, who_has_a_better_way_is_not_listened_to, our_keys_go_out_as_tones,
	   music_goes_on_behind_tones)
