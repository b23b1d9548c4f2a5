/*
 * edit - making, changing, pausing and removing subscriptions: the row first, then what runs
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

/* A change on its way to the table. */
struct change {
	struct webhooks *webhooks;
	pbx_request request;
	struct subscription *made; /* new, not yet in the list; NULL for a change of one that is */
	char id[27];
	struct config config;     /* of one that is: as it shall be */
	char secret[SECRET_SIZE]; /* shown once; "" when none was made */
};

static void change_free(struct change *change)
{
	config_free(change->webhooks, &change->config);
	explicit_bzero(change, sizeof *change);
	free(change);
}

static struct change *change_new(struct webhooks *webhooks, pbx_request request)
{
	struct change *change = calloc(1, sizeof *change);

	if (!change) {
		(void)webhooks->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	change->webhooks = webhooks;
	change->request = request;
	return change;
}

/* A copy of what is to be changed; NULL: it has been refused. */
static struct change *change_of(struct webhooks *webhooks, pbx_request request)
{
	const struct subscription *subscription = asked_subscription(webhooks, request);

	if (subscription && subscription->changing) {
		(void)webhooks->requests->fail(request, 409, "changing", "id", "somebody else is changing it this moment; try again");
		return NULL;
	}
	struct change *change = subscription ? change_new(webhooks, request) : NULL;
	if (!change)
		return NULL;
	(void)snprintf(change->id, sizeof change->id, "%s", subscription->id);
	if (config_copy(webhooks, &subscription->config, &change->config) == PBX_OK)
		return change;
	(void)webhooks->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
	change_free(change);
	return NULL;
}

/* The same, but not of one that the settings pin. */
static struct change *change_of_unpinned(struct webhooks *webhooks, pbx_request request)
{
	const struct subscription *subscription = asked_subscription(webhooks, request);

