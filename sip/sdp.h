/* sip/sdp.h - SDP (RFC 8866) and core/media_desc.h, one into the other. Pure: [any].
 *
 * A session remembers what RFC 3264 wants remembered over the life of a dialog: its number, the version, and the m= lines in
 * their order, of which one is our audio and the others stay refused. */
#pragma once
#include "media_desc.h"
#include <stddef.h>

#define UA_MOST_LINES 16u   /* m= lines; an offer with more is refused */
#define UA_MOST_OFFERED 64u /* codecs we look at; CORE_MOST_CODECS of them are kept */
#define UA_MOST_SDP 16384u  /* bytes we read */
#define UA_SDP_SIZE 4096u   /* bytes we ever write */

#define UA_SDP_LEVEL_URI "urn:ietf:params:rtp-hdrext:ssrc-audio-level" /* RFC 6464 4 */

struct ua_sdp_line {
	char media[14], proto[22], format[12]; /* format: the first of the line, to refuse with */
	char mid[17];                          /* "": it has none, or one that is longer than anybody's */
};

struct ua_sdp {
	uint64_t id;
	uint32_t version;
	uint64_t body_hash;        /* of what was last written, without o= */
	uint8_t line_count, audio; /* 0 lines: none yet, an offer of ours will have one */
	bool skips_static;         /* numbers that RFC 3551 gives need no name: it would trip over it */
	bool bundled;              /* the audio shares its ports with whatever else (RFC 9143): we say so, for it alone */
	struct ua_sdp_line lines[UA_MOST_LINES];
};

void ua_sdp_init(struct ua_sdp *sdp, uint64_t id);

/* Reads an offer (their m= lines become the session's) or an answer to ours (is_answer: their lines must be as many as ours).
 * PBX_OK, PBX_EINVAL (no SDP: 400), PBX_ENOTSUP (nothing we can do: 488, Warning 304). On failure the session is unchanged. */
int ua_sdp_read(struct ua_sdp *sdp, const char *body, size_t size, bool is_answer, struct core_media_desc *ret_desc);

/* Writes a description; the version rises only when something else than the version differs. PBX_OK, PBX_ENOSPC. */
int ua_sdp_write(struct ua_sdp *sdp, const struct core_media_desc *desc, char ret_body[UA_SDP_SIZE]);
