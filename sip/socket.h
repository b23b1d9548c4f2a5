/* sip/socket.h - sockets of Sofia's that are ours to mark and to guard. [loop] */
#pragma once
#include "ua.h"

/* From now on sockets get sip.dscp, and floods are dropped unread; NULL: no more. */
void ua_sockets_watch(struct ua *ua);
