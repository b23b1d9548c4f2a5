/*
 * watch - answered legs are looked at again and again, and leave a record
 *
 * A call that began before we did is found in the list of legs; its packets so far count as ours. What is told of a leg at its end (leg.ended) is truer
 * than the newest sample, so that takes its place.
 */
#include "qos.h"
#include <stdlib.h>
#include <string.h>

#define LEAST_PACKETS 25 /* in a sample that is judged */
#define WRITE_EVERY_US ((int64_t)60 * 1000000)
#define COUNTED_US ((int64_t)5 * 1000000) /* shorter legs are in no average and raise no alert */

static void keep(char *into, size_t size, const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (length > size - 1)
		length = size - 1;
	memcpy(into, text ? text : "", length);
	into[length] = '\0';
}
#define KEEP(into, text) keep((into), sizeof(into), (text))

/* Where the leg of this id hangs, or would. */
static struct qos_leg **place_of(struct qos *qos, const char *id)
{
	uint32_t hash = 2166136261u;

	for (const char *at = id; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;

	struct qos_leg **place = &qos->by_id[(hash ^ hash >> 16) % QOS_BUCKETS];

	while (*place && strcmp((*place)->id, id) != 0)
		place = &(*place)->next_by_id;
	return place;
}

const struct qos_leg *qos_leg_find(struct qos *qos, const char *leg_id)
{
	return *place_of(qos, leg_id);
}

static void leg_list(struct qos *qos, struct qos_leg *leg)
{
	*place_of(qos, leg->id) = leg;
	leg->next = qos->legs;
	if (qos->legs)
		qos->legs->prev = leg;
	qos->legs = leg;
	qos->leg_count++;
}

static void leg_unlist(struct qos *qos, struct qos_leg *leg)
{
	*place_of(qos, leg->id) = leg->next_by_id;
	*(leg->prev ? &leg->prev->next : &qos->legs) = leg->next;
	if (leg->next)
		leg->next->prev = leg->prev;
	qos->leg_count--;
}

static void leg_free(struct qos_leg *leg)
{
	for (uint32_t i = 0; leg && i < QOS_WAYS; i++)
		free(leg->ways[i].points);
	free(leg);
}

static void add(struct qos *qos, pbx_leg handle, int64_t started_us)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct qos_leg *leg;

	if (qos->calls->info(handle, &info) != PBX_OK || *place_of(qos, info.id))
		return;
	leg = calloc(1, sizeof *leg);
	if (!leg) {
		pbx_warn(qos->host, "leg_not_watched", "leg=%s reason=memory", info.id);
		return;
	}
	leg->leg = handle;
	leg->started_us = leg->written_us = started_us;
	KEEP(leg->id, info.id);
	KEEP(leg->call_id, info.call_id);
	KEEP(leg->extension, info.peer[0] ? "" : info.account[0] ? info.account : info.number);
	KEEP(leg->trunk, info.peer);
	KEEP(leg->device, info.device);
	KEEP(leg->dialog, info.protocol_id);
	leg->ways[0].every = leg->ways[1].every = 1;
	leg_list(qos, leg);
}

/* ---- a sample ---- */

/* Twice as far apart from here on. */
static void thin_out(struct qos_way *way)
{
	for (uint32_t i = 0; i < QOS_POINTS / 2; i++)
		way->points[i] = way->points[2 * i];
	way->point_count = QOS_POINTS / 2;
	way->every *= 2;
}

/* Most calls last some minutes: room for a whole series would be twenty KiB a way. */
static bool has_room(struct qos_way *way)
{
	uint32_t room = way->point_room ? 2 * way->point_room : 16;
	struct qos_point *points;

	if (way->point_count < way->point_room)
		return true;
	points = realloc(way->points, room * sizeof *points);
	if (!points)
		return false;
	way->points = points;
	way->point_room = room;
	return true;
}

static void add_point(struct qos_way *way, const struct qos_point *point)
{
	if (++way->skipped < way->every)
		return;
	way->skipped = 0;
	if (way->point_count == QOS_POINTS)
		thin_out(way);
	if (has_room(way)) /* else a series with a hole */
		way->points[way->point_count++] = *point;
}

static void note_figures(struct qos_way *way, const struct pbx_leg_way *now)
{
	way->samples++;
	way->jitter_sum += now->jitter_ms;
	way->jitter_most = now->jitter_ms > way->jitter_most ? now->jitter_ms : way->jitter_most;
	if (now->round_trip_ms <= 0)
		return;
	way->trips++;
	way->trip_sum += now->round_trip_ms;
	way->trip_most = now->round_trip_ms > way->trip_most ? now->round_trip_ms : way->trip_most;
}

