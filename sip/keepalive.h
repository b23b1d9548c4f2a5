/* sip/keepalive.h - OPTIONS to phones behind NAT, so that the way back to them stays open, and how long they take to answer. [loop] */
#pragma once
#include "ua.h"

int ua_keepalive_start(struct ua *ua); /* PBX_OK, PBX_ENOMEM */
void ua_keepalive_stop(struct ua *ua); /* before the agent goes */
