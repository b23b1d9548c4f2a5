/*
 * fetch - who dials the slot is connected with who waits there, or an extension is rung for it
 *
 * The slot controls the leg that comes to fetch until the two are bridged; from then on the bridge does. Whoever hangs up on the way leaves the
 * other where it was.
 */
#include "lot.h"
#include <string.h>

void slot_limit_transfers(const struct slot *slot, pbx_leg parked, pbx_leg retriever)
{
	const struct pbx_calls *calls = slot->parking->calls;
	const char *who = lot_rules(slot->parking, slot->lot).retrieve_transfer;

	if (strcmp(who, "both") == 0)
		return;
	(void)calls->set_transfer(parked, strcmp(who, "parked") == 0); /* gone, or on its way elsewhere: nothing to limit */
	(void)calls->set_transfer(retriever, strcmp(who, "retriever") == 0);
}

static void connect_both(struct slot *slot)
{
	struct parking *parking = slot->parking;
	struct pbx_leg_info info = { .size = sizeof info };
	pbx_leg leg = slot->leg, fetcher = slot->fetcher;
	pbx_bridge bridge;

	slot_tell_retrieved(slot, parking->calls->info(fetcher, &info) == PBX_OK ? info.number : "");
	slot_vacate(slot);
	if (parking->calls->bridge(parking->host, leg, fetcher, &bridge) != PBX_OK) {
		(void)parking->calls->hangup(leg, PBX_CAUSE_FAILURE);
		(void)parking->calls->hangup(fetcher, PBX_CAUSE_FAILURE);
		return;
	}
	slot_limit_transfers(slot, leg, fetcher);
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
	struct slot *slot = parking_slot_of(parking, fetcher);

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
void fetch_on_media_done(void *self, pbx_leg leg)
{
	struct slot *slot = parking_slot_of(self, leg);

	if (slot && slot->beeps && --slot->beeps == 0)
		connect_both(slot);
}

/* Whoever came to fetch has hung up, or was taken elsewhere: the slot is as it was. */
static void fetcher_is_gone(struct parking *parking, pbx_leg fetcher)
{
	struct slot *slot = parking_slot_of(parking, fetcher);

	if (!slot)
		return;
	slot->fetcher = (pbx_leg){ 0 };
	slot->beeps = 0;
	slot_play_music(slot);
	slot_wait_on(slot);
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
	.media_done = fetch_on_media_done,
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

bool slot_can_be_fetched(const struct slot *slot)
{
	return slot->state == SLOT_OCCUPIED || slot->state == SLOT_COMEBACK;
}

void slot_fetch(struct slot *slot, pbx_leg fetcher)
{
	struct parking *parking = slot->parking;

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
	if (result->outcome == PBX_DIALLED_ANSWERED) {
		slot_tell_retrieved(slot, parking->calls->info(result->winner, &info) == PBX_OK ? info.number : "");
		slot_limit_transfers(slot, slot->leg, result->winner);
	}
	if (result->outcome == PBX_DIALLED_ANSWERED || result->outcome == PBX_DIALLED_CANCELLED)
		slot_vacate(slot);
	else
		slot_wait_on(slot);
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
		PBX_TARGETS(&target, 1),
		.ring_ms = parking->settings->comeback_ring_s * 1000,
		.caller_number = slot->caller,
		.caller_name = slot->caller_name,
	};

	if (!slot_can_be_fetched(slot))
		return PBX_ESTATE;
	begin_retrieving(slot);
	int err = parking->calls->dial(parking->host, slot->leg, &plan, &bringing, slot, &slot->dial);
	if (err != PBX_OK)
		slot_wait_on(slot);
	return err;
}
