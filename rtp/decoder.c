/*
 * decoder - a file that libsndfile reads, or any other pcm, mixed down to one channel and resampled
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

#define QUALITY 10 /* files have time */
#define CHUNK_FRAMES 1024

/* A file as pcm: what libsndfile reads. */
struct file_pcm {
	struct rtp_pcm pcm; /* first */
	SNDFILE *file;
	SF_INFO info;
};

struct rtp_decoder {
	struct file_pcm file;           /* when it is one */
	struct rtp_pcm *pcm;            /* that, or somebody else's */
	SpeexResamplerState *resampler; /* NULL: the file is at the rate that is asked for */
	bool ended;
	uint32_t tail;     /* silent samples still to be fed, which push the last ones out */
	uint32_t have, at; /* of mono */
	float mono[CHUNK_FRAMES];
	float frames[CHUNK_FRAMES * RTP_PCM_MOST_CHANNELS];
};

static int open_resampler(struct rtp_decoder *decoder, uint32_t rate_hz)
{
	int err = 0;

	if (decoder->pcm->rate_hz == rate_hz)
		return PBX_OK;
	decoder->resampler = speex_resampler_init(1, decoder->pcm->rate_hz, rate_hz, QUALITY, &err);
	if (!decoder->resampler)
		return PBX_ENOMEM;
	(void)speex_resampler_skip_zeros(decoder->resampler); /* cannot fail on a fresh one */
	decoder->tail = (uint32_t)speex_resampler_get_input_latency(decoder->resampler);
	return PBX_OK;
}

static bool is_playable(const struct rtp_pcm *pcm)
{
	return pcm->channels >= 1 && pcm->channels <= RTP_PCM_MOST_CHANNELS && pcm->rate_hz >= RTP_PCM_LEAST_HZ &&
	       pcm->rate_hz <= RTP_PCM_MOST_HZ;
}

static size_t read_file(struct rtp_pcm *pcm, float *ret_frames, size_t frames)
{
	sf_count_t got = sf_readf_float(((struct file_pcm *)pcm)->file, ret_frames, (sf_count_t)frames);

	return got > 0 ? (size_t)got : 0;
}

static int open_file(struct file_pcm *file, const char *path)
{
	file->file = sf_open(path, SFM_READ, &file->info);
	if (!file->file)
		return access(path, F_OK) != 0 ? PBX_ENOENT : PBX_EINVAL;
	file->pcm = (struct rtp_pcm){ .rate_hz = (uint32_t)file->info.samplerate,
				      .channels = (uint32_t)file->info.channels,
				      .read = read_file };
	return PBX_OK;
}

static int open_on(struct rtp_decoder *decoder, struct rtp_pcm *pcm, uint32_t rate_hz)
{
	decoder->pcm = pcm;
	return is_playable(pcm) ? open_resampler(decoder, rate_hz) : PBX_EINVAL;
}

int rtp_decoder_open(const char *path, uint32_t rate_hz, struct rtp_decoder **ret_decoder)
{
	struct rtp_decoder *decoder = calloc(1, sizeof *decoder);

	if (!decoder)
		return PBX_ENOMEM;
	int err = open_file(&decoder->file, path);

	if (err == PBX_OK)
		err = open_on(decoder, &decoder->file.pcm, rate_hz);
	if (err != PBX_OK) {
		rtp_decoder_close(decoder);
		return err;
	}
	*ret_decoder = decoder;
	return PBX_OK;
}

int rtp_decoder_open_pcm(struct rtp_pcm *pcm, uint32_t rate_hz, struct rtp_decoder **ret_decoder)
{
	struct rtp_decoder *decoder = calloc(1, sizeof *decoder);
	int err = decoder ? open_on(decoder, pcm, rate_hz) : PBX_ENOMEM;

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
	if (decoder->file.file)
		(void)sf_close(decoder->file.file); /* was only read */
	if (decoder->resampler)
		speex_resampler_destroy(decoder->resampler);
	free(decoder);
}

void rtp_decoder_info(const struct rtp_decoder *decoder, struct pbx_file_info *ret_info)
{
	*ret_info = (struct pbx_file_info){ .size = sizeof *ret_info,
					    .rate_hz = decoder->pcm->rate_hz,
					    .channels = decoder->pcm->channels,
					    .duration_ms = (uint64_t)decoder->file.info.frames * 1000 / decoder->pcm->rate_hz };
}

static void mix_down(struct rtp_decoder *decoder)
{
	uint32_t channels = decoder->pcm->channels;

	for (uint32_t i = 0; i < decoder->have; i++) {
		float sum = 0;

		for (uint32_t c = 0; c < channels; c++)
			sum += decoder->frames[i * channels + c];
		decoder->mono[i] = sum / (float)channels;
	}
}

/* More input, after the file's end the silence that empties the resampler. False: there is nothing more. */
static bool refill(struct rtp_decoder *decoder)
{
	decoder->at = decoder->have = 0;
	if (!decoder->ended) {
		decoder->have = (uint32_t)decoder->pcm->read(decoder->pcm, decoder->frames, CHUNK_FRAMES);
		decoder->ended = decoder->have == 0;
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
