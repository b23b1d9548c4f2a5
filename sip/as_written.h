/* sip/as_written.h - addresses byte for byte as a device wrote them
 *
 * Sofia takes escapes out of what it parses wherever the character would be legal without (%3A in a parameter becomes a colon), which makes another
 * address of it (RFC 3261 19.1.4). Only addresses with a % cost anything here. [any] */
#pragma once
#include <sofia-sip/sip.h>
#include <stdbool.h>
#include <stddef.h>

/* The address of a contact of this message; `list` is its first. What is not found in the message's text is as Sofia has it. False: longer than there is
 * room for. */
bool ua_contact_as_written(const sip_contact_t *list, const sip_contact_t *contact, char *ret_uri, size_t size);
/* An address for a request, with its escapes: in the home, or the text itself, which must live as long as it is used. */
const url_string_t *ua_uri_as_written(su_home_t *home, const char *uri);
/* The same as a Contact. NULL: no memory. */
const sip_contact_t *ua_contact_to(su_home_t *home, const char *uri);
/* The same for a dialog's target; NULL: the contact may stay as it is. */
const sip_contact_t *ua_target_as_written(su_home_t *home, const sip_contact_t *contact);
