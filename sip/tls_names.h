/* sip/tls_names.h - who a client has proved to be by its certificate (RFC 5922). [loop] */
#pragma once
#include "ua.h"

#define UA_MOST_NAMES 8u
#define UA_TLS_NAME 256u

/* "sip:1001@pbx.test" is somebody, "gateway.example.net" a whole system. */
struct ua_tls_names {
	uint32_t count;
	char names[UA_MOST_NAMES][UA_TLS_NAME];
};

/* The names of the client at the other end of a connection, from a certificate that one of sip.tls_authorities vouches for; none: it has shown none. */
void ua_tls_names(const struct core_addr *end, struct ua_tls_names *ret_names);
/* The account of this domain among them. False: there is none. */
bool ua_tls_account(const struct ua_tls_names *names, const char *domain, char ret_account[64]);
