/*
 * codec_ilbc - a narrowband codec for lossy links: every packet decodes on its own (RFC 3951, RFC 3952)
 *
 * Frames are of 20 or 30 ms, for both directions the longer one when either side says so, or says nothing. A payload is any number of frames, and its
 * length tells of which kind. The codec itself is in the other files, written after RFC 3951, since Debian has no library for it.
 */
#include "ilbc.h"
#include <pbx/codec.h>
#include <pbx/fmtp.h>
#include <stdlib.h>

struct settings {
	uint32_t mode, payload_type;
	double ie, bpl;
};

struct codec_ilbc {
	PBX_INSTANCE(struct settings);
	struct pbx_codec codec;
	struct pbx_codecs offered;
};

/* ---- parameters ---- */

static const struct ilbc_mode *mode_of(const char *fmtp)
{
	return pbx_fmtp_number(fmtp, "mode", 20, 30, 30) == 20 ? &ilbc_20 : &ilbc_30;
}

static const struct ilbc_mode *mode_between(const char *local_fmtp, const char *remote_fmtp)
{
	return mode_of(local_fmtp) == &ilbc_20 ? mode_of(remote_fmtp) : &ilbc_30;
}

static int say(uint32_t ms, char *ret_fmtp, uint32_t size)
{
	ret_fmtp[0] = '\0';
	return pbx_fmtp_add(ret_fmtp, size, "mode=%u", ms);
}

static int offer(void *self, const struct pbx_codec *codec, char *ret_fmtp, uint32_t size)
{
	(void)codec;
	return say(((const struct codec_ilbc *)self)->settings->mode, ret_fmtp, size);
}

static int answer(void *self, const struct pbx_codec *codec, const char *remote_fmtp, char *ret_fmtp, uint32_t size)
{
	(void)self, (void)codec;
	return say(mode_of(remote_fmtp)->ms, ret_fmtp, size);
}

static bool passes(void *self, const struct pbx_codec *codec, const char *sender_fmtp, const char *receiver_fmtp)
{
	(void)self, (void)codec;
	return mode_of(sender_fmtp) == mode_of(receiver_fmtp);
}

static uint32_t ptime(void *self, const struct pbx_codec *codec, const char *local_fmtp, const char *remote_fmtp, uint32_t wanted_ms)
{
	uint32_t frame_ms = mode_between(local_fmtp, remote_fmtp)->ms, most_ms = codec->most_ptime_ms;
	uint32_t ms = (wanted_ms < most_ms ? wanted_ms : most_ms) / frame_ms * frame_ms;

	(void)self;
	return ms ? ms : frame_ms;
}

/* ---- encoding ---- */

struct sender {
	struct ilbc_encoder *ilbc;
	const struct ilbc_mode *mode;
};

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	const struct ilbc_mode *mode = mode_between(wish->local_fmtp, wish->remote_fmtp);

	(void)self, (void)codec;
	if (!wish->ptime_ms || wish->ptime_ms % mode->ms)
		return PBX_ENOTSUP;
	struct sender *sender = calloc(1, sizeof *sender);
	if (!sender)
		return PBX_ENOMEM;
	sender->mode = mode;
	sender->ilbc = ilbc_encoder_new(mode);
	if (!sender->ilbc) {
		free(sender);
		return PBX_ENOMEM;
	}
	*ret_encoder = sender;
	return PBX_OK;
}

static void encoder_close(void *encoder)
{
	struct sender *sender = encoder;

	ilbc_encoder_free(sender->ilbc);
	free(sender);
}

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	const struct sender *sender = encoder;
	uint32_t frames = count / sender->mode->samples;

	if (!frames || count % sender->mode->samples || frames * sender->mode->bytes > size)
		return -1;
	for (uint32_t i = 0; i < frames; i++)
		ilbc_encode(sender->ilbc, samples + i * sender->mode->samples, ret_payload + i * sender->mode->bytes);
	return (int32_t)(frames * sender->mode->bytes);
}

/* ---- decoding ---- */

struct receiver {
	struct ilbc_decoder *ilbc;
	const struct ilbc_mode *mode; /* of the last payload */
};

/* No number of frames of the one kind is as long as some of the other, up to 120 ms. NULL: it is neither. */
static const struct ilbc_mode *mode_of_payload(uint32_t bytes)
{
	const struct ilbc_mode *mode = bytes % ilbc_20.bytes == 0 ? &ilbc_20 : bytes % ilbc_30.bytes == 0 ? &ilbc_30 : NULL;

	return mode && bytes && bytes / mode->bytes * mode->ms <= PBX_CODEC_MOST_PTIME_MS ? mode : NULL;
}

