/* calls_recover.c - what a crash cut off gets its end, before new calls are taken
 *
 * At start we look for calls whose call.started is in the event log and whose call.ended is not: those of the last list
 * (calls_open.c), and those that began behind it; so a few seconds of events are read, however long the log is. Each call's events tell
 * what was still open. We say bridge.left, room.left, leg.ended and call.ended for it, in the order in which a hang-up would have, with the cause
 * system_restart. They carry the last moment at which the call is known to have lasted as their time: an event of its own,
 * or the list.
 *
 * Whatever has been told is in the log, so a start that is cut off itself is finished by the next one, and nothing is told twice. Nobody
 * counted packets: leg.ended leaves out what only media know. */
#include "bus.h"
#include "calls_inner.h"
#include "json_auto.h"
#include "store.h"
#include <stdlib.h>

#define SIP_OK 200u

struct lost_leg {
	struct lost_leg *next;
	char id[40];
	int64_t started_us, answered_us, held_us; /* 0: not */
	struct pbx_json *bridged, *roomed;        /* of its bridge.entered, its room.entered; NULL: in none */
};

/* A call as its events tell it. */
struct lost_call {
	char id[27], linked_id[27];
	int64_t started_us, ringing_us, answered_us, last_us;
	int64_t ring_ms, hold_ms;
	bool ended;
	struct pbx_json *started; /* data of call.started */
	struct lost_leg *legs;    /* oldest first */
};

struct recovery {
	void (*done)(void *context);
	void *context;
	int64_t seq, wall_us; /* of the list */
	char (*ids)[27];
	uint32_t count, room, next, told;
	struct lost_call call; /* whose events are being read */
};

/* ---- what its events tell ---- */

static void lost_call_clear(struct lost_call *call)
{
	for (struct lost_leg *leg; (leg = call->legs);) {
		call->legs = leg->next;
		core_json_free(leg->bridged);
		core_json_free(leg->roomed);
		free(leg);
	}
	core_json_free(call->started);
	*call = (struct lost_call){ 0 };
}

static struct lost_leg *find_leg(const struct lost_call *call, const char *id)
{
	for (struct lost_leg *leg = call->legs; leg; leg = leg->next)
		if (strcmp(leg->id, id) == 0)
			return leg;
	return NULL;
}

static int add_leg(struct lost_call *call, const char *id, int64_t wall_us)
{
	struct lost_leg *leg = calloc(1, sizeof *leg), **end = &call->legs;

	if (!leg)
		return PBX_ENOMEM;
	CORE_TEXT(leg->id, id);
	leg->started_us = wall_us;
	while (*end)
		end = &(*end)->next;
	*end = leg;
	return PBX_OK;
}

static void remove_leg(struct lost_call *call, const struct lost_leg *gone)
{
	for (struct lost_leg **at = &call->legs; *at; at = &(*at)->next) {
		struct lost_leg *leg = *at;

		if (leg != gone)
			continue;
		*at = leg->next;
		core_json_free(leg->bridged);
		core_json_free(leg->roomed);
		free(leg);
		return;
	}
}

static const char *member(const struct pbx_json *data, const char *name)
{
	const char *text = core_json_text(core_json_get(data, name));

	return text ? text : "";
}

static void add_hold(struct lost_call *call, struct lost_leg *leg, int64_t until_us)
{
	if (leg && leg->held_us)
		call->hold_ms += (until_us - leg->held_us) / 1000;
	if (leg)
		leg->held_us = 0;
}

static void read_call_event(struct lost_call *call, const char *type, struct pbx_json **data, int64_t wall_us)
{
	struct lost_leg *by = find_leg(call, member(*data, "by"));

	if (!strcmp(type, "call.started")) {
		call->started_us = wall_us;
		core_json_free(call->started);
		call->started = TAKE(*data);
	} else if (!strcmp(type, "call.ringing") && !call->ringing_us) {
		call->ringing_us = wall_us;
	} else if (!strcmp(type, "call.answered") && !call->answered_us) {
		call->answered_us = wall_us;
		call->ring_ms = core_json_integer(core_json_get(*data, "ring_ms"), 0);
	} else if (!strcmp(type, "call.hold") && by) {
		by->held_us = wall_us;
	} else if (!strcmp(type, "call.resume")) {
		add_hold(call, by, wall_us);
	} else if (!strcmp(type, "call.ended")) {
		call->ended = true;
	}
}

