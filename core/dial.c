/* dial.c - ringing targets on behalf of a leg, or of nobody: first answer wins
 *
 *                    ┌──────────── a device rings: `from` hears it (180, early media, ring-back tone)
 *    start ──► groups ──► a device answers ──► the others are cancelled; CONNECT: `from` is answered and the two are bridged
 *                    ├──► all are over      ──► the best final answer (RFC 3261 16.7)
 *                    ├──► a claim takes `from` (routing: "*70")
 *                    └──► cancel, ring timer, `from` hangs up
 *
 * done is told in a posted function, so never before dial() has returned, and exactly once. Routing a leg is a dial too, with one target: the
 * number; its failure refuses the leg. */
#include "dial_inner.h"
#include "overlap.h"
#include <stdlib.h>

static struct core_handles dial_table;

void core_dials_init(void)
{
	core_handles_init(&dial_table, 'D');
}

uint32_t core_dial_count(void)
{
	return core_handles_count(&dial_table);
}

/* ---- weighing answers ---- */

/* RFC 3261 16.7 step 6: a 6xx, else the lowest class; among 4xx those that tell how to do better. Smaller is better. */
static uint32_t rank(const struct core_final *final)
{
	uint32_t code = final->sip_code;

	if (code < 400)
		return 100; /* nothing heard, or a 3xx that was followed */
	if (code >= 600)
		return 0;
	switch (code) {
	case 415:
	case 420:
	case 484:
		return 40;
	case 486:
	case 488:
		return 41;
	case 408:
	case 480:
		return 43;
	case 404:
		return 44;
	case 487:
		return 90;
	}
	return code < 500 ? 42 : 50;
}

bool core_final_better(const struct core_final *a, const struct core_final *b)
{
	return rank(a) < rank(b);
}

static uint32_t outcome_of(const struct core_final *final)
{
	switch (final->sip_code) {
	case 486:
	case 600:
		return PBX_DIALLED_BUSY;
	case 408:
	case 480:
		return final->cause == PBX_CAUSE_OFFLINE ? PBX_DIALLED_OFFLINE : PBX_DIALLED_NO_ANSWER;
	case 403:
	case 603:
		return final->callee_said || final->sip_code == 603 ? PBX_DIALLED_DECLINED : PBX_DIALLED_FAILED;
	case 404:
	case 604:
	case 484:
	case 410:
		return PBX_DIALLED_NOT_FOUND;
	}
	return PBX_DIALLED_FAILED;
}

/* ---- `from` ---- */

static void from_unlink(struct core_dial *dial)
{
	struct core_dial **at = &dial->from->dials;

	while (*at != dial)
		at = &(*at)->next_of_from;
	*at = dial->next_of_from;
	dial->next_of_from = NULL;
}

void core_dials_rename(const struct core_leg *from, const char *number, const char *name)
{
	for (struct core_dial *dial = from->dials; dial; dial = dial->next_of_from) {
		if (number && strcmp(dial->caller_number, from->number) == 0)
			CORE_TEXT(dial->caller_number, number);
		if (name && strcmp(dial->caller_name, from->name) == 0)
			CORE_TEXT(dial->caller_name, name);
	}
}

void core_dial_drop_early(struct core_dial *dial, const struct core_leg *leg)
{
	if (!dial->early || dial->early != leg)
		return;
	dial->early = NULL;
	if (dial->from && dial->from->has_stream)
		(void)core_media->disconnect(dial->from->stream);
}

static void play_ringback(struct core_dial *dial, bool rings)
{
	struct core_leg *from = dial->from;

	if (from->play_tag && from->play_for == CORE_PLAY_FOR_RINGBACK)
		return;
	if (dial->music_class[0])
		(void)core_leg_play_music(from, dial->music_class, CORE_PLAY_FOR_RINGBACK);
	else if (rings)
		(void)core_leg_play(from, CORE_PLAY_TONE, "ringback", (pbx_source){ 0 }, CORE_PLAY_FOR_RINGBACK);
}

