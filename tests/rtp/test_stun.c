/* tests/rtp/test_stun.c - the messages of RFC 5769, our own, and what is none */
#include "../check_main.h"
#include <arpa/inet.h>
#include <rtp/stun.h>
#include <string.h>

#define PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"

/* RFC 5769 2.1: a request of ICE. */
static const uint8_t request[] = {
	0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22,
	0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04,
	0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76,
	0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56,
	0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
};

/* RFC 5769 2.2: its answer, with an address of IPv4. */
static const uint8_t response4[] = {
	0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
	0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08,
	0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3,
	0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96,
};

/* RFC 5769 2.3: the same with IPv6. */
static const uint8_t response6[] = {
	0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf,
	0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20,
	0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe,
	0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c,
	0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c,
};

static struct rtp_stun_key *key;

static void with_key(const char *password)
{
	key = rtp_stun_key_new(password);
	ck_assert_ptr_nonnull(key);
}

START_TEST(the_request_of_rfc_5769_is_read_and_believed)
{
	struct rtp_stun message;

	with_key(PASSWORD);
	ck_assert(rtp_stun_parse(request, sizeof request, &message));
	ck_assert_uint_eq(message.type, RTP_STUN_REQUEST);
	ck_assert_uint_eq(message.username_bytes, 9);
	ck_assert_mem_eq(message.username, "evtj:h6vY", 9);
	ck_assert_uint_eq(message.priority, 0x6e0001ff);
	ck_assert(message.says_controlled && !message.says_controlling && !message.use_candidate);
	ck_assert_uint_eq(message.tie_breaker, 0x932ff9b151263b36u);
	ck_assert_uint_eq(message.unknown, 0);
	ck_assert(rtp_stun_is_authentic(&message, key));
	ck_assert(rtp_stun_is_authentic(&message, key)); /* a key is good for more than once */
	rtp_stun_key_free(key);
	with_key("another password, as long");
	ck_assert(!rtp_stun_is_authentic(&message, key));
	rtp_stun_key_free(key);
}
END_TEST

START_TEST(the_answers_of_rfc_5769_tell_the_address)
{
	struct rtp_stun message;
	struct in6_addr expected6;

	with_key(PASSWORD);
	ck_assert(rtp_stun_parse(response4, sizeof response4, &message));
	ck_assert(rtp_stun_is_authentic(&message, key));
	ck_assert_uint_eq(message.type, RTP_STUN_SUCCESS);
	ck_assert_uint_eq(message.mapped.in4.sin_addr.s_addr, inet_addr("192.0.2.1"));
	ck_assert_uint_eq(ntohs(message.mapped.in4.sin_port), 32853);
	ck_assert(rtp_stun_parse(response6, sizeof response6, &message));
	ck_assert(rtp_stun_is_authentic(&message, key));
	ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8:1234:5678:11:2233:4455:6677", &expected6), 1);
	ck_assert_mem_eq(&message.mapped.in6.sin6_addr, &expected6, sizeof expected6);
	rtp_stun_key_free(key);
}
END_TEST

static const uint8_t id[RTP_STUN_ID_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

START_TEST(what_we_write_is_what_we_read)
{
	const struct core_addr here = { .in4 = { .sin_family = AF_INET, .sin_port = htons(4000), .sin_addr.s_addr = htonl(0xc0000201) } };
	struct rtp_stun_text text;
	struct rtp_stun message;

	with_key("secret");
	rtp_stun_begin(&text, RTP_STUN_REQUEST, id);
	rtp_stun_add_username(&text, "theirs", "ours");
	rtp_stun_add_priority(&text, 7);
	rtp_stun_add_role(&text, true, 0x0102030405060708u);
	rtp_stun_add_use_candidate(&text);
	size_t size = rtp_stun_finish(&text, key);

	ck_assert(rtp_stun_parse(text.data, size, &message) && rtp_stun_is_authentic(&message, key));
	ck_assert_uint_eq(message.username_bytes, strlen("theirs:ours"));
	ck_assert_mem_eq(message.username, "theirs:ours", message.username_bytes);
	ck_assert_mem_eq(message.id, id, sizeof id);
	ck_assert(message.priority == 7 && message.use_candidate && message.says_controlling);
	ck_assert_uint_eq(message.tie_breaker, 0x0102030405060708u);

	rtp_stun_begin(&text, RTP_STUN_SUCCESS, id);
	rtp_stun_add_mapped(&text, &here);
	size = rtp_stun_finish(&text, key);
	ck_assert(rtp_stun_parse(text.data, size, &message) && rtp_stun_is_authentic(&message, key));
	ck_assert_mem_eq(&message.mapped, &here, sizeof here);

	rtp_stun_begin(&text, RTP_STUN_ERROR, id);
	rtp_stun_add_error(&text, RTP_STUN_ROLE_CONFLICT, 0);
	size = rtp_stun_finish(&text, key);
	ck_assert(rtp_stun_parse(text.data, size, &message));
	ck_assert_uint_eq(message.error, 487);
	rtp_stun_key_free(key);
}
END_TEST

START_TEST(a_message_that_does_not_fit_is_none)
{
	char longest[CORE_ICE_UFRAG_SIZE];
	struct rtp_stun_text text;

	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	with_key("secret");
	rtp_stun_begin(&text, RTP_STUN_REQUEST, id);
	rtp_stun_add_username(&text, longest, longest);
	rtp_stun_add_priority(&text, 1);
	rtp_stun_add_role(&text, false, 1);
	rtp_stun_add_use_candidate(&text);
	ck_assert_uint_gt(rtp_stun_finish(&text, key), 0); /* the longest names there can be */
	rtp_stun_begin(&text, RTP_STUN_REQUEST, id);
	for (int i = 0; i < 4; i++)
		rtp_stun_add_username(&text, longest, longest);
	ck_assert_uint_eq(rtp_stun_finish(&text, key), 0);
	rtp_stun_key_free(key);
}
END_TEST

START_TEST(every_flipped_bit_and_every_truncation_is_refused)
{
	struct rtp_stun message;
	uint8_t bent[sizeof request];

	with_key(PASSWORD);
	for (size_t bit = 0; bit < sizeof request * 8; bit++) {
		memcpy(bent, request, sizeof bent);
		bent[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_msg(!rtp_stun_parse(bent, sizeof bent, &message) || !rtp_stun_is_authentic(&message, key), "bit %zu", bit);
	}
	for (size_t size = 0; size < sizeof request; size++)
		ck_assert_msg(!rtp_stun_parse(request, size, &message), "%zu octets", size);
	rtp_stun_key_free(key);
}
END_TEST

CHECK_MAIN("stun", the_request_of_rfc_5769_is_read_and_believed, the_answers_of_rfc_5769_tell_the_address, what_we_write_is_what_we_read,
	   a_message_that_does_not_fit_is_none, every_flipped_bit_and_every_truncation_is_refused)
