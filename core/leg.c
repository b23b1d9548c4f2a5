/* leg.c - legs: one party's dialog with us, from its first message to its last word
 *
 *               on_incoming                      invite (dial)
 *                    │                                │
 *                    ▼                                ▼
 *                  ┌─────┐  ring, progress, 18x  ┌─────────┐
 *                  │ new │ ────────────────────► │ ringing │
 *                  └─────┘                       └─────────┘
 *                    │ answer, 200                    │ answer, 200
 *                    ▼                                ▼
 *                  ┌──────────────────────────────────────┐   hold flags: holds_us (the party holds us),
 *                  │               answered               │   held_by_us (we hold the party)
 *                  └──────────────────────────────────────┘
 *          from any state: hang-up by either side, refusal, timer
 *                    ▼
 *                  ┌───────┐  a posted function says the last word: controller's ended, driver's release,
 *                  │ ended │  the call's end when nothing is left of it; then the handle is stale
 *                  └───────┘
 *
 * Who decides about a leg is one of: a plugin's controller, a dial whose branch it is, a bridge it talks in. A leg that has lost all three,
 * and on whose behalf nothing is dialled, is lonely and is hung up after CORE_LONELY_MS: nobody's phone stays up in silence for ever. */
#include "calls_inner.h"
#include "trace.h"
#include <stdlib.h>

struct core_handles core_leg_table;
static const struct core_leg_driver *leg_driver;

void core_legs_set_driver(const struct core_leg_driver *driver)
{
	leg_driver = driver;
}

const struct core_leg_driver *core_leg_driver(void)
{
	return leg_driver;
}

struct core_leg *core_leg_find(pbx_leg leg)
{
	return core_handle_find(&core_leg_table, leg.id);
}

struct core_leg *core_leg_alive(pbx_leg handle)
{
	struct core_leg *leg = core_leg_find(handle);

	return leg && leg->state != PBX_LEG_ENDED ? leg : NULL;
}

int core_leg_with_stream(pbx_leg handle, const struct core_leg **ret_leg)
{
	*ret_leg = core_leg_alive(handle);
	if (!*ret_leg)
		return PBX_ENOENT;
	return (*ret_leg)->has_stream ? PBX_OK : PBX_ESTATE;
}

/* ---- a leg's memory ---- */

int core_leg_new(struct core_call *call, uint32_t direction, struct core_leg **ret_leg)
{
	struct core_leg *leg = calloc(1, sizeof *leg);

	if (!leg)
		return PBX_ENOMEM;
	leg->handle.id = core_handle_new(&core_leg_table, leg);
	if (!leg->handle.id) {
		free(leg);
		return PBX_ENOMEM;
	}
	leg->call = call;
	leg->state = PBX_LEG_NEW;
	leg->direction = direction;
	leg->started_at_ms = core_now_ms();
	leg->prev = call->last_leg;
	*(call->last_leg ? &call->last_leg->next : &call->legs) = leg;
	call->last_leg = leg;
	(void)snprintf(leg->id, sizeof leg->id, "%s-%u", call->id, ++call->legs_made);
	*ret_leg = leg;
	return PBX_OK;
}

static void leg_free(struct core_leg *leg)
{
	struct core_call *call = leg->call;

	core_charge_remove(&leg->charge);
	core_collect_drop(leg);
	(void)core_timer_stop(leg->timeout);
	(void)core_timer_stop(leg->lonely);
	(void)core_timer_stop(leg->update_timer);
	(void)core_timer_stop(leg->audio_timer);
	core_leg_close_stream(leg);
	if (leg->dialog)
		leg->driver->release(leg->dialog);
	*(leg->prev ? &leg->prev->next : &call->legs) = leg->next;
	*(leg->next ? &leg->next->prev : &call->last_leg) = leg->prev;
	core_leg_unindex(leg);
	core_handle_free(&core_leg_table, leg->handle.id);
	core_unpost(&leg->answered);
	core_unpost(&leg->inherited);
	core_unpost(&leg->last_word);
	core_leg_forget_media(leg);
	free(leg->headers);
	free(leg->asserted_number);
	free(leg->asserted_name);
	free(leg->endpoint);
	free(leg->history);
	free(leg->failed);
	free(leg);
}

/* ---- who decides ---- */

static bool is_cared_for(const struct core_leg *leg)
{
	return leg->charge.owner || leg->branch || leg->dials || leg->bridge || leg->referring;
}