static void sample_way(struct qos *qos, struct qos_leg *leg, uint32_t at)
{
	struct qos_way *way = &leg->ways[at];
	struct pbx_leg_way now = { .size = sizeof now };
	struct pbx_way_score score = { .size = sizeof score };

	if (qos->quality->look(leg->leg, at + 1, &now) != PBX_OK)
		return;
	bool is_judged = qos->quality->score(way->has_last ? &way->last : NULL, &now, &score) == PBX_OK &&
			 now.packets - (way->has_last ? way->last.packets : 0) >= LEAST_PACKETS;
	struct qos_point point = { .at_us = qos->host->wall_us(qos->host) };

	if (is_judged) {
		note_figures(way, &now);
		point.mos = score.mos_lq;
		point.loss_percent = score.lost_percent;
		point.jitter_ms = now.jitter_ms;
		point.round_trip_ms = now.round_trip_ms;
		if (now.expected)
			qos_judge(qos, leg, at, score.mos_lq, score.lost_percent, now.jitter_ms, now.round_trip_ms, false);
	}
	way->mos = point.mos;
	add_point(way, &point);
	KEEP(way->codec, now.codec);
	KEEP(way->remote, now.remote);
	KEEP(way->srtp, now.srtp);
	KEEP(way->transport, now.transport);
	way->last = now;
	way->last.codec = way->codec;
	way->last.remote = way->remote;
	way->last.srtp = way->srtp;
	way->last.transport = way->transport;
	way->last.local = "";
	way->has_last = true;
}

static struct qos_gone names_of(const struct qos_leg *leg)
{
	struct qos_gone names;

	KEEP(names.dialog, leg->dialog);
	KEEP(names.leg_id, leg->id);
	KEEP(names.call_id, leg->call_id);
	KEEP(names.extension, leg->extension);
	KEEP(names.trunk, leg->trunk);
	return names;
}

static void write_so_far(struct qos *qos, struct qos_leg *leg)
{
	struct qos_gone names = names_of(leg);

	leg->written_us = qos->host->wall_us(qos->host);
	for (uint32_t i = 0; i < QOS_WAYS; i++) {
		struct qos_record record;

		qos_record_of(qos, leg, i, &record);
		qos_write(qos, &record, &names);
		free(record.series);
	}
}

void qos_on_sample(void *self, pbx_timer timer)
{
	struct qos *qos = self;
	int64_t now_us = qos->host->wall_us(qos->host);

	(void)timer;
	for (struct qos_leg *leg = qos->legs; leg; leg = leg->next) {
		for (uint32_t i = 0; i < QOS_WAYS; i++)
			sample_way(qos, leg, i);
		if (now_us - leg->written_us >= WRITE_EVERY_US)
			write_so_far(qos, leg);
	}
	(void)qos->metrics->set(qos->host, QOS_METRIC_LEGS, NULL, qos->leg_count);
	if (qos->timers->start(qos->host, (uint64_t)qos->settings->sample_s * 1000, 0, qos_on_sample, qos, &qos->sampling) != PBX_OK)
		pbx_error(qos->host, "sampling_ended", "reason=memory");
}

/* ---- a record ---- */

static char *series_text(const struct qos *qos, const struct qos_way *way)
{
	const struct pbx_jsons *json = qos->json;
	struct pbx_json *list = way->point_count ? json->new_array() : NULL;

	for (uint32_t i = 0; list && i < way->point_count; i++) {
		const struct qos_point *point = &way->points[i];
		struct pbx_json *item = json->new_object();

		(void)json->set_time(item, "at", point->at_us);
		if (point->mos > 0) {
			(void)json->set_number(item, "mos", point->mos);
			(void)json->set_number(item, "packet_loss_percentage", point->loss_percent);
			(void)json->set_number(item, "jitter_ms", point->jitter_ms);
			(void)json->set_number(item, "rtt_ms", point->round_trip_ms);
		} else {
			(void)json->set_text(item, "mos", NULL); /* nothing came */
		}
		(void)json->append(list, item);
	}
	char *printed = list ? json->print(list) : NULL, *text = printed ? strdup(printed) : NULL;

	json->free_text(printed);
	json->free(list);
	return text;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : -1;
}

