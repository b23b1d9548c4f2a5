/*
 * dtls - a handshake in memory
 *
 * OpenSSL reads from the datagram that has just come and writes datagrams through a callback: both are one BIO of our own, since a memory BIO
 * forgets where a datagram ends. The peer's certificate is believed for nothing but its fingerprint (RFC 5763 5); with another one the
 * handshake fails before there is a key. Whoever sends a ClientHello finds an object that negotiation has made, or nothing: packets make no
 * state. It stays after the handshake, because the peer may have missed our last flight and ask for it again.
 *
 * A handshake (ECDHE and ECDSA on P-256) costs a worker 0.7 to 0.8 ms of CPU, in pieces of some 0.35 ms between which packets pass: it is not
 * worth a trip to the work pool.
 */
#include "dtls.h"

#include <core/srtp_suites.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MTU 1200 /* IPv6's least, less what tunnels and TURN add */
#define RENEW_S (30 * 86400)
#define VALID_S (90l * 86400)
#define FIRST_RETRY_US 200000u /* a second, as RFC 6347 4.2.4.1 has it, is long while somebody says hello */
#define MOST_RETRY_US 3200000u
#define LABEL "EXTRACTOR-dtls_srtp"

struct identity {
	SSL_CTX *context;
	struct core_dtls looks;
	time_t made_wall_s;
};

static struct identity current, previous;
static BIO_METHOD *bio_method;
static int self_index = -1;

struct rtp_dtls {
	SSL *ssl;
	struct core_dtls peer;
	bool active, wrong_peer;
	uint32_t state;
	rtp_dtls_send_fn send;
	void *context;
	const uint8_t *data; /* the datagram that is being taken; NULL: none */
	size_t size;
};

/* ---- the BIO ---- */

static int bio_write(BIO *bio, const char *data, int size)
{
	const struct rtp_dtls *dtls = BIO_get_data(bio);

	if (size > 0 && dtls->send)
		dtls->send(dtls->context, (const uint8_t *)data, (size_t)size);
	return size;
}

/* Once: a datagram is read whole or cut. */
static int bio_read(BIO *bio, char *data, int size)
{
	struct rtp_dtls *dtls = BIO_get_data(bio);
	size_t given = dtls->size < (size_t)size ? dtls->size : (size_t)size;

	BIO_clear_retry_flags(bio);
	if (!dtls->data || size <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(data, dtls->data, given);
	dtls->data = NULL;
	return (int)given;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return MTU;
	default:
		return 0;
	}
}

static bool make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams of a session");
	return bio_method && BIO_meth_set_write(bio_method, bio_write) == 1 && BIO_meth_set_read(bio_method, bio_read) == 1 &&
	       BIO_meth_set_ctrl(bio_method, bio_control) == 1;
}

/* ---- certificates ---- */

static const EVP_MD *hash_of(uint8_t hash)
{
	return hash == CORE_HASH_SHA256 ? EVP_sha256() : hash == CORE_HASH_SHA384 ? EVP_sha384() : EVP_sha512();
}

static bool looks_like(X509 *certificate, const struct core_dtls *announced)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	return certificate && announced->hash != CORE_HASH_NONE && X509_digest(certificate, hash_of(announced->hash), digest, &size) == 1 &&
	       size <= sizeof announced->fingerprint && CRYPTO_memcmp(digest, announced->fingerprint, size) == 0;
}

static int on_certificate(X509_STORE_CTX *store, void *argument)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct rtp_dtls *dtls = SSL_get_ex_data(ssl, self_index);

	(void)argument;
	dtls->wrong_peer = !looks_like(X509_STORE_CTX_get0_cert(store), &dtls->peer);
	X509_STORE_CTX_set_error(store, dtls->wrong_peer ? X509_V_ERR_CERT_REJECTED : X509_V_OK);
	return !dtls->wrong_peer;
}

