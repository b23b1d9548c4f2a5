/*
 * client.c - series of requests to a peer: one Call-ID, rising CSeq, a nonce that is remembered (RFC 3261 10.2)
 *
 *    send ──► the way is looked up ──► a candidate is asked ──► 401, 407: once more with credentials
 *                                         │   ▲                 1xx: wait
 *                                         │   └── silence, broken transport, 503, and there is another candidate
 *                                         └────► final response, or none: done
 *
 * The candidate that answered last is asked first next time, so that a registration stays where it is until that place fails.
 */
#include "client.h"
#include "credentials.h"
#include "dialog_internal.h"
#include "handle.h"
#include "loop.h"
#include "overlap.h"
#include "timer.h"
#include "tls.h"
#include "transport.h"
#include "way.h"
#include <sofia-sip/msg_header.h>
#include <stdlib.h>
#include <string.h>

#define CANDIDATE_MS 4000u
#define TIMER_F_MS 32000u

struct client {
	pbx_sip_client handle;
	struct core_charge charge;
	char name[UA_PEER_NAME];
	struct ua_peer *peer; /* as it was when the request began */
	char call_id[64], tag[20];
	uint32_t cseq;
	struct ua_credentials credentials;
	char stays_at[80]; /* the candidate that answered last */
	/* the request under way */
	bool busy, waits; /* waits: for our sockets to be opened */
	struct core_post_node beginning;
	su_home_t *home; /* its texts */
	struct pbx_sip_request request;
	void (*done)(void *self, pbx_sip_client client, const struct pbx_sip_response *response);
	void *self;
	struct ua_search *search;
	struct ua_way way;
	uint32_t at; /* the candidate that is being asked */
	nta_leg_t *leg;
	nta_outgoing_t *out;
	pbx_timer silence;
	uint64_t began_at_ms;
};

static struct core_handles clients;

/* ---- the end of a request ------------------------------------------------------------- */

struct heard {
	struct pbx_sip_response is;
	const sip_t *sip;
	su_home_t *home;
};

static const char *find_header(const struct pbx_sip_response *response, const char *name, uint32_t index)
{
	const struct heard *heard = (const struct heard *)response;

	for (const sip_header_t *each = heard->sip ? (const sip_header_t *)heard->sip->sip_status : NULL; each;
	     each = (const sip_header_t *)each->sh_succ) {
		bool is_unknown = each->sh_class->hc_hash == msg_unknown_hash;
		const char *own = is_unknown ? each->sh_unknown->un_name : each->sh_class->hc_name;

		if (own && strcasecmp(own, name) == 0 && index-- == 0)
			return is_unknown ? each->sh_unknown->un_value : sip_header_as_string(heard->home, each);
	}
	return NULL;
}

static void stop_asking(struct client *client)
{
	(void)core_timer_stop(client->silence);
	client->silence = (pbx_timer){ 0 };
	nta_outgoing_destroy(client->out);
	nta_leg_destroy(client->leg);
	client->out = NULL;
	client->leg = NULL;
}

static void request_forget(struct client *client)
{
	stop_asking(client);
	core_unpost(&client->beginning);
	ua_way_cancel(client->search);
	client->search = NULL;
	ua_peer_unref(client->peer);
	client->peer = NULL;
	if (client->home)
		su_home_unref(client->home);
	client->home = NULL;
	client->busy = client->waits = false;
}

/* "" for a Contact that stands for all our numbers. */
static const char *contact_user(const struct client *client)
{
	return client->request.contact_uri_params ? "" : client->peer->is.contact_user;
}

/* What our own Contact was granted; -1: it is not there. */
static int64_t granted_s(const struct client *client, const sip_t *sip)
{
	const char *token = contact_user(client);

	for (const sip_contact_t *contact = sip ? sip->sip_contact : NULL; contact; contact = contact->m_next) {
		if (strcmp(contact->m_url->url_user ? contact->m_url->url_user : "", token) != 0)
			continue;
		if (contact->m_expires)
			return (int64_t)strtoul(contact->m_expires, NULL, 10);
		return sip->sip_expires ? (int64_t)sip->sip_expires->ex_delta : 3600;
	}
	return -1;
}

