/* calls.c - calls: what people mean by the word, made of legs, with one id that events, records and logs carry
 *
 * A call begins with an incoming leg, or with a dial that nobody is behind (click to call), and ends when its last leg and its last dial are
 * over. What it remembers (who, whom, when, the final answer, who hung up) is what call.ended tells: records are made from that alone.
 *
 *    incoming leg ──► started ──► ringing ──► answered ──► ended
 *                        └────────────┴─────────────────────┘       legs may come, go, and meet those of other calls meanwhile
 *
 * Two calls whose legs meet in a bridge keep their ids and share the linked_id of the older one. */
#include "bus.h"
#include "calls_inner.h"
#include "json.h"
#include "owner.h"
#include "place.h"
#include <stdlib.h>

#define LIMIT_INITIAL 1000u
#define MOST_BEYOND 64u   /* calls that are looked at, or are emergencies, beyond calls.limit */
#define SHARE_BEYOND 4u   /* of them, of one caller: nobody has more emergencies at once */
#define MOST_UNPROVEN 60u /* a minute, of all addresses together */
#define RING_S_INITIAL 30u
#define MAX_DURATION_S_INITIAL 7200u

static const struct core_calls_settings default_settings = {
	.limit = LIMIT_INITIAL,
	.ring_s = RING_S_INITIAL,
	.max_duration_s = MAX_DURATION_S_INITIAL,
	.country = "us",
	.moh_mode = "local",
};

static struct core_handles call_table;
static struct core_call *beyond; /* that were taken in beyond calls.limit: as few as that allows */
static const struct core_calls_settings *const *current_settings;
static struct pbx_host *part_host;
static const struct pbx_jsons *const json = &core_json_service;
static struct core_calls_stats totals;

static struct {
	bool on;
	void (*idle)(void *context);
	void *context;
	pbx_timer deadline;
	struct core_post_node idle_already;
} draining;

/* ---- what the other files ask for ---- */

struct pbx_host *core_calls_host(void)
{
	return part_host ? part_host : core_self();
}

void core_calls_set_part(struct pbx_host *host, const struct core_calls_settings *const *settings)
{
	part_host = host;
	current_settings = settings;
}

const struct core_calls_settings *core_calls_settings(void)
{
	return current_settings && *current_settings ? *current_settings : &default_settings;
}

struct core_handles *core_calls_table(void)
{
	return &call_table;
}

/* ---- life of a call ---- */

struct core_call *core_call_find(pbx_call call)
{
	return core_handle_find(&call_table, call.id);
}

/* Whose share it is: an account's, else a peer's, else that of the place where it comes from. The kinds are never taken for one another. */
static void print_source(const struct core_incoming *incoming, char ret_source[CORE_CALL_SOURCE])
{
	char place[CORE_PLACE_TEXT];

	if (incoming->account && incoming->account[0]) {
		(void)snprintf(ret_source, CORE_CALL_SOURCE, "account %s", incoming->account);
	} else if (incoming->peer && incoming->peer[0]) {
		(void)snprintf(ret_source, CORE_CALL_SOURCE, "peer %s", incoming->peer);
	} else {
		core_place_print_of(incoming->address ? incoming->address : "", place);
		(void)snprintf(ret_source, CORE_CALL_SOURCE, "from %s", place);
	}
}

static bool has_share(const char *source)
{
	uint32_t count = 0;

	for (const struct core_call *call = beyond; call; call = call->next_beyond)
		count += strcmp(call->source, source) == 0;
	return count < SHARE_BEYOND;
}

static void enter_beyond(struct core_call *call, const char *source)
{
	call->is_beyond_limit = true;
	CORE_TEXT(call->source, source);
	call->at_beyond = &beyond;
	call->next_beyond = beyond;
	if (beyond)
		beyond->at_beyond = &call->next_beyond;
	beyond = call;
}

static void leave_beyond(struct core_call *call)
{
	if (!call->at_beyond)
		return;
	*call->at_beyond = call->next_beyond;
	if (call->next_beyond)
		call->next_beyond->at_beyond = call->at_beyond;
	call->at_beyond = NULL;
}

