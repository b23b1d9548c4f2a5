/*
 * webhooks - what happens here, told to other systems as signed HTTP requests, nothing lost and nothing out of order
 *
 * subscriptions.c and config.c who wants to be told, filter.c what. follow.c takes events into queue.c, shipment.c gathers them, deliver.c
 * sends until the endpoint has them: post.c one request, sign.c and keys.c how they know it is us, token.c how we are let in. edit.c and
 * arguments.c what people change, pinned.c what the settings say, requests.c what people look at, again.c and try.c what they send. Here: the
 * tables, and life.
 */
#include "webhooks.h"

static const struct pbx_setting header_rows[] = {
	PBX_TEXT(struct header_settings, name, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 63, .help = "Name of the header"),
	PBX_SECRET(struct header_settings, value, .flags = PBX_SETTING_NEEDED, .most = 900, .help = "Its value, one line"),
};

#define PINNED_TEXT(member, size, text) PBX_TEXT(struct subscription_settings, member, .initial_text = "", .most = size, .help = text)

#define PINNED_PEM(member, size, text)                                                                                                     \
	PBX_TEXT(struct subscription_settings, member, .initial_text = "", .flags = PBX_SETTING_LINES, .most = size, .help = text)

/* As the arguments of a request (SUBSCRIPTION_ARGS), where a simple value fits. */
static const struct pbx_setting subscription_rows[] = {
	PBX_TEXT(struct subscription_settings, name, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 26,
		 .help = "What it is known by: a-z, 0-9, _ and -, a letter first; with another name it is another webhook, which begins "
			 "anew"),
	PBX_TEXT(struct subscription_settings, url, .flags = PBX_SETTING_NEEDED, .least = 8, .most = 2000, .help = "Endpoint, https://…"),
	PBX_SECRET(struct subscription_settings, secret, .flags = PBX_SETTING_NEEDED, .least = 16, .most = 128,
		   .help = "For the signature: whsec_ and base64, or any text; after a change the one before signs too for a day"),
	PBX_LIST(struct subscription_settings, events, .initial_text = "*", .help = "Names or patterns: call.ended, call.*, *"),
	PBX_BOOL(struct subscription_settings, enabled, .initial = true,
		 .help = "Off, nothing is sent; what happens meanwhile comes when it is on again"),
	PINNED_TEXT(description, 255, "What it is for"),
	PINNED_TEXT(extension, 63, "Only events about this extension; empty: all"),
	PINNED_TEXT(queue, 63, "Only events about this queue; empty: all"),
	PINNED_TEXT(trunk, 63, "Only events about this trunk; empty: all"),
	PBX_LIST(struct subscription_settings, match, .initial_text = "",
		 .help = "Only events whose data has these values, as /direction=inbound or /to/number=1002; all of them must be right"),
	PBX_LIST(struct subscription_settings, omit, .initial_text = "", .help = "Members of data that are not sent"),
	PBX_OBJECTS(struct subscription_settings, headers, .fields = PBX_TABLE(header_rows), .object_size = sizeof(struct header_settings),
		    .least = 0, .most = MOST_HEADERS, .help = "Headers to send along"),
	PBX_BOOL(struct subscription_settings, legacy_signature, .initial = true, .help = "Send the X-Webhook-… headers too"),
	PBX_BOOL(struct subscription_settings, ed25519, .initial = false,
		 .help = "Sign with Ed25519 too (v1a); /webhooks/{id}/keys has the public key"),
	PINNED_PEM(client_certificate, 16384, "Certificate to show to the endpoint, PEM (in YAML: |); empty: none"),
	PBX_SECRET(struct subscription_settings, client_key, .initial_text = "", .most = 16384, .flags = PBX_SETTING_LINES,
		   .help = "Its private key, PEM without a password"),
	PINNED_PEM(ca, 65536, "Authorities to believe instead of the system's, PEM; empty: the system's"),
	PINNED_TEXT(oauth_token_url, 2000, "Where to get an access token with client credentials; empty: none"),
	PINNED_TEXT(oauth_client_id, 255, "Our name there"),
	PBX_SECRET(struct subscription_settings, oauth_client_secret, .initial_text = "", .most = 512, .help = "And our secret"),
	PINNED_TEXT(oauth_scope, 500, "Scopes to ask for"),
	PINNED_TEXT(oauth_audience, 255, "Audience to ask for"),
	PBX_CHOICE(struct subscription_settings, oauth_auth, .initial_text = "basic", .choices = PBX_CHOICES("basic", "body"),
		   .help = "How name and secret are sent: basic (a header), body"),
	PBX_UINT(struct subscription_settings, batch_events, .initial = 1, .least = 1, .most = MOST_TOGETHER,
		 .help = "So many events go in one request (1: each alone)"),
	PBX_UINT(struct subscription_settings, batch_ms, .initial = 1000, .least = 10, .most = 60000, .unit = "ms",
		 .help = "Or as many as there are after this time"),
	PBX_UINT(struct subscription_settings, batch_bytes, .initial = 262144, .least = 1024, .most = 1048576, .unit = "bytes",
		 .help = "Or as fit into so many bytes"),
};

