/* pbx/border.h - a say in who may speak SIP to us, and how much of it
 * Served by the SIP part as "pbx.border/1". All of it: [loop].
 *
 * One plugin guards the border. It is asked before a datagram is parsed, after a request outside a dialog was parsed, and before a call is
 * taken; and it is told of wrong passwords. Any of its functions but packet may be NULL. They are asked for each message: no allocation,
 * nothing that takes long. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_BORDER_PASS 0u
#define PBX_BORDER_DROP 1u   /* nothing is said: who scans learns nothing */
#define PBX_BORDER_REFUSE 2u /* 403 */
#define PBX_BORDER_ALLOW 3u  /* trusted: no limit of sip.flood_rate and sip.packet_rate counts */

/* Whence something came. Borrowed until the callback returns. */
struct pbx_border_source {
	uint32_t size;
	uint8_t address[16]; /* in network order; IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2) */
	uint32_t port;
	const char *transport; /* "udp", "tcp", "tls", "ws", "wss" */
	bool is_peer;          /* one of sip.peers, or another SIP system that a plugin has set up */
};

/* A request outside any dialog, before its credentials are looked at. Texts are never NULL. Borrowed. */
struct pbx_border_request {
	uint32_t size;
	const char *method, *user_agent, *from_name;
	const char *from_user, *from_host, *to_user, *to_host, *uri_user, *uri_host;
	uint32_t bytes, headers; /* length of the message, how many header lines */
};

/* A call that wants to come in. Borrowed. */
struct pbx_border_call {
	uint32_t size;
	uint64_t id;         /* of this admission: call_over names it */
	const char *dialled; /* user part of the Request-URI */
	const char *account; /* whose credentials, "" for a peer's */
	const char *peer;    /* the other SIP system's name (pbx/sip.h), "" for none */
	const char *codec;   /* first one of the offer, "" for none */
	uint32_t ptime_ms;   /* of the offer; 0: not told */
	bool secure;         /* it offers SRTP */
};

struct pbx_border_guard {
	uint32_t size;

	/* A datagram that nobody has looked at; a connection before it is taken (DROP: it is closed unread), those for media by TCP
	 * (media.ice_tcp_port) too; and again, with those of all transports, each request outside a dialog. PASS, DROP, ALLOW. */
	uint32_t (*packet)(void *self, const struct pbx_border_source *source);
	/* It is no SIP: why is "junk" (not even a first line), or what is wrong with it. PASS: it is answered with 400 or 505 where it has
	 * what an answer needs. DROP. */
	uint32_t (*malformed)(void *self, const struct pbx_border_source *source, const char *why);
	/* PASS, DROP, REFUSE. */
	uint32_t (*request)(void *self, const struct pbx_border_source *source, const struct pbx_border_request *request);
	/* A wrong password, or a user name that nobody has. */
	void (*failed)(void *self, const struct pbx_border_source *source, const char *user);
	/* Whether the call may come in. PBX_OK; PBX_ENOSPC: it gets 503 with Retry-After of *ret_retry_s. */
	int (*admit)(void *self, const struct pbx_border_source *source, const struct pbx_border_call *call, uint32_t *ret_retry_s);
	/* A call that was admitted is over. */
	void (*call_over)(void *self, uint64_t id);

	void *self;
};

struct pbx_border {
	struct pbx_header header;

	/* From now on this guard is asked, instead of one that this plugin's former version has set; taken back with the plugin.
	 * PBX_OK, PBX_EINVAL (size), PBX_EEXIST (another plugin guards), PBX_ENOMEM. */
	int (*guard)(struct pbx_host *host, const struct pbx_border_guard *guard);
	/* PBX_OK, PBX_ENOENT. */
	int (*unguard)(struct pbx_host *host);
	/* The guard has changed its mind about a network, of whose address (as in pbx_border_source) the first `bits` count; 0: about everybody.
	 * Connections from there (TCP, TLS, WebSocket, and those for media) are put to its packet() again, before this returns; those that it drops are closed at
	 * once, calls on them go on until somebody misses an answer. PBX_OK, PBX_ENOENT (this plugin guards nothing), PBX_EINVAL. */
	int (*review)(struct pbx_host *host, const uint8_t address[16], uint32_t bits);
};

PBX_SERVICE(pbx_border, "pbx.border/1")

#ifdef __cplusplus
}
#endif
