/*
 * dns_srv_failover - a provider given by its domain is found by DNS, and calls go to the next server when one is dead
 *
 * dns.h says which file does what. Signalling asks for the servers of a domain (pbx.sip_resolver/1), tries them in the order given, and reports
 * what each try came to; from that, and from OPTIONS to those that failed, the next order is made.
 */
#include "dns.h"
#include <string.h>
#include <sys/random.h>

static const struct pbx_setting settings[] = {
	PBX_LIST(struct dns_settings, servers, .initial_text = "",
		 .help = "DNS servers to ask, as 192.0.2.53 or [2001:db8::53]:5353; empty: those of /etc/resolv.conf"),
	PBX_UINT(struct dns_settings, timeout_ms, .initial = 1000, .least = 100, .most = 30000, .unit = "ms",
		 .help = "How long a server may take for the first try; later tries wait longer"),
	PBX_UINT(struct dns_settings, tries, .initial = 2, .least = 1, .most = 10, .help = "How often each server is asked"),
	PBX_LIST(struct dns_settings, transports, .initial_text = "tls,tcp,udp",
		 .help = "Transports we use, the one we like best first, where a domain leaves the choice to us"),
	PBX_LIST(struct dns_settings, enum_domains, .initial_text = "",
		 .help = "Domains under which numbers are looked up by ENUM (RFC 6116), in order: e164.arpa; empty: none. Each sees the "
			 "numbers that are "
			 "looked up"),
	PBX_BOOL(struct dns_settings, use_naptr, .initial = 1, .help = "Ask for NAPTR records, by which a domain chooses the transport"),
	PBX_BOOL(struct dns_settings, ipv6, .initial = 1, .help = "Use IPv6 addresses, where this machine has a route to them"),
	PBX_UINT(struct dns_settings, serve_stale_s, .initial = 86400, .least = 0, .most = 604800, .unit = "s",
		 .help = "How long an old answer serves on while no DNS server answers"),
	PBX_UINT(struct dns_settings, min_ttl_s, .initial = 5, .least = 1, .most = 3600, .unit = "s",
		 .help = "Answers are kept at least this long"),
	PBX_UINT(struct dns_settings, max_ttl_s, .initial = 3600, .least = 1, .most = 604800, .unit = "s",
		 .help = "Answers are kept at most this long"),
	PBX_UINT(struct dns_settings, max_failures, .initial = 3, .least = 1, .most = 100,
		 .help = "Failures in a row after which an address counts as down"),
	PBX_UINT(struct dns_settings, check_interval_s, .initial = 60, .least = 1, .most = 86400, .unit = "s",
		 .help = "How often an address that is down is asked by OPTIONS whether it is back"),
};

static const struct pbx_metric metrics[] = {
	[METRIC_QUESTIONS] = { .name = "pbx_dns_questions_total",
			       .kind = PBX_METRIC_COUNTER,
			       .help = "Questions to DNS servers, by what came: found, nothing, failed",
			       .labels = "outcome" },
	[METRIC_LOOKUPS] = { .name = "pbx_dns_lookups_total", .kind = PBX_METRIC_COUNTER, .help = "Records looked for" },
	[METRIC_HITS] = { .name = "pbx_dns_cache_hits_total", .kind = PBX_METRIC_COUNTER, .help = "Of those, found in the cache" },
	[METRIC_STALE] = { .name = "pbx_dns_stale_answers_total",
			   .kind = PBX_METRIC_COUNTER,
			   .help = "Old answers used because no server gave a new one" },
	[METRIC_SECONDS] = { .name = "pbx_dns_resolve_seconds",
			     .kind = PBX_METRIC_HISTOGRAM,
			     .help = "From a domain to its list of addresses",
			     .buckets = "0.001,0.005,0.02,0.1,0.5,2,5" },
	[METRIC_DOWN] = { .name = "pbx_dns_targets_down", .kind = PBX_METRIC_GAUGE, .help = "Addresses that count as down" },
	[METRIC_FAILOVERS] = { .name = "pbx_dns_failovers_total", .kind = PBX_METRIC_COUNTER, .help = "How often an address went down" },
};

