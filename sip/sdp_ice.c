/*
 * sdp_ice.c - lines of SDP about ICE and DTLS
 *
 * Candidates we cannot use are passed over: ICE finds the peer without them when there is any way, since a check that arrives tells where it
 * came from. A browser hides its addresses behind names of multicast DNS, and is found that way, too. So is who comes by TCP: the peer connects to us
 * (RFC 6544 4.1, its candidates are active and have port 9), we to nobody, so of its candidates by TCP there is nothing to learn.
 */
#include "sdp_ice.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const kinds[] = { [CORE_CANDIDATE_HOST] = "host",
				     [CORE_CANDIDATE_PEER_REFLEXIVE] = "prflx",
				     [CORE_CANDIDATE_SERVER_REFLEXIVE] = "srflx",
				     [CORE_CANDIDATE_RELAYED] = "relay" };

static bool read_kind(const char *name, uint8_t *ret_kind)
{
	for (uint8_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
		if (strcasecmp(kinds[kind], name) == 0) {
			*ret_kind = kind;
			return true;
		}
	return false;
}

static bool read_address(const char *host, unsigned port, struct core_addr *ret_addr)
{
	struct core_addr addr;

	memset(&addr, 0, sizeof addr);
	if (port == 0 || port > 65535)
		return false;
	if (inet_pton(AF_INET, host, &addr.in4.sin_addr) == 1) {
		addr.in4.sin_family = AF_INET;
		addr.in4.sin_port = htons((uint16_t)port);
	} else if (inet_pton(AF_INET6, host, &addr.in6.sin6_addr) == 1) {
		addr.in6.sin6_family = AF_INET6;
		addr.in6.sin6_port = htons((uint16_t)port);
	} else {
		return false;
	}
	*ret_addr = addr;
	return true;
}

bool ua_sdp_candidate_read(const char *value, struct core_candidate *ret_candidate)
{
	char transport[8], host[64], kind[8];
	unsigned component, priority, port;
	struct core_candidate candidate = { 0 };

	if (sscanf(value, "%*32s %3u %7s %10u %63s %5u typ %7s", &component, transport, &priority, host, &port, kind) != 6)
		return false;
	if (component < 1 || component > 2 || strcasecmp(transport, "udp") != 0 || priority == 0 || !read_kind(kind, &candidate.kind) ||
	    !read_address(host, port, &candidate.addr))
		return false;
	candidate.component = (uint8_t)component;
	candidate.priority = priority;
	*ret_candidate = candidate;
	return true;
}

/* The same for candidates of one kind and transport at one address, whatever the port (RFC 8445 5.1.1.3). */
static uint32_t foundation(const struct core_candidate *candidate)
{
	const struct core_addr *addr = &candidate->addr;
	const uint8_t *host = addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_addr.s6_addr : (const uint8_t *)&addr->in4.sin_addr;
	uint32_t hash = 2166136261u ^ candidate->kind ^ addr->transport << 8;

	for (size_t i = 0; i < (addr->sa.sa_family == AF_INET6 ? 16u : 4u); i++)
		hash = (hash ^ host[i]) * 16777619u;
	return hash;
}

void ua_sdp_candidate_write(const struct core_candidate *candidate, char ret_value[UA_SDP_CANDIDATE_SIZE])
{
	const struct core_addr *addr = &candidate->addr;
	bool is6 = addr->sa.sa_family == AF_INET6, by_tcp = addr->transport == CORE_BY_TCP;
	char host[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(is6 ? AF_INET6 : AF_INET, is6 ? (const void *)&addr->in6.sin6_addr : (const void *)&addr->in4.sin_addr, host,
			sizeof host); /* room enough */
	(void)snprintf(ret_value, UA_SDP_CANDIDATE_SIZE, "%u %u %s %u %s %u typ %s%s%s", foundation(candidate), candidate->component,
		       by_tcp ? "tcp" : "udp", candidate->priority, host, ntohs(is6 ? addr->in6.sin6_port : addr->in4.sin_port),
		       kinds[candidate->kind],
		       candidate->kind == CORE_CANDIDATE_HOST ? ""
		       : is6                                  ? " raddr :: rport 9" /* what is behind it is nobody's business */
							      : " raddr 0.0.0.0 rport 9",
		       by_tcp ? " tcptype passive" : "");
}

/* ---- certificates ---- */

static const struct {
	const char *name;
	size_t bytes;
} hashes[] = { [CORE_HASH_SHA256] = { "sha-256", 32 }, [CORE_HASH_SHA384] = { "sha-384", 48 }, [CORE_HASH_SHA512] = { "sha-512", 64 } };

#define HASHES (sizeof hashes / sizeof hashes[0])

static bool read_hex(const char *at, size_t bytes, uint8_t *ret_bytes)
{
	for (size_t i = 0; i < bytes; i++, at += 3) {
		unsigned value;

		if (strspn(at, "0123456789abcdefABCDEF") != 2 || sscanf(at, "%2x", &value) != 1 || at[2] != (i + 1 < bytes ? ':' : '\0'))
			return false;
		ret_bytes[i] = (uint8_t)value;
	}
	return true;
}

bool ua_sdp_fingerprint_read(const char *value, struct core_dtls *dtls)
{
	size_t length = strcspn(value, " ");
	uint8_t bytes[sizeof dtls->fingerprint] = { 0 };

	for (uint8_t hash = CORE_HASH_SHA256; hash < HASHES; hash++) {
		if (strlen(hashes[hash].name) != length || strncasecmp(hashes[hash].name, value, length) != 0)
			continue;
		if (!read_hex(value + length + strspn(value + length, " "), hashes[hash].bytes, bytes))
			return false;
		dtls->hash = hash;
		memcpy(dtls->fingerprint, bytes, sizeof bytes);
		return true;
	}
	return false;
}

void ua_sdp_fingerprint_write(const struct core_dtls *dtls, char ret_value[UA_SDP_FINGERPRINT_SIZE])
{
	size_t used = (size_t)snprintf(ret_value, UA_SDP_FINGERPRINT_SIZE, "%s ", hashes[dtls->hash].name);

	for (size_t i = 0; i < hashes[dtls->hash].bytes; i++)
		used += (size_t)snprintf(ret_value + used, UA_SDP_FINGERPRINT_SIZE - used, i ? ":%02X" : "%02X", dtls->fingerprint[i]);
}

/* ---- who begins, and by what name ---- */

static const char *const setups[] = { [CORE_SETUP_ACTPASS] = "actpass", [CORE_SETUP_ACTIVE] = "active", [CORE_SETUP_PASSIVE] = "passive" };

uint8_t ua_sdp_setup_read(const char *value, bool is_answer)
{
	for (uint8_t setup = 0; value && setup < sizeof setups / sizeof setups[0]; setup++)
		if (strcasecmp(setups[setup], value) == 0)
			return setup;
	return is_answer ? CORE_SETUP_PASSIVE : CORE_SETUP_ACTIVE;
}

const char *ua_sdp_setup_name(uint8_t setup)
{
	return setups[setup];
}

#define ICE_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

static bool read_word(const char *text, size_t least, char *ret_word, size_t size)
{
	size_t length = text ? strspn(text, ICE_CHARACTERS) : 0;

	if (length < least || length >= size || text[length])
		return false;
	memcpy(ret_word, text, length + 1);
	return true;
}

bool ua_sdp_ice_name_read(const char *ufrag, const char *pwd, struct core_ice_name *ret_name)
{
	struct core_ice_name name = { 0 };

	if (!read_word(ufrag, 4, name.ufrag, sizeof name.ufrag) || !read_word(pwd, 22, name.pwd, sizeof name.pwd))
		return false;
	*ret_name = name;
	return true;
}

/* ---- what comes late ---- */

#define MOST_LINE 256u

static void read_fragment_line(const char *line, struct core_ice *more, bool *is_audio, char ufrag[MOST_LINE])
{
	struct core_candidate candidate;

	if (strncmp(line, "m=", 2) == 0)
		*is_audio = strncmp(line, "m=audio ", 8) == 0;
	else if (strncmp(line, "a=ice-ufrag:", 12) == 0)
		(void)snprintf(ufrag, MOST_LINE, "%s", line + 12);
	else if (strncmp(line, "a=ice-pwd:", 10) == 0)
		(void)ua_sdp_ice_name_read(ufrag, line + 10, &more->name); /* an odd one is none */
	else if (*is_audio && more->candidate_count < CORE_MOST_CANDIDATES && strncmp(line, "a=candidate:", 12) == 0 &&
		 ua_sdp_candidate_read(line + 12, &candidate))
		more->candidates[more->candidate_count++] = candidate;
}

bool ua_sdp_fragment_read(const char *body, size_t size, struct core_ice *ret_more)
{
	struct core_ice more = { 0 };
	char line[MOST_LINE], ufrag[MOST_LINE] = "";
	bool is_audio = true; /* before the first m= line */

	for (const char *at = body, *end = body + size; at < end;) {
		size_t length = 0;

		while (at + length < end && at[length] != '\r' && at[length] != '\n')
			length++;
		if (length < sizeof line && !memchr(at, '\0', length)) {
			memcpy(line, at, length);
			line[length] = '\0';
			read_fragment_line(line, &more, &is_audio, ufrag);
		}
		at += length + 1;
	}
	if (more.candidate_count == 0)
		return false;
	*ret_more = more;
	return true;
}