static int read_leg_event(struct lost_call *call, const char *type, struct pbx_json **data, int64_t wall_us)
{
	const char *id = member(*data, "leg_id");
	struct lost_leg *leg = find_leg(call, id);

	if (!leg)
		return strcmp(type, "leg.started") == 0 ? add_leg(call, id, wall_us) : PBX_OK;
	if (!strcmp(type, "leg.answered")) {
		leg->answered_us = wall_us;
	} else if (!strcmp(type, "leg.ended")) {
		add_hold(call, leg, wall_us);
		remove_leg(call, leg);
	} else if (!strcmp(type, "bridge.entered") || !strcmp(type, "bridge.left")) {
		core_json_free(leg->bridged);
		leg->bridged = !strcmp(type, "bridge.entered") ? TAKE(*data) : NULL;
	} else if (!strcmp(type, "room.entered") || !strcmp(type, "room.left")) {
		core_json_free(leg->roomed);
		leg->roomed = !strcmp(type, "room.entered") ? TAKE(*data) : NULL;
	}
	return PBX_OK;
}

/* Rows of type, wall_us, linked_id, data. PBX_OK, PBX_ENOMEM. */
static int read_events(struct lost_call *call, const struct pbx_rows *rows)
{
	for (uint32_t row = 0; row < rows->count; row++) {
		const char *type = pbx_cell_text(rows, row, 0);
		const struct pbx_value *text = pbx_cell(rows, row, 3);
		AUTO(json) struct pbx_json *data = core_json_parse(text->as.bytes, text->length, NULL);
		int err = PBX_OK;

		if (!data)
			return PBX_ENOMEM;
		if (pbx_cell_int(rows, row, 1) > call->last_us)
			call->last_us = pbx_cell_int(rows, row, 1);
		CORE_TEXT(call->linked_id, pbx_cell_text(rows, row, 2));
		if (!strncmp(type, "call.", 5))
			read_call_event(call, type, &data, call->last_us);
		else
			err = read_leg_event(call, type, &data, call->last_us);
		if (err != PBX_OK)
			return err;
	}
	return PBX_OK;
}

/* ---- telling its end ---- */

static int publish(const struct lost_call *call, const char *type, struct pbx_json *taken)
{
	return core_bus_publish_at(core_calls_host(), type, call->id, call->linked_id, call->last_us, taken);
}

static struct pbx_json *leg_ended(const struct lost_call *call, const struct lost_leg *leg)
{
	AUTO(json) struct pbx_json *data = core_json_object();
	int64_t talk_us = leg->answered_us ? call->last_us - leg->answered_us : 0;

	if (core_json_set_text(data, "leg_id", leg->id) != PBX_OK ||
	    core_json_set_integer(data, "sip_code", leg->answered_us ? SIP_OK : 0) != PBX_OK ||
	    core_json_set_integer(data, "q850_cause", PBX_CAUSE_FAILURE) != PBX_OK ||
	    core_json_set_text(data, "hangup_by", "us") != PBX_OK || core_json_set_text(data, "reason", "system_restart") != PBX_OK ||
	    core_json_set_boolean(data, "answered", leg->answered_us != 0) != PBX_OK ||
	    core_json_set_integer(data, "duration_ms", (call->last_us - leg->started_us) / 1000) != PBX_OK ||
	    core_json_set_integer(data, "talk_ms", talk_us / 1000) != PBX_OK)
		return NULL;
	return TAKE(data);
}

static int64_t ring_ms_of(const struct lost_call *call)
{
	if (call->answered_us)
		return call->ring_ms;
	return call->ringing_us ? (call->last_us - call->ringing_us) / 1000 : 0;
}

