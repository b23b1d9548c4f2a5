/* dial_group.c - one target of a dial: routed, resolved into devices, rung, and perhaps forwarded
 *
 *    waiting ──► routing (numbers) ──► ringing ──► over
 *       └───────── aor:, sip: ───────────┘  │ ▲
 *                                           └─┘ nobody answered and somebody is named for that case: routing again,
 *                                               with a diversion more, at most CORE_MOST_FORWARDS times
 *
 * What every device said is weighed by RFC 3261 16.7; a 6xx speaks for all devices of the group. */
#include "dial_inner.h"
#include "host.h"
#include <pbx/location.h>
#include <stdlib.h>

static void group_check(struct core_group *group);
static void group_over(struct core_group *group);

struct core_group *core_group_new(struct core_dial *dial, const char *text, uint32_t delay_ms, uint32_t ring_ms)
{
	if (dial->group_count == CORE_MOST_GROUPS)
		return NULL;

	struct core_group *group = calloc(1, sizeof *group);
	if (!group)
		return NULL;
	group->dial = dial;
	group->delay_ms = delay_ms;
	group->ring_ms = ring_ms;
	CORE_TEXT(group->text, text);

	struct core_group **at = &dial->groups;
	while (*at)
		at = &(*at)->next;
	*at = group;
	dial->group_count++;
	return group;
}

void core_group_aim(struct core_group *group, const struct pbx_dial_target *target)
{
	CORE_TEXT(group->peer, target->peer);
}

bool core_group_may_fail_over(const struct core_group *group, uint32_t sip_code)
{
	static const uint32_t usual[] = { 408, 500, 502, 503, 504 };
	const uint32_t *codes = group->failover_code_count ? group->failover_codes : usual;
	uint32_t count = group->failover_code_count ? group->failover_code_count : sizeof usual / sizeof usual[0];

	for (const struct core_branch *branch = group->branches; branch; branch = branch->next)
		if (branch->heard)
			return false;
	for (uint32_t i = 0; i < count; i++)
		if (codes[i] == sip_code)
			return true;
	return false;
}

static void note(struct core_group *group, uint32_t sip_code, uint32_t cause, bool callee_said)
{
	struct core_final final = { sip_code, cause, callee_said };

	if (core_final_better(&final, &group->best))
		group->best = final;
}

/* ---- a device is over ---- */

static void start_ready(struct core_group *group);

/* A target by turns is over: the next one's turn has come, or with FAILOVER nobody's, when the callee has decided. */
static void next_in_order(struct core_group *group, uint32_t sip_code)
{
	bool goes_on = group->strategy == PBX_DIAL_ORDER || core_group_may_fail_over(group, sip_code);

	for (struct core_branch *branch = group->branches; branch && !group->dial->over; branch = branch->next) {
		if (branch->over || branch->spare)
			continue;
		if (!goes_on) {
			core_branch_quiet(branch);
			continue;
		}
		if (!branch->started)
			core_branch_start(branch);
		return;
	}
}

void core_group_branch_over(struct core_branch *branch, const struct core_final *final)
{
	struct core_group *group = branch->group;

	core_branch_quiet(branch);
	branch->leg = NULL;
	if (core_branch_try_other_flow(branch, final->sip_code))
		return;
	if (final->sip_code == 430) /* no endpoint is to hear of flows (RFC 5626 11.5): nobody is there */
		note(group, 480, core_cause_from_sip(480), false);
	else
		note(group, final->sip_code, final->cause, final->callee_said);
	if (final->sip_code >= 600)
		core_group_stop(group, PBX_CAUSE_NORMAL, NULL);
	if (group->state == CORE_GROUP_RINGING && group->strategy > PBX_DIAL_ALL)
		next_in_order(group, final->sip_code);
	else if (group->state == CORE_GROUP_RINGING && !group->dial->over)
		start_ready(group);
	group_check(group);
}

