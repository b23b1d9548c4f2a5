/* route.c - from a dialled number to who answers for it: the chain of hooks
 *
 * A walk carries one request along the chain: hooks by order, then by their owner's name; the claims of the number plan stand in at their
 * orders. A hook answers at once, or later within HOOK_LIMIT_MS; who is too late is passed over and named in the log. FORWARD begins again with
 * another number. The chain may change while a walk waits: a walk remembers the place, not the hook. */
#include "calls_inner.h"
#include "overlap.h"
#include <stdlib.h>

#define HOOK_LIMIT_MS 5000u

struct hook {
	struct hook *next;
	struct core_charge charge;
	uint32_t order;
	char name[64];
	uint64_t serial; /* third key: an owner's hooks keep the order in which they came */
	pbx_hook_fn fn;
	void *self;
};

struct walk {
	pbx_route_query handle;
	struct core_walk_wish wish;
	char number[128], caller[64], account[64], peer[64], forwarder[64];
	struct pbx_route_request request;
	uint32_t forwarded;
	/* the place in the chain: what was asked last */
	uint32_t order;
	char owner[64];
	uint64_t serial;
	struct pbx_host *asked; /* who answers late; NULL: nobody is awaited */
	char asked_name[64];
	uint64_t asked_at_us;
	pbx_timer limit;
};

static struct hook *chain; /* in order */
static uint64_t last_serial;
static struct core_handles walk_table;

/* ---- the chain ---- */

static int place_compare(uint32_t order, const char *owner, uint64_t serial, const struct hook *hook)
{
	if (order != hook->order)
		return order < hook->order ? -1 : 1;

	int names = strcmp(owner, core_owner_name(hook->charge.owner));
	if (names != 0)
		return names;
	return serial < hook->serial ? -1 : serial > hook->serial;
}

static void revoke_hook(struct core_charge *charge)
{
	struct hook *hook = (struct hook *)((char *)charge - offsetof(struct hook, charge));
	struct hook **at = &chain;

	core_charge_remove(charge);
	while (*at != hook)
		at = &(*at)->next;
	*at = hook->next;
	free(hook);
}

static int hook_add(struct pbx_host *host, uint32_t order, const char *name, pbx_hook_fn fn, void *self)
{
	if (!fn || !name || order == 0)
		return PBX_EINVAL;

	struct hook *hook = calloc(1, sizeof *hook);
	if (!hook)
		return PBX_ENOMEM;
	hook->order = order;
	hook->serial = ++last_serial;
	hook->fn = fn;
	hook->self = self;
	CORE_TEXT(hook->name, name);
	core_charge_add(host, &hook->charge, "route hook", false, revoke_hook);

	struct hook **at = &chain;
	while (*at && place_compare(order, core_owner_name(host), hook->serial, *at) > 0)
		at = &(*at)->next;
	hook->next = *at;
	*at = hook;
	return PBX_OK;
}

void core_route_each(void (*each)(void *context, const struct core_plan_row *row), void *context)
{
	for (const struct hook *hook = chain; hook; hook = hook->next)
		each(context, &(struct core_plan_row){ "hook", core_owner_name(hook->charge.owner), hook->name, "", hook->order });
}

/* ---- a walk ---- */

static void step(const struct walk *walk, uint32_t order, const char *owner, const char *hook, uint32_t verdict, const char *text)
{
	const struct pbx_route_step said = { .size = sizeof said,
					     .order = order,
					     .owner = owner,
					     .hook = hook,
					     .verdict = verdict,
					     .text = text ? text : "",
					     .took_us = core_now_us() - walk->asked_at_us };

	if (walk->wish.step)
		walk->wish.step(walk->wish.context, &said);
}

static void walk_free(struct walk *walk)
{
	(void)core_timer_stop(walk->limit);
	walk->limit = (pbx_timer){ 0 };
	core_handle_free(&walk_table, walk->handle.id);
	free(walk);
}

/* Visual separators (RFC 3966) are no part of a number, but a name keeps its dots and dashes. */
static void number_copy(char *to, size_t size, const char *from)
{
	bool is_number = from[0] && from[strspn(from, "0123456789*#+-.() ")] == '\0';
	size_t length = 0;

	for (; *from && length < size - 1; from++)
		if (!is_number || !strchr("-.() ", *from))
			to[length++] = *from;
	to[length] = '\0';
}

static void walk_rewind(struct walk *walk)
{
	walk->order = 0;
	walk->owner[0] = '\0';
	walk->serial = 0;
}

static void walk_over(struct walk *walk, const struct pbx_route_answer *verdict, struct pbx_host *owner, const char *argument)
{
	struct core_walk_wish wish = walk->wish;
	char kept[64];

	CORE_TEXT(kept, argument ? argument : "");
	walk_free(walk);
	wish.done(wish.context, verdict, owner, kept);
}

