/*
 * dtmf - key presses as RFC 4733 events; and sent as tones
 *
 * An event is named by its SSRC and timestamp, however many of its packets arrive; it is told with the first of them, and once more at its end, or when a
 * new one begins, or when nothing more has come for a while because all three end packets were lost. Ours are sent in the
 * stream's own sequence: one timestamp, rising duration, the end three times; the audio waits meanwhile.
 */
#include "mouth.h"
#include "worker.h"

#include <pbx/abi.h>
#include <spandsp.h>

#define EVENT_BYTES 4u
#define LOST_END_MS 200u     /* several packet times of the slowest phones */
#define MOST_OVERTAKEN 40000 /* timestamp units: an event older than the last one by less than this was overtaken, not new */
#define LEAST_ON_MS 70u
#define LEAST_TONE_MS 40u /* ITU-T Q.24, and its pauses too */
#define LEAST_OFF_MS 50u
#define END_PACKETS 3u
#define VOLUME 10u /* -10 dBm0 */

#define MOST_DURATION 0xffffu /* of a segment: what lasts longer has several (RFC 4733 2.5.1.3) */

static const char keys[] = { '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D', CORE_FLASH };

/* ---- receiving ---- */

void rtp_dtmf_key_down(struct rtp_session *session, char digit, bool by_tone)
{
	(void)rtp_worker_tell(session->worker, &(struct rtp_event){ .stream = session->stream,
								    .kind = RTP_EVENT_KEY_DOWN,
								    .digit = digit,
								    .by_tone = by_tone }); /* else at its end */
}

static void tell_digit(struct rtp_session *session)
{
	struct rtp_event_receiver *event = &session->event;

	event->open = false;
	/* A full ring has been counted; a key that nobody could take for a thousand events is better lost than late. */
	(void)rtp_worker_tell(session->worker, &(struct rtp_event){ .stream = session->stream,
								    .kind = RTP_EVENT_DIGIT,
								    .digit = event->digit,
								    .for_ms = event->duration_ms });
}

static bool is_new_event(const struct rtp_event_receiver *event, const struct rtp_packet *packet)
{
	int32_t later = (int32_t)(packet->timestamp - event->timestamp);

	return !event->known || packet->ssrc != event->ssrc || later > 0 || later < -MOST_OVERTAKEN;
}

/* It goes on where the last segment had to end. */
static bool is_next_segment(const struct rtp_event_receiver *event, const struct rtp_packet *packet, char digit)
{
	return event->open && event->digit == digit && packet->ssrc == event->ssrc && packet->timestamp == event->timestamp + MOST_DURATION;
}

void rtp_dtmf_receive(struct rtp_session *session, const struct rtp_packet *packet)
{
	struct rtp_event_receiver *event = &session->event;
	const uint8_t *data = packet->payload;

	if (packet->payload_bytes < EVENT_BYTES || data[0] >= sizeof keys)
		return; /* tones of fax machines and the like are for the peer, if it wants them */
	if (is_next_segment(event, packet, keys[data[0]])) {
		event->timestamp = packet->timestamp;
		event->before += MOST_DURATION;
	} else if (is_new_event(event, packet)) {
		if (event->open)
			tell_digit(session);
		*event = (struct rtp_event_receiver){
			.open = true, .known = true, .timestamp = packet->timestamp, .ssrc = packet->ssrc, .digit = keys[data[0]]
		};
		if (event->digit != CORE_FLASH)
			rtp_dtmf_key_down(session, event->digit, false);
	}
	if (!event->open || packet->timestamp != event->timestamp)
		return; /* the end again, or an old packet that was overtaken */
	uint32_t duration = event->before + ((uint32_t)data[2] << 8 | data[3]), ms = duration / session->plan->clock_khz[packet->type];

	event->duration_ms = ms > event->duration_ms ? ms : event->duration_ms;
	event->updated_at_ms = session->worker->now_ms;
	if (data[1] & 0x80)
		tell_digit(session);
}

void rtp_dtmf_look_after(struct rtp_session *session)
{
	if (session->event.open && session->worker->now_ms - session->event.updated_at_ms >= LOST_END_MS)
		tell_digit(session);
}

/* ---- sending ---- */

static uint8_t code_of(char key)
{
	for (uint8_t code = 0; code < sizeof keys; code++) {
		if (keys[code] == key)
			return code;
	}
	return 0; /* checked on the loop */
}

