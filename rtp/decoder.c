/*
 * decoder - whatever libsndfile reads, mixed down to one channel and resampled to 8 kHz
 *
 * The resampler's own delay is cut off at the beginning and asked for at the end, so that a file is as long as it was.
 */
#include "decoder.h"

#include <math.h>
#include <sndfile.h>
#include <speex/speex_resampler.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define OUT_HZ 8000
#define QUALITY 10 /* files have time */
#define CHUNK_FRAMES 1024
#define MOST_CHANNELS 8
#define LEAST_HZ 4000
#define MOST_HZ 192000

struct rtp_decoder {
	SNDFILE *file;
	SF_INFO info;
	SpeexResamplerState *resampler; /* NULL: the file is at 8 kHz */
	bool ended;
	uint32_t tail;     /* silent samples still to be fed, which push the last ones out */
	uint32_t have, at; /* of mono */
	float mono[CHUNK_FRAMES];
	float frames[CHUNK_FRAMES * MOST_CHANNELS];
};

static int open_resampler(struct rtp_decoder *decoder)
{
	int err = 0;

	if (decoder->info.samplerate == OUT_HZ)
		return PBX_OK;
	decoder->resampler = speex_resampler_init(1, (spx_uint32_t)decoder->info.samplerate, OUT_HZ, QUALITY, &err);
	if (!decoder->resampler)
		return PBX_ENOMEM;
	(void)speex_resampler_skip_zeros(decoder->resampler); /* cannot fail on a fresh one */
	decoder->tail = (uint32_t)speex_resampler_get_input_latency(decoder->resampler);
	return PBX_OK;
}

static bool is_playable(const SF_INFO *info)
{
	return info->channels >= 1 && info->channels <= MOST_CHANNELS && info->samplerate >= LEAST_HZ && info->samplerate <= MOST_HZ;
}

int rtp_decoder_open(const char *path, struct rtp_decoder **ret_decoder)
{
	struct rtp_decoder *decoder = calloc(1, sizeof *decoder);

	if (!decoder)
		return PBX_ENOMEM;
	decoder->file = sf_open(path, SFM_READ, &decoder->info);
	int err = decoder->file && is_playable(&decoder->info) ? open_resampler(decoder) : PBX_EINVAL;

	if (!decoder->file && access(path, F_OK) != 0)
		err = PBX_ENOENT;
	if (err != PBX_OK) {
		rtp_decoder_close(decoder);
		return err;
	}
	*ret_decoder = decoder;
	return PBX_OK;
}

void rtp_decoder_close(struct rtp_decoder *decoder)
{
	if (!decoder)
		return;
	if (decoder->file)
		(void)sf_close(decoder->file); /* was only read */
	if (decoder->resampler)
		speex_resampler_destroy(decoder->resampler);
	free(decoder);
}

void rtp_decoder_info(const struct rtp_decoder *decoder, struct pbx_file_info *ret_info)
{
	*ret_info = (struct pbx_file_info){ .size = sizeof *ret_info,
					    .rate_hz = (uint32_t)decoder->info.samplerate,
					    .channels = (uint32_t)decoder->info.channels,
					    .duration_ms = (uint64_t)decoder->info.frames * 1000 / (uint64_t)decoder->info.samplerate };
}

static void mix_down(struct rtp_decoder *decoder)
{
	int channels = decoder->info.channels;

	for (uint32_t i = 0; i < decoder->have; i++) {
		float sum = 0;

		for (int c = 0; c < channels; c++)
			sum += decoder->frames[i * (uint32_t)channels + (uint32_t)c];
		decoder->mono[i] = sum / (float)channels;
	}
}

/* More input, after the file's end the silence that empties the resampler. False: there is nothing more. */
static bool refill(struct rtp_decoder *decoder)
{
	decoder->at = decoder->have = 0;
	if (!decoder->ended) {
		sf_count_t got = sf_readf_float(decoder->file, decoder->frames, CHUNK_FRAMES);

		decoder->have = got > 0 ? (uint32_t)got : 0;
		decoder->ended = got <= 0;
		mix_down(decoder);
	}
	if (decoder->ended && decoder->resampler) {
		for (; decoder->have < CHUNK_FRAMES && decoder->tail > 0; decoder->tail--)
			decoder->mono[decoder->have++] = 0;
	}
	return decoder->have > 0;
}

static int16_t to_sample(float value)
{
	float scaled = value * 32768;

	return (int16_t)lrintf(scaled > 32767 ? 32767 : scaled < -32768 ? -32768 : scaled);
}

/* From mono to out, through the resampler when there is one. */
static size_t convert(struct rtp_decoder *decoder, float *ret_out, size_t count)
{
	spx_uint32_t in = decoder->have - decoder->at, out = (spx_uint32_t)count;

	if (decoder->resampler) {
		(void)speex_resampler_process_float(decoder->resampler, 0, decoder->mono + decoder->at, &in, ret_out, &out);
	} else {
		out = in = in < out ? in : out;
		for (spx_uint32_t i = 0; i < out; i++)
			ret_out[i] = decoder->mono[decoder->at + i];
	}
	decoder->at += in;
	return out;
}

size_t rtp_decoder_read(struct rtp_decoder *decoder, int16_t *ret_samples, size_t count)
{
	float out[CHUNK_FRAMES];
	size_t done = 0;

	while (done < count) {
		if (decoder->at == decoder->have && !refill(decoder))
			break;
		size_t want = count - done < CHUNK_FRAMES ? count - done : CHUNK_FRAMES, got = convert(decoder, out, want);

		for (size_t i = 0; i < got; i++)
			ret_samples[done + i] = to_sample(out[i]);
		done += got;
	}
	return done;
}
