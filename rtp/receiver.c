/*
 * receiver - how well a peer's packets reach us: RFC 3550 appendices A.1 (sequence), A.3 (loss) and A.8 (jitter)
 *
 * A new SSRC begins a new account; what the earlier ones lost is kept in the sum. The newest 64 sequence numbers are a window of bits: a packet that comes twice
 * is known by it, and one that is missing is judged lost only when it leaves the window, so that reordering is no loss.
 */
#include "ear.h"
#include "worker.h"

#define MOST_DROPOUT 3000 /* further ahead: the sender has begun anew */
#define MOST_MISORDER 100 /* further behind: likewise */
#define WINDOW 64u
#define PUBLISH_EVERY_MS 1000u

uint32_t rtp_receiver_lost_now(const struct rtp_receiver *receiver)
{
	uint32_t expected = receiver->cycles + receiver->newest - receiver->first_sequence + 1u;
	uint32_t arrived = receiver->received - receiver->duplicates;

	return receiver->started && expected > arrived ? expected - arrived : 0;
}

uint64_t rtp_receiver_lost(const struct rtp_receiver *receiver)
{
	return receiver->lost_before + rtp_receiver_lost_now(receiver);
}

/* ---- the window ---- */

static void judge_window(const struct rtp_receiver *receiver, struct rtp_losses *losses)
{
	for (uint32_t bit = receiver->started ? WINDOW - receiver->unjudged : 0; bit-- > 0;)
		rtp_losses_judge(losses, receiver->window >> bit & 1);
}

static void move_window(struct rtp_receiver *receiver, uint32_t ahead)
{
	for (uint32_t i = 0; i < ahead; i++) {
		if (receiver->unjudged > 0)
			receiver->unjudged--;
		else
			rtp_losses_judge(&receiver->losses, receiver->window >> (WINDOW - 1));
		receiver->window <<= 1;
	}
	receiver->window |= 1;
}

static bool has_come(const struct rtp_receiver *receiver, uint32_t behind)
{
	return behind < WINDOW && receiver->window >> behind & 1;
}

void rtp_receiver_picture(const struct rtp_receiver *receiver, struct rtp_loss_picture *ret_picture)
{
	struct rtp_losses losses = receiver->losses;

	judge_window(receiver, &losses);
	rtp_losses_look(&losses, ret_picture);
}

/* An ear may be another one than a second ago, and counts from nothing then. */
static void publish_ear(struct rtp_session *session)
{
	struct rtp_jitter_stats stats = { 0 };

	if (session->ear)
		rtp_jitter_stats(rtp_ear_jitter(session->ear), &stats);
	uint64_t left_out = stats.late + stats.discarded;

	rtp_count(&session->counters.discarded, left_out >= session->ear_left_out ? left_out - session->ear_left_out : left_out);
	session->ear_left_out = left_out;
	rtp_write(&session->counters.buffer_us, stats.delay_us);
}

void rtp_receiver_look_after(struct rtp_session *session)
{
	struct rtp_counters *counters = &session->counters;
	struct rtp_loss_picture picture;

	if (!session->receiver.started || session->worker->now_ms < session->receiver.publish_at_ms)
		return;
	session->receiver.publish_at_ms = session->worker->now_ms + PUBLISH_EVERY_MS;
	rtp_receiver_picture(&session->receiver, &picture);
	rtp_write(&counters->judged, picture.judged);
	rtp_write(&counters->judged_lost, picture.lost);
	rtp_write(&counters->runs, picture.runs);
	rtp_write(&counters->bursts, picture.bursts);
	rtp_write(&counters->burst_lost, picture.burst_lost);
	rtp_write(&counters->burst_packets, picture.burst_packets);
	publish_ear(session);
}

/* ---- packets ---- */

