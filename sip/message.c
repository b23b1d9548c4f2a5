/*
 * message.c - a short message on its way (RFC 3428)
 *
 *    in     MESSAGE of a phone, pbx_messages.send, REST     who sends has proved it; too long is 413, nobody of that number 404
 *    out    to who receives for the number, or to all devices of the account at once
 *           a device has taken it: 200    no device could: stored, 202    a device does not want such content: its own answer
 *
 * A sender hears 200 or 202 only when the message is on a device or safe in the store, so what is lost in between is sent again.
 */
#include "message.h"
#include "address.h"
#include "agent.h"
#include "bus.h"
#include "dialog_internal.h"
#include "host.h"
#include "caller.h"
#include "identity.h"
#include "json.h"
#include "location.h"
#include "loop.h"
#include "transport.h"
#include <pbx/directory.h>
#include <stdlib.h>
#include <string.h>

#define MOST_UNDER_WAY 10000u
#define OLD_US 5000000 /* one that has waited so long says when it was sent */

/* One device that is asked to take it. */
struct ua_attempt {
	struct ua_attempt *next;
	struct ua_message *message;
	nta_leg_t *leg; /* Sofia wants one */
	nta_outgoing_t *out;
};

/* Who gets what is sent to a number. */
struct receiver {
	struct receiver *next;
	struct core_charge charge;
	pbx_message_fn received;
	void *self;
	char number[64];
};

static struct ua_message *under_way;
static uint32_t under_way_count;
static struct receiver *receivers;

/* ---- memory --------------------------------------------------------------------------- */

static void attempt_free(struct ua_attempt *attempt)
{
	struct ua_attempt **at = &attempt->message->attempts;

	while (*at != attempt)
		at = &(*at)->next;
	*at = attempt->next;
	nta_outgoing_destroy(attempt->out);
	nta_leg_destroy(attempt->leg);
	free(attempt);
}

static void message_free(struct ua_message *message)
{
	struct ua_message **at = &under_way;

	while (*at && *at != message)
		at = &(*at)->next;
	if (*at) {
		*at = message->next;
		under_way_count--;
	}
	while (message->attempts)
		attempt_free(message->attempts);
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

static struct ua_message *message_new(const struct pbx_message *given)
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
		message_free(message);
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

bool ua_message_is_under_way(const char *id)
{
	for (const struct ua_message *message = under_way; message; message = message->next)
		if (strcmp(message->id, id) == 0)
			return true;
	return false;
}

/* ---- what has become of it ------------------------------------------------------------- */

static void tell(const struct ua_message *message, const char *type)
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
		tell(message, outcome == PBX_MESSAGE_DELIVERED ? "message.delivered" : "message.stored");
	ua_reply(ua_part, message->asked, status, sip_status_phrase(status), status == 503 ? "Retry-After: 30\n" : NULL);
	message->asked = NULL;
	message->done = NULL;
	core_charge_remove(&message->charge);
	if (done && owner)
		CORE_INTO(owner, done(message->self, message->id, outcome));
}

static void delivered(struct ua_message *message)
{
	if (message->settled)
		return; /* another device was faster */
	if (message->stored)
		ua_message_forget(message);
	settle(message, 200, PBX_MESSAGE_DELIVERED);
}

/* Each device has spoken. */
static void end_delivery(struct ua_message *message)
{
	int err;

	if (message->forgetting)
		return; /* until the table has it no longer, it must not be taken for one that waits */
	if (message->settled || message->stored) {
		message_free(message);
		return;
	}
	if (message->refusal) {
		settle(message, (int)message->refusal, PBX_MESSAGE_REFUSED);
		message_free(message);
		return;
	}
	err = ua_message_keep(message);
	if (err == PBX_OK)
		return;
	settle(message, err == PBX_ENOSPC ? 480 : 503, PBX_MESSAGE_REFUSED);
	message_free(message);
}

