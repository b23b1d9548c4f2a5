/*
 * resolve - from a host to an ordered list of addresses (RFC 3263)
 *
 * walk() reads like the RFC, as if every answer were there. One that is not is asked for and the walk goes on, so that all that can be asked at
 * once is; when the last has come the walk begins anew, with every answer it had still in hand. What went wrong lately comes last.
 */
#include "dns.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_SERVICES 8u

struct found {
	char address[DNS_ADDRESS], target[DNS_NAME];
	const char *transport; /* of transports[] */
	uint32_t port, rank;
};

struct resolution {
	struct resolution *next;
	struct dns *dns;
	char host[DNS_NAME];
	const char *transport; /* of transports[], NULL: any */
	uint32_t port;
	bool secure;
	void (*done)(void *context, int result, const struct pbx_table *candidates);
	void *context;
	uint64_t began_at_ms;

	struct known *answers[DNS_MOST_ANSWERS];
	uint32_t answer_count, pending;
	bool is_walking, misses, no_memory, has_asked;

	struct found found[DNS_MOST_CANDIDATES];
	uint32_t found_count;
	bool service_exists; /* some SRV record was seen, if only one that says no */
};

static const struct transport {
	const char *name, *service, *naptr;
	uint32_t port;
} transports[] = {
	{ "udp", "_sip._udp", "SIP+D2U", 5060 },
	{ "tcp", "_sip._tcp", "SIP+D2T", 5060 },
	{ "tls", "_sips._tcp", "SIPS+D2T", 5061 },
};
#define TRANSPORTS (sizeof transports / sizeof transports[0])
#define TLS "tls"

static const struct transport *transport_of(const char *name)
{
	for (size_t i = 0; i < TRANSPORTS; i++)
		if (strcmp(transports[i].name, name) == 0)
			return &transports[i];
	return NULL;
}

static void on_taken(void *context, struct known *known);

/* ---- answers ---------------------------------------------------------------------------- */

/* NULL: not there yet, or there will be none. Borrowed from the resolution. */
static const struct known *need(struct resolution *resolution, const char *name, uint16_t type)
{
	struct known *known = NULL;

	for (uint32_t i = 0; i < resolution->answer_count; i++)
		if (resolution->answers[i]->type == type && strcmp(resolution->answers[i]->name, name) == 0)
			return resolution->answers[i];
	if (resolution->answer_count + resolution->pending >= DNS_MOST_ANSWERS || resolution->no_memory)
		return NULL;
	resolution->pending++;
	int err = question_ask(resolution->dns, on_taken, resolution, name, type, &known);
	if (err == QUESTION_LATER) {
		resolution->misses = resolution->has_asked = true;
		return NULL;
	}
	resolution->pending--;
	resolution->no_memory = err != QUESTION_NOW;
	if (known)
		resolution->answers[resolution->answer_count++] = known;
	return known;
}

static int worst_result(const struct resolution *resolution)
{
	int worst = PBX_ENOENT;

	for (uint32_t i = 0; i < resolution->answer_count; i++)
		if (resolution->answers[i]->result == PBX_ETIMEOUT || resolution->answers[i]->result == PBX_EIO)
			worst = resolution->answers[i]->result;
	return resolution->no_memory ? PBX_EIO : worst;
}

/* ---- addresses -------------------------------------------------------------------------- */

/* Whether this machine has a way there (RFC 6724 5, rule 1): no packet is sent. */
static bool has_route(const char *address, bool v6)
{
	struct sockaddr_in6 to_v6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_in to_v4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	const int probe = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool has;

	if (probe < 0)
		return false;
	(void)inet_pton(v6 ? AF_INET6 : AF_INET, address, v6 ? (void *)&to_v6.sin6_addr : (void *)&to_v4.sin_addr);
	has = connect(probe, v6 ? (struct sockaddr *)&to_v6 : (struct sockaddr *)&to_v4, v6 ? sizeof to_v6 : sizeof to_v4) == 0;
	(void)close(probe);
	return has;
}

