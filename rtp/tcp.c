/*
 * tcp - connections of a session, on its worker
 *
 * A frame that comes is a datagram from an address by TCP: it goes the same way as those of UDP, and what goes to such an address comes here. Nothing
 * waits: a frame that the kernel does not take is dropped, and one that it has taken in part is finished when it has room again. What the
 * kernel itself keeps back is bounded by who let the connection in (tcp_door.c).
 *
 * The peer closes what it does not need any more. A connection that nothing comes by for a minute has lost its peer: who still thinks of it as a way asks more often.
 */
#include "tcp.h"
#include "association.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SILENT_MS 60000u
#define READS_AT_ONCE 4u /* then it is others' turn */

static void leave_session(struct rtp_tcp *tcp)
{
	struct rtp_tcp **at = &tcp->command.session->connections;

	while (*at != tcp)
		at = &(*at)->next;
	*at = tcp->next;
}

/* The loop closes the socket, since it counts who is here. */
static void finish(struct rtp_tcp *tcp)
{
	struct rtp_session *session = tcp->command.session;

	leave_session(tcp);
	rtp_worker_unwatch_tcp(session->worker, tcp);
	rtp_association_lost(session, &tcp->from);
	rtp_worker_return(session->worker, &tcp->command);
}

static void take_frames(struct rtp_tcp *tcp)
{
	struct rtp_session *session = tcp->command.session;
	uint8_t *data = session->worker->data; /* where a datagram would be: it may be changed there */
	const uint8_t *frame;
	size_t bytes;
	uint32_t what;

	while ((what = rtp_frames_take(&tcp->in, &frame, &bytes)) != RTP_FRAME_NONE) {
		if (what == RTP_FRAME_TOO_LONG) {
			rtp_count(&session->counters.malformed, 1);
			continue;
		}
		memcpy(data, frame, bytes);
		rtp_session_take(session, false, data, bytes, &tcp->from);
	}
}

/* False: there is no more, and the connection may be over. */
static bool read_some(struct rtp_tcp *tcp)
{
	size_t room;
	uint8_t *data = rtp_frames_room(&tcp->in, &room);
	ssize_t got = recv(tcp->fd, data, room, MSG_DONTWAIT);

	if (got > 0) {
		tcp->heard_at_ms = tcp->command.session->worker->now_ms;
		rtp_frames_put(&tcp->in, (size_t)got);
		take_frames(tcp);
		return (size_t)got == room;
	}
	if (got == 0 || (errno != EAGAIN && errno != EINTR))
		finish(tcp);
	return false;
}

static void watch_room(struct rtp_tcp *tcp, bool waits)
{
	if (tcp->waits_to_send == waits)
		return;
	tcp->waits_to_send = waits;
	(void)rtp_worker_watch_tcp(tcp->command.session->worker, EPOLL_CTL_MOD, tcp, EPOLLIN | (waits ? EPOLLOUT : 0u));
}

static struct rtp_tcp *find(const struct rtp_session *session, const struct core_addr *to)
{
	for (struct rtp_tcp *tcp = session->connections; tcp; tcp = tcp->next)
		if (rtp_addr_same(&tcp->from, to))
			return tcp;
	return NULL;
}

/* Who comes from the same place a second time has lost the first. */
static bool has_room(struct rtp_session *session, const struct rtp_tcp *newcomer)
{
	struct rtp_tcp *before = find(session, &newcomer->from);
	uint32_t count = 0;

	if (before)
		finish(before);
	for (const struct rtp_tcp *tcp = session->connections; tcp; tcp = tcp->next)
		count++;
	return count < RTP_TCP_MOST;
}

void rtp_tcp_enter(struct rtp_tcp *tcp)
{
	struct rtp_session *session = tcp->command.session;

	if (!session->plan || !session->plan->ice || !has_room(session, tcp) ||
	    !rtp_worker_watch_tcp(session->worker, EPOLL_CTL_ADD, tcp, EPOLLIN)) {
		rtp_worker_return(session->worker, &tcp->command);
		return;
	}
	tcp->heard_at_ms = session->worker->now_ms;
	tcp->next = session->connections;
	session->connections = tcp;
	take_frames(tcp);
}

void rtp_tcp_ready(struct rtp_tcp *tcp, uint32_t events)
{
	if (events & EPOLLOUT)
		watch_room(tcp, !rtp_frame_finish(tcp->fd, &tcp->out));
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	for (uint32_t i = 0; i < READS_AT_ONCE && read_some(tcp); i++)
		continue;
}

bool rtp_tcp_send(struct rtp_session *session, const struct core_addr *to, const uint8_t *data, size_t bytes)
{
	struct rtp_tcp *tcp = find(session, to);

	if (!tcp)
		return false;
	bool sent = rtp_frame_send(tcp->fd, &tcp->out, data, bytes);

	if (!sent)
		rtp_count(&session->counters.unsent, 1);
	watch_room(tcp, tcp->out.ends > 0);
	return sent;
}

void rtp_tcp_look_after(struct rtp_session *session)
{
	struct rtp_tcp *next;

	for (struct rtp_tcp *tcp = session->connections; tcp; tcp = next) {
		next = tcp->next;
		if (session->worker->now_ms - tcp->heard_at_ms >= SILENT_MS)
			finish(tcp);
	}
}

void rtp_tcp_close_all(struct rtp_session *session)
{
	while (session->connections)
		finish(session->connections);
}

void rtp_tcp_join(struct rtp_session *session)
{
	/* Fails only without memory: deaf, it is closed in a minute. */
	for (struct rtp_tcp *tcp = session->connections; tcp; tcp = tcp->next)
		(void)rtp_worker_watch_tcp(session->worker, EPOLL_CTL_ADD, tcp, EPOLLIN | (tcp->waits_to_send ? EPOLLOUT : 0u));
}

void rtp_tcp_part(struct rtp_session *session)
{
	for (struct rtp_tcp *tcp = session->connections; tcp; tcp = tcp->next)
		rtp_worker_unwatch_tcp(session->worker, tcp);
}
