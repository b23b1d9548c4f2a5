/* tests/core/test_settings_told.c - what is told of settings: to people who look, check or read the manual, and to another process of ours */
#include <string.h>
#include "../check_main.h"
#include "json.h"
#include "settings_fixture.h"
#include "settings_internal.h"

/* ---- what people are shown -------------------------------------------------------------------------------------- */

/* The text of a member, or of a whole tree; kept until the next call. */
static const char *printed(const struct pbx_json *json)
{
	static char kept[65536];
	char *text = core_json_print(json);

	(void)snprintf(kept, sizeof kept, "%s", text ? text : "");
	core_json_free_text(text);
	return kept;
}

START_TEST(check_tells_every_problem_once_all_are_loaded)
{
	struct pbx_json *problems = NULL;

	setup("lot:\n  range_stat: 1\n  mode: x\nlto:\n  a: b\n");
	write_file("pbx.yml", "");
	core_settings_fini();
	ck_assert_int_eq(core_settings_init(file), PBX_OK);
	declare_lot();
	write_file("pbx.yml", "lot:\n  range_stat: 1\n  mode: x\nlto:\n  a: b\nstranger: {}\n");
	ck_assert_int_eq(core_settings_check(NULL, &problems), PBX_OK);
	ck_assert_uint_eq(core_json_count(problems), 4);
	ck_assert_ptr_nonnull(
		strstr(core_json_text(core_json_at(problems, 0)), ":2:3: lot.range_stat: unknown setting, did you mean range_start?"));
	ck_assert_ptr_nonnull(strstr(core_json_text(core_json_at(problems, 1)), ":3:9: lot.mode: expected one of random, linear"));
	ck_assert_ptr_nonnull(strstr(core_json_text(core_json_at(problems, 2)), ":4:1: lto: unknown section, did you mean lot?"));
	ck_assert_ptr_nonnull(strstr(core_json_text(core_json_at(problems, 3)), ":6:1: stranger: unknown section: no part"));
	core_json_free(problems);
	ck_assert_uint_eq(lot()->range_start, 70);
	teardown();
}
END_TEST

static int linear_lots_begin_at_ten(const void *settings, struct pbx_diag *diag)
{
	const struct lot *proposed = settings;

	if (strcmp(proposed->mode, "linear") != 0 || proposed->range_start >= 10)
		return PBX_OK;
	pbx_diag_set(diag, "range_start", "a linear lot begins at 10");
	return PBX_EINVAL;
}

START_TEST(values_that_do_not_fit_one_another_are_told_whenever_they_are_read)
{
	struct pbx_json *problems = NULL;
	struct pbx_diag diag = { 0 };

	setup("lot:\n  mode: linear\n  range_start: 3\n");
	ck_assert_int_eq(core_settings_on_check("lot", linear_lots_begin_at_ten), PBX_OK);
	ck_assert_int_eq(core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag), PBX_EINVAL);
	ck_assert_msg(strstr(diag.text, ":3:16: lot.range_start: a linear lot begins at 10") != NULL, "%s", diag.text);

	core_settings_fini();
	write_file("pbx.yml", "lot:\n  mode: linear\n  range_start: 12\n");
	ck_assert_int_eq(core_settings_init(file), PBX_OK);
	ck_assert_int_eq(core_settings_on_check("lot", linear_lots_begin_at_ten), PBX_OK);
	declare_lot();
	write_file("pbx.yml", "lot:\n  mode: linear\n  range_start: 4\n");
	ck_assert_int_eq(core_settings_check(NULL, &problems), PBX_OK);
	ck_assert_uint_eq(core_json_count(problems), 1);
	core_json_free(problems);
	ck_assert_int_eq(core_settings_reload(&diag), PBX_EINVAL);
	ck_assert_uint_eq(lot()->range_start, 12);

	ck_assert_int_eq(core_settings_on_check("lot", NULL), PBX_OK);
	ck_assert_int_eq(core_settings_reload(&diag), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 4);
	teardown();
}
END_TEST

static int last_source_is_heaviest(const void *settings, struct pbx_diag *diag)
{
	const struct pbx_objects *sources = &((const struct lot *)settings)->sources;

	pbx_diag_set(diag, sources->count > 2 ? "sources[7].weight" : "sources[1].weight", "the last source weighs most");
	return PBX_EINVAL;
}

