/*
 * target - which of the addresses we gave out answer
 *
 *                silence, broken                    max_failures in a row
 *   up ──────────────────────────▶ suspect ──────────────────────────────▶ down
 *    ▲    503 (counts, no more)       │                                      │
 *    └──── any answer but 503 ────────┴──────────────────────────────────────┘
 *
 * Who is suspect or down comes behind those that are up, so one call finds out and the next ones do not wait. A suspect is asked by OPTIONS at
 * once and every two seconds until it is one or the other; who is down, every check_interval_s.
 */
#include "dns.h"
#include <stdlib.h>
#include <string.h>

#define SUSPECT_MS 2000u
#define PROBE_MS 2000u
#define NO_ANSWER 408u
#define UNAVAILABLE 503u

static void schedule(struct target *target, uint64_t after_ms);

const char *target_state_name(enum target_state state)
{
	static const char *const names[] = { "up", "suspect", "down" };

	return names[state];
}

/* ---- finding and forgetting ------------------------------------------------------------- */

static struct target **place_of(struct dns *dns, const char *address, uint32_t port, const char *transport)
{
	struct target **at = &dns->targets[dns_hash(address, port)];

	while (*at && ((*at)->port != port || strcmp((*at)->address, address) != 0 || strcmp((*at)->transport, transport) != 0))
		at = &(*at)->next;
	return at;
}

struct target *target_find(struct dns *dns, const char *address, uint32_t port, const char *transport)
{
	return *place_of(dns, address, port, transport);
}

static void unlink_use(struct target *target)
{
	struct dns *dns = target->dns;

	*(target->newer ? &target->newer->older : &dns->newest_target) = target->older;
	*(target->older ? &target->older->newer : &dns->oldest_target) = target->newer;
}

static void link_newest(struct target *target)
{
	struct dns *dns = target->dns;

	target->newer = NULL;
	target->older = dns->newest_target;
	*(dns->newest_target ? &dns->newest_target->newer : &dns->oldest_target) = target;
	dns->newest_target = target;
}

static void count_down(struct dns *dns, int by)
{
	dns->down_count = (uint32_t)((int)dns->down_count + by);
	(void)dns->metrics->set(dns->host, METRIC_DOWN, NULL, dns->down_count);
}

static void target_free(struct target *target)
{
	struct dns *dns = target->dns;

	*place_of(dns, target->address, target->port, target->transport) = target->next;
	unlink_use(target);
	dns->target_count--;
	free(target);
}

/* Room for one more: the one unused for longest goes, of those that nothing is about to be told to. */
static void make_room(struct dns *dns)
{
	struct target *target = dns->oldest_target;

	while (target && (target->is_asked || target->timer.id))
		target = target->newer;
	if (target)
		target_free(target);
}

struct target *target_use(struct dns *dns, const struct pbx_sip_candidate *candidate)
{
	struct target **at = place_of(dns, candidate->address, candidate->port, candidate->transport), *target = *at;

	if (target) {
		unlink_use(target);
	} else {
		target = calloc(1, sizeof *target);
		if (!target)
			return NULL;
		target->dns = dns;
		target->port = candidate->port;
		target->since_wall_us = dns->host->wall_us(dns->host);
		(void)snprintf(target->address, sizeof target->address, "%s", candidate->address);
		(void)snprintf(target->transport, sizeof target->transport, "%s", candidate->transport);
		*at = target;
		dns->target_count++;
	}
	(void)snprintf(target->name, sizeof target->name, "%s", candidate->target);
	(void)snprintf(target->domain, sizeof target->domain, "%s", candidate->tls_name);
	target->used_at_ms = dns->host->now_ms(dns->host);
	link_newest(target);
	if (dns->target_count > DNS_MOST_TARGETS)
		make_room(dns);
	return target;
}

void targets_free(struct dns *dns)
{
	while (dns->oldest_target)
		target_free(dns->oldest_target);
}

/* ---- up and down ------------------------------------------------------------------------ */

static struct pbx_json *facts(const struct target *target)
{
	const struct pbx_jsons *json = target->dns->json;
	struct pbx_json *data = json->new_object();

	(void)json->set_text(data, "address", target->address);
	(void)json->set_integer(data, "port", target->port);
	(void)json->set_text(data, "transport", target->transport);
	(void)json->set_text(data, "target", target->name);
	(void)json->set_text(data, "domain", target->domain);
	return data;
}

static void set_state(struct target *target, enum target_state state)
{
	struct dns *dns = target->dns;

	if (target->state == state)
		return;
	count_down(dns, (state == TARGET_DOWN) - (target->state == TARGET_DOWN));
	target->state = state;
	target->since_wall_us = dns->host->wall_us(dns->host);
}