/* Says nothing about us: nobody reads it but for its fingerprint. */
static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	uint64_t serial;

	arc4random_buf(&serial, sizeof serial);
	if (!certificate)
		return NULL;
	X509_NAME *name = X509_get_subject_name(certificate);

	if (X509_set_version(certificate, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) && X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"WebRTC", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
	    X509_sign(certificate, key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static bool set_up(SSL_CTX *context, X509 *certificate, EVP_PKEY *key)
{
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* it would have a lock */
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(context, on_certificate, NULL);
	return SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES128:!aNULL") == 1 &&
	       SSL_CTX_set1_groups_list(context, "P-256:X25519:P-384") == 1 && SSL_CTX_use_certificate(context, certificate) == 1 &&
	       SSL_CTX_use_PrivateKey(context, key) == 1;
}

static int make_identity(struct identity *ret_identity)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = key ? make_certificate(key) : NULL;
	struct identity made = { .context = SSL_CTX_new(DTLS_method()), .made_wall_s = time(NULL) };
	unsigned size = 0;
	bool good = certificate && made.context && set_up(made.context, certificate, key) &&
		    X509_digest(certificate, EVP_sha256(), made.looks.fingerprint, &size) == 1;

	made.looks.hash = CORE_HASH_SHA256;
	X509_free(certificate);
	EVP_PKEY_free(key);
	if (!good) {
		SSL_CTX_free(made.context);
		return PBX_EIO;
	}
	*ret_identity = made;
	return PBX_OK;
}

int rtp_dtls_init(void)
{
	if (self_index < 0)
		self_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (self_index >= 0 && make_bio_method() && make_identity(&current) == PBX_OK)
		return PBX_OK;
	rtp_dtls_fini();
	return PBX_EIO;
}

void rtp_dtls_fini(void)
{
	SSL_CTX_free(current.context);
	SSL_CTX_free(previous.context);
	BIO_meth_free(bio_method);
	memset(&current, 0, sizeof current);
	memset(&previous, 0, sizeof previous);
	bio_method = NULL;
}

void rtp_dtls_fingerprint(struct core_dtls *ret_dtls)
{
	struct identity next;
	uint8_t setup = ret_dtls->setup;

	if (time(NULL) - current.made_wall_s > RENEW_S && make_identity(&next) == PBX_OK) {
		SSL_CTX_free(previous.context); /* handshakes hold it as long as they last */
		previous = current;
		current = next;
	}
	*ret_dtls = current.looks;
	ret_dtls->setup = setup;
}

static SSL_CTX *context_of(const struct core_dtls *looks)
{
	const struct identity *all[] = { &current, &previous };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (all[i]->context && looks->hash == all[i]->looks.hash &&
		    memcmp(looks->fingerprint, all[i]->looks.fingerprint, sizeof looks->fingerprint) == 0)
			return all[i]->context;
	return NULL;
}

/* ---- suites ---- */

static const struct profile {
	uint8_t suite;
	unsigned long id;
	const char *name;
	size_t key_bytes, salt_bytes;
} profiles[] = {
	{ CORE_SRTP_AES_CM_128_80, SRTP_AES128_CM_SHA1_80, "SRTP_AES128_CM_SHA1_80", 16, 14 },
	{ CORE_SRTP_AES_CM_128_32, SRTP_AES128_CM_SHA1_32, "SRTP_AES128_CM_SHA1_32", 16, 14 },
	{ CORE_SRTP_AES_GCM_128, SRTP_AEAD_AES_128_GCM, "SRTP_AEAD_AES_128_GCM", 16, 12 },
	{ CORE_SRTP_AES_GCM_256, SRTP_AEAD_AES_256_GCM, "SRTP_AEAD_AES_256_GCM", 32, 12 },
};

#define PROFILES (sizeof profiles / sizeof profiles[0])

static void name_profiles(const uint8_t *suites, uint8_t count, char *ret_names, size_t size)
{
	size_t used = 0;

	*ret_names = '\0';
	for (uint8_t i = 0; i < count; i++)
		for (size_t at = 0; at < PROFILES; at++)
			if (profiles[at].suite == suites[i] && used < size)
				used += (size_t)snprintf(ret_names + used, size - used, "%s%s", used ? ":" : "", profiles[at].name);
}

/* ---- a handshake ---- */

static unsigned retry_us(SSL *ssl, unsigned before_us)
{
	(void)ssl;
	if (before_us == 0)
		return FIRST_RETRY_US;
	return before_us * 2 < MOST_RETRY_US ? before_us * 2 : MOST_RETRY_US;
}

static bool set_up_ssl(struct rtp_dtls *dtls, const char *names)
{
	BIO *bio = BIO_new(bio_method);

	if (!bio)
		return false;
	BIO_set_data(bio, dtls);
	BIO_set_init(bio, 1);
	SSL_set_bio(dtls->ssl, bio, bio); /* its own from here on */
	if (SSL_set_ex_data(dtls->ssl, self_index, dtls) != 1 || SSL_set_tlsext_use_srtp(dtls->ssl, names) != 0)
		return false;
	(void)SSL_set_mtu(dtls->ssl, MTU);
	DTLS_set_timer_cb(dtls->ssl, retry_us);
	if (dtls->active)
		SSL_set_connect_state(dtls->ssl);
	else
		SSL_set_accept_state(dtls->ssl);
	return true;
}

int rtp_dtls_new(const struct core_dtls *own, const struct core_dtls *peer, const uint8_t *suites, uint8_t suite_count,
		 struct rtp_dtls **ret_dtls)
{
	SSL_CTX *context = context_of(own);
	char names[128];

	name_profiles(suites, suite_count, names, sizeof names);
	if (!context || !names[0])
		return PBX_ENOTSUP;
	struct rtp_dtls *dtls = calloc(1, sizeof *dtls);

	if (!dtls)
		return PBX_ENOMEM;
	dtls->peer = *peer;
	dtls->active = own->setup == CORE_SETUP_ACTIVE;
	dtls->ssl = SSL_new(context);
	if (!dtls->ssl || !set_up_ssl(dtls, names)) {
		rtp_dtls_free(dtls);
		return PBX_ENOMEM;
	}
	*ret_dtls = dtls;
	return PBX_OK;
}

void rtp_dtls_free(struct rtp_dtls *dtls)
{
	if (!dtls)
		return;
	SSL_free(dtls->ssl);
	free(dtls);
}

/* Goes on as far as it can. Once done, reading answers a peer that has missed our last flight. */
static uint32_t step(struct rtp_dtls *dtls)
{
	uint8_t nothing[64]; /* there is no data in DTLS-SRTP */
	int result;

	if (dtls->state > RTP_DTLS_DONE)
		return dtls->state;
	ERR_clear_error();
	if (dtls->state == RTP_DTLS_DONE) {
		(void)SSL_read(dtls->ssl, nothing, sizeof nothing); /* the call's end is told by others: SIP, consent */
		ERR_clear_error();
		return dtls->state;
	}
	result = SSL_do_handshake(dtls->ssl);
	if (result == 1)
		dtls->state = SSL_get_selected_srtp_profile(dtls->ssl) ? RTP_DTLS_DONE : RTP_DTLS_FAILED;
	else if (dtls->wrong_peer)
		dtls->state = RTP_DTLS_WRONG_PEER;
	else if (SSL_get_error(dtls->ssl, result) != SSL_ERROR_WANT_READ)
		dtls->state = RTP_DTLS_FAILED;
	ERR_clear_error();
	return dtls->state;
}

void rtp_dtls_start(struct rtp_dtls *dtls, rtp_dtls_send_fn send, void *context)
{
	dtls->send = send;
	dtls->context = context;
	(void)step(dtls); /* who is active begins; a failure is told by the next look */
}

bool rtp_dtls_has_started(const struct rtp_dtls *dtls)
{
	return dtls->send != NULL;
}

uint32_t rtp_dtls_take(struct rtp_dtls *dtls, const uint8_t *data, size_t size)
{
	dtls->data = data;
	dtls->size = size;
	uint32_t state = step(dtls);

	dtls->data = NULL;
	return state;
}

uint32_t rtp_dtls_look_after(struct rtp_dtls *dtls)
{
	if (dtls->state != RTP_DTLS_SHAKING)
		return dtls->state;
	ERR_clear_error();
	if (DTLSv1_handle_timeout(dtls->ssl) < 0)
		dtls->state = RTP_DTLS_FAILED; /* repeated as often as it is worth */
	ERR_clear_error();
	return dtls->state;
}

static void put_key(const struct profile *profile, const uint8_t *key, const uint8_t *salt, struct core_crypto *ret_crypto)
{
	memset(ret_crypto, 0, sizeof *ret_crypto);
	ret_crypto->suite = profile->suite;
	memcpy(ret_crypto->key, key, profile->key_bytes);
	memcpy(ret_crypto->key + profile->key_bytes, salt, profile->salt_bytes);
}

static const struct profile *selected(SSL *ssl)
{
	const SRTP_PROTECTION_PROFILE *found = SSL_get_selected_srtp_profile(ssl);

	for (size_t i = 0; found && i < PROFILES; i++)
		if (profiles[i].id == found->id)
			return &profiles[i];
	return NULL;
}

/* The client's key, the server's, then their salts (RFC 5764 4.2). */
bool rtp_dtls_keys(struct rtp_dtls *dtls, struct core_crypto *ret_send, struct core_crypto *ret_receive)
{
	uint8_t material[2 * CORE_SRTP_KEY_BYTES];
	const struct profile *profile = selected(dtls->ssl);

	if (!profile || SSL_export_keying_material(dtls->ssl, material, 2 * (profile->key_bytes + profile->salt_bytes), LABEL,
						   sizeof LABEL - 1, NULL, 0, 0) != 1)
		return false;
	const uint8_t *client = material, *server = client + profile->key_bytes, *client_salt = server + profile->key_bytes;

	put_key(profile, client, client_salt, dtls->active ? ret_send : ret_receive);
	put_key(profile, server, client_salt + profile->salt_bytes, dtls->active ? ret_receive : ret_send);
	explicit_bzero(material, sizeof material);
	return true;
}
