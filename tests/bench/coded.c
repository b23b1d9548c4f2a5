#include "coded.h"
#include <math.h>
#include <rtp/codecs.h>
#include <rtp/resampler.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_A_SECOND 3
#define HARMONICS 24

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static double noise(void)
{
	static uint32_t chance = 1;

	chance = chance * 1664525u + 1013904223u;
	return (double)(chance >> 8) / 8388608.0 - 1;
}

/* A pitch that wanders and its harmonics under two formants, in syllables, with a breath of noise. */
void coded_voice(int16_t *ret_samples, uint32_t count, uint32_t rate_hz, uint64_t at)
{
	for (uint32_t i = 0; i < count; i++) {
		double t = (double)(at + i) / rate_hz, pitch_hz = 130, phase = 2 * M_PI * (pitch_hz * t + 3 * sin(2 * M_PI * 0.8 * t)),
		       sum = 0;
		double loud = pow(sin(M_PI * WORDS_A_SECOND * t), 2), first_hz = 500 + 200 * sin(2 * M_PI * 1.3 * t), second_hz = 1800;

		for (int n = 1; n <= HARMONICS; n++)
			sum += sin(n * phase) * (exp(-pow((n * pitch_hz - first_hz) / 250, 2)) +
						 0.4 * exp(-pow((n * pitch_hz - second_hz) / 400, 2)) + 0.02);
		ret_samples[i] = (int16_t)lrint(fmax(-32000, fmin(32000, 4000 * loud * sum + 60 * noise())));
	}
}

void coded_make(struct coded *coded, const struct core_codec *codec)
{
	static struct rtp_coder coder;
	int16_t samples[RTP_MOST_FRAME_SAMPLES];

	coded->codec = *codec;
	coded->ptime_ms = rtp_codec_ptime(codec, 20);
	coded->ticks = codec->clock_hz / 1000 * coded->ptime_ms;
	must(rtp_coder_open(codec, true, coded->ptime_ms, NULL, NULL, &coder) == PBX_OK, codec->name);
	uint32_t count = coder.row.rate_hz / 1000 * coded->ptime_ms;

	for (uint32_t i = 0; i < CODED_PACKETS; i++) {
		coded_voice(samples, count, coder.row.rate_hz, (uint64_t)i * count);
		int32_t bytes = coder.row.encode(coder.state, samples, count, coded->packets[i].octets, CODED_MOST_BYTES);

		must(bytes >= 0, codec->name);
		coded->packets[i].bytes = (uint32_t)bytes;
	}
	rtp_coder_close(&coder);
}
