/*
 * notifier.c - packages, who watches what of them, and the pass that tells everybody
 *
 * notifier_internal.h has the picture. subscribe.c is what phones say, notify.c what they are told, notifier_store.c what is kept, publish.c what phones
 * say of themselves. A change costs a mark; the pass runs once after the present callback, so a burst of changes is one document. Who has been told
 * less than throttle_ms ago, or has not answered yet, is told later, and then the state as it is by then.
 */
#include "notifier_internal.h"
#include "loop.h"
#include "timer.h"
#include <stdlib.h>
#include <string.h>

#define DIALOG_CHAINS 4096u
#define STATE_CHAINS 1024u
#define THROTTLE_MS 100u

struct ua_notifier ua_notifier;

static uint32_t hash_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash ^ hash >> 15;
}

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
		package->states = calloc(STATE_CHAINS, sizeof(struct ua_state *));
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

/* Every watch of a package, and of all with NULL. fn may end it. */
static void each_watch(const struct ua_package *package, void (*fn)(struct ua_watch *watch, void *context), void *context)
{
	struct ua_watch *next;

	for (uint32_t i = 0; ua_notifier.dialogs && i < DIALOG_CHAINS; i++)
		for (struct ua_watch *watch = ua_notifier.dialogs[i]; watch; watch = next) {
			next = watch->next_of_dialog;
			if (!package || watch->package == package)
				fn(watch, context);
		}
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
	each_watch(package, end_watch, (void *)"deactivated");
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
	memcpy(&offer, offered, offered->size < sizeof offer ? offered->size : sizeof offer);
	if (!keep_types(package, &offered->content_types))
		return PBX_ENOMEM;
	offer.content_types = package->offer.content_types;
	offer.name = package->name;
	package->offer = offer;
	package->self = self;
	core_charge_remove(&package->charge); /* a version of the plugin before this one */
	core_charge_add(host, &package->charge, "event package", false, revoke_package);
	each_watch(package, take_over, NULL);
	return PBX_OK;
}

/* ---- states and points ---------------------------------------------------------------- */

static struct ua_state *state_find(const struct ua_package *package, const char *name)
{
	struct ua_state *state = package->states[hash_of(name) % STATE_CHAINS];

	while (state && strcmp(state->name, name) != 0)
		state = state->next;
	return state;
}

static struct ua_state *state_get(struct ua_package *package, const char *name)
{
	struct ua_state *state = state_find(package, name);
	struct ua_state **chain = &package->states[hash_of(name) % STATE_CHAINS];

	if (state)
		return state;
	state = calloc(1, sizeof *state + strlen(name) + 1);
	if (!state)
		return NULL;
	memcpy(state->name, name, strlen(name) + 1);
	state->package = package;
	state->next = *chain;
	*chain = state;
	return state;
}

void ua_state_free_when_alone(struct ua_state *state)
{
	struct ua_state **at = &state->package->states[hash_of(state->name) % STATE_CHAINS];

	if (state->points || state->dirty || state->cached)
		return;
	while (*at != state)
		at = &(*at)->next;
	*at = state->next;
	free(state);
}

static bool point_init(struct ua_point *point, struct ua_watch *watch, const char *resource, const char *display)
{
	struct ua_state *state = state_get(watch->package, resource);

	if (!state || (display && !(point->display = strdup(display))))
		return false;
	point->watch = watch;
	point->state = state;
	point->dirty = true;
	point->next = state->points;
	point->at = &state->points;
	if (state->points)
		state->points->at = &point->next;
	state->points = point;
	return true;
}

static void point_fini(struct ua_point *point)
{
	free(point->display);
	if (!point->at)
		return;
	*point->at = point->next;
	if (point->next)
		point->next->at = point->at;
	ua_state_free_when_alone(point->state);
}

/* ---- watches -------------------------------------------------------------------------- */

struct ua_watch *ua_watch_new(struct ua_package *package, struct ua_list *list, const char *resource)
{
	struct ua_watch *watch = calloc(1, sizeof *watch);
	uint32_t count = list ? list->count : 1;

	if (!watch)
		return NULL;
	watch->package = package;
	watch->list = list;
	watch->points = calloc(count, sizeof *watch->points);
	watch->resource = strdup(resource);
	if (!watch->points || !watch->resource) {
		ua_watch_free(watch);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		watch->point_count = i + 1;
		if (!point_init(&watch->points[i], watch, list ? list->resources[i] : resource, list ? list->displays[i] : NULL)) {
			ua_watch_free(watch);
			return NULL;
		}
	}
	return watch;
}

