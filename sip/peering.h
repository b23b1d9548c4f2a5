/* sip/peering.h - what a dialog has besides when its other end is a peer: a way of several candidates, credentials, a channel. [loop] */
#pragma once
#include "credentials.h"
#include "dialog_internal.h"
#include "way.h"

/* An INVITE of ours to a peer: as ua_invite. */
int ua_peering_invite(pbx_leg leg, const struct core_invite *invite, void **ret_dialog);
/* What was said about the other end; NULL: it is a device. */
const struct pbx_sip_peer *ua_peering_peer(const struct ua_dialog *dialog);
/* One of the peer's has come in and takes a channel. PBX_OK, PBX_ENOSPC, PBX_ENOMEM. */
int ua_peering_accept(struct ua_dialog *dialog, struct ua_peer *peer);

/* Our INVITE, once more: what it says may have changed. PBX_OK, PBX_EIO. */
int ua_peering_send(struct ua_dialog *dialog);
/* A response to our INVITE. True: it has been seen to (credentials, the next candidate), nothing more is to be done about it. */
bool ua_peering_took(struct ua_dialog *dialog, nta_outgoing_t *orq, const sip_t *sip);
/* Nobody wants the call any more and no INVITE is under way. */
void ua_peering_stop(struct ua_dialog *dialog);
/* The call is over: gives the channel back. */
void ua_peering_leave(struct ua_dialog *dialog);
void ua_peering_free(struct ua_dialog *dialog);

/* Credentials for a request inside the dialog; "" when the peer has not asked for any. */
void ua_peering_credentials(struct ua_dialog *dialog, const char *method, char *ret_lines, size_t size);
