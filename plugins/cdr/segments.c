/*
 * segments - from the events of a call to its records
 *
 *   call.started    a record begins (its row is there from now on)
 *   leg.started     the trunk that is tried, until somebody answers
 *   call.answered   talking begins
 *   bridge.entered  with somebody new: this record ends, the next begins; with the same party (fetched from a slot): it goes on; with
 *                   somebody of another call: one of the two records ends, and the other call's next one tells of it
 *   call.linked     the call went into an older one; without a conversation of its own it leaves no record
 *   call.fields_set others have noted something in it
 *   call.ended      the last record ends
 *
 * Times are the events' own. The core measures duration and talk on the monotonic clock; a record that is its call's only one has
 * exactly these figures, of several the last has what the earlier ones leave.
 */
#include "cdr.h"
#include <stdlib.h>
#include <string.h>

static void copy(char *into, size_t size, const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (length > size - 1)
		length = size - 1;
	memcpy(into, text ? text : "", length);
	into[length] = '\0';
}
#define COPY(into, text) copy(into, sizeof(into), text)

static const char *text_of(const struct cdr *cdr, const struct pbx_json *data, const char *name)
{
	return cdr->json->text(cdr->json->get(data, name));
}

static int64_t int_of(const struct cdr *cdr, const struct pbx_json *data, const char *name)
{
	return cdr->json->integer(cdr->json->get(data, name), 0);
}

static const char *number_of(const struct cdr *cdr, const struct pbx_json *data, const char *party)
{
	return text_of(cdr, cdr->json->get(data, party), "number");
}

/* ---- calls in progress ---------------------------------------------------------------- */

static struct open_call **place_of(struct cdr *cdr, const char *call_id)
{
	uint32_t hash = 2166136261u;

	for (const char *at = call_id; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	struct open_call **place = &cdr->open[hash % CDR_BUCKETS];
	while (*place && strcmp((*place)->call_id, call_id) != 0)
		place = &(*place)->next;
	return place;
}

static struct open_call *find(struct cdr *cdr, const char *call_id)
{
	return call_id ? *place_of(cdr, call_id) : NULL;
}

static void forget(struct cdr *cdr, const char *call_id)
{
	struct open_call **place = place_of(cdr, call_id), *call = *place;

	if (!call)
		return;
	*place = call->next;
	fields_forget(call);
	free(call);
}

void segments_clear(struct cdr *cdr)
{
	for (uint32_t bucket = 0; bucket < CDR_BUCKETS; bucket++)
		while (cdr->open[bucket]) {
			struct open_call *call = cdr->open[bucket];

			cdr->open[bucket] = call->next;
			fields_forget(call);
			free(call);
		}
}

/* A call begins with its caller's leg. */
static void begin_from(struct open_call *call)
{
	(void)snprintf(call->from_leg, sizeof call->from_leg, "%.30s-1", call->call_id);
}

void segments_resume(struct cdr *cdr, const struct segment *segment, int64_t earlier_talk_ms)
{
	struct open_call **place = place_of(cdr, segment->call_id);

	if (!*place && !(*place = calloc(1, sizeof **place)))
		return; /* its end closes the row all the same: row_close_unseen() */
	(*place)->segment = *segment;
	if (fields_keep(*place, segment->fields) != PBX_OK)
		fields_forget(*place);
	(*place)->earlier_talk_ms = earlier_talk_ms;
	(*place)->conversed = segment->answered_us != 0;
	COPY((*place)->call_id, segment->call_id);
	begin_from(*place);
}

int64_t segments_each(void *self, void (*take)(void *context, const struct open_call *call), void *context)
{
	struct cdr *cdr = self;

	for (uint32_t bucket = 0; bucket < CDR_BUCKETS; bucket++)
		for (const struct open_call *call = cdr->open[bucket]; call; call = call->next)
			take(context, call);
	return cdr->seen_seq;
}

static void take_call(void *context, const struct open_call *theirs)
{
	struct open_call **place = place_of(context, theirs->call_id), *next = *place ? (*place)->next : NULL;

	if (!*place && !(*place = calloc(1, sizeof **place)))
		return;
	fields_forget(*place);
	**place = *theirs;
	(*place)->next = next;
	(*place)->fields = NULL; /* theirs is freed with them */
	if (fields_keep(*place, theirs->fields) != PBX_OK)
		fields_forget(*place);
}

void segments_take_over(struct cdr *cdr)
{
	if (cdr->predecessor && cdr->predecessor->each)
		cdr->seen_seq = cdr->predecessor->each(cdr->predecessor->self, take_call, cdr);
}

void segments_note(struct cdr *cdr, const char *id, const char *account_code, const char *user_field)
{
	char call_id[32] = "";
	size_t length = strcspn(id, "-");
	struct open_call *call;

	if (length >= sizeof call_id)
		return;
	memcpy(call_id, id, length);
	call = find(cdr, call_id);
	if (!call || strcmp(call->segment.id, id) != 0)
		return;
	if (account_code)
		COPY(call->segment.account_code, account_code);
	if (user_field)
		COPY(call->segment.user_field, user_field);
}

static void number_segment(struct segment *segment, uint32_t sequence)
{
	segment->sequence = sequence;
	(void)snprintf(segment->id, sizeof segment->id, "%.30s-%u", segment->call_id, sequence);
}

/* ---- trunks --------------------------------------------------------------------------- */

/* A leg's id is its call's with a number. */
static struct open_call *call_of_leg(struct cdr *cdr, const char *leg_id)
{
	char call_id[32];

