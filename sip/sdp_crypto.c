/*
 * sdp_crypto.c - a=crypto lines (RFC 4568 9.1): tag, suite, one inline key, no parameters
 *
 * A lifetime is taken note of by nobody: libsrtp2 ends a key of its own accord when it is worn out (2^48 packets). A master key index means
 * longer packets on the wire, so such a key is not chosen; neither is one whose parameters turn off a part of the protection.
 */
#include "sdp_crypto.h"
#include "srtp_suites.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_TAG 999999999ul
#define INLINE "inline:"
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/* A key of exactly that many octets. Some leave the padding out. */
static bool read_key(const char *text, size_t length, size_t bytes, uint8_t ret_key[CORE_SRTP_KEY_BYTES])
{
	char padded[80];
	uint8_t decoded[60];

	while (length > 0 && text[length - 1] == '=')
		length--;
	if (length != (bytes * 8 + 5) / 6 || length + 4 > sizeof padded || memchr(text, '=', length))
		return false;
	memcpy(padded, text, length);
	size_t whole = (length + 3) / 4 * 4;

	memset(padded + length, '=', whole - length);
	if (EVP_DecodeBlock(decoded, (const uint8_t *)padded, (int)whole) < (int)bytes)
		return false;
	memset(ret_key, 0, CORE_SRTP_KEY_BYTES);
	memcpy(ret_key, decoded, bytes);
	explicit_bzero(decoded, sizeof decoded);
	explicit_bzero(padded, sizeof padded);
	return true;
}

/* "|2^31" is a lifetime; "|1:4", alone or behind it, an index. */
static bool has_index(const char *at, const char *end)
{
	return memchr(at, ':', (size_t)(end - at));
}

bool ua_sdp_crypto_read(const char *value, struct core_crypto *ret_crypto)
{
	struct core_crypto crypto = { 0 };
	char *end;
	unsigned long tag = strtoul(value, &end, 10);

	if (end == value || *end != ' ' || tag == 0 || tag > MOST_TAG)
		return false;
	const char *suite = end + strspn(end, " "), *key = suite + strcspn(suite, " ");

	crypto.tag = (uint32_t)tag;
	crypto.suite = core_srtp_find(suite, (size_t)(key - suite));
	key += strspn(key, " ");
	if (crypto.suite == CORE_SRTP_NONE || strncasecmp(key, INLINE, strlen(INLINE)) != 0)
		return false;
	key += strlen(INLINE);
	size_t length = strspn(key, BASE64), whole = strcspn(key, " ");
	const char *params = key + whole + strspn(key + whole, " ");

	if (memchr(key, ';', whole) || has_index(key + length, key + whole) || *params)
		return false;
	if (!read_key(key, length, core_srtp_key_bytes(crypto.suite), crypto.key))
		return false;
	*ret_crypto = crypto;
	return true;
}

void ua_sdp_crypto_write(const struct core_crypto *crypto, char ret_value[UA_SDP_CRYPTO_SIZE])
{
	unsigned char key[72];

	(void)EVP_EncodeBlock(key, crypto->key, (int)core_srtp_key_bytes(crypto->suite));
	(void)snprintf(ret_value, UA_SDP_CRYPTO_SIZE, "%u %s " INLINE "%s", crypto->tag, core_srtp_name(crypto->suite), (const char *)key);
	explicit_bzero(key, sizeof key);
}
