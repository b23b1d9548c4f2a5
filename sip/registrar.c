/*
 * registrar.c - a phone says where it is
 *
 * All contacts of one REGISTER are looked at before the first is changed: the request takes effect as a whole or not at all
 * (RFC 3261 10.3). The answer lists every binding of the account with what is left of it and its GRUUs (RFC 5627), tells of Path (RFC 3327),
 * Service-Route (RFC 3608), flows (RFC 5626) and push services (RFC 8599), and is sent when the store has what was changed.
 */
#include "registrar.h"
#include "connection.h"
#include "contact.h"
#include "gruu.h"
#include "host.h"
#include "location.h"
#include "loop.h"
#include "repeats.h"
#include <pbx/directory.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CONTACTS 10u /* in one REGISTER */
#define MOST_HEADERS 16384u

struct change {
	struct ua_binding *binding;
	struct ua_binding_news news;
	struct ua_contact contact;
};

struct registration {
	struct ua_request *request;
	const char *aor;
	char user_agent[128], path[UA_MOST_PATH], received[80];
	uint32_t change_count;
	struct change changes[MOST_CONTACTS];
};

static bool supports(const sip_t *sip, const char *what)
{
	return sip->sip_supported && sip_has_feature(sip->sip_supported, what);
}

static uint32_t expires_of(const struct registration *registration, const struct ua_contact *contact)
{
	const struct ua_settings *settings = registration->request->ua->settings;
	const sip_t *sip = registration->request->sip;
	unsigned long seconds = settings->default_expires_s;

	if (sip->sip_expires)
		seconds = sip->sip_expires->ex_delta;
	if (contact->has_expires)
		seconds = contact->expires_s;
	return seconds > settings->max_expires_s ? settings->max_expires_s : (uint32_t)seconds;
}

/* PBX_OK, or the status to refuse with. */
static int read_contact(struct registration *registration, const sip_contact_t *contact)
{
	const sip_t *sip = registration->request->sip;
	struct change *change = &registration->changes[registration->change_count];

	if (registration->change_count == MOST_CONTACTS)
		return 403;
	if (ua_contact_read(sip->sip_contact, contact, &change->contact) != PBX_OK)
		return 400;
	change->news = (struct ua_binding_news){
		.uri = change->contact.uri,
		.received = registration->received,
		.transport = registration->request->transport,
		.user_agent = registration->user_agent,
		.instance = change->contact.instance,
		.path = registration->path,
		.call_id = sip->sip_call_id->i_id,
		.listener = registration->request->listener ? registration->request->listener : "",
		.reg_id = change->contact.reg_id,
		.q_milli = change->contact.q_milli,
		.cseq = sip->sip_cseq->cs_seq,
		.expires_s = expires_of(registration, &change->contact),
	};
	if (change->news.expires_s > 0 && change->news.expires_s < registration->request->ua->settings->min_expires_s)
		return 423;
	change->binding = ua_location_match(registration->aor, &change->news);
	if (change->binding && strcmp(change->binding->call_id, change->news.call_id) == 0 && change->news.cseq <= change->binding->cseq)
		return 500; /* an older request overtaken by a newer one (10.3 step 7) */
	registration->change_count++;
	return PBX_OK;
}

/* A flow is one contact's, and the proxy that keeps it has to know (RFC 5626 6). */
static int check_flows(const struct registration *registration)
{
	const sip_t *sip = registration->request->sip;
	uint32_t flows = 0;

	for (uint32_t i = 0; i < registration->change_count; i++)
		flows += registration->changes[i].news.reg_id > 0 && registration->changes[i].news.expires_s > 0;
	if (flows == 0)
		return PBX_OK;
	if (flows > 1)
		return 400;
	return supports(sip, "outbound") && sip->sip_via->v_next && !ua_path_has_flow(sip->sip_path) ? 439 : PBX_OK;
}

static int read_contacts(struct registration *registration)
{
	int status = PBX_OK;

	for (const sip_contact_t *contact = registration->request->sip->sip_contact; contact && status == PBX_OK; contact = contact->m_next)
		status = read_contact(registration, contact);
	return status == PBX_OK ? check_flows(registration) : status;
}

/* `Contact: *` with `Expires: 0` takes all back. */
static int remove_all(struct registration *registration)
{
	const sip_t *sip = registration->request->sip;
	struct ua_binding *binding, *next;

	if (sip->sip_contact->m_next || !sip->sip_expires || sip->sip_expires->ex_delta != 0)
		return 400;
	for (binding = ua_location_find(registration->aor); binding; binding = binding->next_of_aor)
		if (strcmp(binding->call_id, sip->sip_call_id->i_id) == 0 && sip->sip_cseq->cs_seq <= binding->cseq)
			return 500;
	for (binding = ua_location_find(registration->aor); binding; binding = next) {
		next = binding->next_of_aor;
		ua_location_drop(binding, "unregistered");
	}
	return PBX_OK;
}

