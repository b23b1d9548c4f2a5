/*
 * directory - pbx.directory/1: whose account is it, and do the credentials fit?
 */
#include "extensions.h"
#include <stdlib.h>
#include <string.h>

const char *const srtp_choices[SRTP_CHOICES] = { "default", "off", "optional", "required", "dtls" };

const char *const dtmf_choices[DTMF_CHOICES] = { "auto", "rfc4733", "info", "inband" };

const char *const t38_choices[T38_CHOICES] = { "auto", "off", "pass", "gateway" };

/* The place of a name; 0 for what is none of them. */
static uint32_t place_of(const char *name, const char *const *choices, uint32_t count)
{
	uint32_t choice = count - 1;

	while (choice > 0 && strcmp(choices[choice], name) != 0)
		choice--;
	return choice;
}

uint32_t srtp_from_name(const char *name)
{
	return place_of(name, srtp_choices, SRTP_CHOICES);
}

uint32_t dtmf_from_name(const char *name)
{
	return place_of(name, dtmf_choices, DTMF_CHOICES);
}

uint32_t t38_from_name(const char *name)
{
	return place_of(name, t38_choices, T38_CHOICES);
}

static void fill(const struct extensions *extensions, const struct account *account, struct pbx_account *ret_account)
{
	const struct extension_settings *settings = extensions->settings;
	const struct pbx_account whole = {
		.size = ret_account->size,
		.number = account->number,
		.name = account->name,
		.email = account->email,
		.language = account->language,
		.music_class = account->music_class,
		.pickup_group = account->pickup_group,
		.outbound_caller_id = account->caller_id,
		.max_contacts = account->max_contacts ? account->max_contacts : settings->max_contacts,
		.max_calls = account->max_calls ? account->max_calls : settings->max_calls,
		.ring_s = account->ring_s ? account->ring_s : settings->ring_s,
		.may_call_outside = account->may_call_outside,
		.is_admin = account->is_admin,
		.dnd = account->dnd,
		.trusted = account->trusted,
		.max_outgoing = account->max_outgoing ? account->max_outgoing : settings->max_outgoing,
		.call_class = PBX_CLASS_INTERNAL + class_of_account(settings, account),
		.srtp = account->srtp ? srtp_choices[account->srtp] : "",
		.dtmf = dtmf_choices[account->dtmf],
		.t38 = t38_choices[account->t38],
	};

	memcpy(ret_account, &whole, ret_account->size < sizeof whole ? ret_account->size : sizeof whole);
}

static int directory_find(void *self, const char *user, struct pbx_account *ret_account)
{
	const struct extensions *extensions = self;
	const struct account *account = account_find(extensions, user);

	if (!account)
		return PBX_ENOENT;
	fill(extensions, account, ret_account);
	return PBX_OK;
}

#define DECOY "decoy" /* no number is spelt so */

int directory_load(struct extensions *extensions)
{
	char secret[ACCOUNT_SECRET_LENGTH + 1];

	if (extensions->secrets->random_text(secret, ACCOUNT_SECRET_LENGTH) != PBX_OK)
		return PBX_EIO;
	extensions->decoy = extensions->secrets->seal(secret, "extensions.sip." DECOY);
	explicit_bzero(secret, sizeof secret);
	return extensions->decoy ? PBX_OK : PBX_ENOMEM;
}

void directory_unload(struct extensions *extensions)
{
	extensions->secrets->wipe(extensions->decoy);
	extensions->decoy = NULL;
}

/* For a number that nobody has the same is done with a secret that nobody has: how long an answer takes tells no stranger which numbers exist. */
static int directory_digest(void *self, const char *user, const char *realm, uint32_t algorithm, char ret_ha1[65])
{
	const struct extensions *extensions = self;
	const struct account *account = account_find(extensions, user);
	char context[64], text[512];

	(void)snprintf(context, sizeof context, "extensions.sip.%s", account ? account->number : DECOY);
	char *secret = extensions->secrets->open(account ? account->sip_secret : extensions->decoy, context);
	if (!secret)
		return PBX_ENOENT;

	int length = snprintf(text, sizeof text, "%s:%s:%s", user, realm, secret);
	extensions->secrets->wipe(secret);
	int err = length < (int)sizeof text ? extensions->secrets->digest(algorithm, text, (size_t)length, ret_ha1) : PBX_EINVAL;
	explicit_bzero(text, sizeof text);
	if (!account) {
		explicit_bzero(ret_ha1, 65);
		return PBX_ENOENT;
	}
	return err;
}

/* ---- the web password ----------------------------------------------------------------- */

struct password_check {
	void (*done)(void *context, int result);
	void *context;
};

static void on_checked(void *self, int result)
{
	struct password_check *check = self;

	check->done(check->context, result);
	free(check);
}

static int directory_check_password(void *self, const char *user, const char *password, void (*done)(void *context, int result),
				    void *context)
{
	struct extensions *extensions = self;
	const struct account *account = account_find(extensions, user);
	struct password_check *check = malloc(sizeof *check);

	if (!check)
		return PBX_ENOMEM;
	*check = (struct password_check){ done, context };
	/* Without an account or a password the check refuses after as long a time: nobody learns which numbers exist. */
	const char *hash = account && account->web_hash[0] ? account->web_hash : NULL;
	int err = extensions->secrets->check_password(extensions->host, password, hash, on_checked, check);
	if (err != PBX_OK)
		free(check);
	return err;
}

struct walk {
	const struct extensions *extensions;
	void (*each)(void *context, const struct pbx_account *account);
	void *context;
};

static void walk_one(void *context, const struct account *account)
{
	const struct walk *walk = context;
	struct pbx_account filled = { .size = sizeof filled };

	fill(walk->extensions, account, &filled);
	walk->each(walk->context, &filled);
}

static void directory_each(void *self, void (*each)(void *context, const struct pbx_account *account), void *context)
{
	struct walk walk = { self, each, context };

	accounts_each(walk.extensions, walk_one, &walk);
}

const void *directory_offer(void *self, const char *id)
{
	struct extensions *extensions = self;

	(void)id; /* the only one we offer */
	extensions->service = (struct pbx_directory){
		.header = PBX_HEADER(struct pbx_directory),
		.self = self,
		.find = directory_find,
		.digest = directory_digest,
		.check_password = directory_check_password,
		.each = directory_each,
	};
	return &extensions->service;
}
