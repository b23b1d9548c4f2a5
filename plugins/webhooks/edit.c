/*
 * edit - making, changing, pausing and removing subscriptions: the row first, then what runs
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A change on its way to the table. */
struct change {
	struct webhooks *webhooks;
	pbx_request request;
	struct subscription *made; /* new, not yet in the list; NULL for a change of one that is */
	char id[27];
	char secret[SECRET_LENGTH + 1]; /* shown once; "" when none was made */
	uint32_t status;
};

static void change_free(struct change *change)
{
	explicit_bzero(change, sizeof *change);
	free(change);
}

static void on_stored(void *self, const struct pbx_rows *rows)
{
	struct change *change = self;
	struct webhooks *webhooks = change->webhooks;
	struct subscription *subscription = change->made ? change->made : subscription_find(webhooks, change->id);
	char location[64];

	if (rows->status != PBX_OK || !subscription) {
		subscription_free(change->made);
		(void)webhooks->requests->fail(change->request, 503, "store_unavailable", NULL, "the subscription could not be stored: %s",
					       rows->error);
		change_free(change);
		return;
	}
	if (change->made)
		subscription_add(webhooks, change->made);
	if (deliver_start(subscription) != PBX_OK)
		pbx_error(webhooks->host, "not_followed", "webhook=%s events=\"%s\"", subscription->id, subscription->events);
	struct pbx_json *answer = subscription_describe(subscription);
	if (change->secret[0])
		(void)webhooks->json->set_text(answer, "secret", change->secret);
	(void)snprintf(location, sizeof location, "/webhooks/%s", subscription->id);
	if (change->made)
		(void)webhooks->requests->created(change->request, location, answer);
	else
		(void)webhooks->requests->reply(change->request, 200, answer);
	change_free(change);
}

