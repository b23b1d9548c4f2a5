/*
 * trace_keep.c - the messages of calls that are over, in the store, and read back
 *
 * When a call has ended its last messages are still on their way (the answer to a BYE, an ACK): it is written some seconds later, as one row, by the
 * store's own threads. What is older than trace.keep_days goes, and beyond trace.keep_mib the oldest. A trace is a help and no record: when the
 * store is away it is not written, and counted.
 */
#include "bus.h"
#include "loop.h"
#include "store.h"
#include "timer.h"
#include "trace_inner.h"
#include "trace_ladder.h"
#include <stdlib.h>
#include <string.h>

#define LINGER_MS 5000u
#define TICK_MS 1000u
#define AT_ONCE 8u /* calls written in one callback */
#define PRUNE_MS 600000u
#define MOST_WAITING 65536u /* calls that have ended and are in memory only */

struct ended {
	struct ended *next;
	uint64_t at_ms;
	char call_id[27];
};

static struct {
	struct ended *first, **last;
	uint32_t waiting;
	uint64_t prune_at_ms, written_bytes;
	pbx_timer timer;
	pbx_subscription subscription;
	struct core_post_node more;
} keep;

/* ---- writing -------------------------------------------------------------------------- */

static void on_written(void *self, const struct pbx_rows *rows)
{
	(void)self;
	core_trace_count(CORE_TRACE_KEPT, rows->status == PBX_OK ? "kept" : "lost", 1);
}

/* What is written down of a call. */
struct pack {
	FILE *out;
	uint32_t count;
	int64_t wall_us; /* of the first message */
};

static void pack_message(void *context, const struct core_trace_message *message)
{
	struct pack *pack = context;

	if (pack->count == CORE_LADDER_MOST)
		return;
	if (pack->count++ == 0)
		pack->wall_us = message->wall_us;
	core_ladder_write(pack->out, message);
}

/* Straight from the ring, without a look at what the messages say: that is for those who read them. Owned; NULL: no memory. */
static char *pack_call(const char *call_id, struct pack *ret_pack, size_t *ret_size)
{
	char *text = NULL;

	*ret_pack = (struct pack){ .out = open_memstream(&text, ret_size) };
	if (!ret_pack->out)
		return NULL;
	(void)core_trace_call(call_id, pack_message, ret_pack); /* it may be gone from the ring: count tells */
	if (fclose(ret_pack->out) == 0)
		return text;
	free(text);
	return NULL;
}

static void write_call(const char *call_id)
{
	struct pack pack;
	size_t size = 0;
	AUTO(text) char *text = pack_call(call_id, &pack, &size);

	if (text && pack.count == 0)
		return;
	const struct pbx_value params[] = { pbx_v_text(call_id),
					    PBX_V_INT(pack.wall_us),
					    PBX_V_INT((int64_t)size),
					    PBX_V_INT(pack.count),
					    { .type = PBX_VALUE_BYTES, .length = (uint32_t)size, .as.bytes = text } };
	if (!text || core_store_run(core_trace_host(),
				    "INSERT INTO call_traces (call_id, wall_us, size, messages, body) VALUES ($1, $2, $3, $4, $5) "
				    "ON CONFLICT (call_id) DO NOTHING",
				    params, 5, on_written, NULL) != PBX_OK)
		core_trace_count(CORE_TRACE_KEPT, "lost", 1);
	keep.written_bytes += size;
}

static void take_first(void)
{
	struct ended *ended = keep.first;

	if (core_trace_settings()->keep_days > 0)
		write_call(ended->call_id);
	core_trace_forget(ended->call_id);
	keep.first = ended->next;
	if (!keep.first)
		keep.last = &keep.first;
	keep.waiting--;
	free(ended);
}

