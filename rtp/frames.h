/* rtp/frames.h - datagrams in a stream of octets: before each its length, two octets (RFC 4571)
 *
 * No clock and no memory of its own; who has the connection has these two. [any] */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_FRAME_HEAD_BYTES 2u
#define RTP_FRAME_MOST_BYTES 2048u /* as of a datagram (RTP_MOST_BYTES); longer ones are passed over */
#define RTP_FRAMES_BYTES (2u * (RTP_FRAME_HEAD_BYTES + RTP_FRAME_MOST_BYTES))

/* What has come. All zero at the beginning. */
struct rtp_frames {
	uint32_t begins, ends; /* of what is here and has not been taken */
	uint32_t to_pass_over; /* octets of a frame that is too long */
	uint8_t data[RTP_FRAMES_BYTES];
};

#define RTP_FRAME_NONE 0u /* the next one is not here as a whole */
#define RTP_FRAME_WHOLE 1u
#define RTP_FRAME_TOO_LONG 2u /* it begins here; told once */

/* Where to write what comes next; never without room once all that is whole has been taken. */
uint8_t *rtp_frames_room(struct rtp_frames *frames, size_t *ret_bytes);
void rtp_frames_put(struct rtp_frames *frames, size_t bytes); /* so many have been written there */
/* WHOLE: points at the frame, which may have no octet at all, until more room is asked for. */
uint32_t rtp_frames_take(struct rtp_frames *frames, const uint8_t **ret_data, size_t *ret_bytes);
/* How many octets the first frame still needs: of its length, then of the rest. 0: it is whole. */
size_t rtp_frames_missing(const struct rtp_frames *frames);

/* The rest of a frame that was begun and that the kernel has not taken. All zero at the beginning. */
struct rtp_frame_rest {
	uint32_t begins, ends;
	uint8_t data[RTP_FRAME_HEAD_BYTES + RTP_FRAME_MOST_BYTES];
};

/* Sends a frame by a stream socket without waiting. False: nothing of it was sent, because the rest of another one is in its way, the kernel has no room, or
 * the connection is broken. */
bool rtp_frame_send(int fd, struct rtp_frame_rest *rest, const uint8_t *data, size_t bytes);
/* Sends what is left. False: there is still something. */
bool rtp_frame_finish(int fd, struct rtp_frame_rest *rest);
