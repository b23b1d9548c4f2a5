/*
 * crowd.c - who of those that connect gets one of CivetWeb's threads
 *
 * CivetWeb gives each connection a thread before its first octet, and has no more of them than it was told: a thousand connections of somebody who says
 * nothing would keep everybody else out. So they wait here, without a thread, until a whole ClientHello is there, or, where there is no TLS, the head of a
 * request. When all threads are taken, whoever has one and does not use it (a handshake or a head that goes on and on, a body that trickles, the pause
 * between requests) loses it to somebody who waits, after a time of grace: first those of the address that has most of them. Of those who wait, the
 * address with the fewest threads comes first and its newest connection: the older ones of a flood are worth least. Nobody is counted who works, and
 * without a crowd nobody is cut short.
 *
 * CivetWeb's master asks poll() whether somebody knocks and accept() who it is: shim/door.c has us answer both. Guests are that thread's own; seats
 * and origins are shared with the threads that serve, under the lock, which nobody holds while waiting.
 */
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "shim/shim.h"

#define ROOM 2048u           /* connections that may wait */
#define ROOM_EACH (ROOM / 4) /* beyond it an address makes room by itself */
#define CHAINS 1024u         /* of origins */
#define WAIT_MOST_MS 10000u  /* until the first words are there and a thread is free */
#define ROUND_MS 250         /* how often those who wait are looked through */
#define ROUND_CROWDED_MS 20  /* while somebody could be served */
#define HEAD_MOST 16384u     /* what CivetWeb reads as a head */
#define RECORD_HANDSHAKE 22u /* RFC 8446 5.1 */
#define NO_FD_PAUSE_NS 10000000

/* How long who has a thread may leave it idle when it is wanted. A far browser shakes hands in a round trip or two. */
static const uint64_t grace_ms[] = { [CROWD_GREETS] = 1000, [CROWD_SENDS] = 3000, [CROWD_SERVED] = UINT64_MAX, [CROWD_RESTS] = 200 };

/* An address, while somebody of it is here. */
struct origin {
	struct origin *next;
	in_addr_t address;
	uint32_t threads, waiting;
};

/* Somebody without a thread. */
struct guest {
	struct guest *next, *previous; /* newer, older */
	struct origin *origin;
	struct sockaddr_in from;
	int fd; /* -1: nobody */
	bool is_ready;
	uint64_t came_at_ms;
};

/* A thread of CivetWeb's. */
struct seat {
	struct origin *origin; /* NULL: free */
	struct sockaddr_in from;
	int fd;
	enum crowd_phase phase;
	bool leaving;
	uint64_t since_ms;
};

struct crowd {
	pthread_mutex_t lock;
	bool tls;
	int epoll, bell; /* the bell: a thread is free */
	int listener;    /* CivetWeb's; -1 until it is known */
	struct guest guests[ROOM], *free, *oldest, *newest;
	struct seat *called; /* its guest is told to CivetWeb by the next accept() */
	struct origin *chains[CHAINS];
	uint32_t seat_count, taken, leaving, waiting, ready;
	uint64_t sent_away;
	struct seat seats[];
};

static uint64_t now_ms(void)
{
	return core_now_us() / 1000;
}

/* ---- addresses -------------------------------------------------------------------------- */

static struct origin **place_of(struct crowd *crowd, in_addr_t address)
{
	struct origin **at = &crowd->chains[(ntohl(address) * 2654435761u) >> 22];

	while (*at && (*at)->address != address)
		at = &(*at)->next;
	return at;
}

static struct origin *origin_need(struct crowd *crowd, in_addr_t address)
{
	struct origin **at = place_of(crowd, address);

	if (!*at) {
		*at = calloc(1, sizeof **at);
		if (*at)
			(*at)->address = address;
	}
	return *at;
}

static void origin_tidy(struct crowd *crowd, struct origin *origin)
{
	if (origin->threads > 0 || origin->waiting > 0)
		return;
	*place_of(crowd, origin->address) = origin->next;
	free(origin);
}

/* ---- those who wait --------------------------------------------------------------------- */

/* Takes a guest off the list; its socket is the caller's. */
static int guest_take(struct crowd *crowd, struct guest *guest)
{
	int fd = guest->fd;

	*(guest->previous ? &guest->previous->next : &crowd->oldest) = guest->next;
	*(guest->next ? &guest->next->previous : &crowd->newest) = guest->previous;
	guest->origin->waiting--;
	crowd->waiting--;
	crowd->ready -= guest->is_ready;
	(void)epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, fd, NULL); /* it is in there */
	*guest = (struct guest){ .next = crowd->free, .fd = -1 };
	crowd->free = guest;
	return fd;
}

