/* rtp/voice.h - the periods of a voice: repeated in place of what was lost, left out or put in when clocks differ
 *
 * What a leg's party says goes through here once it is decoded. A voice (and a tone) repeats itself every few milliseconds; a hole is
 * filled with its last period (ITU-T G.711 appendix I), a frame becomes shorter or longer by one of them, and wherever two pieces meet
 * they are faded into each other, so that nothing clicks. Any rate from 8 to 48 kHz. Nothing is allocated. All of it: [media], but init:
 * [any]. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define RTP_VOICE_MOST_HZ 48000u
#define RTP_VOICE_HISTORY_MS 45u /* two of the longest periods, and what they are compared by */
#define RTP_VOICE_HISTORY (RTP_VOICE_MOST_HZ / 1000 * RTP_VOICE_HISTORY_MS)
#define RTP_VOICE_PERIOD (RTP_VOICE_MOST_HZ / 1000 * 15)
#define RTP_VOICE_FADED_MS 60u /* a hole is silent from here on */

struct rtp_voice {
	uint32_t rate_hz;
	uint32_t history_count;
	int16_t history[RTP_VOICE_HISTORY]; /* what was heard last, the newest at the end of history_count */
	uint32_t concealed;                 /* samples of the present hole; 0: there is none */
	uint32_t period, period_at;
	int16_t one_period[RTP_VOICE_PERIOD];
};

void rtp_voice_init(struct rtp_voice *voice, uint32_t rate_hz);

/* What was received, on its way to be heard: its beginning is faded in when it follows a hole. */
void rtp_voice_hear(struct rtp_voice *voice, int16_t *samples, uint32_t count);
/* The same for samples that somebody else has concealed or made: kept as what was heard. */
void rtp_voice_note(struct rtp_voice *voice, const int16_t *samples, uint32_t count);
/* Fills a hole, or the next part of it. Fades until it is silent after RTP_VOICE_FADED_MS. */
void rtp_voice_conceal(struct rtp_voice *voice, int16_t *ret_samples, uint32_t count);

/* Before rtp_voice_hear: leaves out one period, at most `most` samples, where that is not heard. How many samples there are then. */
uint32_t rtp_voice_shorten(struct rtp_voice *voice, int16_t *samples, uint32_t count, uint32_t most);
/* Puts one in; samples has room for half as much again as count. How many there are then. */
uint32_t rtp_voice_lengthen(struct rtp_voice *voice, int16_t *samples, uint32_t count, uint32_t most);
