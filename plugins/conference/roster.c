/*
 * roster - package "conference" (RFC 4575): who is in a room, for phones and consoles that subscribe to its number
 *
 * Every document is a full one. Of a room with a PIN only those who are in it learn who the others are; everybody else sees how many. A room
 * that is over ends its subscriptions (noresource), unless its number is declared.
 */
#include "conference.h"
#include <dlfcn.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlwriter.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKAGE "conference"
#define VIEW_COUNT 0u
#define VIEW_MEMBERS 1u
#define MOST_TEXT 640u

static const char *const types[] = { "application/conference-info+xml" };

/* libxml2 keeps tables until the process ends: were it unloaded with us, each load would leave a set behind. */
static void keep_library(void)
{
	void *library = dlopen("libxml2.so.2", RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);

	if (library)
		(void)dlclose(library); /* it stays all the same */
}

static bool is_in(const struct member *member)
{
	return member->state == MEMBER_IN;
}

static uint32_t view_of(void *self, const struct pbx_watch_info *info)
{
	const struct room *room = room_find(self, info->resource);

	if (!room || (!room->rules.pin[0] && !room->rules.moderator_pin[0]))
		return VIEW_MEMBERS;
	for (const struct member *member = room->members; member; member = member->next)
		if (is_in(member) && strcmp(member->number, info->watcher) == 0)
			return VIEW_MEMBERS;
	return VIEW_COUNT;
}

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	return room_find(self, info->resource) ? PBX_OK : PBX_ENOENT;
}

/* ---- the document --------------------------------------------------------------------- */

/* How many octets the first character has; 0: it is none that XML can hold. */
static size_t character(const char *text)
{
	int length = (int)strnlen(text, 4), code = xmlGetUTF8Char(BAD_CAST text, &length);
	bool is_shortest = code >= (length == 2 ? 0x80 : length == 3 ? 0x800 : length == 4 ? 0x10000 : 0);

	return code > 0 && IS_CHAR(code) && is_shortest && (text[0] & 0xC0) != 0x80 ? (size_t)length : 0;
}

/* Names come from anybody: what XML cannot hold is a ? in it. */
static const xmlChar *clean(const char *text, char ret_text[MOST_TEXT])
{
	size_t used = 0;

	while (*text && used + 5 < MOST_TEXT) {
		size_t length = character(text), taken = length ? length : 1;

		memcpy(ret_text + used, length ? text : "?", taken);
		used += taken;
		text += taken;
	}
	ret_text[used] = '\0';
	return BAD_CAST ret_text;
}

/* What fails for want of memory is found at the end, when there is no document. */
static void write_text(xmlTextWriter *xml, const char *element, const char *text)
{
	char cleaned[MOST_TEXT];

	(void)xmlTextWriterWriteElement(xml, BAD_CAST element, clean(text, cleaned));
}

static void write_attribute(xmlTextWriter *xml, const char *name, const char *value)
{
	char cleaned[MOST_TEXT];

	(void)xmlTextWriterWriteAttribute(xml, BAD_CAST name, clean(value, cleaned));
}

static void start(xmlTextWriter *xml, const char *element)
{
	(void)xmlTextWriterStartElement(xml, BAD_CAST element);
}

static void end(xmlTextWriter *xml)
{
	(void)xmlTextWriterEndElement(xml);
}

static void write_count(xmlTextWriter *xml, const char *element, uint32_t count)
{
	char text[12];

	(void)snprintf(text, sizeof text, "%u", count);
	write_text(xml, element, text);
}

static void write_endpoint(xmlTextWriter *xml, const struct member *member, const char *user)
{
	char entity[600], when[32];
	time_t joined_s = (time_t)(member->joined_wall_us / 1000000);
	struct tm at;

	(void)snprintf(entity, sizeof entity, "%s;participant=%s", user, member->id);
	(void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&joined_s, &at));
	start(xml, "endpoint");
	write_attribute(xml, "entity", entity);
	write_text(xml, "status", member->muted ? "muted-via-focus" : "connected");
	start(xml, "joining-info");
	write_text(xml, "when", when);
	end(xml);
	start(xml, "media");
	write_attribute(xml, "id", "1");
	write_text(xml, "type", "audio");
	write_text(xml, "status", member->muted ? member->deaf ? "inactive" : "recvonly" : member->deaf ? "sendonly" : "sendrecv");
	end(xml);
	end(xml);
}

