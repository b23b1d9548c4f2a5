/*
 * fetch_guard - which addresses the HTTP client may speak to
 *
 * A webhook's address is typed by somebody who may not be trusted with what stands behind the firewall: the cloud's metadata service,
 * a database, this daemon's own REST. So whatever is not the public Internet is refused unless fetch.allow names it. The question is
 * asked about the resolved address, at connect time: a name that resolves to two different things is no way around it.
 */
#include "fetch_guard.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ANY_PORT 0u

/* Addresses of both families as 16 bytes: IPv4 is ::ffff:a.b.c.d. */
struct range {
	uint8_t bytes[16];
	uint32_t bits;
};

struct exception {
	char *host; /* NULL: by range */
	struct range range;
	uint16_t port; /* ANY_PORT */
};

/* The loop writes them; whoever listens to a stream asks from a thread of its own. */
static pthread_rwlock_t exceptions_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct exception *exceptions;
static uint32_t exception_count;

/* Never the public Internet (IANA's special-purpose registries, RFC 6890 and its successors). What carries an IPv4 address inside
 * is refused as a whole, because a translator on the way could turn it into any of the others. */
static const char *const closed[] = {
	"0.0.0.0/8",    "10.0.0.0/8",     "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",  "172.16.0.0/12",  "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",  "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
	"240.0.0.0/4",  "::/96",          "64:ff9b::/96",   "64:ff9b:1::/48", "100::/64",        "2001::/23",      "2001:db8::/32",
	"2002::/16",    "3fff::/20",      "5f00::/16",      "fc00::/7",       "fe80::/10",       "fec0::/10",      "ff00::/8",
};

static void map_v4(const uint8_t v4[4], uint8_t ret_bytes[16])
{
	memset(ret_bytes, 0, 10);
	ret_bytes[10] = ret_bytes[11] = 0xFF;
	memcpy(ret_bytes + 12, v4, 4);
}

/* "10.0.0.0/8", "::1"; false: not an address or range. */
static bool parse_range(const char *text, size_t length, struct range *ret_range)
{
	const char *slash = memchr(text, '/', length);
	const size_t address = slash ? (size_t)(slash - text) : length;
	char copy[INET6_ADDRSTRLEN + 1];
	uint8_t v4[4];
	unsigned long bits = 0;
	char *end;

	if (address >= sizeof copy)
		return false;
	memcpy(copy, text, address);
	copy[address] = '\0';
	if (slash) {
		if (slash[1] < '0' || slash[1] > '9')
			return false;
		bits = strtoul(slash + 1, &end, 10);
		if (end != text + length)
			return false;
	}
	if (inet_pton(AF_INET, copy, v4) == 1) {
		map_v4(v4, ret_range->bytes);
		ret_range->bits = slash ? (uint32_t)bits + 96 : 128;
		return bits <= 32;
	}
	ret_range->bits = slash ? (uint32_t)bits : 128;
	return bits <= 128 && inet_pton(AF_INET6, copy, ret_range->bytes) == 1;
}

