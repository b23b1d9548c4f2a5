/*
 * line - between a session's packets and the thread of faxes
 *
 * The thread is a few frames ahead of the worker, so that neither has to be punctual; when there is no frame all the same, time passes and
 * the next one has the timestamp that is its due.
 */
#include "line.h"
#include "worker.h"

#include <string.h>

void rtp_line_init(struct rtp_line *line, struct rtp_fax *fax)
{
	memset(line, 0, sizeof *line);
	line->fax = fax;
	rtp_tap_init(&line->in, 1u << RTP_SAYS, false, NULL);
	rtp_tap_init(&line->out, 1u << RTP_HEARS, false, NULL);
}

void rtp_line_enter(struct rtp_session *session, struct rtp_line *line)
{
	session->line = line;
	line->talking = false;
	rtp_worker_wind(session);
}

void rtp_line_leave(struct rtp_session *session)
{
	session->line = NULL;
	rtp_relay_interrupted(session);
}

static void put_in(struct rtp_line *line, uint8_t kind, const uint8_t *data, size_t size, uint32_t timestamp, uint16_t sequence)
{
	const struct rtp_tap_packet packet = { .timestamp = timestamp, .sequence = sequence, .bytes = (uint16_t)size, .type = kind };

	if (size <= RTP_TAP_PAYLOAD)
		(void)rtp_tap_put(&line->in, &packet, data); /* what finds no room is counted, and mended as a loss on the way is */
}

void rtp_line_hear(struct rtp_session *session, const struct rtp_packet *packet, uint8_t kind)
{
	put_in(session->line, kind, packet->payload, packet->payload_bytes, packet->timestamp, packet->sequence);
}

void rtp_line_hear_datagram(struct rtp_session *session, const uint8_t *data, size_t size, uint16_t sequence)
{
	put_in(session->line, RTP_LINE_UDPTL, data, size, 0, sequence);
}

static void say_frame(struct rtp_session *session, uint8_t *payload, uint32_t bytes)
{
	struct rtp_line *line = session->line;
	uint8_t type = (uint8_t)rtp_read(&line->type);
	bool begins = !line->talking;

	if (!rtp_can_send(session)) {
		line->talking = false;
		return;
	}
	if (begins) {
		line->timestamp = rtp_next_timestamp(session, 8);
		rtp_relay_interrupted(session);
	}
	line->talking = true;
	if (bytes > 0)
		rtp_send(session, payload, bytes, type, begins, (uint16_t)(session->sender.sequence + 1u), line->timestamp);
	line->timestamp += RTP_LINE_FRAME_BYTES;
}

void rtp_line_step(struct rtp_session *session)
{
	struct rtp_line *line = session->line;
	uint8_t data[RTP_HEADER_BYTES + RTP_TAP_PAYLOAD], *payload = data + RTP_HEADER_BYTES;
	uint32_t kind = rtp_read(&line->kind);
	uint64_t until = rtp_tap_written(&line->out);
	struct rtp_tap_packet packet;

	while (rtp_tap_take(&line->out, until, &packet, payload)) {
		if (packet.type != kind || session->plan->t38 != (kind == RTP_LINE_UDPTL))
			continue; /* made before it was agreed to speak otherwise */
		if (kind != RTP_LINE_UDPTL) {
			say_frame(session, payload, packet.bytes);
			return;
		}
		rtp_send_datagram(session, payload, packet.bytes);
	}
	if (line->talking)
		say_frame(session, payload, 0);
	if (session->plan->t38)
		line->talking = false;
}

bool rtp_line_take(struct rtp_line *line, struct rtp_tap_packet *ret_packet, uint8_t *ret_payload)
{
	return rtp_tap_take(&line->in, rtp_tap_written(&line->in), ret_packet, ret_payload);
}

void rtp_line_give(struct rtp_line *line, uint8_t kind, const uint8_t *payload, size_t bytes)
{
	const struct rtp_tap_packet packet = { .bytes = (uint16_t)bytes, .type = kind };

	(void)rtp_tap_put(&line->out, &packet, payload); /* no room: the worker stands still, and nothing is heard anyway */
}
