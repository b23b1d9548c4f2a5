/* tests/fuzz/fuzz_dialog_info.c - a line whose calls have names, numbers and tags of any bytes; the document must be well formed, its version in its place
 *
 * Input: texts that end with a zero. The files around dialog_info.c are answered for here. */
#include "presence.h"
#include <assert.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct line *line;
static struct pbx_lamp lamp = { .size = sizeof lamp };

const struct line *line_find(const struct presence *presence, const char *number)
{
	(void)presence, (void)number;
	return line;
}

bool line_is_live(const struct line_call *call)
{
	return call->ended_at_ms == 0;
}

bool may_watch(struct presence *presence, const char *watcher, const char *resource)
{
	(void)presence, (void)watcher, (void)resource;
	return true;
}

bool may_know_parties(struct presence *presence, const char *watcher, const char *resource)
{
	(void)presence, (void)resource;
	return strcmp(watcher, "1002") == 0;
}

bool is_account(const struct presence *presence, const char *number)
{
	(void)presence, (void)number;
	return true;
}

static uint32_t each_lamp(const char *number, pbx_lamp_fn each, void *context)
{
	(void)number;
	if (lamp.state == PBX_LAMP_OFF)
		return 0;
	each(context, &lamp);
	return 1;
}

static struct pbx_event_package package;
static void *package_self;

static int take_package(struct pbx_host *host, const struct pbx_event_package *offered, void *self)
{
	(void)host;
	package = *offered;
	package_self = self;
	return PBX_OK;
}

/* The next text of the input; "" behind its end. */
static void next(const uint8_t **at, const uint8_t *end, char *ret_text, size_t size)
{
	size_t left = (size_t)(end - *at), length = strnlen((const char *)*at, left);

	(void)snprintf(ret_text, size, "%.*s", (int)length, (const char *)*at);
	*at += length < left ? length + 1 : length;
}

static void write_for(const char *watcher, uint64_t since)
{
	const struct pbx_watch_info info = { .size = sizeof info,
					     .package = "dialog",
					     .resource = line->number,
					     .watcher = watcher,
					     .content_type = "application/dialog-info+xml",
					     .domain = "pbx.test" };
	struct pbx_document document = { .size = sizeof document };
	char *text = NULL;

	assert(package.subscribed(package_self, &info) == PBX_OK);
	assert(package.write(package_self, &info, since, &document) == PBX_OK);
	assert(document.tail && asprintf(&text, "%s7%s", document.head, document.tail) > 0);
	xmlDoc *parsed =
		xmlReadMemory(text, (int)strlen(text), "dialog-info.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (!parsed)
		(void)fprintf(stderr, "%s\n", text);
	assert(parsed);
	xmlChar *version = xmlGetProp(xmlDocGetRootElement(parsed), BAD_CAST "version");
	assert(version && strcmp((const char *)version, "7") == 0);
	xmlFree(version);
	xmlFreeDoc(parsed);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const states[] = { "trying", "early", "confirmed", "terminated" };
	static const struct pbx_lamps lamps = { .header = PBX_HEADER(struct pbx_lamps), .each = each_lamp };
	static const struct pbx_notifier notifier = { .header = PBX_HEADER(struct pbx_notifier), .package = take_package };
	static struct presence presence = { .lamps = &lamps, .notifier = &notifier, .stamp = 2 };
	const uint8_t *at = data, *end = data + size;
	char texts[3][NAME_SIZE];
	struct line_call call = { .changed = 2 };

	if (size < 2)
		return 0;
	line = calloc(1, sizeof *line + NUMBER_SIZE);
	assert(line && dialog_info_start(&presence) == PBX_OK);
	call.state = states[*at & 3];
	call.initiator = *at & 4;
	call.ended_at_ms = (*at & 3) == 3;
	lamp.state = *at++ >> 4 & 1;
	next(&at, end, line->number, NUMBER_SIZE);
	next(&at, end, call.leg_id, sizeof call.leg_id);
	next(&at, end, call.remote, sizeof call.remote);
	next(&at, end, call.remote_name, sizeof call.remote_name);
	next(&at, end, call.protocol_id, sizeof call.protocol_id);
	next(&at, end, call.local_tag, sizeof call.local_tag);
	next(&at, end, call.remote_tag, sizeof call.remote_tag);
	for (size_t i = 0; i < 3; i++)
		next(&at, end, texts[i], sizeof texts[i]);
	lamp.number = texts[0];
	lamp.remote = texts[1];
	lamp.remote_name = texts[2];
	line->calls = &call;
	write_for("1002", 0);
	write_for("1002", 1);
	write_for("1003", 0);
	free(presence.head);
	presence.head = NULL;
	free(line);
	return 0;
}
