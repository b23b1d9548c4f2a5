/* tests/rtp/test_srtp.c - guards alone, and calls of which one leg or both are encrypted */
#include "../check_main.h"
#include "rig.h"

#include <core/srtp_suites.h>
#include <rtp/srtp.h>
#include <stdlib.h>

static struct core_crypto crypto_of(uint8_t suite, uint8_t first)
{
	struct core_crypto crypto = { .tag = 1, .suite = suite };

	for (size_t i = 0; i < core_srtp_key_bytes(suite); i++)
		crypto.key[i] = (uint8_t)(first + i);
	return crypto;
}

static struct rtp_guard *guard_of(uint8_t suite, uint8_t first, uint32_t ssrc)
{
	const struct core_crypto crypto = crypto_of(suite, first);
	struct rtp_guard *guard = NULL;

	ck_assert_int_eq(rtp_guard_new(&crypto, ssrc, &guard), PBX_OK);
	return guard;
}

#define SSRC 0x11223344u
#define PACKET_BYTES (12u + 160u)

struct packet {
	_Alignas(16) uint8_t data[PACKET_BYTES + RTP_TRAILER_BYTES];
	size_t size;
};

static struct packet rtp_packet(uint16_t sequence)
{
	struct packet packet = { .data = { 0x80, 0, (uint8_t)(sequence >> 8), (uint8_t)sequence, 0, 0, 0, 1, 0x11, 0x22, 0x33, 0x44 },
				 .size = PACKET_BYTES };

	memset(packet.data + 12, 0x55, 160);
	return packet;
}

static struct packet receiver_report(void)
{
	return (struct packet){ .data = { 0x80, 201, 0, 1, 0x11, 0x22, 0x33, 0x44 }, .size = 8 };
}

/* ---- guards ---- */

static const struct {
	uint8_t suite;
	size_t rtp_tag, rtcp_tag; /* octets behind the packet: tag, and four of SRTCP's index */
} suites[] = { { CORE_SRTP_AES_CM_128_80, 10, 14 }, { CORE_SRTP_AES_CM_128_32, 4, 14 }, { CORE_SRTP_AES_CM_256_80, 10, 14 },
	       { CORE_SRTP_AES_CM_256_32, 4, 14 },  { CORE_SRTP_AES_GCM_128, 16, 20 },  { CORE_SRTP_AES_GCM_256, 16, 20 } };

static void hide_and_show(uint8_t suite, size_t rtp_tag, size_t rtcp_tag)
{
	struct rtp_guard *sender = guard_of(suite, 7, SSRC), *receiver = guard_of(suite, 7, 0);
	struct packet packet = rtp_packet(100), report = receiver_report();

	ck_assert(rtp_guard_protect(sender, false, packet.data, &packet.size));
	ck_assert_uint_eq(packet.size, PACKET_BYTES + rtp_tag);
	ck_assert_mem_ne(packet.data + 12, rtp_packet(100).data + 12, 160);
	ck_assert(rtp_guard_unprotect(receiver, false, packet.data, &packet.size));
	ck_assert_uint_eq(packet.size, PACKET_BYTES);
	ck_assert_mem_eq(packet.data, rtp_packet(100).data, PACKET_BYTES);

	ck_assert(rtp_guard_protect(sender, true, report.data, &report.size));
	ck_assert_uint_eq(report.size, 8 + rtcp_tag);
	ck_assert(rtp_guard_unprotect(receiver, true, report.data, &report.size));
	ck_assert_mem_eq(report.data, receiver_report().data, 8);
	rtp_guard_free(sender);
	rtp_guard_free(receiver);
}

START_TEST(what_one_guard_hides_another_with_its_key_shows)
{
	ck_assert_int_eq(rtp_srtp_init(), PBX_OK);
	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
		hide_and_show(suites[i].suite, suites[i].rtp_tag, suites[i].rtcp_tag);
	rtp_srtp_fini();
}
END_TEST

