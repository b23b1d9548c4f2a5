/* rtp/mixer.h - the arithmetic of a conference: many voices in, for each of them everybody else's out
 *
 * A tick is 10 or 20 ms. Every voice is put in once, then every listener takes its mix: the sum of all who talk without its own part,
 * plus what is whispered to it, turned down softly where it would not fit into 16 bits. Who contributes nothing hears what all such
 * listeners hear, which is made once. No allocation, no lock, no time of its own: whoever ticks is the clock. One thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define RTP_MIX_MOST_HZ 48000u
#define RTP_MIX_MOST_SAMPLES 960u /* 20 ms at 48 kHz */
#define RTP_MIX_UNITY 4096        /* gains are Q12 */
#define RTP_MIX_MOST_GAIN_CDB 2000
#define RTP_MIX_KNEE 24576            /* up to here (-2.5 dBFS) a mix is the exact sum; what is louder is turned down to it */
#define RTP_MIX_SILENT_CDBOV (-12700) /* level of who is not heard at all; RFC 6465 ends there, too */

/* One member's part in the mix. Owned by whoever has the members; zeroed, then rtp_mix_voice_init. */
struct rtp_mix_voice {
	/* What is wanted; may change between ticks. */
	bool talks, hears;
	struct rtp_mix_voice *confidant; /* who hears it alone while it does not talk; NULL: nobody */
	int32_t talk_gain, hear_gain;    /* of what it says, of what it hears; Q12 */
	bool steady;                     /* not gated: music, an announcement, a line whose silence matters */

	/* What is known after put(). */
	bool open;           /* its gate: it is speaking, or was until RTP_MIX_HANG_MS ago */
	int16_t level_cdbov; /* of what it said in this tick, before gain */

	/* The mixer's. */
	struct rtp_mix_voice *next_whisper;
	int32_t gain_now, hear_now, limit; /* where the ramps have come to */
	struct rtp_mix_voice *heard_by;    /* the confidant, until what it is told has faded out */
	double floor, loudness;            /* mean squares: its background, and how loud it speaks */
	uint32_t hang_ms, speaking_ms;
	bool in_sum;
	int16_t samples[RTP_MIX_MOST_SAMPLES]; /* what it contributes in this tick */
};

#define RTP_MIX_HANG_MS 400u     /* a gate closes so long after the last word */
#define RTP_MIX_OVERTAKE_MS 600u /* so long somebody else has to be louder, by 6 dB, to be the speaker while the speaker speaks */
#define RTP_MIX_ONSET_MS 200u    /* who speaks for less is no speaker yet: a cough */

struct rtp_mixer {
	uint32_t rate_hz, count, tick_ms; /* of this tick */
	uint32_t sounding;                /* voices that are in the sum */
	bool common_made;
	int32_t limit; /* by which the common mix is turned down, Q12 */
	int32_t sum[RTP_MIX_MOST_SAMPLES];
	int16_t common[RTP_MIX_MOST_SAMPLES];
	struct rtp_mix_voice *whispers;
	int32_t tail[RTP_MIX_MOST_SAMPLES / 2]; /* how those fade out who have left */
	bool has_tail;

	struct rtp_mix_voice *speaker; /* who speaks, or spoke last; NULL: nobody yet */
	struct rtp_mix_voice *rival, *loudest;
	uint32_t rival_ms;
};

/* What a listener takes. */
#define RTP_MIX_SILENCE 0u /* nobody else makes a sound: ret_samples are zero */
#define RTP_MIX_COMMON 1u  /* exactly what everybody gets who has nothing of his own in it: the same samples within a tick */
#define RTP_MIX_OWN 2u     /* made for this one alone */

/* Q12 of a gain in hundredths of a decibel, at most RTP_MIX_MOST_GAIN_CDB. */
int32_t rtp_mix_gain(int32_t gain_cdb);

/* A voice that talks to and hears everybody, and fades in with its first tick. */
void rtp_mix_voice_init(struct rtp_mix_voice *voice);

/* count samples at rate_hz are a tick from now on: 10 or 20 ms, at most RTP_MIX_MOST_SAMPLES. */
void rtp_mixer_begin(struct rtp_mixer *mixer, uint32_t rate_hz, uint32_t count);
void rtp_mixer_put(struct rtp_mixer *mixer, struct rtp_mix_voice *voice, const int16_t *samples);
/* Something that everybody hears and nobody says: an announcement. After begin, in the place of a voice. */
void rtp_mixer_put_all(struct rtp_mixer *mixer, const int16_t *samples);
/* After the last put. ret_samples: count of them. RTP_MIX_…. */
uint32_t rtp_mixer_take(struct rtp_mixer *mixer, struct rtp_mix_voice *voice, int16_t *ret_samples);
/* After the last put of a tick: true when the speaker is another one than before it. */
bool rtp_mixer_speaker_changed(struct rtp_mixer *mixer);
/* Forgets a voice between two ticks; it fades out without it. Whoever whispered to it whispers to nobody: the caller's to clear. */
void rtp_mixer_drop(struct rtp_mixer *mixer, struct rtp_mix_voice *voice);
