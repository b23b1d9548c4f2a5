/*
 * access - who may watch whom, and see with whom they talk
 *
 * An account sees itself, an administrator everybody. Everybody else is judged by the settings presence.watchers, presence.identities, presence.mailboxes and
 * presence.registrations: "group" means the pickup group. A watcher without an account is a configured peer (sip.peers) and counts as everybody.
 */
#include "presence.h"
#include <string.h>

struct person_facts {
	char group[64], name[NAME_SIZE];
	bool exists, is_admin;
};

static struct person_facts look_up(const struct presence *presence, const char *number)
{
	struct pbx_account account = { .size = sizeof account };
	struct person_facts facts = { .exists = false };

	if (!number[0] || !presence->directory->find || presence->directory->find(presence->directory->self, number, &account) != PBX_OK)
		return facts;
	facts.exists = true;
	facts.is_admin = account.is_admin;
	(void)snprintf(facts.group, sizeof facts.group, "%s", account.pickup_group);
	(void)snprintf(facts.name, sizeof facts.name, "%s", account.name);
	return facts;
}

bool is_account(const struct presence *presence, const char *number)
{
	return look_up(presence, number).exists;
}

void account_name(const struct presence *presence, const char *number, char ret_name[NAME_SIZE])
{
	memcpy(ret_name, look_up(presence, number).name, NAME_SIZE);
}

static bool is_among(const struct presence *presence, const char *whom, const char *watcher, const char *resource)
{
	struct person_facts asks, asked;

	if (strcmp(whom, "everybody") == 0 || strcmp(watcher, resource) == 0)
		return true;
	asks = look_up(presence, watcher);
	asked = look_up(presence, resource);
	if (asks.is_admin || !asked.exists) /* a lamp that is nobody's line has no group */
		return true;
	return strcmp(whom, "group") == 0 && asks.group[0] && strcmp(asks.group, asked.group) == 0;
}

bool may_watch(struct presence *presence, const char *watcher, const char *resource)
{
	return is_among(presence, presence->settings->watchers, watcher, resource);
}

bool may_know_parties(struct presence *presence, const char *watcher, const char *resource)
{
	return is_among(presence, presence->settings->identities, watcher, resource);
}

bool may_see_mailbox(struct presence *presence, const char *watcher, const char *mailbox)
{
	return is_among(presence, presence->settings->mailboxes, watcher, mailbox);
}

bool may_see_registrations(struct presence *presence, const char *watcher, const char *account)
{
	return is_among(presence, presence->settings->registrations, watcher, account);
}
