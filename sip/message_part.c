/*
 * message_part.c - the card of messages: settings "messages", what waits by REST and pbxctl, and "pbx.messages/1"
 */
#include "message.h"
#include "host.h"
#include "json.h"
#include "parts.h"
#include "request.h"
#include "store.h"
#include <string.h>

#define MOST_LISTED 500

struct ua_messages *ua_messages_part;

static const struct pbx_requests *const requests = &core_requests_service;

static pbx_request request_of(void *self)
{
	return (pbx_request){ (uint64_t)(uintptr_t)self };
}

static void *as_self(pbx_request request)
{
	return (void *)(uintptr_t)request.id;
}

/* ---- what waits ------------------------------------------------------------------------- */

static struct pbx_json *item_of(const struct pbx_rows *rows, uint32_t row)
{
	struct pbx_json *item = core_json_object();
	const struct pbx_value *body = pbx_cell(rows, row, 4);
	const char *content_type = pbx_cell_text(rows, row, 3);
	char text[8193];

	(void)core_json_set_text(item, "id", pbx_cell_text(rows, row, 0)); /* no memory shows as a member missing */
	(void)core_json_set_text(item, "from", pbx_cell_text(rows, row, 1));
	(void)core_json_set_text(item, "to", pbx_cell_text(rows, row, 2));
	(void)core_json_set_text(item, "content_type", content_type);
	(void)core_json_set_integer(item, "size", body->length);
	if (strncasecmp(content_type, "text/", 5) == 0) {
		(void)snprintf(text, sizeof text, "%.*s", (int)body->length, body->length ? body->as.bytes : "");
		(void)core_json_set_text(item, "text", text);
	}
	(void)core_json_set_time(item, "sent", pbx_cell_int(rows, row, 5));
	(void)core_json_set_time(item, "expires", pbx_cell_int(rows, row, 6));
	return item;
}

static void on_listed(void *self, const struct pbx_rows *rows)
{
	struct pbx_json *list = core_json_array();

	if (rows->status != PBX_OK) {
		core_json_free(list);
		(void)requests->fail(request_of(self), 503, "store_away", NULL, "the store does not answer: %s", rows->error);
		return;
	}
	for (uint32_t row = 0; row < rows->count; row++)
		(void)core_json_append(list, item_of(rows, row)); /* no memory: one is not shown */
	(void)requests->reply(request_of(self), 200, list);       /* the asker may have left */
}

static void on_list(void *self, pbx_request request)
{
	const struct ua_messages *messages = self;
	const char *own = requests->own_account(request), *to = own[0] ? own : requests->text(request, "to");
	const struct pbx_value params[] = { pbx_v_text(to ? to : ""), PBX_V_INT(MOST_LISTED) };

	if (core_store_run(messages->host,
			   "SELECT id, sender, recipient, content_type, body, created_at, expires_at FROM messages "
			   "WHERE ($1 = '' OR recipient = $1) ORDER BY id LIMIT $2",
			   params, 2, on_listed, as_self(request)) != PBX_OK)
		(void)requests->fail(request, 503, "store_busy", NULL, "too many are waiting for the store: ask again");
}

static void on_removed(void *self, const struct pbx_rows *rows)
{
	if (rows->status == PBX_OK && rows->count == 1)
		(void)requests->reply(request_of(self), 204, NULL); /* the asker may have left */
	else
		(void)requests->fail(request_of(self), rows->status == PBX_OK ? 404 : 503, "no_such_message", "id",
				     "there is no such message waiting");
}

static void on_remove(void *self, pbx_request request)
{
	if (ua_message_remove(requests->text(request, "id"), requests->own_account(request), on_removed, as_self(request)) != PBX_OK)
		(void)requests->fail(request, 503, "store_busy", NULL, "too many are waiting for the store: ask again");
	(void)self;
}

/* ---- sending ---------------------------------------------------------------------------- */

