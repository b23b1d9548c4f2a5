/* rtp/resampler.h - between the rates that samples come in, prepared on the loop for those that will be asked for
 *
 * Quality 5 of speexdsp: for what is heard live. Ten milliseconds in are exactly ten milliseconds out, from the first call on. */
#pragma once
#include <speex/speex_resampler.h>
#include <stdbool.h>
#include <stdint.h>

#define RTP_MOST_RATE_HZ 48000u
#define RTP_RATES 5u
#define RTP_MOST_FRAME_SAMPLES (RTP_MOST_RATE_HZ / 1000u * 120u) /* PBX_CODEC_MOST_PTIME_MS at the highest rate */

/* One bit for each rate there is; 0: no rate of ours. [any] */
uint32_t rtp_rate_bit(uint32_t rate_hz);

/* From (or to) one rate, to (or from) several others. */
struct rtp_resamplers {
	SpeexResamplerState *by_rate[RTP_RATES];
};

/* For the rates whose bits are set, without rate_hz itself. PBX_OK, PBX_ENOMEM: what was made is freed by close all the same. [loop] */
int rtp_resamplers_open(struct rtp_resamplers *resamplers, uint32_t rate_hz, bool from_it, uint32_t rates);
void rtp_resamplers_close(struct rtp_resamplers *resamplers); /* [loop] */
/* To or from other_hz, which must be rate_hz or have been asked for. Samples written. [media] */
uint32_t rtp_resample(struct rtp_resamplers *resamplers, uint32_t other_hz, const int16_t *samples, uint32_t count, int16_t *ret_samples,
		      uint32_t size);
