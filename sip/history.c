/*
 * history.c - by whom a call was sent on before it came to us
 *
 * A provider tells with Diversion, the newest first, or with History-Info, the oldest first, where whoever has sent the call on has a Reason in
 * its URI and the last one is who is called. A phone that answers 302 because it is busy says so in its Diversion.
 */
#include "history.h"
#include "contact.h"
#include "identity.h"
#include <stdlib.h>
#include <string.h>

static uint32_t reason_of(const char *word)
{
	static const struct {
		const char *word;
		uint32_t reason;
	} known[] = {
		{ "user-busy", PBX_FORWARD_BUSY },         { "no-answer", PBX_FORWARD_NO_ANSWER }, { "unavailable", PBX_FORWARD_OFFLINE },
		{ "out-of-service", PBX_FORWARD_OFFLINE }, { "do-not-disturb", PBX_FORWARD_DND },
	};

	for (size_t i = 0; word && i < sizeof known / sizeof known[0]; i++)
		if (strcasecmp(word, known[i].word) == 0)
			return known[i].reason;
	return PBX_FORWARD_UNCONDITIONAL;
}

/* RFC 4458, RFC 7044 A; the other way than identity.c writes it. */
static uint32_t reason_of_cause(unsigned long cause)
{
	switch (cause) {
	case 486:
		return PBX_FORWARD_BUSY;
	case 408:
		return PBX_FORWARD_NO_ANSWER;
	case 404:
		return PBX_FORWARD_OFFLINE;
	case 480:
		return PBX_FORWARD_DND;
	default:
		return PBX_FORWARD_UNCONDITIONAL;
	}
}

static void add(struct ua_history *history, const url_t *url, uint32_t reason)
{
	uint32_t at = history->count;

	if (at == UA_MOST_HISTORY)
		return;
	ua_identity_user(url, history->numbers[at], sizeof history->numbers[at]);
	if (!history->numbers[at][0])
		return;
	history->entries[at] = (struct core_diversion){ history->numbers[at], reason };
	history->count++;
}

/* Both are lists of addresses with parameters, as Route is; Sofia knows neither. NULL: it cannot be read. */
static const sip_route_t *read_list(su_home_t *home, const sip_unknown_t *header, const char *name)
{
	return strcasecmp(header->un_name, name) == 0 && header->un_value ? sip_route_make(home, header->un_value) : NULL;
}

/* A parameter's value without its quotes, "" when it is not there. */
static void param_of(const sip_route_t *entry, const char *name, char ret_value[32])
{
	const char *value = msg_params_find(entry->r_params, name);
	size_t length;

	value = value ? value + strspn(value, "\"") : "";
	length = strcspn(value, "\"");
	(void)snprintf(ret_value, 32, "%.*s", (int)(length < 31 ? length : 31), value);
}

static void read_diversions(su_home_t *home, const sip_t *sip, struct ua_history *history, uint32_t *ret_reason)
{
	char reason[32], privacy[32];

	for (const sip_unknown_t *header = sip->sip_unknown; header; header = header->un_next)
		for (const sip_route_t *entry = read_list(home, header, "Diversion"); entry; entry = entry->r_next) {
			param_of(entry, "reason=", reason);
			param_of(entry, "privacy=", privacy);
			if (*ret_reason == 0)
				*ret_reason = reason_of(reason);
			if (!privacy[0] || strcasecmp(privacy, "off") == 0)
				add(history, entry->r_url, reason_of(reason));
		}
}

/* "SIP;cause=486" of "sip:1001@example.com?Reason=SIP%3Bcause%3D486". False: it has none, or is private. */
static bool read_cause(const url_t *url, unsigned long *ret_cause)
{
	char reason[64], privacy[32];
	const char *cause;

	if (!ua_param(url->url_headers, "&", "Reason", reason, sizeof reason) ||
	    ua_param(url->url_headers, "&", "Privacy", privacy, sizeof privacy))
		return false;
	cause = strcasestr(reason, "cause=");
	*ret_cause = cause ? strtoul(cause + 6, NULL, 10) : 0;
	return true;
}

static void turn(struct ua_history *history)
{
	struct ua_history newest_first = { .count = history->count };

	for (uint32_t i = 0; i < history->count; i++) {
		memcpy(newest_first.numbers[i], history->numbers[history->count - 1 - i], sizeof newest_first.numbers[i]);
		newest_first.entries[i].reason = history->entries[history->count - 1 - i].reason;
	}
	*history = newest_first;
	for (uint32_t i = 0; i < history->count; i++)
		history->entries[i].number = history->numbers[i];
}

static void read_history_info(su_home_t *home, const sip_t *sip, struct ua_history *history)
{
	unsigned long cause;

	for (const sip_unknown_t *header = sip->sip_unknown; header; header = header->un_next)
		for (const sip_route_t *entry = read_list(home, header, "History-Info"); entry; entry = entry->r_next)
			if (read_cause(entry->r_url, &cause))
				add(history, entry->r_url, reason_of_cause(cause));
	turn(history);
}

void ua_history_read(const sip_t *sip, struct ua_history *ret_history)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	uint32_t reason = 0;

	(void)su_home_init(home);
	ret_history->count = 0;
	read_diversions(home, sip, ret_history, &reason);
	if (ret_history->count == 0 && reason == 0)
		read_history_info(home, sip, ret_history);
	su_home_deinit(home);
}

uint32_t ua_history_reason(const sip_t *sip)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	struct ua_history history = { .count = 0 };
	uint32_t reason = 0;

	(void)su_home_init(home);
	read_diversions(home, sip, &history, &reason);
	su_home_deinit(home);
	return reason ? reason : PBX_FORWARD_UNCONDITIONAL;
}
