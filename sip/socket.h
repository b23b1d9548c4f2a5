/* sip/socket.h - sockets of Sofia's that are ours to mark and to guard. [loop] */
#pragma once
#include "ua.h"

/* The one that Sofia has opened last; INVALID_SOCKET: none yet. */
su_socket_t ua_sockets_latest(void);
/* Packets of a socket get this DSCP; where the kernel refuses they go without. */
void ua_socket_mark(su_socket_t fd, int family, uint32_t dscp);
/* From now on sockets get sip.dscp, and floods are dropped unread; NULL: no more. */
void ua_sockets_watch(struct ua *ua);
