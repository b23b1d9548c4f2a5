/*
 * relay - from one leg to the other, without leaving the worker
 *
 * A packet is sent from the buffer it was received in, behind a header of our own: our SSRC, the receiver's payload type, and
 * the sender's sequence and timestamp shifted into ours (sender.c). Whenever somebody else begins to feed the receiver (another
 * source, a player, the relay again), the shift is chosen anew: sequence one further, timestamp as much later as time has
 * passed, marker set. G.711 changes its law by table. G.711 in frames of another length waits in a small FIFO and leaves by
 * the clock.
 */
#include "fork.h"
#include "level.h"
#include "mouth.h"
#include "octets.h"
#include "room.h"
#include "tap.h"
#include "worker.h"

#include <string.h>

#define FIFO_MOST_FRAMES 3u /* more than this waits: our clock is slower than theirs, send two */

bool rtp_can_send(const struct rtp_session *session)
{
	const struct rtp_plan *plan = session->plan;

	return plan && plan->direction & CORE_SEND && session->remote_size > 0 && (plan->send_guard || !plan->protects);
}

/* Newest of what we sent, for the next one's sake; one that overtakes does not take us back. */
static void note_sent(struct rtp_session *session, uint16_t sequence, uint32_t timestamp, uint32_t bytes)
{
	rtp_sender_note(&session->sender, sequence, timestamp, bytes, session->plan->send_khz, session->worker->now_us);
	rtp_count(&session->counters.packets_out, 1);
	rtp_count(&session->counters.bytes_out, bytes + RTP_HEADER_BYTES);
}

/* What the kernel does not take now is lost, as it may be on any later stretch of the way. */
static void send_packet(struct rtp_session *session, uint16_t level, const uint8_t *packet, size_t size)
{
	struct rtp_guard *guard = session->plan->send_guard;
	_Alignas(16) uint8_t sealed[RTP_MOST_BYTES + RTP_LEVEL_BYTES + RTP_TRAILER_BYTES];

	if (level) {
		size = rtp_level_put(packet, size, session->plan->level_id, level, sealed);
		packet = sealed;
	} else if (guard) {
		memcpy(sealed, packet, size);
		packet = sealed;
	}
	if (guard && !rtp_guard_protect(guard, false, sealed, &size))
		return;
	(void)rtp_session_send(session, false, &session->remote, packet, size);
}

void rtp_send_datagram(struct rtp_session *session, const uint8_t *data, size_t size)
{
	if (!rtp_can_send(session))
		return;
	(void)rtp_session_send(session, false, &session->remote, data, size); /* not taken: lost on the way, as above */
	rtp_count(&session->counters.packets_out, 1);
	rtp_count(&session->counters.bytes_out, size);
}

/* As its maker says. What nobody has opened stays untold. */
static uint16_t level_of(const struct rtp_session *session, const uint8_t *payload, uint32_t bytes, uint8_t type)
{
	if (session->sender.level || (type != RTP_TYPE_PCMU && type != RTP_TYPE_PCMA))
		return session->sender.level;
	return rtp_level_of_g711(type == RTP_TYPE_PCMU ? RTP_LAW_MU : RTP_LAW_A, payload, bytes);
}

static bool has_company(const struct rtp_session *session)
{
	return session->taps || session->forks;
}

void rtp_send(struct rtp_session *session, uint8_t *payload, uint32_t bytes, uint8_t type, bool marker, uint16_t sequence,
	      uint32_t timestamp)
{
	uint8_t *packet = payload - RTP_HEADER_BYTES;

	if (has_company(session) || (session->peer && has_company(session->peer)))
		rtp_tap_beep(session, payload, bytes, type, timestamp);
	if (session->taps)
		rtp_tap_copy(session, RTP_HEARS, type, sequence, timestamp, session->sender.ssrc, payload, bytes);
	if (session->forks)
		rtp_fork_copy(session, RTP_HEARS,
			      &(struct rtp_packet){ .payload = payload,
						    .payload_bytes = bytes,
						    .ssrc = session->sender.ssrc,
						    .timestamp = timestamp,
						    .sequence = sequence,
						    .type = type,
						    .marker = marker });
	packet[0] = 0x80;
	packet[1] = (uint8_t)(type | (marker ? 0x80 : 0));
	(void)rtp_put16(packet + 2, sequence);
	(void)rtp_put32(packet + 4, timestamp);
	(void)rtp_put32(packet + 8, session->sender.ssrc);
	send_packet(session, session->plan->level_id ? level_of(session, payload, bytes, type) : 0, packet, bytes + RTP_HEADER_BYTES);
	session->sender.level = 0;
	note_sent(session, sequence, timestamp, bytes);
}

uint32_t rtp_next_timestamp(const struct rtp_session *session, uint16_t khz)
{
	return rtp_sender_next(&session->sender, (uint32_t)session->plan->ptime_ms * khz, khz, session->worker->now_us);
}

void rtp_relay_interrupted(struct rtp_session *session)
{
	rtp_handover_take_back(session);
	session->map.synced = false;
	session->fifo_bytes = 0;
}

