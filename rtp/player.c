/*
 * player - what a leg hears by our clock: sounds, shared sources, digits, frames cut anew, a peer of another codec,
 * what a plugin says
 *
 * Called by the worker's clock once in a ptime. Whatever it is is said by the session's mouth, in the leg's codec. Whoever cannot
 * hear us now (no address yet, held) misses it: a programme goes on.
 */
#include "injection.h"
#include "mouth.h"
#include "room.h"
#include "sound.h"
#include "source.h"

#include <pbx/calls.h>
#include <string.h>

#define MOST_FRAME_SAMPLES (RTP_SOUND_HZ / 1000u * PBX_CODEC_MOST_PTIME_MS)

static void begin_sound(struct rtp_play *play, uint32_t at)
{
	play->sound_at = at;
	play->sound = play->sounds[at];
	play->block = play->sound->first;
	play->block_at = 0;
}

void rtp_play_begin(struct rtp_play *play)
{
	if (play->sound_count)
		begin_sound(play, 0);
}

void rtp_player_start(struct rtp_session *session, struct rtp_play *play)
{
	rtp_player_end(session, PBX_MEDIA_STOPPED);
	session->play = play;
	rtp_play_begin(play);
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
	rtp_mouth_rest(session);
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

/* The next count narrow samples of a sound, or twice as many wide ones. Fewer: its end when ret_ended, else the decoder is behind. */
static uint32_t take_samples(struct rtp_play *play, bool wide, int16_t *ret_samples, uint32_t count, bool *ret_ended)
{
	uint32_t done = 0;

	*ret_ended = false;
	while (done < count) {
		bool complete = atomic_load_explicit(&play->sound->complete, memory_order_acquire);
		uint32_t used = atomic_load_explicit(&play->block->used, memory_order_acquire), have = used - play->block_at;
		uint32_t some = have < count - done ? have : count - done;

		if (wide)
			memcpy(ret_samples + 2 * done, play->block->wide + 2 * play->block_at, 2 * some * sizeof *ret_samples);
		else
			memcpy(ret_samples + done, play->block->narrow + play->block_at, some * sizeof *ret_samples);
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

bool rtp_play_take(struct rtp_play *play, uint32_t rate_hz, int16_t *ret_samples, uint32_t count)
{
	uint32_t width = rate_hz / RTP_NARROW_HZ;
	bool ended;
	uint32_t got = width * take_samples(play, width > 1, ret_samples, count / width, &ended);

	if (got == 0 && ended)
		return false;
	memset(ret_samples + got, 0, (count - got) * sizeof *ret_samples);
	return true;
}

/* Shared sources come in both laws already: one copy, no encoding. */
static bool say_shared(struct rtp_session *session, uint32_t law)
{
	uint8_t packet[RTP_HEADER_BYTES + MOST_FRAME_SAMPLES], *payload = packet + RTP_HEADER_BYTES;
	uint32_t bytes = 8u * rtp_mouth_ptime_ms(session->mouth);

	if (!rtp_source_take_codes(session->play, law, payload, bytes))
		return false;
	rtp_mouth_give_payload(session, payload, bytes);
	return true;
}

static bool say_samples(struct rtp_session *session)
{
	int16_t samples[MOST_FRAME_SAMPLES];
	struct rtp_play *play = session->play;
	bool shared = play->kind == CORE_PLAY_SOURCE;
	uint32_t rate_hz = !shared && rtp_mouth_rate(session->mouth) == RTP_NARROW_HZ ? RTP_NARROW_HZ : RTP_SOUND_HZ;
	uint32_t count = rate_hz / 1000u * rtp_mouth_ptime_ms(session->mouth);

	if (!(shared ? rtp_source_take(play, samples, count) : rtp_play_take(play, rate_hz, samples, count)))
		return false;
	rtp_mouth_give(session, rate_hz, samples, count);
	return true;
}

static void play_frame(struct rtp_session *session)
{
	uint32_t law;

	if (!session->mouth) {
		rtp_player_end(session, PBX_MEDIA_FAILED); /* the peer takes no codec that we have */
		return;
	}
	bool goes_on = session->play->kind == CORE_PLAY_SOURCE && rtp_mouth_law(session->mouth, &law) ? say_shared(session, law)
												      : say_samples(session);

	if (!goes_on)
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
		if (!session->digits->tones)
			rtp_mouth_rest(session);
		rtp_dtmf_send_next(session);
		return session->digits || plays_by_clock(session) || session->injection;
	}
	if (plays_by_clock(session)) {
		play_frame(session);
		return plays_by_clock(session) || session->digits || session->injection;
	}
	return rtp_relay_frame(session) || rtp_room_step(session) || rtp_injection_step(session);
}
