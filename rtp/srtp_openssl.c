/*
 * srtp_openssl - AES in counter mode, AES-GCM and HMAC-SHA1 of OpenSSL as libsrtp2 wants them
 *
 * libsrtp2 takes a cipher that carries a test vector and passes the library's own, too. Each object keeps its OpenSSL context with the key
 * set up; a packet only gives it a new initialisation vector. Counter mode: RFC 3711 4.1.1, RFC 6188; GCM: RFC 7714; SHA-1: RFC 3711 4.2.1.
 */
#include "srtp_openssl.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <srtp2/auth.h>
#include <srtp2/cipher.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 16
#define CM_SALT_BYTES 14
#define GCM_IV_BYTES 12
#define GCM_TAG_BYTES 16

/* One for each process, as srtp_init() is; never freed, since libsrtp2 may be started again. */
static EVP_CIPHER *ctr_128, *ctr_256, *gcm_128, *gcm_256;
static EVP_MAC *hmac;

struct cipher_state {
	EVP_CIPHER_CTX *context;
	const EVP_CIPHER *algorithm;
	uint8_t salt[BLOCK_BYTES]; /* counter mode: what each initialisation vector is combined with */
	unsigned tag_bytes;        /* GCM: 16, or 8 in the vectors of libsrtp2 */
};

struct auth_state {
	EVP_MAC_CTX *context;
};

/* ---- what both kinds of cipher share ---- */

static srtp_err_status_t cipher_free(srtp_cipher_t *cipher)
{
	struct cipher_state *state = cipher->state;

	EVP_CIPHER_CTX_free(state->context);
	explicit_bzero(state, sizeof *state);
	free(state);
	free(cipher);
	return srtp_err_status_ok;
}

static srtp_err_status_t cipher_new(srtp_cipher_t **ret_cipher, const srtp_cipher_type_t *type, const EVP_CIPHER *algorithm, int key_bytes)
{
	srtp_cipher_t *cipher = calloc(1, sizeof *cipher);
	struct cipher_state *state = calloc(1, sizeof *state);

	if (state)
		state->context = EVP_CIPHER_CTX_new();
	if (!cipher || !state || !state->context) {
		free(state);
		free(cipher);
		return srtp_err_status_alloc_fail;
	}
	state->algorithm = algorithm;
	*cipher = (srtp_cipher_t){ .type = type, .state = state, .key_len = key_bytes, .algorithm = (int)type->id };
	*ret_cipher = cipher;
	return srtp_err_status_ok;
}

static srtp_err_status_t update(struct cipher_state *state, uint8_t *buffer, unsigned size)
{
	int done = 0;

	return EVP_CipherUpdate(state->context, buffer, &done, buffer, (int)size) == 1 ? srtp_err_status_ok : srtp_err_status_cipher_fail;
}

/* ---- counter mode ---- */

static const srtp_cipher_type_t cm_128, cm_256;

static srtp_err_status_t cm_alloc(srtp_cipher_t **ret_cipher, int key_bytes, int tag_bytes)
{
	(void)tag_bytes;
	if (key_bytes == SRTP_AES_ICM_128_KEY_LEN_WSALT)
		return cipher_new(ret_cipher, &cm_128, ctr_128, key_bytes);
	if (key_bytes == SRTP_AES_ICM_256_KEY_LEN_WSALT)
		return cipher_new(ret_cipher, &cm_256, ctr_256, key_bytes);
	return srtp_err_status_bad_param;
}

static srtp_err_status_t cm_init(void *self, const uint8_t *key)
{
	struct cipher_state *state = self;

	memset(state->salt, 0, sizeof state->salt);
	memcpy(state->salt, key + EVP_CIPHER_get_key_length(state->algorithm), CM_SALT_BYTES);
	return EVP_EncryptInit_ex2(state->context, state->algorithm, key, NULL, NULL) == 1 ? srtp_err_status_ok : srtp_err_status_init_fail;
}

