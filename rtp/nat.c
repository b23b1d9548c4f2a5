/*
 * nat - what kind of NAT we are behind (RFC 5780 4.3, 4.4)
 *
 *   who am I?                                          ──► mapped; it is our own address: there is no NAT
 *   answer me from your other address and port         ──► an answer: filters nobody             \ filtering comes first: a question of ours
 *   answer me from your other port                     ──► an answer: filters by address, else by port / to the other address opens the way from it
 *   who am I, other address, same port?                ──► as before: maps all alike
 *   who am I, other address, other port?               ──► as the one before: maps by address, else by port
 *
 * All of it from one socket. A NAT may do otherwise in a minute, or with other ports: so nothing but a person goes by it.
 */
#include "nat.h"
#include "session.h"
#include <core/loop.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum step { WHO, FROM_BOTH, FROM_PORT, OTHER_ADDRESS, OTHER_BOTH };

struct job {
	char server[RTP_OUTSIDE_SERVER];
	bool found;
	struct core_addr address;
};

static struct {
	struct pbx_host *host;
	rtp_nat_fn done;
	void *context;
	struct job *job; /* NULL: no name is being looked up */
	struct rtp_stun_client client;
	bool is_open;
	enum step step;
	struct core_addr before; /* what the last question of the mapping saw */
	struct rtp_nat_finding found;
} nat;

static void finish(int result)
{
	rtp_nat_fn done = nat.done;
	void *context = nat.context;
	struct rtp_nat_finding found = nat.found;

	if (nat.is_open)
		rtp_stun_client_close(&nat.client);
	memset(&nat, 0, sizeof nat);
	found.result = result;
	done(context, &found);
}

static struct core_addr with_port(struct core_addr addr, const struct core_addr *port)
{
	addr.in4.sin_port = port->in4.sin_port; /* the same place in both families */
	return addr;
}

static void go(enum step step)
{
	const struct core_addr *server = &nat.found.server, *other = &nat.found.other;
	const struct core_addr near = with_port(*server, other), far = with_port(*other, server);
	int err = PBX_OK;

	nat.step = step;
	switch (step) {
	case WHO:
		err = rtp_stun_client_ask(&nat.client, server, server, 0, &rtp_stun_quick);
		break;
	case FROM_BOTH:
		err = rtp_stun_client_ask(&nat.client, server, other, RTP_STUN_CHANGE_ADDRESS | RTP_STUN_CHANGE_PORT, &rtp_stun_quick);
		break;
	case FROM_PORT:
		err = rtp_stun_client_ask(&nat.client, server, &near, RTP_STUN_CHANGE_PORT, &rtp_stun_quick);
		break;
	case OTHER_ADDRESS:
		err = rtp_stun_client_ask(&nat.client, &far, &far, 0, &rtp_stun_quick);
		break;
	case OTHER_BOTH:
		err = rtp_stun_client_ask(&nat.client, other, other, 0, &rtp_stun_quick);
		break;
	}
	if (err != PBX_OK)
		finish(err);
}

