/* rtp/ice.h - the ways to a peer, found and kept by asking (RFC 8445, RFC 7675)
 *
 * An agent is of one session and one generation of credentials. The loop makes and frees it; in between it belongs to a worker: all else here is
 * [media], and allocates nothing. It has no sockets and no clock: it is given both. A connection that the peer has opened (RFC 6544) is an address by TCP. */
#pragma once
#include "stun.h"
#include <core/media_driver.h>

#define RTP_ICE_COMPONENTS 2u

#define RTP_ICE_CHECKING 0u
#define RTP_ICE_CONNECTED 1u /* a way is decided on */
#define RTP_ICE_FAILED 2u    /* none was found in time */
#define RTP_ICE_LOST 3u      /* the peer has stopped to answer there */

struct rtp_ice;

/* Of a candidate of ours of that kind (RFC 8445 5.1.2.1); by TCP one that waits for the peer (RFC 6544 4.2), and less than any by UDP. [any] */
uint32_t rtp_ice_priority(uint8_t kind, uint32_t transport, uint8_t component);

/* How it sends: a datagram from the socket of a component, or a frame of the connection. False: it has certainly not gone. */
typedef bool (*rtp_ice_send_fn)(void *context, uint8_t component, const struct core_addr *to, const uint8_t *data, size_t size);

/* As negotiated: own_ice, peer_ice, ice_lite, ice_controlling; with rtcp_mux there is one component. NULL: no memory. */
struct rtp_ice *rtp_ice_new(const struct core_stream_config *config); /* [loop] */
void rtp_ice_free(struct rtp_ice *ice);                               /* [loop] NULL is fine */

/* Begins; send and context are kept. */
void rtp_ice_start(struct rtp_ice *ice, rtp_ice_send_fn send, void *context, uint64_t now_ms);
/* Whatever `more`, an agent of the same credentials, knows of the peer besides. */
void rtp_ice_add(struct rtp_ice *ice, const struct rtp_ice *more);
/* A datagram that may be STUN. False: it is none of the peer's. */
bool rtp_ice_take(struct rtp_ice *ice, uint8_t component, const uint8_t *data, size_t size, const struct core_addr *from, uint64_t now_ms);
/* A connection is closed: that way is gone. Another one that works is taken instead, or the peer has as long as consent is good for to come again. */
void rtp_ice_forget(struct rtp_ice *ice, const struct core_addr *gone, uint64_t now_ms);
/* Every 100 ms. consent_ms: how long the peer may be silent. */
void rtp_ice_look_after(struct rtp_ice *ice, uint32_t consent_ms, uint64_t now_ms);

uint32_t rtp_ice_state(const struct rtp_ice *ice); /* RTP_ICE_… */
bool rtp_ice_is_controlling(const struct rtp_ice *ice);
/* Where to send: the way that was decided on, or one that works while none is. NULL: nowhere yet, or not any more. */
const struct core_addr *rtp_ice_remote(const struct rtp_ice *ice, uint8_t component);
/* The peer has proved that it is there. */
bool rtp_ice_knows(const struct rtp_ice *ice, uint8_t component, const struct core_addr *from);
