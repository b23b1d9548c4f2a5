/*
 * calls_index - calls by their id, legs by their id or account
 *
 * Events name calls and legs by text, and who hears one asks for its handle; routing asks how many calls an account is in. With a thousand calls under
 * way a walk along all of them for each such question costs more than the call itself.
 */
#include "calls_inner.h"

#define BUCKETS 4096u

static struct core_call *calls[BUCKETS];
static struct core_leg *legs[BUCKETS];

static uint32_t bucket_of(const char *text, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	return (hash ^ hash >> 16) % BUCKETS;
}

/* ---- calls ---- */

void core_call_index(struct core_call *call)
{
	struct core_call **bucket = &calls[bucket_of(call->id, strlen(call->id))];

	call->next_by_id = *bucket;
	*bucket = call;
}

void core_call_unindex(struct core_call *call)
{
	struct core_call **at = &calls[bucket_of(call->id, strlen(call->id))];

	while (*at != call)
		at = &(*at)->next_by_id;
	*at = call->next_by_id;
}

static struct core_call *find_call(const char *id, size_t length)
{
	struct core_call *call = calls[bucket_of(id, length)];

	while (call && (strncmp(call->id, id, length) != 0 || call->id[length] != '\0'))
		call = call->next_by_id;
	return call;
}

struct core_call *core_call_named(const char *call_id)
{
	return find_call(call_id, strlen(call_id));
}

/* ---- legs ---- */

struct core_leg *core_leg_named(const char *leg_id)
{
	const struct core_call *call = find_call(leg_id, strcspn(leg_id, "-"));
	struct core_leg *leg = call ? call->legs : NULL;

	while (leg && (leg->state == PBX_LEG_ENDED || strcmp(leg->id, leg_id) != 0))
		leg = leg->next;
	return leg;
}

void core_leg_unindex(struct core_leg *leg)
{
	if (!leg->by_account)
		return;
	*leg->by_account = leg->next_by_account;
	if (leg->next_by_account)
		leg->next_by_account->by_account = leg->by_account;
	leg->by_account = NULL;
}

void core_leg_set_account(struct core_leg *leg, const char *account)
{
	core_leg_unindex(leg);
	CORE_TEXT(leg->account, account);

	struct core_leg **bucket = &legs[bucket_of(leg->account, strlen(leg->account))];

	leg->next_by_account = *bucket;
	leg->by_account = bucket;
	if (*bucket)
		(*bucket)->by_account = &leg->next_by_account;
	*bucket = leg;
}

struct core_leg *core_legs_of_account(const char *account, struct core_leg *after)
{
	struct core_leg *leg = after ? after->next_by_account : legs[bucket_of(account, strlen(account))];

	while (leg && (leg->state == PBX_LEG_ENDED || strcmp(leg->account, account) != 0))
		leg = leg->next_by_account;
	return leg;
}
