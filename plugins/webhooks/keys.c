/*
 * keys - the secrets of a subscription: made, sealed for the table, opened for one use
 *
 * A secret is "whsec_" and base64, as Standard Webhooks has it, or whatever text the receiver insisted on. An Ed25519 key is kept as the base64
 * of its 32 bytes; its public half is told to everybody as "whpk_" and base64. Client certificates are looked at before they are kept, so that
 * a wrong key is the administrator's surprise and not the night's.
 */
#include "webhooks.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define ED25519_SIZE 32u

/* ---- sealing -------------------------------------------------------------------------- */

char *keys_seal(const struct webhooks *webhooks, const char *id, const char *text)
{
	char context[64];

	(void)snprintf(context, sizeof context, "webhooks.%s", id);
	char *sealed = webhooks->secrets->seal(text, context), *copy = sealed ? strdup(sealed) : NULL;
	webhooks->secrets->wipe(sealed);
	return copy;
}

char *keys_open(const struct webhooks *webhooks, const char *id, const char *sealed)
{
	char context[64];

	(void)snprintf(context, sizeof context, "webhooks.%s", id);
	return sealed ? webhooks->secrets->open(sealed, context) : NULL;
}

/* ---- HMAC ----------------------------------------------------------------------------- */

int keys_new_secret(char ret_secret[SECRET_SIZE])
{
	uint8_t bytes[32];

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return PBX_EIO;
	memcpy(ret_secret, "whsec_", 6);
	(void)EVP_EncodeBlock((unsigned char *)ret_secret + 6, bytes, sizeof bytes);
	explicit_bzero(bytes, sizeof bytes);
	return PBX_OK;
}

/* Base64 with its padding; 0: it is none, or too long. */
static size_t decode(const char *text, uint8_t *ret_bytes, size_t size)
{
	size_t length = strlen(text), padding = 0;

	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	if (!length || length % 4 || length / 4 * 3 > size)
		return 0;
	int bytes = EVP_DecodeBlock(ret_bytes, (const unsigned char *)text, (int)length);
	return bytes < 0 ? 0 : (size_t)bytes - padding;
}

size_t keys_bytes(const char *secret, uint8_t *ret_bytes, size_t size)
{
	size_t length = strncmp(secret, "whsec_", 6) == 0 ? decode(secret + 6, ret_bytes, size) : 0;

	if (length == 0 && (length = strlen(secret)) <= size)
		memcpy(ret_bytes, secret, length);
	return length <= size ? length : 0;
}

/* ---- Ed25519 -------------------------------------------------------------------------- */

int keys_new_ed25519(const struct webhooks *webhooks, const char *id, char **ret_sealed)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t bytes[ED25519_SIZE];
	size_t size = sizeof bytes;
	char text[64];
	int err = PBX_EIO;

	if (key && EVP_PKEY_get_raw_private_key(key, bytes, &size) == 1) {
		(void)EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
		char *sealed = keys_seal(webhooks, id, text);
		if (sealed) {
			free(*ret_sealed);
			*ret_sealed = sealed;
			err = PBX_OK;
		}
	}
	explicit_bzero(bytes, sizeof bytes);
	explicit_bzero(text, sizeof text);
	EVP_PKEY_free(key);
	return err;
}

static EVP_PKEY *open_ed25519(const struct webhooks *webhooks, const char *id, const char *sealed)
{
	char *text = keys_open(webhooks, id, sealed);
	uint8_t bytes[ED25519_SIZE + 4];
	size_t size = text ? decode(text, bytes, sizeof bytes) : 0;
	EVP_PKEY *key = size == ED25519_SIZE ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes, size) : NULL;

	explicit_bzero(bytes, sizeof bytes);
	webhooks->secrets->wipe(text);
	return key;
}

int keys_public(const struct webhooks *webhooks, const char *id, const char *sealed, char ret_text[64])
{
	EVP_PKEY *key = open_ed25519(webhooks, id, sealed);
	uint8_t bytes[ED25519_SIZE];
	size_t size = sizeof bytes;
	int err = PBX_EIO;

	if (key && EVP_PKEY_get_raw_public_key(key, bytes, &size) == 1) {
		memcpy(ret_text, "whpk_", 5);
		(void)EVP_EncodeBlock((unsigned char *)ret_text + 5, bytes, (int)size);
		err = PBX_OK;
	}
	EVP_PKEY_free(key);
	return err;
}

int keys_sign(const struct webhooks *webhooks, const char *id, const char *sealed, const void *data, size_t size, uint8_t ret_signature[64])
{
	EVP_PKEY *key = open_ed25519(webhooks, id, sealed);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t length = 64;
	int err = PBX_EIO;

	if (key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestSign(context, ret_signature, &length, data, size) == 1)
		err = PBX_OK;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return err;
}

/* ---- certificates --------------------------------------------------------------------- */

/* A key under a password is not asked about on the daemon's terminal; it is refused. */
static int no_password(char *buffer, int size, int writing, void *self)
{
	(void)buffer, (void)size, (void)writing, (void)self;
	return -1;
}

static X509 *read_certificate(const char *pem)
{
	BIO *text = pem ? BIO_new_mem_buf(pem, -1) : NULL;
	X509 *certificate = text ? PEM_read_bio_X509(text, NULL, no_password, NULL) : NULL;

	BIO_free(text);
	return certificate;
}

static EVP_PKEY *read_key(const char *pem)
{
	BIO *text = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, no_password, NULL) : NULL;

	BIO_free(text);
	return key;
}

int keys_check_identity(const char *certificate_pem, const char *key_pem, struct pbx_diag *diag)
{
	X509 *certificate = read_certificate(certificate_pem);
	EVP_PKEY *key = read_key(key_pem);
	int err = PBX_EINVAL;

	if (!certificate)
		pbx_diag_set(diag, "client_certificate", "not a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----");
	else if (!key)
		pbx_diag_set(diag, "client_key", "not a private key in PEM without a password; openssl pkey takes one away");
	else if (X509_check_private_key(certificate, key) != 1)
		pbx_diag_set(diag, "client_key", "the key is not the certificate's; give the two that belong together");
	else if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
		pbx_diag_set(diag, "client_certificate", "the certificate has expired; give its successor");
	else
		err = PBX_OK;
	EVP_PKEY_free(key);
	X509_free(certificate);
	return err;
}

int keys_check_authorities(const char *pem, struct pbx_diag *diag)
{
	X509 *certificate = read_certificate(pem);
	bool is_good = certificate != NULL;

	X509_free(certificate);
	if (!is_good)
		pbx_diag_set(diag, "ca", "not certificates in PEM, which begin with -----BEGIN CERTIFICATE-----");
	return is_good ? PBX_OK : PBX_EINVAL;
}

int64_t keys_certificate_until_us(const char *pem)
{
	X509 *certificate = read_certificate(pem);
	struct tm when;
	int64_t until_us = 0;

	if (certificate && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) == 1)
		until_us = (int64_t)timegm(&when) * 1000000;
	X509_free(certificate);
	return until_us;
}
