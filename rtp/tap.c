/*
 * tap - packets into a ring, by the worker; out of it, by a thread that is slower
 *
 * One writer, one reader. Both count octets since the beginning, so that their difference is what is in the ring. A packet is its head and
 * its payload, rounded up to whole words, and goes round the end of the ring in two pieces.
 */
#include "fork.h"
#include "tap.h"
#include "worker.h"

#include <pbx/calls.h>
#include <string.h>

#define BEEP_MS 200u
#define BEEP_PERIOD 40u

void rtp_tap_init(struct rtp_tap *tap, uint8_t directions, bool music, void (*untapped)(struct rtp_command *command))
{
	memset(tap, 0, sizeof *tap);
	tap->directions = directions;
	tap->music = music;
	tap->untapped = untapped;
}

void rtp_tap_add(struct rtp_session *session, struct rtp_tap *tap)
{
	tap->next = session->taps;
	session->taps = tap;
}

void rtp_tap_remove(struct rtp_session *session, struct rtp_tap *tap)
{
	struct rtp_tap **at = &session->taps;

	while (*at && *at != tap)
		at = &(*at)->next;
	if (*at)
		*at = tap->next;
}

static uint64_t whole_words(uint64_t bytes)
{
	return (bytes + 7) & ~(uint64_t)7;
}

static void copy_in(struct rtp_tap *tap, uint64_t at, const void *data, size_t bytes)
{
	size_t place = at % RTP_TAP_BYTES, first = RTP_TAP_BYTES - place;

	if (first > bytes)
		first = bytes;
	memcpy(tap->ring + place, data, first);
	memcpy(tap->ring, (const uint8_t *)data + first, bytes - first);
}

static void copy_out(const struct rtp_tap *tap, uint64_t at, void *ret_data, size_t bytes)
{
	size_t place = at % RTP_TAP_BYTES, first = RTP_TAP_BYTES - place;

	if (first > bytes)
		first = bytes;
	memcpy(ret_data, tap->ring + place, first);
	memcpy((uint8_t *)ret_data + first, tap->ring, bytes - first);
}

bool rtp_tap_put(struct rtp_tap *tap, const struct rtp_tap_packet *packet, const uint8_t *payload)
{
	uint64_t written = atomic_load_explicit(&tap->written, memory_order_relaxed);
	uint64_t used = written - atomic_load_explicit(&tap->read, memory_order_acquire);
	uint64_t needed = whole_words(sizeof *packet + packet->bytes);

	if (packet->bytes > RTP_TAP_PAYLOAD || used + needed > RTP_TAP_BYTES) {
		rtp_count(&tap->lost, 1);
		return false;
	}
	copy_in(tap, written, packet, sizeof *packet);
	copy_in(tap, written + sizeof *packet, payload, packet->bytes);
	atomic_store_explicit(&tap->written, written + needed, memory_order_release);
	return true;
}

bool rtp_tap_is_music(const struct rtp_session *session, uint8_t direction)
{
	return direction == RTP_HEARS && session->play && session->play->kind == CORE_PLAY_SOURCE;
}

void rtp_tap_copy(const struct rtp_session *session, uint8_t direction, uint8_t type, uint16_t sequence, uint32_t timestamp, uint32_t ssrc,
		  const uint8_t *payload, uint32_t bytes)
{
	bool is_music = rtp_tap_is_music(session, direction);
	const struct rtp_tap_packet packet = {
		.at_us = session->worker->now_us,
		.timestamp = timestamp,
		.ssrc = ssrc,
		.plan = session->plan->number,
		.sequence = sequence,
		.bytes = (uint16_t)bytes,
		.type = type,
		.direction = direction,
	};

	for (struct rtp_tap *tap = session->taps; tap; tap = tap->next) {
		if (tap->directions & 1u << direction && (tap->music || !is_music))
			(void)rtp_tap_put(tap, &packet, payload); /* what finds no room is counted */
	}
}

static uint32_t sooner(uint32_t every_s, uint32_t other_s)
{
	return other_s && (!every_s || other_s < every_s) ? other_s : every_s;
}

static uint32_t beep_of(const struct rtp_session *session)
{
	uint32_t every_s = 0;

	for (const struct rtp_tap *tap = session->taps; tap; tap = tap->next)
		every_s = sooner(every_s, tap->beep_s);
	for (const struct rtp_fork *fork = session->forks; fork; fork = fork->next)
		every_s = sooner(every_s, fork->beep_s);
	return every_s;
}

/* 1400 Hz at 8 kHz comes round after 40 samples, so the timestamp says where in it a packet is. */
void rtp_tap_beep(const struct rtp_session *session, uint8_t *payload, uint32_t bytes, uint8_t type, uint32_t timestamp)
{
	static const int16_t beep[BEEP_PERIOD] = { 0,     3564,  3236,  -626,  -3804, -2828, 1236,  3951,  2351,  -1816,
						   -4000, -1816, 2351,  3951,  1236,  -2828, -3804, -626,  3236,  3564,
						   0,     -3564, -3236, 626,   3804,  2828,  -1236, -3951, -2351, 1816,
						   4000,  1816,  -2351, -3951, -1236, 2828,  3804,  626,   -3236, -3564 };
	uint32_t every_s = beep_of(session), law = type == 8 ? RTP_LAW_A : RTP_LAW_MU;

	if (!every_s && session->peer)
		every_s = beep_of(session->peer);
	if (!every_s || (type != 0 && type != 8) || session->worker->now_ms % (every_s * 1000) >= BEEP_MS)
		return;
	for (uint32_t i = 0; i < bytes; i++) {
		int32_t sample = rtp_g711_decode(law, payload[i]) + beep[(timestamp + i) % BEEP_PERIOD];

		payload[i] = rtp_g711_encode(law, (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample));
	}
}

uint64_t rtp_tap_written(const struct rtp_tap *tap)
{
	return atomic_load_explicit(&tap->written, memory_order_acquire);
}

bool rtp_tap_take(struct rtp_tap *tap, uint64_t until, struct rtp_tap_packet *ret_packet, uint8_t *ret_payload)
{
	uint64_t read = atomic_load_explicit(&tap->read, memory_order_relaxed);

	if (read >= until)
		return false;
	copy_out(tap, read, ret_packet, sizeof *ret_packet);
	copy_out(tap, read + sizeof *ret_packet, ret_payload, ret_packet->bytes);
	atomic_store_explicit(&tap->read, read + whole_words(sizeof *ret_packet + ret_packet->bytes), memory_order_release);
	return true;
}
