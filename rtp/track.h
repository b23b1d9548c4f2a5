/* rtp/track.h - packets of one direction, put where they belong in time
 *
 * For one thread that listens to a tap. A track begins at an instant and has a sample for each moment since: decoded speech where packets
 * say it was, silence in pauses, something that does not click where packets were lost. Packets may come late and out of order by some
 * hundred milliseconds; timestamps say where they belong, the clock of arrivals says where the first one belongs and whether the
 * sender's clock goes wrong. */
#pragma once
#include "tap.h"

#include <stddef.h>

/* A decoder of one codec. Made and freed on the loop, used by the track's thread. */
struct rtp_speech {
	uint32_t clock_hz, rate_hz; /* of timestamps and of samples */
	/* What a payload says; at most RTP_SPEECH_SAMPLES. Samples, or negative: not decodable. */
	int32_t (*decode)(struct rtp_speech *voice, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples);
	/* Instead of what was lost; NULL: the track has its own way. */
	int32_t (*conceal)(struct rtp_speech *voice, int16_t *ret_samples, uint32_t count);
	uint32_t law;  /* G.711 */
	void *context; /* whoever made it */
};

#define RTP_SPEECH_SAMPLES 5760u /* 120 ms at 48 kHz */

void rtp_speech_g711(struct rtp_speech *voice, uint32_t law);

struct rtp_track;

struct rtp_track *rtp_track_new(uint32_t rate_hz, uint64_t begins_at_us); /* NULL: no memory */
void rtp_track_free(struct rtp_track *track);                             /* NULL is fine */
/* How long packets wait for those before them that are missing; 120 ms unless told. */
void rtp_track_set_wait(struct rtp_track *track, uint32_t wait_us);
/* voice is kept as long as packets for it may come. */
void rtp_track_put(struct rtp_track *track, struct rtp_speech *voice, const struct rtp_tap_packet *packet, const uint8_t *payload);
/* What has come before this instant is all that comes for it: from here on there are samples up to it. */
void rtp_track_pass(struct rtp_track *track, uint64_t until_us);
/* `count` of them, of those that rtp_track_pass has made sure of. */
void rtp_track_take(struct rtp_track *track, int16_t *ret_samples, size_t count);
uint64_t rtp_track_lost_ms(const struct rtp_track *track); /* that was to be heard and did not come */
