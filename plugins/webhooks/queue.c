/*
 * queue - the deliveries of a subscription that wait or are under way, in order, and their rows
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

/* ---- lines: the deliveries of one call ------------------------------------------------ */

static struct line **bucket_of(struct subscription *subscription, const char *linked_id)
{
	uint32_t hash = 2166136261u;

	for (const char *at = linked_id; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 16777619u;
	return &subscription->lines[hash % LINE_BUCKETS];
}

static struct line *line_join(struct subscription *subscription, const char *linked_id)
{
	struct line **bucket = bucket_of(subscription, linked_id), *line = *bucket;

	while (line && strcmp(line->linked_id, linked_id) != 0)
		line = line->next;
	if (!line) {
		line = calloc(1, sizeof *line);
		if (!line)
			return NULL;
		(void)snprintf(line->linked_id, sizeof line->linked_id, "%s", linked_id);
		line->next = *bucket;
		*bucket = line;
	}
	line->deliveries++;
	return line;
}

static void line_leave(struct subscription *subscription, struct line *line)
{
	if (!line || --line->deliveries > 0)
		return;
	struct line **at = bucket_of(subscription, line->linked_id);
	while (*at != line)
		at = &(*at)->next;
	*at = line->next;
	free(line);
}

/* ---- in memory ------------------------------------------------------------------------ */

static void count(const struct subscription *subscription, double change)
{
	const struct webhooks *webhooks = subscription->webhooks;

	(void)webhooks->metrics->add(webhooks->host, METRIC_QUEUED, subscription->id, change);
}

static void delivery_free(struct subscription *subscription, struct delivery *delivery)
{
	line_leave(subscription, delivery->line);
	free(delivery->body);
	free(delivery);
}

struct delivery *queue_find(const struct subscription *subscription, int64_t seq)
{
	struct delivery *delivery = subscription->last && subscription->last->seq < seq ? NULL : subscription->queue;

	while (delivery && delivery->seq < seq)
		delivery = delivery->next;
	return delivery && delivery->seq == seq ? delivery : NULL;
}

static void insert(struct subscription *subscription, struct delivery *delivery)
{
	struct delivery **at =
		subscription->last && subscription->last->seq < delivery->seq ? &subscription->last->next : &subscription->queue;

	while (*at && (*at)->seq < delivery->seq)
		at = &(*at)->next;
	delivery->next = *at;
	*at = delivery;
	if (!delivery->next)
		subscription->last = delivery;
	subscription->queued++;
	count(subscription, 1);
}

struct delivery *queue_add(struct subscription *subscription, const struct delivery *like, const char *linked_id, const char *body)
{
	struct delivery *delivery = malloc(sizeof *delivery);

	if (!delivery)
		return NULL;
	*delivery = *like;
	delivery->body_size = strlen(body);
	delivery->body = strdup(body);
	delivery->line = linked_id[0] ? line_join(subscription, linked_id) : NULL;
	if (!delivery->body || (linked_id[0] && !delivery->line)) {
		delivery_free(subscription, delivery);
		return NULL;
	}
	insert(subscription, delivery);
	return delivery;
}

void queue_remove(struct subscription *subscription, struct delivery *delivery)
{
	struct delivery **at = &subscription->queue, *before = NULL;

	while (*at != delivery) {
		before = *at;
		at = &before->next;
	}
	*at = delivery->next;
	if (subscription->last == delivery)
		subscription->last = before;
	subscription->queued--;
	count(subscription, -1);
	delivery_free(subscription, delivery);
}

void queue_free(struct subscription *subscription)
{
	while (subscription->queue)
		queue_remove(subscription, subscription->queue);
	queue_forget_ended(subscription);
}

/* ---- over, and perhaps told of again -------------------------------------------------- */

void queue_note_ended(struct subscription *subscription, int64_t seq)
{
	struct ended *ended = &subscription->ended;
	int64_t *seqs = realloc(ended->seqs, sizeof *seqs * (ended->count + 1));

	if (!seqs)
		return;
	seqs[ended->count++] = seq;
	ended->seqs = seqs;
	if (seq > ended->last)
		ended->last = seq;
}

bool queue_has_ended(const struct subscription *subscription, int64_t seq)
{
	const struct ended *ended = &subscription->ended;

	for (uint32_t i = 0; seq <= ended->last && i < ended->count; i++)
		if (ended->seqs[i] == seq)
			return true;
	return false;
}

void queue_forget_ended(struct subscription *subscription)
{
	free(subscription->ended.seqs);
	subscription->ended = (struct ended){ 0 };
}

/* ---- rows ----------------------------------------------------------------------------- */

int queue_keep(struct subscription *subscription, const struct delivery *delivery, pbx_rows_fn done, void *self)
{
	const struct webhooks *webhooks = subscription->webhooks;
	const struct pbx_value params[] = {
		pbx_v_text(subscription->id),
		PBX_V_INT(delivery->seq),
		pbx_v_text(delivery->event_id),
		pbx_v_text(delivery->type),
		pbx_v_text(delivery->line ? delivery->line->linked_id : ""),
		pbx_v_text(delivery->body),
		PBX_V_INT(delivery->created_us),
		PBX_V_INT(delivery->number),
		PBX_V_INT(delivery->happened_us),
	};

	return webhooks->store->record(
		webhooks->host,
		"INSERT INTO webhooks_deliveries (subscription, seq, event_id, type, linked_id, body, state, attempts, http_code,"
		" answer, took_ms, created_at, updated_at, number, happened_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, 0, '', 0, $7, $7, $8, $9)"
		" ON CONFLICT (subscription, seq) DO UPDATE SET state = 'waiting', attempts = 0, body = $6, created_at = $7,"
		" updated_at = $7, number = $8",
		params, sizeof params / sizeof params[0], done, self);
}

void queue_outcome(const struct subscription *subscription, const struct delivery *delivery, const char *state,
		   const struct pbx_fetch_result *result)
{
	const struct webhooks *webhooks = subscription->webhooks;
	char answer[4200];

	(void)snprintf(answer, sizeof answer, "%.4096s", result->status == PBX_OK ? result->body : result->error);
	const struct pbx_value params[] = {
		pbx_v_text(subscription->id), PBX_V_INT(delivery->seq), pbx_v_text(state),          PBX_V_INT(delivery->attempts),
		PBX_V_INT(result->http_code), pbx_v_text(answer),       PBX_V_INT(result->took_ms), PBX_V_INT(webhooks_now_us(webhooks)),
	};
	/* Not taken: the row stays "waiting", and after a restart the endpoint hears of it once more. */
	(void)webhooks->store->record(
		webhooks->host,
		"UPDATE webhooks_deliveries SET state = $3, attempts = $4, http_code = $5, answer = $6, took_ms = $7, updated_at = $8"
		" WHERE subscription = $1 AND seq = $2",
		params, sizeof params / sizeof params[0], NULL, NULL);
}
