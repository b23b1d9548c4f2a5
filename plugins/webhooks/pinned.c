/*
 * pinned - the subscriptions that stand in the settings
 *
 * Each is a subscription as any other, with a row, a place in the log and a queue, but known by its name, and what it says is the settings'
 * to say. Whenever those have been read, pinned_follow() looks at what differs from memory: the row first, then what runs. What cannot be done
 * now (a change is on its way, the store takes nothing) is done by looking once more, so only the latest settings ever count.
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LOOK_AGAIN_MS 5000u
#define MOST_MATCH 300u
#define SWITCHED_OFF "webhooks.subscriptions says enabled: false"

/* What is on its way to the table. */
struct pinning {
	struct webhooks *webhooks;
	char id[27];
	struct config config; /* as it shall be */
};

static const struct subscription_settings *row_at(const struct webhook_settings *settings, uint32_t i)
{
	return (const void *)((const char *)settings->subscriptions.rows + (size_t)i * settings->subscriptions.row_size);
}

static const struct header_settings *header_at(const struct subscription_settings *row, uint32_t i)
{
	return (const void *)((const char *)row->headers.rows + (size_t)i * row->headers.row_size);
}

struct subscription *pinned_find(struct webhooks *webhooks, const char *name)
{
	struct subscription *subscription = webhooks->subscriptions;

	while (subscription && (!name || !subscription->config.name || strcmp(subscription->config.name, name) != 0))
		subscription = subscription->next;
	return subscription;
}

bool pinned_is_off(const struct subscription *subscription)
{
	const struct config *config = &subscription->config;

	return config->name && config->reason && strcmp(config->reason, SWITCHED_OFF) == 0;
}

/* ---- do they fit? --------------------------------------------------------------------- */

/* Of the row that is looked at, with what is wrong about its member; always PBX_EINVAL. */
static int wrong(struct pbx_diag *diag, uint32_t row, const char *member, const char *text)
{
	char field[sizeof diag->field];

	(void)snprintf(field, sizeof field, "subscriptions[%u]%s%s", row, member[0] ? "." : "", member);
	pbx_diag_set(diag, field, "%s", text);
	return PBX_EINVAL;
}

/* Small letters only, so that no name is somebody's id. */
static int check_name(const struct webhook_settings *settings, uint32_t row, struct pbx_diag *diag)
{
	const char *name = row_at(settings, row)->name;
	char text[160];

	if (name[0] < 'a' || name[0] > 'z' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0')
		return wrong(diag, row, "name", "a name is made of a-z, 0-9, _ and -, and begins with a letter, as in crm");
	for (uint32_t i = 0; i < row; i++)
		if (strcmp(row_at(settings, i)->name, name) == 0) {
			(void)snprintf(text, sizeof text, "two subscriptions are called '%s': give each a name of its own", name);
			return wrong(diag, row, "name", text);
		}
	return PBX_OK;
}

static int check_events(const struct subscription_settings *settings, uint32_t row, struct pbx_diag *diag)
{
	size_t size = 1;

	for (uint32_t i = 0; i < settings->events.count; i++) {
		size += strlen(settings->events.items[i]) + 1;
		if (!filter_is_pattern(settings->events.items[i]) || size > 2000)
			return wrong(diag, row, "events", "events are names as call.ended, or patterns as call.* and *");
	}
	return PBX_OK;
}

static int check_match(const struct subscription_settings *settings, uint32_t row, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < settings->match.count; i++) {
		const char *item = settings->match.items[i];

		if (item[0] != '/' || !strchr(item, '=') || strlen(item) >= MOST_MATCH)
			return wrong(diag, row, "match", "what is to match is a place in the data and its value, as /direction=inbound");
	}
	return PBX_OK;
}

static bool has_expired(const char *pem)
{
	int64_t until_us = keys_certificate_until_us(pem);

	return until_us > 0 && until_us / 1000000 <= time(NULL);
}

/* One that has expired is no reason not to start: the endpoint refuses it, which `webhook show` tells. */
static int check_identity(const struct webhook_settings *settings, uint32_t row, struct pbx_diag *diag)
{
	const struct subscription_settings *is = row_at(settings, row);
	struct pbx_diag why = { .text = "" };

	if (is->ca[0] && keys_check_authorities(is->ca, &why) != PBX_OK)
		return wrong(diag, row, "ca", why.text);
	if (!is->client_certificate[0] && !is->client_key[0])
		return PBX_OK;
	if (!is->client_certificate[0] || !is->client_key[0])
		return wrong(diag, row, is->client_key[0] ? "client_certificate" : "client_key",
			     "client_certificate and client_key go together: give both");
	if (keys_check_identity(is->client_certificate, is->client_key, &why) != PBX_OK && !has_expired(is->client_certificate))
		return wrong(diag, row, strcmp(why.field, "client_key") == 0 ? "client_key" : "client_certificate", why.text);
	return PBX_OK;
}

