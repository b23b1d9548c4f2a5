/* leg_verbs.c - "pbx.calls/1": what a controller may do with its legs
 *
 * Each verb checks the handle and the state, then leaves the work to the file whose story it is. */
#include "calls_inner.h"
#include "overlap.h"
#include <stdlib.h>

/* ---- control ---- */

static void revoke_leg(struct core_charge *charge)
{
	struct core_leg *leg = (struct core_leg *)((char *)charge - offsetof(struct core_leg, charge));

	core_charge_remove(charge); /* its owner has stopped: nothing of it is called any more */
	memset(&leg->controller, 0, sizeof leg->controller);
	leg->self = NULL;
	core_collect_drop(leg);
	core_room_leave_quietly(leg);
	core_leg_end(leg, 0, PBX_CAUSE_NORMAL, false, "owner stopped");
}

static int control(struct pbx_host *host, pbx_leg handle, const struct pbx_controller *controller, void *self)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (!controller)
		return PBX_EINVAL;

	struct core_leg *other = core_bridge_dissolve(leg);
	core_room_leave_unless(leg, host);
	core_dial_from_gone(leg, host);
	if (leg->branch)
		core_dial_leg_over(leg);
	if (leg->charge.owner && leg->charge.owner == host && leg->self == self) {
		core_charge_remove(&leg->charge); /* the same state machine goes on with another table: it has lost nothing */
		core_collect_end(leg, PBX_COLLECTED_STOPPED);
	} else {
		core_leg_lose_controller(leg);
	}
	if (other)
		core_leg_watch(other);
	if (leg->state == PBX_LEG_ENDED || leg->charge.owner || leg->branch || leg->bridge)
		return PBX_ENOENT; /* who lost it has ended it, or has sent it elsewhere */

	memset(&leg->controller, 0, sizeof leg->controller);
	core_copy_overlap(&leg->controller, sizeof *controller, controller, controller->size);
	leg->self = self;
	core_charge_add(host, &leg->charge, "leg", true, revoke_leg);
	core_leg_leave_play(leg);
	return PBX_OK;
}

/* ---- before the answer ---- */

static int ring(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (!core_leg_is_waiting(leg))
		return PBX_ESTATE;

	int err = leg->driver->ring(leg->dialog, NULL);
	if (err == PBX_OK)
		core_leg_rings(leg);
	return err;
}

static int progress(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_progress(leg, NULL) : PBX_ENOENT;
}

static int answer(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;

	int err = core_leg_answer(leg, NULL);
	if ((err == PBX_ENOTSUP || err == PBX_ENOSPC) && core_leg_is_waiting(leg)) /* the same offer will not do better soon */
		core_leg_refuse(leg, core_cause_to_sip(core_cause_of(err)), core_cause_of(err), NULL);
	if (err == PBX_OK && leg->is_caller)
		core_call_answered(leg->call, leg, leg->call->to_number, leg->call->to_name);
	return err;
}

static int reject(pbx_leg handle, uint32_t sip_code)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (sip_code < 300 || sip_code > 699)
		return PBX_EINVAL;
	if (leg->is_offered) {
		leg->refused_code = sip_code;
		return PBX_OK;
	}
	if (!core_leg_is_waiting(leg))
		return PBX_ESTATE;
	core_leg_refuse(leg, sip_code, core_cause_from_sip(sip_code), NULL);
	return PBX_OK;
}

static int hangup(pbx_leg handle, uint32_t cause)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	core_leg_end(leg, 0, cause ? cause : PBX_CAUSE_NORMAL, false, NULL);
	return PBX_OK;
}

static int route(pbx_leg handle, const char *number)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_route(leg, number, (pbx_leg){ 0 }) : PBX_ENOENT;
}

/* ---- what the party hears ---- */

static int play(pbx_leg handle, const char *prompt)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_play_prompts(leg, &prompt, 1, CORE_PLAY_FOR_CONTROLLER) : PBX_ENOENT;
}

static int say(pbx_leg handle, const struct pbx_say *parts, uint32_t count)
{
	struct core_leg *leg = core_leg_alive(handle);
	struct core_spoken spoken;
	char language[16];

	if (!leg)
		return PBX_ENOENT;
	core_leg_language(leg, language);
	int err = core_spoken_compose(language, parts, count, &spoken);

	return err == PBX_OK ? core_leg_play_prompts(leg, spoken.prompts, spoken.count, CORE_PLAY_FOR_CONTROLLER) : err;
}

