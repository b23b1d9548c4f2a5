/*
 * requests - looking at subscriptions and deliveries, trying one out, sending again
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

struct subscription *asked_subscription(struct webhooks *webhooks, pbx_request request)
{
	const char *id = webhooks->requests->text(request, "id");
	struct subscription *subscription = subscription_find(webhooks, id);

	if (!subscription)
		(void)webhooks->requests->fail(request, 404, "not_found", "id", "there is no webhook %s", id);
	return subscription;
}

static struct pbx_json *list_of(const struct pbx_jsons *json, const char *text)
{
	struct pbx_json *list = json->new_array();
	char pattern[72];

	while (*text) {
		size_t length = strcspn(text, ",");

		(void)snprintf(pattern, sizeof pattern, "%.*s", (int)length, text);
		(void)json->append_text(list, pattern);
		text += length + (text[length] == ',');
	}
	return list;
}

static void set_copy(const struct pbx_jsons *json, struct pbx_json *object, const char *name, const struct pbx_json *value)
{
	if (value)
		(void)json->set(object, name, json->copy(value));
	else
		(void)json->set_text(object, name, NULL);
}

struct pbx_json *subscription_describe(const struct subscription *subscription)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	struct pbx_json *object = json->new_object();

	(void)json->set_text(object, "id", subscription->id);
	(void)json->set_text(object, "url", subscription->url);
	(void)json->set_text(object, "description", subscription->description);
	(void)json->set(object, "events", list_of(json, subscription->events));
	(void)json->set_text(object, "extension", subscription->extension[0] ? subscription->extension : NULL);
	set_copy(json, object, "match", subscription->match);
	set_copy(json, object, "omit", subscription->omit);
	set_copy(json, object, "headers", subscription->headers);
	(void)json->set_boolean(object, "legacy_signature", subscription->legacy_signature);
	(void)json->set_boolean(object, "has_secret", true);
	(void)json->set_text(object, "state", subscription->state);
	(void)json->set_text(object, "reason", subscription->reason[0] ? subscription->reason : NULL);
	(void)json->set_integer(object, "waiting", subscription->queued);
	(void)json->set_integer(object, "delivered", (int64_t)subscription->delivered);
	(void)json->set_integer(object, "failed", (int64_t)subscription->failed);
	(void)json->set_time(object, "last_success_at", subscription->last_success_us);
	(void)json->set_time(object, "failing_since", subscription->failing_since_us);
	(void)json->set_time(object, "created_at", subscription->created_us);
	(void)json->set_time(object, "updated_at", subscription->updated_us);
	return object;
}

static void reply_items(const struct webhooks *webhooks, pbx_request request, struct pbx_json *items)
{
	struct pbx_json *answer = webhooks->json->new_object();

	(void)webhooks->json->set(answer, "items", items);
	(void)webhooks->requests->reply(request, 200, answer);
}

void webhooks_on_list(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct pbx_json *items = webhooks->json->new_array();

	for (const struct subscription *subscription = webhooks->subscriptions; subscription; subscription = subscription->next)
		(void)webhooks->json->append(items, subscription_describe(subscription));
	reply_items(webhooks, request, items);
}

void webhooks_on_show(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const struct subscription *subscription = asked_subscription(webhooks, request);

	if (subscription)
		(void)webhooks->requests->reply(request, 200, subscription_describe(subscription));
}

void webhooks_on_test(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct subscription *subscription = asked_subscription(webhooks, request);

	if (subscription && deliver_test(subscription, request) != PBX_OK)
		(void)webhooks->requests->fail(request, 503, "not_sent", NULL, "the request could not be made");
}

/* ---- deliveries ----------------------------------------------------------------------- */

struct asked {
	struct webhooks *webhooks;
	pbx_request request;
	char id[27];
};

static struct asked *asked_new(struct webhooks *webhooks, pbx_request request, const char *id)
{
	struct asked *asked = calloc(1, sizeof *asked);

