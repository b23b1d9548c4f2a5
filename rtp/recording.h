/* rtp/recording.h - one recording: what the loop gives to the recorder's thread, and what that makes of it */
#pragma once
#include "interpreter.h"
#include "record_file.h"
#include "recorder.h"
#include <core/owner.h>

#define RTP_RECORD_START (RTP_RECORD_COMMANDS + 0u)
#define RTP_RECORD_LEARN (RTP_RECORD_COMMANDS + 1u)  /* tongue */
#define RTP_RECORD_PAUSE (RTP_RECORD_COMMANDS + 2u)  /* pause: PBX_PAUSE_…, 0: goes on. Comes back when its moment has been written */
#define RTP_RECORD_FINISH (RTP_RECORD_COMMANDS + 3u) /* no more packets come; comes back when the file is on the disk */
#define RTP_RECORD_ENDED (RTP_RECORD_COMMANDS + 4u)  /* from the thread: it has ended by itself */
#define RTP_RECORD_MASK (RTP_RECORD_COMMANDS + 5u)   /* pause: what the party says is silence, 0: is heard. Comes back as pauses do */

struct rtp_recording;

struct rtp_record_command {
	struct rtp_command command; /* first */
	struct rtp_recording *recording;
	uint64_t at_us;
	uint32_t pause;
	struct rtp_tongue *tongue;
	struct rtp_record_command *next; /* of the turns whose moment is to come */
};

struct rtp_recording {
	struct rtp_tap tap;
	struct rtp_interpreter interpreter;
	/* Not changed after the start. */
	char *path, *format;
	uint32_t what, flags, rate_hz, channels, most_ms, silence_ms, least_free_mb;
	double silence_power; /* mean square below which it is silent */
	char stop_keys[17];
	uint64_t begins_at_us;

	/* [loop] */
	uint64_t id;
	pbx_leg leg;
	struct rtp_stream *stream;  /* NULL: it has been left */
	struct rtp_recording *next; /* of the stream */
	struct core_charge charge;
	struct pbx_host *owner; /* NULL: nobody wants to know the end */
	struct pbx_record_watcher watcher;
	void *self;
	struct rtp_command untap;
	struct rtp_record_command finish;
	bool paused, ending;
	uint32_t how;
	char key;

	/* The thread's. */
	struct rtp_recording *next_running;
	struct rtp_track *tracks[2];
	struct rtp_record_file *file;
	struct rtp_record_command *turns;                  /* pauses and masks, by time */
	uint64_t until;                                    /* of the tap, to be read this round */
	uint64_t at, frames, paused_frames, silent_frames; /* at: sample of the call; frames: of the file */
	uint32_t pause;
	uint64_t paused_at; /* paused_frames when the last pause began */
	struct pbx_record_mark marks[PBX_RECORD_MOST_MARKS];
	uint32_t mark_count;
	bool masked, over;
	uint64_t marked_at;
	double power[2], recent_power[2];
	uint64_t recent;
	int32_t peak[2];
	struct rtp_record_command ended; /* how it ended by itself: in .pause */
	struct pbx_record_result result;

	_Atomic uint64_t shown_ms; /* for whoever asks */
	_Atomic int32_t shown_cdb[2];
};

/* ---- recording.c: the thread's ---- */

void rtp_recording_open(struct rtp_recording *recording);
/* What was in the tap up to `until` is heard, and written as far as nothing more can come for it. */
void rtp_recording_step(struct rtp_recording *recording, uint64_t now_us);
/* All of it up to this instant, and the file is closed. */
void rtp_recording_finish(struct rtp_recording *recording, uint64_t at_us);
/* Called by a recording whose turns' moments have come, and which has ended by itself. */
void rtp_recorder_give_back(struct rtp_record_command *command);
