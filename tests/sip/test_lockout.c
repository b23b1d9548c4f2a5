/* test_lockout - whom wrong passwords lock out, and whom not */
#include "../check_main.h"
#include "guard.h"
#include "lockout.h"
#include <check.h>
#include <pbx/abi.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct ua_lockout_limits limits = { .failures = 5, .window_ms = 300000, .block_ms = 900000 };

static void setup(void)
{
	ck_assert_int_eq(ua_guard_init(), PBX_OK);
	ck_assert_int_eq(ua_lockouts_init(), PBX_OK);
}

static void teardown(void)
{
	ua_lockouts_fini();
	ua_guard_fini();
}

static struct ua_try stranger(const char *place, const char *user)
{
	return (struct ua_try){ .place = place, .user = user };
}

static struct ua_try registered(const char *place, const char *user, const char *device)
{
	return (struct ua_try){ .place = place, .user = user, .device = device, .has_phone_here = true };
}

static uint32_t fail_times(struct ua_try asked, unsigned times, uint64_t now_ms)
{
	uint32_t begun = 0;

	for (unsigned i = 0; i < times; i++)
		begun |= ua_lockout_failed(&asked, &limits, now_ms + i);
	return begun;
}

static bool holds(struct ua_try asked, uint64_t now_ms)
{
	return ua_lockout_holds(&asked, now_ms);
}

START_TEST(five_failures_in_the_window_lock_a_user_out_for_a_time)
{
	struct ua_try asked = stranger("192.0.2.66", "1001");

	ck_assert_uint_eq(fail_times(asked, 4, 1000), 0);
	ck_assert(!holds(asked, 1999));
	ck_assert_uint_eq(ua_lockout_failed(&asked, &limits, 2000), UA_LOCKED_USER_HERE | UA_LOCKED_USER);
	ck_assert(holds(asked, 2001) && holds(asked, 901999));
	ck_assert(!holds(asked, 902000));
	ck_assert_uint_eq(fail_times(asked, 4, 902000), 0);
}
END_TEST

START_TEST(failures_far_apart_do_not_add_up)
{
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(fail_times(stranger("192.0.2.66", "1001"), 1, 1000 + i * 100000u), 0);
}
END_TEST

START_TEST(one_phone_with_a_wrong_password_locks_nobody_else_out)
{
	(void)fail_times(stranger("192.0.2.66", "1001"), 500, 1000);
	ck_assert(holds(stranger("192.0.2.66", "1001"), 2000));
	ck_assert(!holds(stranger("192.0.2.66", "1002"), 2000));
}
END_TEST

START_TEST(several_users_lock_their_address_out_but_for_who_is_registered_there)
{
	const char *const users[] = { "1", "2", "3", "4", "5" };

	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(fail_times(stranger("192.0.2.66", users[i]), 2, 1000), i == 4 ? UA_LOCKED_ADDRESS : 0);
	ck_assert(holds(stranger("192.0.2.66", "1001"), 2000));
	ck_assert(!holds(stranger("192.0.2.67", "1001"), 2000));
	ck_assert(!holds(registered("192.0.2.66", "1001", NULL), 2000));
}
END_TEST

START_TEST(guesses_at_a_registered_user_from_beside_it_end_and_its_phone_goes_on)
{
	struct ua_try guesser = registered("192.0.2.66", "1001", NULL), phone = registered("192.0.2.66", "1001", "192.0.2.66:5060");

	(void)fail_times(guesser, 5, 1000);
	ck_assert(holds(guesser, 2000));
	ck_assert(!holds(phone, 2000));
	ck_assert(ua_lockout_is_near(&phone, 2000));
	(void)fail_times(phone, 5, 2000);
	ck_assert_msg(holds(phone, 3000), "its own port is no way to guess for ever");
}
END_TEST

START_TEST(guesses_from_everywhere_lock_a_user_out_but_where_it_is_registered)
{
	char place[32];

	for (unsigned i = 0; i < 5; i++) {
		(void)snprintf(place, sizeof place, "192.0.2.%u", i);
		ck_assert_uint_eq(fail_times(stranger(place, "1001"), 1, 1000), i == 4 ? UA_LOCKED_USER : 0);
	}
	ck_assert(holds(stranger("192.0.2.99", "1001"), 2000));
	ck_assert(!holds(registered("192.0.2.66", "1001", NULL), 2000));
}
END_TEST

START_TEST(an_address_as_a_user_name_is_a_user)
{
	(void)fail_times(stranger("192.0.2.66", "192.0.2.9"), 5, 1000);
	ck_assert(!holds(stranger("192.0.2.9", "1001"), 2000));
}
END_TEST

START_TEST(a_right_password_takes_back_what_this_user_counted_here)
{
	struct ua_try asked = stranger("192.0.2.66", "1001");

	for (unsigned i = 0; i < 5; i++) {
		ck_assert_uint_eq(fail_times(asked, 4, 1000), 0);
		ua_lockout_proved(&asked, 1000);
	}
}
END_TEST

