/*
 * handover - established calls leave for the kernel, and come back
 *
 * The kernel maps a packet by the same numbers as relay.c: a shift of sequence and timestamp. So it does not matter which of
 * the two a packet meets, and none is lost or sent twice when the flow is turned on or off; packets that wait in the socket are
 * relayed here and take their place. Turned off means that the program has left it: only then are its counts final and may
 * somebody else send the next number.
 */
#include "kernel.h"
#include "worker.h"

#include <arpa/inet.h>
#include <string.h>

#define ESTABLISHED_PACKETS RTP_FLOW_MOST_LATE /* of a talkspurt: none that may be overtaken now is older */
#define ALIVE_NS 1000000000u                   /* without a sign of us */
#define FAIR_TRIAL_PACKETS 10u
#define RETRY_MS 30000u    /* after a flow that took no packet */
#define MOST_WAIT_US 2000u /* for a program that is on a core which stands still */

static uint64_t load(const uint64_t *of_kernel)
{
	return __atomic_load_n(of_kernel, __ATOMIC_ACQUIRE);
}

/* ---- what a flow should be ---- */

static bool is_busy(const struct rtp_session *session)
{
	return session->play || session->digits || session->event.open || session->taps || session->forks || session->inband ||
	       session->injection || session->line;
}

/* Of what we send to it. */
static uint8_t traffic_class(const struct rtp_session *session)
{
	uint32_t dscp = session->plan ? session->plan->dscp : 0;

	return dscp ? (uint8_t)(dscp << 2) : (uint8_t)rtp_read(&session->worker->common->traffic_class);
}

static bool knows_road(struct rtp_session *session)
{
	struct rtp_handover *handover = &session->handover;
	struct core_addr bound = { 0 };
	socklen_t size = sizeof bound;

	if (handover->road_asked && handover->road_generation == rtp_kernel_generation() &&
	    rtp_addr_same(&handover->road_to, &session->remote))
		return handover->road_known;
	handover->road_asked = true;
	handover->road_generation = rtp_kernel_generation();
	handover->road_to = session->remote;
	handover->road_known =
		getsockname(session->rtp_fd, &bound.sa, &size) == 0 &&
		rtp_road_ask(rtp_worker_road_fd(session->worker), &session->remote, &bound, traffic_class(session), &handover->road);
	return handover->road_known;
}

/* Does the relay do nothing with this leg's packets but to number them anew? */
static bool is_plain(const struct rtp_session *from)
{
	const struct rtp_session *to = from->peer;

	if (!to || !from->plan || !to->plan || !from->locked || !from->route || from->plan->receive_guard || to->plan->send_guard)
		return false;
	if (!(from->plan->direction & CORE_RECV) || !rtp_can_send(to) || is_busy(from) || is_busy(to))
		return false;
	if (from->plan->protects || to->plan->protects || from->plan->ice || to->plan->ice || from->plan->t38 || to->plan->t38)
		return false;
	if (from->ear || to->talking) /* somebody listens to the one, or speaks to the other */
		return false;
	if (from->remote.sa.sa_family != to->remote.sa.sa_family || !from->receiver.started)
		return false;
	return to->map.synced && !to->map.counted && to->fifo_bytes == 0 && to->map.since_sync >= ESTABLISHED_PACKETS &&
	       to->map.source_ssrc == from->receiver.ssrc && to->map.newest == from->receiver.newest;
}

/* The payload type that passes, and its size if only that is right. False: it is changed on the way. */
static bool describe_payload(const struct rtp_session *from, struct rtp_flow_way *way)
{
	const struct rtp_session *to = from->peer;
	uint8_t type = to->map.type, kind = from->plan->receive[type], out = from->route->out[type];

	if (out == RTP_OUT_NONE || out & RTP_OUT_TRANSCODE || kind == RTP_KIND_NONE || kind == RTP_KIND_EVENT)
		return false;
	way->type = type;
	way->out_type = out;
	way->clock_khz = from->plan->clock_khz[type];
	way->bytes = (uint16_t)(rtp_kind_is_g711(kind) && to->plan->ptime_ms ? RTP_HEADER_BYTES + 8u * to->plan->ptime_ms : 0);
	return from->receiver.khz == way->clock_khz;
}

static uint16_t port_be(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? addr->in4.sin_port : addr->in6.sin6_port;
}

static void copy_address(uint32_t ret_words[4], const struct core_addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		memcpy(ret_words, &addr->in4.sin_addr, sizeof addr->in4.sin_addr);
	else
		memcpy(ret_words, &addr->in6.sin6_addr, sizeof addr->in6.sin6_addr);
}

