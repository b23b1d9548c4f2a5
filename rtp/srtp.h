/* rtp/srtp.h - packets that nobody on the way can read or forge: SRTP and SRTCP (RFC 3711, RFC 6188, RFC 7714) over libsrtp2
 *
 * A guard is one direction of one stream: its keys and what libsrtp2 remembers of the packets it has seen. The loop makes and
 * frees guards; in between one belongs to a worker. */
#pragma once
#include <core/media_desc.h>
#include <stddef.h>

#define RTP_TRAILER_BYTES 32u /* of room behind a packet that is protected in place: tag, and the index of SRTCP */

struct rtp_guard;

/* [loop] Once before all else; the ciphers are OpenSSL's. PBX_OK, PBX_EIO. */
int rtp_srtp_init(void);
void rtp_srtp_fini(void);

/* [loop] For packets that we send with this SSRC; or, when ssrc is 0, for all that arrive. crypto->key is copied.
 * PBX_OK, PBX_EINVAL (no such suite), PBX_ENOMEM. */
int rtp_guard_new(const struct core_crypto *crypto, uint32_t ssrc, struct rtp_guard **ret_guard);
void rtp_guard_free(struct rtp_guard *guard); /* NULL is fine */

/* [media] In place; *size is of the whole packet before and after. Protecting needs RTP_TRAILER_BYTES behind the packet. False: no packet
 * to send; or forged, played again, cut short: drop it. */
bool rtp_guard_protect(struct rtp_guard *guard, bool rtcp, uint8_t *packet, size_t *size);
bool rtp_guard_unprotect(struct rtp_guard *guard, bool rtcp, uint8_t *packet, size_t *size);
