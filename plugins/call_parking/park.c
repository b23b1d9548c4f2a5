/*
 * park - what happens in a slot: somebody waits with music, is fetched, is forgotten and comes back, or gives up
 *
 * The picture is in lot.h. A slot is the controller of the leg that waits in it, and of the leg that comes to fetch until the two
 * are bridged; from then on the bridge is.
 */
#include "lot.h"
#include <stdlib.h>
#include <string.h>

/* ---- telling ------------------------------------------------------------------------- */

static struct pbx_json *facts(const struct slot *slot)
{
	const struct pbx_jsons *json = slot->parking->json;
	struct pbx_json *data = json->new_object();

	(void)json->set_text(data, "lot", slot->lot);
	(void)json->set_integer(data, "slot", slot->number);
	(void)json->set_text(data, "parked_by", slot->parker);
	(void)json->set_text(data, "caller", slot->caller);
	return data;
}

static void tell(const struct slot *slot, const char *type, struct pbx_json *data)
{
	(void)slot->parking->bus->publish(slot->parking->host, type, slot->call, data);
}

/* For lamps (RFC 4235): confirmed while somebody waits, terminated when the slot is free. */
static void tell_lamp(const struct slot *slot)
{
	const struct pbx_jsons *json = slot->parking->json;
	struct pbx_json *data = json->new_object();
	bool waiting = slot->state != SLOT_FREE;

	(void)json->set_integer(data, "slot", slot->number);
	(void)json->set_text(data, "state", waiting ? "confirmed" : "terminated");
	(void)json->set_text(data, "caller", waiting ? slot->caller : NULL);
	(void)json->set_text(data, "caller_name", waiting ? slot->caller_name : NULL);
	tell(slot, "parking.slot", data);
}

static void count_occupied(struct parking *parking, double by)
{
	(void)parking->metrics->add(parking->host, METRIC_OCCUPIED, NULL, by);
}

/* ---- the row, for displays and after a failover --------------------------------------- */

static void store_row(const struct slot *slot)
{
	const struct pbx_value params[] = { PBX_V_INT(slot->number),
					    pbx_v_text(slot->lot),
					    pbx_v_text(slot->call_id),
					    pbx_v_text(slot->parker),
					    pbx_v_text(slot->caller),
					    PBX_V_INT(slot->parked_wall_us),
					    PBX_V_INT(slot->parked_wall_us + (int64_t)slot->recall_ms * 1000),
					    PBX_V_INT(slot->comebacks) };

	(void)slot->parking->store->record(
		slot->parking->host,
		"INSERT INTO call_parking_slots (slot, lot, call_id, parker, caller, parked_at, timeout_at, comebacks)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (slot) DO UPDATE SET lot = $2, call_id = $3,"
		" parker = $4, caller = $5, parked_at = $6, timeout_at = $7, comebacks = $8",
		params, 8, NULL, NULL);
}

static void remove_row(const struct slot *slot)
{
	const struct pbx_value params[] = { PBX_V_INT(slot->number) };

	(void)slot->parking->store->record(slot->parking->host, "DELETE FROM call_parking_slots WHERE slot = $1", params, 1, NULL, NULL);
}

/* ---- the slot becomes free ------------------------------------------------------------ */

static void vacate(struct slot *slot)
{
	struct parking *parking = slot->parking;

	(void)parking->timers->stop(slot->recall);
	slot->state = SLOT_FREE;
	slot->leg = slot->fetcher = (pbx_leg){ 0 };
	slot->dial = (pbx_dial){ 0 };
	slot->recall = (pbx_timer){ 0 };
	tell_lamp(slot);
	remove_row(slot);
	count_occupied(parking, -1);
}

static void tell_retrieved(const struct slot *slot, const char *by)
{
	struct pbx_json *data = facts(slot);
	uint64_t now_ms = slot->parking->host->now_ms(slot->parking->host);

	(void)slot->parking->json->set_text(data, "retrieved_by", by);
	(void)slot->parking->json->set_integer(data, "parked_ms", (int64_t)(now_ms - slot->parked_at_ms));
	tell(slot, "call.retrieved", data);
}