static struct ua_watch **chain_of(const char *local_tag)
{
	return &ua_notifier.dialogs[hash_of(local_tag) % DIALOG_CHAINS];
}

int ua_watch_add(struct ua_watch *watch)
{
	static uint64_t last_handle;
	struct ua_watch **chain = chain_of(watch->local_tag);

	watch->handle = ++last_handle;
	watch->next_of_dialog = *chain;
	*chain = watch;
	watch->package->watch_count++;
	ua_notifier.count++;
	return PBX_OK;
}

struct ua_watch *ua_watch_find(const char *call_id, const char *local_tag, const char *remote_tag)
{
	struct ua_watch *watch = *chain_of(local_tag);

	while (watch && (strcmp(watch->local_tag, local_tag) != 0 || strcmp(watch->remote_tag, remote_tag) != 0 ||
			 strcmp(watch->call_id, call_id) != 0))
		watch = watch->next_of_dialog;
	return watch;
}

static void leave_line(struct ua_watch *watch)
{
	struct ua_watch **at = &ua_notifier.first_pending, *last = NULL;

	if (!watch->pending)
		return;
	for (; *at && *at != watch; at = &(*at)->next_pending)
		last = *at;
	if (*at) {
		*at = watch->next_pending;
		if (ua_notifier.last_pending == watch)
			ua_notifier.last_pending = last;
	}
	watch->pending = false;
}

void ua_watch_free(struct ua_watch *watch)
{
	char *texts[] = { watch->resource, watch->event_id,  watch->watcher,    watch->device,     watch->call_id,
			  watch->local,    watch->local_tag, watch->remote,     watch->remote_tag, watch->target,
			  watch->route,    watch->received,  watch->wanted_type };

	leave_line(watch);
	if (watch->handle) {
		struct ua_watch **at = chain_of(watch->local_tag);

		while (*at != watch)
			at = &(*at)->next_of_dialog;
		*at = watch->next_of_dialog;
		watch->package->watch_count--;
		ua_notifier.count--;
	}
	(void)core_timer_stop(watch->expiry); /* it may be what called us */
	if (watch->out)
		nta_outgoing_destroy(watch->out); /* Sofia goes on sending it by itself */
	for (uint32_t i = 0; i < watch->point_count; i++)
		point_fini(&watch->points[i]);
	free(watch->points);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
	free(watch);
}

void ua_watch_end(struct ua_watch *watch, const char *reason)
{
	const struct ua_package *package = watch->package;

	if (reason && ua_notifier.open) {
		ua_notifier.pass += !ua_notifier.in_pass; /* what is written now is written anew */
		(void)ua_notify(watch, reason);           /* without memory the phone finds out by itself */
		if (!ua_notifier.in_pass)
			ua_documents_forget();
	}
	ua_watch_unstore(watch);
	if (package->charge.owner && package->offer.ended)
		CORE_INTO(package->charge.owner, package->offer.ended(package->self, (pbx_watch){ watch->handle }));
	ua_watch_free(watch);
}

static void on_expiry(void *self, pbx_timer timer)
{
	(void)timer;
	ua_watch_end(self, "timeout");
}

void ua_watch_arm(struct ua_watch *watch, int64_t expires_wall_us)
{
	int64_t left_us = expires_wall_us - core_wall_us();

	watch->expires_wall_us = expires_wall_us;
	(void)core_timer_stop(watch->expiry); /* a first one has none */
	watch->expiry = (pbx_timer){ 0 };
	if (core_timer_start(ua_notifier.ua->host, left_us > 0 ? (uint64_t)left_us / 1000 : 0, 0, on_expiry, watch, &watch->expiry) !=
	    PBX_OK)
		pbx_warn(ua_notifier.ua->host, "subscription_without_end", "watcher=%s reason=no_memory", watch->watcher);
}

void ua_watch_info(const struct ua_watch *watch, const char *resource, struct pbx_watch_info *ret_info)
{
	int64_t left_us = watch->expires_wall_us - core_wall_us();

	*ret_info = (struct pbx_watch_info){
		.size = sizeof *ret_info,
		.watch = { watch->handle },
		.package = watch->package->name,
		.resource = resource,
		.watcher = watch->watcher,
		.device = watch->device,
		.content_type = watch->content_type ? watch->content_type : "",
		.body = "",
		.body_type = "",
		.domain = ua_notifier.ua->settings->domain,
		.expires_s = left_us > 0 ? (uint32_t)(left_us / 1000000) : 0,
	};
}

struct tally {
	const char *watcher;
	uint32_t count;
};

static void count_watch(struct ua_watch *watch, void *context)
{
	struct tally *tally = context;

	tally->count += strcmp(watch->watcher, tally->watcher) == 0;
}

