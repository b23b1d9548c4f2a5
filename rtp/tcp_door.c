/*
 * tcp_door - where peers come in who get no datagram out: one port for all streams (RFC 6544)
 *
 *    accept ──► the first frame ──► a name, a password ──► its stream knows its peer ──► the worker
 *
 * Anybody may connect, so at the door a connection is read as far as its first frame goes, for a few seconds. That frame has to be a check of ICE with a name
 * that a description of ours has, signed with the password beside it. A browser that is called checks before its answer has arrived: who is
 * proved waits for that. Then the worker has the connection, with the frame, which ICE answers there.
 *
 * Newcomers push out who has waited longest, so that a crowd of silent ones keeps nobody out who knows what to say; who is in stays. Listeners
 * and guests are in one epoll set, which the loop polls: a socket leaves it for the worker's without a callback that is to be waited for.
 */
#include "engine_inner.h"
#include "ice_names.h"
#include "octets.h"
#include "tcp.h"

#include <core/gate.h>
#include <core/loop.h>
#include <core/place.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FAMILIES 2u
#define MOST_UNPROVED 256u          /* at the door at once */
#define MOST_UNPROVED_OF_PLACE 32u  /* of them, from one address or network */
#define FIRST_FRAME_MOST_BYTES 512u /* a check has 100 to 200 */
#define PROVE_MS 5000u
#define ANSWER_MS 30000u /* proved, and no answer comes: as long as ICE goes on trying */
#define LOOK_MS 500u
#define GUESTS_AT_ONCE 64
#define BACKLOG 128
#define UNSENT_MOST_BYTES 4096 /* that the kernel keeps back when the peer does not read: a fifth of a second of G.711 */
#define BUCKETS 256u

static struct door {
	uint32_t port;
	int epoll_fd, spare_fd, listeners[FAMILIES]; /* of IPv4, IPv6; -1: none */
	uv_poll_t poll;
	uv_timer_t clock;
	bool is_open;
	struct rtp_tcp *oldest, *newest;     /* at the door */
	uint32_t unproved, waiting, present; /* present: all there are */
	struct rtp_tcp *seats[BUCKETS];
	struct rtp_door_totals totals;
} door = { .epoll_fd = -1, .spare_fd = -1, .listeners = { -1, -1 } };

/* ---- names ---- */

int rtp_door_named(core_stream id, const struct core_ice_name *name)
{
	struct rtp_stream *stream = rtp_stream_find(id);

	if (!stream)
		return PBX_ENOENT;
	if (!door.is_open)
		return PBX_OK;
	struct rtp_ice_label *label = rtp_ice_label_new(stream->id, name);

	if (!label)
		return PBX_ENOMEM;
	rtp_ice_label_free(stream->label); /* of the generation before */
	stream->label = label;
	return PBX_OK;
}

/* ---- who is there ---- */

static struct rtp_tcp **seats_of(const struct core_addr *from)
{
	const struct core_place place = core_place_of(from);
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < place.size; i++)
		hash = (hash ^ place.bytes[i]) * 16777619u;
	return &door.seats[hash % BUCKETS];
}

static bool is_at_door(const struct rtp_tcp *tcp)
{
	return tcp->door_prev || door.oldest == tcp;
}

static void take_from_door(struct rtp_tcp *tcp)
{
	*(tcp->door_prev ? &tcp->door_prev->door_next : &door.oldest) = tcp->door_next;
	*(tcp->door_next ? &tcp->door_next->door_prev : &door.newest) = tcp->door_prev;
	(void)epoll_ctl(door.epoll_fd, EPOLL_CTL_DEL, tcp->fd, NULL); /* it was there */
	tcp->door_prev = tcp->door_next = NULL;
	door.waiting--;
	door.unproved -= !tcp->proved;
}

static void end_connection(struct rtp_tcp *tcp)
{
	struct rtp_tcp **at = seats_of(&tcp->from);

	while (*at != tcp)
		at = &(*at)->seat_next;
	*at = tcp->seat_next;
	door.present--;
	(void)close(tcp->fd);
	free(tcp);
}

