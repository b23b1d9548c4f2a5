/* core/host_manage.c - plugins one by name, while calls run, and all of them at the end
 *
 * What somebody asks for (load, reload, unload) is an errand: refused at once when it cannot be, else told when it is done. */
#include "host_internal.h"
#include "log.h"
#include "loop.h"
#include "request_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END_WITHIN_MS 6000u /* a trial takes 5 s at most */

static struct {
	uint32_t probes; /* trials under way */
	bool stopping;
	void (*stopped)(void *context);
	void *stopped_context;
} manager;

/* ---- one by name ---------------------------------------------------------------------- */

/* What somebody asked for, from the moment it is posted: whoever asks may stand inside the plugin's own code. */
struct errand {
	void (*run)(struct errand *errand);
	core_plugin_done_fn done;
	void *context;
	struct core_plugin *plugin;
	struct core_post_node sent;
	char name[64];
	char folder[160]; /* "": only a name was said, as it should be */
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
	AUTO(text) char *file = core_batch_find_file(errand->name);

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
		errand_end(errand, PBX_EPERM, "%s: is a part of the daemon, which comes and goes with pbxd", errand->name);
	else
		return false;
	return true;
}

static void refuse_absent(struct errand *errand, const struct core_plugin *plugin)
{
	struct core_nearest nearest = { .text = errand->name };

	for (const struct core_plugin *other = core_plugins(); other; other = other->next)
		if (other->current && other->file)
			core_nearest_consider(&nearest, other->name);
	if (plugin)
		errand_end(errand, PBX_ENOENT, "%s: is not running, `pbxctl plugin load` starts it", errand->name);
	else if (nearest.word[0])
		errand_end(errand, PBX_ENOENT, "%s: there is no such plugin, did you mean %s?", errand->name, nearest.word);
	else
		errand_end(errand, PBX_ENOENT, "%s: there is no such plugin, `pbxctl plugin list` shows those there are", errand->name);
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
		refuse_absent(errand, plugin);
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
		refuse_absent(errand, plugin);
		return;
	}
	const char *dependent = find_dependent(plugin);
	if (dependent) {
		errand_end(errand, PBX_EBUSY, "%s: %s needs it, unload that first", errand->name, dependent);
		return;
	}
	if (core_plugin_holds(plugin, holds, sizeof holds) > 0) {
		errand_end(errand, PBX_EBUSY, "%s: is in use by %s, try again when that has ended, or reload it", errand->name, holds);
		return;
	}
	errand->plugin = plugin;
	plugin->is_busy = true;
	core_life_end(plugin->current, on_unloaded, errand);
}

const char *core_plugin_name_in(const char *said, int *ret_length)
{
	const char *slash = strrchr(said, '/'), *name = slash ? slash + 1 : said;
	size_t length = strlen(name);

	if (length > 3 && strcmp(name + length - 3, ".so") == 0)
		length -= 3;
	*ret_length = (int)length;
	return name;
}

static void read_name(struct errand *errand, const char *said)
{
	const char *slash = strrchr(said, '/');
	int length;
	const char *name = core_plugin_name_in(said, &length);

	(void)snprintf(errand->name, sizeof errand->name, "%.*s", length, name);
	if (slash)
		(void)snprintf(errand->folder, sizeof errand->folder, "%.*s", slash == said ? 1 : (int)(slash - said), said);
}

static void on_errand(void *context)
{
	struct errand *errand = context;

	if (errand->folder[0])
		errand_end(
			errand, PBX_EINVAL, "%s: a plugin is called by its name, %s; %s is %s", errand->name, errand->name, errand->folder,
			core_batch_searches(errand->folder) ? "a folder of plugins.path"
							    : "no folder of plugins.path: add it there, or copy the file to one that is");
	else
		errand->run(errand);
}

static void send_errand(const char *name, void (*run)(struct errand *errand), core_plugin_done_fn done, void *context)
{
	struct errand *errand = calloc(1, sizeof *errand);
	struct pbx_diag diag = { 0 };

	if (!errand) {
		pbx_diag_set(&diag, "", "out of memory");
		done(context, PBX_ENOMEM, &diag);
		return;
	}
	*errand = (struct errand){ .run = run, .done = done, .context = context };
	read_name(errand, name);
	core_post_node(core_self(), &errand->sent, on_errand, errand);
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
	core_batch_stop();
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
	while ((has_instances() || !core_batch_is_over() || manager.probes) && core_clock_us() < until_us) {
		core_loop_step();
		(void)usleep(1000);
	}
	bool all_gone = !has_instances() && core_batch_is_over() && !manager.probes;
	core_batch_fini();
	manager.stopping = false;
	return all_gone;
}
