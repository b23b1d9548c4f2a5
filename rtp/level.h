/* rtp/level.h - how loud a packet is, as who made it tells (RFC 6464): a header extension of one octet (RFC 8285 4.2). [media] */
#pragma once
#include "session.h"

#define RTP_LEVEL_BYTES 8u      /* what it adds to a packet */
#define RTP_LEVEL_TOLD 0x100u   /* set in what follows where there is one; 0: nobody told */
#define RTP_LEVEL_VOICE 0x80u   /* who made it believes that somebody speaks */
#define RTP_LEVEL_SILENCE 0x7fu /* -dBov of silence; the bits for it */

/* What a packet, whose header and extension are known to fit into it, says under this number. */
uint16_t rtp_level_read(const uint8_t *packet, uint8_t id);
/* packet with its level told, in ret_packet, which has room for that; returns the new size. */
size_t rtp_level_put(const uint8_t *packet, size_t size, uint8_t id, uint16_t level, uint8_t *ret_packet);
uint16_t rtp_level_of(const int16_t *samples, size_t count);
uint16_t rtp_level_of_g711(uint32_t law, const uint8_t *codes, size_t count);
/* A packet of the party was that loud. */
void rtp_level_note(struct rtp_session *session, uint16_t level);