static bool came_before(const struct member *member)
{
	for (const struct member *other = member->room->members; other != member; other = other->next)
		if (is_in(other) && strcmp(other->number, member->number) == 0)
			return true;
	return false;
}

/* One who is there with two phones is one user with two endpoints. */
static void write_user(xmlTextWriter *xml, const struct member *member, const char *domain)
{
	char user[400];

	if (member->number[0])
		(void)snprintf(user, sizeof user, "sip:%s@%s", member->number, domain);
	else
		(void)snprintf(user, sizeof user, "sip:anonymous@anonymous.invalid");
	start(xml, "user");
	write_attribute(xml, "entity", user);
	if (member->name[0])
		write_text(xml, "display-text", member->name);
	start(xml, "roles");
	write_text(xml, "entry", member->moderator ? "moderator" : "participant");
	end(xml);
	for (const struct member *each = member; each; each = each->next)
		if (is_in(each) && strcmp(each->number, member->number) == 0)
			write_endpoint(xml, each, user);
	end(xml);
}

static void write_room(xmlTextWriter *xml, const struct room *room, const struct pbx_watch_info *info, bool with_members)
{
	char entity[400];

	(void)snprintf(entity, sizeof entity, "sip:%s@%s", room->rules.number, info->domain);
	start(xml, "conference-info");
	write_attribute(xml, "xmlns", "urn:ietf:params:xml:ns:conference-info");
	write_attribute(xml, "entity", entity);
	write_attribute(xml, "state", "full");
	write_attribute(xml, "version", "#");
	start(xml, "conference-description");
	write_text(xml, "display-text", room->rules.name[0] ? room->rules.name : room->rules.number);
	if (room->rules.max_participants)
		write_count(xml, "maximum-user-count", room->rules.max_participants);
	end(xml);
	start(xml, "conference-state");
	write_count(xml, "user-count", room_in(room));
	write_text(xml, "active", room->session[0] ? "true" : "false");
	write_text(xml, "locked", room->locked ? "true" : "false");
	end(xml);
	start(xml, "users");
	for (const struct member *member = with_members ? room->members : NULL; member; member = member->next)
		if (is_in(member) && !came_before(member))
			write_user(xml, member, info->domain);
	end(xml);
	end(xml);
}

/* Version numbers are the notifier's: the text is cut where one goes. */
static int cut_at_version(struct conference *conference, const char *text, struct pbx_document *ret_document)
{
	static const char mark[] = "version=\"#\"";

	free(conference->document);
	conference->document = strdup(text);
	char *at = conference->document ? strstr(conference->document, mark) : NULL;
	if (!at)
		return PBX_ENOMEM;
	at += strlen("version=\"");
	*at = '\0';
	ret_document->head = conference->document;
	ret_document->tail = at + 1;
	return PBX_OK;
}

static int write_document(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	struct conference *conference = self;
	const struct room *room = room_find(conference, info->resource);

	(void)since;
	if (!room)
		return PBX_ENOENT;
	xmlBuffer *buffer = xmlBufferCreate();
	xmlTextWriter *xml = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL;
	int err = PBX_ENOMEM;
	if (xml) {
		(void)xmlTextWriterStartDocument(xml, "1.0", "UTF-8", NULL);
		write_room(xml, room, info, view_of(self, info) == VIEW_MEMBERS);
		int written = xmlTextWriterEndDocument(xml);

		xmlFreeTextWriter(xml);
		if (written >= 0)
			err = cut_at_version(conference, (const char *)xmlBufferContent(buffer), ret_document);
	}
	xmlBufferFree(buffer);
	return err;
}

/* ---- the package ---------------------------------------------------------------------- */

void roster_changed(const struct room *room)
{
	const struct conference *conference = room->conference;

	(void)conference->notifier->changed(conference->host, PACKAGE, room->rules.number); /* nobody may be watching */
}

int roster_start(struct conference *conference)
{
	const struct pbx_event_package package = {
		.size = sizeof package,
		.name = PACKAGE,
		.content_types = { types, 1 },
		.subscribed = on_subscribed,
		.view = view_of,
		.write = write_document,
	};

	keep_library();
	return conference->notifier->package(conference->host, &package, conference);
}
