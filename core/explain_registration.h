/* core/explain_registration.h - why a phone does not register: one sentence, made by rules over what its REGISTERs were answered. [loop]. */
#pragma once
#include "explain.h"

/* A message as it is remembered. */
struct core_seen {
	bool is;
	bool sent;
	int64_t wall_us;
	char address[64], transport[8];
	struct core_sip_text text;
};

/* What is known about the registrations of an account. */
struct core_registering {
	char aor[64];
	bool exists; /* somebody keeps such an account */
	uint32_t contacts;
	char contact[320];                               /* "Yealink T46 at 192.0.2.7:5060 by udp until 12:03:04 UTC", the first */
	int64_t since_us;                                /* older messages are not kept */
	struct core_seen request, response, success;     /* the last of each */
	uint32_t requests, with_credentials, challenges; /* since the last success: REGISTERs, those with credentials, 401 to the latter */
	bool was_challenged;                             /* the last REGISTER but one was asked for credentials */
	struct core_words words;
};

/* One of its messages, in their order: REGISTERs and the responses to them, others do not count. */
void core_registering_add(struct core_registering *about, const struct core_trace_message *message, const struct core_sip_text *text);

struct core_registration_rule {
	const char *name, *verdict;
	bool (*holds)(struct core_registering *about, int64_t now_us);
	const char *sentence;
};

extern const struct core_registration_rule core_registration_rules[]; /* the first that holds; the last one always does */

/* {aor, verdict, rule, sentence, evidence}, owned; NULL: no memory. */
struct pbx_json *core_explain_registration(struct core_registering *about, int64_t now_us);
