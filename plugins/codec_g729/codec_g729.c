/*
 * codec_g729 - 8 kbit/s for trunks and links that insist on it (ITU-T G.729 annex A, with annex B's pauses)
 *
 * A payload is speech frames of ten octets and 10 ms each, and at its end at most one of two octets that describes the noise of a pause (SID);
 * during the pause nothing is sent (RFC 3551 4.5.6). Pauses are used when neither side says annexb=no; not saying it is saying yes (RFC 7261).
 * The arithmetic is bcg729's, which is GPL-3: this plugin has a package of its own.
 */
#include <bcg729/decoder.h>
#include <bcg729/encoder.h>
#include <pbx/codec.h>
#include <pbx/fmtp.h>

#define FRAME_SAMPLES 80u
#define FRAME_BYTES 10u
#define SID_BYTES 2u

struct settings {
	const char *variant;
};

struct codec_g729 {
	PBX_INSTANCE(struct settings);
	struct pbx_codec codec;
	struct pbx_codecs offered;
};

/* ---- parameters ---- */

static bool wants_pauses(const char *fmtp)
{
	char value[4];

	return !pbx_fmtp_text(fmtp, "annexb", value, sizeof value) || !pbx_fmtp_is(value, value + strlen(value), "no");
}

static int say(bool pauses, char *ret_fmtp, uint32_t size)
{
	ret_fmtp[0] = '\0';
	return pbx_fmtp_add(ret_fmtp, size, "annexb=%s", pauses ? "yes" : "no");
}

static bool has_pauses(void *self)
{
	return strchr(((const struct codec_g729 *)self)->settings->variant, 'B') != NULL;
}

static int offer(void *self, const struct pbx_codec *codec, char *ret_fmtp, uint32_t size)
{
	(void)codec;
	return say(has_pauses(self), ret_fmtp, size);
}

static int answer(void *self, const struct pbx_codec *codec, const char *remote_fmtp, char *ret_fmtp, uint32_t size)
{
	(void)codec;
	return say(has_pauses(self) && wants_pauses(remote_fmtp), ret_fmtp, size);
}

static bool passes(void *self, const struct pbx_codec *codec, const char *sender_fmtp, const char *receiver_fmtp)
{
	(void)self, (void)codec;
	return wants_pauses(receiver_fmtp) || !wants_pauses(sender_fmtp);
}

/* ---- states ---- */

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	(void)self, (void)codec;
	if (!wish->ptime_ms || wish->ptime_ms % 10)
		return PBX_ENOTSUP;
	*ret_encoder = initBcg729EncoderChannel(wants_pauses(wish->local_fmtp) && wants_pauses(wish->remote_fmtp));
	return *ret_encoder ? PBX_OK : PBX_ENOMEM;
}

static void encoder_close(void *encoder)
{
	closeBcg729EncoderChannel(encoder);
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	(void)self, (void)codec, (void)wish;
	*ret_decoder = initBcg729DecoderChannel();
	return *ret_decoder ? PBX_OK : PBX_ENOMEM;
}

static void decoder_close(void *decoder)
{
	closeBcg729DecoderChannel(decoder);
}

/* ---- encoding ---- */

/* A pause may end in the middle of a packet, which has no way to say so: the frames of the pause in it become copies of the first one that
 * speaks. Once in a talk spurt, at most some 10 ms of what begins are heard twice. */
static uint32_t speak_from_the_start(uint8_t *payload, const uint8_t *frame, uint32_t frames_before)
{
	for (uint32_t i = 0; i < frames_before; i++)
		memcpy(payload + i * FRAME_BYTES, frame, FRAME_BYTES);
	return frames_before * FRAME_BYTES;
}

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	uint32_t frames = count / FRAME_SAMPLES, used = 0, silent = 0;
	uint8_t sid[SID_BYTES];
	bool has_sid = false;

	if (!frames || count % FRAME_SAMPLES || frames * FRAME_BYTES > size)
		return -1;
	for (uint32_t i = 0; i < frames; i++) {
		uint8_t frame[FRAME_BYTES], bytes = 0;

		bcg729Encoder(encoder, samples + i * FRAME_SAMPLES, frame, &bytes);
		if (bytes == FRAME_BYTES) {
			used += speak_from_the_start(ret_payload + used, frame, silent + 1);
			silent = 0;
			has_sid = false;
			continue;
		}
		silent++;
		if (bytes == SID_BYTES) {
			memcpy(sid, frame, sizeof sid);
			has_sid = true;
		}
	}
	if (has_sid) {
		memcpy(ret_payload + used, sid, sizeof sid);
		used += SID_BYTES;
	}
	return (int32_t)used;
}

