/*
 * location.c - where each account's devices are
 *
 * Two hash tables over the same bindings: by account for calls and REGISTER, by id for commands. Every change is written to the
 * store as a record and told on the bus; every binding has a timer of its own. What is read back at start keeps its id and its end.
 */
#include "location.h"
#include "bus.h"
#include "contact.h"
#include "json.h"
#include "listener.h"
#include "location_nodes.h"
#include "loop.h"
#include "store.h"
#include "timer.h"
#include <assert.h>
#include <sofia-sip/url.h>
#include <stdlib.h>
#include <string.h>

#define CHAINS 16384u

struct ua_aor {
	struct ua_aor *next;
	struct ua_binding *bindings;
	char name[];
};

/* Somebody who waits until so many records are safe. */
struct waiter {
	struct waiter *next;
	uint64_t until;
	void (*fn)(void *context);
	void *context;
};

static struct {
	struct pbx_host *host;
	const char *node; /* never NULL after init */
	struct ua_aor **aors;
	struct ua_binding **ids;
	uint32_t aor_count, count;
	uint64_t recorded, stored; /* records handed to the store; told to be safe, in the same order */
	struct waiter *first, *last;
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

static void free_texts(struct ua_binding *binding)
{
	char *texts[] = { binding->uri,  binding->received, binding->transport, binding->user_agent, binding->instance,
			  binding->path, binding->call_id,  binding->listener,  binding->node };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
}

static void forget(struct ua_binding *binding)
{
	struct ua_binding **at = &location.ids[chain_of(binding->id)];
	struct ua_aor *aor = binding->aor;

	while (*at != binding)
		at = &(*at)->next_of_id;
	*at = binding->next_of_id;
	unhook(binding);
	(void)core_timer_stop(binding->expiry); /* it may be what called us */
	free_texts(binding);
	free(binding);
	location.count--;
	aor_free_when_empty(aor);
}

/* ---- store and bus -------------------------------------------------------------------- */

static void release_until(uint64_t stored)
{
	for (struct waiter *waiter; (waiter = location.first) && waiter->until <= stored;) {
		location.first = waiter->next;
		if (!location.first)
			location.last = NULL;
		waiter->fn(waiter->context);
		free(waiter);
	}
}

void ua_location_release(void)
{
	release_until(UINT64_MAX);
}

void ua_location_when_stored(void (*fn)(void *context), void *context)
{
	struct waiter *waiter = location.stored < location.recorded ? malloc(sizeof *waiter) : NULL;

	if (!waiter) {
		fn(context);
		return;
	}
	*waiter = (struct waiter){ .until = location.recorded, .fn = fn, .context = context };
	if (location.last)
		location.last->next = waiter;
	else
		location.first = waiter;
	location.last = waiter;
}

static void on_stored(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status != PBX_OK && rows->status != PBX_ECANCELLED)
		pbx_warn(location.host, "registration_not_stored", "reason=\"%s\"", rows->error);
	location.stored++;
	release_until(location.stored);
}

/* What cannot be kept is still right in memory: calls find the phone until the next start. */
static void record(const char *sql, const struct pbx_value *params, uint32_t count)
{
	if (core_store_record(location.host, sql, params, count, on_stored, NULL) == PBX_OK)
		location.recorded++;
	else
		pbx_warn(location.host, "registration_not_stored", "reason=\"the store takes no more\"");
}

static void write_through(const struct ua_binding *b)
{
	const struct pbx_value params[] = {
		pbx_v_text(b->id),
		pbx_v_text(b->aor->name),
		pbx_v_text(b->uri),
		pbx_v_text(b->received),
		pbx_v_text(b->transport),
		pbx_v_text(b->user_agent),
		pbx_v_text(b->instance),
		pbx_v_text(b->path),
		pbx_v_text(b->call_id),
		PBX_V_INT(b->cseq),
		PBX_V_INT(b->reg_id),
		PBX_V_INT(b->q_milli),
		PBX_V_INT(b->registered_wall_us),
		PBX_V_INT(b->expires_wall_us),
		pbx_v_text(location.node),
		PBX_V_INT(b->written_wall_us),
		pbx_v_text(b->listener),
	};

	record("INSERT INTO registrations (id, aor, uri, received, transport, user_agent, instance, path, call_id, cseq, "
	       "reg_id, q_milli, registered_at, expires_at, node, written_at, listener) "
	       "VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17) "
	       "ON CONFLICT (id) DO UPDATE SET uri = excluded.uri, received = excluded.received, transport = excluded.transport, "
	       "user_agent = excluded.user_agent, instance = excluded.instance, path = excluded.path, call_id = excluded.call_id, "
	       "cseq = excluded.cseq, reg_id = excluded.reg_id, q_milli = excluded.q_milli, expires_at = excluded.expires_at, "
	       "node = excluded.node, written_at = excluded.written_at, listener = excluded.listener",
	       params, sizeof params / sizeof params[0]);
}