uint32_t ua_watches_of(const char *watcher)
{
	struct tally tally = { .watcher = watcher };

	each_watch(NULL, count_watch, &tally);
	return tally.count;
}

/* ---- the pass ------------------------------------------------------------------------- */

static void mark_points(void)
{
	struct ua_state *state;

	while ((state = ua_notifier.first_dirty) != NULL) {
		ua_notifier.first_dirty = state->next_dirty;
		state->dirty = false;
		for (struct ua_point *point = state->points; point; point = point->next) {
			point->dirty = true;
			ua_watch_want(point->watch, false);
		}
		ua_state_free_when_alone(state);
	}
}

static void run_pass(void);

static void on_timer(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	ua_notifier.timer = (pbx_timer){ 0 };
	run_pass();
}

static void arm_timer(uint64_t at_ms)
{
	uint64_t now_ms = core_now_ms();

	if (ua_notifier.timer.id && ua_notifier.timer_at_ms <= at_ms)
		return;
	(void)core_timer_stop(ua_notifier.timer); /* a first one has none */
	ua_notifier.timer_at_ms = at_ms;
	if (core_timer_start(ua_notifier.ua->host, at_ms > now_ms ? at_ms - now_ms : 0, 0, on_timer, NULL, &ua_notifier.timer) != PBX_OK)
		pbx_warn(ua_notifier.ua->host, "lamps_late", "reason=no_memory");
}

static void join_line(struct ua_watch *watch)
{
	watch->pending = true;
	watch->next_pending = NULL;
	if (ua_notifier.last_pending)
		ua_notifier.last_pending->next_pending = watch;
	else
		ua_notifier.first_pending = watch;
	ua_notifier.last_pending = watch;
}

static uint32_t throttle_of(const struct ua_watch *watch)
{
	return watch->package->offer.throttle_ms ? watch->package->offer.throttle_ms : THROTTLE_MS;
}

/* Everybody in line once. Who must wait stays in it; the timer is set for the first of them. */
static void run_pass(void)
{
	struct ua_watch *last, *watch;
	uint64_t now_ms = core_now_ms(), next_at_ms = UINT64_MAX;
	bool more;

	ua_notifier.pass_due = false;
	ua_notifier.pass++;
	ua_notifier.in_pass = true;
	mark_points();
	last = ua_notifier.last_pending;
	do {
		watch = ua_notifier.first_pending;
		if (!watch)
			break;
		more = watch != last;
		ua_notifier.first_pending = watch->next_pending;
		if (!ua_notifier.first_pending)
			ua_notifier.last_pending = NULL;
		watch->pending = false;
		if (watch->out)
			continue; /* its answer brings it back */
		if (watch->next_at_ms > now_ms) {
			next_at_ms = watch->next_at_ms < next_at_ms ? watch->next_at_ms : next_at_ms;
			join_line(watch);
			continue;
		}
		watch->next_at_ms = now_ms + throttle_of(watch);
		(void)ua_notify(watch, NULL); /* without memory the next change tells */
	} while (more);
	ua_documents_forget();
	ua_notifier.in_pass = false;
	if (next_at_ms != UINT64_MAX)
		arm_timer(next_at_ms);
}

static void on_pass(void *context, void *data)
{
	(void)context, (void)data;
	if (ua_notifier.ua)
		run_pass();
}

static void want_pass(void)
{
	if (ua_notifier.pass_due || !ua_notifier.open)
		return;
	ua_notifier.pass_due = core_post(ua_notifier.ua->host, on_pass, NULL, NULL, NULL) == PBX_OK; /* else the next change asks for it */
}

void ua_notifier_open(void)
{
	ua_notifier.open = true;
	want_pass();
}

void ua_watch_want(struct ua_watch *watch, bool full)
{
	watch->full = watch->full || full;
	if (full)
		for (uint32_t i = 0; i < watch->point_count; i++) {
			watch->points[i].dirty = true;
			watch->points[i].stamp = 0;
		}
	if (watch->pending || watch->out || !watch->package->charge.owner)
		return;
	join_line(watch);
	if (!ua_notifier.in_pass)
		want_pass();
}

/* ---- pbx.notifier/1 ------------------------------------------------------------------- */

static int notifier_changed(struct pbx_host *host, const char *name, const char *resource)
{
	struct ua_package *package = ua_package_find(name);
	struct ua_state *state;

	if (!package || package->charge.owner != host)
		return PBX_ENOENT;
	state = state_find(package, resource);
	if (!state || state->dirty)
		return PBX_OK;
	state->dirty = true;
	state->next_dirty = ua_notifier.first_dirty;
	ua_notifier.first_dirty = state;
	want_pass();
	return PBX_OK;
}

