/*
 * codec_gsm - GSM full rate (GSM 06.10, RFC 3551 4.5.8) for softphones, IAX-era gateways and mobile networks' edges
 *
 * 20 ms of speech in 33 octets, any number of frames in a packet. libgsm does the work; the ear conceals what is lost.
 */
#include <gsm.h>
#include <pbx/codec.h>
#include <string.h>

#define FRAME_SAMPLES 160u
#define FRAME_BYTES 33u
#define SIGNATURE 0xd0u /* in the upper half of each frame's first octet */

struct codec_gsm {
	PBX_INSTANCE(void);
};

/* ---- states ---- */

static int coder_open(void **ret_coder)
{
	gsm coder = gsm_create();

	if (!coder)
		return PBX_ENOMEM;
	*ret_coder = coder;
	return PBX_OK;
}

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	(void)self, (void)codec;
	return wish->ptime_ms && wish->ptime_ms % 20 == 0 ? coder_open(ret_encoder) : PBX_ENOTSUP;
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	(void)self, (void)codec, (void)wish;
	return coder_open(ret_decoder);
}

static void coder_close(void *coder)
{
	gsm_destroy(coder);
}

/* ---- coding: libgsm takes what it only reads by pointers to what may be written, so it gets copies ---- */

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	uint32_t frames = count / FRAME_SAMPLES;

	if (!frames || count % FRAME_SAMPLES || frames * FRAME_BYTES > size)
		return -1;
	for (uint32_t i = 0; i < frames; i++) {
		gsm_signal frame[FRAME_SAMPLES];

		memcpy(frame, samples + i * FRAME_SAMPLES, sizeof frame);
		gsm_encode(encoder, frame, ret_payload + i * FRAME_BYTES);
	}
	return (int32_t)(frames * FRAME_BYTES);
}

static bool is_speech(const uint8_t *payload, uint32_t bytes)
{
	if (!bytes || bytes % FRAME_BYTES)
		return false;
	for (uint32_t at = 0; at < bytes; at += FRAME_BYTES)
		if ((payload[at] & 0xf0u) != SIGNATURE)
			return false;
	return true;
}

static uint32_t duration(const struct pbx_codec *codec, const uint8_t *payload, uint32_t bytes)
{
	(void)codec;
	return is_speech(payload, bytes) ? bytes / FRAME_BYTES * FRAME_SAMPLES : 0;
}

static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	uint32_t frames = bytes / FRAME_BYTES;

	if (!is_speech(payload, bytes) || frames * FRAME_SAMPLES > size)
		return -1;
	for (uint32_t i = 0; i < frames; i++) {
		gsm_frame frame;

		memcpy(frame, payload + i * FRAME_BYTES, sizeof frame);
		if (gsm_decode(decoder, frame, ret_samples + i * FRAME_SAMPLES) != 0)
			return -1;
	}
	return (int32_t)(frames * FRAME_SAMPLES);
}

/* ---- the card ---- */

static const struct pbx_codec codecs[] = {
	{
		.name = "GSM",
		.clock_hz = 8000,
		.rate_hz = 8000,
		.channels = 1,
		.payload_type = 3,
		.frame_us = 20000,
		.least_ptime_ms = 20,
		.usual_ptime_ms = 20,
		.most_ptime_ms = 60,
		.bits_per_s = 13200,
		.ie_tenths = 200,
		.bpl_tenths = 100,
		.encoder_open = encoder_open,
		.decoder_open = decoder_open,
		.encoder_close = coder_close,
		.decoder_close = coder_close,
		.encode = encode,
		.decode = decode,
		.duration = duration,
	},
};
static const struct pbx_codecs offered = { .header = PBX_HEADER(struct pbx_codecs), .codecs = PBX_TABLE(codecs) };

static const void *gsm_offer(void *self, const char *id)
{
	(void)self, (void)id;
	return &offered;
}

PBX_PLUGIN(codec_gsm)
= {
	PBX_PLUGIN_HEADER,
	.name = "codec_gsm",
	.version = "1.0.0",
	.summary = "GSM full rate: 13 kbit/s",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct codec_gsm),
	.offer = gsm_offer,
};
