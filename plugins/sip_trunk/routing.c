/*
 * routing - out of the house over the trunk that can, into the house by DID
 *
 *   100 emergency   the numbers of sip_trunk.emergency_numbers, over any trunk, whatever its limits
 *   150 inbound     what a trunk dials is a DID and nothing else: feature codes and extensions are out of its reach
 *   500 outbound    routes in order of priority; the trunks of the first that matches, then the others
 *
 * Whether somebody may call outside is their account's matter; of a call that was forwarded, the forwarder's.
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

static int reject(struct pbx_route_answer *answer, uint32_t sip_code, uint32_t cause, const char *text)
{
	answer->verdict = PBX_ROUTE_REJECT;
	answer->sip_code = sip_code;
	answer->cause = cause;
	answer->text = text;
	return PBX_OK;
}

/* ---- who is shown --------------------------------------------------------------------- */

/* The DID that rings an extension. */
static const char *did_of(const struct sip_trunk *plugin, const struct trunk *trunk, const char *extension)
{
	for (const struct record *record = plugin->records[KIND_INBOUND]; record; record = record->next) {
		const struct inbound_route *route = (const struct inbound_route *)record->row;

		if (strcmp(route->destination, extension) == 0 && route->did[strspn(route->did, "+0123456789")] == '\0' &&
		    (!route->trunk_id[0] || strcmp(route->trunk_id, trunk->is.id) == 0))
			return route->did;
	}
	return NULL;
}

static void choose_caller(const struct sip_trunk *plugin, const struct trunk *trunk, const struct pbx_route_request *request, char *ret_id,
			  size_t size)
{
	const struct trunk_config *is = &trunk->is;
	struct pbx_account account = { .size = sizeof account };
	const char *who = request->account[0] ? request->account : request->caller;
	bool has_account = plugin->directory->find && plugin->directory->find(plugin->directory->self, who, &account) == PBX_OK;
	const char *chosen = NULL;

	if (strcmp(is->caller_id_policy, "trunk") == 0 && is->caller_id[0])
		chosen = is->caller_id;
	if (!chosen && strcmp(is->caller_id_policy, "extension") == 0 && has_account && account.outbound_caller_id[0])
		chosen = account.outbound_caller_id;
	if (!chosen && has_account)
		chosen = did_of(plugin, trunk, account.number);
	if (!chosen && is->caller_id[0])
		chosen = is->caller_id;
	if (!chosen && !has_account)
		chosen = request->caller; /* from outside: forwarded as it came */
	if (!chosen)
		chosen = is->username[0] ? is->username : request->caller;
	number_format(plugin->settings, is->number_format, chosen, ret_id, size);
}

/* ---- outbound ------------------------------------------------------------------------- */

struct plan {
	struct sip_trunk *plugin;
	const struct pbx_route_request *request;
	char number[96]; /* after strip and prepend */
	uint32_t count, flags;
	bool full, down; /* some trunk would have, but */
	bool asks_pin;
	const struct trunk *full_trunk;
};

static void plan_add(struct plan *plan, struct trunk *trunk)
{
	struct sip_trunk *plugin = plan->plugin;
	bool is_emergency = plan->flags & PBX_TARGET_EMERGENCY;
	uint32_t at = plan->count;

	for (uint32_t i = 0; i < plan->count; i++)
		if (plugin->targets[i].peer == trunk->is.id)
			return;
	uint32_t readiness = trunk_readiness(trunk);
	if (readiness == TRUNK_FULL)
		plan->full_trunk = trunk;
	plan->full = plan->full || readiness == TRUNK_FULL;
	plan->down = plan->down || readiness == TRUNK_DOWN;
	if (at == MOST_TARGETS || (is_emergency ? !trunk->is.enabled : readiness != TRUNK_READY))
		return;
	number_format(plugin->settings, trunk->is.number_format, plan->number, plugin->numbers[at], sizeof plugin->numbers[at]);
	choose_caller(plugin, trunk, plan->request, plugin->caller_ids[at], sizeof plugin->caller_ids[at]);
	bool withheld = !plan->request->caller[0] && !plan->request->account[0] && plan->request->leg.id;
	plugin->targets[at] = (struct pbx_dial_target){ .text = plugin->numbers[at],
							.peer = trunk->is.id,
							.caller_number = plugin->caller_ids[at],
							.caller_name = NULL,
							.flags = plan->flags | (withheld ? PBX_TARGET_WITHHELD : 0u) };
	plan->count++;
}

static void plan_add_all(struct plan *plan)
{
	for (struct trunk *trunk = plan->plugin->trunks; trunk; trunk = trunk->next)
		plan_add(plan, trunk);
}

