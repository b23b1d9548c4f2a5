/* tests/core/test_calls_walk.c - random walks: parties, plugins and time do anything at any moment, and what must always hold is looked at
 *
 * A walk is a seed: it is printed when something does not hold, and PBX_WALK_SEED=n runs that one alone (PBX_WALKS: how many). The model is
 * small: each line knows its own state and whether it holds; events are counted by the ids they name.
 *
 * With MEMORY_RUNS_OUT (a program of its own, meson.build) allocations of the core fail in some steps of each walk. What is told may be less then;
 * what stands must stand all the same, and nothing is left at the end. */
#include "../check_main.h"
#include "bus.h"
#include "dial_inner.h"
#include "fake.h"
#include "fake_drivers.h"
#include "json.h"
#include "loop.h"
#include "owner_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STEPS 60u
#define WALKS_UNLESS_TOLD 300u

static const struct pbx_calls *const calls = &core_calls_service;
static struct pbx_host *host;
static uint32_t random_state;
static uint32_t *seed; /* in memory the parent sees too: Check runs the test in a child */
static pbx_dial dials[256];
static uint32_t dials_begun, dials_done;
static uint32_t controls_taken, controls_over;
static uint32_t collects_begun, collects_done;
static const struct pbx_rooms *const rooms = &core_rooms_service;
static pbx_room some_rooms[2]; /* of this walk */

uint32_t walk_random(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % below;
}

static bool chance(uint32_t percent)
{
	return walk_random(100) < percent;
}

/* ---- memory ---- */

static bool was_short; /* in this walk */

#ifdef MEMORY_RUNS_OUT
#include "../failing_memory.h"

static _Thread_local int allocations_left = INT32_MAX; /* of the loop's thread; then one fails */

/* The fake phones' own are no matter of the core's. */
static bool is_granted(void)
{
	const char *owner = NULL;

	(void)core_running(&owner);
	if (owner && strcmp(owner, "fake") == 0)
		return true;
	if (allocations_left-- != 0)
		return true;
	was_short = true;
	return false;
}

static void memory_runs_out(void)
{
	allocations_left = chance(40) ? (int)walk_random(12) : INT32_MAX;
}

static void memory_is_back(void)
{
	allocations_left = INT32_MAX;
}
#else
static void memory_runs_out(void)
{
}

static void memory_is_back(void)
{
}
#endif

static const char *some_number(void)
{
	static const char *const numbers[] = { "1001", "1002", "1003", "1004",     "1009",
					       "1999", "*50",  "*51",  "aor:1002", "sip:1003@192.0.2.9" };

	return numbers[walk_random(sizeof numbers / sizeof numbers[0])];
}

static const char *some_account(void)
{
	static const char *const accounts[] = { "1001", "1002", "1003", "1004", "" };

	return accounts[walk_random(sizeof accounts / sizeof accounts[0])];
}

static pbx_leg some_leg(void)
{
	return line_count ? lines[walk_random(line_count)].leg : (pbx_leg){ 0 };
}

/* ---- a plugin that does anything ---- */

static void meddle(pbx_leg leg);

static void on_any(void *self, pbx_leg leg)
{
	(void)self;
	if (chance(20))
		meddle(leg);
}

static void on_digit(void *self, pbx_leg leg, char digit, uint32_t duration_ms)
{
	(void)digit;
	(void)duration_ms;
	on_any(self, leg);
}

static void on_hold(void *self, pbx_leg leg, bool on)
{
	(void)on;
	on_any(self, leg);
}

static void on_transfer(void *self, pbx_leg leg, const char *target)
{
	(void)target;
	on_any(self, leg);
}

static void on_lost(void *self, pbx_leg leg)
{
	controls_over++;
	on_any(self, leg);
}

static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	struct pbx_leg_info info = { .size = sizeof info };

	(void)self;
	controls_over++;
	ck_assert_uint_ne(cause, 0);
	ck_assert_int_eq(calls->info(leg, &info), PBX_OK);
	ck_assert_uint_eq(info.state, PBX_LEG_ENDED);
	ck_assert_int_eq(calls->hangup(leg, 16), PBX_ENOENT);
}

