/* sip/gruu.h - addresses that reach one device of an account from anywhere (RFC 5627). [loop]
 *
 * A public one is the account's address with the device's instance in ;gr. A temporary one says nothing about either: its user part is sealed
 * with the installation's key, so that it needs no table, outlives a restart, and is good on every node that has the key. */
#pragma once
#include "contact.h"
#include "location.h"
#include "ua.h"

#define UA_MOST_GRUU 320u

/* False: the device has no instance, so no such address. */
bool ua_gruu_public(const struct ua *ua, const struct ua_binding *binding, char ret_uri[UA_MOST_GRUU]);
/* A new one with each call; all are good for as long as the registration they were made for. False: no instance, or no memory. */
bool ua_gruu_temporary(const struct ua *ua, const struct ua_binding *binding, char ret_uri[UA_MOST_GRUU]);

#define UA_GRUU_NONE 0u  /* an ordinary address */
#define UA_GRUU_FOUND 1u /* of this account and instance, which may be offline */
#define UA_GRUU_DEAD 2u  /* a temporary one whose registration is over, or that we never made */
/* Whom an address means. ret_ are written for FOUND. */
uint32_t ua_gruu_read(const url_t *url, char ret_aor[64], char ret_instance[UA_MOST_INSTANCE]);
/* As nta's, but a contact that is a GRUU of a registered device becomes that device's address: it is a proxy's task to replace one by the
 * other, and phones know themselves by what they registered (RFC 5627 5.3). */
int ua_gruu_server_route(nta_leg_t *leg, const sip_record_route_t *route, const sip_contact_t *contact);
int ua_gruu_client_reroute(nta_leg_t *leg, const sip_record_route_t *route, const sip_contact_t *contact, bool initial);
