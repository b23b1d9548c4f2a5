/* core/commands.c - core_part: what the daemon itself can be asked, as commands and as REST, from one table
 *
 * The core hands in the same card as any plugin. Handlers that are about settings, routing, log and events are in the commands_ files. */
#include "bus.h"
#include "commands_internal.h"
#include "host_internal.h"
#include "log.h"
#include "metrics.h"
#include "parts.h"
#include "settings.h"
#include <stdlib.h>
#include <string.h>

#define METRIC_LOOP_SECONDS 0u
#define METRIC_STATE 1u

struct core_part {
	PBX_INSTANCE(void);
};

static const struct pbx_requests *const requests = &core_requests_service;
static struct pbx_host *part_host; /* NULL: not started */

struct pbx_host *core_part_host(void)
{
	return part_host ? part_host : core_self();
}

/* ---- answers -------------------------------------------------------------------------- */

void core_reply_object(pbx_request request, struct pbx_json *taken)
{
	if (taken)
		(void)requests->reply(request, 200, taken); /* or they have gone */
	else
		(void)requests->fail(request, 503, "no_memory", NULL, "out of memory, try again later");
}

void core_reply_items(pbx_request request, struct pbx_json *taken)
{
	struct pbx_json *json = taken ? core_json_object() : NULL;

	if (!json) {
		core_json_free(taken);
		core_reply_object(request, NULL);
		return;
	}
	if (core_json_set(json, "items", taken) != PBX_OK) {
		core_json_free(json);
		json = NULL;
	}
	core_reply_object(request, json);
}

void core_reply_refusal(pbx_request request, int result, const struct pbx_diag *diag)
{
	static const struct {
		int result;
		uint32_t status;
		const char *code;
	} rows[] = {
		{ PBX_EINVAL, 422, "invalid_value" }, { PBX_ENOMEM, 503, "no_memory" }, { PBX_ENOENT, 404, "not_found" },
		{ PBX_EEXIST, 409, "exists" },        { PBX_ENOSPC, 503, "full" },      { PBX_EBUSY, 409, "in_use" },
		{ PBX_EPERM, 403, "not_permitted" },  { PBX_ESTATE, 409, "not_now" },   { PBX_ETIMEOUT, 504, "timeout" },
		{ PBX_EIO, 503, "unavailable" },      { PBX_EVERSION, 422, "version" }, { PBX_ECANCELLED, 503, "stopping" },
	};
	uint32_t status = 500;
	const char *code = "failed";

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].result == result) {
			status = rows[i].status;
			code = rows[i].code;
		}
	}
	(void)requests->fail(request, status, code, diag->field[0] ? diag->field : NULL, "%s", diag->text[0] ? diag->text : "it failed");
}

/* ---- help -------------------------------------------------------------------------------- */

static void on_help(void *self, pbx_request request)
{
	(void)self;
	core_reply_items(request, core_requests_commands());
}

/* ---- plugins -------------------------------------------------------------------------- */

static void on_plugins(void *self, pbx_request request)
{
	(void)self;
	core_reply_items(request, core_plugin_list());
}

static void on_plugin_show(void *self, pbx_request request)
{
	const char *wanted = requests->text(request, "name");
	AUTO(json) struct pbx_json *list = core_plugin_list();

	(void)self;
	if (!list) {
		core_reply_object(request, NULL);
		return;
	}
	for (const struct pbx_json *item = core_json_first(list); item; item = core_json_next(item)) {
		if (!strcmp(core_json_text(core_json_get(item, "name")), wanted)) {
			core_reply_object(request, core_json_copy(item));
			return;
		}
	}
	(void)requests->fail(request, 404, "no_plugin", "name", "%s: there is no such plugin, `plugin list` names them", wanted);
}

struct errand {
	pbx_request request;
};

/* "hotline 1.2.0 is running", "hotline is unloaded": with what `plugin list` says of it, and how many copies there are. NULL: no memory. */
static struct pbx_json *errand_json(const char *said)
{
	char name[64];
	int length;
	const char *begin = core_plugin_name_in(said, &length);

	(void)snprintf(name, sizeof name, "%.*s", length, begin);
	const struct core_plugin *plugin = core_plugin_find(name);
	const struct core_instance *current = plugin ? plugin->current : NULL;
	AUTO(json) struct pbx_json *json = core_json_object();
	char sentence[256];
	int64_t older = 0;

