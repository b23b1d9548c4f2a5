/*
 * coding - which streams have an ear and a mouth, and when they get others
 *
 * A stream that is only relayed has neither. It gets an ear when its peer could not take a codec it may speak, or when somebody else
 * listens; a mouth when something is played to it, or its peer is heard by ear. Both are made for what was negotiated: when that
 * changes, a plugin with one of the codecs goes, or a codec fails, others take their place with the next command, and the old ones come back to
 * be freed.
 */
#include "ear.h"
#include "engine_inner.h"
#include "filter.h"
#include "inband.h"
#include "mouth.h"
#include "plan.h"
#include "recorder.h"
#include "sound.h"

#include <string.h>
#include <strings.h>

#define RENEW_EAR 1u
#define RENEW_MOUTH 2u

struct needs {
	bool ear, mouth, inband;
	uint32_t ear_rates, mouth_rates;
};

static bool same_codec(const struct core_codec *a, const struct core_codec *b)
{
	return strcasecmp(a->name, b->name) == 0 && a->clock_hz == b->clock_hz && a->channels == b->channels &&
	       a->payload_type == b->payload_type && strcmp(a->fmtp, b->fmtp) == 0;
}

bool rtp_coding_differs(const struct core_stream_config *a, const struct core_stream_config *b)
{
	if (a->codec_count != b->codec_count || a->ptime_ms != b->ptime_ms)
		return true;
	for (uint8_t i = 0; i < a->codec_count; i++) {
		if (!same_codec(&a->codecs[i], &b->codecs[i]) || a->receive_types[i] != b->receive_types[i])
			return true;
	}
	return false;
}

bool rtp_coding_carries(const struct rtp_stream *a, const struct rtp_stream *b)
{
	return a->filter_wanted.owner || b->filter_wanted.owner || a->injection || b->injection ||
	       rtp_engine.settings->jitter_buffer.passthrough ||
	       (a->configured && b->configured &&
		(rtp_route_lacks_noise(a->config, b->config) || rtp_route_lacks_noise(b->config, a->config)));
}

/* Its keys are tones, and somebody wants to hear of them or gets them another way. */
static bool needs_inband(const struct rtp_stream *stream)
{
	const struct rtp_stream *peer = stream->peer;
	bool converted = stream->room || (peer && peer->configured && peer->config->digits != CORE_DIGITS_TONES);

	return stream->config->digits == CORE_DIGITS_TONES && (!stream->keys_unheeded || converted || rtp_recorder_wants_keys(stream));
}

static struct needs needs_of(const struct rtp_stream *stream)
{
	const struct rtp_stream *peer = stream->peer;
	struct needs needs = { .ear_rates = stream->ear_rates_asked, .mouth_rates = stream->mouth_rates_asked };

	if (!stream->configured)
		return needs;
	needs.ear = stream->ear_users > 0;
	needs.inband = needs_inband(stream);
	needs.mouth = stream->speaks || stream->mouth_rates_asked != 0 || stream->injection;
	if (stream->speaks)
		needs.mouth_rates |= rtp_rate_bit(RTP_SOUND_HZ);
	if (!peer || !peer->configured)
		return needs;
	bool carries = rtp_coding_carries(stream, peer);

	needs.ear = needs.ear || carries || rtp_route_lacks(stream->config, peer->config, false);
	if (carries || rtp_route_lacks(peer->config, stream->config, false)) {
		needs.mouth = true;
		needs.mouth_rates |= rtp_codecs_rates(peer->config->codecs, peer->config->codec_count);
	}
	return needs;
}

/* One of its codecs is being taken away: it goes on with those that are left. */
static void on_leaving(void *context)
{
	struct rtp_stream *stream = rtp_stream_find((core_stream){ (uint64_t)(uintptr_t)context });

	if (stream)
		(void)rtp_coding_settle(stream, NULL, true); /* without memory the code stays until the call is over */
}

/* None of its codecs is ours: then it has none, which is no error. */
static int make_ear(struct rtp_stream *stream, uint32_t rates, struct rtp_ear **ret_ear)
{
	int err = rtp_ear_new(stream->config, rates, on_leaving, (void *)(uintptr_t)stream->id, ret_ear);

	if (err == PBX_OK && rtp_read(&stream->session.counters.packets_in) > 0)
		rtp_ear_go_on(*ret_ear);
	return err == PBX_ENOTSUP ? PBX_OK : err;
}

static int make_mouth(struct rtp_stream *stream, uint32_t rates, struct rtp_mouth **ret_mouth)
{
	int err = rtp_mouth_new(stream->config, stream->failed, rtp_plan_ptime_ms(stream->config), rates, on_leaving,
				(void *)(uintptr_t)stream->id, ret_mouth);

	return err == PBX_ENOTSUP ? PBX_OK : err;
}