static void send_update(struct rtp_session *session, const struct rtp_digits *digits, uint32_t duration, bool marker, bool end)
{
	uint8_t packet[RTP_HEADER_BYTES + EVENT_BYTES], *payload = packet + RTP_HEADER_BYTES;

	payload[0] = code_of(digits->text[digits->at]);
	payload[1] = (uint8_t)((end ? 0x80 : 0) | VOLUME);
	payload[2] = (uint8_t)(duration >> 8);
	payload[3] = (uint8_t)duration;
	if (rtp_can_send(session) && session->plan->dtmf_type)
		rtp_send(session, payload, EVENT_BYTES, session->plan->dtmf_type, marker, (uint16_t)(session->sender.sequence + 1u),
			 digits->timestamp);
}

static void send_event(struct rtp_session *session, struct rtp_digits *digits, bool marker, bool end)
{
	uint32_t lasted = digits->sent_ms * session->plan->send_khz - digits->segments * MOST_DURATION;

	if (lasted > MOST_DURATION) {
		send_update(session, digits, MOST_DURATION, marker, false);
		digits->timestamp += MOST_DURATION;
		digits->segments++;
		lasted -= MOST_DURATION;
	}
	send_update(session, digits, lasted, marker, end);
}

static void next_digit(struct rtp_session *session)
{
	struct rtp_digits *digits = session->digits;

	digits->at++;
	digits->begun = false;
	digits->sent_ms = 0;
	digits->segments = 0;
	digits->ends = 0;
	if (digits->text[digits->at])
		return;
	session->digits = digits->after;
	rtp_worker_return(session->worker, &digits->command);
}

static uint32_t at_least(uint32_t value, uint32_t least)
{
	return value > least ? value : least;
}

/* ---- sending as tones ---- */

int rtp_dtmf_prepare_tones(struct rtp_digits *digits)
{
	digits->tones = dtmf_tx_init(NULL);
	return digits->tones ? PBX_OK : PBX_ENOMEM;
}

void rtp_dtmf_release(struct rtp_digits *digits)
{
	if (digits->tones)
		(void)dtmf_tx_free(digits->tones);
}

/* A frame of the present key's tone and of the pause behind it, which the next key ends. Whoever has no mouth is spared them. */
static void send_tones(struct rtp_session *session, struct rtp_digits *digits)
{
	int16_t samples[RTP_MOST_FRAME_SAMPLES] = { 0 };
	uint32_t count = session->mouth ? 8u * rtp_mouth_ptime_ms(session->mouth) : 0, made = 0;

	while (session->digits == digits && (made < count || count == 0)) {
		if (!digits->begun) {
			dtmf_tx_set_timing(digits->tones, (int)at_least(digits->each_ms, LEAST_TONE_MS),
					   (int)at_least(digits->gap_ms, LEAST_TONE_MS));
			(void)dtmf_tx_put(digits->tones, &digits->text[digits->at], 1);
		}
		digits->begun = true;
		uint32_t some = count ? (uint32_t)dtmf_tx(digits->tones, samples + made, (int)(count - made)) : 0;

		made += some;
		if (made < count || count == 0)
			next_digit(session);
	}
	rtp_mouth_give(session, 8000, samples, count);
}

bool rtp_dtmf_send_next(struct rtp_session *session)
{
	struct rtp_digits *digits = session->digits;
	uint32_t on_ms = at_least(digits->each_ms, LEAST_ON_MS), off_ms = at_least(digits->gap_ms, LEAST_OFF_MS),
		 ptime_ms = session->plan->ptime_ms;
	bool begins = !digits->begun;

	if (digits->tones) {
		send_tones(session, digits);
		return session->digits;
	}
	if (begins) {
		rtp_relay_interrupted(session);
		digits->begun = true;
		digits->timestamp = rtp_next_timestamp(session, session->plan->send_khz);
	}
	if (digits->sent_ms < on_ms) {
		digits->sent_ms += ptime_ms;
		send_event(session, digits, begins, false);
	} else if (digits->ends < END_PACKETS) {
		digits->ends++;
		send_event(session, digits, false, true);
	} else {
		digits->ends++;
	}
	if (digits->ends * ptime_ms >= off_ms && digits->ends >= END_PACKETS)
		next_digit(session);
	return session->digits;
}
