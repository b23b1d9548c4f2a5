/* leg_answer.c - a leg that came to us and has not been answered: it rings, hears something early, is answered or refused */
#include "calls_inner.h"

bool core_leg_is_waiting(const struct core_leg *leg)
{
	return leg->direction == PBX_INBOUND && (leg->state == PBX_LEG_NEW || leg->state == PBX_LEG_RINGING);
}

void core_leg_rings(struct core_leg *leg)
{
	if (leg->state != PBX_LEG_NEW)
		return;
	leg->state = PBX_LEG_RINGING;
	leg->ringing_at_ms = core_now_ms();
	core_event_leg("leg.ringing", leg);
}

int core_leg_progress(struct core_leg *leg, const struct core_leg *other)
{
	struct core_media_desc answer;

	if (!core_leg_is_waiting(leg) || !core_leg_remote(leg).present)
		return PBX_ESTATE; /* without an offer there is nothing to answer early */

	int err = core_leg_make_answer(leg, other, CORE_SEND | CORE_RECV, false, &answer);
	if (err == PBX_OK)
		err = leg->driver->ring(leg->dialog, &answer);
	if (err == PBX_OK) {
		leg->answer_said = true;
		core_leg_rings(leg);
	}
	return err;
}

void core_leg_tell_identity(const struct core_leg *to, const struct core_leg *about)
{
	if (to->driver->set_identity)
		to->driver->set_identity(to->dialog, about->number, about->name);
}

int core_leg_answer(struct core_leg *leg, const struct core_leg *other)
{
	if (leg->state == PBX_LEG_ANSWERED)
		return PBX_OK;
	if (!core_leg_is_waiting(leg))
		return PBX_ESTATE;

	if (other)
		core_leg_tell_identity(leg, other); /* the 200 says who has answered */
	struct core_media_desc answer;
	int err = core_leg_make_answer(leg, other, CORE_SEND | CORE_RECV, false, &answer);
	if (err == PBX_OK)
		err = leg->driver->answer(leg->dialog, &answer);
	if (err != PBX_OK)
		return err;
	leg->answer_said = true;
	core_leg_answered_now(leg);
	return PBX_OK;
}

void core_leg_refuse(struct core_leg *leg, uint32_t sip_code, uint32_t cause, const char *text)
{
	if (core_leg_is_waiting(leg)) {
		(void)leg->driver->reject(leg->dialog, sip_code, cause, text); /* a dialog that is gone needs no refusal */
		leg->driver_knows = true;
		core_leg_end(leg, sip_code, cause, false, text);
	} else {
		core_leg_end(leg, 0, cause, false, text);
	}
}
