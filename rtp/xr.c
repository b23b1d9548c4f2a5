/*
 * xr - RTCP XR (RFC 3611): how a peer's stream sounds to us, how ours sounds to it, and the round trip for who only receives
 *
 * Sent are the blocks that the peer's SDP asks for (a=rtcp-xr), and an answer to every reference time; taken is whatever comes. As a relay we keep no packet
 * back, so nothing is discarded and there is no buffer to tell of; where we listen ourselves (ear.h) there is one.
 */
#include "emodel.h"
#include "octets.h"
#include "worker.h"

#include <math.h>
#include <string.h>

#define XR 207u
#define HEAD_BYTES 8u
#define REFERENCE 4u
#define DLRR 5u
#define SUMMARY 6u
#define VOIP 7u
#define SUMMARY_BYTES 40u
#define VOIP_BYTES 36u
#define NOT_KNOWN 127u
#define VOIP_FIGURES 8u /* where they begin in a block */

/* ---- what we hear ---- */

static void take_reference(struct rtp_session *session, uint32_t from_ssrc, const uint8_t *block)
{
	session->rtcp.reference_ntp = rtp_get32(block + 4) << 16 | rtp_get32(block + 8) >> 16;
	session->rtcp.reference_ssrc = from_ssrc;
	session->rtcp.reference_at_us = session->worker->now_us;
}

static void take_dlrr(struct rtp_session *session, const uint8_t *block, size_t bytes)
{
	for (size_t at = 4; at + 12 <= bytes; at += 12)
		if (rtp_get32(block + at) == session->sender.ssrc)
			rtp_note_round_trip(session, rtp_get32(block + at + 4), rtp_get32(block + at + 8));
}

static void take_voip(struct rtp_session *session, const uint8_t *block)
{
	uint64_t words[RTP_VOIP_WORDS];

	if (rtp_get32(block + 4) != session->sender.ssrc)
		return;
	memcpy(words, block + VOIP_FIGURES, sizeof words);
	for (size_t i = 0; i < RTP_VOIP_WORDS; i++)
		rtp_write(&session->counters.voip[i], words[i]);
	rtp_write(&session->counters.voip_told, 1);
}

/* The length that a type has by its definition; 0: it varies. */
static size_t fixed_bytes(uint8_t type)
{
	return type == REFERENCE ? 12 : type == SUMMARY ? SUMMARY_BYTES : type == VOIP ? VOIP_BYTES : 0;
}

static bool is_sane(const uint8_t *block, size_t bytes)
{
	size_t fixed = fixed_bytes(block[0]);

	if (fixed != 0)
		return bytes == fixed;
	return block[0] != DLRR || (bytes - 4) % 12 == 0;
}

static void take_xr_block(struct rtp_session *session, uint32_t from_ssrc, const uint8_t *block, size_t bytes)
{
	if (block[0] == REFERENCE)
		take_reference(session, from_ssrc, block);
	else if (block[0] == DLRR)
		take_dlrr(session, block, bytes);
	else if (block[0] == VOIP)
		take_voip(session, block);
}

bool rtp_xr_receive(struct rtp_session *session, const uint8_t *packet, size_t size)
{
	if (size < HEAD_BYTES)
		return false;
	for (size_t at = HEAD_BYTES; at < size;) {
		const uint8_t *block = packet + at;
		size_t bytes = size - at >= 4 ? 4u + 4u * rtp_get16(block + 2) : 0;

		if (bytes == 0 || bytes > size - at || !is_sane(block, bytes))
			return false;
		take_xr_block(session, rtp_get32(packet + 4), block, bytes);
		at += bytes;
	}
	return true;
}

/* ---- what we say ---- */

static uint8_t *put_block_head(uint8_t *at, uint8_t type, uint8_t specific, size_t bytes)
{
	at[0] = type;
	at[1] = specific;
	return rtp_put16(at + 2, (uint16_t)(bytes / 4 - 1));
}

static uint8_t *put_reference(uint8_t *at)
{
	uint64_t ntp = rtp_ntp_now();

	return rtp_put32(rtp_put32(put_block_head(at, REFERENCE, 0, 12), (uint32_t)(ntp >> 32)), (uint32_t)ntp);
}

static uint8_t *put_dlrr(struct rtp_session *session, uint8_t *at)
{
	struct rtp_rtcp *rtcp = &session->rtcp;
	uint64_t since_us = session->worker->now_us - rtcp->reference_at_us;

	at = rtp_put32(put_block_head(at, DLRR, 0, 16), rtcp->reference_ssrc);
	at = rtp_put32(at, rtcp->reference_ntp);
	rtcp->reference_ntp = 0;
	return rtp_put32(at, (uint32_t)((since_us << 16) / 1000000));
}

/* Mean and standard deviation of the spread. */
static void spread_of(const struct rtp_spread *spread, uint32_t *ret_mean, uint32_t *ret_deviation)
{
	double count = spread->count ? spread->count : 1, mean = (double)spread->sum / count;
	double variance = (double)spread->squares / count - mean * mean;

	*ret_mean = (uint32_t)mean;
	*ret_deviation = (uint32_t)sqrt(variance > 0 ? variance : 0);
}

