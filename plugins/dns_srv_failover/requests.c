/*
 * requests - what is known of names and addresses, as people see it by REST and by pbxctl
 */
#include "dns.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* ---- the cache -------------------------------------------------------------------------- */

static const char *type_name(uint16_t type)
{
	return type == DNS_A ? "A" : type == DNS_AAAA ? "AAAA" : type == DNS_SRV ? "SRV" : "NAPTR";
}

static const char *result_name(int result)
{
	return result == PBX_OK ? "found" : result == PBX_ENOENT ? "nothing" : result == PBX_ETIMEOUT ? "no_answer" : "server_failed";
}

/* A record as a zone file has it. */
static void print_record(const struct dns_record *record, uint16_t type, char *ret_text, size_t size)
{
	const char *name = record->name[0] ? record->name : ".";

	if (type == DNS_A || type == DNS_AAAA)
		(void)inet_ntop(type == DNS_A ? AF_INET : AF_INET6, record->address, ret_text, (socklen_t)size); /* it is large enough */
	else if (type == DNS_SRV)
		(void)snprintf(ret_text, size, "%u %u %u %s", record->priority, record->weight, record->port, name);
	else
		(void)snprintf(ret_text, size, "%u %u \"%.1s\" \"%s\" \"%s\" %s", record->priority, record->weight,
			       record->flag ? &record->flag : "", record->service, record->regexp, name);
}

static struct pbx_json *describe_known(const struct dns *dns, const struct known *known)
{
	const struct pbx_jsons *json = dns->json;
	struct pbx_json *object = json->new_object(), *records = json->new_array();
	const uint64_t now_ms = dns->host->now_ms(dns->host);
	const bool fresh = known_is_fresh(dns, known);
	char text[DNS_NAME + DNS_NAPTR_SERVICE + DNS_NAPTR_REGEXP + 32];

	for (uint32_t i = 0; i < known->count; i++) {
		print_record(&known->records[i], known->type, text, sizeof text);
		(void)json->append_text(records, text);
	}
	(void)json->set_text(object, "name", known->name);
	(void)json->set_text(object, "type", type_name(known->type));
	(void)json->set_text(object, "result", result_name(known->result));
	(void)json->set_text(object, "state", fresh ? "fresh" : known_may_serve_stale(dns, known) ? "stale" : "expired");
	(void)json->set_integer(object, "ttl_s", fresh ? (int64_t)((known->expires_at_ms - now_ms + 999) / 1000) : 0);
	(void)json->set(object, "records", records);
	return object;
}

static void reply_items(const struct dns *dns, pbx_request request, struct pbx_json *items)
{
	struct pbx_json *answer = dns->json->new_object();

	(void)dns->json->set(answer, "items", items);
	(void)dns->requests->reply(request, 200, answer);
}

void dns_on_records(void *self, pbx_request request)
{
	const struct dns *dns = self;
	const char *name = dns->requests->text(request, "name");
	struct pbx_json *items = dns->json->new_array();

	for (const struct known *known = dns->cache.newest; known; known = known->older)
		if (!name || strstr(known->name, name))
			(void)dns->json->append(items, describe_known(dns, known));
	reply_items(dns, request, items);
}

void dns_on_flush(void *self, pbx_request request)
{
	struct dns *dns = self;
	const char *name = dns->requests->text(request, "name");
	struct pbx_json *answer = dns->json->new_object();
	struct pbx_diag diag;
	ares_channel channel;
	char checked[DNS_NAME];

	if (name && !dns_name_check(name, checked)) {
		dns->json->free(answer);
		(void)dns->requests->fail(request, 422, "not_a_name", "name",
					  "\"%.200s\" is not a host's name; right would be sip.example.net", name);
		return;
	}
	(void)dns->json->set_integer(answer, "flushed", cache_flush(dns, name ? checked : NULL));
	if (!name && channel_open(dns, dns->settings, &channel, &diag) == PBX_OK)
		channel_replace(dns, channel); /* /etc/resolv.conf is read anew */
	(void)dns->requests->reply(request, 200, answer);
}

/* ---- addresses -------------------------------------------------------------------------- */

void dns_on_targets(void *self, pbx_request request)
{
	const struct dns *dns = self;
	const struct pbx_jsons *json = dns->json;
	struct pbx_json *items = json->new_array();

	for (const struct target *target = dns->newest_target; target; target = target->older) {
		struct pbx_json *object = json->new_object();

		(void)json->set_text(object, "domain", target->domain);
		(void)json->set_text(object, "target", target->name);
		(void)json->set_text(object, "address", target->address);
		(void)json->set_integer(object, "port", target->port);
		(void)json->set_text(object, "transport", target->transport);
		(void)json->set_text(object, "state", target_state_name(target->state));
		(void)json->set_time(object, "since", target->since_wall_us);
		(void)json->set_integer(object, "failures", target->failures);
		(void)json->set_integer(object, "tries", (int64_t)target->tries);
		(void)json->set_integer(object, "failed_tries", (int64_t)target->failed_tries);
		(void)json->append(items, object);
	}
	reply_items(dns, request, items);
}

void dns_on_statistics(void *self, pbx_request request)
{
	const struct dns *dns = self;
	const struct pbx_jsons *json = dns->json;
	struct pbx_json *answer = json->new_object();

	(void)json->set_integer(answer, "lookups", (int64_t)dns->lookups);
	(void)json->set_integer(answer, "cache_hits", (int64_t)dns->hits);
	(void)json->set_number(answer, "cache_hit_rate", dns->lookups ? (double)dns->hits / (double)dns->lookups : 0);
	(void)json->set_integer(answer, "stale_answers", (int64_t)dns->stale);
	(void)json->set_integer(answer, "cached", dns->cache.count);
	(void)json->set_integer(answer, "failovers", (int64_t)dns->failovers);
	(void)json->set_integer(answer, "targets", dns->target_count);
	(void)json->set_integer(answer, "targets_down", dns->down_count);
	(void)dns->requests->reply(request, 200, answer);
}

