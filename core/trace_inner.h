/* core/trace_inner.h - what the files behind the part "trace" share. [loop]. */
#pragma once
#include "request.h"
#include "trace.h"

struct core_trace_settings {
	bool capture;
	uint32_t memory_mib, keep_days, keep_mib;
	const char *hep, *hep_password;
	uint32_t hep_node;
};

/* The part's host and settings; NULL while it does not run. */
struct pbx_host *core_trace_host(void);
const struct core_trace_settings *core_trace_settings(void);

#define CORE_TRACE_MESSAGES 0u
#define CORE_TRACE_OVERWRITTEN 1u
#define CORE_TRACE_RING 2u
#define CORE_TRACE_KEPT 3u
#define CORE_TRACE_HEP 4u
void core_trace_count(uint32_t metric, const char *labels, uint64_t by);

/* ---- trace_live.c ---- */
int core_trace_live_start(void);
void core_trace_live_stop(void);
void core_trace_stream(void *self, pbx_request request);
/* Whom each captured message is shown to, soon after it was: the collector. NULL: nobody. */
void core_trace_live_tap(core_trace_fn fn, void *context);

/* ---- trace_keep.c ---- */
int core_trace_keep_start(void);
void core_trace_keep_stop(void);

/* ---- trace_requests.c ---- */
void core_trace_show(void *self, pbx_request request);
void core_trace_pcap(void *self, pbx_request request);