void core_group_branch_late(struct core_branch *branch)
{
	struct core_group *group = branch->group;

	core_branch_stop(branch, PBX_CAUSE_NO_ANSWER);
	note(group, 480, PBX_CAUSE_NO_ANSWER, false);
	(void)core_branch_try_other_flow(branch, 480); /* it rang: there is nothing to try */
	if (group->strategy > PBX_DIAL_ALL)
		next_in_order(group, 480);
	group_check(group);
}

/* ---- resolving ---- */

struct resolving {
	struct core_group *group;
	const struct pbx_dial_target *target;
	const char *aor;
	uint32_t found;
};

static void add_contact(void *context, const struct pbx_contact *contact)
{
	struct resolving *resolving = context;
	const struct core_group *group = resolving->group;

	if (group->dial->instance[0] && group->forwarded == 0 && strcmp(contact->instance, group->dial->instance) != 0)
		return;
	struct core_branch *branch = core_branch_add(resolving->group, contact->uri, resolving->target);
	if (!branch)
		return;
	branch->reg_id = contact->reg_id;
	branch->q_milli = contact->q_milli;
	branch->unanswered = contact->unanswered;
	CORE_TEXT(branch->contact_id, contact->id);
	CORE_TEXT(branch->instance, contact->instance);
	CORE_TEXT(branch->received, contact->received);
	CORE_TEXT(branch->transport, contact->transport);
	CORE_TEXT(branch->path, contact->path);
	CORE_TEXT(branch->account, resolving->aor);
	core_branch_choose_flow(branch);
	resolving->found++;
}

static void resolve(struct core_group *group, const struct pbx_dial_target *target)
{
	const char *text = target->text;

	if (target->peer && target->peer[0]) {
		if (!core_branch_add(group, text, target))
			note(group, 503, PBX_CAUSE_CONGESTION, false);
	} else if (strncmp(text, "aor:", 4) == 0) {
		const struct pbx_location *location = core_host_service("pbx.location/1", (uint32_t)sizeof *location);
		struct resolving resolving = { group, target, text + 4, 0 };

		if (location->each)
			(void)location->each(text + 4, add_contact, &resolving);
		if (resolving.found == 0)
			group->offline = true;
	} else if (strncasecmp(text, "sip:", 4) == 0 || strncasecmp(text, "sips:", 5) == 0) {
		if (!core_branch_add(group, text, target))
			note(group, 503, PBX_CAUSE_CONGESTION, false);
	} else {
		struct core_group *nested = core_group_new(group->dial, text, target->delay_ms, target->ring_ms);

		if (!nested)
			return;
		nested->forwarded = group->forwarded;
		memcpy(nested->diversions, group->diversions, sizeof nested->diversions);
	}
}

/* ---- ringing ---- */

static uint32_t ring_ms_of(const struct core_group *group)
{
	if (group->ring_ms)
		return group->ring_ms;
	if (group->answer_ring_ms)
		return group->answer_ring_ms;
	return group->dial->ring_ms ? 0 : core_calls_settings()->ring_s * 1000u; /* the whole dial has a limit of its own */
}

static void on_branch_delay(void *self, pbx_timer timer)
{
	struct core_branch *branch = self;

	(void)timer;
	branch->delay = (pbx_timer){ 0 };
	core_branch_start(branch);
}

static void on_group_ring_timer(void *self, pbx_timer timer)
{
	struct core_group *group = self;

	(void)timer;
	group->ring = (pbx_timer){ 0 };
	note(group, 480, PBX_CAUSE_NO_ANSWER, false);
	core_group_stop(group, PBX_CAUSE_NO_ANSWER, NULL);
	group_check(group);
}

/* Devices of an account that it prefers are called first, the others when none of those is left (RFC 3261 16.6, q). */
static bool waits_for_better(const struct core_branch *branch)
{
	for (const struct core_branch *other = branch->group->branches; other; other = other->next)
		if (!other->over && other->q_milli > branch->q_milli && strcmp(other->account, branch->account) == 0)
			return true;
	return false;
}

