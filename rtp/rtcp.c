/*
 * rtcp - what both ends are told about what arrives: RFC 3550 section 6
 *
 * Reports end at us: each leg hears how its own stream reaches us and what we send it, never what another leg said about
 * another stream. A report is SR (or RR when we sent nothing since the last) with SDES CNAME, every five seconds at random
 * between half and one and a half of that, divided by e - 3/2 as 6.3.1 asks; the first after half the time.
 */
#include "worker.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SR 200
#define RR 201
#define SDES 202
#define BYE 203
#define BLOCK_BYTES 24u
#define INTERVAL_MS 5000u
#define COMPENSATION 1.21828
#define NTP_EPOCH_S 2208988800u /* 1900 to 1970 */

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
	return at + 4;
}

/* NTP time as 32.32 bits. */
static uint64_t ntp_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)((uint32_t)now.tv_sec + NTP_EPOCH_S) << 32 | ((uint64_t)now.tv_nsec << 32) / 1000000000u;
}

static uint32_t ntp_middle(uint64_t ntp)
{
	return (uint32_t)(ntp >> 16);
}

/* ---- what we hear ---- */

/* A block about the stream we send: round trip is now - LSR - DLSR, in 1/65536 s (6.4.1). */
static void take_block(struct rtp_session *session, const uint8_t *block)
{
	if (get32(block) != session->sender.ssrc)
		return;
	uint32_t last_report = get32(block + 16), delay = get32(block + 20);
	uint32_t trip = ntp_middle(ntp_now()) - last_report - delay;

	rtp_write(&session->counters.peer_lost, get32(block + 4) & 0xffffffu);
	if (session->plan->send_khz > 0)
		rtp_write(&session->counters.peer_jitter_us, (uint32_t)((uint64_t)get32(block + 12) * 1000 / session->plan->send_khz));
	if (last_report != 0 && trip < 60u << 16) /* a clock that stepped would tell of ages */
		rtp_write(&session->counters.round_trip_us, (uint32_t)((uint64_t)trip * 1000000 >> 16));
}

static void take_report(struct rtp_session *session, const uint8_t *packet, size_t size)
{
	size_t at = packet[1] == SR ? 28 : 8, blocks = packet[0] & 31u;

	if (packet[1] == SR && size >= 28) {
		session->rtcp.heard_ntp = get32(packet + 8) << 16 | get32(packet + 12) >> 16;
		session->rtcp.heard_at_us = session->worker->now_us;
	}
	for (; blocks > 0 && at + BLOCK_BYTES <= size; blocks--, at += BLOCK_BYTES)
		take_block(session, packet + at);
}

void rtp_rtcp_receive(struct rtp_session *session, const uint8_t *data, size_t size)
{
	bool understood = false;

	while (size >= 4 && data[0] >> 6 == 2) {
		size_t bytes = 4u + 4u * (size_t)((uint32_t)data[2] << 8 | data[3]);

		if (bytes > size)
			break;
		if ((data[1] == SR || data[1] == RR) && bytes >= 8)
			take_report(session, data, bytes);
		understood = true;
		data += bytes;
		size -= bytes;
	}
	if (understood && size == 0)
		session->rtcp.received++;
	else
		rtp_count(&session->counters.malformed, 1);
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

	at = put32(at, receiver->ssrc);
	at = put32(at, loss_word(receiver));
	at = put32(at, receiver->cycles + receiver->newest);
	at = put32(at, receiver->jitter16 >> 4);
	at = put32(at, session->rtcp.heard_ntp);
	return put32(at, session->rtcp.heard_ntp ? (uint32_t)((since_us << 16) / 1000000) : 0);
}

static uint8_t *put_head(uint8_t *at, uint32_t count, uint32_t type, size_t bytes)
{
	return put32(at, 0x80000000u | count << 24 | type << 16 | (uint32_t)(bytes / 4 - 1));
}

/* The RTP timestamp of this instant, on the line that our packets are on. */
static uint32_t timestamp_now(const struct rtp_session *session)
{
	const struct rtp_sender *sender = &session->sender;

	return sender->timestamp + (uint32_t)((session->worker->now_us - sender->sent_at_us) * sender->khz / 1000);
}

static uint8_t *put_report(struct rtp_session *session, uint8_t *at)
{
	const struct rtp_sender *sender = &session->sender;
	bool sent = sender->packets != session->rtcp.packets_at_report, heard = session->receiver.started;
	uint64_t ntp = ntp_now();

	at = put_head(at, heard, sent ? SR : RR, (sent ? 28u : 8u) + (heard ? BLOCK_BYTES : 0));
	at = put32(at, sender->ssrc);
	if (sent) {
		at = put32(at, (uint32_t)(ntp >> 32));
		at = put32(at, (uint32_t)ntp);
		at = put32(at, timestamp_now(session));
		at = put32(at, sender->packets);
		at = put32(at, sender->octets);
	}
	session->rtcp.packets_at_report = sender->packets;
	return heard ? put_block(session, at) : at;
}

static uint8_t *put_cname(const struct rtp_session *session, uint8_t *at)
{
	const char *cname = session->worker->common->cname;
	size_t length = strlen(cname), bytes = (8 + 2 + length + 1 + 3) & ~(size_t)3; /* at least one zero ends the items */

	memset(at, 0, bytes);
	(void)put_head(at, 1, SDES, bytes);
	(void)put32(at + 4, session->sender.ssrc);
	at[8] = 1; /* CNAME */
	at[9] = (uint8_t)length;
	memcpy(at + 10, cname, length);
	return at + bytes;
}

static bool has_way(const struct rtp_session *session)
{
	if (!session->plan)
		return false;
	return session->plan->rtcp_mux ? session->remote_size > 0 : rtp_addr_size(&session->remote_rtcp) > 0;
}

static void send_compound(struct rtp_session *session, bool bye)
{
	_Alignas(16) uint8_t data[256 + RTP_TRAILER_BYTES];
	uint8_t *end = put_cname(session, put_report(session, data));
	const struct core_addr *to = session->plan->rtcp_mux ? &session->remote : &session->remote_rtcp;

	if (bye)
		end = put32(put_head(end, 1, BYE, 8), session->sender.ssrc);
	size_t size = (size_t)(end - data);

	if (session->plan->send_guard && !rtp_guard_protect(session->plan->send_guard, true, data, &size))
		return;
	/* A report that is lost is followed by another. */
	(void)sendto(session->plan->rtcp_mux ? session->rtp_fd : session->rtcp_fd, data, size, 0, &to->sa, rtp_addr_size(to));
	session->rtcp.sent++;
}

static uint64_t next_in_ms(bool first)
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
			rtcp->due_at_ms = now_ms + next_in_ms(true);
		return;
	}
	if (now_ms < rtcp->due_at_ms)
		return;
	rtcp->due_at_ms = now_ms + next_in_ms(false);
	if (has_way(session))
		send_compound(session, false);
}

void rtp_rtcp_bye(struct rtp_session *session)
{
	if (has_way(session) && (session->sender.packets > 0 || session->rtcp.sent > 0))
		send_compound(session, true);
}