/* The address that we have on the way there, with the port that we ask from: connecting a UDP socket sends nothing. */
static struct core_addr local_towards(const struct core_addr *server)
{
	struct core_addr here;
	socklen_t size = sizeof here.in6;
	int fd = socket(server->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(&here, 0, sizeof here);
	if (fd < 0 || connect(fd, &server->sa, rtp_addr_size(server)) != 0 || getsockname(fd, &here.sa, &size) != 0)
		here.sa.sa_family = AF_UNSPEC;
	if (fd >= 0)
		(void)close(fd);
	here.in4.sin_port = htons(rtp_stun_client_port(&nat.client));
	return here;
}

static void on_who(const struct rtp_stun *answer, const struct core_addr *mapped)
{
	struct rtp_nat_finding *found = &nat.found;

	if (!answer || answer->type != RTP_STUN_SUCCESS || !mapped->sa.sa_family) {
		finish(answer ? PBX_EIO : PBX_ETIMEOUT);
		return;
	}
	found->mapped = nat.before = *mapped;
	found->local = local_towards(&found->server);
	if (answer->other.sa.sa_family == found->server.sa.sa_family && !rtp_addr_same_host(&answer->other, &found->server))
		found->other = answer->other;
	if (rtp_addr_same(mapped, &found->local))
		found->mapping = RTP_NAT_NONE; /* a firewall may filter all the same */
	if (found->other.sa.sa_family)
		go(FROM_BOTH);
	else
		finish(PBX_OK);
}

/* Filtering is known: mapping, where there is something to find out. */
static void on_filtering(enum rtp_nat_kind filtering)
{
	nat.found.filtering = filtering;
	if (nat.found.mapping == RTP_NAT_NONE)
		finish(PBX_OK);
	else
		go(OTHER_ADDRESS);
}

static void on_answer(void *context, const struct rtp_stun *answer)
{
	static const struct core_addr none;
	const struct core_addr *mapped = !answer ? &none : answer->mapped.sa.sa_family ? &answer->mapped : &answer->plain;
	bool is_success = answer && answer->type == RTP_STUN_SUCCESS;

	(void)context;
	switch (nat.step) {
	case WHO:
		on_who(answer, mapped);
		break;
	case FROM_BOTH:
		if (is_success)
			on_filtering(RTP_NAT_FREE);
		else
			go(FROM_PORT);
		break;
	case FROM_PORT:
		on_filtering(is_success ? RTP_NAT_BY_ADDRESS : RTP_NAT_BY_PORT);
		break;
	case OTHER_ADDRESS:
		if (!is_success) {
			finish(PBX_OK); /* its other address cannot be reached: the mapping stays unknown */
			break;
		}
		if (rtp_addr_same(mapped, &nat.before)) {
			nat.found.mapping = RTP_NAT_FREE;
			finish(PBX_OK);
			break;
		}
		nat.before = *mapped;
		go(OTHER_BOTH);
		break;
	case OTHER_BOTH:
		if (is_success)
			nat.found.mapping = rtp_addr_same(mapped, &nat.before) ? RTP_NAT_BY_ADDRESS : RTP_NAT_BY_PORT;
		finish(PBX_OK);
		break;
	}
}

/* [work] */
static void look_up(void *data)
{
	struct job *job = data;

	job->found = rtp_outside_resolve(job->server, &job->address);
}

static void on_looked_up(void *self, void *data, int status)
{
	const struct job job = *(struct job *)data;
	bool is_wanted = nat.job == data;

	(void)self;
	free(data);
	if (!is_wanted)
		return;
	nat.job = NULL;
	if (status != PBX_OK || !job.found) {
		finish(status != PBX_OK ? PBX_ECANCELLED : PBX_ENOENT);
		return;
	}
	nat.found.server = job.address;
	int err = rtp_stun_client_open(&nat.client, nat.host, job.address.sa.sa_family, on_answer, NULL);
	nat.is_open = err == PBX_OK;
	if (err == PBX_OK)
		go(WHO);
	else
		finish(err);
}

int rtp_nat_find(struct pbx_host *host, const char *server, rtp_nat_fn done, void *context)
{
	if (nat.done)
		return PBX_EBUSY;
	struct job *job = calloc(1, sizeof *job);
	if (!job)
		return PBX_ENOMEM;
	(void)snprintf(job->server, sizeof job->server, "%s", server);
	nat.host = host;
	nat.done = done;
	nat.context = context;
	nat.job = job;
	int err = core_work(host, look_up, on_looked_up, NULL, job);
	if (err != PBX_OK) {
		memset(&nat, 0, sizeof nat);
		free(job);
	}
	return err;
}

void rtp_nat_stop(void)
{
	if (nat.done)
		finish(PBX_ECANCELLED); /* a name that is still looked up is nobody's */
}

const char *rtp_nat_kind_name(enum rtp_nat_kind kind)
{
	static const char *const names[] = { [RTP_NAT_UNKNOWN] = "unknown",
					     [RTP_NAT_NONE] = "none",
					     [RTP_NAT_FREE] = "endpoint_independent",
					     [RTP_NAT_BY_ADDRESS] = "address_dependent",
					     [RTP_NAT_BY_PORT] = "address_and_port_dependent" };

	return names[kind];
}

const char *rtp_nat_type(const struct rtp_nat_finding *finding)
{
	static const char *const by_filter[] = { [RTP_NAT_UNKNOWN] = "unknown",
						 [RTP_NAT_NONE] = "unknown",
						 [RTP_NAT_FREE] = "full_cone",
						 [RTP_NAT_BY_ADDRESS] = "restricted_cone",
						 [RTP_NAT_BY_PORT] = "port_restricted" };

	if (finding->mapping == RTP_NAT_NONE)
		return "none";
	if (finding->mapping == RTP_NAT_BY_ADDRESS || finding->mapping == RTP_NAT_BY_PORT)
		return "symmetric";
	return finding->mapping == RTP_NAT_FREE ? by_filter[finding->filtering] : "unknown";
}
