/*
 * notifier.c - event packages and what plugins ask of them: "pbx.notifier/1"
 *
 * notifier_internal.h has the picture. watch.c is who watches, subscribe.c what phones say, notifier_pass.c when they are told, notify.c what,
 * notifier_list.c the same for many at once, notifier_store.c what is kept, publish.c what phones say of themselves.
 */
#include "notifier_internal.h"
#include "overlap.h"
#include <stdlib.h>
#include <string.h>

struct ua_notifier ua_notifier;

/* ---- packages ------------------------------------------------------------------------- */

struct ua_package *ua_package_find(const char *name)
{
	struct ua_package *package = ua_notifier.packages;

	while (package && strcmp(package->name, name) != 0)
		package = package->next;
	return package;
}

struct ua_package *ua_package_get(const char *name)
{
	struct ua_package *package = ua_package_find(name);

	if (package)
		return package;
	package = calloc(1, sizeof *package);
	if (package) {
		package->name = strdup(name);
		package->states = ua_states_new();
	}
	if (!package || !package->name || !package->states) {
		if (package) {
			free(package->name);
			free(package->states);
		}
		free(package);
		return NULL;
	}
	package->next = ua_notifier.packages;
	ua_notifier.packages = package;
	return package;
}

bool ua_packages_header(bool published, char *ret_header, size_t size)
{
	static const char name[] = "Allow-Events: ";
	size_t used = (size_t)snprintf(ret_header, size, "%s", name);
	uint32_t count = 0;

	for (const struct ua_package *package = ua_notifier.packages; package; package = package->next)
		if (package->charge.owner && (!published || package->offer.published) && used + strlen(package->name) + 4 < size)
			used += (size_t)snprintf(ret_header + used, size - used, "%s%s", count++ ? ", " : "", package->name);
	(void)snprintf(ret_header + used, size - used, "\n");
	return count > 0;
}

static void free_types(struct ua_package *package)
{
	for (uint32_t i = 0; package->types && i < package->offer.content_types.count; i++)
		free(package->types[i]);
	free(package->types);
	package->types = NULL;
}

static bool keep_types(struct ua_package *package, const struct pbx_list *types)
{
	char **copies = calloc(types->count, sizeof *copies);

	if (!copies)
		return false;
	free_types(package);
	package->types = copies;
	package->offer.content_types = (struct pbx_list){ (const char *const *)copies, types->count };
	for (uint32_t i = 0; i < types->count; i++) {
		copies[i] = strdup(types->items[i]);
		if (!copies[i])
			return false;
	}
	return true;
}

const char *ua_package_type(const struct ua_package *package, const char *text)
{
	const struct pbx_list *types = &package->offer.content_types;

	for (uint32_t i = 0; package->types && i < types->count; i++)
		if (strcasecmp(types->items[i], text) == 0)
			return types->items[i];
	return NULL;
}

static void end_watch(struct ua_watch *watch, void *reason)
{
	ua_watch_end(watch, reason);
}

/* The plugin goes, and no successor has taken its place: phones are to subscribe again. */
static void revoke_package(struct core_charge *charge)
{
	struct ua_package *package = (struct ua_package *)((char *)charge - offsetof(struct ua_package, charge));

	core_charge_remove(charge);
	ua_publications_drop(package);
	ua_watches_each(package, end_watch, (void *)"deactivated");
	package->self = NULL;
}

/* What the store brought back, or another version of the plugin began: its document may be another one now. */
static void take_over(struct ua_watch *watch, void *context)
{
	const struct ua_package *package = watch->package;

	(void)context;
	watch->content_type = ua_package_type(package, watch->wanted_type);
	if (!watch->content_type)
		watch->content_type = package->offer.content_types.items[0];
	for (uint32_t i = 0; i < watch->point_count; i++)
		watch->points[i].stamp = 0;
	ua_watch_want(watch, true);
}

