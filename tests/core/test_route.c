/* tests/core/test_route.c - the chain of hooks: order, late answers, forwarding, explanation */
#include "../check_main.h"
#include "calls_inner.h"
#include "owner_internal.h"
#include <string.h>

static struct core_owner aaa, bbb, ccc, successor;
static char story[2048];
static uint32_t verdict, sip_code, answers;
static pbx_route_query late;

static void tell(const char *format, ...) PBX_PRINTF(1, 2);
static void tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(story + strlen(story), sizeof story - strlen(story), format, args);
	va_end(args);
}

static void setup(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	core_route_init();
	core_owner_init(&aaa, "aaa", NULL);
	core_owner_init(&bbb, "bbb", NULL);
	core_owner_init(&ccc, "ccc", NULL);
	core_owner_init(&successor, "aaa", NULL);
	story[0] = '\0';
	answers = 0;
}

static void teardown(void)
{
	core_owner_fini(&successor);
	core_owner_fini(&aaa);
	core_owner_fini(&bbb);
	core_owner_fini(&ccc);
	core_route_fini();
	core_plan_fini();
	ck_assert_uint_eq(core_timer_count(), 0);
	core_loop_fini();
}

/* ---- hooks ---- */

/* Says who was asked, by name in self, and passes. */
static int passes(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	(void)query;
	(void)ret_answer;
	tell("%s:%s ", (const char *)self, request->number);
	return PBX_OK;
}

static int takes(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	static const struct pbx_dial_target targets[] = { { .text = "aor:1001" } };

	(void)passes(self, query, request, ret_answer);
	ret_answer->verdict = PBX_ROUTE_TARGETS;
	ret_answer->targets = targets;
	ret_answer->target_count = 1;
	ret_answer->target_size = sizeof *ret_answer->targets;
	return PBX_OK;
}

static int is_late(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	(void)passes(self, query, request, ret_answer);
	late = query;
	return PBX_ELATER;
}

static int forwards(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	(void)passes(self, query, request, ret_answer);
	if (strcmp(request->number, "1001") != 0)
		return PBX_OK;
	ret_answer->verdict = PBX_ROUTE_FORWARD;
	ret_answer->to = "1002";
	ret_answer->reason = PBX_FORWARD_UNCONDITIONAL;
	return PBX_OK;
}

static int forwards_for_ever(void *self, pbx_route_query query, const struct pbx_route_request *request,
			     struct pbx_route_answer *ret_answer)
{
	(void)passes(self, query, request, ret_answer);
	ret_answer->verdict = PBX_ROUTE_FORWARD;
	ret_answer->to = request->number;
	return PBX_OK;
}

static int fails(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	(void)passes(self, query, request, ret_answer);
	ret_answer->verdict = PBX_ROUTE_REJECT; /* what a failing hook has written does not count */
	return PBX_EIO;
}

static void hook(struct core_owner *owner, uint32_t order, pbx_hook_fn fn, const char *name)
{
	ck_assert_int_eq(core_route_service.hook(&owner->host, order, name, fn, (void *)(uintptr_t)name), PBX_OK);
}

static int lacks(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	bool wants_size = takes(self, query, request, ret_answer) == PBX_OK && strcmp(self, "size") == 0;

	if (wants_size)
		ret_answer->target_size = 0;
	else
		ret_answer->verdict = PBX_ROUTE_RENUMBER;
	return PBX_OK;
}

/* ---- walking ---- */

static void on_done(void *context, const struct pbx_route_answer *answer, struct pbx_host *owner, const char *argument)
{
	(void)context;
	tell("=%s(%s)", core_owner_name(owner), argument);
	verdict = answer->verdict;
	sip_code = answer->sip_code;
	answers++;
}

static void on_forward(void *context, const char *number, const char *to, uint32_t reason)
{
	(void)context;
	tell("[%s>%s %u] ", number, to, reason);
}

static pbx_route_query walk(const char *number)
{
	const struct core_walk_wish wish = {
		.number = number, .caller = "1009", .account = "1009", .forward = on_forward, .done = on_done
	};
	pbx_route_query query;

	ck_assert_int_eq(core_walk_start(&wish, &query), PBX_OK);
	return query;
}

