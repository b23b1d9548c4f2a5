/*
 * room - two legs of different codecs
 *
 * What one says is put into its ear as it arrives, and taken by the other's clock, one packet of the other's at a time, at the rate of
 * the codec that was heard: it is resampled once, by the mouth. So packet times need not agree, and what is sent leaves
 * evenly however it came. A codec that both have is relayed even then; the type of each packet decides.
 */
#include "room.h"
#include "ear.h"
#include "mouth.h"
#include "worker.h"

#define EVENT_US 60000u /* an event has ended, or lost its end, when nothing of it has come for as long */

bool rtp_room_carries(const struct rtp_session *session, uint8_t type)
{
	const struct rtp_session *peer = session->peer;

	return peer && peer->mouth && session->ear && session->route->out[type] == RTP_OUT_NONE && rtp_ear_hears(session->ear, type);
}

void rtp_room_heard(struct rtp_session *session, const struct rtp_packet *packet)
{
	rtp_ear_put(session->ear, packet, session->worker->now_us);
	rtp_worker_wind(session->peer);
}

void rtp_room_event(struct rtp_session *session)
{
	session->event_until_us = session->worker->now_us + EVENT_US;
}

bool rtp_room_step(struct rtp_session *session)
{
	struct rtp_session *peer = session->peer;
	struct rtp_worker *worker = session->worker;
	int16_t samples[RTP_MOST_FRAME_SAMPLES];

	if (!peer || !peer->ear || !session->mouth)
		return false;
	if (!rtp_ear_is_heard(peer->ear)) {
		if (!session->injection)
			rtp_mouth_rest(session);
		return false;
	}
	uint32_t rate_hz = rtp_ear_rate(peer->ear), count = rate_hz / 1000 * rtp_mouth_ptime_ms(session->mouth);

	bool meant = rtp_ear_take(peer->ear, rate_hz, samples, count, worker->now_us);

	if (session->event_until_us > worker->now_us || (!meant && !session->injection))
		rtp_mouth_rest(session);
	else
		rtp_mouth_give(session, rate_hz, samples, count);
	return true;
}
