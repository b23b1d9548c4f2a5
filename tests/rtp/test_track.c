/* tests/rtp/test_track.c - packets that come as they like, and the line of samples they become; the ring between two threads */
#include "../check_main.h"
#include <check.h>
#include <pthread.h>
#include <rtp/g711.h>
#include <rtp/track.h>
#include <rtp/worker.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_US 1000000u
#define FRAME 160u

static struct rtp_track *track;
static struct rtp_speech voice;

static void begin(uint32_t rate_hz)
{
	rtp_g711_init();
	rtp_speech_g711(&voice, RTP_LAW_A);
	track = rtp_track_new(rate_hz, BEGIN_US);
	ck_assert_ptr_nonnull(track);
}

/* Frame number `frame` of a source, all of one value, at its time and `late_ms` more. */
static void put(uint32_t ssrc, uint32_t frame, int16_t value, int late_ms)
{
	uint8_t payload[FRAME];
	const struct rtp_tap_packet packet = {
		.at_us = (uint64_t)((int64_t)BEGIN_US + frame * 20000 + late_ms * 1000),
		.timestamp = 4000000000u + frame * FRAME,
		.ssrc = ssrc,
		.sequence = (uint16_t)(65530u + frame),
		.bytes = FRAME,
	};

	memset(payload, rtp_g711_encode(RTP_LAW_A, value), sizeof payload);
	rtp_track_put(track, &voice, &packet, payload);
}

static int16_t decoded(int16_t value)
{
	return rtp_g711_decode(RTP_LAW_A, rtp_g711_encode(RTP_LAW_A, value));
}

static void pass(uint32_t frame)
{
	rtp_track_pass(track, BEGIN_US + frame * 20000u);
}

static void expect(uint32_t frames, int16_t value)
{
	int16_t samples[FRAME];

	for (uint32_t i = 0; i < frames; i++) {
		rtp_track_take(track, samples, FRAME);
		for (uint32_t at = 0; at < FRAME; at++)
			ck_assert_msg(samples[at] == (value ? decoded(value) : 0), "frame %u of %u, sample %u: %d, not %d", i, frames, at,
				      samples[at], value);
	}
}

START_TEST(the_wrong_order_becomes_the_right_one_and_nothing_is_heard_twice)
{
	begin(8000);
	put(1, 0, 1000, 0);
	put(1, 2, 3000, 0);
	put(1, 1, 2000, 45);
	put(1, 1, 9000, 46);
	put(1, 3, 4000, 0);
	put(1, 2, 9000, 50);
	pass(4);
	expect(1, 1000);
	expect(1, 2000);
	expect(1, 3000);
	expect(1, 4000);
	ck_assert_uint_eq(rtp_track_lost_ms(track), 0);
	rtp_track_free(track);
}
END_TEST

START_TEST(what_is_lost_is_guessed_and_counted_and_changes_no_time)
{
	int16_t guessed[2 * FRAME];

	begin(8000);
	put(1, 0, 1000, 0);
	put(1, 3, 2000, 0);
	pass(4);
	expect(1, 1000);
	rtp_track_take(track, guessed, 2 * FRAME);
	ck_assert_int_eq(guessed[0], decoded(1000)); /* no click where it begins */
	ck_assert_int_lt(abs(guessed[2 * FRAME - 1]), 20);
	expect(1, 2000);
	ck_assert_uint_eq(rtp_track_lost_ms(track), 40);
	rtp_track_free(track);
}
END_TEST

START_TEST(a_pause_of_the_speaker_is_silence_and_no_loss)
{
	uint8_t payload[FRAME];
	struct rtp_tap_packet packet = { .at_us = BEGIN_US, .ssrc = 1, .bytes = FRAME };

	begin(8000);
	memset(payload, rtp_g711_encode(RTP_LAW_A, 1000), sizeof payload);
	rtp_track_put(track, &voice, &packet, payload);
	packet.sequence = 1;
	packet.timestamp = 50 * FRAME;
	packet.at_us += 1000000;
	rtp_track_put(track, &voice, &packet, payload);
	pass(51);
	expect(1, 1000);
	expect(49, 0);
	expect(1, 1000);
	ck_assert_uint_eq(rtp_track_lost_ms(track), 0);
	rtp_track_free(track);
}
END_TEST

START_TEST(a_second_source_begins_where_it_arrives)
{
	begin(8000);
	put(1, 0, 1000, 0);
	put(2, 10, 2000, 0);
	pass(12);
	expect(1, 1000);
	expect(9, 0);
	expect(1, 2000);
	expect(1, 0);
	rtp_track_free(track);
}
END_TEST

