/* tests/rtp/test_relay.c - two phones talk through us, and nobody else */
#include "../check_main.h"
#include "rig.h"
#include <rtp/level.h>

#include <arpa/inet.h>
#include <poll.h>
#include <rtp/g711.h>

static struct phone alice, bob;

static void call(const char *alice_codecs, const char *bob_codecs)
{
	rig_call(&alice, alice_codecs, &bob, bob_codecs);
}

static void hang_up(void)
{
	rig_hang_up(&alice, &bob);
}

static void reconfigure(struct phone *phone, const char *codecs, const struct core_addr *rtp)
{
	struct core_stream_config config;

	phone_config(phone, codecs, &config);
	config.rtp = *rtp;
	ck_assert_int_eq(rtp_driver.configure(phone->stream, &config), PBX_OK);
	core_loop_settle();
}

START_TEST(both_hear_each_other_under_one_ssrc_each)
{
	struct heard_packet first, packet;

	call("PCMU", "PCMU");
	phone_say(&alice, 1);
	first = phone_must_hear(&bob);
	ck_assert(first.marker);
	ck_assert_uint_eq(first.ssrc, rig_stats(bob.stream).send_ssrc);
	ck_assert_uint_ne(first.ssrc, alice.ssrc);
	for (uint16_t i = 1; i <= 50; i++) {
		phone_say(&alice, (uint8_t)i);
		packet = phone_must_hear(&bob);
		ck_assert(!packet.marker);
		ck_assert_uint_eq(packet.ssrc, first.ssrc);
		ck_assert_uint_eq(packet.sequence, (uint16_t)(first.sequence + i));
		ck_assert_uint_eq(packet.timestamp, first.timestamp + 160u * i);
		ck_assert_uint_eq(packet.bytes, 160);
		ck_assert_uint_eq(packet.payload[159], i);
	}
	phone_say(&bob, 77);
	ck_assert_uint_eq(phone_must_hear(&alice).payload[0], 77);
	ck_assert_uint_eq(rig_stats(alice.stream).packets_in, 51);
	ck_assert_uint_eq(rig_stats(bob.stream).packets_out, 51);
	rig_until(rig_heard.first_packets == 2);
	hang_up();
}
END_TEST

START_TEST(works_over_ipv6_and_between_the_two_worlds)
{
	rig_start();
	phone_init(&alice, AF_INET6);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMA");
	phone_call(&bob, 1, "PCMA");
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	core_loop_settle();
	phone_say(&alice, 3);
	ck_assert_uint_eq(phone_must_hear(&bob).payload[0], 3);
	phone_say(&bob, 4);
	ck_assert_uint_eq(phone_must_hear(&alice).payload[0], 4);
	hang_up();
}
END_TEST

START_TEST(what_follows_a_command_finds_it_obeyed)
{
	struct pollfd at_bob;

	rig_start();
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_call(&bob, 1, "PCMU");
	core_loop_settle();
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	phone_say(&alice, 9); /* as a phone does that has our answer before our callback is over: the worker was not called yet */
	at_bob = (struct pollfd){ .fd = bob.rtp_fd, .events = POLLIN };
	ck_assert_int_eq(poll(&at_bob, 1, 30000), 1);
	ck_assert_uint_eq(phone_must_hear(&bob).payload[0], 9);
	hang_up();
}
END_TEST

START_TEST(loss_and_order_of_the_source_are_kept)
{
	struct heard_packet first;

	call("PCMU", "PCMU");
	for (int i = 0; i < 3; i++)
		phone_say(&alice, 0);
	first = phone_must_hear(&bob);
	(void)phone_must_hear(&bob), (void)phone_must_hear(&bob);
	alice.sequence = (uint16_t)(alice.sequence + 2); /* two are lost */
	alice.timestamp += 320;
	phone_say(&alice, 5);
	ck_assert_uint_eq(phone_must_hear(&bob).sequence, (uint16_t)(first.sequence + 5));
	alice.sequence = (uint16_t)(alice.sequence - 2); /* and one of them was only late */
	phone_say(&alice, 4);
	ck_assert_uint_eq(phone_must_hear(&bob).sequence, (uint16_t)(first.sequence + 4));
	ck_assert_uint_eq(rig_stats(alice.stream).lost, 1);
	ck_assert_uint_eq(rig_stats(alice.stream).late, 1);
	hang_up();
}
END_TEST

