/* sip/border.h - asks whoever guards the border ("pbx.border/1"); without a guard everything passes. [loop] */
#pragma once
#include "ua.h"
#include <pbx/border.h>

extern const struct pbx_border ua_border_service;

/* PBX_BORDER_PASS, DROP, ALLOW: what comes from there. */
uint32_t ua_border_packet(const struct core_addr *source, const char *transport);
/* A connection from there, of SIP or of anything else; for core/gate.h. */
bool ua_border_lets_in(const struct core_addr *source, const char *transport);
/* True: it is not answered either. */
bool ua_border_drops_malformed(const struct core_addr *source, const char *why);
/* PBX_BORDER_… */
uint32_t ua_border_request(const struct ua_request *request);
void ua_border_failed(const struct ua_request *request, const char *user);
/* PBX_OK and the id to give to ua_border_call_over, 0 for none; PBX_ENOSPC and the seconds after which to try again. */
int ua_border_admit(const struct ua_request *request, const struct core_media_desc *offer, uint64_t *ret_id, uint32_t *ret_retry_s);
void ua_border_call_over(uint64_t id);