static bool wants_ringback(const struct core_dial *dial)
{
	return dial->from && dial->from->state == PBX_LEG_ANSWERED && dial->flags & PBX_DIAL_RINGBACK;
}

/* The caller's phone is told that somewhere a phone rings, or hears what that one sends. */
static void pass_on_ringing(struct core_dial *dial, struct core_leg *leg, bool early_media)
{
	struct core_leg *from = dial->from;

	if (!from || !(dial->flags & PBX_DIAL_CONNECT) || from->direction != PBX_INBOUND || from->state >= PBX_LEG_ANSWERED)
		return;
	if (early_media && !dial->early && core_leg_progress(from, leg) == PBX_OK) {
		dial->early = leg;
		(void)core_media->connect(from->stream, leg->stream);
	} else if (from->state == PBX_LEG_NEW && from->driver->ring(from->dialog, NULL) == PBX_OK) {
		core_leg_rings(from);
	}
}

void core_dial_leg_ringing(struct core_leg *leg, bool early_media)
{
	struct core_dial *dial = leg->branch->group->dial;

	if (dial->over)
		return;
	leg->branch->heard = leg->branch->heard || early_media;
	pass_on_ringing(dial, leg, early_media);
	if (wants_ringback(dial))
		play_ringback(dial, true);
	if (dial->ringing_told)
		return;
	dial->ringing_told = true;
	core_call_ringing(dial->call, leg, early_media);
	if (dial->transferor.id)
		core_transfer_progress(dial->transferor, 180);
	if (dial->host && dial->dialler.ringing)
		CORE_INTO(dial->host, dial->dialler.ringing(dial->self, dial->handle));
}

/* ---- the end ---- */

static void dial_free(struct core_dial *dial)
{
	struct core_call *call = dial->call;

	core_charge_remove(&dial->charge);
	(void)core_timer_stop(dial->ring);
	while (dial->groups) {
		struct core_group *group = dial->groups;

		dial->groups = group->next;
		core_group_free(group);
	}
	core_handle_free(&dial_table, dial->handle.id);
	core_unpost(&dial->beginning);
	core_unpost(&dial->done);
	free(dial);
	call->dials--;
}

static void tell_done(void *context)
{
	struct core_dial *dial = context;
	struct core_call *call = dial->call;
	pbx_leg winner = dial->result.winner;

	if (dial->host && dial->dialler.done)
		CORE_INTO(dial->host, dial->dialler.done(dial->self, dial->handle, &dial->result));
	dial_free(dial);

	struct core_leg *leg = core_leg_alive(winner);
	if (leg)
		core_leg_watch(leg);
	core_call_check(call);
}

static int connect_winner(struct core_leg *from, struct core_leg *winner, const struct core_group *group)
{
	pbx_bridge bridge;
	int err = core_leg_answer(from, winner);

	if (err != PBX_OK)
		return err;
	core_call_answered(from->call, winner, group->owner_number[0] ? group->owner_number : winner->number, group->owner_name);
	return core_bridge_make(from, winner, &bridge);
}

static void answered(struct core_dial *dial, struct core_leg *from, struct core_leg *winner, const struct core_group *group)
{
	if (!from) {
		winner->is_caller = true;
		if (!dial->call->answer_at_bridge)
			core_call_answered(dial->call, winner, winner->number, winner->name);
		return;
	}
	if (!(dial->flags & PBX_DIAL_CONNECT))
		return;

	int err = connect_winner(from, winner, group);
	if (err == PBX_OK) {
		if (dial->transferor.id)
			(void)core_transfer_over(dial->transferor, from, dial->target, 200);
		return;
	}
	core_log(PBX_LOG_WARN, "calls", dial->call->id, "connect_failed", "result=%d", err);
	dial->result.outcome = PBX_DIALLED_FAILED;
	dial->result.winner = (pbx_leg){ 0 };
	core_leg_end(winner, 0, PBX_CAUSE_NOT_ACCEPTABLE, false, "cannot connect");
	core_leg_refuse(from, core_cause_to_sip(core_cause_of(err)), core_cause_of(err), "cannot connect");
}