/* The source begins, or begins anew: its next packet follows our newest one. */
static void sync_map(struct rtp_session *to, const struct rtp_packet *packet)
{
	struct rtp_map *map = &to->map;

	rtp_handover_take_back(to);
	*map = (struct rtp_map){ .synced = true, .source_ssrc = packet->ssrc, .newest = packet->sequence };
	map->sequence_shift = (uint16_t)(to->sender.sequence + 1u - packet->sequence);
	map->timestamp_shift = rtp_next_timestamp(to, to->plan->send_khz) - packet->timestamp;
	rtp_mouth_rest(to);
	to->fifo_bytes = 0;
}

/* Where a packet stands in its source's sequence. False: older than the beginning of this talkspurt, it has no place in ours. */
static bool map_packet(struct rtp_session *to, const struct rtp_packet *packet, bool *ret_begins)
{
	*ret_begins = rtp_map_begins(&to->map, packet);
	if (!*ret_begins)
		return rtp_map_move(&to->map, packet);
	sync_map(to, packet);
	return true;
}

/* Cut to other lengths once, and again of the right one: the source's sequence is good enough again. */
static void uncount(struct rtp_session *to, const struct rtp_packet *packet)
{
	to->map.counted = false;
	to->map.since_sync = 0;
	to->map.sequence_shift = (uint16_t)(to->sender.sequence + 1u - packet->sequence);
}

/* Waits for the clock to cut it to our ptime. */
static void relay_by_fifo(struct rtp_session *to, const struct rtp_packet *packet, uint8_t type, bool begins)
{
	uint32_t timestamp = packet->timestamp + to->map.timestamp_shift;
	bool continues = to->fifo_bytes > 0 && type == to->fifo_type && timestamp == to->fifo_timestamp + to->fifo_bytes;

	to->map.counted = true;
	if (to->fifo_bytes + packet->payload_bytes > RTP_FIFO_BYTES)
		continues = false;
	if (!continues) {
		if (packet->payload_bytes > RTP_FIFO_BYTES)
			return;
		to->fifo_bytes = 0;
		to->fifo_type = type;
		to->fifo_timestamp = timestamp;
		to->fifo_marker = begins || packet->marker;
	}
	memcpy(to->fifo + to->fifo_bytes, packet->payload, packet->payload_bytes);
	to->fifo_bytes += packet->payload_bytes;
	rtp_worker_wind(to);
}

static bool needs_cutting(const struct rtp_session *to, uint8_t kind, const struct rtp_packet *packet)
{
	if (!rtp_kind_is_g711(kind) || to->plan->ptime_ms == 0)
		return false;
	return to->fifo_bytes > 0 || packet->payload_bytes != 8u * to->plan->ptime_ms;
}

void rtp_relay(const struct rtp_session *from, struct rtp_session *to, const struct rtp_route *route, const struct rtp_packet *packet)
{
	uint8_t out = route->out[packet->type], kind = from->plan->receive[packet->type];
	bool busy = to->digits || (to->play && to->play->kind != CORE_PLAY_ECHO), begins;

	if (out == RTP_OUT_NONE || !rtp_can_send(to))
		return;
	if (busy || (to->play && from != to))
		return;
	if (!map_packet(to, packet, &begins)) {
		rtp_count(&to->counters.late, 1);
		return;
	}
	if (kind != RTP_KIND_EVENT && kind != RTP_KIND_NOISE)
		to->map.type = packet->type;
	if (out & RTP_OUT_TRANSCODE)
		rtp_g711_convert(rtp_kind_law(kind), packet->payload, packet->payload_bytes);
	if (needs_cutting(to, kind, packet)) {
		relay_by_fifo(to, packet, out & 0x7f, begins);
		return;
	}
	if (kind == RTP_KIND_EVENT && from->ear && to->mouth) {
		to->map.counted = true; /* between packets of the mouth, whose numbers are our own */
		rtp_room_event(to);
	} else if (to->map.counted && kind != RTP_KIND_EVENT) {
		uncount(to, packet);
	}
	uint16_t sequence = (uint16_t)(to->map.counted ? to->sender.sequence + 1u : packet->sequence + to->map.sequence_shift);

	to->sender.level = packet->level;
	rtp_send(to, packet->payload, packet->payload_bytes, out & 0x7f, packet->marker || begins, sequence,
		 packet->timestamp + to->map.timestamp_shift);
}

static void send_cut(struct rtp_session *session, uint32_t bytes)
{
	uint8_t packet[RTP_HEADER_BYTES + RTP_FIFO_BYTES];

	memcpy(packet + RTP_HEADER_BYTES, session->fifo, bytes);
	rtp_send(session, packet + RTP_HEADER_BYTES, bytes, session->fifo_type, session->fifo_marker,
		 (uint16_t)(session->sender.sequence + 1u), session->fifo_timestamp);
	session->fifo_marker = false;
	session->fifo_timestamp += bytes;
	session->fifo_bytes -= bytes;
	memmove(session->fifo, session->fifo + bytes, session->fifo_bytes);
}

bool rtp_relay_frame(struct rtp_session *session)
{
	uint32_t frame = 8u * session->plan->ptime_ms;

	if (frame == 0 || frame > RTP_FIFO_BYTES || session->fifo_bytes < frame || !rtp_can_send(session))
		return false;
	if (session->fifo_bytes > FIFO_MOST_FRAMES * frame)
		send_cut(session, frame);
	send_cut(session, frame);
	return true;
}
