/* tests/fuzz/fuzz_yaml.c - a file of settings of anything: it is refused with a sentence, or every value is what its row promises */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "json.h"
#include "log.h"
#include "settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
	const char *name, *key;
	uint32_t weight;
};

struct lot {
	bool enabled;
	uint32_t start, port;
	int64_t offset;
	double gain;
	const char *label, *mode, *password;
	struct pbx_list listen;
	struct pbx_objects sources;
};

static const struct pbx_setting source_rows[] = {
	PBX_TEXT(struct source, name, .flags = PBX_SETTING_NEEDED),
	PBX_SECRET(struct source, key, .initial_text = ""),
	PBX_UINT(struct source, weight, .initial = 5, .least = 1, .most = 10),
};

static const struct pbx_setting rows[] = {
	PBX_BOOL(struct lot, enabled, .initial = true),
	PBX_UINT(struct lot, start, .initial = 70, .least = 1, .most = 99),
	PBX_INT(struct lot, offset),
	PBX_NUMBER(struct lot, gain, .least_number = -1, .most_number = 4),
	PBX_TEXT(struct lot, label, .initial_text = "", .least = 0, .most = 8),
	PBX_CHOICE(struct lot, mode, .initial_text = "random", .choices = PBX_CHOICES("random", "linear")),
	PBX_SECRET(struct lot, password, .initial_text = ""),
	PBX_LIST(struct lot, listen, .initial_text = "a, b"),
	PBX_OBJECTS(struct lot, sources, .fields = PBX_TABLE(source_rows), .object_size = sizeof(struct source)),
	{ .name = "tls.port",
	  .type = PBX_TYPE_INT,
	  .offset = offsetof(struct lot, port),
	  .width = 4,
	  .initial = 5061,
	  .least = 1,
	  .most = 65535 },
};

static void check_values(const struct lot *lot)
{
	const struct source *sources = lot->sources.rows;
	size_t characters = 0;

	assert(lot->start >= 1 && lot->start <= 99 && lot->port >= 1 && lot->port <= 65535);
	assert(lot->gain >= -1 && lot->gain <= 4);
	assert(strcmp(lot->mode, "random") == 0 || strcmp(lot->mode, "linear") == 0);
	for (const char *at = lot->label; *at; at++)
		characters += ((unsigned char)*at & 0xC0) != 0x80;
	assert(characters <= 8);
	for (uint32_t i = 0; i < lot->listen.count; i++)
		assert(lot->listen.items[i] && strlen(lot->listen.items[i]) < 65537);
	for (uint32_t i = 0; i < lot->sources.count; i++)
		assert(sources[i].name && sources[i].key && sources[i].weight >= 1 && sources[i].weight <= 10);
}

/* What is shown is JSON. */
static void check_shown(struct pbx_json *shown)
{
	char *text = core_json_print(shown);
	struct pbx_json *again = core_json_parse(text, strlen(text), NULL);

	assert(again);
	core_json_free(again);
	core_json_free_text(text);
	core_json_free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int file = -1;
	static char path[32];
	const struct pbx_table table = PBX_TABLE(rows);
	struct pbx_diag diag = { 0 };
	struct pbx_json *problems = NULL;
	int err;

	if (file < 0) {
		file = memfd_create("pbx.yml", 0);
		(void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
		(void)core_log_init();
		(void)unsetenv("CREDENTIALS_DIRECTORY");
	}
	if (memmem(data, size, "${file:", 7)) /* what lies about on this machine is no input */
		return 0;
	if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size || core_settings_init(path) != PBX_OK)
		abort();
	err = core_settings_declare("lot", &table, sizeof(struct lot), &diag);
	assert((err == PBX_OK) == !diag.text[0]);
	if (err == PBX_OK) {
		check_values(core_settings_get("lot"));
		check_shown(core_settings_show(NULL));
		err = core_settings_reload(&diag); /* a section may look like a misspelt one */
		assert(err == PBX_OK || strstr(diag.text, "did you mean"));
	}
	err = core_settings_check(NULL, &problems);
	assert(err == PBX_OK);
	check_shown(problems);
	core_settings_fini();
	return 0;
}