static void on_done(void *self, const char *id, uint32_t outcome)
{
	static const char *const names[] = { "unknown", "delivered", "stored", "refused" };
	struct pbx_json *answer;

	if (outcome == PBX_MESSAGE_REFUSED) {
		(void)requests->fail(request_of(self), 409, "message_refused", "to",
				     "too many messages wait there, or the phone does not want such content");
		return;
	}
	answer = core_json_object();
	(void)core_json_set_text(answer, "id", id); /* no memory shows as a member missing */
	(void)core_json_set_text(answer, "outcome", names[outcome < 4 ? outcome : 0]);
	(void)requests->reply(request_of(self), outcome == PBX_MESSAGE_STORED ? 202 : 200, answer); /* the asker may have left */
}

static void on_send(void *self, pbx_request request)
{
	const struct ua_messages *messages = self;
	const char *own = requests->own_account(request), *from = requests->text(request, "from"), *text = requests->text(request, "text");
	const struct pbx_message message = {
		.size = sizeof message,
		.from = own[0] ? own
			: from ? from
			       : "pbx",
		.to = requests->text(request, "to"),
		.content_type = "text/plain;charset=UTF-8",
		.body = text,
		.body_size = (uint32_t)strlen(text),
	};
	char id[27];
	int err;

	if (own[0] && from && strcmp(own, from) != 0) {
		(void)requests->fail(request, 403, "not_yours", "from", "you may send as %s", own);
		return;
	}
	if (own[0] && !ua_message_may_send(own)) {
		(void)requests->fail(request, 429, "too_many", NULL, "messages.per_minute is %u", messages->settings->per_minute);
		return;
	}
	err = ua_message_send(messages->host, &message, on_done, as_self(request), id);
	if (err == PBX_ENOENT)
		(void)requests->fail(request, 404, "no_such_number", "to", "nobody has the number %.40s", message.to);
	else if (err == PBX_ENOSPC)
		(void)requests->fail(request, 413, "too_long", "text", "a message may have %u bytes (messages.most_bytes)",
				     messages->settings->most_bytes);
	else if (err == PBX_EINVAL)
		(void)requests->fail(request, 422, "no_recipient", "to", "say a number");
	else if (err != PBX_OK)
		(void)requests->fail(request, 503, "no_memory", NULL, "there is no room for another message now");
}

/* ---- life -------------------------------------------------------------------------------- */

static const struct pbx_messages service = {
	.header = PBX_HEADER(struct pbx_messages),
	.send = ua_message_send,
	.receive = ua_message_receive,
};

static int messages_start(void *self)
{
	struct ua_messages *messages = self;

	ua_messages_part = messages;
	int err = ua_message_store_open(messages);
	if (err == PBX_OK)
		err = core_host_offer("pbx.messages/1", &service);
	if (err != PBX_OK)
		ua_messages_part = NULL;
	return err;
}

static int messages_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)self, (void)proposed, (void)diag;
	return PBX_OK; /* each is read when it is needed */
}

static void messages_stop(void *self)
{
	(void)self;
	ua_messages_close();
	ua_message_store_close();
	ua_messages_part = NULL;
}

/* ---- the card ---------------------------------------------------------------------------- */

static const struct pbx_setting settings[] = {
	PBX_UINT(struct ua_message_settings, most_bytes, .initial = 4096, .least = 128, .most = 8192, .unit = "bytes",
		 .help = "Longer messages are refused with 413"),
	PBX_UINT(struct ua_message_settings, keep_h, .initial = 72, .least = 1, .most = 8760, .unit = "h",
		 .help = "How long a message waits for its recipient to register"),
	PBX_UINT(struct ua_message_settings, most_waiting, .initial = 100, .least = 1, .most = 10000,
		 .help = "Messages that may wait for one recipient; more are refused"),
	PBX_UINT(struct ua_message_settings, per_minute, .initial = 60, .least = 1, .most = 10000,
		 .help = "Messages an account may send within a minute"),
};

