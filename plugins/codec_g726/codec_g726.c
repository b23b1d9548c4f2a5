/*
 * codec_g726 - ADPCM at 16, 24, 32 and 40 kbit/s (ITU-T G.726) for DECT bases, older gateways and thin links
 *
 * Two families have the same codes and pack them differently: G726-NN has the first code in the low bits of an octet (RFC 3551 4.5.4), AAL2-G726-NN
 * in the high ones (I.366.2 annex E). They are codecs of their own; only some phones say the one and mean the other. The arithmetic is spandsp's.
 * A leg on µ-law or A-law may be coded without leaving that law: then going through G.726 again and again changes nothing more.
 */
#include <pbx/codec.h>
#define SPANDSP_EXPOSE_INTERNAL_STRUCTURES
#include <spandsp.h>
#include <stdlib.h>
#include <string.h>

struct settings {
	const char *law;
	bool all_aal2;
};

#define CODECS 8u

struct codec_g726 {
	PBX_INSTANCE(struct settings);
	struct pbx_codec codecs[CODECS];
	struct pbx_codecs offers;
};

struct kind {
	const char *name;
	uint32_t payload_type, bits, ie_tenths;
	bool aal2;
};

static const struct kind kinds[CODECS] = {
	{ "G726-32", 2, 4, 70, false },        { "G726-40", 114, 5, 20, false },      { "G726-24", 113, 3, 250, false },
	{ "G726-16", 112, 2, 500, false },     { "AAL2-G726-32", 115, 4, 70, true },  { "AAL2-G726-40", 116, 5, 20, true },
	{ "AAL2-G726-24", 117, 3, 250, true }, { "AAL2-G726-16", 118, 2, 500, true },
};

#define CODES 8u /* of them make whole octets at every rate: as many octets as a code has bits */
#define MOST_SAMPLES (8u * PBX_CODEC_MOST_PTIME_MS)

/* One direction of a stream. */
struct adpcm {
	g726_state_t *state;
	uint32_t bits;
	int packing; /* G726_PACKING_… */
	bool left;   /* the first code is in the high bits */
	int law;     /* G726_ENCODING_… of what goes in or comes out */
};

/* ---- states ---- */

static int law_of(const char *name)
{
	return !strcmp(name, "ulaw") ? G726_ENCODING_ULAW : !strcmp(name, "alaw") ? G726_ENCODING_ALAW : G726_ENCODING_LINEAR;
}

static int adpcm_open(void *self, const struct pbx_codec *codec, bool decodes, void **ret_adpcm)
{
	const struct settings *settings = ((const struct codec_g726 *)self)->settings;
	const struct kind *kind = codec->context;
	bool aal2 = kind->aal2 || settings->all_aal2;
	struct adpcm *adpcm = calloc(1, sizeof *adpcm);

	if (!adpcm)
		return PBX_ENOMEM;
	adpcm->bits = kind->bits;
	adpcm->law = law_of(settings->law);
	adpcm->left = aal2;
	adpcm->packing = decodes && adpcm->law == G726_ENCODING_LINEAR ? G726_PACKING_NONE : aal2 ? G726_PACKING_LEFT : G726_PACKING_RIGHT;
	adpcm->state = g726_init(NULL, (int)kind->bits * 8000, adpcm->law, adpcm->packing);
	if (!adpcm->state) {
		free(adpcm);
		return PBX_ENOMEM;
	}
	*ret_adpcm = adpcm;
	return PBX_OK;
}

static void adpcm_close(void *coder)
{
	struct adpcm *adpcm = coder;

	g726_free(adpcm->state);
	free(adpcm);
}

/* spandsp sets up a state that is there already without asking for memory. */
static void restart(void *decoder)
{
	struct adpcm *adpcm = decoder;

	(void)g726_init(adpcm->state, (int)adpcm->bits * 8000, adpcm->law, adpcm->packing);
}

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	if (wish->ptime_ms < codec->least_ptime_ms || wish->ptime_ms > codec->most_ptime_ms)
		return PBX_ENOTSUP;
	return adpcm_open(self, codec, false, ret_encoder);
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	(void)wish;
	return adpcm_open(self, codec, true, ret_decoder);
}

/* ---- coding ---- */

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	struct adpcm *adpcm = encoder;
	union {
		int16_t samples[MOST_SAMPLES / 2]; /* spandsp takes octets of a law by the pointer it takes samples by */
		uint8_t octets[MOST_SAMPLES];
	} law;

	if (count % CODES || count > MOST_SAMPLES || count / CODES * adpcm->bits > size)
		return -1;
	if (adpcm->law == G726_ENCODING_LINEAR)
		return g726_encode(adpcm->state, ret_payload, samples, (int)count);
	for (uint32_t i = 0; i < count; i++)
		law.octets[i] = adpcm->law == G726_ENCODING_ULAW ? linear_to_ulaw(samples[i]) : linear_to_alaw(samples[i]);
	return g726_encode(adpcm->state, ret_payload, law.samples, (int)count);
}

