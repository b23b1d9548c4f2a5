/*
 * codes - *30 and a digit: a user says how they are from their phone
 *
 * 0 nothing chosen any more, 1 available, 2 busy, 3 away, 4 in a meeting. The confirmation tone says that it was taken.
 */
#include "presence.h"
#include <string.h>

static const uint32_t statuses[] = { STATUS_NONE, STATUS_AVAILABLE, STATUS_BUSY, STATUS_AWAY, STATUS_IN_MEETING };

static void on_answered(void *self, pbx_leg leg)
{
	const struct presence *presence = self;

	if (presence->calls->tone(leg, "confirm") != PBX_OK)
		(void)presence->calls->hangup(leg, PBX_CAUSE_NORMAL); /* or it is gone: as good */
}

static void on_tone_done(void *self, pbx_leg leg)
{
	const struct presence *presence = self;

	(void)presence->calls->hangup(leg, PBX_CAUSE_NORMAL); /* or it is gone: as good */
}

static const struct pbx_controller confirming = { .size = sizeof confirming, .answered = on_answered, .media_done = on_tone_done };

static void on_dialled(void *self, pbx_leg leg)
{
	struct presence *presence = self;
	struct pbx_leg_info info = { .size = sizeof info };
	char account[NUMBER_SIZE];

	if (presence->calls->info(leg, &info) != PBX_OK)
		return;
	if (!info.account[0] || !is_account(presence, info.account)) {
		(void)presence->calls->reject(leg, 403); /* or it is gone: as good */
		return;
	}
	(void)snprintf(account, sizeof account, "%s", info.account);
	int err = person_choose(presence, account, statuses[info.argument[0] - '0'], "", 0);
	if (err == PBX_OK)
		err = presence->calls->control(presence->host, leg, &confirming, presence);
	if (err == PBX_OK)
		err = presence->calls->answer(leg);
	if (err != PBX_OK)
		(void)presence->calls->hangup(leg, PBX_CAUSE_FAILURE); /* as above */
}

static bool is_digit(void *self, const char *argument)
{
	(void)self;
	return argument[0] >= '0' && argument[0] <= '4' && !argument[1];
}

int codes_start(struct presence *presence)
{
	struct pbx_diag diag = { .text = "" };
	char pattern[16];

	if (!presence->settings->code[0])
		return PBX_OK; /* switched off */
	(void)snprintf(pattern, sizeof pattern, "%s.", presence->settings->code);
	const struct pbx_claim claim = { .size = sizeof claim,
					 .pattern = pattern,
					 .help = "Say how I am",
					 .dialled = on_dialled,
					 .accept = is_digit,
					 .self = presence };
	int err = presence->routing->claim(presence->host, &claim, &diag);
	if (err != PBX_OK)
		pbx_error(presence->host, "code_not_claimed", "code=%s reason=\"%s\"", pattern, diag.text);
	return err;
}
