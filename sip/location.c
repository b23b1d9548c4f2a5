/*
 * location.c - where each account's devices are
 *
 * Two hash tables over the same bindings: by account for calls and REGISTER, by id for commands. Every change is written to the
 * store and told on the bus; every binding has a timer of its own. location_inner.h says what the other files of this story do.
 */
#include "location_inner.h"
#include "bus.h"
#include "json.h"
#include "listener.h"
#include "loop.h"
#include "timer.h"
#include <sofia-sip/url.h>
#include <stdlib.h>
#include <string.h>

#define CHAINS 16384u

struct ua_aor {
	struct ua_aor *next;
	struct ua_binding *bindings;
	char name[];
};

static struct {
	struct pbx_host *host;
	struct ua_aor **aors;
	struct ua_binding **ids;
	uint32_t aor_count, count;
} location;

/* ---- the tables ----------------------------------------------------------------------- */

static uint32_t chain_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return (hash ^ hash >> 15) % CHAINS;
}

static struct ua_aor *aor_find(const char *name)
{
	struct ua_aor *aor = location.aors[chain_of(name)];

	while (aor && strcmp(aor->name, name) != 0)
		aor = aor->next;
	return aor;
}

static struct ua_aor *aor_get(const char *name)
{
	struct ua_aor *aor = aor_find(name);
	uint32_t chain = chain_of(name);

	if (aor)
		return aor;
	aor = calloc(1, sizeof *aor + strlen(name) + 1);
	if (!aor)
		return NULL;
	memcpy(aor->name, name, strlen(name) + 1);
	aor->next = location.aors[chain];
	location.aors[chain] = aor;
	location.aor_count++;
	return aor;
}

static void aor_free_when_empty(struct ua_aor *aor)
{
	struct ua_aor **at = &location.aors[chain_of(aor->name)];

	if (aor->bindings)
		return;
	while (*at != aor)
		at = &(*at)->next;
	*at = aor->next;
	location.aor_count--;
	free(aor);
}

static struct ua_binding *find_id(const char *id)
{
	struct ua_binding *binding = location.ids[chain_of(id)];

	while (binding && strcmp(binding->id, id) != 0)
		binding = binding->next_of_id;
	return binding;
}

static void unhook(struct ua_binding *binding)
{
	struct ua_binding **at = &binding->aor->bindings;

	while (*at != binding)
		at = &(*at)->next_of_aor;
	*at = binding->next_of_aor;
}

/* Best q first, then the newest. */
static void hook(struct ua_aor *aor, struct ua_binding *binding)
{
	struct ua_binding **at = &aor->bindings;

	while (*at && ((*at)->q_milli > binding->q_milli ||
		       ((*at)->q_milli == binding->q_milli && (*at)->registered_wall_us > binding->registered_wall_us)))
		at = &(*at)->next_of_aor;
	binding->aor = aor;
	binding->next_of_aor = *at;
	*at = binding;
}

void ua_binding_free(struct ua_binding *binding)
{
	char *texts[] = { binding->uri,  binding->received, binding->transport, binding->user_agent, binding->instance,
			  binding->path, binding->call_id,  binding->listener,  binding->node };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
	free(binding);
}

void ua_binding_forget(struct ua_binding *binding)
{
	struct ua_binding **at = &location.ids[chain_of(binding->id)];
	struct ua_aor *aor = binding->aor;

	while (*at != binding)
		at = &(*at)->next_of_id;
	*at = binding->next_of_id;
	unhook(binding);
	(void)core_timer_stop(binding->expiry); /* it may be what called us */
	ua_binding_free(binding);
	location.count--;
	aor_free_when_empty(aor);
}

/* ---- the bus -------------------------------------------------------------------------- */

static void tell(const struct ua_binding *binding, const char *type, const char *reason)
{
	struct pbx_json *data = core_json_object();
	int64_t left_us = binding->expires_wall_us - core_wall_us();

	(void)core_json_set_text(data, "id", binding->id); /* a fact that finds no memory is missing from the event, no more */
	(void)core_json_set_text(data, "aor", binding->aor->name);
	(void)core_json_set_text(data, "contact", binding->uri);
	(void)core_json_set_text(data, "received", binding->received);
	(void)core_json_set_text(data, "transport", binding->transport);
	(void)core_json_set_text(data, "user_agent", binding->user_agent);
	(void)core_json_set_integer(data, "expires_s", left_us > 0 ? left_us / 1000000 : 0);
	if (reason)
		(void)core_json_set_text(data, "reason", reason);
	(void)core_bus_publish(location.host, type, "", "", data);
}