static int set_language(pbx_leg handle, const char *language)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	CORE_TEXT(leg->language, language);
	return PBX_OK;
}

static int tone(pbx_leg handle, const char *name)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_play(leg, CORE_PLAY_TONE, name, (pbx_source){ 0 }, CORE_PLAY_FOR_CONTROLLER) : PBX_ENOENT;
}

static int hear(pbx_leg handle, pbx_source source)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_play(leg, CORE_PLAY_SOURCE, NULL, source, CORE_PLAY_FOR_CONTROLLER) : PBX_ENOENT;
}

static int music(pbx_leg handle, const char *music_class)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_play_music(leg, music_class, CORE_PLAY_FOR_CONTROLLER) : PBX_ENOENT;
}

static int stop_media(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	core_leg_stop_play(leg);
	return PBX_OK;
}

static int steer(pbx_leg handle, uint32_t how, int32_t amount)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_steer(leg, how, amount) : PBX_ENOENT;
}

static int pause_media(pbx_leg handle)
{
	return steer(handle, CORE_STEER_PAUSE, 0);
}

static int resume_media(pbx_leg handle)
{
	return steer(handle, CORE_STEER_RESUME, 0);
}

static int seek_media(pbx_leg handle, int32_t by_ms)
{
	return steer(handle, CORE_STEER_SEEK, by_ms);
}

static int set_volume(pbx_leg handle, int32_t gain_cdb)
{
	if (gain_cdb < PBX_MEDIA_LEAST_GAIN_CDB || gain_cdb > PBX_MEDIA_MOST_GAIN_CDB)
		return PBX_EINVAL;
	return steer(handle, CORE_STEER_GAIN, gain_cdb);
}

static int media_state(pbx_leg handle, struct pbx_media_state *ret_state)
{
	const struct core_leg *leg = core_leg_alive(handle);
	struct pbx_media_state known;

	if (!leg)
		return PBX_ENOENT;
	int err = core_leg_played_so_far(leg, &known);
	if (err != PBX_OK)
		return err;
	known.size = (uint32_t)core_overlap(ret_state->size, sizeof known);
	memcpy(ret_state, &known, known.size);
	return PBX_OK;
}

static int echo(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_play(leg, CORE_PLAY_ECHO, NULL, (pbx_source){ 0 }, CORE_PLAY_FOR_CONTROLLER) : PBX_ENOENT;
}

static int send_digits(pbx_leg handle, const char *digits)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (digits[strspn(digits, "0123456789*#ABCD")] != '\0')
		return PBX_EINVAL;
	return core_leg_send_digits(leg, digits, CORE_KEY_MS);
}

static int send_flash(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_leg_send_flash(leg) : PBX_ENOENT;
}

/* ---- timers, hold ---- */

static void on_timeout(void *self, pbx_timer timer)
{
	struct core_leg *leg = self;

	(void)timer;
	leg->timeout = (pbx_timer){ 0 };
	if (leg->state != PBX_LEG_ENDED && leg->charge.owner && leg->controller.timeout)
		CORE_INTO(leg->charge.owner, leg->controller.timeout(leg->self, leg->handle));
}

static int set_timeout(pbx_leg handle, uint32_t after_ms)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	(void)core_timer_stop(leg->timeout);
	leg->timeout = (pbx_timer){ 0 };
	return after_ms ? core_timer_start(core_self(), after_ms, 0, on_timeout, leg, &leg->timeout) : PBX_OK;
}

static int hold(pbx_leg handle, bool on)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (leg->state != PBX_LEG_ANSWERED)
		return PBX_ESTATE;
	if (leg->held_by_us == on)
		return PBX_OK;

	bool was = leg->holds_us || leg->held_by_us;
	leg->held_by_us = on;
	int err = core_leg_update(leg);
	if (err != PBX_OK) {
		leg->held_by_us = !on;
		return err;
	}
	core_hold_changed(leg, was);
	return PBX_OK;
}

/* ---- dialling and bridging ---- */

static int dial(struct pbx_host *host, pbx_leg from, const struct pbx_dial_plan *plan, const struct pbx_dialler *dialler, void *self,
		pbx_dial *ret_dial)
{
	struct core_dial_wish wish = { .host = host, .plan = plan, .dialler = dialler, .self = self };

	if (from.id) {
		wish.from = core_leg_alive(from);
		if (!wish.from)
			return PBX_ENOENT;
	}
	return core_dial_start(&wish, ret_dial);
}