/* Whoever's turn it is now, when they are not called by turns. */
static void start_ready(struct core_group *group)
{
	for (struct core_branch *branch = group->branches, *next; branch && !group->dial->over; branch = next) {
		next = branch->next;
		if (branch->started || branch->over || branch->spare || branch->delay.id || waits_for_better(branch))
			continue;
		if (branch->delay_ms)
			(void)core_timer_start(core_self(), branch->delay_ms, 0, on_branch_delay, branch, &branch->delay);
		else
			core_branch_start(branch);
	}
}

/* The one whose turn is first, when they are called by turns. */
static void start_first(struct core_group *group)
{
	struct core_branch *branch = group->branches;

	while (branch && (branch->started || branch->over || branch->spare))
		branch = branch->next;
	if (branch && !group->dial->over)
		core_branch_start(branch);
}

static void ring_branches(struct core_group *group)
{
	uint32_t ring_ms = ring_ms_of(group);

	group->state = CORE_GROUP_RINGING;
	if (ring_ms && group->branches && !group->ring.id) /* who is redirected to rings for what is left of it */
		(void)core_timer_start(core_self(), ring_ms, 0, on_group_ring_timer, group, &group->ring);
	if (group->strategy > PBX_DIAL_ALL)
		start_first(group);
	else
		start_ready(group);
	group_check(group);
	core_dial_check(group->dial); /* a target that is a number has become a group of its own */
}

/* ---- routing ---- */

/* Of its account's living legs: a call that rings at several devices is one. */
static bool is_first_in_call(const struct core_leg *leg)
{
	const struct core_leg *first = leg->call->legs;

	while (first != leg && (first->state == PBX_LEG_ENDED || strcmp(first->account, leg->account) != 0))
		first = first->next;
	return first == leg;
}

/* Calls an account is in, besides this one. */
static uint32_t calls_of(const struct core_call *but, const char *account)
{
	struct core_leg *leg = NULL;
	uint32_t count = 0;

	while ((leg = core_legs_of_account(account, leg)))
		count += leg->call != but && is_first_in_call(leg);
	return count;
}

static bool is_busy(const struct core_group *group)
{
	uint32_t most = group->dial->flags & PBX_DIAL_NO_WAITING ? 1 : group->max_calls;

	return most && group->owner_number[0] && calls_of(group->dial->call, group->owner_number) >= most;
}

static void take_targets(struct core_group *group, const struct pbx_route_answer *answer)
{
	CORE_TEXT(group->owner_number, answer->owner_number);
	CORE_TEXT(group->owner_name, answer->owner_name);
	CORE_TEXT(group->busy_to, answer->busy_to);
	CORE_TEXT(group->no_answer_to, answer->no_answer_to);
	CORE_TEXT(group->offline_to, answer->offline_to);
	group->answer_ring_ms = answer->ring_ms;
	group->max_calls = answer->max_calls;
	group->strategy = answer->strategy;
	group->failover_code_count = 0;
	for (uint32_t i = 0; i < answer->failover_code_count && i < CORE_MOST_FAILOVER_CODES; i++)
		group->failover_codes[group->failover_code_count++] = answer->failover_codes[i];
	if (is_busy(group)) {
		core_event_call_refused(group->dial->call, group->owner_number, "calls", 486, "has as many calls as it may have");
		note(group, 486, PBX_CAUSE_BUSY, false);
		group_over(group);
		return;
	}
	for (uint32_t i = 0; i < answer->target_count; i++) {
		struct pbx_dial_target target = pbx_dial_target_at(answer->targets, answer->target_size, i);

		resolve(group, &target);
	}
	ring_branches(group);
}

static void add_diversion(struct core_group *group, const char *number, uint32_t reason)
{
	if (group->forwarded >= CORE_MOST_FORWARDS)
		return;
	CORE_TEXT(group->diversions[group->forwarded].number, number);
	group->diversions[group->forwarded++].reason = reason;
}

static void on_walk_forward(void *context, const char *number, const char *to, uint32_t reason)
{
	struct core_group *group = context;

	core_event_call_forwarded(group->dial->call, number, to, core_forward_name(reason));
	add_diversion(group, number, reason);
	CORE_TEXT(group->text, to);
}