START_TEST(hooks_are_asked_by_order_then_by_owner_until_one_does_not_pass)
{
	setup();
	hook(&ccc, 400, takes, "c400");
	hook(&bbb, 400, passes, "b400");
	hook(&bbb, 150, passes, "b150");
	hook(&aaa, 400, passes, "a400");
	hook(&aaa, 500, passes, "a500");
	(void)walk("1001");
	ck_assert_str_eq(story, "b150:1001 a400:1001 b400:1001 c400:1001 =ccc()");
	ck_assert_uint_eq(verdict, PBX_ROUTE_TARGETS);
	teardown();
}
END_TEST

START_TEST(an_answer_that_lacks_what_it_needs_is_none)
{
	setup();
	hook(&aaa, 400, lacks, "size");
	hook(&bbb, 400, lacks, "to");
	hook(&ccc, 400, takes, "c");
	(void)walk("1001");
	ck_assert_str_eq(story, "size:1001 to:1001 c:1001 =ccc()");
	teardown();
}
END_TEST

START_TEST(nobody_has_the_number_and_the_answer_is_404)
{
	setup();
	hook(&aaa, 400, passes, "a");
	(void)walk("1999");
	ck_assert_uint_eq(verdict, PBX_ROUTE_REJECT);
	ck_assert_uint_eq(sip_code, 404);
	teardown();
}
END_TEST

START_TEST(visual_separators_are_no_part_of_a_number_but_of_a_name)
{
	setup();
	hook(&aaa, 400, passes, "a");
	(void)walk("+1 (555) 123-45.67");
	(void)walk("first.last-name");
	ck_assert(strstr(story, "a:+15551234567 "));
	ck_assert(strstr(story, "a:first.last-name "));
	teardown();
}
END_TEST

START_TEST(a_late_answer_goes_on_where_it_stopped)
{
	const struct pbx_route_answer pass = { .size = sizeof pass, .verdict = PBX_ROUTE_PASS };

	setup();
	hook(&aaa, 400, is_late, "a");
	hook(&bbb, 400, takes, "b");
	(void)walk("1001");
	ck_assert_uint_eq(answers, 0);
	core_loop_pass_ms(4999);
	ck_assert_int_eq(core_route_service.answer(late, &pass), PBX_OK);
	ck_assert_str_eq(story, "a:1001 b:1001 =bbb()");
	ck_assert_int_eq(core_route_service.answer(late, &pass), PBX_ENOENT);
	core_loop_pass_ms(10000);
	ck_assert_uint_eq(answers, 1);
	teardown();
}
END_TEST

static int answers_itself(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	const struct pbx_route_answer pass = { .size = sizeof pass, .verdict = PBX_ROUTE_PASS };

	(void)passes(self, query, request, ret_answer);
	ck_assert_int_eq(core_route_service.answer(query, &pass), PBX_OK);
	return PBX_ELATER;
}

START_TEST(an_answer_given_before_the_hook_returns_counts_once)
{
	const struct pbx_route_answer pass = { .size = sizeof pass, .verdict = PBX_ROUTE_PASS };

	setup();
	hook(&aaa, 400, answers_itself, "a");
	hook(&bbb, 400, is_late, "b");
	hook(&ccc, 400, takes, "c");
	(void)walk("1001");
	ck_assert_str_eq(story, "a:1001 b:1001 ");
	ck_assert_int_eq(core_route_service.answer(late, &pass), PBX_OK);
	core_loop_pass_ms(10000);
	ck_assert_str_eq(story, "a:1001 b:1001 c:1001 =ccc()");
	teardown();
}
END_TEST

START_TEST(who_does_not_answer_in_five_seconds_is_passed_over)
{
	setup();
	hook(&aaa, 400, is_late, "a");
	hook(&bbb, 400, takes, "b");
	(void)walk("1001");
	core_loop_pass_ms(4999);
	ck_assert_uint_eq(answers, 0);
	core_loop_pass_ms(1);
	ck_assert_str_eq(story, "a:1001 b:1001 =bbb()");
	teardown();
}
END_TEST