static bool is_found(const struct resolution *resolution, const struct found *another)
{
	for (uint32_t i = 0; i < resolution->found_count; i++) {
		const struct found *found = &resolution->found[i];

		if (found->port == another->port && found->transport == another->transport && strcmp(found->address, another->address) == 0)
			return true;
	}
	return false;
}

static void add_address(struct resolution *resolution, const struct dns_record *record, bool v6, const char *target, uint32_t port,
			const char *transport)
{
	struct found *found = &resolution->found[resolution->found_count];

	if (resolution->found_count == DNS_MOST_CANDIDATES ||
	    !inet_ntop(v6 ? AF_INET6 : AF_INET, record->address, found->address, DNS_ADDRESS))
		return;
	if (v6 && !has_route(found->address, v6))
		return;
	(void)snprintf(found->target, sizeof found->target, "%s", target);
	found->transport = transport;
	found->port = port;
	resolution->found_count += !is_found(resolution, found);
}

static void add_addresses(struct resolution *resolution, const char *target, uint16_t type, uint32_t port, const char *transport)
{
	const struct known *known = need(resolution, target, type);
	const struct dns_record *records[DNS_MOST_RECORDS];

	if (!known)
		return;
	for (uint32_t i = 0; i < known->count; i++)
		records[i] = &known->records[i];
	dns_shuffle(resolution->dns, records, known->count); /* we keep answers, so servers cannot turn them round for us */
	for (uint32_t i = 0; i < known->count; i++)
		add_address(resolution, records[i], type == DNS_AAAA, target, port, transport);
}

/* A host's addresses, IPv6 first (RFC 6724). */
static void walk_host(struct resolution *resolution, const char *target, uint32_t port, const struct transport *transport)
{
	port = port ? port : transport->port;
	if (resolution->dns->settings->ipv6)
		add_addresses(resolution, target, DNS_AAAA, port, transport->name);
	add_addresses(resolution, target, DNS_A, port, transport->name);
}

/* ---- services ---------------------------------------------------------------------------- */

/* The servers of one service. False: it is not known yet, or there are none. */
static bool walk_srv(struct resolution *resolution, const char *service, const struct transport *transport)
{
	const struct known *known = need(resolution, service, DNS_SRV);
	const struct dns_record *records[DNS_MOST_RECORDS];

	if (!known || !known->count)
		return false;
	resolution->service_exists = true;
	for (uint32_t i = 0; i < known->count; i++)
		records[i] = &known->records[i];
	dns_order_srv(resolution->dns, records, known->count);
	for (uint32_t i = 0; i < known->count; i++)
		if (records[i]->name[0]) /* "." says that there is no such service */
			walk_host(resolution, records[i]->name, records[i]->port, transport);
	return true;
}

static bool walk_service(struct resolution *resolution, const struct transport *transport)
{
	char service[DNS_NAME + 16];

	(void)snprintf(service, sizeof service, "%s.%s", transport->service, resolution->host);
	return strlen(service) < DNS_NAME && walk_srv(resolution, service, transport);
}

/* Whether we speak it, to this one. */
static bool is_allowed(const struct resolution *resolution, const char *transport)
{
	const struct pbx_list *ours = &resolution->dns->settings->transports;

	if (resolution->secure && strcmp(transport, TLS) != 0)
		return false;
	for (uint32_t i = 0; i < ours->count; i++)
		if (strcmp(ours->items[i], transport) == 0)
			return true;
	return false;
}

static const struct transport *transport_of_naptr(const struct resolution *resolution, const struct dns_record *record)
{
	for (size_t i = 0; i < TRANSPORTS; i++)
		if (strcmp(record->service, transports[i].naptr) == 0 && is_allowed(resolution, transports[i].name) && record->name[0] &&
		    (record->flag == 's' || record->flag == 'a'))
			return &transports[i];
	return NULL;
}

