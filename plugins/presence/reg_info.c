/*
 * reg_info - package "reg" (RFC 3680): where somebody's phones are registered
 *
 * For systems that follow a line, and for phones that want to know that the registrar has thrown them out. Every document is a full one. A contact that has
 * gone is in it, with the reason, for those who have seen it; the last REMEMBERED of all accounts are known, and who missed one sees that it is not there. A
 * refresh changes nothing that is shown but the time left, and is not told.
 */
#include "presence.h"
#include <string.h>

static const char *const types[] = { "application/reginfo+xml" };

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	if (!is_account(self, info->resource))
		return PBX_ENOENT;
	return may_see_registrations(self, info->watcher, info->resource) ? PBX_OK : PBX_EPERM;
}

/* ---- the document --------------------------------------------------------------------- */

struct writing {
	struct presence *presence;
	struct xml xml;
};

static void write_number(struct xml *xml, const char *name, int64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%lld", (long long)(number > 0 ? number : 0));
	xml_attribute(xml, name, text);
}

static void write_contact(void *context, const struct pbx_contact *contact)
{
	struct writing *writing = context;
	int64_t now_us = writing->presence->host->wall_us(writing->presence->host);
	char q[16];

	xml_start(&writing->xml, "contact");
	xml_attribute(&writing->xml, "id", contact->id);
	xml_attribute(&writing->xml, "state", "active");
	xml_attribute(&writing->xml, "event", "registered");
	write_number(&writing->xml, "duration-registered", (now_us - contact->registered_wall_us) / 1000000);
	write_number(&writing->xml, "expires", (contact->expires_wall_us - now_us) / 1000000);
	(void)snprintf(q, sizeof q, "%u.%03u", contact->q_milli / 1000, contact->q_milli % 1000);
	xml_attribute(&writing->xml, "q", q);
	xml_text(&writing->xml, "uri", contact->uri);
	xml_end(&writing->xml);
}

static void write_gone(struct writing *writing, const struct gone_contact *gone)
{
	xml_start(&writing->xml, "contact");
	xml_attribute(&writing->xml, "id", gone->id);
	xml_attribute(&writing->xml, "state", "terminated");
	xml_attribute(&writing->xml, "event", gone->event);
	xml_text(&writing->xml, "uri", gone->uri);
	xml_end(&writing->xml);
}

static int write_document(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	struct presence *presence = self;
	struct writing writing = { .presence = presence };
	char aor[200];

	if (!xml_begin(&writing.xml))
		return PBX_ENOMEM;
	(void)snprintf(aor, sizeof aor, "sip:%s@%s", info->resource, info->domain);
	xml_start(&writing.xml, "reginfo");
	xml_attribute(&writing.xml, "xmlns", "urn:ietf:params:xml:ns:reginfo");
	xml_attribute(&writing.xml, "version", "#");
	xml_attribute(&writing.xml, "state", "full");
	xml_start(&writing.xml, "registration");
	xml_attribute(&writing.xml, "aor", aor);
	xml_attribute(&writing.xml, "id", info->resource);
	xml_attribute(&writing.xml, "state", presence->location->is_registered(info->resource) ? "active" : since ? "terminated" : "init");
	(void)presence->location->each(info->resource, write_contact, &writing);
	for (uint32_t i = 0; since > 0 && i < REMEMBERED; i++)
		if (presence->gone[i].stamp > since && strcmp(presence->gone[i].account, info->resource) == 0)
			write_gone(&writing, &presence->gone[i]);
	xml_end(&writing.xml);
	xml_end(&writing.xml);
	ret_document->stamp = presence->stamp;
	return xml_finish(presence, &writing.xml, ret_document);
}

/* ---- what happens ---------------------------------------------------------------------- */

/* The words of RFC 3680 5.1 for those of our registrar. */
static const char *event_of(const char *reason)
{
	static const struct {
		const char *ours, *theirs;
	} words[] = { { "expired", "expired" }, { "unregistered", "unregistered" }, { "replaced", "unregistered" } };

	for (size_t i = 0; reason && i < sizeof words / sizeof words[0]; i++)
		if (strcmp(reason, words[i].ours) == 0)
			return words[i].theirs;
	return "deactivated"; /* we have removed it: the phone may register again */
}

static void on_removed(struct presence *presence, const char *account, const struct pbx_event *event)
{
	const struct pbx_jsons *json = presence->json;
	const char *id = json->text(json->get(event->data, "id")), *uri = json->text(json->get(event->data, "contact"));
	struct gone_contact *gone = &presence->gone[presence->gone_count++ % REMEMBERED];

	(void)snprintf(gone->account, sizeof gone->account, "%s", account);
	(void)snprintf(gone->id, sizeof gone->id, "%s", id ? id : "");
	(void)snprintf(gone->uri, sizeof gone->uri, "%s", uri ? uri : "");
	gone->event = event_of(json->text(json->get(event->data, "reason")));
	gone->stamp = presence->stamp;
}

static void on_registration(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	const char *account = presence->json->text(presence->json->get(event->data, "aor"));

	if (!account || presence->notifier->watchers("reg", account) == 0)
		return;
	presence->stamp++;
	if (strcmp(event->type, "registration.removed") == 0)
		on_removed(presence, account, event);
	(void)presence->notifier->changed(presence->host, "reg", account); /* somebody watches */
}

int reg_info_start(struct presence *presence)
{
	const struct pbx_event_package package = {
		.size = sizeof package,
		.name = "reg",
		.content_types = { types, 1 },
		.subscribed = on_subscribed,
		.write = write_document,
	};
	pbx_subscription subscription;
	int err = presence->bus->subscribe(presence->host, "registration.added,registration.removed", on_registration, presence,
					   &subscription);

	return err == PBX_OK ? presence->notifier->package(presence->host, &package, presence) : err;
}
