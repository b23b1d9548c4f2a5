/* tests/plugins/codec.h - a codec of a plugin under test, driven as a media worker would, beside sound.h's measures */
#pragma once
#include "fake.h"
#include "sound.h"
#include <pbx/codec.h>
#include <string.h>

struct codec {
	const struct pbx_codec *row;
	void *self;
};

/* The row of this name and rate of samples that a loaded plugin offers; fails the test when none does. */
struct codec codec_named(const char *name, uint32_t rate_hz);
bool codec_is_offered(const char *name, uint32_t rate_hz);
const char *codec_offer(const struct codec *codec); /* fmtp, good until the next call; NULL: it is not offered */
int codec_answer(const struct codec *codec, const char *remote, char ret_fmtp[PBX_CODEC_FMTP_BYTES]);
void *codec_encoder(const struct codec *codec, const char *remote_fmtp, uint32_t ptime_ms);
void *codec_decoder(const struct codec *codec, const char *local_fmtp);

/* Payloads of ptime_ms each of some sound. */
struct payloads {
	uint32_t count, ptime_ms;
	struct payload {
		int32_t bytes; /* 0: nothing was sent */
		uint8_t octets[PBX_CODEC_MOST_BYTES];
	} * items;
};
struct payloads codec_encode(const struct codec *codec, const char *remote_fmtp, uint32_t ptime_ms, const int16_t *samples, uint32_t count);
void payloads_free(struct payloads *payloads);
uint32_t payloads_bytes(const struct payloads *payloads);

/* Decodes them as they came; those for which lost(index) is true are concealed, or recovered from the next one. ret_recovered may be NULL.
 * Samples made. */
uint32_t codec_decode(const struct codec *codec, const char *local_fmtp, const struct payloads *payloads, bool (*lost)(uint32_t index),
		      int16_t *ret_samples, uint32_t size, uint32_t *ret_recovered);
/* There and back. */
uint32_t codec_round_trip(const struct codec *codec, const char *fmtp, uint32_t ptime_ms, const int16_t *samples, uint32_t count,
			  int16_t *ret_samples);
/* Of a tone at -12 dBFS, there and back: sound_tone_snr. */
double codec_tone_snr(const struct codec *codec, const char *fmtp, uint32_t ptime_ms, double hz, double *ret_gain_db);
/* The same with every packet time that negotiation could ask it for, 10 to 60 ms; each must come back as clean. */
void codec_speaks_at_every_ptime(const struct codec *codec, const char *fmtp, double hz, double least_snr_db);
/* Twenty thousand payloads that nobody made: nothing written beyond size, no sanitizer's word. */
void codec_survives_noise(const struct codec *codec, const char *fmtp);
