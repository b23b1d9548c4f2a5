/* core/commands_log.c - what is said and what happens, the last of it or as it comes: `pbxctl log …`, `pbxctl events …`
 *
 * A stream is lines of JSON. Whoever reads slower than lines come misses some, and is told how many. */
#include "bus.h"
#include "commands_internal.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>

#define MOST_LISTED 500

static const struct pbx_requests *const requests = &core_requests_service;

struct stream {
	struct core_charge charge; /* first: it ends with the part */
	pbx_request request;
	struct core_log_reader *reader; /* a log, or */
	pbx_subscription subscription;  /* events */
	uint64_t missed;
};

/* ---- streams -------------------------------------------------------------------------- */

static void stream_free(struct stream *stream)
{
	if (stream->reader)
		core_log_unfollow(stream->reader);
	(void)core_bus_service.unsubscribe(stream->subscription); /* a log has none */
	core_charge_remove(&stream->charge);
	free(stream);
}

static void on_stream_revoked(struct core_charge *charge)
{
	struct stream *stream = (struct stream *)charge;
	pbx_request request = stream->request;

	stream_free(stream);
	(void)requests->end(request); /* unless it has gone */
}

static void on_reader_gone(void *self, pbx_request request)
{
	(void)request;
	stream_free(self);
}

static void stream_write(struct stream *stream, const char *text)
{
	char missed[64];

	if (stream->missed) {
		(void)snprintf(missed, sizeof missed, "{\"missed\":%llu}\n", (unsigned long long)stream->missed);
		if (requests->write(stream->request, missed, strlen(missed)) != PBX_OK) {
			stream->missed++;
			return;
		}
		stream->missed = 0;
	}
	if (requests->write(stream->request, text, strlen(text)) != PBX_OK)
		stream->missed++;
}

static void write_line(struct stream *stream, const char *json)
{
	char *line = NULL;

	if (asprintf(&line, "%s\n", json) < 0) {
		stream->missed++;
		return;
	}
	stream_write(stream, line);
	free(line);
}

static struct stream *stream_begin(pbx_request request)
{
	struct stream *stream = calloc(1, sizeof *stream);

	if (!stream) {
		core_reply_object(request, NULL);
		return NULL;
	}
	stream->request = request;
	core_charge_add(core_part_host(), &stream->charge, "stream", false, on_stream_revoked);
	if (requests->begin(request, "application/x-ndjson", NULL, on_reader_gone, stream) != PBX_OK) {
		stream_free(stream);
		return NULL;
	}
	return stream;
}

/* ---- log ------------------------------------------------------------------------------ */

void core_log_level(void *self, pbx_request request)
{
	const char *owner = requests->text(request, "owner");
	int64_t for_s = requests->integer(request, "for_s", 0);
	uint32_t level;

	(void)self;
	if (core_level_parse(requests->text(request, "level"), &level) != PBX_OK)
		(void)requests->fail(request, 422, "invalid_value", "level", "expected error, warn, notice, info or debug");
	else if (core_log_set_level(owner, level, (uint32_t)(for_s * 1000)) != PBX_OK)
		core_reply_object(request, NULL);
	else
		(void)requests->reply(request, 204, NULL);
}

static uint32_t level_of(pbx_request request)
{
	const char *name = requests->text(request, "level");
	uint32_t level = PBX_LOG_DEBUG;

	return name && core_level_parse(name, &level) == PBX_OK ? level : PBX_LOG_DEBUG;
}

struct recent {
	pbx_request request;
	struct core_log_reader *reader;
	struct pbx_json *lines;
	struct core_post_node read;
};

static void on_recent_line(void *context, const char *line)
{
	struct recent *recent = context;
	struct pbx_json *json = core_json_parse(line, strlen(line), NULL);

	if (recent->lines && json)
		(void)core_json_append(recent->lines, json); /* without memory there is one line less */
	else
		core_json_free(json);
}

static void on_recent_read(void *context)
{
	struct recent *recent = context;

	core_log_unfollow(recent->reader);
	core_reply_items(recent->request, recent->lines);
	free(recent);
}

/* The ring delivers on the loop, before what is posted after it. */
void core_log_recent(void *self, pbx_request request)
{
	struct recent *recent = calloc(1, sizeof *recent);

	(void)self;
	if (recent) {
		recent->request = request;
		recent->lines = core_json_array();
		recent->reader = core_log_follow((uint32_t)requests->integer(request, "count", 50), level_of(request),
						 requests->text(request, "owner"), on_recent_line, recent);
		if (recent->reader) {
			core_post_node(core_self(), &recent->read, on_recent_read, recent);
			return;
		}
		core_json_free(recent->lines);
	}
	free(recent);
	core_reply_object(request, NULL);
}

static void on_log_line(void *context, const char *line)
{
	write_line(context, line);
}

void core_log_stream(void *self, pbx_request request)
{
	uint32_t recent = (uint32_t)requests->integer(request, "recent", 10), level = level_of(request);
	AUTO(text) char *owner = requests->text(request, "owner") ? strdup(requests->text(request, "owner")) : NULL;
	struct stream *stream = stream_begin(request);

	(void)self;
	if (!stream)
		return;
	stream->reader = core_log_follow(recent, level, owner, on_log_line, stream);
	if (!stream->reader)
		on_stream_revoked(&stream->charge);
}

/* ---- events --------------------------------------------------------------------------- */