int core_call_new(const struct core_incoming *incoming, struct core_call **ret_call)
{
	uint32_t limit = core_calls_settings()->limit, count = core_handles_count(&call_table);
	bool is_beyond = limit && count >= limit;
	char source[CORE_CALL_SOURCE] = "";

	if (draining.on)
		return PBX_ESTATE;
	if (is_beyond && (!incoming || count >= limit + MOST_BEYOND))
		return PBX_ENOSPC;
	if (is_beyond)
		print_source(incoming, source);
	if (is_beyond && !has_share(source))
		return PBX_ENOSPC;

	struct core_call *call = calloc(1, sizeof *call);
	if (!call)
		return PBX_ENOMEM;

	call->handle.id = core_handle_new(&call_table, call);
	if (!call->handle.id) {
		free(call);
		return PBX_ENOMEM;
	}
	if (is_beyond)
		enter_beyond(call, source);
	core_ulid(call->id);
	core_call_index(call);
	CORE_TEXT(call->linked_id, call->id);
	call->direction = "internal";
	call->started_at_ms = core_now_ms();
	call->started_wall_us = core_wall_us();
	totals.started++;
	*ret_call = call;
	return PBX_OK;
}

static void call_free(struct core_call *call)
{
	(void)core_timer_stop(call->limit_timer);
	leave_beyond(call);
	json->free(call->fields);
	core_call_unindex(call);
	core_handle_free(&call_table, call->handle.id);
	free(call);
}

void core_call_drop(struct core_call *call)
{
	call_free(call);
	totals.started--;
}

static void tell_idle(void)
{
	if (!draining.on || !draining.idle || core_handles_count(&call_table) > 0)
		return;

	void (*idle)(void *context) = draining.idle;
	draining.idle = NULL;
	(void)core_timer_stop(draining.deadline);
	idle(draining.context);
}

void core_call_check(struct core_call *call)
{
	if (call->legs || call->dials)
		return;

	if (!call->answered_at_ms)
		totals.failed++;
	core_event_call_ended(call);
	call_free(call);
	tell_idle();
}

/* The lockout lets each address try some times. Who has many addresses, or says so, does not fill the disk. */
static bool is_recorded(void)
{
	static uint64_t minute;
	static uint32_t count;
	uint64_t now = core_now_ms() / 60000;

	if (now != minute) {
		minute = now;
		count = 0;
	}
	if (count == MOST_UNPROVEN)
		core_log(PBX_LOG_WARN, "calls", NULL, "wrong_passwords_unrecorded",
			 "records=%u for_s=60 cure=\"pbx_sip_auth_total counts them all\"", count);
	return ++count <= MOST_UNPROVEN;
}

void core_call_on_unproven(const struct core_unproven *unproven)
{
	if (!is_recorded())
		return;
	struct core_call call = { .direction = "inbound",
				  .started_at_ms = core_now_ms(),
				  .sip_code = unproven->sip_code,
				  .cause = core_cause_from_sip(unproven->sip_code),
				  .hangup_by = "system" };

	core_ulid(call.id);
	CORE_TEXT(call.linked_id, call.id);
	CORE_TEXT(call.from_number, unproven->from);
	CORE_TEXT(call.dialled, unproven->dialled);
	CORE_TEXT(call.to_number, unproven->dialled);
	core_event_call_unproven(&call, unproven->device, unproven->address);
	core_event_call_ended(&call);
}

void core_call_ringing(struct core_call *call, const struct core_leg *leg, bool early_media)
{
	if (call->ringing_at_ms || call->answered_at_ms)
		return;
	call->ringing_at_ms = core_now_ms();
	core_event_call_ringing(call, leg, early_media);
}

static void hang_up_legs(struct core_call *call, uint32_t cause)
{
	pbx_leg legs[64];

	/* A leg that ends may take others with it: look again after each round. */
	for (;;) {
		uint32_t count = 0;
		for (struct core_leg *leg = call->legs; leg && count < 64; leg = leg->next)
			if (leg->state != PBX_LEG_ENDED)
				legs[count++] = leg->handle;
		if (count == 0)
			return;
		for (uint32_t i = 0; i < count; i++) {
			struct core_leg *leg = core_leg_alive(legs[i]);
			if (leg)
				core_leg_end(leg, 0, cause, false, NULL);
		}
	}
}