/* 300 parts in a million, for ten minutes: 180 ms that would be missing at the end. */
START_TEST(a_wrong_clock_is_followed)
{
	int16_t samples[FRAME], last = 0;
	uint32_t frames = 30000, heard_at = 0;

	begin(8000);
	for (uint32_t frame = 0; frame < frames; frame++) {
		put(1, frame, frame >= frames - 50 ? 8000 : 100, (int)(frame * 20 * 300 / 1000000));
		if (frame < 20)
			continue;
		pass(frame - 15);
		if (frame > 20)
			rtp_track_take(track, samples, FRAME);
	}
	for (uint32_t frame = frames - 36; last != decoded(8000) && frame < frames + 50; frame++) {
		pass(frame);
		rtp_track_take(track, samples, FRAME);
		last = samples[FRAME - 1];
		heard_at = frame;
	}
	ck_assert_uint_ge(heard_at, frames - 50);
	ck_assert_uint_le(heard_at, frames - 50 + 18); /* 180 ms of clock and some of tolerance: where it arrived */
	ck_assert_int_eq(last, decoded(8000));
	rtp_track_free(track);
}
END_TEST

START_TEST(another_rate_lasts_as_long)
{
	int16_t samples[FRAME * 2];

	begin(16000);
	for (uint32_t frame = 0; frame < 100; frame++)
		put(1, frame, 4000, 0);
	pass(100);
	for (uint32_t frame = 0; frame < 100; frame++) {
		rtp_track_take(track, samples, FRAME * 2);
		if (frame > 2 && frame < 98)
			ck_assert_int_le(abs(samples[FRAME] - decoded(4000)), 40);
	}
	rtp_track_take(track, samples, 1);
	ck_assert_int_eq(samples[0], 0);
	rtp_track_free(track);
}
END_TEST

/* ---- the ring ---- */

#define PACKETS 20000u

static struct rtp_tap *tap;

static void *write_packets(void *argument)
{
	uint8_t payload[RTP_TAP_PAYLOAD];

	(void)argument;
	for (uint32_t i = 0; i < PACKETS; i++) {
		struct rtp_tap_packet packet = { .timestamp = i, .bytes = (uint16_t)(i * 7919 % 400) };

		memset(payload, (int)(i & 0xff), packet.bytes);
		while (!rtp_tap_put(tap, &packet, payload))
			(void)sched_yield();
	}
	return NULL;
}

START_TEST(what_goes_into_a_tap_comes_out_of_it)
{
	pthread_t writer;
	struct rtp_tap_packet packet;
	uint8_t payload[RTP_TAP_PAYLOAD], expected[RTP_TAP_PAYLOAD];
	uint32_t next = 0;

	tap = aligned_alloc(64, sizeof *tap);
	ck_assert_ptr_nonnull(tap);
	rtp_tap_init(tap, 3, false, NULL);
	ck_assert_int_eq(pthread_create(&writer, NULL, write_packets, NULL), 0);
	while (next < PACKETS) {
		if (!rtp_tap_take(tap, rtp_tap_written(tap), &packet, payload))
			continue;
		ck_assert_uint_eq(packet.timestamp, next);
		ck_assert_uint_eq(packet.bytes, next * 7919 % 400);
		memset(expected, (int)(next & 0xff), packet.bytes);
		ck_assert_int_eq(memcmp(payload, expected, packet.bytes), 0);
		next++;
	}
	(void)pthread_join(writer, NULL);
	free(tap);
}
END_TEST

START_TEST(a_full_tap_refuses_and_counts)
{
	uint8_t payload[RTP_TAP_PAYLOAD] = { 0 };
	struct rtp_tap_packet packet = { .bytes = 1000 };
	uint32_t taken = 0;

	tap = aligned_alloc(64, sizeof *tap);
	ck_assert_ptr_nonnull(tap);
	rtp_tap_init(tap, 3, false, NULL);
	while (rtp_tap_put(tap, &packet, payload))
		ck_assert_uint_lt(++taken, 100);
	ck_assert_uint_eq(rtp_read(&tap->lost), 1);
	ck_assert(rtp_tap_take(tap, rtp_tap_written(tap), &packet, payload));
	ck_assert(rtp_tap_put(tap, &packet, payload));
	packet.bytes = RTP_TAP_PAYLOAD + 1;
	ck_assert(!rtp_tap_put(tap, &packet, payload));
	free(tap);
}
END_TEST

CHECK_MAIN("track", the_wrong_order_becomes_the_right_one_and_nothing_is_heard_twice,
	   what_is_lost_is_guessed_and_counted_and_changes_no_time, a_pause_of_the_speaker_is_silence_and_no_loss,
	   a_second_source_begins_where_it_arrives, a_wrong_clock_is_followed, another_rate_lasts_as_long,
	   what_goes_into_a_tap_comes_out_of_it, a_full_tap_refuses_and_counts)
