/*
 * message_summary - package "message-summary" (RFC 3842): how many messages wait, told to phones that ask and to phones that do not
 *
 * Many phones light their lamp without a subscription. So a registered phone of an account that watches its mailbox with none of its phones is told when
 * the counts change, and when it registers. A mailbox of which nobody knows has no messages: phones subscribe before a voicemail is there.
 */
#include "presence.h"
#include <stdlib.h>
#include <string.h>

#define PACKAGE "message-summary"

static const char *const types[] = { "application/simple-message-summary" };

struct writing {
	const char *domain; /* "": addresses are left out */
	char text[400];
};

static void write_counts(void *context, const struct pbx_mailbox *mailbox)
{
	struct writing *writing = context;
	int used = snprintf(writing->text, sizeof writing->text, "Messages-Waiting: %s\r\n",
			    mailbox->new_voice + mailbox->new_fax > 0 ? "yes" : "no");

	if (writing->domain[0])
		used += snprintf(writing->text + used, sizeof writing->text - (size_t)used, "Message-Account: sip:%s@%s\r\n",
				 mailbox->number, writing->domain);
	used += snprintf(writing->text + used, sizeof writing->text - (size_t)used, "Voice-Message: %u/%u (%u/%u)\r\n", mailbox->new_voice,
			 mailbox->old_voice, mailbox->new_urgent, mailbox->old_urgent);
	if (mailbox->new_fax + mailbox->old_fax > 0)
		(void)snprintf(writing->text + used, sizeof writing->text - (size_t)used, "Fax-Message: %u/%u\r\n", mailbox->new_fax,
			       mailbox->old_fax);
}

static void write_summary(const struct presence *presence, const char *number, const char *domain, struct writing *ret_writing)
{
	*ret_writing = (struct writing){ .domain = domain, .text = "Messages-Waiting: no\r\n" };
	(void)presence->mwi->each(number, write_counts, ret_writing);
}

static void note_mailbox(void *context, const struct pbx_mailbox *mailbox)
{
	(void)context, (void)mailbox; /* that there is one is counted */
}

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	struct presence *presence = self;

	if (!is_account(presence, info->resource) && !presence->mwi->each(info->resource, note_mailbox, NULL))
		return PBX_ENOENT;
	return may_see_mailbox(presence, info->watcher, info->resource) ? PBX_OK : PBX_EPERM;
}

static int write_document(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	struct presence *presence = self;
	struct writing writing;

	(void)since;
	write_summary(presence, info->resource, info->domain, &writing);
	free(presence->head);
	presence->head = strdup(writing.text);
	ret_document->head = presence->head;
	ret_document->tail = NULL;
	return presence->head ? PBX_OK : PBX_ENOMEM;
}

/* ---- phones that do not ask ------------------------------------------------------------- */

struct search {
	const char *account;
	bool found;
};

static void look_for_own(void *context, const struct pbx_watch_info *info)
{
	struct search *search = context;

	search->found = search->found || strcmp(info->watcher, search->account) == 0;
}

static void tell_phones(const struct presence *presence, const char *number)
{
	struct search search = { .account = number };
	struct writing writing;

	if (!presence->settings->tell_phones)
		return;
	presence->notifier->each(PACKAGE, number, look_for_own, &search);
	if (search.found)
		return;
	write_summary(presence, number, "", &writing);
	(void)presence->notifier->tell(presence->host, number, PACKAGE, types[0], writing.text); /* none may be registered */
}

static void on_mailbox(void *self, const struct pbx_mailbox *mailbox)
{
	struct presence *presence = self;
	struct pbx_json *data = presence->json->new_object();

	(void)presence->json->set_text(data, "mailbox", mailbox->number);
	(void)presence->json->set_integer(data, "new", mailbox->new_voice);
	(void)presence->json->set_integer(data, "old", mailbox->old_voice);
	(void)presence->json->set_integer(data, "new_urgent", mailbox->new_urgent);
	(void)presence->json->set_text(data, "owner", mailbox->owner);
	(void)presence->bus->publish(presence->host, "mwi.changed", (pbx_call){ 0 }, data);
	(void)presence->notifier->changed(presence->host, PACKAGE, mailbox->number); /* nobody may be watching */
	tell_phones(presence, mailbox->number);
}

static void on_registered(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	const char *account = presence->json->text(presence->json->get(event->data, "aor"));

	if (account && presence->mwi->each(account, note_mailbox, NULL) > 0)
		tell_phones(presence, account);
}

int message_summary_start(struct presence *presence)
{
	const struct pbx_event_package package = {
		.size = sizeof package,
		.name = PACKAGE,
		.content_types = { types, 1 },
		.takes_lists = true,
		.subscribed = on_subscribed,
		.write = write_document,
	};
	pbx_subscription subscription;
	int err = presence->bus->subscribe(presence->host, "registration.added", on_registered, presence, &subscription);

	mailboxes_start(presence); /* before we listen: these are no news */
	if (err == PBX_OK)
		err = presence->mwi->listen(presence->host, on_mailbox, presence);
	return err == PBX_OK ? presence->notifier->package(presence->host, &package, presence) : err;
}
