/* api/shim/shim.h - what the gateway asks of the objects that stand between CivetWeb and OpenSSL */
#pragma once
#include <stddef.h>
#include <sys/socket.h>

#define API_SHIM_EXPORT __attribute__((visibility("default")))

/* Something for the daemon to refer to, so that a linker that leaves out needless libraries keeps them. */
API_SHIM_EXPORT extern const char api_shim_ssl[], api_shim_crypto[];

/* The calling thread reads this many octets from connections and no more: then its connection looks broken. SIZE_MAX: as many as there are. */
API_SHIM_EXPORT void api_shim_allow(size_t octets);

/* The socket of the calling thread's latest TLS connection, -1: it had none. */
API_SHIM_EXPORT int api_shim_socket(void);

/* Who answers poll() for one descriptor, and accept(), in the thread that keeps the door. */
struct api_shim_door {
	int (*wait)(void *context, int listener, int timeout_ms); /* 1: accept() has somebody, 0: not yet */
	int (*accept)(void *context, struct sockaddr *ret_from, socklen_t *size);
};
/* The calling thread keeps this door from now on. door.c */
API_SHIM_EXPORT void api_shim_keep_door(const struct api_shim_door *door, void *context);
