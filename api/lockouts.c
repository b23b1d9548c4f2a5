/*
 * lockouts.c - failed log-ins outlive a restart
 *
 * limits.c counts in memory; what it counts of log-ins is written to login_tries after each try that changed something, and read back
 * before the first log-in is taken. Instants of the monotonic clock become calendar time on the way out and back. The buckets of ordinary
 * requests are not kept: an empty one is full again within a minute.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "log.h"

static int64_t to_wall_us(const struct api *api, uint64_t at_ms)
{
	int64_t ago_ms = (int64_t)api->host->now_ms(api->host) - (int64_t)at_ms;

	return at_ms ? api->host->wall_us(api->host) - ago_ms * 1000 : 0;
}

/* What was before this machine's monotonic clock began counts as its beginning. */
static uint64_t from_wall_us(const struct api *api, int64_t wall_us)
{
	int64_t ago_ms = (api->host->wall_us(api->host) - wall_us) / 1000;
	int64_t at_ms = (int64_t)api->host->now_ms(api->host) - ago_ms;

	return wall_us == 0 ? 0 : at_ms > 0 ? (uint64_t)at_ms : 1;
}

static void keep(const struct api *api, const struct api_tries *tries)
{
	const struct pbx_value values[] = { pbx_v_text(tries->key), PBX_V_INT(tries->tries), PBX_V_INT(to_wall_us(api, tries->since_ms)),
					    PBX_V_INT(to_wall_us(api, tries->locked_until_ms)) };

	/* A count that is not written holds until the next restart; the store has said why. */
	(void)api->store->run(api->host,
			      "INSERT INTO login_tries (key, tries, since, locked_until) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO "
			      "UPDATE SET tries = $2, since = $3, locked_until = $4",
			      values, 4, NULL, NULL);
}

static void keep_changed(const struct api *api, const char *address, const char *user, const struct api_tries before[API_TRIES_KINDS])
{
	struct api_tries after[API_TRIES_KINDS];

	api_limits_tries(api->limits, address, user, after);
	for (size_t i = 0; i < API_TRIES_KINDS; i++) {
		if (after[i].tries != before[i].tries || after[i].since_ms != before[i].since_ms ||
		    after[i].locked_until_ms != before[i].locked_until_ms)
			keep(api, &after[i]);
	}
}

bool api_lockouts_try(struct api *api, const char *address, const char *user, uint32_t *ret_wait_s)
{
	struct api_tries before[API_TRIES_KINDS];

	api_limits_tries(api->limits, address, user, before);
	bool may = api_limits_try_login(api->limits, address, user, api->host->now_ms(api->host), ret_wait_s);
	keep_changed(api, address, user, before);
	return may;
}

void api_lockouts_logged_in(struct api *api, const char *address, const char *user)
{
	struct api_tries before[API_TRIES_KINDS];

	api_limits_tries(api->limits, address, user, before);
	api_limits_logged_in(api->limits, address, user);
	keep_changed(api, address, user, before);
}

static void on_tries(void *context, const struct pbx_rows *rows)
{
	struct api *api = context;

	if (rows->status != PBX_OK)
		core_log(PBX_LOG_WARN, "api", NULL, "login_tries_not_read", "reason=\"%s\"", rows->error);
	for (uint32_t i = 0; i < rows->count; i++) {
		struct api_tries tries = {
			.tries = (uint32_t)pbx_cell_int(rows, i, 1),
			.since_ms = from_wall_us(api, pbx_cell_int(rows, i, 2)),
			.locked_until_ms = from_wall_us(api, pbx_cell_int(rows, i, 3)),
		};
		(void)snprintf(tries.key, sizeof tries.key, "%s", pbx_cell_text(rows, i, 0));
		api_limits_restore(api->limits, &tries);
	}
	api_first_user(api);
}

void api_lockouts_load(struct api *api)
{
	int64_t now_us = api->host->wall_us(api->host);
	const struct pbx_value values[] = { PBX_V_INT(now_us - (int64_t)API_TRIES_WITHIN_MS * 1000), PBX_V_INT(now_us) };
	const struct pbx_statement statements[] = {
		{ "DELETE FROM login_tries WHERE since < $1 AND locked_until < $2", values, 2 },
		{ "SELECT key, tries, since, locked_until FROM login_tries ORDER BY since LIMIT 8192", NULL, 0 },
	};

	if (api->store->batch(api->host, statements, 2, on_tries, api) == PBX_OK)
		return;
	core_log(PBX_LOG_WARN, "api", NULL, "login_tries_not_read", "reason=\"the database has too much to do\"");
	api_first_user(api);
}
