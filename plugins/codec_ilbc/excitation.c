/* plugins/codec_ilbc/excitation.c - the residual of a frame out of its indices (RFC 3951 3.6, 4.2 to 4.4) */
#include "ilbc.h"
#include <math.h>
#include <string.h>

#define BEFORE 3u /* taps of the expansion filter that lie before a sample; four lie behind it */
#define GLUE 5u   /* samples over which two pieces are faded into one another */

/* ---- the start state ---- */

void ilbc_state_spread(const float *a, float *samples, uint32_t count)
{
	float reversed[ILBC_ORDER + 1], past[ILBC_ORDER] = { 0 }, line[2 * ILBC_STATE] = { 0 };

	for (uint32_t i = 0; i <= ILBC_ORDER; i++)
		reversed[i] = a[ILBC_ORDER - i];
	memcpy(line, samples, count * sizeof *line);
	ilbc_analyse(reversed, past, line, line, 2 * count);
	memset(past, 0, sizeof past);
	ilbc_synthesise(a, past, line, line, 2 * count);
	for (uint32_t i = 0; i < count; i++)
		samples[i] = line[i] + line[count + i];
}

void ilbc_state_make(const struct ilbc_mode *mode, const struct ilbc_frame *frame, const float *a, float *ret_samples)
{
	float samples[ILBC_STATE], most = powf(10, ilbc_state_powers[frame->power]) / 4.5F;
	uint32_t count = mode->state_samples;

	for (uint32_t i = 0; i < count; i++)
		samples[i] = most * (float)ilbc_state_levels[frame->samples[count - 1 - i]] / 8192;
	ilbc_state_spread(a, samples, count);
	for (uint32_t i = 0; i < count; i++)
		ret_samples[i] = samples[count - 1 - i];
}

/* ---- the codebook: pieces of memory, the latest first; glued ones that are shorter than a block; then all of them filtered ---- */

static uint32_t plain_count(uint32_t memory_samples, uint32_t count)
{
	return memory_samples - count + 1;
}

uint32_t ilbc_vector_count(uint32_t memory_samples, uint32_t count)
{
	return 2 * (plain_count(memory_samples, count) + (count == ILBC_BLOCK ? count / 2 : 0));
}

/* The last `length` samples, and what follows them: themselves again, with a fade between. */
static void glue(const float *end, uint32_t length, uint32_t count, float *ret_vector)
{
	uint32_t whole = length - GLUE;
	float share = 0;

	memcpy(ret_vector, end - length, whole * sizeof *end);
	for (uint32_t i = whole; i < length; i++, share += 1.0F / GLUE)
		ret_vector[i] = (1 - share) * *(end - length + i) + share * *(end - 2 * length + i);
	memcpy(ret_vector + length, end - length, (count - length) * sizeof *end);
}

void ilbc_expand(const float *memory, uint32_t memory_samples, float *ret_expanded)
{
	for (uint32_t at = 0; at < memory_samples; at++) {
		float sum = 0;

		for (uint32_t tap = 0; tap < ILBC_EXPANSION_TAPS; tap++) {
			uint32_t i = at + tap - BEFORE; /* below zero it wraps to what is beyond the end, too */

			if (i < memory_samples)
				sum += memory[i] * (float)ilbc_expansion[ILBC_EXPANSION_TAPS - 1 - tap] / 4096;
		}
		ret_expanded[at] = sum;
	}
}

void ilbc_half_vector(const float *memory, uint32_t memory_samples, uint32_t index, uint32_t count, float *ret_vector)
{
	uint32_t plain = plain_count(memory_samples, count);

	if (index < plain)
		memcpy(ret_vector, memory + memory_samples - count - index, count * sizeof *memory);
	else
		glue(memory + memory_samples, count / 2 + index - plain, count, ret_vector);
}

static void vector_of(const float *memory, uint32_t memory_samples, uint32_t index, uint32_t count, float *ret_vector)
{
	uint32_t half = ilbc_vector_count(memory_samples, count) / 2;
	float expanded[ILBC_MEMORY];

	if (index >= half) {
		ilbc_expand(memory, memory_samples, expanded);
		memory = expanded;
	}
	ilbc_half_vector(memory, memory_samples, index % half, count, ret_vector);
}

float ilbc_gain(uint32_t stage, uint32_t index, float before)
{
	float scale = fmaxf(fabsf(before), 0.1F) / 16384;

	return stage == 0   ? (float)ilbc_gains_first[index] / 16384
	       : stage == 1 ? scale * (float)ilbc_gains_second[index]
			    : scale * (float)ilbc_gains_third[index];
}

void ilbc_vectors_sum(const struct ilbc_vectors *vectors, const float *memory, uint32_t memory_samples, uint32_t count, float *ret_samples)
{
	uint32_t vector_count = ilbc_vector_count(memory_samples, count);
	float gain = 1;

	memset(ret_samples, 0, count * sizeof *ret_samples);
	for (uint32_t stage = 0; stage < ILBC_STAGES; stage++) {
		float vector[ILBC_BLOCK];

		gain = ilbc_gain(stage, vectors->gain[stage], gain);
		vector_of(memory, memory_samples, vectors->index[stage] % vector_count, count, vector);
		for (uint32_t i = 0; i < count; i++)
			ret_samples[i] += gain * vector[i];
	}
}

/* ---- around the start state ---- */

/* The memory of pieces: the `known` samples before or behind a place, the nearest last, nothing before them. */
static void memory_take(const float *residual, uint32_t at, bool backwards, uint32_t known, float *ret_memory)
{
	memset(ret_memory, 0, ILBC_MEMORY * sizeof *ret_memory);
	for (uint32_t i = 1; i <= known; i++)
		ret_memory[ILBC_MEMORY - i] = backwards ? residual[at + i] : residual[at - i];
}

static void piece_put(float *residual, uint32_t at, bool backwards, const float *piece, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		residual[backwards ? at - i : at + i] = piece[i];
}

static uint32_t at_most(uint32_t count)
{
	return count < ILBC_MEMORY ? count : ILBC_MEMORY;
}

void ilbc_around_state(const struct ilbc_mode *mode, const struct ilbc_frame *frame, ilbc_fill_fn fill, void *context, float *residual)
{
	uint32_t begin = (frame->start - 1) * ILBC_BLOCK, end = begin + ILBC_STATE, sent = mode->state_samples, rest = ILBC_STATE - sent;
	float memory[ILBC_MEMORY], piece[ILBC_BLOCK];
	bool backwards = !frame->state_first;
	uint32_t at = backwards ? begin + rest - 1 : begin + sent;
	int32_t which = 0;

	memory_take(residual, at, backwards, sent, memory);
	fill(context, -1, at, backwards, memory + ILBC_MEMORY - ILBC_STATE_MEMORY, ILBC_STATE_MEMORY, rest, piece);
	piece_put(residual, at, backwards, piece, rest);

	for (at = end; at < mode->samples; at += ILBC_BLOCK) {
		memory_take(residual, at, false, at_most(at - begin), memory);
		fill(context, which++, at, false, memory, ILBC_MEMORY, ILBC_BLOCK, piece);
		piece_put(residual, at, false, piece, ILBC_BLOCK);
	}
	for (at = begin; at > 0; at -= ILBC_BLOCK) {
		memory_take(residual, at - 1, true, at_most(mode->samples - at), memory);
		fill(context, which++, at - 1, true, memory, ILBC_MEMORY, ILBC_BLOCK, piece);
		piece_put(residual, at - 1, true, piece, ILBC_BLOCK);
	}
}
