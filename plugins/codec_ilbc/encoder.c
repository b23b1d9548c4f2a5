/* plugins/codec_ilbc/encoder.c - chooses the indices of a frame (RFC 3951 3)
 *
 * What is sent is given by the decoder; how it is found is free. The start state lies where the residual is strongest, its samples are quantised one
 * by one with their error shaped like the speech, and the pieces around it are searched for exhaustively, also in the weighted domain. */
#include "ilbc.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 240u
#define HISTORY (WINDOW + 60u)
#define WEIGHT 0.4222F /* how far the weighting filter's poles are drawn in */
#define FINER 6u       /* powers below the largest sample's that are tried */
#define COEFFICIENTS (ILBC_ORDER + 1)

struct ilbc_encoder {
	const struct ilbc_mode *mode;
	struct ilbc_filter_memory high_pass;
	float history[HISTORY];                      /* of high-passed input, the latest last */
	float past[ILBC_ORDER];                      /* of the same, for the residual */
	float lsf[ILBC_ORDER], read_lsf[ILBC_ORDER]; /* the last of the frame before, as found and as the decoder has it */
	float middle_window[WINDOW], late_window[WINDOW];
};

/* A frame at work. */
struct work {
	const struct ilbc_mode *mode;
	struct ilbc_frame frame;
	float a[ILBC_MOST_BLOCKS][COEFFICIENTS];                  /* as the decoder has them */
	float weight[ILBC_MOST_BLOCKS][COEFFICIENTS];             /* 1 / these: where errors are heard */
	float target[ILBC_MOST_SAMPLES], made[ILBC_MOST_SAMPLES]; /* residual, wanted and as the decoder will have it */
};

static void first_lsf(float *ret_lsf)
{
	for (uint32_t i = 0; i < ILBC_ORDER; i++)
		ret_lsf[i] = (float)((i + 1) * M_PI / (ILBC_ORDER + 1));
}

struct ilbc_encoder *ilbc_encoder_new(const struct ilbc_mode *mode)
{
	struct ilbc_encoder *encoder = calloc(1, sizeof *encoder);

	if (!encoder)
		return NULL;
	encoder->mode = mode;
	first_lsf(encoder->lsf);
	first_lsf(encoder->read_lsf);
	for (uint32_t i = 0; i < WINDOW; i++) {
		double rise = sin(M_PI * (i + 1) / 441);

		encoder->middle_window[i] = (float)(0.5 * (1 - cos(2 * M_PI * (i + 1) / (WINDOW + 1))));
		encoder->late_window[i] = (float)(i < 220 ? rise * rise : cos((i - 220) * M_PI / 40));
	}
	return encoder;
}

void ilbc_encoder_free(struct ilbc_encoder *encoder)
{
	free(encoder);
}

/* ---- prediction ---- */

static void analyse_window(const float *samples, const float *window, const float *before, float *ret_lsf)
{
	float windowed[WINDOW];

	for (uint32_t i = 0; i < WINDOW; i++)
		windowed[i] = samples[i] * window[i];
	if (!ilbc_lsf_of(windowed, WINDOW, ret_lsf))
		memcpy(ret_lsf, before, ILBC_ORDER * sizeof *before);
}

