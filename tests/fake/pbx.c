/* tests/fake/pbx.c - puts a whole core together around the plugins under test, and takes it apart again, looking for what was left
 *
 * The stages are those of core/main.c, without SIP, media workers, gateway and control socket. The database is SQLite in a folder of the
 * test's own, which also takes log, settings and a copy of each plugin, so that the host sees just those that were asked for. */
#include "bus.h"
#include "calls.h"
#include "fake_internal.h"
#include "fetch.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "owner_internal.h"
#include "parts.h"
#include "program.h"
#include "request.h"
#include "schema.h"
#include "secrets.h"
#include "settings.h"
#include "store.h"
#include "timer.h"
#include <ftw.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct kept {
	struct kept *next;
	char *text;
};

struct fake_pbx {
	char dir[128];
	struct kept *kept;
};

static struct fake_pbx *the_pbx; /* one core in a process, so one of these */

/* ---- texts and files ---- */

char *fake_keep(char *text)
{
	struct kept *kept = malloc(sizeof *kept);

	ck_assert(kept && text);
	*kept = (struct kept){ the_pbx->kept, text };
	the_pbx->kept = kept;
	return text;
}

const char *fake_format(const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	ck_assert_int_ge(vasprintf(&text, format, args), 0);
	va_end(args);
	return fake_keep(text);
}

static void free_kept(struct fake_pbx *pbx)
{
	for (struct kept *next; pbx->kept; pbx->kept = next) {
		next = pbx->kept->next;
		free(pbx->kept->text);
		free(pbx->kept);
	}
}

static const char *in_dir(const char *name)
{
	return fake_format("%s/%s", the_pbx->dir, name);
}

static void make_dir(const char *name)
{
	ck_assert_int_eq(mkdir(in_dir(name), 0700), 0);
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_dir(name), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
	(void)info, (void)kind, (void)at;
	return remove(path);
}

static void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");

	ck_assert(in && out);
	for (size_t got; (got = fread(bytes, 1, sizeof bytes, in)) > 0;)
		ck_assert_uint_eq(fwrite(bytes, 1, got, out), got);
	ck_assert_int_eq(fclose(in) | fclose(out), 0);
}

/* NAME.so, or NAME/NAME.so, in the first folder of a colon-separated list that has it. */
static const char *find_plugin(const char *path, const char *name)
{
	for (const char *at = path, *end; *at; at = *end ? end + 1 : end) {
		end = at + strcspn(at, ":");
		int length = (int)(end - at);
		const char *flat = fake_format("%.*s/%s.so", length, at, name);
		const char *own = fake_format("%.*s/%s/%s.so", length, at, name, name);

		if (access(flat, R_OK) == 0)
			return flat;
		if (access(own, R_OK) == 0)
			return own;
	}
	return NULL;
}

static void add_plugins(const char *plugins)
{
	const char *preferred = getenv("PBX_TEST_PLUGIN_DIR");

	for (const char *at = plugins; *at;) {
		size_t length = strcspn(at, ",");
		const char *name = fake_format("%.*s", (int)length, at);
		const char *file = preferred ? find_plugin(preferred, name) : NULL;

		if (!file)
			file = find_plugin(FAKE_PLUGIN_PATH, name);
		ck_assert_msg(file != NULL, "%s.so is neither in %s nor in %s", name, preferred ? preferred : "$PBX_TEST_PLUGIN_DIR",
			      FAKE_PLUGIN_PATH);
		copy_file(file, fake_format("%s/plugins/%s.so", the_pbx->dir, name));
		at += length + (at[length] == ',');
	}
}

/* ---- waiting ---- */

/* What begins outside the loop's sight (a database that opens) is waited for on the loop's descriptor. */
static void wait_for(const bool *done)
{
	core_loop_settle();
	while (!*done) {
		struct pollfd fd = { .fd = uv_backend_fd(core_loop_uv()), .events = POLLIN };

		ck_assert_msg(poll(&fd, 1, 20000) == 1, "a stage of starting does not end");
		core_loop_settle();
	}
}

static void is_done(void *context)
{
	*(bool *)context = true;
}

static void is_done_well(void *context, int result)
{
	ck_assert_int_eq(result, PBX_OK);
	is_done(context);
}

static void is_up(void *context, int result, const char *reason)
{
	ck_assert_msg(result == PBX_OK, "the store is not up: %s", reason);
	is_done(context);
}

static void is_migrated(void *context, int result, const struct pbx_diag *diag)
{
	ck_assert_msg(result == PBX_OK, "the schema was not made: %s", diag ? diag->text : "");
	is_done(context);
}

/* ---- starting, stage by stage ---- */

