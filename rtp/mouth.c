/*
 * mouth - resample, gather, encode, send
 *
 * The first packet after anything else carries the marker and a timestamp as much later as time has passed; then each is one packet
 * further, sent or not (DTX), whatever the clock of the wall does. Where the other side takes comfort noise (RFC 3389), and the settings say so, a
 * frame in which nobody speaks is not sent: now and then a packet tells how it sounds. An encoder that fails is told of, and the loop brings
 * another mouth (coding.c).
 */
#include "mouth.h"
#include "comfort.h"
#include "filter.h"
#include "injection.h"
#include "level.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct rtp_mouth {
	struct rtp_coder coder;
	struct rtp_filter *filter;       /* the session's */
	struct rtp_injection *injection; /* likewise */
	uint8_t type;
	uint16_t khz;
	uint32_t ptime_ms, frame_samples, frame_ticks;
	bool is_g711;
	uint32_t law;
	bool hushes; /* silence is described, in packets of noise_type */
	uint8_t noise_type;
	struct rtp_hush hush;
	struct rtp_resamplers from;
	uint32_t timestamp;  /* of the next packet, while talking */
	bool paused;         /* there was nothing to say: the next packet begins a talkspurt */
	uint32_t failing_ms; /* of frames that its encoder could do nothing with, one behind the other */
	uint32_t gathered;
	int16_t gathers[]; /* frame_samples */
};

/* ---- made and freed ---- [loop] */

static bool may_hush;

void rtp_mouth_configure(bool hushes)
{
	may_hush = hushes;
}

/* The next one to try, at first of those that have not failed; *at counts up to twice as many as there are. */
static const struct rtp_codec *next_known(const struct core_stream_config *config, uint32_t failed, uint32_t *at,
					  const struct core_codec **ret_remote)
{
	const struct rtp_codec *codec = NULL;

	for (; !codec && *at < 2u * config->codec_count; (*at)++) {
		uint32_t i = *at % config->codec_count;
		bool again = *at >= config->codec_count, has_failed = failed >> i & 1;

		*ret_remote = &config->codecs[i];
		codec = has_failed == again ? rtp_codec_find(*ret_remote) : NULL;
	}
	return codec;
}

const struct rtp_codec *rtp_mouth_codec_of(const struct core_stream_config *config, uint32_t failed)
{
	const struct core_codec *remote;
	uint32_t at = 0;

	return next_known(config, failed, &at, &remote);
}

static void note_law(struct rtp_mouth *mouth)
{
	bool mu = strcasecmp(mouth->coder.row.name, "PCMU") == 0;

	mouth->is_g711 = mouth->coder.row.clock_hz == 8000 && (mu || strcasecmp(mouth->coder.row.name, "PCMA") == 0);
	mouth->law = mu ? RTP_LAW_MU : RTP_LAW_A;
}

/* Comfort noise that goes with its codec: on the same clock. */
static void note_noise(struct rtp_mouth *mouth, const struct core_stream_config *config)
{
	if (mouth->coder.row.flags & PBX_CODEC_SILENCE)
		return;
	for (uint8_t i = 0; may_hush && i < config->codec_count; i++) {
		if (strcasecmp(config->codecs[i].name, "CN") != 0 || config->codecs[i].clock_hz != mouth->coder.row.clock_hz)
			continue;
		mouth->hushes = true;
		mouth->noise_type = config->codecs[i].payload_type & 0x7f;
		rtp_hush_init(&mouth->hush, mouth->coder.row.rate_hz);
	}
}

static int open_one(const struct core_stream_config *config, const struct rtp_codec *codec, const struct core_codec *remote,
		    uint32_t ptime_ms, uint32_t rates, void (*on_leaving)(void *context), void *context, struct rtp_mouth **ret_mouth)
{
	uint32_t made_ms = rtp_codec_ptime(remote, ptime_ms), samples = codec->row.rate_hz / 1000 * made_ms;
	struct rtp_mouth *mouth = calloc(1, sizeof *mouth + samples * sizeof mouth->gathers[0]);

	if (!mouth)
		return PBX_ENOMEM;
	mouth->ptime_ms = made_ms;
	mouth->frame_samples = samples;
	mouth->type = remote->payload_type & 0x7f;
	mouth->khz = (uint16_t)(codec->row.clock_hz / 1000);
	mouth->frame_ticks = mouth->khz * made_ms;
	int err = rtp_coder_open(remote, true, made_ms, on_leaving, context, &mouth->coder);

	if (err == PBX_OK)
		err = rtp_resamplers_open(&mouth->from, mouth->coder.row.rate_hz, false, rates);
	if (err != PBX_OK) {
		rtp_mouth_free(mouth);
		return err;
	}
	note_law(mouth);
	note_noise(mouth, config);
	*ret_mouth = mouth;
	return PBX_OK;
}

int rtp_mouth_new(const struct core_stream_config *config, uint32_t failed, uint32_t ptime_ms, uint32_t rates,
		  void (*on_leaving)(void *context), void *context, struct rtp_mouth **ret_mouth)
{
	const struct core_codec *remote;
	const struct rtp_codec *codec;
	int err = PBX_ENOTSUP;
	uint32_t at = 0;

	while (err != PBX_OK && (codec = next_known(config, failed, &at, &remote)))
		err = open_one(config, codec, remote, ptime_ms, rates, on_leaving, context, ret_mouth);
	return err;
}

void rtp_mouth_free(struct rtp_mouth *mouth)
{
	if (!mouth)
		return;
	rtp_coder_close(&mouth->coder);
	rtp_resamplers_close(&mouth->from);
	free(mouth);
}

