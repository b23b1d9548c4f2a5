/*
 * audio - a recording on its way to who may hear it, and whether it is still what was recorded
 *
 * Before the first octet leaves, the file is hashed: one that was changed or damaged is not handed out as evidence. Range (RFC 9110 14.2) lets a
 * player jump; one range is served, several are answered with the whole. Another form of it is made first (forms.c), and If-Range sees to it that parts of two
 * makings are not put together.
 */
#include "call_recording.h"
#include <stdlib.h>
#include <string.h>

struct download {
	struct form_waiter waiter; /* first */
	struct download *next;
	struct plugin *plugin;
	pbx_request request;
	struct row row;
	struct form form;
	char path[2 * PATH_SIZE], range[80], if_range[80], tag[80];
	struct stored file; /* as it was recorded */
	struct made *made;  /* or in another form */
	const struct stored *sound;
	int result;
	int64_t at, first, last; /* octets */
	bool is_part, reading, asker_gone;
	uint8_t chunk[SEAL_PIECE_BYTES];
	int64_t got;
};

static void download_free(struct download *download)
{
	struct download **at = &download->plugin->downloads;

	while (*at != download)
		at = &(*at)->next;
	*at = download->next;
	if (download->made)
		form_release(download->made);
	stored_close(&download->file);
	free(download);
}

void downloads_free_all(struct plugin *plugin)
{
	while (plugin->downloads)
		download_free(plugin->downloads);
}

/* "bytes=0-499", "bytes=500-", "bytes=-500". False: it lies beyond the end. What cannot be read is as though it was not there. */
static bool use_range(struct download *download, int64_t size)
{
	const char *spec = download->range;
	char *end;

	download->first = 0;
	download->last = size - 1;
	if (strncmp(spec, "bytes=", 6) != 0 || strchr(spec, ',') ||
	    (download->if_range[0] && strcmp(download->if_range, download->tag) != 0))
		return true;
	spec += 6;
	if (*spec == '-') {
		int64_t count = strtoll(spec + 1, &end, 10);

		if (*end || count <= 0)
			return *end;
		download->first = count < size ? size - count : 0;
	} else {
		int64_t first = strtoll(spec, &end, 10);

		if (end == spec || *end != '-')
			return true;
		int64_t last = end[1] ? strtoll(end + 1, &end, 10) : size - 1;

		if (first >= size || last < first)
			return false;
		download->first = first;
		download->last = last < size ? last : size - 1;
	}
	download->is_part = true;
	return true;
}

/* ---- chunk after chunk, as the asker takes them ---- */

static void read_chunk(void *job)
{
	struct download *download = job;

	download->got = stored_read(download->sound, download->at, download->chunk, download->last + 1 - download->at);
}

static void read_on(struct download *download);

static void on_chunk(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct download *download = job;
	int err = PBX_ECANCELLED;

	download->reading = false;
	if (status == PBX_OK && !download->asker_gone && download->got > 0)
		err = plugin->requests->write(download->request, (const char *)download->chunk, (size_t)download->got);
	if (err == PBX_OK) {
		download->at += download->got;
		read_on(download);
	} else if (err != PBX_EBUSY) { /* busy: on_ready reads the same chunk again */
		if (status == PBX_OK && !download->asker_gone)
			(void)plugin->requests->end(download->request);
		download_free(download);
	}
}

static void read_on(struct download *download)
{
	struct plugin *plugin = download->plugin;

	download->reading = plugin->host->work(plugin->host, read_chunk, on_chunk, download) == PBX_OK;
	if (download->reading)
		return;
	(void)plugin->requests->end(download->request); /* cut short: there is no memory */
	download_free(download);
}

static void on_ready(void *self, pbx_request request)
{
	(void)request;
	read_on(self);
}

static void on_gone(void *self, pbx_request request)
{
	struct download *download = self;

	(void)request;
	download->asker_gone = true;
	if (!download->reading)
		download_free(download);
}

/* ---- what is asked for ---- */

bool is_whole(const struct plugin *plugin, pbx_request request, const struct row *row)
{
	if (!row->ended_us)
		(void)plugin->requests->fail(request, 409, "lasts", "id", "%s is being recorded: stop it first, or wait", row->id);
	else if (!row->deleted_us && !row->path[0] && row->recorder[0])
		(void)plugin->requests->fail(request, 404, "no_file", "id", "%s is not here: the recorder %s has it", row->id,
					     row->recorder);
	else if (row->deleted_us || !row->sha256[0])
		(void)plugin->requests->fail(request, 404, "no_file", "id", "%s has been deleted, or nothing was recorded", row->id);
	return row->ended_us && !row->deleted_us && row->sha256[0];
}

