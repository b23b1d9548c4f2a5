/* tests/core/test_host.c - real plugins, good ones and bad ones, in a host whose clock moves when told */
#include "../check_main.h"
#include "asking.h"
#include "bus.h"
#include "host_internal.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "parts.h"
#include "schema.h"
#include "settings.h"
#include "store.h"
#include "timer.h"
#include <check.h>
#include <pbx/build.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static struct answer answer;
static char root[64], folder[80], diary[80], config[80], database[80], journal[80], said[16384];
static struct core_log_reader *reader;
static bool loaded_all, stopped_all;

/* ---- the house ------------------------------------------------------------------------ */

static void on_line(void *context, const char *line)
{
	size_t used = strlen(said);

	(void)context;
	(void)snprintf(said + used, sizeof said - used, "%s\n", line);
}

static void write_config(const char *text)
{
	FILE *file = fopen(config, "w");

	ck_assert_ptr_nonnull(file);
	(void)fprintf(file, "%s", text);
	ck_assert_int_eq(fclose(file), 0);
}

static void offer_services(void)
{
	ck_assert_int_eq(core_host_offer("pbx.timers/1", &core_timers_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.json/1", &core_json_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.requests/1", &core_requests_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.bus/1", &core_bus_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.metrics/1", &core_metrics_service), PBX_OK);
}

static void on_store_up(void *context, int result, const char *reason)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "%s", reason);
}

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "%s", diag->text);
}

static void on_bus_attached(void *context, int result)
{
	(void)context;
	ck_assert_int_eq(result, PBX_OK);
}

static void open_store(void)
{
	const struct pbx_table schema = { core_schema, core_schema_count, sizeof core_schema[0] };
	const struct core_store_config store = {
		.engine = "sqlite",
		.file = database,
		.url = "",
		.journal_dir = journal,
		.readers = 1,
		.pool = 1,
		.statement_timeout_ms = 5000,
	};

	ck_assert_int_eq(mkdir(journal, 0700), 0);
	ck_assert_int_eq(core_store_init(&store, on_store_up, NULL), PBX_OK);
	core_loop_settle();
	core_store_migrate("core", &schema, on_migrated, NULL);
	core_loop_settle();
	core_bus_attach_store(on_bus_attached, NULL);
	core_loop_settle();
}

static void set_up(void)
{
	(void)snprintf(root, sizeof root, "/tmp/test-host-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	(void)snprintf(folder, sizeof folder, "%s/plugins", root);
	(void)snprintf(diary, sizeof diary, "%s/diary", root);
	(void)snprintf(config, sizeof config, "%s/pbx.yml", root);
	(void)snprintf(database, sizeof database, "%s/pbx.db", root);
	(void)snprintf(journal, sizeof journal, "%s/journal", root);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	ck_assert_int_eq(setenv("TMPDIR", root, 1), 0);
	write_config("{}\n");

	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	reader = core_log_follow(0, PBX_LOG_DEBUG, NULL, on_line, NULL);
	ck_assert_int_eq(core_settings_init(config), PBX_OK);
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	ck_assert_int_eq(core_metrics_init(), PBX_OK);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	open_store();
	ck_assert_int_eq(core_host_init(), PBX_OK);
	core_host_use_probe(PLUGIN_PROBE, 5000);
	offer_services();
	ck_assert_int_eq(core_host_add_part(&core_part, NULL), PBX_OK);
}

static void on_stopped_all(void *context)
{
	(void)context;
	stopped_all = true;
}

static void remove_tree(const char *path)
{
	DIR *entries = opendir(path);
	char inner[512];

	for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
		(void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && unlink(inner) != 0)
			remove_tree(inner);
	}
	if (entries)
		(void)closedir(entries);
	(void)rmdir(path);
}

static uint32_t copies_left(void)
{
	DIR *entries = opendir(root);
	uint32_t count = 0;

	for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
		count += !strncmp(entry->d_name, "pbx-plugins-", 12);
	if (entries)
		(void)closedir(entries);
	return count;
}

