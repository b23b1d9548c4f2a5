/*
 * subscribe.c - SUBSCRIBE (RFC 6665): a phone wants to be told, goes on wanting it, or wants it no more
 *
 * The request has proved who sends it, in the dialog of a subscription just as outside. Which package, which type of document and for how long is
 * found here; whether this watcher may see that resource is the package's to say. 200 first, the state follows at once by NOTIFY.
 */
#include "notifier_internal.h"
#include "agent.h"
#include "as_written.h"
#include "identity.h"
#include "loop.h"
#include <sofia-sip/sip_util.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TEXT 600u

struct asking {
	struct ua_request *request;
	nta_incoming_t *irq;
	struct ua_package *package;
	struct ua_list *list;
	char resource[64], event_id[64];
	const char *content_type;
	uint32_t expires_s;
	char body[4096], body_type[80];
};

static void answer(const struct asking *asking, int status, const char *phrase, const char *headers)
{
	ua_reply(asking->request->ua, asking->irq, status, phrase, headers);
}

/* ---- what is asked for ---------------------------------------------------------------- */

static void refuse_event(const struct asking *asking)
{
	char headers[512];

	answer(asking, SIP_489_BAD_EVENT, ua_packages_header(false, headers, sizeof headers) ? headers : NULL);
}

static bool read_event(struct asking *asking)
{
	const sip_event_t *event = asking->request->sip->sip_event;

	asking->package = event && event->o_type ? ua_package_find(event->o_type) : NULL;
	if (!asking->package || !asking->package->charge.owner) {
		refuse_event(asking);
		return false;
	}
	if (event->o_id && strlen(event->o_id) >= sizeof asking->event_id) {
		answer(asking, 400, "Event id is too long", NULL);
		return false;
	}
	(void)snprintf(asking->event_id, sizeof asking->event_id, "%s", event->o_id ? event->o_id : "");
	return true;
}

static bool read_expires(struct asking *asking)
{
	const struct ua_settings *settings = asking->request->ua->settings;
	const sip_t *sip = asking->request->sip;
	uint32_t initial = asking->package->offer.default_expires_s;
	unsigned long seconds = sip->sip_expires ? sip->sip_expires->ex_delta : initial ? initial : 3600;
	char headers[64];

	if (seconds > 0 && seconds < settings->min_expires_s) {
		(void)snprintf(headers, sizeof headers, "Min-Expires: %u\n", settings->min_expires_s);
		answer(asking, SIP_423_INTERVAL_TOO_BRIEF, headers);
		return false;
	}
	asking->expires_s = seconds > settings->max_expires_s ? settings->max_expires_s : (uint32_t)seconds;
	return true;
}

static bool is_accepted(const sip_accept_t *accept, const char *type)
{
	size_t main_length = strcspn(type, "/");

	for (; accept; accept = accept->ac_next) {
		const char *text = accept->ac_type ? accept->ac_type : "";

		if (strcasecmp(text, type) == 0 || strcmp(text, "*/*") == 0 ||
		    (strncasecmp(text, type, main_length + 1) == 0 && strcmp(text + main_length, "/*") == 0))
			return true;
	}
	return false;
}

static bool choose_type(struct asking *asking)
{
	const sip_accept_t *accept = asking->request->sip->sip_accept;
	const struct pbx_list *types = &asking->package->offer.content_types;
	char headers[256] = "Accept: ";

	for (uint32_t i = 0; i < types->count && !asking->content_type; i++)
		if (!accept || is_accepted(accept, types->items[i]))
			asking->content_type = types->items[i];
	if (asking->content_type)
		return true;
	(void)snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "%s\n", types->items[0]);
	answer(asking, SIP_406_NOT_ACCEPTABLE, headers);
	return false;
}

static bool read_body(struct asking *asking)
{
	const sip_t *sip = asking->request->sip;
	const sip_payload_t *payload = sip->sip_payload;

	if (!payload || !payload->pl_len)
		return true;
	if (payload->pl_len >= sizeof asking->body || memchr(payload->pl_data, '\0', payload->pl_len)) {
		answer(asking, SIP_413_REQUEST_TOO_LARGE, NULL);
		return false;
	}
	memcpy(asking->body, payload->pl_data, payload->pl_len);
	(void)snprintf(asking->body_type, sizeof asking->body_type, "%s",
		       sip->sip_content_type && sip->sip_content_type->c_type ? sip->sip_content_type->c_type : "");
	return true;
}

