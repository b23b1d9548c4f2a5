/*
 * alerts - a sample that is too bad is told of, once for each leg, way and kind, and when it has become better
 *
 * Better is ten percent beyond the threshold, twice in a row: a figure that swings around it is one alert.
 */
#include "qos.h"
#include <string.h>

#define GOOD_SAMPLES 2u

const char *const qos_alert_types[QOS_ALERT_TYPES] = { "low_mos", "high_packet_loss", "high_jitter", "high_latency", "one_way_audio" };
static const char *const severities[QOS_ALERT_TYPES] = { "warning", "error", "warning", "warning", "error" };

static double either(double set, double setting)
{
	return set >= 0 ? set : setting;
}

struct qos_thresholds qos_thresholds(const struct qos *qos)
{
	const struct qos_settings *settings = qos->settings;

	return (struct qos_thresholds){ .mos_min = either(qos->set.mos_min, settings->mos_min),
					.packet_loss_max = either(qos->set.packet_loss_max, settings->packet_loss_max),
					.jitter_max = either(qos->set.jitter_max, settings->jitter_max),
					.latency_max = either(qos->set.latency_max, settings->latency_max) };
}

const char *qos_rating(double mos)
{
	if (mos < 1)
		return NULL;
	return mos >= 4.3 ? "excellent" : mos >= 4.0 ? "good" : mos >= 3.6 ? "fair" : mos >= 3.1 ? "poor" : "bad";
}

static void write_message(char *text, size_t size, const struct qos_leg *leg, uint32_t way, uint32_t type, double value, double threshold)
{
	const char *who = leg->extension[0] ? leg->extension : leg->trunk;
	const char *side = way == 0 ? "what we hear of" : "what is heard by";

	if (type == QOS_LOW_MOS)
		(void)snprintf(text, size, "MOS of %s %s is %.2f, under %.2f", side, who, value, threshold);
	else if (type == QOS_HIGH_LOSS)
		(void)snprintf(text, size, "%.1f %% of %s %s is lost, over %.1f %%", value, side, who, threshold);
	else if (type == QOS_HIGH_JITTER)
		(void)snprintf(text, size, "jitter of %s %s is %.0f ms, over %.0f ms", side, who, value, threshold);
	else if (type == QOS_HIGH_LATENCY)
		(void)snprintf(text, size, "the round trip to %s is %.0f ms, over %.0f ms", who, value, threshold);
	else if (way == 0)
		(void)snprintf(text, size, "%s is not heard: no packet has come for %.0f s", who, value);
	else
		(void)snprintf(text, size, "%s hears nothing: its reports say that no packet of ours arrives", who);
}

static void store_alert(struct qos *qos, const struct qos_leg *leg, uint32_t way, uint32_t type, double value, double threshold,
			const char *message)
{
	const struct pbx_value params[] = { pbx_v_text(leg->ways[way].alerts[type].id),
					    pbx_v_text(leg->call_id),
					    pbx_v_text(leg->id),
					    pbx_v_text(way == 0 ? "from" : "to"),
					    pbx_v_text(qos_alert_types[type]),
					    pbx_v_text(severities[type]),
					    PBX_V_NUMBER(value),
					    PBX_V_NUMBER(threshold),
					    pbx_v_text(message),
					    PBX_V_INT(qos->host->wall_us(qos->host)) };
	int err = qos->store->record(
		qos->host,
		"INSERT INTO qos_alerts (id, call_id, leg_id, direction, type, severity, value, threshold, message, raised_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
		params, sizeof params / sizeof params[0], NULL, NULL);

	if (err != PBX_OK)
		pbx_error(qos->host, "alert_not_written", "error=%d leg=%s type=%s", err, leg->id, qos_alert_types[type]);
}

void qos_alert(struct qos *qos, struct qos_leg *leg, uint32_t way, uint32_t type, double value, double threshold)
{
	char message[200];
	struct pbx_json *data;
	pbx_call call = { 0 };

	if (leg->ways[way].alerts[type].raised)
		return;
	leg->ways[way].alerts[type].raised = true;
	qos->host->ulid(qos->host, leg->ways[way].alerts[type].id);
	write_message(message, sizeof message, leg, way, type, value, threshold);
	store_alert(qos, leg, way, type, value, threshold, message);
	qos->alerts_raised++;
	(void)qos->metrics->add(qos->host, QOS_METRIC_ALERTS, qos_alert_types[type], 1);
	data = qos->json->new_object();
	(void)qos->json->set_text(data, "alert_id", leg->ways[way].alerts[type].id);
	(void)qos->json->set_text(data, "leg_id", leg->id);
	(void)qos->json->set_text(data, "direction", way == 0 ? "from" : "to");
	(void)qos->json->set_text(data, "type", qos_alert_types[type]);
	(void)qos->json->set_text(data, "severity", severities[type]);
	(void)qos->json->set_number(data, "value", value);
	(void)qos->json->set_number(data, "threshold", threshold);
	(void)qos->json->set_text(data, "message", message);
	(void)qos->json->set_text(data, "extension", leg->extension);
	(void)qos->json->set_text(data, "trunk", leg->trunk);
	(void)qos->calls->find_call(leg->call_id, &call); /* over already: told all the same */
	(void)qos->bus->publish(qos->host, "quality.alert", call, data);
}

void qos_alert_over(struct qos *qos, struct qos_leg *leg, uint32_t way, uint32_t type)
{
	const struct pbx_value params[] = { pbx_v_text(leg->ways[way].alerts[type].id), PBX_V_INT(qos->host->wall_us(qos->host)) };

	if (!leg->ways[way].alerts[type].raised || leg->ways[way].alerts[type].over)
		return;
	leg->ways[way].alerts[type].over = true;
	(void)qos->store->record(qos->host, "UPDATE qos_alerts SET cleared_at = $2 WHERE id = $1", params, 2, NULL, NULL);
}

static void judge_one(struct qos *qos, struct qos_leg *leg, uint32_t way, uint32_t type, double value, double threshold, bool is_low)
{
	double excess = is_low ? threshold - value : value - threshold;

	if (value < 0)
		return;
	if (excess > 0) {
		leg->ways[way].alerts[type].good = 0;
		qos_alert(qos, leg, way, type, value, threshold);
	} else if (-excess >= threshold / 10 && ++leg->ways[way].alerts[type].good >= GOOD_SAMPLES) {
		qos_alert_over(qos, leg, way, type);
	}
}

void qos_judge(struct qos *qos, struct qos_leg *leg, uint32_t way, double mos, double loss_percent, double jitter_ms, double round_trip_ms,
	       bool is_whole)
{
	struct qos_thresholds limits = qos_thresholds(qos);

	judge_one(qos, leg, way, QOS_LOW_MOS, mos > 0 ? mos : -1, limits.mos_min, true);
	judge_one(qos, leg, way, QOS_HIGH_LOSS, loss_percent, limits.packet_loss_max, false);
	judge_one(qos, leg, way, QOS_HIGH_JITTER, jitter_ms, limits.jitter_max, false);
	if (way == 0) /* the round trip is the same both ways */
		judge_one(qos, leg, way, QOS_HIGH_LATENCY, round_trip_ms > 0 ? round_trip_ms : -1, limits.latency_max, false);
	for (uint32_t type = 0; is_whole && type < QOS_ALERT_TYPES; type++)
		qos_alert_over(qos, leg, way, type); /* with its call */
}