/* Ones' complement sum of the new addresses less that of the old. */
static uint32_t addresses_sum(const struct rtp_flow_way *way)
{
	uint64_t sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (uint64_t)way->from[i] + way->to[i] + (uint32_t)~way->source[i] + (uint32_t)~way->local[i];
	sum = (sum & 0xffffffffu) + (sum >> 32);
	return (uint32_t)((sum & 0xffffffffu) + (sum >> 32));
}

/* False: not now. */
static bool describe(struct rtp_session *from, struct rtp_flow_way *ret_way)
{
	struct rtp_session *to = from->peer;

	memset(ret_way, 0, sizeof *ret_way); /* it is compared as a whole */
	if (!is_plain(from) || !describe_payload(from, ret_way) || !knows_road(from) || !knows_road(to))
		return false;
	copy_address(ret_way->source, &from->remote);
	copy_address(ret_way->to, &to->remote);
	memcpy(ret_way->local, from->handover.road.local, sizeof ret_way->local);
	memcpy(ret_way->from, to->handover.road.local, sizeof ret_way->from);
	memcpy(ret_way->next_hop, to->handover.road.next_hop, sizeof ret_way->next_hop);
	ret_way->next_hop_family = to->handover.road.next_hop_family;
	ret_way->out_interface = to->handover.road.interface;
	ret_way->source_ssrc_be = htonl(to->map.source_ssrc);
	ret_way->ssrc_be = htonl(to->sender.ssrc);
	ret_way->timestamp_shift = to->map.timestamp_shift;
	ret_way->sequence_shift = to->map.sequence_shift;
	ret_way->source_port_be = port_be(&from->remote);
	ret_way->to_port_be = port_be(&to->remote);
	ret_way->local_port_be = htons(from->port);
	ret_way->from_port_be = htons(to->port);
	ret_way->family = (uint8_t)from->remote.sa.sa_family;
	ret_way->traffic_class = traffic_class(to);
	ret_way->addresses_sum = addresses_sum(ret_way);
	return true;
}

/* ---- the books ---- */

/* What a count has risen by since it was booked last. */
static uint64_t since(uint64_t *booked, const uint64_t *of_kernel)
{
	uint64_t before = *booked;

	*booked = load(of_kernel);
	return *booked - before;
}

static struct rtp_spread take_spread(struct rtp_handover *handover)
{
	struct rtp_flow *flow = handover->place;
	uint64_t extremes = __atomic_exchange_n(&flow->distance_extremes, 0, __ATOMIC_ACQ_REL);

	return (struct rtp_spread){ .count = (uint32_t)since(&handover->distances, &flow->distances),
				    .least = ~(uint32_t)extremes,
				    .most = (uint32_t)(extremes >> 32),
				    .sum = since(&handover->distance_sum, &flow->distance_sum),
				    .squares = since(&handover->distance_squares, &flow->distance_squares) };
}

static void book_received(struct rtp_session *from, uint64_t packets, uint64_t octets)
{
	struct rtp_handover *handover = &from->handover;
	const struct rtp_flow *flow = handover->place;
	uint64_t jitter = load(&flow->jitter), at_ms = load(&flow->newest_at_ns) / 1000000, now_ms = from->worker->now_ms;
	struct rtp_arrivals arrivals = { .packets = (uint32_t)packets,
					 .late = (uint32_t)since(&handover->late, &flow->late),
					 .duplicates = (uint32_t)since(&handover->duplicates, &flow->duplicates),
					 .newest = (uint16_t)(load(&flow->newest) >> 32),
					 .window = load(&flow->window),
					 .transit = (uint32_t)jitter,
					 .jitter16 = (uint32_t)(jitter >> 32),
					 .spread = take_spread(handover) };

	rtp_receiver_catch_up(from, &arrivals);
	rtp_count(&from->counters.packets_in, packets);
	rtp_count(&from->counters.bytes_in, octets);
	rtp_count(&from->counters.by_kernel, packets);
	at_ms = at_ms < now_ms ? at_ms : now_ms; /* its newest may be later than our now: the kernel does not wait for us */
	rtp_write(&from->counters.last_packet_at_ms, at_ms);
	from->quiet_since_ms = at_ms > from->quiet_since_ms ? at_ms : from->quiet_since_ms;
	from->told_silence = false;
}

