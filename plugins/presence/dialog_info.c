/*
 * dialog_info - package "dialog" (RFC 4235): the calls of a line for busy lamps
 *
 * The dialog is named as we know our side of it: a watcher that puts this into Replaces (RFC 3891) and sends its INVITE to us takes the call that rings. Who
 * may not know the parties sees state and direction only, and nothing to pick up with. A number with a lamp of its own (pbx/lamps.h) is shown as one call.
 */
#include "presence.h"
#include <string.h>

#define VIEW_HIDDEN 0u
#define VIEW_PARTIES 1u

static const char *const types[] = { "application/dialog-info+xml" };

static void note_lamp(void *context, const struct pbx_lamp *lamp)
{
	(void)context, (void)lamp; /* that there is one is counted */
}

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	struct presence *presence = self;

	if (!is_account(presence, info->resource) && !presence->lamps->each(info->resource, note_lamp, NULL))
		return PBX_ENOENT;
	return may_watch(presence, info->watcher, info->resource) ? PBX_OK : PBX_EPERM;
}

static uint32_t view_of(void *self, const struct pbx_watch_info *info)
{
	return may_know_parties(self, info->watcher, info->resource) ? VIEW_PARTIES : VIEW_HIDDEN;
}

/* ---- the document --------------------------------------------------------------------- */

struct writing {
	struct xml xml;
	const struct pbx_watch_info *info;
	bool parties;
};

static void write_party(struct writing *writing, const char *role, const char *number, const char *name)
{
	char uri[200];

	(void)snprintf(uri, sizeof uri, "sip:%s@%s", number, writing->info->domain);
	xml_start(&writing->xml, role);
	xml_start(&writing->xml, "identity");
	xml_attribute(&writing->xml, "display", name);
	xml_string(&writing->xml, uri);
	xml_end(&writing->xml);
	xml_start(&writing->xml, "target");
	xml_attribute(&writing->xml, "uri", uri);
	xml_end(&writing->xml);
	xml_end(&writing->xml);
}

static void write_call(struct writing *writing, const struct line_call *call)
{
	struct xml *xml = &writing->xml;

	xml_start(xml, "dialog");
	xml_attribute(xml, "id", call->leg_id);
	if (writing->parties) {
		xml_attribute(xml, "call-id", call->protocol_id);
		xml_attribute(xml, "local-tag", call->local_tag);
		xml_attribute(xml, "remote-tag", call->remote_tag);
	}
	xml_attribute(xml, "direction", call->initiator ? "initiator" : "recipient");
	xml_text(xml, "state", call->state);
	if (writing->parties && line_is_live(call)) {
		write_party(writing, "local", writing->info->resource, "");
		if (call->remote[0])
			write_party(writing, "remote", call->remote, call->remote_name);
	}
	xml_end(xml);
}

static void write_lamp(void *context, const struct pbx_lamp *lamp)
{
	struct writing *writing = context;

	if (lamp->state == PBX_LAMP_OFF)
		return;
	xml_start(&writing->xml, "dialog");
	xml_attribute(&writing->xml, "id", lamp->number);
	xml_attribute(&writing->xml, "direction", "recipient");
	xml_text(&writing->xml, "state", lamp->state == PBX_LAMP_ON ? "confirmed" : "early");
	if (writing->parties && lamp->remote[0]) {
		write_party(writing, "local", lamp->number, "");
		write_party(writing, "remote", lamp->remote, lamp->remote_name);
	}
	xml_end(&writing->xml);
}

static int write_document(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	struct presence *presence = self;
	const struct line *line = line_find(presence, info->resource);
	bool has_lamp = presence->lamps->each(info->resource, note_lamp, NULL) > 0;
	bool full = since == 0 || has_lamp || (line && since < line->floor);
	struct writing writing = { .info = info, .parties = view_of(self, info) == VIEW_PARTIES };
	char entity[200];

	if (!xml_begin(&writing.xml))
		return PBX_ENOMEM;
	(void)snprintf(entity, sizeof entity, "sip:%s@%s", info->resource, info->domain);
	xml_start(&writing.xml, "dialog-info");
	xml_attribute(&writing.xml, "xmlns", "urn:ietf:params:xml:ns:dialog-info");
	xml_attribute(&writing.xml, "version", "#");
	xml_attribute(&writing.xml, "state", full ? "full" : "partial");
	xml_attribute(&writing.xml, "entity", entity);
	for (const struct line_call *call = line ? line->calls : NULL; call; call = call->next)
		if (full ? line_is_live(call) : call->changed > since)
			write_call(&writing, call);
	(void)presence->lamps->each(info->resource, write_lamp, &writing);
	xml_end(&writing.xml);
	ret_document->stamp = presence->stamp;
	return xml_finish(presence, &writing.xml, ret_document);
}

int dialog_info_start(struct presence *presence)
{
	const struct pbx_event_package package = {
		.size = sizeof package,
		.name = "dialog",
		.content_types = { types, 1 },
		.takes_lists = true,
		.subscribed = on_subscribed,
		.view = view_of,
		.write = write_document,
	};

	return presence->notifier->package(presence->host, &package, presence);
}
