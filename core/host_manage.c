/* core/host_manage.c - the plugins of the search path all at once, and one by name while calls run
 *
 * At start every file is tried in a child of its own, all at the same time; those that came through are put in order and brought up one
 * after the other. One that fails is a line in the log and a reason in `plugin list`, never a failed start. */
#include "host_internal.h"
#include "log.h"
#include "loop.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_WITHIN_MS 6000u /* a child takes 5 s at most */

static struct {
	char **path; /* kept for load and reload by name */
	uint32_t path_count;
	uint32_t parts_pending;
	struct batch *batch; /* the load of all, while it lasts */
	uint32_t probes;     /* children under way */
	bool stopping;
	void (*stopped)(void *context);
	void *stopped_context;
} manager;

/* ---- the search path ------------------------------------------------------------------ */

static void forget_path(void)
{
	for (uint32_t i = 0; i < manager.path_count; i++)
		free(manager.path[i]);
	free((void *)manager.path);
	manager.path = NULL;
	manager.path_count = 0;
}

static int keep_path(const char *const *path, uint32_t count)
{
	forget_path();
	manager.path = calloc(count + 1u, sizeof *manager.path);
	if (!manager.path)
		return PBX_ENOMEM;
	for (; manager.path_count < count; manager.path_count++) {
		manager.path[manager.path_count] = strdup(path[manager.path_count]);
		if (!manager.path[manager.path_count])
			return PBX_ENOMEM;
	}
	return PBX_OK;
}

