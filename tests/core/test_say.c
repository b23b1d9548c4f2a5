/* tests/core/test_say.c - what is said, in which order, and from which file: by the rules and prompts that are shipped */
#include "../check_main.h"
#include "prompts.h"
#include "speech.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

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
static int64_t at(int year, int month, int day, int hour, int minute)
{
	struct tm when = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute };

	return (int64_t)timegm(&when) * 1000000;
}

static const char *moment(uint32_t kind, int year, int month, int day, int hour, int minute)
{
	return said_in("en", (struct pbx_say){ .kind = kind, .number = at(year, month, day, hour, minute) });
}

/* What a part is in a language. */
struct line {
	struct pbx_say part;
	const char *expected;
};

static void check_lines(const char *language, const struct line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(strcmp(said_in(language, lines[i].part), lines[i].expected) == 0,
			      "%s: kind %u, %lld: said \"%s\", expected \"%s\"", language, lines[i].part.kind,
			      (long long)lines[i].part.number, said_in(language, lines[i].part), lines[i].expected);
}

#define CHECK_LINES(language, lines) check_lines((language), (lines), sizeof(lines) / sizeof(lines)[0])
#define NUMBER(n)                                                                                                                          \
	{                                                                                                                                  \
		.kind = PBX_SAY_NUMBER, .number = (n)                                                                                      \
	}
#define ORDINAL(n)                                                                                                                         \
	{                                                                                                                                  \
		.kind = PBX_SAY_ORDINAL, .number = (n)                                                                                     \
	}
#define DATE(...)                                                                                                                          \
	{                                                                                                                                  \
		.kind = PBX_SAY_DATE, .number = at(__VA_ARGS__, 0, 0)                                                                      \
	}
#define TIME(hour, minute)                                                                                                                 \
	{                                                                                                                                  \
		.kind = PBX_SAY_TIME, .number = at(2026, 1, 1, (hour), (minute))                                                           \
	}
#define DURATION(s)                                                                                                                        \
	{                                                                                                                                  \
		.kind = PBX_SAY_DURATION, .number = (s)                                                                                    \
	}
#define MONEY(n, currency)                                                                                                                 \
	{                                                                                                                                  \
		.kind = PBX_SAY_MONEY, .number = (n), .text = (currency)                                                                   \
	}
