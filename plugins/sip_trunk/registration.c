/*
 * registration - how a trunk becomes and stays known at its provider (RFC 3261 10, RFC 5626, RFC 3608)
 *
 *   200   the binding lasts as long as our own Contact was granted; again at 85 % of it, at least 5 s before its end
 *   423   once more with Min-Expires
 *   403, and 401 or 407 with credentials   the account is wrong: trying on would lock it, so the next attempt is in ten minutes
 *   silence, 5xx, broken transport         after 30 s, then twice as long, at most ten minutes; or when Retry-After says
 *   its connection has failed (430)        at once when it had lasted two minutes, else as for silence
 *   our address outside has changed        at once
 *   stop, disable, remove                  Expires: 0
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

#define LEAVE_MS 2000u
#define STABLE_US 120000000 /* RFC 5626 4.5: a connection that lasted so long did not fail for being new */
#define FLOW_FAILED 430u
#define MOST_FLOW_TIMER_S 3600u

static void send_register(struct trunk *trunk);

static void on_due(void *self, pbx_timer timer)
{
	struct trunk *trunk = self;

	(void)timer;
	trunk->register_timer = (pbx_timer){ 0 };
	send_register(trunk);
}

static void again_after(struct trunk *trunk, uint64_t after_ms)
{
	struct pbx_host *host = trunk->plugin->host;

	(void)trunk->plugin->timers->stop(trunk->register_timer); /* none may run */
	trunk->next_attempt_us = host->wall_us(host) + (int64_t)after_ms * 1000;
	if (trunk->plugin->timers->start(host, after_ms, 0, on_due, trunk, &trunk->register_timer) != PBX_OK)
		pbx_error(host, "out_of_memory", "trunk=%s", trunk->is.id);
}

