/*
 * requests - extensions as people see and change them, by REST and by pbxctl
 *
 * An administrator sees all; a user logged in as an extension sees and forwards only that one, and is told 404 of the others.
 */
#include "extensions.h"
#include <stdlib.h>
#include <string.h>

static bool may_see(const struct extensions *extensions, pbx_request request, const char *number)
{
	const char *own = extensions->requests->own_account(request);

	return !own[0] || strcmp(own, number) == 0;
}

/* The account a request names; NULL when it has been refused. */
static const struct account *asked_account(const struct extensions *extensions, pbx_request request)
{
	const char *number = extensions->requests->text(request, "number");
	const struct account *account = account_find(extensions, number);

	if (account && may_see(extensions, request, number))
		return account;
	(void)extensions->requests->fail(request, 404, "not_found", "number", "there is no extension %s", number);
	return NULL;
}

static void set_or_null(const struct pbx_jsons *json, struct pbx_json *object, const char *name, const char *text)
{
	(void)json->set_text(object, name, text[0] ? text : NULL);
}

struct pbx_json *account_describe(const struct extensions *extensions, const struct account *account)
{
	const struct pbx_jsons *json = extensions->json;
	struct pbx_json *object = json->new_object(), *forwarding = json->new_object();

	(void)json->set_text(object, "number", account->number);
	(void)json->set_text(object, "name", account->name);
	set_or_null(json, object, "email", account->email);
	(void)json->set_boolean(object, "registered", extensions->location->is_registered(account->number));
	(void)json->set_boolean(object, "allow_external", account->may_call_outside);
	(void)json->set_text(object, "srtp", srtp_choices[account->srtp]);
	(void)json->set_text(object, "dtmf", dtmf_choices[account->dtmf]);
	(void)json->set_text(object, "t38", t38_choices[account->t38]);
	(void)json->set_text(object, "call_class", class_names[class_of_account(extensions->settings, account)]);
	(void)json->set_boolean(object, "call_waiting", !account->no_waiting);
	(void)json->set_boolean(object, "is_admin", account->is_admin);
	(void)json->set_boolean(object, "dnd", account->dnd);
	for (uint32_t kind = 0; kind < FORWARD_KINDS; kind++)
		set_or_null(json, forwarding, forward_names[kind], account->forward[kind]);
	(void)json->set(object, "forwarding", forwarding);
	set_or_null(json, object, "caller_id", account->caller_id);
	set_or_null(json, object, "pickup_group", account->pickup_group);
	set_or_null(json, object, "music_class", account->music_class);
	set_or_null(json, object, "language", account->language);
	(void)json->set_integer(object, "ring_s", account->ring_s ? account->ring_s : extensions->settings->ring_s);
	(void)json->set_integer(object, "max_contacts", account->max_contacts ? account->max_contacts : extensions->settings->max_contacts);
	(void)json->set_integer(object, "max_calls", account->max_calls ? account->max_calls : extensions->settings->max_calls);
	(void)json->set_integer(object, "max_outgoing", account->max_outgoing ? account->max_outgoing : extensions->settings->max_outgoing);
	(void)json->set_boolean(object, "trusted", account->trusted);
	(void)json->set_boolean(object, "has_password", account->web_hash[0] != '\0');
	(void)json->set_boolean(object, "has_voicemail_pin", account->pin_hash[0] != '\0');
	(void)json->set_time(object, "created_at", account->created_us);
	(void)json->set_time(object, "updated_at", account->updated_us);
	return object;
}

/* ---- looking -------------------------------------------------------------------------- */

struct listing {
	const struct extensions *extensions;
	pbx_request request;
	struct pbx_json *items;
};

static void reply_items(const struct extensions *extensions, pbx_request request, struct pbx_json *items)
{
	struct pbx_json *answer = extensions->json->new_object();

	(void)extensions->json->set(answer, "items", items);
	(void)extensions->requests->reply(request, 200, answer);
}

/* ---- the list of all ------------------------------------------------------------------ */

#define LISTED_AT_ONCE 200u /* accounts; calls go on in between */

/* Which numbers there were when somebody asked; what they are is looked at when it is their turn. */
struct roll {
	struct extensions *extensions;
	pbx_request request;
	struct pbx_json *items;
	uint32_t count, at;
	char numbers[][ACCOUNT_NUMBER + 1];
};

static void call_number(void *context, const struct account *account)
{
	struct roll *roll = context;

	if (may_see(roll->extensions, roll->request, account->number))
		(void)snprintf(roll->numbers[roll->count++], sizeof roll->numbers[0], "%s", account->number);
}

static void roll_free(void *data)
{
	struct roll *roll = data;

	roll->extensions->json->free(roll->items);
	free(roll);
}

