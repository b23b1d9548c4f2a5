/* tests/core/test_collect.c - keys that a party is asked for: prompts that keys cut short, time, tries, patterns, and every way it may end */
#include "calls_helpers.h"
#include <pbx/prompts.h>

#define SAY(id)                                                                                                                            \
	&(const struct pbx_say)                                                                                                            \
	{                                                                                                                                  \
		.kind = PBX_SAY_PROMPT, .text = (id)                                                                                       \
	}

static const char *const reasons[] = { "", "done", "terminated", "timeout", "nothing", "too_few", "invalid", "hangup", "stopped" };

static void on_done(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	(void)leg;
	hear("%s:%s(%s) ", (const char *)self, reasons[collected->reason], collected->keys);
	heard.done++;
	heard.outcome = collected->wrong * 10 + collected->silent;
}

static bool is_4711(void *self, pbx_leg leg, const char *keys)
{
	(void)self, (void)leg;
	return strcmp(keys, "4711") == 0;
}

static const struct pbx_collect usual = { .size = sizeof usual, .done = on_done };

/* 1001 is answered and asked. */
static pbx_leg asked(struct fake_pbx *pbx, const struct pbx_collect *wish)
{
	ck_assert_int_eq(claim(pbx, "*1", take), PBX_OK);
	pbx_leg leg = fake_dial(pbx, "1001", "*1");

	heard.text[0] = '\0';
	ck_assert_int_eq(calls->collect(leg, wish, name_b), PBX_OK);
	return leg;
}

static struct pbx_collect with_prompt(void)
{
	static const struct pbx_say prompt = { .kind = PBX_SAY_PROMPT, .text = "enter_pin" };
	struct pbx_collect wish = usual;

	wish.prompt = &prompt;
	wish.prompt_count = 1;
	return wish;
}

START_TEST(a_key_cuts_the_prompt_and_the_last_one_ends_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = with_prompt();

	wish.most = 3;
	pbx_leg leg = asked(pbx, &wish);

	ck_assert(fake_hears(pbx, leg, "prompt:enter_pin"));
	fake_key_down(pbx, leg, '1');
	ck_assert(fake_hears(pbx, leg, "nothing")); /* and not at its end, which is when we know it */
	ck_assert_str_eq(heard.text, "");
	fake_digits(pbx, leg, "123");
	ck_assert_str_eq(heard.text, "b:done(123) ");
	fake_digits(pbx, leg, "4");
	ck_assert_str_eq(heard.text, "b:done(123) a:4 "); /* the controller's again */
}
END_TEST

START_TEST(a_terminator_ends_it_and_is_no_key)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg leg = asked(pbx, &usual);

	fake_digits(pbx, leg, "*12#");
	ck_assert_str_eq(heard.text, "b:terminated(*12) ");
	struct pbx_collect wish = usual;
	wish.terminators = "*";
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	fake_digits(pbx, leg, "#12*");
	ck_assert_str_eq(heard.text, "b:terminated(*12) b:terminated(#12) ");
	wish.terminators = "";
	wish.most = 2;
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	fake_digits(pbx, leg, "#*");
	ck_assert_str_eq(heard.text, "b:terminated(*12) b:terminated(#12) b:done(#*) ");
}
END_TEST

START_TEST(time_counts_from_the_end_of_the_prompt_and_then_from_each_key)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = with_prompt();

	wish.first_ms = 5000;
	wish.next_ms = 1000;
	wish.silences = 1;
	pbx_leg leg = asked(pbx, &wish);

	fake_pass_ms(pbx, 60000);
	ck_assert_str_eq(heard.text, "");
	fake_finish_prompt(pbx, leg);
	fake_pass_ms(pbx, 4900);
	ck_assert_str_eq(heard.text, "");
	fake_pass_ms(pbx, 200);
	ck_assert_str_eq(heard.text, "b:nothing() ");

	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	fake_digits(pbx, leg, "1");
	fake_pass_ms(pbx, 900);
	fake_digits(pbx, leg, "2");
	fake_pass_ms(pbx, 900);
	ck_assert_str_eq(heard.text, "b:nothing() ");
	fake_pass_ms(pbx, 200);
	ck_assert_str_eq(heard.text, "b:nothing() b:timeout(12) ");
}
END_TEST

