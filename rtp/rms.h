/* rtp/rms.h - how loud samples are, as the root of their mean square. Pure. [any] */
#pragma once
#include <math.h>
#include <stdint.h>

#define RTP_RMS_SUMS 8u

/* Eight sums side by side: one would have each sample wait for the one before it, 0.4 us for a frame of 16 kHz. 0 for no samples. */
static inline float rtp_rms(const int16_t *samples, uint32_t count)
{
	float sums[RTP_RMS_SUMS] = { 0 }, sum = 0;
	uint32_t i = 0;

	for (; i + RTP_RMS_SUMS <= count; i += RTP_RMS_SUMS)
		for (uint32_t k = 0; k < RTP_RMS_SUMS; k++)
			sums[k] += (float)samples[i + k] * (float)samples[i + k];
	for (; i < count; i++)
		sum += (float)samples[i] * (float)samples[i];
	for (uint32_t k = 0; k < RTP_RMS_SUMS; k++)
		sum += sums[k];
	return sqrtf(sum / (float)(count ? count : 1));
}
