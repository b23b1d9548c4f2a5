/* leg_update.c - what changes about a leg while it talks: it is held, by either side, and is told or tells so by another offer
 *
 * One offer at a time: what cannot be said now is remembered (update_due, again_due) and said when the one under way is over, or a little later. */
#include "calls_inner.h"

/* ---- the peer holds ---- */

static bool may_bring_music(const struct core_leg *leg)
{
	const struct core_calls_settings *settings = core_calls_settings();

	if (strcmp(settings->moh_mode, "phone_uri") != 0)
		return false;
	for (uint32_t i = 0; i < settings->moh_phones.count; i++) {
		const char *phone = settings->moh_phones.items[i];

		if (strcmp(phone, leg->account) == 0 || strncmp(phone, leg->device, strlen(phone)) == 0)
			return true;
	}
	return settings->moh_phones.count == 0;
}

/* RFC 3264 8.4, and 0.0.0.0 as RFC 2543 had it. */
void core_leg_note_hold(struct core_leg *leg, const struct core_media_desc *said)
{
	bool sends = said->direction & CORE_SEND && !core_desc_is_nowhere(said);

	leg->holds_us = !(said->direction & CORE_RECV) || core_desc_is_nowhere(said);
	leg->brings_music = leg->holds_us && sends && may_bring_music(leg);
}

/* A description that has no word about it takes nothing back (a phone that holds says less than at the start). */
void core_leg_note_wish(struct core_leg *leg, const struct core_media_desc *said)
{
	if (!said->record_wish || said->record_wish == leg->record_wish)
		return;
	leg->record_wish = said->record_wish;
	if (leg->state == PBX_LEG_ANSWERED)
		core_event_record_wish(leg);
}

/* ---- re-INVITE ---- */

void core_leg_on_update_timer(void *self, pbx_timer timer)
{
	struct core_leg *leg = self;

	(void)timer;
	if (leg->state == PBX_LEG_ANSWERED && leg->fax_due)
		(void)core_fax_ask(leg); /* refused: it stays with audio */
	if (leg->state == PBX_LEG_ANSWERED && leg->update_due)
		(void)core_leg_update(leg);
	if (leg->state == PBX_LEG_ANSWERED && leg->again_due)
		core_leg_say_again(leg);
}

static void wake_later(struct core_leg *leg, uint64_t after_ms)
{
	(void)core_timer_stop(leg->update_timer);
	(void)core_timer_start(core_self(), after_ms, 0, core_leg_on_update_timer, leg, &leg->update_timer);
}

void core_leg_update_later(struct core_leg *leg, uint64_t after_ms)
{
	leg->update_due = true;
	wake_later(leg, after_ms);
}

/* Nothing is agreed anew, so a relayed call stays one. With DTLS the roles are: that is an offer like any other. */
void core_leg_say_again(struct core_leg *leg)
{
	const struct core_stream_config config = core_leg_config(leg);
	const struct core_media_desc said = core_leg_local(leg);

	leg->again_due = false;
	if (!leg->configured || config.t38.on || leg->fax_asked)
		return;
	if (config.own_dtls.hash != CORE_HASH_NONE) {
		(void)core_leg_update(leg); /* refused: its next description tells */
		return;
	}
	int err = leg->updating || leg->late_offer ? PBX_EBUSY : leg->driver->update(leg->dialog, &said);

	leg->updating |= err == PBX_OK;
	leg->again_due = err == PBX_EBUSY;
	if (leg->again_due && !leg->updating && !leg->late_offer)
		wake_later(leg, CORE_UPDATE_RETRY_MS);
}

int core_leg_update(struct core_leg *leg)
{
	if (leg->updating || leg->late_offer) {
		leg->update_due = true; /* on_update_done comes back to it */
		return PBX_OK;
	}

	const struct core_media_desc before = core_leg_local(leg);
	struct core_media_desc offer;
	int err = core_leg_make_offer(leg, leg, leg->held_by_us ? 0 : CORE_SEND | CORE_RECV, &offer);
	if (err == PBX_OK)
		err = leg->driver->update(leg->dialog, &offer);
	if (err == PBX_OK) {
		leg->updating = true;
		leg->update_due = leg->again_due = false;
		return PBX_OK;
	}
	(void)core_rest_keep(&leg->local, &before, sizeof before); /* it had its place there */
	if (err != PBX_EBUSY)
		return err;
	core_leg_update_later(leg, CORE_UPDATE_RETRY_MS);
	return PBX_OK;
}
