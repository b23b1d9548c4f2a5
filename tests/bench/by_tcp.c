/*
 * by_tcp - far ends by ICE over TCP
 *
 * We are lite, so that one check of theirs that nominates settles it (RFC 8445 8.1.1), and nobody has to be asked again while a run lasts.
 */
#include "by_tcp.h"
#include <arpa/inet.h>
#include <core/loop.h>
#include <core/owner.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <rtp/stun.h>
#include <rtp/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_FRAME 2048u
#define PATIENCE_US 20000000u

static struct far {
	int fd; /* 0: this stream is reached otherwise */
	struct core_ice_name ours, theirs;
} * fars;

static int far_count, connected;
static uint16_t door_port;

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	exit(1);
}

void by_tcp_start(int count, uint16_t port)
{
	far_count = count;
	door_port = port;
	fars = calloc((size_t)count, sizeof *fars);
	must(fars != NULL, "memory");
}

void by_tcp_configure(int at, core_stream stream, struct core_stream_config *config)
{
	struct far *far = &fars[at];

	(void)snprintf(far->ours.ufrag, sizeof far->ours.ufrag, "o%07d", at);
	(void)snprintf(far->ours.pwd, sizeof far->ours.pwd, "ours%020d", at);
	(void)snprintf(far->theirs.ufrag, sizeof far->theirs.ufrag, "t%07d", at);
	(void)snprintf(far->theirs.pwd, sizeof far->theirs.pwd, "theirs%018d", at);
	must(rtp_driver.ice_named(stream, &far->ours) == PBX_OK, "name");
	config->rtp = config->rtcp = (struct core_addr){ 0 };
	config->rtcp_mux = config->ice_lite = true;
	config->own_ice = far->ours;
	config->peer_ice = (struct core_ice){ .name = far->theirs };
	far->fd = -1;
}

static void send_frame(const struct far *far, const uint8_t *data, size_t bytes)
{
	uint8_t frame[2 + MOST_FRAME] = { (uint8_t)(bytes >> 8), (uint8_t)bytes };

	memcpy(frame + 2, data, bytes);
	(void)send(far->fd, frame, 2 + bytes, MSG_DONTWAIT | MSG_NOSIGNAL); /* a whole one has room, or the run is none */
}

static void connect_one(struct far *far, int at)
{
	const struct sockaddr_in door = { .sin_family = AF_INET, .sin_port = htons(door_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rtp_stun_key *key = rtp_stun_key_new(far->ours.pwd);
	uint8_t id[RTP_STUN_ID_BYTES] = { 0 };
	struct rtp_stun_text text;
	int on = 1;

	memcpy(id, &at, sizeof at);
	far->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(far->fd >= 0 && connect(far->fd, (const struct sockaddr *)&door, sizeof door) == 0, "door");
	(void)setsockopt(far->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	rtp_stun_begin(&text, RTP_STUN_REQUEST, id);
	rtp_stun_add_username(&text, far->ours.ufrag, far->theirs.ufrag);
	rtp_stun_add_priority(&text, 1);
	rtp_stun_add_use_candidate(&text);
	rtp_stun_add_role(&text, true, 1);
	size_t bytes = rtp_stun_finish(&text, key);

	must(bytes > 0, "check");
	send_frame(far, text.data, bytes);
	rtp_stun_key_free(key);
}

static uint32_t let_in(void)
{
	struct pollfd fd = { .fd = uv_backend_fd(core_loop_uv()), .events = POLLIN };
	struct rtp_door_totals totals;

	(void)poll(&fd, 1, 1);
	core_loop_step();
	rtp_door_totals(&totals);
	return totals.open;
}

void by_tcp_connect(void)
{
	uint64_t since_us = core_now_us();

	for (int at = 0; at < far_count; at++) {
		if (fars[at].fd == 0)
			continue;
		connect_one(&fars[at], at);
		connected++;
		(void)let_in(); /* the door's queue is short */
	}
	while (let_in() < (uint32_t)connected)
		must(core_now_us() - since_us < PATIENCE_US, "let in");
}

void by_tcp_send(int at, const uint8_t *packet, size_t bytes)
{
	send_frame(&fars[at], packet, bytes);
	(void)recv(fars[at].fd, NULL, 65536, MSG_TRUNC | MSG_DONTWAIT);
}

void by_tcp_stop(void)
{
	for (int at = 0; at < far_count; at++)
		if (fars[at].fd > 0)
			(void)close(fars[at].fd);
	free(fars);
}
