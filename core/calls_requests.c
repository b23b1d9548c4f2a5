/* calls_requests.c - calls as people ask for them: pbxctl's `calls …` and REST's /calls
 *
 * A user sees, and may act on, the calls their own account is in; whoever else asks for one is told that it does not exist. */
#include "calls_part.h"
#include "json.h"
#include "request.h"
#include "dial_inner.h"

static const struct pbx_jsons *const json = &core_json_service;
static const struct pbx_requests *const requests = &core_requests_service;

/* ---- whose call ---- */

static struct core_call *call_by_id(const char *id)
{
	uint32_t at = 0;
	struct core_call *call;

	while ((call = core_handles_next(core_calls_table(), &at)))
		if (strcmp(call->id, id) == 0)
			return call;
	return NULL;
}

static bool is_in(const struct core_call *call, const char *account)
{
	if (!account[0] || strcmp(call->from_account, account) == 0)
		return true;
	for (const struct core_leg *leg = call->legs; leg; leg = leg->next)
		if (strcmp(leg->account, account) == 0)
			return true;
	return false;
}

/* The call that an argument of a request names, or NULL after refusing it. */
static struct core_call *call_named(pbx_request request, const char *name)
{
	const char *id = requests->text(request, name);
	char call_id[CORE_ULID_SIZE];
	struct core_call *call = id ? call_by_id(core_ulid_of(id, call_id)) : NULL;

	if (call && is_in(call, requests->own_account(request)))
		return call;
	(void)requests->fail(request, 404, "no_such_call", name, "there is no call %s under way; `calls show` knows those that are over",
			     id ? id : "");
	return NULL;
}

struct core_call *core_calls_asked(pbx_request request)
{
	return call_named(request, "id");
}

/* ---- looking ---- */

static struct pbx_json *visible_calls(pbx_request request)
{
	struct pbx_json *all = core_calls_list(), *list = json->new_array();
	const char *account = requests->own_account(request);

	for (uint32_t i = 0; list && i < json->count(all); i++) {
		const struct pbx_json *item = json->at(all, i);
		const struct core_call *call = call_by_id(json->text(json->get(item, "call_id")));

		if (call && is_in(call, account))
			(void)json->append(list, json->copy(item));
	}
	json->free(all);
	return list;
}

static void list_command(void *self, pbx_request request)
{
	(void)self;
	(void)requests->reply(request, 200, visible_calls(request));
}

static void list_route(void *self, pbx_request request)
{
	struct pbx_json *object = json->new_object();

	(void)self;
	if (object)
		(void)json->set(object, "items", visible_calls(request));
	(void)requests->reply(request, 200, object);
}

static void show(void *self, pbx_request request)
{
	const struct core_call *call = core_calls_asked(request);

	(void)self;
	if (call)
		(void)requests->reply(request, 200, core_calls_show(call->id));
}

/* ---- acting ---- */

static void hang_up(void *self, pbx_request request)
{
	const struct core_call *call = core_calls_asked(request);

	(void)self;
	if (!call)
		return;

	struct pbx_json *object = json->new_object();
	if (object)
		(void)json->set_text(object, "call_id", call->id);
	(void)core_call_hangup(call->id, PBX_CAUSE_NORMAL);
	(void)requests->reply(request, 200, object);
}

/* The leg that rings and is named, else the asker's own, else the only one. */
static struct core_leg *ringing_asked(pbx_request request, const struct core_call *call)
{
	const char *leg_id = requests->text(request, "leg_id"), *account = requests->own_account(request);
	struct core_leg *found = NULL;

	for (struct core_leg *leg = call->legs; leg; leg = leg->next) {
		if (leg->is_caller || leg->state != PBX_LEG_RINGING || (leg_id && strcmp(leg->id, leg_id) != 0) ||
		    (account[0] && strcmp(leg->account, account) != 0))
			continue;
		if (found)
			return NULL;
		found = leg;
	}
	return found;
}

