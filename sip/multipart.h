/* sip/multipart.h - what a message carries beside its headers: one body, or several parts (RFC 2046, RFC 5621). Reads and writes only. [any] */
#pragma once
#include <pbx/session.h>
#include <sofia-sip/sip.h>

/* As it goes into a message. Owned; all NULL: none. */
struct ua_body {
	char *type, *disposition; /* Content-Type, Content-Disposition; disposition may be NULL */
	char *text;               /* a zero byte follows */
	uint32_t length;
	char *sdp; /* a copy of the SDP among the parts; NULL: there is none */
};

/* PBX_OK, PBX_EINVAL (a part without a type, or with line ends in its headers), PBX_ENOSPC (too many parts or bytes), PBX_ENOMEM. */
int ua_body_write(const struct pbx_session_parts *parts, struct ua_body *ret_body);
void ua_body_fini(struct ua_body *body); /* it is none afterwards */

/* As it came. */
struct ua_parts {
	struct pbx_session_part items[PBX_SESSION_MOST_PARTS];
	uint32_t count;
	char *memory; /* of all texts */
};

/* PBX_OK, PBX_EINVAL (no parts in it as its type says), PBX_ENOTSUP (encoded in a way that we do not read), PBX_ENOSPC, PBX_ENOMEM. */
int ua_parts_read(const sip_t *sip, struct ua_parts *ret_parts);
/* The same of a body alone. boundary: the parameter of its type, in quotes or not; NULL: none. disposition may be NULL. */
int ua_parts_read_body(const char *type, const char *boundary, const char *disposition, const char *body, size_t length,
		       struct ua_parts *ret_parts);
void ua_parts_fini(struct ua_parts *parts);

/* Borrowed; NULL: there is none. */
const struct pbx_session_part *ua_sdp_part(const struct pbx_session_parts *parts);