/* Nothing may be left of what was loaded: no timer, no route, no copy of a file. */
static void tear_down(void)
{
	answer_clear(&answer);
	core_host_stop_all(on_stopped_all, NULL);
	core_loop_settle();
	ck_assert(stopped_all);
	core_host_fini();
	ck_assert_uint_eq(copies_left(), 0);
	core_bus_fini();
	core_store_fini(1000);
	core_metrics_fini();
	core_requests_fini();
	core_settings_fini();
	core_log_unfollow(reader);
	ck_assert_uint_eq(core_timer_count(), 0);
	core_loop_fini();
	core_log_fini();
	remove_tree(root);
}

/* ---- what tests do -------------------------------------------------------------------- */

static void install_as(const char *plugin, const char *name)
{
	char from[512], to[512], buffer[8192];

	(void)snprintf(from, sizeof from, "%s/%s.so", TEST_PLUGINS, plugin);
	(void)snprintf(to, sizeof to, "%s/%s.so", folder, name);
	(void)unlink(to);
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");
	ck_assert_msg(in && out, "%s: cannot be installed", from);
	for (size_t got; (got = fread(buffer, 1, sizeof buffer, in)) > 0;)
		ck_assert_uint_eq(fwrite(buffer, 1, got, out), got);
	ck_assert_int_eq(fclose(in), 0);
	ck_assert_int_eq(fclose(out), 0);
}

static void install(const char *name)
{
	install_as(name, name);
}

static void on_loaded_all(void *context)
{
	(void)context;
	ck_assert(!loaded_all);
	loaded_all = true;
}

static void load_all_but(const struct pbx_list *disable)
{
	const char *const path[] = { folder };

	loaded_all = false;
	ck_assert_int_eq(core_host_load_all(path, 1, disable, on_loaded_all, NULL), PBX_OK);
	core_loop_settle();
}

static void load_all(void)
{
	load_all_but(NULL);
	ck_assert(loaded_all);
}

static const struct core_plugin *plugin(const char *name)
{
	const struct core_plugin *found = core_plugin_find(name);

	ck_assert_msg(found != NULL, "%s is not known", name);
	return found;
}

static void check_runs(const char *name)
{
	ck_assert_msg(plugin(name)->state == CORE_PLUGIN_RUNNING, "%s: %s", name, plugin(name)->refusal.reason);
}

static const char *state_of(const char *name)
{
	return core_plugin_state_name(plugin(name)->state);
}

static const char *diary_text(void)
{
	static char text[256];
	FILE *file = fopen(diary, "r");
	size_t got = file ? fread(text, 1, sizeof text - 1, file) : 0;

	text[got] = '\0';
	if (file)
		(void)fclose(file);
	return text;
}

/* A command that is answered later, too. */
static void run(const char *line)
{
	tell(&answer, line);
	core_loop_settle();
}

