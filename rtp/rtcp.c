/*
 * rtcp - what both ends are told about what arrives: RFC 3550 section 6
 *
 * Reports end at us: each leg hears how its own stream reaches us and what we send it, never what another leg said about another stream. A report is SR (or RR
 * when we have sent nothing in two intervals) with SDES CNAME, and XR where the peer's SDP asks for it (xr.c). Reports go out every five seconds at random
 * between half and one and a half of that, divided by e - 3/2 as 6.3.1 asks; the first after half the time. With two members the share of bandwidth that
 * 6.2 allows to RTCP is never the tighter limit, and there is no group whose growth would have to be reconsidered.
 *
 * What is heard may be a compound or a single packet (RFC 5506). One bad length makes all of it malformed. Feedback (RFC 4585), which browsers send
 * unasked, is counted: sound is neither sent again nor refreshed.
 */
#include "octets.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SR 200u
#define RR 201u
#define SDES 202u
#define BYE 203u
#define TRANSPORT_FEEDBACK 205u /* RFC 4585 6.1 */
#define PAYLOAD_FEEDBACK 206u
#define XR 207u
#define LEAST_TYPE 192u /* what shares a port with RTP (RFC 5761 4) */
#define MOST_TYPE 223u
#define BLOCK_BYTES 24u
#define SR_BYTES 28u
#define RR_BYTES 8u
#define FEEDBACK_BYTES 12u
#define INTERVAL_MS 5000u
#define COMPENSATION 1.21828
#define NTP_EPOCH_S 2208988800u /* 1900 to 1970 */
#define DEAF_PACKETS 100u       /* sent since a peer's reports last told of progress */
#define REPORT_BYTES 152u       /* SR with a block, SDES, BYE */

uint64_t rtp_ntp_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)((uint32_t)now.tv_sec + NTP_EPOCH_S) << 32 | ((uint64_t)now.tv_nsec << 32) / 1000000000u;
}

static void count_type(_Atomic uint64_t *counts, uint32_t type)
{
	static const uint8_t places[] = { RTP_RTCP_SR,  RTP_RTCP_RR,       RTP_RTCP_SDES,     RTP_RTCP_BYE,
					  RTP_RTCP_APP, RTP_RTCP_FEEDBACK, RTP_RTCP_FEEDBACK, RTP_RTCP_XR };

	rtp_count(&counts[type >= SR && type <= XR ? places[type - SR] : RTP_RTCP_OTHER], 1);
}

/* ---- what we hear ---- */

void rtp_note_round_trip(struct rtp_session *session, uint32_t last_report, uint32_t delay)
{
	uint32_t trip = (uint32_t)(rtp_ntp_now() >> 16) - last_report - delay;

	if (last_report != 0 && trip < 60u << 16) /* a clock that stepped would tell of ages */
		rtp_write(&session->counters.round_trip_us, (uint32_t)((uint64_t)trip * 1000000 >> 16));
}

/* It reports, and is told of nothing new: what we send goes astray. */
static void note_progress(struct rtp_session *session, bool is_told, uint32_t highest)
{
	struct rtp_rtcp *rtcp = &session->rtcp;
	uint32_t sent = session->sender.packets;

	if (is_told && highest != rtcp->told_highest) {
		rtcp->told_highest = highest;
		rtcp->packets_when_told = sent;
		rtp_write(&session->counters.peer_deaf, 0);
	} else if (sent - rtcp->packets_when_told >= DEAF_PACKETS) {
		rtp_write(&session->counters.peer_deaf, 1);
	}
}

/* A block about the stream we send (6.4.1). */
static void take_block(struct rtp_session *session, const uint8_t *block)
{
	struct rtp_counters *counters = &session->counters;
	uint32_t lost = rtp_get32(block + 4) & 0xffffffu;

	rtp_write(&counters->peer_lost, lost & 0x800000u ? 0 : lost); /* below nothing: it got some twice */
	rtp_write(&counters->peer_highest, rtp_get32(block + 8));
	rtp_write(&counters->peer_jitter_us, (uint32_t)((uint64_t)rtp_get32(block + 12) * 1000 / session->plan->send_khz));
	rtp_write(&counters->reported_packets, rtp_read(&counters->packets_out));
	rtp_write(&counters->reported_at_ms, session->worker->now_ms);
	rtp_note_round_trip(session, rtp_get32(block + 16), rtp_get32(block + 20));
	note_progress(session, true, rtp_get32(block + 8));
}

/* What a compound has told so far. */
struct telling {
	bool reports, about_us, bye;
};

