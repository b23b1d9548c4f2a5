/*
 * codec_speex - for older softphones and consoles that still prefer it (RFC 5574)
 *
 * Three codecs that differ in their rate: narrow, wide and ultra-wide band; the RTP clock is the rate of the samples. A payload has any number of
 * frames of 20 ms, and each frame says its sub-mode itself, so the decoder follows whatever comes; the encoder keeps to the sub-modes that the
 * other side lists. Offers name narrowband only, unless settings say more, and Speex is never what we like best.
 */
#include "payload.h"
#include <pbx/codec.h>
#include <pbx/fmtp.h>
#include <speex/speex.h>
#include <stdlib.h>

struct settings {
	struct pbx_list modes;
	uint32_t quality, complexity;
	bool vbr, vad, dtx;
	double ie, bpl;
};

#define BANDS 3u

struct codec_speex {
	PBX_INSTANCE(struct settings);
	struct pbx_codec codecs[BANDS];
	struct pbx_codecs offers;
};

struct band {
	const char *name;
	int mode; /* SPEEX_MODEID_… */
	uint32_t rate_hz, payload_type, bits_per_s, layers;
};

static const struct band bands[BANDS] = { { "nb", SPEEX_MODEID_NB, 8000, 98, 15000, 0 },
					  { "wb", SPEEX_MODEID_WB, 16000, 99, 27800, 1 },
					  { "uwb", SPEEX_MODEID_UWB, 32000, 100, 29600, 2 } };

#define MOST_FRAME_SAMPLES 640u
#define MOST_FRAMES (PBX_CODEC_MOST_PTIME_MS / 20)

/* One direction of a stream. bits has its buffer from the start: libspeex asks for no memory on a packet's way. */
struct speex {
	void *state;
	SpeexBits bits;
	char buffer[PBX_CODEC_MOST_BYTES];
	uint32_t frame_samples, layers;
	bool pauses;
};

/* ---- parameters ---- */

static bool is_listed(const struct pbx_list *list, const char *name)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], name))
			return true;
	return false;
}

static int answer(void *self, const struct pbx_codec *codec, const char *remote_fmtp, char *ret_fmtp, uint32_t size)
{
	const struct settings *settings = ((const struct codec_speex *)self)->settings;
	int err = PBX_OK;

	(void)codec, (void)remote_fmtp;
	ret_fmtp[0] = '\0';
	if (settings->vbr || settings->vad)
		err = pbx_fmtp_add(ret_fmtp, size, "vbr=%s", settings->vbr ? "on" : "vad");
	if (err == PBX_OK && settings->dtx)
		err = pbx_fmtp_add(ret_fmtp, size, "cng=on");
	return err;
}

static int offer(void *self, const struct pbx_codec *codec, char *ret_fmtp, uint32_t size)
{
	const struct settings *settings = ((const struct codec_speex *)self)->settings;
	const struct band *band = codec->context;

	return is_listed(&settings->modes, band->name) ? answer(self, codec, "", ret_fmtp, size) : PBX_ENOTSUP;
}

/* The sub-mode to send in, of those that the other side lists: ours when it is among them, else the one it likes best. -1: we are free. RFC 5574
 * 3.3: narrowband counts sub-modes, the others qualities. */
static int mode_for(const char *fmtp, int ours)
{
	char list[40];
	int first = -1;
	bool has_ours = false;

	if (!pbx_fmtp_text(fmtp, "mode", list, sizeof list))
		return -1;
	for (char *rest = list, *item; (item = strsep(&rest, ",")) != NULL;) {
		char *end;
		long mode = strtol(item, &end, 10);

		if (pbx_fmtp_is(item, item + strlen(item), "any"))
			return -1;
		if (end == item || mode < 0 || mode > 10)
			continue;
		has_ours = has_ours || mode == ours;
		first = first < 0 ? (int)mode : first;
	}
	return has_ours ? ours : first;
}

/* Who listed sub-modes is not sent others: the sender is taken to keep to those that it lists itself. */
static bool passes(void *self, const struct pbx_codec *codec, const char *sender_fmtp, const char *receiver_fmtp)
{
	char from[40], to[40];

	(void)self, (void)codec;
	(void)pbx_fmtp_text(sender_fmtp, "mode", from, sizeof from);
	return !pbx_fmtp_text(receiver_fmtp, "mode", to, sizeof to) || strstr(to, "any") || !strcmp(from, to);
}

/* ---- states ---- */

static struct speex *speex_new(void)
{
	struct speex *speex = calloc(1, sizeof *speex);

	if (speex)
		speex_bits_init_buffer(&speex->bits, speex->buffer, sizeof speex->buffer);
	return speex;
}

