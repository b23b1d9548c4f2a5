/*
 * auth.c - who sent this request
 *
 * Whatever is not from a configured peer is challenged, SHA-256 first and MD5 second (RFC 8760): 401 for what ends
 * here (REGISTER, SUBSCRIBE, PUBLISH), 407 for the rest.
 * REGISTER is challenged even from a peer: a peer may make calls, but only the account says where its phones are. Challenges are
 * sent without a transaction, so that who has proved nothing leaves nothing behind. An unknown user is put through the same steps
 * as a known one with a wrong password, and gets the same answers.
 *
 * Whom wrong passwords lock out is lockout.h's to say. Challenges tell nothing and go to everybody; who is locked out is told so when
 * they come with credentials for a challenge of ours.
 */
#include "auth.h"
#include "address.h"
#include "authorization.h"
#include "border.h"
#include "caller.h"
#include "digest.h"
#include "host.h"
#include "listener.h"
#include "location.h"
#include "lockout_told.h"
#include "loop.h"
#include "place.h"
#include "repeats.h"
#include <pbx/directory.h>
#include <stdlib.h>
#include <string.h>

bool ua_is_peer(const struct ua *ua, const struct core_addr *source)
{
	for (uint32_t i = 0; i < ua->settings->peers.count; i++)
		if (ua_address_in(source, ua->settings->peers.items[i]))
			return true;
	return false;
}

/* ---- the answers ---------------------------------------------------------------------- */

/* Phones that give up when they see an algorithm they do not know, instead of taking the next challenge (RFC 8760 2.4). */
static bool knows_md5_only(const struct ua_request *request)
{
	const struct pbx_list *agents = &request->ua->settings->md5_only_agents;
	const char *agent = request->sip->sip_user_agent ? request->sip->sip_user_agent->g_string : "";

	for (uint32_t i = 0; i < agents->count; i++)
		if (strncasecmp(agent, agents->items[i], strlen(agents->items[i])) == 0)
			return true;
	return false;
}

static void challenge(struct ua_request *request, bool stale)
{
	sip_method_t method = request->sip->sip_request->rq_method;
	bool ends_here = method == sip_method_register || method == sip_method_subscribe || method == sip_method_publish;
	const char *name = ends_here ? "WWW-Authenticate" : "Proxy-Authenticate", *tail = stale ? ", stale=true" : "";
	char nonce[UA_NONCE_SIZE], host[64], headers[1024];
	struct ua_manners manners;
	int at = 0;

	ua_listener_manners(request->ua, request->listener, &manners);
	const char *realm = manners.realm;
	core_address_print_host(&request->source, host, sizeof host);
	ua_nonce_make(host, core_wall_us(), nonce);
	if (!knows_md5_only(request))
		at = snprintf(headers, sizeof headers, "%s: Digest realm=\"%s\", nonce=\"%s\", algorithm=SHA-256, qop=\"auth\"%s\n", name,
			      realm, nonce, tail);
	(void)snprintf(headers + at, sizeof headers - (size_t)at, "%s: Digest realm=\"%s\", nonce=\"%s\", algorithm=MD5, qop=\"auth\"%s\n",
		       name, realm, nonce, tail);
	ua_count(request->ua, UA_METRIC_AUTH, stale ? "stale" : "challenged");
	if (ends_here)
		ua_refuse(request, SIP_401_UNAUTHORIZED, headers);
	else
		ua_refuse(request, SIP_407_PROXY_AUTH_REQUIRED, headers);
}

static void forbid(struct ua_request *request)
{
	ua_count(request->ua, UA_METRIC_AUTH, "forbidden");
	ua_refuse(request, SIP_403_FORBIDDEN, NULL);
}

/* Whoever wants to call leaves a record, as rarely as the lockout lets them try. */
static void record_try(const struct ua_request *request)
{
	const sip_t *sip = request->sip;
	const struct core_unproven unproven = {
		.from = sip->sip_from->a_url->url_user,
		.dialled = sip->sip_request->rq_url->url_user,
		.device = sip->sip_user_agent ? sip->sip_user_agent->g_string : "",
		.address = request->address,
		.sip_code = 407,
	};

	if (sip->sip_request->rq_method == sip_method_invite)
		core_call_on_unproven(&unproven);
}

