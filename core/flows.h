/* core/flows.h - SIP over WebSocket (RFC 7118): who is behind a connection that comes from this very machine
 *
 * The gateway opens a TCP connection to the SIP part's door for each WebSocket client and enters here, before it connects, whom it is for.
 * The SIP part looks up who sent a message that came by the door, and through which connection a client is reached. [any] */
#pragma once
#include "media_desc.h"

#define CORE_MOST_FLOWS 1024u

struct core_flow {
	struct core_addr client;
	uint16_t port;     /* of the gateway's end */
	char transport[4]; /* "ws", "wss" */
};

/* The port on 127.0.0.1 where the SIP part waits for the gateway; 0: it does not. */
void core_flows_set_door(uint16_t port);
uint16_t core_flows_door(void);

/* PBX_OK, PBX_ENOSPC. */
int core_flow_add(const struct core_flow *flow);
void core_flow_remove(uint16_t port);
/* False: nobody is behind that port. */
bool core_flow_find(uint16_t port, struct core_flow *ret_flow);
/* The port that leads to a client; 0: it is not connected. */
uint16_t core_flow_to(const struct core_addr *client);