/* What the package says to it; refused: has been answered. */
static bool is_permitted(const struct asking *asking, uint64_t handle)
{
	const struct ua_package *package = asking->package;
	const sip_t *sip = asking->request->sip;
	const struct pbx_watch_info info = {
		.size = sizeof info,
		.watch = { handle },
		.package = package->name,
		.resource = asking->resource,
		.watcher = asking->request->account,
		.device = sip->sip_user_agent && sip->sip_user_agent->g_string ? sip->sip_user_agent->g_string : "",
		.content_type = asking->content_type ? asking->content_type : "",
		.body = asking->body,
		.body_type = asking->body_type,
		.expires_s = asking->expires_s,
		.domain = asking->request->ua->settings->domain,
	};
	int err = PBX_OK;

	if (package->offer.subscribed && !asking->list)
		CORE_INTO(package->charge.owner, err = package->offer.subscribed(package->self, &info));
	if (err == PBX_OK)
		return true;
	if (err == PBX_ENOENT)
		answer(asking, SIP_404_NOT_FOUND, NULL);
	else if (err == PBX_EINVAL)
		answer(asking, 400, "The body cannot be read", NULL);
	else
		answer(asking, SIP_403_FORBIDDEN, NULL);
	return false;
}

/* ---- the dialog ----------------------------------------------------------------------- */

static bool keep(char **at, const char *text)
{
	char *copy = strdup(text ? text : "");

	if (!copy)
		return false;
	free(*at);
	*at = copy;
	return true;
}

/* A header's value as text; "" when it is too long. */
static void value_of(const sip_header_t *header, char *ret_text, size_t size)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };

	(void)su_home_init(home);
	const char *text = header ? sip_header_as_string(home, header) : NULL;
	(void)snprintf(ret_text, size, "%s", text && strlen(text) < size ? text : "");
	su_home_deinit(home);
}

/* Where NOTIFYs go: a device is reached where its packets come from, a peer means what it says. */
static bool keep_way(struct ua_watch *watch, const struct ua_request *request)
{
	char target[MOST_TEXT];
	const sip_t *sip = request->sip;

	if (!sip->sip_contact || (sip->sip_contact->m_url->url_type != url_sip && sip->sip_contact->m_url->url_type != url_sips) ||
	    !ua_contact_as_written(sip->sip_contact, sip->sip_contact, target, sizeof target))
		return false;
	(void)snprintf(watch->transport, sizeof watch->transport, "%s", request->transport);
	return keep(&watch->target, target) && keep(&watch->received, request->address);
}

static bool keep_route(struct ua_watch *watch, const sip_t *sip)
{
	char route[MOST_TEXT] = "";
	size_t used = 0;

	for (const sip_record_route_t *record = sip->sip_record_route; record; record = record->r_next) {
		int length = snprintf(route + used, sizeof route - used, "%s<" URL_PRINT_FORMAT ">", used ? ", " : "",
				      URL_PRINT_ARGS(record->r_url));

		if (length < 0 || (size_t)length >= sizeof route - used)
			return false;
		used += (size_t)length;
	}
	return keep(&watch->route, route);
}

static bool keep_dialog(struct ua_watch *watch, const struct asking *asking)
{
	const struct ua_request *request = asking->request;
	const sip_t *sip = request->sip;
	char text[MOST_TEXT], tag[27];

	core_ulid(watch->id);
	core_ulid(tag);
	value_of((const sip_header_t *)sip->sip_from, text, sizeof text);
	if (!text[0] || !sip->sip_from->a_tag || !keep(&watch->remote, text) || !keep(&watch->remote_tag, sip->sip_from->a_tag))
		return false;
	value_of((const sip_header_t *)sip->sip_to, text, sizeof text - 40);
	(void)snprintf(text + strlen(text), 40, ";tag=%s", tag);
	watch->content_type = asking->content_type;
	watch->remote_cseq = sip->sip_cseq->cs_seq;
	watch->reserved = UA_RESERVED_AT_ONCE;
	return keep(&watch->local, text) && keep(&watch->local_tag, tag) && keep(&watch->call_id, sip->sip_call_id->i_id) &&
	       keep(&watch->event_id, asking->event_id) && ua_watch_belongs(watch, request->account) &&
	       keep(&watch->wanted_type, asking->content_type) &&
	       keep(&watch->device, sip->sip_user_agent && sip->sip_user_agent->g_string ? sip->sip_user_agent->g_string : "") &&
	       keep_route(watch, sip) && keep_way(watch, request);
}

/* ---- answers -------------------------------------------------------------------------- */

