/*
 * api.c - the gateway as a part of the daemon: its settings, its tables, its start and stop
 *
 * Its routes are rows like any plugin's: log-in, tokens, users, events, the document of all routes. Start comes last in the daemon, when
 * everybody else's rows are there.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "crowd.h"
#include "parts.h"
#include "settings.h"
#include "status.h"

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct api_settings, listen, .initial_text = "127.0.0.1:9000", .flags = PBX_SETTING_RESTART,
		 .help = "IPv4 address and port of the REST API; 0.0.0.0:9000 for all of this machine"),
	PBX_TEXT(struct api_settings, certificate, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Certificate chain in PEM; empty: one of our own making in server.data_dir"),
	PBX_TEXT(struct api_settings, key, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Private key in PEM that belongs to the certificate"),
	PBX_BOOL(struct api_settings, plain_http, .initial = 0, .flags = PBX_SETTING_RESTART,
		 .help = "No TLS, behind a proxy on this machine; only on a loopback address"),
	PBX_TEXT(struct api_settings, static_dir, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Folder of files served at /, for a web console"),
	PBX_UINT(struct api_settings, threads, .initial = 32, .least = 4, .most = 512, .flags = PBX_SETTING_RESTART,
		 .help = "Connections served at a time, others wait; half of them may be event streams"),
	PBX_UINT(struct api_settings, sip_clients, .initial = 64, .least = 0, .most = 1000, .flags = PBX_SETTING_RESTART,
		 .help = "Browsers that may be connected as phones, by SIP over WebSocket at /sip; 0: none"),
	PBX_UINT(struct api_settings, sip_greeting_s, .initial = 30, .least = 1, .most = 3600, .unit = "s", .flags = PBX_SETTING_RESTART,
		 .help = "A browser that by then has neither registered nor begun a call, a message or a subscription is shown out"),
	PBX_LIST(struct api_settings, sip_origins, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Other web sites whose pages may connect to /sip, as https://phone.example; our own pages may"),
	PBX_LIST(struct api_settings, event_origins, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Other web sites whose pages may follow events by WebSocket, as https://wall.example; our own pages may"),
	PBX_UINT(struct api_settings, max_body_bytes, .initial = 10485760, .least = 1024, .most = 1073741824, .unit = "bytes",
		 .flags = PBX_SETTING_RESTART, .help = "Largest body of a request"),
	PBX_UINT(struct api_settings, max_json_bytes, .initial = 131072, .least = 1024, .most = 1073741824, .unit = "bytes",
		 .help = "Largest body that is JSON; files (music, prompts, imports) may be as large as max_body_bytes"),
	PBX_UINT(struct api_settings, requests_per_minute, .initial = 120, .least = 1, .most = 1000000,
		 .help = "Requests of one token, or of one address without a token, in the long run"),
	PBX_UINT(struct api_settings, requests_burst, .initial = 30, .least = 1, .most = 1000000,
		 .help = "How many of them may come at once"),
	PBX_BOOL(struct api_settings, require_if_match, .initial = 0,
		 .help = "Changes by PUT, PATCH and DELETE of what can be read need If-Match, so that nobody overwrites what they have not "
			 "seen"),
	PBX_UINT(struct api_settings, session_s, .initial = 86400, .least = 60, .most = 2592000, .unit = "s",
		 .help = "How long a log-in lasts"),
	PBX_LIST(struct api_settings, user_scopes, .initial_text = "",
		 .help = "What an extension's user may do with their own account, as calls:read"),
};

/* ---- readiness -------------------------------------------------------------------------- */

static struct api *running; /* NULL: not started */

void api_users_ready(struct api *api)
{
	void (*ready)(void *context) = api->on_ready;

	api->users_ready = true;
	api->on_ready = NULL;
	if (ready)
		ready(api->on_ready_context);
}