static void find_predictors(struct ilbc_encoder *encoder, struct work *work)
{
	const struct ilbc_mode *mode = encoder->mode;
	float found[2][ILBC_ORDER], read[2][ILBC_ORDER], lsf[ILBC_ORDER], a[COEFFICIENTS];
	uint32_t last = mode->predictors - 1;

	if (last == 1)
		analyse_window(encoder->history, encoder->middle_window, encoder->lsf, found[0]);
	analyse_window(encoder->history + HISTORY - WINDOW, encoder->late_window, last ? found[0] : encoder->lsf, found[last]);
	for (uint32_t i = 0; i <= last; i++) {
		ilbc_lsf_quantise(found[i], work->frame.lsf + 3 * i);
		ilbc_lsf_read(work->frame.lsf + 3 * i, read[i]);
		ilbc_lsf_spread(read[i]);
	}
	for (uint32_t block = 0; block < mode->blocks; block++) {
		ilbc_lsf_of_block(mode, block, encoder->read_lsf, read, lsf);
		ilbc_lsf_to_a(lsf, work->a[block]);
		ilbc_lsf_of_block(mode, block, encoder->lsf, found, lsf);
		ilbc_lsf_to_a(lsf, a);
		ilbc_widen(a, WEIGHT, work->weight[block]);
	}
	memcpy(encoder->lsf, found[last], sizeof encoder->lsf);
	memcpy(encoder->read_lsf, read[last], sizeof encoder->read_lsf);
}

/* ---- the start state ---- */

static float energy(const float *samples, uint32_t count)
{
	float sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += samples[i] * samples[i];
	return sum;
}

/* The two blocks with the most in them, rather in the middle; and there the end that has more. */
static void place_state(struct work *work)
{
	static const float likings[ILBC_MOST_BLOCKS - 1] = { 0.8F, 0.9F, 1, 0.9F, 0.8F };
	uint32_t pairs = work->mode->blocks - 1, shift = (ILBC_MOST_BLOCKS - 1 - pairs) / 2, diff = ILBC_STATE - work->mode->state_samples;
	float best = -1;

	for (uint32_t i = 0; i < pairs; i++) {
		float here = likings[i + shift] * energy(work->target + i * ILBC_BLOCK, ILBC_STATE);

		if (here <= best)
			continue;
		best = here;
		work->frame.start = i + 1;
	}
	const float *state = work->target + (work->frame.start - 1) * ILBC_BLOCK;
	work->frame.state_first = energy(state, work->mode->state_samples) > energy(state + diff, work->mode->state_samples);
}

static uint32_t nearest_power(float most)
{
	float wanted = log10f(fmaxf(most, 10));
	uint32_t nearest = 0;

	for (uint32_t i = 1; i < 64; i++)
		if (fabsf(ilbc_state_powers[i] - wanted) < fabsf(ilbc_state_powers[nearest] - wanted))
			nearest = i;
	return nearest;
}

static uint32_t nearest_level(float sample)
{
	uint32_t nearest = 0;

	for (uint32_t i = 1; i < 8; i++)
		if (fabsf((float)ilbc_state_levels[i] / 8192 - sample) < fabsf((float)ilbc_state_levels[nearest] / 8192 - sample))
			nearest = i;
	return nearest;
}

/* Quantises in the weighted domain: what each sample leaves behind is made good by those after it. The error that stays, as energy. */
static float quantise_state(struct work *work, const float *samples, float scale, uint32_t *ret_levels)
{
	uint32_t count = work->mode->state_samples, block = work->frame.start - 1;
	uint32_t turn = work->frame.state_first ? ILBC_BLOCK : count - ILBC_BLOCK; /* where the next block's weighting begins */
	float past_wanted[ILBC_ORDER] = { 0 }, past_made[ILBC_ORDER] = { 0 }, error = 0;

	for (uint32_t i = 0; i < count; i++) {
		const float *weight = work->weight[block + (i >= turn)];
		float sample = samples[i] * scale, wanted, before[ILBC_ORDER], rings, nothing = 0, made;

		ilbc_synthesise(weight, past_wanted, &sample, &wanted, 1);
		memcpy(before, past_made, sizeof before);
		ilbc_synthesise(weight, before, &nothing, &rings, 1);
		ret_levels[i] = nearest_level(wanted - rings);
		float level = (float)ilbc_state_levels[ret_levels[i]] / 8192;
		ilbc_synthesise(weight, past_made, &level, &made, 1);
		error += (wanted - made) * (wanted - made);
	}
	return error / (scale * scale);
}

