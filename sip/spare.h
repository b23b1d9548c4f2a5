/* sip/spare.h - a descriptor kept for the day when there is none left. [loop] */
#pragma once
#include "ua.h"

void ua_spare_open(struct ua *ua);
void ua_spare_close(void);
/* Nobody can be let in for want of descriptors: whoever waits at a listening socket is let in with the spare one and shown out at once. */
void ua_spare_show_out(su_socket_t listener);