static void turn_away(struct rtp_tcp *tcp, uint32_t why)
{
	door.totals.refused[why]++;
	take_from_door(tcp);
	end_connection(tcp);
}

/* ---- letting in ---- */

static void let_in(struct rtp_tcp *tcp, struct rtp_stream *stream)
{
	take_from_door(tcp);
	door.totals.let_in++;
	rtp_socket_mark(tcp->fd, tcp->from.sa.sa_family, stream->config->dscp);
	tcp->command = (struct rtp_command){ .kind = RTP_TCP, .session = &stream->session, .stream = stream->id };
	rtp_engine_send(&tcp->command);
}

static bool is_awaited(const struct rtp_stream *stream)
{
	return stream->configured && stream->label && strcmp(stream->config->own_ice.ufrag, stream->label->name.ufrag) == 0;
}

void rtp_door_configured(struct rtp_stream *stream)
{
	struct rtp_tcp *next;

	if (!is_awaited(stream))
		return;
	for (struct rtp_tcp *tcp = door.oldest; tcp; tcp = next) {
		next = tcp->door_next;
		if (tcp->proved && tcp->command.stream == stream->id)
			let_in(tcp, stream);
	}
}

/* ---- the first frame ---- */

/* Nothing more is read; only its end is still heard of. */
static void await_answer(struct rtp_tcp *tcp)
{
	struct epoll_event end = { .events = EPOLLRDHUP, .data.ptr = tcp };

	door.unproved--;
	tcp->proved = true;
	tcp->leaves_at_ms = core_now_ms() + ANSWER_MS;
	(void)epoll_ctl(door.epoll_fd, EPOLL_CTL_MOD, tcp->fd, &end);
}

static uint32_t reason_of(int err)
{
	return err == PBX_EINVAL   ? RTP_DOOR_NO_CHECK
	       : err == PBX_EPERM  ? RTP_DOOR_FORGED
	       : err == PBX_ENOENT ? RTP_DOOR_STRANGER
				   : RTP_DOOR_CROWDED;
}

static void judge(struct rtp_tcp *tcp)
{
	const struct rtp_ice_label *label;
	int err = rtp_ice_label_of(tcp->in.data + RTP_FRAME_HEAD_BYTES, rtp_get16(tcp->in.data), &label);

	if (err != PBX_OK) {
		turn_away(tcp, reason_of(err));
		return;
	}
	struct rtp_stream *stream = rtp_stream_find((core_stream){ label->stream }); /* which keeps its label as long as it is there */

	await_answer(tcp);
	tcp->command.stream = stream->id;
	if (is_awaited(stream))
		let_in(tcp, stream);
}

/* Never further than the first frame: what follows is the worker's to read. */
static void read_first_frame(struct rtp_tcp *tcp)
{
	size_t room, missing;

	while ((missing = rtp_frames_missing(&tcp->in)) > 0) {
		ssize_t got = recv(tcp->fd, rtp_frames_room(&tcp->in, &room), missing, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got > 0)
			rtp_frames_put(&tcp->in, (size_t)got);
		if (got <= 0 || (tcp->in.ends >= RTP_FRAME_HEAD_BYTES && rtp_get16(tcp->in.data) > FIRST_FRAME_MOST_BYTES)) {
			turn_away(tcp, RTP_DOOR_NO_CHECK);
			return;
		}
	}
	judge(tcp);
}

/* ---- at the door ---- */

/* How many are from the same place; those of them that have proved nothing yet. */
static uint32_t count_place(const struct core_addr *from, uint32_t *ret_unproved)
{
	uint32_t count = 0;

	*ret_unproved = 0;
	for (const struct rtp_tcp *tcp = *seats_of(from); tcp; tcp = tcp->seat_next) {
		if (!core_place_same(&tcp->from, from))
			continue;
		count++;
		*ret_unproved += !tcp->proved;
	}
	return count;
}

