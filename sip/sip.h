/* sip/sip.h - what main says to the SIP part beyond the part's own card. [loop] */
#pragma once
#include <pbx/plugin.h>

/* Opens the listeners of sip.listen, as soon as the registrations are read: called when routes and plugins are in place, so that nobody
 * is told 404 by a PBX that is still waking up. PBX_OK, or the error of the listener that could not be opened, named in diag;
 * PBX_OK too when the registrations are still being read: a failure is then logged. */
int sip_open(struct pbx_diag *diag);
