/*
 * codecs_own - the codecs that need no library: G.711 in both laws and L16, as rows like those of any plugin
 *
 * They have no state. L16 is RFC 3551's, in network byte order, mono.
 */
#include "codecs.h"
#include "g711.h"

static const uint32_t laws[RTP_LAWS] = { [RTP_LAW_MU] = RTP_LAW_MU, [RTP_LAW_A] = RTP_LAW_A };

/* The state is the row's context: which law it is. */
static int own_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_state)
{
	(void)self, (void)wish;
	*ret_state = (void *)(uintptr_t)codec->context;
	return PBX_OK;
}

static void own_close(void *state)
{
	(void)state;
}

static int32_t g711_encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	const uint32_t *law = encoder;

	if (count > size)
		return PBX_EINVAL;
	rtp_g711_encode_all(*law, samples, ret_payload, count);
	return (int32_t)count;
}

static int32_t g711_decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	const uint32_t *law = decoder;

	if (bytes > size)
		return PBX_EINVAL;
	for (uint32_t i = 0; i < bytes; i++)
		ret_samples[i] = rtp_g711_decode(*law, payload[i]);
	return (int32_t)bytes;
}

static int32_t l16_encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	(void)encoder;
	if (count > size / 2)
		return PBX_EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t sample = (uint16_t)samples[i];

		ret_payload[2 * i] = (uint8_t)(sample >> 8);
		ret_payload[2 * i + 1] = (uint8_t)sample;
	}
	return (int32_t)(2 * count);
}

static int32_t l16_decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	uint32_t count = bytes / 2;

	(void)decoder;
	if (bytes % 2 || count > size)
		return PBX_EINVAL;
	for (uint32_t i = 0; i < count; i++)
		ret_samples[i] = (int16_t)(payload[2 * i] << 8 | payload[2 * i + 1]);
	return (int32_t)count;
}

/* Impairment by G.113 appendix I; its 25.1 presumes concealment like ours. */
#define OWN(encoding, rate, type, most_ms, bits, bpl, encoder, decoder, law)                                                               \
	{                                                                                                                                  \
		.name = (encoding), .clock_hz = (rate), .rate_hz = (rate), .channels = 1, .payload_type = (type),                          \
		.flags = PBX_CODEC_STATELESS, .least_ptime_ms = 10, .usual_ptime_ms = 20, .most_ptime_ms = (most_ms),                      \
		.bits_per_s = (bits), .ie_tenths = 0, .bpl_tenths = (bpl), .context = (law), .encoder_open = own_open,                     \
		.decoder_open = own_open, .encoder_close = own_close, .decoder_close = own_close, .encode = (encoder), .decode = (decoder) \
	}

static const struct pbx_codec rows[] = {
	OWN("PCMA", 8000, 8, 100, 64000, 251, g711_encode, g711_decode, &laws[RTP_LAW_A]),
	OWN("PCMU", 8000, 0, 100, 64000, 251, g711_encode, g711_decode, &laws[RTP_LAW_MU]),
	OWN("L16", 16000, 117, 40, 256000, 43, l16_encode, l16_decode, NULL),
	OWN("L16", 8000, 118, 100, 128000, 43, l16_encode, l16_decode, NULL),
};

const struct pbx_codecs rtp_own_codecs = { .header = PBX_HEADER(struct pbx_codecs), .codecs = PBX_TABLE(rows) };