static void guest_drop(struct crowd *crowd, struct guest *guest)
{
	struct origin *origin = guest->origin;

	(void)close(guest_take(crowd, guest));
	origin_tidy(crowd, origin);
}

static void make_room(struct crowd *crowd)
{
	struct guest *guest = crowd->oldest;

	while (guest && guest->origin->waiting <= ROOM_EACH)
		guest = guest->next;
	guest_drop(crowd, guest ? guest : crowd->oldest);
	crowd->sent_away++;
}

static bool has_hello(int fd, bool *ret_is_wrong)
{
	uint8_t head[5];
	int there = 0;
	ssize_t got = recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);

	*ret_is_wrong = got == 0 || (got > 0 && head[0] != RECORD_HANDSHAKE);
	if (got < (ssize_t)sizeof head || ioctl(fd, FIONREAD, &there) != 0)
		return false;
	return there >= (int)sizeof head + (head[3] << 8 | head[4]);
}

static bool has_head(int fd, bool *ret_is_wrong)
{
	char head[HEAD_MOST];
	ssize_t got = recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);

	*ret_is_wrong = got == 0;
	return got == (ssize_t)sizeof head || (got > 0 && memmem(head, (size_t)got, "\r\n\r\n", 4));
}

/* Something has come from a guest, or its end. */
static void guest_look(struct crowd *crowd, struct guest *guest, uint32_t events)
{
	char unread[512];
	bool is_wrong = false;

	if (!guest->is_ready && (crowd->tls ? has_hello : has_head)(guest->fd, &is_wrong)) {
		guest->is_ready = true;
		crowd->ready++;
	}
	if (is_wrong)
		(void)recv(guest->fd, unread, sizeof unread, MSG_DONTWAIT); /* or closing would reset the connection */
	if (is_wrong || (events & (EPOLLERR | EPOLLHUP)) || ((events & EPOLLRDHUP) && !guest->is_ready))
		guest_drop(crowd, guest);
}

static void guest_add(struct crowd *crowd, int fd, const struct sockaddr_in *from)
{
	if (!crowd->free)
		make_room(crowd);

	struct guest *guest = crowd->free;
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = guest };
	struct origin *origin = origin_need(crowd, from->sin_addr.s_addr);

	if (!origin || epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		(void)close(fd); /* no memory: they come again */
		if (origin)
			origin_tidy(crowd, origin);
		return;
	}
	crowd->free = guest->next;
	*guest = (struct guest){ .previous = crowd->newest, .origin = origin, .from = *from, .fd = fd, .came_at_ms = now_ms() };
	*(crowd->newest ? &crowd->newest->next : &crowd->oldest) = guest;
	crowd->newest = guest;
	origin->waiting++;
	crowd->waiting++;
}