/* Routing found nobody who answers: the party hears why. */
static void routing_failed(struct core_dial *dial, struct core_leg *from, const struct core_final *final)
{
	if (dial->transferor.id && core_transfer_over(dial->transferor, from, dial->target, final->sip_code))
		return;
	from->call->callee_said = final->callee_said;
	core_leg_refuse(from, final->sip_code, final->cause, NULL);
}

static void note_failure(struct core_call *call, const struct core_final *final)
{
	call->sip_code = final->sip_code;
	call->cause = final->cause;
	call->callee_said = final->callee_said;
	if (!call->hangup_by)
		call->hangup_by = final->callee_said ? "callee" : "system";
}

void core_dial_finish(struct core_dial *dial, uint32_t outcome, const struct core_final *final, struct core_leg *winner)
{
	struct core_leg *from = dial->from;
	const struct core_group *group = winner && winner->branch ? winner->branch->group : NULL;
	uint32_t loser_cause = winner || dial->picked_up          ? PBX_CAUSE_ANSWERED_ELSEWHERE
			       : outcome == PBX_DIALLED_NO_ANSWER ? PBX_CAUSE_NO_ANSWER
								  : PBX_CAUSE_NORMAL;

	if (dial->over)
		return;
	dial->over = true;
	dial->result = (struct pbx_dial_result){ .size = sizeof dial->result,
						 .outcome = outcome == CORE_DIALLED_HANDED_OVER ? PBX_DIALLED_CANCELLED : outcome,
						 .sip_code = final->sip_code,
						 .cause = final->cause,
						 .winner = winner ? winner->handle : (pbx_leg){ 0 } };
	(void)core_timer_stop(dial->ring);
	if (winner) {
		winner->branch->over = true;
		winner->branch->leg = NULL;
		(void)core_timer_stop(winner->branch->ring);
		winner->branch = NULL;
	}
	for (struct core_group *each = dial->groups; each; each = each->next)
		core_group_stop(each, loser_cause, winner);
	if (from) {
		from_unlink(dial);
		if (from->play_for == CORE_PLAY_FOR_RINGBACK)
			core_leg_stop_play(from);
		dial->from = NULL;
	}

	core_post_node(core_self(), &dial->done, tell_done, dial);
	if (winner)
		answered(dial, from, winner, group);
	else if (dial->is_routing && outcome == PBX_DIALLED_CANCELLED && dial->transferor.id)
		(void)core_transfer_over(dial->transferor, NULL, dial->target, from && from->state != PBX_LEG_ENDED ? 200 : 487);
	else if (dial->is_routing && from && outcome != PBX_DIALLED_CANCELLED && outcome != CORE_DIALLED_HANDED_OVER)
		routing_failed(dial, from, final);
	else if (!from && !dial->call->answered_at_ms)
		note_failure(dial->call, final);
	if (from && from->state != PBX_LEG_ENDED)
		core_leg_watch(from);
}

void core_dial_check(struct core_dial *dial)
{
	bool is_busy = false;

	if (dial->over)
		return;
	for (struct core_group *group = dial->groups; group && !dial->over; group = group->next) {
		if (group->state == CORE_GROUP_WAITING) {
			core_group_start(group);
			if (dial->over)
				return;
		}
		if (group->state != CORE_GROUP_OVER) {
			is_busy = true;
			if (dial->strategy != PBX_DIAL_ALL)
				return;
		}
		if (dial->strategy == PBX_DIAL_FAILOVER && !core_group_may_fail_over(group, group->best.sip_code))
			break;
	}
	if (is_busy || dial->over)
		return;

	struct core_final final = dial->best;
	if (final.sip_code < 400)
		final = (struct core_final){ 480, PBX_CAUSE_NO_ANSWER, false };
	else if (final.sip_code == 401 || final.sip_code == 407)
		final.sip_code = 403; /* a challenge meant for us is no business of the caller's */
	core_dial_finish(dial, outcome_of(&final), &final, NULL);
}

