/*
 * watch.c - who watches: a subscription with its dialog, and its points in the states of a package
 *
 * notifier_internal.h has the picture. A watch of one resource has one point, one of a list (RFC 4662) a point in each member; a state lives as long as it
 * has a point. What is asked about all watches of an account is counted as they come and go.
 */
#include "notifier_internal.h"
#include "loop.h"
#include "timer.h"
#include <stdlib.h>
#include <string.h>

#define DIALOG_CHAINS 4096u
#define STATE_CHAINS 1024u
#define WATCHER_CHAINS 1024u

static uint32_t hash_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash ^ hash >> 15;
}

/* ---- states and points ---------------------------------------------------------------- */

struct ua_state **ua_states_new(void)
{
	return calloc(STATE_CHAINS, sizeof(struct ua_state *));
}

struct ua_state *ua_state_find(const struct ua_package *package, const char *name)
{
	struct ua_state *state = package->states[hash_of(name) % STATE_CHAINS];

	while (state && strcmp(state->name, name) != 0)
		state = state->next;
	return state;
}

static struct ua_state *state_get(struct ua_package *package, const char *name)
{
	struct ua_state *state = ua_state_find(package, name);
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

/* ---- accounts that watch --------------------------------------------------------------- */

static struct ua_watcher **watcher_chain(const char *account)
{
	return &ua_notifier.watchers[hash_of(account) % WATCHER_CHAINS];
}

static struct ua_watcher *watcher_find(const char *account)
{
	struct ua_watcher *watcher = *watcher_chain(account);

	while (watcher && strcmp(watcher->account, account) != 0)
		watcher = watcher->next;
	return watcher;
}

uint32_t ua_watches_of(const char *account)
{
	const struct ua_watcher *watcher = watcher_find(account);

	return watcher ? watcher->count : 0;
}

bool ua_watch_belongs(struct ua_watch *watch, const char *account)
{
	struct ua_watcher *watcher = watcher_find(account), **chain = watcher_chain(account);

	if (!watcher) {
		watcher = calloc(1, sizeof *watcher + strlen(account) + 1);
		if (!watcher)
			return false;
		memcpy(watcher->account, account, strlen(account) + 1);
		watcher->next = *chain;
		*chain = watcher;
	}
	watcher->count++;
	watch->owner = watcher;
	watch->watcher = watcher->account;
	return true;
}

static void watcher_leave(struct ua_watch *watch)
{
	struct ua_watcher *watcher = watch->owner, **at = watcher ? watcher_chain(watcher->account) : NULL;

	if (!watcher || --watcher->count > 0)
		return;
	while (*at != watcher)
		at = &(*at)->next;
	*at = watcher->next;
	free(watcher);
}

/* ---- watches -------------------------------------------------------------------------- */

bool ua_watch_point(struct ua_watch *watch, struct ua_list *list)
{
	uint32_t count = list ? list->count : 1, before = watch->point_count;
	struct ua_point *points = calloc(count, sizeof *points), *old = watch->points;
	uint32_t done = 0;

	while (points && done < count &&
	       point_init(&points[done], watch, list ? list->resources[done] : watch->resource, list ? list->displays[done] : NULL))
		points[done++].version = watch->sent; /* above every version that has been told of it */
	if (!points || done < count) {
		for (uint32_t i = 0; points && i < count; i++)
			point_fini(&points[i]);
		free(points);
		return false;
	}
	watch->list = list;
	watch->points = points;
	watch->point_count = count;
	for (uint32_t i = 0; i < before; i++)
		point_fini(&old[i]);
	free(old);
	return true;
}

struct ua_watch *ua_watch_new(struct ua_package *package, const char *resource)
{
	struct ua_watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return NULL;
	watch->package = package;
	watch->resource = strdup(resource);
	if (!watch->resource) {
		free(watch);
		return NULL;
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

void ua_watch_free(struct ua_watch *watch)
{
	char *texts[] = { watch->resource, watch->event_id,   watch->device, watch->call_id, watch->local,    watch->local_tag,
			  watch->remote,   watch->remote_tag, watch->target, watch->route,   watch->received, watch->wanted_type };

	ua_watch_leave_line(watch);
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
	watcher_leave(watch);
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

int ua_watches_init(void)
{
	ua_notifier.dialogs = calloc(DIALOG_CHAINS, sizeof(struct ua_watch *));
	ua_notifier.watchers = calloc(WATCHER_CHAINS, sizeof(struct ua_watcher *));
	if (ua_notifier.dialogs && ua_notifier.watchers)
		return PBX_OK;
	ua_watches_fini();
	return PBX_ENOMEM;
}

void ua_watches_fini(void)
{
	free(ua_notifier.dialogs);
	free(ua_notifier.watchers);
	ua_notifier.dialogs = NULL;
	ua_notifier.watchers = NULL;
}

void ua_watches_each(const struct ua_package *package, void (*fn)(struct ua_watch *watch, void *context), void *context)
{
	struct ua_watch *next;

	for (uint32_t i = 0; ua_notifier.dialogs && i < DIALOG_CHAINS; i++)
		for (struct ua_watch *watch = ua_notifier.dialogs[i]; watch; watch = next) {
			next = watch->next_of_dialog;
			if (!package || watch->package == package)
				fn(watch, context);
		}
}