static void plan_add_route(struct plan *plan, const struct outbound_route *route)
{
	const char *dialled = plan->request->number, *items[32];
	size_t strip = route->strip < strlen(dialled) ? route->strip : strlen(dialled);
	char text[512];
	uint32_t count = list_split(route->trunks, text, sizeof text, items, 32);

	(void)snprintf(plan->number, sizeof plan->number, "%s%s", route->prepend, dialled + strip);
	for (uint32_t i = 0; i < count; i++) {
		struct trunk *trunk = trunk_find(plan->plugin, items[i]);

		if (trunk)
			plan_add(plan, trunk);
	}
	if (count == 0 || route->failover)
		plan_add_all(plan);
}

static int answer_plan(struct plan *plan, const char *route, struct pbx_route_answer *ret_answer)
{
	struct sip_trunk *plugin = plan->plugin;
	size_t used = (size_t)snprintf(plugin->text, sizeof plugin->text, "%s%s: ", route, plan->asks_pin ? " after a PIN" : "");

	for (uint32_t i = 0; i < plan->count && used < sizeof plugin->text; i++)
		used += (size_t)snprintf(plugin->text + used, sizeof plugin->text - used, "%s%s as %s", i ? ", then " : "",
					 plugin->targets[i].peer, plugin->targets[i].text);
	ret_answer->verdict = PBX_ROUTE_TARGETS;
	ret_answer->text = plugin->text;
	ret_answer->targets = plugin->targets;
	ret_answer->target_count = plan->count;
	ret_answer->target_size = sizeof plugin->targets[0];
	ret_answer->ring_ms = 120000; /* the far end decides how long it rings */
	ret_answer->strategy = PBX_DIAL_FAILOVER;
	ret_answer->failover_codes = plugin->codes;
	for (uint32_t i = 0; i < plugin->settings->failover_codes.count && i < MOST_CODES; i++)
		plugin->codes[ret_answer->failover_code_count++] = (uint32_t)strtoul(plugin->settings->failover_codes.items[i], NULL, 10);
	return PBX_OK;
}

/* "1001", "10*". */
static bool is_listed(const char *list, const char *who)
{
	const char *items[64];
	char text[512];
	uint32_t count = list_split(list, text, sizeof text, items, 64);

	for (uint32_t i = 0; i < count; i++) {
		size_t length = strcspn(items[i], "*");

		if (strncmp(items[i], who, length) == 0 && (items[i][length] == '*' || who[length] == '\0'))
			return true;
	}
	return count == 0;
}

/* Whose call it is, as far as rights go; "" nobody's here. */
static const char *responsible(const struct pbx_route_request *request)
{
	return request->forwarder && request->forwarder[0] ? request->forwarder : request->account;
}

static uint32_t class_named(const char *name)
{
	static const char *const names[] = { "", "internal", "local", "national", "international", "premium" };
	uint32_t class = PBX_CLASS_PREMIUM;

	while (class > 0 && strcmp(names[class], name) != 0)
		class --;
	return class;
}

static const char *why_not(const struct sip_trunk *plugin, const struct outbound_route *route, const struct pbx_route_request *request)
{
	struct pbx_account account = { .size = sizeof account };
	const char *who = responsible(request);

	if (who[0] && plugin->directory->find && plugin->directory->find(plugin->directory->self, who, &account) == PBX_OK)
		return !account.may_call_outside ? "this extension may not call outside"
		       : account.call_class && account.call_class < class_named(route->least_class)
			       ? "this extension's call_class does not reach as far as the route's least_class"
			       : NULL;
	if (request->account[0] || !request->leg.id || request->arriving)
		return NULL; /* asked for by a feature, or an inbound route leads outside */
	return "a caller from outside leaves the house only by an inbound route or a forward";
}

const char *outbound_misfit(const struct record *record, const struct pbx_route_request *request)
{
	const struct outbound_route *route = (const struct outbound_route *)record->row;

	return !route->enabled                                                                   ? "it is switched off"
	       : !record->has_regex || regexec(&record->regex, request->number, 0, NULL, 0) != 0 ? "the number is not in its pattern"
	       : !is_listed(route->callers, responsible(request))                                ? "it is not for this caller"
	       : !hours_hold(route->hours, request->wall_us)                                     ? "it is not its hour"
												 : NULL;
}

static int on_outside(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	struct sip_trunk *plugin = self;
	struct plan plan = { .plugin = plugin, .request = request };
	bool matched = false;

	(void)query;
	for (const struct record *record = plugin->records[KIND_OUTBOUND]; record; record = record->next) {
		const struct outbound_route *route = (const struct outbound_route *)record->row;

		if (outbound_misfit(record, request))
			continue;
		const char *refusal = why_not(plugin, route, request);
		if (refusal)
			return reject(ret_answer, 403, 0, refusal);
		matched = true;
		plan.asks_pin = route->pins[0] != '\0';
		if (plan.asks_pin && !request->explaining && !pin_is_typed(plugin, request, route->id))
			return pin_ask(plugin, request, route->id, ret_answer);
		plan_add_route(&plan, route);
		if (plan.count > 0)
			return answer_plan(&plan, route->id, ret_answer);
	}
	if (!matched)
		return PBX_OK; /* pass */
	if (plan.full_trunk && !request->explaining)
		trunk_tell(trunk_find(plugin, plan.full_trunk->is.id), "trunk.channels_exhausted", 503, "all channels are in use");
	return reject(ret_answer, 503, plan.full ? PBX_CAUSE_CONGESTION : 38, plan.full ? "all channels are in use" : "no trunk works");
}

