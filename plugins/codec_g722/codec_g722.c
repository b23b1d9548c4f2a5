/*
 * codec_g722 - wideband speech, 50 to 7,000 Hz, at the bit rate of G.711 (ITU-T G.722)
 *
 * Two samples of 16 kHz in an octet; the RTP clock counts 8,000 all the same, an error that RFC 3551 4.5.2 keeps for ever. spandsp
 * codes the two bands. They are joined here, since spandsp's own filter wraps round where it should clip. A mode of fewer bits leaves
 * the lowest ones of the lower band to other data, and is for peers that want it so: a decoder always reads all eight.
 */
#include <pbx/codec.h>
#include <spandsp.h>

#include <spandsp/expose.h> /* after it */
#include <stdlib.h>
#include <string.h>

struct settings {
	const char *bitrate;
};

struct codec_g722 {
	PBX_INSTANCE(struct settings);
	struct pbx_codecs offered; /* with us as self */
};

#define TAPS 12 /* of each half of the filter that joins the bands */

struct decoder {
	g722_decode_state_t *state;
	int history[2 * TAPS]; /* sums and differences of the bands, the newest last */
};

struct encoder {
	g722_encode_state_t *state;
	int spare_bits; /* of each octet, the lowest */
};

/* ---- states ---- */

static int bits_of(const struct codec_g722 *g722)
{
	return strcmp(g722->settings->bitrate, "48000") == 0 ? 6 : strcmp(g722->settings->bitrate, "56000") == 0 ? 7 : 8;
}

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	int bits = bits_of(self);
	struct encoder *encoder = calloc(1, sizeof *encoder);

	(void)codec, (void)wish;
	if (encoder)
		encoder->state = g722_encode_init(NULL, bits * 8000, 0);
	if (!encoder || !encoder->state) {
		free(encoder);
		return PBX_ENOMEM;
	}
	encoder->spare_bits = 8 - bits;
	*ret_encoder = encoder;
	return PBX_OK;
}

static void encoder_close(void *self)
{
	struct encoder *encoder = self;

	(void)g722_encode_free(encoder->state); /* it always answers 0 */
	free(encoder);
}

static void restart(void *self)
{
	struct decoder *decoder = self;

	(void)g722_decode_init(decoder->state, 64000, 0); /* in its place */
	decoder->state->itu_test_mode = 1;                /* both bands, not joined */
	memset(decoder->history, 0, sizeof decoder->history);
}

static void decoder_close(void *self)
{
	struct decoder *decoder = self;

	(void)g722_decode_free(decoder->state);
	free(decoder);
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	struct decoder *decoder = calloc(1, sizeof *decoder);

	(void)self, (void)codec, (void)wish;
	if (decoder)
		decoder->state = g722_decode_init(NULL, 64000, 0);
	if (!decoder || !decoder->state) {
		free(decoder);
		return PBX_ENOMEM;
	}
	restart(decoder);
	*ret_decoder = decoder;
	return PBX_OK;
}

/* ---- coding ---- */

static int32_t encode(void *self, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	struct encoder *encoder = self;

	if (count % 2 || count / 2 > size)
		return PBX_EINVAL;
	int32_t bytes = g722_encode(encoder->state, ret_payload, samples, (int)count);

	for (int32_t i = 0; i < bytes && encoder->spare_bits; i++)
		ret_payload[i] = (uint8_t)(ret_payload[i] << encoder->spare_bits);
	return bytes;
}

static int16_t clipped(int sample)
{
	return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

/* The receive quadrature mirror filter (G.722 4.4): two samples of the bands, as spandsp's test mode gives them, become two of sound. */
static void join_bands(struct decoder *decoder, int16_t *samples)
{
	static const int taps[TAPS] = { 3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11 };
	int lower = samples[0] >> 1, higher = samples[1] >> 1, first = 0, second = 0;
	int *history = decoder->history;

	memmove(history, history + 2, (2 * TAPS - 2) * sizeof *history);
	history[2 * TAPS - 2] = lower + higher;
	history[2 * TAPS - 1] = lower - higher;
	for (int i = 0; i < TAPS; i++) {
		first += history[2 * i + 1] * taps[TAPS - 1 - i];
		second += history[2 * i] * taps[i];
	}
	samples[0] = clipped(first >> 11);
	samples[1] = clipped(second >> 11);
}

static int32_t decode(void *self, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	struct decoder *decoder = self;

	if (bytes > size / 2)
		return PBX_EINVAL;
	int32_t count = g722_decode(decoder->state, ret_samples, payload, (int)bytes);

	for (int32_t at = 0; at + 1 < count; at += 2)
		join_bands(decoder, ret_samples + at);
	return count;
}

/* ---- the card ---- */

/* Equipment impairment of wideband by G.113 appendix IV. */
static const struct pbx_codec codecs[] = {
	{
		.name = "G722",
		.clock_hz = 8000,
		.rate_hz = 16000,
		.channels = 1,
		.payload_type = 9,
		.least_ptime_ms = 10,
		.usual_ptime_ms = 20,
		.most_ptime_ms = 60,
		.bits_per_s = 64000,
		.ie_tenths = 130,
		.bpl_tenths = 43,
		.encoder_open = encoder_open,
		.decoder_open = decoder_open,
		.encoder_close = encoder_close,
		.decoder_close = decoder_close,
		.encode = encode,
		.decode = decode,
		.restart = restart,
	},
};

static const void *g722_offer(void *self, const char *id)
{
	struct codec_g722 *g722 = self;

	(void)id;
	g722->offered = (struct pbx_codecs){ .header = PBX_HEADER(struct pbx_codecs), .self = self, .codecs = PBX_TABLE(codecs) };
	return &g722->offered;
}

static const struct pbx_setting settings[] = {
	PBX_CHOICE(struct settings, bitrate, .initial_text = "64000", .choices = PBX_CHOICES("64000", "56000", "48000"), .unit = "bit/s",
		   .help = "What new calls send; less than 64000 only for peers that put other data into the lowest bits of each octet"),
};

PBX_PLUGIN(codec_g722)
= {
	PBX_PLUGIN_HEADER,
	.name = "codec_g722",
	.version = "1.0.0",
	.summary = "G.722: wideband at 64 kbit/s",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct codec_g722),
	PBX_SETTINGS(struct settings, settings),
	.offer = g722_offer,
};
