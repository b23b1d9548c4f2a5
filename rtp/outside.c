/*
 * outside - our address as those outside see it
 *
 * An administrator behind a NAT without a fixed address cannot write external_ip down. So a STUN server is asked from time to time
 * (RFC 8489), and what it sees is told to those outside: signalling puts it into Contact and SDP. The address alone is learnt; the NAT has to
 * pass our ports on under their own numbers, as with an address that is written down.
 *
 *   server ── name: the pool looks it up ──► the question ──► address: known, and told when it is another than before
 *                                                       └───► no answer, an error, no such host: what was known holds on, and it is said
 *   and the same again interval_s later, each time from a new port, so that the route and the NAT's state are those of now
 */
#include "outside.h"
#include "session.h"
#include <arpa/inet.h>
#include <core/address_text.h>
#include <core/loop.h>
#include <core/timer.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define STUN_PORT 3478u

/* A name on its way through the pool. It outlives whoever wanted it. */
struct looking {
	char server[RTP_OUTSIDE_SERVER];
	bool found;
	struct core_addr address;
};

static struct {
	struct pbx_host *host;
	rtp_outside_fn changed;
	char server[RTP_OUTSIDE_SERVER];
	uint32_t interval_s;
	struct rtp_outside is;
	struct looking *looking; /* NULL: no name is being looked up */
	struct rtp_stun_client client;
	bool is_open; /* the client */
	pbx_timer next;
} outside;

/* ---- the server's address ---- */

/* Host and port apart; the port is STUN_PORT when there is none. False: it cannot be one. */
static bool split(const char *server, char *ret_host, size_t size, char ret_port[6])
{
	const char *end = server[0] == '[' ? strchr(server, ']') : strrchr(server, ':');
	bool is_bare_six = server[0] != '[' && end && strchr(server, ':') != end;
	const char *host = server[0] == '[' ? server + 1 : server, *port = NULL;
	size_t length = strlen(host);

	if (server[0] == '[' && (!end || (end[1] && end[1] != ':')))
		return false;
	if (end && !is_bare_six) {
		length = (size_t)(end - host);
		port = server[0] == '[' ? (end[1] ? end + 2 : NULL) : end + 1;
	}
	if (length == 0 || length >= size)
		return false;
	memcpy(ret_host, host, length);
	ret_host[length] = '\0';
	unsigned long number = port ? strtoul(port, NULL, 10) : STUN_PORT;
	if (port && (strlen(port) > 5 || strspn(port, "0123456789") != strlen(port)))
		return false;
	(void)snprintf(ret_port, 6, "%lu", number % 100000);
	return number > 0 && number < 65536;
}

int rtp_outside_check(const char *server, struct pbx_diag *diag)
{
	char host[RTP_OUTSIDE_SERVER], port[6];

	if (!server || !*server || (split(server, host, sizeof host, port) && !strpbrk(host, " /@?")))
		return PBX_OK;
	pbx_diag_set(diag, "stun_server", "'%.100s' is no host; right would be stun.example.net or 192.0.2.7:3478", server);
	return PBX_EINVAL;
}

bool rtp_outside_resolve(const char *server, struct core_addr *ret_address)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV };
	const struct addrinfo *best = NULL;
	struct addrinfo *list = NULL;
	char host[RTP_OUTSIDE_SERVER], port[6];

	/* A number needs no AI_ADDRCONFIG, and must work where the loopback is all there is. */
	if (!split(server, host, sizeof host, port))
		return false;
	const struct addrinfo numeric = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	if (getaddrinfo(host, port, &numeric, &list) != 0 && getaddrinfo(host, port, &hints, &list) != 0)
		return false;
	for (const struct addrinfo *each = list; each; each = each->ai_next)
		if (each->ai_addrlen <= sizeof ret_address->in6 && (!best || (best->ai_family != AF_INET && each->ai_family == AF_INET)))
			best = each;
	memset(ret_address, 0, sizeof *ret_address);
	if (best)
		memcpy(ret_address, best->ai_addr, best->ai_addrlen);
	freeaddrinfo(list);
	return best != NULL;
}

/* ---- what came of it ---- */

const char *rtp_outside_state_name(enum rtp_outside_state state)
{
	static const char *const names[] = {
		[RTP_OUTSIDE_OFF] = "off",
		[RTP_OUTSIDE_ASKING] = "asking",
		[RTP_OUTSIDE_KNOWN] = "known",
		[RTP_OUTSIDE_NO_ANSWER] = "no_answer",
		[RTP_OUTSIDE_NO_HOST] = "no_such_host",
		[RTP_OUTSIDE_REFUSED] = "refused",
	};

	return names[state];
}

static void ask(void);

static void on_next(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	outside.next = (pbx_timer){ 0 };
	ask();
}

static void say(const struct core_addr *before)
{
	char now[64] = "", was[64] = "";
	const char *state = rtp_outside_state_name(outside.is.state);

	if (outside.is.address.sa.sa_family)
		core_address_print_host(&outside.is.address, now, sizeof now);
	if (before->sa.sa_family)
		core_address_print_host(before, was, sizeof was);
	if (outside.is.state == RTP_OUTSIDE_KNOWN)
		pbx_notice(outside.host, "outside_address", "address=%s before=%s server=%s", now, was, outside.server);
	else if (now[0])
		pbx_warn(outside.host, "outside_address_stale",
			 "state=%s server=%s address=%s effect=\"what was known last is still told\"", state, outside.server, now);
	else
		pbx_warn(outside.host, "outside_address_unknown",
			 "state=%s server=%s effect=\"those outside are told an address that they may not reach\"", state, outside.server);
	outside.changed(&outside.is, before);
}

