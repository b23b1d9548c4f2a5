/* rtp/thread.c - see thread.h */
#include "thread.h"

#include <pbx/abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *thread_main(void *argument)
{
	struct rtp_thread *thread = argument;
	int wait_ms = -1;

	for (bool quits = false; !quits;) {
		struct pollfd ready = { .fd = thread->wake_fd, .events = POLLIN };
		uint64_t wakes;

		(void)poll(&ready, 1, wait_ms);
		(void)!read(thread->wake_fd, &wakes, sizeof wakes); /* only to make it quiet again */
		quits = atomic_load(&thread->quits);                /* what was sent before is there to be taken */
		wait_ms = thread->round();
	}
	return NULL;
}

int rtp_thread_start(struct rtp_thread *thread, const char *name, rtp_round_fn round)
{
	rtp_queue_init(&thread->sent);
	thread->round = round;
	atomic_store(&thread->quits, false);
	thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->wake_fd < 0)
		return PBX_EIO;
	if (pthread_create(&thread->thread, NULL, thread_main, thread) != 0) {
		(void)close(thread->wake_fd);
		return PBX_ENOMEM;
	}
	(void)pthread_setname_np(thread->thread, name);
	thread->runs = true;
	return PBX_OK;
}

void rtp_thread_stop(struct rtp_thread *thread)
{
	if (!thread->runs)
		return;
	atomic_store(&thread->quits, true);
	rtp_thread_wake(thread);
	(void)pthread_join(thread->thread, NULL);
	(void)close(thread->wake_fd);
	thread->runs = false;
}

void rtp_thread_wake(struct rtp_thread *thread)
{
	const uint64_t one = 1;

	(void)!write(thread->wake_fd, &one, sizeof one); /* fails only when it is awake 2^64 times over */
}

void rtp_thread_send(struct rtp_thread *thread, struct rtp_node *node)
{
	rtp_queue_push(&thread->sent, node);
	rtp_thread_wake(thread);
}

struct rtp_node *rtp_thread_take(struct rtp_thread *thread)
{
	return rtp_queue_pop(&thread->sent);
}
