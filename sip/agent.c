/*
 * agent.c - Sofia's nta on our loop
 *
 * One thread: the loop's wait is a step of Sofia's root, which also watches libuv's descriptor. No default leg is set, so that
 * every request outside a dialog comes to on_message() before anything is allocated for it: the border's guard and the flood guard are
 * asked first, then the credentials, and only who has passed all gets a transaction. Retransmissions and dialogs are found by nta before
 * that.
 */
#include "agent.h"
#include "address.h"
#include "auth.h"
#include "border.h"
#include "dialog_internal.h"
#include "guard.h"
#include "identity.h"
#include "loop.h"
#include "message.h"
#include "notifier.h"
#include "peer.h"
#include "registrar.h"
#include "tap.h"
#include "tls_names.h"
#include <sofia-sip/su_log.h>
#include <sofia-sip/su_wait.h>
#include <stdlib.h>
#include <string.h>

#define MOST_MESSAGE 65535u

/* ---- transactions ---------------------------------------------------------------------- */

nta_incoming_t *ua_take_transaction(struct ua_request *request)
{
	msg_t *msg = request->msg;

	request->msg = NULL;
	return nta_incoming_create(request->ua->agent, NULL, msg, request->sip, TAG_END());
}

void ua_reply(struct ua *ua, nta_incoming_t *irq, int status, const char *phrase, const char *headers)
{
	if (!irq)
		return;
	ua_count_response_in(ua, nta_incoming_method(irq), status);
	(void)nta_incoming_treply(irq, status, phrase, SIPTAG_SERVER_STR(ua->settings->user_agent),
				  TAG_IF(headers, SIPTAG_HEADER_STR(headers)), TAG_END()); /* lost: the peer asks again */
	if (status >= 200)
		nta_incoming_destroy(irq);
}

/* ---- the road of a request ------------------------------------------------------------ */

static void answer_options(struct ua_request *request)
{
	char supported[UA_SUPPORTED_SIZE], headers[256];

	ua_supported(request->ua, ua_peer_says(request->peer), supported);
	(void)snprintf(headers, sizeof headers, "Allow: " UA_ALLOW_OUTSIDE "\nSupported: %s\nAccept: application/sdp, text/plain\n",
		       supported);
	ua_refuse(request, SIP_200_OK, headers);
}

/* Methods that mean nothing outside a dialog. */
static bool needs_dialog(sip_method_t method)
{
	return method == sip_method_bye || method == sip_method_info || method == sip_method_update || method == sip_method_prack ||
	       method == sip_method_cancel || method == sip_method_refer;
}

void ua_supported(const struct ua *ua, const struct pbx_sip_peer *peer, char ret_text[UA_SUPPORTED_SIZE])
{
	char *end = stpcpy(ret_text, "replaces");

	if (ua_refresh_is_on(ua, peer))
		end = stpcpy(end, ", timer");
	if (strcmp(ua->settings->reliable, "off") != 0)
		(void)stpcpy(end, ", 100rel");
}

static bool is_supported(const struct ua *ua, const struct pbx_sip_peer *peer, const char *extension)
{
	if (strcasecmp(extension, "timer") == 0)
		return ua_refresh_is_on(ua, peer);
	if (strcasecmp(extension, "100rel") == 0)
		return strcmp(ua->settings->reliable, "off") != 0;
	return strcasecmp(extension, "replaces") == 0;
}

bool ua_requires_unknown(const struct ua *ua, const struct pbx_sip_peer *peer, const sip_t *sip, char *ret_header, size_t size)
{
	const msg_param_t *items = sip->sip_require ? sip->sip_require->k_items : NULL;
	size_t used = 0;

	for (; items && *items; items++)
		if (!is_supported(ua, peer, *items) && used + 80 < size)
			used += (size_t)snprintf(ret_header + used, size - used, "%s%.60s", used ? ", " : "Unsupported: ", *items);
	if (used)
		(void)snprintf(ret_header + used, size - used, "\n");
	return used > 0;
}

