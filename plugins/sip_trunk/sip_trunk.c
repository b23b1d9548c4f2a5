/*
 * sip_trunk - calls to and from the public network through SIP providers
 *
 * records.c keeps what administrators say, columns.c knows it member by member, requests.c brings changes. trunks.c, registration.c and
 * health.c are a trunk at work, figures.c counts what they did; routing.c chooses among them, pins.c asks callers first, dry_run.c tells what
 * would be, numbers.c writes numbers as each wants them. presets.c reads what is known of providers.
 */
#include "sip_trunk.h"
#include <string.h>

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct sip_trunk_settings, country_code, .initial_text = "1", .least = 1, .most = 3, .help = "Of our numbers, for E.164"),
	PBX_TEXT(struct sip_trunk_settings, area_code, .initial_text = "", .most = 6,
		 .help = "Put before local numbers; empty: there are none"),
	PBX_TEXT(struct sip_trunk_settings, national_prefix, .initial_text = "1", .most = 3,
		 .help = "Dialled before a number of the country"),
	PBX_TEXT(struct sip_trunk_settings, international_prefix, .initial_text = "011", .most = 4,
		 .help = "Dialled before a number abroad"),
	PBX_LIST(struct sip_trunk_settings, emergency_numbers, .initial_text = "911,112",
		 .help = "Go out over any trunk, whatever its limits, unless a plugin for emergency calls takes them"),
	PBX_LIST(struct sip_trunk_settings, failover_codes, .initial_text = "408,500,502,503,504",
		 .help = "Final responses after which a call goes on to the next trunk"),
	PBX_LIST(struct sip_trunk_settings, presets, .initial_text = "/etc/pbx/trunks, " PBX_SHARE_DIR "/trunks",
		 .help = "Folders with presets of trunks and routes, NAME.json; the first that has a name counts"),
	PBX_UINT(struct sip_trunk_settings, register_jitter_s, .initial = 10, .least = 0, .most = 300, .unit = "s",
		 .help = "After a start, registrations begin spread over so long"),
	PBX_UINT(struct sip_trunk_settings, retry_least_s, .initial = 30, .least = 1, .most = 3600, .unit = "s",
		 .help = "First pause after a registration that got no answer; each further one is twice as long"),
	PBX_UINT(struct sip_trunk_settings, retry_most_s, .initial = 600, .least = 1, .most = 86400, .unit = "s",
		 .help = "Longest such pause"),
	PBX_UINT(struct sip_trunk_settings, refused_hold_s, .initial = 600, .least = 1, .most = 86400, .unit = "s",
		 .help = "Pause after a provider has refused our account, so that it is not locked"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "trunks and routes",
	  "CREATE TABLE sip_trunk_trunks (trunk_id TEXT PRIMARY KEY, name TEXT NOT NULL, enabled INTEGER NOT NULL, host TEXT NOT NULL,"
	  " port INTEGER NOT NULL, transport TEXT NOT NULL, outbound_proxy TEXT NOT NULL, registration_required INTEGER NOT NULL,"
	  " username TEXT NOT NULL, auth_username TEXT NOT NULL, auth_realm TEXT NOT NULL, password TEXT NOT NULL, from_user TEXT NOT NULL,"
	  " from_domain TEXT NOT NULL, token TEXT NOT NULL, registration_expire_s INTEGER NOT NULL, keep_alive_interval_s INTEGER NOT NULL,"
	  " max_channels INTEGER NOT NULL, max_calls_per_second INTEGER NOT NULL, priority INTEGER NOT NULL, codec_preferences TEXT NOT "
	  "NULL,"
	  " allowed_ips TEXT NOT NULL, number_format TEXT NOT NULL, caller_id TEXT NOT NULL, caller_id_policy TEXT NOT NULL,"
	  " show TEXT NOT NULL, trusted INTEGER NOT NULL, headers TEXT NOT NULL);"
	  "CREATE TABLE sip_trunk_outbound (route_id TEXT PRIMARY KEY, name TEXT NOT NULL, enabled INTEGER NOT NULL, pattern TEXT NOT NULL,"
	  " strip INTEGER NOT NULL, prepend TEXT NOT NULL, trunks TEXT NOT NULL, failover INTEGER NOT NULL, callers TEXT NOT NULL,"
	  " hours TEXT NOT NULL, priority INTEGER NOT NULL);"
	  "CREATE TABLE sip_trunk_inbound (route_id TEXT PRIMARY KEY, trunk_id TEXT NOT NULL, did TEXT NOT NULL, strip_prefix INTEGER NOT "
	  "NULL,"
	  " destination TEXT NOT NULL, description TEXT NOT NULL);"
	  "CREATE TABLE sip_trunk_stats (trunk_id TEXT NOT NULL, day INTEGER NOT NULL, attempts INTEGER NOT NULL, answered INTEGER NOT "
	  "NULL,"
	  " failed INTEGER NOT NULL, pdd_ms_sum INTEGER NOT NULL, PRIMARY KEY (trunk_id, day))" },
	{ 2, "presets, PINs, certificates, seconds",
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN preset TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN certificate TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN caller_format TEXT NOT NULL DEFAULT 'as_received';"
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN bulk_registration INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE sip_trunk_outbound ADD COLUMN preset TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE sip_trunk_outbound ADD COLUMN pins TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE sip_trunk_outbound ADD COLUMN least_class TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE sip_trunk_stats ADD COLUMN inbound INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE sip_trunk_stats ADD COLUMN seconds INTEGER NOT NULL DEFAULT 0" },
	{ 3, "encrypted media", "ALTER TABLE sip_trunk_trunks ADD COLUMN srtp TEXT NOT NULL DEFAULT ''" },
	{ 4, "the way of keys", "ALTER TABLE sip_trunk_trunks ADD COLUMN dtmf TEXT NOT NULL DEFAULT 'auto'" },
	{ 5, "session timers",
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN session_timers TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN session_expires_s INTEGER NOT NULL DEFAULT 0" },
	{ 6, "DSCP and keep-alives",
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN sip_dscp INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN rtp_dscp INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE sip_trunk_trunks ADD COLUMN crlf_keepalive_s INTEGER NOT NULL DEFAULT 0" },
	{ 7, "fax by T.38", "ALTER TABLE sip_trunk_trunks ADD COLUMN t38 TEXT NOT NULL DEFAULT 'auto'" },
};

static const struct pbx_field trunk_fields[] = {
	{ "trunk_id", PBX_TYPE_TEXT, "The trunk" },
	{ "sip_code", PBX_TYPE_INT, "What the provider answered; 408 for silence" },
	{ "reason", PBX_TYPE_TEXT, "In words" },
};
static const struct pbx_field pin_fields[] = {
	{ "route_id", PBX_TYPE_TEXT, "The outbound route" },
	{ "extension", PBX_TYPE_TEXT, "Who called" },
	{ "number", PBX_TYPE_TEXT, "Whom they wanted" },
};
static const struct pbx_event_type events[] = {
	{ "trunk.registered", "A trunk is registered at its provider", PBX_TABLE(trunk_fields) },
	{ "trunk.registration_failed", "A registration was refused or got no answer", PBX_TABLE(trunk_fields) },
	{ "trunk.up", "A trunk works again", PBX_TABLE(trunk_fields) },
	{ "trunk.down", "A trunk does not answer, or its calls fail", PBX_TABLE(trunk_fields) },
	{ "trunk.failover", "A call went on to another trunk", PBX_TABLE(trunk_fields) },
	{ "trunk.pin_refused", "A caller has typed three wrong PINs for an outbound route", PBX_TABLE(pin_fields) },
	{ "trunk.channels_exhausted", "A call found all channels in use", PBX_TABLE(trunk_fields) },
};

static int trunk_load(void *self)
{
	struct sip_trunk *plugin = self;
	struct pbx_host *host = plugin->host;

	plugin->sip = pbx_sip(host);
	plugin->calls = pbx_calls(host);
	plugin->routing = pbx_routing(host);
	plugin->store = pbx_store(host);
	plugin->secrets = pbx_secrets(host);
	plugin->timers = pbx_timers(host);
	plugin->requests = pbx_requests(host);
	plugin->directory = pbx_directory(host);
	plugin->json = pbx_jsons(host);
	plugin->bus = pbx_bus(host);
	plugin->metrics = pbx_metrics(host);
	return records_load(plugin);
}

/* What providers have of us leads nowhere any more. */
static void on_outside_changed(void *self, const struct pbx_event *event)
{
	const struct sip_trunk *plugin = self;
	const char *address = plugin->json->text(plugin->json->get(event->data, "address"));
	const char *before = plugin->json->text(plugin->json->get(event->data, "before"));

	if (address && address[0] && (!before || strcmp(address, before) != 0))
		for (struct trunk *trunk = plugin->trunks; trunk; trunk = trunk->next)
			registration_move(trunk);
}

static int trunk_start(void *self)
{
	struct sip_trunk *plugin = self;
	pbx_subscription subscription;

	records_apply(plugin);
	plugin->started = true;
	int err = figures_start(plugin);
	if (err == PBX_OK)
		err = plugin->bus->subscribe(plugin->host, "media.outside_changed", on_outside_changed, plugin, &subscription);
	return err == PBX_OK ? routing_start(plugin) : err;
}

static void trunk_stop(void *self)
{
	struct sip_trunk *plugin = self;

	for (struct trunk *trunk = plugin->trunks; trunk; trunk = trunk->next)
		registration_stop(trunk, true);
}

static void trunk_unload(void *self)
{
	pins_clear(self);
	trunks_clear(self);
	records_clear(self);
}

PBX_PLUGIN(sip_trunk)
= {
	PBX_PLUGIN_HEADER,
	.name = "sip_trunk",
	.version = "1.0.0",
	.summary = "Calls to and from the public network through SIP providers",
	.needs = PBX_NEEDS("pbx.sip/1", "pbx.calls/1", "pbx.route/1", "pbx.store/1", "pbx.secrets/1", "pbx.timers/1", "pbx.requests/1",
			   "pbx.json/1", "pbx.bus/1", "pbx.metrics/1", "pbx.directory/1?"),
	.instance_size = sizeof(struct sip_trunk),
	PBX_SETTINGS(struct sip_trunk_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.metrics = PBX_TABLE(trunk_metrics),
	.routes = PBX_TABLE(trunk_routes),
	.commands = PBX_TABLE(trunk_commands),
	.events = PBX_TABLE(events),
	.load = trunk_load,
	.start = trunk_start,
	.stop = trunk_stop,
	.unload = trunk_unload,
};
