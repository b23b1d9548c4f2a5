/* event_door.h - the stream of events as a WebSocket, at the same address as text/event-stream */
#pragma once
#include "gateway.h"

/* Offers it on a server that has been started. [loop] */
void event_door_open(struct api_server *server);
