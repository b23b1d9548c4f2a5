/* tests/core/test_json.c - what is JSON and what is not, digits that stay, and memory that runs out */
#include <cjson/cJSON.h>
#include <string.h>
#include "../check_main.h"
#include "json.h"

static const struct pbx_jsons *const json = &core_json_service;

static struct pbx_json *parse(const char *text)
{
	struct pbx_diag diag = { 0 };
	struct pbx_json *tree = json->parse(text, strlen(text), &diag);

	ck_assert_msg(tree != NULL, "%s: %s", text, diag.text);
	return tree;
}

/* What comes out again; kept until the next call. */
static const char *again(const char *text)
{
	static char kept[4096];
	struct pbx_json *tree = parse(text);
	char *printed = json->print(tree);

	(void)snprintf(kept, sizeof kept, "%s", printed);
	json->free_text(printed);
	json->free(tree);
	return kept;
}

START_TEST(what_is_read_is_printed_again)
{
	static const char *const texts[] = {
		"null",
		"true",
		"\"\"",
		"[]",
		"{}",
		"-1",
		"0",
		"1.5",
		"-0.25",
		"\"\\n\\u0001\\\"\\\\\"",
		"\"ü€𝄞\"",
		"[1,[2,{\"a\":null}],\"x\"]",
		"{\"b\":1,\"a\":{\"c\":[true,false]}}",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		ck_assert_str_eq(again(texts[i]), texts[i]);
	ck_assert_str_eq(again(" \t\r\n[ 1 , 2 ] \n"), "[1,2]");
	ck_assert_str_eq(again("\"\\uD834\\uDD1E\""), "\"𝄞\"");
}
END_TEST

/* Eight bytes are looked at together: each byte there is, at each place among plain ones and behind another special one. */
START_TEST(every_byte_is_escaped_wherever_it_stands)
{
	for (unsigned int byte = 1; byte < 0x80; byte++)
		for (size_t length = 1; length < 20; length++)
			for (size_t at = 0; at < length; at++) {
				char text[20] = "", wanted[64], escape[8] = { (char)byte };
				const char *letter = strchr("\bb\tt\nn\ff\rr", (int)byte);

				memset(text, 'a', length);
				text[at] = (char)byte;
				if (byte == '"' || byte == '\\')
					(void)snprintf(escape, sizeof escape, "\\%c", (char)byte);
				else if (byte < 0x20 && letter)
					(void)snprintf(escape, sizeof escape, "\\%c", letter[1]);
				else if (byte < 0x20)
					(void)snprintf(escape, sizeof escape, "\\u%04x", byte);
				(void)snprintf(wanted, sizeof wanted, "\"%.*s%s%.*s\"", (int)at, text, escape, (int)(length - at - 1),
					       text + at + 1);

				struct pbx_json *one = core_json_new_text(text);
				char *printed = core_json_print(one);
				ck_assert_str_eq(printed, wanted);
				core_json_free_text(printed);
				core_json_free(one);
			}
}
END_TEST

START_TEST(whole_numbers_keep_every_digit)
{
	static const char *const numbers[] = { "9007199254740991", "-9007199254740991", "1795363200123456",
					       "999999999999999",  "1000000000000000",  "2147483648" };
	struct pbx_json *tree = json->new_object();
	char *printed;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		ck_assert_str_eq(again(numbers[i]), numbers[i]);
	ck_assert_int_eq(json->set_integer(tree, "big", INT64_MAX), PBX_OK);
	ck_assert_int_eq(json->set_integer(tree, "small", INT64_MIN), PBX_OK);
	ck_assert(json->integer(json->get(tree, "big"), 0) == INT64_MAX);
	ck_assert_uint_eq(json->type(json->get(tree, "big")), PBX_JSON_NUMBER);
	ck_assert_double_eq(json->number(json->get(tree, "small"), 0), -9223372036854775808.0);
	printed = json->print(tree);
	ck_assert_str_eq(printed, "{\"big\":9223372036854775807,\"small\":-9223372036854775808}");
	json->free_text(printed);
	json->free(tree);
}
END_TEST

START_TEST(fractions_come_back_as_the_same_number)
{
	static const double values[] = { 0.1, 0.1 + 0.2, 1.0 / 3, 4444444444888889.5, 1e300, -2.2250738585072014e-308, 9007199254740993.0,
					 1e22 };

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct pbx_json *tree = json->new_object(), *read;
		char *printed;

		ck_assert_int_eq(json->set_number(tree, "n", values[i]), PBX_OK);
		printed = json->print(tree);
		read = parse(printed);
		ck_assert_msg(json->number(json->get(read, "n"), 0) == values[i], "%s", printed);
		json->free(read);
		json->free_text(printed);
		json->free(tree);
	}
	ck_assert_str_eq(again("[0.1,0.30000000000000004]"), "[0.1,0.30000000000000004]");
}
END_TEST

