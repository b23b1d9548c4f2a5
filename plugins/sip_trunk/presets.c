/*
 * presets - what is known of a provider before anybody has an account there: files that an administrator names
 *
 * NAME.json in one of the folders of sip_trunk.presets, the first that has it: {"summary": "…", "trunk": {…}} or "outbound_route", with the
 * members of those. They are read in the pool each time, so that a file that was put there just now counts. Values are only where one begins:
 * what a request says goes before them, and the trunk does not change with the file.
 */
#include "sip_trunk.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FOLDERS 8u
#define MOST_FILE 16384u
#define MOST_PRESETS 200u

struct file {
	char name[64], text[MOST_FILE];
	size_t size;
};

struct reading {
	struct sip_trunk *plugin;
	char *folders[MOST_FOLDERS];
	uint32_t folder_count, file_count;
	struct file *files; /* owned */
	char wanted[64];    /* "": all there are */
	/* one is wanted */
	const struct kind *kind;
	void (*done)(void *context, int result, const struct pbx_json *values, const struct pbx_diag *diag);
	void *context;
	/* all are */
	pbx_request request;
};

static void reading_free(struct reading *reading)
{
	for (uint32_t i = 0; i < reading->folder_count; i++)
		free(reading->folders[i]);
	free(reading->files);
	free(reading);
}

static struct reading *reading_new(struct sip_trunk *plugin)
{
	const struct pbx_list *folders = &plugin->settings->presets;
	struct reading *reading = calloc(1, sizeof *reading);

	for (uint32_t i = 0; reading && i < folders->count && i < MOST_FOLDERS; i++) {
		reading->folders[i] = strdup(folders->items[i]);
		reading->folder_count++;
		if (!reading->folders[i]) {
			reading_free(reading);
			return NULL;
		}
	}
	if (reading)
		reading->plugin = plugin;
	return reading;
}

/* ---- [work] --------------------------------------------------------------------------- */

static bool is_known(const struct reading *reading, const char *name)
{
	for (uint32_t i = 0; i < reading->file_count; i++)
		if (strcmp(reading->files[i].name, name) == 0)
			return true;
	return false;
}

static void read_one(struct reading *reading, const char *folder, const char *name)
{
	char path[4096];
	FILE *file = NULL;

	if (reading->file_count < MOST_PRESETS && !is_known(reading, name) &&
	    snprintf(path, sizeof path, "%s/%s.json", folder, name) < (int)sizeof path)
		file = fopen(path, "re");
	if (!file)
		return;
	struct file *files = realloc(reading->files, (reading->file_count + 1) * sizeof *files);
	if (files) {
		struct file *one = &files[reading->file_count];

		reading->files = files;
		(void)snprintf(one->name, sizeof one->name, "%s", name);
		one->size = fread(one->text, 1, sizeof one->text, file);
		reading->file_count++;
	}
	(void)fclose(file); /* was only read */
}

