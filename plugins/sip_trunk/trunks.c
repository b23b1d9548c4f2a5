/*
 * trunks - trunks at work: what signalling is told about each, and in which state it is
 *
 *   disabled      switched off
 *   unregistered  no binding, the first attempt pending; known by address: not asked yet
 *   registered    binding valid; known by address: OPTIONS are answered
 *   degraded      binding valid, but the last refresh failed or OPTIONS go unanswered
 *   failed        no binding and a retry is under way; known by address: OPTIONS go unanswered
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

struct trunk *trunk_find(const struct sip_trunk *plugin, const char *id)
{
	struct trunk *trunk = plugin->trunks;

	while (trunk && strcmp(trunk->is.id, id) != 0)
		trunk = trunk->next;
	return trunk;
}

uint32_t trunk_status(const struct trunk *trunk)
{
	struct pbx_host *host = trunk->plugin->host;
	bool registers = trunk->is.registration_required;

	if (!trunk->is.enabled)
		return STATUS_DISABLED;
	if (!registers && !trunk->alive_known && !trunk->is_down && trunk->is.keep_alive_interval_s)
		return STATUS_UNREGISTERED;
	if (!registers)
		return trunk->is_down ? STATUS_FAILED : trunk->misses ? STATUS_DEGRADED : STATUS_REGISTERED;
	if (!trunk->has_binding || host->wall_us(host) >= trunk->bound_until_us)
		return trunk->refresh_failed ? STATUS_FAILED : STATUS_UNREGISTERED;
	return trunk->is_down ? STATUS_FAILED : trunk->refresh_failed || trunk->misses ? STATUS_DEGRADED : STATUS_REGISTERED;
}

uint32_t trunk_health(const struct trunk *trunk)
{
	uint32_t status = trunk_status(trunk);
	double rate = health_success_rate(trunk);

	if (status == STATUS_DISABLED || status == STATUS_FAILED || status == STATUS_UNREGISTERED || trunk->consecutive_failures >= 5)
		return HEALTH_DOWN;
	if (trunk->consecutive_failures >= 3 || (trunk->window_count >= 10 && rate < 0.80))
		return trunk->window_count >= 10 && rate < 0.50 ? HEALTH_DOWN : HEALTH_CRITICAL;
	if (trunk->consecutive_failures > 0 || status == STATUS_DEGRADED || (trunk->window_count >= 10 && rate < 0.95))
		return HEALTH_WARNING;
	return HEALTH_HEALTHY;
}

uint32_t trunk_channels(const struct trunk *trunk)
{
	struct pbx_sip_peer_state state = { .size = sizeof state };

	if (trunk->plugin->sip->peer_state(trunk->is.id, &state) != PBX_OK)
		return 0;
	return state.calls_in + state.calls_out;
}

#define TRIAL_US 60000000 /* after so long without an attempt, bad figures keep nobody from trying again */

uint32_t trunk_readiness(const struct trunk *trunk)
{
	struct pbx_host *host = trunk->plugin->host;
	uint32_t status = trunk_status(trunk), health = trunk_health(trunk);
	bool may_try = host->wall_us(host) - trunk->last_failure_us > TRIAL_US;
	bool is_there = status == STATUS_REGISTERED || status == STATUS_DEGRADED ||
			(status == STATUS_UNREGISTERED && !trunk->is.registration_required);

	if (!trunk->has_peer || !is_there || (health >= HEALTH_CRITICAL && status != STATUS_UNREGISTERED && !may_try))
		return TRUNK_DOWN;
	if (trunk->is.max_channels && trunk_channels(trunk) >= trunk->is.max_channels)
		return TRUNK_FULL;
	return TRUNK_READY;
}

void trunk_tell(struct trunk *trunk, const char *event, uint32_t sip_code, const char *reason)
{
	const struct sip_trunk *plugin = trunk->plugin;
	struct pbx_json *data = plugin->json->new_object();

	(void)plugin->json->set_text(data, "trunk_id", trunk->is.id);
	(void)plugin->json->set_integer(data, "sip_code", sip_code);
	(void)plugin->json->set_text(data, "reason", reason);
	(void)plugin->bus->publish(plugin->host, event, (pbx_call){ 0 }, data); /* without memory nobody hears of it */
	pbx_notice(plugin->host, strchr(event, '.') + 1, "trunk=%s sip_code=%u reason=\"%s\"", trunk->is.id, sip_code, reason);
}

