/*
 * queue - an intrusive queue for many writers (after Dmitry Vyukov) and a ring for one
 *
 * Pushing is one exchange and one store, whatever the others do. Between the two the chain is broken for an instant: the
 * reader then sees an empty queue, and is woken once more when the writer has finished.
 */
#include "queue.h"

void rtp_queue_init(struct rtp_queue *queue)
{
	atomic_init(&queue->stub.next, NULL);
	atomic_init(&queue->newest, &queue->stub);
	queue->oldest = &queue->stub;
}

void rtp_queue_push(struct rtp_queue *queue, struct rtp_node *node)
{
	atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
	struct rtp_node *before = atomic_exchange_explicit(&queue->newest, node, memory_order_acq_rel);

	atomic_store_explicit(&before->next, node, memory_order_release);
}

/* Steps over the stub, which marks the place where the queue was empty. */
static struct rtp_node *skip_stub(struct rtp_queue *queue)
{
	if (queue->oldest == &queue->stub) {
		struct rtp_node *next = atomic_load_explicit(&queue->stub.next, memory_order_acquire);

		if (!next)
			return NULL;
		queue->oldest = next;
	}
	return queue->oldest;
}

struct rtp_node *rtp_queue_pop(struct rtp_queue *queue)
{
	struct rtp_node *node = skip_stub(queue);

	if (!node)
		return NULL;
	struct rtp_node *next = atomic_load_explicit(&node->next, memory_order_acquire);

	if (!next) {
		if (node != atomic_load_explicit(&queue->newest, memory_order_acquire))
			return NULL;                 /* a push is half done */
		rtp_queue_push(queue, &queue->stub); /* so that the last node has a successor and can leave */
		next = atomic_load_explicit(&node->next, memory_order_acquire);
		if (!next)
			return NULL;
	}
	queue->oldest = next;
	return node;
}

bool rtp_ring_put(struct rtp_ring *ring, const struct rtp_event *event)
{
	uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);

	if (written - atomic_load_explicit(&ring->read, memory_order_acquire) == RTP_RING_EVENTS)
		return false;
	ring->events[written % RTP_RING_EVENTS] = *event;
	atomic_store_explicit(&ring->written, written + 1, memory_order_release);
	return true;
}

bool rtp_ring_take(struct rtp_ring *ring, struct rtp_event *ret_event)
{
	uint32_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);

	if (read == atomic_load_explicit(&ring->written, memory_order_acquire))
		return false;
	*ret_event = ring->events[read % RTP_RING_EVENTS];
	atomic_store_explicit(&ring->read, read + 1, memory_order_release);
	return true;
}
