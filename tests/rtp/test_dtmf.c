/* tests/rtp/test_dtmf.c - key presses as RFC 4733 events, received, passed on, sent */
#include "../check_main.h"
#include "rig.h"

static struct phone alice, bob;

static void call(void)
{
	rig_call(&alice, "PCMU", &bob, "PCMU");
}

static void hang_up(void)
{
	rig_hang_up(&alice, &bob);
}

static void send_event(struct phone *phone, uint8_t code, uint16_t duration, bool end, bool marker)
{
	const uint8_t payload[] = { code, (uint8_t)(end ? 0x8a : 0x0a), (uint8_t)(duration >> 8), (uint8_t)duration };

	phone_send_type(phone, 101, marker, payload, sizeof payload);
}

#define IS_LOST(mask, packet) ((mask) >> (packet)&1u)

/* A key as phones send it: an update each 20 ms, the end three times. A bit set in lost: that packet does not get through. */
static void press(struct phone *phone, uint8_t code, unsigned lost)
{
	for (unsigned packet = 0; packet < 8; packet++) {
		if (IS_LOST(lost, packet))
			phone->sequence++;
		else
			send_event(phone, code, (uint16_t)(160 * (packet < 5 ? packet + 1 : 5)), packet >= 5, packet == 0);
	}
	phone->timestamp += 1600;
}

START_TEST(each_key_is_told_once)
{
	call();
	for (uint8_t code = 0; code < 16; code++)
		press(&alice, code, 0);
	rig_until(strlen(rig_heard.digits) == 16);
	ck_assert_str_eq(rig_heard.digits, "0123456789*#ABCD");
	ck_assert_uint_eq(rig_heard.duration_ms, 100);
	ck_assert_str_eq(rig_heard.downs, "0123456789*#ABCD");
	ck_assert_uint_eq(rig_heard.down_way, CORE_DIGITS_EVENTS);
	hang_up();
}
END_TEST

START_TEST(the_same_key_twice_is_two)
{
	call();
	for (int i = 0; i < 4; i++)
		press(&alice, 1, 0);
	rig_until(strlen(rig_heard.digits) == 4);
	ck_assert_str_eq(rig_heard.digits, "1111");
	hang_up();
}
END_TEST

START_TEST(any_packets_but_one_may_be_lost)
{
	call();
	for (unsigned packet = 0; packet < 8; packet++) {
		press(&alice, (uint8_t)packet, 0xffu & ~(1u << packet)); /* only one gets through */
	}
	rig_until(strlen(rig_heard.digits) == 8);
	ck_assert_str_eq(rig_heard.digits, "01234567");
	ck_assert_str_eq(rig_heard.downs, "01234567");
	hang_up();
}
END_TEST

START_TEST(a_key_without_an_end_is_told_when_nothing_more_comes)
{
	call();
	send_event(&alice, 9, 160, false, true);
	rig_until(rig_heard.keys_down == 1);
	ck_assert_str_eq(rig_heard.downs, "9");
	ck_assert_str_eq(rig_heard.digits, ""); /* it is held */
	send_event(&alice, 9, 320, false, false);
	rig_until(strlen(rig_heard.digits) == 1);
	ck_assert_str_eq(rig_heard.digits, "9");
	send_event(&alice, 9, 480, true, false); /* and not once more when the end comes after all */
	alice.timestamp += 1600;
	press(&alice, 4, 0);
	rig_until(strlen(rig_heard.digits) >= 2);
	ck_assert_str_eq(rig_heard.digits, "94");
	hang_up();
}
END_TEST

START_TEST(what_is_no_key_is_ignored)
{
	call();
	send_event(&alice, 36, 160, true, true); /* CNG */
	send_event(&alice, 200, 160, true, true);
	phone_send_type(&alice, 101, false, "\1\212", 2); /* cut short */
	press(&alice, 7, 0);
	rig_until(strlen(rig_heard.digits) >= 1);
	ck_assert_str_eq(rig_heard.digits, "7");
	hang_up();
}
END_TEST

