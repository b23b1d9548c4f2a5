/* sip/dialog_internal.h - a dialog as its own files see it. All of it: [loop].
 *
 *   NEW --180/183--> RINGING --200--> ANSWERED --BYE--> ENDED        each of the first three may go to ENDED at once
 *
 * A dialog is freed when it has ended, the core has released it and no transaction of it can call back any more. */
#pragma once
#include "dialog.h"
#include "sdp.h"
#include "session_timer.h"

#define UA_NEW 1u
#define UA_RINGING 2u
#define UA_ANSWERED 3u
#define UA_ENDED 4u

struct ua_peering;

struct ua_dialog {
	struct ua *ua;
	struct ua_dialog *next, **at;
	pbx_leg leg; /* none: the core does not know it yet, or has been told of its end */
	uint8_t state;
	bool inbound, released, busy; /* busy: the core is being told of it right now, do not free */
	nta_leg_t *nta;
	nta_incoming_t *in;        /* the peer's INVITE without our final answer, or with a 200 of ours without ACK */
	nta_outgoing_t *out;       /* our INVITE without a final answer */
	nta_outgoing_t *update;    /* our UPDATE without media, which waits for its answer */
	nta_incoming_t *offer;     /* a re-INVITE, UPDATE or PRACK that waits for accept_offer or refuse_offer */
	nta_reliable_t *reliable;  /* our 18x that has no PRACK yet */
	uint32_t rseq;             /* of the last reliable 18x of theirs; 0: none */
	bool peer_updates;         /* it takes UPDATE: its Allow says so */
	bool peer_talks;           /* it can be told to answer: its Allow-Events says "talk" */
	bool peer_shows_recording; /* it is to be told whether it is recorded: record-aware (RFC 7866), or a wish about it in its SDP */
	uint8_t recorded;          /* CORE_RECORD_…; 0: nobody has said anything about it */
	bool peer_acknowledges;    /* its INVITE says that it knows PRACK */
	bool peer_demands;         /* its INVITE wants every 18x reliable */
	bool early_agreed;         /* offer and answer have passed before the 200, so that there may be new ones */
	bool heard_early;          /* an 18x had the answer: the 200 need not repeat it */
	bool identity_due;         /* the peer is to hear who the other side is now */
	bool owes_offer;           /* our 200 carries the offer, their ACK the answer */
	bool is_outside;           /* another system is at the other end, not a device of ours */
	bool is_trusted;           /* it belongs to our trust domain (RFC 3325) */
	bool cancelled;            /* our INVITE is not wanted any more */
	bool awaits_ack;           /* in: 200 is sent */
	uint32_t bye_cause;        /* in: hang up as soon as the ACK is there; 0: no */
	uint64_t admission;        /* in: what the border's guard is told when it is over; 0: nothing */
	pbx_timer timer;           /* CANCEL without an end, or a glare that is tried again */
	char *update_body;         /* our re-INVITE, until it has its answer */
	char *body;                /* what we last said of our media */
	char *route;               /* "sip:192.0.2.7:5060;transport=udp": where a device is that NAT hides; NULL: as the dialog says */
	char *identity;            /* header lines for the next message, or NULL */
	char *device;              /* User-Agent of a phone that has quirks; NULL: it has none */
	char *protocol_id;         /* Call-ID; NULL: nobody has answered yet */
	char remote_tag[64];       /* of the last response or their INVITE; "" before */
	char contact[160];
	char call_id[27]; /* the call's ULID, for the log; "" when not known */
	struct core_addr peer;
	char transport[4];
	const char *listener; /* by which it came or goes, as listener.h has it; NULL: any */
	uint32_t refer_cseq;  /* of the REFER whose progress is told; 0: none */
	struct ua_sdp sdp;
	struct ua_refresh refresh;
	struct {
		char *target, *path, *headers; /* path and headers may be NULL */
		uint32_t max_forwards;
	} first;                    /* what our INVITE says, while it may have to be said again */
	struct ua_peering *peering; /* its other end is another SIP system; NULL: a device */
};

