/*
 * injection - from a plugin's ring into what a party hears
 *
 * Its place is behind all that speaks to the party and before the filter and the encoder, so it does not matter who else speaks: relay, player,
 * room. What it is mixed into becomes softer (or nothing) over one packet, not at once, so there is no click; so does its return.
 */
#include "injection.h"
#include "engine_inner.h"
#include "mouth.h"
#include "resampler.h"

#include <core/inject_writer.h>
#include <core/owner.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNITY 4096 /* Q12 */
#define ALL_RATES ((1u << RTP_RATES) - 1u)

struct rtp_injection {
	struct pbx_inject_writer *writer;
	uint32_t rate_hz;
	int32_t gain, under; /* Q12 */
	bool alone;
	struct rtp_resamplers to;

	/* The worker's. */
	struct rtp_session *session;
	int32_t under_now;
	bool speaks, spoke_ever,
		untold; /* speaks: the newest packet had something of it; untold: it ran dry, and the ring of events was full */
	_Atomic uint64_t said, silent; /* samples at rate_hz */
	_Atomic uint32_t drained;

	/* [loop] */
	uint64_t id;
	pbx_leg leg;
	struct rtp_stream *stream; /* NULL: it has been left */
	struct core_charge charge;
	struct pbx_host *owner;
	struct pbx_inject_watcher watcher;
	void *self;
	struct rtp_command *leave; /* there beforehand, so that leaving cannot fail */
	bool away, closed;         /* away: the worker has let go of it */
};

static struct core_handles injections;

/* ---- samples ---- [media] */

static int16_t bounded(int64_t sample)
{
	return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

static void tell_drained(struct rtp_injection *injection)
{
	const struct rtp_event event = { .stream = injection->session->stream, .kind = RTP_EVENT_DRAINED };

	injection->untold = !rtp_worker_tell(injection->session->worker, &event);
}

/* Samples at its own rate, silent where there are none. False: there was none at all. */
static bool take(struct rtp_injection *injection, int16_t *ret_samples, uint32_t count)
{
	uint32_t got = core_inject_writer_take(injection->writer, ret_samples, count);
	bool runs_dry = injection->speaks && got < count;

	memset(ret_samples + got, 0, (count - got) * sizeof *ret_samples);
	injection->speaks = got == count;
	injection->spoke_ever = injection->spoke_ever || got;
	rtp_count(&injection->said, got);
	if (injection->spoke_ever)
		rtp_count(&injection->silent, count - got);
	if (runs_dry || (got && got < count))
		rtp_write(&injection->drained, rtp_read(&injection->drained) + 1);
	if (runs_dry || (got && got < count) || injection->untold)
		tell_drained(injection);
	return got;
}

static void mix(struct rtp_injection *injection, const int16_t *voice, bool sounds, int16_t *samples, uint32_t count)
{
	int32_t under = injection->alone ? 0 : sounds ? injection->under : UNITY, from = injection->under_now;

	for (uint32_t i = 0; i < count; i++) {
		int64_t gain = from + (int64_t)(under - from) * (i + 1) / count;

		samples[i] = bounded((samples[i] * gain + (sounds ? (int64_t)voice[i] * injection->gain : 0)) / UNITY);
	}
	injection->under_now = under;
}

void rtp_injection_speak(struct rtp_injection *injection, uint32_t rate_hz, int16_t *samples, uint32_t count)
{
	int16_t own[RTP_MOST_FRAME_SAMPLES], voice[RTP_MOST_FRAME_SAMPLES];
	uint32_t own_count = (uint32_t)((uint64_t)count * injection->rate_hz / rate_hz);
	bool sounds = own_count <= RTP_MOST_FRAME_SAMPLES && rtp_rate_bit(rate_hz) && take(injection, own, own_count);

	if (sounds) {
		uint32_t got = rtp_resample(&injection->to, rate_hz, own, own_count, voice, count);

		memset(voice + got, 0, (count - got) * sizeof *voice);
	}
	mix(injection, voice, sounds, samples, count);
}

bool rtp_injection_step(struct rtp_session *session)
{
	static const int16_t silence[RTP_MOST_FRAME_SAMPLES];
	bool is_free = session->mouth && !session->member && !session->play;

	if (session->injection && is_free)
		rtp_mouth_give(session, rtp_mouth_rate(session->mouth), silence,
			       rtp_mouth_rate(session->mouth) / 1000 * rtp_mouth_ptime_ms(session->mouth));
	return session->injection;
}

struct rtp_injection *rtp_injection_put(struct rtp_session *session, struct rtp_injection *injection)
{
	struct rtp_injection *before = session->injection;

	session->injection = injection;
	if (session->mouth)
		rtp_mouth_set_injection(session->mouth, injection);
	if (injection) {
		injection->session = session;
		rtp_worker_wind(session);
	}
	return before;
}

/* ---- its life ---- [loop] */

void rtp_injections_init(void)
{
	core_handles_init(&injections, 'I');
}

static void injection_free(struct rtp_injection *injection)
{
	if (!injection)
		return;
	core_handle_free(&injections, injection->id);
	core_charge_remove(&injection->charge);
	rtp_resamplers_close(&injection->to);
	core_inject_writer_free(injection->writer);
	rtp_command_free(injection->leave);
	free(injection);
}

static int32_t q12_of(int32_t gain_cdb)
{
	return (int32_t)lround(UNITY * pow(10.0, gain_cdb / 2000.0));
}

static struct rtp_injection *injection_new(struct rtp_stream *stream, const struct pbx_inject_spec *spec)
{
	struct rtp_injection *injection = calloc(1, sizeof *injection);

	if (!injection)
		return NULL;
	injection->rate_hz = spec->rate_hz;
	injection->gain = q12_of(spec->gain_cdb);
	injection->under = q12_of(spec->under_gain_cdb);
	injection->under_now = UNITY;
	injection->alone = spec->how == PBX_INJECT_ALONE;
	injection->writer = core_inject_writer_new(spec->rate_hz / 1000 * spec->room_ms);
	injection->leave = rtp_command_new(RTP_INJECT, stream);
	injection->id = core_handle_new(&injections, injection);
	if (injection->writer && injection->leave && injection->id &&
	    rtp_resamplers_open(&injection->to, spec->rate_hz, true, ALL_RATES) == PBX_OK)
		return injection;
	injection_free(injection);
	return NULL;
}

/* Its mouth and its peer's ear come before it speaks, and go after it. */
static int settle(struct rtp_stream *stream)
{
	int err = rtp_coding_settle(stream, NULL, false);

	if (err != PBX_OK || !stream->peer)
		return err;
	err = rtp_coding_settle(stream->peer, NULL, false);
	return err == PBX_OK ? rtp_stream_reroute(stream) : err;
}

static void leave_stream(struct rtp_injection *injection)
{
	struct rtp_stream *stream = injection->stream;
	struct rtp_command *leave = injection->leave;

	if (!stream)
		return;
	injection->stream = NULL;
	injection->leave = NULL;
	stream->injection = NULL;
	rtp_engine_send(leave);
}

static void on_owner_stopped(struct core_charge *charge)
{
	struct rtp_injection *injection = (struct rtp_injection *)((char *)charge - offsetof(struct rtp_injection, charge));

	(void)rtp_injection_close((pbx_injection){ injection->id }); /* it is there */
}

int rtp_injection_open(struct pbx_host *owner, core_stream name, pbx_leg leg, const struct pbx_inject_spec *spec,
		       const struct pbx_inject_watcher *watcher, void *self, pbx_injection *ret_injection)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	if (stream->injection)
		return PBX_EBUSY;
	struct rtp_injection *injection = injection_new(stream, spec);
	struct rtp_command *begin = rtp_command_new(RTP_INJECT, stream);

	if (!injection || !begin) {
		injection_free(injection);
		rtp_command_free(begin);
		return PBX_ENOMEM;
	}
	stream->injection = injection;
	int err = settle(stream);

	if (err != PBX_OK) {
		stream->injection = NULL;
		injection_free(injection);
		rtp_command_free(begin);
		return err;
	}
	begin->injection = injection;
	rtp_engine_send(begin);
	injection->stream = stream;
	injection->leg = leg;
	injection->owner = owner;
	injection->watcher = *watcher;
	injection->self = self;
	core_charge_add(owner, &injection->charge, "injection", true, on_owner_stopped);
	*ret_injection = (pbx_injection){ injection->id };
	return PBX_OK;
}