static const struct pbx_setting settings[] = {
	PBX_UINT(struct webhook_settings, timeout_s, .initial = 10, .least = 1, .most = 120, .unit = "s",
		 .help = "An endpoint has so long to answer"),
	PBX_UINT(struct webhook_settings, connect_timeout_s, .initial = 5, .least = 1, .most = 60, .unit = "s",
		 .help = "And so long to be reached"),
	PBX_UINT(struct webhook_settings, concurrency, .initial = 4, .least = 1, .most = 64, .help = "Requests at once to one endpoint"),
	PBX_UINT(struct webhook_settings, give_up_h, .initial = 24, .least = 1, .most = 720, .unit = "h",
		 .help = "Tried for so long, then set aside as dead"),
	PBX_UINT(struct webhook_settings, retention_days, .initial = 7, .least = 1, .most = 365, .unit = "days",
		 .help = "How long finished deliveries are kept"),
	PBX_BOOL(struct webhook_settings, allow_http, .initial = 0,
		 .help = "Permit http:// endpoints everywhere, which anybody on the way can read"),
	PBX_LIST(struct webhook_settings, http_hosts, .initial_text = "",
		 .help = "Hosts whose endpoints may be http://; fetch.allow still says whether they may be inside the house"),
	PBX_OBJECTS(struct webhook_settings, subscriptions, .fields = PBX_TABLE(subscription_rows),
		    .object_size = sizeof(struct subscription_settings), .least = 0, .most = MOST_SUBSCRIPTIONS,
		    .help = "Webhooks that stand here and are changed here only, beside those that people make"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "subscriptions and deliveries",
	  "CREATE TABLE webhooks_subscriptions (id TEXT PRIMARY KEY, url TEXT NOT NULL, description TEXT NOT NULL, events TEXT NOT NULL,"
	  " secret TEXT NOT NULL, secret_before TEXT, rotated_at INTEGER NOT NULL, headers TEXT, match TEXT, omit TEXT, extension TEXT NOT "
	  "NULL,"
	  " legacy_signature INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER "
	  "NOT NULL);"
	  "CREATE TABLE webhooks_deliveries (subscription TEXT NOT NULL, seq INTEGER NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,"
	  " linked_id TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, http_code INTEGER NOT NULL,"
	  " answer TEXT NOT NULL, took_ms INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY "
	  "(subscription, seq));"
	  "CREATE INDEX webhooks_deliveries_state ON webhooks_deliveries (state, updated_at)" },
	{ 2, "batches, numbers, keys, certificates, access tokens",
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN queue TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN trunk TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN ed25519 INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN signing_key TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN signing_key_before TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN client_certificate TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN client_key TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN ca TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN oauth_token_url TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN oauth_client_id TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN oauth_client_secret TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN oauth_scope TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN oauth_audience TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN oauth_auth TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN batch_events INTEGER NOT NULL DEFAULT 1;"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN batch_ms INTEGER NOT NULL DEFAULT 1000;"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN batch_bytes INTEGER NOT NULL DEFAULT 262144;"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN failing_since INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN replay_until INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE webhooks_subscriptions ADD COLUMN replay_end INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE webhooks_deliveries ADD COLUMN number INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE webhooks_deliveries ADD COLUMN happened_at INTEGER NOT NULL DEFAULT 0;"
	  "UPDATE webhooks_deliveries SET number = seq, happened_at = created_at" },
	{ 3, "names of those in the settings", "ALTER TABLE webhooks_subscriptions ADD COLUMN name TEXT NOT NULL DEFAULT ''" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_DELIVERIES] = { .name = "pbx_webhook_deliveries_total",
				.kind = PBX_METRIC_COUNTER,
				.help = "Deliveries by outcome: delivered, dead; failed counts every attempt",
				.labels = "result" },
	[METRIC_QUEUED] = { .name = "pbx_webhook_waiting", .kind = PBX_METRIC_GAUGE, .help = "Deliveries that wait", .labels = "webhook" },
	[METRIC_LAG] = { .name = "pbx_webhook_lag_seconds",
			 .kind = PBX_METRIC_HISTOGRAM,
			 .help = "From event to delivery",
			 .labels = "webhook",
			 .buckets = "0.01,0.05,0.1,0.5,1,2,5,30,300,3600" },
	[METRIC_TOKENS] = { .name = "pbx_webhook_tokens_total",
			    .kind = PBX_METRIC_COUNTER,
			    .help = "Access tokens asked for, by result: granted, refused",
			    .labels = "result" },
};

