/* rtp/source_inner.h - what a source is made of: the ring its players read, the list its reader plays */
#pragma once
#include "source.h"
#include "decoder.h"

#define RTP_SOURCE_FRAMES 128u /* 2.56 s */
#define RTP_SOURCE_AHEAD 48u   /* decoded before its time: how long a disk may dawdle */
#define RTP_SOURCE_WORDS (RTP_SOURCE_FRAME_BYTES / sizeof(uint64_t))

struct rtp_source_frame {
	_Atomic uint64_t number; /* one more than the frame's; 0: being written */
	_Atomic uint64_t codes[RTP_LAWS][RTP_SOURCE_WORDS];
};

/* Made by the loop, played by the reader. */
struct rtp_playlist {
	uint32_t order; /* PBX_SOURCE_… */
	bool runs_always;
	float gain;
	uint32_t count;
	char *files[];
};

struct rtp_source {
	struct rtp_source_frame ring[RTP_SOURCE_FRAMES];
	_Atomic uint64_t written; /* frames so far */
	_Atomic uint64_t heard;   /* the one that is heard now */
	_Atomic bool closed;
	_Atomic uint32_t listeners; /* the loop's */

	/* [loop] */
	uint64_t id;
	char *name;
	struct pbx_host *owner;
	struct core_charge charge;
	uint32_t refs; /* the handle, commands under way, listeners */

	/* The reader's. */
	struct rtp_source *next;
	struct rtp_playlist *list, *next_list; /* next_list: from the end of this file on */
	uint32_t *sequence;                    /* of files, this round */
	uint32_t at, failures, rounds;         /* in sequence; in a row; of this list */
	float gain;
	bool runs_always;
	struct rtp_decoder *decoder;
	bool gave;         /* a sample, this file */
	uint64_t clock_us; /* up to here time has been counted; 0: stands still */
};

#define RTP_SOURCE_LIST (RTP_SOURCE_COMMANDS + 0u) /* another list; the first one brings the source to the reader */
#define RTP_SOURCE_DROP (RTP_SOURCE_COMMANDS + 1u)
#define RTP_SOURCE_QUIT (RTP_SOURCE_COMMANDS + 2u)

struct rtp_source_command {
	struct rtp_command command;
	struct rtp_source *source;
	struct rtp_playlist *list; /* comes back with the old one */
};

void rtp_playlist_free(struct rtp_playlist *list); /* [any] */

/* ---- reader.c ---- [loop] */

int rtp_reader_start(struct rtp_common *common);
void rtp_reader_stop(void);
void rtp_reader_send(struct rtp_source_command *command);
void rtp_reader_wake(void);
uint32_t rtp_reader_running(void); /* sources whose time goes on */
uint64_t rtp_reader_frames(void);  /* decoded ever */