static void grant(const struct asking *asking, struct ua_watch *watch)
{
	const struct ua_request *request = asking->request;
	char headers[256], contact[100];

	ua_transport_contact(request->ua, request->listener, &request->source, request->transport, contact, sizeof contact);
	(void)snprintf(headers, sizeof headers, "Expires: %u\nContact: %s\n%s", asking->expires_s, contact,
		       watch->of_list ? "Require: eventlist\n" : "");
	if (!request->sip->sip_to->a_tag)
		(void)nta_incoming_tag(asking->irq, watch->local_tag);
	answer(asking, SIP_200_OK, headers);
	ua_watch_arm(watch, core_wall_us() + (int64_t)asking->expires_s * 1000000);
	if (asking->expires_s == 0) {
		ua_watch_end(watch, "timeout");
		return;
	}
	ua_watch_store(watch);
	ua_watch_want(watch, true);
}

/* Has as many as it may, or everybody together has. True: refused. */
static bool is_too_many(const struct asking *asking)
{
	const struct ua_request *request = asking->request;

	if (ua_notifier.count >= UA_MOST_WATCHES)
		answer(asking, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 60\n");
	else if (request->account[0] && ua_watches_of(request->account) >= request->ua->settings->max_subscriptions)
		answer(asking, 403, "Too many subscriptions", NULL);
	else
		return false;
	return true;
}

static bool find_list(struct asking *asking)
{
	const sip_t *sip = asking->request->sip;

	asking->list = asking->package->offer.takes_lists ? ua_list_find(asking->resource) : NULL;
	if (!asking->list || (sip->sip_supported && sip_has_feature(sip->sip_supported, "eventlist")))
		return true;
	answer(asking, SIP_421_EXTENSION_REQUIRED, "Require: eventlist\n");
	return false;
}

static void subscribe_anew(struct asking *asking)
{
	struct ua_watch *watch;

	ua_identity_user(asking->request->sip->sip_request->rq_url, asking->resource, sizeof asking->resource);
	if (!asking->resource[0]) {
		answer(asking, SIP_404_NOT_FOUND, NULL);
		return;
	}
	if (!find_list(asking) || !choose_type(asking) || !read_body(asking) || is_too_many(asking) || !is_permitted(asking, 0))
		return;
	watch = ua_watch_new(asking->package, asking->resource);
	if (watch)
		watch->of_list = asking->list;
	if (!watch || !ua_watch_point(watch, asking->list) || !keep_dialog(watch, asking) || ua_watch_add(watch) != PBX_OK) {
		if (watch)
			ua_watch_free(watch);
		answer(asking, 400, "Contact, From or Record-Route cannot be used", NULL);
		return;
	}
	grant(asking, watch);
}

static void subscribe_again(struct asking *asking)
{
	const sip_t *sip = asking->request->sip;
	struct ua_watch *watch =
		ua_watch_find(sip->sip_call_id->i_id, sip->sip_to->a_tag, sip->sip_from->a_tag ? sip->sip_from->a_tag : "");

	if (!watch || !watch->points || watch->package != asking->package || strcmp(watch->watcher, asking->request->account) != 0 ||
	    strcmp(watch->event_id, asking->event_id) != 0) {
		answer(asking, SIP_481_NO_TRANSACTION, NULL);
		return;
	}
	if (sip->sip_cseq->cs_seq <= watch->remote_cseq) {
		answer(asking, SIP_500_INTERNAL_SERVER_ERROR, NULL); /* overtaken by a newer one (RFC 3261 12.2.2) */
		return;
	}
	(void)snprintf(asking->resource, sizeof asking->resource, "%s", watch->resource);
	asking->content_type = watch->content_type;
	asking->list = watch->list;
	if (!read_body(asking) || (asking->body[0] && !is_permitted(asking, watch->handle)))
		return;
	if (sip->sip_contact && !keep_way(watch, asking->request)) {
		answer(asking, 400, "Contact cannot be used", NULL);
		return;
	}
	watch->remote_cseq = sip->sip_cseq->cs_seq;
	grant(asking, watch);
}

void ua_subscribe(struct ua_request *request)
{
	struct asking *asking = calloc(1, sizeof *asking);
	const sip_t *sip = request->sip;

	if (!asking)
		return; /* no memory: the phone asks again */
	asking->request = request;
	asking->irq = ua_take_transaction(request); /* the message lives as long as the transaction */
	if (asking->irq && read_event(asking) && read_expires(asking)) {
		if (sip->sip_to->a_tag)
			subscribe_again(asking);
		else
			subscribe_anew(asking);
	}
	free(asking);
}
