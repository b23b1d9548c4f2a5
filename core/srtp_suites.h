/* core/srtp_suites.h - the crypto suites of SRTP by the names that SDP has for them (RFC 4568 6.2, RFC 6188 4, RFC 7714 14). [any] */
#pragma once
#include "media_desc.h"
#include <stddef.h>

/* "AES_CM_128_HMAC_SHA1_80"; "" for CORE_SRTP_NONE. */
const char *core_srtp_name(uint8_t suite);
/* The suite of that name, without regard to case; CORE_SRTP_NONE: we have it not. */
uint8_t core_srtp_find(const char *name, size_t length);
/* Octets of master key and master salt together; 0 for CORE_SRTP_NONE. */
size_t core_srtp_key_bytes(uint8_t suite);
