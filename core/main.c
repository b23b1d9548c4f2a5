/*
 * main - the daemon pbxd, from the command line to READY and back
 *
 * Start: settings, log, store with its migrations, the daemon's parts, the plugins, and only then the sockets, so that nobody is
 * told 404 by a PBX that has not finished waking up. Stop: no new calls, those in progress may end within
 * server.shutdown_drain_s, plugins stop, what is queued is written, exit 0. A second SIGTERM does not wait.
 *
 * Exit codes are those of sysexits.h: 0, 64 usage, 69 dependency unavailable, 70 internal, 73 cannot create, 78 configuration.
 */
#include "bus.h"
#include "calls.h"
#include "check_sections.h"
#include "control.h"
#include "crash.h"
#include "fetch.h"
#include "host.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "notify.h"
#include "only_one.h"
#include "parts.h"
#include "program.h"
#include "request.h"
#include "schema.h"
#include "secrets.h"
#include "settings.h"
#include "store.h"
#include "timer.h"
#include "../sip/sip.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct server_settings {
	const char *name, *data_dir, *run_dir;
	uint32_t shutdown_drain_s, event_days;
};

static const struct pbx_setting server_settings[] = {
	PBX_TEXT(struct server_settings, name, .initial_text = "Warden PBX", .help = "Name shown to people and in the API"),
	PBX_TEXT(struct server_settings, data_dir, .initial_text = PBX_DATA_DIR, .flags = PBX_SETTING_RESTART,
		 .help = "Where database, keys and journal are kept"),
	PBX_TEXT(struct server_settings, run_dir, .initial_text = "/run/pbx", .flags = PBX_SETTING_RESTART,
		 .help = "Where the control socket is made"),
	PBX_UINT(struct server_settings, shutdown_drain_s, .initial = 30, .least = 0, .most = 86400, .unit = "s",
		 .help = "How long a stop waits for calls to end by themselves"),
	PBX_UINT(struct server_settings, event_days, .initial = 30, .least = 1, .most = 3650, .unit = "days",
		 .help = "How long the event log is kept: followers that were away so long have missed something"),
};

struct log_settings {
	const char *level, *target, *file, *format;
	uint32_t ring_lines;
};

static const struct pbx_setting log_settings[] = {
	PBX_CHOICE(struct log_settings, level, .initial_text = "info", .choices = PBX_CHOICES("error", "warn", "notice", "info", "debug"),
		   .help = "Least important line that is written"),
	PBX_CHOICE(struct log_settings, target, .initial_text = "stderr", .choices = PBX_CHOICES("stderr", "journal", "file"),
		   .help = "Where lines go; journal is stderr with level prefixes"),
	PBX_TEXT(struct log_settings, file, .initial_text = "/var/log/pbx/pbxd.log", .help = "With target file; reopened on SIGHUP"),
	PBX_CHOICE(struct log_settings, format, .initial_text = "text", .choices = PBX_CHOICES("text", "json"), .help = "How a line looks"),
	PBX_UINT(struct log_settings, ring_lines, .initial = 4096, .least = 64, .most = 1048576, .flags = PBX_SETTING_RESTART,
		 .help = "Lines kept in memory for `pbxctl log`"),
};

struct store_settings {
	const char *engine, *file, *url;
	uint32_t readers, pool, statement_timeout_ms;
};

static const struct pbx_setting store_settings[] = {
	PBX_CHOICE(struct store_settings, engine, .initial_text = "sqlite", .choices = PBX_CHOICES("sqlite", "postgresql"),
		   .flags = PBX_SETTING_RESTART, .help = "Which database keeps accounts, records and events"),
	PBX_TEXT(struct store_settings, file, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "SQLite file; empty means pbx.db in server.data_dir"),
	PBX_SECRET(struct store_settings, url, .initial_text = "", .flags = PBX_SETTING_RESTART,
		   .help = "PostgreSQL connection, as postgresql://user:password@host/name"),
	PBX_UINT(struct store_settings, readers, .initial = 2, .least = 1, .most = 16, .flags = PBX_SETTING_RESTART,
		 .help = "SQLite threads that only read"),
	PBX_UINT(struct store_settings, pool, .initial = 4, .least = 1, .most = 64, .flags = PBX_SETTING_RESTART,
		 .help = "PostgreSQL connections"),
	PBX_UINT(struct store_settings, statement_timeout_ms, .initial = 5000, .least = 100, .most = 600000, .unit = "ms",
		 .flags = PBX_SETTING_RESTART, .help = "A statement that takes longer is given up"),
};