static void dispatch(struct ua_request *request)
{
	sip_method_t method = request->sip->sip_request->rq_method;
	char unsupported[512];

	switch (method) {
	case sip_method_register:
		ua_register(request);
		return;
	case sip_method_invite:
		if (ua_requires_unknown(request->ua, ua_peer_says(request->peer), request->sip, unsupported, sizeof unsupported))
			ua_refuse(request, SIP_420_BAD_EXTENSION, unsupported);
		else
			ua_dialog_incoming(request);
		return;
	case sip_method_subscribe:
		ua_subscribe(request);
		return;
	case sip_method_publish:
		ua_publish(request);
		return;
	case sip_method_notify:
		ua_notice(request);
		return;
	case sip_method_message:
		ua_message(request);
		return;
	case sip_method_options:
		answer_options(request);
		return;
	case sip_method_unknown:
		ua_refuse(request, SIP_501_NOT_IMPLEMENTED, NULL);
		return;
	default:
		ua_refuse(request, SIP_405_METHOD_NOT_ALLOWED, "Allow: " UA_ALLOW_OUTSIDE "\n");
		return;
	}
}

/* An INVITE of ours that a proxy has sent back to us has our Call-ID and tag still. For another number that may be right, a spiral (RFC 3261
 * 16.3); for one that its call has asked for before it would go round until Max-Forwards ends it (RFC 5393). */
static bool came_round(struct ua_request *request)
{
	const sip_t *sip = request->sip;
	char number[64];

	if (!sip->sip_via->v_next)
		return false; /* straight from who made it */
	nta_leg_t *leg = nta_leg_by_dialog(request->ua->agent, NULL, sip->sip_call_id, NULL, NULL, sip->sip_from->a_tag, NULL);
	const struct ua_dialog *dialog = leg ? nta_leg_magic(leg, ua_dialog_on_request) : NULL;

	if (!dialog)
		return false;
	request->came_from = dialog->leg;
	ua_identity_user(sip->sip_request->rq_url, number, sizeof number);
	return core_leg_has_asked_for(dialog->leg, number);
}

/* ";tag" without a value (RFC 3261 25.1): it would name a dialog that nobody can mean. */
static bool has_empty_tag(const sip_addr_t *address)
{
	return address->a_tag && !address->a_tag[0];
}

/* Answers what needs no credentials because it gives nothing away. */
static bool refuse_at_once(struct ua_request *request)
{
	sip_method_t method = request->sip->sip_request->rq_method;
	const sip_t *sip = request->sip;

	if (has_empty_tag(sip->sip_from) || has_empty_tag(sip->sip_to))
		ua_refuse(request, 400, "A tag without a value", NULL);
	else if (sip->sip_request->rq_url->url_type != url_sip && sip->sip_request->rq_url->url_type != url_sips &&
		 sip->sip_request->rq_url->url_type != url_tel)
		ua_refuse(request, SIP_416_UNSUPPORTED_URI, NULL);
	else if ((sip->sip_to->a_tag && method != sip_method_subscribe) || needs_dialog(method)) /* subscriptions know their own dialogs */
		ua_refuse(request, SIP_481_NO_TRANSACTION, NULL);
	else if (sip->sip_max_forwards && sip->sip_max_forwards->mf_count == 0 && method == sip_method_invite)
		ua_refuse(request, SIP_483_TOO_MANY_HOPS, NULL);
	else if (method == sip_method_invite && came_round(request))
		ua_refuse(request, SIP_482_LOOP_DETECTED, NULL);
	else
		return false;
	return true;
}

/* Whoever sent it has sent too much, or is not to be talked to. */
static bool is_unwanted(const struct ua_request *request)
{
	const struct ua_settings *settings = request->ua->settings;
	uint32_t verdict = ua_border_packet(&request->source, request->transport);

	if (verdict != PBX_BORDER_PASS)
		return verdict == PBX_BORDER_DROP;
	if (request->from_peer || ua_flood_allows(&request->source, settings->flood_rate, settings->flood_burst, core_now_ms()))
		return false;
	ua_count(request->ua, UA_METRIC_FLOOD, NULL);
	return true;
}

/* The guard of the border does not want this request. */
static bool is_turned_away(struct ua_request *request)
{
	uint32_t verdict = ua_border_request(request);

	if (verdict == PBX_BORDER_DROP)
		msg_destroy(request->msg);
	else if (verdict == PBX_BORDER_REFUSE)
		ua_refuse(request, SIP_403_FORBIDDEN, NULL);
	return verdict == PBX_BORDER_DROP || verdict == PBX_BORDER_REFUSE;
}

