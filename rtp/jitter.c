/*
 * jitter - from the network's time to the listener's
 *
 * Sequence numbers and timestamps are unrolled into lines of 64 bits that never wrap, and a packet's transit is its arrival less
 * its timestamp: what it means is unknown, but how it differs from packet to packet is the jitter. The target is the transit that
 * 97 of 100 of the last 500 packets kept, and one frame; a packet is due when that much has passed since its timestamp. While
 * sound goes on, packets follow each other without a look at the clock; how far that has strayed from the target is told with
 * each as its pace, so that the listener stretches or shortens what it hears, and clocks that differ are one more reason to.
 * Whenever nothing is heard (the beginning, silence, a hole that has emptied the buffer), the next packet waits until it is due;
 * amid speech no longer than that is better than the hole.
 *
 * A sender that begins anew (another SSRC, a timestamp elsewhere, a sequence that stays behind) is mapped to where the one before
 * would be now, so that no sound is lost, and what it has learned of the network stays good.
 */
#include "jitter.h"

#include <stdlib.h>
#include <string.h>

#define LATE_PERCENT 3         /* what need not be waited for */
#define LOOK_EVERY 10          /* packets: how often the target is found anew; at once when one was later than it */
#define LEARNING 50u           /* packets: before, the initial delay is the least */
#define LEAP_MS 1000           /* a transit that differs so much is another clock's */
#define MOST_DROPOUT 3000      /* RFC 3550 A.1: further ahead, the sender has begun anew */
#define MOST_LATE_IN_A_ROW 100 /* then it is not they who are late */
#define WAIT_MS 10             /* how long a hole is concealed before we look again */
#define MOST_COUNTED_MS 200    /* of one hole as concealed: a party who has left is not */
#define SLOTS_EVERY_MS 10      /* the shortest frames */
#define SPARE_SLOTS 32

struct slot {
	int64_t sequence, timestamp;
	uint32_t bytes, units;
	bool used, played, begins;
	uint8_t type, kind;
};

/* A packet that fits nowhere: when the next one fits it, they are right. */
struct suspect {
	bool is;
	uint16_t sequence;
	uint32_t timestamp;
};

struct rtp_jitter {
	struct rtp_jitter_config config;
	struct rtp_jitter_stats stats;
	uint32_t slot_count; /* a power of two */

	/* The sender's numbers, unrolled. */
	bool started;
	uint32_t ssrc;
	int64_t newest, newest_timestamp; /* of all that were put; the timestamp is of sound */
	uint16_t newest_wire;             /* as it came */
	uint32_t newest_wire_timestamp;
	struct suspect suspect;
	uint32_t late_in_a_row;

	/* What they say about the network. */
	int64_t transit, transit_origin; /* of the newest; history counts from the origin */
	uint32_t frame_units, jitter16;
	uint32_t history_count, history_at, since_look;
	int64_t base, target; /* the fastest; how much later we play. base counts from nothing */
	int32_t history[RTP_JITTER_HISTORY];

	/* What is heard. */
	bool goes_on;          /* the first packet does not wait */
	bool playing;          /* packets follow each other; false: the next one waits until it is due */
	bool quiet;            /* nothing is missed: silence was announced, a key is pressed, or nobody has spoken yet */
	uint32_t waiting;      /* packets in slots */
	int64_t next, play_at; /* the sequence and the timestamp that come next */
	int64_t due;           /* of the last get */
	uint32_t waited;       /* units of the present hole */
	int64_t slip_after;    /* due: no shortening before */
	uint32_t slip_left;    /* units of the present shortening; 0: none */

	uint8_t *data;
	struct slot slots[];
};

static int64_t units_of_ms(const struct rtp_jitter *jitter, uint32_t ms)
{
	return (int64_t)ms * jitter->config.clock_hz / 1000;
}

static int64_t units_of_us(const struct rtp_jitter *jitter, uint64_t us)
{
	return (int64_t)(us / 1000000 * jitter->config.clock_hz + us % 1000000 * jitter->config.clock_hz / 1000000);
}

