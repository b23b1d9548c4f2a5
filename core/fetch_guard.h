/* core/fetch_guard.h - which addresses the HTTP client may speak to. Pure functions over a list. [loop] but for one. */
#pragma once
#include <pbx/plugin.h>
#include <sys/socket.h>

/* Makes entries of "host:port", "192.0.2.0/24:443", "[fd00::/8]:8080" ("*" as port: any) the list of exceptions.
 * PBX_EINVAL: diag names the entry and the old list stays. */
int core_fetch_guard_allow(const struct pbx_list *entries, struct pbx_diag *diag);
void core_fetch_guard_fini(void);

/* [any] May a connection for host:port go to this address? host: as in the URL. */
bool core_fetch_guard_permits(const char *host, uint16_t port, const struct sockaddr *address);
/* As far as the URL's host alone tells. */
bool core_fetch_guard_permits_name(const char *host, uint16_t port);
