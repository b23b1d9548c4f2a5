/* core/commands_internal.h - the handlers behind core_part's routes and commands, by file. All of it: [loop]. */
#pragma once
#include "json_auto.h"
#include "request.h"

struct core_part; /* core_part's instance */

/* Answers with a list as {"items": […]}, taken; NULL: 503. */
void core_reply_items(pbx_request request, struct pbx_json *taken);
void core_reply_object(pbx_request request, struct pbx_json *taken);
/* A result and its sentence as the status that HTTP has for it. */
void core_reply_refusal(pbx_request request, int result, const struct pbx_diag *diag);
struct pbx_host *core_part_host(void); /* core_self() while the part does not run */

/* status.c */
void core_status_begin(void); /* the daemon's time counts from here */
void core_status_end(void);
void core_status_show(void *self, pbx_request request);

/* commands_config.c */
void core_config_check(void *self, pbx_request request);
void core_config_show(void *self, pbx_request request);
void core_config_get(void *self, pbx_request request);
void core_config_set(void *self, pbx_request request);
void core_config_unset(void *self, pbx_request request);
void core_config_diff(void *self, pbx_request request);
void core_config_reload(void *self, pbx_request request);
void core_config_undo(void *self, pbx_request request);
void core_config_revisions(void *self, pbx_request request);
void core_config_schema(void *self, pbx_request request);
void core_config_manual(void *self, pbx_request request);

/* commands_route.c */
void core_route_explain(void *self, pbx_request request);
void core_route_plan(void *self, pbx_request request);
void core_route_owner(void *self, pbx_request request);

/* commands_log.c */
void core_log_level(void *self, pbx_request request);
void core_log_recent(void *self, pbx_request request);
void core_log_stream(void *self, pbx_request request);
void core_events_list(void *self, pbx_request request);
void core_events_stream(void *self, pbx_request request);
void core_events_types(void *self, pbx_request request);