void qos_record_of(const struct qos *qos, const struct qos_leg *leg, uint32_t at, struct qos_record *ret_record)
{
	const struct qos_way *way = &leg->ways[at];
	const struct pbx_leg_way *last = &way->last;
	struct pbx_way_score score = { .size = sizeof score };
	bool is_from = at + 1 == PBX_FROM_PARTY, is_judged = way->has_last && qos->quality->score(NULL, last, &score) == PBX_OK;

	*ret_record = (struct qos_record){ .direction = is_from ? "from" : "to",
					   .codec = way->codec,
					   .remote = way->remote,
					   .srtp = way->srtp,
					   .transport = way->transport,
					   .model = is_judged ? score.model : "",
					   .source = is_from ? "rtp" : "rtcp",
					   .started_us = leg->started_us,
					   .packets_sent = is_from ? 0 : (int64_t)last->packets,
					   .packets_received = is_from ? (int64_t)last->packets : 0,
					   .lost = (int64_t)last->lost,
					   .out_of_order = (int64_t)last->reordered,
					   .discarded = (int64_t)last->discarded,
					   .duplicates = (int64_t)last->duplicates,
					   .loss_percent = is_judged ? score.lost_percent : -1,
					   .jitter_avg_ms = way->samples ? way->jitter_sum / way->samples : -1,
					   .jitter_max_ms = way->samples ? way->jitter_most : -1,
					   .latency_avg_ms = way->trips ? way->trip_sum / way->trips / 2 : -1,
					   .latency_max_ms = way->trips ? way->trip_most / 2 : -1,
					   .mos_lq = is_judged ? score.mos_lq : -1,
					   .mos_cq = is_judged ? score.mos_cq : -1,
					   .r = is_judged ? score.r : -1,
					   .burst_density = share(last->burst_lost, last->burst_packets),
					   .gap_density = share(last->judged_lost - last->burst_lost, last->judged - last->burst_packets),
					   .rtt_ms = last->round_trip_ms > 0 ? last->round_trip_ms : -1,
					   .series = series_text(qos, way) };
	(void)snprintf(ret_record->id, sizeof ret_record->id, "%s/%s", leg->id, ret_record->direction);
}

/* A figure of leg.ended; -1: it is not there. */
static double figure(const struct qos *qos, const struct pbx_event *event, const char *name)
{
	return qos->json->number(qos->json->get(event->data, name), -1);
}

static void take_end(const struct qos *qos, const struct pbx_event *event, struct qos_record *record)
{
	bool is_from = strcmp(record->direction, "from") == 0;
	const char *codec = qos->json->text(qos->json->get(event->data, "codec")),
		   *model = qos->json->text(qos->json->get(event->data, "model"));
	double jitter_ms = figure(qos, event, is_from ? "jitter_ms" : "heard_jitter_ms");

	record->ended_us = event->wall_us;
	if (!record->codec[0] && codec)
		record->codec = codec;
	if (model)
		record->model = model;
	if (is_from) {
		record->packets_received = (int64_t)figure(qos, event, "packets_in");
		record->lost = (int64_t)figure(qos, event, "lost");
		record->out_of_order = (int64_t)figure(qos, event, "reordered");
		record->duplicates = (int64_t)figure(qos, event, "duplicates");
		record->mos_cq = figure(qos, event, "mos_cq");
	} else {
		record->packets_sent = (int64_t)figure(qos, event, "packets_out");
	}
	record->loss_percent = figure(qos, event, is_from ? "loss_percent" : "heard_loss_percent");
	record->mos_lq = figure(qos, event, is_from ? "mos" : "heard_mos");
	if (!is_from && record->mos_lq < 0)
		record->mos_cq = record->r = -1;
	if (record->jitter_avg_ms < 0 && record->mos_lq > 0)
		record->jitter_avg_ms = record->jitter_max_ms = jitter_ms;
}

static void observe(struct qos *qos, const struct qos_record *record)
{
	if (record->mos_lq < 0 || record->ended_us - record->started_us < COUNTED_US)
		return;
	(void)qos->metrics->observe(qos->host, QOS_METRIC_MOS, record->direction, record->mos_lq);
	if (record->loss_percent >= 0)
		(void)qos->metrics->observe(qos->host, QOS_METRIC_LOSS, record->direction, record->loss_percent / 100);
	if (record->jitter_avg_ms >= 0)
		(void)qos->metrics->observe(qos->host, QOS_METRIC_JITTER, record->direction, record->jitter_avg_ms / 1000);
	if (record->rtt_ms >= 0)
		(void)qos->metrics->observe(qos->host, QOS_METRIC_TRIP, NULL, record->rtt_ms / 1000);
}

