/* explain_who.c - what the rules' conditions ask about a case: whose leg decided, how it is named, what it said */
#include "explain.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct core_case_leg *core_case_caller(const struct core_case *about)
{
	for (uint32_t i = 0; i < about->leg_count; i++)
		if (about->legs[i].inbound)
			return &about->legs[i];
	return about->leg_count ? &about->legs[0] : NULL; /* click to call: who was rung first */
}

/* Of the legs that we called in vain: the last one that ended as the call did, else the last one. */
const struct core_case_leg *core_case_callee(const struct core_case *about)
{
	const struct core_case_leg *last = NULL, *decisive = NULL;

	for (uint32_t i = 0; i < about->leg_count; i++) {
		const struct core_case_leg *leg = &about->legs[i];

		if (leg->inbound || leg->answered || !leg->ended || strcmp(leg->reason, "answered elsewhere") == 0)
			continue;
		last = leg;
		if (leg->sip_code == about->sip_code)
			decisive = leg;
	}
	return decisive ? decisive : last;
}

const struct core_case_leg *core_case_by_reason(const struct core_case *about, const char *begin)
{
	for (uint32_t i = 0; i < about->leg_count; i++)
		if (strncmp(about->legs[i].reason, begin, strlen(begin)) == 0)
			return &about->legs[i];
	return NULL;
}

const char *core_case_user_of(const struct core_case *about, const struct core_ladder_item *invite)
{
	const char *user = "";

	for (uint32_t i = 0; about->ladder && invite && i < about->ladder->count; i++) {
		const struct core_sip_text *text = &about->ladder->items[i].text;

		if (text->has_credentials && strcmp(text->call_id, invite->text.call_id) == 0)
			user = text->auth_user;
	}
	return user;
}

void core_case_name_leg(const struct core_case *about, const struct core_case_leg *leg, char *ret_text, size_t size)
{
	const char *agent = leg->agent[0] ? leg->agent : leg->inbound ? about->device : leg->device;
	const char *at = leg->address[0] ? leg->address : leg->endpoint;
	const char *between = agent[0] && at[0] ? " at " : "";
	bool has_more = agent[0] || at[0];

	if (leg->trunk[0])
		(void)snprintf(ret_text, size, "trunk %s%s%s%s", leg->trunk, leg->address[0] ? " (" : "", leg->address,
			       leg->address[0] ? ")" : "");
	else if (leg->number[0])
		(void)snprintf(ret_text, size, "%s's phone%s%s%s%s%s", leg->number, has_more ? " (" : "", agent, between, at,
			       has_more ? ")" : "");
	else
		(void)snprintf(ret_text, size, "the phone %s%s%s", agent, between, at);
}

static void blame_audio(struct core_words *words, const struct core_case_leg *leg)
{
	char lasted[32];

	core_say_duration(leg->talk_ms, lasted);
	core_word(words, "talked", "%s", lasted);
	core_word(words, "told", "%s", leg->told[0] ? leg->told : "nowhere");
	core_word(words, "came", "%s", leg->came[0] ? leg->came : "nowhere");
	core_word(words, "local", "%s", leg->local);
	core_word(words, "packets", "%lld", (long long)leg->packets_in);
}

void core_case_blame(struct core_case *about, const struct core_case_leg *leg)
{
	struct core_words *words = &about->words;
	char who[256];

	about->leg = leg;
	about->message = leg->reply ? leg->reply : leg->invite;
	core_case_name_leg(about, leg, who, sizeof who);
	core_word(words, "who", "%s", who);
	core_word(words, "number", "%s", leg->number);
	core_word(words, "address", "%s", leg->address[0] ? leg->address : leg->endpoint);
	core_word(words, "endpoint", "%s", leg->endpoint);
	core_word(words, "reason", "%s", leg->reason);
	core_word(words, "invites", "%u", leg->invites);
	core_word(words, "offered", "%s", leg->invite && leg->invite->text.sdp.present ? leg->invite->text.sdp.codecs : "nothing");
	core_word(words, "described", "%s", leg->described ? leg->described->text.sdp.codecs : "nothing");
	if (leg->reply)
		core_word(words, "answer", "%u %s%s%s", leg->reply->text.status, leg->reply->text.phrase,
			  leg->reply->text.reason[0] ? ", Reason: " : "", leg->reply->text.reason);
	else
		core_word(words, "answer", "%u %s", leg->sip_code, leg->reason);
	blame_audio(words, leg);
}