/* Who has waited longest goes, of that place or of all. */
static void make_room(const struct core_addr *of)
{
	struct rtp_tcp *tcp = door.oldest;

	while (tcp && (tcp->proved || (of && !core_place_same(&tcp->from, of))))
		tcp = tcp->door_next;
	if (tcp)
		turn_away(tcp, RTP_DOOR_CROWDED);
}

static bool has_place(const struct core_addr *from)
{
	uint32_t unproved, count = count_place(from, &unproved);

	if (unproved >= MOST_UNPROVED_OF_PLACE) {
		make_room(from);
		count--;
	} else if (door.unproved >= MOST_UNPROVED) {
		make_room(NULL);
	}
	return count < rtp_engine.settings->ice_tcp_per_address && door.present < rtp_engine.settings->ice_tcp_connections;
}

static void on_clock(uv_timer_t *clock)
{
	struct rtp_tcp *next;

	for (struct rtp_tcp *tcp = door.oldest; tcp; tcp = next) {
		next = tcp->door_next;
		if (core_now_ms() >= tcp->leaves_at_ms)
			turn_away(tcp, RTP_DOOR_LATE);
	}
	if (!door.oldest)
		(void)uv_timer_stop(clock);
}

static void seat(int fd, const struct core_addr *from)
{
	const int on = 1, unsent = UNSENT_MOST_BYTES;

	if (!core_gate_lets_in(from, "tcp")) {
		door.totals.refused[RTP_DOOR_UNWANTED]++;
		(void)close(fd);
		return;
	}
	struct rtp_tcp *tcp = has_place(from) ? calloc(1, sizeof *tcp) : NULL;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = tcp };

	if (!tcp || epoll_ctl(door.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		door.totals.refused[RTP_DOOR_CROWDED]++;
		free(tcp);
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	tcp->fd = fd;
	tcp->from = *from;
	tcp->leaves_at_ms = core_now_ms() + PROVE_MS;
	tcp->door_prev = door.newest;
	*(door.newest ? &door.newest->door_next : &door.oldest) = tcp;
	door.newest = tcp;
	tcp->seat_next = *seats_of(from);
	*seats_of(from) = tcp;
	door.unproved++;
	door.waiting++;
	door.present++;
	if (!uv_is_active((uv_handle_t *)&door.clock))
		(void)uv_timer_start(&door.clock, on_clock, LOOK_MS, LOOK_MS);
}

/* Without a descriptor to take it by, the first in line would call us for ever: it is shown out with the one we keep for that. */
static void show_out(int listener)
{
	(void)close(door.spare_fd);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		(void)close(fd);
	door.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	door.totals.refused[RTP_DOOR_CROWDED]++;
}

static void open_to(int listener)
{
	for (uint32_t i = 0; i < GUESTS_AT_ONCE; i++) {
		struct core_addr from = { .transport = CORE_BY_TCP };
		socklen_t size = sizeof from.in6;
		int fd = accept4(listener, &from.sa, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			seat(fd, &from);
		else if (errno == EMFILE || errno == ENFILE)
			show_out(listener);
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct epoll_event ready[GUESTS_AT_ONCE];
	int count = epoll_wait(door.epoll_fd, ready, GUESTS_AT_ONCE, 0);
	bool knocks[FAMILIES] = { false };

	(void)poll, (void)status, (void)events;
	for (int i = 0; i < count; i++) { /* newcomers last: they may push out who is in `ready` */
		struct rtp_tcp *tcp = ready[i].data.ptr;

		if (ready[i].data.ptr == &door.listeners[0])
			knocks[0] = true;
		else if (ready[i].data.ptr == &door.listeners[1])
			knocks[1] = true;
		else if (tcp->proved)
			turn_away(tcp, RTP_DOOR_LATE); /* it has not waited for the answer */
		else
			read_first_frame(tcp);
	}
	for (uint32_t i = 0; i < FAMILIES; i++)
		if (knocks[i])
			open_to(door.listeners[i]);
}

/* Who talks already is a worker's: its socket is shut, so that the worker finds the end as it does when the peer hangs up. */
static void review(void)
{
	struct rtp_tcp *next;

	for (uint32_t i = 0; i < BUCKETS; i++)
		for (struct rtp_tcp *tcp = door.seats[i]; tcp; tcp = next) {
			next = tcp->seat_next;
			if (core_gate_lets_in(&tcp->from, "tcp"))
				continue;
			if (is_at_door(tcp)) {
				turn_away(tcp, RTP_DOOR_UNWANTED);
			} else {
				door.totals.refused[RTP_DOOR_UNWANTED]++;
				(void)shutdown(tcp->fd, SHUT_RDWR); /* it had gone by itself: as good */
			}
		}
}

/* ---- for others ---- */

void rtp_door_forget(struct rtp_stream *stream)
{
	struct rtp_tcp *next;

	rtp_ice_label_free(stream->label);
	stream->label = NULL;
	for (struct rtp_tcp *tcp = door.oldest; tcp; tcp = next) {
		next = tcp->door_next;
		if (tcp->proved && tcp->command.stream == stream->id)
			turn_away(tcp, RTP_DOOR_LATE);
	}
}

void rtp_door_returned(struct rtp_command *command)
{
	end_connection((struct rtp_tcp *)command);
}

uint16_t rtp_door_port(int family)
{
	return door.is_open && door.listeners[family == AF_INET6] >= 0 ? (uint16_t)door.port : 0;
}

void rtp_door_totals(struct rtp_door_totals *ret_totals)
{
	*ret_totals = door.totals;
	ret_totals->waiting = door.waiting;
	ret_totals->open = door.present - door.waiting;
}

/* ---- opening and shutting ---- */

/* PBX_OK also where the machine has no such family, and none was asked for by name. */
static int listen_on(int family, const char *host, struct pbx_diag *diag)
{
	struct core_addr addr = rtp_socket_addr(family, host, (uint16_t)door.port);
	int *listener = &door.listeners[family == AF_INET6], on = 1;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 && family == AF_INET6 && errno == EAFNOSUPPORT)
		return PBX_OK;
	*listener = fd;
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    (family == AF_INET || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
	    bind(fd, &addr.sa, rtp_addr_size(&addr)) == 0 && listen(fd, BACKLOG) == 0 &&
	    epoll_ctl(door.epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return PBX_OK;
	pbx_diag_set(diag, "ice_tcp_port", "cannot listen on %s port %u: %s; stop who has that port, or change media.ice_tcp_port",
		     *host ? host : "any address", door.port, strerror(errno));
	return PBX_EIO;
}

static void close_fds(void)
{
	int *fds[] = { &door.epoll_fd, &door.spare_fd, &door.listeners[0], &door.listeners[1] };

	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
		if (*fds[i] >= 0)
			(void)close(*fds[i]);
		*fds[i] = -1;
	}
}

int rtp_door_open(const struct rtp_settings *settings, struct pbx_diag *diag)
{
	door.port = settings->ice_tcp_port;
	memset(&door.totals, 0, sizeof door.totals);
	if (door.port == 0)
		return PBX_OK;
	door.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	door.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int err = listen_on(AF_INET, settings->bind, diag);

	if (err == PBX_OK)
		err = listen_on(AF_INET6, settings->bind6, diag);
	if (err == PBX_OK && uv_poll_init(core_loop_uv(), &door.poll, door.epoll_fd) != 0)
		err = PBX_EIO;
	if (err != PBX_OK) {
		close_fds();
		return err;
	}
	(void)uv_timer_init(core_loop_uv(), &door.clock);
	door.is_open = true;
	core_gate_set_door(review);
	(void)uv_poll_start(&door.poll, UV_READABLE, on_ready); /* fails only on a handle that is closing */
	return PBX_OK;
}

void rtp_door_close(void)
{
	if (!door.is_open)
		return;
	door.is_open = false;
	core_gate_set_door(NULL);
	while (door.oldest)
		turn_away(door.oldest, RTP_DOOR_LATE);
	uv_close((uv_handle_t *)&door.poll, NULL);
	uv_close((uv_handle_t *)&door.clock, NULL);
	close_fds();
}
