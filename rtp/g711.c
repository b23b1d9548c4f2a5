/*
 * g711 - ITU-T G.711 by table, the tables computed from the Recommendation's formulas
 *
 * Samples are 16 bits wide; the µ law's own 14 bits are the upper ones of these, the A law's 13 bits likewise. Encoding
 * goes by the Recommendation's decision values, half a step below and above what is decoded. All of them are multiples of 4
 * (µ) and 16 (A), so the table needs one entry for each such step and is still exact for each of the 65,536 inputs.
 */
#include "g711.h"

#include <stdbool.h>

#define MU_SHIFT 2
#define A_SHIFT 4
#define MU_STEPS (65536 >> MU_SHIFT)
#define A_STEPS (65536 >> A_SHIFT)

static int16_t decoded[RTP_LAWS][256];
static uint8_t mu_encoded[MU_STEPS], a_encoded[A_STEPS];
static uint8_t converted[RTP_LAWS][256];

/* G.711 table 2: sign, three bits of segment, four of step; all bits inverted on the line; bias 33 in 14 bits. */
static int mu_decode(uint8_t code)
{
	unsigned bits = (uint8_t)~code, segment = bits >> 4 & 7u, step = bits & 15u;
	int value = (int)(((step << 1) + 33u) << segment) - 33;

	return (bits & 0x80u ? -value : value) * (1 << MU_SHIFT);
}

/* G.711 table 1: even bits inverted on the line (0x55); sign bit set is positive. In steps of 8, which is half a decision step. */
static int a_decode(uint8_t code)
{
	unsigned bits = code ^ 0x55u, segment = bits >> 4 & 7u, step = bits & 15u;
	int value = segment ? (int)(((step << 1) + 33u) << (segment - 1)) : (int)((step << 1) + 1u);

	return (bits & 0x80u ? value : -value) * 8;
}

/* The codes of a law by rising value. The µ law has two zeros: the positive one (0xFF) stands for both. */
static int codes_in_order(uint32_t law, uint8_t ret_codes[256])
{
	int count = 0;

	for (int magnitude = 127; magnitude >= 0; magnitude--) {
		uint8_t code = (uint8_t)(law == RTP_LAW_MU ? ~(0x80 | magnitude) : magnitude ^ 0x55);

		if (law == RTP_LAW_A || magnitude > 0)
			ret_codes[count++] = code;
	}
	for (int magnitude = 0; magnitude < 128; magnitude++)
		ret_codes[count++] = (uint8_t)(law == RTP_LAW_MU ? ~magnitude : (0x80 | magnitude) ^ 0x55);
	return count;
}

static int half_step(uint32_t law, uint8_t code)
{
	unsigned segment = (law == RTP_LAW_MU ? (unsigned)(uint8_t)~code : code ^ 0x55u) >> 4 & 7u;

	return law == RTP_LAW_MU ? 4 << segment : 8 << (segment ? segment - 1 : 0);
}

/* The decision value between two neighbours, which belongs to the one further from zero: steps grow outwards. */
static int decision(uint32_t law, uint8_t lower, uint8_t upper)
{
	int above = decoded[law][upper];

	return above > 0 ? above - half_step(law, upper) : decoded[law][lower] + half_step(law, lower);
}

/* Walks up the inputs and the codes together. */
static void fill_encoder(uint32_t law, uint8_t *ret_table, int shift)
{
	uint8_t codes[256];
	int count = codes_in_order(law, codes), at = 0, half = 1 << (shift - 1);

	for (int step = 0; step < 65536 >> shift; step++) {
		int middle = (step << shift) - 32768 + half;

		while (at + 1 < count && middle > decision(law, codes[at], codes[at + 1]))
			at++;
		ret_table[step] = codes[at];
	}
}

void rtp_g711_init(void)
{
	static bool ready;

	if (ready)
		return;
	for (int code = 0; code < 256; code++) {
		decoded[RTP_LAW_MU][code] = (int16_t)mu_decode((uint8_t)code);
		decoded[RTP_LAW_A][code] = (int16_t)a_decode((uint8_t)code);
	}
	fill_encoder(RTP_LAW_MU, mu_encoded, MU_SHIFT);
	fill_encoder(RTP_LAW_A, a_encoded, A_SHIFT);
	for (int code = 0; code < 256; code++) {
		converted[RTP_LAW_MU][code] = rtp_g711_encode(RTP_LAW_A, decoded[RTP_LAW_MU][code]);
		converted[RTP_LAW_A][code] = rtp_g711_encode(RTP_LAW_MU, decoded[RTP_LAW_A][code]);
	}
	ready = true;
}

int16_t rtp_g711_decode(uint32_t law, uint8_t code)
{
	return decoded[law][code];
}

uint8_t rtp_g711_encode(uint32_t law, int16_t sample)
{
	unsigned input = (unsigned)(sample + 32768);

	return law == RTP_LAW_MU ? mu_encoded[input >> MU_SHIFT] : a_encoded[input >> A_SHIFT];
}

void rtp_g711_encode_all(uint32_t law, const int16_t *samples, uint8_t *ret_codes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ret_codes[i] = rtp_g711_encode(law, samples[i]);
}

void rtp_g711_convert(uint32_t from_law, uint8_t *codes, size_t count)
{
	const uint8_t *table = converted[from_law];

	for (size_t i = 0; i < count; i++)
		codes[i] = table[codes[i]];
}

uint8_t rtp_g711_silence(uint32_t law)
{
	return law == RTP_LAW_MU ? 0xff : 0xd5;
}
