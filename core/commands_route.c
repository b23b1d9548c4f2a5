/* core/commands_route.c - who would answer for a number, and why: `pbxctl route explain`; everything that could: `pbxctl route plan` */
#include "calls.h"
#include "commands_internal.h"
#include "loop.h"
#include <stdlib.h>
#include <string.h>

static const struct pbx_requests *const requests = &core_requests_service;

struct explanation {
	pbx_request request;
	struct pbx_json *steps;
	char from[65], to[65];
	char owner[64], text[256]; /* of the last step: who decides, and how they say it */
};

static const char *verdict_name(uint32_t verdict)
{
	static const char *const names[] = { "pass", "targets", "forward", "control", "reject", "renumber" };

	return verdict < sizeof names / sizeof names[0] ? names[verdict] : "unknown";
}

static void on_step(void *self, const struct pbx_route_step *step)
{
	struct explanation *explanation = self;
	struct pbx_json *json = core_json_object();

	(void)snprintf(explanation->owner, sizeof explanation->owner, "%s", step->owner);
	(void)snprintf(explanation->text, sizeof explanation->text, "%s", step->text ? step->text : "");
	if (!json || core_json_set_integer(json, "order", step->order) != PBX_OK ||
	    core_json_set_text(json, "owner", step->owner) != PBX_OK || core_json_set_text(json, "hook", step->hook) != PBX_OK ||
	    core_json_set_text(json, "verdict", verdict_name(step->verdict)) != PBX_OK ||
	    core_json_set_text(json, "text", step->text ? step->text : "") != PBX_OK ||
	    core_json_set_number(json, "took_ms", (double)step->took_us / 1000) != PBX_OK)
		core_json_free(json);
	else if (explanation->steps)
		(void)core_json_append(explanation->steps, json); /* without memory a step is not shown */
	else
		core_json_free(json);
}

static struct pbx_json *targets_json(const struct pbx_route_answer *answer)
{
	AUTO(json) struct pbx_json *list = core_json_array();

	for (uint32_t i = 0; list && i < answer->target_count; i++)
		if (core_json_append_text(list, pbx_dial_target_at(answer->targets, answer->target_size, i).text) != PBX_OK)
			return NULL;
	return TAKE(list);
}

/* "When 1001 dials *43, echo_test takes the call: Hear yourself" */
static void say_outcome(const struct explanation *explanation, const struct pbx_route_answer *answer, char *ret_text, size_t size)
{
	char does[48] = "lets the call pass";

	if (answer->verdict == PBX_ROUTE_TARGETS)
		(void)snprintf(does, sizeof does, "connects the call");
	else if (answer->verdict == PBX_ROUTE_CONTROL)
		(void)snprintf(does, sizeof does, "takes the call");
	else if (answer->verdict == PBX_ROUTE_REJECT)
		(void)snprintf(does, sizeof does, "refuses the call with %u", answer->sip_code);
	(void)snprintf(ret_text, size, "When %s dials %s, %s %s%s%s", explanation->from, explanation->to, explanation->owner, does,
		       *explanation->text ? ": " : "", explanation->text);
}

