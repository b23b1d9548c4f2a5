/* rtp/queue.h - how the loop and the workers hand each other things without a lock
 *
 * A queue links nodes that somebody else has allocated: it has no end and cannot fail. Any thread pushes, one thread pops.
 * A ring copies small events; it has an end, and a full ring is an answer (the writer tries again later or counts a loss). */
#pragma once
#include <core/media_desc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rtp_node {
	_Atomic(struct rtp_node *) next;
};

struct rtp_queue {
	_Atomic(struct rtp_node *) newest;
	struct rtp_node *oldest; /* the popping thread's */
	struct rtp_node stub;
};

void rtp_queue_init(struct rtp_queue *queue);
void rtp_queue_push(struct rtp_queue *queue, struct rtp_node *node); /* [any] */
/* NULL: empty, or a push is half done; whoever pushes wakes us afterwards. */
struct rtp_node *rtp_queue_pop(struct rtp_queue *queue);

#define RTP_EVENT_FIRST_PACKET 1u
#define RTP_EVENT_SILENCE 2u
#define RTP_EVENT_DIGIT 3u
#define RTP_EVENT_SOURCE_CHANGED 4u
#define RTP_EVENT_CONNECTED 5u /* ICE: remote is where it sends now */
#define RTP_EVENT_FAILED 6u    /* for_ms: CORE_MEDIA_… */
#define RTP_EVENT_TALKING 7u   /* for_ms: 1 begins, 0 ends */
#define RTP_EVENT_SPEAKER 8u
#define RTP_EVENT_DRAINED 9u /* of its injection there was nothing more to say */
#define RTP_EVENT_CODEC 10u  /* an encoder or a decoder fails */
#define RTP_EVENT_KEY_DOWN 11u

struct rtp_event {
	uint64_t stream; /* core_stream.id */
	uint32_t kind;
	uint32_t for_ms; /* SILENCE, DIGIT: how long; FAILED: why */
	char digit;
	bool by_tone;            /* DIGIT, KEY_DOWN: heard in the sound, not an event of RFC 4733 */
	bool encodes;            /* CODEC */
	uint8_t type;            /* CODEC: of its packets */
	uint32_t plan;           /* CODEC: of which plan that is a type */
	struct core_addr remote; /* SOURCE_CHANGED, CONNECTED */
};

#define RTP_RING_EVENTS 1024u

/* One writer, one reader. */
struct rtp_ring {
	_Atomic uint32_t written, read;
	struct rtp_event events[RTP_RING_EVENTS];
};

bool rtp_ring_put(struct rtp_ring *ring, const struct rtp_event *event); /* false: full */
bool rtp_ring_take(struct rtp_ring *ring, struct rtp_event *ret_event);  /* false: empty */