static bool is_in(const struct range *range, const uint8_t bytes[16])
{
	const uint32_t whole = range->bits / 8, rest = range->bits % 8;

	if (memcmp(range->bytes, bytes, whole) != 0)
		return false;
	return !rest || (range->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

static bool is_closed(const uint8_t bytes[16])
{
	for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
		struct range range;

		if (parse_range(closed[i], strlen(closed[i]), &range) && is_in(&range, bytes))
			return true;
	}
	return false;
}

/* Without the brackets of an IPv6 literal and the dot of a fully qualified name. */
static size_t bare_host(const char **host)
{
	size_t length = strlen(*host);

	if (length > 2 && (*host)[0] == '[' && (*host)[length - 1] == ']') {
		(*host)++;
		return length - 2;
	}
	return length > 1 && (*host)[length - 1] == '.' ? length - 1 : length;
}

static bool is_host_named(const char *host, uint16_t port)
{
	const size_t length = bare_host(&host);

	for (uint32_t i = 0; i < exception_count; i++) {
		const struct exception *one = &exceptions[i];

		if (one->host && strlen(one->host) == length && strncasecmp(one->host, host, length) == 0 &&
		    (one->port == ANY_PORT || one->port == port))
			return true;
	}
	return false;
}

static bool is_range_named(const uint8_t bytes[16], uint16_t port)
{
	for (uint32_t i = 0; i < exception_count; i++)
		if (!exceptions[i].host && is_in(&exceptions[i].range, bytes) &&
		    (exceptions[i].port == ANY_PORT || exceptions[i].port == port))
			return true;
	return false;
}

bool core_fetch_guard_permits(const char *host, uint16_t port, const struct sockaddr *address)
{
	uint8_t bytes[16];

	if (address->sa_family == AF_INET)
		map_v4((const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr, bytes);
	else if (address->sa_family == AF_INET6)
		memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof bytes);
	else
		return false;
	(void)pthread_rwlock_rdlock(&exceptions_lock);
	bool permits = !is_closed(bytes) || is_range_named(bytes, port) || is_host_named(host, port);
	(void)pthread_rwlock_unlock(&exceptions_lock);
	return permits;
}

bool core_fetch_guard_permits_name(const char *host, uint16_t port)
{
	const char *bare = host;
	const size_t length = bare_host(&bare);
	struct range range;

	if (parse_range(bare, length, &range))
		return !is_closed(range.bytes) || is_range_named(range.bytes, port) || is_host_named(host, port);
	if ((length == 9 && strncasecmp(bare, "localhost", 9) == 0) ||
	    (length > 10 && strncasecmp(bare + length - 10, ".localhost", 10) == 0))
		return is_host_named(host, port);
	return true;
}

/* ---- fetch.allow ------------------------------------------------------------------------------- */

static void free_exceptions(struct exception *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(list[i].host);
	free(list);
}

static void take_exceptions(struct exception *list, uint32_t count)
{
	struct exception *old = exceptions;
	uint32_t old_count = exception_count;

	(void)pthread_rwlock_wrlock(&exceptions_lock);
	exceptions = list;
	exception_count = count;
	(void)pthread_rwlock_unlock(&exceptions_lock);
	free_exceptions(old, old_count);
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
	char *end;
	unsigned long port;

	if (strcmp(text, "*") == 0) {
		*ret_port = ANY_PORT;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	port = strtoul(text, &end, 10);
	*ret_port = (uint16_t)port;
	return !*end && port > 0 && port < 65536;
}

/* False: not understood, or no memory. */
static bool parse_exception(const char *text, struct exception *ret_one)
{
	const char *colon = strrchr(text, ':'), *host = text;
	size_t length;

	if (!colon || colon == text || !parse_port(colon + 1, &ret_one->port))
		return false;
	length = (size_t)(colon - text);
	if (host[0] == '[' && host[length - 1] == ']') {
		host++;
		length -= 2;
	} else if (memchr(host, ':', length)) {
		return false; /* IPv6 without brackets: nobody can tell where the port begins */
	}
	if (parse_range(host, length, &ret_one->range))
		return true;
	if (!length || memchr(host, '/', length))
		return false;
	ret_one->host = strndup(host, length);
	return ret_one->host != NULL;
}

int core_fetch_guard_allow(const struct pbx_list *entries, struct pbx_diag *diag)
{
	struct exception *list = calloc(entries->count + 1, sizeof *list);

	if (!list)
		return PBX_ENOMEM;
	for (uint32_t i = 0; i < entries->count; i++)
		if (!parse_exception(entries->items[i], &list[i])) {
			pbx_diag_set(diag, "fetch.allow", "fetch.allow: \"%.100s\" is not host:port, 192.0.2.0/24:443 or [fd00::/8]:8080",
				     entries->items[i]);
			free_exceptions(list, entries->count);
			return PBX_EINVAL;
		}
	take_exceptions(list, entries->count);
	return PBX_OK;
}

void core_fetch_guard_fini(void)
{
	take_exceptions(NULL, 0);
}
