/*
 * comeback - forgotten: the parker's phone rings, then the call goes where the settings say, or waits again, or is given up
 */
#include "lot.h"

void slot_wait_on(struct slot *slot)
{
	slot->state = SLOT_OCCUPIED;
	slot_arm_recall(slot, slot->recall_ms);
	slot_store_row(slot);
}

static void give_up(struct slot *slot)
{
	struct parking *parking = slot->parking;
	pbx_leg leg = slot->leg;

	if (parking->settings->comeback_to[0]) {
		slot_vacate(slot);
		(void)parking->calls->route(leg, parking->settings->comeback_to);
	} else if (slot->comebacks < parking->settings->max_comebacks) {
		slot_wait_on(slot);
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
		slot_tell_retrieved(slot, slot->parker);
		slot_vacate(slot);
	} else if (result->outcome == PBX_DIALLED_CANCELLED) {
		slot_vacate(slot); /* not by us: somebody took the leg away */
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
	struct pbx_json *data = slot_facts(slot);
	(void)parking->json->set_integer(data, "comeback", slot->comebacks);
	slot_tell(slot, "call.park_timeout", data);

	slot->state = SLOT_COMEBACK;
	(void)snprintf(shown, sizeof shown, "Park %u: %s", slot->number, slot->caller_name[0] ? slot->caller_name : slot->caller);
	const struct pbx_dial_plan plan = {
		.size = sizeof plan,
		.strategy = PBX_DIAL_ALL,
		.flags = PBX_DIAL_CONNECT | PBX_DIAL_NO_FORWARD,
		PBX_TARGETS(&target, 1),
		.ring_ms = parking->settings->comeback_ring_s * 1000,
		.caller_number = slot->caller,
		.caller_name = shown,
	};
	if (!slot->parker[0] || parking->calls->dial(parking->host, slot->leg, &plan, &comeback, slot, &slot->dial) != PBX_OK)
		give_up(slot);
}

void slot_arm_recall(struct slot *slot, uint32_t after_ms)
{
	struct parking *parking = slot->parking;

	slot->recall_at_ms = parking->host->now_ms(parking->host) + after_ms;
	if (parking->timers->start(parking->host, after_ms, 0, on_recall, slot, &slot->recall) != PBX_OK)
		pbx_warn(parking->host, "no_recall", "slot=%u", slot->number); /* it can still be fetched */
}