void ua_message_kept(struct ua_message *message, int result)
{
	settle(message, result == PBX_OK ? 202 : 503, result == PBX_OK ? PBX_MESSAGE_STORED : PBX_MESSAGE_REFUSED);
	message_free(message);
}

void ua_message_forgotten(struct ua_message *message)
{
	message->forgetting = false;
	if (message->pending == 0)
		message_free(message);
}

/* ---- devices --------------------------------------------------------------------------- */

/* What is wrong with the message, not with the way to the device. */
static bool is_about_content(int status)
{
	return status == 400 || status == 413 || status == 415 || status == 488 || status == 603 || status == 606;
}

/* Sofia's type for what it hands back is a dialog's; here it is an attempt. */
static int on_answer(struct ua_dialog *self, nta_outgoing_t *out, const sip_t *sip)
{
	struct ua_attempt *attempt = (struct ua_attempt *)self;
	struct ua_message *message = attempt->message;
	int status = nta_outgoing_status(out);

	(void)sip;
	if (status < 200)
		return 0;
	ua_count_response_in(ua_part, sip_method_message, status);
	attempt_free(attempt);
	message->pending--;
	if (status < 300)
		delivered(message);
	else if (is_about_content(status))
		message->refusal = (uint32_t)status;
	if (message->pending == 0)
		end_delivery(message);
	return 0;
}

static bool say(struct ua_attempt *attempt, const struct pbx_contact *contact, const char *towards)
{
	const struct ua_message *message = attempt->message;
	char from[512], to[600], date[64] = "";
	sip_payload_t payload[1];
	time_t sent_s = (time_t)(message->sent_wall_us / 1000000);
	struct tm sent;
	const char *ident = ua_transport_ident(contact->listener, contact->transport);

	ua_identity_address(ua_part, message->from, message->from_name, from, sizeof from);
	(void)snprintf(to, sizeof to, "<%s>", contact->uri);
	sip_payload_init(payload);
	payload->pl_data = message->body;
	payload->pl_len = message->size;
	if (core_wall_us() - message->sent_wall_us > OLD_US && gmtime_r(&sent_s, &sent))
		(void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &sent);
	ua_count(ua_part, UA_METRIC_REQUESTS, "MESSAGE,out");
	attempt->leg = nta_leg_tcreate(ua_part->agent, NULL, NULL, SIPTAG_FROM_STR(from), SIPTAG_TO_STR(to), TAG_END());
	if (!attempt->leg || !nta_leg_tag(attempt->leg, NULL))
		return false;
	attempt->out = nta_outgoing_tcreate(
		attempt->leg, on_answer, (struct ua_dialog *)attempt, towards ? ua_url(towards) : NULL, SIP_METHOD_MESSAGE,
		ua_url(contact->uri), TAG_IF(contact->path[0], SIPTAG_ROUTE_STR(contact->path)), SIPTAG_MAX_FORWARDS_STR("70"),
		SIPTAG_USER_AGENT_STR(ua_part->settings->user_agent), TAG_IF(date[0], SIPTAG_DATE_STR(date)),
		SIPTAG_CONTENT_TYPE_STR(message->content_type), SIPTAG_PAYLOAD(payload), TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
	return attempt->out != NULL;
}

/* Whether its contact cannot be taken at its word. */
static bool is_elsewhere_than(const struct pbx_contact *contact)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };

	(void)su_home_init(home);
	const url_t *target = url_make(home, contact->uri);
	bool is_elsewhere = target && ua_transport_is_elsewhere(ua_part, contact->listener, target, contact->received, contact->transport);
	su_home_deinit(home);
	return is_elsewhere;
}

static void try_device(void *context, const struct pbx_contact *contact)
{
	struct ua_message *message = context;
	struct ua_attempt *attempt = calloc(1, sizeof *attempt);
	char towards[UA_ROUTE_SIZE];
	bool is_elsewhere;

	if (!attempt)
		return;
	attempt->message = message;
	attempt->next = message->attempts;
	message->attempts = attempt;
	is_elsewhere = !contact->path[0] && is_elsewhere_than(contact);
	bool has_way = !is_elsewhere || ua_transport_route(ua_part, contact->transport, contact->received, towards) == PBX_OK;
	if (has_way && say(attempt, contact, is_elsewhere ? towards : NULL))
		message->pending++;
	else
		attempt_free(attempt);
}

