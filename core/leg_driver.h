/* core/leg_driver.h - the seam between call control and a signalling protocol. All of it: [loop].
 *
 * Downwards the core calls a driver's functions with the driver's own object; upwards the driver calls core_leg_on_… with the core's
 * handle, which may have gone stale and is then ignored. After on_ended, or after hangup() returns, the core never uses the driver's
 * object again but for release(); the driver keeps what its transactions still need. */
#pragma once
#include <pbx/calls.h>
#include "media_desc.h"

/* A number that forwarded the call, and why (PBX_FORWARD_…). */
struct core_diversion {
	const char *number;
	uint32_t reason;
};

/* An outbound leg's beginning. Borrowed. */
struct core_invite {
	const char *target;                  /* "aor:1001" never arrives here: core resolves accounts to contacts. A SIP URI */
	const char *received;                /* where to send it instead of what the URI says ("192.0.2.7:5060"), "" for nothing */
	const char *transport, *path;        /* of the contact; "" when not known */
	const char *account;                 /* whose device this is, "" for none */
	const char *from_number, *from_name; /* shown to the callee: From, P-Asserted-Identity, Remote-Party-ID */
	const char *to_number, *to_name;
	const char *call_id; /* our call's ULID: X-… never; for logs */
	uint32_t max_forwards;
	const struct core_diversion *diversions; /* newest first: Diversion (RFC 5806) and History-Info (RFC 7044) */
	uint32_t diversion_count;
	const struct core_media_desc *offer;
	const char *peer; /* the SIP system it goes to (pbx/sip.h), target may then be a bare number; "" for none */
	uint32_t flags;   /* PBX_TARGET_… */
	/* WITHHELD: who the caller is, for those who are trusted with it (RFC 3325); "" when that is not known. */
	const char *asserted_number, *asserted_name;
	const char *referred_by; /* number of who transferred the caller here (RFC 3892), "" for nobody */
	const char *headers;     /* what the caller's INVITE said and ours may repeat, complete lines; "" for nothing */
};

struct core_leg_driver {
	const char *name; /* "sip" */

	/* Begins an outbound leg: on success *ret_dialog is the driver's object. PBX_OK, PBX_EINVAL (target), PBX_ENOENT (no such peer),
	 * PBX_ENOSPC (it has as many calls as it may have), PBX_ENOTSUP (no codec for it), PBX_ENOMEM, PBX_EIO. */
	int (*invite)(pbx_leg leg, const struct core_invite *invite, void **ret_dialog);

	/* To an unanswered inbound leg. early: the media description for a 183, NULL for a 180. PBX_OK, PBX_ESTATE. */
	int (*ring)(void *dialog, const struct core_media_desc *early);
	int (*answer)(void *dialog, const struct core_media_desc *answer);
	int (*reject)(void *dialog, uint32_t sip_code, uint32_t cause, const char *text);
	/* 302 to an inbound leg. */
	int (*redirect)(void *dialog, const char *contact);

	/* Ends a leg in whatever state it is: CANCEL with Reason (SIP;cause=200 for ANSWERED_ELSEWHERE), BYE with Reason Q.850, or a refusal. */
	void (*hangup)(void *dialog, uint32_t cause);

	/* Offers new media (re-INVITE). core_leg_on_update_done follows. PBX_OK, PBX_ESTATE, PBX_EBUSY (one is under way: try later). */
	int (*update)(void *dialog, const struct core_media_desc *offer);
	/* Answers the peer's re-INVITE or UPDATE that on_offer brought. */
	int (*accept_offer)(void *dialog, const struct core_media_desc *answer);
	int (*refuse_offer)(void *dialog, uint32_t sip_code);

	/* Asks the phone of an outbound leg that rings to take the call, as if somebody had lifted its receiver. It answers as it would then.
	 * PBX_OK: it is asked. PBX_ENOTSUP: it does not say that it can. PBX_ESTATE. May be NULL. */
	int (*talk)(void *dialog);

	/* A digit by INFO, for peers without telephone-event. PBX_OK, PBX_ENOTSUP. */
	int (*send_digit)(void *dialog, char digit, uint32_t duration_ms);
	/* Answers a REFER that on_transfer brought: progress 100, 180, 200, 4xx-6xx by NOTIFY sipfrag. */
	void (*transfer_progress)(void *dialog, uint32_t sip_code);

	/* What the peer should see of the other party (connected line): P-Asserted-Identity in the next message. May be NULL. */
	void (*set_identity)(void *dialog, const char *number, const char *name);

	/* Whether we are the focus of a conference to the peer (RFC 4579). May be NULL. */
	void (*set_focus)(void *dialog, bool on);

	/* What is done to the conversation, CORE_RECORD_…: said in each description from now on to a peer that knows of it (RFC 7866). True: it was told
	 * another thing before, and wants to be told by a new offer. May be NULL. */
	bool (*set_recorded)(void *dialog, uint8_t record);

	/* What is to be done about SRTP with a peer of pbx/sip.h: "off", "optional", "required"; "" as media.srtp says. May be NULL. */
	const char *(*peer_srtp)(const char *peer);
	/* How keys go to it: "rfc4733", "info", "inband"; "" or "auto" as agreed. May be NULL. */
	const char *(*peer_dtmf)(const char *peer);
	/* DSCP of the packets that go to it, 1 to 63; 0: as media.dscp says. May be NULL. */
	uint8_t (*peer_dscp)(const char *peer);
	/* What is to be done about T.38 with it: "off", "pass", "gateway"; "" or "auto" as media.t38 says. May be NULL. */
	const char *(*peer_t38)(const char *peer);

	/* What SDP says to the peer instead of this address of ours, which is the one that media has told. Its port stays. May be NULL. */
	void (*media_address)(const void *dialog, struct core_addr *address);