static void go_down(struct target *target, const char *why)
{
	struct dns *dns = target->dns;
	struct pbx_json *data = facts(target);

	set_state(target, TARGET_DOWN);
	target->down_at_ms = dns->host->now_ms(dns->host);
	dns->failovers++;
	(void)dns->metrics->add(dns->host, METRIC_FAILOVERS, NULL, 1);
	(void)dns->json->set_integer(data, "failures", target->failures);
	(void)dns->json->set_text(data, "reason", why);
	(void)dns->bus->publish(dns->host, "dns.target_down", (pbx_call){ 0 }, data);
	pbx_warn(dns->host, "target_down", "address=%s port=%u transport=%s domain=%s failures=%u reason=%s", target->address, target->port,
		 target->transport, target->domain, target->failures, why);
}

static void take_success(struct target *target, const char *seen_by)
{
	struct dns *dns = target->dns;
	const bool was_down = target->state == TARGET_DOWN;
	struct pbx_json *data;

	target->failures = 0;
	set_state(target, TARGET_UP);
	if (!target->is_asked) {
		(void)dns->timers->stop(target->timer); /* none, or it has fired */
		target->timer.id = 0;
	}
	if (!was_down)
		return;
	data = facts(target);
	(void)dns->json->set_integer(data, "down_s", (int64_t)((dns->host->now_ms(dns->host) - target->down_at_ms) / 1000));
	(void)dns->json->set_text(data, "seen_by", seen_by);
	(void)dns->bus->publish(dns->host, "dns.target_up", (pbx_call){ 0 }, data);
	pbx_notice(dns->host, "target_up", "address=%s port=%u transport=%s domain=%s seen_by=%s", target->address, target->port,
		   target->transport, target->domain, seen_by);
}

/* One more failure in a row. is_grave: nobody there, not just too busy. */
static void take_failure(struct target *target, bool is_grave, const char *why)
{
	target->failures++;
	if (target->state == TARGET_DOWN)
		return;
	if (target->failures >= target->dns->settings->max_failures)
		go_down(target, why);
	else if (is_grave)
		set_state(target, TARGET_SUSPECT);
}

void dns_report(void *self, const char *address, uint32_t port, const char *transport, uint32_t outcome)
{
	struct dns *dns = self;
	struct target *target = target_find(dns, address, port, transport);

	if (!target)
		return; /* not from us, or forgotten */
	target->tries++;
	if (outcome == PBX_SIP_TRIED_OK) {
		take_success(target, "request");
		return;
	}
	target->failed_tries++;
	take_failure(target, outcome != PBX_SIP_TRIED_REFUSED,
		     outcome == PBX_SIP_TRIED_SILENT    ? "no_answer"
		     : outcome == PBX_SIP_TRIED_REFUSED ? "unavailable"
							: "transport");
	if (target->state != TARGET_UP && !target->timer.id && !target->is_asked)
		schedule(target, 0);
}

/* ---- asking ----------------------------------------------------------------------------- */

static void ask_again(struct target *target)
{
	if (target->state == TARGET_UP)
		return;
	schedule(target, target->state == TARGET_DOWN ? target->dns->settings->check_interval_s * 1000u : SUSPECT_MS);
}

static void on_probed(void *self, uint32_t sip_code, uint32_t took_ms)
{
	struct target *target = self;

	(void)took_ms;
	target->is_asked = false;
	if (target->dns->stopping)
		return;
	if (sip_code && sip_code != NO_ANSWER && sip_code != UNAVAILABLE)
		take_success(target, "probe");
	else if (target->state != TARGET_UP) /* a call was faster */
		take_failure(target, true, sip_code == UNAVAILABLE ? "unavailable" : "no_answer");
	ask_again(target);
}

static void on_turn(void *self, pbx_timer timer)
{
	struct target *target = self;
	struct dns *dns = target->dns;

	(void)timer;
	target->timer.id = 0;
	if (dns->host->now_ms(dns->host) - target->used_at_ms > DNS_FORGET_MS) {
		set_state(target, TARGET_UP); /* whoever asks for it next finds out */
		target_free(target);
		return;
	}
	target->is_asked = true;
	int err = dns->probe->ask_named ? dns->probe->ask_named(dns->host, target->address, target->port, target->transport, target->domain,
								PROBE_MS, on_probed, target)
					: PBX_ENOTSUP;
	if (err == PBX_OK)
		return;
	target->is_asked = false;
	if (err == PBX_EIO || err == PBX_EINVAL)
		take_failure(target, true, "transport");
	else if (err == PBX_ENOTSUP)
		set_state(target, TARGET_UP); /* nobody here can ask: the next call does */
	ask_again(target);
}

static void schedule(struct target *target, uint64_t after_ms)
{
	struct dns *dns = target->dns;

	if (!dns->probe->ask_named)
		after_ms = dns->settings->check_interval_s * 1000u;
	if (dns->timers->start(dns->host, after_ms, 0, on_turn, target, &target->timer) != PBX_OK)
		set_state(target, TARGET_UP); /* without memory to come back to it */
}
