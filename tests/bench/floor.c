#include "floor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int *sockets, sockets_count, epoll_fd;
static struct core_addr far_end;
static pthread_t thread;
static atomic_bool stopping;
static unsigned long long passed;
static double used_s;

static void *relay(void *unused)
{
	struct epoll_event events[64];
	struct timespec cpu;
	char packet[2048];

	(void)unused;
	while (!atomic_load(&stopping)) {
		int ready = epoll_wait(epoll_fd, events, 64, 100);

		for (int i = 0; i < ready; i++) {
			int at = (int)events[i].data.u32;
			ssize_t got = recvfrom(sockets[at], packet, sizeof packet, MSG_DONTWAIT, NULL, NULL);

			if (got > 0 && sendto(sockets[at ^ 1], packet, (size_t)got, 0, &far_end.sa, sizeof far_end.in4) == got)
				passed++;
		}
	}
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	used_s = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
	return NULL;
}

static void must(int fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	exit(1);
}

void floor_start(int count, const struct core_addr *here, const struct core_addr *far, struct core_addr *ret_addresses)
{
	sockets = calloc((size_t)count, sizeof *sockets);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	must(sockets && epoll_fd >= 0, "floor");
	sockets_count = count;
	far_end = *far;
	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
		struct core_addr *address = &ret_addresses[i];
		socklen_t size = sizeof address->in4;

		address->in4 = (struct sockaddr_in){ .sin_family = AF_INET };
		sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		must(sockets[i] >= 0 && bind(sockets[i], &address->sa, size) == 0 && getsockname(sockets[i], &address->sa, &size) == 0,
		     "floor socket");
		address->in4.sin_addr = here->in4.sin_addr;
		must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sockets[i], &event) == 0, "epoll");
	}
	must(pthread_create(&thread, NULL, relay, NULL) == 0, "thread");
}

double floor_stop(unsigned long long *ret_packets)
{
	atomic_store(&stopping, true);
	(void)pthread_join(thread, NULL);
	for (int i = 0; i < sockets_count; i++)
		(void)close(sockets[i]);
	(void)close(epoll_fd);
	free(sockets);
	*ret_packets = passed;
	return used_s;
}
