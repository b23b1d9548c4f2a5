/* sip/identity.h - who is calling, in SIP's many spellings. Pure but for settings: [loop]. */
#pragma once
#include "ua.h"
#include <pbx/sip.h>

/* P-Asserted-Identity (RFC 3325) and Remote-Party-ID as header lines. Owned text, NULL: no memory or no number. */
char *ua_identity_headers(const struct ua *ua, const char *number, const char *name);
/* From, and everything else that an INVITE to a peer says about its caller, as the peer wants it: header lines. */
void ua_identity_for_peer(const struct pbx_sip_peer *peer, const struct core_invite *invite, char *ret_from, size_t from_size,
			  char *ret_headers, size_t size);
/* For the user part of a URI: everything but the unreserved as %xx. */
void ua_identity_escape(const char *text, char *ret_text, size_t size);
/* "Name" <sip:number@domain>, quoted and escaped. */
void ua_identity_address(const struct ua *ua, const char *number, const char *name, char *ret_text, size_t size);
/* Diversion (RFC 5806) and History-Info (RFC 7044) lines of an INVITE; "" without diversions. */
void ua_identity_diversions(const struct ua *ua, const struct core_invite *invite, char *ret_text, size_t size);
/* Number and name of the caller; a peer's P-Asserted-Identity goes before From. */
void ua_identity_caller(const struct ua_request *request, char ret_number[64], char ret_name[128]);
/* How often the call has been forwarded already. */
uint32_t ua_identity_forwarded(const sip_t *sip);
/* The user part of a URI with its %xx resolved; "" when there is none or it is too long. */
void ua_identity_user(const url_t *url, char *ret_user, size_t size);
