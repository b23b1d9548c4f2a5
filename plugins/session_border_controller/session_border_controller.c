/*
 * session_border_controller - who may speak to us, and how much
 *
 * Signalling asks before it reads a packet, after it has read a request, and before it takes a call (pbx/border.h); guard.c answers out of
 * lists.c (networks let in, kept out, banned), sources.c (rates, offences) and admission.c (calls and what they weigh). What hides the
 * inside needs no code here: each leg of a call is a dialog of our own.
 */
#include "sbc.h"
#include <string.h>

#define EVENTS_A_SECOND 20u

static const struct pbx_setting settings[] = {
	PBX_BOOL(struct sbc_settings, enabled, .initial = false, .help = "Guard the border"),
	PBX_UINT(struct sbc_settings, rate_limit, .initial = 100, .least = 0, .most = 100000,
		 .help = "Requests a second that one address (of IPv6, one /64) may send outside of calls; more are dropped. 0: no limit"),
	PBX_UINT(struct sbc_settings, network_rate_limit, .initial = 1000, .least = 0, .most = 1000000,
		 .help = "The same for a network of 256 addresses (of IPv6, a /48). 0: no limit"),
	PBX_LIST(struct sbc_settings, scanners,
		 .initial_text =
			 "friendly-scanner,sipvicious,sipcli,sip-scan,sundayddr,friendly-request,siparmyknife,iwar,smap,pplsip,sipptk",
		 .help = "Whoever has one of these words in User-Agent or as the caller's name is banned at once"),
	PBX_BOOL(struct sbc_settings, drop_silently, .initial = true,
		 .help = "Scanners get no answer rather than 403, so that they learn nothing"),
	PBX_CHOICE(struct sbc_settings, malformed, .initial_text = "drop", .choices = PBX_CHOICES("drop", "answer"),
		   .help = "Broken requests of strangers: dropped, or answered with 400. Other SIP systems that are set up are always "
			   "answered"),
	PBX_UINT(struct sbc_settings, max_bytes, .initial = 65535, .least = 1024, .most = 65535, .unit = "bytes",
		 .help = "Longest request outside of calls"),
	PBX_UINT(struct sbc_settings, max_headers, .initial = 100, .least = 20, .most = 10000,
		 .help = "Most header lines of such a request"),
	PBX_UINT(struct sbc_settings, ban_after, .initial = 20, .least = 1, .most = 10000,
		 .help = "Offences after which an address is banned: wrong passwords, broken messages, seconds over the rate limit. Where "
			 "a phone is "
			 "registered nobody is banned, since source addresses can be forged"),
	PBX_UINT(struct sbc_settings, ban_window_s, .initial = 300, .least = 1, .most = 86400, .unit = "s",
		 .help = "Offences older than this are forgotten"),
	PBX_UINT(struct sbc_settings, ban_seconds, .initial = 3600, .least = 0, .most = 31536000, .unit = "s",
		 .help = "How long a ban lasts; 0: nobody is banned"),
	PBX_TEXT(struct sbc_settings, security_log, .initial_text = "", .most = 500,
		 .help = "Absolute path of a file that gets wrong passwords and bans as Asterisk writes them, for fail2ban's filter of "
			 "that name; "
			 "empty: none"),
	PBX_TEXT(struct sbc_settings, kernel_bans, .initial_text = "", .most = 107,
		 .help = "Socket of pbx-bans, which has the kernel drop who is banned (package warden-pbx-nftables: /run/pbx-bans/socket); "
			 "empty: "
			 "pbxd alone drops them"),
	PBX_TEXT(struct sbc_settings, country_database, .initial_text = "", .most = 500,
		 .help = "Absolute path of a database of countries in MaxMind's format, such as /var/lib/GeoIP/GeoLite2-Country.mmdb; a "
			 "new file is "
			 "taken within a minute; empty: none"),
	PBX_LIST(struct sbc_settings, countries_allowed,
		 .help = "Only who is in one of these countries is heard: codes of two letters, as US,CA; empty: everywhere"),
	PBX_LIST(struct sbc_settings, countries_denied, .help = "Who is in one of these countries is not heard"),
	PBX_CHOICE(struct sbc_settings, country_guards, .initial_text = "all", .choices = PBX_CHOICES("all", "registrations", "calls"),
		   .help = "What may not come from other countries: every request outside of calls, registrations alone, or calls alone"),
	PBX_CHOICE(
		struct sbc_settings, country_unknown, .initial_text = "pass", .choices = PBX_CHOICES("pass", "drop"),
		.help = "Public addresses that the database does not know, while countries_allowed names some; private ones always pass"),
	PBX_UINT(struct sbc_settings, max_calls, .initial = 1000, .least = 0, .most = 1000000, .help = "Calls at a time; 0: no limit"),
	PBX_UINT(struct sbc_settings, max_cps, .initial = 0, .least = 0, .most = 100000, .help = "New calls a second; 0: no limit"),
	PBX_UINT(struct sbc_settings, max_bandwidth, .initial = 100000, .least = 0, .most = 100000000, .unit = "kbit/s",
		 .help = "What the calls that came in may weigh, each way; 0: no limit"),
	PBX_UINT(struct sbc_settings, account_calls, .initial = 0, .least = 0, .most = 100000,
		 .help = "Calls at a time of one account; 0: no limit"),
	PBX_UINT(struct sbc_settings, account_cps, .initial = 0, .least = 0, .most = 100000,
		 .help = "New calls a second of one account; 0: no limit"),
	PBX_UINT(struct sbc_settings, peer_calls, .initial = 0, .least = 0, .most = 100000,
		 .help = "Calls at a time from one other SIP system; 0: no limit"),
	PBX_UINT(struct sbc_settings, peer_cps, .initial = 0, .least = 0, .most = 100000,
		 .help = "New calls a second from one other SIP system; 0: no limit"),
	PBX_UINT(struct sbc_settings, retry_after_s, .initial = 5, .least = 1, .most = 3600, .unit = "s",
		 .help = "When a refused caller should try again"),
	PBX_LIST(struct sbc_settings, emergency_numbers, .initial_text = "911,112",
		 .help = "Calls to these are let in whatever the limits"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "lists",
	  "CREATE TABLE session_border_controller_acl (cidr TEXT NOT NULL, action TEXT NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL,"
	  " expires_us INTEGER NOT NULL, created_us INTEGER NOT NULL, created_by TEXT NOT NULL, PRIMARY KEY (cidr, action))" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_DROPPED] = { "pbx_sbc_dropped_total", PBX_METRIC_COUNTER, "Packets and requests that were not answered", "reason", NULL },
	[METRIC_REJECTED] = { "pbx_sbc_calls_rejected_total", PBX_METRIC_COUNTER, "Calls refused", "limit", NULL },
	[METRIC_ENTRIES] = { "pbx_sbc_list_entries", PBX_METRIC_GAUGE, "Networks let in and kept out", "list", NULL },
	[METRIC_CALLS] = { "pbx_sbc_calls", PBX_METRIC_GAUGE, "Calls that were let in and last", NULL, NULL },
	[METRIC_BANDWIDTH] = { "pbx_sbc_bandwidth_bits_per_second", PBX_METRIC_GAUGE, "What they weigh, each way", NULL, NULL },
	[METRIC_BANS] = { "pbx_sbc_bans_total", PBX_METRIC_COUNTER, "Addresses banned", "reason", NULL },
};