static void on_call_limit(void *self, pbx_timer timer)
{
	struct core_call *call = self;

	(void)timer;
	core_log(PBX_LOG_NOTICE, "calls", call->id, "duration_limit_reached", "max_duration_s=%u", core_calls_settings()->max_duration_s);
	call->reason = "max_duration";
	call->hangup_by = "system";
	hang_up_legs(call, PBX_CAUSE_TIMER);
}

void core_call_answered(struct core_call *call, const struct core_leg *leg, const char *by_number, const char *by_name)
{
	uint32_t max_duration_s = core_calls_settings()->max_duration_s;

	if (call->answered_at_ms)
		return;
	call->answered_at_ms = core_now_ms();
	call->sip_code = 200;
	call->cause = PBX_CAUSE_NORMAL;
	totals.answered++;
	if (max_duration_s)
		(void)core_timer_start(core_self(), (uint64_t)max_duration_s * 1000u, 0, on_call_limit, call, &call->limit_timer);
	core_event_call_answered(call, leg, by_number, by_name);
}

void core_call_link(struct core_call *a, struct core_call *b)
{
	if (strcmp(a->linked_id, b->linked_id) == 0)
		return;

	/* ULIDs rise with time: the smaller one is the older story. Everybody who has the younger linked_id moves along. */
	struct core_call *older = strcmp(a->linked_id, b->linked_id) < 0 ? a : b;
	struct core_call *younger = older == a ? b : a;
	char left[27];
	uint32_t at = 0;
	struct core_call *call;

	CORE_TEXT(left, younger->linked_id);
	while ((call = core_handles_next(&call_table, &at)))
		if (strcmp(call->linked_id, left) == 0) {
			CORE_TEXT(call->linked_id, older->linked_id);
			core_event_call_linked(call, older);
		}
}

int core_call_hangup(const char *call_id, uint32_t cause)
{
	struct core_call *call = core_call_named(call_id);

	if (!call)
		return PBX_ENOENT;
	if (!call->hangup_by)
		call->hangup_by = "system";
	hang_up_legs(call, cause);
	return PBX_OK;
}

/* ---- draining ---- */

static void on_drain_deadline(void *self, pbx_timer timer)
{
	uint32_t at = 0;
	struct core_call *call;

	(void)self;
	(void)timer;
	while ((call = core_handles_next(&call_table, &at))) {
		call->reason = "shutdown";
		call->hangup_by = "system";
		hang_up_legs(call, PBX_CAUSE_NORMAL);
	}
}

static void idle_already(void *context)
{
	(void)context;
	tell_idle();
}

void core_calls_drain(uint64_t deadline_ms, void (*idle)(void *context), void *context)
{
	draining.on = true;
	draining.idle = idle;
	draining.context = context;
	(void)core_timer_start(core_self(), deadline_ms, 0, on_drain_deadline, NULL, &draining.deadline);
	core_post_node(core_self(), &draining.idle_already, idle_already, NULL);
}

bool core_calls_draining(void)
{
	return draining.on;
}

void core_calls_stats(struct core_calls_stats *ret_stats)
{
	*ret_stats = totals;
	ret_stats->calls = core_handles_count(&call_table);
	ret_stats->legs = core_handles_count(&core_leg_table);
	ret_stats->bridges = core_bridge_count();
	ret_stats->dials = core_dial_count();
}

/* ---- for people ---- */

static const char *const leg_states[] = { "", "new", "ringing", "answered", "ended" };

static bool is_transcoded(const struct core_leg *leg)
{
	struct core_stream_stats stats;

	return leg->has_stream && core_media->stats(leg->stream, &stats) == PBX_OK && stats.transcoded;
}

static struct pbx_json *leg_json(const struct core_leg *leg)
{
	struct pbx_json *object = json->new_object();

