/*
 * location_store.c - bindings in the table `registrations`: written through, read back, and who waits until it is safe
 *
 * Every change is a record, in order; a REGISTER is answered when the last of its records is safe. At the start what is read keeps its id and its
 * end. Rows that other nodes have written come here too.
 */
#include "location_inner.h"
#include "location_nodes.h"
#include "loop.h"
#include "store.h"
#include <stdlib.h>
#include <string.h>

/* Somebody who waits until so many records are safe. */
struct waiter {
	struct waiter *next;
	uint64_t until;
	void (*fn)(void *context);
	void *context;
};

static struct {
	struct pbx_host *host;
	const char *node;          /* never NULL after init */
	uint64_t recorded, stored; /* records handed to the store; told to be safe, in the same order */
	struct waiter *first, *last;
} store;

void ua_location_store_init(struct pbx_host *host)
{
	store.host = host;
	store.node = "";
	store.recorded = store.stored = 0;
}

/* ---- who waits ------------------------------------------------------------------------ */

static void release_until(uint64_t stored)
{
	for (struct waiter *waiter; (waiter = store.first) && waiter->until <= stored;) {
		store.first = waiter->next;
		if (!store.first)
			store.last = NULL;
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
	struct waiter *waiter = store.stored < store.recorded ? malloc(sizeof *waiter) : NULL;

	if (!waiter) {
		fn(context);
		return;
	}
	*waiter = (struct waiter){ .until = store.recorded, .fn = fn, .context = context };
	if (store.last)
		store.last->next = waiter;
	else
		store.first = waiter;
	store.last = waiter;
}

static void on_stored(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status != PBX_OK && rows->status != PBX_ECANCELLED)
		pbx_warn(store.host, "registration_not_stored", "reason=\"%s\"", rows->error);
	store.stored++;
	release_until(store.stored);
}

/* What cannot be kept is still right in memory: calls find the phone until the next start. */
static void record(const char *sql, const struct pbx_value *params, uint32_t count)
{
	if (core_store_record(store.host, sql, params, count, on_stored, NULL) == PBX_OK)
		store.recorded++;
	else
		pbx_warn(store.host, "registration_not_stored", "reason=\"the store takes no more\"");
}

/* ---- writing -------------------------------------------------------------------------- */

void ua_location_write(const struct ua_binding *b)
{
	const struct pbx_value params[] = {
		pbx_v_text(b->id),
		pbx_v_text(ua_location_aor(b)),
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
		pbx_v_text(store.node),
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
void ua_location_unwrite(const char *id)
{
	const struct pbx_value params[] = { pbx_v_text(id), pbx_v_text(store.node), PBX_V_INT(core_wall_us()) };

	if (store.node[0])
		record("UPDATE registrations SET expires_at = 0, node = $2, written_at = $3 WHERE id = $1", params, 3);
	else
		record("DELETE FROM registrations WHERE id = $1", params, 1);
}

/* ---- reading -------------------------------------------------------------------------- */

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
	char *theirs = strcmp(node, store.node) != 0 && node[0] ? strdup(node) : NULL;

	if (strcmp(node, store.node) != 0 && node[0] && !theirs)
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
	struct ua_binding *binding = ua_binding_new(&news, pbx_cell_text(rows, row, 0));

	if (!binding)
		return;
	if (fill(binding, rows, row)) {
		(void)ua_binding_add(pbx_cell_text(rows, row, 1), binding); /* no memory: that phone registers again */
		return;
	}
	ua_binding_free(binding);
}

void ua_location_adopt(const struct pbx_rows *rows, uint32_t row)
{
	const struct ua_binding_news news = news_of(rows, row);
	struct ua_binding *binding = ua_location_by_id(pbx_cell_text(rows, row, 0));
	bool is_over = pbx_cell_int(rows, row, 13) <= core_wall_us();

	if (binding && binding->written_wall_us >= pbx_cell_int(rows, row, 15))
		return;
	if (!binding && !is_over && ua_location_count() < UA_MOST_BINDINGS) {
		restore(rows, row);
	} else if (binding && is_over) {
		ua_binding_forget(binding);
	} else if (binding && ua_binding_keep(binding, &news) && fill(binding, rows, row)) {
		ua_binding_moved(binding);
	}
}

void ua_location_set_node(const char *node)
{
	store.node = node;
}

static void loading_end(struct loading *loading)
{
	if (ua_location_count() > 0)
		pbx_notice(store.host, "registrations_read", "count=%u", ua_location_count());
	loading->done(loading->context);
	free(loading);
}

static int load_some(struct loading *loading);

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct loading *loading = self;
	uint32_t count = rows->status == PBX_OK ? rows->count : 0;

	if (rows->status != PBX_OK)
		pbx_warn(store.host, "registrations_not_read", "reason=%s", rows->error);
	for (uint32_t row = 0; row < count; row++)
		restore(rows, row);
	if (count == LOADED_AT_ONCE) {
		(void)snprintf(loading->last_id, sizeof loading->last_id, "%s", pbx_cell_text(rows, count - 1, 0));
		if (load_some(loading) == PBX_OK)
			return;
		pbx_warn(store.host, "registrations_not_read", "reason=no_memory");
	}
	loading_end(loading);
}

static int load_some(struct loading *loading)
{
	const struct pbx_value params[] = { pbx_v_text(loading->last_id), PBX_V_INT(LOADED_AT_ONCE) };

	return core_store_run(store.host,
			      "SELECT " UA_LOCATION_COLUMNS " FROM registrations WHERE id > $1 AND expires_at > 0 ORDER BY id LIMIT $2",
			      params, 2, on_rows, loading);
}

void ua_location_load(void (*done)(void *context), void *context)
{
	struct loading *loading = malloc(sizeof *loading);

	if (loading)
		*loading = (struct loading){ .done = done, .context = context };
	if (!loading || load_some(loading) != PBX_OK) {
		pbx_warn(store.host, "registrations_not_read", "reason=no_memory");
		free(loading);
		done(context);
	}
}
