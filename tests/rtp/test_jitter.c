/* tests/rtp/test_jitter.c - a sender, a network that is as uneven as we like, and a listener whose clock moves only when told */
#include "../check_main.h"
#include <core/auto.h>
#include <rtp/jitter.h>
#include <string.h>

#define FRAME_UNITS 160u
#define FRAME_US 20000u
#define MOST_UNDERWAY 4096u
#define SECOND_US UINT64_C(1000000)

struct packet {
	uint64_t arrives_us;
	uint32_t ssrc, timestamp, number; /* number: what it carries */
	uint16_t sequence;
	uint8_t kind;
};

/* Everything between one mouth and one ear. */
struct line {
	struct rtp_jitter *jitter;
	struct packet underway[MOST_UNDERWAY]; /* in order of arrival */
	uint32_t underway_count;

	uint64_t sent_at_us; /* when the next packet leaves */
	uint32_t number, timestamp, ssrc;
	uint16_t sequence;
	double sender_us; /* what it takes for 20 ms */

	uint64_t due_us; /* when the listener needs more */
	bool obedient;   /* shortens and lengthens as it is told */
	uint32_t heard[4], silent_us, waited_us, out_of_order, newest_heard, stretched_us;
	uint32_t recoverable; /* holes whose next packet was there */
	uint64_t heard_at_us; /* the newest PLAY */
	uint32_t seed;
};

static const struct rtp_jitter_config usual = { .clock_hz = 8000,
						.frame_units = FRAME_UNITS,
						.slot_bytes = 8,
						.initial_ms = 50,
						.least_ms = 20,
						.most_ms = 200,
						.drift_ms = 30,
						.adaptive = true };

static struct line *line_with(const struct rtp_jitter_config *config)
{
	struct line *line = calloc(1, sizeof *line);

	ck_assert_ptr_nonnull(line);
	line->jitter = rtp_jitter_new(config);
	ck_assert_ptr_nonnull(line->jitter);
	line->sent_at_us = 5 * SECOND_US;
	line->due_us = line->sent_at_us + 7000;
	line->sender_us = FRAME_US;
	line->sequence = 65500; /* each test goes over the edge */
	line->timestamp = UINT32_MAX - 20 * FRAME_UNITS;
	line->ssrc = 0x1234;
	line->number = 1;
	line->obedient = true;
	line->seed = 1;
	return line;
}

/* Whatever happens on the way, nothing is heard twice or before its turn. */
static void line_free(struct line *line)
{
	ck_assert_uint_eq(line->out_of_order, 0);
	rtp_jitter_free(line->jitter);
	free(line);
}
AUTO_FREES(line)

static struct rtp_jitter_stats stats_of(const struct line *line)
{
	struct rtp_jitter_stats stats;

	rtp_jitter_stats(line->jitter, &stats);
	return stats;
}

static void check_all_heard(const struct line *line)
{
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_eq(stats.lost + stats.late + stats.discarded, 0);
}

/* ---- chance, the same each time ---- */

static double chance(struct line *line)
{
	line->seed = line->seed * 1664525u + 1013904223u;
	return (double)(line->seed >> 8) / 16777216.0;
}

static double normal(struct line *line)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += chance(line);
	return sum;
}

/* ---- the listener ---- */

static void hear_payload(struct line *line, const struct rtp_jitter_frame *frame)
{
	uint32_t number;

	memcpy(&number, frame->payload, sizeof number);
	line->out_of_order += number <= line->newest_heard;
	line->newest_heard = number;
	line->heard_at_us = line->due_us;
}

/* Up to five milliseconds of a frame, as one who stretches by periods of a voice can. */
static int64_t pace_us(struct line *line, const struct rtp_jitter_frame *frame)
{
	uint32_t units = frame->spare_units < 40 ? frame->spare_units : 40;

	if (!line->obedient || frame->pace == RTP_JITTER_STEADY)
		return 0;
	line->stretched_us += units * 125;
	if (frame->pace == RTP_JITTER_LENGTHEN)
		return (int64_t)units * 125;
	rtp_jitter_slipped(line->jitter, units);
	return -(int64_t)units * 125;
}