static void walk_refuse(struct walk *walk, uint32_t sip_code, const char *text)
{
	const struct pbx_route_answer verdict = { .size = sizeof verdict, .verdict = PBX_ROUTE_REJECT, .sip_code = sip_code, .text = text };

	walk->asked_at_us = core_now_us();
	step(walk, PBX_ORDER_LAST, "core", "last", PBX_ROUTE_REJECT, text);
	walk_over(walk, &verdict, core_self(), NULL);
}

/* What explain says when the hook says nothing itself. */
static const char *in_words(const struct pbx_route_answer *verdict, char *text, size_t size)
{
	static const char *const reasons[] = { "", "unconditional", "busy", "no answer", "offline", "do not disturb" };
	size_t at = 0;

	if (verdict->text && verdict->text[0])
		return verdict->text;
	text[0] = '\0';
	switch (verdict->verdict) {
	case PBX_ROUTE_TARGETS:
		for (uint32_t i = 0; i < verdict->target_count && at < size; i++)
			at += (size_t)snprintf(text + at, size - at, "%s%s", i ? ", " : "ring ",
					       pbx_dial_target_at(verdict->targets, verdict->target_size, i).text);
		if (verdict->ring_ms && at < size)
			at += (size_t)snprintf(text + at, size - at, " for %u s", verdict->ring_ms / 1000);
		if (verdict->busy_to && at < size)
			at += (size_t)snprintf(text + at, size - at, "; busy: %s", verdict->busy_to);
		if (verdict->no_answer_to && at < size)
			at += (size_t)snprintf(text + at, size - at, "; no answer: %s", verdict->no_answer_to);
		if (verdict->offline_to && at < size)
			(void)snprintf(text + at, size - at, "; offline: %s", verdict->offline_to);
		break;
	case PBX_ROUTE_FORWARD:
		(void)snprintf(text, size, "forward to %s%s%s", verdict->to, verdict->reason ? ": " : "",
			       verdict->reason < sizeof reasons / sizeof reasons[0] ? reasons[verdict->reason] : "");
		break;
	case PBX_ROUTE_RENUMBER:
		(void)snprintf(text, size, "is %s here", verdict->to);
		break;
	case PBX_ROUTE_REJECT:
		(void)snprintf(text, size, "refuse with %u", verdict->sip_code);
		break;
	default:
		break;
	}
	return text;
}

/* true: the walk goes on; false: it is over and gone. */
static bool take_verdict(struct walk *walk, const struct pbx_route_answer *given, struct pbx_host *owner, const char *hook)
{
	struct pbx_route_answer verdict = { 0 };
	char text[256];

	core_copy_overlap(&verdict, sizeof verdict, given, given->size ? given->size : sizeof verdict);
	bool needs_number = verdict.verdict == PBX_ROUTE_FORWARD || verdict.verdict == PBX_ROUTE_RENUMBER;
	bool needs_size = verdict.verdict == PBX_ROUTE_TARGETS && verdict.target_count > 0;
	if ((needs_number && (!verdict.to || !verdict.to[0])) || (needs_size && !verdict.target_size)) {
		core_log(PBX_LOG_ERROR, core_owner_name(owner), NULL, "answer_incomplete", "hook=%s lacks=%s", hook,
			 needs_size ? "target_size" : "to");
		verdict.verdict = PBX_ROUTE_PASS; /* an answer that lacks that is none */
	}
	step(walk, walk->order, core_owner_name(owner), hook, verdict.verdict,
	     walk->wish.step ? in_words(&verdict, text, sizeof text) : NULL);
	if (verdict.verdict == PBX_ROUTE_PASS)
		return true;
	if (verdict.verdict == PBX_ROUTE_RENUMBER) {
		number_copy(walk->number, sizeof walk->number, verdict.to);
		return true;
	}
	if (verdict.verdict != PBX_ROUTE_FORWARD) {
		walk_over(walk, &verdict, owner, NULL);
		return false;
	}
	if (walk->forwarded >= CORE_MOST_FORWARDS) {
		walk_refuse(walk, 482, "forwarded too often");
		return false;
	}

	char from[128];
	CORE_TEXT(from, walk->number);
	number_copy(walk->number, sizeof walk->number, verdict.to);
	walk->request.forwarded = ++walk->forwarded;
	walk->request.arriving = false;
	CORE_TEXT(walk->forwarder, from);
	walk_rewind(walk);
	if (walk->wish.forward)
		walk->wish.forward(walk->wish.context, from, walk->number, verdict.reason);
	return true;
}

