/*
 * message_doors.c - who hands a message in, and who takes it without a telephone
 *
 * Phones by MESSAGE, plugins and REST by pbx_messages.send; plugins take what is sent to a number by pbx_messages.receive.
 */
#include "message.h"
#include "caller.h"
#include "host.h"
#include "identity.h"
#include "loop.h"
#include "overlap.h"
#include "peer.h"
#include "accounts.h"
#include <stdlib.h>
#include <string.h>

/* Who gets what is sent to a number. */
struct receiver {
	struct receiver *next;
	struct core_charge charge;
	pbx_message_fn received;
	void *self;
	char number[64];
};

static struct receiver *receivers;

/* ---- whom it is for -------------------------------------------------------------------- */

static struct receiver *receiver_of(const char *number)
{
	struct receiver *receiver = receivers;

	while (receiver && strcmp(receiver->number, number) != 0)
		receiver = receiver->next;
	return receiver;
}

static bool has_recipient(const char *number)
{
	return receiver_of(number) || core_account_exists(number);
}

bool ua_message_give_to_receiver(struct ua_message *message)
{
	const struct receiver *receiver = receiver_of(message->to);
	const struct pbx_message given = {
		.size = sizeof given,
		.id = message->id,
		.from = message->from,
		.from_name = message->from_name,
		.to = message->to,
		.content_type = message->content_type,
		.body = message->body,
		.body_size = message->size,
		.sent_wall_us = message->sent_wall_us,
	};

	if (!receiver)
		return false;
	CORE_INTO(receiver->charge.owner, receiver->received(receiver->self, &given));
	ua_message_delivered(message);
	ua_message_end_delivery(message); /* frees it as soon as it may */
	return true;
}

/* ---- a phone sends one ------------------------------------------------------------------ */

static bool refuse_request(struct ua_request *request, const char *to)
{
	const struct ua_message_settings *settings = ua_messages_part->settings;
	const sip_t *sip = request->sip;
	size_t size = sip->sip_payload ? sip->sip_payload->pl_len : 0;

	if (size > settings->most_bytes)
		ua_refuse(request, SIP_413_REQUEST_TOO_LARGE, NULL);
	else if (size && !sip->sip_content_type)
		ua_refuse(request, 400, "Content-Type is missing", NULL);
	else if (sip->sip_content_encoding)
		ua_refuse(request, SIP_415_UNSUPPORTED_MEDIA, "Accept-Encoding: identity\n");
	else if (!to[0] || !has_recipient(to))
		ua_refuse(request, SIP_404_NOT_FOUND, NULL);
	else if (request->account[0] && !ua_message_may_send(request->account))
		ua_refuse(request, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 60\n");
	else
		return false;
	return true;
}

void ua_message(struct ua_request *request)
{
	const sip_t *sip = request->sip;
	char to[64], unsupported[512], *kind = NULL;
	struct ua_caller caller;
	struct ua_message *message;

	if (!ua_messages_part) {
		ua_refuse(request, SIP_405_METHOD_NOT_ALLOWED, "Allow: " UA_ALLOW "\n");
		return;
	}
	if (ua_requires_unknown(request->ua, ua_peer_says(request->peer), sip, unsupported, sizeof unsupported)) {
		ua_refuse(request, SIP_420_BAD_EXTENSION, unsupported);
		return;
	}
	ua_identity_user(sip->sip_request->rq_url, to, sizeof to);
	if (refuse_request(request, to))
		return;
	ua_caller_read(request, &caller);
	if (sip->sip_content_type) /* with its parameters; lives as long as the request */
		kind = sip_header_as_string(msg_home(request->msg), (sip_header_t *)sip->sip_content_type);
	const struct pbx_message given = {
		.size = sizeof given,
		.from = request->account[0] && !caller.withheld ? request->account : caller.number,
		.from_name = caller.name,
		.to = to,
		.content_type = kind ? kind : "text/plain",
		.body = sip->sip_payload ? sip->sip_payload->pl_data : "",
		.body_size = sip->sip_payload ? (uint32_t)sip->sip_payload->pl_len : 0,
	};
	message = ua_message_new(&given);
	if (!message) {
		ua_refuse(request, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 30\n");
		return;
	}
	message->asked = ua_take_transaction(request);
	ua_message_tell(message, "message.received");
	ua_message_deliver(message);
}

static void deliver_later(void *context)
{
	ua_message_deliver(context);
}

/* ---- a plugin sends or receives ---------------------------------------------------------- */

static void revoke_done(struct core_charge *charge)
{
	core_charge_remove(charge); /* it is delivered all the same, and nobody is told */
}

int ua_message_send(struct pbx_host *host, const struct pbx_message *given, pbx_message_done_fn done, void *self, char ret_id[27])
{
	struct pbx_message wish = { 0 };
	struct ua_message *message;

	core_copy_overlap(&wish, sizeof wish, given, given->size);
	wish.id = NULL;
	if (!wish.to || !wish.to[0] || strlen(wish.to) > 63 || !wish.content_type || !wish.content_type[0] ||
	    strpbrk(wish.content_type, "\r\n"))
		return PBX_EINVAL;
	if (wish.body_size > ua_messages_part->settings->most_bytes)
		return PBX_ENOSPC;
	if (!has_recipient(wish.to))
		return PBX_ENOENT;
	message = ua_message_new(&wish);
	if (!message)
		return PBX_ENOMEM;
	core_post_node(ua_messages_part->host, &message->delivery, deliver_later, message);
	message->done = done;
	message->self = self;
	core_charge_add(host, &message->charge, "message", false, revoke_done);
	memcpy(ret_id, message->id, sizeof message->id);
	ua_message_tell(message, "message.received");
	return PBX_OK;
}

static void revoke_receiver(struct core_charge *charge)
{
	struct receiver *receiver = (struct receiver *)((char *)charge - offsetof(struct receiver, charge));
	struct receiver **at = &receivers;

	core_charge_remove(charge);
	while (*at != receiver)
		at = &(*at)->next;
	*at = receiver->next;
	free(receiver);
}

/* An upgraded plugin's new instance takes the numbers of the old one. */
static bool is_successor(const struct pbx_host *host, const struct pbx_host *owner)
{
	return host != owner && strcmp(core_owner_name(host), core_owner_name(owner)) == 0;
}

int ua_message_receive(struct pbx_host *host, const char *number, pbx_message_fn received, void *self)
{
	const struct receiver *other = number ? receiver_of(number) : NULL;
	struct receiver *receiver;

	if (!number || !number[0] || strlen(number) > 63 || !received)
		return PBX_EINVAL;
	if (other && !is_successor(host, other->charge.owner))
		return PBX_EEXIST;
	receiver = calloc(1, sizeof *receiver);
	if (!receiver)
		return PBX_ENOMEM;
	(void)snprintf(receiver->number, sizeof receiver->number, "%s", number);
	receiver->received = received;
	receiver->self = self;
	receiver->next = receivers;
	receivers = receiver;
	core_charge_add(host, &receiver->charge, "messages", false, revoke_receiver);
	return PBX_OK;
}

void ua_message_doors_close(void)
{
	while (receivers)
		revoke_receiver(&receivers->charge);
}
