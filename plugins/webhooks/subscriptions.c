/*
 * subscriptions - who wants to be told, in memory and in a table
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

struct subscription *subscription_new(struct webhooks *webhooks)
{
	struct subscription *subscription = calloc(1, sizeof *subscription);

	if (!subscription)
		return NULL;
	subscription->webhooks = webhooks;
	subscription->config.legacy_signature = true;
	subscription->config.batch_events = 1;
	subscription->config.batch_ms = 1000;
	subscription->config.batch_bytes = 262144;
	if (config_set(&subscription->config.state, "active") == PBX_OK && config_set(&subscription->config.events, "*") == PBX_OK)
		return subscription;
	subscription_free(subscription);
	return NULL;
}

void subscription_free(struct subscription *subscription)
{
	if (!subscription)
		return;
	while (subscription->shipments)
		shipment_free(subscription->shipments);
	queue_free(subscription);
	token_free(subscription);
	config_free(subscription->webhooks, &subscription->config);
	free(subscription);
}

void subscription_release(struct subscription *subscription)
{
	if (subscription->removed && subscription->under_way == 0 && !subscription->token.asking.id)
		subscription_free(subscription);
}

bool subscription_is_active(const struct subscription *subscription)
{
	return !subscription->leaving && strcmp(subscription->config.state, "active") == 0;
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

/* ---- changes --------------------------------------------------------------------------- */

void subscription_apply(struct subscription *subscription, struct config *config)
{
	const struct config before = subscription->config;

	follow_stop(subscription);
	token_cancel(subscription);
	token_drop(subscription);
	subscription->config = *config;
	subscription->held_until_us = 0;
	for (struct shipment *shipment = subscription->shipments; shipment; shipment = shipment->next)
		shipment->due_us = 0;
	*config = before;
}

void subscription_let_go(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;
	char follower[40];

	follow_stop(subscription);
	(void)snprintf(follower, sizeof follower, "to-%s", subscription->id);
	(void)webhooks->bus->forget(webhooks->host, follower);
	subscription_take_out(webhooks, subscription);
	subscription->removed = true;
	token_cancel(subscription);
	for (struct shipment *shipment = subscription->shipments; shipment; shipment = shipment->next)
		if (shipment->transfer.id)
			(void)webhooks->fetch->cancel(shipment->transfer);
	subscription_release(subscription); /* or the last cancelled one does, later */
}

/* ---- rows ----------------------------------------------------------------------------- */

static void take_row(struct webhooks *webhooks, const struct pbx_rows *rows, uint32_t row)
{
	struct subscription *subscription = subscription_new(webhooks);

	if (!subscription)
		return;
	(void)snprintf(subscription->id, sizeof subscription->id, "%s", pbx_cell_text(rows, row, 0));
	int err = config_take_row(webhooks, subscription->id, rows, row, &subscription->config);
	if (err != PBX_OK)
		pbx_error(webhooks->host, "subscription_damaged",
			  "webhook=%s reason=\"its headers or filters cannot be read; set them again\"", subscription->id);
	if (subscription->config.url && subscription->config.events && subscription->config.state)
		subscription_add(webhooks, subscription);
	else
		subscription_free(subscription);
}

static void on_ended_rows(void *self, const struct pbx_rows *rows)
{
	struct webhooks *webhooks = self;

	for (uint32_t row = 0; row < rows->count; row++) {
		struct subscription *subscription = subscription_find(webhooks, pbx_cell_text(rows, row, 0));

		if (subscription)
			queue_note_ended(subscription, pbx_cell_int(rows, row, 1));
	}
	webhooks->host->ready(webhooks->host, rows->status, rows->error);
}

/* How far each had come; the cleaning of old rows leaves the newest. */
static void on_numbers(void *self, const struct pbx_rows *rows)
{
	struct webhooks *webhooks = self;
	int err = rows->status;

	for (uint32_t row = 0; row < rows->count; row++) {
		struct subscription *subscription = subscription_find(webhooks, pbx_cell_text(rows, row, 0));

		if (!subscription)
			continue;
		subscription->last_number = pbx_cell_int(rows, row, 1);
		subscription->seen_seq = pbx_cell_int(rows, row, 2);
	}
	/* More than the bus shows without an acknowledgement, so that it is all that it can tell of again. */
	if (err == PBX_OK)
		err = webhooks->store->run(webhooks->host,
					   "SELECT subscription, seq FROM (SELECT subscription, seq, ROW_NUMBER() OVER"
					   " (PARTITION BY subscription ORDER BY seq DESC) AS place FROM webhooks_deliveries"
					   " WHERE state <> 'waiting') AS ended WHERE place <= 1000",
					   NULL, 0, on_ended_rows, webhooks);
	if (err != PBX_OK)
		webhooks->host->ready(webhooks->host, err, "the deliveries cannot be read");
}