/* Whose request is it, as far as token, address and certificate tell? */
static void identify(struct ua_request *request)
{
	const struct ua *ua = request->ua;
	struct ua_tls_names names = { 0 };
	struct ua_manners manners;

	ua_listener_manners(ua, request->listener, &manners);
	if (strcmp(request->transport, "tls") == 0 && strcmp(manners.tls_clients, "none") != 0)
		ua_tls_names(&request->source, &names);
	request->peer = ua_peer_of(request->sip, &request->source, "");
	for (uint32_t i = 0; i < names.count && !request->peer; i++)
		request->peer = ua_peer_of(request->sip, &request->source, names.names[i]);
	request->from_peer = request->peer || ua_is_peer(ua, &request->source);
	if (ua->settings->tls_accounts)
		(void)ua_tls_account(&names, ua->settings->domain, request->certified); /* most name none */
}

static int on_message(struct ua *ua, nta_agent_t *agent, msg_t *msg, sip_t *sip)
{
	struct ua_request request = { .ua = ua, .msg = msg, .sip = sip };

	(void)agent;
	ua_tap_check(ua);
	if (!ua_transport_sender(ua, msg, &request.source, &request.transport, &request.listener)) {
		msg_destroy(msg);
		return 0;
	}
	identify(&request);
	if (is_unwanted(&request)) {
		msg_destroy(msg);
		return 0;
	}
	if (!sip->sip_request || sip->sip_request->rq_method == sip_method_ack) { /* a stray response or ACK: nobody waits for us */
		msg_destroy(msg);
		return 0;
	}
	if (is_turned_away(&request))
		return 0;
	ua_count_request(ua, sip->sip_request->rq_method, ",in");
	core_address_print(&request.source, request.address, sizeof request.address);
	if (request.peer && request.peer->is.flags & PBX_SIP_DISABLED) {
		ua_refuse(&request, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 300\n");
		return 0;
	}
	if (!refuse_at_once(&request) && ua_authenticate(&request))
		dispatch(&request);
	if (request.msg)
		msg_destroy(request.msg);
	return 0;
}

/* ---- the loop ------------------------------------------------------------------------- */

/* libuv has something to do: the loop's next round sees to it. */
static int on_uv_ready(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
	bool *ready = (bool *)arg;

	(void)magic, (void)wait;
	*ready = true;
	return 0;
}

static bool wait_in_root(void *context, int timeout_ms)
{
	struct ua *ua = context;

	ua->uv_ready = false;
	(void)su_root_step(ua->root, timeout_ms < 0 ? 1000 : timeout_ms); /* what it says about its next timer the next step finds again */
	return ua->uv_ready;
}

/* Called by su_time() with what it is about to say; exported by the library, declared in none of its headers. */
extern void (*_su_time)(su_time_t *now);

/* Timers are kept in microseconds and waited for in milliseconds, rounded down: without this the root polls with a timeout of 0 for the last
 * part of a millisecond before each of them, which was most of the CPU time of a call. */
static void in_whole_ms(su_time_t *now)
{
	now->tv_usec -= now->tv_usec % 1000;
}

static void swallow(void *stream, const char *format, va_list args)
{
	(void)stream, (void)format, (void)args;
}

int ua_agent_start(struct ua *ua)
{
	su_wait_t wait[1];

	if (su_init() != 0)
		return PBX_EIO;
	su_log_redirect(NULL, swallow, NULL);
	_su_time = in_whole_ms;
	ua->root = su_root_create(NULL);
	if (!ua->root)
		return PBX_ENOMEM;
	su_root_threading(ua->root, 0);
	if (su_wait_create(wait, uv_backend_fd(core_loop_uv()), SU_WAIT_IN) != 0 ||
	    su_root_register(ua->root, wait, on_uv_ready, (su_wakeup_arg_t *)&ua->uv_ready, 0) < 0)
		return PBX_EIO;

	ua->agent =
		nta_agent_create(ua->root, (url_string_t *)-1, on_message, ua, NTATAG_UA(1), NTATAG_MERGE_482(1), NTATAG_CLIENT_RPORT(1),
				 NTATAG_MAXSIZE(MOST_MESSAGE), NTATAG_USE_NAPTR(0), NTATAG_UDP_MTU(ua->settings->udp_mtu), TAG_END());
	if (!ua->agent)
		return PBX_EIO;
	core_loop_set_waiter(wait_in_root, ua);
	return PBX_OK;
}

void ua_agent_stop(struct ua *ua)
{
	if (ua->root)
		core_loop_set_waiter(NULL, NULL);
	nta_agent_destroy(ua->agent);
	ua->agent = NULL;
	ua_transport_stop(ua);
	if (ua->root) {
		su_root_destroy(ua->root);
		su_deinit();
	}
	ua->root = NULL;
}
