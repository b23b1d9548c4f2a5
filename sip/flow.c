/*
 * flow.c - connections that are kept alive (RFC 5626): ours to peers by us, phones' by the phones
 *
 * A router or a provider forgets a connection that is silent, and nobody notices before the next call cannot come in. Where a peer wants it
 * (pbx/sip.h: keepalive_ms) two line ends are sent, and one comes back. Anything that arrives is a sign of life: the kernel knows when
 * something did. After sip.flow_answer_s of silence the connection is shut down, Sofia fails what was under way on it, and whoever registered
 * over it is told to do so anew.
 *
 * Sofia has pings of its own, for TCP alone, and tells nobody when one stays unanswered.
 *
 * A phone that registered with outbound has been told how often to send something (Flow-Timer, 4.4). When nothing has come for that and
 * sip.flow_answer_s, it is not there any more: the connection is closed and what was registered over it ends, so that the next call goes to
 * another flow of the device, or to where its account says.
 */
#include "flow.h"
#include "address.h"
#include "location.h"
#include "loop.h"
#include "peer.h"
#include "timer.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TICK_MS 1000u
#define GRAIN_MS 20u /* the kernel counts in ticks of its clock */
#define PING "\r\n\r\n"

int tport_has_queued(tport_t const *tport);

static struct ua *owner;
static pbx_timer tick;

/* False: it is being made, or has gone. */
static bool is_established(const struct ua_connection *flow, uint32_t *ret_silent_ms)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof info;

	if (tport_is_closed(flow->tport) || getsockopt(flow->socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
	    info.tcpi_state != TCP_ESTABLISHED)
		return false;
	*ret_silent_ms = info.tcpi_last_data_recv;
	return true;
}

static bool send_ping(const struct ua_connection *flow)
{
	int size = (int)strlen(PING);

	if (tport_has_queued(flow->tport))
		return false; /* in the middle of a message */
	if (!flow->ssl)
		return send(flow->socket, PING, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) == size;
	return SSL_is_init_finished(flow->ssl) && !SSL_want_write(flow->ssl) && SSL_write(flow->ssl, PING, size) == size;
}

/* RFC 5626 4.4.1: at random between 80 and 100 % of the time, so that many do not ping at once. */
static uint64_t next_at_ms(uint32_t every_ms)
{
	return core_now_ms() + every_ms - arc4random_uniform(every_ms / 5 + 1);
}

static void look_after(struct ua_connection *flow, uint32_t every_ms)
{
	uint64_t now_ms = core_now_ms();
	uint32_t silent_ms;

	if (!is_established(flow, &silent_ms))
		return;
	if (!flow->ping_at_ms)
		flow->ping_at_ms = next_at_ms(every_ms);
	if (flow->pinged_at_ms && silent_ms <= now_ms - flow->pinged_at_ms + GRAIN_MS)
		flow->pinged_at_ms = 0;
	if (flow->pinged_at_ms && now_ms - flow->pinged_at_ms >= (uint64_t)owner->settings->flow_answer_s * 1000) {
		(void)shutdown(flow->socket, SHUT_RDWR); /* Sofia finds the end of the stream */
		return;
	}
	if (flow->pinged_at_ms || now_ms < flow->ping_at_ms || !send_ping(flow))
		return;
	flow->pinged_at_ms = now_ms;
	flow->ping_at_ms = next_at_ms(every_ms);
}

/* ---- those of phones ------------------------------------------------------------------ */

static void forget_registrations(const struct ua_connection *flow)
{
	struct ua_binding *next;
	char received[80];

	core_address_print(&flow->end, received, sizeof received);
	for (struct ua_binding *binding = ua_location_find(flow->account); binding; binding = next) {
		next = binding->next_of_aor;
		if (!binding->node && strcmp(binding->received, received) == 0 && strcmp(binding->transport, flow->transport) == 0)
			ua_location_drop(binding, "flow_failed");
	}
}

static void listen_for_phone(struct ua_connection *flow)
{
	uint64_t now_ms = core_now_ms(), most_ms = (uint64_t)(flow->promised_s + owner->settings->flow_answer_s) * 1000;
	uint32_t silent_ms;

	if (now_ms < flow->look_at_ms || !is_established(flow, &silent_ms))
		return;
	if (silent_ms < most_ms) {
		flow->look_at_ms = now_ms + most_ms - silent_ms;
		return;
	}
	flow->promised_s = 0;
	pbx_notice(owner->host, "phone_flow_silent", "aor=%s transport=%s for_ms=%u", flow->account, flow->transport, silent_ms);
	forget_registrations(flow);
	(void)shutdown(flow->socket, SHUT_RDWR);
}

static void on_tick(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	for (struct ua_connection *flow = ua_connections_kept(); flow; flow = flow->next_kept) {
		uint32_t every_ms = flow->is_ours ? ua_peer_keepalive_towards(&flow->end) : 0;

		if (flow->promised_s)
			listen_for_phone(flow);
		else if (every_ms)
			look_after(flow, every_ms);
		else
			flow->ping_at_ms = flow->pinged_at_ms = 0;
	}
}

/* ---- the end of one ------------------------------------------------------------------- */

static void tell(void *context, void *data)
{
	(void)context;
	ua_peer_flow_failed(data);
	free(data);
}

/* Not at once: Sofia is in the middle of it. */
void ua_flow_over(const struct ua_connection *connection)
{
	struct core_addr *end = owner && connection->is_ours && connection->ping_at_ms ? malloc(sizeof *end) : NULL;

	if (!end)
		return; /* without memory its registration is refreshed in time all the same */
	*end = connection->end;
	pbx_notice(owner->host, "flow_ended", "transport=%s silent=%d", connection->transport, connection->pinged_at_ms != 0);
	if (core_post(owner->host, tell, NULL, end, free) != PBX_OK)
		free(end);
}

/* ---- life ----------------------------------------------------------------------------- */

int ua_flows_start(struct ua *ua)
{
	owner = ua;
	return core_timer_start(ua->host, TICK_MS, TICK_MS, on_tick, ua, &tick);
}

void ua_flows_stop(void)
{
	(void)core_timer_stop(tick); /* or it has gone with its owner */
	owner = NULL;
}
