/* rtp/line.h - a leg's end of a fax: what arrives goes to the thread of faxes, what that makes goes out
 *
 * Two rings of copies (tap.h) between a worker and the thread: the worker waits for nobody and knows nothing of modems. Inwards go packets of
 * G.711 and datagrams of T.38 as they come; outwards come frames of 20 ms of G.711, of which one leaves every 20 ms, and datagrams, which leave
 * with the next of those. What the leg has agreed on meanwhile (kind) the loop says; what is of another kind is left out. */
#pragma once
#include "session.h"
#include "tap.h"

#define RTP_LINE_FRAME_BYTES 160u /* 20 ms of G.711 */
#define RTP_LINE_UDPTL 0xffu      /* kind, beside RTP_KIND_MU and RTP_KIND_A: a datagram of T.38 */

struct rtp_fax;

struct rtp_line {
	struct rtp_tap in, out; /* packets' .type is a kind */
	struct rtp_fax *fax;    /* whose end it is: the loop's */
	_Atomic uint32_t kind;  /* what the leg speaks now; RTP_KIND_NONE: nothing that a fax may go by */
	_Atomic uint32_t type;  /* payload type of G.711 */
	_Atomic uint32_t most_datagram;
	/* The worker's. */
	bool talking;
	uint32_t timestamp; /* of the next frame */
};

void rtp_line_init(struct rtp_line *line, struct rtp_fax *fax);

/* ---- [media] ---- */

void rtp_line_enter(struct rtp_session *session, struct rtp_line *line);
void rtp_line_leave(struct rtp_session *session);
/* A packet of G.711. */
void rtp_line_hear(struct rtp_session *session, const struct rtp_packet *packet, uint8_t kind);
void rtp_line_hear_datagram(struct rtp_session *session, const uint8_t *data, size_t size, uint16_t sequence);
/* 20 ms have passed. */
void rtp_line_step(struct rtp_session *session);

/* ---- the thread's ---- */

/* The next packet that has come; ret_payload has RTP_TAP_PAYLOAD octets. False: none. */
bool rtp_line_take(struct rtp_line *line, struct rtp_tap_packet *ret_packet, uint8_t *ret_payload);
void rtp_line_give(struct rtp_line *line, uint8_t kind, const uint8_t *payload, size_t bytes);
