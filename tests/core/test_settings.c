/* tests/core/test_settings.c - files, values, sentences about mistakes, and changes that happen wholly or not at all */
#include "../failing_memory.h"
#include <cjson/cJSON.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../check_main.h"
#include "json.h"
#include "log.h"
#include "settings_fixture.h"
#include "settings_internal.h"

/* Declares "lot" over a file and tells what was wrong, without the folder's name; "" when it was fine. */
static const char *wrong_with(const char *text)
{
	static struct pbx_diag diag;
	const char *said;

	setup(text);
	diag = (struct pbx_diag){ 0 };
	if (core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag) != PBX_OK)
		ck_assert_str_ne(diag.text, "");
	said = strncmp(diag.text, folder, strlen(folder)) == 0 ? diag.text + strlen(folder) + 1 : diag.text;
	teardown();
	return said;
}

/* ---- values ------------------------------------------------------------------------------------------- */

#define ONE_LINE "a line end or another control character is in it: write it in one line, without tabs (in YAML not with | and not \"\\n\")"

START_TEST(what_no_file_says_has_its_default)
{
	setup("");
	declare_lot();
	ck_assert(lot()->enabled);
	ck_assert_uint_eq(lot()->range_start, 70);
	ck_assert_int_eq(lot()->offset, -3);
	ck_assert_double_eq(lot()->gain, 1.5);
	ck_assert_str_eq(lot()->label, "Lot");
	ck_assert_str_eq(lot()->mode, "random");
	ck_assert_str_eq(lot()->password, "");
	ck_assert_uint_eq(lot()->listen.count, 2);
	ck_assert_str_eq(lot()->listen.items[1], "tcp:5060");
	ck_assert_uint_eq(lot()->sources.count, 0);
	ck_assert_uint_eq(lot()->tls_port, 5061);
	teardown();
}
END_TEST

START_TEST(a_file_says_every_type)
{
	setup("lot:\n"
	      "  enabled: off\n"
	      "  range_start: 100\n"
	      "  offset: -9007199254740993\n"
	      "  gain: 0.25\n"
	      "  label: ünïcödé\n"
	      "  mode: linear\n"
	      "  password: 'a: b #c'\n"
	      "  listen:\n"
	      "    - \"udp:[::]:5060\"\n"
	      "  sources:\n"
	      "    - name: first\n"
	      "      key: k\n"
	      "      weight: 10\n"
	      "      tags: [one]\n"
	      "    - {name: second}\n"
	      "  tls:\n"
	      "    port: 6000\n");
	declare_lot();
	const struct source *sources = lot()->sources.rows;

	ck_assert(!lot()->enabled);
	ck_assert_uint_eq(lot()->range_start, 100);
	ck_assert(lot()->offset == -INT64_C(9007199254740993));
	ck_assert_double_eq(lot()->gain, 0.25);
	ck_assert_str_eq(lot()->label, "ünïcödé");
	ck_assert_str_eq(lot()->mode, "linear");
	ck_assert_str_eq(lot()->password, "a: b #c");
	ck_assert_uint_eq(lot()->listen.count, 1);
	ck_assert_str_eq(lot()->listen.items[0], "udp:[::]:5060");
	ck_assert_uint_eq(lot()->sources.count, 2);
	ck_assert_uint_eq(lot()->sources.row_size, sizeof(struct source));
	ck_assert_str_eq(sources[0].key, "k");
	ck_assert_uint_eq(sources[0].weight, 10);
	ck_assert_str_eq(sources[0].tags.items[0], "one");
	ck_assert_str_eq(sources[1].name, "second");
	ck_assert_uint_eq(sources[1].weight, 5);
	ck_assert_str_eq(sources[1].tags.items[1], "y");
	ck_assert_uint_eq(lot()->tls_port, 6000);
	teardown();
}
END_TEST

START_TEST(a_dotted_key_is_a_nested_one)
{
	setup("lot.tls.port: 7\nlot:\n  range_start: 71\n");
	declare_lot();
	ck_assert_uint_eq(lot()->tls_port, 7);
	ck_assert_uint_eq(lot()->range_start, 71);
	teardown();
}
END_TEST

