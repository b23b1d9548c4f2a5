/*
 * finish - from a file that has ended to a recording that can be trusted
 *
 * The file is hashed in the pool, then its row is closed. Nothing else may lie between the end of a call and the row, so what a crash
 * interrupts is found again at the next start: rows without an end, whose files are finished from what there is.
 */
#include "call_recording.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES 65536u
#define PUT_AWAY "recordings are being put away"

int file_hash(const char *path, char ret_hex[65])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	FILE *file = fopen(path, "rbe");
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *chunk = malloc(CHUNK_BYTES);
	bool good = file && context && chunk && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	size_t got;

	while (good && (got = fread(chunk, 1, CHUNK_BYTES, file)) > 0)
		good = EVP_DigestUpdate(context, chunk, got) == 1;
	good = good && !ferror(file) && EVP_DigestFinal_ex(context, hash, &size) == 1;
	for (unsigned int i = 0; good && i < size; i++) {
		ret_hex[2 * i] = digits[hash[i] >> 4];
		ret_hex[2 * i + 1] = digits[hash[i] & 15];
	}
	ret_hex[good ? 2 * size : 0] = '\0';
	free(chunk);
	EVP_MD_CTX_free(context);
	if (file)
		(void)fclose(file); /* was only read */
	return good ? PBX_OK : PBX_EIO;
}

struct finishing {
	struct active *active;
	struct pbx_record_result result;
	char path[2 * PATH_SIZE], sha256[65];
	bool discards;
};

static void work(void *job)
{
	struct finishing *finishing = job;

	if (finishing->discards)
		(void)unlink(finishing->path); /* there may be none */
	else if (file_hash(finishing->path, finishing->sha256) != PBX_OK && finishing->result.error == PBX_OK)
		finishing->result.error = PBX_EIO;
}

static void worked(void *self, void *job, int status)
{
	struct finishing *finishing = job;

	struct plugin *plugin = self;

	(void)plugin->host->release(plugin->host, PUT_AWAY); /* it is ours, or we are being stopped */
	if (status == PBX_OK)                                /* else the next start closes the row */
		record_stored(finishing->active, &finishing->result, finishing->sha256, "");
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
	finishing->result.path = NULL; /* was borrowed */
	finishing->discards = active->discarded;
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
	(void)snprintf(active->trigger, sizeof active->trigger, "restart");
	active->next = plugin->active;
	plugin->active = active;
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
