/*
 * words - what a parker hears: the slot, or why there is none
 *
 * A refusal is spoken before the answer, as early media, so that the caller's phone is told the code all the same.
 */
#include "lot.h"

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

/* ---- a parker leaves ------------------------------------------------------------------ */

static void on_leaver_media_done(void *self, pbx_leg parker)
{
	const struct parking *parking = self;

	(void)parking->calls->hangup(parker, PBX_CAUSE_NORMAL);
}

static const struct pbx_controller leaving = { .size = sizeof leaving, .media_done = on_leaver_media_done };

void words_leave(struct parking *parking, pbx_leg parker, uint32_t number)
{
	if (parking->calls->control(parking->host, parker, &leaving, parking) != PBX_OK)
		return; /* it has gone already */
	if (parking->settings->announce && words_say_slot(parking, parker, number) == PBX_OK)
		return;
	if (parking->calls->tone(parker, "confirm") != PBX_OK)
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
