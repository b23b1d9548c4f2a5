/* sip/credentials.h - answering the challenges of others: digest as a client (RFC 7616, RFC 8760, RFC 3261 22). [loop] */
#pragma once
#include "digest.h"
#include "peer.h"

/* One challenge as it stands; it serves for further requests, with a rising nonce count, until it is refused. */
struct ua_challenge {
	bool known;
	uint32_t algorithm; /* PBX_DIGEST_… */
	bool with_qop;
	uint32_t count; /* requests that have used the nonce */
	char realm[128], nonce[256], opaque[256];
};

struct ua_credentials {
	struct ua_challenge server, proxy; /* of 401 and of 407 */
	uint32_t tries;                    /* refusals of the present request: reset it before each */
};

/* Takes a 401 or 407 in. True: the request is worth sending again. False: we have no credentials for it, or they are wrong. */
bool ua_credentials_take(struct ua_credentials *credentials, const struct ua_peer *peer, const sip_t *response);
/* Authorization and Proxy-Authorization lines, each ended by \n, for a request; "" when nobody has asked. */
void ua_credentials_write(struct ua_credentials *credentials, const struct ua_peer *peer, const char *method, const char *uri,
			  char *ret_lines, size_t size);