/* How often a text stands in what was logged. */
static uint32_t times_said(const char *text)
{
	uint32_t count = 0;

	core_loop_settle();
	for (const char *at = said; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

/* ---- bad files ------------------------------------------------------------------------ */

static const struct {
	const char *name, *reason, *cure;
} bad_plugins[] = {
	{ "wrong_major", "made for ABI 7.", "install a newer pbxd" },
	{ "newer_minor", "made for ABI 0.99", "install a newer pbxd" },
	{ "older_minor", "made for ABI 0.0", "build it again" },
	{ "no_magic", "is not a descriptor", "remove it" },
	{ "tiny_card", "its descriptor has 24 bytes", "build it again" },
	{ "small_instance", "does not begin with PBX_INSTANCE", "build it again" },
	{ "draft_of_theirs", "uses the draft pbx.lab.future/1 and is of build 0.1.0-somewhere, this is " PBX_BUILD, "came with this pbxd" },
	{ "draft_offered", "uses the draft pbx.lab.future/1 and is of build unknown", "build it again" },
	{ "no_symbol", "exports no symbol pbx_plugin", "remove it" },
	{ "undefined", "undefined symbol: nobody_has_this", "build it again" },
	{ "misnamed", "called misnamed.so but is the plugin 'somebody_else'", "name the file" },
	{ "lonely", "needs pbx.nobody/1", "load what offers it" },
	{ "crasher", "crashed (Segmentation fault) while its check ran", "report it" },
	{ "explosive", "crashed (Illegal instruction) while it was loaded", "report it" },
	{ "talker", "ended the process while it was loaded", "report it" },
	{ "quitter", "ended the process while its check ran", "report it" },
	{ "refuser", "the licence file is missing 'ask' for one", "README" },
	{ "load_fails", "its load failed", "logged before" },
	{ "start_fails", "its start failed", "logged before" },
	{ "circle_a", "circle_a needs circle_b", "remove one" },
};

START_TEST(a_bad_plugin_is_one_line_and_the_others_start)
{
	const char *name = bad_plugins[_i].name;

	install("plain");
	install(name);
	if (!strncmp(name, "circle", 6)) {
		install("circle_b");
		install("circle_c");
	}
	load_all();
	check_runs("plain");
	ck_assert_str_eq(state_of(name), "failed");
	ck_assert_msg(strstr(plugin(name)->refusal.reason, bad_plugins[_i].reason) != NULL, "%s", plugin(name)->refusal.reason);
	ck_assert_msg(strstr(plugin(name)->refusal.cure, bad_plugins[_i].cure) != NULL, "%s", plugin(name)->refusal.cure);
	ck_assert_ptr_null(plugin(name)->instances);

	char file[128];
	(void)snprintf(file, sizeof file, "/%s.so\",\"reason\"", name);
	ck_assert_uint_eq(times_said(file), 1);
	ck_assert_uint_eq(times_said("never_seen"), 0);
}
END_TEST

START_TEST(what_is_no_shared_object_is_refused)
{
	static const char *const contents[] = { "", "#!/bin/sh\n", "\177ELF" };
	char path[128];

	(void)snprintf(path, sizeof path, "%s/text.so", folder);
	FILE *file = fopen(path, "w");
	ck_assert(file && fputs(contents[_i], file) >= 0 && fclose(file) == 0);
	load_all();
	ck_assert_str_eq(plugin("text")->refusal.reason, "it is not a shared object");
}
END_TEST

START_TEST(a_check_that_hangs_is_given_up_and_nobody_has_waited_for_it)
{
	const char *const path[] = { folder };
	uint64_t begun_us = core_clock_us();

	core_host_use_probe(PLUGIN_PROBE, 2000);
	install("sleeper");
	ck_assert_int_eq(core_host_load_all(path, 1, NULL, on_loaded_all, NULL), PBX_OK);
	core_loop_step();
	ck_assert_uint_lt(core_clock_us() - begun_us, 1000000); /* it has two seconds: the loop has gone on */
	core_loop_settle();
	ck_assert_str_eq(plugin("sleeper")->refusal.reason, "nothing came for 2 seconds while its check ran");
	ck_assert_ptr_nonnull(strstr(plugin("sleeper")->refusal.cure, "report it"));
}
END_TEST

START_TEST(a_probe_that_is_missing_is_named)
{
	core_host_use_probe("/nonexistent/pbx-plugin-probe", 5000);
	install("plain");
	load_all();
	ck_assert_str_eq(plugin("plain")->refusal.reason, "it cannot be tried, /nonexistent/pbx-plugin-probe: No such file or directory");
	ck_assert_ptr_nonnull(strstr(plugin("plain")->refusal.cure, "install the packages"));
}
END_TEST

START_TEST(what_is_no_file_is_refused_and_not_waited_for)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/pipe.so", folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof path, "%s/folder.so", folder);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	load_all();
	ck_assert_str_eq(plugin("pipe")->refusal.reason, "it is not a file");
	ck_assert_str_eq(plugin("folder")->refusal.reason, "it is not a file");
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(a_file_cut_short_is_refused)
{
	char path[128];

	install("plain");
	(void)snprintf(path, sizeof path, "%s/plain.so", folder);
	ck_assert_int_eq(truncate(path, 3000), 0);
	load_all();
	ck_assert_str_eq(state_of("plain"), "failed");
}
END_TEST

START_TEST(a_circle_is_named_once_for_each_in_it)
{
	install("circle_a");
	install("circle_b");
	install("circle_c");
	load_all();
	ck_assert_ptr_nonnull(
		strstr(plugin("circle_b")->refusal.reason, "needs circle_c, circle_c needs circle_a, circle_a needs circle_b"));
}
END_TEST

START_TEST(what_can_do_without_opens_a_circle)
{
	install("polite_a");
	install("polite_b");
	load_all();
	check_runs("polite_a");
	check_runs("polite_b");
	ck_assert_uint_lt(plugin("polite_a")->current->order, plugin("polite_b")->current->order);
}
END_TEST

START_TEST(shorter_and_longer_descriptors_are_read_as_far_as_both_know)
{
	install("short_card");
	install("long_card");
	load_all();
	check_runs("short_card"); /* what lies behind its end would crash when called */
	check_runs("long_card");
}
END_TEST

START_TEST(versions_fit_as_promised)
{
	struct core_refusal refusal;
	struct pbx_header header = PBX_HEADER(struct pbx_plugin);

	header.abi_major = 1;
	header.abi_minor = 3;
	ck_assert(core_abi_fits(&header, 1, 3, &refusal));
	ck_assert(core_abi_fits(&header, 1, 4, &refusal));
	ck_assert(!core_abi_fits(&header, 1, 2, &refusal));
	ck_assert(!core_abi_fits(&header, 2, 3, &refusal));
	header.abi_major = 0;
	ck_assert(core_abi_fits(&header, 0, 3, &refusal));
	ck_assert(!core_abi_fits(&header, 0, 4, &refusal));
}
END_TEST

START_TEST(a_draft_is_for_plugins_of_the_same_build_and_the_rest_is_for_all)
{
	install("draft_of_ours");
	install("plain_of_theirs");
	load_all();
	check_runs("draft_of_ours");
	check_runs("plain_of_theirs");
}
END_TEST

START_TEST(a_disabled_plugin_is_not_even_tried)
{
	const char *const names[] = { "crasher" };

	install("crasher");
	install("plain");
	load_all_but(&(struct pbx_list){ names, 1 });
	ck_assert_str_eq(state_of("crasher"), "disabled");
	check_runs("plain");
}
END_TEST

START_TEST(no_folder_is_a_warning_and_an_empty_house)
{
	const char *const path[] = { "/nonexistent/plugins" };

	ck_assert_int_eq(core_host_load_all(path, 1, NULL, on_loaded_all, NULL), PBX_OK);
	core_loop_settle();
	ck_assert(loaded_all);
}
END_TEST

/* ---- good ones ------------------------------------------------------------------------ */

START_TEST(a_plugin_lives_from_load_to_unload)
{
	char text[256];

	(void)snprintf(text, sizeof text, "good:\n  diary: %s\n  greeting: ahoy\n", diary);
	write_config(text);
	ck_assert_int_eq(core_settings_reload(NULL), PBX_OK);
	install_as("good_1", "good");
	load_all();
	check_runs("good");
	core_loop_pass_ms(2500);
	run("good publish");
	ck_assert_uint_eq(answer.status, 204);
	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "version"), "1.0.0");
	ck_assert_str_eq(answer_at(&answer, "greeting"), "ahoy");
	ck_assert_str_eq(answer_at(&answer, "ticks"), "2");
	ck_assert_str_eq(answer_at(&answer, "events"), "1");
	ask(&answer, "GET", "/good", NULL, NULL);
	ck_assert_uint_eq(answer.status, 200);

	run("plugin unload good");
	ck_assert_uint_eq(answer.status, 204);
	ck_assert_str_eq(diary_text(), "L1.0.0 S1.0.0 X1.0.0 U1.0.0 ");
	run("good tell");
	ck_assert_uint_eq(answer.status, 404);
	ask(&answer, "GET", "/good", NULL, NULL);
	ck_assert_uint_eq(answer.status, 404);
	ck_assert_ptr_null(core_settings_get("good"));
	ck_assert_ptr_null(plugin("good")->instances);

	run("plugin load good");
	ck_assert_uint_eq(answer.status, 204);
	check_runs("good");
}
END_TEST