#define COUNT(n, what)                                                                                                                     \
	{                                                                                                                                  \
		.kind = PBX_SAY_COUNT, .number = (n), .text = (what)                                                                       \
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

/* ---- German and French: data alone ---- */

START_TEST(german)
{
	setup(); /* before the tables: they are in UTC */
	const struct line lines[] = {
		{ NUMBER(0), "0" },
		{ NUMBER(1), "1" },
		{ NUMBER(17), "17" },
		{ NUMBER(21), "ein and 20" },
		{ NUMBER(30), "30" },
		{ NUMBER(99), "9 and 90" },
		{ NUMBER(100), "ein hundred" },
		{ NUMBER(101), "ein hundred 1" },
		{ NUMBER(342), "3 hundred 2 and 40" },
		{ NUMBER(1001), "ein thousand 1" },
		{ NUMBER(21121), "ein and 20 thousand ein hundred ein and 20" },
		{ NUMBER(101000), "ein hundred ein thousand" },
		{ NUMBER(1000001), "eine million 1" },
		{ NUMBER(2000000), "2 millions" },
		{ NUMBER(21000000000), "ein and 20 billions" },
		{ NUMBER(-7), "minus 7" },
		{ ORDINAL(1), "nth-1" },
		{ ORDINAL(31), "ein and nth-30" },
		{ ORDINAL(100), "ein nth-hundred" },
		{ ORDINAL(121), "ein hundred ein and nth-20" },
		{ DATE(2026, 11, 22), "weekday-0 the 2 and nth-20 month-11 2 thousand 6 and 20" },
		{ DATE(1985, 3, 1), "weekday-5 the nth-1 month-3 19 hundred 5 and 80" },
		{ DATE(1900, 1, 3), "weekday-3 the nth-3 month-1 19 hundred" },
		{ TIME(0, 0), "0 oclock" },
		{ TIME(1, 1), "ein oclock 1" },
		{ TIME(21, 45), "ein and 20 oclock 5 and 40" },
		{ DURATION(0), "0 seconds" },
		{ DURATION(90061), "ein day eine hour eine minute eine second" },
		{ DURATION(7322), "2 hours 2 minutes 2 seconds" },
		{ MONEY(101, "EUR"), "ein euro and ein cent" },
		{ MONEY(2150, "USD"), "ein and 20 dollar and 50 cent" },
		{ MONEY(-99901, "GBP"), "minus 9 hundred 9 and 90 pound and ein penny" },
		{ COUNT(0, "messages"), "no messages" },
		{ COUNT(1, "new-messages"), "eine new message" },
		{ COUNT(21, "messages"), "ein and 20 messages" },
	};

	CHECK_LINES("de", lines);
	teardown();
}
END_TEST

START_TEST(french)
{
	setup();
	const struct line lines[] = {
		{ NUMBER(0), "0" },
		{ NUMBER(16), "16" },
		{ NUMBER(21), "20 and 1" },
		{ NUMBER(22), "20 2" },
		{ NUMBER(61), "60 and 1" },
		{ NUMBER(70), "60 10" },
		{ NUMBER(71), "60 and 11" },
		{ NUMBER(77), "60 17" },
		{ NUMBER(80), "80" },
		{ NUMBER(81), "80-and 1" },
		{ NUMBER(91), "80-and 11" },
		{ NUMBER(99), "80-and 19" },
		{ NUMBER(100), "hundred" },
		{ NUMBER(171), "hundred 60 and 11" },
		{ NUMBER(280), "2 hundred 80" },
		{ NUMBER(1000), "thousand" },
		{ NUMBER(1999), "thousand 9 hundred 80-and 19" },
		{ NUMBER(80000), "80 thousand" },
		{ NUMBER(1000000), "1 million" },
		{ NUMBER(71000021), "60 and 11 millions 20 and 1" },
		{ NUMBER(-3), "minus 3" },
		{ ORDINAL(1), "nth-1" },
		{ ORDINAL(2), "nth-2" },
		{ ORDINAL(21), "20 and nth-and-1" },
		{ ORDINAL(71), "60 and nth-11" },
		{ ORDINAL(80), "nth-80" },
		{ ORDINAL(81), "80-and nth-and-1" },
		{ ORDINAL(95), "80-and nth-15" },
		{ ORDINAL(101), "hundred nth-and-1" },
		{ ORDINAL(200), "2 nth-hundred" },
		{ DATE(2026, 11, 22), "weekday-0 20 2 month-11 2 thousand 20 6" },
		{ DATE(1971, 5, 1), "weekday-6 nth-1 month-5 thousand 9 hundred 60 and 11" },
		{ TIME(0, 0), "midnight" },
		{ TIME(1, 1), "une hour une" },
		{ TIME(12, 30), "noon 30" },
		{ TIME(21, 5), "20 and une hours 5" },
		{ DURATION(0), "0 second" },
		{ DURATION(3661), "une hour une minute une second" },
		{ DURATION(21 * 3600 + 51), "20 and une hours 50 and une seconds" },
		{ MONEY(101, "EUR"), "1 euro and 1 cent" },
		{ MONEY(7100, "USD"), "60 and 11 dollars" },
		{ MONEY(2100, "GBP"), "20 and une pounds" },
		{ COUNT(0, "messages"), "no message" },
		{ COUNT(1, "new-messages"), "1 new message" },
		{ COUNT(2, "new-messages"), "2 new-many messages" },
		{ COUNT(21, "messages"), "20 and 1 messages" },
	};

	CHECK_LINES("fr", lines);
	teardown();
}
END_TEST

/* Polish counts 1, 2-4, 5-21, 22-24, 25-31…: what is counted has three forms, and thousands have, too. */
START_TEST(polish_takes_no_code_either)
{
	setup();
	make_folder("pl");
	write_file("pl/say.rules", "number 0-19: =\nnumber 20: 20 [>number]\nnumber 90: 90 [>number]\nnumber 100: hundred [>number]\n"
				   "number 200: hundred-2 [>number]\n"
				   "number 1000-1999: tysiac [>number]\nnumber 2000: <number <tysiace [>number]\n"
				   "tysiace 0: tysiecy\ntysiace 2-4: tysiace\ntysiace 20-99/10: >tysiace\ntysiace 100: >tysiace\n"
				   "messages 1-1: 1 wiadomosc\nmessages 0: =number =wiadomosci\n"
				   "wiadomosci 0: wiadomosci-5\nwiadomosci 2-4: wiadomosci-2\nwiadomosci 20-99/10: >wiadomosci\n"
				   "wiadomosci 100: >wiadomosci\n");
	read_again("en");
	const struct line lines[] = {
		{ COUNT(0, "messages"), "0 wiadomosci-5" },
		{ COUNT(1, "messages"), "1 wiadomosc" },
		{ COUNT(4, "messages"), "4 wiadomosci-2" },
		{ COUNT(5, "messages"), "5 wiadomosci-5" },
		{ COUNT(12, "messages"), "12 wiadomosci-5" },
		{ COUNT(20, "messages"), "20 wiadomosci-5" },
		{ COUNT(21, "messages"), "20 1 wiadomosci-5" },
		{ COUNT(23, "messages"), "20 3 wiadomosci-2" },
		{ COUNT(101, "messages"), "hundred 1 wiadomosci-5" },
		{ COUNT(112, "messages"), "hundred 12 wiadomosci-5" },
		{ COUNT(122, "messages"), "hundred 20 2 wiadomosci-2" },
		{ NUMBER(1000), "tysiac" },
		{ NUMBER(3001), "3 tysiace 1" },
		{ NUMBER(12000), "12 tysiecy" },
		{ NUMBER(92000), "90 2 tysiace" },
		{ NUMBER(105000), "hundred 5 tysiecy" },
		{ NUMBER(222222), "hundred-2 20 2 tysiace hundred-2 20 2" },
	};

	CHECK_LINES("pl", lines);
	teardown();
}
END_TEST

START_TEST(what_is_counted_is_named_by_the_language)
{
	setup();
	ck_assert_str_eq(said_in("en", (struct pbx_say)COUNT(0, "messages")), "no messages");
	ck_assert_str_eq(said_in("en", (struct pbx_say)COUNT(1, "new-messages")), "1 new message");
	ck_assert_str_eq(said_in("en", (struct pbx_say)COUNT(21, "messages")), "20 1 messages");
	ck_assert_str_eq(said_in("en", (struct pbx_say)COUNT(-1, "messages")), "");
	ck_assert_str_eq(said_in("en", (struct pbx_say)COUNT(1, "elephants")), "");
	teardown();
}
END_TEST

START_TEST(a_text_is_said_where_somebody_speaks_the_language)
{
	char text[PBX_MOST_TEXT + 2];

	setup();
	ck_assert_str_eq(said_in("en", (struct pbx_say){ .kind = PBX_SAY_TEXT, .text = "Hello." }), ""); /* nobody has been named */
	ck_assert_int_eq(core_speech_set("sh {file}", "/tmp", 1), PBX_OK);
	ck_assert_str_eq(said_in("en", (struct pbx_say){ .kind = PBX_SAY_TEXT, .text = "Hello, world." }), "text:Hello, world.");
	ck_assert_str_eq(said_in("en", (struct pbx_say){ .kind = PBX_SAY_TEXT, .text = " " }), "");
	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '\0';
	ck_assert_str_eq(said_in("en", (struct pbx_say){ .kind = PBX_SAY_TEXT, .text = text }), "");
	core_speech_fini();
	teardown();
}
END_TEST

/* Every word that a rule of a language can come to has a file; so every number, date and amount can be heard. */
static void find_word(void *context, const char *id)
{
	const char *language = context;
	char path[4096], folder_of[16];

	(void)snprintf(folder_of, sizeof folder_of, "/%s/8k/", language);
	ck_assert_msg(core_prompts_find(language, id, 8000, path, sizeof path) == PBX_OK, "there is no prompt %s", id);
	ck_assert_msg(strstr(path, folder_of), "%s: %s", language, path);
	ck_assert_msg(core_prompts_find(language, id, 16000, path, sizeof path) == PBX_OK && !strstr(path, "/8k/"), "%s", path);
}

static char spoken[3];

static void hear(struct pbx_say part)
{
	ck_assert_int_eq(core_prompts_compose(spoken, &part, 1, find_word, spoken), PBX_OK);
}

static void every_word_has_a_file_in(const char *language)
{
	static const char *const counted[] = { "messages", "new-messages", "old-messages", "callers", "participants" };

	setup();
	(void)snprintf(spoken, sizeof spoken, "%s", language);
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
	for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
		for (int64_t n = 0; n < 130; n++)
			hear((struct pbx_say){ .kind = PBX_SAY_COUNT, .number = n, .text = counted[i] });
	hear((struct pbx_say){ .kind = PBX_SAY_PROMPT, .text = "you_have" });
	teardown();
}

START_TEST(every_english_word_has_a_file)
{
	every_word_has_a_file_in("en");
}
END_TEST

START_TEST(every_german_word_has_a_file)
{
	every_word_has_a_file_in("de");
}
END_TEST

START_TEST(every_french_word_has_a_file)
{
	every_word_has_a_file_in("fr");
}
END_TEST

/* ---- other languages, and a site's own files ---- */

START_TEST(a_language_falls_back_to_the_next)
{
	char path[4096];

	setup();
	make_folder("nl");
	make_folder("nl-BE");
	write_file("nl/slot.wav", "");
	write_file("nl-BE/1.flac", "");
	write_file("nl/say.rules", "number 0-19: =\nnumber 20: [>number und] 20\n");
	read_again("en");
	ck_assert_int_eq(core_prompts_find("nl-BE", "1", 8000, path, sizeof path), PBX_OK);
	ck_assert_ptr_nonnull(strstr(path, "/nl-BE/1.flac"));
	ck_assert_int_eq(core_prompts_find("nl-BE", "slot", 8000, path, sizeof path), PBX_OK);
	ck_assert_ptr_nonnull(strstr(path, "/nl/slot.wav"));
	ck_assert_int_eq(core_prompts_find("nl-BE", "slot_empty", 8000, path, sizeof path), PBX_OK);
	ck_assert_ptr_nonnull(strstr(path, "/en/8k/slot_empty.wav"));
	ck_assert_str_eq(said_in("nl-BE", (struct pbx_say){ .kind = PBX_SAY_NUMBER, .number = 21 }), "1 und 20");
	ck_assert_str_eq(said_in("nl-BE", (struct pbx_say){ .kind = PBX_SAY_ORDINAL, .number = 21 }), "20 nth-1");
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

CHECK_MAIN("say", numbers, ordinals, characters_one_by_one, dates_and_times, amounts_and_durations, german, french,
	   polish_takes_no_code_either, what_is_counted_is_named_by_the_language, a_text_is_said_where_somebody_speaks_the_language,
	   every_english_word_has_a_file, every_german_word_has_a_file, every_french_word_has_a_file, a_language_falls_back_to_the_next,
	   a_site_s_own_file_wins, what_is_no_id_is_not_looked_for, rules_with_a_mistake_are_refused_as_a_whole,
	   rules_that_lead_in_a_circle_end, nobody_talks_for_ever)
