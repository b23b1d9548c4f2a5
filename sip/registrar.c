/*
 * registrar.c - a phone says where it is
 *
 * All contacts of one REGISTER are looked at before the first is changed: the request takes effect as a whole or not at all
 * (RFC 3261 10.3). The answer lists every binding of the account with what is left of it, and is sent when the store has what was changed.
 */
#include "registrar.h"
#include "host.h"
#include "location.h"
#include "loop.h"
#include "repeats.h"
#include <pbx/directory.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CONTACTS 10u /* in one REGISTER */
#define MOST_URI 512u

struct change {
	const sip_contact_t *contact;
	struct ua_binding *binding;
	struct ua_binding_news news;
	char uri[MOST_URI], instance[128];
};

struct registration {
	struct ua_request *request;
	const char *aor;
	char user_agent[128], path[MOST_URI], received[80];
	uint32_t change_count;
	struct change changes[MOST_CONTACTS];
};

static uint32_t expires_of(const struct registration *registration, const sip_contact_t *contact)
{
	const struct ua_settings *settings = registration->request->ua->settings;
	const sip_t *sip = registration->request->sip;
	unsigned long seconds = settings->default_expires_s;

	if (sip->sip_expires)
		seconds = sip->sip_expires->ex_delta;
	if (contact->m_expires) {
		char *end;
		unsigned long own = strtoul(contact->m_expires, &end, 10);

		if (end != contact->m_expires) /* what is no number is as good as none (10.3) */
			seconds = own;
	}
	return seconds > settings->max_expires_s ? settings->max_expires_s : (uint32_t)seconds;
}

static uint32_t q_of(const sip_contact_t *contact)
{
	double q = contact->m_q ? strtod(contact->m_q, NULL) : 1.0;

	return q >= 1.0 ? 1000 : q <= 0.0 ? 0 : (uint32_t)(q * 1000.0 + 0.5);
}

static void unquoted(const char *value, char *ret_text, size_t size)
{
	size_t length = value ? strlen(value) : 0;

	if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
		value++;
		length -= 2;
	}
	if (length >= size)
		length = 0;
	if (length > 0)
		memcpy(ret_text, value, length);
	ret_text[length] = '\0';
}

/* PBX_OK, or the status to refuse with. */
static int read_contact(struct registration *registration, const sip_contact_t *contact)
{
	const sip_t *sip = registration->request->sip;
	struct change *change = &registration->changes[registration->change_count];
	const char *reg_id = msg_header_find_param(contact->m_common, "reg-id=");

	if (registration->change_count == MOST_CONTACTS)
		return 403;
	if ((contact->m_url->url_type != url_sip && contact->m_url->url_type != url_sips) || !contact->m_url->url_host)
		return 400;
	if (url_e(change->uri, sizeof change->uri, contact->m_url) >= (isize_t)sizeof change->uri)
		return 400;
	unquoted(msg_header_find_param(contact->m_common, "+sip.instance="), change->instance, sizeof change->instance);

	change->contact = contact;
	change->news = (struct ua_binding_news){
		.uri = change->uri,
		.received = registration->received,
		.transport = registration->request->transport,
		.user_agent = registration->user_agent,
		.instance = change->instance,
		.path = registration->path,
		.call_id = sip->sip_call_id->i_id,
		.reg_id = reg_id ? (uint32_t)strtoul(reg_id, NULL, 10) : 0,
		.q_milli = q_of(contact),
		.cseq = sip->sip_cseq->cs_seq,
		.expires_s = expires_of(registration, contact),
	};
	if (change->news.expires_s > 0 && change->news.expires_s < registration->request->ua->settings->min_expires_s)
		return 423;
	change->binding = ua_location_match(registration->aor, &change->news);
	if (change->binding && strcmp(change->binding->call_id, change->news.call_id) == 0 && change->news.cseq <= change->binding->cseq)
		return 500; /* an older request overtaken by a newer one (10.3 step 7) */
	registration->change_count++;
	return PBX_OK;
}

static int read_contacts(struct registration *registration)
{
	int status = PBX_OK;

	for (const sip_contact_t *contact = registration->request->sip->sip_contact; contact && status == PBX_OK; contact = contact->m_next)
		status = read_contact(registration, contact);
	return status;
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

/* Every binding as a Contact line. What does not fit is not listed: far beyond what one account may have. */
static void list_bindings(const char *aor, char *ret_text, size_t size)
{
	int64_t now_us = core_wall_us();
	size_t used = 0;

	ret_text[0] = '\0';
	for (const struct ua_binding *binding = ua_location_find(aor); binding; binding = binding->next_of_aor) {
		char instance[160] = "", q[24] = "";
		int64_t left_s = (binding->expires_wall_us - now_us + 999999) / 1000000;

		if (binding->instance[0])
			(void)snprintf(instance, sizeof instance, ";+sip.instance=\"%s\";reg-id=%u", binding->instance, binding->reg_id);
		if (binding->q_milli < 1000)
			(void)snprintf(q, sizeof q, ";q=0.%03u", binding->q_milli);
		int length = snprintf(ret_text + used, size - used, "Contact: <%s>;expires=%lld%s%s\n", binding->uri,
				      (long long)(left_s > 0 ? left_s : 0), q, instance);
		if (length < 0 || (size_t)length >= size - used) {
			ret_text[used] = '\0';
			return;
		}
		used += (size_t)length;
	}
}

static bool supports_path(const sip_t *sip)
{
	return sip->sip_supported && sip_has_feature(sip->sip_supported, "path");
}

static bool read_path(const sip_t *sip, char ret_path[MOST_URI])
{
	size_t used = 0;

	ret_path[0] = '\0';
	for (const sip_path_t *path = sip->sip_path; path; path = path->r_next) {
		int length = snprintf(ret_path + used, MOST_URI - used, "%s<" URL_PRINT_FORMAT ">", used ? ", " : "",
				      URL_PRINT_ARGS(path->r_url));

		if (length < 0 || (size_t)length >= MOST_URI - used)
			return false;
		used += (size_t)length;
	}
	return true;
}

/* What was changed is safe: a phone that reads this is found by calls even after a crash. */
static void confirm(void *context)
{
	struct ua_answer *answer = context;
	char headers[8192], path[MOST_URI];
	size_t used;

	list_bindings(answer->account, headers, sizeof headers - MOST_URI - 16);
	used = strlen(headers);
	if (supports_path(answer->sip) && read_path(answer->sip, path) && path[0])
		(void)snprintf(headers + used, sizeof headers - used, "Path: %s\n", path);
	ua_repeat_put(answer->proof, UA_REPEAT_ANSWERED, core_now_ms());
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
	ua_reply(request->ua, ua_take_transaction(request), status, sip_status_phrase(status), status == 423 ? headers : NULL);
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
	if (!read_path(sip, registration.path))
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
