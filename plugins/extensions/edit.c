/*
 * edit - one way for every change of an account: check, hash what must be hashed, store, remember, tell
 *
 * Whoever changes something (REST, pbxctl, a feature code) works on a copy and is told the outcome once. The copy becomes the account
 * only when its row is stored. Rows are stored one after the other, and what somebody else changed meanwhile is kept.
 */
#include "extensions.h"
#include <stdlib.h>
#include <string.h>

struct edit *edit_new(struct extensions *extensions, const struct account *from, const char *number)
{
	struct edit *edit = calloc(1, sizeof *edit);

	if (!edit)
		return NULL;
	edit->extensions = extensions;
	if (from) {
		account_copy(from, &edit->account);
		edit->before = edit->account;
	} else {
		edit->creates = true;
		edit->account.may_call_outside = true;
		edit->account.call_class = CLASS_UNSET;
		edit->account.created_us = extensions->host->wall_us(extensions->host);
		(void)snprintf(edit->account.number, sizeof edit->account.number, "%s", number);
	}
	return edit;
}

void edit_free(struct edit *edit)
{
	if (!edit)
		return;
	account_free(edit->stored);
	explicit_bzero(edit, sizeof *edit);
	free(edit);
}

static void finish(struct edit *edit, int result, const struct pbx_diag *diag)
{
	edit->done(edit, result, diag);
	edit_free(edit);
}

static void finish_text(struct edit *edit, int result, const char *field, const char *text)
{
	struct pbx_diag diag;

	pbx_diag_set(&diag, field, "%s", text);
	finish(edit, result, &diag);
}

/* ---- checks --------------------------------------------------------------------------- */

static bool is_email(const char *text)
{
	const char *at = strchr(text, '@'), *dot = strrchr(text, '.');

	return at && at != text && dot && dot > at + 1 && dot[1] && !strpbrk(text, " \t\r\n<>\"") && !strchr(at + 1, '@');
}

static bool is_number(const char *text, size_t least, size_t most)
{
	size_t length = strlen(text);

	return length >= least && length <= most && strspn(text, "0123456789") == length;
}

static bool is_weak_pin(const char *pin, const char *number)
{
	bool same = true, up = true, down = true;

	for (const char *at = pin; at[0] && at[1]; at++) {
		same = same && at[1] == at[0];
		up = up && at[1] == at[0] + 1;
		down = down && at[1] == at[0] - 1;
	}
	return same || up || down || strcmp(pin, number) == 0;
}

int account_check(const struct extensions *extensions, const struct account_draft *account, struct pbx_diag *diag)
{
	const struct extension_settings *settings = extensions->settings;

	if (!is_number(account->number, settings->number_least, settings->number_most)) {
		pbx_diag_set(diag, "number", "a number has %u to %u digits", settings->number_least, settings->number_most);
		return PBX_EINVAL;
	}
	if (account->email[0] && !is_email(account->email)) {
		pbx_diag_set(diag, "email", "an e-mail address looks like name@example.org");
		return PBX_EINVAL;
	}
	for (uint32_t kind = 0; kind < FORWARD_KINDS; kind++) {
		const char *to = account->forward[kind];

		if (to[0] && (strlen(to) < 2 || to[strspn(to, "0123456789*#+")] != '\0')) {
			pbx_diag_set(diag, forward_names[kind], "calls are forwarded to a number: digits, * # and +");
			return PBX_EINVAL;
		}
		if (strcmp(to, account->number) == 0) {
			pbx_diag_set(diag, forward_names[kind], "an extension cannot be forwarded to itself");
			return PBX_EINVAL;
		}
	}
	return PBX_OK;
}

static int check_secrets(const struct edit *edit, struct pbx_diag *diag)
{
	const struct extension_settings *settings = edit->extensions->settings;

	if (edit->new_password[0] && strlen(edit->new_password) < settings->password_least) {
		pbx_diag_set(diag, "password", "a password has at least %u characters", settings->password_least);
		return PBX_EINVAL;
	}
	if (edit->new_secret[0] && strlen(edit->new_secret) < 12) {
		pbx_diag_set(diag, "sip_secret", "a SIP secret has at least 12 characters; leave it out and a good one is made");
		return PBX_EINVAL;
	}
	if (edit->new_pin[0] && !is_number(edit->new_pin, settings->pin_least, settings->pin_most)) {
		pbx_diag_set(diag, "voicemail_pin", "a PIN has %u to %u digits", settings->pin_least, settings->pin_most);
		return PBX_EINVAL;
	}
	if (edit->new_pin[0] && is_weak_pin(edit->new_pin, edit->account.number)) {
		pbx_diag_set(diag, "voicemail_pin", "this PIN is guessed first: equal digits, a row of digits, or the number itself");
		return PBX_EINVAL;
	}
	return PBX_OK;
}

