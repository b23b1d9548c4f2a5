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
	 * pbx_sip_candidate; PBX_ENOENT (no such host, or it offers no such service); PBX_ETIMEOUT; PBX_EIO. PBX_OK, PBX_ENOMEM. */
	int (*resolve)(void *self, const struct pbx_sip_where *where,
		       void (*done)(void *context, int result, const struct pbx_table *candidates), void *context);
	/* What a try at a candidate came to; outcome: PBX_SIP_TRIED_… Address and port name the candidate. */
	void (*report)(void *self, const char *address, uint32_t port, const char *transport, uint32_t outcome);
};

PBX_SERVICE(pbx_sip_resolver, "pbx.sip_resolver/1")

#ifdef __cplusplus
}
#endif
