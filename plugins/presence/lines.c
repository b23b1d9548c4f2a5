/*
 * lines - the calls of every account, as a lamp shows them
 *
 * Events tell that something happened to a leg, pbx.calls/1 what it is like now. A phone that is only being asked to ring is no call of its line yet: it
 * becomes one with its 180. An ended call is kept for ENDED_KEPT_MS, the latest ENDED_MOST
 * of a line, so that partial documents can say so; who missed a forgotten one gets the whole state.
 */
#include "presence.h"
#include <stdlib.h>
#include <string.h>

static void copy(char *into, size_t size, const char *text)
{
	size_t length = strlen(text);

	if (length > size - 1)
		length = size - 1;
	memcpy(into, text, length);
	into[length] = '\0';
}
#define COPY(into, text) copy((into), sizeof(into), (text))

uint32_t number_bucket(const char *number)
{
	uint32_t hash = 2166136261u;

	for (; *number; number++)
		hash = (hash ^ (uint8_t)*number) * 16777619u;
	return (hash ^ hash >> 15) % LINE_BUCKETS;
}

const struct line *line_find(const struct presence *presence, const char *number)
{
	const struct line *line = presence->lines[number_bucket(number)];

	while (line && strcmp(line->number, number) != 0)
		line = line->next;
	return line;
}

static struct line *line_get(struct presence *presence, const char *number)
{
	struct line **bucket = &presence->lines[number_bucket(number)], *line = *bucket;

	while (line && strcmp(line->number, number) != 0)
		line = line->next;
	if (line)
		return line;
	line = calloc(1, sizeof *line + strlen(number) + 1);
	if (!line)
		return NULL;
	memcpy(line->number, number, strlen(number) + 1);
	line->next = *bucket;
	*bucket = line;
	return line;
}

bool line_is_live(const struct line_call *call)
{
	return call->ended_at_ms == 0;
}

static void forget_ended(struct presence *presence, struct line *line)
{
	uint64_t now_ms = presence->host->now_ms(presence->host);
	struct line_call **at = &line->calls, *call;
	uint32_t ended = 0;

	while ((call = *at) != NULL) {
		if (line_is_live(call) || (++ended <= ENDED_MOST && now_ms - call->ended_at_ms < ENDED_KEPT_MS)) {
			at = &call->next;
			continue;
		}
		if (call->changed > line->floor)
			line->floor = call->changed;
		*at = call->next;
		free(call);
	}
}

void lines_free(struct presence *presence)
{
	for (uint32_t i = 0; i < LINE_BUCKETS; i++)
		for (struct line *line = presence->lines[i], *next; line; line = next) {
			next = line->next;
			for (struct line_call *call = line->calls, *after; call; call = after) {
				after = call->next;
				free(call);
			}
			free(line);
		}
}

/* Where the live call of a leg hangs, or would. */
static struct line_call **live_place(struct presence *presence, const char *leg_id)
{
	struct line_call **at = &presence->legs[number_bucket(leg_id)];

	while (*at && strcmp((*at)->leg_id, leg_id) != 0)
		at = &(*at)->leg_next;
	return at;
}

/* NULL: no memory. */
static struct line_call *call_add(struct presence *presence, struct line *line, const char *leg_id)
{
	struct line_call *call = calloc(1, sizeof *call), **bucket = &presence->legs[number_bucket(leg_id)];

	if (!call)
		return NULL;
	call->line = line;
	call->next = line->calls;
	line->calls = call;
	call->leg_next = *bucket;
	*bucket = call;
	return call;
}

static void touched(struct presence *presence, struct line_call *call)
{
	call->changed = ++presence->stamp;
	(void)presence->notifier->changed(presence->host, "dialog", call->line->number); /* nobody may be watching */
	people_call_changed(presence, call->line->number, call->initiator);
}

/* ---- what a leg is like --------------------------------------------------------------- */

struct partner {
	const struct presence *presence;
	pbx_leg of;
	char number[NUMBER_SIZE], name[NAME_SIZE];
};

static void note_partner(void *context, pbx_leg leg)
{
	struct partner *partner = context;
	struct pbx_leg_info info = { .size = sizeof info };

	if (leg.id == partner->of.id || partner->number[0] || partner->presence->calls->info(leg, &info) != PBX_OK ||
	    info.direction != PBX_INBOUND)
		return;
	COPY(partner->number, info.number);
	COPY(partner->name, info.name);
}

/* With whom: the other member of the bridge, the caller for a phone that rings, what was dialled for a caller. */
static void find_partner(const struct presence *presence, const struct pbx_leg_info *info, struct line_call *call)
{
	struct partner partner = { .presence = presence, .of = info->leg };
	struct pbx_leg_info peer_info = { .size = sizeof peer_info };
	pbx_leg peer;

	if (presence->calls->peer(info->leg, &peer) == PBX_OK && presence->calls->info(peer, &peer_info) == PBX_OK) {
		COPY(partner.number, peer_info.number);
		COPY(partner.name, peer_info.name);
	} else if (info->direction == PBX_OUTBOUND) {
		presence->calls->each(info->call, note_partner, &partner);
	} else {
		COPY(partner.number, info->dialled);
	}
	memcpy(call->remote, partner.number, sizeof call->remote);
	memcpy(call->remote_name, partner.name, sizeof call->remote_name);
}

