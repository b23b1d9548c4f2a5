/*
 * codec_file - decode, encode, write
 *
 * What is there already is never written over, and what could not be finished is taken away.
 */
#include "codec_file.h"
#include "decoder.h"
#include "resampler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rtp_codec_file {
	struct rtp_coder encoder;
	uint32_t ptime_ms, samples; /* of a packet */
	char from[RTP_CODEC_FILE_PATH], to[RTP_CODEC_FILE_PATH];
	struct rtp_codec_file_result result;
};

/* It closes its encoder as soon as it is over; until then the plugin waits. */
static void on_leaving(void *context)
{
	(void)context;
}

int rtp_codec_file_new(const struct core_codec *codec, const char *from, const char *to, struct rtp_codec_file **ret_file)
{
	const struct rtp_codec *known = rtp_codec_find(codec);
	struct rtp_codec_file *file = calloc(1, sizeof *file);
	int err = !known ? PBX_ENOENT : file ? PBX_OK : PBX_ENOMEM;

	if (err == PBX_OK) {
		(void)snprintf(file->from, sizeof file->from, "%s", from);
		(void)snprintf(file->to, sizeof file->to, "%s", to);
		file->ptime_ms = rtp_codec_ptime(codec, known->row.usual_ptime_ms);
		file->samples = known->row.rate_hz / 1000 * file->ptime_ms;
		err = rtp_coder_open(codec, true, file->ptime_ms, on_leaving, NULL, &file->encoder);
	}
	if (err != PBX_OK) {
		rtp_codec_file_free(file);
		return err;
	}
	*ret_file = file;
	return PBX_OK;
}

void rtp_codec_file_free(struct rtp_codec_file *file)
{
	if (!file)
		return;
	rtp_coder_close(&file->encoder);
	free(file);
}

const struct rtp_codec_file_result *rtp_codec_file_result(const struct rtp_codec_file *file)
{
	return &file->result;
}

/* ---- [work] ---- */

/* The last packet is filled up with silence. */
static int write_packets(struct rtp_codec_file *file, struct rtp_decoder *decoder, FILE *to)
{
	const struct pbx_codec *row = &file->encoder.row;
	int16_t samples[RTP_MOST_FRAME_SAMPLES];
	uint8_t payload[PBX_CODEC_MOST_BYTES];
	size_t got;

	while ((got = rtp_decoder_read(decoder, samples, file->samples)) > 0) {
		memset(samples + got, 0, (file->samples - got) * sizeof *samples);
		int32_t bytes = row->encode(file->encoder.state, samples, file->samples, payload, sizeof payload);

		if (bytes < 0 || bytes > (int32_t)sizeof payload)
			return PBX_ENOTSUP;
		if (fwrite(payload, 1, (size_t)bytes, to) != (size_t)bytes)
			return PBX_EIO;
		file->result.packets += bytes > 0;
		file->result.octets += (uint64_t)bytes;
		file->result.ms += file->ptime_ms;
	}
	return PBX_OK;
}

static int write_file(struct rtp_codec_file *file, struct rtp_decoder *decoder)
{
	FILE *to = fopen(file->to, "wxbe");

	if (!to)
		return errno == EEXIST ? PBX_EEXIST : PBX_EIO;
	int err = write_packets(file, decoder, to);

	if (fclose(to) != 0 && err == PBX_OK)
		err = PBX_EIO;
	if (err != PBX_OK)
		(void)unlink(file->to); /* we have made it */
	return err;
}

void rtp_codec_file_run(void *job)
{
	struct rtp_codec_file *file = job;
	struct rtp_decoder *decoder;

	file->result.error = rtp_decoder_open(file->from, file->encoder.row.rate_hz, &decoder);
	if (file->result.error != PBX_OK)
		return;
	file->result.error = write_file(file, decoder);
	rtp_decoder_close(decoder);
}
