/*
 * enum - from a telephone number to a SIP address by DNS (RFC 6116)
 *
 * +4930123 is 3.2.1.0.3.9.4 under each of enum_domains, in their order: its NAPTR records by order and preference, the first whose rule makes a
 * SIP address of the number. A record that leads to another name instead is followed, MOST_HOPS times. Answers come from the cache as all others.
 */
#include "dns.h"
#include "enum_rule.h"
#include <stdlib.h>
#include <string.h>

#define MOST_HOPS 3u

struct enum_search {
	struct enum_search *next;
	struct dns *dns;
	char number[ENUM_NUMBER], name[DNS_NAME], domain[DNS_NAME];
	uint32_t domain_at, hops; /* domain_at: the next one */
	int worst;
	bool is_asking, is_told;
	struct known *told; /* while we were asking */
	enum_fn done;
	void *context;
};

static void finish(struct enum_search *search, int result, const char *uri)
{
	struct dns *dns = search->dns;
	struct enum_search **at = &dns->enum_searches;

	while (*at != search)
		at = &(*at)->next;
	*at = search->next;
	dns->under_way--;
	search->done(search->context, result, search->number, search->domain, uri);
	free(search);
}

/* The next record by order and preference behind this one; NULL: there is none. Records of one place stay as they came. */
static const struct dns_record *next_record(const struct known *known, const struct dns_record *last)
{
	const struct dns_record *best = NULL;
	uint64_t after = last ? ((uint64_t)last->priority << 32 | (uint64_t)last->weight << 16 | (uint64_t)(last - known->records)) : 0;
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < known->count; i++) {
		uint64_t place = (uint64_t)known->records[i].priority << 32 | (uint64_t)known->records[i].weight << 16 | i;

		if ((last && place <= after) || place >= least)
			continue;
		least = place;
		best = &known->records[i];
	}
	return best;
}

/* A rule that ends with a name and goes on there (RFC 6116 3.4.3). */
static bool leads_on(const struct dns_record *record)
{
	return !record->flag && !record->regexp[0] && record->name[0];
}

/* True: there is another name to ask for, or an address. */
static bool read_records(struct enum_search *search, const struct known *known, char ret_uri[ENUM_URI])
{
	for (const struct dns_record *record = next_record(known, NULL); record; record = next_record(known, record)) {
		if (leads_on(record) && search->hops++ < MOST_HOPS) {
			memcpy(search->name, record->name, sizeof search->name);
			return true;
		}
		if (record->flag == 'u' && enum_service_is_sip(record->service) && enum_rule_apply(record->regexp, search->number, ret_uri))
			return true;
	}
	return false;
}

/* The number under the next domain. False: there are no more. */
static bool next_domain(struct enum_search *search)
{
	const struct pbx_list *domains = &search->dns->settings->enum_domains;

	while (search->domain_at < domains->count) {
		const char *domain = domains->items[search->domain_at++];

		search->hops = 0;
		if (!dns_name_check(domain, search->domain))
			continue;
		if (enum_name(search->number, search->domain, search->name, sizeof search->name))
			return true;
	}
	return false;
}

/* What there is about the name that was asked for. True: ask on. */
static bool take(struct enum_search *search, const struct known *known)
{
	char uri[ENUM_URI] = "";

	if (!known) {
		finish(search, PBX_ENOMEM, "");
		return false;
	}
	if (known->result != PBX_OK && known->result != PBX_ENOENT)
		search->worst = known->result;
	if (known->result == PBX_OK && read_records(search, known, uri)) {
		if (uri[0])
			finish(search, PBX_OK, uri);
		return !uri[0];
	}
	if (next_domain(search))
		return true;
	finish(search, search->worst, "");
	return false;
}

static void go(struct enum_search *search);

static void on_told(void *context, struct known *known)
{
	struct enum_search *search = context;

	search->told = known;
	search->is_told = true;
	if (search->is_asking)
		return; /* go sees it */
	search->is_told = false;
	if (take(search, known))
		go(search);
	known_unref(known);
}

static void go(struct enum_search *search)
{
	for (bool more = true; more;) {
		struct known *known = NULL;

		search->is_asking = true;
		int err = question_ask(search->dns, on_told, search, search->name, DNS_NAPTR, &known);
		search->is_asking = false;
		if (err == QUESTION_LATER && !search->is_told)
			return;
		if (search->is_told)
			known = search->told;
		search->is_told = false;
		more = take(search, known); /* NULL: no memory */
		known_unref(known);
	}
}

int enum_find(struct dns *dns, const char *number, enum_fn done, void *context)
{
	struct enum_search *search;

	if (dns->stopping || dns->under_way >= DNS_MOST_UNDER_WAY)
		return PBX_ENOSPC;
	search = calloc(1, sizeof *search);
	if (!search)
		return PBX_ENOMEM;
	search->dns = dns;
	search->worst = PBX_ENOENT;
	search->done = done;
	search->context = context;
	search->next = dns->enum_searches;
	dns->enum_searches = search;
	dns->under_way++;
	if (!enum_number_read(number, search->number))
		finish(search, PBX_EINVAL, "");
	else if (!next_domain(search))
		finish(search, PBX_ENOENT, "");
	else
		go(search);
	return PBX_OK;
}

void enum_cancel(struct dns *dns)
{
	while (dns->enum_searches)
		finish(dns->enum_searches, PBX_ECANCELLED, "");
}