static void end_way(struct qos *qos, struct qos_leg *leg, uint32_t at, const struct qos_gone *names, const struct pbx_event *event,
		    struct pbx_json *report)
{
	struct qos_record record;

	qos_record_of(qos, leg, at, &record);
	take_end(qos, event, &record);
	qos_write(qos, &record, names);
	observe(qos, &record);
	if (event->wall_us - leg->started_us >= COUNTED_US)
		qos_judge(qos, leg, at, record.mos_lq, record.loss_percent, record.jitter_avg_ms, record.rtt_ms, true);
	(void)qos->json->set(report, record.direction, qos_report_json(qos, &record));
	free(record.series);
}

static pbx_call call_of(const struct qos *qos, const char *call_id)
{
	pbx_call call = { 0 };

	(void)qos->calls->find_call(call_id, &call); /* gone: the event stands by itself */
	return call;
}

static void on_ended(struct qos *qos, const struct pbx_event *event, const char *leg_id)
{
	struct qos_leg *leg = *place_of(qos, leg_id);
	struct qos_gone *names = &qos->gone[qos->gone_next % QOS_GONE];
	struct pbx_json *report;

	if (!leg)
		return;
	qos->gone_next++;
	*names = names_of(leg);
	report = qos->json->new_object();
	(void)qos->json->set_text(report, "leg_id", leg->id);
	(void)qos->json->set_text(report, "call_id", leg->call_id);
	(void)qos->json->set_text(report, "extension", leg->extension);
	(void)qos->json->set_text(report, "trunk", leg->trunk);
	for (uint32_t i = 0; i < QOS_WAYS; i++)
		end_way(qos, leg, i, names, event, report);
	(void)qos->bus->publish(qos->host, "quality.report", call_of(qos, leg->call_id), report);
	leg_unlist(qos, leg);
	leg_free(leg);
}

static void on_audio(struct qos *qos, const struct pbx_event *event, const char *leg_id, bool is_missing)
{
	const char *way = qos->json->text(qos->json->get(event->data, "way"));
	uint32_t at = way && strcmp(way, "to_party") == 0 ? 1 : 0;
	struct qos_leg *leg = *place_of(qos, leg_id);

	if (!leg)
		return;
	leg->ways[at].missing = is_missing;
	if (is_missing)
		qos_alert(qos, leg, at, QOS_ONE_WAY, figure(qos, event, "for_ms") / 1000, 0);
	else
		qos_alert_over(qos, leg, at, QOS_ONE_WAY);
}

static void on_event(void *self, const struct pbx_event *event)
{
	struct qos *qos = self;
	const char *leg_id = qos->json->text(qos->json->get(event->data, "leg_id"));
	pbx_leg leg;

	if (!leg_id)
		return;
	if (strcmp(event->type, "leg.ended") == 0)
		on_ended(qos, event, leg_id);
	else if (strcmp(event->type, "leg.answered") != 0)
		on_audio(qos, event, leg_id, strcmp(event->type, "leg.audio_missing") == 0);
	else if (qos->calls->find_leg(leg_id, &leg) == PBX_OK)
		add(qos, leg, event->wall_us);
}

static void add_living(void *context, pbx_leg leg)
{
	struct qos *qos = context;
	struct pbx_leg_info info = { .size = sizeof info };

	if (qos->calls->info(leg, &info) == PBX_OK && info.state == PBX_LEG_ANSWERED)
		add(qos, leg, qos->host->wall_us(qos->host) - (int64_t)(qos->host->now_ms(qos->host) - info.answered_at_ms) * 1000);
}

int qos_watch_start(struct qos *qos)
{
	pbx_subscription subscription;
	int err = qos->bus->subscribe(qos->host, "leg.answered,leg.ended,leg.audio_missing,leg.audio_back", on_event, qos, &subscription);

	qos->calls->each((pbx_call){ 0 }, add_living, qos);
	return err == PBX_OK
		       ? qos->timers->start(qos->host, (uint64_t)qos->settings->sample_s * 1000, 0, qos_on_sample, qos, &qos->sampling)
		       : err;
}

void qos_watch_clear(struct qos *qos)
{
	while (qos->legs) {
		struct qos_leg *leg = qos->legs;

		qos->legs = leg->next;
		leg_free(leg);
	}
}