/* Counter mode is the same in both directions. */
static srtp_err_status_t cm_set_iv(void *self, uint8_t *iv, srtp_cipher_direction_t direction)
{
	struct cipher_state *state = self;
	uint8_t counter[BLOCK_BYTES];

	(void)direction;
	for (size_t i = 0; i < sizeof counter; i++)
		counter[i] = state->salt[i] ^ iv[i];
	return EVP_EncryptInit_ex2(state->context, NULL, NULL, counter, NULL) == 1 ? srtp_err_status_ok : srtp_err_status_cipher_fail;
}

static srtp_err_status_t cm_crypt(void *self, uint8_t *buffer, unsigned *size)
{
	return update(self, buffer, *size);
}

/* ---- Galois counter mode ---- */

static const srtp_cipher_type_t gcm_type_128, gcm_type_256;

static srtp_err_status_t gcm_alloc(srtp_cipher_t **ret_cipher, int key_bytes, int tag_bytes)
{
	const bool is_256 = key_bytes == SRTP_AES_GCM_256_KEY_LEN_WSALT;

	if ((tag_bytes != GCM_TAG_BYTES && tag_bytes != 8) || (!is_256 && key_bytes != SRTP_AES_GCM_128_KEY_LEN_WSALT))
		return srtp_err_status_bad_param;
	srtp_err_status_t status = cipher_new(ret_cipher, is_256 ? &gcm_type_256 : &gcm_type_128, is_256 ? gcm_256 : gcm_128, key_bytes);

	if (status == srtp_err_status_ok)
		((struct cipher_state *)(*ret_cipher)->state)->tag_bytes = (unsigned)tag_bytes;
	return status;
}

static srtp_err_status_t gcm_init(void *self, const uint8_t *key)
{
	struct cipher_state *state = self;

	return EVP_CipherInit_ex2(state->context, state->algorithm, key, NULL, 1, NULL) == 1 ? srtp_err_status_ok
											     : srtp_err_status_init_fail;
}

static srtp_err_status_t gcm_set_iv(void *self, uint8_t *iv, srtp_cipher_direction_t direction)
{
	struct cipher_state *state = self;

	return EVP_CipherInit_ex2(state->context, NULL, NULL, iv, direction == srtp_direction_encrypt, NULL) == 1
		       ? srtp_err_status_ok
		       : srtp_err_status_cipher_fail;
}

static srtp_err_status_t gcm_set_aad(void *self, const uint8_t *aad, uint32_t size)
{
	struct cipher_state *state = self;
	int done = 0;

	return EVP_CipherUpdate(state->context, NULL, &done, aad, (int)size) == 1 ? srtp_err_status_ok : srtp_err_status_cipher_fail;
}

static srtp_err_status_t gcm_encrypt(void *self, uint8_t *buffer, unsigned *size)
{
	struct cipher_state *state = self;
	uint8_t none[BLOCK_BYTES];
	int done = 0;
	srtp_err_status_t status = update(state, buffer, *size);

	if (status == srtp_err_status_ok && EVP_CipherFinal_ex(state->context, none, &done) != 1)
		status = srtp_err_status_cipher_fail;
	return status;
}

static srtp_err_status_t gcm_get_tag(void *self, uint8_t *tag, uint32_t *ret_size)
{
	struct cipher_state *state = self;

	*ret_size = state->tag_bytes;
	return EVP_CIPHER_CTX_ctrl(state->context, EVP_CTRL_AEAD_GET_TAG, (int)state->tag_bytes, tag) == 1 ? srtp_err_status_ok
													   : srtp_err_status_cipher_fail;
}