START_TEST(the_check_sees_the_settings_of_the_file)
{
	write_config("good:\n  greeting: refuse\n");
	ck_assert_int_eq(core_settings_reload(NULL), PBX_OK);
	install_as("good_1", "good");
	load_all();
	ck_assert_str_eq(plugin("good")->refusal.reason, "a greeting is not to be 'refuse'");
	ck_assert_ptr_null(core_settings_get("good")); /* the trial's declaration is its own */
}
END_TEST

START_TEST(settings_that_do_not_fit_are_told_before_any_code_runs)
{
	write_config("good:\n  greting: hi\n");
	ck_assert_int_eq(core_settings_reload(NULL), PBX_OK);
	install_as("good_1", "good");
	load_all();
	ck_assert_str_eq(state_of("good"), "failed");
	ck_assert_ptr_nonnull(strstr(plugin("good")->refusal.reason, "greeting"));
}
END_TEST

START_TEST(new_settings_are_offered_and_may_be_refused)
{
	struct pbx_diag diag = { 0 };

	install_as("good_1", "good");
	load_all();
	write_config("good:\n  greeting: moin\n");
	ck_assert_int_eq(core_settings_reload(&diag), PBX_OK);
	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "greeting"), "moin");
	write_config("good:\n  greeting: \"no\"\n");
	ck_assert_int_ne(core_settings_reload(&diag), PBX_OK);
	ck_assert_ptr_nonnull(strstr(diag.text, "no is no greeting"));
	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "greeting"), "moin");
}
END_TEST

