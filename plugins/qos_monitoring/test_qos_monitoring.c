/* plugins/qos_monitoring/test_qos_monitoring.c - what a call sounded like is known while it lasts and afterwards, and what was bad was told once */
#include "../../tests/check_main.h"
#include "calls.h"
#include "fake.h"
#include "media_driver.h"
#include "report.h"
#include <math.h>
#include <string.h>

static struct fake_pbx *house(void)
{
	struct fake_pbx *pbx = fake_pbx_with("qos_monitoring");

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	return pbx;
}

static pbx_leg caller, callee;

static void talk(struct fake_pbx *pbx)
{
	caller = fake_dial(pbx, "1001", "1002");
	callee = fake_leg(pbx, "1002");
	fake_answer(pbx, callee);
	for (int i = 0; i < 2; i++)
		(void)snprintf(fake_audio(pbx, i ? callee : caller)->codec, 20, "PCMU");
}

/* Five seconds of sound from 1002, of which some packets are lost and all are shaken. */
static void sound(struct fake_pbx *pbx, uint32_t lost, uint32_t jitter_ms)
{
	struct core_stream_stats *both[] = { fake_audio(pbx, callee), fake_audio(pbx, caller) };

	for (uint32_t second = 0; second < 5; second++) {
		for (int i = 0; i < 2; i++) {
			uint32_t gone = i == 0 ? lost / 5 : 0;

			both[i]->packets_in += 50 - gone;
			both[i]->packets_out += 50;
			both[i]->lost += gone;
			both[i]->last_packet_at_ms += 1000;
			both[i]->jitter_us = i == 0 ? jitter_ms * 1000 : 1000;
		}
		fake_pass_ms(pbx, 1000);
	}
}

static const char *ask(struct fake_pbx *pbx, const char *path, const char *what)
{
	const char *answer = fake_http(pbx, "GET", path, NULL), *value;

	ck_assert_msg(fake_status(pbx) == 200, "%s: %u %s", path, fake_status(pbx), answer);
	value = fake_json(pbx, answer, what);
	return value ? value : "(none)";
}

static double number(struct fake_pbx *pbx, const char *path, const char *what)
{
	return strtod(ask(pbx, path, what), NULL);
}

/* The place of a way in the history, which has two for each leg. */
static uint32_t place(struct fake_pbx *pbx, const char *extension, const char *direction)
{
	for (uint32_t i = 0; i < 8; i++) {
		char who[40], way[40];

		(void)snprintf(who, sizeof who, "items.%u.extension", i);
		(void)snprintf(way, sizeof way, "items.%u.direction", i);
		if (strcmp(ask(pbx, "/qos/history", who), extension) == 0 && strcmp(ask(pbx, "/qos/history", way), direction) == 0)
			return i;
	}
	ck_abort_msg("%s %s is not in the history: %s", extension, direction, fake_http(pbx, "GET", "/qos/history", NULL));
}

static const char *of(struct fake_pbx *pbx, const char *extension, const char *direction, const char *what)
{
	char path[64];

	(void)snprintf(path, sizeof path, "items.%u.%s", place(pbx, extension, direction), what);
	return ask(pbx, "/qos/history", path);
}

START_TEST(a_good_call_leaves_good_records_and_no_alert)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	talk(pbx);
	for (int i = 0; i < 4; i++)
		sound(pbx, 0, 2);
	ck_assert_str_eq(ask(pbx, "/qos/metrics", "count"), "4");
	fake_hangup(pbx, caller);
	ck_assert_str_eq(ask(pbx, "/qos/metrics", "count"), "0");
	ck_assert_str_eq(ask(pbx, "/qos/history", "count"), "4");
	ck_assert_str_eq(of(pbx, "1002", "from", "mos_score"), "4.41");
	ck_assert_str_eq(of(pbx, "1002", "from", "quality_rating"), "excellent");
	ck_assert_str_eq(of(pbx, "1002", "from", "model"), "G.107");
	ck_assert_str_eq(of(pbx, "1002", "from", "codec"), "PCMU");
	ck_assert_str_eq(of(pbx, "1002", "from", "packets_received"), "1000");
	ck_assert_str_eq(of(pbx, "1002", "to", "packets_sent"), "1000");
	ck_assert_str_eq(of(pbx, "1002", "to", "mos_score"), "null"); /* it reported nothing: nobody knows, and 0 would be a lie */
	ck_assert_str_eq(ask(pbx, "/qos/alerts", "count"), "0");
	ck_assert_uint_eq(fake_event_count(pbx, "quality.report"), 2);
	ck_assert_uint_eq(fake_event_count(pbx, "quality.alert"), 0);
}
END_TEST