static void listen(struct line *line)
{
	struct rtp_jitter_frame frame;

	rtp_jitter_get(line->jitter, line->due_us, &frame);
	ck_assert_uint_gt(frame.units, 0);
	ck_assert_uint_le(frame.units, 8000);
	if (frame.what == RTP_JITTER_PLAY)
		hear_payload(line, &frame);
	line->heard[frame.what - 1]++;
	if (frame.what == RTP_JITTER_SILENCE)
		line->silent_us += frame.units * 125;
	if (frame.what == RTP_JITTER_WAIT)
		line->waited_us += frame.units * 125;
	line->recoverable += frame.what == RTP_JITTER_LOST && frame.next;
	line->due_us += (uint64_t)((int64_t)frame.units * 125 + pace_us(line, &frame));
}

/* ---- the network ---- */

static void deliver(struct line *line)
{
	const struct packet *first = &line->underway[0];
	struct rtp_jitter_packet packet = { .ssrc = first->ssrc,
					    .timestamp = first->timestamp,
					    .sequence = first->sequence,
					    .kind = first->kind,
					    .payload = (const uint8_t *)&first->number,
					    .bytes = sizeof first->number,
					    .units = first->kind == RTP_JITTER_AUDIO ? FRAME_UNITS : 0 };

	rtp_jitter_put(line->jitter, &packet, first->arrives_us);
	memmove(line->underway, line->underway + 1, --line->underway_count * sizeof *line->underway);
}

static void pass_until(struct line *line, uint64_t until_us)
{
	for (;;) {
		uint64_t arrives_us = line->underway_count ? line->underway[0].arrives_us : UINT64_MAX;

		if (arrives_us > until_us && line->due_us > until_us)
			return;
		if (arrives_us <= line->due_us)
			deliver(line);
		else
			listen(line);
	}
}

static void post(struct line *line, const struct packet *packet)
{
	uint32_t at = line->underway_count++;

	ck_assert_uint_lt(at, MOST_UNDERWAY);
	for (; at > 0 && line->underway[at - 1].arrives_us > packet->arrives_us; at--)
		line->underway[at] = line->underway[at - 1];
	line->underway[at] = *packet;
}

static struct packet next_packet(const struct line *line, uint64_t delay_us)
{
	return (struct packet){ .arrives_us = line->sent_at_us + delay_us,
				.ssrc = line->ssrc,
				.timestamp = line->timestamp,
				.number = line->number,
				.sequence = line->sequence };
}

/* Time goes on by a frame, and so does what is said. */
static void tick(struct line *line)
{
	line->sequence++;
	line->number++;
	line->timestamp += FRAME_UNITS;
	line->sent_at_us += (uint64_t)line->sender_us;
	pass_until(line, line->sent_at_us);
}

static void say(struct line *line, uint64_t delay_us)
{
	struct packet packet = next_packet(line, delay_us);

	post(line, &packet);
	tick(line);
}

static void say_for(struct line *line, uint32_t ms, uint64_t delay_us)
{
	for (uint32_t i = 0; i < ms / 20; i++)
		say(line, delay_us);
}

static void say_nothing_for(struct line *line, uint32_t ms)
{
	uint16_t sequence = line->sequence;
	uint32_t number = line->number;

	for (uint32_t i = 0; i < ms / 20; i++)
		tick(line);
	line->sequence = sequence;
	line->number = number;
}

/* ---- the card's figures ---- */

START_TEST(an_even_stream_is_played_without_a_hole_and_soon)
{
	AUTO(line) struct line *line = line_with(&usual);
	struct rtp_jitter_stats stats;

	say_for(line, 60000, 40000);
	stats = stats_of(line);
	ck_assert_uint_lt(stats.jitter_us, 2000);
	ck_assert_uint_ge(stats.target_us, 20000);
	ck_assert_uint_le(stats.target_us, 40000);
	ck_assert_uint_le(stats.delay_us, stats.target_us + 30000);
	ck_assert_uint_eq(stats.lost + stats.late + stats.duplicates + stats.discarded + stats.resyncs, 0);
	ck_assert_uint_eq(line->heard[RTP_JITTER_LOST - 1] + line->heard[RTP_JITTER_WAIT - 1], 0);
	ck_assert_uint_eq(stats.concealed_us, 0);
	ck_assert_uint_ge(line->newest_heard, 2995);
}
END_TEST