/* 128 bits that nobody can guess, and no word about us. */
void ua_dialog_make_call_id(char ret_id[33]);
/* The nta side of a dialog that we begin. False: no memory. */
bool ua_dialog_open(struct ua_dialog *dialog, const char *from, const char *to, const char *call_id);
/* NULL: no memory, or over the limit. */
struct ua_dialog *ua_dialog_new(struct ua *ua, bool inbound);
/* Call-ID and the peer's tag, from their INVITE or a response of theirs. */
void ua_dialog_note_name(struct ua_dialog *dialog, const sip_call_id_t *call_id, const char *remote_tag);
/* The device at the other end, before anything is said or read of media. */
void ua_dialog_note_device(struct ua_dialog *dialog, const char *user_agent);
void ua_dialog_free_when_done(struct ua_dialog *dialog);
/* A dialog of ours has been begun: the leg has it. With an error it is freed; returns err. */
int ua_dialog_begun(struct ua_dialog *dialog, int err, pbx_leg leg, void **ret_dialog);
/* Writes desc for this dialog; the text is dialog->body. PBX_OK, PBX_ENOMEM, PBX_ENOSPC. */
int ua_dialog_describe(struct ua_dialog *dialog, const struct core_media_desc *desc);
/* The same for the first offer to a peer that is reached by this transport: keys that may be left out are, where anybody on the way can read them. */
int ua_dialog_describe_offer(struct ua_dialog *dialog, const struct core_media_desc *offer, const char *transport);
/* Reads a message's SDP. *ret_desc.present false and PBX_OK: it has no body. Otherwise as ua_sdp_read; PBX_EVERSION: not SDP (415). */
int ua_dialog_read(struct ua_dialog *dialog, const sip_t *sip, bool is_answer, struct core_media_desc *ret_desc);
/* Nothing of nta can reach the dialog afterwards, but for an INVITE that is still being cancelled. */
void ua_dialog_let_go(struct ua_dialog *dialog);
/* It is over: ends the nta side and tells the core, once. */
void ua_dialog_end(struct ua_dialog *dialog, uint32_t sip_code, uint32_t cause, bool by_peer, const char *text);
void ua_dialog_bye(struct ua_dialog *dialog, uint32_t cause);
/* A request inside the dialog. callback NULL: nobody cares what comes back. */
nta_outgoing_t *ua_dialog_send(struct ua_dialog *dialog, nta_response_f *callback, sip_method_t method, const char *name,
			       const char *content_type, const char *body, const char *headers);
void ua_dialog_ack(struct ua_dialog *dialog, const sip_t *response);
/* For TPTAG_IDENT: the listener its requests go out from; NULL: any. */
const char *ua_dialog_ident(const struct ua_dialog *dialog);
/* An answer to INVITE, UPDATE or PRACK with what belongs into it. body: SDP, or NULL. PBX_OK, PBX_EIO. */
int ua_dialog_reply(struct ua_dialog *dialog, nta_incoming_t *irq, int status, const char *phrase, const char *body);
/* Notes what a message of the peer says it is able to do. */
void ua_dialog_note_peer(struct ua_dialog *dialog, const sip_t *sip);
/* Whatever the peer's Reason header says in Q.850, or what the status means. */
uint32_t ua_cause_of(const sip_t *sip, uint32_t sip_code);
void ua_count_request(struct ua *ua, sip_method_t method, const char *way); /* ",in" or ",out" */
void ua_count_response_in(struct ua *ua, sip_method_t method, int status);

/* nta's callbacks. */
int ua_dialog_on_request(struct ua_dialog *dialog, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip); /* midcall.c */
int ua_dialog_on_update_response(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip);         /* midcall.c */
/* Why nobody took our INVITE, when the response is none of a peer's. phrase: of the response that Sofia made up; NULL: none. Returns ret_text. */
const char *ua_why_unreached(const struct ua_dialog *dialog, uint32_t sip_code, const char *phrase, char ret_text[64]); /* outgoing.c */
int ua_on_invite_response(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip);                             /* outgoing.c */
int ua_dialog_on_ack_or_cancel(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip);                        /* incoming.c */
void ua_dialog_on_offer(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip);                               /* midcall.c */
/* What session timers ask of a call. */
extern const struct ua_refreshed ua_dialog_refreshed; /* midcall.c */
/* Tells the peer who the other side is by now, as soon as it may be told. */
void ua_dialog_tell_identity(struct ua_dialog *dialog); /* midcall.c */

/* ---- reliable.c ---- */
/* An 18x, reliable where it has a body or the peer wants it so. PBX_OK, PBX_EIO. */
int ua_reliable_reply(struct ua_dialog *dialog, int status, const char *phrase, const char *body);
/* Acknowledges an 18x that asks for it. False: it has come before, or too early, and is to be forgotten. */
bool ua_reliable_take(struct ua_dialog *dialog, const sip_t *response);
/* The dialog goes on with the branch of a forked INVITE that has answered. PBX_OK, PBX_ENOMEM. */
int ua_reliable_follow(struct ua_dialog *dialog, const sip_t *response);

/* Parts of the driver. */
int ua_invite(pbx_leg leg, const struct core_invite *invite, void **ret_dialog);
void ua_cancel(struct ua_dialog *dialog, uint32_t cause);
int ua_ring(void *dialog, const struct core_media_desc *early);
int ua_answer(void *dialog, const struct core_media_desc *answer);
int ua_talk(void *dialog); /* outgoing.c */
int ua_reject(void *dialog, uint32_t sip_code, uint32_t cause, const char *text);
int ua_redirect(void *dialog, const char *contact);
int ua_update(void *dialog, const struct core_media_desc *offer);
int ua_accept_offer(void *dialog, const struct core_media_desc *answer);
int ua_refuse_offer(void *dialog, uint32_t sip_code);
int ua_send_digit(void *dialog, char digit, uint32_t duration_ms);
void ua_transfer_progress(void *dialog, uint32_t sip_code);

/* ---- refer.c ---- */
int ua_on_refer(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip);
#define UA_MOST_REPLACES 512u
/* The Replaces in the headers of Refer-To's URI, unescaped: "call-id;to-tag=1;from-tag=2". False: there is none. "": it is too long for any of ours. */
bool ua_refer_replaces(const url_t *target, char ret_replaces[UA_MOST_REPLACES]);
