/*
 * extensions - a user's number: the account phones register to, its credentials, rights and forwarding
 *
 * accounts.c keeps every account in memory, directory.c answers for credentials, routing.c for calls, classes.c for how far they may go, codes.c for what users dial,
 * edit.c makes every change, requests.c and import.c bring them from people, phone_keys.c from the keys of phones.
 */
#include "extensions.h"
#include <stdlib.h>
#include <string.h>

#define CODE(member, code, text)                                                                                                           \
	PBX_TEXT(struct extension_settings, member, .initial_text = code, .least = 0, .most = 10, .flags = PBX_SETTING_RESTART,            \
		 .help = text)

static const struct pbx_setting settings[] = {
	PBX_UINT(struct extension_settings, number_least, .initial = 2, .least = 2, .most = 20, .unit = "digits",
		 .help = "Shortest number"),
	PBX_UINT(struct extension_settings, number_most, .initial = 10, .least = 2, .most = 20, .unit = "digits", .help = "Longest number"),
	PBX_UINT(struct extension_settings, max_contacts, .initial = 5, .least = 1, .most = 50,
		 .help = "Devices that may register to one number"),
	PBX_UINT(struct extension_settings, max_calls, .initial = 4, .least = 1, .most = 1000,
		 .help = "Calls one number may have; beyond it is busy"),
	PBX_UINT(struct extension_settings, max_outgoing, .initial = 0, .least = 0, .most = 1000,
		 .help = "Calls one number may have made at once, but to emergency numbers; more get 403. 0: no limit"),
	PBX_UINT(struct extension_settings, ring_s, .initial = 30, .least = 5, .most = 600, .unit = "s",
		 .help = "How long an extension rings"),
	PBX_CHOICE(struct extension_settings, call_class, .initial_text = "international",
		   .choices = PBX_CHOICES("internal", "local", "national", "international", "premium"),
		   .help = "How far outside extensions may call that set no class of their own; each class includes those before it"),
	PBX_LIST(struct extension_settings, local, .initial_text = "NXXXXXX",
		 .help = "Patterns of local numbers: digits, X (0-9), N (2-9), Z (1-9), and . at the end for the rest"),
	PBX_LIST(struct extension_settings, national, .initial_text = "+1XXXXXXXXXX,1NXXNXXXXXX,NXXNXXXXXX",
		 .help = "Patterns of national numbers; so is what no list knows"),
	PBX_LIST(struct extension_settings, international, .initial_text = "011.,00.,+.", .help = "Patterns of international numbers"),
	PBX_LIST(struct extension_settings, premium, .initial_text = "900XXXXXXX,1900XXXXXXX,+1900XXXXXXX,976XXXX",
		 .help = "Patterns of numbers that cost extra; looked for before the other lists"),
	PBX_UINT(struct extension_settings, password_least, .initial = 12, .least = 8, .most = 128, .help = "Shortest web password"),
	PBX_UINT(struct extension_settings, pin_least, .initial = 4, .least = 4, .most = 10, .unit = "digits", .help = "Shortest PIN"),
	PBX_UINT(struct extension_settings, pin_most, .initial = 10, .least = 4, .most = 16, .unit = "digits", .help = "Longest PIN"),
	CODE(code_dnd_on, "*78", "Dialled to switch do-not-disturb on; empty: no such code"),
	CODE(code_dnd_off, "*79", "Dialled to switch do-not-disturb off"),
	CODE(code_forward_always, "*76", "Dialled before a number to forward all calls"),
	CODE(code_forward_always_off, "*77", "Dialled to stop forwarding all calls"),
	CODE(code_forward_busy, "*90", "Dialled before a number to forward when busy"),
	CODE(code_forward_busy_off, "*91", "Dialled to stop forwarding when busy"),
	CODE(code_forward_no_answer, "*92", "Dialled before a number to forward unanswered calls"),
	CODE(code_forward_no_answer_off, "*93", "Dialled to stop forwarding unanswered calls"),
	CODE(code_pickup, "*8", "Dialled to take a call that rings in one's pickup group"),
	CODE(code_directed_pickup, "**", "Dialled before an extension to take the call that rings there"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "accounts",
	  "CREATE TABLE extensions_accounts (number TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, language TEXT NOT NULL,"
	  " music_class TEXT NOT NULL, pickup_group TEXT NOT NULL, caller_id TEXT NOT NULL, sip_secret TEXT NOT NULL, web_hash TEXT NOT "
	  "NULL,"
	  " pin_hash TEXT NOT NULL, forward_always TEXT NOT NULL, forward_busy TEXT NOT NULL, forward_no_answer TEXT NOT NULL,"
	  " forward_offline TEXT NOT NULL, flags INTEGER NOT NULL, ring_s INTEGER NOT NULL, max_contacts INTEGER NOT NULL,"
	  " max_calls INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)" },
	{ 2, "outgoing calls at once", "ALTER TABLE extensions_accounts ADD COLUMN max_outgoing INTEGER NOT NULL DEFAULT 0" },
};