/* Of the services we speak those of the lowest order, by preference (RFC 3263 4.1, RFC 3403 4.1). False: NAPTR says nothing to us. */
static bool walk_naptr(struct resolution *resolution, const struct known *known)
{
	uint32_t order = UINT32_MAX;

	for (uint32_t i = 0; i < known->count; i++)
		if (known->records[i].priority < order && transport_of_naptr(resolution, &known->records[i]))
			order = known->records[i].priority;
	if (order == UINT32_MAX)
		return false;
	for (uint32_t preference = 0, next; preference <= UINT16_MAX; preference = next) {
		next = UINT16_MAX + 1u;
		for (uint32_t i = 0; i < known->count; i++) {
			const struct dns_record *record = &known->records[i];
			const struct transport *transport = transport_of_naptr(resolution, record);

			if (record->priority != order || !transport)
				continue;
			if (record->weight > preference && record->weight < next)
				next = record->weight;
			if (record->weight == preference && record->flag == 's')
				(void)walk_srv(resolution, record->name, transport);
			else if (record->weight == preference)
				walk_host(resolution, record->name, 0, transport);
		}
	}
	return true;
}

/* Nobody said which transport: what the domain's NAPTR records say, else every service it has, as we like them. */
static void walk_any(struct resolution *resolution)
{
	const struct pbx_list *ours = &resolution->dns->settings->transports;
	const struct known *naptr = resolution->dns->settings->use_naptr ? need(resolution, resolution->host, DNS_NAPTR) : NULL;

	if (resolution->pending || (naptr && walk_naptr(resolution, naptr)))
		return;
	for (uint32_t i = 0; i < ours->count; i++)
		if (is_allowed(resolution, ours->items[i]) && transport_of(ours->items[i]))
			(void)walk_service(resolution, transport_of(ours->items[i]));
}

/* A question about services that nobody answered: the bare host may be somebody else's machine. */
static bool knows_services(const struct resolution *resolution)
{
	for (uint32_t i = 0; i < resolution->answer_count; i++)
		if (resolution->answers[i]->type == DNS_SRV && resolution->answers[i]->result != PBX_OK &&
		    resolution->answers[i]->result != PBX_ENOENT)
			return false;
	return true;
}

static void walk(struct resolution *resolution)
{
	const struct transport *otherwise = transport_of(resolution->transport ? resolution->transport : resolution->secure ? TLS : "udp");

	resolution->found_count = 0;
	resolution->service_exists = false;
	if (resolution->secure && resolution->transport && strcmp(resolution->transport, TLS) != 0)
		return;
	if (resolution->port) {
		walk_host(resolution, resolution->host, resolution->port, otherwise);
		return;
	}
	if (resolution->transport)
		(void)walk_service(resolution, otherwise);
	else
		walk_any(resolution);
	if (!resolution->pending && !resolution->service_exists && !resolution->found_count && knows_services(resolution))
		walk_host(resolution, resolution->host, 0, otherwise);
}

/* ---- the end ----------------------------------------------------------------------------- */

static void resolution_free(struct resolution *resolution)
{
	struct dns *dns = resolution->dns;
	struct resolution **at = &dns->resolutions;

	while (*at != resolution)
		at = &(*at)->next;
	*at = resolution->next;
	dns->under_way--;
	for (uint32_t i = 0; i < resolution->answer_count; i++)
		known_unref(resolution->answers[i]);
	free(resolution);
}

static void tell_failure(const struct resolution *resolution, int result)
{
	const struct dns *dns = resolution->dns;
	struct pbx_json *data = dns->json->new_object();

	(void)dns->json->set_text(data, "host", resolution->host);
	(void)dns->json->set_text(data, "transport", resolution->transport ? resolution->transport : "");
	(void)dns->json->set_text(data, "reason",
				  result == PBX_ENOENT     ? "not_found"
				  : result == PBX_ETIMEOUT ? "no_answer"
							   : "server_failed");
	(void)dns->bus->publish(dns->host, "dns.resolve_failed", (pbx_call){ 0 }, data);
}

