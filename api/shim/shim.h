/* api/shim/shim.h - what the gateway asks of the objects that stand between CivetWeb and OpenSSL */
#pragma once
#include <stddef.h>

#define API_SHIM_EXPORT __attribute__((visibility("default")))

/* Something for the daemon to refer to, so that a linker that leaves out needless libraries keeps them. */
API_SHIM_EXPORT extern const char api_shim_ssl[], api_shim_crypto[];

/* The calling thread reads this many octets from connections and no more: then its connection looks broken. SIZE_MAX: as many as there are. */
API_SHIM_EXPORT void api_shim_allow(size_t octets);