/* Everybody at the door comes in. */
static void let_in(struct crowd *crowd)
{
	const struct timespec pause = { .tv_nsec = NO_FD_PAUSE_NS };
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	int fd;

	while ((fd = accept4(crowd->listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		guest_add(crowd, fd, &from);
		size = sizeof from;
	}
	if (errno != EMFILE && errno != ENFILE)
		return;
	if (crowd->oldest)
		make_room(crowd);
	else
		(void)nanosleep(&pause, NULL); /* until somebody has closed something */
}

static void send_home_the_late(struct crowd *crowd, uint64_t now)
{
	while (crowd->oldest && now - crowd->oldest->came_at_ms >= WAIT_MOST_MS) {
		guest_drop(crowd, crowd->oldest);
		crowd->sent_away++;
	}
}

/* ---- threads ---------------------------------------------------------------------------- */

/* Who comes next; NULL: nobody. */
static struct guest *next_guest(const struct crowd *crowd)
{
	struct guest *next = NULL;

	for (struct guest *guest = crowd->newest; guest && (!next || next->origin->threads > 0); guest = guest->previous) {
		if (guest->is_ready && (!next || guest->origin->threads < next->origin->threads))
			next = guest;
	}
	return next;
}

/* Who has to go for somebody whose address has that many threads; NULL: nobody. */
static struct seat *next_to_go(struct crowd *crowd, uint32_t threads, uint64_t now)
{
	struct seat *next = NULL;

	for (struct seat *seat = crowd->seats; seat < crowd->seats + crowd->seat_count; seat++) {
		if (!seat->origin || seat->leaving || now - seat->since_ms < grace_ms[seat->phase] || seat->origin->threads < threads)
			continue;
		if (!next || seat->origin->threads > next->origin->threads ||
		    (seat->origin == next->origin && seat->since_ms < next->since_ms))
			next = seat;
	}
	return next;
}

/* Its thread finds the end of the connection, and leaves. */
static void send_away(struct crowd *crowd, struct seat *seat)
{
	(void)shutdown(seat->fd, SHUT_RDWR); /* or the peer was faster */
	seat->leaving = true;
	crowd->leaving++;
	crowd->sent_away++;
}

static struct seat *seat_free(struct crowd *crowd)
{
	struct seat *seat = crowd->seats;

	while (seat->origin)
		seat++;
	return seat;
}

/* Somebody is called, if there is a thread; if there is none, some are sent away. */
static void call_next(struct crowd *crowd, uint64_t now)
{
	struct guest *guest = next_guest(crowd);

	if (!guest)
		return;
	if (crowd->taken < crowd->seat_count) {
		struct seat *seat = seat_free(crowd);
		*seat = (struct seat){ .origin = guest->origin, .from = guest->from, .phase = CROWD_GREETS, .since_ms = now };
		seat->fd = guest_take(crowd, guest);
		seat->origin->threads++;
		crowd->taken++;
		crowd->called = seat;
		return;
	}
	for (struct seat *seat; crowd->leaving < crowd->ready && (seat = next_to_go(crowd, guest->origin->threads, now));)
		send_away(crowd, seat);
}

/* CivetWeb shows no socket, and of a connection whose handshake failed no address either: then it is the thread's last TLS connection. */
static struct seat *seat_of(struct crowd *crowd, const struct mg_connection *connection)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	in_port_t port = info ? htons((uint16_t)info->remote_port) : 0;
	struct in_addr address = { 0 };
	int fd = api_shim_socket();

	if (info && inet_pton(AF_INET, info->remote_addr, &address) != 1)
		return NULL;
	for (struct seat *seat = crowd->seats; seat < crowd->seats + crowd->seat_count; seat++) {
		if (seat->origin && (info ? seat->from.sin_port == port && seat->from.sin_addr.s_addr == address.s_addr : seat->fd == fd))
			return seat;
	}
	return NULL;
}

void crowd_tell(struct crowd *crowd, const struct mg_connection *connection, enum crowd_phase phase)
{
	(void)pthread_mutex_lock(&crowd->lock);
	struct seat *seat = seat_of(crowd, connection);
	if (seat) {
		seat->phase = phase;
		seat->since_ms = now_ms();
	}
	(void)pthread_mutex_unlock(&crowd->lock);
}

void crowd_dismiss(struct crowd *crowd, const struct mg_connection *connection)
{
	(void)pthread_mutex_lock(&crowd->lock);
	struct seat *seat = seat_of(crowd, connection);
	if (seat && !seat->leaving)
		send_away(crowd, seat);
	(void)pthread_mutex_unlock(&crowd->lock);
}

int crowd_socket(struct crowd *crowd, const struct mg_connection *connection)
{
	(void)pthread_mutex_lock(&crowd->lock);
	const struct seat *seat = seat_of(crowd, connection);
	int fd = seat ? seat->fd : -1;
	(void)pthread_mutex_unlock(&crowd->lock);
	return fd;
}

void crowd_leave(struct crowd *crowd, const struct mg_connection *connection)
{
	const uint64_t ring = 1;

	(void)pthread_mutex_lock(&crowd->lock);
	struct seat *seat = seat_of(crowd, connection);
	if (seat) {
		struct origin *origin = seat->origin;
		crowd->leaving -= seat->leaving;
		crowd->taken--;
		*seat = (struct seat){ .origin = NULL };
		origin->threads--;
		origin_tidy(crowd, origin);
	}
	(void)pthread_mutex_unlock(&crowd->lock);
	(void)!write(crowd->bell, &ring, sizeof ring); /* it rings already */
}

void crowd_count(struct crowd *crowd, struct crowd_counts *ret_counts)
{
	(void)pthread_mutex_lock(&crowd->lock);
	*ret_counts = (struct crowd_counts){ .threads = crowd->taken, .waiting = crowd->waiting, .sent_away = crowd->sent_away };
	(void)pthread_mutex_unlock(&crowd->lock);
}

/* ---- what CivetWeb's master hears ------------------------------------------------------- */

static void add_to_epoll(const struct crowd *crowd, int fd, void *who)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = who };

	(void)epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event); /* the two first ones of an empty set */
}

