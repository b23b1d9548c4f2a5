/* rtp/mix.h - a room of streams on one worker: every tick their ears are taken from, mixed, and said by their mouths
 *
 * Rooms and members are made on the loop, given by commands and come back by them; between that they are the worker's, but for what
 * is atomic. All streams of a mix are on its worker. */
#pragma once
#include "mixer.h"
#include "resampler.h"
#include "worker.h"

#define RTP_MIX_TICK_MS 20u /* 10 while a member's packets are no multiple of it */

struct rtp_mix_member {
	struct rtp_mix_voice voice;
	struct rtp_session *session;
	struct rtp_mix *mix;
	struct rtp_mix_member *next, *prev; /* in order of coming, the newest last */
	bool told_talking;
	_Atomic int32_t level_cdbov; /* for anybody */
	_Atomic bool talking;
};

struct rtp_mix {
	struct rtp_mixer mixer;
	uint64_t id; /* core_mix.id */
	struct rtp_worker *worker;
	struct rtp_mix *next, *prev; /* of the worker's */
	struct rtp_mix_member *first, *last;
	bool gated;
	uint32_t rate_hz, ticks;       /* of the worker's clock since the last step */
	struct rtp_play *play;         /* what everybody hears */
	struct rtp_resamplers of_play; /* from sounds in memory to 48 kHz */
};

/* ---- [media] ---- */

void rtp_mix_begin(struct rtp_worker *worker, struct rtp_mix *mix);
void rtp_mix_end(struct rtp_mix *mix); /* its members have left */
void rtp_mix_enter(struct rtp_mix *mix, struct rtp_mix_member *member, const struct rtp_mix_wish *wish);
void rtp_mix_change(struct rtp_mix_member *member, const struct rtp_mix_wish *wish);
void rtp_mix_leave(struct rtp_mix_member *member);
void rtp_mix_play(struct rtp_mix *mix, struct rtp_play *play); /* replaces what plays */
void rtp_mix_stop(struct rtp_mix *mix, uint32_t how);
void rtp_mix_set_rate(struct rtp_mix *mix, uint32_t rate_hz); /* which every member's coders are made for */
/* A packet of a member. */
void rtp_mix_heard(struct rtp_session *session, const struct rtp_packet *packet);
bool rtp_mixes_are_busy(const struct rtp_worker *worker);
/* The worker's clock has ticked once. */
void rtp_mixes_tick(struct rtp_worker *worker);
