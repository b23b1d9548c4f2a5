/*
 * socket.c - what the daemon puts in place of Sofia's own sockets
 *
 * Sofia's library calls su_socket() and su_vrecv() as anybody may, so those of the daemon take their place. Every socket gets its DSCP. Datagrams
 * of an address that sends too many are thrown away in the kernel's queue, unread: Sofia makes a message of each before it looks at it, and
 * what floods us costs a tenth of that here.
 */
#include "address.h"
#include "auth.h"
#include "guard.h"
#include "loop.h"
#include "metrics.h"
#include "socket.h"
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define MOST_AT_ONCE 512u /* datagrams thrown away in a row: then others have their turn */

static struct ua *watching;

void ua_sockets_watch(struct ua *ua)
{
	watching = ua;
}

PBX_EXPORT su_socket_t su_socket(int family, int type, int protocol)
{
	static su_socket_t (*real)(int, int, int);

	if (!real)
		real = (su_socket_t(*)(int, int, int))dlsym(RTLD_NEXT, "su_socket");
	su_socket_t fd = real(family, type, protocol);
	int class = watching ? (int)watching->settings->dscp << 2 : 0;

	if (fd < 0 || class == 0)
		return fd;
	/* Where it is refused the packets go without. */
	(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &class, sizeof class);
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
	return fd;
}

static bool is_over(const struct core_addr *source, bool takes)
{
	const struct ua_settings *settings = watching->settings;

	if (source->sa.sa_family != AF_INET && source->sa.sa_family != AF_INET6)
		return false;
	return !ua_packets_allow(source, settings->packet_rate, settings->packet_burst, core_now_ms(), takes) &&
	       !ua_is_peer(watching, source);
}

/* Who sent the next datagram. False: there is none. */
static bool peek(su_socket_t fd, struct core_addr *ret_source)
{
	struct core_addr source = { 0 };
	struct msghdr head = { .msg_name = &source, .msg_namelen = sizeof source };

	if (recvmsg(fd, &head, MSG_PEEK | MSG_DONTWAIT) < 0)
		return false;
	*ret_source = source;
	return true;
}

PBX_EXPORT issize_t su_vrecv(su_socket_t fd, su_iovec_t parts[], isize_t count, int flags, su_sockaddr_t *from, socklen_t *from_size)
{
	static issize_t (*real)(su_socket_t, su_iovec_t[], isize_t, int, su_sockaddr_t *, socklen_t *);
	struct core_addr source = { 0 };

	if (!real)
		real = (issize_t(*)(su_socket_t, su_iovec_t[], isize_t, int, su_sockaddr_t *, socklen_t *))dlsym(RTLD_NEXT, "su_vrecv");
	issize_t got = real(fd, parts, count, flags, from, from_size);
	if (got < 0 || flags || !from || !watching || *from_size > sizeof source)
		return got;
	memcpy(&source, from, *from_size);
	if (!is_over(&source, true))
		return got;

	uint32_t dropped = 1;
	while (dropped < MOST_AT_ONCE && peek(fd, &source) && is_over(&source, false)) {
		(void)recv(fd, NULL, 0, MSG_DONTWAIT); /* it was there a moment ago */
		dropped++;
	}
	(void)core_metrics_service.add(watching->host, UA_METRIC_FLOOD, NULL, dropped); /* a lost count is no reason to stop */
	errno = EAGAIN;
	return -1;
}
