/*
 * trace_hep.c - each message to a collector (Homer, sngrep), as HEP3 over UDP
 *
 * HEP3: "HEP3", total length, then chunks of vendor (0), type, length and value, all in network order. A collector that is away or slow costs
 * nothing but its messages: the socket never waits, and what it does not take is counted.
 */
#include "trace_hep.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct writer {
	unsigned char *at, *end;
	bool full;
};

static void put(struct writer *writer, uint16_t type, const void *value, size_t size)
{
	uint16_t head_be[3] = { 0, htons(type), htons((uint16_t)(size + 6)) };

	if (writer->full || (size_t)(writer->end - writer->at) < size + 6) {
		writer->full = true;
		return;
	}
	memcpy(writer->at, head_be, 6);
	memcpy(writer->at + 6, value, size);
	writer->at += size + 6;
}

static void put_byte(struct writer *writer, uint16_t type, uint8_t value)
{
	put(writer, type, &value, 1);
}

static void put_port(struct writer *writer, uint16_t type, const struct core_addr *addr)
{
	put(writer, type, &addr->in4.sin_port, 2); /* in6's stands in the same place */
}

static void put_word(struct writer *writer, uint16_t type, uint32_t value)
{
	uint32_t value_be = htonl(value);

	put(writer, type, &value_be, 4);
}

static bool is_six(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr);
}

static void put_four(struct writer *writer, uint16_t type, const struct core_addr *addr)
{
	put(writer, type, addr->sa.sa_family == AF_INET6 ? (const void *)(addr->in6.sin6_addr.s6_addr + 12) : &addr->in4.sin_addr, 4);
}

size_t core_hep_encode(const struct core_trace_message *message, uint32_t node, const char *password, unsigned char *ret_packet,
		       size_t size)
{
	const struct core_addr *from = message->sent ? &message->local : &message->remote;
	const struct core_addr *to = message->sent ? &message->remote : &message->local;
	bool six = is_six(from) && is_six(to), is_udp = strcmp(message->transport, "udp") == 0;
	struct writer writer = { ret_packet + 6, ret_packet + size, false };

	put_byte(&writer, 1, six ? AF_INET6 : AF_INET);
	put_byte(&writer, 2, is_udp ? IPPROTO_UDP : IPPROTO_TCP);
	if (six) {
		put(&writer, 5, &from->in6.sin6_addr, 16);
		put(&writer, 6, &to->in6.sin6_addr, 16);
	} else {
		put_four(&writer, 3, from);
		put_four(&writer, 4, to);
	}
	put_port(&writer, 7, from);
	put_port(&writer, 8, to);
	put_word(&writer, 9, (uint32_t)(message->wall_us / 1000000));
	put_word(&writer, 10, (uint32_t)(message->wall_us % 1000000));
	put_byte(&writer, 11, 1); /* SIP */
	put_word(&writer, 12, node);
	if (password[0])
		put(&writer, 14, password, strlen(password));
	if (message->call_id[0])
		put(&writer, 17, message->call_id, strlen(message->call_id)); /* correlation: both legs have it */
	put(&writer, 15, message->text, message->size);
	if (writer.full)
		return 0;
	uint16_t length_be = htons((uint16_t)(writer.at - ret_packet));
	memcpy(ret_packet, "HEP3", 4);
	memcpy(ret_packet + 4, &length_be, 2);
	return (size_t)(writer.at - ret_packet);
}

/* ---- the collector -------------------------------------------------------------------- */

int core_hep_open(const struct core_addr *collector, int *ret_socket)
{
	socklen_t size = collector->sa.sa_family == AF_INET6 ? sizeof collector->in6 : sizeof collector->in4;
	int fd = socket(collector->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, &collector->sa, size) == 0) {
		*ret_socket = fd;
		return PBX_OK;
	}
	if (fd >= 0)
		(void)close(fd);
	return PBX_EIO;
}