/* What is to be changed, into command. */
static int fill(struct rtp_stream *stream, const struct needs *needs, uint32_t renews, struct rtp_command *command)
{
	bool other_ear = needs->ear && (!stream->ear || renews & RENEW_EAR || needs->ear_rates & ~stream->ear_rates);
	bool other_mouth = needs->mouth && (!stream->mouth || renews & RENEW_MOUTH || needs->mouth_rates & ~stream->mouth_rates);
	int err = PBX_OK;

	if (other_ear)
		err = make_ear(stream, needs->ear_rates, &command->ear);
	if (err == PBX_OK && other_mouth)
		err = make_mouth(stream, needs->mouth_rates, &command->mouth);
	if (err == PBX_OK && needs->inband && !stream->inband)
		err = rtp_inband_new(&command->inband);
	if (err != PBX_OK) {
		rtp_ear_free(command->ear);
		rtp_mouth_free(command->mouth);
		command->ear = NULL;
		command->mouth = NULL;
		return err;
	}
	command->brings_inband = needs->inband != (stream->inband != NULL);
	command->brings_ear = other_ear || (!needs->ear && stream->ear);
	command->brings_mouth = other_mouth || (!needs->mouth && stream->mouth);
	return PBX_OK;
}

/* The rate at which the stream's filter works: that of what we send. 0: it has none, or nothing to work on. */
static uint32_t filter_rate(const struct rtp_stream *stream)
{
	if (!stream->filter_wanted.owner || !stream->configured)
		return 0;
	const struct rtp_codec *codec = rtp_mouth_codec_of(stream->config, stream->failed);

	return codec ? codec->row.rate_hz : 0;
}

static int fill_filter(struct rtp_stream *stream, bool another, struct rtp_command *command)
{
	uint32_t rate_hz = filter_rate(stream), rate_before_hz = stream->filter ? stream->filter->rate_hz : 0;
	int err = PBX_OK;

	if (!another && rate_hz == rate_before_hz)
		return PBX_OK;
	if (rate_hz)
		err = rtp_filter_new(&stream->filter_wanted, rate_hz, &command->filter);
	command->brings_filter = err == PBX_OK && (rate_hz || stream->filter);
	return err;
}

static void note(struct rtp_stream *stream, const struct needs *needs, const struct rtp_command *command)
{
	if (command->brings_ear) {
		stream->ear = command->ear;
		stream->ear_rates = needs->ear_rates;
	}
	if (command->brings_mouth) {
		stream->mouth = command->mouth;
		stream->mouth_rates = needs->mouth_rates;
	}
	if (command->brings_inband)
		stream->inband = command->inband;
	if (command->brings_filter)
		stream->filter = command->filter;
}

static int settle(struct rtp_stream *stream, struct rtp_command *command, uint32_t renews, bool refilters)
{
	struct needs needs = needs_of(stream);
	struct rtp_command *own = NULL;

	if (!command && !needs.ear && !needs.mouth && !needs.inband && !stream->ear && !stream->mouth && !stream->inband && !refilters)
		return PBX_OK; /* most calls */
	if (!command)
		command = own = rtp_command_new(RTP_CODE, stream);
	if (!command)
		return PBX_ENOMEM;
	int err = fill_filter(stream, refilters, command);

	if (err == PBX_OK)
		err = fill(stream, &needs, renews, command);
	if (err == PBX_OK) {
		note(stream, &needs, command);
	} else {
		rtp_filter_free(command->filter);
		command->filter = NULL;
		command->brings_filter = false;
	}
	if (own && err == PBX_OK && (own->brings_ear || own->brings_mouth || own->brings_filter || own->brings_inband))
		rtp_engine_send(own);
	else
		rtp_command_free(own);
	return err;
}

int rtp_coding_settle(struct rtp_stream *stream, struct rtp_command *command, bool renews)
{
	return settle(stream, command, renews ? RENEW_EAR | RENEW_MOUTH : 0, false);
}

int rtp_coding_refilter(struct rtp_stream *stream)
{
	return settle(stream, NULL, 0, true);
}

/* Which codec of the configuration it is; one of an older plan is none. */
static bool find_failing(const struct rtp_stream *stream, const struct rtp_event *event, uint32_t *ret_at)
{
	const struct core_stream_config *config = stream->config;
	bool found = false;

	for (uint8_t i = 0; !found && event->plan == stream->plans && i < config->codec_count; i++) {
		uint8_t type = event->encodes ? config->codecs[i].payload_type : config->receive_types[i];

		*ret_at = i;
		found = (type & 0x7f) == event->type && rtp_codec_find(&config->codecs[i]);
	}
	return found;
}

void rtp_coding_fails(struct rtp_stream *stream, const struct rtp_event *event)
{
	uint32_t at = 0;

	if (!find_failing(stream, event, &at))
		return;
	struct core_codec codec = stream->config->codecs[at]; /* whoever hears of it may configure the stream anew */

	if (event->encodes)
		stream->failed |= UINT32_C(1) << at;
	(void)settle(stream, NULL, event->encodes ? RENEW_MOUTH : RENEW_EAR, false); /* no memory: it is told again */
	core_media_on_codec_failed((core_stream){ stream->id }, &codec, event->encodes);
}

bool rtp_coding_is_transcoded(const struct rtp_stream *stream)
{
	const struct rtp_stream *peer = stream->peer;

	return peer && stream->configured && peer->configured &&
	       (rtp_route_lacks(stream->config, peer->config, true) || rtp_route_lacks(peer->config, stream->config, true));
}