/* The tag is the end of what arrives. */
static srtp_err_status_t gcm_decrypt(void *self, uint8_t *buffer, unsigned *size)
{
	struct cipher_state *state = self;
	uint8_t none[BLOCK_BYTES];
	int done = 0;

	if (*size < state->tag_bytes)
		return srtp_err_status_bad_param;
	*size -= state->tag_bytes;
	if (EVP_CIPHER_CTX_ctrl(state->context, EVP_CTRL_AEAD_SET_TAG, (int)state->tag_bytes, buffer + *size) != 1)
		return srtp_err_status_algo_fail;
	srtp_err_status_t status = update(state, buffer, *size);

	if (status == srtp_err_status_ok && EVP_CipherFinal_ex(state->context, none, &done) != 1)
		status = srtp_err_status_auth_fail;
	return status;
}

/* ---- HMAC-SHA1 ---- */

static const srtp_auth_type_t hmac_sha1;

static srtp_err_status_t hmac_alloc(srtp_auth_t **ret_auth, int key_bytes, int tag_bytes)
{
	srtp_auth_t *auth = calloc(1, sizeof *auth);
	struct auth_state *state = calloc(1, sizeof *state);

	if (state)
		state->context = EVP_MAC_CTX_new(hmac);
	if (!auth || !state || !state->context) {
		free(state);
		free(auth);
		return srtp_err_status_alloc_fail;
	}
	*auth = (srtp_auth_t){ .type = &hmac_sha1, .state = state, .out_len = tag_bytes, .key_len = key_bytes };
	*ret_auth = auth;
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_free(srtp_auth_t *auth)
{
	struct auth_state *state = auth->state;

	EVP_MAC_CTX_free(state->context);
	free(state);
	free(auth);
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_init(void *self, const uint8_t *key, int key_bytes)
{
	static char digest[] = "SHA1";
	struct auth_state *state = self;
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };

	return EVP_MAC_init(state->context, key, (size_t)key_bytes, params) == 1 ? srtp_err_status_ok : srtp_err_status_init_fail;
}

/* The same key, from the beginning. */
static srtp_err_status_t hmac_start(void *self)
{
	struct auth_state *state = self;

	return EVP_MAC_init(state->context, NULL, 0, NULL) == 1 ? srtp_err_status_ok : srtp_err_status_auth_fail;
}

static srtp_err_status_t hmac_update(void *self, const uint8_t *data, int size)
{
	struct auth_state *state = self;

	return EVP_MAC_update(state->context, data, (size_t)size) == 1 ? srtp_err_status_ok : srtp_err_status_auth_fail;
}

static srtp_err_status_t hmac_compute(void *self, const uint8_t *data, int size, int tag_bytes, uint8_t *ret_tag)
{
	struct auth_state *state = self;
	uint8_t whole[20];
	size_t done = 0;

	if (tag_bytes < 0 || (size_t)tag_bytes > sizeof whole || EVP_MAC_update(state->context, data, (size_t)size) != 1 ||
	    EVP_MAC_final(state->context, whole, &done, sizeof whole) != 1)
		return srtp_err_status_auth_fail;
	memcpy(ret_tag, whole, (size_t)tag_bytes);
	return srtp_err_status_ok;
}

/* ---- what each has to pass before libsrtp2 takes it ---- */

static uint8_t zero_iv[BLOCK_BYTES];

/* RFC 3711 B.2: the beginning of the keystream. */
static const uint8_t cm_128_key[SRTP_AES_ICM_128_KEY_LEN_WSALT] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7,
								    0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c, 0xf0, 0xf1, 0xf2, 0xf3,
								    0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd };
static const uint8_t cm_nothing[32];
static const uint8_t cm_128_stream[32] = { 0xe0, 0x3e, 0xad, 0x09, 0x35, 0xc9, 0x5e, 0x80, 0xe1, 0x66, 0xb1, 0x6d, 0xd9, 0x2b, 0x4e, 0xb4,
					   0xd2, 0x35, 0x13, 0x16, 0x2b, 0x02, 0xd0, 0xf7, 0x2a, 0x43, 0xa2, 0xfe, 0x4a, 0x5f, 0x97, 0xab };