/* The next code of a payload; at: its number. */
static uint8_t code_at(const struct adpcm *adpcm, const uint8_t *payload, uint32_t at)
{
	uint32_t code = 0;

	for (uint32_t i = 0; i < adpcm->bits; i++) {
		uint32_t bit = at * adpcm->bits + i;

		if (adpcm->left)
			code = code << 1 | ((uint32_t)payload[bit / 8] >> (7 - bit % 8) & 1u);
		else
			code |= ((uint32_t)payload[bit / 8] >> bit % 8 & 1u) << i;
	}
	return (uint8_t)code;
}

/* What is reconstructed may be louder than 16 bits can say, and spandsp cuts off the bits above: the other sign gives it away. */
static int16_t clipped(const struct adpcm *adpcm, int16_t sample)
{
	bool below = adpcm->state->sr[0] < 0;

	if (below == (sample < 0) || abs(sample) < INT16_MAX / 2)
		return sample;
	return below ? INT16_MIN : INT16_MAX;
}

static int32_t decode_linear(struct adpcm *adpcm, const uint8_t *payload, uint32_t count, int16_t *ret_samples)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t code = code_at(adpcm, payload, i);

		(void)g726_decode(adpcm->state, &ret_samples[i], &code, 1);
		ret_samples[i] = clipped(adpcm, ret_samples[i]);
	}
	return (int32_t)count;
}

static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	struct adpcm *adpcm = decoder;
	uint32_t count = bytes / adpcm->bits * CODES;

	if (!bytes || bytes % adpcm->bits || count > size)
		return -1;

	if (adpcm->law == G726_ENCODING_LINEAR)
		return decode_linear(adpcm, payload, count, ret_samples);
	int32_t made = g726_decode(adpcm->state, ret_samples, payload, (int)bytes);

	const uint8_t *octets = (const uint8_t *)ret_samples; /* half as long as the samples: the last one is written first */
	for (uint32_t i = (uint32_t)made; i-- > 0;)
		ret_samples[i] = adpcm->law == G726_ENCODING_ULAW ? ulaw_to_linear(octets[i]) : alaw_to_linear(octets[i]);
	return made;
}

static uint32_t duration(const struct pbx_codec *codec, const uint8_t *payload, uint32_t bytes)
{
	const struct kind *kind = codec->context;

	(void)payload;
	return bytes % kind->bits ? 0 : bytes / kind->bits * CODES;
}

/* ---- the card ---- */

static int g726_load(void *self)
{
	struct codec_g726 *g726 = self;

	for (uint32_t i = 0; i < CODECS; i++)
		g726->codecs[i] = (struct pbx_codec){
			.name = kinds[i].name,
			.clock_hz = 8000,
			.rate_hz = 8000,
			.channels = 1,
			.payload_type = kinds[i].payload_type,
			.frame_us = 1000,
			.least_ptime_ms = 10,
			.usual_ptime_ms = 20,
			.most_ptime_ms = 60,
			.bits_per_s = kinds[i].bits * 8000,
			.ie_tenths = kinds[i].ie_tenths,
			.bpl_tenths = 251,
			.context = &kinds[i],
			.encoder_open = encoder_open,
			.decoder_open = decoder_open,
			.encoder_close = adpcm_close,
			.decoder_close = adpcm_close,
			.encode = encode,
			.decode = decode,
			.duration = duration,
			.restart = restart,
		};
	g726->offers = (struct pbx_codecs){ .header = PBX_HEADER(struct pbx_codecs), .self = g726, .codecs = PBX_TABLE(g726->codecs) };
	return PBX_OK;
}

static const void *g726_offer(void *self, const char *id)
{
	(void)id;
	return &((struct codec_g726 *)self)->offers;
}

static const struct pbx_setting settings_rows[] = {
	PBX_CHOICE(struct settings, law, .initial_text = "linear", .choices = PBX_CHOICES("linear", "ulaw", "alaw"),
		   .help = "The G.711 law that is kept through G.726, where calls pass it several times between G.711 trunks; linear "
			   "sounds best otherwise"),
	PBX_BOOL(struct settings, all_aal2, .initial = 0,
		 .help = "Pack G726-16 to -40 as AAL2 has it, too, for phones that say RFC 3551's names and mean the other packing "
			 "(baresip does)"),
};

PBX_PLUGIN(codec_g726)
= {
	PBX_PLUGIN_HEADER,
	.name = "codec_g726",
	.version = "1.0.0",
	.summary = "G.726: ADPCM at 16 to 40 kbit/s, in both packings",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct codec_g726),
	PBX_SETTINGS(struct settings, settings_rows),
	.load = g726_load,
	.offer = g726_offer,
};
