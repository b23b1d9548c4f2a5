/* sip/caller.h - who calls: what a request says of it, and how much of that is believed. All of it: [loop]. */
#pragma once
#include "ua.h"

struct ua_caller {
	char number[64], name[128]; /* as everybody may see it: withheld, number is "" */
	bool withheld;
	char asserted_number[64], asserted_name[128]; /* withheld: who it is as far as we know */
	char referred_by[64];                         /* RFC 3892, of those we believe; "" */
};

/* RFC 3325 for peers and accounts that are trusted; of all others what they proved, or From. */
void ua_caller_read(const struct ua_request *request, struct ua_caller *ret_caller);
/* Whether what a phone says of itself is its account's to say: From, or nobody (RFC 3323), and nobody else in P-Asserted-Identity. */
bool ua_caller_is_own(const sip_t *sip, const char *account);
/* Whether its sender belongs to our trust domain. */
bool ua_request_is_trusted(const struct ua_request *request);
/* Whether an account does, by its directory. */
bool ua_account_is_trusted(const char *account);
