/* sip/lockout_told.h - who is locked out, told: by log and bus when it begins and ends, by commands and REST in between. [loop] */
#pragma once
#include "lockout.h"
#include "ua.h"
#include <pbx/requests.h>

void ua_lockouts_stop(void); /* nothing is told of their end any more */

/* Those that began with this failure (UA_LOCKED_…). host: of the address, without a port. */
void ua_lockouts_tell(struct ua *ua, uint32_t begun, const struct ua_try *asked, const char *host);

/* GET /registration-lockouts, `registrations blocked` */
void ua_show_lockouts(void *ua, pbx_request request);
/* DELETE /registration-lockouts/{who}, `registrations unblock` */
void ua_lift_lockouts(void *ua, pbx_request request);
