/*
 * message_devices.c - a message to all devices of an account at once
 *
 * The first that takes it is enough. What a device says of the content is the answer to its sender; all else only says that this way did not work.
 */
#include "message.h"
#include "as_written.h"
#include "dialog_internal.h"
#include "identity.h"
#include "location.h"
#include "loop.h"
#include "transport.h"
#include <stdlib.h>
#include <string.h>

#define OLD_US 5000000 /* one that has waited so long says when it was sent */

/* One device that is asked to take it. */
struct ua_attempt {
	struct ua_attempt *next;
	struct ua_message *message;
	nta_leg_t *leg; /* Sofia wants one */
	nta_outgoing_t *out;
};

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

void ua_message_forget_devices(struct ua_message *message)
{
	while (message->attempts)
		attempt_free(message->attempts);
}

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
		ua_message_delivered(message);
	else if (is_about_content(status))
		message->refusal = (uint32_t)status;
	if (message->pending == 0)
		ua_message_end_delivery(message);
	return 0;
}

static bool say(struct ua_attempt *attempt, const struct pbx_contact *contact, const char *towards)
{
	const struct ua_message *message = attempt->message;
	char from[512], to[600], date[64] = "";
	sip_payload_t payload[1];
	time_t sent_s = (time_t)(message->sent_wall_us / 1000000);
	struct tm sent;
	su_home_t home[1] = { SU_HOME_INIT(home) };
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
	(void)su_home_init(home);
	attempt->out = nta_outgoing_tcreate(
		attempt->leg, on_answer, (struct ua_dialog *)attempt, towards ? ua_url(towards) : NULL, SIP_METHOD_MESSAGE,
		ua_uri_as_written(home, contact->uri), TAG_IF(contact->path[0], SIPTAG_ROUTE_STR(contact->path)),
		SIPTAG_MAX_FORWARDS_STR("70"), SIPTAG_USER_AGENT_STR(ua_part->settings->user_agent), TAG_IF(date[0], SIPTAG_DATE_STR(date)),
		SIPTAG_CONTENT_TYPE_STR(message->content_type), SIPTAG_PAYLOAD(payload), TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
	su_home_deinit(home);
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

void ua_message_try_devices(struct ua_message *message)
{
	(void)ua_location_service.each(message->to, try_device, message); /* how many there are does not matter */
}
