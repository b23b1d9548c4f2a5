/*
 * pidf - package "presence" (RFC 3856): PIDF (RFC 3863) with RPID activities (RFC 4480), written for watchers; and what phones publish
 */
#include "presence.h"
#include <string.h>

static const char *const types[] = { "application/pidf+xml" };

static const char *const activities[STATUS_COUNT] = {
	[STATUS_BUSY] = "busy",          [STATUS_AWAY] = "away", [STATUS_DND] = "busy", [STATUS_IN_CALL] = "on-the-phone",
	[STATUS_IN_MEETING] = "meeting",
};

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	if (!is_account(self, info->resource))
		return PBX_ENOENT;
	return may_watch(self, info->watcher, info->resource) ? PBX_OK : PBX_EPERM;
}

static int write_document(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	struct presence *presence = self;
	const struct person *person = person_find(presence, info->resource);
	uint32_t status = person ? person->status : STATUS_OFFLINE;
	bool open = status == STATUS_AVAILABLE || status == STATUS_AWAY;
	const char *note = person && person->message[0] ? person->message : status == STATUS_DND ? "Do not disturb" : "";
	char entity[200];
	struct xml xml;

	(void)since;
	if (!xml_begin(&xml))
		return PBX_ENOMEM;
	(void)snprintf(entity, sizeof entity, "sip:%s@%s", info->resource, info->domain);
	xml_start(&xml, "presence");
	xml_attribute(&xml, "xmlns", "urn:ietf:params:xml:ns:pidf");
	xml_attribute(&xml, "xmlns:dm", "urn:ietf:params:xml:ns:pidf:data-model");
	xml_attribute(&xml, "xmlns:rpid", "urn:ietf:params:xml:ns:pidf:rpid");
	xml_attribute(&xml, "entity", entity);
	xml_start(&xml, "tuple");
	xml_attribute(&xml, "id", "pbx");
	xml_start(&xml, "status");
	xml_text(&xml, "basic", open ? "open" : "closed");
	xml_end(&xml);
	xml_text(&xml, "contact", entity);
	if (note[0])
		xml_text(&xml, "note", note);
	xml_end(&xml);
	xml_start(&xml, "dm:person");
	xml_attribute(&xml, "id", "person");
	if (activities[status]) {
		xml_start(&xml, "rpid:activities");
		(void)snprintf(entity, sizeof entity, "rpid:%s", activities[status]);
		xml_start(&xml, entity);
		xml_end(&xml);
		xml_end(&xml);
	}
	if (note[0])
		xml_text(&xml, "dm:note", note);
	xml_end(&xml);
	xml_end(&xml);
	return xml_finish(presence, &xml, ret_document);
}

/* ---- PUBLISH --------------------------------------------------------------------------- */

static int on_published(void *self, const struct pbx_publication *publication)
{
	uint32_t status = STATUS_NONE;
	int err;

	if (publication->what == PBX_PUBLISH_REMOVED)
		return person_publish(self, publication->resource, STATUS_NONE);
	if (publication->what == PBX_PUBLISH_REFRESHED)
		return PBX_OK;
	if (strcasecmp(publication->content_type, types[0]) != 0)
		return PBX_ENOTSUP;
	err = pidf_read(publication->body, &status);
	return err == PBX_OK ? person_publish(self, publication->resource, status) : err;
}

int pidf_start(struct presence *presence)
{
	const struct pbx_event_package package = {
		.size = sizeof package,
		.name = "presence",
		.content_types = { types, 1 },
		.takes_lists = true,
		.subscribed = on_subscribed,
		.write = write_document,
		.published = on_published,
	};

	return presence->notifier->package(presence->host, &package, presence);
}