static void answer(void *self, pbx_request request)
{
	const struct core_call *call = core_calls_asked(request);
	const struct core_leg *leg = call ? ringing_asked(request, call) : NULL;

	(void)self;
	if (!call)
		return;
	if (!leg) {
		(void)requests->fail(request, 409, "does_not_ring", "leg_id", "no phone, or more than one, rings here: name its leg");
		return;
	}
	int err = leg->driver->talk ? leg->driver->talk(leg->dialog) : PBX_ENOTSUP;
	if (err != PBX_OK) {
		(void)requests->fail(request, 409, err == PBX_ENOTSUP ? "phone_cannot" : "does_not_ring", NULL,
				     err == PBX_ENOTSUP ? "this phone does not say that it answers when asked (Allow-Events: talk)"
							: "the phone does not ring any more");
		return;
	}
	(void)requests->reply(request, 202, core_calls_show(call->id));
}

/* Who holds or transfers: the leg that is named, else the asker's own, else the caller. */
static struct core_leg *party_asked(pbx_request request, const struct core_call *call)
{
	const char *leg_id = requests->text(request, "leg_id"), *account = requests->own_account(request);
	struct core_leg *fallback = NULL;

	for (struct core_leg *leg = call->legs; leg; leg = leg->next) {
		bool is_own = !account[0] || strcmp(leg->account, account) == 0;

		if (leg->state != PBX_LEG_ANSWERED || !is_own)
			continue;
		if (leg_id ? strcmp(leg->id, leg_id) == 0 : leg->is_caller)
			return leg;
		if (!leg_id && !fallback)
			fallback = leg;
	}
	return fallback;
}

struct core_leg *core_calls_party_asked(pbx_request request)
{
	const struct core_call *call = core_calls_asked(request);
	struct core_leg *leg = call ? party_asked(request, call) : NULL;

	if (call && !leg)
		(void)requests->fail(request, 409, "not_answered", "leg_id", "nobody of this call has answered under that id");
	return leg;
}

static void hold_or_resume(pbx_request request, bool on)
{
	const struct core_call *call = core_calls_asked(request);

	if (!call)
		return;

	const struct core_leg *leg = party_asked(request, call);
	int err = leg ? core_calls_service.hold(leg->handle, on) : PBX_ENOENT;
	if (err != PBX_OK) {
		(void)requests->fail(request, 409, "not_answered", leg ? NULL : "leg_id", "nobody in this call can %s it now",
				     on ? "hold" : "resume");
		return;
	}

	struct pbx_json *object = json->new_object();
	if (object) {
		(void)json->set_text(object, "call_id", call->id);
		(void)json->set_text(object, "leg_id", leg->id);
		(void)json->set_boolean(object, "on_hold", on);
	}
	(void)requests->reply(request, 200, object);
}

static void hold(void *self, pbx_request request)
{
	(void)self;
	hold_or_resume(request, true);
}

static void resume(void *self, pbx_request request)
{
	(void)self;
	hold_or_resume(request, false);
}

static void send_digits(void *self, pbx_request request)
{
	const struct core_call *call = core_calls_asked(request);
	const char *digits = requests->text(request, "digits");
	struct core_leg *leg = call ? party_asked(request, call) : NULL;

	(void)self;
	if (!call)
		return;
	if (digits[strspn(digits, "0123456789*#ABCD")] != '\0') {
		(void)requests->fail(request, 422, "no_keys", "digits", "keys are 0 to 9, *, #, A to D");
		return;
	}
	int err = leg ? core_leg_send_digits(leg, digits, (uint32_t)requests->integer(request, "duration_ms", CORE_KEY_MS)) : PBX_ENOENT;

	if (err == PBX_OK)
		(void)requests->reply(request, 202, core_calls_show(call->id));
	else
		(void)requests->fail(request, 409, "not_sent", leg ? "digits" : "leg_id",
				     leg ? "this party takes no keys now, or too many wait already"
					 : "nobody of this call has answered under that id");
}

/* ---- transfer: as though the party's phone had asked for it (REFER) ---- */

/* The same party in another call. */
static const struct core_leg *other_leg_of(const struct core_leg *leg, const struct core_call *call)
{
	for (const struct core_leg *other = call->legs; other; other = other->next)
		if (other != leg && other->state == PBX_LEG_ANSWERED &&
		    strcmp(other->account[0] ? other->account : other->number, leg->account[0] ? leg->account : leg->number) == 0)
			return other;
	return NULL;
}

static bool is_number(const char *text)
{
	return text && text[0] && text[strspn(text, "0123456789*#+")] == '\0';
}

