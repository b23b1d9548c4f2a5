/*
 * rows - records to the table and to JSON, thresholds that were set by REST, and what is too old
 */
#include "qos.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define DAY_US ((int64_t)86400 * 1000000)
#define HOUR_US ((int64_t)3600 * 1000000)
#define COUNTED_US ((int64_t)5 * 1000000)

static struct pbx_value known(double figure)
{
	return figure < 0 ? PBX_V_NULL : PBX_V_NUMBER(figure);
}

static const char *text_or_null(const char *text)
{
	return text && text[0] ? text : NULL;
}

/* "192.0.2.7:4000" without its port: 192.0.2.7, and its network 192.0.2.0/24 or 2001:db8:1:2::/64. */
static void places_of(const char *remote, char ret_ip[64], char ret_subnet[64])
{
	const char *colon = strrchr(remote, ':');
	size_t bracket = remote[0] == '[', length = colon ? (size_t)(colon - remote) : strlen(remote);
	unsigned char bytes[16];
	char network[INET6_ADDRSTRLEN] = "";

	(void)snprintf(ret_ip, 64, "%.*s", length > 2 * bracket ? (int)(length - 2 * bracket) : 0, remote + bracket);
	ret_subnet[0] = '\0';
	if (inet_pton(AF_INET, ret_ip, bytes) == 1) {
		bytes[3] = 0;
		(void)inet_ntop(AF_INET, bytes, network, sizeof network);
		(void)snprintf(ret_subnet, 64, "%s/24", network);
	} else if (inet_pton(AF_INET6, ret_ip, bytes) == 1) {
		memset(bytes + 8, 0, 8);
		(void)inet_ntop(AF_INET6, bytes, network, sizeof network);
		(void)snprintf(ret_subnet, 64, "%s/64", network);
	}
}

void qos_write(struct qos *qos, const struct qos_record *record, const struct qos_gone *of)
{
	char ip[64], subnet[64];
	int64_t ended_us = record->ended_us, now_us = qos->host->wall_us(qos->host),
		length_us = (ended_us ? ended_us : now_us) - record->started_us;
	bool counts = ended_us && record->mos_lq > 0 && length_us >= COUNTED_US;

	places_of(record->remote ? record->remote : "", ip, subnet);
	const struct pbx_value params[] = {
		pbx_v_text(record->id),
		pbx_v_text(of->call_id),
		pbx_v_text(of->leg_id),
		pbx_v_text(record->direction),
		PBX_V_INT(record->started_us),
		PBX_V_INT(ended_us),
		PBX_V_NUMBER((double)length_us / 1e6),
		PBX_V_INT(record->packets_sent),
		PBX_V_INT(record->packets_received),
		PBX_V_INT(record->lost),
		PBX_V_INT(record->out_of_order),
		known(record->loss_percent),
		known(record->jitter_avg_ms),
		known(record->jitter_max_ms),
		known(record->latency_avg_ms),
		known(record->latency_max_ms),
		known(record->mos_lq),
		pbx_v_text(qos_rating(record->mos_lq)),
		known(record->mos_cq),
		known(record->r),
		PBX_V_INT(record->discarded),
		PBX_V_INT(record->duplicates),
		known(record->burst_density),
		known(record->gap_density),
		known(record->rtt_ms),
		pbx_v_text(text_or_null(record->model)),
		pbx_v_text(text_or_null(record->codec)),
		pbx_v_text(text_or_null(of->extension)),
		pbx_v_text(text_or_null(of->trunk)),
		pbx_v_text(text_or_null(ip)),
		pbx_v_text(text_or_null(subnet)),
		PBX_V_INT(record->started_us / HOUR_US % 24),
		PBX_V_INT(counts),
		pbx_v_text(record->source),
		pbx_v_text(text_or_null(record->srtp)),
		pbx_v_text(record->series ? record->series : "[]"),
		pbx_v_text(text_or_null(record->transport)),
	};
	int err = qos->store->record(
		qos->host,
		"INSERT INTO qos_metrics (id, call_id, leg, direction, start_time, end_time, duration_seconds, packets_sent, "
		"packets_received,"
		" packets_lost, packets_out_of_order, packet_loss_percentage, jitter_avg_ms, jitter_max_ms, latency_avg_ms, "
		"latency_max_ms, mos_lq,"
		" quality_rating, mos_cq, r_factor, packets_discarded, packets_duplicate, burst_density, gap_density, rtt_ms, model, "
		"codec, extension,"
		" trunk, remote_ip, subnet, hour, counts, source, srtp, series, transport)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, "
		"$25, $26, $27,"
		" $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)"
		" ON CONFLICT (id) DO UPDATE SET end_time = $6, duration_seconds = $7, packets_sent = $8, packets_received = $9, "
		"packets_lost = $10,"
		" packets_out_of_order = $11, packet_loss_percentage = $12, jitter_avg_ms = $13, jitter_max_ms = $14, latency_avg_ms = $15,"
		" latency_max_ms = $16, mos_lq = $17, quality_rating = $18, mos_cq = $19, r_factor = $20, packets_discarded = $21,"
		" packets_duplicate = $22, burst_density = $23, gap_density = $24, rtt_ms = $25, model = $26, codec = $27, remote_ip = "
		"$30, subnet = $31,"
		" counts = $33, srtp = $35, series = $36, transport = $37",
		params, sizeof params / sizeof params[0], NULL, NULL);

	if (err != PBX_OK)
		pbx_error(qos->host, "record_not_written", "error=%d record=%s", err, record->id);
}

/* ---- as JSON ---- */

/* How a record is told: to whoever asks with null for what is not known, in an event without it. */
struct telling {
	const struct pbx_jsons *json;
	struct pbx_json *object;
	bool with_null;
};

