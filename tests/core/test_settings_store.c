/* tests/core/test_settings_store.c - settings kept in the store: revisions, undo, secrets, refusals; on each engine */
#include <string.h>
#include <unistd.h>
#include "bus.h"
#include "json.h"
#include "loop.h"
#include "owner.h"
#include "schema.h"
#include "secrets.h"
#include "settings.h"
#include "store.h"
#include "store_fixture.h"

struct lot {
	uint32_t range_start, recall_ms;
	const char *label, *password;
	struct pbx_list listen;
};

static const struct pbx_setting rows[] = {
	PBX_UINT(struct lot, range_start, .initial = 70, .least = 1, .most = 9999, .help = "First slot"),
	PBX_UINT(struct lot, recall_ms, .initial = 60000, .least = 1000, .most = 3600000, .help = "Ring back after"),
	PBX_TEXT(struct lot, label, .initial_text = "Lot", .help = "Name"),
	PBX_SECRET(struct lot, password, .initial_text = "", .help = "Known to few"),
	PBX_LIST(struct lot, listen, .initial_text = "", .help = "Where"),
};

static const struct pbx_event_type types[] = { { "settings.changed", "Settings are others now", { 0 } } };

static char file[160], key_file[160], heard[512];
static bool refuses;
static pbx_subscription subscription;

static const struct lot *lot(void)
{
	return core_settings_get("lot");
}

static int accept_lot(void *context, const void *proposed, struct pbx_diag *diag)
{
	(void)context, (void)proposed;
	if (refuses)
		pbx_diag_set(diag, "", "not now");
	return refuses ? PBX_EBUSY : PBX_OK;
}

static void hear(void *self, const struct pbx_event *event)
{
	char *text = core_json_print(event->data);
	size_t used = strlen(heard);

	(void)self;
	(void)snprintf(heard + used, sizeof heard - used, "%s", text);
	core_json_free_text(text);
}

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	ck_assert_msg(result == PBX_OK, "%s", diag->text);
	*(bool *)context = true;
}

static void on_attached(void *context, int result)
{
	ck_assert_int_eq(result, PBX_OK);
	*(bool *)context = true;
}