/* An upgraded plugin's new instance has put the same hook beside this one: the old one is asked no more. */
static bool is_succeeded(const struct hook *hook)
{
	for (const struct hook *other = hook->next; other && other->order == hook->order; other = other->next)
		if (other->charge.owner != hook->charge.owner && strcmp(other->name, hook->name) == 0 &&
		    strcmp(core_owner_name(other->charge.owner), core_owner_name(hook->charge.owner)) == 0)
			return true;
	return false;
}

static const struct hook *next_hook(const struct walk *walk)
{
	const struct hook *hook = chain;

	while (hook && (place_compare(walk->order, walk->owner, walk->serial, hook) >= 0 || is_succeeded(hook)))
		hook = hook->next;
	return hook;
}

/* The claims of an order come before its hooks. true: somebody has claimed the number, and the walk is over. */
static bool ask_plan(struct walk *walk, uint32_t upto)
{
	static const uint32_t orders[] = { PBX_ORDER_CODES, PBX_ORDER_FEATURES };

	for (size_t i = 0; i < 2; i++) {
		struct core_claim_match match;

		if (walk->order >= orders[i] || orders[i] > upto)
			continue;
		walk->order = orders[i];
		walk->owner[0] = '\0';
		walk->serial = 0;
		walk->asked_at_us = core_now_us();
		if (!core_plan_match(walk->number, orders[i], &match))
			continue;

		const struct pbx_route_answer verdict = {
			.size = sizeof verdict, .verdict = PBX_ROUTE_CONTROL, .dialled = match.dialled, .self = match.self
		};
		step(walk, orders[i], core_owner_name(match.owner), match.pattern, PBX_ROUTE_CONTROL, match.help);
		walk_over(walk, &verdict, match.owner, match.argument);
		return true;
	}
	return false;
}

static void walk_on(struct walk *walk);

static void on_hook_limit(void *self, pbx_timer timer)
{
	struct walk *walk = self;

	(void)timer;
	walk->limit = (pbx_timer){ 0 };
	core_log(PBX_LOG_WARN, core_owner_name(walk->asked), NULL, "hook_too_late", "hook=%s limit_ms=%u", walk->asked_name, HOOK_LIMIT_MS);
	step(walk, walk->order, core_owner_name(walk->asked), walk->asked_name, PBX_ROUTE_PASS, "no answer in time");
	walk->asked = NULL;
	walk_on(walk);
}

static void walk_on(struct walk *walk)
{
	pbx_route_query query = walk->handle;

	for (;;) {
		const struct hook *hook = next_hook(walk);
		struct pbx_route_answer answer = { .size = sizeof answer, .verdict = PBX_ROUTE_PASS };

		if (ask_plan(walk, hook ? hook->order : PBX_ORDER_LAST))
			return;
		if (!hook) {
			walk_refuse(walk, 404, "nobody has this number");
			return;
		}

		struct pbx_host *owner = hook->charge.owner;
		uint64_t serial = hook->serial;
		walk->order = hook->order;
		walk->serial = hook->serial;
		CORE_TEXT(walk->owner, core_owner_name(owner));
		CORE_TEXT(walk->asked_name, hook->name);
		walk->asked = owner;
		walk->asked_at_us = core_now_us();
		core_enter(owner);
		int result = hook->fn(hook->self, query, &walk->request, &answer);
		core_leave();

		if (core_handle_find(&walk_table, query.id) != walk)
			return; /* the hook ended the leg, and with it this walk */
		if (result == PBX_ELATER) {
			if (walk->asked && walk->serial == serial && !walk->limit.id) /* else it has answered meanwhile */
				(void)core_timer_start(core_self(), HOOK_LIMIT_MS, 0, on_hook_limit, walk, &walk->limit);
			return;
		}
		walk->asked = NULL;
		if (result != PBX_OK)
			answer = (struct pbx_route_answer){ .size = sizeof answer, .verdict = PBX_ROUTE_PASS, .text = "failed" };
		if (!take_verdict(walk, &answer, owner, walk->asked_name))
			return;
	}
}

int core_walk_start(const struct core_walk_wish *wish, pbx_route_query *ret_query)
{
	struct walk *walk = calloc(1, sizeof *walk);

	if (!walk)
		return PBX_ENOMEM;
	walk->handle.id = core_handle_new(&walk_table, walk);
	if (!walk->handle.id) {
		free(walk);
		return PBX_ENOMEM;
	}
	walk->wish = *wish;
	walk->forwarded = wish->forwarded;
	number_copy(walk->number, sizeof walk->number, wish->number);
	CORE_TEXT(walk->caller, wish->caller);
	CORE_TEXT(walk->account, wish->account);
	CORE_TEXT(walk->peer, wish->peer);
	CORE_TEXT(walk->forwarder, wish->forwarder);
	walk->request = (struct pbx_route_request){ .size = sizeof walk->request,
						    .leg = wish->leg,
						    .number = walk->number,
						    .caller = walk->caller,
						    .account = walk->account,
						    .wall_us = wish->wall_us,
						    .explaining = wish->explaining,
						    .forwarded = wish->forwarded,
						    .arriving = wish->arriving,
						    .peer = walk->peer,
						    .forwarder = walk->forwarder };
	*ret_query = walk->handle;
	if (walk->forwarded > CORE_MOST_FORWARDS)
		walk_refuse(walk, 482, "forwarded too often");
	else
		walk_on(walk);
	return PBX_OK;
}

