/* core/status.c - `pbxctl status` and /system: how the PBX is, in one look
 *
 * The core says what it knows itself; parts that know more (who listens where, how many phones are registered) add a group of their own. */
#include "status.h"
#include "bus.h"
#include "calls.h"
#include "commands_internal.h"
#include "host_internal.h"
#include "loop.h"
#include "settings.h"
#include "store.h"
#include <stdlib.h>
#include <string.h>

struct source {
	struct source *next;
	const char *name;
	struct pbx_json *(*tell)(void *self);
	void *self;
};

static uint64_t started_at_ms;
static struct source *sources;

void core_status_begin(void)
{
	started_at_ms = core_now_ms();
}

void core_status_end(void)
{
	while (sources)
		core_status_remove(sources->name);
}

int core_status_add(const char *name, struct pbx_json *(*tell)(void *self), void *self)
{
	struct source *source = calloc(1, sizeof *source), **at = &sources;

	if (!source)
		return PBX_ENOMEM;
	*source = (struct source){ .name = name, .tell = tell, .self = self };
	while (*at)
		at = &(*at)->next;
	*at = source;
	return PBX_OK;
}

void core_status_remove(const char *name)
{
	struct source **at = &sources;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	struct source *source = *at;
	if (source)
		*at = source->next;
	free(source);
}

static struct pbx_json *calls_json(void)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct core_calls_stats stats;

	core_calls_stats(&stats);
	if (!json || core_json_set_integer(json, "calls", stats.calls) != PBX_OK ||
	    core_json_set_integer(json, "legs", stats.legs) != PBX_OK || core_json_set_integer(json, "bridges", stats.bridges) != PBX_OK ||
	    core_json_set_integer(json, "started", (int64_t)stats.started) != PBX_OK ||
	    core_json_set_integer(json, "answered", (int64_t)stats.answered) != PBX_OK ||
	    core_json_set_integer(json, "failed", (int64_t)stats.failed) != PBX_OK ||
	    core_json_set_boolean(json, "draining", core_calls_draining()) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static struct pbx_json *store_json(void)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct core_store_stats stats;

	core_store_stats(&stats);
	if (!json || core_json_set_boolean(json, "up", stats.up) != PBX_OK ||
	    core_json_set_boolean(json, "disk_full", stats.disk_full) != PBX_OK ||
	    core_json_set_integer(json, "queries", (int64_t)stats.queries) != PBX_OK ||
	    core_json_set_integer(json, "errors", (int64_t)stats.errors) != PBX_OK ||
	    core_json_set_integer(json, "waiting", (int64_t)stats.waiting) != PBX_OK ||
	    core_json_set_integer(json, "journalled", (int64_t)stats.journalled) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static struct pbx_json *events_json(void)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct core_bus_stats stats;

	core_bus_stats(&stats);
	if (!json || core_json_set_integer(json, "last_seq", stats.last_seq) != PBX_OK ||
	    core_json_set_integer(json, "stored_seq", stats.stored_seq) != PBX_OK ||
	    core_json_set_integer(json, "followers", stats.followers) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static struct pbx_json *loop_json(void)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct core_loop_stats stats;

	core_loop_take_stats(&stats);
	if (!json || core_json_set_integer(json, "stalls", (int64_t)stats.stalls) != PBX_OK ||
	    core_json_set_number(json, "worst_ms", (double)stats.worst_us / 1000) != PBX_OK ||
	    core_json_set_text(json, "worst_owner", stats.worst_owner) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static struct pbx_json *plugins_json(void)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	AUTO(json) struct pbx_json *failed = core_json_array();
	int64_t running = 0;

	for (const struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next) {
		running += plugin->state == CORE_PLUGIN_RUNNING;
		if (plugin->state == CORE_PLUGIN_FAILED && failed && core_json_append_text(failed, plugin->name) != PBX_OK)
			return NULL;
	}
	if (!json || !failed || core_json_set_integer(json, "running", running) != PBX_OK ||
	    core_json_set(json, "failed", TAKE(failed)) != PBX_OK)
		return NULL;
	return TAKE(json);
}

void core_status_show(void *self, pbx_request request)
{
	static struct pbx_json *(*const groups[])(void) = { calls_json, plugins_json, store_json, events_json, loop_json };
	static const char *const names[] = { "calls", "plugins", "store", "events", "loop" };
	AUTO(json) struct pbx_json *json = core_json_object();
	char abi[16];

	(void)self;
	(void)snprintf(abi, sizeof abi, "%u.%u", PBX_ABI_MAJOR, PBX_ABI_MINOR);
	bool ok = json && core_json_set_text(json, "version", PBX_VERSION) == PBX_OK && core_json_set_text(json, "abi", abi) == PBX_OK &&
		  core_json_set_integer(json, "uptime_s", (int64_t)(core_now_ms() - started_at_ms) / 1000) == PBX_OK;
	for (size_t i = 0; ok && i < sizeof groups / sizeof groups[0]; i++) {
		struct pbx_json *group = groups[i]();

		ok = group && core_json_set(json, names[i], group) == PBX_OK;
	}
	for (const struct source *source = sources; ok && source; source = source->next) {
		struct pbx_json *group = source->tell(source->self);

		ok = group && core_json_set(json, source->name, group) == PBX_OK;
	}
	ok = ok && core_json_set(json, "waiting_for_restart", core_settings_waiting()) == PBX_OK;
	core_reply_object(request, ok ? TAKE(json) : NULL);
}
