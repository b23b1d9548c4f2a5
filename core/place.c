/* core/place.c - who is to blame for what comes from an address */
#include "place.h"
#include "address_text.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct core_place core_place_of(const struct core_addr *addr)
{
	const struct core_addr plain = core_address_plain(addr);
	struct core_place place = { 0 };

	if (plain.sa.sa_family == AF_INET) {
		place.size = sizeof plain.in4.sin_addr;
		memcpy(place.bytes, &plain.in4.sin_addr, sizeof plain.in4.sin_addr);
	} else if (plain.sa.sa_family == AF_INET6) {
		place.size = sizeof place.bytes;
		memcpy(place.bytes, plain.in6.sin6_addr.s6_addr, sizeof place.bytes);
	}
	return place;
}

bool core_place_same(const struct core_addr *a, const struct core_addr *b)
{
	const struct core_place first = core_place_of(a), second = core_place_of(b);

	return memcmp(&first, &second, sizeof first) == 0;
}

void core_place_print(const struct core_addr *addr, char ret_text[CORE_PLACE_TEXT])
{
	const struct core_place place = core_place_of(addr);
	uint8_t network[16] = { 0 };

	ret_text[0] = '\0';
	memcpy(network, place.bytes, place.size);
	if (place.size > 0)
		(void)inet_ntop(place.size == 4 ? AF_INET : AF_INET6, network, ret_text, CORE_PLACE_TEXT); /* it fits */
	if (place.size == 8)
		(void)strcat(ret_text, "/64");
}

/* The host of "host", "host:port", "[host]:port", "[host]"; false: it is longer than any address. */
static bool copy_host(const char *address, char ret_host[INET6_ADDRSTRLEN])
{
	const bool has_brackets = address[0] == '[', is_ipv6 = has_brackets || strchr(address, ':') != strrchr(address, ':');
	const char *host = address + has_brackets;
	const size_t length = strcspn(host, has_brackets ? "]" : is_ipv6 ? "" : ":");

	if (length >= INET6_ADDRSTRLEN)
		return false;
	memcpy(ret_host, host, length);
	ret_host[length] = '\0';
	return true;
}

void core_place_print_of(const char *address, char ret_text[CORE_PLACE_TEXT])
{
	struct core_addr addr = { 0 };
	char host[INET6_ADDRSTRLEN];

	if (copy_host(address, host)) {
		if (inet_pton(AF_INET, host, &addr.in4.sin_addr) == 1)
			addr.in4.sin_family = AF_INET;
		else if (inet_pton(AF_INET6, host, &addr.in6.sin6_addr) == 1)
			addr.in6.sin6_family = AF_INET6;
	}
	if (addr.sa.sa_family != AF_UNSPEC)
		core_place_print(&addr, ret_text);
	else
		(void)snprintf(ret_text, CORE_PLACE_TEXT, "%s", address);
}
