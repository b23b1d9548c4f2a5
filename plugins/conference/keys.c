/*
 * keys - what members type: a PIN at the door, and then the keys of a conference
 */
#include "conference.h"
#include <string.h>

#define STAR_US 3000000 /* * and 5 are one within this time */

/* ---- at the door -------------------------------------------------------------------------- */

static bool is_pin(const struct conference *conference, const char *typed, const char *pin)
{
	return pin[0] && strlen(typed) == strlen(pin) && conference->secrets->equal(typed, pin, strlen(pin));
}

/* Where only moderators have a PIN, # alone is enough for all others. */
static bool on_pin(void *self, pbx_leg leg, const char *keys)
{
	struct member *member = member_of(self, leg);

	if (!member)
		return false;
	member->moderator = is_pin(self, keys, member->room->rules.moderator_pin);
	return member->moderator || is_pin(self, keys, member->room->rules.pin) || (!member->room->rules.pin[0] && !keys[0]);
}

static bool has_gone(const struct member *member, const struct pbx_collected *collected)
{
	return !member || collected->reason == PBX_COLLECTED_HANGUP || collected->reason == PBX_COLLECTED_STOPPED;
}

static void on_pin_typed(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	struct member *member = member_of(self, leg);

	if (has_gone(member, collected))
		return;
	if (collected->reason <= PBX_COLLECTED_TIMEOUT || (collected->reason == PBX_COLLECTED_NOTHING && !member->room->rules.pin[0]))
		member_admit(member);
	else
		member_send_off(member, "invalid_pin", "refused");
}

static void on_invited(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	const struct conference *conference = self;
	struct member *member = member_of(self, leg);

	if (has_gone(member, collected))
		return;
	if (collected->reason == PBX_COLLECTED_DONE)
		member_admit(member);
	else
		(void)conference->calls->hangup(leg, PBX_CAUSE_NORMAL); /* nobody takes it */
}

static void ask(struct member *member, struct pbx_collect *wish)
{
	struct conference *conference = member->room->conference;

	wish->size = sizeof *wish;
	wish->first_ms = wish->next_ms = conference->settings->pin_timeout_s * 1000;
	wish->tries = TRIES;
	if (conference->calls->collect(member->leg, wish, conference) != PBX_OK)
		(void)conference->calls->hangup(member->leg, PBX_CAUSE_FAILURE); /* or it has ended: as good */
}

void pin_ask(struct member *member)
{
	static const struct pbx_say enter = { .kind = PBX_SAY_PROMPT, .text = "enter_pin" };
	static const struct pbx_say wrong = { .kind = PBX_SAY_PROMPT, .text = "invalid_pin" };

	ask(member, &(struct pbx_collect){
			    .flags = PBX_COLLECT_SECRET,
			    .prompt = &enter,
			    .prompt_count = 1,
			    .invalid = &wrong,
			    .invalid_count = 1,
			    .silences = member->room->rules.pin[0] ? 0 : 1, /* who has none may just wait */
			    .accept = on_pin,
			    .done = on_pin_typed,
		    });
}

void invitation_ask(struct member *member)
{
	static const struct pbx_say question = { .kind = PBX_SAY_PROMPT, .text = "conference_invitation" };

	ask(member, &(struct pbx_collect){ .prompt = &question, .prompt_count = 1, .patterns = "1", .silences = 1, .done = on_invited });
}

/* ---- in the room --------------------------------------------------------------------------- */

static void hear(struct member *member, const char *prompt)
{
	(void)member->room->conference->calls->play(member->leg, prompt); /* without it the key works all the same */
}

static void change_volume(struct member *member, int32_t *volume_cdb, int32_t by_cdb)
{
	int32_t wanted = *volume_cdb + by_cdb;

	if (wanted >= -VOLUME_MOST_CDB && wanted <= VOLUME_MOST_CDB)
		*volume_cdb = wanted;
	member_settle(member);
	(void)member->room->conference->calls->tone(member->leg, "confirm");
}

