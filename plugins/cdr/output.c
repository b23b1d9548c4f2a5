/*
 * output - records to files, an HTTP service and syslog: follow, send, acknowledge, try again
 *
 *   cdr.created ──▶ waits ──▶ sent ──▶ acknowledged to the event log
 *                     ▲         │
 *                     └─ 1 s, 2 s, 4 s … 60 s ─┘  while the receiver is away
 *
 * The event log is the spool: what is not acknowledged is shown again after a restart, and while nothing is acknowledged no more than a
 * window of the log is in memory. Where a record goes is told by the kind (output_file.c, output_http.c, output_syslog.c).
 */
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MOST_S 60u

static const struct output_kind *const kinds[] = { &output_csv, &output_jsonl, &output_http, &output_syslog };
#define KINDS (sizeof kinds / sizeof kinds[0])

struct outputs {
	struct output list[KINDS];
};

/* ---- what waits ------------------------------------------------------------------------ */

static void outgoing_free(struct outgoing *record)
{
	free(record->text);
	free(record);
}

void outgoing_free_all(struct outgoing *records)
{
	while (records) {
		struct outgoing *record = records;

		records = record->next;
		outgoing_free(record);
	}
}

static void count_waiting(struct output *output, int32_t more)
{
	output->waiting += (uint32_t)more;
	(void)output->cdr->metrics->set(output->cdr->host, METRIC_WAITING, output->kind->name, output->waiting);
}

static void append(struct output *output, struct outgoing *records)
{
	*output->end = records;
	while (*output->end) {
		output->end = &(*output->end)->next;
		count_waiting(output, 1);
	}
}

struct outgoing *output_take(struct output *output, uint32_t *ret_count)
{
	struct outgoing *records = output->first;

	*ret_count = output->waiting;
	output->first = NULL;
	output->end = &output->first;
	count_waiting(output, -(int32_t)output->waiting);
	return records;
}

void output_give_back(struct output *output, struct outgoing *records)
{
	uint32_t count;
	struct outgoing *newer = output_take(output, &count);

	append(output, records);
	append(output, newer);
}

void output_drop_first(struct output *output)
{
	struct outgoing *record = output->first;

	output->first = record->next;
	if (!output->first)
		output->end = &output->first;
	count_waiting(output, -1);
	outgoing_free(record);
}

void output_drop_idle(struct output *output)
{
	uint32_t count;

	for (const struct outgoing *record = output->first; record; record = record->next)
		if (record->is_away)
			return;
	outgoing_free_all(output_take(output, &count));
}

static struct outgoing *outgoing_new(struct output *output, const struct pbx_event *event)
{
	const struct pbx_jsons *json = output->cdr->json;
	const char *id = json->text(json->get(event->data, "id")), *started_at = json->text(json->get(event->data, "started_at"));
	char *text = json->print(event->data);
	struct outgoing *record = calloc(1, sizeof *record);

	if (record)
		record->text = text ? strdup(text) : NULL;
	json->free_text(text);
	if (!record || !record->text) {
		free(record);
		return NULL;
	}
	record->output = output;
	record->seq = event->seq;
	record->ended_us = event->wall_us;
	(void)snprintf(record->id, sizeof record->id, "%s", id ? id : "");
	(void)snprintf(record->day, sizeof record->day, "%.10s", started_at ? started_at : "0000-00-00");
	return record;
}

static void on_created(void *self, const struct pbx_event *event)
{
	struct output *output = self;
	struct outgoing *record;

	if (output->lost_seq)
		return; /* shown again with the one that was lost */
	record = outgoing_new(output, event);
	if (!record) {
		output->lost_seq = event->seq;
		output_failed(output, "there is no memory");
		return;
	}
	append(output, record);
	output_wake(output);
}

/* ---- what became of it ----------------------------------------------------------------- */

void output_count(const struct output *output, const char *result, uint32_t count)
{
	char labels[48];

	(void)snprintf(labels, sizeof labels, "%s,%s", output->kind->name, result);
	(void)output->cdr->metrics->add(output->cdr->host, METRIC_OUTPUT, labels, count);
}

void output_arrived(struct output *output, uint32_t count)
{
	const struct cdr *cdr = output->cdr;
	int64_t now_us = cdr->host->wall_us(cdr->host);

	if (output->failures)
		pbx_notice(cdr->host, "output_recovered", "output=%s after_s=%lld", output->kind->name,
			   (long long)(now_us - output->failing_since_us) / 1000000);
	output->failures = 0;
	output->failing_since_us = 0;
	output->last_sent_us = now_us;
	output->sent += count;
	output_count(output, "sent", count);
}

/* A record found no memory: when those before it have arrived the log shows it again. */
static void go_back(struct output *output)
{
	int64_t before = output->lost_seq - 1;

	output->lost_seq = 0;
	(void)output->cdr->bus->rewind(output->follower, before);
}

void output_wake(struct output *output)
{
	if (output->retry.id || !output->follower.id)
		return;
	if (output->first)
		output->kind->send(output);
	else if (output->lost_seq && output->away == 0)
		go_back(output);
}

static void on_retry(void *self, pbx_timer timer)
{
	struct output *output = self;

	(void)timer;
	output->retry = (pbx_timer){ 0 };
	output_wake(output);
}