static uint32_t us_of_units(const struct rtp_jitter *jitter, int64_t units)
{
	return units <= 0 ? 0 : (uint32_t)(units * 1000000 / jitter->config.clock_hz);
}

static struct slot *slot_of(struct rtp_jitter *jitter, int64_t sequence)
{
	return &jitter->slots[(uint64_t)sequence & (jitter->slot_count - 1)];
}

static uint8_t *data_of(struct rtp_jitter *jitter, const struct slot *slot)
{
	return jitter->data + (size_t)(slot - jitter->slots) * jitter->config.slot_bytes;
}

static bool holds(const struct slot *slot, int64_t sequence)
{
	return slot->used && slot->sequence == sequence;
}

/* ---- life ---- */

static uint32_t slots_for(uint32_t most_ms)
{
	uint32_t count = SPARE_SLOTS;

	while (count < most_ms / SLOTS_EVERY_MS + SPARE_SLOTS)
		count *= 2;
	return count;
}

struct rtp_jitter *rtp_jitter_new(const struct rtp_jitter_config *config)
{
	uint32_t count = slots_for(config->most_ms);
	size_t head_bytes = sizeof(struct rtp_jitter) + count * sizeof(struct slot);
	struct rtp_jitter *jitter = calloc(1, head_bytes + (size_t)count * config->slot_bytes);

	if (!jitter)
		return NULL;
	jitter->config = *config;
	jitter->slot_count = count;
	jitter->data = (uint8_t *)jitter + head_bytes;
	rtp_jitter_restart(jitter, config->clock_hz, config->frame_units);
	return jitter;
}

void rtp_jitter_free(struct rtp_jitter *jitter)
{
	free(jitter);
}

static void forget_network(struct rtp_jitter *jitter)
{
	jitter->history_count = jitter->history_at = jitter->since_look = 0;
	jitter->target = units_of_ms(jitter, jitter->config.initial_ms);
}

void rtp_jitter_restart(struct rtp_jitter *jitter, uint32_t clock_hz, uint32_t frame_units)
{
	jitter->config.clock_hz = clock_hz;
	jitter->frame_units = frame_units;
	jitter->started = jitter->playing = jitter->suspect.is = false;
	jitter->quiet = true;
	jitter->jitter16 = jitter->waiting = jitter->late_in_a_row = jitter->waited = jitter->slip_left = 0;
	jitter->slip_after = INT64_MIN;
	for (uint32_t i = 0; i < jitter->slot_count; i++)
		jitter->slots[i] = (struct slot){ .sequence = -1 };
	forget_network(jitter);
}

/* ---- what transits say ---- */

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static int32_t fastest(const int32_t *transits, uint32_t count)
{
	int32_t least = INT32_MAX;

	for (uint32_t i = 0; i < count; i++)
		least = transits[i] < least ? transits[i] : least;
	return least;
}

static uint32_t later_than(const struct rtp_jitter *jitter, int32_t transit)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < jitter->history_count; i++)
		count += jitter->history[i] > transit;
	return count;
}

