/* tests/core/settings_fixture.c - settings of a folder of the test's own */
#include "settings_fixture.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"

const struct pbx_setting source_rows[] = {
	PBX_TEXT(struct source, name, .flags = PBX_SETTING_NEEDED, .help = "What it is called"),
	PBX_SECRET(struct source, key, .initial_text = "", .flags = PBX_SETTING_LINES, .help = "Its key"),
	PBX_UINT(struct source, weight, .initial = 5, .least = 1, .most = 10, .help = "How often it is chosen"),
	PBX_LIST(struct source, tags, .initial_text = "x, y", .help = "Words"),
};

const struct pbx_setting lot_rows[] = {
	PBX_BOOL(struct lot, enabled, .initial = true, .help = "Whether calls can be parked"),
	PBX_UINT(struct lot, range_start, .initial = 70, .least = 1, .most = 9999, .help = "First slot"),
	PBX_UINT(struct lot, recall_ms, .initial = 60000, .least = 1000, .most = 3600000, .unit = "ms", .flags = PBX_SETTING_RESTART,
		 .help = "Ring back after"),
	PBX_INT(struct lot, offset, .initial = -3, .help = "Any whole number"),
	PBX_NUMBER(struct lot, gain, .initial_number = 1.5, .least_number = 0, .most_number = 4, .help = "Loudness"),
	PBX_TEXT(struct lot, label, .initial_text = "Lot", .least = 0, .most = 8, .help = "A | b"),
	PBX_CHOICE(struct lot, mode, .initial_text = "random", .choices = PBX_CHOICES("random", "linear"), .help = "Order"),
	PBX_SECRET(struct lot, password, .initial_text = "", .help = "Known to few"),
	PBX_LIST(struct lot, listen, .initial_text = "udp:5060, tcp:5060", .help = "Where"),
	PBX_OBJECTS(struct lot, sources, .fields = PBX_TABLE(source_rows), .object_size = sizeof(struct source),
		    .help = "Where music comes from"),
	{ .name = "tls.port",
	  .type = PBX_TYPE_INT,
	  .offset = offsetof(struct lot, tls_port),
	  .width = 4,
	  .initial = 5061,
	  .least = 1,
	  .most = 65535,
	  .help = "Behind a dot" },
};

const struct pbx_table lot_table = PBX_TABLE(lot_rows);

char folder[64];
char file[128];

void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *out;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	out = fopen(path, "w");
	ck_assert_ptr_nonnull(out);
	ck_assert_int_ge(fputs(text, out), 0);
	ck_assert_int_eq(fclose(out), 0);
}

void remove_folder(const char *path)
{
	DIR *entries = opendir(path);
	struct dirent *entry;

	while ((entry = readdir(entries))) {
		char inner[512];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
		if (unlink(inner) != 0)
			remove_folder(inner);
	}
	(void)closedir(entries);
	ck_assert_int_eq(rmdir(path), 0);
}

void setup(const char *text)
{
	char inner[128];

	(void)snprintf(folder, sizeof folder, "/tmp/settings-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(inner, sizeof inner, "%s/conf.d", folder);
	ck_assert_int_eq(mkdir(inner, 0700), 0);
	(void)snprintf(inner, sizeof inner, "%s/secrets.d", folder);
	ck_assert_int_eq(mkdir(inner, 0700), 0);
	(void)snprintf(file, sizeof file, "%s/pbx.yml", folder);
	write_file("pbx.yml", text);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_settings_init(file), PBX_OK);
}

void teardown(void)
{
	core_settings_fini();
	core_log_fini();
	remove_folder(folder);
}

const struct lot *lot(void)
{
	return core_settings_get("lot");
}

void declare_lot(void)
{
	struct pbx_diag diag = { 0 };
	int err = core_settings_declare("lot", &lot_table, sizeof(struct lot), &diag);

	ck_assert_msg(err == PBX_OK, "%s", diag.text);
}
