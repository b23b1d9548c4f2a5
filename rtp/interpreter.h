/* rtp/interpreter.h - what the packets of a tap say: payload types become decoders
 *
 * A tap's packets name the plan they came under; each time a stream is configured the loop tells what its payload types mean from then on (a
 * tongue), and the thread that reads the tap keeps the newest. A codec that was there before goes on with what it remembers. */
#pragma once
#include "codecs.h"
#include "tap.h"
#include "track.h"

struct rtp_stream;

/* What the payload types of a plan mean. Made by the loop, kept by the thread. */
struct rtp_tongue {
	struct rtp_tongue *next; /* an older one */
	uint32_t plan;
	struct rtp_speech *voices[2][128]; /* RTP_SAYS, RTP_HEARS; NULL: no speech, or none that we understand */
};

/* A decoder and what it is of. */
struct rtp_known_voice {
	struct rtp_known_voice *next;
	struct core_codec codec;
	uint8_t direction;
	struct rtp_speech voice;
	struct rtp_coder coder; /* zero: G.711, which needs none */
};

/* Begins as zero, but for on_leaving and context: called when the plugin of one of its codecs is being taken away, so that it must end soon. */
struct rtp_interpreter {
	void (*on_leaving)(void *context);
	void *context;
	struct rtp_known_voice *voices; /* the loop's */
	struct rtp_tongue *tongue;      /* the thread's */
};

/* For the stream as it is configured, its plan number `plans`. Owned. NULL: no memory. [loop] */
struct rtp_tongue *rtp_tongue_make(struct rtp_interpreter *interpreter, const struct rtp_stream *stream);
/* The thread has let go of all tongues and packets. [loop] */
void rtp_interpreter_close(struct rtp_interpreter *interpreter);

/* ---- the reader's thread ---- */

void rtp_interpreter_learn(struct rtp_interpreter *interpreter, struct rtp_tongue *tongue);                               /* takes it */
struct rtp_speech *rtp_interpreter_voice(const struct rtp_interpreter *interpreter, const struct rtp_tap_packet *packet); /* NULL: none */
void rtp_interpreter_forget(struct rtp_interpreter *interpreter);                                                         /* all tongues */
