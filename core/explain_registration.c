/*
 * explain_registration.c - the rules about phones that do not register
 *
 * What counts is what has happened since the last REGISTER that went well. A challenge is nothing bad unless the REGISTER carried credentials
 * already: then they were wrong, or the nonce was old (stale), which a phone answers by itself.
 */
#include "explain_registration.h"
#include "address_text.h"
#include "json_auto.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- what was seen -------------------------------------------------------------------- */

static void see(struct core_seen *seen, const struct core_trace_message *message, const struct core_sip_text *text)
{
	seen->is = true;
	seen->sent = message->sent;
	seen->wall_us = message->wall_us;
	seen->text = *text;
	core_address_print(&message->remote, seen->address, sizeof seen->address);
	(void)snprintf(seen->transport, sizeof seen->transport, "%s", message->transport);
}

static bool answers(const struct core_seen *request, const struct core_sip_text *response)
{
	return request->is && request->text.cseq == response->cseq && strcmp(request->text.call_id, response->call_id) == 0;
}

static void add_request(struct core_registering *about, const struct core_trace_message *message, const struct core_sip_text *text)
{
	about->was_challenged = about->response.is && about->response.text.is_challenge;
	see(&about->request, message, text);
	about->response.is = false;
	about->requests++;
	about->with_credentials += text->has_credentials;
}

static void add_response(struct core_registering *about, const struct core_trace_message *message, const struct core_sip_text *text)
{
	if (text->status < 200 || !answers(&about->request, text))
		return;
	see(&about->response, message, text);
	if (text->status >= 300) {
		about->challenges += text->is_challenge && !text->is_stale && about->request.text.has_credentials;
		return;
	}
	see(&about->success, message, text);
	about->success.text.expires_s = about->request.text.expires_s == 0 ? 0 : text->expires_s;
	about->requests = about->with_credentials = about->challenges = 0;
}

void core_registering_add(struct core_registering *about, const struct core_trace_message *message, const struct core_sip_text *text)
{
	bool is_ours = strcmp(text->to_user, about->aor) == 0 || strcmp(text->auth_user, about->aor) == 0;

	if (!is_ours || strcmp(text->method, "REGISTER") != 0)
		return;
	if (text->status == 0 && !message->sent)
		add_request(about, message, text);
	else if (text->status && message->sent)
		add_response(about, message, text);
}

/* ---- words ---------------------------------------------------------------------------- */

static void say_time(int64_t wall_us, char ret_text[32])
{
	time_t second = wall_us / 1000000;
	struct tm parts;

	(void)strftime(ret_text, 32, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&second, &parts));
}

static void say_seen(struct core_registering *about)
{
	const struct core_seen *request = &about->request, *response = &about->response, *success = &about->success;
	struct core_words *words = &about->words;
	char time[32];

	core_word(words, "agent", "%s", request->text.agent[0] ? request->text.agent : "A device without a name");
	core_word(words, "address", "%s", request->address);
	core_word(words, "user", "%s", request->text.auth_user);
	core_word(words, "tries", "%u", about->challenges);
	core_word(words, "requests", "%u", about->requests);
	core_word(words, "answer", "%u %s", response->text.status, response->text.phrase);
	core_word(words, "granted", "%lld", (long long)(success->text.expires_s > 0 ? success->text.expires_s : 0));
	say_time(success->wall_us, time);
	core_word(words, "then", "%s", time);
	say_time(request->wall_us, time);
	core_word(words, "at", "%s", time);
	say_time(about->since_us, time);
	core_word(words, "since", "%s", time);
}

/* ---- conditions ----------------------------------------------------------------------- */

/* The last REGISTER has an answer, and it is none that a phone goes on from by itself. */
static bool was_refused(const struct core_registering *about)
{
	return about->response.is && about->response.text.status >= 300;
}

static bool others_account(struct core_registering *about, int64_t now_us)
{
	const struct core_sip_text *request = &about->request.text;
	bool is_others = request->has_credentials && strcmp(request->auth_user, request->to_user) != 0;

	(void)now_us;
	return was_refused(about) && about->response.text.status == 403 && is_others &&
	       about->was_challenged; /* who is locked out is asked for nothing */
}

static bool locked_out(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return was_refused(about) && about->response.text.status == 403;
}

static bool unknown_account(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return !about->exists && about->request.is;
}

static bool no_account(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return !about->exists;
}

static bool other_user(struct core_registering *about, int64_t now_us)
{
	const struct core_sip_text *request = &about->request.text;

	(void)now_us;
	return was_refused(about) && about->response.text.is_challenge && request->has_credentials &&
	       strcmp(request->auth_user, request->to_user) != 0;
}

static bool wrong_password(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return was_refused(about) && about->response.text.is_challenge && about->challenges > 0;
}

static bool no_password(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return was_refused(about) && about->response.text.is_challenge && about->with_credentials == 0;
}

static bool too_brief(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return was_refused(about) && about->response.text.status == 423;
}

static bool refused(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return was_refused(about) && !about->response.text.is_challenge;
}

static bool registered(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	core_word(&about->words, "contact", "%.200s", about->contact);
	core_word(&about->words, "devices", "%s", about->contacts > 1 ? "; it has more devices" : "");
	return about->contacts > 0;
}

static bool unanswered(struct core_registering *about, int64_t now_us)
{
	return about->request.is && !about->response.is && now_us - about->request.wall_us > 2000000;
}

static bool unregistered(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return about->success.is && about->success.text.expires_s == 0;
}

