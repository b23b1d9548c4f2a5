/*
 * park - somebody waits in a slot with music, gives up, or moves to a newer version of us
 *
 * The picture is in lot.h. A slot is the controller of the leg that waits in it.
 */
#include "lot.h"
#include <string.h>

/* ---- the slot becomes free ------------------------------------------------------------ */

void slot_vacate(struct slot *slot)
{
	struct parking *parking = slot->parking;

	(void)parking->timers->stop(slot->recall);
	slot->state = SLOT_FREE;
	slot->leg = slot->fetcher = slot->leaver = (pbx_leg){ 0 };
	slot->dial = (pbx_dial){ 0 };
	slot->recall = (pbx_timer){ 0 };
	slot_tell_lamp(slot);
	slot_remove_row(slot);
	parking_count(parking, -1);
}

/* ---- the leg that waits --------------------------------------------------------------- */

struct slot *parking_slot_of(struct parking *parking, pbx_leg leg)
{
	for (uint32_t i = 0; i < parking->slot_count; i++) {
		struct slot *slot = &parking->slots[i];

		if (leg.id &&
		    (slot->leg.id == leg.id || slot->fetcher.id == leg.id || slot->asker.id == leg.id || slot->leaver.id == leg.id))
			return slot;
	}
	return NULL;
}

static void on_waiting_ended(void *self, pbx_leg leg, uint32_t cause)
{
	struct slot *slot = parking_slot_of(self, leg);
	struct parking *parking = self;
	pbx_leg fetcher;

	(void)cause;
	if (!slot)
		return;
	fetcher = slot->fetcher;
	if (slot->dial.id)
		(void)parking->calls->cancel(slot->dial);
	slot_tell(slot, "call.park_abandoned", slot_facts(slot));
	slot_vacate(slot);
	if (fetcher.id)
		(void)parking->calls->hangup(fetcher, PBX_CAUSE_NOT_FOUND);
}

/* Somebody else took the leg (a transfer, a supervisor): it waits no more. */
static void on_waiting_lost(void *self, pbx_leg leg)
{
	struct slot *slot = parking_slot_of(self, leg);
	struct parking *parking = self;
	pbx_leg fetcher;

	if (!slot || slot->dial.id)
		return; /* connected by our dial, which says so next */
	fetcher = slot->fetcher;
	slot_vacate(slot);
	if (fetcher.id)
		(void)parking->calls->hangup(fetcher, PBX_CAUSE_NOT_FOUND);
}

static const struct pbx_controller waiting = {
	.size = sizeof waiting,
	.media_done = fetch_on_media_done,
	.ended = on_waiting_ended,
	.lost = on_waiting_lost,
};

void slot_play_music(const struct slot *slot)
{
	const struct pbx_calls *calls = slot->parking->calls;

	if (calls->music(slot->leg, slot->music_class[0] ? slot->music_class : NULL) != PBX_OK)
		pbx_warn(slot->parking->host, "no_music", "slot=%u", slot->number); /* silence is better than no slot */
}

void slot_begin(struct slot *slot, const char *parker)
{
	slot->call = (pbx_call){ 0 };
	slot->call_id[0] = slot->caller[0] = slot->caller_name[0] = '\0';
	slot->parked_at_ms = slot->recall_at_ms = 0;
	slot->parked_wall_us = 0;
	slot->recall_ms = slot->comebacks = 0;
	(void)snprintf(slot->parker, sizeof slot->parker, "%s", parker ? parker : "");
}

/* The leg is ours and waits in the slot from here on. */
static int occupy(struct slot *slot, pbx_leg leg, const struct pbx_leg_info *info, const char *parker)
{
	struct parking *parking = slot->parking;
	int err = parking->calls->control(parking->host, leg, &waiting, parking);

	if (err != PBX_OK)
		return err; /* the slot is as it was: free, or still reserved */
	slot_begin(slot, parker);
	slot->call = info->call;
	(void)snprintf(slot->call_id, sizeof slot->call_id, "%s", info->call_id);
	(void)snprintf(slot->caller, sizeof slot->caller, "%s", info->number);
	(void)snprintf(slot->caller_name, sizeof slot->caller_name, "%s", info->name);
	slot->leg = leg;
	parking_count(parking, 1);
	slot_play_music(slot);
	return PBX_OK;
}

