/* test_pbxctl_print.c - what pbxctl shows a person: durations, what is empty, what is nested, records instead of tables that do not fit */
#include "check_main.h"
#include <stdlib.h>
#include <string.h>

#include "pbxctl_print.h"

/* What is printed for this JSON; free(). */
static char *shown(const char *body, const char *columns, int width)
{
	cJSON *json = cJSON_Parse(body);
	size_t size = 0;
	char *text = NULL;
	const struct look look = { .out = open_memstream(&text, &size), .width = width };

	ck_assert_ptr_nonnull(json);
	print_answer(&look, json, columns);
	ck_assert_int_eq(fclose(look.out), 0);
	cJSON_Delete(json);
	return text;
}

static void shows(const char *body, const char *columns, int width, const char *expected)
{
	char *text = shown(body, columns, width);

	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(a_duration_is_read_by_the_unit_in_its_name)
{
	static const struct {
		const char *name;
		double value;
		const char *text;
	} durations[] = {
		{ "duration_ms", 42312, "0:42" },
		{ "duration_ms", 3731000, "1:02:11" },
		{ "duration_ms", 0, "0" },
		{ "duration_ms", 999.9, "999 ms" },
		{ "duration_ms", 4250, "4.2 s" },
		{ "duration_ms", 4000, "4 s" },
		{ "took_ms", 0.25, "250 µs" },
		{ "took_ms", 5.597, "5.59 ms" },
		{ "uptime_s", 93784, "1 d 2:03:04" },
		{ "jitter_us", 625, "625 µs" },
		{ "offset_ms", -1500, "-1.5 s" },
		{ "bits_per_s", 64000, "64000" },
		{ "ends_at_ms", 1234567, "1234567" },
		{ "lots", 42312, "42312" },
	};

	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
		cJSON *value = cJSON_CreateNumber(durations[i].value);
		char *text = reading_of(durations[i].name, value);
		ck_assert_str_eq(text, durations[i].text);
		free(text);
		cJSON_Delete(value);
	}
	shows("[{\"duration_ms\":42312,\"bits_per_s\":1}]", NULL, 0, "duration  bits_per_s\n0:42      1\n");
	shows("{\"ring_s\":30,\"most_s\":7200}", NULL, 0, "ring_s  30\nmost_s  7200 (2:00:00)\n");
}
END_TEST

START_TEST(what_is_empty_is_a_dash_and_an_empty_answer_is_nothing)
{
	shows("{\"a\":null,\"b\":\"\",\"c\":[],\"d\":{}}", NULL, 0, "a  -\nb  -\nc  -\nd  -\n");
	shows("[{\"a\":null,\"b\":\"\",\"c\":[],\"d\":{}}]", "a,b,c,d,e", 0, "a  b  c  d  e\n-  -  -  -  -\n");
	shows("null", NULL, 0, "");
	shows("\"\"", NULL, 0, "");
	shows("{}", NULL, 0, "");
	shows("[]", NULL, 0, "");
}
END_TEST

static const char story[] =
	"[{\"time\":\"2026-01-02T03:04:05.100Z\",\"type\":\"begins\",\"data\":{\"from\":{\"number\":\"1001\",\"name\":\"\"}}},"
	"{\"time\":\"2026-01-02T03:04:08.350Z\",\"type\":\"ends\",\"data\":{\"reason\":\"a \\\"b\\\"\",\"list\":[1,2],"
	"\"legs\":[{\"id\":\"x\"}],\"good\":false}}]";

START_TEST(facts_are_a_line_in_a_pipe)
{
	shows(story, "time,type,data", 0,
	      "time                      type    data\n"
	      "2026-01-02T03:04:05.100Z  begins  from.number=1001\n"
	      "2026-01-02T03:04:08.350Z  ends    reason=\"a \\\"b\\\"\" list=\"1, 2\" legs.1.id=x good=no\n");
}
END_TEST

START_TEST(facts_flow_down_their_column_at_a_terminal)
{
	shows(story, "time,type,data", 66,
	      "time                      type    data\n"
	      "2026-01-02T03:04:05.100Z  begins  from.number 1001\n"
	      "                +3.250 s  ends    reason a \"b\"  list 1, 2\n"
	      "                                  legs.1.id x  good no\n");
}
END_TEST

START_TEST(rows_whose_headings_do_not_fit_are_records)
{
	static const char rows[] = "[{\"leg_id\":\"x-1\",\"answered_by\":\"1001\",\"talk_ms\":62000,\"audio\":{\"codec\":\"PCMU\"}},"
				   "{\"leg_id\":\"x-2\",\"answered_by\":\"\",\"talk_ms\":0,\"audio\":null}]";

	shows(rows, NULL, 24,
	      "leg_id  x-1\n  answered_by  1001\n  talk         1:02\n  audio\n    codec  PCMU\n"
	      "\n"
	      "leg_id  x-2\n  answered_by  -\n  talk         0\n  audio        -\n");
	shows(rows, NULL, 0, "leg_id  answered_by  talk  audio\nx-1     1001         1:02  codec=PCMU\nx-2     -            0     -\n");
}
END_TEST

START_TEST(a_column_may_hold_several_members)
{
	shows("[{\"state\":\"answered\",\"legs\":[{\"on_hold\":false},{\"on_hold\":true},{\"on_hold\":true,\"by\":\"lot\"}]},{\"state\":"
	      "\"new\"}]",
	      "state+legs.on_hold+legs.by", 0, "state\nanswered, on hold, lot\nnew\n");
}
END_TEST

START_TEST(the_sentence_comes_first)
{
	shows("{\"rule\":\"busy\",\"evidence\":[\"one line\",\"another line\"],\"sentence\":\"1002 was busy: it said so\"}", NULL, 0,
	      "1002 was busy: it said so\nrule      busy\nevidence\n  one line\n  another line\n");
	shows("{\"sentence\":\"1002 was busy: it said so\"}", NULL, 16, "1002 was busy:\nit said so\n");
}
END_TEST

CHECK_MAIN("pbxctl_print", a_duration_is_read_by_the_unit_in_its_name, what_is_empty_is_a_dash_and_an_empty_answer_is_nothing,
	   facts_are_a_line_in_a_pipe, facts_flow_down_their_column_at_a_terminal, rows_whose_headings_do_not_fit_are_records,
	   a_column_may_hold_several_members, the_sentence_comes_first)