START_TEST(a_walk_survives_the_leaving_of_the_hook_it_waits_for)
{
	setup();
	hook(&aaa, 400, is_late, "a");
	hook(&bbb, 400, passes, "b");
	(void)walk("1001");
	core_owner_revoke_all(&aaa);
	core_loop_pass_ms(5000);
	ck_assert_str_eq(story, "a:1001 b:1001 =core()");
	teardown();
}
END_TEST

START_TEST(a_cancelled_walk_says_no_more)
{
	const struct pbx_route_answer pass = { .size = sizeof pass, .verdict = PBX_ROUTE_PASS };

	setup();
	hook(&aaa, 400, is_late, "a");
	core_walk_cancel(walk("1001"));
	ck_assert_int_eq(core_route_service.answer(late, &pass), PBX_ENOENT);
	core_loop_pass_ms(10000);
	ck_assert_uint_eq(answers, 0);
	teardown();
}
END_TEST

START_TEST(forwarding_asks_the_whole_chain_again_with_the_new_number)
{
	setup();
	hook(&aaa, 150, passes, "a");
	hook(&bbb, 400, forwards, "b");
	hook(&ccc, 400, takes, "c");
	(void)walk("1001");
	ck_assert_str_eq(story, "a:1001 b:1001 [1001>1002 1] a:1002 b:1002 c:1002 =ccc()");
	teardown();
}
END_TEST

START_TEST(a_loop_of_forwards_ends_after_five)
{
	setup();
	hook(&aaa, 400, forwards_for_ever, "a");
	(void)walk("1001");
	ck_assert_uint_eq(verdict, PBX_ROUTE_REJECT);
	ck_assert_uint_eq(sip_code, 482);
	ck_assert_str_eq(
		story,
		"a:1001 [1001>1001 0] a:1001 [1001>1001 0] a:1001 [1001>1001 0] a:1001 [1001>1001 0] a:1001 [1001>1001 0] a:1001 =core()");
	teardown();
}
END_TEST

START_TEST(a_hook_that_fails_is_passed_over)
{
	setup();
	hook(&aaa, 400, fails, "a");
	hook(&bbb, 400, takes, "b");
	(void)walk("1001");
	ck_assert_str_eq(story, "a:1001 b:1001 =bbb()");
	teardown();
}
END_TEST

static void dialled(void *self, pbx_leg leg)
{
	(void)self;
	(void)leg;
}

START_TEST(claims_stand_in_the_chain_at_their_order_before_its_hooks)
{
	const struct pbx_claim code = { .size = sizeof code, .pattern = "*76.", .dialled = dialled };
	const struct pbx_claim slot = { .size = sizeof slot, .pattern = "70-79", .order = PBX_ORDER_FEATURES, .dialled = dialled };
	struct pbx_diag diag;

	setup();
	ck_assert_int_eq(core_route_service.claim(&ccc.host, &code, &diag), PBX_OK);
	ck_assert_int_eq(core_route_service.claim(&ccc.host, &slot, &diag), PBX_OK);
	hook(&aaa, 150, passes, "a150");
	hook(&aaa, 200, passes, "a200");
	hook(&aaa, 300, passes, "a300");
	(void)walk("*761004");
	ck_assert_str_eq(story, "a150:*761004 =ccc(1004)");
	ck_assert_uint_eq(verdict, PBX_ROUTE_CONTROL);
	story[0] = '\0';
	(void)walk("71");
	ck_assert_str_eq(story, "a150:71 a200:71 =ccc()");
	teardown();
}
END_TEST

START_TEST(an_upgraded_plugins_old_hook_is_asked_no_more)
{
	setup();
	hook(&aaa, 400, passes, "numbers");
	hook(&aaa, 400, passes, "other");
	hook(&successor, 400, takes, "numbers");
	(void)walk("1001");
	ck_assert_str_eq(story, "other:1001 numbers:1001 =aaa()");
	core_owner_revoke_all(&successor);
	story[0] = '\0';
	(void)walk("1001");
	ck_assert_str_eq(story, "numbers:1001 other:1001 =core()");
	teardown();
}
END_TEST