static int check_headers(const struct subscription_settings *settings, uint32_t row, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < settings->headers.count; i++) {
		const struct header_settings *header = header_at(settings, i);
		struct pbx_diag why = { .text = "" };

		if (filter_check_header(header->name, header->value, &why) != PBX_OK)
			return wrong(diag, row, "headers", why.text);
		if (settings->oauth_token_url[0] && strcasecmp(header->name, "Authorization") == 0)
			return wrong(diag, row, "headers",
				     "the access token goes into Authorization: take that header or oauth_token_url away");
	}
	return PBX_OK;
}

int pinned_check(const void *proposed, struct pbx_diag *diag)
{
	const struct webhook_settings *settings = proposed;

	for (uint32_t i = 0; i < settings->subscriptions.count; i++) {
		const struct subscription_settings *row = row_at(settings, i);
		const char *code, *token_url = row->oauth_token_url, *text;

		if (check_name(settings, i, diag) != PBX_OK || check_events(row, i, diag) != PBX_OK ||
		    check_match(row, i, diag) != PBX_OK || check_headers(row, i, diag) != PBX_OK ||
		    check_identity(settings, i, diag) != PBX_OK)
			return PBX_EINVAL;
		if ((text = arguments_url_wrong(settings, row->url, &code)))
			return wrong(diag, i, "url", text);
		if (token_url[0] && (text = arguments_url_wrong(settings, token_url, &code)))
			return wrong(diag, i, "oauth_token_url", text);
		if (token_url[0] && (!row->oauth_client_id[0] || !row->oauth_client_secret[0]))
			return wrong(diag, i, "oauth_token_url", "oauth_token_url needs oauth_client_id and oauth_client_secret");
	}
	return PBX_OK;
}

/* ---- what a row says, as a configuration ---------------------------------------------- */

static int set_events(struct config *config, const struct pbx_list *events)
{
	char text[2048] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < events->count; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? "," : "", events->items[i]);
	return config_set(&config->events, text[0] ? text : "*");
}

static int set_texts(struct config *config, const struct subscription_settings *row)
{
	const struct {
		char **member;
		const char *text;
	} texts[] = {
		{ &config->name, row->name },
		{ &config->url, row->url },
		{ &config->description, row->description },
		{ &config->extension, row->extension },
		{ &config->queue, row->queue },
		{ &config->trunk, row->trunk },
		{ &config->client_certificate, row->client_certificate },
		{ &config->ca, row->ca },
		{ &config->oauth_token_url, row->oauth_token_url },
		{ &config->oauth_client_id, row->oauth_client_id },
		{ &config->oauth_scope, row->oauth_scope },
		{ &config->oauth_audience, row->oauth_audience },
		{ &config->oauth_auth, row->oauth_auth },
	};
	int err = set_events(config, &row->events);

	for (size_t i = 0; i < sizeof texts / sizeof texts[0] && err == PBX_OK; i++)
		err = config_set(texts[i].member, texts[i].text);
	return err;
}

/* "/direction=inbound" */
static int set_match(const struct pbx_jsons *json, struct pbx_json *match, const char *item)
{
	char place[MOST_MATCH];
	size_t length = strcspn(item, "=");

	(void)snprintf(place, sizeof place, "%.*s", (int)length, item);
	return json->set_text(match, place, item + length + 1);
}

static int set_jsons(const struct webhooks *webhooks, struct config *config, const struct subscription_settings *row)
{
	const struct pbx_jsons *json = webhooks->json;
	int err = PBX_OK;

	json->free(config->match);
	json->free(config->omit);
	json->free(config->headers);
	config->match = row->match.count ? json->new_object() : NULL;
	config->omit = row->omit.count ? json->new_array() : NULL;
	config->headers = row->headers.count ? json->new_object() : NULL;
	for (uint32_t i = 0; i < row->omit.count && err == PBX_OK; i++)
		err = json->append_text(config->omit, row->omit.items[i]);
	for (uint32_t i = 0; i < row->match.count && err == PBX_OK; i++)
		err = set_match(json, config->match, row->match.items[i]);
	for (uint32_t i = 0; i < row->headers.count && err == PBX_OK; i++)
		err = json->set_text(config->headers, header_at(row, i)->name, header_at(row, i)->value);
	return err;
}