static void tell(struct client *client, uint32_t sip_code, const sip_t *sip)
{
	const struct ua_candidate *candidate = client->at < client->way.count ? &client->way.candidates[client->at] : NULL;
	bool has_body = sip && sip->sip_payload && sip->sip_payload->pl_data;
	struct heard heard = {
		.is = { .size = sizeof heard.is,
			.sip_code = sip_code,
			.from_peer = sip != NULL,
			.phrase = sip && sip->sip_status->st_phrase ? sip->sip_status->st_phrase : sip_status_phrase((int)sip_code),
			.address = candidate ? candidate->host : "",
			.took_ms = (uint32_t)(core_now_ms() - client->began_at_ms),
			.header = find_header,
			.expires_s = granted_s(client, sip),
			.content_type = has_body && sip->sip_content_type ? sip->sip_content_type->c_type : "",
			.body = "" },
		.sip = sip,
		.home = su_home_new(sizeof *heard.home),
	};
	void (*done)(void *self, pbx_sip_client handle, const struct pbx_sip_response *response) = client->done;
	void *self = client->self;
	pbx_sip_client handle = client->handle;
	struct pbx_host *host = client->charge.owner;

	if (has_body && heard.home)
		heard.is.body = su_strndup(heard.home, sip->sip_payload->pl_data, (isize_t)sip->sip_payload->pl_len);
	(void)snprintf(client->stays_at, sizeof client->stays_at, "%s", sip && candidate ? candidate->host : "");
	nta_outgoing_t *answered = client->out; /* over TCP it has nothing to wait for: the response would go with it */
	client->out = NULL;
	request_forget(client);
	CORE_INTO(host, done(self, handle, &heard.is));
	nta_outgoing_destroy(answered);
	if (heard.home)
		su_home_unref(heard.home);
}

/* ---- asking --------------------------------------------------------------------------- */

static void ask(struct client *client);

static void ask_next(struct client *client, uint32_t sip_code, const sip_t *sip)
{
	if (client->at + 1 >= client->way.count) {
		tell(client, sip_code, sip);
		return;
	}
	stop_asking(client);
	client->at++;
	ask(client);
}

static void on_silence(void *self, pbx_timer timer)
{
	struct client *client = self;

	(void)timer;
	client->silence = (pbx_timer){ 0 };
	ua_way_report(&client->way.candidates[client->at], PBX_SIP_TRIED_SILENT);
	ask_next(client, 408, NULL);
}

/* Sofia's type for what it hands back is a dialog's; here it is a client. */
static int on_response(struct ua_dialog *magic, nta_outgoing_t *out, const sip_t *sip)
{
	struct client *client = (struct client *)magic;
	uint32_t status = (uint32_t)nta_outgoing_status(out);
	bool is_own = !sip || nta_outgoing_delay(out) == UINT_MAX; /* the 408 or 503 is Sofia's */

	if (status < 200)
		return 0;
	(void)core_timer_stop(client->silence);
	client->silence = (pbx_timer){ 0 };
	const struct ua_candidate *candidate = &client->way.candidates[client->at];
	ua_count_response_in(ua_part, sip_method_unknown, (int)status);
	if (is_own || status == 503) {
		ua_way_report(candidate, !is_own ? PBX_SIP_TRIED_REFUSED : status == 408 ? PBX_SIP_TRIED_SILENT : PBX_SIP_TRIED_BROKEN);
		ask_next(client, status == 408 ? 408 : 503, is_own ? NULL : sip);
		return 0;
	}
	ua_way_report(candidate, PBX_SIP_TRIED_OK);
	if ((status == 401 || status == 407) && ua_credentials_take(&client->credentials, client->peer, sip)) {
		stop_asking(client);
		ask(client);
		return 0;
	}
	tell(client, status, sip);
	return 0;
}

static void write_contact(const struct client *client, const struct ua_candidate *candidate, char *ret_contact, size_t size)
{
	const char *token = contact_user(client), *uri_params = client->request.contact_uri_params;
	char hostport[72];

	ua_agent_contact(ua_part, NULL, &candidate->addr, candidate->transport, hostport, sizeof hostport);
	(void)snprintf(ret_contact, size, "<sip:%s%s%s%s%s%s%s%s>%s", token, token[0] ? "@" : "", hostport,
		       strcmp(candidate->transport, "udp") == 0 ? "" : ";transport=",
		       strcmp(candidate->transport, "udp") == 0 ? "" : candidate->transport, token[0] ? ";line=" : "", token,
		       uri_params ? uri_params : "", client->request.contact_params ? client->request.contact_params : "");
}

