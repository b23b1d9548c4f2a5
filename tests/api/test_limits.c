/* test_limits.c - who may try again, and when */
#include "api.h"
#include "check_main.h"

#define MINUTE_MS (60ull * 1000)

static bool tries(struct api_limits *limits, const char *address, const char *user, uint64_t now_ms)
{
	uint32_t wait_s;

	return api_limits_try_login(limits, address, user, now_ms, &wait_s);
}

START_TEST(a_burst_passes_and_then_the_rate_counts)
{
	struct api_limits *limits = api_limits_new();
	uint32_t wait_s = 0;

	for (int i = 0; i < 30; i++)
		ck_assert(api_limits_take(limits, "token 1", 1000, 120, 30, &wait_s));
	ck_assert(!api_limits_take(limits, "token 1", 1000, 120, 30, &wait_s));
	ck_assert_uint_eq(wait_s, 1);
	ck_assert(api_limits_take(limits, "token 2", 1000, 120, 30, &wait_s)); /* others are not concerned */
	ck_assert(api_limits_take(limits, "token 1", 1500, 120, 30, &wait_s)); /* 120 a minute: one each half second */
	ck_assert(!api_limits_take(limits, "token 1", 1500, 120, 30, &wait_s));
	api_limits_free(limits);
}
END_TEST

START_TEST(a_pause_fills_the_bucket_but_not_more)
{
	struct api_limits *limits = api_limits_new();
	uint32_t wait_s;

	ck_assert(api_limits_take(limits, "k", 0, 60, 3, &wait_s));
	for (int i = 0; i < 3; i++)
		ck_assert(api_limits_take(limits, "k", 60 * MINUTE_MS, 60, 3, &wait_s));
	ck_assert(!api_limits_take(limits, "k", 60 * MINUTE_MS, 60, 3, &wait_s));
	api_limits_free(limits);
}
END_TEST

START_TEST(the_sixth_login_is_locked_for_a_quarter_of_an_hour)
{
	struct api_limits *limits = api_limits_new();
	uint32_t wait_s = 0;

	for (int i = 0; i < 5; i++)
		ck_assert(tries(limits, "192.0.2.1", "admin", 1000));
	ck_assert(!api_limits_try_login(limits, "192.0.2.1", "admin", 1000, &wait_s));
	ck_assert_uint_eq(wait_s, 900);
	ck_assert(!api_limits_try_login(limits, "192.0.2.1", "admin", 1000 + 14 * MINUTE_MS, &wait_s));
	ck_assert_uint_eq(wait_s, 60); /* trying while it is locked does not lock for longer */
	ck_assert(tries(limits, "192.0.2.1", "admin", 1000 + 15 * MINUTE_MS));
	api_limits_free(limits);
}
END_TEST

START_TEST(whoever_has_a_network_of_ipv6_is_one)
{
	struct api_limits *limits = api_limits_new();
	char address[40];

	for (int i = 0; i < 5; i++) {
		(void)snprintf(address, sizeof address, "2001:db8::%x", i + 1);
		ck_assert(tries(limits, address, "admin", 1000));
	}
	ck_assert(!tries(limits, "2001:db8::ffff", "admin", 1000));
	ck_assert(tries(limits, "2001:db8:0:1::1", "admin", 1000)); /* the neighbours are not concerned */
	api_limits_free(limits);
}
END_TEST

START_TEST(tries_are_forgotten_after_five_minutes)
{
	struct api_limits *limits = api_limits_new();

	for (int i = 0; i < 4; i++)
		ck_assert(tries(limits, "192.0.2.1", "admin", 0));
	for (int i = 0; i < 5; i++)
		ck_assert(tries(limits, "192.0.2.1", "admin", 5 * MINUTE_MS));
	ck_assert(!tries(limits, "192.0.2.1", "admin", 5 * MINUTE_MS));
	api_limits_free(limits);
}
END_TEST

START_TEST(others_are_not_locked_out_by_an_attacker)
{
	struct api_limits *limits = api_limits_new();

	for (int i = 0; i < 9; i++)
		(void)tries(limits, "192.0.2.66", "admin", 0);
	ck_assert(!tries(limits, "192.0.2.66", "admin", 0));
	ck_assert(tries(limits, "192.0.2.1", "admin", 0));
	ck_assert(tries(limits, "192.0.2.66", "bob", 0));
	api_limits_free(limits);
}
END_TEST

START_TEST(an_address_that_tries_many_users_is_locked)
{
	struct api_limits *limits = api_limits_new();
	char user[16];

	for (int i = 0; i < 20; i++) {
		(void)snprintf(user, sizeof user, "user%d", i);
		ck_assert(tries(limits, "192.0.2.66", user, 0));
	}
	ck_assert(!tries(limits, "192.0.2.66", "another", 0));
	ck_assert(tries(limits, "192.0.2.1", "another", 0));
	api_limits_free(limits);
}
END_TEST

START_TEST(a_user_who_is_tried_from_many_addresses_is_locked)
{
	struct api_limits *limits = api_limits_new();
	char address[32];

	for (int i = 0; i < 50; i++) {
		(void)snprintf(address, sizeof address, "198.51.100.%d", i);
		ck_assert(tries(limits, address, "admin", 0));
	}
	ck_assert(!tries(limits, "192.0.2.1", "admin", 0));
	api_limits_free(limits);
}
END_TEST

START_TEST(right_passwords_never_add_up)
{
	struct api_limits *limits = api_limits_new();

	for (int i = 0; i < 200; i++) {
		ck_assert(tries(limits, "192.0.2.1", "robot", 0));
		api_limits_logged_in(limits, "192.0.2.1", "robot");
	}
	api_limits_free(limits);
}
END_TEST

START_TEST(the_table_does_not_grow_without_end_and_forgets_the_oldest)
{
	struct api_limits *limits = api_limits_new();
	uint32_t wait_s;
	char key[32];

	for (int i = 0; i < 5; i++)
		ck_assert(tries(limits, "192.0.2.1", "admin", 1));
	for (int i = 0; i < 9000; i++) {
		(void)snprintf(key, sizeof key, "address %d", i);
		ck_assert(api_limits_take(limits, key, 2 + (uint64_t)i, 60, 1, &wait_s));
	}
	ck_assert(!api_limits_take(limits, "address 8999", 2 + 8999, 60, 1, &wait_s)); /* the newest is known */
	ck_assert(tries(limits, "192.0.2.1", "admin", 9002));                          /* the oldest is not */
	api_limits_free(limits);
}
END_TEST

CHECK_MAIN("limits", a_burst_passes_and_then_the_rate_counts, a_pause_fills_the_bucket_but_not_more,
	   the_sixth_login_is_locked_for_a_quarter_of_an_hour, whoever_has_a_network_of_ipv6_is_one, tries_are_forgotten_after_five_minutes,
	   others_are_not_locked_out_by_an_attacker, an_address_that_tries_many_users_is_locked,
	   a_user_who_is_tried_from_many_addresses_is_locked, right_passwords_never_add_up,
	   the_table_does_not_grow_without_end_and_forgets_the_oldest)
