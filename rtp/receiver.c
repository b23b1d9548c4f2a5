/*
 * receiver - how well a peer's packets reach us: RFC 3550 appendices A.1 (sequence), A.3 (loss) and A.8 (jitter)
 *
 * A new SSRC begins a new account; what the earlier ones lost is kept in the sum.
 */
#include "worker.h"

#define MOST_DROPOUT 3000 /* further ahead: the sender has begun anew */
#define MOST_MISORDER 100 /* further behind: likewise */

static uint64_t lost_now(const struct rtp_receiver *receiver)
{
	uint64_t expected = (uint64_t)receiver->cycles + receiver->newest - receiver->first_sequence + 1;

	return receiver->started && expected > receiver->received ? expected - receiver->received : 0;
}

uint64_t rtp_receiver_lost(const struct rtp_receiver *receiver)
{
	return receiver->lost_before + lost_now(receiver);
}

static void begin(struct rtp_receiver *receiver, const struct rtp_packet *packet, uint16_t khz, uint32_t transit)
{
	*receiver = (struct rtp_receiver){ .started = true,
					   .ssrc = packet->ssrc,
					   .first_sequence = packet->sequence,
					   .newest = packet->sequence,
					   .received = 1,
					   .transit = transit,
					   .khz = khz,
					   .lost_before = rtp_receiver_lost(receiver) };
}

/* Interarrival jitter in timestamp units. An event keeps its timestamp while time goes on, so it does not count. */
static void note_jitter(struct rtp_session *session, uint32_t transit)
{
	struct rtp_receiver *receiver = &session->receiver;
	int32_t moved = (int32_t)(transit - receiver->transit);
	uint32_t distance = (uint32_t)(moved < 0 ? -(int64_t)moved : moved);

	receiver->transit = transit;
	if (distance > 10000u * receiver->khz)
		return; /* the timestamps have leapt, not the packets */
	receiver->jitter16 += distance - ((receiver->jitter16 + 8) >> 4);
	rtp_write(&session->counters.jitter_us, (uint32_t)(((uint64_t)receiver->jitter16 >> 4) * 1000 / receiver->khz));
}

void rtp_receiver_note(struct rtp_session *session, const struct rtp_packet *packet, uint16_t khz)
{
	struct rtp_receiver *receiver = &session->receiver;
	uint32_t transit = (uint32_t)(session->worker->now_us * khz / 1000) - packet->timestamp;
	int16_t ahead = (int16_t)(packet->sequence - receiver->newest);

	if (!receiver->started || packet->ssrc != receiver->ssrc || ahead > MOST_DROPOUT || ahead < -MOST_MISORDER) {
		begin(receiver, packet, khz, transit);
		rtp_write(&session->counters.receive_ssrc, packet->ssrc);
		return;
	}
	receiver->received++;
	if (ahead > 0) {
		receiver->cycles += packet->sequence < receiver->newest ? 0x10000u : 0;
		receiver->newest = packet->sequence;
		if (khz == receiver->khz && session->plan->receive[packet->type] != RTP_KIND_EVENT)
			note_jitter(session, transit);
	} else {
		rtp_count(&session->counters.late, 1);
	}
	rtp_write(&session->counters.lost, rtp_receiver_lost(receiver));
}