/* ---- changes -------------------------------------------------------------------------- */

static void on_expiry(void *self, pbx_timer timer)
{
	struct ua_binding *binding = self;

	(void)timer;
	if (binding->node)
		ua_binding_forget(binding); /* its node tells, and writes it down */
	else
		ua_location_drop(binding, "expired");
}

static void arm(struct ua_binding *binding)
{
	int64_t left_us = binding->expires_wall_us - core_wall_us();

	(void)core_timer_stop(binding->expiry); /* a first one has none */
	binding->expiry = (pbx_timer){ 0 };
	if (core_timer_start(location.host, left_us > 0 ? (uint64_t)left_us / 1000 : 0, 0, on_expiry, binding, &binding->expiry) != PBX_OK)
		pbx_warn(location.host, "registration_without_end", "aor=%s reason=no_memory", binding->aor->name);
}

void ua_binding_moved(struct ua_binding *binding)
{
	unhook(binding);
	hook(binding->aor, binding);
	arm(binding);
}

static bool keep_text(char **at, const char *text)
{
	char *copy;

	if (*at && strcmp(*at, text) == 0)
		return true;
	copy = strdup(text);
	if (!copy)
		return false;
	free(*at);
	*at = copy;
	return true;
}

bool ua_binding_keep(struct ua_binding *binding, const struct ua_binding_news *news)
{
	return keep_text(&binding->uri, news->uri) && keep_text(&binding->received, news->received) &&
	       keep_text(&binding->transport, news->transport) && keep_text(&binding->user_agent, news->user_agent) &&
	       keep_text(&binding->instance, news->instance) && keep_text(&binding->path, news->path) &&
	       keep_text(&binding->call_id, news->call_id) && keep_text(&binding->listener, news->listener);
}

struct ua_binding *ua_binding_new(const struct ua_binding_news *news, const char *id)
{
	struct ua_binding *binding = calloc(1, sizeof *binding);

	if (!binding)
		return NULL;
	if (!ua_binding_keep(binding, news)) {
		ua_binding_free(binding);
		return NULL;
	}
	if (id)
		(void)snprintf(binding->id, sizeof binding->id, "%s", id);
	else
		core_ulid(binding->id);
	binding->registered_wall_us = core_wall_us();
	return binding;
}

int ua_binding_add(const char *name, struct ua_binding *binding)
{
	struct ua_aor *aor = aor_get(name);
	uint32_t chain = chain_of(binding->id);

	if (!aor) {
		ua_binding_free(binding);
		return PBX_ENOMEM;
	}
	hook(aor, binding);
	binding->next_of_id = location.ids[chain];
	location.ids[chain] = binding;
	location.count++;
	arm(binding);
	return PBX_OK;
}

/* A phone that restarts with a new port leaves its old self behind: that one goes, not the phone. */
static void make_room(const char *name, uint32_t most, const struct ua_binding *kept)
{
	struct ua_aor *aor;
	uint32_t count;

	do {
		struct ua_binding *oldest = NULL;

		aor = aor_find(name);
		count = 0;
		for (struct ua_binding *binding = aor ? aor->bindings : NULL; binding; binding = binding->next_of_aor) {
			count++;
			if (binding != kept && (!oldest || binding->registered_wall_us < oldest->registered_wall_us))
				oldest = binding;
		}
		if (count > most && oldest)
			ua_location_drop(oldest, "replaced");
	} while (count > most + 1);
}

int ua_location_put(const char *name, struct ua_binding *binding, const struct ua_binding_news *news, uint32_t most)
{
	bool is_new = !binding;
	int err = PBX_OK;

	if (is_new && location.count >= UA_MOST_BINDINGS)
		return PBX_ENOSPC;
	if (is_new)
		binding = ua_binding_new(news, NULL);
	if (!binding || (!is_new && !ua_binding_keep(binding, news)))
		return PBX_ENOMEM;

	binding->reg_id = news->reg_id;
	binding->q_milli = news->q_milli;
	binding->cseq = news->cseq;
	binding->written_wall_us = core_wall_us();
	binding->expires_wall_us = binding->written_wall_us + (int64_t)news->expires_s * 1000000;
	free(binding->node); /* it has come to us */
	binding->node = NULL;
	if (is_new) {
		err = ua_binding_add(name, binding);
		if (err != PBX_OK)
			return err;
	} else {
		ua_binding_moved(binding);
	}
	ua_location_write(binding);
	tell(binding, is_new ? "registration.added" : "registration.refreshed", NULL);
	if (is_new)
		make_room(name, most > 0 ? most : 1, binding);
	return PBX_OK;
}

