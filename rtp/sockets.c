/* rtp/sockets.c - the ports of streams and forks, and where others reach them: the external address, the bound one, candidates of ICE */
#include "engine_inner.h"
#include "ice.h"
#include "kernel.h"
#include "ports.h"
#include "tcp.h"

#include <arpa/inet.h>
#include <core/log.h>
#include <core/loop.h>
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>
#include <unistd.h>

#define MOST_BIND_TRIES 16 /* ports of ours that somebody else sits on */

struct core_addr rtp_socket_addr(int family, const char *host, uint16_t port)
{
	struct core_addr addr = { 0 };

	if (family == AF_INET) {
		addr.in4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
		(void)inet_pton(AF_INET, host, &addr.in4.sin_addr); /* checked with the settings; empty: any */
	} else {
		addr.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		(void)inet_pton(AF_INET6, host, &addr.in6.sin6_addr);
	}
	return addr;
}

static void set_dscp(int fd, int family, uint32_t dscp)
{
	int class = (int)dscp << 2;

	/* A kernel that will not mark still sends. */
	if (family == AF_INET)
		(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &class, sizeof class);
	else
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
}

static int bound_socket(int family, uint16_t port)
{
	const char *host = family == AF_INET ? rtp_engine.settings->bind : rtp_engine.settings->bind6;
	struct core_addr addr = rtp_socket_addr(family, host, port);
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), only = 1;

	if (fd < 0)
		return -1;
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only); /* IPv4 has sockets of its own */
	set_dscp(fd, family, rtp_engine.settings->dscp);
	if (bind(fd, &addr.sa, rtp_addr_size(&addr)) == 0)
		return fd;
	int why = errno;

	(void)close(fd);
	errno = why;
	return -1;
}

void rtp_socket_mark(int fd, int family, uint32_t dscp)
{
	set_dscp(fd, family, dscp ? dscp : rtp_engine.settings->dscp);
}

void rtp_pair_mark(const struct rtp_pair *pair, int family, uint32_t dscp)
{
	rtp_socket_mark(pair->rtp_fd, family, dscp);
	rtp_socket_mark(pair->rtcp_fd, family, dscp);
}

static void close_sockets(int rtp_fd, int rtcp_fd)
{
	if (rtp_fd >= 0)
		(void)close(rtp_fd);
	if (rtcp_fd >= 0)
		(void)close(rtcp_fd);
}

/* What the kernel would have given at another time is a shortage, as ports are. */
static int refused_by(int why)
{
	if (why == EMFILE || why == ENFILE)
		core_log(PBX_LOG_ERROR, RTP_OWNER, NULL, "no_descriptors_left", "cure=\"raise LimitNOFILE of the service\"");
	return why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM ? PBX_ENOSPC : PBX_EIO;
}

int rtp_pair_open(int family, uint32_t use, struct rtp_pair *ret_pair)
{
	for (int tries = 0; tries < MOST_BIND_TRIES; tries++) {
		uint16_t port;
		int err = rtp_ports_take(rtp_engine.ports, use, core_now_ms(), &port);

		if (err != PBX_OK)
			return err;
		int rtp_fd = bound_socket(family, port), rtcp_fd = rtp_fd >= 0 ? bound_socket(family, (uint16_t)(port + 1)) : -1;

		if (rtcp_fd >= 0) {
			*ret_pair = (struct rtp_pair){ .rtp_fd = rtp_fd, .rtcp_fd = rtcp_fd, .use = use, .port = port };
			return PBX_OK;
		}
		int why = errno;

		close_sockets(rtp_fd, rtcp_fd);
		rtp_ports_give_back(rtp_engine.ports, use, port, core_now_ms());
		if (why != EADDRINUSE)
			return refused_by(why);
	}
	return PBX_EIO;
}

void rtp_pair_close(struct rtp_pair *pair)
{
	if (pair->port == 0)
		return;
	close_sockets(pair->rtp_fd, pair->rtcp_fd);
	rtp_ports_give_back(rtp_engine.ports, pair->use, pair->port, core_now_ms());
	*pair = (struct rtp_pair){ .rtp_fd = -1, .rtcp_fd = -1 };
}

/* ---- of a stream ---- */

int rtp_sockets_open(struct rtp_stream *stream, int family)
{
	struct rtp_session *session = &stream->session;
	struct rtp_pair pair;
	int err = rtp_pair_open(family, RTP_PORTS_CALL, &pair);

	if (err != PBX_OK)
		return err;
	session->port = stream->port = pair.port;
	session->handover.place = rtp_kernel_place(pair.port);
	session->rtp_fd = pair.rtp_fd;
	session->rtcp_fd = pair.rtcp_fd;
	return PBX_OK;
}

