/*
 * keys - what members type: a PIN at the door, and then the keys of a conference
 */
#include "conference.h"
#include <string.h>

/* ---- at the door -------------------------------------------------------------------------- */

void pin_ask(struct member *member, const char *prompt)
{
	const struct conference *conference = member->room->conference;

	member->typed[0] = '\0';
	if (conference->calls->play(member->leg, prompt) != PBX_OK)
		(void)conference->calls->set_timeout(member->leg, conference->settings->pin_timeout_s * 1000);
}

static bool is_pin(const struct conference *conference, const char *typed, const char *pin)
{
	return pin[0] && strlen(typed) == strlen(pin) && conference->secrets->equal(typed, pin, strlen(pin));
}

void pin_ended(struct member *member)
{
	const struct room *room = member->room;
	const struct conference *conference = room->conference;

	(void)conference->calls->stop_media(member->leg);
	(void)conference->calls->set_timeout(member->leg, 0);
	if (is_pin(conference, member->typed, room->rules.moderator_pin)) {
		member->moderator = true;
		member_admit(member);
	} else if (is_pin(conference, member->typed, room->rules.pin) || (!room->rules.pin[0] && !member->typed[0])) {
		member_admit(member); /* where only moderators have a PIN, # alone is enough for all others */
	} else if (++member->tries < PIN_TRIES) {
		pin_ask(member, "invalid_pin");
	} else {
		member_send_off(member, "invalid_pin", "refused");
	}
}

void pin_typed(struct member *member, char digit)
{
	const struct conference *conference = member->room->conference;
	size_t length = strlen(member->typed);

	if (member->state == MEMBER_INVITED) {
		if (digit == '1')
			member_admit(member);
		return;
	}
	if (digit == '#') {
		pin_ended(member);
		return;
	}
	(void)conference->calls->stop_media(member->leg);
	(void)conference->calls->set_timeout(member->leg, conference->settings->pin_timeout_s * 1000);
	if (digit < '0' || digit > '9')
		return;
	if (length == PIN_MOST) { /* longer than any: wrong, and stays so */
		memset(member->typed, '*', PIN_MOST);
		return;
	}
	member->typed[length] = digit;
	member->typed[length + 1] = '\0';
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

void keys_typed(struct member *member, char digit)
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
