/*
 * worker - the thread that owns sockets and packets
 *
 * One epoll set with the sockets of its sessions, a command eventfd and a clock. The clock ticks every 5 ms while somebody is
 * on the wheel (players, digits, frames to be cut) and stands still otherwise; a session on the wheel comes round every ptime,
 * counted from the tick before, so that a late wake-up never adds up. Everything a packet needs is in its session.
 */
#include "ear.h"
#include "fork.h"
#include "injection.h"
#include "line.h"
#include "mix.h"
#include "mouth.h"
#include "tap.h"
#include "tcp.h"
#include "worker.h"

#include <pbx/calls.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AFTER_MS 100
#define VOICE_NICE (-10)     /* before the pools that hash passwords and write the database */
#define CROWDED_PACKETS 1000 /* within LOOK_AFTER_MS: from here on packets are taken by the handful */
#define REST_US 500          /* what a handful may cost a packet: half of it at the median */
#define MOST_TICKS_LATE 40   /* what was missed in a longer stall is not caught up with */

/* What an epoll datum is besides the address of a session or of a connection, whose low bits tell which socket it is. */
enum {
	FOR_COMMANDS = 0,
	FOR_CLOCK = 1,
	FOR_NOBODY = 2 /* a session that left in this round */
};

#define FOR_RTCP 1u
#define FOR_TCP 4u /* a connection's */

uint64_t rtp_worker_now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int rtp_worker_road_fd(struct rtp_worker *worker)
{
	if (worker->road_fd < 0)
		worker->road_fd = rtp_road_open();
	return worker->road_fd;
}

static void read_clock(struct rtp_worker *worker)
{
	worker->now_us = rtp_worker_now_us();
	worker->now_ms = worker->now_us / 1000;
}

bool rtp_worker_tell(struct rtp_worker *worker, const struct rtp_event *event)
{
	bool told = rtp_ring_put(&worker->events, event);

	if (!told)
		rtp_count(&worker->events_lost, event->kind == RTP_EVENT_DIGIT);
	worker->common->wake();
	return told;
}

static void give_back(struct rtp_worker *worker, struct rtp_command *command)
{
	command->worker = worker->index;
	rtp_queue_push(&worker->common->returns, &command->node);
}

void rtp_worker_return(struct rtp_worker *worker, struct rtp_command *command)
{
	give_back(worker, command);
	worker->common->wake();
}

/* ---- the clock ---- */

static void set_ticking(struct rtp_worker *worker, bool on)
{
	struct timespec every = { .tv_nsec = on ? RTP_TICK_MS * 1000000 : 0 };

	worker->ticking = on;
	(void)timerfd_settime(worker->timer_fd, 0, &(struct itimerspec){ .it_interval = every, .it_value = every }, NULL);
}

static void put_on_wheel(struct rtp_session *session, uint64_t due_tick)
{
	struct rtp_worker *worker = session->worker;
	struct rtp_session **slot = &worker->wheel[due_tick % RTP_WHEEL_SLOTS];

	session->due_tick = due_tick;
	session->on_wheel = true;
	session->wheel_prev = NULL;
	session->wheel_next = *slot;
	if (*slot)
		(*slot)->wheel_prev = session;
	*slot = session;
	worker->wheel_count++;
}

static void take_off_wheel(struct rtp_session *session)
{
	if (!session->on_wheel)
		return;
	if (session->wheel_prev)
		session->wheel_prev->wheel_next = session->wheel_next;
	else
		session->worker->wheel[session->due_tick % RTP_WHEEL_SLOTS] = session->wheel_next;
	if (session->wheel_next)
		session->wheel_next->wheel_prev = session->wheel_prev;
	session->on_wheel = false;
	session->worker->wheel_count--;
}

void rtp_worker_keep_time(struct rtp_worker *worker)
{
	if (!worker->ticking)
		set_ticking(worker, true);
}

