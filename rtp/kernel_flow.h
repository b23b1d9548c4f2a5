/* rtp/kernel_flow.h - what a worker and the program in the kernel (kernel_relay.bpf.c) share: one flow for each leg
 *
 * A flow is what one leg's party sends, on its way to the other leg. Flows are an array that both sides see as plain memory;
 * a leg's place in it follows from its port. Compiled for the kernel, too: fixed width, no pointers. */
#pragma once
#include <stdint.h>

#define RTP_FLOW_MOST_BYTES 1200u /* of a datagram: whatever interface it leaves by, it is no fragment */
#define RTP_FLOW_MOST_LATE 64     /* packets: who is overtaken by more goes to the worker, which knows what came before */
#define RTP_FLOW_MOST_AHEAD 3000  /* RFC 3550 A.1: likewise who leaps */

/* What to look for and what to make of it. Written while the flow is off. IPv4 is the first word of an address; _be and
 * addresses are in network byte order. */
struct rtp_flow_way {
	uint32_t source[4], local[4]; /* of what arrives */
	uint32_t from[4], to[4];      /* of what leaves */
	uint32_t next_hop[4];
	uint32_t next_hop_family; /* AF_INET, AF_INET6 */
	uint32_t out_interface;
	uint32_t source_ssrc_be, ssrc_be;
	uint32_t timestamp_shift;
	uint32_t addresses_sum; /* what the change of addresses does to a checksum */
	uint16_t source_port_be, local_port_be, from_port_be, to_port_be;
	uint16_t sequence_shift;
	uint16_t bytes; /* of a datagram; 0: any */
	uint16_t clock_khz;
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t type, out_type;
	uint8_t traffic_class;
	uint8_t reserved[4];
};

struct rtp_flow {
	/* The worker's: packets pass here until then (CLOCK_MONOTONIC), so that a daemon that is dead or hung leaves nothing running. 0: off. */
	uint64_t until_ns;
	struct rtp_flow_way way;

	/* The program's; the worker writes them before the flow is on. Each packet that finds the flow on is entered, and then
	 * relayed or left to the worker: nobody is within when the sums agree. */
	uint64_t entered, relayed, left;
	uint64_t octets, late, duplicates;                  /* of those that were relayed */
	uint64_t newest_at_ns;                              /* when it arrived */
	uint64_t newest;                                    /* its sequence << 32 | its timestamp, as they came */
	uint64_t window;                                    /* bit n: the packet n before the newest has arrived */
	uint64_t jitter;                                    /* RFC 3550 A.8: jitter times 16 << 32 | transit */
	uint64_t distances, distance_sum, distance_squares; /* RFC 3611 4.6: differences of transit */
	uint64_t distance_extremes;                         /* most << 32 | ~least; the worker sets them to 0 */
	uint64_t reserved;
};