bool form_of(const struct plugin *plugin, pbx_request request, const struct row *row, struct form *ret_form)
{
	const char *format = plugin->requests->text(request, "format"), *channel = plugin->requests->text(request, "channel");
	uint32_t stored = convert_format(row->format);
	struct form form = { format ? convert_format(format) : stored, FORM_AS_IS };

	if (channel && row->channels == 2)
		form.side = strcmp(channel, "mix") == 0                                      ? SIDE_MIX
			    : strcmp(channel, "left") == 0 || strcmp(channel, "caller") == 0 ? SIDE_LEFT
											     : SIDE_RIGHT;
	if (channel && row->channels != 2 && strcmp(channel, "mix") != 0) {
		(void)plugin->requests->fail(request, 409, "mono", "channel",
					     "%s has both parties in one channel: nobody can be heard alone", row->id);
		return false;
	}
	if (!convert_can(form.format)) {
		(void)plugin->requests->fail(request, 415, "no_such_form", "format", "libsndfile of this machine does not write %s",
					     format);
		return false;
	}
	*ret_form = form;
	if (form.format == stored && form.side == FORM_AS_IS)
		ret_form->format = FORM_AS_IS;
	return true;
}

/* ---- beginning ---- */

static void set_headers(const struct download *download)
{
	const struct pbx_requests *requests = download->plugin->requests;
	char text[PATH_SIZE + 40], name[PATH_SIZE];

	row_file_name(&download->row, download->form, name, sizeof name);
	(void)snprintf(text, sizeof text, "inline; filename=\"%s\"", strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
	(void)requests->add_header(download->request, "Content-Disposition", text);
	(void)requests->add_header(download->request, "Accept-Ranges", "bytes");
	(void)requests->add_header(download->request, "ETag", download->tag);
	if (!download->is_part)
		return;
	(void)snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)download->first, (long long)download->last,
		       (long long)download->sound->size);
	(void)requests->add_header(download->request, "Content-Range", text);
}

static void refuse(const struct download *download, int result)
{
	struct plugin *plugin = download->plugin;
	const struct pbx_requests *requests = plugin->requests;
	const struct row *row = &download->row;

	switch (result) {
	case PBX_ENOENT:
		(void)requests->fail(download->request, 404, "no_file", "id", "its file is gone");
		break;
	case PBX_EINVAL:
		pbx_error(plugin->host, "recording_changed", "recording_id=%s path=\"%s\"", row->id, row->path);
		(void)requests->fail(download->request, 500, "INTEGRITY", NULL,
				     "the file is not what was recorded: it was changed or damaged");
		break;
	case PBX_EPERM:
		(void)requests->fail(download->request, 500, "no_key", NULL, "it was encrypted under another installation's key");
		break;
	case PBX_ENOTSUP:
		(void)requests->fail(download->request, 415, "no_such_form", "format",
				     "it cannot be had in this form; without format and channel it is handed out as it was recorded");
		break;
	case PBX_EBUSY:
		(void)requests->fail(download->request, 503, "busy", NULL,
				     "other recordings are being converted; ask again in some seconds");
		break;
	case PBX_ENOSPC:
		(void)requests->fail(download->request, 503, "disk_full", NULL,
				     "there is no room on the disk for another form of it (min_free_mb); as it was recorded it can be had");
		break;
	default:
		(void)requests->fail(download->request, 503, "failed", NULL, "it cannot be read now (%d)", result);
	}
}

/* download->sound is what is asked for. */
static void hand_out(struct download *download)
{
	struct plugin *plugin = download->plugin;
	uint32_t format = download->form.format != FORM_AS_IS ? download->form.format : convert_format(download->row.format);

	if (!use_range(download, download->sound->size)) {
		(void)plugin->requests->fail(download->request, 416, "bad_range", NULL, "the recording has %lld octets",
					     (long long)download->sound->size);
		download_free(download);
		return;
	}
	set_headers(download);
	download->at = download->first;
	if (plugin->requests->begin(download->request, convert_type(format), on_ready, on_gone, download) == PBX_OK)
		read_on(download);
	else
		download_free(download);
}