static const struct pbx_field dead_fields[] = {
	{ "webhook_id", PBX_TYPE_TEXT, "Which webhook" },
	{ "event_id", PBX_TYPE_TEXT, "Which event" },
	{ "type", PBX_TYPE_TEXT, "Its type" },
	{ "attempts", PBX_TYPE_INT, "How often it was tried" },
	{ "reason", PBX_TYPE_TEXT, "What went wrong last" },
};
static const struct pbx_field disabled_fields[] = {
	{ "webhook_id", PBX_TYPE_TEXT, "Which webhook" },
	{ "url", PBX_TYPE_TEXT, "Its endpoint" },
	{ "reason", PBX_TYPE_TEXT, "Why it was switched off" },
};
static const struct pbx_event_type events[] = {
	{ "webhook.dead_letter", "An event could not be delivered", PBX_TABLE(dead_fields) },
	{ "webhook.disabled", "A webhook was switched off", PBX_TABLE(disabled_fields) },
};

/* ---- what people may ask -------------------------------------------------------------- */

#define ID_ARG                                                                                                                             \
	{                                                                                                                                  \
		.name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 26, .help = "Its id, or its name",                 \
		.completes = "webhook"                                                                                                     \
	}
#define TEXT_ARG(what, size, text)                                                                                                         \
	{                                                                                                                                  \
		.name = what, .type = PBX_TYPE_TEXT, .most = size, .help = text                                                            \
	}
#define SECRET_ARG(what, size, text)                                                                                                       \
	{                                                                                                                                  \
		.name = what, .type = PBX_TYPE_SECRET, .most = size, .help = text                                                          \
	}
#define PEM_ARG(what, type_, size, text)                                                                                                   \
	{                                                                                                                                  \
		.name = what, .type = type_, .flags = PBX_ARG_LINES, .most = size, .help = text                                            \
	}