static bool is_value(const char *fmtp, const char *name, const char *wanted)
{
	char value[8];

	return pbx_fmtp_text(fmtp, name, value, sizeof value) && pbx_fmtp_is(value, value + strlen(value), wanted);
}

static void set(void *state, int what, int value)
{
	(void)speex_encoder_ctl(state, what, &value); /* fails for unknown requests only */
}

static void steer_rate(struct speex *speex, const struct settings *settings, const struct band *band, const char *fmtp)
{
	int quality = (int)settings->quality, ours = quality;

	set(speex->state, SPEEX_SET_QUALITY, quality);
	if (band->mode == SPEEX_MODEID_NB)
		(void)speex_encoder_ctl(speex->state, SPEEX_GET_MODE, &ours);
	int mode = mode_for(fmtp, ours);
	if (mode >= 0) {
		set(speex->state, band->mode == SPEEX_MODEID_NB ? SPEEX_SET_MODE : SPEEX_SET_QUALITY, mode);
		return;
	}
	bool varies = settings->vbr && is_value(fmtp, "vbr", "on");
	if (varies) {
		float wanted = (float)quality;

		set(speex->state, SPEEX_SET_VBR, 1);
		(void)speex_encoder_ctl(speex->state, SPEEX_SET_VBR_QUALITY, &wanted);
	} else if (settings->vad && is_value(fmtp, "vbr", "vad")) {
		set(speex->state, SPEEX_SET_VAD, 1);
		varies = true;
	}
	speex->pauses = varies && settings->dtx && is_value(fmtp, "cng", "on");
	set(speex->state, SPEEX_SET_DTX, speex->pauses);
}

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	const struct settings *settings = ((const struct codec_speex *)self)->settings;
	const struct band *band = codec->context;

	if (!wish->ptime_ms || wish->ptime_ms % 20)
		return PBX_ENOTSUP;
	struct speex *speex = speex_new();
	if (!speex)
		return PBX_ENOMEM;
	speex->state = speex_encoder_init(speex_lib_get_mode(band->mode));
	if (!speex->state) {
		free(speex);
		return PBX_ENOMEM;
	}
	speex->frame_samples = band->rate_hz / 50;
	set(speex->state, SPEEX_SET_COMPLEXITY, (int)settings->complexity);
	steer_rate(speex, settings, band, wish->remote_fmtp);
	*ret_encoder = speex;
	return PBX_OK;
}

static void encoder_close(void *encoder)
{
	struct speex *speex = encoder;

	speex_encoder_destroy(speex->state);
	free(speex);
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	const struct band *band = codec->context;
	struct speex *speex = speex_new();
	int enhance = 1;

	(void)self, (void)wish;
	if (!speex)
		return PBX_ENOMEM;
	speex->state = speex_decoder_init(speex_lib_get_mode(band->mode));
	if (!speex->state) {
		free(speex);
		return PBX_ENOMEM;
	}
	speex->frame_samples = band->rate_hz / 50;
	speex->layers = band->layers;
	(void)speex_decoder_ctl(speex->state, SPEEX_SET_ENH, &enhance);
	*ret_decoder = speex;
	return PBX_OK;
}

static void decoder_close(void *decoder)
{
	struct speex *speex = decoder;

	speex_decoder_destroy(speex->state);
	free(speex);
}

/* ---- coding ---- */

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	struct speex *speex = encoder;
	uint32_t frames = count / speex->frame_samples, told = 0;

	if (!frames || count % speex->frame_samples || frames > MOST_FRAMES)
		return -1;
	speex_bits_reset(&speex->bits);
	for (uint32_t i = 0; i < frames; i++) {
		int16_t frame[MOST_FRAME_SAMPLES]; /* libspeex may write into what it encodes */

		memcpy(frame, samples + i * speex->frame_samples, speex->frame_samples * sizeof *frame);
		told += speex_encode_int(speex->state, frame, &speex->bits) != 0;
	}
	if (speex->pauses && !told)
		return 0;
	speex_bits_insert_terminator(&speex->bits);
	if ((uint32_t)speex_bits_nbytes(&speex->bits) > size)
		return -1;
	return speex_bits_write(&speex->bits, (char *)ret_payload, (int)size);
}

static uint32_t duration(const struct pbx_codec *codec, const uint8_t *payload, uint32_t bytes)
{
	const struct band *band = codec->context;
	int32_t frames = speex_payload_frames(payload, bytes, band->layers);

	return frames > 0 && (uint32_t)frames <= MOST_FRAMES ? (uint32_t)frames * (codec->rate_hz / 50) : 0;
}