void core_dial_leg_answered(struct core_leg *leg)
{
	static const struct core_final ok = { 200, PBX_CAUSE_NORMAL, true };
	struct core_dial *dial = leg->branch->group->dial;

	core_dial_finish(dial, PBX_DIALLED_ANSWERED, &ok, leg);
}

void core_dial_leg_redirected(struct core_leg *leg, const char *const *targets, uint32_t count, uint32_t reason)
{
	core_group_redirect(leg->branch, targets, count, reason);
}

void core_dial_leg_over(struct core_leg *leg)
{
	struct core_branch *branch = leg->branch;
	const struct core_final final = { leg->end_sip_code, leg->end_cause, leg->ended_by_peer };

	leg->branch = NULL;
	core_dial_drop_early(branch->group->dial, leg);
	core_group_branch_over(branch, &final);
}

static const struct core_final cancelled = { 487, PBX_CAUSE_NORMAL, false };

static struct core_dial *first_dial_of(const struct core_leg *from, const struct pbx_host *but)
{
	struct core_dial *dial = from->dials;

	while (dial && but && dial->host == but)
		dial = dial->next_of_from;
	return dial;
}

void core_dial_from_gone(struct core_leg *from, const struct pbx_host *but)
{
	struct core_dial *dial;

	while ((dial = first_dial_of(from, but)))
		core_dial_finish(dial, PBX_DIALLED_CANCELLED, &cancelled, NULL);
}

const struct core_call *core_dial_call(pbx_dial handle)
{
	const struct core_dial *dial = core_handle_find(&dial_table, handle.id);

	return dial ? dial->call : NULL;
}

int core_dial_cancel(pbx_dial handle)
{
	struct core_dial *dial = core_handle_find(&dial_table, handle.id);

	if (!dial || dial->over)
		return PBX_ENOENT;
	core_dial_finish(dial, PBX_DIALLED_CANCELLED, &cancelled, NULL);
	return PBX_OK;
}

/* ---- a claim takes the leg ---- */

static void dialled_returned(struct core_leg *from, pbx_leg transferor, const char *target)
{
	bool is_taken = from->state == PBX_LEG_ENDED || from->charge.owner || from->dials || from->bridge;
	uint32_t code = from->refused_code ? from->refused_code : is_taken ? 200 : 500;

	if (transferor.id && core_transfer_over(transferor, from, target, code))
		return;
	if (from->state == PBX_LEG_ENDED)
		return;
	if (code != 200)
		core_leg_refuse(from, code, core_cause_from_sip(code), "nobody took it");
}

void core_dial_hand_over(struct core_group *group, const struct pbx_route_answer *verdict, struct pbx_host *owner, const char *argument)
{
	struct core_dial *dial = group->dial;
	struct core_leg *from = dial->from;
	bool may = from && (dial->is_routing || (dial->flags & PBX_DIAL_CONNECT && dial->group_count == 1));

	if (!may || !verdict->dialled) {
		core_group_branchless(group, 404, PBX_CAUSE_NOT_FOUND);
		return;
	}

	pbx_leg transferor = dial->transferor;
	char target[128];
	CORE_TEXT(target, dial->target);
	CORE_TEXT(from->argument, argument);
	CORE_TEXT(from->dialled, group->text);
	if (from->call->answer_at_bridge)
		core_call_answered(from->call, from, group->text, "");
	core_dial_finish(dial, CORE_DIALLED_HANDED_OVER, &cancelled, NULL);
	core_leg_lose_controller(from);
	if (!core_leg_is_free(from)) {
		if (transferor.id)
			(void)core_transfer_over(transferor, from, target, from->state == PBX_LEG_ENDED ? 487 : 200);
		return;
	}

	from->is_offered = from->state == PBX_LEG_ANSWERED;
	from->refused_code = 0;
	from->transferor = transferor;
	CORE_INTO(owner, verdict->dialled(verdict->self, from->handle));
	from->transferor.id = 0;
	from->is_offered = false;
	dialled_returned(from, transferor, target);
}

