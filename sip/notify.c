/*
 * notify.c - what watchers are told: NOTIFY and what comes back
 *
 * One NOTIFY of a subscription is under way at a time; what changes meanwhile is told when it has been answered. A watcher that is not there any more
 * (481, silence) is forgotten. A document is asked for once in a pass for all who see the same; only the version in its middle is each watcher's own.
 */
#include "notifier_internal.h"
#include "address.h"
#include "agent.h"
#include "as_written.h"
#include "dialog_internal.h"
#include "location.h"
#include "loop.h"
#include <stdlib.h>
#include <string.h>

/* ---- documents ------------------------------------------------------------------------ */

static void written_clear(struct ua_written *written)
{
	free(written->head);
	free(written->tail);
	free(written->own_type);
	memset(written, 0, sizeof *written);
}

void ua_documents_forget(void)
{
	struct ua_state *state;

	while ((state = ua_notifier.first_cached) != NULL) {
		ua_notifier.first_cached = state->next_cached;
		state->cached = false;
		for (uint32_t i = 0; i < UA_DOCUMENT_CACHE; i++)
			written_clear(&state->written[i]);
		ua_state_free_when_alone(state);
	}
}

static void ask_provider(const struct ua_package *package, const struct pbx_watch_info *info, struct ua_written *written)
{
	struct pbx_document document = { .size = sizeof document };
	int err = PBX_EIO;

	CORE_INTO(package->charge.owner, err = package->offer.write(package->self, info, written->since, &document));
	if (err == PBX_OK) {
		written->head = strdup(document.head);
		written->tail = document.tail ? strdup(document.tail) : NULL;
		written->own_type = document.content_type ? strdup(document.content_type) : NULL;
		written->stamp = document.stamp;
		if (!written->head || (document.tail && !written->tail) || (document.content_type && !written->own_type))
			err = PBX_ENOMEM;
	}
	written->result = err;
}

const struct ua_written *ua_document_of(const struct ua_point *point)
{
	const struct ua_package *package = point->state->package;
	struct ua_state *state = point->state;
	struct ua_written *free_one = NULL;
	struct pbx_watch_info info;
	uint32_t view = 0;

	ua_watch_info(point->watch, state->name, &info);
	if (package->offer.view)
		CORE_INTO(package->charge.owner, view = package->offer.view(package->self, &info));
	for (uint32_t i = 0; i < UA_DOCUMENT_CACHE; i++) {
		struct ua_written *written = &state->written[i];

		if (written->pass == ua_notifier.pass && written->view == view && written->since == point->stamp &&
		    written->content_type == point->watch->content_type)
			return written;
		if (written->pass != ua_notifier.pass && !free_one)
			free_one = written;
	}
	if (!free_one)
		free_one = &state->written[UA_DOCUMENT_CACHE - 1];
	written_clear(free_one);
	*free_one = (struct ua_written){
		.pass = ua_notifier.pass, .view = view, .since = point->stamp, .content_type = point->watch->content_type
	};
	ask_provider(package, &info, free_one);
	if (!state->cached) {
		state->cached = true;
		state->next_cached = ua_notifier.first_cached;
		ua_notifier.first_cached = state;
	}
	return free_one;
}

char *ua_document_text(const struct ua_point *point, const struct ua_written *written)
{
	char *text = NULL;

	if (!written->tail)
		return strdup(written->head);
	return asprintf(&text, "%s%u%s", written->head, point->version, written->tail) >= 0 ? text : NULL;
}

void ua_document_told(struct ua_point *point, const struct ua_written *written)
{
	point->dirty = false;
	point->stamp = written->stamp;
	point->version++;
}

/* ---- the message ---------------------------------------------------------------------- */

struct notice {
	const char *target, *from, *to, *call_id, *event, *state, *contact, *content_type, *body, *route, *towards, *require;
	const char *ident; /* the listener it goes out from; NULL: any */
	uint32_t cseq;
};

