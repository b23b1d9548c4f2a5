/*
 * codec_check - a tone, a loud one and silence, there and back
 *
 * Each sound has an encoder and a decoder of its own. The tone is found in what comes back by projection, which minds neither delay nor phase;
 * what is left over is noise. The bounds are those of the worst codec there is (Speex at 8 kHz), for this is about libraries
 * that are broken, or not what they say, not about taste.
 */
#include "codec_check.h"
#include "resampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SOUNDS 3u
#define LASTS_MS 1800u
#define SETTLES_MS 600u /* not judged; the rest is a whole number of periods of both tones */
#define FULL_SCALE 32767.0
#define LEAST_SNR_DB 9.0
#define MOST_GAIN_DB 2.5
#define LEAST_LOUD_DB 8.0
#define MOST_SILENCE_DBFS (-50.0)

static const struct {
	double hz, dbfs;
} sounds[SOUNDS] = { { 1004, -12 }, { 400, 0 }, { 0, -120 } };

struct rtp_codec_check {
	struct rtp_coder encoders[SOUNDS], decoders[SOUNDS];
	struct rtp_codec_figures figures;
	uint32_t rate_hz, frame, count, made;
	double encoded_s, decoded_s;
	uint64_t packets, octets;
	int16_t heard[]; /* count */
};

/* ---- [loop] ---- */

/* It closes its coders as soon as it is over; until then the plugin waits. */
static void on_leaving(void *context)
{
	(void)context;
}

int rtp_codec_check_new(const struct core_codec *codec, struct rtp_codec_check **ret_check)
{
	const struct rtp_codec *known = rtp_codec_find(codec);
	uint32_t rate_hz = known ? known->row.rate_hz : 0, count = rate_hz / 1000 * LASTS_MS;
	struct rtp_codec_check *check = calloc(1, sizeof *check + (count + RTP_MOST_FRAME_SAMPLES) * sizeof check->heard[0]);
	int err = !known ? PBX_ENOENT : check ? PBX_OK : PBX_ENOMEM;

	if (err == PBX_OK) {
		check->rate_hz = rate_hz;
		check->count = count;
		check->figures.ptime_ms = rtp_codec_ptime(codec, 20);
		check->frame = rate_hz / 1000 * check->figures.ptime_ms;
	}
	for (uint32_t i = 0; i < SOUNDS && err == PBX_OK; i++) {
		err = rtp_coder_open(codec, true, check->figures.ptime_ms, on_leaving, NULL, &check->encoders[i]);
		if (err == PBX_OK)
			err = rtp_coder_open(codec, false, 0, on_leaving, NULL, &check->decoders[i]);
	}
	if (err != PBX_OK) {
		rtp_codec_check_free(check);
		return err;
	}
	*ret_check = check;
	return PBX_OK;
}

void rtp_codec_check_free(struct rtp_codec_check *check)
{
	if (!check)
		return;
	for (uint32_t i = 0; i < SOUNDS; i++) {
		rtp_coder_close(&check->encoders[i]);
		rtp_coder_close(&check->decoders[i]);
	}
	free(check);
}

const struct rtp_codec_figures *rtp_codec_check_figures(const struct rtp_codec_check *check)
{
	return &check->figures;
}

/* ---- [work] ---- */