static void on_roll(void *self, void *data)
{
	struct extensions *extensions = self;
	struct roll *roll = data;

	for (uint32_t i = 0; i < LISTED_AT_ONCE && roll->at < roll->count; i++) {
		const struct account *account = account_find(extensions, roll->numbers[roll->at++]);

		if (account)
			(void)extensions->json->append(roll->items, account_describe(extensions, account));
	}
	if (roll->at < roll->count && extensions->host->post(extensions->host, on_roll, roll, roll_free) == PBX_OK)
		return;
	if (roll->at < roll->count) {
		(void)extensions->requests->fail(roll->request, 503, "no_memory", NULL, "there is no memory");
	} else {
		reply_items(extensions, roll->request, roll->items);
		roll->items = NULL;
	}
	roll_free(roll);
}

void extensions_on_list(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	struct roll *roll = calloc(1, sizeof *roll + extensions->count * sizeof roll->numbers[0]);

	if (!roll) {
		(void)extensions->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return;
	}
	roll->extensions = extensions;
	roll->request = request;
	roll->items = extensions->json->new_array();
	accounts_each(extensions, call_number, roll);
	on_roll(extensions, roll);
}

/* ---- one of them ---------------------------------------------------------------------- */

void extensions_on_show(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	const struct account *account = asked_account(extensions, request);

	if (account)
		(void)extensions->requests->reply(request, 200, account_describe(extensions, account));
}

static void list_contact(void *context, const struct pbx_contact *contact)
{
	struct listing *listing = context;
	const struct pbx_jsons *json = listing->extensions->json;
	struct pbx_json *item = json->new_object();

	(void)json->set_text(item, "id", contact->id);
	(void)json->set_text(item, "contact", contact->uri);
	(void)json->set_text(item, "received", contact->received);
	(void)json->set_text(item, "transport", contact->transport);
	(void)json->set_text(item, "user_agent", contact->user_agent);
	(void)json->set_time(item, "registered_at", contact->registered_wall_us);
	(void)json->set_time(item, "expires_at", contact->expires_wall_us);
	(void)json->append(listing->items, item);
}

void extensions_on_registrations(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	const struct account *account = asked_account(extensions, request);
	struct listing listing = { extensions, request, NULL };

	if (!account)
		return;
	listing.items = extensions->json->new_array();
	(void)extensions->location->each(account->number, list_contact, &listing);
	reply_items(extensions, request, listing.items);
}

struct contact_search {
	const char *id;
	bool found;
};

static void look_for_contact(void *context, const struct pbx_contact *contact)
{
	struct contact_search *search = context;

	search->found = search->found || strcmp(contact->id, search->id) == 0;
}

void extensions_on_unregister(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	const struct account *account = asked_account(extensions, request);
	struct contact_search search = { extensions->requests->text(request, "id"), false };

	if (!account)
		return;
	(void)extensions->location->each(account->number, look_for_contact, &search);
	if (search.found && extensions->location->remove(extensions->host, search.id) == PBX_OK)
		(void)extensions->requests->reply(request, 204, NULL);
	else
		(void)extensions->requests->fail(request, 404, "not_found", "id", "%s has no registration %s", account->number, search.id);
}

/* ---- changing ------------------------------------------------------------------------- */

static void refuse(const struct edit *edit, int result, const struct pbx_diag *diag)
{
	const struct pbx_requests *requests = edit->extensions->requests;
	const char *field = diag->field[0] ? diag->field : NULL;

	if (result == PBX_EEXIST)
		(void)requests->fail(edit->request, 409, "exists", field, "%s", diag->text);
	else if (result == PBX_EINVAL)
		(void)requests->fail(edit->request, 400, "invalid", field, "%s", diag->text);
	else if (result == PBX_ENOENT)
		(void)requests->fail(edit->request, 404, "not_found", field, "%s", diag->text);
	else
		(void)requests->fail(edit->request, 503, "store_unavailable", NULL, "%s", diag->text);
}

static void on_edited(struct edit *edit, int result, const struct pbx_diag *diag)
{
	const struct extensions *extensions = edit->extensions;
	struct pbx_json *answer;
	char location[64];

	if (result != PBX_OK) {
		refuse(edit, result, diag);
		return;
	}
	if (edit->removes) {
		(void)extensions->requests->reply(edit->request, 204, NULL);
		return;
	}
	answer = account_describe(extensions, account_find(extensions, edit->account.number));
	if (edit->secret_made)
		(void)extensions->json->set_text(answer, "sip_secret", edit->new_secret);
	(void)snprintf(location, sizeof location, "/extensions/%s", edit->account.number);
	if (edit->creates)
		(void)extensions->requests->created(edit->request, location, answer);
	else
		(void)extensions->requests->reply(edit->request, 200, answer);
}

