/*
 * digest.c - the arithmetic of digest authentication
 *
 * A nonce proves itself: wall seconds, a running number and an HMAC over both and the address it was given to. So a flood of
 * challenges costs no memory, a spoofed address cannot fail on somebody's behalf, and the replay check needs one slot of a ring for
 * each number. When the ring has gone round, the nonce is stale and the client asks again: nobody notices.
 */
#include "digest.h"
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define RING_SIZE 131072u /* nonces that can be live at once; a power of two */
#define MAC_HEX 32u       /* 128 bits of the HMAC */

struct slot {
	uint32_t number, used; /* used: the highest nonce count seen */
};

static struct {
	uint8_t key[32];
	uint32_t next;
	struct slot *ring;
} nonces;

static void hex(const uint8_t *bytes, size_t size, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * size] = '\0';
}

void ua_hash(uint32_t algorithm, char ret_hex[UA_HEX_SIZE], const char *first, ...)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	va_list parts;

	ret_hex[0] = '\0'; /* no hash is right when there is no memory for one */
	if (!context)
		return;
	va_start(parts, first);
	bool good = EVP_DigestInit_ex(context, algorithm == PBX_DIGEST_SHA256 ? EVP_sha256() : EVP_md5(), NULL) == 1;
	for (const char *part = first; part && good; part = va_arg(parts, const char *))
		good = (part == first || EVP_DigestUpdate(context, ":", 1) == 1) && EVP_DigestUpdate(context, part, strlen(part)) == 1;
	va_end(parts);
	if (good && EVP_DigestFinal_ex(context, bytes, &size) == 1)
		hex(bytes, size, ret_hex);
	EVP_MD_CTX_free(context);
}

void ua_digest_response(const struct ua_digest *digest, const char *ha1, const char *method, char ret_response[UA_HEX_SIZE])
{
	char ha2[UA_HEX_SIZE];

	ua_hash(digest->algorithm, ha2, method, digest->uri, NULL);
	if (digest->qop[0])
		ua_hash(digest->algorithm, ret_response, ha1, digest->nonce, digest->nc, digest->cnonce, digest->qop, ha2, NULL);
	else
		ua_hash(digest->algorithm, ret_response, ha1, digest->nonce, ha2, NULL);
}

bool ua_digest_matches(const struct ua_digest *digest, const char *ha1, const char *method)
{
	char expected[UA_HEX_SIZE];
	size_t size;

	ua_digest_response(digest, ha1, method, expected);
	size = strlen(expected);
	return size > 0 && strlen(digest->response) == size && CRYPTO_memcmp(expected, digest->response, size) == 0;
}

/* ---- nonces --------------------------------------------------------------------------- */

int ua_nonces_init(void)
{
	nonces.ring = calloc(RING_SIZE, sizeof *nonces.ring);
	if (!nonces.ring)
		return PBX_ENOMEM;
	nonces.next = 1;
	return RAND_bytes(nonces.key, sizeof nonces.key) == 1 ? PBX_OK : PBX_EIO;
}

void ua_nonces_fini(void)
{
	free(nonces.ring);
	memset(&nonces, 0, sizeof nonces);
}

static void prove(uint32_t wall_s, uint32_t number, const char *host, char ret_mac[MAC_HEX + 1])
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	char text[128];
	int length = snprintf(text, sizeof text, "%08" PRIx32 "%08" PRIx32 "%s", wall_s, number, host);

	ret_mac[0] = '\0';
	if (HMAC(EVP_sha256(), nonces.key, sizeof nonces.key, (const uint8_t *)text, (size_t)length, mac, &size))
		hex(mac, MAC_HEX / 2, ret_mac);
}

void ua_nonce_make(const char *host, int64_t wall_us, char ret_nonce[UA_NONCE_SIZE])
{
	uint32_t number = nonces.next++, wall_s = (uint32_t)(wall_us / 1000000);
	char mac[MAC_HEX + 1];

	nonces.ring[number % RING_SIZE] = (struct slot){ .number = number };
	prove(wall_s, number, host, mac);
	(void)snprintf(ret_nonce, UA_NONCE_SIZE, "%08" PRIx32 "%08" PRIx32 "%s", wall_s, number, mac);
}

static bool take_apart(const char *nonce, uint32_t *ret_wall_s, uint32_t *ret_number)
{
	char number[9] = { 0 }, wall[9] = { 0 };

	if (strlen(nonce) != 16 + MAC_HEX || strspn(nonce, "0123456789abcdef") != 16 + MAC_HEX)
		return false;
	memcpy(wall, nonce, 8);
	memcpy(number, nonce + 8, 8);
	*ret_wall_s = (uint32_t)strtoul(wall, NULL, 16);
	*ret_number = (uint32_t)strtoul(number, NULL, 16);
	return true;
}

int ua_nonce_check(const char *nonce, const char *host, int64_t wall_us)
{
	uint32_t wall_s, number;
	char mac[MAC_HEX + 1];

	if (!take_apart(nonce, &wall_s, &number))
		return UA_NONCE_FOREIGN;
	prove(wall_s, number, host, mac);
	if (!mac[0] || CRYPTO_memcmp(mac, nonce + 16, MAC_HEX) != 0)
		return UA_NONCE_FOREIGN;
	if (wall_us / 1000000 - wall_s > UA_NONCE_LIFE_S || nonces.ring[number % RING_SIZE].number != number)
		return UA_NONCE_STALE;
	return UA_NONCE_FRESH;
}

bool ua_nonce_use(const char *nonce, uint32_t nc)
{
	uint32_t wall_s, number;
	struct slot *slot;

	if (!take_apart(nonce, &wall_s, &number))
		return false;
	slot = &nonces.ring[number % RING_SIZE];
	if (slot->number != number || slot->used >= (nc ? nc : 1))
		return false;
	slot->used = nc ? nc : UINT32_MAX;
	return true;
}