void rtp_worker_wind(struct rtp_session *session)
{
	struct rtp_worker *worker = session->worker;

	if (session->on_wheel)
		return;
	put_on_wheel(session, worker->tick + 1);
	rtp_worker_keep_time(worker);
}

static uint64_t ticks_of_frame(const struct rtp_session *session)
{
	uint64_t ticks = session->plan ? session->plan->ptime_ms / RTP_TICK_MS : 0;

	return ticks == 0 ? 20 / RTP_TICK_MS : ticks < RTP_WHEEL_SLOTS ? ticks : RTP_WHEEL_SLOTS - 1;
}

static void tick(struct rtp_worker *worker)
{
	struct rtp_session *session = worker->wheel[++worker->tick % RTP_WHEEL_SLOTS], *next;

	for (; session; session = next) {
		next = session->wheel_next;
		take_off_wheel(session);
		bool goes_on = rtp_player_step(session);

		if (session->line)
			rtp_line_step(session);
		if ((goes_on || session->line) && !session->on_wheel)
			put_on_wheel(session, worker->tick + ticks_of_frame(session));
	}
	rtp_mixes_tick(worker);
}

static void on_clock(struct rtp_worker *worker)
{
	uint64_t ticks = 0;

	if (read(worker->timer_fd, &ticks, sizeof ticks) != (ssize_t)sizeof ticks)
		return;
	if (ticks > MOST_TICKS_LATE) {
		rtp_count(&worker->ticks_missed, ticks - MOST_TICKS_LATE);
		ticks = MOST_TICKS_LATE;
	}
	for (; ticks > 0; ticks--)
		tick(worker);
	if (worker->wheel_count == 0 && !rtp_mixes_are_busy(worker))
		set_ticking(worker, false);
}

/* ---- commands ---- */

static void watch(struct rtp_worker *worker, struct rtp_session *session, int operation)
{
	uintptr_t datum = (uintptr_t)session;
	struct epoll_event rtp = { .events = EPOLLIN, .data.u64 = datum }, rtcp = { .events = EPOLLIN, .data.u64 = datum | FOR_RTCP };

	/* Adding fails only without memory: the leg is deaf then, which its silence will tell. */
	(void)epoll_ctl(worker->epoll_fd, operation, session->rtp_fd, &rtp);
	(void)epoll_ctl(worker->epoll_fd, operation, session->rtcp_fd, &rtcp);
}

static void join(struct rtp_worker *worker, struct rtp_session *session)
{
	session->worker = worker;
	session->prev = NULL;
	session->next = worker->sessions;
	if (session->next)
		session->next->prev = session;
	worker->sessions = session;
	watch(worker, session, EPOLL_CTL_ADD);
	rtp_tcp_join(session);
	if (session->play || session->digits || session->injection || session->line)
		rtp_worker_wind(session);
}

static void part(struct rtp_session *session)
{
	struct rtp_session *peer = session->peer;

	session->peer = NULL;
	rtp_relay_interrupted(session);
	if (!peer)
		return;
	peer->peer = NULL;
	rtp_relay_interrupted(peer);
}

static void forget_ready(struct rtp_worker *worker, uint64_t datum)
{
	for (int i = 0; i < worker->ready_count; i++) {
		if ((worker->ready[i].data.u64 & ~(uint64_t)FOR_RTCP) == datum)
			worker->ready[i].data.u64 = FOR_NOBODY;
	}
}

bool rtp_worker_watch_tcp(struct rtp_worker *worker, int operation, struct rtp_tcp *tcp, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = (uintptr_t)tcp | FOR_TCP };

	return epoll_ctl(worker->epoll_fd, operation, tcp->fd, &event) == 0;
}

void rtp_worker_unwatch_tcp(struct rtp_worker *worker, const struct rtp_tcp *tcp)
{
	(void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, tcp->fd, NULL); /* fails only when it is not there */
	forget_ready(worker, (uintptr_t)tcp | FOR_TCP);
}

