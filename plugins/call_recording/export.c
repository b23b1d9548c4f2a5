/*
 * export - several recordings in one ZIP file, made while it is handed out
 *
 * The pool takes one recording after the other: opened and hashed, converted where another form is asked for, then read piece by piece into the archive; what that
 * gives goes to the asker before more is read. At the end stands manifest.json: what each is, and its SHA-256 as it was recorded and as it lies in the archive. One
 * that turns out to be changed or gone meanwhile is left out, and the manifest says so.
 */
#include "call_recording.h"
#include "zip.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define MADE_BYTES 65536u /* handed out when it is so much */

#define STEP_OPEN 0u
#define STEP_CONVERT 1u
#define STEP_READ 2u
#define STEP_MANIFEST 3u
#define STEP_OVER 4u

struct item {
	struct row row;
	struct form form;
	struct pbx_json *about; /* its row, for the manifest */
	int result;             /* PBX_OK: it is in the archive */
	char name[PATH_SIZE], sha256[65];
	int64_t size;
};

struct export
{
	struct export *next;
	struct plugin *plugin;
	pbx_request request;
	char actor[TEXT_SIZE], folder[PATH_SIZE];
	uint32_t least_free_mb;
	struct zip *zip;
	uint32_t step, at, count;
	int result; /* not PBX_OK: it cannot go on */
	char *manifest;
	bool working, asker_gone;
	/* Of the item at hand. */
	struct stored sound;
	struct convert *convert;
	int64_t read_at;
	EVP_MD_CTX *hash;
	struct item items[];
};

static void export_free(struct export *export)
{
	struct plugin *plugin = export->plugin;
	struct export **at = &plugin->exports;

	while (*at != export)
		at = &(*at)->next;
	*at = export->next;
	for (uint32_t i = 0; i < export->count; i++)
		plugin->json->free(export->items[i].about);
	plugin->json->free_text(export->manifest);
	convert_free(export->convert);
	stored_close(&export->sound);
	EVP_MD_CTX_free(export->hash);
	zip_free(export->zip);
	free(export);
}

void exports_free_all(struct plugin *plugin)
{
	while (plugin->exports)
		export_free(plugin->exports);
}

/* ---- in the pool ---- */

static void leave(struct export *export, int result)
{
	struct item *item = &export->items[export->at++];

	item->result = result;
	stored_close(&export->sound);
	convert_free(export->convert);
	export->convert = NULL;
	export->step = export->at < export->count ? STEP_OPEN : STEP_MANIFEST;
}

static void begin_file(struct export *export)
{
	struct item *item = &export->items[export->at];

	row_file_name(&item->row, item->form, item->name, sizeof item->name);
	item->size = export->sound.size;
	export->read_at = 0;
	export->step = STEP_READ;
	export->result = EVP_DigestInit_ex(export->hash, EVP_sha256(), NULL) == 1
				 ? zip_file(export->zip, item->name, item->size, item->row.started_us)
				 : PBX_ENOMEM;
}

static void open_item(struct export *export)
{
	const struct item *item = &export->items[export->at];
	char path[2 * PATH_SIZE];

	(void)snprintf(path, sizeof path, "%s/%s", export->folder, item->row.path);
	int err = stored_open(&export->sound, path, item->row.sha256);

	if (err != PBX_OK) {
		leave(export, err);
	} else if (item->form.format == FORM_AS_IS) {
		begin_file(export);
	} else {
		struct convert_spec spec = {
			.stored = export->sound, .form = item->form, .folder = export->folder, .least_free_mb = export->least_free_mb
		};

		spec.mark_count = row_marks(&item->row, spec.marks);
		export->sound.fd = -1;
		err = convert_begin(&spec, &export->convert);
		if (err == PBX_OK)
			export->step = STEP_CONVERT;
		else
			leave(export, err == PBX_EINVAL ? PBX_ENOTSUP : err);
	}
}

static void convert_item(struct export *export)
{
	int err = convert_step(export->convert);

	if (err == PBX_ELATER)
		return;
	if (err != PBX_OK) {
		leave(export, err);
		return;
	}
	convert_take(export->convert, &export->sound);
	convert_free(export->convert);
	export->convert = NULL;
	begin_file(export);
}

