/* tests/core/test_say.c - what is said, in which order, and from which file: by the rules and prompts that are shipped */
#include "../check_main.h"
#include "prompts.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64];

static void add_word(void *context, const char *id)
{
	char *text = context;

	if (*text)
		strcat(text, " ");
	strcat(text, id);
}

/* "" when it cannot be said. */
static const char *said_in(const char *language, struct pbx_say part)
{
	static char text[4096];

	*text = '\0';
	return core_prompts_compose(language, &part, 1, add_word, text) == PBX_OK ? text : "";
}

static const char *number(int64_t number)
{
	return said_in("en", (struct pbx_say){ .kind = PBX_SAY_NUMBER, .number = number });
}

static const char *ordinal(int64_t number)
{
	return said_in("en", (struct pbx_say){ .kind = PBX_SAY_ORDINAL, .number = number });
}

static const char *digits(const char *text)
{
	return said_in("en", (struct pbx_say){ .kind = PBX_SAY_DIGITS, .text = text });
}

static const char *money(int64_t hundredths, const char *currency)
{
	return said_in("en", (struct pbx_say){ .kind = PBX_SAY_MONEY, .number = hundredths, .text = currency });
}

static const char *duration(int64_t seconds)
{
	return said_in("en", (struct pbx_say){ .kind = PBX_SAY_DURATION, .number = seconds });
}

/* A moment of 2026-11-22 and others, UTC. */
static const char *moment(uint32_t kind, int year, int month, int day, int hour, int minute)
{
	struct tm when = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute };

	return said_in("en", (struct pbx_say){ .kind = kind, .number = (int64_t)timegm(&when) * 1000000 });
}

