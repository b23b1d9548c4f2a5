/*
 * deliver - until the endpoint has it
 *
 *   event ──▶ row "waiting" ──▶ acknowledged ──▶ shipment ──2xx──▶ row "delivered"
 *                                                 ▲   │
 *                                                 │   ├── 401 and an access token: once more with a fresh one
 *                                                 └───┤ 5 s, 30 s, 2 min, 10 min, 1 h, 3 h, 6 h…
 *                                                     └── after give_up_h, or 410 ──▶ row "dead", event webhook.dead_letter
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_HELD_S 86400

static const int64_t pauses_s[] = { 5, 30, 120, 600, 3600, 10800, 21600 };
#define PAUSES (sizeof pauses_s / sizeof pauses_s[0])

/* ---- how it ended --------------------------------------------------------------------- */

static void publish_dead(const struct subscription *subscription, const struct delivery *delivery, const char *reason)
{
	struct webhooks *webhooks = subscription->webhooks;
	struct pbx_json *data = webhooks->json->new_object();

	(void)webhooks->json->set_text(data, "webhook_id", subscription->id);
	(void)webhooks->json->set_text(data, "event_id", delivery->event_id);
	(void)webhooks->json->set_text(data, "type", delivery->type);
	(void)webhooks->json->set_integer(data, "attempts", delivery->attempts);
	(void)webhooks->json->set_text(data, "reason", reason);
	(void)webhooks->bus->publish(webhooks->host, "webhook.dead_letter", (pbx_call){ 0 }, data);
}

static void note(const struct shipment *shipment, const char *state, const struct pbx_fetch_result *result)
{
	for (uint32_t i = 0; i < shipment->count; i++)
		queue_outcome(shipment->subscription, shipment->deliveries[i], state, result);
}

/* Delivered or dead: either way its deliveries wait no longer. */
static void finish(struct shipment *shipment, const char *state, const struct pbx_fetch_result *result)
{
	struct subscription *subscription = shipment->subscription;
	struct delivery *done[MOST_TOGETHER];
	const uint32_t count = shipment->count;

	note(shipment, state, result);
	(void)subscription->webhooks->metrics->add(subscription->webhooks->host, METRIC_DELIVERIES, state, count);
	memcpy(done, shipment->deliveries, sizeof done[0] * count);
	shipment_free(shipment);
	for (uint32_t i = 0; i < count; i++) {
		if (done[i]->seq > subscription->acknowledged_seq)
			queue_note_ended(subscription, done[i]->seq);
		queue_remove(subscription, done[i]);
	}
}

static void succeed(struct shipment *shipment, const struct pbx_fetch_result *result)
{
	struct subscription *subscription = shipment->subscription;
	struct webhooks *webhooks = subscription->webhooks;
	const int64_t now_us = webhooks_now_us(webhooks);

	subscription_failing(subscription, false);
	subscription->last_success_us = now_us;
	subscription->delivered += shipment->count;
	for (uint32_t i = 0; i < shipment->count; i++)
		(void)webhooks->metrics->observe(webhooks->host, METRIC_LAG, subscription->id,
						 (double)(now_us - shipment->deliveries[i]->happened_us) / 1e6);
	finish(shipment, "delivered", result);
}

/* ---- trying again --------------------------------------------------------------------- */

/* Ten percent to either side, so that many that failed together do not return together. */
static int64_t jittered_us(const struct webhooks *webhooks, int64_t pause_s)
{
	char random[5] = "";

	(void)webhooks->secrets->random_text(random, 4);
	int64_t percent = ((unsigned char)random[0] * 7 + (unsigned char)random[1] * 13 + (unsigned char)random[2]) % 21 - 10;
	return pause_s * 10000 * (100 + percent);
}

/* Retry-After, as seconds or as a date (RFC 9110 section 10.2.3); 0: none that makes sense. */
static int64_t asked_us(const struct webhooks *webhooks, const struct pbx_fetch_result *result)
{
	int64_t now_us = webhooks_now_us(webhooks), until_us = now_us;
	struct tm when = { 0 };

	if (result->http_code != 429 && result->http_code != 503)
		return 0;
	if (result->retry_after[0] >= '0' && result->retry_after[0] <= '9')
		until_us += strtoll(result->retry_after, NULL, 10) % 100000000 * 1000000;
	else if (strptime(result->retry_after, "%a, %d %b %Y %H:%M:%S GMT", &when))
		until_us = (int64_t)timegm(&when) * 1000000;
	if (until_us > now_us + (int64_t)MOST_HELD_S * 1000000)
		until_us = now_us + (int64_t)MOST_HELD_S * 1000000;
	return until_us > now_us ? until_us : 0;
}

/* Who asks us to wait means all of our requests. */
static void retry_later(struct shipment *shipment, const struct pbx_fetch_result *result)
{
	struct subscription *subscription = shipment->subscription;
	const struct webhooks *webhooks = subscription->webhooks;
	size_t step = shipment->attempts > PAUSES ? PAUSES - 1 : shipment->attempts - 1;
	int64_t until_us = asked_us(webhooks, result);

	shipment->due_us = webhooks_now_us(webhooks) + jittered_us(webhooks, pauses_s[step]);
	if (until_us > subscription->held_until_us)
		subscription->held_until_us = until_us;
	note(shipment, "waiting", result);
}

