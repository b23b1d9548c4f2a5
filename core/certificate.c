/*
 * certificate.c - the certificate we show: the one of the settings, or one the daemon makes for itself
 *
 * Without one of its own an installation still speaks HTTPS and SIP over TLS: on its first start it makes a P-256 key (readable by nobody else) and a
 * certificate for this machine's names, signed by itself. Browsers ask once; programs pin it. Whoever has a real one names its files in the
 * settings.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "certificate.h"
#include "log.h"

#define VALID_S (10l * 365 * 86400)
#define RENEW_S (30l * 86400)

/* ---- making ----------------------------------------------------------------------------- */

static bool add_extension(X509 *certificate, int kind, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

/* "DNS:pbx.example,DNS:localhost,IP:127.0.0.1,IP:192.0.2.10": how people will call us. */
static void alternative_names(const char *host, const char *listen, char *ret_names, size_t size)
{
	size_t length = strcspn(listen, ":");
	bool is_address =
		length > 0 && strspn(listen, "0123456789.") >= length && strncmp(listen, "127.", 4) != 0 && strncmp(listen, "0.", 2) != 0;

	(void)snprintf(ret_names, size, "DNS:%s,DNS:localhost,IP:127.0.0.1%s%.*s", host, is_address ? ",IP:" : "",
		       is_address ? (int)length : 0, listen);
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *listen)
{
	char host[HOST_NAME_MAX + 1] = "localhost", names[HOST_NAME_MAX + 128];
	uint8_t serial[16];

	(void)gethostname(host, sizeof host - 1);
	alternative_names(host, listen, names, sizeof names);
	if (RAND_bytes(serial, sizeof serial) != 1)
		return false;
	serial[0] &= 0x7f; /* a positive number */

	BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
	X509_NAME *name = X509_get_subject_name(certificate);
	bool filled = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) &&
		      X509_set_version(certificate, X509_VERSION_3) == 1 && X509_gmtime_adj(X509_getm_notBefore(certificate), -300) &&
		      X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) &&
		      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)host, -1, -1, 0) == 1 &&
		      X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
		      add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
		      add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
		      add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
		      add_extension(certificate, NID_subject_alt_name, names) && X509_sign(certificate, key, EVP_sha256()) > 0;
	BN_free(number);
	return filled;
}

/* A file that is complete or not there, with these rights from its first byte. */
static FILE *create_beside(const char *path, mode_t mode, char ret_beside[PATH_MAX])
{
	if ((size_t)snprintf(ret_beside, PATH_MAX, "%s.new", path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	(void)unlink(ret_beside); /* left by a start that was cut short */

	int fd = open(ret_beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (fd >= 0 && !file)
		(void)close(fd);
	return file;
}

static bool finish(FILE *file, bool written, const char *beside, const char *path)
{
	written = written && fflush(file) == 0 && fsync(fileno(file)) == 0;
	written = fclose(file) == 0 && written;
	if (written && rename(beside, path) == 0)
		return true;
	(void)unlink(beside);
	return false;
}

static bool save(X509 *certificate, EVP_PKEY *key, const char *certificate_path, const char *key_path)
{
	char beside[PATH_MAX];
	FILE *file = create_beside(key_path, 0600, beside);

	if (!file || !finish(file, PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1, beside, key_path))
		return false;
	file = create_beside(certificate_path, 0644, beside);
	return file && finish(file, PEM_write_X509(file, certificate) == 1, beside, certificate_path);
}

static int make(const char *owner, const char *listen, const char *certificate_path, const char *key_path, struct pbx_diag *diag)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	bool filled = key && certificate && fill(certificate, key, listen);
	bool saved = filled && save(certificate, key, certificate_path, key_path);
	int reason = errno;

	X509_free(certificate);
	EVP_PKEY_free(key);
	if (saved) {
		core_log(PBX_LOG_NOTICE, owner, NULL, "certificate_made", "file=%s", certificate_path);
		return PBX_OK;
	}
	pbx_diag_set(diag, "certificate", "%s: cannot make a certificate: %s", certificate_path,
		     filled ? strerror(reason) : "OpenSSL failed");
	return PBX_EIO;
}

/* ---- loading ---------------------------------------------------------------------------- */

static bool is_usable(const char *certificate_path, const char *key_path)
{
	FILE *file = fopen(certificate_path, "re");
	X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
	time_t soon = time(NULL) + RENEW_S;
	bool usable = certificate && X509_cmp_time(X509_get0_notAfter(certificate), &soon) > 0 && access(key_path, R_OK) == 0;

	X509_free(certificate);
	if (file)
		(void)fclose(file);
	return usable;
}

static int load(SSL_CTX *context, const char *certificate_path, const char *key_path, struct pbx_diag *diag)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, certificate_path) != 1) {
		pbx_diag_set(diag, "certificate", "%s: not a certificate in PEM: %s", certificate_path,
			     ERR_reason_error_string(ERR_peek_error()));
		return PBX_EIO;
	}
	if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1) {
		pbx_diag_set(diag, "key", "%s: not the key of %s: %s", key_path, certificate_path,
			     ERR_reason_error_string(ERR_peek_error()));
		return PBX_EIO;
	}
	return PBX_OK;
}

int core_certificate_find(const char *owner, const char *certificate, const char *key, const char *data_dir, const char *listen,
			  struct core_certificate *ret_files, struct pbx_diag *diag)
{
	struct core_certificate files;

	if (*certificate) {
		(void)snprintf(files.certificate, sizeof files.certificate, "%s", certificate);
		(void)snprintf(files.key, sizeof files.key, "%s", key);
		*ret_files = files;
		return PBX_OK;
	}
	(void)snprintf(files.certificate, sizeof files.certificate, "%.4000s/api.crt", data_dir);
	(void)snprintf(files.key, sizeof files.key, "%.4000s/api.key", data_dir);

	SSL_CTX *trial = SSL_CTX_new(TLS_method());
	if (!trial)
		return PBX_ENOMEM;
	bool usable = is_usable(files.certificate, files.key) && load(trial, files.certificate, files.key, diag) == PBX_OK;
	SSL_CTX_free(trial);
	int err = usable ? PBX_OK : make(owner, listen, files.certificate, files.key, diag);
	if (err == PBX_OK)
		*ret_files = files;
	return err;
}

int core_certificate_load(const struct core_certificate *files, struct ssl_ctx_st *context, struct pbx_diag *diag)
{
	return load(context, files->certificate, files->key, diag);
}
