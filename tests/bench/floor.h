/* tests/bench/floor.h - the least a relay in user space can cost: one thread, epoll, recvfrom, sendto, and nothing else */
#pragma once
#include "core/media_desc.h"

/* Opens `count` sockets, connected in pairs, and starts the thread. ret_addresses say where to send to: here, or the loopback when that is any.
 * far: where all of it goes. Exits when that fails. */
void floor_start(int count, const struct core_addr *here, const struct core_addr *far, struct core_addr *ret_addresses);
/* Stops it; CPU seconds it used, and how many packets it passed on. */
double floor_stop(unsigned long long *ret_packets);
