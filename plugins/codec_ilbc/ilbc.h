/* plugins/codec_ilbc/ilbc.h - iLBC (RFC 3951): what its files share
 *
 * A frame of 20 or 30 ms has 4 or 6 blocks of 40 samples. Out of two neighbouring ones, where the residual of linear prediction is strongest, 57
 * or 58 samples are sent one by one: the start state. The rest is made of pieces of what is known already, forwards and then backwards from it; so
 * nothing depends on the frame before but some filters' memory, and a lost frame does no harm to those behind it. All of it: [any]; a coder is
 * used by one thread at a time. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define ILBC_BLOCK 40u
#define ILBC_STATE 80u /* two blocks */
#define ILBC_ORDER 10u /* of linear prediction */
#define ILBC_MOST_BLOCKS 6u
#define ILBC_MOST_SAMPLES (ILBC_MOST_BLOCKS * ILBC_BLOCK)
#define ILBC_MOST_BYTES 50u
#define ILBC_STAGES 3u        /* vectors that are added up for a block */
#define ILBC_MEMORY 147u      /* samples that pieces are taken from */
#define ILBC_STATE_MEMORY 85u /* the same for the rest of the start state's two blocks */
#define ILBC_EXPANSION_TAPS 8u
#define ILBC_MOST_VECTORS 256u

struct ilbc_mode {
	uint32_t ms, samples, bytes;
	uint32_t blocks, state_samples; /* of the start state that are sent one by one */
	uint32_t predictors;            /* sets of line spectral frequencies */
};
extern const struct ilbc_mode ilbc_20, ilbc_30;

/* What is in a frame, as indices. */
struct ilbc_vectors {
	uint32_t index[ILBC_STAGES], gain[ILBC_STAGES];
};
struct ilbc_frame {
	uint32_t lsf[6];
	uint32_t start;       /* the start state lies in blocks start and start + 1, counted from 1 */
	uint32_t state_first; /* 1: the samples that are sent come first in them */
	uint32_t power;
	uint32_t samples[58];
	struct ilbc_vectors rest;                        /* of the start state's two blocks */
	struct ilbc_vectors block[ILBC_MOST_BLOCKS - 2]; /* after them in time, then before them backwards */
	uint32_t empty;                                  /* 1: the encoder had nothing to say */
};

/* ---- tables.c ---- */
struct ilbc_high_pass {
	float in[3], out[2];
};
extern const int16_t ilbc_lsf_book[64 * 3 + 128 * 3 + 128 * 4];
extern const int16_t ilbc_state_levels[8];
extern const float ilbc_state_powers[64];
extern const int16_t ilbc_gains_first[32], ilbc_gains_second[16], ilbc_gains_third[8];
extern const int16_t ilbc_expansion[ILBC_EXPANSION_TAPS];
extern const struct ilbc_high_pass ilbc_input_filter, ilbc_output_filter;

/* ---- frame.c: bits ---- */
void ilbc_frame_write(const struct ilbc_mode *mode, const struct ilbc_frame *frame, uint8_t *ret_bytes);
/* false: no encoder has made this. */
bool ilbc_frame_read(const struct ilbc_mode *mode, const uint8_t *bytes, struct ilbc_frame *ret_frame);

/* ---- prediction.c: filters and their coefficients, which begin with 1 ---- */
struct ilbc_filter_memory {
	float in[2], out[2];
};
void ilbc_high_pass(const struct ilbc_high_pass *filter, struct ilbc_filter_memory *memory, float *samples, uint32_t count);
/* Residual of samples; and back. past: the ORDER samples before, of what goes in and of what comes out, oldest first; kept current. */
void ilbc_analyse(const float *a, float *past, const float *in, float *ret_out, uint32_t count);
void ilbc_synthesise(const float *a, float *past, const float *in, float *ret_out, uint32_t count);
/* Coefficients with their poles drawn towards the origin. */
void ilbc_widen(const float *a, float by, float *ret_a);
/* From a window of samples to line spectral frequencies; false: there are none, as of silence. */
bool ilbc_lsf_of(const float *windowed, uint32_t count, float *ret_lsf);
void ilbc_lsf_to_a(const float *lsf, float *ret_a);
void ilbc_lsf_read(const uint32_t *indices, float *ret_lsf);
void ilbc_lsf_quantise(const float *lsf, uint32_t *ret_indices);
/* Keeps them apart, so that the filter is stable. */
void ilbc_lsf_spread(float *lsf);
/* Frequencies of a block: between those of the frame before and those of this one (RFC 3951 3.2.7). lsf: the sets of this frame. */
void ilbc_lsf_of_block(const struct ilbc_mode *mode, uint32_t block, const float *before, const float (*lsf)[ILBC_ORDER], float *ret_lsf);

/* ---- excitation.c: the residual, out of indices ---- */
/* The start state's samples; a: of the block it begins in. */
void ilbc_state_make(const struct ilbc_mode *mode, const struct ilbc_frame *frame, const float *a, float *ret_samples);
/* The all-pass that the encoder puts before quantisation, and the decoder behind it on time reversed. In place, folded to count samples. */
void ilbc_state_spread(const float *a, float *samples, uint32_t count);
uint32_t ilbc_vector_count(uint32_t memory_samples, uint32_t count); /* of a codebook */
/* The first half of a codebook is made of memory as it is, the second of memory expanded, in the same way. */
void ilbc_expand(const float *memory, uint32_t memory_samples, float *ret_expanded);
void ilbc_half_vector(const float *memory, uint32_t memory_samples, uint32_t index, uint32_t count, float *ret_vector);
float ilbc_gain(uint32_t stage, uint32_t index, float before); /* before: the gain of the stage before */
void ilbc_vectors_sum(const struct ilbc_vectors *vectors, const float *memory, uint32_t memory_samples, uint32_t count, float *ret_samples);

/* What is made block by block around the start state, the same way in encoder and decoder. fill(context, …) makes a piece of count samples: of the
 * vectors at `which` (-1: rest), out of memory; `at` is its first sample in the frame, and it goes backwards from there when backwards is set. */
typedef void (*ilbc_fill_fn)(void *context, int32_t which, uint32_t at, bool backwards, const float *memory, uint32_t memory_samples,
			     uint32_t count, float *ret_samples);
void ilbc_around_state(const struct ilbc_mode *mode, const struct ilbc_frame *frame, ilbc_fill_fn fill, void *context, float *residual);

/* ---- encoder.c, decoder.c ---- */
struct ilbc_encoder;
struct ilbc_decoder;
struct ilbc_encoder *ilbc_encoder_new(const struct ilbc_mode *mode); /* NULL: no memory */
void ilbc_encoder_free(struct ilbc_encoder *encoder);
void ilbc_encode(struct ilbc_encoder *encoder, const int16_t *samples, uint8_t *ret_bytes); /* one frame */
struct ilbc_decoder *ilbc_decoder_new(void);
void ilbc_decoder_free(struct ilbc_decoder *decoder);
void ilbc_decoder_restart(struct ilbc_decoder *decoder); /* another stream begins */
/* One frame; false: these are no frame's bytes, and samples are as of a lost one. bytes NULL: it is lost. The mode may change between frames. */
bool ilbc_decode(struct ilbc_decoder *decoder, const struct ilbc_mode *mode, const uint8_t *bytes, int16_t *ret_samples);
