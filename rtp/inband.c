/*
 * inband - spandsp's receiver on packets of G.711
 *
 * It works in blocks of 102 samples and believes a key, and its end, when two blocks agree: 26 ms. So a key is cut off its packets from the second or
 * third on, and what is left of it is too short for any other receiver (Q.24 wants 40 ms). Limits are those of ITU-T Q.24.
 */
#include "inband.h"
#include "worker.h"

#include <pbx/abi.h>
#include <spandsp.h>
#include <stdlib.h>
#include <string.h>

#define KHZ 8u
#define PIECE 16u          /* samples that are looked at together: how exactly an end is known */
#define MOST_PACKET 1600u  /* samples: longer packets of G.711 are nobody's */
#define MOST_MISSING 2000u /* samples: what is missing for longer was a pause, or the stream has begun anew */
#define GONE_MS 200u       /* without a packet: the key was let go */
#define HIGH_OVER_LOW_DB 4 /* what is believed: */
#define LOW_OVER_HIGH_DB 8
#define LEAST_DBM0 (-40)

struct rtp_inband {
	dtmf_rx_state_t *rx;
	uint64_t fed, began;  /* samples; began: when the key was believed */
	char sounding, ended; /* 0: no key */
	uint32_t ended_ms;
	bool known; /* the next packet's: */
	uint32_t ssrc, timestamp;
	uint64_t heard_at_ms;
};

/* Another key than before, or none. */
static void on_change(void *context, int code, int level, int delay)
{
	struct rtp_inband *inband = context;

	(void)level, (void)delay;
	if (inband->sounding) {
		inband->ended = inband->sounding;
		inband->ended_ms = (uint32_t)((inband->fed - inband->began) / KHZ);
	}
	inband->sounding = (char)code;
	inband->began = inband->fed;
}

int rtp_inband_new(struct rtp_inband **ret_inband)
{
	struct rtp_inband *inband = calloc(1, sizeof *inband);

	if (inband)
		inband->rx = dtmf_rx_init(NULL, NULL, NULL);
	if (!inband || !inband->rx) {
		free(inband);
		return PBX_ENOMEM;
	}
	dtmf_rx_set_realtime_callback(inband->rx, on_change, inband);
	dtmf_rx_parms(inband->rx, 0, LOW_OVER_HIGH_DB, HIGH_OVER_LOW_DB, LEAST_DBM0);
	*ret_inband = inband;
	return PBX_OK;
}

void rtp_inband_free(struct rtp_inband *inband)
{
	if (!inband)
		return;
	(void)dtmf_rx_free(inband->rx);
	free(inband);
}

/* ---- samples ---- */

static void tell_end(struct rtp_inband *inband, rtp_inband_fn ended, void *context)
{
	char digit = inband->ended;

	inband->ended = '\0';
	if (digit)
		ended(context, digit, inband->ended_ms);
}

void rtp_inband_feed(struct rtp_inband *inband, const int16_t *samples, uint32_t count, rtp_inband_fn ended, void *context)
{
	while (count > 0) {
		uint32_t some = count < PIECE ? count : PIECE;

		inband->fed += some;
		(void)dtmf_rx(inband->rx, samples, (int)some);
		tell_end(inband, ended, context);
		samples += some;
		count -= some;
	}
}

void rtp_inband_skip(struct rtp_inband *inband, uint32_t count)
{
	inband->fed += count;
	(void)dtmf_rx_fillin(inband->rx, (int)count);
}

bool rtp_inband_sounds(const struct rtp_inband *inband)
{
	return inband->sounding;
}

/* ---- packets ---- */

static void tell_worker(void *context, char digit, uint32_t for_ms)
{
	struct rtp_session *session = context;

	/* A full ring has been counted; a key that nobody could take for a thousand events is better lost than late. */
	(void)rtp_worker_tell(
		session->worker,
		&(struct rtp_event){
			.stream = session->stream, .kind = RTP_EVENT_DIGIT, .digit = digit, .by_tone = true, .for_ms = for_ms });
}

/* As good as silence: what sounded has ended, and what comes next is heard from its beginning. */
static void let_go(struct rtp_session *session)
{
	static const int16_t silence[4 * 102];

	rtp_inband_feed(session->inband, silence, sizeof silence / sizeof silence[0], tell_worker, session);
}

/* False: it comes too late, or twice. */
static bool follows(struct rtp_session *session, const struct rtp_packet *packet)
{
	struct rtp_inband *inband = session->inband;
	int32_t missing = (int32_t)(packet->timestamp - inband->timestamp);
	bool same = inband->known && packet->ssrc == inband->ssrc && missing > -(int32_t)MOST_MISSING && missing < (int32_t)MOST_MISSING;

	if (same && missing < 0)
		return false;
	if (same && missing > 0)
		rtp_inband_skip(inband, (uint32_t)missing);
	else if (!same && inband->sounding)
		let_go(session);
	inband->known = true;
	inband->ssrc = packet->ssrc;
	inband->timestamp = packet->timestamp + packet->payload_bytes;
	inband->heard_at_ms = session->worker->now_ms;
	return true;
}

/* In a mix many hear it, and get the key another way. */
static bool is_silenced(const struct rtp_session *session)
{
	return session->member || (session->peer && session->route && session->route->silences_keys);
}

void rtp_inband_hear(struct rtp_session *session, const struct rtp_packet *packet)
{
	uint32_t law = rtp_kind_law(session->plan->receive[packet->type]);
	bool sounded = rtp_inband_sounds(session->inband);
	int16_t samples[MOST_PACKET];

	if (packet->payload_bytes > MOST_PACKET)
		return;
	if (follows(session, packet)) {
		for (uint32_t i = 0; i < packet->payload_bytes; i++)
			samples[i] = rtp_g711_decode(law, packet->payload[i]);
		rtp_inband_feed(session->inband, samples, packet->payload_bytes, tell_worker, session);
		if (!sounded && rtp_inband_sounds(session->inband))
			rtp_dtmf_key_down(session, session->inband->sounding, true);
	}
	if ((sounded || rtp_inband_sounds(session->inband)) && is_silenced(session))
		memset(packet->payload, rtp_g711_silence(law), packet->payload_bytes);
}

void rtp_inband_look_after(struct rtp_session *session)
{
	if (session->inband && session->inband->sounding && session->worker->now_ms - session->inband->heard_at_ms >= GONE_MS)
		let_go(session);
}
