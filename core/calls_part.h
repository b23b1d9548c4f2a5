/* core/calls_part.h - what call control's descriptor, requests and metrics share. [loop]. */
#pragma once
#include "calls_inner.h"

#define CORE_CALLS_EVENT_TYPES 22
#define CORE_CALLS_ROUTES 10
#define CORE_CALLS_COMMANDS 7

extern const struct pbx_event_type core_calls_event_types[CORE_CALLS_EVENT_TYPES];
extern const struct pbx_route core_calls_routes[CORE_CALLS_ROUTES];
extern const struct pbx_command core_calls_commands[CORE_CALLS_COMMANDS];

/* The metric families move here; before the part has started, nothing happens. */
void core_metric_post_dial(uint64_t ms);
void core_metric_answered(uint64_t setup_ms);
void core_metric_ended(const char *disposition, const char *direction, uint64_t talk_ms);