static void begin_settings(void)
{
	const struct pbx_table table = PBX_TABLE(rows);
	struct pbx_diag diag = { 0 };
	bool attached = false;

	ck_assert_int_eq(core_settings_init(file), PBX_OK);
	ck_assert_int_eq(core_settings_declare("lot", &table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_int_eq(core_settings_on_change("lot", accept_lot, NULL), PBX_OK);
	core_settings_attach_store(on_attached, &attached);
	wait_for(&attached);
}

static void end_settings(void)
{
	core_settings_detach_store();
	core_settings_fini();
}

static void start(int engine, const char *text)
{
	const struct pbx_table events = PBX_TABLE(types);
	bool migrated = false, bus_attached = false;
	FILE *out;

	store_fixture_start(engine);
	/* The fixture's folder is the one the journal is in. */
	(void)snprintf(file, sizeof file, "%.*s/pbx.yml", (int)(strrchr(store_fixture_journal(), '/') - store_fixture_journal()),
		       store_fixture_journal());
	(void)snprintf(key_file, sizeof key_file, "%.100s.key", file);
	out = fopen(file, "w");
	ck_assert_int_ge(fputs(text, out), 0);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(core_secrets_init(key_file), PBX_OK);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	ck_assert_int_eq(core_bus_declare(core_self(), &events, NULL), PBX_OK);
	core_store_migrate("core", &CORE_SCHEMA_TABLE, on_migrated, &migrated);
	wait_for(&migrated);
	core_bus_attach_store(on_attached, &bus_attached);
	wait_for(&bus_attached);
	heard[0] = '\0';
	refuses = false;
	ck_assert_int_eq(core_bus_service.subscribe(core_self(), "settings.*", hear, NULL, &subscription), PBX_OK);
	begin_settings();
}

static void stop(void)
{
	end_settings();
	ck_assert_int_eq(core_bus_service.unsubscribe(subscription), PBX_OK);
	core_bus_undeclare(core_self());
	core_store_fini(5000);
	core_bus_fini();
	core_secrets_fini();
	store_fixture_stop();
}

/* ---- a change and its answer --------------------------------------------------------------------- */

static struct answer {
	bool here;
	int result;
	int64_t revision;
	struct pbx_diag diag;
} last;

static void on_changed(void *context, int result, const struct pbx_diag *diag, int64_t revision, const struct pbx_json *changed)
{
	struct answer *answer = context;

	ck_assert(!answer->here);
	ck_assert_int_eq(changed != NULL, result == PBX_OK);
	*answer = (struct answer){ true, result, revision, *diag };
}

static int set(const char *path, const char *value)
{
	last = (struct answer){ 0 };
	core_settings_set("alice", path, value, on_changed, &last);
	wait_for(&last.here);
	return last.result;
}

static int undo(int64_t revision)
{
	last = (struct answer){ 0 };
	core_settings_undo("bob", revision, on_changed, &last);
	wait_for(&last.here);
	return last.result;
}

static const char *origin(const char *path)
{
	static char text[16];
	struct pbx_json *shown = core_settings_show(path);

	(void)snprintf(text, sizeof text, "%s", core_json_text(core_json_get(core_json_at(shown, 0), "origin")));
	core_json_free(shown);
	return text;
}

/* ---- tests ------------------------------------------------------------------------------------------ */

START_TEST(what_was_set_is_there_after_a_restart)
{
	start(_i, "");
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_OK);
	ck_assert_int_eq(last.revision, 1);
	ck_assert_int_eq(set("lot.listen", "[a, \"b, c\"]"), PBX_OK);
	ck_assert_int_eq(set("lot.label", "[not: yaml"), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 80);
	end_settings();
	begin_settings();
	ck_assert_uint_eq(lot()->range_start, 80);
	ck_assert_uint_eq(lot()->listen.count, 2);
	ck_assert_str_eq(lot()->listen.items[1], "b, c");
	ck_assert_str_eq(lot()->label, "[not: yaml");
	ck_assert_uint_eq(lot()->recall_ms, 60000);
	ck_assert_str_eq(origin("lot.range_start"), "store");
	ck_assert_str_eq(origin("lot.recall_ms"), "default");
	ck_assert_int_eq(set("lot.range_start", "81"), PBX_OK);
	ck_assert_int_eq(last.revision, 4);
	stop();
}
END_TEST

START_TEST(a_plugin_that_comes_later_finds_its_stored_values)
{
	const struct pbx_table table = PBX_TABLE(rows);
	struct pbx_diag diag = { 0 };

	start(_i, "");
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_OK);
	core_settings_undeclare("lot");
	ck_assert_int_eq(core_settings_declare("lot", &table, sizeof(struct lot), &diag), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 80);
	stop();
}
END_TEST

START_TEST(an_undo_is_a_revision_with_the_old_values)
{
	start(_i, "");
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_OK);
	ck_assert_int_eq(set("lot.range_start", "90"), PBX_OK);
	ck_assert_int_eq(undo(2), PBX_OK);
	ck_assert_int_eq(last.revision, 3);
	ck_assert_uint_eq(lot()->range_start, 80);
	ck_assert_int_eq(undo(1), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 70);
	ck_assert_str_eq(origin("lot.range_start"), "default");
	ck_assert_int_eq(undo(3), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 90);
	ck_assert_int_eq(undo(99), PBX_ENOENT);
	ck_assert_int_eq(undo(0), PBX_ENOENT);
	ck_assert_str_eq(ask("SELECT revision, actor, undoes FROM settings_revisions ORDER BY revision"),
			 "1|alice|~;2|alice|~;3|bob|2;4|bob|1;5|bob|3");
	ck_assert_str_eq(ask("SELECT path, value FROM settings_values"), "lot.range_start|90");
	stop();
}
END_TEST

START_TEST(nothing_set_is_the_default_again)
{
	start(_i, "");
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_OK);
	ck_assert_int_eq(set("lot.range_start", NULL), PBX_OK);
	ck_assert_uint_eq(lot()->range_start, 70);
	ck_assert_str_eq(ask("SELECT path FROM settings_values"), "");
	stop();
}
END_TEST

START_TEST(what_a_file_pins_cannot_be_set)
{
	char said[400];

	start(_i, "lot:\n  # pinned\n  range_start: 5\n");
	(void)snprintf(said, sizeof said, "lot.range_start: pinned by %s:3, change it there", file);
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_EPERM);
	ck_assert_str_eq(last.diag.text, said);
	ck_assert_uint_eq(lot()->range_start, 5);
	ck_assert_int_eq(set("lot.label", "x"), PBX_OK);
	stop();
}
END_TEST

