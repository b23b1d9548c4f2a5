/* sip_door.h - SIP over WebSocket at /sip (RFC 7118) */
#pragma once
#include "gateway.h"

/* Offers /sip on a server that has been started, unless api.sip_clients is 0. [loop] */
void sip_door_open(struct api_server *server);
