/*
 * question - one question at a time for each name and type, and everybody who waits for its answer
 *
 * An answer within its time comes from the cache. Past it a server is asked; when none answers, the old one serves on (RFC 8767): at once while
 * servers were found dead a moment ago, after 1.8 s while they are slow. Nothing (RFC 2308) and failures are kept for a while, too.
 */
#include "dns.h"
#include <stdlib.h>
#include <string.h>

#define STALE_AFTER_MS 1800u  /* RFC 8767 5: the client response timer */
#define STALE_RETRY_MS 30000u /* and how long servers are then left alone */
#define FAILURE_MS 5000u      /* a failure with nothing to fall back on */
#define NOTHING_WITHOUT_SOA_MS 5000u

struct waiter {
	struct waiter *next;
	dns_take_fn take;
	void *context;
};

struct question {
	struct question *next;
	struct dns *dns;
	char name[DNS_NAME];
	uint16_t type;
	struct waiter *waiters;
	pbx_timer patience; /* of those who could have an old answer */
	struct hosts_job hosts;
};

static void question_free(struct question *question)
{
	struct question **at = &question->dns->questions;

	while (*at != question)
		at = &(*at)->next;
	*at = question->next;
	(void)question->dns->timers->stop(question->patience); /* none, or it has fired: as good */
	free(question);
}

static void count_question(struct dns *dns, const char *outcome)
{
	(void)dns->metrics->add(dns->host, METRIC_QUESTIONS, outcome, 1);
}

/* ---- the answer goes to whom it may concern -------------------------------------------------- */

static void tell(struct question *question, struct known *known)
{
	while (question->waiters) { /* who is told may ask again: then it is told again */
		struct waiter *waiter = question->waiters;

		question->waiters = waiter->next;
		waiter->take(waiter->context, known ? known_ref(known) : NULL);
		free(waiter);
	}
}

static void serve_stale(struct dns *dns, struct known *known)
{
	dns->stale++;
	(void)dns->metrics->add(dns->host, METRIC_STALE, NULL, 1);
	pbx_debug(dns->host, "stale_answer", "name=%s", known->name);
}

static void finish(struct question *question, struct known *known)
{
	struct dns *dns = question->dns;

	if (known && !dns->stopping)
		cache_put(dns, known);
	tell(question, known);
	known_unref(known);
	question_free(question);
}

/* No server said anything: what we knew serves on, if it may. */
static void fail(struct question *question, int result, const char *why)
{
	struct dns *dns = question->dns;
	const uint64_t now_ms = dns->host->now_ms(dns->host);
	struct known *known = cache_find(dns, question->name, question->type);

	count_question(dns, "failed");
	pbx_info(dns->host, "question_failed", "name=%s type=%u reason=\"%s\"", question->name, question->type, why);
	if (known && known_may_serve_stale(dns, known)) {
		known->ask_again_at_ms = now_ms + STALE_RETRY_MS;
		if (question->waiters)
			serve_stale(dns, known);
		tell(question, known);
		question_free(question);
		return;
	}
	known = known_new(question->name, question->type, result, 0);
	if (known)
		known->expires_at_ms = now_ms + FAILURE_MS;
	finish(question, known);
}

static void keep(struct question *question, const struct dns_answer *answer)
{
	struct dns *dns = question->dns;
	const bool found = answer->outcome == DNS_FOUND;
	const uint64_t now_ms = dns->host->now_ms(dns->host);
	struct known *known = known_new(question->name, question->type, found ? PBX_OK : PBX_ENOENT, answer->count);
	uint64_t ttl_s = answer->ttl_s;

	count_question(dns, found ? "found" : "nothing");
	if (known) {
		memcpy(known->records, answer->records, answer->count * sizeof answer->records[0]);
		if (ttl_s < dns->settings->min_ttl_s)
			ttl_s = dns->settings->min_ttl_s;
		if (ttl_s > dns->settings->max_ttl_s)
			ttl_s = dns->settings->max_ttl_s;
		known->expires_at_ms = now_ms + (found || answer->ttl_s ? ttl_s * 1000 : NOTHING_WITHOUT_SOA_MS);
		known->stale_until_ms = known->expires_at_ms + (uint64_t)dns->settings->serve_stale_s * 1000;
	}
	finish(question, known);
}

/* ---- servers -------------------------------------------------------------------------------- */

