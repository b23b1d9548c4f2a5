/*
 * ports - a bag of free pairs and a queue of those that rest
 *
 * The bag is an array: drawing swaps the last one into the hole. A queue is a circle as large as the range, in order of
 * the instant each pair may be used again; what forks have left has one of its own.
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

struct queue {
	uint32_t first, count;
	struct resting *pairs;
};

struct rtp_ports {
	uint32_t total, free_count;
	uint32_t quarantine_ms;
	uint16_t *bag;
	struct queue resting[RTP_PORTS_USES]; /* by what has left them */
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
	bool good = ports->bag != NULL;

	for (uint32_t use = 0; use < RTP_PORTS_USES; use++)
		good = (ports->resting[use].pairs = calloc(total, sizeof *ports->resting[use].pairs)) && good;
	if (!good) {
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
	for (uint32_t use = 0; use < RTP_PORTS_USES; use++)
		free(ports->resting[use].pairs);
	free(ports);
}

static uint16_t take_first(const struct rtp_ports *ports, struct queue *queue)
{
	uint16_t port = queue->pairs[queue->first].port;

	queue->first = (queue->first + 1) % ports->total;
	queue->count--;
	return port;
}

static void wake_rested(struct rtp_ports *ports, uint64_t now_ms)
{
	for (uint32_t use = 0; use < RTP_PORTS_USES; use++) {
		struct queue *queue = &ports->resting[use];

		while (queue->count > 0 && queue->pairs[queue->first].until_ms <= now_ms)
			ports->bag[ports->free_count++] = take_first(ports, queue);
	}
}

static uint32_t count_resting(const struct rtp_ports *ports)
{
	return ports->resting[RTP_PORTS_CALL].count + ports->resting[RTP_PORTS_FORK].count;
}

int rtp_ports_take(struct rtp_ports *ports, uint32_t use, uint64_t now_ms, uint16_t *ret_port)
{
	wake_rested(ports, now_ms);
	if (use == RTP_PORTS_FORK && ports->resting[RTP_PORTS_FORK].count > 0) {
		*ret_port = take_first(ports, &ports->resting[RTP_PORTS_FORK]);
		return PBX_OK;
	}
	if (ports->free_count == 0)
		return PBX_ENOSPC;

	uint32_t drawn = core_random_below(ports->free_count);

	*ret_port = ports->bag[drawn];
	ports->bag[drawn] = ports->bag[--ports->free_count];
	return PBX_OK;
}

void rtp_ports_give_back(struct rtp_ports *ports, uint32_t use, uint16_t port, uint64_t now_ms)
{
	assert(use < RTP_PORTS_USES && ports->free_count + count_resting(ports) < ports->total);
	struct queue *queue = &ports->resting[use];
	uint32_t last = (queue->first + queue->count) % ports->total;

	queue->pairs[last] = (struct resting){ .until_ms = now_ms + ports->quarantine_ms, .port = port };
	queue->count++;
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
					       .quarantined = count_resting(ports),
					       .used = ports->total - ports->free_count - count_resting(ports) };
}
