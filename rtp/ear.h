/* rtp/ear.h - what a leg's party says, as samples
 *
 * Packets go in as they arrive; whoever wants to hear takes samples by a clock of its own and always gets as many as it asked
 * for. An ear exists only while somebody needs it: it is made on the loop for what was negotiated, lives in its session, and comes
 * back to the loop to be freed. It may stand beside the relay, which takes no notice of it. */
#pragma once
#include "codecs.h"
#include "jitter.h"
#include "resampler.h"
#include "session.h"
#include <core/media_driver.h>

#define RTP_MOST_HEARD 8u /* codecs that one party may use in turn */

/* Written by the worker, read by anybody (rtp_read). */
struct rtp_ear_counts {
	_Atomic uint64_t decoded, concealed, recovered, undecodable; /* packets */
};

struct rtp_ear;

/* For the ears that are made from here on. Copied. [loop] */
void rtp_ear_configure(const struct rtp_jitter_settings *settings);

/* For the codecs of a configuration that we have; rates: bits of the rates it may be asked for besides those of the codecs. on_leaving
 * (context): one of its codecs is being taken away; put another ear in its place. PBX_OK, PBX_ENOTSUP (none of them is ours),
 * PBX_ENOMEM. [loop] */
int rtp_ear_new(const struct core_stream_config *config, uint32_t rates, void (*on_leaving)(void *context), void *context,
		struct rtp_ear **ret_ear);
/* Of a stream that was relayed until now: it is heard without a pause. [loop] */
void rtp_ear_go_on(struct rtp_ear *ear);
void rtp_ear_free(struct rtp_ear *ear); /* NULL is fine. [loop] */
const struct rtp_ear_counts *rtp_ear_counts(const struct rtp_ear *ear);

/* ---- [media] ---- */

/* All that is heard goes through it; NULL: through none. */
void rtp_ear_set_filter(struct rtp_ear *ear, struct rtp_filter *filter);
/* A decoder of its has failed with every payload of a second, which begins anew when that is told. */
bool rtp_ear_fails(struct rtp_ear *ear, uint8_t *ret_type);
/* What the jitter buffer has seen, into the session's counters. */
void rtp_ear_show(const struct rtp_ear *ear, struct rtp_counters *counters);

bool rtp_ear_hears(const struct rtp_ear *ear, uint8_t type); /* packets of this type are for it */
void rtp_ear_put(struct rtp_ear *ear, const struct rtp_packet *packet, uint64_t now_us);
/* A packet of CN: how the silence sounds that follows. */
void rtp_ear_put_noise(struct rtp_ear *ear, const struct rtp_packet *packet, uint64_t now_us);
/* A packet of telephone-event: it has a place among the others, and no sound. */
void rtp_ear_put_event(struct rtp_ear *ear, const struct rtp_packet *packet, uint64_t now_us);
/* Somebody speaks, or has done so within the last second. While it is false there is nothing to take but silence. */
bool rtp_ear_is_heard(const struct rtp_ear *ear);
uint32_t rtp_ear_rate(const struct rtp_ear *ear); /* of the codec that is heard now: no resampling */
/* count samples at rate_hz: said, concealed, or silence. Who has not taken for a while begins with what is said now, not with what he
 * has missed. False: nothing was meant to be heard all the while (before the first packet, in DTX). */
bool rtp_ear_take(struct rtp_ear *ear, uint32_t rate_hz, int16_t *ret_samples, uint32_t count, uint64_t now_us);
const struct rtp_jitter *rtp_ear_jitter(const struct rtp_ear *ear);
