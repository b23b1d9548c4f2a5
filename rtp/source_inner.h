/* rtp/source_inner.h - what a source is made of: the ring its players read, the programme its reader plays into it */
#pragma once
#include "source.h"
#include "decoder.h"
#include "leveller.h"
#include "radio.h"
#include "resampler.h"

#define RTP_SOURCE_FRAMES 128u /* 2.56 s */
#define RTP_SOURCE_AHEAD 48u   /* decoded before its time: how long a disk may dawdle */
#define RTP_SOURCE_CODE_WORDS (RTP_SOURCE_FRAME_CODES / sizeof(uint64_t))
#define RTP_SOURCE_SAMPLE_WORDS (RTP_SOURCE_FRAME_SAMPLES * sizeof(int16_t) / sizeof(uint64_t))

struct rtp_source_frame {
	_Atomic uint64_t number; /* one more than the frame's; 0: being written */
	_Atomic uint64_t codes[RTP_LAWS][RTP_SOURCE_CODE_WORDS];
	_Atomic uint64_t samples[RTP_SOURCE_SAMPLE_WORDS];
};

/* Made by the loop, played by the reader. */
struct rtp_playlist {
	uint32_t order; /* PBX_SOURCE_… */
	bool runs_always, levels, trims_silence;
	float gain;
	char *url; /* NULL: no stream */
	char **announcements;
	uint32_t announcement_count, announce_every; /* frames; 0: never */
	uint32_t count;
	char *files[];
};

/* A file that is being played. */
struct rtp_tune {
	struct rtp_decoder *decoder;
	bool gave; /* something that could be heard */
	/* Silence that is held back until it is known whether anything follows, and what does follow. */
	uint32_t silent, kept, kept_at;
	int16_t keeps[RTP_SOURCE_FRAME_SAMPLES];
};

/* What is heard next: the reader's. */
struct rtp_programme {
	const char *name;                      /* the source's */
	struct rtp_playlist *list, *next_list; /* next_list: its files from the end of this one on */
	struct rtp_playlist *now;              /* the newest of both: everything but the files */
	uint32_t *sequence;                    /* of files, this round */
	uint32_t at, failures, rounds;         /* in sequence; in a row; of this list */
	uint32_t rests;                        /* frames during which no file is looked for: none could be played */
	struct rtp_tune tune;
	struct rtp_leveller leveller;
	struct rtp_radio *radio;
	uint32_t waited; /* frames of silence, in the hope that the radio begins soon */
	struct rtp_decoder *announcement;
	uint32_t since, announced; /* frames since the last announcement; how many there were */
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
	struct rtp_programme programme;
	struct rtp_resamplers narrow; /* to the 8 kHz of G.711 */
	uint32_t lingers;             /* rounds that it still runs after the last listener: a stream is not dropped at once */
	_Atomic bool runs, streaming; /* for whoever asks */
	uint64_t clock_us;            /* up to here time has been counted; 0: stands still */
};

#define RTP_SOURCE_LIST (RTP_SOURCE_COMMANDS + 0u) /* another list; the first one brings the source to the reader */
#define RTP_SOURCE_DROP (RTP_SOURCE_COMMANDS + 1u)

struct rtp_source_command {
	struct rtp_command command;
	struct rtp_source *source;
	struct rtp_playlist *list; /* comes back with the old one */
};

void rtp_playlist_free(struct rtp_playlist *list); /* [any] */

/* ---- programme.c: the reader's ---- */

/* Another list; returns one that was never begun, to be freed. */
struct rtp_playlist *rtp_programme_change(struct rtp_programme *programme, struct rtp_playlist *list);
/* The next frame. False: there is nothing to play now, and the frame is silent. */
bool rtp_programme_next(struct rtp_programme *programme, int16_t ret_samples[RTP_SOURCE_FRAME_SAMPLES]);
void rtp_programme_rest(struct rtp_programme *programme); /* nobody listens: the network is left alone */
void rtp_programme_clear(struct rtp_programme *programme);

/* ---- reader.c ---- [loop] */

int rtp_reader_start(struct rtp_common *common);
void rtp_reader_stop(void);
void rtp_reader_send(struct rtp_source_command *command);
void rtp_reader_wake(void);
uint32_t rtp_reader_running(void); /* sources whose time goes on */
uint64_t rtp_reader_frames(void);  /* decoded ever */
