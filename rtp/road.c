/*
 * road - asks the kernel's routing table (rtnetlink, RTM_GETROUTE)
 *
 * The answer is there when the question has been sent: the kernel writes it within the call.
 */
#include "road.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct question {
	struct nlmsghdr header;
	struct rtmsg route;
	char attributes[64];
};

static const void *address_of(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? (const void *)&addr->in4.sin_addr : (const void *)&addr->in6.sin6_addr;
}

static uint16_t address_bytes(uint32_t family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

static bool is_any(const struct core_addr *addr)
{
	static const struct in6_addr none;

	return addr->sa.sa_family == AF_UNSPEC || memcmp(address_of(addr), &none, address_bytes(addr->sa.sa_family)) == 0;
}

static void add(struct question *question, uint16_t type, const void *data, uint16_t bytes)
{
	struct rtattr attribute = { .rta_len = (uint16_t)RTA_LENGTH(bytes), .rta_type = type };
	char *at = (char *)question + NLMSG_ALIGN(question->header.nlmsg_len);

	memcpy(at, &attribute, sizeof attribute);
	memcpy(at + RTA_LENGTH(0), data, bytes);
	question->header.nlmsg_len = NLMSG_ALIGN(question->header.nlmsg_len) + attribute.rta_len;
}

static bool ask(int fd, const struct core_addr *to, const struct core_addr *local, uint8_t traffic_class)
{
	uint8_t family = (uint8_t)to->sa.sa_family;
	uint16_t bytes = address_bytes(family);
	struct question question = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)), .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST },
		.route = { .rtm_family = family,
			   .rtm_dst_len = (uint8_t)(8u * bytes),
			   .rtm_tos = family == AF_INET ? traffic_class & 0x1cu : 0 }
	};

	add(&question, RTA_DST, address_of(to), bytes);
	if (!is_any(local)) {
		question.route.rtm_src_len = (uint8_t)(8u * bytes);
		add(&question, RTA_SRC, address_of(local), bytes);
	}
	return send(fd, &question, question.header.nlmsg_len, 0) == (ssize_t)question.header.nlmsg_len;
}

static void take_attribute(struct rtp_road *road, const struct rtattr *attribute, uint32_t family)
{
	const void *data = RTA_DATA(attribute);
	size_t bytes = RTA_PAYLOAD(attribute);
	const struct rtvia *via = data;

	if (attribute->rta_type == RTA_OIF && bytes == sizeof road->interface) {
		memcpy(&road->interface, data, bytes);
	} else if (attribute->rta_type == RTA_PREFSRC && bytes == address_bytes(family)) {
		memcpy(road->local, data, bytes);
	} else if (attribute->rta_type == RTA_GATEWAY && bytes == address_bytes(family)) {
		memcpy(road->next_hop, data, bytes);
	} else if (attribute->rta_type == RTA_VIA && bytes == sizeof *via + sizeof road->next_hop && via->rtvia_family == AF_INET6) {
		road->next_hop_family = AF_INET6;
		memcpy(road->next_hop, via->rtvia_addr, sizeof road->next_hop);
	}
}

/* False: no route for packets to somewhere else. */
static bool take_answer(struct rtp_road *road, struct nlmsghdr *answer, size_t size, uint32_t family)
{
	if (!NLMSG_OK(answer, size) || answer->nlmsg_type != RTM_NEWROUTE || answer->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)))
		return false;
	const struct rtmsg *route = NLMSG_DATA(answer);
	size_t left = RTM_PAYLOAD(answer);

	if (route->rtm_type != RTN_UNICAST)
		return false;
	for (struct rtattr *at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left))
		take_attribute(road, at, family);
	return road->interface != 0;
}

static bool is_ethernet(int fd, uint32_t interface)
{
	struct ifreq request = { .ifr_ifindex = (int)interface };

	return ioctl(fd, SIOCGIFNAME, &request) == 0 && ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
	       request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

int rtp_road_open(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
}

bool rtp_road_ask(int fd, const struct core_addr *to, const struct core_addr *local, uint8_t traffic_class, struct rtp_road *ret_road)
{
	_Alignas(struct nlmsghdr) char answer[1024];
	struct rtp_road road = { .next_hop_family = to->sa.sa_family };

	if (to->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&to->in6.sin6_addr))
		return false; /* means something on one wire only */
	memcpy(road.next_hop, address_of(to), address_bytes(to->sa.sa_family));
	while (recv(fd, answer, sizeof answer, 0) > 0)
		continue; /* of an earlier question that went wrong */
	if (!ask(fd, to, local, traffic_class))
		return false;
	ssize_t size = recv(fd, answer, sizeof answer, 0);

	if (size <= 0 || !take_answer(&road, (struct nlmsghdr *)answer, (size_t)size, to->sa.sa_family) || !is_ethernet(fd, road.interface))
		return false;
	if (!is_any(local)) {
		memset(road.local, 0, sizeof road.local);
		memcpy(road.local, address_of(local), address_bytes(to->sa.sa_family));
	}
	*ret_road = road;
	return road.local[0] | road.local[1] | road.local[2] | road.local[3];
}
