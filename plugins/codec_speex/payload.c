/* plugins/codec_speex/payload.c - walks over the frames of a Speex payload (RFC 5574 3.1; the Speex manual, sections 8 and 9)
 *
 * A frame is a zero, four bits of sub-mode and as many bits as that has; in wideband a layer follows, a one, three bits of sub-mode and its
 * bits, and in ultra-wideband a second. Messages between encoder and decoder stand between frames. Behind the last one come a zero and ones to the
 * end of the octet, or the sub-mode that ends a stream. */
#include "payload.h"
#include <stdbool.h>

#define MODE_MESSAGE 14u
#define MODE_USER_MESSAGE 13u
#define MODE_END 15u
#define MOST_LAYERS 2u
#define LEAST_BITS 5u /* of anything that is not padding */

/* Whole frames with their first five bits (four of a layer); 0: there is no such sub-mode. */
static const uint16_t frame_bits[16] = { 5, 43, 119, 160, 220, 300, 364, 492, 79 };
static const uint16_t layer_bits[8] = { 4, 36, 112, 192, 352 };

struct bits {
	const uint8_t *octets;
	uint32_t at, count;
};

static uint32_t left(const struct bits *bits)
{
	return bits->count - bits->at;
}

/* The next ones, without going there. As many as are left at most. */
static uint32_t peek(const struct bits *bits, uint32_t width)
{
	uint32_t value = 0;

	for (uint32_t i = bits->at; i < bits->at + width; i++)
		value = value << 1 | ((uint32_t)bits->octets[i / 8] >> (7 - i % 8) & 1u);
	return value;
}

static bool skip(struct bits *bits, uint32_t width)
{
	if (width > left(bits))
		return false;
	bits->at += width;
	return true;
}

static bool skip_message(struct bits *bits)
{
	static const uint8_t widths[16] = { 1, 1, 4, 4, 4, 4, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64 };

	if (left(bits) < 9)
		return false;
	uint32_t kind = peek(bits, 9) & 15u;
	return skip(bits, 9u + widths[kind]);
}

static bool skip_user_message(struct bits *bits)
{
	if (left(bits) < 9)
		return false;
	uint32_t octets = peek(bits, 9) & 15u;
	return skip(bits, 9u + 5u + 8u * octets);
}

/* A decoder skips layers above its own, but fails over an empty one (libspeex 1.2.1 goes back to its beginning). The topmost has one sub-mode. */
static bool can_be_read(uint32_t layer, uint32_t mode, uint32_t layers)
{
	return layer >= layers ? mode > 0 : layer == 0 || mode <= 1;
}

static bool skip_layers(struct bits *bits, uint32_t layers)
{
	for (uint32_t layer = 0; layer < MOST_LAYERS && left(bits) >= 4 && peek(bits, 1); layer++) {
		uint32_t mode = peek(bits, 4) & 7u;

		if (!layer_bits[mode] || !can_be_read(layer, mode, layers) || !skip(bits, layer_bits[mode]))
			return false;
	}
	return true;
}

static bool skip_frame(struct bits *bits, uint32_t mode, uint32_t layers)
{
	return frame_bits[mode] && skip(bits, frame_bits[mode]) && skip_layers(bits, layers);
}

int32_t speex_payload_frames(const uint8_t *payload, uint32_t bytes, uint32_t layers)
{
	struct bits bits = { payload, 0, bytes * 8 };
	int32_t frames = 0;

	while (left(&bits) >= LEAST_BITS) {
		uint32_t mode = peek(&bits, LEAST_BITS);

		if (mode == MODE_END)
			break;
		if (mode > MODE_END) /* a layer, and nothing below it */
			return -1;
		bool fine = mode == MODE_MESSAGE        ? skip_message(&bits)
			    : mode == MODE_USER_MESSAGE ? skip_user_message(&bits)
							: skip_frame(&bits, mode, layers);
		if (!fine)
			return -1;
		frames += mode < MODE_USER_MESSAGE;
	}
	return frames ? frames : -1;
}

uint32_t speex_payload_mode(const uint8_t *payload)
{
	return payload[0] >> 3 & 15u;
}
