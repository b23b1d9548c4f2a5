/*
 * words - what a parker hears: the slot, or why there is none; or reads, having hung up before
 *
 * A refusal is spoken before the answer, as early media, so that the caller's phone is told the code all the same.
 */
#include "lot.h"
#include <string.h>

int words_say_slot(const struct parking *parking, pbx_leg leg, uint32_t number)
{
	char digits[12];
	const struct pbx_say parts[] = {
		{ .kind = PBX_SAY_PROMPT, .text = "slot" },
		{ .kind = PBX_SAY_DIGITS, .text = digits },
	};

	(void)snprintf(digits, sizeof digits, "%u", number);
	return parking->calls->say(leg, parts, 2);
}

/* ---- in writing ----------------------------------------------------------------------- */

void words_write(const struct slot *slot, const char *when)
{
	const struct parking *parking = slot->parking;
	char number[12], text[PARTY_TEXT * 2 + 32], id[27];

	if (strcmp(parking->settings->message, when) != 0 || !slot->parker[0] || !parking->messages->send)
		return;
	(void)snprintf(number, sizeof number, "%u", slot->number);
	bool is_named = slot->caller_name[0] && strcmp(slot->caller_name, slot->caller) != 0;
	(void)snprintf(text, sizeof text, "Slot %u: %s%s%s", slot->number, slot->caller, is_named ? " " : "",
		       is_named ? slot->caller_name : "");
	const struct pbx_message message = {
		.size = sizeof message,
		.from = number, /* to call it back is to fetch */
		.to = slot->parker,
		.content_type = "text/plain;charset=UTF-8",
		.body = text,
		.body_size = (uint32_t)strlen(text),
	};
	int err = parking->messages->send(parking->host, &message, NULL, NULL, id);
	if (err != PBX_OK && err != PBX_ENOENT) /* a parker from outside has no phone of ours */
		pbx_warn(parking->host, "slot_not_written", "slot=%u result=%d", slot->number, err);
}

/* ---- a parker leaves ------------------------------------------------------------------ */

static void on_leaver_media_done(void *self, pbx_leg parker)
{
	struct parking *parking = self;
	struct slot *slot = parking_slot_of(parking, parker);

	if (slot)
		slot->leaver = (pbx_leg){ 0 };
	(void)parking->calls->hangup(parker, PBX_CAUSE_NORMAL);
}

/* Before it has heard all. */
static void on_leaver_ended(void *self, pbx_leg parker, uint32_t cause)
{
	struct slot *slot = parking_slot_of(self, parker);

	(void)cause;
	if (!slot)
		return;
	slot->leaver = (pbx_leg){ 0 };
	words_write(slot, "unheard");
}

static const struct pbx_controller leaving = { .size = sizeof leaving, .media_done = on_leaver_media_done, .ended = on_leaver_ended };

void words_leave(struct slot *slot, pbx_leg parker)
{
	struct parking *parking = slot->parking;
	bool is_there = parker.id && parking->calls->control(parking->host, parker, &leaving, parking) == PBX_OK;

	if (is_there && parking->settings->announce && words_say_slot(parking, parker, slot->number) == PBX_OK) {
		slot->leaver = parker;
		return;
	}
	words_write(slot, "unheard");
	if (is_there && parking->calls->tone(parker, "confirm") != PBX_OK)
		(void)parking->calls->hangup(parker, PBX_CAUSE_NORMAL);
}

/* ---- in vain -------------------------------------------------------------------------- */

static void refuse_empty(void *self, pbx_leg leg)
{
	(void)((const struct parking *)self)->calls->reject(leg, 404); /* or it is gone: as good */
}

static void refuse_stranger(void *self, pbx_leg leg)
{
	(void)((const struct parking *)self)->calls->reject(leg, 403);
}

static void refuse_full(void *self, pbx_leg leg)
{
	(void)((const struct parking *)self)->calls->reject(leg, 486);
}

static const struct refusal {
	uint32_t sip_code;
	const char *prompt;
	struct pbx_controller controller;
} refusals[] = {
	{ 404, "slot_empty", { .size = sizeof(struct pbx_controller), .media_done = refuse_empty } },
	{ 403, "not_allowed", { .size = sizeof(struct pbx_controller), .media_done = refuse_stranger } },
	{ 486, "lot_full", { .size = sizeof(struct pbx_controller), .media_done = refuse_full } },
};

void words_refuse(struct parking *parking, pbx_leg leg, uint32_t sip_code)
{
	const struct pbx_calls *calls = parking->calls;
	const struct refusal *refusal = refusals;

	while (refusal->sip_code != sip_code)
		refusal++; /* each code of ours is there */
	if (!parking->settings->announce || calls->control(parking->host, leg, &refusal->controller, parking) != PBX_OK ||
	    calls->progress(leg) != PBX_OK || calls->play(leg, refusal->prompt) != PBX_OK)
		(void)calls->reject(leg, sip_code);
}
