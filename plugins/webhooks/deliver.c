/*
 * deliver - from an event to a request that the endpoint has accepted
 *
 *   event ──▶ row "waiting" ──▶ acknowledged ──▶ sent ──2xx──▶ row "delivered"
 *                                  ▲              │
 *                                  └── later ◀────┤ 5 s, 30 s, 2 min, 10 min, 1 h, 3 h, 6 h…
 *                                                 └── after give_up_h, or 410 ──▶ row "dead", event webhook.dead_letter
 *
 * Deliveries of one linked_id go out one after the other; those of different calls, side by side.
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

static const int64_t pauses_s[] = { 5, 30, 120, 600, 3600, 10800, 21600 };
#define PAUSES (sizeof pauses_s / sizeof pauses_s[0])

void delivery_free(struct delivery *delivery)
{
	free(delivery->body);
	free(delivery);
}

static int64_t now_us(const struct webhooks *webhooks)
{
	return webhooks->host->wall_us(webhooks->host);
}

struct delivery *delivery_queue(struct subscription *subscription, int64_t seq, const char *event_id, const char *type,
				const char *linked_id, const char *body, int64_t created_us)
{
	struct delivery **at = &subscription->queue, *delivery;

	while (*at && (*at)->seq < seq)
		at = &(*at)->next;
	if (*at && (*at)->seq == seq)
		return NULL;
	delivery = calloc(1, sizeof *delivery);
	if (!delivery || !(delivery->body = strdup(body))) {
		free(delivery);
		return NULL;
	}
	delivery->subscription = subscription;
	delivery->seq = seq;
	delivery->created_us = created_us;
	delivery->due_us = now_us(subscription->webhooks);
	(void)snprintf(delivery->event_id, sizeof delivery->event_id, "%s", event_id);
	(void)snprintf(delivery->type, sizeof delivery->type, "%s", type);
	(void)snprintf(delivery->linked_id, sizeof delivery->linked_id, "%s", linked_id);
	delivery->next = *at;
	*at = delivery;
	subscription->queued++;
	(void)subscription->webhooks->metrics->add(subscription->webhooks->host, METRIC_QUEUED, NULL, 1);
	return delivery;
}

static void unqueue(struct delivery *delivery)
{
	struct subscription *subscription = delivery->subscription;
	struct delivery **at = &subscription->queue;

	while (*at && *at != delivery)
		at = &(*at)->next;
	if (*at) {
		*at = delivery->next;
		subscription->queued--;
		(void)subscription->webhooks->metrics->add(subscription->webhooks->host, METRIC_QUEUED, NULL, -1);
	}
	delivery_free(delivery);
}

/* ---- rows ----------------------------------------------------------------------------- */

static void store_outcome(const struct delivery *delivery, const char *state, const struct pbx_fetch_result *result)
{
	struct webhooks *webhooks = delivery->subscription->webhooks;
	char answer[4200];

	(void)snprintf(answer, sizeof answer, "%.4096s", result->status == PBX_OK ? result->body : result->error);
	const struct pbx_value params[] = {
		pbx_v_text(delivery->subscription->id), PBX_V_INT(delivery->seq), pbx_v_text(state),          PBX_V_INT(delivery->attempts),
		PBX_V_INT(result->http_code),           pbx_v_text(answer),       PBX_V_INT(result->took_ms), PBX_V_INT(now_us(webhooks))
	};
	(void)webhooks->store->record(
		webhooks->host,
		"UPDATE webhooks_deliveries SET state = $3, attempts = $4, http_code = $5, answer = $6, took_ms = $7, updated_at = $8"
		" WHERE subscription = $1 AND seq = $2",
		params, sizeof params / sizeof params[0], NULL, NULL);
}

/* ---- sending -------------------------------------------------------------------------- */

static void publish_dead(const struct delivery *delivery, const char *reason)
{
	struct webhooks *webhooks = delivery->subscription->webhooks;
	struct pbx_json *data = webhooks->json->new_object();

	(void)webhooks->json->set_text(data, "webhook_id", delivery->subscription->id);
	(void)webhooks->json->set_text(data, "event_id", delivery->event_id);
	(void)webhooks->json->set_text(data, "type", delivery->type);
	(void)webhooks->json->set_integer(data, "attempts", delivery->attempts);
	(void)webhooks->json->set_text(data, "reason", reason);
	(void)webhooks->bus->publish(webhooks->host, "webhook.dead_letter", (pbx_call){ 0 }, data);
}