static void fail(struct ua_request *request, const struct ua_try *asked)
{
	const struct ua_settings *settings = request->ua->settings;
	const struct ua_lockout_limits limits = { settings->auth_failures, settings->auth_window_s * 1000, settings->auth_block_s * 1000 };
	const bool is_near = ua_lockout_is_near(asked, core_now_ms());
	char host[64];

	core_address_print_host(&request->source, host, sizeof host);
	ua_count(request->ua, UA_METRIC_AUTH, "failed");
	pbx_warn(request->ua->host, "auth_failed", "address=%s user=%.64s method=%s", host, asked->user,
		 request->sip->sip_request->rq_method_name);
	ua_border_failed(request, asked->user);
	ua_lockouts_tell(request->ua, ua_lockout_failed(asked, &limits, core_now_ms()), asked, host);
	record_try(request);
	if (is_near)
		forbid(request);
	else
		challenge(request, false);
}

/* ---- the credentials ------------------------------------------------------------------ */

/* The credentials meant for us: a proxy's on the way may stand beside them. */
static bool find_credentials(const struct ua_request *request, struct ua_credentials *ret)
{
	const sip_auth_t *lists[] = { request->sip->sip_authorization, request->sip->sip_proxy_authorization };
	struct ua_manners manners;

	ua_listener_manners(request->ua, request->listener, &manners);
	for (size_t i = 0; i < 2; i++)
		for (const sip_auth_t *auth = lists[i]; auth; auth = auth->au_next)
			if (ua_credentials_read(auth, manners.realm, ret))
				return true;
	return false;
}

struct lookup {
	const struct ua_credentials *credentials;
	int result;
	char ha1[UA_HEX_SIZE];
};

static void ask_directory(void *context, const void *table)
{
	const struct pbx_directory *directory = table;
	struct lookup *lookup = context;
	const struct ua_digest *digest = &lookup->credentials->digest;

	if (lookup->result != PBX_OK && directory->digest)
		lookup->result = directory->digest(directory->self, digest->username, digest->realm, digest->algorithm, lookup->ha1);
}

/* An unknown user is compared with a hash that nothing matches: the directory has taken as long over it as over a known one. */
static bool password_is_right(const struct ua_credentials *credentials, const char *method)
{
	struct lookup lookup = { .credentials = credentials, .result = PBX_ENOENT };

	core_host_each_service("pbx.directory/1", sizeof(struct pbx_directory), ask_directory, &lookup);
	if (lookup.result != PBX_OK)
		(void)snprintf(lookup.ha1, sizeof lookup.ha1, "%0*d", credentials->digest.algorithm == PBX_DIGEST_SHA256 ? 64 : 32, 0);
	return ua_digest_matches(&credentials->digest, lookup.ha1, method) && lookup.result == PBX_OK;
}

static const char *acts_for(const sip_t *sip)
{
	const sip_addr_t *whom = sip->sip_request->rq_method == sip_method_register ? sip->sip_to : sip->sip_from;

	return whom->a_url->url_user ? whom->a_url->url_user : "";
}

/* An account registers itself and nobody else; when it calls it may say less of itself than it is, and more only if it is trusted. */
static bool may_act(const sip_t *sip, const char *account)
{
	if (sip->sip_request->rq_method == sip_method_register)
		return strcmp(acts_for(sip), account) == 0;
	return ua_caller_is_own(sip, account);
}

/* A REGISTER that was accepted comes again: its nonce count is used up, but it is nobody else's. One that is still being worked on is
 * dropped: its answer is on the way. */
