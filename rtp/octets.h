/* rtp/octets.h - numbers in network byte order, read and written. [any] */
#pragma once
#include <stdint.h>

static inline uint16_t rtp_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t rtp_get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint8_t *rtp_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static inline uint8_t *rtp_put32(uint8_t *at, uint32_t value)
{
	return rtp_put16(rtp_put16(at, (uint16_t)(value >> 16)), (uint16_t)value);
}