void core_walk_cancel(pbx_route_query query)
{
	struct walk *walk = core_handle_find(&walk_table, query.id);

	if (walk)
		walk_free(walk);
}

static int answer_late(pbx_route_query query, const struct pbx_route_answer *answer)
{
	struct walk *walk = core_handle_find(&walk_table, query.id);

	if (!walk || !walk->asked)
		return PBX_ENOENT;

	struct pbx_host *owner = walk->asked;
	walk->asked = NULL;
	(void)core_timer_stop(walk->limit);
	walk->limit = (pbx_timer){ 0 };
	if (take_verdict(walk, answer, owner, walk->asked_name))
		walk_on(walk);
	return PBX_OK;
}

/* ---- explain ---- */

struct explaining {
	void (*step)(void *self, const struct pbx_route_step *step);
	void (*done)(void *self, const struct pbx_route_answer *verdict);
	void *self;
	struct pbx_host *host;
	struct core_charge charge;
	pbx_route_query query;
};

static void explain_step(void *context, const struct pbx_route_step *said)
{
	const struct explaining *explaining = context;

	if (explaining->step)
		CORE_INTO(explaining->host, explaining->step(explaining->self, said));
}

static void explain_done(void *context, const struct pbx_route_answer *verdict, struct pbx_host *owner, const char *argument)
{
	struct explaining *explaining = context;

	(void)owner;
	(void)argument;
	CORE_INTO(explaining->host, explaining->done(explaining->self, verdict));
	core_charge_remove(&explaining->charge);
	free(explaining);
}

static void revoke_explaining(struct core_charge *charge)
{
	struct explaining *explaining = (struct explaining *)((char *)charge - offsetof(struct explaining, charge));

	core_walk_cancel(explaining->query);
	core_charge_remove(charge);
	free(explaining);
}

static int explain(struct pbx_host *host, const struct pbx_route_request *request,
		   void (*say)(void *self, const struct pbx_route_step *step),
		   void (*done)(void *self, const struct pbx_route_answer *verdict), void *self)
{
	struct explaining *explaining = calloc(1, sizeof *explaining);
	bool knows_peer = request->size >= offsetof(struct pbx_route_request, forwarder) + sizeof request->forwarder;

	if (!explaining)
		return PBX_ENOMEM;
	*explaining = (struct explaining){ .step = say, .done = done, .self = self, .host = host };
	core_charge_add(host, &explaining->charge, "route explanation", false, revoke_explaining);

	const struct core_walk_wish wish = { .number = request->number,
					     .caller = request->caller,
					     .account = request->account,
					     .arriving = knows_peer && request->peer && request->peer[0],
					     .peer = knows_peer ? request->peer : "",
					     .forwarder = knows_peer ? request->forwarder : "",
					     .wall_us = request->wall_us ? request->wall_us : core_wall_us(),
					     .explaining = true,
					     .forwarded = request->forwarded,
					     .step = explain_step,
					     .done = explain_done,
					     .context = explaining };
	int err = core_walk_start(&wish, &explaining->query);
	if (err != PBX_OK) {
		core_charge_remove(&explaining->charge);
		free(explaining);
	}
	return err;
}

/* ---- wiring ---- */

void core_route_init(void)
{
	core_handles_init(&walk_table, 'Q');
}

void core_route_fini(void)
{
	uint32_t at = 0;
	struct walk *walk;

	while (chain)
		revoke_hook(&chain->charge);
	while ((walk = core_handles_next(&walk_table, &at)))
		if (walk->wish.explaining)
			walk_refuse(walk, 503, "stopping"); /* somebody waits for it */
		else
			walk_free(walk);
	core_handles_fini(&walk_table);
}

const struct pbx_routing core_route_service = {
	.header = PBX_HEADER(struct pbx_routing),
	.claim = core_plan_claim,
	.unclaim = core_plan_unclaim,
	.reserve = core_plan_reserve,
	.unreserve = core_plan_unreserve,
	.owner = core_plan_owner,
	.hook = hook_add,
	.answer = answer_late,
	.explain = explain,
};
