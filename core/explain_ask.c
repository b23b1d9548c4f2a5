/*
 * explain_ask.c - `calls explain` and `calls show`: what is known of a call is gathered, explained and told
 *
 *    the request ──► all events so far are stored ──► its messages (memory, else store) ──► its events ──► live legs ──► rules ──► answer
 *
 * Events reach the store some milliseconds after they happened. Who asks waits for those from before the question, but not for a store
 * that is away. A user sees the calls that their own account was in; whoever else asks for one is told that it is not known.
 */
#include "bus.h"
#include "calls.h"
#include "explain_part.h"
#include "json_auto.h"
#include "loop.h"
#include "timer.h"
#include <stdlib.h>
#include <string.h>

static const struct pbx_requests *const requests = &core_requests_service;

#define STORED_TICK_MS 10u
#define STORED_MOST_MS 1000u

struct asking {
	struct asking *next; /* of those who wait for the store */
	int64_t seq;
	uint64_t until_ms;
	pbx_request request;
	bool whole; /* `calls show`: with its legs and its ladder */
	bool is_own;
	char call_id[128], account[64]; /* account: whose calls the asker may see; "" for everybody's */
	struct core_ladder *ladder;
	struct core_case *about;
};

static void asking_free(struct asking *asking)
{
	if (!asking)
		return;
	core_ladder_free(asking->ladder);
	core_case_free(asking->about);
	free(asking);
}
AUTO_FREES(asking)

static struct pbx_json *leg_json(const struct core_case_leg *leg)
{
	AUTO(json) struct pbx_json *json = core_json_object();

	if (core_json_set_text(json, "leg_id", leg->id) != PBX_OK || core_json_set_text(json, "number", leg->number) != PBX_OK ||
	    core_json_set_text(json, "direction", leg->inbound ? "inbound" : "outbound") != PBX_OK ||
	    core_json_set_text(json, "trunk_id", leg->trunk) != PBX_OK || core_json_set_text(json, "address", leg->address) != PBX_OK ||
	    core_json_set_text(json, "device", leg->agent[0] ? leg->agent : leg->device) != PBX_OK ||
	    core_json_set_integer(json, "sip_code", leg->sip_code) != PBX_OK || core_json_set_text(json, "reason", leg->reason) != PBX_OK ||
	    core_json_set_integer(json, "talk_ms", leg->talk_ms) != PBX_OK || core_json_set_text(json, "codec", leg->codec) != PBX_OK ||
	    core_json_set_integer(json, "packets_in", leg->packets_in) != PBX_OK ||
	    core_json_set_integer(json, "packets_out", leg->packets_out) != PBX_OK ||
	    core_json_set_integer(json, "lost", leg->lost) != PBX_OK)
		return NULL;
	return TAKE(json);
}

