/*
 * events.c - the events of the bus as a stream: text/event-stream, or a WebSocket's frames (event_door.c), an object in each
 *
 * A client is told of what is safely in the log, so that no crash takes back what it knows. One that comes back with Last-Event-ID gets
 * what it missed, from the log, then what happens, without gap or double. So a stream is either live, or it catches up: it reads the log
 * page by page while what happens meanwhile is kept. When the log has reached what was kept, that is sent, and the stream is live. A
 * client that reads too slowly falls behind in the log instead of in our memory.
 *
 *     catching up --(log read up to what is kept; that sent)--> live
 *     live --(client too slow)--> blocked --(it has read)--> catching up
 *
 * By WebSocket a client may wish other types. Then it catches up from where it stands with those, and hears first from where on they hold.
 */
#include <string.h>

#include "api.h"
#include "bus.h"
#include "event_wish.h"
#include "log.h"

#define PAGE_EVENTS 64u
#define KEPT_MOST 256u /* beyond it the log is read again */
#define HEARTBEAT_MS 15000u
#define RETRY_MS 50u         /* until events that were published are in the log */
#define STATUS_REFUSED 1008u /* RFC 6455 7.4.1 */
#define STATUS_LATER 1013u

struct kept {
	struct kept *next;
	int64_t seq;
	size_t size;
	char text[];
};

struct api_stream {
	struct api_stream *next;
	struct api *api;
	pbx_request request;
	char *topics;
	char *answer; /* to a wish, not sent yet; NULL: none */
	pbx_subscription subscription;
	pbx_timer heartbeat, retry;
	int64_t sent_seq;   /* everything up to here has been sent, or is not for this stream */
	int64_t kept_from;  /* everything after this that happened is in kept */
	int64_t page_until; /* the log was complete up to here when this page was asked for */
	uint32_t page_count;
	struct kept *kept, **kept_end;
	uint32_t kept_count;
	bool live, reading, blocked, gone;
	bool by_websocket;
	bool outdated; /* the page that is being read was asked for with other types */
};

static void catch_up(struct api_stream *stream);

/* ---- ends ------------------------------------------------------------------------------- */

static void kept_clear(struct api_stream *stream)
{
	while (stream->kept) {
		struct kept *kept = stream->kept;
		stream->kept = kept->next;
		free(kept);
	}
	stream->kept_end = &stream->kept;
	stream->kept_count = 0;
}

static void stream_free(struct api_stream *stream)
{
	struct api *api = stream->api;
	struct api_stream **at = &api->streams;

	while (*at && *at != stream)
		at = &(*at)->next;
	if (*at) {
		*at = stream->next;
		api->stream_count--;
	}
	(void)api->bus->unsubscribe(stream->subscription); /* each may be none, or over */
	(void)api->timers->stop(stream->heartbeat);
	(void)api->timers->stop(stream->retry);
	stream->gone = true;
	if (stream->reading)
		return; /* the end of the page frees it */
	kept_clear(stream);
	free(stream->answer);
	free(stream->topics);
	free(stream);
}

static void on_gone(void *self, pbx_request request)
{
	(void)request;
	stream_free(self);
}

/* Tells the client to come again; it knows where it was. */
static void stream_end(struct api_stream *stream)
{
	pbx_request request = stream->request;
	const struct pbx_requests *requests = stream->api->requests;

	api_end_because(stream->api, request, STATUS_LATER, "not now: come again with after= the last number you know");
	stream_free(stream);
	(void)requests->end(request);
}

/* ---- sending ---------------------------------------------------------------------------- */

/* "id: …\ndata: {…}\n\n" in a new kept, or for a WebSocket "{…}\n": a line is a frame. NULL: no memory. */
static struct kept *format(const struct api_stream *stream, const struct pbx_event *event)
{
	struct pbx_json *json = core_json_object();