static struct pbx_json *call_ended(const struct lost_call *call)
{
	AUTO(json) struct pbx_json *data = core_json_object();
	const struct pbx_json *from = core_json_get(call->started, "from"), *to = core_json_get(call->started, "to");

	if (core_json_set_text(data, "disposition", call->answered_us ? "answered" : "failed") != PBX_OK ||
	    core_json_set_integer(data, "sip_code", call->answered_us ? SIP_OK : 0) != PBX_OK ||
	    core_json_set_integer(data, "q850_cause", PBX_CAUSE_FAILURE) != PBX_OK ||
	    core_json_set_text(data, "hangup_by", "system") != PBX_OK || core_json_set_text(data, "cause", "system_restart") != PBX_OK ||
	    core_json_set_text(data, "direction", member(call->started, "direction")) != PBX_OK ||
	    core_json_set_integer(data, "duration_ms", (call->last_us - call->started_us) / 1000) != PBX_OK ||
	    core_json_set_integer(data, "billsec_ms", call->answered_us ? (call->last_us - call->answered_us) / 1000 : 0) != PBX_OK ||
	    core_json_set_integer(data, "ring_ms", ring_ms_of(call)) != PBX_OK ||
	    core_json_set_integer(data, "hold_ms", call->hold_ms) != PBX_OK ||
	    core_json_set(data, "from", from ? core_json_copy(from) : core_json_object()) != PBX_OK ||
	    core_json_set(data, "to", to ? core_json_copy(to) : core_json_object()) != PBX_OK ||
	    core_json_set_text(data, "dialled", member(call->started, "dialled")) != PBX_OK)
		return NULL;
	return TAKE(data);
}

/* PBX_OK, PBX_ENOMEM: some of it has been told, the rest is for the next start. */
static int tell_end(struct lost_call *call)
{
	int err = PBX_OK;

	for (struct lost_leg *leg = call->legs; leg && err == PBX_OK; leg = leg->next)
		if (leg->bridged)
			err = publish(call, "bridge.left", TAKE(leg->bridged));
	for (struct lost_leg *leg = call->legs; leg && err == PBX_OK; leg = leg->next)
		if (leg->roomed)
			err = publish(call, "room.left", TAKE(leg->roomed));
	for (struct lost_leg *leg = call->legs; leg && err == PBX_OK; leg = leg->next) {
		struct pbx_json *data = leg_ended(call, leg);

		add_hold(call, leg, call->last_us);
		err = data ? publish(call, "leg.ended", data) : PBX_ENOMEM;
	}
	struct pbx_json *data = err == PBX_OK ? call_ended(call) : NULL;
	if (err == PBX_OK)
		err = data ? publish(call, "call.ended", data) : PBX_ENOMEM;
	return err;
}

/* ---- finding them ---- */

static void recovery_end(struct recovery *recovery, int result, const char *error)
{
	void (*done)(void *context) = recovery->done;
	void *context = recovery->context;

	if (recovery->told)
		core_log(PBX_LOG_NOTICE, "calls", NULL, "calls_were_cut_off", "calls=%u", recovery->told);
	if (result == PBX_OK)
		core_calls_open_start(); /* the list may move on: nothing before it is open any more */
	else if (result != PBX_ECANCELLED)
		core_log(PBX_LOG_ERROR, "calls", NULL, "calls_not_recovered",
			 "result=%d reason=\"%s\": calls that the last crash cut off have no call.ended until the next start", result,
			 error);
	lost_call_clear(&recovery->call);
	free(recovery->ids);
	free(recovery);
	if (result != PBX_ECANCELLED)
		done(context);
}

