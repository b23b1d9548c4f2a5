/* tests/rtp/test_rtcp.c - reports, as both ends see them */
#include "../check_main.h"
#include "rig.h"

#include <arpa/inet.h>
#include <poll.h>
#include <time.h>

static struct phone alice;

static uint32_t get32(const uint8_t *at)
{
	uint32_t value_be;

	memcpy(&value_be, at, sizeof value_be);
	return ntohl(value_be);
}

static void put32(uint8_t *at, uint32_t value)
{
	uint32_t value_be = htonl(value);

	memcpy(at, &value_be, sizeof value_be);
}

static void call(bool mux)
{
	struct core_stream_config config;

	rig_start();
	phone_init(&alice, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_config(&alice, "PCMU", &config);
	config.rtcp_mux = mux;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	core_loop_settle();
}

static size_t hear_rtcp(int fd, uint8_t ret_data[512])
{
	ssize_t size = -1;

	rig_until((size = recv(fd, ret_data, 512, 0)) > 0);
	return (size_t)size;
}

/* The compound of a report and a CNAME; its report block, NULL when there is none. */
static const uint8_t *check_compound(const uint8_t *data, size_t size, uint8_t expected_type)
{
	size_t report_bytes = 4u * ((size_t)(data[2] << 8 | data[3]) + 1);
	const uint8_t *sdes = data + report_bytes;

	ck_assert_uint_eq(data[0] >> 6, 2);
	ck_assert_uint_eq(data[1], expected_type);
	ck_assert_uint_eq(get32(data + 4), rig_stats(alice.stream).send_ssrc);
	ck_assert_uint_lt(report_bytes + 12, size);
	ck_assert_uint_eq(sdes[1], 202);
	ck_assert_uint_eq(get32(sdes + 4), get32(data + 4));
	ck_assert_uint_eq(sdes[8], 1);
	ck_assert_uint_ge(sdes[9], 12);
	return data[0] & 31 ? data + (expected_type == 200 ? 28 : 8) : NULL;
}

START_TEST(a_receiver_report_counts_what_was_lost)
{
	uint8_t data[512];

	call(false);
	alice.sequence = 65530; /* through the wrap */
	for (int i = 0; i < 20; i++) {
		if (i % 5 == 4)
			alice.sequence++, alice.timestamp += 160;
		phone_say(&alice, 0);
	}
	size_t size = hear_rtcp(alice.rtcp_fd, data);
	const uint8_t *block = check_compound(data, size, 201);

	ck_assert_ptr_nonnull(block);
	ck_assert_uint_eq(get32(block), alice.ssrc);
	ck_assert_uint_eq(get32(block + 4) & 0xffffff, 4);
	ck_assert_uint_eq(block[4], 4 * 256 / 24);
	ck_assert_uint_eq(get32(block + 8), 65530 + 23);
	ck_assert_uint_eq(rig_stats(alice.stream).lost, 4);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(a_sender_report_counts_what_was_sent_and_goodbye_is_said)
{
	struct heard_packet packet;
	uint8_t data[512];

	call(false);
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
	ck_assert(phone_hear(&alice, &packet, 5000));
	size_t size = hear_rtcp(alice.rtcp_fd, data);

	ck_assert_ptr_null(check_compound(data, size, 200)); /* nothing was received: no block */
	ck_assert_uint_ge(get32(data + 20), 10);
	ck_assert_uint_eq(get32(data + 24), 160 * get32(data + 20));
	/* Its RTP time is on our line: not far behind the newest packet. */
	while (phone_hear(&alice, &packet, 0)) {
	}
	ck_assert_int_lt(abs((int32_t)(packet.timestamp - get32(data + 16))), 8000);
	ck_assert_int_eq(rtp_driver.close(alice.stream), PBX_OK);
	do {
		size = hear_rtcp(alice.rtcp_fd, data);
	} while (data[size - 8 + 1] != 203); /* another report may have come first */
	ck_assert_uint_eq(get32(data + size - 4), packet.ssrc);
	alice.stream = (core_stream){ 0 };
	phone_fini(&alice);
	rig_stop();
}
END_TEST

static uint32_t ntp_middle_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return ((uint32_t)now.tv_sec + 2208988800u) << 16 | (uint32_t)(((uint64_t)now.tv_nsec << 16) / 1000000000);
}

START_TEST(the_round_trip_is_found_from_the_peers_report)
{
	uint8_t report[32] = { 0x81, 201, 0, 7 };
	uint8_t data[512];

	call(false);
	put32(report + 4, alice.ssrc);
	put32(report + 8, rig_stats(alice.stream).send_ssrc);
	put32(report + 24, ntp_middle_now() - 0x8000); /* we reported half a second ago */
	put32(report + 28, 0x6000);                    /* of which the phone kept it three eighths: 125 ms are the way */
	struct core_addr to = alice.pbx;

	to.in4.sin_port = htons((uint16_t)(ntohs(to.in4.sin_port) + 1));
	ck_assert_int_eq(sendto(alice.rtcp_fd, report, sizeof report, 0, &to.sa, sizeof to.in4), (ssize_t)sizeof report);
	rig_until(rig_stats(alice.stream).round_trip_us > 0);
	ck_assert_uint_ge(rig_stats(alice.stream).round_trip_us, 124000);
	ck_assert_uint_le(rig_stats(alice.stream).round_trip_us, 1000000);

	/* And our report tells the phone when we heard its last SR. */
	uint8_t sender[28] = { 0x80, 200, 0, 6 };

	put32(sender + 4, alice.ssrc);
	put32(sender + 8, 0x11112222);
	put32(sender + 12, 0x33334444);
	ck_assert_int_eq(sendto(alice.rtcp_fd, sender, sizeof sender, 0, &to.sa, sizeof to.in4), (ssize_t)sizeof sender);
	phone_say(&alice, 0);
	size_t size = hear_rtcp(alice.rtcp_fd, data);
	const uint8_t *block = check_compound(data, size, 201);

	ck_assert_uint_eq(get32(block + 16), 0x22223333);
	ck_assert_uint_gt(get32(block + 20), 0);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(muxed_reports_share_the_port_of_rtp)
{
	uint8_t report[8] = { 0x80, 201, 0, 1 }, data[512];

	call(true);
	phone_say(&alice, 0);
	rig_until(rig_stats(alice.stream).packets_in == 1);
	phone_send_raw(&alice, report, sizeof report);
	size_t size = hear_rtcp(alice.rtp_fd, data);

	(void)check_compound(data, size, 201);
	ck_assert_uint_eq(rig_stats(alice.stream).malformed, 0);
	ck_assert_uint_eq(rig_stats(alice.stream).packets_in, 1); /* the report was none of them */
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(broken_reports_are_counted)
{
	static const uint8_t too_long[] = { 0x81, 201, 0, 200, 1, 2, 3, 4 }, cut[] = { 0x80, 200, 0 };
	struct core_addr to;

	call(false);
	to = alice.pbx;
	to.in4.sin_port = htons((uint16_t)(ntohs(to.in4.sin_port) + 1));
	ck_assert_int_gt(sendto(alice.rtcp_fd, too_long, sizeof too_long, 0, &to.sa, sizeof to.in4), 0);
	ck_assert_int_gt(sendto(alice.rtcp_fd, cut, sizeof cut, 0, &to.sa, sizeof to.in4), 0);
	rig_until(rig_stats(alice.stream).malformed == 2);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

CHECK_MAIN("rtcp", a_receiver_report_counts_what_was_lost, a_sender_report_counts_what_was_sent_and_goodbye_is_said,
	   the_round_trip_is_found_from_the_peers_report, muxed_reports_share_the_port_of_rtp, broken_reports_are_counted)