	if (!subscription)
		return NULL;
	if (!subscription->config.name)
		return change_of(webhooks, request);
	(void)webhooks->requests->fail(
		request, 409, "pinned", "id",
		"webhook %s stands in the settings: change it there, in webhooks.subscriptions, then: pbxctl config reload",
		subscription->config.name);
	return NULL;
}

/* ---- stored --------------------------------------------------------------------------- */

static void answer(struct change *change, const struct subscription *subscription)
{
	const struct webhooks *webhooks = change->webhooks;
	struct pbx_json *object = subscription_describe(subscription);
	char location[64];

	if (change->secret[0])
		(void)webhooks->json->set_text(object, "secret", change->secret);
	(void)snprintf(location, sizeof location, "/webhooks/%s", subscription->id);
	if (change->made)
		(void)webhooks->requests->created(change->request, location, object);
	else
		(void)webhooks->requests->reply(change->request, 200, object);
}

static void on_stored(void *self, const struct pbx_rows *rows)
{
	struct change *change = self;
	struct webhooks *webhooks = change->webhooks;
	struct subscription *subscription = change->made ? change->made : subscription_find(webhooks, change->id);

	if (subscription)
		subscription->changing = false;
	if (rows->status != PBX_OK || !subscription) {
		subscription_free(change->made);
		(void)webhooks->requests->fail(change->request, 503, "store_unavailable", NULL, "the subscription could not be stored: %s",
					       rows->error);
		change_free(change);
		pinned_follow_if_waiting(webhooks);
		return;
	}
	if (change->made)
		subscription_add(webhooks, change->made);
	else
		subscription_apply(subscription, &change->config);
	if (follow_start(subscription) != PBX_OK)
		pbx_error(webhooks->host, "not_followed", "webhook=%s events=\"%s\"", subscription->id, subscription->config.events);
	answer(change, subscription);
	change_free(change);
	pinned_follow_if_waiting(webhooks);
}

static void store(struct change *change)
{
	struct webhooks *webhooks = change->webhooks;
	struct subscription *subscription = change->made ? change->made : subscription_find(webhooks, change->id);
	struct config *config = change->made ? &change->made->config : &change->config;

	config->updated_us = webhooks_now_us(webhooks);
	subscription->changing = true;
	if (config_store(webhooks, subscription->id, config, on_stored, change) == PBX_OK)
		return;
	subscription->changing = false;
	(void)webhooks->requests->fail(change->request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
	subscription_free(change->made);
	change_free(change);
}

/* ---- keys ----------------------------------------------------------------------------- */

/* Seals the secret given, or a new random one, and moves the one of before aside. */
static int make_secret(struct webhooks *webhooks, const char *id, struct config *config, const char *given, char ret_secret[SECRET_SIZE])
{
	if (!given && keys_new_secret(ret_secret) != PBX_OK)
		return PBX_EIO;
	char *sealed = keys_seal(webhooks, id, given ? given : ret_secret);
	if (!sealed)
		return PBX_ENOMEM;
	free(config->secret_before);
	config->secret_before = config->secret;
	config->secret = sealed;
	return PBX_OK;
}

static int rotate_key(struct webhooks *webhooks, const char *id, struct config *config)
{
	char *fresh = NULL;

	if (!config->key)
		return PBX_OK;
	if (keys_new_ed25519(webhooks, id, &fresh) != PBX_OK)
		return PBX_EIO;
	free(config->key_before);
	config->key_before = config->key;
	config->key = fresh;
	return PBX_OK;
}

static void refuse_secret(struct webhooks *webhooks, pbx_request request)
{
	(void)webhooks->requests->fail(request, 503, "no_secret", NULL, "the secret could not be made or sealed");
}

/* ---- the handlers --------------------------------------------------------------------- */

static bool may_be_made(struct webhooks *webhooks, pbx_request request)
{
	const char *secret = webhooks->requests->text(request, "secret");

	if (webhooks->count >= MOST_SUBSCRIPTIONS)
		(void)webhooks->requests->fail(request, 409, "too_many", NULL, "there are %u subscriptions; remove one first",
					       MOST_SUBSCRIPTIONS);
	else if (secret && strlen(secret) < 16)
		(void)webhooks->requests->fail(request, 400, "invalid", "secret",
					       "a secret has at least 16 characters; leave it out and a good one is made");
	else
		return true;
	return false;
}

void webhooks_on_create(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct change *change = may_be_made(webhooks, request) ? change_new(webhooks, request) : NULL;

	if (!change)
		return;
	struct subscription *subscription = change->made = subscription_new(webhooks);
	if (!subscription) {
		(void)webhooks->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		change_free(change);
		return;
	}
	webhooks->host->ulid(webhooks->host, subscription->id);
	subscription->config.created_us = webhooks_now_us(webhooks);
	int err = arguments_take(webhooks, subscription->id, request, &subscription->config);
	if (err == PBX_OK && make_secret(webhooks, subscription->id, &subscription->config, webhooks->requests->text(request, "secret"),
					 change->secret) != PBX_OK) {
		refuse_secret(webhooks, request);
		err = PBX_EIO;
	}
	if (err == PBX_OK) {
		store(change);
		return;
	}
	subscription_free(subscription);
	change_free(change);
}

void webhooks_on_change(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct change *change = change_of_unpinned(webhooks, request);

	if (!change)
		return;
	if (arguments_take(webhooks, change->id, request, &change->config) == PBX_OK)
		store(change);
	else
		change_free(change);
}

void webhooks_on_rotate(void *self, pbx_request request)
{
	struct webhooks *webhooks = self;
	struct change *change = change_of_unpinned(webhooks, request);

	if (!change)
		return;
	change->config.rotated_us = webhooks_now_us(webhooks);
	if (make_secret(webhooks, change->id, &change->config, NULL, change->secret) == PBX_OK &&
	    rotate_key(webhooks, change->id, &change->config) == PBX_OK) {
		store(change);
		return;
	}
	refuse_secret(webhooks, request);
	change_free(change);
}

static void set_state(struct webhooks *webhooks, pbx_request request, const char *state)
{
	const struct subscription *subscription = asked_subscription(webhooks, request);

	if (!subscription)
		return;
	if (pinned_is_off(subscription)) {
		(void)webhooks->requests->fail(
			request, 409, "pinned", "id",
			"the settings have webhook %s switched off: take enabled: false out of webhooks.subscriptions, then: "
			"pbxctl config reload",
			subscription->config.name);
		return;
	}
	struct change *change = change_of(webhooks, request);
	if (!change)
		return;
	change->config.failing_since_us = 0;
	if (config_set(&change->config.state, state) == PBX_OK && config_set(&change->config.reason, NULL) == PBX_OK) {
		store(change);
		return;
	}
	(void)webhooks->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
	change_free(change);
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

static void on_removed(void *self, const struct pbx_rows *rows)
{
	struct change *change = self;
	struct webhooks *webhooks = change->webhooks;
	struct subscription *subscription = subscription_find(webhooks, change->id);

	if (rows->status == PBX_OK) {
		if (subscription)
			subscription_let_go(subscription);
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
	struct change *change = change_of_unpinned(webhooks, request);

	if (!change)
		return;
	const struct pbx_value params[] = { pbx_v_text(change->id) };
	const struct pbx_statement statements[] = { { "DELETE FROM webhooks_deliveries WHERE subscription = $1", params, 1 },
						    { "DELETE FROM webhooks_subscriptions WHERE id = $1", params, 1 } };
	if (webhooks->store->batch(webhooks->host, statements, 2, on_removed, change) != PBX_OK) {
		(void)webhooks->requests->fail(request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
		change_free(change);
	}
}
