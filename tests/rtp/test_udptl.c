/* tests/rtp/test_udptl.c - datagrams of T.38: what is lost on the way is there all the same, and nonsense is refused */
#include "../check_main.h"
#include <rtp/udptl.h>
#include <stdio.h>
#include <string.h>

/* What was read, as text: "1 2 3". */
struct heard {
	char text[256];
	uint8_t last[RTP_UDPTL_IFP];
	uint32_t last_bytes;
};

static void on_packet(void *context, const uint8_t *ifp, uint32_t bytes, uint16_t sequence)
{
	struct heard *heard = context;
	size_t used = strlen(heard->text);

	(void)snprintf(heard->text + used, sizeof heard->text - used, "%s%u", used ? " " : "", sequence);
	memcpy(heard->last, ifp, bytes);
	heard->last_bytes = bytes;
}

static size_t say(struct rtp_udptl *udptl, uint8_t fill, size_t bytes, uint8_t *ret_data)
{
	uint8_t ifp[RTP_UDPTL_IFP + 1];

	memset(ifp, fill, bytes);
	return rtp_udptl_write(udptl, ifp, bytes, ret_data);
}

START_TEST(three_lost_datagrams_are_in_the_fourth)
{
	struct rtp_udptl ours, theirs;
	struct heard heard = { .text = "" };
	uint8_t data[RTP_UDPTL_BYTES];

	rtp_udptl_init(&ours, 0);
	rtp_udptl_init(&theirs, 0);
	for (uint8_t i = 0; i < 9; i++) {
		size_t size = say(&ours, i, 20u + i * 30u, data);

		ck_assert_uint_gt(size, 0);
		if (i < 2 || i == 5 || i == 8)
			ck_assert(rtp_udptl_read(&theirs, data, size, on_packet, &heard));
	}
	ck_assert_str_eq(heard.text, "0 1 2 3 4 5 6 7 8");
	ck_assert_uint_eq(heard.last_bytes, 20 + 8 * 30);
	ck_assert_uint_eq(heard.last[7], 8);
	ck_assert_uint_eq(theirs.mended, 5);
	ck_assert_uint_eq(theirs.lost, 0);
}
END_TEST

START_TEST(what_nothing_repeats_is_lost_and_counted)
{
	struct rtp_udptl ours, theirs;
	struct heard heard = { .text = "" };
	uint8_t data[RTP_UDPTL_BYTES];

	rtp_udptl_init(&ours, 0);
	rtp_udptl_init(&theirs, 0);
	for (uint8_t i = 0; i < 7; i++) {
		size_t size = say(&ours, i, 40, data);

		if (i == 0 || i == 6) {
			ck_assert(rtp_udptl_read(&theirs, data, size, on_packet, &heard));
			ck_assert(rtp_udptl_read(&theirs, data, size, on_packet, &heard)); /* and once more: nothing new */
		}
	}
	ck_assert_str_eq(heard.text, "0 3 4 5 6");
	ck_assert_uint_eq(theirs.lost, 2);
}
END_TEST

START_TEST(numbers_go_round)
{
	struct rtp_udptl ours, theirs;
	struct heard heard = { .text = "" };
	uint8_t data[RTP_UDPTL_BYTES];

	rtp_udptl_init(&ours, 0);
	rtp_udptl_init(&theirs, 0);
	ours.next = 65534;
	for (uint8_t i = 0; i < 4; i++) {
		size_t size = say(&ours, i, 10, data);

		if (i != 2)
			ck_assert(rtp_udptl_read(&theirs, data, size, on_packet, &heard));
	}
	ck_assert_str_eq(heard.text, "65534 65535 0 1");
}
END_TEST