static struct pbx_json *explanation_json(struct explanation *explanation, const struct pbx_route_answer *answer)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct pbx_json *targets = json ? targets_json(answer) : NULL;
	char sentence[512];

	say_outcome(explanation, answer, sentence, sizeof sentence);
	if (!targets || core_json_set(json, "targets", targets) != PBX_OK ||
	    core_json_set_text(json, "verdict", verdict_name(answer->verdict)) != PBX_OK ||
	    core_json_set_text(json, "to", answer->to ? answer->to : "") != PBX_OK ||
	    core_json_set_integer(json, "sip_code", answer->sip_code) != PBX_OK ||
	    core_json_set_text(json, "text", answer->text ? answer->text : "") != PBX_OK ||
	    core_json_set_text(json, "sentence", sentence) != PBX_OK || !explanation->steps ||
	    core_json_set(json, "items", TAKE(explanation->steps)) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static void on_explained(void *self, const struct pbx_route_answer *answer)
{
	struct explanation *explanation = self;

	core_reply_object(explanation->request, explanation_json(explanation, answer));
	core_json_free(explanation->steps);
	free(explanation);
}

void core_route_explain(void *self, pbx_request request)
{
	struct explanation *explanation = calloc(1, sizeof *explanation);
	const char *from = requests->text(request, "from");
	bool is_peer = strncmp(from, "peer:", 5) == 0;
	const struct pbx_route_request wanted = {
		.size = sizeof wanted,
		.number = requests->text(request, "to"),
		.caller = is_peer ? "" : from,
		.account = is_peer ? "" : from,
		.peer = is_peer ? from + 5 : "",
		.forwarder = "",
		.wall_us = requests->integer(request, "at", core_wall_us()),
		.explaining = true,
	};

	(void)self;
	if (!explanation) {
		core_reply_object(request, NULL);
		return;
	}
	explanation->request = request;
	explanation->steps = core_json_array();
	(void)snprintf(explanation->from, sizeof explanation->from, "%s", from);
	(void)snprintf(explanation->to, sizeof explanation->to, "%s", wanted.number);
	if (core_route_service.explain(core_part_host(), &wanted, on_step, on_explained, explanation) == PBX_OK)
		return;
	core_json_free(explanation->steps);
	free(explanation);
	core_reply_object(request, NULL);
}

void core_route_owner(void *self, pbx_request request)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	const char *number = requests->text(request, "number"), *owner;

	(void)self;
	if (core_route_service.owner(number, &owner) != PBX_OK)
		(void)requests->fail(request, 404, "no_owner", "number", "%s: nobody has this number", number);
	else if (json && core_json_set_text(json, "number", number) == PBX_OK && core_json_set_text(json, "owner", owner) == PBX_OK)
		core_reply_object(request, TAKE(json));
	else
		core_reply_object(request, NULL);
}

/* ---- the whole plan ------------------------------------------------------------------- */

struct listing {
	struct pbx_json *list;
	uint32_t order, next; /* rows of this order are listed; the next one that has rows, 0: none seen */
	bool incomplete;
};

static struct pbx_json *row_json(const struct core_plan_row *row)
{
	AUTO(json) struct pbx_json *json = core_json_object();

	if (!json || core_json_set_integer(json, "order", row->order) != PBX_OK || core_json_set_text(json, "kind", row->kind) != PBX_OK ||
	    core_json_set_text(json, "pattern", row->pattern) != PBX_OK || core_json_set_text(json, "owner", row->owner) != PBX_OK ||
	    core_json_set_text(json, "help", row->help) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static void list_row(void *context, const struct core_plan_row *row)
{
	struct listing *listing = context;

	if (row->order > listing->order && (!listing->next || row->order < listing->next))
		listing->next = row->order;
	if (row->order != listing->order || listing->incomplete)
		return;
	struct pbx_json *json = row_json(row);
	listing->incomplete = !json || core_json_append(listing->list, json) != PBX_OK;
}

/* In the order in which they are asked; the claims of an order come before its hooks. Order 0, reserved numbers, comes last. */
static struct pbx_json *plan_json(void)
{
	AUTO(json) struct pbx_json *list = core_json_array();
	struct listing listing = { .list = list, .order = UINT32_MAX };
	struct listing ahead = { .order = 0, .incomplete = true }; /* only looks for the first order */

	if (!list)
		return NULL;
	core_plan_each(list_row, &ahead);
	core_route_each(list_row, &ahead);
	for (listing.order = ahead.next; listing.order; listing.order = listing.next) {
		listing.next = 0;
		core_plan_each(list_row, &listing);
		core_route_each(list_row, &listing);
	}
	core_plan_each(list_row, &listing);
	return listing.incomplete ? NULL : TAKE(list);
}

void core_route_plan(void *self, pbx_request request)
{
	(void)self;
	core_reply_items(request, plan_json());
}
