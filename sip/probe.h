/* sip/probe.h - OPTIONS to an address, to see whether anybody answers; serves "pbx.sip_probe/1" (pbx/sip_resolver.h). [loop] */
#pragma once
#include "ua.h"
#include <pbx/sip_resolver.h>

int ua_probe_start(struct ua *ua); /* after the agent. PBX_OK, PBX_EEXIST */
void ua_probe_stop(void);

extern const struct pbx_sip_probe ua_probe_service;
