/* sip/session_internal.h - a session as its own files see it. All of it: [loop].
 *
 *   session          what a plugin has opened: whom it is with, what is said, what waits to be said
 *   invitation       one INVITE at one address of the peer, and the dialog that comes of it
 *
 * A session has one invitation at a time. An invitation that is given up, because the next address is tried or the session closed, goes on by
 * itself until its CANCEL or the ACK that it waits for has come; nothing of it reaches the session then. */
#pragma once
#include "credentials.h"
#include "multipart.h"
#include "owner.h"
#include "session.h"
#include "session_timer.h"
#include "way.h"

struct ua_session;

struct ua_invitation {
	struct ua_invitation *next, **at; /* all of them */
	struct ua_session *session;       /* NULL: given up */
	struct ua_peer *peer;
	struct ua_credentials credentials;
	char *shown; /* the credentials in the last INVITE; NULL: none */
	nta_leg_t *leg;
	nta_outgoing_t *out;         /* the INVITE without a final answer */
	bool stands;                 /* it has been answered */
	nta_incoming_t *unconfirmed; /* a re-INVITE of theirs whose 200 has no ACK yet */
	bool owes_sdp;               /* that 200 had the offer: their ACK has the answer */
	pbx_timer forget;            /* a CANCEL without an end */
	char transport[5];
	const char *listener; /* by which it goes, as listener.h has it; NULL: any */
	char uri[600], contact[600];
	char route[UA_WAY_ROUTE]; /* where the INVITE goes, and by TLS all that follows */
	bool keeps_route;
};

#define UA_SAY_REFRESH 1u /* it lives: UPDATE without a body, or a re-INVITE with our last SDP */
#define UA_SAY_UPDATE 2u  /* the plugin's re-INVITE */

struct ua_session {
	pbx_session handle;
	struct core_charge charge;
	struct pbx_session_watcher watcher;
	void *self;
	struct ua_peer *peer; /* as it was when the session was opened */
	su_home_t *home;
	struct pbx_session_spec spec; /* texts are in home, never NULL; parts are in body */
	const char *headers;          /* of the INVITE: the peer's and the plugin's */
	char call_id[33];             /* the same at each address that is tried */
	struct ua_body body;          /* what open() or update() says, until it is answered */
	char *sdp;                    /* what we last said of our media and they took; NULL: nothing yet */
	/* while it is being opened */
	struct ua_search *search;
	struct ua_way *way; /* NULL: not known yet, or not needed any more */
	uint32_t at;        /* the candidate that is asked */
	char address[80];   /* and where it is */
	uint32_t last_code;
	uint64_t tried_at_ms;
	pbx_timer silence, deadline;
	struct ua_invitation *invitation; /* NULL: none has been sent */
	/* once it stands */
	bool updating;           /* update() has been called and not answered */
	uint32_t due, under_way; /* UA_SAY_… */
	nta_outgoing_t *out;
	pbx_timer glare;       /* both sides have asked at once: ours is said again later */
	nta_incoming_t *asked; /* what answer() answers */
	bool asked_with_sdp;
	bool peer_updates; /* it takes UPDATE: its Allow says so */
	struct ua_refresh refresh;
};

/* ---- session.c ---- */
/* A final answer is told to the plugin, whose session it was: to open() with 300 and above it is freed first. parts may be NULL. */
void ua_session_answered(struct ua_session *session, uint32_t sip_code, const sip_t *sip, const struct ua_parts *parts);
/* It is over without close(): freed, then told. says_bye: the other side may still have it. */
void ua_session_over(struct ua_session *session, uint32_t sip_code, const char *why, bool says_bye);
void ua_session_changed(struct ua_session *session, const struct ua_parts *parts);
void ua_session_ask(struct ua_session *session, const char *method, const struct ua_parts *parts);
bool ua_session_lives(pbx_session handle);

/* ---- session_invite.c ---- */
void ua_session_invite(struct ua_session *session); /* looks for the way, and asks one address after the other */
/* A request of the invitation, the INVITE itself too. callback NULL: nobody cares what comes back; body NULL: none. NULL: no memory. */
nta_outgoing_t *ua_invitation_send(struct ua_invitation *invitation, nta_response_f *callback, sip_method_t method, const char *name,
				   const struct ua_body *body, const char *headers);
void ua_invitation_ack(struct ua_invitation *invitation, const sip_t *response);
/* CANCEL or BYE as it stands, when there is something to end. says_bye false: the other side has ended it. */
void ua_invitation_give_up(struct ua_invitation *invitation, bool says_bye);
void ua_invitation_end(struct ua_invitation *invitation); /* without another word */
void ua_invitations_fini(void);

/* ---- session_inside.c ---- */
extern const struct ua_refreshed ua_session_refreshed;
#define UA_SESSION_ALLOW "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
int ua_session_on_request(struct ua_dialog *invitation, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip);
int ua_session_say(struct ua_session *session, uint32_t what); /* as soon as it may be said. PBX_OK, PBX_ENOMEM (it is not due any more) */
int ua_session_reply(struct ua_session *session, uint32_t sip_code, const struct pbx_session_parts *parts); /* as pbx_sessions.answer */
/* Notes what a message of the peer says it is able to do. */
void ua_session_note_peer(struct ua_session *session, const sip_t *sip);
