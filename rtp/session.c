/*
 * session - what arrives at a leg's sockets, and from whom we believe it
 *
 * A datagram is read, told apart (RFC 7983), checked against its own lengths (RFC 3550 5.1) and against the source policy:
 * SDP's address first; another one only when four packets in a row, of one SSRC, rising in sequence and with payload types
 * that were agreed on, come within five seconds of an offer and answer, and SDP's address has been silent so far. Whoever is
 * heard then stays until the next offer and answer. Everybody else is counted and dropped. Where SRTP was agreed on, the key
 * decides instead of the address; where ICE was, the peer is where association.c has found it. Fax (T.38) comes to the same port, instead.
 */
#include "association.h"
#include "ear.h"
#include "fork.h"
#include "inband.h"
#include "level.h"
#include "line.h"
#include "mix.h"
#include "mouth.h"
#include "octets.h"
#include "room.h"
#include "tap.h"
#include "tcp.h"
#include "udptl.h"
#include "worker.h"

#include <linux/sock_diag.h>
#include <string.h>

/* Octets of header, CSRCs and extension; 0 when they do not fit. */
static size_t header_bytes(const uint8_t *data, size_t size)
{
	if (size < RTP_HEADER_BYTES || data[0] >> 6 != 2)
		return 0;
	size_t bytes = RTP_HEADER_BYTES + 4u * (data[0] & 15u);

	if (data[0] & 0x10) {
		if (size < bytes + 4)
			return 0;
		bytes += 4u + 4u * rtp_get16(data + bytes + 2);
	}
	return bytes <= size ? bytes : 0;
}

bool rtp_packet_parse(uint8_t *data, size_t size, struct rtp_packet *ret_packet)
{
	size_t header = header_bytes(data, size), padding = 0;

	if (header == 0)
		return false;
	if (data[0] & 0x20) {
		padding = data[size - 1];
		if (padding == 0 || header + padding > size)
			return false;
	}
	*ret_packet = (struct rtp_packet){
		.payload = data + header,
		.payload_bytes = (uint32_t)(size - header - padding),
		.ssrc = rtp_get32(data + 8),
		.timestamp = rtp_get32(data + 4),
		.sequence = rtp_get16(data + 2),
		.type = data[1] & 0x7f,
		.marker = data[1] & 0x80,
	};
	return true;
}

bool rtp_session_send(struct rtp_session *session, bool rtcp_socket, const struct core_addr *to, const uint8_t *data, size_t size)
{
	if (to->transport == CORE_BY_TCP)
		return rtp_tcp_send(session, to, data, size);
	return sendto(rtcp_socket ? session->rtcp_fd : session->rtp_fd, data, size, 0, &to->sa, rtp_addr_size(to)) >= 0;
}

void rtp_session_set_remote(struct rtp_session *session, const struct core_addr *remote)
{
	rtp_handover_take_back(session);
	session->remote = *remote;
	session->remote_size = rtp_addr_size(remote);
}

/* May this address, which SDP does not name, be learned at all? */
static bool may_learn(const struct rtp_session *session, const struct core_addr *from)
{
	const struct rtp_plan *plan = session->plan;

	if (plan->nat == RTP_NAT_OFF || session->locked || session->worker->now_ms > session->learn_until_ms)
		return false;
	return plan->nat == RTP_NAT_AUTO || rtp_addr_same_host(from, &plan->rtp);
}

/* One more packet of a candidate; true when it has sent enough of them. */
static bool learned(struct rtp_session *session, const struct core_addr *from, const struct rtp_packet *packet)
{
	struct rtp_candidate *candidate = &session->candidate;
	bool goes_on = candidate->packets > 0 && packet->ssrc == candidate->ssrc && rtp_addr_same(from, &candidate->from) &&
		       (int16_t)(packet->sequence - candidate->sequence) > 0;

	if (session->plan->receive[packet->type] == RTP_KIND_NONE) {
		candidate->packets = 0;
		return false;
	}
	*candidate = (struct rtp_candidate){ .from = *from,
					     .ssrc = packet->ssrc,
					     .sequence = packet->sequence,
					     .packets = (uint8_t)(goes_on ? candidate->packets + 1 : 1) };
	return candidate->packets >= RTP_LATCH_PACKETS;
}

static void tell_source(struct rtp_session *session)
{
	struct rtp_event event = { .stream = session->stream, .kind = RTP_EVENT_SOURCE_CHANGED, .remote = session->remote };

	session->changed_source = !rtp_worker_tell(session->worker, &event);
}