static uint32_t duration(const struct pbx_codec *codec, const uint8_t *payload, uint32_t bytes)
{
	const struct ilbc_mode *mode = mode_of_payload(bytes);

	(void)codec, (void)payload;
	return mode ? bytes / mode->bytes * mode->samples : 0;
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	struct receiver *receiver = calloc(1, sizeof *receiver);

	(void)self, (void)codec;
	if (!receiver)
		return PBX_ENOMEM;
	receiver->mode = mode_between(wish->local_fmtp, wish->remote_fmtp);
	receiver->ilbc = ilbc_decoder_new();
	if (!receiver->ilbc) {
		free(receiver);
		return PBX_ENOMEM;
	}
	*ret_decoder = receiver;
	return PBX_OK;
}

static void decoder_close(void *decoder)
{
	struct receiver *receiver = decoder;

	ilbc_decoder_free(receiver->ilbc);
	free(receiver);
}

static void restart(void *decoder)
{
	const struct receiver *receiver = decoder;

	ilbc_decoder_restart(receiver->ilbc);
}

/* A frame that nobody can have made is concealed in its place; the others of the payload are heard. */
static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	struct receiver *receiver = decoder;
	const struct ilbc_mode *mode = mode_of_payload(bytes);

	if (!mode || bytes / mode->bytes * mode->samples > size)
		return -1;
	receiver->mode = mode;
	uint32_t frames = bytes / mode->bytes;
	for (uint32_t i = 0; i < frames; i++)
		(void)ilbc_decode(receiver->ilbc, mode, payload + i * mode->bytes, ret_samples + i * mode->samples);
	return (int32_t)(frames * mode->samples);
}

static void conceal(void *decoder, int16_t *ret_samples, uint32_t count)
{
	const struct receiver *receiver = decoder;

	while (count) {
		int16_t frame[ILBC_MOST_SAMPLES];
		uint32_t part = count < receiver->mode->samples ? count : receiver->mode->samples;

		(void)ilbc_decode(receiver->ilbc, receiver->mode, NULL, frame);
		memcpy(ret_samples, frame, part * sizeof *frame);
		ret_samples += part;
		count -= part;
	}
}

/* ---- the card ---- */

static int ilbc_load(void *self)
{
	struct codec_ilbc *ilbc = self;
	const struct settings *settings = ilbc->settings;

	ilbc->codec = (struct pbx_codec){
		.name = "iLBC",
		.clock_hz = 8000,
		.rate_hz = 8000,
		.channels = 1,
		.payload_type = settings->payload_type,
		.frame_us = settings->mode * 1000,
		.least_ptime_ms = settings->mode,
		.usual_ptime_ms = settings->mode,
		.most_ptime_ms = 60,
		.bits_per_s = settings->mode == 20 ? 15200 : 13333,
		.ie_tenths = (uint32_t)(settings->ie * 10 + 0.5),
		.bpl_tenths = (uint32_t)(settings->bpl * 10 + 0.5),
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
		.restart = restart,
		.ptime = ptime,
	};
	ilbc->offered = (struct pbx_codecs){ .header = PBX_HEADER(struct pbx_codecs),
					     .self = ilbc,
					     .codecs = { &ilbc->codec, 1, sizeof ilbc->codec } };
	return PBX_OK;
}

static const void *ilbc_offer(void *self, const char *id)
{
	(void)id;
	return &((struct codec_ilbc *)self)->offered;
}

static int settings_check(const void *values, struct pbx_diag *diag)
{
	const struct settings *settings = values;

	if (settings->mode == 20 || settings->mode == 30)
		return PBX_OK;
	pbx_diag_set(diag, "mode", "iLBC has no frames of %u ms; choose 20 or 30", settings->mode);
	return PBX_EINVAL;
}

static const struct pbx_setting settings_rows[] = {
	PBX_UINT(struct settings, mode, .initial = 30, .least = 20, .most = 30, .unit = "ms", .flags = PBX_SETTING_RESTART,
		 .help = "Length of frames in our offers, 20 (15.2 kbit/s) or 30 (13.3); answers take what is offered"),
	PBX_UINT(struct settings, payload_type, .initial = 97, .least = 96, .most = 127, .flags = PBX_SETTING_RESTART,
		 .help = "Number in our offers; in answers the other side's is used"),
	PBX_NUMBER(struct settings, ie, .initial_number = 11, .least_number = 0, .most_number = 95, .flags = PBX_SETTING_RESTART,
		   .help = "Equipment impairment for the E-model; a planning value of ours, not the ITU's"),
	PBX_NUMBER(struct settings, bpl, .initial_number = 32, .least_number = 1, .most_number = 100, .flags = PBX_SETTING_RESTART,
		   .help = "Robustness against loss for the E-model, a planning value, too"),
};

PBX_PLUGIN(codec_ilbc)
= {
	PBX_PLUGIN_HEADER,
	.name = "codec_ilbc",
	.version = "1.0.0",
	.summary = "iLBC: every packet decodes on its own",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct codec_ilbc),
	PBX_SETTINGS(struct settings, settings_rows),
	.load = ilbc_load,
	.offer = ilbc_offer,
	.settings_check = settings_check,
};