static void read_item(struct export *export)
{
	struct item *item = &export->items[export->at];
	unsigned char hash[EVP_MAX_MD_SIZE];
	uint8_t piece[16384];
	int64_t got = stored_read(&export->sound, export->read_at, piece, sizeof piece);

	if (got > 0) {
		export->read_at += got;
		export->result =
			EVP_DigestUpdate(export->hash, piece, (size_t)got) == 1 ? zip_write(export->zip, piece, (size_t)got) : PBX_ENOMEM;
	} else if (got < 0 || export->read_at != item->size || EVP_DigestFinal_ex(export->hash, hash, NULL) != 1) {
		export->result = PBX_EIO; /* half of it is out already: the archive ends here, and no reader takes it for whole */
	} else {
		write_hex(hash, 32, item->sha256);
		leave(export, PBX_OK);
	}
}

static void write_manifest(struct export *export)
{
	size_t length = strlen(export->manifest);

	export->result = zip_file(export->zip, "manifest.json", (int64_t)length, export->items[0].row.started_us);
	if (export->result == PBX_OK)
		export->result = zip_write(export->zip, (const uint8_t *)export->manifest, length);
	if (export->result == PBX_OK)
		export->result = zip_end(export->zip);
	export->step = STEP_OVER;
}

/* Until there is something to hand out, or an item needs the loop. */
static void produce(void *job)
{
	struct export *export = job;
	uint32_t at = export->at;
	size_t made;

	do {
		if (export->step == STEP_OPEN)
			open_item(export);
		else if (export->step == STEP_CONVERT)
			convert_item(export);
		else if (export->step == STEP_READ)
			read_item(export);
		else
			write_manifest(export);
		(void)zip_made(export->zip, &made);
	} while (export->result == PBX_OK && export->step == STEP_READ && export->at == at && made < MADE_BYTES);
}

/* ---- the manifest ---- */

static const char *state_of(int result)
{
	return result == PBX_OK        ? "exported"
	       : result == PBX_EINVAL  ? "changed"
	       : result == PBX_ENOENT  ? "missing"
	       : result == PBX_EPERM   ? "no_key"
	       : result == PBX_ENOTSUP ? "not_convertible"
	       : result == PBX_ENOSPC  ? "disk_full"
				       : "failed";
}

/* Its row as REST has it, whose sha256 is of what was recorded, and what lies in the archive. */
static struct pbx_json *item_json(const struct plugin *plugin, struct item *item)
{
	struct pbx_json *about = item->about;
	bool is_there = item->result == PBX_OK;

	item->about = NULL;
	(void)plugin->json->set_text(about, "state", state_of(item->result));
	(void)plugin->json->set_text(about, "file", is_there ? item->name : NULL);
	(void)plugin->json->set_text(about, "file_sha256", is_there ? item->sha256 : NULL);
	(void)plugin->json->set_integer(about, "file_bytes", is_there ? item->size : 0);
	return about;
}

static char *make_manifest(struct export *export)
{
	const struct plugin *plugin = export->plugin;
	struct pbx_json *manifest = plugin->json->new_object(), *list = plugin->json->new_array();

	for (uint32_t i = 0; i < export->count; i++)
		(void)plugin->json->append(list, item_json(plugin, &export->items[i]));
	(void)plugin->json->set_time(manifest, "exported_at", plugin->host->wall_us(plugin->host));
	(void)plugin->json->set_text(manifest, "exported_by", export->actor);
	(void)plugin->json->set(manifest, "recordings", list);
	char *text = plugin->json->print(manifest);

	plugin->json->free(manifest);
	return text;
}

/* ---- on the loop ---- */

static void give_up(struct export *export)
{
	if (!export->asker_gone)
		(void)export->plugin->requests->end(export->request);
	export_free(export);
}

static void go_on(struct export *export);

static void on_produced(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct export *export = job;
	size_t size;
	const uint8_t *made = zip_made(export->zip, &size);

	export->working = false;
	if (status != PBX_OK || export->asker_gone) {
		export_free(export);
		return;
	}
	int err = size ? plugin->requests->write(export->request, (const char *)made, size) : PBX_OK;

	if (err == PBX_EBUSY)
		return; /* on_ready comes here again */
	zip_taken(export->zip);
	if (export->result != PBX_OK)
		pbx_error(plugin->host, "export_failed", "recording_id=%s result=%d",
			  export->items[export->at < export->count ? export->at : 0].row.id, export->result);
	if (err != PBX_OK || export->result != PBX_OK || export->step == STEP_OVER)
		give_up(export);
	else
		go_on(export);
}

