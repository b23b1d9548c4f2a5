/*
 * dialled - the numbers and keys that lead here: park by transfer, ask for a slot, fetch
 */
#include "lot.h"
#include <stdlib.h>
#include <string.h>

static bool is_talking(const struct parking *parking, pbx_leg leg, struct pbx_leg_info *info)
{
	info->size = sizeof *info;
	return parking->calls->info(leg, info) == PBX_OK && info->state == PBX_LEG_ANSWERED;
}

/* ---- parking the one we talk with ----------------------------------------------------- */

int park_peer(struct parking *parking, pbx_leg parker, uint32_t number, struct slot **ret_slot)
{
	struct pbx_leg_info info = { .size = sizeof info };
	char who[PARTY_TEXT];
	pbx_leg other;
	int err = parking->calls->peer(parker, &other);

	if (err == PBX_OK)
		err = parking->calls->info(parker, &info);
	if (err != PBX_OK)
		return err;
	(void)snprintf(who, sizeof who, "%s", info.number);
	err = slot_park(parking, other, who, 0, number, ret_slot);
	if (err == PBX_OK)
		words_leave(*ret_slot, parker);
	return err;
}

static void on_keys(void *self, pbx_leg leg)
{
	struct parking *parking = self;
	struct pbx_leg_info info;
	struct slot *slot;
	int err = is_talking(parking, leg, &info) && lot_permits(parking, lot_of(parking, info.account), info.account)
			  ? park_peer(parking, leg, 0, &slot)
			  : PBX_EPERM;

	if (err != PBX_OK)
		pbx_notice(parking->host, "not_parked", "reason=\"%s\"",
			   err == PBX_ENOSPC  ? "the lot is full"
			   : err == PBX_EPERM ? "no lot permits it"
					      : "nobody to park");
}

/* ---- a transfer ----------------------------------------------------------------------- */

/* Whether who has sent this leg may park in a lot. */
static bool may_send(const struct parking *parking, const struct pbx_leg_info *sent, const char *lot)
{
	struct pbx_leg_info sender = { .size = sizeof sender };
	bool is_known = sent->transferor.id && parking->calls->info(sent->transferor, &sender) == PBX_OK;

	return lot_permits(parking, lot, is_known ? sender.account : sent->referred_by);
}

/* A leg that talked was sent to *74 or to a slot. Refused, who sent it keeps it; otherwise that one hears which slot it is. */
static void park_sent(struct parking *parking, const struct pbx_leg_info *sent, const char *lot, uint32_t number)
{
	pbx_leg leg = sent->leg, sender = sent->transferor;
	char parker[PARTY_TEXT];
	struct slot *slot;

	(void)snprintf(parker, sizeof parker, "%s", sent->referred_by);
	if (!may_send(parking, sent, lot))
		(void)parking->calls->reject(leg, 403);
	else if (slot_park(parking, leg, parker, 0, number, &slot) != PBX_OK)
		(void)parking->calls->reject(leg, 486); /* full, or taken */
	else
		words_leave(slot, sender);
}

/* *74, by transfer; or dialled by somebody who will transfer then. */
static void on_park_dialled(void *self, pbx_leg leg)
{
	struct parking *parking = self;
	struct pbx_leg_info info;

	if (is_talking(parking, leg, &info))
		park_sent(parking, &info, lot_of(parking, info.referred_by), 0);
	else if (lot_permits(parking, lot_of(parking, info.account), info.account))
		attended_begin(parking, leg, info.number);
	else
		words_refuse(parking, leg, 403);
}

/* 71: fetch who is there; or, sent there by a transfer, wait there. */
static void on_slot_dialled(void *self, pbx_leg leg)
{
	struct parking *parking = self;
	struct pbx_leg_info info;
	bool talking = is_talking(parking, leg, &info);
	struct slot *slot = lot_find(parking, (uint32_t)strtoul(info.argument[0] ? info.argument : info.dialled, NULL, 10));

	if (!slot)
		(void)parking->calls->reject(leg, 404);
	else if (talking)
		park_sent(parking, &info, slot->lot, slot->number);
	else if (!lot_permits(parking, slot->lot, info.account))
		words_refuse(parking, leg, 403);
	else if (!slot_can_be_fetched(slot))
		words_refuse(parking, leg, 404);
	else
		slot_fetch(slot, leg);
}

/* ---- claiming them -------------------------------------------------------------------- */

static bool is_slot(void *self, const char *argument)
{
	return argument[strspn(argument, "0123456789")] == '\0' && lot_find(self, (uint32_t)strtoul(argument, NULL, 10)) != NULL;
}

static int claim(struct parking *parking, const char *pattern, uint32_t order, const char *help, pbx_dialled_fn dialled,
		 pbx_accept_fn accept)
{
	struct pbx_diag diag = { .text = "" };
	const struct pbx_claim wanted = { .size = sizeof wanted,
					  .pattern = pattern,
					  .order = order,
					  .help = help,
					  .dialled = dialled,
					  .accept = accept,
					  .self = parking };
	int err = parking->routing->claim(parking->host, &wanted, &diag);

	if (err != PBX_OK)
		pbx_error(parking->host, "number_not_claimed", "pattern=%s reason=\"%s\"", pattern, diag.text);
	return err;
}

static int claim_ranges(struct parking *parking)
{
	int err = PBX_OK;

	for (uint32_t i = 0, last; i < parking->slot_count && err == PBX_OK; i = last + 1) {
		char range[32];

		for (last = i; last + 1 < parking->slot_count && strcmp(parking->slots[last + 1].lot, parking->slots[i].lot) == 0;)
			last++;
		(void)snprintf(range, sizeof range, "%u-%u", parking->slots[i].number, parking->slots[last].number);
		err = claim(parking, range, PBX_ORDER_FEATURES, "Fetch the call parked there", on_slot_dialled, NULL);
	}
	return err;
}

int dialled_start(struct parking *parking)
{
	const struct parking_settings *settings = parking->settings;
	char fetch[24];
	int err = claim_ranges(parking);

	if (err == PBX_OK && settings->code_park[0])
		err = claim(parking, settings->code_park, PBX_ORDER_CODES, "Park the call (by transfer)", on_park_dialled, NULL);
	if (err == PBX_OK && settings->code_fetch[0]) {
		(void)snprintf(fetch, sizeof fetch, "%s.", settings->code_fetch);
		err = claim(parking, fetch, PBX_ORDER_CODES, "Fetch the call parked in a slot", on_slot_dialled, is_slot);
	}
	if (err == PBX_OK && settings->keys[0])
		err = parking->calls->keys(parking->host, settings->keys, on_keys, parking);
	return err;
}
