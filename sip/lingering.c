/*
 * lingering.c - connections that others have opened and that nobody needs are closed
 *
 * Two kinds would stay for as long as the process, until there are no descriptors for phones: one on which no whole message ever comes, for
 * opening costs a stranger nothing; and one that Sofia has stopped to read from after something that is no SIP. It takes the answer out, but then neither
 * closes such a connection nor sees that the other side has. All are looked at within so many seconds, a part in each.
 */
#include "lingering.h"
#include "connection.h"
#include "loop.h"
#include "timer.h"
#include <dlfcn.h>

#define PARTS 8u
#define HALVED_MS 5000u /* so long an answer may take to be written */

/* Sofia's own, from headers that are not installed. */
int tport_shutdown0(tport_t *tport, int how);
int tport_stall(tport_t *tport);

static struct ua *owner;
static pbx_timer tick;
static uint32_t part;

static void is_halved(const tport_t *tport)
{
	struct ua_connection *connection = ua_connection_find(tport);

	if (connection && !connection->halved_at_ms)
		connection->halved_at_ms = core_now_ms();
}

/* The other side writes no more (how 0), or there was an answer to be the last (1); 2: it is over. */
PBX_EXPORT int tport_shutdown0(tport_t *tport, int how)
{
	static int (*real)(tport_t *, int);

	if (!real)
		real = (int (*)(tport_t *, int))dlsym(RTLD_NEXT, "tport_shutdown0");
	if (how < 2)
		is_halved(tport);
	return real(tport, how);
}

/* What came was no SIP, or too much of it: no more is read. */
PBX_EXPORT int tport_stall(tport_t *tport)
{
	static int (*real)(tport_t *);

	if (!real)
		real = (int (*)(tport_t *))dlsym(RTLD_NEXT, "tport_stall");
	is_halved(tport);
	return real(tport);
}

void ua_lingering_heard(const tport_t *tport)
{
	struct ua_connection *connection = ua_connection_find(tport);

	if (connection)
		connection->has_spoken = true;
}

static bool lingers(const struct ua_connection *connection)
{
	uint64_t now_ms = core_now_ms(), silent_ms = (uint64_t)owner->settings->first_message_s * 1000;

	if (connection->halved_at_ms)
		return now_ms - connection->halved_at_ms >= HALVED_MS;
	return silent_ms > 0 && !connection->has_spoken && now_ms - connection->opened_at_ms >= silent_ms;
}

static void on_tick(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	ua_connections_close(part++ % PARTS, PARTS, lingers);
}

int ua_lingering_start(struct ua *ua)
{
	owner = ua;
	return core_timer_start(ua->host, 1000, 1000, on_tick, ua, &tick);
}

void ua_lingering_stop(void)
{
	(void)core_timer_stop(tick); /* or it has gone with its owner */
	owner = NULL;
}
