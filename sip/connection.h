/* sip/connection.h - connections that others have opened to us. [loop] */
#pragma once
#include "transport.h"

/* Puts those that come from a network (pbx/border.h) to the border's guard again, and ends those that it does not want. */
void ua_connections_review(const uint8_t address[16], uint32_t bits);