static bool take_report(struct rtp_session *session, const uint8_t *packet, size_t size, struct telling *telling)
{
	size_t head = packet[1] == SR ? SR_BYTES : RR_BYTES, blocks = packet[0] & 31u;

	if (size < head + blocks * BLOCK_BYTES)
		return false;
	if (packet[1] == SR) {
		session->rtcp.heard_ntp = rtp_get32(packet + 8) << 16 | rtp_get32(packet + 12) >> 16;
		session->rtcp.heard_ssrc = rtp_get32(packet + 4);
		session->rtcp.heard_at_us = session->worker->now_us;
	}
	telling->reports = true;
	for (const uint8_t *block = packet + head; blocks > 0; blocks--, block += BLOCK_BYTES) {
		if (rtp_get32(block) != session->sender.ssrc)
			continue;
		telling->about_us = true;
		take_block(session, block);
	}
	return true;
}

static bool take_packet(struct rtp_session *session, const uint8_t *packet, size_t size, struct telling *telling)
{
	switch (packet[1]) {
	case SR:
	case RR:
		return take_report(session, packet, size, telling);
	case BYE:
		telling->bye = true;
		return size >= 4 + 4u * (packet[0] & 31u);
	case TRANSPORT_FEEDBACK:
	case PAYLOAD_FEEDBACK:
		return size >= FEEDBACK_BYTES;
	case XR:
		return rtp_xr_receive(session, packet, size);
	default:
		return true;
	}
}

/* The octets of a packet's own without padding, which only the last of a compound may have (6.4.1). 0: it is not as it should be. */
static size_t own_bytes(const uint8_t *packet, size_t bytes, bool is_last)
{
	size_t padding = packet[0] & 0x20 ? packet[bytes - 1] : 0;

	if (!(packet[0] & 0x20))
		return bytes;
	return is_last && padding > 0 && padding % 4 == 0 && padding + 4 <= bytes ? bytes - padding : 0;
}

static bool take_compound(struct rtp_session *session, const uint8_t *data, size_t size, struct telling *telling)
{
	while (size >= 4 && data[0] >> 6 == 2 && data[1] >= LEAST_TYPE && data[1] <= MOST_TYPE) {
		size_t bytes = 4u + 4u * rtp_get16(data + 2), own = bytes <= size ? own_bytes(data, bytes, bytes == size) : 0;

		if (own == 0 || !take_packet(session, data, own, telling))
			return false;
		count_type(session->worker->rtcp_in, data[1]);
		data += bytes;
		size -= bytes;
		if (size == 0)
			return true;
	}
	return false;
}

void rtp_rtcp_receive(struct rtp_session *session, const uint8_t *data, size_t size)
{
	struct telling telling = { 0 };

	if (!take_compound(session, data, size, &telling)) {
		rtp_count(&session->counters.malformed, 1);
		return;
	}
	rtp_count(&session->counters.reports_in, 1);
	if (telling.reports && !telling.about_us && !telling.bye)
		note_progress(session, false, 0);
}

/* ---- what we say ---- */

/* Fraction lost since the last report, and lost at all (A.3). */
static uint32_t loss_word(struct rtp_receiver *receiver)
{
	uint32_t expected = receiver->cycles + receiver->newest - receiver->first_sequence + 1u;
	int32_t lost = (int32_t)(expected - receiver->received);
	uint32_t expected_since = expected - receiver->expected_before, received_since = receiver->received - receiver->received_before;
	uint32_t fraction = expected_since > received_since ? ((expected_since - received_since) << 8) / expected_since : 0;

	receiver->expected_before = expected;
	receiver->received_before = receiver->received;
	if (lost > 0x7fffff)
		lost = 0x7fffff;
	if (lost < -0x800000)
		lost = -0x800000;
	return (fraction > 255 ? 255 : fraction) << 24 | ((uint32_t)lost & 0xffffffu);
}

static uint8_t *put_block(struct rtp_session *session, uint8_t *at)
{
	struct rtp_receiver *receiver = &session->receiver;
	uint64_t since_us = session->worker->now_us - session->rtcp.heard_at_us;
	bool has_sr = session->rtcp.heard_ntp != 0 && session->rtcp.heard_ssrc == receiver->ssrc;

	at = rtp_put32(at, receiver->ssrc);
	at = rtp_put32(at, loss_word(receiver));
	at = rtp_put32(at, receiver->cycles + receiver->newest);
	at = rtp_put32(at, receiver->jitter16 >> 4);
	at = rtp_put32(at, has_sr ? session->rtcp.heard_ntp : 0);
	return rtp_put32(at, has_sr ? (uint32_t)((since_us << 16) / 1000000) : 0);
}

static uint8_t *put_head(struct rtp_worker *worker, uint8_t *at, uint32_t count, uint32_t type, size_t bytes)
{
	count_type(worker->rtcp_out, type);
	return rtp_put32(at, 0x80000000u | count << 24 | type << 16 | (uint32_t)(bytes / 4 - 1));
}

