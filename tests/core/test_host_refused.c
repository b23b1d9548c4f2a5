/* tests/core/test_host_refused.c - plugins that are not to run, each refused in one line with a cure, and those at the edge of it that are */
#include "../check_main.h"
#include "host_fixture.h"
#include "loop.h"
#include <pbx/build.h>

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
	{ "badly-named", "name 'badly-named' is none", "choose a name" },
	{ "asks", "asks for pbx.json/1, which its .needs does not name", "name it there" },
	{ "route_method", "its route 'Get /bare' has a method that is none of GET, POST", "correct it" },
	{ "route_brace", "its route 'GET /bare/{id' has a path that", "correct it" },
	{ "command_caps", "its command 'Bare list' is not small letters", "correct it" },
	{ "command_gap", "its command 'bare  list' is not", "correct it" },
	{ "command_arg", "the argument 'word' of its command 'bare list' has a type that is none", "correct it" },
	{ "metric_name", "its metric 'bare' is not pbx_", "correct it" },
	{ "metric_buckets", "its metric 'pbx_bare' is a histogram without .buckets", "correct it" },
	{ "event_name", "its event 'bare' is not", "correct it" },
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

static const struct {
	const char *name, *reason;
} rivals[] = {
	{ "route_taken", "its route 'GET /taken/{it}' is declared by taken already" },
	{ "command_taken", "its command 'taken list' is declared by taken already" },
	{ "metric_taken", "its metric 'pbx_taken' is there already, of another kind" },
	{ "event_taken", "its event 'taken.done' is declared by taken already" },
};

START_TEST(what_another_plugin_has_is_refused_naming_it)
{
	install("taken");
	load_all();
	check_runs("taken");
	install(rivals[_i].name);
	char line[80];
	(void)snprintf(line, sizeof line, "plugin load %s", rivals[_i].name);
	run(line);
	check_runs("taken");
	ck_assert_msg(strstr(plugin(rivals[_i].name)->refusal.reason, rivals[_i].reason) != NULL, "%s",
		      plugin(rivals[_i].name)->refusal.reason);
	ck_assert_ptr_nonnull(strstr(plugin(rivals[_i].name)->refusal.cure, "unload who has it"));
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

	core_host_use_probe(PLUGIN_PROBE, 2000);
	install("sleeper");
	ck_assert_int_eq(core_host_load_all(path, 1, NULL, on_loaded_all, NULL), PBX_OK);
	core_loop_step();
	ck_assert(!loaded_all); /* the loop has gone on */
	core_loop_settle();
	ck_assert_str_eq(plugin("sleeper")->refusal.reason, "nothing came for 2 seconds while its check ran");
	ck_assert_ptr_nonnull(strstr(plugin("sleeper")->refusal.cure, "report it"));
}
END_TEST

/* What no row can say is asked in the probe already, of the values as the daemon's files say them. */
START_TEST(settings_that_do_not_fit_one_another_are_one_line_and_their_place)
{
	char place[256];

	configure("picky:\n  last: 3\n  first: 7\n");
	install("plain");
	install("picky");
	load_all();
	check_runs("plain");
	(void)snprintf(place, sizeof place, "%s:3:10: picky.first: 7 is beyond last, 3: the lowest number comes first", config);
	ck_assert_str_eq(state_of("picky"), "failed");
	ck_assert_str_eq(plugin("picky")->refusal.reason, place);
	ck_assert_str_eq(plugin("picky")->refusal.cure, "correct its settings");
	ck_assert_uint_eq(times_said("is beyond last"), 1);
}
END_TEST

START_TEST(settings_that_fit_one_another_are_taken)
{
	configure("picky:\n  last: 7\n  first: 7\n");
	install("picky");
	load_all();
	check_runs("picky");
}
END_TEST

START_TEST(a_probe_that_is_missing_is_named)
{
	core_host_use_probe("/nonexistent/pbx-plugin-probe", 5000);
	install("plain");
	load_all();
	ck_assert_str_eq(plugin("plain")->refusal.reason,
			 "it cannot be tried: /nonexistent/pbx-plugin-probe does not start: No such file or directory");
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

int main(void)
{
	Suite *suite = suite_create("host_refused");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_loop_test(all, a_bad_plugin_is_one_line_and_the_others_start, 0, sizeof bad_plugins / sizeof bad_plugins[0]);
	tcase_add_loop_test(all, what_another_plugin_has_is_refused_naming_it, 0, sizeof rivals / sizeof rivals[0]);
	tcase_add_loop_test(all, what_is_no_shared_object_is_refused, 0, 3);
	tcase_add_test(all, a_check_that_hangs_is_given_up_and_nobody_has_waited_for_it);
	tcase_add_test(all, settings_that_do_not_fit_one_another_are_one_line_and_their_place);
	tcase_add_test(all, settings_that_fit_one_another_are_taken);
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
	suite_add_tcase(suite, all);

	return check_run(suite);
}