START_TEST(a_wrong_value_is_refused_in_the_words_of_a_file)
{
	static const struct {
		const char *path, *value, *said;
		int result;
	} cases[] = {
		{ "lot.recall_ms", "5", "lot.recall_ms: expected a whole number from 1000 to 3600000, found \"5\"", PBX_EINVAL },
		{ "lot.recal_ms", "5", "lot.recal_ms: unknown setting, did you mean lot.recall_ms?", PBX_ENOENT },
		{ "lto.label", "5", "lto.label: unknown setting, did you mean lot.label?", PBX_ENOENT },
		{ "lot", "5", "lot: unknown setting", PBX_ENOENT },
		{ "lot.listen", "[a", "lot.listen: a list in [ ] is not finished here: put , between its values and ] behind the last",
		  PBX_EINVAL },
		{ "lot.listen", "[&a b]",
		  "lot.listen: anchors (&name) and aliases (*name) are not accepted here: write the value out, or put it in quotes",
		  PBX_EINVAL },
		{ "lot.label", "a\xFF", "lot.label: expected a text, found \"a?\"", PBX_EINVAL },
	};

	start(_i, "");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ck_assert_int_eq(set(cases[i].path, cases[i].value), cases[i].result);
		ck_assert_str_eq(last.diag.text, cases[i].said);
	}
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM settings_revisions"), "0");
	ck_assert_str_eq(heard, "");
	stop();
}
END_TEST

START_TEST(a_typed_value_reads_neither_environment_nor_files)
{
	start(_i, "");
	ck_assert_int_eq(set("lot.label", "${env:HOME} ${file:/etc/passwd}"), PBX_OK);
	ck_assert_str_eq(lot()->label, "${env:HOME} ${file:/etc/passwd}");
	stop();
}
END_TEST

START_TEST(an_owner_that_refuses_keeps_its_values_and_nothing_is_written)
{
	start(_i, "");
	refuses = true;
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_EBUSY);
	ck_assert_str_eq(last.diag.text, "lot refused: not now");
	ck_assert_uint_eq(lot()->range_start, 70);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM settings_revisions"), "0");
	stop();
}
END_TEST

START_TEST(what_cannot_be_written_is_taken_back)
{
	start(_i, "");
	ck_assert_str_eq(ask("DROP TABLE settings_changes"), "");
	ck_assert_int_ne(set("lot.range_start", "80"), PBX_OK);
	ck_assert_int_eq(strncmp(last.diag.text, "not stored, nothing has changed", 31), 0);
	ck_assert_uint_eq(lot()->range_start, 70);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM settings_values"), "0");
	stop();
}
END_TEST

START_TEST(another_node_that_was_first_wins_and_is_read)
{
	start(_i, "");
	ck_assert_str_eq(ask("INSERT INTO settings_revisions VALUES (1, 5, 'other node', NULL)"), "");
	ck_assert_str_eq(ask("INSERT INTO settings_values VALUES ('lot.recall_ms', '7000', 0, 1)"), "");
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_EBUSY);
	ck_assert_uint_eq(lot()->range_start, 70);
	ck_assert_uint_eq(lot()->recall_ms, 7000);
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_OK);
	ck_assert_int_eq(last.revision, 2);
	stop();
}
END_TEST

START_TEST(a_secret_is_sealed_and_never_shown)
{
	bool shown_any;
	struct pbx_json *shown;
	char *text;

	start(_i, "");
	ck_assert_int_eq(set("lot.password", "hunter2"), PBX_OK);
	ck_assert_int_eq(set("lot.password", "hunter3"), PBX_OK);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM settings_values WHERE value LIKE 'v1:%' AND sealed = 1"), "1");
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM settings_changes WHERE old_value LIKE '%hunter%' OR new_value LIKE '%hunter%'"), "0");
	shown = core_settings_show("lot");
	text = core_json_print(shown);
	shown_any = strstr(text, "hunter") || strstr(text, "v1:");
	ck_assert(!shown_any);
	core_json_free_text(text);
	core_json_free(shown);
	end_settings();
	begin_settings();
	ck_assert_str_eq(lot()->password, "hunter3");
	ck_assert_int_eq(undo(2), PBX_OK);
	ck_assert_str_eq(lot()->password, "hunter2");
	stop();
}
END_TEST

