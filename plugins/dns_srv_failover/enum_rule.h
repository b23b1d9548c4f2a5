/* dns_srv_failover/enum_rule.h - what one NAPTR record makes of a number (RFC 6116, RFC 3402). Knows no other file of the plugin. [any]
 *
 * A rule comes from a stranger: it is short and simple, or it is none. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENUM_NUMBER 17u /* "+" and at most fifteen digits (E.164), with its zero */
#define ENUM_URI 256u

/* "+49 (30) 123" as "+4930123": three to fifteen digits, the first no 0; separators of people are left out. False: it is none. */
bool enum_number_read(const char *text, char ret_number[ENUM_NUMBER]);
/* "3.2.1.0.3.9.4.e164.arpa". False: it does not fit. */
bool enum_name(const char *number, const char *domain, char *ret_name, size_t size);
/* Whether a record's service, in capitals, has SIP among its enumservices: "E2U+SIP", "E2U+VOICE:TEL+SIP". */
bool enum_service_is_sip(const char *service);
/* "!^\\+49(.*)$!sip:\\1@example.net!" makes "sip:30123@example.net" of "+4930123". False, and ret_uri as it was: the rule is none that we
 * take, it does not match, or what it makes is not what enum_uri_check wants. */
bool enum_rule_apply(const char *rule, const char *number, char ret_uri[ENUM_URI]);
/* "sip:user@host[:port][;transport=…][;user=…]" or sips:, of characters that stand for themselves. */
bool enum_uri_check(const char *uri);