/* The largest sample has a level at 4.5, beyond the last one, so finer steps and a cut peak often leave less error. */
static void encode_state(struct work *work)
{
	uint32_t count = work->mode->state_samples, begin = (work->frame.start - 1) * ILBC_BLOCK, levels[ILBC_STATE];
	float spread[ILBC_STATE], most = 0, least_error = INFINITY;

	begin += work->frame.state_first ? 0 : ILBC_STATE - count;
	memcpy(spread, work->target + begin, count * sizeof *spread);
	ilbc_state_spread(work->a[work->frame.start - 1], spread, count);
	for (uint32_t i = 0; i < count; i++)
		most = fmaxf(most, fabsf(spread[i]));
	uint32_t nearest = nearest_power(most);
	for (uint32_t power = nearest > FINER ? nearest - FINER : 0; power <= nearest; power++) {
		float error = quantise_state(work, spread, 4.5F / powf(10, ilbc_state_powers[power]), levels);

		if (error >= least_error)
			continue;
		least_error = error;
		work->frame.power = power;
		memcpy(work->frame.samples, levels, count * sizeof *levels);
	}
	ilbc_state_make(work->mode, &work->frame, work->a[work->frame.start - 1], work->made + begin);
}

/* ---- pieces ---- */

/* Eight sums side by side, which a compiler turns into vector instructions: most of an encoder's time is spent here. */
static float dot(const float *a, const float *b, uint32_t count)
{
	float sums[8] = { 0 }, sum = 0;
	uint32_t whole = count - count % 8;

	for (uint32_t i = 0; i < whole; i += 8)
		for (uint32_t k = 0; k < 8; k++)
			sums[k] += a[i + k] * b[i + k];
	for (uint32_t i = whole; i < count; i++)
		sum += a[i] * b[i];
	for (uint32_t k = 0; k < 8; k++)
		sum += sums[k];
	return sum;
}

struct search {
	uint32_t count, vector_count;
	float vectors[ILBC_MOST_VECTORS][ILBC_BLOCK], energies[ILBC_MOST_VECTORS];
	float left[ILBC_BLOCK]; /* of the target */
};

/* The second and third vector of the first block after the state have a bit less: frame.c leaves these out. */
static bool is_left_out(uint32_t index)
{
	return (index >= 44 && index < 108) || (index >= 172 && index < 236);
}

/* Gains rise with their index. */
static uint32_t nearest_gain(const float *gains, uint32_t count, float wanted)
{
	uint32_t above = 1;

	while (above < count - 1 && gains[above] < wanted)
		above++;
	return wanted - gains[above - 1] < gains[above] - wanted ? above - 1 : above;
}

/* The vector that takes most out of what is left, with the gain it would really have. */
static float search_stage(struct search *search, uint32_t stage, bool is_short, float before, uint32_t *ret_index, uint32_t *ret_gain)
{
	uint32_t count = 32u >> stage;
	float gains[32], most = -INFINITY;

	*ret_index = *ret_gain = 0;
	for (uint32_t i = 0; i < count; i++)
		gains[i] = ilbc_gain(stage, i, before);
	for (uint32_t v = 0; v < search->vector_count; v++) {
		if ((is_short && is_left_out(v)) || search->energies[v] <= 0)
			continue;
		float cross = dot(search->left, search->vectors[v], search->count);
		if (stage == 0 && cross <= 0)
			continue;
		uint32_t nearest = nearest_gain(gains, count, cross / search->energies[v]);
		float takes = gains[nearest] * (2 * cross - gains[nearest] * search->energies[v]);
		if (takes <= most)
			continue;
		most = takes;
		*ret_index = v;
		*ret_gain = nearest;
	}
	for (uint32_t i = 0; i < search->count; i++)
		search->left[i] -= gains[*ret_gain] * search->vectors[*ret_index][i];
	return gains[*ret_gain];
}