START_TEST(payload_types_become_those_of_the_receiver)
{
	struct core_stream_config config;

	call("PCMU", "PCMU");
	phone_config(&alice, "OPUS", &config);
	config.codecs[0].payload_type = config.receive_types[0] = 107;
	config.dtmf_type = config.dtmf_receive_type = 96;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	phone_config(&bob, "OPUS", &config);
	config.codecs[0].payload_type = 111;
	config.receive_types[0] = 112;
	config.dtmf_type = 100;
	ck_assert_int_eq(rtp_driver.configure(bob.stream, &config), PBX_OK);
	core_loop_settle();
	phone_send_type(&alice, 107, false, "opaque", 6);
	ck_assert_uint_eq(phone_must_hear(&bob).type, 111);
	phone_send_type(&alice, 96, true, "\1\2\0\240", 4);
	ck_assert_uint_eq(phone_must_hear(&bob).type, 100);
	phone_send_type(&bob, 112, false, "opaque", 6);
	ck_assert_uint_eq(phone_must_hear(&alice).type, 107);
	phone_send_type(&bob, 111, false, "opaque", 6); /* not what it said it would send */
	rig_until(rig_stats(bob.stream).malformed == 1);
	ck_assert_int_eq(phone_forget(&alice), 0);
	hang_up();
}
END_TEST

START_TEST(one_law_is_translated_to_the_other)
{
	struct heard_packet packet;

	call("PCMU", "PCMA");
	phone_say(&alice, 0x90);
	packet = phone_must_hear(&bob);
	ck_assert_uint_eq(packet.type, 8);
	ck_assert_uint_eq(packet.payload[7], rtp_g711_encode(RTP_LAW_A, rtp_g711_decode(RTP_LAW_MU, 0x90)));
	phone_say(&bob, 0xd5);
	packet = phone_must_hear(&alice);
	ck_assert_uint_eq(packet.type, 0);
	ck_assert_int_le(abs(rtp_g711_decode(RTP_LAW_MU, packet.payload[7])), 8);
	hang_up();
}
END_TEST

/* 30 ms in, 20 ms out: as many octets, in order, one frame every 20 ms. */
START_TEST(frames_are_cut_to_the_receivers_length)
{
	struct heard_packet packet = { 0 }, before;
	uint8_t payload[240], expected = 0;
	int gaps = 0;

	call("PCMU", "PCMU");
	uint64_t next_us = core_now_us();

	for (int sent = 0, heard = 0; heard < 60;) {
		if (sent < 40 && core_now_us() >= next_us) {
			for (size_t i = 0; i < sizeof payload; i++)
				payload[i] = (uint8_t)(sent * 240 + (int)i);
			phone_send(&alice, payload, sizeof payload);
			sent++;
			next_us += 30000;
		}
		before = packet;
		if (!phone_hear(&bob, &packet, sent < 40 ? 1 : 1000))
			continue;
		ck_assert_uint_eq(packet.bytes, 160);
		for (size_t i = 0; i < packet.bytes; i++)
			ck_assert_uint_eq(packet.payload[i], expected++);
		if (heard++ > 0) {
			ck_assert_uint_eq(packet.sequence, (uint16_t)(before.sequence + 1));
			ck_assert_uint_eq(packet.timestamp, before.timestamp + 160);
			gaps += packet.at_us - before.at_us > 12000 && packet.at_us - before.at_us < 28000;
		}
	}
	ck_assert_int_gt(gaps, 30); /* the middle one is 20 ms even on a busy machine */
	hang_up();
}
END_TEST

START_TEST(a_stranger_is_dropped_and_counted)
{
	struct phone mallory;

	call("PCMU", "PCMU");
	phone_init(&mallory, AF_INET);
	mallory.pbx = alice.pbx;
	phone_say(&alice, 1);
	(void)phone_must_hear(&bob);
	for (int i = 0; i < 20; i++)
		phone_say(&mallory, 66);
	rig_until(rig_stats(alice.stream).foreign == 20);
	ck_assert_int_eq(phone_forget(&bob), 0);
	phone_say(&bob, 2);
	(void)phone_must_hear(&alice);
	ck_assert_int_eq(phone_forget(&mallory), 0);
	phone_fini(&mallory);
	hang_up();
}
END_TEST