static void book_sent(const struct rtp_session *from, struct rtp_session *to, uint64_t packets, uint64_t octets)
{
	const struct rtp_flow *flow = from->handover.place;
	struct rtp_sender *sender = &to->sender;
	uint64_t pair = load(&flow->newest);
	uint16_t newest = (uint16_t)(pair >> 32), sequence = (uint16_t)(newest + to->map.sequence_shift);
	int16_t ahead = (int16_t)(newest - to->map.newest);

	if (ahead > 0) {
		to->map.newest = newest;
		to->map.since_sync += to->map.since_sync <= RTP_FLOW_MOST_AHEAD ? (uint16_t)ahead : 0;
	}
	if ((int16_t)(sequence - sender->sequence) > 0) {
		sender->sequence = sequence;
		sender->timestamp = (uint32_t)pair + to->map.timestamp_shift;
		sender->sent_at_us = load(&flow->newest_at_ns) / 1000;
		sender->khz = to->plan->send_khz;
	}
	sender->packets += (uint32_t)packets;
	sender->octets += (uint32_t)(octets - packets * RTP_HEADER_BYTES);
	rtp_count(&to->counters.packets_out, packets);
	rtp_count(&to->counters.bytes_out, octets);
}

void rtp_handover_catch_up(struct rtp_session *session)
{
	struct rtp_handover *handover = &session->handover;

	if (!handover->on)
		return;
	uint64_t relayed = since(&handover->relayed, &handover->place->relayed); /* first: of these all else has been counted before */

	if (relayed == 0)
		return;
	uint64_t octets = since(&handover->octets, &handover->place->octets);

	book_received(session, relayed, octets);
	book_sent(session, session->peer, relayed, octets);
}

/* ---- on and off ---- */

static void set_until(struct rtp_flow *flow, uint64_t until_ns)
{
	__atomic_store_n(&flow->until_ns, until_ns, __ATOMIC_SEQ_CST);
}

/* Counts go on from wherever they stand. */
static void open_books(struct rtp_session *from)
{
	struct rtp_handover *handover = &from->handover;
	struct rtp_flow *flow = handover->place;

	(void)since(&handover->relayed, &flow->relayed);
	handover->relayed_before = handover->relayed;
	handover->left_before = load(&flow->left);
	(void)since(&handover->octets, &flow->octets);
	(void)since(&handover->late, &flow->late);
	(void)since(&handover->duplicates, &flow->duplicates);
	(void)take_spread(handover);
	flow->newest_at_ns = from->worker->now_us * 1000;
	flow->newest = (uint64_t)from->peer->map.newest << 32;
	flow->window = from->receiver.window;
	flow->jitter = (uint64_t)from->receiver.jitter16 << 32 | from->receiver.transit;
}

static void hand_over(struct rtp_session *from, const struct rtp_flow_way *way)
{
	from->handover.place->way = *way;
	open_books(from);
	from->handover.on = true;
	rtp_write(&from->counters.in_kernel, 1);
	set_until(from->handover.place, from->worker->now_us * 1000 + ALIVE_NS);
}

/* Until the program has left the flow, which takes less than a microsecond unless the core it runs on stands still. */
static void wait_until_left(const struct rtp_session *session)
{
	const struct rtp_flow *flow = session->handover.place;
	uint64_t give_up_at_us = session->worker->now_us + MOST_WAIT_US;

	while (load(&flow->entered) != load(&flow->relayed) + load(&flow->left)) {
		if (rtp_worker_now_us() > give_up_at_us)
			return; /* a packet may be missing in the books */
	}
}

static void take_back(struct rtp_session *from)
{
	if (!from->handover.on)
		return;
	set_until(from->handover.place, 0);
	wait_until_left(from);
	rtp_handover_catch_up(from);
	from->handover.on = false;
	rtp_write(&from->counters.in_kernel, 0);
}

void rtp_handover_take_back(struct rtp_session *session)
{
	take_back(session);
	if (session->peer)
		take_back(session->peer);
}

/* The flow is on and everything goes by it to the worker: the phone sends header extensions, a filter stands before us, … */
static bool is_in_vain(const struct rtp_handover *handover)
{
	return handover->relayed == handover->relayed_before && load(&handover->place->left) - handover->left_before > FAIR_TRIAL_PACKETS;
}

void rtp_handover_look_after(struct rtp_session *session)
{
	struct rtp_handover *handover = &session->handover;
	struct rtp_flow_way way;

	if (session->peer)
		rtp_handover_catch_up(session->peer); /* what we report to have sent, it has */
	rtp_handover_catch_up(session);
	if (!handover->place || (!handover->on && session->worker->now_ms < handover->retry_at_ms))
		return;
	bool wanted = describe(session, &way);

	if (!handover->on) {
		if (wanted)
			hand_over(session, &way);
		return;
	}
	if (is_in_vain(handover)) {
		handover->retry_at_ms = session->worker->now_ms + RETRY_MS;
		wanted = false;
	}
	if (wanted && memcmp(&way, &handover->place->way, sizeof way) == 0)
		set_until(handover->place, session->worker->now_us * 1000 + ALIVE_NS);
	else
		take_back(session);
}
