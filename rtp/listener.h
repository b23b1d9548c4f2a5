/* rtp/listener.h - who listens to a leg beside its call, while it lasts: taps of plugins, detectors
 *
 * A listening is a tap (tap.h) on a stream, and a thread that decodes what is in it and hands blocks of samples to a sink, as
 * long after they were said as a packet may be late. All listenings share that thread, so a sink does not wait for anything. A listening follows its stream through
 * whatever happens to that, and ends with it, or before. */
#pragma once
#include "interpreter.h"
#include "worker.h"

#define RTP_MOST_LISTENED_SAMPLES (48u * 200u) /* of a block, one direction */

struct rtp_listening;

struct rtp_sink {
	/* The next block of each direction that was asked for, NULL for the other; at_us: when its first sample came. The listener's thread. */
	void (*take)(struct rtp_listening *listening, const int16_t *says, const int16_t *hears, uint64_t at_us);
	/* rtp_listening_tell was called, once or more often. NULL: it never is. [loop] */
	void (*told)(struct rtp_listening *listening);
	/* It is over, and the thread has let go of it: rtp_listening_fini and its memory are the sink's from here on. [loop] */
	void (*over)(struct rtp_listening *listening);
};

struct rtp_listen_command {
	struct rtp_command command; /* first */
	struct rtp_listening *listening;
	struct rtp_tongue *tongue;
};

/* Memory aligned to 64. Made by rtp_listening_init; what is not said to be somebody else's is this file's. */
struct rtp_listening {
	struct rtp_tap tap;
	struct rtp_interpreter interpreter;
	const struct rtp_sink *sink;
	uint32_t rate_hz, block_samples, late_us;
	uint64_t begins_at_us, ends_at_us;

	/* [loop] */
	struct rtp_stream *stream;  /* NULL: it has been left */
	struct rtp_listening *next; /* of the stream */
	bool ending;
	struct rtp_command untap;
	struct rtp_listen_command finish;

	/* The thread's. */
	struct rtp_listening *next_running;
	struct rtp_track *tracks[2];
	uint64_t until; /* of the tap, to be read this round */
	uint64_t at;    /* sample of the next block */
	struct rtp_listen_command news;
	_Atomic bool telling; /* news is on its way */
};

int rtp_listener_start(struct rtp_common *common); /* PBX_OK, PBX_EIO, PBX_ENOMEM. [loop] */
void rtp_listener_stop(void);                      /* streams are closed. [loop] */

struct rtp_listening_wish {
	uint8_t directions; /* 1 << RTP_… */
	bool music;         /* shared sources too */
	uint32_t rate_hz, block_samples, late_ms;
};

/* Zeroed memory. PBX_OK, PBX_ENOMEM: nothing is left of it. [loop] */
int rtp_listening_init(struct rtp_listening *listening, const struct rtp_sink *sink, const struct rtp_listening_wish *wish);
void rtp_listening_fini(struct rtp_listening *listening); /* one that has not begun, or is over. [loop] */
/* PBX_OK, PBX_ENOMEM: it has not begun. [loop] */
int rtp_listening_begin(struct rtp_listening *listening, struct rtp_stream *stream);
void rtp_listening_end(struct rtp_listening *listening);  /* over follows; once is enough. [loop] */
void rtp_listening_tell(struct rtp_listening *listening); /* told follows. The listener's thread */

void rtp_listener_learn(struct rtp_stream *stream); /* it is about to be configured with its config, as plan number `plans`. [loop] */
void rtp_listener_leave(struct rtp_stream *stream); /* it is about to be closed: its listenings end. [loop] */
void rtp_listener_returned(struct rtp_command *command);
