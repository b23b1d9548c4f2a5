/* core/host_batch.c - the plugins of the search path, all at once, and the daemon's own parts before them
 *
 * At start every file is tried in a process of its own, as many at a time as the pool has threads; those that came through are put in order and brought up one
 * after the other, when the parts are up. One that fails is a line in the log and a reason in `plugin list`, never a failed start. */
#include "host_internal.h"
#include "log.h"
#include "loop.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct batch {
	void (*done)(void *context);
	void *context;
	struct core_instance **instances; /* came through the trial */
	uint32_t count, room, pending, next, ready;
	bool ordered;
	struct core_post_node going_on;
};

static struct {
	char **path; /* kept for load and reload by name */
	uint32_t path_count;
	uint32_t parts_pending;
	struct batch *batch; /* the load of all, while it lasts */
	bool stopping;
} all;

/* ---- the search path ------------------------------------------------------------------ */

static void path_free(char **path, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(path[i]);
	free((void *)path);
}

static void forget_path(void)
{
	path_free(all.path, all.path_count);
	all.path = NULL;
	all.path_count = 0;
}

int core_host_use_path(const char *const *path, uint32_t count)
{
	char **fresh = calloc(count + 1u, sizeof *fresh);
	uint32_t copied = 0;

	while (fresh && copied < count && (fresh[copied] = strdup(path[copied])))
		copied++;
	if (!fresh || copied < count) {
		path_free(fresh, copied);
		return PBX_ENOMEM;
	}
	forget_path();
	all.path = fresh;
	all.path_count = count;
	return PBX_OK;
}

/* The last folder that has NAME.so; owned. NULL: none has. */
char *core_batch_find_file(const char *name)
{
	for (uint32_t i = all.path_count; i > 0; i--) {
		struct stat file;
		char *path = NULL;

		if (asprintf(&path, "%s/%s.so", all.path[i - 1], name) < 0)
			return NULL;
		if (stat(path, &file) == 0)
			return path;
		free(path);
	}
	return NULL;
}

bool core_batch_searches(const char *dir)
{
	struct stat asked, searched;

	if (stat(dir, &asked) != 0)
		return false;
	for (uint32_t i = 0; i < all.path_count; i++)
		if (stat(all.path[i], &searched) == 0 && searched.st_dev == asked.st_dev && searched.st_ino == asked.st_ino)
			return true;
	return false;
}

static bool is_disabled(const struct pbx_list *disable, const char *name)
{
	for (uint32_t i = 0; disable && i < disable->count; i++)
		if (!strcmp(disable->items[i], name))
			return true;
	return false;
}

static int add_file(const char *dir, const char *entry, const struct pbx_list *disable)
{
	size_t length = strlen(entry);
	char name[64], path[4096];

	if (length <= 3 || strcmp(entry + length - 3, ".so") != 0)
		return PBX_OK;
	(void)snprintf(path, sizeof path, "%s/%s", dir, entry);
	if (length - 3 >= sizeof name) {
		core_log(PBX_LOG_ERROR, "core", NULL, "plugin_refused",
			 "file=%s reason=\"its name is too long\" cure=\"give it at most 63 characters\"", path);
		return PBX_OK;
	}
	memcpy(name, entry, length - 3);
	name[length - 3] = '\0';

	const struct core_plugin *known = core_plugin_find(name);
	if (known && !known->file) {
		core_log(PBX_LOG_ERROR, name, NULL, "plugin_refused",
			 "file=%s reason=\"a part of the daemon has this name\" cure=\"rename it\"", path);
		return PBX_OK;
	}
	struct core_plugin *plugin = core_plugin_add(name, path);
	if (!plugin)
		return PBX_ENOMEM;
	if (is_disabled(disable, name))
		plugin->state = CORE_PLUGIN_DISABLED;
	return PBX_OK;
}

static int scan(const char *dir, const struct pbx_list *disable)
{
	DIR *entries = opendir(dir);
	int err = PBX_OK;

	if (!entries) {
		core_log(PBX_LOG_WARN, "core", NULL, "plugin_folder_skipped", "path=%s reason=\"%s\"", dir, strerror(errno));
		return PBX_OK;
	}
	for (const struct dirent *entry; err == PBX_OK && (entry = readdir(entries)) != NULL;)
		err = add_file(dir, entry->d_name, disable);
	(void)closedir(entries);
	return err;
}

/* ---- all of it ------------------------------------------------------------------------ */

static void batch_end(struct batch *batch)
{
	void (*done)(void *context) = batch->done;
	void *context = batch->context;

	all.batch = NULL;
	free((void *)batch->instances);
	free(batch);
	done(context);
}

/* The daemon stops before all are up: nobody is told. */
static void batch_abandon(struct batch *batch)
{
	for (uint32_t i = batch->next; i < batch->count; i++)
		core_instance_free(batch->instances[i]);
	all.batch = NULL;
	free((void *)batch->instances);
	free(batch);
}

static void batch_next(void *context);

