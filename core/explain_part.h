/* core/explain_part.h - what the files behind the part "explain" share. [loop]. */
#pragma once
#include "explain.h"
#include "request.h"

struct pbx_host *core_explain_host(void); /* the part's; NULL while it does not run */

/* ---- explain_ask.c ---- */
void core_explain_call(void *self, pbx_request request);
void core_explain_show(void *self, pbx_request request);
void core_explain_forget_askers(void); /* who still wait for the store */

/* ---- explain_search.c ---- */
void core_explain_phone(void *self, pbx_request request);
