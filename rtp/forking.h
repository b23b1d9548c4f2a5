/* rtp/forking.h - forks of plugins (pbx/fork.h) on streams. All of it: [loop]. */
#pragma once
#include "engine.h"

struct rtp_stream;

void rtp_forkings_init(void);
void rtp_forkings_fini(void); /* streams are closed; what their forks' owners have not closed stays theirs */
void rtp_forkings_add(struct rtp_totals *totals);
void rtp_forkings_learn(struct rtp_stream *stream); /* it has been configured */
void rtp_forkings_leave(struct rtp_stream *stream); /* it is about to be closed: its forks end */
void rtp_forking_returned(struct rtp_command *command);

/* Of the driver. */
int rtp_forking_open(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_fork_spec *spec,
		     const struct pbx_fork_watcher *watcher, void *self, pbx_fork *ret_fork);
int rtp_forking_local(pbx_fork fork, struct pbx_fork_local *ret_local);
int rtp_forking_aim(pbx_fork fork, const struct pbx_fork_target *target);
int rtp_forking_state(pbx_fork fork, struct pbx_fork_state *ret_state);
int rtp_forking_adopt(struct pbx_host *owner, pbx_fork fork, const struct pbx_fork_watcher *watcher, void *self);
int rtp_forking_close(pbx_fork fork);