/* ---- what people may ask -------------------------------------------------------------- */

#define NUMBER_ARG                                                                                                                         \
	{                                                                                                                                  \
		.name = "number", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "The extension's number",                      \
		.completes = "extension"                                                                                                   \
	}
#define ACCOUNT_ARGS                                                                                                                       \
	{ .name = "name", .type = PBX_TYPE_TEXT, .most = 255, .help = "Shown to those who are called" },                                   \
		{ .name = "email", .type = PBX_TYPE_TEXT, .most = 255, .help = "E-mail address" },                                         \
		{ .name = "sip_secret",                                                                                                    \
		  .type = PBX_TYPE_SECRET,                                                                                                 \
		  .most = 63,                                                                                                              \
		  .help = "For the phone; left out, a random one is made and shown once" },                                                \
		{ .name = "password", .type = PBX_TYPE_SECRET, .most = 128, .help = "For the console and the API" },                       \
		{ .name = "voicemail_pin", .type = PBX_TYPE_SECRET, .most = 16, .help = "For the mailbox, by telephone" },                 \
		{ .name = "allow_external", .type = PBX_TYPE_BOOL, .help = "May call outside the house" },                                 \
		{ .name = "call_class",                                                                                                    \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .choices = PBX_CHOICES("default", "internal", "local", "national", "international", "premium"),                          \
		  .help = "How far outside it may call; default: as the setting says" },                                                   \
		{ .name = "srtp",                                                                                                          \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .choices = PBX_CHOICES("default", "off", "optional", "required", "dtls"),                                                \
		  .help = "Encrypted media; default: as media.srtp says; dtls: required, and its phones are offered keys by DTLS" },       \
		{ .name = "dtmf",                                                                                                          \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .choices = PBX_CHOICES("auto", "rfc4733", "info", "inband"),                                                             \
		  .help = "How keys go to its phones; auto: events when agreed, else tones with G.711, else INFO" },                       \
		{ .name = "t38",                                                                                                           \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .choices = PBX_CHOICES("auto", "off", "pass", "gateway"),                                                                \
		  .help = "Fax by T.38; auto: as media.t38 says; pass: where the other party takes it too; gateway: with any party" },     \
		{ .name = "call_waiting", .type = PBX_TYPE_BOOL, .help = "Rings for a second call; without it is busy" },                  \
		{ .name = "is_admin", .type = PBX_TYPE_BOOL, .help = "May administer the PBX" },                                           \
		{ .name = "dnd", .type = PBX_TYPE_BOOL, .help = "Do not disturb" },                                                        \
		{ .name = "caller_id", .type = PBX_TYPE_TEXT, .most = 50, .help = "Number shown outside the house" },                      \
		{ .name = "pickup_group",                                                                                                  \
		  .type = PBX_TYPE_TEXT,                                                                                                   \
		  .most = 40,                                                                                                              \
		  .help = "Extensions of a group may pick up each other's calls" },                                                        \
		{ .name = "music_class", .type = PBX_TYPE_TEXT, .most = 40, .help = "What others hear when this extension holds them" },   \
		{ .name = "language", .type = PBX_TYPE_TEXT, .most = 16, .help = "Language of prompts, as en or de-AT" },                  \
		{ .name = "ring_s",                                                                                                        \
		  .type = PBX_TYPE_INT,                                                                                                    \
		  .least = 0,                                                                                                              \
		  .most = 600,                                                                                                             \
		  .help = "How long it rings, in seconds; 0: as the setting says" },                                                       \
		{ .name = "max_contacts",                                                                                                  \
		  .type = PBX_TYPE_INT,                                                                                                    \
		  .least = 0,                                                                                                              \
		  .most = 50,                                                                                                              \
		  .help = "Devices that may register; 0: as the setting says" },                                                           \
		{ .name = "max_calls", .type = PBX_TYPE_INT, .least = 0, .most = 1000, .help = "Calls at once; 0: as the setting says" },  \
		{ .name = "max_outgoing",                                                                                                  \
		  .type = PBX_TYPE_INT,                                                                                                    \
		  .least = 0,                                                                                                              \
		  .most = 1000,                                                                                                            \
		  .help = "Calls it may have made at once; 0: as the setting says" },                                                      \
	{                                                                                                                                  \
		.name = "trusted", .type = PBX_TYPE_BOOL,                                                                                  \
		.help = "May say for whom it calls, and is told withheld numbers: a gateway, an operator's desk"                           \
	}

