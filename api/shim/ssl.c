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
 *
 * It also believes what a frame of a WebSocket says of its length, and buffers a gigabyte for whoever sends one before it tells anybody. So a thread can
 * be given an allowance of octets, here and in recv(), which it reads where there is no TLS: beyond it the connection looks broken.
 */
#include "shim.h"
#include <dlfcn.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#undef SSL_get_peer_certificate

API_SHIM_EXPORT X509 *SSL_get_peer_certificate(const SSL *ssl);

X509 *SSL_get_peer_certificate(const SSL *ssl)
{
	return SSL_get1_peer_certificate(ssl);
}

API_SHIM_EXPORT int SSL_set_fd(SSL *ssl, int fd);
API_SHIM_EXPORT int SSL_read(SSL *ssl, void *buffer, int size);
API_SHIM_EXPORT int SSL_write(SSL *ssl, const void *buffer, int size);

/* Under a name of its own: headers may bring an inline recv() that checks sizes. */
API_SHIM_EXPORT ssize_t allowed_recv(int socket, void *buffer, size_t size, int flags) __asm__("recv");

static int (*real_set_fd)(SSL *ssl, int fd);
static int (*real_read)(SSL *ssl, void *buffer, int size);
static int (*real_write)(SSL *ssl, const void *buffer, int size);
static ssize_t (*real_recv)(int socket, void *buffer, size_t size, int flags);
static int lock_index = -1;
static _Thread_local size_t allowance = SIZE_MAX;
static _Thread_local int latest_socket = -1;

void api_shim_allow(size_t octets)
{
	allowance = octets;
}

int api_shim_socket(void)
{
	return latest_socket;
}

static ssize_t within_allowance(ssize_t got)
{
	if (got <= 0 || allowance == SIZE_MAX)
		return got;
	if ((size_t)got > allowance) {
		errno = EMSGSIZE;
		return -1;
	}
	allowance -= (size_t)got;
	return got;
}

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
	real_set_fd = (int (*)(SSL *, int))dlsym(RTLD_NEXT, "SSL_set_fd");
	real_read = (int (*)(SSL *, void *, int))dlsym(RTLD_NEXT, "SSL_read");
	real_write = (int (*)(SSL *, const void *, int))dlsym(RTLD_NEXT, "SSL_write");
	real_recv = (ssize_t(*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
	lock_index = SSL_get_ex_new_index(0, NULL, make_lock, NULL, free_lock);
}

int SSL_set_fd(SSL *ssl, int fd)
{
	latest_socket = fd;
	return real_set_fd(ssl, fd);
}

int SSL_read(SSL *ssl, void *buffer, int size)
{
	pthread_mutex_t *lock = SSL_get_ex_data(ssl, lock_index);

	if (lock)
		(void)pthread_mutex_lock(lock);
	int got = real_read(ssl, buffer, size);
	if (lock)
		(void)pthread_mutex_unlock(lock);
	return (int)within_allowance(got);
}

ssize_t allowed_recv(int socket, void *buffer, size_t size, int flags)
{
	return within_allowance(real_recv(socket, buffer, size, flags));
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

const char api_shim_ssl[] = "libssl.so for CivetWeb";
