/*
 * again - sending once more: one delivery by its number, or all of a time by moving the subscription's place in the event log
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

/* ---- one delivery --------------------------------------------------------------------- */

static int queue_row(struct subscription *subscription, const struct pbx_rows *rows)
{
	struct delivery like = { .seq = pbx_cell_int(rows, 0, 0),
				 .number = pbx_cell_int(rows, 0, 1),
				 .happened_us = pbx_cell_int(rows, 0, 2),
				 .created_us = webhooks_now_us(subscription->webhooks),
				 .kept = true };

	if (queue_find(subscription, like.seq))
		return PBX_OK; /* it waits already */
	(void)snprintf(like.event_id, sizeof like.event_id, "%s", pbx_cell_text(rows, 0, 3));
	(void)snprintf(like.type, sizeof like.type, "%s", pbx_cell_text(rows, 0, 4));
	return queue_add(subscription, &like, pbx_cell_text(rows, 0, 5), pbx_cell_text(rows, 0, 6)) ? PBX_OK : PBX_ENOMEM;
}

static void on_waiting_again(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	struct webhooks *webhooks = asked->webhooks;
	struct subscription *subscription = subscription_find(webhooks, asked->id);

	if (rows->status != PBX_OK) {
		asked_fail(asked, rows->error);
		return;
	}
	if (!subscription || rows->count == 0) {
		(void)webhooks->requests->fail(asked->request, 404, "not_found", "seq", "there is no such delivery");
	} else if (queue_row(subscription, rows) != PBX_OK) {
		(void)webhooks->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	} else {
		deliver_wake(subscription);
		(void)webhooks->requests->reply(asked->request, 202, NULL);
	}
	free(asked);
}

static void redeliver(struct webhooks *webhooks, pbx_request request, const char *id, int64_t seq)
{
	struct asked *asked = asked_new(webhooks, request, id);
	const struct pbx_value params[] = { pbx_v_text(id), PBX_V_INT(seq), PBX_V_INT(webhooks_now_us(webhooks)) };

	if (asked && webhooks->store->run(webhooks->host,
					  "UPDATE webhooks_deliveries SET state = 'waiting', attempts = 0, created_at = $3"
					  " WHERE subscription = $1 AND seq = $2"
					  " RETURNING seq, number, happened_at, event_id, type, linked_id, body",
					  params, 3, on_waiting_again, asked) != PBX_OK)
		asked_fail(asked, "the store takes nothing now; try again");
}

void webhooks_on_redeliver(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const struct subscription *subscription = asked_subscription(webhooks, request);

	if (subscription)
		redeliver(webhooks, request, subscription->id, webhooks->requests->integer(request, "seq", 0));
}

/* The id of a delivery is its webhook's, a hyphen and its event's number. */
void webhooks_on_redeliver_id(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const char *text = webhooks->requests->text(request, "delivery"), *hyphen = strchr(text, '-');
	char id[27] = "";

	if (hyphen && hyphen - text == 26)
		memcpy(id, text, 26);
	if (subscription_find(webhooks, id))
		redeliver(webhooks, request, id, strtoll(hyphen + 1, NULL, 10));
	else
		(void)webhooks->requests->fail(request, 404, "not_found", "delivery", "there is no such delivery");
}

/* ---- replay: the subscription's place goes back --------------------------------------- */

static void rewind_now(struct asked *asked)
{
	struct webhooks *webhooks = asked->webhooks;
	struct subscription *subscription = subscription_find(webhooks, asked->id);

	if (subscription && webhooks->bus->rewind(subscription->follower, asked->seq) == PBX_OK) {
		subscription->may_acknowledge = subscription->refused_seq = 0;
		(void)webhooks->requests->reply(asked->request, 202, NULL);
	} else {
		(void)webhooks->requests->fail(asked->request, 409, "not_active", "id",
					       "only an active webhook can be replayed; resume it first");
	}
	free(asked);
}

static void on_end_kept(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;

	if (rows->status == PBX_OK)
		rewind_now(asked);
	else
		asked_fail(asked, rows->error);
}

/* Its end is stored before it begins: a restart in the middle goes on to it and not beyond. */
static void begin_at(struct asked *asked, int64_t seq)
{
	struct webhooks *webhooks = asked->webhooks;
	struct subscription *subscription = subscription_find(webhooks, asked->id);

	asked->seq = seq;
	if (!subscription || !subscription->follower.id) {
		rewind_now(asked); /* and be refused */
		return;
	}
	subscription->config.replay_until_us = asked->until_us;
	subscription->config.replay_end_seq = subscription->seen_seq;
	const struct pbx_value params[] = { pbx_v_text(subscription->id), PBX_V_INT(subscription->config.replay_until_us),
					    PBX_V_INT(subscription->config.replay_end_seq) };
	if (webhooks->store->run(webhooks->host, "UPDATE webhooks_subscriptions SET replay_until = $2, replay_end = $3 WHERE id = $1",
				 params, 3, on_end_kept, asked) != PBX_OK)
		asked_fail(asked, "the store takes nothing now; try again");
}

static void on_first_event(void *self, const struct pbx_event *event)
{
	(void)self, (void)event; /* its seq comes with on_found */
}

static void on_found(void *self, int result, int64_t last_seq)
{
	struct asked *asked = self;

	if (result != PBX_OK) {
		asked_fail(asked, "the event log cannot be read now");
	} else if (last_seq <= 0) {
		(void)asked->webhooks->requests->fail(asked->request, 404, "nothing_kept", "from", "no event that late is kept");
		free(asked);
	} else {
		begin_at(asked, last_seq - 1);
	}
}

void webhooks_on_replay(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const struct pbx_requests *requests = webhooks->requests;
	const struct subscription *subscription = asked_subscription(webhooks, request);
	int64_t now_us = webhooks_now_us(webhooks);
	int64_t from_us = requests->integer(request, "from", now_us - requests->integer(request, "last_s", 3600) * 1000000);
	int64_t until_us = requests->integer(request, "to", 0);

	if (!subscription)
		return;
	if (until_us && until_us < from_us) {
		(void)requests->fail(request, 422, "ends_before_it_begins", "to", "to is earlier than from");
		return;
	}
	struct asked *asked = asked_new(webhooks, request, subscription->id);
	if (!asked)
		return;
	asked->until_us = until_us;
	if (requests->has(request, "from_seq"))
		begin_at(asked, requests->integer(request, "from_seq", 1) - 1);
	else if (webhooks->bus->replay(webhooks->host, 0, from_us, "*", 1, on_first_event, on_found, asked) != PBX_OK)
		asked_fail(asked, "the event log cannot be read now");
}
