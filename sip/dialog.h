/* sip/dialog.h - dialogs as legs: what a leg of the core is in SIP, and the driver the core calls. All of it: [loop].
 *
 * dialog.c   the object: making, ending (BYE, CANCEL, refusals), letting go; the driver's table
 * incoming.c an INVITE from outside: 100, 180, 183, 200, ACK, CANCEL
 * outgoing.c an INVITE of ours: responses, ACK, CANCEL
 * reliable.c 18x that must not be lost: PRACK both ways
 * midcall.c  inside a dialog: re-INVITE both ways, UPDATE, INFO, OPTIONS, BYE
 * session_timer.c  how long it lives without a word of the other side
 * refer.c    REFER and its NOTIFY */
#pragma once
#include "ua.h"

extern const struct core_leg_driver ua_leg_driver;

/* An INVITE that belongs to no dialog. Answers it in any case. */
void ua_dialog_incoming(struct ua_request *request);
/* Ends what is left with a BYE or CANCEL each; the core has let go of its legs. */
void ua_dialogs_close(struct ua *ua);

const char *ua_method_label(sip_method_t method); /* "INVITE" …, "other": for metrics */
