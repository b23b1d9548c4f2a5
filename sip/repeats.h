/* sip/repeats.h - REGISTERs that come again because the answer got lost, or is not there yet. All of it: [loop].
 *
 * They are answered without a transaction: Sofia would keep each with its answer, ten KB, for 32 s. Here it is sixteen bytes in a table of
 * fixed size; one that has been forgotten early is challenged anew, as any stale nonce. */
#pragma once
#include <pbx/abi.h>

#define UA_REPEAT_NONE 0u
#define UA_REPEAT_WORKING 1u  /* accepted, not answered yet */
#define UA_REPEAT_ANSWERED 2u /* answered with 200 */

int ua_repeats_init(void); /* PBX_OK, PBX_ENOMEM */
void ua_repeats_fini(void);
/* proof: ua_proof() of what tells this request from any other. UA_REPEAT_… */
uint32_t ua_repeat_find(uint64_t proof, uint64_t now_ms);
void ua_repeat_put(uint64_t proof, uint32_t state, uint64_t now_ms);