/* Ten percent to either side, so that many deliveries that failed together do not return together. */
static int64_t jittered_us(const struct webhooks *webhooks, int64_t pause_s)
{
	char random[5] = "";

	(void)webhooks->secrets->random_text(random, 4);
	int64_t percent = ((unsigned char)random[0] * 7 + (unsigned char)random[1] * 13 + (unsigned char)random[2]) % 21 - 10;
	return pause_s * 10000 * (100 + percent);
}

static void retry_later(struct delivery *delivery, const struct pbx_fetch_result *result)
{
	const struct webhooks *webhooks = delivery->subscription->webhooks;
	size_t step = delivery->attempts > PAUSES ? PAUSES - 1 : delivery->attempts - 1;
	int64_t asked_s = result->http_code == 429 || result->http_code == 503 ? strtoll(result->retry_after, NULL, 10) : 0;

	delivery->due_us = now_us(webhooks) + jittered_us(webhooks, pauses_s[step]);
	if (asked_s > 0 && asked_s <= 86400 && now_us(webhooks) + asked_s * 1000000 > delivery->due_us)
		delivery->due_us = now_us(webhooks) + asked_s * 1000000;
	store_outcome(delivery, "waiting", result);
}

static void on_success(struct delivery *delivery, const struct pbx_fetch_result *result)
{
	struct subscription *subscription = delivery->subscription;
	struct webhooks *webhooks = subscription->webhooks;

	subscription->failing_since_us = 0;
	subscription->last_success_us = now_us(webhooks);
	subscription->delivered++;
	(void)webhooks->metrics->add(webhooks->host, METRIC_DELIVERIES, "delivered", 1);
	(void)webhooks->metrics->observe(webhooks->host, METRIC_LAG, NULL, (double)(now_us(webhooks) - delivery->created_us) / 1e6);
	store_outcome(delivery, "delivered", result);
	unqueue(delivery);
}

static void on_failure(struct delivery *delivery, const struct pbx_fetch_result *result)
{
	struct subscription *subscription = delivery->subscription;
	struct webhooks *webhooks = subscription->webhooks;
	const int64_t give_up_us = (int64_t)webhooks->settings->give_up_h * 3600 * 1000000;
	char reason[160];

	subscription->failed++;
	if (!subscription->failing_since_us)
		subscription->failing_since_us = now_us(webhooks);
	if (result->status == PBX_OK)
		(void)snprintf(reason, sizeof reason, "the endpoint answered %u", result->http_code);
	else
		(void)snprintf(reason, sizeof reason, "%.150s", result->status == PBX_EPERM ? "address_not_allowed" : result->error);
	(void)webhooks->metrics->add(webhooks->host, METRIC_DELIVERIES, "failed", 1);
	pbx_info(webhooks->host, "delivery_failed", "webhook=%s event=%s attempt=%u reason=\"%s\"", subscription->id, delivery->event_id,
		 delivery->attempts, reason);

	bool gone = result->status == PBX_OK && result->http_code == 410;
	if (gone || now_us(webhooks) - delivery->created_us >= give_up_us) {
		publish_dead(delivery, reason);
		(void)webhooks->metrics->add(webhooks->host, METRIC_DELIVERIES, "dead", 1);
		store_outcome(delivery, "dead", result);
		unqueue(delivery);
	} else {
		retry_later(delivery, result);
	}
	if (gone)
		subscription_disable(subscription, "the endpoint answered 410 Gone");
	else if (now_us(webhooks) - subscription->failing_since_us >= give_up_us)
		subscription_disable(subscription, "nothing could be delivered for the time of webhooks.give_up_h");
}

static void acknowledge(struct subscription *subscription);

static void on_answer(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result)
{
	struct delivery *delivery = self;
	struct subscription *subscription = delivery->subscription;

	(void)transfer;
	delivery->transfer = (pbx_transfer){ 0 };
	subscription->under_way--;
	if (result->status == PBX_ECANCELLED) {
		if (subscription->removed && subscription->under_way == 0)
			subscription_free(subscription);
		return; /* paused, removed or stopping: it stays in the table */
	}
	if (result->status == PBX_OK && result->http_code >= 200 && result->http_code < 300)
		on_success(delivery, result);
	else
		on_failure(delivery, result);
	acknowledge(subscription);
	deliver_wake(subscription);
}

static int request_of(const struct delivery *delivery, struct signed_headers *headers, struct pbx_fetch_spec *ret_spec)
{
	const struct webhook_settings *settings = delivery->subscription->webhooks->settings;
	int err = sign_headers(delivery, headers);

	if (err != PBX_OK)
		return err;
	*ret_spec = (struct pbx_fetch_spec){
		.size = sizeof *ret_spec,
		.method = "POST",
		.url = delivery->subscription->url,
		.headers = headers->list,
		.header_count = headers->count,
		.body = delivery->body,
		.body_size = strlen(delivery->body),
		.connect_ms = settings->connect_timeout_s * 1000,
		.total_ms = settings->timeout_s * 1000,
		.most_bytes = 4096,
	};
	return PBX_OK;
}