static const struct pbx_arg number_arg[] = { NUMBER_ARG };
static const struct pbx_arg account_args[] = { NUMBER_ARG, ACCOUNT_ARGS };
static const struct pbx_arg forwarding_args[] = {
	NUMBER_ARG,
	{ .name = "always", .type = PBX_TYPE_TEXT, .most = 50, .help = "Forward all calls to; empty: off" },
	{ .name = "busy", .type = PBX_TYPE_TEXT, .most = 50, .help = "Forward when busy to; empty: off" },
	{ .name = "no_answer", .type = PBX_TYPE_TEXT, .most = 50, .help = "Forward unanswered calls to; empty: off" },
	{ .name = "offline", .type = PBX_TYPE_TEXT, .most = 50, .help = "Forward when no phone is registered to; empty: off" },
	{ .name = "dnd", .type = PBX_TYPE_BOOL, .help = "Do not disturb" },
};
static const struct pbx_arg unregister_args[] = {
	NUMBER_ARG,
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "The registration's id" },
};
static const struct pbx_field account_fields[] = {
	{ "number", PBX_TYPE_TEXT, "The extension's number" },
	{ "name", PBX_TYPE_TEXT, "Shown to those who are called" },
	{ "email", PBX_TYPE_TEXT, "E-mail address, or null" },
	{ "registered", PBX_TYPE_BOOL, "A phone is registered now" },
	{ "allow_external", PBX_TYPE_BOOL, "May call outside the house" },
	{ "call_class", PBX_TYPE_TEXT, "How far outside it may call: internal, local, national, international or premium" },
	{ "srtp", PBX_TYPE_TEXT, "Encrypted media: default (as media.srtp says), off, optional, required or dtls" },
	{ "dtmf", PBX_TYPE_TEXT, "How keys go to its phones: auto, rfc4733, info or inband (tones)" },
	{ "t38", PBX_TYPE_TEXT, "Fax by T.38: auto (as media.t38 says), off, pass or gateway" },
	{ "call_waiting", PBX_TYPE_BOOL, "Rings for a second call" },
	{ "is_admin", PBX_TYPE_BOOL, "May administer the PBX" },
	{ "dnd", PBX_TYPE_BOOL, "Do not disturb" },
	{ "forwarding", PBX_TYPE_OBJECT, "always, busy, no_answer, offline: numbers, or null" },
	{ "caller_id", PBX_TYPE_TEXT, "Number shown outside the house, or null" },
	{ "pickup_group", PBX_TYPE_TEXT, "Pickup group, or null" },
	{ "music_class", PBX_TYPE_TEXT, "Music of those it holds, or null" },
	{ "language", PBX_TYPE_TEXT, "Language of prompts, or null" },
	{ "ring_s", PBX_TYPE_INT, "How long it rings" },
	{ "max_contacts", PBX_TYPE_INT, "Devices that may register" },
	{ "max_calls", PBX_TYPE_INT, "Calls at once" },
	{ "max_outgoing", PBX_TYPE_INT, "Calls it may have made at once; 0: no limit" },
	{ "trusted", PBX_TYPE_BOOL, "May say for whom it calls, and is told withheld numbers (RFC 3325)" },
	{ "has_password", PBX_TYPE_BOOL, "A web password is set" },
	{ "has_voicemail_pin", PBX_TYPE_BOOL, "A PIN is set" },
	{ "created_at", PBX_TYPE_TIME, "When it was made" },
	{ "updated_at", PBX_TYPE_TIME, "When it was changed last" },
};
static const struct pbx_field contact_fields[] = {
	{ "id", PBX_TYPE_TEXT, "The registration's id" },
	{ "contact", PBX_TYPE_TEXT, "As the phone gave it" },
	{ "received", PBX_TYPE_TEXT, "Where its packets come from" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws or wss" },
	{ "user_agent", PBX_TYPE_TEXT, "What it calls itself" },
	{ "registered_at", PBX_TYPE_TIME, "Since when" },
	{ "expires_at", PBX_TYPE_TIME, "Until when, if it does not say more" },
};

#define ROUTE(verb, where, fn, right, what, ...)                                                                                           \
	{                                                                                                                                  \
		.method = verb, .path = where, .handle = fn, .scope = right, .summary = what, __VA_ARGS__                                  \
	}

static const struct pbx_route routes[] = {
	ROUTE("GET", "/extensions", extensions_on_list, "extensions:read", "List extensions; a user sees their own",
	      .reply = PBX_TABLE(account_fields)),
	ROUTE("POST", "/extensions", extensions_on_create, "extensions:write", "Make an extension", .flags = PBX_ROUTE_WRITES,
	      .args = PBX_TABLE(account_args), .reply = PBX_TABLE(account_fields)),
	ROUTE("POST", "/extensions:import", extensions_on_import, "extensions:write", "Make or change many from CSV, all or none",
	      .flags = PBX_ROUTE_WRITES | PBX_ROUTE_RAW_BODY),
	ROUTE("GET", "/extensions/{number}", extensions_on_show, "extensions:read", "One extension", .args = PBX_TABLE(number_arg),
	      .reply = PBX_TABLE(account_fields)),
	ROUTE("PATCH", "/extensions/{number}", extensions_on_change, "extensions:write", "Change an extension", .flags = PBX_ROUTE_WRITES,
	      .args = PBX_TABLE(account_args), .reply = PBX_TABLE(account_fields)),
	ROUTE("PUT", "/extensions/{number}", extensions_on_change, "extensions:write", "Change an extension", .flags = PBX_ROUTE_WRITES,
	      .args = PBX_TABLE(account_args), .reply = PBX_TABLE(account_fields)),
	ROUTE("DELETE", "/extensions/{number}", extensions_on_remove, "extensions:write", "Remove an extension", .flags = PBX_ROUTE_WRITES,
	      .args = PBX_TABLE(number_arg)),
	ROUTE("POST", "/extensions/{number}:secret", extensions_on_secret, "extensions:write", "Make a new SIP secret and show it once",
	      .flags = PBX_ROUTE_WRITES, .args = PBX_TABLE(number_arg), .reply = PBX_TABLE(account_fields)),
	ROUTE("PUT", "/extensions/{number}/forwarding", extensions_on_forwarding, "extensions:forward", "Forwarding and do not disturb",
	      .flags = PBX_ROUTE_WRITES, .args = PBX_TABLE(forwarding_args), .reply = PBX_TABLE(account_fields)),
	ROUTE("GET", "/extensions/{number}/registrations", extensions_on_registrations, "extensions:read", "Where its phones are",
	      .args = PBX_TABLE(number_arg), .reply = PBX_TABLE(contact_fields)),
	ROUTE("DELETE", "/extensions/{number}/registrations/{id}", extensions_on_unregister, "extensions:write", "Forget a registration",
	      .flags = PBX_ROUTE_WRITES, .args = PBX_TABLE(unregister_args)),
};

static const struct pbx_command commands[] = {
	{ .words = "extension list",
	  .handle = extensions_on_list,
	  .help = "List extensions",
	  .columns = "number,name,registered,allow_external,dnd,email" },
	{ .words = "extension show", .handle = extensions_on_show, .help = "One extension", .args = PBX_TABLE(number_arg) },
	{ .words = "extension add",
	  .handle = extensions_on_create,
	  .help = "Make an extension; its SIP secret is shown once",
	  .args = PBX_TABLE(account_args) },
	{ .words = "extension set", .handle = extensions_on_change, .help = "Change an extension", .args = PBX_TABLE(account_args) },
	{ .words = "extension remove", .handle = extensions_on_remove, .help = "Remove an extension", .args = PBX_TABLE(number_arg) },
	{ .words = "extension secret",
	  .handle = extensions_on_secret,
	  .help = "Make a new SIP secret and show it once",
	  .args = PBX_TABLE(number_arg) },
	{ .words = "extension forward",
	  .handle = extensions_on_forwarding,
	  .help = "Forwarding and do not disturb",
	  .args = PBX_TABLE(forwarding_args) },
	{ .words = "extension registrations",
	  .handle = extensions_on_registrations,
	  .help = "Where its phones are",
	  .args = PBX_TABLE(number_arg),
	  .columns = "id,contact,received,transport,user_agent,expires_at" },
};

/* ---- events --------------------------------------------------------------------------- */

static const struct pbx_field extension_field[] = { { "extension", PBX_TYPE_TEXT, "The number" } };
static const struct pbx_field registered_fields[] = {
	{ "extension", PBX_TYPE_TEXT, "The number" },
	{ "contact", PBX_TYPE_TEXT, "As the phone gave it" },
	{ "ip_address", PBX_TYPE_TEXT, "Where it is" },
	{ "port", PBX_TYPE_INT, "And on which port" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws or wss" },
	{ "user_agent", PBX_TYPE_TEXT, "What it calls itself" },
	{ "expires", PBX_TYPE_INT, "Seconds" },
	{ "reason", PBX_TYPE_TEXT, "unregistered: expired, removed, replaced, unregistered" },
};
static const struct pbx_event_type events[] = {
	{ "extension.created", "An extension was made", PBX_TABLE(extension_field) },
	{ "extension.changed", "An extension was changed", PBX_TABLE(extension_field) },
	{ "extension.removed", "An extension was removed", PBX_TABLE(extension_field) },
	{ "extension.registered", "A phone registered to an extension", PBX_TABLE(registered_fields) },
	{ "extension.unregistered", "A phone is no longer registered", PBX_TABLE(registered_fields) },
};

/* What the registrar says, in the words of this feature. */
static void on_registration(void *self, const struct pbx_event *event)
{
	const struct extensions *extensions = self;
	const struct pbx_jsons *json = extensions->json;
	const char *aor = json->text(json->get(event->data, "aor")), *received = json->text(json->get(event->data, "received"));
	bool added = strcmp(event->type, "registration.added") == 0;
	const char *colon = received ? strrchr(received, ':') : NULL;
	char address[64];

	if (!aor || !account_find(extensions, aor))
		return;
	struct pbx_json *data = json->new_object();
	(void)snprintf(address, sizeof address, "%.*s", colon ? (int)(colon - received) : 0, received ? received : "");
	(void)json->set_text(data, "extension", aor);
	(void)json->set_text(data, "contact", json->text(json->get(event->data, "contact")));
	(void)json->set_text(data, "ip_address", address);
	(void)json->set_integer(data, "port", colon ? strtol(colon + 1, NULL, 10) : 0);
	(void)json->set_text(data, "transport", json->text(json->get(event->data, "transport")));
	(void)json->set_text(data, "user_agent", json->text(json->get(event->data, "user_agent")));
	(void)json->set_integer(data, "expires", json->integer(json->get(event->data, "expires_s"), 0));
	if (!added)
		(void)json->set_text(data, "reason", json->text(json->get(event->data, "reason")));
	(void)extensions->bus->publish(extensions->host, added ? "extension.registered" : "extension.unregistered", (pbx_call){ 0 }, data);
}

/* ---- life ----------------------------------------------------------------------------- */

static int extensions_load(void *self)
{
	struct extensions *extensions = self;
	struct pbx_host *host = extensions->host;

	extensions->calls = pbx_calls(host);
	extensions->routing = pbx_routing(host);
	extensions->store = pbx_store(host);
	extensions->secrets = pbx_secrets(host);
	extensions->location = pbx_location(host);
	extensions->requests = pbx_requests(host);
	extensions->json = pbx_jsons(host);
	extensions->bus = pbx_bus(host);
	extensions->notifier = pbx_notifier(host);
	int err = directory_load(extensions);

	return err == PBX_OK ? accounts_load(extensions) : err;
}

static int extensions_start(void *self)
{
	struct extensions *extensions = self;
	pbx_subscription subscription;
	int err = routing_start(extensions);

	if (err == PBX_OK)
		err = codes_start(extensions);
	if (err == PBX_OK)
		err = phone_keys_start(extensions);
	if (err == PBX_OK)
		err = extensions->bus->subscribe(extensions->host, "registration.added,registration.removed", on_registration, extensions,
						 &subscription);
	return err;
}

static int extensions_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	const struct extension_settings *wanted = proposed;

	(void)self;
	if (wanted->number_least > wanted->number_most) {
		pbx_diag_set(diag, "extensions.number_least", "number_least %u is over number_most %u", wanted->number_least,
			     wanted->number_most);
		return PBX_EINVAL;
	}
	return classes_check(wanted, diag);
}

static void extensions_unload(void *self)
{
	struct extensions *extensions = self;

	free(extensions->key_document);
	accounts_clear(self);
	directory_unload(self);
}

PBX_PLUGIN(extensions)
= {
	PBX_PLUGIN_HEADER,
	.name = "extensions",
	.version = "1.0.0",
	.summary = "Accounts that phones register to: credentials, rights, forwarding",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.route/1", "pbx.store/1", "pbx.secrets/1", "pbx.location/1", "pbx.requests/1", "pbx.json/1",
			   "pbx.bus/1", "pbx.notifier/1"),
	.offers = PBX_OFFERS("pbx.directory/1"),
	.instance_size = sizeof(struct extensions),
	PBX_SETTINGS(struct extension_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.events = PBX_TABLE(events),
	.load = extensions_load,
	.start = extensions_start,
	.reload = extensions_reload,
	.unload = extensions_unload,
	.offer = directory_offer,
};
