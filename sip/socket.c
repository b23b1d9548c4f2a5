/*
 * socket.c - what the daemon puts in place of Sofia's own sockets
 *
 * Sofia's library calls su_socket(), su_vsend() and su_vrecv() as anybody may, so those of the daemon take their place. Every socket gets its
 * DSCP, and every datagram to a peer that has one of its own. Datagrams
 * of an address that sends too many, or that the border's guard does not want, are thrown away in the kernel's queue, unread: Sofia makes a
 * message of each before it looks at it, and what floods us costs a tenth of that here. What is no SIP (screen.c) goes no further either.
 */
#include "auth.h"
#include "border.h"
#include "guard.h"
#include "listener.h"
#include "loop.h"
#include "metrics.h"
#include "peer.h"
#include "screen.h"
#include "socket.h"
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define MOST_AT_ONCE 512u /* datagrams thrown away in a row: then others have their turn */
#define ANSWER_SIZE 4096u

static struct ua *watching;
static su_socket_t latest = INVALID_SOCKET;

su_socket_t ua_sockets_latest(void)
{
	return latest;
}

void ua_sockets_watch(struct ua *ua)
{
	watching = ua;
}

void ua_socket_mark(su_socket_t fd, int family, uint32_t dscp)
{
	int class = (int)dscp << 2;

	(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &class, sizeof class); /* what is refused goes unmarked */
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
}

PBX_EXPORT su_socket_t su_socket(int family, int type, int protocol)
{
	static su_socket_t (*real)(int, int, int);

	if (!real)
		real = (su_socket_t(*)(int, int, int))dlsym(RTLD_NEXT, "su_socket");
	su_socket_t fd = real(family, type, protocol);

	latest = fd;
	if (fd >= 0 && watching && watching->settings->dscp)
		ua_socket_mark(fd, family, watching->settings->dscp);
	return fd;
}

/* Datagrams to a peer that has a DSCP of its own, by the socket that all share. */
static issize_t send_marked(su_socket_t fd, const su_iovec_t parts[], isize_t count, int flags, const su_sockaddr_t *to, socklen_t to_size,
			    int class)
{
	bool is_six = to->su_sa.sa_family == AF_INET6;
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = {
		.msg_name = (void *)(uintptr_t)to,
		.msg_namelen = to_size,
		.msg_iov = (struct iovec *)(uintptr_t)parts, /* Sofia's is the system's under another name */
		.msg_iovlen = (size_t)count,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *word = CMSG_FIRSTHDR(&message);

	*word = (struct cmsghdr){ .cmsg_level = is_six ? IPPROTO_IPV6 : IPPROTO_IP,
				  .cmsg_type = is_six ? IPV6_TCLASS : IP_TOS,
				  .cmsg_len = CMSG_LEN(sizeof class) };
	memcpy(CMSG_DATA(word), &class, sizeof class);
	return (issize_t)sendmsg(fd, &message, flags);
}

PBX_EXPORT issize_t su_vsend(su_socket_t fd, const su_iovec_t parts[], isize_t count, int flags, const su_sockaddr_t *to, socklen_t to_size)
{
	static issize_t (*real)(su_socket_t, const su_iovec_t[], isize_t, int, const su_sockaddr_t *, socklen_t);
	struct core_addr end = { 0 };
	int dscp = 0;

	if (!real)
		real = (issize_t(*)(su_socket_t, const su_iovec_t[], isize_t, int, const su_sockaddr_t *, socklen_t))dlsym(RTLD_NEXT,
															   "su_vsend");
	if (to && watching && to_size <= sizeof end) {
		memcpy(&end, to, to_size);
		dscp = ua_peer_dscp_towards(&end);
	}
	return dscp ? send_marked(fd, parts, count, flags, to, to_size, dscp << 2) : real(fd, parts, count, flags, to, to_size);
}

static bool is_over(const struct core_addr *source, bool takes)
{
	const struct ua_settings *settings = watching->settings;

	return !ua_packets_allow(source, settings->packet_rate, settings->packet_burst, core_now_ms(), takes) &&
	       !ua_is_peer(watching, source) && !ua_peer_at(source);
}

/* Nobody is to read what comes from there. ret_over counts what was too much; the border's guard counts its own. */
static bool is_unwanted(const struct core_addr *source, bool takes, uint32_t *ret_over)
{
	if (source->sa.sa_family != AF_INET && source->sa.sa_family != AF_INET6)
		return false;

	uint32_t verdict = ua_border_packet(source, "udp");
	if (verdict != PBX_BORDER_PASS)
		return verdict == PBX_BORDER_DROP;
	if (!is_over(source, takes))
		return false;
	(*ret_over)++;
	return true;
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

/* Behind a datagram that is unwanted there are often more, which are not worth a round of the loop each. */
static void drop_unwanted(su_socket_t fd, uint32_t *ret_over)
{
	struct core_addr source;

	for (uint32_t i = 0; i < MOST_AT_ONCE && peek(fd, &source) && is_unwanted(&source, false, ret_over); i++)
		(void)recv(fd, NULL, 0, MSG_DONTWAIT); /* it was there a moment ago */
}

/* No SIP, or with a first line that Sofia would drop without a word: answered from here where it can be. True: it goes no further. */
static bool is_broken(su_socket_t fd, const struct core_addr *source, socklen_t source_size, const char *bytes, size_t size)
{
	const struct ua_settings *settings = watching->settings;
	char text[ANSWER_SIZE];
	const char *why;
	int status = ua_screen(bytes, size, &why);

	if (status == UA_SCREEN_PASS)
		return false;
	ua_count(watching, UA_METRIC_MALFORMED, NULL);
	if (ua_border_drops_malformed(source, why) || status == UA_SCREEN_JUNK)
		return true;
	if (!ua_is_peer(watching, source) && !ua_flood_allows(source, settings->flood_rate, settings->flood_burst, core_now_ms()))
		return true;
	size_t length = ua_screen_answer(bytes, size, status, text, sizeof text);
	if (length > 0) /* lost: the peer asks again, or does not */
		(void)sendto(fd, text, length, MSG_DONTWAIT, &source->sa, source_size);
	return true;
}

PBX_EXPORT issize_t su_vrecv(su_socket_t fd, su_iovec_t parts[], isize_t count, int flags, su_sockaddr_t *from, socklen_t *from_size)
{
	static issize_t (*real)(su_socket_t, su_iovec_t[], isize_t, int, su_sockaddr_t *, socklen_t *);
	struct core_addr source = { 0 };
	uint32_t over = 0;

	if (!real)
		real = (issize_t(*)(su_socket_t, su_iovec_t[], isize_t, int, su_sockaddr_t *, socklen_t *))dlsym(RTLD_NEXT, "su_vrecv");
	issize_t got = real(fd, parts, count, flags, from, from_size);
	if (got < 0 || flags || !from || !watching || *from_size > sizeof source)
		return got;

	memcpy(&source, from, *from_size);
	if (!ua_listener_admits(fd, &source)) {
		errno = EAGAIN;
		return -1;
	}
	if (is_unwanted(&source, true, &over))
		drop_unwanted(fd, &over);
	else if (!is_broken(fd, &source, *from_size, parts[0].siv_base, (size_t)got < parts[0].siv_len ? (size_t)got : parts[0].siv_len))
		return got;
	if (over > 0)
		(void)core_metrics_service.add(watching->host, UA_METRIC_FLOOD, NULL, over); /* a lost count is no reason to stop */
	errno = EAGAIN;
	return -1;
}
