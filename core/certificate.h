/* core/certificate.h - the certificate that HTTPS and SIP over TLS show: the one of the settings, or one of our own making. [any] */
#pragma once
#include <limits.h>
#include <pbx/plugin.h>

struct ssl_ctx_st;

/* Files in PEM: the chain, our own certificate first, and its private key. */
struct core_certificate {
	char certificate[PATH_MAX], key[PATH_MAX];
};

/* Those that are named; with an empty name our own in the data directory, made when missing, damaged or about to expire. listen: an address
 * people call us by, or "". owner: in whose name the log tells of a new one. PBX_OK, PBX_EIO, PBX_ENOMEM; diag tells why. */
int core_certificate_find(const char *owner, const char *certificate, const char *key, const char *data_dir, const char *listen,
			  struct core_certificate *ret_files, struct pbx_diag *diag);
/* Loads them into a context: connections it made before keep what they have. PBX_OK, PBX_EIO; diag tells why: its place is "certificate"
 * or "key", in the caller's section. */
int core_certificate_load(const struct core_certificate *files, struct ssl_ctx_st *context, struct pbx_diag *diag);
