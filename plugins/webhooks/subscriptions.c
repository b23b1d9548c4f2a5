/*
 * subscriptions - who wants to be told, in memory and in a table
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

char *webhooks_copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

struct subscription *subscription_new(struct webhooks *webhooks)
{
	struct subscription *subscription = calloc(1, sizeof *subscription);

	if (!subscription)
		return NULL;
	subscription->webhooks = webhooks;
	subscription->legacy_signature = true;
	(void)snprintf(subscription->state, sizeof subscription->state, "active");
	return subscription;
}

void subscription_free(struct subscription *subscription)
{
	if (!subscription)
		return;
	while (subscription->queue) {
		struct delivery *delivery = subscription->queue;

		subscription->queue = delivery->next;
		delivery_free(delivery);
	}
	subscription->webhooks->json->free(subscription->headers);
	subscription->webhooks->json->free(subscription->match);
	subscription->webhooks->json->free(subscription->omit);
	free(subscription->events);
	free(subscription->sealed);
	free(subscription->sealed_before);
	free(subscription);
}

struct subscription *subscription_find(struct webhooks *webhooks, const char *id)
{
	struct subscription *subscription = webhooks->subscriptions;

	while (subscription && (!id || strcmp(subscription->id, id) != 0))
		subscription = subscription->next;
	return subscription;
}

void subscription_add(struct webhooks *webhooks, struct subscription *subscription)
{
	struct subscription **at = &webhooks->subscriptions;

	while (*at)
		at = &(*at)->next;
	*at = subscription;
	webhooks->count++;
}

void subscription_take_out(struct webhooks *webhooks, struct subscription *subscription)
{
	struct subscription **at = &webhooks->subscriptions;

	while (*at && *at != subscription)
		at = &(*at)->next;
	if (*at) {
		*at = subscription->next;
		webhooks->count--;
	}
}

/* ---- rows ----------------------------------------------------------------------------- */

int subscription_store(struct subscription *subscription, pbx_rows_fn done, void *self)
{
	struct webhooks *webhooks = subscription->webhooks;
	const struct pbx_jsons *json = webhooks->json;
	char *headers = subscription->headers ? json->print(subscription->headers) : NULL;
	char *match = subscription->match ? json->print(subscription->match) : NULL;
	char *omit = subscription->omit ? json->print(subscription->omit) : NULL;

	subscription->updated_us = webhooks->host->wall_us(webhooks->host);
	const struct pbx_value params[] = {
		pbx_v_text(subscription->id),
		pbx_v_text(subscription->url),
		pbx_v_text(subscription->description),
		pbx_v_text(subscription->events),
		pbx_v_text(subscription->sealed),
		pbx_v_text(subscription->sealed_before),
		PBX_V_INT(subscription->rotated_us),
		pbx_v_text(headers),
		pbx_v_text(match),
		pbx_v_text(omit),
		pbx_v_text(subscription->extension),
		PBX_V_INT(subscription->legacy_signature),
		pbx_v_text(subscription->state),
		pbx_v_text(subscription->reason),
		PBX_V_INT(subscription->created_us),
		PBX_V_INT(subscription->updated_us),
	};
	int err = webhooks->store->run(
		webhooks->host,
		"INSERT INTO webhooks_subscriptions (id, url, description, events, secret, secret_before, rotated_at, headers, match, "
		"omit, extension,"
		" legacy_signature, state, reason, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
		"$14, $15, $16)"
		" ON CONFLICT (id) DO UPDATE SET url = $2, description = $3, events = $4, secret = $5, secret_before = $6, rotated_at = "
		"$7, headers = $8,"
		" match = $9, omit = $10, extension = $11, legacy_signature = $12, state = $13, reason = $14, updated_at = $16",
		params, sizeof params / sizeof params[0], done, self);
	json->free_text(headers);
	json->free_text(match);
	json->free_text(omit);
	return err;
}

static void take(char *into, size_t size, const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	(void)snprintf(into, size, "%s", pbx_cell_text(rows, row, column));
}

static char *copy_cell(const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	return pbx_cell(rows, row, column)->type == PBX_VALUE_TEXT ? webhooks_copy(pbx_cell_text(rows, row, column)) : NULL;
}

static struct pbx_json *parse_cell(const struct webhooks *webhooks, const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	const char *text = pbx_cell_text(rows, row, column);

	return text[0] ? webhooks->json->parse(text, strlen(text), NULL) : NULL;
}