	(void)core_json_set_text(json, "id", event->id); /* what fails here shows as no memory below */
	(void)core_json_set_integer(json, "seq", event->seq);
	(void)core_json_set_text(json, "type", event->type);
	(void)core_json_set_time(json, "time", event->wall_us);
	(void)core_json_set_text(json, "source", event->owner);
	if (*event->call_id)
		(void)core_json_set_text(json, "call_id", event->call_id);
	if (*event->linked_id)
		(void)core_json_set_text(json, "linked_id", event->linked_id);
	(void)core_json_set(json, "data", event->data ? core_json_copy(event->data) : core_json_object());

	char *text = json ? core_json_print(json) : NULL;
	size_t room = text ? strlen(text) + 48 : 0;
	struct kept *kept = text ? malloc(sizeof *kept + room) : NULL;
	if (kept) {
		*kept = (struct kept){ .seq = event->seq };
		kept->size =
			(size_t)(stream->by_websocket ? snprintf(kept->text, room, "%s\n", text)
						      : snprintf(kept->text, room, "id: %lld\ndata: %s\n\n", (long long)event->seq, text));
	}
	core_json_free_text(text);
	core_json_free(json);
	return kept;
}

/* PBX_OK, or PBX_EBUSY: blocked from now on, it was not sent. */
static int send(struct api_stream *stream, const struct kept *kept)
{
	int err = stream->api->requests->write(stream->request, kept->text, kept->size);

	if (err == PBX_EBUSY)
		stream->blocked = true;
	else
		stream->sent_seq = kept->seq;
	return err == PBX_EBUSY ? PBX_EBUSY : PBX_OK; /* of a client that has left, or has lost something, we hear by on_gone */
}

static void keep(struct api_stream *stream, struct kept *taken)
{
	if (stream->kept_count == KEPT_MOST) {
		kept_clear(stream);
		stream->kept_from = taken->seq;
		free(taken);
		return;
	}
	*stream->kept_end = taken;
	stream->kept_end = &taken->next;
	stream->kept_count++;
}

static void on_event(void *self, const struct pbx_event *event)
{
	struct api_stream *stream = self;

	if (event->seq <= stream->sent_seq || (!stream->live && event->seq <= stream->kept_from))
		return;
	struct kept *kept = format(stream, event);
	if (!kept) {
		stream_end(stream);
		return;
	}
	if (!stream->live) {
		keep(stream, kept);
		return;
	}
	if (send(stream, kept) == PBX_EBUSY) {
		stream->live = false;
		stream->kept_from = event->seq;
	}
	free(kept);
}

/* ---- catching up ------------------------------------------------------------------------ */

/* The log has reached what was kept. */
static void go_live(struct api_stream *stream)
{
	while (stream->kept) {
		const struct kept *kept = stream->kept;
		if (kept->seq > stream->sent_seq && send(stream, kept) == PBX_EBUSY) {
			stream->kept_from = kept->seq - 1;
			return;
		}
		struct kept *sent = stream->kept;
		stream->kept = sent->next;
		stream->kept_count--;
		free(sent);
	}
	kept_clear(stream);
	stream->live = true;
}

static void on_retry(void *self, pbx_timer timer)
{
	(void)timer;
	catch_up(self);
}

static void on_past_event(void *self, const struct pbx_event *event)
{
	struct api_stream *stream = self;

	stream->page_count++;
	if (stream->gone || stream->outdated || stream->blocked || event->seq <= stream->sent_seq)
		return;
	struct kept *kept = format(stream, event);
	if (kept)
		(void)send(stream, kept);
	else
		stream->blocked = true; /* no memory: this and the rest when the client has read some */
	free(kept);
}

