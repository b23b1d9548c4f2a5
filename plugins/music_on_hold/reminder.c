/*
 * reminder - who is held for hold_timeout_s is not forgotten: the phone of the one who holds rings, and answering it resumes the call
 *
 *   held ──▶ waiting ──▶ ringing ──▶ answered: the new line takes the place of the one that holds
 *               ▲            │
 *               └────────────┘ nobody answers: after the same time again
 *
 * Taken off hold, or hung up by either, the reminder is gone. Only holders with an account have phones that we could ring. [loop]
 */
#include "music.h"
#include <stdlib.h>
#include <string.h>

struct reminder {
	struct reminder *next;
	struct music *music;
	pbx_leg holder, held;
	pbx_timer timer;
	pbx_dial dial;
};

static void reminder_free(struct reminder *reminder)
{
	struct reminder **at = &reminder->music->reminders;

	while (*at != reminder)
		at = &(*at)->next;
	*at = reminder->next;
	(void)reminder->music->timers->stop(reminder->timer);
	free(reminder);
}

static struct reminder *reminder_of(const struct music *music, pbx_leg holder)
{
	struct reminder *reminder = music->reminders;

	while (reminder && reminder->holder.id != holder.id)
		reminder = reminder->next;
	return reminder;
}

/* Who holds whom still. */
static bool still_holds(const struct reminder *reminder, struct pbx_leg_info *ret_holder)
{
	const struct pbx_calls *calls = reminder->music->calls;
	pbx_leg peer;

	ret_holder->size = sizeof *ret_holder;
	return calls->info(reminder->holder, ret_holder) == PBX_OK && (ret_holder->holds_us || ret_holder->held_by_us) &&
	       calls->peer(reminder->holder, &peer) == PBX_OK && peer.id == reminder->held.id;
}

/* ---- ringing -------------------------------------------------------------------------- */

static void arm(struct reminder *reminder);

static void on_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct reminder *reminder = self;
	struct pbx_leg_info holder;

	(void)dial;
	reminder->dial = (pbx_dial){ 0 };
	if (result->outcome == PBX_DIALLED_ANSWERED)
		(void)reminder->music->calls->hangup(reminder->holder, PBX_CAUSE_NORMAL); /* the line that held has been left alone */
	if (result->outcome == PBX_DIALLED_ANSWERED || !still_holds(reminder, &holder))
		reminder_free(reminder);
	else
		arm(reminder);
}

static const struct pbx_dialler dialler = { .size = sizeof dialler, .done = on_done };

static int ring(struct reminder *reminder, const struct pbx_leg_info *holder)
{
	struct music *music = reminder->music;
	struct pbx_leg_info held = { .size = sizeof held };
	char phones[80], shown[160];
	const struct pbx_dial_target target = { .text = phones };

	if (music->calls->info(reminder->held, &held) != PBX_OK)
		return PBX_ENOENT;
	(void)snprintf(phones, sizeof phones, "aor:%s", holder->account);
	(void)snprintf(shown, sizeof shown, "On hold: %s", held.name[0] ? held.name : held.number);
	const struct pbx_dial_plan plan = {
		.size = sizeof plan,
		.strategy = PBX_DIAL_ALL,
		.flags = PBX_DIAL_CONNECT | PBX_DIAL_NO_FORWARD,
		PBX_TARGETS(&target, 1),
		.ring_ms = music->settings->hold_ring_s * 1000,
		.caller_number = held.number,
		.caller_name = shown,
	};
	return music->calls->dial(music->host, reminder->held, &plan, &dialler, reminder, &reminder->dial);
}

static void on_time(void *self, pbx_timer timer)
{
	struct reminder *reminder = self;
	struct pbx_leg_info holder;

	(void)timer;
	reminder->timer = (pbx_timer){ 0 };
	if (!still_holds(reminder, &holder)) {
		reminder_free(reminder);
		return;
	}
	pbx_info(reminder->music->host, "held_for_long", "holder=%s", holder.number);
	if (ring(reminder, &holder) != PBX_OK)
		arm(reminder); /* no room for one more call now */
}

static void arm(struct reminder *reminder)
{
	struct music *music = reminder->music;
	uint32_t after_s = music->settings->hold_timeout_s;

	if (!after_s || music->timers->start(music->host, after_s * UINT64_C(1000), 0, on_time, reminder, &reminder->timer) != PBX_OK)
		reminder_free(reminder); /* switched off meanwhile, or no memory: the call stays on hold */
}

/* ---- held, resumed -------------------------------------------------------------------- */

static void begin(struct music *music, pbx_leg holder)
{
	struct pbx_leg_info info = { .size = sizeof info };
	pbx_leg held;

	if (!music->settings->hold_timeout_s || reminder_of(music, holder) || music->calls->info(holder, &info) != PBX_OK ||
	    !(info.holds_us || info.held_by_us) || !info.account[0] || music->calls->peer(holder, &held) != PBX_OK)
		return;
	struct reminder *reminder = calloc(1, sizeof *reminder);
	if (!reminder)
		return;
	*reminder = (struct reminder){ .next = music->reminders, .music = music, .holder = holder, .held = held };
	music->reminders = reminder;
	arm(reminder);
}

static void end(struct music *music, pbx_leg holder)
{
	struct reminder *reminder = reminder_of(music, holder);

	if (reminder && reminder->dial.id)
		(void)music->calls->cancel(reminder->dial); /* on_done frees it */
	else if (reminder)
		reminder_free(reminder);
}

static void on_hold_event(void *self, const struct pbx_event *event)
{
	struct music *music = self;
	const char *leg_id = music->json->text(music->json->get(event->data, "by"));
	pbx_leg holder;

	if (!leg_id || music->calls->find_leg(leg_id, &holder) != PBX_OK)
		return; /* it has gone: on_time finds that out */
	if (strcmp(event->type, "call.hold") == 0)
		begin(music, holder);
	else
		end(music, holder);
}

static void begin_each(void *context, pbx_leg leg)
{
	begin(context, leg);
}

int reminder_start(struct music *music)
{
	pbx_subscription held, resumed;
	int err = music->bus->subscribe(music->host, "call.hold", on_hold_event, music, &held);

	if (err == PBX_OK)
		err = music->bus->subscribe(music->host, "call.resume", on_hold_event, music, &resumed);
	if (err == PBX_OK)
		music->calls->each((pbx_call){ 0 }, begin_each, music); /* those that a version before us knew of */
	return err;
}

void reminder_drain(struct music *music)
{
	struct reminder *next;

	for (struct reminder *reminder = music->reminders; reminder; reminder = next) {
		next = reminder->next;
		if (!reminder->dial.id)
			reminder_free(reminder);
	}
}

void reminder_clear(struct music *music)
{
	while (music->reminders)
		reminder_free(music->reminders);
}
