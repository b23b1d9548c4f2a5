/* tests/bench/coded.h - two seconds of something like a voice in a codec, to be sent again and again */
#pragma once
#include <core/media_desc.h>

#define CODED_PACKETS 100u
#define CODED_MOST_BYTES 700u

struct coded {
	struct core_codec codec;
	uint32_t ptime_ms, ticks; /* of a packet: what it lasts, and on RTP's clock */
	struct {
		uint32_t bytes; /* 0: the codec had nothing to send (DTX) */
		uint8_t octets[CODED_MOST_BYTES];
	} packets[CODED_PACKETS];
};

/* Packets of 20 ms, or as near to that as the codec has them. Exits when it cannot. */
void coded_make(struct coded *coded, const struct core_codec *codec);
/* Samples of that voice; at: where it is. */
void coded_voice(int16_t *ret_samples, uint32_t count, uint32_t rate_hz, uint64_t at);
