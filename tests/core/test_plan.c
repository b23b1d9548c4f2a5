/* tests/core/test_plan.c - the number plan: what patterns match, who is refused, what is taken back */
#include "../check_main.h"
#include "calls_inner.h"
#include "owner_internal.h"
#include <string.h>

static struct core_owner parking, codes, successor;

static void setup(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	core_owner_init(&parking, "call_parking", NULL);
	core_owner_init(&codes, "codes", NULL);
	core_owner_init(&successor, "call_parking", NULL);
}

static void teardown(void)
{
	core_owner_fini(&successor);
	core_owner_fini(&codes);
	core_owner_fini(&parking);
	core_plan_fini();
	core_loop_fini();
}

static void dialled(void *self, pbx_leg leg)
{
	(void)self;
	(void)leg;
}

static int claim_with(struct core_owner *owner, const char *pattern, pbx_accept_fn accept, struct pbx_diag *diag)
{
	const struct pbx_claim claim = { .size = sizeof claim, .pattern = pattern, .dialled = dialled, .accept = accept, .self = owner };

	return core_plan_claim(&owner->host, &claim, diag);
}

static int claim(struct core_owner *owner, const char *pattern)
{
	struct pbx_diag diag;

	return claim_with(owner, pattern, NULL, &diag);
}

static bool matches(const char *number)
{
	struct core_claim_match match;

	return core_plan_match(number, PBX_ORDER_CODES, &match);
}

static const char *pattern_for(const char *number)
{
	struct core_claim_match match;

	return core_plan_match(number, PBX_ORDER_CODES, &match) ? match.pattern : "nobody";
}

START_TEST(a_pattern_matches_what_it_says_and_nothing_else)
{
	static const struct {
		const char *pattern, *yes, *no;
	} rows[] = {
		{ "*43", "*43", "*4 *433 43 *44 " },
		{ "70-79", "70 75 79", "7 69 80 700 7a" },
		{ "165-342", "165 169 170 199 200 299 300 339 340 342", "164 343 100 999 1650 16" },
		{ "0008-0012", "0008 0009 0010 0012", "0007 0013 8 12" },
		{ "5-5", "5", "4 6 55" },
		{ "*7XX", "*700 *799", "*70 *7000 *7a0 *7*0" },
		{ "ZX", "10 99", "00 0 100" },
		{ "NXX", "200 999", "199 099" },
		{ "[5-7]1", "51 61 71", "41 81 5" },
		{ "[13579]", "1 3 9", "2 0" },
		{ "*76.", "*761 *76abc *76**", "*76 *7" },
		{ "+1NXX", "+1200", "1200 +1100" },
		{ "#", "#", "" },
		{ "sales", "sales", "sale saless" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char copy[128], *words = copy, *word;

		setup();
		ck_assert_msg(claim(&parking, rows[i].pattern) == PBX_OK, "%s", rows[i].pattern);
		(void)snprintf(copy, sizeof copy, "%s", rows[i].yes);
		while ((word = strsep(&words, " ")))
			ck_assert_msg(!word[0] || matches(word), "%s should match %s", rows[i].pattern, word);
		(void)snprintf(copy, sizeof copy, "%s", rows[i].no);
		words = copy;
		while ((word = strsep(&words, " ")))
			ck_assert_msg(!word[0] || !matches(word), "%s should not match %s", rows[i].pattern, word);
		teardown();
	}
}
END_TEST

START_TEST(a_range_split_into_digits_matches_exactly_its_numbers)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = { { 0, 999 }, { 1, 998 }, { 123, 123 }, { 199, 201 }, { 209, 790 }, { 500, 509 }, { 10, 11 } };
	char text[16];

	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
		setup();
		(void)snprintf(text, sizeof text, "%03u-%03u", ranges[i].first, ranges[i].last);
		ck_assert_int_eq(claim(&parking, text), PBX_OK);
		for (uint32_t number = 0; number < 1000; number++) {
			(void)snprintf(text, sizeof text, "%03u", number);
			ck_assert_msg(matches(text) == (number >= ranges[i].first && number <= ranges[i].last), "%u-%u and %u",
				      ranges[i].first, ranges[i].last, number);
		}
		teardown();
	}
}
END_TEST

START_TEST(what_is_no_pattern_is_refused)
{
	static const char *const bad[] = { "",      "79-70", "7-79", "[5-",   "[]1",
					   "[7-5]", "1.2",   "1 2",  "70-7x", "12345678901234567890123456789012345" };

	setup();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct pbx_diag diag = { "", "" };

		ck_assert_msg(claim_with(&parking, bad[i], NULL, &diag) == PBX_EINVAL, "\"%s\"", bad[i]);
		ck_assert(diag.text[0]);
	}
	teardown();
}
END_TEST

