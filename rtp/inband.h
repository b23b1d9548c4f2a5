/* rtp/inband.h - key presses as tones in what a leg's party says
 *
 * For a party that has no other way to press keys and speaks G.711: its packets are listened to as they arrive, beside the relay, so
 * that nothing is delayed. Where what is heard goes on as an event or an INFO, the tone is silenced on its way; so no key comes twice. */
#pragma once
#include "session.h"

struct rtp_inband;

/* PBX_OK, PBX_ENOMEM. [loop] */
int rtp_inband_new(struct rtp_inband **ret_inband);
void rtp_inband_free(struct rtp_inband *inband); /* NULL is fine. [loop] */

/* ---- [media] ---- */

/* A key that was let go: it sounded for so long, within a packet's time. */
typedef void (*rtp_inband_fn)(void *context, char digit, uint32_t for_ms);

/* Samples at 8 kHz, one behind the other. */
void rtp_inband_feed(struct rtp_inband *inband, const int16_t *samples, uint32_t count, rtp_inband_fn ended, void *context);
/* As many were lost: a key that sounds goes on. */
void rtp_inband_skip(struct rtp_inband *inband, uint32_t count);
bool rtp_inband_sounds(const struct rtp_inband *inband);

/* A packet of G.711 of a session that has one, before it goes anywhere; its payload becomes silence where the tone must not be heard. */
void rtp_inband_hear(struct rtp_session *session, const struct rtp_packet *packet);
/* Nothing has come for a while: no key is pressed any more. */
void rtp_inband_look_after(struct rtp_session *session);