/* ---- forgotten: the parker's phone rings ---------------------------------------------- */

static void arm_recall(struct slot *slot, uint32_t after_ms);

static void wait_on(struct slot *slot)
{
	slot->state = SLOT_OCCUPIED;
	arm_recall(slot, slot->recall_ms);
	store_row(slot);
}

static void give_up(struct slot *slot)
{
	struct parking *parking = slot->parking;
	pbx_leg leg = slot->leg;

	if (parking->settings->comeback_to[0]) {
		vacate(slot);
		(void)parking->calls->route(leg, parking->settings->comeback_to);
	} else if (slot->comebacks < parking->settings->max_comebacks) {
		wait_on(slot);
	} else {
		pbx_notice(parking->host, "nobody_came", "slot=%u comebacks=%u", slot->number, slot->comebacks);
		(void)parking->calls->hangup(leg, PBX_CAUSE_NO_ANSWER); /* on_waiting_ended vacates */
	}
}

static void on_comeback_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct slot *slot = self;

	if (slot->dial.id != dial.id)
		return; /* fetched or gone while we rang */
	slot->dial = (pbx_dial){ 0 };
	if (result->outcome == PBX_DIALLED_ANSWERED) {
		tell_retrieved(slot, slot->parker);
		vacate(slot);
	} else if (result->outcome == PBX_DIALLED_CANCELLED) {
		vacate(slot); /* not by us: somebody took the leg away */
	} else {
		give_up(slot);
	}
}

static const struct pbx_dialler comeback = { .size = sizeof comeback, .done = on_comeback_done };

static void on_recall(void *self, pbx_timer timer)
{
	struct slot *slot = self;
	struct parking *parking = slot->parking;
	const struct pbx_dial_target target = { .text = slot->parker };
	char shown[PARTY_TEXT * 2 + 32];

	(void)timer;
	slot->recall = (pbx_timer){ 0 };
	slot->comebacks++;
	struct pbx_json *data = facts(slot);
	(void)parking->json->set_integer(data, "comeback", slot->comebacks);
	tell(slot, "call.park_timeout", data);

	slot->state = SLOT_COMEBACK;
	(void)snprintf(shown, sizeof shown, "Park %u: %s", slot->number, slot->caller_name[0] ? slot->caller_name : slot->caller);
	const struct pbx_dial_plan plan = {
		.size = sizeof plan,
		.strategy = PBX_DIAL_ALL,
		.flags = PBX_DIAL_CONNECT | PBX_DIAL_NO_FORWARD,
		.targets = &target,
		.target_count = 1,
		.ring_ms = parking->settings->comeback_ring_s * 1000,
		.caller_number = slot->caller,
		.caller_name = shown,
	};
	if (!slot->parker[0] || parking->calls->dial(parking->host, slot->leg, &plan, &comeback, slot, &slot->dial) != PBX_OK)
		give_up(slot);
}

static void arm_recall(struct slot *slot, uint32_t after_ms)
{
	struct parking *parking = slot->parking;

	slot->recall_at_ms = parking->host->now_ms(parking->host) + after_ms;
	if (parking->timers->start(parking->host, after_ms, 0, on_recall, slot, &slot->recall) != PBX_OK)
		pbx_warn(parking->host, "no_recall", "slot=%u", slot->number); /* it can still be fetched */
}

/* ---- the leg that waits --------------------------------------------------------------- */

static struct slot *slot_of(struct parking *parking, pbx_leg leg)
{
	for (uint32_t i = 0; i < parking->slot_count; i++)
		if (leg.id && (parking->slots[i].leg.id == leg.id || parking->slots[i].fetcher.id == leg.id))
			return &parking->slots[i];
	return NULL;
}