	void (*release)(void *dialog); /* the core forgets it */

	/* How the protocol names the dialog: Call-ID, our tag, theirs; "" for what is not known yet. Borrowed until the callback returns. May be NULL. */
	void (*name_dialog)(const void *dialog, const char **ret_id, const char **ret_local_tag, const char **ret_remote_tag);
};

/* A call comes in. Borrowed. */
struct core_incoming {
	const char *dialled;  /* user part of the Request-URI, unescaped */
	const char *instance; /* a GRUU was dialled (RFC 5627): the device of that account alone; "" for all */
	const char *from_number, *from_name;
	const char *account;                     /* authenticated; "" for a configured peer or none */
	const char *device;                      /* User-Agent */
	const char *address;                     /* source, "192.0.2.7:5060" */
	const char *protocol_id;                 /* SIP Call-ID: for logs and records */
	uint32_t max_forwards, forwarded;        /* how many Diversion/History-Info entries came */
	const struct core_diversion *diversions; /* those of them that can be told on, newest first */
	uint32_t diversion_count;
	const struct core_media_desc *offer; /* present false: no SDP, a late offer: we offer in our 200 */
	pbx_leg replaces;                    /* of Replaces (RFC 3891): whose place it takes, instead of being routed */
	bool early_only;                     /* only while that one rings */
	const char *peer;                    /* the SIP system it comes from (pbx/sip.h); "" for none */
	/* The caller does not want to be shown (RFC 3323): from_number is "" then, and here stands who it is as far as we know. */
	bool withheld;
	const char *asserted_number, *asserted_name;
	const char *referred_by;       /* who sent it here (RFC 3892), "" for nobody that we believe in */
	const char *headers;           /* for struct core_invite of those who are called for it; "" for nothing */
	const struct pbx_json *fields; /* of the call's record, as a trusted system says them: an object of texts; NULL: none */
	pbx_leg came_from;             /* it is an INVITE of this leg of ours that has come back to us; none: it is not */
};

/* The new leg, already in a call of its own and on its way through routing when this returns. PBX_OK, PBX_ENOSPC (far beyond calls.limit: answer 503),
 * PBX_ENOMEM, PBX_ENOTSUP (no codec in common: answer 488), PBX_EPERM (SRTP where there is to be none, or plain RTP where there must be
 * SRTP: 488), PBX_ESTATE (draining: 503). */
int core_leg_on_incoming(const struct core_leg_driver *driver, void *dialog, const struct core_incoming *incoming, pbx_leg *ret_leg);

/* Somebody wants to call as an account and has its password wrong. There is no call; it is told as one that has failed (cause auth_failed), so that there
 * is a record of it: of sixty a minute, the rest is left out. Texts are borrowed, as the message has them; nothing of it is true for sure but the address. */
struct core_unproven {
	const char *from, *dialled, *device, *address;
	uint32_t sip_code; /* that it has got */
};
void core_call_on_unproven(const struct core_unproven *unproven);

void core_leg_on_ringing(pbx_leg leg, uint32_t sip_code, const struct core_media_desc *early); /* 18x; early NULL without SDP */
void core_leg_on_answered(pbx_leg leg, const struct core_media_desc *answer);
/* 3xx: URIs, best first; reason: PBX_FORWARD_…. on_ended is not called as well. */
void core_leg_on_redirected(pbx_leg leg, const char *const *targets, uint32_t count, uint32_t reason);
void core_leg_on_offer(pbx_leg leg,
		       const struct core_media_desc *offer); /* the core answers by accept_offer or refuse_offer, at once or later */
void core_leg_on_update_done(pbx_leg leg, int result, const struct core_media_desc *answer);
void core_leg_on_candidates(pbx_leg leg, const struct core_ice *more); /* where the peer may be reached, too (RFC 8838) */
void core_leg_on_digit(pbx_leg leg, char digit, uint32_t duration_ms); /* by INFO */
/* REFER: target is the user part of Refer-To. replaces: the leg its Replaces names, when it is one of ours. PBX_OK (202 was right),
 * PBX_ESTATE, PBX_EPERM (pbx_calls.set_transfer), PBX_ENOENT. */
int core_leg_on_transfer(pbx_leg leg, const char *target, pbx_leg replaces);
/* The leg is over. sip_code: the final response to our INVITE, or 0; cause: Q.850 from Reason or mapped; by_peer: they hung up. */
void core_leg_on_ended(pbx_leg leg, uint32_t sip_code, uint32_t cause, bool by_peer, const char *text);

/* Whether the call of a leg, or one that it came back from, has asked for this number before: if its INVITE came back asking for the same
 * again, nothing would be different the next time (RFC 3261 16.3, RFC 5393). */
bool core_leg_has_asked_for(pbx_leg leg, const char *number);

/* As core_media_driver.bound; false and AF_UNSPEC without media. */
bool core_media_bound(int family, struct core_addr *ret_bound);
/* As core_media_driver.outside; false without media. */
bool core_media_outside(int family, struct core_addr *ret_address);

/* The driver for URIs and accounts. One today. */
void core_legs_set_driver(const struct core_leg_driver *driver);

/* Q.850 cause to SIP status and back (RFC 3398 7.2.4.1, 8.2.6.1 and the constants of pbx/calls.h). */
uint32_t core_cause_to_sip(uint32_t cause);
uint32_t core_cause_from_sip(uint32_t sip_code);
/* Why a call ends that we cannot serve: 88 (PBX_ENOTSUP), 47 (PBX_ENOSPC, PBX_ENOMEM), 41. */
#define CORE_CAUSE_NO_RESOURCE 47u /* resource unavailable: 503, and whoever asks again in some seconds may be served */
uint32_t core_cause_of(int err);
