/*
 * network - addresses and networks as text and bytes
 *
 * Sixteen bytes for both families, IPv4 mapped into IPv6 (RFC 4291 2.5.5.2), so that a packet that came over a double socket is known again.
 */
#include "sbc.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t ipv4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool network_is_ipv4(const uint8_t address[16])
{
	return memcmp(address, ipv4_prefix, sizeof ipv4_prefix) == 0;
}

struct network network_around(const uint8_t address[16], uint32_t bits)
{
	struct network network = { .bits = bits };

	memcpy(network.bytes, address, 16);
	for (uint32_t bit = bits; bit < 128; bit++)
		network.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	return network;
}

struct network network_of_host(const uint8_t address[16])
{
	return network_around(address, network_is_ipv4(address) ? 128 : 64);
}

/* The number behind the slash. */
static bool parse_bits(const char *text, uint32_t most, uint32_t *ret_bits)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	unsigned long bits = strtoul(text, &end, 10);
	if (*end || bits > most)
		return false;
	*ret_bits = (uint32_t)bits;
	return true;
}

bool network_parse(const char *text, struct network *ret_network)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char host[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	uint32_t bits;

	if (length >= sizeof host)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	memcpy(bytes, ipv4_prefix, sizeof ipv4_prefix);
	bool is_ipv4 = inet_pton(AF_INET, host, bytes + 12) == 1;
	if (!is_ipv4 && inet_pton(AF_INET6, host, bytes) != 1)
		return false;
	bits = is_ipv4 ? 32 : 128;
	if (slash && !parse_bits(slash + 1, bits, &bits))
		return false;
	*ret_network = network_around(bytes, is_ipv4 ? bits + 96 : bits);
	return true;
}

void network_print_host(const uint8_t address[16], char ret_text[NETWORK_TEXT])
{
	bool is_ipv4 = network_is_ipv4(address);

	(void)inet_ntop(is_ipv4 ? AF_INET : AF_INET6, is_ipv4 ? address + 12 : address, ret_text, NETWORK_TEXT); /* it is long enough */
}

void network_print(const struct network *network, char ret_text[NETWORK_TEXT])
{
	bool is_ipv4 = network->bits >= 96 && network_is_ipv4(network->bytes);

	if (is_ipv4)
		network_print_host(network->bytes, ret_text);
	else
		(void)inet_ntop(AF_INET6, network->bytes, ret_text, NETWORK_TEXT); /* as above */
	size_t used = strlen(ret_text);
	if (network->bits < 128)
		(void)snprintf(ret_text + used, NETWORK_TEXT - used, "/%u", is_ipv4 ? network->bits - 96 : network->bits);
}