/* ---- saying it ---- [media] */

uint32_t rtp_mouth_rate(const struct rtp_mouth *mouth)
{
	return mouth->coder.row.rate_hz;
}

uint32_t rtp_mouth_ptime_ms(const struct rtp_mouth *mouth)
{
	return mouth->ptime_ms;
}

bool rtp_mouth_fails(struct rtp_mouth *mouth, uint8_t *ret_type)
{
	if (mouth->failing_ms < RTP_CODEC_FAILS_MS)
		return false;
	mouth->failing_ms = 0;
	*ret_type = mouth->type;
	return true;
}

bool rtp_mouth_law(const struct rtp_mouth *mouth, uint32_t *ret_law)
{
	*ret_law = mouth->law;
	return mouth->is_g711 && !mouth->filter && !mouth->injection && !mouth->hushes;
}

void rtp_mouth_set_filter(struct rtp_mouth *mouth, struct rtp_filter *filter)
{
	mouth->filter = filter;
}

void rtp_mouth_set_injection(struct rtp_mouth *mouth, struct rtp_injection *injection)
{
	mouth->injection = injection;
}

void rtp_mouth_rest(struct rtp_session *session)
{
	session->talking = false;
	if (session->mouth)
		session->mouth->gathered = 0;
}

/* bytes 0: there was nothing to say, and time passes all the same. Only speech begins a talkspurt. */
static void send_payload(struct rtp_session *session, uint8_t *payload, uint32_t bytes, uint8_t type)
{
	struct rtp_mouth *mouth = session->mouth;
	bool speech = type == mouth->type, marker = speech && (!session->talking || mouth->paused);

	if (!rtp_can_send(session)) {
		rtp_mouth_rest(session);
		return;
	}
	if (!session->talking) {
		mouth->timestamp = rtp_next_timestamp(session, mouth->khz);
		rtp_relay_interrupted(session);
	}
	session->talking = true;
	mouth->paused = bytes == 0 || !speech;
	if (bytes > 0)
		rtp_send(session, payload, bytes, type, marker, (uint16_t)(session->sender.sequence + 1u), mouth->timestamp);
	mouth->timestamp += mouth->frame_ticks;
}

void rtp_mouth_give_payload(struct rtp_session *session, uint8_t *payload, uint32_t bytes)
{
	if (session->mouth)
		send_payload(session, payload, bytes, session->mouth->type);
}

/* Nobody speaks: the frame is described, or nothing of it is said. False: it is to be heard. */
static bool hush(struct rtp_session *session)
{
	struct rtp_mouth *mouth = session->mouth;
	uint8_t packet[RTP_HEADER_BYTES + RTP_COMFORT_MOST_BYTES], *payload = packet + RTP_HEADER_BYTES;
	uint32_t what = rtp_hush_note(&mouth->hush, mouth->gathers, mouth->frame_samples), bytes = 0;

	if (what == RTP_HUSH_SPEECH)
		return false;
	if (what == RTP_HUSH_TELL)
		bytes = rtp_comfort_describe(mouth->gathers, mouth->frame_samples, payload);
	send_payload(session, payload, bytes, mouth->noise_type);
	return true;
}

static void say_frame(struct rtp_session *session)
{
	struct rtp_mouth *mouth = session->mouth;
	uint8_t packet[RTP_HEADER_BYTES + PBX_CODEC_MOST_BYTES];

	if (mouth->injection)
		rtp_injection_speak(mouth->injection, mouth->coder.row.rate_hz, mouth->gathers, mouth->frame_samples);
	if (rtp_filter_takes(mouth->filter, mouth->coder.row.rate_hz))
		rtp_filter_heard(mouth->filter, mouth->gathers, mouth->frame_samples);
	mouth->gathered = 0;
	if (mouth->hushes && hush(session))
		return;
	int32_t bytes = mouth->coder.row.encode(mouth->coder.state, mouth->gathers, mouth->frame_samples, packet + RTP_HEADER_BYTES,
						PBX_CODEC_MOST_BYTES);

	bool fails = bytes < 0 || bytes > (int32_t)PBX_CODEC_MOST_BYTES;

	mouth->failing_ms = fails ? mouth->failing_ms + mouth->ptime_ms : 0;
	if (session->plan && session->plan->level_id)
		session->sender.level = rtp_level_of(mouth->gathers, mouth->frame_samples);
	send_payload(session, packet + RTP_HEADER_BYTES, fails ? 0 : (uint32_t)bytes, mouth->type);
	session->sender.level = 0;
}

static void gather(struct rtp_session *session, const int16_t *samples, uint32_t count)
{
	struct rtp_mouth *mouth = session->mouth;

	while (count > 0) {
		uint32_t room = mouth->frame_samples - mouth->gathered, some = room < count ? room : count;

		memcpy(mouth->gathers + mouth->gathered, samples, some * sizeof *samples);
		mouth->gathered += some;
		samples += some;
		count -= some;
		if (mouth->gathered == mouth->frame_samples)
			say_frame(session);
	}
}

void rtp_mouth_give(struct rtp_session *session, uint32_t rate_hz, const int16_t *samples, uint32_t count)
{
	struct rtp_mouth *mouth = session->mouth;
	int16_t own[RTP_MOST_FRAME_SAMPLES];

	if (!mouth)
		return;
	if (rate_hz != mouth->coder.row.rate_hz) {
		count = rtp_resample(&mouth->from, rate_hz, samples, count, own, RTP_MOST_FRAME_SAMPLES);
		samples = own;
	}
	gather(session, samples, count);
}
