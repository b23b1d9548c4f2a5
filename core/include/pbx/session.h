/* pbx/session.h - a dialog of our own with another SIP system that is no call
 * Served by the core as "pbx.session/1". All of it: [loop].
 *
 * An INVITE dialog whose bodies are the plugin's: no leg, no bridge, no call record and no media of ours. For recording sessions (RFC 7866),
 * paging servers, lawful copies. The peer is one of pbx/sip.h: addresses and failover among them (RFC 3263), credentials, headers, session
 * timers come from there. Done here, unseen: ACK, 401 and 407, 422, 491 (tried again after the times of RFC 3261 14.1), refreshes (RFC 4028),
 * and a 200 that crosses a CANCEL. It is none of the peer's calls: max_calls does not count it.
 *
 *   open() ──► answered(below 300) ──► update() ──► answered() …  asked() ──► answer() …  changed() …  close(), or ended()
 *          └─► answered(300 and above): it is over
 */
#pragma once
#include <pbx/plugin.h>
#include <pbx/sip.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_session {
	uint64_t id;
} pbx_session;

#define PBX_SESSION_MOST_PARTS 8u
#define PBX_SESSION_MOST_BYTES 49152u /* of all parts of a message together */

/* A body, or a part of multipart/mixed where a message has several. Borrowed. */
struct pbx_session_part {
	uint32_t size;    /* of this structure: rows may grow */
	uint32_t length;  /* of body, in bytes. Ours to send: 0 for a text that a zero byte ends. Theirs: always, and a zero byte follows */
	const char *type; /* "application/sdp". Ours may have parameters, theirs come without */
	const char *disposition; /* Content-Disposition: "recording-session"; "" or NULL: none. Theirs come without parameters */
	const char *body;
};

struct pbx_session_parts {
	const struct pbx_session_part *items; /* one after another, each as long as the first says */
	uint32_t count;                       /* up to PBX_SESSION_MOST_PARTS; 0: no body */
};

/* Row `at`, which is below parts->count, whatever its size was when the other side was built. */
static inline const struct pbx_session_part *pbx_session_part_at(const struct pbx_session_parts *parts, uint32_t at)
{
	return (const struct pbx_session_part *)(const void *)((const char *)parts->items + (size_t)at * parts->items->size);
}

/* What is opened. Borrowed while it is: everything is copied. Texts may be NULL for "". */
struct pbx_session_spec {
	uint32_t size;
	uint32_t answer_ms;         /* it has failed without a final answer in so long, all addresses together; 0: 32,000 */
	const char *uri;            /* Request-URI, and To; "" the peer's own "sip:host:port" */
	const char *from;           /* URI; "" sip:from_user@from_domain of the peer */
	const char *contact_params; /* of our Contact, in each request: ";+sip.src" */
	const char *require;        /* "siprec": of the INVITE and of each update(); what the other side requires of us may be that, too */
	const char *headers;        /* further complete lines of the INVITE, each ended by \n */
	const char *call_id;        /* ULID of the call whose trace shows its messages (pbx_leg_info.call_id); "" none */
	struct pbx_session_parts parts; /* SDP comes first. When the peer asks for our SDP in a refresh, the last one sent is said again */
};

/* A final answer. Borrowed until the callback returns. */
struct pbx_session_answer {
	uint32_t size;
	uint32_t sip_code;   /* 408: silence; 503: the transport failed, or no address was found */
	bool from_peer;      /* false: made here, nobody answered */
	const char *phrase;  /* "Busy Here"; made here: why, where more is known than the code says (a certificate that was not believed) */
	const char *address; /* who was asked last, "192.0.2.7:5060"; "" nobody */
	struct pbx_session_parts parts; /* theirs, below 300 */
};

/* A request of the other side in the dialog: a re-INVITE or UPDATE with a body, or INFO. Borrowed until the callback returns. */
struct pbx_session_question {
	uint32_t size;
	const char *method; /* "INVITE", "UPDATE", "INFO" */
	struct pbx_session_parts parts;
};

/* Any of these may be NULL but answered. Each may close the session, ended has it closed. */
struct pbx_session_watcher {
	uint32_t size;
	/* Once for open() and once for each update(), but never before these have returned, and not after close(). Below 300: it stands. To
	 * open(), 300 and above: it is over, the handle is gone. To update(): it goes on as before; where the other side has it no more (481,
	 * 408, a transport that failed), ended() follows. What cannot be read is 488, and ended with a BYE. */
	void (*answered)(void *self, pbx_session session, const struct pbx_session_answer *answer);
	/* The other side wants something: answer() follows, at once or soon, for until then nothing else is asked. NULL: 488 to an offer, 415
	 * to INFO. What only keeps the session alive (no body) is answered here. */
	void (*asked)(void *self, pbx_session session, const struct pbx_session_question *question);
	/* A refresh, theirs or ours, has brought their SDP once more: the same as before, or another one. */
	void (*changed)(void *self, pbx_session session, const struct pbx_session_parts *parts);
	/* It is over, not by close(): BYE of the other side (sip_code 200); 481, 408 or 503 to something we said; 408: no refresh in time, or no
	 * ACK; 488: an answer that cannot be read. The handle is gone. */
	void (*ended)(void *self, pbx_session session, uint32_t sip_code, const char *why);
};

struct pbx_sessions {
	struct pbx_header header;

	/* Begins one. Charged to the host, which is not unloaded while it lasts; when the host is stopped it ends with a BYE and without another
	 * word. answered() follows. PBX_OK, PBX_ENOENT (no such peer, or a disabled one), PBX_EINVAL (spec or watcher), PBX_ENOSPC (too many
	 * parts or bytes, or 10,000 sessions), PBX_ENOMEM. */
	int (*open)(struct pbx_host *host, const char *peer, const struct pbx_session_spec *spec, const struct pbx_session_watcher *watcher,
		    void *self, pbx_session *ret_session);
	/* A re-INVITE with these parts, as soon as nothing of the other side is under way. PBX_OK (answered() follows), PBX_EBUSY (an earlier one
	 * has not been answered), PBX_ESTATE (open() has not), PBX_ENOENT, PBX_EINVAL, PBX_ENOSPC, PBX_ENOMEM. */
	int (*update)(pbx_session session, const struct pbx_session_parts *parts);
	/* To asked(): 200 to 699. parts NULL: no body; a 200 to a re-INVITE that has no SDP among them says our last one. PBX_OK, PBX_ESTATE
	 * (nothing is asked any more), PBX_ENOENT, PBX_EINVAL, PBX_ENOSPC, PBX_ENOMEM (it got 500). */
	int (*answer)(pbx_session session, uint32_t sip_code, const struct pbx_session_parts *parts);
	/* Another instance goes on with it: charge and callbacks are its own from now on (an upgrade). PBX_OK, PBX_ENOENT, PBX_EINVAL. */
	int (*adopt)(struct pbx_host *host, pbx_session session, const struct pbx_session_watcher *watcher, void *self);
	/* BYE, or CANCEL when there is no answer yet. No callback follows. PBX_OK, PBX_ENOENT. */
	int (*close)(pbx_session session);
};

PBX_SERVICE(pbx_sessions, "pbx.session/1")

#ifdef __cplusplus
}
#endif