static void refuse_all_but_one(uint8_t suite)
{
	struct rtp_guard *sender = guard_of(suite, 7, SSRC), *receiver = guard_of(suite, 7, 0), *stranger = guard_of(suite, 8, 0);
	struct packet good = rtp_packet(1);

	ck_assert(rtp_guard_protect(sender, false, good.data, &good.size));
	for (size_t bit = 0; bit < good.size * 8; bit += 3) {
		struct packet bent = good;

		bent.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_msg(!rtp_guard_unprotect(receiver, false, bent.data, &bent.size), "bit %zu", bit);
	}
	for (size_t size = 0; size < good.size; size++) {
		struct packet cut = good;

		cut.size = size;
		ck_assert_msg(!rtp_guard_unprotect(receiver, false, cut.data, &cut.size), "%zu octets", size);
	}
	struct packet copy = good, third = good;

	ck_assert(!rtp_guard_unprotect(stranger, false, copy.data, &copy.size));
	copy = good;
	ck_assert(rtp_guard_unprotect(receiver, false, copy.data, &copy.size));
	ck_assert(!rtp_guard_unprotect(receiver, false, third.data, &third.size));
	rtp_guard_free(sender);
	rtp_guard_free(receiver);
	rtp_guard_free(stranger);
}

START_TEST(a_flipped_bit_anywhere_a_repetition_and_another_key_are_refused)
{
	ck_assert_int_eq(rtp_srtp_init(), PBX_OK);
	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
		refuse_all_but_one(suites[i].suite);
	rtp_srtp_fini();
}
END_TEST

START_TEST(the_roll_over_of_the_sequence_is_followed)
{
	ck_assert_int_eq(rtp_srtp_init(), PBX_OK);
	struct rtp_guard *sender = guard_of(CORE_SRTP_AES_CM_128_80, 7, SSRC), *receiver = guard_of(CORE_SRTP_AES_CM_128_80, 7, 0);

	for (uint32_t i = 0; i < 70000; i++) {
		struct packet packet = rtp_packet((uint16_t)(30000 + i));

		ck_assert(rtp_guard_protect(sender, false, packet.data, &packet.size));
		if (i % 7 == 0)
			continue; /* lost */
		ck_assert_msg(rtp_guard_unprotect(receiver, false, packet.data, &packet.size), "packet %u", i);
	}
	rtp_guard_free(sender);
	rtp_guard_free(receiver);
	rtp_srtp_fini();
}
END_TEST

START_TEST(a_suite_that_does_not_exist_has_no_guard)
{
	const struct core_crypto nothing = { .suite = CORE_SRTP_SUITES };
	struct rtp_guard *guard = NULL;

	ck_assert_int_eq(rtp_srtp_init(), PBX_OK);
	ck_assert_int_eq(rtp_guard_new(&nothing, 1, &guard), PBX_EINVAL);
	ck_assert_ptr_null(guard);
	rtp_guard_free(NULL);
	rtp_srtp_fini();
}
END_TEST

/* ---- calls ---- */

static struct phone alice, bob;
static struct rtp_guard *alice_sends, *alice_hears;

#define ALICE_KEY 50
#define OUR_KEY 90

static void protect(struct phone *phone, uint8_t their_key, uint8_t our_key)
{
	struct core_stream_config config;

	phone_config(phone, "PCMU", &config);
	config.receive_crypto = crypto_of(CORE_SRTP_AES_CM_128_80, their_key);
	config.send_crypto = crypto_of(CORE_SRTP_AES_CM_128_80, our_key);
	config.renegotiated = true;
	ck_assert_int_eq(rtp_driver.configure(phone->stream, &config), PBX_OK);
}

/* Alice's leg is encrypted, Bob's is not. */
static void call(void)
{
	rig_start();
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_call(&bob, 1, "PCMU");
	protect(&alice, ALICE_KEY, OUR_KEY);
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	core_loop_settle();
	alice_sends = guard_of(CORE_SRTP_AES_CM_128_80, ALICE_KEY, alice.ssrc);
	alice_hears = guard_of(CORE_SRTP_AES_CM_128_80, OUR_KEY, 0);
}

static void hang_up(void)
{
	rtp_guard_free(alice_sends);
	rtp_guard_free(alice_hears);
	rig_hang_up(&alice, &bob);
}

static struct packet sealed_by_alice(uint8_t filled_with)
{
	struct packet packet = { .size = PACKET_BYTES };