void api_when_ready(void (*ready)(void *context), void *context)
{
	if (running && !running->users_ready) {
		running->on_ready = ready;
		running->on_ready_context = context;
		return;
	}
	ready(context);
}

static struct pbx_json *tell_status(void *self)
{
	const struct api *api = self;
	struct pbx_json *json = core_json_object(), *listeners = core_json_array();
	struct crowd_counts counts;
	char url[128];

	(void)snprintf(url, sizeof url, "%s://%s", api->settings->plain_http ? "http" : "https", api->listening);
	(void)core_json_append_text(listeners, url); /* without memory it is not shown */
	(void)core_json_set(json, "listeners", listeners);
	(void)core_json_set_integer(json, "streams", api->stream_count);
	if (api->server) {
		api_server_count(api, &counts);
		(void)core_json_set_integer(json, "connections", counts.threads);
		(void)core_json_set_integer(json, "waiting", counts.waiting);
		(void)core_json_set_integer(json, "sent_away", (int64_t)counts.sent_away);
	}
	(void)core_json_set_boolean(json, "ready", api->users_ready);
	return json;
}

/* ---- life ------------------------------------------------------------------------------- */

static int api_check(void *self, struct pbx_diag *diag)
{
	const struct api *api = self;

	return api_server_check(api->settings, diag);
}

static int api_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)self;
	return api_server_check(proposed, diag);
}

static char *find_data_dir(void)
{
	struct pbx_json *shown = core_settings_show("server.data_dir");
	const char *path = core_json_text(core_json_get(core_json_at(shown, 0), "value"));
	char *copy = path ? strdup(path) : NULL;

	core_json_free(shown);
	return copy;
}

static int api_load(void *self)
{
	struct api *api = self;

	api->requests = pbx_requests(api->host);
	api->secrets = pbx_secrets(api->host);
	api->store = pbx_store(api->host);
	api->bus = pbx_bus(api->host);
	api->timers = pbx_timers(api->host);
	api->limits = api_limits_new();
	api->data_dir = find_data_dir();
	return api->limits && api->data_dir ? PBX_OK : PBX_ENOMEM;
}

static int api_start(void *self)
{
	struct api *api = self;
	struct pbx_diag diag = { 0 };
	int err = api_server_start(api, &diag);

	if (err != PBX_OK) {
		pbx_error(api->host, "api_not_started", "listen=%s field=%s reason=\"%s\"", api->settings->listen, diag.field, diag.text);
		return err;
	}
	pbx_notice(api->host, "api_started", "url=%s://%s" API_BASE, api->settings->plain_http ? "http" : "https", api->listening);
	running = api;
	api_lockouts_load(api);
	err = core_status_add("api", tell_status, api);
	return err == PBX_OK ? api_tokens_start(api) : err;
}

static void api_stop(void *self)
{
	struct api *api = self;

	running = NULL;
	core_status_remove("api");
	api_dispatch_stop(api);
	api_server_stop(api);
}

static void api_unload(void *self)
{
	struct api *api = self;

	api_limits_free(api->limits);
	free(api->data_dir);
}

/* ---- arguments and answers -------------------------------------------------------------- */

static const struct pbx_arg login_args[] = {
	{ .name = "user", .type = PBX_TYPE_TEXT, .help = "Name of a user", .least = 1, .most = API_NAME_MOST },
	{ .name = "extension", .type = PBX_TYPE_TEXT, .help = "Or the number of an account", .least = 1, .most = API_NAME_MOST },
	{ .name = "password",
	  .type = PBX_TYPE_SECRET,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "The password",
	  .least = 1,
	  .most = API_PASSWORD_MOST },
	{ .name = "new_password",
	  .type = PBX_TYPE_SECRET,
	  .help = "A user's new password, to log in and replace a one-time password in one step",
	  .least = API_PASSWORD_LEAST,
	  .most = API_PASSWORD_MOST },
};

