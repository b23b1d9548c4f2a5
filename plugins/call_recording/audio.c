/*
 * audio - a recording on its way to who may hear it, and whether it is still what was recorded
 *
 * Before the first octet leaves, the file is hashed: one that was changed or damaged is not handed out as evidence. Range (RFC 9110 14.2) lets a
 * player jump; one range is served, several are answered with the whole.
 */
#include "call_recording.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct download {
	struct plugin *plugin;
	pbx_request request;
	struct row row;
	char path[2 * PATH_SIZE], hash[65], range[80];
	int64_t first, last; /* octets */
	bool is_part, reading, asker_gone;
	int fd;
	int64_t at, size; /* of what is handed out */
	bool is_sealed;
	uint8_t key[SEAL_KEY_BYTES];
	uint8_t chunk[SEAL_PIECE_BYTES];
	int64_t got;
};

static void download_free(struct download *download)
{
	if (download->fd >= 0)
		(void)close(download->fd);
	explicit_bzero(download->key, sizeof download->key);
	free(download);
}

static const char *content_type(const char *format)
{
	return strcmp(format, "wav") == 0    ? "audio/wav"
	       : strcmp(format, "flac") == 0 ? "audio/flac"
	       : strcmp(format, "mp3") == 0  ? "audio/mpeg"
					     : "audio/ogg";
}

/* "bytes=0-499", "bytes=500-", "bytes=-500". False: it lies beyond the end. What cannot be read is as though it was not there. */
static bool use_range(struct download *download, int64_t size)
{
	const char *spec = download->range;
	char *end;

	download->first = 0;
	download->last = size - 1;
	if (strncmp(spec, "bytes=", 6) != 0 || strchr(spec, ','))
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
	int64_t left = download->last + 1 - download->at,
		most = left < (int64_t)sizeof download->chunk ? left : (int64_t)sizeof download->chunk;

	if (left <= 0)
		download->got = 0;
	else if (download->is_sealed)
		download->got = seal_read(download->fd, download->key, download->at, download->chunk);
	else
		download->got = pread(download->fd, download->chunk, (size_t)most, download->at);
	download->got = download->got < left ? download->got : left;
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

/* ---- beginning ---- */

static void hash_it(void *job)
{
	struct download *download = job;

	download->fd = open(download->path, O_RDONLY | O_CLOEXEC);
	if (download->fd < 0 || file_hash(download->path, download->hash) != PBX_OK)
		download->hash[0] = '\0';
	else if (!download->is_sealed)
		download->size = lseek(download->fd, 0, SEEK_END);
	else if (seal_size(download->fd, &download->size) != PBX_OK)
		download->hash[0] = '\0';
}

static void set_range_header(const struct download *download, int64_t size)
{
	char text[80];

	(void)download->plugin->requests->add_header(download->request, "Accept-Ranges", "bytes");
	if (!download->is_part)
		return;
	(void)snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)download->first, (long long)download->last, (long long)size);
	(void)download->plugin->requests->add_header(download->request, "Content-Range", text);
}

static void on_hashed(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct download *download = job;
	const struct pbx_requests *requests = plugin->requests;
	int64_t size = download->size;

	if (status == PBX_OK && download->fd < 0)
		(void)requests->fail(download->request, 404, "no_file", "id", "its file is gone");
	else if (status == PBX_OK && strcmp(download->hash, download->row.sha256) != 0) {
		pbx_error(plugin->host, "recording_changed", "recording_id=%s path=\"%s\"", download->row.id, download->row.path);
		(void)requests->fail(download->request, 500, "INTEGRITY", NULL,
				     "the file is not what was recorded: it was changed or damaged");
	} else if (status == PBX_OK && !use_range(download, size)) {
		(void)requests->fail(download->request, 416, "bad_range", NULL, "the recording has %lld octets", (long long)size);
	} else if (status == PBX_OK) {
		set_range_header(download, size);
		download->at = download->first;
		if (requests->begin(download->request, content_type(download->row.format), on_ready, on_gone, download) == PBX_OK) {
			read_on(download);
			return;
		}
	}
	download_free(download);
}

static void begin(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;
	struct download *download = NULL;
	const char *range = plugin->requests->http_header(asked->request, "Range");

	(void)rows;
	if (!may_have(plugin, asked->request, &asked->row, "audio"))
		goto over;
	if (!asked->row.ended_us || asked->row.deleted_us || !asked->row.sha256[0]) {
		(void)plugin->requests->fail(asked->request, asked->row.ended_us ? 404 : 409, asked->row.ended_us ? "no_file" : "lasts",
					     "id",
					     asked->row.ended_us ? "it has been deleted, or nothing was recorded" : "it is being recorded");
		goto over;
	}
	download = calloc(1, sizeof *download);
	if (!download) {
		(void)plugin->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
		goto over;
	}
	*download = (struct download){ .plugin = plugin, .request = asked->request, .row = asked->row, .fd = -1 };
	download->is_sealed = asked->row.file_key[0];
	if (download->is_sealed && file_key_open(plugin, &asked->row, download->key) != PBX_OK) {
		(void)plugin->requests->fail(asked->request, 500, "no_key", NULL, "it was encrypted under another installation's key");
		download_free(download);
		goto over;
	}
	(void)snprintf(download->range, sizeof download->range, "%s", range ? range : "");
	(void)snprintf(download->path, sizeof download->path, "%s/%s", plugin->storage, asked->row.path);
	if (plugin->host->work(plugin->host, hash_it, on_hashed, download) != PBX_OK) {
		(void)plugin->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
		download_free(download);
	}
over:
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