/* ---- explain ---- */

static void explain_step(void *self, const struct pbx_route_step *step)
{
	(void)self;
	tell("%u %s %s %u; ", step->order, step->owner, step->hook, step->verdict);
}

static void explain_done(void *self, const struct pbx_route_answer *answer)
{
	(void)self;
	verdict = answer->verdict;
	answers++;
}

static int must_explain(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	(void)self;
	(void)query;
	(void)ret_answer;
	ck_assert(request->explaining);
	ck_assert_uint_eq(request->leg.id, 0);
	ck_assert_int_eq(request->wall_us, 123456789);
	return PBX_OK;
}

START_TEST(explain_walks_the_chain_step_by_step)
{
	const struct pbx_route_request request = {
		.size = sizeof request, .number = "1001", .caller = "1009", .account = "1009", .wall_us = 123456789
	};

	setup();
	hook(&aaa, 150, must_explain, "screen");
	hook(&bbb, 400, forwards, "numbers");
	ck_assert_int_eq(core_route_service.explain(&ccc.host, &request, explain_step, explain_done, NULL), PBX_OK);
	ck_assert_str_eq(
		story,
		"150 aaa screen 0; numbers:1001 400 bbb numbers 2; 150 aaa screen 0; numbers:1002 400 bbb numbers 0; 900 core last 4; ");
	ck_assert_uint_eq(verdict, PBX_ROUTE_REJECT);
	ck_assert_uint_eq(answers, 1);
	teardown();
}
END_TEST

static uint64_t took_us;

static void note_time(void *self, const struct pbx_route_step *step)
{
	(void)self;
	if (strcmp(step->owner, "aaa") == 0)
		took_us = step->took_us;
}

START_TEST(explain_tells_how_long_each_answer_took)
{
	const struct pbx_route_request request = { .size = sizeof request, .number = "1001", .caller = "1009", .account = "1009" };
	const struct pbx_route_answer pass = { .size = sizeof pass, .verdict = PBX_ROUTE_PASS };

	setup();
	hook(&aaa, 400, is_late, "a");
	ck_assert_int_eq(core_route_service.explain(&ccc.host, &request, note_time, explain_done, NULL), PBX_OK);
	core_loop_pass_ms(1200);
	ck_assert_int_eq(core_route_service.answer(late, &pass), PBX_OK);
	ck_assert_uint_eq(took_us, 1200000);
	teardown();
}
END_TEST

START_TEST(an_explanation_leaves_with_who_asked_for_it)
{
	const struct pbx_route_request request = { .size = sizeof request, .number = "1001", .caller = "", .account = "" };

	setup();
	hook(&aaa, 400, is_late, "a");
	ck_assert_int_eq(core_route_service.explain(&ccc.host, &request, explain_step, explain_done, NULL), PBX_OK);
	core_owner_revoke_all(&ccc);
	core_loop_pass_ms(10000);
	ck_assert_uint_eq(answers, 0);
	teardown();
}
END_TEST

CHECK_MAIN("route", hooks_are_asked_by_order_then_by_owner_until_one_does_not_pass, an_answer_that_lacks_what_it_needs_is_none,
	   nobody_has_the_number_and_the_answer_is_404, visual_separators_are_no_part_of_a_number_but_of_a_name,
	   a_late_answer_goes_on_where_it_stopped, an_answer_given_before_the_hook_returns_counts_once,
	   who_does_not_answer_in_five_seconds_is_passed_over, a_walk_survives_the_leaving_of_the_hook_it_waits_for,
	   a_cancelled_walk_says_no_more, forwarding_asks_the_whole_chain_again_with_the_new_number, a_loop_of_forwards_ends_after_five,
	   a_hook_that_fails_is_passed_over, claims_stand_in_the_chain_at_their_order_before_its_hooks,
	   an_upgraded_plugins_old_hook_is_asked_no_more, explain_walks_the_chain_step_by_step, explain_tells_how_long_each_answer_took,
	   an_explanation_leaves_with_who_asked_for_it)