static const struct pbx_field target_event_fields[] = {
	{ "address", PBX_TYPE_TEXT, "The server's address" },
	{ "port", PBX_TYPE_INT, "Its port" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls" },
	{ "target", PBX_TYPE_TEXT, "The server's name in DNS" },
	{ "domain", PBX_TYPE_TEXT, "The domain it serves" },
	{ "failures", PBX_TYPE_INT, "dns.target_down: how many in a row" },
	{ "reason", PBX_TYPE_TEXT, "dns.target_down: no_answer, transport, unavailable (503)" },
	{ "down_s", PBX_TYPE_INT, "dns.target_up: for how long it was down" },
	{ "seen_by", PBX_TYPE_TEXT, "dns.target_up: probe, request" },
};
static const struct pbx_field failure_fields[] = {
	{ "host", PBX_TYPE_TEXT, "What was asked for" },
	{ "transport", PBX_TYPE_TEXT, "The transport that was asked for, or empty" },
	{ "reason", PBX_TYPE_TEXT,
	  "not_found; no_answer: no DNS server answered, or each said that it failed; server_failed: the answers made no sense" },
};
static const struct pbx_event_type events[] = {
	{ "dns.target_down", "A server failed max_failures times in a row: others are preferred", PBX_TABLE(target_event_fields) },
	{ "dns.target_up", "A server that was down answered", PBX_TABLE(target_event_fields) },
	{ "dns.resolve_failed", "A domain could not be resolved", PBX_TABLE(failure_fields) },
};

static const struct pbx_arg records_args[] = {
	{ .name = "name", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .least = 1, .most = 255, .help = "Only names that contain this" },
};
static const struct pbx_arg flush_args[] = {
	{ .name = "name", .type = PBX_TYPE_TEXT, .least = 1, .most = 255, .help = "Only this name and its services; left out: everything" },
};
static const struct pbx_arg lookup_args[] = {
	{ .name = "domain",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .least = 1,
	  .most = 255,
	  .help = "The domain, as it stands in a SIP address" },
	{ .name = "transport",
	  .type = PBX_TYPE_CHOICE,
	  .choices = PBX_CHOICES("udp", "tcp", "tls"),
	  .help = "Left out: as the domain says" },
	{ .name = "port", .type = PBX_TYPE_INT, .least = 1, .most = 65535, .help = "With a port only addresses are asked for" },
	{ .name = "secure", .type = PBX_TYPE_BOOL, .help = "As for a sips: address: TLS only" },
};
static const struct pbx_arg enum_args[] = {
	{ .name = "number", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 4, .most = 40, .help = "As +12125551212" },
};
static const struct pbx_field enum_fields[] = {
	{ "number", PBX_TYPE_TEXT, "As it was looked up" },
	{ "domain", PBX_TYPE_TEXT, "Under which of enum_domains it was found" },
	{ "uri", PBX_TYPE_TEXT, "The SIP address, as DNS says; nobody has looked whether it is one to trust" },
};
static const struct pbx_field record_fields[] = {
	{ "name", PBX_TYPE_TEXT, "The name" },
	{ "type", PBX_TYPE_TEXT, "A, AAAA, SRV, NAPTR" },
	{ "result", PBX_TYPE_TEXT, "found, nothing, no_answer, server_failed" },
	{ "state", PBX_TYPE_TEXT, "fresh; stale: used while no server answers; expired" },
	{ "ttl_s", PBX_TYPE_INT, "How long it still holds" },
	{ "records", PBX_TYPE_LIST, "As a zone file has them: an address; priority weight port target" },
};
static const struct pbx_field target_fields[] = {
	{ "domain", PBX_TYPE_TEXT, "The domain it serves" }, { "target", PBX_TYPE_TEXT, "The server's name in DNS" },
	{ "address", PBX_TYPE_TEXT, "Its address" },         { "port", PBX_TYPE_INT, "Its port" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls" },     { "state", PBX_TYPE_TEXT, "up; suspect: failed just now; down" },
	{ "since", PBX_TYPE_TIME, "In this state since" },   { "failures", PBX_TYPE_INT, "In a row" },
	{ "tries", PBX_TYPE_INT, "Requests sent there" },    { "failed_tries", PBX_TYPE_INT, "Of those, failed" },
};
static const struct pbx_field candidate_fields[] = {
	{ "order", PBX_TYPE_INT, "When it is tried" },
	{ "address", PBX_TYPE_TEXT, "Where a request goes" },
	{ "port", PBX_TYPE_INT, "Its port" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls" },
	{ "target", PBX_TYPE_TEXT, "The server's name in DNS" },
	{ "state", PBX_TYPE_TEXT, "up, suspect, down" },
};
static const struct pbx_field statistics_fields[] = {
	{ "lookups", PBX_TYPE_INT, "Records looked for" },
	{ "cache_hits", PBX_TYPE_INT, "Of those, found in the cache" },
	{ "cache_hit_rate", PBX_TYPE_NUMBER, "Share of those" },
	{ "stale_answers", PBX_TYPE_INT, "Old answers used because no server gave a new one" },
	{ "cached", PBX_TYPE_INT, "Answers in the cache" },
	{ "failovers", PBX_TYPE_INT, "How often an address went down" },
	{ "targets", PBX_TYPE_INT, "Addresses given out" },
	{ "targets_down", PBX_TYPE_INT, "Of those, down now" },
};
static const struct pbx_field flush_fields[] = {
	{ "flushed", PBX_TYPE_INT, "How many answers went" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/dns/records",
	  .handle = dns_on_records,
	  .scope = "dns:read",
	  .summary = "Answers in the cache, last used first",
	  .args = PBX_TABLE(records_args),
	  .reply = PBX_TABLE(record_fields) },
	{ .method = "GET",
	  .path = "/dns/targets",
	  .handle = dns_on_targets,
	  .scope = "dns:read",
	  .summary = "Servers given out and how they are",
	  .reply = PBX_TABLE(target_fields) },
	{ .method = "GET",
	  .path = "/dns/statistics",
	  .handle = dns_on_statistics,
	  .scope = "dns:read",
	  .summary = "How well the cache works",
	  .reply = PBX_TABLE(statistics_fields) },
	{ .method = "POST",
	  .path = "/dns/lookup",
	  .handle = dns_on_lookup,
	  .scope = "dns:write",
	  .summary = "Servers of a domain, in the order a call would try them",
	  .args = PBX_TABLE(lookup_args),
	  .reply = PBX_TABLE(candidate_fields) },
	{ .method = "POST",
	  .path = "/dns/enum",
	  .handle = dns_on_enum,
	  .scope = "dns:write",
	  .summary = "The SIP address that ENUM (RFC 6116) has for a telephone number",
	  .args = PBX_TABLE(enum_args),
	  .reply = PBX_TABLE(enum_fields) },
	{ .method = "POST",
	  .path = "/dns/flush",
	  .handle = dns_on_flush,
	  .scope = "dns:write",
	  .summary = "Forget answers, and read /etc/resolv.conf anew when it is all of them",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(flush_args),
	  .reply = PBX_TABLE(flush_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "dns show",
	  .handle = dns_on_records,
	  .help = "Answers in the cache, last used first",
	  .args = PBX_TABLE(records_args),
	  .columns = "name,type,result,state,ttl_s,records" },
	{ .words = "dns targets",
	  .handle = dns_on_targets,
	  .help = "Servers given out and how they are",
	  .columns = "domain,address,port,transport,state,since,failures,tries,failed_tries" },
	{ .words = "dns statistics", .handle = dns_on_statistics, .help = "How well the cache works" },
	{ .words = "dns lookup",
	  .handle = dns_on_lookup,
	  .help = "Servers of a domain, in the order a call would try them",
	  .args = PBX_TABLE(lookup_args),
	  .columns = "order,address,port,transport,target,state" },
	{ .words = "dns enum",
	  .handle = dns_on_enum,
	  .help = "The SIP address that ENUM (RFC 6116) has for a telephone number",
	  .args = PBX_TABLE(enum_args) },
	{ .words = "dns flush",
	  .handle = dns_on_flush,
	  .help = "Forget answers, and read /etc/resolv.conf anew when it is all of them",
	  .args = PBX_TABLE(flush_args) },
};

/* ---- life ------------------------------------------------------------------------------- */

static const void *dns_offer(void *self, const char *id)
{
	struct dns *dns = self;

	(void)id; /* there is one */
	dns->service = (struct pbx_sip_resolver){
		.header = PBX_HEADER(struct pbx_sip_resolver), .self = dns, .resolve = dns_resolve, .report = dns_report
	};
	return &dns->service;
}

static int dns_load(void *self)
{
	struct dns *dns = self;
	struct pbx_host *host = dns->host;
	struct pbx_diag diag = { .text = "" };
	ares_channel channel;

	dns->io = pbx_io(host);
	dns->timers = pbx_timers(host);
	dns->bus = pbx_bus(host);
	dns->json = pbx_jsons(host);
	dns->requests = pbx_requests(host);
	dns->metrics = pbx_metrics(host);
	dns->probe = pbx_sip_probe(host);
	if (getrandom(&dns->chance, sizeof dns->chance, 0) != (ssize_t)sizeof dns->chance)
		return PBX_EIO;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return PBX_ENOMEM;
	dns->has_library = true;
	int err = channel_open(dns, dns->settings, &channel, &diag);
	if (err != PBX_OK)
		pbx_error(host, "dns_not_set_up", "reason=\"%s\"", diag.text);
	else
		channel_replace(dns, channel);
	return err;
}

static int check_transports(const struct pbx_list *transports, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < transports->count; i++) {
		if (strcmp(transports->items[i], "udp") == 0 || strcmp(transports->items[i], "tcp") == 0 ||
		    strcmp(transports->items[i], "tls") == 0)
			continue;
		pbx_diag_set(diag, "transports", "\"%.40s\" is no transport of ours; right would be udp, tcp, tls", transports->items[i]);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

static int check_enum(const struct pbx_list *domains, struct pbx_diag *diag)
{
	char name[DNS_NAME];

	for (uint32_t i = 0; i < domains->count; i++) {
		if (dns_name_check(domains->items[i], name))
			continue;
		pbx_diag_set(diag, "enum_domains", "\"%.100s\" is no domain; right would be e164.arpa", domains->items[i]);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

static int dns_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct dns *dns = self;
	const struct dns_settings *wanted = proposed;
	ares_channel channel;

	if (wanted->min_ttl_s > wanted->max_ttl_s) {
		pbx_diag_set(diag, "min_ttl_s", "min_ttl_s must not be above max_ttl_s");
		return PBX_EINVAL;
	}
	int err = check_transports(&wanted->transports, diag);
	if (err == PBX_OK)
		err = check_enum(&wanted->enum_domains, diag);
	if (err == PBX_OK)
		err = channel_open(dns, wanted, &channel, diag);
	if (err == PBX_OK)
		channel_replace(dns, channel);
	return err;
}

static void dns_stop(void *self)
{
	struct dns *dns = self;

	dns->stopping = true;
	questions_forget_waiters(dns);
	resolutions_cancel(dns);
	enum_cancel(dns);
	channel_replace(dns, NULL);
}

static void dns_unload(void *self)
{
	struct dns *dns = self;

	dns->stopping = true;
	if (dns->channel)
		channel_replace(dns, NULL);
	(void)cache_flush(dns, NULL);
	targets_free(dns);
	if (dns->has_library)
		ares_library_cleanup();
}

PBX_PLUGIN(dns_srv_failover)
= {
	PBX_PLUGIN_HEADER,
	.name = "dns_srv_failover",
	.version = "1.0.0",
	.summary = "Finds SIP servers by DNS and prefers those that answer",
	.needs = PBX_NEEDS("pbx.io/1", "pbx.timers/1", "pbx.bus/1", "pbx.json/1", "pbx.requests/1", "pbx.metrics/1", "pbx.sip_probe/1?"),
	.offers = PBX_OFFERS("pbx.sip_resolver/1"),
	.instance_size = sizeof(struct dns),
	PBX_SETTINGS(struct dns_settings, settings),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = dns_load,
	.reload = dns_reload,
	.stop = dns_stop,
	.unload = dns_unload,
	.offer = dns_offer,
};