static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	struct speex *speex = decoder;
	int32_t frames = bytes < sizeof speex->buffer ? speex_payload_frames(payload, bytes, speex->layers) : -1;

	if (frames < 0 || (uint32_t)frames * speex->frame_samples > size)
		return -1;
	speex_bits_read_from(&speex->bits, (const char *)payload, (int)bytes);
	for (uint32_t i = 0; i < (uint32_t)frames; i++)
		if (speex_decode_int(speex->state, &speex->bits, ret_samples + i * speex->frame_samples) != 0)
			return -1;
	return frames * (int32_t)speex->frame_samples;
}

static void conceal(void *decoder, int16_t *ret_samples, uint32_t count)
{
	struct speex *speex = decoder;

	while (count) {
		int16_t frame[MOST_FRAME_SAMPLES];
		uint32_t part = count < speex->frame_samples ? count : speex->frame_samples;

		(void)speex_decode_int(speex->state, NULL, frame); /* without bits it cannot fail */
		memcpy(ret_samples, frame, part * sizeof *frame);
		ret_samples += part;
		count -= part;
	}
}

/* ---- the card ---- */

static int speex_load(void *self)
{
	struct codec_speex *speex = self;

	for (uint32_t i = 0; i < BANDS; i++)
		speex->codecs[i] = (struct pbx_codec){
			.name = "speex",
			.clock_hz = bands[i].rate_hz,
			.rate_hz = bands[i].rate_hz,
			.channels = 1,
			.payload_type = bands[i].payload_type,
			.frame_us = 20000,
			.least_ptime_ms = 20,
			.usual_ptime_ms = 20,
			.most_ptime_ms = 60,
			.flags = PBX_CODEC_SILENCE,
			.bits_per_s = bands[i].bits_per_s,
			.ie_tenths = (uint32_t)(speex->settings->ie * 10 + 0.5),
			.bpl_tenths = (uint32_t)(speex->settings->bpl * 10 + 0.5),
			.context = &bands[i],
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
	speex->offers = (struct pbx_codecs){ .header = PBX_HEADER(struct pbx_codecs), .self = speex, .codecs = PBX_TABLE(speex->codecs) };
	return PBX_OK;
}

static const void *speex_offer(void *self, const char *id)
{
	(void)id;
	return &((struct codec_speex *)self)->offers;
}

static int settings_check(const void *values, struct pbx_diag *diag)
{
	const struct settings *settings = values;

	for (uint32_t i = 0; i < settings->modes.count; i++) {
		const char *mode = settings->modes.items[i];

		if (!strcmp(mode, "nb") || !strcmp(mode, "wb") || !strcmp(mode, "uwb"))
			continue;
		pbx_diag_set(diag, "modes", "\"%.40s\" is no band of Speex; there are nb (8 kHz), wb (16 kHz) and uwb (32 kHz)", mode);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

static const struct pbx_setting settings_rows[] = {
	PBX_LIST(struct settings, modes, .initial_text = "nb",
		 .help = "Bands that our offers name: nb (8 kHz), wb (16), uwb (32); all are accepted in the offers of others"),
	PBX_UINT(struct settings, quality, .initial = 8, .least = 0, .most = 10,
		 .help = "Quality of what we send, and with it the rate: 8 is 15 kbit/s in narrowband, 28 in wideband"),
	PBX_UINT(struct settings, complexity, .initial = 3, .least = 1, .most = 10,
		 .help = "How much CPU the encoder may spend on quality"),
	PBX_BOOL(struct settings, vbr, .initial = 1,
		 .help = "Let the rate vary with the sound where the other side says vbr=on, and say so ourselves"),
	PBX_BOOL(struct settings, vad, .initial = 1, .help = "Code pauses with few bits where the other side says vbr=vad"),
	PBX_BOOL(struct settings, dtx, .initial = 0,
		 .help = "Send nothing in pauses where the other side says cng=on, and say so ourselves"),
	PBX_NUMBER(struct settings, ie, .initial_number = 15, .least_number = 0, .most_number = 95, .flags = PBX_SETTING_RESTART,
		   .help = "Equipment impairment for the E-model; there is no figure of the ITU's for Speex, this is a planning value"),
	PBX_NUMBER(struct settings, bpl, .initial_number = 10, .least_number = 1, .most_number = 100, .flags = PBX_SETTING_RESTART,
		   .help = "Robustness against loss for the E-model, a planning value, too"),
};

PBX_PLUGIN(codec_speex)
= {
	PBX_PLUGIN_HEADER,
	.name = "codec_speex",
	.version = "1.0.0",
	.summary = "Speex: narrow, wide and ultra-wide band",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct codec_speex),
	PBX_SETTINGS(struct settings, settings_rows),
	.load = speex_load,
	.offer = speex_offer,
	.settings_check = settings_check,
};