static const struct pbx_controller controllers[] = {
	{ .size = sizeof(struct pbx_controller),
	  .answered = on_any,
	  .digit = on_digit,
	  .media_done = on_any,
	  .timeout = on_any,
	  .hold = on_hold,
	  .lost = on_lost,
	  .ended = on_ended },
	{ .size = sizeof(struct pbx_controller), .transfer = on_transfer, .media_lost = on_any, .lost = on_lost, .ended = on_ended },
};

static void take_control(pbx_leg leg)
{
	/* self is new each time: a second control() is another state machine's */
	if (calls->control(host, leg, &controllers[walk_random(2)], (void *)(uintptr_t)(controls_taken + 1)) == PBX_OK)
		controls_taken++;
}

static void on_dial_ringing(void *self, pbx_dial dial)
{
	(void)self;
	if (chance(5))
		(void)calls->cancel(dial);
}

static void on_dial_done(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	(void)self;
	(void)dial;
	dials_done++;
	if (result->outcome == PBX_DIALLED_ANSWERED && chance(60))
		meddle(result->winner);
}

static const struct pbx_dialler dialler = { .size = sizeof dialler, .ringing = on_dial_ringing, .done = on_dial_done };

static void begin_dial(pbx_leg from)
{
	const struct pbx_dial_target targets[] = { { .text = some_number(), .ring_ms = walk_random(2) * 3000 },
						   { .text = some_number(), .delay_ms = walk_random(3) * 1000 } };
	const struct pbx_dial_plan plan = { .size = sizeof plan,
					    .strategy = 1 + walk_random(2),
					    .flags = walk_random(16),
					    PBX_TARGETS(targets, 1 + walk_random(2)),
					    .ring_ms = walk_random(2) * 15000 };

	if (dials_begun < 256 && calls->dial(host, from, &plan, &dialler, NULL, &dials[dials_begun]) == PBX_OK)
		dials_begun++;
}

static void on_left(void *self, pbx_room room, pbx_leg leg)
{
	(void)room;
	on_any(self, leg);
}

static void on_played(void *self, pbx_room room)
{
	(void)self;
	if (chance(10))
		(void)rooms->close(room);
}

static const struct pbx_room_watch room_watch = { .size = sizeof room_watch, .left = on_left, .played = on_played };

/* One that is bridged, when there is one. */
static pbx_leg some_talking_leg(void)
{
	pbx_leg leg = some_leg(), peer;

	for (uint32_t i = 0; i < line_count && calls->peer(leg, &peer) != PBX_OK; i++)
		leg = lines[i].leg;
	return leg;
}

/* One that is answered and not bridged, when there is one. */
static pbx_leg some_idle_leg(void)
{
	for (uint32_t i = 0; i < line_count; i++) {
		const struct core_leg *leg = core_leg_alive(lines[i].leg);

		if (leg && leg->state == PBX_LEG_ANSWERED && !leg->bridge)
			return leg->handle;
	}
	return some_leg();
}

static void meddle_with_rooms(pbx_leg leg)
{
	const struct pbx_room_spec spec = { .size = sizeof spec, .name = "room" };
	const struct pbx_room_part part = { .size = sizeof part, .role = walk_random(4), .to = chance(30) ? some_leg() : (pbx_leg){ 0 } };
	pbx_room *room = &some_rooms[walk_random(2)];

	if (!room->id)
		(void)rooms->open(host, &spec, &room_watch, NULL, room);
	switch (walk_random(10)) {
	case 0:
		take_control(leg);
		(void)calls->answer(leg);
		(void)rooms->add(*room, leg, &part);
		break;
	case 1:
	case 2:
	case 3:
		(void)rooms->add(*room, leg, &part);
		break;
	case 4:
		leg = some_idle_leg();
		take_control(leg);
		(void)rooms->attend(host, leg, some_talking_leg(), &part, &room_watch, NULL);
		break;
	case 5:
	case 6:
		(void)rooms->attend(host, leg, some_talking_leg(), &part, &room_watch, NULL);
		break;
	case 7:
		(void)rooms->change(leg, &part);
		break;
	case 8:
		(void)rooms->remove(leg);
		break;
	case 9:
		if (chance(20) && rooms->close(*room) == PBX_OK)
			room->id = 0;
		else
			(void)rooms->play(*room, "prompt");
		break;
	}
}