struct plugin_settings {
	struct pbx_list path, disable;
};

static const struct pbx_setting plugin_settings[] = {
	PBX_LIST(struct plugin_settings, path, .initial_text = PBX_PLUGIN_DIR,
		 .help = "Folders searched for plugins; the later one wins. A new one is searched for what `plugin load` and "
			 "`reload` name, and after a restart for all that it has"),
	PBX_LIST(struct plugin_settings, disable, .initial_text = "", .flags = PBX_SETTING_RESTART, .help = "Plugins that are not loaded"),
};

/* The stages of starting, in order; each ends by calling the next. */
static void on_store_up(void *context, int result, const char *reason);
static void on_core_migrated(void *context, int result, const struct pbx_diag *diag);
static void on_settings_attached(void *context, int result);
static void on_bus_attached(void *context, int result);
static void on_plugins_loaded(void *context);
static void on_api_ready(void *context);

static void on_plugins_stopped(void *context);

static int exit_code = EX_OK;
static uint32_t stop_signals;
static bool ready;
static pbx_timer watchdog, pruning;
static struct core_post_node failing;

static void stop_plugins(void *context)
{
	(void)context;
	core_host_stop_all(on_plugins_stopped, NULL); /* whoever runs already gives back what it has */
}

/* Stops when the present callback is over: it may be one of those that are stopped. */
static void fail(int code, const char *event, const char *text)
{
	core_log(PBX_LOG_ERROR, "core", NULL, event, "%s", text);
	exit_code = code;
	core_post_node(core_self(), &failing, stop_plugins, NULL);
}

/* ---- settings and log ----------------------------------------------------------------- */

static int declare(const char *section, const struct pbx_setting *rows, uint32_t count, uint32_t size, struct pbx_diag *diag)
{
	const struct pbx_table table = { rows, count, sizeof *rows };

	return core_settings_declare(section, &table, size, diag);
}
#define DECLARE(section, type, rows, diag) declare(section, rows, sizeof(rows) / sizeof((rows)[0]), sizeof(type), diag)

static int accept_log(void *context, const void *proposed, struct pbx_diag *diag)
{
	const struct log_settings *settings = proposed;
	struct core_log_config config = {
		.target = settings->target, .file = settings->file, .format = settings->format, .ring_lines = settings->ring_lines
	};

	(void)context;
	if (core_level_parse(settings->level, &config.level) != PBX_OK)
		return PBX_EINVAL;
	return core_log_configure(&config, diag);
}

static int accept_plugins(void *context, const void *proposed, struct pbx_diag *diag)
{
	const struct plugin_settings *settings = proposed;
	const int err = core_host_use_path(settings->path.items, settings->path.count);

	(void)context;
	if (err != PBX_OK)
		pbx_diag_set(diag, "path", "out of memory");
	return err;
}

static int read_settings(const char *file, struct pbx_diag *diag)
{
	int err = core_settings_init(file);

	if (err == PBX_OK)
		err = DECLARE("server", struct server_settings, server_settings, diag);
	if (err == PBX_OK)
		err = DECLARE("log", struct log_settings, log_settings, diag);
	if (err == PBX_OK)
		err = DECLARE("store", struct store_settings, store_settings, diag);
	if (err == PBX_OK)
		err = DECLARE("plugins", struct plugin_settings, plugin_settings, diag);
	if (err == PBX_OK)
		err = accept_log(NULL, core_settings_get("log"), diag);
	if (err == PBX_OK)
		err = core_settings_on_change("log", accept_log, NULL);
	if (err == PBX_OK)
		err = core_settings_on_change("plugins", accept_plugins, NULL);
	return err;
}

/* ---- signals -------------------------------------------------------------------------- */

static void on_drained(void *context);

