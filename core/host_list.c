/* core/host_list.c - looking at plugins: what `plugin list` says of each */
#include "host_internal.h"
#include <string.h>

uint32_t core_plugin_holds(const struct core_plugin *plugin, char *ret_text, size_t size)
{
	uint32_t holds = 0;

	for (const struct core_instance *instance = plugin->instances; instance && !holds; instance = instance->next)
		holds = core_owner_holds(&instance->owner, ret_text, size);
	return holds;
}

static struct pbx_json *texts(const char *const *items)
{
	AUTO(json) struct pbx_json *list = core_json_array();

	for (; list && items && *items; items++)
		if (core_json_append_text(list, *items) != PBX_OK)
			return NULL;
	return TAKE(list);
}

static bool add_instance_facts(struct pbx_json *json, const struct core_plugin *plugin)
{
	const struct pbx_plugin *card = plugin->current ? &plugin->current->card : NULL;
	uint32_t instances = 0;
	uint64_t us = 0;
	char holds[160] = "";

	for (const struct core_instance *instance = plugin->instances; instance; instance = instance->next) {
		instances++;
		us += instance->owner.self_us;
	}
	(void)core_plugin_holds(plugin, holds, sizeof holds);
	struct pbx_json *needs = texts(card ? card->needs : NULL), *offers = texts(card ? card->offers : NULL);
	bool ok = core_json_set_text(json, "version", card ? card->version : "") == PBX_OK &&
		  core_json_set_text(json, "summary", card ? card->summary : "") == PBX_OK &&
		  core_json_set_text(json, "holds", holds) == PBX_OK &&
		  core_json_set_number(json, "loop_ms", (double)us / 1000) == PBX_OK &&
		  core_json_set_integer(json, "instances", instances) == PBX_OK;
	ok = (needs && core_json_set(json, "needs", needs) == PBX_OK) && ok;
	ok = (offers && core_json_set(json, "offers", offers) == PBX_OK) && ok;
	return ok;
}

static struct pbx_json *plugin_json(const struct core_plugin *plugin)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	bool failed = plugin->state == CORE_PLUGIN_FAILED;

	if (!json || core_json_set_text(json, "name", plugin->name) != PBX_OK ||
	    core_json_set_text(json, "state", core_plugin_state_name(plugin->state)) != PBX_OK ||
	    core_json_set_text(json, "reason", failed ? plugin->refusal.reason : "") != PBX_OK ||
	    core_json_set_text(json, "cure", failed ? plugin->refusal.cure : "") != PBX_OK ||
	    core_json_set_text(json, "file", plugin->file ? plugin->file : "") != PBX_OK || !add_instance_facts(json, plugin))
		return NULL;
	return TAKE(json);
}

struct pbx_json *core_plugin_list(void)
{
	AUTO(json) struct pbx_json *list = core_json_array();

	for (const struct core_plugin *plugin = core_plugins(); list && plugin; plugin = plugin->next) {
		struct pbx_json *item = plugin_json(plugin);

		if (!item || core_json_append(list, item) != PBX_OK)
			return NULL;
	}
	return TAKE(list);
}

uint32_t core_host_knows(const char *name)
{
	const struct core_plugin *plugin = core_plugin_find(name);

	if (plugin && !plugin->file)
		return CORE_KNOWN_PART;
	if (plugin && plugin->state == CORE_PLUGIN_RUNNING)
		return CORE_KNOWN_PLUGIN;
	if (plugin)
		return CORE_KNOWN_IDLE;
	AUTO(text) char *file = strchr(name, '/') ? NULL : core_batch_find_file(name); /* found since the start */
	return file ? CORE_KNOWN_IDLE : CORE_KNOWN_NOT;
}

void core_host_each_name(void (*each)(void *context, const char *name), void *context)
{
	for (const struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next)
		each(context, plugin->name);
}