static bool on_typed(void *self, pbx_leg leg, const char *keys)
{
	(void)self, (void)leg;
	ck_assert_uint_le(strlen(keys), 3);
	return chance(50);
}

static void on_collected(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	ck_assert_uint_ne(collected->reason, 0);
	collects_done++;
	on_any(self, leg);
}

static void collect(pbx_leg leg)
{
	static const struct pbx_say prompt = { .kind = PBX_SAY_PROMPT, .text = "prompt" };
	const struct pbx_collect wish = { .size = sizeof wish,
					  .flags = walk_random(4),
					  .prompt = &prompt,
					  .prompt_count = walk_random(2),
					  .most = 3,
					  .first_ms = 1000 * walk_random(3),
					  .tries = walk_random(3),
					  .silences = walk_random(3),
					  .patterns = chance(30) ? "1,2X,*" : NULL,
					  .accept = chance(50) ? on_typed : NULL,
					  .done = on_collected };

	collects_begun++; /* what it takes the place of is told before it has begun */
	collects_begun -= calls->collect(leg, &wish, NULL) != PBX_OK;
}

/* What plays is paused, gone back in, or asked about; often nothing does. */
static void steer(pbx_leg leg)
{
	struct pbx_media_state state = { .size = sizeof state };

	switch (walk_random(5)) {
	case 0:
		(void)calls->pause_media(leg);
		break;
	case 1:
		(void)calls->resume_media(leg);
		break;
	case 2:
		(void)calls->seek_media(leg, (int32_t)walk_random(20000) - 10000);
		break;
	case 3:
		ck_assert_int_eq(calls->set_volume(leg, PBX_MEDIA_MOST_GAIN_CDB + 1), PBX_EINVAL);
		(void)calls->set_volume(leg, (int32_t)walk_random(3000) - 2000);
		break;
	default:
		if (calls->media_state(leg, &state) == PBX_OK)
			ck_assert_uint_eq(state.position_ms, 20);
	}
}

static void meddle(pbx_leg leg)
{
	pbx_bridge bridge;

	switch (walk_random(26)) {
	default:
		meddle_with_rooms(leg);
		break;
	case 0:
	case 1:
		take_control(leg);
		break;
	case 2:
		(void)calls->answer(leg);
		break;
	case 3:
		(void)calls->ring(leg);
		break;
	case 4:
		(void)calls->progress(leg);
		break;
	case 5:
		(void)calls->reject(leg, 486);
		break;
	case 6:
		(void)calls->hangup(leg, PBX_CAUSE_NORMAL);
		break;
	case 7:
		(void)calls->route(leg, some_number());
		break;
	case 8:
		(void)calls->play(leg, "prompt");
		break;
	case 9:
		(void)calls->tone(leg, "busy");
		break;
	case 10:
		(void)calls->stop_media(leg);
		break;
	case 11:
		(void)(chance(80) ? calls->send_digits(leg, "12#") : calls->send_flash(leg));
		break;
	case 12:
		(void)calls->set_timeout(leg, walk_random(2) * 2000);
		break;
	case 13:
		(void)calls->hold(leg, chance(50));
		break;
	case 14:
		begin_dial(chance(80) ? leg : (pbx_leg){ 0 });
		break;
	case 16:
	case 17:
	case 18:
		collect(leg);
		break;
	case 24:
	case 25:
		steer(leg);
		break;
	case 19:
		(void)calls->stop_collect(leg);
		break;
	case 15:
		(void)calls->bridge(host, leg, some_leg(), &bridge);
		break;
	}
}

static void claimed(void *self, pbx_leg leg)
{
	(void)self;
	if (chance(70))
		take_control(leg);
	if (chance(70))
		(void)calls->answer(leg);
	if (chance(30))
		meddle(leg);
}

/* ---- parties ---- */

static struct core_media_desc some_offer(void)
{
	static const uint8_t directions[] = { 3, 3, 3, 1, 2, 0 };
	bool alaw = chance(40);

	return line_says(alaw ? "PCMA" : "PCMU", alaw ? 8 : 0, directions[walk_random(6)], chance(10));
}