/* All of SR or RR but the blocks. */
static uint8_t *put_sender(struct rtp_worker *worker, const struct rtp_sender *sender, bool sends, uint32_t blocks, uint8_t *at)
{
	uint64_t ntp = rtp_ntp_now();

	at = put_head(worker, at, blocks, sends ? SR : RR, (sends ? SR_BYTES : RR_BYTES) + blocks * BLOCK_BYTES);
	at = rtp_put32(at, sender->ssrc);
	if (!sends)
		return at;
	at = rtp_put32(at, (uint32_t)(ntp >> 32));
	at = rtp_put32(at, (uint32_t)ntp);
	at = rtp_put32(at, rtp_sender_timestamp(sender, worker->now_us));
	at = rtp_put32(at, sender->packets);
	return rtp_put32(at, sender->octets);
}

static uint8_t *put_report(struct rtp_session *session, uint8_t *at)
{
	const struct rtp_sender *sender = &session->sender;
	struct rtp_rtcp *rtcp = &session->rtcp;
	bool sent = sender->packets != rtcp->packets_before_report, heard = session->receiver.started;

	at = put_sender(session->worker, sender, sent, heard, at);
	rtcp->packets_before_report = rtcp->packets_at_report;
	rtcp->packets_at_report = sender->packets;
	return heard ? put_block(session, at) : at;
}

static uint8_t *put_cname(struct rtp_worker *worker, uint32_t ssrc, const char *cname, uint8_t *at)
{
	size_t length = strlen(cname), bytes = (8 + 2 + length + 1 + 3) & ~(size_t)3; /* at least one zero ends the items */

	memset(at, 0, bytes);
	(void)put_head(worker, at, 1, SDES, bytes);
	(void)rtp_put32(at + 4, ssrc);
	at[8] = 1; /* CNAME */
	at[9] = (uint8_t)length;
	memcpy(at + 10, cname, length);
	return at + bytes;
}

static uint8_t *put_xr(struct rtp_session *session, uint8_t *at)
{
	uint8_t *end = rtp_xr_put(session, at);

	if (end != at)
		count_type(session->worker->rtcp_out, XR);
	return end;
}

static bool has_way(const struct rtp_session *session)
{
	if (!session->plan || (session->plan->protects && !session->plan->send_guard))
		return false;
	if (session->plan->t38)
		return false;
	return session->plan->rtcp_mux ? session->remote_size > 0 : rtp_addr_size(&session->remote_rtcp) > 0;
}

static void send_compound(struct rtp_session *session, bool bye)
{
	_Alignas(16) uint8_t data[REPORT_BYTES + RTP_XR_BYTES + RTP_TRAILER_BYTES];
	struct rtp_worker *worker = session->worker;
	uint32_t ssrc = session->sender.ssrc;
	uint8_t *end = put_xr(session, put_cname(worker, ssrc, worker->common->cname, put_report(session, data)));
	const struct core_addr *to = session->plan->rtcp_mux ? &session->remote : &session->remote_rtcp;

	if (bye)
		end = rtp_put32(put_head(worker, end, 1, BYE, 8), ssrc);
	size_t size = (size_t)(end - data);

	rtp_count(&session->counters.reports_out, 1);
	if (session->plan->send_guard && !rtp_guard_protect(session->plan->send_guard, true, data, &size))
		return;
	/* A report that is lost is followed by another. */
	(void)rtp_session_send(session, !session->plan->rtcp_mux, to, data, size);
}

size_t rtp_rtcp_of_sender(struct rtp_worker *worker, const struct rtp_sender *sender, bool sends, const char *cname, bool bye,
			  uint8_t ret_data[RTP_SENDER_REPORT_BYTES])
{
	uint8_t *end = put_cname(worker, sender->ssrc, cname, put_sender(worker, sender, sends, 0, ret_data));

	if (bye)
		end = rtp_put32(put_head(worker, end, 1, BYE, 8), sender->ssrc);
	return (size_t)(end - ret_data);
}

uint64_t rtp_rtcp_next_in_ms(bool first)
{
	double spread = 0.5 + (double)arc4random_uniform(1024) / 1024;

	return (uint64_t)((first ? 0.5 : 1) * INTERVAL_MS * spread / COMPENSATION);
}

void rtp_rtcp_look_after(struct rtp_session *session)
{
	struct rtp_rtcp *rtcp = &session->rtcp;
	uint64_t now_ms = session->worker->now_ms;

	if (rtcp->due_at_ms == 0) {
		if (session->sender.packets > 0 || session->receiver.started)
			rtcp->due_at_ms = now_ms + rtp_rtcp_next_in_ms(true);
		return;
	}
	if (now_ms < rtcp->due_at_ms)
		return;
	rtcp->due_at_ms = now_ms + rtp_rtcp_next_in_ms(false);
	if (has_way(session))
		send_compound(session, false);
}

void rtp_rtcp_bye(struct rtp_session *session)
{
	if (has_way(session) && (session->sender.packets > 0 || rtp_read(&session->counters.reports_out) > 0))
		send_compound(session, true);
}