#define SUBSCRIPTION_ARGS                                                                                                                  \
	{ .name = "events", .type = PBX_TYPE_LIST, .help = "Names or patterns: call.ended, call.*, *; left out: all" },                    \
		TEXT_ARG("description", 255, "What it is for"), TEXT_ARG("extension", 63, "Only events about this extension"),             \
		TEXT_ARG("queue", 63, "Only events about this queue"), TEXT_ARG("trunk", 63, "Only events about this trunk"),              \
		{ .name = "match",                                                                                                         \
		  .type = PBX_TYPE_OBJECT,                                                                                                 \
		  .help = "Only events whose data has these values: {\"/direction\": \"inbound\"}" },                                      \
		{ .name = "omit", .type = PBX_TYPE_LIST, .help = "Members of data that are not sent" },                                    \
		{ .name = "headers", .type = PBX_TYPE_OBJECT, .help = "Headers to send along; a value of null stays as it is" },           \
		{ .name = "legacy_signature", .type = PBX_TYPE_BOOL, .help = "Send the X-Webhook-… headers too" },                         \
		{ .name = "ed25519",                                                                                                       \
		  .type = PBX_TYPE_BOOL,                                                                                                   \
		  .help = "Sign with Ed25519 too (v1a); /webhooks/{id}/keys has the public key" },                                         \
		PEM_ARG("client_certificate", PBX_TYPE_TEXT, 16384, "Certificate to show to the endpoint, PEM; empty: none any more"),     \
		PEM_ARG("client_key", PBX_TYPE_SECRET, 16384, "Its private key, PEM without a password"),                                  \
		PEM_ARG("ca", PBX_TYPE_TEXT, 65536, "Authorities to believe instead of the system's, PEM"),                                \
		TEXT_ARG("oauth_token_url", 2000, "Where to get an access token with client credentials; empty: none any more"),           \
		TEXT_ARG("oauth_client_id", 255, "Our name there"), SECRET_ARG("oauth_client_secret", 512, "And our secret"),              \
		TEXT_ARG("oauth_scope", 500, "Scopes to ask for"), TEXT_ARG("oauth_audience", 255, "Audience to ask for"),                 \
		{ .name = "oauth_auth",                                                                                                    \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .choices = PBX_CHOICES("basic", "body"),                                                                                 \
		  .help = "How name and secret are sent: basic (a header), body" },                                                        \
		{ .name = "batch_events",                                                                                                  \
		  .type = PBX_TYPE_INT,                                                                                                    \
		  .least = 1,                                                                                                              \
		  .most = MOST_TOGETHER,                                                                                                   \
		  .help = "So many events go in one request (1: each alone)" },                                                            \
		{ .name = "batch_ms",                                                                                                      \
		  .type = PBX_TYPE_INT,                                                                                                    \
		  .least = 10,                                                                                                             \
		  .most = 60000,                                                                                                           \
		  .help = "Or as many as there are after so many milliseconds (1000)" },                                                   \
	{                                                                                                                                  \
		.name = "batch_bytes", .type = PBX_TYPE_INT, .least = 1024, .most = 1048576,                                               \
		.help = "Or as fit into so many bytes (262144)"                                                                            \
	}