static void begin_stop(void)
{
	const struct server_settings *server = core_settings_get("server");

	if (++stop_signals > 1 || !ready) {
		core_loop_stop();
		return;
	}
	core_notify("STOPPING=1");
	core_log(PBX_LOG_NOTICE, "core", NULL, "stopping", "drain_s=%u", server->shutdown_drain_s);
	core_calls_drain((uint64_t)server->shutdown_drain_s * 1000, on_drained, NULL);
}

static void on_plugins_stopped(void *context)
{
	(void)context;
	core_loop_stop();
}

static void on_drained(void *context)
{
	(void)context;
	core_host_stop_all(on_plugins_stopped, NULL);
}

static void reload(void)
{
	struct pbx_diag diag = { 0 };

	core_notify("RELOADING=1");
	(void)core_log_reopen(); /* says itself what went wrong */
	if (core_settings_reload(&diag) == PBX_OK)
		core_log(PBX_LOG_NOTICE, "core", NULL, "settings_reloaded", "by=signal");
	else
		core_log(PBX_LOG_ERROR, "core", NULL, "settings_refused", "%s", diag.text);
	core_notify("READY=1");
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)handle;
	if (number == SIGHUP)
		reload();
	else
		begin_stop();
}

static uv_signal_t signals[3];

static void watch_signals(void)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < 3; i++) {
		(void)uv_signal_init(core_loop_uv(), &signals[i]); /* cannot fail but for memory, and then nothing works */
		(void)uv_signal_start(&signals[i], on_signal, numbers[i]);
	}
}

static void unwatch_signals(void)
{
	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&signals[i], NULL);
}

/* ---- the stages ----------------------------------------------------------------------- */

/* What a stage had asked of the store may be answered after it was decided to stop: then nothing more begins. */
static bool is_stopping(void)
{
	return stop_signals > 0 || exit_code != EX_OK;
}

static int make_dir(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return PBX_OK;
	core_log(PBX_LOG_ERROR, "core", NULL, "directory_not_made", "path=%s reason=\"%s\"", path, strerror(errno));
	return PBX_EIO;
}

static int place_lock = -1, file_lock = -1;

/* Nobody else may be at work here, and that is known before anything is read: recovering calls, replaying the journal and numbering
 * events all take for granted that who did them before is dead. */
static int take_places(const struct server_settings *server, const struct store_settings *store)
{
	struct pbx_diag diag = { 0 };
	char path[4096 + 16];

	(void)snprintf(path, sizeof path, "%s/pbxd.lock", server->data_dir);
	int err = core_only_one(path, server->data_dir, "server.data_dir", &place_lock, &diag);
	if (err == PBX_OK && store->file[0] && strcmp(store->file, ":memory:") != 0 && strcmp(store->engine, "sqlite") == 0) {
		(void)snprintf(path, sizeof path, "%s.lock", store->file);
		err = core_only_one(path, store->file, "store.file", &file_lock, &diag);
	}
	if (err == PBX_OK) {
		(void)snprintf(path, sizeof path, "%s/pbxd.sock", server->run_dir);
		err = core_control_is_free(path, &diag);
	}
	if (err != PBX_OK)
		core_log(PBX_LOG_ERROR, "core", NULL, "already_running", "%s", diag.text);
	return err;
}

static void leave_places(void)
{
	core_only_one_end(file_lock);
	core_only_one_end(place_lock);
}

static int open_store(void)
{
	const struct server_settings *server = core_settings_get("server");
	const struct store_settings *store = core_settings_get("store");
	static char file[4096], journal[4096], key[4096];
	const struct core_store_config config = {
		.engine = store->engine,
		.file = store->file[0] ? store->file : file,
		.url = store->url,
		.journal_dir = journal,
		.readers = store->readers,
		.pool = store->pool,
		.statement_timeout_ms = store->statement_timeout_ms,
	};

	(void)snprintf(file, sizeof file, "%s/pbx.db", server->data_dir);
	(void)snprintf(journal, sizeof journal, "%s/journal", server->data_dir);
	(void)snprintf(key, sizeof key, "%s/pbx.key", server->data_dir);
	if (make_dir(server->data_dir, 0750) != PBX_OK || make_dir(server->run_dir, 0755) != PBX_OK || make_dir(journal, 0750) != PBX_OK)
		return EX_CANTCREAT;
	if (take_places(server, store) != PBX_OK)
		return EX_CANTCREAT;
	if (core_secrets_init(key) != PBX_OK)
		return EX_CANTCREAT;
	return core_store_init(&config, on_store_up, NULL) == PBX_OK ? EX_OK : EX_UNAVAILABLE;
}

