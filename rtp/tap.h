/* rtp/tap.h - a copy of what a leg says and hears, for somebody who is slower than packets
 *
 * The worker copies packets, as they arrive from the party (SRTP taken off) and as they leave for it, into a ring; one thread reads them and
 * decodes at its leisure (track.h). So being listened to costs a relayed packet one memcpy, and the relay stays a relay. What does not fit
 * because the reader is late is counted and left out. A tapped session stays out of the kernel's program (handover.h). */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RTP_TAP_BYTES 65536u /* some three seconds of G.711 both ways */
#define RTP_TAP_PAYLOAD 1500u

#define RTP_SAYS 0u  /* arrives from the party */
#define RTP_HEARS 1u /* is sent to it */

struct rtp_tap_packet {
	uint64_t at_us; /* when it came or went, CLOCK_MONOTONIC */
	uint32_t timestamp, ssrc;
	uint32_t plan; /* number of the rtp_plan that tells what its payload type means */
	uint16_t sequence, bytes;
	uint8_t type, direction; /* RTP_SAYS, RTP_HEARS */
	uint8_t reserved[6];
};

struct rtp_session;
struct rtp_command;

struct rtp_tap {
	struct rtp_tap *next;                          /* of the session: the worker's */
	uint8_t directions;                            /* 1 << RTP_…; not changed while it is in a session */
	bool music;                                    /* shared sources too */
	void (*untapped)(struct rtp_command *command); /* [loop] the worker has let go of it: command is the UNTAP that did it */
	uint32_t beep_s;                               /* those who talk hear that somebody listens; 0: no */
	_Atomic uint64_t lost;                         /* packets that found no room */
	_Alignas(64) _Atomic uint64_t written;
	_Alignas(64) _Atomic uint64_t read;
	uint8_t ring[RTP_TAP_BYTES];
};

void rtp_tap_init(struct rtp_tap *tap, uint8_t directions, bool music, void (*untapped)(struct rtp_command *command));

/* ---- [media] ---- */

void rtp_tap_add(struct rtp_session *session, struct rtp_tap *tap);
void rtp_tap_remove(struct rtp_session *session, struct rtp_tap *tap);
/* To all taps of the session that want it. */
void rtp_tap_copy(const struct rtp_session *session, uint8_t direction, uint8_t type, uint16_t sequence, uint32_t timestamp, uint32_t ssrc,
		  const uint8_t *payload, uint32_t bytes);
/* What the session sends is a shared source: music, as a rule. */
bool rtp_tap_is_music(const struct rtp_session *session, uint8_t direction);
/* The beep of whoever listens to this session or to its peer, over what is about to be sent: G.711, of types 0 and 8. */
void rtp_tap_beep(const struct rtp_session *session, uint8_t *payload, uint32_t bytes, uint8_t type, uint32_t timestamp);
/* One of them. False: no room. */
bool rtp_tap_put(struct rtp_tap *tap, const struct rtp_tap_packet *packet, const uint8_t *payload);

/* ---- the reader's thread ---- */

uint64_t rtp_tap_written(const struct rtp_tap *tap); /* up to here there is something to take */
/* The next packet before `until`; ret_payload has RTP_TAP_PAYLOAD octets. False: none. */
bool rtp_tap_take(struct rtp_tap *tap, uint64_t until, struct rtp_tap_packet *ret_packet, uint8_t *ret_payload);
