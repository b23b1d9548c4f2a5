/* tests/core/settings_fixture.h - settings of a folder of the test's own, and a section "lot" with one of everything */
#pragma once
#include <check.h>
#include "settings.h"

struct source {
	const char *name, *key;
	uint32_t weight;
	struct pbx_list tags;
};

struct lot {
	bool enabled;
	uint32_t range_start, recall_ms;
	int64_t offset;
	double gain;
	const char *label, *mode, *password;
	struct pbx_list listen;
	struct pbx_objects sources;
	uint32_t tls_port;
};

extern const struct pbx_setting source_rows[4], lot_rows[11];
extern const struct pbx_table lot_table;
extern char folder[64], file[128]; /* pbx.yml is in it, conf.d and secrets.d beside */

void write_file(const char *name, const char *text); /* name: below the folder */
void remove_folder(const char *path);
void setup(const char *text); /* of pbx.yml, which is read */
void teardown(void);
void declare_lot(void);
const struct lot *lot(void); /* as it is now */