static void store(struct subscription *subscription, struct change *change)
{
	if (subscription_store(subscription, on_stored, change) == PBX_OK)
		return;
	(void)change->webhooks->requests->fail(change->request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
	subscription_free(change->made);
	change_free(change);
}

static struct change *change_new(struct webhooks *webhooks, pbx_request request, const struct subscription *of)
{
	struct change *change = calloc(1, sizeof *change);

	if (!change) {
		(void)webhooks->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	change->webhooks = webhooks;
	change->request = request;
	if (of)
		(void)snprintf(change->id, sizeof change->id, "%s", of->id);
	return change;
}

/* ---- what a request says -------------------------------------------------------------- */

/* ["call.*", "queue.*"] to "call.*,queue.*"; PBX_EINVAL when it has been refused. */
static int take_events(struct subscription *subscription, pbx_request request)
{
	struct webhooks *webhooks = subscription->webhooks;
	const struct pbx_jsons *json = webhooks->json;
	const struct pbx_json *list = webhooks->requests->json(request, "events");
	char text[2048] = "";
	size_t at = 0;

	if (!list && subscription->events)
		return PBX_OK;
	for (uint32_t i = 0; i < json->count(list); i++) {
		const char *pattern = json->text(json->at(list, i));

		if (!pattern || !pattern[0] || strlen(pattern) > 64 ||
		    pattern[strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789_.*-")] != '\0' ||
		    at + strlen(pattern) + 2 > sizeof text) {
			(void)webhooks->requests->fail(request, 400, "invalid", "events",
						       "events are names as call.ended, or patterns as call.* and *");
			return PBX_EINVAL;
		}
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? "," : "", pattern);
	}
	char *events = webhooks_copy(text[0] ? text : "*");
	if (!events)
		return PBX_ENOMEM;
	free(subscription->events);
	subscription->events = events;
	return PBX_OK;
}

static int take_url(struct subscription *subscription, pbx_request request)
{
	struct webhooks *webhooks = subscription->webhooks;
	const char *url = webhooks->requests->text(request, "url");
	struct pbx_diag diag = { .text = "" };

	if (!url)
		return PBX_OK;
	if (strncasecmp(url, "https://", 8) != 0 && !(webhooks->settings->allow_http && strncasecmp(url, "http://", 7) == 0)) {
		(void)webhooks->requests->fail(request, 422, "not_https", "url",
					       "the URL must begin with https:// (webhooks.allow_http permits http://)");
		return PBX_EINVAL;
	}
	if (webhooks->fetch->check(url, &diag) != PBX_OK) {
		(void)webhooks->requests->fail(request, 422, "address_not_allowed", "url", "%s", diag.text);
		return PBX_EINVAL;
	}
	(void)snprintf(subscription->url, sizeof subscription->url, "%s", url);
	return PBX_OK;
}

static void take_json(struct subscription *subscription, pbx_request request, const char *name, struct pbx_json **into)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	const struct pbx_json *given = subscription->webhooks->requests->json(request, name);

	if (!given)
		return;
	json->free(*into);
	*into = json->count(given) > 0 ? json->copy(given) : NULL;
}

static int take_arguments(struct subscription *subscription, pbx_request request)
{
	struct webhooks *webhooks = subscription->webhooks;
	const struct pbx_requests *requests = webhooks->requests;
	const struct pbx_json *headers = requests->json(request, "headers");
	const char *text;
	struct pbx_diag diag;

	if (take_url(subscription, request) != PBX_OK || take_events(subscription, request) != PBX_OK)
		return PBX_EINVAL;
	if (headers && filter_check_headers(webhooks, headers, &diag) != PBX_OK) {
		(void)requests->fail(request, 400, "invalid", "headers", "%s", diag.text);
		return PBX_EINVAL;
	}
	take_json(subscription, request, "headers", &subscription->headers);
	take_json(subscription, request, "match", &subscription->match);
	take_json(subscription, request, "omit", &subscription->omit);
	if ((text = requests->text(request, "description")) != NULL)
		(void)snprintf(subscription->description, sizeof subscription->description, "%s", text);
	if ((text = requests->text(request, "extension")) != NULL)
		(void)snprintf(subscription->extension, sizeof subscription->extension, "%s", text);
	subscription->legacy_signature = requests->boolean(request, "legacy_signature", subscription->legacy_signature);
	return PBX_OK;
}

/* Seals the secret of the request, or a new random one. */
static int make_secret(struct subscription *subscription, const char *given, char ret_secret[SECRET_LENGTH + 1])
{
	struct webhooks *webhooks = subscription->webhooks;
	char context[64];

	if (!given && webhooks->secrets->random_text(ret_secret, SECRET_LENGTH) != PBX_OK)
		return PBX_EIO;
	(void)snprintf(context, sizeof context, "webhooks.%s", subscription->id);
	char *sealed = webhooks->secrets->seal(given ? given : ret_secret, context);
	if (!sealed)
		return PBX_ENOMEM;
	free(subscription->sealed_before);
	subscription->sealed_before = subscription->sealed;
	subscription->sealed = webhooks_copy(sealed);
	webhooks->secrets->wipe(sealed);
	return subscription->sealed ? PBX_OK : PBX_ENOMEM;
}

/* ---- the handlers --------------------------------------------------------------------- */

void webhooks_on_create(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	const char *secret = webhooks->requests->text(request, "secret");
	struct subscription *subscription;
	struct change *change;

	if (webhooks->count >= MOST_SUBSCRIPTIONS) {
		(void)webhooks->requests->fail(request, 409, "too_many", NULL, "there are %u subscriptions; remove one first",
					       MOST_SUBSCRIPTIONS);
		return;
	}
	if (secret && strlen(secret) < 16) {
		(void)webhooks->requests->fail(request, 400, "invalid", "secret",
					       "a secret has at least 16 characters; leave it out and a good one is made");
		return;
	}
	subscription = subscription_new(webhooks);
	change = subscription ? change_new(webhooks, request, NULL) : NULL;
	if (!change) {
		subscription_free(subscription);
		return;
	}
	webhooks->host->ulid(webhooks->host, subscription->id);
	subscription->created_us = webhooks->host->wall_us(webhooks->host);
	change->made = subscription;
	if (take_arguments(subscription, request) != PBX_OK) {
		subscription_free(subscription);
		change_free(change);
	} else if (make_secret(subscription, secret, change->secret) != PBX_OK) {
		(void)webhooks->requests->fail(request, 503, "no_secret", NULL, "the secret could not be made or sealed");
		subscription_free(subscription);
		change_free(change);
	} else {
		store(subscription, change);
	}
}

void webhooks_on_change(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct subscription *subscription = asked_subscription(webhooks, request);
	struct change *change = subscription ? change_new(webhooks, request, subscription) : NULL;

	if (!change)
		return;
	if (take_arguments(subscription, request) != PBX_OK) {
		change_free(change);
		return;
	}
	deliver_stop(subscription); /* it follows other events now; on_stored starts it again where it stopped */
	store(subscription, change);
}

void webhooks_on_rotate(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct subscription *subscription = asked_subscription(webhooks, request);
	struct change *change = subscription ? change_new(webhooks, request, subscription) : NULL;

	if (!change)
		return;
	if (make_secret(subscription, NULL, change->secret) != PBX_OK) {
		(void)webhooks->requests->fail(request, 503, "no_secret", NULL, "the secret could not be made or sealed");
		change_free(change);
		return;
	}
	subscription->rotated_us = webhooks->host->wall_us(webhooks->host);
	store(subscription, change);
}

static void set_state(struct webhooks *webhooks, pbx_request request, const char *state)
{
	struct subscription *subscription = asked_subscription(webhooks, request);
	struct change *change = subscription ? change_new(webhooks, request, subscription) : NULL;

	if (!change)
		return;
	deliver_stop(subscription);
	(void)snprintf(subscription->state, sizeof subscription->state, "%s", state);
	subscription->reason[0] = '\0';
	subscription->failing_since_us = 0;
	store(subscription, change);
}

void webhooks_on_pause(void *self, pbx_request request)
{
	set_state(self, request, "paused");
}

void webhooks_on_resume(void *self, pbx_request request)
{
	set_state(self, request, "active");
}

/* ---- removing ------------------------------------------------------------------------- */

static void let_go(struct webhooks *webhooks, struct subscription *subscription)
{
	char follower[40];

	deliver_stop(subscription);
	(void)snprintf(follower, sizeof follower, "to-%s", subscription->id);
	(void)webhooks->bus->forget(webhooks->host, follower);
	subscription_take_out(webhooks, subscription);
	subscription->removed = true;
	if (subscription->under_way == 0) {
		subscription_free(subscription);
		return;
	}
	for (struct delivery *delivery = subscription->queue, *next; delivery; delivery = next) {
		next = delivery->next; /* the last cancelled one frees them all, later */
		if (delivery->transfer.id)
			(void)webhooks->fetch->cancel(delivery->transfer);
	}
}

static void on_removed(void *self, const struct pbx_rows *rows)
{
	struct change *change = self;
	struct webhooks *webhooks = change->webhooks;
	struct subscription *subscription = subscription_find(webhooks, change->id);

	if (rows->status == PBX_OK) {
		if (subscription)
			let_go(webhooks, subscription);
		(void)webhooks->requests->reply(change->request, 204, NULL);
	} else {
		(void)webhooks->requests->fail(change->request, 503, "store_unavailable", NULL, "the subscription could not be removed: %s",
					       rows->error);
	}
	change_free(change);
}

void webhooks_on_remove(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct subscription *subscription = asked_subscription(webhooks, request);
	struct change *change = subscription ? change_new(webhooks, request, subscription) : NULL;

	if (!change)
		return;
	const struct pbx_value params[] = { pbx_v_text(subscription->id) };
	const struct pbx_statement statements[] = { { "DELETE FROM webhooks_deliveries WHERE subscription = $1", params, 1 },
						    { "DELETE FROM webhooks_subscriptions WHERE id = $1", params, 1 } };
	if (webhooks->store->batch(webhooks->host, statements, 2, on_removed, change) != PBX_OK) {
		(void)webhooks->requests->fail(request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
		change_free(change);
	}
}