/* As core_calls_show() tells it while the call lives. */
static struct pbx_json *ended_json(const struct core_case *about)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	AUTO(json) struct pbx_json *legs = core_json_array();

	for (uint32_t i = 0; legs && i < about->leg_count; i++) {
		struct pbx_json *leg = leg_json(&about->legs[i]);

		if (!leg || core_json_append(legs, leg) != PBX_OK)
			return NULL;
	}
	if (!legs || core_json_set_text(json, "call_id", about->call_id) != PBX_OK ||
	    core_json_set_text(json, "linked_id", about->linked_id) != PBX_OK ||
	    core_json_set_text(json, "state", about->known ? "ended" : "no call") != PBX_OK ||
	    core_json_set_text(json, "direction", about->direction) != PBX_OK || core_json_set_text(json, "from", about->from) != PBX_OK ||
	    core_json_set_text(json, "to", about->to) != PBX_OK ||
	    (about->known && core_json_set_time(json, "since", about->started_us) != PBX_OK) ||
	    core_json_set_integer(json, "duration_ms", about->duration_ms) != PBX_OK ||
	    core_json_set_text(json, "disposition", about->disposition) != PBX_OK ||
	    core_json_set_integer(json, "sip_code", about->sip_code) != PBX_OK ||
	    core_json_set_text(json, "cause", about->cause) != PBX_OK ||
	    core_json_set_text(json, "hangup_by", about->hangup_by) != PBX_OK || core_json_set(json, "legs", TAKE(legs)) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static struct pbx_json *shown(const struct asking *asking)
{
	struct pbx_json *live = core_calls_show(asking->about->call_id);
	AUTO(json) struct pbx_json *json = live ? live : ended_json(asking->about);

	if (!json || (asking->ladder && core_json_set(json, "ladder", core_ladder_json(asking->ladder, 0)) != PBX_OK))
		return NULL;
	return TAKE(json);
}

static struct pbx_json *explained(const struct asking *asking)
{
	AUTO(json) struct pbx_json *json = asking->whole ? shown(asking) : core_json_object();
	AUTO(core_findings) struct core_findings *findings = core_explain(asking->about);

	if (!json || !findings || (!asking->whole && core_json_set_text(json, "call_id", asking->about->call_id) != PBX_OK) ||
	    core_findings_tell(findings, json) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static void answer(const struct asking *asking)
{
	bool is_unknown = !asking->about->known && (!asking->ladder || asking->ladder->count == 0);
	struct pbx_json *json;

	if (is_unknown || (asking->account[0] && !asking->is_own)) {
		(void)requests->fail(
			asking->request, 404, "no_such_call", "id",
			"nothing is known of %s: it is no call's id and no Call-ID, or older than server.event_days and trace.keep_days",
			asking->call_id);
		return;
	}
	json = explained(asking);
	if (json)
		(void)requests->reply(asking->request, 200, json);
	else
		(void)requests->fail(asking->request, 503, "no_memory", NULL, "out of memory");
}

static void add_event(struct asking *asking, const char *type, int64_t wall_us, const struct pbx_json *data)
{
	const char *account = core_json_text(core_json_get(data, "account"));
	const char *extension = core_json_text(core_json_get(core_json_get(data, "from"), "extension"));

	asking->is_own = asking->is_own || (account && strcmp(account, asking->account) == 0) ||
			 (extension && strcmp(extension, asking->account) == 0);
	core_case_add_event(asking->about, type, wall_us, data);
}

static void add_live_legs(const struct asking *asking)
{
	AUTO(json) struct pbx_json *legs = core_calls_legs_so_far(asking->about->call_id);

	for (const struct pbx_json *leg = core_json_first(legs); leg; leg = core_json_next(leg))
		core_case_add_event(asking->about, "leg.so_far", 0, leg);
}

/* Rows of type, wall_us, linked_id, data. */
static void on_events(void *self, const struct pbx_rows *rows)
{
	AUTO(asking) struct asking *asking = self;

	if (rows->status != PBX_OK) {
		(void)requests->fail(asking->request, 503, "store_away", NULL, "the store does not answer: %s", rows->error);
		return;
	}
	for (uint32_t row = 0; row < rows->count; row++) {
		const struct pbx_value *text = pbx_cell(rows, row, 3);
		AUTO(json)
		struct pbx_json *data = text->type == PBX_VALUE_TEXT ? core_json_parse(text->as.bytes, text->length, NULL) : NULL;

		add_event(asking, pbx_cell_text(rows, row, 0), pbx_cell_int(rows, row, 1), data);
		(void)snprintf(asking->about->linked_id, sizeof asking->about->linked_id, "%s", pbx_cell_text(rows, row, 2));
	}
	add_live_legs(asking);
	core_case_set_ladder(asking->about, asking->ladder);
	answer(asking);
}

static void on_ladder(void *context, struct core_ladder *taken)
{
	struct asking *asking = context;

	asking->ladder = taken; /* without the store its events are asked for in vain, too */
	if (core_bus_read_call(core_explain_host(), asking->about->call_id, on_events, asking) == PBX_OK)
		return;
	(void)requests->fail(asking->request, 503, "store_away", NULL, "the store takes no question now");
	asking_free(asking);
}

/* Whose call a SIP Call-ID belongs to, while the ring knows. */
static void take_call_id(void *context, const struct core_trace_message *message)
{
	struct asking *asking = context;

	if (message->call_id[0])
		(void)snprintf(asking->call_id, sizeof asking->call_id, "%s", message->call_id);
}

static struct asking *asking_new(pbx_request request, bool whole)
{
	AUTO(asking) struct asking *asking = calloc(1, sizeof *asking);
	char call_id[CORE_ULID_SIZE];

	if (!asking)
		return NULL;
	asking->request = request;
	asking->whole = whole;
	(void)snprintf(asking->call_id, sizeof asking->call_id, "%s", core_ulid_of(requests->text(request, "id"), call_id));
	(void)snprintf(asking->account, sizeof asking->account, "%s", requests->own_account(request));
	(void)core_trace_call(asking->call_id, take_call_id, asking);
	asking->about = core_case_new(asking->call_id);
	return asking->about ? TAKE(asking) : NULL;
}

/* ---- the store has all that had happened ---- */

static struct {
	struct asking *first;
	pbx_timer timer;
} waiting;

static void gather(struct asking *asking)
{
	core_ladder_find(asking->about->call_id, on_ladder, asking);
}

static bool is_stored(int64_t seq)
{
	struct core_bus_stats stats;

	core_bus_stats(&stats);
	return stats.stored_seq >= seq;
}

static void on_tick(void *self, pbx_timer timer)
{
	uint64_t now_ms = core_now_ms();

	(void)self, (void)timer;
	for (struct asking **at = &waiting.first, *asking; (asking = *at);) {
		if (!is_stored(asking->seq) && now_ms < asking->until_ms) {
			at = &asking->next;
			continue;
		}
		*at = asking->next;
		gather(asking);
	}
	if (!waiting.first)
		(void)core_timer_stop(waiting.timer); /* it is running */
}

static void gather_later(struct asking *asking)
{
	if (!waiting.first &&
	    core_timer_start(core_explain_host(), STORED_TICK_MS, STORED_TICK_MS, on_tick, NULL, &waiting.timer) != PBX_OK) {
		gather(asking); /* without memory it sees what there is */
		return;
	}
	asking->until_ms = core_now_ms() + STORED_MOST_MS;
	asking->next = waiting.first;
	waiting.first = asking;
}

static void ask(pbx_request request, bool whole)
{
	struct asking *asking = asking_new(request, whole);
	struct core_bus_stats stats;

	if (!asking) {
		(void)requests->fail(request, 503, "no_memory", NULL, "out of memory");
		return;
	}
	core_bus_stats(&stats);
	asking->seq = stats.last_seq;
	if (is_stored(asking->seq))
		gather(asking);
	else
		gather_later(asking);
}

void core_explain_call(void *self, pbx_request request)
{
	(void)self;
	ask(request, false);
}

void core_explain_show(void *self, pbx_request request)
{
	(void)self;
	ask(request, true);
}

void core_explain_forget_askers(void)
{
	while (waiting.first) {
		struct asking *asking = waiting.first;

		waiting.first = asking->next;
		asking_free(asking); /* its request is answered by the host that stops us */
	}
}
