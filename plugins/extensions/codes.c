/*
 * codes - what a user dials to change their own extension, or to pick up a neighbour's call
 *
 * *78 / *79 do not disturb, *76 *90 *92 forwarding with the destination behind them, *77 *91 *93 without; *8 takes a call that rings in
 * one's pickup group, ** and a number the one that rings there. A code that has been obeyed is answered with the confirmation tone.
 */
#include "extensions.h"
#include <string.h>

/* ---- the tone that says "done" -------------------------------------------------------- */

static void on_confirm_answered(void *self, pbx_leg leg)
{
	const struct extensions *extensions = self;

	if (extensions->calls->tone(leg, "confirm") != PBX_OK)
		(void)extensions->calls->hangup(leg, PBX_CAUSE_NORMAL); /* or it is gone: as good */
}

static void on_confirm_done(void *self, pbx_leg leg)
{
	const struct extensions *extensions = self;

	(void)extensions->calls->hangup(leg, PBX_CAUSE_NORMAL);
}

static const struct pbx_controller confirming = {
	.size = sizeof confirming,
	.answered = on_confirm_answered,
	.media_done = on_confirm_done,
};

static void confirm(struct extensions *extensions, pbx_leg leg)
{
	if (extensions->calls->answer(leg) != PBX_OK)
		(void)extensions->calls->hangup(leg, PBX_CAUSE_FAILURE);
}

/* ---- changes of one's own extension --------------------------------------------------- */

static void on_changed(struct edit *edit, int result, const struct pbx_diag *diag)
{
	struct extensions *extensions = edit->extensions;

	if (result == PBX_OK) {
		confirm(extensions, edit->leg);
		return;
	}
	pbx_notice(extensions->host, "code_refused", "extension=%s reason=\"%s\"", edit->account.number, diag->text);
	(void)extensions->calls->hangup(edit->leg, result == PBX_EINVAL ? PBX_CAUSE_INVALID_NUMBER : PBX_CAUSE_FAILURE);
}

/* The caller's own account to be changed, with the leg ours; NULL when the caller has been refused. */
static struct edit *edit_own(struct extensions *extensions, pbx_leg leg, struct pbx_leg_info *info)
{
	const struct account *account;
	struct edit *edit;

	info->size = sizeof *info;
	if (extensions->calls->info(leg, info) != PBX_OK)
		return NULL;
	account = info->account[0] ? account_find(extensions, info->account) : NULL;
	if (!account) {
		(void)extensions->calls->reject(leg, 403);
		return NULL;
	}
	edit = edit_new(extensions, account, NULL);
	if (!edit || extensions->calls->control(extensions->host, leg, &confirming, extensions) != PBX_OK) {
		edit_free(edit);
		(void)extensions->calls->reject(leg, 500);
		return NULL;
	}
	edit->leg = leg;
	edit->done = on_changed;
	return edit;
}

static void set_dnd(struct extensions *extensions, pbx_leg leg, bool on)
{
	struct pbx_leg_info info;
	struct edit *edit = edit_own(extensions, leg, &info);

	if (!edit)
		return;
	edit->account.dnd = on;
	edit_run(edit);
}

static void on_dnd_on(void *self, pbx_leg leg)
{
	set_dnd(self, leg, true);
}

static void on_dnd_off(void *self, pbx_leg leg)
{
	set_dnd(self, leg, false);
}

/* The destination is what was dialled behind the code; none switches off. */
static void set_forward(struct extensions *extensions, pbx_leg leg, uint32_t kind)
{
	struct pbx_leg_info info;
	struct edit *edit = edit_own(extensions, leg, &info);

	if (!edit)
		return;
	(void)snprintf(edit->account.forward[kind], sizeof edit->account.forward[kind], "%s", info.argument);
	edit_run(edit);
}

static void on_forward_always(void *self, pbx_leg leg)
{
	set_forward(self, leg, FORWARD_ALWAYS);
}

static void on_forward_busy(void *self, pbx_leg leg)
{
	set_forward(self, leg, FORWARD_BUSY);
}

static void on_forward_no_answer(void *self, pbx_leg leg)
{
	set_forward(self, leg, FORWARD_NO_ANSWER);
}

/* ---- picking up ----------------------------------------------------------------------- */