static void tell_text(const struct telling *telling, const char *name, const char *text)
{
	if (text_or_null(text) || telling->with_null)
		(void)telling->json->set_text(telling->object, name, text_or_null(text));
}

static void tell_figure(const struct telling *telling, const char *name, double figure)
{
	if (figure >= 0)
		(void)telling->json->set_number(telling->object, name, (double)(int64_t)(figure * 1000 + 0.5) / 1000);
	else
		tell_text(telling, name, NULL);
}

static void tell_time(const struct telling *telling, const char *name, int64_t wall_us)
{
	if (wall_us)
		(void)telling->json->set_time(telling->object, name, wall_us);
	else
		tell_text(telling, name, NULL);
}

static void tell_record(const struct telling *telling, const struct qos_record *record)
{
	tell_text(telling, "direction", record->direction);
	tell_text(telling, "source", record->source);
	tell_time(telling, "start_time", record->started_us);
	tell_time(telling, "end_time", record->ended_us);
	(void)telling->json->set_integer(telling->object, "packets_sent", record->packets_sent);
	(void)telling->json->set_integer(telling->object, "packets_received", record->packets_received);
	(void)telling->json->set_integer(telling->object, "packets_lost", record->lost);
	(void)telling->json->set_integer(telling->object, "packets_out_of_order", record->out_of_order);
	(void)telling->json->set_integer(telling->object, "packets_discarded", record->discarded);
	(void)telling->json->set_integer(telling->object, "packets_duplicate", record->duplicates);
	tell_figure(telling, "packet_loss_percentage", record->loss_percent);
	tell_figure(telling, "jitter_avg_ms", record->jitter_avg_ms);
	tell_figure(telling, "jitter_max_ms", record->jitter_max_ms);
	tell_figure(telling, "latency_avg_ms", record->latency_avg_ms);
	tell_figure(telling, "latency_max_ms", record->latency_max_ms);
	tell_figure(telling, "rtt_ms", record->rtt_ms);
	tell_figure(telling, "mos_score", record->mos_lq);
	tell_figure(telling, "mos_cq", record->mos_cq);
	tell_figure(telling, "r_factor", record->r);
	tell_figure(telling, "burst_density", record->burst_density);
	tell_figure(telling, "gap_density", record->gap_density);
	tell_text(telling, "quality_rating", qos_rating(record->mos_lq));
	tell_text(telling, "model", record->model);
	tell_text(telling, "codec", record->codec);
	tell_text(telling, "remote", record->remote);
	tell_text(telling, "srtp", record->srtp);
	tell_text(telling, "transport", record->transport);
}

struct pbx_json *qos_record_json(const struct qos *qos, const struct qos_record *record, const struct qos_gone *of)
{
	const struct telling telling = { qos->json, qos->json->new_object(), true };

	tell_text(&telling, "call_id", of->call_id);
	tell_text(&telling, "leg_id", of->leg_id);
	tell_text(&telling, "extension", of->extension);
	tell_text(&telling, "trunk", of->trunk);
	tell_record(&telling, record);
	return telling.object;
}

struct pbx_json *qos_report_json(const struct qos *qos, const struct qos_record *record)
{
	const struct telling telling = { qos->json, qos->json->new_object(), false };

	tell_record(&telling, record);
	return telling.object;
}

/* ---- thresholds ---- */

static double *threshold_named(struct qos_thresholds *set, const char *name)
{
	if (strcmp(name, "mos_min") == 0)
		return &set->mos_min;
	if (strcmp(name, "packet_loss_max") == 0)
		return &set->packet_loss_max;
	if (strcmp(name, "jitter_max") == 0)
		return &set->jitter_max;
	return strcmp(name, "latency_max") == 0 ? &set->latency_max : NULL;
}

static void on_thresholds(void *self, const struct pbx_rows *rows)
{
	struct qos *qos = self;

	for (uint32_t row = 0; row < rows->count; row++) {
		const struct pbx_value *cell = pbx_cell(rows, row, 1);
		double *threshold = threshold_named(&qos->set, pbx_cell_text(rows, row, 0));

		if (threshold)
			*threshold = cell->type == PBX_VALUE_NUMBER ? cell->as.number : (double)pbx_cell_int(rows, row, 1);
	}
	qos->host->ready(qos->host, rows->status, rows->error);
}

int qos_load_thresholds(struct qos *qos)
{
	int err;

	qos->set = (struct qos_thresholds){ -1, -1, -1, -1 };
	err = qos->store->run(qos->host, "SELECT name, value FROM qos_thresholds", NULL, 0, on_thresholds, qos);
	return err == PBX_OK ? PBX_ELATER : err;
}

void qos_store_threshold(struct qos *qos, const char *name, double value)
{
	const struct pbx_value params[] = { pbx_v_text(name), PBX_V_NUMBER(value) };
	double *threshold = threshold_named(&qos->set, name);

	if (threshold)
		*threshold = value;
	(void)qos->store->record(qos->host,
				 "INSERT INTO qos_thresholds (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
				 params, 2, NULL, NULL);
}

/* ---- old records ---- */

void qos_on_retire(void *self, pbx_timer timer)
{
	struct qos *qos = self;
	const struct pbx_value params[] = { PBX_V_INT(qos->host->wall_us(qos->host) - (int64_t)qos->settings->retention_days * DAY_US) };

	(void)timer;
	if (qos->settings->retention_days == 0)
		return;
	(void)qos->store->run(qos->host, "DELETE FROM qos_metrics WHERE start_time < $1", params, 1, NULL, NULL);
	(void)qos->store->run(qos->host, "DELETE FROM qos_alerts WHERE raised_at < $1", params, 1, NULL, NULL);
}
