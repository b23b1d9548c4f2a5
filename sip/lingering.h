/* lingering.h - connections of TCP, TLS and WebSockets that nobody needs are closed. [loop] */
#pragma once
#include "ua.h"

/* A whole message has come by it. */
void ua_lingering_heard(const tport_t *tport);
int ua_lingering_start(struct ua *ua); /* PBX_OK, PBX_ENOMEM */
void ua_lingering_stop(void);
