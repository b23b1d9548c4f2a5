/* pbx/recorder.h - what a leg says and hears, as a sound file
 * Served by the core as "pbx.recorder/1". All of it: [loop].
 *
 * A recording belongs to a leg and lasts as long as that does, through hold, transfer, parking and conference: it takes the packets that
 * arrive from the party and those that leave for it, whoever feeds them, and puts each where it belongs in time. Nothing that is lost, held
 * back or left out makes it shorter: there is silence instead. Packets are copied in the media worker; decoding, mixing and the disk are a
 * thread of their own, so that a slow disk never harms a call.
 *
 * The file grows under the name path + ".part" and is readable at any moment; when the recording is over it gets its name. What a crash
 * leaves behind is finished by recover(). */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_recording {
	uint64_t id;
} pbx_recording;

#define PBX_RECORD_SAYS 1u /* what the party says: a message, a greeting. One channel */
#define PBX_RECORD_BOTH 2u /* and what it hears: a conversation */

#define PBX_RECORD_STEREO 1u  /* BOTH: the party on the left, what it hears on the right; without: both in one channel */
#define PBX_RECORD_SWAPPED 2u /* STEREO: the other way round */
#define PBX_RECORD_MUSIC 4u   /* BOTH: shared sources (music while it is held) as well; without: silence there */

struct pbx_record_spec {
	uint32_t size;
	uint32_t what, flags;   /* PBX_RECORD_SAYS or BOTH, PBX_RECORD_… */
	const char *path;       /* absolute; folders that it lacks are made (0750), the file is 0640. Nothing may be there yet */
	const char *format;     /* "wav" (RF64 beyond 4 GB), "flac", "ogg-opus", "mp3" */
	uint32_t rate_hz;       /* 8000, 16000 or 48000; 0: 16000 when a codec of the leg is a wideband one, else 8000 */
	uint32_t most_ms;       /* ends when it is so long; 0: no limit */
	uint32_t silence_ms;    /* ends when the party has been silent for so long; 0: never */
	int32_t silence_cdb;    /* what is silence: below so many hundredths of a dB of full scale; 0: -4500 */
	const char *stop_keys;  /* any of these, typed by the party, ends it ("#", "0123456789*#"); NULL: none */
	uint32_t least_free_mb; /* where the disk has less it is not begun: FAILED with PBX_ENOSPC; 0: no matter */
	/* The party and who it talks to hear a beep (1400 Hz, 200 ms) each so many seconds, over what is said; 0: none. G.711 only. */
	uint32_t beep_s;
};

/* Why a recording ended. */
#define PBX_RECORDED_STOPPED 1u /* by stop() */
#define PBX_RECORDED_KEY 2u     /* .key was typed */
#define PBX_RECORDED_SILENCE 3u
#define PBX_RECORDED_LIMIT 4u
#define PBX_RECORDED_LEG_ENDED 5u
#define PBX_RECORDED_DISK_FULL 6u /* what was recorded until then is in a valid file */
#define PBX_RECORDED_FAILED 7u    /* .error tells; there may be no file */

#define PBX_PAUSE_SILENCE 1u /* the file goes on, silent */
#define PBX_PAUSE_CUT 2u     /* the file stands still */

/* Where it was paused, and how. A WAV file says so itself, too: a cue point with a label each, and a region when it is silence. */
struct pbx_record_mark {
	uint64_t at_ms, for_ms; /* in the file; how long it was paused */
	uint32_t how;           /* PBX_PAUSE_… */
	uint32_t zero;
};
#define PBX_RECORD_MOST_MARKS 32u /* later pauses are not marked */

/* What came of it. Texts are borrowed until the callback returns. */
struct pbx_record_result {
	uint32_t size;
	uint32_t how;     /* PBX_RECORDED_… */
	int32_t error;    /* PBX_OK, PBX_ENOSPC, PBX_EEXIST, PBX_EIO (disk), PBX_EINVAL (recover: not readable) */
	const char *path; /* where it is */
	char key;         /* KEY */
	uint32_t rate_hz, channels;
	uint64_t duration_ms, size_bytes; /* duration of the file; 0: nothing was recorded, and there is no file */
	uint64_t paused_ms;               /* how long it was paused, whether cut out or silent */
	uint64_t gaps_ms;                 /* of both channels: packets that were lost before us or by us, heard as silence or concealed */
	int32_t peak_cdb[2], mean_cdb[2]; /* of each channel, hundredths of a dB of full scale; -10000: silence */
	/* In order, borrowed; of what a crash left there are none. */
	const struct pbx_record_mark *marks;
	uint32_t mark_count;
};

struct pbx_record_watcher {
	uint32_t size;
	/* Once, last, and not called when the plugin is stopped before. The file is finished first, so this comes after the leg's `ended`: what self
	 * points to lives until then. */
	void (*done)(void *self, pbx_recording recording, const struct pbx_record_result *result);
};

struct pbx_record_state {
	uint32_t size;
	bool paused, ending;
	pbx_leg leg;
	uint64_t duration_ms; /* of the file so far */
	int32_t level_cdb[2]; /* of each channel, the last tenth of a second */
};

struct pbx_recorder {
	struct pbx_header header;

	/* Begins now. The leg has media already (it was answered, or given progress), or will have: what comes before is silence. Any number
	 * at a time. Charged to the host, which is not unloaded while it lasts; when the host is stopped the file is finished without another
	 * word. done follows. PBX_OK, PBX_EINVAL (spec), PBX_ENOENT (leg has ended), PBX_ESTATE (it has no media), PBX_ENOMEM,
	 * PBX_ENOTSUP (format). That the file cannot be made, done tells. */
	int (*record)(struct pbx_host *host, pbx_leg leg, const struct pbx_record_spec *spec, const struct pbx_record_watcher *watcher,
		      void *self, pbx_recording *ret_recording);
	/* PBX_OK, PBX_ENOENT (it is over), PBX_ESTATE (it is paused already), PBX_ENOMEM. */
	int (*pause)(pbx_recording recording, uint32_t how);
	int (*resume)(pbx_recording recording);
	int (*stop)(pbx_recording recording); /* done follows. PBX_OK, PBX_ENOENT */
	/* ret_state->size says how much of it you know. PBX_OK, PBX_ENOENT */
	int (*state)(pbx_recording recording, struct pbx_record_state *ret_state);
	/* Another instance goes on with it: charge and done are its own from now on (an upgrade). PBX_OK, PBX_ENOENT, PBX_EINVAL. */
	int (*adopt)(struct pbx_host *host, pbx_recording recording, const struct pbx_record_watcher *watcher, void *self);

	/* After a crash: path is finished from what there is of it, or looked at when it was finished. done with how 0 and the rest as it is
	 * found; error PBX_ENOENT: there is nothing. PBX_OK, PBX_ENOMEM. */
	int (*recover)(struct pbx_host *host, const char *path, void (*done)(void *self, const struct pbx_record_result *result),
		       void *self);
};

PBX_SERVICE(pbx_recorder, "pbx.recorder/1")

#ifdef __cplusplus
}
#endif