START_TEST(a_stored_value_that_no_longer_fits_is_left_out)
{
	start(_i, "");
	ck_assert_str_eq(ask("INSERT INTO settings_values VALUES ('lot.recall_ms', '5', 0, 1)"), "");
	ck_assert_str_eq(ask("INSERT INTO settings_values VALUES ('lot.password', 'v1:AAAA', 1, 1)"), "");
	ck_assert_str_eq(ask("INSERT INTO settings_values VALUES ('gone.plugin', '5', 0, 1)"), "");
	ck_assert_str_eq(ask("INSERT INTO settings_values VALUES ('lot.label', 'kept', 0, 1)"), "");
	end_settings();
	begin_settings();
	ck_assert_uint_eq(lot()->recall_ms, 60000);
	ck_assert_str_eq(lot()->password, "");
	ck_assert_str_eq(lot()->label, "kept");
	stop();
}
END_TEST

START_TEST(changes_wait_for_each_other_and_the_bus_hears_of_each)
{
	struct answer answers[3] = { 0 };

	start(_i, "");
	core_settings_set("alice", "lot.range_start", "80", on_changed, &answers[0]);
	core_settings_undo("bob", 1, on_changed, &answers[1]);
	core_settings_set("alice", "lot.label", "x", on_changed, &answers[2]);
	for (int i = 0; i < 3; i++) {
		wait_for(&answers[i].here);
		ck_assert_int_eq(answers[i].result, PBX_OK);
		ck_assert_int_eq(answers[i].revision, i + 1);
	}
	core_loop_settle();
	ck_assert_str_eq(heard, "{\"revision\":1,\"actor\":\"alice\",\"paths\":[\"lot.range_start\"]}"
				"{\"revision\":2,\"actor\":\"bob\",\"paths\":[\"lot.range_start\"]}"
				"{\"revision\":3,\"actor\":\"alice\",\"paths\":[\"lot.label\"]}");
	stop();
}
END_TEST

static void on_history(void *context, struct pbx_json *taken)
{
	char *text = core_json_print(taken);

	(void)snprintf(heard, sizeof heard, "%s", text ? text : "");
	core_json_free_text(text);
	*(bool *)context = core_json_count(taken) == 2;
	core_json_free(taken);
}

START_TEST(history_tells_who_changed_what)
{
	bool here = false;

	start(_i, "");
	ck_assert_int_eq(set("lot.range_start", "80"), PBX_OK);
	ck_assert_int_eq(set("lot.password", "hunter2"), PBX_OK);
	ck_assert_int_eq(undo(1), PBX_OK);
	core_settings_history(2, on_history, &here);
	wait_for(&here);
	ck_assert_ptr_nonnull(strstr(heard, "\"actor\":\"bob\",\"undoes\":1,\"path\":\"lot.range_start\",\"from\":\"80\",\"to\":null}"));
	ck_assert_ptr_nonnull(strstr(heard, "\"actor\":\"alice\",\"path\":\"lot.password\",\"from\":null,\"to\":\"(set)\"}"));
	stop();
}
END_TEST

START_TEST(what_waits_at_the_end_is_cancelled)
{
	struct answer answers[2] = { 0 };

	start(_i, "");
	core_settings_set("alice", "lot.range_start", "80", on_changed, &answers[0]);
	core_settings_set("alice", "lot.range_start", "81", on_changed, &answers[1]);
	core_settings_detach_store();
	ck_assert_int_eq(answers[1].result, PBX_ECANCELLED);
	ck_assert_int_eq(set("lot.label", "x"), PBX_ESTATE);
	wait_for(&answers[0].here);
	ck_assert_int_eq(answers[0].result, PBX_OK);
	stop();
}
END_TEST

STORE_MAIN("settings_store", what_was_set_is_there_after_a_restart, a_plugin_that_comes_later_finds_its_stored_values,
	   an_undo_is_a_revision_with_the_old_values, nothing_set_is_the_default_again, what_a_file_pins_cannot_be_set,
	   a_wrong_value_is_refused_in_the_words_of_a_file, a_typed_value_reads_neither_environment_nor_files,
	   an_owner_that_refuses_keeps_its_values_and_nothing_is_written, what_cannot_be_written_is_taken_back,
	   another_node_that_was_first_wins_and_is_read, a_secret_is_sealed_and_never_shown, a_stored_value_that_no_longer_fits_is_left_out,
	   changes_wait_for_each_other_and_the_bus_hears_of_each, history_tells_who_changed_what, what_waits_at_the_end_is_cancelled)
