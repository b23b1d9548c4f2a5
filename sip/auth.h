/* sip/auth.h - who sent this request: a configured peer, an account that proves itself by digest, or nobody yet. [loop] */
#pragma once
#include "ua.h"

/* True: go on, request->account tells who it is ("" for a peer). False: it has been answered (a challenge, 403) and is gone.
 * The account must own the address the request acts for: To for REGISTER, From for the rest; else 403. */
bool ua_authenticate(struct ua_request *request);
/* Whether an address is one of sip.peers. */
bool ua_is_peer(const struct ua *ua, const struct core_addr *source);
