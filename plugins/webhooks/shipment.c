/*
 * shipment - what travels together in one request
 *
 * One delivery, or, for a subscription that gathers, as many as there are when batch_events, batch_bytes or batch_ms is reached. What a shipment
 * carries does not change any more: each attempt is the same request, so that a receiver can tell doubles by webhook-id.
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

static bool gathers(const struct subscription *subscription)
{
	return subscription->config.batch_events > 1;
}

const char *shipment_type(const struct shipment *shipment)
{
	return shipment->is_batch ? "webhook.batch" : shipment->deliveries[0]->type;
}

void shipment_free(struct shipment *shipment)
{
	struct shipment **at = &shipment->subscription->shipments;

	for (uint32_t i = 0; i < shipment->count; i++) {
		struct delivery *delivery = shipment->deliveries[i];

		delivery->shipment = NULL;
		if (delivery->line)
			delivery->line->held_by = NULL;
	}
	while (*at && *at != shipment)
		at = &(*at)->next;
	if (*at)
		*at = shipment->next;
	free(shipment->body);
	free(shipment);
}

/* ---- the body ------------------------------------------------------------------------- */

static char *copy_one(const struct delivery *delivery, size_t *ret_size)
{
	*ret_size = delivery->body_size;
	return strdup(delivery->body);
}

/* {"id": …, "type": "webhook.batch", "count": 2, "events": [as they would have been sent alone]} */
static char *write_batch(const struct shipment *shipment, size_t *ret_size)
{
	size_t size = 160;

	for (uint32_t i = 0; i < shipment->count; i++)
		size += shipment->deliveries[i]->body_size + 1;
	char *body = malloc(size), *at = body;
	if (!body)
		return NULL;
	at += snprintf(at, size, "{\"id\":\"%s\",\"type\":\"webhook.batch\",\"count\":%u,\"events\":[", shipment->id, shipment->count);
	for (uint32_t i = 0; i < shipment->count; i++) {
		if (i)
			*at++ = ',';
		memcpy(at, shipment->deliveries[i]->body, shipment->deliveries[i]->body_size);
		at += shipment->deliveries[i]->body_size;
	}
	memcpy(at, "]}", 3);
	*ret_size = (size_t)(at - body) + 2;
	return body;
}

/* ---- gathering ------------------------------------------------------------------------ */

struct gathered {
	struct delivery *deliveries[MOST_TOGETHER];
	uint32_t count;
	size_t bytes;
	bool is_full; /* the next one would not fit */
};

/* The oldest that may go together: none whose call is held by another shipment, and nobody overtakes a delivery whose row is not safe yet. */
static void gather(const struct subscription *subscription, struct gathered *ret_gathered)
{
	const struct config *config = &subscription->config;
	struct gathered *all = ret_gathered;

	all->count = 0;
	all->bytes = 0;
	all->is_full = false;
	for (struct delivery *delivery = subscription->queue; delivery && !all->is_full; delivery = delivery->next) {
		if (delivery->shipment || (delivery->line && delivery->line->held_by))
			continue;
		if (!delivery->kept)
			return;
		if (all->count && all->bytes + delivery->body_size > config->batch_bytes) {
			all->is_full = true;
			return;
		}
		all->deliveries[all->count++] = delivery;
		all->bytes += delivery->body_size;
		all->is_full = all->count >= MOST_TOGETHER || all->count >= config->batch_events;
	}
}

static struct shipment *make(struct subscription *subscription, const struct gathered *gathered)
{
	struct shipment *shipment = calloc(1, sizeof *shipment);
	const struct webhooks *webhooks = subscription->webhooks;

	if (!shipment)
		return NULL;
	shipment->subscription = subscription;
	shipment->count = gathered->count;
	shipment->attempts = gathered->deliveries[0]->attempts;
	memcpy(shipment->deliveries, gathered->deliveries, sizeof shipment->deliveries[0] * gathered->count);
	shipment->is_batch = gathers(subscription);
	if (shipment->is_batch)
		webhooks->host->ulid(webhooks->host, shipment->id);
	else
		(void)snprintf(shipment->id, sizeof shipment->id, "%s", gathered->deliveries[0]->event_id);
	shipment->body =
		shipment->is_batch ? write_batch(shipment, &shipment->body_size) : copy_one(gathered->deliveries[0], &shipment->body_size);
	if (!shipment->body) {
		free(shipment);
		return NULL;
	}
	for (uint32_t i = 0; i < shipment->count; i++) {
		shipment->deliveries[i]->shipment = shipment;
		if (shipment->deliveries[i]->line)
			shipment->deliveries[i]->line->held_by = shipment;
	}
	shipment->next = subscription->shipments;
	subscription->shipments = shipment;
	return shipment;
}

struct shipment *shipment_next(struct subscription *subscription, int64_t *ret_at_us)
{
	int64_t now_us = webhooks_now_us(subscription->webhooks), at_us = INT64_MAX;
	struct gathered gathered;

	for (struct shipment *shipment = subscription->shipments; shipment; shipment = shipment->next) {
		if (shipment->under_way)
			continue;
		if (shipment->due_us <= now_us)
			return shipment;
		if (shipment->due_us < at_us)
			at_us = shipment->due_us;
	}
	gather(subscription, &gathered);
	if (gathered.count) {
		int64_t full_us = gathered.deliveries[0]->created_us + (int64_t)subscription->config.batch_ms * 1000;
		bool is_ready = gathered.is_full || !gathers(subscription) || full_us <= now_us;
		struct shipment *made = is_ready ? make(subscription, &gathered) : NULL;

		if (made)
			return made;
		if (is_ready)
			full_us = now_us + 1000000; /* no memory: later */
		if (full_us < at_us)
			at_us = full_us;
	}
	*ret_at_us = at_us;
	return NULL;
}
