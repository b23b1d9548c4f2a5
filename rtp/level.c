/*
 * level.c - how loud a packet is, without decoding it (RFC 6464)
 *
 * Browsers tell it of each packet in a header extension: the power of its samples against full scale, in -dB, and whether somebody speaks. We read what
 * comes, so that an operator sees whether a microphone that sends is heard, and tell it of what we send: as its source did, or measured where samples
 * (or G.711, which is samples) go through our hands. Who has agreed on none pays a comparison.
 */
#include "level.h"
#include "g711.h"
#include "octets.h"
#include "worker.h"

#include <math.h>
#include <string.h>

#define ONE_OCTET_FORM 0xbedeu /* RFC 8285 4.2 */
#define LAST_ID 15u            /* "reserved": nothing behind it is read */
#define SPEECH_DBOV 50u        /* who is softer than -50 dBov hardly says something */
#define PUBLISH_MS 1000u

uint16_t rtp_level_read(const uint8_t *packet, uint8_t id)
{
	const uint8_t *at = packet + RTP_HEADER_BYTES + 4u * (packet[0] & 15u), *end;

	if (!(packet[0] & 0x10) || rtp_get16(at) != ONE_OCTET_FORM)
		return 0;
	end = at + 4 + 4u * rtp_get16(at + 2);
	for (at += 4; at < end && *at >> 4 != LAST_ID;) {
		const uint8_t *data = at + 1;
		size_t bytes = *at ? (*at & 15u) + 1u : 0; /* 0: an octet of padding */

		if (bytes > (size_t)(end - data))
			return 0;
		if (bytes > 0 && *at >> 4 == id)
			return (uint16_t)(RTP_LEVEL_TOLD | *data);
		at = data + bytes;
	}
	return 0;
}

size_t rtp_level_put(const uint8_t *packet, size_t size, uint8_t id, uint16_t level, uint8_t *ret_packet)
{
	uint8_t *at = ret_packet + RTP_HEADER_BYTES;

	memcpy(ret_packet, packet, RTP_HEADER_BYTES);
	ret_packet[0] |= 0x10;
	at = rtp_put16(at, ONE_OCTET_FORM);
	at = rtp_put16(at, 1);
	*at++ = (uint8_t)(id << 4);
	*at++ = (uint8_t)level;
	at = rtp_put16(at, 0); /* padding */
	memcpy(at, packet + RTP_HEADER_BYTES, size - RTP_HEADER_BYTES);
	return size + RTP_LEVEL_BYTES;
}

static uint16_t level_of(double power)
{
	double dbov = power > 0 ? -10 * log10(power / (32768.0 * 32768.0)) : RTP_LEVEL_SILENCE;
	uint32_t level = dbov >= RTP_LEVEL_SILENCE ? RTP_LEVEL_SILENCE : (uint32_t)lround(dbov);

	return (uint16_t)(RTP_LEVEL_TOLD | level | (level <= SPEECH_DBOV ? RTP_LEVEL_VOICE : 0));
}

uint16_t rtp_level_of(const int16_t *samples, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)samples[i] * samples[i];
	return count ? level_of(sum / (double)count) : 0;
}

uint16_t rtp_level_of_g711(uint32_t law, const uint8_t *codes, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		double sample = rtp_g711_decode(law, codes[i]);
		sum += sample * sample;
	}
	return count ? level_of(sum / (double)count) : 0;
}

void rtp_level_note(struct rtp_session *session, uint16_t level)
{
	uint8_t below_dbov = level & RTP_LEVEL_SILENCE;

	if (session->level.publish_at_ms == 0 || below_dbov < session->level.loudest) /* the first, or the loudest so far */
		session->level.loudest = below_dbov;
	if (session->worker->now_ms < session->level.publish_at_ms)
		return;
	rtp_write(&session->counters.level, RTP_LEVEL_TOLD | session->level.loudest);
	session->level.publish_at_ms = session->worker->now_ms + PUBLISH_MS;
	session->level.loudest = RTP_LEVEL_SILENCE;
}
