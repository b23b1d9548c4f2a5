/*
 * ssl.c - OpenSSL 3 under the name CivetWeb looks for
 *
 * Debian's CivetWeb opens "libssl.so" and "libcrypto.so" with dlopen: names that only development packages have. It asks the first for
 * SSL_get_peer_certificate, which OpenSSL 3 turned into a macro, and dies on the first request when it is not there. So we bring two
 * objects of our own with these sonames, linked to the real ones. The daemon is linked to both, hence they are loaded before CivetWeb asks,
 * and dlopen finds them by soname. This is the first of them; the second is crypto.c.
 */
#include <openssl/ssl.h>

#undef SSL_get_peer_certificate

__attribute__((visibility("default"))) X509 *SSL_get_peer_certificate(const SSL *ssl);

X509 *SSL_get_peer_certificate(const SSL *ssl)
{
	return SSL_get1_peer_certificate(ssl);
}

/* Something for the daemon to refer to, so that a linker that leaves out needless libraries keeps this one. */
__attribute__((visibility("default"))) extern const char api_shim_ssl[];
const char api_shim_ssl[] = "libssl.so for CivetWeb";