static const struct pbx_arg id_arg[] = { ID_ARG };
static const struct pbx_arg create_args[] = {
	{ .name = "url", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 8, .most = 2000, .help = "Endpoint, https://…" },
	{ .name = "secret",
	  .type = PBX_TYPE_SECRET,
	  .most = 128,
	  .help = "For the signature; left out, a random one is made and shown once" },
	SUBSCRIPTION_ARGS,
};
static const struct pbx_arg change_args[] = {
	ID_ARG,
	{ .name = "url", .type = PBX_TYPE_TEXT, .least = 8, .most = 2000, .help = "Endpoint, https://…" },
	SUBSCRIPTION_ARGS,
};
static const struct pbx_arg deliveries_args[] = {
	ID_ARG,
	{ .name = "status",
	  .type = PBX_TYPE_CHOICE,
	  .flags = PBX_ARG_QUERY,
	  .choices = PBX_CHOICES("waiting", "delivered", "dead"),
	  .help = "Only these" },
	{ .name = "limit", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .least = 1, .most = 500, .help = "At most so many (50)" },
};
static const struct pbx_arg redeliver_args[] = {
	ID_ARG,
	{ .name = "seq", .type = PBX_TYPE_INT, .flags = PBX_ARG_REQUIRED, .help = "Number of the event" },
};
static const struct pbx_arg redeliver_id_args[] = {
	{ .name = "delivery", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 63, .help = "Id of the delivery" },
};
static const struct pbx_arg replay_args[] = {
	ID_ARG,
	{ .name = "from", .type = PBX_TYPE_TIME, .help = "Those not older than this time" },
	{ .name = "to", .type = PBX_TYPE_TIME, .help = "And not younger than this; left out: up to now" },
	{ .name = "from_seq", .type = PBX_TYPE_INT, .least = 1, .most = INT64_MAX, .help = "Or: from the event of this number on" },
	{ .name = "last_s", .type = PBX_TYPE_INT, .least = 1, .most = 31536000, .help = "Or: those of the last so many seconds (3600)" },
};
static const struct pbx_field subscription_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Id" },
	{ "name", PBX_TYPE_TEXT, "Of one that stands in the settings, or null" },
	{ "pinned", PBX_TYPE_BOOL, "It stands in the settings (webhooks.subscriptions) and is changed there only" },
	{ "url", PBX_TYPE_TEXT, "Endpoint" },
	{ "description", PBX_TYPE_TEXT, "What it is for" },
	{ "events", PBX_TYPE_LIST, "Names and patterns" },
	{ "extension", PBX_TYPE_TEXT, "Only about this one, or null" },
	{ "queue", PBX_TYPE_TEXT, "Only about this one, or null" },
	{ "trunk", PBX_TYPE_TEXT, "Only about this one, or null" },
	{ "match", PBX_TYPE_OBJECT, "Only with these values, or null" },
	{ "omit", PBX_TYPE_LIST, "Members not sent, or null" },
	{ "headers", PBX_TYPE_OBJECT, "Headers sent along, or null; values that open something are null" },
	{ "has_secret", PBX_TYPE_BOOL, "It is signed" },
	{ "legacy_signature", PBX_TYPE_BOOL, "X-Webhook-… headers too" },
	{ "ed25519", PBX_TYPE_BOOL, "Signed with Ed25519 too" },
	{ "public_key", PBX_TYPE_TEXT, "whpk_ and base64, or null" },
	{ "client_certificate", PBX_TYPE_TEXT, "PEM, or null" },
	{ "client_certificate_until", PBX_TYPE_TIME, "When it expires, or null" },
	{ "ca", PBX_TYPE_TEXT, "PEM, or null: the system's" },
	{ "oauth_token_url", PBX_TYPE_TEXT, "Where access tokens come from, or null" },
	{ "oauth_client_id", PBX_TYPE_TEXT, "Our name there, or null" },
	{ "oauth_scope", PBX_TYPE_TEXT, "Or null" },
	{ "oauth_audience", PBX_TYPE_TEXT, "Or null" },
	{ "oauth_auth", PBX_TYPE_TEXT, "basic, body, or null: basic" },
	{ "batch_events", PBX_TYPE_INT, "Events in one request at most" },
	{ "batch_ms", PBX_TYPE_INT, "Gathered for so long at most" },
	{ "batch_bytes", PBX_TYPE_INT, "And up to so many bytes" },
	{ "state", PBX_TYPE_TEXT, "active, paused, disabled" },
	{ "reason", PBX_TYPE_TEXT, "Why it is disabled, or null" },
	{ "waiting", PBX_TYPE_INT, "Deliveries that wait" },
	{ "delivered", PBX_TYPE_INT, "Since the start" },
	{ "failed", PBX_TYPE_INT, "Attempts since the start" },
	{ "last_success_at", PBX_TYPE_TIME, "Or null" },
	{ "failing_since", PBX_TYPE_TIME, "Or null" },
	{ "created_at", PBX_TYPE_TIME, "When it was made" },
	{ "updated_at", PBX_TYPE_TIME, "When it was changed last" },
};
static const struct pbx_field key_fields[] = {
	{ "algorithm", PBX_TYPE_TEXT, "ed25519" },
	{ "public_key", PBX_TYPE_TEXT, "whpk_ and base64 of its 32 bytes" },
	{ "until", PBX_TYPE_TIME, "When it stops signing, or null" },
};
static const struct pbx_field delivery_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Id of the delivery" },
	{ "event_id", PBX_TYPE_TEXT, "Id of the event" },
	{ "type", PBX_TYPE_TEXT, "Its type" },
	{ "linked_id", PBX_TYPE_TEXT, "Its call" },
	{ "state", PBX_TYPE_TEXT, "waiting, delivered, dead" },
	{ "answer", PBX_TYPE_TEXT, "What came back last" },
	{ "seq", PBX_TYPE_INT, "Number of the event" },
	{ "sequence", PBX_TYPE_INT, "Number of the delivery, gap-free within the webhook" },
	{ "attempts", PBX_TYPE_INT, "How often it was tried" },
	{ "http_code", PBX_TYPE_INT, "The last answer's" },
	{ "took_ms", PBX_TYPE_INT, "How long it took" },
	{ "created_at", PBX_TYPE_TIME, "When it was queued" },
	{ "updated_at", PBX_TYPE_TIME, "When it was tried last" },
};

#define READS "webhooks:read"
#define CHANGES "webhooks:write"
#define REPLY_ONE .reply = PBX_TABLE(subscription_fields)
#define ACTION(name, fn, arguments, what)                                                                                                  \
	{                                                                                                                                  \
		.method = "POST", .path = "/webhooks/{id}:" name, .handle = fn, .scope = CHANGES, .summary = what,                         \
		.flags = PBX_ROUTE_WRITES, .args = PBX_TABLE(arguments)                                                                    \
	}