static void send(struct delivery *delivery)
{
	struct subscription *subscription = delivery->subscription;
	struct webhooks *webhooks = subscription->webhooks;
	struct signed_headers headers;
	struct pbx_fetch_spec spec;
	int err = request_of(delivery, &headers, &spec);

	delivery->attempts++;
	if (err == PBX_OK) {
		subscription->under_way++;
		err = webhooks->fetch->start(webhooks->host, &spec, on_answer, delivery, &delivery->transfer);
		if (err != PBX_OK)
			subscription->under_way--;
	}
	if (err != PBX_OK) {
		const struct pbx_fetch_result failed = {
			.size = sizeof failed, .status = err, .error = "the request could not be made", .body = "", .retry_after = ""
		};

		retry_later(delivery, &failed);
	}
}

/* An earlier delivery of the same call that is not done yet goes first. */
static bool must_wait(const struct delivery *delivery)
{
	if (!delivery->linked_id[0])
		return false;
	for (const struct delivery *earlier = delivery->subscription->queue; earlier != delivery; earlier = earlier->next)
		if (strcmp(earlier->linked_id, delivery->linked_id) == 0)
			return true;
	return false;
}

static void on_due(void *self, pbx_timer timer)
{
	struct subscription *subscription = self;

	(void)timer;
	subscription->timer = (pbx_timer){ 0 };
	deliver_wake(subscription);
}

void deliver_wake(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;
	int64_t now = now_us(webhooks), next_us = INT64_MAX;

	if (strcmp(subscription->state, "active") != 0 || webhooks->is_draining)
		return;
	for (struct delivery *delivery = subscription->queue; delivery; delivery = delivery->next) {
		if (subscription->under_way >= webhooks->settings->concurrency)
			return; /* an answer wakes us */
		if (delivery->transfer.id || must_wait(delivery))
			continue;
		if (delivery->due_us <= now)
			send(delivery);
		if (!delivery->transfer.id && delivery->due_us < next_us)
			next_us = delivery->due_us;
	}
	(void)webhooks->timers->stop(subscription->timer);
	subscription->timer = (pbx_timer){ 0 };
	if (next_us != INT64_MAX)
		(void)webhooks->timers->start(webhooks->host, next_us > now ? (uint64_t)(next_us - now) / 1000 + 1 : 1, 0, on_due,
					      subscription, &subscription->timer);
}

/* ---- from the event log --------------------------------------------------------------- */

struct kept {
	struct webhooks *webhooks;
	char id[27];
	int64_t seq;
};

/* All that we took is safe, and there is room: the log may go on. An event that we did not want waits for the rows of those before it. */
static void acknowledge(struct subscription *subscription)
{
	if (subscription->oldest_unacknowledged && subscription->keeping == 0 && subscription->queued < MOST_QUEUED) {
		(void)subscription->webhooks->bus->acknowledge(subscription->follower, subscription->oldest_unacknowledged);
		subscription->oldest_unacknowledged = 0;
	}
}

static void on_kept(void *self, const struct pbx_rows *rows)
{
	struct kept *kept = self;
	struct subscription *subscription = subscription_find(kept->webhooks, kept->id);

	if (subscription)
		subscription->keeping--;
	if (subscription && rows->status == PBX_OK) {
		if (kept->seq > subscription->oldest_unacknowledged)
			subscription->oldest_unacknowledged = kept->seq;
		acknowledge(subscription);
		deliver_wake(subscription);
	}
	free(kept);
}

static int keep(struct delivery *delivery)
{
	struct webhooks *webhooks = delivery->subscription->webhooks;
	struct kept *kept = malloc(sizeof *kept);
	const struct pbx_value params[] = { pbx_v_text(delivery->subscription->id), PBX_V_INT(delivery->seq),
					    pbx_v_text(delivery->event_id),         pbx_v_text(delivery->type),
					    pbx_v_text(delivery->linked_id),        pbx_v_text(delivery->body),
					    PBX_V_INT(delivery->created_us) };

	if (!kept)
		return PBX_ENOMEM;
	*kept = (struct kept){ .webhooks = webhooks, .seq = delivery->seq };
	(void)snprintf(kept->id, sizeof kept->id, "%s", delivery->subscription->id);
	delivery->subscription->keeping++;
	int err = webhooks->store->record(
		webhooks->host,
		"INSERT INTO webhooks_deliveries (subscription, seq, event_id, type, linked_id, body, state, attempts, http_code,"
		" answer, took_ms, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, 0, '', 0, $7, $7)"
		" ON CONFLICT (subscription, seq) DO UPDATE SET state = 'waiting', attempts = 0, created_at = $7, updated_at = $7",
		params, sizeof params / sizeof params[0], on_kept, kept);
	if (err != PBX_OK) {
		delivery->subscription->keeping--;
		free(kept);
	}
	return err;
}

