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