START_TEST(wrong_answers_and_silences_are_counted_each)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = with_prompt();

	wish.invalid = SAY("invalid_pin");
	wish.nothing = SAY("welcome");
	wish.invalid_count = wish.nothing_count = 1;
	wish.least = 4;
	wish.tries = 2;
	wish.silences = 2;
	wish.accept = is_4711;
	pbx_leg leg = asked(pbx, &wish);

	fake_digits(pbx, leg, "12#");
	ck_assert(fake_hears(pbx, leg, "prompt:invalid_pin"));
	fake_finish_prompt(pbx, leg);
	fake_pass_ms(pbx, 10100);
	ck_assert(fake_hears(pbx, leg, "prompt:welcome"));
	ck_assert_str_eq(heard.text, "");
	fake_digits(pbx, leg, "4712#");
	ck_assert_str_eq(heard.text, "b:invalid(4712) ");
	ck_assert_uint_eq(heard.outcome, 21);

	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	fake_digits(pbx, leg, "47#471#");
	ck_assert_str_eq(heard.text, "b:invalid(4712) b:too_few(471) ");
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	fake_digits(pbx, leg, "0000#4711#");
	ck_assert_str_eq(heard.text, "b:invalid(4712) b:too_few(471) b:terminated(4711) ");
	ck_assert_uint_eq(heard.outcome, 10);
}
END_TEST

START_TEST(silence_is_a_wrong_answer_unless_it_has_tries_of_its_own)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = usual;

	wish.tries = 2;
	pbx_leg leg = asked(pbx, &wish);

	fake_pass_ms(pbx, 10100);
	ck_assert_str_eq(heard.text, "");
	fake_pass_ms(pbx, 10100);
	ck_assert_str_eq(heard.text, "b:nothing() ");
	ck_assert_uint_eq(heard.outcome, 22);
	(void)leg;
}
END_TEST

/* What is typed, and what comes of it at once. */
static const char *typed_for(struct fake_pbx *pbx, pbx_leg leg, const char *patterns, const char *keys)
{
	struct pbx_collect wish = usual;

	wish.patterns = patterns;
	heard.text[0] = '\0';
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	fake_digits(pbx, leg, keys);
	return heard.text;
}

START_TEST(a_pattern_ends_it_as_soon_as_all_is_clear)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg leg = asked(pbx, &usual);

	(void)calls->stop_collect(leg);
	ck_assert_str_eq(typed_for(pbx, leg, "1,2,*", "2"), "b:done(2) ");
	ck_assert_str_eq(typed_for(pbx, leg, "1,2,*", "3"), "b:invalid(3) ");
	ck_assert_str_eq(typed_for(pbx, leg, "1,1XXX", "1002"), "b:done(1002) ");
	ck_assert_str_eq(typed_for(pbx, leg, "1,1XXX", "1"), "");
	fake_pass_ms(pbx, 3100);
	ck_assert_str_eq(heard.text, "b:timeout(1) ");
	ck_assert_str_eq(typed_for(pbx, leg, "1,1XXX", "10"), "");
	fake_pass_ms(pbx, 3100);
	ck_assert_str_eq(heard.text, "b:invalid(10) ");
	ck_assert_str_eq(typed_for(pbx, leg, "[5-7]Z,9N.", "61"), "b:done(61) ");
	ck_assert_str_eq(typed_for(pbx, leg, "[5-7]Z,9N.", "60"), "b:invalid(60) ");
	ck_assert_str_eq(typed_for(pbx, leg, "[5-7]Z,9N.", "8"), "b:invalid(8) ");
	ck_assert_str_eq(typed_for(pbx, leg, "[5-7]Z,9N.", "91"), "b:invalid(91) ");
	ck_assert_str_eq(typed_for(pbx, leg, "[5-7]Z,9N.", "9234#"), "b:terminated(9234) ");
	ck_assert_str_eq(typed_for(pbx, leg, "[5-7]Z,9N.", "92#"), "b:invalid(92) "); /* one or more */
	ck_assert_str_eq(typed_for(pbx, leg, ".", "0#"), "b:terminated(0) ");
	ck_assert_str_eq(typed_for(pbx, leg, "1,#", "#"), "b:done(#) "); /* it has a place there */
	ck_assert_str_eq(typed_for(pbx, leg, "[13*]X", "*7"), "b:done(*7) ");
}
END_TEST

