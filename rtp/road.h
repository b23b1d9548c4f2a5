/* rtp/road.h - by which interface, next hop and address of ours the kernel would send to somebody. [any] */
#pragma once
#include <core/media_desc.h>
#include <stdbool.h>

struct rtp_road {
	uint32_t local[4];    /* our address, as the far end sees it; network byte order, IPv4 in the first */
	uint32_t next_hop[4]; /* the far end itself when it is on the same wire */
	uint32_t next_hop_family;
	uint32_t interface;
};

/* A socket for questions; -1: not permitted. Closed by the caller. */
int rtp_road_open(void);
/* Asks the kernel's table, without waiting for anything. local: a bound socket's address, or any. False: nobody knows, the far end is on this
 * machine, or the road is no Ethernet. */
bool rtp_road_ask(int fd, const struct core_addr *to, const struct core_addr *local, uint8_t traffic_class, struct rtp_road *ret_road);
