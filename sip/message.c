/*
 * message.c - a short message on its way (RFC 3428), and what becomes of it
 *
 *    in     MESSAGE of a phone, pbx_messages.send, REST (message_doors.c)     who sends has proved it; too long is 413, nobody of that number 404
 *    out    to who receives for the number (message_doors.c), or to all devices of the account at once (message_devices.c)
 *           a device has taken it: 200    no device could: stored, 202    a device does not want such content: its own answer
 *
 * A sender hears 200 or 202 only when the message is on a device or safe in the store, so what is lost in between is sent again.
 */
#include "message.h"
#include "bus.h"
#include "host.h"
#include "json.h"
#include "loop.h"
#include <stdlib.h>
#include <string.h>

#define MOST_UNDER_WAY 10000u

static struct ua_message *under_way;
static uint32_t under_way_count;

/* ---- memory --------------------------------------------------------------------------- */

void ua_message_free(struct ua_message *message)
{
	struct ua_message **at = &under_way;

	while (*at && *at != message)
		at = &(*at)->next;
	if (*at) {
		*at = message->next;
		under_way_count--;
	}
	ua_message_forget_devices(message);
	core_unpost(&message->delivery);
	core_charge_remove(&message->charge);
	nta_incoming_destroy(message->asked);
	free(message->content_type);
	free(message->body);
	free(message);
}

static void copy_text(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from ? from : "");
}

struct ua_message *ua_message_new(const struct pbx_message *given)
{
	struct ua_message *message = calloc(1, sizeof *message);

	if (!message)
		return NULL;
	if (given->id && given->id[0])
		copy_text(message->id, sizeof message->id, given->id);
	else
		core_ulid(message->id);
	copy_text(message->from, sizeof message->from, given->from);
	copy_text(message->from_name, sizeof message->from_name, given->from_name);
	copy_text(message->to, sizeof message->to, given->to);
	message->content_type = strdup(given->content_type);
	message->body = malloc(given->body_size + 1u);
	message->size = given->body_size;
	message->sent_wall_us = given->sent_wall_us ? given->sent_wall_us : core_wall_us();
	if (!message->content_type || !message->body || under_way_count >= MOST_UNDER_WAY) {
		ua_message_free(message);
		return NULL;
	}
	if (given->body_size)
		memcpy(message->body, given->body, given->body_size);
	message->body[given->body_size] = '\0';
	message->next = under_way;
	under_way = message;
	under_way_count++;
	return message;
}

struct ua_message *ua_message_under_way(const char *id)
{
	struct ua_message *message = under_way;

	while (message && strcmp(message->id, id) != 0)
		message = message->next;
	return message;
}

/* ---- what has become of it ------------------------------------------------------------- */

void ua_message_tell(const struct ua_message *message, const char *type)
{
	struct pbx_json *data = core_json_object();

	(void)core_json_set_text(data, "message_id", message->id); /* no memory shows as a member missing */
	(void)core_json_set_text(data, "from", message->from);
	(void)core_json_set_text(data, "to", message->to);
	(void)core_json_set_text(data, "content_type", message->content_type);
	(void)core_json_set_integer(data, "size", message->size);
	(void)core_bus_publish(ua_messages_part->host, type, "", "", data); /* no memory: the message itself is not lost */
}

static void settle(struct ua_message *message, int status, uint32_t outcome)
{
	pbx_message_done_fn done = message->done;
	struct pbx_host *owner = message->charge.owner;

	message->settled = true;
	if (outcome != PBX_MESSAGE_REFUSED && !(message->stored && outcome == PBX_MESSAGE_STORED))
		ua_message_tell(message, outcome == PBX_MESSAGE_DELIVERED ? "message.delivered" : "message.stored");
	ua_reply(ua_part, message->asked, status, sip_status_phrase(status), status == 503 ? "Retry-After: 30\n" : NULL);
	message->asked = NULL;
	message->done = NULL;
	core_charge_remove(&message->charge);
	if (done && owner)
		CORE_INTO(owner, done(message->self, message->id, outcome));
}

void ua_message_delivered(struct ua_message *message)
{
	if (message->settled)
		return; /* another device was faster */
	if (message->stored)
		ua_message_forget(message);
	settle(message, 200, PBX_MESSAGE_DELIVERED);
}

/* Each device has spoken. */
void ua_message_end_delivery(struct ua_message *message)
{
	int err;

	if (message->forgetting)
		return; /* until the table has it no longer, it must not be taken for one that waits */
	if (message->settled || message->stored) {
		ua_message_free(message);
		return;
	}
	if (message->refusal) {
		settle(message, (int)message->refusal, PBX_MESSAGE_REFUSED);
		ua_message_free(message);
		return;
	}
	err = ua_message_keep(message);
	if (err == PBX_OK)
		return;
	settle(message, err == PBX_ENOSPC ? 480 : 503, PBX_MESSAGE_REFUSED);
	ua_message_free(message);
}

void ua_message_kept(struct ua_message *message, int result)
{
	settle(message, result == PBX_OK ? 202 : 503, result == PBX_OK ? PBX_MESSAGE_STORED : PBX_MESSAGE_REFUSED);
	ua_message_free(message);
}

void ua_message_forgotten(struct ua_message *message)
{
	message->forgetting = false;
	if (message->pending == 0)
		ua_message_free(message);
}

/* ---- the way there --------------------------------------------------------------------- */

void ua_message_deliver(struct ua_message *message)
{
	if (ua_message_give_to_receiver(message))
		return;
	ua_message_try_devices(message);
	if (message->pending == 0)
		ua_message_end_delivery(message);
}

void ua_message_deliver_stored(const struct pbx_message *given)
{
	struct ua_message *message = ua_message_new(given);

	if (!message)
		return; /* the next registration tries again */
	message->stored = true;
	ua_message_deliver(message);
}

void ua_messages_close(void)
{
	while (under_way)
		ua_message_free(under_way);
	ua_message_doors_close();
}
