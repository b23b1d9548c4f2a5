/*
 * policy - whose calls are recorded
 *
 * The rules are read from the top; the first that fits a conversation decides. A rule about extensions fits when one of the parties is such an
 * account, and that party's leg is the one that is recorded. Where no rule fits, auto_record decides, and parties may record on demand.
 */
#include "call_recording.h"
#include <stdlib.h>
#include <string.h>

struct party {
	struct pbx_leg_info info;
	char number[TEXT_SIZE], account[TEXT_SIZE], peer[TEXT_SIZE], call_id[ID_SIZE], linked_id[ID_SIZE];
};

static int look_at(const struct plugin *plugin, pbx_leg leg, struct party *ret_party)
{
	struct party party = { .info = { .size = sizeof party.info } };
	int err = plugin->calls->info(leg, &party.info);

	if (err != PBX_OK)
		return err;
	(void)snprintf(party.number, sizeof party.number, "%s", party.info.number);
	(void)snprintf(party.account, sizeof party.account, "%s", party.info.account);
	(void)snprintf(party.peer, sizeof party.peer, "%s", party.info.peer);
	(void)snprintf(party.call_id, sizeof party.call_id, "%s", party.info.call_id);
	(void)snprintf(party.linked_id, sizeof party.linked_id, "%s", party.info.linked_id);
	*ret_party = party;
	return PBX_OK;
}

/* Of two who did not call each other (a parked call was fetched) the one who has been there longer. */
static bool comes_first(const struct party *one, const struct party *other)
{
	if (one->info.direction != other->info.direction)
		return one->info.direction == PBX_INBOUND;
	return one->info.started_at_ms <= other->info.started_at_ms;
}

int conversation_of(struct plugin *plugin, pbx_leg one, pbx_leg other, struct conversation *ret_conversation)
{
	struct party first, second;

	if (look_at(plugin, one, &first) != PBX_OK || look_at(plugin, other, &second) != PBX_OK)
		return PBX_ENOENT;
	bool in_order = comes_first(&first, &second);
	const struct party *caller = in_order ? &first : &second, *called = in_order ? &second : &first;
	const char *trunk = caller->peer[0] ? caller->peer : called->peer;

	memset(ret_conversation, 0, sizeof *ret_conversation);
	ret_conversation->caller = in_order ? one : other;
	ret_conversation->called = in_order ? other : one;
	ret_conversation->direction = caller->peer[0] ? "inbound" : called->peer[0] ? "outbound" : "internal";
	ret_conversation->caller_is_ours = caller->account[0];
	ret_conversation->called_is_ours = called->account[0];
	memcpy(ret_conversation->call_id, caller->call_id, ID_SIZE);
	memcpy(ret_conversation->other_call_id, called->call_id, ID_SIZE);
	memcpy(ret_conversation->group_id, caller->linked_id, ID_SIZE);
	(void)snprintf(ret_conversation->trunk, TEXT_SIZE, "%s", trunk);
	(void)snprintf(ret_conversation->from, TEXT_SIZE, "%s", caller->account[0] ? caller->account : caller->number);
	(void)snprintf(ret_conversation->to, TEXT_SIZE, "%s", called->account[0] ? called->account : called->number);
	return PBX_OK;
}

int conversation_in_room(struct plugin *plugin, pbx_leg leg, const char *room, struct conversation *ret_conversation)
{
	struct party party;
	int err = look_at(plugin, leg, &party);

	if (err != PBX_OK)
		return err;
	memset(ret_conversation, 0, sizeof *ret_conversation);
	ret_conversation->caller = ret_conversation->called = leg;
	ret_conversation->direction = party.peer[0] ? "inbound" : "internal";
	ret_conversation->caller_is_ours = party.account[0];
	ret_conversation->called_is_ours = true;
	memcpy(ret_conversation->call_id, party.call_id, ID_SIZE);
	memcpy(ret_conversation->other_call_id, party.call_id, ID_SIZE);
	memcpy(ret_conversation->group_id, party.linked_id, ID_SIZE);
	(void)snprintf(ret_conversation->trunk, TEXT_SIZE, "%s", party.peer);
	(void)snprintf(ret_conversation->from, TEXT_SIZE, "%s", party.account[0] ? party.account : party.number);
	(void)snprintf(ret_conversation->to, TEXT_SIZE, "%s", room);
	return PBX_OK;
}