static void batch_go_on(struct batch *batch)
{
	core_post_node(core_self(), &batch->going_on, batch_next, batch);
}

static void on_up(void *context, struct core_plugin *plugin, struct core_instance *instance, const struct core_refusal *refusal)
{
	if (!instance)
		core_plugin_failed(plugin, refusal);
	plugin->is_busy = false;
	batch_go_on(context);
}

static void batch_next(void *context)
{
	struct batch *batch = context;

	if (all.stopping)
		batch_abandon(batch);
	else if (batch->next == batch->ready)
		batch_end(batch);
	else
		core_life_begin(batch->instances[batch->next++], on_up, batch);
}

static void batch_order(struct batch *batch)
{
	AUTO(text) char *memory = calloc(batch->count + 1u, sizeof(struct core_refusal));
	struct core_refusal *refused = (struct core_refusal *)(void *)memory;

	if (refused) {
		core_order(batch->instances, batch->count, &batch->ready, refused);
		for (uint32_t i = batch->ready; i < batch->count; i++) {
			struct core_plugin *plugin = batch->instances[i]->plugin;

			core_instance_free(batch->instances[i]);
			core_plugin_failed(plugin, &refused[i]);
			plugin->is_busy = false;
		}
		batch->count = batch->ready;
	}
	batch_go_on(batch);
}

/* All files have been tried and no part is on its way any more. */
static void batch_check(void)
{
	struct batch *batch = all.batch;

	if (!batch || batch->pending || batch->ordered || (all.parts_pending && !all.stopping))
		return;
	batch->ordered = true;
	if (all.stopping)
		batch_abandon(batch);
	else
		batch_order(batch);
}

static void on_tried(void *context, struct core_plugin *plugin, struct core_instance *instance, const struct core_refusal *refusal)
{
	struct batch *batch = context;

	if (instance) {
		batch->instances[batch->count++] = instance;
	} else {
		core_plugin_failed(plugin, refusal);
		plugin->is_busy = false;
	}
	if (!--batch->pending)
		batch_check();
}

static void try_file(struct batch *batch, struct core_plugin *plugin)
{
	struct core_refusal refusal;

	plugin->is_busy = true;
	batch->pending++;
	if (core_load_file(plugin, on_tried, batch) == PBX_OK)
		return;
	core_refuse(&refusal, PBX_ENOMEM, "make room in memory and in the folder for temporary files", "it cannot be tried: %s",
		    strerror(errno));
	core_plugin_failed(plugin, &refusal);
	plugin->is_busy = false;
	batch->pending--;
}

int core_host_find_all(const char *const *path, uint32_t path_count, const struct pbx_list *disable)
{
	int err = core_host_use_path(path, path_count);

	for (uint32_t i = 0; err == PBX_OK && i < path_count; i++)
		err = scan(path[i], disable);
	return err;
}

int core_host_load_all(const char *const *path, uint32_t path_count, const struct pbx_list *disable, void (*done)(void *context),
		       void *context)
{
	int err = core_host_find_all(path, path_count, disable);

	assert(!all.batch);
	if (err != PBX_OK)
		return err;

	struct batch *batch = calloc(1, sizeof *batch);
	for (const struct core_plugin *plugin = core_plugins(); batch && plugin; plugin = plugin->next)
		batch->room++;
	if (batch)
		batch->instances = calloc(batch->room + 1u, sizeof *batch->instances);
	if (!batch || !batch->instances) {
		free(batch);
		return PBX_ENOMEM;
	}
	batch->done = done;
	batch->context = context;
	all.batch = batch;
	batch->pending = 1; /* ours, until all are under way */
	for (struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next)
		if (plugin->file && plugin->state == CORE_PLUGIN_FOUND && !plugin->is_busy)
			try_file(batch, plugin);
	batch->pending--;
	batch_check();
	return PBX_OK;
}

/* ---- the daemon's own parts ----------------------------------------------------------- */

static void on_part_up(void *context, struct core_plugin *plugin, struct core_instance *instance, const struct core_refusal *refusal)
{
	(void)context;
	plugin->is_busy = false;
	all.parts_pending--;
	if (!instance)
		core_plugin_failed(plugin, refusal);
	batch_check();
}

int core_host_add_part(const struct pbx_plugin *part, void *memory)
{
	struct core_plugin *plugin = core_plugin_add(part->name, NULL);
	struct core_instance *instance = plugin ? core_instance_new(plugin, part, memory) : NULL;

	if (!instance)
		return PBX_ENOMEM;
	plugin->is_busy = true;
	all.parts_pending++;
	core_life_begin(instance, on_part_up, NULL);
	return plugin->state == CORE_PLUGIN_FAILED ? plugin->refusal.result : PBX_OK;
}

/* ---- the end -------------------------------------------------------------------------- */

void core_batch_stop(void)
{
	all.stopping = true;
}

bool core_batch_is_over(void)
{
	return !all.batch;
}

void core_batch_fini(void)
{
	forget_path();
	all.stopping = false;
	all.parts_pending = 0;
}