static void on_answer(void *context, int status, int timeouts, unsigned char *bytes, int size)
{
	struct question *question = context;
	struct dns *dns = question->dns;
	struct dns_answer answer;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION && dns->channel && !dns->stopping) {
		channel_ask(dns, question->name, question->type, on_answer, question);
		return;
	}
	answer.outcome = DNS_BROKEN;
	if (bytes && size > 0)
		dns_answer_read(bytes, (size_t)size, question->name, question->type, &answer);
	if (answer.outcome == DNS_FOUND || answer.outcome == DNS_NOTHING)
		keep(question, &answer);
	else
		fail(question, status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED ? PBX_ETIMEOUT : PBX_EIO,
		     status == ARES_SUCCESS ? "a broken answer" : ares_strerror(status));
}

static void on_hosts_read(void *self, void *job, int status)
{
	struct dns *dns = self;
	struct question *question = ((struct hosts_job *)job)->question;
	const struct hosts_job *hosts = &question->hosts;
	struct dns_answer answer = { .outcome = DNS_FOUND, .ttl_s = 0, .count = hosts->count };

	if (status != PBX_OK || dns->stopping) {
		finish(question, NULL);
		return;
	}
	if (!hosts->count) {
		channel_ask(dns, question->name, question->type, on_answer, question);
		return;
	}
	for (uint32_t i = 0; i < hosts->count; i++)
		memcpy(answer.records[i].address, hosts->addresses[i], sizeof hosts->addresses[i]);
	keep(question, &answer);
}

static void on_impatient(void *self, pbx_timer timer)
{
	struct question *question = self;
	struct known *known = cache_find(question->dns, question->name, question->type);

	(void)timer;
	question->patience.id = 0;
	if (!known || !known_may_serve_stale(question->dns, known))
		return;
	known->ask_again_at_ms = question->dns->host->now_ms(question->dns->host) + STALE_RETRY_MS;
	if (question->waiters)
		serve_stale(question->dns, known);
	tell(question, known); /* the question goes on: what it brings takes the old one's place */
}

static void put_question(struct question *question)
{
	struct dns *dns = question->dns;
	const bool is_address = question->type == DNS_A || question->type == DNS_AAAA;

	if (cache_find(dns, question->name, question->type))
		(void)dns->timers->start(dns->host, STALE_AFTER_MS, 0, on_impatient, question, &question->patience);
	question->hosts.question = question;
	question->hosts.type = question->type;
	memcpy(question->hosts.name, question->name, sizeof question->hosts.name);
	if (!is_address || dns->host->work(dns->host, hosts_read, on_hosts_read, &question->hosts) != PBX_OK)
		channel_ask(dns, question->name, question->type, on_answer, question);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct question *find(struct dns *dns, const char *name, uint16_t type)
{
	for (struct question *question = dns->questions; question; question = question->next)
		if (question->type == type && strcmp(question->name, name) == 0)
			return question;
	return NULL;
}

static bool from_cache(struct dns *dns, const char *name, uint16_t type, struct known **ret_known)
{
	struct known *known = cache_find(dns, name, type);
	bool fresh = known && known_is_fresh(dns, known);

	dns->lookups++;
	(void)dns->metrics->add(dns->host, METRIC_LOOKUPS, NULL, 1);
	if (!known || (!fresh && (dns->host->now_ms(dns->host) >= known->ask_again_at_ms || !known_may_serve_stale(dns, known))))
		return false;
	dns->hits++;
	(void)dns->metrics->add(dns->host, METRIC_HITS, NULL, 1);
	if (!fresh)
		serve_stale(dns, known);
	*ret_known = known_ref(known);
	return true;
}

int question_ask(struct dns *dns, dns_take_fn take, void *context, const char *name, uint16_t type, struct known **ret_known)
{
	if (from_cache(dns, name, type, ret_known))
		return QUESTION_NOW;

	struct question *question = find(dns, name, type);
	struct waiter *waiter = calloc(1, sizeof *waiter);
	const bool is_new = !question;
	if (waiter && is_new)
		question = calloc(1, sizeof *question);
	if (!waiter || !question) {
		free(waiter);
		return PBX_ENOMEM;
	}
	waiter->take = take;
	waiter->context = context;
	waiter->next = question->waiters;
	question->waiters = waiter;
	if (!is_new)
		return QUESTION_LATER;
	question->dns = dns;
	question->type = type;
	(void)snprintf(question->name, sizeof question->name, "%s", name);
	question->next = dns->questions;
	dns->questions = question;
	put_question(question);
	return QUESTION_LATER;
}

void questions_forget_waiters(struct dns *dns)
{
	for (struct question *question = dns->questions; question; question = question->next) {
		while (question->waiters) {
			struct waiter *waiter = question->waiters;

			question->waiters = waiter->next;
			free(waiter);
		}
	}
}
