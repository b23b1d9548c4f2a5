/* rtp/handover.h - which legs' packets go by the program in the kernel, and when they come back. All of it: [media].
 *
 * Each way through a call by itself. Whoever changes what becomes of a leg's packets (a new plan, a player, an address that is
 * learned) takes it back first; it is handed over again when it has been a plain relay for a while. What somebody forgot is
 * found within 100 ms. */
#pragma once
#include "kernel_flow.h"
#include "road.h"

struct rtp_session;

struct rtp_handover {
	struct rtp_flow *place; /* the loop's: NULL where there is no program */
	bool on;
	uint64_t retry_at_ms;
	uint64_t relayed, octets, late, duplicates, distances, distance_sum,
		distance_squares;             /* of the flow's counts, which go on for ever: what is in our books already */
	uint64_t relayed_before, left_before; /* as of when it was turned on */
	bool road_asked, road_known;          /* to the session's own party */
	uint32_t road_generation;
	struct core_addr road_to;
	struct rtp_road road;
};

/* Every 100 ms, before anything looks at the session's books. */
void rtp_handover_look_after(struct rtp_session *session);
/* Writes what the kernel has relayed since into the books of both legs: before a packet of the leg is looked at here. */
void rtp_handover_catch_up(struct rtp_session *session);
/* What the leg sends, and what is sent to it, is ours from here on. Cheap when it is already. */
void rtp_handover_take_back(struct rtp_session *session);