static void call_in(void)
{
	const char *account = some_account();
	struct line *line = line_new(account, PBX_INBOUND);
	struct core_media_desc offer = line_says(chance(50) ? "PCMA" : "PCMU", 0, CORE_SEND | CORE_RECV, false);
	const struct core_incoming incoming = { .dialled = some_number(),
						.from_number = account,
						.from_name = "",
						.account = account,
						.device = "",
						.address = "",
						.protocol_id = "",
						.max_forwards = 70,
						.offer = chance(85) ? &offer : NULL };

	if (core_leg_on_incoming(core_leg_driver(), line, &incoming, &line->leg) != PBX_OK)
		line_count--;
}

static void party_ends(struct line *line, uint32_t sip_code)
{
	line->state = PBX_LEG_ENDED;
	core_leg_on_ended(line->leg, sip_code, 0, true, "");
}

static void called_party(struct line *line)
{
	static const char *const contacts[] = { "sip:1004@192.0.2.1", "sip:a.name@192.0.2.2" };
	static const uint32_t codes[] = { 404, 408, 480, 486, 488, 500, 503, 600, 603 };
	struct core_media_desc answer = line_says(chance(70) ? "PCMU" : chance(50) ? "PCMA" : "G729", 0, CORE_SEND | CORE_RECV, false);

	switch (walk_random(8)) {
	case 0:
	case 1:
		line->state = PBX_LEG_RINGING;
		core_leg_on_ringing(line->leg, chance(70) ? 180 : 183, chance(30) ? &answer : NULL);
		break;
	case 2:
	case 3:
	case 4:
		line->state = PBX_LEG_ANSWERED;
		core_leg_on_answered(line->leg, &answer);
		break;
	case 5:
	case 6:
		party_ends(line, codes[walk_random(sizeof codes / sizeof codes[0])]);
		break;
	case 7:
		line->state = PBX_LEG_ENDED;
		core_leg_on_redirected(line->leg, contacts, 1 + walk_random(2), PBX_FORWARD_UNCONDITIONAL);
		break;
	}
}

static bool says_hold(const struct core_media_desc *said)
{
	return !(said->direction & CORE_RECV) || said->rtp.in4.sin_addr.s_addr == INADDR_ANY;
}

static void talking_party(struct line *line)
{
	struct core_media_desc offer = some_offer(), none = { .present = false };
	const struct core_leg *leg = core_leg_find(line->leg);

	switch (walk_random(10)) {
	case 0:
	case 1:
	case 2:
		if (!leg->late_offer) { /* an offer while ours is out would be glare, which the driver answers itself */
			core_leg_on_offer(line->leg, &offer);
			line->holds = says_hold(&offer);
		}
		break;
	case 3:
		if (!line->update_waits && !leg->late_offer)
			core_leg_on_offer(line->leg, &none);
		break;
	case 4:
		core_leg_on_digit(line->leg, "0123456789*#ABCD!"[walk_random(17)], 100);
		break;
	case 5:
		(void)core_leg_on_transfer(line->leg, some_number(), (pbx_leg){ 0 });
		break;
	case 6:
		(void)core_leg_on_transfer(line->leg, "", some_leg());
		break;
	case 7:
		if (leg->has_stream)
			core_media_on_silence(leg->stream, 30000);
		break;
	case 8:
		party_ends(line, 0);
		break;
	case 9:
		if (leg->configured) {
			const struct core_stream_config config = core_leg_config(leg);

			core_media_on_codec_failed(leg->stream, &config.codecs[walk_random(config.codec_count)], walk_random(2));
		}
		break;
	}
}

/* The answer to our re-INVITE, or to the offer in our 200. */
static void finish_update(struct line *line)
{
	static const int results[] = { PBX_OK, PBX_OK, PBX_OK, PBX_EBUSY, PBX_ENOTSUP };
	const struct core_leg *leg = core_leg_alive(line->leg);
	struct core_media_desc answer = some_offer();
	int result = results[walk_random(5)];

	if (!leg || line->state != PBX_LEG_ANSWERED || (!line->update_waits && !leg->late_offer))
		return;
	if (!leg->late_offer)
		line->update_waits = false;
	const struct core_media_desc offered = core_leg_local(leg);
	answer.codecs[0] = offered.codecs[walk_random(offered.codec_count - 1u)]; /* keys are last */
	if (result == PBX_OK && offered.direction == (CORE_SEND | CORE_RECV))     /* all was allowed: less is the party's wish */
		line->holds = says_hold(&answer);
	core_leg_on_update_done(line->leg, result, result == PBX_OK ? &answer : NULL);
}