/* ---- the beginning ---- */

static void revoke_dial(struct core_charge *charge)
{
	struct core_dial *dial = (struct core_dial *)((char *)charge - offsetof(struct core_dial, charge));

	core_charge_remove(charge);
	dial->host = NULL;
	core_dial_finish(dial, PBX_DIALLED_CANCELLED, &cancelled, NULL);
}

static void on_ring_timer(void *self, pbx_timer timer)
{
	static const struct core_final no_answer = { 480, PBX_CAUSE_NO_ANSWER, false };

	(void)timer;
	core_dial_finish(self, PBX_DIALLED_NO_ANSWER, &no_answer, NULL);
}

static void begin(void *context)
{
	struct core_dial *dial = context;

	if (dial->over)
		return;
	if (dial->ring_ms)
		(void)core_timer_start(core_self(), dial->ring_ms, 0, on_ring_timer, dial, &dial->ring);
	if (wants_ringback(dial))
		play_ringback(dial, false);
	core_dial_check(dial);
}

static bool plan_is_good(const struct pbx_dial_plan *plan)
{
	if (!plan || plan->target_count == 0 || plan->target_size == 0 || !plan->targets)
		return false;
	for (uint32_t i = 0; i < plan->target_count; i++) {
		const char *text = pbx_dial_target_at(plan->targets, plan->target_size, i).text;

		if (!text || !text[0])
			return false;
	}
	return true;
}

static void dial_fill(struct core_dial *dial, const struct core_dial_wish *wish)
{
	const struct pbx_dial_plan *plan = wish->plan;
	const struct core_leg *from = wish->from;

	dial->host = wish->host;
	dial->is_routing = wish->host == NULL;
	dial->arriving = dial->is_routing && from && from->arriving;
	dial->strategy = plan->strategy == PBX_DIAL_ORDER || plan->strategy == PBX_DIAL_FAILOVER ? plan->strategy : PBX_DIAL_ALL;
	dial->flags = plan->flags;
	dial->ring_ms = plan->ring_ms;
	CORE_TEXT(dial->caller_number, plan->caller_number ? plan->caller_number : from ? from->number : "");
	CORE_TEXT(dial->caller_name, plan->caller_name ? plan->caller_name : from ? from->name : "");
	CORE_TEXT(dial->music_class, plan->music_class);
	CORE_TEXT(dial->account, wish->account ? wish->account : from ? from->account : "");
	CORE_TEXT(dial->target, plan->targets[0].text);
	CORE_TEXT(dial->instance, wish->instance);
	dial->self = wish->self;
	dial->transferor = wish->transferor;
	if (wish->dialler)
		core_copy_overlap(&dial->dialler, sizeof dial->dialler, wish->dialler, wish->dialler->size);
}

/* A dial that nobody is behind makes a call of its own. */
static int call_for(const struct core_dial_wish *wish, struct core_call **ret_call)
{
	if (wish->from) {
		*ret_call = wish->from->call;
		return PBX_OK;
	}

	struct core_call *call;
	int err = core_call_new(NULL, &call);
	if (err != PBX_OK)
		return err == PBX_ESTATE ? PBX_ENOSPC : err;

	const char *text = wish->plan->targets[0].text;
	bool is_uri = strncasecmp(text, "sip", 3) == 0;
	CORE_TEXT(call->from_number, wish->call_from ? wish->call_from : wish->plan->caller_number);
	CORE_TEXT(call->from_name, wish->plan->caller_name);
	CORE_TEXT(call->to_number, wish->call_to ? wish->call_to : strncmp(text, "aor:", 4) == 0 ? text + 4 : text);
	CORE_TEXT(call->dialled, call->to_number);
	call->direction = is_uri ? "outbound" : "internal";
	*ret_call = call;
	return PBX_OK;
}