static const struct pbx_route routes[] = {
	{ .method = "GET", .path = "/webhooks", .handle = webhooks_on_list, .scope = READS, .summary = "List webhooks", REPLY_ONE },
	{ .method = "POST",
	  .path = "/webhooks",
	  .handle = webhooks_on_create,
	  .scope = CHANGES,
	  .summary = "Make a webhook",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(create_args),
	  REPLY_ONE },
	{ .method = "GET",
	  .path = "/webhooks/{id}",
	  .handle = webhooks_on_show,
	  .scope = READS,
	  .summary = "One webhook",
	  .args = PBX_TABLE(id_arg),
	  REPLY_ONE },
	{ .method = "PATCH",
	  .path = "/webhooks/{id}",
	  .handle = webhooks_on_change,
	  .scope = CHANGES,
	  .summary = "Change a webhook",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(change_args),
	  REPLY_ONE },
	{ .method = "DELETE",
	  .path = "/webhooks/{id}",
	  .handle = webhooks_on_remove,
	  .scope = CHANGES,
	  .summary = "Remove a webhook",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(id_arg) },
	{ .method = "GET",
	  .path = "/webhooks/{id}/deliveries",
	  .handle = webhooks_on_deliveries,
	  .scope = READS,
	  .summary = "What was sent, newest first",
	  .args = PBX_TABLE(deliveries_args),
	  .reply = PBX_TABLE(delivery_fields) },
	{ .method = "GET",
	  .path = "/webhooks/{id}/keys",
	  .handle = webhooks_on_keys,
	  .summary = "Public keys to check signatures with",
	  .flags = PBX_ROUTE_PUBLIC,
	  .args = PBX_TABLE(id_arg),
	  .reply = PBX_TABLE(key_fields) },
	{ .method = "POST",
	  .path = "/webhooks/deliveries/{delivery}:redeliver",
	  .handle = webhooks_on_redeliver_id,
	  .scope = CHANGES,
	  .summary = "Send one delivery again",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(redeliver_id_args) },
	ACTION("test", webhooks_on_test, id_arg, "Send a test event and tell what came back"),
	ACTION("redeliver", webhooks_on_redeliver, redeliver_args, "Send one event again"),
	ACTION("replay", webhooks_on_replay, replay_args, "Send the events of a time again"),
	ACTION("rotate-secret", webhooks_on_rotate, id_arg, "Make new keys; the old ones sign too for a day"),
	ACTION("pause", webhooks_on_pause, id_arg, "Send nothing until resumed; nothing is lost"),
	ACTION("resume", webhooks_on_resume, id_arg, "Go on after a pause, or after it was disabled"),
};

#define COLUMNS "id,name,pinned,url,events,state,waiting,delivered,failed"
static const struct pbx_command commands[] = {
	{ .words = "webhook list", .handle = webhooks_on_list, .help = "List webhooks", .columns = COLUMNS },
	{ .words = "webhook show", .handle = webhooks_on_show, .help = "One webhook", .args = PBX_TABLE(id_arg) },
	{ .words = "webhook add",
	  .handle = webhooks_on_create,
	  .help = "Make a webhook; its secret is shown once",
	  .args = PBX_TABLE(create_args) },
	{ .words = "webhook change", .handle = webhooks_on_change, .help = "Change a webhook", .args = PBX_TABLE(change_args) },
	{ .words = "webhook keys", .handle = webhooks_on_keys, .help = "Public keys to check signatures with", .args = PBX_TABLE(id_arg) },
	{ .words = "webhook remove", .handle = webhooks_on_remove, .help = "Remove a webhook", .args = PBX_TABLE(id_arg) },
	{ .words = "webhook test",
	  .handle = webhooks_on_test,
	  .help = "Send a test event and tell what came back",
	  .args = PBX_TABLE(id_arg) },
	{ .words = "webhook deliveries",
	  .handle = webhooks_on_deliveries,
	  .help = "What was sent, newest first",
	  .args = PBX_TABLE(deliveries_args),
	  .columns = "seq,type,state,attempts,http_code,took_ms,updated_at" },
	{ .words = "webhook redeliver",
	  .handle = webhooks_on_redeliver,
	  .help = "Send one event again",
	  .args = PBX_TABLE(redeliver_args) },
	{ .words = "webhook replay",
	  .handle = webhooks_on_replay,
	  .help = "Send the events of a time again",
	  .args = PBX_TABLE(replay_args) },
	{ .words = "webhook rotate-secret",
	  .handle = webhooks_on_rotate,
	  .help = "Make new keys and show the secret once",
	  .args = PBX_TABLE(id_arg) },
	{ .words = "webhook pause",
	  .handle = webhooks_on_pause,
	  .help = "Send nothing until resumed",
	  .args = PBX_TABLE(id_arg),
	  .columns = COLUMNS },
	{ .words = "webhook resume", .handle = webhooks_on_resume, .help = "Go on", .args = PBX_TABLE(id_arg), .columns = COLUMNS },
};

