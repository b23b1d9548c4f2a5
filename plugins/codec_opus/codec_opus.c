/*
 * codec_opus - the codec of browsers and newer phones (RFC 6716, RFC 7587)
 *
 * SDP always says opus/48000/2, and timestamps count 48000 in a second, whatever is coded; inside it is one channel at settings->sample_rate, to
 * which libopus decodes everything. Parameters are declarative: each side tells what it likes to receive, so an answer says the same as an
 * offer of ours, and the other side's line steers our encoder. Coding itself is coder.c.
 */
#include "coder.h"
#include <opus/opus.h>
#include <pbx/codec.h>
#include <pbx/fmtp.h>

struct settings {
	uint32_t payload_type, sample_rate, bitrate, receive_bitrate, complexity, expected_loss;
	const char *application;
	bool fec, dtx;
};

struct codec_opus {
	PBX_INSTANCE(struct settings);
	struct pbx_codec codec;
	struct pbx_codecs offered;
};

#define LEAST_BITRATE 6000u /* RFC 7587 6.1 */
#define MOST_BITRATE 510000u

/* ---- parameters ---- */

static int say(void *self, const struct pbx_codec *codec, char *ret_fmtp, uint32_t size)
{
	const struct settings *settings = ((const struct codec_opus *)self)->settings;
	int err = PBX_OK;

	(void)codec;
	ret_fmtp[0] = '\0';
	if (settings->fec)
		err = pbx_fmtp_add(ret_fmtp, size, "useinbandfec=1");
	if (err == PBX_OK && settings->dtx)
		err = pbx_fmtp_add(ret_fmtp, size, "usedtx=1");
	if (err == PBX_OK && settings->receive_bitrate)
		err = pbx_fmtp_add(ret_fmtp, size, "maxaveragebitrate=%u", settings->receive_bitrate);
	return err;
}

/* Every decoder takes every stream; but who wants less rate, or a constant one, is not sent another, unless the sender wants the same of others. */
static bool passes(void *self, const struct pbx_codec *codec, const char *sender_fmtp, const char *receiver_fmtp)
{
	(void)self, (void)codec;
	return pbx_fmtp_number(receiver_fmtp, "maxaveragebitrate", LEAST_BITRATE, MOST_BITRATE, MOST_BITRATE) >=
		       pbx_fmtp_number(sender_fmtp, "maxaveragebitrate", LEAST_BITRATE, MOST_BITRATE, MOST_BITRATE) &&
	       pbx_fmtp_number(receiver_fmtp, "cbr", 0, 1, 0) <= pbx_fmtp_number(sender_fmtp, "cbr", 0, 1, 0);
}

/* 5, 10, or a multiple of 20: what libopus makes in one go (2.5 is no number of milliseconds). */
static uint32_t ptime(void *self, const struct pbx_codec *codec, const char *local_fmtp, const char *remote_fmtp, uint32_t wanted_ms)
{
	(void)self, (void)local_fmtp, (void)remote_fmtp;
	if (wanted_ms > codec->most_ptime_ms)
		return codec->most_ptime_ms;
	return wanted_ms >= 20 ? wanted_ms - wanted_ms % 20 : wanted_ms >= 10 ? 10 : 5;
}

static uint32_t application_of(const char *name)
{
	return !strcmp(name, "audio")      ? OPUS_APPLICATION_AUDIO
	       : !strcmp(name, "lowdelay") ? OPUS_APPLICATION_RESTRICTED_LOWDELAY
					   : OPUS_APPLICATION_VOIP;
}

/* ---- states ---- */

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	const struct settings *settings = ((const struct codec_opus *)self)->settings;
	const char *said = wish->remote_fmtp;
	uint32_t accepted = pbx_fmtp_number(said, "maxaveragebitrate", LEAST_BITRATE, MOST_BITRATE, settings->bitrate);

	if (wish->ptime_ms != 5 && wish->ptime_ms != 10 && wish->ptime_ms % 20)
		return PBX_ENOTSUP;
	struct opus_sender *sender = opus_sender_new(&(struct opus_wish){
		.rate_hz = codec->rate_hz,
		.most_rate_hz = pbx_fmtp_number(said, "maxplaybackrate", 8000, 48000, 48000),
		.bits_per_s = accepted < settings->bitrate ? accepted : settings->bitrate,
		.complexity = settings->complexity,
		.application = application_of(settings->application),
		.expected_loss = wish->loss_percent ? wish->loss_percent : settings->expected_loss,
		.repairs = settings->fec && pbx_fmtp_number(said, "useinbandfec", 0, 1, 0),
		.pauses = settings->dtx || pbx_fmtp_number(said, "usedtx", 0, 1, 0),
		.steady = pbx_fmtp_number(said, "cbr", 0, 1, 0),
	});
	if (!sender)
		return PBX_ENOMEM;
	*ret_encoder = sender;
	return PBX_OK;
}

static void encoder_close(void *encoder)
{
	opus_sender_free(encoder);
}

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	return opus_send(encoder, samples, count, ret_payload, size);
}

static void loss(void *encoder, uint32_t percent)
{
	opus_sender_lost(encoder, percent);
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	struct opus_receiver *receiver = opus_receiver_new(codec->rate_hz);

	(void)self, (void)wish;
	if (!receiver)
		return PBX_ENOMEM;
	*ret_decoder = receiver;
	return PBX_OK;
}

static void decoder_close(void *decoder)
{
	opus_receiver_free(decoder);
}