START_TEST(two_claims_on_one_number_are_refused_naming_both)
{
	static const struct {
		const char *first, *second;
		bool conflict;
	} rows[] = {
		{ "70-79", "75", true },         { "70-79", "80-89", false },  { "70-79", "7X", true },
		{ "70-79", "7XX", false },       { "*43", "*43", true },       { "*43", "*44", false },
		{ "*4.", "*43", true },          { "*43", "*43.", false },     { "*4.", "*4.", true },
		{ "*4.", "*.", true },           { "NXX", "1XX", false },      { "NXX", "ZXX", true },
		{ "[1-4]0", "[5-9]0", false },   { "[1-5]0", "[5-9]0", true }, { "165-342", "342-400", true },
		{ "165-342", "343-400", false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pbx_diag diag = { "", "" };

		setup();
		ck_assert_int_eq(claim(&parking, rows[i].first), PBX_OK);
		int result = claim_with(&codes, rows[i].second, NULL, &diag);
		ck_assert_msg(result == (rows[i].conflict ? PBX_EEXIST : PBX_OK), "%s and %s", rows[i].first, rows[i].second);
		if (rows[i].conflict)
			ck_assert_msg(strstr(diag.text, "call_parking") && strstr(diag.text, "codes"), "%s", diag.text);
		teardown();
	}
}
END_TEST

static bool is_1004(void *self, const char *argument)
{
	(void)self;
	return strcmp(argument, "1004") == 0;
}

static bool is_anything(void *self, const char *argument)
{
	(void)self;
	(void)argument;
	return true;
}

START_TEST(conditional_claims_overlap_and_the_longest_literal_beginning_is_asked_first)
{
	struct pbx_diag diag;
	struct core_claim_match match;

	setup();
	ck_assert_int_eq(claim_with(&codes, "*7.", is_anything, &diag), PBX_OK);
	ck_assert_int_eq(claim_with(&codes, "*76.", is_1004, &diag), PBX_OK);
	ck_assert_int_eq(claim_with(&parking, "*76XXXX", NULL, &diag), PBX_OK);
	ck_assert_int_eq(claim_with(&parking, "*76.", is_anything, &diag), PBX_EEXIST); /* not the very same pattern */

	ck_assert(core_plan_match("*761004", PBX_ORDER_CODES, &match));
	ck_assert_str_eq(match.argument, "1004");
	ck_assert_str_eq(pattern_for("*7610"), "*7.");
	ck_assert_str_eq(pattern_for("*75"), "*7.");
	ck_assert_str_eq(pattern_for("*761111"), "*76XXXX");
	teardown();
}
END_TEST

START_TEST(a_claim_waits_at_its_own_order)
{
	struct core_claim_match match;
	const struct pbx_claim slots = {
		.size = sizeof slots, .pattern = "70-79", .order = PBX_ORDER_FEATURES, .help = "Fetch a call", .dialled = dialled
	};
	struct pbx_claim odd = { .size = sizeof odd, .pattern = "60-69", .order = PBX_ORDER_TRUNKS, .dialled = dialled };
	struct pbx_diag diag;

	setup();
	ck_assert_int_eq(core_plan_claim(&parking.host, &slots, &diag), PBX_OK);
	ck_assert(!core_plan_match("71", PBX_ORDER_CODES, &match));
	ck_assert(core_plan_match("71", PBX_ORDER_FEATURES, &match));
	ck_assert_str_eq(match.help, "Fetch a call");
	ck_assert_str_eq(match.argument, "");
	ck_assert_ptr_eq(match.owner, &parking.host);
	ck_assert_int_eq(core_plan_claim(&parking.host, &odd, &diag), PBX_EINVAL);
	teardown();
}
END_TEST

START_TEST(reserved_numbers_and_claims_keep_apart)
{
	struct pbx_diag diag;
	const char *owner;

	setup();
	ck_assert_int_eq(core_plan_reserve(&codes.host, "1001", &diag), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&codes.host, "75", &diag), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&parking.host, "1001", &diag), PBX_EEXIST);
	ck_assert(strstr(diag.text, "codes"));
	ck_assert_int_eq(claim(&parking, "70-79"), PBX_EEXIST);
	ck_assert_int_eq(claim_with(&parking, "7.", is_anything, &diag), PBX_OK); /* it may refuse what is reserved */

	ck_assert_int_eq(core_plan_unreserve(&parking.host, "75"), PBX_ENOENT);
	ck_assert_int_eq(core_plan_unreserve(&codes.host, "75"), PBX_OK);
	ck_assert_int_eq(claim(&parking, "70-79"), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&codes.host, "75", &diag), PBX_EEXIST);
	ck_assert(strstr(diag.text, "70-79"));

	ck_assert_int_eq(core_plan_owner("1001", &owner), PBX_OK);
	ck_assert_str_eq(owner, "codes");
	ck_assert_int_eq(core_plan_owner("71", &owner), PBX_OK);
	ck_assert_str_eq(owner, "call_parking");
	ck_assert_int_eq(core_plan_owner("1002", &owner), PBX_ENOENT);
	ck_assert_int_eq(core_plan_reserve(&codes.host, "", &diag), PBX_EINVAL);
	teardown();
}
END_TEST