START_TEST(a_hook_flash_is_told_like_a_key)
{
	call();
	press(&alice, 16, 0);
	press(&alice, 16, 0xffu & ~(1u << 3)); /* only one packet gets through */
	press(&alice, 7, 0);
	rig_until(strlen(rig_heard.digits) >= 3);
	ck_assert_str_eq(rig_heard.digits, "!!7");
	ck_assert_int_eq(rig_heard.keys_down, 1);
	hang_up();
}
END_TEST

START_TEST(a_key_that_is_held_for_long_comes_in_segments_and_is_one)
{
	call();
	for (unsigned segment = 0; segment < 2; segment++) { /* RFC 4733 2.5.1.3: the timestamp moves on by what was told */
		send_event(&alice, 6, 8000, false, segment == 0);
		send_event(&alice, 6, 0xffff, false, false);
		alice.timestamp += 0xffff;
	}
	send_event(&alice, 6, 800, true, false);
	alice.timestamp += 1600;
	press(&alice, 6, 0);
	rig_until(strlen(rig_heard.digits) >= 2);
	ck_assert_str_eq(rig_heard.digits, "66");
	hang_up();
}
END_TEST

START_TEST(the_length_of_all_segments_is_told)
{
	call();
	send_event(&alice, 6, 0xffff, false, true);
	alice.timestamp += 0xffff;
	send_event(&alice, 6, 800, true, false);
	rig_until(strlen(rig_heard.digits) == 1);
	ck_assert_uint_eq(rig_heard.duration_ms, (0xffff + 800) / 8);
	hang_up();
}
END_TEST

START_TEST(events_pass_to_the_peer_in_the_stream_of_its_audio)
{
	struct heard_packet audio, event, after;

	call();
	phone_say(&alice, 1);
	audio = phone_must_hear(&bob);
	uint32_t began = alice.timestamp;

	press(&alice, 5, 0);
	for (uint16_t i = 1; i <= 8; i++) {
		event = phone_must_hear(&bob);
		ck_assert_uint_eq(event.type, 101);
		ck_assert_uint_eq(event.ssrc, audio.ssrc);
		ck_assert_uint_eq(event.sequence, (uint16_t)(audio.sequence + i));
		ck_assert_uint_eq(event.timestamp, audio.timestamp + 160);
		ck_assert(event.marker == (i == 1));
		ck_assert_uint_eq(event.payload[0], 5);
	}
	phone_say(&alice, 2);
	after = phone_must_hear(&bob);
	ck_assert_uint_eq(after.sequence, (uint16_t)(audio.sequence + 9));
	ck_assert_uint_eq(after.timestamp - event.timestamp, alice.timestamp - 160 - began);
	hang_up();
}
END_TEST

/* One key of ours at a phone: marker first, one timestamp, rising duration, the end three times. */
static void check_key(uint8_t code, struct heard_packet *last)
{
	struct heard_packet packet = phone_must_hear(&alice), before;
	int ends = 0;

	ck_assert(packet.marker);
	ck_assert_uint_eq(packet.payload[0], code);
	while (ends < 3) {
		before = packet;
		packet = phone_must_hear(&alice);
		ck_assert_uint_eq(packet.type, 101);
		ck_assert_uint_eq(packet.payload[0], code);
		ck_assert(!packet.marker);
		ck_assert_uint_eq(packet.sequence, (uint16_t)(before.sequence + 1));
		ck_assert_uint_eq(packet.timestamp, before.timestamp);
		int longer = (packet.payload[2] << 8 | packet.payload[3]) - (before.payload[2] << 8 | before.payload[3]);

		ck_assert_int_eq(longer, packet.payload[1] & 0x80 ? 0 : 160);
		ends += packet.payload[1] >> 7;
	}
	ck_assert_int_eq(packet.payload[2] << 8 | packet.payload[3], 800);
	*last = packet;
}

START_TEST(our_keys_go_out_as_the_rfc_wants_them)
{
	struct heard_packet first, second;

	call();
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "5#", 100, 50), PBX_OK);
	check_key(5, &first);
	check_key(11, &second);
	ck_assert_uint_gt(second.timestamp, first.timestamp + 800);
	hang_up();
}
END_TEST

