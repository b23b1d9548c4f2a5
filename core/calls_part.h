/* core/calls_part.h - what call control's descriptor, requests and metrics share. [loop]. */
#pragma once
#include "calls_inner.h"

#define CORE_CALLS_EVENT_TYPES 32
#define CORE_CALLS_ROUTES 14
#define CORE_CALLS_COMMANDS 10

extern const struct pbx_event_type core_calls_event_types[CORE_CALLS_EVENT_TYPES];
extern const struct pbx_route core_calls_routes[CORE_CALLS_ROUTES];
extern const struct pbx_command core_calls_commands[CORE_CALLS_COMMANDS];

/* The call that a request's "id" names, or NULL after refusing it. */
struct core_call *core_calls_asked(pbx_request request);
/* Whom a request is about: the leg it names, else the asker's own, else the caller's, if that has answered; NULL: it has been refused. */
struct core_leg *core_calls_party_asked(pbx_request request);
void core_calls_playback(void *self, pbx_request request);
void core_calls_change(void *self, pbx_request request);  /* calls_notes.c */
void core_calls_on_told(void *self, pbx_request request); /* calls_notes.c */

/* The metric families move here; before the part has started, nothing happens. */
void core_metric_post_dial(uint64_t ms);
void core_metric_answered(uint64_t setup_ms);
void core_metric_ended(const char *disposition, const char *direction, uint64_t talk_ms);