static void restart(void *decoder)
{
	opus_receiver_restart(decoder);
}

static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	return opus_receive(decoder, payload, bytes, ret_samples, size);
}

static void conceal(void *decoder, int16_t *ret_samples, uint32_t count)
{
	opus_receiver_conceal(decoder, ret_samples, count);
}

static int32_t recover(void *decoder, const uint8_t *next_payload, uint32_t bytes, int16_t *ret_samples, uint32_t count)
{
	return opus_receiver_repair(decoder, next_payload, bytes, ret_samples, count);
}

static uint32_t duration(const struct pbx_codec *codec, const uint8_t *payload, uint32_t bytes)
{
	int32_t count = bytes ? opus_packet_get_nb_samples(payload, (int32_t)bytes, (int32_t)codec->rate_hz) : 0;

	return count > 0 ? (uint32_t)count : 0;
}

/* ---- the card ---- */

static int opus_load(void *self)
{
	struct codec_opus *opus = self;

	opus->codec = (struct pbx_codec){
		.name = "opus",
		.clock_hz = 48000,
		.rate_hz = opus->settings->sample_rate,
		.channels = 2,
		.payload_type = opus->settings->payload_type,
		.frame_us = 20000,
		.least_ptime_ms = 5,
		.usual_ptime_ms = 20,
		.most_ptime_ms = 120,
		.flags = PBX_CODEC_SILENCE,
		.bits_per_s = opus->settings->bitrate,
		.ie_tenths = 102,
		.bpl_tenths = 43,
		.offer = say,
		.passes = passes,
		.encoder_open = encoder_open,
		.encoder_close = encoder_close,
		.encode = encode,
		.loss = loss,
		.decoder_open = decoder_open,
		.decoder_close = decoder_close,
		.decode = decode,
		.conceal = conceal,
		.recover = recover,
		.duration = duration,
		.restart = restart,
		.ptime = ptime,
	};
	opus->offered = (struct pbx_codecs){ .header = PBX_HEADER(struct pbx_codecs),
					     .self = opus,
					     .codecs = { &opus->codec, 1, sizeof opus->codec } };
	return PBX_OK;
}

static const void *opus_offer(void *self, const char *id)
{
	(void)id;
	return &((struct codec_opus *)self)->offered;
}

static int settings_check(const void *values, struct pbx_diag *diag)
{
	const struct settings *settings = values;

	if (settings->sample_rate == 8000 || settings->sample_rate == 16000 || settings->sample_rate == 24000 ||
	    settings->sample_rate == 48000) {
		if (!settings->receive_bitrate || settings->receive_bitrate >= LEAST_BITRATE)
			return PBX_OK;
		pbx_diag_set(diag, "receive_bitrate", "%u bits per second is below what Opus can do; say 0 for no wish, or 6000 and more",
			     settings->receive_bitrate);
		return PBX_EINVAL;
	}
	pbx_diag_set(diag, "sample_rate", "Opus has no samples at %u Hz; choose 8000, 16000, 24000 or 48000", settings->sample_rate);
	return PBX_EINVAL;
}

static const struct pbx_setting settings_rows[] = {
	PBX_UINT(struct settings, payload_type, .initial = 111, .least = 96, .most = 127, .flags = PBX_SETTING_RESTART,
		 .help = "Number in our offers; in answers the other side's is used"),
	PBX_UINT(struct settings, sample_rate, .initial = 16000, .least = 8000, .most = 48000, .unit = "Hz", .flags = PBX_SETTING_RESTART,
		 .help = "Rate of the samples inside the house: 8000, 16000 (HD voice), 24000 or 48000 (music, full-band conferences)"),
	PBX_UINT(struct settings, bitrate, .initial = 32000, .least = LEAST_BITRATE, .most = MOST_BITRATE, .unit = "bit/s",
		 .help = "Average rate of what we send, unless the other side asks for less"),
	PBX_UINT(struct settings, receive_bitrate, .initial = 0, .least = 0, .most = MOST_BITRATE, .unit = "bit/s",
		 .help = "Average rate that we ask others to send (maxaveragebitrate); 0 leaves it to them"),
	PBX_UINT(struct settings, complexity, .initial = 5, .least = 0, .most = 10,
		 .help = "How much CPU the encoder may spend on quality: 0 least, 10 most"),
	PBX_CHOICE(struct settings, application, .initial_text = "voip", .choices = PBX_CHOICES("voip", "audio", "lowdelay"),
		   .help = "What the encoder is tuned for: speech, music, or least delay (which has no repair of lost packets)"),
	PBX_BOOL(struct settings, fec, .initial = 1,
		 .help = "Ask that packets repeat the one before them (useinbandfec), and do so for who asks"),
	PBX_UINT(struct settings, expected_loss, .initial = 5, .least = 0, .most = 100, .unit = "%",
		 .help = "Loss to be prepared for until the other side has reported what it sees"),
	PBX_BOOL(struct settings, dtx, .initial = 0, .help = "Send next to nothing while it is quiet, and ask others to (usedtx)"),
};

PBX_PLUGIN(codec_opus)
= {
	PBX_PLUGIN_HEADER,
	.name = "codec_opus",
	.version = "1.0.0",
	.summary = "Opus: from narrow to full band, with repair of lost packets",
	.offers = PBX_OFFERS("pbx.codec/1"),
	.instance_size = sizeof(struct codec_opus),
	PBX_SETTINGS(struct settings, settings_rows),
	.load = opus_load,
	.offer = opus_offer,
	.settings_check = settings_check,
};
