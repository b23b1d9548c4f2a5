/*
 * frail - a codec whose encoders break after a while and its decoders over one payload, for test_transcoding.py
 *
 * FRAIL/8000 is a sample's high octet. An encoder makes `frames` frames and nothing more for ever; a payload that begins with 0x80 cannot be decoded.
 */
#include <pbx/codec.h>
#include <stdlib.h>

#define BROKEN 0x80

struct settings {
	uint32_t frames;
};

struct frail {
	PBX_INSTANCE(struct settings);
	struct pbx_codecs offered; /* to whoever asks: its rows need us */
};

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	const struct frail *frail = self;
	uint32_t *left = malloc(sizeof *left);

	(void)codec, (void)wish;
	if (!left)
		return PBX_ENOMEM;
	*left = frail->settings->frames;
	*ret_encoder = left;
	return PBX_OK;
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	(void)codec, (void)wish;
	*ret_decoder = self;
	return PBX_OK;
}

static void decoder_close(void *decoder)
{
	(void)decoder;
}

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	uint32_t *left = encoder;

	if (*left == 0 || count > size)
		return PBX_EIO;
	--*left;
	for (uint32_t i = 0; i < count; i++)
		ret_payload[i] = (uint8_t)((uint16_t)samples[i] >> 8);
	return (int32_t)count;
}

static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	(void)decoder;
	if (bytes == 0 || bytes > size || payload[0] == BROKEN)
		return PBX_EINVAL;
	for (uint32_t i = 0; i < bytes; i++)
		ret_samples[i] = (int16_t)(uint16_t)(payload[i] << 8);
	return (int32_t)bytes;
}

static const struct pbx_codec rows[] = {
	{ .name = "FRAIL",
	  .clock_hz = 8000,
	  .rate_hz = 8000,
	  .channels = 1,
	  .payload_type = 98,
	  .least_ptime_ms = 10,
	  .usual_ptime_ms = 20,
	  .most_ptime_ms = 60,
	  .bits_per_s = 64000,
	  .encoder_open = encoder_open,
	  .decoder_open = decoder_open,
	  .encoder_close = free,
	  .decoder_close = decoder_close,
	  .encode = encode,
	  .decode = decode },
};

static const void *frail_offer(void *self, const char *id)
{
	struct frail *frail = self;

	(void)id;
	frail->offered = (struct pbx_codecs){ .header = PBX_HEADER(struct pbx_codecs), .self = self, .codecs = PBX_TABLE(rows) };
	return &frail->offered;
}

static const struct pbx_setting settings[] = {
	PBX_UINT(struct settings, frames, .initial = 100, .help = "That an encoder makes before it breaks"),
};

PBX_PLUGIN(frail)
= {
	PBX_PLUGIN_HEADER,
	.name = "frail",
	.version = "1.0.0",
	.summary = "A codec that breaks, for tests",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct frail),
	PBX_SETTINGS(struct settings, settings),
	.offer = frail_offer,
};
