/*
 * comeback - forgotten: the parker's phone rings, then the number that the settings say; where nobody answers either, the call waits again, or is
 * given up
 *
 * comeback_to goes through the route chain, so it may be an extension, a mailbox, a queue: what takes the call there has it. Who waits goes on
 * hearing music until somebody is there, and whoever dials the slot meanwhile is faster.
 */
#include "lot.h"
#include <string.h>

void slot_wait_on(struct slot *slot)
{
	slot->state = SLOT_OCCUPIED;
	slot_arm_recall(slot, slot->recall_ms);
	slot_store_row(slot);
}

static void wait_again_or_give_up(struct slot *slot)
{
	struct parking *parking = slot->parking;

	if (slot->comebacks < parking->settings->max_comebacks) {
		slot_wait_on(slot);
		return;
	}
	pbx_notice(parking->host, "nobody_came", "slot=%u comebacks=%u", slot->number, slot->comebacks);
	(void)parking->calls->hangup(slot->leg, PBX_CAUSE_NO_ANSWER); /* on_waiting_ended vacates */
}

/* ---- ringing for who waits ------------------------------------------------------------ */

static void on_comeback_done(void *self, pbx_dial dial, const struct pbx_dial_result *result);

static const struct pbx_dialler comeback = { .size = sizeof comeback, .done = on_comeback_done };

static int ring(struct slot *slot, const char *number, uint32_t flags, uint32_t ring_ms)
{
	const struct pbx_dial_target target = { .text = number };
	char shown[PARTY_TEXT * 2 + 32];

	(void)snprintf(shown, sizeof shown, "Park %u: %s", slot->number, slot->caller_name[0] ? slot->caller_name : slot->caller);
	const struct pbx_dial_plan plan = {
		.size = sizeof plan,
		.strategy = PBX_DIAL_ALL,
		.flags = PBX_DIAL_CONNECT | flags,
		PBX_TARGETS(&target, 1),
		.ring_ms = ring_ms,
		.caller_number = slot->caller,
		.caller_name = shown,
	};
	return slot->parking->calls->dial(slot->parking->host, slot->leg, &plan, &comeback, slot, &slot->dial);
}

/* ---- the parker does not answer ------------------------------------------------------- */

#define PARKER "{parker}"

static void write_number(const struct slot *slot, const char *pattern, char *ret_number, size_t size)
{
	const char *mark = strstr(pattern, PARKER);

	if (mark)
		(void)snprintf(ret_number, size, "%.*s%s%s", (int)(mark - pattern), pattern, slot->parker, mark + strlen(PARKER));
	else
		(void)snprintf(ret_number, size, "%s", pattern);
}

static void send_on(struct slot *slot)
{
	const char *pattern = lot_rules(slot->parking, slot->lot).comeback_to;
	char number[PARTY_TEXT * 2];

	slot->sent_on = true;
	write_number(slot, pattern, number, sizeof number);
	if (!pattern[0] || ring(slot, number, 0, 0) != PBX_OK)
		wait_again_or_give_up(slot);
}

static void on_comeback_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct slot *slot = self;
	struct pbx_leg_info info = { .size = sizeof info };

	if (slot->dial.id != dial.id)
		return; /* fetched or gone while we rang */
	slot->dial = (pbx_dial){ 0 };
	if (result->outcome == PBX_DIALLED_ANSWERED) {
		slot_tell_retrieved(slot, slot->parking->calls->info(result->winner, &info) == PBX_OK ? info.number : "");
		slot_limit_transfers(slot, slot->leg, result->winner);
		slot_vacate(slot);
	} else if (result->outcome == PBX_DIALLED_CANCELLED) {
		slot_vacate(slot); /* not by us: somebody took the leg away, a mailbox at comeback_to as a rule */
	} else if (!slot->sent_on) {
		send_on(slot);
	} else {
		wait_again_or_give_up(slot);
	}
}

/* ---- the time is up ------------------------------------------------------------------- */

static void on_recall(void *self, pbx_timer timer)
{
	struct slot *slot = self;
	struct parking *parking = slot->parking;

	(void)timer;
	slot->recall = (pbx_timer){ 0 };
	slot->comebacks++;
	slot->sent_on = false;
	struct pbx_json *data = slot_facts(slot);
	(void)parking->json->set_integer(data, "comeback", slot->comebacks);
	slot_tell(slot, "call.park_timeout", data);

	slot->state = SLOT_COMEBACK;
	if (!slot->parker[0] || ring(slot, slot->parker, PBX_DIAL_NO_FORWARD, parking->settings->comeback_ring_s * 1000) != PBX_OK)
		send_on(slot);
}

void slot_arm_recall(struct slot *slot, uint32_t after_ms)
{
	struct parking *parking = slot->parking;

	slot->recall_at_ms = parking->host->now_ms(parking->host) + after_ms;
	if (parking->timers->start(parking->host, after_ms, 0, on_recall, slot, &slot->recall) != PBX_OK)
		pbx_warn(parking->host, "no_recall", "slot=%u", slot->number); /* it can still be fetched */
}