START_TEST(a_failed_start_leaves_nothing_behind)
{
	install("start_fails");
	uint32_t timers = core_timer_count();
	load_all();
	ck_assert_uint_eq(core_timer_count(), timers);
	core_loop_pass_ms(100); /* its timer would crash */
}
END_TEST

START_TEST(a_late_load_is_waited_for_ten_seconds)
{
	install("late");
	install("late_fails");
	install("too_late");
	install("plain");
	load_all_but(NULL);
	ck_assert(!loaded_all);
	core_loop_pass_ms(20000);
	ck_assert(loaded_all);
	check_runs("late");
	check_runs("plain");
	ck_assert_str_eq(plugin("late_fails")->refusal.reason, "its load failed: the file is damaged");
	ck_assert_str_eq(plugin("too_late")->refusal.reason, "its load was not ready within 10 seconds");
}
END_TEST

/* ---- services ------------------------------------------------------------------------- */

START_TEST(a_service_goes_from_provider_to_consumer_in_order_of_need)
{
	install_as("good_1", "good");
	install("taker");
	load_all();
	ck_assert_uint_lt(plugin("good")->current->order, plugin("taker")->current->order);
	run("taker ask");
	ck_assert_str_eq(answer_at(&answer, "gift"), "hello");
	ck_assert_str_eq(answer_at(&answer, "has_later"), "false");
	ck_assert_str_eq(answer_at(&answer, "has_undeclared"), "false");

	run("plugin unload good");
	ck_assert_uint_eq(answer.status, 409);
	ck_assert_str_eq(answer_at(&answer, "detail"), "good: taker needs it, unload that first");
}
END_TEST

