/* rtp/mouth.h - samples on their way to a leg's party
 *
 * Whoever has something to say gives it samples at any rate it was prepared for; they are gathered to the leg's packet time, encoded
 * and sent with the session's own SSRC, sequence and timestamps, which go on whoever speaks. Made on the loop, lives in its session,
 * comes back to be freed. */
#pragma once
#include "codecs.h"
#include "resampler.h"
#include "session.h"
#include <core/media_driver.h>

#define RTP_CODEC_FAILS_MS 200u

struct rtp_injection;
struct rtp_mouth;

/* For the mouths that are made from here on: whether they say silence by comfort noise (CN, RFC 3389) to who takes it. Off at first. [loop] */
void rtp_mouth_configure(bool hushes);
/* Of the first codec of a configuration that we have and that can be opened, in packets of about ptime_ms; failed: bits of those that come last,
 * for they have failed before. rates: bits of the rates that it will be given. on_leaving(context): its codec is being taken away. PBX_OK,
 * PBX_ENOTSUP (none of them is ours), PBX_ENOMEM. [loop] */
int rtp_mouth_new(const struct core_stream_config *config, uint32_t failed, uint32_t ptime_ms, uint32_t rates,
		  void (*on_leaving)(void *context), void *context, struct rtp_mouth **ret_mouth);
/* That codec, should it be possible to open it; NULL: none is ours. [loop] */
const struct rtp_codec *rtp_mouth_codec_of(const struct core_stream_config *config, uint32_t failed);
void rtp_mouth_free(struct rtp_mouth *mouth); /* NULL is fine. [loop] */

/* ---- [media] ---- */

/* All that it says goes through it; NULL: through none. */
void rtp_mouth_set_filter(struct rtp_mouth *mouth, struct rtp_filter *filter);

/* It speaks into all that the mouth says; NULL: nobody does. */
void rtp_mouth_set_injection(struct rtp_mouth *mouth, struct rtp_injection *injection);

/* Says count samples at rate_hz. Nothing happens while the session has no mouth; what is said while it cannot send is lost. */
void rtp_mouth_give(struct rtp_session *session, uint32_t rate_hz, const int16_t *samples, uint32_t count);
/* One whole packet's payload, made elsewhere in the mouth's codec: what many hear is encoded once. */
void rtp_mouth_give_payload(struct rtp_session *session, uint8_t *payload, uint32_t bytes);
/* Nobody speaks any more, or somebody else than the mouth does: what waits is forgotten, the next packet begins a talkspurt. */
void rtp_mouth_rest(struct rtp_session *session);
uint32_t rtp_mouth_rate(const struct rtp_mouth *mouth);     /* of its codec: no resampling */
uint32_t rtp_mouth_ptime_ms(const struct rtp_mouth *mouth); /* of its packets */
/* Its encoder has failed with every frame of the last RTP_CODEC_FAILS_MS, which begin anew when that is told. */
bool rtp_mouth_fails(struct rtp_mouth *mouth, uint8_t *ret_type);
/* It speaks G.711, and which: what is encoded already may be given to it. Not through a filter, nor when a plugin speaks too, nor where it
 * listens for silence. */
bool rtp_mouth_law(const struct rtp_mouth *mouth, uint32_t *ret_law);
