/* sip/authorization.h - an Authorization header in parts (RFC 7616 3.4). Pure. [any] */
#pragma once
#include "digest.h"
#include <sofia-sip/sip.h>

struct ua_credentials {
	struct ua_digest digest; /* points into the texts */
	char username[64], realm[128], nonce[UA_NONCE_SIZE], uri[512], qop[16], nc[16], cnonce[128], response[UA_HEX_SIZE + 1];
};

/* False: not Digest, another realm than ours, or an algorithm or qop that we do not know. */
bool ua_credentials_read(const sip_auth_t *auth, const char *realm, struct ua_credentials *ret_credentials);