START_TEST(delays_of_60_ms_give_or_take_30_lose_next_to_nothing)
{
	AUTO(line) struct line *line = line_with(&usual);
	uint64_t targets_us = 0;

	for (uint32_t i = 0; i < 3000; i++) {
		double delay_ms = 60 + 30 * normal(line);

		say(line, delay_ms > 0 ? (uint64_t)(delay_ms * 1000) : 0);
		targets_us += i >= 500 ? stats_of(line).target_us : 0;
	}
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_ge(targets_us / 2500, 80000); /* the percentile of 500 of them scatters by some 4 ms */
	ck_assert_uint_le(targets_us / 2500, 140000);
	ck_assert_uint_lt(stats.late + stats.lost, 15); /* 0.5 % */
}
END_TEST

START_TEST(what_is_lost_is_concealed_and_no_more)
{
	AUTO(line) struct line *line = line_with(&usual);
	uint32_t lost = 0;

	say_for(line, 2000, 40000);
	for (uint32_t i = 0; i < 6000; i++) {
		if (chance(line) < 0.05) {
			lost++;
			tick(line);
		} else {
			say(line, 40000);
		}
	}
	say_for(line, 200, 40000);
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_gt(lost, 250);
	ck_assert_uint_eq(stats.lost, lost);
	ck_assert_uint_eq(stats.late, 0);
	ck_assert_uint_ge(stats.concealed_us, lost * FRAME_US - 600000); /* of two minutes, give or take half a percent */
	ck_assert_uint_le(stats.concealed_us, lost * FRAME_US + 600000);
	ck_assert_uint_le(line->silent_us, 100000); /* before the first packet */
}
END_TEST

START_TEST(the_packet_behind_a_hole_is_shown_for_its_redundancy)
{
	AUTO(line) struct line *line = line_with(&usual);

	for (uint32_t i = 0; i < 1000; i++) { /* uneven enough that the next one is here in time */
		if (i % 20 == 19)
			tick(line);
		else
			say(line, i % 3 * 10000);
	}
	ck_assert_uint_ge(line->recoverable, 45);
}
END_TEST

START_TEST(packets_that_overtake_each_other_are_played_in_order)
{
	AUTO(line) struct line *line = line_with(&usual);

	for (uint32_t i = 0; i < 3000; i++)
		say(line, chance(line) < 0.1 ? 40000 + 2 * FRAME_US + 1000 : 40000);
	struct rtp_jitter_stats stats = stats_of(line);

	check_all_heard(line);
	ck_assert_uint_ge(stats.played, 2990);
}
END_TEST

static void drift_for_ten_minutes(double sender_us)
{
	AUTO(line) struct line *line = line_with(&usual);
	struct rtp_jitter_stats before, stats;

	line->sender_us = sender_us;
	say_for(line, 20000, 40000);
	before = stats_of(line);
	for (uint32_t window = 0; window < 6; window++) {
		line->stretched_us = 0;
		say_for(line, 100000, 40000);
		ck_assert_uint_le(line->stretched_us, FRAME_US + 5000); /* a frame in 100 s, in pieces */
	}
	stats = stats_of(line);
	ck_assert_uint_eq(stats.resyncs, 0);
	check_all_heard(line);
	ck_assert_uint_eq(stats.concealed_us, before.concealed_us);
	ck_assert_uint_le(stats.delay_us, 60000);
}

START_TEST(a_sender_whose_clock_is_fast_is_hurried_after)
{
	drift_for_ten_minutes(FRAME_US * (1 - 200e-6));
}
END_TEST

START_TEST(a_sender_whose_clock_is_slow_is_waited_for)
{
	drift_for_ten_minutes(FRAME_US * (1 + 200e-6));
}
END_TEST

START_TEST(timestamps_that_leap_by_an_hour_are_followed)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 3000, 40000);
	line->timestamp += 3600u * 8000;
	uint32_t last_before = line->number - 1;

	say_for(line, 300, 40000);
	ck_assert_uint_ge(line->newest_heard, last_before + 8);
	ck_assert_uint_le(line->silent_us + line->waited_us, 200000);
	ck_assert_uint_eq(stats_of(line).resyncs, 1);
	say_for(line, 5000, 40000);
	ck_assert_uint_eq(stats_of(line).resyncs, 1);
}
END_TEST

