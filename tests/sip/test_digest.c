/* test_digest - the vectors of the RFCs, nonces that prove themselves, and what the guard counts */
#include "../check_main.h"
#include "address.h"
#include "digest.h"
#include "guard.h"
#include <check.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define S 1000000ll /* a second */

static struct core_addr address(const char *text)
{
	struct core_addr addr;

	ck_assert_msg(ua_address_parse(text, &addr), "%s", text);
	return addr;
}

static void check_vector(uint32_t algorithm, const char *password, struct ua_digest digest, const char *method, const char *expected)
{
	char ha1[UA_HEX_SIZE], response[UA_HEX_SIZE];

	digest.algorithm = algorithm;
	ua_hash(algorithm, ha1, digest.username, digest.realm, password, NULL);
	ua_digest_response(&digest, ha1, method, response);
	ck_assert_str_eq(response, expected);
	digest.response = expected;
	ck_assert(ua_digest_matches(&digest, ha1, method));
	ck_assert(!ua_digest_matches(&digest, ha1, "DELETE"));
	digest.response = "";
	ck_assert(!ua_digest_matches(&digest, ha1, method));
}

static const struct ua_digest rfc7616 = {
	.username = "Mufasa",
	.realm = "http-auth@example.org",
	.nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
	.uri = "/dir/index.html",
	.qop = "auth",
	.nc = "00000001",
	.cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
};