static void on_event(void *self, const struct pbx_event *event)
{
	struct subscription *subscription = self;
	struct webhooks *webhooks = subscription->webhooks;
	struct pbx_json *envelope;
	struct delivery *delivery = NULL;

	if (!filter_wants(subscription, event)) {
		if (event->seq > subscription->oldest_unacknowledged)
			subscription->oldest_unacknowledged = event->seq;
		acknowledge(subscription);
		return;
	}
	envelope = filter_envelope(subscription, event);
	char *body = envelope ? webhooks->json->print(envelope) : NULL;
	if (body)
		delivery = delivery_queue(subscription, event->seq, event->id, event->type, event->linked_id, body, now_us(webhooks));
	if (delivery && keep(delivery) != PBX_OK)
		unqueue(delivery); /* not acknowledged: it comes again */
	webhooks->json->free_text(body);
	webhooks->json->free(envelope);
}

/* ---- start and stop ------------------------------------------------------------------- */

int deliver_start(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;
	char follower[40];

	if (strcmp(subscription->state, "active") != 0 || subscription->follower.id)
		return PBX_OK;
	(void)snprintf(follower, sizeof follower, "to-%s", subscription->id);
	int err = webhooks->bus->follow(webhooks->host, follower, subscription->events, on_event, subscription, &subscription->follower);
	if (err == PBX_OK)
		deliver_wake(subscription);
	return err;
}

void deliver_stop(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;

	(void)webhooks->bus->unsubscribe(subscription->follower);
	(void)webhooks->timers->stop(subscription->timer);
	subscription->follower = (pbx_subscription){ 0 };
	subscription->timer = (pbx_timer){ 0 };
	subscription->oldest_unacknowledged = 0;
}

/* ---- trying it out -------------------------------------------------------------------- */

struct test {
	struct subscription shown; /* only what the request needs */
	struct delivery delivery;
	pbx_request request;
};

static void on_tested(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result)
{
	struct test *test = self;
	const struct webhooks *webhooks = test->shown.webhooks;
	struct pbx_json *answer = webhooks->json->new_object();

	(void)transfer;
	(void)webhooks->json->set_boolean(answer, "delivered",
					  result->status == PBX_OK && result->http_code >= 200 && result->http_code < 300);
	(void)webhooks->json->set_integer(answer, "http_code", result->http_code);
	(void)webhooks->json->set_text(answer, "error",
				       result->status == PBX_OK      ? NULL
				       : result->status == PBX_EPERM ? "address_not_allowed"
								     : result->error);
	(void)webhooks->json->set_text(answer, "answer", result->status == PBX_OK ? result->body : NULL);
	(void)webhooks->json->set_integer(answer, "took_ms", result->took_ms);
	(void)webhooks->requests->reply(test->request, 200, answer);
	free(test->delivery.body);
	free(test);
}

int deliver_test(struct subscription *subscription, pbx_request request)
{
	struct webhooks *webhooks = subscription->webhooks;
	struct test *test = calloc(1, sizeof *test);
	struct signed_headers headers;
	struct pbx_fetch_spec spec;
	pbx_transfer transfer;
	char body[256];

	if (!test)
		return PBX_ENOMEM;
	test->request = request;
	test->shown.webhooks = webhooks;
	test->delivery.subscription = subscription;
	webhooks->host->ulid(webhooks->host, test->delivery.event_id);
	(void)snprintf(test->delivery.type, sizeof test->delivery.type, "webhook.test");
	(void)snprintf(body, sizeof body, "{\"id\":\"%s\",\"type\":\"webhook.test\",\"data\":{\"webhook_id\":\"%s\"}}",
		       test->delivery.event_id, subscription->id);
	test->delivery.body = strdup(body);
	int err = test->delivery.body ? request_of(&test->delivery, &headers, &spec) : PBX_ENOMEM;
	if (err == PBX_OK)
		err = webhooks->fetch->start(webhooks->host, &spec, on_tested, test, &transfer);
	if (err != PBX_OK) {
		free(test->delivery.body);
		free(test);
	}
	return err;
}