static double cpu_s(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void say(const struct rtp_codec_check *check, uint32_t sound, uint32_t at, int16_t *ret_samples)
{
	double top = FULL_SCALE * pow(10, sounds[sound].dbfs / 20);

	for (uint32_t i = 0; i < check->frame; i++)
		ret_samples[i] = (int16_t)lrint(top * sin(2 * M_PI * sounds[sound].hz * (at + i) / check->rate_hz));
}

/* A packet there and back. False: the codec refuses what it has made itself. */
static bool pass_on(struct rtp_codec_check *check, uint32_t sound, uint32_t at)
{
	struct rtp_coder *encoder = &check->encoders[sound], *decoder = &check->decoders[sound];
	int16_t samples[RTP_MOST_FRAME_SAMPLES];
	uint8_t payload[PBX_CODEC_MOST_BYTES];
	int16_t *heard = check->heard + check->made;

	say(check, sound, at, samples);
	double began_s = cpu_s();
	int32_t bytes = encoder->row.encode(encoder->state, samples, check->frame, payload, sizeof payload);
	double encoded_s = cpu_s();
	int32_t got = bytes > 0 ? decoder->row.decode(decoder->state, payload, (uint32_t)bytes, heard, check->frame) : bytes;

	check->encoded_s += encoded_s - began_s;
	check->decoded_s += cpu_s() - encoded_s;
	check->packets++;
	check->octets += bytes > 0 ? (uint32_t)bytes : 0;
	for (uint32_t i = got > 0 ? (uint32_t)got : 0; i < check->frame; i++)
		heard[i] = 0; /* it describes silence, or sends nothing of it */
	check->made += check->frame;
	return got >= 0 && (uint32_t)got <= check->frame;
}

static bool hear(struct rtp_codec_check *check, uint32_t sound)
{
	check->made = 0;
	for (uint32_t at = 0; at + check->frame <= check->count; at += check->frame) {
		if (!pass_on(check, sound, at))
			return false;
	}
	return true;
}

static double power_db(double mean_square)
{
	return mean_square > 0 ? fmax(-120, 10 * log10(2 * mean_square / (FULL_SCALE * FULL_SCALE))) : -120;
}

/* Level of the tone, and how far what is not the tone lies below it. */
static void judge_tone(const struct rtp_codec_check *check, double hz, double *ret_dbfs, double *ret_snr_db)
{
	uint32_t from = check->rate_hz / 1000 * SETTLES_MS, count = check->rate_hz; /* a second */
	const int16_t *samples = check->heard + from;
	double real = 0, imaginary = 0, all = 0;

	for (uint32_t i = 0; i < count; i++) {
		real += samples[i] * cos(2 * M_PI * hz * i / check->rate_hz);
		imaginary += samples[i] * sin(2 * M_PI * hz * i / check->rate_hz);
		all += (double)samples[i] * samples[i];
	}
	double tone = 2 * (real * real + imaginary * imaginary) / count;

	*ret_dbfs = power_db(tone / count);
	*ret_snr_db = fmin(120, 10 * log10(fmax(tone, 1e-9) / fmax(all - tone, 1e-9)));
}

static double loudness(const struct rtp_codec_check *check)
{
	uint32_t from = check->rate_hz / 1000 * SETTLES_MS;
	double all = 0;

	for (uint32_t i = from; i < check->made; i++)
		all += (double)check->heard[i] * check->heard[i];
	return power_db(all / (check->made - from));
}

static void judge(struct rtp_codec_figures *figures)
{
	const char *reason = figures->snr_db < LEAST_SNR_DB              ? "a tone comes back as something else"
			     : fabs(figures->gain_db) > MOST_GAIN_DB     ? "a tone comes back at another loudness"
			     : figures->loud_db < LEAST_LOUD_DB          ? "a loud tone is torn"
			     : figures->silence_dbfs > MOST_SILENCE_DBFS ? "silence is not silent"
									 : "";

	(void)snprintf(figures->reason, sizeof figures->reason, "%s", reason);
	figures->passed = reason[0] == '\0';
}

void rtp_codec_check_run(void *job)
{
	struct rtp_codec_check *check = job;
	struct rtp_codec_figures *figures = &check->figures;
	double dbfs;

	if (!hear(check, 0)) {
		(void)snprintf(figures->reason, sizeof figures->reason, "it cannot decode what it has encoded");
		return;
	}
	judge_tone(check, sounds[0].hz, &dbfs, &figures->snr_db);
	figures->gain_db = dbfs - sounds[0].dbfs;
	figures->bytes = (uint32_t)(check->octets / check->packets);
	figures->encode_ms = check->encoded_s * 1e6 / LASTS_MS;
	figures->decode_ms = check->decoded_s * 1e6 / LASTS_MS;
	if (!hear(check, 1) || (judge_tone(check, sounds[1].hz, &dbfs, &figures->loud_db), !hear(check, 2))) {
		(void)snprintf(figures->reason, sizeof figures->reason, "it cannot decode what it has encoded");
		return;
	}
	figures->silence_dbfs = loudness(check);
	judge(figures);
}
