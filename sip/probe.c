/*
 * probe.c - asks an address whether a SIP server answers there
 *
 * One OPTIONS (RFC 3261 11) outside any dialog, from the sockets that calls use, so that a server that knows us by address and port knows this too.
 * What it answers is told as it is: whether a 503 is a sign of life is the asker's to say. A probe is charged to who asks.
 */
#include "probe.h"
#include "address.h"
#include "agent.h"
#include "loop.h"
#include "host.h"
#include "owner.h"
#include "timer.h"
#include "tls.h"
#include "way.h"
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PROBES 1000u
#define TIMEOUT_MS 4000u

struct probe {
	struct core_charge charge; /* first: a charge is its probe */
	struct probe *next;
	nta_leg_t *leg; /* Sofia wants one, and one without a dialog would take what others ask us */
	nta_outgoing_t *out;
	pbx_timer timer;
	uint64_t asked_at_us;
	void (*done)(void *self, uint32_t sip_code, uint32_t took_ms);
	void *self;
};

static struct {
	struct ua *ua; /* NULL: signalling is not up */
	struct probe *probes;
	uint32_t count;
} all;

static void probe_free(struct probe *probe)
{
	struct probe **at = &all.probes;

	while (*at && *at != probe)
		at = &(*at)->next;
	if (*at) {
		*at = probe->next;
		all.count--;
	}
	core_charge_remove(&probe->charge);
	(void)core_timer_stop(probe->timer); /* or it has fired: as good */
	if (probe->out)
		nta_outgoing_destroy(probe->out);
	if (probe->leg)
		nta_leg_destroy(probe->leg);
	free(probe);
}

static void on_revoked(struct core_charge *charge)
{
	probe_free((struct probe *)charge);
}

static void finish(struct probe *probe, uint32_t sip_code)
{
	struct pbx_host *owner = probe->charge.owner;
	const uint32_t took_ms = (uint32_t)((core_now_us() - probe->asked_at_us) / 1000);
	void (*done)(void *self, uint32_t sip_code, uint32_t took_ms) = probe->done;
	void *self = probe->self;

	probe_free(probe);
	CORE_INTO(owner, done(self, sip_code, took_ms));
}

/* Sofia's type for what it hands back is a dialog's; here it is a probe. */
static int on_answer(struct ua_dialog *context, nta_outgoing_t *out, const sip_t *sip)
{
	struct probe *probe = (struct probe *)context;
	const int status = nta_outgoing_status(out);

	(void)sip;
	if (status >= 200) /* without a delay there was no answer: the 408 or 503 is Sofia's own */
		finish(probe, nta_outgoing_delay(out) == UINT_MAX ? 0 : (uint32_t)status);
	return 0;
}

static void on_timeout(void *self, pbx_timer timer)
{
	(void)timer;
	finish(self, 0);
}

/* The OPTIONS itself. */
static bool send_options(struct probe *probe, const struct ua_candidate *goal)
{
	const struct ua *ua = all.ua;
	const struct core_addr *peer = &goal->addr;
	const char *hostport = goal->host, *transport = goal->transport;
	char uri[120], to[130], here[72], contact[100], from[160], route[UA_WAY_ROUTE];

	ua_way_route(goal, route, sizeof route);
	(void)snprintf(uri, sizeof uri, "sip:%s;transport=%s", hostport, transport);
	(void)snprintf(to, sizeof to, "<sip:%s>", hostport);
	(void)snprintf(from, sizeof from, "<sip:%s>", ua->settings->domain);
	const char *ident = ua_listener_towards(ua, transport, peer);
	ua_agent_contact(ua, ident, peer, transport, here, sizeof here);
	(void)snprintf(contact, sizeof contact, "<sip:%s>", here);
	probe->leg = nta_leg_tcreate(ua->agent, NULL, NULL, SIPTAG_FROM_STR(from), SIPTAG_TO_STR(to), TAG_END());
	ua_tls_calls(goal->tls_name);
	if (probe->leg && nta_leg_tag(probe->leg, NULL))
		probe->out =
			nta_outgoing_tcreate(probe->leg, on_answer, (struct ua_dialog *)probe, ua_url(route), SIP_METHOD_OPTIONS,
					     ua_url(uri), SIPTAG_CONTACT_STR(contact), SIPTAG_MAX_FORWARDS_STR("70"),
					     SIPTAG_USER_AGENT_STR(ua->settings->user_agent), TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
	ua_tls_calls(NULL);
	return probe->out != NULL;
}

static bool read_goal(const char *address, uint32_t port, const char *transport, const char *tls_name, struct ua_candidate *ret_goal)
{
	bool is_tls = strcmp(transport, "tls") == 0;

	memset(ret_goal, 0, sizeof *ret_goal);
	(void)snprintf(ret_goal->host, sizeof ret_goal->host, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
	(void)snprintf(ret_goal->tls_name, sizeof ret_goal->tls_name, "%s", is_tls ? tls_name : "");
	(void)snprintf(ret_goal->transport, sizeof ret_goal->transport, "%s", transport);
	return ua_address_parse(ret_goal->host, &ret_goal->addr) && transport[0] && strlen(transport) < sizeof ret_goal->transport &&
	       strspn(transport, "abcdefghijklmnopqrstuvwxyz") == strlen(transport);
}

static int probe_ask_named(struct pbx_host *host, const char *address, uint32_t port, const char *transport, const char *tls_name,
			   uint32_t timeout_ms, void (*done)(void *self, uint32_t sip_code, uint32_t took_ms), void *self)
{
	struct ua_candidate goal;

	core_assert_loop();
	if (!all.ua || !nta_agent_tports(all.ua->agent))
		return PBX_ESTATE;
	if (!read_goal(address, port, transport, tls_name, &goal))
		return PBX_EINVAL;
	if (all.count == MOST_PROBES)
		return PBX_ENOSPC;

	struct probe *probe = calloc(1, sizeof *probe);
	if (!probe)
		return PBX_ENOMEM;
	probe->done = done;
	probe->self = self;
	probe->asked_at_us = core_now_us();
	probe->next = all.probes;
	all.probes = probe;
	all.count++;
	core_charge_add(host, &probe->charge, "probe", false, on_revoked);
	int err = core_timer_start(all.ua->host, timeout_ms ? timeout_ms : TIMEOUT_MS, 0, on_timeout, probe, &probe->timer);
	if (err == PBX_OK && !send_options(probe, &goal))
		err = PBX_EIO;
	if (err != PBX_OK)
		probe_free(probe);
	else
		ua_count(all.ua, UA_METRIC_REQUESTS, "OPTIONS,out");
	return err;
}

static int probe_ask(struct pbx_host *host, const char *address, uint32_t port, const char *transport, uint32_t timeout_ms,
		     void (*done)(void *self, uint32_t sip_code, uint32_t took_ms), void *self)
{
	return probe_ask_named(host, address, port, transport, "", timeout_ms, done, self);
}

int ua_probe_start(struct ua *ua)
{
	all.ua = ua;
	return core_host_offer("pbx.sip_probe/1", &ua_probe_service);
}

void ua_probe_stop(void)
{
	all.ua = NULL; /* who is told now cannot ask again */
	while (all.probes)
		finish(all.probes, 0);
}

const struct pbx_sip_probe ua_probe_service = {
	.header = PBX_HEADER(struct pbx_sip_probe),
	.ask = probe_ask,
	.ask_named = probe_ask_named,
};
