/*
 * mailboxes - message counts that somebody states by REST or pbxctl: for a voicemail that is no plugin of this PBX
 *
 * The counts are kept in the store, for who stated them will not say them again after our restart. They are provisional: a plugin that keeps a mailbox itself
 * states it instead of us, and then nobody else may. What phones are told of it is message_summary.c.
 */
#include "presence.h"
#include <stdlib.h>
#include <string.h>

/* As the table has it, until we have started. */
struct stated {
	struct stated *next;
	struct pbx_mailbox says;
	char number[NUMBER_SIZE];
};

struct mailbox_listing {
	struct presence *presence;
	const char *asker;
	struct pbx_json *list;
};

/* ---- asked and stated ------------------------------------------------------------------ */

static void describe(void *context, const struct pbx_mailbox *mailbox)
{
	const struct mailbox_listing *listing = context;
	const struct pbx_jsons *json = listing->presence->json;
	struct pbx_json *object = json->new_object();

	if (listing->asker[0] && !may_see_mailbox(listing->presence, listing->asker, mailbox->number)) {
		json->free(object);
		return;
	}
	(void)json->set_text(object, "mailbox", mailbox->number); /* no memory shows as a member missing */
	(void)json->set_integer(object, "new", mailbox->new_voice);
	(void)json->set_integer(object, "old", mailbox->old_voice);
	(void)json->set_integer(object, "new_urgent", mailbox->new_urgent);
	(void)json->set_integer(object, "old_urgent", mailbox->old_urgent);
	(void)json->set_integer(object, "new_fax", mailbox->new_fax);
	(void)json->set_integer(object, "old_fax", mailbox->old_fax);
	(void)json->set_text(object, "owner", mailbox->owner);
	(void)json->append(listing->list, object);
}

void mailboxes_on_list(void *self, pbx_request request)
{
	struct presence *presence = self;
	struct mailbox_listing listing = { presence, presence->requests->own_account(request), presence->json->new_array() };

	(void)presence->mwi->each(NULL, describe, &listing);
	(void)presence->requests->reply(request, 200, listing.list); /* the asker may have left */
}

/* Answers with the one mailbox, if it is there and the asker may see it. */
static void reply_with(struct presence *presence, pbx_request request, const char *number)
{
	const struct pbx_jsons *json = presence->json;
	struct mailbox_listing listing = { presence, presence->requests->own_account(request), json->new_array() };

	if (listing.asker[0] && !may_see_mailbox(presence, listing.asker, number))
		(void)presence->requests->fail(request, 403, "not_permitted", "mailbox",
					       "the setting presence.mailboxes does not let %.40s see %.40s", listing.asker, number);
	else if (presence->mwi->each(number, describe, &listing) == 0)
		(void)presence->requests->fail(request, 404, "no_such_mailbox", "mailbox",
					       "nobody has stated messages of mailbox %.40s; a voicemail, or mwi set, would", number);
	else
		(void)presence->requests->reply(request, 200, json->copy(json->at(listing.list, 0))); /* the asker may have left */
	json->free(listing.list);
}

void mailboxes_on_show(void *self, pbx_request request)
{
	struct presence *presence = self;

	reply_with(presence, request, presence->requests->text(request, "mailbox"));
}

static void store(const struct presence *presence, const struct pbx_mailbox *says)
{
	const struct pbx_value params[] = { pbx_v_text(says->number),    PBX_V_INT(says->new_voice),  PBX_V_INT(says->old_voice),
					    PBX_V_INT(says->new_urgent), PBX_V_INT(says->old_urgent), PBX_V_INT(says->new_fax),
					    PBX_V_INT(says->old_fax) };

	if (presence->store->record(
		    presence->host,
		    "INSERT INTO presence_mailboxes (number, new_voice, old_voice, new_urgent, old_urgent, new_fax, old_fax) "
		    "VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT (number) DO UPDATE SET new_voice = $2, old_voice = $3, "
		    "new_urgent = $4, old_urgent = $5, new_fax = $6, old_fax = $7",
		    params, 7, NULL, NULL) != PBX_OK)
		pbx_warn(presence->host, "message_counts_not_stored", "mailbox=%s", says->number);
}

/* True when nobody but us states it; else the asker has been told who does. */
static bool is_ours(struct presence *presence, pbx_request request, int err, const char *number)
{
	if (err == PBX_EEXIST)
		(void)presence->requests->fail(request, 409, "kept_by_plugin", "mailbox",
					       "a plugin keeps mailbox %.40s and states its messages; mwi show tells which", number);
	return err != PBX_EEXIST;
}