static bool send_to(struct client *client, const struct ua_candidate *candidate)
{
	const struct pbx_sip_request *request = &client->request;
	const struct pbx_sip_peer *is = &client->peer->is;
	char credentials[2048], headers[4096], contact[600] = "", route[UA_WAY_ROUTE], from[700], max_forwards[] = "70";
	bool is_register = strcmp(request->method, "REGISTER") == 0;
	sip_cseq_t cseq[1];
	sip_call_id_t call_id[1];
	const char *ident = ua_listener_towards(ua_part, candidate->transport, &candidate->addr);

	ua_way_route(candidate, route, sizeof route);
	if (request->contact_params)
		write_contact(client, candidate, contact, sizeof contact);
	ua_credentials_write(&client->credentials, client->peer, request->method, request->uri, credentials, sizeof credentials);
	(void)snprintf(headers, sizeof headers, "%s%s", credentials, request->headers ? request->headers : "");
	(void)snprintf(from, sizeof from, "<%s>;tag=%s", request->from, client->tag);
	sip_call_id_init(call_id); /* as text nta_leg_tcreate would not take it */
	call_id->i_id = client->call_id;
	sip_cseq_init(cseq);
	cseq->cs_seq = ++client->cseq;
	cseq->cs_method = sip_method_code(request->method);
	cseq->cs_method_name = request->method;
	/* A dialog, though there is none: a leg without would take what others ask us, and there can be one of those only. */
	client->leg = nta_leg_tcreate(ua_part->agent, NULL, NULL, SIPTAG_CALL_ID(call_id), SIPTAG_FROM_STR(from),
				      SIPTAG_TO_STR(su_sprintf(client->home, "<%s>", request->to)), TAG_END());
	if (!client->leg)
		return false;
	ua_tls_calls(candidate->tls_name);
	client->out = nta_outgoing_tcreate(
		client->leg, on_response, (struct ua_dialog *)client, ua_url(route), cseq->cs_method, request->method, ua_url(request->uri),
		SIPTAG_CSEQ(cseq), TAG_IF(is->proxy[0], SIPTAG_ROUTE_STR(su_sprintf(client->home, "<%s;lr>", is->proxy))),
		TAG_IF(!is_register && !is->proxy[0] && is->routes[0], SIPTAG_ROUTE_STR(is->routes)),
		TAG_IF(contact[0], SIPTAG_CONTACT_STR(contact)), SIPTAG_MAX_FORWARDS_STR(max_forwards),
		SIPTAG_USER_AGENT_STR(ua_part->settings->user_agent), TAG_IF(headers[0], SIPTAG_HEADER_STR(headers)),
		TAG_IF(request->body[0], SIPTAG_CONTENT_TYPE_STR(request->content_type)),
		TAG_IF(request->body[0], SIPTAG_PAYLOAD_STR(request->body)), TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
	ua_tls_calls(NULL);
	return client->out != NULL;
}

static void ask(struct client *client)
{
	bool is_last = client->at + 1 >= client->way.count;
	uint32_t whole_ms = client->request.timeout_ms ? client->request.timeout_ms : TIMER_F_MS;
	uint32_t one_ms = client->peer->is.candidate_ms ? client->peer->is.candidate_ms : CANDIDATE_MS;

	if (!send_to(client, &client->way.candidates[client->at])) {
		ask_next(client, 503, NULL);
		return;
	}
	(void)core_timer_start(ua_part->host, is_last || one_ms > whole_ms ? whole_ms : one_ms, 0, on_silence, client,
			       &client->silence); /* without memory Sofia's own timer must do */
}

static void on_way(void *context, int result, const struct ua_way *way)
{
	struct client *client = context;

	if (result != PBX_OK) {
		client->way.count = 0;
		tell(client, 503, NULL);
		return;
	}
	client->way = *way;
	client->at = 0;
	for (uint32_t i = 1; i < way->count; i++)
		if (strcmp(way->candidates[i].host, client->stays_at) == 0) {
			client->way.candidates[i] = way->candidates[0];
			client->way.candidates[0] = way->candidates[i];
		}
	ask(client);
}

/* ---- the service ---------------------------------------------------------------------- */

static void client_free(struct client *client)
{
	request_forget(client);
	core_charge_remove(&client->charge);
	core_handle_free(&clients, client->handle.id);
	free(client);
}

static void client_revoke(struct core_charge *charge)
{
	client_free((struct client *)((char *)charge - offsetof(struct client, charge)));
}

static int client_open(struct pbx_host *host, const char *peer, pbx_sip_client *ret_client)
{
	if (!ua_peer_find(peer))
		return PBX_ENOENT;
	struct client *client = calloc(1, sizeof *client);
	if (!client)
		return PBX_ENOMEM;
	client->handle.id = core_handle_new(&clients, client);
	if (!client->handle.id) {
		free(client);
		return PBX_ENOMEM;
	}
	(void)snprintf(client->name, sizeof client->name, "%s", peer);
	(void)snprintf(client->call_id, sizeof client->call_id, "%08x%08x%08x", arc4random(), arc4random(), arc4random());
	(void)snprintf(client->tag, sizeof client->tag, "%08x%08x", arc4random(), arc4random());
	core_charge_add(host, &client->charge, "SIP client", false, client_revoke);
	*ret_client = client->handle;
	return PBX_OK;
}

static const char *or_else(struct client *client, const char *text, const char *otherwise)
{
	return su_strdup(client->home, text && text[0] ? text : otherwise);
}

/* Everything the request leaves out. False: no memory. */
static bool keep_request(struct client *client, const struct pbx_sip_request *said)
{
	const struct pbx_sip_peer *is = &client->peer->is;
	struct pbx_sip_request *request = &client->request;

	core_copy_overlap(request, sizeof *request, said, said->size);
	bool is_register = request->method && strcmp(request->method, "REGISTER") == 0;
	request->method = or_else(client, request->method, "OPTIONS");
	request->uri = or_else(client, request->uri, ua_peer_uri(is, client->home));
	request->from = or_else(client, request->from, ua_peer_own_uri(is, client->home));
	request->to = or_else(client, request->to, is_register ? request->from : request->uri);
	request->contact_params = request->contact_params ? su_strdup(client->home, request->contact_params) : NULL;
	request->contact_uri_params = request->contact_uri_params ? su_strdup(client->home, request->contact_uri_params) : NULL;
	request->headers = request->headers ? su_strdup(client->home, request->headers) : NULL;
	request->content_type = or_else(client, request->content_type, "text/plain");
	request->body = or_else(client, request->body, "");
	return request->method && request->uri && request->from && request->to && request->content_type && request->body;
}

static void begin(void *context)
{
	struct client *client = context;

	client->waits = !nta_agent_tports(ua_part->agent); /* Sofia has nothing to send from, and would end the process over it */
	if (!client->waits)
		ua_way_find(client->peer, on_way, client, &client->search);
}

void ua_clients_open(void)
{
	struct client *client;
	uint32_t at = 0;

	while ((client = core_handles_next(&clients, &at)))
		if (client->waits)
			core_post_node(core_self(), &client->beginning, begin, client);
}

static int client_send(pbx_sip_client handle, const struct pbx_sip_request *request,
		       void (*done)(void *self, pbx_sip_client client, const struct pbx_sip_response *response), void *self)
{
	struct client *client = core_handle_find(&clients, handle.id);
	struct ua_peer *peer = client ? ua_peer_find(client->name) : NULL;

	if (!peer)
		return PBX_ENOENT;
	if (client->busy)
		return PBX_EBUSY;
	if (!done || !request->method)
		return PBX_EINVAL;
	client->peer = ua_peer_ref(peer);
	client->home = su_home_new(sizeof *client->home);
	if (!client->home || !keep_request(client, request)) {
		request_forget(client);
		return PBX_ENOMEM;
	}
	client->busy = true;
	client->done = done;
	client->self = self;
	client->credentials.tries = 0;
	client->began_at_ms = core_now_ms();
	core_post_node(core_self(), &client->beginning, begin, client); /* done never comes before we return */
	return PBX_OK;
}

static int client_close(pbx_sip_client handle)
{
	struct client *client = core_handle_find(&clients, handle.id);

	if (!client)
		return PBX_ENOENT;
	client_free(client);
	return PBX_OK;
}

void ua_clients_init(void)
{
	core_handles_init(&clients, 'S');
}

void ua_clients_fini(void)
{
	struct client *client;
	uint32_t at = 0;

	while ((client = core_handles_next(&clients, &at)))
		client_free(client);
	core_handles_fini(&clients);
}

static const char *domain(void)
{
	return ua_part ? ua_part->settings->domain : "";
}

const struct pbx_sip ua_sip_service = {
	.header = PBX_HEADER(struct pbx_sip),
	.set_peer = ua_peer_set,
	.remove_peer = ua_peer_remove,
	.peer_state = ua_peer_state,
	.open = client_open,
	.send = client_send,
	.close = client_close,
	.domain = domain,
};