/* Sealed anew only when it is another one. What was there before is *ret_before's, when somebody asks for it and it can still be opened. */
static int set_sealed(const struct webhooks *webhooks, const char *id, char **member, const char *text, char **ret_before)
{
	char *opened = keys_open(webhooks, id, *member);
	const bool was_good = opened != NULL, same = opened ? strcmp(opened, text) == 0 : !*member && !text[0];

	webhooks->secrets->wipe(opened);
	if (same)
		return PBX_OK;
	char *sealed = text[0] ? keys_seal(webhooks, id, text) : NULL;
	if (text[0] && !sealed)
		return PBX_ENOMEM;
	if (ret_before && was_good) {
		free(*ret_before);
		*ret_before = *member;
	} else {
		free(*member);
	}
	*member = sealed;
	return PBX_OK;
}

static int set_secrets(const struct webhooks *webhooks, const char *id, struct config *config, const struct subscription_settings *row)
{
	const char *before = config->secret_before;
	int err = set_sealed(webhooks, id, &config->secret, row->secret, &config->secret_before);

	if (err == PBX_OK && config->secret_before != before)
		config->rotated_us = webhooks_now_us(webhooks);
	if (err == PBX_OK)
		err = set_sealed(webhooks, id, &config->oauth_client_secret, row->oauth_token_url[0] ? row->oauth_client_secret : "", NULL);
	if (err == PBX_OK)
		err = set_sealed(webhooks, id, &config->client_key, row->client_key, NULL);
	if (err == PBX_OK && row->ed25519 && !config->key)
		err = keys_new_ed25519(webhooks, id, &config->key);
	return err;
}

/* Who paused it, and an endpoint that is gone, are not overruled. */
static int set_state(struct config *config, bool enabled, bool is_off)
{
	if (enabled != is_off)
		return PBX_OK;
	int err = config_set(&config->state, enabled ? "active" : "disabled");
	return err == PBX_OK ? config_set(&config->reason, enabled ? NULL : SWITCHED_OFF) : err;
}

/* *ret_config: what the subscription shall be. PBX_OK, PBX_ENOMEM, PBX_EIO (a key could not be made). */
static int shall_be(const struct subscription *subscription, const struct subscription_settings *row, struct config *ret_config)
{
	const struct webhooks *webhooks = subscription->webhooks;
	struct config config;
	int err = config_copy(webhooks, &subscription->config, &config);

	if (err != PBX_OK)
		return err;
	config.legacy_signature = row->legacy_signature;
	config.ed25519 = row->ed25519;
	config.batch_events = row->batch_events;
	config.batch_ms = row->batch_ms;
	config.batch_bytes = row->batch_bytes;
	err = set_texts(&config, row);
	if (err == PBX_OK)
		err = set_jsons(webhooks, &config, row);
	if (err == PBX_OK)
		err = set_secrets(webhooks, subscription->id, &config, row);
	if (err == PBX_OK)
		err = set_state(&config, row->enabled, pinned_is_off(subscription));
	if (err == PBX_OK)
		*ret_config = config;
	else
		config_free(webhooks, &config);
	return err;
}

/* ---- to the table --------------------------------------------------------------------- */

static void on_look_again(void *self, pbx_timer timer)
{
	struct webhooks *webhooks = self;

	(void)timer;
	webhooks->pinning_timer = (pbx_timer){ 0 };
	pinned_follow(webhooks);
}

static void look_again_later(struct webhooks *webhooks, const char *what, const char *why)
{
	pbx_warn(webhooks->host, "settings_not_followed", "webhook=%s reason=\"%s\"", what, why);
	if (!webhooks->pinning_timer.id)
		(void)webhooks->timers->start(webhooks->host, LOOK_AGAIN_MS, 0, on_look_again, webhooks, &webhooks->pinning_timer);
}

static void pinning_free(struct pinning *pinning)
{
	if (!pinning)
		return;
	config_free(pinning->webhooks, &pinning->config);
	free(pinning);
}

static struct pinning *pinning_new(struct subscription *subscription)
{
	struct pinning *pinning = calloc(1, sizeof *pinning);

	if (!pinning)
		return NULL;
	pinning->webhooks = subscription->webhooks;
	(void)snprintf(pinning->id, sizeof pinning->id, "%s", subscription->id);
	return pinning;
}

/* One that has never been in the table is as if it had not been. */
static void give_up(struct subscription *subscription, const char *why)
{
	look_again_later(subscription->webhooks, subscription->config.name, why);
	if (!subscription->config.updated_us)
		subscription_let_go(subscription);
}

static void on_kept(void *self, const struct pbx_rows *rows)
{
	struct pinning *pinning = self;
	struct webhooks *webhooks = pinning->webhooks;
	struct subscription *subscription = subscription_find(webhooks, pinning->id);

	if (subscription)
		subscription->changing = false;
	if (subscription && rows->status == PBX_OK) {
		subscription_apply(subscription, &pinning->config);
		if (!webhooks->is_draining && follow_start(subscription) != PBX_OK)
			pbx_error(webhooks->host, "not_followed", "webhook=%s events=\"%s\"", subscription->id,
				  subscription->config.events);
	} else if (subscription && rows->status != PBX_ECANCELLED) {
		give_up(subscription, rows->error);
	}
	pinning_free(pinning);
	pinned_follow_if_waiting(webhooks);
}