/* SDP named an address that nobody hears at; the phone is behind a NAT. */
START_TEST(a_phone_behind_nat_is_learned_after_four_packets)
{
	struct phone natted;

	call("PCMU", "PCMU");
	phone_init(&natted, AF_INET);
	natted.pbx = alice.pbx;
	for (int i = 0; i < 3; i++)
		phone_say(&natted, 1);
	rig_until(rig_stats(alice.stream).foreign == 3);
	ck_assert_int_eq(phone_forget(&bob), 0);
	phone_say(&natted, 9);
	ck_assert_uint_eq(phone_must_hear(&bob).payload[0], 9);
	phone_say(&bob, 2);
	ck_assert_uint_eq(phone_must_hear(&natted).payload[0], 2);
	rig_until(rig_heard.sources == 1);
	ck_assert_uint_eq(rig_heard.source.in4.sin_port, natted.rtp.in4.sin_port);
	ck_assert_uint_eq(rig_stats(alice.stream).remote.in4.sin_port, natted.rtp.in4.sin_port);
	phone_fini(&natted);
	hang_up();
}
END_TEST

START_TEST(four_packets_must_follow_one_another)
{
	struct phone a, b;

	call("PCMU", "PCMU");
	phone_init(&a, AF_INET);
	phone_init(&b, AF_INET);
	a.pbx = b.pbx = alice.pbx;
	for (int i = 0; i < 10; i++) { /* two who take turns */
		phone_say(&a, 1);
		phone_say(&b, 1);
	}
	for (int i = 0; i < 10; i++) { /* one whose sequence falls */
		phone_say(&a, 1);
		a.sequence = (uint16_t)(a.sequence - 2);
	}
	for (int i = 0; i < 10; i++) { /* one who changes its SSRC */
		phone_say(&a, 1);
		a.ssrc++;
	}
	a.type = 18; /* one who speaks what was not agreed on */
	for (int i = 0; i < 10; i++)
		phone_say(&a, 1);
	rig_until(rig_stats(alice.stream).foreign == 50);
	ck_assert_int_eq(phone_forget(&bob), 0);
	phone_fini(&a);
	phone_fini(&b);
	hang_up();
}
END_TEST

START_TEST(the_address_of_sdp_takes_the_place_of_whoever_came_first)
{
	struct phone mallory;

	call("PCMU", "PCMU");
	phone_init(&mallory, AF_INET);
	mallory.pbx = alice.pbx;
	for (int i = 0; i < 5; i++)
		phone_say(&mallory, 66);
	(void)phone_must_hear(&bob); /* latched: alice has been silent */
	(void)phone_forget(&bob);
	phone_say(&alice, 1);
	rig_until(rig_stats(alice.stream).packets_in >= 3);
	(void)phone_forget(&bob);
	for (int i = 0; i < 20; i++)
		phone_say(&mallory, 66);
	phone_say(&bob, 2);
	ck_assert_uint_eq(phone_must_hear(&alice).payload[0], 2);
	ck_assert_int_eq(phone_forget(&mallory), 0);
	phone_fini(&mallory);
	hang_up();
}
END_TEST

/* A socket on another address of this house. */
static void move_to(struct phone *phone, const char *address)
{
	struct sockaddr_in other = { .sin_family = AF_INET };

	ck_assert_int_eq(inet_pton(AF_INET, address, &other.sin_addr), 1);
	(void)close(phone->rtp_fd);
	phone->rtp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(phone->rtp_fd, (struct sockaddr *)&other, sizeof other), 0);
}

START_TEST(where_nat_is_strict_another_port_is_learned_and_another_host_is_not)
{
	struct phone moved;

	rig_settings.nat = "strict";
	call("PCMU", "PCMU");
	phone_init(&moved, AF_INET);
	move_to(&moved, "127.0.0.2");
	moved.pbx = alice.pbx;
	for (int i = 0; i < 10; i++)
		phone_say(&moved, 1);
	rig_until(rig_stats(alice.stream).foreign == 10);
	ck_assert_int_eq(phone_forget(&bob), 0);
	move_to(&moved, "127.0.0.1");
	for (int i = 0; i < 4; i++)
		phone_say(&moved, 9);
	ck_assert_uint_eq(phone_must_hear(&bob).payload[0], 9);
	phone_fini(&moved);
	hang_up();
}
END_TEST

