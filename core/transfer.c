/* transfer.c - a party asks that its partner talk to somebody else (REFER: RFC 3515, with Replaces: RFC 3891)
 *
 *    blind      the partner is routed to the target as though it had dialled it; the transferor waits, is told 180 and the outcome, and is
 *               hung up when it went well; when not, the two talk again
 *    attended   the transferor has two calls; the partner of one takes the transferor's place in the other, and both of its legs end: a bridge
 *               changes a member, a controller is asked (replaced)
 *
 * A leg with a controller that knows transfers leaves the decision to it. */
#include "calls_inner.h"
#include <stdlib.h>

struct transfer {
	pbx_leg transferor, replaces;
	char target[128];
};

/* ---- how it went ---- */

void core_transfer_progress(pbx_leg transferor, uint32_t sip_code)
{
	struct core_leg *leg = core_leg_alive(transferor);

	if (leg && leg->driver->transfer_progress)
		leg->driver->transfer_progress(leg->dialog, sip_code);
}

bool core_transfer_over(pbx_leg transferor, struct core_leg *moved, const char *target, uint32_t sip_code)
{
	struct core_leg *leg = core_leg_alive(transferor);
	bool went_well = sip_code >= 200 && sip_code < 300;
	pbx_bridge bridge;

	if (moved)
		core_event_transfer(moved, "blind", moved->referred_by, target, went_well ? "ok" : "failed");
	if (!leg)
		return false;

	core_transfer_progress(transferor, sip_code);
	leg->referring = false;
	if (!went_well && moved && moved->state == PBX_LEG_ANSWERED && core_bridge_make(leg, moved, &bridge) == PBX_OK)
		return true;
	if (!went_well || !leg->charge.owner) /* a controller has something to say to it first */
		core_leg_end(leg, 0, PBX_CAUSE_NORMAL, false, "transferred");
	return false;
}

/* ---- carrying it out, after the driver has said 202 ---- */

static void transfer_blind(struct core_leg *leg, struct core_leg *partner, const char *target)
{
	leg->referring = true;
	core_transfer_progress(leg->handle, 100);
	if (core_leg_route(partner, target, leg->handle) != PBX_OK)
		(void)core_transfer_over(leg->handle, partner, target, 500);
}

/* ---- one leg in another's place ---- */

/* What the controller of `old` says to `by` taking its place. */
static int ask_controller(struct core_leg *old, struct core_leg *by)
{
	int err = PBX_ESTATE;

	if (old->charge.owner && old->controller.replaced)
		CORE_INTO(old->charge.owner, err = old->controller.replaced(old->self, old->handle, by->handle));
	return err;
}

int core_leg_put_in_place(struct core_leg *old, struct core_leg *by)
{
	struct core_leg *third = core_bridge_peer(old);
	pbx_bridge bridge;

	return third ? core_bridge_make(by, third, &bridge) : ask_controller(old, by);
}

uint32_t core_transfer_code(int err)
{
	switch (err) {
	case PBX_OK:
		return 200;
	case PBX_ENOSPC:
	case PBX_EBUSY:
		return 486;
	case PBX_EPERM:
		return 403;
	case PBX_ENOENT:
		return 481;
	default:
		return 500;
	}
}

/* The transferor's two calls become one. The one that it sent REFER in has a partner as a rule, the other whom it has asked: a party, or a feature
 * of ours; it may be the other way round. */
static void transfer_attended(struct core_leg *leg, struct core_leg *second)
{
	bool turned = !core_bridge_peer(leg);
	struct core_leg *old = turned ? leg : second, *partner = core_bridge_peer(turned ? second : leg), *third = core_bridge_peer(old);
	char target[128];

	if (!partner || partner == old) {
		core_transfer_progress(leg->handle, 481);
		return;
	}
	CORE_TEXT(target, third ? third->number : old->dialled);
	CORE_TEXT(partner->referred_by, leg->number);
	if (!third && !turned && !old->controller.replaced) {
		core_leg_end(old, 0, PBX_CAUSE_NORMAL, false, "replaced");
		transfer_blind(leg, partner, target);
		return;
	}
	int err = core_leg_put_in_place(old, partner);
	core_event_transfer(partner, "attended", leg->number, target, err == PBX_OK ? "ok" : "failed");
	core_transfer_progress(leg->handle, core_transfer_code(err));
	if (err != PBX_OK)
		return;
	core_leg_end(leg, 0, PBX_CAUSE_NORMAL, false, "transferred");
	core_leg_end(second, 0, PBX_CAUSE_NORMAL, false, "transferred");
}

static void carry_out(void *context, void *data)
{
	const struct transfer *transfer = data;
	struct core_leg *leg = core_leg_alive(transfer->transferor);
	struct core_leg *partner = leg ? core_bridge_peer(leg) : NULL;
	struct core_leg *second = core_leg_alive(transfer->replaces);

	(void)context;
	if (leg && second)
		transfer_attended(leg, second);
	else if (leg && (!partner || transfer->replaces.id))
		core_transfer_progress(leg->handle, 481);
	else if (leg)
		transfer_blind(leg, partner, transfer->target);
	free(data);
}

/* Whether two calls of a transferor can become one: one has a partner, the other a partner or a controller. */
static bool can_join(const struct core_leg *leg, const struct core_leg *second)
{
	bool one = leg->bridge || leg->charge.owner, other = second->bridge || second->charge.owner;

	return leg != second && second->state == PBX_LEG_ANSWERED && one && other && (leg->bridge || second->bridge);
}

int core_leg_on_transfer(pbx_leg handle, const char *target, pbx_leg replaces)
{
	struct core_leg *leg = core_leg_alive(handle), *second = core_leg_alive(replaces);

	if (!leg || (replaces.id && !second))
		return PBX_ENOENT;
	if (leg->state != PBX_LEG_ANSWERED)
		return PBX_ESTATE;
	if (leg->may_not_transfer || (second && second->may_not_transfer))
		return PBX_EPERM;
	if (!second && leg->charge.owner && leg->controller.transfer) {
		core_transfer_progress(handle, 100);
		CORE_INTO(leg->charge.owner, leg->controller.transfer(leg->self, handle, target));
		return PBX_OK;
	}
	if (second ? !can_join(leg, second) : !leg->bridge)
		return PBX_ESTATE;

	struct transfer *transfer = calloc(1, sizeof *transfer);
	if (!transfer)
		return PBX_ESTATE;
	transfer->transferor = handle;
	transfer->replaces = replaces;
	CORE_TEXT(transfer->target, target);
	if (core_post(core_self(), carry_out, NULL, transfer, free) != PBX_OK) {
		free(transfer);
		return PBX_ESTATE;
	}
	return PBX_OK;
}
