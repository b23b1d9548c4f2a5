/* srtp_suites.c - the crypto suites of SRTP: names and lengths of keys */
#include "srtp_suites.h"
#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	size_t key_bytes;
} suites[CORE_SRTP_SUITES] = {
	[CORE_SRTP_NONE] = { "", 0 },
	[CORE_SRTP_AES_CM_128_80] = { "AES_CM_128_HMAC_SHA1_80", 16 + 14 },
	[CORE_SRTP_AES_CM_128_32] = { "AES_CM_128_HMAC_SHA1_32", 16 + 14 },
	[CORE_SRTP_AES_CM_256_80] = { "AES_256_CM_HMAC_SHA1_80", 32 + 14 },
	[CORE_SRTP_AES_CM_256_32] = { "AES_256_CM_HMAC_SHA1_32", 32 + 14 },
	[CORE_SRTP_AES_GCM_128] = { "AEAD_AES_128_GCM", 16 + 12 },
	[CORE_SRTP_AES_GCM_256] = { "AEAD_AES_256_GCM", 32 + 12 },
};

const char *core_srtp_name(uint8_t suite)
{
	return suite < CORE_SRTP_SUITES ? suites[suite].name : "";
}

uint8_t core_srtp_find(const char *name, size_t length)
{
	for (uint8_t suite = 1; suite < CORE_SRTP_SUITES; suite++)
		if (strlen(suites[suite].name) == length && strncasecmp(suites[suite].name, name, length) == 0)
			return suite;
	return CORE_SRTP_NONE;
}

size_t core_srtp_key_bytes(uint8_t suite)
{
	return suite < CORE_SRTP_SUITES ? suites[suite].key_bytes : 0;
}