START_TEST(loss_is_told_once_while_it_lasts)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	talk(pbx);
	sound(pbx, 0, 2);
	for (int i = 0; i < 3; i++)
		sound(pbx, 25, 2);                                    /* one in ten */
	ck_assert_uint_eq(fake_event_count(pbx, "quality.alert"), 2); /* lost packets, and the MOS of it */
	const char *alert = fake_event(pbx, "quality.alert");

	ck_assert_str_eq(fake_json(pbx, alert, "extension"), "1002");
	ck_assert_str_eq(fake_json(pbx, alert, "direction"), "from");
	ck_assert_str_eq(ask(pbx, "/qos/alerts", "items.0.cleared_at"), "null");
	for (int i = 0; i < 3; i++)
		sound(pbx, 0, 2);
	ck_assert_str_ne(ask(pbx, "/qos/alerts", "items.0.cleared_at"), "null");
	sound(pbx, 25, 2); /* once for a leg is enough */
	fake_hangup(pbx, callee);
	ck_assert_uint_eq(fake_event_count(pbx, "quality.alert"), 2);
	ck_assert_str_eq(of(pbx, "1002", "from", "packets_lost"), "100");
	ck_assert(fabs(strtod(of(pbx, "1002", "from", "packet_loss_percentage"), NULL) - 5) < 0.01);
	ck_assert(fabs(strtod(of(pbx, "1002", "from", "mos_score"), NULL) - 3.92) < 0.02);
	ck_assert_str_eq(of(pbx, "1001", "from", "packets_lost"), "0");

	char path[80];

	(void)snprintf(path, sizeof path, "/qos/alerts/%s:acknowledge", ask(pbx, "/qos/alerts", "items.0.id"));
	(void)fake_http(pbx, "POST", path, "{}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	ck_assert_str_eq(ask(pbx, "/qos/alerts?open=true", "count"), "1");
	(void)fake_http(pbx, "POST", "/qos/alerts/none:acknowledge", "{}");
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http(pbx, "POST", "/qos/clear-alerts", "{}");
	ck_assert_str_eq(ask(pbx, "/qos/alerts", "count"), "0");
}
END_TEST

START_TEST(who_is_not_heard_has_no_mos_and_raises_one_alert)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	talk(pbx); /* and nobody says a word */
	fake_pass_ms(pbx, 20000);
	ck_assert_str_eq(ask(pbx, "/qos/alerts", "count"), "2"); /* one a leg */
	ck_assert_str_eq(ask(pbx, "/qos/alerts", "items.0.type"), "one_way_audio");
	ck_assert_str_eq(ask(pbx, "/qos/alerts", "items.1.type"), "one_way_audio");
	ck_assert_str_eq(ask(pbx, "/qos/metrics", "items.0.mos_score"), "null");
	fake_hangup(pbx, caller);
	ck_assert_str_eq(of(pbx, "1001", "from", "mos_score"), "null");
	ck_assert_str_eq(of(pbx, "1001", "from", "quality_rating"), "null");
	ck_assert_str_eq(ask(pbx, "/qos/statistics", "average_mos"), "null");
}
END_TEST

START_TEST(thresholds_hold_over_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	ck_assert_str_eq(ask(pbx, "/qos/thresholds", "jitter_max"), "50");
	(void)fake_http(pbx, "POST", "/qos/thresholds", "{\"mos_min\":\"x\"}");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http(pbx, "POST", "/qos/thresholds", "{\"mos_min\":7}");
	ck_assert_uint_eq(fake_status(pbx), 400);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "POST", "/qos/thresholds", "{\"jitter_max\":20}"), "jitter_max"), "20");
	fake_restart(pbx);
	ck_assert_str_eq(ask(pbx, "/qos/thresholds", "jitter_max"), "20");
	ck_assert_str_eq(ask(pbx, "/qos/thresholds", "mos_min"), "3.5");

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	talk(pbx);
	for (int i = 0; i < 4; i++)
		sound(pbx, 0, 50);
	ck_assert_uint_eq(fake_event_count(pbx, "quality.alert"), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "quality.alert"), "type"), "high_jitter");
	fake_hangup(pbx, caller);
	ck_assert_uint_eq(fake_event_count(pbx, "quality.alert"), 1);
}
END_TEST

