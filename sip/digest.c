/*
 * digest.c - the arithmetic of digest authentication
 *
 * A nonce proves itself: wall seconds, a running number and an HMAC over both and the address it was given to. So a flood of
 * challenges costs no memory, a spoofed address cannot fail on somebody's behalf, and the replay check needs one slot of a ring for
 * each number. When the ring has gone round, the nonce is stale and the client asks again: nobody notices.
 */
#include "digest.h"
#include <openssl/crypto.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define RING_SIZE 131072u /* nonces that can be live at once; a power of two */
#define STAMP_HEX 16u     /* wall seconds and number */
#define MAC_HEX 32u       /* 128 bits of the HMAC */

struct slot {
	uint32_t number, used; /* used: the highest nonce count seen */
};

#define PROOF_KEY_SIZE 16u

static struct {
	EVP_MAC_CTX *mac; /* keyed for as long as we run */
	EVP_MAC_CTX *proof;
	uint8_t proof_key[PROOF_KEY_SIZE];
	uint32_t next;
	struct slot *ring;
} nonces;

/* A kind of hash with what OpenSSL needs for it: found once, because finding it takes longer than hashing. */
struct hash {
	const char *name;
	EVP_MD *kind;
	EVP_MD_CTX *context;
};

static struct hash md5 = { .name = "MD5" }, sha256 = { .name = "SHA256" };

static void hex(const uint8_t *bytes, size_t size, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * size] = '\0';
}

static bool hash_begin(struct hash *hash)
{
	if (!hash->kind)
		hash->kind = EVP_MD_fetch(NULL, hash->name, NULL);
	if (!hash->context)
		hash->context = EVP_MD_CTX_new();
	return hash->kind && hash->context && EVP_DigestInit_ex(hash->context, hash->kind, NULL) == 1;
}

static void hash_fini(struct hash *hash)
{
	EVP_MD_CTX_free(hash->context);
	EVP_MD_free(hash->kind);
	hash->context = NULL;
	hash->kind = NULL;
}

void ua_hash(uint32_t algorithm, char ret_hex[UA_HEX_SIZE], const char *first, ...)
{
	struct hash *hash = algorithm == PBX_DIGEST_SHA256 ? &sha256 : &md5;
	bool good = hash_begin(hash);
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	va_list parts;

	ret_hex[0] = '\0'; /* no hash is right when there is no memory for one */
	va_start(parts, first);
	for (const char *part = first; part && good; part = va_arg(parts, const char *))
		good = (part == first || EVP_DigestUpdate(hash->context, ":", 1) == 1) &&
		       EVP_DigestUpdate(hash->context, part, strlen(part)) == 1;
	va_end(parts);
	if (good && EVP_DigestFinal_ex(hash->context, bytes, &size) == 1)
		hex(bytes, size, ret_hex);
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

/* HMAC-SHA-256 under a key that nobody will ever know. */
static EVP_MAC_CTX *keyed_mac(void)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
	EVP_MAC *kind = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *context = kind ? EVP_MAC_CTX_new(kind) : NULL;
	uint8_t key[32];

	EVP_MAC_free(kind); /* the context holds it */
	if (context && RAND_bytes(key, sizeof key) == 1 && EVP_MAC_init(context, key, sizeof key, params) == 1) {
		OPENSSL_cleanse(key, sizeof key);
		return context;
	}
	EVP_MAC_CTX_free(context);
	return NULL;
}

/* SipHash of 64 bits: what is proved is short, often, and for a minute. */
static EVP_MAC_CTX *proof_mac(void)
{
	size_t size = sizeof(uint64_t);
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end() };
	EVP_MAC *kind = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *context = kind ? EVP_MAC_CTX_new(kind) : NULL;

	EVP_MAC_free(kind); /* the context holds it */
	if (context && EVP_MAC_CTX_set_params(context, params) == 1)
		return context;
	EVP_MAC_CTX_free(context);
	return NULL;
}

int ua_nonces_init(void)
{
	nonces.ring = calloc(RING_SIZE, sizeof *nonces.ring);
	if (!nonces.ring)
		return PBX_ENOMEM;
	nonces.next = 1;
	nonces.mac = keyed_mac();
	nonces.proof = proof_mac();
	return nonces.mac && nonces.proof && RAND_bytes(nonces.proof_key, PROOF_KEY_SIZE) == 1 ? PBX_OK : PBX_EIO;
}

void ua_nonces_fini(void)
{
	EVP_MAC_CTX_free(nonces.mac);
	EVP_MAC_CTX_free(nonces.proof);
	free(nonces.ring);
	OPENSSL_cleanse(&nonces, sizeof nonces);
	hash_fini(&md5);
	hash_fini(&sha256);
}

static void prove(const char *stamp, const char *host, char ret_mac[MAC_HEX + 1])
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	size_t size = 0;

	ret_mac[0] = '\0';
	if (EVP_MAC_init(nonces.mac, NULL, 0, NULL) == 1 && /* the key stays */
	    EVP_MAC_update(nonces.mac, (const uint8_t *)stamp, STAMP_HEX) == 1 &&
	    EVP_MAC_update(nonces.mac, (const uint8_t *)host, strlen(host)) == 1 && EVP_MAC_final(nonces.mac, mac, &size, sizeof mac) == 1)
		hex(mac, MAC_HEX / 2, ret_mac);
}

void ua_nonce_make(const char *host, int64_t wall_us, char ret_nonce[UA_NONCE_SIZE])
{
	uint32_t number = nonces.next++, wall_s = (uint32_t)(wall_us / 1000000);
	const uint8_t stamp[] = { (uint8_t)(wall_s >> 24), (uint8_t)(wall_s >> 16), (uint8_t)(wall_s >> 8), (uint8_t)wall_s,
				  (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number };

	nonces.ring[number % RING_SIZE] = (struct slot){ .number = number };
	hex(stamp, sizeof stamp, ret_nonce);
	prove(ret_nonce, host, ret_nonce + STAMP_HEX);
}

uint64_t ua_proof(const char *first, ...)
{
	uint8_t mac[sizeof(uint64_t)] = { 0 };
	uint64_t proof = 0;
	size_t size = 0;
	va_list parts;

	va_start(parts, first);
	bool good = EVP_MAC_init(nonces.proof, nonces.proof_key, PROOF_KEY_SIZE, NULL) == 1;
	for (const char *part = first; part && good; part = va_arg(parts, const char *))
		good = EVP_MAC_update(nonces.proof, (const uint8_t *)part, strlen(part) + 1) == 1; /* with the zero that ends it */
	va_end(parts);
	if (good && EVP_MAC_final(nonces.proof, mac, &size, sizeof mac) == 1)
		memcpy(&proof, mac, sizeof proof);
	return proof;
}

static bool take_apart(const char *nonce, uint32_t *ret_wall_s, uint32_t *ret_number)
{
	char number[9] = { 0 }, wall[9] = { 0 };

	if (strlen(nonce) != STAMP_HEX + MAC_HEX || strspn(nonce, "0123456789abcdef") != STAMP_HEX + MAC_HEX)
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
	prove(nonce, host, mac);
	if (!mac[0] || CRYPTO_memcmp(mac, nonce + STAMP_HEX, MAC_HEX) != 0)
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