static void transfer(void *self, pbx_request request)
{
	const char *to = requests->text(request, "to"), *with = requests->text(request, "with");
	const struct core_call *call = core_calls_asked(request), *other = call && with ? call_named(request, "with") : NULL;

	(void)self;
	if (!call || (with && !other))
		return;
	if (!with == !to || (to && !is_number(to))) {
		(void)requests->fail(request, 422, "where_to", to ? "to" : "with",
				     "either `to`, a number, or `with`, the other call of who transfers");
		return;
	}

	const struct core_leg *leg = party_asked(request, call), *second = leg && other ? other_leg_of(leg, other) : NULL;
	int err = leg && !leg->referring && (second || !other)
			  ? core_leg_on_transfer(leg->handle, to ? to : "", second ? second->handle : (pbx_leg){ 0 })
			  : PBX_ESTATE;
	if (err != PBX_OK) {
		(void)requests->fail(request, 409, "cannot_transfer",
				     other && leg && !second ? "with"
				     : leg                   ? NULL
							     : "leg_id",
				     "nobody in this call can transfer it now: who transfers must be talking, %s",
				     other ? "in both calls" : "and not wait for another transfer");
		return;
	}
	(void)requests->reply(request, 202, core_calls_show(call->id));
}

/* ---- click to call: the first phone has answered, now it calls ---- */

static void on_first_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct core_leg *leg = core_leg_alive(result->winner);

	(void)self;
	(void)dial;
	if (leg && core_leg_route(leg, leg->call->to_number, (pbx_leg){ 0 }) != PBX_OK)
		core_leg_end(leg, 0, PBX_CAUSE_FAILURE, false, "cannot route");
}

static const struct pbx_dialler click_dialler = { .size = sizeof click_dialler, .done = on_first_done };

static void originate(void *self, pbx_request request)
{
	const char *from = requests->text(request, "from"), *to = requests->text(request, "to"), *account = requests->own_account(request);

	(void)self;
	if (!is_number(from) || !is_number(to)) {
		(void)requests->fail(request, 422, "not_a_number", is_number(from) ? "to" : "from", "digits, *, # and + make a number");
		return;
	}
	if (account[0] && strcmp(account, from) != 0) {
		(void)requests->fail(request, 403, "not_yours", "from", "you may call from %s", account);
		return;
	}

	const struct pbx_dial_target target = { .text = from };
	const struct pbx_dial_plan plan = { .size = sizeof plan,
					    .strategy = PBX_DIAL_ALL,
					    .flags = PBX_DIAL_NO_FORWARD,
					    PBX_TARGETS(&target, 1),
					    .ring_ms = (uint32_t)requests->integer(request, "ring_s", 30) * 1000u,
					    .caller_number = to };
	const struct core_dial_wish wish = { .host = core_calls_host(),
					     .plan = &plan,
					     .dialler = &click_dialler,
					     .answer_at_bridge = true,
					     .call_from = from,
					     .call_to = to,
					     .account = from };
	pbx_dial dial;
	int err = core_dial_start(&wish, &dial);
	if (err != PBX_OK) {
		(void)requests->fail(request, 503, "no_capacity", NULL, "there is no room for another call");
		return;
	}

	const struct core_call *call = core_dial_call(dial);
	struct pbx_json *object = core_calls_show(call->id);
	char location[64];
	(void)snprintf(location, sizeof location, "/calls/%s", call->id);
	(void)requests->created(request, location, object);
}

/* ---- pick-up from a desktop: the phone of who asks rings, and when it answers takes the call ---- */

static void on_taker_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct core_leg *taker = core_leg_alive(result->winner);
	const struct core_leg *ringing = core_leg_alive((pbx_leg){ (uint64_t)(uintptr_t)self });

	(void)dial;
	if (taker && (!ringing || core_leg_pick_up(taker, ringing) != PBX_OK))
		core_leg_end(taker, 0, PBX_CAUSE_ANSWERED_ELSEWHERE, false, "nothing rings any more");
}

static const struct pbx_dialler taker_dialler = { .size = sizeof taker_dialler, .done = on_taker_done };

/* A leg of the call that rings, at a phone whose calls the account may take; NULL. */
static const struct core_leg *takeable(const struct core_call *call, const char *account)
{
	for (const struct core_leg *leg = call ? call->legs : NULL; leg; leg = leg->next)
		if (leg->branch && leg->state < PBX_LEG_ANSWERED && leg->branch->group->dial->from &&
		    (!account[0] || strcmp(leg->number, account) == 0 || core_accounts_share_group(account, leg->number)))
			return leg;
	return NULL;
}