/* ---- decoding ---- */

static bool is_payload(uint32_t bytes)
{
	return bytes && (bytes % FRAME_BYTES == 0 || bytes % FRAME_BYTES == SID_BYTES);
}

static uint32_t duration(const struct pbx_codec *codec, const uint8_t *payload, uint32_t bytes)
{
	(void)codec, (void)payload;
	if (!is_payload(bytes) || bytes == SID_BYTES)
		return 0;
	return (bytes + FRAME_BYTES - 1) / FRAME_BYTES * FRAME_SAMPLES;
}

static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	uint32_t count = 0;

	if (!is_payload(bytes) || (bytes + FRAME_BYTES - 1) / FRAME_BYTES * FRAME_SAMPLES > size)
		return -1;
	for (uint32_t at = 0; at < bytes; at += FRAME_BYTES) {
		uint32_t left = bytes - at;
		uint8_t taken = left < FRAME_BYTES ? SID_BYTES : FRAME_BYTES;

		bcg729Decoder(decoder, payload + at, taken, 0, taken == SID_BYTES, 0, ret_samples + count);
		count += FRAME_SAMPLES;
	}
	return bytes == SID_BYTES ? 0 : (int32_t)count;
}

/* Frames that were lost go on like those before them and fade; those that were not sent in a pause are noise as it was described. */
static void conceal(void *decoder, int16_t *ret_samples, uint32_t count)
{
	while (count) {
		int16_t frame[FRAME_SAMPLES];
		uint32_t part = count < FRAME_SAMPLES ? count : FRAME_SAMPLES;

		bcg729Decoder(decoder, NULL, 0, 1, 0, 0, frame);
		memcpy(ret_samples, frame, part * sizeof *frame);
		ret_samples += part;
		count -= part;
	}
}

/* ---- the card ---- */

static int g729_load(void *self)
{
	struct codec_g729 *g729 = self;

	g729->codec = (struct pbx_codec){
		.name = "G729",
		.clock_hz = 8000,
		.rate_hz = 8000,
		.channels = 1,
		.payload_type = 18,
		.frame_us = 10000,
		.least_ptime_ms = 10,
		.usual_ptime_ms = 20,
		.most_ptime_ms = 60,
		.flags = PBX_CODEC_SILENCE,
		.bits_per_s = 8000,
		.ie_tenths = 110,
		.bpl_tenths = 190,
		.offer = offer,
		.answer = answer,
		.passes = passes,
		.encoder_open = encoder_open,
		.decoder_open = decoder_open,
		.encoder_close = encoder_close,
		.decoder_close = decoder_close,
		.encode = encode,
		.decode = decode,
		.conceal = conceal,
		.duration = duration,
	};
	g729->offered = (struct pbx_codecs){ .header = PBX_HEADER(struct pbx_codecs),
					     .self = g729,
					     .codecs = { &g729->codec, 1, sizeof g729->codec },
					     .licence = "GPL-3.0-or-later" };
	return PBX_OK;
}

static const void *g729_offer(void *self, const char *id)
{
	(void)id;
	return &((struct codec_g729 *)self)->offered;
}

static const struct pbx_setting settings_rows[] = {
	PBX_CHOICE(struct settings, variant, .initial_text = "G729AB", .choices = PBX_CHOICES("G729", "G729A", "G729B", "G729AB"),
		   .help = "With B, pauses are not sent unless the other side says annexb=no; without, we say that ourselves. A changes "
			   "nothing on the wire"),
};

PBX_PLUGIN(codec_g729)
= {
	PBX_PLUGIN_HEADER,
	.name = "codec_g729",
	.version = "1.0.0",
	.summary = "G.729: 8 kbit/s (with bcg729, under the GPL version 3)",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct codec_g729),
	PBX_SETTINGS(struct settings, settings_rows),
	.load = g729_load,
	.offer = g729_offer,
};
