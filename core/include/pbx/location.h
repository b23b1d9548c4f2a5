/* pbx/location.h - where an account's devices are right now
 * Served as "pbx.location/1" by the registrar. All of it: [loop], answered from memory.
 * Events: registration.added, registration.refreshed, registration.removed {id, aor, contact, received, transport, user_agent, expires, reason}. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One binding (RFC 3261 10, RFC 5626). Borrowed until the callback returns. Texts are never NULL. */
struct pbx_contact {
	uint32_t size;
	const char *id;        /* stable over refreshes and restarts */
	const char *aor;       /* user part: "1001" */
	const char *uri;       /* as the device gave it */
	const char *received;  /* "192.0.2.7:5060", the packet's source */
	const char *transport; /* "udp", "tcp", "tls", "ws", "wss" */
	const char *user_agent, *instance, *path;
	uint32_t reg_id, q_milli; /* q: 0-1000 */
	int64_t registered_wall_us, expires_wall_us;
	uint32_t round_trip_us; /* of our OPTIONS to a device behind NAT; 0: not asked, or not answered yet */
	uint32_t unanswered;    /* how many of them in a row */
	/* What a push service needs to wake the device (RFC 8599), "" when it names none. */
	const char *push_provider, *push_id, *push_param;
	const char *node;     /* which other node of the database has the way to it (sip.node), "" when we do */
	const char *listener; /* by which of sip.listeners it came; "sip": one of sip.listen, "" when not known */
};

struct pbx_location {
	struct pbx_header header;

	/* Calls each(context, contact) for the live contacts of an account, best q first; aor NULL: for all. Returns how many. */
	uint32_t (*each)(const char *aor, void (*each)(void *context, const struct pbx_contact *contact), void *context);
	bool (*is_registered)(const char *aor);
	/* Removes a binding by id, or all of an account. PBX_OK, PBX_ENOENT. */
	int (*remove)(struct pbx_host *host, const char *id);
	int (*remove_all)(struct pbx_host *host, const char *aor);
	uint32_t (*count)(void);
	/* A contact's flow has failed, its edge says (430, RFC 5626 5.3): it is removed, other flows of its device stay. PBX_OK, PBX_ENOENT. */
	int (*flow_failed)(const char *id);
};

PBX_SERVICE(pbx_location, "pbx.location/1")

#ifdef __cplusplus
}
#endif