/* ---- other senders ---- */

START_TEST(one_packet_with_a_mad_timestamp_changes_nothing)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 2000, 40000);
	for (int i = 0; i < 10; i++) {
		struct packet mad = next_packet(line, 40000);

		mad.timestamp += 8000u * 77;
		post(line, &mad);
		tick(line);
		say_for(line, 400, 40000);
	}
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_eq(stats.resyncs, 0);
	ck_assert_uint_eq(stats.discarded, 10);
	ck_assert_uint_eq(stats.lost, 10);
}
END_TEST

START_TEST(another_ssrc_goes_on_where_the_one_before_was)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 2000, 40000);
	line->ssrc = 0x777;
	line->sequence = (uint16_t)(line->sequence + 30000);
	line->timestamp += 123456789;
	say_for(line, 2000, 40000);
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_eq(stats.resyncs, 1);
	check_all_heard(line);
	ck_assert_uint_eq(stats.concealed_us, 0);
	ck_assert_uint_ge(line->newest_heard, 195);
}
END_TEST

START_TEST(a_sequence_that_stays_behind_is_believed_after_a_hundred_packets)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 2000, 40000);
	line->sequence = (uint16_t)(line->sequence - 20);
	line->number += 10000; /* told apart from those that were heard */
	say_for(line, 6000, 40000);
	ck_assert_uint_eq(stats_of(line).resyncs, 0); /* twenty of them were duplicates, then they were new */
	ck_assert_uint_gt(line->newest_heard, 10000);
	line->sequence = (uint16_t)(line->sequence - 30000);
	say_for(line, 200, 40000);
	ck_assert_uint_eq(stats_of(line).resyncs, 1);
}
END_TEST

START_TEST(duplicates_are_played_once)
{
	AUTO(line) struct line *line = line_with(&usual);

	for (uint32_t i = 0; i < 500; i++) {
		struct packet soon = next_packet(line, 41000), late = next_packet(line, 300000);

		post(line, &soon);
		post(line, &late);
		say(line, 40000);
	}
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_ge(stats.played + stats.duplicates + 3, stats.received);
	ck_assert_uint_eq(stats.late + stats.lost, 0);
}
END_TEST

START_TEST(late_is_told_from_lost)
{
	AUTO(line)
	struct line *line = line_with(&(struct rtp_jitter_config){
		.clock_hz = 8000, .frame_units = FRAME_UNITS, .slot_bytes = 8, .initial_ms = 40, .least_ms = 20, .most_ms = 200 });

	for (uint32_t i = 0; i < 1000; i++)
		say(line, i % 100 == 50 ? 150000 : 40000);
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_eq(stats.late, 10);
	ck_assert_uint_eq(stats.lost, 0);
	ck_assert_uint_eq(stats.target_us, 40000); /* not adaptive */
}
END_TEST

/* ---- silence ---- */

START_TEST(silence_is_no_loss)
{
	AUTO(line) struct line *line = line_with(&usual);

	for (int i = 0; i < 10; i++) {
		say_for(line, 1000, 40000);
		say_nothing_for(line, 700); /* timestamps go on, sequence numbers do not */
	}
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_eq(stats.lost + stats.late + stats.resyncs, 0);
	ck_assert_uint_eq(stats.played, 500);
	/* Nobody said that it would begin: a hole is concealed until the listener gives up. */
	ck_assert_uint_le(stats.concealed_us, 10 * 200000);
}
END_TEST

START_TEST(silence_that_was_announced_is_not_concealed)
{
	AUTO(line) struct line *line = line_with(&usual);

	for (int i = 0; i < 10; i++) {
		say_for(line, 1000, 40000);
		struct packet noise = next_packet(line, 40000);

		noise.kind = RTP_JITTER_QUIET;
		post(line, &noise);
		tick(line);
		say_nothing_for(line, 700);
	}
	ck_assert_uint_eq(stats_of(line).concealed_us, 0);
	ck_assert_uint_eq(line->heard[RTP_JITTER_WAIT - 1] + line->heard[RTP_JITTER_LOST - 1], 0);
	ck_assert_uint_eq(stats_of(line).played, 510);
}
END_TEST

