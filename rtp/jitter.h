/* rtp/jitter.h - one stream's packets, in order and in time for whoever plays them
 *
 * Packets are put in as they come; whoever plays takes them out by its own clock, one at a time, each when the samples before it
 * run out. Between the two lies a delay that is as long as the network is uneven, and no longer: late enough for 97 of the last 100
 * packets, and one frame more. All time is the caller's: the buffer reads no clock. Nothing is allocated after rtp_jitter_new.
 *
 * new, free: [loop]. All else: the thread that plays, [media]. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_JITTER_MOST_MS 1000u /* what settings allow */
#define RTP_JITTER_HISTORY 500u  /* packets from which the delay is found: ten seconds of the usual ones */

/* Settings media.jitter_buffer. */
struct rtp_jitter_settings {
	bool enabled, adaptive, passthrough;
	uint32_t initial_length_ms, min_length_ms, max_length_ms, max_drift_ms;
};

struct rtp_jitter_config {
	uint32_t clock_hz;                      /* of RTP's timestamps */
	uint32_t frame_units;                   /* what a packet lasts, in that clock, until one tells */
	uint32_t slot_bytes;                    /* the longest payload; longer ones are refused */
	uint32_t initial_ms, least_ms, most_ms; /* the delay at the beginning, and its limits: least <= initial <= most */
	uint32_t drift_ms;                      /* so much too late may be played before it is hurried */
	bool adaptive;                          /* false: the delay stays initial_ms */
};

/* What a packet is to listening. */
#define RTP_JITTER_AUDIO 0u
#define RTP_JITTER_QUIET 1u /* CN, SID or a codec's last frame before it falls silent: is given out, then nothing is missed */
#define RTP_JITTER_EVENT 2u /* telephone-event: has a sequence number, and no sound */

struct rtp_jitter_packet {
	uint32_t ssrc, timestamp;
	uint16_t sequence;
	uint8_t type;           /* payload type: given out as it came */
	uint8_t kind;           /* RTP_JITTER_… */
	const uint8_t *payload; /* copied */
	uint32_t bytes;
	uint32_t units; /* what it lasts; 0: as the one before */
};

/* What is to be heard next. */
#define RTP_JITTER_PLAY 1u    /* payload */
#define RTP_JITTER_LOST 2u    /* units are missing and will not come: recover them from next, or conceal */
#define RTP_JITTER_WAIT 3u    /* nothing is here, yet something should be: conceal units, and ask again */
#define RTP_JITTER_SILENCE 4u /* nothing is meant to be heard for units: before the first packet, in DTX, during a key press */

#define RTP_JITTER_STEADY 0u
#define RTP_JITTER_SHORTEN 1u  /* what is played is later than need be: up to spare_units may be left out of this frame */
#define RTP_JITTER_LENGTHEN 2u /* it is early: let it last up to spare_units longer */

struct rtp_jitter_frame {
	uint32_t what;
	uint32_t units; /* how long it lasts */
	uint32_t pace;  /* PLAY: RTP_JITTER_STEADY, SHORTEN, LENGTHEN */
	uint32_t spare_units;
	uint8_t type, kind;            /* PLAY: of the packet */
	bool begins;                   /* PLAY: the first of another SSRC, which knows nothing of what a decoder remembers */
	const uint8_t *payload, *next; /* PLAY: this one; LOST: the packet right behind the gap, or NULL. Good until the next put or get */
	uint32_t bytes, next_bytes;
};

struct rtp_jitter_stats {
	uint64_t received; /* packets that were put */
	uint64_t played;
	uint64_t lost; /* never came */
	uint64_t late; /* came when their time was over */
	uint64_t duplicates;
	uint64_t discarded;     /* were in time, and left out: more had piled up than the longest delay, or too long for a slot */
	uint64_t resyncs;       /* how often the sender's clock was found elsewhere */
	uint64_t concealed_us;  /* what LOST and WAIT stood for */
	uint64_t slipped_us;    /* left out by who was told to shorten */
	uint32_t jitter_us;     /* RFC 3550 6.4.1 */
	uint32_t target_us;     /* the delay that is aimed at */
	uint32_t delay_us;      /* of what was played last, behind the fastest packet: RFC 3611 4.7.7 nominal */
	uint32_t most_delay_us; /* the longest there was */
};

struct rtp_jitter;

struct rtp_jitter *rtp_jitter_new(const struct rtp_jitter_config *config); /* NULL: no memory */
void rtp_jitter_free(struct rtp_jitter *jitter);                           /* NULL is fine */

/* Before the first put: the stream has been heard elsewhere and must not pause now. Its first packet is played at once, and the delay is reached
 * by lengthening. */
void rtp_jitter_go_on(struct rtp_jitter *jitter);
/* now_us: when it arrived. */
void rtp_jitter_put(struct rtp_jitter *jitter, const struct rtp_jitter_packet *packet, uint64_t now_us);
/* due_us, by the same clock: when the first sample of the answer will be heard, which is now plus what is decoded and waits. */
void rtp_jitter_get(struct rtp_jitter *jitter, uint64_t due_us, struct rtp_jitter_frame *ret_frame);
/* SHORTEN was obeyed: so much of the frame was left out. */
void rtp_jitter_slipped(struct rtp_jitter *jitter, uint32_t units);
/* What arrives from here on counts in another clock, or belongs to another codec with other frames. What waits is dropped. */
void rtp_jitter_restart(struct rtp_jitter *jitter, uint32_t clock_hz, uint32_t frame_units);
/* As it is now. */
void rtp_jitter_stats(const struct rtp_jitter *jitter, struct rtp_jitter_stats *ret_stats);
