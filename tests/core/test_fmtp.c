/* test_fmtp - parameters of codecs are read as other systems write them, and written so that others read them */
#include "../check_main.h"
#include <pbx/fmtp.h>

START_TEST(values_are_found_however_they_are_written)
{
	static const char fmtp[] = "Mode = 20 ; annexb;VBR=\"1,any\";empty=;x=1;x=2";
	char value[8];

	ck_assert(pbx_fmtp_text(fmtp, "mode", value, sizeof value));
	ck_assert_str_eq(value, "20");
	ck_assert(pbx_fmtp_text(fmtp, "ANNEXB", value, sizeof value));
	ck_assert_str_eq(value, "");
	ck_assert(pbx_fmtp_text(fmtp, "vbr", value, sizeof value));
	ck_assert_str_eq(value, "1,any");
	ck_assert(pbx_fmtp_text(fmtp, "empty", value, sizeof value));
	ck_assert_str_eq(value, "");
	ck_assert(pbx_fmtp_text(fmtp, "x", value, sizeof value));
	ck_assert_str_eq(value, "1");
	ck_assert(!pbx_fmtp_text(fmtp, "mod", value, sizeof value));
	ck_assert(!pbx_fmtp_text(fmtp, "modes", value, sizeof value));
	ck_assert_str_eq(value, "");
	ck_assert(!pbx_fmtp_text(NULL, "mode", value, sizeof value));
	ck_assert(!pbx_fmtp_text(";;=;", "mode", value, sizeof value));
}
END_TEST

START_TEST(what_does_not_fit_is_cut)
{
	char value[4];

	ck_assert(pbx_fmtp_text("a=12345;b=2", "a", value, sizeof value));
	ck_assert_str_eq(value, "123");
}
END_TEST

START_TEST(numbers_that_cannot_be_are_as_if_they_were_not_there)
{
	ck_assert_uint_eq(pbx_fmtp_number("rate=16000", "rate", 8000, 48000, 7), 16000);
	ck_assert_uint_eq(pbx_fmtp_number("rate=7999", "rate", 8000, 48000, 7), 7);
	ck_assert_uint_eq(pbx_fmtp_number("rate=48001", "rate", 8000, 48000, 7), 7);
	ck_assert_uint_eq(pbx_fmtp_number("rate=99999999999", "rate", 0, UINT32_MAX, 7), 7);
	ck_assert_uint_eq(pbx_fmtp_number("rate=-1", "rate", 0, 10, 7), 7);
	ck_assert_uint_eq(pbx_fmtp_number("rate=1x", "rate", 0, 10, 7), 7);
	ck_assert_uint_eq(pbx_fmtp_number("rate=", "rate", 0, 10, 7), 7);
	ck_assert_uint_eq(pbx_fmtp_number("", "rate", 0, 10, 7), 7);
}
END_TEST

START_TEST(lines_grow_until_they_are_full)
{
	char fmtp[20] = "";

	ck_assert_int_eq(pbx_fmtp_add(fmtp, sizeof fmtp, "mode=%d", 20), PBX_OK);
	ck_assert_int_eq(pbx_fmtp_add(fmtp, sizeof fmtp, "vbr=on"), PBX_OK);
	ck_assert_str_eq(fmtp, "mode=20;vbr=on");
	ck_assert_int_eq(pbx_fmtp_add(fmtp, sizeof fmtp, "cng=on"), PBX_ENOSPC);
	ck_assert_str_eq(fmtp, "mode=20;vbr=on");
	ck_assert_int_eq(pbx_fmtp_add(fmtp, sizeof fmtp, "a=12"), PBX_OK);
	ck_assert_str_eq(fmtp, "mode=20;vbr=on;a=12");
	ck_assert_int_eq(pbx_fmtp_add(fmtp, sizeof fmtp, "x"), PBX_ENOSPC);
	ck_assert_str_eq(fmtp, "mode=20;vbr=on;a=12");
}
END_TEST

CHECK_MAIN("fmtp", values_are_found_however_they_are_written, what_does_not_fit_is_cut,
	   numbers_that_cannot_be_are_as_if_they_were_not_there, lines_grow_until_they_are_full)