static void on_lonely(void *self, pbx_timer timer)
{
	struct core_leg *leg = self;

	(void)timer;
	if (leg->state != PBX_LEG_ENDED && !is_cared_for(leg))
		core_leg_end(leg, 0, PBX_CAUSE_NORMAL, false, "nobody's");
}

void core_leg_watch(struct core_leg *leg)
{
	(void)core_timer_stop(leg->lonely);
	if (leg->state != PBX_LEG_ENDED && !is_cared_for(leg) &&
	    core_timer_start(core_self(), CORE_LONELY_MS, 0, on_lonely, leg, &leg->lonely) != PBX_OK)
		core_leg_end(leg, 0, PBX_CAUSE_FAILURE, false, "no memory"); /* better than to be forgotten */
}

void core_leg_lose_controller(struct core_leg *leg)
{
	struct pbx_host *owner = leg->charge.owner;
	void (*lost)(void *self, pbx_leg handle) = leg->controller.lost;
	void *self = leg->self;

	if (!owner)
		return;
	core_charge_remove(&leg->charge);
	memset(&leg->controller, 0, sizeof leg->controller);
	leg->self = NULL;
	core_unpost(&leg->answered);
	(void)core_timer_stop(leg->timeout);
	core_collect_end(leg, PBX_COLLECTED_STOPPED);
	if (lost)
		CORE_INTO(owner, lost(self, leg->handle));
}

bool core_leg_is_free(const struct core_leg *leg)
{
	return leg->state != PBX_LEG_ENDED && !leg->charge.owner && !leg->branch && !leg->dials && !leg->bridge;
}

struct core_leg *core_leg_let_go(struct core_leg *leg)
{
	struct core_leg *other = core_bridge_dissolve(leg);

	core_room_leave(leg);
	core_dial_from_gone(leg, NULL);
	if (leg->branch)
		core_dial_leg_over(leg);
	core_leg_lose_controller(leg);
	return other;
}

/* ---- the end ---- */

static void say_last_word(void *context)
{
	struct core_leg *leg = context;
	struct core_call *call = leg->call;
	struct pbx_host *owner = leg->charge.owner;

	core_collect_end(leg, PBX_COLLECTED_HANGUP);
	if (owner && leg->controller.ended)
		CORE_INTO(owner, leg->controller.ended(leg->self, leg->handle, leg->end_cause));
	leg_free(leg);
	core_call_check(call);
}

static void note_hang_up(struct core_leg *leg, bool by_peer)
{
	struct core_call *call = leg->call;
	const struct core_leg *other = core_bridge_peer(leg);

	if (other && !call->hangup_by)
		call->hangup_by = !by_peer ? "system" : leg->is_caller ? "caller" : "callee";
	if (other && !other->call->hangup_by)
		other->call->hangup_by = !by_peer ? "system" : other->is_caller ? "callee" : "caller";
	if (other && by_peer && call->answered_at_ms)
		call->cause = leg->end_cause;
	if (!other && leg->is_caller && !call->hangup_by)
		call->hangup_by = by_peer ? "caller" : call->callee_said ? "callee" : "system";
}

/* The caller's final answer is the call's. */
static void note_final_answer(struct core_leg *leg)
{
	struct core_call *call = leg->call;

	if (!leg->is_caller || call->answered_at_ms)
		return;
	if (leg->ended_by_peer)
		call->callee_said = false;
	call->sip_code = leg->end_sip_code;
	call->cause = leg->end_cause;
}

void core_leg_end(struct core_leg *leg, uint32_t sip_code, uint32_t cause, bool by_peer, const char *text)
{
	if (leg->state == PBX_LEG_ENDED)
		return;

	bool answered = leg->state == PBX_LEG_ANSWERED;
	leg->state = PBX_LEG_ENDED;
	leg->ended_by_peer = by_peer;
	leg->end_cause = cause;
	leg->end_sip_code = sip_code ? sip_code : answered ? 200 : by_peer ? 487 : core_cause_to_sip(cause);
	CORE_TEXT(leg->end_text, text ? text : "");
	core_leg_close_stream(leg);
	(void)core_timer_stop(leg->timeout);
	(void)core_timer_stop(leg->update_timer);
	(void)core_timer_stop(leg->audio_timer);
	if (leg->dialog && !by_peer && !leg->driver_knows)
		leg->driver->hangup(leg->dialog, cause);

	note_hang_up(leg, by_peer);
	note_final_answer(leg);
	if (leg->holds_us || leg->held_by_us) {
		leg->holds_us = leg->held_by_us = leg->brings_music = false;
		core_hold_changed(leg, true);
	}
	struct core_leg *other = core_bridge_dissolve(leg);
	core_room_leave(leg);
	core_event_leg_ended(leg);
	core_dial_from_gone(leg, NULL);
	if (leg->branch)
		core_dial_leg_over(leg);
	if (other)
		core_leg_end(other, 0, by_peer || cause == PBX_CAUSE_TIMER ? cause : PBX_CAUSE_NORMAL, false, "peer");
	core_post_node(core_self(), &leg->last_word, say_last_word, leg);
}