struct account_limit {
	const char *aor;
	uint32_t most;
};

static void ask_limit(void *context, const void *table)
{
	const struct pbx_directory *directory = table;
	struct account_limit *limit = context;
	struct pbx_account account = { .size = sizeof account };

	if (directory->find && directory->find(directory->self, limit->aor, &account) == PBX_OK && account.max_contacts > 0)
		limit->most = account.max_contacts;
}

static int apply(struct registration *registration)
{
	struct account_limit limit = { registration->aor, registration->request->ua->settings->max_contacts };

	core_host_each_service("pbx.directory/1", sizeof(struct pbx_directory), ask_limit, &limit);
	for (uint32_t i = 0; i < registration->change_count; i++) {
		struct change *change = &registration->changes[i];

		/* Looked up again: the one before may have meant the same binding, or pushed it out. */
		change->binding = ua_location_match(registration->aor, &change->news);
		if (change->news.expires_s == 0) {
			if (change->binding)
				ua_location_drop(change->binding, "unregistered");
			continue;
		}
		if (ua_location_put(registration->aor, change->binding, &change->news, limit.most) != PBX_OK)
			return 500;
	}
	return PBX_OK;
}

/* What a device with an instance may call itself (RFC 5627 5.2). */
static void list_gruus(const struct ua *ua, const struct ua_binding *binding, char *ret_text, size_t size)
{
	char public[UA_MOST_GRUU], temporary[UA_MOST_GRUU];

	ret_text[0] = '\0';
	if (ua_gruu_public(ua, binding, public) && ua_gruu_temporary(ua, binding, temporary))
		(void)snprintf(ret_text, size, ";pub-gruu=\"%s\";temp-gruu=\"%s\"", public, temporary);
}

/* Every binding as a Contact line. What does not fit is not listed: far beyond what one account may have. */
static size_t list_bindings(const struct ua_answer *answer, char *ret_text, size_t size)
{
	bool wants_gruu = supports(answer->sip, "gruu");
	int64_t now_us = core_wall_us();
	size_t used = 0;

	ret_text[0] = '\0';
	for (const struct ua_binding *binding = ua_location_find(answer->account); binding; binding = binding->next_of_aor) {
		char instance[UA_MOST_INSTANCE + 24] = "", reg_id[24] = "", q[24] = "", gruus[2 * UA_MOST_GRUU + 40] = "";
		int64_t left_s = (binding->expires_wall_us - now_us + 999999) / 1000000;

		if (binding->instance[0])
			(void)snprintf(instance, sizeof instance, ";+sip.instance=\"%s\"", binding->instance);
		if (binding->reg_id)
			(void)snprintf(reg_id, sizeof reg_id, ";reg-id=%u", binding->reg_id);
		if (binding->q_milli < 1000)
			(void)snprintf(q, sizeof q, ";q=0.%03u", binding->q_milli);
		if (wants_gruu)
			list_gruus(answer->ua, binding, gruus, sizeof gruus);
		int length = snprintf(ret_text + used, size - used, "Contact: <%s>;expires=%lld%s%s%s%s\n", binding->uri,
				      (long long)(left_s > 0 ? left_s : 0), q, instance, reg_id, gruus);
		if (length < 0 || (size_t)length >= size - used) {
			ret_text[used] = '\0';
			break;
		}
		used += (size_t)length;
	}
	return used;
}

/* Where requests of the device shall go through (RFC 3608). */
static size_t list_service_route(const struct ua *ua, char *ret_text, size_t size)
{
	const struct pbx_list *route = &ua->settings->service_route;
	size_t used = 0;

	for (uint32_t i = 0; i < route->count && used < size; i++)
		used += (size_t)snprintf(ret_text + used, size - used, "%s<%s>", i ? ", " : "Service-Route: ", route->items[i]);
	if (used > 0 && used < size)
		used += (size_t)snprintf(ret_text + used, size - used, "\n");
	if (used < size)
		return used;
	ret_text[0] = '\0'; /* half a route leads nowhere */
	return 0;
}