static void start_log(void)
{
	const char *file = in_dir("log");
	const struct core_log_config config = { .target = "file", .file = file, .format = "text", .level = PBX_LOG_INFO };
	struct pbx_diag diag;

	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_msg(core_log_configure(&config, &diag) == PBX_OK, "%s", diag.text);
}

/* The daemon's own sections, so that a test's settings may name them; their owners are not here. */
struct server_settings {
	const char *name, *domain, *data_dir, *run_dir;
};

static const struct pbx_setting server_settings[] = {
	PBX_TEXT(struct server_settings, name, .initial_text = "Fake PBX", .help = "Name"),
	PBX_TEXT(struct server_settings, domain, .initial_text = "fake", .help = "Domain"),
	PBX_TEXT(struct server_settings, data_dir, .initial_text = "", .help = "Data"),
	PBX_TEXT(struct server_settings, run_dir, .initial_text = "", .help = "Sockets"),
};

static void start_settings(void)
{
	const struct pbx_table rows = PBX_TABLE(server_settings);
	struct pbx_diag diag = { 0 };

	ck_assert_int_eq(core_settings_init(in_dir("pbx.yml")), PBX_OK);
	ck_assert_msg(core_settings_declare("server", &rows, sizeof(struct server_settings), &diag) == PBX_OK, "%s", diag.text);
}

static void start_store(void)
{
	const struct pbx_table schema = CORE_SCHEMA_TABLE;
	const struct core_store_config config = { .engine = "sqlite",
						  .file = in_dir("pbx.db"),
						  .journal_dir = in_dir("journal"),
						  .readers = 1,
						  .pool = 1,
						  .statement_timeout_ms = 5000 };
	bool up = false, migrated = false, settings = false, bus = false;

	ck_assert_int_eq(core_secrets_init(in_dir("pbx.key")), PBX_OK);
	ck_assert_int_eq(core_store_init(&config, is_up, &up), PBX_OK);
	wait_for(&up);
	core_store_migrate("core", &schema, is_migrated, &migrated);
	wait_for(&migrated);
	core_settings_attach_store(is_done_well, &settings);
	wait_for(&settings);
	core_bus_attach_store(is_done_well, &bus);
	wait_for(&bus);
}

/* As the daemon does; signalling is ours. */
static void offer_services(void)
{
	ck_assert_int_eq(core_offer_services(), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.location/1", &fake_location_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.sip/1", &fake_sip_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.session/1", &fake_sessions_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.border/1", &fake_border_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.notifier/1", &fake_notifier_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.messages/1", &fake_messages_service), PBX_OK);
}

static void check_running(const struct pbx_json *plugin)
{
	const char *state = core_json_text(core_json_get(plugin, "state"));

	ck_assert_msg(state && !strcmp(state, "running"), "plugin %s is %s: %s", core_json_text(core_json_get(plugin, "name")), state,
		      core_json_text(core_json_get(plugin, "reason")));
}

