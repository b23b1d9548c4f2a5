/*
 * carrier - a provider that is given by its domain alone, for test_dns.py: what begins with 77 goes to the peer "carrier"
 *
 * The plainest use of pbx.sip/1: a peer is set at start, a hook names it as the target. Where it is, DNS says.
 */
#include <pbx/calls.h>
#include <pbx/route.h>
#include <pbx/sip.h>
#include <string.h>

struct settings {
	const char *domain, *transport;
	uint32_t silence_ms;
};

struct carrier {
	PBX_INSTANCE(struct settings);
	char number[64];
	struct pbx_dial_target target;
};

static int on_route(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	struct carrier *carrier = self;

	(void)query;
	if (strncmp(request->number, "77", 2) != 0)
		return PBX_OK;
	(void)snprintf(carrier->number, sizeof carrier->number, "%s", request->number);
	carrier->target = (struct pbx_dial_target){ .text = carrier->number, .peer = "carrier" };
	ret_answer->verdict = PBX_ROUTE_TARGETS;
	ret_answer->targets = &carrier->target;
	ret_answer->target_count = 1;
	ret_answer->target_size = sizeof carrier->target;
	return PBX_OK;
}

static int carrier_start(void *self)
{
	struct carrier *carrier = self;
	const struct pbx_sip_peer peer = { .size = sizeof peer,
					   .name = "carrier",
					   .host = carrier->settings->domain,
					   .transport = carrier->settings->transport,
					   .candidate_ms = carrier->settings->silence_ms };
	struct pbx_diag diag = { .text = "" };
	int err = pbx_sip(carrier->host)->set_peer(carrier->host, &peer, &diag);

	if (err != PBX_OK) {
		pbx_error(carrier->host, "peer_refused", "reason=\"%s\"", diag.text);
		return err;
	}
	return pbx_routing(carrier->host)->hook(carrier->host, PBX_ORDER_FEATURES, "carrier", on_route, carrier);
}

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct settings, domain, .initial_text = "carrier.test", .help = "Where the carrier is"),
	PBX_TEXT(struct settings, transport, .initial_text = "udp", .help = "How it is reached; empty: DNS says"),
	PBX_UINT(struct settings, silence_ms, .initial = 4000, .unit = "ms",
		 .help = "After so long without an answer the next server is tried"),
};

PBX_PLUGIN(carrier)
= {
	PBX_PLUGIN_HEADER,
	.name = "carrier",
	.version = "1.0.0",
	.summary = "A provider for tests",
	.needs = PBX_NEEDS("pbx.sip/1", "pbx.route/1"),
	.instance_size = sizeof(struct carrier),
	PBX_SETTINGS(struct settings, settings),
	.start = carrier_start,
};
