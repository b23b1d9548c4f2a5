/* rtp/injection.h - a plugin's voice in one session (pbx/inject.h)
 *
 * Made on the loop, lives in its session like a filter, is mixed by the mouth into what that is about to encode, comes back to be freed. The
 * session's clock goes as long as it is there, so that it is heard where nobody else speaks. */
#pragma once
#include "session.h"
#include <core/media_driver.h>

struct rtp_command;
struct rtp_injection;
struct rtp_stream;

/* ---- [media] ---- */

/* Another one, or none, is the session's from now on; the one before. */
struct rtp_injection *rtp_injection_put(struct rtp_session *session, struct rtp_injection *injection);
/* Into samples that are about to be said, at one of the rates of codecs, a whole number of milliseconds. */
void rtp_injection_speak(struct rtp_injection *injection, uint32_t rate_hz, int16_t *samples, uint32_t count);
/* Nobody else speaks: a packet of silence for it to speak into. False: the session has none. */
bool rtp_injection_step(struct rtp_session *session);

/* ---- [loop] ---- */

void rtp_injections_init(void);
void rtp_injection_leave(struct rtp_stream *stream); /* it is about to be closed */
void rtp_injection_drained(struct rtp_stream *stream);
void rtp_injection_returned(struct rtp_command *command);

/* Of the driver. */
int rtp_injection_open(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_inject_spec *spec,
		       const struct pbx_inject_watcher *watcher, void *self, pbx_injection *ret_injection);
int rtp_injection_close(pbx_injection injection);
int rtp_injection_writer(pbx_injection injection, struct pbx_inject_writer **ret_writer);
int rtp_injection_state(pbx_injection injection, struct pbx_inject_state *ret_state);
