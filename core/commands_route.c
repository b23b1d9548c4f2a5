/* core/commands_route.c - who would answer for a number, and why: `pbxctl route explain` */
#include "calls.h"
#include "commands_internal.h"
#include "loop.h"
#include <stdlib.h>

static const struct pbx_requests *const requests = &core_requests_service;

struct explanation {
	pbx_request request;
	struct pbx_json *steps;
};

static const char *verdict_name(uint32_t verdict)
{
	static const char *const names[] = { "pass", "targets", "forward", "control", "reject" };

	return verdict < sizeof names / sizeof names[0] ? names[verdict] : "unknown";
}

static void on_step(void *self, const struct pbx_route_step *step)
{
	struct explanation *explanation = self;
	struct pbx_json *json = core_json_object();

	if (!json || core_json_set_integer(json, "order", step->order) != PBX_OK ||
	    core_json_set_text(json, "owner", step->owner) != PBX_OK || core_json_set_text(json, "hook", step->hook) != PBX_OK ||
	    core_json_set_text(json, "verdict", verdict_name(step->verdict)) != PBX_OK ||
	    core_json_set_text(json, "text", step->text ? step->text : "") != PBX_OK)
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
		if (core_json_append_text(list, answer->targets[i].text) != PBX_OK)
			return NULL;
	return TAKE(list);
}

static struct pbx_json *explanation_json(struct explanation *explanation, const struct pbx_route_answer *answer)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct pbx_json *targets = json ? targets_json(answer) : NULL;

	if (!targets || core_json_set(json, "targets", targets) != PBX_OK ||
	    core_json_set_text(json, "verdict", verdict_name(answer->verdict)) != PBX_OK ||
	    core_json_set_text(json, "to", answer->to ? answer->to : "") != PBX_OK ||
	    core_json_set_integer(json, "sip_code", answer->sip_code) != PBX_OK ||
	    core_json_set_text(json, "text", answer->text ? answer->text : "") != PBX_OK || !explanation->steps ||
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
	const struct pbx_route_request wanted = {
		.size = sizeof wanted,
		.number = requests->text(request, "to"),
		.caller = from,
		.account = from,
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