/* ---- looking up --------------------------------------------------------------------------- */

struct lookup {
	struct dns *dns;
	pbx_request request;
	char domain[DNS_NAME];
};

static void reply_candidates(const struct lookup *lookup, const struct pbx_table *candidates)
{
	struct dns *dns = lookup->dns;
	const struct pbx_jsons *json = dns->json;
	struct pbx_json *items = json->new_array();

	for (uint32_t i = 0; i < candidates->count; i++) {
		const struct pbx_sip_candidate *candidate = (const struct pbx_sip_candidate *)candidates->rows + i;
		const struct target *target = target_find(dns, candidate->address, candidate->port, candidate->transport);
		struct pbx_json *object = json->new_object();

		(void)json->set_integer(object, "order", i + 1);
		(void)json->set_text(object, "address", candidate->address);
		(void)json->set_integer(object, "port", candidate->port);
		(void)json->set_text(object, "transport", candidate->transport);
		(void)json->set_text(object, "target", candidate->target);
		(void)json->set_text(object, "state", target_state_name(target ? target->state : TARGET_UP));
		(void)json->append(items, object);
	}
	reply_items(dns, lookup->request, items);
}

static void on_resolved(void *context, int result, const struct pbx_table *candidates)
{
	struct lookup *lookup = context;
	const struct pbx_requests *requests = lookup->dns->requests;
	const pbx_request request = lookup->request;

	if (result == PBX_OK)
		reply_candidates(lookup, candidates);
	else if (result == PBX_ENOENT)
		(void)requests->fail(request, 404, "not_found", "domain", "DNS knows no SIP service and no address of %s", lookup->domain);
	else if (result == PBX_ETIMEOUT)
		(void)requests->fail(request, 503, "no_answer", NULL, "no DNS server answers; dns_srv_failover.servers names others");
	else
		(void)requests->fail(request, 503, "server_failed", NULL, "the DNS servers could not answer for %s", lookup->domain);
	free(lookup);
}

void dns_on_lookup(void *self, pbx_request request)
{
	struct dns *dns = self;
	const char *domain = dns->requests->text(request, "domain"), *transport = dns->requests->text(request, "transport");
	struct pbx_sip_where where = { .size = sizeof where,
				       .port = (uint32_t)dns->requests->integer(request, "port", 0),
				       .transport = transport ? transport : "",
				       .secure = dns->requests->boolean(request, "secure", false) };
	struct lookup *lookup = calloc(1, sizeof *lookup);

	if (lookup && !dns_name_check(domain, lookup->domain)) {
		(void)dns->requests->fail(request, 422, "not_a_name", "domain",
					  "\"%.200s\" is not a host's name; right would be sip.example.net", domain);
		free(lookup);
		return;
	}
	if (lookup) {
		lookup->dns = dns;
		lookup->request = request;
		where.host = lookup->domain;
	}
	if (lookup && dns_resolve(dns, &where, on_resolved, lookup) == PBX_OK)
		return;
	free(lookup);
	(void)dns->requests->fail(request, 503, "busy", NULL, "too many look-ups are under way, or there is no memory");
}

/* ---- numbers ------------------------------------------------------------------------------- */

struct number_lookup {
	const struct dns *dns;
	pbx_request request;
};

static void on_number_found(void *context, int result, const char *number, const char *domain, const char *uri)
{
	const struct number_lookup lookup = *(struct number_lookup *)context;
	const struct pbx_requests *requests = lookup.dns->requests;
	const struct pbx_jsons *json = lookup.dns->json;

	free(context);
	if (result == PBX_OK) {
		struct pbx_json *answer = json->new_object();

		(void)json->set_text(answer, "number", number);
		(void)json->set_text(answer, "domain", domain);
		(void)json->set_text(answer, "uri", uri);
		(void)requests->reply(lookup.request, 200, answer);
	} else if (result == PBX_EINVAL) {
		(void)requests->fail(lookup.request, 422, "not_a_number", "number",
				     "that is no number of E.164; right would be +12125551212");
	} else if (result == PBX_ENOENT) {
		(void)requests->fail(lookup.request, 404, "not_found", "number", "ENUM has no SIP address that we could use for %s",
				     number);
	} else if (result == PBX_ETIMEOUT) {
		(void)requests->fail(lookup.request, 503, "no_answer", NULL,
				     "no DNS server answers; dns_srv_failover.servers names others");
	} else {
		(void)requests->fail(lookup.request, 503, "server_failed", NULL, "the DNS servers could not answer for %s", number);
	}
}

void dns_on_enum(void *self, pbx_request request)
{
	struct dns *dns = self;
	struct number_lookup *lookup;

	if (!dns->settings->enum_domains.count) {
		(void)dns->requests->fail(request, 422, "no_domains", NULL,
					  "where to look? dns_srv_failover.enum_domains is empty; e164.arpa is the public one");
		return;
	}
	lookup = calloc(1, sizeof *lookup);
	if (lookup) {
		*lookup = (struct number_lookup){ dns, request };
		if (enum_find(dns, dns->requests->text(request, "number"), on_number_found, lookup) == PBX_OK)
			return;
	}
	free(lookup);
	(void)dns->requests->fail(request, 503, "busy", NULL, "too many look-ups are under way, or there is no memory");
}