START_TEST(what_does_not_fit_in_a_list_of_objects_is_told_at_its_line)
{
	struct pbx_diag diag = { 0 };

	setup("lot:\n  sources:\n    - {name: a, weight: 5}\n    - name: b\n      weight: 3\n");
	ck_assert_int_eq(core_settings_on_check("lot", last_source_is_heaviest), PBX_OK);
	ck_assert_int_eq(core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag), PBX_EINVAL);
	ck_assert_msg(strstr(diag.text, ":5:15: lot.sources[1].weight: the last source weighs most") != NULL, "%s", diag.text);

	core_settings_fini();
	write_file("pbx.yml", "lot:\n  sources: [{name: a}, {name: b}, {name: c}]\n");
	ck_assert_int_eq(core_settings_init(file), PBX_OK);
	ck_assert_int_eq(core_settings_on_check("lot", last_source_is_heaviest), PBX_OK);
	ck_assert_int_eq(core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag), PBX_EINVAL);
	ck_assert_msg(strstr(diag.text, ":1:1: lot.sources[7].weight") != NULL, "%s", diag.text);
	teardown();
}
END_TEST

START_TEST(show_tells_where_a_value_comes_from_and_no_secret)
{
	struct pbx_json *shown;
	const struct pbx_json *one;
	char pinned[160];

	setup("lot:\n  range_start: 5\n  password: hunter2\n  sources: [{name: a, key: hunter2}]\n");
	declare_lot();
	shown = core_settings_show("lot.range_start");
	ck_assert_uint_eq(core_json_count(shown), 1);
	one = core_json_at(shown, 0);
	(void)snprintf(pinned, sizeof pinned, "%s:2", file);
	ck_assert_int_eq(core_json_integer(core_json_get(one, "value"), 0), 5);
	ck_assert_str_eq(core_json_text(core_json_get(one, "origin")), "file");
	ck_assert_str_eq(core_json_text(core_json_get(one, "pinned")), pinned);
	ck_assert_int_eq(core_json_integer(core_json_get(one, "default"), 0), 70);
	core_json_free(shown);
	shown = core_settings_show("");
	ck_assert_uint_eq(core_json_count(shown), 11);
	ck_assert_ptr_null(strstr(printed(shown), "hunter2"));
	ck_assert_ptr_nonnull(strstr(printed(shown), "\"(set)\""));
	core_json_free(shown);
	shown = core_settings_show("lo");
	ck_assert_uint_eq(core_json_count(shown), 0);
	core_json_free(shown);
	teardown();
}
END_TEST

START_TEST(diff_tells_what_a_reload_would_change_and_changes_nothing)
{
	struct pbx_json *diff;

	setup("lot:\n  range_start: 5\n");
	declare_lot();
	write_file("pbx.yml", "lot:\n  range_start: 6\n  recall_ms: 2000\n");
	diff = core_settings_diff();
	ck_assert_str_eq(printed(diff), "[{\"path\":\"lot.range_start\",\"from\":5,\"to\":6,\"restart\":false},"
					"{\"path\":\"lot.recall_ms\",\"from\":60000,\"to\":2000,\"restart\":true}]");
	core_json_free(diff);
	ck_assert_uint_eq(lot()->range_start, 5);
	write_file("pbx.yml", "lot: [");
	diff = core_settings_diff();
	ck_assert_ptr_nonnull(core_json_get(core_json_at(diff, 0), "problem"));
	core_json_free(diff);
	teardown();
}
END_TEST

START_TEST(the_schema_says_what_the_rows_say)
{
	static const struct {
		const char *path[6];
		const char *text;
	} facts[] = {
		{ { "lot", "additionalProperties" }, "false" },
		{ { "lot", "properties", "range_start", "maximum" }, "9999" },
		{ { "lot", "properties", "tls", "properties", "port", "default" }, "5061" },
		{ { "lot", "properties", "password", "writeOnly" }, "true" },
		{ { "lot", "properties", "mode", "enum" }, "[\"random\",\"linear\"]" },
		{ { "lot", "properties", "recall_ms", "x-restart" }, "true" },
		{ { "lot", "properties", "sources", "items", "required" }, "[\"name\"]" },
		{ { "lot", "properties", "listen", "default" }, "[\"udp:5060\",\"tcp:5060\"]" },
	};
	struct pbx_json *schema;

	setup("");
	declare_lot();
	schema = core_settings_schema();
	for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
		const struct pbx_json *at = core_json_get(schema, "properties");

		for (size_t j = 0; j < 6 && facts[i].path[j]; j++)
			at = core_json_get(at, facts[i].path[j]);
		ck_assert_str_eq(printed(at), facts[i].text);
	}
	core_json_free(schema);
	teardown();
}
END_TEST