static void refuse(struct core_group *group, const char *owner, uint32_t sip_code, uint32_t cause, const char *text)
{
	core_log(PBX_LOG_INFO, "calls", group->dial->call->id, "route_refused", "number=%s code=%u reason=\"%s\"", group->text, sip_code,
		 text ? text : "");
	core_event_call_refused(group->dial->call, group->text, owner, sip_code, text);
	note(group, sip_code, cause, false);
	group_over(group);
}

static bool is_emergency(const struct pbx_route_answer *verdict)
{
	return verdict->verdict == PBX_ROUTE_TARGETS && verdict->target_count > 0 &&
	       pbx_dial_target_at(verdict->targets, verdict->target_size, 0).flags & PBX_TARGET_EMERGENCY;
}

static void on_walk_done(void *context, const struct pbx_route_answer *verdict, struct pbx_host *owner, const char *argument)
{
	struct core_group *group = context;
	struct core_call *call = group->dial->call;

	group->walk = (pbx_route_query){ 0 };
	call->is_beyond_limit = call->is_beyond_limit && !is_emergency(verdict);
	if (call->is_beyond_limit) {
		refuse(group, "calls", 503, PBX_CAUSE_CONGESTION, "there are as many calls as calls.limit allows");
		return;
	}
	switch (verdict->verdict) {
	case PBX_ROUTE_TARGETS:
		take_targets(group, verdict);
		break;
	case PBX_ROUTE_CONTROL:
		core_dial_hand_over(group, verdict, owner, argument);
		break;
	default: {
		uint32_t sip_code = verdict->sip_code >= 300 ? verdict->sip_code : 404;

		refuse(group, core_owner_name(owner), sip_code, verdict->cause ? verdict->cause : core_cause_from_sip(sip_code),
		       verdict->text);
	}
	}
}

static void walk_start(struct core_group *group)
{
	struct core_dial *dial = group->dial;
	const struct core_walk_wish wish = {
		.leg = dial->is_routing && dial->from ? dial->from->handle : (pbx_leg){ 0 },
		.number = group->text,
		.caller = dial->caller_number,
		.account = dial->account,
		.peer = dial->from ? dial->from->peer : "",
		.arriving = dial->arriving && !group->forwarded,
		.forwarder = group->forwarded ? group->diversions[group->forwarded - 1].number : "",
		.wall_us = core_wall_us(),
		.forwarded = group->forwarded + (dial->from ? dial->from->forwarded : 0),
		.forward = on_walk_forward,
		.done = on_walk_done,
		.context = group,
	};

	group->state = CORE_GROUP_ROUTING;
	if (core_walk_start(&wish, &group->walk) != PBX_OK) {
		note(group, 500, PBX_CAUSE_FAILURE, false);
		group_over(group);
	}
}

static void group_begin(struct core_group *group)
{
	if (!group->peer[0] && strncmp(group->text, "aor:", 4) != 0 && strncasecmp(group->text, "sip", 3) != 0) {
		walk_start(group);
		return;
	}

	char text[256];
	CORE_TEXT(text, group->text);
	resolve(group, &(struct pbx_dial_target){ .text = text, .peer = group->peer });
	ring_branches(group);
}

static void on_group_delay(void *self, pbx_timer timer)
{
	struct core_group *group = self;

	(void)timer;
	group->delay = (pbx_timer){ 0 };
	group_begin(group);
}

void core_group_start(struct core_group *group)
{
	group->state = CORE_GROUP_ROUTING;
	if (group->delay_ms && group->dial->strategy == PBX_DIAL_ALL)
		(void)core_timer_start(core_self(), group->delay_ms, 0, on_group_delay, group, &group->delay);
	else
		group_begin(group);
}

/* ---- over ---- */

void core_group_stop(struct core_group *group, uint32_t cause, const struct core_leg *but)
{
	(void)core_timer_stop(group->delay);
	(void)core_timer_stop(group->ring);
	group->delay = group->ring = (pbx_timer){ 0 };
	core_walk_cancel(group->walk);
	group->walk = (pbx_route_query){ 0 };
	for (struct core_branch *branch = group->branches; branch; branch = branch->next)
		if (!branch->over && (!but || branch->leg != but))
			core_branch_stop(branch, cause);
}

