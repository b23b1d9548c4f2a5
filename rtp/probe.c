/*
 * probe - tries a file before somebody relies on it
 */
#include "probe.h"
#include "decoder.h"

#include <core/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_BYTES (100 * 1000 * 1000)
#define LEAST_MS 1000u
#define TRIED_SAMPLES RTP_DECODED_HZ /* a header may promise anything: the first second must decode */

struct probe {
	void (*done)(void *self, int result, const struct pbx_file_info *info);
	int result;
	struct pbx_file_info info;
	char path[];
};

static int try_decoding(struct probe *probe)
{
	int16_t samples[TRIED_SAMPLES];
	struct rtp_decoder *decoder;
	int err = rtp_decoder_open(probe->path, RTP_DECODED_HZ, &decoder);

	if (err != PBX_OK)
		return err;
	rtp_decoder_info(decoder, &probe->info);
	if (probe->info.duration_ms < LEAST_MS || rtp_decoder_read(decoder, samples, TRIED_SAMPLES) < TRIED_SAMPLES)
		err = PBX_EINVAL;
	rtp_decoder_close(decoder);
	return err;
}

static void work(void *job)
{
	struct probe *probe = job;
	struct stat file;

	if (stat(probe->path, &file) != 0)
		probe->result = PBX_ENOENT;
	else if (!S_ISREG(file.st_mode) || file.st_size > MOST_BYTES)
		probe->result = PBX_EINVAL;
	else
		probe->result = try_decoding(probe);
}

static void worked(void *self, void *job, int status)
{
	struct probe *probe = job;

	if (status == PBX_OK)
		probe->done(self, probe->result, &probe->info);
	free(probe);
}

int rtp_probe(struct pbx_host *host, const char *path, void (*done)(void *self, int result, const struct pbx_file_info *info), void *self)
{
	size_t size = strlen(path) + 1;
	struct probe *probe = calloc(1, sizeof *probe + size);

	if (!probe)
		return PBX_ENOMEM;
	probe->done = done;
	memcpy(probe->path, path, size);
	int err = core_work(host, work, worked, self, probe);

	if (err != PBX_OK)
		free(probe);
	return err;
}
