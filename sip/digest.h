/* sip/digest.h - the arithmetic of digest authentication: MD5 and SHA-256 (RFC 7616, 8760), nonces that carry their own proof
 *
 * A nonce is a time, a number and an HMAC over both and the asker's address: another address cannot use it, and what we keep for each
 * is eight bytes in a ring. All of it: [loop]. */
#pragma once
#include <pbx/directory.h>

#define UA_HEX_SIZE 65 /* of the longest hash, and a zero */
#define UA_NONCE_LIFE_S 300u
#define UA_NONCE_SIZE 65

struct ua_digest {
	uint32_t algorithm;                                                        /* PBX_DIGEST_… */
	const char *username, *realm, *nonce, *uri, *qop, *nc, *cnonce, *response; /* qop, nc, cnonce: "" without qop */
};

/* H(a:b:…) of up to six parts in lower-case hexadecimal; ends with NULL. */
void ua_hash(uint32_t algorithm, char ret_hex[UA_HEX_SIZE], const char *first, ...) __attribute__((sentinel));
/* What response must be for a method, the HA1 and what the client said. */
void ua_digest_response(const struct ua_digest *digest, const char *ha1, const char *method, char ret_response[UA_HEX_SIZE]);
/* Compares in constant time. */
bool ua_digest_matches(const struct ua_digest *digest, const char *ha1, const char *method);

int ua_nonces_init(void);  /* PBX_OK, PBX_ENOMEM, PBX_EIO (no random numbers, no HMAC, no SipHash) */
void ua_nonces_fini(void); /* also lets go of what the hashes keep */
void ua_nonce_make(const char *host, int64_t wall_us, char ret_nonce[UA_NONCE_SIZE]);

/* A number that stands for these texts (the last is NULL) and that nobody else can compute. */
uint64_t ua_proof(const char *first, ...) __attribute__((sentinel));

#define UA_NONCE_FRESH 0
#define UA_NONCE_STALE 1   /* ours, but too old, used with this count before, or forgotten: ask again with stale=true */
#define UA_NONCE_FOREIGN 2 /* we never made it for this address */
int ua_nonce_check(const char *nonce, const char *host, int64_t wall_us);
/* Takes one count of it. False: it has been used already (a replay). nc 0: a client without qop, once only. */
bool ua_nonce_use(const char *nonce, uint32_t nc);