static const char *state_of(const struct pbx_leg_info *info)
{
	return info->state == PBX_LEG_NEW ? "trying" : info->state == PBX_LEG_RINGING ? "early" : "confirmed";
}

static void describe(const struct presence *presence, const struct pbx_leg_info *info, struct line_call *ret_call)
{
	COPY(ret_call->leg_id, info->id);
	COPY(ret_call->protocol_id, strlen(info->protocol_id) < sizeof ret_call->protocol_id ? info->protocol_id : "");
	COPY(ret_call->local_tag, info->local_tag);
	COPY(ret_call->remote_tag, info->remote_tag);
	ret_call->state = state_of(info);
	ret_call->initiator = info->direction == PBX_INBOUND;
	ret_call->local_hold = info->holds_us;
	find_partner(presence, info, ret_call);
}

static bool says_the_same(const struct line_call *a, const struct line_call *b)
{
	return a->state == b->state && a->local_hold == b->local_hold && strcmp(a->remote, b->remote) == 0 &&
	       strcmp(a->remote_name, b->remote_name) == 0 && strcmp(a->protocol_id, b->protocol_id) == 0 &&
	       strcmp(a->local_tag, b->local_tag) == 0 && strcmp(a->remote_tag, b->remote_tag) == 0;
}

static void look_at(void *context, pbx_leg leg)
{
	struct presence *presence = context;
	struct pbx_leg_info info = { .size = sizeof info };
	struct line_call now = { .next = NULL }, *call;
	struct line *line;

	if (presence->calls->info(leg, &info) != PBX_OK || !info.account[0] || info.state == PBX_LEG_ENDED ||
	    (info.direction == PBX_OUTBOUND && info.state == PBX_LEG_NEW))
		return;
	describe(presence, &info, &now);
	call = *live_place(presence, now.leg_id);
	if (call && says_the_same(call, &now))
		return;
	if (!call) {
		line = line_get(presence, info.account);
		call = line ? call_add(presence, line, now.leg_id) : NULL;
	}
	if (!call)
		return; /* no memory: the lamp stays as it is */
	now.next = call->next;
	now.leg_next = call->leg_next;
	now.line = call->line;
	*call = now;
	forget_ended(presence, call->line);
	touched(presence, call);
}

/* ---- events --------------------------------------------------------------------------- */

static const char *leg_of(const struct presence *presence, const struct pbx_event *event)
{
	const char *leg_id = presence->json->text(presence->json->get(event->data, "leg_id"));

	return leg_id ? leg_id : "";
}

static void look_at_waiting(void *self, void *data)
{
	struct presence *presence = self;

	(void)data;
	for (uint32_t i = 0; i < presence->waiting_count; i++)
		presence->calls->each(presence->waiting[i], look_at, presence);
	presence->waiting_count = 0;
}

static bool is_waiting(const struct presence *presence, pbx_call call)
{
	for (uint32_t i = presence->waiting_count; i > 0; i--)
		if (presence->waiting[i - 1].id == call.id)
			return true;
	return false;
}

/* Something has happened in a call: its legs are looked at again, for each says with whom it is. Much happens at once (two legs are answered, a
 * bridge is entered twice): one look tells it all. */
static void on_call_event(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	pbx_call call;

	if (presence->calls->find_call(event->call_id, &call) != PBX_OK || is_waiting(presence, call))
		return;
	if (presence->waiting_count == WAITING_MOST ||
	    (presence->waiting_count == 0 && presence->host->post(presence->host, look_at_waiting, NULL, NULL) != PBX_OK)) {
		presence->calls->each(call, look_at, presence);
		return;
	}
	presence->waiting[presence->waiting_count++] = call;
}

static void on_leg_ended(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	struct line_call **at = live_place(presence, leg_of(presence, event)), *call = *at;

	if (!call)
		return;
	*at = call->leg_next;
	call->state = "terminated";
	call->ended_at_ms = presence->host->now_ms(presence->host);
	touched(presence, call);
}

static void on_lamp(void *self, const struct pbx_lamp *lamp)
{
	struct presence *presence = self;

	(void)presence->notifier->changed(presence->host, "dialog", lamp->number); /* nobody may be watching */
}

int lines_start(struct presence *presence)
{
	pbx_subscription subscription;
	int err = presence->bus->subscribe(presence->host,
					   "leg.started,leg.ringing,leg.answered,bridge.entered,bridge.left,call.hold,call.resume",
					   on_call_event, presence, &subscription);

	if (err == PBX_OK)
		err = presence->bus->subscribe(presence->host, "leg.ended", on_leg_ended, presence, &subscription);
	if (err == PBX_OK)
		err = presence->lamps->listen(presence->host, on_lamp, presence);
	if (err == PBX_OK)
		presence->calls->each((pbx_call){ 0 }, look_at, presence); /* an upgrade finds calls that last */
	return err;
}