/* The least transit that no more than LATE_PERCENT were later than, found by halving; at most `most` beyond the fastest. */
static int32_t usual(const struct rtp_jitter *jitter, int32_t least, int32_t most)
{
	int32_t low = least, high = least + most;

	while (low < high) {
		int32_t middle = low + (high - low) / 2;

		if (later_than(jitter, middle) * 100 > LATE_PERCENT * jitter->history_count)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The way has become longer for good when nobody takes the short one any more: what was known of that is of no use. */
static void forget_shorter_way(struct rtp_jitter *jitter, int32_t least)
{
	int32_t newest[LOOK_EVERY];

	if (jitter->history_count <= LOOK_EVERY)
		return;
	for (uint32_t i = 0; i < LOOK_EVERY; i++)
		newest[i] = jitter->history[(jitter->history_at + RTP_JITTER_HISTORY - 1 - i) % RTP_JITTER_HISTORY];
	if (fastest(newest, LOOK_EVERY) - least <= units_of_ms(jitter, jitter->config.most_ms))
		return;
	memcpy(jitter->history, newest, sizeof newest);
	jitter->history_count = jitter->history_at = LOOK_EVERY;
}

static void find_target(struct rtp_jitter *jitter)
{
	const struct rtp_jitter_config *config = &jitter->config;
	int64_t most = units_of_ms(jitter, config->most_ms), initial = units_of_ms(jitter, config->initial_ms);
	int32_t least = fastest(jitter->history, jitter->history_count);

	forget_shorter_way(jitter, least);
	least = fastest(jitter->history, jitter->history_count);
	jitter->since_look = 0;
	jitter->base = jitter->transit_origin + least;
	if (!config->adaptive) {
		jitter->target = initial;
		return;
	}
	int64_t wanted = (int64_t)usual(jitter, least, (int32_t)most) - least + jitter->frame_units;
	int64_t floor = jitter->history_count < LEARNING ? initial : units_of_ms(jitter, config->least_ms);

	jitter->target = clamp(wanted, floor, most);
}

/* RFC 3550 A.8. */
static void note_jitter(struct rtp_jitter *jitter, int64_t moved)
{
	jitter->jitter16 += (uint32_t)(moved < 0 ? -moved : moved) - ((jitter->jitter16 + 8) >> 4);
}

static void note_transit(struct rtp_jitter *jitter, int64_t transit)
{
	int64_t from_origin;

	if (jitter->history_count == 0)
		jitter->transit_origin = transit;
	else
		note_jitter(jitter, transit - jitter->transit);
	jitter->transit = transit;
	from_origin = transit - jitter->transit_origin;
	jitter->history[jitter->history_at] = (int32_t)from_origin;
	jitter->history_at = (jitter->history_at + 1) % RTP_JITTER_HISTORY;
	if (jitter->history_count < RTP_JITTER_HISTORY)
		jitter->history_count++;
	if (++jitter->since_look >= LOOK_EVERY || jitter->history_count <= LOOK_EVERY || transit < jitter->base ||
	    transit > jitter->base + jitter->target)
		find_target(jitter);
}

/* ---- what arrives ---- */

/* Takes a packet out that will not be played. */
static void drop(struct rtp_jitter *jitter, struct slot *slot)
{
	slot->used = false;
	slot->played = true; /* if it comes again, it is a duplicate */
	jitter->waiting--;
}

/* Nothing before `sequence` will be played: there is no room to wait for it. */
static void pass_to(struct rtp_jitter *jitter, int64_t sequence)
{
	uint64_t had = 0;

	for (uint32_t i = 0; i < jitter->slot_count; i++) {
		if (!jitter->slots[i].used || jitter->slots[i].sequence >= sequence)
			continue;
		drop(jitter, &jitter->slots[i]);
		had++;
	}
	jitter->stats.discarded += had;
	jitter->stats.lost += (uint64_t)(sequence - jitter->next) - had;
	jitter->next = sequence;
	jitter->playing = false;
}

static void begin(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet)
{
	jitter->started = true;
	jitter->ssrc = packet->ssrc;
	jitter->newest = jitter->next = (int64_t)packet->sequence + 0x10000; /* one that overtook it has a place, too */
	jitter->newest_wire = packet->sequence;
	jitter->newest_timestamp = (int64_t)packet->timestamp + INT64_C(0x100000000);
	jitter->newest_wire_timestamp = packet->timestamp;
}

/* From here on the sender counts from elsewhere: its packet stands where the next of its old numbers would stand now. */
static void map_anew(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet, int64_t now)
{
	int64_t follows = jitter->newest_timestamp + jitter->frame_units, now_due = now - jitter->transit;

	jitter->stats.resyncs++;
	jitter->ssrc = packet->ssrc;
	jitter->newest = (jitter->newest < jitter->next ? jitter->next - 1 : jitter->newest) + 1;
	jitter->newest_wire = packet->sequence;
	jitter->newest_timestamp = follows > now_due ? follows : now_due;
	jitter->newest_wire_timestamp = packet->timestamp;
	jitter->late_in_a_row = 0;
	jitter->suspect.is = false;
}

static bool is_next_of_suspect(const struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet)
{
	const struct suspect *suspect = &jitter->suspect;
	uint32_t later = packet->timestamp - suspect->timestamp;

	return suspect->is && (uint16_t)(packet->sequence - suspect->sequence) == 1 && later < (uint32_t)units_of_ms(jitter, LEAP_MS);
}

/* Where the packet stands on our lines. False: it fits nowhere, or only perhaps. */
static bool place(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet, int64_t now, struct slot *ret_at)
{
	int16_t ahead = (int16_t)(packet->sequence - jitter->newest_wire);
	int64_t timestamp = jitter->newest_timestamp + (int32_t)(packet->timestamp - jitter->newest_wire_timestamp);
	int64_t moved = now - timestamp - jitter->transit;
	bool leaps = packet->kind == RTP_JITTER_AUDIO && jitter->history_count > 0 && llabs(moved) > units_of_ms(jitter, LEAP_MS);
	bool begins = packet->ssrc != jitter->ssrc;

	*ret_at = (struct slot){ .begins = begins };
	leaps |= ahead > MOST_DROPOUT || ahead < -(int32_t)jitter->slot_count;
	if (begins || jitter->late_in_a_row >= MOST_LATE_IN_A_ROW || (leaps && is_next_of_suspect(jitter, packet))) {
		map_anew(jitter, packet, now);
		ret_at->sequence = jitter->newest;
		ret_at->timestamp = jitter->newest_timestamp;
		return true;
	}
	jitter->suspect = (struct suspect){ .is = leaps, .sequence = packet->sequence, .timestamp = packet->timestamp };
	ret_at->sequence = jitter->newest + ahead;
	ret_at->timestamp = timestamp;
	return !leaps;
}

static void note_newest(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet, const struct slot *at)
{
	if (at->sequence <= jitter->newest)
		return;
	jitter->newest = at->sequence;
	jitter->newest_wire = packet->sequence;
	if (packet->kind == RTP_JITTER_EVENT)
		return; /* its timestamp is the beginning of the key press */
	jitter->newest_timestamp = at->timestamp;
	jitter->newest_wire_timestamp = packet->timestamp;
}

static bool is_duplicate(struct rtp_jitter *jitter, int64_t sequence)
{
	const struct slot *slot = slot_of(jitter, sequence);

	return slot->sequence == sequence && (slot->used || slot->played);
}

/* Its time is over. */
static void come_too_late(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet, const struct slot *at)
{
	jitter->late_in_a_row++;
	if (packet->kind == RTP_JITTER_EVENT)
		return;
	jitter->stats.late++;
	if (jitter->stats.lost > 0)
		jitter->stats.lost--; /* that is what we took it for */
	if (!slot_of(jitter, at->sequence)->used)
		*slot_of(jitter, at->sequence) = (struct slot){ .sequence = at->sequence, .played = true };
}

static void keep(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet, const struct slot *at)
{
	struct slot *slot = slot_of(jitter, at->sequence);

	jitter->late_in_a_row = 0;
	*slot = (struct slot){ .sequence = at->sequence,
			       .timestamp = at->timestamp,
			       .bytes = packet->bytes,
			       .units = packet->units ? packet->units : jitter->frame_units,
			       .used = true,
			       .begins = at->begins,
			       .type = packet->type,
			       .kind = packet->kind };
	if (packet->bytes > 0)
		memcpy(data_of(jitter, slot), packet->payload, packet->bytes);
	jitter->waiting++;
}

void rtp_jitter_put(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet, uint64_t now_us)
{
	int64_t now = units_of_us(jitter, now_us);
	struct slot at;

	jitter->stats.received++;
	if (packet->bytes > jitter->config.slot_bytes) {
		jitter->stats.discarded++;
		return;
	}
	if (!jitter->started)
		begin(jitter, packet);
	if (!place(jitter, packet, now, &at)) {
		jitter->stats.discarded++;
		return;
	}
	if (is_duplicate(jitter, at.sequence)) {
		jitter->stats.duplicates++;
		return;
	}
	note_newest(jitter, packet, &at);
	if (packet->kind == RTP_JITTER_AUDIO) {
		if (packet->units > 0)
			jitter->frame_units = packet->units;
		note_transit(jitter, now - at.timestamp);
	}
	if (jitter->stats.played == 0 && !jitter->playing && at.sequence < jitter->next && jitter->next - at.sequence < SPARE_SLOTS)
		jitter->next = at.sequence; /* the very first ones came in another order */
	if (at.sequence < jitter->next) {
		come_too_late(jitter, packet, &at);
		return;
	}
	if (at.sequence >= jitter->next + jitter->slot_count)
		pass_to(jitter, at.sequence - jitter->slot_count + 1);
	keep(jitter, packet, &at);
}

/* ---- what is heard ---- */

/* The first packet with sound, and how many are missing before it. NULL: there is none. Events on the way are done with. */
static struct slot *first_of(struct rtp_jitter *jitter, uint32_t *ret_missing)
{
	*ret_missing = 0;
	for (int64_t at = jitter->next; jitter->waiting > 0 && at < jitter->next + jitter->slot_count; at++) {
		struct slot *slot = slot_of(jitter, at);

		if (!holds(slot, at)) {
			++*ret_missing;
			continue;
		}
		if (slot->kind != RTP_JITTER_EVENT)
			return slot;
		jitter->quiet = true;
		if (*ret_missing > 0)
			continue;
		drop(jitter, slot);
		jitter->next = at + 1;
		at = jitter->next - 1;
	}
	return NULL;
}

/* How much later than it need be a timestamp is heard now. Negative: earlier than is safe. */
static int64_t excess_of(const struct rtp_jitter *jitter, int64_t timestamp)
{
	return jitter->due - timestamp - jitter->base - jitter->target;
}

/* By more than is worth a stretched frame or a longer hole. */
static bool is_early(const struct rtp_jitter *jitter, int64_t timestamp)
{
	return excess_of(jitter, timestamp) < -(int64_t)jitter->frame_units / 4;
}

static void conceal(struct rtp_jitter *jitter, struct rtp_jitter_frame *ret_frame, uint32_t what, uint32_t units)
{
	*ret_frame = (struct rtp_jitter_frame){ .what = what, .units = units };
	if (what != RTP_JITTER_SILENCE && jitter->waited < units_of_ms(jitter, MOST_COUNTED_MS))
		jitter->stats.concealed_us += us_of_units(jitter, units);
	jitter->waited += what == RTP_JITTER_SILENCE ? 0 : units;
}

/* Nothing can be played. */
static void wait(struct rtp_jitter *jitter, struct rtp_jitter_frame *ret_frame)
{
	uint32_t step = (uint32_t)units_of_ms(jitter, WAIT_MS);

	conceal(jitter, ret_frame, jitter->quiet ? RTP_JITTER_SILENCE : RTP_JITTER_WAIT,
		step < jitter->frame_units ? step : jitter->frame_units);
}

static void set_pace(struct rtp_jitter *jitter, struct rtp_jitter_frame *ret_frame, int64_t timestamp)
{
	int64_t frame = jitter->frame_units, excess = excess_of(jitter, timestamp);

	if (is_early(jitter, timestamp)) {
		ret_frame->pace = RTP_JITTER_LENGTHEN;
		ret_frame->spare_units = (uint32_t)-excess;
		return;
	}
	if (!jitter->config.adaptive || jitter->due < jitter->slip_after)
		return;
	if (jitter->slip_left == 0 && excess >= frame && excess >= units_of_ms(jitter, jitter->config.drift_ms))
		jitter->slip_left = jitter->frame_units;
	if (jitter->slip_left == 0)
		return;
	ret_frame->pace = RTP_JITTER_SHORTEN;
	ret_frame->spare_units = jitter->slip_left;
}

static void note_delay(struct rtp_jitter *jitter, int64_t timestamp)
{
	jitter->stats.delay_us = us_of_units(jitter, jitter->due - timestamp - jitter->base);
	if (jitter->stats.delay_us > jitter->stats.most_delay_us)
		jitter->stats.most_delay_us = jitter->stats.delay_us;
}

static void play(struct rtp_jitter *jitter, struct slot *slot, struct rtp_jitter_frame *ret_frame)
{
	*ret_frame = (struct rtp_jitter_frame){ .what = RTP_JITTER_PLAY,
						.units = slot->units,
						.type = slot->type,
						.kind = slot->kind,
						.begins = slot->begins,
						.payload = data_of(jitter, slot),
						.bytes = slot->bytes };
	if (slot->kind == RTP_JITTER_AUDIO)
		set_pace(jitter, ret_frame, slot->timestamp);
	note_delay(jitter, slot->timestamp);
	drop(jitter, slot);
	jitter->stats.played++;
	jitter->goes_on = false;
	jitter->next = slot->sequence + 1;
	jitter->play_at = slot->timestamp + slot->units;
	jitter->playing = slot->kind == RTP_JITTER_AUDIO;
	jitter->quiet = !jitter->playing;
	jitter->waited = 0;
}

/* Packets are missing before `first`. Those whose time has come are given up, unless we play earlier than is safe: then they may still
 * come. */
static void miss(struct rtp_jitter *jitter, const struct slot *first, struct rtp_jitter_frame *ret_frame)
{
	if (is_early(jitter, jitter->play_at)) {
		wait(jitter, ret_frame);
		return;
	}
	jitter->stats.lost++;
	jitter->next++;
	jitter->play_at += jitter->frame_units;
	conceal(jitter, ret_frame, RTP_JITTER_LOST, jitter->frame_units);
	if (first->sequence != jitter->next || first->kind != RTP_JITTER_AUDIO)
		return;
	ret_frame->next = data_of(jitter, first);
	ret_frame->next_bytes = first->bytes;
}

/* More than the longest delay has piled up (the network held it back and let go): the oldest is left out. */
static struct slot *bound(struct rtp_jitter *jitter, struct slot *first, uint32_t *missing)
{
	int64_t most = units_of_ms(jitter, jitter->config.most_ms) + jitter->frame_units;

	while (first && jitter->newest_timestamp + jitter->frame_units - first->timestamp > most) {
		jitter->stats.lost += *missing;
		jitter->stats.discarded++;
		drop(jitter, first);
		jitter->next = first->sequence + 1;
		jitter->playing = false;
		first = first_of(jitter, missing);
	}
	return first;
}

void rtp_jitter_get(struct rtp_jitter *jitter, uint64_t due_us, struct rtp_jitter_frame *ret_frame)
{
	uint32_t missing;
	struct slot *first = first_of(jitter, &missing);

	jitter->due = units_of_us(jitter, due_us);
	first = bound(jitter, first, &missing);
	if (!first) {
		jitter->playing = false;
		wait(jitter, ret_frame);
		return;
	}
	int64_t early = first->timestamp - jitter->play_at;

	if (jitter->playing && missing > 0 && early >= (int64_t)jitter->frame_units / 2) {
		miss(jitter, first, ret_frame);
		return;
	}
	if (jitter->playing && early > (int64_t)jitter->frame_units / 2) {
		jitter->playing = false; /* it did not speak in between, and nobody said so */
		jitter->quiet = true;
	}
	if (!jitter->playing && !jitter->goes_on &&
	    (jitter->quiet ? excess_of(jitter, first->timestamp) < 0 : is_early(jitter, first->timestamp))) {
		wait(jitter, ret_frame);
		return;
	}
	jitter->stats.lost += missing;
	play(jitter, first, ret_frame);
}

void rtp_jitter_go_on(struct rtp_jitter *jitter)
{
	jitter->goes_on = true;
}

void rtp_jitter_slipped(struct rtp_jitter *jitter, uint32_t units)
{
	jitter->stats.slipped_us += us_of_units(jitter, units);
	jitter->slip_left -= units < jitter->slip_left ? units : jitter->slip_left;
	jitter->slip_after = jitter->due + (int64_t)units * jitter->config.clock_hz / jitter->frame_units; /* one frame a second */
	if (jitter->slip_left < jitter->frame_units / 8)
		jitter->slip_left = 0;
}

void rtp_jitter_stats(const struct rtp_jitter *jitter, struct rtp_jitter_stats *ret_stats)
{
	*ret_stats = jitter->stats;
	ret_stats->jitter_us = us_of_units(jitter, jitter->jitter16 >> 4);
	ret_stats->target_us = us_of_units(jitter, jitter->target);
}
