/* core/trace_rung.h - a message as a rung of the ladder that people see, and what they ask to see. [loop]. */
#pragma once
#include "trace.h"
#include "trace_text.h"

struct pbx_json;

/* Back from what core_address_print has written. False: it is no such address. */
bool core_trace_address_read(const char *text, struct core_addr *ret_addr);
/* Who is on the other side: the user part of From or To, whichever is theirs. Borrowed from text. */
const char *core_trace_peer(const struct core_trace_message *message, const struct core_sip_text *text);

#define CORE_RUNG_TEXT 1u /* with the message as it was */

/* {time, offset_ms, direction, transport, peer, remote, local, call_id, sip_call_id, method, status, line, repeat, sdp, size, text}.
 * offset_ms counts from first_us; 0: there is none. Owned; NULL: no memory. */
struct pbx_json *core_trace_rung(const struct core_trace_message *message, const struct core_sip_text *text, int64_t first_us, bool repeat,
				 uint32_t flags);

/* What somebody wants to see. All that is given must fit; "" is not given. */
struct core_trace_filter {
	char who[64];     /* an account or number, exactly; an address with or without port; or a system's name (core_trace_set_systems) */
	char method[16];  /* also of responses to it */
	char call_id[64]; /* of the call or a SIP Call-ID */
};

bool core_trace_knows_system(const char *name); /* as set by core_trace_set_systems */
bool core_trace_wanted(const struct core_trace_filter *filter, const struct core_trace_message *message, const struct core_sip_text *text);
