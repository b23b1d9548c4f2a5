/* address.c - addresses as SIP spells them: read and compared, networks of peers, our own address towards somebody */
#include "address.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint16_t ua_address_port(const struct core_addr *addr)
{
	return ntohs(addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_port : addr->in4.sin_port);
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (end == text || *end || port > 65535)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

bool ua_address_parse(const char *text, struct core_addr *ret_addr)
{
	struct core_addr addr;
	char host[INET6_ADDRSTRLEN + 1];
	const char *port = NULL;
	uint16_t number = 0;
	size_t length = strlen(text);

	memset(&addr, 0, sizeof addr);
	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (!end)
			return false;
		length = (size_t)(end - ++text);
		port = end[1] == ':' ? end + 2 : NULL;
	} else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
		length = (size_t)(strchr(text, ':') - text);
		port = text + length + 1;
	}
	if (length >= sizeof host || (port && !parse_port(port, &number)))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';

	if (inet_pton(AF_INET, host, &addr.in4.sin_addr) == 1) {
		addr.in4.sin_family = AF_INET;
		addr.in4.sin_port = htons(number);
	} else if (inet_pton(AF_INET6, host, &addr.in6.sin6_addr) == 1) {
		addr.in6.sin6_family = AF_INET6;
		addr.in6.sin6_port = htons(number);
	} else {
		return false;
	}
	*ret_addr = addr;
	return true;
}

static const uint8_t *bytes_of(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_addr.s6_addr : (const uint8_t *)&addr->in4.sin_addr;
}

bool ua_address_in(const struct core_addr *addr, const char *network)
{
	struct core_addr base, plain = core_address_plain(addr);
	char host[64];
	size_t length = strcspn(network, "/");
	unsigned bits, most;

	if (length >= sizeof host)
		return false;
	memcpy(host, network, length);
	host[length] = '\0';
	if (!ua_address_parse(host, &base) || base.sa.sa_family != plain.sa.sa_family)
		return false;

	most = base.sa.sa_family == AF_INET6 ? 128 : 32;
	bits = network[length] == '/' ? (unsigned)strtoul(network + length + 1, NULL, 10) : most;
	if (bits > most)
		return false;

	const uint8_t *a = bytes_of(&plain), *b = bytes_of(&base);
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & (0xff << (8 - bits % 8)) & 0xff) == 0;
}

bool ua_address_is_network(const char *text)
{
	size_t length = strcspn(text, "/"), digits = text[length] ? strspn(text + length + 1, "0123456789") : 0;
	struct core_addr base;
	char host[64];

	if (length >= sizeof host)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (!ua_address_parse(host, &base) || ua_address_port(&base) != 0)
		return false;
	if (!text[length])
		return true;
	return digits > 0 && digits < 4 && !text[length + 1 + digits] &&
	       strtoul(text + length + 1, NULL, 10) <= (base.sa.sa_family == AF_INET6 ? 128u : 32u);
}

void ua_address_bytes(const struct core_addr *addr, uint8_t ret_bytes[16])
{
	if (addr->sa.sa_family == AF_INET6) {
		memcpy(ret_bytes, addr->in6.sin6_addr.s6_addr, 16);
		return;
	}
	memset(ret_bytes, 0, 10);
	ret_bytes[10] = ret_bytes[11] = 0xff;
	memcpy(ret_bytes + 12, &addr->in4.sin_addr, 4);
}

bool ua_address_is_private(const struct core_addr *addr)
{
	static const char *const networks[] = { "10.0.0.0/8",    "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
						"100.64.0.0/10", "fc00::/7",      "fe80::/10",      "::1" };

	for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
		if (ua_address_in(addr, networks[i]))
			return true;
	return false;
}

bool ua_address_same_host(const struct core_addr *a, const struct core_addr *b)
{
	uint8_t first[16], second[16];

	ua_address_bytes(a, first);
	ua_address_bytes(b, second);
	return memcmp(first, second, sizeof first) == 0;
}

/* Connecting a UDP socket sends nothing: it only asks the routing table. */
bool ua_address_towards(const struct core_addr *peer, struct core_addr *ret_local)
{
	struct core_addr target = core_address_plain(peer), local;
	socklen_t size = target.sa.sa_family == AF_INET6 ? sizeof target.in6 : sizeof target.in4, got = sizeof local;
	int fd = socket(target.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	if (ua_address_port(&target) == 0)
		target.in4.sin_port = htons(5060); /* the same place in both families */
	bool found = connect(fd, &target.sa, size) == 0 && getsockname(fd, &local.sa, &got) == 0;
	(void)close(fd); /* nothing was written */
	if (found)
		*ret_local = local;
	return found;
}
