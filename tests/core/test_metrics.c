/* tests/core/test_metrics.c - families, series and their text */
#include "../check_main.h"
#include "loop.h"
#include "metrics.h"
#include "owner_internal.h"
#include <string.h>

static struct core_owner owner, successor;
static const struct pbx_metrics *const metrics = &core_metrics_service;

static const struct pbx_metric rows[] = {
	{ .name = "pbx_parking_calls_total", .kind = PBX_METRIC_COUNTER, .help = "Calls ever \"parked\"", .labels = "outcome" },
	{ .name = "pbx_parking_slots", .kind = PBX_METRIC_GAUGE, .help = "Slots in use" },
	{ .name = "pbx_parking_seconds", .kind = PBX_METRIC_HISTOGRAM, .help = "Time parked", .buckets = "1,10,60" },
};
static const struct pbx_table table = PBX_TABLE(rows);

static void setup(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_metrics_init(), PBX_OK);
	core_owner_init(&owner, "call_parking", NULL);
	core_owner_init(&successor, "call_parking", NULL);
	ck_assert_int_eq(core_metrics_declare(&owner.host, &table, NULL), PBX_OK);
}

static void teardown(void)
{
	core_metrics_fini();
	core_owner_fini(&owner);
	core_owner_fini(&successor);
	core_loop_fini();
}

static void check_text(const char *expected)
{
	char *text = core_metrics_text();

	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(the_text_is_openmetrics)
{
	setup();
	ck_assert_int_eq(metrics->add(&owner.host, 0, "fetched", 2), PBX_OK);
	ck_assert_int_eq(metrics->add(&owner.host, 0, "a\"b\\c\nd", 1), PBX_OK);
	ck_assert_int_eq(metrics->set(&owner.host, 1, NULL, 3), PBX_OK);
	ck_assert_int_eq(metrics->add(&owner.host, 1, NULL, -1), PBX_OK);
	ck_assert_int_eq(metrics->observe(&owner.host, 2, NULL, 0.5), PBX_OK);
	ck_assert_int_eq(metrics->observe(&owner.host, 2, NULL, 10), PBX_OK);
	ck_assert_int_eq(metrics->observe(&owner.host, 2, NULL, 100), PBX_OK);
	check_text("# TYPE pbx_parking_calls counter\n"
		   "# HELP pbx_parking_calls Calls ever \\\"parked\\\"\n"
		   "pbx_parking_calls_total{outcome=\"a\\\"b\\\\c\\nd\"} 1\n"
		   "pbx_parking_calls_total{outcome=\"fetched\"} 2\n"
		   "# TYPE pbx_parking_seconds histogram\n"
		   "# HELP pbx_parking_seconds Time parked\n"
		   "pbx_parking_seconds_bucket{le=\"1\"} 1\n"
		   "pbx_parking_seconds_bucket{le=\"10\"} 2\n"
		   "pbx_parking_seconds_bucket{le=\"60\"} 2\n"
		   "pbx_parking_seconds_bucket{le=\"+Inf\"} 3\n"
		   "pbx_parking_seconds_count 3\n"
		   "pbx_parking_seconds_sum 110.5\n"
		   "# TYPE pbx_parking_slots gauge\n"
		   "# HELP pbx_parking_slots Slots in use\n"
		   "pbx_parking_slots 2\n"
		   "# EOF\n");
	teardown();
}
END_TEST

START_TEST(what_does_not_fit_the_declaration_is_refused)
{
	setup();
	ck_assert_int_eq(metrics->add(&owner.host, 3, NULL, 1), PBX_EINVAL);    /* no such row */
	ck_assert_int_eq(metrics->add(&successor.host, 0, "x", 1), PBX_EINVAL); /* not declared by this owner */
	ck_assert_int_eq(metrics->add(&owner.host, 0, NULL, 1), PBX_EINVAL);    /* label missing */
	ck_assert_int_eq(metrics->add(&owner.host, 0, "x,y", 1), PBX_EINVAL);   /* one too many */
	ck_assert_int_eq(metrics->add(&owner.host, 1, "x", 1), PBX_EINVAL);
	ck_assert_int_eq(metrics->add(&owner.host, 0, "x", -1), PBX_EINVAL); /* counters only rise */
	ck_assert_int_eq(metrics->set(&owner.host, 0, "x", 1), PBX_EINVAL);
	ck_assert_int_eq(metrics->observe(&owner.host, 1, NULL, 1), PBX_EINVAL);
	teardown();
}
END_TEST

START_TEST(a_family_has_at_most_a_thousand_series)
{
	char label[16];

	setup();
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(label, sizeof label, "%d", i);
		ck_assert_int_eq(metrics->add(&owner.host, 0, label, 1), PBX_OK);
	}
	ck_assert_int_eq(metrics->add(&owner.host, 0, "one more", 1), PBX_ENOSPC);
	ck_assert_int_eq(metrics->add(&owner.host, 0, "999", 1), PBX_OK);
	teardown();
}
END_TEST