/* From now on this is the source, and where we send to. */
static void lock_source(struct rtp_session *session, const struct core_addr *from)
{
	bool moved = !rtp_addr_same(&session->remote, from);

	session->locked = true;
	session->candidate.packets = 0;
	if (!moved)
		return;
	if (!rtp_addr_same_host(&session->remote, from))
		session->remote_rtcp = (struct core_addr){ 0 }; /* learned from RTCP itself */
	rtp_session_set_remote(session, from);
	if (!rtp_addr_same(from, &session->plan->rtp))
		tell_source(session);
}

/* Do we take a packet from here? */
static bool is_our_source(struct rtp_session *session, const struct core_addr *from, const struct rtp_packet *packet)
{
	bool named = rtp_addr_same(from, &session->plan->rtp);

	if (session->locked && rtp_addr_same(from, &session->remote))
		return true;
	if (named && (!session->locked || session->worker->now_ms <= session->learn_until_ms)) {
		lock_source(session, from); /* SDP's word is better than whoever came first */
		return true;
	}
	if (may_learn(session, from) && learned(session, from, packet)) {
		lock_source(session, from);
		return true;
	}
	return false;
}

static void heard_something(struct rtp_session *session)
{
	session->quiet_since_ms = session->worker->now_ms;
	session->told_silence = false;
	session->heard = true;
	rtp_write(&session->counters.last_packet_at_ms, session->worker->now_ms);
	if (!session->told_heard)
		session->told_heard =
			rtp_worker_tell(session->worker, &(struct rtp_event){ .stream = session->stream, .kind = RTP_EVENT_FIRST_PACKET });
}

/* The party falls silent. Its peer is told the same while the relay is who feeds it, else the mouth finds out by itself. */
static void take_noise(struct rtp_session *session, const struct rtp_packet *packet)
{
	if (session->ear)
		rtp_ear_put_noise(session->ear, packet, session->worker->now_us);
	if (session->peer && session->peer->map.synced)
		rtp_relay(session, session->peer, session->route, packet);
}

static void use_packet(struct rtp_session *session, const struct rtp_packet *packet, uint8_t kind)
{
	if (!(session->plan->direction & CORE_RECV))
		return;
	if (kind == RTP_KIND_EVENT) {
		rtp_dtmf_receive(session, packet);
		if (session->ear)
			rtp_ear_put_event(session->ear, packet, session->worker->now_us);
	}
	if (session->forks && !(kind == RTP_KIND_NOISE && session->plan->takes_noise && packet->type == RTP_TYPE_NOISE))
		rtp_fork_copy(session, RTP_SAYS, packet);
	if (kind == RTP_KIND_NOISE) {
		take_noise(session, packet);
		return;
	}
	if (session->taps)
		rtp_tap_copy(session, RTP_SAYS, packet->type, packet->sequence, packet->timestamp, packet->ssrc, packet->payload,
			     packet->payload_bytes);
	if (session->inband && rtp_kind_is_g711(kind))
		rtp_inband_hear(session, packet);
	if (session->line && rtp_kind_is_g711(kind))
		rtp_line_hear(session, packet, kind);
	else if (session->play && session->play->kind == CORE_PLAY_ECHO)
		rtp_relay(session, session, session->play->echo, packet);
	else if (session->member)
		rtp_mix_heard(session, packet);
	else if (rtp_room_carries(session, packet->type))
		rtp_room_heard(session, packet);
	else if (session->peer)
		rtp_relay(session, session->peer, session->route, packet);
}

/* Takes the protection off. False: it is not from who has the key. */
static bool unprotect(struct rtp_session *session, bool rtcp, uint8_t *data, size_t *size)
{
	struct rtp_guard *guard = session->plan->receive_guard;

	if (guard ? rtp_guard_unprotect(guard, rtcp, data, size) : !session->plan->protects)
		return true;
	rtp_count(&session->counters.forged, 1);
	return false;
}

/* Who proves to have the key is believed from anywhere, unless the settings say that SDP's address alone counts. */
static bool is_believed(struct rtp_session *session, const struct core_addr *from, const struct rtp_packet *packet)
{
	if (session->plan->ice) /* after a restart the peer may go on from where it was for seconds: the key proves it */
		return session->plan->receive_guard || rtp_association_knows(session, false, from) || rtp_addr_same(from, &session->remote);
	if (!session->plan->receive_guard || session->plan->nat == RTP_NAT_OFF)
		return is_our_source(session, from, packet);
	if (!session->locked || !rtp_addr_same(&session->remote, from))
		lock_source(session, from);
	return true;
}

