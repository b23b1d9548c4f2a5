#include "codec_set.h"
#include <core/host.h>
#include <core/settings_internal.h>
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <rtp/codecs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_PLUGINS 16u

static const struct pbx_codecs *offered[MOST_PLUGINS];
static uint32_t offered_count;

void core_host_each_provider(const char *id, uint32_t size, void (*each)(void *context, struct pbx_host *owner, const void *table),
			     void *context)
{
	(void)id, (void)size;
	for (uint32_t i = 0; i < offered_count; i++)
		each(context, NULL, offered[i]);
}

uint64_t core_host_offers(void)
{
	return offered_count + 1;
}

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* The settings that somebody has who has set none. */
static const void *settings_of(const struct pbx_plugin *plugin)
{
	struct core_block *block = core_block_new(plugin->settings_size);
	struct core_problems problems = { 0 };
	struct pbx_setting *rows = core_rows_copy(&plugin->settings, plugin->settings_size, plugin->name, &problems);

	must(block && rows, plugin->name);
	for (uint32_t i = 0; i < plugin->settings.count; i++)
		must(core_value_default(block, &rows[i], core_block_data(block)), plugin->name);
	core_rows_free(rows, plugin->settings.count);
	return core_block_data(block);
}

/* It stays until the process ends. */
static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct pbx_plugin *plugin = library ? dlsym(library, "pbx_plugin") : NULL;

	must(plugin && offered_count < MOST_PLUGINS, path);
	struct {
		PBX_INSTANCE(void);
	} *instance = calloc(1, plugin->instance_size);

	must(instance, path);
	if (plugin->settings.count)
		instance->settings = settings_of(plugin);
	must(!plugin->load || plugin->load(instance) == PBX_OK, path);
	offered[offered_count] = plugin->offer(instance, "pbx.codec/1");
	must(offered[offered_count] != NULL, path);
	offered_count++;
}

void codec_set_load(const char *plugins)
{
	DIR *folder = opendir(plugins);

	must(folder, plugins);
	for (const struct dirent *entry; (entry = readdir(folder));) {
		char path[PATH_MAX];

		if (strncmp(entry->d_name, "codec_", 6) != 0 || strchr(entry->d_name, '.'))
			continue;
		(void)snprintf(path, sizeof path, "%s/%s/%s.so", plugins, entry->d_name, entry->d_name);
		load(path);
	}
	(void)closedir(folder);
	must(offered_count > 0, plugins);
}

struct core_codec codec_set_find(const char *name)
{
	struct core_codec codecs[RTP_MOST_CODECS];
	uint8_t count = rtp_codecs_list(codecs, RTP_MOST_CODECS, false);
	const char *clock = strchr(name, '/');
	size_t length = clock ? (size_t)(clock - name) : strlen(name);

	for (uint8_t i = 0; i < count; i++)
		if (strlen(codecs[i].name) == length && strncasecmp(codecs[i].name, name, length) == 0 &&
		    (!clock || (uint32_t)atoi(clock + 1) == codecs[i].clock_hz))
			return codecs[i];
	must(false, name);
	return (struct core_codec){ 0 };
}