int rtp_injection_close(pbx_injection name)
{
	struct rtp_injection *injection = core_handle_find(&injections, name.id);

	if (!injection)
		return PBX_ENOENT;
	struct rtp_stream *stream = injection->stream;

	injection->closed = true;
	core_handle_free(&injections, injection->id);
	core_charge_remove(&injection->charge);
	injection->id = 0;
	leave_stream(injection);
	if (stream)
		(void)settle(stream); /* without memory it stays decoded and encoded, and nobody hears a difference */
	if (injection->away)
		injection_free(injection);
	return PBX_OK;
}

void rtp_injection_leave(struct rtp_stream *stream)
{
	if (stream->injection)
		leave_stream(stream->injection);
}

void rtp_injection_drained(struct rtp_stream *stream)
{
	struct rtp_injection *injection = stream->injection;

	if (injection && injection->watcher.drained)
		CORE_INTO(injection->owner, injection->watcher.drained(injection->self, (pbx_injection){ injection->id }));
}

void rtp_injection_returned(struct rtp_command *command)
{
	struct rtp_injection *injection = command->injection;

	if (!injection)
		return; /* there was none before */
	injection->away = true;
	if (injection->closed)
		injection_free(injection);
	else if (injection->watcher.ended)
		CORE_INTO(injection->owner, injection->watcher.ended(injection->self, (pbx_injection){ injection->id }));
}

int rtp_injection_writer(pbx_injection name, struct pbx_inject_writer **ret_writer)
{
	const struct rtp_injection *injection = core_handle_find(&injections, name.id);

	if (!injection)
		return PBX_ENOENT;
	*ret_writer = injection->writer;
	return PBX_OK;
}

int rtp_injection_state(pbx_injection name, struct pbx_inject_state *ret_state)
{
	const struct rtp_injection *injection = core_handle_find(&injections, name.id);

	if (!injection)
		return PBX_ENOENT;
	uint32_t khz = injection->rate_hz / 1000;

	ret_state->ended = !injection->stream;
	ret_state->leg = injection->leg.id;
	ret_state->waiting_ms = core_inject_writer_waiting(injection->writer) / khz;
	ret_state->said_ms = rtp_read(&injection->said) / khz;
	ret_state->silent_ms = rtp_read(&injection->silent) / khz;
	ret_state->flushed_ms = core_inject_writer_flushed(injection->writer) / khz;
	ret_state->drained = rtp_read(&injection->drained);
	return PBX_OK;
}
