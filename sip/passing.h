/* sip/passing.h - what goes on from one leg's INVITE to those that are sent on its behalf. [loop] */
#pragma once
#include "ua.h"
#include <pbx/sip.h>

/* Header lines of an INVITE that may go on: those that sip.pass_headers names, and which device calls. Owned, NULL: none, or no memory. */
char *ua_passing_read(const struct ua_request *request);
/* What a trusted sender's INVITE says for the call's record, as sip.field_headers maps it: an object of texts, owned; NULL: nothing, or no memory. */
struct pbx_json *ua_passing_fields(const struct ua_request *request);
/* Of such lines those that another system may see: all of sip.pass_headers for one that is trusted, none for the others. */
void ua_passing_for_peer(const struct pbx_sip_peer *peer, const char *headers, char *ret_headers, size_t size);
/* Whether each name is a header that may pass: none that we write or read ourselves. PBX_OK, PBX_EINVAL and diag. */
int ua_passing_check(const struct pbx_list *names, struct pbx_diag *diag);
/* Whether each is "Header" or "Header=field". PBX_OK, PBX_EINVAL and diag. */
int ua_passing_check_fields(const struct pbx_list *pairs, struct pbx_diag *diag);

#define UA_MAC_SIZE 18u
/* A device's MAC as "00:15:65:ab:cd:ef": ;mac= of its contact, the node of its instance's UUID, or what its User-Agent says. False: none known. */
bool ua_mac_of(const char *uri, const char *instance, const char *user_agent, char ret_mac[UA_MAC_SIZE]);
