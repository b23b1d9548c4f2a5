/*
 * sender - where we send from, and how the numbers of a source become ours
 *
 * One SSRC and one rising sequence, whoever feeds it. What a source sends keeps its distances: its sequence and timestamp are shifted, so that what
 * was lost or overtaken on the way here is lost or overtaken for the receiver too, and its own repair sees it. When a source begins, or
 * begins anew, the shift is chosen anew.
 */
#include "session.h"

#define MOST_JUMP 3000 /* RFC 3550 A.1: further than this the source has begun anew */

void rtp_sender_note(struct rtp_sender *sender, uint16_t sequence, uint32_t timestamp, uint32_t bytes, uint16_t khz, uint64_t now_us)
{
	if (!sender->started || (int16_t)(sequence - sender->sequence) > 0) {
		if (!sender->started || timestamp != sender->timestamp) /* the packets of an event share the instant of its beginning */
			sender->sent_at_us = now_us;
		sender->started = true;
		sender->sequence = sequence;
		sender->timestamp = timestamp;
		sender->khz = khz;
	}
	sender->packets++;
	sender->octets += bytes;
}

uint32_t rtp_sender_next(const struct rtp_sender *sender, uint32_t frame, uint16_t khz, uint64_t now_us)
{
	uint64_t passed = (now_us - sender->sent_at_us) * khz / 1000;

	if (!sender->started)
		return sender->timestamp;
	return sender->timestamp + (passed > frame ? (uint32_t)passed : frame);
}

uint32_t rtp_sender_timestamp(const struct rtp_sender *sender, uint64_t now_us)
{
	return sender->timestamp + (uint32_t)((now_us - sender->sent_at_us) * sender->khz / 1000);
}

bool rtp_map_begins(const struct rtp_map *map, const struct rtp_packet *packet)
{
	int16_t ahead = (int16_t)(packet->sequence - map->newest);

	return !map->synced || packet->ssrc != map->source_ssrc || ahead > MOST_JUMP || ahead < -MOST_JUMP;
}

bool rtp_map_move(struct rtp_map *map, const struct rtp_packet *packet)
{
	int16_t ahead = (int16_t)(packet->sequence - map->newest);

	if (ahead <= 0)
		return (uint32_t)-ahead <= map->since_sync && !map->counted;
	map->newest = packet->sequence;
	if (map->since_sync <= MOST_JUMP)
		map->since_sync += (uint16_t)ahead;
	return true;
}
