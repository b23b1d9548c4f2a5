/*
 * fork - packets once more, to somebody beside the call
 *
 * A packet is sent from where it lies, with a header from the stack before it; only SRTP takes a copy, which it encrypts. RTCP is looked for once a
 * second, in a socket that keeps a handful: who floods it fills nothing else.
 */
#include "fork.h"
#include "octets.h"
#include "tap.h"

#include <string.h>
#include <sys/uio.h>

#define READ_MS 1000u
#define MOST_READ 32 /* of datagrams, each time */
#define LEAST_TYPE 192u
#define MOST_TYPE 223u /* of RTCP (RFC 5761 4) */

/* ---- what goes out ---- */

static bool is_aimed(const struct rtp_fork *fork)
{
	return fork->rtp.sa.sa_family != AF_UNSPEC;
}

/* Octets, or -1: not sent. */
static ssize_t send_plain(const struct rtp_fork *fork, uint8_t *head, const struct rtp_packet *packet)
{
	struct core_addr to = fork->rtp;
	struct iovec parts[] = { { .iov_base = head, .iov_len = RTP_HEADER_BYTES },
				 { .iov_base = packet->payload, .iov_len = packet->payload_bytes } };
	const struct msghdr message = { .msg_name = &to.sa, .msg_namelen = rtp_addr_size(&to), .msg_iov = parts, .msg_iovlen = 2 };

	return sendmsg(fork->rtp_fd, &message, 0);
}

/* 0: it came twice, and SRTP uses a number once. */
static ssize_t send_sealed(const struct rtp_fork *fork, const uint8_t *head, const struct rtp_packet *packet)
{
	_Alignas(16) uint8_t sealed[RTP_MOST_BYTES + RTP_TRAILER_BYTES];
	size_t size = RTP_HEADER_BYTES + packet->payload_bytes;

	memcpy(sealed, head, RTP_HEADER_BYTES);
	memcpy(sealed + RTP_HEADER_BYTES, packet->payload, packet->payload_bytes);
	if (!rtp_guard_protect(fork->guard, false, sealed, &size))
		return 0;
	return sendto(fork->rtp_fd, sealed, size, 0, &fork->rtp.sa, rtp_addr_size(&fork->rtp));
}

/* Its next packet follows our newest one; the timestamps of somebody else go on where those before would be now. */
static void begin(struct rtp_fork *fork, const struct rtp_packet *packet, uint32_t frame, uint16_t khz, uint64_t now_us)
{
	const struct rtp_sender *sender = &fork->sender;
	uint32_t shift = fork->map.timestamp_shift;

	if (sender->started && packet->ssrc != fork->map.source_ssrc)
		shift = rtp_sender_next(sender, frame, khz, now_us) - packet->timestamp;
	fork->map = (struct rtp_map){ .synced = true,
				      .source_ssrc = packet->ssrc,
				      .newest = packet->sequence,
				      .sequence_shift = (uint16_t)(sender->sequence + 1u - packet->sequence),
				      .timestamp_shift = shift };
}

static void copy(const struct rtp_session *session, struct rtp_fork *fork, const struct rtp_packet *packet)
{
	const struct rtp_plan *plan = session->plan;
	uint16_t khz = fork->direction == RTP_SAYS ? plan->clock_khz[packet->type] : plan->send_khz;
	uint64_t now_us = session->worker->now_us;
	bool begins = rtp_map_begins(&fork->map, packet);
	uint8_t head[RTP_HEADER_BYTES] = { 0x80, (uint8_t)(packet->type | (packet->marker || begins ? 0x80 : 0)) };

	if (begins)
		begin(fork, packet, (uint32_t)plan->ptime_ms * khz, khz, now_us);
	else if (!rtp_map_move(&fork->map, packet))
		return;
	uint16_t sequence = (uint16_t)(packet->sequence + fork->map.sequence_shift);
	uint32_t timestamp = packet->timestamp + fork->map.timestamp_shift;

	(void)rtp_put16(head + 2, sequence);
	(void)rtp_put32(head + 4, timestamp);
	(void)rtp_put32(head + 8, fork->sender.ssrc);
	ssize_t sent = fork->guard ? send_sealed(fork, head, packet) : send_plain(fork, head, packet);

	if (sent == 0)
		return;
	rtp_sender_note(&fork->sender, sequence, timestamp, packet->payload_bytes, khz,
			now_us); /* what is not taken now is lost on its way */
	rtp_count(sent < 0 ? &fork->failed : &fork->packets, 1);
	rtp_count(&fork->octets, sent < 0 ? 0 : packet->payload_bytes);
}

