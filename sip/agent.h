/* sip/agent.h - Sofia on our loop: listeners, and the road of a request that belongs to no dialog. [loop] */
#pragma once
#include "ua.h"

/* Makes the stack and puts its wait into the loop. Nothing listens yet. PBX_OK, PBX_ENOMEM, PBX_EIO. */
int ua_agent_start(struct ua *ua);
/* Opens the listeners of sip.listen. PBX_OK, PBX_EINVAL (text), PBX_EIO (cannot bind): diag says which. */
int ua_agent_listen(struct ua *ua, struct pbx_diag *diag);
void ua_agent_stop(struct ua *ua);
/* The transport a received message came by: "udp", "tcp". */
const char *ua_agent_transport(const struct ua *ua, const msg_t *msg);
/* Host and port others shall use to reach us over a transport, as seen by this peer: external_address, or where we listen. */
void ua_agent_contact(const struct ua *ua, const struct core_addr *peer, const char *transport, char *ret_hostport, size_t size);
