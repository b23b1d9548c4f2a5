/* rtp/ports.h - pairs of ports, an even one for RTP and the odd one above it for RTCP. All of it: [loop].
 *
 * A pair is drawn at random, so that nobody can tell the next call's ports from this one's, and rests in quarantine after
 * use, so that a late packet of the old call does not reach the new one. Everything takes the same time however full.
 *
 * A fork reads nothing but reports on its own source, whose number is a new one each time: what is late for the old fork is no harm to a new one. So pairs that
 * forks have left rest from calls alone, and a recorded call does not take four where two are enough. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct rtp_ports;

/* Even ports from first up to but not including last. NULL: no memory, or no pair in the range. */
struct rtp_ports *rtp_ports_new(uint16_t first, uint16_t last, uint32_t quarantine_ms);
void rtp_ports_free(struct rtp_ports *ports);

#define RTP_PORTS_CALL 0u
#define RTP_PORTS_FORK 1u
#define RTP_PORTS_USES 2u

/* The even port of a free pair, for a fork also of one that a fork has left. PBX_OK, PBX_ENOSPC. */
int rtp_ports_take(struct rtp_ports *ports, uint32_t use, uint64_t now_ms, uint16_t *ret_port);
/* Into quarantine. use: what it was taken for. */
void rtp_ports_give_back(struct rtp_ports *ports, uint32_t use, uint16_t port, uint64_t now_ms);
void rtp_ports_set_quarantine(struct rtp_ports *ports, uint32_t quarantine_ms); /* for those that come in later */

struct rtp_ports_count {
	uint32_t total, free, used, quarantined;
};
void rtp_ports_count(struct rtp_ports *ports, uint64_t now_ms, struct rtp_ports_count *ret_count);