static void on_waiting_ended(void *self, pbx_leg leg, uint32_t cause)
{
	struct slot *slot = slot_of(self, leg);
	struct parking *parking = self;
	pbx_leg fetcher;

	(void)cause;
	if (!slot)
		return;
	fetcher = slot->fetcher;
	if (slot->dial.id)
		(void)parking->calls->cancel(slot->dial);
	tell(slot, "call.park_abandoned", facts(slot));
	vacate(slot);
	if (fetcher.id)
		(void)parking->calls->hangup(fetcher, PBX_CAUSE_NOT_FOUND);
}

/* Somebody else took the leg (a transfer, a supervisor): it waits no more. */
static void on_waiting_lost(void *self, pbx_leg leg)
{
	struct slot *slot = slot_of(self, leg);
	struct parking *parking = self;
	pbx_leg fetcher;

	if (!slot || slot->dial.id)
		return; /* connected by our dial, which says so next */
	fetcher = slot->fetcher;
	vacate(slot);
	if (fetcher.id)
		(void)parking->calls->hangup(fetcher, PBX_CAUSE_NOT_FOUND);
}

static void on_beeped(void *self, pbx_leg leg);

static const struct pbx_controller waiting = {
	.size = sizeof waiting,
	.media_done = on_beeped,
	.ended = on_waiting_ended,
	.lost = on_waiting_lost,
};

static void play_music(const struct slot *slot)
{
	const struct pbx_calls *calls = slot->parking->calls;

	if (calls->music(slot->leg, slot->music_class[0] ? slot->music_class : NULL) != PBX_OK)
		pbx_warn(slot->parking->host, "no_music", "slot=%u", slot->number); /* silence is better than no slot */
}

/* The leg is ours and waits in the slot from here on. */
static int occupy(struct slot *slot, pbx_leg leg, const struct pbx_leg_info *info, const char *parker)
{
	struct parking *parking = slot->parking;

	slot->call = info->call;
	(void)snprintf(slot->call_id, sizeof slot->call_id, "%s", info->call_id);
	(void)snprintf(slot->caller, sizeof slot->caller, "%s", info->number);
	(void)snprintf(slot->caller_name, sizeof slot->caller_name, "%s", info->name);
	(void)snprintf(slot->parker, sizeof slot->parker, "%s", parker ? parker : "");
	int err = parking->calls->control(parking->host, leg, &waiting, parking);
	if (err != PBX_OK)
		return err;
	slot->leg = leg;
	count_occupied(parking, 1);
	play_music(slot);
	return PBX_OK;
}

int slot_park(struct parking *parking, pbx_leg leg, const char *parker, uint32_t recall_ms, uint32_t number, struct slot **ret_slot)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct slot *slot = number ? lot_find(parking, number) : lot_choose(parking, "default");
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

	slot->comebacks = 0;
	slot->recall_ms = recall_ms ? recall_ms : parking->settings->timeout_s * 1000;
	slot->parked_at_ms = parking->host->now_ms(parking->host);
	slot->parked_wall_us = parking->host->wall_us(parking->host);
	wait_on(slot);
	tell(slot, "call.parked", facts(slot));
	tell_lamp(slot);
	(void)parking->metrics->add(parking->host, METRIC_PARKED, NULL, 1);
	*ret_slot = slot;
	return PBX_OK;
}

/* ---- fetching ------------------------------------------------------------------------- */

static void connect_both(struct slot *slot)
{
	struct parking *parking = slot->parking;
	struct pbx_leg_info info = { .size = sizeof info };
	pbx_leg leg = slot->leg, fetcher = slot->fetcher;
	pbx_bridge bridge;

	tell_retrieved(slot, parking->calls->info(fetcher, &info) == PBX_OK ? info.number : "");
	vacate(slot);
	if (parking->calls->bridge(parking->host, leg, fetcher, &bridge) != PBX_OK) {
		(void)parking->calls->hangup(leg, PBX_CAUSE_FAILURE);
		(void)parking->calls->hangup(fetcher, PBX_CAUSE_FAILURE);
	}
}

