/* rtp/pcm.h - decoded sound as its codec gives it: interleaved frames at a rate of their own. One thread at a time.
 *
 * Two things make such a sound: a file (decoder.c, by libsndfile) and a stream from the network (live.c). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_PCM_LEAST_HZ 4000u
#define RTP_PCM_MOST_HZ 192000u
#define RTP_PCM_MOST_CHANNELS 8u

struct rtp_pcm {
	uint32_t rate_hz, channels;
	/* Up to that many frames of `channels` values between -1 and 1. 0: the end, or from here on rate_hz and channels are others. */
	size_t (*read)(struct rtp_pcm *pcm, float *ret_frames, size_t frames);
	void (*close)(struct rtp_pcm *pcm); /* frees it */
	bool changed;                       /* read has ended because rate or channels did: go on with a fresh decoder */
};
