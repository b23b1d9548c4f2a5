/*
 * ports - a bag of free pairs and a queue of those that rest
 *
 * The bag is an array: drawing swaps the last one into the hole. The queue is a circle as large as the range, in order of
 * the instant each pair may be used again.
 */
#include "ports.h"

#include <assert.h>
#include <core/random.h>
#include <pbx/abi.h>
#include <stdlib.h>

struct resting {
	uint64_t until_ms;
	uint16_t port;
};

struct rtp_ports {
	uint32_t total, free_count, resting_count, resting_first;
	uint32_t quarantine_ms;
	uint16_t *bag;
	struct resting *resting;
};

struct rtp_ports *rtp_ports_new(uint16_t first, uint16_t last, uint32_t quarantine_ms)
{
	uint32_t even = (uint32_t)first + (first & 1u);
	uint32_t total = even + 1 < last ? (last - even) / 2u : 0;

	if (total == 0)
		return NULL;
	struct rtp_ports *ports = calloc(1, sizeof *ports);

	if (!ports)
		return NULL;
	ports->total = ports->free_count = total;
	ports->quarantine_ms = quarantine_ms;
	ports->bag = calloc(total, sizeof *ports->bag);
	ports->resting = calloc(total, sizeof *ports->resting);
	if (!ports->bag || !ports->resting) {
		rtp_ports_free(ports);
		return NULL;
	}
	for (uint32_t i = 0; i < total; i++)
		ports->bag[i] = (uint16_t)(even + 2 * i);
	return ports;
}

void rtp_ports_free(struct rtp_ports *ports)
{
	if (!ports)
		return;
	free(ports->bag);
	free(ports->resting);
	free(ports);
}

static void wake_rested(struct rtp_ports *ports, uint64_t now_ms)
{
	while (ports->resting_count > 0 && ports->resting[ports->resting_first].until_ms <= now_ms) {
		ports->bag[ports->free_count++] = ports->resting[ports->resting_first].port;
		ports->resting_first = (ports->resting_first + 1) % ports->total;
		ports->resting_count--;
	}
}

int rtp_ports_take(struct rtp_ports *ports, uint64_t now_ms, uint16_t *ret_port)
{
	wake_rested(ports, now_ms);
	if (ports->free_count == 0)
		return PBX_ENOSPC;

	uint32_t drawn = core_random_below(ports->free_count);

	*ret_port = ports->bag[drawn];
	ports->bag[drawn] = ports->bag[--ports->free_count];
	return PBX_OK;
}

void rtp_ports_give_back(struct rtp_ports *ports, uint16_t port, uint64_t now_ms)
{
	assert(ports->free_count + ports->resting_count < ports->total);
	uint32_t last = (ports->resting_first + ports->resting_count) % ports->total;

	ports->resting[last] = (struct resting){ .until_ms = now_ms + ports->quarantine_ms, .port = port };
	ports->resting_count++;
}

void rtp_ports_set_quarantine(struct rtp_ports *ports, uint32_t quarantine_ms)
{
	ports->quarantine_ms = quarantine_ms;
}

void rtp_ports_count(struct rtp_ports *ports, uint64_t now_ms, struct rtp_ports_count *ret_count)
{
	wake_rested(ports, now_ms);
	*ret_count = (struct rtp_ports_count){ .total = ports->total,
					       .free = ports->free_count,
					       .quarantined = ports->resting_count,
					       .used = ports->total - ports->free_count - ports->resting_count };
}