START_TEST(many_numbers_are_reserved_and_each_is_found)
{
	struct pbx_diag diag;
	const char *owner;
	char number[16];

	setup();
	for (uint32_t i = 0; i < 3000; i++) {
		(void)snprintf(number, sizeof number, "%u", (i * 7919u) % 3001u);
		ck_assert_int_eq(core_plan_reserve(&codes.host, number, &diag), PBX_OK);
	}
	for (uint32_t i = 0; i < 3000; i += 2) {
		(void)snprintf(number, sizeof number, "%u", (i * 7919u) % 3001u);
		ck_assert_int_eq(core_plan_unreserve(&codes.host, number), PBX_OK);
	}
	for (uint32_t i = 0; i < 3000; i++) {
		(void)snprintf(number, sizeof number, "%u", (i * 7919u) % 3001u);
		ck_assert_int_eq(core_plan_owner(number, &owner), i % 2 ? PBX_OK : PBX_ENOENT);
	}
	teardown();
}
END_TEST

START_TEST(what_was_claimed_leaves_with_its_owner_or_when_given_back)
{
	struct pbx_diag diag;

	setup();
	ck_assert_int_eq(claim(&parking, "70-79"), PBX_OK);
	ck_assert_int_eq(claim(&parking, "*74"), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&parking.host, "1001", &diag), PBX_OK);
	ck_assert_int_eq(core_plan_unclaim(&codes.host, "*74"), PBX_ENOENT);
	ck_assert_int_eq(core_plan_unclaim(&parking.host, "*74"), PBX_OK);
	ck_assert(!matches("*74") && matches("70"));

	core_owner_revoke_all(&parking);
	ck_assert(!matches("70"));
	ck_assert_int_eq(claim(&codes, "7X"), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&codes.host, "1001", &diag), PBX_OK);
	teardown();
}
END_TEST

START_TEST(an_upgraded_plugins_new_instance_takes_over_and_the_old_one_gets_it_back)
{
	struct pbx_diag diag;
	struct core_claim_match match;

	setup();
	ck_assert_int_eq(claim(&parking, "70-79"), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&parking.host, "1001", &diag), PBX_OK);
	ck_assert_int_eq(claim(&successor, "70-79"), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&successor.host, "1001", &diag), PBX_OK);
	ck_assert(core_plan_match("71", PBX_ORDER_CODES, &match));
	ck_assert_ptr_eq(match.owner, &successor.host);

	core_owner_revoke_all(&successor); /* it failed to start after all */
	ck_assert(core_plan_match("71", PBX_ORDER_CODES, &match));
	ck_assert_ptr_eq(match.owner, &parking.host);
	ck_assert_int_eq(core_plan_reserve(&codes.host, "1001", &diag), PBX_EEXIST);
	teardown();
}
END_TEST

static char listed[512];

static void list(void *context, const struct core_plan_row *row)
{
	size_t at = strlen(listed);

	(void)context;
	(void)snprintf(listed + at, sizeof listed - at, "%s %s %s %u \"%s\"; ", row->kind, row->pattern, row->owner, row->order, row->help);
}

START_TEST(the_whole_plan_is_listed_claims_as_they_are_tried_then_numbers)
{
	const struct pbx_claim slot = {
		.size = sizeof slot, .pattern = "70-79", .order = PBX_ORDER_FEATURES, .help = "Fetch a call", .dialled = dialled
	};
	struct pbx_diag diag;

	setup();
	ck_assert_int_eq(core_plan_claim(&parking.host, &slot, &diag), PBX_OK);
	ck_assert_int_eq(claim(&codes, "*43"), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&codes.host, "1002", &diag), PBX_OK);
	ck_assert_int_eq(core_plan_reserve(&codes.host, "1001", &diag), PBX_OK);
	listed[0] = '\0';
	core_plan_each(list, NULL);
	ck_assert_str_eq(listed, "claim *43 codes 200 \"\"; claim 70-79 call_parking 300 \"Fetch a call\"; "
				 "number 1001 codes 0 \"\"; number 1002 codes 0 \"\"; ");
	teardown();
}
END_TEST

CHECK_MAIN("plan", a_pattern_matches_what_it_says_and_nothing_else, a_range_split_into_digits_matches_exactly_its_numbers,
	   what_is_no_pattern_is_refused, two_claims_on_one_number_are_refused_naming_both,
	   conditional_claims_overlap_and_the_longest_literal_beginning_is_asked_first, a_claim_waits_at_its_own_order,
	   reserved_numbers_and_claims_keep_apart, many_numbers_are_reserved_and_each_is_found,
	   what_was_claimed_leaves_with_its_owner_or_when_given_back,
	   an_upgraded_plugins_new_instance_takes_over_and_the_old_one_gets_it_back,
	   the_whole_plan_is_listed_claims_as_they_are_tried_then_numbers)