static const srtp_cipher_test_case_t cm_128_test = {
	sizeof cm_128_key, cm_128_key, zero_iv, sizeof cm_nothing, cm_nothing, sizeof cm_128_stream, cm_128_stream, 0, NULL, 0, NULL
};

/* RFC 6188 7.1. */
static const uint8_t cm_256_key[SRTP_AES_ICM_256_KEY_LEN_WSALT] = { 0x57, 0xf8, 0x2f, 0xe3, 0x61, 0x3f, 0xd1, 0x70, 0xa8, 0x5e, 0xc9, 0x3c,
								    0x40, 0xb1, 0xf0, 0x92, 0x2e, 0xc4, 0xcb, 0x0d, 0xc0, 0x25, 0xb5, 0x82,
								    0x72, 0x14, 0x7c, 0xc4, 0x38, 0x94, 0x4a, 0x98, 0xf0, 0xf1, 0xf2, 0xf3,
								    0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd };
static const uint8_t cm_256_stream[32] = { 0x92, 0xbd, 0xd2, 0x8a, 0x93, 0xc3, 0xf5, 0x25, 0x11, 0xc6, 0x77, 0xd0, 0x8b, 0x55, 0x15, 0xa4,
					   0x9d, 0xa7, 0x1b, 0x23, 0x78, 0xa8, 0x54, 0xf6, 0x70, 0x50, 0x75, 0x6d, 0xed, 0x16, 0x5b, 0xac };
static const srtp_cipher_test_case_t cm_256_test = {
	sizeof cm_256_key, cm_256_key, zero_iv, sizeof cm_nothing, cm_nothing, sizeof cm_256_stream, cm_256_stream, 0, NULL, 0, NULL
};

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 4 and 16; the salt plays no part. */
#define GCM_KEY 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08
static const uint8_t gcm_128_key[SRTP_AES_GCM_128_KEY_LEN_WSALT] = { GCM_KEY };
static const uint8_t gcm_256_key[SRTP_AES_GCM_256_KEY_LEN_WSALT] = { GCM_KEY, GCM_KEY };
static uint8_t gcm_iv[GCM_IV_BYTES] = { 0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88 };
static const uint8_t gcm_aad[20] = { 0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
				     0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2 };
static const uint8_t gcm_plain[60] = { 0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
				       0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
				       0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
				       0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39 };
static const uint8_t gcm_128_sealed[60 + GCM_TAG_BYTES] = { 0x42, 0x83, 0x1e, 0xc2, 0x21, 0x77, 0x74, 0x24, 0x4b, 0x72, 0x21, 0xb7, 0x84,
							    0xd0, 0xd4, 0x9c, 0xe3, 0xaa, 0x21, 0x2f, 0x2c, 0x02, 0xa4, 0xe0, 0x35, 0xc1,
							    0x7e, 0x23, 0x29, 0xac, 0xa1, 0x2e, 0x21, 0xd5, 0x14, 0xb2, 0x54, 0x66, 0x93,
							    0x1c, 0x7d, 0x8f, 0x6a, 0x5a, 0xac, 0x84, 0xaa, 0x05, 0x1b, 0xa3, 0x0b, 0x39,
							    0x6a, 0x0a, 0xac, 0x97, 0x3d, 0x58, 0xe0, 0x91, 0x5b, 0xc9, 0x4f, 0xbc, 0x32,
							    0x21, 0xa5, 0xdb, 0x94, 0xfa, 0xe9, 0x5a, 0xe7, 0x12, 0x1a, 0x47 };
static const uint8_t gcm_256_sealed[60 + GCM_TAG_BYTES] = { 0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a,
							    0x84, 0x42, 0x7d, 0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98,
							    0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa, 0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb,
							    0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38, 0xc5, 0xf6, 0x1e, 0x63,
							    0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62, 0x76, 0xfc, 0x6e, 0xce, 0x0f,
							    0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b };
