/* tests/core/test_host.c - a plugin's life: load, services, upgrade, unload, and the end of the daemon at any moment of it */
#include "../check_main.h"
#include "host_fixture.h"
#include "loop.h"
#include "metrics.h"
#include "settings.h"
#include "timer.h"

/* ---- good ones ------------------------------------------------------------------------ */

START_TEST(a_plugin_lives_from_load_to_unload)
{
	char text[256];

	(void)snprintf(text, sizeof text, "good:\n  diary: %s\n  greeting: ahoy\n", diary);
	configure(text);
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
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(diary_text(), "L1.0.0 S1.0.0 X1.0.0 U1.0.0 ");
	run("good tell");
	ck_assert_uint_eq(answer.status, 404);
	ask(&answer, "GET", "/good", NULL, NULL);
	ck_assert_uint_eq(answer.status, 404);
	ck_assert_ptr_null(core_settings_get("good"));
	ck_assert_ptr_null(plugin("good")->instances);

	run("plugin load good");
	ck_assert_uint_eq(answer.status, 200);
	check_runs("good");
}
END_TEST

START_TEST(the_check_sees_the_settings_of_the_file)
{
	configure("good:\n  greeting: refuse\n");
	install_as("good_1", "good");
	load_all();
	ck_assert_str_eq(plugin("good")->refusal.reason, "a greeting is not to be 'refuse'");
	ck_assert_ptr_null(core_settings_get("good")); /* the trial's declaration is its own */
}
END_TEST

START_TEST(settings_that_do_not_fit_are_told_before_any_code_runs)
{
	configure("good:\n  greting: hi\n");
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
	ck_assert_uint_eq(answer.status, 200);
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
	ck_assert_uint_eq(answer.status, 200);
}
END_TEST

START_TEST(an_upgrade_under_traffic_switches_over_and_lets_the_old_one_finish)
{
	char text[256];

	(void)snprintf(text, sizeof text, "good:\n  diary: %s\n", diary);
	configure(text);
	install_as("good_1", "good");
	install("taker");
	load_all();
	run("good hold");
	install_as("good_2", "good");
	run("plugin upgrade good");
	ck_assert_uint_eq(answer.status, 200);

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
	configure("good:\n  greeting: 2.0.0\n"); /* makes version 2 fail to start */
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

	configure("good:\n  greeting: still here\n");
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
	{ "plugin load nothing", 404, "nothing: no folder of plugins.path has nothing.so" },
	{ "plugin load nothing.so", 404, "nothing: no folder of plugins.path has nothing.so" },
	{ "plugin load /elsewhere/nothing.so", 422,
	  "nothing: a plugin is called by its name, nothing; /elsewhere is no folder of plugins.path: add it there, or copy the file" },
	{ "plugin load plain.so", 409, "plain: is running already" },
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

START_TEST(a_file_of_the_path_is_called_by_its_name)
{
	char line[200];

	install("plain");
	load_all();
	(void)snprintf(line, sizeof line, "plugin reload %s/../plugins/plain.so", folder);
	run(line);
	ck_assert_uint_eq(answer.status, 422);
	ck_assert_msg(strstr(answer_at(&answer, "detail"), "/../plugins is a folder of plugins.path") != NULL, "%s",
		      answer_at(&answer, "detail"));
}
END_TEST

START_TEST(a_new_path_is_searched_from_then_on)
{
	const char *const nowhere[] = { "/nowhere" }, *const path[] = { "/nowhere", folder };

	load_all();
	install("plain");
	ck_assert_int_eq(core_host_use_path(nowhere, 1), PBX_OK);
	run("plugin load plain");
	ck_assert_uint_eq(answer.status, 404);
	ck_assert_int_eq(core_host_use_path(path, 2), PBX_OK);
	run("plugin load plain.so");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "name"), "plain");
	ck_assert_str_eq(answer_at(&answer, "state"), "running");
	check_runs("plain");
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
	tcase_add_test(all, a_file_of_the_path_is_called_by_its_name);
	tcase_add_test(all, a_new_path_is_searched_from_then_on);
	tcase_add_loop_test(all, an_end_in_the_middle_of_the_start_is_clean, 0, 6);
	tcase_add_loop_test(all, an_end_in_the_middle_of_a_reload_is_clean, 0, 6);
	tcase_add_test(all, the_last_events_are_listed);
	tcase_add_test(all, state_and_time_are_in_the_metrics);
	suite_add_tcase(suite, all);

	return check_run(suite);
}