static const struct pbx_arg password_args[] = {
	{ .name = "password",
	  .type = PBX_TYPE_SECRET,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "The password as it is",
	  .least = 1,
	  .most = API_PASSWORD_MOST },
	{ .name = "new_password",
	  .type = PBX_TYPE_SECRET,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "What it is to be",
	  .least = API_PASSWORD_LEAST,
	  .most = API_PASSWORD_MOST },
};

static const struct pbx_field session_reply[] = {
	{ "token", PBX_TYPE_TEXT, "Send it as Authorization: Bearer; it is shown this once" },
	{ "id", PBX_TYPE_TEXT, "Names the token, to revoke it" },
	{ "expires_at", PBX_TYPE_TIME, "When it ends" },
	{ "scopes", PBX_TYPE_TEXT, "What it permits, separated by spaces; * is all" },
	{ "must_change", PBX_TYPE_BOOL, "The password was given by somebody else: this token can only change it" },
};

static const struct pbx_field me_reply[] = {
	{ "user", PBX_TYPE_TEXT, "The user, or empty" },
	{ "extension", PBX_TYPE_TEXT, "The account, or empty" },
	{ "scopes", PBX_TYPE_TEXT, "What the token permits" },
	{ "expires_at", PBX_TYPE_TIME, "When it ends" },
	{ "token", PBX_TYPE_TEXT, "Its id" },
};

#define NAME_ARG(text)                                                                                                                     \
	{                                                                                                                                  \
		.name = "name", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = text, .completes = "user", .least = 1,           \
		.most = API_NAME_MOST                                                                                                      \
	}
#define PASSWORD_ARG                                                                                                                       \
	{                                                                                                                                  \
		.name = "password", .type = PBX_TYPE_SECRET,                                                                               \
		.help = "A first password; without it one is made. It must be changed at log-in", .least = API_PASSWORD_LEAST,             \
		.most = API_PASSWORD_MOST                                                                                                  \
	}
#define SCOPES_LIST_ARG                                                                                                                    \
	{                                                                                                                                  \
		.name = "scopes", .type = PBX_TYPE_LIST, .flags = PBX_ARG_REQUIRED,                                                        \
		.help = "What it may do, as calls:read, calls:*, or admin for all"                                                         \
	}
#define SCOPES_WORDS_ARG                                                                                                                   \
	{                                                                                                                                  \
		.name = "scopes", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED | PBX_ARG_REST,                                         \
		.help = "What it may do, as calls:read, calls:*, or admin for all", .least = 1, .most = API_SCOPES_MOST                    \
	}
#define LIFE_ARG                                                                                                                           \
	{                                                                                                                                  \
		.name = "expires_in_s", .type = PBX_TYPE_INT, .help = "How long it is valid; without it until revoked", .least = 60,       \
		.most = 315360000                                                                                                          \
	}
#define TOKEN_NAME_ARG                                                                                                                     \
	{                                                                                                                                  \
		.name = "name", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "What it is for", .least = 1,                    \
		.most = API_NAME_MOST                                                                                                      \
	}

static const struct pbx_arg token_args[] = { TOKEN_NAME_ARG, SCOPES_LIST_ARG, LIFE_ARG };
static const struct pbx_arg token_words[] = { TOKEN_NAME_ARG, SCOPES_WORDS_ARG, LIFE_ARG };
static const struct pbx_arg token_id_args[] = {
	{ .name = "id",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "The token's id",
	  .completes = "token",
	  .least = 1,
	  .most = 26 },
};

static const struct pbx_field token_reply[] = {
	{ "id", PBX_TYPE_TEXT, "Names the token" },
	{ "name", PBX_TYPE_TEXT, "What it is for" },
	{ "kind", PBX_TYPE_TEXT, "session or named" },
	{ "user_name", PBX_TYPE_TEXT, "Whose it is" },
	{ "account", PBX_TYPE_TEXT, "Or whose account's" },
	{ "scopes", PBX_TYPE_TEXT, "What it permits" },
	{ "created_at", PBX_TYPE_TIME, "When it was made" },
	{ "expires_at", PBX_TYPE_TIME, "When it ends, or null" },
	{ "last_used_at", PBX_TYPE_TIME, "When it was used last, to five minutes" },
};