static void leave(struct rtp_worker *worker, struct rtp_session *session)
{
	part(session);
	take_off_wheel(session);
	watch(worker, session, EPOLL_CTL_DEL);
	forget_ready(worker, (uintptr_t)session);
	rtp_tcp_part(session);
	if (session->prev)
		session->prev->next = session->next;
	else
		worker->sessions = session->next;
	if (session->next)
		session->next->prev = session->prev;
}

static void swap_route(struct rtp_route **held, struct rtp_route **given)
{
	struct rtp_route *old = *held;

	*held = *given;
	*given = old;
}

static void set_routes(struct rtp_command *command)
{
	struct rtp_session *a = command->session, *b = command->peer;

	if (a->peer != b)
		return; /* they have parted meanwhile */
	swap_route(&a->route, &command->route);
	swap_route(&b->route, &command->route_back);
}

static void connect_sessions(struct rtp_command *command)
{
	struct rtp_session *a = command->session, *b = command->peer;

	if (a->peer != b) {
		part(a);
		part(b);
	}
	a->peer = b;
	b->peer = a;
	set_routes(command);
}

/* What the session had goes back with the command. */
static void take_coders(struct rtp_session *session, struct rtp_command *command)
{
	struct rtp_ear *ear = session->ear;
	struct rtp_mouth *mouth = session->mouth;
	struct rtp_filter *filter = session->filter;

	if (command->brings_ear) {
		session->ear = command->ear;
		command->ear = ear;
	}
	if (command->brings_mouth) {
		session->talking = false; /* the new one does not know where the old one was */
		session->mouth = command->mouth;
		command->mouth = mouth;
	}
	if (command->brings_filter) {
		session->filter = command->filter;
		command->filter = filter;
	}
	if (command->brings_inband) {
		struct rtp_inband *inband = session->inband;

		session->inband = command->inband;
		command->inband = inband;
	}
	if (session->ear)
		rtp_ear_set_filter(session->ear, session->filter);
	if (session->mouth)
		rtp_mouth_set_filter(session->mouth, session->filter);
	if (session->mouth)
		rtp_mouth_set_injection(session->mouth, session->injection);
}

static void queue_digits(struct rtp_session *session, struct rtp_digits *digits)
{
	struct rtp_digits **last = &session->digits;

	while (*last)
		last = &(*last)->after;
	*last = digits;
	rtp_worker_wind(session);
}

static void return_digits(struct rtp_session *session)
{
	while (session->digits) {
		struct rtp_digits *digits = session->digits;

		session->digits = digits->after;
		rtp_worker_return(session->worker, &digits->command);
	}
}

static void close_session(struct rtp_worker *worker, struct rtp_session *session)
{
	rtp_player_end(session, PBX_MEDIA_STOPPED);
	return_digits(session);
	rtp_rtcp_bye(session);
	rtp_tcp_close_all(session);
	leave(worker, session);
}

/* Whatever is commanded may change what becomes of packets. */
static void take_back(const struct rtp_command *command)
{
	if (command->session)
		rtp_handover_take_back(command->session);
	if (command->peer)
		rtp_handover_take_back(command->peer);
}

