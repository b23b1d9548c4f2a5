/* tests/plugins/sound.h - signals for tests of codecs, how well they came through, and other people's codecs to compare with
 *
 * Samples are signed 16 bit, mono. Other people's codecs are the programs ffmpeg, sox and flite of Debian; that one is missing fails the test. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void sound_tone(int16_t *samples, uint32_t count, uint32_t rate_hz, double hz, double dbfs); /* dbfs: of a full-scale sine */
void sound_noise(int16_t *samples, uint32_t count, double dbfs);                             /* the same noise each time */
/* A spoken sentence, made once a process; repeated when it is shorter. */
void sound_speech(int16_t *samples, uint32_t count, uint32_t rate_hz);
double sound_dbfs(const int16_t *samples, uint32_t count);

/* What of `out` is not `in`, in dB below it: `in` may have been delayed by up to most_lag samples and made louder or softer.
 * ret_lag, ret_gain_db may be NULL. The first skip samples of `in` are not looked at. */
double sound_snr(const int16_t *in, const int16_t *out, uint32_t count, uint32_t skip, uint32_t most_lag, uint32_t *ret_lag,
		 double *ret_gain_db);
/* What of `out` is not a tone of this frequency, in dB below it, whatever its phase; ret_gain_db (may be NULL): how much louder it is than
 * sent_dbfs. */
double sound_tone_snr(const int16_t *out, uint32_t count, uint32_t rate_hz, double hz, double sent_dbfs, double *ret_gain_db);
/* Frequency of the strongest tone within 10 Hz of near_hz, to 0.1 Hz. */
double sound_hz(const int16_t *samples, uint32_t count, uint32_t rate_hz, double near_hz);
/* Log-spectral distance in dB of frames of 32 ms, mean over those in which `in` says something. */
double sound_distance(const int16_t *in, const int16_t *out, uint32_t count, uint32_t rate_hz);
/* The longest run of samples that are exactly the same, in samples: a hole. */
uint32_t sound_hole(const int16_t *samples, uint32_t count);

/* `ffmpeg INPUT_OPTIONS -i FILE …` with these bytes as FILE: what it makes of them as samples of rate_hz. How many. */
uint32_t sound_ffmpeg_decodes(const char *input_options, const void *bytes, size_t size, uint32_t rate_hz, int16_t *ret_samples,
			      uint32_t most);
/* The other way: samples of rate_hz to a file as OUTPUT_OPTIONS tell. Its bytes, to be freed. */
void *sound_ffmpeg_encodes(const char *output_options, const int16_t *samples, uint32_t count, uint32_t rate_hz, size_t *ret_size);

/* An Ogg file (RFC 3533) that grows packet by packet: heads are the codec's two header packets. */
struct sound_ogg {
	uint8_t *bytes;
	size_t size;
	uint32_t pages;
};
void sound_ogg_add(struct sound_ogg *ogg, const void *packet, size_t size, uint64_t granule, bool last);
void sound_ogg_free(struct sound_ogg *ogg);