static void beep(struct slot *slot, const char *whom, pbx_leg leg)
{
	const char *who = slot->parking->settings->courtesy_tone;

	if ((strcmp(who, whom) == 0 || strcmp(who, "both") == 0) && slot->parking->calls->tone(leg, "beep") == PBX_OK)
		slot->beeps++;
}

static void on_fetcher_answered(void *self, pbx_leg fetcher)
{
	struct parking *parking = self;
	struct slot *slot = slot_of(parking, fetcher);

	if (!slot)
		return;
	(void)parking->calls->stop_media(slot->leg);
	slot->beeps = 0;
	beep(slot, "caller", fetcher);
	beep(slot, "parked", slot->leg);
	if (!slot->beeps)
		connect_both(slot);
}

/* A courtesy tone has ended; or the music of who waits, which its provider has taken away. */
static void on_beeped(void *self, pbx_leg leg)
{
	struct slot *slot = slot_of(self, leg);

	if (slot && slot->beeps && --slot->beeps == 0)
		connect_both(slot);
}

/* Whoever came to fetch has hung up, or was taken elsewhere: the slot is as it was. */
static void fetcher_is_gone(struct parking *parking, pbx_leg fetcher)
{
	struct slot *slot = slot_of(parking, fetcher);

	if (!slot)
		return;
	slot->fetcher = (pbx_leg){ 0 };
	slot->beeps = 0;
	play_music(slot);
	wait_on(slot);
}

static void on_fetcher_ended(void *self, pbx_leg fetcher, uint32_t cause)
{
	(void)cause;
	fetcher_is_gone(self, fetcher);
}

static void on_fetcher_lost(void *self, pbx_leg fetcher)
{
	fetcher_is_gone(self, fetcher);
}

static const struct pbx_controller fetching = {
	.size = sizeof fetching,
	.answered = on_fetcher_answered,
	.media_done = on_beeped,
	.ended = on_fetcher_ended,
	.lost = on_fetcher_lost,
};

/* From now on nobody else can fetch it, and it does not come back. */
static void begin_retrieving(struct slot *slot)
{
	struct parking *parking = slot->parking;
	pbx_dial dial = slot->dial;

	slot->state = SLOT_RETRIEVING;
	slot->dial = (pbx_dial){ 0 };
	(void)parking->timers->stop(slot->recall);
	slot->recall = (pbx_timer){ 0 };
	if (dial.id)
		(void)parking->calls->cancel(dial);
}

void slot_fetch(struct slot *slot, pbx_leg fetcher)
{
	struct parking *parking = slot->parking;

	if (slot->state != SLOT_OCCUPIED && slot->state != SLOT_COMEBACK) {
		(void)parking->calls->reject(fetcher, 404);
		return;
	}
	if (parking->calls->control(parking->host, fetcher, &fetching, parking) != PBX_OK)
		return; /* it has gone */
	begin_retrieving(slot);
	slot->fetcher = fetcher;
	if (parking->calls->answer(fetcher) != PBX_OK)
		(void)parking->calls->hangup(fetcher, PBX_CAUSE_FAILURE); /* on_fetcher_ended sets the slot back */
}

static void on_brought(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct slot *slot = self;
	struct parking *parking = slot->parking;
	struct pbx_leg_info info = { .size = sizeof info };

	if (slot->dial.id != dial.id)
		return; /* the caller gave up meanwhile */
	slot->dial = (pbx_dial){ 0 };
	if (result->outcome == PBX_DIALLED_ANSWERED)
		tell_retrieved(slot, parking->calls->info(result->winner, &info) == PBX_OK ? info.number : "");
	if (result->outcome == PBX_DIALLED_ANSWERED || result->outcome == PBX_DIALLED_CANCELLED)
		vacate(slot);
	else
		wait_on(slot);
}

