/* calls_open.c - which calls last is written down every five seconds, for the start after a crash
 *
 * The list says: up to event seq, nothing is open but these calls; and at wall_us they lasted. It is taken at one moment and written when
 * all events until then are safe, so that it never knows of an end that the log has lost. calls_recover.c reads it. */
#include "bus.h"
#include "calls_inner.h"
#include "store.h"
#include <stdlib.h>

#define TAKE_EVERY_MS 5000u
#define WRITE_AGAIN_MS 250u
#define IDLE_EVENTS 1000 /* without calls, the list is written again after so many events */

static struct {
	bool on;
	pbx_timer timer;
	char *ids; /* taken, not written yet; NULL: none is */
	int64_t seq, wall_us;
	int64_t written_seq;
	bool had_calls; /* the last one written */
} list;

static char *ids_of_calls(void)
{
	struct core_handles *table = core_calls_table();
	char *ids = malloc((size_t)core_handles_count(table) * sizeof((struct core_call *)0)->id + 1), *end = ids;
	const struct core_call *call;
	uint32_t at = 0;

	while (ids && (call = core_handles_next(table, &at))) {
		if (end != ids)
			*end++ = ' ';
		end = stpcpy(end, call->id);
	}
	if (ids)
		*end = '\0';
	return ids;
}

static void take(int64_t last_seq)
{
	bool has_calls = core_handles_count(core_calls_table()) > 0;

	if (!has_calls && !list.had_calls && last_seq - list.written_seq < IDLE_EVENTS)
		return;
	list.ids = ids_of_calls(); /* no memory: in five seconds again */
	list.seq = last_seq;
	list.wall_us = core_wall_us();
}

static void write_down(void)
{
	const struct pbx_value params[] = { PBX_V_INT(list.seq), PBX_V_INT(list.wall_us), pbx_v_text(list.ids) };
	int err = core_store_record(core_self(),
				    "INSERT INTO calls_open (id, seq, wall_us, calls) VALUES (1, $1, $2, $3) "
				    "ON CONFLICT (id) DO UPDATE SET seq = $1, wall_us = $2, calls = $3",
				    params, 3, NULL, NULL);

	if (err == PBX_OK) { /* else the older one holds: the next start reads more events */
		list.written_seq = list.seq;
		list.had_calls = list.ids[0] != '\0';
	}
	free(list.ids);
	list.ids = NULL;
}

static void on_time(void *self, pbx_timer timer)
{
	struct core_bus_stats stats;

	(void)self;
	(void)timer;
	core_bus_stats(&stats);
	if (!list.ids)
		take(stats.last_seq);
	if (list.ids && stats.stored_seq >= list.seq)
		write_down();
	if (core_timer_start(core_self(), list.ids ? WRITE_AGAIN_MS : TAKE_EVERY_MS, 0, on_time, NULL, &list.timer) != PBX_OK)
		core_log(PBX_LOG_ERROR, "calls", NULL, "out_of_memory", "what=timer");
}

void core_calls_open_start(void)
{
	if (!list.on)
		list.on = core_timer_start(core_self(), TAKE_EVERY_MS, 0, on_time, NULL, &list.timer) == PBX_OK;
}

void core_calls_open_stop(void)
{
	(void)core_timer_stop(list.timer);
	free(list.ids);
	memset(&list, 0, sizeof list);
}
