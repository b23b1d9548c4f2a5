/* core/trace_hep.h - messages as HEP3, for a collector. [loop]. */
#pragma once
#include "trace.h"

/* Writes the packet and returns its size; 0: it does not fit. password "": none. */
size_t core_hep_encode(const struct core_trace_message *message, uint32_t node, const char *password, unsigned char *ret_packet,
		       size_t size);
/* A socket that sends there and never waits; close() it. PBX_OK, PBX_EIO. */
int core_hep_open(const struct core_addr *collector, int *ret_socket);