static const struct pbx_dialler bringing = { .size = sizeof bringing, .done = on_brought };

int slot_bring(struct slot *slot, const char *extension)
{
	struct parking *parking = slot->parking;
	const struct pbx_dial_target target = { .text = extension };
	const struct pbx_dial_plan plan = {
		.size = sizeof plan,
		.strategy = PBX_DIAL_ALL,
		.flags = PBX_DIAL_CONNECT,
		.targets = &target,
		.target_count = 1,
		.ring_ms = parking->settings->comeback_ring_s * 1000,
		.caller_number = slot->caller,
		.caller_name = slot->caller_name,
	};

	if (slot->state != SLOT_OCCUPIED && slot->state != SLOT_COMEBACK)
		return PBX_ESTATE;
	begin_retrieving(slot);
	int err = parking->calls->dial(parking->host, slot->leg, &plan, &bringing, slot, &slot->dial);
	if (err != PBX_OK)
		wait_on(slot);
	return err;
}

int slot_drop(struct slot *slot)
{
	return slot->state == SLOT_FREE ? PBX_ENOENT : slot->parking->calls->hangup(slot->leg, PBX_CAUSE_NORMAL);
}

/* ---- parking the one we talk with ----------------------------------------------------- */

static void on_parker_media_done(void *self, pbx_leg parker)
{
	const struct parking *parking = self;

	(void)parking->calls->hangup(parker, PBX_CAUSE_NORMAL);
}

static const struct pbx_controller parker_leaving = { .size = sizeof parker_leaving, .media_done = on_parker_media_done };

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
	if (err != PBX_OK)
		return err;
	/* The parker hears that it worked, then is free. */
	if (parking->calls->control(parking->host, parker, &parker_leaving, parking) == PBX_OK &&
	    parking->calls->tone(parker, "confirm") != PBX_OK)
		(void)parking->calls->hangup(parker, PBX_CAUSE_NORMAL);
	return PBX_OK;
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
	arm_recall(slot, parked->recall_ms);
	store_row(slot);
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
			count_occupied(parking, -1);
		} else {
			slot->leg = parked.leg; /* the successor has no such slot: it waits here until it is forgotten */
		}
	}
}

/* ---- what is dialled ------------------------------------------------------------------ */

static bool is_talking(const struct parking *parking, pbx_leg leg, struct pbx_leg_info *info)
{
	info->size = sizeof *info;
	return parking->calls->info(leg, info) == PBX_OK && info->state == PBX_LEG_ANSWERED;
}

static void park_or_refuse(struct parking *parking, pbx_leg leg, const char *parker, uint32_t number)
{
	struct slot *slot;
	char by[PARTY_TEXT];

	(void)snprintf(by, sizeof by, "%s", parker);
	if (slot_park(parking, leg, by, 0, number, &slot) != PBX_OK)
		(void)parking->calls->reject(leg, 486); /* full, or taken: who sent the call keeps it */
}

/* *74: only a leg that talks can be parked; somebody who dials it has nobody to park. */
static void on_park_dialled(void *self, pbx_leg leg)
{
	struct parking *parking = self;
	struct pbx_leg_info info;

	if (is_talking(parking, leg, &info))
		park_or_refuse(parking, leg, info.referred_by, 0);
	else
		(void)parking->calls->reject(leg, 404);
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
	else if (talking && slot->state == SLOT_FREE)
		park_or_refuse(parking, leg, info.referred_by, slot->number);
	else if (talking)
		(void)parking->calls->reject(leg, 486);
	else
		slot_fetch(slot, leg);
}

static void on_keys(void *self, pbx_leg leg)
{
	struct parking *parking = self;
	struct slot *slot;
	int err = park_peer(parking, leg, 0, &slot);

	if (err != PBX_OK)
		pbx_notice(parking->host, "not_parked", "reason=%s", err == PBX_ENOSPC ? "the lot is full" : "nobody to park");
}

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

int park_start(struct parking *parking)
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