START_TEST(conf_d_is_read_in_order_of_name_and_the_later_wins)
{
	setup("lot:\n  range_start: 1\n  label: main\n  listen: [a, b]\n  tls:\n    port: 1\n");
	write_file("conf.d/20-b.yml", "lot:\n  range_start: 20\n");
	write_file("conf.d/10-a.yml", "lot:\n  range_start: 10\n  listen: [c]\n");
	write_file("conf.d/30-ignored.yaml", "lot:\n  range_start: 30\n");
	write_file("conf.d/40-empty.yml", "lot:\n  # nothing\n");
	core_settings_fini();
	ck_assert_int_eq(core_settings_init(file), PBX_OK);
	declare_lot();
	ck_assert_uint_eq(lot()->range_start, 20);
	ck_assert_str_eq(lot()->label, "main");
	ck_assert_uint_eq(lot()->listen.count, 1);
	ck_assert_uint_eq(lot()->tls_port, 1);
	teardown();
}
END_TEST

START_TEST(environment_and_files_are_put_in)
{
	ck_assert_int_eq(setenv("SETTINGS_PORT", "6001", 1), 0);
	setup("lot:\n"
	      "  label: a${SETTINGS_PORT}b\n"
	      "  tls.port: ${env:SETTINGS_PORT}\n"
	      "  listen: ['$${kept}', '${file:listen.txt}']\n"
	      "  password: secret://lot\n");
	write_file("listen.txt", "udp:1\n");
	write_file("secrets.d/lot", "hunter2\n");
	declare_lot();
	ck_assert_str_eq(lot()->label, "a6001b");
	ck_assert_uint_eq(lot()->tls_port, 6001);
	ck_assert_str_eq(lot()->listen.items[0], "${kept}");
	ck_assert_str_eq(lot()->listen.items[1], "udp:1");
	ck_assert_str_eq(lot()->password, "hunter2");
	teardown();
}
END_TEST

START_TEST(a_systemd_credential_goes_before_the_file_of_that_name)
{
	char credentials[128];

	setup("lot:\n  password: secret://lot\n");
	write_file("secrets.d/lot", "from secrets.d");
	(void)snprintf(credentials, sizeof credentials, "%s/credentials", folder);
	ck_assert_int_eq(mkdir(credentials, 0700), 0);
	write_file("credentials/lot", "from systemd");
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", credentials, 1), 0);
	declare_lot();
	ck_assert_str_eq(lot()->password, "from systemd");
	ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	teardown();
}
END_TEST

/* ---- mistakes ------------------------------------------------------------------------------------------- */

