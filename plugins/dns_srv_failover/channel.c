/*
 * channel - c-ares on our loop: its sockets through pbx.io, its clock through pbx.timers
 *
 * Servers are those of the settings, or of /etc/resolv.conf, which is read when a channel is made. A channel that is replaced ends its questions
 * as ARES_EDESTRUCTION; question.c asks them again of the new one.
 */
#include "dns.h"
#include <string.h>
#include <sys/time.h>

#define CLASS_IN 1

static void process(struct dns *dns, ares_socket_t read, ares_socket_t write);

/* ---- time ----------------------------------------------------------------------------- */

static void on_due(void *self, pbx_timer timer)
{
	struct dns *dns = self;

	(void)timer;
	dns->due.id = 0;
	process(dns, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* c-ares counts on a clock of its own; ours is set to the moment it names. */
static void wait_for_due(struct dns *dns)
{
	struct timeval left;

	(void)dns->timers->stop(dns->due); /* or it has fired */
	dns->due.id = 0;
	if (!dns->channel || !ares_timeout(dns->channel, NULL, &left))
		return;
	uint64_t after_ms = (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000 + 1;
	(void)dns->timers->start(dns->host, after_ms, 0, on_due, dns, &dns->due); /* without memory, the next question's turn counts */
}

static void process(struct dns *dns, ares_socket_t read, ares_socket_t write)
{
	if (dns->channel)
		ares_process_fd(dns->channel, read, write);
	wait_for_due(dns);
}

/* ---- sockets -------------------------------------------------------------------------- */

static void on_ready(void *self, pbx_io_watch watch, uint32_t what)
{
	const struct watched *watched = self;

	(void)watch;
	process(watched->dns, what & PBX_IO_READ ? watched->socket : ARES_SOCKET_BAD,
		what & PBX_IO_WRITE ? watched->socket : ARES_SOCKET_BAD);
}

static struct watched *watched_of(struct dns *dns, ares_socket_t socket)
{
	struct watched *unused = NULL;

	for (uint32_t i = 0; i < DNS_MOST_SOCKETS; i++) {
		if (dns->watched[i].used && dns->watched[i].socket == socket)
			return &dns->watched[i];
		if (!dns->watched[i].used && !unused)
			unused = &dns->watched[i];
	}
	return unused;
}

static void on_socket(void *context, ares_socket_t socket, int readable, int writable)
{
	struct dns *dns = context;
	struct watched *watched = watched_of(dns, socket);
	const uint32_t what = (readable ? PBX_IO_READ : 0u) | (writable ? PBX_IO_WRITE : 0u);

	if (!watched)
		return; /* more servers than that nobody names: what is asked of the rest times out */
	if (watched->used && what) {
		(void)dns->io->change(watched->watch, what);
	} else if (watched->used) {
		(void)dns->io->stop(watched->watch);
		watched->used = false;
	} else if (what) {
		watched->socket = socket;
		watched->dns = dns;
		watched->used = dns->io->watch(dns->host, socket, what, on_ready, watched, &watched->watch) == PBX_OK;
	}
}

/* ---- opening and asking --------------------------------------------------------------- */

static bool join(const struct pbx_list *list, char *ret_text, size_t size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (uint32_t i = 0; i < list->count && used < size; i++)
		used += (size_t)snprintf(ret_text + used, size - used, "%s%s", i ? "," : "", list->items[i]);
	return used < size;
}

/* c-ares passes over what it cannot read. */
static bool has_servers(ares_channel channel, uint32_t count)
{
	struct ares_addr_port_node *first = NULL;

	if (ares_get_servers_ports(channel, &first) != ARES_SUCCESS)
		return false;
	for (const struct ares_addr_port_node *node = first; node && count; node = node->next)
		count--;
	ares_free_data(first);
	return !count;
}

int channel_open(struct dns *dns, const struct dns_settings *settings, ares_channel *ret_channel, struct pbx_diag *diag)
{
	struct ares_options options = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
					.timeout = (int)settings->timeout_ms,
					.tries = (int)settings->tries,
					.ednspsz = 1232, /* what fits everywhere without fragments */
					.sock_state_cb = on_socket,
					.sock_state_cb_data = dns };
	const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
	ares_channel channel;
	char servers[1024];

	if (!join(&settings->servers, servers, sizeof servers)) {
		pbx_diag_set(diag, "servers", "too many DNS servers: two or three do");
		return PBX_EINVAL;
	}
	int err = ares_init_options(&channel, &options, mask);
	if (err != ARES_SUCCESS) {
		pbx_diag_set(diag, "servers", "DNS cannot be set up: %s", ares_strerror(err));
		return err == ARES_ENOMEM ? PBX_ENOMEM : PBX_EINVAL;
	}
	if (servers[0] &&
	    (ares_set_servers_ports_csv(channel, servers) != ARES_SUCCESS || !has_servers(channel, settings->servers.count))) {
		ares_destroy(channel);
		pbx_diag_set(diag, "servers", "\"%.200s\" is not a list of addresses; right would be 192.0.2.53 or [2001:db8::53]:5353",
			     servers);
		return PBX_EINVAL;
	}
	*ret_channel = channel;
	return PBX_OK;
}

void channel_replace(struct dns *dns, ares_channel channel)
{
	ares_channel old = dns->channel;

	dns->channel = channel;
	if (old)
		ares_destroy(old);
	wait_for_due(dns);
}

void channel_ask(struct dns *dns, const char *name, uint16_t type, ares_callback done, void *context)
{
	ares_query(dns->channel, name, CLASS_IN, type, done, context);
	wait_for_due(dns);
}