	copy(call_id, sizeof call_id, leg_id);
	call_id[strcspn(call_id, "-")] = '\0';
	return find(cdr, call_id);
}

/* The trunk that a leg belongs to; NULL: none. */
static const struct trunk_leg *trunk_of(struct cdr *cdr, const char *leg_id)
{
	const struct open_call *call = call_of_leg(cdr, leg_id);

	return !call                                    ? NULL
	       : strcmp(call->came.leg_id, leg_id) == 0 ? &call->came
	       : strcmp(call->went.leg_id, leg_id) == 0 ? &call->went
							: NULL;
}

static void name_trunk(struct segment *segment, const struct trunk_leg *trunk)
{
	bool is_one = trunk->trunk_id[0] != '\0';

	COPY(segment->trunk_id, trunk->trunk_id);
	COPY(segment->trunk_from, is_one ? trunk->from : "");
	COPY(segment->trunk_to, is_one ? trunk->to : "");
}

/* It began among us: by whom it would be taken nobody knew. */
static void leave_house(struct segment *segment)
{
	if (strcmp(segment->direction, "internal") == 0)
		COPY(segment->direction, "outbound");
}

/* Of whoever has answered or is talked with now; without one, that of the party from whose side the record is written. */
static void name_trunk_of(struct cdr *cdr, struct open_call *call, const char *leg_id)
{
	static const struct trunk_leg none;
	const struct trunk_leg *trunk = leg_id ? trunk_of(cdr, leg_id) : NULL, *own = trunk_of(cdr, call->from_leg);

	name_trunk(&call->segment, trunk && trunk->trunk_id[0] ? trunk : own ? own : &none);
	if (trunk == &call->went)
		leave_house(&call->segment);
}

/* A call that nobody answers tells the trunk that was tried last. */
static bool on_leg_started(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	const struct pbx_json *data = event->data;
	const char *trunk_id = text_of(cdr, data, "trunk_id"), *direction = text_of(cdr, data, "direction");

	if (!call || call->absorbed || !trunk_id || !trunk_id[0] || !direction || strcmp(direction, "outbound") != 0)
		return false; /* of who comes in by a trunk call.started has told */
	COPY(call->went.leg_id, text_of(cdr, data, "leg_id"));
	COPY(call->went.trunk_id, trunk_id);
	COPY(call->went.from, text_of(cdr, data, "shown"));
	COPY(call->went.to, text_of(cdr, data, "endpoint"));
	if (call->segment.answered_us)
		return false; /* the caller talks with somebody else still */
	name_trunk(&call->segment, &call->went);
	leave_house(&call->segment);
	row_write(cdr, &call->segment, event->seq);
	return true;
}

/* ---- one event each ------------------------------------------------------------------- */

static bool on_started(struct cdr *cdr, const struct pbx_event *event)
{
	struct open_call **place = place_of(cdr, event->call_id), *call;
	const struct pbx_json *data = event->data, *from = cdr->json->get(data, "from");

	if (*place)
		return false;
	call = calloc(1, sizeof *call);
	if (!call)
		return false;
	*place = call;
	COPY(call->call_id, event->call_id);
	COPY(call->segment.call_id, event->call_id);
	COPY(call->segment.linked_id, event->linked_id);
	number_segment(&call->segment, 1);
	COPY(call->segment.direction, text_of(cdr, data, "direction"));
	COPY(call->segment.from_number, text_of(cdr, from, "number"));
	COPY(call->segment.from_name, text_of(cdr, from, "name"));
	COPY(call->segment.from_account, text_of(cdr, from, "extension"));
	COPY(call->segment.to_number, number_of(cdr, data, "to"));
	COPY(call->segment.dialled, text_of(cdr, data, "dialled"));
	COPY(call->segment.device, text_of(cdr, data, "device"));
	begin_from(call);
	COPY(call->came.leg_id, text_of(cdr, data, "leg_id"));
	COPY(call->came.trunk_id, text_of(cdr, data, "trunk_id"));
	COPY(call->came.from, call->segment.from_number);
	COPY(call->came.to, call->segment.dialled);
	name_trunk(&call->segment, &call->came);
	call->segment.started_us = event->wall_us;
	row_write(cdr, &call->segment, event->seq);
	return true;
}

static bool on_answered(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	const char *by = number_of(cdr, event->data, "answered_by");

	if (!call || call->segment.answered_us)
		return false;
	call->segment.answered_us = event->wall_us;
	call->segment.ring_ms = int_of(cdr, event->data, "ring_ms");
	call->segment.pdd_ms = int_of(cdr, event->data, "pdd_ms");
	COPY(call->segment.disposition, "answered");
	if (by && by[0])
		COPY(call->segment.to_number, by);
	name_trunk_of(cdr, call, text_of(cdr, event->data, "leg_id"));
	row_write(cdr, &call->segment, event->seq);
	return true;
}

/* Whoever was parked waits no more. */
static bool end_park(struct segment *segment, int64_t now_us)
{
	bool was_parked = segment->parked_us != 0;

	if (was_parked)
		segment->park_ms += (now_us - segment->parked_us) / 1000;
	segment->parked_us = 0;
	return was_parked;
}

/* A conversation is over, and the call goes on without it. */
static void close_segment(struct cdr *cdr, struct open_call *call, const struct pbx_event *event)
{
	struct segment *segment = &call->segment;

	segment->ended_us = event->wall_us;
	segment->duration_ms = (segment->ended_us - segment->started_us) / 1000;
	segment->billsec_ms = segment->answered_us ? (segment->ended_us - segment->answered_us) / 1000 : 0;
	if (call->held_us)
		segment->hold_ms += (event->wall_us - (call->held_us > segment->started_us ? call->held_us : segment->started_us)) / 1000;
	COPY(segment->cause, end_park(segment, event->wall_us) ? "parked" : "transferred");
	COPY(segment->hangup_by, "system");
	row_write(cdr, segment, 0);
	segment_tell(cdr, segment, event);
	call->earlier_talk_ms += segment->billsec_ms;
}

/* The next conversation of the same caller; or of who talks in their place, when they have gone. */
static void begin_next(struct cdr *cdr, struct open_call *call, const char *leg, const char *to, const struct pbx_event *event)
{
	struct segment *segment = &call->segment;

	if (!call->closed)
		close_segment(cdr, call, event);
	call->closed = false;
	if (strcmp(leg, call->from_leg) != 0) {
		COPY(segment->from_number, text_of(cdr, event->data, "number"));
		COPY(segment->dialled, to);
		segment->from_name[0] = segment->from_account[0] = segment->device[0] = '\0';
		COPY(call->from_leg, leg);
	}
	number_segment(segment, segment->sequence + 1);
	COPY(segment->to_number, to);
	segment->started_us = segment->answered_us = event->wall_us;
	segment->ended_us = segment->ring_ms = segment->pdd_ms = segment->duration_ms = segment->billsec_ms = segment->hold_ms =
		segment->park_ms = 0;
	COPY(segment->cause, "");
	COPY(segment->hangup_by, "");
}

/* Two legs talk: whether their conversation is told by the record of the one's call. It is told by the call whose caller takes part, else by the older
 * one (ids rise with time); within a call without its caller, by whom the caller had talked with. other: the peer's call, NULL when it is unknown. */
static bool tells_of(const struct open_call *call, const char *leg, const struct open_call *other, const char *peer)
{
	bool is_caller = strcmp(leg, call->from_leg) == 0;

	if (!other)
		return is_caller;
	if (other->absorbed)
		return true;
	if (is_caller != (strcmp(peer, other->from_leg) == 0))
		return is_caller;
	if (other == call)
		return strcmp(peer, call->to_leg) != 0 && (strcmp(leg, call->to_leg) == 0 || strcmp(leg, peer) < 0);
	return strcmp(call->call_id, other->call_id) < 0;
}

/* A party of its conversation talks with somebody of another call, whose record tells of it. */
static bool leave_for(struct cdr *cdr, struct open_call *call, const char *leg, const struct open_call *other,
		      const struct pbx_event *event)
{
	bool talked = strcmp(leg, call->from_leg) == 0 || strcmp(leg, call->to_leg) == 0;

	if (!talked || call->closed || other == call || !call->segment.answered_us)
		return false;
	close_segment(cdr, call, event);
	call->closed = true;
	COPY(call->into, other->call_id);
	return true;
}

/* The same two as before: after a park, or a transfer that came to nothing. */
static bool go_on(struct cdr *cdr, struct open_call *call, const struct pbx_event *event, bool is_news)
{
	bool was_parked = end_park(&call->segment, event->wall_us);

	if (was_parked || is_news)
		row_write(cdr, &call->segment, event->seq);
	return was_parked || is_news;
}

static bool on_bridged(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	const char *leg = text_of(cdr, event->data, "leg_id"), *peer = text_of(cdr, event->data, "peer_leg_id");
	const char *number = text_of(cdr, event->data, "number"), *peer_number = text_of(cdr, event->data, "peer_number");

	if (!call || !leg || !peer || !number || !peer_number)
		return false;
	struct segment *segment = &call->segment;
	const struct open_call *other = call_of_leg(cdr, peer);

	if (call->absorbed && other == call) { /* who fetched a party talks with somebody else by now: a record of their own again */
		call->absorbed = false;
		call->closed = true;
		call->earlier_talk_ms = segment->answered_us ? (event->wall_us - segment->answered_us) / 1000 : 0;
	}
	if (call->absorbed || (!call->closed && !segment->answered_us && strcmp(leg, call->from_leg) != 0))
		return false;
	call->conversed = call->conversed || other == call;
	if (!tells_of(call, leg, other, peer))
		return other && leave_for(cdr, call, leg, other, event);

	bool is_caller = strcmp(leg, call->from_leg) == 0;
	if (!call->closed && !is_caller && strcmp(peer_number, segment->from_number) == 0 && strcmp(number, segment->to_number) == 0) {
		COPY(call->from_leg, peer); /* who has gone and come back */
		COPY(call->to_leg, leg);
		return go_on(cdr, call, event, false);
	}
	COPY(call->to_leg, peer);
	bool same_party = is_caller && strcmp(peer_number, segment->to_number) == 0;
	if (!call->closed && same_party && segment->answered_us)
		return go_on(cdr, call, event, false);
	if (!call->closed && is_caller && !segment->answered_us) {
		COPY(segment->to_number, peer_number);
		name_trunk_of(cdr, call, peer);
		return go_on(cdr, call, event, true);
	}
	begin_next(cdr, call, leg, peer_number, event);
	name_trunk_of(cdr, call, peer);
	row_write(cdr, segment, event->seq);
	return true;
}

/* Where what happens in a call is recorded: there, or in the one it went into. NULL: nowhere. */
static struct open_call *recorded_in(struct cdr *cdr, struct open_call *call)
{
	struct open_call *into = call && (call->absorbed || call->closed) ? find(cdr, call->into) : call;

