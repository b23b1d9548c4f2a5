/* core/fetch.h - HTTP as a client, on the loop; serves "pbx.fetch/1" and owns the settings section "fetch". All of it: [loop].
 *
 * fetch.c        transfers: libcurl's multi interface on libuv
 * fetch_guard.c  which addresses may be spoken to */
#pragma once
#include <pbx/fetch.h>

int core_fetch_init(void);       /* after core_settings_init. PBX_OK, PBX_EINVAL (fetch.allow, logged), PBX_ENOMEM */
void core_fetch_fini(void);      /* what is under way is dropped */
uint32_t core_fetch_count(void); /* transfers under way */

extern const struct pbx_fetch core_fetch_service;
