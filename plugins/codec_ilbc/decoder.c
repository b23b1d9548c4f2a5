/* plugins/codec_ilbc/decoder.c - samples out of frames, and out of none (RFC 3951 4) */
#include "ilbc.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_PITCH 20u
#define MOST_PITCH 120u

struct ilbc_decoder {
	struct ilbc_filter_memory high_pass;
	float past[ILBC_ORDER];
	float lsf[ILBC_ORDER];
	float a[ILBC_ORDER + 1];           /* of the last block */
	float residual[ILBC_MOST_SAMPLES]; /* the last ones, the latest last */
	uint32_t lost_samples;             /* in a row */
	uint32_t pitch;
	float voiced; /* 0 noise to 1 */
	uint32_t random;
};

void ilbc_decoder_restart(struct ilbc_decoder *decoder)
{
	*decoder = (struct ilbc_decoder){ .a = { 1 }, .random = 777 };
	for (uint32_t i = 0; i < ILBC_ORDER; i++)
		decoder->lsf[i] = (float)((i + 1) * M_PI / (ILBC_ORDER + 1));
}

struct ilbc_decoder *ilbc_decoder_new(void)
{
	struct ilbc_decoder *decoder = malloc(sizeof *decoder);

	if (decoder)
		ilbc_decoder_restart(decoder);
	return decoder;
}

void ilbc_decoder_free(struct ilbc_decoder *decoder)
{
	free(decoder);
}

/* ---- what was lost: the last residual goes on, repeated at its pitch as far as it had one, and fades ---- */

static float likeness(const float *end, uint32_t pitch, uint32_t count)
{
	float cross = 0, before = 0, now = 0;

	for (uint32_t i = 1; i <= count; i++) {
		float a = end[-(int32_t)i], b = end[-(int32_t)i - (int32_t)pitch];

		cross += a * b;
		now += a * a;
		before += b * b;
	}
	return cross > 0 && now > 0 && before > 0 ? cross / sqrtf(now * before) : 0;
}

static void find_pitch(struct ilbc_decoder *decoder)
{
	float best = 0;

	decoder->pitch = MOST_PITCH;
	for (uint32_t pitch = LEAST_PITCH; pitch <= MOST_PITCH; pitch++) {
		float like = likeness(decoder->residual + ILBC_MOST_SAMPLES, pitch, 60);

		if (like <= best)
			continue;
		best = like;
		decoder->pitch = pitch;
	}
	decoder->voiced = best > 0.7F ? 1 : best > 0.4F ? (best - 0.4F) / 0.3F : 0;
}

static float fade_of(uint32_t lost_samples)
{
	return lost_samples < 320 ? 1 : lost_samples < 640 ? 0.9F : lost_samples < 960 ? 0.7F : lost_samples < 1280 ? 0.5F : 0;
}

static void conceal(struct ilbc_decoder *decoder, uint32_t samples, float *ret_residual)
{
	float fade = fade_of(decoder->lost_samples), line[MOST_PITCH + ILBC_MOST_SAMPLES];

	if (!decoder->lost_samples)
		find_pitch(decoder);
	memcpy(line, decoder->residual + ILBC_MOST_SAMPLES - MOST_PITCH, MOST_PITCH * sizeof *line);
	for (uint32_t i = 0; i < samples; i++) {
		float late = i < 80 ? 1 : i < 160 ? 0.95F : 0.9F;

		decoder->random = decoder->random * 1103515245u + 12345u;
		float noise = decoder->residual[(decoder->random >> 16) % ILBC_MOST_SAMPLES];
		line[MOST_PITCH + i] = line[MOST_PITCH + i - decoder->pitch];
		ret_residual[i] = fade * late * (decoder->voiced * line[MOST_PITCH + i] + (1 - decoder->voiced) * noise);
	}
	decoder->lost_samples += samples;
}

static void remember(struct ilbc_decoder *decoder, const float *residual, uint32_t samples)
{
	memmove(decoder->residual, decoder->residual + samples, (ILBC_MOST_SAMPLES - samples) * sizeof *residual);
	memcpy(decoder->residual + ILBC_MOST_SAMPLES - samples, residual, samples * sizeof *residual);
	decoder->lost_samples = 0;
}

/* ---- what has come ---- */

static void fill(void *context, int32_t which, uint32_t at, bool backwards, const float *memory, uint32_t memory_samples, uint32_t count,
		 float *ret_samples)
{
	const struct ilbc_frame *frame = context;

	(void)at, (void)backwards;
	ilbc_vectors_sum(which < 0 ? &frame->rest : &frame->block[which], memory, memory_samples, count, ret_samples);
}

static void read_predictors(struct ilbc_decoder *decoder, const struct ilbc_mode *mode, const struct ilbc_frame *frame,
			    float (*ret_a)[ILBC_ORDER + 1])
{
	float lsf[2][ILBC_ORDER], here[ILBC_ORDER];

	for (uint32_t i = 0; i < mode->predictors; i++) {
		ilbc_lsf_read(frame->lsf + 3 * i, lsf[i]);
		ilbc_lsf_spread(lsf[i]);
	}
	for (uint32_t block = 0; block < mode->blocks; block++) {
		ilbc_lsf_of_block(mode, block, decoder->lsf, lsf, here);
		ilbc_lsf_to_a(here, ret_a[block]);
	}
	memcpy(decoder->lsf, lsf[mode->predictors - 1], sizeof decoder->lsf);
	memcpy(decoder->a, ret_a[mode->blocks - 1], sizeof decoder->a);
}

static void read_residual(const struct ilbc_mode *mode, struct ilbc_frame *frame, const float (*a)[ILBC_ORDER + 1], float *ret_residual)
{
	uint32_t begin = (frame->start - 1) * ILBC_BLOCK + (frame->state_first ? 0 : ILBC_STATE - mode->state_samples);

	ilbc_state_make(mode, frame, a[frame->start - 1], ret_residual + begin);
	ilbc_around_state(mode, frame, fill, frame, ret_residual);
}

static int16_t rounded(float sample)
{
	return (int16_t)lrintf(fmaxf(INT16_MIN, fminf(INT16_MAX, sample)));
}

bool ilbc_decode(struct ilbc_decoder *decoder, const struct ilbc_mode *mode, const uint8_t *bytes, int16_t *ret_samples)
{
	float a[ILBC_MOST_BLOCKS][ILBC_ORDER + 1], residual[ILBC_MOST_SAMPLES], samples[ILBC_MOST_SAMPLES];
	struct ilbc_frame frame;
	bool is_frame = bytes && ilbc_frame_read(mode, bytes, &frame);

	if (is_frame) {
		read_predictors(decoder, mode, &frame, a);
		read_residual(mode, &frame, a, residual);
		remember(decoder, residual, mode->samples);
	} else {
		conceal(decoder, mode->samples, residual);
		for (uint32_t block = 0; block < mode->blocks; block++)
			memcpy(a[block], decoder->a, sizeof a[block]);
	}
	for (uint32_t block = 0; block < mode->blocks; block++)
		ilbc_synthesise(a[block], decoder->past, residual + block * ILBC_BLOCK, samples + block * ILBC_BLOCK, ILBC_BLOCK);
	ilbc_high_pass(&ilbc_output_filter, &decoder->high_pass, samples, mode->samples);
	for (uint32_t i = 0; i < mode->samples; i++)
		ret_samples[i] = rounded(samples[i]);
	return is_frame;
}
