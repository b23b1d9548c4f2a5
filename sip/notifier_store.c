/*
 * notifier_store.c - subscriptions that outlast a crash
 *
 * A row is written when a subscription begins or is refreshed, and once in UA_RESERVED_AT_ONCE NOTIFYs. What is found at start goes on where it was: with
 * numbers beyond every one that can have been used, and the state in full as soon as its package is there. A subscription to a list waits for
 * whoever sets that list; when nobody does, the phone is told 481 at its next refresh.
 */
#include "notifier_internal.h"
#include "loop.h"
#include "store.h"
#include <stdlib.h>
#include <string.h>

#define COLUMN_COUNT 20u
#define LOADED_AT_ONCE 500 /* rows read in one callback */

static const struct pbx_value *params_of(const struct ua_watch *watch, struct pbx_value ret_params[COLUMN_COUNT])
{
	const struct pbx_value params[] = {
		pbx_v_text(watch->id),
		pbx_v_text(watch->package->name),
		pbx_v_text(watch->resource),
		pbx_v_text(watch->event_id),
		pbx_v_text(watch->watcher),
		pbx_v_text(watch->device),
		pbx_v_text(watch->content_type ? watch->content_type : watch->wanted_type),
		pbx_v_text(watch->call_id),
		pbx_v_text(watch->local),
		pbx_v_text(watch->local_tag),
		pbx_v_text(watch->remote),
		pbx_v_text(watch->remote_tag),
		PBX_V_INT(watch->remote_cseq),
		pbx_v_text(watch->target),
		pbx_v_text(watch->route),
		pbx_v_text(watch->received),
		pbx_v_text(watch->transport),
		PBX_V_INT(watch->reserved),
		PBX_V_INT(watch->expires_wall_us),
		PBX_V_INT(watch->of_list),
	};

	memcpy(ret_params, params, sizeof params);
	return ret_params;
}

void ua_watch_store(const struct ua_watch *watch)
{
	struct pbx_value params[COLUMN_COUNT];

	if (core_store_record(
		    ua_notifier.ua->host,
		    "INSERT INTO subscriptions (id, package, resource, event_id, watcher, device, content_type, call_id, local, local_tag, "
		    "remote, remote_tag, remote_cseq, target, route, received, transport, reserved, expires_at, of_list) VALUES "
		    "($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20) "
		    "ON CONFLICT (id) DO UPDATE SET remote_cseq = excluded.remote_cseq, target = excluded.target, "
		    "received = excluded.received, transport = excluded.transport, reserved = excluded.reserved, "
		    "expires_at = excluded.expires_at",
		    params_of(watch, params), COLUMN_COUNT, NULL, NULL) != PBX_OK)
		pbx_warn(ua_notifier.ua->host, "subscription_not_stored", "watcher=%s", watch->watcher); /* it ends with us */
}

void ua_watch_unstore(const struct ua_watch *watch)
{
	const struct pbx_value param = pbx_v_text(watch->id);

	if (core_store_record(ua_notifier.ua->host, "DELETE FROM subscriptions WHERE id = $1", &param, 1, NULL, NULL) != PBX_OK)
		pbx_warn(ua_notifier.ua->host, "subscription_not_removed", "watcher=%s", watch->watcher); /* it expires */
}

/* ---- reading back --------------------------------------------------------------------- */

struct loading {
	void (*done)(void *context);
	void *context;
	char last_id[27];
	uint32_t count;
};

static bool fill(struct ua_watch *watch, const struct pbx_rows *rows, uint32_t row)
{
	char **const texts[] = { &watch->event_id, &watch->device,    &watch->wanted_type, &watch->call_id,
				 &watch->local,    &watch->local_tag, &watch->remote,      &watch->remote_tag,
				 &watch->target,   &watch->route,     &watch->received };
	static const uint8_t columns[] = { 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15 };

	for (size_t i = 0; i < sizeof columns; i++) {
		*texts[i] = strdup(pbx_cell_text(rows, row, columns[i]));
		if (!*texts[i])
			return false;
	}
	(void)snprintf(watch->id, sizeof watch->id, "%s", pbx_cell_text(rows, row, 0));
	(void)snprintf(watch->transport, sizeof watch->transport, "%s", pbx_cell_text(rows, row, 16));
	watch->remote_cseq = (uint32_t)pbx_cell_int(rows, row, 12);
	watch->sent = watch->reserved = watch->list_version = (uint32_t)pbx_cell_int(rows, row, 17);
	watch->of_list = pbx_cell_int(rows, row, 19) != 0;
	return ua_watch_belongs(watch, pbx_cell_text(rows, row, 4)) && (watch->of_list || ua_watch_point(watch, NULL));
}

static void restore(const struct pbx_rows *rows, uint32_t row)
{
	struct ua_package *package = ua_package_get(pbx_cell_text(rows, row, 1));
	struct ua_watch *watch = package ? ua_watch_new(package, pbx_cell_text(rows, row, 2)) : NULL;

	if (!watch || !fill(watch, rows, row) || ua_watch_add(watch) != PBX_OK) {
		if (watch)
			ua_watch_free(watch); /* no memory: that phone subscribes again */
		return;
	}
	ua_watch_arm(watch, pbx_cell_int(rows, row, 18));
}

static int load_some(struct loading *loading);

static void loading_end(struct loading *loading)
{
	if (loading->count > 0)
		pbx_notice(ua_notifier.ua->host, "subscriptions_read", "count=%u", loading->count);
	loading->done(loading->context);
	free(loading);
}

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct loading *loading = self;
	uint32_t count = rows->status == PBX_OK ? rows->count : 0;

	if (!ua_notifier.ua) { /* we have been stopped meanwhile */
		free(loading);
		return;
	}
	if (rows->status != PBX_OK)
		pbx_warn(ua_notifier.ua->host, "subscriptions_not_read", "reason=\"%s\"", rows->error);
	for (uint32_t row = 0; row < count; row++)
		restore(rows, row);
	loading->count += count;
	if (count == LOADED_AT_ONCE) {
		(void)snprintf(loading->last_id, sizeof loading->last_id, "%s", pbx_cell_text(rows, count - 1, 0));
		if (load_some(loading) == PBX_OK)
			return;
	}
	loading_end(loading);
}

static int load_some(struct loading *loading)
{
	const struct pbx_value params[] = { pbx_v_text(loading->last_id), PBX_V_INT(LOADED_AT_ONCE) };

	return core_store_run(
		ua_notifier.ua->host,
		"SELECT id, package, resource, event_id, watcher, device, content_type, call_id, local, local_tag, remote, "
		"remote_tag, remote_cseq, target, route, received, transport, reserved, expires_at, of_list FROM subscriptions "
		"WHERE id > $1 ORDER BY id LIMIT $2",
		params, 2, on_rows, loading);
}

void ua_notifier_load(void (*done)(void *context), void *context)
{
	struct loading *loading = calloc(1, sizeof *loading);

	if (loading)
		*loading = (struct loading){ .done = done, .context = context };
	if (!loading || load_some(loading) != PBX_OK) {
		if (ua_notifier.ua)
			pbx_warn(ua_notifier.ua->host, "subscriptions_not_read", "reason=no_memory");
		free(loading);
		done(context);
	}
}
