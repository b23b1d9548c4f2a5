/* tests/core/host_fixture.c - see host_fixture.h */
#include "host_fixture.h"
#include "bus.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "parts.h"
#include "schema.h"
#include "settings.h"
#include "store.h"
#include "timer.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

struct answer answer;
char folder[80], diary[80], config[80];
bool loaded_all;
static char root[64], database[80], journal[80], said[16384];
static struct core_log_reader *reader;
static bool stopped_all;

/* ---- the house ------------------------------------------------------------------------ */

static void on_line(void *context, const char *line)
{
	size_t used = strlen(said);

	(void)context;
	(void)snprintf(said + used, sizeof said - used, "%s\n", line);
}

void write_config(const char *text)
{
	FILE *file = fopen(config, "w");

	ck_assert_ptr_nonnull(file);
	(void)fprintf(file, "%s", text);
	ck_assert_int_eq(fclose(file), 0);
}

void configure(const char *text)
{
	write_config(text);
	ck_assert_int_eq(core_settings_reload(NULL), PBX_OK);
}

void offer_services(void)
{
	ck_assert_int_eq(core_host_offer("pbx.timers/1", &core_timers_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.json/1", &core_json_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.requests/1", &core_requests_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.bus/1", &core_bus_service), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.metrics/1", &core_metrics_service), PBX_OK);
}

static void on_store_up(void *context, int result, const char *reason)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "%s", reason);
}

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "%s", diag->text);
}

static void on_bus_attached(void *context, int result)
{
	(void)context;
	ck_assert_int_eq(result, PBX_OK);
}

static void open_store(void)
{
	const struct pbx_table schema = { core_schema, core_schema_count, sizeof core_schema[0] };
	const struct core_store_config store = {
		.engine = "sqlite",
		.file = database,
		.url = "",
		.journal_dir = journal,
		.readers = 1,
		.pool = 1,
		.statement_timeout_ms = 5000,
	};

	ck_assert_int_eq(mkdir(journal, 0700), 0);
	ck_assert_int_eq(core_store_init(&store, on_store_up, NULL), PBX_OK);
	core_loop_settle();
	core_store_migrate("core", &schema, on_migrated, NULL);
	core_loop_settle();
	core_bus_attach_store(on_bus_attached, NULL);
	core_loop_settle();
}

void set_up(void)
{
	(void)snprintf(root, sizeof root, "/tmp/test-host-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	(void)snprintf(folder, sizeof folder, "%s/plugins", root);
	(void)snprintf(diary, sizeof diary, "%s/diary", root);
	(void)snprintf(config, sizeof config, "%s/pbx.yml", root);
	(void)snprintf(database, sizeof database, "%s/pbx.db", root);
	(void)snprintf(journal, sizeof journal, "%s/journal", root);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	ck_assert_int_eq(setenv("TMPDIR", root, 1), 0);
	write_config("{}\n");

	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	reader = core_log_follow(0, PBX_LOG_DEBUG, NULL, on_line, NULL);
	ck_assert_int_eq(core_settings_init(config), PBX_OK);
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	ck_assert_int_eq(core_metrics_init(), PBX_OK);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	open_store();
	ck_assert_int_eq(core_host_init(), PBX_OK);
	core_host_use_probe(PLUGIN_PROBE, 5000);
	offer_services();
	ck_assert_int_eq(core_host_add_part(&core_part, NULL), PBX_OK);
}

static void on_stopped_all(void *context)
{
	(void)context;
	stopped_all = true;
}

static void remove_tree(const char *path)
{
	DIR *entries = opendir(path);
	char inner[512];

	for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
		(void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && unlink(inner) != 0)
			remove_tree(inner);
	}
	if (entries)
		(void)closedir(entries);
	(void)rmdir(path);
}

static uint32_t copies_left(void)
{
	DIR *entries = opendir(root);
	uint32_t count = 0;

	for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
		count += !strncmp(entry->d_name, "pbx-plugins-", 12);
	if (entries)
		(void)closedir(entries);
	return count;
}

void tear_down(void)
{
	answer_clear(&answer);
	core_host_stop_all(on_stopped_all, NULL);
	core_loop_settle();
	ck_assert(stopped_all);
	core_host_fini();
	ck_assert_uint_eq(copies_left(), 0);
	core_bus_fini();
	core_store_fini(1000);
	core_metrics_fini();
	core_requests_fini();
	core_settings_fini();
	core_log_unfollow(reader);
	ck_assert_uint_eq(core_timer_count(), 0);
	core_loop_fini();
	core_log_fini();
	remove_tree(root);
}

/* ---- what tests do -------------------------------------------------------------------- */

void install_as(const char *plugin, const char *name)
{
	char from[512], to[512], buffer[8192];

	(void)snprintf(from, sizeof from, "%s/%s.so", TEST_PLUGINS, plugin);
	(void)snprintf(to, sizeof to, "%s/%s.so", folder, name);
	(void)unlink(to);
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");
	ck_assert_msg(in && out, "%s: cannot be installed", from);
	for (size_t got; (got = fread(buffer, 1, sizeof buffer, in)) > 0;)
		ck_assert_uint_eq(fwrite(buffer, 1, got, out), got);
	ck_assert_int_eq(fclose(in), 0);
	ck_assert_int_eq(fclose(out), 0);
}

void install(const char *name)
{
	install_as(name, name);
}

void on_loaded_all(void *context)
{
	(void)context;
	ck_assert(!loaded_all);
	loaded_all = true;
}

void load_all_but(const struct pbx_list *disable)
{
	const char *const path[] = { folder };

	loaded_all = false;
	ck_assert_int_eq(core_host_load_all(path, 1, disable, on_loaded_all, NULL), PBX_OK);
	core_loop_settle();
}

void load_all(void)
{
	load_all_but(NULL);
	ck_assert(loaded_all);
}

const struct core_plugin *plugin(const char *name)
{
	const struct core_plugin *found = core_plugin_find(name);

	ck_assert_msg(found != NULL, "%s is not known", name);
	return found;
}

void check_runs(const char *name)
{
	ck_assert_msg(plugin(name)->state == CORE_PLUGIN_RUNNING, "%s: %s", name, plugin(name)->refusal.reason);
}

const char *state_of(const char *name)
{
	return core_plugin_state_name(plugin(name)->state);
}

const char *diary_text(void)
{
	static char text[256];
	FILE *file = fopen(diary, "r");
	size_t got = file ? fread(text, 1, sizeof text - 1, file) : 0;

	text[got] = '\0';
	if (file)
		(void)fclose(file);
	return text;
}

void run(const char *line)
{
	tell(&answer, line);
	core_loop_settle();
}

uint32_t times_said(const char *text)
{
	uint32_t count = 0;

	core_loop_settle();
	for (const char *at = said; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}
