/* rtp/dtls.h - keys for SRTP agreed on over the media's own path: DTLS-SRTP (RFC 5763, RFC 5764) over OpenSSL
 *
 * The process has one certificate, of its own making and renewed every month; SDP says what it looks like. A handshake is made and freed by the
 * loop, for one peer whose certificate SDP has announced; in between it belongs to a worker. */
#pragma once
#include <core/media_desc.h>
#include <pbx/plugin.h>
#include <stddef.h>

#define RTP_DTLS_SHAKING 0u
#define RTP_DTLS_DONE 1u
#define RTP_DTLS_FAILED 2u
#define RTP_DTLS_WRONG_PEER 3u /* the certificate is not the one that was announced */

/* [loop] Makes the first certificate. PBX_OK, PBX_EIO. */
int rtp_dtls_init(void);
void rtp_dtls_fini(void);
/* [loop] What ours looks like; setup is left alone. Those handed out stay good until the one after the next. */
void rtp_dtls_fingerprint(struct core_dtls *ret_dtls);

struct rtp_dtls;
typedef void (*rtp_dtls_send_fn)(void *context, const uint8_t *data, size_t size);

/* [loop] own: as SDP said, setup CORE_SETUP_ACTIVE or _PASSIVE. suites: CORE_SRTP_…, best first; those that DTLS has no name for are passed over.
 * PBX_OK, PBX_ENOTSUP (no such certificate of ours, or none of the suites), PBX_ENOMEM. */
int rtp_dtls_new(const struct core_dtls *own, const struct core_dtls *peer, const uint8_t *suites, uint8_t suite_count,
		 struct rtp_dtls **ret_dtls);
void rtp_dtls_free(struct rtp_dtls *dtls); /* [loop] NULL is fine */

/* [media] send and context are kept; datagrams go out from within the calls below. */
void rtp_dtls_start(struct rtp_dtls *dtls, rtp_dtls_send_fn send, void *context);
bool rtp_dtls_has_started(const struct rtp_dtls *dtls);
/* [media] A datagram of the peer's. RTP_DTLS_…, as it is afterwards. */
uint32_t rtp_dtls_take(struct rtp_dtls *dtls, const uint8_t *data, size_t size);
/* [media] Every 100 ms: what got lost is sent again. RTP_DTLS_… */
uint32_t rtp_dtls_look_after(struct rtp_dtls *dtls);
/* [media] Of a handshake that is done: what we send under and what arrives under. False: OpenSSL refuses. */
bool rtp_dtls_keys(struct rtp_dtls *dtls, struct core_crypto *ret_send, struct core_crypto *ret_receive);
