/*
 * requests - looking at subscriptions, their keys and deliveries
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

struct subscription *asked_subscription(struct webhooks *webhooks, pbx_request request)
{
	const char *id = webhooks->requests->text(request, "id");
	struct subscription *subscription = subscription_find(webhooks, id);

	if (!subscription)
		subscription = pinned_find(webhooks, id);
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

/* Names are shown, and values but for those that open something. */
static struct pbx_json *describe_headers(const struct subscription *subscription)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	struct pbx_json *headers = json->copy(subscription->config.headers);

	for (uint32_t i = 0; i < json->count(subscription->config.headers); i++) {
		const char *name = json->name(json->at(subscription->config.headers, i));

		if (subscription->config.name || filter_is_private_header(name)) /* in the settings every value is a secret */
			(void)json->set_text(headers, name, NULL);
	}
	return headers;
}

static void describe_access(const struct subscription *subscription, struct pbx_json *object)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	const struct config *config = &subscription->config;
	char public_key[64];

	(void)json->set_boolean(object, "has_secret", true);
	(void)json->set_boolean(object, "legacy_signature", config->legacy_signature);
	(void)json->set_boolean(object, "ed25519", config->ed25519);
	(void)json->set_text(object, "public_key",
			     config->ed25519 && keys_public(subscription->webhooks, subscription->id, config->key, public_key) == PBX_OK
				     ? public_key
				     : NULL);
	(void)json->set_text(object, "client_certificate", config->client_certificate);
	(void)json->set_time(object, "client_certificate_until",
			     config->client_certificate ? keys_certificate_until_us(config->client_certificate) : 0);
	(void)json->set_text(object, "ca", config->ca);
	(void)json->set_text(object, "oauth_token_url", config->oauth_token_url);
	(void)json->set_text(object, "oauth_client_id", config->oauth_client_id);
	(void)json->set_text(object, "oauth_scope", config->oauth_scope);
	(void)json->set_text(object, "oauth_audience", config->oauth_audience);
	(void)json->set_text(object, "oauth_auth", config->oauth_auth);
}

struct pbx_json *subscription_describe(const struct subscription *subscription)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	const struct config *config = &subscription->config;
	struct pbx_json *object = json->new_object();

	(void)json->set_text(object, "id", subscription->id);
	(void)json->set_text(object, "name", config->name);
	(void)json->set_boolean(object, "pinned", config->name != NULL);
	(void)json->set_text(object, "url", config->url);
	(void)json->set_text(object, "description", config->description ? config->description : "");
	(void)json->set(object, "events", list_of(json, config->events));
	(void)json->set_text(object, "extension", config->extension);
	(void)json->set_text(object, "queue", config->queue);
	(void)json->set_text(object, "trunk", config->trunk);
	set_copy(json, object, "match", config->match);
	set_copy(json, object, "omit", config->omit);
	if (config->headers)
		(void)json->set(object, "headers", describe_headers(subscription));
	else
		(void)json->set_text(object, "headers", NULL);
	describe_access(subscription, object);
	(void)json->set_integer(object, "batch_events", config->batch_events);
	(void)json->set_integer(object, "batch_ms", config->batch_ms);
	(void)json->set_integer(object, "batch_bytes", config->batch_bytes);
	(void)json->set_text(object, "state", config->state);
	(void)json->set_text(object, "reason", config->reason);
	(void)json->set_integer(object, "waiting", subscription->queued);
	(void)json->set_integer(object, "delivered", (int64_t)subscription->delivered);
	(void)json->set_integer(object, "failed", (int64_t)subscription->failed);
	(void)json->set_time(object, "last_success_at", subscription->last_success_us);
	(void)json->set_time(object, "failing_since", config->failing_since_us);
	(void)json->set_time(object, "created_at", config->created_us);
	(void)json->set_time(object, "updated_at", config->updated_us);
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

	if (subscription && try_now(subscription, request) != PBX_OK)
		(void)webhooks->requests->fail(request, 503, "not_sent", NULL, "the request could not be made");
}

/* ---- public keys ---------------------------------------------------------------------- */

static void append_key(const struct subscription *subscription, struct pbx_json *items, const char *sealed, int64_t until_us)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	struct pbx_json *item = json->new_object();
	char text[64] = "";

	if (keys_public(subscription->webhooks, subscription->id, sealed, text) != PBX_OK) {
		json->free(item);
		return;
	}
	(void)json->set_text(item, "algorithm", "ed25519");
	(void)json->set_text(item, "public_key", text);
	(void)json->set_time(item, "until", until_us);
	(void)json->append(items, item);
}

/* For everybody who knows the webhook's id: a receiver has no token of ours. */
void webhooks_on_keys(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const struct subscription *subscription = asked_subscription(webhooks, request);

	if (!subscription)
		return;
	const struct config *config = &subscription->config;
	struct pbx_json *items = webhooks->json->new_array();
	int64_t until_us = config->rotated_us + ROTATION_US;
	if (config->ed25519)
		append_key(subscription, items, config->key, 0);
	if (config->ed25519 && config->key_before && webhooks_now_us(webhooks) < until_us)
		append_key(subscription, items, config->key_before, until_us);
	reply_items(webhooks, request, items);
}

/* ---- deliveries ----------------------------------------------------------------------- */

struct asked *asked_new(struct webhooks *webhooks, pbx_request request, const char *id)
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

void asked_fail(struct asked *asked, const char *why)
{
	(void)asked->webhooks->requests->fail(asked->request, 503, "store_unavailable", NULL, "%s", why);
	free(asked);
}

static void on_deliveries(void *self, const struct pbx_rows *rows)
{
	static const char *const texts[] = { "event_id", "type", "linked_id", "state", "answer" };
	static const char *const numbers[] = { "seq", "sequence", "attempts", "http_code", "took_ms" };
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->webhooks->json;

	if (rows->status != PBX_OK) {
		asked_fail(asked, rows->error);
		return;
	}
	struct pbx_json *items = json->new_array();
	for (uint32_t row = 0; row < rows->count; row++) {
		struct pbx_json *item = json->new_object();
		char id[64];

		(void)snprintf(id, sizeof id, "%s-%lld", asked->id, (long long)pbx_cell_int(rows, row, 5));
		(void)json->set_text(item, "id", id);
		for (uint32_t i = 0; i < 5; i++)
			(void)json->set_text(item, texts[i], pbx_cell_text(rows, row, i));
		for (uint32_t i = 0; i < 5; i++)
			(void)json->set_integer(item, numbers[i], pbx_cell_int(rows, row, 5 + i));
		(void)json->set_time(item, "created_at", pbx_cell_int(rows, row, 10));
		(void)json->set_time(item, "updated_at", pbx_cell_int(rows, row, 11));
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
		    "SELECT event_id, type, linked_id, state, answer, seq, number, attempts, http_code, took_ms, created_at, updated_at"
		    " FROM webhooks_deliveries WHERE subscription = $1 AND state LIKE $2 ORDER BY seq DESC LIMIT $3",
		    params, 3, on_deliveries, asked) != PBX_OK)
		asked_fail(asked, "the store takes nothing now; try again");
}