static const struct pbx_field blocked_fields[] = {
	{ "address", PBX_TYPE_TEXT, "Who" },
	{ "reason", PBX_TYPE_TEXT, "scanner, rate, malformed, password, country" },
	{ "for_s", PBX_TYPE_INT, "How long" },
};
static const struct pbx_field source_fields[] = {
	{ "address", PBX_TYPE_TEXT, "Who" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws, wss" },
};
static const struct pbx_field malformed_fields[] = {
	{ "address", PBX_TYPE_TEXT, "Who" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws, wss" },
	{ "why", PBX_TYPE_TEXT, "What is wrong with it" },
};
static const struct pbx_field country_fields[] = {
	{ "address", PBX_TYPE_TEXT, "Who" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws, wss" },
	{ "country", PBX_TYPE_TEXT, "Where it is, two letters; empty: nobody knows" },
};
static const struct pbx_field rejected_fields[] = {
	{ "limit", PBX_TYPE_TEXT, "calls, cps, bandwidth, account_calls, account_cps, peer_calls, peer_cps, memory" },
	{ "address", PBX_TYPE_TEXT, "Who" },
	{ "account", PBX_TYPE_TEXT, "Whose credentials, or empty" },
	{ "peer", PBX_TYPE_TEXT, "Which other SIP system, or empty" },
	{ "dialled", PBX_TYPE_TEXT, "Whom" },
};
static const struct pbx_event_type events[] = {
	{ "sbc.source_blocked", "An address was banned", PBX_TABLE(blocked_fields) },
	{ "sbc.rate_limited", "An address sends more than it may; once a minute for each", PBX_TABLE(source_fields) },
	{ "sbc.malformed", "An address sends what is no SIP, or broken; once a minute for each", PBX_TABLE(malformed_fields) },
	{ "sbc.country_refused", "An address of a country that is not heard sends requests; once a minute for each",
	  PBX_TABLE(country_fields) },
	{ "sbc.cac_rejected", "A call was refused by a limit", PBX_TABLE(rejected_fields) },
};

void sbc_tell(struct sbc *sbc, const char *type, struct pbx_json *taken)
{
	if (sbc->events_left == 0) {
		sbc->json->free(taken);
		return;
	}
	sbc->events_left--;
	(void)sbc->bus->publish(sbc->host, type, (pbx_call){ 0 }, taken); /* without memory the log has it */
}

/* ---- once a second -------------------------------------------------------------------- */

static void set_gauges(struct sbc *sbc)
{
	const struct pbx_metrics *metric = sbc->metrics;

	/* A lost count is no reason to stop. */
	for (uint32_t i = 0; i < DROPS; i++) {
		if (sbc->dropped[i] > sbc->told[i])
			(void)metric->add(sbc->host, METRIC_DROPPED, drop_names[i], (double)(sbc->dropped[i] - sbc->told[i]));
		sbc->told[i] = sbc->dropped[i];
	}
	(void)metric->set(sbc->host, METRIC_ENTRIES, "allow", sbc->lists.count[LIST_ALLOW]);
	(void)metric->set(sbc->host, METRIC_ENTRIES, "deny", sbc->lists.count[LIST_DENY]);
	(void)metric->set(sbc->host, METRIC_CALLS, NULL, admission_calls(&sbc->admission));
	(void)metric->set(sbc->host, METRIC_BANDWIDTH, NULL, (double)sbc->admission.bits_per_s);
}

static void on_second(void *self, pbx_timer timer)
{
	struct sbc *sbc = self;

	(void)timer;
	sbc->events_left = EVENTS_A_SECOND;
	lists_sweep(sbc);
	admission_sweep(sbc);
	kernel_second(sbc);
	country_second(sbc);
	set_gauges(sbc);
}

/* ---- life ----------------------------------------------------------------------------- */

static int sbc_settings_check(const void *proposed, struct pbx_diag *diag)
{
	const struct sbc_settings *next = proposed;

	if (next->security_log[0] && next->security_log[0] != '/') {
		pbx_diag_set(diag, "security_log", "%.200s is no absolute path; write /var/log/pbx/security.log", next->security_log);
		return PBX_EINVAL;
	}
	if (next->kernel_bans[0] && next->kernel_bans[0] != '/') {
		pbx_diag_set(diag, "kernel_bans", "%.100s is no absolute path; write /run/pbx-bans/socket", next->kernel_bans);
		return PBX_EINVAL;
	}
	return country_check(next, diag);
}

static int sbc_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	const struct sbc_settings *next = proposed;

	(void)diag;
	return sbc_guard(self, next->enabled);
}

static int sbc_load(void *self)
{
	struct sbc *sbc = self;
	struct pbx_host *host = sbc->host;

	sbc->border = pbx_border(host);
	sbc->store = pbx_store(host);
	sbc->timers = pbx_timers(host);
	sbc->requests = pbx_requests(host);
	sbc->json = pbx_jsons(host);
	sbc->bus = pbx_bus(host);
	sbc->metrics = pbx_metrics(host);
	sbc->location = pbx_location(host);
	sbc->io = pbx_io(host);
	sbc->successor = host->service(host, "session_border_controller.calls/1", sizeof *sbc->successor);
	sbc->events_left = EVENTS_A_SECOND;
	(void)snprintf(sbc->kernel_state, sizeof sbc->kernel_state, "off");
	(void)snprintf(sbc->country.state, sizeof sbc->country.state, "off");
	int err = sources_init(&sbc->sources);
	if (err == PBX_OK)
		err = admission_init(&sbc->admission);
	return err == PBX_OK ? lists_load(sbc) : err;
}

static int sbc_start(void *self)
{
	struct sbc *sbc = self;
	pbx_timer timer;

	int err = sbc->timers->start(sbc->host, 1000, 1000, on_second, sbc, &timer);

	return err == PBX_OK ? sbc_guard(sbc, sbc->settings->enabled) : err;
}

static const void *sbc_offer(void *self, const char *id)
{
	struct sbc *sbc = self;

	(void)id; /* the only one we offer */
	sbc->calls_service = (struct sbc_calls){ .header = PBX_HEADER(struct sbc_calls), .self = self, .take = admission_take };
	return &sbc->calls_service;
}

static void sbc_drain(void *self)
{
	admission_hand_over(self);
}

static void sbc_stop(void *self)
{
	kernel_free(self);
}

static void sbc_unload(void *self)
{
	struct sbc *sbc = self;

	country_free(sbc);
	lists_free(&sbc->lists);
	sources_fini(&sbc->sources);
	admission_fini(&sbc->admission);
	security_log_free(sbc);
}

PBX_PLUGIN(session_border_controller)
= {
	PBX_PLUGIN_HEADER,
	.name = "session_border_controller",
	.version = "1.0.0",
	.summary = "Guards the border: lists, bans, rates, scanners, countries, how many calls",
	.needs = PBX_NEEDS("pbx.border/1", "pbx.store/1", "pbx.timers/1", "pbx.requests/1", "pbx.json/1", "pbx.bus/1", "pbx.metrics/1",
			   "pbx.location/1", "pbx.io/1", "session_border_controller.calls/1?"),
	.offers = PBX_OFFERS("session_border_controller.calls/1"),
	.instance_size = sizeof(struct sbc),
	PBX_SETTINGS(struct sbc_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(sbc_routes),
	.commands = PBX_TABLE(sbc_commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = sbc_load,
	.start = sbc_start,
	.reload = sbc_reload,
	.drain = sbc_drain,
	.stop = sbc_stop,
	.unload = sbc_unload,
	.offer = sbc_offer,
	.settings_check = sbc_settings_check,
};