static void write_file(const char *name, const char *text)
{
	char path[160];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void make_folder(const char *name)
{
	char path[160];

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void setup(void)
{
	const char *folders[] = { folder, SHIPPED_PROMPTS };

	(void)snprintf(folder, sizeof folder, "/tmp/say-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)setenv("TZ", "UTC", 1);
	tzset();
	ck_assert_int_eq(core_prompts_set(folders, 2, "en"), PBX_OK);
}

static void teardown(void)
{
	char command[128];

	core_prompts_fini();
	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void read_again(const char *language)
{
	const char *folders[] = { folder, SHIPPED_PROMPTS };

	ck_assert_int_eq(core_prompts_set(folders, 2, language), PBX_OK);
}

/* ---- the rules of English ---- */

START_TEST(numbers)
{
	setup();
	ck_assert_str_eq(number(0), "0");
	ck_assert_str_eq(number(13), "13");
	ck_assert_str_eq(number(20), "20");
	ck_assert_str_eq(number(701), "7 hundred 1");
	ck_assert_str_eq(number(999999), "9 hundred 90 9 thousand 9 hundred 90 9");
	ck_assert_str_eq(number(1000000), "1 million");
	ck_assert_str_eq(number(2000000042), "2 billion 40 2");
	ck_assert_str_eq(number(-45), "minus 40 5");
	ck_assert_str_eq(number(INT64_MIN), "");
	ck_assert_str_eq(number(INT64_MAX), "");
	teardown();
}
END_TEST

START_TEST(ordinals)
{
	setup();
	ck_assert_str_eq(ordinal(1), "nth-1");
	ck_assert_str_eq(ordinal(20), "nth-20");
	ck_assert_str_eq(ordinal(21), "20 nth-1");
	ck_assert_str_eq(ordinal(100), "1 nth-hundred");
	ck_assert_str_eq(ordinal(342), "3 hundred 40 nth-2");
	teardown();
}
END_TEST

START_TEST(characters_one_by_one)
{
	setup();
	ck_assert_str_eq(digits("701"), "7 0 1");
	ck_assert_str_eq(digits("*74 #"), "star 7 4 hash");
	ck_assert_str_eq(digits("+1B"), "plus 1 b");
	ck_assert_str_eq(digits("7\xc3\xa4"), "");
	teardown();
}
END_TEST

START_TEST(dates_and_times)
{
	setup();
	ck_assert_str_eq(moment(PBX_SAY_DATE, 2026, 11, 22, 12, 0), "weekday-0 month-11 20 nth-2 20 20 6");
	ck_assert_str_eq(moment(PBX_SAY_DATE, 2005, 1, 31, 0, 0), "weekday-1 month-1 30 nth-1 2 thousand 5");
	ck_assert_str_eq(moment(PBX_SAY_DATE, 1908, 3, 3, 0, 0), "weekday-2 month-3 nth-3 19 o 8");
	ck_assert_str_eq(moment(PBX_SAY_DATE, 1900, 1, 1, 0, 0), "weekday-1 month-1 nth-1 19 hundred");
	ck_assert_str_eq(moment(PBX_SAY_TIME, 2026, 1, 1, 0, 0), "12 oclock am");
	ck_assert_str_eq(moment(PBX_SAY_TIME, 2026, 1, 1, 12, 30), "12 30 pm");
	ck_assert_str_eq(moment(PBX_SAY_TIME, 2026, 1, 1, 15, 5), "3 o 5 pm");
	teardown();
}
END_TEST

START_TEST(amounts_and_durations)
{
	setup();
	ck_assert_str_eq(money(0, "USD"), "0 dollars");
	ck_assert_str_eq(money(101, "USD"), "1 dollar and 1 cent");
	ck_assert_str_eq(money(2100, "EUR"), "20 1 euros");
	ck_assert_str_eq(money(-250, "GBP"), "minus 2 pounds and 50 pence");
	ck_assert_str_eq(money(100, "XXX"), "");
	ck_assert_str_eq(duration(0), "0 seconds");
	ck_assert_str_eq(duration(3661), "1 hour 1 minute 1 second");
	ck_assert_str_eq(duration(172802), "2 days 2 seconds");
	ck_assert_str_eq(duration(-1), "");
	teardown();
}
END_TEST

/* Every word that a rule of English can come to has a file; so every number, date and amount can be heard. */
static void find_word(void *context, const char *id)
{
	char path[4096];

	(void)context;
	ck_assert_msg(core_prompts_find("en", id, 8000, path, sizeof path) == PBX_OK, "there is no prompt %s", id);
	ck_assert_msg(strstr(path, "/en/8k/"), "%s", path);
	ck_assert_msg(core_prompts_find("en", id, 16000, path, sizeof path) == PBX_OK && !strstr(path, "/8k/"), "%s", path);
}

static void hear(struct pbx_say part)
{
	ck_assert_int_eq(core_prompts_compose("en", &part, 1, find_word, NULL), PBX_OK);
}

START_TEST(every_word_has_a_file)
{
	setup();
	for (int64_t n = -1; n < 1200; n++) {
		hear((struct pbx_say){ .kind = PBX_SAY_NUMBER, .number = n * 1001001 });
		hear((struct pbx_say){ .kind = PBX_SAY_NUMBER, .number = n });
		hear((struct pbx_say){ .kind = PBX_SAY_ORDINAL, .number = n });
		hear((struct pbx_say){ .kind = PBX_SAY_TIME, .number = n * 61 * 1000000 });
		hear((struct pbx_say){ .kind = PBX_SAY_DATE, .number = n * 40 * 86400 * 1000000 });
	}
	for (int64_t n = 0; n < 100000; n += 37)
		hear((struct pbx_say){ .kind = PBX_SAY_DURATION, .number = n });
	hear((struct pbx_say){ .kind = PBX_SAY_DIGITS, .text = "0123456789abcdefghijklmnopqrstuvwxyz*#+.-" });
	for (int64_t n = -201; n < 300; n++) {
		hear((struct pbx_say){ .kind = PBX_SAY_MONEY, .number = n, .text = "USD" });
		hear((struct pbx_say){ .kind = PBX_SAY_MONEY, .number = n, .text = "EUR" });
		hear((struct pbx_say){ .kind = PBX_SAY_MONEY, .number = n, .text = "GBP" });
	}
	teardown();
}
END_TEST

/* ---- other languages, and a site's own files ---- */

START_TEST(a_language_falls_back_to_the_next)
{
	char path[4096];

	setup();
	make_folder("de");
	make_folder("de-AT");
	write_file("de/slot.wav", "");
	write_file("de-AT/1.flac", "");
	write_file("de/say.rules", "number 0-19: =\nnumber 20: [>number und] 20\n");
	read_again("en");
	ck_assert_int_eq(core_prompts_find("de-AT", "1", 8000, path, sizeof path), PBX_OK);
	ck_assert_ptr_nonnull(strstr(path, "/de-AT/1.flac"));
	ck_assert_int_eq(core_prompts_find("de-AT", "slot", 8000, path, sizeof path), PBX_OK);
	ck_assert_ptr_nonnull(strstr(path, "/de/slot.wav"));
	ck_assert_int_eq(core_prompts_find("de-AT", "slot_empty", 8000, path, sizeof path), PBX_OK);
	ck_assert_ptr_nonnull(strstr(path, "/en/8k/slot_empty.wav"));
	ck_assert_str_eq(said_in("de-AT", (struct pbx_say){ .kind = PBX_SAY_NUMBER, .number = 21 }), "1 und 20");
	ck_assert_str_eq(said_in("de-AT", (struct pbx_say){ .kind = PBX_SAY_ORDINAL, .number = 21 }), "20 nth-1");
	ck_assert_str_eq(number(21), "20 1");
	teardown();
}
END_TEST

START_TEST(a_site_s_own_file_wins)
{
	char path[4096];

	setup();
	make_folder("en");
	write_file("en/slot.ogg", "");
	ck_assert_int_eq(core_prompts_find("en", "slot", 8000, path, sizeof path), PBX_OK);
	ck_assert_str_eq(path + strlen(folder), "/en/slot.ogg");
	ck_assert_int_eq(core_prompts_find("", "slot", 16000, path, sizeof path), PBX_OK);
	ck_assert_str_eq(path + strlen(folder), "/en/slot.ogg");
	teardown();
}
END_TEST

START_TEST(what_is_no_id_is_not_looked_for)
{
	static const char *const bad[] = { "", "../../etc/passwd", "en/slot", "Slot", "slot.wav", "a b" };
	char path[4096];

	setup();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_int_eq(core_prompts_find("en", bad[i], 8000, path, sizeof path), PBX_EINVAL);
	ck_assert_int_eq(core_prompts_find("en", "no_such", 8000, path, sizeof path), PBX_ENOENT);
	ck_assert_int_eq(core_prompts_find("../en", "no_such", 8000, path, sizeof path), PBX_ENOENT);
	ck_assert_int_eq(core_prompts_find("en", "slot", 8000, path, 5), PBX_ENOSPC);
	ck_assert_int_eq(core_prompts_service.find("en", "/etc/passwd", 8000, path, sizeof path), PBX_EINVAL);
	teardown();
}
END_TEST

/* ---- rules that are wrong ---- */

START_TEST(rules_with_a_mistake_are_refused_as_a_whole)
{
	static const char *const bad[] = { "number",          "number 1 2: x",   "number 1-0: x", "number 1/0: x", "number 1: [x",
					   "number 1: x | y", "number 1: [[x]]", "number 1x: y",  "number 5: }" };
	char path[160];

	setup();
	make_folder("xx");
	(void)snprintf(path, sizeof path, "%s/xx/say.rules", folder);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct pbx_diag diag = { 0 };
		char text[200];

		(void)snprintf(text, sizeof text, "# first\nnumber 0: ok\n%s\n", bad[i]);
		write_file("xx/say.rules", text);
		ck_assert_msg(core_say_rules_read("xx", path, &diag) == PBX_EINVAL, "%s", bad[i]);
		ck_assert_msg(strncmp(diag.text, "line 3: ", 8) == 0, "%s", diag.text);
		ck_assert_ptr_null(core_say_rules("xx"));
	}
	teardown();
}
END_TEST

START_TEST(rules_that_lead_in_a_circle_end)
{
	setup();
	make_folder("xx");
	write_file("xx/say.rules", "number 0: =number\nordinal 0: =ordinal =ordinal\n");
	read_again("en");
	ck_assert_str_eq(said_in("xx", (struct pbx_say){ .kind = PBX_SAY_NUMBER, .number = 1 }), "");
	ck_assert_str_eq(said_in("xx", (struct pbx_say){ .kind = PBX_SAY_ORDINAL, .number = 1 }), "");
	teardown();
}
END_TEST

START_TEST(nobody_talks_for_ever)
{
	char text[PBX_MOST_SAID + 2];

	setup();
	memset(text, '1', sizeof text);
	text[PBX_MOST_SAID + 1] = '\0';
	ck_assert_str_eq(digits(text), "");
	text[PBX_MOST_SAID] = '\0';
	ck_assert_uint_eq(strlen(digits(text)), 2 * PBX_MOST_SAID - 1);
	teardown();
}
END_TEST

CHECK_MAIN("say", numbers, ordinals, characters_one_by_one, dates_and_times, amounts_and_durations, every_word_has_a_file,
	   a_language_falls_back_to_the_next, a_site_s_own_file_wins, what_is_no_id_is_not_looked_for,
	   rules_with_a_mistake_are_refused_as_a_whole, rules_that_lead_in_a_circle_end, nobody_talks_for_ever)
