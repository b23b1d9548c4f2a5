/* sip/tls.h - TLS of the listeners: versions, certificates, whom to believe. [loop]
 *
 * Sofia makes the connections; what it leaves open is set on its contexts here, and what it forgets is freed. */
#pragma once
#include "listener.h"
#include <openssl/types.h>

/* Which certificate to show, and a watch over the files of all. PBX_OK, PBX_EIO, PBX_EINVAL, PBX_ENOMEM; diag tells why. */
int ua_tls_start(struct ua *ua, struct pbx_diag *diag);
void ua_tls_stop(void);
/* What was made last, when it was for this socket; else NULL. Borrowed until Sofia closes the connection. */
SSL *ua_tls_latest(int socket);
/* The connection that somebody has opened from that other end; NULL: there is none. Borrowed until the callback returns. */
SSL *ua_tls_connection(const struct core_addr *end);
/* Whom the connections that Sofia opens from now on are to (SNI, RFC 6066 3), for as long as `name` is there; "" or NULL: nobody in
 * particular. Set around the sending of a request. */
void ua_tls_calls(const char *name);
/* Why a server's certificate was not believed a moment ago; "" when none was. Borrowed. */
const char *ua_tls_refusal(void);
/* As nta_agent_add_tport() for a TLS listener of this URL, with the certificate of its manners, and whether they want one of clients ("none",
 * "optional", "required"). ident lasts as long as the listener. PBX_OK, PBX_EIO: errno or diag says why. */
int ua_tls_listen(struct ua *ua, const char *url, const char *ident, const struct ua_manners *manners, struct pbx_diag *diag);
