/* rtp/sound.h - decoded sound in memory: mono, 16 bits, at 16 kHz and at 8 kHz, in a chain of blocks that is read while it is still growing
 *
 * A file is decoded in the pool, the first second first, so that a long one begins at once; workers read what is published
 * and never wait for a disk. Sounds are shared by everybody who plays the same file and kept a while for the next one. */
#pragma once
#include "worker.h"

struct core_speech;

#define RTP_SOUND_HZ 16000u             /* for legs that hear more than a telephone did */
#define RTP_NARROW_HZ 8000u             /* for all others: no resampling for each of them, and a better one */
#define RTP_BLOCK_SAMPLES RTP_NARROW_HZ /* one second */
#define RTP_MOST_SOUND_S 7200u          /* what is longer ends there */

/* Written from the beginning to the end by one thread, then followed by the next. */
struct rtp_sound_block {
	_Atomic(struct rtp_sound_block *) next;
	_Atomic uint32_t used; /* of narrow that may be read; of wide twice as many */
	int16_t narrow[RTP_BLOCK_SAMPLES];
	int16_t wide[2 * RTP_BLOCK_SAMPLES];
};

/* For workers: first, complete. The rest: [loop]. */
struct rtp_sound {
	struct rtp_sound_block *first;
	_Atomic bool complete; /* nothing will be added */
	bool repeats;          /* played again from the beginning, for ever */

	struct rtp_sound *next; /* of those kept, newest first */
	char *name;
	int64_t changed_ns, bytes;
	uint32_t refs, blocks;
	bool ready, kept; /* ready: may be played, or cannot be: result tells */
	int result;
	struct rtp_play *awaiting;
};

/* The sound of a file, with a reference for the caller; it may not be ready yet. NULL: no memory. */
struct rtp_sound *rtp_sound_open(const char *path);
/* Of a text, likewise; its file is made first if need be. Takes the speech. */
struct rtp_sound *rtp_sound_speak(struct core_speech *speech);
/* A tone of a country, ready. NULL: no such tone, or no memory. */
struct rtp_sound *rtp_sound_tone(const char *country, const char *name);
void rtp_sound_unref(struct rtp_sound *sound);
/* rtp_stream_sound_ready(play) when it can be played, or cannot. Not for one that is ready. */
void rtp_sound_await(struct rtp_sound *sound, struct rtp_play *play);
void rtp_sound_forget(struct rtp_sound *sound, struct rtp_play *play); /* does not wait any more */
void rtp_sounds_fini(void);                                            /* frees what is kept; nothing may be playing */

/* [any] An empty block; NULL: no memory. */
struct rtp_sound_block *rtp_sound_block_new(void);

/* ---- tones.c ---- */

/* Fills a fresh chain of blocks. PBX_OK, PBX_ENOENT (no such tone), PBX_ENOMEM. */
int rtp_tone_render(const char *cadence, struct rtp_sound_block **ret_first, bool *ret_repeats);

/* stream.c: called by sound.c. */
void rtp_stream_sound_ready(struct rtp_play *play);