	if (!asked) {
		(void)webhooks->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	asked->webhooks = webhooks;
	asked->request = request;
	(void)snprintf(asked->id, sizeof asked->id, "%s", id);
	return asked;
}

static void fail_store(struct asked *asked, const char *why)
{
	(void)asked->webhooks->requests->fail(asked->request, 503, "store_unavailable", NULL, "%s", why);
	free(asked);
}

static void on_deliveries(void *self, const struct pbx_rows *rows)
{
	static const char *const texts[] = { "event_id", "type", "linked_id", "state", "answer" };
	static const char *const numbers[] = { "seq", "attempts", "http_code", "took_ms" };
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->webhooks->json;

	if (rows->status != PBX_OK) {
		fail_store(asked, rows->error);
		return;
	}
	struct pbx_json *items = json->new_array();
	for (uint32_t row = 0; row < rows->count; row++) {
		struct pbx_json *item = json->new_object();

		for (uint32_t i = 0; i < 5; i++)
			(void)json->set_text(item, texts[i], pbx_cell_text(rows, row, i));
		for (uint32_t i = 0; i < 4; i++)
			(void)json->set_integer(item, numbers[i], pbx_cell_int(rows, row, 5 + i));
		(void)json->set_time(item, "created_at", pbx_cell_int(rows, row, 9));
		(void)json->set_time(item, "updated_at", pbx_cell_int(rows, row, 10));
		(void)json->append(items, item);
	}
	reply_items(asked->webhooks, asked->request, items);
	free(asked);
}

void webhooks_on_deliveries(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const struct subscription *subscription = asked_subscription(webhooks, request);
	const char *state = webhooks->requests->text(request, "status");
	struct asked *asked = subscription ? asked_new(webhooks, request, subscription->id) : NULL;

	if (!asked)
		return;
	const struct pbx_value params[] = { pbx_v_text(asked->id), pbx_v_text(state ? state : "%"),
					    PBX_V_INT(webhooks->requests->integer(request, "limit", 50)) };
	if (webhooks->store->run(
		    webhooks->host,
		    "SELECT event_id, type, linked_id, state, answer, seq, attempts, http_code, took_ms, created_at, updated_at"
		    " FROM webhooks_deliveries WHERE subscription = $1 AND state LIKE $2 ORDER BY seq DESC LIMIT $3",
		    params, 3, on_deliveries, asked) != PBX_OK)
		fail_store(asked, "the store takes nothing now; try again");
}

static void on_again(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	struct webhooks *webhooks = asked->webhooks;
	struct subscription *subscription = subscription_find(webhooks, asked->id);

	if (rows->status != PBX_OK) {
		fail_store(asked, rows->error);
		return;
	}
	if (!subscription || rows->count == 0) {
		(void)webhooks->requests->fail(asked->request, 404, "not_found", "seq", "there is no such delivery");
		free(asked);
		return;
	}
	(void)delivery_queue(subscription, pbx_cell_int(rows, 0, 0), pbx_cell_text(rows, 0, 1), pbx_cell_text(rows, 0, 2),
			     pbx_cell_text(rows, 0, 3), pbx_cell_text(rows, 0, 4),
			     webhooks->host->wall_us(webhooks->host)); /* waiting already: as good */
	deliver_wake(subscription);
	(void)webhooks->requests->reply(asked->request, 202, NULL);
	free(asked);
}

void webhooks_on_redeliver(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const struct subscription *subscription = asked_subscription(webhooks, request);
	struct asked *asked = subscription ? asked_new(webhooks, request, subscription->id) : NULL;

	if (!asked)
		return;
	const struct pbx_value params[] = { pbx_v_text(asked->id), PBX_V_INT(webhooks->requests->integer(request, "seq", 0)) };
	if (webhooks->store->run(webhooks->host,
				 "UPDATE webhooks_deliveries SET state = 'waiting', attempts = 0 WHERE subscription = $1 AND seq = $2"
				 " RETURNING seq, event_id, type, linked_id, body",
				 params, 2, on_again, asked) != PBX_OK)
		fail_store(asked, "the store takes nothing now; try again");
}

/* ---- replay: the subscription's cursor goes back -------------------------------------- */

static void rewind_to(struct asked *asked, int64_t seq)
{
	struct webhooks *webhooks = asked->webhooks;
	struct subscription *subscription = subscription_find(webhooks, asked->id);

	if (subscription && webhooks->bus->rewind(subscription->follower, seq) == PBX_OK)
		(void)webhooks->requests->reply(asked->request, 202, NULL);
	else
		(void)webhooks->requests->fail(asked->request, 409, "not_active", "id",
					       "only an active webhook can be replayed; resume it first");
	free(asked);
}

static void on_first_event(void *self, const struct pbx_event *event)
{
	(void)self, (void)event; /* its seq comes with on_found */
}

static void on_found(void *self, int result, int64_t last_seq)
{
	struct asked *asked = self;

	if (result != PBX_OK) {
		fail_store(asked, "the event log cannot be read now");
	} else if (last_seq <= 0) {
		(void)asked->webhooks->requests->fail(asked->request, 404, "nothing_kept", "from", "no event that late is kept");
		free(asked);
	} else {
		rewind_to(asked, last_seq - 1);
	}
}

void webhooks_on_replay(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const struct subscription *subscription = asked_subscription(webhooks, request);
	struct asked *asked = subscription ? asked_new(webhooks, request, subscription->id) : NULL;

	if (!asked)
		return;
	if (webhooks->requests->has(request, "from_seq")) {
		rewind_to(asked, webhooks->requests->integer(request, "from_seq", 1) - 1);
		return;
	}
	int64_t since_us = webhooks->host->wall_us(webhooks->host) - webhooks->requests->integer(request, "last_s", 3600) * 1000000;
	if (webhooks->bus->replay(webhooks->host, 0, since_us, "*", 1, on_first_event, on_found, asked) != PBX_OK)
		fail_store(asked, "the event log cannot be read now");
}
