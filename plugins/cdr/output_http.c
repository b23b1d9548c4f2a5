/*
 * output_http - records to an HTTP service, a POST of JSON each
 *
 * A few at once; while the service is away only the oldest is tried. Any 2xx takes a record; Idempotency-Key is its id, so that
 * the receiver can tell one that comes twice. A record that the service itself finds wrong (400, 409, 413, 415, 422) would stand in the way of all
 * others: after three such answers it is named in the log and passed over. It stays in the table.
 */
#include "output.h"
#include <stdlib.h>
#include <string.h>

#define REFUSALS_MOST 3u

static void acknowledge(struct output *output)
{
	int64_t seq = 0;

	while (output->first && output->first->has_come) {
		struct outgoing *record = output->first;

		seq = record->seq;
		output_drop_first(output);
	}
	if (seq)
		(void)output->cdr->bus->acknowledge(output->follower, seq);
}

static bool finds_it_wrong(const struct pbx_fetch_result *result)
{
	static const uint32_t codes[] = { 400, 409, 413, 415, 422 };

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (result->status == PBX_OK && result->http_code == codes[i])
			return true;
	return false;
}

/* Whether it is passed over. */
static bool pass_over(struct output *output, struct outgoing *record, const struct pbx_fetch_result *result)
{
	if (!finds_it_wrong(result) || ++record->refusals < REFUSALS_MOST)
		return false;
	pbx_error(output->cdr->host, "record_refused", "output=http id=%s http_code=%u answer=\"%.100s\" hint=\"it stays in cdr list\"",
		  record->id, result->http_code, result->body);
	output_count(output, "refused", 1);
	record->has_come = true;
	output->failures = 0;
	output->failing_since_us = 0;
	return true;
}

static void on_answer(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result)
{
	struct outgoing *record = self;
	struct output *output = record->output;
	char reason[200];

	(void)transfer;
	record->is_away = false;
	output->away--;
	if (!output->follower.id) { /* switched off, or a successor goes on */
		output_drop_idle(output);
		return;
	}
	if (result->status == PBX_OK && result->http_code / 100 == 2) {
		record->has_come = true;
		output_arrived(output, 1);
	} else if (!pass_over(output, record, result)) {
		if (result->status == PBX_OK)
			(void)snprintf(reason, sizeof reason, "the service answered %u", result->http_code);
		else if (result->status == PBX_EPERM)
			(void)snprintf(reason, sizeof reason, "%.100s; a private address must be named in fetch.allow", result->error);
		else
			(void)snprintf(reason, sizeof reason, "%.190s", result->error);
		output_failed(output, reason);
	}
	acknowledge(output);
	output_wake(output);
}

static int post(struct output *output, struct outgoing *record)
{
	const struct cdr_settings *settings = output->cdr->settings;
	char authorization[600], key[80];
	const char *headers[3] = { "Content-Type: application/json", key, authorization };
	const struct pbx_fetch_spec spec = {
		.size = sizeof spec,
		.method = "POST",
		.url = settings->http_url,
		.headers = headers,
		.header_count = settings->http_token[0] ? 3 : 2,
		.body = record->text,
		.body_size = strlen(record->text),
		.total_ms = settings->http_timeout_s * 1000,
		.most_bytes = 1024,
	};

	(void)snprintf(key, sizeof key, "Idempotency-Key: %s", record->id);
	(void)snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", settings->http_token);
	return output->cdr->fetch->start(output->cdr->host, &spec, on_answer, record, &record->transfer);
}

static void send(struct output *output)
{
	uint32_t at_once = output->failures ? 1 : output->cdr->settings->http_parallel;

	for (struct outgoing *record = output->first; record && output->away < at_once; record = record->next) {
		if (record->is_away || record->has_come)
			continue;
		int err = post(output, record);
		if (err != PBX_OK) {
			output_failed(output, err == PBX_EINVAL ? "the address is not a URL" : "no request can be made now");
			return;
		}
		record->is_away = true;
		output->away++;
	}
}

static bool is_on(const struct cdr_settings *settings)
{
	return settings->http_url[0] != '\0';
}

const struct output_kind output_http = { .name = "http", .is_on = is_on, .send = send };