START_TEST(nothing_is_learned_when_nat_is_off)
{
	struct phone natted;

	rig_settings.nat = "off";
	call("PCMU", "PCMU");
	phone_init(&natted, AF_INET);
	natted.pbx = alice.pbx;
	for (int i = 0; i < 10; i++)
		phone_say(&natted, 1);
	rig_until(rig_stats(alice.stream).foreign == 10);
	ck_assert_int_eq(phone_forget(&bob), 0);
	phone_fini(&natted);
	hang_up();
}
END_TEST

START_TEST(a_new_offer_moves_the_source_and_the_stream_goes_on)
{
	struct heard_packet before, after;
	struct phone elsewhere;

	call("PCMU", "PCMU");
	phone_say(&alice, 1);
	before = phone_must_hear(&bob);
	phone_init(&elsewhere, AF_INET);
	elsewhere.pbx = alice.pbx;
	reconfigure(&alice, "PCMU", &elsewhere.rtp);
	phone_say(&elsewhere, 2);
	after = phone_must_hear(&bob);
	ck_assert_uint_eq(after.ssrc, before.ssrc);
	ck_assert_uint_eq(after.sequence, (uint16_t)(before.sequence + 1));
	ck_assert(after.marker);
	ck_assert_uint_ge(after.timestamp - before.timestamp, 160);
	phone_say(&alice, 3); /* the old place has no say any more */
	rig_until(rig_stats(alice.stream).foreign == 1);
	phone_say(&bob, 4);
	ck_assert_uint_eq(phone_must_hear(&elsewhere).payload[0], 4);
	phone_fini(&elsewhere);
	hang_up();
}
END_TEST

START_TEST(after_the_next_answer_a_rebound_nat_is_followed)
{
	struct phone rebound;

	call("PCMU", "PCMU");
	phone_say(&alice, 1);
	(void)phone_must_hear(&bob);
	phone_init(&rebound, AF_INET);
	rebound.pbx = alice.pbx;
	reconfigure(&alice, "PCMU", &alice.rtp); /* SDP says the same as before */
	for (int i = 0; i < 4; i++)
		phone_say(&rebound, 5);
	ck_assert_uint_eq(phone_must_hear(&bob).payload[0], 5);
	phone_fini(&rebound);
	hang_up();
}
END_TEST

START_TEST(broken_packets_are_counted_and_go_nowhere)
{
	static const struct {
		const char *data;
		size_t size;
	} broken[] = {
		{ "\x80\x00\x00", 3 },
		{ "\x40\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01", 12 },                 /* version 1 */
		{ "\x8f\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01xxxx", 16 },             /* 15 CSRCs, room for one */
		{ "\x90\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\xff\xff", 16 }, /* extension beyond the end */
		{ "\xa0\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01xx\xff", 15 },           /* more padding than packet */
		{ "\xa0\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01xx\x00", 15 },           /* padding of nothing */
		{ "\x00\x01\x00\x00\x21\x12\xa4\x42xxxxxxxxxxxx", 20 },                     /* STUN */
	};

	call("PCMU", "PCMU");
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
		phone_send_raw(&alice, broken[i].data, broken[i].size);
	rig_until(rig_stats(alice.stream).malformed == sizeof broken / sizeof broken[0]);
	ck_assert_int_eq(phone_forget(&bob), 0);
	/* CSRCs, extension and padding that are right are taken off. */
	phone_send_raw(&alice,
		       "\xb1\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01"
		       "csrc"
		       "\xbe\xde\x00\x01"
		       "extn"
		       "hello"
		       "\x00\x00\x03",
		       12 + 4 + 8 + 5 + 3);
	struct heard_packet packet;

	reconfigure(&bob, "OPUS", &bob.rtp);
	reconfigure(&alice, "OPUS", &alice.rtp);
	(void)phone_forget(&bob);
	phone_send_raw(&alice,
		       "\xb1\x62\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01"
		       "csrc"
		       "\xbe\xde\x00\x01"
		       "extn"
		       "hello"
		       "\x00\x00\x03",
		       12 + 4 + 8 + 5 + 3);
	packet = phone_must_hear(&bob);
	ck_assert_uint_eq(packet.bytes, 5);
	ck_assert_mem_eq(packet.payload, "hello", 5);
	hang_up();
}
END_TEST