	if (!object)
		return NULL;
	(void)json->set_text(object, "leg_id", leg->id);
	(void)json->set_text(object, "state", leg_states[leg->state]);
	(void)json->set_text(object, "direction", leg->direction == PBX_INBOUND ? "inbound" : "outbound");
	(void)json->set_text(object, "number", leg->number);
	(void)json->set_text(object, "name", leg->name);
	(void)json->set_text(object, "account", leg->withheld ? "" : leg->account);
	(void)json->set_text(object, "endpoint", leg->endpoint ? leg->endpoint : "");
	(void)json->set_text(object, "device", leg->withheld ? "" : leg->device);
	(void)json->set_text(object, "address", leg->withheld ? "" : leg->address);
	(void)json->set_text(object, "codec", core_leg_config(leg).codecs[0].name);
	(void)json->set_boolean(object, "transcoded", is_transcoded(leg));
	(void)json->set_boolean(object, "on_hold", leg->holds_us || leg->held_by_us);
	struct pbx_json *audio = core_leg_audio_json(leg);
	if (audio)
		(void)json->set(object, "audio", audio);
	const struct core_leg *peer = core_bridge_peer(leg);
	(void)json->set_text(object, "peer_leg_id", peer ? peer->id : NULL);
	(void)json->set_text(object, "room_id", leg->room ? leg->room->id : NULL);
	if (leg->charge.owner) /* it is parked, in a menu, in a conference: what that is, its name says */
		(void)json->set_text(object, "controlled_by", core_owner_name(leg->charge.owner));
	return object;
}

static const char *call_state(const struct core_call *call)
{
	if (call->answered_at_ms)
		return "answered";
	return call->ringing_at_ms ? "ringing" : "new";
}

static struct pbx_json *call_json(const struct core_call *call)
{
	struct pbx_json *object = json->new_object();
	struct pbx_json *legs = json->new_array();

	if (!object || !legs) {
		json->free(object);
		json->free(legs);
		return NULL;
	}
	(void)json->set_text(object, "call_id", call->id);
	(void)json->set_text(object, "linked_id", call->linked_id);
	(void)json->set_text(object, "state", call_state(call));
	(void)json->set_text(object, "direction", call->direction);
	(void)json->set_text(object, "from", call->from_number);
	(void)json->set_text(object, "to", call->to_number);
	(void)json->set_time(object, "since", call->started_wall_us);
	(void)json->set_integer(object, "duration_ms", (int64_t)(core_now_ms() - call->started_at_ms));
	(void)json->set(object, "fields", call->fields ? json->copy(call->fields) : json->new_object());
	for (const struct core_leg *leg = call->legs; leg; leg = leg->next) {
		struct pbx_json *item = leg_json(leg);
		if (item)
			(void)json->append(legs, item);
	}
	(void)json->set(object, "legs", legs);
	return object;
}

struct pbx_json *core_calls_list(void)
{
	struct pbx_json *list = json->new_array();
	uint32_t at = 0;
	const struct core_call *call;

	while (list && (call = core_handles_next(&call_table, &at))) {
		struct pbx_json *item = call_json(call);
		if (item)
			(void)json->append(list, item);
	}
	return list;
}

struct pbx_json *core_calls_show(const char *call_id)
{
	const struct core_call *call = core_call_named(call_id);

	return call ? call_json(call) : NULL;
}

/* ---- the beginning and the end ---- */

static bool call_ids(pbx_call handle, const char **ret_call_id, const char **ret_linked_id)
{
	const struct core_call *call = core_call_find(handle);

	if (!call)
		return false;
	*ret_call_id = call->id;
	*ret_linked_id = call->linked_id;
	return true;
}

static const char *name_of(pbx_call handle)
{
	const struct core_call *call = core_call_find(handle);

	return call ? call->id : NULL;
}

int core_calls_init(void)
{
	core_handles_init(&call_table, 'C');
	core_handles_init(&core_leg_table, 'L');
	core_dials_init();
	core_bridges_init();
	core_rooms_init();
	core_route_init();
	memset(&totals, 0, sizeof totals);
	memset(&draining, 0, sizeof draining);

	core_bus_set_call_ids(call_ids);
	core_log_set_namer(name_of);
	return PBX_OK;
}

void core_calls_fini(void)
{
	uint32_t at = 0;
	struct core_call *call;

	(void)core_timer_stop(draining.deadline);
	core_calls_open_stop();
	core_dials_fini();
	core_rooms_fini();
	core_bridges_fini();
	core_legs_fini();
	while ((call = core_handles_next(&call_table, &at)))
		call_free(call);
	core_handles_fini(&call_table);
	core_unpost(&draining.idle_already);
	core_route_fini();
	core_plan_fini();
	core_leg_media_fini();
	part_host = NULL;
	current_settings = NULL;
}
