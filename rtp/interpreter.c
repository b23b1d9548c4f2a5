/* interpreter - decoders for what a tap's packets are named */
#include "interpreter.h"
#include "engine_inner.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_TONGUES_KEPT 8u /* plans that packets in the ring may still be of */

/* ---- decoders ---- */

static bool same_codec(const struct core_codec *a, const struct core_codec *b)
{
	return strcasecmp(a->name, b->name) == 0 && a->clock_hz == b->clock_hz && strcmp(a->fmtp, b->fmtp) == 0;
}

static int32_t decode_by_codec(struct rtp_speech *speech, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples)
{
	const struct rtp_coder *coder = speech->context;

	return coder->row.decode(coder->state, payload, bytes, ret_samples, RTP_SPEECH_SAMPLES);
}

static int32_t conceal_by_codec(struct rtp_speech *speech, int16_t *ret_samples, uint32_t count)
{
	const struct rtp_coder *coder = speech->context;

	coder->row.conceal(coder->state, ret_samples, count);
	return (int32_t)count;
}

/* False: we cannot decode it, and the party is silent. */
static bool open_voice(const struct rtp_interpreter *interpreter, struct rtp_known_voice *known, const struct core_codec *codec)
{
	bool is_mu = strcasecmp(codec->name, "PCMU") == 0, is_a = strcasecmp(codec->name, "PCMA") == 0;

	if (is_mu || is_a) {
		rtp_speech_g711(&known->voice, is_mu ? RTP_LAW_MU : RTP_LAW_A);
		return true;
	}
	if (rtp_coder_open(codec, false, 0, interpreter->on_leaving, interpreter->context, &known->coder) != PBX_OK)
		return false;
	const struct pbx_codec *row = &known->coder.row;

	known->voice = (struct rtp_speech){ .clock_hz = row->clock_hz,
					    .rate_hz = row->rate_hz,
					    .decode = decode_by_codec,
					    .conceal = row->conceal ? conceal_by_codec : NULL,
					    .context = &known->coder };
	return true;
}

static struct rtp_speech *find_voice(struct rtp_interpreter *interpreter, uint8_t direction, const struct core_codec *codec)
{
	for (struct rtp_known_voice *known = interpreter->voices; known; known = known->next) {
		if (known->direction == direction && same_codec(&known->codec, codec))
			return &known->voice;
	}
	struct rtp_known_voice *known = calloc(1, sizeof *known);

	if (!known || !open_voice(interpreter, known, codec)) {
		free(known);
		return NULL;
	}
	known->codec = *codec;
	known->direction = direction;
	known->next = interpreter->voices;
	interpreter->voices = known;
	return &known->voice;
}

struct rtp_tongue *rtp_tongue_make(struct rtp_interpreter *interpreter, const struct rtp_stream *stream)
{
	const struct core_stream_config *config = stream->config;
	struct rtp_tongue *tongue = calloc(1, sizeof *tongue);

	if (!tongue)
		return NULL;
	tongue->plan = stream->plans;
	for (uint8_t i = 0; i < config->codec_count; i++) {
		const struct core_codec *codec = &config->codecs[i];

		tongue->voices[RTP_SAYS][config->receive_types[i] & 0x7f] = find_voice(interpreter, RTP_SAYS, codec);
		tongue->voices[RTP_HEARS][codec->payload_type & 0x7f] = find_voice(interpreter, RTP_HEARS, codec);
	}
	return tongue;
}

void rtp_interpreter_close(struct rtp_interpreter *interpreter)
{
	while (interpreter->voices) {
		struct rtp_known_voice *known = interpreter->voices;

		interpreter->voices = known->next;
		rtp_coder_close(&known->coder);
		free(known);
	}
}

/* ---- the thread's ---- */

void rtp_interpreter_learn(struct rtp_interpreter *interpreter, struct rtp_tongue *tongue)
{
	struct rtp_tongue **at = &interpreter->tongue;

	tongue->next = interpreter->tongue;
	interpreter->tongue = tongue;
	for (uint32_t i = 0; *at && i < MOST_TONGUES_KEPT; i++)
		at = &(*at)->next;
	if (*at) {
		free(*at);
		*at = NULL;
	}
}

struct rtp_speech *rtp_interpreter_voice(const struct rtp_interpreter *interpreter, const struct rtp_tap_packet *packet)
{
	const struct rtp_tongue *tongue = interpreter->tongue;

	while (tongue && tongue->plan != packet->plan)
		tongue = tongue->next;
	return tongue ? tongue->voices[packet->direction][packet->type & 0x7f] : NULL;
}

void rtp_interpreter_forget(struct rtp_interpreter *interpreter)
{
	while (interpreter->tongue) {
		struct rtp_tongue *tongue = interpreter->tongue;

		interpreter->tongue = tongue->next;
		free(tongue);
	}
}