/* Whoever knows one password must not clear what they count with others. */
START_TEST(a_right_password_takes_nothing_back_for_others)
{
	struct ua_try good = stranger("192.0.2.66", "1000");
	const char *const users[] = { "1", "2", "3", "4", "5" };

	for (unsigned i = 0; i < 5; i++) {
		ck_assert_uint_eq(fail_times(stranger("192.0.2.66", users[i]), 1, 1000), i == 4 ? UA_LOCKED_ADDRESS : 0);
		ua_lockout_proved(&good, 1000);
	}
	(void)fail_times(stranger("192.0.2.70", "1000"), 4, 1000);
	ua_lockout_proved(&good, 1000);
	ck_assert_uint_eq(fail_times(stranger("192.0.2.71", "1000"), 1, 1000), UA_LOCKED_USER);
}
END_TEST

static void note(void *context, const struct ua_lockout *lockout)
{
	char *text = context;

	(void)snprintf(text + strlen(text), 400 - strlen(text), "%u %s %s %u %u;", lockout->kind, lockout->address, lockout->user,
		       lockout->failures, (unsigned)lockout->until_ms);
}

START_TEST(those_that_hold_are_told_and_their_end_once)
{
	char text[400] = "";

	ck_assert_uint_eq(ua_lockouts_expire(500, note, text), 0);
	(void)fail_times(stranger("192.0.2.66", "1001"), 5, 996);
	ua_lockouts_each(1000, note, text);
	ck_assert_msg(strstr(text, "1 192.0.2.66 1001 5 901000;") && strstr(text, "4  1001 5 901000;"), "%s", text);
	ck_assert_uint_eq(ua_lockouts_expire(2000, note, text), 901000);
	text[0] = '\0';
	ck_assert_uint_eq(ua_lockouts_expire(901000, note, text), 0);
	ck_assert_msg(strstr(text, "1 192.0.2.66 1001") && strstr(text, "4  1001"), "%s", text);
	text[0] = '\0';
	ck_assert_uint_eq(ua_lockouts_expire(901000, note, text), 0);
	ck_assert_str_eq(text, "");
}
END_TEST

static const struct {
	const char *who, *own;
	uint32_t lifted;
} lifts[] = {
	{ "1001", NULL, 2 },
	{ "2001:db8::/64", NULL, 1 },
	{ "2001:db8::77", NULL, 1 },
	{ "[2001:db8::77]:5060", NULL, 1 },
	{ "2001:db8:0:1::77", NULL, 0 },
	{ "1002", NULL, 0 },
	{ "1001", "1001", 2 },
	{ "1001", "1002", 0 },
};

START_TEST(lockouts_are_lifted_by_user_and_by_address)
{
	char text[400] = "";

	(void)fail_times(stranger("2001:db8::/64", "1001"), 5, 1000);
	ck_assert_uint_eq(ua_lockouts_lift(lifts[_i].who, lifts[_i].own, 2000, note, text), lifts[_i].lifted);
	ck_assert_uint_eq(ua_lockouts_lift(lifts[_i].who, lifts[_i].own, 2000, note, text), 0);
	ck_assert(holds(stranger("2001:db8::/64", "1001"), 2000) == (lifts[_i].lifted < 2));
}
END_TEST

START_TEST(a_flood_of_names_gets_no_lockout_forgotten)
{
	char user[32];

	(void)fail_times(stranger("192.0.2.66", "1001"), 5, 1000);
	for (unsigned i = 0; i < 200000; i++) {
		(void)snprintf(user, sizeof user, "u%u", i);
		(void)fail_times(stranger("192.0.2.99", user), 1, 2000 + i);
	}
	ck_assert(holds(stranger("192.0.2.66", "1001"), 300000));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lockout");
	TCase *cases = tcase_create("lockout");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, five_failures_in_the_window_lock_a_user_out_for_a_time);
	tcase_add_test(cases, failures_far_apart_do_not_add_up);
	tcase_add_test(cases, one_phone_with_a_wrong_password_locks_nobody_else_out);
	tcase_add_test(cases, several_users_lock_their_address_out_but_for_who_is_registered_there);
	tcase_add_test(cases, guesses_at_a_registered_user_from_beside_it_end_and_its_phone_goes_on);
	tcase_add_test(cases, guesses_from_everywhere_lock_a_user_out_but_where_it_is_registered);
	tcase_add_test(cases, an_address_as_a_user_name_is_a_user);
	tcase_add_test(cases, a_right_password_takes_back_what_this_user_counted_here);
	tcase_add_test(cases, a_right_password_takes_nothing_back_for_others);
	tcase_add_test(cases, those_that_hold_are_told_and_their_end_once);
	tcase_add_loop_test(cases, lockouts_are_lifted_by_user_and_by_address, 0, sizeof lifts / sizeof lifts[0]);
	tcase_add_test(cases, a_flood_of_names_gets_no_lockout_forgotten);
	tcase_set_timeout(cases, 60);
	suite_add_tcase(suite, cases);
	return check_run(suite);
}
