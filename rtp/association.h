/* rtp/association.h - what stands between a session and its peer where ICE or DTLS were agreed on. All of it: [media]. */
#pragma once
#include "session.h"

/* The session has a new plan; `old` is the one before, or NULL: what serves on is taken out of it. */
void rtp_association_begin(struct rtp_session *session, struct rtp_plan *old);
/* A datagram of STUN or DTLS (RFC 7983). False: it is nobody's that we talk with. */
bool rtp_association_take(struct rtp_session *session, bool rtcp_socket, const uint8_t *data, size_t size, const struct core_addr *from);
/* A connection with that peer is over. */
void rtp_association_lost(struct rtp_session *session, const struct core_addr *peer);
/* Every 100 ms. */
void rtp_association_look_after(struct rtp_session *session);
/* May media come from there? Where ICE was agreed on, only who has answered or asked. */
bool rtp_association_knows(const struct rtp_session *session, bool rtcp_socket, const struct core_addr *from);
