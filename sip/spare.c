/*
 * spare.c - a descriptor kept for the day when there is none left
 *
 * A connection that cannot be accepted stays at the door, so Sofia is told of it again in each round of the loop: whoever opened as many connections as
 * we have descriptors had the loop turn without a pause. The spare one is given up for a moment; who waits is accepted with it and closed.
 */
#include "spare.h"
#include "loop.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_AT_ONCE 64u
#define SAID_EVERY_MS 60000u

static struct {
	struct ua *ua;
	int fd; /* -1: none */
	uint32_t shown_out;
	uint64_t say_at_ms;
} spare = { .fd = -1 };

static void take(void)
{
	spare.fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* -1: somebody was quicker, next time then */
}

void ua_spare_open(struct ua *ua)
{
	spare.ua = ua;
	spare.shown_out = 0;
	spare.say_at_ms = 0;
	if (spare.fd < 0)
		take();
}

void ua_spare_close(void)
{
	if (spare.fd >= 0)
		(void)close(spare.fd);
	spare.fd = -1;
	spare.ua = NULL;
}

static bool somebody_waits(su_socket_t listener)
{
	struct pollfd door = { .fd = listener, .events = POLLIN };

	return poll(&door, 1, 0) == 1 && (door.revents & POLLIN);
}

static void say(void)
{
	if (core_now_ms() < spare.say_at_ms)
		return;
	pbx_error(spare.ua->host, "no_descriptors_left", "shown_out=%u cure=\"raise LimitNOFILE of the service\"", spare.shown_out);
	spare.say_at_ms = core_now_ms() + SAID_EVERY_MS;
}

void ua_spare_show_out(su_socket_t listener)
{
	for (uint32_t i = 0; spare.ua && i < MOST_AT_ONCE && somebody_waits(listener); i++) {
		if (spare.fd >= 0)
			(void)close(spare.fd);
		int guest = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (guest >= 0) {
			spare.shown_out++;
			(void)close(guest);
		}
		take();
		if (guest < 0)
			break;
	}
	if (spare.ua)
		say();
}