/* Sums of pieces are softer than what they stand for: the first gain is raised, and all others with it, as long as the sum stays below. */
static void raise_gain(struct ilbc_vectors *vectors, float wanted_energy, float made_energy)
{
	float first = ilbc_gain(0, vectors->gain[0], 1);
	uint32_t raised = vectors->gain[0];

	for (uint32_t i = raised + 1; i < 32; i++) {
		float gain = ilbc_gain(0, i, 1);

		if (gain >= 2 * first || made_energy * gain * gain >= wanted_energy * first * first)
			break;
		raised = i;
	}
	vectors->gain[0] = raised;
}

static void search_piece(struct search *search, const float *memory, uint32_t memory_samples, const float *target, const float *weight,
			 bool is_short, struct ilbc_vectors *ret_vectors)
{
	float line[ILBC_MEMORY + ILBC_BLOCK], expanded[ILBC_MEMORY], past[ILBC_ORDER] = { 0 }, gain = 1, made[ILBC_BLOCK];

	memcpy(line, memory, memory_samples * sizeof *line);
	memcpy(line + memory_samples, target, search->count * sizeof *line);
	ilbc_synthesise(weight, past, line, line, memory_samples + search->count);
	memcpy(search->left, line + memory_samples, search->count * sizeof *line);
	search->vector_count = ilbc_vector_count(memory_samples, search->count);
	ilbc_expand(line, memory_samples, expanded);
	for (uint32_t v = 0; v < search->vector_count; v++) {
		uint32_t half = search->vector_count / 2;

		ilbc_half_vector(v < half ? line : expanded, memory_samples, v % half, search->count, search->vectors[v]);
		search->energies[v] = dot(search->vectors[v], search->vectors[v], search->count);
	}
	for (uint32_t stage = 0; stage < ILBC_STAGES; stage++)
		gain = search_stage(search, stage, is_short && stage, gain, &ret_vectors->index[stage], &ret_vectors->gain[stage]);
	for (uint32_t i = 0; i < search->count; i++)
		made[i] = line[memory_samples + i] - search->left[i];
	raise_gain(ret_vectors, energy(line + memory_samples, search->count), energy(made, search->count));
}

static void fill(void *context, int32_t which, uint32_t at, bool backwards, const float *memory, uint32_t memory_samples, uint32_t count,
		 float *ret_samples)
{
	struct work *work = context;
	struct ilbc_vectors *vectors = which < 0 ? &work->frame.rest : &work->frame.block[which];
	struct search search;
	float target[ILBC_BLOCK];

	search.count = count;
	for (uint32_t i = 0; i < count; i++)
		target[i] = work->target[backwards ? at - i : at + i];
	search_piece(&search, memory, memory_samples, target, work->weight[at / ILBC_BLOCK], which == 0, vectors);
	ilbc_vectors_sum(vectors, memory, memory_samples, count, ret_samples);
}

/* ---- a frame ---- */

void ilbc_encode(struct ilbc_encoder *encoder, const int16_t *samples, uint8_t *ret_bytes)
{
	const struct ilbc_mode *mode = encoder->mode;
	struct work work = { .mode = mode };
	float *latest = encoder->history + HISTORY - mode->samples;

	memmove(encoder->history, encoder->history + mode->samples, (HISTORY - mode->samples) * sizeof *latest);
	for (uint32_t i = 0; i < mode->samples; i++)
		latest[i] = samples[i];
	ilbc_high_pass(&ilbc_input_filter, &encoder->high_pass, latest, mode->samples);
	find_predictors(encoder, &work);
	for (uint32_t block = 0; block < mode->blocks; block++)
		ilbc_analyse(work.a[block], encoder->past, latest + block * ILBC_BLOCK, work.target + block * ILBC_BLOCK, ILBC_BLOCK);
	place_state(&work);
	encode_state(&work);
	ilbc_around_state(mode, &work.frame, fill, &work, work.made);
	ilbc_frame_write(mode, &work.frame, ret_bytes);
}