static const struct pbx_arg user_name_args[] = { NAME_ARG("The user") };
static const struct pbx_arg user_add_args[] = { NAME_ARG("The new user"), SCOPES_LIST_ARG, PASSWORD_ARG };
static const struct pbx_arg user_add_words[] = { NAME_ARG("The new user"), SCOPES_WORDS_ARG };
static const struct pbx_arg user_change_args[] = { NAME_ARG("The user"), SCOPES_LIST_ARG };
static const struct pbx_arg user_passwd_args[] = { NAME_ARG("The user"), PASSWORD_ARG };

static const struct pbx_field user_reply[] = {
	{ "name", PBX_TYPE_TEXT, "The user" },
	{ "scopes", PBX_TYPE_TEXT, "What they may do, separated by spaces; * is all" },
	{ "must_change", PBX_TYPE_BOOL, "The password is a one-time password" },
	{ "created_at", PBX_TYPE_TIME, "Since when" },
	{ "last_login_at", PBX_TYPE_TIME, "The last log-in, or null" },
};

static const struct pbx_field user_made_reply[] = {
	{ "name", PBX_TYPE_TEXT, "The user" },
	{ "scopes", PBX_TYPE_TEXT, "What they may do" },
	{ "one_time_password", PBX_TYPE_TEXT, "When none was given: shown this once" },
	{ "must_change", PBX_TYPE_BOOL, "It has to be changed at log-in" },
};

static const struct pbx_arg event_args[] = {
	{ .name = "topics",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_QUERY,
	  .help = "Types of events, as call.*,registration.added",
	  .least = 1,
	  .most = 512 },
	{ .name = "after",
	  .type = PBX_TYPE_INT,
	  .flags = PBX_ARG_QUERY,
	  .help = "Begin after this number; Last-Event-ID says the same",
	  .least = 0,
	  .most = INT64_MAX },
};

/* ---- tables ----------------------------------------------------------------------------- */

