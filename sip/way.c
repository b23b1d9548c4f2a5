/*
 * way.c - from a peer to the addresses where it is to be tried
 *
 * A number is its own answer. A name is put to pbx.sip_resolver/1 when somebody offers it (NAPTR, SRV, their order and their health are
 * its matter), else to the system's resolver, in the pool. Whoever asked may have gone when the answer comes: a search outlives its asker.
 */
#include "overlap.h"
#include "way.h"
#include "address.h"
#include "contact.h"
#include "host.h"
#include "loop.h"
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct ua_search {
	struct ua_peer *peer;
	ua_way_fn done; /* NULL: cancelled */
	void *context;
	struct ua_search **handle;
	char host[256], transport[5];
	uint32_t port;
	/* of the system's resolver */
	int failure;
	struct ua_way way;
};

static uint16_t port_of(const char *transport)
{
	return strcmp(transport, "tls") == 0 ? 5061 : 5060;
}

static void way_add(struct ua_way *way, const struct core_addr *addr, uint32_t port, const char *transport, const char *tls_name)
{
	struct ua_candidate *candidate = &way->candidates[way->count];

	if (way->count == UA_MOST_CANDIDATES)
		return;
	memset(candidate, 0, sizeof *candidate);
	candidate->addr = *addr;
	(void)snprintf(candidate->transport, sizeof candidate->transport, "%.4s", transport[0] ? transport : "udp");
	candidate->addr.in4.sin_port = htons((uint16_t)(port ? port : port_of(candidate->transport))); /* the same place in both families */
	core_address_print(&candidate->addr, candidate->host, sizeof candidate->host);
	if (strcmp(candidate->transport, "tls") == 0)
		(void)snprintf(candidate->tls_name, sizeof candidate->tls_name, "%s", tls_name);
	way->count++;
}

static void learn(const struct ua_search *search)
{
	struct core_addr addresses[UA_MOST_CANDIDATES];

	for (uint32_t i = 0; i < search->way.count; i++)
		addresses[i] = search->way.candidates[i].addr;
	ua_peer_learn(search->peer, addresses, search->way.count);
}

static void search_over(struct ua_search *search, int result)
{
	if (result == PBX_OK && search->way.count == 0)
		result = PBX_ENOENT;
	if (result == PBX_OK)
		learn(search);
	if (search->done) {
		*search->handle = NULL;
		search->done(search->context, result, &search->way);
	}
	ua_peer_unref(search->peer);
	free(search);
}

/* ---- by a plugin ---------------------------------------------------------------------- */

static void on_candidates(void *context, int result, const struct pbx_table *table)
{
	struct ua_search *search = context;

	for (uint32_t i = 0; result == PBX_OK && i < table->count; i++) {
		struct pbx_sip_candidate candidate = { 0 };
		struct core_addr addr;

		core_copy_overlap(&candidate, sizeof candidate, (const char *)table->rows + (size_t)i * table->row_size, table->row_size);
		if (candidate.address && ua_address_parse(candidate.address, &addr))
			way_add(&search->way, &addr, candidate.port, candidate.transport ? candidate.transport : "",
				candidate.tls_name ? candidate.tls_name : search->host);
	}
	search_over(search, result);
}

/* ---- by the system -------------------------------------------------------------------- */

/* [work] */
static void look_up(void *job)
{
	struct ua_search *search = job;
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list = NULL;

	search->failure = getaddrinfo(search->host, NULL, &hints, &list);
	for (const struct addrinfo *each = search->failure ? NULL : list; each; each = each->ai_next) {
		struct core_addr addr = { .sa.sa_family = AF_UNSPEC };

		if (each->ai_addrlen <= sizeof addr) {
			memcpy(&addr, each->ai_addr, each->ai_addrlen);
			way_add(&search->way, &addr, search->port, search->transport, search->host);
		}
	}
	if (list)
		freeaddrinfo(list);
}

