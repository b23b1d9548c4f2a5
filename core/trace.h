/* core/trace.h - every signalling message, in a ring in memory, found again by dialog and by call. [loop].
 *
 * trace.c        the ring: capture, dialogs, calls            trace_mask.c   what nobody may read is made unreadable on its way in
 * trace_text.c   what a SIP message says, for people          trace_rung.c   a message as JSON, and whether a filter wants it
 * trace_live.c   `pbxctl trace`                               trace_keep.c   finished calls in the store, and back
 *                                                   trace_ladder.c all of one call, wherever it is
 * trace_pcap.c   as a capture file                            trace_hep.c    as HEP3 to a collector (Homer)
 * trace_part.c   the card: settings "trace", routes, commands, metrics
 *
 * The ring takes bytes and asks no questions: nothing is allocated for a message and nothing about it is decided but its dialog (a hash
 * of its Call-ID). Whoever wants to read does so later, from the loop. What is oldest is overwritten. */
#pragma once
#include "media_desc.h"
#include <pbx/abi.h>
#include <sys/uio.h>

#define CORE_TRACE_MOST_BYTES 65536u /* of a message; the rest of a longer one is cut off */

/* A message. Borrowed: good until the callback returns or another one is captured. */
struct core_trace_message {
	uint64_t position; /* rises with time, unique */
	uint64_t dialog;   /* equal for messages of one Call-ID */
	int64_t wall_us;
	bool sent;
	char transport[8]; /* "udp", "tcp", "tls", "ws", "wss" */
	struct core_addr local, remote;
	const char *call_id; /* the call's ULID; "" when it belongs to none */
	const char *text;    /* no zero behind it */
	uint32_t size;
};

typedef void (*core_trace_fn)(void *context, const struct core_trace_message *message);

int core_trace_init(uint32_t ring_bytes); /* rounded up to pages; PBX_OK, PBX_ENOMEM */
void core_trace_fini(void);               /* before init nothing is captured, and nothing else does anything */

/* Keeps a message that consists of these parts. Secrets in it are masked first. */
void core_trace_capture(bool sent, const char *transport, const struct core_addr *local, const struct core_addr *remote,
			const struct iovec *parts, uint32_t count);
/* Called after each capture; NULL: nobody. It shall not do more than remember that there is something to read. */
void core_trace_set_listener(void (*listener)(void));

/* Other systems that signalling knows by a name: whether there is one of that name (remote NULL), and whether that address is its.
 * NULL, as at the beginning: none has one. */
void core_trace_set_systems(bool (*is_system)(const char *name, const struct core_addr *remote));

/* From now on messages of this Call-ID, those that were captured before too, are the call's. */
void core_trace_bind(const char *sip_call_id, const char *call_id);
/* Lets go of what is known about a call's dialogs; its messages stay in the ring as nobody's. */
void core_trace_forget(const char *call_id);

/* Messages of a call, or of one SIP Call-ID, oldest first. How many there were; 0 also when it is not known here. */
uint32_t core_trace_call(const char *call_id, core_trace_fn fn, void *context);
/* The next message behind *cursor, which moves on; 0 begins with the oldest. False: there is none. */
bool core_trace_next(uint64_t *cursor, struct core_trace_message *ret_message);
/* Whether the dialog had the very same message before, in the same direction: it was sent again. */
bool core_trace_is_repeat(const struct core_trace_message *message);
uint64_t core_trace_end(void); /* a cursor that begins with the next message to come */

struct core_trace_stats {
	uint64_t messages, bytes, overwritten; /* since the start */
	uint64_t used_bytes, ring_bytes;
	uint32_t calls;
};
void core_trace_stats(struct core_trace_stats *ret_stats);

/* ---- trace_mask.c ---- */

/* Replaces, in place and without changing the length, what gives access: the response of digest credentials, keys of SDP (a=crypto, k=),
 * digits in INFO bodies. Puts the value of Call-ID into ret_call_id (borrowed, "" when there is none). */
void core_trace_mask(char *text, uint32_t size, const char **ret_call_id, uint32_t *ret_length);