/* Is the number free: no account, and nobody else's in the number plan? */
static int check_free(struct edit *edit, struct pbx_diag *diag)
{
	struct extensions *extensions = edit->extensions;
	const char *owner = NULL;

	if (!edit->creates)
		return PBX_OK;
	if (account_find(extensions, edit->account.number)) {
		pbx_diag_set(diag, "number", "extension %s exists", edit->account.number);
		return PBX_EEXIST;
	}
	if (extensions->routing->owner(edit->account.number, &owner) == PBX_OK) {
		pbx_diag_set(diag, "number", "%s belongs to %s", edit->account.number, owner);
		return PBX_EEXIST;
	}
	return PBX_OK;
}

/* ---- the steps ------------------------------------------------------------------------ */

static void publish(const struct edit *edit)
{
	const struct extensions *extensions = edit->extensions;
	const char *type = edit->creates ? "extension.created" : edit->removes ? "extension.removed" : "extension.changed";
	struct pbx_json *data = extensions->json->new_object();

	(void)extensions->json->set_text(data, "extension", edit->account.number);
	(void)extensions->bus->publish(extensions->host, type, (pbx_call){ 0 }, data);
}

static void keep(void *shall, const void *before, const void *is, size_t size)
{
	if (memcmp(shall, before, size) == 0)
		memcpy(shall, is, size);
}
#define KEEP(member) keep(&edit->account.member, &edit->before.member, &current->member, sizeof current->member)

/* What this edit does not change is as it is now, not as it was when somebody asked. */
static void keep_others_changes(struct edit *edit, const struct account *account)
{
	struct account_draft draft, *current = &draft;

	account_copy(account, current);
	KEEP(name), KEEP(email), KEEP(language), KEEP(music_class), KEEP(pickup_group), KEEP(caller_id);
	KEEP(sip_secret), KEEP(web_hash), KEEP(pin_hash);
	for (uint32_t kind = 0; kind < FORWARD_KINDS; kind++)
		KEEP(forward[kind]);
	KEEP(may_call_outside), KEEP(call_class), KEEP(no_waiting), KEEP(is_admin), KEEP(dnd), KEEP(ring_s), KEEP(max_contacts),
		KEEP(max_calls), KEEP(srtp), KEEP(dtmf), KEEP(t38), KEEP(max_outgoing), KEEP(trusted);
}

static void store_first(struct extensions *extensions);

/* The first in line is done with; the next is stored. */
static void finish_first(struct edit *edit, int result, const struct pbx_diag *diag)
{
	struct extensions *extensions = edit->extensions;
	struct edit *next = edit->next;

	extensions->storing = next;
	finish(edit, result, diag);
	if (next)
		store_first(extensions);
}

static void cancel_all(struct extensions *extensions)
{
	while (extensions->storing) {
		struct edit *edit = extensions->storing;

		extensions->storing = edit->next;
		finish_text(edit, PBX_ECANCELLED, "", "extensions are being stopped");
	}
}

static int take_place(struct edit *edit, struct pbx_diag *diag)
{
	struct extensions *extensions = edit->extensions;
	const char *number = edit->account.number;
	int err = PBX_OK;

	if (edit->removes) {
		(void)extensions->location->remove_all(extensions->host, number); /* its phones must not be rung any more */
		(void)extensions->routing->unreserve(extensions->host, number);
		account_drop(extensions, number);
		return PBX_OK;
	}
	if (edit->creates)
		err = routing_reserve(extensions, number, diag);
	if (err != PBX_OK)
		return err;
	account_place(extensions, edit->stored);
	edit->stored = NULL;
	return PBX_OK;
}

static void on_stored(void *self, const struct pbx_rows *rows)
{
	struct edit *edit = self;
	struct extensions *extensions = edit->extensions;
	struct pbx_diag diag = { .text = "" };
	int err = rows->status;

	if (err == PBX_ECANCELLED) { /* we are being stopped: nothing more is stored */
		cancel_all(extensions);
		return;
	}
	if (err == PBX_EEXIST)
		pbx_diag_set(&diag, "number", "the extension exists");
	else if (err != PBX_OK)
		pbx_diag_set(&diag, "", "%s", rows->error);
	else
		err = take_place(edit, &diag);
	if (err == PBX_OK) {
		publish(edit);
		phone_keys_changed(extensions, edit);
	}
	finish_first(edit, err, &diag);
}

