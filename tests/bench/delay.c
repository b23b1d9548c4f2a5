#include "delay.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { HEADER = 12, MOST = 1000000 };

static double *delays_us;
static int count, socket_fd;
static pthread_t thread;
static atomic_bool stopping;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void delay_stamp(uint8_t *packet)
{
	uint64_t now = now_ns();

	memcpy(packet + HEADER, &now, sizeof now);
}

static void *listen_to_it(void *unused)
{
	struct pollfd ready = { .fd = socket_fd, .events = POLLIN };
	uint8_t packet[2048];
	uint64_t sent_ns;

	(void)unused;
	while (!atomic_load(&stopping)) {
		(void)poll(&ready, 1, 100);
		while (recv(socket_fd, packet, sizeof packet, MSG_DONTWAIT) >= HEADER + (int)sizeof sent_ns && count < MOST) {
			memcpy(&sent_ns, packet + HEADER, sizeof sent_ns);
			delays_us[count++] = (double)(now_ns() - sent_ns) / 1000;
		}
	}
	return NULL;
}

void delay_start(int fd)
{
	socket_fd = fd;
	delays_us = malloc(MOST * sizeof *delays_us);
	if (delays_us && pthread_create(&thread, NULL, listen_to_it, NULL) == 0)
		return;
	perror("delay");
	exit(1);
}

static int by_size(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

void delay_stop(void)
{
	atomic_store(&stopping, true);
	(void)pthread_join(thread, NULL);
	qsort(delays_us, (size_t)count, sizeof *delays_us, by_size);
	printf("heard %d median_us %.1f p99_us %.1f\n", count, count ? delays_us[count / 2] : 0, count ? delays_us[count * 99 / 100] : 0);
	free(delays_us);
}