START_TEST(what_is_not_json_is_refused_with_line_and_column)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "", "line 1, column 1: there is no JSON" },
		{ "{\n  \"a\": 1,\n  \"b\" 2\n}", "line 3, column 7: not valid JSON" },
		{ "[1,]", "line 1, column 4: not valid JSON" },
		{ "[1] x", "line 1, column 5: more text behind the end of the JSON value" },
		{ "01", "line 1, column 1: not a number" },
		{ "[1.]", "line 1, column 2: a number needs a digit behind its point" },
		{ "-", "line 1, column 1: not a number" },
		{ "+1", "line 1, column 1: not valid JSON" },
		{ "1e", "line 1, column 1: not a number" },
		{ "NaN", "line 1, column 1: not valid JSON" },
		{ "\"ä\n\"", "line 1, column 3: a control character inside a text has to be written as \\n, \\t or \\u00…" },
		{ "\"\xC0\x80\"", "line 1, column 2: not UTF-8" },
		{ "\"\xED\xA0\x80\"", "line 1, column 2: not UTF-8" },
		{ "\"a\\u0000b\"", "line 1, column 3: \\u0000 is not accepted inside a text" },
		{ "\"abc", "line 1, column 5: the text has no closing quote" },
		{ "[\v1]", "line 1, column 2: a control character between values" },
		{ "ü", "line 1, column 1: text has to stand in quotes" },
		{ "\"\\x\"", "line 1, column 2: not valid JSON" },
		{ "{\"a\":1 \"b\":2}", "line 1, column 8: not valid JSON" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pbx_diag diag = { 0 };

		ck_assert_ptr_null(json->parse(cases[i].text, strlen(cases[i].text), &diag));
		ck_assert_str_eq(diag.text, cases[i].said);
	}
}
END_TEST

START_TEST(sixty_four_levels_are_enough)
{
	char text[2 * 65 + 1];
	struct pbx_diag diag = { 0 };

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	json->free(json->parse(text, 128, &diag));
	ck_assert_str_eq(diag.text, "");
	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	ck_assert_ptr_null(json->parse(text, 130, &diag));
	ck_assert_str_eq(diag.text, "line 1, column 65: nested deeper than 64 levels");
	/* A bracket in a text is no level. */
	ck_assert_str_eq(again("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]"),
			 "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]");
}
END_TEST

START_TEST(only_the_given_length_is_read)
{
	struct pbx_json *tree = json->parse("12345", 2, NULL);

	ck_assert_int_eq(json->integer(tree, 0), 12);
	json->free(tree);
	ck_assert_ptr_null(json->parse("\"ab\"", 3, NULL));
	ck_assert_ptr_null(json->parse("\"a\\\"", 3, NULL));
}
END_TEST

START_TEST(lookups_chain_through_what_is_not_there)
{
	struct pbx_json *tree = parse("{\"from\":{\"number\":\"1001\",\"age\":1.5,\"n\":7},\"list\":[1,2,3]}");

	ck_assert_str_eq(json->text(json->get(json->get(tree, "from"), "number")), "1001");
	ck_assert_ptr_null(json->text(json->get(json->get(tree, "to"), "number")));
	ck_assert_ptr_null(json->get(tree, "FROM"));
	ck_assert_int_eq(json->integer(json->get(json->get(tree, "from"), "age"), -1), -1);
	ck_assert_int_eq(json->integer(json->get(json->get(tree, "from"), "number"), -1), -1);
	ck_assert(json->boolean(NULL, true));
	ck_assert_uint_eq(json->type(NULL), 0);
	ck_assert_uint_eq(json->count(json->get(tree, "list")), 3);
	ck_assert_int_eq(json->integer(json->at(json->get(tree, "list"), 2), 0), 3);
	ck_assert_ptr_null(json->at(json->get(tree, "list"), 3));
	ck_assert_str_eq(json->name(json->at(tree, 1)), "list");
	ck_assert_ptr_null(json->get(json->get(tree, "list"), "0"));
	json->free(tree);
}
END_TEST

START_TEST(a_member_of_that_name_is_replaced)
{
	struct pbx_json *tree = json->new_object(), *list = json->new_array();
	char *printed;

	ck_assert_int_eq(json->set_text(tree, "a", "first"), PBX_OK);
	ck_assert_int_eq(json->set_boolean(tree, "b", true), PBX_OK);
	ck_assert_int_eq(json->set_text(tree, "a", NULL), PBX_OK);
	ck_assert_int_eq(json->append_text(list, "x"), PBX_OK);
	ck_assert_int_eq(json->append(list, NULL), PBX_ENOMEM);
	ck_assert_int_eq(json->set(tree, "list", list), PBX_OK);
	ck_assert_int_eq(json->set_number(tree, "n", 0.1), PBX_OK);
	printed = json->print(tree);
	ck_assert_str_eq(printed, "{\"a\":null,\"b\":true,\"list\":[\"x\"],\"n\":0.1}");
	json->free_text(printed);
	json->free(tree);
}
END_TEST

