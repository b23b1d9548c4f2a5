/*
 * tap.c - where messages are seen, both ways, whoever sends them
 *
 * With TPTAG_LOG Sofia's transports call tport_log_msg() for each message: for what nta answers and repeats by itself, too, over every
 * transport. The function is exported by the library and called through the procedure linkage table, so the daemon's own, which it exports
 * under the same name, stands in its place. Nothing is printed; the bytes go into a ring (core/trace.c). Should a build of Sofia bind the call to
 * itself, nothing breaks but the trace, and that is said.
 */
#include "tap.h"
#include "address.h"
#include "flows.h"
#include "lingering.h"
#include "loop.h"
#include "trace.h"
#include <dlfcn.h>
#include <sofia-sip/msg_addr.h>
#include <string.h>

#define MOST_PARTS 64u
#define KNOWN_WAYS 64u /* a power of two */
#define WAY_LIFE_MS 60000u

PBX_EXPORT void tport_log_msg(tport_t *tport, msg_t *msg, const char *what, const char *via, su_time_t now);

static uint64_t seen;
static bool complained;

/* ---- our side of it ------------------------------------------------------------------- */

/* A listener of all addresses does not say which one of ours a peer meets: the route to it does. Asked once a minute and peer. */
static struct way {
	struct core_addr peer, local;
	uint64_t until_ms;
} ways[KNOWN_WAYS];

static bool same_host(const struct core_addr *a, const struct core_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	return a->sa.sa_family == AF_INET6 ? memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0
					   : a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
}

static uint32_t place_of(const struct core_addr *peer)
{
	uint32_t word = peer->in4.sin_addr.s_addr;

	if (peer->sa.sa_family == AF_INET6)
		memcpy(&word, peer->in6.sin6_addr.s6_addr + 12, sizeof word);
	return (word * 2654435761u) >> 26;
}

static void find_way(const struct core_addr *peer, struct core_addr *ret_local)
{
	struct way *way = &ways[place_of(peer) % KNOWN_WAYS];
	uint64_t now_ms = core_now_ms();

	if (now_ms >= way->until_ms || !same_host(&way->peer, peer)) {
		way->peer = *peer;
		way->until_ms = now_ms + WAY_LIFE_MS;
		if (!ua_address_towards(peer, &way->local))
			way->local = *ret_local; /* no route: as the listener says */
	}
	uint16_t port_be = ret_local->in4.sin_port; /* in6's stands in the same place */
	*ret_local = way->local;
	ret_local->in4.sin_port = port_be;
}

static bool is_any(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr) : addr->in4.sin_addr.s_addr == INADDR_ANY;
}

static void local_of(tport_t *tport, const struct core_addr *peer, struct core_addr *ret_local)
{
	tport_t *listener = tport_is_secondary(tport) ? tport_parent(tport) : tport;
	const su_addrinfo_t *info = listener ? tport_get_address(listener) : NULL;

	memset(ret_local, 0, sizeof *ret_local);
	if (info && info->ai_addr && info->ai_addrlen <= sizeof *ret_local)
		memcpy(ret_local, info->ai_addr, info->ai_addrlen);
	if (is_any(ret_local))
		find_way(peer, ret_local);
}

/* ---- the tap -------------------------------------------------------------------------- */

static const char *transport_of(const tport_t *tport)
{
	const tp_name_t *name = tport_name(tport);

	return name && name->tpn_proto ? name->tpn_proto : "?";
}

/* A WebSocket client comes by the gateway's connection to our door: whose it is stands in core/flows.h. False: it is none, or has left. */
static bool find_client(tport_t *tport, const struct core_addr *peer, struct core_flow *ret_flow)
{
	return ua_part && ua_part->door && tport_parent(tport) == ua_part->door && core_flow_find(ua_address_port(peer), ret_flow);
}

void tport_log_msg(tport_t *tport, msg_t *msg, const char *what, const char *via, su_time_t now)
{
	msg_iovec_t parts[MOST_PARTS];
	struct iovec bytes[MOST_PARTS];
	isize_t count = msg_iovec(msg, parts, MOST_PARTS);
	const char *transport = transport_of(tport);
	struct core_addr local, peer;
	struct core_flow flow;

	(void)via, (void)now; /* "via" or "from", and the clock of the transport */
	seen++;
	bool came = strncmp(what, "recv", 4) == 0;
	if (came && tport_is_secondary(tport))
		ua_lingering_heard(tport);
	count = count > (isize_t)MOST_PARTS ? (isize_t)MOST_PARTS : count;
	for (isize_t i = 0; i < count; i++)
		bytes[i] = (struct iovec){ .iov_base = parts[i].mv_base, .iov_len = parts[i].mv_len };
	memcpy(&peer, msg_addr(msg), sizeof peer);
	local_of(tport, &peer, &local);
	if (find_client(tport, &peer, &flow)) {
		peer = flow.client;
		transport = flow.transport;
	}
	core_trace_capture(!came, transport, &local, &peer, bytes, (uint32_t)count);
}

/* ---- the check ------------------------------------------------------------------------ */

bool ua_tap_is_in_place(void)
{
	void *named = dlsym(RTLD_DEFAULT, "tport_log_msg");
	void (*ours)(tport_t *, msg_t *, const char *, const char *, su_time_t) = tport_log_msg;
	void *own;

	memcpy(&own, &ours, sizeof own);
	return named == own;
}

void ua_tap_check(const struct ua *ua)
{
	if (seen || complained)
		return;
	complained = true;
	pbx_error(ua->host, "trace_sees_nothing",
		  "reason=\"this build of Sofia-SIP does not call our tport_log_msg\" effect=\"no trace of calls\"");
}
