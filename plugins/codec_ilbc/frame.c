/* plugins/codec_ilbc/frame.c - the order of bits in a frame (RFC 3951 3.8)
 *
 * Bits come in three classes, those that matter most first, so that a network may protect them better. Each parameter says how many of its bits,
 * from the top, are in each class; within a class parameters keep their order. */
#include "ilbc.h"
#include <string.h>

const struct ilbc_mode ilbc_20 = { .ms = 20, .samples = 160, .bytes = 38, .blocks = 4, .state_samples = 57, .predictors = 1 };
const struct ilbc_mode ilbc_30 = { .ms = 30, .samples = 240, .bytes = 50, .blocks = 6, .state_samples = 58, .predictors = 2 };

#define CLASSES 3u

struct split {
	uint8_t bits[CLASSES];
};

struct layout {
	struct split lsf[6], start, state_first, power, sample;
	struct split rest_index[ILBC_STAGES], rest_gain[ILBC_STAGES];
	struct split index[ILBC_MOST_BLOCKS - 2][ILBC_STAGES], gain[ILBC_MOST_BLOCKS - 2][ILBC_STAGES];
};

/* clang-format off */
static const struct layout layout_20 = {
	.lsf = { { { 6, 0, 0 } }, { { 7, 0, 0 } }, { { 7, 0, 0 } } },
	.start = { { 2, 0, 0 } }, .state_first = { { 1, 0, 0 } }, .power = { { 6, 0, 0 } }, .sample = { { 0, 1, 2 } },
	.rest_index = { { { 6, 0, 1 } }, { { 0, 0, 7 } }, { { 0, 0, 7 } } },
	.rest_gain = { { { 2, 0, 3 } }, { { 1, 1, 2 } }, { { 0, 0, 3 } } },
	.index = { { { { 7, 0, 1 } }, { { 0, 0, 7 } }, { { 0, 0, 7 } } }, { { { 0, 0, 8 } }, { { 0, 0, 8 } }, { { 0, 0, 8 } } } },
	.gain = { { { { 1, 2, 2 } }, { { 1, 1, 2 } }, { { 0, 0, 3 } } }, { { { 1, 1, 3 } }, { { 0, 2, 2 } }, { { 0, 0, 3 } } } },
};
static const struct layout layout_30 = {
	.lsf = { { { 6, 0, 0 } }, { { 7, 0, 0 } }, { { 7, 0, 0 } }, { { 6, 0, 0 } }, { { 7, 0, 0 } }, { { 7, 0, 0 } } },
	.start = { { 3, 0, 0 } }, .state_first = { { 1, 0, 0 } }, .power = { { 6, 0, 0 } }, .sample = { { 0, 1, 2 } },
	.rest_index = { { { 4, 2, 1 } }, { { 0, 0, 7 } }, { { 0, 0, 7 } } },
	.rest_gain = { { { 1, 1, 3 } }, { { 1, 1, 2 } }, { { 0, 0, 3 } } },
	.index = { { { { 6, 1, 1 } }, { { 0, 0, 7 } }, { { 0, 0, 7 } } }, { { { 0, 7, 1 } }, { { 0, 0, 8 } }, { { 0, 0, 8 } } },
		   { { { 0, 7, 1 } }, { { 0, 0, 8 } }, { { 0, 0, 8 } } }, { { { 0, 7, 1 } }, { { 0, 0, 8 } }, { { 0, 0, 8 } } } },
	.gain = { { { { 1, 2, 2 } }, { { 1, 2, 1 } }, { { 0, 0, 3 } } }, { { { 0, 2, 3 } }, { { 0, 2, 2 } }, { { 0, 0, 3 } } },
		  { { { 0, 1, 4 } }, { { 0, 1, 3 } }, { { 0, 0, 3 } } }, { { { 0, 1, 4 } }, { { 0, 1, 3 } }, { { 0, 0, 3 } } } },
};
/* clang-format on */

struct bits {
	uint8_t *octets;
	uint32_t at;
};

typedef void (*visit_fn)(struct bits *bits, uint32_t *value, uint32_t width, uint32_t below);

