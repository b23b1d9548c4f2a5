/* sip/history.h - by whom a call was sent on before it came to us: Diversion (RFC 5806) and History-Info (RFC 7044), read. [loop] */
#pragma once
#include "ua.h"
#include <pbx/route.h>

#define UA_MOST_HISTORY 5u

struct ua_history {
	uint32_t count;
	struct core_diversion entries[UA_MOST_HISTORY]; /* newest first */
	char numbers[UA_MOST_HISTORY][64];
};

/* Diversion, or where there is none what History-Info says. Who wants to be private is left out. */
void ua_history_read(const sip_t *sip, struct ua_history *ret_history);
/* PBX_FORWARD_…: why the phone that answers with a 3xx does so. */
uint32_t ua_history_reason(const sip_t *sip);
