/* sip/session_timer.h - how long a dialog lives without a word from the other side (RFC 4028). All of it: [loop]. */
#pragma once
#include "ua.h"

/* Whose refreshes they are: a call's dialog, or a session that is no call. */
struct ua_refreshed {
	const struct pbx_sip_peer *(*peer)(const void *self); /* NULL: a device */
	bool (*stands)(const void *self);                     /* INVITE has been answered */
	bool (*is_busy)(const void *self);                    /* a request of either side is under way that says how the session goes on */
	void (*refresh)(void *self);                          /* say that it lives */
	void (*expired)(void *self);                          /* nobody has: end it */
};

struct ua_refresh {
	const struct ua_refreshed *dialog;
	void *self;
	uint32_t interval_s; /* 0: it may last for ever */
	uint32_t least_s;    /* shorter the peer does not take: its Min-SE; 0: not known */
	uint32_t refusals;   /* 422 in a row */
	bool ours;           /* we refresh, not the peer */
	uint64_t ends_at_ms; /* unless it is refreshed */
	pbx_timer timer;
};

void ua_refresh_init(struct ua_refresh *refresh, const struct ua_refreshed *dialog, void *self);

/* Whether we know session timers at all: sip.session_timers, or what was said about the peer. peer NULL: a device. */
bool ua_refresh_is_on(const struct ua *ua, const struct pbx_sip_peer *peer);

/* ---- requests of the peer: INVITE and UPDATE ---- */

/* It wants an interval below ours, and would understand 422: answer that, with these headers. */
bool ua_refresh_is_too_short(const struct ua *ua, const struct pbx_sip_peer *peer, const sip_t *request, char *ret_headers, size_t size);
/* Agrees to what a request asks; begins with ua_refresh_begin() when the 200 is sent. */
void ua_refresh_asked(struct ua_refresh *refresh, const sip_t *request);
/* Header lines of that 200, "" for none. */
void ua_refresh_confirm(const struct ua_refresh *refresh, char *ret_headers, size_t size);

/* ---- requests of ours ---- */

/* Header lines of an INVITE or UPDATE, "" for none. */
void ua_refresh_wish(const struct ua_refresh *refresh, char *ret_headers, size_t size);
/* What a 2xx made of it; begins. */
void ua_refresh_answered(struct ua_refresh *refresh, const sip_t *response);
/* After a 422: true, the request may be sent again with a longer interval. */
bool ua_refresh_may_retry(struct ua_refresh *refresh, const sip_t *response);

void ua_refresh_begin(struct ua_refresh *refresh);
void ua_refresh_end(struct ua_refresh *refresh);