START_TEST(a_key_press_is_neither_heard_nor_missed)
{
	AUTO(line) struct line *line = line_with(&usual);

	for (int i = 0; i < 10; i++) {
		say_for(line, 1000, 40000);
		uint32_t pressed_at = line->timestamp;

		for (int n = 0; n < 10; n++) { /* all have the timestamp of the beginning */
			struct packet event = next_packet(line, 40000);

			event.kind = RTP_JITTER_EVENT;
			event.timestamp = pressed_at;
			post(line, &event);
			tick(line);
		}
	}
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_eq(stats.lost + stats.late + stats.resyncs, 0);
	ck_assert_uint_eq(stats.played, 500);
	ck_assert_uint_le(stats.concealed_us, 10 * 20000);
	ck_assert_uint_ge(line->silent_us, 9 * 150000);
}
END_TEST

START_TEST(a_phone_whose_timestamps_stand_still_on_hold_is_heard_at_once)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 2000, 40000);
	uint32_t timestamp = line->timestamp, before = line->number;

	say_nothing_for(line, 30000);
	line->timestamp = timestamp;
	say_for(line, 200, 40000);
	ck_assert_uint_ge(line->newest_heard, before + 4);
}
END_TEST

/* ---- networks ---- */

START_TEST(a_stall_makes_a_delay_that_goes_away_again)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 12000, 40000);
	for (uint32_t left_us = 600000; left_us > 0; left_us -= FRAME_US)
		say(line, 40000 + left_us); /* held back, and let go at once */
	say_for(line, 1000, 40000);
	ck_assert_uint_le(stats_of(line).delay_us, 240000);
	ck_assert_uint_ge(stats_of(line).discarded, 10);
	say_for(line, 25000, 40000);
	ck_assert_uint_le(stats_of(line).delay_us, 60000);
}
END_TEST

START_TEST(a_longer_way_is_heard_and_a_shorter_one_too)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 12000, 40000);
	say_for(line, 12000, 340000);
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_eq(stats.lost + stats.discarded, 0);
	ck_assert_uint_le(stats.target_us, 40000);
	say_for(line, 12000, 40000);
	say_for(line, 12000, 40000);
	stats = stats_of(line);
	ck_assert_uint_le(stats.delay_us, 60000);
}
END_TEST

START_TEST(falls_by_at_most_a_frame_a_second)
{
	AUTO(line) struct line *line = line_with(&usual);

	for (uint32_t i = 0; i < 1000; i++)
		say(line, i % 2 ? 40000 : 150000);
	uint32_t second_ago_us = stats_of(line).delay_us;

	for (uint32_t i = 0; i < 30; i++) {
		say_for(line, 1000, 40000);
		ck_assert_uint_le(second_ago_us, stats_of(line).delay_us + FRAME_US + 5000);
		second_ago_us = stats_of(line).delay_us;
	}
	ck_assert_uint_le(second_ago_us, 60000);
}
END_TEST

START_TEST(a_listener_who_cannot_stretch_is_served_as_well)
{
	AUTO(line) struct line *line = line_with(&usual);

	line->obedient = false;
	for (uint32_t i = 0; i < 3000; i++)
		say(line, (uint64_t)(chance(line) * 60000));
	struct rtp_jitter_stats stats = stats_of(line);

	ck_assert_uint_lt(stats.late + stats.lost, 30);
}
END_TEST

START_TEST(a_stream_that_was_heard_before_does_not_pause)
{
	AUTO(line) struct line *line = line_with(&usual);

	rtp_jitter_go_on(line->jitter);
	line->due_us = line->sent_at_us + 45000; /* five milliseconds after the first one */
	say_for(line, 100, 40000);
	ck_assert_uint_ge(line->newest_heard, 2);
	ck_assert_uint_eq(line->silent_us + line->waited_us, 0);
	say_for(line, 1000, 40000);
	ck_assert_uint_ge(stats_of(line).delay_us, 40000); /* it has lengthened */
}
END_TEST

START_TEST(who_takes_nothing_for_a_minute_gets_the_newest)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 1000, 40000);
	line->due_us += 60 * SECOND_US;
	say_for(line, 60000, 40000);
	say_for(line, 200, 40000);
	ck_assert_uint_ge(line->newest_heard + 15, line->number);
}
END_TEST