static void start_plugins(void)
{
	const char *path = in_dir("plugins");
	const struct pbx_list none = { 0 };
	bool loaded = false;

	ck_assert_int_eq(core_host_add_part(&core_part, NULL), PBX_OK);
	ck_assert_int_eq(core_host_add_part(&prompts_part, NULL), PBX_OK);
	ck_assert_int_eq(core_host_add_part(&calls_part, NULL), PBX_OK);
	ck_assert_int_eq(core_host_add_part(&fake_part, fake_part_instance()), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(core_host_load_all(&path, 1, &none, is_done, &loaded), PBX_OK);
	wait_for(&loaded);

	struct pbx_json *list = core_plugin_list();
	for (const struct pbx_json *plugin = core_json_first(list); plugin; plugin = core_json_next(plugin))
		check_running(plugin);
	core_json_free(list);
}

static void start(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	start_log();
	start_settings();
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	ck_assert_int_eq(core_metrics_init(), PBX_OK);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	ck_assert_int_eq(core_host_init(), PBX_OK);
	core_host_use_probe(PLUGIN_PROBE, 10000);
	ck_assert_int_eq(core_fetch_init(), PBX_OK);
	core_programs_init();
	ck_assert_int_eq(core_calls_init(), PBX_OK);
	fake_media_init();
	core_legs_set_driver(&fake_leg_driver);
	start_store();
	offer_services();
	start_plugins();

	bool recovered = false;
	core_calls_recover(is_done, &recovered);
	wait_for(&recovered);
	core_loop_settle();
}

/* ---- stopping, and looking for what is left ---- */

static void check_no_calls(void)
{
	struct core_calls_stats stats;

	core_calls_stats(&stats);
	ck_assert_msg(!(stats.calls | stats.legs | stats.bridges | stats.dials),
		      "all have hung up, and there are still %u calls, %u legs, %u bridges, %u dials", stats.calls, stats.legs,
		      stats.bridges, stats.dials);
	ck_assert_msg(!fake_media_streams(), "all have hung up, and %u streams are still open", fake_media_streams());
}

/* After the last call nothing may keep a plugin from leaving. */
static void check_no_holds(void)
{
	struct pbx_json *list = core_plugin_list();

	for (const struct pbx_json *plugin = core_json_first(list); plugin; plugin = core_json_next(plugin)) {
		const char *holds = core_json_text(core_json_get(plugin, "holds"));

		ck_assert_msg(!holds || !holds[0], "%s still holds %s", core_json_text(core_json_get(plugin, "name")), holds);
	}
	core_json_free(list);
}

static void stop(void)
{
	bool stopped = false;

	fake_phones_hang_up();
	core_loop_settle();
	check_no_calls();
	check_no_holds();
	core_host_stop_all(is_done, &stopped);
	wait_for(&stopped);
	ck_assert_msg(!fake_media_sources(), "%u sources outlive their plugins", fake_media_sources());

	core_calls_fini();
	core_host_fini();
	core_programs_fini();
	core_fetch_fini();
	core_bus_fini();
	core_store_fini(5000);
	core_secrets_fini();
	core_metrics_fini();
	core_requests_fini();
	core_settings_fini();
	core_log_fini();
	char text[256];
	ck_assert_msg(!core_owner_charges(core_owner_of(core_self()), text, sizeof text), "left behind: %s", text);
	ck_assert_uint_eq(core_timer_count(), 0);
	core_loop_fini();
	fake_media_fini();
	fake_phones_fini();
	fake_notifier_fini();
}

/* ---- what a test calls ---- */

struct fake_pbx *fake_pbx_with_settings(const char *plugins, const char *yaml)
{
	struct fake_pbx *pbx = calloc(1, sizeof *pbx);

	ck_assert_ptr_nonnull(pbx);
	ck_assert_msg(!the_pbx, "one fake pbx at a time");
	the_pbx = pbx;
	const char *parent = getenv("TMPDIR");
	(void)snprintf(pbx->dir, sizeof pbx->dir, "%s/pbx-fake-XXXXXX", parent ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(pbx->dir));
	make_dir("plugins");
	make_dir("journal");
	write_file("pbx.yml", fake_format("server:\n  data_dir: %s\n  run_dir: %s\n%s", pbx->dir, pbx->dir, yaml));
	add_plugins(plugins);
	start();
	return pbx;
}

struct fake_pbx *fake_pbx_with(const char *plugins)
{
	return fake_pbx_with_settings(plugins, "");
}

void fake_pbx_free(struct fake_pbx *pbx)
{
	if (!pbx)
		return;
	stop();
	fake_part_fini();
	ck_assert_int_eq(nftw(pbx->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	free_kept(pbx);
	free(pbx);
	the_pbx = NULL;
}

void fake_restart(struct fake_pbx *pbx)
{
	(void)pbx;
	stop();
	start();
}

void fake_settle(struct fake_pbx *pbx)
{
	(void)pbx;
	core_loop_settle();
}

void fake_pass_ms(struct fake_pbx *pbx, uint64_t ms)
{
	(void)pbx;
	core_loop_pass_ms(ms);
}

const char *fake_dir(struct fake_pbx *pbx)
{
	return pbx->dir;
}

struct pbx_host *fake_host(struct fake_pbx *pbx)
{
	(void)pbx;
	return fake_part_host();
}

uint32_t fake_log_count(struct fake_pbx *pbx, const char *part)
{
	FILE *file = fopen(in_dir("log"), "r");
	char *line = NULL;
	size_t size = 0;
	uint32_t count = 0;

	(void)pbx;
	ck_assert_ptr_nonnull(file);
	while (getline(&line, &size, file) > 0)
		count += strstr(line, part) != NULL;
	free(line);
	(void)fclose(file); /* was only read */
	return count;
}

struct managed {
	bool done;
	int result;
};

static void on_managed(void *context, int result, const struct pbx_diag *diag)
{
	struct managed *managed = context;

	(void)diag;
	*managed = (struct managed){ true, result };
}

int fake_reload_plugin(struct fake_pbx *pbx, const char *name)
{
	struct managed managed = { 0 };

	(void)pbx;
	core_plugin_reload(name, on_managed, &managed);
	wait_for(&managed.done);
	return managed.result;
}

int fake_unload_plugin(struct fake_pbx *pbx, const char *name)
{
	struct managed managed = { 0 };

	(void)pbx;
	core_plugin_unload(name, on_managed, &managed);
	wait_for(&managed.done);
	return managed.result;
}
