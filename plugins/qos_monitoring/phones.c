/*
 * phones - what phones say of calls themselves, by PUBLISH of package vq-rtcpxr (RFC 6035)
 *
 * A report is about the dialog in its CallID: one of our legs, living or just ended. A report of any other call is kept without a leg, for whose phone it was.
 */
#include "qos.h"
#include "report.h"
#include <string.h>
#include <strings.h>

#define KEEP(into, text) ((void)snprintf((into), sizeof(into), "%s", (text)))

static bool find_dialog(const struct qos *qos, const char *dialog, struct qos_gone *ret_of)
{
	for (const struct qos_leg *leg = qos->legs; leg; leg = leg->next)
		if (strcmp(leg->dialog, dialog) == 0) {
			KEEP(ret_of->leg_id, leg->id);
			KEEP(ret_of->call_id, leg->call_id);
			KEEP(ret_of->extension, leg->extension);
			KEEP(ret_of->trunk, leg->trunk);
			return true;
		}
	for (uint32_t i = 0; i < QOS_GONE; i++)
		if (qos->gone[i].dialog[0] && strcmp(qos->gone[i].dialog, dialog) == 0) {
			*ret_of = qos->gone[i];
			return true;
		}
	return false;
}

static double added(double a, double b)
{
	if (a < 0 && b < 0)
		return -1;
	return (a < 0 ? 0 : a) + (b < 0 ? 0 : b);
}

/* Shares of RFC 6035 are in percent; ours are of 1. */
static double of_one(double percent)
{
	return percent < 0 ? -1 : percent / 100;
}

int qos_on_published(void *self, const struct pbx_publication *publication)
{
	struct qos *qos = self;
	struct qos_gone of = { 0 };
	struct qos_report report;

	if (publication->what != PBX_PUBLISHED)
		return PBX_OK;
	if (strcasecmp(publication->content_type, "application/vq-rtcpxr") != 0)
		return PBX_ENOTSUP;
	bool is_good = qos_report_read(publication->body, &report);

	(void)qos->metrics->add(qos->host, QOS_METRIC_REPORTS, is_good ? "taken" : "refused", 1);
	if (!is_good)
		return PBX_EINVAL;
	if (!find_dialog(qos, report.dialog, &of))
		KEEP(of.extension, publication->resource);
	int64_t now_us = qos->host->wall_us(qos->host);
	struct qos_record record = { .direction = "to",
				     .codec = report.codec,
				     .source = "phone",
				     .model = "phone",
				     .started_us = now_us,
				     .ended_us = now_us,
				     .loss_percent = added(report.lost_percent, report.discarded_percent),
				     .jitter_avg_ms = report.jitter_ms,
				     .jitter_max_ms = report.jitter_most_ms >= 0 ? report.jitter_most_ms : report.jitter_ms,
				     .latency_avg_ms = report.rtt_ms < 0 ? -1 : report.rtt_ms / 2,
				     .latency_max_ms = report.rtt_ms < 0 ? -1 : report.rtt_ms / 2,
				     .mos_lq = report.mos_lq > 0 ? report.mos_lq : -1,
				     .mos_cq = report.mos_cq > 0 ? report.mos_cq : -1,
				     .r = report.r,
				     .burst_density = of_one(report.burst_density),
				     .gap_density = of_one(report.gap_density),
				     .rtt_ms = report.rtt_ms };
	char id[27];

	qos->host->ulid(qos->host, id);
	(void)snprintf(record.id, sizeof record.id, "%s/phone", of.leg_id[0] ? of.leg_id : id);
	qos_write(qos, &record, &of); /* the last one of a leg is the one of its whole length */
	return PBX_OK;
}
