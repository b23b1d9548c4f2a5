/*
 * follow - from the event log to the queue: a row first, then the log may forget that we have not seen it
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

#define READ_AGAIN_MS 1000u

struct kept {
	struct webhooks *webhooks;
	char id[27];
	int64_t seq;
};

/* All that we took is safe, and there is room: the log may go on. An event that we did not want waits for the rows of those before it. */
void follow_acknowledge(struct subscription *subscription)
{
	if (!subscription->may_acknowledge || subscription->keeping || subscription->refused_seq || subscription->queued >= MOST_QUEUED)
		return;
	(void)subscription->webhooks->bus->acknowledge(subscription->follower, subscription->may_acknowledge);
	subscription->acknowledged_seq = subscription->may_acknowledge;
	if (subscription->acknowledged_seq >= subscription->ended.last)
		queue_forget_ended(subscription);
	subscription->may_acknowledge = 0;
}

static void pass(struct subscription *subscription, int64_t seq)
{
	if (seq > subscription->may_acknowledge)
		subscription->may_acknowledge = seq;
	follow_acknowledge(subscription);
}

/* ---- what the store did not take ------------------------------------------------------ */

static void read_again_later(struct subscription *subscription);

static void on_again(void *self, pbx_timer timer)
{
	struct subscription *subscription = self;

	(void)timer;
	subscription->again = (pbx_timer){ 0 };
	if (subscription->keeping) {
		read_again_later(subscription); /* the answers to those before it may be refusals, too */
		return;
	}
	(void)subscription->webhooks->bus->rewind(subscription->follower, subscription->refused_seq - 1);
	subscription->refused_seq = 0;
	subscription->may_acknowledge = 0;
}

static void read_again_later(struct subscription *subscription)
{
	const struct webhooks *webhooks = subscription->webhooks;

	if (!subscription->again.id)
		(void)webhooks->timers->start(webhooks->host, READ_AGAIN_MS, 0, on_again, subscription, &subscription->again);
}

/* From here on nothing is acknowledged or taken until the log has been read again from this event. */
static void refuse(struct subscription *subscription, int64_t seq)
{
	if (!subscription->refused_seq || seq < subscription->refused_seq)
		subscription->refused_seq = seq;
	pbx_warn(subscription->webhooks->host, "event_not_kept", "webhook=%s seq=%lld", subscription->id, (long long)seq);
	read_again_later(subscription);
}

/* ---- keeping -------------------------------------------------------------------------- */

static void on_kept(void *self, const struct pbx_rows *rows)
{
	struct kept *kept = self;
	struct subscription *subscription = subscription_find(kept->webhooks, kept->id);
	struct delivery *delivery = subscription ? queue_find(subscription, kept->seq) : NULL;

	if (subscription)
		subscription->keeping--;
	if (subscription && rows->status == PBX_OK) {
		if (delivery)
			delivery->kept = true;
		pass(subscription, kept->seq);
		deliver_wake(subscription);
	} else if (subscription && rows->status != PBX_ECANCELLED) {
		refuse(subscription, kept->seq);
	}
	free(kept);
}

static void keep(struct subscription *subscription, const struct delivery *delivery)
{
	struct kept *kept = calloc(1, sizeof *kept);

	if (kept) {
		kept->webhooks = subscription->webhooks;
		kept->seq = delivery->seq;
		(void)snprintf(kept->id, sizeof kept->id, "%s", subscription->id);
	}
	subscription->keeping++;
	if (kept && queue_keep(subscription, delivery, on_kept, kept) == PBX_OK)
		return;
	subscription->keeping--;
	free(kept);
	refuse(subscription, delivery->seq);
}

static struct delivery *take(struct subscription *subscription, const struct pbx_event *event)
{
	const struct webhooks *webhooks = subscription->webhooks;
	struct delivery like = { .seq = event->seq,
				 .number = subscription->last_number + 1,
				 .happened_us = event->wall_us,
				 .created_us = webhooks_now_us(webhooks) };
	struct pbx_json *envelope = filter_envelope(subscription, event, like.number);
	char *body = envelope ? webhooks->json->print(envelope) : NULL;
	struct delivery *delivery = NULL;

	(void)snprintf(like.event_id, sizeof like.event_id, "%s", event->id);
	(void)snprintf(like.type, sizeof like.type, "%s", event->type);
	if (body)
		delivery = queue_add(subscription, &like, event->linked_id, body);
	if (delivery)
		subscription->last_number = like.number;
	webhooks->json->free_text(body);
	webhooks->json->free(envelope);
	return delivery;
}

/* Nothing is sent between the end of a replay and where the subscription had been, and outside of a replay nothing twice. */
static bool has_its_time_behind_it(const struct subscription *subscription, const struct pbx_event *event)
{
	const struct config *config = &subscription->config;

	if (event->seq <= config->replay_end_seq)
		return config->replay_until_us && event->wall_us > config->replay_until_us;
	return queue_has_ended(subscription, event->seq);
}

static void on_event(void *self, const struct pbx_event *event)
{
	struct subscription *subscription = self;

	if (subscription->refused_seq)
		return; /* it comes again */
	if (event->seq > subscription->seen_seq)
		subscription->seen_seq = event->seq;
	if (has_its_time_behind_it(subscription, event) || !filter_wants(subscription, event)) {
		pass(subscription, event->seq);
		return;
	}
	/* It waits already when we were killed between row and acknowledgement, or in a replay. */
	struct delivery *delivery = queue_find(subscription, event->seq);
	if (!delivery)
		delivery = take(subscription, event);
	if (delivery)
		keep(subscription, delivery);
	else
		refuse(subscription, event->seq);
}

/* ---- start and stop ------------------------------------------------------------------- */

int follow_start(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;
	char follower[40];

	if (!subscription_is_active(subscription) || subscription->follower.id)
		return PBX_OK;
	(void)snprintf(follower, sizeof follower, "to-%s", subscription->id);
	int err = webhooks->bus->follow(webhooks->host, follower, subscription->config.events, on_event, subscription,
					&subscription->follower);
	if (err == PBX_OK)
		deliver_wake(subscription);
	return err;
}

void follow_stop(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;

	follow_acknowledge(subscription);
	(void)webhooks->bus->unsubscribe(subscription->follower);
	(void)webhooks->timers->stop(subscription->timer);
	(void)webhooks->timers->stop(subscription->again);
	subscription->follower = (pbx_subscription){ 0 };
	subscription->timer = subscription->again = (pbx_timer){ 0 };
	subscription->may_acknowledge = subscription->refused_seq = 0;
}
