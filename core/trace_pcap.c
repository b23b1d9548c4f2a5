/*
 * trace_pcap.c - a ladder as a capture file
 *
 * The classic format, times in microseconds, link type LINKTYPE_RAW: packets begin with the IP header. Headers are made of the addresses
 * that were noted, with right lengths and checksums. TCP and TLS are written as UDP, too: a reader wants the messages, and would look in
 * vain for the handshakes of made-up connections.
 */
#include "trace_ladder.h"
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>

#define MOST_UDP_BYTES (65535u - 20u - 8u)

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	int32_t zone;
	uint32_t accuracy, most_bytes, link_type;
};

struct packet_header {
	uint32_t seconds, microseconds, kept_bytes, bytes;
};

/* RFC 1071; sum may carry what was added up before. */
static uint32_t add_up(const void *data, size_t size, uint32_t sum)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	return size % 2 ? sum + (uint32_t)(bytes[size - 1] << 8) : sum;
}

static uint16_t folded_be(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static bool is_six(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr);
}

static struct in_addr four_of(const struct core_addr *addr)
{
	struct in_addr four = addr->in4.sin_addr;

	if (addr->sa.sa_family == AF_INET6)
		memcpy(&four, addr->in6.sin6_addr.s6_addr + 12, sizeof four);
	return four;
}

static void fill_udp(struct udphdr *udp, const struct core_trace_message *message, uint32_t size, uint32_t addresses)
{
	const struct core_addr *from = message->sent ? &message->local : &message->remote;
	const struct core_addr *to = message->sent ? &message->remote : &message->local;

	*udp = (struct udphdr){ .source = from->in4.sin_port, .dest = to->in4.sin_port, .len = htons((uint16_t)(sizeof *udp + size)) };
	udp->check =
		folded_be(add_up(message->text, size, add_up(udp, sizeof *udp, addresses + IPPROTO_UDP + size + (uint32_t)sizeof *udp)));
	if (udp->check == 0)
		udp->check = 0xffff;
}

static void write_four(FILE *out, const struct core_trace_message *message, uint32_t size)
{
	const struct core_addr *from = message->sent ? &message->local : &message->remote;
	const struct core_addr *to = message->sent ? &message->remote : &message->local;
	struct iphdr ip = { .version = 4,
			    .ihl = 5,
			    .tot_len = htons((uint16_t)(sizeof ip + sizeof(struct udphdr) + size)),
			    .ttl = 64,
			    .protocol = IPPROTO_UDP,
			    .saddr = four_of(from).s_addr,
			    .daddr = four_of(to).s_addr };
	struct udphdr udp;

	ip.check = folded_be(add_up(&ip, sizeof ip, 0));
	fill_udp(&udp, message, size, add_up(&ip.saddr, 8, 0));
	(void)fwrite(&ip, sizeof ip, 1, out);
	(void)fwrite(&udp, sizeof udp, 1, out);
}

static void write_six(FILE *out, const struct core_trace_message *message, uint32_t size)
{
	const struct core_addr *from = message->sent ? &message->local : &message->remote;
	const struct core_addr *to = message->sent ? &message->remote : &message->local;
	struct ip6_hdr ip = { .ip6_src = from->in6.sin6_addr, .ip6_dst = to->in6.sin6_addr };
	struct udphdr udp;

	ip.ip6_vfc = 0x60;
	ip.ip6_plen = htons((uint16_t)(sizeof udp + size));
	ip.ip6_nxt = IPPROTO_UDP;
	ip.ip6_hlim = 64;
	fill_udp(&udp, message, size, add_up(&ip.ip6_src, 32, 0));
	(void)fwrite(&ip, sizeof ip, 1, out);
	(void)fwrite(&udp, sizeof udp, 1, out);
}

static void write_packet(FILE *out, const struct core_trace_message *message)
{
	bool six = is_six(&message->remote) && is_six(&message->local);
	uint32_t size = message->size < MOST_UDP_BYTES ? message->size : MOST_UDP_BYTES;
	uint32_t bytes = (uint32_t)((six ? sizeof(struct ip6_hdr) : sizeof(struct iphdr)) + sizeof(struct udphdr)) + size;
	const struct packet_header header = { (uint32_t)(message->wall_us / 1000000), (uint32_t)(message->wall_us % 1000000), bytes,
					      bytes };

	(void)fwrite(&header, sizeof header, 1, out);
	(six ? write_six : write_four)(out, message, size);
	(void)fwrite(message->text, 1, size, out);
}

char *core_ladder_pcap(const struct core_ladder *ladder, size_t *ret_size)
{
	const struct file_header header = { .magic = 0xa1b2c3d4, .major = 2, .minor = 4, .most_bytes = 262144, .link_type = 101 };
	char *file = NULL;
	FILE *out = open_memstream(&file, ret_size);

	if (!out)
		return NULL;
	(void)fwrite(&header, sizeof header, 1, out);
	for (uint32_t i = 0; i < ladder->count; i++)
		write_packet(out, &ladder->items[i].message);
	if (fclose(out) == 0)
		return file;
	free(file);
	return NULL;
}