int slot_park(struct parking *parking, pbx_leg leg, const char *parker, uint32_t recall_ms, uint32_t number, struct slot **ret_slot)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct slot *slot = number ? lot_find(parking, number) : lot_choose(parking, lot_of(parking, parker));
	int err = parking->calls->info(leg, &info);

	if (err != PBX_OK)
		return err;
	if (!slot)
		return number ? PBX_EINVAL : PBX_ENOSPC;
	if (slot->state != SLOT_FREE)
		return PBX_EBUSY;

	err = occupy(slot, leg, &info, parker);
	if (err != PBX_OK)
		return err;

	slot->recall_ms = recall_ms ? recall_ms : parking->settings->timeout_s * 1000;
	slot->parked_at_ms = parking->host->now_ms(parking->host);
	slot->parked_wall_us = parking->host->wall_us(parking->host);
	slot_wait_on(slot);
	slot_tell(slot, "call.parked", slot_facts(slot));
	words_write(slot, "always");
	slot_tell_lamp(slot);
	(void)parking->metrics->add(parking->host, METRIC_PARKED, NULL, 1);
	*ret_slot = slot;
	return PBX_OK;
}

int slot_drop(struct slot *slot)
{
	return slot_has_call(slot) ? slot->parking->calls->hangup(slot->leg, PBX_CAUSE_NORMAL) : PBX_ENOENT;
}

/* ---- an upgrade ----------------------------------------------------------------------- */

int slot_take(struct parking *parking, const struct parked *parked)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct slot *slot = lot_find(parking, parked->slot);
	int err = parking->calls->info(parked->leg, &info);

	if (err == PBX_OK && (!slot || slot->state != SLOT_FREE))
		err = slot ? PBX_EBUSY : PBX_EINVAL;
	if (err == PBX_OK)
		err = occupy(slot, parked->leg, &info, parked->parker);
	if (err != PBX_OK)
		return err;
	slot->state = SLOT_OCCUPIED;
	slot->comebacks = parked->comebacks;
	slot->recall_ms = parking->settings->timeout_s * 1000;
	slot->parked_at_ms = parked->parked_at_ms;
	slot->parked_wall_us = parked->parked_wall_us;
	slot_arm_recall(slot, parked->recall_ms);
	slot_store_row(slot);
	slot_light(slot);
	return PBX_OK;
}

void park_hand_over(struct parking *parking)
{
	const struct parking_slots *next = parking->successor;
	uint64_t now_ms = parking->host->now_ms(parking->host);

	if (!next->take || next->self == parking)
		return;
	for (uint32_t i = 0; i < parking->slot_count; i++) {
		struct slot *slot = &parking->slots[i];
		const struct parked parked = {
			.size = sizeof parked,
			.leg = slot->leg,
			.slot = slot->number,
			.comebacks = slot->comebacks,
			.parker = slot->parker,
			.recall_ms = slot->recall_at_ms > now_ms ? (uint32_t)(slot->recall_at_ms - now_ms) : 0,
			.parked_at_ms = slot->parked_at_ms,
			.parked_wall_us = slot->parked_wall_us,
		};

		if (slot->state != SLOT_OCCUPIED)
			continue;           /* on its way to somebody: we see that through */
		slot->leg = (pbx_leg){ 0 }; /* so that losing it is no surprise */
		if (next->take(next->self, &parked) == PBX_OK) {
			(void)parking->timers->stop(slot->recall);
			slot->state = SLOT_FREE;
			parking_count(parking, -1);
		} else {
			slot->leg = parked.leg; /* the successor has no such slot: it waits here until it is forgotten */
		}
	}
}
