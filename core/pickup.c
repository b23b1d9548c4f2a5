/* pickup.c - a phone takes a call that is not its own yet
 *
 *    pick-up      a call that rings elsewhere: who calls is answered and talks to the phone that took it, the phones that rang hear that
 *                 somebody else has answered
 *    Replaces     INVITE with the name of a dialog (RFC 3891): another device of the same account goes on with a call, one of the same pickup
 *                 group takes a call that rings; nobody takes a stranger's */
#include "accounts.h"
#include "calls_inner.h"
#include "dial_inner.h"

/* ---- pickup groups ---- */

static bool is_of_group(const char *account, const char *group)
{
	char own[64];

	CORE_ACCOUNT_TEXT(account, pickup_group, own);
	return own[0] && strcmp(own, group) == 0;
}

bool core_accounts_share_group(const char *one, const char *other)
{
	char group[64];

	CORE_ACCOUNT_TEXT(one, pickup_group, group);
	return is_of_group(other, group);
}

/* ---- calls that ring ---- */

static bool does_ring(const struct core_leg *leg)
{
	return leg->branch && leg->state < PBX_LEG_ANSWERED && leg->branch->group->dial->from;
}

int core_leg_find_ringing(const char *number, const char *group, pbx_leg *ret_leg)
{
	const struct core_leg *leg, *oldest = NULL;
	uint32_t at = 0;

	while ((leg = core_handles_next(&core_leg_table, &at)))
		if (does_ring(leg) && (!oldest || leg->started_at_ms < oldest->started_at_ms) &&
		    (!number || strcmp(leg->number, number) == 0) && (!group || is_of_group(leg->number, group)))
			oldest = leg;
	if (!oldest)
		return PBX_ENOENT;
	*ret_leg = oldest->handle;
	return PBX_OK;
}

int core_leg_pick_up(struct core_leg *by, const struct core_leg *ringing)
{
	struct core_dial *dial = does_ring(ringing) ? ringing->branch->group->dial : NULL;
	struct core_leg *caller = dial ? dial->from : NULL;
	pbx_bridge bridge;
	int err;

	if (!caller || caller == by)
		return PBX_ESTATE;
	err = core_leg_answer(by, caller); /* first: when it cannot, the phones ring on */
	if (err == PBX_OK)
		err = core_leg_answer(caller, by);
	if (err != PBX_OK)
		return err;
	dial->picked_up = true;
	core_event_picked_up(caller, by, ringing);
	core_call_answered(caller->call, caller, by->number, by->name);
	core_call_answered(by->call, by, caller->number, caller->name);
	return core_bridge_make(caller, by, &bridge);
}

/* ---- INVITE with Replaces ---- */

/* RFC 3891 section 3 leaves to us who may: nobody is to take a stranger's call. */
static bool may_replace(const struct core_leg *leg, const struct core_leg *old)
{
	if (!leg->account[0] || !old->account[0])
		return false;
	if (strcmp(leg->account, old->account) == 0)
		return true;
	return old->state != PBX_LEG_ANSWERED && core_accounts_share_group(leg->account, old->account);
}

/* Takes the place of a party that talks, or that a feature has. */
static int replace_answered(struct core_leg *leg, struct core_leg *old)
{
	struct core_leg *third = core_bridge_peer(old);
	char dialled[128];
	int err;

	CORE_TEXT(dialled, old->dialled);
	if (!third && !old->controller.replaced)
		err = core_leg_route(leg, dialled, (pbx_leg){ 0 });
	else if ((err = core_leg_answer(leg, third)) == PBX_OK)
		err = core_leg_put_in_place(old, leg);
	if (err != PBX_OK)
		return err;
	if (leg->state == PBX_LEG_ANSWERED)
		core_call_answered(leg->call, leg, third ? third->number : dialled, third ? third->name : "");
	core_leg_end(old, 0, PBX_CAUSE_NORMAL, false, "replaced");
	return PBX_OK;
}

static int replace(struct core_leg *leg, struct core_leg *old, bool early_only)
{
	if (!old)
		return PBX_ENOENT;
	if (!may_replace(leg, old))
		return PBX_EPERM;
	if (old->state == PBX_LEG_ANSWERED)
		return early_only ? PBX_EBUSY : replace_answered(leg, old);
	return old->direction == PBX_OUTBOUND ? core_leg_pick_up(leg, old) : PBX_ENOENT; /* an early dialog that we did not begin */
}

void core_leg_replace(struct core_leg *leg, pbx_leg replaced, bool early_only)
{
	int err = replace(leg, core_leg_alive(replaced), early_only);

	if (err != PBX_OK)
		core_leg_refuse(leg, core_transfer_code(err), core_cause_from_sip(core_transfer_code(err)), "not replaced");
}