START_TEST(a_counter_goes_on_over_an_upgrade)
{
	setup();
	ck_assert_int_eq(metrics->add(&owner.host, 1, NULL, 5), PBX_OK);
	ck_assert_int_eq(core_metrics_declare(&successor.host, &table, NULL), PBX_OK);
	core_metrics_undeclare(&owner.host);
	ck_assert_int_eq(metrics->add(&successor.host, 1, NULL, 1), PBX_OK);
	ck_assert_int_eq(metrics->add(&owner.host, 1, NULL, 1), PBX_EINVAL);
	char *text = core_metrics_text();
	ck_assert_ptr_nonnull(strstr(text, "\npbx_parking_slots 6\n"));
	free(text);
	core_metrics_undeclare(&successor.host);
	check_text("# EOF\n");
	teardown();
}
END_TEST

START_TEST(a_name_of_another_kind_is_refused_and_nothing_of_that_table_stays)
{
	static const struct pbx_metric wrong[] = {
		{ .name = "pbx_other", .kind = PBX_METRIC_GAUGE, .help = "" },
		{ .name = "pbx_parking_slots", .kind = PBX_METRIC_COUNTER, .help = "" },
	};
	static const struct pbx_table wrong_table = PBX_TABLE(wrong);

	setup();
	ck_assert_int_eq(core_metrics_declare(&successor.host, &wrong_table, NULL), PBX_EEXIST);
	char *text = core_metrics_text();
	ck_assert_ptr_null(strstr(text, "pbx_other"));
	free(text);
	teardown();
}
END_TEST

START_TEST(a_row_from_an_older_header_reads_as_zero_beyond_its_end)
{
	const struct {
		const char *name;
		uint32_t kind;
		const char *help;
	} old[] = { { "pbx_old", PBX_METRIC_GAUGE, "Old" } };
	struct pbx_table old_table = PBX_TABLE(old);

	setup();
	ck_assert_int_eq(core_metrics_declare(&successor.host, &old_table, NULL), PBX_OK);
	ck_assert_int_eq(metrics->set(&successor.host, 0, NULL, 7), PBX_OK);
	teardown();
}
END_TEST

static void set_gauge(void *self)
{
	ck_assert(core_current_owner() == &owner.host);
	ck_assert_int_eq(metrics->set(&owner.host, 1, NULL, *(double *)self), PBX_OK);
}

START_TEST(gauges_are_set_when_somebody_looks)
{
	double slots = 4;

	setup();
	ck_assert_int_eq(core_metrics_on_scrape(&owner.host, set_gauge, &slots), PBX_OK);
	char *text = core_metrics_text();
	ck_assert_ptr_nonnull(strstr(text, "\npbx_parking_slots 4\n"));
	free(text);
	core_metrics_undeclare(&owner.host);
	check_text("# EOF\n"); /* and nobody is asked any more */
	teardown();
}
END_TEST

CHECK_MAIN("metrics", the_text_is_openmetrics, what_does_not_fit_the_declaration_is_refused, a_family_has_at_most_a_thousand_series,
	   a_counter_goes_on_over_an_upgrade, a_name_of_another_kind_is_refused_and_nothing_of_that_table_stays,
	   a_row_from_an_older_header_reads_as_zero_beyond_its_end, gauges_are_set_when_somebody_looks)
