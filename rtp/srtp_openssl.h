/* rtp/srtp_openssl.h - OpenSSL's ciphers in the place of libsrtp2's own (Debian builds it on NSS: four times as slow). [loop] */
#pragma once
#include <stdbool.h>

/* After srtp_init(). False: OpenSSL has not what we need, or the self-tests of libsrtp2 and ours do not pass. */
bool rtp_srtp_use_openssl(void);