static void on_looked_up(void *context, void *job, int status)
{
	struct ua_search *search = job;

	(void)context;
	search_over(search, status != PBX_OK                ? PBX_EIO
			    : search->failure == EAI_AGAIN  ? PBX_ETIMEOUT
			    : search->failure == EAI_MEMORY ? PBX_ENOMEM
			    : search->failure               ? PBX_ENOENT
							    : PBX_OK);
}

/* ---- the question --------------------------------------------------------------------- */

/* The peer's own host, or its outbound proxy's. */
static bool read_goal(struct ua_search *search)
{
	const struct pbx_sip_peer *is = &search->peer->is;
	su_home_t home[1] = { SU_HOME_INIT(home) };
	bool good = true;

	(void)snprintf(search->host, sizeof search->host, "%s", is->host);
	(void)snprintf(search->transport, sizeof search->transport, "%.4s", is->transport);
	search->port = is->port;
	if (!is->proxy[0])
		return true;
	(void)su_home_init(home);
	const url_t *url = url_make(home, is->proxy);
	char transport[8] = "";

	good = url && url->url_host && url->url_host[0];
	if (good) {
		(void)snprintf(search->host, sizeof search->host, "%s", url->url_host);
		search->port = url->url_port ? (uint32_t)strtoul(url->url_port, NULL, 10) : 0;
		if (ua_param(url->url_params, ";", "transport", transport, sizeof transport) && transport[0])
			(void)snprintf(search->transport, sizeof search->transport, "%.4s", transport);
	}
	su_home_deinit(home);
	return good;
}

void ua_way_find(struct ua_peer *peer, ua_way_fn done, void *context, struct ua_search **ret_search)
{
	struct ua_search *search = calloc(1, sizeof *search);
	const struct pbx_sip_resolver *resolver = core_host_service("pbx.sip_resolver/1", (uint32_t)sizeof *resolver);
	struct core_addr addr;

	*ret_search = NULL;
	if (!search) {
		done(context, PBX_ENOMEM, NULL);
		return;
	}
	search->peer = ua_peer_ref(peer);
	search->done = done;
	search->context = context;
	search->handle = ret_search;
	if (!read_goal(search)) {
		search_over(search, PBX_EINVAL);
		return;
	}
	if (ua_address_parse(search->host, &addr)) {
		way_add(&search->way, &addr, search->port, search->transport, "");
		search_over(search, PBX_OK);
		return;
	}
	*ret_search = search;
	if (resolver->resolve) {
		const struct pbx_sip_where where = { .size = sizeof where,
						     .host = search->host,
						     .port = search->port,
						     .transport = search->transport,
						     .secure = strcmp(search->transport, "tls") == 0 };
		int err = resolver->resolve(resolver->self, &where, on_candidates, search);
		if (err != PBX_OK)
			search_over(search, err);
		return;
	}
	if (core_work(ua_part->host, look_up, on_looked_up, NULL, search) != PBX_OK)
		search_over(search, PBX_ENOMEM);
}

void ua_way_cancel(struct ua_search *search)
{
	if (search)
		search->done = NULL;
}

void ua_way_report(const struct ua_candidate *candidate, uint32_t outcome)
{
	const struct pbx_sip_resolver *resolver = core_host_service("pbx.sip_resolver/1", (uint32_t)sizeof *resolver);
	char host[64];

	core_address_print_host(&candidate->addr, host, sizeof host);
	if (resolver->report)
		resolver->report(resolver->self, host, ua_address_port(&candidate->addr), candidate->transport, outcome);
}

void ua_way_route(const struct ua_candidate *candidate, char *ret_url, size_t size)
{
	char address[64];

	if (!candidate->tls_name[0]) {
		(void)snprintf(ret_url, size, "sip:%s;transport=%s", candidate->host, candidate->transport);
		return;
	}
	core_address_print_host(&candidate->addr, address, sizeof address);
	(void)snprintf(ret_url, size, "sip:%s:%u;transport=%s;maddr=%s%s%s", candidate->tls_name, ua_address_port(&candidate->addr),
		       candidate->transport, strchr(address, ':') ? "[" : "", address, strchr(address, ':') ? "]" : "");
}