static bool is_repeat(struct ua_request *request, const struct ua_credentials *credentials)
{
	const sip_t *sip = request->sip;
	char cseq[16];

	(void)snprintf(cseq, sizeof cseq, "%u", (unsigned)sip->sip_cseq->cs_seq);
	request->proof = ua_proof(request->address, sip->sip_via->v_branch ? sip->sip_via->v_branch : "", sip->sip_call_id->i_id, cseq,
				  acts_for(sip), credentials->username, credentials->nonce, credentials->response, NULL);

	uint32_t state = ua_repeat_find(request->proof, core_now_ms());
	request->repeated = state == UA_REPEAT_ANSWERED;
	if (request->repeated)
		(void)snprintf(request->account, sizeof request->account, "%s", credentials->username);
	return state != UA_REPEAT_NONE;
}

static void ask_for_account(void *context, const void *table)
{
	const struct pbx_directory *directory = table;
	struct ua_request *request = context;
	struct pbx_account account = { .size = sizeof account };

	if (!request->account[0] && directory->find && directory->find(directory->self, request->certified, &account) == PBX_OK)
		memcpy(request->account, request->certified, sizeof request->account);
}

/* A certificate stands for the password of the account it names, and for no other (RFC 5922). */
static bool is_certified(struct ua_request *request)
{
	if (!request->certified[0] || !may_act(request->sip, request->certified))
		return false;
	core_host_each_service("pbx.directory/1", sizeof(struct pbx_directory), ask_for_account, request);
	return request->account[0] != '\0';
}

/* Where this user's phones are, as far as it matters to the lockout. */
static struct ua_try try_of(const struct ua_request *request, const char *user, char ret_place[CORE_PLACE_TEXT])
{
	struct ua_try asked = { .place = ret_place, .user = user };
	char place[CORE_PLACE_TEXT];

	core_place_print(&request->source, ret_place);
	for (const struct ua_binding *binding = ua_location_find(user); binding && !asked.device; binding = binding->next_of_aor) {
		core_place_print_of(binding->received, place);
		if (strcmp(place, ret_place) == 0)
			asked.has_phone_here = true;
		if (strcmp(binding->received, request->address) == 0)
			asked.device = request->address;
	}
	return asked;
}

/* Good credentials of an account, as far as they can be told without looking at whom they may act for. False: it has been answered. */
static bool prove(struct ua_request *request, const struct ua_credentials *credentials)
{
	char host[64], place[CORE_PLACE_TEXT];

	core_address_print_host(&request->source, host, sizeof host);
	int nonce = ua_nonce_check(credentials->nonce, host, core_wall_us());
	uint32_t nc = credentials->qop[0] ? (uint32_t)strtoul(credentials->nc, NULL, 16) : 0;
	if (nonce != UA_NONCE_FRESH || (credentials->qop[0] && nc == 0)) {
		challenge(request, nonce == UA_NONCE_STALE);
		return false;
	}
	const struct ua_try asked = try_of(request, credentials->username, place);
	if (ua_lockout_holds(&asked, core_now_ms())) {
		forbid(request);
		return false;
	}
	if (!password_is_right(credentials, request->sip->sip_request->rq_method_name)) {
		fail(request, &asked);
		return false;
	}
	if (!ua_nonce_use(credentials->nonce, nc)) {
		challenge(request, true);
		return false;
	}
	ua_lockout_proved(&asked, core_now_ms());
	return true;
}

bool ua_authenticate(struct ua_request *request)
{
	const bool is_register = request->sip->sip_request->rq_method == sip_method_register;
	struct ua_credentials credentials;

	if (request->from_peer && !is_register)
		return true;
	if (is_certified(request)) {
		struct ua_credentials none = { 0 };

		memcpy(none.username, request->account, sizeof none.username);
		ua_count(request->ua, UA_METRIC_AUTH, "certified");
		return !is_register || !is_repeat(request, &none) || request->repeated;
	}
	if (!find_credentials(request, &credentials)) {
		challenge(request, false);
		return false;
	}
	if (is_register && is_repeat(request, &credentials))
		return request->repeated;
	if (!prove(request, &credentials))
		return false;
	if (!may_act(request->sip, credentials.username)) {
		forbid(request);
		return false;
	}
	ua_count(request->ua, UA_METRIC_AUTH, "accepted");
	(void)snprintf(request->account, sizeof request->account, "%s", credentials.username);
	return true;
}
