/* sip/screen.h - datagrams before Sofia reads them. [loop] */
#pragma once
#include "ua.h"

#define UA_SCREEN_PASS 0    /* Sofia may have it */
#define UA_SCREEN_JUNK (-1) /* nothing that could be answered */

/* What a datagram deserves by its first line: UA_SCREEN_PASS, UA_SCREEN_JUNK, or the status (400, 501, 505) it should be answered with. */
int ua_screen(const char *bytes, size_t size, const char **ret_why);
/* The answer to a request that Sofia cannot read, made of its own lines. Its length; 0: it lacks what an answer needs, or is an ACK. */
size_t ua_screen_answer(const char *bytes, size_t size, int status, char *ret_text, size_t ret_size);