static void go_on(struct export *export)
{
	struct plugin *plugin = export->plugin;

	while (export->step == STEP_OPEN && row_open(plugin, &export->items[export->at].row, &export->sound) != PBX_OK)
		leave(export, PBX_EPERM);
	if (export->step == STEP_MANIFEST && !export->manifest)
		export->manifest = make_manifest(export);
	export->working = true;
	if ((export->step == STEP_MANIFEST && !export->manifest) ||
	    plugin->host->work(plugin->host, produce, on_produced, export) != PBX_OK)
		give_up(export);
}

static void on_ready(void *self, pbx_request request)
{
	struct export *export = self;

	(void)request;
	if (!export->working)
		on_produced(export->plugin, export, PBX_OK);
}

static void on_gone(void *self, pbx_request request)
{
	struct export *export = self;

	(void)request;
	export->asker_gone = true;
	if (!export->working)
		export_free(export);
}

/* ---- beginning ---- */

/* Every one of them may be had by who asks; refused, and each look noted. */
static bool take_rows(struct export *export, const struct pbx_rows *rows)
{
	struct plugin *plugin = export->plugin;

	for (uint32_t at = 0; at < rows->count; at++) {
		struct item *item = &export->items[export->count++];

		row_read(rows, at, &item->row);
		item->about = row_json(plugin, rows, at);
		if (!may_have(plugin, export->request, &item->row, "export") || !is_whole(plugin, export->request, &item->row) ||
		    !form_of(plugin, export->request, &item->row, &item->form))
			return false;
	}
	return true;
}

static struct export *export_new(const struct asked *asked, uint32_t count)
{
	struct plugin *plugin = asked->plugin;
	struct export *export = calloc(1, sizeof *export + count * sizeof export->items[0]);

	if (!export)
		return NULL;
	export->plugin = plugin;
	export->request = asked->request;
	export->sound.fd = -1;
	export->least_free_mb = plugin->settings->min_free_mb;
	memcpy(export->actor, asked->actor, sizeof export->actor);
	memcpy(export->folder, plugin->storage, sizeof export->folder);
	export->next = plugin->exports;
	plugin->exports = export;
	export->hash = EVP_MD_CTX_new();
	export->zip = zip_new();
	if (export->hash && export->zip)
		return export;
	export_free(export);
	return NULL;
}

/* The first of those that were asked for and are not among the rows. */
static const char *missing_id(const struct asked *asked, const struct pbx_rows *rows)
{
	const struct pbx_jsons *json = asked->plugin->json;
	const struct pbx_json *ids = asked->plugin->requests->json(asked->request, "ids");

	for (uint32_t i = 0; i < json->count(ids); i++) {
		const char *id = json->text(json->at(ids, i));
		bool found = false;

		for (uint32_t at = 0; at < rows->count && !found; at++)
			found = strcmp(pbx_cell_text(rows, at, 0), id) == 0;
		if (!found)
			return id;
	}
	return NULL;
}

static void begin(struct asked *asked, const struct pbx_rows *rows)
{
	const struct pbx_requests *requests = asked->plugin->requests;
	const char *missing = missing_id(asked, rows);
	struct export *export = missing ? NULL : export_new(asked, rows->count);

	if (missing) {
		(void)requests->fail(asked->request, 404, "not_found", "ids", "there is no recording %.26s", missing);
	} else if (!export) {
		(void)requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	} else if (!take_rows(export, rows)) {
		export_free(export);
	} else {
		(void)requests->add_header(asked->request, "Content-Disposition", "attachment; filename=\"recordings.zip\"");
		if (requests->begin(asked->request, "application/zip", on_ready, on_gone, export) == PBX_OK)
			go_on(export);
		else
			export_free(export);
	}
	free(asked);
}

void on_export(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	const struct pbx_json *ids = plugin->requests->json(request, "ids");
	uint32_t count = plugin->json->count(ids);

	if (count == 0 || count > MOST_ASKED)
		(void)plugin->requests->fail(request, 400, "out_of_range", "ids", "1 to %u ids of recordings, with commas between",
					     MOST_ASKED);
	else
		ask_rows(plugin, request, ids, begin);
}