START_TEST(what_cannot_be_asked_is_refused)
{
	static const char *const bad[] = { "", "1,", ",1", "x", "[]", "[1", "1]", "[-3]", "[3-]", "1.2", "1 2", "1,,2" };
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg leg = asked(pbx, &usual), none = { 0 };
	struct pbx_collect wish = usual;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		wish.patterns = bad[i];
		ck_assert_msg(calls->collect(leg, &wish, name_b) == PBX_EINVAL, "%s", bad[i]);
	}
	wish = usual;
	wish.least = 5;
	wish.most = 4;
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_EINVAL);
	wish = usual;
	wish.most = PBX_MOST_COLLECTED + 1;
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_EINVAL);
	wish = usual;
	wish.done = NULL;
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_EINVAL);
	wish = usual;
	wish.prompt = &(const struct pbx_say){ .kind = 99 };
	wish.prompt_count = 1;
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_EINVAL);
	ck_assert_int_eq(calls->collect(none, &usual, name_b), PBX_ENOENT);
	ck_assert_int_eq(calls->stop_collect(none), PBX_ENOENT);
	ck_assert_str_eq(heard.text, ""); /* and the first one goes on */
	fake_digits(pbx, leg, "1#");
	ck_assert_str_eq(heard.text, "b:terminated(1) ");
	ck_assert_int_eq(calls->stop_collect(leg), PBX_ESTATE);

	pbx_leg caller, callee;
	talk(pbx, &caller, &callee);
	ck_assert_int_eq(calls->collect(caller, &usual, name_b), PBX_ESTATE); /* a bridge decides about it */
}
END_TEST

START_TEST(a_prompt_that_is_heard_out_hears_no_keys)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = with_prompt();

	wish.flags = PBX_COLLECT_HEAR_OUT;
	wish.most = 1;
	pbx_leg leg = asked(pbx, &wish);

	fake_digits(pbx, leg, "1");
	ck_assert(fake_hears(pbx, leg, "prompt:enter_pin"));
	fake_finish_prompt(pbx, leg);
	ck_assert_str_eq(heard.text, "");
	fake_digits(pbx, leg, "2");
	ck_assert_str_eq(heard.text, "b:done(2) ");
}
END_TEST

START_TEST(music_goes_on_until_a_key)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg leg = asked(pbx, &usual);

	ck_assert_int_eq(calls->tone(leg, "dial"), PBX_OK);
	fake_pass_ms(pbx, 5000);
	ck_assert(fake_hears(pbx, leg, "tone:dial"));
	fake_digits(pbx, leg, "7");
	ck_assert(fake_hears(pbx, leg, "nothing"));
	fake_digits(pbx, leg, "#");
	ck_assert_str_eq(heard.text, "b:terminated(7) ");
}
END_TEST

START_TEST(what_is_played_meanwhile_takes_the_prompt_s_place)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = with_prompt();
	pbx_leg leg = asked(pbx, &wish);

	ck_assert_int_eq(calls->play(leg, "welcome"), PBX_OK);
	fake_settle(pbx);
	fake_finish_prompt(pbx, leg);
	ck_assert_str_eq(heard.text, "a:media_done "); /* the controller has played it */
	fake_pass_ms(pbx, 10100);
	ck_assert_str_eq(heard.text, "a:media_done b:nothing() ");
}
END_TEST

START_TEST(a_prompt_that_cannot_be_played_is_a_beep)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = with_prompt();
	pbx_leg leg = asked(pbx, &wish);

	fake_fail_prompt(pbx, leg);
	ck_assert(fake_hears(pbx, leg, "tone:beep"));
	fake_finish_prompt(pbx, leg);
	fake_digits(pbx, leg, "5#");
	ck_assert_str_eq(heard.text, "b:terminated(5) ");
}
END_TEST

START_TEST(the_result_comes_once_whoever_ends_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = with_prompt();
	pbx_leg leg = asked(pbx, &wish);

	fake_digits(pbx, leg, "12");
	ck_assert_int_eq(calls->stop_collect(leg), PBX_OK);
	ck_assert_str_eq(heard.text, "b:stopped(12) ");
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	ck_assert_int_eq(calls->collect(leg, &wish, name_a), PBX_OK);
	ck_assert_str_eq(heard.text, "b:stopped(12) b:stopped() ");
	ck_assert_int_eq(calls->control(fake_host(pbx), leg, &knowing, name_b), PBX_OK);
	ck_assert_str_eq(heard.text, "b:stopped(12) b:stopped() a:stopped() a:lost ");
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	ck_assert_int_eq(calls->control(fake_host(pbx), leg, &controller, name_b), PBX_OK); /* the same one, with another table */
	ck_assert_str_eq(heard.text, "b:stopped(12) b:stopped() a:stopped() a:lost b:stopped() ");
	heard.text[0] = '\0';
	ck_assert_int_eq(calls->collect(leg, &wish, name_a), PBX_OK);
	fake_hangup(pbx, leg);
	ck_assert_str_eq(heard.text, "a:hangup() b:ended(16) ");
}
END_TEST