static void take_row(struct webhooks *webhooks, const struct pbx_rows *rows, uint32_t row)
{
	struct subscription *subscription = subscription_new(webhooks);

	if (!subscription)
		return;
	take(subscription->id, sizeof subscription->id, rows, row, 0);
	take(subscription->url, sizeof subscription->url, rows, row, 1);
	take(subscription->description, sizeof subscription->description, rows, row, 2);
	subscription->events = copy_cell(rows, row, 3);
	subscription->sealed = copy_cell(rows, row, 4);
	subscription->sealed_before = copy_cell(rows, row, 5);
	subscription->rotated_us = pbx_cell_int(rows, row, 6);
	subscription->headers = parse_cell(webhooks, rows, row, 7);
	subscription->match = parse_cell(webhooks, rows, row, 8);
	subscription->omit = parse_cell(webhooks, rows, row, 9);
	take(subscription->extension, sizeof subscription->extension, rows, row, 10);
	subscription->legacy_signature = pbx_cell_int(rows, row, 11) != 0;
	take(subscription->state, sizeof subscription->state, rows, row, 12);
	take(subscription->reason, sizeof subscription->reason, rows, row, 13);
	subscription->created_us = pbx_cell_int(rows, row, 14);
	subscription->updated_us = pbx_cell_int(rows, row, 15);
	if (subscription->events)
		subscription_add(webhooks, subscription);
	else
		subscription_free(subscription);
}

static void on_waiting_rows(void *self, const struct pbx_rows *rows)
{
	struct webhooks *webhooks = self;

	for (uint32_t row = 0; row < rows->count; row++) {
		struct subscription *subscription = subscription_find(webhooks, pbx_cell_text(rows, row, 0));
		struct delivery *delivery;

		if (!subscription)
			continue;
		delivery =
			delivery_queue(subscription, pbx_cell_int(rows, row, 1), pbx_cell_text(rows, row, 2), pbx_cell_text(rows, row, 3),
				       pbx_cell_text(rows, row, 4), pbx_cell_text(rows, row, 5), pbx_cell_int(rows, row, 7));
		if (delivery)
			delivery->attempts = (uint32_t)pbx_cell_int(rows, row, 6);
	}
	webhooks->host->ready(webhooks->host, rows->status, rows->error);
}

static void on_subscription_rows(void *self, const struct pbx_rows *rows)
{
	struct webhooks *webhooks = self;

	if (rows->status != PBX_OK) {
		webhooks->host->ready(webhooks->host, rows->status, rows->error);
		return;
	}
	for (uint32_t row = 0; row < rows->count; row++)
		take_row(webhooks, rows, row);
	int err = webhooks->store->run(
		webhooks->host,
		"SELECT subscription, seq, event_id, type, linked_id, body, attempts, created_at FROM webhooks_deliveries"
		" WHERE state = 'waiting' ORDER BY seq",
		NULL, 0, on_waiting_rows, webhooks);
	if (err != PBX_OK)
		webhooks->host->ready(webhooks->host, err, "the waiting deliveries cannot be read");
}

int subscriptions_load(struct webhooks *webhooks)
{
	int err = webhooks->store->run(
		webhooks->host,
		"SELECT id, url, description, events, secret, secret_before, rotated_at, headers, match, omit, extension,"
		" legacy_signature, state, reason, created_at, updated_at FROM webhooks_subscriptions ORDER BY id",
		NULL, 0, on_subscription_rows, webhooks);

	return err == PBX_OK ? PBX_ELATER : err;
}

/* The endpoint said that it is gone, or has failed for a day. */
void subscription_disable(struct subscription *subscription, const char *reason)
{
	struct webhooks *webhooks = subscription->webhooks;
	struct pbx_json *data = webhooks->json->new_object();

	(void)snprintf(subscription->state, sizeof subscription->state, "disabled");
	(void)snprintf(subscription->reason, sizeof subscription->reason, "%s", reason);
	deliver_stop(subscription);
	(void)subscription_store(subscription, NULL, NULL); /* after a restart it would find out again */
	(void)webhooks->json->set_text(data, "webhook_id", subscription->id);
	(void)webhooks->json->set_text(data, "url", subscription->url);
	(void)webhooks->json->set_text(data, "reason", reason);
	(void)webhooks->bus->publish(webhooks->host, "webhook.disabled", (pbx_call){ 0 }, data);
	pbx_warn(webhooks->host, "subscription_disabled", "webhook=%s reason=\"%s\"", subscription->id, reason);
}