static nta_outgoing_t *send_notice(const struct notice *notice, nta_response_f *callback, void *magic)
{
	struct ua *ua = ua_notifier.ua;
	msg_t *msg = nta_msg_create(ua->agent, 0);
	su_home_t *home = msg_home(msg);
	nta_outgoing_t *out;

	if (!msg)
		return NULL;
	ua_count(ua, UA_METRIC_REQUESTS, "NOTIFY,out");
	out = nta_outgoing_mcreate(
		ua->agent, callback, magic, notice->towards ? ua_url(notice->towards) : NULL, msg,
		SIPTAG_REQUEST(sip_request_create(home, SIP_METHOD_NOTIFY, ua_uri_as_written(home, notice->target), NULL)),
		TAG_IF(notice->route, SIPTAG_ROUTE_STR(notice->route)), SIPTAG_FROM_STR(notice->from), SIPTAG_TO_STR(notice->to),
		SIPTAG_CALL_ID_STR(notice->call_id), SIPTAG_CSEQ(sip_cseq_create(home, notice->cseq, SIP_METHOD_NOTIFY)),
		SIPTAG_MAX_FORWARDS_STR("70"), SIPTAG_CONTACT_STR(notice->contact), SIPTAG_EVENT_STR(notice->event),
		SIPTAG_SUBSCRIPTION_STATE_STR(notice->state), SIPTAG_USER_AGENT_STR(ua->settings->user_agent),
		TAG_IF(notice->require, SIPTAG_REQUIRE_STR(notice->require)),
		TAG_IF(notice->body, SIPTAG_CONTENT_TYPE_STR(notice->content_type)), TAG_IF(notice->body, SIPTAG_PAYLOAD_STR(notice->body)),
		TAG_IF(notice->ident, TPTAG_IDENT(notice->ident)), TAG_END());
	if (!out)
		msg_destroy(msg);
	return out;
}

/* After these the watcher's side of the dialog is gone (RFC 6665 4.2.2, RFC 5057). */
static bool is_gone(int status)
{
	return status == 404 || status == 405 || status == 408 || status == 410 || status == 416 || (status >= 480 && status <= 485) ||
	       status == 489 || status == 501 || status == 503 || status == 604;
}

static int on_answer(struct ua_dialog *self, nta_outgoing_t *out, const sip_t *sip)
{
	struct ua_watch *watch = (struct ua_watch *)self; /* Sofia's type for what it hands back is a dialog's */
	int status = nta_outgoing_status(out);
	bool more = false;

	(void)sip;
	if (status < 200 || !watch)
		return 0;
	ua_count_response_in(ua_notifier.ua, sip_method_notify, status);
	nta_outgoing_destroy(out);
	watch->out = NULL;
	if (is_gone(status)) {
		pbx_info(ua_notifier.ua->host, "watcher_gone", "watcher=%s package=%s resource=%s sip_code=%d", watch->watcher,
			 watch->package->name, watch->resource, status);
		ua_watch_end(watch, NULL);
		return 0;
	}
	for (uint32_t i = 0; i < watch->point_count; i++) {
		more = more || watch->points[i].dirty;
		if (status >= 300)
			watch->points[i].stamp = 0; /* it has not understood the last one: the next is a full one */
	}
	if (more)
		ua_watch_want(watch, false);
	return 0;
}

static char *document_for(struct ua_watch *watch, const char **ret_type, const char **ret_reason)
{
	struct ua_point *point = &watch->points[0];
	const struct ua_written *written;
	char *text;

	if (watch->of_list)
		return ua_list_document(watch, ret_type);
	written = ua_document_of(point);
	*ret_type = written->own_type ? written->own_type : watch->content_type;
	if (written->result == PBX_ENOENT)
		*ret_reason = "noresource";
	if (written->result != PBX_OK)
		return NULL;
	text = ua_document_text(point, written);
	ua_document_told(point, written);
	return text;
}

static void contact_of(const struct ua_watch *watch, const char *listener, char *ret_contact, size_t size)
{
	struct core_addr peer = { .in4.sin_family = AF_INET };

	(void)ua_address_parse(watch->received, &peer); /* it was printed by us */
	ua_transport_contact(ua_notifier.ua, listener, &peer, watch->transport, ret_contact, size);
}