static struct pbx_json *event_json(const struct pbx_event *event)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct pbx_json *data = event->data ? core_json_copy(event->data) : core_json_object();

	if (!json || core_json_set_integer(json, "seq", event->seq) != PBX_OK || core_json_set_text(json, "id", event->id) != PBX_OK ||
	    core_json_set_text(json, "type", event->type) != PBX_OK || core_json_set_text(json, "owner", event->owner) != PBX_OK ||
	    core_json_set_time(json, "time", event->wall_us) != PBX_OK || core_json_set_text(json, "call_id", event->call_id) != PBX_OK ||
	    core_json_set_text(json, "linked_id", event->linked_id) != PBX_OK) {
		core_json_free(data);
		return NULL;
	}
	return data && core_json_set(json, "data", data) == PBX_OK ? TAKE(json) : NULL;
}

static void on_streamed_event(void *self, const struct pbx_event *event)
{
	struct stream *stream = self;
	AUTO(json) struct pbx_json *json = event_json(event);
	char *text = json ? core_json_print(json) : NULL;

	if (text)
		write_line(stream, text);
	else
		stream->missed++;
	core_json_free_text(text);
}

void core_events_stream(void *self, pbx_request request)
{
	const char *asked = requests->text(request, "types");
	AUTO(text) char *pattern = strdup(asked ? asked : "*");

	(void)self;
	if (pattern && !bus_pattern_is_good(pattern)) {
		(void)requests->fail(request, 422, "not_a_pattern", "types", "types: expected patterns as call.*, separated by commas");
		return;
	}
	if (!pattern) {
		core_reply_object(request, NULL);
		return;
	}
	struct stream *stream = stream_begin(request);
	if (stream && core_bus_subscribe_stored(core_part_host(), pattern, on_streamed_event, stream, &stream->subscription) != PBX_OK)
		on_stream_revoked(&stream->charge);
}

struct listing {
	pbx_request request;
	struct pbx_json *events;
};

static void on_listed_event(void *self, const struct pbx_event *event)
{
	struct listing *listing = self;
	struct pbx_json *json = listing->events ? event_json(event) : NULL;

	if (json)
		(void)core_json_append(listing->events, json); /* without memory there is one less */
}

static void on_listed(void *self, int result, int64_t last_seq)
{
	struct listing *listing = self;
	const struct pbx_diag diag = { .text = "the store does not answer" };

	(void)last_seq;
	if (result == PBX_OK) {
		core_reply_items(listing->request, listing->events);
	} else {
		core_json_free(listing->events);
		core_reply_refusal(listing->request, result, &diag);
	}
	free(listing);
}

void core_events_list(void *self, pbx_request request)
{
	const char *pattern = requests->text(request, "types");
	int64_t limit = requests->integer(request, "limit", 50), since_us = requests->integer(request, "since", 0);
	struct core_bus_stats stats;
	struct listing *listing = calloc(1, sizeof *listing);

	(void)self;
	if (!listing) {
		core_reply_object(request, NULL);
		return;
	}
	listing->request = request;
	listing->events = core_json_array();
	core_bus_stats(&stats);
	int64_t latest = since_us || stats.last_seq < limit ? 0 : stats.last_seq - limit; /* nothing said: the last ones */
	int err = core_bus_service.replay(core_part_host(), requests->integer(request, "after", latest), since_us, pattern ? pattern : "*",
					  (uint32_t)(limit < MOST_LISTED ? limit : MOST_LISTED), on_listed_event, on_listed, listing);
	if (err == PBX_OK)
		return;
	const struct pbx_diag diag = { .field = "types", .text = "expected patterns as call.*, separated by commas" };
	core_json_free(listing->events);
	free(listing);
	core_reply_refusal(request, err, &diag);
}

/* JSON Schema (2020-12) of one member of an event's data; every member may be null. */
static struct pbx_json *schema_of_field(const struct pbx_json *field)
{
	static const char *const types[][2] = { { "bool", "boolean" }, { "int", "integer" },   { "number", "number" },
						{ "list", "array" },   { "objects", "array" }, { "object", "object" } };
	const char *type = core_json_text(core_json_get(field, "type")), *name = "string";
	struct pbx_json *schema = core_json_object(), *names = core_json_array();

	for (size_t i = 0; type && i < sizeof types / sizeof types[0]; i++)
		if (strcmp(type, types[i][0]) == 0)
			name = types[i][1];
	/* Without memory a piece is left out. */
	(void)core_json_append_text(names, name);
	(void)core_json_append_text(names, "null");
	(void)core_json_set(schema, "type", names);
	(void)core_json_set_text(schema, "description", core_json_text(core_json_get(field, "help")));
	if (type && strcmp(type, "time") == 0)
		(void)core_json_set_text(schema, "format", "date-time");
	return schema;
}

static struct pbx_json *schema_of_event(const struct pbx_json *fields)
{
	struct pbx_json *schema = core_json_object(), *properties = core_json_object();

	for (const struct pbx_json *field = core_json_first(fields); field; field = core_json_next(field))
		(void)core_json_set(properties, core_json_text(core_json_get(field, "name")), schema_of_field(field));
	(void)core_json_set_text(schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
	(void)core_json_set_text(schema, "type", "object");
	(void)core_json_set(schema, "properties", properties);
	return schema;
}

void core_events_types(void *self, pbx_request request)
{
	struct pbx_json *types = core_bus_service.types(), *items = core_json_array();

	(void)self;
	for (const struct pbx_json *type = core_json_first(types); type; type = core_json_next(type)) {
		struct pbx_json *item = core_json_copy(type);

		(void)core_json_set(item, "schema", schema_of_event(core_json_get(type, "fields")));
		(void)core_json_append(items, item);
	}
	core_json_free(types);
	core_reply_items(request, items);
}