static int add_id(struct recovery *recovery, const char *id, size_t length)
{
	if (length == 0 || length >= sizeof recovery->ids[0])
		return PBX_OK;
	if (recovery->count == recovery->room) {
		uint32_t room = recovery->room ? 2 * recovery->room : 64;
		char(*ids)[27] = realloc(recovery->ids, room * sizeof *ids);

		if (!ids)
			return PBX_ENOMEM;
		recovery->ids = ids;
		recovery->room = room;
	}
	memcpy(recovery->ids[recovery->count], id, length);
	recovery->ids[recovery->count++][length] = '\0';
	return PBX_OK;
}

static bool lasts(const char *id)
{
	pbx_call call;

	return core_calls_service.find_call(id, &call) == PBX_OK;
}

static void next_call(struct recovery *recovery);

static void on_events(void *self, const struct pbx_rows *rows)
{
	struct recovery *recovery = self;
	struct lost_call *call = &recovery->call;
	int err = rows->status;

	if (err == PBX_OK)
		err = read_events(call, rows);
	bool open = err == PBX_OK && call->started && !call->ended;
	if (open && call->started_us <= recovery->wall_us && call->last_us < recovery->wall_us)
		call->last_us = recovery->wall_us;
	if (open)
		err = tell_end(call);
	recovery->told += open;
	lost_call_clear(call);
	if (err == PBX_OK)
		next_call(recovery);
	else
		recovery_end(recovery, err, rows->status == PBX_OK ? "no memory" : rows->error);
}

static void next_call(struct recovery *recovery)
{
	const char *id;

	do {
		if (recovery->next == recovery->count) {
			recovery_end(recovery, PBX_OK, "");
			return;
		}
		id = recovery->ids[recovery->next++];
	} while ((recovery->next > 1 && strcmp(id, recovery->ids[recovery->next - 2]) == 0) || lasts(id));

	CORE_TEXT(recovery->call.id, id);
	int err = core_bus_read_call(core_self(), id, on_events, recovery);
	if (err != PBX_OK)
		recovery_end(recovery, err, "no memory");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void on_open_ids(void *self, const struct pbx_rows *rows)
{
	struct recovery *recovery = self;
	int err = rows->status;

	for (uint32_t row = 0; row < rows->count && err == PBX_OK; row++)
		err = add_id(recovery, pbx_cell_text(rows, row, 0), strlen(pbx_cell_text(rows, row, 0)));
	if (err != PBX_OK) {
		recovery_end(recovery, err, rows->status == PBX_OK ? "no memory" : rows->error);
		return;
	}
	if (recovery->count)
		qsort(recovery->ids, recovery->count, sizeof recovery->ids[0], by_text); /* ids rise with time; one may be there twice */
	next_call(recovery);
}

static void on_list(void *self, const struct pbx_rows *rows)
{
	struct recovery *recovery = self;
	int err = rows->status;

	if (err == PBX_OK && rows->count) {
		recovery->seq = pbx_cell_int(rows, 0, 0);
		recovery->wall_us = pbx_cell_int(rows, 0, 1);
		for (const char *id = pbx_cell_text(rows, 0, 2), *end; *id && err == PBX_OK; id = *end ? end + 1 : end) {
			end = strchrnul(id, ' ');
			err = add_id(recovery, id, (size_t)(end - id));
		}
	}
	if (err == PBX_OK)
		err = core_bus_read_unended(core_self(), recovery->seq, "call.started", "call.ended", on_open_ids, recovery);
	if (err != PBX_OK)
		recovery_end(recovery, err, rows->status == PBX_OK ? "no memory" : rows->error);
}

void core_calls_recover(void (*done)(void *context), void *context)
{
	struct recovery *recovery = calloc(1, sizeof *recovery);

	if (!recovery) {
		core_log(PBX_LOG_ERROR, "calls", NULL, "calls_not_recovered", "reason=\"no memory\"");
		done(context);
		return;
	}
	*recovery = (struct recovery){ .done = done, .context = context };
	int err = core_store_run(core_self(), "SELECT seq, wall_us, calls FROM calls_open WHERE id = 1", NULL, 0, on_list, recovery);
	if (err != PBX_OK)
		recovery_end(recovery, err, "no memory");
}