void core_legs_fini(void)
{
	uint32_t at = 0;
	struct core_leg *leg;

	while ((leg = core_handles_next(&core_leg_table, &at)))
		leg_free(leg);
	core_handles_fini(&core_leg_table);
	leg_driver = NULL;
}

/* ---- answered ---- */

static void tell_answered(void *context)
{
	struct core_leg *leg = context;

	if (leg->state != PBX_LEG_ENDED && leg->charge.owner && leg->controller.answered)
		CORE_INTO(leg->charge.owner, leg->controller.answered(leg->self, leg->handle));
}

void core_leg_answered_now(struct core_leg *leg)
{
	leg->state = PBX_LEG_ANSWERED;
	leg->answered_at_ms = core_now_ms();
	core_event_leg("leg.answered", leg);
	core_leg_watch_audio(leg);
	if (leg->charge.owner)
		core_post_node(core_self(), &leg->answered, tell_answered, leg);
}

/* ---- what the driver tells: the beginning ---- */

static bool has_speech(const struct core_media_desc *offer)
{
	if (offer->t38.on)
		return true; /* of a fax: who it is for decides */
	for (uint8_t i = 0; i < offer->codec_count; i++)
		if (strcasecmp(offer->codecs[i].name, "telephone-event") != 0 && strcasecmp(offer->codecs[i].name, "CN") != 0)
			return true;
	return false;
}

/* Without memory nobody is told: the call matters more. */
static struct core_history *history_new(const struct core_incoming *incoming)
{
	struct core_history *history = incoming->diversion_count > 0 ? malloc(sizeof *history) : NULL;

	if (!history)
		return NULL;
	history->count = incoming->diversion_count < CORE_MOST_HISTORY ? incoming->diversion_count : CORE_MOST_HISTORY;
	for (uint32_t i = 0; i < history->count; i++) {
		CORE_TEXT(history->entries[i].number, incoming->diversions[i].number);
		history->entries[i].reason = incoming->diversions[i].reason;
	}
	return history;
}

/* Few have one. Without memory nobody is told: the call matters more. */
static char *text_of_party(const char *text)
{
	return text && text[0] ? strdup(text) : NULL;
}

static void leg_fill(struct core_leg *leg, const struct core_incoming *incoming)
{
	CORE_TEXT(leg->number, incoming->from_number);
	CORE_TEXT(leg->name, incoming->from_name);
	CORE_TEXT(leg->dialled, incoming->dialled);
	core_leg_set_account(leg, incoming->account);
	CORE_TEXT(leg->instance, incoming->instance);
	CORE_TEXT(leg->device, incoming->device);
	CORE_TEXT(leg->address, incoming->address);
	CORE_TEXT(leg->peer, incoming->peer);
	leg->max_forwards = incoming->max_forwards;
	leg->forwarded = incoming->forwarded;
	leg->withheld = incoming->withheld;
	leg->asserted_number = text_of_party(incoming->asserted_number);
	leg->asserted_name = text_of_party(incoming->asserted_name);
	CORE_TEXT(leg->referred_by, incoming->referred_by);
	leg->came_from = incoming->came_from;
	leg->history = history_new(incoming);
	if (incoming->headers && incoming->headers[0])
		leg->headers = strdup(incoming->headers); /* without memory nobody is told: the call matters more */
}

static void call_fill(struct core_call *call, const struct core_leg *leg)
{
	CORE_TEXT(call->from_number, leg->number);
	CORE_TEXT(call->from_name, leg->name);
	CORE_TEXT(call->from_account, leg->account);
	CORE_TEXT(call->dialled, leg->dialled);
	CORE_TEXT(call->to_number, leg->dialled);
	call->direction = leg->account[0] ? "internal" : "inbound";
}

