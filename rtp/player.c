/*
 * player - what a leg hears from us: sounds, shared sources, digits, frames cut anew
 *
 * Called by the worker's clock once in a ptime. The first frame after anything else carries the marker and a timestamp as
 * much later as time has passed; then each is one frame further, whatever the clock of the wall does. Whoever cannot hear us
 * now (no address yet, held) misses it: a programme goes on.
 */
#include "sound.h"
#include "source.h"

#include <pbx/calls.h>
#include <string.h>

#define MOST_FRAME_SAMPLES 800u /* RTP_MOST_PTIME_MS at 8 kHz */

static void begin_sound(struct rtp_play *play, uint32_t at)
{
	play->sound_at = at;
	play->sound = play->sounds[at];
	play->block = play->sound->first;
	play->block_at = 0;
}

void rtp_player_start(struct rtp_session *session, struct rtp_play *play)
{
	rtp_player_end(session, PBX_MEDIA_STOPPED);
	session->play = play;
	if (play->sound_count)
		begin_sound(play, 0);
	rtp_relay_interrupted(session);
	if (play->kind != CORE_PLAY_ECHO)
		rtp_worker_wind(session);
}

void rtp_player_end(struct rtp_session *session, uint32_t how)
{
	struct rtp_play *play = session->play;

	if (!play)
		return;
	session->play = NULL;
	session->talking = false;
	rtp_relay_interrupted(session);
	play->how = how;
	rtp_worker_return(session->worker, &play->command);
}

/* At the end of a sound's last block: the next sound of a list, or the same from its beginning. False: that was all. */
static bool continues(struct rtp_play *play)
{
	if (play->sound_at + 1 < play->sound_count) {
		begin_sound(play, play->sound_at + 1);
		return true;
	}
	if (!play->repeats || rtp_read(&play->sound->first->used) == 0)
		return false;
	begin_sound(play, play->sound_at);
	return true;
}

/* The next samples of a sound. Fewer than asked for: its end when ret_ended, else the decoder is behind. */
static uint32_t take_samples(struct rtp_play *play, int16_t *ret_samples, uint32_t count, bool *ret_ended)
{
	uint32_t done = 0;

	*ret_ended = false;
	while (done < count) {
		bool complete = atomic_load_explicit(&play->sound->complete, memory_order_acquire);
		uint32_t used = atomic_load_explicit(&play->block->used, memory_order_acquire), have = used - play->block_at;
		uint32_t some = have < count - done ? have : count - done;

		memcpy(ret_samples + done, play->block->samples + play->block_at, some * sizeof *ret_samples);
		done += some;
		play->block_at += some;
		if (some > 0)
			continue;
		const struct rtp_sound_block *next = atomic_load_explicit(&play->block->next, memory_order_acquire);

		if (!next && !complete)
			break;
		if (next) {
			play->block = next;
			play->block_at = 0;
		} else if (!continues(play)) {
			*ret_ended = true;
			break;
		}
	}
	return done;
}

/* A frame of the session's law. False: the sound was over already. */
static bool sound_frame(struct rtp_session *session, uint8_t *ret_codes, uint32_t count)
{
	int16_t samples[MOST_FRAME_SAMPLES];
	bool ended;
	uint32_t got = take_samples(session->play, samples, count, &ended);

	if (got == 0 && ended)
		return false;
	memset(samples + got, 0, (count - got) * sizeof *samples);
	rtp_g711_encode_all(rtp_kind_law(session->plan->send_kind), samples, ret_codes, count);
	return true;
}

static void send_frame(struct rtp_session *session, uint8_t *payload, uint32_t bytes)
{
	const struct rtp_sender *sender = &session->sender;
	uint32_t timestamp = session->talking ? sender->timestamp + bytes : rtp_next_timestamp(session, 8);

	if (!rtp_can_send(session)) {
		session->talking = false;
		return;
	}
	rtp_send(session, payload, bytes, session->plan->send_type, !session->talking, (uint16_t)(sender->sequence + 1u), timestamp);
	session->talking = true;
}

static void play_frame(struct rtp_session *session)
{
	uint8_t packet[RTP_HEADER_BYTES + MOST_FRAME_SAMPLES], *payload = packet + RTP_HEADER_BYTES;
	uint32_t bytes = 8u * session->plan->ptime_ms;
	struct rtp_play *play = session->play;
	bool goes_on;

	if (session->plan->send_kind == RTP_KIND_NONE) {
		rtp_player_end(session, PBX_MEDIA_FAILED); /* the peer takes nothing that we can make */
		return;
	}
	if (play->kind == CORE_PLAY_SOURCE)
		goes_on = rtp_source_take(play, rtp_kind_law(session->plan->send_kind), payload, bytes);
	else
		goes_on = sound_frame(session, payload, bytes);
	if (goes_on)
		send_frame(session, payload, bytes);
	else
		rtp_player_end(session, PBX_MEDIA_FINISHED);
}

static bool plays_by_clock(const struct rtp_session *session)
{
	return session->play && session->play->kind != CORE_PLAY_ECHO;
}

bool rtp_player_step(struct rtp_session *session)
{
	if (!session->plan)
		return false; /* what waits begins when we know where to send it */
	if (session->digits) {
		session->talking = false;
		rtp_dtmf_send_next(session);
		return session->digits || plays_by_clock(session);
	}
	if (plays_by_clock(session)) {
		play_frame(session);
		return plays_by_clock(session) || session->digits;
	}
	return rtp_relay_frame(session);
}