/* ---- what signalling is told ---------------------------------------------------------- */

static uint32_t show_flags(const char *show)
{
	static const struct {
		const char *word;
		uint32_t flag;
	} words[] = { { "from", PBX_SIP_SHOW_FROM }, { "pai", PBX_SIP_SHOW_PAI },       { "rpid", PBX_SIP_SHOW_RPID },
		      { "ppi", PBX_SIP_SHOW_PPI },   { "diversion", PBX_SIP_SHOW_DIV }, { "history", PBX_SIP_SHOW_HIST } };
	const char *items[16];
	char buffer[128];
	uint32_t flags = 0, count = list_split(show, buffer, sizeof buffer, items, 16);

	for (uint32_t i = 0; i < count; i++)
		for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
			flags |= strcmp(words[w].word, items[i]) == 0 ? words[w].flag : 0;
	return flags;
}

/* G.711u and its like, as the seed wrote them. */
static void name_codecs(const char **items, uint32_t count)
{
	static const char *const names[][2] = {
		{ "G.711", "PCMU" }, { "G.711u", "PCMU" }, { "G.711a", "PCMA" }, { "G.722", "G722" }, { "G.729", "G729" }
	};

	for (uint32_t i = 0; i < count; i++)
		for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
			if (strcasecmp(items[i], names[n][0]) == 0)
				items[i] = names[n][1];
}

/* What the registrar wants goes before what we would do by ourselves, unless we do more. */
static uint32_t keepalive_ms(const struct trunk *trunk)
{
	uint32_t own_s = trunk->is.crlf_keepalive_s, wanted_s = trunk->flow_timer_s;

	return 1000 * (!own_s || (wanted_s && wanted_s < own_s) ? wanted_s : own_s);
}

int trunk_publish_peer(struct trunk *trunk, struct pbx_diag *diag)
{
	struct sip_trunk *plugin = trunk->plugin;
	const struct trunk_config *is = &trunk->is;
	const char *codecs[32], *addresses[64], *headers[16];
	char codec_text[256], address_text[512], header_text[512];
	uint32_t codec_count = list_split(is->codec_preferences, codec_text, sizeof codec_text, codecs, 32);
	uint32_t address_count = list_split(is->allowed_ips, address_text, sizeof address_text, addresses, 63);
	uint32_t header_count = list_split(is->headers, header_text, sizeof header_text, headers, 16);

	char *secret = row_secret(plugin, &kinds[KIND_TRUNK], is, is->password);
	name_codecs(codecs, codec_count);
	const struct pbx_sip_peer peer = {
		.size = sizeof peer,
		.name = is->id,
		.host = is->host,
		.port = is->port,
		.transport = is->transport,
		.proxy = is->outbound_proxy,
		.routes = trunk->routes,
		.user = is->auth_username[0] ? is->auth_username : is->username,
		.realm = is->auth_realm,
		.secret = secret,
		.from_user = is->from_user[0] ? is->from_user : is->username,
		.from_domain = is->from_domain,
		.contact_user = is->registration_required ? is->token : "",
		.certificate = is->certificate,
		.srtp = is->srtp,
		.dtmf = is->dtmf,
		.session_timers = is->session_timers,
		.session_expires_s = is->session_expires_s,
		.sip_dscp = is->sip_dscp,
		.rtp_dscp = is->rtp_dscp,
		.keepalive_ms = keepalive_ms(trunk),
		.flow_failed = registration_flow_failed,
		.t38 = is->t38,
		.show = show_flags(is->show),
		.flags = (is->trusted ? PBX_SIP_TRUSTED : 0u) | (is->enabled ? 0u : PBX_SIP_DISABLED),
		.headers = { headers, header_count },
		.addresses = { addresses, address_count },
		.codecs = { codecs, codec_count },
		.max_calls = is->max_channels,
		.max_cps = is->max_calls_per_second,
		.attempted = health_attempted,
		.self = plugin,
	};
	int err = plugin->sip->set_peer(plugin->host, &peer, diag);
	plugin->secrets->wipe(secret);
	trunk->has_peer = err == PBX_OK;
	return err;
}