static void on_waiting_rows(void *self, const struct pbx_rows *rows)
{
	struct webhooks *webhooks = self;
	int err = rows->status;

	for (uint32_t row = 0; row < rows->count && err == PBX_OK; row++) {
		struct subscription *subscription = subscription_find(webhooks, pbx_cell_text(rows, row, 0));
		struct delivery like = { .seq = pbx_cell_int(rows, row, 1),
					 .number = pbx_cell_int(rows, row, 2),
					 .attempts = (uint32_t)pbx_cell_int(rows, row, 3),
					 .happened_us = pbx_cell_int(rows, row, 4),
					 .created_us = pbx_cell_int(rows, row, 5),
					 .kept = true };

		(void)snprintf(like.event_id, sizeof like.event_id, "%s", pbx_cell_text(rows, row, 6));
		(void)snprintf(like.type, sizeof like.type, "%s", pbx_cell_text(rows, row, 7));
		if (subscription && !queue_add(subscription, &like, pbx_cell_text(rows, row, 8), pbx_cell_text(rows, row, 9)))
			err = PBX_ENOMEM;
	}
	if (err == PBX_OK)
		err = webhooks->store->run(webhooks->host,
					   "SELECT subscription, MAX(number), MAX(seq) FROM webhooks_deliveries GROUP BY subscription",
					   NULL, 0, on_numbers, webhooks);
	if (err != PBX_OK)
		webhooks->host->ready(webhooks->host, err, "the waiting deliveries cannot be read");
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
	int err =
		webhooks->store->run(webhooks->host,
				     "SELECT subscription, seq, number, attempts, happened_at, created_at, event_id, type, linked_id, body"
				     " FROM webhooks_deliveries WHERE state = 'waiting' ORDER BY subscription, seq",
				     NULL, 0, on_waiting_rows, webhooks);
	if (err != PBX_OK)
		webhooks->host->ready(webhooks->host, err, "the waiting deliveries cannot be read");
}

int subscriptions_load(struct webhooks *webhooks)
{
	int err = webhooks->store->run(webhooks->host, config_select(), NULL, 0, on_subscription_rows, webhooks);

	return err == PBX_OK ? PBX_ELATER : err;
}

/* ---- what endpoints do to their subscriptions ----------------------------------------- */

void subscription_failing(struct subscription *subscription, bool failing)
{
	struct webhooks *webhooks = subscription->webhooks;
	struct config *config = &subscription->config;

	if (failing == (config->failing_since_us != 0))
		return;
	config->failing_since_us = failing ? webhooks_now_us(webhooks) : 0;
	const struct pbx_value params[] = { pbx_v_text(subscription->id), PBX_V_INT(config->failing_since_us) };
	/* Not taken: after a restart the time begins anew. */
	(void)webhooks->store->record(webhooks->host, "UPDATE webhooks_subscriptions SET failing_since = $2 WHERE id = $1", params, 2, NULL,
				      NULL);
}

/* The endpoint said that it is gone, or has failed for a day. */
void subscription_disable(struct subscription *subscription, const char *reason)
{
	struct webhooks *webhooks = subscription->webhooks;

	if (!subscription_is_active(subscription) || config_set(&subscription->config.state, "disabled") != PBX_OK)
		return;
	(void)config_set(&subscription->config.reason, reason); /* without, the log tells */
	follow_stop(subscription);
	(void)config_store(webhooks, subscription->id, &subscription->config, NULL, NULL); /* after a restart it would find out again */
	struct pbx_json *data = webhooks->json->new_object();
	(void)webhooks->json->set_text(data, "webhook_id", subscription->id);
	(void)webhooks->json->set_text(data, "url", subscription->config.url);
	(void)webhooks->json->set_text(data, "reason", reason);
	(void)webhooks->bus->publish(webhooks->host, "webhook.disabled", (pbx_call){ 0 }, data);
	pbx_warn(webhooks->host, "subscription_disabled", "webhook=%s reason=\"%s\"", subscription->id, reason);
}
