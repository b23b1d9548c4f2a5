/* tests/fuzz/fuzz_inband.c - sound of a party that presses keys as tones: any samples, any holes, packets with any numbers
 *
 * Input: an octet for the law and who gets the keys, then records of a kind, a length and a payload. Keys that are told are keys, they end once for each time they
 * have sounded, and a packet is silenced as a whole or not at all. */
#include "fuzz_media.h"

#include <rtp/inband.h>

#define KEYS "0123456789*#ABCD"
#define MOST_PAYLOAD 1700u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void on_key(void *context, char digit, uint32_t for_ms)
{
	const uint64_t *fed_ms = context;

	check(digit && strchr(KEYS, digit) && for_ms <= *fed_ms);
}

/* The same octets as samples, in pieces of any length. */
static void feed(const uint8_t *data, size_t size)
{
	struct rtp_inband *inband = NULL;
	uint64_t fed_ms = 0;

	if (rtp_inband_new(&inband) != PBX_OK)
		return;
	while (size > 3) {
		int16_t samples[256];
		uint32_t count = data[0] + 1u, skipped = data[1] & 1 ? data[2] * 8u : 0;

		for (uint32_t i = 0; i < count; i++)
			samples[i] = (int16_t)(uint16_t)(data[(3 + i) % size] << 8 | data[i % size]);
		fed_ms += (count + skipped) / 8 + 1;
		rtp_inband_skip(inband, skipped);
		rtp_inband_feed(inband, samples, count, on_key, &fed_ms);
		size_t used = count + 3 < size ? count + 3 : size;

		data += used;
		size -= used;
	}
	rtp_inband_free(inband);
}

static void hear(struct fuzz_media *media, const uint8_t *head, const uint8_t *said, uint32_t bytes)
{
	static uint8_t room[RTP_HEADER_BYTES + MOST_PAYLOAD];
	struct rtp_session *session = &media->sessions[0];
	static struct rtp_packet packet;

	packet.payload = room + RTP_HEADER_BYTES;
	packet.payload_bytes = head[0] & 64 ? bytes + MOST_PAYLOAD - 256 : bytes;
	packet.type = head[0] & 1 ? 8 : 0;
	packet.ssrc = head[0] >> 7;
	packet.timestamp += head[0] & 32 ? (uint32_t)head[1] << 8 : 160;
	memset(room, 0xd5, sizeof room);
	memcpy(packet.payload, said, bytes);
	rtp_inband_hear(session, &packet);
	if (bytes > 1 && packet.payload[0] != said[0])
		for (uint32_t i = 1; i < packet.payload_bytes; i++)
			check(packet.payload[i] == packet.payload[0]);
}

static void look_for_keys(struct fuzz_media *media)
{
	struct rtp_event event;

	while (rtp_ring_take(&media->worker.events, &event))
		check((event.kind == RTP_EVENT_KEY_DOWN || event.kind == RTP_EVENT_DIGIT) && event.by_tone && event.digit &&
		      strchr(KEYS, event.digit));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_media media;

	if (size == 0)
		return 0;
	feed(data, size);
	fuzz_media_init(&media);
	if (rtp_inband_new(&media.sessions[0].inband) != PBX_OK)
		return 0;
	media.routes[0].silences_keys = data[0] & 1;
	for (data++, size--; size > 3;) {
		uint32_t bytes = data[2] < size - 3 ? data[2] : (uint32_t)size - 3;

		hear(&media, data, data + 3, bytes);
		media.worker.now_ms += data[1] & 0x80 ? 300 : 20;
		rtp_inband_look_after(&media.sessions[0]);
		look_for_keys(&media);
		data += 3 + bytes;
		size -= 3 + bytes;
	}
	rtp_inband_free(media.sessions[0].inband);
	return 0;
}