static void on_page_done(void *self, int result, int64_t last_seq)
{
	struct api_stream *stream = self;

	(void)last_seq;
	stream->reading = false;
	if (stream->gone) {
		stream_free(stream);
		return;
	}
	if (result != PBX_OK) {
		stream_end(stream);
		return;
	}
	if (stream->outdated) {
		stream->outdated = false;
		catch_up(stream);
		return;
	}
	if (stream->blocked)
		return;
	if (stream->page_count < PAGE_EVENTS && stream->page_until > stream->sent_seq)
		stream->sent_seq = stream->page_until;
	if (stream->sent_seq >= stream->kept_from)
		go_live(stream);
	else if (stream->page_count == PAGE_EVENTS)
		catch_up(stream);
	else if (stream->api->timers->start(stream->api->host, RETRY_MS, 0, on_retry, stream, &stream->retry) != PBX_OK)
		stream_end(stream);
}

static void catch_up(struct api_stream *stream)
{
	struct core_bus_stats stats;

	if (stream->live || stream->reading || stream->blocked)
		return;
	if (stream->sent_seq >= stream->kept_from) {
		go_live(stream);
		return;
	}
	core_bus_stats(&stats);
	stream->page_until = stats.stored_seq;
	stream->page_count = 0;
	stream->reading = true;
	if (stream->api->bus->replay(stream->api->host, stream->sent_seq, 0, stream->topics, PAGE_EVENTS, on_past_event, on_page_done,
				     stream) != PBX_OK) {
		stream->reading = false;
		stream_end(stream);
	}
}

/* Before what is sent next, so that the client knows of which events it holds. */
static void send_answer(struct api_stream *stream)
{
	if (!stream->answer || stream->blocked)
		return;
	if (stream->api->requests->write(stream->request, stream->answer, strlen(stream->answer)) == PBX_EBUSY) {
		stream->blocked = true;
		return;
	}
	free(stream->answer);
	stream->answer = NULL;
}

static void on_drained(void *self, pbx_request request)
{
	struct api_stream *stream = self;

	(void)request;
	stream->blocked = false;
	send_answer(stream);
	catch_up(stream);
}

/* ---- other types ------------------------------------------------------------------------ */

static struct api_stream *stream_of(const struct api *api, pbx_request request)
{
	struct api_stream *stream = api->streams;

	while (stream && stream->request.id != request.id)
		stream = stream->next;
	return stream;
}

/* {"types": [...], "after": n} and a line break; NULL: no memory. */
static char *answer_to(const char *topics, int64_t after)
{
	struct pbx_json *json = core_json_object(), *types = core_json_array();
	char *copy = strdup(topics), *rest = NULL;

	for (char *type = copy ? strtok_r(copy, ",", &rest) : NULL; type; type = strtok_r(NULL, ",", &rest))
		(void)core_json_append_text(types, type); /* what fails here shows as no memory below */
	int err = core_json_set(json, "types", types);
	if (err == PBX_OK)
		err = core_json_set_integer(json, "after", after);
	char *printed = copy && err == PBX_OK ? core_json_print(json) : NULL, *text = NULL;
	if (printed && asprintf(&text, "%s\n", printed) < 0)
		text = NULL;
	core_json_free_text(printed);
	core_json_free(json);
	free(copy);
	return text;
}

/* Where a stream that is live stands is beyond all that was stored: what it was not sent of that was not for it. What is published and not
 * stored yet it has not heard of, and its new subscription will not: that is read from the log. */
static void follow_anew(struct api_stream *stream)
{
	struct core_bus_stats stats;

	core_bus_stats(&stats);
	if (stream->live && stats.stored_seq > stream->sent_seq)
		stream->sent_seq = stats.stored_seq;
	kept_clear(stream);
	stream->kept_from = stats.last_seq;
	stream->live = false;
	stream->outdated = stream->reading;
	(void)stream->api->timers->stop(stream->retry); /* or there is none */
}

