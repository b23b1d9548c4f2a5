/* pbx/sip.h - other SIP systems: who they are, how to reach them, and requests of our own to them
 * Served by the core as "pbx.sip/1". All of it: [loop].
 *
 * A peer is another SIP system under a name: a provider, a second PBX, a gateway. Whoever sets a peer up decides about it; signalling then
 * knows where it is, who we are there, how it shows numbers, and which requests come from it. A call goes to a peer by a dial target with
 * that peer's name; a call that comes from it has the name in pbx_leg_info.peer and in the route request.
 *
 * A client is a series of requests outside any dialog with one Call-ID, rising CSeq and remembered nonce (RFC 3261 10.2): REGISTER,
 * OPTIONS, MESSAGE. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the calling number is shown to a peer; may be added up. Without PAI, RPID and PPI only From tells. */
#define PBX_SIP_SHOW_FROM 1u  /* the caller's number in From, not the peer's own user */
#define PBX_SIP_SHOW_PAI 2u   /* P-Asserted-Identity (RFC 3325) */
#define PBX_SIP_SHOW_RPID 4u  /* Remote-Party-ID */
#define PBX_SIP_SHOW_PPI 8u   /* P-Preferred-Identity (RFC 3325) */
#define PBX_SIP_SHOW_DIV 16u  /* Diversion (RFC 5806) on forwarded calls */
#define PBX_SIP_SHOW_HIST 32u /* History-Info (RFC 7044) on forwarded calls */

#define PBX_SIP_TRUSTED 1u  /* what it asserts about callers is believed, and a withheld number is told to it (RFC 3325) */
#define PBX_SIP_DISABLED 2u /* known, but calls neither go there nor come from it */
#define PBX_SIP_OUTBOUND 4u /* we turn to it, it never to us (a recorder): what else comes from its host is a phone's, or a stranger's */

/* One more try of a call or request at one address of the peer. */
struct pbx_sip_attempt {
	uint32_t size;
	const char *peer;
	const char *method;           /* "INVITE" */
	const char *address;          /* "192.0.2.7:5060", "" when no address was found */
	uint32_t sip_code;            /* final response; 408 for silence, 503 for a transport that failed */
	uint32_t ring_ms, took_ms;    /* until the first 18x (0: none), until the final response */
	bool answered_by_peer, early; /* a response really came; early media was heard */
};

/* Borrowed while it is set: everything is copied. Texts may be NULL for ""; they end in headers, so they have at most 255 characters, none of them a control
 * character, and names among them no quotes, backslashes or angle brackets. */
struct pbx_sip_peer {
	uint32_t size;
	const char *name; /* [a-z0-9_.-], up to 63 characters: in records, traces, logs */

	/* the way there */
	const char *host;      /* name or address, "[2001:db8::1]" too */
	uint32_t port;         /* 0: by DNS (RFC 3263) or the transport's own */
	const char *transport; /* "udp", "tcp", "tls"; "" by DNS, udp when that says nothing */
	const char *proxy;     /* URI of an outbound proxy: requests go there and carry it as Route (loose routing) */
	const char *routes;    /* Route of requests but REGISTER, as a Service-Route said (RFC 3608): "<sip:edge.example.net;lr>, <…>" */
	uint32_t candidate_ms; /* silence after which the next address is tried; 0: 4,000 */

	/* who we are there */
	const char *user, *realm, *secret; /* digest (RFC 7616, MD5 and SHA-256); realm "" any */
	const char *from_user, *from_domain;
	const char *contact_user; /* in our Contact: what it is known by when requests come back ("line") */
	uint32_t show, flags;     /* PBX_SIP_SHOW_…, PBX_SIP_… */
	struct pbx_list headers;  /* "Name: value" lines added to each INVITE */

	/* who comes from there: any one of these is enough; without addresses, what host stands for */
	struct pbx_list addresses; /* "192.0.2.0/24", "192.0.2.7", "192.0.2.7:5080", "[2001:db8::7]" */
	const char *certificate;   /* name in a TLS client certificate (RFC 5922) */

	/* media */
	struct pbx_list codecs; /* in order of liking, "PCMA"; empty: all we have */

	uint32_t max_calls; /* in both directions together; 0: no limit. Beyond it an INVITE gets 503, a target PBX_ENOSPC */
	uint32_t max_cps;   /* new calls to it a second; 0: no limit */

	/* What became of each try; NULL: nobody wants to know. */
	void (*attempted)(void *self, const struct pbx_sip_attempt *attempt);
	void *self;

	const char *srtp; /* encrypted media: "off", "optional", "required", "dtls" (required, our offers by DTLS); "" as media.srtp says */
	/* How keys go to it: "rfc4733", "info", "inband"; "" or "auto": as agreed, else tones with G.711, else INFO. */
	const char *dtmf;