static void keep(struct subscription *subscription, const struct subscription_settings *row)
{
	struct webhooks *webhooks = subscription->webhooks;
	struct pinning *pinning = pinning_new(subscription);
	int err = pinning ? shall_be(subscription, row, &pinning->config) : PBX_ENOMEM;

	if (err == PBX_OK && subscription->config.updated_us && config_is_same(webhooks, &pinning->config, &subscription->config)) {
		pinning_free(pinning);
		return;
	}
	if (err == PBX_OK) {
		pinning->config.updated_us = webhooks_now_us(webhooks);
		subscription->changing = true;
		err = config_store(webhooks, subscription->id, &pinning->config, on_kept, pinning);
	}
	if (err == PBX_OK)
		return;
	subscription->changing = false;
	pinning_free(pinning);
	give_up(subscription, "no memory, or the store takes nothing now");
}

/* In the list at once, so that it is known by its name; it does nothing before its row is safe. */
static void make(struct webhooks *webhooks, const struct subscription_settings *row)
{
	struct subscription *subscription = subscription_new(webhooks);

	if (!subscription || config_set(&subscription->config.name, row->name) != PBX_OK ||
	    config_set(&subscription->config.url, row->url) != PBX_OK) {
		subscription_free(subscription);
		look_again_later(webhooks, row->name, "no memory");
		return;
	}
	webhooks->host->ulid(webhooks->host, subscription->id);
	subscription->config.created_us = webhooks_now_us(webhooks);
	subscription_add(webhooks, subscription);
	keep(subscription, row);
}

/* ---- leaving -------------------------------------------------------------------------- */

static void on_left(void *self, const struct pbx_rows *rows)
{
	struct pinning *pinning = self;
	struct webhooks *webhooks = pinning->webhooks;
	struct subscription *subscription = subscription_find(webhooks, pinning->id);

	if (subscription)
		subscription->changing = false;
	if (subscription && rows->status == PBX_OK)
		subscription_let_go(subscription);
	else if (subscription && rows->status != PBX_ECANCELLED)
		look_again_later(webhooks, subscription->config.name, rows->error);
	pinning_free(pinning);
	pinned_follow_if_waiting(webhooks);
}

static void leave(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;
	struct pinning *pinning = pinning_new(subscription);
	const struct pbx_value params[] = { pbx_v_text(subscription->id) };
	const struct pbx_statement statements[] = { { "DELETE FROM webhooks_deliveries WHERE subscription = $1", params, 1 },
						    { "DELETE FROM webhooks_subscriptions WHERE id = $1", params, 1 } };

	subscription->leaving = true;
	follow_stop(subscription);
	subscription->changing = true;
	if (pinning && webhooks->store->batch(webhooks->host, statements, 2, on_left, pinning) == PBX_OK)
		return;
	subscription->changing = false;
	pinning_free(pinning);
	look_again_later(webhooks, subscription->config.name, "no memory, or the store takes nothing now");
}

/* ---- all of them ---------------------------------------------------------------------- */

static bool is_said(struct webhooks *webhooks, const struct subscription *subscription)
{
	for (uint32_t i = 0; i < webhooks->settings->subscriptions.count; i++)
		if (strcmp(row_at(webhooks->settings, i)->name, subscription->config.name) == 0)
			return pinned_find(webhooks, subscription->config.name) == subscription;
	return false;
}

static void follow_row(struct webhooks *webhooks, const struct subscription_settings *row)
{
	struct subscription *subscription = pinned_find(webhooks, row->name);

	if (!subscription) {
		make(webhooks, row);
	} else if (subscription->changing) {
		webhooks->pinning_waits = true;
	} else {
		if (subscription->leaving) { /* it could not be removed, and is back */
			subscription->leaving = false;
			(void)follow_start(subscription); /* keep() and its successors tell */
		}
		keep(subscription, row);
	}
}

void pinned_follow(struct webhooks *webhooks)
{
	if (!webhooks->is_started || webhooks->is_draining)
		return;
	webhooks->pinning_waits = false;
	for (struct subscription *subscription = webhooks->subscriptions; subscription; subscription = subscription->next) {
		if (!subscription->config.name || is_said(webhooks, subscription))
			continue;
		if (subscription->changing)
			webhooks->pinning_waits = true;
		else
			leave(subscription);
	}
	for (uint32_t i = 0; i < webhooks->settings->subscriptions.count; i++)
		follow_row(webhooks, row_at(webhooks->settings, i));
}

void pinned_follow_if_waiting(struct webhooks *webhooks)
{
	if (webhooks->pinning_waits)
		pinned_follow(webhooks);
}