/* True: it is done and goes back. */
static bool obey(struct rtp_worker *worker, struct rtp_command *command)
{
	struct rtp_session *session = command->session;

	take_back(command);
	switch (command->kind) {
	case RTP_JOIN:
		join(worker, session);
		return true;
	case RTP_LEAVE:
		leave(worker, session);
		return true;
	case RTP_CONFIGURE:
		command->plan = rtp_session_configure(session, command->plan);
		take_coders(session, command);
		if (session->play || session->digits || session->injection)
			rtp_worker_wind(session);
		return true;
	case RTP_ROUTE:
		set_routes(command);
		return true;
	case RTP_CONNECT:
		connect_sessions(command);
		return true;
	case RTP_DISCONNECT:
		part(session);
		return true;
	case RTP_PLAY:
		rtp_player_start(session, (struct rtp_play *)command);
		return false;
	case RTP_STOP:
		rtp_player_end(session, PBX_MEDIA_STOPPED);
		return true;
	case RTP_STEER:
		if (session->play && session->play->tag == command->steer.tag)
			rtp_play_steer(session->play, &command->steer);
		return true;
	case RTP_DIGITS:
		queue_digits(session, (struct rtp_digits *)command);
		return false;
	case RTP_TCP:
		rtp_tcp_enter((struct rtp_tcp *)command);
		return false;
	case RTP_CODE:
		take_coders(session, command);
		return true;
	case RTP_TAP:
		rtp_tap_add(session, command->tap);
		return true;
	case RTP_UNTAP:
		rtp_tap_remove(session, command->tap);
		return true;
	case RTP_FORK:
		rtp_fork_add(session, command->fork);
		return true;
	case RTP_UNFORK:
		rtp_fork_remove(session, command->fork);
		return true;
	case RTP_AIM:
		rtp_fork_aim(session, (const struct rtp_aim *)command);
		return true;
	case RTP_FORK_NEWS:
		return true;
	case RTP_INJECT:
		command->injection = rtp_injection_put(session, command->injection);
		return true;
	case RTP_LINE_ENTER:
		rtp_line_enter(session, command->line);
		return true;
	case RTP_LINE_LEAVE:
		rtp_line_leave(session);
		return true;
	case RTP_MIX_BEGIN:
		rtp_mix_begin(worker, command->mix);
		return true;
	case RTP_MIX_END:
		rtp_mix_end(command->mix);
		return true;
	case RTP_MIX_RATE:
		rtp_mix_set_rate(command->mix, command->rate_hz);
		return true;
	case RTP_MIX_ENTER:
		part(session);
		rtp_mix_enter(command->mix, command->member, &command->wish);
		return true;
	case RTP_MIX_CHANGE:
		rtp_mix_change(command->member, &command->wish);
		return true;
	case RTP_MIX_LEAVE:
		rtp_mix_leave(command->member);
		return true;
	case RTP_MIX_PLAY:
		rtp_mix_play(command->mix, (struct rtp_play *)command);
		return false;
	case RTP_MIX_STOP:
		rtp_mix_stop(command->mix, PBX_MEDIA_STOPPED);
		return true;
	case RTP_HOLD:
		session->held = command->held;
		session->quiet_since_ms = worker->now_ms;
		return true;
	case RTP_CLOSE:
		close_session(worker, session);
		return true;
	default:
		worker->quit = true; /* the command is on the stack of the one who waits for us */
		return false;
	}
}

static void obey_all(struct rtp_worker *worker)
{
	struct rtp_node *node;

	while ((node = rtp_queue_pop(&worker->commands))) {
		struct rtp_command *command = (struct rtp_command *)node;
		bool awaited = command->kind == RTP_LEAVE || command->kind == RTP_CLOSE || command->kind == RTP_UNTAP ||
			       command->kind == RTP_UNFORK || command->kind == RTP_FORK_NEWS || command->kind == RTP_INJECT ||
			       command->kind == RTP_LINE_LEAVE;

		if (!obey(worker, command))
			continue;
		if (awaited)
			rtp_worker_return(worker, command);
		else
			give_back(worker, command); /* memory only: the loop finds it in one of its next rounds */
	}
}

/* ---- the thread ---- */

static void look_after(struct rtp_worker *worker)
{
	if (worker->now_ms < worker->look_after_at_ms)
		return;
	worker->look_after_at_ms = worker->now_ms + LOOK_AFTER_MS;
	worker->crowded = worker->reads >= CROWDED_PACKETS;
	worker->reads = 0;
	for (struct rtp_session *session = worker->sessions; session; session = session->next)
		rtp_session_look_after(session);
}