/* What signalling calls a text is not always what we call it. */
static void name_field(const struct trunk_config *is, struct pbx_diag *diag)
{
	const struct {
		const char *theirs, *ours;
	} rows[] = {
		{ "user", is->auth_username[0] ? "auth_username" : "username" },
		{ "realm", "auth_realm" },
		{ "proxy", "outbound_proxy" },
		{ "addresses", "allowed_ips" },
		{ "from_user", is->from_user[0] ? "from_user" : "username" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(diag->field, rows[i].theirs) == 0) {
			(void)snprintf(diag->field, sizeof diag->field, "%s", rows[i].ours);
			return;
		}
}

int trunk_check(struct sip_trunk *plugin, void *row, struct pbx_diag *diag)
{
	struct trunk_config *is = row;

	if (is->id[strspn(is->id, "abcdefghijklmnopqrstuvwxyz0123456789_.-")] != '\0') {
		pbx_diag_set(diag, "trunk_id", "a trunk's id has a-z, 0-9, _ . and -");
		return PBX_EINVAL;
	}
	if (strcmp(is->id, "health") == 0 || strcmp(is->id, "presets") == 0) {
		pbx_diag_set(diag, "trunk_id", "/sip-trunks/%s means something else: choose another id", is->id);
		return PBX_EINVAL;
	}
	if (!is->host[0]) {
		pbx_diag_set(diag, "host", "say where the provider is: its name or address");
		return PBX_EINVAL;
	}
	if (is->registration_required && !is->username[0]) {
		pbx_diag_set(diag, "username", "a trunk that registers needs the username it registers");
		return PBX_EINVAL;
	}
	if (!is->token[0] && plugin->secrets->random_text(is->token, 24) != PBX_OK)
		return PBX_EIO;
	if (!is->name[0])
		(void)snprintf(is->name, sizeof is->name, "%s", is->id);

	/* Signalling knows best what it can do: it is asked under a name that nobody has. */
	struct trunk trial = { .plugin = plugin, .is = *is };
	(void)snprintf(trial.is.id, sizeof trial.is.id, "sip_trunk.check");
	trial.is.enabled = false;
	trial.is.password[0] = '\0';
	int err = trunk_publish_peer(&trial, diag);

	if (err != PBX_OK)
		name_field(is, diag);
	(void)plugin->sip->remove_peer(plugin->host, trial.is.id); /* it is there only when that went well */
	return err;
}

/* ---- life ----------------------------------------------------------------------------- */

static struct trunk **place_of(struct sip_trunk *plugin, const char *id)
{
	struct trunk **at = &plugin->trunks;

	while (*at && strcmp((*at)->is.id, id) != 0)
		at = &(*at)->next;
	return at;
}

static void trunk_free(struct trunk *trunk)
{
	explicit_bzero(trunk, sizeof *trunk);
	free(trunk);
}

static void trunk_remove(struct sip_trunk *plugin, const char *id)
{
	struct trunk **at = place_of(plugin, id), *trunk = *at;

	if (!trunk)
		return;
	registration_stop(trunk, true);
	health_stop(trunk);
	*at = trunk->next;
	(void)plugin->sip->remove_peer(plugin->host, id);
	trunk->is.enabled = false;
	figures_state(trunk);
	trunk_free(trunk);
}

static void place_by_priority(struct sip_trunk *plugin, struct trunk *trunk)
{
	struct trunk **at = place_of(plugin, trunk->is.id);

	if (*at)
		*at = trunk->next;
	for (at = &plugin->trunks; *at; at = &(*at)->next)
		if ((*at)->is.priority > trunk->is.priority ||
		    ((*at)->is.priority == trunk->is.priority && strcmp((*at)->is.id, trunk->is.id) > 0))
			break;
	trunk->next = *at;
	*at = trunk;
}

void trunk_changed(struct sip_trunk *plugin, const char *id, const void *row)
{
	struct trunk *trunk = trunk_find(plugin, id);
	struct pbx_diag diag = { .text = "" };

	if (!row) {
		trunk_remove(plugin, id);
		return;
	}
	if (!trunk && !(trunk = calloc(1, sizeof *trunk))) {
		pbx_error(plugin->host, "out_of_memory", "trunk=%s", id);
		return;
	}
	bool is_new = trunk->plugin == NULL;
	trunk->plugin = plugin;
	if (!is_new) {
		registration_stop(trunk, false);
		health_stop(trunk);
	}
	trunk->is = *(const struct trunk_config *)row;
	place_by_priority(plugin, trunk);
	if (trunk_publish_peer(trunk, &diag) != PBX_OK) {
		pbx_error(plugin->host, "trunk_refused", "trunk=%s reason=\"%s\"", id, diag.text);
		return;
	}
	figures_state(trunk);
	if (!trunk->is.enabled)
		return;
	uint32_t jitter_ms = plugin->settings->register_jitter_s * 1000;
	if (trunk->is.registration_required)
		registration_start(trunk, plugin->started || !jitter_ms ? 0 : arc4random_uniform(jitter_ms));
	if (trunk->is.keep_alive_interval_s)
		health_start(trunk);
}

void trunks_clear(struct sip_trunk *plugin)
{
	while (plugin->trunks) {
		struct trunk *trunk = plugin->trunks;

		plugin->trunks = trunk->next;
		trunk_free(trunk);
	}
}

/* ---- shown ---------------------------------------------------------------------------- */

static const char *const status_names[] = { "unregistered", "registered", "degraded", "failed", "disabled" };
static const char *const health_names[] = { "healthy", "warning", "critical", "down" };

struct pbx_json *trunk_json(const struct trunk *trunk)
{
	const struct sip_trunk *plugin = trunk->plugin;
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *object = row_json(plugin, &kinds[KIND_TRUNK], &trunk->is);
	uint32_t used = trunk_channels(trunk), most = trunk->is.max_channels;

	(void)json->set_text(object, "status", status_names[trunk_status(trunk)]);
	(void)json->set_text(object, "health_status", health_names[trunk_health(trunk)]);
	(void)json->set_integer(object, "channels_in_use", used);
	(void)json->set_integer(object, "channels_available", most == 0 ? 10000 : most > used ? most - used : 0);
	(void)json->set_number(object, "success_rate", health_success_rate(trunk));
	(void)json->set_integer(object, "consecutive_failures", trunk->consecutive_failures);
	(void)json->set_integer(object, "total_calls", trunk->total_calls);
	(void)json->set_integer(object, "successful_calls", trunk->successful_calls);
	(void)json->set_integer(object, "failed_calls", trunk->failed_calls);
	(void)json->set_integer(object, "failover_count", trunk->failover_count);
	(void)json->set_integer(object, "sip_code", trunk->sip_code);
	(void)json->set_text(object, "reason", trunk->reason);
	(void)json->set_time(object, "registered_until", trunk->has_binding ? trunk->bound_until_us : 0);
	(void)json->set_time(object, "next_attempt", trunk->next_attempt_us);
	(void)json->set_integer(object, "round_trip_ms", trunk->round_trip_ms);
	return object;
}

struct pbx_json *trunk_health_json(const struct trunk *trunk)
{
	const struct pbx_jsons *json = trunk->plugin->json;
	struct pbx_json *object = json->new_object();

	(void)json->set_text(object, "trunk_id", trunk->is.id);
	(void)json->set_text(object, "name", trunk->is.name);
	(void)json->set_text(object, "health_status", health_names[trunk_health(trunk)]);
	(void)json->set_time(object, "last_health_check", trunk->last_check_us);
	(void)json->set_integer(object, "total_calls", trunk->total_calls);
	(void)json->set_integer(object, "successful_calls", trunk->successful_calls);
	(void)json->set_integer(object, "failed_calls", trunk->failed_calls);
	(void)json->set_number(object, "success_rate", health_success_rate(trunk));
	(void)json->set_integer(object, "consecutive_failures", trunk->consecutive_failures);
	(void)json->set_number(object, "average_setup_time", health_setup_ms(trunk) / 1000.0);
	(void)json->set_time(object, "last_successful_call", trunk->last_success_us);
	(void)json->set_time(object, "last_failed_call", trunk->last_failure_us);
	(void)json->set_integer(object, "failover_count", trunk->failover_count);
	return object;
}