START_TEST(a_mistake_is_told_with_its_place_and_its_cure)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "lot:\n  range_stat: 5\n", "pbx.yml:2:3: lot.range_stat: unknown setting, did you mean range_start?" },
		{ "lot:\n  qqqqqqqq: 5\n", "pbx.yml:2:3: lot.qqqqqqqq: unknown setting" },
		{ "lot:\n  tls:\n    prot: 5\n", "pbx.yml:3:5: lot.tls.prot: unknown setting, did you mean tls.port?" },
		{ "lot:\n  recall_ms: 30s\n",
		  "pbx.yml:2:14: lot.recall_ms: expected a whole number from 1000 to 3600000 (ms), found \"30s\"" },
		{ "lot:\n  recall_ms: 999\n",
		  "pbx.yml:2:14: lot.recall_ms: expected a whole number from 1000 to 3600000 (ms), found \"999\"" },
		{ "lot:\n  offset: 1.5\n", "pbx.yml:2:11: lot.offset: expected a whole number, found \"1.5\"" },
		{ "lot:\n  offset: 9223372036854775808\n",
		  "pbx.yml:2:11: lot.offset: expected a whole number, found \"9223372036854775808\"" },
		{ "lot:\n  gain: nan\n", "pbx.yml:2:9: lot.gain: expected a number from 0 to 4, found \"nan\"" },
		{ "lot:\n  enabled: 2\n", "pbx.yml:2:12: lot.enabled: expected true or false, found \"2\"" },
		{ "lot:\n  mode: radnom\n",
		  "pbx.yml:2:9: lot.mode: expected one of random, linear, found \"radnom\", did you mean random?" },
		{ "lot:\n  label: 123456789\n", "pbx.yml:2:10: lot.label: expected a text of 0 to 8 characters, found \"123456789\"" },
		{ "lot:\n  label: [a]\n", "pbx.yml:2:10: lot.label: expected a text of 0 to 8 characters, found a list" },
		{ "lot:\n  range_start:\n", "pbx.yml:2:15: lot.range_start: expected a whole number from 1 to 9999, found nothing (leave "
					    "the line out for the default, "
					    "write \"\" for an empty text)" },
		{ "lot:\n  password: {a: b}\n", "pbx.yml:2:13: lot.password: expected a text, found a mapping" },
		{ "lot:\n  listen: {a: b}\n", "pbx.yml:2:11: lot.listen: expected a list of texts, found a mapping" },
		{ "lot:\n  sources: x\n",
		  "pbx.yml:2:12: lot.sources: expected a list of mappings with name, key, weight, tags, found \"x\"" },
		{ "lot:\n  sources:\n    - weight: 3\n", "pbx.yml:3:7: lot.sources[0].name: is needed here, it has no default" },
		{ "lot:\n  sources: [{name: a}, {name: b, wieght: 3}]\n",
		  "pbx.yml:2:34: lot.sources[1].wieght: unknown setting, did you mean weight?" },
		{ "lot:\n  sources: [{name: a, weight: 11}]\n",
		  "pbx.yml:2:31: lot.sources[0].weight: expected a whole number from 1 to 10, found \"11\"" },
		{ "lot: 5\n", "pbx.yml:1:6: lot: this is a section: a mapping has to stand here" },
		{ "lot:\n  tls: 5\n", "pbx.yml:2:8: lot: tls is a group of settings: a mapping has to stand here" },
		{ "lot:\n  label: ${env:NOT_SET_ANYWHERE}\n",
		  "pbx.yml:2:10: lot.label: the environment variable NOT_SET_ANYWHERE is not set" },
		{ "lot:\n  label: ${NOT_SET\n", "pbx.yml:2:10: lot.label: ${ without its }; a plain ${ is written $${" },
		{ "lot:\n  label: ${file:/nowhere}\n",
		  "pbx.yml:2:10: lot.label: the file /nowhere cannot be read: No such file or directory" },
		{ "lot:\n  password: secret://../pbx.yml\n",
		  "pbx.yml:2:13: lot.password: secret:// takes the name of a file, without a path" },
		{ "lot:\n  label: secret://a\n", "pbx.yml:2:10: lot.label: secret:// is for settings that are secrets; this one is shown "
						 "to people, ${file:PATH} will do" },
		{ "lot:\n  label: a\n  label: b\n", "pbx.yml:3:3: label: said twice, first in line 2" },
		{ "lot:\n\tlabel: a\n",
		  "pbx.yml:2:1: a value cannot begin like this: put it in quotes, and indent with spaces, not with tabs" },
		{ "lot:\n  label: a: b\n", "pbx.yml:2:11: a second colon here: put the value in quotes, or mend the indentation" },
		{ "lot: &a\n  label: x\n",
		  "pbx.yml:1:6: anchors (&name) and aliases (*name) are not accepted here: write the value out, or put it in quotes" },
		{ "lot:\n  label: *a\n",
		  "pbx.yml:2:10: anchors (&name) and aliases (*name) are not accepted here: write the value out, or put it in quotes" },
		{ "lot:\n  label: !x a\n", "pbx.yml:2:10: tags (!name) are not accepted here: put the value in quotes" },
		{ "a: 1\n---\nb: 2\n", "pbx.yml:2:1: a second document: one is read, take the --- away" },
		{ "- a\n", "pbx.yml:1:1: sections have to stand here, such as \"sip:\"" },
		{ "lot:\n  label: \"a\\r\\nb\"\n", "pbx.yml:2:10: lot.label: " ONE_LINE },
		{ "lot:\n  label: |\n    a\n", "pbx.yml:2:10: lot.label: " ONE_LINE },
		{ "lot:\n  password: \"a\\tb\"\n", "pbx.yml:2:13: lot.password: " ONE_LINE },
		{ "lot:\n  listen: [a, \"b\\x7F\"]\n", "pbx.yml:2:15: lot.listen: " ONE_LINE },
		{ "lot:\n  listen: \"a, b\\nc, d\"\n", "pbx.yml:2:11: lot.listen: " ONE_LINE },
		{ "lot:\n  sources: [{name: \"\\e[2J\"}]\n", "pbx.yml:2:20: lot.sources[0].name: " ONE_LINE },
		{ "lot:\n  label: \"a\\0b\"\n", "pbx.yml:2:10: a zero byte is not accepted inside a text" },
		{ "lot:\n  label: \xFF\n", "pbx.yml:1:1: not UTF-8 text: invalid leading UTF-8 octet at byte 14" },
		{ "a: [[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]\n", "pbx.yml:1:19: nested deeper than 16 levels" },
		{ "? [a]\n: b\n", "pbx.yml:1:3: a name has to stand here" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_str_eq(wrong_with(cases[i].text), cases[i].said);
}
END_TEST

