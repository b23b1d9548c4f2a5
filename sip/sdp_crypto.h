/* sip/sdp_crypto.h - SRTP keys as SDP spells them: a=crypto (RFC 4568). Pure functions. */
#pragma once
#include "media_desc.h"
#include <stddef.h>

/* "1 AES_CM_128_HMAC_SHA1_80 inline:WVNf…|2^31", what stands after "a=crypto:". False: not as it should be, or nothing that we can do (a suite we
 * have not, several keys, a master key index, parameters that change what is protected): the offerer may have said another one. */
bool ua_sdp_crypto_read(const char *value, struct core_crypto *ret_crypto);
#define UA_SDP_CRYPTO_SIZE 128u
/* The same text for one of ours. */
void ua_sdp_crypto_write(const struct core_crypto *crypto, char ret_value[UA_SDP_CRYPTO_SIZE]);