bool core_leg_has_asked_for(pbx_leg handle, const char *number)
{
	const struct core_leg *leg = core_leg_alive(handle);

	for (uint32_t hops = 0; leg && hops < CORE_MOST_HOPS; hops++) {
		const struct core_leg *caller = leg->call->legs;

		while (caller && !(caller->is_caller && caller->direction == PBX_INBOUND))
			caller = caller->next;
		if (!caller || strcmp(caller->dialled, number) == 0)
			return caller != NULL;
		leg = core_leg_alive(caller->came_from);
	}
	return false;
}

int core_leg_on_incoming(const struct core_leg_driver *driver, void *dialog, const struct core_incoming *incoming, pbx_leg *ret_leg)
{
	bool offered = incoming->offer && incoming->offer->present;
	struct core_keys keys;

	core_keys_make(driver, incoming->account, incoming->peer, false, &keys);
	if (offered && !has_speech(incoming->offer))
		return PBX_ENOTSUP;
	if (offered && !core_keys_suffice(&keys, incoming->offer))
		return PBX_EPERM;

	struct core_call *call;
	int err = core_call_new(incoming, &call);
	if (err != PBX_OK)
		return err;

	struct core_leg *leg;
	err = core_leg_new(call, PBX_INBOUND, &leg);
	if (err != PBX_OK) {
		core_call_drop(call);
		return err;
	}
	err = core_rest_keep(&leg->keys, &keys, sizeof keys);
	if (err == PBX_OK && incoming->offer)
		err = core_rest_keep(&leg->remote, incoming->offer, sizeof *incoming->offer);
	if (err != PBX_OK) {
		leg_free(leg);
		core_call_drop(call);
		return err;
	}
	leg->is_caller = true;
	leg_fill(leg, incoming);
	call_fill(call, leg);
	leg->driver = driver;
	leg->dialog = dialog;
	leg->has_keys = true;
	if (incoming->offer)
		core_leg_note_wish(leg, incoming->offer);
	leg->arriving = true;
	*ret_leg = leg->handle;

	core_trace_bind(incoming->protocol_id, call->id);
	core_event_call_started(call, leg);
	core_event_leg("leg.started", leg);
	if (incoming->fields)
		core_call_take_fields(call, leg->peer[0] ? leg->peer : driver->name, incoming->fields);
	if (incoming->replaces.id) {
		core_leg_replace(leg, incoming->replaces, incoming->early_only);
		return PBX_OK;
	}
	err = core_leg_route(leg, leg->dialled, (pbx_leg){ 0 });
	if (err == PBX_EINVAL)
		core_leg_refuse(leg, 484, PBX_CAUSE_INVALID_NUMBER, "nothing dialled");
	else if (err != PBX_OK)
		core_leg_refuse(leg, core_cause_to_sip(core_cause_of(err)), core_cause_of(err), "cannot route");
	return PBX_OK;
}

void core_leg_on_ringing(pbx_leg handle, uint32_t sip_code, const struct core_media_desc *early)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || leg->direction != PBX_OUTBOUND || leg->state == PBX_LEG_ANSWERED || sip_code <= 100)
		return;

	bool has_early = early && early->present && core_leg_take_answer(leg, early) == PBX_OK;
	if (leg->state == PBX_LEG_NEW) {
		leg->state = PBX_LEG_RINGING;
		leg->ringing_at_ms = core_now_ms();
		core_event_leg("leg.ringing", leg);
	}
	if (leg->branch)
		core_dial_leg_ringing(leg, has_early);
}

void core_leg_on_answered(pbx_leg handle, const struct core_media_desc *answer)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || leg->direction != PBX_OUTBOUND || leg->state == PBX_LEG_ANSWERED)
		return;

	/* An answer that came early in a 183 need not be repeated. */
	int err = answer && answer->present ? core_leg_take_answer(leg, answer) : leg->configured ? PBX_OK : PBX_ENOTSUP;
	if (err != PBX_OK) {
		core_leg_end(leg, 488, PBX_CAUSE_NOT_ACCEPTABLE, false, err == PBX_EPERM ? "no common encryption" : "no common codec");
		return;
	}
	if (answer)
		core_leg_note_wish(leg, answer);
	core_leg_answered_now(leg);
	if (leg->branch)
		core_dial_leg_answered(leg);
	else
		core_leg_watch(leg);
}

void core_leg_on_redirected(pbx_leg handle, const char *const *targets, uint32_t count, uint32_t reason)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || leg->state == PBX_LEG_ANSWERED)
		return;
	if (leg->branch)
		core_dial_leg_redirected(leg, targets, count, reason);
	core_leg_end(leg, 302, PBX_CAUSE_NORMAL, true, "redirected");
}