/* Some names are kept, others are copied: which, nobody is to notice. */
START_TEST(a_member_is_found_by_its_name_wherever_that_stands)
{
	static const char *const names[] = { "kept", "a \"quoted\" name", "na\u00efve", "line\nbreak",
					     "a name that is longer than any of those that are kept" };
	struct pbx_json *tree = json->new_object(), *read;
	char same_place[64], *printed;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		(void)snprintf(same_place, sizeof same_place, "%s", names[i]);
		ck_assert_int_eq(json->set_integer(tree, same_place, (int64_t)i), PBX_OK);
		ck_assert_int_eq(json->set_integer(tree, names[i], (int64_t)i), PBX_OK);
	}
	ck_assert_uint_eq(json->count(tree), sizeof names / sizeof names[0]);
	printed = json->print(tree);
	read = parse(printed);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		(void)snprintf(same_place, sizeof same_place, "%s", names[i]);
		ck_assert_int_eq(json->integer(json->get(tree, same_place), -1), (int64_t)i);
		ck_assert_int_eq(json->integer(json->get(read, same_place), -1), (int64_t)i);
		ck_assert_int_eq(json->integer(json->get(read, names[i]), -1), (int64_t)i);
	}
	ck_assert_ptr_null(json->get(tree, "a name that nobody has ever set"));
	json->free_text(printed);
	json->free(tree);
	json->free(read);
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced)
{
	struct pbx_json *tree = json->new_text("a\xFF"
					       "b\xE2\x82"
					       "c");

	ck_assert_str_eq(json->text(tree), "a\uFFFD"
					   "b\uFFFD\uFFFD"
					   "c");
	json->free(tree);
}
END_TEST

START_TEST(times_are_rfc_3339_with_milliseconds)
{
	struct pbx_json *tree = json->new_object();

	ck_assert_int_eq(json->set_time(tree, "t", INT64_C(1795363200123999)), PBX_OK);
	ck_assert_str_eq(json->text(json->get(tree, "t")), "2026-11-22T16:00:00.123Z");
	ck_assert_int_eq(json->set_time(tree, "t", -1), PBX_OK);
	ck_assert_str_eq(json->text(json->get(tree, "t")), "1969-12-31T23:59:59.999Z");
	ck_assert_int_eq(json->set_time(tree, "t", 0), PBX_OK);
	ck_assert_uint_eq(json->type(json->get(tree, "t")), PBX_JSON_NULL);
	json->free(tree);
}
END_TEST

START_TEST(a_copy_is_another_tree_that_says_the_same)
{
	struct pbx_json *tree = parse("{\"a\":[1,{\"b\":9007199254740991}]}"), *copy = json->copy(tree);

	ck_assert_int_eq(json->set_integer(tree, "a", 2), PBX_OK);
	char *said = json->print(copy);
	ck_assert_str_eq(said, "{\"a\":[1,{\"b\":9007199254740991}]}");
	json->free_text(said);
	json->free(tree);
	json->free(copy);
}
END_TEST

/* ---- each allocation fails in turn ------------------------------------------------------------- */

static int allocations_left;

static void *scarce_malloc(size_t size)
{
	return allocations_left-- > 0 ? malloc(size) : NULL;
}

static bool build_something(void)
{
	struct pbx_json *tree = json->new_object(), *list = json->new_array();
	bool fine = tree && list;

	fine &= json->append_text(list, "x") == PBX_OK;
	fine &= json->append_text(list, "\xff") == PBX_OK;
	fine &= json->set(tree, "list", list) == PBX_OK;
	fine &= json->set_integer(tree, "n", INT64_C(9007199254740991)) == PBX_OK;
	fine &= json->set_text(tree, "n", "now a text") == PBX_OK;
	fine &= json->set_text(tree, "m", "a text") == PBX_OK;
	json->free(tree);
	return fine;
}

START_TEST(without_memory_nothing_is_lost_and_nothing_breaks)
{
	int needed = 0;

	cJSON_InitHooks(&(cJSON_Hooks){ scarce_malloc, free });
	for (bool fine = false; !fine; needed++) {
		allocations_left = needed;
		fine = build_something();
	}
	ck_assert_int_gt(needed, 8);
	for (int most = 0;; most++) {
		struct pbx_json *tree;

		allocations_left = most;
		tree = json->parse("{\"a\":[1,\"b\",9007199254740991]}", 30, NULL);
		json->free(tree);
		if (tree)
			break;
	}
	cJSON_InitHooks(NULL);
}
END_TEST

CHECK_MAIN("json", what_is_read_is_printed_again, every_byte_is_escaped_wherever_it_stands, whole_numbers_keep_every_digit,
	   fractions_come_back_as_the_same_number, what_is_not_json_is_refused_with_line_and_column, sixty_four_levels_are_enough,
	   only_the_given_length_is_read, lookups_chain_through_what_is_not_there, a_member_of_that_name_is_replaced,
	   a_member_is_found_by_its_name_wherever_that_stands, bytes_that_are_not_utf8_are_replaced, times_are_rfc_3339_with_milliseconds,
	   a_copy_is_another_tree_that_says_the_same, without_memory_nothing_is_lost_and_nothing_breaks)