START_TEST(where_lines_are_meant_they_are_taken)
{
	static const struct pbx_setting rows[] = { PBX_SECRET(struct source, key, .initial_text = "", .flags = PBX_SETTING_LINES,
							      .help = "PEM") };
	static const struct pbx_table table = PBX_TABLE(rows);
	struct pbx_diag diag = { 0 };

	setup("s:\n  key: |\n    one\n    two\n");
	ck_assert_int_eq(core_settings_declare("s", &table, sizeof(struct source), &diag), PBX_OK);
	ck_assert_str_eq(((const struct source *)core_settings_get("s"))->key, "one\ntwo\n");
	teardown();
}
END_TEST

START_TEST(a_secret_of_the_wrong_kind_is_not_repeated)
{
	static const struct pbx_setting rows[] = { PBX_SECRET(struct source, key, .initial_text = "", .least = 8, .most = 64,
							      .help = "Long") };
	static const struct pbx_table table = PBX_TABLE(rows);
	struct pbx_diag diag = { 0 };

	setup("s:\n  key: hunter2\n");
	ck_assert_int_eq(core_settings_declare("s", &table, sizeof(struct source), &diag), PBX_EINVAL);
	ck_assert_ptr_null(strstr(diag.text, "hunter2"));
	ck_assert_ptr_nonnull(strstr(diag.text, "s.key: expected a text of 8 to 64 characters"));
	teardown();
}
END_TEST

START_TEST(what_is_needed_has_to_be_said)
{
	struct pbx_diag diag = { 0 };
	static const struct pbx_table table = PBX_TABLE(source_rows);

	setup("");
	ck_assert_int_eq(core_settings_declare("source", &table, sizeof(struct source), &diag), PBX_EINVAL);
	ck_assert_str_eq(diag.text, "source.name: is needed, it has no default");
	ck_assert_str_eq(diag.field, "source.name");
	ck_assert_ptr_null(core_settings_get("source"));
	teardown();
}
END_TEST

START_TEST(a_missing_file_is_told_by_the_first_declare)
{
	struct pbx_diag diag = { 0 };

	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_settings_init("/nowhere/pbx.yml"), PBX_OK);
	ck_assert_int_eq(core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag), PBX_EINVAL);
	ck_assert_str_eq(diag.text, "/nowhere/pbx.yml:1:1: cannot be read: No such file or directory");
	core_settings_fini();
	core_log_fini();
}
END_TEST

START_TEST(a_row_that_would_write_outside_its_structure_is_refused)
{
	const struct pbx_setting outside = { .name = "x", .type = PBX_TYPE_INT, .offset = 4, .width = 8 };
	const struct pbx_setting narrow = { .name = "x", .type = PBX_TYPE_TEXT, .offset = 0, .width = 4 };
	const struct pbx_setting *const bad[] = { &outside, &narrow };

	setup("");
	for (size_t i = 0; i < 2; i++) {
		const struct pbx_table table = { bad[i], 1, sizeof(struct pbx_setting) };
		struct pbx_diag diag = { 0 };

		ck_assert_int_eq(core_settings_declare("bad", &table, 8, &diag), PBX_EINVAL);
		ck_assert_ptr_nonnull(strstr(diag.text, "declared wrongly"));
	}
	teardown();
}
END_TEST