START_TEST(a_call_is_shown_with_its_series_while_it_lasts_and_after_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	char path[64];

	talk(pbx);
	sound(pbx, 0, 2);
	sound(pbx, 25, 2);
	(void)snprintf(path, sizeof path, "/qos/call/%s", ask(pbx, "/qos/metrics", "items.0.call_id"));
	ck_assert_str_eq(ask(pbx, path, "legs.3.direction"), "to");
	ck_assert_str_ne(ask(pbx, path, "legs.0.series.1.at"), "(none)");
	ck_assert_str_ne(ask(pbx, path, "alerts.0.type"), "(none)");
	fake_hangup(pbx, caller);
	ck_assert_str_ne(ask(pbx, path, "legs.3.series.1.at"), "(none)");
	ck_assert_str_eq(ask(pbx, path, "legs.4.direction"), "(none)");
	fake_restart(pbx);
	ck_assert_str_ne(ask(pbx, path, "legs.3.series.1.at"), "(none)");
	(void)fake_http(pbx, "GET", "/qos/call/none", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
}
END_TEST

START_TEST(sums_are_made_of_what_was_counted)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	ck_assert_str_eq(ask(pbx, "/qos/statistics", "total_calls"), "0");
	ck_assert_str_eq(ask(pbx, "/qos/statistics", "average_mos"), "null");
	talk(pbx);
	for (int i = 0; i < 4; i++)
		sound(pbx, 25, 2);
	fake_hangup(pbx, caller);
	talk(pbx); /* too short to count */
	fake_pass_ms(pbx, 2000);
	fake_hangup(pbx, caller);
	ck_assert_str_eq(ask(pbx, "/qos/statistics", "total_calls"), "2");
	ck_assert_str_eq(ask(pbx, "/qos/statistics", "calls_with_issues"), "1");
	ck_assert_str_eq(ask(pbx, "/qos/statistics", "issue_percentage"), "50");
	ck_assert_str_eq(ask(pbx, "/qos/statistics", "excellent"), "1");
	ck_assert_str_eq(ask(pbx, "/qos/statistics", "poor"), "1");
	ck_assert(fabs(number(pbx, "/qos/statistics", "average_mos") - (4.41 + 3.41) / 2) < 0.02);
	ck_assert_str_eq(ask(pbx, "/qos/summary?group_by=extension", "items.0.name"), "1002"); /* the worst first */
	ck_assert(fabs(number(pbx, "/qos/summary?group_by=extension", "items.0.average_mos") - 3.41) < 0.02);
	ck_assert_str_eq(ask(pbx, "/qos/summary?group_by=codec", "items.0.name"), "PCMU");
	ck_assert_str_eq(ask(pbx, "/qos/summary?group_by=subnet", "count"), "1");
	ck_assert_str_eq(ask(pbx, "/qos/summary?group_by=hour", "count"), "1");
	ck_assert_str_eq(ask(pbx, "/qos/summary?group_by=trunk", "count"), "0");
	ck_assert_str_eq(ask(pbx, "/qos/history?min_mos=4", "count"), "1");
	ck_assert_str_eq(ask(pbx, "/qos/history?max_mos=4", "count"), "1");
	(void)fake_http(pbx, "GET", "/qos/history?min_mos=9", NULL);
	ck_assert_uint_eq(fake_status(pbx), 400);
	const char *csv = fake_http(pbx, "GET", "/qos/export?extension=1002", NULL);

	ck_assert_int_eq(strncmp(csv, "call_id,leg_id,direction,", 25), 0);
	ck_assert_ptr_nonnull(strstr(csv, "\"PCMU\""));
	(void)fake_http_as(pbx, "ann", "qos:read", "1001", "GET", "/qos/history?limit=10", NULL);
	ck_assert_str_eq(fake_json(pbx, fake_http_as(pbx, "ann", "qos:read", "1001", "GET", "/qos/history?limit=10", NULL), "count"), "4");
	(void)fake_http_as(pbx, "ann", "cdr:read", "", "GET", "/qos/history", NULL);
	ck_assert_uint_eq(fake_status(pbx), 403);
}
END_TEST

#define REPORT                                                                                                                             \
	"VQSessionReport: CallTerm\r\nCallID: %s\r\nLocalID: <sip:1002@pbx>\r\nLocalMetrics:\r\n"                                          \
	"Timestamps:START=2026-11-22T10:00:00Z STOP=2026-11-22T10:02:00Z\r\nSessionDesc:PT=0 PD=PCMU SR=8000 FD=20\r\n"                    \
	"JitterBuffer:JBA=3 JBR=2 JBN=40 JBM=80 JBX=120\r\nPacketLoss:NLR=5.0 JDR=2.0\r\nBurstGapLoss:BLD=30 BD=200 GLD=2.0 GD=500 "       \
	"GMIN=16\r\nDelay:RTD=200 ESD=140 SOWD=200 IAJ=2 MAJ=10\r\nSignal:SL=-21 NL=-50 RERL=55\r\n"                                       \
	"QualityEst:RLQ=90 RCQ=85 EXTRI=90 MOSLQ=3.4 MOSCQ=3.3\r\nRemoteMetrics:\r\nPacketLoss:NLR=50 JDR=0\r\n"

