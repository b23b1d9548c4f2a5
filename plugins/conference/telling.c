/*
 * telling - what the world learns of a conference: events, gauges, and rows that are kept
 */
#include "conference.h"
#include <string.h>

static struct pbx_json *facts(const struct room *room)
{
	const struct pbx_jsons *json = room->conference->json;
	struct pbx_json *data = json->new_object();

	(void)json->set_text(data, "room", room->rules.number); /* no memory shows as a member missing */
	(void)json->set_text(data, "name", room->rules.name);
	(void)json->set_text(data, "conference_id", room->session);
	return data;
}

static void publish(const struct conference *conference, const char *type, pbx_leg leg, struct pbx_json *taken)
{
	struct pbx_leg_info info = { .size = sizeof info };
	bool known = leg.id && conference->calls->info(leg, &info) == PBX_OK;

	if (conference->bus->publish(conference->host, type, known ? info.call : (pbx_call){ 0 }, taken) != PBX_OK)
		pbx_error(conference->host, "event_lost", "type=%s", type);
}

static void record(const struct conference *conference, const char *sql, const struct pbx_value *params, uint32_t count)
{
	int err = conference->store->record(conference->host, sql, params, count, NULL, NULL);

	if (err != PBX_OK)
		pbx_error(conference->host, "not_recorded", "result=%d", err);
}

/* ---- sessions ----------------------------------------------------------------------------- */

void tell_started(const struct room *room)
{
	const struct conference *conference = room->conference;
	const struct pbx_value params[] = { pbx_v_text(room->session), pbx_v_text(room->rules.number), PBX_V_INT(room->started_wall_us) };

	publish(conference, "conference.started", (pbx_leg){ 0 }, facts(room));
	record(conference,
	       "INSERT INTO conference_sessions (id, room, started_at, ended_at, peak) VALUES ($1, $2, $3, 0, 0) ON CONFLICT (id) DO "
	       "NOTHING",
	       params, 3);
	(void)conference->metrics->add(conference->host, METRIC_ACTIVE, NULL, 1);
	roster_changed(room);
}

void tell_ended(const struct room *room, const char *reason)
{
	const struct conference *conference = room->conference;
	int64_t now_us = conference->host->wall_us(conference->host);
	struct pbx_json *data = facts(room);
	const struct pbx_value params[] = { pbx_v_text(room->session), PBX_V_INT(now_us), PBX_V_INT(room->peak) };

	(void)conference->json->set_integer(data, "duration_ms", (now_us - room->started_wall_us) / 1000);
	(void)conference->json->set_integer(data, "peak", room->peak);
	(void)conference->json->set_text(data, "reason", reason);
	publish(conference, "conference.ended", (pbx_leg){ 0 }, data);
	record(conference, "UPDATE conference_sessions SET ended_at = $2, peak = $3 WHERE id = $1", params, 3);
	(void)conference->metrics->add(conference->host, METRIC_ACTIVE, NULL, -1);
	roster_changed(room);
}

void tell_locked(const struct room *room)
{
	struct pbx_json *data = facts(room);

	(void)room->conference->json->set_boolean(data, "locked", room->locked);
	publish(room->conference, "conference.locked", (pbx_leg){ 0 }, data);
	roster_changed(room);
}

/* ---- members -------------------------------------------------------------------------------- */

static struct pbx_json *member_facts(const struct member *member)
{
	const struct pbx_jsons *json = member->room->conference->json;
	struct pbx_json *data = facts(member->room);

	(void)json->set_text(data, "participant_id", member->id);
	(void)json->set_text(data, "number", member->number);
	(void)json->set_text(data, "participant_name", member->name);
	(void)json->set_boolean(data, "moderator", member->moderator);
	(void)json->set_boolean(data, "muted", member->muted);
	return data;
}

void tell_joined(const struct member *member)
{
	const struct conference *conference = member->room->conference;
	const struct pbx_value params[] = {
		pbx_v_text(member->id),      pbx_v_text(member->room->session), pbx_v_text(member->number),
		pbx_v_text(member->call_id), PBX_V_INT(member->joined_wall_us),
	};

	publish(conference, "conference.participant_joined", member->leg, member_facts(member));
	record(conference,
	       "INSERT INTO conference_participants (id, session_id, extension, call_id, joined_at, left_at, reason) VALUES ($1, $2, $3, "
	       "$4,"
	       " $5, 0, '') ON CONFLICT (id) DO NOTHING",
	       params, 5);
	(void)conference->metrics->add(conference->host, METRIC_PARTICIPANTS, NULL, 1);
	(void)conference->metrics->add(conference->host, METRIC_JOINS, NULL, 1);
	roster_changed(member->room);
}

void tell_left(const struct member *member)
{
	const struct conference *conference = member->room->conference;
	int64_t now_us = conference->host->wall_us(conference->host);
	struct pbx_json *data = member_facts(member);
	const struct pbx_value params[] = { pbx_v_text(member->id), PBX_V_INT(now_us), pbx_v_text(member->reason) };

	(void)conference->json->set_text(data, "reason", member->reason);
	(void)conference->json->set_integer(data, "duration_ms", (now_us - member->joined_wall_us) / 1000);
	publish(conference, "conference.participant_left", member->leg, data);
	record(conference, "UPDATE conference_participants SET left_at = $2, reason = $3 WHERE id = $1", params, 3);
	(void)conference->metrics->add(conference->host, METRIC_PARTICIPANTS, NULL, -1);
	roster_changed(member->room);
}

void tell_changed(const struct member *member)
{
	if (member->state == MEMBER_IN)
		publish(member->room->conference, "conference.participant_muted", member->leg, member_facts(member));
}
