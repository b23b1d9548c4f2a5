/*
 * attended - the parker asks first: *74 dialled reserves a slot and speaks it; then the call is transferred into it (REFER with Replaces, RFC 3891)
 *
 * Hanging up instead, or waiting for RESERVED_MS, gives the slot back.
 */
#include "lot.h"

static void give_back(struct slot *slot)
{
	slot->state = SLOT_FREE;
	slot->asker = (pbx_leg){ 0 };
}

static void on_asker_answered(void *self, pbx_leg asker)
{
	struct parking *parking = self;
	const struct slot *slot = parking_slot_of(parking, asker);

	if (!slot)
		return;
	if (!parking->settings->announce || words_say_slot(parking, asker, slot->number) != PBX_OK)
		(void)parking->calls->tone(asker, "confirm"); /* the display of the phone is all that is left */
}

static void on_asker_timeout(void *self, pbx_leg asker)
{
	const struct parking *parking = self;

	(void)parking->calls->hangup(asker, PBX_CAUSE_NORMAL); /* on_asker_ended gives the slot back */
}

static void on_asker_ended(void *self, pbx_leg asker, uint32_t cause)
{
	struct slot *slot = parking_slot_of(self, asker);

	(void)cause;
	if (slot)
		give_back(slot);
}

static void on_asker_lost(void *self, pbx_leg asker)
{
	on_asker_ended(self, asker, PBX_CAUSE_NORMAL);
}

/* The call comes: it waits in exactly the slot that was spoken. */
static int on_asker_replaced(void *self, pbx_leg asker, pbx_leg by)
{
	struct parking *parking = self;
	struct slot *slot = parking_slot_of(parking, asker);
	char parker[PARTY_TEXT];

	if (!slot)
		return PBX_ENOENT;
	(void)snprintf(parker, sizeof parker, "%s", slot->parker);
	give_back(slot);
	int err = slot_park(parking, by, parker, 0, slot->number, &slot);
	if (err != PBX_OK) {
		slot->state = SLOT_RESERVED;
		slot->asker = asker;
	}
	return err;
}

static const struct pbx_controller asking = {
	.size = sizeof asking,
	.answered = on_asker_answered,
	.timeout = on_asker_timeout,
	.lost = on_asker_lost,
	.ended = on_asker_ended,
	.replaced = on_asker_replaced,
};

void attended_begin(struct parking *parking, pbx_leg asker, const char *number)
{
	struct slot *slot = lot_choose(parking, lot_of(parking, number));

	if (!slot) {
		words_refuse(parking, asker, 486);
		return;
	}
	if (parking->calls->control(parking->host, asker, &asking, parking) != PBX_OK)
		return; /* it has gone */
	slot_begin(slot, number);
	slot->state = SLOT_RESERVED;
	slot->asker = asker;
	if (parking->calls->set_timeout(asker, RESERVED_MS) != PBX_OK || parking->calls->answer(asker) != PBX_OK)
		(void)parking->calls->hangup(asker, PBX_CAUSE_FAILURE); /* on_asker_ended gives the slot back */
}