/* ---- whom it is for -------------------------------------------------------------------- */

static struct receiver *receiver_of(const char *number)
{
	struct receiver *receiver = receivers;

	while (receiver && strcmp(receiver->number, number) != 0)
		receiver = receiver->next;
	return receiver;
}

struct account_search {
	const char *number;
	bool found;
};

static void look_up(void *context, const void *table)
{
	struct account_search *search = context;
	const struct pbx_directory *directory = table;
	struct pbx_account account = { .size = sizeof account };

	search->found = search->found || (directory->find && directory->find(directory->self, search->number, &account) == PBX_OK);
}

static bool has_recipient(const char *number)
{
	struct account_search search = { .number = number };

	if (receiver_of(number))
		return true;
	core_host_each_service("pbx.directory/1", (uint32_t)sizeof(struct pbx_directory), look_up, &search);
	return search.found;
}

static void give_to(struct receiver *receiver, struct ua_message *message)
{
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

	CORE_INTO(receiver->charge.owner, receiver->received(receiver->self, &given));
	delivered(message);
	end_delivery(message); /* frees it as soon as it may */
}

static void deliver(struct ua_message *message)
{
	struct receiver *receiver = receiver_of(message->to);

	if (receiver) {
		give_to(receiver, message);
		return;
	}
	(void)ua_location_service.each(message->to, try_device, message); /* how many there are does not matter */
	if (message->pending == 0)
		end_delivery(message);
}

static void deliver_later(void *context, void *data)
{
	(void)context;
	if (ua_message_is_under_way(data)) {
		struct ua_message *message = under_way;

		while (strcmp(message->id, data) != 0)
			message = message->next;
		deliver(message);
	}
	free(data);
}

void ua_message_deliver_stored(const struct pbx_message *given)
{
	struct ua_message *message = message_new(given);

	if (!message)
		return; /* the next registration tries again */
	message->stored = true;
	deliver(message);
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
	if (ua_requires_unknown(request->ua, sip, unsupported, sizeof unsupported)) {
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
	message = message_new(&given);
	if (!message) {
		ua_refuse(request, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 30\n");
		return;
	}
	message->asked = ua_take_transaction(request);
	tell(message, "message.received");
	deliver(message);
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
	char *id;

	memcpy(&wish, given, given->size < sizeof wish ? given->size : sizeof wish);
	wish.id = NULL;
	if (!wish.to || !wish.to[0] || strlen(wish.to) > 63 || !wish.content_type || !wish.content_type[0] ||
	    strpbrk(wish.content_type, "\r\n"))
		return PBX_EINVAL;
	if (wish.body_size > ua_messages_part->settings->most_bytes)
		return PBX_ENOSPC;
	if (!has_recipient(wish.to))
		return PBX_ENOENT;
	message = message_new(&wish);
	id = message ? strdup(message->id) : NULL;
	if (!id || core_post(ua_messages_part->host, deliver_later, NULL, id, free) != PBX_OK) {
		free(id);
		if (message)
			message_free(message);
		return PBX_ENOMEM;
	}
	message->done = done;
	message->self = self;
	core_charge_add(host, &message->charge, "message", false, revoke_done);
	memcpy(ret_id, message->id, sizeof message->id);
	tell(message, "message.received");
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
	copy_text(receiver->number, sizeof receiver->number, number);
	receiver->received = received;
	receiver->self = self;
	receiver->next = receivers;
	receivers = receiver;
	core_charge_add(host, &receiver->charge, "messages", false, revoke_receiver);
	return PBX_OK;
}

void ua_messages_close(void)
{
	while (under_way)
		message_free(under_way);
	while (receivers)
		revoke_receiver(&receivers->charge);
}