static int notifier_package(struct pbx_host *host, const struct pbx_event_package *offered, void *self)
{
	struct pbx_event_package offer = { .size = sizeof offer };
	struct ua_package *package;

	if (!offered || offered->size > 1024 || !offered->name || !offered->name[0] || !offered->content_types.count || !offered->write)
		return PBX_EINVAL;
	package = ua_package_get(offered->name);
	if (!package)
		return PBX_ENOMEM;
	if (package->charge.owner && strcmp(core_owner_name(package->charge.owner), core_owner_name(host)) != 0)
		return PBX_EEXIST;
	core_copy_overlap(&offer, sizeof offer, offered, offered->size);
	if (!keep_types(package, &offered->content_types))
		return PBX_ENOMEM;
	offer.content_types = package->offer.content_types;
	offer.name = package->name;
	package->offer = offer;
	package->self = self;
	core_charge_remove(&package->charge); /* a version of the plugin before this one */
	core_charge_add(host, &package->charge, "event package", false, revoke_package);
	ua_watches_each(package, take_over, NULL);
	return PBX_OK;
}

/* ---- pbx.notifier/1 ------------------------------------------------------------------- */

static int notifier_changed(struct pbx_host *host, const char *name, const char *resource)
{
	struct ua_package *package = ua_package_find(name);
	struct ua_state *state;

	if (!package || package->charge.owner != host)
		return PBX_ENOENT;
	state = ua_state_find(package, resource);
	if (!state || state->dirty)
		return PBX_OK;
	state->dirty = true;
	state->next_dirty = ua_notifier.first_dirty;
	ua_notifier.first_dirty = state;
	ua_pass_want();
	return PBX_OK;
}

static uint32_t notifier_watchers(const char *name, const char *resource)
{
	const struct ua_package *package = ua_package_find(name);
	const struct ua_state *state = package && resource ? ua_state_find(package, resource) : NULL;
	uint32_t count = 0;

	if (package && !resource)
		return package->watch_count;
	for (const struct ua_point *point = state ? state->points : NULL; point; point = point->next)
		count++;
	return count;
}

struct showing {
	void (*each)(void *context, const struct pbx_watch_info *info);
	void *context;
};

static void show_watch(struct ua_watch *watch, void *context)
{
	const struct showing *showing = context;
	struct pbx_watch_info info;

	ua_watch_info(watch, watch->resource, &info);
	showing->each(showing->context, &info);
}

static void notifier_each(const char *name, const char *resource, void (*each)(void *context, const struct pbx_watch_info *info),
			  void *context)
{
	const struct ua_package *package = name ? ua_package_find(name) : NULL;
	const struct ua_state *state = package && resource ? ua_state_find(package, resource) : NULL;
	struct showing showing = { each, context };

	if (!resource && (package || !name))
		ua_watches_each(package, show_watch, &showing);
	for (struct ua_point *point = state ? state->points : NULL; point; point = point->next)
		show_watch(point->watch, &showing);
}

const struct pbx_notifier ua_notifier_service = {
	.header = PBX_HEADER(struct pbx_notifier),
	.package = notifier_package,
	.changed = notifier_changed,
	.watchers = notifier_watchers,
	.each = notifier_each,
	.set_list = ua_list_set,
	.tell = ua_notify_tell,
};

/* ---- life ----------------------------------------------------------------------------- */

uint32_t ua_notifier_count(void)
{
	return ua_notifier.count;
}

int ua_notifier_start(struct ua *ua)
{
	memset(&ua_notifier, 0, sizeof ua_notifier);
	ua_notifier.ua = ua;
	return ua_watches_init();
}

static void free_watch(struct ua_watch *watch, void *context)
{
	(void)context;
	ua_watch_free(watch);
}

void ua_notifier_stop(void)
{
	struct ua_package *package;

	if (!ua_notifier.ua)
		return;
	ua_publications_drop(NULL);
	ua_pass_stop();
	ua_watches_each(NULL, free_watch, NULL);
	ua_lists_free();
	while ((package = ua_notifier.packages) != NULL) {
		ua_notifier.packages = package->next;
		core_charge_remove(&package->charge);
		free_types(package);
		free(package->states);
		free(package->name);
		free(package);
	}
	ua_watches_fini();
	memset(&ua_notifier, 0, sizeof ua_notifier);
}
