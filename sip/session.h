/* sip/session.h - dialogs of ours with other systems that are no calls: the service "pbx.session/1". [loop] */
#pragma once
#include <pbx/session.h>

void ua_sessions_init(void);
void ua_sessions_fini(void); /* BYE or CANCEL to each; the agent is still there, and nobody is told */
uint32_t ua_sessions_count(void);

extern const struct pbx_sessions ua_sessions_service;