static void begin(struct rtp_receiver *receiver, const struct rtp_packet *packet, uint16_t khz, uint32_t transit)
{
	struct rtp_losses losses = receiver->losses;

	judge_window(receiver, &losses);
	*receiver = (struct rtp_receiver){ .started = true,
					   .ssrc = packet->ssrc,
					   .first_sequence = packet->sequence,
					   .newest = packet->sequence,
					   .received = 1,
					   .window = 1,
					   .unjudged = WINDOW - 1,
					   .losses = losses,
					   .transit = transit,
					   .khz = khz,
					   .lost_before = rtp_receiver_lost(receiver) };
}

static void note_spread(struct rtp_spread *spread, uint32_t distance)
{
	if (spread->count == 0 || distance < spread->least)
		spread->least = distance;
	if (distance > spread->most)
		spread->most = distance;
	spread->count++;
	spread->sum += distance;
	spread->squares += (uint64_t)distance * distance;
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
	note_spread(&receiver->spread, distance);
	rtp_write(&session->counters.jitter_us, (uint32_t)(((uint64_t)receiver->jitter16 >> 4) * 1000 / receiver->khz));
}

/* One that is not the newest: overtaken, or here for the second time. */
static void note_behind(struct rtp_session *session, uint32_t behind)
{
	struct rtp_receiver *receiver = &session->receiver;

	if (has_come(receiver, behind)) {
		receiver->duplicates++;
		rtp_count(&session->counters.duplicates, 1);
		return;
	}
	if (behind < WINDOW)
		receiver->window |= (uint64_t)1 << behind;
	rtp_count(&session->counters.late, 1);
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
		move_window(receiver, (uint32_t)ahead);
		if (khz == receiver->khz && session->plan->receive[packet->type] != RTP_KIND_EVENT)
			note_jitter(session, transit);
	} else {
		note_behind(session, (uint32_t)-ahead);
	}
	rtp_write(&session->counters.lost, rtp_receiver_lost(receiver));
}

/* ---- packets that somebody else took ---- */

static void add_spread(struct rtp_spread *spread, const struct rtp_spread *more)
{
	if (more->count == 0)
		return;
	if (spread->count == 0 || more->least < spread->least)
		spread->least = more->least;
	if (more->most > spread->most)
		spread->most = more->most;
	spread->count += more->count;
	spread->sum += more->sum;
	spread->squares += more->squares;
}

/* The window moves packet by packet, so that each that leaves it is judged; what is older than theirs has arrived as far as we know. */
static void follow_window(struct rtp_receiver *receiver, const struct rtp_arrivals *arrivals, uint32_t ahead)
{
	for (uint32_t behind = ahead; behind-- > 0;) {
		move_window(receiver, 1);
		if (behind < WINDOW && !(arrivals->window >> behind & 1))
			receiver->window &= ~(uint64_t)1;
	}
	receiver->window |= arrivals->window;
}

void rtp_receiver_catch_up(struct rtp_session *session, const struct rtp_arrivals *arrivals)
{
	struct rtp_receiver *receiver = &session->receiver;
	int16_t ahead = (int16_t)(arrivals->newest - receiver->newest);

	receiver->received += arrivals->packets;
	receiver->duplicates += arrivals->duplicates;
	rtp_count(&session->counters.duplicates, arrivals->duplicates);
	rtp_count(&session->counters.late, arrivals->late);
	add_spread(&receiver->spread, &arrivals->spread);
	if (ahead > 0) {
		receiver->cycles += arrivals->newest < receiver->newest ? 0x10000u : 0;
		follow_window(receiver, arrivals, (uint32_t)ahead);
		receiver->newest = arrivals->newest;
		receiver->transit = arrivals->transit;
		receiver->jitter16 = arrivals->jitter16;
		rtp_write(&session->counters.jitter_us, (uint32_t)(((uint64_t)receiver->jitter16 >> 4) * 1000 / receiver->khz));
	} else if (-ahead < (int)WINDOW) {
		receiver->window |= arrivals->window << -ahead;
	}
	rtp_write(&session->counters.lost, rtp_receiver_lost(receiver));
}