START_TEST(streams_of_different_workers_meet_without_losing_a_packet)
{
	enum { ROUNDS = 20, PACKETS = 10 };
	struct core_stream_config config;
	struct heard_packet packet;

	rig_start();
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_call(&bob, 2, "PCMU");
	ck_assert_uint_ne(rig_stats(alice.stream).worker, rig_stats(bob.stream).worker);
	phone_config(&bob, "PCMU", &config);
	for (int round = 0; round < ROUNDS; round++) {
		/* Sent before and while they meet: all wait in the sockets or are heard. */
		ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
		ck_assert_int_eq(rtp_driver.set_held(bob.stream, false), PBX_OK);
		core_loop_settle();
		ck_assert_uint_eq(rig_stats(alice.stream).worker, rig_stats(bob.stream).worker);
		for (int i = 0; i < PACKETS; i++) {
			phone_say(&bob, (uint8_t)i);
			phone_say(&alice, (uint8_t)i);
		}
		for (int i = 0; i < PACKETS; i++) {
			packet = phone_must_hear(&alice);
			ck_assert_int_eq(packet.payload[0], i);
			packet = phone_must_hear(&bob);
			ck_assert_int_eq(packet.payload[0], i);
		}
	}
	hang_up();
}
END_TEST

START_TEST(what_the_kernel_dropped_is_told)
{
	struct rtp_totals totals;

	rig_start();
	phone_init(&alice, AF_INET);
	ck_assert_int_eq(rtp_driver.open(1, AF_INET, &alice.stream, &alice.pbx), PBX_OK);
	for (int i = 0; i < 2000; i++) /* nobody reads before this callback is over */
		phone_say(&alice, 0);
	uint64_t dropped = rig_stats(alice.stream).dropped;

	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_lt(dropped, 2000);
	phone_fini(&alice);
	core_loop_settle();
	rig_until((rtp_engine_totals(&totals), totals.streams == 0));
	ck_assert_uint_eq(totals.dropped, dropped);
	rig_stop();
}
END_TEST

START_TEST(closing_right_after_a_meeting_is_safe)
{
	rig_start();
	for (int round = 0; round < 20; round++) {
		phone_init(&alice, AF_INET);
		phone_init(&bob, AF_INET);
		phone_call(&alice, 100 + 2 * (uint64_t)round, "PCMU");
		phone_call(&bob, 101 + 2 * (uint64_t)round, "PCMU");
		ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
		ck_assert_int_eq(rtp_driver.connect(bob.stream, alice.stream), PBX_OK);
		rig_play(bob.stream, CORE_PLAY_TONE, "dial", 1);
		phone_fini(round % 2 ? &alice : &bob);
		phone_fini(round % 2 ? &bob : &alice);
	}
	rig_stop();
}
END_TEST

START_TEST(silence_is_told_once_and_again_after_speech)
{
	rig_settings.timeout_s = 1;
	rig_settings.hold_timeout_s = 0;
	call("PCMU", "PCMU");
	ck_assert_int_eq(rtp_driver.set_held(bob.stream, true), PBX_OK); /* held: may be silent for ever here */
	rig_until(rig_heard.silences == 1);
	ck_assert_uint_ge(rig_heard.silent_ms, 1000);
	phone_say(&alice, 1);
	rig_until(rig_heard.silences == 2);
	hang_up();
}
END_TEST

START_TEST(a_held_direction_hears_and_says_nothing)
{
	struct core_stream_config config;

	call("PCMU", "PCMU");
	phone_config(&bob, "PCMU", &config);
	config.direction = 0;
	ck_assert_int_eq(rtp_driver.configure(bob.stream, &config), PBX_OK);
	core_loop_settle();
	phone_say(&alice, 1);
	phone_say(&bob, 2);
	rig_until(rig_stats(alice.stream).packets_in == 1 && rig_stats(bob.stream).packets_in == 1);
	ck_assert_int_eq(phone_forget(&alice) + phone_forget(&bob), 0);
	hang_up();
}
END_TEST