static int on_emergency(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	struct sip_trunk *plugin = self;
	struct plan plan = { .plugin = plugin, .request = request, .flags = PBX_TARGET_EMERGENCY };
	const struct pbx_list *numbers = &plugin->settings->emergency_numbers;
	bool is_one = false;

	(void)query;
	for (uint32_t i = 0; i < numbers->count; i++)
		is_one = is_one || strcmp(numbers->items[i], request->number) == 0;
	if (!is_one || (request->arriving && request->peer && request->peer[0]))
		return PBX_OK; /* pass: what a trunk brings is a DID */
	(void)snprintf(plan.number, sizeof plan.number, "%s", request->number);
	for (struct trunk *trunk = plugin->trunks; trunk; trunk = trunk->next) /* those that work first */
		if (trunk_readiness(trunk) != TRUNK_DOWN)
			plan_add(&plan, trunk);
	plan_add_all(&plan);
	return plan.count ? answer_plan(&plan, "emergency", ret_answer) : PBX_OK;
}

/* ---- inbound -------------------------------------------------------------------------- */

static bool is_did(const struct sip_trunk *plugin, const char *did, const char *number)
{
	char left[32], right[32];

	if (did_matches(did, number))
		return true;
	return number_e164(plugin->settings, did, left, sizeof left) && number_e164(plugin->settings, number, right, sizeof right) &&
	       strcmp(left, right) == 0;
}

/* Exact before patterns, the longest pattern first, one of the trunk's own before one of any. */
static const struct inbound_route *find_inbound(const struct sip_trunk *plugin, const char *trunk, const char *number)
{
	const struct inbound_route *best = NULL;
	size_t best_rank = 0;

	for (const struct record *record = plugin->records[KIND_INBOUND]; record; record = record->next) {
		const struct inbound_route *route = (const struct inbound_route *)record->row;
		bool is_exact = route->did[strspn(route->did, "+0123456789")] == '\0';
		size_t rank = (is_exact ? 1000 : strlen(route->did) * 2) + (route->trunk_id[0] != '\0') + 1;

		if ((route->trunk_id[0] && strcmp(route->trunk_id, trunk) != 0) || rank <= best_rank || !is_did(plugin, route->did, number))
			continue;
		best = route;
		best_rank = rank;
	}
	return best;
}

/* "+12125551212" of what its provider wrote; in displays and in what the caller's peers are told. */
static void rewrite_caller(const struct sip_trunk *plugin, const struct trunk *trunk, const struct pbx_route_request *request)
{
	struct pbx_leg_info info = { .size = sizeof info };
	char number[64];

	if (strcmp(trunk->is.caller_format, "as_received") == 0 || request->explaining || !request->caller[0] ||
	    plugin->calls->info(request->leg, &info) != PBX_OK)
		return;
	number_format(plugin->settings, trunk->is.caller_format, request->caller, number, sizeof number);
	if (strcmp(number, request->caller) != 0)
		(void)plugin->calls->set_identity(request->leg, number, strcmp(info.name, info.number) == 0 ? number : info.name);
}

static int on_arrival(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	struct sip_trunk *plugin = self;
	const struct trunk *trunk = request->arriving && request->peer ? trunk_find(plugin, request->peer) : NULL;
	const struct inbound_route *route = trunk ? find_inbound(plugin, trunk->is.id, request->number) : NULL;
	size_t length = strlen(request->number);

	(void)query;
	if (!trunk)
		return PBX_OK; /* pass */
	if (!route)
		return reject(ret_answer, 404, 0, "no inbound route has this number");
	rewrite_caller(plugin, trunk, request);
	(void)snprintf(plugin->renumbered, sizeof plugin->renumbered, "%s",
		       route->destination[0]          ? route->destination
		       : route->strip_prefix < length ? request->number + route->strip_prefix
						      : request->number);
	(void)snprintf(plugin->text, sizeof plugin->text, "inbound route %s: %.60s", route->id, plugin->renumbered);
	ret_answer->verdict = PBX_ROUTE_RENUMBER;
	ret_answer->to = plugin->renumbered;
	ret_answer->text = plugin->text;
	return PBX_OK;
}

int routing_start(struct sip_trunk *plugin)
{
	int err = plugin->routing->hook(plugin->host, PBX_ORDER_EMERGENCY, "emergency over any trunk", on_emergency, plugin);

	if (err == PBX_OK)
		err = plugin->routing->hook(plugin->host, PBX_ORDER_SCREEN, "inbound route", on_arrival, plugin);
	if (err == PBX_OK)
		err = plugin->routing->hook(plugin->host, PBX_ORDER_TRUNKS, "outbound route", on_outside, plugin);
	return err;
}