/* Those that answer first, then those that just did not, last those that have not for long; otherwise as DNS and chance have it. */
static uint32_t list_candidates(struct resolution *resolution, struct pbx_sip_candidate *ret_rows)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < resolution->found_count; i++) {
		const struct found *found = &resolution->found[i];
		const struct target *target = target_find(resolution->dns, found->address, found->port, found->transport);

		resolution->found[i].rank = target ? target->state : TARGET_UP;
	}
	for (uint32_t rank = TARGET_UP; rank <= TARGET_DOWN; rank++) {
		for (uint32_t i = 0; i < resolution->found_count; i++) {
			const struct found *found = &resolution->found[i];

			if (found->rank == rank)
				ret_rows[count++] = (struct pbx_sip_candidate){ .address = found->address,
										.port = found->port,
										.transport = found->transport,
										.tls_name = resolution->host,
										.target = found->target };
		}
	}
	for (uint32_t i = 0; i < count; i++)
		(void)target_use(resolution->dns, &ret_rows[i]); /* without memory its health is not known: it counts as up */
	return count;
}

static void finish(struct resolution *resolution)
{
	struct dns *dns = resolution->dns;
	struct pbx_sip_candidate rows[DNS_MOST_CANDIDATES];
	const struct pbx_table table = { .rows = rows, .count = list_candidates(resolution, rows), .row_size = sizeof rows[0] };
	const int result = table.count ? PBX_OK : worst_result(resolution);

	(void)dns->metrics->observe(dns->host, METRIC_SECONDS, NULL,
				    (double)(dns->host->now_ms(dns->host) - resolution->began_at_ms) / 1000.0);
	if (result != PBX_OK && resolution->has_asked)
		tell_failure(resolution, result);
	resolution->done(resolution->context, result, &table);
	resolution_free(resolution);
}

/* Ends with nothing pending, or with the answer given and the resolution gone. */
static void go(struct resolution *resolution)
{
	resolution->is_walking = true;
	do {
		resolution->misses = false;
		walk(resolution);
	} while (resolution->misses && !resolution->pending);
	resolution->is_walking = false;
	if (!resolution->pending)
		finish(resolution);
}

static void on_taken(void *context, struct known *known)
{
	struct resolution *resolution = context;

	resolution->pending--;
	resolution->no_memory |= !known;
	if (known)
		resolution->answers[resolution->answer_count++] = known;
	if (!resolution->pending && !resolution->is_walking)
		go(resolution);
}

int dns_resolve(void *self, const struct pbx_sip_where *where, void (*done)(void *context, int result, const struct pbx_table *candidates),
		void *context)
{
	struct dns *dns = self;
	const struct transport *transport = transport_of(where->transport);
	struct resolution *resolution;

	if (dns->stopping || dns->under_way >= DNS_MOST_UNDER_WAY)
		return PBX_ENOSPC;
	resolution = calloc(1, sizeof *resolution);
	if (!resolution)
		return PBX_ENOMEM;
	resolution->dns = dns;
	resolution->done = done;
	resolution->context = context;
	resolution->transport = transport ? transport->name : NULL;
	resolution->port = where->port;
	resolution->secure = where->secure;
	resolution->began_at_ms = dns->host->now_ms(dns->host);
	resolution->next = dns->resolutions;
	dns->resolutions = resolution;
	dns->under_way++;
	if (!dns_name_check(where->host, resolution->host) || (where->transport[0] && !transport))
		finish(resolution);
	else
		go(resolution);
	return PBX_OK;
}

void resolutions_cancel(struct dns *dns)
{
	const struct pbx_table none = { 0 };

	while (dns->resolutions) {
		struct resolution *resolution = dns->resolutions;

		resolution->done(resolution->context, PBX_ECANCELLED, &none);
		resolution_free(resolution);
	}
}
