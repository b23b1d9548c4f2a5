/*
 * stun_client - asks a STUN server who we are, over UDP
 *
 *   ask ── 0, 0.5, 1.5, 3.5 … s ──► the same request each time ──► an answer with its number from who was asked ──► answered
 *                                                             └──► nothing, some seconds after the last ─────────► answered(NULL)
 *
 * A datagram with a wrong number, from somebody else, or that is broken changes nothing: who guesses has 96 bits to guess, and our port. An
 * error of our own system (no route just now) is a datagram that got lost.
 */
#include "stun_client.h"
#include "session.h"
#include <core/io.h>
#include <core/random.h>
#include <core/timer.h>
#include <string.h>
#include <unistd.h>

#define RTO_MS 500u
#define MOST_AT_ONCE 16u /* datagrams; the rest in the next round */

const struct rtp_stun_patience rtp_stun_patient = { .tries = 7, .last_ms = 16 * RTO_MS };
const struct rtp_stun_patience rtp_stun_quick = { .tries = 3, .last_ms = 4 * RTO_MS };

static void finish(struct rtp_stun_client *client, const struct rtp_stun *answer)
{
	client->asking = false;
	(void)core_timer_stop(client->timer); /* or it has fired: as good */
	client->timer = (pbx_timer){ 0 };
	client->answered(client->context, answer);
}

static void on_due(void *self, pbx_timer timer);

static bool send_request(struct rtp_stun_client *client)
{
	bool is_last = ++client->tries == client->patience.tries;
	uint64_t after_ms = is_last ? client->patience.last_ms : (uint64_t)RTO_MS << (client->tries - 1);

	(void)sendto(client->fd, client->text.data, client->size, MSG_DONTWAIT, &client->to.sa, rtp_addr_size(&client->to));
	return core_timer_start(client->host, after_ms, 0, on_due, client, &client->timer) == PBX_OK;
}

static void on_due(void *self, pbx_timer timer)
{
	struct rtp_stun_client *client = self;

	(void)timer;
	client->timer = (pbx_timer){ 0 };
	if (client->tries == client->patience.tries || !send_request(client))
		finish(client, NULL);
}

/* Whether a datagram is the answer. */
static bool is_answer(const struct rtp_stun_client *client, const struct core_addr *source, const uint8_t *data, size_t size,
		      struct rtp_stun *ret_answer)
{
	return client->asking && rtp_addr_same(source, &client->from) && rtp_stun_parse_plain(data, size, ret_answer) &&
	       memcmp(ret_answer->id, client->id, sizeof client->id) == 0 &&
	       (ret_answer->type == RTP_STUN_SUCCESS || ret_answer->type == RTP_STUN_ERROR);
}

static void on_ready(void *self, pbx_io_watch watch, uint32_t what)
{
	struct rtp_stun_client *client = self;
	uint8_t data[1500];

	(void)watch, (void)what; /* an error is read away like a datagram */
	for (uint32_t i = 0; i < MOST_AT_ONCE && client->fd >= 0; i++) {
		struct core_addr source;
		socklen_t length = sizeof source.in6;
		struct rtp_stun answer;

		memset(&source, 0, sizeof source);
		ssize_t size = recvfrom(client->fd, data, sizeof data, MSG_DONTWAIT, &source.sa, &length);
		if (size < 0)
			return;
		if (is_answer(client, &source, data, (size_t)size, &answer)) {
			finish(client, &answer);
			return; /* the client may have gone */
		}
		client->dropped++;
	}
}

int rtp_stun_client_open(struct rtp_stun_client *client, struct pbx_host *host, int family, rtp_stun_answered_fn answered, void *context)
{
	*client = (struct rtp_stun_client){ .host = host, .answered = answered, .context = context };
	client->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct core_addr any; /* port 0: one of the system's, by chance */
	memset(&any, 0, sizeof any);
	any.sa.sa_family = (sa_family_t)family;
	if (client->fd < 0 || bind(client->fd, &any.sa, rtp_addr_size(&any)) != 0) {
		rtp_stun_client_close(client);
		return PBX_EIO;
	}
	int err = core_io_service.watch(host, client->fd, PBX_IO_READ, on_ready, client, &client->watch);
	if (err != PBX_OK)
		rtp_stun_client_close(client);
	return err;
}

int rtp_stun_client_ask(struct rtp_stun_client *client, const struct core_addr *to, const struct core_addr *from, uint32_t change,
			const struct rtp_stun_patience *patience)
{
	core_random(client->id, sizeof client->id);
	rtp_stun_begin(&client->text, RTP_STUN_REQUEST, client->id);
	if (change)
		rtp_stun_add_change(&client->text, change);
	client->size = rtp_stun_finish_plain(&client->text);
	client->to = *to;
	client->from = *from;
	client->patience = *patience;
	client->tries = 0;
	client->asking = send_request(client);
	return client->asking ? PBX_OK : PBX_ENOMEM;
}

uint16_t rtp_stun_client_port(const struct rtp_stun_client *client)
{
	struct core_addr here;
	socklen_t size = sizeof here.in6;

	memset(&here, 0, sizeof here);
	if (client->fd < 0 || getsockname(client->fd, &here.sa, &size) != 0)
		return 0;
	return ntohs(here.in4.sin_port); /* the same place in both families */
}

void rtp_stun_client_close(struct rtp_stun_client *client)
{
	(void)core_timer_stop(client->timer); /* none may run, and nothing may be watched */
	(void)core_io_service.stop(client->watch);
	if (client->fd >= 0)
		(void)close(client->fd);
	client->timer = (pbx_timer){ 0 };
	client->watch = (pbx_io_watch){ 0 };
	client->fd = -1;
	client->asking = false;
}