	return into && !into->absorbed && !into->closed ? into : NULL;
}

static void note_in(struct cdr *cdr, struct open_call *into, const struct pbx_json *changes, bool only_new, int64_t seq)
{
	const struct pbx_jsons *json = cdr->json;
	int err = fields_change(cdr, into, changes, only_new);

	if (err != PBX_OK)
		pbx_error(cdr->host, "fields_lost", "call=%s error=%d", into->call_id, err);
	row_write_fields(cdr, &into->segment, json->get(changes, "account_code"), json->get(changes, "user_field"), seq);
}

static bool on_fields_set(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	const struct pbx_json *changes = cdr->json->get(event->data, "fields");
	struct open_call *into = recorded_in(cdr, call);

	if (!into)
		return false;
	note_in(cdr, into, changes, false, event->seq);
	return true;
}

/* A call that has no record any more leaves what was noted in it to the one it went into, which has its own first. */
static void leave_fields(struct cdr *cdr, const struct open_call *call, struct open_call *into)
{
	struct pbx_json *fields = fields_json(cdr, &call->segment);

	if (call->segment.account_code[0])
		(void)cdr->json->set_text(fields, "account_code", call->segment.account_code);
	if (call->segment.user_field[0])
		(void)cdr->json->set_text(fields, "user_field", call->segment.user_field);
	if (into && cdr->json->count(fields) > 0)
		note_in(cdr, into, fields, true, 0);
	cdr->json->free(fields);
}

static bool on_linked(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	if (!call)
		return false;
	COPY(call->segment.linked_id, event->linked_id);
	if (call->conversed) {
		row_write(cdr, &call->segment, event->seq);
	} else {
		call->absorbed = true;
		COPY(call->into, text_of(cdr, event->data, "other_call_id"));
		leave_fields(cdr, call, recorded_in(cdr, call));
		row_remove(cdr, call->segment.id, event->seq);
	}
	return true;
}

static bool on_held(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	call = recorded_in(cdr, call);
	if (call && !call->held_us)
		call->held_us = event->wall_us;
	return false;
}

static bool on_resumed(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	int64_t hold_ms = int_of(cdr, event->data, "hold_ms");

	if (call && call->closed && call->held_us) { /* it was on hold when its record was closed, which has all of that */
		call->held_us = 0;
		return false;
	}
	call = recorded_in(cdr, call); /* who came into another call held its party */
	if (!call)
		return false;
	if (call->held_us && call->held_us < call->segment.started_us) /* the record before has its part */
		hold_ms -= (call->segment.started_us - call->held_us) / 1000;
	call->held_us = 0;
	call->segment.hold_ms += hold_ms > 0 ? hold_ms : 0;
	row_write(cdr, &call->segment, event->seq);
	return true;
}

static bool on_parked(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	if (!call || call->absorbed || call->closed || call->segment.parked_us)
		return false;
	call->segment.parked_us = event->wall_us;
	row_write(cdr, &call->segment, event->seq);
	return true;
}

static bool on_ended(struct cdr *cdr, const struct pbx_event *event, struct open_call *call)
{
	const struct pbx_json *data = event->data;
	struct segment unseen = { .sequence = 0 }, *segment = call ? &call->segment : &unseen;

	COPY(segment->call_id, event->call_id);
	(void)end_park(segment, event->wall_us);
	segment->ended_us = event->wall_us;
	COPY(segment->disposition, text_of(cdr, data, "disposition"));
	COPY(segment->cause, text_of(cdr, data, "cause"));
	COPY(segment->hangup_by, text_of(cdr, data, "hangup_by"));
	segment->sip_code = int_of(cdr, data, "sip_code");
	segment->q850_cause = int_of(cdr, data, "q850_cause");
	segment->duration_ms = int_of(cdr, data, "duration_ms");
	segment->billsec_ms = int_of(cdr, data, "billsec_ms");
	if (!call) {
		row_close_unseen(cdr, segment, event->seq);
		return true;
	}
	if (call->absorbed || call->closed) {
		forget(cdr, event->call_id);
		return false;
	}
	if (segment->sequence > 1) {
		segment->duration_ms = (segment->ended_us - segment->started_us) / 1000;
		segment->billsec_ms = segment->billsec_ms > call->earlier_talk_ms ? segment->billsec_ms - call->earlier_talk_ms : 0;
	} else {
		if (segment->hold_ms < int_of(cdr, data, "hold_ms"))
			segment->hold_ms = int_of(cdr, data, "hold_ms"); /* it ended on hold */
		segment->ring_ms = int_of(cdr, data, "ring_ms");
	}
	row_write(cdr, segment, event->seq);
	segment_tell(cdr, segment, event);
	forget(cdr, event->call_id);
	return true;
}

void segments_on_event(void *self, const struct pbx_event *event)
{
	struct cdr *cdr = self;
	struct open_call *call = find(cdr, event->call_id);
	const char *type = event->type;
	bool written = false;

	if (event->seq <= cdr->seen_seq) { /* by the version before us, whose rows are under way */
		place_safe(cdr, event->seq);
		return;
	}
	cdr->seen_seq = event->seq;
	told_look_at(cdr, event);
	if (strcmp(type, "call.started") == 0)
		written = on_started(cdr, event);
	else if (strcmp(type, "call.answered") == 0)
		written = on_answered(cdr, event, call);
	else if (strcmp(type, "bridge.entered") == 0)
		written = on_bridged(cdr, event, call);
	else if (strcmp(type, "leg.started") == 0)
		written = on_leg_started(cdr, event, call);
	else if (strcmp(type, "call.linked") == 0)
		written = on_linked(cdr, event, call);
	else if (strcmp(type, "call.hold") == 0)
		written = on_held(cdr, event, call);
	else if (strcmp(type, "call.resume") == 0)
		written = on_resumed(cdr, event, call);
	else if (strcmp(type, "call.parked") == 0)
		written = on_parked(cdr, event, call);
	else if (strcmp(type, "call.fields_set") == 0)
		written = on_fields_set(cdr, event, call);
	else if (strcmp(type, "call.ended") == 0)
		written = on_ended(cdr, event, call);
	else if (strcmp(type, "leg.ended") == 0 && cdr->settings->legs)
		row_write_leg(cdr, event);
	if (!written)
		place_safe(cdr, event->seq);
}
