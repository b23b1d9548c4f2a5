/* rtp/tones.h - the one table of what networks say without words, for those who play it and those who listen for it */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_TONE_STEPS 6

struct rtp_tone_step {
	uint16_t first_hz, second_hz; /* 0: none */
	uint16_t ms;                  /* 0: the last one was the last */
};

struct rtp_tone {
	const char *country; /* NULL: everywhere */
	const char *name;
	bool ends;
	struct rtp_tone_step steps[RTP_TONE_STEPS];
};

const struct rtp_tone *rtp_tone_find(const char *country, const char *name); /* NULL: there is none */
/* Those that sound there, one after the other; a name may be there more than once, as it is played first. NULL: there are no more. */
const struct rtp_tone *rtp_tone_at(const char *country, size_t at);
bool rtp_tone_is_steady(const struct rtp_tone *tone); /* without pauses, until it is stopped */
bool rtp_tones_has(const char *country);
