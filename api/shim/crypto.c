/* crypto.c - libcrypto.so for CivetWeb: nothing but a name for OpenSSL 3; ssl.c tells why */
#include "shim.h"

const char api_shim_crypto[] = "libcrypto.so for CivetWeb";
