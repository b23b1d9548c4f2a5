/* filter.h - what is done to one leg's sound
 *
 * The loop writes wishes and reads what was measured, a media worker does the work: both are atomic, and neither waits. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SOUND_LEAST_GAIN_DB (-24)
#define SOUND_MOST_GAIN_DB 24
#define SOUND_LEAST_LIMIT_DBFS (-40)
#define SOUND_MOST_DENOISE_DB 30u
#define SOUND_LEAST_TAIL_MS 16u
#define SOUND_MOST_TAIL_MS 500u

/* What shall be done. */
struct sound_wishes {
	uint32_t denoise_db;                   /* noise becomes softer by at most so much; 0: it stays */
	bool agc;                              /* speech is brought to one loudness */
	bool aec;                              /* what the party hears is taken out of what it says */
	uint32_t aec_tail_ms;                  /* how late that may come back */
	int32_t gain_in_db, gain_out_db;       /* of what it says, and hears */
	int32_t limit_in_dbfs, limit_out_dbfs; /* nothing of it is louder than a sine of that level; 0: full scale */
	bool muted;                            /* nothing that it says is heard */
};

/* The same for a worker to read at any time, and what it has found. */
struct sound_controls {
	_Atomic bool agc, muted;
	_Atomic int32_t gain_in_db, gain_out_db, limit_in_dbfs, limit_out_dbfs;

	_Atomic int32_t speech_cdb, noise_cdb, erle_cdb; /* hundredths of dBFS, and of dB; 0: not known yet */
	_Atomic int32_t gain_cdb;                        /* of the AGC now */
	_Atomic uint64_t said_ms, speech_ms;             /* sound that was looked at, and speech in it */
	_Atomic uint32_t silent_ms;                      /* since the last speech */
	_Atomic uint32_t unanswered_ms;                  /* speech that it has heard since */
	_Atomic bool data;                               /* a fax or modem: nothing is done any more */
};

struct sound;

/* [loop]. denoise, echo and tail are as they were when it was made. NULL: no memory, or a rate below 8 or above 48 kHz. */
struct sound *sound_new(struct sound_controls *controls, const struct sound_wishes *wishes, uint32_t rate_hz);
void sound_free(struct sound *sound); /* NULL is fine */
/* A pointer that stays with it. */
void sound_own(struct sound *sound, void *owner);
void *sound_owner(const struct sound *sound);

/* [media]. count is a whole number of 10 ms. */
void sound_said(struct sound *sound, int16_t *samples, uint32_t count);
void sound_heard(struct sound *sound, int16_t *samples, uint32_t count);