	packet.data[0] = 0x80;
	alice.sequence++;
	alice.timestamp += 160;
	packet.data[2] = (uint8_t)(alice.sequence >> 8);
	packet.data[3] = (uint8_t)alice.sequence;
	for (size_t i = 0; i < 4; i++) {
		packet.data[4 + i] = (uint8_t)(alice.timestamp >> (24 - 8 * i));
		packet.data[8 + i] = (uint8_t)(alice.ssrc >> (24 - 8 * i));
	}
	memset(packet.data + 12, filled_with, 160);
	ck_assert(rtp_guard_protect(alice_sends, false, packet.data, &packet.size));
	return packet;
}

static void alice_says(uint8_t filled_with)
{
	const struct packet packet = sealed_by_alice(filled_with);

	phone_send_raw(&alice, packet.data, packet.size);
}

/* What reaches Alice, opened with our key. False: nothing comes, or it does not open. */
static bool alice_opens(uint8_t *ret_first)
{
	struct packet packet;
	ssize_t got;
	uint64_t give_up_at_ms = rig_now_ms() + 5000;

	while ((got = recv(alice.rtp_fd, packet.data, sizeof packet.data, MSG_DONTWAIT)) < 0 && rig_now_ms() < give_up_at_ms)
		rig_round();
	packet.size = got > 0 ? (size_t)got : 0;
	if (got != (ssize_t)PACKET_BYTES + 10 || !rtp_guard_unprotect(alice_hears, false, packet.data, &packet.size))
		return false;
	*ret_first = packet.data[12];
	return true;
}

START_TEST(an_encrypted_leg_and_a_plain_one_hear_each_other)
{
	struct heard_packet packet;
	uint8_t first = 0;

	call();
	for (uint8_t i = 1; i <= 20; i++) {
		alice_says(i);
		ck_assert(phone_hear(&bob, &packet, 5000));
		ck_assert_uint_eq(packet.bytes, 160);
		ck_assert_uint_eq(packet.payload[0], i);
		phone_say(&bob, (uint8_t)(100 + i));
		ck_assert(alice_opens(&first));
		ck_assert_uint_eq(first, 100 + i);
	}
	ck_assert_uint_eq(rig_stats(alice.stream).suite, CORE_SRTP_AES_CM_128_80);
	ck_assert_uint_eq(rig_stats(bob.stream).suite, CORE_SRTP_NONE);
	ck_assert_uint_eq(rig_stats(alice.stream).forged, 0);
	hang_up();
}
END_TEST

START_TEST(plain_forged_and_repeated_packets_are_dropped_and_counted)
{
	struct heard_packet packet;

	call();
	phone_say(&alice, 66); /* without a key */
	struct packet good = sealed_by_alice(1), bent = good;

	bent.data[20] ^= 1;
	phone_send_raw(&alice, bent.data, bent.size);
	phone_send_raw(&alice, good.data, good.size);
	phone_send_raw(&alice, good.data, good.size);
	alice_says(2);
	ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 1);
	ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 2);
	rig_until(rig_stats(alice.stream).forged == 3);
	ck_assert_uint_eq(rig_stats(alice.stream).packets_in, 2);
	hang_up();
}
END_TEST

START_TEST(reports_of_an_encrypted_leg_are_encrypted_and_others_are_not_read)
{
	static const uint8_t plain[] = { 0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 202, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0 };
	struct packet report = { .size = 0 };
	struct core_addr to;
	ssize_t got;

	call();
	to = alice.pbx;
	to.in4.sin_port = htons((uint16_t)(ntohs(to.in4.sin_port) + 1));
	ck_assert_int_eq(sendto(alice.rtcp_fd, plain, sizeof plain, 0, &to.sa, sizeof to.in4), (ssize_t)sizeof plain);
	rig_until(rig_stats(alice.stream).forged == 1);
	ck_assert_uint_eq(rig_stats(alice.stream).reports_in, 0);
	alice_says(1);
	rig_until((got = recv(alice.rtcp_fd, report.data, sizeof report.data, MSG_DONTWAIT)) > 0);
	report.size = (size_t)got;
	ck_assert_uint_eq(report.data[1], 201);
	ck_assert_uint_eq(report.data[got - 14] & 0x80, 0x80); /* E, before the index and the tag of ten octets */
	struct packet sealed = report;
	ck_assert(rtp_guard_unprotect(alice_hears, true, report.data, &report.size));
	ck_assert_uint_eq(report.data[8 + 24 + 1], 202);                             /* RR with a block, then who we are, */
	ck_assert_int_ne(memcmp(sealed.data + 8 + 24, report.data + 8 + 24, 20), 0); /* which nobody else can read */
	hang_up();
}
END_TEST