static int bridge(struct pbx_host *host, pbx_leg a, pbx_leg b, pbx_bridge *ret_bridge)
{
	struct core_leg *one = core_leg_alive(a), *two = core_leg_alive(b);

	(void)host; /* control passes to the bridge: nothing is charged */
	if (!one || !two)
		return PBX_ENOENT;
	return core_bridge_make(one, two, ret_bridge);
}

/* ---- who it is, and what others hear of it ---- */

static int pickup(pbx_leg by, pbx_leg ringing)
{
	struct core_leg *leg = core_leg_alive(by);
	const struct core_leg *other = core_leg_alive(ringing);

	return leg && other ? core_leg_pick_up(leg, other) : PBX_ENOENT;
}

static int set_identity(pbx_leg handle, const char *number, const char *name)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	core_dials_rename(leg, number, name);
	if (number)
		CORE_TEXT(leg->number, number);
	if (name)
		CORE_TEXT(leg->name, name);

	const struct core_leg *other = core_bridge_peer(leg);
	if (other)
		core_leg_tell_identity(other, leg);
	return PBX_OK;
}

static int set_music(pbx_leg handle, const char *music_class)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	CORE_TEXT(leg->music_class, music_class);
	return PBX_OK;
}

static int set_transfer(pbx_leg handle, bool may)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (!leg->bridge)
		return PBX_ESTATE;
	leg->may_not_transfer = !may;
	return PBX_OK;
}

static int set_focus(pbx_leg handle, bool on)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (!leg->driver->set_focus)
		return PBX_ENOTSUP;
	leg->driver->set_focus(leg->dialog, on);
	return PBX_OK;
}

static int set_recorded(pbx_leg handle, uint32_t recording)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (recording < PBX_RECORDING_OFF || recording > PBX_RECORDING_PAUSED)
		return PBX_EINVAL;
	if (!leg->driver->set_recorded)
		return PBX_ENOTSUP;
	if (leg->driver->set_recorded(leg->dialog, (uint8_t)recording) && leg->state == PBX_LEG_ANSWERED)
		core_leg_say_again(leg);
	return PBX_OK;
}

static int collect(pbx_leg handle, const struct pbx_collect *wish, void *self)
{
	struct core_leg *leg = core_leg_alive(handle);

	return leg ? core_collect_begin(leg, wish, self) : PBX_ENOENT;
}

static int stop_collect(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return PBX_ENOENT;
	if (!leg->collect)
		return PBX_ESTATE;
	core_collect_end(leg, PBX_COLLECTED_STOPPED);
	return PBX_OK;
}

static int claim(struct pbx_host *host, const char *pattern, pbx_dialled_fn dialled, void *self)
{
	const struct pbx_claim wish = { .size = sizeof wish, .pattern = pattern, .dialled = dialled, .self = self };
	struct pbx_diag diag = { "", "" };
	int err = core_plan_claim(host, &wish, &diag);

	if (err != PBX_OK)
		core_log(PBX_LOG_ERROR, core_owner_name(host), NULL, "claim_refused", "pattern=%s reason=\"%s\"", pattern, diag.text);
	return err;
}

const struct pbx_calls core_calls_service = {
	.header = PBX_HEADER(struct pbx_calls),
	.claim = claim,
	.control = control,
	.ring = ring,
	.progress = progress,
	.answer = answer,
	.reject = reject,
	.hangup = hangup,
	.route = route,
	.play = play,
	.tone = tone,
	.listen = hear,
	.music = music,
	.stop_media = stop_media,
	.echo = echo,
	.send_digits = send_digits,
	.set_timeout = set_timeout,
	.hold = hold,
	.dial = dial,
	.cancel = core_dial_cancel,
	.bridge = bridge,
	.peer = core_look_peer,
	.keys = core_keys_add,
	.info = core_look_info,
	.find_leg = core_look_find_leg,
	.find_call = core_look_find_call,
	.each = core_look_each,
	.set_identity = set_identity,
	.set_music = set_music,
	.say = say,
	.set_language = set_language,
	.find_ringing = core_leg_find_ringing,
	.pickup = pickup,
	.calls_made = core_look_calls_made,
	.set_transfer = set_transfer,
	.collect = collect,
	.stop_collect = stop_collect,
	.set_focus = set_focus,
	.set_recorded = set_recorded,
	.pause_media = pause_media,
	.resume_media = resume_media,
	.seek_media = seek_media,
	.set_volume = set_volume,
	.media_state = media_state,
	.send_flash = send_flash,
	.tell = core_calls_tell,
	.set_field = core_calls_set_field,
	.field = core_calls_field,
};