/* 50 ms are aimed at. The tenth packet is lost, the eleventh comes when its turn is but 3 ms away: a longer hole would be worse. */
START_TEST(a_hole_ends_with_a_packet_that_is_almost_due)
{
	struct rtp_jitter_config config = usual;
	struct rtp_jitter_frame frame = { 0 };
	uint8_t payload[8] = { 0 };
	struct rtp_jitter_packet packet = { .ssrc = 1, .payload = payload, .bytes = sizeof payload, .units = FRAME_UNITS };
	uint64_t due_us = SECOND_US + 7000;

	config.adaptive = false;
	AUTO(line) struct line *line = line_with(&config);
	struct rtp_jitter *jitter = line->jitter;

	for (; packet.sequence < 10; packet.sequence++, packet.timestamp += FRAME_UNITS)
		rtp_jitter_put(jitter, &packet, SECOND_US + packet.sequence * FRAME_US);
	for (uint32_t heard = 0; heard < 10; due_us += frame.units * 125u) {
		rtp_jitter_get(jitter, due_us, &frame);
		heard += frame.what == RTP_JITTER_PLAY;
	}
	ck_assert_uint_eq(due_us, SECOND_US + 257000);
	rtp_jitter_get(jitter, due_us, &frame);
	ck_assert_uint_eq(frame.what, RTP_JITTER_WAIT);
	packet.sequence++;
	packet.timestamp += FRAME_UNITS;
	rtp_jitter_put(jitter, &packet, SECOND_US + 262000);
	rtp_jitter_get(jitter, SECOND_US + 267000, &frame);
	ck_assert_uint_eq(frame.what, RTP_JITTER_PLAY);
}
END_TEST

START_TEST(a_payload_that_is_too_long_is_refused)
{
	AUTO(line) struct line *line = line_with(&usual);
	uint8_t payload[9] = { 0 };
	struct rtp_jitter_packet packet = { .ssrc = 1, .payload = payload, .bytes = sizeof payload, .units = FRAME_UNITS };

	rtp_jitter_put(line->jitter, &packet, 1);
	ck_assert_uint_eq(stats_of(line).discarded, 1);
}
END_TEST

START_TEST(another_clock_begins_anew)
{
	AUTO(line) struct line *line = line_with(&usual);

	say_for(line, 2000, 40000);
	say_nothing_for(line, 60);
	rtp_jitter_restart(line->jitter, 8000, FRAME_UNITS);
	line->timestamp += 99999999;
	say_for(line, 2000, 40000);
	ck_assert_uint_ge(line->newest_heard, 195);
	ck_assert_uint_eq(stats_of(line).resyncs, 0);
}
END_TEST

CHECK_MAIN("jitter", an_even_stream_is_played_without_a_hole_and_soon, delays_of_60_ms_give_or_take_30_lose_next_to_nothing,
	   what_is_lost_is_concealed_and_no_more, the_packet_behind_a_hole_is_shown_for_its_redundancy,
	   packets_that_overtake_each_other_are_played_in_order, a_sender_whose_clock_is_fast_is_hurried_after,
	   a_sender_whose_clock_is_slow_is_waited_for, timestamps_that_leap_by_an_hour_are_followed,
	   one_packet_with_a_mad_timestamp_changes_nothing, another_ssrc_goes_on_where_the_one_before_was,
	   a_sequence_that_stays_behind_is_believed_after_a_hundred_packets, duplicates_are_played_once, late_is_told_from_lost,
	   silence_is_no_loss, silence_that_was_announced_is_not_concealed, a_key_press_is_neither_heard_nor_missed,
	   a_phone_whose_timestamps_stand_still_on_hold_is_heard_at_once, a_stall_makes_a_delay_that_goes_away_again,
	   a_longer_way_is_heard_and_a_shorter_one_too, falls_by_at_most_a_frame_a_second, a_listener_who_cannot_stretch_is_served_as_well,
	   a_stream_that_was_heard_before_does_not_pause, who_takes_nothing_for_a_minute_gets_the_newest,
	   a_hole_ends_with_a_packet_that_is_almost_due, a_payload_that_is_too_long_is_refused, another_clock_begins_anew)