void ua_location_drop(struct ua_binding *binding, const char *reason)
{
	ua_location_unwrite(binding->id);
	tell(binding, "registration.removed", reason);
	ua_binding_forget(binding);
}

/* ---- looking -------------------------------------------------------------------------- */

struct ua_binding *ua_location_find(const char *name)
{
	struct ua_aor *aor = aor_find(name);

	return aor ? aor->bindings : NULL;
}

static bool same_uri(const char *a, const char *b)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const url_t *x, *y;
	bool same;

	if (strcmp(a, b) == 0)
		return true;
	(void)su_home_init(home);
	x = url_make(home, a);
	y = url_make(home, b);
	same = x && y && url_cmp_all(x, y) == 0;
	su_home_deinit(home);
	return same;
}

struct ua_binding *ua_location_match(const char *name, const struct ua_binding_news *news)
{
	for (struct ua_binding *binding = ua_location_find(name); binding; binding = binding->next_of_aor) {
		if (news->instance[0] && news->reg_id) {
			if (binding->reg_id == news->reg_id && strcmp(binding->instance, news->instance) == 0)
				return binding;
		} else if (same_uri(binding->uri, news->uri)) {
			return binding;
		}
	}
	return NULL;
}

uint32_t ua_location_aors(void)
{
	return location.aor_count;
}

static const struct ua_binding *binding_from(const char *name, const char *received)
{
	const struct ua_binding *binding = ua_location_find(name);

	while (binding && strcmp(binding->received, received) != 0)
		binding = binding->next_of_aor;
	return binding;
}

const char *ua_location_listener(const char *name, const char *received)
{
	const struct ua_binding *binding = binding_from(name, received);

	return binding ? ua_listener_find(binding->listener) : NULL;
}

const char *ua_location_device(const char *name, const char *received)
{
	const struct ua_binding *binding = binding_from(name, received);

	return binding ? binding->user_agent : NULL;
}

struct ua_binding *ua_location_by_id(const char *id)
{
	return find_id(id);
}

const char *ua_location_aor(const struct ua_binding *binding)
{
	return binding->aor->name;
}

uint32_t ua_location_walk(uint32_t from, uint32_t shares, void (*each)(struct ua_binding *binding))
{
	const uint32_t count = CHAINS / shares + 1;

	for (uint32_t i = 0; i < count; i++)
		for (struct ua_binding *binding = location.ids[(from + i) % CHAINS]; binding; binding = binding->next_of_id)
			each(binding);
	return (from + count) % CHAINS;
}

uint32_t ua_location_count(void)
{
	return location.count;
}

static uint32_t each_of(const struct ua_aor *aor, void (*each)(void *context, const struct ua_binding *binding), void *context)
{
	uint32_t count = 0;

	for (const struct ua_binding *binding = aor ? aor->bindings : NULL; binding; binding = binding->next_of_aor, count++)
		each(context, binding);
	return count;
}

uint32_t ua_location_all(const char *name, void (*each)(void *context, const struct ua_binding *binding), void *context)
{
	uint32_t count = 0;

	if (name)
		return each_of(aor_find(name), each, context);
	for (uint32_t i = 0; i < CHAINS; i++)
		for (const struct ua_aor *aor = location.aors[i]; aor; aor = aor->next)
			count += each_of(aor, each, context);
	return count;
}

/* ---- life ----------------------------------------------------------------------------- */

int ua_location_init(struct pbx_host *host)
{
	location.host = host;
	ua_location_store_init(host);
	location.aors = calloc(CHAINS, sizeof(struct ua_aor *));
	location.ids = calloc(CHAINS, sizeof(struct ua_binding *));
	return location.aors && location.ids ? PBX_OK : PBX_ENOMEM;
}

void ua_location_fini(void)
{
	ua_location_release();
	for (uint32_t i = 0; location.ids && i < CHAINS; i++)
		while (location.ids[i])
			ua_binding_forget(location.ids[i]);
	free(location.aors);
	free(location.ids);
	memset(&location, 0, sizeof location);
}
