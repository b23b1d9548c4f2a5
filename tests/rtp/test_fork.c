/* tests/rtp/test_fork.c - what a recorder elsewhere is sent of a leg: packet for packet, under numbers of the fork's own */
#include "../check_main.h"
#include "../failing_memory.h"
#include "forked.h"

#include <openssl/evp.h>
#include <rtp/srtp.h>
#include <stdatomic.h>
#include <unistd.h>

static const struct pbx_fork_spec says = { .what = PBX_FORK_SAYS }, hears = { .what = PBX_FORK_HEARS };
static struct forked forked;
static struct heard_packet last;

/* What is asked for by other threads than the loop's. */
static _Atomic uint32_t allocations_beside;

static uint32_t granted_until = UINT32_MAX; /* so many more of the loop's are granted */

static bool is_granted(void)
{
	if (gettid() != getpid()) {
		allocations_beside++;
		return true;
	}
	if (granted_until == 0)
		return false;
	granted_until -= granted_until != UINT32_MAX;
	return true;
}

static void begin(struct pbx_fork_spec spec)
{
	forked_open(&forked, spec);
	forked_aim(&forked);
	last = (struct heard_packet){ 0 };
}

/* Alice's next packet, filled with that: as it comes to Bob, and as it comes to the recorder. */
static struct heard_packet say(uint8_t filled_with)
{
	uint32_t timestamp = alice.timestamp;

	phone_say(&alice, filled_with);
	ck_assert_uint_eq(phone_must_hear(&bob).payload[0], filled_with);
	struct heard_packet packet = forked_next(&forked, &last);

	ck_assert_uint_eq(packet.type, alice.type);
	ck_assert_uint_eq(packet.timestamp, timestamp);
	ck_assert_uint_eq(packet.bytes, 160);
	ck_assert_uint_eq(packet.payload[0], filled_with);
	ck_assert_uint_eq(packet.payload[159], filled_with);
	return packet;
}