static const struct pbx_route routes[] = {
	{ .method = "POST",
	  .path = "/auth/login",
	  .handle = api_on_login,
	  .summary = "Log in with a password",
	  .flags = PBX_ROUTE_PUBLIC,
	  .args = PBX_TABLE(login_args),
	  .reply = PBX_TABLE(session_reply) },
	{ .method = "POST", .path = "/auth/logout", .handle = api_on_logout, .summary = "End this token" },
	{ .method = "GET", .path = "/auth/me", .handle = api_on_me, .summary = "Who am I", .reply = PBX_TABLE(me_reply) },
	{ .method = "POST",
	  .path = "/auth/password",
	  .handle = api_on_password,
	  .summary = "Change one's own password; other log-ins end",
	  .args = PBX_TABLE(password_args),
	  .reply = PBX_TABLE(session_reply) },
	{ .method = "GET",
	  .path = "/tokens",
	  .handle = api_on_tokens,
	  .summary = "One's own tokens; with users:read everybody's",
	  .reply = PBX_TABLE(token_reply) },
	{ .method = "POST",
	  .path = "/tokens",
	  .handle = api_on_token_create,
	  .scope = "tokens:write",
	  .summary = "Make a token for a program",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(token_args),
	  .reply = PBX_TABLE(session_reply) },
	{ .method = "DELETE",
	  .path = "/tokens/{id}",
	  .handle = api_on_token_revoke,
	  .summary = "Revoke a token of one's own; with users:write anybody's",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(token_id_args) },
	{ .method = "GET",
	  .path = "/users",
	  .handle = api_on_users,
	  .scope = "users:read",
	  .summary = "List users",
	  .reply = PBX_TABLE(user_reply) },
	{ .method = "POST",
	  .path = "/users",
	  .handle = api_on_user_add,
	  .scope = "users:write",
	  .summary = "Add a user",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(user_add_args),
	  .reply = PBX_TABLE(user_made_reply) },
	{ .method = "GET",
	  .path = "/users/{name}",
	  .handle = api_on_user,
	  .scope = "users:read",
	  .summary = "One user",
	  .args = PBX_TABLE(user_name_args),
	  .reply = PBX_TABLE(user_reply) },
	{ .method = "PATCH",
	  .path = "/users/{name}",
	  .handle = api_on_user_change,
	  .scope = "users:write",
	  .summary = "Change what a user may do",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(user_change_args),
	  .reply = PBX_TABLE(user_made_reply) },
	{ .method = "DELETE",
	  .path = "/users/{name}",
	  .handle = api_on_user_remove,
	  .scope = "users:write",
	  .summary = "Remove a user, with their tokens",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(user_name_args) },
	{ .method = "POST",
	  .path = "/users/{name}:passwd",
	  .handle = api_on_user_passwd,
	  .scope = "users:write",
	  .summary = "Give a user a one-time password",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(user_passwd_args),
	  .reply = PBX_TABLE(user_made_reply) },
	{ .method = "GET",
	  .path = "/events",
	  .handle = api_on_events,
	  .scope = "events:read",
	  .summary = "What happens, as text/event-stream; with Upgrade: websocket as a WebSocket, an event in each text frame, "
		     "subprotocols pbx.events and pbx.bearer.TOKEN; {\"types\": [\"call.*\"]} from the client asks for others",
	  .args = PBX_TABLE(event_args) },
	{ .method = "GET",
	  .path = "/metrics",
	  .handle = api_on_metrics,
	  .scope = "metrics:read",
	  .summary = "Numbers for Prometheus (also at /metrics)" },
	{ .method = "GET", .path = "/openapi.json", .handle = api_on_openapi, .summary = "This document", .flags = PBX_ROUTE_PUBLIC },
};

static const struct pbx_command commands[] = {
	{ .words = "user list",
	  .handle = api_on_users,
	  .help = "List who may use the API",
	  .columns = "name,scopes,must_change,created_at,last_login_at" },
	{ .words = "user add",
	  .handle = api_on_user_add,
	  .help = "Add a user with a one-time password",
	  .args = PBX_TABLE(user_add_words),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "user passwd",
	  .handle = api_on_user_passwd,
	  .help = "Give a user a one-time password",
	  .args = PBX_TABLE(user_name_args),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "user remove",
	  .handle = api_on_user_remove,
	  .help = "Remove a user, with their tokens",
	  .args = PBX_TABLE(user_name_args),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "token list",
	  .handle = api_on_tokens,
	  .help = "List tokens",
	  .columns = "id,name,kind,user_name,account,scopes,expires_at,last_used_at" },
	{ .words = "token create",
	  .handle = api_on_token_create,
	  .help = "Make a token for a program",
	  .args = PBX_TABLE(token_words),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "token revoke",
	  .handle = api_on_token_revoke,
	  .help = "Revoke a token",
	  .args = PBX_TABLE(token_id_args),
	  .flags = PBX_ROUTE_WRITES },
};

const struct pbx_plugin api_part = {
	PBX_PLUGIN_HEADER,
	.name = "api",
	.version = PBX_VERSION,
	.summary = "REST over HTTPS: gateway, log-in, tokens, users, events",
	.needs = PBX_NEEDS("pbx.requests/1", "pbx.secrets/1", "pbx.store/1", "pbx.bus/1", "pbx.timers/1"),
	.instance_size = sizeof(struct api),
	PBX_SETTINGS(struct api_settings, settings),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.check = api_check,
	.load = api_load,
	.start = api_start,
	.reload = api_reload,
	.stop = api_stop,
	.unload = api_unload,
};
