/*
 * dry_run - what would become of a number, without a call: every outbound route with why it is not taken, and the whole chain's verdict
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

struct dry_run {
	struct sip_trunk *plugin;
	pbx_request request;
	struct pbx_json *reply;
};

static struct pbx_json *routes_json(const struct sip_trunk *plugin, const struct pbx_route_request *asked)
{
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *list = json->new_array();

	for (const struct record *record = plugin->records[KIND_OUTBOUND]; record; record = record->next) {
		const struct outbound_route *route = (const struct outbound_route *)record->row;
		const char *misfit = outbound_misfit(record, asked);
		struct pbx_json *object = json->new_object();

		(void)json->set_text(object, "route_id", route->id);
		(void)json->set_boolean(object, "fits", misfit == NULL);
		(void)json->set_text(object, "why_not", misfit);
		(void)json->set_boolean(object, "asks_for_pin", route->pins[0] != '\0');
		(void)json->append(list, object);
	}
	return list;
}

static struct pbx_json *targets_json(const struct sip_trunk *plugin, const struct pbx_route_answer *verdict)
{
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *list = json->new_array();

	for (uint32_t i = 0; verdict->verdict == PBX_ROUTE_TARGETS && i < verdict->target_count; i++) {
		const struct pbx_dial_target target = pbx_dial_target_at(verdict->targets, verdict->target_size, i);
		struct pbx_json *object = json->new_object();

		(void)json->set_text(object, "trunk_id", target.peer);
		(void)json->set_text(object, "number", target.text);
		(void)json->set_text(object, "caller_number", target.caller_number);
		(void)json->append(list, object);
	}
	return list;
}

static void on_verdict(void *self, const struct pbx_route_answer *verdict)
{
	static const char *const names[] = { "pass", "targets", "forward", "control", "reject", "renumber" };
	struct dry_run *run = self;
	const struct pbx_jsons *json = run->plugin->json;
	bool is_refused = verdict->verdict == PBX_ROUTE_REJECT;

	(void)json->set_text(run->reply, "verdict", verdict->verdict < 6 ? names[verdict->verdict] : "pass");
	(void)json->set_integer(run->reply, "sip_code", is_refused ? verdict->sip_code : 0);
	(void)json->set_text(run->reply, "sentence", verdict->text);
	(void)json->set(run->reply, "targets", targets_json(run->plugin, verdict));
	(void)run->plugin->requests->reply(run->request, 200, run->reply); /* the asker may have left */
	free(run);
}

void outbound_test(void *self, pbx_request request)
{
	struct sip_trunk *plugin = self;
	const struct pbx_jsons *json = plugin->json;
	const char *extension = plugin->requests->text(request, "extension");
	const struct pbx_route_request asked = { .size = sizeof asked,
						 .number = plugin->requests->text(request, "number"),
						 .caller = extension ? extension : "",
						 .account = extension ? extension : "",
						 .wall_us = plugin->host->wall_us(plugin->host),
						 .explaining = true,
						 .peer = "",
						 .forwarder = "" };
	struct dry_run *run = malloc(sizeof *run);

	if (run) {
		*run = (struct dry_run){ plugin, request, json->new_object() };
		(void)json->set(run->reply, "routes", routes_json(plugin, &asked));
		if (plugin->routing->explain(plugin->host, &asked, NULL, on_verdict, run) == PBX_OK)
			return;
		json->free(run->reply);
	}
	free(run);
	(void)plugin->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
}
