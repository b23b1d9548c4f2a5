/* transfer.c - a party asks that its partner talk to somebody else (REFER: RFC 3515, with Replaces: RFC 3891)
 *
 *    blind      the partner is routed to the target as though it had dialled it; the transferor waits, is told 180 and the outcome, and is
 *               hung up when it went well; when not, the two talk again
 *    attended   the transferor has two calls; the partners of both are bridged and both of its legs end
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

static void transfer_attended(struct core_leg *leg, struct core_leg *partner, struct core_leg *second)
{
	struct core_leg *third = core_bridge_peer(second);
	pbx_bridge bridge;
	int err;

	if (!third || third == leg || third == partner) {
		core_transfer_progress(leg->handle, 481);
		return;
	}
	CORE_TEXT(partner->referred_by, leg->number);
	err = core_bridge_make(partner, third, &bridge);
	core_event_transfer(partner, "attended", leg->number, third->number, err == PBX_OK ? "ok" : "failed");
	core_transfer_progress(leg->handle, err == PBX_OK ? 200 : 500);
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
	if (leg && !partner)
		core_transfer_progress(leg->handle, 481);
	else if (leg && second)
		transfer_attended(leg, partner, second);
	else if (leg && transfer->replaces.id)
		core_transfer_progress(leg->handle, 481);
	else if (leg)
		transfer_blind(leg, partner, transfer->target);
	free(data);
}

int core_leg_on_transfer(pbx_leg handle, const char *target, pbx_leg replaces)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || (replaces.id && !core_leg_alive(replaces)))
		return PBX_ENOENT;
	if (leg->state != PBX_LEG_ANSWERED)
		return PBX_ESTATE;
	if (leg->charge.owner && leg->controller.transfer) {
		core_transfer_progress(handle, 100);
		CORE_INTO(leg->charge.owner, leg->controller.transfer(leg->self, handle, target));
		return PBX_OK;
	}
	if (!leg->bridge || (replaces.id && !core_leg_alive(replaces)->bridge))
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