static void pick_up(void *self, pbx_request request)
{
	const char *id = requests->text(request, "id"), *number = requests->text(request, "number");
	const char *account = requests->own_account(request);
	const struct core_leg *ringing = takeable(call_by_id(id), account);

	(void)self;
	if (!is_number(number)) {
		(void)requests->fail(request, 422, "not_a_number", "number", "digits, *, # and + make a number");
		return;
	}
	if (account[0] && strcmp(account, number) != 0) {
		(void)requests->fail(request, 403, "not_yours", "number", "you may pick up with %s", account);
		return;
	}
	if (!ringing) {
		(void)requests->fail(request, 404, "does_not_ring", "id", "there is no call %s that rings where you may take it", id);
		return;
	}

	const char *caller = ringing->branch->group->dial->from->number;
	const struct pbx_dial_target target = { .text = number };
	const struct pbx_dial_plan plan = { .size = sizeof plan,
					    .strategy = PBX_DIAL_ALL,
					    .flags = PBX_DIAL_NO_FORWARD,
					    PBX_TARGETS(&target, 1),
					    .caller_number = caller,
					    .caller_name = ringing->branch->group->dial->from->name };
	const struct core_dial_wish wish = { .host = core_calls_host(),
					     .plan = &plan,
					     .dialler = &taker_dialler,
					     .self = (void *)(uintptr_t)ringing->handle.id,
					     .answer_at_bridge = true,
					     .call_from = number,
					     .call_to = caller,
					     .account = number };
	pbx_dial dial;
	if (core_dial_start(&wish, &dial) != PBX_OK) {
		(void)requests->fail(request, 503, "no_capacity", NULL, "there is no room for another call");
		return;
	}
	(void)requests->reply(request, 202, core_calls_show(core_dial_call(dial)->id));
}

/* ---- tables ---- */

#define ARGS(...) PBX_TABLE(((const struct pbx_arg[]){ __VA_ARGS__ }))
#define REPLY(...) PBX_TABLE(((const struct pbx_field[]){ __VA_ARGS__ }))
#define ID                                                                                                                                 \
	{                                                                                                                                  \
		.name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "The call's id, or that of a leg of it",           \
		.completes = "call"                                                                                                        \
	}
#define LEG                                                                                                                                \
	{                                                                                                                                  \
		.name = "leg_id", .type = PBX_TYPE_TEXT, .help = "The leg that holds; your own, or the caller's, when not given"           \
	}
#define RINGING_LEG                                                                                                                        \
	{                                                                                                                                  \
		.name = "leg_id", .type = PBX_TYPE_TEXT, .help = "The leg that rings; your own, or the only one, when not given"           \
	}
#define KEYS                                                                                                                               \
	ARGS(ID,                                                                                                                           \
	     { .name = "digits",                                                                                                           \
	       .type = PBX_TYPE_TEXT,                                                                                                      \
	       .flags = PBX_ARG_REQUIRED,                                                                                                  \
	       .least = 1,                                                                                                                 \
	       .most = 32,                                                                                                                 \
	       .help = "Keys, one after the other" },                                                                                      \
	     { .name = "leg_id", .type = PBX_TYPE_TEXT, .help = "Who hears them; your own leg, or the caller's, when not given" },         \
	     { .name = "duration_ms", .type = PBX_TYPE_INT, .least = 70, .most = 5000, .help = "How long each is pressed" })
#define HEARER(where)                                                                                                                      \
	{                                                                                                                                  \
		.name = "leg_id", .type = PBX_TYPE_TEXT, .flags = (where),                                                                 \
		.help = "Who hears it; your own leg, or the caller's, when not given"                                                      \
	}
#define STEERING                                                                                                                           \
	ARGS(ID, HEARER(0),                                                                                                                \
	     { .name = "action",                                                                                                           \
	       .type = PBX_TYPE_CHOICE,                                                                                                    \
	       .choices = PBX_CHOICES("pause", "resume"),                                                                                  \
	       .help = "Silence, or on from there" },                                                                                      \
	     { .name = "seek_ms",                                                                                                          \
	       .type = PBX_TYPE_INT,                                                                                                       \
	       .least = -86400000,                                                                                                         \
	       .most = 86400000,                                                                                                           \
	       .help = "So far on, or back when negative; beyond the end it is over" },                                                    \
	     { .name = "gain_db",                                                                                                          \
	       .type = PBX_TYPE_INT,                                                                                                       \
	       .least = -40,                                                                                                               \
	       .most = 20,                                                                                                                 \
	       .help = "Louder or softer than it is by itself, until it is over" })
