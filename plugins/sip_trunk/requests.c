/*
 * requests - trunks and routes as people see and change them, by REST and by pbxctl
 *
 * A change is checked, stored, and only then holds. One function serves a verb for all three kinds: which kind it is, the wrappers say.
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

struct change {
	struct sip_trunk *plugin;
	pbx_request request;
	uint32_t kind;
	bool creates, removes;
	max_align_t row[];
};

static const char *id_name(uint32_t kind)
{
	return ((const struct column *)kinds[kind].columns.rows)->arg.name;
}

static struct pbx_json *describe(const struct sip_trunk *plugin, uint32_t kind, const void *row)
{
	const struct trunk *trunk = kind == KIND_TRUNK ? trunk_find(plugin, row) : NULL;

	return trunk ? trunk_json(trunk) : row_json(plugin, &kinds[kind], row);
}

static const void *asked_row(const struct sip_trunk *plugin, uint32_t kind, pbx_request request)
{
	const char *id = plugin->requests->text(request, id_name(kind));
	const void *row = record_find(plugin, kind, id);

	if (!row)
		(void)plugin->requests->fail(request, 404, "not_found", id_name(kind), "there is no %s %s", kinds[kind].what, id);
	return row;
}

static void on_list(struct sip_trunk *plugin, uint32_t kind, pbx_request request)
{
	struct pbx_json *list = plugin->json->new_array();

	for (const struct record *record = plugin->records[kind]; record; record = record->next)
		(void)plugin->json->append(list, describe(plugin, kind, record->row));
	(void)plugin->requests->reply(request, 200, list); /* the asker may have left */
}

static void on_show(struct sip_trunk *plugin, uint32_t kind, pbx_request request)
{
	const void *row = asked_row(plugin, kind, request);

	if (row)
		(void)plugin->requests->reply(request, 200, describe(plugin, kind, row));
}

/* ---- changing ------------------------------------------------------------------------- */

static void on_stored(void *self, const struct pbx_rows *rows)
{
	struct change *change = self;
	struct sip_trunk *plugin = change->plugin;
	const struct kind *kind = &kinds[change->kind];
	const char *id = (const char *)change->row;
	char location[160];
	int err = rows->status;

	if (err == PBX_OK && change->removes)
		record_drop(plugin, change->kind, id);
	else if (err == PBX_OK)
		err = record_place(plugin, change->kind, change->row);
	if (err == PBX_OK && kind->changed)
		kind->changed(plugin, id, change->removes ? NULL : change->row);
	(void)snprintf(location, sizeof location, "%s/%s", kind->path, id);
	if (err != PBX_OK)
		(void)plugin->requests->fail(change->request, 503, "store_unavailable", NULL, "not stored: %s", rows->error);
	else if (change->removes)
		(void)plugin->requests->reply(change->request, 204, NULL);
	else if (change->creates)
		(void)plugin->requests->created(change->request, location, describe(plugin, change->kind, change->row));
	else
		(void)plugin->requests->reply(change->request, 200, describe(plugin, change->kind, change->row));
	explicit_bzero(change->row, kind->size);
	free(change);
}