/* ---- life ----------------------------------------------------------------------------- */

int64_t webhooks_now_us(const struct webhooks *webhooks)
{
	return webhooks->host->wall_us(webhooks->host);
}

static int webhooks_load(void *self)
{
	struct webhooks *webhooks = self;
	struct pbx_host *host = webhooks->host;

	webhooks->bus = pbx_bus(host);
	webhooks->fetch = pbx_fetcher(host);
	webhooks->store = pbx_store(host);
	webhooks->secrets = pbx_secrets(host);
	webhooks->requests = pbx_requests(host);
	webhooks->json = pbx_jsons(host);
	webhooks->timers = pbx_timers(host);
	webhooks->metrics = pbx_metrics(host);
	return subscriptions_load(webhooks);
}

static void on_clean(void *self, pbx_timer timer)
{
	struct webhooks *webhooks = self;
	int64_t before_us = webhooks->host->wall_us(webhooks->host) - (int64_t)webhooks->settings->retention_days * 86400 * 1000000;
	const struct pbx_value params[] = { PBX_V_INT(before_us) };

	(void)timer;
	/* The newest stays, whatever its age: it knows how far its webhook has counted. */
	(void)webhooks->store->run(webhooks->host,
				   "DELETE FROM webhooks_deliveries WHERE state <> 'waiting' AND updated_at < $1 AND number <"
				   " (SELECT MAX(newest.number) FROM webhooks_deliveries newest"
				   " WHERE newest.subscription = webhooks_deliveries.subscription)",
				   params, 1, NULL, NULL);
}

static int webhooks_start(void *self)
{
	struct webhooks *webhooks = self;
	pbx_timer timer;

	webhooks->is_started = true;
	pinned_follow(webhooks);
	for (struct subscription *subscription = webhooks->subscriptions; subscription; subscription = subscription->next) {
		int err = subscription->changing ? PBX_OK : follow_start(subscription); /* it begins as the settings have it now */

		if (err != PBX_OK)
			return err;
	}
	return webhooks->timers->start(webhooks->host, 60000, 3600000, on_clean, webhooks, &timer);
}

static void on_settings(void *self, void *data)
{
	(void)data;
	pinned_follow(self);
}

/* They are ours when all who were asked have agreed. */
static int webhooks_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct webhooks *webhooks = self;
	int err = webhooks->host->post(webhooks->host, on_settings, NULL, NULL);

	(void)proposed;
	if (err != PBX_OK)
		pbx_diag_set(diag, "", "no memory");
	return err;
}

/* What is under way is finished or cancelled; the rest is the successor's. */
static void webhooks_drain(void *self)
{
	struct webhooks *webhooks = self;

	webhooks->is_draining = true;
	for (struct subscription *subscription = webhooks->subscriptions; subscription; subscription = subscription->next)
		follow_stop(subscription);
}

static void webhooks_unload(void *self)
{
	struct webhooks *webhooks = self;

	try_free_all(webhooks);
	while (webhooks->subscriptions) {
		struct subscription *subscription = webhooks->subscriptions;

		subscription_take_out(webhooks, subscription);
		subscription_free(subscription);
	}
}

PBX_PLUGIN(webhooks)
= {
	PBX_PLUGIN_HEADER,
	.name = "webhooks",
	.version = "1.0.0",
	.summary = "Events to other systems as signed requests, nothing lost",
	.needs = PBX_NEEDS("pbx.bus/1", "pbx.fetch/1", "pbx.store/1", "pbx.secrets/1", "pbx.requests/1", "pbx.json/1", "pbx.timers/1",
			   "pbx.metrics/1"),
	.instance_size = sizeof(struct webhooks),
	PBX_SETTINGS(struct webhook_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = webhooks_load,
	.start = webhooks_start,
	.reload = webhooks_reload,
	.drain = webhooks_drain,
	.unload = webhooks_unload,
	.settings_check = pinned_check,
};