START_TEST(the_manual_has_a_line_for_every_setting)
{
	char *manual;

	setup("");
	declare_lot();
	manual = core_settings_manual();
	ck_assert_ptr_nonnull(strstr(manual, "\n## lot\n"));
	ck_assert_ptr_nonnull(strstr(manual, "| `lot.recall_ms` | a whole number from 1000 to 3600000 (ms) | `60000` | Ring back after "
					     "(takes effect after a restart) |\n"));
	ck_assert_ptr_nonnull(strstr(manual, "| `lot.label` | a text of 0 to 8 characters | `Lot` | A \\| b |\n"));
	ck_assert_ptr_nonnull(strstr(manual, "| `lot.sources[].name` | a text | **needed** | What it is called |\n"));
	ck_assert_ptr_nonnull(strstr(manual, "| `lot.listen` | a list of texts | `[\"udp:5060\",\"tcp:5060\"]` | Where |\n"));
	free(manual);
	teardown();
}
END_TEST

/* ---- handed to another process ------------------------------------------------------------------------------ */

/* As another process would have it: what was packed, and nothing else that was read. */
static void move_over(void)
{
	size_t length;
	char *bytes = core_settings_pack("lot", &length);

	ck_assert_ptr_nonnull(bytes);
	core_settings_fini();
	ck_assert_int_eq(core_settings_unpack(bytes, length), PBX_OK);
	free(bytes);
}

START_TEST(what_is_packed_says_the_same_elsewhere)
{
	struct pbx_diag diag = { 0 };
	bool no_memory = false;

	ck_assert_int_eq(setenv("SETTINGS_PORT", "6001", 1), 0);
	setup("other:\n  label: no\n"
	      "lot:\n"
	      "  tls: {port: '${SETTINGS_PORT}'}\n"
	      "  listen: ['a, b', 'c -3:']\n"
	      "  password: secret://lot\n"
	      "  mode: linear\n"
	      "  sources: [{name: x, tags: []}, {name: y, weight: 7, key: \"c\\n-3:\"}]\n");
	write_file("secrets.d/lot", "hunter2\n");
	declare_lot();
	ck_assert_int_eq(core_stored_apply(core_stored_put(NULL, "lot.range_start", "81", &no_memory), &diag, NULL), PBX_OK);
	move_over();
	declare_lot();
	ck_assert_uint_eq(lot()->tls_port, 6001);
	ck_assert_str_eq(lot()->listen.items[1], "c -3:");
	ck_assert_str_eq(((const struct source *)lot()->sources.rows)[1].key, "c\n-3:");
	ck_assert_str_eq(lot()->password, "hunter2");
	ck_assert_str_eq(lot()->mode, "linear");
	ck_assert_uint_eq(lot()->range_start, 81);
	ck_assert_uint_eq(lot()->sources.count, 2);
	ck_assert_uint_eq(((const struct source *)lot()->sources.rows)[1].weight, 7);
	ck_assert_ptr_null(core_setting_pinned("other"));
	teardown();
}
END_TEST

START_TEST(a_mistake_is_told_with_its_place_elsewhere_too)
{
	struct pbx_diag diag = { 0 };

	setup("lot:\n  label: a\n");
	write_file("conf.d/more.yml", "lot:\n  tls:\n    prot: 5\n");
	core_settings_fini();
	ck_assert_int_eq(core_settings_init(file), PBX_OK);
	move_over();
	ck_assert_int_eq(core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag), PBX_EINVAL);
	ck_assert_ptr_nonnull(strstr(diag.text, "/conf.d/more.yml:3:5: lot.tls.prot: unknown setting, did you mean tls.port?"));
	teardown();
}
END_TEST

START_TEST(what_was_packed_badly_is_refused)
{
	size_t length;
	char *bytes;

	setup("lot:\n  label: a\n  sources: [{name: x}]\n");
	bytes = core_settings_pack("lot", &length);
	core_settings_fini();
	for (size_t i = 0; i < length; i++) {
		ck_assert_int_eq(core_settings_unpack(bytes, i), PBX_EINVAL);
		for (int other = 0; other < 256; other += 51) {
			char kept = bytes[i];

			bytes[i] = (char)(kept + other);
			if (core_settings_unpack(bytes, length) == PBX_OK) { /* another letter, another number */
				(void)core_settings_declare("lot", &lot_table, sizeof(struct lot), &(struct pbx_diag){ 0 });
				core_settings_fini();
			}
			bytes[i] = kept;
		}
	}
	free(bytes);
	teardown();
}
END_TEST

CHECK_MAIN("settings_told", check_tells_every_problem_once_all_are_loaded, what_does_not_fit_in_a_list_of_objects_is_told_at_its_line,
	   values_that_do_not_fit_one_another_are_told_whenever_they_are_read, show_tells_where_a_value_comes_from_and_no_secret,
	   diff_tells_what_a_reload_would_change_and_changes_nothing, the_schema_says_what_the_rows_say,
	   the_manual_has_a_line_for_every_setting, what_is_packed_says_the_same_elsewhere, a_mistake_is_told_with_its_place_elsewhere_too,
	   what_was_packed_badly_is_refused)