/* Which push services wake phones here, for a phone that asks, or that has named one (RFC 8599 4.1). */
static size_t list_push(const struct ua_answer *answer, char *ret_text, size_t size)
{
	const struct pbx_list *services = &answer->ua->settings->push_services;
	const sip_contact_t *contact = answer->sip->sip_contact;
	char uri[UA_MOST_URI], service[64];
	size_t used = 0;

	if (!contact || url_e(uri, sizeof uri, contact->m_url) >= (isize_t)sizeof uri ||
	    !ua_uri_param(uri, "pn-provider", service, sizeof service))
		return 0;
	for (uint32_t i = 0; i < services->count; i++)
		if ((!service[0] || strcasecmp(service, services->items[i]) == 0) && used + strlen(services->items[i]) + 40 < size)
			used += (size_t)snprintf(ret_text + used, size - used, "Feature-Caps: *;+sip.pns=\"%s\"\n", services->items[i]);
	return used;
}

/* Whether this REGISTER made a flow (RFC 5626 6). */
static bool is_outbound(const sip_t *sip)
{
	struct ua_contact contact;

	return supports(sip, "outbound") && sip->sip_contact && ua_contact_read(sip->sip_contact, sip->sip_contact, &contact) == PBX_OK &&
	       contact.reg_id > 0;
}

/* Over a connection that ends here: no proxy keeps it. */
static bool is_our_flow(const struct ua_answer *answer)
{
	return is_outbound(answer->sip) && !answer->sip->sip_via->v_next && !tport_is_dgram(answer->tport);
}

static size_t list_extensions(const struct ua_answer *answer, char *ret_text, size_t size)
{
	const sip_t *sip = answer->sip;
	char path[UA_MOST_PATH];
	size_t used = (size_t)snprintf(ret_text, size, "Supported: path, outbound, gruu\n");

	if (supports(sip, "path") && ua_path_read(sip->sip_path, path) == PBX_OK && path[0])
		used += (size_t)snprintf(ret_text + used, size - used, "Path: %s\n", path);
	if (is_outbound(sip)) {
		used += (size_t)snprintf(ret_text + used, size - used, "Require: outbound\n");
		if (is_our_flow(answer))
			used += (size_t)snprintf(ret_text + used, size - used, "Flow-Timer: %u\n", answer->ua->settings->flow_timer_s);
	}
	return used;
}

/* What was changed is safe: a phone that reads this is found by calls even after a crash. */
static void confirm(void *context)
{
	struct ua_answer *answer = context;
	char headers[MOST_HEADERS];
	size_t used = list_extensions(answer, headers, sizeof headers); /* a Path and a few words: there is room */

	used += list_service_route(answer->ua, headers + used, 1024);
	used += list_push(answer, headers + used, 512);
	(void)list_bindings(answer, headers + used, sizeof headers - used);
	ua_repeat_put(answer->proof, UA_REPEAT_ANSWERED, core_now_ms());
	if (is_our_flow(answer))
		ua_connection_promised(answer->tport, answer->account, answer->ua->settings->flow_timer_s);
	ua_answer_send(answer, headers);
}

static void accept_request(struct ua_request *request)
{
	struct ua_answer *answer = ua_answer_new(request);

	if (!answer)
		return; /* no memory: the phone asks again */
	ua_repeat_put(request->proof, UA_REPEAT_WORKING, core_now_ms());
	ua_location_when_stored(confirm, answer);
}

static void refuse(struct registration *registration, int status)
{
	struct ua_request *request = registration->request;
	char headers[64];

	(void)snprintf(headers, sizeof headers, "Min-Expires: %u\n", request->ua->settings->min_expires_s);
	ua_reply(request->ua, ua_take_transaction(request), status,
		 status == 439 ? "First Hop Lacks Outbound Support" : sip_status_phrase(status), status == 423 ? headers : NULL);
}

void ua_register(struct ua_request *request)
{
	struct registration registration = { .request = request, .aor = request->account };
	const sip_t *sip = request->sip;
	int status = PBX_OK;

	if (request->repeated) {
		accept_request(request);
		return;
	}
	(void)snprintf(registration.received, sizeof registration.received, "%s", request->address);
	(void)snprintf(registration.user_agent, sizeof registration.user_agent, "%s",
		       sip->sip_user_agent ? sip->sip_user_agent->g_string : "");
	if (ua_path_read(sip->sip_path, registration.path) != PBX_OK)
		status = 400;
	else if (sip->sip_contact && strcmp(sip->sip_contact->m_url->url_scheme ? sip->sip_contact->m_url->url_scheme : "", "*") == 0)
		status = remove_all(&registration);
	else
		status = read_contacts(&registration);
	if (status == PBX_OK)
		status = apply(&registration);

	if (status == PBX_OK)
		accept_request(request);
	else
		refuse(&registration, status);
}
