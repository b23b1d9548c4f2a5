/* rtp/tones.h - the one table of what networks say without words, for those who play it and those who listen for it. All of it: [loop]. */
#pragma once
#include <pbx/abi.h>

#define RTP_TONE_STEPS 24

struct rtp_tone_step {
	uint16_t first_hz, second_hz; /* 0: none */
	uint16_t swings_hz;           /* how often its loudness swings; 0: it is steady */
	uint16_t ms;                  /* 0: the last one was the last */
};

struct rtp_tone {
	bool ends;
	struct rtp_tone_step steps[RTP_TONE_STEPS];
};

struct rtp_tone_row {
	const char *country, *name, *cadence; /* country "": everywhere */
};

/* ---- tones_countries.c ---- */
extern const struct rtp_tone_row rtp_tone_rows[];
extern const size_t rtp_tone_row_count;

/* A site's own tones, "COUNTRY NAME CADENCE" each, before those of the table; kept until the next call; NULL: none. */
void rtp_tones_use(const struct pbx_list *own);
/* Whether they are such rows, and a country has tones with them. PBX_OK, PBX_EINVAL. [any] */
int rtp_tones_check(const struct pbx_list *own, const char *country, struct pbx_diag *diag);
bool rtp_tones_has(const char *country);

/* What is played there under this name, as a cadence; NULL: there is none. Good until rtp_tones_use. */
const char *rtp_tone_cadence(const char *country, const char *name);
/* The tones of a name, as they would be played first; a name may be there more than once. False: there are no more. */
bool rtp_tone_at(const char *country, const char *name, size_t at, struct rtp_tone *ret_tone);
bool rtp_tone_is_steady(const struct rtp_tone *tone); /* without pauses, until it is stopped */