void output_failed(struct output *output, const char *reason)
{
	struct cdr *cdr = output->cdr;
	uint32_t pause_s = output->failures < 6 ? 1u << output->failures : RETRY_MOST_S;

	(void)snprintf(output->reason, sizeof output->reason, "%s", reason);
	if (output->failures++ == 0) {
		output->failing_since_us = cdr->host->wall_us(cdr->host);
		pbx_error(cdr->host, "output_failing",
			  "output=%s reason=\"%s\" hint=\"records wait in the event log and are sent when it works again\"",
			  output->kind->name, output->reason);
	}
	output_count(output, "failed", 1);
	if (!output->retry.id)
		(void)cdr->timers->start(cdr->host, pause_s * 1000u, 0, on_retry, output, &output->retry);
}

/* ---- on and off ------------------------------------------------------------------------ */

static void output_stop(struct output *output)
{
	struct cdr *cdr = output->cdr;

	(void)cdr->bus->unsubscribe(output->follower);
	(void)cdr->timers->stop(output->retry);
	output->follower = (pbx_subscription){ 0 };
	output->retry = (pbx_timer){ 0 };
	output->failures = 0;
	output->lost_seq = 0;
	output_drop_idle(output);
}

/* The address may be another one now. A job that has the connection looks by itself. */
static void output_close(struct output *output)
{
	if (output->fd >= 0 && output->away == 0) {
		(void)close(output->fd);
		output->fd = -1;
	}
}

static int output_start(struct output *output)
{
	struct cdr *cdr = output->cdr;
	char follower[24];
	int err = PBX_OK;

	(void)snprintf(follower, sizeof follower, "to-%s", output->kind->name);
	output_close(output);
	if (!output->kind->is_on(cdr->settings)) {
		output_stop(output);
		return cdr->bus->forget(cdr->host, follower); /* switched on again it begins with then, not with now */
	}
	if (!output->follower.id)
		err = cdr->bus->follow(cdr->host, follower, "cdr.created", on_created, output, &output->follower);
	return err;
}

struct outputs *outputs_new(struct cdr *cdr)
{
	struct outputs *outputs = calloc(1, sizeof *outputs);

	for (size_t i = 0; outputs && i < KINDS; i++) {
		struct output *output = &outputs->list[i];

		*output = (struct output){ .cdr = cdr, .kind = kinds[i], .fd = -1 };
		output->end = &output->first;
	}
	return outputs;
}

int outputs_apply(struct outputs *outputs)
{
	int err = PBX_OK;

	for (size_t i = 0; i < KINDS && err == PBX_OK; i++)
		err = output_start(&outputs->list[i]);
	return err;
}

void outputs_stop(struct outputs *outputs)
{
	for (size_t i = 0; i < KINDS; i++)
		output_stop(&outputs->list[i]);
}

void outputs_free(struct outputs *outputs)
{
	for (size_t i = 0; outputs && i < KINDS; i++) {
		outgoing_free_all(outputs->list[i].first);
		if (outputs->list[i].fd >= 0)
			(void)close(outputs->list[i].fd);
	}
	free(outputs);
}

struct pbx_json *outputs_json(const struct outputs *outputs)
{
	const struct cdr *cdr = outputs->list[0].cdr;
	const struct pbx_jsons *json = cdr->json;
	struct pbx_json *items = json->new_array();

	for (size_t i = 0; i < KINDS; i++) {
		const struct output *output = &outputs->list[i];
		struct pbx_json *item = json->new_object();

		(void)json->set_text(item, "output", output->kind->name);
		(void)json->set_text(item, "state", !output->follower.id ? "off" : output->failures ? "failing" : "working");
		(void)json->set_integer(item, "waiting", output->waiting);
		(void)json->set_integer(item, "sent", (int64_t)output->sent);
		(void)json->set_time(item, "last_sent_at", output->last_sent_us);
		(void)json->set_time(item, "failing_since", output->failing_since_us);
		(void)json->set_text(item, "reason", output->failures ? output->reason : NULL);
		(void)json->append(items, item);
	}
	return items;
}

/* ---- settings -------------------------------------------------------------------------- */

int outputs_check(const struct cdr_settings *settings, struct pbx_diag *diag)
{
	struct syslog_target target;

	for (uint32_t i = 0; i < settings->csv_fields.count; i++)
		if (!csv_has_column(settings->csv_fields.items[i])) {
			pbx_diag_set(diag, "cdr.csv_fields",
				     "cdr.csv_fields: there is no \"%s\" in a record; `pbxctl cdr export` shows what there is",
				     settings->csv_fields.items[i]);
			return PBX_EINVAL;
		}
	if (settings->csv_fields.count > CSV_COLUMNS_MOST) {
		pbx_diag_set(diag, "cdr.csv_fields", "cdr.csv_fields: at most %u", CSV_COLUMNS_MOST);
		return PBX_EINVAL;
	}
	if (settings->directory[0] && settings->directory[0] != '/') {
		pbx_diag_set(diag, "cdr.directory", "cdr.directory: \"%s\" is not an absolute path, such as /srv/cdr", settings->directory);
		return PBX_EINVAL;
	}
	if (settings->http_url[0] && strncmp(settings->http_url, "https://", 8) != 0 && strncmp(settings->http_url, "http://", 7) != 0) {
		pbx_diag_set(diag, "cdr.http_url", "cdr.http_url: \"%s\" is not an address such as https://billing.example/cdr",
			     settings->http_url);
		return PBX_EINVAL;
	}
	if (settings->syslog[0] && syslog_parse(settings->syslog, &target) != PBX_OK) {
		pbx_diag_set(diag, "cdr.syslog", "cdr.syslog: \"%s\" is none of local, local:/path, udp:host:514, tcp:host:601",
			     settings->syslog);
		return PBX_EINVAL;
	}
	return PBX_OK;
}