uint32_t api_events_wish(const struct api *api, pbx_request request, const char *text, size_t size, const char **ret_why)
{
	struct api_stream *stream = stream_of(api, request);
	char topics[EVENT_TOPICS_SIZE];
	pbx_subscription subscription;
	uint32_t status = event_wish_read(text, size, topics, ret_why);

	if (status || !stream)
		return status;
	int err = core_bus_subscribe_stored(api->host, topics, on_event, stream, &subscription);
	if (err == PBX_EINVAL) {
		*ret_why = "expected event types as call.* or registration.added";
		return STATUS_REFUSED;
	}
	char *copy = err == PBX_OK ? strdup(topics) : NULL;
	if (!copy) {
		if (err == PBX_OK)
			(void)api->bus->unsubscribe(subscription);
		*ret_why = "out of memory, try again later";
		return STATUS_LATER;
	}
	(void)api->bus->unsubscribe(stream->subscription); /* it has one */
	stream->subscription = subscription;
	free(stream->topics);
	stream->topics = copy;
	follow_anew(stream);
	free(stream->answer);
	stream->answer = answer_to(topics, stream->sent_seq);
	if (!stream->answer) {
		*ret_why = "out of memory, try again later";
		return STATUS_LATER;
	}
	send_answer(stream);
	catch_up(stream);
	return 0;
}

/* ---- the route -------------------------------------------------------------------------- */

static void on_heartbeat(void *self, pbx_timer timer)
{
	const struct api_stream *stream = self;

	(void)timer;
	(void)stream->api->requests->write(stream->request, ":\n\n", 3); /* one that is busy has enough to read */
}

/* Where the client was: Last-Event-ID, or ?after=, or now. */
static int64_t start_of(const struct api *api, pbx_request request, int64_t last_seq)
{
	const char *header = api->requests->http_header(request, "Last-Event-ID");
	int64_t after = api->requests->integer(request, "after", last_seq);
	char *end = NULL;

	if (header && *header) {
		long long number = strtoll(header, &end, 10);
		after = *end ? last_seq : number;
	}
	return after >= 0 && after < last_seq ? after : last_seq;
}

static struct api_stream *stream_new(struct api *api, pbx_request request, const char *topics)
{
	struct api_stream *stream = calloc(1, sizeof *stream);
	char *copy = stream ? strdup(topics) : NULL;

	if (!copy) {
		free(stream);
		return NULL;
	}
	stream->api = api;
	stream->request = request;
	stream->topics = copy;
	stream->by_websocket = api->requests->http_header(request, ":websocket") != NULL;
	stream->kept_end = &stream->kept;
	stream->next = api->streams;
	api->streams = stream;
	api->stream_count++;
	return stream;
}

void api_on_events(void *self, pbx_request request)
{
	struct api *api = self;
	const char *topics = api->requests->text(request, "topics");
	struct core_bus_stats stats;

	if (api->stream_count >= api->settings->threads / 2) {
		api_fail_later(api, request, 503, "too_many_streams", 30, "as many event streams are open as api.threads allows");
		return;
	}
	struct api_stream *stream = stream_new(api, request, topics ? topics : "*");
	if (!stream) {
		api_fail_later(api, request, 503, "no_memory", 5, "out of memory, try again later");
		return;
	}
	if (core_bus_subscribe_stored(api->host, stream->topics, on_event, stream, &stream->subscription) != PBX_OK) {
		stream_free(stream);
		(void)api->requests->fail(request, 422, "not_a_pattern", "topics", "expected event types as call.*,registration.added");
		return;
	}

	core_bus_stats(&stats);
	stream->kept_from = stats.last_seq;
	stream->sent_seq = start_of(api, request, stats.last_seq);
	(void)api->requests->begin(request, "text/event-stream", on_drained, on_gone, stream);
	if (!stream->by_websocket)
		(void)api->requests->write(request, "retry: 2000\n\n", 13);
	if (!stream->by_websocket && /* else CivetWeb sends pings */
	    api->timers->start(api->host, HEARTBEAT_MS, HEARTBEAT_MS, on_heartbeat, stream, &stream->heartbeat) != PBX_OK)
		stream_end(stream);
	else
		catch_up(stream);
}