START_TEST(a_long_key_goes_out_in_segments)
{
	struct core_stream_config config;
	struct heard_packet packet, before;
	int segments = 0;

	call();
	phone_config(&alice, "PCMU", &config);
	(void)snprintf(config.codecs[0].name, sizeof config.codecs[0].name, "opus");
	config.codecs[0].clock_hz = 48000; /* 0xffff is 1.4 s */
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "5", 1500, 50), PBX_OK);
	before = phone_must_hear(&alice);
	ck_assert(before.marker);
	uint32_t began = before.timestamp;

	do {
		packet = phone_must_hear(&alice);
		uint32_t length = (uint32_t)packet.payload[2] << 8 | packet.payload[3];

		ck_assert(!packet.marker);
		if (packet.timestamp != before.timestamp) {
			ck_assert_int_eq(before.payload[2] << 8 | before.payload[3], 0xffff);
			ck_assert_uint_eq(before.payload[1] & 0x80, 0);
			ck_assert_uint_eq(packet.timestamp - before.timestamp, 0xffff);
			ck_assert_uint_le(length, 960);
			segments++;
		}
		before = packet;
	} while (!(packet.payload[1] & 0x80));
	ck_assert_int_eq(segments, 1);
	ck_assert_uint_eq(packet.timestamp - began + ((uint32_t)packet.payload[2] << 8 | packet.payload[3]), 1500 * 48);
	hang_up();
}
END_TEST

START_TEST(a_hook_flash_is_sent_to_who_takes_it)
{
	struct core_stream_config config;
	struct heard_packet flash;

	call();
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "!", 100, 50), PBX_ENOTSUP);
	phone_config(&alice, "PCMU", &config);
	config.flashes = true;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "1!", 100, 50), PBX_EINVAL);
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "!", 100, 50), PBX_OK);
	check_key(16, &flash);
	hang_up();
}
END_TEST

START_TEST(music_waits_while_keys_are_sent_and_goes_on)
{
	struct heard_packet packet, key, before;

	call();
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
	before = phone_must_hear(&alice);
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "1", 100, 50), PBX_OK);
	do {
		packet = phone_must_hear(&alice);
		ck_assert_uint_eq(packet.sequence, (uint16_t)(before.sequence + 1));
		before = packet;
	} while (packet.type != 101);
	key = packet;
	while (packet.type == 101)
		packet = phone_must_hear(&alice);
	ck_assert_uint_eq(packet.type, 0);
	ck_assert(packet.marker);
	ck_assert_uint_eq(packet.ssrc, key.ssrc);
	ck_assert_uint_ge(packet.timestamp - key.timestamp, 800); /* as much later as the key took */
	ck_assert_uint_le(packet.timestamp - key.timestamp, 8000);
	ck_assert_int_eq(rig_heard.plays, 0);
	hang_up();
}
END_TEST

START_TEST(keys_that_cannot_be_sent_are_refused)
{
	struct core_stream_config config;

	call();
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "12x", 100, 50), PBX_EINVAL);
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "", 100, 50), PBX_EINVAL);
	phone_config(&alice, "PCMU", &config);
	config.dtmf_type = config.dtmf_receive_type = 0;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(rtp_driver.send_digits(alice.stream, "1", 100, 50), PBX_ENOTSUP);
	press(&bob, 3, 0); /* and nobody sends it what it does not know */
	rig_until(strlen(rig_heard.digits) == 1);
	ck_assert_int_eq(phone_forget(&alice), 0);
	hang_up();
}
END_TEST

CHECK_MAIN("dtmf", each_key_is_told_once, the_same_key_twice_is_two, any_packets_but_one_may_be_lost,
	   a_key_without_an_end_is_told_when_nothing_more_comes, what_is_no_key_is_ignored, a_hook_flash_is_told_like_a_key,
	   a_key_that_is_held_for_long_comes_in_segments_and_is_one, the_length_of_all_segments_is_told,
	   events_pass_to_the_peer_in_the_stream_of_its_audio, our_keys_go_out_as_the_rfc_wants_them, a_long_key_goes_out_in_segments,
	   a_hook_flash_is_sent_to_who_takes_it, music_waits_while_keys_are_sent_and_goes_on, keys_that_cannot_be_sent_are_refused)
