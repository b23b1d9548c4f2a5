/* tests/fuzz/fuzz_jitter.c - packets with any numbers at any time, and a listener who stops and starts: nothing is heard twice or before its
 * turn, and every packet is accounted for */
#include <rtp/jitter.h>
#include <stdlib.h>
#include <string.h>

#define STEP_BYTES 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* A packet of the usual stream, moved by what the input says. */
static void put(struct rtp_jitter *jitter, const uint8_t *step, uint32_t number, uint64_t now_us)
{
	uint8_t payload[32];
	uint32_t far = step[1] & 1 ? UINT32_C(0x01000193) : 160, moved = (uint32_t)step[2] * far;
	struct rtp_jitter_packet packet = { .ssrc = step[1] >> 6,
					    .timestamp = number * 160 + (step[1] & 2 ? moved : 0),
					    .sequence = (uint16_t)(65500 + number + (step[1] & 4 ? step[3] - 128u : 0) +
								   (step[1] & 8 ? step[3] * 257u : 0)),
					    .type = step[4] & 0x7f,
					    .kind = step[5] % 3,
					    .payload = payload,
					    .bytes = step[6] % 34,
					    .units = step[7] % 3 ? 160 : step[7] };

	memset(payload, step[0], sizeof payload);
	if (packet.bytes > sizeof payload)
		packet.bytes = sizeof payload;
	rtp_jitter_put(jitter, &packet, now_us);
}

static uint64_t get(struct rtp_jitter *jitter, uint64_t due_us, bool obeys)
{
	struct rtp_jitter_frame frame;
	static volatile uint8_t seen;

	rtp_jitter_get(jitter, due_us, &frame);
	check(frame.what >= RTP_JITTER_PLAY && frame.what <= RTP_JITTER_SILENCE);
	check(frame.what == RTP_JITTER_PLAY || frame.units > 0);
	for (uint32_t i = 0; frame.what == RTP_JITTER_PLAY && i < frame.bytes; i++)
		seen = frame.payload[i];
	for (uint32_t i = 0; frame.next && i < frame.next_bytes; i++)
		seen = frame.next[i];
	(void)seen;
	if (obeys && frame.pace == RTP_JITTER_SHORTEN)
		rtp_jitter_slipped(jitter, frame.spare_units);
	return due_us + (uint64_t)frame.units * 125;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rtp_jitter_config config = { .clock_hz = 8000,
					    .frame_units = 160,
					    .slot_bytes = 24,
					    .initial_ms = 40,
					    .least_ms = 20,
					    .most_ms = 200,
					    .drift_ms = 30,
					    .adaptive = true };
	uint64_t now_us = 1000000, due_us = now_us;
	uint32_t number = 0;

	if (size == 0)
		return 0;
	config.adaptive = data[0] & 1;
	config.most_ms = data[0] & 2 ? RTP_JITTER_MOST_MS : 40;
	struct rtp_jitter *jitter = rtp_jitter_new(&config);

	for (data++, size--; jitter && size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES) {
		struct rtp_jitter_stats stats;

		now_us += data[0] & 0x80 ? (uint64_t)(data[0] & 0x7f) * 100000 : (uint64_t)(data[0] & 0x3f) * 1000;
		put(jitter, data, number, now_us);
		number += !(data[1] & 16);
		for (int i = 0; i < 100 && due_us <= now_us && !(data[1] & 32); i++)
			due_us = get(jitter, due_us, data[4] & 0x80);
		if (due_us + 5000000 < now_us)
			due_us = now_us; /* it had stopped */
		if (data[7] == 0xff)
			rtp_jitter_restart(jitter, 8000, 160);
		rtp_jitter_stats(jitter, &stats);
		check(stats.played + stats.duplicates <= stats.received);
		check(stats.target_us <= config.most_ms * 1000 || !config.adaptive);
	}
	rtp_jitter_free(jitter);
	return 0;
}
