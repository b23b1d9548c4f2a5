/* tests/rtp/test_rtcp.c - reports, as both ends see them */
#include "../check_main.h"
#include "rig.h"
#include <rtp/worker.h>

#include <arpa/inet.h>
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

static void call_telling(bool mux, uint8_t xr)
{
	struct core_stream_config config;

	rig_start();
	phone_init(&alice, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_config(&alice, "PCMU", &config);
	config.rtcp_mux = mux;
	config.xr = xr;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	core_loop_settle();
}

static void call(bool mux)
{
	call_telling(mux, 0);
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

static void send_rtcp(const void *data, size_t size)
{
	struct core_addr to = alice.pbx;

	to.in4.sin_port = htons((uint16_t)(ntohs(to.in4.sin_port) + 1));
	ck_assert_int_eq(sendto(alice.rtcp_fd, data, size, 0, &to.sa, sizeof to.in4), (ssize_t)size);
}

/* A block of the XR packet in a compound; NULL: there is none. */
static const uint8_t *xr_block(const uint8_t *data, size_t size, uint8_t type)
{
	for (size_t at = 0; at + 8 <= size; at += 4u * ((size_t)(data[at + 2] << 8 | data[at + 3]) + 1)) {
		size_t end = at + 4u * ((size_t)(data[at + 2] << 8 | data[at + 3]) + 1);

		if (data[at + 1] != 207)
			continue;
		ck_assert_uint_le(end, size);
		for (size_t block = at + 8; block < end; block += 4u * ((size_t)(data[block + 2] << 8 | data[block + 3]) + 1))
			if (data[block] == type)
				return data + block;
	}
	return NULL;
}

START_TEST(who_asks_for_it_is_told_by_xr_how_it_arrives)
{
	uint8_t data[512];

	call_telling(false, CORE_XR_OURS);
	alice.sequence = 65500;
	for (int i = 0; i < 80; i++) { /* a burst of three in five packets, and one alone much later */
		bool is_lost = i == 20 || i == 22 || i == 24 || i == 60;

		if (is_lost)
			alice.sequence++, alice.timestamp += 160;
		else
			phone_say(&alice, 0);
		if (i == 30) { /* once more, the one before */
			alice.sequence--;
			phone_say(&alice, 0);
		}
	}
	rig_until(rig_stats(alice.stream).packets_in == 77);
	size_t size = hear_rtcp(alice.rtcp_fd, data);

	(void)check_compound(data, size, 201);
	const uint8_t *reference = xr_block(data, size, 4), *summary = xr_block(data, size, 6), *voip = xr_block(data, size, 7);

	ck_assert_ptr_nonnull(reference);
	ck_assert_uint_eq(reference[3], 2);
	ck_assert_ptr_nonnull(summary);
	ck_assert_uint_eq(summary[1], 0xe0);
	ck_assert_uint_eq(summary[3], 9);
	ck_assert_uint_eq(get32(summary + 4), alice.ssrc);
	ck_assert_uint_eq(get32(summary + 8), 65500u << 16 | (uint16_t)(65500 + 80));
	ck_assert_uint_eq(get32(summary + 12), 4);
	ck_assert_uint_eq(get32(summary + 16), 1);
	ck_assert_uint_le(get32(summary + 20), get32(summary + 28)); /* least, mean, most */
	ck_assert_uint_le(get32(summary + 28), get32(summary + 24));
	ck_assert_ptr_nonnull(voip);
	ck_assert_uint_eq(voip[3], 8);
	ck_assert_uint_eq(voip[8], 4 * 256 / 80);
	ck_assert_uint_eq(voip[9], 0);
	ck_assert_uint_eq(voip[10], 3 * 256 / 5);
	ck_assert_uint_eq(voip[11], 1 * 256 / 75);
	ck_assert_uint_eq(voip[12] << 8 | voip[13], 100);         /* ms of the burst */
	ck_assert_uint_eq(voip[14] << 8 | voip[15], 75 * 20 / 2); /* and of the two gaps, at the mean */
	ck_assert_uint_eq(voip[23], 16);
	ck_assert_uint_ge(voip[24], 70);
	ck_assert_uint_le(voip[24], 85);
	ck_assert_uint_ge(voip[26], 36);
	ck_assert_uint_le(voip[26], 41);

	rig_until(rig_stats(alice.stream).bursts == 1);
	ck_assert_uint_eq(rig_stats(alice.stream).burst_lost, 3);
	ck_assert_uint_eq(rig_stats(alice.stream).burst_packets, 5);
	ck_assert_uint_eq(rig_stats(alice.stream).runs, 4);
	ck_assert_uint_eq(rig_stats(alice.stream).lost, 4);
	ck_assert_uint_eq(rig_stats(alice.stream).duplicates, 1);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(what_is_overtaken_is_not_lost)
{
	call(false);
	for (int i = 0; i < 40; i++) { /* two by two, the second first */
		alice.sequence++;
		phone_say(&alice, 0);
		alice.sequence = (uint16_t)(alice.sequence - 2);
		phone_say(&alice, 0);
		alice.sequence++;
	}
	rig_until(rig_stats(alice.stream).packets_in == 80);
	rig_until(rig_stats(alice.stream).judged >= 79);
	ck_assert_uint_eq(rig_stats(alice.stream).judged_lost, rig_stats(alice.stream).lost);
	ck_assert_uint_le(rig_stats(alice.stream).lost, 1); /* the very first came before there was anything to count from */
	ck_assert_uint_ge(rig_stats(alice.stream).late, 39);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(a_phone_that_only_listens_learns_the_round_trip)
{
	uint8_t xr[20] = { 0x80, 207, 0, 4 }, data[512];

	call(false);
	put32(xr + 4, alice.ssrc);
	xr[8] = 4, xr[11] = 2;
	put32(xr + 12, 0xaaaa1234);
	put32(xr + 16, 0x5678bbbb);
	send_rtcp(xr, sizeof xr); /* reduced size: no report before it */
	rig_until(rig_stats(alice.stream).reports_in == 1);
	phone_say(&alice, 0);
	size_t size = hear_rtcp(alice.rtcp_fd, data);
	const uint8_t *answer = xr_block(data, size, 5);

	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer[3], 3);
	ck_assert_uint_eq(get32(answer + 4), alice.ssrc);
	ck_assert_uint_eq(get32(answer + 8), 0x12345678);
	ck_assert_uint_gt(get32(answer + 12), 0);
	ck_assert_ptr_null(xr_block(data, size, 7)); /* it did not ask for more */

	uint8_t dlrr[24] = { 0x80, 207, 0, 5 };

	put32(dlrr + 4, alice.ssrc);
	dlrr[8] = 5, dlrr[11] = 3;
	put32(dlrr + 12, rig_stats(alice.stream).send_ssrc);
	put32(dlrr + 16, ntp_middle_now() - 0x8000);
	put32(dlrr + 20, 0x6000);
	send_rtcp(dlrr, sizeof dlrr);
	rig_until(rig_stats(alice.stream).round_trip_us > 0);
	ck_assert_uint_ge(rig_stats(alice.stream).round_trip_us, 124000);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(the_peers_own_figures_are_taken)
{
	uint8_t xr[44] = { 0x80, 207, 0, 10 };

	call(false);
	put32(xr + 4, alice.ssrc);
	xr[8] = 7, xr[11] = 8;
	put32(xr + 12, rig_stats(alice.stream).send_ssrc);
	xr[16] = 13, xr[17] = 5, xr[18] = 100, xr[19] = 2; /* lost, discarded, densities */
	xr[21] = 120, xr[22] = 0x10;                       /* bursts of 120 ms, gaps of 4,096 */
	xr[25] = 88, xr[27] = 60;                          /* round trip, its own delay */
	xr[32] = 77, xr[34] = 38, xr[35] = 36, xr[39] = 40;
	send_rtcp(xr, sizeof xr);
	rig_until(rig_stats(alice.stream).peer_voip.told);
	struct core_voip voip = rig_stats(alice.stream).peer_voip;

	ck_assert_uint_eq(voip.lost_256, 13);
	ck_assert_uint_eq(voip.discarded_256, 5);
	ck_assert_uint_eq(voip.burst_density_256, 100);
	ck_assert_uint_eq(voip.gap_density_256, 2);
	ck_assert_uint_eq(voip.burst_ms, 120);
	ck_assert_uint_eq(voip.gap_ms, 4096);
	ck_assert_uint_eq(voip.round_trip_ms, 88);
	ck_assert_uint_eq(voip.end_delay_ms, 60);
	ck_assert_uint_eq(voip.r, 77);
	ck_assert_uint_eq(voip.mos_lq_tenths, 38);
	ck_assert_uint_eq(voip.mos_cq_tenths, 36);
	ck_assert_uint_eq(voip.buffer_ms, 40);

	xr[11] = 7; /* a block that is shorter than its type says */
	xr[3] = 9;
	send_rtcp(xr, sizeof xr - 4);
	rig_until(rig_stats(alice.stream).malformed == 1);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(a_peer_that_reports_and_hears_nothing_is_deaf)
{
	uint8_t empty[8] = { 0x80, 201, 0, 1 }, report[32] = { 0x81, 201, 0, 7 };

	call(false);
	put32(empty + 4, alice.ssrc);
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
	send_rtcp(empty, sizeof empty);
	rig_until(rig_stats(alice.stream).reports_in == 1);
	ck_assert(!rig_stats(alice.stream).peer_deaf); /* too early to say */
	rig_until(rig_stats(alice.stream).packets_out >= 101);
	send_rtcp(empty, sizeof empty);
	rig_until(rig_stats(alice.stream).peer_deaf);

	put32(report + 4, alice.ssrc);
	put32(report + 8, rig_stats(alice.stream).send_ssrc);
	put32(report + 12, 3u << 24 | 7);
	put32(report + 16, 4711);
	put32(report + 20, 80);
	send_rtcp(report, sizeof report);
	rig_until(!rig_stats(alice.stream).peer_deaf);
	ck_assert_uint_eq(rig_stats(alice.stream).peer_lost, 7);
	ck_assert_uint_eq(rig_stats(alice.stream).peer_highest, 4711);
	ck_assert_uint_eq(rig_stats(alice.stream).peer_jitter_us, 10000);
	ck_assert_uint_ge(rig_stats(alice.stream).reported_packets, 101);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(what_is_not_as_it_should_be_counts_as_malformed)
{
	static const uint8_t few_blocks[] = { 0x82, 201, 0, 1, 1, 2, 3, 4 };
	static const uint8_t padded_first[] = { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4, 0x80, 201, 0, 1, 1, 2, 3, 4 };
	static const uint8_t padded_odd[] = { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 3 };
	static const uint8_t other_type[] = { 0x80, 100, 0, 1, 1, 2, 3, 4 };
	static const uint8_t dlrr[] = { 0x80, 207, 0, 3, 1, 2, 3, 4, 5, 0, 0, 1, 9, 9, 9, 9 };
	static const uint8_t padded_last[] = { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4 };

	call(false);
	send_rtcp(few_blocks, sizeof few_blocks);
	send_rtcp(padded_first, sizeof padded_first);
	send_rtcp(padded_odd, sizeof padded_odd);
	send_rtcp(other_type, sizeof other_type);
	send_rtcp(dlrr, sizeof dlrr);
	send_rtcp(padded_last, sizeof padded_last);
	rig_until(rig_stats(alice.stream).reports_in == 1);
	ck_assert_uint_eq(rig_stats(alice.stream).malformed, 5);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

/* What browsers send beside reports (RFC 4585, 5104): of sound there is nothing to be sent again and no picture to refresh. */
START_TEST(feedback_is_taken_for_what_it_is_and_needs_no_answer)
{
	static const uint8_t nack[] = { 0x81, 205, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 0 };
	static const uint8_t transport[] = { 0x8f, 205, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 1, 0, 0, 1, 0, 0x20, 1, 4, 0 };
	static const uint8_t pli[] = { 0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint8_t remb[] = { 0x8f, 206, 0, 5, 1, 2, 3, 4, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint8_t no_media[] = { 0x81, 206, 0, 1, 1, 2, 3, 4 }; /* of whom it speaks is missing */
	static const uint8_t behind_report[] = { 0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8 };

	call(false);
	send_rtcp(nack, sizeof nack);
	send_rtcp(transport, sizeof transport);
	send_rtcp(pli, sizeof pli);
	send_rtcp(remb, sizeof remb);
	send_rtcp(no_media, sizeof no_media);
	send_rtcp(behind_report, sizeof behind_report);
	rig_until(rig_stats(alice.stream).reports_in == 5);
	ck_assert_uint_eq(rig_stats(alice.stream).malformed, 1);
	struct rtp_totals totals;

	rtp_engine_totals(&totals);
	ck_assert_uint_eq(totals.rtcp_in[RTP_RTCP_FEEDBACK], 5);
	ck_assert_uint_eq(totals.rtcp_out[RTP_RTCP_FEEDBACK], 0);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

/* A session that nobody listens to, on a clock of its own: when its reports would go out. */
static void look_for_reports(uint64_t for_ms, void (*report)(uint64_t after_ms, bool is_first))
{
	static struct rtp_common common;
	static struct rtp_worker worker;
	static struct rtp_plan plan;
	static struct rtp_session session;
	uint64_t seen = 0, last_ms = 0;

	worker.common = &common;
	plan.rtcp_mux = true;
	session = (struct rtp_session){
		.worker = &worker, .plan = &plan, .rtp_fd = -1, .rtcp_fd = -1, .remote_size = sizeof(struct sockaddr_in)
	};
	session.sender.packets = 1;
	session.sender.khz = 8;
	for (worker.now_ms = 1; worker.now_ms <= for_ms; worker.now_ms++) {
		worker.now_us = worker.now_ms * 1000;
		rtp_rtcp_look_after(&session);
		if (rtp_read(&session.counters.reports_out) == seen)
			continue;
		report(worker.now_ms - last_ms, seen == 0);
		seen = rtp_read(&session.counters.reports_out);
		last_ms = worker.now_ms;
	}
}

static struct {
	uint64_t count, all_ms, least_ms, most_ms;
} intervals, firsts;

static void note_interval(uint64_t after_ms, bool is_first)
{
	typeof(intervals) *to = is_first ? &firsts : &intervals;

	to->count++;
	to->all_ms += after_ms;
	to->least_ms = to->least_ms == 0 || after_ms < to->least_ms ? after_ms : to->least_ms;
	to->most_ms = after_ms > to->most_ms ? after_ms : to->most_ms;
}

/* RFC 3550 6.2 and 6.3.1: five seconds, times something between half and one and a half, divided by e - 3/2; the first after half of that. */
START_TEST(reports_come_at_random_around_the_minimum_and_the_first_after_half_of_it)
{
	const double least_ms = 2500 / 1.21828, most_ms = 7500 / 1.21828, mean_ms = 5000 / 1.21828;

	for (int i = 0; i < 300; i++)
		look_for_reports(20000, note_interval);
	look_for_reports(3600000, note_interval);
	ck_assert_uint_ge(intervals.least_ms, (uint64_t)least_ms);
	ck_assert_uint_le(intervals.most_ms, (uint64_t)most_ms + 1);
	ck_assert_uint_lt(intervals.least_ms, (uint64_t)(least_ms + 200)); /* all of that range is used */
	ck_assert_uint_gt(intervals.most_ms, (uint64_t)(most_ms - 200));
	ck_assert_double_eq_tol((double)intervals.all_ms / (double)intervals.count, mean_ms, mean_ms / 20);
	ck_assert_uint_ge(firsts.least_ms, (uint64_t)(least_ms / 2));
	ck_assert_uint_le(firsts.most_ms, (uint64_t)(most_ms / 2) + 2);
	ck_assert_double_eq_tol((double)firsts.all_ms / (double)firsts.count, mean_ms / 2, mean_ms / 20);
}
END_TEST

static uint64_t in_a_minute;

static void count_report(uint64_t after_ms, bool is_first)
{
	(void)after_ms, (void)is_first;
	in_a_minute++;
}

START_TEST(a_minute_has_eight_to_sixteen_reports_and_a_few)
{
	for (int i = 0; i < 100; i++) {
		in_a_minute = 0;
		look_for_reports(60000, count_report);
		ck_assert_uint_ge(in_a_minute, 8);
		ck_assert_uint_le(in_a_minute, 20); /* 14.6 on average: six more would be five standard deviations */
	}
}
END_TEST

CHECK_MAIN("rtcp", a_receiver_report_counts_what_was_lost, a_sender_report_counts_what_was_sent_and_goodbye_is_said,
	   the_round_trip_is_found_from_the_peers_report, muxed_reports_share_the_port_of_rtp, broken_reports_are_counted,
	   who_asks_for_it_is_told_by_xr_how_it_arrives, what_is_overtaken_is_not_lost, a_phone_that_only_listens_learns_the_round_trip,
	   the_peers_own_figures_are_taken, a_peer_that_reports_and_hears_nothing_is_deaf, what_is_not_as_it_should_be_counts_as_malformed,
	   feedback_is_taken_for_what_it_is_and_needs_no_answer, reports_come_at_random_around_the_minimum_and_the_first_after_half_of_it,
	   a_minute_has_eight_to_sixteen_reports_and_a_few)
