/*
 * ssl.c - OpenSSL 3 under the name CivetWeb looks for
 *
 * Debian's CivetWeb opens "libssl.so" and "libcrypto.so" with dlopen: names that only development packages have. It asks the first for
 * SSL_get_peer_certificate, which OpenSSL 3 turned into a macro, and dies on the first request when it is not there. So we bring two
 * objects of our own with these sonames, linked to the real ones. The daemon is linked to both, hence they are loaded before CivetWeb asks,
 * and dlopen finds them by soname. This is the first of them; the second is crypto.c.
 *
 * CivetWeb reads a WebSocket in one thread and lets others write to it, which OpenSSL does not allow for one SSL: reading and writing have a
 * lock here. Both are short, as its sockets do not block. Everybody else in the process finds these two first as well, and loses nothing.
 */
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>

#undef SSL_get_peer_certificate

__attribute__((visibility("default"))) X509 *SSL_get_peer_certificate(const SSL *ssl);

X509 *SSL_get_peer_certificate(const SSL *ssl)
{
	return SSL_get1_peer_certificate(ssl);
}

__attribute__((visibility("default"))) int SSL_read(SSL *ssl, void *buffer, int size);
__attribute__((visibility("default"))) int SSL_write(SSL *ssl, const void *buffer, int size);

static int (*real_read)(SSL *ssl, void *buffer, int size);
static int (*real_write)(SSL *ssl, const void *buffer, int size);
static int lock_index = -1;

static void make_lock(void *parent, void *data, CRYPTO_EX_DATA *more, int index, long number, void *pointer)
{
	pthread_mutex_t *lock = malloc(sizeof *lock);

	(void)parent, (void)data, (void)number, (void)pointer;
	if (lock && (pthread_mutex_init(lock, NULL) != 0 || CRYPTO_set_ex_data(more, index, lock) != 1)) {
		free(lock);
		lock = NULL;
	}
}

static void free_lock(void *parent, void *data, CRYPTO_EX_DATA *more, int index, long number, void *pointer)
{
	(void)parent, (void)more, (void)index, (void)number, (void)pointer;
	if (data)
		(void)pthread_mutex_destroy(data);
	free(data);
}

__attribute__((constructor)) static void find_real_ones(void)
{
	real_read = (int (*)(SSL *, void *, int))dlsym(RTLD_NEXT, "SSL_read");
	real_write = (int (*)(SSL *, const void *, int))dlsym(RTLD_NEXT, "SSL_write");
	lock_index = SSL_get_ex_new_index(0, NULL, make_lock, NULL, free_lock);
}

int SSL_read(SSL *ssl, void *buffer, int size)
{
	pthread_mutex_t *lock = SSL_get_ex_data(ssl, lock_index);

	if (lock)
		(void)pthread_mutex_lock(lock);
	int got = real_read(ssl, buffer, size);
	if (lock)
		(void)pthread_mutex_unlock(lock);
	return got;
}

int SSL_write(SSL *ssl, const void *buffer, int size)
{
	pthread_mutex_t *lock = SSL_get_ex_data(ssl, lock_index);

	if (lock)
		(void)pthread_mutex_lock(lock);
	int sent = real_write(ssl, buffer, size);
	if (lock)
		(void)pthread_mutex_unlock(lock);
	return sent;
}

/* Something for the daemon to refer to, so that a linker that leaves out needless libraries keeps this one. */
__attribute__((visibility("default"))) extern const char api_shim_ssl[];
const char api_shim_ssl[] = "libssl.so for CivetWeb";