bool ua_notify(struct ua_watch *watch, const char *terminated)
{
	const char *type = NULL, *reason = NULL;
	char event[160], state[96], contact[100], towards[UA_ROUTE_SIZE], *body = NULL;
	int64_t left_us = watch->expires_wall_us - core_wall_us();

	if (!watch->route[0] && ua_transport_route(ua_notifier.ua, watch->transport, watch->received, towards) != PBX_OK) {
		if (!terminated)
			ua_watch_end(watch, NULL); /* its connection has gone, and it alone can open another */
		return true;
	}
	if (watch->package->charge.owner && (!terminated || strcmp(terminated, "timeout") == 0))
		body = document_for(watch, &type, &reason);
	if (reason && !terminated) {
		ua_watch_end(watch, reason);
		return true;
	}
	if (watch->sent >= watch->reserved) {
		watch->reserved = watch->sent + UA_RESERVED_AT_ONCE;
		ua_watch_store(watch);
	}
	(void)snprintf(event, sizeof event, "%s%s%s", watch->package->name, watch->event_id[0] ? ";id=" : "", watch->event_id);
	if (terminated)
		(void)snprintf(state, sizeof state, "terminated;reason=%s", terminated);
	else
		(void)snprintf(state, sizeof state, "active;expires=%lld", (long long)(left_us > 0 ? left_us / 1000000 : 0));
	const char *listener = ua_location_listener(watch->watcher, watch->received);
	contact_of(watch, listener, contact, sizeof contact);
	const struct notice notice = {
		.target = watch->target,
		.from = watch->local,
		.to = watch->remote,
		.call_id = watch->call_id,
		.event = event,
		.state = state,
		.contact = contact,
		.content_type = type,
		.body = body,
		.route = watch->route[0] ? watch->route : NULL,
		.towards = watch->route[0] ? NULL : towards,
		.require = watch->of_list ? "eventlist" : NULL,
		.ident = ua_transport_ident(listener, watch->transport),
		.cseq = ++watch->sent,
	};
	nta_outgoing_t *out = send_notice(&notice, terminated ? NULL : on_answer, terminated ? NULL : watch);
	watch->full = false;
	free(body);
	if (out && terminated)
		nta_outgoing_destroy(out); /* Sofia goes on sending it by itself */
	else
		watch->out = out;
	return out != NULL;
}

/* ---- without a subscription ------------------------------------------------------------ */

struct telling {
	const char *event, *content_type, *body;
};

static void tell_contact(void *context, const struct pbx_contact *at)
{
	const struct telling *telling = context;
	struct ua *ua = ua_notifier.ua;
	char from[200], to[600], contact[100], towards[UA_ROUTE_SIZE], call_id[27];
	struct core_addr peer = { .in4.sin_family = AF_INET };

	(void)ua_address_parse(at->received, &peer); /* it was printed by us */
	ua_transport_contact(ua, ua_listener_find(at->listener), &peer, at->transport, contact, sizeof contact);
	core_ulid(call_id);
	(void)snprintf(from, sizeof from, "<sip:%s@%s>;tag=%s", at->aor, ua->settings->domain, call_id + 10);
	(void)snprintf(to, sizeof to, "<%s>", at->uri);
	if (!at->path[0] && ua_transport_route(ua, at->transport, at->received, towards) != PBX_OK)
		return; /* its connection has gone */
	const struct notice notice = {
		.target = at->uri,
		.from = from,
		.to = to,
		.call_id = call_id,
		.event = telling->event,
		.state = "terminated;reason=timeout",
		.contact = contact,
		.content_type = telling->content_type,
		.body = telling->body[0] ? telling->body : NULL,
		.route = at->path[0] ? at->path : NULL,
		.towards = at->path[0] ? NULL : towards,
		.ident = ua_transport_ident(at->listener, at->transport),
		.cseq = 1,
	};
	nta_outgoing_t *out = send_notice(&notice, NULL, NULL);
	if (out)
		nta_outgoing_destroy(out); /* Sofia goes on sending it by itself */
}

int ua_notify_tell(struct pbx_host *host, const char *account, const char *event, const char *content_type, const char *body)
{
	struct telling telling = { event, content_type ? content_type : "text/plain", body ? body : "" };

	(void)host;
	if (!ua_notifier.open || !account || !account[0] || !event || !event[0] || strpbrk(event, "\r\n"))
		return PBX_EINVAL;
	return ua_location_service.each(account, tell_contact, &telling) ? PBX_OK : PBX_ENOENT;
}
