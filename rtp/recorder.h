/* rtp/recorder.h - recordings as the loop sees them: pbx/recorder.h for streams. All of it: [loop]. */
#pragma once
#include "worker.h"
#include <core/media_driver.h>

struct rtp_stream;

int rtp_recorder_start(struct rtp_common *common); /* PBX_OK, PBX_EIO, PBX_ENOMEM */
void rtp_recorder_stop(void);                      /* streams are closed; files are finished when it returns */

void rtp_recorder_leave(struct rtp_stream *stream);            /* it is about to be closed: its recordings end */
void rtp_recorder_learn(struct rtp_stream *stream);            /* it is about to be configured with its config, as plan number `plans` */
bool rtp_recorder_wants_keys(const struct rtp_stream *stream); /* one of its recordings ends by a key */
void rtp_recorder_returned(struct rtp_command *command);

/* Of the driver. */
int rtp_record(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_record_spec *spec,
	       const struct pbx_record_watcher *watcher, void *self, pbx_recording *ret_recording);
int rtp_record_pause(pbx_recording recording, uint32_t how);
int rtp_record_resume(pbx_recording recording);
int rtp_record_stop(pbx_recording recording);
int rtp_record_state(pbx_recording recording, struct pbx_record_state *ret_state);
int rtp_record_adopt(struct pbx_host *owner, pbx_recording recording, const struct pbx_record_watcher *watcher, void *self);
int rtp_record_recover_later(struct pbx_host *host, const char *path, void (*done)(void *self, const struct pbx_record_result *result),
			     void *self);
void rtp_record_key(core_stream stream, char key);
int rtp_record_mask(core_stream stream, bool on);
