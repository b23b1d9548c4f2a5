/* tests/rtp/house.c - see house.h */
#include "house.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int hall = -1, rooms[2] = { -1, -1 };

static int this_namespace(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void enter(int namespace)
{
	ck_assert_msg(setns(namespace, CLONE_NEWNET) == 0, "setns: %s", strerror(errno));
}

static void run(const char *format, ...)
{
	char command[300];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(command, sizeof command, format, arguments);
	va_end(arguments);
	ck_assert_msg(system(command) == 0, "%s", command);
}

static int new_room(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	int room = this_namespace();

	run("ip link set lo up");
	return room;
}

/* A phone with its checksums written by software, so that the far end looks at them; the other one leaves it to the card. */
static void write_checksums(const char *interface)
{
	struct ethtool_value off = { .cmd = ETHTOOL_STXCSUM };
	struct ifreq request = { .ifr_data = (void *)&off };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	ck_assert_msg(ioctl(fd, SIOCETHTOOL, &request) == 0, "ethtool: %s", strerror(errno));
	(void)close(fd);
}

static void lay_wire(int room)
{
	run("ip link add hall%d type veth peer name room%d", room, room);
	run("ip link set room%d netns /proc/%d/fd/%d", room, getpid(), rooms[room]);
	run("ip addr add 10.77.%d.1/24 dev hall%d", room, room);
	run("ip addr add fd77:%d::1/64 dev hall%d nodad", room, room);
	run("ip link set hall%d up", room);
	enter(rooms[room]);
	run("ip addr add 10.77.%d.2/24 dev room%d", room, room);
	run("ip addr add fd77:%d::2/64 dev room%d nodad", room, room);
	run("ip link set room%d up", room);
	run("ip route add default via 10.77.%d.1", room);
	if (room == 0)
		write_checksums("room0");
	enter(hall);
}

bool house_build(void)
{
	if (unshare(CLONE_NEWNET) != 0) {
		fprintf(stderr, "NO NETWORK NAMESPACES HERE: %s\n", strerror(errno));
		return false;
	}
	rooms[0] = new_room();
	rooms[1] = new_room();
	hall = new_room();
	lay_wire(0);
	lay_wire(1);
	return true;
}

static struct core_addr address_on(int room, int family, int host, uint16_t port)
{
	struct core_addr addr = { 0 };
	char text[40];

	addr.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		(void)snprintf(text, sizeof text, "10.77.%d.%d", room, host);
		addr.in4.sin_port = htons(port);
		ck_assert_int_eq(inet_pton(AF_INET, text, &addr.in4.sin_addr), 1);
	} else {
		(void)snprintf(text, sizeof text, "fd77:%d::%d", room, host);
		addr.in6.sin6_port = htons(port);
		ck_assert_int_eq(inet_pton(AF_INET6, text, &addr.in6.sin6_addr), 1);
	}
	return addr;
}

static int bound(const struct core_addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	ck_assert_msg(fd >= 0 && bind(fd, &addr->sa, rtp_addr_size(addr)) == 0, "bind: %s", strerror(errno));
	ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on), 0);
	return fd;
}

void house_phone(struct phone *phone, int room, int family)
{
	static uint16_t port = 40000;

	*phone = (struct phone){ .ssrc = (uint32_t)random() + 1, .timestamp = (uint32_t)random(), .sequence = (uint16_t)random() };
	phone->rtp = address_on(room, family, 2, port);
	phone->rtcp = address_on(room, family, 2, (uint16_t)(port + 1));
	port = (uint16_t)(port + 2);
	enter(rooms[room]);
	phone->rtp_fd = bound(&phone->rtp);
	phone->rtcp_fd = bound(&phone->rtcp);
	enter(hall);
}

void house_call(struct phone *phone, int room, const char *codecs)
{
	phone_call(phone, 1, codecs);
	phone->pbx = address_on(room, phone->rtp.sa.sa_family, 1, ntohs(phone->pbx.in4.sin_port));
}

void house_ask(char *ret_text, size_t size, const char *command)
{
	FILE *answer = popen(command, "r");

	ck_assert_ptr_nonnull(answer);
	ret_text[fread(ret_text, 1, size - 1, answer)] = 0;
	ret_text[strcspn(ret_text, "\n")] = 0;
	ck_assert_int_eq(pclose(answer), 0);
}