	for (const struct core_instance *one = plugin ? plugin->instances : NULL; one; one = one->next)
		older += one != current;
	if (!current)
		(void)snprintf(sentence, sizeof sentence, "%s is unloaded", name);
	else
		(void)snprintf(sentence, sizeof sentence, "%s %s is %s%s", name, current->card.version,
			       core_plugin_state_name(plugin->state), older ? ", an older copy finishes what it began" : "");
	if (!json || core_json_set_text(json, "sentence", sentence) != PBX_OK || core_json_set_text(json, "name", name) != PBX_OK ||
	    core_json_set_text(json, "version", current ? current->card.version : NULL) != PBX_OK ||
	    core_json_set_text(json, "state", plugin ? core_plugin_state_name(plugin->state) : NULL) != PBX_OK ||
	    core_json_set_integer(json, "older_copies", older) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static void on_errand_done(void *context, int result, const struct pbx_diag *diag)
{
	struct errand *errand = context;
	const char *name = result == PBX_OK ? requests->text(errand->request, "name") : NULL;

	if (name)
		core_reply_object(errand->request, errand_json(name));
	else if (result != PBX_OK)
		core_reply_refusal(errand->request, result, diag);
	free(errand); /* without a name they have gone */
}

static void send_errand(pbx_request request, void (*send)(const char *name, core_plugin_done_fn done, void *context))
{
	struct errand *errand = malloc(sizeof *errand);

	if (!errand) {
		core_reply_object(request, NULL);
		return;
	}
	errand->request = request;
	send(requests->text(request, "name"), on_errand_done, errand);
}

static void on_plugin_load(void *self, pbx_request request)
{
	(void)self;
	send_errand(request, core_plugin_load);
}

static void on_plugin_unload(void *self, pbx_request request)
{
	(void)self;
	send_errand(request, core_plugin_unload);
}

static void on_plugin_reload(void *self, pbx_request request)
{
	(void)self;
	send_errand(request, core_plugin_reload);
}

/* ---- events and metrics of the host --------------------------------------------------- */

void core_part_tell(const char *event, const struct core_plugin *plugin, const char *version, const char *reason)
{
	struct pbx_json *data = part_host ? core_json_object() : NULL;

	if (!data)
		return;
	if (core_json_set_text(data, "name", plugin->name) != PBX_OK || core_json_set_text(data, "version", version) != PBX_OK ||
	    core_json_set_text(data, "reason", reason) != PBX_OK)
		core_json_free(data);
	else
		(void)core_bus_publish(part_host, event, "", "", data); /* the bus says what it cannot take */
}

void core_part_report_time(struct core_instance *instance)
{
	uint64_t us = instance->owner.self_us - instance->reported_us;

	if (!part_host || !us)
		return;
	instance->reported_us += us;
	(void)core_metrics_service.add(part_host, METRIC_LOOP_SECONDS, instance->owner.name,
				       (double)us / 1e6); /* 1,000 plugins are enough */
}

static void on_scrape(void *self)
{
	(void)self;
	for (const struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next) {
		(void)core_metrics_service.set(part_host, METRIC_STATE, plugin->name, plugin->state); /* 1,000 plugins are enough */
		for (struct core_instance *instance = plugin->instances; instance; instance = instance->next)
			core_part_report_time(instance);
	}
}

/* ---- the card ------------------------------------------------------------------------- */

static const struct pbx_arg name_args[] = {
	{ .name = "name",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "plugin",
	  .least = 1,
	  .most = 4095,
	  .completes = "plugin" },
};
static const struct pbx_arg file_args[] = {
	{ .name = "file", .type = PBX_TYPE_TEXT, .help = "a settings file that is not in use yet", .completes = "file" },
};
static const struct pbx_arg prefix_args[] = {
	{ .name = "prefix",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_QUERY,
	  .help = "section, or beginning of a path",
	  .completes = "setting" },
};
static const struct pbx_arg path_args[] = {
	{ .name = "path", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "section.name", .completes = "setting" },
};
static const struct pbx_arg set_args[] = {
	{ .name = "path", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "section.name", .completes = "setting" },
	{ .name = "value", .flags = PBX_ARG_REQUIRED | PBX_ARG_REST, .help = "as it would stand in the file" }, /* of any type */
};
static const struct pbx_arg undo_args[] = {
	{ .name = "revision",
	  .type = PBX_TYPE_INT,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "the change to take back",
	  .least = 1,
	  .most = INT64_MAX },
};
static const struct pbx_arg history_args[] = {
	{ .name = "limit", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .help = "how many", .least = 1, .most = 500 },
};
static const struct pbx_arg explain_args[] = {
	{ .name = "from",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "who calls: an extension, or peer:NAME for another SIP system",
	  .completes = "extension",
	  .most = 64 },
	{ .name = "to",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .help = "what they dial",
	  .completes = "extension",
	  .least = 1,
	  .most = 64 },
	{ .name = "at", .type = PBX_TYPE_TIME, .help = "as if it were then" },
};
static const struct pbx_arg number_args[] = {
	{ .name = "number", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "number", .least = 1, .most = 64 },
};

#define LEVELS .type = PBX_TYPE_CHOICE, .choices = PBX_CHOICES("error", "warn", "notice", "info", "debug")
static const struct pbx_arg level_args[] = {
	{ .name = "level", LEVELS, .flags = PBX_ARG_REQUIRED, .help = "least important line that is written" },
	{ .name = "owner", .type = PBX_TYPE_TEXT, .help = "of one plugin or part only", .completes = "owner" },
	{ .name = "for_s", .type = PBX_TYPE_INT, .help = "seconds until it is as before; 0: until changed", .least = 0, .most = 86400 },
};
static const struct pbx_arg recent_args[] = {
	{ .name = "count", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .help = "how many lines", .least = 1, .most = 10000 },
	{ .name = "level", LEVELS, .flags = PBX_ARG_QUERY, .help = "least important line shown" },
	{ .name = "owner", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .help = "of one plugin or part only", .completes = "owner" },
};
static const struct pbx_arg follow_args[] = {
	{ .name = "level", LEVELS, .help = "least important line shown" },
	{ .name = "owner", .type = PBX_TYPE_TEXT, .help = "of one plugin or part only", .completes = "owner" },
	{ .name = "recent", .type = PBX_TYPE_INT, .help = "lines from before", .least = 0, .most = 10000 },
};
static const struct pbx_arg events_args[] = {
	{ .name = "types", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .help = "patterns: call.*, separated by commas" },
	{ .name = "after",
	  .type = PBX_TYPE_INT,
	  .flags = PBX_ARG_QUERY,
	  .help = "from the event behind this number on",
	  .least = 0,
	  .most = INT64_MAX },
	{ .name = "since", .type = PBX_TYPE_TIME, .flags = PBX_ARG_QUERY, .help = "not older than" },
	{ .name = "limit", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .help = "how many", .least = 1, .most = 500 },
};
static const struct pbx_arg types_args[] = {
	{ .name = "types", .type = PBX_TYPE_TEXT, .help = "patterns: call.*, separated by commas" },
};

static const struct pbx_field plugin_fields[] = {
	{ "name", PBX_TYPE_TEXT, "name of the plugin" },
	{ "version", PBX_TYPE_TEXT, "version that runs" },
	{ "summary", PBX_TYPE_TEXT, "what a user gets" },
	{ "state", PBX_TYPE_TEXT, "found, loaded, running, draining, failed, disabled" },
	{ "reason", PBX_TYPE_TEXT, "why it failed" },
	{ "cure", PBX_TYPE_TEXT, "what to do about it" },
	{ "file", PBX_TYPE_TEXT, "where it was loaded from" },
	{ "holds", PBX_TYPE_TEXT, "what keeps it from being unloaded" },
	{ "loop_ms", PBX_TYPE_NUMBER, "time it has taken on the loop" },
	{ "instances", PBX_TYPE_INT, "copies in memory: two while an upgrade lasts" },
	{ "needs", PBX_TYPE_LIST, "services and plugins it needs" },
	{ "offers", PBX_TYPE_LIST, "services it offers" },
};
static const struct pbx_field plan_fields[] = {
	{ "order", PBX_TYPE_INT, "when it is asked: lower comes first; 0 for a reserved number, whose owner answers in a hook" },
	{ "kind", PBX_TYPE_TEXT, "claim of a pattern, number reserved, or hook that is asked about every number" },
	{ "pattern", PBX_TYPE_TEXT, "pattern or number, or the hook's name" },
	{ "owner", PBX_TYPE_TEXT, "plugin or part that answers" },
	{ "help", PBX_TYPE_TEXT, "what a caller gets" },
};
static const struct pbx_field step_fields[] = {
	{ "items", PBX_TYPE_OBJECTS, "each hook asked: order, owner, hook, verdict, text, took_ms" },
	{ "sentence", PBX_TYPE_TEXT, "the outcome in one sentence" },
	{ "verdict", PBX_TYPE_TEXT, "targets, forward, control, reject or pass" },
	{ "targets", PBX_TYPE_LIST, "what would ring" },
	{ "to", PBX_TYPE_TEXT, "where the call would be forwarded" },
	{ "sip_code", PBX_TYPE_INT, "answer to a rejected call" },
	{ "text", PBX_TYPE_TEXT, "in words" },
};
static const struct pbx_field event_fields[] = {
	{ "seq", PBX_TYPE_INT, "number without a gap" },
	{ "id", PBX_TYPE_TEXT, "ULID" },
	{ "type", PBX_TYPE_TEXT, "what happened" },
	{ "owner", PBX_TYPE_TEXT, "who says so" },
	{ "time", PBX_TYPE_TIME, "when" },
	{ "call_id", PBX_TYPE_TEXT, "the call it is about" },
	{ "linked_id", PBX_TYPE_TEXT, "the same through transfers and parking" },
	{ "data", PBX_TYPE_OBJECT, "as its type declares" },
};
/* clang-format off */
#define CHANGE_FIELDS \
	{ "sentence", PBX_TYPE_TEXT, "what has changed and what waits, in words" }, \
	{ "changed", PBX_TYPE_OBJECTS, "each setting with a new value: path, from, to, restart: whether it acts at a restart only" }, \
	{ "waiting", PBX_TYPE_OBJECTS, "each setting that waits for a restart, of older changes too: path, in_force, value, by" }
/* clang-format on */
static const struct pbx_field revision_fields[] = { CHANGE_FIELDS, { "revision", PBX_TYPE_INT, "number of the change, for undo" } };
static const struct pbx_field reload_fields[] = {
	CHANGE_FIELDS,
	{ "warnings", PBX_TYPE_LIST, "sections that nobody reads, with file, line and column" },
};
static const struct pbx_field errand_fields[] = {
	{ "sentence", PBX_TYPE_TEXT, "what has happened, in words" },
	{ "name", PBX_TYPE_TEXT, "name of the plugin" },
	{ "version", PBX_TYPE_TEXT, "version that runs" },
	{ "state", PBX_TYPE_TEXT, "found, loaded, running, draining, failed, disabled" },
	{ "older_copies", PBX_TYPE_INT, "copies that finish what they began" },
};

#define ARGS(rows) .args = PBX_TABLE(rows)
#define REPLY(rows) .reply = PBX_TABLE(rows)
static const struct pbx_route routes[] = {
	{ "GET", "/system", core_status_show, .scope = "system:read", .summary = "State of the PBX" },
	{ "GET", "/plugins", on_plugins, .scope = "plugins:read", .summary = "Plugins and their state", REPLY(plugin_fields) },
	{ "GET", "/plugins/{name}", on_plugin_show, .scope = "plugins:read", .summary = "One plugin", ARGS(name_args),
	  REPLY(plugin_fields) },
	{ "POST", "/plugins/{name}:load", on_plugin_load, .scope = "plugins:write", .summary = "Load a plugin", .flags = PBX_ROUTE_WRITES,
	  ARGS(name_args), REPLY(errand_fields) },
	{ "POST", "/plugins/{name}:unload", on_plugin_unload, .scope = "plugins:write", .summary = "Unload a plugin that nothing uses",
	  .flags = PBX_ROUTE_WRITES, ARGS(name_args), REPLY(errand_fields) },
	{ "POST", "/plugins/{name}:reload", on_plugin_reload, .scope = "plugins:write",
	  .summary = "Replace a plugin by a fresh copy, under traffic", .flags = PBX_ROUTE_WRITES, ARGS(name_args), REPLY(errand_fields) },
	{ "GET", "/config", core_config_show, .scope = "config:read", .summary = "Settings, their values and where those come from",
	  ARGS(prefix_args) },
	{ "GET", "/config/{path}", core_config_get, .scope = "config:read", .summary = "One setting", ARGS(path_args) },
	{ "PATCH", "/config/{path}", core_config_set, .scope = "config:write", .summary = "Change a setting", .flags = PBX_ROUTE_WRITES,
	  ARGS(set_args), REPLY(revision_fields) },
	{ "DELETE", "/config/{path}", core_config_unset, .scope = "config:write", .summary = "Go back to a setting's default",
	  .flags = PBX_ROUTE_WRITES, ARGS(path_args), REPLY(revision_fields) },
	{ "GET", "/config/schema", core_config_schema, .scope = "config:read", .summary = "JSON Schema of all settings" },
	{ "GET", "/config/revisions", core_config_revisions, .scope = "config:read", .summary = "Changes made, newest first",
	  ARGS(history_args) },
	{ "GET", "/config/diff", core_config_diff, .scope = "config:read", .summary = "What a reload of the files would change" },
	{ "POST", "/config:check", core_config_check, .scope = "config:read", .summary = "Check the settings files" },
	{ "POST", "/config:reload", core_config_reload, .scope = "config:write", .summary = "Read the settings files again",
	  .flags = PBX_ROUTE_WRITES, REPLY(reload_fields) },
	{ "POST", "/config:undo", core_config_undo, .scope = "config:write", .summary = "Take a change back", .flags = PBX_ROUTE_WRITES,
	  ARGS(undo_args), REPLY(revision_fields) },
	{ "POST", "/route:explain", core_route_explain, .scope = "calls:read", .summary = "Who would answer for a number, and why",
	  ARGS(explain_args), REPLY(step_fields) },
	{ "GET", "/route/plan", core_route_plan, .scope = "calls:read",
	  .summary = "The number plan: every pattern, number and hook in the order they are asked", REPLY(plan_fields) },
	{ "GET", "/numbers/{number}", core_route_owner, .scope = "calls:read", .summary = "Who has a number", ARGS(number_args) },
	{ "GET", "/logs", core_log_recent, .scope = "logs:read", .summary = "The last lines of the log", ARGS(recent_args) },
	{ "POST", "/logs:level", core_log_level, .scope = "logs:write", .summary = "Change how much is logged", .flags = PBX_ROUTE_WRITES,
	  ARGS(level_args) },
	{ "GET", "/event-log", core_events_list, .scope = "events:read", .summary = "What has happened, by number", ARGS(events_args),
	  REPLY(event_fields) },
	{ "GET", "/event-types", core_events_types, .scope = "events:read", .summary = "Types of events and their fields" },
};

#define PLUGIN_COLUMNS "name,version,state,summary,reason"
#define EVENT_COLUMNS "seq,time,type,owner,call_id"
static const struct pbx_command commands[] = {
	{ "status", core_status_show, "State of the PBX" },
	{ "help", on_help, "All commands", .columns = "words,help" },
	{ "plugin list", on_plugins, "Plugins and their state", .columns = PLUGIN_COLUMNS },
	{ "plugin show", on_plugin_show, "One plugin", ARGS(name_args) },
	{ "plugin load", on_plugin_load, "Load a plugin", ARGS(name_args), .flags = PBX_ROUTE_WRITES },
	{ "plugin unload", on_plugin_unload, "Unload a plugin that nothing uses", ARGS(name_args), .flags = PBX_ROUTE_WRITES },
	{ "plugin reload", on_plugin_reload, "Replace a plugin by a fresh copy, under traffic", ARGS(name_args),
	  .flags = PBX_ROUTE_WRITES },
	{ "plugin upgrade", on_plugin_reload, "Replace a plugin by the file that is there now, as plugin reload does", ARGS(name_args),
	  .flags = PBX_ROUTE_WRITES },
	{ "config check", core_config_check, "Tell what is wrong with the settings files", ARGS(file_args) },
	{ "config show", core_config_show, "Settings, their values and where those come from", ARGS(prefix_args),
	  .columns = "path,value,origin,pinned,help" },
	{ "config get", core_config_get, "One setting", ARGS(path_args) },
	{ "config set", core_config_set, "Change a setting", ARGS(set_args), .flags = PBX_ROUTE_WRITES },
	{ "config unset", core_config_unset, "Go back to a setting's default", ARGS(path_args), .flags = PBX_ROUTE_WRITES },
	{ "config diff", core_config_diff, "What a reload of the files would change", .columns = "path,from,to,restart,problem" },
	{ "config reload", core_config_reload, "Read the settings files again", .flags = PBX_ROUTE_WRITES },
	{ "config undo", core_config_undo, "Take a change back", ARGS(undo_args), .flags = PBX_ROUTE_WRITES },
	{ "config revisions", core_config_revisions, "Changes made, newest first", ARGS(history_args),
	  .columns = "revision,time,actor,path,from,to" },
	{ "config schema", core_config_schema, "JSON Schema of all settings" },
	{ "config manual", core_config_manual, "Reference of all settings, in Markdown" },
	{ "route explain", core_route_explain, "Who would answer for a number, and why", ARGS(explain_args),
	  .columns = "order,owner,hook,verdict,took_ms,text" },
	{ "route plan", core_route_plan, "The number plan: every pattern, number and hook in the order they are asked",
	  .columns = "order,kind,pattern,owner,help" },
	{ "route owner", core_route_owner, "Who has a number", ARGS(number_args) },
	{ "log level", core_log_level, "Change how much is logged", ARGS(level_args), .flags = PBX_ROUTE_WRITES },
	{ "log recent", core_log_recent, "The last lines of the log", ARGS(recent_args) },
	{ "log follow", core_log_stream, "The log as it is written", ARGS(follow_args) },
	{ "events list", core_events_list, "What has happened", ARGS(events_args), .columns = EVENT_COLUMNS },
	{ "events follow", core_events_stream, "What happens, as it happens", ARGS(types_args), .columns = EVENT_COLUMNS },
	{ "events types", core_events_types, "Types of events", .columns = "name,owner,help" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_LOOP_SECONDS] = { "pbx_plugin_loop_seconds_total", PBX_METRIC_COUNTER, "Time a plugin's callbacks have taken on the loop",
				  "plugin" },
	[METRIC_STATE] = { "pbx_plugin_state", PBX_METRIC_GAUGE, "1 found, 2 loaded, 3 running, 4 draining, 5 failed, 6 disabled",
			   "plugin" },
};

static const struct pbx_field plugin_event_fields[] = {
	{ "name", PBX_TYPE_TEXT, "name of the plugin" },
	{ "version", PBX_TYPE_TEXT, "its version, when known" },
	{ "reason", PBX_TYPE_TEXT, "why it failed or stopped" },
};
static const struct pbx_event_type events[] = {
	{ "plugin.started", "A plugin runs, or a fresh copy of it", PBX_TABLE(plugin_event_fields) },
	{ "plugin.stopped", "A plugin was unloaded", PBX_TABLE(plugin_event_fields) },
	{ "plugin.failed", "A plugin could not be loaded or started", PBX_TABLE(plugin_event_fields) },
};

/* What the daemon publishes on its own account, outside this part. */
static const struct pbx_field settings_event_fields[] = {
	{ "revision", PBX_TYPE_INT, "number of the change" },
	{ "actor", PBX_TYPE_TEXT, "who made it" },
	{ "paths", PBX_TYPE_LIST, "which settings" },
};
static const struct pbx_event_type own_events[] = {
	{ "settings.changed", "Settings have new values", PBX_TABLE(settings_event_fields) },
};

static int part_start(void *self)
{
	static const struct pbx_table own = PBX_TABLE(own_events);
	struct core_part *part = self;

	part_host = part->host;
	core_status_begin();
	int err = core_bus_declare(core_self(), &own, NULL);
	return err == PBX_OK ? core_metrics_on_scrape(part->host, on_scrape, part) : err;
}

static void part_stop(void *self)
{
	(void)self;
	core_bus_undeclare(core_self());
	core_status_end();
	part_host = NULL;
}

const struct pbx_plugin core_part = {
	PBX_PLUGIN_HEADER,
	.name = "core",
	.version = PBX_VERSION,
	.summary = "The daemon itself",
	.instance_size = sizeof(struct core_part),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.start = part_start,
	.stop = part_stop,
};
