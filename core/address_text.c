/* core/address_text.c - addresses as people and SIP read them */
#include "address_text.h"
#include <arpa/inet.h>
#include <string.h>

struct core_addr core_address_plain(const struct core_addr *addr)
{
	struct core_addr plain = *addr;

	if (addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr)) {
		memset(&plain, 0, sizeof plain);
		plain.in4.sin_family = AF_INET;
		plain.in4.sin_port = addr->in6.sin6_port;
		memcpy(&plain.in4.sin_addr, addr->in6.sin6_addr.s6_addr + 12, 4);
	}
	return plain;
}

/* A decimal number; the end of it. inet_ntop and printf take ten times as long, and every request prints addresses. */
static char *put_number(char *at, unsigned number)
{
	char digits[10];
	unsigned count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

/* The end of it, where its zero stands. */
static char *put_ipv4(char *at, const uint8_t bytes[4])
{
	for (unsigned i = 0; i < 4; i++) {
		at = put_number(at, bytes[i]);
		*at++ = i < 3 ? '.' : '\0';
	}
	return at - 1;
}

/* The end of it; an empty text for what is no address. */
static char *put_host(const struct core_addr *addr, char ret_text[INET6_ADDRSTRLEN])
{
	struct core_addr plain = core_address_plain(addr);

	ret_text[0] = '\0';
	if (plain.sa.sa_family == AF_INET6 && inet_ntop(AF_INET6, &plain.in6.sin6_addr, ret_text, INET6_ADDRSTRLEN))
		return ret_text + strlen(ret_text);
	return plain.sa.sa_family == AF_INET ? put_ipv4(ret_text, (const uint8_t *)&plain.in4.sin_addr) : ret_text;
}

static void copy_fitting(const char *text, size_t length, char *ret_text, size_t size)
{
	if (length >= size)
		length = 0; /* half an address would be another one */
	memcpy(ret_text, text, length);
	ret_text[length] = '\0';
}

void core_address_print_host(const struct core_addr *addr, char *ret_text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	copy_fitting(host, (size_t)(put_host(addr, host) - host), ret_text, size);
}

void core_address_print(const struct core_addr *addr, char *ret_text, size_t size)
{
	char text[INET6_ADDRSTRLEN + 8], *end = put_host(addr, text + 1);
	bool brackets = memchr(text + 1, ':', (size_t)(end - text - 1)) != NULL;

	text[0] = '[';
	if (brackets)
		*end++ = ']';
	*end++ = ':';
	end = put_number(end, ntohs(addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_port : addr->in4.sin_port));
	const char *start = text + !brackets;
	copy_fitting(start, (size_t)(end - start), ret_text, size);
}
