/*
 * invite - the room calls somebody
 *
 * What is called may be any number that routing knows. Who answers presses 1 to come in, so that no mailbox sits in a conference.
 */
#include "conference.h"
#include <stdlib.h>
#include <string.h>

static void invitation_free(struct invitation *invitation)
{
	struct invitation **at = &invitation->conference->invitations;

	while (*at != invitation)
		at = &(*at)->next;
	*at = invitation->next;
	free(invitation);
}

static void on_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct invitation *invitation = self;
	struct conference *conference = invitation->conference;
	struct room *room = room_find(conference, invitation->room);
	struct member *member;

	(void)dial;
	if (result->outcome == PBX_DIALLED_ANSWERED && room && room->session[0]) {
		int err = member_bring(room, result->winner, invitation->moderator, invitation->confirm, &member);

		if (err == PBX_OK && member_of(conference, result->winner)) {
			member->replaces = invitation->replaces;
			if (member->state == MEMBER_IN && member->replaces.id)
				(void)conference->calls->hangup(member->replaces, PBX_CAUSE_NORMAL);
		}
	} else if (result->outcome == PBX_DIALLED_ANSWERED) {
		(void)conference->calls->hangup(result->winner, PBX_CAUSE_NORMAL); /* the conference is over */
	} else {
		pbx_info(conference->host, "not_invited", "room=%s number=%s sip_code=%u", invitation->room, invitation->number,
			 result->sip_code);
	}
	invitation_free(invitation);
}

static const struct pbx_dialler dialler = { .size = sizeof dialler, .done = on_done };

int invite(struct room *room, const char *number, bool confirm, bool moderator, pbx_leg replaces)
{
	struct conference *conference = room->conference;
	struct invitation *invitation = calloc(1, sizeof *invitation);

	if (!invitation)
		return PBX_ENOMEM;
	invitation->conference = conference;
	invitation->confirm = confirm;
	invitation->moderator = moderator;
	invitation->replaces = replaces;
	(void)snprintf(invitation->room, sizeof invitation->room, "%s", room->rules.number);
	(void)snprintf(invitation->number, sizeof invitation->number, "%s", number);
	invitation->next = conference->invitations;
	conference->invitations = invitation;

	const struct pbx_dial_target target = { .text = invitation->number };
	const struct pbx_dial_plan plan = {
		.size = sizeof plan,
		.strategy = PBX_DIAL_ALL,
		PBX_TARGETS(&target, 1),
		.ring_ms = conference->settings->ring_s * 1000,
		.caller_number = room->rules.number,
		.caller_name = room->rules.name,
	};
	int err = conference->calls->dial(conference->host, (pbx_leg){ 0 }, &plan, &dialler, invitation, &invitation->dial);

	if (err != PBX_OK)
		invitation_free(invitation);
	return err;
}

void invitations_cancel(struct conference *conference)
{
	for (struct invitation *invitation = conference->invitations; invitation; invitation = invitation->next)
		(void)conference->calls->cancel(invitation->dial); /* done follows, and frees it */
}