void mailboxes_on_set(void *self, pbx_request request)
{
	struct presence *presence = self;
	const struct pbx_requests *requests = presence->requests;
	const char *own = requests->own_account(request);
	const struct pbx_mailbox says = {
		.size = sizeof says,
		.number = requests->text(request, "mailbox"),
		.new_voice = (uint32_t)requests->integer(request, "new", 0),
		.old_voice = (uint32_t)requests->integer(request, "old", 0),
		.new_urgent = (uint32_t)requests->integer(request, "new_urgent", 0),
		.old_urgent = (uint32_t)requests->integer(request, "old_urgent", 0),
		.new_fax = (uint32_t)requests->integer(request, "new_fax", 0),
		.old_fax = (uint32_t)requests->integer(request, "old_fax", 0),
		.provisional = true,
	};
	if (own[0] && strcmp(own, says.number) != 0) {
		(void)requests->fail(request, 403, "not_own", "mailbox", "%.40s may state messages of mailbox %.40s only", own, own);
		return;
	}
	int err = presence->mwi->state(presence->host, &says);

	if (!is_ours(presence, request, err, says.number))
		return;
	if (err == PBX_EINVAL)
		(void)requests->fail(request, 422, "more_urgent_than_all", says.new_urgent > says.new_voice ? "new_urgent" : "old_urgent",
				     "urgent messages are counted in new and old, too: there cannot be more of them");
	else if (err != PBX_OK)
		(void)requests->fail(request, 503, "no_memory", NULL, "there is no memory; try again");
	if (err != PBX_OK)
		return;
	store(presence, &says);
	reply_with(presence, request, says.number);
}

void mailboxes_on_clear(void *self, pbx_request request)
{
	struct presence *presence = self;
	const char *number = presence->requests->text(request, "mailbox");
	const struct pbx_value param = pbx_v_text(number);
	int err = presence->mwi->withdraw(presence->host, number);

	if (err != PBX_OK) {
		(void)presence->requests->fail(request, 404, "not_stated", "mailbox", "nobody has stated messages of %.40s by mwi set",
					       number);
		return;
	}
	if (presence->store->record(presence->host, "DELETE FROM presence_mailboxes WHERE number = $1", &param, 1, NULL, NULL) != PBX_OK)
		pbx_warn(presence->host, "message_counts_not_removed", "mailbox=%s", number);
	(void)presence->requests->reply(request, 204, NULL); /* the asker may have left */
}

/* ---- kept over a restart ---------------------------------------------------------------- */

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct presence *presence = self;

	for (uint32_t row = 0; rows->status == PBX_OK && row < rows->count; row++) {
		struct stated *stated = calloc(1, sizeof *stated);

		if (!stated)
			break; /* they are stated again when they change */
		(void)snprintf(stated->number, sizeof stated->number, "%s", pbx_cell_text(rows, row, 0));
		stated->says = (struct pbx_mailbox){
			.size = sizeof stated->says,
			.number = stated->number,
			.new_voice = (uint32_t)pbx_cell_int(rows, row, 1),
			.old_voice = (uint32_t)pbx_cell_int(rows, row, 2),
			.new_urgent = (uint32_t)pbx_cell_int(rows, row, 3),
			.old_urgent = (uint32_t)pbx_cell_int(rows, row, 4),
			.new_fax = (uint32_t)pbx_cell_int(rows, row, 5),
			.old_fax = (uint32_t)pbx_cell_int(rows, row, 6),
			.provisional = true,
		};
		stated->next = presence->stated;
		presence->stated = stated;
	}
	presence->host->ready(presence->host, rows->status, rows->error);
}

int mailboxes_load(struct presence *presence)
{
	int err = presence->store->run(
		presence->host, "SELECT number, new_voice, old_voice, new_urgent, old_urgent, new_fax, old_fax FROM presence_mailboxes",
		NULL, 0, on_rows, presence);

	return err == PBX_OK ? PBX_ELATER : err;
}

void mailboxes_start(struct presence *presence)
{
	for (struct stated *stated = presence->stated; stated; stated = stated->next)
		(void)presence->mwi->state(presence->host, &stated->says); /* a plugin may keep it by now: it knows better */
	mailboxes_free(presence);
}

void mailboxes_free(struct presence *presence)
{
	for (struct stated *stated = presence->stated, *next; stated; stated = next) {
		next = stated->next;
		free(stated);
	}
	presence->stated = NULL;
}