void core_leg_on_ended(pbx_leg handle, uint32_t sip_code, uint32_t cause, bool by_peer, const char *text)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return;
	if (!cause)
		cause = sip_code >= 300 ? core_cause_from_sip(sip_code) : PBX_CAUSE_NORMAL;
	leg->driver_knows = true;
	if (leg->state == PBX_LEG_ANSWERED && cause == PBX_CAUSE_TIMER && !by_peer)
		leg->call->reason = "session_timeout";
	core_leg_end(leg, sip_code, cause, by_peer, text);
}

/* ---- what the driver tells: in the midst ---- */

static uint8_t our_direction(const struct core_leg *leg)
{
	return leg->held_by_us ? 0 : CORE_SEND | CORE_RECV;
}

/* A re-INVITE or UPDATE without media: we offer, the answer comes with the ACK. */
static void offer_late(struct core_leg *leg)
{
	struct core_media_desc offer;
	int err = core_leg_make_offer(leg, leg, our_direction(leg), &offer);

	if (err == PBX_OK)
		err = leg->driver->accept_offer(leg->dialog, &offer);
	if (err == PBX_OK)
		leg->late_offer = true;
	else
		(void)leg->driver->refuse_offer(leg->dialog, 500);
}

void core_leg_on_offer(pbx_leg handle, const struct core_media_desc *offer)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return;
	if (!leg->has_stream) {
		(void)leg->driver->refuse_offer(leg->dialog, 491);
		return;
	}
	if (!offer || !offer->present) {
		offer_late(leg);
		return;
	}
	if (offer->t38.on) {
		core_fax_on_offer(leg, offer);
		return;
	}

	const struct core_media_desc before = core_leg_remote(leg);
	bool was = leg->holds_us || leg->held_by_us;
	struct core_media_desc answer;
	int err = core_rest_keep(&leg->remote, offer, sizeof *offer);
	if (err == PBX_OK)
		err = core_leg_make_answer(leg, NULL, our_direction(leg), true, &answer);
	if (err != PBX_OK) {
		(void)core_rest_keep(&leg->remote, &before, sizeof before); /* it had its place there */
		(void)leg->driver->refuse_offer(leg->dialog, 488);
		return;
	}
	core_leg_note_hold(leg, offer);
	core_leg_note_wish(leg, offer);
	(void)leg->driver->accept_offer(leg->dialog, &answer); /* a dialog that is gone tells so by on_ended */
	if (leg->state == PBX_LEG_ANSWERED)
		core_hold_changed(leg, was);
	core_fax_back(leg);
}

/* An answer of the peer, to an offer that it had asked for or that was ours. What a peer says to one that allows everything tells whether it
 * holds. */
static int take_answer(struct core_leg *leg, const struct core_media_desc *answer)
{
	bool was = leg->holds_us || leg->held_by_us;
	int err = answer ? core_leg_take_answer(leg, answer) : PBX_EINVAL;

	if (err == PBX_OK)
		core_leg_note_wish(leg, answer);
	if (err != PBX_OK || core_leg_local(leg).direction != (CORE_SEND | CORE_RECV))
		return err;
	core_leg_note_hold(leg, answer);
	if (leg->state == PBX_LEG_ANSWERED)
		core_hold_changed(leg, was);
	return PBX_OK;
}

void core_leg_on_update_done(pbx_leg handle, int result, const struct core_media_desc *answer)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg)
		return;
	if (leg->late_offer) {
		bool is_first = !leg->configured;

		leg->late_offer = false;
		int err = result == PBX_OK ? take_answer(leg, answer) : result;
		if (err != PBX_OK && is_first) { /* later: what was agreed before stays */
			core_leg_end(leg, 0, PBX_CAUSE_NOT_ACCEPTABLE, false, "no answer to our offer");
			return;
		}
	} else {
		leg->updating = false;
		if (leg->fax_asked)
			core_fax_on_answer(leg, result, answer);
		else if (result == PBX_EBUSY)
			leg->update_due = true;
		else if (result == PBX_OK && answer)
			(void)take_answer(leg, answer);
		else
			leg->failed_stays = leg->failed_count > 0; /* refused by the peer: what was agreed before stays */
	}
	if (leg->bridge)
		core_bridge_settle(leg->bridge);
	if (leg->update_due)
		core_leg_update_later(leg, result == PBX_EBUSY ? CORE_UPDATE_RETRY_MS : 0);
	else if (leg->again_due && leg->state == PBX_LEG_ANSWERED)
		core_leg_say_again(leg);
}
