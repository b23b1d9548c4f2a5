/* tests/rtp/test_g711.c - all codes of both laws, and every input there is */
#include "../check_main.h"
#include <rtp/g711.h>
#include <stdlib.h>

/* Codes that differ in the lowest bit are neighbours within a segment. */
static int step_at(uint32_t law, uint8_t code)
{
	return abs(rtp_g711_decode(law, code) - rtp_g711_decode(law, code ^ 1));
}

START_TEST(codes_decode_to_the_values_of_the_recommendation)
{
	rtp_g711_init();
	/* µ law: table 2a of G.711, in 16 bits. */
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, 0x80), 32124);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, 0x00), -32124);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, 0x8f), 16764);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, 0x90), 15996);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, 0xef), 132);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, 0xfe), 8);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, 0xff), 0);
	/* A law: bit 7 set is positive. */
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, 0xaa), 32256);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, 0x2a), -32256);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, 0xd5), 8);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, 0x55), -8);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, 0xc5), 264);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, 0xa5), 16896);
}
END_TEST

START_TEST(every_code_comes_back_but_the_second_zero_of_mu)
{
	rtp_g711_init();
	for (uint32_t law = 0; law < RTP_LAWS; law++) {
		for (int code = 0; code < 256; code++) {
			int expected = law == RTP_LAW_MU && code == 0x7f ? 0xff : code;

			ck_assert_int_eq(rtp_g711_encode(law, rtp_g711_decode(law, (uint8_t)code)), expected);
		}
	}
}
END_TEST

START_TEST(no_input_is_further_off_than_half_a_step)
{
	rtp_g711_init();
	for (uint32_t law = 0; law < RTP_LAWS; law++) {
		int loudest = rtp_g711_decode(law, law == RTP_LAW_MU ? 0x80 : 0xaa), before = -40000;

		for (int sample = -32768; sample < 32768; sample++) {
			uint8_t code = rtp_g711_encode(law, (int16_t)sample);
			int value = rtp_g711_decode(law, code), clipped = sample > loudest    ? loudest
									  : sample < -loudest ? -loudest
											      : sample;

			ck_assert_int_le(abs(value - clipped), step_at(law, code) / 2);
			ck_assert_int_ge(value, before);
			before = value;
		}
	}
}
END_TEST

START_TEST(decides_where_the_recommendation_does)
{
	rtp_g711_init();
	/* Between two segments the decision value is not the middle: 31 of 30 and 33 (14 bits), 512 of 504 and 528. */
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, rtp_g711_encode(RTP_LAW_MU, 4 * 31 + 1)), 4 * 33);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_MU, rtp_g711_encode(RTP_LAW_MU, 4 * 31 - 1)), 4 * 30);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, rtp_g711_encode(RTP_LAW_A, 513)), 528);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, rtp_g711_encode(RTP_LAW_A, 511)), 504);
	ck_assert_int_eq(rtp_g711_decode(RTP_LAW_A, rtp_g711_encode(RTP_LAW_A, -513)), -528);
}
END_TEST

START_TEST(silence_stays_silence)
{
	rtp_g711_init();
	ck_assert_int_eq(rtp_g711_encode(RTP_LAW_MU, 0), 0xff);
	ck_assert_int_eq(rtp_g711_encode(RTP_LAW_A, 0), 0xd5);
	ck_assert_int_eq(rtp_g711_silence(RTP_LAW_MU), 0xff);
	ck_assert_int_eq(rtp_g711_silence(RTP_LAW_A), 0xd5);
}
END_TEST

START_TEST(one_law_becomes_the_other_by_way_of_the_samples)
{
	rtp_g711_init();
	for (uint32_t law = 0; law < RTP_LAWS; law++) {
		uint8_t codes[256];

		for (int code = 0; code < 256; code++)
			codes[code] = (uint8_t)code;
		rtp_g711_convert(law, codes, 256);
		for (int code = 0; code < 256; code++)
			ck_assert_int_eq(codes[code], rtp_g711_encode(!law, rtp_g711_decode(law, (uint8_t)code)));
	}
}
END_TEST

CHECK_MAIN("g711", codes_decode_to_the_values_of_the_recommendation, every_code_comes_back_but_the_second_zero_of_mu,
	   no_input_is_further_off_than_half_a_step, decides_where_the_recommendation_does, silence_stays_silence,
	   one_law_becomes_the_other_by_way_of_the_samples)