static void read_folder(struct reading *reading, const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		size_t length = strlen(entries[i]->d_name);
		char name[64];

		if (length > 5 && length - 5 < sizeof name && strcmp(entries[i]->d_name + length - 5, ".json") == 0) {
			(void)snprintf(name, sizeof name, "%.*s", (int)(length - 5), entries[i]->d_name);
			read_one(reading, folder, name);
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static void read_files(void *job)
{
	struct reading *reading = job;

	for (uint32_t i = 0; i < reading->folder_count; i++)
		if (reading->wanted[0])
			read_one(reading, reading->folders[i], reading->wanted);
		else
			read_folder(reading, reading->folders[i]);
}

/* ---- one ------------------------------------------------------------------------------ */

static int find_values(const struct reading *reading, struct pbx_json **ret_tree, const struct pbx_json **ret_values, struct pbx_diag *diag)
{
	const struct pbx_jsons *json = reading->plugin->json;
	struct pbx_diag reason = { .text = "" };

	if (reading->file_count == 0) {
		pbx_diag_set(diag, "preset", "no folder of sip_trunk.presets has a file %s.json: `pbxctl trunk presets` lists them",
			     reading->wanted);
		return PBX_ENOENT;
	}
	*ret_tree = json->parse(reading->files[0].text, reading->files[0].size, &reason);
	*ret_values = json->get(*ret_tree, reading->kind->preset);
	if (*ret_values)
		return PBX_OK;
	if (*ret_tree)
		pbx_diag_set(diag, "preset", "%s is no preset of an %s: its file has no \"%s\"", reading->wanted, reading->kind->what,
			     reading->kind->preset);
	else
		pbx_diag_set(diag, "preset", "%s.json cannot be read: %s", reading->wanted, reason.text);
	return PBX_EINVAL;
}

static void on_one_read(void *self, void *job, int status)
{
	struct reading *reading = job;
	struct sip_trunk *plugin = self;
	struct pbx_diag diag = { .text = "" };
	struct pbx_json *tree = NULL;
	const struct pbx_json *values = NULL;
	int err = status == PBX_OK ? find_values(reading, &tree, &values, &diag) : status;

	reading->done(reading->context, err, values, &diag);
	plugin->json->free(tree);
	reading_free(reading);
}

int preset_find(struct sip_trunk *plugin, const struct kind *kind, const char *name,
		void (*done)(void *context, int result, const struct pbx_json *values, const struct pbx_diag *diag), void *context)
{
	struct reading *reading;
	struct pbx_diag diag = { .text = "" };

	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-")] != '\0' || name[0] == '.') {
		pbx_diag_set(&diag, "preset", "a preset's name has a-z, 0-9, _ . and -");
		done(context, PBX_EINVAL, NULL, &diag);
		return PBX_OK;
	}
	if (!(reading = reading_new(plugin)))
		return PBX_ENOMEM;
	reading->kind = kind;
	reading->done = done;
	reading->context = context;
	(void)snprintf(reading->wanted, sizeof reading->wanted, "%s", name);
	int err = plugin->host->work(plugin->host, read_files, on_one_read, reading);
	if (err != PBX_OK)
		reading_free(reading);
	return err;
}

/* ---- all ------------------------------------------------------------------------------ */

static struct pbx_json *preset_json(const struct sip_trunk *plugin, const struct file *file)
{
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *object = json->new_object(), *tree = json->parse(file->text, file->size, NULL);
	const char *of = "";

	for (uint32_t kind = 0; kind < KINDS; kind++)
		if (kinds[kind].preset && json->get(tree, kinds[kind].preset))
			of = kinds[kind].preset;
	(void)json->set_text(object, "preset", file->name);
	(void)json->set_text(object, "of", tree ? of : "unreadable");
	(void)json->set_text(object, "summary", json->text(json->get(tree, "summary")));
	if (of[0])
		(void)json->set(object, "values", json->copy(json->get(tree, of)));
	json->free(tree);
	return object;
}

static void on_all_read(void *self, void *job, int status)
{
	struct reading *reading = job;
	struct sip_trunk *plugin = self;
	struct pbx_json *list = status == PBX_OK ? plugin->json->new_array() : NULL;

	for (uint32_t i = 0; list && i < reading->file_count; i++)
		(void)plugin->json->append(list, preset_json(plugin, &reading->files[i]));
	if (status == PBX_OK)
		(void)plugin->requests->reply(reading->request, 200, list); /* the asker may have left */
	reading_free(reading);
}

void preset_list(void *self, pbx_request request)
{
	struct sip_trunk *plugin = self;
	struct reading *reading = reading_new(plugin);

	if (reading)
		reading->request = request;
	if (reading && plugin->host->work(plugin->host, read_files, on_all_read, reading) == PBX_OK)
		return;
	if (reading)
		reading_free(reading);
	(void)plugin->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
}