static void party(struct line *line)
{
	if (line->state == PBX_LEG_ENDED) { /* what crosses our own end on the wire */
		struct core_media_desc late = some_offer();

		core_leg_on_answered(line->leg, &late);
		core_leg_on_ringing(line->leg, 180, NULL);
		core_leg_on_ended(line->leg, 487, 0, chance(50), "");
	} else if (line->state == PBX_LEG_ANSWERED) {
		talking_party(line);
	} else if (line->direction == PBX_OUTBOUND) {
		called_party(line);
	} else if (chance(30)) {
		party_ends(line, 0);
	}
}

/* ---- events, counted by whom they name ---- */

struct seen {
	char id[40];
	uint32_t started, answered, ended, entered, left, came, went;
	int32_t held;
};

static struct seen seen[2048];
static uint32_t seen_count;

static struct seen *see(const char *id)
{
	for (uint32_t i = 0; i < seen_count; i++)
		if (strcmp(seen[i].id, id) == 0)
			return &seen[i];
	ck_assert_uint_lt(seen_count, 2048);
	(void)snprintf(seen[seen_count].id, sizeof seen[0].id, "%s", id);
	return &seen[seen_count++];
}

static const char *member(const struct pbx_event *event, const char *name)
{
	const char *text = core_json_service.text(core_json_service.get(event->data, name));

	return text ? text : "";
}

static void check_call_ended(const struct pbx_event *event, struct seen *call)
{
	bool answered = strcmp(member(event, "disposition"), "answered") == 0;

	ck_assert_uint_eq(call->started, 1);
	ck_assert_uint_eq(++call->ended, 1);
	ck_assert_msg(answered == (call->answered == 1), "disposition %s, answered %u times", member(event, "disposition"), call->answered);
	ck_assert(core_json_service.integer(core_json_service.get(event->data, "billsec_ms"), -1) <=
		  core_json_service.integer(core_json_service.get(event->data, "duration_ms"), -1));
	for (uint32_t i = 0; i < seen_count; i++)
		if (strncmp(seen[i].id, call->id, 26) == 0 && seen[i].id[26] == '-')
			ck_assert_msg(seen[i].ended == 1, "call ended before its leg %s", seen[i].id);
}

static void on_event(void *self, const struct pbx_event *event)
{
	const char *type = event->type;

	(void)self;
	if (was_short)
		return; /* an event before may be what there was no memory for */
	struct seen *call = see(event->call_id), *leg = see(member(event, "leg_id"));

	ck_assert_msg(call->ended == 0, "%s after the end of its call", type);
	if (strcmp(type, "call.started") == 0)
		ck_assert_uint_eq(++call->started, 1);
	else if (strcmp(type, "call.answered") == 0)
		ck_assert_uint_eq(++call->answered, 1);
	else if (strcmp(type, "call.ended") == 0)
		check_call_ended(event, call);
	else if (strcmp(type, "leg.started") == 0)
		ck_assert_uint_eq(++leg->started, 1);
	else if (strcmp(type, "leg.answered") == 0)
		ck_assert_uint_eq(++leg->answered, 1);
	else if (strcmp(type, "leg.ended") == 0)
		ck_assert(leg->started == 1 && ++leg->ended == 1 && leg->entered == leg->left && leg->came == leg->went);
	else if (strcmp(type, "bridge.entered") == 0)
		ck_assert(leg->answered == 1 && leg->entered++ == leg->left);
	else if (strcmp(type, "bridge.left") == 0)
		ck_assert_uint_eq(leg->entered, ++leg->left);
	else if (strcmp(type, "room.entered") == 0)
		ck_assert(leg->answered == 1 && leg->came++ == leg->went);
	else if (strcmp(type, "room.left") == 0)
		ck_assert_uint_eq(leg->came, ++leg->went);
	else if (strcmp(type, "call.hold") == 0)
		ck_assert_int_eq(see(member(event, "by"))->held++, 0);
	else if (strcmp(type, "call.resume") == 0)
		ck_assert_int_eq(--see(member(event, "by"))->held, 0);
}

/* ---- what always holds ---- */

static const struct line *line_of(const struct core_leg *leg)
{
	return leg->dialog;
}

