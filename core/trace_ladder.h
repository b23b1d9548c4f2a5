/* core/trace_ladder.h - the messages of one call, whether they are still in memory or in the store. [loop]. */
#pragma once
#include "auto.h"
#include "trace_rung.h"
#include <stdio.h>

struct core_ladder_item {
	struct core_trace_message message; /* its texts are owned */
	struct core_sip_text text;
	bool repeat;
};

struct core_ladder {
	char call_id[128]; /* as it was asked for: a call's ULID or a SIP Call-ID */
	struct core_ladder_item *items;
	uint32_t count, room;
};

#define CORE_LADDER_MOST 4000u /* messages: what comes behind is left out */

/* done gets the ladder, taken; without items when nothing is known of the call. NULL: the store does not answer, or no memory. */
void core_ladder_find(const char *call_id, void (*done)(void *context, struct core_ladder *taken), void *context);
void core_ladder_add(struct core_ladder *ladder, const struct core_trace_message *message); /* copies it */
void core_ladder_free(struct core_ladder *ladder);
AUTO_FREES(core_ladder)

/* As an array of rungs, owned. flags: CORE_RUNG_… */
struct pbx_json *core_ladder_json(const struct core_ladder *ladder, uint32_t flags);

/* A message as text of our own, for the store, and all of them back. */
void core_ladder_write(FILE *out, const struct core_trace_message *message);
void core_ladder_unpack(struct core_ladder *ladder, const char *packed, size_t size); /* stops at what it does not understand */

/* As a capture file: raw IP packets with UDP, whatever the transport was, since that is what readers of captures understand. Owned. */
char *core_ladder_pcap(const struct core_ladder *ladder, size_t *ret_size);