static uint32_t notifier_watchers(const char *name, const char *resource)
{
	const struct ua_package *package = ua_package_find(name);
	const struct ua_state *state = package && resource ? state_find(package, resource) : NULL;
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
	const struct ua_state *state = package && resource ? state_find(package, resource) : NULL;
	struct showing showing = { each, context };

	if (!resource && (package || !name))
		each_watch(package, show_watch, &showing);
	for (struct ua_point *point = state ? state->points : NULL; point; point = point->next)
		show_watch(point->watch, &showing);
}

/* ---- lists ---------------------------------------------------------------------------- */

struct ua_list *ua_list_find(const char *name)
{
	struct ua_list *list = ua_notifier.lists;

	while (list && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

static void list_free(struct ua_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		free(list->resources[i]);
		free(list->displays[i]);
	}
	free(list->resources);
	free(list->displays);
	free(list);
}

static void end_of_list(struct ua_watch *watch, void *list)
{
	if (watch->list == list)
		ua_watch_end(watch, "deactivated");
}

static void revoke_list(struct core_charge *charge)
{
	struct ua_list *list = (struct ua_list *)((char *)charge - offsetof(struct ua_list, charge)), **at = &ua_notifier.lists;

	core_charge_remove(charge);
	each_watch(NULL, end_of_list, list);
	while (*at != list)
		at = &(*at)->next;
	*at = list->next;
	list_free(list);
}

static struct ua_list *list_new(const char *name, const struct pbx_table *members)
{
	struct ua_list *list = calloc(1, sizeof *list + strlen(name) + 1);

	if (!list)
		return NULL;
	memcpy(list->name, name, strlen(name) + 1);
	list->resources = calloc(members->count, sizeof *list->resources);
	list->displays = calloc(members->count, sizeof *list->displays);
	for (uint32_t i = 0; list->resources && list->displays && i < members->count; i++) {
		const struct pbx_list_member *member = (const void *)((const char *)members->rows + (size_t)i * members->row_size);

		list->count = i + 1;
		list->resources[i] = strdup(member->resource);
		list->displays[i] = strdup(member->display ? member->display : "");
		if (!list->resources[i] || !list->displays[i])
			break;
		if (i + 1 == members->count)
			return list;
	}
	list_free(list);
	return NULL;
}

static int notifier_set_list(struct pbx_host *host, const char *name, const struct pbx_table *members)
{
	struct ua_list *old = name ? ua_list_find(name) : NULL, *list = NULL;

	if (!name || !name[0] || (members && (members->count > UA_MOST_MEMBERS || members->row_size < sizeof(struct pbx_list_member))))
		return PBX_EINVAL;
	if (old && strcmp(core_owner_name(old->charge.owner), core_owner_name(host)) != 0)
		return PBX_EEXIST;
	if (members && members->count && !(list = list_new(name, members)))
		return PBX_ENOMEM;
	if (old)
		revoke_list(&old->charge); /* phones subscribe to the new one */
	if (!list)
		return PBX_OK;
	core_charge_add(host, &list->charge, "resource list", false, revoke_list);
	list->next = ua_notifier.lists;
	ua_notifier.lists = list;
	return PBX_OK;
}

const struct pbx_notifier ua_notifier_service = {
	.header = PBX_HEADER(struct pbx_notifier),
	.package = notifier_package,
	.changed = notifier_changed,
	.watchers = notifier_watchers,
	.each = notifier_each,
	.set_list = notifier_set_list,
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
	ua_notifier.dialogs = calloc(DIALOG_CHAINS, sizeof(struct ua_watch *));
	return ua_notifier.dialogs ? PBX_OK : PBX_ENOMEM;
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
	while (ua_notifier.first_dirty) {
		struct ua_state *state = ua_notifier.first_dirty;

		ua_notifier.first_dirty = state->next_dirty;
		state->dirty = false;
		ua_state_free_when_alone(state);
	}
	each_watch(NULL, free_watch, NULL);
	while (ua_notifier.lists)
		revoke_list(&ua_notifier.lists->charge);
	while ((package = ua_notifier.packages) != NULL) {
		ua_notifier.packages = package->next;
		core_charge_remove(&package->charge);
		free_types(package);
		free(package->states);
		free(package->name);
		free(package);
	}
	(void)core_timer_stop(ua_notifier.timer); /* most often there is none */
	free(ua_notifier.dialogs);
	memset(&ua_notifier, 0, sizeof ua_notifier);
}
