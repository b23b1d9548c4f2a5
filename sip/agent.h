/* sip/agent.h - Sofia on our loop, and the road of a request that belongs to no dialog. [loop] */
#pragma once
#include "transport.h"

/* Makes the stack and puts its wait into the loop. Nothing listens yet. PBX_OK, PBX_ENOMEM, PBX_EIO. */
int ua_agent_start(struct ua *ua);
void ua_agent_stop(struct ua *ua);