static void fail(struct shipment *shipment, const struct pbx_fetch_result *result)
{
	struct subscription *subscription = shipment->subscription;
	struct webhooks *webhooks = subscription->webhooks;
	const int64_t give_up_us = (int64_t)webhooks->settings->give_up_h * 3600 * 1000000, now_us = webhooks_now_us(webhooks);
	const bool gone = result->status == PBX_OK && result->http_code == 410;
	char reason[256];

	subscription->failed++;
	subscription_failing(subscription, true);
	(void)webhooks->metrics->add(webhooks->host, METRIC_DELIVERIES, "failed", shipment->count);
	pbx_info(webhooks->host, "delivery_failed", "webhook=%s id=%s events=%u attempt=%u reason=\"%s\"", subscription->id, shipment->id,
		 shipment->count, shipment->attempts, post_words(result, reason, sizeof reason));
	if (gone || now_us - shipment->deliveries[0]->created_us >= give_up_us) {
		for (uint32_t i = 0; i < shipment->count; i++)
			publish_dead(subscription, shipment->deliveries[i], reason);
		finish(shipment, "dead", result);
	} else {
		retry_later(shipment, result);
	}
	if (gone)
		subscription_disable(subscription, "the endpoint answered 410 Gone");
	else if (now_us - subscription->config.failing_since_us >= give_up_us)
		subscription_disable(subscription, "nothing could be delivered for the time of webhooks.give_up_h");
}

/* ---- sending -------------------------------------------------------------------------- */

static void attempt(struct shipment *shipment)
{
	shipment->attempts++;
	for (uint32_t i = 0; i < shipment->count; i++)
		shipment->deliveries[i]->attempts = shipment->attempts;
}

static void end(struct shipment *shipment)
{
	shipment->under_way = false;
	shipment->transfer = (pbx_transfer){ 0 };
	shipment->subscription->under_way--;
}

static void fail_with(struct shipment *shipment, int status, const char *error)
{
	const struct pbx_fetch_result failed = { .size = sizeof failed, .status = status, .error = error, .body = "", .retry_after = "" };

	end(shipment);
	attempt(shipment);
	fail(shipment, &failed);
}

static void begin(struct shipment *shipment);

static void on_answer(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result)
{
	struct shipment *shipment = self;
	struct subscription *subscription = shipment->subscription;

	(void)transfer;
	end(shipment);
	if (result->status == PBX_ECANCELLED) {
		subscription_release(subscription); /* it was removed */
		return;
	}
	if (result->status == PBX_OK && result->http_code == 401 && token_is_wanted(subscription) && !shipment->renewed_token) {
		shipment->renewed_token = true;
		token_drop(subscription);
		shipment->due_us = 0;
	} else {
		attempt(shipment);
		shipment->renewed_token = false;
		if (result->status == PBX_OK && result->http_code >= 200 && result->http_code < 300)
			succeed(shipment, result);
		else
			fail(shipment, result);
	}
	follow_acknowledge(subscription);
	deliver_wake(subscription);
	subscription_release(subscription);
}

static void post(struct shipment *shipment)
{
	int err = post_start(shipment->subscription->webhooks, shipment, on_answer, shipment, &shipment->transfer);

	if (err != PBX_OK)
		fail_with(shipment, err, err == PBX_ENOSPC ? "too many requests are under way" : "the request could not be made");
}

static void on_token(void *self, int status, const char *error)
{
	struct shipment *shipment = self;
	struct subscription *subscription = shipment->subscription;

	if (subscription->removed || status == PBX_ECANCELLED || !subscription_is_active(subscription)) {
		end(shipment);
		shipment->due_us = 0; /* paused, or the authority is another one now */
	} else if (status != PBX_OK) {
		fail_with(shipment, status, error);
	} else {
		post(shipment);
	}
}

static void begin(struct shipment *shipment)
{
	struct subscription *subscription = shipment->subscription;
	int err = PBX_OK;

	shipment->under_way = true;
	subscription->under_way++;
	if (!token_is_wanted(subscription) || token_is_good(subscription))
		post(shipment);
	else if ((err = token_want(subscription, on_token, shipment)) != PBX_OK)
		fail_with(shipment, err, "no access token: it could not be asked for");
}

/* ---- when ----------------------------------------------------------------------------- */

static void on_due(void *self, pbx_timer timer)
{
	struct subscription *subscription = self;

	(void)timer;
	subscription->timer = (pbx_timer){ 0 };
	deliver_wake(subscription);
}

static void wake_at(struct subscription *subscription, int64_t at_us)
{
	const struct webhooks *webhooks = subscription->webhooks;
	int64_t now_us = webhooks_now_us(webhooks);

	(void)webhooks->timers->stop(subscription->timer);
	subscription->timer = (pbx_timer){ 0 };
	if (at_us != INT64_MAX)
		(void)webhooks->timers->start(webhooks->host, at_us > now_us ? (uint64_t)(at_us - now_us) / 1000 + 1 : 1, 0, on_due,
					      subscription, &subscription->timer);
}

static bool may_send(const struct subscription *subscription)
{
	return subscription_is_active(subscription) && !subscription->removed && !subscription->webhooks->is_draining &&
	       subscription->under_way < subscription->webhooks->settings->concurrency;
}

void deliver_wake(struct subscription *subscription)
{
	int64_t at_us = INT64_MAX;
	struct shipment *shipment;

	while (may_send(subscription)) {
		if (subscription->held_until_us > webhooks_now_us(subscription->webhooks)) {
			at_us = subscription->held_until_us;
			break;
		}
		shipment = shipment_next(subscription, &at_us);
		if (!shipment)
			break;
		begin(shipment);
	}
	wake_at(subscription, at_us); /* without: an answer wakes us, or somebody who resumes */
}