static void say_count(const struct member *member)
{
	const struct pbx_say count[] = {
		{ .kind = PBX_SAY_PROMPT, .text = "conference_count" },
		{ .kind = PBX_SAY_NUMBER, .number = room_in(member->room) },
	};

	(void)member->room->conference->calls->say(member->leg, count, 2);
}

/* The last who came, but for moderators. */
static void eject_last(struct member *by)
{
	struct member *last = NULL;

	for (struct member *member = by->room->members; member; member = member->next)
		if (member->state == MEMBER_IN && !member->moderator)
			last = member;
	if (last)
		member_send_off(last, "kicked", "kicked");
	else
		hear(by, "invalid");
}

static bool is_moderators(char digit)
{
	return digit == '2' || digit == '3' || digit == '5';
}

static void moderate(struct member *member, char digit)
{
	struct room *room = member->room;

	if (digit == '2') {
		room_set_locked(room, !room->locked);
		hear(member, room->locked ? "conference_is_locked" : "conference_is_open");
	} else if (digit == '3') {
		eject_last(member);
	} else {
		room_mute_all(room, !room->all_muted);
		hear(member, room->all_muted ? "conference_all_muted" : "conference_all_unmuted");
	}
}

/* "*" alone tells what the keys are; "*5" begins to record, or ends. */
static bool is_star_five(struct member *member, char digit)
{
	int64_t now_us = member->room->conference->host->wall_us(member->room->conference->host);
	bool is_it = digit == '5' && member->star_wall_us && now_us - member->star_wall_us < STAR_US;

	member->star_wall_us = digit == '*' ? now_us : 0;
	return is_it;
}

static void toggle_recording(struct member *member)
{
	if (!member->moderator)
		hear(member, "not_allowed");
	else if (room_record(member->room, !member->room->recording) != PBX_OK)
		hear(member, "invalid");
	else
		(void)member->room->conference->calls->stop_media(member->leg); /* the help: the room is told */
}

static void command(struct member *member, char digit)
{
	if (is_moderators(digit)) {
		if (member->moderator)
			moderate(member, digit);
		else
			hear(member, "not_allowed");
		return;
	}
	switch (digit) {
	case '*':
		hear(member, member->moderator ? "conference_menu_moderator" : "conference_menu");
		break;
	case '1':
		member_set_muted(member, !member->muted);
		hear(member, member->muted ? "muted" : "unmuted");
		break;
	case '4':
		change_volume(member, &member->hear_cdb, -VOLUME_STEP_CDB);
		break;
	case '6':
		change_volume(member, &member->hear_cdb, VOLUME_STEP_CDB);
		break;
	case '7':
		change_volume(member, &member->talk_cdb, -VOLUME_STEP_CDB);
		break;
	case '9':
		change_volume(member, &member->talk_cdb, VOLUME_STEP_CDB);
		break;
	case '8':
		member_send_off(member, NULL, "left");
		break;
	case '0':
		say_count(member);
		break;
	default:
		hear(member, "invalid");
	}
}

/* ---- keys for the others ---------------------------------------------------------------------- */

static void pass_on(const struct member *by, char digit)
{
	const struct pbx_calls *calls = by->room->conference->calls;

	for (const struct member *member = by->room->members; member; member = member->next)
		if (member != by && member->state == MEMBER_IN)
			(void)calls->send_digits(member->leg, (char[]){ digit, '\0' }); /* its phone takes none: it hears none */
}

/* Where keys are everybody's, * says that the next one is for us. */
static void typed_among_others(struct member *member, char digit)
{
	int64_t now_us = member->room->conference->host->wall_us(member->room->conference->host);
	bool is_ours = member->star_wall_us && now_us - member->star_wall_us < STAR_US;

	member->star_wall_us = digit == '*' && !is_ours ? now_us : 0;
	if (is_ours && digit == '5')
		toggle_recording(member);
	else if (is_ours)
		command(member, digit);
	else if (digit != '*')
		pass_on(member, digit);
}

void keys_typed(struct member *member, char digit)
{
	if (member->room->rules.dtmf_passthrough)
		typed_among_others(member, digit);
	else if (is_star_five(member, digit))
		toggle_recording(member);
	else
		command(member, digit);
}
