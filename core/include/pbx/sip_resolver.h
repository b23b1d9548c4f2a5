/* pbx/sip_resolver.h - from a SIP host to the addresses to try, in order (RFC 3263)
 * Offered as "pbx.sip_resolver/1" by a plugin; without one, signalling uses the first address that the system's resolver gives. [loop] */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is asked. Borrowed. */
struct pbx_sip_where {
	uint32_t size;
	const char *host;      /* a name: addresses never come here */
	uint32_t port;         /* 0: none given, so SRV may say */
	const char *transport; /* "udp", "tcp", "tls"; "" none given, so NAPTR may say */
	bool secure;           /* a sips URI: tls only */
};

/* One to try. Borrowed until the callback returns. */
struct pbx_sip_candidate {
	const char *address; /* "192.0.2.7", "2001:db8::1" */
	uint32_t port;
	const char *transport;
	const char *tls_name; /* whom the certificate must name (RFC 5922): the domain that was asked for */
	const char *target;   /* the SRV record's target, for logs */
};

#define PBX_SIP_TRIED_OK 1u      /* any response but 503 */
#define PBX_SIP_TRIED_SILENT 2u  /* no response in time */
#define PBX_SIP_TRIED_BROKEN 3u  /* transport error, or the wrong certificate */
#define PBX_SIP_TRIED_REFUSED 4u /* 503 */

struct pbx_sip_resolver {
	struct pbx_header header;
	void *self;

	/* done(context, result, candidates) follows exactly once, perhaps before this returns: PBX_OK and at least one row of struct
	 * pbx_sip_candidate; PBX_ENOENT (no such host, or it offers no such service); PBX_ETIMEOUT; PBX_EIO; PBX_ECANCELLED (the
	 * resolver goes). PBX_OK, PBX_ENOMEM, PBX_ENOSPC (1,000 are under way). */
	int (*resolve)(void *self, const struct pbx_sip_where *where,
		       void (*done)(void *context, int result, const struct pbx_table *candidates), void *context);
	/* What a try at a candidate came to; outcome: PBX_SIP_TRIED_… Address and port name the candidate. */
	void (*report)(void *self, const char *address, uint32_t port, const char *transport, uint32_t outcome);
};

PBX_SERVICE(pbx_sip_resolver, "pbx.sip_resolver/1")

/* Whether somebody answers at an address: what a resolver asks of signalling. Served by the core as "pbx.sip_probe/1". [loop] */
struct pbx_sip_probe {
	struct pbx_header header;

	/* Sends OPTIONS to a numeric address from where our other requests come, and waits for timeout_ms (0: 4,000).
	 * done(self, sip_code, took_ms) follows exactly once, but not after the asker was stopped: sip_code 0 when nothing came, else the final
	 * response's. PBX_OK, PBX_EINVAL (address or transport), PBX_ENOSPC (1,000 are under way), PBX_ESTATE (signalling is not up),
	 * PBX_EIO (it cannot be sent), PBX_ENOMEM. */
	int (*ask)(struct pbx_host *host, const char *address, uint32_t port, const char *transport, uint32_t timeout_ms,
		   void (*done)(void *self, uint32_t sip_code, uint32_t took_ms), void *self);
	/* 1.1: the same of a server whose certificate must name tls_name (RFC 5922 4), as pbx_sip_candidate says; "" the address itself. */
	int (*ask_named)(struct pbx_host *host, const char *address, uint32_t port, const char *transport, const char *tls_name,
			 uint32_t timeout_ms, void (*done)(void *self, uint32_t sip_code, uint32_t took_ms), void *self);
};

PBX_SERVICE(pbx_sip_probe, "pbx.sip_probe/1")

#ifdef __cplusplus
}
#endif