START_TEST(it_ends_with_who_is_routed_elsewhere_or_hung_up)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg leg = asked(pbx, &usual);

	ck_assert_int_eq(calls->route(leg, "1002"), PBX_OK);
	fake_settle(pbx);
	ck_assert_str_eq(heard.text, "b:stopped() a:lost ");
	fake_hangup(pbx, leg);

	heard.text[0] = '\0';
	leg = fake_dial(pbx, "1003", "*1");
	ck_assert_int_eq(calls->collect(leg, &usual, name_b), PBX_OK);
	ck_assert_int_eq(calls->hangup(leg, PBX_CAUSE_NORMAL), PBX_OK);
	fake_settle(pbx);
	ck_assert_str_eq(heard.text, "a:answered b:hangup() a:ended(16) ");
	ck_assert_str_eq(ended(pbx, "cause"), "normal_clearing");
}
END_TEST

/* The next question begins in the answer to the last one. */
static void on_first(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	on_done(self, leg, collected);
	ck_assert_int_eq(calls->collect(leg, &usual, name_a), PBX_OK);
}

START_TEST(one_question_follows_another)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = usual;

	wish.done = on_first;
	pbx_leg leg = asked(pbx, &wish);

	fake_digits(pbx, leg, "1#2#");
	ck_assert_str_eq(heard.text, "b:terminated(1) a:terminated(2) ");
	ck_assert_uint_eq(heard.done, 2);
}
END_TEST

static void ask_for_another_secret(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	struct pbx_collect wish = usual;

	on_done(self, leg, collected);
	wish.flags = PBX_COLLECT_SECRET;
	ck_assert_int_eq(calls->collect(leg, &wish, name_a), PBX_OK);
}

START_TEST(a_secret_is_masked_until_it_is_over_however_it_ends)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_collect wish = usual;
	pbx_leg leg = asked(pbx, &wish);

	ck_assert(!fake_is_masked(pbx, leg));
	wish.flags = PBX_COLLECT_SECRET;
	wish.done = ask_for_another_secret;
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	ck_assert(fake_is_masked(pbx, leg));
	fake_digits(pbx, leg, "4711#");
	ck_assert_uint_eq(fake_event_count(pbx, "dtmf.received"), 0);
	ck_assert(fake_is_masked(pbx, leg)); /* one question follows another */
	fake_digits(pbx, leg, "4712#");
	ck_assert(!fake_is_masked(pbx, leg));
	fake_digits(pbx, leg, "5");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "dtmf.received"), "digit"), "5");

	wish.done = on_done;
	ck_assert_int_eq(calls->collect(leg, &wish, name_b), PBX_OK);
	ck_assert_int_eq(calls->stop_collect(leg), PBX_OK);
	ck_assert(!fake_is_masked(pbx, leg));

	static const struct pbx_say nonsense = { .kind = 99 };
	wish.prompt = &nonsense;
	wish.prompt_count = 1;
	ck_assert_int_ne(calls->collect(leg, &wish, name_b), PBX_OK);
	ck_assert(!fake_is_masked(pbx, leg));
}
END_TEST

CHECK_MAIN("collect", a_key_cuts_the_prompt_and_the_last_one_ends_it, a_terminator_ends_it_and_is_no_key,
	   time_counts_from_the_end_of_the_prompt_and_then_from_each_key, wrong_answers_and_silences_are_counted_each,
	   silence_is_a_wrong_answer_unless_it_has_tries_of_its_own, a_pattern_ends_it_as_soon_as_all_is_clear,
	   what_cannot_be_asked_is_refused, a_prompt_that_is_heard_out_hears_no_keys, music_goes_on_until_a_key,
	   what_is_played_meanwhile_takes_the_prompt_s_place, a_prompt_that_cannot_be_played_is_a_beep,
	   the_result_comes_once_whoever_ends_it, it_ends_with_who_is_routed_elsewhere_or_hung_up, one_question_follows_another,
	   a_secret_is_masked_until_it_is_over_however_it_ends)
