/*
 * finish - from a file that has ended to a recording that can be trusted
 *
 * The file is sealed where that is wanted, hashed in the pool, then its row is closed. Nothing else may lie between the end of a call and the row, so what a crash
 * interrupts is found again at the next start: rows without an end, whose files are finished from what there is.
 */
#include "call_recording.h"
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES 65536u
#define PUT_AWAY "recordings are being put away"
#define KEY_CONTEXT "call_recording.%s" /* a row's key opens its own file only */

void write_hex(const uint8_t *bytes, size_t count, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * count] = '\0';
}

int descriptor_hash(int fd, char ret_hex[65])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *chunk = malloc(CHUNK_BYTES);
	bool good = context && chunk && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	ssize_t got = 0;

	for (off_t at = 0; good && (got = pread(fd, chunk, CHUNK_BYTES, at)) > 0; at += got)
		good = EVP_DigestUpdate(context, chunk, (size_t)got) == 1;
	good = good && got == 0 && EVP_DigestFinal_ex(context, hash, &size) == 1;
	write_hex(hash, good ? size : 0, ret_hex);
	free(chunk);
	EVP_MD_CTX_free(context);
	return good ? PBX_OK : PBX_EIO;
}

int file_hash(const char *path, char ret_hex[65])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = descriptor_hash(fd, ret_hex);

	if (fd >= 0)
		(void)close(fd); /* was only read */
	return err;
}

struct finishing {
	struct active *active;
	struct pbx_record_result result;
	char path[2 * PATH_SIZE], sha256[65];
	uint8_t key[SEAL_KEY_BYTES];
	char sealed_key[KEY_TEXT_SIZE]; /* "": it stays as it is */
	bool discards;
};

/* A key of the file's own, and how the row keeps it. */
static void make_key(const struct plugin *plugin, const char *id, struct finishing *finishing)
{
	char text[2 * SEAL_KEY_BYTES + 1], context[64];

	arc4random_buf(finishing->key, sizeof finishing->key);
	write_hex(finishing->key, sizeof finishing->key, text);
	(void)snprintf(context, sizeof context, KEY_CONTEXT, id);
	char *sealed = plugin->secrets->seal(text, context);

	explicit_bzero(text, sizeof text);
	if (sealed && strlen(sealed) < sizeof finishing->sealed_key)
		(void)snprintf(finishing->sealed_key, sizeof finishing->sealed_key, "%s", sealed);
	else
		pbx_error(plugin->host, "recording_not_encrypted", "recording_id=%s reason=memory", id);
	plugin->secrets->wipe(sealed);
}

int file_key_open(const struct plugin *plugin, const struct row *row, uint8_t ret_key[SEAL_KEY_BYTES])
{
	char context[64];

	(void)snprintf(context, sizeof context, KEY_CONTEXT, row->id);
	char *text = plugin->secrets->open(row->file_key, context);
	bool good = text && strlen(text) == 2 * SEAL_KEY_BYTES;

	for (size_t i = 0; good && i < SEAL_KEY_BYTES; i++)
		good = sscanf(text + 2 * i, "%2hhx", &ret_key[i]) == 1;
	plugin->secrets->wipe(text);
	return good ? PBX_OK : PBX_EINVAL;
}

static void put_away(struct finishing *finishing)
{
	int err = finishing->sealed_key[0] ? seal_file(finishing->path, finishing->key) : PBX_OK;

	if (err != PBX_OK)
		finishing->sealed_key[0] = '\0'; /* it lies there in clear, which is better than not at all; result tells */
	if (file_hash(finishing->path, finishing->sha256) != PBX_OK)
		err = PBX_EIO;
	if (finishing->result.error == PBX_OK)
		finishing->result.error = err;
}

static void work(void *job)
{
	struct finishing *finishing = job;

	if (finishing->discards)
		(void)unlink(finishing->path); /* there may be none */
	else
		put_away(finishing);
	explicit_bzero(finishing->key, sizeof finishing->key);
}