static void check_leg(const struct core_leg *leg)
{
	const struct line *line = line_of(leg);
	bool cared_for = leg->charge.owner || leg->branch || leg->bridge || leg->dials || leg->referring;

	ck_assert_msg(leg->state != PBX_LEG_ENDED, "an ended leg is still there");
	ck_assert_msg(line && line->state != PBX_LEG_ENDED, "the core has a leg whose line has ended");
	ck_assert_msg((leg->state == PBX_LEG_ANSWERED) == (line->state == PBX_LEG_ANSWERED), "leg and line disagree about the answer");
	ck_assert_msg((leg->charge.owner != NULL) + (leg->branch != NULL) + (leg->bridge != NULL) <= 1,
		      "more than one decides about a leg");
	ck_assert_msg(cared_for || leg->lonely.id, "a leg is forgotten");
	ck_assert_msg(leg->state != PBX_LEG_ANSWERED || leg->has_stream, "an answered leg has no stream");
	ck_assert_msg(!leg->has_stream || fake_stream_is_open(leg->stream), "a leg has a closed stream");
	ck_assert_msg(!leg->collect || leg->charge.owner, "nobody waits for the keys of a leg");
	ck_assert_msg(leg->state != PBX_LEG_ANSWERED || leg->holds_us == line->holds, "who holds is not known");
	for (const struct core_dial *dial = leg->dials; dial; dial = dial->next_of_from)
		ck_assert(dial->from == leg && !dial->over);
}

static void check_bridge(const struct core_leg *leg)
{
	const struct core_bridge *bridge = leg->bridge;
	const struct core_leg *a = bridge->legs[0], *b = bridge->legs[1];
	bool away = a->holds_us || a->held_by_us || b->holds_us || b->held_by_us;
	bool mixed = bridge->room != NULL;

	ck_assert_msg((a == leg || b == leg) && a != b && a->bridge == bridge && b->bridge == bridge, "a bridge is not symmetric");
	ck_assert(a->state == PBX_LEG_ANSWERED && b->state == PBX_LEG_ANSWERED);
	ck_assert_msg(bridge->connected == (!away && !mixed && a->configured && b->configured), "media and hold flags disagree");
	ck_assert_msg(fake_stream_peer(a->stream).id == (bridge->connected ? b->stream.id : 0), "the streams are not as the bridge says");
	ck_assert_msg(!mixed || (bridge->room->bridge == bridge && bridge->room->members), "a conversation is mixed for nobody");
	ck_assert_msg(mixed || (!fake_stream_mix(a->stream) && !fake_stream_mix(b->stream)), "two are mixed and nobody attends");
	ck_assert_str_eq(a->call->linked_id, b->call->linked_id);
}

static void check_room(const struct core_leg *leg)
{
	const struct core_leg *member = leg->room->members;

	while (member && member != leg)
		member = member->next_in_room;
	ck_assert_msg(member == leg && leg->state == PBX_LEG_ANSWERED, "a room does not know its member");
	ck_assert_msg(!leg->bridge && leg->charge.owner, "a member is somebody else's");
	ck_assert_msg(fake_stream_mix(leg->stream) == (leg->in_mix ? leg->room->mix.id : 0), "a member is in another mix");
}

static void check_all(void)
{
	uint32_t at = 0, legs = 0, streams = 0, bridged = 0;
	const struct core_leg *leg;

	while ((leg = core_handles_next(&core_leg_table, &at))) {
		check_leg(leg);
		if (leg->bridge)
			check_bridge(leg);
		if (leg->room)
			check_room(leg);
		ck_assert_msg(leg->room || leg->bridge || !leg->has_stream || !fake_stream_mix(leg->stream), "a leg is mixed in no room");
		legs++;
		streams += leg->has_stream;
		bridged += leg->bridge != NULL;
	}
	ck_assert_uint_eq(fake_streams_open(), streams);
	ck_assert_uint_eq(core_bridge_count() * 2, bridged);
	uint32_t living = 0;
	for (uint32_t i = 0; i < line_count; i++)
		living += lines[i].state != PBX_LEG_ENDED;
	ck_assert_msg(living == legs, "%u lines live and %u legs", living, legs);
}

/* ---- a walk ---- */

/* What was posted runs; the store's thread goes on by itself. */
static void run_posted(void)
{
	for (int i = 0; i < 6; i++)
		core_loop_step();
}

