/* rtp/thread.h - a thread beside the workers: it sleeps until it is sent something, or its time has come */
#pragma once
#include "queue.h"
#include <pthread.h>

/* One round: takes all that was sent, does what is due, and says after how many ms it wants the next one at the latest; -1: when it is woken. */
typedef int (*rtp_round_fn)(void);

struct rtp_thread {
	pthread_t thread;
	int wake_fd;
	struct rtp_queue sent;
	rtp_round_fn round;
	_Atomic bool quits;
	bool runs; /* [loop] */
};

/* name: of at most 15 letters, as the kernel shows it. PBX_OK, PBX_EIO, PBX_ENOMEM. [loop] */
int rtp_thread_start(struct rtp_thread *thread, const char *name, rtp_round_fn round);
void rtp_thread_stop(struct rtp_thread *thread); /* after a last round; one that does not run stays so. [loop] */
void rtp_thread_wake(struct rtp_thread *thread); /* [any] */
void rtp_thread_send(struct rtp_thread *thread, struct rtp_node *node);
struct rtp_node *rtp_thread_take(struct rtp_thread *thread); /* NULL: nothing more. The thread itself */