/* The last folder that has NAME.so; owned. NULL: none has. */
static char *find_file(const char *name)
{
	for (uint32_t i = manager.path_count; i > 0; i--) {
		struct stat file;
		char *path = NULL;

		if (asprintf(&path, "%s/%s.so", manager.path[i - 1], name) < 0)
			return NULL;
		if (stat(path, &file) == 0)
			return path;
		free(path);
	}
	return NULL;
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

struct batch {
	void (*done)(void *context);
	void *context;
	struct core_instance **instances; /* came through the child */
	uint32_t count, room, pending, next, ready;
	bool ordered;
};

static void batch_end(struct batch *batch)
{
	void (*done)(void *context) = batch->done;
	void *context = batch->context;

	manager.batch = NULL;
	free((void *)batch->instances);
	free(batch);
	done(context);
}

/* The daemon stops before all are up: nobody is told. */
static void batch_abandon(struct batch *batch)
{
	for (uint32_t i = batch->next; i < batch->count; i++)
		core_instance_free(batch->instances[i]);
	manager.batch = NULL;
	free((void *)batch->instances);
	free(batch);
}

static void batch_next(void *context, void *data);

static void batch_go_on(struct batch *batch)
{
	if (core_post(core_self(), batch_next, batch, NULL, NULL) != PBX_OK)
		batch_next(batch, NULL);
}

static void on_up(void *context, struct core_plugin *plugin, struct core_instance *instance, const struct core_refusal *refusal)
{
	if (!instance)
		core_plugin_failed(plugin, refusal);
	plugin->is_busy = false;
	batch_go_on(context);
}

static void batch_next(void *context, void *data)
{
	struct batch *batch = context;

	(void)data;
	if (manager.stopping)
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
	struct batch *batch = manager.batch;

	if (!batch || batch->pending || batch->ordered || (manager.parts_pending && !manager.stopping))
		return;
	batch->ordered = true;
	if (manager.stopping)
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

int core_host_load_all(const char *const *path, uint32_t path_count, const struct pbx_list *disable, void (*done)(void *context),
		       void *context)
{
	int err = keep_path(path, path_count);

	assert(!manager.batch);
	for (uint32_t i = 0; err == PBX_OK && i < path_count; i++)
		err = scan(path[i], disable);
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
	manager.batch = batch;
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
	manager.parts_pending--;
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
	manager.parts_pending++;
	core_life_begin(instance, on_part_up, NULL);
	return plugin->state == CORE_PLUGIN_FAILED ? plugin->refusal.result : PBX_OK;
}

/* ---- one by name ---------------------------------------------------------------------- */

/* What somebody asked for, from the moment it is posted: whoever asks may stand inside the plugin's own code. */
struct errand {
	void (*run)(struct errand *errand);
	core_plugin_done_fn done;
	void *context;
	struct core_plugin *plugin;
	char name[64];
};

static void errand_end(struct errand *errand, int result, const char *format, ...) PBX_PRINTF(3, 4);
static void errand_end(struct errand *errand, int result, const char *format, ...)
{
	struct pbx_diag diag = { 0 };
	va_list args;

	va_start(args, format);
	(void)vsnprintf(diag.text, sizeof diag.text, format, args);
	va_end(args);
	if (errand->plugin)
		errand->plugin->is_busy = false;
	errand->done(errand->context, result, &diag);
	free(errand);
}

static void on_errand_up(void *context, struct core_plugin *plugin, struct core_instance *instance, const struct core_refusal *refusal)
{
	struct errand *errand = context;

	if (instance) {
		errand_end(errand, PBX_OK, "%s", "");
		return;
	}
	if (plugin->current) /* the one it should have replaced runs on */
		core_log(PBX_LOG_ERROR, plugin->name, NULL, "upgrade_refused", "file=%s reason=\"%s\" cure=\"%s\"", plugin->file,
			 refusal->reason, refusal->cure);
	else
		core_plugin_failed(plugin, refusal);
	errand_end(errand, refusal->result, "%s: %s; %s", plugin->name, refusal->reason, refusal->cure);
}

static void on_errand_tried(void *context, struct core_plugin *plugin, struct core_instance *instance, const struct core_refusal *refusal)
{
	struct core_refusal stopping;

	manager.probes--;
	if (instance && manager.stopping) {
		core_refuse(&stopping, PBX_ECANCELLED, "start it again", "the daemon is being stopped");
		core_instance_free(instance);
		on_errand_up(context, plugin, NULL, &stopping);
	} else if (instance)
		core_life_begin(instance, on_errand_up, context);
	else
		on_errand_up(context, plugin, NULL, refusal);
}

static void errand_load_file(struct errand *errand)
{
	AUTO(text) char *file = find_file(errand->name);

	if (!file) {
		errand_end(errand, PBX_ENOENT, "%s: no folder of plugins.path has %s.so", errand->name, errand->name);
		return;
	}
	struct core_plugin *plugin = core_plugin_add(errand->name, file);
	if (!plugin) {
		errand_end(errand, PBX_ENOMEM, "out of memory");
		return;
	}
	errand->plugin = plugin;
	plugin->is_busy = true;
	manager.probes++;
	if (core_load_file(plugin, on_errand_tried, errand) == PBX_OK)
		return;
	manager.probes--;
	errand_end(errand, PBX_ENOMEM, "%s: it cannot be tried: %s", plugin->name, strerror(errno));
}

/* Refuses what nobody may do now. true: the errand has ended. */
static bool is_refused(struct errand *errand, const struct core_plugin *plugin)
{
	if (plugin && plugin->is_busy)
		errand_end(errand, PBX_EBUSY, "%s: is being loaded or unloaded, try again", errand->name);
	else if (plugin && !plugin->file)
		errand_end(errand, PBX_EPERM, "%s: is a part of the daemon", errand->name);
	else
		return false;
	return true;
}

static void run_load(struct errand *errand)
{
	const struct core_plugin *plugin = core_plugin_find(errand->name);

	if (is_refused(errand, plugin))
		return;
	if (plugin && plugin->current)
		errand_end(errand, PBX_EEXIST, "%s: is running already, reload takes a newer copy", errand->name);
	else
		errand_load_file(errand);
}

static void run_reload(struct errand *errand)
{
	const struct core_plugin *plugin = core_plugin_find(errand->name);

	if (is_refused(errand, plugin))
		return;
	if (!plugin || !plugin->current)
		errand_end(errand, PBX_ENOENT, "%s: is not running", errand->name);
	else
		errand_load_file(errand);
}

/* A running plugin that cannot do without what this one offers, or NULL. */
static const char *find_dependent(const struct core_plugin *plugin)
{
	char id[96];
	bool optional;

	for (const struct core_plugin *other = core_plugins(); other; other = other->next) {
		if (other == plugin || !other->current)
			continue;
		for (const char *const *need = other->current->card.needs; need && *need; need++)
			if (core_need_parse(*need, id, sizeof id, &optional) && !optional &&
			    (strchr(id, '/') ? core_card_offers(&plugin->current->card, id) : !strcmp(id, plugin->name)))
				return other->name;
	}
	return NULL;
}

static uint32_t holds_of(const struct core_plugin *plugin, char *ret_text, size_t size)
{
	uint32_t holds = 0;

	for (const struct core_instance *instance = plugin->instances; instance && !holds; instance = instance->next)
		holds = core_owner_holds(&instance->owner, ret_text, size);
	return holds;
}

static void on_unloaded(void *context)
{
	struct errand *errand = context;

	core_log(PBX_LOG_NOTICE, errand->name, NULL, "plugin_stopped", "by=request");
	errand->plugin->state = CORE_PLUGIN_FOUND;
	core_part_tell("plugin.stopped", errand->plugin, "", "unloaded");
	errand_end(errand, PBX_OK, "%s", "");
}

static void run_unload(struct errand *errand)
{
	struct core_plugin *plugin = core_plugin_find(errand->name);
	char holds[160];

	if (is_refused(errand, plugin))
		return;
	if (!plugin || !plugin->current) {
		errand_end(errand, PBX_ENOENT, "%s: is not running", errand->name);
		return;
	}
	const char *dependent = find_dependent(plugin);
	if (dependent) {
		errand_end(errand, PBX_EBUSY, "%s: %s needs it, unload that first", errand->name, dependent);
		return;
	}
	if (holds_of(plugin, holds, sizeof holds) > 0) {
		errand_end(errand, PBX_EBUSY, "%s: is in use by %s, try again when that has ended, or reload it", errand->name, holds);
		return;
	}
	errand->plugin = plugin;
	plugin->is_busy = true;
	core_life_end(plugin->current, on_unloaded, errand);
}

static void on_errand(void *context, void *data)
{
	struct errand *errand = context;

	(void)data;
	errand->run(errand);
}

static void send_errand(const char *name, void (*run)(struct errand *errand), core_plugin_done_fn done, void *context)
{
	struct errand *errand = calloc(1, sizeof *errand);
	struct pbx_diag diag = { 0 };

	if (errand) {
		*errand = (struct errand){ .run = run, .done = done, .context = context };
		(void)snprintf(errand->name, sizeof errand->name, "%s", name);
		if (core_post(core_self(), on_errand, errand, NULL, NULL) == PBX_OK)
			return;
	}
	free(errand);
	pbx_diag_set(&diag, "", "out of memory");
	done(context, PBX_ENOMEM, &diag);
}

void core_plugin_load(const char *name, core_plugin_done_fn done, void *context)
{
	send_errand(name, run_load, done, context);
}

void core_plugin_unload(const char *name, core_plugin_done_fn done, void *context)
{
	send_errand(name, run_unload, done, context);
}

void core_plugin_reload(const char *name, core_plugin_done_fn done, void *context)
{
	send_errand(name, run_reload, done, context);
}

/* ---- the end -------------------------------------------------------------------------- */

/* The last one that started: it may need those before it, never the other way round. One still on its way up has no place in that order and
 * goes first. */
static struct core_instance *next_to_stop(void)
{
	struct core_instance *last = NULL;

	for (const struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next) {
		for (struct core_instance *instance = plugin->instances; instance; instance = instance->next) {
			if (instance->is_retiring || !instance->then) /* not begun: its batch frees it */
				continue;
			if (!instance->is_started)
				return instance;
			if (!last || instance->order >= last->order)
				last = instance;
		}
	}
	return last;
}

static void stop_next(void *context)
{
	struct core_instance *next;

	(void)context;
	while ((next = next_to_stop()) != NULL && !next->is_started)
		core_life_cancel(next);
	if (next) {
		next->plugin->state = CORE_PLUGIN_FOUND;
		core_life_end(next, stop_next, NULL);
	} else if (manager.stopped) {
		manager.stopped(manager.stopped_context);
	}
}

void core_host_stop_all(void (*done)(void *context), void *context)
{
	manager.stopping = true;
	manager.stopped = done;
	manager.stopped_context = context;
	stop_next(NULL);
}

static bool has_instances(void)
{
	for (const struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next)
		if (plugin->instances)
			return true;
	return false;
}

bool core_manage_fini(void)
{
	uint64_t until_us = core_clock_us() + 1000u * END_WITHIN_MS;

	core_host_stop_all(NULL, NULL);
	while ((has_instances() || manager.batch || manager.probes) && core_clock_us() < until_us) {
		core_loop_step();
		(void)usleep(1000);
	}
	bool all_gone = !has_instances() && !manager.batch && !manager.probes;
	forget_path();
	manager.stopping = false;
	manager.parts_pending = 0;
	return all_gone;
}

/* ---- looking -------------------------------------------------------------------------- */

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
	(void)holds_of(plugin, holds, sizeof holds);
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