/* Who knocks comes in last: a guest who makes room for that is then not among the events that are still to be looked at, nor is its place. */
static void handle(struct crowd *crowd, const struct epoll_event *events, int count)
{
	bool knocks = false;
	uint64_t rung;

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == &crowd->listener)
			knocks = true;
		else if (events[i].data.ptr == &crowd->bell)
			(void)!read(crowd->bell, &rung, sizeof rung); /* what it says is seen in the seats */
		else
			guest_look(crowd, events[i].data.ptr, events[i].events);
	}
	if (knocks)
		let_in(crowd);
}

/* 1: somebody is called. 0: nobody so far. */
static int on_wait(void *context, int listener, int timeout_ms)
{
	struct crowd *crowd = context;
	struct epoll_event events[64];
	int round_ms = crowd->ready > 0 ? ROUND_CROWDED_MS : crowd->waiting > 0 ? ROUND_MS : timeout_ms;

	if (crowd->listener < 0) {
		crowd->listener = listener;
		(void)fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK); /* let_in() takes all there are */
		add_to_epoll(crowd, listener, &crowd->listener);
	}
	if (crowd->called)
		return 1;
	int count = epoll_wait(crowd->epoll, events, 64, round_ms < timeout_ms ? round_ms : timeout_ms);

	(void)pthread_mutex_lock(&crowd->lock);
	handle(crowd, events, count);
	send_home_the_late(crowd, now_ms());
	call_next(crowd, now_ms());
	(void)pthread_mutex_unlock(&crowd->lock);
	return crowd->called != NULL;
}

/* Who was called, as accept() tells it. */
static int on_accept(void *context, struct sockaddr *ret_from, socklen_t *size)
{
	struct crowd *crowd = context;
	struct seat *seat = crowd->called;

	if (!seat) {
		errno = EAGAIN;
		return -1;
	}
	crowd->called = NULL;
	memcpy(ret_from, &seat->from, *size < sizeof seat->from ? *size : sizeof seat->from);
	*size = sizeof seat->from;
	return seat->fd;
}

void crowd_receive(struct crowd *crowd)
{
	static const struct api_shim_door door = { .wait = on_wait, .accept = on_accept };

	api_shim_keep_door(&door, crowd);
}

/* ---- life ------------------------------------------------------------------------------- */

struct crowd *crowd_new(uint32_t threads, bool tls)
{
	struct crowd *crowd = calloc(1, sizeof *crowd + threads * sizeof crowd->seats[0]);

	if (!crowd)
		return NULL;
	crowd->tls = tls;
	crowd->seat_count = threads;
	crowd->listener = -1;
	(void)pthread_mutex_init(&crowd->lock, NULL);
	for (struct guest *guest = crowd->guests; guest < crowd->guests + ROOM; guest++) {
		*guest = (struct guest){ .next = crowd->free, .fd = -1 };
		crowd->free = guest;
	}
	crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
	crowd->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (crowd->epoll < 0 || crowd->bell < 0) {
		crowd_free(crowd);
		return NULL;
	}
	add_to_epoll(crowd, crowd->bell, &crowd->bell);
	return crowd;
}

void crowd_free(struct crowd *crowd)
{
	if (!crowd)
		return;
	while (crowd->oldest)
		guest_drop(crowd, crowd->oldest);
	if (crowd->called) /* CivetWeb stopped before it asked who */
		(void)close(crowd->called->fd);
	for (uint32_t i = 0; i < CHAINS; i++) {
		while (crowd->chains[i]) { /* of connections that CivetWeb closed without a word */
			struct origin *origin = crowd->chains[i];
			crowd->chains[i] = origin->next;
			free(origin);
		}
	}
	if (crowd->epoll >= 0)
		(void)close(crowd->epoll);
	if (crowd->bell >= 0)
		(void)close(crowd->bell);
	(void)pthread_mutex_destroy(&crowd->lock);
	free(crowd);
}