int core_dial_start(const struct core_dial_wish *wish, pbx_dial *ret_dial)
{
	const struct pbx_dial_plan *plan = wish->plan;

	if (!plan_is_good(plan))
		return PBX_EINVAL;

	struct core_dial *dial = calloc(1, sizeof *dial);
	if (!dial)
		return PBX_ENOMEM;
	dial->handle.id = core_handle_new(&dial_table, dial);
	int err = dial->handle.id ? call_for(wish, &dial->call) : PBX_ENOMEM;
	if (err != PBX_OK) {
		core_handle_free(&dial_table, dial->handle.id);
		free(dial);
		return err;
	}

	dial->call->dials++;
	dial_fill(dial, wish);
	for (uint32_t i = 0; i < plan->target_count; i++) {
		struct pbx_dial_target target = pbx_dial_target_at(plan->targets, plan->target_size, i);

		struct core_group *group = core_group_new(dial, target.text, target.delay_ms, target.ring_ms);

		if (group) /* those beyond the limit do not ring */
			core_group_aim(group, &target);
	}
	if (wish->host)
		core_charge_add(wish->host, &dial->charge, "dial", true, revoke_dial);
	if (wish->from) {
		dial->from = wish->from;
		dial->next_of_from = wish->from->dials;
		wish->from->dials = dial;
		wish->from->arriving = false;
	} else {
		dial->call->answer_at_bridge = wish->answer_at_bridge;
		core_event_call_started(dial->call, NULL);
	}
	core_post_node(core_self(), &dial->beginning, begin, dial);
	*ret_dial = dial->handle;
	return PBX_OK;
}

int core_leg_route(struct core_leg *leg, const char *number, pbx_leg transferor)
{
	const struct core_leg *referrer = core_leg_alive(transferor);
	struct core_leg *other = core_leg_let_go(leg);

	if (other)
		core_leg_watch(other);
	if (!core_leg_is_free(leg))
		return PBX_ENOENT;

	const struct pbx_dial_target target = { .text = number };
	const struct pbx_dial_plan plan = {
		.size = sizeof plan, .strategy = PBX_DIAL_ALL, .flags = PBX_DIAL_CONNECT | PBX_DIAL_RINGBACK, PBX_TARGETS(&target, 1)
	};
	const struct core_dial_wish wish = { .from = leg,
					     .plan = &plan,
					     .transferor = transferor,
					     .account = referrer ? referrer->account : NULL,
					     .instance = leg->instance };
	pbx_dial dial;
	CORE_TEXT(leg->dialled, number);
	if (referrer)
		CORE_TEXT(leg->referred_by, referrer->number);
	if (leg->is_caller && !leg->call->answered_at_ms)
		CORE_TEXT(leg->call->to_number, number);
	int err = core_dial_start(&wish, &dial);
	leg->instance[0] = '\0'; /* was meant for what the caller dialled; who comes next is called as a whole */
	if (err != PBX_OK)
		core_leg_watch(leg); /* whoever decided about it has let go */
	return err;
}

void core_dials_fini(void)
{
	uint32_t at = 0;
	struct core_dial *dial;

	while ((dial = core_handles_next(&dial_table, &at))) {
		if (dial->from)
			from_unlink(dial);
		dial->over = true;
		dial->from = NULL;
		for (struct core_group *group = dial->groups; group; group = group->next)
			for (struct core_branch *branch = group->branches; branch; branch = branch->next)
				if (branch->leg) {
					branch->leg->branch = NULL;
					branch->leg = NULL;
				}
		dial_free(dial);
	}
	core_handles_fini(&dial_table);
}