START_TEST(the_vectors_of_rfc_7616_come_out)
{
	check_vector(PBX_DIGEST_MD5, "Circle of Life", rfc7616, "GET", "8ca523f5e9506fed4657c9700eebdbec");
	check_vector(PBX_DIGEST_SHA256, "Circle of Life", rfc7616, "GET",
		     "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
}
END_TEST

START_TEST(the_vector_of_rfc_2617_comes_out)
{
	check_vector(PBX_DIGEST_MD5, "Circle Of Life",
		     (struct ua_digest){ .username = "Mufasa",
					 .realm = "testrealm@host.com",
					 .nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093",
					 .uri = "/dir/index.html",
					 .qop = "auth",
					 .nc = "00000001",
					 .cnonce = "0a4f113b" },
		     "GET", "6629fae49393a05397450978507c4ef1");
}
END_TEST

START_TEST(the_vector_of_rfc_2069_without_qop_comes_out)
{
	check_vector(PBX_DIGEST_MD5, "CircleOfLife",
		     (struct ua_digest){ .username = "Mufasa",
					 .realm = "testrealm@host.com",
					 .nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093",
					 .uri = "/dir/index.html",
					 .qop = "",
					 .nc = "",
					 .cnonce = "" },
		     "GET", "1949323746fe6a43ef61f9606e7febea");
}
END_TEST

START_TEST(a_nonce_is_good_for_its_address_and_its_time)
{
	char nonce[UA_NONCE_SIZE];

	ua_nonce_make("192.0.2.7", 1000 * S, nonce);
	ck_assert_int_eq(ua_nonce_check(nonce, "192.0.2.7", 1000 * S), UA_NONCE_FRESH);
	ck_assert_int_eq(ua_nonce_check(nonce, "192.0.2.7", (1000 + UA_NONCE_LIFE_S) * S), UA_NONCE_FRESH);
	ck_assert_int_eq(ua_nonce_check(nonce, "192.0.2.7", (1001 + UA_NONCE_LIFE_S) * S), UA_NONCE_STALE);
	ck_assert_int_eq(ua_nonce_check(nonce, "192.0.2.8", 1000 * S), UA_NONCE_FOREIGN);
}
END_TEST

START_TEST(a_nonce_that_was_touched_is_not_ours)
{
	char nonce[UA_NONCE_SIZE];

	ua_nonce_make("192.0.2.7", 1000 * S, nonce);
	for (size_t i = 0; i < strlen(nonce); i++) {
		char touched[UA_NONCE_SIZE];

		memcpy(touched, nonce, sizeof touched);
		touched[i] = touched[i] == '0' ? '1' : '0';
		ck_assert_int_eq(ua_nonce_check(touched, "192.0.2.7", 1000 * S), UA_NONCE_FOREIGN);
	}
	ck_assert_int_eq(ua_nonce_check("", "192.0.2.7", 1000 * S), UA_NONCE_FOREIGN);
}
END_TEST

START_TEST(a_nonce_count_is_used_once_and_rises)
{
	char nonce[UA_NONCE_SIZE];

	ua_nonce_make("192.0.2.7", 1000 * S, nonce);
	ck_assert(ua_nonce_use(nonce, 1));
	ck_assert(!ua_nonce_use(nonce, 1));
	ck_assert(ua_nonce_use(nonce, 3));
	ck_assert(!ua_nonce_use(nonce, 2));
	ck_assert(ua_nonce_use(nonce, 4));
}
END_TEST

START_TEST(without_a_count_a_nonce_is_good_once)
{
	char nonce[UA_NONCE_SIZE];

	ua_nonce_make("192.0.2.7", 1000 * S, nonce);
	ck_assert(ua_nonce_use(nonce, 0));
	ck_assert(!ua_nonce_use(nonce, 0));
	ck_assert(!ua_nonce_use(nonce, 9));
}
END_TEST

START_TEST(a_nonce_is_stale_when_the_ring_has_gone_round)
{
	char first[UA_NONCE_SIZE], other[UA_NONCE_SIZE];

	ua_nonce_make("192.0.2.7", 1000 * S, first);
	for (unsigned i = 0; i < 131072; i++)
		ua_nonce_make("192.0.2.7", 1000 * S, other);
	ck_assert_int_eq(ua_nonce_check(first, "192.0.2.7", 1000 * S), UA_NONCE_STALE);
	ck_assert(!ua_nonce_use(first, 1));
	ck_assert_int_eq(ua_nonce_check(other, "192.0.2.7", 1000 * S), UA_NONCE_FRESH);
}
END_TEST

START_TEST(a_flood_is_dropped_and_its_neighbours_are_not)
{
	struct core_addr rude = address("192.0.2.66:5060"), calm = address("192.0.2.7:5060");
	unsigned allowed = 0;

	for (unsigned i = 0; i < 1000; i++)
		allowed += ua_flood_allows(&rude, 100, 50, 1000);
	ck_assert_uint_eq(allowed, 50);
	ck_assert(ua_flood_allows(&calm, 100, 50, 1000));
	ck_assert(!ua_flood_allows(&rude, 100, 50, 1005));
	ck_assert(ua_flood_allows(&rude, 100, 50, 1020));
}
END_TEST

START_TEST(one_ipv6_network_is_one_flooder)
{
	struct core_addr a = address("[2001:db8::1]:5060"), b = address("[2001:db8::2]:5060"), other = address("[2001:db8:0:1::1]:5060");

	ck_assert(ua_flood_allows(&a, 1, 1, 1000));
	ck_assert(!ua_flood_allows(&b, 1, 1, 1000));
	ck_assert(ua_flood_allows(&other, 1, 1, 1000));
}
END_TEST

/* A socket of both families shows IPv4 so: those are not one network. */
START_TEST(ipv4_in_ipv6_is_counted_as_ipv4)
{
	struct core_addr a = address("[::ffff:192.0.2.1]:5060"), b = address("[::ffff:192.0.2.2]:5060"), same = address("192.0.2.1:5070");

	ck_assert(ua_flood_allows(&a, 1, 1, 1000));
	ck_assert(ua_flood_allows(&b, 1, 1, 1000));
	ck_assert(!ua_flood_allows(&same, 1, 1, 1000));
}
END_TEST

START_TEST(addresses_and_networks_are_told_apart)
{
	struct core_addr four = address("192.0.2.7:5060"), six = address("[2001:db8::7]:5060"), mapped = address("[::ffff:192.0.2.7]:5060");
	char text[80];

	ck_assert(ua_address_in(&four, "192.0.2.7"));
	ck_assert(ua_address_in(&four, "192.0.2.0/29"));
	ck_assert(!ua_address_in(&four, "192.0.2.8/29"));
	ck_assert(ua_address_in(&mapped, "192.0.2.0/24"));
	ck_assert(!ua_address_in(&six, "0.0.0.0/0"));
	ck_assert(ua_address_in(&six, "2001:db8::/33"));
	ck_assert(!ua_address_in(&six, "2001:db8:8000::/33"));
	ck_assert(!ua_address_in(&four, "nonsense"));
	ck_assert(!ua_address_in(&four, "192.0.2.7/99"));
	core_address_print(&mapped, text, sizeof text);
	ck_assert_str_eq(text, "192.0.2.7:5060");
	core_address_print(&six, text, sizeof text);
	ck_assert_str_eq(text, "[2001:db8::7]:5060");
	ck_assert(!ua_address_parse("192.0.2.7:66000", &six));
	ck_assert(!ua_address_parse("example.com", &six));
	ck_assert_str_eq(inet_ntop(AF_INET, &four.in4.sin_addr, text, sizeof "192.0.2.7"), "192.0.2.7"); /* ours, for everybody */
	ck_assert_ptr_null(inet_ntop(AF_INET, &four.in4.sin_addr, text, sizeof "192.0.2.7" - 1));
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

static void setup(void)
{
	ck_assert_int_eq(ua_nonces_init(), PBX_OK);
	ck_assert_int_eq(ua_guard_init(), PBX_OK);
}

static void teardown(void)
{
	ua_nonces_fini();
	ua_guard_fini();
}

int main(void)
{
	Suite *suite = suite_create("digest");
	TCase *cases = tcase_create("digest");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, the_vectors_of_rfc_7616_come_out);
	tcase_add_test(cases, the_vector_of_rfc_2617_comes_out);
	tcase_add_test(cases, the_vector_of_rfc_2069_without_qop_comes_out);
	tcase_add_test(cases, a_nonce_is_good_for_its_address_and_its_time);
	tcase_add_test(cases, a_nonce_that_was_touched_is_not_ours);
	tcase_add_test(cases, a_nonce_count_is_used_once_and_rises);
	tcase_add_test(cases, without_a_count_a_nonce_is_good_once);
	tcase_add_test(cases, a_nonce_is_stale_when_the_ring_has_gone_round);
	tcase_add_test(cases, a_flood_is_dropped_and_its_neighbours_are_not);
	tcase_add_test(cases, one_ipv6_network_is_one_flooder);
	tcase_add_test(cases, ipv4_in_ipv6_is_counted_as_ipv4);
	tcase_add_test(cases, addresses_and_networks_are_told_apart);
	suite_add_tcase(suite, cases);

	return check_run(suite);
}
