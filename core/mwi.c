/*
 * mwi.c - message counts of mailboxes: who states them, and who wants to know
 *
 * A mailbox belongs to the owner that states it and is forgotten with it. A fresh version of the same plugin takes its mailboxes over by stating them, and a
 * plugin that keeps a mailbox takes it from one that only spoke for somebody outside (provisional). Every extension may have one, so there is a table.
 */
#include "mwi.h"
#include "listeners.h"
#include "overlap.h"
#include <stdlib.h>
#include <string.h>

#define CHAINS 1024u

struct mailbox {
	struct mailbox *next;
	struct core_charge charge;
	struct pbx_mailbox says;
	char number[64];
};

static struct mailbox *chains[CHAINS];
static struct core_listener *listeners;

static struct mailbox **chain_of(const char *number)
{
	uint32_t hash = 2166136261u;

	for (; *number; number++)
		hash = (hash ^ (uint8_t)*number) * 16777619u;
	return &chains[(hash ^ hash >> 15) % CHAINS];
}

static struct mailbox *find(const char *number)
{
	struct mailbox *mailbox = *chain_of(number);

	while (mailbox && strcmp(mailbox->number, number) != 0)
		mailbox = mailbox->next;
	return mailbox;
}

static struct pbx_mailbox shown(const struct mailbox *mailbox)
{
	struct pbx_mailbox says = mailbox->says;

	says.size = sizeof says;
	says.number = mailbox->number;
	says.owner = core_owner_name(mailbox->charge.owner);
	return says;
}

static void tell(const struct pbx_mailbox *says)
{
	CORE_LISTENERS_TELL(listeners, pbx_mailbox_fn, says);
}

static void revoke_mailbox(struct core_charge *charge)
{
	struct mailbox *mailbox = (struct mailbox *)((char *)charge - offsetof(struct mailbox, charge));
	struct mailbox **at = chain_of(mailbox->number);
	const struct pbx_mailbox none = { .size = sizeof none, .number = mailbox->number, .owner = core_owner_name(charge->owner) };

	core_charge_remove(charge);
	while (*at != mailbox)
		at = &(*at)->next;
	*at = mailbox->next;
	tell(&none);
	free(mailbox);
}

/* May this owner state a mailbox that is known already? */
static bool may_take(const struct pbx_host *host, const struct mailbox *mailbox, const struct pbx_mailbox *stated)
{
	const struct pbx_host *owner = mailbox->charge.owner;

	return owner == host || strcmp(core_owner_name(owner), core_owner_name(host)) == 0 ||
	       (mailbox->says.provisional && !stated->provisional);
}

static struct mailbox *mailbox_new(const char *number)
{
	struct mailbox *mailbox = calloc(1, sizeof *mailbox), **chain = chain_of(number);

	if (!mailbox)
		return NULL;
	(void)snprintf(mailbox->number, sizeof mailbox->number, "%s", number);
	mailbox->next = *chain;
	*chain = mailbox;
	return mailbox;
}

static bool says_the_same(const struct pbx_mailbox *a, const struct pbx_mailbox *b)
{
	return a->new_voice == b->new_voice && a->old_voice == b->old_voice && a->new_urgent == b->new_urgent &&
	       a->old_urgent == b->old_urgent && a->new_fax == b->new_fax && a->old_fax == b->old_fax;
}

static int state(struct pbx_host *host, const struct pbx_mailbox *given)
{
	struct pbx_mailbox stated = { .size = 0 };
	struct mailbox *mailbox;
	bool is_known;

	if (!given || given->size > 1024)
		return PBX_EINVAL;
	core_copy_overlap(&stated, sizeof stated, given, given->size);
	if (!stated.number || !stated.number[0] || strlen(stated.number) >= sizeof mailbox->number ||
	    stated.new_urgent > stated.new_voice || stated.old_urgent > stated.old_voice)
		return PBX_EINVAL;
	mailbox = find(stated.number);
	is_known = mailbox;
	if (mailbox && !may_take(host, mailbox, &stated))
		return PBX_EEXIST;
	if (!mailbox && !(mailbox = mailbox_new(stated.number)))
		return PBX_ENOMEM;
	if (mailbox->charge.owner != host) {
		core_charge_remove(&mailbox->charge); /* a new one has none */
		core_charge_add(host, &mailbox->charge, "mailbox", false, revoke_mailbox);
	}
	bool changes = !is_known || !says_the_same(&mailbox->says, &stated);
	mailbox->says = stated;
	if (changes) {
		stated = shown(mailbox);
		tell(&stated);
	}
	return PBX_OK;
}

static int withdraw(struct pbx_host *host, const char *number)
{
	struct mailbox *mailbox = number ? find(number) : NULL;

	if (!mailbox || mailbox->charge.owner != host)
		return PBX_ENOENT;
	revoke_mailbox(&mailbox->charge);
	return PBX_OK;
}

static int listen_to_mailboxes(struct pbx_host *host, pbx_mailbox_fn changed, void *self)
{
	return core_listeners_add(&listeners, host, "listener of mailboxes", (core_listener_fn)changed, self);
}

static uint32_t each_mailbox(const char *number, pbx_mailbox_fn each, void *context)
{
	const struct mailbox *one = number ? find(number) : NULL;
	struct pbx_mailbox says;
	uint32_t count = 0;

	if (one) {
		says = shown(one);
		each(context, &says);
		count++;
	}
	for (uint32_t i = 0; !number && i < CHAINS; i++)
		for (const struct mailbox *mailbox = chains[i], *next; mailbox; mailbox = next) {
			next = mailbox->next;
			says = shown(mailbox);
			each(context, &says);
			count++;
		}
	return count;
}

const struct pbx_mwi core_mwi_service = {
	.header = PBX_HEADER(struct pbx_mwi),
	.state = state,
	.withdraw = withdraw,
	.listen = listen_to_mailboxes,
	.each = each_mailbox,
};