START_TEST(an_optional_provider_may_come_and_go)
{
	install_as("modest_taker", "taker");
	load_all();
	run("taker ask");
	ck_assert_str_eq(answer_at(&answer, "gift"), "nobody");
	install_as("good_1", "good");
	run("plugin load good");
	ck_assert_uint_eq(answer.status, 204);
	run("taker ask");
	ck_assert_str_eq(answer_at(&answer, "gift"), "hello");
	run("plugin unload good");
	run("taker ask");
	ck_assert_str_eq(answer_at(&answer, "gift"), "nobody");
}
END_TEST

static uint32_t counted;

static void count(void *context, const void *table)
{
	const struct pbx_timers *timers = table;

	ck_assert_ptr_eq(context, &counted);
	ck_assert(timers->start == core_timers_service.start);
	counted++;
}

START_TEST(the_daemon_sees_services_too)
{
	const struct pbx_timers *timers = core_host_service("pbx.timers/1", sizeof *timers);
	const struct pbx_timers *nobody = core_host_service("pbx.nobody/1", sizeof *nobody);

	ck_assert(timers->start == core_timers_service.start);
	ck_assert_ptr_nonnull(nobody);
	ck_assert(nobody->start == NULL);
	core_host_each_service("pbx.timers/1", sizeof *timers, count, &counted);
	ck_assert_uint_eq(counted, 1);
	ck_assert_int_eq(core_host_offer("pbx.timers/1", &core_timers_service), PBX_EEXIST);
}
END_TEST

/* ---- unload and upgrade --------------------------------------------------------------- */

START_TEST(an_unload_is_refused_naming_the_hold)
{
	install_as("good_1", "good");
	load_all();
	run("good hold");
	run("plugin unload good");
	ck_assert_uint_eq(answer.status, 409);
	ck_assert_str_eq(answer_at(&answer, "code"), "in_use");
	ck_assert_ptr_nonnull(strstr(answer_at(&answer, "detail"), "in use by 1 parked call"));
	run("good release");
	run("plugin unload good");
	ck_assert_uint_eq(answer.status, 204);
}
END_TEST

START_TEST(an_upgrade_under_traffic_switches_over_and_lets_the_old_one_finish)
{
	char text[256];

	(void)snprintf(text, sizeof text, "good:\n  diary: %s\n", diary);
	write_config(text);
	ck_assert_int_eq(core_settings_reload(NULL), PBX_OK);
	install_as("good_1", "good");
	install("taker");
	load_all();
	run("good hold");
	install_as("good_2", "good");
	run("plugin upgrade good");
	ck_assert_uint_eq(answer.status, 204);

	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "version"), "2.0.0");
	run("taker ask"); /* whose seat was filled anew */
	ck_assert_str_eq(answer_at(&answer, "gift"), "hello");
	run("plugin show good");
	ck_assert_str_eq(answer_at(&answer, "instances"), "2");
	ck_assert_str_eq(answer_at(&answer, "holds"), "1 parked call");
	ck_assert_str_eq(diary_text(), "L1.0.0 S1.0.0 L2.0.0 S2.0.0 D1.0.0 ");
	run("good publish");
	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "events"), "1"); /* heard once, by the new one */
	ck_assert_str_eq(answer_at(&answer, "followed"), "1");

	core_loop_pass_ms(5000);
	ck_assert_uint_eq(plugin("good")->instances->next != NULL, 1); /* still held */
	const struct core_instance *old = plugin("good")->instances->next;
	ck_assert_int_eq(old->owner.host.release((struct pbx_host *)&old->owner.host, "parked call"), PBX_OK);
	core_loop_pass_ms(200);
	ck_assert_ptr_null(plugin("good")->instances->next);
	ck_assert_ptr_nonnull(strstr(diary_text(), "D1.0.0 X1.0.0 U1.0.0 "));
	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "version"), "2.0.0");
}
END_TEST