static const struct pbx_field event_fields[] = {
	{ "message_id", PBX_TYPE_TEXT, "ULID of the message" },
	{ "from", PBX_TYPE_TEXT, "Who sent it" },
	{ "to", PBX_TYPE_TEXT, "Whom it is for" },
	{ "content_type", PBX_TYPE_TEXT, "What it is" },
	{ "size", PBX_TYPE_INT, "Bytes; what it says is not told here" },
};
static const struct pbx_event_type events[] = {
	{ "message.received", "A phone, a plugin or a person has sent a message", PBX_TABLE(event_fields) },
	{ "message.stored", "It waits until a phone of its recipient registers", PBX_TABLE(event_fields) },
	{ "message.delivered", "A phone, or a plugin that receives for the number, has it", PBX_TABLE(event_fields) },
};

static const struct pbx_field listed_fields[] = {
	{ "id", PBX_TYPE_TEXT, "ULID" },
	{ "from", PBX_TYPE_TEXT, "Who sent it" },
	{ "to", PBX_TYPE_TEXT, "Whom it waits for" },
	{ "content_type", PBX_TYPE_TEXT, "What it is" },
	{ "size", PBX_TYPE_INT, "Bytes" },
	{ "text", PBX_TYPE_TEXT, "What it says, when it is text" },
	{ "sent", PBX_TYPE_TIME, "When" },
	{ "expires", PBX_TYPE_TIME, "Until when it waits" },
};
static const struct pbx_field sent_fields[] = {
	{ "id", PBX_TYPE_TEXT, "ULID" },
	{ "outcome", PBX_TYPE_TEXT, "delivered or stored" },
};
#define TO "A number: an account's, or one that a feature receives for"
static const struct pbx_arg list_args[] = {
	{ .name = "to", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .help = "Only this account's", .completes = "extension" },
};
static const struct pbx_arg list_words[] = {
	{ .name = "to", .type = PBX_TYPE_TEXT, .help = "Only this account's", .completes = "extension" },
};
static const struct pbx_arg send_args[] = {
	{ .name = "to", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = TO, .least = 1, .most = 63, .completes = "extension" },
	{ .name = "text",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED | PBX_ARG_LINES,
	  .help = "What it says",
	  .least = 1,
	  .most = 8192 },
	{ .name = "from", .type = PBX_TYPE_TEXT, .help = "Who it comes from; pbx when not said", .least = 1, .most = 63 },
};
static const struct pbx_arg remove_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "As the list shows it" },
};
static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/messages",
	  .handle = on_list,
	  .scope = "messages:read",
	  .summary = "Messages that wait for their recipient",
	  .args = PBX_TABLE(list_args),
	  .reply = PBX_TABLE(listed_fields) },
	{ .method = "POST",
	  .path = "/messages",
	  .handle = on_send,
	  .scope = "messages:write",
	  .summary = "Send a message to a phone: 200 when it has it, 202 when it waits",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(send_args),
	  .reply = PBX_TABLE(sent_fields) },
	{ .method = "DELETE",
	  .path = "/messages/{id}",
	  .handle = on_remove,
	  .scope = "messages:write",
	  .summary = "Take back a message that waits",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(remove_args) },
};
static const struct pbx_command commands[] = {
	{ .words = "message list",
	  .handle = on_list,
	  .help = "Show messages that wait for their recipient",
	  .args = PBX_TABLE(list_words),
	  .columns = "id,from,to,text,sent,expires" },
	{ .words = "message send", .handle = on_send, .help = "Send a message to a phone", .args = PBX_TABLE(send_args) },
	{ .words = "message remove", .handle = on_remove, .help = "Take back a message that waits", .args = PBX_TABLE(remove_args) },
};

const struct pbx_plugin messages_part = {
	PBX_PLUGIN_HEADER,
	.name = "messages",
	.version = PBX_VERSION,
	.summary = "Short messages between phones, with store and forward",
	.instance_size = sizeof(struct ua_messages),
	PBX_SETTINGS(struct ua_message_settings, settings),
	.events = PBX_TABLE(events),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.start = messages_start,
	.reload = messages_reload,
	.stop = messages_stop,
};
