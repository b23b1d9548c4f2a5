/* rtp/leveller.h - one loudness for a programme whose tunes were recorded at many. One thread at a time.
 *
 * It follows the mean power of the last few seconds, pauses apart, and turns the volume slowly towards the same level, as a listener
 * would: by at most 12 dB, upwards slowly, downwards faster, and at once where it would clip. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct rtp_leveller {
	float power; /* mean, of a full scale of 1; 0: not known yet */
	float gain;  /* 0: 1 */
};

void rtp_leveller_run(struct rtp_leveller *leveller, int16_t *samples, size_t count); /* frames of 20 ms */