START_TEST(a_phones_own_report_is_kept_with_its_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	struct pbx_leg_info info = { .size = sizeof info };
	char body[1200], path[64];

	talk(pbx);
	ck_assert_int_eq(core_calls_service.info(callee, &info), PBX_OK);
	(void)snprintf(body, sizeof body, REPORT, info.protocol_id);
	(void)snprintf(path, sizeof path, "/qos/call/%s", info.call_id);
	sound(pbx, 0, 2);
	fake_hangup(pbx, caller);
	ck_assert_int_eq(fake_publish(pbx, "vq-rtcpxr", "1002", PBX_PUBLISHED, body), PBX_OK);
	ck_assert_int_eq(fake_publish(pbx, "vq-rtcpxr", "1002", PBX_PUBLISHED, "VQSessionReport\r\n"), PBX_EINVAL);
	bool is_found = false;

	for (uint32_t i = 0; i < 5; i++) {
		char what[40];

		(void)snprintf(what, sizeof what, "legs.%u.source", i);
		if (strcmp(ask(pbx, path, what), "phone") != 0)
			continue;
		is_found = true;
		(void)snprintf(what, sizeof what, "legs.%u.mos_score", i);
		ck_assert_str_eq(ask(pbx, path, what), "3.4");
		(void)snprintf(what, sizeof what, "legs.%u.packet_loss_percentage", i);
		ck_assert_str_eq(ask(pbx, path, what), "7");
	}
	ck_assert_msg(is_found, "%s", fake_http(pbx, "GET", path, NULL));
}
END_TEST

START_TEST(reports_are_read_and_nonsense_is_refused)
{
	struct qos_report report;
	char body[1200];

	(void)snprintf(body, sizeof body, REPORT, "abc@192.0.2.7");
	ck_assert(qos_report_read(body, &report));
	ck_assert_str_eq(report.dialog, "abc@192.0.2.7");
	ck_assert_str_eq(report.codec, "PCMU");
	ck_assert(report.lost_percent == 5 && report.discarded_percent == 2 && report.rtt_ms == 200 && report.jitter_ms == 2);
	ck_assert(report.burst_density == 30 && report.gap_density == 2 && report.r == 85);
	ck_assert(fabs(report.mos_cq - 3.3) < 0.001);
	ck_assert(!qos_report_read("", &report));
	ck_assert(!qos_report_read("VQSessionReport: CallTerm\r\n", &report));
	ck_assert(!qos_report_read("CallID: x\r\nLocalMetrics:\r\nQualityEst:MOSLQ=4\r\n", &report));
	ck_assert(!qos_report_read("VQSessionReport: CallTerm\r\nCallID: x\r\nLocalMetrics:\r\nQualityEst:MOSLQ=9\r\n", &report));
	ck_assert(!qos_report_read("VQSessionReport: CallTerm\r\nCallID: x\r\nLocalMetrics:\r\nQualityEst:RCQ=850\r\n", &report));
	ck_assert(!qos_report_read("VQSessionReport: CallTerm\r\nCallID: x\r\nLocalMetrics:\r\nBurstGapLoss:BLD=101\r\n", &report));
	ck_assert(
		qos_report_read("VQSessionReport: CallTerm\nCallID: x\nLocalMetrics:\nPacketLoss:NLR=\nDelay:RTD=-4 IAJ=oops\n", &report));
	ck_assert(report.lost_percent < 0 && report.rtt_ms < 0 && report.jitter_ms < 0);
	for (size_t length = 0; length < strlen(body); length++) { /* whatever is cut off */
		char cut[1200];

		(void)snprintf(cut, sizeof cut, "%.*s", (int)length, body);
		(void)qos_report_read(cut, &report);
	}
}
END_TEST

CHECK_MAIN("qos_monitoring", a_good_call_leaves_good_records_and_no_alert, loss_is_told_once_while_it_lasts,
	   who_is_not_heard_has_no_mos_and_raises_one_alert, thresholds_hold_over_a_restart,
	   a_call_is_shown_with_its_series_while_it_lasts_and_after_a_restart, sums_are_made_of_what_was_counted,
	   a_phones_own_report_is_kept_with_its_call, reports_are_read_and_nonsense_is_refused)
