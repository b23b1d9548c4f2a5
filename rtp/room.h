/* rtp/room.h - legs that hear each other as samples: where the relay cannot do, because their codecs differ
 *
 * A pair needs no mixing: each of the two takes from the other's ear at its own clock, and says it with its own mouth. [media] */
#pragma once
#include "session.h"

/* The session's clock has come round: it says a packet of what its peer has said. False: the peer says nothing now; rtp_room_heard
 * winds the session up again. */
bool rtp_room_step(struct rtp_session *session);
/* A packet of a session that has an ear and a peer with a mouth. */
void rtp_room_heard(struct rtp_session *session, const struct rtp_packet *packet);
/* An event (RFC 4733) was relayed to the session: while that lasts, its mouth is silent. */
void rtp_room_event(struct rtp_session *session);
/* Whether packets of this type have no way to the peer but by ear and mouth. */
bool rtp_room_carries(const struct rtp_session *session, uint8_t type);
