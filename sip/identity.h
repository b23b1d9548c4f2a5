/* sip/identity.h - writing who calls, in SIP's many spellings (reading: caller.h). Pure but for settings: [loop]. */
#pragma once
#include "ua.h"
#include <pbx/sip.h>

/* P-Asserted-Identity (RFC 3325) and Remote-Party-ID as header lines, as far as the settings want them; withheld adds Privacy. Without number and
 * name nobody is named. Owned text, NULL: no memory, or nothing to say. */
char *ua_identity_headers(const struct ua *ua, const char *number, const char *name, bool withheld);
/* Referred-By (RFC 3892) as we know it of ourselves; "" when nobody referred the caller. */
void ua_identity_referred_by(const struct ua *ua, const struct core_invite *invite, char *ret_text, size_t size);
/* From, and everything else that an INVITE to a peer says about its caller, as the peer wants it: header lines. */
void ua_identity_for_peer(const struct pbx_sip_peer *peer, const struct core_invite *invite, char *ret_from, size_t from_size,
			  char *ret_headers, size_t size);
/* For the user part of a URI: everything but the unreserved as %xx. */
void ua_identity_escape(const char *text, char *ret_text, size_t size);
/* "Name" <sip:number@domain>, quoted and escaped; without a number nobody's address. */
void ua_identity_address(const struct ua *ua, const char *number, const char *name, char *ret_text, size_t size);
/* Diversion (RFC 5806) and History-Info (RFC 7044) lines of an INVITE; "" without diversions. */
void ua_identity_diversions(const struct ua *ua, const struct core_invite *invite, char *ret_text, size_t size);
/* How often the call has been forwarded already. */
uint32_t ua_identity_forwarded(const sip_t *sip);
/* The user part of a URI with its %xx resolved; "" when there is none or it is too long. */
void ua_identity_user(const url_t *url, char *ret_user, size_t size);