static void worked(void *self, void *job, int status)
{
	struct finishing *finishing = job;

	struct plugin *plugin = self;

	(void)plugin->host->release(plugin->host, PUT_AWAY); /* it is ours, or we are being stopped */
	if (status == PBX_OK)                                /* else the next start closes the row */
		record_stored(finishing->active, &finishing->result, finishing->sha256, finishing->sealed_key);
	free(finishing);
}

void finish_begin(struct active *active, const struct pbx_record_result *result)
{
	struct plugin *plugin = active->plugin;
	struct finishing *finishing = calloc(1, sizeof *finishing);

	if (!finishing) {
		record_stored(active, result, "", "");
		return;
	}
	finishing->active = active;
	finishing->result = *result;
	finishing->result.path = NULL; /* was borrowed, as the marks were */
	finishing->result.marks = NULL;
	finishing->result.mark_count = 0;
	finishing->discards = active->discarded;
	if (plugin->settings->encrypt && !finishing->discards)
		make_key(plugin, active->id, finishing);
	(void)snprintf(finishing->path, sizeof finishing->path, "%s/%s", plugin->storage, active->path);
	if (plugin->host->work(plugin->host, work, worked, finishing) == PBX_OK) {
		(void)plugin->host->hold(plugin->host,
					 PUT_AWAY); /* without memory an unload may come too soon: the next start closes the row */
		return;
	}
	free(finishing);
	record_stored(active, result, "", "");
}

/* ---- what a crash left ---- */

static void on_recovered(void *self, const struct pbx_record_result *result)
{
	struct active *active = self;

	active->discarded = result->duration_ms == 0 ? "lost" : NULL;
	pbx_notice(active->plugin->host, "recording_recovered", "recording_id=%s result=%d duration_ms=%llu", active->id, result->error,
		   (unsigned long long)result->duration_ms);
	finish_begin(active, result);
}

/* What the recorder has been sent, it has; how long that was, nobody knows. */
static void recover_remote(struct active *active)
{
	const struct pbx_record_result result = { .size = sizeof result };

	active->discarded = active->recorder[0] ? NULL : "lost";
	record_stored(active, &result, "", "");
}

static void recover_row(struct plugin *plugin, const struct pbx_rows *rows, uint32_t at)
{
	struct active *active = calloc(1, sizeof *active);
	char path[2 * PATH_SIZE];
	struct row row;

	if (!active)
		return; /* the next start tries again */
	row_read(rows, at, &row);
	active->plugin = plugin;
	active->ended = true;
	memcpy(active->id, row.id, ID_SIZE);
	memcpy(active->call_id, row.call_id, ID_SIZE);
	memcpy(active->from, row.from, TEXT_SIZE);
	memcpy(active->to, row.to, TEXT_SIZE);
	memcpy(active->path, row.path, PATH_SIZE);
	memcpy(active->recorder, row.recorder, URI_SIZE);
	active->has_file = row.path[0];
	(void)snprintf(active->trigger, sizeof active->trigger, "restart");
	active->next = plugin->active;
	plugin->active = active;
	if (!active->has_file) {
		recover_remote(active);
		return;
	}
	(void)snprintf(path, sizeof path, "%s/%s", plugin->storage, row.path);
	(void)plugin->recorder->recover(plugin->host, path, on_recovered, active); /* without memory: the next start */
}

static void on_open_rows(void *self, const struct pbx_rows *rows)
{
	struct plugin *plugin = self;
	char id[ID_SIZE];

	for (uint32_t at = 0; rows->status == PBX_OK && at < rows->count; at++) {
		bool lasts = false;

		(void)snprintf(id, sizeof id, "%s", pbx_cell_text(rows, at, 0));
		for (const struct active *active = plugin->active; active; active = active->next)
			lasts |= strcmp(active->id, id) == 0;
		if (!lasts)
			recover_row(plugin, rows, at);
	}
}

void finish_recover(struct plugin *plugin)
{
	(void)plugin->store->run(plugin->host, "SELECT " ROW_COLUMNS " FROM call_recordings WHERE ended_at IS NULL ORDER BY id", NULL, 0,
				 on_open_rows, plugin); /* the store away: the next start */
}