START_TEST(a_failed_upgrade_changes_nothing)
{
	install_as("good_1", "good");
	install("taker");
	load_all();
	core_loop_pass_ms(1000);
	run("good publish");
	core_loop_pass_ms(1000);
	install_as("good_2", "good");
	write_config("good:\n  greeting: 2.0.0\n"); /* makes version 2 fail to start */
	ck_assert_int_eq(core_settings_reload(NULL), PBX_OK);
	uint32_t timers = core_timer_count();

	run("plugin upgrade good");
	ck_assert_uint_eq(answer.status, 403);
	ck_assert_ptr_nonnull(strstr(answer_at(&answer, "detail"), "its start failed"));
	ck_assert_uint_eq(core_timer_count(), timers);
	check_runs("good");
	core_loop_pass_ms(1000);
	run("good publish");
	ck_assert_uint_eq(answer.status, 204);
	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "version"), "1.0.0");
	ck_assert_str_eq(answer_at(&answer, "ticks"), "3");
	ck_assert_str_eq(answer_at(&answer, "events"), "2");
	ck_assert_str_eq(answer_at(&answer, "followed"), "2"); /* each once: it has never ceased to follow */
	run("taker ask");
	ck_assert_str_eq(answer_at(&answer, "gift"), "2.0.0"); /* the old one's, with the settings of now */
	run("plugin show good");
	ck_assert_str_eq(answer_at(&answer, "instances"), "1");

	write_config("good:\n  greeting: still here\n");
	ck_assert_int_eq(core_settings_reload(NULL), PBX_OK);
	run("good tell");
	ck_assert_str_eq(answer_at(&answer, "greeting"), "still here");
}
END_TEST

START_TEST(a_file_that_went_bad_does_not_replace_a_good_one)
{
	install("plain");
	load_all();
	install_as("crasher", "plain");
	run("plugin reload plain");
	ck_assert_uint_eq(answer.status, 422);
	check_runs("plain");
}
END_TEST

static const struct {
	const char *line;
	uint32_t status;
	const char *says;
} refusals[] = {
	{ "plugin reload nothing", 404, "nothing: there is no such plugin, `pbxctl plugin list` shows" },
	{ "plugin unload plane", 404, "plane: there is no such plugin, did you mean plain?" },
	{ "plugin load nothing", 404, "no folder of plugins.path has nothing.so" },
	{ "plugin load plain", 409, "is running already" },
	{ "plugin unload core", 403, "is a part of the daemon" },
	{ "plugin show nothing", 404, "there is no such plugin" },
};

START_TEST(what_cannot_be_done_is_said)
{
	install("plain");
	load_all();
	run(refusals[_i].line);
	ck_assert_uint_eq(answer.status, refusals[_i].status);
	ck_assert_msg(strstr(answer_at(&answer, "detail"), refusals[_i].says) != NULL, "%s", answer_at(&answer, "detail"));
}
END_TEST

/* As a second SIGTERM does: nobody has called core_host_stop_all, and plugins are at every stage. */
START_TEST(an_end_in_the_middle_of_the_start_is_clean)
{
	const char *const path[] = { folder };

	install("late");
	install("plain");
	install("second");
	install_as("good_1", "good");
	ck_assert_int_eq(core_host_load_all(path, 1, NULL, on_loaded_all, NULL), PBX_OK);
	for (int i = 0; i < _i; i++)
		core_loop_step();
	core_host_fini();
	core_loop_settle();
	ck_assert(!loaded_all);
	ck_assert_int_eq(core_host_init(), PBX_OK);
	offer_services();
}
END_TEST

START_TEST(an_end_in_the_middle_of_a_reload_is_clean)
{
	install_as("good_1", "good");
	load_all();
	tell(&answer, "plugin reload good");
	for (int i = 0; i < _i; i++)
		core_loop_step();
	core_host_fini();
	ck_assert_int_eq(core_host_init(), PBX_OK);
	offer_services();
}
END_TEST