void rtp_sockets_mark(const struct rtp_session *session, int family, uint32_t dscp)
{
	rtp_pair_mark(&(struct rtp_pair){ .rtp_fd = session->rtp_fd, .rtcp_fd = session->rtcp_fd }, family, dscp);
}

void rtp_sockets_close(struct rtp_session *session)
{
	close_sockets(session->rtp_fd, session->rtcp_fd);
	session->rtp_fd = session->rtcp_fd = -1;
}

/* ---- where they are ---- */

bool rtp_addr_read(int family, const char *host, uint32_t port, struct core_addr *ret_addr)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (port == 0 || port > UINT16_MAX || inet_pton(family, host, address) != 1)
		return false;
	*ret_addr = rtp_socket_addr(family, host, (uint16_t)port);
	return true;
}

/* The address that a packet to the outside world would leave from. */
static struct core_addr default_route(int family)
{
	struct core_addr far = rtp_socket_addr(family, family == AF_INET ? "192.0.2.1" : "2001:db8::1", 9), here = { 0 };
	socklen_t size = sizeof here;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, &far.sa, rtp_addr_size(&far)) < 0 || getsockname(fd, &here.sa, &size) < 0)
		here = rtp_socket_addr(family, family == AF_INET ? "127.0.0.1" : "::1", 0);
	if (fd >= 0)
		(void)close(fd);
	return here;
}

static bool is_any(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? addr->in4.sin_addr.s_addr == INADDR_ANY : IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

struct core_addr rtp_sockets_advertised(int family, uint16_t port)
{
	const struct rtp_settings *settings = rtp_engine.settings;
	const char *external = family == AF_INET ? settings->external_ip : settings->external_ip6;
	const char *bound = family == AF_INET ? settings->bind : settings->bind6;
	struct core_addr addr = rtp_socket_addr(family, external && *external ? external : bound, port);

	if (is_any(&addr))
		addr = default_route(family);
	if (family == AF_INET)
		addr.in4.sin_port = htons(port);
	else
		addr.in6.sin6_port = htons(port);
	return addr;
}

bool rtp_sockets_bound(int family, struct core_addr *ret_bound)
{
	const struct rtp_settings *settings = rtp_engine.settings;

	*ret_bound = rtp_socket_addr(family, family == AF_INET ? settings->bind : settings->bind6, 0);
	return *(family == AF_INET ? settings->external_ip : settings->external_ip6) != '\0';
}

/* ---- ICE: each way in that a stream has ---- */

static void add_candidate(struct core_ice *ice, struct core_addr addr, uint16_t port, uint8_t component, uint8_t kind)
{
	addr.in4.sin_port = htons(port); /* the same place in both families */
	ice->candidates[ice->candidate_count++] = (struct core_candidate){
		.addr = addr, .priority = rtp_ice_priority(kind, addr.transport, component), .component = component, .kind = kind
	};
}

/* By datagrams at the stream's ports, by connections at the door of all: there RTP and RTCP share one. */
static void add_candidates(struct core_ice *ice, const struct core_addr *addr, uint8_t kind)
{
	uint16_t port = ntohs(addr->in4.sin_port), door = rtp_door_port(addr->sa.sa_family);
	struct core_addr by_tcp = *addr;

	by_tcp.transport = CORE_BY_TCP;
	add_candidate(ice, *addr, port, 1, kind);
	add_candidate(ice, *addr, (uint16_t)(port + 1), 2, kind);
	if (door)
		add_candidate(ice, by_tcp, door, 1, kind);
}

/* Our own address, and the one in front of our NAT where the settings name it. A lite agent has but the one that everybody reaches (2.5). */
uint32_t rtp_sockets_ice(core_stream name, struct core_ice *ret_ice)
{
	const struct rtp_stream *stream = rtp_stream_find(name);
	const char *role = rtp_engine.running ? rtp_engine.settings->ice : "off";

	if (!stream || strcmp(role, "off") == 0)
		return CORE_ICE_OFF;
	int family = stream->local.sa.sa_family;
	struct core_addr own =
		rtp_socket_addr(family, family == AF_INET ? rtp_engine.settings->bind : rtp_engine.settings->bind6, stream->port);
	bool lite = strcmp(role, "lite") == 0;

	if (is_any(&own))
		own = default_route(family);
	own.in4.sin_port = htons(stream->port);
	ret_ice->candidate_count = 0;
	if (lite || rtp_addr_same_host(&own, &stream->local)) {
		add_candidates(ret_ice, &stream->local, CORE_CANDIDATE_HOST);
	} else {
		add_candidates(ret_ice, &own, CORE_CANDIDATE_HOST);
		add_candidates(ret_ice, &stream->local, CORE_CANDIDATE_SERVER_REFLEXIVE);
	}
	return lite ? CORE_ICE_LITE : CORE_ICE_FULL;
}