/* An instance id made of the token: the same after a restart (RFC 5626 4.1). */
static void instance_of(const struct trunk *trunk, char ret_id[40])
{
	char hash[65] = "";

	(void)trunk->plugin->secrets->digest(PBX_DIGEST_MD5, trunk->is.token, strlen(trunk->is.token), hash);
	(void)snprintf(ret_id, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", hash, hash + 8, hash + 12, hash + 16, hash + 20);
}

/* ---- what came back ------------------------------------------------------------------- */

static void keep_words(struct trunk *trunk, const struct pbx_sip_response *response)
{
	const char *flow_timer = response->header(response, "Flow-Timer", 0);
	uint32_t flow_timer_s = flow_timer ? (uint32_t)strtoul(flow_timer, NULL, 10) : 0;
	char routes[sizeof trunk->routes] = "";
	const char *route;

	if (flow_timer_s > MOST_FLOW_TIMER_S)
		flow_timer_s = MOST_FLOW_TIMER_S;

	for (uint32_t i = 0; (route = response->header(response, "Service-Route", i)) != NULL; i++) {
		size_t used = strlen(routes);

		(void)snprintf(routes + used, sizeof routes - used, "%s%s", used ? ", " : "", route);
	}
	if (strcmp(routes, trunk->routes) == 0 && flow_timer_s == trunk->flow_timer_s)
		return;
	memcpy(trunk->routes, routes, sizeof routes);
	trunk->flow_timer_s = flow_timer_s;
	(void)trunk_publish_peer(trunk, NULL); /* it was accepted before: only these differ */
}

static void on_registered(struct trunk *trunk, const struct pbx_sip_response *response)
{
	struct pbx_host *host = trunk->plugin->host;
	uint64_t granted_ms = (uint64_t)response->expires_s * 1000, early_ms = granted_ms * 85 / 100;
	bool was = trunk_status(trunk) == STATUS_REGISTERED && trunk->has_binding;

	if (early_ms + 5000 > granted_ms && granted_ms > 5000)
		early_ms = granted_ms - 5000;
	trunk->has_binding = true;
	trunk->refresh_failed = false;
	trunk->too_brief = 0;
	if (!was)
		trunk->registered_us = host->wall_us(host);
	if (!trunk->flow_broke)
		trunk->retry_s = 0;
	trunk->flow_broke = false;
	trunk->consecutive_failures = was ? trunk->consecutive_failures : 0;
	trunk->bound_until_us = host->wall_us(host) + response->expires_s * 1000000;
	keep_words(trunk, response);
	if (!was)
		trunk_tell(trunk, "trunk.registered", response->sip_code, trunk->reason);
	again_after(trunk, trunk->has_moved ? 0 : early_ms);
}

static uint64_t retry_ms(struct trunk *trunk)
{
	const struct sip_trunk_settings *settings = trunk->plugin->settings;

	trunk->retry_s = trunk->retry_s ? trunk->retry_s * 2 : settings->retry_least_s;
	if (trunk->retry_s > settings->retry_most_s)
		trunk->retry_s = settings->retry_most_s;
	return (uint64_t)trunk->retry_s * 1000;
}

static uint64_t retry_after_ms(struct trunk *trunk, const struct pbx_sip_response *response)
{
	const struct sip_trunk_settings *settings = trunk->plugin->settings;
	const char *asked = response->header(response, "Retry-After", 0);
	uint32_t code = response->sip_code;
	uint32_t asked_s = asked ? (uint32_t)strtoul(asked, NULL, 10) : 0;

	if (asked_s)
		return (uint64_t)(asked_s < 86400 ? asked_s : 86400) * 1000;
	if (code >= 400 && code < 500 && code != 408)
		return (uint64_t)settings->refused_hold_s * 1000;
	return retry_ms(trunk);
}

static void on_refused(struct trunk *trunk, const struct pbx_sip_response *response)
{
	trunk->refresh_failed = true;
	if (response->sip_code == 403 || response->sip_code == 401 || response->sip_code == 407)
		trunk->has_binding = false;
	again_after(trunk, retry_after_ms(trunk, response));
	trunk_tell(trunk, "trunk.registration_failed", response->sip_code, trunk->reason);
}

/* A connection that fails again and again is not made anew each second: retry_s goes on until a registration over one was refreshed. */
void registration_flow_failed(void *self, const char *peer, const char *address)
{
	struct trunk *trunk = trunk_find(self, peer);
	struct pbx_host *host = trunk ? trunk->plugin->host : NULL;

	if (!trunk || !trunk->wants_registration || !trunk->has_binding || trunk->refresh_failed)
		return; /* it is being seen to */
	bool was_stable = host->wall_us(host) - trunk->registered_us >= STABLE_US;
	trunk->refresh_failed = trunk->flow_broke = true;
	trunk->sip_code = FLOW_FAILED;
	(void)snprintf(trunk->reason, sizeof trunk->reason, "connection to %.60s failed", address);
	if (was_stable)
		trunk->retry_s = 0;
	again_after(trunk, was_stable ? 0 : retry_ms(trunk));
	trunk_tell(trunk, "trunk.registration_failed", FLOW_FAILED, trunk->reason);
	figures_state(trunk);
}

static bool is_too_brief(struct trunk *trunk, const struct pbx_sip_response *response)
{
	const char *least = response->header(response, "Min-Expires", 0);
	uint32_t least_s = least ? (uint32_t)strtoul(least, NULL, 10) : 0;

	if (response->sip_code != 423 || least_s <= trunk->wanted_s || least_s > 86400 * 7 || trunk->too_brief++ > 2)
		return false;
	trunk->wanted_s = least_s;
	return true;
}

static void count(const struct trunk *trunk, bool accepted)
{
	char labels[ID_SIZE + 16];

	(void)snprintf(labels, sizeof labels, "%s,%s", trunk->is.id, accepted ? "accepted" : "failed");
	(void)trunk->plugin->metrics->add(trunk->plugin->host, METRIC_REGISTRATIONS, labels, 1); /* a thousand trunks have no more series */
}

static void on_response(void *self, pbx_sip_client client, const struct pbx_sip_response *response)
{
	struct trunk *trunk = self;

	(void)client;
	trunk->sip_code = response->sip_code;
	(void)snprintf(trunk->reason, sizeof trunk->reason, "%s", response->from_peer ? response->phrase : "no response");
	if (trunk->is_leaving || !trunk->wants_registration) {
		trunk->is_leaving = false;
		return;
	}
	if (is_too_brief(trunk, response))
		again_after(trunk, 0);
	else if (response->sip_code >= 200 && response->sip_code < 300 && response->expires_s > 0)
		on_registered(trunk, response);
	else
		on_refused(trunk, response);
	count(trunk, response->sip_code >= 200 && response->sip_code < 300);
	figures_state(trunk);
}

/* ---- asking --------------------------------------------------------------------------- */

static int request(struct trunk *trunk, uint32_t expires_s, uint32_t timeout_ms)
{
	struct sip_trunk *plugin = trunk->plugin;
	const struct trunk_config *is = &trunk->is;
	char params[160], headers[128], instance[40], to[400];

	instance_of(trunk, instance);
	if (is->bulk_registration)
		(void)snprintf(params, sizeof params, ";expires=%u", expires_s);
	else
		(void)snprintf(params, sizeof params, ";expires=%u;reg-id=1;+sip.instance=\"<urn:uuid:%s>\"", expires_s, instance);
	/* RFC 6140 5.2: gin instead of outbound, which has no meaning for a Contact that stands for many */
	(void)snprintf(headers, sizeof headers, "Expires: %u\n%s", expires_s,
		       is->bulk_registration ? "Require: gin\nProxy-Require: gin\nSupported: path\n" : "Supported: path, outbound\n");
	(void)snprintf(to, sizeof to, "sip:%s@%s", is->username, is->from_domain[0] ? is->from_domain : is->host);
	if (!trunk->registrar.id && plugin->sip->open(plugin->host, is->id, &trunk->registrar) != PBX_OK)
		return PBX_ENOMEM;
	const struct pbx_sip_request wish = { .size = sizeof wish,
					      .method = "REGISTER",
					      .from = to,
					      .to = to,
					      .contact_params = params,
					      .headers = headers,
					      .timeout_ms = timeout_ms,
					      .contact_uri_params = is->bulk_registration ? ";bnc" : NULL };
	return plugin->sip->send(trunk->registrar, &wish, on_response, trunk);
}

static void send_register(struct trunk *trunk)
{
	int err = request(trunk, trunk->wanted_s, 0);

	if (err == PBX_OK)
		trunk->has_moved = false;
	if (err == PBX_OK || err == PBX_EBUSY)
		return;
	pbx_error(trunk->plugin->host, "register_not_sent", "trunk=%s result=%d", trunk->is.id, err);
	again_after(trunk, (uint64_t)trunk->plugin->settings->retry_least_s * 1000);
}

void registration_start(struct trunk *trunk, uint32_t after_ms)
{
	trunk->wants_registration = true;
	trunk->wanted_s = trunk->is.registration_expire_s;
	trunk->retry_s = trunk->too_brief = 0;
	trunk->refresh_failed = false;
	again_after(trunk, after_ms);
}

/* One that is under way says the old address: it is followed by another. */
void registration_move(struct trunk *trunk)
{
	trunk->has_moved = trunk->wants_registration;
	if (trunk->wants_registration && trunk->has_binding && !trunk->refresh_failed)
		again_after(trunk, 0);
}

void registration_stop(struct trunk *trunk, bool tell_registrar)
{
	struct sip_trunk *plugin = trunk->plugin;
	bool had = trunk->has_binding;

	(void)plugin->timers->stop(trunk->register_timer); /* none may run */
	trunk->register_timer = (pbx_timer){ 0 };
	trunk->wants_registration = trunk->has_binding = trunk->refresh_failed = trunk->flow_broke = false;
	trunk->flow_timer_s = 0;
	trunk->next_attempt_us = 0;
	figures_state(trunk);
	if (had && tell_registrar) {
		(void)request(trunk, 0, LEAVE_MS); /* one is under way: the binding runs out by itself */
		trunk->is_leaving = true;
	}
}