static void store(struct change *change)
{
	struct sip_trunk *plugin = change->plugin;
	const struct kind *kind = &kinds[change->kind];
	struct pbx_value values[64];
	char sql[160];
	int err;

	row_values(kind, change->row, values);
	(void)snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s = $1", kind->table, id_name(change->kind));
	if (change->removes)
		err = plugin->store->run(plugin->host, sql, values, 1, on_stored, change);
	else
		err = plugin->store->run(plugin->host, plugin->upsert_sql[change->kind], values, kind->columns.count, on_stored, change);
	if (err == PBX_OK)
		return;
	(void)plugin->requests->fail(change->request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
	free(change);
}

/* from: what it was, NULL for a new one. */
static struct change *change_new(struct sip_trunk *plugin, uint32_t kind, pbx_request request, const void *from)
{
	struct change *change = calloc(1, sizeof *change + kinds[kind].size);

	if (!change) {
		(void)plugin->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	*change = (struct change){ .plugin = plugin, .request = request, .kind = kind, .creates = from == NULL };
	if (from)
		memcpy(change->row, from, kinds[kind].size);
	else
		row_init(&kinds[kind], change->row);
	return change;
}

static void change_run(struct change *change)
{
	struct sip_trunk *plugin = change->plugin;
	const struct kind *kind = &kinds[change->kind];
	struct pbx_diag diag = { .text = "there is no memory" };

	if (change->creates) /* secrets are bound to the id: it comes first */
		(void)snprintf((char *)change->row, ID_SIZE, "%s", plugin->requests->text(change->request, id_name(change->kind)));
	int err = row_take(plugin, kind, change->row, change->request, &diag);
	if (err == PBX_OK)
		err = kind->check(plugin, change->row, &diag);
	if (err == PBX_OK) {
		store(change);
		return;
	}
	(void)plugin->requests->fail(change->request, err == PBX_EINVAL ? 422 : 503, err == PBX_EINVAL ? "invalid" : "failed",
				     diag.field[0] ? diag.field : NULL, "%s", diag.text);
	free(change);
}

static void on_preset(void *context, int result, const struct pbx_json *values, const struct pbx_diag *said)
{
	struct change *change = context;
	struct sip_trunk *plugin = change->plugin;
	struct pbx_diag diag = *said;
	int err = result == PBX_OK ? row_preset(plugin, &kinds[change->kind], change->row, values, &diag) : result;

	if (err == PBX_OK) {
		change_run(change);
		return;
	}
	if (err != PBX_ECANCELLED) /* whose plugin stops is told so by the core */
		(void)plugin->requests->fail(change->request, 422, "invalid", "preset", "%s", diag.text);
	free(change);
}

static void on_create(struct sip_trunk *plugin, uint32_t kind, pbx_request request)
{
	const char *id = plugin->requests->text(request, id_name(kind));

	if (record_find(plugin, kind, id)) {
		(void)plugin->requests->fail(request, 409, "exists", id_name(kind), "%s %s exists", kinds[kind].what, id);
		return;
	}
	struct change *change = change_new(plugin, kind, request, NULL);
	const char *preset = kinds[kind].preset ? plugin->requests->text(request, "preset") : NULL;
	if (!change)
		return;
	if (!preset || !preset[0])
		change_run(change);
	else if (preset_find(plugin, &kinds[kind], preset, on_preset, change) != PBX_OK)
		on_preset(change, PBX_ENOMEM, NULL, &(struct pbx_diag){ .text = "there is no memory" });
}

static void on_change(struct sip_trunk *plugin, uint32_t kind, pbx_request request)
{
	const void *row = asked_row(plugin, kind, request);

	if (row && kinds[kind].preset && plugin->requests->has(request, "preset")) {
		(void)plugin->requests->fail(request, 422, "invalid", "preset", "one begins with a preset: say it when the %s is made",
					     kinds[kind].what);
		return;
	}
	struct change *change = row ? change_new(plugin, kind, request, row) : NULL;
	if (change)
		change_run(change);
}

static void on_remove(struct sip_trunk *plugin, uint32_t kind, pbx_request request)
{
	const void *row = asked_row(plugin, kind, request);
	struct change *change = row ? change_new(plugin, kind, request, row) : NULL;

	if (!change)
		return;
	change->removes = true;
	store(change);
}

#define KIND(prefix, kind)                                                                                                                 \
	static void prefix##_list(void *self, pbx_request request)                                                                         \
	{                                                                                                                                  \
		on_list(self, kind, request);                                                                                              \
	}                                                                                                                                  \
	static void prefix##_show(void *self, pbx_request request)                                                                         \
	{                                                                                                                                  \
		on_show(self, kind, request);                                                                                              \
	}                                                                                                                                  \
	static void prefix##_create(void *self, pbx_request request)                                                                       \
	{                                                                                                                                  \
		on_create(self, kind, request);                                                                                            \
	}                                                                                                                                  \
	static void prefix##_change(void *self, pbx_request request)                                                                       \
	{                                                                                                                                  \
		on_change(self, kind, request);                                                                                            \
	}                                                                                                                                  \
	static void prefix##_remove(void *self, pbx_request request)                                                                       \
	{                                                                                                                                  \
		on_remove(self, kind, request);                                                                                            \
	}
KIND(trunk, KIND_TRUNK)
KIND(outbound, KIND_OUTBOUND)
KIND(inbound, KIND_INBOUND)

/* ---- trunks at work ------------------------------------------------------------------- */

static struct trunk *asked_trunk(struct sip_trunk *plugin, pbx_request request)
{
	return asked_row(plugin, KIND_TRUNK, request) ? trunk_find(plugin, plugin->requests->text(request, "trunk_id")) : NULL;
}

static void on_enable(struct sip_trunk *plugin, pbx_request request, bool on)
{
	const void *row = asked_row(plugin, KIND_TRUNK, request);
	struct change *change = row ? change_new(plugin, KIND_TRUNK, request, row) : NULL;
	struct trunk *trunk = row ? trunk_find(plugin, row) : NULL;

	if (!change)
		return;
	if (!on && trunk)
		registration_stop(trunk, true);
	struct trunk_config *is = (void *)change->row;
	is->enabled = on;
	store(change);
}

static void trunk_enable(void *self, pbx_request request)
{
	on_enable(self, request, true);
}

static void trunk_disable(void *self, pbx_request request)
{
	on_enable(self, request, false);
}

static void on_registering(struct sip_trunk *plugin, pbx_request request, bool on)
{
	struct trunk *trunk = asked_trunk(plugin, request);

	if (!trunk)
		return;
	if (!trunk->is.registration_required || !trunk->is.enabled) {
		(void)plugin->requests->fail(request, 409, "does_not_register", "trunk_id",
					     "%s does not register: set registration_required and enabled", trunk->is.id);
		return;
	}
	if (on)
		registration_start(trunk, 0);
	else
		registration_stop(trunk, true);
	(void)plugin->requests->reply(request, 202, trunk_json(trunk));
}

static void trunk_register(void *self, pbx_request request)
{
	on_registering(self, request, true);
}

static void trunk_unregister(void *self, pbx_request request)
{
	on_registering(self, request, false);
}

static void trunk_test(void *self, pbx_request request)
{
	struct sip_trunk *plugin = self;
	struct trunk *trunk = asked_trunk(plugin, request);

	if (!trunk)
		return;
	health_probe(trunk);
	(void)plugin->requests->reply(request, 200, trunk_health_json(trunk));
}

static void health_list(void *self, pbx_request request)
{
	struct sip_trunk *plugin = self;
	struct pbx_json *list = plugin->json->new_array();

	for (const struct trunk *trunk = plugin->trunks; trunk; trunk = trunk->next)
		(void)plugin->json->append(list, trunk_health_json(trunk));
	(void)plugin->requests->reply(request, 200, list);
}

/* ---- the tables ----------------------------------------------------------------------- */

static const struct pbx_arg trunk_id[] = {
	{ .name = "trunk_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "The trunk", .completes = "trunk" },
};
static const struct pbx_arg statistics_args[] = {
	{ .name = "trunk_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "The trunk", .completes = "trunk" },
	{ .name = "days", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .least = 1, .most = 3660, .help = "So many, today included (30)" },
};
static const struct pbx_arg test_args[] = {
	{ .name = "number", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 64, .help = "What is dialled" },
	{ .name = "extension", .type = PBX_TYPE_TEXT, .most = 64, .help = "Who dials; empty: a feature of the PBX" },
};
static const struct pbx_arg route_id[] = {
	{ .name = "route_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "The route" },
};
static const struct pbx_field trunk_fields[] = {
	{ "trunk_id", PBX_TYPE_TEXT, "Short name" },
	{ "name", PBX_TYPE_TEXT, "What people call it" },
	{ "host", PBX_TYPE_TEXT, "Name or address of the provider" },
	{ "has_password", PBX_TYPE_BOOL, "A password is kept" },
	{ "status", PBX_TYPE_TEXT, "disabled, unregistered, registered, degraded, failed" },
	{ "health_status", PBX_TYPE_TEXT, "healthy, warning, critical, down" },
	{ "channels_in_use", PBX_TYPE_INT, "Calls now, in both directions" },
	{ "channels_available", PBX_TYPE_INT, "Calls it may have besides" },
	{ "success_rate", PBX_TYPE_NUMBER, "Of the last hundred attempts, 0 to 1" },
	{ "failover_count", PBX_TYPE_INT, "How often a call went on to another trunk" },
	{ "sip_code", PBX_TYPE_INT, "Of the last REGISTER" },
	{ "registered_until", PBX_TYPE_TIME, "End of the binding, or null" },
	{ "next_attempt", PBX_TYPE_TIME, "When it registers next, or null" },
};
static const struct pbx_field health_fields[] = {
	{ "trunk_id", PBX_TYPE_TEXT, "Short name" },
	{ "health_status", PBX_TYPE_TEXT, "healthy, warning, critical, down" },
	{ "last_health_check", PBX_TYPE_TIME, "Last OPTIONS" },
	{ "success_rate", PBX_TYPE_NUMBER, "Of the last hundred attempts, 0 to 1" },
	{ "average_setup_time", PBX_TYPE_NUMBER, "Seconds until it rings" },
	{ "failover_count", PBX_TYPE_INT, "How often a call went on to another trunk" },
};
static const struct pbx_field day_fields[] = {
	{ "day", PBX_TYPE_TEXT, "UTC, 2026-11-22" },
	{ "attempts", PBX_TYPE_INT, "Tries of outgoing calls" },
	{ "answered", PBX_TYPE_INT, "Of those" },
	{ "failed", PBX_TYPE_INT, "By the trunk, not by the callee" },
	{ "inbound", PBX_TYPE_INT, "Calls that came in" },
	{ "seconds", PBX_TYPE_INT, "Talked, in both directions" },
	{ "average_setup_time", PBX_TYPE_NUMBER, "Seconds until it rings" },
};
static const struct pbx_field preset_fields[] = {
	{ "preset", PBX_TYPE_TEXT, "Its name" },
	{ "of", PBX_TYPE_TEXT, "trunk, outbound_route" },
	{ "summary", PBX_TYPE_TEXT, "What it is" },
	{ "values", PBX_TYPE_OBJECT, "Where one begins" },
};
static const struct pbx_field test_fields[] = {
	{ "verdict", PBX_TYPE_TEXT, "targets, reject, control, forward, pass" },
	{ "sip_code", PBX_TYPE_INT, "With reject" },
	{ "sentence", PBX_TYPE_TEXT, "In words" },
	{ "targets", PBX_TYPE_OBJECTS, "Trunks in order: trunk_id, number, caller_number" },
	{ "routes", PBX_TYPE_OBJECTS, "All outbound routes in order: route_id, fits, why_not, asks_for_pin" },
};
static const struct pbx_field route_fields[] = {
	{ "route_id", PBX_TYPE_TEXT, "Short name" },
};

#define ROUTE(verb, where, fn, right, what, ...)                                                                                           \
	{                                                                                                                                  \
		.method = verb, .path = where, .handle = fn, .scope = right, .summary = what, __VA_ARGS__                                  \
	}
#define READS "trunks:read"
#define WRITES "trunks:write"
/* Columns as arguments: without what is hidden behind them. */
#define TRUNK_ARGS (TRUNK_COLUMNS - 1)
#define ALL(prefix, count)                                                                                                                 \
	{                                                                                                                                  \
		prefix##_columns, count, sizeof(struct column)                                                                             \
	}
#define CRUD(prefix, count, path, id, id_path, fields, what)                                                                               \
	ROUTE("GET", path, prefix##_list, READS, "List " what "s", .reply = PBX_TABLE(fields)),                                            \
		ROUTE("POST", path, prefix##_create, WRITES, "Make an " what, .flags = PBX_ROUTE_WRITES, .args = ALL(prefix, count),       \
		      .reply = PBX_TABLE(fields)),                                                                                         \
		ROUTE("GET", path id_path, prefix##_show, READS, "One " what, .args = PBX_TABLE(id), .reply = PBX_TABLE(fields)),          \
		ROUTE("PUT", path id_path, prefix##_change, WRITES, "Change an " what, .flags = PBX_ROUTE_WRITES,                          \
		      .args = ALL(prefix, count), .reply = PBX_TABLE(fields)),                                                             \
		ROUTE("DELETE", path id_path, prefix##_remove, WRITES, "Remove an " what, .flags = PBX_ROUTE_WRITES,                       \
		      .args = PBX_TABLE(id))
#define VERB(name, what)                                                                                                                   \
	ROUTE("POST", "/sip-trunks/{trunk_id}:" #name, trunk_##name, WRITES, what, .flags = PBX_ROUTE_WRITES, .args = PBX_TABLE(trunk_id), \
	      .reply = PBX_TABLE(trunk_fields))

const struct pbx_route trunk_routes[SIP_TRUNK_ROUTES] = {
	ROUTE("GET", "/sip-trunks/presets", preset_list, READS, "Presets of trunks and routes", .reply = PBX_TABLE(preset_fields)),
	ROUTE("GET", "/sip-trunks/{trunk_id}/statistics", trunk_statistics, READS, "What a trunk did, a row for each day, newest first",
	      .args = PBX_TABLE(statistics_args), .reply = PBX_TABLE(day_fields)),
	ROUTE("POST", "/outbound-routes/test", outbound_test, READS, "What would become of a number, without a call",
	      .args = PBX_TABLE(test_args), .reply = PBX_TABLE(test_fields)),
	ROUTE("GET", "/sip-trunks/health", health_list, READS, "Health of all trunks", .reply = PBX_TABLE(health_fields)),
	CRUD(trunk, TRUNK_ARGS, "/sip-trunks", trunk_id, "/{trunk_id}", trunk_fields, "SIP trunk"),
	VERB(register, "Register now"),
	VERB(unregister, "Give the registration back"),
	VERB(enable, "Use the trunk"),
	VERB(disable, "Do not use the trunk"),
	VERB(test, "Ask whether it answers, and show its health"),
	CRUD(outbound, OUTBOUND_COLUMNS, "/outbound-routes", route_id, "/{route_id}", route_fields, "outbound route"),
	CRUD(inbound, INBOUND_COLUMNS, "/inbound-routes", route_id, "/{route_id}", route_fields, "inbound route"),
};

#define COMMAND(what, fn, text, arguments, shown)                                                                                          \
	{                                                                                                                                  \
		.words = what, .handle = fn, .help = text, .args = arguments, .columns = shown                                             \
	}
#define NONE                                                                                                                               \
	{                                                                                                                                  \
		NULL, 0, 0                                                                                                                 \
	}
const struct pbx_command trunk_commands[SIP_TRUNK_COMMANDS] = {
	COMMAND("trunk list", trunk_list, "List trunks", NONE, "trunk_id,host,status,health_status,channels_in_use,max_channels,priority"),
	COMMAND("trunk show", trunk_show, "One trunk", PBX_TABLE(trunk_id), NULL),
	COMMAND("trunk health", health_list, "Health of all trunks", NONE, NULL),
	COMMAND("trunk add", trunk_create, "Make a trunk", ALL(trunk, TRUNK_ARGS), NULL),
	COMMAND("trunk set", trunk_change, "Change a trunk", ALL(trunk, TRUNK_ARGS), NULL),
	COMMAND("trunk remove", trunk_remove, "Remove a trunk", PBX_TABLE(trunk_id), NULL),
	COMMAND("trunk register", trunk_register, "Register now", PBX_TABLE(trunk_id), NULL),
	COMMAND("trunk unregister", trunk_unregister, "Give the registration back", PBX_TABLE(trunk_id), NULL),
	COMMAND("trunk enable", trunk_enable, "Use a trunk", PBX_TABLE(trunk_id), NULL),
	COMMAND("trunk disable", trunk_disable, "Do not use a trunk", PBX_TABLE(trunk_id), NULL),
	COMMAND("trunk test", trunk_test, "Ask whether it answers", PBX_TABLE(trunk_id), NULL),
	COMMAND("trunk presets", preset_list, "Presets of trunks and routes", NONE, "preset,of,summary"),
	COMMAND("trunk statistics", trunk_statistics, "What a trunk did, day by day", PBX_TABLE(statistics_args),
		"day,attempts,answered,failed,inbound,seconds,average_setup_time"),
	COMMAND("outbound-route test", outbound_test, "What would become of a number, without a call", PBX_TABLE(test_args), NULL),
	COMMAND("outbound-route list", outbound_list, "List outbound routes", NONE,
		"route_id,pattern,strip,prepend,trunks,priority,enabled"),
	COMMAND("outbound-route add", outbound_create, "Make an outbound route", ALL(outbound, OUTBOUND_COLUMNS), NULL),
	COMMAND("outbound-route set", outbound_change, "Change an outbound route", ALL(outbound, OUTBOUND_COLUMNS), NULL),
	COMMAND("outbound-route show", outbound_show, "One outbound route", PBX_TABLE(route_id), NULL),
	COMMAND("outbound-route remove", outbound_remove, "Remove an outbound route", PBX_TABLE(route_id), NULL),
	COMMAND("inbound-route list", inbound_list, "List inbound routes", NONE, "route_id,did,destination,trunk_id,description"),
	COMMAND("inbound-route add", inbound_create, "Make an inbound route", ALL(inbound, INBOUND_COLUMNS), NULL),
	COMMAND("inbound-route set", inbound_change, "Change an inbound route", ALL(inbound, INBOUND_COLUMNS), NULL),
	COMMAND("inbound-route show", inbound_show, "One inbound route", PBX_TABLE(route_id), NULL),
	COMMAND("inbound-route remove", inbound_remove, "Remove an inbound route", PBX_TABLE(route_id), NULL),
};