START_TEST(stale_streams_and_an_empty_range_are_ordinary_answers)
{
	struct core_stream_config config;
	core_stream streams[2], stream;
	struct core_addr local;

	rig_settings.port_min = 8000 + (uint32_t)getpid() % 200 * 4; /* in nobody else's range: none of the four is to be taken */
	rig_settings.port_max = rig_settings.port_min + 4;
	rig_start();
	phone_init(&alice, AF_INET);
	phone_config(&alice, "PCMU", &config);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(rtp_driver.open(1, AF_INET, &streams[i], &local), PBX_OK);
	ck_assert_int_eq(rtp_driver.open(1, AF_INET, &stream, &local), PBX_ENOSPC);
	ck_assert_int_eq(rig_heard.ports_low, 1); /* however small the range: none is less than a tenth of it */
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(rtp_driver.close(streams[i]), PBX_OK);
	ck_assert_int_eq(rtp_driver.close(streams[0]), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.configure(streams[0], &config), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.connect(streams[0], streams[1]), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.stop(streams[0]), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.play(streams[0], &(struct core_play){ .kind = CORE_PLAY_TONE, .text = "dial" }), PBX_ENOENT);
	core_loop_settle();
	ck_assert_int_eq(rtp_driver.open(1, AF_INET, &stream, &local), PBX_OK); /* no quarantine here */
	ck_assert_int_eq(rtp_driver.close(stream), PBX_OK);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

static void agree_on_levels(struct phone *phone, const char *codecs, uint8_t id)
{
	struct core_stream_config config;

	phone_config(phone, codecs, &config);
	config.level_id = phone->level_id = id;
	ck_assert_int_eq(rtp_driver.configure(phone->stream, &config), PBX_OK);
	rig_obeyed(1);
}

START_TEST(levels_are_passed_on_measured_or_left_out)
{
	uint8_t loud[] = { 0x90, 0, 0, 50, 0, 0, 0, 160, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 0x10, 0x94, 0, 0, 'o', 'p', 'a', 'q', 'u', 'e' };
	struct heard_packet heard;

	call("L16", "L16"); /* which nobody opens on its way */
	loud[1] = bob.type = 117;
	agree_on_levels(&alice, "L16", 1);
	bob.level_id = 2;
	phone_send_raw(&alice, loud, sizeof loud);
	heard = phone_must_hear(&bob);
	ck_assert_uint_eq(heard.bytes, 6);
	ck_assert_uint_eq(heard.level, 0); /* it has agreed on nothing */
	rig_until(rig_stats(alice.stream).tells_level);
	ck_assert_int_eq(rig_stats(alice.stream).level_dbov, -0x14);
	ck_assert(!rig_stats(bob.stream).tells_level);

	agree_on_levels(&bob, "L16", 2);
	loud[3]++;
	phone_send_raw(&alice, loud, sizeof loud);
	heard = phone_must_hear(&bob);
	ck_assert_uint_eq(heard.level, RTP_LEVEL_TOLD | 0x94);
	ck_assert_uint_eq(heard.bytes, 6);
	ck_assert_mem_eq(heard.payload, "opaque", 6);
	phone_send_type(&bob, 117, false, "opaque", 6);
	ck_assert_uint_eq(phone_must_hear(&alice).level, 0); /* nobody knows */

	agree_on_levels(&alice, "PCMU", 1);
	agree_on_levels(&bob, "PCMU", 2);
	bob.type = 0;
	phone_say(&bob, 0xff);
	heard = phone_must_hear(&alice);
	ck_assert_uint_eq(heard.level, RTP_LEVEL_TOLD | RTP_LEVEL_SILENCE); /* measured */
	ck_assert_uint_eq(heard.bytes, 160);
	hang_up();
}
END_TEST

CHECK_MAIN("relay", both_hear_each_other_under_one_ssrc_each, works_over_ipv6_and_between_the_two_worlds,
	   what_follows_a_command_finds_it_obeyed, loss_and_order_of_the_source_are_kept, payload_types_become_those_of_the_receiver,
	   one_law_is_translated_to_the_other, frames_are_cut_to_the_receivers_length, a_stranger_is_dropped_and_counted,
	   a_phone_behind_nat_is_learned_after_four_packets, four_packets_must_follow_one_another,
	   the_address_of_sdp_takes_the_place_of_whoever_came_first, where_nat_is_strict_another_port_is_learned_and_another_host_is_not,
	   nothing_is_learned_when_nat_is_off, a_new_offer_moves_the_source_and_the_stream_goes_on,
	   after_the_next_answer_a_rebound_nat_is_followed, broken_packets_are_counted_and_go_nowhere,
	   streams_of_different_workers_meet_without_losing_a_packet, closing_right_after_a_meeting_is_safe,
	   what_the_kernel_dropped_is_told, silence_is_told_once_and_again_after_speech, a_held_direction_hears_and_says_nothing,
	   stale_streams_and_an_empty_range_are_ordinary_answers, levels_are_passed_on_measured_or_left_out)