/* 4.6: of the packets since the last summary. */
static uint8_t *put_summary(struct rtp_session *session, uint8_t *at)
{
	struct rtp_rtcp *rtcp = &session->rtcp;
	struct rtp_receiver *receiver = &session->receiver;
	uint8_t xr = session->plan->xr;
	uint8_t flags =
		(uint8_t)((xr & CORE_XR_LOSS ? 0x80u : 0) | (xr & CORE_XR_DUPLICATES ? 0x40u : 0) | (xr & CORE_XR_JITTER ? 0x20u : 0));
	uint32_t lost = rtp_receiver_lost_now(receiver), mean, deviation;

	if (rtcp->summary_ssrc != receiver->ssrc) {
		rtcp->summary_ssrc = receiver->ssrc;
		rtcp->summary_begins = receiver->first_sequence;
		rtcp->lost_at_summary = rtcp->duplicates_at_summary = 0;
	}
	spread_of(&receiver->spread, &mean, &deviation);
	at = rtp_put32(put_block_head(at, SUMMARY, flags, SUMMARY_BYTES), receiver->ssrc);
	at = rtp_put16(rtp_put16(at, rtcp->summary_begins), (uint16_t)(receiver->newest + 1u));
	at = rtp_put32(at, lost > rtcp->lost_at_summary ? lost - rtcp->lost_at_summary : 0);
	at = rtp_put32(at, receiver->duplicates - rtcp->duplicates_at_summary);
	at = rtp_put32(rtp_put32(at, receiver->spread.least), receiver->spread.most);
	at = rtp_put32(rtp_put32(at, mean), deviation);
	rtcp->summary_begins = (uint16_t)(receiver->newest + 1u);
	rtcp->lost_at_summary = lost;
	rtcp->duplicates_at_summary = receiver->duplicates;
	receiver->spread = (struct rtp_spread){ 0 };
	return rtp_put32(at, 0); /* no time to live, and not told of */
}

static uint8_t share_256(uint64_t part, uint64_t whole)
{
	uint64_t share = whole ? part * 256 / whole : 0;

	return (uint8_t)(share > 255 ? 255 : share);
}

static uint16_t ms_of(uint64_t packets, uint32_t times, uint32_t ptime_ms)
{
	uint64_t ms = times ? packets * ptime_ms / times : 0;

	return (uint16_t)(ms > 65535 ? 65535 : ms);
}

static struct rtp_score score_of(const struct rtp_session *session, const struct rtp_loss_picture *picture)
{
	uint64_t missing = picture->lost + rtp_read(&session->counters.discarded);
	double lost_percent = picture->judged ? 100.0 * (double)missing / picture->judged : 0;
	double delay_ms = rtp_read(&session->counters.round_trip_us) / 2000.0 + rtp_read(&session->counters.buffer_us) / 1000.0 +
			  session->plan->ptime_ms + session->plan->cost->delay_ms;
	const struct rtp_way way = { .lost_percent = lost_percent,
				     .burst_ratio = rtp_burst_ratio(picture->lost, picture->runs, lost_percent),
				     .delay_ms = delay_ms };
	struct rtp_score score;

	rtp_emodel(session->plan->cost, &way, &score);
	return score;
}

/* 4.7: since the beginning. */
static uint8_t *put_voip(struct rtp_session *session, uint8_t *at)
{
	uint32_t ptime_ms = session->plan->ptime_ms, trip_ms = rtp_read(&session->counters.round_trip_us) / 1000;
	struct rtp_loss_picture picture;

	rtp_receiver_picture(&session->receiver, &picture);
	struct rtp_score score = score_of(session, &picture);

	memset(at, 0, VOIP_BYTES);
	uint8_t *figure = rtp_put32(put_block_head(at, VOIP, 0, VOIP_BYTES), session->receiver.ssrc);

	figure[0] = share_256(picture.lost, picture.judged);
	figure[1] = share_256(rtp_read(&session->counters.discarded), picture.judged);
	figure[2] = share_256(picture.burst_lost, picture.burst_packets);
	figure[3] = share_256(picture.gap_lost, picture.gap_packets);
	figure = rtp_put16(figure + 4, ms_of(picture.burst_packets, picture.bursts, ptime_ms));
	figure = rtp_put16(figure, ms_of(picture.gap_packets, picture.gaps, ptime_ms));
	figure = rtp_put16(figure, (uint16_t)(trip_ms > 65535 ? 65535 : trip_ms));
	figure = rtp_put16(figure, 0);                 /* end system delay: the relay's is less than a millisecond */
	figure[0] = figure[1] = figure[2] = NOT_KNOWN; /* signal, noise, echo return loss */
	figure[3] = RTP_GMIN;
	figure[4] = (uint8_t)lround(score.r);
	figure[5] = NOT_KNOWN; /* external R */
	figure[6] = (uint8_t)lround(score.mos_lq * 10);
	figure[7] = (uint8_t)lround(score.mos_cq * 10);
	(void)rtp_put16(figure + 10, (uint16_t)(rtp_read(&session->counters.buffer_us) / 1000)); /* nominal, and the most it may be */
	(void)rtp_put16(figure + 12, (uint16_t)(rtp_read(&session->counters.buffer_us) / 1000));
	return at + VOIP_BYTES;
}

uint8_t *rtp_xr_put(struct rtp_session *session, uint8_t *start)
{
	uint8_t xr = session->plan->xr, *at = start + HEAD_BYTES;
	bool hears = session->receiver.started;

	if (xr & CORE_XR_RTT)
		at = put_reference(at);
	if (session->rtcp.reference_ntp != 0)
		at = put_dlrr(session, at);
	if (hears && xr & (CORE_XR_LOSS | CORE_XR_DUPLICATES | CORE_XR_JITTER))
		at = put_summary(session, at);
	if (hears && xr & CORE_XR_VOIP)
		at = put_voip(session, at);
	if (at == start + HEAD_BYTES)
		return start;
	(void)rtp_put32(start, 0x80000000u | XR << 16 | (uint32_t)((size_t)(at - start) / 4 - 1));
	(void)rtp_put32(start + 4, session->sender.ssrc);
	return at;
}