#define TRANSFER                                                                                                                           \
	ARGS(ID, { .name = "to", .type = PBX_TYPE_TEXT, .help = "The number that the other party goes to (blind)" },                       \
	     { .name = "with", .type = PBX_TYPE_TEXT, .help = "Another call of who transfers: the others of both meet (attended)" },       \
	     { .name = "leg_id", .type = PBX_TYPE_TEXT, .help = "Who transfers; your own leg, or the caller's, when not given" })
#define PICKER                                                                                                                             \
	{                                                                                                                                  \
		.name = "number", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Takes the call", .completes = "extension"     \
	}
#define CHANGE(how)                                                                                                                        \
	ARGS(ID, { .name = "fields",                                                                                                       \
		   .type = PBX_TYPE_OBJECT,                                                                                                \
		   .flags = PBX_ARG_REQUIRED | (how),                                                                                      \
		   .help = "Names and texts: case=4711 sets one, case= takes it away (in JSON: null)" })
#define TOLD(how)                                                                                                                          \
	ARGS(ID,                                                                                                                           \
	     { .name = "name",                                                                                                             \
	       .type = PBX_TYPE_TEXT,                                                                                                      \
	       .flags = PBX_ARG_REQUIRED,                                                                                                  \
	       .least = 1,                                                                                                                 \
	       .most = PBX_MOST_TOLD_NAME,                                                                                                 \
	       .help = "Yours, as survey.done" },                                                                                          \
	     { .name = "data", .type = PBX_TYPE_OBJECT, .flags = (how), .help = "What there is to say: score=5, or a JSON object" })
#define HELD                                                                                                                               \
	REPLY({ "call_id", PBX_TYPE_TEXT, "The call" }, { "leg_id", PBX_TYPE_TEXT, "Who holds" }, { "on_hold", PBX_TYPE_BOOL, "Held now" })
#define PLAYBACK                                                                                                                           \
	REPLY({ "call_id", PBX_TYPE_TEXT, "The call" }, { "leg_id", PBX_TYPE_TEXT, "Who hears it" },                                       \
	      { "position_ms", PBX_TYPE_INT, "How far it has come" },                                                                      \
	      { "length_ms", PBX_TYPE_INT, "In all; not there while it is still being read" }, { "paused", PBX_TYPE_BOOL, "Silent now" },  \
	      { "gain_db", PBX_TYPE_NUMBER, "Louder or softer than by itself" })
#define CALL                                                                                                                               \
	REPLY({ "call_id", PBX_TYPE_TEXT, "ULID" }, { "linked_id", PBX_TYPE_TEXT, "Shared by calls that have met" },                       \
	      { "state", PBX_TYPE_TEXT, "new, ringing, answered" }, { "direction", PBX_TYPE_TEXT, "internal, inbound, outbound" },         \
	      { "from", PBX_TYPE_TEXT, "Caller's number" }, { "to", PBX_TYPE_TEXT, "Called number" },                                      \
	      { "since", PBX_TYPE_TIME, "Its beginning" }, { "duration_ms", PBX_TYPE_INT, "So far" },                                      \
	      { "fields", PBX_TYPE_OBJECT, "What others have noted for its record" }, { "legs", PBX_TYPE_OBJECTS, "Its parties" })

const struct pbx_route core_calls_routes[] = {
	{ "GET", "/calls", list_route, "calls:read", "Calls under way", 0, { NULL, 0, 0 }, CALL },
	{ "GET", "/calls/{id}", show, "calls:read", "One call with its legs", 0, ARGS(ID), CALL },
	{ "PATCH", "/calls/{id}", core_calls_change, "calls:write",
	  "Fields of your own, which end in the call's record: texts by name, null takes one away; up to 16 of 255 bytes", PBX_ROUTE_WRITES,
	  CHANGE(0), CALL },
	{ "POST", "/calls/{id}/events", core_calls_on_told, "calls:write",
	  "Write an event of your own into the call's history: call.user_event, for its record and for whoever follows events",
	  PBX_ROUTE_WRITES, TOLD(0),
	  REPLY({ "call_id", PBX_TYPE_TEXT, "The call" }, { "name", PBX_TYPE_TEXT, "As given" }, { "data", PBX_TYPE_OBJECT, "As given" }) },
	{ "POST", "/calls/{id}:hangup", hang_up, "calls:write", "End a call", PBX_ROUTE_WRITES, ARGS(ID),
	  REPLY({ "call_id", PBX_TYPE_TEXT, "The call" }) },
	{ "POST", "/calls/{id}:answer", answer, "calls:write",
	  "Let the phone that rings take the call, as if its receiver were lifted (Event: talk); call.answered tells when it has",
	  PBX_ROUTE_WRITES, ARGS(ID, RINGING_LEG), CALL },
	{ "POST", "/calls/{id}:hold", hold, "calls:write", "The holder's line falls silent, the other party hears music", PBX_ROUTE_WRITES,
	  ARGS(ID, LEG), HELD },
	{ "POST", "/calls/{id}:resume", resume, "calls:write", "Talk again", PBX_ROUTE_WRITES, ARGS(ID, LEG), HELD },
	{ "POST", "/calls/{id}:digits", send_digits, "calls:write", "Press keys: a party gets them the way it understands",
	  PBX_ROUTE_WRITES, KEYS, CALL },
	{ "GET", "/calls/{id}/playback", core_calls_playback, "calls:read",
	  "How far what a party hears has come: a file, a saying, a question", 0, ARGS(ID, HEARER(PBX_ARG_QUERY)), PLAYBACK },
	{ "POST", "/calls/{id}/playback", core_calls_playback, "calls:write",
	  "Pause, resume, seek what a party hears, make it louder or softer", PBX_ROUTE_WRITES, STEERING, PLAYBACK },
	{ "POST", "/calls/{id}:transfer", transfer, "calls:write",
	  "Send who talks with a party elsewhere; if nobody takes it the two talk again. call.transfer tells the outcome", PBX_ROUTE_WRITES,
	  TRANSFER, CALL },
	{ "POST", "/calls/{id}:pickup", pick_up, "calls:write",
	  "Ring a number, and when it answers give it this call, which rings elsewhere", PBX_ROUTE_WRITES, ARGS(ID, PICKER), CALL },
	{ "POST", "/calls", originate, "calls:write", "Ring a number, and when it answers call another from it", PBX_ROUTE_WRITES,
	  ARGS({ .name = "from", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Rings first", .completes = "extension" },
	       { .name = "to", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Is called then" },
	       { .name = "ring_s", .type = PBX_TYPE_INT, .help = "How long the first rings", .least = 5, .most = 600 }),
	  CALL },
};
_Static_assert(sizeof core_calls_routes / sizeof core_calls_routes[0] == CORE_CALLS_ROUTES, "calls_part.h counts them");

const struct pbx_command core_calls_commands[] = {
	{ "calls list",
	  list_command,
	  "Calls under way",
	  { NULL, 0, 0 },
	  "call_id,state+legs.on_hold+legs.controlled_by,direction,from,to,duration_ms",
	  0 },
	{ "calls legs", show, "A call under way with its legs and how they sound", ARGS(ID), NULL, 0 },
	{ "calls answer", answer, "Let the phone that rings take the call", ARGS(ID, RINGING_LEG), NULL, 0 },
	{ "calls digits", send_digits, "Press keys: a party gets them the way it understands", KEYS, NULL, 0 },
	{ "calls pickup", pick_up, "Ring a number, and when it answers give it a call that rings elsewhere", ARGS(ID, PICKER), NULL, 0 },
	{ "calls playback", core_calls_playback, "What a party hears: how far it has come; pause, resume, seek, louder, softer", STEERING,
	  NULL, 0 },
	{ "calls transfer", transfer, "Send who talks with a party elsewhere", TRANSFER, NULL, 0 },
	{ "calls set", core_calls_change, "Fields of your own, which end in the call's record", CHANGE(PBX_ARG_REST), NULL,
	  PBX_ROUTE_WRITES },
	{ "calls event", core_calls_on_told, "Write an event of your own into the call's history", TOLD(PBX_ARG_REST), NULL,
	  PBX_ROUTE_WRITES },
	{ "calls hangup", hang_up, "End a call", ARGS(ID), NULL, 0 },
};
_Static_assert(sizeof core_calls_commands / sizeof core_calls_commands[0] == CORE_CALLS_COMMANDS, "calls_part.h counts them");