static void on_ready(struct rtp_worker *worker, const struct epoll_event *event)
{
	uint64_t wakes;

	switch (event->data.u64) {
	case FOR_NOBODY:
		return;
	case FOR_COMMANDS:
		(void)!read(worker->command_fd, &wakes, sizeof wakes); /* only to make it quiet again: who sends later calls again */
		obey_all(worker);
		return;
	case FOR_CLOCK:
		on_clock(worker);
		return;
	default:
		worker->reads++;
		if (event->data.u64 & FOR_TCP)
			rtp_tcp_ready((struct rtp_tcp *)(uintptr_t)(event->data.u64 & ~(uint64_t)FOR_TCP), event->events);
		else
			rtp_session_read((struct rtp_session *)(uintptr_t)(event->data.u64 & ~(uint64_t)FOR_RTCP),
					 event->data.u64 & FOR_RTCP);
	}
}

/* A thread that is woken for each packet pays more for waking than for the packet, and its priority lets it wake at once. With
 * many legs it lets half a millisecond of packets gather. */
static void rest(const struct rtp_worker *worker)
{
	uint64_t until_us = worker->now_us + REST_US;
	struct timespec until = { .tv_sec = (time_t)(until_us / 1000000), .tv_nsec = (long)(until_us % 1000000) * 1000 };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void *worker_main(void *argument)
{
	struct rtp_worker *worker = argument;

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), VOICE_NICE); /* of this thread alone; not permitted: no matter */
	while (!worker->quit) {
		worker->ready_count = epoll_wait(worker->epoll_fd, worker->ready, RTP_READY_AT_ONCE, worker->sessions ? LOOK_AFTER_MS : -1);
		read_clock(worker);
		worker->shakes = 0;
		obey_all(worker); /* called for or not: a packet may answer a message that left after its command was sent */
		for (int i = 0; i < worker->ready_count; i++)
			on_ready(worker, &worker->ready[i]);
		look_after(worker);
		if (worker->crowded && !worker->quit)
			rest(worker);
	}
	return NULL;
}

static int open_files(struct rtp_worker *worker)
{
	struct epoll_event command = { .events = EPOLLIN, .data.u64 = FOR_COMMANDS }, clock = { .events = EPOLLIN, .data.u64 = FOR_CLOCK };

	worker->road_fd = -1;
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (worker->epoll_fd < 0 || worker->command_fd < 0 || worker->timer_fd < 0)
		return PBX_EIO;
	if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->command_fd, &command) < 0 ||
	    epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->timer_fd, &clock) < 0)
		return PBX_EIO;
	return PBX_OK;
}

static void close_files(struct rtp_worker *worker)
{
	const int fds[] = { worker->epoll_fd, worker->command_fd, worker->timer_fd, worker->road_fd };

	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
}

int rtp_worker_start(struct rtp_worker *worker, uint32_t index, struct rtp_common *common)
{
	worker->index = index;
	worker->common = common;
	rtp_queue_init(&worker->commands);
	int err = open_files(worker);

	if (err == PBX_OK && pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
		err = PBX_ENOMEM;
	if (err != PBX_OK) {
		close_files(worker);
		return err;
	}
	char name[16];

	(void)snprintf(name, sizeof name, "media-%u", index);
	(void)pthread_setname_np(worker->thread, name);
	return PBX_OK;
}

void rtp_worker_send(struct rtp_worker *worker, struct rtp_command *command)
{
	rtp_queue_push(&worker->commands, &command->node);
	worker->sent = true;
}

void rtp_worker_call(struct rtp_worker *worker)
{
	const uint64_t one = 1;

	if (worker->sent)
		(void)!write(worker->command_fd, &one, sizeof one); /* fails only when it is awake 2^64 times over */
	worker->sent = false;
}

void rtp_worker_stop(struct rtp_worker *worker)
{
	struct rtp_command quit = { .kind = RTP_QUIT };

	rtp_worker_send(worker, &quit);
	rtp_worker_call(worker);
	(void)pthread_join(worker->thread, NULL);
	close_files(worker);
}

uint64_t rtp_worker_cpu_us(const struct rtp_worker *worker)
{
	clockid_t clock;
	struct timespec used;

	if (pthread_getcpuclockid(worker->thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
		return 0;
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}