START_TEST(datagrams_are_no_longer_than_the_peer_allows)
{
	struct rtp_udptl ours;
	uint8_t data[RTP_UDPTL_BYTES];

	rtp_udptl_init(&ours, 180);
	for (uint8_t i = 0; i < 5; i++)
		ck_assert_uint_le(say(&ours, i, 60, data), 180);
	ck_assert_uint_gt(say(&ours, 9, 60, data), 120); /* two of them fit */
	ck_assert_uint_eq(say(&ours, 0, RTP_UDPTL_IFP + 1, data), 0);
	ck_assert_uint_eq(say(&ours, 0, 0, data), 0);
}
END_TEST

/* Number 4 with two parities over two packets each: 0 and 2, 1 and 3. */
START_TEST(parity_mends_one_of_its_packets)
{
	struct rtp_udptl theirs;
	struct heard heard = { .text = "" };
	static const uint8_t zero[] = { 0, 0, 3, 'a', 'b', 'c', 0, 0 }, three[] = { 0, 3, 2, 'y', 'z', 0, 0 };
	uint8_t fourth[] = { 0, 4, 1, 'q', 0x80, 1, 2, 2, 3, 'a' ^ 'r', 'b' ^ 's', 'c' ^ 't', 2, 'k' ^ 'y', 'l' ^ 'z' };

	rtp_udptl_init(&theirs, 0);
	ck_assert(rtp_udptl_read(&theirs, zero, sizeof zero, on_packet, &heard));
	theirs.expected = 1; /* what is behind it does not come until 4 does */
	ck_assert(rtp_udptl_read(&theirs, fourth, sizeof fourth, on_packet, &heard));
	ck_assert_str_eq(heard.text, "0 2 4");

	rtp_udptl_init(&theirs, 0);
	heard.text[0] = '\0';
	ck_assert(rtp_udptl_read(&theirs, zero, sizeof zero, on_packet, &heard));
	static const uint8_t one[] = { 0, 1, 2, 'k', 'l', 0, 0 };
	ck_assert(rtp_udptl_read(&theirs, one, sizeof one, on_packet, &heard));
	ck_assert(rtp_udptl_read(&theirs, three, sizeof three, on_packet, &heard)); /* 2 is given up here */
	ck_assert(rtp_udptl_read(&theirs, fourth, sizeof fourth, on_packet, &heard));
	ck_assert_str_eq(heard.text, "0 1 3 4");
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const struct {
		size_t size;
		uint8_t data[16];
	} cases[] = {
		{ 0, { 0 } },
		{ 3, { 0, 1, 1 } },                            /* no packet */
		{ 4, { 0, 1, 0, 0 } },                         /* an empty one */
		{ 6, { 0, 1, 9, 1, 2, 3 } },                   /* longer than the datagram */
		{ 6, { 0, 1, 0xc1, 1, 2, 3 } },                /* a length of pieces */
		{ 6, { 0, 1, 1, 7, 0, 2 } },                   /* two earlier ones that are not there */
		{ 8, { 0, 1, 1, 7, 0x80, 2, 1, 1 } },          /* a span of two octets */
		{ 9, { 0, 1, 1, 7, 0, 1, 5, 1, 2 } },          /* an earlier one that is cut off */
		{ 7, { 0, 1, 1, 7, 0, 0, 9 } },                /* something behind the end */
		{ 12, { 0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2 } }, /* RTP */
	};
	struct rtp_udptl udptl;
	struct heard heard = { .text = "" };
	uint16_t sequence;

	rtp_udptl_init(&udptl, 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ck_assert_msg(!rtp_udptl_check(cases[i].data, cases[i].size, &sequence), "case %zu", i);
		ck_assert(!rtp_udptl_read(&udptl, cases[i].data, cases[i].size, on_packet, &heard));
	}
	ck_assert_str_eq(heard.text, "");
}
END_TEST

CHECK_MAIN("udptl", three_lost_datagrams_are_in_the_fourth, what_nothing_repeats_is_lost_and_counted, numbers_go_round,
	   datagrams_are_no_longer_than_the_peer_allows, parity_mends_one_of_its_packets, nonsense_is_refused)
