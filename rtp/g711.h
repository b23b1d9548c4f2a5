/* rtp/g711.h - the two laws of G.711, µ (PCMU) and A (PCMA). [any] once rtp_g711_init has run. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define RTP_LAW_MU 0u
#define RTP_LAW_A 1u
#define RTP_LAWS 2u

void rtp_g711_init(void); /* before any other thread is started; running it again changes nothing */

int16_t rtp_g711_decode(uint32_t law, uint8_t code);
uint8_t rtp_g711_encode(uint32_t law, int16_t sample);
void rtp_g711_encode_all(uint32_t law, const int16_t *samples, uint8_t *ret_codes, size_t count);
/* Turns codes of one law into the other's, in place. */
void rtp_g711_convert(uint32_t from_law, uint8_t *codes, size_t count);
uint8_t rtp_g711_silence(uint32_t law);