START_TEST(the_last_events_are_listed)
{
	install_as("good_1", "good");
	load_all();
	for (int i = 0; i < 4; i++)
		run("good publish");
	run("events list limit=3");
	ck_assert_uint_eq(core_json_count(core_json_get(answer.body, "items")), 3);
	ck_assert_str_eq(answer_at(&answer, "items.2.type"), "good.done");
	run("events list plugin.*");
	ck_assert_str_eq(answer_at(&answer, "items.0.data.name"), "core");
	ck_assert_str_eq(answer_at(&answer, "items.1.data.name"), "good");
}
END_TEST

START_TEST(state_and_time_are_in_the_metrics)
{
	install("crasher");
	install_as("good_1", "good");
	load_all();
	core_loop_pass_ms(5000);
	AUTO(text) char *text = core_metrics_text();
	ck_assert_ptr_nonnull(strstr(text, "pbx_plugin_state{plugin=\"good\"} 3"));
	ck_assert_ptr_nonnull(strstr(text, "pbx_plugin_state{plugin=\"crasher\"} 5"));
	ck_assert_ptr_nonnull(strstr(text, "pbx_plugin_loop_seconds_total{plugin=\"good\"} "));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_loop_test(all, a_bad_plugin_is_one_line_and_the_others_start, 0, sizeof bad_plugins / sizeof bad_plugins[0]);
	tcase_add_loop_test(all, what_is_no_shared_object_is_refused, 0, 3);
	tcase_add_test(all, a_check_that_hangs_is_given_up_and_nobody_has_waited_for_it);
	tcase_add_test(all, a_probe_that_is_missing_is_named);
	tcase_add_test(all, what_is_no_file_is_refused_and_not_waited_for);
	tcase_add_test(all, a_file_cut_short_is_refused);
	tcase_add_test(all, a_circle_is_named_once_for_each_in_it);
	tcase_add_test(all, what_can_do_without_opens_a_circle);
	tcase_add_test(all, shorter_and_longer_descriptors_are_read_as_far_as_both_know);
	tcase_add_test(all, versions_fit_as_promised);
	tcase_add_test(all, a_draft_is_for_plugins_of_the_same_build_and_the_rest_is_for_all);
	tcase_add_test(all, a_disabled_plugin_is_not_even_tried);
	tcase_add_test(all, no_folder_is_a_warning_and_an_empty_house);
	tcase_add_test(all, a_plugin_lives_from_load_to_unload);
	tcase_add_test(all, the_check_sees_the_settings_of_the_file);
	tcase_add_test(all, settings_that_do_not_fit_are_told_before_any_code_runs);
	tcase_add_test(all, new_settings_are_offered_and_may_be_refused);
	tcase_add_test(all, a_failed_start_leaves_nothing_behind);
	tcase_add_test(all, a_late_load_is_waited_for_ten_seconds);
	tcase_add_test(all, a_service_goes_from_provider_to_consumer_in_order_of_need);
	tcase_add_test(all, an_optional_provider_may_come_and_go);
	tcase_add_test(all, the_daemon_sees_services_too);
	tcase_add_test(all, an_unload_is_refused_naming_the_hold);
	tcase_add_test(all, an_upgrade_under_traffic_switches_over_and_lets_the_old_one_finish);
	tcase_add_test(all, a_failed_upgrade_changes_nothing);
	tcase_add_test(all, a_file_that_went_bad_does_not_replace_a_good_one);
	tcase_add_loop_test(all, what_cannot_be_done_is_said, 0, sizeof refusals / sizeof refusals[0]);
	tcase_add_loop_test(all, an_end_in_the_middle_of_the_start_is_clean, 0, 6);
	tcase_add_loop_test(all, an_end_in_the_middle_of_a_reload_is_clean, 0, 6);
	tcase_add_test(all, the_last_events_are_listed);
	tcase_add_test(all, state_and_time_are_in_the_metrics);
	suite_add_tcase(suite, all);

	return check_run(suite);
}