static void write_bits(struct bits *bits, uint32_t *value, uint32_t width, uint32_t below)
{
	for (uint32_t i = width; i-- > 0; bits->at++)
		bits->octets[bits->at / 8] |= (uint8_t)((*value >> (below + i) & 1u) << (7 - bits->at % 8));
}

static void read_bits(struct bits *bits, uint32_t *value, uint32_t width, uint32_t below)
{
	for (uint32_t i = width; i-- > 0; bits->at++)
		*value |= ((uint32_t)bits->octets[bits->at / 8] >> (7 - bits->at % 8) & 1u) << (below + i);
}

static void visit(visit_fn fn, struct bits *bits, const struct split *split, uint32_t class_, uint32_t *value)
{
	uint32_t below = 0;

	for (uint32_t later = class_ + 1; later < CLASSES; later++)
		below += split->bits[later];
	fn(bits, value, split->bits[class_], below);
}

static void visit_stages(visit_fn fn, struct bits *bits, const struct split *splits, uint32_t class_, uint32_t *values)
{
	for (uint32_t stage = 0; stage < ILBC_STAGES; stage++)
		visit(fn, bits, &splits[stage], class_, &values[stage]);
}

static void visit_class(visit_fn fn, const struct ilbc_mode *mode, struct bits *bits, uint32_t class_, struct ilbc_frame *frame)
{
	const struct layout *layout = mode == &ilbc_20 ? &layout_20 : &layout_30;

	for (uint32_t i = 0; i < 3 * mode->predictors; i++)
		visit(fn, bits, &layout->lsf[i], class_, &frame->lsf[i]);
	visit(fn, bits, &layout->start, class_, &frame->start);
	visit(fn, bits, &layout->state_first, class_, &frame->state_first);
	visit(fn, bits, &layout->power, class_, &frame->power);
	for (uint32_t i = 0; i < mode->state_samples; i++)
		visit(fn, bits, &layout->sample, class_, &frame->samples[i]);
	visit_stages(fn, bits, layout->rest_index, class_, frame->rest.index);
	visit_stages(fn, bits, layout->rest_gain, class_, frame->rest.gain);
	for (uint32_t block = 0; block < mode->blocks - 2; block++)
		visit_stages(fn, bits, layout->index[block], class_, frame->block[block].index);
	for (uint32_t block = 0; block < mode->blocks - 2; block++)
		visit_stages(fn, bits, layout->gain[block], class_, frame->block[block].gain);
}

static void visit_frame(visit_fn fn, const struct ilbc_mode *mode, uint8_t *octets, struct ilbc_frame *frame)
{
	struct bits bits = { octets, 0 };

	for (uint32_t class_ = 0; class_ < CLASSES; class_++)
		visit_class(fn, mode, &bits, class_, frame);
	fn(&bits, &frame->empty, 1, 0);
}

/* The second and third vector of the first block have seven bits: the vectors far back in time are left out. */
static uint32_t short_index(uint32_t index)
{
	return index >= 236 ? index - 128 : index >= 108 ? index - 64 : index;
}

static uint32_t long_index(uint32_t index)
{
	return index >= 108 ? index + 128 : index >= 44 ? index + 64 : index;
}

void ilbc_frame_write(const struct ilbc_mode *mode, const struct ilbc_frame *frame, uint8_t *ret_bytes)
{
	struct ilbc_frame written = *frame;

	for (uint32_t stage = 1; stage < ILBC_STAGES; stage++)
		written.block[0].index[stage] = short_index(frame->block[0].index[stage]);
	memset(ret_bytes, 0, mode->bytes);
	visit_frame(write_bits, mode, ret_bytes, &written);
}

bool ilbc_frame_read(const struct ilbc_mode *mode, const uint8_t *bytes, struct ilbc_frame *ret_frame)
{
	uint8_t octets[ILBC_MOST_BYTES];
	struct ilbc_frame frame = { .start = 0 };

	memcpy(octets, bytes, mode->bytes);
	visit_frame(read_bits, mode, octets, &frame);
	for (uint32_t stage = 1; stage < ILBC_STAGES; stage++)
		frame.block[0].index[stage] = long_index(frame.block[0].index[stage]);
	if (frame.empty || frame.start < 1 || frame.start > mode->blocks - 1)
		return false;
	*ret_frame = frame;
	return true;
}
