/* tests/rtp/test_level.c - what a packet says of how loud it is, and what ours say */
#include <check.h>
#include <rtp/level.h>
#include <string.h>

#include "../check_main.h"

#define HEAD 0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7
#define PLAIN 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7

START_TEST(a_level_is_found_among_other_extensions)
{
	static const struct {
		uint8_t packet[40];
		uint16_t level;
	} cases[] = {
		{ { HEAD, 0xbe, 0xde, 0, 1, 0x30, 0x85, 0, 0 }, RTP_LEVEL_TOLD | RTP_LEVEL_VOICE | 5 },
		{ { HEAD, 0xbe, 0xde, 0, 2, 0x12, 1, 2, 3, 0, 0x30, 127, 0 }, RTP_LEVEL_TOLD | 127 },
		{ { HEAD, 0xbe, 0xde, 0, 1, 0, 0, 0x30, 9 }, RTP_LEVEL_TOLD | 9 },
		{ { HEAD, 0xbe, 0xde, 0, 1, 0x40, 9, 0, 0 }, 0 },                /* another number */
		{ { HEAD, 0x10, 0, 0, 1, 0x03, 1, 9, 0 }, 0 },                   /* the form with two octets, which we did not agree on */
		{ { HEAD, 0xbe, 0xde, 0, 1, 0xf0, 1, 0x30, 9 }, 0 },             /* 15 ends it */
		{ { HEAD, 0xbe, 0xde, 0, 1, 0x10, 1, 0x10, 0x30, 9, 9, 9 }, 0 }, /* its octet is behind the end */
		{ { HEAD, 0xbe, 0xde, 0, 1, 0x1f, 0x30, 9, 0x30, 9 }, 0 },       /* the one before is longer than the whole */
		{ { HEAD, 0xbe, 0xde, 0, 0, 0x30, 9 }, 0 },
		{ { PLAIN, 0xbe, 0xde, 0, 1, 0x30, 9, 0, 0 }, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_msg(rtp_level_read(cases[i].packet, 3) == cases[i].level, "case %zu: %#x", i, rtp_level_read(cases[i].packet, 3));
}
END_TEST

START_TEST(a_level_behind_csrcs_is_found)
{
	static const uint8_t packet[] = {
		0x92, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 0x30, 0x44, 0, 0
	};

	ck_assert_uint_eq(rtp_level_read(packet, 3), RTP_LEVEL_TOLD | 0x44);
}
END_TEST

START_TEST(what_is_put_is_read_and_the_payload_stays)
{
	uint8_t packet[RTP_HEADER_BYTES + 4] = { PLAIN, 'a', 'b', 'c', 'd' }, made[sizeof packet + RTP_LEVEL_BYTES];
	struct rtp_packet parsed;

	for (uint8_t id = 1; id <= 14; id++) {
		ck_assert_uint_eq(rtp_level_put(packet, sizeof packet, id, RTP_LEVEL_TOLD | 42, made), sizeof made);
		ck_assert(rtp_packet_parse(made, sizeof made, &parsed));
		ck_assert_uint_eq(parsed.payload_bytes, 4);
		ck_assert_mem_eq(parsed.payload, "abcd", 4);
		ck_assert_uint_eq(rtp_level_read(made, id), RTP_LEVEL_TOLD | 42);
	}
}
END_TEST

START_TEST(levels_are_power_against_full_scale)
{
	int16_t loud[160], soft[160], silent[160] = { 0 };
	uint8_t codes[160];

	rtp_g711_init();
	for (size_t i = 0; i < 160; i++) {
		loud[i] = i % 2 ? 32767 : -32767;
		soft[i] = i % 2 ? 33 : -33; /* 60 dB less */
		codes[i] = rtp_g711_encode(RTP_LAW_A, i % 2 ? 3277 : -3277);
	}
	ck_assert_uint_eq(rtp_level_of(loud, 160), RTP_LEVEL_TOLD | RTP_LEVEL_VOICE);
	ck_assert_uint_eq(rtp_level_of(soft, 160), RTP_LEVEL_TOLD | 60);
	ck_assert_uint_eq(rtp_level_of(silent, 160), RTP_LEVEL_TOLD | RTP_LEVEL_SILENCE);
	ck_assert_uint_eq(rtp_level_of_g711(RTP_LAW_A, codes, 160), RTP_LEVEL_TOLD | RTP_LEVEL_VOICE | 20);
	ck_assert_uint_eq(rtp_level_of(loud, 0), 0);
}
END_TEST

CHECK_MAIN("level", a_level_is_found_among_other_extensions, a_level_behind_csrcs_is_found, what_is_put_is_read_and_the_payload_stays,
	   levels_are_power_against_full_scale)
