/*
 * addr - addresses compared: with port and transport, and without
 */
#include "session.h"

#include <string.h>

bool rtp_addr_same_host(const struct core_addr *a, const struct core_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	return a->sa.sa_family == AF_INET6 && memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

bool rtp_addr_same(const struct core_addr *a, const struct core_addr *b)
{
	return a->transport == b->transport && rtp_addr_same_host(a, b) &&
	       (a->sa.sa_family == AF_INET ? a->in4.sin_port == b->in4.sin_port : a->in6.sin6_port == b->in6.sin6_port);
}

socklen_t rtp_addr_size(const struct core_addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return sizeof addr->in4;
	return addr->sa.sa_family == AF_INET6 ? sizeof addr->in6 : 0;
}