/* Among several nodes the row stays for a while, to tell the others. */
static void delete_through(const char *id)
{
	const struct pbx_value params[] = { pbx_v_text(id), pbx_v_text(location.node), PBX_V_INT(core_wall_us()) };

	if (location.node[0])
		record("UPDATE registrations SET expires_at = 0, node = $2, written_at = $3 WHERE id = $1", params, 3);
	else
		record("DELETE FROM registrations WHERE id = $1", params, 1);
}

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
		forget(binding); /* its node tells, and writes it down */
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

static bool keep_news(struct ua_binding *binding, const struct ua_binding_news *news)
{
	return keep_text(&binding->uri, news->uri) && keep_text(&binding->received, news->received) &&
	       keep_text(&binding->transport, news->transport) && keep_text(&binding->user_agent, news->user_agent) &&
	       keep_text(&binding->instance, news->instance) && keep_text(&binding->path, news->path) &&
	       keep_text(&binding->call_id, news->call_id) && keep_text(&binding->listener, news->listener);
}

static struct ua_binding *binding_new(const struct ua_binding_news *news, const char *id)
{
	struct ua_binding *binding = calloc(1, sizeof *binding);

	if (!binding)
		return NULL;
	if (!keep_news(binding, news)) {
		free_texts(binding);
		free(binding);
		return NULL;
	}
	if (id)
		(void)snprintf(binding->id, sizeof binding->id, "%s", id);
	else
		core_ulid(binding->id);
	binding->registered_wall_us = core_wall_us();
	return binding;
}