START_TEST(two_thousand_packets_come_whole_in_order_and_without_memory)
{
	uint8_t payload[160];

	forked_call("PCMU", "PCMU");
	begin(says);
	ck_assert(say(1).marker);
	uint32_t before = allocations_beside;

	for (uint32_t i = 0; i < 2000; i++) {
		for (uint32_t at = 0; at < sizeof payload; at++)
			payload[at] = (uint8_t)(i * 7 + at * at);
		uint32_t timestamp = alice.timestamp;

		phone_send(&alice, payload, sizeof payload);
		struct heard_packet packet = forked_next(&forked, &last);

		ck_assert_uint_eq(packet.bytes, sizeof payload);
		ck_assert_mem_eq(packet.payload, payload, sizeof payload);
		ck_assert_uint_eq(packet.timestamp, timestamp);
		ck_assert_uint_ne(packet.ssrc, alice.ssrc);
		ck_assert(!packet.marker);
		if (i % 50 == 49)
			(void)phone_forget(&bob);
	}
	ck_assert_uint_eq(allocations_beside, before);
	rig_obeyed(1);
	ck_assert_uint_eq(forked_state(&forked).packets, 2001);
	ck_assert_uint_eq(forked_state(&forked).octets, 2001 * 160);
	ck_assert_uint_eq(forked_state(&forked).failed, 0);
	ck_assert_uint_eq(forked_state(&forked).leg, 7);
	ck_assert_uint_eq(rig_stats(bob.stream).packets_out, 2001); /* the call is the same as without */
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(what_was_lost_or_overtaken_before_us_is_so_there)
{
	struct heard_packet packet;

	forked_call("PCMU", "PCMU");
	begin(says);
	(void)say(1);
	alice.sequence++; /* one is late */
	alice.timestamp += 160;
	phone_say(&alice, 3);
	packet = phone_must_hear(&recorder);
	ck_assert_uint_eq(packet.sequence, (uint16_t)(last.sequence + 2));
	ck_assert_uint_eq(packet.timestamp, last.timestamp + 320);
	alice.sequence = (uint16_t)(alice.sequence - 2);
	alice.timestamp -= 320;
	phone_say(&alice, 2);
	packet = phone_must_hear(&recorder);
	ck_assert_uint_eq(packet.payload[0], 2);
	ck_assert_uint_eq(packet.sequence, (uint16_t)(last.sequence + 1));
	ck_assert_uint_eq(packet.timestamp, last.timestamp + 160);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(another_source_goes_on_where_the_one_before_was)
{
	forked_call("PCMU", "PCMU");
	begin(says);
	(void)say(1);
	uint32_t timestamp = last.timestamp;

	alice.ssrc++;
	alice.timestamp += 0x40000000;
	alice.sequence = (uint16_t)(alice.sequence + 20000);
	phone_say(&alice, 2);
	ck_assert(forked_next(&forked, &last).marker);
	ck_assert_uint_ge(last.timestamp - timestamp, 160);
	ck_assert_uint_le(last.timestamp - timestamp, 8 * 20000); /* as much later as it was, not by what the source counts */
	timestamp = last.timestamp;
	phone_say(&alice, 3);
	ck_assert(!forked_next(&forked, &last).marker);
	ck_assert_uint_eq(last.timestamp - timestamp, 160);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

/* All of it is what Alice's phone hears, in numbers of the fork's own. */
static void hear_the_same(int packets)
{
	for (int i = 0; i < packets; i++) {
		struct heard_packet heard = phone_must_hear(&alice), packet = forked_next(&forked, &last);

		ck_assert_uint_eq(packet.type, heard.type);
		ck_assert_uint_eq(packet.timestamp, heard.timestamp);
		ck_assert_uint_ne(packet.ssrc, heard.ssrc);
		ck_assert_uint_eq(packet.bytes, heard.bytes);
		ck_assert_mem_eq(packet.payload, heard.payload, heard.bytes);
	}
}

START_TEST(what_a_party_hears_is_whatever_it_is_sent)
{
	forked_call("PCMU", "PCMA"); /* another law: what Bob says is written anew */
	begin(hears);
	for (uint8_t i = 0; i < 30; i++) {
		phone_say(&bob, i);
		hear_the_same(1);
	}
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 7);
	hear_the_same(10);
	ck_assert_int_eq(rtp_driver.stop(alice.stream), PBX_OK);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(a_member_of_a_mix_hears_the_sum)
{
	const struct core_mix_part both = { .talks = true, .hears = true };
	core_mix mix;

	forked_call("PCMU", "PCMU");
	begin(hears);
	ck_assert_int_eq(rtp_driver.mix_open(1, false, &mix), PBX_OK);
	ck_assert_int_eq(rtp_driver.mix_enter(mix, alice.stream, &both), PBX_OK);
	ck_assert_int_eq(rtp_driver.mix_enter(mix, bob.stream, &both), PBX_OK);
	for (int i = 0; i < 20; i++) {
		phone_say(&bob, 0x90);
		hear_the_same(1);
	}
	forked_close(&forked);
	(void)phone_forget(&recorder);

	begin(says); /* what it says is what arrives, whoever hears it */
	ck_assert_int_eq(rtp_driver.mix_enter(mix, alice.stream, &(struct core_mix_part){ .hears = true }), PBX_OK);
	for (uint8_t i = 0; i < 20; i++) {
		phone_say(&alice, i);
		ck_assert_uint_eq(forked_next(&forked, &last).payload[7], i);
	}
	forked_close(&forked);
	ck_assert_int_eq(rtp_driver.mix_close(mix), PBX_OK);
	forked_hang_up();
}
END_TEST

START_TEST(music_is_heard_only_by_who_wants_it)
{
	struct heard_packet packet;
	struct forked other;
	char path[64];

	forked_call("PCMU", "PCMU");
	make_wav(path, 440, 8000, 1, 1);
	const char *file = path;
	const struct pbx_source_spec spec = { .size = sizeof spec, .name = "music", .files = &file, .file_count = 1 };
	pbx_source source;

	ck_assert_int_eq(rtp_driver.source_open(NULL, &spec, &source), PBX_OK);
	begin(hears);
	forked_open(&other, (struct pbx_fork_spec){ .what = PBX_FORK_HEARS, .music = true });
	phone_say(&bob, 1);
	hear_the_same(1);
	ck_assert_int_eq(rtp_driver.play(alice.stream, &(struct core_play){ .kind = CORE_PLAY_SOURCE, .source = source, .tag = 1 }),
			 PBX_OK);
	for (int i = 0; i < 10; i++)
		(void)phone_must_hear(&alice);
	ck_assert(!phone_hear(&recorder, &packet, 0));
	forked_aim(&other);
	ck_assert_uint_eq(phone_must_hear(&recorder).ssrc, forked_state(&other).ssrc);
	forked_close(&other);
	ck_assert_int_eq(rtp_driver.stop(alice.stream), PBX_OK);
	rig_obeyed(1);
	(void)phone_forget(&recorder);
	phone_say(&bob, 2);
	ck_assert_uint_eq(forked_next(&forked, &last).payload[0], 2); /* no hole: nothing is missing */
	forked_close(&forked);
	ck_assert_int_eq(rtp_driver.source_close(source), PBX_OK);
	ck_assert_int_eq(unlink(path), 0);
	forked_hang_up();
}
END_TEST

START_TEST(keys_go_along_and_noise_that_was_agreed_on)
{
	const uint8_t five[] = { 5, 0x8a, 0x03, 0x20 }, noise[] = { 60 };
	struct heard_packet packet;

	forked_call("PCMU", "PCMU");
	begin(says);
	(void)say(1);
	phone_send_type(&alice, 101, true, five, sizeof five);
	packet = forked_next(&forked, &last);
	ck_assert_uint_eq(packet.type, 101);
	ck_assert(packet.marker);
	ck_assert_uint_eq(packet.bytes, sizeof five);
	ck_assert_mem_eq(packet.payload, five, sizeof five);
	ck_assert_uint_eq(packet.timestamp, alice.timestamp);
	phone_send_type(&alice, 13, false, noise, 1); /* unasked: no line of SDP has told of it */
	phone_say(&alice, 2);
	ck_assert_uint_eq(phone_must_hear(&recorder).payload[0], 2);
	forked_close(&forked);
	forked_hang_up();

	forked_call("PCMU CN", "PCMU CN");
	begin(says);
	phone_send_type(&alice, 13, false, noise, 1);
	ck_assert_uint_eq(forked_next(&forked, &last).type, 13);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(a_pause_is_silent_and_leaves_no_hole)
{
	struct heard_packet packet;

	forked_call("PCMU", "PCMU");
	begin(says);
	(void)say(1);
	ck_assert(forked_state(&forked).aimed);
	ck_assert_int_eq(rtp_driver.fork_aim(forked.fork, NULL), PBX_OK);
	ck_assert(!forked_state(&forked).aimed);
	rig_obeyed(1);
	for (uint8_t i = 0; i < 50; i++)
		phone_say(&alice, i);
	rig_until(rig_stats(alice.stream).packets_in == 51);
	ck_assert(!phone_hear(&recorder, &packet, 0));
	ck_assert_uint_eq(forked_state(&forked).packets, 1);
	(void)phone_forget(&bob);
	forked_aim(&forked);
	ck_assert(say(2).marker); /* the next of its sequence, fifty packets later */
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(a_secret_is_left_out_until_a_second_later)
{
	forked_call("PCMU", "PCMU");
	begin(says);
	(void)say(1);
	uint64_t masked_at_ms = rig_now_ms();

	ck_assert_int_eq(rtp_driver.record_mask(alice.stream, true), PBX_OK);
	for (uint8_t i = 0; i < 10; i++) {
		phone_say(&alice, 0xee);
		(void)phone_must_hear(&bob);
	}
	ck_assert_int_eq(rtp_driver.record_mask(alice.stream, false), PBX_OK);
	struct heard_packet packet;
	uint64_t next_at_ms = 0;

	do {
		if (rig_now_ms() >= next_at_ms) {
			phone_say(&alice, rig_now_ms() < masked_at_ms + 900 ? 0xee : 2);
			next_at_ms = rig_now_ms() + 20;
		}
	} while (!phone_hear(&recorder, &packet, 5));
	ck_assert_uint_eq(packet.payload[0], 2);
	ck_assert_uint_eq(packet.sequence, (uint16_t)(last.sequence + 1));
	ck_assert_uint_ge(rig_now_ms(), masked_at_ms + 1000);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

/* ---- SRTP ---- */

static struct core_crypto crypto_of(const char *value)
{
	struct core_crypto crypto = { .suite = CORE_SRTP_AES_CM_128_80 };
	static const char head[] = "1 AES_CM_128_HMAC_SHA1_80 inline:";
	unsigned char key[36];

	ck_assert_ptr_nonnull(value);
	ck_assert_int_eq(strncmp(value, head, sizeof head - 1), 0);
	ck_assert_uint_eq(strlen(value), sizeof head - 1 + 40);
	ck_assert_int_eq(EVP_DecodeBlock(key, (const unsigned char *)value + sizeof head - 1, 40), 30);
	memcpy(crypto.key, key, 30);
	return crypto;
}

/* A datagram of the fork as it comes to a socket, shown by the key that local() told. */
static size_t show_next(int fd, struct rtp_guard *guard, bool rtcp, uint8_t *ret_data, size_t size)
{
	ssize_t got;

	rig_until((got = recv(fd, ret_data, size, MSG_DONTWAIT)) > 0);
	size_t bytes = (size_t)got;

	ck_assert(rtp_guard_unprotect(guard, rtcp, ret_data, &bytes));
	return bytes;
}

START_TEST(who_has_its_key_reads_it_and_its_reports)
{
	_Alignas(16) uint8_t data[1600];
	struct rtp_guard *guard = NULL;

	forked_call("PCMU", "PCMU");
	begin((struct pbx_fork_spec){ .what = PBX_FORK_SAYS, .srtp = true, .cname = "1001@example.net" });
	const struct core_crypto crypto = crypto_of(forked_local(&forked).crypto);

	ck_assert_int_eq(rtp_guard_new(&crypto, 0, &guard), PBX_OK);
	for (uint8_t i = 0; i < 100; i++) {
		phone_say(&alice, i);
		ck_assert_uint_eq(show_next(recorder.rtp_fd, guard, false, data, sizeof data), 172);
		ck_assert_uint_eq(data[12], i);
		ck_assert_uint_eq(data[171], i);
	}
	alice.sequence--; /* the last one comes twice, and goes on once */
	alice.timestamp -= 160;
	phone_say(&alice, 99);
	phone_say(&alice, 100);
	ck_assert_uint_eq(show_next(recorder.rtp_fd, guard, false, data, sizeof data), 172);
	ck_assert_uint_eq(data[12], 100);
	ck_assert_uint_eq(forked_state(&forked).packets, 101);
	ck_assert_uint_eq(forked_state(&forked).failed, 0);
	size_t size = show_next(recorder.rtcp_fd, guard, true, data, sizeof data);

	ck_assert_uint_eq(data[1], 200);
	ck_assert_ptr_nonnull(memmem(data, size, "1001@example.net", 16));
	forked_close(&forked);
	size = show_next(recorder.rtcp_fd, guard, true, data, sizeof data);
	ck_assert_uint_eq(data[size - 7], 203); /* and says goodbye */
	rtp_guard_free(guard);
	forked_hang_up();
}
END_TEST

START_TEST(an_encrypted_leg_is_sent_on_in_the_clear_unless_asked_otherwise)
{
	struct core_crypto key = { .tag = 1, .suite = CORE_SRTP_AES_CM_128_80, .key = "key of thirty octets for Alice" };
	struct core_stream_config config;
	struct rtp_guard *guard = NULL;
	_Alignas(16) uint8_t data[172 + RTP_TRAILER_BYTES];

	forked_call("PCMU", "PCMU");
	phone_config(&alice, "PCMU", &config);
	config.receive_crypto = config.send_crypto = key;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	ck_assert_int_eq(rtp_guard_new(&key, 0x11223344, &guard), PBX_OK);
	begin(says);
	ck_assert_ptr_null(forked_local(&forked).crypto);
	for (uint8_t i = 0; i < 20; i++) {
		size_t size = 172;

		memset(data, i, sizeof data);
		memcpy(data, "\x80\0\0\0\0\0\0\0\x11\x22\x33\x44", 12);
		data[3] = i;
		ck_assert(rtp_guard_protect(guard, false, data, &size));
		phone_send_raw(&alice, data, size);
		ck_assert_uint_eq(forked_next(&forked, &last).bytes, 160);
		ck_assert_uint_eq(last.payload[0], i);
		ck_assert_uint_eq(last.payload[159], i);
	}
	rtp_guard_free(guard);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(without_memory_it_is_refused_and_nothing_is_left_of_it)
{
	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_SAYS, .cname = "", .srtp = true };
	const struct pbx_fork_watcher watcher = { .size = sizeof watcher };
	const struct pbx_fork_target target = { .size = sizeof target, .address = "127.0.0.1", .rtp_port = 9 };
	struct rtp_ports_count ports;
	uint32_t tries = 0;
	pbx_fork fork;
	int err;

	forked_call("PCMU", "PCMU");
	do {
		rtp_engine_ports(&ports);
		ck_assert_uint_eq(ports.used, 2);
		granted_until = tries++;
		err = rtp_driver.fork_open(core_self(), alice.stream, (pbx_leg){ 7 }, &spec, &watcher, NULL, &fork);
		granted_until = UINT32_MAX;
	} while (err == PBX_ENOMEM);
	ck_assert_int_eq(err, PBX_OK);
	ck_assert_uint_ge(tries, 4);
	granted_until = 0;
	ck_assert_int_eq(rtp_driver.fork_aim(fork, &target), PBX_ENOMEM);
	ck_assert_int_eq(rtp_driver.fork_close(fork), PBX_OK); /* ending needs none */
	granted_until = UINT32_MAX;
	forked_hang_up();
}
END_TEST

CHECK_MAIN("fork", two_thousand_packets_come_whole_in_order_and_without_memory, what_was_lost_or_overtaken_before_us_is_so_there,
	   another_source_goes_on_where_the_one_before_was, what_a_party_hears_is_whatever_it_is_sent, a_member_of_a_mix_hears_the_sum,
	   music_is_heard_only_by_who_wants_it, keys_go_along_and_noise_that_was_agreed_on, a_pause_is_silent_and_leaves_no_hole,
	   a_secret_is_left_out_until_a_second_later, who_has_its_key_reads_it_and_its_reports,
	   an_encrypted_leg_is_sent_on_in_the_clear_unless_asked_otherwise, without_memory_it_is_refused_and_nothing_is_left_of_it)