static void pick_up(struct extensions *extensions, pbx_leg leg, const char *number, const char *group)
{
	const struct pbx_calls *calls = extensions->calls;
	pbx_leg ringing;
	int err = calls->find_ringing(number, group, &ringing);

	if (err == PBX_OK)
		err = calls->pickup(leg, ringing);
	if (err != PBX_OK && calls->reject(leg, err == PBX_ENOTSUP ? 488 : 404) != PBX_OK)
		(void)calls->hangup(leg, PBX_CAUSE_FAILURE); /* it has been answered already */
}

static void on_pickup(void *self, pbx_leg leg)
{
	struct extensions *extensions = self;
	struct pbx_leg_info info = { .size = sizeof info };
	const struct account *account;

	if (extensions->calls->info(leg, &info) != PBX_OK)
		return;
	account = info.account[0] ? account_find(extensions, info.account) : NULL;
	if (account && account->pickup_group[0])
		pick_up(extensions, leg, NULL, account->pickup_group);
	else
		(void)extensions->calls->reject(leg, 403);
}

static void on_directed_pickup(void *self, pbx_leg leg)
{
	struct extensions *extensions = self;
	struct pbx_leg_info info = { .size = sizeof info };
	const struct account *account;
	char number[ACCOUNT_NUMBER + 1];

	if (extensions->calls->info(leg, &info) != PBX_OK)
		return;
	account = info.account[0] ? account_find(extensions, info.account) : NULL;
	(void)snprintf(number, sizeof number, "%s", info.argument);
	if (account)
		pick_up(extensions, leg, number, NULL);
	else
		(void)extensions->calls->reject(leg, 403);
}

/* ---- claiming the codes --------------------------------------------------------------- */

static bool is_extension(void *self, const char *argument)
{
	return account_find(self, argument) != NULL;
}

static bool is_destination(void *self, const char *argument)
{
	(void)self;
	return strlen(argument) >= 2 && strlen(argument) < ACCOUNT_DEST && argument[strspn(argument, "0123456789*#+")] == '\0';
}

static int claim(struct extensions *extensions, const char *code, bool open, const char *help, pbx_dialled_fn dialled, pbx_accept_fn accept)
{
	struct pbx_diag diag = { .text = "" };
	char pattern[64];

	if (!code[0])
		return PBX_OK; /* switched off */
	(void)snprintf(pattern, sizeof pattern, "%s%s", code, open ? "." : "");
	const struct pbx_claim wanted = { .size = sizeof wanted,
					  .pattern = pattern,
					  .order = PBX_ORDER_CODES,
					  .help = help,
					  .dialled = dialled,
					  .accept = accept,
					  .self = extensions };
	int err = extensions->routing->claim(extensions->host, &wanted, &diag);
	if (err != PBX_OK)
		pbx_error(extensions->host, "code_not_claimed", "code=%s reason=\"%s\"", pattern, diag.text);
	return err;
}

int codes_start(struct extensions *extensions)
{
	const struct extension_settings *s = extensions->settings;
	const struct {
		const char *code;
		bool open;
		const char *help;
		pbx_dialled_fn dialled;
		pbx_accept_fn accept;
	} codes[] = {
		{ s->code_dnd_on, false, "Do not disturb", on_dnd_on, NULL },
		{ s->code_dnd_off, false, "Disturb again", on_dnd_off, NULL },
		{ s->code_forward_always, true, "Forward all calls to a number", on_forward_always, is_destination },
		{ s->code_forward_always_off, false, "Stop forwarding all calls", on_forward_always, NULL },
		{ s->code_forward_busy, true, "Forward when busy to a number", on_forward_busy, is_destination },
		{ s->code_forward_busy_off, false, "Stop forwarding when busy", on_forward_busy, NULL },
		{ s->code_forward_no_answer, true, "Forward unanswered calls to a number", on_forward_no_answer, is_destination },
		{ s->code_forward_no_answer_off, false, "Stop forwarding unanswered calls", on_forward_no_answer, NULL },
		{ s->code_pickup, false, "Take a call that rings in my group", on_pickup, NULL },
		{ s->code_directed_pickup, true, "Take the call that rings at an extension", on_directed_pickup, is_extension },
	};

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		int err = claim(extensions, codes[i].code, codes[i].open, codes[i].help, codes[i].dialled, codes[i].accept);

		if (err != PBX_OK)
			return err;
	}
	return PBX_OK;
}