/* What is left out is no hole: the next one begins anew. */
void rtp_fork_copy(const struct rtp_session *session, uint8_t direction, const struct rtp_packet *packet)
{
	bool is_music = rtp_tap_is_music(session, direction);
	bool is_secret = direction == RTP_SAYS && session->worker->now_us < rtp_read(&session->masked_until_us);

	for (struct rtp_fork *fork = session->forks; fork; fork = fork->next) {
		if (fork->direction != direction || !is_aimed(fork))
			continue;
		if (is_secret || (is_music && !fork->music))
			fork->map.synced = false;
		else
			copy(session, fork, packet);
	}
}

/* A report that is lost is followed by another. */
static void report(const struct rtp_session *session, struct rtp_fork *fork, bool bye)
{
	_Alignas(16) uint8_t data[RTP_SENDER_REPORT_BYTES + RTP_TRAILER_BYTES];
	bool sends = fork->sender.packets != fork->packets_before_report;
	size_t size = rtp_rtcp_of_sender(session->worker, &fork->sender, sends, fork->cname, bye, data);

	fork->packets_before_report = fork->packets_at_report;
	fork->packets_at_report = fork->sender.packets;
	if (!fork->guard || rtp_guard_protect(fork->guard, true, data, &size))
		(void)sendto(fork->rtcp_fd, data, size, 0, &fork->rtcp.sa, rtp_addr_size(&fork->rtcp));
}

/* ---- what comes back ---- */

/* Of SRTCP nothing but the first head is to be seen. */
static bool is_rtcp(const uint8_t *data, size_t size, bool sealed)
{
	size_t at = 0;

	do {
		if (size - at < 4 || data[at] >> 6 != 2 || data[at + 1] < LEAST_TYPE || data[at + 1] > MOST_TYPE)
			return false;
		at += 4u + 4u * rtp_get16(data + at + 2);
	} while (!sealed && at < size);
	return sealed ? size >= 8 : at == size;
}

static void read_reports(struct rtp_session *session, struct rtp_fork *fork)
{
	uint8_t *data = session->worker->data;

	for (int i = 0; i < MOST_READ; i++) {
		struct core_addr from;
		socklen_t from_size = sizeof from;
		ssize_t size = recvfrom(fork->rtcp_fd, data, RTP_MOST_BYTES, MSG_TRUNC, &from.sa, &from_size);

		if (size < 0)
			return; /* that was all */
		bool good = (size_t)size <= RTP_MOST_BYTES && rtp_addr_same_host(&from, &fork->rtcp) &&
			    is_rtcp(data, (size_t)size, fork->guard);

		rtp_count(good ? &fork->reports : &fork->junk, 1);
	}
}

/* ---- its life ---- */

void rtp_fork_add(struct rtp_session *session, struct rtp_fork *fork)
{
	fork->next = session->forks;
	session->forks = fork;
}

void rtp_fork_remove(struct rtp_session *session, struct rtp_fork *fork)
{
	struct rtp_fork **at = &session->forks;

	while (*at && *at != fork)
		at = &(*at)->next;
	if (*at)
		*at = fork->next;
	if (is_aimed(fork))
		report(session, fork, true);
}

void rtp_fork_aim(const struct rtp_session *session, const struct rtp_aim *aim)
{
	struct rtp_fork *fork = aim->command.fork;

	if (!is_aimed(fork)) {
		fork->map.synced = false;
		fork->report_at_ms = session->worker->now_ms + rtp_rtcp_next_in_ms(true);
	}
	fork->rtp = aim->rtp;
	fork->rtcp = aim->rtcp;
}

void rtp_forks_look_after(struct rtp_session *session)
{
	uint64_t now_ms = session->worker->now_ms;

	for (struct rtp_fork *fork = session->forks; fork; fork = fork->next) {
		if (now_ms >= fork->read_at_ms) {
			fork->read_at_ms = now_ms + READ_MS;
			read_reports(session, fork);
		}
		if (is_aimed(fork) && now_ms >= fork->report_at_ms) {
			fork->report_at_ms = now_ms + rtp_rtcp_next_in_ms(false);
			report(session, fork, false);
		}
	}
}
