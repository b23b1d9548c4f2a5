/* rtp/plan.h - from what was negotiated to what a worker looks up. [loop], without memory of their own but the guards. */
#pragma once
#include <core/media_driver.h>
#include "session.h"

#define RTP_LEAST_PTIME_MS 10u
#define RTP_MOST_PTIME_MS 100u

/* How long the packets are that we send: whole tens of milliseconds, and whole frames of our codec. */
uint32_t rtp_plan_ptime_ms(const struct core_stream_config *config);
void rtp_plan_make(const struct core_stream_config *config, uint8_t nat, struct rtp_plan *ret_plan);
/* With the guards that it needs, for a sender of this SSRC; those whose keys `before` has already (NULL: none) are kept.
 * PBX_OK, PBX_ENOMEM. */
int rtp_plan_protect(struct rtp_plan *plan, const struct core_stream_config *config, const struct core_stream_config *before,
		     uint32_t ssrc);
/* With an ICE agent and a DTLS handshake where they were agreed on, unless what `before` began goes on. PBX_OK, PBX_ENOTSUP (a certificate that
 * is not ours, no suite for DTLS), PBX_ENOMEM. */
int rtp_plan_associate(struct rtp_plan *plan, const struct core_stream_config *config, const struct core_stream_config *before,
		       const uint8_t *suites, uint8_t suite_count);
void rtp_plan_free(struct rtp_plan *plan); /* NULL is fine */
/* What `from` sends, on its way to `to`. Either may be NULL (not configured): nothing passes. */
void rtp_route_make(const struct core_stream_config *from, const struct core_stream_config *to, struct rtp_route *ret_route);
/* Without a way for what we can decode: ear and mouth take it. */
void rtp_route_close(const struct core_stream_config *from, struct rtp_route *route);
/* Whether `from` may send a codec of ours that cannot be passed to `to` as it is; first: whether the one it sends by preference is such. */
bool rtp_route_lacks(const struct core_stream_config *from, const struct core_stream_config *to, bool first);
/* Whether `from` may describe its silence (CN) to `to`, who has not agreed to that and would hear nothing. */
bool rtp_route_lacks_noise(const struct core_stream_config *from, const struct core_stream_config *to);
/* The first of it that a modem gets through; NULL: none. */
const struct core_codec *rtp_config_g711(const struct core_stream_config *config);
uint8_t rtp_codec_kind(const struct core_codec *codec); /* RTP_KIND_… */
/* The codec we send: the first, by name. "" when there is none. */
const char *rtp_config_codec(const struct core_stream_config *config);