static void on_store_up(void *context, int result, const char *reason)
{
	const struct pbx_table schema = { core_schema, core_schema_count, sizeof core_schema[0] };

	(void)context;
	if (is_stopping())
		return;
	if (result != PBX_OK)
		fail(EX_UNAVAILABLE, "store_unavailable", reason);
	else
		core_store_migrate("core", &schema, on_core_migrated, NULL);
}

static void on_core_migrated(void *context, int result, const struct pbx_diag *diag)
{
	(void)context;
	if (is_stopping())
		return;
	if (result != PBX_OK)
		fail(EX_UNAVAILABLE, "schema_not_migrated", diag->text);
	else
		core_settings_attach_store(on_settings_attached, NULL);
}

static void on_settings_attached(void *context, int result)
{
	(void)context;
	if (is_stopping())
		return;
	if (result != PBX_OK)
		fail(EX_UNAVAILABLE, "settings_not_read", "the stored settings cannot be read");
	else
		core_bus_attach_store(on_bus_attached, NULL);
}

static void on_bus_attached(void *context, int result)
{
	static const struct pbx_plugin *const parts[] = { &core_part,  &prompts_part, &trace_part, &calls_part,   &explain_part,
							  &media_part, &codecs_part,  &sip_part,   &messages_part };
	const struct plugin_settings *plugins = core_settings_get("plugins");

	(void)context;
	if (is_stopping())
		return;
	if (result != PBX_OK || core_offer_services() != PBX_OK) {
		fail(EX_SOFTWARE, "core_not_started", "the event log cannot be read, or a service is offered twice");
		return;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (core_host_add_part(parts[i], NULL) != PBX_OK) {
			fail(EX_CONFIG, "part_not_started", parts[i]->name);
			return;
		}
	core_settings_begin("plugins"); /* the stored values are known */
	if (core_host_load_all(plugins->path.items, plugins->path.count, &plugins->disable, on_plugins_loaded, NULL) != PBX_OK)
		fail(EX_SOFTWARE, "plugins_not_loaded", "no memory");
}

static void feed_watchdog(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	core_notify("WATCHDOG=1");
}

/* Only now is it known whose sections there are: a misspelt one is said, and stays without effect. */
static void tell_unknown_settings(void)
{
	struct pbx_json *problems = NULL;

	if (core_settings_check(NULL, &problems) == PBX_OK)
		for (uint32_t i = 0; i < core_json_service.count(problems); i++)
			core_log(PBX_LOG_WARN, "core", NULL, "setting_ignored", "%s",
				 core_json_service.text(core_json_service.at(problems, i)));
	core_json_service.free(problems);
}

/* Events are kept as long as a slow follower may need them. */
static void prune_events(void *self, pbx_timer timer)
{
	const struct server_settings *server = core_settings_get("server");

	(void)self, (void)timer;
	core_bus_prune(core_wall_us() - (int64_t)server->event_days * 86400 * 1000000, NULL, NULL);
}

static void open_doors(void *context);

/* Everybody hears of the calls that the last stop cut off, and then the doors are opened. */
static void on_plugins_loaded(void *context)
{
	(void)context;
	if (!is_stopping())
		core_calls_recover(open_doors, NULL);
}

/* Those of people first. */
static void open_doors(void *context)
{
	const struct server_settings *server = core_settings_get("server");
	struct pbx_diag diag = { 0 };
	char path[4096];

	(void)context;
	if (is_stopping())
		return;
	(void)snprintf(path, sizeof path, "%s/pbxd.sock", server->run_dir);
	if (core_control_start(path, &diag) != PBX_OK) {
		fail(EX_CANTCREAT, "control_not_started", diag.text);
		return;
	}
	if (core_host_add_part(&api_part, NULL) != PBX_OK) {
		fail(EX_CONFIG, "part_not_started", api_part.name);
		return;
	}
	tell_unknown_settings();
	api_when_ready(on_api_ready, NULL);
}

/* READY is a promise: whoever hears it can call and log in. */
static void on_api_ready(void *context)
{
	const struct server_settings *server = core_settings_get("server");
	struct core_loop_stats starting; /* nobody waited for us yet: how long its callbacks took is no stall */
	struct pbx_diag diag = { 0 };

	(void)context;
	if (is_stopping())
		return;
	if (sip_open(&diag) != PBX_OK) {
		fail(EX_CONFIG, "sip_not_listening", diag.text);
		return;
	}
	ready = true;
	core_loop_take_stats(&starting);
	(void)core_timer_start(core_self(), 60000, 3600000, prune_events, NULL, &pruning);
	core_log(PBX_LOG_NOTICE, "core", NULL, "ready", "version=" PBX_VERSION " control=%s/pbxd.sock", server->run_dir);
	core_notify("READY=1");
	if (core_notify_watchdog_ms() > 0)
		(void)core_timer_start(core_self(), core_notify_watchdog_ms() / 2, core_notify_watchdog_ms() / 2, feed_watchdog, NULL,
				       &watchdog);
}

/* ---- main ----------------------------------------------------------------------------- */

static void print_usage(FILE *out)
{
	(void)fputs("usage: pbxd [--config FILE] [--check] [--version]\n\n"
		    "  -c, --config FILE  settings (default " PBX_CONFIG_FILE ")\n"
		    "      --check        tell what is wrong with the settings and exit: 0, or 78\n"
		    "  -V, --version\n",
		    out);
}

static int check_settings(const char *file)
{
	static const struct pbx_plugin *const parts[] = { &core_part,  &prompts_part, &trace_part, &calls_part,    &explain_part,
							  &media_part, &codecs_part,  &sip_part,   &messages_part, &api_part };
	struct pbx_diag diag = { 0 };
	bool good = read_settings(file, &diag) == PBX_OK;

	if (!good)
		(void)fprintf(stderr, "%s\n", diag.text);
	if (good) {
		const struct plugin_settings *plugins = core_settings_get("plugins");

		good = core_check_sections(parts, sizeof parts / sizeof parts[0], &plugins->path, &plugins->disable);
	}
	if (good)
		(void)printf("%s: no problem found\n", file);
	core_settings_fini();
	return good ? EX_OK : EX_CONFIG;
}

static int run(const char *file)
{
	struct pbx_diag diag = { 0 };

	if (read_settings(file, &diag) != PBX_OK) {
		(void)fprintf(stderr, "pbxd: %s\n", diag.text);
		core_settings_fini();
		return EX_CONFIG;
	}
	watch_signals();
	core_programs_init();
	if (core_requests_init() != PBX_OK || core_metrics_init() != PBX_OK || core_bus_init() != PBX_OK || core_host_init() != PBX_OK ||
	    core_calls_init() != PBX_OK)
		return EX_SOFTWARE;
	exit_code = core_fetch_init() == PBX_OK ? open_store() : EX_CONFIG; /* section "fetch" is read there */
	if (exit_code == EX_OK)
		(void)core_loop_run();

	(void)core_timer_stop(watchdog);
	(void)core_timer_stop(pruning);
	core_settings_detach_store();
	core_control_stop();
	core_calls_fini();
	core_host_fini();
	core_programs_fini();
	core_fetch_fini();
	core_bus_flush();
	core_store_fini(10000);
	core_bus_fini();
	leave_places();
	core_secrets_fini();
	core_metrics_fini();
	core_requests_fini();
	core_settings_fini();
	unwatch_signals();
	core_log(PBX_LOG_NOTICE, "core", NULL, "stopped", "code=%d", exit_code);
	return exit_code;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *file = PBX_CONFIG_FILE;
	bool check = false;

	for (int option; (option = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 'k':
			check = true;
			break;
		case 'V':
			(void)puts("pbxd " PBX_VERSION);
			return EX_OK;
		case 'h':
			print_usage(stdout);
			return EX_OK;
		default:
			print_usage(stderr);
			return EX_USAGE;
		}
	}
	if (optind != argc) {
		print_usage(stderr);
		return EX_USAGE;
	}

	core_crash_install();
	if (core_loop_init(false) != PBX_OK || core_log_init() != PBX_OK)
		return EX_OSERR;
	int code = check ? check_settings(file) : run(file);
	core_loop_fini();
	core_log_fini();
	return code;
}
