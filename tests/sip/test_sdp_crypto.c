/* tests/sip/test_sdp_crypto.c - a=crypto lines (RFC 4568), read and written */
#include "../check_main.h"

#include <sdp.h>
#include <sdp_crypto.h>
#include <pbx/abi.h>
#include <string.h>

#define KEY128 "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
#define KEY256 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLg"

static const struct {
	const char *what, *value;
	uint32_t tag; /* 0: refused */
	uint8_t suite;
} rows[] = {
	{ "the example of RFC 4568", "1 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 "|2^20", 1, CORE_SRTP_AES_CM_128_80 },
	{ "no lifetime", "2 AES_CM_128_HMAC_SHA1_32 inline:" KEY128, 2, CORE_SRTP_AES_CM_128_32 },
	{ "a lifetime in digits", "7 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 "|1066", 7, CORE_SRTP_AES_CM_128_80 },
	{ "the largest tag", "999999999 AES_CM_128_HMAC_SHA1_80 inline:" KEY128, 999999999, CORE_SRTP_AES_CM_128_80 },
	{ "a long key without padding", "3 AES_256_CM_HMAC_SHA1_80 inline:" KEY256, 3, CORE_SRTP_AES_CM_256_80 },
	{ "a long key with padding", "3 AES_256_CM_HMAC_SHA1_80 inline:" KEY256 "==", 3, CORE_SRTP_AES_CM_256_80 },
	{ "names in small letters", "1 aes_cm_128_hmac_sha1_80 INLINE:" KEY128, 1, CORE_SRTP_AES_CM_128_80 },
	{ "a blank at the end", "1 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 " ", 1, CORE_SRTP_AES_CM_128_80 },
	{ "tag zero", "0 AES_CM_128_HMAC_SHA1_80 inline:" KEY128, 0, 0 },
	{ "a tag too large", "1000000000 AES_CM_128_HMAC_SHA1_80 inline:" KEY128, 0, 0 },
	{ "a tag that is none", "x AES_CM_128_HMAC_SHA1_80 inline:" KEY128, 0, 0 },
	{ "a suite that we have not", "1 F8_128_HMAC_SHA1_80 inline:" KEY128, 0, 0 },
	{ "a suite's name and more", "1 AES_CM_128_HMAC_SHA1_800 inline:" KEY128, 0, 0 },
	{ "a master key index", "1 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 "|2^20|1:4", 0, 0 },
	{ "an index without a lifetime", "1 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 "|1:4", 0, 0 },
	{ "two keys", "1 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 "|2^20|1:4;inline:" KEY128 "|2^20|2:4", 0, 0 },
	{ "protection turned off", "1 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 " UNENCRYPTED_SRTP", 0, 0 },
	{ "a key too short", "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQ", 0, 0 },
	{ "a key of another suite", "1 AES_256_CM_HMAC_SHA1_80 inline:" KEY128, 0, 0 },
	{ "a key that is no base64", "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwg!CkgewkyMjA7fQp9CnVubGVz", 0, 0 },
	{ "padding in the middle", "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwg=CkgewkyMjA7fQp9CnVubGVz", 0, 0 },
	{ "another method", "1 AES_CM_128_HMAC_SHA1_80 uri:" KEY128, 0, 0 },
	{ "no key", "1 AES_CM_128_HMAC_SHA1_80 inline:", 0, 0 },
	{ "a suite alone", "1 AES_CM_128_HMAC_SHA1_80", 0, 0 },
	{ "a tag alone", "1", 0, 0 },
	{ "nothing", "", 0, 0 },
};

START_TEST(lines_are_read_or_refused)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct core_crypto crypto = { 0 };
		bool read = ua_sdp_crypto_read(rows[i].value, &crypto);

		ck_assert_msg(read == (rows[i].tag != 0), "%s", rows[i].what);
		ck_assert_msg(!read || (crypto.tag == rows[i].tag && crypto.suite == rows[i].suite), "%s", rows[i].what);
	}
}
END_TEST

START_TEST(what_is_written_reads_as_it_was)
{
	for (uint8_t suite = 1; suite < CORE_SRTP_SUITES; suite++) {
		struct core_crypto ours = { .tag = 40u + suite, .suite = suite }, read;
		char value[UA_SDP_CRYPTO_SIZE];

		for (uint8_t i = 0; i < 28; i++)
			ours.key[i] = (uint8_t)(200 + i);
		ua_sdp_crypto_write(&ours, value);
		ck_assert_msg(ua_sdp_crypto_read(value, &read), "%s", value);
		ck_assert_mem_eq(&read, &ours, sizeof ours);
	}
}
END_TEST

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
#define LINE "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" KEY128 "\r\n"

START_TEST(a_description_keeps_the_keys_we_can_use_and_says_ours)
{
	const char *offer = HEAD "m=audio 4000 RTP/AVP 8\r\nm=audio 4002 RTP/SAVP 8\r\na=crypto:9 F8_128_HMAC_SHA1_80 inline:x\r\n" LINE;
	struct ua_sdp sdp;
	struct core_media_desc desc;
	char body[UA_SDP_SIZE];

	ua_sdp_init(&sdp, 1);
	ck_assert_int_eq(ua_sdp_read(&sdp, offer, strlen(offer), false, &desc), PBX_OK);
	ck_assert(desc.secure); /* of the two lines the one with a key */
	ck_assert_uint_eq(desc.crypto_count, 1);
	ck_assert_uint_eq(desc.cryptos[0].tag, 1);
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "m=audio 0 RTP/AVP"));
	ck_assert_ptr_nonnull(strstr(body, "m=audio 4002 RTP/SAVP 8\r\n"));
	ck_assert_ptr_nonnull(strstr(body, LINE));
}
END_TEST

START_TEST(an_offer_of_ours_demands_srtp_by_its_profile_or_only_mentions_a_key)
{
	struct core_media_desc desc = { .present = true, .direction = 3, .codec_count = 1, .crypto_count = 1 };
	char body[UA_SDP_SIZE];
	struct ua_sdp sdp;

	desc.codecs[0] = (struct core_codec){ .name = "PCMA", .clock_hz = 8000, .channels = 1, .payload_type = 8 };
	desc.cryptos[0] = (struct core_crypto){ .tag = 1, .suite = CORE_SRTP_AES_CM_128_80 };
	ua_sdp_init(&sdp, 1);
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "RTP/AVP 8"));
	ck_assert_ptr_nonnull(strstr(body, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"));
	desc.secure = true;
	ua_sdp_init(&sdp, 2);
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "RTP/SAVP 8"));
}
END_TEST

CHECK_MAIN("sdp_crypto", lines_are_read_or_refused, what_is_written_reads_as_it_was, a_description_keeps_the_keys_we_can_use_and_says_ours,
	   an_offer_of_ours_demands_srtp_by_its_profile_or_only_mentions_a_key)