static void open_it(void *job)
{
	struct download *download = job;

	download->result = stored_open(&download->file, download->path, download->row.sha256);
}

static void on_opened(void *self, void *job, int status)
{
	struct download *download = job;

	(void)self;
	if (status == PBX_OK && download->result == PBX_OK) {
		download->sound = &download->file;
		(void)snprintf(download->tag, sizeof download->tag, "\"%s\"", download->row.sha256);
		hand_out(download);
		return;
	}
	if (status == PBX_OK)
		refuse(download, download->result);
	download_free(download);
}

static void on_form(struct form_waiter *waiter, int result, struct made *made)
{
	struct download *download = (struct download *)waiter;
	const char *tag;

	if (result == PBX_OK) {
		download->made = made;
		download->sound = form_sound(made, &tag);
		(void)snprintf(download->tag, sizeof download->tag, "\"%s\"", tag);
		hand_out(download);
		return;
	}
	if (result != PBX_ECANCELLED)
		refuse(download, result);
	download_free(download);
}

static void copy_header(const struct download *download, const char *name, char *ret_text, size_t size)
{
	const char *text = download->plugin->requests->http_header(download->request, name);

	(void)snprintf(ret_text, size, "%s", text ? text : "");
}

static int begin_download(struct plugin *plugin, const struct asked *asked, struct form form)
{
	struct download *download = calloc(1, sizeof *download);

	if (!download)
		return PBX_ENOMEM;
	*download = (struct download){
		.waiter = { .ready = on_form }, .plugin = plugin, .request = asked->request, .row = asked->row, .form = form
	};
	download->file.fd = -1;
	download->next = plugin->downloads;
	plugin->downloads = download;
	copy_header(download, "Range", download->range, sizeof download->range);
	copy_header(download, "If-Range", download->if_range, sizeof download->if_range);
	if (form.format != FORM_AS_IS) {
		form_ask(plugin, &download->row, form, &download->waiter);
		return PBX_OK;
	}
	(void)snprintf(download->path, sizeof download->path, "%s/%s", plugin->storage, asked->row.path);
	int err = row_open(plugin, &download->row, &download->file);

	if (err == PBX_OK)
		err = plugin->host->work(plugin->host, open_it, on_opened, download);
	if (err != PBX_OK) {
		refuse(download, err);
		download_free(download);
	}
	return PBX_OK;
}

static void begin(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;
	struct form form;

	(void)rows;
	if (may_have(plugin, asked->request, &asked->row, "audio") && is_whole(plugin, asked->request, &asked->row) &&
	    form_of(plugin, asked->request, &asked->row, &form) && begin_download(plugin, asked, form) != PBX_OK)
		(void)plugin->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	free(asked);
}

void on_audio(void *self, pbx_request request)
{
	ask_row(self, request, begin);
}

/* ---- is it still what was recorded? ---- */

static void verify(void *job)
{
	struct asked *asked = job;

	asked->result = file_hash(asked->path, asked->hash);
}

static void on_verified(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct asked *asked = job;
	bool good = asked->result == PBX_OK && strcmp(asked->hash, asked->row.sha256) == 0;
	struct pbx_json *answer = status == PBX_OK ? plugin->json->new_object() : NULL;

	if (status == PBX_OK) {
		(void)plugin->json->set_text(answer, "id", asked->row.id);
		(void)plugin->json->set_text(answer, "path", asked->row.path);
		(void)plugin->json->set_boolean(answer, "intact", good);
		(void)plugin->json->set_text(answer, "found", good ? "as recorded" : asked->result == PBX_OK ? "changed" : "missing");
		(void)plugin->requests->reply(asked->request, 200, answer);
	}
	free(asked);
}

static void begin_verifying(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;

	(void)rows;
	if (!asked->row.path[0]) {
		(void)is_whole(plugin, asked->request, &asked->row);
		free(asked);
		return;
	}
	(void)snprintf(asked->path, sizeof asked->path, "%s/%s", plugin->storage, asked->row.path);
	row_note_access(plugin, asked->row.id, asked->actor, "verify");
	if (plugin->host->work(plugin->host, verify, on_verified, asked) == PBX_OK)
		return;
	(void)plugin->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	free(asked);
}

void on_verify(void *self, pbx_request request)
{
	ask_row(self, request, begin_verifying);
}