static void take_rtp(struct rtp_session *session, uint8_t *data, size_t size, const struct core_addr *from)
{
	struct rtp_packet packet;
	size_t wire_bytes = size;

	if (!unprotect(session, false, data, &size))
		return;
	if (!rtp_packet_parse(data, size, &packet)) {
		rtp_count(&session->counters.malformed, 1);
		return;
	}
	if (!is_believed(session, from, &packet)) {
		rtp_count(&session->counters.foreign, 1);
		return;
	}
	uint8_t kind = session->plan->receive[packet.type];

	if (kind == RTP_KIND_NONE) {
		rtp_count(&session->counters.malformed, 1);
		return;
	}
	rtp_handover_catch_up(session);
	rtp_count(&session->counters.packets_in, 1);
	rtp_count(&session->counters.bytes_in, wire_bytes);
	heard_something(session);
	rtp_receiver_note(session, &packet, session->plan->clock_khz[packet.type]);
	if (session->plan->level_id && (packet.level = rtp_level_read(data, session->plan->level_id)))
		rtp_level_note(session, packet.level);
	use_packet(session, &packet, kind);
}

/* RTCP comes from the host that RTP comes from; its port behind a NAT is what it is. */
static void take_rtcp(struct rtp_session *session, uint8_t *data, size_t size, const struct core_addr *from)
{
	if (!rtp_addr_same_host(from, &session->remote) && !rtp_addr_same(from, &session->remote_rtcp)) {
		rtp_count(&session->counters.foreign, 1);
		return;
	}
	if (!unprotect(session, true, data, &size))
		return;
	if (session->locked || rtp_addr_same(from, &session->plan->rtcp))
		session->remote_rtcp = *from;
	session->quiet_since_ms = session->worker->now_ms;
	session->told_silence = false;
	rtp_rtcp_receive(session, data, size);
}

/* A datagram of T.38 passes as it came, redundancy and all. From whom it is believed is as with RTP, by its number. */
static void take_udptl(struct rtp_session *session, const uint8_t *data, size_t size, const struct core_addr *from)
{
	struct rtp_packet packet = { .type = RTP_TYPE_UDPTL };

	if (!rtp_udptl_check(data, size, &packet.sequence)) {
		rtp_count(&session->counters.malformed, 1);
		return;
	}
	if (!is_our_source(session, from, &packet)) {
		rtp_count(&session->counters.foreign, 1);
		return;
	}
	rtp_count(&session->counters.packets_in, 1);
	rtp_count(&session->counters.bytes_in, size);
	heard_something(session);
	if (session->line)
		rtp_line_hear_datagram(session, data, size, packet.sequence);
	else if (session->peer && session->peer->plan && session->peer->plan->t38)
		rtp_send_datagram(session->peer, data, size);
}

void rtp_session_take(struct rtp_session *session, bool rtcp_socket, uint8_t *data, size_t size, const struct core_addr *from)
{
	if (!session->plan || size == 0)
		return; /* nothing is agreed yet: nobody has a right to be heard */
	if (session->plan->t38) {
		if (!rtcp_socket)
			take_udptl(session, data, size, from);
		return;
	}
	if (data[0] < 64 && (session->plan->ice || session->plan->dtls)) { /* STUN and DTLS (RFC 7983) */
		if (!rtp_association_take(session, rtcp_socket, data, size, from))
			rtp_count(&session->counters.foreign, 1);
		return;
	}
	if (data[0] < 128 || data[0] > 191) { /* those, and what else shares ports: we have offered none of it */
		rtp_count(&session->counters.malformed, 1);
		return;
	}
	bool rtcp = rtcp_socket || (session->plan->rtcp_mux && size > 1 && data[1] >= 192 && data[1] <= 223); /* RFC 5761 4 */

	if (rtcp)
		take_rtcp(session, data, size, from);
	else
		take_rtp(session, data, size, from);
}

/* A piece of a handshake takes a third of a millisecond: of many at once some are looked at in each round, so that nobody's sound waits for all of them.
 * What is not read now is there in the next round. */
static bool shakes_later(const struct rtp_session *session)
{
	const struct rtp_plan *plan = session->plan;

	return plan && plan->dtls && !plan->proved && session->worker->shakes >= RTP_SHAKES_AT_ONCE;
}

