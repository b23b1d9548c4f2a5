/* dial_branch.c - one device of a dial: who is told to call there and what they are told, and which way is taken where a device has several
 *
 * A branch is one outbound leg from its INVITE to its last word; what that word means for the others is the group's (dial_group.c). */
#include "accounts.h"
#include "dial_inner.h"
#include "host.h"
#include <pbx/location.h>
#include <stdlib.h>

struct core_branch *core_branch_add(struct core_group *group, const char *uri, const struct pbx_dial_target *target)
{
	if (group->dial->branch_count == CORE_MOST_BRANCHES)
		return NULL;

	struct core_branch *branch = calloc(1, sizeof *branch);
	if (!branch)
		return NULL;
	branch->group = group;
	branch->delay_ms = target->delay_ms;
	branch->ring_ms = target->ring_ms;
	branch->flags = target->flags;
	branch->has_caller = target->caller_number != NULL;
	CORE_TEXT(branch->uri, uri);
	CORE_TEXT(branch->peer, target->peer);
	CORE_TEXT(branch->caller_number, target->caller_number);
	CORE_TEXT(branch->caller_name, target->caller_name);

	struct core_branch **at = &group->branches;
	while (*at)
		at = &(*at)->next;
	*at = branch;
	group->dial->branch_count++;
	return branch;
}

void core_branch_quiet(struct core_branch *branch)
{
	(void)core_timer_stop(branch->delay);
	(void)core_timer_stop(branch->ring);
	branch->delay = branch->ring = (pbx_timer){ 0 };
	branch->over = true;
}

void core_branch_stop(struct core_branch *branch, uint32_t cause)
{
	struct core_leg *leg = branch->leg;

	core_branch_quiet(branch);
	branch->leg = NULL;
	if (!leg)
		return;
	core_dial_drop_early(branch->group->dial, leg);
	leg->branch = NULL;
	core_leg_end(leg, 0, cause, false, cause == PBX_CAUSE_ANSWERED_ELSEWHERE ? "answered elsewhere" : NULL);
}

/* ---- what its invitation says ---- */

void core_uri_user(const char *uri, char ret_user[64])
{
	const char *begin = strchr(uri, ':');
	size_t length;

	begin = begin ? begin + 1 : uri;
	length = strcspn(begin, "@;?>");
	if (begin[length] != '@' && begin != uri)
		length = 0; /* only a bare number is a user without a host */
	if (length > 63)
		length = 63;
	memcpy(ret_user, begin, length);
	ret_user[length] = '\0';
}

static const char *caller_number_of(const struct core_branch *branch)
{
	return branch->has_caller ? branch->caller_number : branch->group->dial->caller_number;
}

/* Who calls for help is to be called back. */
static bool is_withheld(const struct core_branch *branch)
{
	const struct core_leg *from = branch->group->dial->from;

	return !(branch->flags & PBX_TARGET_EMERGENCY) && (branch->flags & PBX_TARGET_WITHHELD || (from && from->withheld));
}

/* Who is called: as whose number was dialled is known to the routing, else as the account is whose phone rings. */
static void leg_name(struct core_leg *leg, const struct core_branch *branch)
{
	if (branch->group->owner_name[0] || strcmp(leg->number, branch->account) != 0)
		CORE_TEXT(leg->name, branch->group->owner_name);
	else
		CORE_ACCOUNT_TEXT(branch->account, name, leg->name);
}

static void leg_describe(struct core_leg *leg, const struct core_branch *branch)
{
	const struct core_group *group = branch->group;

	if (group->owner_number[0])
		CORE_TEXT(leg->number, group->owner_number);
	else if (branch->account[0])
		CORE_TEXT(leg->number, branch->account);
	else
		core_uri_user(branch->uri, leg->number);
	leg_name(leg, branch);
	core_leg_set_account(leg, branch->account);
	CORE_TEXT(leg->peer, branch->peer);
	CORE_TEXT(leg->shown, is_withheld(branch) ? "" : caller_number_of(branch));
	free(leg->endpoint);
	leg->endpoint = strdup(branch->uri); /* no memory: nobody is told */
	CORE_TEXT(leg->address, branch->received);
}

static bool speaks_ipv6(const struct core_branch *branch)
{
	return branch->received[0] ? branch->received[0] == '[' : strchr(branch->uri, '[') != NULL;
}

/* Who calls, as the callee may know it (RFC 3323). */
static void say_caller(const struct core_branch *branch, struct core_invite *invite)
{
	const struct core_dial *dial = branch->group->dial;
	const char *number = caller_number_of(branch), *name = branch->has_caller ? branch->caller_name : dial->caller_name;
	bool withheld = is_withheld(branch);

	if (dial->from && dial->from->withheld && !number[0]) {
		number = dial->from->asserted_number ? dial->from->asserted_number : "";
		name = dial->from->asserted_name ? dial->from->asserted_name : "";
	}
	invite->flags = (branch->flags & ~PBX_TARGET_WITHHELD) | (withheld ? PBX_TARGET_WITHHELD : 0u);
	invite->asserted_number = number;
	invite->asserted_name = name;
	invite->from_number = withheld ? "" : number;
	invite->from_name = withheld ? "" : name;
}

#define MOST_DIVERSIONS (CORE_MOST_FORWARDS + 1 + CORE_MOST_HISTORY)

