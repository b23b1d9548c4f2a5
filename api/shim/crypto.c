/* crypto.c - libcrypto.so for CivetWeb: nothing but a name for OpenSSL 3; ssl.c tells why */

/* Something for the daemon to refer to, so that a linker that leaves out needless libraries keeps this one. */
__attribute__((visibility("default"))) extern const char api_shim_crypto[];
const char api_shim_crypto[] = "libcrypto.so for CivetWeb";