/* The question is over. address: NULL when it told none. */
static void conclude(enum rtp_outside_state state, const struct core_addr *address)
{
	const struct core_addr before = outside.is.address;
	bool is_another = address && !rtp_addr_same_host(address, &before);
	bool is_news = is_another || state != outside.is.state;

	if (outside.is_open) {
		outside.is.dropped += outside.client.dropped;
		rtp_stun_client_close(&outside.client);
		outside.is_open = false;
	}
	outside.is.state = state;
	if (address)
		outside.is.told_wall_us = core_wall_us();
	if (is_another) {
		outside.is.address = *address;
		outside.is.address.in4.sin_port = 0; /* the same place in both families */
		outside.is.since_wall_us = core_wall_us();
	}
	if (core_timer_start(outside.host, (uint64_t)outside.interval_s * 1000, 0, on_next, NULL, &outside.next) != PBX_OK)
		pbx_error(outside.host, "out_of_memory", "effect=\"the STUN server is not asked any more\"");
	if (is_news)
		say(&before);
}

static bool is_loopback(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? ntohl(addr->in4.sin_addr.s_addr) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
}

/* An address that a host can have, of the family that was asked by. */
static bool is_plausible(const struct core_addr *addr)
{
	uint32_t four = ntohl(addr->in4.sin_addr.s_addr);

	if (addr->sa.sa_family != outside.client.to.sa.sa_family || (is_loopback(addr) && !is_loopback(&outside.client.to)))
		return false;
	if (addr->sa.sa_family == AF_INET)
		return four >> 24 != 0 && four >> 28 < 14; /* 0/8; 224/4 and beyond */
	return !IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr) && !IN6_IS_ADDR_MULTICAST(&addr->in6.sin6_addr) &&
	       !IN6_IS_ADDR_LINKLOCAL(&addr->in6.sin6_addr) && !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr);
}

static void on_answer(void *context, const struct rtp_stun *answer)
{
	const struct core_addr *address = !answer ? NULL : answer->mapped.sa.sa_family ? &answer->mapped : &answer->plain;

	(void)context;
	if (!answer)
		conclude(RTP_OUTSIDE_NO_ANSWER, NULL);
	else if (answer->type != RTP_STUN_SUCCESS || answer->unknown || !is_plausible(address))
		conclude(RTP_OUTSIDE_REFUSED, NULL);
	else
		conclude(RTP_OUTSIDE_KNOWN, address);
}

/* ---- the question ---- */

static void begin(const struct core_addr *server)
{
	int err = rtp_stun_client_open(&outside.client, outside.host, server->sa.sa_family, on_answer, NULL);

	outside.is_open = err == PBX_OK;
	if (err == PBX_OK)
		err = rtp_stun_client_ask(&outside.client, server, server, 0, &rtp_stun_patient);
	if (err != PBX_OK)
		conclude(RTP_OUTSIDE_NO_ANSWER, NULL);
}

/* [work] */
static void look_up(void *job)
{
	struct looking *looking = job;

	looking->found = rtp_outside_resolve(looking->server, &looking->address);
}

static void on_looked_up(void *self, void *job, int status)
{
	struct looking *looking = job;
	const struct looking it = *looking;
	bool is_wanted = outside.looking == looking;

	(void)self;
	free(looking);
	if (!is_wanted)
		return; /* the server is another one meanwhile */
	outside.looking = NULL;
	if (status != PBX_OK)
		return; /* we are being stopped */
	if (it.found)
		begin(&it.address);
	else
		conclude(RTP_OUTSIDE_NO_HOST, NULL);
}

static void ask(void)
{
	struct looking *looking = calloc(1, sizeof *looking);

	if (looking)
		memcpy(looking->server, outside.server, sizeof looking->server);
	if (!looking || core_work(outside.host, look_up, on_looked_up, NULL, looking) != PBX_OK) {
		free(looking);
		conclude(RTP_OUTSIDE_NO_ANSWER, NULL);
		return;
	}
	outside.looking = looking;
}

/* ---- life ---- */

void rtp_outside_stop(void)
{
	(void)core_timer_stop(outside.next); /* none may run */
	if (outside.is_open)
		rtp_stun_client_close(&outside.client);
	memset(&outside, 0, sizeof outside); /* a name that is still looked up is nobody's */
}

void rtp_outside_configure(struct pbx_host *host, const char *server, uint32_t interval_s, rtp_outside_fn changed)
{
	bool is_same = outside.host && strcmp(outside.server, server ? server : "") == 0;

	if (is_same) {
		outside.interval_s = interval_s; /* from the next pause on */
		return;
	}
	rtp_outside_stop();
	outside.host = host;
	outside.changed = changed;
	outside.interval_s = interval_s;
	(void)snprintf(outside.server, sizeof outside.server, "%s", server ? server : "");
	if (!outside.server[0])
		return;
	outside.is.state = RTP_OUTSIDE_ASKING;
	ask();
}

void rtp_outside_get(struct rtp_outside *ret_outside)
{
	*ret_outside = outside.is;
	ret_outside->server = outside.server;
	if (outside.is_open)
		ret_outside->dropped += outside.client.dropped;
}

bool rtp_outside_address(int family, struct core_addr *ret_address)
{
	if (!outside.is.address.sa.sa_family || outside.is.address.sa.sa_family != family)
		return false;
	*ret_address = outside.is.address;
	return true;
}