static const srtp_cipher_test_case_t gcm_128_test = {
	sizeof gcm_128_key, gcm_128_key,    gcm_iv,  sizeof gcm_plain, gcm_plain, sizeof gcm_128_sealed,
	gcm_128_sealed,     sizeof gcm_aad, gcm_aad, GCM_TAG_BYTES,    NULL
};
static const srtp_cipher_test_case_t gcm_256_test = {
	sizeof gcm_256_key, gcm_256_key,    gcm_iv,  sizeof gcm_plain, gcm_plain, sizeof gcm_256_sealed,
	gcm_256_sealed,     sizeof gcm_aad, gcm_aad, GCM_TAG_BYTES,    NULL
};

/* RFC 2202 3, case 1. */
static const uint8_t hmac_key[20] = { 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
				      0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b };
static const uint8_t hmac_data[8] = { 'H', 'i', ' ', 'T', 'h', 'e', 'r', 'e' };
static const uint8_t hmac_tag[20] = { 0xb6, 0x17, 0x31, 0x86, 0x55, 0x05, 0x72, 0x64, 0xe2, 0x8b,
				      0xc0, 0xb6, 0xfb, 0x37, 0x8c, 0x8e, 0xf1, 0x46, 0xbe, 0x00 };
static const srtp_auth_test_case_t hmac_test = { sizeof hmac_key, hmac_key, sizeof hmac_data, hmac_data, sizeof hmac_tag, hmac_tag, NULL };

#define COUNTER_MODE(id_, name, test)                                                                                                      \
	{                                                                                                                                  \
		cm_alloc, cipher_free, cm_init, NULL, cm_crypt, cm_crypt, cm_set_iv, NULL, name, test, id_                                 \
	}
#define GALOIS_MODE(id_, name, test)                                                                                                       \
	{                                                                                                                                  \
		gcm_alloc, cipher_free, gcm_init, gcm_set_aad, gcm_encrypt, gcm_decrypt, gcm_set_iv, gcm_get_tag, name, test, id_          \
	}

static const srtp_cipher_type_t cm_128 = COUNTER_MODE(SRTP_AES_ICM_128, "AES-128 counter mode of OpenSSL", &cm_128_test);
static const srtp_cipher_type_t cm_256 = COUNTER_MODE(SRTP_AES_ICM_256, "AES-256 counter mode of OpenSSL", &cm_256_test);
static const srtp_cipher_type_t gcm_type_128 = GALOIS_MODE(SRTP_AES_GCM_128, "AES-128 GCM of OpenSSL", &gcm_128_test);
static const srtp_cipher_type_t gcm_type_256 = GALOIS_MODE(SRTP_AES_GCM_256, "AES-256 GCM of OpenSSL", &gcm_256_test);
static const srtp_auth_type_t hmac_sha1 = {
	hmac_alloc, hmac_free, hmac_init, hmac_compute, hmac_update, hmac_start, "HMAC-SHA1 of OpenSSL", &hmac_test, SRTP_HMAC_SHA1,
};

static bool fetch(void)
{
	if (hmac)
		return true;
	ctr_128 = EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL);
	ctr_256 = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
	gcm_128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	gcm_256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	return ctr_128 && ctr_256 && gcm_128 && gcm_256 && hmac;
}

bool rtp_srtp_use_openssl(void)
{
	return fetch() && srtp_replace_cipher_type(&cm_128, SRTP_AES_ICM_128) == srtp_err_status_ok &&
	       srtp_replace_cipher_type(&cm_256, SRTP_AES_ICM_256) == srtp_err_status_ok &&
	       srtp_replace_cipher_type(&gcm_type_128, SRTP_AES_GCM_128) == srtp_err_status_ok &&
	       srtp_replace_cipher_type(&gcm_type_256, SRTP_AES_GCM_256) == srtp_err_status_ok &&
	       srtp_replace_auth_type(&hmac_sha1, SRTP_HMAC_SHA1) == srtp_err_status_ok;
}
