/*
 * explain_stray.c - the rules about messages that never became a call
 *
 * An INVITE that was refused at the door has no events: what is known of it is what it said and how we answered. Names that every sentence may
 * use: agent, address, caller, dialled, offered, answer, warning, user.
 */
#include "explain.h"
#include "address_text.h"
#include <string.h>

/* The last final response of ours to an INVITE. */
static const struct core_ladder_item *last_refusal(const struct core_case *about)
{
	const struct core_ladder_item *found = NULL;

	for (uint32_t i = 0; about->ladder && i < about->ladder->count; i++) {
		const struct core_ladder_item *item = &about->ladder->items[i];

		if (item->message.sent && item->text.status >= 300 && strcmp(item->text.method, "INVITE") == 0)
			found = item;
	}
	return found;
}

static const struct core_ladder_item *first_invite(const struct core_case *about)
{
	for (uint32_t i = 0; about->ladder && i < about->ladder->count; i++)
		if (!about->ladder->items[i].text.status && strcmp(about->ladder->items[i].text.method, "INVITE") == 0)
			return &about->ladder->items[i];
	return NULL;
}

static bool stray_refused(struct core_case *about)
{
	const struct core_ladder_item *refusal = last_refusal(about), *invite = first_invite(about);
	char address[64];

	if (!refusal || !invite)
		return false;
	about->message = refusal;
	core_address_print(&refusal->message.remote, address, sizeof address);
	core_word(&about->words, "address", "%s", address);
	core_word(&about->words, "agent", "%s", invite->text.agent[0] ? invite->text.agent : "A device without a name");
	core_word(&about->words, "caller", "%s", invite->text.from_user);
	core_word(&about->words, "dialled", "%s", invite->text.request_user);
	core_word(&about->words, "answer", "%u %s", refusal->text.status, refusal->text.phrase);
	core_word(&about->words, "offered", "%s%s", invite->text.sdp.present ? invite->text.sdp.codecs : "nothing",
		  invite->text.sdp.secure ? " over SRTP" : "");
	core_word(&about->words, "user", "%s", core_case_user_of(about, invite));
	core_word(&about->words, "warning", "%s", refusal->text.warning[0] ? refusal->text.warning : refusal->text.phrase);
	return true;
}

static bool stray_password(struct core_case *about)
{
	return stray_refused(about) && about->message->text.is_challenge && core_case_user_of(about, about->message)[0];
}

static bool stray_without_password(struct core_case *about)
{
	return stray_refused(about) && about->message->text.is_challenge;
}

static bool stray_encryption(struct core_case *about)
{
	const struct core_ladder_item *invite = first_invite(about);

	if (!stray_refused(about) || about->message->text.status != 488 || !strstr(about->message->text.warning, "SRTP"))
		return false;
	core_word(&about->words, "what", "%s",
		  invite->text.sdp.secure ? "only encrypted audio (SRTP), which it may not have or gave no key for"
					  : "plain audio, where it must be encrypted (SRTP)");
	return true;
}

static bool stray_codec(struct core_case *about)
{
	return stray_refused(about) && (about->message->text.status == 415 || about->message->text.status == 488);
}

static bool stray_locked_out(struct core_case *about)
{
	return stray_refused(about) && about->message->text.status == 403;
}

static bool always(struct core_case *about)
{
	(void)about;
	return true;
}

const struct core_rule core_stray_rules[] = {
	{ "wrong_password", CORE_FAILED, stray_password,
	  "{agent} at {address} called {dialled} as {caller} with a wrong password for user {user}: it was asked again ({answer}) and no "
	  "call was made" },
	{ "no_password", CORE_FAILED, stray_without_password,
	  "{agent} at {address} called {dialled} as {caller} and never gave a password when it was asked for one ({answer}): no call was "
	  "made" },
	{ "caller_encryption", CORE_FAILED, stray_encryption,
	  "{agent} at {address} offered {what}, when it called {dialled}: it was refused ({answer}, {warning}); media.srtp, or srtp of the "
	  "extension or trunk, does not fit what the device is set to" },
	{ "caller_codec", CORE_FAILED, stray_codec,
	  "{agent} at {address} offered audio that the PBX does not speak ({offered}) when it called {dialled}: it was refused ({answer}, "
	  "{warning})" },
	{ "locked_out", CORE_FAILED, stray_locked_out,
	  "{agent} at {address} may not call as {caller}: it was refused ({answer}); user and sender do not belong together, or too many "
	  "wrong passwords "
	  "came from there" },
	{ "refused_at_the_door", CORE_FAILED, stray_refused,
	  "{agent} at {address} called {dialled} and was refused at the door with {answer}: no call was made" },
	{ "no_call", CORE_GOOD, always, "These messages are not about a call that failed" },
};
