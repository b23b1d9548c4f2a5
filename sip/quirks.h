/* sip/quirks.h - phones that want their SDP otherwise than the book says. [loop] */
#pragma once
#include "ua.h"

/* A row of sip.phone_quirks. */
struct ua_quirk {
	const char *agent; /* of User-Agent, * and ? as in file names, no matter the case */
	bool skip_static_rtpmap;
	struct pbx_list codecs;
	uint32_t ptime_ms; /* 0: as agreed */
};

/* The first that fits: of the settings, else of those that we bring along. NULL: it has none. */
const struct ua_quirk *ua_quirk_of(const struct ua *ua, const char *user_agent);
/* One after the other, in the order in which they are looked at; NULL: there are no more. */
const struct ua_quirk *ua_quirk_at(const struct ua *ua, uint32_t index, bool *ret_brought_along);
/* PBX_OK, PBX_EINVAL: diag says which row is wrong. */
int ua_quirks_check(const struct ua_settings *settings, struct pbx_diag *diag);