START_TEST(who_has_the_key_is_followed_from_port_to_port)
{
	struct heard_packet packet;
	struct phone elsewhere;
	uint8_t first = 0;

	call();
	alice_says(1);
	ck_assert(phone_hear(&bob, &packet, 5000));
	phone_init(&elsewhere, AF_INET);
	int fd = alice.rtp_fd;

	alice.rtp_fd = elsewhere.rtp_fd; /* a NAT has given her another port, long after the answer */
	alice_says(2);
	ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 2);
	phone_say(&bob, 9);
	ck_assert(alice_opens(&first));
	ck_assert_uint_eq(first, 9);
	alice.rtp_fd = fd;
	phone_fini(&elsewhere);
	hang_up();
}
END_TEST

START_TEST(the_same_key_again_goes_on_and_a_new_one_replaces_it)
{
	struct heard_packet packet;
	uint8_t first = 0;

	call();
	alice_says(1);
	ck_assert(phone_hear(&bob, &packet, 5000));
	struct packet old = sealed_by_alice(2);

	protect(&alice, ALICE_KEY, OUR_KEY); /* a session refresh: what was seen is remembered */
	phone_send_raw(&alice, old.data, old.size);
	ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 2);
	phone_send_raw(&alice, old.data, old.size);
	rig_until(rig_stats(alice.stream).forged == 1);

	protect(&alice, ALICE_KEY + 1, OUR_KEY + 1);
	rtp_guard_free(alice_sends);
	rtp_guard_free(alice_hears);
	alice_sends = guard_of(CORE_SRTP_AES_CM_128_80, ALICE_KEY + 1, alice.ssrc);
	alice_hears = guard_of(CORE_SRTP_AES_CM_128_80, OUR_KEY + 1, 0);
	alice_says(3);
	ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 3);
	phone_say(&bob, 4);
	ck_assert(alice_opens(&first));
	ck_assert_uint_eq(first, 4);
	hang_up();
}
END_TEST

START_TEST(before_a_handshake_nothing_goes_in_clear_either_way)
{
	static const char *const names[] = { "AES_CM_128_HMAC_SHA1_80" };
	struct core_stream_config config;

	rig_settings.srtp_suites = (struct pbx_list){ names, 1 };
	rig_call(&alice, "PCMU", &bob, "PCMU");
	phone_config(&alice, "PCMU", &config);
	config.rtcp_mux = true;
	ck_assert(rtp_driver.fingerprint(&config.own_dtls));
	config.peer_dtls = config.own_dtls;
	config.own_dtls.setup = CORE_SETUP_PASSIVE; /* she never begins one */
	config.peer_dtls.setup = CORE_SETUP_ACTIVE;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	phone_say(&alice, 1);
	phone_say(&alice, 2);
	phone_say(&bob, 3);
	rig_until(rig_stats(alice.stream).forged == 2 && rig_stats(bob.stream).packets_in == 1);
	rig_obeyed(1);
	ck_assert_uint_eq(rig_stats(alice.stream).packets_in, 0);
	ck_assert_int_eq(phone_forget(&alice), 0);
	ck_assert_int_eq(phone_forget(&bob), 0);
	rig_hang_up(&alice, &bob);
}
END_TEST

CHECK_MAIN("srtp", what_one_guard_hides_another_with_its_key_shows, a_flipped_bit_anywhere_a_repetition_and_another_key_are_refused,
	   the_roll_over_of_the_sequence_is_followed, a_suite_that_does_not_exist_has_no_guard,
	   an_encrypted_leg_and_a_plain_one_hear_each_other, plain_forged_and_repeated_packets_are_dropped_and_counted,
	   reports_of_an_encrypted_leg_are_encrypted_and_others_are_not_read, who_has_the_key_is_followed_from_port_to_port,
	   the_same_key_again_goes_on_and_a_new_one_replaces_it, before_a_handshake_nothing_goes_in_clear_either_way)