static int store_row(struct edit *edit)
{
	struct extensions *extensions = edit->extensions;
	struct pbx_value values[ACCOUNT_COLUMNS];

	edit->account.updated_us = extensions->host->wall_us(extensions->host);
	edit->stored = account_new(&edit->account);
	if (!edit->stored)
		return PBX_ENOMEM;
	account_values(edit->stored, values);
	if (edit->removes)
		return extensions->store->run(extensions->host, "DELETE FROM extensions_accounts WHERE number = $1", values, 1, on_stored,
					      edit);
	return extensions->store->run(extensions->host, edit->creates ? account_insert_sql : account_upsert_sql, values, ACCOUNT_COLUMNS,
				      on_stored, edit);
}

static void store_first(struct extensions *extensions)
{
	struct edit *edit = extensions->storing;
	const struct account *current = account_find(extensions, edit->account.number);
	struct pbx_diag diag;

	if (!edit->creates && !current) {
		pbx_diag_set(&diag, "number", "extension %s was removed meanwhile", edit->account.number);
		finish_first(edit, PBX_ENOENT, &diag);
		return;
	}
	if (!edit->creates)
		keep_others_changes(edit, current);
	if (store_row(edit) != PBX_OK) {
		pbx_diag_set(&diag, "", "the store takes nothing now; try again");
		finish_first(edit, PBX_EIO, &diag);
	}
}

static void store(struct edit *edit)
{
	struct extensions *extensions = edit->extensions;
	struct edit **at = &extensions->storing;

	while (*at)
		at = &(*at)->next;
	*at = edit;
	if (extensions->storing == edit && !extensions->importing)
		store_first(extensions);
}

void edits_go_on(struct extensions *extensions, int status)
{
	extensions->importing = false;
	if (status == PBX_ECANCELLED)
		cancel_all(extensions);
	else if (extensions->storing)
		store_first(extensions);
}

void edit_remove(struct edit *edit)
{
	edit->removes = true;
	store(edit);
}

static void hash_next(struct edit *edit);

static void on_pin_hashed(void *self, const char *hash)
{
	struct edit *edit = self;

	if (!hash) {
		finish_text(edit, PBX_ENOMEM, "", "the PIN could not be hashed");
		return;
	}
	(void)snprintf(edit->account.pin_hash, sizeof edit->account.pin_hash, "%s", hash);
	explicit_bzero(edit->new_pin, sizeof edit->new_pin);
	hash_next(edit);
}

static void on_password_hashed(void *self, const char *hash)
{
	struct edit *edit = self;

	if (!hash) {
		finish_text(edit, PBX_ENOMEM, "", "the password could not be hashed");
		return;
	}
	(void)snprintf(edit->account.web_hash, sizeof edit->account.web_hash, "%s", hash);
	explicit_bzero(edit->new_password, sizeof edit->new_password);
	hash_next(edit);
}

static void hash_next(struct edit *edit)
{
	const struct pbx_secrets *secrets = edit->extensions->secrets;
	struct pbx_host *host = edit->extensions->host;
	int err = PBX_OK;

	if (edit->new_password[0])
		err = secrets->hash_password(host, edit->new_password, on_password_hashed, edit);
	else if (edit->new_pin[0])
		err = secrets->hash_password(host, edit->new_pin, on_pin_hashed, edit);
	else
		store(edit);
	if (err != PBX_OK)
		finish_text(edit, err, "", "there is no memory");
}

/* A new account without a secret gets a random one: every phone has its own, and nobody chose it. */
static int seal_secret(struct edit *edit)
{
	const struct pbx_secrets *secrets = edit->extensions->secrets;
	char context[64];

	if (edit->creates && !edit->new_secret[0]) {
		if (secrets->random_text(edit->new_secret, ACCOUNT_SECRET_LENGTH) != PBX_OK)
			return PBX_EIO;
		edit->secret_made = true;
	}
	if (!edit->new_secret[0])
		return PBX_OK;

	(void)snprintf(context, sizeof context, "extensions.sip.%s", edit->account.number);
	char *sealed = secrets->seal(edit->new_secret, context);
	if (!sealed)
		return PBX_ENOMEM;
	(void)snprintf(edit->account.sip_secret, sizeof edit->account.sip_secret, "%s", sealed);
	secrets->wipe(sealed);
	return PBX_OK;
}

void edit_run(struct edit *edit)
{
	struct pbx_diag diag = { .text = "" };
	int err = account_check(edit->extensions, &edit->account, &diag);

	if (err == PBX_OK)
		err = check_secrets(edit, &diag);
	if (err == PBX_OK)
		err = check_free(edit, &diag);
	if (err != PBX_OK) {
		finish(edit, err, &diag);
		return;
	}
	err = seal_secret(edit);
	if (err != PBX_OK)
		finish_text(edit, err, "", "the SIP secret could not be made or sealed");
	else
		hash_next(edit);
}