START_TEST(rows_of_an_older_and_a_newer_plugin_are_read)
{
	struct {
		struct pbx_setting row;
		uint64_t of_tomorrow[3];
	} newer[2] = { { lot_rows[0], { 1, 2, 3 } }, { lot_rows[1], { 4, 5, 6 } } };
	const struct pbx_table table = { newer, 2, sizeof newer[0] };
	/* A row that ends before .fields, as an older header had it. */
	char older[offsetof(struct pbx_setting, fields)];
	const struct pbx_table old_table = { older, 1, sizeof older };
	struct pbx_diag diag = { 0 };

	memcpy(older, &lot_rows[1], sizeof older);
	setup("lot:\n  range_start: 9\nold:\n  range_start: 8\n");
	ck_assert_int_eq(core_settings_declare("lot", &table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 9);
	ck_assert_int_eq(core_settings_declare("old", &old_table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_uint_eq(((const struct lot *)core_settings_get("old"))->range_start, 8);
	teardown();
}
END_TEST

/* ---- changes ------------------------------------------------------------------------------------------------ */

struct witness {
	uint32_t asked, seen;
	bool refuses;
};

static int accept_lot(void *context, const void *proposed, struct pbx_diag *diag)
{
	struct witness *witness = context;

	witness->asked++;
	witness->seen = ((const struct lot *)proposed)->range_start;
	if (witness->refuses)
		pbx_diag_set(diag, "range_start", "slots are taken");
	return witness->refuses ? PBX_EBUSY : PBX_OK;
}

START_TEST(a_reload_asks_those_whose_settings_differ_and_only_those)
{
	struct witness first = { 0 }, second = { 0 };
	struct pbx_diag diag = { 0 };

	setup("lot:\n  range_start: 1\nother:\n  range_start: 2\n");
	declare_lot();
	ck_assert_int_eq(core_settings_declare("other", &lot_table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_int_eq(core_settings_on_change("lot", accept_lot, &first), PBX_OK);
	ck_assert_int_eq(core_settings_on_change("other", accept_lot, &second), PBX_OK);
	write_file("pbx.yml", "# another comment\nlot:\n  range_start: 1\nother:\n  range_start: 3\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_OK);
	ck_assert_uint_eq(first.asked, 0);
	ck_assert_uint_eq(second.asked, 1);
	ck_assert_uint_eq(second.seen, 3);
	ck_assert_uint_eq(((const struct lot *)core_settings_get("other"))->range_start, 3);
	teardown();
}
END_TEST

START_TEST(when_one_refuses_the_others_get_their_old_settings_back)
{
	struct witness first = { 0 }, second = { .refuses = true };
	struct pbx_diag diag = { 0 };

	setup("lot:\n  range_start: 1\nother:\n  range_start: 2\n");
	declare_lot();
	ck_assert_int_eq(core_settings_declare("other", &lot_table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_int_eq(core_settings_on_change("lot", accept_lot, &first), PBX_OK);
	ck_assert_int_eq(core_settings_on_change("other", accept_lot, &second), PBX_OK);
	write_file("pbx.yml", "lot:\n  range_start: 11\nother:\n  range_start: 12\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_EBUSY);
	ck_assert_str_eq(diag.text, "other refused: slots are taken");
	ck_assert_uint_eq(first.asked, 2);
	ck_assert_uint_eq(first.seen, 1);
	ck_assert_uint_eq(lot()->range_start, 1);
	ck_assert_uint_eq(((const struct lot *)core_settings_get("other"))->range_start, 2);
	teardown();
}
END_TEST

START_TEST(a_bad_file_changes_nothing)
{
	struct witness witness = { 0 };
	struct pbx_diag diag = { 0 };
	const struct lot *before;

	setup("lot:\n  range_start: 1\nother:\n  range_start: 2\n");
	declare_lot();
	ck_assert_int_eq(core_settings_declare("other", &lot_table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_int_eq(core_settings_on_change("lot", accept_lot, &witness), PBX_OK);
	before = lot();
	write_file("pbx.yml", "lot:\n  range_start: 5\nother:\n  range_start: x\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_EINVAL);
	ck_assert_ptr_nonnull(strstr(diag.text, "pbx.yml:4:16: other.range_start: expected"));
	ck_assert_uint_eq(witness.asked, 0);
	ck_assert_ptr_eq(lot(), before);
	teardown();
}
END_TEST

START_TEST(a_misspelt_section_changes_nothing_and_a_strange_one_is_a_warning)
{
	struct pbx_diag diag = { 0 };
	struct pbx_json *told = NULL;

	setup("lot:\n  range_start: 1\n");
	declare_lot();
	write_file("pbx.yml", "lto:\n  range_start: 5\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_EINVAL);
	ck_assert_ptr_nonnull(strstr(diag.text, "pbx.yml:1:1: lto: unknown section, did you mean lot?"));
	ck_assert_uint_eq(lot()->range_start, 1);
	write_file("pbx.yml", "lot:\n  range_start: 5\nstranger: {}\n");
	ck_assert_int_eq(core_settings_reload_told(&diag, &told), PBX_OK);
	ck_assert_uint_eq(core_json_count(core_json_get(told, "warnings")), 1);
	ck_assert_uint_eq(core_json_count(core_json_get(told, "changed")), 1);
	ck_assert_uint_eq(lot()->range_start, 5);
	core_json_free(told);
	teardown();
}
END_TEST

START_TEST(what_acts_at_a_restart_waits_for_it_and_is_told)
{
	struct pbx_diag diag = { 0 };
	struct pbx_json *waiting;

	setup("lot:\n  recall_ms: 2000\n");
	declare_lot();
	write_file("pbx.yml", "lot:\n  recall_ms: 3000\n  range_start: 5\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_OK);
	waiting = core_settings_waiting();
	ck_assert_uint_eq(core_json_count(waiting), 1);
	ck_assert_str_eq(core_json_text(core_json_get(core_json_at(waiting, 0), "path")), "lot.recall_ms");
	ck_assert_int_eq(core_json_integer(core_json_get(core_json_at(waiting, 0), "in_force"), 0), 2000);
	ck_assert_int_eq(core_json_integer(core_json_get(core_json_at(waiting, 0), "value"), 0), 3000);
	core_json_free(waiting);
	core_settings_begin("lot");
	waiting = core_settings_waiting();
	ck_assert_uint_eq(core_json_count(waiting), 0);
	core_json_free(waiting);
	teardown();
}
END_TEST

START_TEST(a_bracket_that_is_not_closed_is_told_with_its_cure_and_a_near_section_is_named)
{
	const struct core_section *section;
	const struct pbx_setting *row;
	struct pbx_diag diag = { 0 };

	setup("lot:\n  range_start: 1\n");
	ck_assert_int_eq(core_settings_declare("call_lot", &lot_table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_int_eq(core_setting_find("lot.offset", &section, &row, &diag), PBX_ENOENT);
	ck_assert_ptr_nonnull(strstr(diag.text, "did you mean call_lot.offset?"));
	write_file("pbx.yml", "lot:\n  listen: [a, b\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_EINVAL);
	ck_assert_msg(strstr(diag.text, "is not finished here") != NULL, "%s", diag.text);
	teardown();
}
END_TEST

START_TEST(values_stay_readable_until_the_second_change)
{
	struct pbx_diag diag = { 0 };
	const struct lot *oldest;

	setup("lot:\n  label: one\n");
	declare_lot();
	oldest = lot();
	write_file("pbx.yml", "lot:\n  label: two\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_OK);
	ck_assert_str_eq(lot()->label, "two");
	ck_assert_str_eq(oldest->label, "one");
	teardown();
}
END_TEST

START_TEST(a_successor_takes_the_section_over_and_the_old_instance_reads_on)
{
	static const struct pbx_setting fewer[] = { PBX_UINT(struct lot, range_start, .initial = 4, .help = "First slot") };
	static const struct pbx_table table = PBX_TABLE(fewer);
	struct pbx_diag diag = { 0 };
	const struct lot *old;

	setup("lot:\n  range_start: 12\n");
	declare_lot();
	old = core_settings_ref(lot());
	ck_assert_int_eq(core_settings_redeclare("lot", &table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 12);
	core_settings_undeclare("lot");
	ck_assert_ptr_null(lot());
	ck_assert_str_eq(old->label, "Lot");
	core_settings_unref(old);
	teardown();
}
END_TEST

START_TEST(a_successor_that_does_not_fit_leaves_the_section_alone)
{
	static const struct pbx_setting other[] = { PBX_UINT(struct lot, recall_ms, .initial = 4, .help = "Only this") };
	static const struct pbx_table table = PBX_TABLE(other);
	struct pbx_diag diag = { 0 };

	setup("lot:\n  range_start: 12\n");
	declare_lot();
	ck_assert_int_eq(core_settings_redeclare("lot", &table, sizeof(struct lot), &diag), PBX_EINVAL);
	ck_assert_uint_eq(lot()->range_start, 12);
	ck_assert_int_eq(core_settings_redeclare("lto", &table, sizeof(struct lot), &diag), PBX_ENOENT);
	teardown();
}
END_TEST

/* ---- each allocation fails in turn -------------------------- */

static int allocations_left = INT32_MAX;

static bool is_granted(void)
{
	return allocations_left-- > 0;
}

/* A life of the settings with so many allocations; false: one was refused on the way. */
static bool live_with(int allocations)
{
	static const char *const texts[2] = { "lot:\n  listen: [a]\n  tls.port: 5\n  sources: [{name: a}]\n",
					      "lot:\n  label: ${HOME}\n  listen: b, c\n" };
	struct pbx_diag diag = { 0 };
	int err;

	write_file("pbx.yml", texts[0]);
	ck_assert_int_eq(setenv("HOME", "/", 1), 0);
	allocations_left = allocations;
	err = core_settings_init(file);
	if (err == PBX_OK)
		err = core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag);
	if (err == PBX_OK) {
		const int left = allocations_left;

		allocations_left = INT32_MAX; /* Check needs some */
		write_file("pbx.yml", texts[1]);
		allocations_left = left;
		err = core_settings_reload(&diag);
		allocations_left = INT32_MAX;
		ck_assert_uint_eq(lot()->tls_port, err == PBX_OK ? 5061 : 5);
	}
	allocations_left = INT32_MAX;
	ck_assert(err == PBX_OK || err == PBX_ENOMEM);
	core_settings_fini();
	return err == PBX_OK;
}

START_TEST(without_memory_a_change_does_not_happen)
{
	int needed = 0;

	setup("");
	core_settings_fini();
	cJSON_InitHooks(&(cJSON_Hooks){ __wrap_malloc, free });
	while (!live_with(needed))
		needed++;
	ck_assert_int_gt(needed, 60);
	cJSON_InitHooks(NULL);
	core_log_fini();
	remove_folder(folder);
}
END_TEST

CHECK_MAIN("settings", what_no_file_says_has_its_default, a_file_says_every_type, a_dotted_key_is_a_nested_one,
	   conf_d_is_read_in_order_of_name_and_the_later_wins, environment_and_files_are_put_in,
	   a_systemd_credential_goes_before_the_file_of_that_name, a_mistake_is_told_with_its_place_and_its_cure,
	   where_lines_are_meant_they_are_taken, a_secret_of_the_wrong_kind_is_not_repeated, what_is_needed_has_to_be_said,
	   a_missing_file_is_told_by_the_first_declare, a_row_that_would_write_outside_its_structure_is_refused,
	   rows_of_an_older_and_a_newer_plugin_are_read, a_reload_asks_those_whose_settings_differ_and_only_those,
	   when_one_refuses_the_others_get_their_old_settings_back, a_bad_file_changes_nothing,
	   a_misspelt_section_changes_nothing_and_a_strange_one_is_a_warning,
	   a_successor_takes_the_section_over_and_the_old_instance_reads_on, what_acts_at_a_restart_waits_for_it_and_is_told,
	   a_successor_takes_the_section_over_and_the_old_instance_reads_on,
	   a_bracket_that_is_not_closed_is_told_with_its_cure_and_a_near_section_is_named,
	   a_successor_takes_the_section_over_and_the_old_instance_reads_on, values_stay_readable_until_the_second_change,
	   a_successor_takes_the_section_over_and_the_old_instance_reads_on, a_successor_that_does_not_fit_leaves_the_section_alone,
	   without_memory_a_change_does_not_happen)