	/* Session timers (RFC 4028): "off", "accept" (where the peer asks for them), "always"; "" as sip.session_timers says. How long a call
	 * may last without being refreshed; 0: sip.session_expires_s. Never less than sip.min_se_s. */
	const char *session_timers;
	uint32_t session_expires_s;

	/* DSCP of signalling and of media that goes to it, 1 to 63; 0: as sip.dscp and media.dscp say. Signalling is marked by address: of two
	 * peers at one address the older one's word holds, and connections that stand keep theirs. */
	uint32_t sip_dscp, rtp_dscp;
	/* Keep-alives of the connections (TCP, TLS) that we have opened to it (RFC 5626 4.4.1): two line ends at least so often, and a
	 * connection on which nothing comes back for sip.flow_answer_s is closed. 0: none. */
	uint32_t keepalive_ms;
	/* Such a connection, to this address, is over. NULL: nobody wants to know. */
	void (*flow_failed)(void *self, const char *peer, const char *address);

	/* Fax by T.38: "off", "pass" (where the other party takes it too), "gateway" (and to and from G.711 where it does not); "" or "auto" as
	 * media.t38 says. */
	const char *t38;
};

struct pbx_sip_peer_state {
	uint32_t size;
	uint32_t calls_in, calls_out;
};

/* The next request of a client. Borrowed. */
struct pbx_sip_request {
	uint32_t size;
	const char *method;         /* "REGISTER", "OPTIONS", "MESSAGE", "PUBLISH" */
	const char *uri;            /* Request-URI; "" the peer's own "sip:host:port" */
	const char *from, *to;      /* URIs; "" sip:from_user@from_domain, and for `to` the same (REGISTER) or `uri` (the rest) */
	const char *contact_params; /* adds our Contact with these parameters: ";expires=3600;reg-id=1"; NULL: no Contact */
	const char *headers;        /* complete lines, each ended by \n; NULL: none */
	const char *content_type, *body;
	uint32_t timeout_ms;            /* 0: 32,000 (RFC 3261 Timer F) */
	const char *contact_uri_params; /* in the URI of our Contact, which has no user then: ";bnc" (RFC 6140); NULL: none */
};

/* The end of it. 401 and 407 have been answered already, once per nonce and again when stale. Borrowed until the callback returns. */
struct pbx_sip_response {
	uint32_t size;
	uint32_t sip_code; /* 408: silence; 503: the transport failed or no address was found */
	bool from_peer;    /* false: made here, nobody answered */
	const char *phrase, *address;
	uint32_t took_ms;
	/* A header's value ("Service-Route", "Min-Expires", "Retry-After", "Contact"), index counts those of one name; NULL: no more. */
	const char *(*header)(const struct pbx_sip_response *response, const char *name, uint32_t index);
	int64_t expires_s; /* REGISTER: what our own Contact was granted; -1: it is not among them */
	const char *content_type, *body;
};

struct pbx_sip {
	struct pbx_header header;

	/* Adds a peer or replaces the one of that name; calls in progress keep what they began with. Charged to the caller.
	 * PBX_OK, PBX_EINVAL (diag says which member), PBX_EEXIST (another owner has the name), PBX_ENOMEM. */
	int (*set_peer)(struct pbx_host *host, const struct pbx_sip_peer *peer, struct pbx_diag *diag);
	int (*remove_peer)(struct pbx_host *host, const char *name);               /* PBX_OK, PBX_ENOENT */
	int (*peer_state)(const char *name, struct pbx_sip_peer_state *ret_state); /* PBX_OK, PBX_ENOENT */

	/* A series of requests to a peer. PBX_OK, PBX_ENOENT (no such peer), PBX_ENOMEM. */
	int (*open)(struct pbx_host *host, const char *peer, pbx_sip_client *ret_client);
	/* One at a time. done(self, client, response) follows exactly once, unless the client is closed before.
	 * PBX_OK, PBX_ENOENT, PBX_EBUSY (one is under way), PBX_EINVAL, PBX_ENOMEM. */
	int (*send)(pbx_sip_client client, const struct pbx_sip_request *request,
		    void (*done)(void *self, pbx_sip_client client, const struct pbx_sip_response *response), void *self);
	int (*close)(pbx_sip_client client); /* PBX_OK, PBX_ENOENT */

	/* The host part of our users' addresses ("sip:1001@example.net"). Until this callback returns. */
	const char *(*domain)(void);
};

PBX_SERVICE(pbx_sip, "pbx.sip/1")

#ifdef __cplusplus
}
#endif