static int add(const char *name, struct ua_binding *binding)
{
	struct ua_aor *aor = aor_get(name);
	uint32_t chain = chain_of(binding->id);

	if (!aor) {
		free_texts(binding);
		free(binding);
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
		binding = binding_new(news, NULL);
	if (!binding || (!is_new && !keep_news(binding, news)))
		return PBX_ENOMEM;

	binding->reg_id = news->reg_id;
	binding->q_milli = news->q_milli;
	binding->cseq = news->cseq;
	binding->written_wall_us = core_wall_us();
	binding->expires_wall_us = binding->written_wall_us + (int64_t)news->expires_s * 1000000;
	free(binding->node); /* it has come to us */
	binding->node = NULL;
	if (is_new) {
		err = add(name, binding);
		if (err != PBX_OK)
			return err;
	} else {
		unhook(binding);
		hook(binding->aor, binding);
		arm(binding);
	}
	write_through(binding);
	tell(binding, is_new ? "registration.added" : "registration.refreshed", NULL);
	if (is_new)
		make_room(name, most > 0 ? most : 1, binding);
	return PBX_OK;
}

void ua_location_drop(struct ua_binding *binding, const char *reason)
{
	delete_through(binding->id);
	tell(binding, "registration.removed", reason);
	forget(binding);
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

/* ---- life ----------------------------------------------------------------------------- */

int ua_location_init(struct pbx_host *host)
{
	location.host = host;
	location.node = "";
	location.aors = calloc(CHAINS, sizeof(struct ua_aor *));
	location.ids = calloc(CHAINS, sizeof(struct ua_binding *));
	return location.aors && location.ids ? PBX_OK : PBX_ENOMEM;
}

void ua_location_fini(void)
{
	ua_location_release();
	for (uint32_t i = 0; location.ids && i < CHAINS; i++)
		while (location.ids[i])
			forget(location.ids[i]);
	free(location.aors);
	free(location.ids);
	memset(&location, 0, sizeof location);
}

#define LOADED_AT_ONCE 500 /* rows read in one callback at the start */

struct loading {
	void (*done)(void *context);
	void *context;
	char last_id[27]; /* in order of id, that is of time */
};

static struct ua_binding_news news_of(const struct pbx_rows *rows, uint32_t row)
{
	return (struct ua_binding_news){
		.uri = pbx_cell_text(rows, row, 2),
		.received = pbx_cell_text(rows, row, 3),
		.transport = pbx_cell_text(rows, row, 4),
		.user_agent = pbx_cell_text(rows, row, 5),
		.instance = pbx_cell_text(rows, row, 6),
		.path = pbx_cell_text(rows, row, 7),
		.call_id = pbx_cell_text(rows, row, 8),
		.listener = pbx_cell_text(rows, row, 16),
	};
}

/* The rest of it. False: no memory. */
static bool fill(struct ua_binding *binding, const struct pbx_rows *rows, uint32_t row)
{
	const char *node = pbx_cell_text(rows, row, 14);
	char *theirs = strcmp(node, location.node) != 0 && node[0] ? strdup(node) : NULL;

	if (strcmp(node, location.node) != 0 && node[0] && !theirs)
		return false;
	free(binding->node);
	binding->node = theirs;
	binding->cseq = (uint32_t)pbx_cell_int(rows, row, 9);
	binding->reg_id = (uint32_t)pbx_cell_int(rows, row, 10);
	binding->q_milli = (uint32_t)pbx_cell_int(rows, row, 11);
	binding->registered_wall_us = pbx_cell_int(rows, row, 12);
	binding->expires_wall_us = pbx_cell_int(rows, row, 13);
	binding->written_wall_us = pbx_cell_int(rows, row, 15);
	return true;
}

static void restore(const struct pbx_rows *rows, uint32_t row)
{
	const struct ua_binding_news news = news_of(rows, row);
	struct ua_binding *binding = binding_new(&news, pbx_cell_text(rows, row, 0));

	if (!binding)
		return;
	if (fill(binding, rows, row)) {
		(void)add(pbx_cell_text(rows, row, 1), binding); /* no memory: that phone registers again */
		return;
	}
	free_texts(binding);
	free(binding);
}

void ua_location_adopt(const struct pbx_rows *rows, uint32_t row)
{
	const struct ua_binding_news news = news_of(rows, row);
	struct ua_binding *binding = find_id(pbx_cell_text(rows, row, 0));
	bool is_over = pbx_cell_int(rows, row, 13) <= core_wall_us();

	if (binding && binding->written_wall_us >= pbx_cell_int(rows, row, 15))
		return;
	if (!binding && !is_over && location.count < UA_MOST_BINDINGS) {
		restore(rows, row);
	} else if (binding && is_over) {
		forget(binding);
	} else if (binding && keep_news(binding, &news) && fill(binding, rows, row)) {
		unhook(binding);
		hook(binding->aor, binding);
		arm(binding);
	}
}

void ua_location_set_node(const char *node)
{
	location.node = node;
}

static void loading_end(struct loading *loading)
{
	if (location.count > 0)
		pbx_notice(location.host, "registrations_read", "count=%u", location.count);
	loading->done(loading->context);
	free(loading);
}

static int load_some(struct loading *loading);

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct loading *loading = self;
	uint32_t count = rows->status == PBX_OK ? rows->count : 0;

	if (rows->status != PBX_OK)
		pbx_warn(location.host, "registrations_not_read", "reason=%s", rows->error);
	for (uint32_t row = 0; row < count; row++)
		restore(rows, row);
	if (count == LOADED_AT_ONCE) {
		(void)snprintf(loading->last_id, sizeof loading->last_id, "%s", pbx_cell_text(rows, count - 1, 0));
		if (load_some(loading) == PBX_OK)
			return;
		pbx_warn(location.host, "registrations_not_read", "reason=no_memory");
	}
	loading_end(loading);
}

static int load_some(struct loading *loading)
{
	const struct pbx_value params[] = { pbx_v_text(loading->last_id), PBX_V_INT(LOADED_AT_ONCE) };

	return core_store_run(location.host,
			      "SELECT " UA_LOCATION_COLUMNS " FROM registrations WHERE id > $1 AND expires_at > 0 ORDER BY id LIMIT $2",
			      params, 2, on_rows, loading);
}

void ua_location_load(void (*done)(void *context), void *context)
{
	struct loading *loading = malloc(sizeof *loading);

	if (loading)
		*loading = (struct loading){ .done = done, .context = context };
	if (!loading || load_some(loading) != PBX_OK) {
		pbx_warn(location.host, "registrations_not_read", "reason=no_memory");
		free(loading);
		done(context);
	}
}

const char *ua_location_listener(const char *name, const char *received)
{
	const struct ua_binding *binding = ua_location_find(name);

	while (binding && strcmp(binding->received, received) != 0)
		binding = binding->next_of_aor;
	return binding ? ua_listener_find(binding->listener) : NULL;
}

/* ---- for keepalive.c ------------------------------------------------------------------ */

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

/* ---- pbx.location/1 ------------------------------------------------------------------- */

static void show(const struct ua_binding *binding, void (*each)(void *context, const struct pbx_contact *contact), void *context)
{
	char provider[64] = "", id[256] = "", param[256] = "";

	if (strstr(binding->uri, ";pn-")) {
		(void)ua_uri_param(binding->uri, "pn-provider", provider, sizeof provider); /* "" when it is not there */
		(void)ua_uri_param(binding->uri, "pn-prid", id, sizeof id);
		(void)ua_uri_param(binding->uri, "pn-param", param, sizeof param);
	}
	const struct pbx_contact contact = {
		.size = sizeof contact,
		.id = binding->id,
		.aor = binding->aor->name,
		.uri = binding->uri,
		.received = binding->received,
		.transport = binding->transport,
		.user_agent = binding->user_agent,
		.instance = binding->instance,
		.path = binding->path,
		.reg_id = binding->reg_id,
		.q_milli = binding->q_milli,
		.registered_wall_us = binding->registered_wall_us,
		.expires_wall_us = binding->expires_wall_us,
		.round_trip_us = binding->round_trip_us,
		.unanswered = binding->unanswered,
		.node = binding->node ? binding->node : "",
		.push_provider = provider,
		.push_id = id,
		.push_param = param,
		.listener = binding->listener,
	};

	each(context, &contact);
}

static uint32_t show_aor(const struct ua_aor *aor, void (*each)(void *context, const struct pbx_contact *contact), void *context)
{
	uint32_t count = 0;

	for (const struct ua_binding *binding = aor->bindings; binding; binding = binding->next_of_aor, count++)
		show(binding, each, context);
	return count;
}

static uint32_t location_each(const char *name, void (*each)(void *context, const struct pbx_contact *contact), void *context)
{
	uint32_t count = 0;

	if (name) {
		const struct ua_aor *aor = aor_find(name);

		return aor ? show_aor(aor, each, context) : 0;
	}
	for (uint32_t i = 0; i < CHAINS; i++)
		for (const struct ua_aor *aor = location.aors[i]; aor; aor = aor->next)
			count += show_aor(aor, each, context);
	return count;
}

static bool location_is_registered(const char *name)
{
	return aor_find(name) != NULL;
}

static int location_remove(struct pbx_host *host, const char *id)
{
	struct ua_binding *binding = find_id(id);

	(void)host;
	if (!binding)
		return PBX_ENOENT;
	ua_location_drop(binding, "removed");
	return PBX_OK;
}

static int location_remove_all(struct pbx_host *host, const char *name)
{
	(void)host;
	if (!aor_find(name))
		return PBX_ENOENT;
	for (struct ua_binding *binding = ua_location_find(name); binding; binding = ua_location_find(name))
		ua_location_drop(binding, "removed");
	return PBX_OK;
}

static int location_flow_failed(const char *id)
{
	struct ua_binding *binding = find_id(id);

	if (!binding)
		return PBX_ENOENT;
	ua_location_drop(binding, "flow_failed");
	return PBX_OK;
}

static uint32_t location_count(void)
{
	return location.count;
}

const struct pbx_location ua_location_service = {
	.header = PBX_HEADER(struct pbx_location),
	.each = location_each,
	.is_registered = location_is_registered,
	.remove = location_remove,
	.remove_all = location_remove_all,
	.count = location_count,
	.flow_failed = location_flow_failed,
};