/* The oldest beyond what may be kept. */
static void prune(void)
{
	const struct core_trace_settings *settings = core_trace_settings();
	const struct pbx_value before = PBX_V_INT(core_wall_us() - (int64_t)settings->keep_days * 86400 * 1000000);
	const struct pbx_value most = PBX_V_INT((int64_t)settings->keep_mib * 1048576);
	const struct pbx_statement statements[] = {
		{ "DELETE FROM call_traces WHERE wall_us < $1", &before, 1 },
		{ "DELETE FROM call_traces WHERE wall_us <= (SELECT MAX(wall_us) FROM "
		  "(SELECT wall_us, SUM(size) OVER (ORDER BY wall_us DESC, call_id) AS total FROM call_traces) AS sized WHERE total > $1)",
		  &most, 1 },
	};

	keep.written_bytes = 0;
	keep.prune_at_ms = core_now_ms() + PRUNE_MS;
	(void)core_store_batch(core_trace_host(), statements, 2, NULL, NULL); /* the next time will do as well */
}

static bool is_due(void)
{
	return keep.first && core_now_ms() - keep.first->at_ms >= LINGER_MS;
}

/* A second may have seen a thousand calls end: a few at a time. */
static void take_due(void *self)
{
	for (uint32_t taken = 0; is_due() && taken < AT_ONCE; taken++)
		take_first();
	if (is_due())
		core_post_node(core_trace_host(), &keep.more, take_due, self);
}

static void on_tick(void *self, pbx_timer timer)
{
	(void)timer;
	take_due(self);
	if (core_now_ms() >= keep.prune_at_ms || keep.written_bytes > (uint64_t)core_trace_settings()->keep_mib * 1048576 / 16)
		prune();
}

static void on_call_ended(void *self, const struct pbx_event *event)
{
	struct ended *ended = calloc(1, sizeof *ended);

	(void)self;
	if (!ended)
		return;
	if (keep.waiting == MOST_WAITING)
		take_first();
	ended->at_ms = core_now_ms();
	(void)snprintf(ended->call_id, sizeof ended->call_id, "%s", event->call_id);
	*keep.last = ended;
	keep.last = &ended->next;
	keep.waiting++;
}

int core_trace_keep_start(void)
{
	memset(&keep, 0, sizeof keep);
	keep.last = &keep.first;
	int err = core_bus_service.subscribe(core_trace_host(), "call.ended", on_call_ended, NULL, &keep.subscription);

	return err == PBX_OK ? core_timer_start(core_trace_host(), TICK_MS, TICK_MS, on_tick, NULL, &keep.timer) : err;
}

void core_trace_keep_stop(void)
{
	core_unpost(&keep.more);
	(void)core_timer_stop(keep.timer);                     /* there may be none */
	(void)core_bus_service.unsubscribe(keep.subscription); /* the same */
	while (keep.first)
		take_first();
}

/* ---- reading -------------------------------------------------------------------------- */

static void copy_message(void *context, const struct core_trace_message *message)
{
	core_ladder_add(context, message);
}

static struct core_ladder *ladder_new(const char *call_id)
{
	struct core_ladder *ladder = calloc(1, sizeof *ladder);

	if (ladder)
		(void)snprintf(ladder->call_id, sizeof ladder->call_id, "%s", call_id);
	return ladder;
}

struct search {
	struct core_ladder *ladder;
	void (*done)(void *context, struct core_ladder *taken);
	void *context;
};

static void on_found(void *self, const struct pbx_rows *rows)
{
	struct search *search = self;

	if (rows->status == PBX_OK && rows->count) {
		const struct pbx_value *body = pbx_cell(rows, 0, 0);

		core_ladder_unpack(search->ladder, body->as.bytes, body->type == PBX_VALUE_BYTES ? body->length : 0);
	} else if (rows->status != PBX_OK) {
		core_ladder_free(search->ladder);
		search->ladder = NULL;
	}
	search->done(search->context, search->ladder);
	free(search);
}

void core_ladder_find(const char *call_id, void (*done)(void *context, struct core_ladder *taken), void *context)
{
	struct core_ladder *ladder = ladder_new(call_id);
	struct search *search = ladder ? malloc(sizeof *search) : NULL;
	const struct pbx_value param = pbx_v_text(call_id);

	if (ladder && core_trace_call(call_id, copy_message, ladder) > 0) {
		free(search);
		done(context, ladder);
		return;
	}
	if (search) {
		*search = (struct search){ ladder, done, context };
		if (core_store_run(core_trace_host(), "SELECT body FROM call_traces WHERE call_id = $1", &param, 1, on_found, search) ==
		    PBX_OK)
			return;
	}
	free(search);
	core_ladder_free(ladder);
	done(context, NULL);
}
