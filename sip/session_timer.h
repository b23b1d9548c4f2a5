/* sip/session_timer.h - how long a call lives without a word from the other side (RFC 4028). All of it: [loop]. */
#pragma once
#include "ua.h"

struct ua_session {
	uint32_t interval_s; /* 0: the call may last for ever */
	uint32_t least_s;    /* shorter the peer does not take: its Min-SE; 0: not known */
	uint32_t refusals;   /* 422 in a row */
	bool ours;           /* we refresh, not the peer */
	uint64_t ends_at_ms; /* unless it is refreshed */
	pbx_timer timer;
};

/* Whether we know session timers at all: sip.session_timers, or what was said about the peer. peer NULL: a device. */
bool ua_session_is_on(const struct ua *ua, const struct pbx_sip_peer *peer);

/* ---- requests of the peer: INVITE and UPDATE ---- */

/* It wants an interval below ours, and would understand 422: answer that, with these headers. */
bool ua_session_is_too_short(const struct ua *ua, const struct pbx_sip_peer *peer, const sip_t *request, char *ret_headers, size_t size);
/* Agrees to what a request asks; begins with ua_session_begin() when the 200 is sent. */
void ua_session_asked(struct ua_dialog *dialog, const sip_t *request);
/* Header lines of that 200, "" for none. */
void ua_session_confirm(const struct ua_dialog *dialog, char *ret_headers, size_t size);

/* ---- requests of ours ---- */

/* Header lines of an INVITE or UPDATE, "" for none. */
void ua_session_wish(const struct ua_dialog *dialog, char *ret_headers, size_t size);
/* What a 2xx made of it; begins. */
void ua_session_answered(struct ua_dialog *dialog, const sip_t *response);
/* After a 422: true, the request may be sent again with a longer interval. */
bool ua_session_may_retry(struct ua_dialog *dialog, const sip_t *response);

void ua_session_begin(struct ua_dialog *dialog);
void ua_session_end(struct ua_dialog *dialog);