/* Who has sent the call on, newest first: ours, and whoever did so before it came to us. How many. */
static uint32_t list_diversions(const struct core_group *group, struct core_diversion ret_diversions[MOST_DIVERSIONS])
{
	const struct core_history *history = group->dial->from ? group->dial->from->history : NULL;
	uint32_t count = 0;

	for (uint32_t i = group->forwarded; i > 0; i--)
		ret_diversions[count++] = (struct core_diversion){ group->diversions[i - 1].number, group->diversions[i - 1].reason };
	for (uint32_t i = 0; history && i < history->count; i++)
		ret_diversions[count++] = (struct core_diversion){ history->entries[i].number, history->entries[i].reason };
	return count;
}

static int branch_invite(struct core_branch *branch, struct core_leg *leg)
{
	struct core_group *group = branch->group;
	struct core_dial *dial = group->dial;
	const struct core_leg_driver *driver = core_leg_driver();
	struct core_diversion diversions[MOST_DIVERSIONS];

	if (!driver)
		return PBX_ESTATE;

	leg->is_web = strcasecmp(branch->transport, "wss") == 0 || strcasecmp(branch->transport, "ws") == 0;
	struct core_media_desc offer;
	int err = core_leg_open_stream(leg, speaks_ipv6(branch) ? AF_INET6 : AF_INET);
	if (err == PBX_OK)
		err = core_leg_make_offer(leg, dial->from, CORE_SEND | CORE_RECV, &offer);
	if (err != PBX_OK)
		return err;

	uint32_t max_forwards = dial->from && dial->from->max_forwards ? dial->from->max_forwards - 1 : 70;
	struct core_invite invite = {
		.target = branch->uri,
		.received = branch->received,
		.transport = branch->transport,
		.path = branch->path,
		.account = branch->account,
		.to_number = leg->number,
		.to_name = leg->name,
		.call_id = dial->call->id,
		.max_forwards = max_forwards,
		.diversions = diversions,
		.diversion_count = list_diversions(group, diversions),
		.offer = &offer,
		.peer = branch->peer,
		.referred_by = dial->from ? dial->from->referred_by : "",
		.headers = dial->from && dial->from->headers ? dial->from->headers : "",
	};
	say_caller(branch, &invite);
	leg->driver = driver;
	leg->max_forwards = max_forwards;
	return driver->invite(leg->handle, &invite, &leg->dialog);
}

/* ---- it rings ---- */

static void on_ring_timer(void *self, pbx_timer timer)
{
	(void)timer;
	core_group_branch_late(self);
}

void core_branch_start(struct core_branch *branch)
{
	struct core_leg *leg;

	branch->started = true;
	if (core_leg_new(branch->group->dial->call, PBX_OUTBOUND, &leg) != PBX_OK) {
		core_group_branch_over(branch, &(struct core_final){ 503, CORE_CAUSE_NO_RESOURCE, false });
		return;
	}
	branch->leg = leg;
	leg->branch = branch;
	leg_describe(leg, branch);
	if (leg->peer[0] && strcmp(leg->call->direction, "internal") == 0)
		leg->call->direction = "outbound";
	core_event_leg("leg.started", leg);

	int err = branch_invite(branch, leg);
	if (err != PBX_OK) {
		uint32_t cause = core_cause_of(err), sip_code = core_cause_to_sip(cause);

		if (err == PBX_ENOENT || (err == PBX_ENOSPC && leg->has_stream)) {  /* no way there, or no channel left on it */
			bool has_gone = err == PBX_ENOENT && branch->contact_id[0]; /* the connection that only the device could open */

			sip_code = has_gone ? 430 : 503;
			cause = core_cause_from_sip(sip_code);
		}
		core_leg_end(leg, sip_code, cause, false, "cannot call");
		return;
	}
	if (branch->ring_ms)
		(void)core_timer_start(core_self(), branch->ring_ms, 0, on_ring_timer, branch, &branch->ring);
}

/* ---- a device with several flows (RFC 5626) ---- */

static bool is_same_device(const struct core_branch *a, const struct core_branch *b)
{
	return a->reg_id && b->reg_id && strcmp(a->instance, b->instance) == 0 && strcmp(a->account, b->account) == 0;
}

static struct core_branch *spare_of(const struct core_branch *branch)
{
	struct core_branch *other = branch->group->branches;

	while (other && (!other->spare || other->over || !is_same_device(branch, other)))
		other = other->next;
	return other;
}

/* What tells that nobody is at the other end of a flow (RFC 5626 5.3, 11.5), not that somebody is and does not want. */
static bool tells_of_dead_flow(uint32_t sip_code)
{
	return sip_code == 430 || sip_code == 408 || sip_code == 503;
}

bool core_branch_try_other_flow(struct core_branch *branch, uint32_t sip_code)
{
	struct core_branch *spare;

	if (sip_code == 430) {
		const struct pbx_location *location = core_host_service("pbx.location/1", (uint32_t)sizeof *location);

		if (location->flow_failed && branch->contact_id[0])
			(void)location->flow_failed(branch->contact_id); /* it may be gone already */
	}
	while ((spare = spare_of(branch))) {
		spare->spare = false;
		if (tells_of_dead_flow(sip_code)) {
			core_branch_start(spare);
			return true;
		}
		core_branch_quiet(spare);
	}
	return false;
}

void core_branch_choose_flow(struct core_branch *branch)
{
	for (struct core_branch *other = branch->group->branches; other; other = other->next) {
		if (other == branch || other->spare || other->started || !is_same_device(branch, other))
			continue;
		branch->spare = branch->unanswered >= other->unanswered;
		other->spare = !branch->spare;
		return;
	}
}