/* "10*" is every number that begins so. */
static bool fits(const char *pattern, const char *number)
{
	size_t length = strlen(pattern);

	if (length && pattern[length - 1] == '*')
		return strncmp(pattern, number, length - 1) == 0;
	return strcmp(pattern, number) == 0;
}

static bool is_listed(const struct pbx_list *list, const char *number)
{
	for (uint32_t i = 0; number[0] && i < list->count; i++)
		if (fits(list->items[i], number))
			return true;
	return false;
}

/* Ours rather than the trunk's, called rather than calling: who is recorded stays when the other is transferred. */
static pbx_leg leg_of_ours(const struct conversation *conversation)
{
	return conversation->called_is_ours || !conversation->caller_is_ours ? conversation->called : conversation->caller;
}

static bool rule_fits(const struct rule *rule, const struct conversation *conversation, pbx_leg *ret_leg)
{
	bool by_called = conversation->called_is_ours && is_listed(&rule->extensions, conversation->to);
	bool by_caller = conversation->caller_is_ours && is_listed(&rule->extensions, conversation->from);

	if (strcmp(rule->direction, "any") != 0 && strcmp(rule->direction, conversation->direction) != 0)
		return false;
	if (rule->trunks.count && !is_listed(&rule->trunks, conversation->trunk))
		return false;
	if (rule->extensions.count && !by_called && !by_caller)
		return false;
	*ret_leg = by_called ? conversation->called : by_caller ? conversation->caller : leg_of_ours(conversation);
	return true;
}

bool policy_takes_share(uint32_t percent)
{
	return percent >= 100 || arc4random_uniform(100) < percent;
}

static uint32_t wish_of(const char *record)
{
	return strcmp(record, "always") == 0 ? WISH_ALWAYS : strcmp(record, "on_demand") == 0 ? WISH_ON_DEMAND : WISH_NEVER;
}

struct ways policy_ways(const struct recording_settings *settings, const struct rule *rule)
{
	const char *srtp = rule ? rule->siprec_srtp : settings->siprec_srtp;

	return (struct ways){ .recorders = rule ? &rule->siprec : &settings->siprec,
			      .encrypts = strcmp(srtp, "required") == 0,
			      .is_required = rule ? rule->siprec_required : settings->siprec_required,
			      .file = rule ? rule->file : settings->file };
}

uint32_t policy_of(const struct plugin *plugin, struct conversation *conversation, const char **ret_rule, pbx_leg *ret_leg)
{
	const struct recording_settings *settings = plugin->settings;
	const struct rule *rules = settings->rules.rows;

	*ret_rule = "";
	*ret_leg = leg_of_ours(conversation);
	conversation->heeds = settings->heed_wishes;
	conversation->ways = policy_ways(settings, NULL);
	for (uint32_t i = 0; i < settings->rules.count; i++) {
		if (!rule_fits(&rules[i], conversation, ret_leg))
			continue;
		uint32_t wish = wish_of(rules[i].record);

		*ret_rule = rules[i].name;
		conversation->heeds = rules[i].heed_wishes;
		conversation->ways = policy_ways(settings, &rules[i]);
		return wish == WISH_ALWAYS && !policy_takes_share(rules[i].percent) ? WISH_ON_DEMAND : wish;
	}
	return settings->auto_record ? WISH_ALWAYS : WISH_ON_DEMAND;
}

int policy_check(const struct recording_settings *settings, struct pbx_diag *diag)
{
	const struct rule *rules = settings->rules.rows;

	for (uint32_t i = 0; i < settings->rules.count; i++) {
		for (uint32_t other = 0; other < i; other++) {
			if (strcmp(rules[i].name, rules[other].name) != 0)
				continue;
			pbx_diag_set(diag, "rules", "two rules are called '%s': give each a name of its own", rules[i].name);
			return PBX_EINVAL;
		}
	}
	if (settings->key_record[0] && strcmp(settings->key_record, settings->key_pause) == 0) {
		pbx_diag_set(diag, "key_pause", "'%s' begins and ends recordings already: choose other keys", settings->key_pause);
		return PBX_EINVAL;
	}
	return recorders_check(settings, diag);
}