static bool expired(struct core_registering *about, int64_t now_us)
{
	return about->success.is && about->success.text.expires_s > 0 &&
	       now_us > about->success.wall_us + about->success.text.expires_s * 1000000;
}

static bool taken_away(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return about->success.is;
}

static bool nothing_came(struct core_registering *about, int64_t now_us)
{
	(void)now_us;
	return !about->request.is;
}

static bool under_way(struct core_registering *about, int64_t now_us)
{
	(void)about, (void)now_us;
	return true;
}

const struct core_registration_rule core_registration_rules[] = {
	{ "unknown_account", CORE_FAILED, unknown_account,
	  "There is no extension {aor}: {agent} at {address} tries to register as it, and is asked for a password for ever" },
	{ "no_account", CORE_FAILED, no_account, "There is no extension {aor}, and nobody has tried to register as it since {since}" },
	{ "others_account", CORE_FAILED, others_account,
	  "{agent} at {address} gave the right password of user {user}, who may not register {aor}: it was refused ({answer})" },
	{ "locked_out", CORE_FAILED, locked_out,
	  "{agent} at {address} is locked out ({answer}): too many wrong passwords came from there or for this user; `pbxctl registrations "
	  "blocked` says until when, `registrations unblock` lifts it" },
	{ "other_user", CORE_FAILED, other_user,
	  "{agent} at {address} gives a password for user {user} and not for {aor}, and it is wrong: its user name for authentication must "
	  "be {aor}" },
	{ "wrong_password", CORE_FAILED, wrong_password,
	  "{agent} at {address} gives a wrong password for user {user}: {tries} times since it last registered, the last one {at}" },
	{ "no_password", CORE_FAILED, no_password,
	  "{agent} at {address} sends no password though it is asked for one ({requests} times): it has none set, or our answer does not "
	  "reach it" },
	{ "too_brief", CORE_FAILED, too_brief,
	  "{agent} at {address} wants to register for a shorter time than sip.min_expires_s allows ({answer}), and does not ask for a "
	  "longer one" },
	{ "refused", CORE_FAILED, refused, "{agent} at {address} was refused with {answer}" },
	{ "unanswered", CORE_FAILED, unanswered,
	  "A REGISTER of {agent} at {address} came {at} and was not answered: the store may be away" },
	{ "registered", CORE_GOOD, registered, "{aor} is registered: {contact}{devices}" },
	{ "unregistered", CORE_FAILED, unregistered, "{agent} at {address} has signed off by itself at {then}" },
	{ "expired", CORE_FAILED, expired,
	  "{agent} at {address} registered last at {then} for {granted} s and has not come back: it is off, or does not reach us any "
	  "more" },
	{ "taken_away", CORE_FAILED, taken_away,
	  "{agent} at {address} registered at {then} for {granted} s, and its registration was taken away since then: by an operator, "
	  "by a newer device (max_contacts), or as its connection had failed" },
	{ "nothing_came", CORE_FAILED, nothing_came,
	  "No REGISTER for {aor} has come since {since}: the phone is off, has another server's address, or a firewall keeps it away" },
	{ "under_way", CORE_OPEN, under_way, "{agent} at {address} is registering right now" },
};

/* ---- told ----------------------------------------------------------------------------- */

static void show_seen(struct pbx_json *list, const struct core_seen *seen)
{
	char time[32], line[400];

	if (!seen->is)
		return;
	say_time(seen->wall_us, time);
	(void)snprintf(line, sizeof line, "%s %s %s by %s: %s%s%s", time, seen->sent ? "to" : "from", seen->address, seen->transport,
		       seen->text.line, seen->text.has_credentials ? ", credentials of " : "", seen->text.auth_user);
	(void)core_json_append_text(list, line); /* without memory there is less to show */
}

static struct pbx_json *evidence(const struct core_registering *about)
{
	struct pbx_json *list = core_json_array();
	char time[32], line[200];

	if (!list)
		return NULL;
	if (!about->request.is) {
		say_time(about->since_us, time);
		(void)snprintf(line, sizeof line, "no REGISTER for %s among the messages in memory, which begin at %s", about->aor, time);
		(void)core_json_append_text(list, line); /* without memory there is less to show */
	}
	if (about->contacts)
		(void)core_json_append_text(list, about->contact);
	show_seen(list, &about->request);
	show_seen(list, &about->response);
	if (about->success.is && about->success.wall_us != about->response.wall_us)
		show_seen(list, &about->success);
	return list;
}

struct pbx_json *core_explain_registration(struct core_registering *about, int64_t now_us)
{
	const struct core_registration_rule *rule = core_registration_rules;
	AUTO(json) struct pbx_json *json = core_json_object();
	AUTO(json) struct pbx_json *seen = evidence(about);
	char sentence[640];

	core_word(&about->words, "aor", "%s", about->aor);
	say_seen(about);
	while (!rule->holds(about, now_us))
		rule++;
	(void)core_words_say(&about->words, rule->sentence, sentence, sizeof sentence);
	if (core_json_set_text(json, "aor", about->aor) != PBX_OK || core_json_set_text(json, "verdict", rule->verdict) != PBX_OK ||
	    core_json_set_text(json, "rule", rule->name) != PBX_OK || !seen || core_json_set(json, "evidence", TAKE(seen)) != PBX_OK ||
	    core_json_set_text(json, "sentence", sentence) != PBX_OK)
		return NULL;
	return TAKE(json);
}