static void take_text(const struct extensions *extensions, pbx_request request, const char *name, char *into, size_t size)
{
	if (extensions->requests->has(request, name)) {
		const char *text = extensions->requests->text(request, name);

		(void)snprintf(into, size, "%s", text ? text : "");
	}
}
#define TAKE(name, into) take_text(extensions, edit->request, name, into, sizeof(into))

/* What the request says, over what the account was. */
static void take_arguments(struct edit *edit)
{
	const struct extensions *extensions = edit->extensions;
	const struct pbx_requests *requests = extensions->requests;
	struct account_draft *account = &edit->account;

	TAKE("name", account->name), TAKE("email", account->email), TAKE("caller_id", account->caller_id);
	TAKE("pickup_group", account->pickup_group), TAKE("music_class", account->music_class), TAKE("language", account->language);
	TAKE("sip_secret", edit->new_secret), TAKE("password", edit->new_password), TAKE("voicemail_pin", edit->new_pin);
	account->may_call_outside = requests->boolean(edit->request, "allow_external", account->may_call_outside);
	account->no_waiting = !requests->boolean(edit->request, "call_waiting", !account->no_waiting);
	if (requests->has(edit->request, "call_class"))
		account->call_class = class_from_name(requests->text(edit->request, "call_class")); /* "default" is none of them */
	if (requests->has(edit->request, "srtp"))
		account->srtp = srtp_from_name(requests->text(edit->request, "srtp"));
	if (requests->has(edit->request, "dtmf"))
		account->dtmf = dtmf_from_name(requests->text(edit->request, "dtmf"));
	if (requests->has(edit->request, "t38"))
		account->t38 = t38_from_name(requests->text(edit->request, "t38"));
	account->is_admin = requests->boolean(edit->request, "is_admin", account->is_admin);
	account->dnd = requests->boolean(edit->request, "dnd", account->dnd);
	account->ring_s = (uint32_t)requests->integer(edit->request, "ring_s", account->ring_s);
	account->max_contacts = (uint32_t)requests->integer(edit->request, "max_contacts", account->max_contacts);
	account->max_calls = (uint32_t)requests->integer(edit->request, "max_calls", account->max_calls);
	account->max_outgoing = (uint32_t)requests->integer(edit->request, "max_outgoing", account->max_outgoing);
	account->trusted = requests->boolean(edit->request, "trusted", account->trusted);
}

static struct edit *edit_for(struct extensions *extensions, pbx_request request, const struct account *from, const char *number)
{
	struct edit *edit = edit_new(extensions, from, number);

	if (!edit) {
		(void)extensions->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	edit->request = request;
	edit->done = on_edited;
	return edit;
}

void extensions_on_create(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	struct edit *edit = edit_for(extensions, request, NULL, extensions->requests->text(request, "number"));

	if (!edit)
		return;
	take_arguments(edit);
	edit_run(edit);
}

void extensions_on_change(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	const struct account *account = asked_account(extensions, request);
	struct edit *edit = account ? edit_for(extensions, request, account, NULL) : NULL;

	if (!edit)
		return;
	take_arguments(edit);
	edit_run(edit);
}

/* A new random secret, shown once; phones with the old one must be told. */
void extensions_on_secret(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	const struct account *account = asked_account(extensions, request);
	struct edit *edit = account ? edit_for(extensions, request, account, NULL) : NULL;

	if (!edit)
		return;
	if (extensions->secrets->random_text(edit->new_secret, ACCOUNT_SECRET_LENGTH) != PBX_OK) {
		(void)extensions->requests->fail(request, 503, "no_random", NULL, "the system gives no random numbers");
		edit_free(edit);
		return;
	}
	edit->secret_made = true;
	edit_run(edit);
}

void extensions_on_forwarding(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	const struct account *account = asked_account(extensions, request);
	struct edit *edit = account ? edit_for(extensions, request, account, NULL) : NULL;

	if (!edit)
		return;
	for (uint32_t kind = 0; kind < FORWARD_KINDS; kind++)
		TAKE(forward_names[kind], edit->account.forward[kind]);
	edit->account.dnd = extensions->requests->boolean(request, "dnd", edit->account.dnd);
	edit_run(edit);
}

/* ---- removing ------------------------------------------------------------------------- */

void extensions_on_remove(void *self, pbx_request request)
{
	struct extensions *extensions = self;
	const struct account *account = asked_account(extensions, request);
	struct edit *edit = account ? edit_for(extensions, request, account, NULL) : NULL;

	if (edit)
		edit_remove(edit);
}