void rtp_session_read(struct rtp_session *session, bool rtcp_socket)
{
	if (shakes_later(session))
		return;

	uint8_t *data = session->worker->data;
	struct core_addr from = { .transport = CORE_BY_UDP };
	socklen_t from_size = sizeof from;
	ssize_t size = recvfrom(rtcp_socket ? session->rtcp_fd : session->rtp_fd, data, RTP_MOST_BYTES, MSG_TRUNC, &from.sa, &from_size);

	if (size > (ssize_t)RTP_MOST_BYTES)
		rtp_count(&session->counters.malformed, 1);
	else if (size > 0)
		rtp_session_take(session, rtcp_socket, data, (size_t)size, &from);
}

static uint64_t dropped_by(int fd)
{
	uint32_t figures[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof figures;

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_MEMINFO, figures, &size) == 0 ? figures[SK_MEMINFO_DROPS] : 0;
}

uint64_t rtp_session_dropped(const struct rtp_session *session)
{
	return dropped_by(session->rtp_fd) + dropped_by(session->rtcp_fd);
}

/* A peer that moved is believed at once; one that stayed keeps the address we learned. */
static void follow_plan(struct rtp_session *session, const struct rtp_plan *old)
{
	const struct rtp_plan *plan = session->plan;

	if (plan->ice)
		return;
	if (!old || old->ice || !rtp_addr_same(&old->rtp, &plan->rtp)) {
		rtp_session_set_remote(session, &plan->rtp);
		session->remote_rtcp = plan->rtcp;
		session->locked = false;
	}
	if (!old || plan->renegotiated) {
		session->learn_until_ms = session->worker->now_ms + RTP_LATCH_WINDOW_MS;
		session->locked = false;
		session->candidate.packets = 0;
	}
	if (plan->rtcp_mux)
		session->remote_rtcp = session->remote;
}

struct rtp_plan *rtp_session_configure(struct rtp_session *session, struct rtp_plan *plan)
{
	struct rtp_plan *old = session->plan;

	if (plan->keeps_send && old) {
		plan->send_guard = old->send_guard;
		old->send_guard = NULL;
	}
	if (plan->keeps_receive && old) {
		plan->receive_guard = old->receive_guard;
		old->receive_guard = NULL;
	}
	session->plan = plan;
	follow_plan(session, old);
	rtp_association_begin(session, old);
	if (!plan->ice)
		rtp_tcp_close_all(session);
	session->quiet_since_ms = session->worker->now_ms;
	session->told_silence = false;
	return old;
}

static void look_for_silence(struct rtp_session *session)
{
	const struct rtp_common *common = session->worker->common;
	/* Who receives a fax says nothing for as long as a page takes. */
	bool held = session->held || session->plan->t38 || !(session->plan->direction & CORE_RECV);
	uint32_t timeout_ms = rtp_read(held ? &common->hold_timeout_ms : &common->timeout_ms);
	uint64_t quiet_ms = session->worker->now_ms - session->quiet_since_ms;

	if (timeout_ms == 0 || session->told_silence || quiet_ms < timeout_ms)
		return;
	session->told_silence = rtp_worker_tell(
		session->worker, &(struct rtp_event){ .stream = session->stream, .kind = RTP_EVENT_SILENCE, .for_ms = (uint32_t)quiet_ms });
}

/* A full ring: it is told when it has failed for as long again. */
static void tell_failing_codecs(struct rtp_session *session)
{
	struct rtp_event event = { .stream = session->stream, .kind = RTP_EVENT_CODEC, .plan = session->plan->number };

	if (session->ear && rtp_ear_fails(session->ear, &event.type))
		(void)rtp_worker_tell(session->worker, &event);
	event.encodes = true;
	if (session->mouth && rtp_mouth_fails(session->mouth, &event.type))
		(void)rtp_worker_tell(session->worker, &event);
}

void rtp_session_look_after(struct rtp_session *session)
{
	if (session->forks)
		rtp_forks_look_after(session);
	if (!session->plan)
		return;
	tell_failing_codecs(session);
	rtp_handover_look_after(session);
	if (session->changed_source)
		tell_source(session);
	rtp_association_look_after(session);
	rtp_tcp_look_after(session);
	look_for_silence(session);
	if (session->ear)
		rtp_ear_show(session->ear, &session->counters);
	rtp_dtmf_look_after(session);
	rtp_inband_look_after(session);
	rtp_receiver_look_after(session);
	rtp_rtcp_look_after(session);
}