static void one_step(void)
{
	uint32_t what = walk_random(100);

	if (line_count + 40 < LINES_MOST && (what < 12 || line_count == 0))
		call_in();
	else if (what < 70)
		party(&lines[walk_random(line_count)]);
	else if (what < 78)
		finish_update(&lines[walk_random(line_count)]);
	else if (what < 92)
		meddle(some_leg());
	else if (what < 94)
		meddle_with_rooms(some_leg());
	else if (what < 96 && dials_begun)
		(void)calls->cancel(dials[walk_random(dials_begun)]);
	else
		core_loop_pass_ms(walk_random(3) == 0 ? 8000 : 300);
}

static void everybody_hangs_up(void)
{
	for (uint32_t i = 0; i < line_count; i++)
		if (lines[i].state != PBX_LEG_ENDED) {
			party_ends(&lines[i], lines[i].state == PBX_LEG_ANSWERED ? 0 : 480);
			run_posted();
		}
}

static void walk(void)
{
	struct core_calls_stats stats;

	for (uint32_t step = 0; step < STEPS; step++) {
		memory_runs_out();
		one_step();
		run_posted();
		memory_is_back();
		check_all();
	}
	for (int round = 0; round < 50; round++) { /* forwarding and order may ring somebody new */
		everybody_hangs_up();
		core_loop_pass_ms(1000);
	}
	core_calls_stats(&stats);
	ck_assert_msg(!stats.calls && !stats.legs && !stats.bridges && !stats.dials, "%u calls, %u legs, %u bridges, %u dials are left",
		      stats.calls, stats.legs, stats.bridges, stats.dials);
	ck_assert_uint_eq(dials_begun, dials_done);
	ck_assert_uint_eq(controls_taken, controls_over);
	ck_assert_uint_eq(collects_begun, collects_done);
	for (uint32_t i = 0; i < seen_count && !was_short; i++)
		ck_assert_msg(seen[i].started == seen[i].ended && seen[i].held == 0, "%s: %u starts, %u ends", seen[i].id, seen[i].started,
			      seen[i].ended);
	for (int i = 0; i < 2; i++) {
		(void)rooms->close(some_rooms[i]); /* whether it was opened, or was closed within a callback */
		some_rooms[i].id = 0;
	}
	fake_drivers_forget();
	dials_begun = dials_done = controls_taken = controls_over = collects_begun = collects_done = seen_count = 0;
	memset(seen, 0, sizeof seen);
	was_short = false;
}

static uint32_t number_of(const char *variable, uint32_t otherwise)
{
	const char *text = getenv(variable);

	return text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

START_TEST(whatever_anybody_does_at_any_moment_the_house_stands)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("");
	uint32_t first = number_of("PBX_WALK_SEED", 1), walks = number_of("PBX_WALKS", getenv("PBX_WALK_SEED") ? 1 : WALKS_UNLESS_TOLD);
	pbx_subscription subscription;

	host = fake_host(pbx);
	for (const char *const *who = (const char *const[]){ "1001", "1002", "1002", "1003", "1004", NULL }; *who; who++)
		fake_registered(pbx, *who);
	fake_account(pbx, "1004")->max_calls = 1;
	(void)fake_account(pbx, "1009");
	ck_assert_int_eq(calls->claim(host, "*5X", claimed, NULL), PBX_OK);
	ck_assert_int_eq(calls->keys(host, "#1", on_any, NULL), PBX_OK);
	ck_assert_int_eq(core_bus_service.subscribe(host, "call.*,leg.*,bridge.*,room.*", on_event, NULL, &subscription), PBX_OK);
	fake_drivers_init();
	for (*seed = first; *seed < first + walks; ++*seed) {
		random_state = *seed * 2654435761u | 1u;
		walk();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("calls_walk");
	TCase *all = tcase_create("calls_walk");
	SRunner *runner = srunner_create(suite);

	seed = mmap(NULL, sizeof *seed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seed == MAP_FAILED)
		return EXIT_FAILURE;
	tcase_add_test(all, whatever_anybody_does_at_any_moment_the_house_stands);
	tcase_set_timeout(all, 600);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);

	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (failed)
		(void)fprintf(stderr, "to see it again: PBX_WALK_SEED=%u\n", *seed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
