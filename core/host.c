/* core/host.c - the plugins by name, and what an instance is made of
 *
 * Reading on: services.c (tables between owners), card.c, probe.c and host_load.c (from a file to an instance), host_order.c (who comes first), host_life.c (load,
 * start, stop, unload, upgrade), host_batch.c (all of a folder), host_manage.c (one by name), host_list.c (looking). */
#include "host_internal.h"
#include "json.h"
#include "log.h"
#include "settings.h"
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct core_plugin *plugins;

/* ---- names ---------------------------------------------------------------------------- */

struct core_plugin *core_plugins(void)
{
	return plugins;
}

struct core_plugin *core_plugin_find(const char *name)
{
	for (struct core_plugin *plugin = plugins; plugin; plugin = plugin->next)
		if (!strcmp(plugin->name, name))
			return plugin;
	return NULL;
}

static void plugin_free(struct core_plugin *plugin)
{
	if (!plugin)
		return;
	free(plugin->name);
	free(plugin->file);
	free(plugin);
}

static int set_file(struct core_plugin *plugin, const char *file)
{
	char *copy = file ? strdup(file) : NULL;

	if (file && !copy)
		return PBX_ENOMEM;
	free(plugin->file);
	plugin->file = copy;
	return PBX_OK;
}

struct core_plugin *core_plugin_add(const char *name, const char *file)
{
	struct core_plugin *plugin = core_plugin_find(name), **at = &plugins;

	if (plugin)
		return set_file(plugin, file) == PBX_OK ? plugin : NULL;
	plugin = calloc(1, sizeof *plugin);
	if (plugin)
		plugin->name = strdup(name);
	if (!plugin || !plugin->name || set_file(plugin, file) != PBX_OK) {
		plugin_free(plugin);
		return NULL;
	}
	plugin->state = CORE_PLUGIN_FOUND;
	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	plugin->next = *at;
	*at = plugin;
	return plugin;
}

const char *core_plugin_state_name(uint32_t state)
{
	static const char *const names[] = { "unknown", "found", "loaded", "running", "draining", "failed", "disabled" };

	return names[state < sizeof names / sizeof names[0] ? state : 0];
}

void core_plugin_failed(struct core_plugin *plugin, const struct core_refusal *refusal)
{
	plugin->state = CORE_PLUGIN_FAILED;
	plugin->refusal = *refusal;
	core_log(PBX_LOG_ERROR, plugin->name, NULL, "plugin_refused", "file=%s reason=\"%s\" cure=\"%s\"",
		 plugin->file ? plugin->file : "(linked in)", refusal->reason, refusal->cure);
	core_part_tell("plugin.failed", plugin, "", refusal->reason);
}

/* ---- an instance's door, as far as the host serves it --------------------------------- */

static const void *host_service(struct pbx_host *host, const char *id, uint32_t size)
{
	return core_services_for(host, id, size);
}

/* The folder of server.data_dir, from the setting that main declares. */
char *core_host_base_dir(void)
{
	AUTO(json) struct pbx_json *shown = core_settings_show("server.data_dir");
	const char *path = core_json_text(core_json_get(core_json_at(shown, 0), "value"));

	return path && *path ? strdup(path) : NULL;
}

static bool make_dir(const struct core_instance *instance, const char *path)
{
	if (mkdir(path, 0750) == 0 || errno == EEXIST)
		return true;
	core_log(PBX_LOG_ERROR, instance->owner.name, NULL, "directory_not_made", "path=%s reason=\"%s\"", path, strerror(errno));
	return false;
}

static const char *host_data_dir(struct pbx_host *host)
{
	struct core_instance *instance = core_instance_of(host);
	AUTO(text) char *base = instance->data_dir ? NULL : core_host_base_dir();
	char all[PATH_MAX], own[PATH_MAX];

	if (instance->data_dir || !base)
		return instance->data_dir;
	int all_length = snprintf(all, sizeof all, "%s/plugins", base);
	int length = snprintf(own, sizeof own, "%s/plugins/%s", base, instance->owner.name);
	if (all_length > 0 && length > 0 && (size_t)length < sizeof own && make_dir(instance, all) && make_dir(instance, own))
		instance->data_dir = strdup(own);
	return instance->data_dir;
}

/* ---- instances ------------------------------------------------------------------------ */

struct core_instance *core_instance_new(struct core_plugin *plugin, const struct pbx_plugin *descriptor, void *memory)
{
	static uint64_t number;
	struct core_instance *instance = calloc(1, sizeof *instance);
	const struct pbx_plugin card = core_card_of(descriptor);

	if (!instance)
		return NULL;
	instance->card = card;
	instance->descriptor = descriptor;
	instance->plugin = plugin;
	instance->number = ++number;
	instance->state = CORE_PLUGIN_LOADED;
	instance->self_is_borrowed = memory != NULL;
	instance->self = memory ? memory : calloc(1, card.instance_size);
	if (!instance->self) {
		free(instance);
		return NULL;
	}
	core_owner_init(&instance->owner, plugin->name, instance->self);
	instance->owner.host.service = host_service;
	instance->owner.host.ready = core_life_ready;
	instance->owner.host.data_dir = host_data_dir;
	instance->self->host = &instance->owner.host;
	instance->next = plugin->instances;
	plugin->instances = instance;
	return instance;
}

static void unhook(struct core_instance *instance)
{
	struct core_instance **at = &instance->plugin->instances;

	while (*at && *at != instance)
		at = &(*at)->next;
	if (*at)
		*at = instance->next;
	if (instance->plugin->current == instance)
		instance->plugin->current = NULL;
}

void core_instance_free(struct core_instance *instance)
{
	if (!instance)
		return;
	unhook(instance);
	core_owner_fini(&instance->owner);
	core_services_leave(instance);
	core_settings_unref(instance->settings_held);
	if (!instance->self_is_borrowed)
		free(instance->self);
	if (instance->library)
		(void)dlclose(instance->library); /* what fails here leaks one mapping */
	if (instance->copy)
		(void)unlink(instance->copy); /* the folder is removed at the end, with what is left in it */
	free(instance->copy);
	free(instance->data_dir);
	free(instance);
}

/* ---- init and fini -------------------------------------------------------------------- */

int core_host_init(void)
{
	return PBX_OK;
}

void core_host_fini(void)
{
	if (!core_manage_fini()) {
		core_log(PBX_LOG_ERROR, "core", NULL, "plugin_left_running", "reason=\"its job in the pool does not end\"");
		return; /* what that job uses must stay */
	}
	while (plugins) {
		struct core_plugin *plugin = plugins;

		plugins = plugin->next;
		plugin_free(plugin);
	}
	core_services_fini();
	core_load_fini();
}