/* Where to instead, and why; NULL: nowhere. */
static const char *forward_of(const struct core_group *group, uint32_t *ret_reason)
{
	const char *to = "";

	if (group->dial->flags & PBX_DIAL_NO_FORWARD)
		return NULL;
	switch (group->best.sip_code) {
	case 486:
	case 600:
		*ret_reason = PBX_FORWARD_BUSY;
		to = group->busy_to;
		break;
	case 408:
	case 480:
		*ret_reason = group->best.cause == PBX_CAUSE_OFFLINE ? PBX_FORWARD_OFFLINE : PBX_FORWARD_NO_ANSWER;
		to = group->best.cause == PBX_CAUSE_OFFLINE ? group->offline_to : group->no_answer_to;
		break;
	}
	return to[0] ? to : NULL;
}

static void branches_free(struct core_group *group)
{
	while (group->branches) {
		struct core_branch *branch = group->branches;

		group->branches = branch->next;
		core_branch_quiet(branch);
		free(branch);
		group->dial->branch_count--;
	}
}

static void group_forward(struct core_group *group, const char *to, uint32_t reason)
{
	core_event_call_forwarded(group->dial->call, group->owner_number, to, core_forward_name(reason));
	add_diversion(group, group->owner_number, reason);
	CORE_TEXT(group->text, to);
	branches_free(group);
	group->owner_number[0] = group->owner_name[0] = group->busy_to[0] = group->no_answer_to[0] = group->offline_to[0] = '\0';
	group->best = (struct core_final){ 0 };
	group->offline = false;
	group->peer[0] = '\0';
	group->strategy = 0;
	group->ring_ms = 0; /* was for the one who forwarded */
	walk_start(group);
}

static void group_over(struct core_group *group)
{
	uint32_t reason = 0;
	const char *to;

	(void)core_timer_stop(group->ring);
	group->ring = (pbx_timer){ 0 };
	if (group->offline && !group->best.sip_code)
		note(group, 480, PBX_CAUSE_OFFLINE, false);
	to = forward_of(group, &reason);
	if (to && group->forwarded >= CORE_MOST_FORWARDS)
		group->best = (struct core_final){ 482, 25, false };
	else if (to) {
		group_forward(group, to, reason);
		return;
	}
	group->state = CORE_GROUP_OVER;
	if (core_final_better(&group->best, &group->dial->best))
		group->dial->best = group->best;
	core_dial_check(group->dial);
}

void core_group_branchless(struct core_group *group, uint32_t sip_code, uint32_t cause)
{
	note(group, sip_code, cause, false);
	group_over(group);
}

static void group_check(struct core_group *group)
{
	if (group->state != CORE_GROUP_RINGING || group->dial->over)
		return;
	for (const struct core_branch *branch = group->branches; branch; branch = branch->next)
		if (!branch->over)
			return;
	group_over(group);
}

void core_group_redirect(struct core_branch *branch, const char *const *targets, uint32_t count, uint32_t reason)
{
	struct core_group *group = branch->group;

	if (group->dial->flags & PBX_DIAL_NO_FORWARD || group->forwarded >= CORE_MOST_FORWARDS || count == 0) {
		note(group, 480, PBX_CAUSE_NO_ANSWER, true);
		return;
	}
	core_event_call_forwarded(group->dial->call, branch->leg->number, targets[0], "302");
	add_diversion(group, branch->leg->number, reason);
	for (uint32_t i = 0; i < count; i++) {
		char user[64];

		/* A number goes through routing with its permissions; only what is none is called as it stands. */
		core_uri_user(targets[i], user);
		bool is_number = user[0] && user[strspn(user, "0123456789*#+")] == '\0';
		resolve(group, &(struct pbx_dial_target){ .text = is_number ? user : targets[i] });
	}
	ring_branches(group);
}

void core_group_free(struct core_group *group)
{
	core_group_stop(group, PBX_CAUSE_NORMAL, NULL);
	branches_free(group);
	free(group);
}
