/* trace_requests.c - a call's messages as people ask for them: as a list, as a capture file; for those who may see everybody's */
#include "json_auto.h"
#include "loop.h"
#include "trace_inner.h"
#include "trace_ladder.h"
#include <stdlib.h>
#include <string.h>

static const struct pbx_requests *const requests = &core_requests_service;

struct asking {
	pbx_request request;
	bool full;
};

/* False, and refused: a user of one account does not read what others say. */
static bool may_see(pbx_request request)
{
	if (!requests->own_account(request)[0])
		return true;
	(void)requests->fail(request, 403, "not_yours", NULL, "a trace shows all parties of a call: ask an administrator");
	return false;
}

/* The ladder when there is something on it, else NULL after refusing. */
static struct core_ladder *ladder_or_refusal(pbx_request request, struct core_ladder *taken)
{
	if (taken && taken->count)
		return taken;
	if (taken)
		(void)requests->fail(request, 404, "no_such_trace", "id",
				     "no messages are kept of %s: it is no call's id and no Call-ID, or older than trace.keep_days",
				     taken->call_id);
	else
		(void)requests->fail(request, 503, "store_away", NULL, "the store does not answer");
	core_ladder_free(taken);
	return NULL;
}

static void find(pbx_request request, void (*done)(void *context, struct core_ladder *taken))
{
	struct asking *asking = may_see(request) ? calloc(1, sizeof *asking) : NULL;
	char call_id[CORE_ULID_SIZE];

	if (!asking)
		return;
	*asking = (struct asking){ request, requests->boolean(request, "full", false) };
	core_ladder_find(core_ulid_of(requests->text(request, "id"), call_id), done, asking);
}

static void on_trace(void *context, struct core_ladder *taken)
{
	struct asking *asking = context;
	AUTO(core_ladder) struct core_ladder *ladder = ladder_or_refusal(asking->request, taken);
	AUTO(json) struct pbx_json *json = core_json_object();

	if (ladder && (core_json_set_text(json, "id", ladder->call_id) != PBX_OK ||
		       core_json_set(json, "ladder", core_ladder_json(ladder, asking->full ? CORE_RUNG_TEXT : 0)) != PBX_OK))
		(void)requests->fail(asking->request, 503, "no_memory", NULL, "out of memory");
	else if (ladder)
		(void)requests->reply(asking->request, 200, TAKE(json));
	free(asking);
}

void core_trace_show(void *self, pbx_request request)
{
	(void)self;
	find(request, on_trace);
}

static void on_pcap(void *context, struct core_ladder *taken)
{
	struct asking *asking = context;
	AUTO(core_ladder) struct core_ladder *ladder = ladder_or_refusal(asking->request, taken);
	size_t size = 0;
	AUTO(text) char *file = ladder ? core_ladder_pcap(ladder, &size) : NULL;

	if (file && requests->begin(asking->request, "application/vnd.tcpdump.pcap", NULL, NULL, NULL) == PBX_OK) {
		(void)requests->write(asking->request, file, size); /* nothing is queued yet: it is taken whole, or the asker has gone */
		(void)requests->end(asking->request);
	} else if (ladder && !file) {
		(void)requests->fail(asking->request, 503, "no_memory", NULL, "out of memory");
	}
	free(asking);
}

void core_trace_pcap(void *self, pbx_request request)
{
	(void)self;
	find(request, on_pcap);
}
