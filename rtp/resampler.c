/*
 * resampler - speexdsp's, one for each pair of rates, made before they are needed
 *
 * A resampler that changes its rate allocates, so a worker is given one for each rate it may meet. The zeros at the beginning
 * are not skipped: they are five milliseconds of silence, and without them the first call would give less than was asked for.
 */
#include "resampler.h"

#include <pbx/abi.h>
#include <string.h>

#define QUALITY 5

static const uint32_t rates_hz[RTP_RATES] = { 8000, 16000, 24000, 32000, 48000 };

static uint32_t index_of(uint32_t rate_hz)
{
	uint32_t i = 0;

	while (i < RTP_RATES && rates_hz[i] != rate_hz)
		i++;
	return i;
}

uint32_t rtp_rate_bit(uint32_t rate_hz)
{
	uint32_t i = index_of(rate_hz);

	return i < RTP_RATES ? 1u << i : 0;
}

int rtp_resamplers_open(struct rtp_resamplers *resamplers, uint32_t rate_hz, bool from_it, uint32_t rates)
{
	memset(resamplers, 0, sizeof *resamplers);
	for (uint32_t i = 0; i < RTP_RATES; i++) {
		int err = 0;

		if (!(rates & 1u << i) || rates_hz[i] == rate_hz)
			continue;
		resamplers->by_rate[i] =
			speex_resampler_init(1, from_it ? rate_hz : rates_hz[i], from_it ? rates_hz[i] : rate_hz, QUALITY, &err);
		if (!resamplers->by_rate[i])
			return PBX_ENOMEM;
	}
	return PBX_OK;
}

void rtp_resamplers_close(struct rtp_resamplers *resamplers)
{
	for (uint32_t i = 0; i < RTP_RATES; i++) {
		if (resamplers->by_rate[i])
			speex_resampler_destroy(resamplers->by_rate[i]);
		resamplers->by_rate[i] = NULL;
	}
}

uint32_t rtp_resample(struct rtp_resamplers *resamplers, uint32_t other_hz, const int16_t *samples, uint32_t count, int16_t *ret_samples,
		      uint32_t size)
{
	uint32_t i = index_of(other_hz);
	spx_uint32_t in = count, out = size;

	if (i < RTP_RATES && resamplers->by_rate[i]) {
		(void)speex_resampler_process_int(resamplers->by_rate[i], 0, samples, &in, ret_samples, &out); /* fails on overlap alone */
		return out;
	}
	out = count < size ? count : size;
	memcpy(ret_samples, samples, out * sizeof *samples);
	return out;
}
