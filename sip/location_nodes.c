/*
 * location_nodes.c - what other nodes of the same database have registered
 *
 * Each node writes the registrations that came to it, with its name and the time. Once a second the others read what has been written since;
 * ten seconds are read twice, because clocks differ and transactions take their time: what is known already is left alone. The newest
 * writer of a row has the device. Who has ended a registration leaves the row without an end for an hour, so that all can read that.
 */
#include "location_nodes.h"
#include "loop.h"
#include "store.h"
#include "timer.h"
#include <string.h>

#define LOOK_MS 1000u
#define OVERLAP_US (10 * INT64_C(1000000))
#define KEPT_US (3600 * INT64_C(1000000)) /* rows of what has ended */
#define LOOKS_A_SWEEP 600u
#define ROWS_AT_ONCE 500

static struct {
	struct pbx_host *host;
	const char *node;
	pbx_timer tick;
	int64_t since_us, seen_us; /* where the next look begins; the newest row so far */
	uint32_t looks;
	bool looking;
} nodes;

static void on_rows(void *self, const struct pbx_rows *rows)
{
	(void)self;
	nodes.looking = false;
	if (rows->status != PBX_OK)
		return; /* the store says so itself, and we look again */
	for (uint32_t row = 0; row < rows->count; row++) {
		int64_t written_us = pbx_cell_int(rows, row, 15);

		ua_location_adopt(rows, row);
		if (written_us > nodes.seen_us)
			nodes.seen_us = written_us;
	}
	nodes.since_us = rows->count == ROWS_AT_ONCE ? nodes.seen_us : nodes.seen_us - OVERLAP_US;
}

static void sweep(void)
{
	const struct pbx_value param = PBX_V_INT(core_wall_us() - KEPT_US);

	(void)core_store_run(nodes.host, "DELETE FROM registrations WHERE expires_at < $1 AND written_at < $1", &param, 1, NULL,
			     NULL); /* full: the next sweep takes them along */
}

static void on_tick(void *self, pbx_timer timer)
{
	const struct pbx_value params[] = { pbx_v_text(nodes.node), PBX_V_INT(nodes.since_us), PBX_V_INT(ROWS_AT_ONCE) };

	(void)self, (void)timer;
	if (nodes.looking)
		return;
	if (++nodes.looks % LOOKS_A_SWEEP == 0)
		sweep();
	nodes.looking =
		core_store_run(nodes.host,
			       "SELECT " UA_LOCATION_COLUMNS " FROM registrations WHERE node <> '' AND node <> $1 AND written_at > $2 "
			       "ORDER BY written_at LIMIT $3",
			       params, 3, on_rows, NULL) == PBX_OK;
}

int ua_location_nodes_start(struct pbx_host *host, const char *node)
{
	memset(&nodes, 0, sizeof nodes);
	nodes.host = host;
	nodes.node = node;
	nodes.seen_us = core_wall_us();
	nodes.since_us = nodes.seen_us - OVERLAP_US;
	return node[0] ? core_timer_start(host, LOOK_MS, LOOK_MS, on_tick, NULL, &nodes.tick) : PBX_OK;
}

void ua_location_nodes_stop(void)
{
	(void)core_timer_stop(nodes.tick); /* or there is none */
	memset(&nodes, 0, sizeof nodes);
}
