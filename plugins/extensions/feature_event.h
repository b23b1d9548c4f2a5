/* extensions/feature_event.h - feature keys in the words of phones: what is read from them and written for them */
#pragma once
#include <pbx/abi.h>

#define FEATURE_TYPE "application/x-as-feature-event+xml"
#define FEATURE_MANY "multipart/mixed;boundary=\"part\""
#define FEATURE_NUMBER 51u
#define FEATURE_FORWARDS 3u /* FORWARD_ALWAYS, FORWARD_BUSY and FORWARD_NO_ANSWER, in that order */
#define FEATURE_DND FEATURE_FORWARDS

struct feature_change {
	uint32_t what; /* which forwarding, or FEATURE_DND */
	bool on;
	char number[FEATURE_NUMBER]; /* "": the phone does not say where to */
};

struct feature_state {
	const char *number;
	bool dnd;
	const char *forward[FEATURE_FORWARDS]; /* "": off */
};

int feature_event_read(const char *text, struct feature_change *ret_change); /* PBX_OK, PBX_EINVAL */
char *feature_event_write(const struct feature_state *state);                /* owned; NULL: no memory */
